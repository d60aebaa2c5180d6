/* SPDX-License-Identifier: Apache-2.0 */
/* Verify: what was asked for, its progress and its results as a stream. */
#include "common/base/mem.h"
#include "mssql/v1/sidecar.pb-c.h"
#include "sidecar/rpc/service.h"
#include "sidecar/verify/verifier.h"

struct watch {
    struct agent *agent;
    struct rpc_call *call;
    struct verify_run *run;
};

static void send(struct watch *w, Mssql__V1__VerifyEvent *event) {
    struct err err;
    (void)!rpc_call_send(w->call, &event->base, &err); /* gone or full: on_cancel and the keepalive decide */
}

static void on_progress(void *user, const Mssql__V1__VerifyProgress *progress) {
    struct watch *w = user;
    Mssql__V1__VerifyEvent event = MSSQL__V1__VERIFY_EVENT__INIT;
    if (rpc_call_queued_bytes(w->call) > 64 * 1024)
        return; /* a slow listener loses progress, never a result */
    event.event_case = MSSQL__V1__VERIFY_EVENT__EVENT_PROGRESS;
    event.progress = (Mssql__V1__VerifyProgress *)(uintptr_t)progress; /* packed at once */
    send(w, &event);
}

static void on_result(void *user, const Mssql__V1__VerifyResult *result) {
    Mssql__V1__VerifyEvent event = MSSQL__V1__VERIFY_EVENT__INIT;
    event.event_case = MSSQL__V1__VERIFY_EVENT__EVENT_RESULT;
    event.result = (Mssql__V1__VerifyResult *)(uintptr_t)result;
    send(user, &event);
}

static void on_end(void *user, const Mssql__V1__VerifySummary *summary) {
    struct watch *w = user;
    Mssql__V1__VerifyEvent event = MSSQL__V1__VERIFY_EVENT__INIT;
    event.event_case = MSSQL__V1__VERIFY_EVENT__EVENT_SUMMARY;
    event.summary = (Mssql__V1__VerifySummary *)(uintptr_t)summary;
    send(w, &event);
    rpc_call_end(w->call);
    mem_free(w);
}

static void on_cancel(void *user, struct rpc_call *call) {
    struct watch *w = user;
    if (w->agent->verifier)
        verifier_detach(w->agent, w->run);
    rpc_call_end(call);
    mem_free(w);
}

static void send_accepted(struct watch *w, Mssql__V1__VerifyMode mode, unsigned waiting) {
    Mssql__V1__VerifyAccepted accepted = MSSQL__V1__VERIFY_ACCEPTED__INIT;
    Mssql__V1__VerifyEvent event = MSSQL__V1__VERIFY_EVENT__INIT;
    char *const *names = verifier_names(w->run);
    while (names[accepted.n_databases])
        accepted.n_databases++;
    accepted.databases = (char **)(uintptr_t)names;
    accepted.mode = mode;
    accepted.waiting_for = waiting;
    event.event_case = MSSQL__V1__VERIFY_EVENT__EVENT_ACCEPTED;
    event.accepted = &accepted;
    send(w, &event);
}

void service_verify(void *user, struct rpc_call *call, const ProtobufCMessage *request) {
    struct agent *agent = user;
    const Mssql__V1__VerifyRequest *q = (const void *)request;
    struct err err;
    unsigned waiting;
    if (!service_opened(agent, call) || !service_trusted(call, "a verification"))
        return;
    struct watch *w = mem_alloc(sizeof(*w));
    *w = (struct watch){.agent = agent, .call = call};
    const struct verify_events events = {.progress = on_progress, .result = on_result, .end = on_end, .user = w};
    if (verifier_ask(agent, q, &events, &w->run, &waiting, &err) < 0) {
        rpc_call_fail(call, &err);
        mem_free(w);
        return;
    }
    send_accepted(w, q->mode, waiting);
    rpc_call_on_cancel(call, on_cancel, w);
}
