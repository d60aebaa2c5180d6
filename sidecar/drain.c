/* SPDX-License-Identifier: Apache-2.0 */
/* The orderly end: last logs, everything shipped, or as much of it as the time allows. */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "sidecar/agent.h"
#include "sidecar/job/job.h"
#include "sidecar/request.h"

/* kubelet calls preStop also when only SQL Server's container is restarted: this program then lives on. A server that was not stopped
 * after shutdown.resumeAfter is not going to be. Whoever called may call again (an httpGet cannot say who it is): for four times that
 * long a call takes last logs, but stops nothing any more. */
#define TRUST_AGAIN 4

struct drain {
    struct drain *next;
    struct agent *agent;
    ev_timer timer;
    bool logs; /* last logs are wanted */
    bool logs_waiting; /* and not begun: the server was not looked at yet */
    void (*fn)(void *user, enum drain_end end, unsigned left);
    void *user;
};

static int64_t resume_us(const struct agent *agent) {
    return agent->config->shutdown.resume_ms * 1000;
}

/* The last stop was for nothing, not long ago, and it is still the same server. */
static bool cries_wolf(const struct agent *agent) {
    return agent->false_stop_us && agent->false_stop_server_at == agent->server.started_at &&
           clock_mono_us() - agent->false_stop_us < TRUST_AGAIN * resume_us(agent);
}

static bool logs_under_way(const struct agent *agent) {
    for (const struct request *r = agent->requests; r; r = r->next)
        if (!strcmp(r->trigger, "shutdown"))
            return true;
    return false;
}

static void cancel_data_backups(struct agent *agent) {
    for (size_t i = 0; i < agent->database_count; i++) {
        struct job *job = agent->databases[i]->running[LANE_DATA];
        if (job)
            atomic_store(&job->cancel, true);
    }
}

/* A database that is quiet needs no last log; one that is not gets it. Right after a start the first look has to come before. */
static void last_logs(struct agent *agent, struct drain *d) {
    d->logs_waiting = !agent->recovery_begun;
    if (d->logs_waiting) {
        discover_soon(agent);
        return;
    }
    struct request_spec spec = {.kind = BACKUP_LOG, .trigger = "shutdown", .reason = "last log backup before shutdown"};
    struct request_events none = {0};
    struct request *request;
    struct err err;
    if (agent->server_reachable && !logs_under_way(agent) && request_new(agent, &spec, &none, &request, &err) < 0)
        log_error(LOG_WARN, &err, "last log backups could not be begun", NULL);
}

static void end(struct drain *d, enum drain_end how) {
    struct agent *agent = d->agent;
    for (struct drain **p = &agent->drains; *p; p = &(*p)->next)
        if (*p == d) {
            *p = d->next;
            break;
        }
    ev_timer_stop(agent->loop, &d->timer);
    unsigned left = job_unshipped(agent, NULL);
    if (how == DRAIN_TIME_IS_OVER) {
        char n[16];
        str_format(n, sizeof(n), "%u", left);
        log_event(LOG_WARN, "time is over; what is staged is shipped at the next start", "staged", n, NULL);
    }
    void (*fn)(void *, enum drain_end, unsigned) = d->fn;
    void *user = d->user;
    mem_free(d);
    fn(user, how, left);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int events) {
    (void)loop, (void)events;
    end(w->data, DRAIN_TIME_IS_OVER);
}

void agent_drain(struct agent *agent, bool logs, int64_t timeout_ms, void (*fn)(void *user, enum drain_end end, unsigned left),
                 void *user) {
    struct drain *d = mem_alloc(sizeof(*d));
    d->agent = agent;
    d->fn = fn;
    d->user = user;
    ev_timer_init(&d->timer, on_timer, (double)timeout_ms / 1000.0, 0.);
    d->timer.data = d;
    ev_timer_start(agent->loop, &d->timer);
    d->next = agent->drains;
    agent->drains = d;
    agent->leaving |= !logs;
    for (size_t i = 0; i < agent->database_count; i++)
        for (enum lane lane = 0; lane < LANE_COUNT; lane++)
            agent->databases[i]->ship[lane].retry_us = 0; /* there may be no later */
    if (!agent->draining && logs && cries_wolf(agent)) {
        log_event(LOG_WARN,
                  "asked to stop again, and SQL Server did not stop the last time: last log backups are taken, and backups go on",
                  NULL);
    } else if (!agent->draining) {
        agent->draining = true;
        agent->drained_us = clock_mono_us();
        agent->drained_server_at = agent->server.started_at;
        cancel_data_backups(agent);
        log_event(LOG_INFO, "nothing new begins; shipping what is staged", NULL);
    }
    d->logs = logs;
    if (logs)
        last_logs(agent, d);
    scheduler_wake(agent);
}

void agent_drain_looked(struct agent *agent) {
    for (struct drain *d = agent->drains; d; d = d->next)
        if (d->logs_waiting)
            last_logs(agent, d);
    if (!agent->drained_server_at)
        agent->drained_server_at = agent->server.started_at; /* the first look since the start of this program */
    bool anew = agent->server.started_at && agent->server.started_at != agent->drained_server_at;
    if (!agent->draining || agent->leaving || (!anew && clock_mono_us() - agent->drained_us < resume_us(agent)))
        return;
    agent->draining = false;
    agent->false_stop_us = anew ? 0 : clock_mono_us();
    agent->false_stop_server_at = agent->server.started_at;
    log_event(LOG_WARN, anew ? "SQL Server was started again; backups go on" : "SQL Server was not stopped; backups go on", NULL);
}

void agent_drain_tick(struct agent *agent) {
    struct drain *next;
    for (struct drain *d = agent->drains; d; d = next) {
        next = d->next;
        bool asked = agent->server_err.class != ERR_NONE || agent->staging_err.class != ERR_NONE || !agent->opened;
        if (job_any_running(agent) || (d->logs_waiting && !asked))
            continue;
        end(d, d->logs && (d->logs_waiting || !agent->server_reachable) ? DRAIN_WITHOUT_LOGS : DRAIN_DONE);
    }
}

unsigned agent_drain_waiting(const struct agent *agent) {
    unsigned n = 0;
    for (const struct drain *d = agent->drains; d; d = d->next)
        n++;
    return n;
}

void agent_drain_forget(struct agent *agent, void *user) {
    for (struct drain **p = &agent->drains; *p;) {
        struct drain *d = *p;
        if (user && d->user != user) {
            p = &d->next;
            continue;
        }
        *p = d->next;
        ev_timer_stop(agent->loop, &d->timer);
        mem_free(d);
    }
}
