/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/job/park.h"

#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "sidecar/job/draft.h"
#include "sidecar/job/flow.h"

#define WHOLE_MAX 4 /* jobs of a queue */

static void append_job(struct ship_queue *q, struct job *job) {
    job->next = NULL;
    if (q->tail)
        q->tail->next = job;
    else
        q->head = job;
    q->tail = job;
    q->jobs++;
}

static bool may_park(const struct job *job) {
    return job->drafted && !job->request && !job->on_finish && !backup_has(&job->set, BACKUP_TAIL);
}

void park_append(struct ship_queue *q, struct job *job) {
    if (!q->parked && (q->jobs < WHOLE_MAX || !may_park(job))) {
        append_job(q, job);
        return;
    }
    struct parked *p = mem_alloc(sizeof(*p));
    *p = (struct parked){.planned_at = job->entry.planned_at, .set = job->set, .journaled = job->journaled, .slot = job->slot};
    str_copy(p->run_id, sizeof(p->run_id), job->entry.run_id);
    if (may_park(job))
        job_free(job);
    else
        p->job = job;
    if (q->parked_tail)
        q->parked_tail->next = p;
    else
        q->parked = p;
    q->parked_tail = p;
    q->parked_count++;
}

/* The draft was there when it was parked. The journal, or the staged file's own header, still tells what it is. */
static void find_out(struct agent *agent, struct database *db, enum lane lane, const struct parked *p, const struct err *err) {
    log_bind("run", p->run_id);
    log_error(LOG_WARN, err, "draft of a staged backup cannot be read any more; its header is read again", NULL);
    log_unbind(1);
    struct journal_entry entry = {.step = JOURNAL_PLANNED,
                                  .kind = p->set.kind,
                                  .stripes = p->set.stripes,
                                  .incarnation = p->set.incarnation,
                                  .planned_at = p->planned_at};
    str_copy(entry.run_id, sizeof(entry.run_id), p->run_id);
    unsigned count;
    struct journal_found *found = p->journaled ? journal_list(agent->journal, &count) : NULL;
    for (unsigned i = 0; found && i < count; i++)
        if (found[i].slot == p->slot)
            entry = found[i].entry;
    mem_free(found);
    entry.incarnation = p->set.incarnation; /* the header may have told another one than was planned */
    job_recover_late(agent, entry.database[0] ? db : databases_find_or_add(agent, ""), lane, &entry, p->journaled, p->slot);
}

static struct job *unpark(struct agent *agent, struct database *db, enum lane lane, const struct parked *p) {
    if (p->job)
        return p->job;
    struct err err;
    struct job *job = job_new(agent, db, lane, "schedule");
    str_copy(job->entry.run_id, sizeof(job->entry.run_id), p->run_id);
    if (draft_load(job, &err) < 0) {
        job_free(job);
        find_out(agent, db, lane, p, &err);
        return NULL;
    }
    job->entry.planned_at = job->begun_at = p->planned_at;
    job->options = scheduler_job_options(agent, db);
    job->set = job->manifest.backup = p->set;
    job->slot = p->slot;
    job->journaled = p->journaled;
    job->resumed = job->drafted = job->taken = true;
    job->outcome = OUTCOME_COMPLETED;
    return job;
}

void park_pop(struct agent *agent, struct database *db, enum lane lane) {
    struct ship_queue *q = &db->ship[lane];
    struct job *first = q->head;
    q->head = first->next;
    if (!q->head)
        q->tail = NULL;
    q->jobs--;
    first->next = NULL;
    while (q->parked && q->jobs < WHOLE_MAX) {
        struct parked *p = q->parked;
        q->parked = p->next;
        if (!q->parked)
            q->parked_tail = NULL;
        q->parked_count--;
        struct job *job = unpark(agent, db, lane, p);
        if (job)
            append_job(q, job);
        mem_free(p);
    }
}

void park_each(const struct ship_queue *q, void (*fn)(void *user, const struct backup *set), void *user) {
    for (const struct job *job = q->head; job; job = job->next)
        fn(user, &job->set);
    for (const struct parked *p = q->parked; p; p = p->next)
        fn(user, &p->set);
}

void park_each_run(const struct ship_queue *q, void (*fn)(void *user, const char *run_id), void *user) {
    for (const struct job *job = q->head; job; job = job->next)
        fn(user, job->entry.run_id);
    for (const struct parked *p = q->parked; p; p = p->next)
        fn(user, p->run_id);
}

bool park_has(const struct ship_queue *q, const char *run_id) {
    for (const struct job *job = q->head; job; job = job->next)
        if (!strcmp(job->entry.run_id, run_id))
            return true;
    for (const struct parked *p = q->parked; p; p = p->next)
        if (!strcmp(p->run_id, run_id))
            return true;
    return false;
}

unsigned park_count(const struct ship_queue *q) {
    return q->jobs + q->parked_count;
}

void park_free(struct ship_queue *q) {
    while (q->head) {
        struct job *job = q->head;
        q->head = job->next;
        job_free(job);
    }
    while (q->parked) {
        struct parked *p = q->parked;
        q->parked = p->next;
        job_free(p->job);
        mem_free(p);
    }
    *q = (struct ship_queue){0};
}
