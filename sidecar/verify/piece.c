/* SPDX-License-Identifier: Apache-2.0 */
/* One database is proven: what the worker does, and what it is given. */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/store/lineage.h"
#include "sidecar/verify/verifier_int.h"

#define STAGING_SHARE 4 /* a trial takes no more of staging than one of so many parts: backups need the rest */
#define SCRUB_BYTES_S (UINT64_C(64) << 20) /* of decoded bytes: somebody waits for it, and backups go on beside it */

/* ---- told while it runs ---- */

static void tell(struct piece *p, uint64_t done_bytes, uint64_t total_bytes, const char *text) {
    pthread_mutex_lock(&p->lock);
    str_copy(p->text, sizeof(p->text), text);
    p->done_bytes = done_bytes;
    p->told_total_bytes = total_bytes;
    p->changed = true;
    pthread_mutex_unlock(&p->lock);
}

static void on_progress(void *user, const struct restore_progress *q) {
    char text[256];
    if (q->message)
        str_format(text, sizeof(text), "%s", q->message);
    else if (q->member)
        str_format(text, sizeof(text), "%s backup %u of %u", backup_kind_name(q->kind), q->member, q->members);
    else
        str_format(text, sizeof(text), "%s", restore_step_name(q->step));
    tell(user, q->applied_bytes, q->total_bytes, text);
}

static void on_log(void *user, const char *id, const char *database, const char *text) {
    (void)user;
    log_event(LOG_DEBUG, text, "trial", id, "database", database ? database : "", NULL);
}

/* ---- SCRUB ---- */

static void on_finding(void *user, const struct scrub_finding *finding) {
    struct piece *p = user;
    p->findings_total++;
    if (p->finding_count == FINDINGS_KEPT)
        return;
    struct verify_finding *f = &p->findings[p->finding_count++];
    f->is = *finding;
    str_copy(f->manifest, sizeof(f->manifest), p->set[0] ? p->set : finding->name);
}

static int take_name(void *user, const struct store_entry *entry, struct err *err) {
    struct piece *p = user;
    (void)err;
    str_copy(p->set, sizeof(p->set), entry->name);
    return 0;
}

static void on_read(void *user, const char *name, uint64_t bytes) {
    struct piece *p = user;
    (void)name, (void)bytes;
    tell(p, p->totals.stored_bytes, p->total_bytes, "reading");
}

static uint64_t losses(const struct scrub_totals *totals) {
    uint64_t lost = 0;
    for (enum scrub_kind kind = 0; kind < SCRUB_KIND_COUNT; kind++)
        lost += scrub_kind_is_loss(kind) ? totals->findings[kind] : 0;
    return lost;
}

/* What looks bad is read twice: bits that were turned on the way here are not in the store. */
static int read_set(struct piece *p, const struct scrub_options *options, struct err *err) {
    const struct scrub_totals before = p->totals;
    const size_t count = p->finding_count;
    const uint64_t total = p->findings_total;
    int rc = store_scrub_set(p->store, p->set, options, &p->totals, err);
    if (rc < 0 || losses(&p->totals) == losses(&before))
        return rc;
    p->totals = before;
    p->finding_count = count;
    p->findings_total = total;
    return store_scrub_set(p->store, p->set, options, &p->totals, err);
}

static int scrub(struct piece *p, struct err *err) {
    struct store_cursor cursor = {0};
    struct lineage lineage;
    const struct scrub_options options = {
        .rate = &p->rate, .cancel = p->cancel, .finding = on_finding, .progress = on_read, .user = p};
    p->findings = mem_array(FINDINGS_KEPT, sizeof(*p->findings));
    while (cursor.kind < BACKUP_KIND_COUNT) {
        p->set[0] = 0;
        if (store_list_manifests(p->store, p->agent->scope, p->folder, &cursor, 1, take_name, p, err) < 0)
            return -1;
        if (p->set[0] && read_set(p, &options, err) < 0)
            return -1;
    }
    p->set[0] = 0;
    if (store_scrub_names(p->store, p->agent->scope, p->folder, NULL, clock_wall(), &options, &p->totals, err) < 0)
        return -1;
    if (p->findings_total && lineage_read(p->store, p->agent->scope, &lineage, err) < 0)
        return err_context(err, "the store itself is away");
    uint64_t lost = losses(&p->totals);
    if (!lost)
        return 0;
    return err_set(err, ERR_CORRUPT, "%llu problem%s in the store", (unsigned long long)lost, lost == 1 ? "" : "s");
}

/* ---- with SQL Server ---- */

static void on_cleaned(void *user, const char *id, const char *scratch, enum trial_cleaned what, const struct err *why) {
    struct piece *p = user;
    struct err none;
    err_clear(&none);
    if (what == TRIAL_CLEANED)
        log_event(LOG_INFO, "scratch database of a trial that had died was dropped", "trial", id, "database", scratch, NULL);
    else if (what == TRIAL_CLEANED_FOREIGN || what == TRIAL_CLEANED_LATER)
        log_error(LOG_WARN, why ? why : &none, "what a trial that had died left behind could not be removed", "trial", id,
                  "database", scratch, NULL);
    p->left += what == TRIAL_CLEANED_LATER;
}

static int with_server(struct piece *p, struct err *err) {
    struct restore_env env;
    if (file_mkdirs(p->place.journal_dir, 0750, err) < 0 || work_place_enter(&p->place, &env, err) < 0)
        return -1;
    env.progress = on_progress;
    env.log = on_log;
    env.cancel = p->cancel;
    env.user = p;
    p->entered = true;
    int rc;
    if (!p->run)
        rc = restore_trial_clean(&env, on_cleaned, p, err);
    else if (p->mode == MSSQL__V1__VERIFY_MODE__VERIFY_MODE_SETS)
        rc = restore_trial_sets(&env, &p->request, &p->sets, err);
    else
        rc = restore_trial(&env, &p->request, &p->trial, err);
    work_place_leave(&p->place);
    return rc;
}

static void work(struct pool_item *item) {
    struct piece *p = container_of(item, struct piece, item);
    struct err err;
    err_clear(&err);
    tell(p, 0, p->total_bytes, "begins");
    if ((p->store ? scrub(p, &err) : with_server(p, &err)) < 0)
        p->err = err;
}

/* ---- on the loop ---- */

static const struct database *database_of(const struct agent *agent, const char *folder) {
    for (size_t i = 0; i < agent->database_count; i++)
        if (!strcmp(agent->databases[i]->folder, folder))
            return agent->databases[i];
    return NULL;
}

static void fill_request(struct piece *p, const struct verify_run *run) {
    p->probes = mem_array(run->probe_count + 1, sizeof(*p->probes));
    p->request = (struct trial_request){.scope = p->agent->scope,
                                        .database = p->folder,
                                        .target = run->target,
                                        .random = run->random,
                                        .seed = run->seed,
                                        .check = run->check,
                                        .probes = p->probes};
    for (size_t i = 0; i < run->probe_count; i++) {
        const struct verify_probe *q = &run->probes[i];
        if (str_glob(q->database, p->name))
            p->probes[p->request.probe_count++] = (struct trial_probe){
                .name = q->name, .query = q->query, .at_least = q->at_least};
    }
}

static struct piece *make(struct agent *agent, struct verify_run *run, const atomic_bool *cancel) {
    struct piece *p = mem_alloc(sizeof(*p));
    p->agent = agent;
    p->run = run;
    p->cancel = cancel;
    p->item.work = work;
    pthread_mutex_init(&p->lock, NULL);
    err_clear(&p->err);
    rate_init(&p->rate, SCRUB_BYTES_S);
    return p;
}

void piece_free(struct piece *p) {
    work_place_done(p->agent, &p->place);
    if (p->store)
        keeper_put_store(p->agent->keeper, p->store);
    trial_result_done(&p->trial);
    trial_sets_done(&p->sets);
    rate_done(&p->rate);
    pthread_mutex_destroy(&p->lock);
    mem_free(p->findings);
    mem_free(p->probes);
    mem_free(p);
}

static int take_place(struct piece *p, struct err *err) {
    _cleanup_free_ char *dir = file_join(p->agent->config->paths.state, "trials");
    if (work_place_init(p->agent, dir, &p->place, err) < 0)
        return -1;
    if (p->place.staging_bytes > STAGING_SHARE)
        p->place.staging_bytes /= STAGING_SHARE;
    return 0;
}

int piece_new(struct agent *agent, struct verify_run *run, struct piece **ret_piece, struct err *err) {
    struct piece *p = make(agent, run, &run->cancel);
    const struct database *db = database_of(agent, run->folders[run->at]);
    str_copy(p->name, sizeof(p->name), run->names[run->at]);
    str_copy(p->folder, sizeof(p->folder), run->folders[run->at]);
    p->mode = run->mode;
    fill_request(p, run);
    int rc = 0;
    if (p->mode != MSSQL__V1__VERIFY_MODE__VERIFY_MODE_SCRUB) {
        rc = take_place(p, err);
    } else {
        p->total_bytes = db ? db->stored_bytes : 0;
        p->store = keeper_take_store(agent->keeper);
        if (!p->store)
            rc = err_set(err, ERR_STORE, "the store is not usable now");
    }
    *ret_piece = p; /* also of one that cannot begin: its result is told */
    return rc;
}

int piece_new_cleaning(struct agent *agent, const atomic_bool *cancel, struct piece **ret_piece, struct err *err) {
    struct piece *p = make(agent, NULL, cancel);
    if (take_place(p, err) < 0) {
        piece_free(p);
        return -1;
    }
    *ret_piece = p;
    return 0;
}
