/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/kube/lease.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "controller/kube/backoff.h"
#include "controller/kube/election.h"

#define CALL_TIMEOUT_MS 4000 /* two tries and more before a leader must give up */

struct kube_lease {
    struct kube_lease_options options;
    struct election election;
    char *namespace, *name, *identity, *told; /* told: the last holder that holder() heard of */
    struct kube_call *call;
    ev_timer tick; /* the next thing to do */
    ev_timer limit; /* when our leadership ends unless it is renewed */
    bool fresh; /* election.lease is what the server has, as far as we know */
    bool released;
    int64_t begun_us; /* of the write under way */
    void (*released_fn)(void *user);
    void *released_user;
};

static void set_timer(struct kube_lease *lease, ev_timer *timer, int64_t wait_us) {
    struct ev_loop *ev = lease->options.ev;
    ev_timer_stop(ev, timer);
    ev_now_update(ev);
    ev_timer_set(timer, wait_us > 0 ? (double)wait_us / 1e6 : 0., 0.);
    ev_timer_start(ev, timer);
}

static void tick_later(struct kube_lease *lease) {
    int64_t wait_ms = lease->election.retry_ms;
    if (!lease->election.leading)
        wait_ms += (int64_t)(kube_random() % (uint64_t)(wait_ms / 5 + 1));
    set_timer(lease, &lease->tick, wait_ms * 1000);
}

static void tell_holder(struct kube_lease *lease) {
    const char *holder = election_holder(&lease->election);
    if (lease->told && !strcmp(lease->told, holder))
        return;
    mem_free(lease->told);
    lease->told = mem_strdup(holder);
    if (lease->options.holder && strcmp(holder, lease->identity) != 0)
        lease->options.holder(lease->options.user, holder);
}

static void start(struct kube_lease *lease, const struct kube_op *op,
                  void (*done)(void *user, const struct kube_result *result)) {
    struct kube_op full = *op;
    full.kind = &kube_leases;
    full.namespace = lease->namespace;
    full.timeout_ms = CALL_TIMEOUT_MS;
    lease->begun_us = clock_mono_us();
    lease->call = kube_start(lease->options.client, &full, done, lease);
}

static void write_record(struct kube_lease *lease, bool release, void (*done)(void *user, const struct kube_result *result)) {
    bool exists = lease->election.lease != NULL;
    json_t *body = election_record(&lease->election, lease->namespace, lease->name, clock_wall(), release);
    struct kube_op op = {.verb = exists ? KUBE_UPDATE : KUBE_CREATE, .name = exists ? lease->name : NULL, .body = body};
    start(lease, &op, done);
    json_decref(body);
}

static void on_written(void *user, const struct kube_result *result) {
    struct kube_lease *lease = user;
    lease->call = NULL;
    lease->fresh = !result->err.class;
    int64_t now_us = clock_mono_us(), end_us = lease->begun_us + lease->election.renew_ms * 1000;
    if (lease->fresh && now_us < end_us) { /* an answer that comes too late is no leadership */
        bool news = election_wrote(&lease->election, result->object, lease->begun_us, now_us);
        set_timer(lease, &lease->limit, end_us - now_us);
        tell_holder(lease);
        if (news)
            lease->options.led(lease->options.user);
    } else
        lease->fresh = false;
    tick_later(lease);
}

static void go_on(struct kube_lease *lease) {
    switch (election_next(&lease->election, clock_mono_us())) {
    case ELECTION_TAKE:
    case ELECTION_RENEW:
        write_record(lease, false, on_written);
        break;
    case ELECTION_LOST:
        ev_timer_stop(lease->options.ev, &lease->limit);
        lease->options.lost(lease->options.user);
        tick_later(lease);
        break;
    default:
        tick_later(lease);
    }
}

static void on_read(void *user, const struct kube_result *result) {
    struct kube_lease *lease = user;
    lease->call = NULL;
    if (result->err.class && result->err.class != ERR_NOT_FOUND) {
        tick_later(lease);
        return;
    }
    lease->fresh = true;
    election_saw(&lease->election, result->object, clock_mono_us());
    tell_holder(lease);
    go_on(lease);
}

static void on_tick(struct ev_loop *ev, ev_timer *timer, int events) {
    (void)ev, (void)events;
    struct kube_lease *lease = container_of(timer, struct kube_lease, tick);
    const struct kube_op op = {.verb = KUBE_GET, .name = lease->name};
    if (lease->call)
        return;
    if (lease->election.leading && lease->fresh)
        go_on(lease);
    else
        start(lease, &op, on_read);
}

/* Nobody answered in time. */
static void on_limit(struct ev_loop *ev, ev_timer *timer, int events) {
    (void)ev, (void)events;
    struct kube_lease *lease = container_of(timer, struct kube_lease, limit);
    if (election_next(&lease->election, clock_mono_us()) == ELECTION_LOST) {
        lease->fresh = false;
        lease->options.lost(lease->options.user);
    } else if (lease->election.leading) /* the timer was a little early */
        set_timer(lease, &lease->limit, 1000);
}

struct kube_lease *kube_lease_new(const struct kube_lease_options *options) {
    struct kube_lease *lease = mem_alloc(sizeof(*lease));
    lease->options = *options;
    lease->namespace = mem_strdup(options->namespace);
    lease->name = mem_strdup(options->name);
    lease->identity = mem_strdup(options->identity);
    lease->options.namespace = lease->options.name = lease->options.identity = NULL;
    election_init(&lease->election, lease->identity);
    ev_timer_init(&lease->tick, on_tick, 0., 0.);
    ev_timer_init(&lease->limit, on_limit, 0., 0.);
    set_timer(lease, &lease->tick, 0);
    return lease;
}

bool kube_lease_leading(const struct kube_lease *lease) {
    const struct election *e = &lease->election;
    return e->leading && !lease->released && clock_mono_us() - e->renewed_us < e->renew_ms * 1000;
}

static void on_released(void *user, const struct kube_result *result) {
    struct kube_lease *lease = user;
    (void)result;
    lease->call = NULL;
    lease->released_fn(lease->released_user);
}

void kube_lease_release(struct kube_lease *lease, void (*done)(void *user), void *user) {
    bool leading = kube_lease_leading(lease);
    lease->released = true;
    kube_cancel(lease->call);
    lease->call = NULL;
    ev_timer_stop(lease->options.ev, &lease->tick);
    ev_timer_stop(lease->options.ev, &lease->limit);
    if (!leading) {
        done(user);
        return;
    }
    lease->released_fn = done;
    lease->released_user = user;
    write_record(lease, true, on_released);
}

void kube_lease_free(struct kube_lease *lease) {
    if (!lease)
        return;
    kube_cancel(lease->call);
    ev_timer_stop(lease->options.ev, &lease->tick);
    ev_timer_stop(lease->options.ev, &lease->limit);
    election_done(&lease->election);
    mem_free(lease->namespace);
    mem_free(lease->name);
    mem_free(lease->identity);
    mem_free(lease->told);
    mem_free(lease);
}
