/* SPDX-License-Identifier: Apache-2.0 */
#include "common/api/digest.h"

#include <stddef.h>

#define FNV_BASIS 14695981039346656037u
#define FNV_PRIME 1099511628211u

static void add_u64(uint64_t *digest, uint64_t value) {
    for (unsigned i = 0; i < 8; i++)
        *digest = (*digest ^ (value >> 8 * i & 0xff)) * FNV_PRIME;
}

static void add_text(uint64_t *digest, const char *text) {
    for (; text && *text; text++)
        *digest = (*digest ^ (uint8_t)*text) * FNV_PRIME;
    *digest = (*digest ^ 0x100) * FNV_PRIME; /* "ab","c" is not "a","bc" */
}

static void add_server(uint64_t *d, const Mssql__V1__SqlServer *s) {
    add_u64(d, s->reachable);
    add_text(d, s->version);
    add_text(d, s->edition);
    add_u64(d, (uint64_t)s->started_at);
    add_text(d, s->login);
}

static void add_policy(uint64_t *d, const Mssql__V1__Policy *p) {
    add_text(d, p->source);
    add_u64(d, (uint64_t)p->generation);
    add_u64(d, (uint64_t)p->applied_at);
    for (size_t i = 0; i < p->n_pauses; i++) {
        add_text(d, p->pauses[i]->database);
        add_text(d, p->pauses[i]->reason);
        add_u64(d, (uint64_t)p->pauses[i]->until_at);
    }
}

uint64_t digest_head(const Mssql__V1__Status *s) {
    uint64_t d = FNV_BASIS;
    if (s->identity) {
        add_text(&d, s->identity->namespace_);
        add_text(&d, s->identity->instance);
        add_text(&d, s->identity->cluster_id);
        add_text(&d, s->identity->epoch);
    }
    add_u64(&d, (uint64_t)s->started_at);
    if (s->sql_server)
        add_server(&d, s->sql_server);
    if (s->store) {
        add_u64(&d, s->store->reachable | s->store->off_volume << 1 | s->store->encrypted << 2);
        add_text(&d, s->store->url);
    }
    if (s->staging)
        add_u64(&d, s->staging->writable);
    if (s->policy)
        add_policy(&d, s->policy);
    for (size_t i = 0; i < s->n_conditions; i++) {
        add_text(&d, s->conditions[i]->type);
        add_u64(&d, s->conditions[i]->status);
        add_text(&d, s->conditions[i]->reason);
    }
    add_u64(&d, s->databases_total);
    add_u64(&d, s->databases_protected);
    for (size_t i = 0; i < s->n_holds; i++)
        add_text(&d, s->holds[i]->id);
    for (size_t i = 0; i < s->n_restores; i++) {
        add_text(&d, s->restores[i]->id);
        add_u64(&d, s->restores[i]->state);
    }
    return d;
}

/* Log backups come and go: only one that did not succeed is news. */
static void add_result(uint64_t *d, const Mssql__V1__LastResult *r) {
    if (r->state == MSSQL__V1__RESULT_STATE__RESULT_STATE_COMPLETED || r->state == MSSQL__V1__RESULT_STATE__RESULT_STATE_QUIET)
        return;
    add_u64(d, r->kind);
    add_u64(d, r->state);
    add_text(d, r->reason);
    add_text(d, r->error_class);
}

uint64_t digest_database(const Mssql__V1__Database *db) {
    uint64_t d = FNV_BASIS;
    const char *const texts[] = {db->name,         db->state,         db->recovery_model, db->unprotected_reason, db->skip_reason,
                                 db->chain_reason, db->chain_by_whom, db->family_guid,    db->database_guid,      db->fork_guid};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        add_text(&d, texts[i]);
    add_u64(&d, db->protected_);
    add_u64(&d, db->chain_state);
    add_u64(&d, db->holes_total);
    add_u64(&d, (uint64_t)db->last_full_at);
    add_u64(&d, (uint64_t)db->last_diff_at);
    add_u64(&d, db->incarnation);
    add_u64(&d, db->restorable_until_at != 0); /* anything at all */
    if (db->last_result)
        add_result(&d, db->last_result);
    return d;
}
