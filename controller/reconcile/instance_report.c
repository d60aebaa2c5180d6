/* SPDX-License-Identifier: Apache-2.0 */
/* The sidecar's report in the status of its instance. */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "controller/reconcile/instance_int.h"
#include "controller/reconcile/look.h"

#define WINDOWS_MAX 500

/* Always there, also when the sidecar does not speak: tools wait for them by name. */
static const char *const always[] = {"StagingWritable", "LogChainIntact", "RPOMet",          "StoreReachable",
                                     "LoginSufficient", "Encrypted",      "RecoveryVerified"};

static json_t *told(const json_t *report, const char *type) {
    size_t i;
    json_t *c;
    json_array_foreach(look(report, "conditions"), i, c) {
        if (!strcmp(look_text(c, "type"), type))
            return c;
    }
    return NULL;
}

static void conditions(const json_t *report, struct status *status) {
    size_t i;
    json_t *c;
    json_array_foreach(look(report, "conditions"), i, c) {
        const char *type = look_text(c, "type"), *reason = look_text(c, "reason");
        if (*type && strcmp(type, "Ready") != 0)
            status_condition(status, type, truth_parse(look_text(c, "status")), *reason ? reason : "NotTold", "%s",
                             look_text(c, "message"));
    }
    for (i = 0; i < ARRAY_LEN(always); i++)
        if (!told(report, always[i]))
            status_condition(status, always[i], TRUTH_UNKNOWN, "NotTold", "the sidecar does not tell it");
}

static void conditions_keep(struct status *status) {
    size_t i;
    json_t *c;
    json_array_foreach(look(status->old, "conditions"), i, c) {
        const char *type = look_text(c, "type");
        static const char *const own[] = {"Ready", "Accepted", "SidecarConnected", "PolicyApplied", "BackupClaim"};
        bool mine = false;
        for (size_t o = 0; o < ARRAY_LEN(own); o++)
            mine = mine || !strcmp(type, own[o]);
        if (!mine)
            status_condition_keep(status, type, "", "");
    }
}

static void conditions_unknown(struct status *status, const struct found *found) {
    for (size_t i = 0; i < ARRAY_LEN(always); i++)
        status_condition(status, always[i], TRUTH_UNKNOWN, "SidecarNotConnected", "%s", found->text);
}

static json_t *window_of(const json_t *db) {
    json_t *w = json_pack("{s:s, s:b}", "name", look_text(db, "name"), "protected", look_bool(db, "protected", false));
    bool protected = look_bool(db, "protected", false);
    const char *skip = look_text(db, "skipReason");
    look_put_text(w, "chain", look_text(db, "chainState"));
    look_put_text(w, "reason", !protected ? look_text(db, "unprotectedReason") : *skip ? skip : look_text(db, "chainReason"));
    look_put_text(w, "message",
                  !protected ? look_text(db, "unprotectedMessage")
                  : *skip    ? look_text(db, "skipMessage")
                             : look_text(db, "chainMessage"));
    look_put_time(w, "earliestRestorableTime", look_time(db, "restorableFromAt"));
    look_put_time(w, "latestRestorableTime", look_time(db, "restorableUntilAt"));
    look_put_time(w, "offVolumeUntil", look_time(db, "offVolumeUntilAt"));
    look_put_time(w, "lastFull", look_time(db, "lastFullAt"));
    look_put_time(w, "lastDifferential", look_time(db, "lastDiffAt"));
    look_put_time(w, "lastLog", look_time(db, "lastLogAt"));
    look_put_time(w, "lastVerified", look_time(db, "lastVerifiedAt"));
    int64_t holes = look_int(db, "holesTotal", 0);
    if (holes)
        json_object_set_new(w, "holes", json_integer(holes));
    return w;
}

/* The whole instance is restorable from its latest begin to its earliest end, over what has log backups. */
static void windows(const json_t *report, struct status *status) {
    json_t *list = json_array(), *db;
    int64_t from = 0, until = 0, there = 0, safe = 0;
    bool gap = false;
    size_t i;
    json_array_foreach(look(report, "databases"), i, db) {
        const char *state = look_text(db, "state");
        bool protected = look_bool(db, "protected", false);
        there += strcmp(state, "GONE") != 0;
        safe += protected;
        if (i < WINDOWS_MAX)
            json_array_append_new(list, window_of(db));
        if (!protected || !strcmp(look_text(db, "recoveryModel"), "SIMPLE") || !strcmp(look_text(db, "name"), "master"))
            continue;
        int64_t f = look_time(db, "restorableFromAt"), u = look_time(db, "restorableUntilAt");
        gap = gap || !u;
        if (f > from)
            from = f;
        if (u && (!until || u < until))
            until = u;
    }
    json_object_set_new(status->fresh, "databases", json_integer(look_int(report, "databasesTotal", there)));
    json_object_set_new(status->fresh, "protectedDatabases", json_integer(look_int(report, "databasesProtected", safe)));
    json_object_set_new(status->fresh, "databaseWindows", list);
    if (!gap && from <= until) {
        look_put_time(status->fresh, "earliestRestorableTime", from);
        look_put_time(status->fresh, "latestRestorableTime", until);
    }
}

static void figures(const struct found *found, const json_t *report, struct status *status) {
    json_t *sidecar = json_pack("{s:s}", "pod", kube_name(found->pod));
    look_put_text(sidecar, "version", found->session.version);
    if (found->session.connected)
        look_put_time(sidecar, "connectedSince", found->session.since_at);
    if (found->session.policy_generation)
        json_object_set_new(sidecar, "policyGeneration", json_integer(found->session.policy_generation));
    json_object_set_new(status->fresh, "sidecar", sidecar);
    if (!report)
        return;
    json_t *server = json_object(), *store = json_object();
    look_put_text(server, "version", look_text(report, "sqlServer.version"));
    look_put_text(server, "edition", look_text(report, "sqlServer.edition"));
    look_put_time(server, "startedAt", look_time(report, "sqlServer.startedAt"));
    look_put_text(store, "url", look_text(report, "store.url"));
    json_object_set_new(store, "backups", json_integer(look_int(report, "store.backups", 0)));
    json_object_set_new(store, "bytes", json_integer(look_int(report, "store.storedBytes", 0)));
    json_object_set_new(status->fresh, "server", server);
    json_object_set_new(status->fresh, "store", store);
}

void instance_report(const struct world *world, const struct found *found, struct status *status, struct actions *actions) {
    const json_t *report = found->seen ? found->session.status : NULL;
    if (found->seen)
        figures(found, report, status);
    if (report)
        windows(report, status);
    if (found->outcome == FIND_CONNECTED && report) {
        conditions(report, status);
        return;
    }
    /* away for a moment, or not here yet after the controller began to lead: what was true is not called unknown at once */
    int64_t since = found->seen ? found->session.since_at : world->settings->leading_since_at;
    int64_t end = since + world->settings->reconnect_ms * 1000;
    if (status->old && world->now_at < end) {
        conditions_keep(status);
        actions_requeue(actions, end);
    } else {
        conditions_unknown(status, found);
    }
}
