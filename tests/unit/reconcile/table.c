/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/reconcile/table.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "controller/reconcile/look.h"
#include "controller/reconcile/status.h"

/* ---- a world from JSON ---- */

static bool listed(const json_t *list, const char *key) {
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item) {
        if (!strcmp(json_string_value(item), key))
            return true;
    }
    return false;
}

static enum world_known get(void *user, enum world_kind kind, const char *namespace, const char *name,
                            const json_t **ret_object) {
    const json_t *world = user;
    char key[600];
    snprintf(key, sizeof(key), "%s/%s/%s", world_kind_of(kind)->kind, namespace, name);
    *ret_object = json_object_get(json_object_get(world, "there"), key);
    if (*ret_object)
        return WORLD_THERE;
    if (listed(json_object_get(world, "unread"), key))
        return WORLD_UNREAD;
    return listed(json_object_get(world, "forbidden"), key) ? WORLD_FORBIDDEN : WORLD_ABSENT;
}

static void each(void *user, enum world_kind kind, const char *namespace, void (*fn)(void *fn_user, const json_t *object),
                 void *fn_user) {
    const char *key;
    json_t *object;
    char prefix[300];
    snprintf(prefix, sizeof(prefix), "%s/%s%s", world_kind_of(kind)->kind, namespace ? namespace : "", namespace ? "/" : "");
    json_object_foreach(json_object_get(user, "there"), key, object) {
        if (!strncmp(key, prefix, strlen(prefix)))
            fn(fn_user, object);
    }
    /* the object itself is one of its kind, as in a cache */
    const json_t *self = json_object_get(user, "object");
    if (!strcmp(look_text(self, "kind"), world_kind_of(kind)->kind) && (!namespace || !strcmp(kube_namespace(self), namespace)))
        fn(fn_user, self);
}

static bool session(void *user, const char *pod_uid, struct world_session *ret) {
    const json_t *s = json_object_get(json_object_get(user, "sessions"), pod_uid);
    if (!s)
        return false;
    *ret = (struct world_session){
        .connected = look_bool(s, "connected", true),
        .since_at = look_time(s, "since"),
        .pod_uid = pod_uid,
        .version = look_text(s, "version"),
        .status = look(s, "status"),
        .policy_uid = look_text(s, "policyUid"),
        .policy_generation = look_int(s, "policyGeneration", 0),
        .refused_uid = look_text(s, "refusedUid"),
        .refused_generation = look_int(s, "refusedGeneration", 0),
        .policy_error = look_text(s, "policyError"),
    };
    return true;
}

static bool command(void *user, const char *id, struct world_command *ret) {
    const json_t *c = json_object_get(json_object_get(user, "commands"), id);
    const char *state = look_text(c, "state");
    *ret = (struct world_command){
        .state = !strcmp(state, "done")      ? WORLD_COMMAND_DONE
                 : !strcmp(state, "running") ? WORLD_COMMAND_RUNNING
                                             : WORLD_COMMAND_PENDING,
        .pod_uid = *look_text(c, "pod") ? look_text(c, "pod") : "p1",
        .moved_at = look_time(c, "moved"),
        .progress = look(c, "progress"),
        .result = look(c, "result"),
    };
    return c != NULL;
}

/* ---- what came out ---- */

static const char *name_of(const json_t *item) {
    static const char *const keys[] = {"type", "database", "name"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (*look_text(item, keys[i]))
            return look_text(item, keys[i]);
    return NULL;
}

static bool within(const json_t *want, const json_t *got);

static bool list_within(const json_t *want, const json_t *got) {
    size_t i, k;
    json_t *w, *g;
    json_array_foreach(want, i, w) {
        const char *name = json_is_object(w) ? name_of(w) : NULL;
        bool found = false;
        json_array_foreach(got, k, g) {
            if (name ? (name_of(g) && !strcmp(name_of(g), name)) : k == i)
                found = found || within(w, g);
        }
        if (!found)
            return false;
    }
    return json_array_size(want) > 0 || json_array_size(got) == 0;
}

/* "~text": the text contains it. null: the key is absent. */
static bool within(const json_t *want, const json_t *got) {
    if (json_is_null(want))
        return !got;
    if (json_is_string(want) && *json_string_value(want) == '~')
        return json_is_string(got) && strstr(json_string_value(got), json_string_value(want) + 1);
    if (json_is_array(want))
        return json_is_array(got) && list_within(want, got);
    if (!json_is_object(want))
        return got && json_equal((json_t *)(uintptr_t)want, (json_t *)(uintptr_t)got);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)want, key, value) {
        if (!within(value, json_object_get(got, key)))
            return false;
    }
    return json_is_object(got);
}

static bool actions_within(const json_t *want, const json_t *got) {
    size_t at = 0, i;
    json_t *w;
    json_array_foreach(want, i, w) {
        while (at < json_array_size(got) && !within(w, json_array_get(got, at)))
            at++;
        if (at++ >= json_array_size(got))
            return false;
    }
    return true;
}

static bool none_within(const json_t *unwanted, const json_t *got) {
    size_t i, k;
    json_t *w, *g;
    json_array_foreach(unwanted, i, w) {
        json_array_foreach(got, k, g) {
            if (within(w, g))
                return false;
        }
    }
    return true;
}

static void complain(const char *table, const char *title, const char *what, const json_t *want, const json_t *out) {
    char *w = want ? json_dumps(want, JSON_ENCODE_ANY | JSON_SORT_KEYS) : NULL;
    char *g = json_dumps(out, JSON_INDENT(1) | JSON_SORT_KEYS);
    fprintf(stderr, "%s: %s: %s\n  want %s\n  got %s\n", table, title, what, w ? w : "-", g);
    free(w);
    free(g);
}

static int check(const char *table, const char *title, const json_t *expect, const json_t *out, const json_t *object) {
    const char *what = NULL, *key;
    json_t *want;
    json_object_foreach((json_t *)(uintptr_t)expect, key, want) {
        const json_t *status = json_object_get(out, "status"), *actions = json_object_get(out, "actions");
        bool good = !strcmp(key, "status")      ? within(want, status)
                    : !strcmp(key, "actions")   ? actions_within(want, actions)
                    : !strcmp(key, "absent")    ? none_within(want, actions)
                    : !strcmp(key, "same")      ? json_is_true(want) == !status
                    : !strcmp(key, "urgent")    ? json_is_true(want) == status_urgent(look(object, "status"), status)
                    : !strcmp(key, "requeueAt") ? within(want, json_object_get(out, key))
                                                : false;
        if (!good) {
            what = key;
            complain(table, title, what, want, out);
        }
    }
    return what != NULL;
}

static void settings_of(const json_t *world, struct world_settings *ret) {
    const json_t *s = look(world, "settings");
    *ret = (struct world_settings){
        .provisioning = look_bool(s, "provisioning", false),
        .service_dns = "cluster.local",
        .leading_since_at = look_time(s, "leadingSince"),
        .reconnect_ms = look_duration_ms(s, "reconnect", 60000),
        .missing_ms = look_duration_ms(s, "missing", 120000),
        .no_progress_ms = look_duration_ms(s, "noProgress", 600000),
    };
}

/* Takes the world. */
static int run_case(const char *table, json_t *world, const json_t *c, reconcile_fn *reconcile) {
    static const struct world_ops ops = {get, each, session, command};
    struct world_settings settings;
    settings_of(world, &settings);
    struct world w = {.ops = &ops,
                      .user = world,
                      .settings = &settings,
                      .now_at = look_time(world, "now"),
                      .object = json_object_get(world, "object")};
    world_begin(&w);
    struct actions actions;
    actions_init(&actions);
    json_t *before = json_deep_copy(world);
    reconcile(&w, &actions);
    json_t *out = actions_to_json(&actions);
    const char *title = look_text(c, "title");
    int failed = check(table, title, json_object_get(c, "expect"), out, w.object);
    if (!json_equal(before, world)) {
        complain(table, title, "the world was changed", NULL, out);
        failed = 1;
    }
    json_decref(before);
    json_decref(out);
    actions_done(&actions);
    json_decref(world);
    return failed;
}

/* Merge patches say "there is none" with null; jansson's update does not, so that nulls are taken out here. */
static void drop_nulls(json_t *value) {
    void *tmp;
    const char *key;
    json_t *item;
    json_object_foreach_safe(value, tmp, key, item) {
        if (json_is_null(item))
            json_object_del(value, key);
        else
            drop_nulls(item);
    }
}

int table_run(const char *name, reconcile_fn *reconcile) {
    char path[512];
    json_error_t error;
    snprintf(path, sizeof(path), "%s/reconcile/%s.json", getenv("TEST_DATA"), name);
    json_t *table = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!table) {
        fprintf(stderr, "%s:%d: %s\n", path, error.line, error.text);
        return 1;
    }
    int failed = 0;
    size_t i;
    json_t *c;
    json_array_foreach(json_object_get(table, "cases"), i, c) {
        json_t *base = json_deep_copy(json_object_get(table, "base"));
        const json_t *patch = json_object_get(c, "world");
        if (patch)
            json_object_update_recursive(base, (json_t *)(uintptr_t)patch);
        drop_nulls(base);
        failed += run_case(name, base, c, reconcile);
    }
    if (i < 3) {
        fprintf(stderr, "%s has only %zu cases\n", path, i);
        failed++;
    }
    json_decref(table);
    return failed;
}
