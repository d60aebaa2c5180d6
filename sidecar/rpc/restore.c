/* SPDX-License-Identifier: Apache-2.0 */
/* RunRestore and ResumeRestore as streams, CancelRestore, KeepRestore. */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "mssql/v1/sidecar.pb-c.h"
#include "sidecar/restore/message.h"
#include "sidecar/restore/runs.h"
#include "sidecar/rpc/service.h"
#include "sidecar/status.h"

bool service_trusted(struct rpc_call *call, const char *what) {
    struct err err;
    if (!strncmp(rpc_call_peer(call), "unix:", 5) || *rpc_call_peer_name(call))
        return true;
    err_set(&err, ERR_PERMISSION, "%s needs to know who asks", what);
    err_hint(&err, "Use the Unix socket, or a listener with grpc.tls.clientCa and a certificate of your own");
    rpc_call_fail(call, &err);
    return false;
}

/* Who asks, for people. */
static const char *who(struct rpc_call *call) {
    const char *name = rpc_call_peer_name(call);
    return *name ? name : rpc_call_peer(call);
}

/* ---- RunRestore ---- */

struct watch {
    struct agent *agent;
    struct rpc_call *call;
    struct run *run;
    bool joined;
};

static void send(struct watch *w, Mssql__V1__RunRestoreEvent *event) {
    struct err err;
    (void)!rpc_call_send(w->call, &event->base, &err); /* gone or full: on_cancel and the keepalive decide */
}

static void send_accepted(struct watch *w) {
    Mssql__V1__RestoreAccepted accepted = MSSQL__V1__RESTORE_ACCEPTED__INIT;
    Mssql__V1__RunRestoreEvent event = MSSQL__V1__RUN_RESTORE_EVENT__INIT;
    accepted.request_id = (char *)(uintptr_t)run_request_id(w->run); /* packed at once */
    accepted.restore_id = (char *)(uintptr_t)run_id(w->run);
    accepted.joined = w->joined;
    event.event_case = MSSQL__V1__RUN_RESTORE_EVENT__EVENT_ACCEPTED;
    event.accepted = &accepted;
    send(w, &event);
}

static void on_progress(void *user, const Mssql__V1__RestoreProgress *progress) {
    struct watch *w = user;
    Mssql__V1__RunRestoreEvent event = MSSQL__V1__RUN_RESTORE_EVENT__INIT;
    if (rpc_call_queued_bytes(w->call) > 64 * 1024)
        return; /* a slow listener loses progress, never a result */
    event.event_case = MSSQL__V1__RUN_RESTORE_EVENT__EVENT_PROGRESS;
    event.progress = (Mssql__V1__RestoreProgress *)(uintptr_t)progress;
    send(w, &event);
}

static void send_results(struct watch *w, const Mssql__V1__RestoreReport *report, Mssql__V1__RestoreSummary *summary) {
    for (size_t i = 0; report && i < report->n_results; i++) {
        Mssql__V1__RunRestoreEvent event = MSSQL__V1__RUN_RESTORE_EVENT__INIT;
        event.event_case = MSSQL__V1__RUN_RESTORE_EVENT__EVENT_RESULT;
        event.result = report->results[i];
        send(w, &event);
        summary->completed += report->results[i]->step == MSSQL__V1__RESTORE_STEP__RESTORE_STEP_FINISHED;
        summary->cancelled += report->results[i]->step == MSSQL__V1__RESTORE_STEP__RESTORE_STEP_CANCELLED;
        summary->failed += report->results[i]->step == MSSQL__V1__RESTORE_STEP__RESTORE_STEP_FAILED;
    }
}

static void on_end(void *user, const struct run *run) {
    struct watch *w = user;
    const struct err *why = run_error(run);
    const Mssql__V1__RestoreReport *report = run_report(run);
    Mssql__V1__RestoreSummary summary = MSSQL__V1__RESTORE_SUMMARY__INIT;
    Mssql__V1__RunRestoreEvent event = MSSQL__V1__RUN_RESTORE_EVENT__INIT;
    Mssql__V1__Check **checks = mem_array(report ? report->n_checks + 1 : 1, sizeof(*checks));
    send_results(w, report, &summary);
    for (size_t i = 0; report && i < report->n_checks; i++)
        if (report->checks[i]->state != MSSQL__V1__CHECK_STATE__CHECK_STATE_PASSED)
            checks[summary.n_checks++] = report->checks[i];
    summary.checks = checks;
    summary.error_class = (char *)(uintptr_t)(why->class == ERR_NONE ? "" : err_class_name(why->class));
    summary.message = (char *)(uintptr_t)(why->class == ERR_NONE ? "" : why->text);
    event.event_case = MSSQL__V1__RUN_RESTORE_EVENT__EVENT_SUMMARY;
    event.summary = &summary;
    send(w, &event);
    mem_free(checks);
    rpc_call_end(w->call);
    mem_free(w);
}

static void on_cancel(void *user, struct rpc_call *call) {
    struct watch *w = user;
    restores_unwatch(w->agent, w->run, w);
    rpc_call_end(call);
    mem_free(w);
}

static void on_begun(void *user, const struct run *run, const struct err *err) {
    struct watch *w = user;
    (void)run;
    if (err->class == ERR_NONE) {
        send_accepted(w);
        return;
    }
    rpc_call_fail(w->call, err);
    mem_free(w);
}

/* The run is begun or joined: it is told from here on. What is accepted is durable. */
static void follow(struct watch *w) {
    if (run_durable(w->run))
        send_accepted(w);
    if (run_state(w->run) == RUN_ENDED) {
        on_end(w, w->run);
        return;
    }
    struct run_events events = {.begun = on_begun, .progress = on_progress, .end = on_end, .user = w};
    restores_watch(w->run, &events);
    rpc_call_on_cancel(w->call, on_cancel, w);
}

void service_run_restore(void *user, struct rpc_call *call, const ProtobufCMessage *request) {
    struct agent *agent = user;
    const Mssql__V1__RunRestoreRequest *q = (const void *)request;
    struct err err;
    if (!service_opened(agent, call) || !service_trusted(call, "a restore"))
        return;
    struct run_spec spec = {
        .spec = q->spec,
        .request_id = q->request_id,
        .reason = q->reason,
        .by = who(call),
        .expires_at = q->expires_at,
        .expires_in_us = q->expires_in_seconds < INT64_MAX / CLOCK_SECOND ? q->expires_in_seconds * CLOCK_SECOND : INT64_MAX / 2,
        .cancel_on_disconnect = q->cancel_on_disconnect,
    };
    struct watch *w = mem_alloc(sizeof(*w));
    *w = (struct watch){.agent = agent, .call = call};
    if (restores_begin(agent, &spec, &w->run, &w->joined, &err) < 0) {
        rpc_call_fail(call, &err);
        mem_free(w);
        return;
    }
    follow(w);
}

/* ---- the others ---- */

static struct run *find(struct agent *agent, struct rpc_call *call, const char *id) {
    struct err err;
    struct run *run = *id ? restores_find(agent, id) : NULL;
    if (run)
        return run;
    if (*id)
        err_set(&err, ERR_NOT_FOUND, "there is no restore '%s'", id);
    else
        err_set(&err, ERR_USAGE, "name the restore");
    rpc_call_fail(call, &err);
    return NULL;
}

void service_resume_restore(void *user, struct rpc_call *call, const ProtobufCMessage *request) {
    struct agent *agent = user;
    const Mssql__V1__ResumeRestoreRequest *q = (const void *)request;
    struct err err;
    struct run *run;
    if (!service_opened(agent, call) || !service_trusted(call, "going on with a restore") || !(run = find(agent, call, q->id)))
        return;
    struct watch *w = mem_alloc(sizeof(*w));
    *w = (struct watch){.agent = agent, .call = call, .run = run};
    if (restores_resume(agent, run, q->cancel_on_disconnect, &w->joined, &err) < 0) {
        rpc_call_fail(call, &err);
        mem_free(w);
        return;
    }
    follow(w);
}

void service_cancel_restore(void *user, struct rpc_call *call, const ProtobufCMessage *request) {
    struct agent *agent = user;
    const Mssql__V1__CancelRestoreRequest *q = (const void *)request;
    struct err err;
    struct run *run;
    if (!service_opened(agent, call) || !service_trusted(call, "ending a restore") || !(run = find(agent, call, q->id)))
        return;
    if (restores_cancel(agent, run, &err) < 0) {
        rpc_call_fail(call, &err);
        return;
    }
    Mssql__V1__CancelRestoreResponse *r = mem_alloc(sizeof(*r));
    mssql__v1__cancel_restore_response__init(r);
    r->restore = run_message(run, false);
    rpc_call_reply(call, &r->base);
    mssql__v1__cancel_restore_response__free_unpacked(r, NULL);
}

struct keep {
    struct agent *agent;
    struct rpc_call *call;
};

static void kept(void *user, struct run *run, const struct err *err) {
    struct keep *k = user;
    if (k->agent->rpc && err->class != ERR_NONE)
        rpc_call_fail(k->call, err);
    if (k->agent->rpc && err->class == ERR_NONE) {
        Mssql__V1__KeepRestoreResponse *r = mem_alloc(sizeof(*r));
        mssql__v1__keep_restore_response__init(r);
        r->restore = run_message(run, false);
        rpc_call_reply(k->call, &r->base);
        mssql__v1__keep_restore_response__free_unpacked(r, NULL);
    }
    mem_free(k);
}

void service_keep_restore(void *user, struct rpc_call *call, const ProtobufCMessage *request) {
    struct agent *agent = user;
    const Mssql__V1__KeepRestoreRequest *q = (const void *)request;
    struct err err;
    struct run *run;
    if (!service_opened(agent, call) || !service_trusted(call, "keeping a copy") || !(run = find(agent, call, q->id)))
        return;
    struct keep *k = mem_alloc(sizeof(*k));
    *k = (struct keep){agent, call};
    if (restores_keep(agent, run, q->database, q->expires_at, kept, k, &err) < 0) {
        rpc_call_fail(call, &err);
        mem_free(k);
    }
}
