/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives the Kubernetes client: one JSON command per line on stdin, one JSON answer per line on stdout. Ends with stdin.
 *
 *     kubeprobe KUBECONFIG [QPS BURST SILENCE_MS WATCH_S]
 *     {"id": "1", "verb": "list", "kind": {"group": "", "version": "v1", "kind": "Pod", "plural": "pods", "namespaced": true}, ...}
 *     {"id": "2", "cache": true, "kind": {...}, "namespaces": [...], "page": 100, "plain": true}
 *     {"keys": "2"}
 *     {"id": "3", "lease": true, "namespace": "lab", "name": "lead", "identity": "a"}
 *     {"release": "3"}
 *     {"say": "Reason", "about": {...}, "message": "...", "warning": true}
 *     {"cancel": "1"}
 */
#include <ev.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "controller/kube/cache.h"
#include "controller/kube/events.h"
#include "controller/kube/lease.h"

struct running {
    char *id;
    json_t *command; /* the texts of the operation */
    struct kube_kind kind;
    struct kube_call *call;
    struct kube_cache *cache;
    struct kube_lease *lease;
    const char *namespaces[8];
    struct running *next;
};

static struct kube_client *client;
static struct running *all; /* kept until the end: kinds must live as long as the client */
static struct kube_events *teller;
static struct buf input;

static void say(json_t *line) {
    char *text = json_dumps(line, JSON_COMPACT);
    puts(text);
    fflush(stdout);
    mem_free(text);
    json_decref(line);
}

static void die(const struct err *err) {
    say(json_pack("{s:s, s:s}", "class", err_class_name(err->class), "error", err->text));
    exit(err_class_exit(err->class));
}

static void on_done(void *user, const struct kube_result *result) {
    struct running *r = user;
    r->call = NULL;
    say(json_pack("{s:s, s:s, s:s, s:i, s:s, s:O?, s:I}", "id", r->id, "class", err_class_name(result->err.class), "error",
                  result->err.class ? result->err.text : "", "status", (int)result->status, "reason", result->reason, "object",
                  result->object, "retry_after_ms", (json_int_t)result->retry_after_ms));
}

static int on_event(void *user, const struct kube_event *event) {
    struct running *r = user;
    say(json_pack("{s:s, s:i, s:s, s:s, s:b, s:i}", "id", r->id, "event", (int)event->type, "name", kube_name(event->object),
                  "version", event->resource_version, "initial_end", event->initial_end, "code", event->code));
    return json_is_true(json_object_get(r->command, "stop")) ? 1 : 0;
}

static const char *text(const json_t *object, const char *key) {
    return json_string_value(json_object_get(object, key));
}

static enum kube_verb verb_of(const char *name) {
    static const char *const names[] = {"get", "list", "watch", "create", "update", "apply", "patch", "delete"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (!strcmp(names[i], name))
            return (enum kube_verb)i;
    abort();
}

static void hook_exchanged(void *user, const char *verb, const char *resource, unsigned code, double seconds) {
    (void)user, (void)seconds;
    say(json_pack("{s:s, s:s, s:i}", "exchanged", verb, "resource", resource, "code", (int)code));
}

static void hook_forbidden(void *user, const char *verb, const char *resource, const char *namespace, const struct err *err) {
    (void)user;
    say(json_pack("{s:s, s:s, s:s, s:s}", "forbidden", verb, "resource", resource, "namespace", namespace, "error",
                  err ? err->text : ""));
}

static struct running *keep(json_t *command) {
    const json_t *kind = json_object_get(command, "kind");
    struct running *r = mem_alloc(sizeof(*r));
    *r = (struct running){.id = mem_strdup(text(command, "id")), .command = json_incref(command), .next = all};
    r->kind = (struct kube_kind){text(kind, "group"), text(kind, "version"), text(kind, "kind"), text(kind, "plural"),
                                 json_is_true(json_object_get(kind, "namespaced"))};
    all = r;
    return r;
}

static void start(json_t *command) {
    struct running *r = keep(command);
    struct kube_op op = {
        .verb = verb_of(text(command, "verb")),
        .kind = &r->kind,
        .namespace = text(command, "namespace"),
        .name = text(command, "name"),
        .subresource = text(command, "subresource"),
        .body = json_object_get(command, "body"),
        .force = json_is_true(json_object_get(command, "force")),
        .uid = text(command, "uid"),
        .labels = text(command, "labels"),
        .fields = text(command, "fields"),
        .limit = (unsigned)json_integer_value(json_object_get(command, "limit")),
        .cont = text(command, "continue"),
        .resource_version = text(command, "version"),
        .streaming = json_is_true(json_object_get(command, "streaming")),
        .timeout_ms = (unsigned)json_integer_value(json_object_get(command, "timeout_ms")),
    };
    op.on_event = op.verb == KUBE_WATCH ? on_event : NULL;
    r->call = kube_start(client, &op, on_done, r);
}

static void cache_changed(void *user, enum kube_event_type type, const json_t *object) {
    const struct running *r = user;
    say(json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:b}", "id", r->id, "changed", (int)type, "namespace", kube_namespace(object),
                  "name", kube_name(object), "uid", kube_uid(object), "kind", json_string_value(json_object_get(object, "kind")),
                  "managed", json_object_get(json_object_get(object, "metadata"), "managedFields") != NULL));
    const json_t *now = kube_cache_get(r->cache, kube_namespace(object), kube_name(object));
    if (type != KUBE_DELETED && now != object)
        abort(); /* a handler sees the cache as it is after the change */
}

static void cache_synced(void *user) {
    const struct running *r = user;
    say(json_pack("{s:s, s:i}", "id", r->id, "synced", (int)kube_cache_count(r->cache)));
}

static void cache_trouble(void *user, const char *namespace, const struct err *err) {
    const struct running *r = user;
    say(json_pack("{s:s, s:s, s:s, s:s}", "id", r->id, "trouble", err ? err_class_name(err->class) : "none", "namespace",
                  namespace, "error", err ? err->text : ""));
}

static void cache_restarted(void *user, const char *why) {
    const struct running *r = user;
    say(json_pack("{s:s, s:s}", "id", r->id, "restarted", why));
}

static void start_cache(json_t *command) {
    struct running *r = keep(command);
    const json_t *namespaces = json_object_get(command, "namespaces");
    for (size_t i = 0; i < json_array_size(namespaces) && i + 1 < ARRAY_LEN(r->namespaces); i++)
        r->namespaces[i] = json_string_value(json_array_get(namespaces, i));
    struct kube_cache_options options = {
        .client = client,
        .ev = ev_default_loop(0),
        .kind = &r->kind,
        .namespaces = namespaces ? r->namespaces : NULL,
        .labels = text(command, "labels"),
        .fields = text(command, "fields"),
        .page = (unsigned)json_integer_value(json_object_get(command, "page")),
        .objects_max = (unsigned)json_integer_value(json_object_get(command, "max")),
        .plain_lists = json_is_true(json_object_get(command, "plain")),
        .user = r,
        .changed = cache_changed,
        .synced = cache_synced,
        .trouble = cache_trouble,
        .restarted = cache_restarted,
    };
    r->cache = kube_cache_new(&options);
}

static void add_key(void *user, json_t *object) {
    json_array_append_new(user, json_string(kube_name(object)));
}

static void say_keys(const char *id) {
    for (struct running *r = all; r; r = r->next)
        if (!strcmp(r->id, id)) {
            json_t *keys = json_array();
            kube_cache_each(r->cache, add_key, keys);
            say(json_pack("{s:s, s:o, s:b}", "id", id, "keys", keys, "ready", kube_cache_synced(r->cache)));
        }
}

static void say_lease(const struct running *r, const char *what) {
    say(json_pack("{s:s, s:s, s:b}", "id", r->id, "lease", what, "leading", kube_lease_leading(r->lease)));
}

static void lease_led(void *user) {
    say_lease(user, "led");
}

static void lease_lost(void *user) {
    say_lease(user, "lost");
}

static void lease_released(void *user) {
    say_lease(user, "released");
}

static void lease_holder(void *user, const char *identity) {
    const struct running *r = user;
    say(json_pack("{s:s, s:s}", "id", r->id, "holder", identity));
}

static void start_lease(json_t *command) {
    struct running *r = keep(command);
    struct kube_lease_options options = {
        .client = client,
        .ev = ev_default_loop(0),
        .namespace = text(command, "namespace"),
        .name = text(command, "name"),
        .identity = text(command, "identity"),
        .user = r,
        .led = lease_led,
        .lost = lease_lost,
        .holder = lease_holder,
    };
    r->lease = kube_lease_new(&options);
}

static void release(const char *id) {
    for (struct running *r = all; r; r = r->next)
        if (!strcmp(r->id, id))
            kube_lease_release(r->lease, lease_released, r);
}

static void take(const char *line, size_t len) {
    json_t *command = json_loadb(line, len, 0, NULL);
    const char *cancel = text(command, "cancel");
    if (!command)
        abort();
    if (cancel) {
        for (struct running *r = all; r; r = r->next)
            if (!strcmp(r->id, cancel)) {
                kube_cancel(r->call);
                r->call = NULL;
                kube_cache_free(r->cache);
                r->cache = NULL;
            }
    } else if (text(command, "say"))
        kube_events_say(teller, json_object_get(command, "about"), json_is_true(json_object_get(command, "warning")),
                        text(command, "say"), text(command, "message"));
    else if (text(command, "release"))
        release(text(command, "release"));
    else if (json_is_true(json_object_get(command, "lease")))
        start_lease(command);
    else if (text(command, "keys"))
        say_keys(text(command, "keys"));
    else if (json_is_true(json_object_get(command, "cache")))
        start_cache(command);
    else
        start(command);
    json_decref(command);
}

static void on_input(struct ev_loop *ev, ev_io *io, int events) {
    (void)events;
    char data[65536], *end;
    ssize_t n = read(io->fd, data, sizeof(data));
    if (n <= 0) {
        ev_io_stop(ev, io);
        ev_break(ev, EVBREAK_ALL);
        return;
    }
    if (!buf_append(&input, data, (size_t)n))
        abort();
    while ((end = memchr(input.data, '\n', input.len))) {
        size_t len = (size_t)(end - input.data);
        take(input.data, len);
        buf_consume(&input, len + 1);
    }
}

static double number(int argc, char **argv, int n) {
    double value = 0;
    if (argc > n && !str_to_double(argv[n], &value))
        abort();
    return value;
}

int main(int argc, char **argv) {
    struct kube_config config;
    struct err err = {0};
    ev_io io;
    struct ev_loop *ev = ev_default_loop(0);
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2)
        return 2;
    if (kube_config_load(argv[1], NULL, &config, &err) < 0)
        die(&err);
    struct kube_client_options options = {
        .ev = ev,
        .config = &config,
        .qps = number(argc, argv, 2),
        .burst = (unsigned)number(argc, argv, 3),
        .silence_ms = (unsigned)number(argc, argv, 4),
        .watch_s = (unsigned)number(argc, argv, 5),
        .answer_max_bytes = 16 << 20,
        .line_max_bytes = 100000,
        .hooks = {.exchanged = hook_exchanged, .forbidden = hook_forbidden},
    };
    if (kube_client_new(&options, &client, &err) < 0)
        die(&err);
    teller = kube_events_new(client, ev, "kubeprobe");
    buf_init(&input, 16 << 20);
    ev_io_init(&io, on_input, 0, EV_READ);
    ev_io_start(ev, &io);
    ev_run(ev, 0);
    for (struct running *r = all; r; r = r->next) {
        kube_cache_free(r->cache);
        kube_lease_free(r->lease);
    }
    kube_events_free(teller);
    kube_client_free(client);
    while (all) {
        struct running *r = all;
        all = r->next;
        json_decref(r->command);
        mem_free(r->id);
        mem_free(r);
    }
    kube_config_done(&config);
    buf_done(&input);
    ev_loop_destroy(ev);
    return 0;
}
