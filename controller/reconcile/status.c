/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/reconcile/status.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "controller/reconcile/look.h"

#define MESSAGE_MAX 4096

static const char *const truths[] = {"Unknown", "True", "False"};

enum truth truth_parse(const char *word) {
    return str_ieq(word, "True") ? TRUTH_TRUE : str_ieq(word, "False") ? TRUTH_FALSE : TRUTH_UNKNOWN;
}

void status_begin(struct status *status, const struct world *world, const char *const *keep) {
    *status = (struct status){.world = world, .old = look(world->object, "status"), .fresh = json_object()};
    for (; keep && *keep; keep++) {
        json_t *value = json_object_get(status->old, *keep);
        if (value)
            json_object_set(status->fresh, *keep, value);
    }
    json_object_set_new(status->fresh, "observedGeneration", json_integer(world->generation));
    json_object_set_new(status->fresh, "conditions", json_array());
}

void status_phase(struct status *status, const char *phase, const char *fmt, ...) {
    char text[MESSAGE_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    json_object_set_new(status->fresh, "phase", json_string(phase));
    json_object_set_new(status->fresh, "message", look_clean(text));
}

const char *status_old_phase(const struct status *status) {
    return look_text(status->old, "phase");
}

static json_t *condition_of(const json_t *conditions, const char *type) {
    size_t i;
    json_t *c;
    json_array_foreach(conditions, i, c) {
        if (!strcmp(look_text(c, "type"), type))
            return c;
    }
    return NULL;
}

const json_t *status_old_condition(const struct status *status, const char *type) {
    return condition_of(look(status->old, "conditions"), type);
}

static void put(struct status *status, const char *type, enum truth truth, const char *reason, json_t *message) {
    const json_t *old = status_old_condition(status, type);
    bool same = old && !strcmp(look_text(old, "status"), truths[truth]);
    /* waiting for something else is another wait, with a time limit of its own */
    if (!strcmp(type, "Waiting") && strcmp(look_text(old, "reason"), reason) != 0)
        same = false;
    int64_t since = same ? look_time(old, "lastTransitionTime") : 0;
    json_t *c = json_pack("{s:s, s:s, s:s, s:o, s:I}", "type", type, "status", truths[truth], "reason", reason, "message",
                          message, "observedGeneration", (json_int_t)status->world->generation);
    look_put_time(c, "lastTransitionTime", since ? since : status->world->now_at);
    json_array_append_new(json_object_get(status->fresh, "conditions"), c);
}

void status_condition(struct status *status, const char *type, enum truth truth, const char *reason, const char *fmt, ...) {
    char text[MESSAGE_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    put(status, type, truth, reason, look_clean(text));
}

void status_condition_keep(struct status *status, const char *type, const char *reason, const char *message) {
    const json_t *old = status_old_condition(status, type);
    if (old)
        put(status, type, truth_parse(look_text(old, "status")), look_text(old, "reason"), look_clean(look_text(old, "message")));
    else
        put(status, type, TRUTH_UNKNOWN, reason, look_clean(message));
}

int64_t status_since(const struct status *status, const char *type, const char *reason) {
    const json_t *old = status_old_condition(status, type);
    int64_t at = old && !strcmp(look_text(old, "reason"), reason) ? look_time(old, "lastTransitionTime") : 0;
    return at ? at : status->world->now_at;
}

void status_end(struct status *status, struct actions *actions) {
    json_t *old = (json_t *)(uintptr_t)status->old;
    if (old && json_equal(old, status->fresh)) {
        json_decref(status->fresh);
    } else {
        json_decref(actions->status);
        actions->status = status->fresh;
    }
    status->fresh = NULL;
}

/* Keys whose values move while nothing happens that anybody must know at once. */
static const char *const moving_keys[] = {
    "earliestRestorableTime",
    "latestRestorableTime",
    "offVolumeUntil",
    "firstLSN",
    "lastLSN",
    "lastLog",
    "lastLogBackupTime",
    "lastAppliedLogTime",
    "progress",
    "backups",
    "bytes",
    "newestManifest",
    "until",
    "lastVerified",
};

/* Conditions of the sidecar whose messages have such figures. */
static const char *const moving_messages[] = {"RPOMet",    "StoreReachable", "LogChainIntact",
                                              "Restoring", "StoreVerified",  "RecoveryVerified"};

static bool listed(const char *const *list, size_t count, const char *word) {
    for (size_t i = 0; i < count; i++)
        if (!strcmp(list[i], word))
            return true;
    return false;
}

static void strip(json_t *value) {
    size_t i;
    json_t *item;
    json_array_foreach(value, i, item) {
        strip(item);
    }
    if (!json_is_object(value))
        return;
    if (listed(moving_messages, ARRAY_LEN(moving_messages), look_text(value, "type")))
        json_object_del(value, "message");
    void *tmp;
    const char *key;
    json_object_foreach_safe(value, tmp, key, item) {
        if (listed(moving_keys, ARRAY_LEN(moving_keys), key))
            json_object_del(value, key);
        else
            strip(item);
    }
}

bool status_urgent(const json_t *old, const json_t *fresh) {
    if (!old)
        return true;
    json_t *a = json_deep_copy(old), *b = json_deep_copy(fresh);
    strip(a);
    strip(b);
    bool urgent = !json_equal(a, b);
    json_decref(a);
    json_decref(b);
    return urgent;
}
