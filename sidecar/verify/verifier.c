/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/verify/verifier.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "sidecar/instruments.h"
#include "sidecar/verify/damage.h"
#include "sidecar/verify/verifier_int.h"

#define WAITING_MAX 16
#define CLEAN_AGAIN_US (10 * CLOCK_MINUTE)
#define TELL_US (CLOCK_SECOND / 2)

/* ---- how a piece ended ---- */

static void judge(struct verify_run *run, const struct err *why) {
    if (why->class == ERR_NONE) {
        run->verified++;
        return;
    }
    run->failed++;
    if (run->worst.class == ERR_NONE || (why->class == ERR_CORRUPT && run->worst.class != ERR_CORRUPT))
        run->worst = *why;
}

/* The daemon's login need not have the rights for a restore. */
static void advise(const struct agent *agent, struct err *why) {
    if (why->class == ERR_PERMISSION && !sessions_has_admin(agent->sessions))
        err_hint(why, "Or configure an administrator's login for restores: sql.adminUser");
}

/* What was found is remembered; what was known and not found is read again by itself. */
static void note_scrub(struct piece *p) {
    struct agent *agent = p->agent;
    struct err err;
    for (size_t i = 0; i < agent->damage.count; i++)
        if (!strcmp(agent->damage.items[i].folder, p->folder))
            agent->damage.items[i].asked_us = 0;
    for (size_t i = 0; i < p->finding_count; i++)
        if (scrub_kind_is_loss(p->findings[i].is.kind))
            damage_found(agent, p->findings[i].manifest, &p->findings[i].is);
    if (damage_save(agent, &err) < 0)
        log_error(LOG_WARN, &err, "damaged backups could not be written down; the next scrub finds them again", NULL);
}

static void note_trial(struct verifier *v, const struct piece *p, const struct err *why) {
    struct proof *proof = proofs_put(&v->proofs, p->folder);
    struct err err;
    if (!proof || why->class == ERR_CANCELLED)
        return;
    proof_note(proof, &p->trial, why, !p->run->scheduled, clock_wall());
    instruments_trial(v->agent, why);
    if (why->class == ERR_NONE)
        log_event(LOG_INFO, "trial restore: verified", "database", p->name, "scratch", p->trial.scratch, NULL);
    else
        log_error(LOG_ERROR, why, "trial restore: NOT verified", "database", p->name, "scratch", p->trial.scratch, NULL);
    if (proofs_save(&v->proofs, &err) < 0)
        log_error(LOG_WARN, &err, "the result of a trial restore could not be written down", "database", p->name, NULL);
}

static void end_run(struct verifier *v, struct verify_run *run) {
    Mssql__V1__VerifySummary s = MSSQL__V1__VERIFY_SUMMARY__INIT;
    for (struct verify_run **at = &v->runs; *at; at = &(*at)->next)
        if (*at == run) {
            *at = run->next;
            break;
        }
    if (run->at < run->count && run->worst.class == ERR_NONE)
        err_set(&run->worst, ERR_CANCELLED, "cancelled: %zu of %zu databases were not tried", run->count - run->at, run->count);
    s.verified = run->verified;
    s.failed = run->failed;
    s.error_class = (char *)(uintptr_t)(run->worst.class == ERR_NONE ? "" : err_class_name(run->worst.class));
    s.message = run->worst.class == ERR_NONE ? (char *)(uintptr_t) "" : run->worst.text;
    if (run->events.end)
        run->events.end(run->events.user, &s);
    verify_run_free(run);
}

static void piece_ended(struct verifier *v, struct piece *p, struct err *why) {
    struct verify_run *run = p->run;
    advise(v->agent, why);
    bool asked = why->class == ERR_NONE || why->class == ERR_CORRUPT; /* else what looks missing may be the store itself */
    if (p->mode == MSSQL__V1__VERIFY_MODE__VERIFY_MODE_SCRUB && asked)
        note_scrub(p);
    else if (p->mode == MSSQL__V1__VERIFY_MODE__VERIFY_MODE_RESTORE)
        note_trial(v, p, why);
    if (run->events.result) {
        Mssql__V1__VerifyResult *m = result_of(p, why);
        run->events.result(run->events.user, m);
        mssql__v1__verify_result__free_unpacked(m, NULL);
    }
    judge(run, why);
    run->at++;
    piece_free(p);
    if (run->at == run->count || atomic_load(&run->cancel))
        end_run(v, run);
}

static void cleaning_ended(struct verifier *v, struct piece *p) {
    if (p->err.class != ERR_NONE && p->err.class != ERR_CANCELLED)
        log_error(LOG_WARN, &p->err, "what trials of an earlier life left behind could not be looked at; tried again", NULL);
    v->cleaned = p->err.class == ERR_NONE && !p->left;
    v->clean_us = clock_mono_us() + CLEAN_AGAIN_US;
    piece_free(p);
}

static void piece_done(struct pool_item *item) {
    struct piece *p = container_of(item, struct piece, item);
    struct verifier *v = p->agent->verifier;
    v->piece = NULL;
    struct err why = p->err;
    if (atomic_load(&v->stopping)) {
        piece_free(p);
        return;
    }
    if (why.class == ERR_STORE && p->place.store)
        keeper_failed(v->agent->keeper, p->place.store, &why);
    if (!p->run)
        cleaning_ended(v, p);
    else
        piece_ended(v, p, &why);
    scheduler_wake(v->agent);
}

/* ---- what comes next ---- */

static bool submit(struct verifier *v, struct piece *p) {
    p->item.done = piece_done;
    if (!pool_submit(v->pool, &p->item))
        return false;
    v->piece = p;
    return true;
}

static void begin(struct verifier *v, struct verify_run *run) {
    struct piece *p;
    struct err err;
    err_clear(&err);
    if (atomic_load(&run->cancel)) {
        end_run(v, run);
        return;
    }
    int rc = piece_new(v->agent, run, &p, &err);
    if (rc == 0 && !submit(v, p))
        rc = err_set(&err, ERR_BUSY, "the sidecar is stopping");
    if (rc < 0)
        piece_ended(v, p, &err);
}

static bool server_and_store(const struct agent *agent) {
    return agent->server_reachable && keeper_state(agent->keeper)->usable && agent->staging_err.class == ERR_NONE;
}

/* True when a worker is at it. */
static bool clean_first(struct verifier *v) {
    struct piece *p;
    struct err err;
    _cleanup_free_ char *dir = file_join(v->agent->config->paths.state, "trials");
    if (v->cleaned || clock_mono_us() < v->clean_us)
        return false;
    if (!file_exists(dir)) {
        v->cleaned = true;
        return false;
    }
    if (!server_and_store(v->agent))
        return false;
    if (piece_new_cleaning(v->agent, &v->stopping, &p, &err) < 0)
        return false;
    if (submit(v, p))
        return true;
    piece_free(p);
    return false;
}

static void tell(struct verifier *v) {
    struct piece *p = v->piece;
    int64_t now = clock_mono_us();
    if (!p || !p->run || !p->run->events.progress || now - v->told_us < TELL_US)
        return;
    Mssql__V1__VerifyProgress m = MSSQL__V1__VERIFY_PROGRESS__INIT;
    char text[sizeof(p->text)];
    pthread_mutex_lock(&p->lock);
    bool changed = p->changed;
    p->changed = false;
    str_copy(text, sizeof(text), p->text);
    m.done_bytes = p->done_bytes;
    m.total_bytes = p->told_total_bytes;
    pthread_mutex_unlock(&p->lock);
    if (!changed)
        return;
    v->told_us = now;
    m.database = p->name;
    m.text = text;
    p->run->events.progress(p->run->events.user, &m);
}

static void cancel_all(struct verifier *v) {
    for (struct verify_run *run = v->runs; run; run = run->next)
        atomic_store(&run->cancel, true);
}

void verifier_tick(struct agent *agent, int64_t now, int64_t *next_at) {
    struct verifier *v = agent->verifier;
    if (!v->open || !agent->opened)
        return;
    if (agent->draining)
        cancel_all(v);
    tell(v);
    if (v->piece || !agent->recovery_begun || (!agent->draining && clean_first(v)))
        return;
    if (!v->runs && !agent->draining)
        v->runs = round_next(v, now, next_at);
    if (v->runs)
        begin(v, v->runs);
    if (v->runs && !v->piece) /* it could not begin: the next one has its turn at once */
        *next_at = now;
}

bool verifier_busy(const struct agent *agent) {
    return agent->verifier && (agent->verifier->runs || agent->verifier->piece);
}

/* ---- asked ---- */

static int read_target(struct verify_run *run, const char *to, struct err *err) {
    struct guid g;
    if (!*to)
        to = "latest";
    if (!str_starts(to, "random"))
        return chain_target_parse(to, &run->target, err);
    run->random = true;
    guid_random(&g);
    memcpy(&run->seed, g.bytes, sizeof(run->seed));
    run->seed &= (UINT64_C(1) << 53) - 1;
    if (to[6] && (to[6] != ':' || !str_to_u64(to + 7, UINT64_C(1) << 53, &run->seed)))
        return err_set(err, ERR_USAGE, "to: '%.80s' is not random or random:SEED", to);
    return 0;
}

static int read_probes(struct verify_run *run, const Mssql__V1__VerifyRequest *q, struct err *err) {
    run->probes = q->n_probes ? mem_array(q->n_probes, sizeof(*run->probes)) : NULL;
    for (size_t i = 0; i < q->n_probes; i++) {
        const Mssql__V1__VerifyProbe *p = q->probes[i];
        if (!*p->database || !*p->query)
            return err_set(err, ERR_USAGE, "a probe needs a database and a query");
        run->probes[run->probe_count++] = (struct verify_probe){.name = mem_strdup(*p->name ? p->name : p->query),
                                                                .database = mem_strdup(p->database),
                                                                .query = mem_strdup(p->query),
                                                                .at_least = p->at_least};
    }
    return 0;
}

static bool is_system(const char *name) {
    return str_ieq(name, "master") || str_ieq(name, "model") || str_ieq(name, "msdb");
}

static bool wanted(const struct database *db, const Mssql__V1__VerifyRequest *q) {
    bool fits = !q->n_databases && database_wanted(db) && !is_system(db->name);
    for (size_t i = 0; i < q->n_databases && !fits; i++)
        fits = str_glob(q->databases[i], db->name);
    return fits && db->folder[0];
}

static int fill(struct agent *agent, struct verify_run *run, const Mssql__V1__VerifyRequest *q, struct err *err) {
    bool restores = q->mode == MSSQL__V1__VERIFY_MODE__VERIFY_MODE_RESTORE;
    bool scrubs = q->mode == MSSQL__V1__VERIFY_MODE__VERIFY_MODE_SCRUB;
    if (!restores && !scrubs && q->mode != MSSQL__V1__VERIFY_MODE__VERIFY_MODE_SETS)
        return err_set(err, ERR_USAGE, "unknown mode %d", (int)q->mode);
    if ((scrubs && *q->to) || (!restores && (q->check_db || q->n_probes)))
        return err_set(err, ERR_USAGE, "a moment is for restores and sets; a check and probes are for restores only");
    if (read_target(run, q->to, err) < 0 || read_probes(run, q, err) < 0)
        return -1;
    if (restores && !q->n_probes)
        verify_run_take_probes(run, agent->policy);
    run->check = q->check_db;
    run->cancel_on_disconnect = q->cancel_on_disconnect;
    for (size_t i = 0; i < agent->database_count; i++)
        if (wanted(agent->databases[i], q))
            verify_run_add(run, agent->databases[i]);
    if (run->count)
        return 0;
    if (q->n_databases)
        return err_set(err, ERR_NOT_FOUND, "the store has no backup of a database that fits '%.80s'", q->databases[0]);
    return err_set(err, ERR_NOT_FOUND, "the store has no backup of a database of this server");
}

int verifier_ask(struct agent *agent, const Mssql__V1__VerifyRequest *request, const struct verify_events *events,
                 struct verify_run **ret_run, unsigned *ret_waiting, struct err *err) {
    struct verifier *v = agent->verifier;
    unsigned waiting = 0;
    for (const struct verify_run *r = v->runs; r; r = r->next)
        waiting++;
    if (agent->draining)
        return err_set(err, ERR_STATE, "the sidecar is stopping");
    if (waiting >= WAITING_MAX)
        return err_set(err, ERR_LIMIT, "%u verifications wait already", waiting);
    struct verify_run *run = verify_run_new(request->mode), **at = &v->runs;
    if (fill(agent, run, request, err) < 0) {
        verify_run_free(run);
        return -1;
    }
    run->events = *events;
    while (*at)
        at = &(*at)->next;
    *at = run;
    *ret_run = run;
    *ret_waiting = waiting;
    scheduler_wake(agent);
    return 0;
}

char *const *verifier_names(const struct verify_run *run) {
    return run->names;
}

void verifier_detach(struct agent *agent, struct verify_run *run) {
    run->events = (struct verify_events){0};
    if (run->cancel_on_disconnect)
        atomic_store(&run->cancel, true);
    scheduler_wake(agent);
}

/* ---- what is known ---- */

const struct proof *verifier_proof(const struct agent *agent, const char *folder) {
    const struct proof *p = agent->verifier && *folder ? proofs_find(&agent->verifier->proofs, folder) : NULL;
    return p && p->finished_at ? p : NULL;
}

void verifier_sum(const struct agent *agent, struct verifier_sum *ret_sum) {
    struct verifier_sum s = {0};
    for (size_t i = 0; i < agent->database_count; i++) {
        const struct database *db = agent->databases[i];
        const struct proof *p = database_wanted(db) ? verifier_proof(agent, db->folder) : NULL;
        if (!p)
            continue;
        s.tried++;
        s.failed += !p->verified;
        if (!p->verified && !s.failed_proof) {
            s.failed_proof = p;
            s.failed_name = db->name;
        }
        if (p->verified && (!s.oldest_at || p->verified_at < s.oldest_at)) {
            s.oldest_at = p->verified_at;
            s.reached_at = p->verified_reached_at;
        }
    }
    *ret_sum = s;
}

/* ---- life ---- */

static void on_wake(struct ev_loop *loop, ev_async *w, int events) {
    (void)loop, (void)events;
    pool_collect(((struct verifier *)w->data)->pool);
}

static void wake(void *user) {
    struct verifier *v = user;
    ev_async_send(v->agent->loop, &v->wake);
}

void verifier_start(struct agent *agent) {
    struct verifier *v = mem_alloc(sizeof(*v));
    v->agent = agent;
    agent->verifier = v;
    ev_async_init(&v->wake, on_wake);
    v->wake.data = v;
    ev_async_start(agent->loop, &v->wake);
    v->pool = pool_new("verify", 1, 1, wake, v);
}

void verifier_open(struct agent *agent) {
    struct verifier *v = agent->verifier;
    _cleanup_free_ char *path = file_join(agent->config->paths.state, "proof.json");
    proofs_load(&v->proofs, path);
    v->open = true;
}

void verifier_stop(struct agent *agent) {
    struct verifier *v = agent->verifier;
    if (!v)
        return;
    atomic_store(&v->stopping, true);
    cancel_all(v);
    pool_free(v->pool);
    while (v->runs) {
        struct verify_run *run = v->runs;
        v->runs = run->next;
        verify_run_free(run);
    }
    ev_async_stop(agent->loop, &v->wake);
    proofs_done(&v->proofs);
    mem_free(v);
    agent->verifier = NULL;
}
