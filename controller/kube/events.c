/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/kube/events.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "controller/kube/backoff.h"
#include "controller/kube/map.h"

#define SAME_US (10 * CLOCK_MINUTE)
#define PAUSE_US (10 * CLOCK_SECOND)
#define MESSAGE_MAX 1000
#define SAID_MAX 1000 /* Events that may still be added to */

struct said {
    struct kube_events *owner;
    char *key;
    json_t *event; /* the whole object, as it is to be on the server */
    struct kube_call *call;
    bool exists, dirty; /* dirty: counted, but not written */
    json_int_t count;
    int64_t last_us, written_us; /* monotonic */
    struct said *next;
};

struct kube_events {
    struct kube_client *client;
    struct ev_loop *ev;
    const char *component;
    struct kube_map by_key;
    struct said *all;
    ev_timer timer;
};

static void said_free(struct said *said) {
    struct kube_events *events = said->owner;
    struct said **at = &events->all;
    while (*at != said)
        at = &(*at)->next;
    *at = said->next;
    kube_map_remove(&events->by_key, said->key);
    kube_cancel(said->call);
    json_decref(said->event);
    mem_free(said->key);
    mem_free(said);
}

static void set_timer(struct kube_events *events) {
    if (!ev_is_active(&events->timer)) {
        ev_timer_set(&events->timer, (double)PAUSE_US / 1e6, 0.);
        ev_timer_start(events->ev, &events->timer);
    }
}

static void on_written(void *user, const struct kube_result *result) {
    struct said *said = user;
    said->call = NULL;
    if (!result->err.class)
        said->exists = true;
    else if (said->exists && result->err.class == ERR_NOT_FOUND) { /* the server forgets Events after an hour */
        said->exists = false;
        said->dirty = true;
    } else if (!said->exists) { /* not made: the next one tries again, as a new one */
        said_free(said);
        return;
    }
    if (said->dirty)
        set_timer(said->owner);
}

static void write_said(struct said *said) {
    json_t *body = said->event;
    const char *name = NULL;
    if (said->exists) {
        name = kube_name(said->event);
        body = json_pack("{s:O, s:O, s:O}", "count", json_object_get(said->event, "count"), "lastTimestamp",
                         json_object_get(said->event, "lastTimestamp"), "message", json_object_get(said->event, "message"));
    }
    struct kube_op op = {
        .verb = said->exists ? KUBE_PATCH : KUBE_CREATE,
        .kind = &kube_events_kind,
        .namespace = kube_namespace(said->event),
        .name = name,
        .body = body,
    };
    said->dirty = false;
    said->written_us = clock_mono_us();
    said->call = kube_start(said->owner->client, &op, on_written, said);
    if (body != said->event)
        json_decref(body);
}

static void write_if_due(struct said *said, int64_t now_us) {
    if (!said->dirty || said->call)
        return;
    if (!said->written_us || now_us - said->written_us >= PAUSE_US)
        write_said(said);
    else
        set_timer(said->owner);
}

static void on_timer(struct ev_loop *ev, ev_timer *timer, int events) {
    (void)events;
    struct kube_events *owner = container_of(timer, struct kube_events, timer);
    int64_t now_us = clock_mono_us();
    ev_timer_stop(ev, timer);
    for (struct said *said = owner->all, *next; said; said = next) {
        next = said->next;
        write_if_due(said, now_us);
        if (!said->dirty && !said->call && now_us - said->last_us > SAME_US)
            said_free(said);
    }
    if (owner->all)
        set_timer(owner);
}

static json_t *timestamp(void) {
    char text[CLOCK_TEXT_MAX];
    int64_t now = clock_wall();
    return json_string(clock_format(text, now - now % CLOCK_SECOND)); /* metav1.Time: whole seconds */
}

static json_t *event_text(const char *text) {
    json_t *value = json_string(text);
    return value ? value : json_string("(not UTF-8)");
}

static json_t *reference(const json_t *about) {
    json_t *ref = json_pack("{s:s, s:s, s:s}", "name", kube_name(about), "uid", kube_uid(about), "resourceVersion",
                            kube_resource_version(about));
    json_object_set(ref, "apiVersion", json_object_get(about, "apiVersion"));
    json_object_set(ref, "kind", json_object_get(about, "kind"));
    if (kube_namespace(about)[0])
        json_object_set_new(ref, "namespace", json_string(kube_namespace(about)));
    return ref;
}

static json_t *new_event(const struct kube_events *events, const json_t *about, const char *type, const char *reason) {
    const char *namespace = kube_namespace(about)[0] ? kube_namespace(about) : "default";
    _cleanup_free_ char *name = mem_printf("%.200s.%08x%08x", kube_name(about), kube_random(), kube_random());
    json_t *event = json_pack("{s:s, s:s, s:{s:s, s:s}}", "apiVersion", "v1", "kind", "Event", "metadata", "name", name,
                              "namespace", namespace);
    json_object_set_new(event, "involvedObject", reference(about));
    json_object_set_new(event, "type", json_string(type));
    json_object_set_new(event, "reason", json_string(reason));
    json_object_set_new(event, "source", json_pack("{s:s}", "component", events->component));
    json_object_set_new(event, "firstTimestamp", timestamp());
    return event;
}

/* The oldest makes room; one that is being written does not. */
static void make_room(struct kube_events *events) {
    struct said *oldest = NULL;
    for (struct said *said = events->all; said; said = said->next)
        if (!oldest || said->last_us < oldest->last_us)
            oldest = said;
    if (events->by_key.count >= SAID_MAX && oldest)
        said_free(oldest);
}

static struct said *said_new(struct kube_events *events, const char *key, json_t *event) {
    make_room(events);
    struct said *said = mem_alloc(sizeof(*said));
    *said = (struct said){.owner = events, .key = mem_strdup(key), .event = event, .next = events->all};
    events->all = said;
    kube_map_put(&events->by_key, key, said);
    return said;
}

/* Text that was cut may end within a character: its bytes go. */
static void cut_at_character(char *text) {
    size_t len = strlen(text), tail = 0;
    while (tail < len && ((unsigned char)text[len - 1 - tail] & 0xc0) == 0x80)
        tail++;
    unsigned char lead = tail < len ? (unsigned char)text[len - 1 - tail] : 0;
    size_t want = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
    if (tail < want)
        text[len - 1 - tail] = 0;
}

void kube_events_say(struct kube_events *events, const json_t *about, bool warning, const char *reason, const char *message) {
    const char *type = warning ? "Warning" : "Normal";
    int64_t now_us = clock_mono_us();
    char text[MESSAGE_MAX + 1];
    if (!str_copy(text, sizeof(text), message))
        cut_at_character(text);
    _cleanup_free_ char *key = mem_printf("%s|%s|%s", kube_uid(about), type, reason);
    struct said *said = kube_map_get(&events->by_key, key);
    if (said && now_us - said->last_us > SAME_US && !said->call) {
        said_free(said);
        said = NULL;
    }
    if (!said)
        said = said_new(events, key, new_event(events, about, type, reason));
    said->last_us = now_us;
    said->dirty = true;
    json_object_set_new(said->event, "count", json_integer(++said->count));
    json_object_set_new(said->event, "lastTimestamp", timestamp());
    json_object_set_new(said->event, "message", event_text(text));
    write_if_due(said, now_us);
}

struct kube_events *kube_events_new(struct kube_client *client, struct ev_loop *ev, const char *component) {
    struct kube_events *events = mem_alloc(sizeof(*events));
    *events = (struct kube_events){.client = client, .ev = ev, .component = component};
    kube_map_init(&events->by_key);
    ev_timer_init(&events->timer, on_timer, 0., 0.);
    return events;
}

void kube_events_free(struct kube_events *events) {
    if (!events)
        return;
    while (events->all)
        said_free(events->all);
    ev_timer_stop(events->ev, &events->timer);
    kube_map_done(&events->by_key);
    mem_free(events);
}
