/* SPDX-License-Identifier: Apache-2.0 */
/* The tick: which databases are not to be touched, and the next step of every run. */
#include "common/base/clock.h"
#include "common/base/str.h"
#include "sidecar/restore/runs_int.h"

static bool is_copy(const struct restores *r, const char *name) {
    for (const struct run *run = r->runs; run; run = run->next)
        for (size_t i = 0; i < run->ticket.copy_count; i++) {
            const struct ticket_copy *c = &run->ticket.copies[i];
            if (c->expires_at && !c->dropped_at && str_ieq(c->database, name))
                return true;
        }
    return false;
}

static bool is_target(const struct restores *r, const char *name) {
    for (const struct run *run = r->runs; run; run = run->next)
        if (run->state != RUN_ENDED && ticket_names_has(&run->ticket.targets, name))
            return true;
    return false;
}

static void mark(struct agent *agent, struct database *db) {
    struct restores *r = agent->restores;
    bool restoring = is_target(r, db->name);
    if (db->restoring && !restoring) {
        db->looked_at = 0; /* whatever was known is of before */
        db->quiet_until_at = 0;
        db->memory.quiet_end_lsn = (struct lsn){0}; /* LSNs repeat on the new fork */
        discover_soon(agent);
    }
    db->restoring = restoring;
    db->copy = is_copy(r, db->name);
    r->marked += db->restoring || db->copy;
}

void restores_tick(struct agent *agent, int64_t now) {
    struct restores *r = agent->restores;
    if (!r || (!r->runs && !r->marked))
        return;
    for (struct run *run = r->runs; run; run = run->next) {
        run_step(run, now);
        copies_tick(run, now);
        protect_tick(run, now);
    }
    r->marked = 0;
    for (size_t i = 0; i < agent->database_count; i++)
        mark(agent, agent->databases[i]);
    for (struct run *run = r->runs; run; run = run->next)
        if (run->state == RUN_CLEARING)
            run_step(run, now); /* with the marks of this tick nothing new begins */
    runs_forget_old(r);
}

bool restores_busy(const struct agent *agent) {
    for (const struct run *run = agent->restores ? agent->restores->runs : NULL; run; run = run->next)
        if (run->state != RUN_ENDED)
            return true;
    return false;
}

size_t restores_fault_points(const char **names, size_t max) {
    size_t n = 0, count;
    for (const char *const *p = ticket_fault_points(); *p && n < max; p++)
        names[n++] = *p;
    const char *const *engine = restore_fault_points(&count);
    for (size_t i = 0; i < count && n < max; i++)
        names[n++] = engine[i];
    if (n < max)
        names[n++] = "store.small.rename"; /* the record of an executed request */
    return n;
}
