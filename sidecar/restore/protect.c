/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes after a restore: a restored database has begun a new history, and until its first full backup nothing of it
 * can be restored. Where there are a policy that wants it and a store, one is taken at once, until one is committed.
 */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "sidecar/job/job.h"
#include "sidecar/request.h"
#include "sidecar/restore/runs_int.h"

#define AGAIN_US (30 * CLOCK_SECOND)
#define FAILURES_MAX 10 /* then schedule and healing have it */

static bool expires(const struct run *run) {
    return run->ticket.expires_at || run->ticket.expires_in_us;
}

static bool wanted(const struct run *run, const char *database) {
    enum policy_scope scope;
    (void)policy_for_database(run->agent->policy, database, &scope);
    return scope == POLICY_IN && keeper_state(run->agent->keeper)->configured && !expires(run) &&
           run->ticket.request.finish == RESTORE_FINISH_RECOVER;
}

/* What becomes of the backups of a restored database, in a sentence. mem_free() it. */
static char *text_of(struct run *run, const char *database) {
    if (run->ticket.request.finish != RESTORE_FINISH_RECOVER)
        return mem_strdup("not backed up: it is not recovered");
    if (expires(run))
        return mem_strdup("not backed up: it is a copy that goes by itself");
    if (wanted(run, database))
        return mem_strdup(run->agent->policy->dry_run ? "the policy is a dry run: no backup is taken"
                                                      : "a full backup follows at once");
    return mem_strdup("not backed up: the policy does not want it");
}

void protect_note(struct run *run, const struct restore_report *report) {
    for (size_t i = 0; i < report->count; i++) {
        const struct restore_result *r = &report->results[i];
        Mssql__V1__RestoreResult *m = run->report && i < run->report->n_results ? run->report->results[i] : NULL;
        if (r->step != RESTORE_FINISHED)
            continue;
        if (m) {
            if (m->protection && *m->protection)
                mem_free(m->protection);
            m->protection = text_of(run, r->target);
        }
        if (wanted(run, r->target) && !run->agent->policy->dry_run)
            ticket_names_add(&run->ticket.protect, r->target);
    }
}

/* ---- the backup ---- */

static struct run_protect *tries_of(struct run *run, const char *database) {
    for (size_t i = 0; i < run->protect_count; i++)
        if (!strcmp(run->protect[i].database, database))
            return &run->protect[i];
    run->protect = mem_realloc(run->protect, (run->protect_count + 1) * sizeof(*run->protect));
    struct run_protect *t = &run->protect[run->protect_count++];
    *t = (struct run_protect){0};
    str_copy(t->database, sizeof(t->database), database);
    return t;
}

static void on_result(void *user, struct request_item *item, const struct job *job) {
    struct run *run = user;
    if (job->outcome == OUTCOME_COMPLETED) {
        log_event(LOG_INFO, "restored database has its first full backup", "restore", run->ticket.id, "database", item->db->name,
                  NULL);
        ticket_names_remove(&run->ticket.protect, item->db->name);
        run_save(run, NULL, NULL);
        return;
    }
    struct run_protect *tries = tries_of(run, item->db->name);
    tries->failed++;
    tries->next_us = clock_mono_us() + AGAIN_US;
    log_error(LOG_WARN, &job->err, "the first full backup of a restored database was not taken yet", "restore", run->ticket.id,
              "database", item->db->name, "reason", job->reason, NULL);
}

static void on_end(void *user, struct request *request) {
    struct run *run = user;
    (void)request;
    run->protecting = false;
    scheduler_wake(run->agent); /* the next one's turn */
}

/* Seen by the look that came after its end, and nothing else stands against a backup. */
static bool ready(const struct run *run, const struct database *db) {
    return db && db->present && !db->restoring && db->server_known && db->server.online && db->tips_known &&
           db->looked_at > run->ticket.finished_at;
}

static void drop_unwanted(struct run *run) {
    size_t before = run->ticket.protect.count;
    for (size_t i = run->ticket.protect.count; i-- > 0;) {
        const char *name = run->ticket.protect.items[i];
        char gone[SQL_NAME_MAX];
        if (wanted(run, name) && tries_of(run, name)->failed < FAILURES_MAX)
            continue;
        memcpy(gone, name, sizeof(gone));
        ticket_names_remove(&run->ticket.protect, gone);
    }
    if (run->ticket.protect.count != before)
        run_save(run, NULL, NULL);
}

static void ask(struct run *run, char *name) {
    struct request_spec spec = {.kind = BACKUP_FULL,
                                .trigger = "restore",
                                .reason = "first full backup after a restore",
                                .databases = &name,
                                .database_count = 1};
    struct request_events events = {.result = on_result, .end = on_end, .user = run};
    struct request *request;
    struct err err;
    run->protecting = request_new(run->agent, &spec, &events, &request, &err) == 0;
    if (run->protecting)
        return;
    log_error(LOG_WARN, &err, "the first full backup of a restored database could not be asked for", "database", name, NULL);
    tries_of(run, name)->next_us = clock_mono_us() + AGAIN_US;
}

/* One after the other, in turn: one that cannot be backed up does not use up the others' tries. */
void protect_tick(struct run *run, int64_t now) {
    (void)now;
    if (run->state != RUN_ENDED || !run->ticket.protect.count || run->protecting || run->agent->draining)
        return;
    drop_unwanted(run);
    size_t count = run->ticket.protect.count;
    for (size_t i = 0; i < count; i++) {
        size_t turn = (run->protect_turn + i) % count;
        char *name = run->ticket.protect.items[turn];
        if (!ready(run, databases_find(run->agent, name)) || tries_of(run, name)->next_us > clock_mono_us())
            continue;
        run->protect_turn = (unsigned)turn + 1;
        ask(run, name);
        return;
    }
}
