/* SPDX-License-Identifier: Apache-2.0 */
/* Which databases the schedule wants to be tried, one after the other. A round that a restart interrupts goes on. */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "sidecar/job/job.h"
#include "sidecar/pause.h"
#include "sidecar/restore/runs.h"
#include "sidecar/verify/verifier_int.h"

#define ATTEMPTS_MAX 2 /* of one database in a round, when the process dies in the middle */

/* ---- runs ---- */

struct verify_run *verify_run_new(Mssql__V1__VerifyMode mode) {
    struct verify_run *run = mem_alloc(sizeof(*run));
    run->mode = mode;
    run->names = mem_array(1, sizeof(*run->names));
    err_clear(&run->worst);
    return run;
}

void verify_run_add(struct verify_run *run, const struct database *db) {
    run->names = mem_realloc(run->names, (run->count + 2) * sizeof(*run->names));
    run->folders = mem_realloc(run->folders, (run->count + 1) * sizeof(*run->folders));
    run->names[run->count] = mem_strdup(db->name);
    run->folders[run->count++] = mem_strdup(db->folder);
    run->names[run->count] = NULL;
}

void verify_run_take_probes(struct verify_run *run, const struct policy *policy) {
    run->probes = mem_array(policy->probe_count + 1, sizeof(*run->probes));
    for (size_t i = 0; i < policy->probe_count; i++) {
        const struct policy_probe *p = &policy->probes[i];
        run->probes[run->probe_count++] = (struct verify_probe){.name = mem_strdup(p->name),
                                                                .database = mem_strdup(p->database),
                                                                .query = mem_strdup(p->query),
                                                                .at_least = p->at_least};
    }
}

void verify_run_free(struct verify_run *run) {
    for (size_t i = 0; i < run->count; i++) {
        mem_free(run->names[i]);
        mem_free(run->folders[i]);
    }
    for (size_t i = 0; i < run->probe_count; i++) {
        mem_free(run->probes[i].name);
        mem_free(run->probes[i].database);
        mem_free(run->probes[i].query);
    }
    mem_free(run->probes);
    mem_free(run->names);
    mem_free(run->folders);
    mem_free(run);
}

/* ---- the schedule ---- */

/* Backups go before: a trial begins when none of data runs, none waits for the store, and nobody restores. */
static bool may_begin(struct agent *agent, int64_t now) {
    return agent->recovery_begun && agent->server_reachable && keeper_state(agent->keeper)->usable &&
           keeper_catalog(agent->keeper) && agent->staging_err.class == ERR_NONE && !agent->data_running && !agent->requests &&
           !restores_busy(agent) && !job_unshipped(agent, NULL) && !pause_of(agent, NULL, now);
}

static bool is_system(const char *name) {
    return str_ieq(name, "master") || str_ieq(name, "model") || str_ieq(name, "msdb");
}

/* The next one of this round; its attempt is counted. */
static const struct database *choose(struct verifier *v) {
    struct agent *agent = v->agent;
    for (size_t i = 0; i < agent->database_count; i++) {
        const struct database *db = agent->databases[i];
        if (!database_wanted(db) || is_system(db->name) || !db->folder[0] || db->restoring ||
            !policy_verifies(agent->policy, db->name))
            continue;
        struct proof *p = proofs_put(&v->proofs, db->folder);
        bool again = p && p->round == v->proofs.round && p->attempts && p->attempts < ATTEMPTS_MAX;
        if (!p || (p->round == v->proofs.round && !again))
            continue;
        p->attempts = again ? p->attempts + 1 : 1;
        p->round = v->proofs.round;
        return db;
    }
    return NULL;
}

static void poll(struct verifier *v, int64_t now, struct due_answer *ret_answer) {
    const struct policy *policy = v->agent->policy;
    const struct policy_rules *r = &policy->rules;
    const struct due_rule rule = {.enabled = true,
                                  .cron = policy->verify_cron,
                                  .tz = r->tz,
                                  .jitter_us = r->jitter_ms * 1000,
                                  .missed = r->missed,
                                  .blackouts = r->blackouts,
                                  .blackout_count = r->blackout_count,
                                  .seed = due_seed(v->agent->config->identity.instance, "", "verify")};
    char schedule[sizeof(v->schedule)];
    str_format(schedule, sizeof(schedule), "%s %s", policy->verify_schedule, r->time_zone);
    if (!v->due_known)
        due_init(&v->due, v->proofs.round_at, now);
    else if (strcmp(schedule, v->schedule) != 0)
        due_rule_changed(&v->due, now);
    v->due_known = true;
    str_copy(v->schedule, sizeof(v->schedule), schedule);
    due_poll(&rule, &v->due, now, ret_answer);
}

struct verify_run *round_next(struct verifier *v, int64_t now, int64_t *next_at) {
    const struct policy *policy = v->agent->policy;
    struct due_answer answer;
    struct err err;
    if (policy->verify_target != POLICY_VERIFY_LOCAL || !policy->verify_schedule)
        return NULL;
    poll(v, now, &answer);
    if (!answer.due && answer.next_at && answer.next_at < *next_at)
        *next_at = answer.next_at;
    if (clock_mono_us() < v->retry_us || !may_begin(v->agent, now))
        return NULL;
    if (answer.due) {
        due_ran(&v->due, now);
        v->proofs.round++;
        v->proofs.round_at = now;
        log_event(LOG_INFO, "scheduled trial restores begin", NULL);
    }
    const struct database *db = v->proofs.round ? choose(v) : NULL;
    if (!db)
        return NULL;
    if (proofs_save(&v->proofs, &err) < 0) {
        log_error(LOG_WARN, &err, "a trial restore is put off: its beginning cannot be written down", "database", db->name, NULL);
        proofs_find(&v->proofs, db->folder)->round--;
        v->retry_us = clock_mono_us() + CLOCK_MINUTE;
        return NULL;
    }
    struct verify_run *run = verify_run_new(MSSQL__V1__VERIFY_MODE__VERIFY_MODE_RESTORE);
    struct guid g;
    guid_random(&g);
    memcpy(&run->seed, g.bytes, sizeof(run->seed));
    run->seed &= (UINT64_C(1) << 53) - 1; /* what every reader of JSON knows exactly */
    run->scheduled = true;
    run->random = policy->verify_moment == POLICY_MOMENT_RANDOM;
    run->check = policy->verify_check_db;
    verify_run_take_probes(run, policy);
    verify_run_add(run, db);
    return run;
}
