/* SPDX-License-Identifier: Apache-2.0 */
/* RunBackup: a request, its progress and its results as a stream. */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "mssql/v1/sidecar.pb-c.h"
#include "sidecar/job/job.h"
#include "sidecar/request.h"
#include "sidecar/rpc/service.h"
#include "sidecar/status.h"

struct watch {
    struct agent *agent;
    struct rpc_call *call;
    struct request *request;
};

/* A slow listener loses progress, never a result: those are few, and the queue is empty when they come or the client is not reading
 * at all and is cut. */
static void send(struct watch *w, Mssql__V1__RunBackupEvent *event) {
    struct err err;
    (void)!rpc_call_send(w->call, &event->base, &err); /* gone or full: on_cancel and the keepalive decide */
}

static void on_progress(void *user, struct request_item *item) {
    static const Mssql__V1__JobPhase phases[JOB_PHASE_COUNT] = {
        [JOB_QUEUED] = MSSQL__V1__JOB_PHASE__JOB_PHASE_QUEUED,         [JOB_TAKING] = MSSQL__V1__JOB_PHASE__JOB_PHASE_TAKING,
        [JOB_INSPECTING] = MSSQL__V1__JOB_PHASE__JOB_PHASE_INSPECTING, [JOB_SHIPPING] = MSSQL__V1__JOB_PHASE__JOB_PHASE_SHIPPING,
        [JOB_COMMITTING] = MSSQL__V1__JOB_PHASE__JOB_PHASE_COMMITTING, [JOB_DONE] = MSSQL__V1__JOB_PHASE__JOB_PHASE_DONE,
    };
    struct watch *w = user;
    if (rpc_call_queued_bytes(w->call) > 64 * 1024)
        return;
    const struct job_progress *p = &item->job->progress;
    Mssql__V1__BackupProgress progress = MSSQL__V1__BACKUP_PROGRESS__INIT;
    progress.database = item->db->name;
    progress.kind = item->any_kind ? MSSQL__V1__BACKUP_KIND__BACKUP_KIND_UNSPECIFIED : message_kind(item->kind);
    progress.phase = phases[atomic_load(&p->phase)];
    progress.percent = atomic_load(&p->percent);
    progress.done_bytes = atomic_load(&p->done_bytes);
    progress.total_bytes = atomic_load(&p->total_bytes);
    progress.started_at = item->job->begun_at;
    Mssql__V1__RunBackupEvent event = MSSQL__V1__RUN_BACKUP_EVENT__INIT;
    event.event_case = MSSQL__V1__RUN_BACKUP_EVENT__EVENT_PROGRESS;
    event.progress = &progress;
    send(w, &event);
}

static void on_result(void *user, struct request_item *item, const struct job *job) {
    struct watch *w = user;
    Mssql__V1__BackupResult *r = mem_alloc(sizeof(*r));
    mssql__v1__backup_result__init(r);
    bool taken = job->entry.run_id[0] != 0;
    r->database = mem_strdup(item->db->name);
    r->run_id = mem_strdup(job->entry.run_id);
    r->kind = taken            ? message_kind(job->entry.kind)
              : item->any_kind ? MSSQL__V1__BACKUP_KIND__BACKUP_KIND_UNSPECIFIED
                               : message_kind(item->kind);
    r->state = status_outcome(job->outcome);
    bool done = job->outcome == OUTCOME_COMPLETED, moved = done && item->why[0];
    bool other_kind = done && job->decision.action == CHAIN_ACTION_TAKE && job->decision.escalated;
    r->reason = mem_strdup(moved ? item->why_reason : other_kind ? chain_reason_word(job->decision.reason) : job->reason);
    r->message = mem_strdup(moved ? item->why : other_kind ? job->decision.text : job->err.text);
    r->error_class = mem_strdup(job->err.class == ERR_NONE ? "" : err_class_name(job->err.class));
    r->sql_error = job->err.sql_number;
    r->duration_ms = (clock_wall() - job->begun_at) / 1000;
    if (job->outcome == OUTCOME_COMPLETED)
        r->backup = message_backup(&job->set, item->db->name);
    Mssql__V1__RunBackupEvent event = MSSQL__V1__RUN_BACKUP_EVENT__INIT;
    event.event_case = MSSQL__V1__RUN_BACKUP_EVENT__EVENT_RESULT;
    event.result = r;
    send(w, &event);
    mssql__v1__backup_result__free_unpacked(r, NULL);
}

static void on_end(void *user, struct request *request) {
    struct watch *w = user;
    Mssql__V1__BackupSummary summary = MSSQL__V1__BACKUP_SUMMARY__INIT;
    summary.completed = request->outcomes[OUTCOME_COMPLETED];
    summary.skipped = request->outcomes[OUTCOME_SKIPPED] + request->outcomes[OUTCOME_QUIET];
    summary.deferred = request->outcomes[OUTCOME_DEFERRED];
    summary.failed = request->outcomes[OUTCOME_FAILED];
    Mssql__V1__RunBackupEvent event = MSSQL__V1__RUN_BACKUP_EVENT__INIT;
    event.event_case = MSSQL__V1__RUN_BACKUP_EVENT__EVENT_SUMMARY;
    event.summary = &summary;
    send(w, &event);
    rpc_call_end(w->call);
    mem_free(w);
}

static void on_cancel(void *user, struct rpc_call *call) {
    struct watch *w = user;
    request_detach(w->agent, w->request);
    rpc_call_end(call);
    mem_free(w);
}

static void send_accepted(struct watch *w) {
    Mssql__V1__BackupAccepted *a = mem_alloc(sizeof(*a));
    mssql__v1__backup_accepted__init(a);
    a->request_id = mem_strdup(w->request->id);
    for (unsigned i = 0; i < w->request->count; i++) {
        const struct request_item *item = &w->request->items[i];
        Mssql__V1__BackupPlanned *p = mem_alloc(sizeof(*p));
        mssql__v1__backup_planned__init(p);
        p->database = mem_strdup(item->db->name);
        p->kind = item->any_kind ? MSSQL__V1__BACKUP_KIND__BACKUP_KIND_UNSPECIFIED : message_kind(item->kind);
        p->copy_only = item->copy_only;
        p->why = mem_strdup(item->any_kind ? "what the chain needs" : "requested");
        STATUS_APPEND(a, planned, p);
    }
    Mssql__V1__RunBackupEvent event = MSSQL__V1__RUN_BACKUP_EVENT__INIT;
    event.event_case = MSSQL__V1__RUN_BACKUP_EVENT__EVENT_ACCEPTED;
    event.accepted = a;
    send(w, &event);
    mssql__v1__backup_accepted__free_unpacked(a, NULL);
}

static int spec_of(const Mssql__V1__RunBackupRequest *q, struct request_spec *spec, struct err *err) {
    *spec = (struct request_spec){
        .id = q->request_id,
        .reason = q->reason,
        .trigger = "request",
        .databases = q->databases,
        .database_count = q->n_databases,
        .copy_only = q->copy_only,
        .force = true,
        .cancel_on_disconnect = q->cancel_on_disconnect,
    };
    switch (q->kind) {
    case MSSQL__V1__BACKUP_KIND__BACKUP_KIND_UNSPECIFIED:
        spec->any_kind = true;
        break;
    case MSSQL__V1__BACKUP_KIND__BACKUP_KIND_FULL:
        spec->kind = BACKUP_FULL;
        break;
    case MSSQL__V1__BACKUP_KIND__BACKUP_KIND_DIFF:
        spec->kind = BACKUP_DIFF;
        break;
    case MSSQL__V1__BACKUP_KIND__BACKUP_KIND_LOG:
        spec->kind = BACKUP_LOG;
        break;
    default:
        return err_set(err, ERR_USAGE, "unknown kind of backup %d", (int)q->kind);
    }
    if (q->copy_only && (spec->any_kind || spec->kind == BACKUP_DIFF))
        return err_set(err, ERR_USAGE, "copy-only is for full and log backups: name the kind");
    return 0;
}

void service_run_backup(void *user, struct rpc_call *call, const ProtobufCMessage *request) {
    struct agent *agent = user;
    const Mssql__V1__RunBackupRequest *q = (const void *)request;
    if (!service_opened(agent, call))
        return;
    struct request_spec spec;
    struct err err;
    struct request *known = *q->request_id ? request_find(agent, q->request_id) : NULL;
    struct watch *w = mem_alloc(sizeof(*w));
    *w = (struct watch){.agent = agent, .call = call};
    struct request_events events = {.progress = on_progress, .result = on_result, .end = on_end, .user = w};
    if (known && !known->events.end) {
        known->events = events; /* it is under way and nobody listens: join */
        w->request = known;
    } else if (known) {
        err_set(&err, ERR_CONFLICT, "request '%s' is under way and somebody listens to it", q->request_id);
        rpc_call_fail(call, &err);
        mem_free(w);
        return;
    } else if (spec_of(q, &spec, &err) < 0 || request_new(agent, &spec, &events, &w->request, &err) < 0) {
        rpc_call_fail(call, &err);
        mem_free(w);
        return;
    }
    rpc_call_on_cancel(call, on_cancel, w);
    send_accepted(w);
}
