/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "controller/kube/backoff.h"
#include "controller/kube/cache_int.h"

#define REST_FIRST_MS 500
#define REST_MAX_MS 30000
#define REST_FORBIDDEN_MS 60000 /* a right is granted by people */
#define SHORT_WATCH_US (2 * CLOCK_SECOND)

static void set_text(char **text, const char *value) {
    char *copy = value && *value ? mem_strdup(value) : NULL;
    mem_free(*text);
    *text = copy;
}

static void note_trouble(struct kube_reflector *r, const struct err *err) {
    const struct kube_cache_options *o = &r->cache->options;
    enum err_class class = err ? err->class : ERR_NONE;
    if (class != r->trouble && o->trouble)
        o->trouble(o->user, r->namespace ? r->namespace : "", err);
    r->trouble = class;
}

static void rest(struct kube_reflector *r, int64_t wait_ms) {
    struct ev_loop *ev = r->cache->options.ev;
    ev_timer_stop(ev, &r->timer);
    ev_now_update(ev);
    ev_timer_set(&r->timer, (double)wait_ms / 1e3, 0.);
    ev_timer_start(ev, &r->timer);
}

static void rest_after_failure(struct kube_reflector *r, int64_t retry_after_ms) {
    int64_t wait_ms = kube_backoff_ms(++r->failures, REST_FIRST_MS, REST_MAX_MS, kube_random());
    rest(r, retry_after_ms > wait_ms ? retry_after_ms : wait_ms);
}

static void restarted(const struct kube_reflector *r, const char *why) {
    if (r->cache->options.restarted)
        r->cache->options.restarted(r->cache->options.user, why);
}

static void read_anew(struct kube_reflector *r) {
    set_text(&r->version, NULL);
    set_text(&r->next_page, NULL);
    r->reading_all = false;
}

static void begin_pass(struct kube_reflector *r) {
    if (!r->reading_all)
        r->pass++;
    r->reading_all = true;
}

static int on_event(void *user, const struct kube_event *event) {
    struct kube_reflector *r = user;
    switch (event->type) {
    case KUBE_ERROR:
        r->expired = true; /* 410 or anything else: this watch is of no more use */
        return 1;
    case KUBE_BOOKMARK:
        break;
    case KUBE_DELETED:
        kube_cache_drop(r, event->object);
        break;
    default:
        kube_cache_keep(r, event->object);
    }
    r->failures = 0;
    note_trouble(r, NULL);
    if (!r->initial)
        set_text(&r->version, event->resource_version);
    else if (event->initial_end) { /* versions before it are of single objects: nothing to go on from */
        r->initial = r->reading_all = false;
        set_text(&r->version, event->resource_version);
        kube_cache_sweep(r);
    }
    return 0;
}

/* Servers without streaming lists refuse the options as invalid; one that ignores them ends without the last bookmark. */
static bool stop_streaming(struct kube_reflector *r, const struct kube_result *result) {
    enum err_class class = result->err.class;
    if (!r->initial || r->expired || (class != ERR_NONE && class != ERR_USAGE && class != ERR_UNSUPPORTED))
        return false;
    r->streaming = false;
    return true;
}

static void on_watch_end(void *user, const struct kube_result *result) {
    struct kube_reflector *r = user;
    bool was_short = clock_mono_us() - r->begun_us < SHORT_WATCH_US;
    r->call = NULL;
    if (stop_streaming(r, result)) {
        read_anew(r);
        rest(r, 0);
        return;
    }
    if (r->expired || result->status == 410 || r->initial || result->err.class == ERR_PROTOCOL ||
        result->err.class == ERR_LIMIT) {
        restarted(r, "expired");
        read_anew(r);
    } else
        restarted(r, result->err.class ? "error" : "end");
    if (result->err.class)
        note_trouble(r, &result->err);
    if (result->err.class == ERR_PERMISSION)
        rest(r, REST_FORBIDDEN_MS / 2 + kube_random() % REST_FORBIDDEN_MS);
    else if (result->err.class || r->expired || was_short) /* one that ends at once must not be a hot loop */
        rest_after_failure(r, result->retry_after_ms);
    else
        rest(r, 0);
}

static void watch(struct kube_reflector *r, bool streaming) {
    const struct kube_cache_options *o = &r->cache->options;
    struct kube_op op = {
        .verb = KUBE_WATCH,
        .kind = o->kind,
        .namespace = r->namespace,
        .labels = o->labels,
        .fields = o->fields,
        .resource_version = r->version,
        .streaming = streaming,
        .on_event = on_event,
    };
    r->initial = streaming;
    r->expired = false;
    r->begun_us = clock_mono_us();
    if (streaming)
        begin_pass(r);
    r->call = kube_start(o->client, &op, on_watch_end, r);
}

static void list_failed(struct kube_reflector *r, const struct kube_result *result) {
    if (result->status == 410 && r->next_page) { /* the pages' version is gone: from the first page, or in one piece */
        r->whole = r->failures > 0;
        restarted(r, "expired");
    } else {
        restarted(r, "error");
        note_trouble(r, &result->err);
    }
    read_anew(r);
    if (result->err.class == ERR_PERMISSION)
        rest(r, REST_FORBIDDEN_MS / 2 + kube_random() % REST_FORBIDDEN_MS);
    else
        rest_after_failure(r, result->retry_after_ms);
}

/* ERR_PROTOCOL when something in it cannot be kept. */
static int take_page(struct kube_reflector *r, const json_t *list, struct err *err) {
    const json_t *items = json_object_get(list, "items");
    size_t i;
    json_t *item;
    if (!kube_resource_version(list)[0] || (items && !json_is_array(items) && !json_is_null(items)))
        return err_set(err, ERR_PROTOCOL, "list of %s has no items or no version", r->cache->options.kind->plural);
    json_array_foreach(items, i, item) {
        if (!kube_name(item)[0] || !kube_resource_version(item)[0])
            return err_set(err, ERR_PROTOCOL, "list of %s has an object without name or version", r->cache->options.kind->plural);
        kube_cache_keep(r, item);
    }
    return 0;
}

static void on_page(void *user, const struct kube_result *result) {
    struct kube_reflector *r = user;
    struct kube_result bad = *result;
    r->call = NULL;
    if (!result->err.class && take_page(r, result->object, &bad.err) < 0)
        bad.retry_after_ms = -1;
    if (bad.err.class) {
        list_failed(r, &bad);
        return;
    }
    note_trouble(r, NULL);
    set_text(&r->next_page, json_string_value(json_object_get(json_object_get(result->object, "metadata"), "continue")));
    if (!r->next_page) {
        r->reading_all = r->whole = false;
        r->failures = 0;
        set_text(&r->version, kube_resource_version(result->object));
        kube_cache_sweep(r);
    }
    rest(r, 0);
}

static void list(struct kube_reflector *r) {
    const struct kube_cache_options *o = &r->cache->options;
    struct kube_op op = {
        .verb = KUBE_LIST,
        .kind = o->kind,
        .namespace = r->namespace,
        .labels = o->labels,
        .fields = o->fields,
        .limit = r->whole ? 0 : o->page,
        .cont = r->next_page,
    };
    begin_pass(r);
    r->call = kube_start(o->client, &op, on_page, r);
}

static void on_time(struct ev_loop *ev, ev_timer *timer, int events) {
    (void)ev, (void)events;
    struct kube_reflector *r = container_of(timer, struct kube_reflector, timer);
    if (r->call)
        return;
    if (r->version)
        watch(r, false);
    else if (r->streaming)
        watch(r, true);
    else
        list(r);
}

struct kube_reflector *kube_reflector_new(struct kube_cache *cache, const char *namespace) {
    struct kube_reflector *r = mem_alloc(sizeof(*r));
    *r = (struct kube_reflector){
        .cache = cache, .namespace = namespace ? mem_strdup(namespace) : NULL, .streaming = !cache->options.plain_lists};
    ev_timer_init(&r->timer, on_time, 0., 0.);
    rest(r, 0);
    return r;
}

void kube_reflector_free(struct kube_reflector *r) {
    kube_cancel(r->call);
    ev_timer_stop(r->cache->options.ev, &r->timer);
    mem_free(r->namespace);
    mem_free(r->version);
    mem_free(r->next_page);
    mem_free(r);
}
