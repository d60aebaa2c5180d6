/* SPDX-License-Identifier: Apache-2.0 */
/* How a run ended: written down, told, remembered for a while. */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/net/proto_json.h"
#include "sidecar/instruments.h"
#include "sidecar/restore/record.h"
#include "sidecar/restore/runs_int.h"

#define ANSWER_BYTES_MAX (64u << 20)
#define LINES_KEPT 100 /* members of a plan, in the answer that is kept */

/* ---- the answer, as it was given: a packed message beside the ticket ---- */

static char *answer_path(const struct run *run) {
    _cleanup_free_ char *folder = ticket_folder(run->agent->config->paths.state, run->ticket.id);
    return file_join(folder, "answer.pb");
}

/* The plan of a thousand logs is worth a thousand lines once. */
static void cut(Mssql__V1__RestoreReport *report) {
    for (size_t i = 0; i < report->n_results; i++) {
        Mssql__V1__RestoreResult *r = report->results[i];
        while (r->n_members > LINES_KEPT)
            mssql__v1__restore_member__free_unpacked(r->members[--r->n_members], NULL);
    }
}

static int write_answer(const struct run *run, const Mssql__V1__RestoreReport *report, struct err *err) {
    _cleanup_free_ char *path = answer_path(run);
    size_t len = mssql__v1__restore_report__get_packed_size(report);
    _cleanup_free_ uint8_t *bytes = mem_array(len + 1, 1);
    mssql__v1__restore_report__pack(report, bytes);
    return file_write_durable(path, bytes, len, 0600, err);
}

int run_answer_load(struct run *run, struct err *err) {
    _cleanup_free_ char *path = answer_path(run), *data = NULL;
    size_t len;
    if (file_read_all(path, ANSWER_BYTES_MAX, &data, &len, err) < 0)
        return -1;
    run->report = mssql__v1__restore_report__unpack(NULL, len, (const uint8_t *)data);
    return run->report ? 0 : err_set(err, ERR_CORRUPT, "%s is not the answer of a restore", path);
}

/* ---- the end ---- */

static void end_work(struct pool_item *item) {
    struct run *run = container_of(item, struct run, work.item);
    struct run_work *w = &run->work;
    struct err err;
    if (w->answer && write_answer(run, w->answer, &err) < 0)
        log_error(LOG_WARN, &err, "the answer of a restore could not be kept", "restore", w->ticket.id, NULL);
    if (w->place.store) {
        json_t *document = w->answer ? proto_json_from(&w->answer->base, true) : NULL;
        if (record_finish(w->place.store, w->place.scope, &w->ticket, json_object_get(document, "results"), &err) < 0)
            log_error(LOG_WARN, &err, "the end of a restore could not be recorded in the store", "restore", w->ticket.id, NULL);
        json_decref(document);
    }
    if (left_read(&w->ticket, run->agent->config->paths.state, &err) < 0)
        log_error(LOG_WARN, &err, "what a restore left behind is not known", "restore", w->ticket.id, NULL);
    if (ticket_file_save(&run->file, &w->ticket, run->agent->config->paths.state, &w->err) < 0)
        log_error(LOG_ERROR, &w->err, "the end of a restore could not be written down; after a restart it is gone on with",
                  "restore", w->ticket.id, NULL);
}

static void tell(const struct run *run) {
    const struct ticket *t = &run->ticket;
    if (t->err.class == ERR_NONE)
        log_event(LOG_INFO, "restore completed", "restore", t->id, "request", t->request_id, NULL);
    else
        log_error(t->err.class == ERR_CANCELLED ? LOG_WARN : LOG_ERROR, &t->err,
                  t->err.class == ERR_CANCELLED ? "restore was cancelled" : "restore failed", "restore", t->id, "request",
                  t->request_id, NULL);
}

static void end_done(struct pool_item *item) {
    struct run *run = container_of(item, struct run, work.item);
    struct agent *agent = run->agent;
    if (run->work.place.store)
        keeper_put_store(agent->keeper, run->work.place.store);
    left_take(&run->ticket, &run->work.ticket);
    ticket_done(&run->work.ticket);
    run->work = (struct run_work){0};
    run->working = false;
    if (atomic_load(&agent->stopping))
        return;
    run->state = RUN_ENDED;
    left_supersede(run);
    tell(run);
    run_tell(run);
    instruments_restored(agent, &run->ticket.err, run->report);
    while (run->watches) {
        struct run_watch *w = run->watches;
        run->watches = w->next;
        if (w->events.end)
            w->events.end(w->events.user, run);
        mem_free(w);
    }
    if (run->report)
        cut(run->report);
    discover_soon(agent);
    scheduler_wake(agent);
}

void run_end(struct run *run) {
    struct agent *agent = run->agent;
    struct run_work *w = &run->work;
    run->state = RUN_ENDING;
    run->working = true;
    run->ticket.ended = true;
    run_ticket_copy(run, &w->ticket);
    err_clear(&w->err);
    w->answer = run->report;
    if (run->ticket.targets.count && keeper_state(agent->keeper)->configured &&
        (w->place.store = keeper_take_store(agent->keeper)))
        memcpy(w->place.scope, agent->scope, sizeof(w->place.scope));
    w->item = (struct pool_item){.work = end_work, .done = end_done};
    if (!restores_submit(agent, RESTORES_ASK, &w->item)) {
        w->item.work(&w->item); /* the queue is full of other small writes: this one is worth the wait */
        end_done(&w->item);
    }
}

/* ---- forgetting ---- */

struct removal {
    struct pool_item item;
    char id[RESTORE_ID_MAX];
    const char *state_dir;
};

static void remove_work(struct pool_item *item) {
    struct removal *r = container_of(item, struct removal, item);
    struct err err;
    if (ticket_remove(r->state_dir, r->id, &err) < 0)
        log_error(LOG_WARN, &err, "the ticket of an old restore could not be removed", "restore", r->id, NULL);
}

static void remove_done(struct pool_item *item) {
    mem_free(container_of(item, struct removal, item));
}

/* Over, nobody listens, nothing of it is to be done any more. */
static bool forgettable(const struct run *run) {
    return run->state == RUN_ENDED && !run->working && !run->saving && !run->dropping && !run->protecting && !run->watches &&
           !run->ticket.protect.count && !ticket_has_copies(&run->ticket) && !left_any(run);
}

void runs_forget_old(struct restores *r) {
    unsigned kept = 0;
    for (struct run **p = &r->runs; *p;) {
        struct run *run = *p;
        kept += forgettable(run);
        if (!forgettable(run) || kept <= RUNS_ENDED_KEPT) {
            p = &run->next;
            continue;
        }
        struct removal *removal = mem_alloc(sizeof(*removal));
        removal->item = (struct pool_item){.work = remove_work, .done = remove_done};
        removal->state_dir = r->agent->config->paths.state;
        memcpy(removal->id, run->ticket.id, sizeof(removal->id));
        if (!restores_submit(r->agent, RESTORES_ASK, &removal->item)) {
            mem_free(removal);
            return; /* later */
        }
        *p = run->next;
        run_free(run);
    }
}
