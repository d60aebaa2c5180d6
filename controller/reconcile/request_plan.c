/* SPDX-License-Identifier: Apache-2.0 */
/* The dry run in the status of a request: what would be read, the windows, the holes, what would be lost. */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/str.h"
#include "controller/reconcile/look.h"
#include "controller/reconcile/request_int.h"

#define ITEMS_MAX 500

static const json_t *window_of(const json_t *windows, const json_t *result) {
    size_t i;
    json_t *w;
    const char *folder = look_text(result, "folder"), *source = look_text(result, "source");
    json_array_foreach(windows, i, w) {
        if (*folder ? !strcmp(look_text(w, "folder"), folder) : !strcmp(look_text(w, "database"), source))
            return w;
    }
    return NULL;
}

/* The restorable moments that are nearest to one that is not. 0 = there is none on that side. */
static void nearest(const json_t *window, int64_t at, int64_t *ret_before, int64_t *ret_after) {
    size_t i;
    json_t *v;
    *ret_before = *ret_after = 0;
    json_array_foreach(look(window, "intervals"), i, v) {
        int64_t from = look_time(v, "fromAt"), until = look_time(v, "untilAt");
        if (until && until < at && until > *ret_before)
            *ret_before = until;
        if (from > at && (!*ret_after || from < *ret_after))
            *ret_after = from;
    }
}

static const json_t *hole_at(const json_t *window, int64_t at) {
    size_t i;
    json_t *h;
    json_array_foreach(look(window, "holes"), i, h) {
        int64_t from = look_time(h, "fromAt"), until = look_time(h, "untilAt");
        if (from <= at && (!until || at <= until))
            return h;
    }
    return NULL;
}

static void windows(const json_t *list, struct status *status) {
    json_t *out = json_array(), *w, *v;
    size_t i, k;
    json_array_foreach(list, i, w) {
        json_array_foreach(look(w, "intervals"), k, v) {
            json_t *entry = json_pack("{s:s}", "database", look_text(w, "database"));
            look_put_time(entry, "from", look_time(v, "fromAt"));
            look_put_time(entry, "until", look_time(v, "untilAt"));
            if (json_array_size(out) < ITEMS_MAX)
                json_array_append(out, entry);
            json_decref(entry);
        }
    }
    json_object_set_new(status->fresh, "windows", out);
}

/* One database that cannot be restored so: why, and what can. */
static void refuse(const json_t *result, const json_t *window, int64_t at, json_t *entry, struct plan *plan) {
    char before_text[CLOCK_TEXT_MAX], after_text[CLOCK_TEXT_MAX];
    int64_t before, after;
    const char *name = look_text(result, "source"), *text = look_text(result, "message");
    nearest(window, at, &before, &after);
    const json_t *hole = at ? hole_at(window, at) : NULL;
    look_put_time(entry, "nearestBefore", at ? before : 0);
    look_put_time(entry, "nearestAfter", at ? after : 0);
    if (*plan->refusal)
        return;
    plan->reason = hole ? "Hole" : "NotRestorable";
    int n = snprintf(plan->refusal, sizeof(plan->refusal), "%s: %s", name, text);
    size_t used = n > 0 && (size_t)n < sizeof(plan->refusal) ? (size_t)n : sizeof(plan->refusal) - 1;
    if (hole)
        snprintf(plan->refusal + used, sizeof(plan->refusal) - used, " (%s%s%s)", look_text(hole, "cause"),
                 *look_text(hole, "byWhom") ? " by " : "", look_text(hole, "byWhom"));
    used = strlen(plan->refusal);
    if (at && (before || after))
        snprintf(plan->refusal + used, sizeof(plan->refusal) - used, ". Nearest restorable moments: %s before, %s after",
                 before ? clock_format(before_text, before) : "none", after ? clock_format(after_text, after) : "none");
}

static void one_database(const json_t *response, const json_t *r, int64_t at, json_t *list, struct plan *plan) {
    bool bad = *look_text(r, "errorClass") && strcmp(look_text(r, "errorClass"), "data_loss") != 0;
    json_t *entry = restore_database(r, bad ? "Refused" : "Pending");
    if (bad)
        refuse(r, window_of(look(response, "windows"), r), at, entry, plan);
    else
        look_put_time(entry, "reachesTime", at ? at : look_time(r, "reachedAt"));
    plan->databases += !bad;
    if (json_array_size(list) < ITEMS_MAX)
        json_array_append(list, entry);
    json_decref(entry);
}

static bool has_result(const json_t *results, const json_t *window) {
    size_t i;
    json_t *r;
    json_array_foreach(results, i, r) {
        if (!strcmp(look_text(r, "folder"), look_text(window, "folder")))
            return true;
    }
    return false;
}

/* A target that no plan reaches has no result of its own: then the report says why, and the windows what can be reached. */
static void databases(const json_t *response, int64_t at, struct status *status, struct plan *plan) {
    const json_t *results = look(response, "report.results"), *report = look(response, "report");
    const char *class = look_text(report, "errorClass");
    json_t *list = json_array(), *item;
    size_t i;
    json_array_foreach(results, i, item) {
        one_database(response, item, at, list, plan);
    }
    bool refused = *class && strcmp(class, "data_loss") != 0 && !err_class_transient(err_class_parse(class));
    json_array_foreach(refused ? look(response, "windows") : NULL, i, item) {
        if (has_result(results, item))
            continue;
        json_t *r = json_pack("{s:s, s:s, s:s, s:s}", "source", look_text(item, "database"), "folder", look_text(item, "folder"),
                              "errorClass", class, "message", look_text(report, "message"));
        one_database(response, r, at, list, plan);
        json_decref(r);
    }
    json_object_set_new(status->fresh, "databases", list);
}

/* What the whole report says when no single database is refused. */
static void whole(const json_t *report, const char *quoted, struct plan *plan) {
    const char *class = look_text(report, "errorClass"), *text = look_text(report, "message");
    bool acknowledged = *quoted && !strcmp(quoted, plan->token);
    if (*plan->refusal)
        return;
    if (*plan->token && !acknowledged) {
        plan->reason = "NotAcknowledged";
        (void)str_format(plan->refusal, sizeof(plan->refusal), "%s. To go on, set acknowledgeDataLoss to %s",
                         *text ? text : "something would be lost by it", plan->token);
    } else if (*class && !(acknowledged && !strcmp(class, "data_loss"))) {
        plan->reason = "NotRestorable";
        plan->passes = err_class_transient(err_class_parse(class));
        (void)str_format(plan->refusal, sizeof(plan->refusal), "%s (%s)", text, class);
    } else if (!plan->databases) {
        plan->reason = "NothingToRestore";
        (void)str_format(plan->refusal, sizeof(plan->refusal), "the source has no such database");
    }
}

void request_plan(const struct world *world, const json_t *result, struct status *status, struct plan *ret_plan) {
    const json_t *response = look(result, "planRestore"), *report = look(response, "report");
    struct plan plan = {.token = look_text(report, "token"), .reason = "PlanFailed"};
    const char *class = look_text(result, "errorClass");
    if (*class || !report) {
        plan.passes = err_class_transient(err_class_parse(class));
        (void)str_format(plan.failure, sizeof(plan.failure), "%s%s%s%s",
                         *class ? look_text(result, "message") : "no plan came back", *class ? " (" : "", class,
                         *class ? ")" : "");
    } else {
        windows(look(response, "windows"), status);
        databases(response, look_time(world->object, "spec.targetTime"), status, &plan);
        whole(report, look_text(world->object, "spec.acknowledgeDataLoss"), &plan);
        json_object_del(status->fresh, "token");
        look_put_text(status->fresh, "token", plan.token);
    }
    *ret_plan = plan;
}
