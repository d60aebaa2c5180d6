/* SPDX-License-Identifier: Apache-2.0 */
/* ListBackups and GetChain: what the catalog says. */
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "mssql/v1/sidecar.pb-c.h"
#include "sidecar/rpc/service.h"
#include "sidecar/status.h"

#define PAGE_DEFAULT 100
#define PAGE_MAX 500

struct listed {
    const char *database;
    struct backup set;
    struct catalog_note note;
};

/* What only the catalog knows of a set. */
static Mssql__V1__Backup *with_note(Mssql__V1__Backup *m, const struct catalog_note *note, enum backup_kind kind) {
    char run_id[CATALOG_RUN_ID_MAX];
    mem_free(m->run_id == protobuf_c_empty_string ? NULL : m->run_id);
    mem_free(m->reason == protobuf_c_empty_string ? NULL : m->reason);
    m->run_id = mem_strdup(catalog_run_id(run_id, note, kind));
    m->reason = mem_strdup(note->reason);
    return m;
}

/* The set's note, when the catalog has it. */
static void add_note(const struct catalog *catalog, uint32_t id, Mssql__V1__Backup *m) {
    struct catalog_entry e;
    struct guid set;
    struct err ignored;
    if (m && guid_parse(m->set_guid, &set) && catalog_find(catalog, id, &set, &e, &ignored) == 0)
        with_note(m, &e.note, e.backup.kind);
}

static bool kind_wanted(const Mssql__V1__ListBackupsRequest *q, enum backup_kind kind) {
    for (size_t i = 0; i < q->n_kinds; i++)
        if (q->kinds[i] == message_kind(kind))
            return true;
    return q->n_kinds == 0;
}

static bool wanted(const Mssql__V1__ListBackupsRequest *q, const struct backup *b) {
    return kind_wanted(q, b->kind) && (!q->from_at || b->finish_at >= q->from_at) &&
           (!q->until_at || b->finish_at < q->until_at) && (q->with_foreign || !backup_has(b, BACKUP_FOREIGN)) &&
           (!q->held_only || backup_has(b, BACKUP_HELD));
}

static int newest_first(const void *a, const void *b) {
    const struct listed *x = a, *y = b;
    if (x->set.finish_at != y->set.finish_at)
        return x->set.finish_at < y->set.finish_at ? 1 : -1;
    return lsn_cmp(y->set.last_lsn, x->set.last_lsn);
}

static int collect(const struct catalog *catalog, const Mssql__V1__ListBackupsRequest *q, struct listed **ret_list,
                   size_t *ret_count, struct err *err) {
    struct listed *list = NULL;
    size_t count = 0, cap = 0;
    bool found = !*q->database;
    for (uint32_t id = 0; id < catalog_database_count(catalog); id++) {
        const struct catalog_database *cd = catalog_database_at(catalog, id);
        if (*q->database && !str_ieq(cd->name, q->database) && !str_glob(q->database, cd->name))
            continue;
        found = true;
        struct catalog_entry e = {.index = CATALOG_NONE};
        int rc;
        while ((rc = catalog_previous(catalog, id, &e, err)) > 0) {
            if (!wanted(q, &e.backup))
                continue;
            list = mem_grow(list, &cap, count + 1, sizeof(*list));
            list[count++] = (struct listed){cd->name, e.backup, e.note};
        }
        if (rc < 0) {
            mem_free(list);
            return -1;
        }
    }
    catalog_release_pages(catalog);
    if (!found &&
        !strpbrk(q->database, "*?")) { /* a name that is not there is a mistake, a pattern that fits nothing is an answer */
        mem_free(list);
        return err_set(err, ERR_NOT_FOUND, "there is no backup of a database '%s'", q->database);
    }
    if (count)
        qsort(list, count, sizeof(*list), newest_first);
    *ret_list = list;
    *ret_count = count;
    return 0;
}

/* The token is the position: commits between two pages shift newest-first listings by their number, nothing is left out. */
static int page_begin(const Mssql__V1__ListBackupsRequest *q, size_t count, size_t *ret_begin, struct err *err) {
    uint64_t seen = 0, total = count;
    if (*q->page_token) {
        const char *slash = strchr(q->page_token, '/');
        char first[24];
        if (!slash || (size_t)(slash - q->page_token) >= sizeof(first))
            return err_set(err, ERR_USAGE, "the page token is not one of ours");
        memcpy(first, q->page_token, (size_t)(slash - q->page_token));
        first[slash - q->page_token] = 0;
        if (!str_to_u64(first, UINT32_MAX, &seen) || !str_to_u64(slash + 1, UINT32_MAX, &total))
            return err_set(err, ERR_USAGE, "the page token is not one of ours");
    }
    uint64_t added = !q->oldest_first && count > total ? count - total : 0;
    *ret_begin = seen + added < count ? (size_t)(seen + added) : count;
    return 0;
}

void service_list_backups(void *user, struct rpc_call *call, const ProtobufCMessage *request) {
    struct agent *agent = user;
    const Mssql__V1__ListBackupsRequest *q = (const void *)request;
    if (!service_opened(agent, call))
        return;
    struct catalog *catalog = keeper_catalog(agent->keeper);
    struct listed *list = NULL;
    size_t count = 0, begin = 0;
    struct err err;
    int rc = catalog ? collect(catalog, q, &list, &count, &err)
                     : err_set(&err, ERR_STATE, "the catalog is being rebuilt from the store; try again");
    if (rc == 0)
        rc = page_begin(q, count, &begin, &err);
    if (rc < 0) {
        mem_free(list);
        rpc_call_fail(call, &err);
        return;
    }
    size_t size = q->page_size ? q->page_size < PAGE_MAX ? q->page_size : PAGE_MAX : PAGE_DEFAULT;
    Mssql__V1__ListBackupsResponse *r = mem_alloc(sizeof(*r));
    mssql__v1__list_backups_response__init(r);
    size_t end = begin + size < count ? begin + size : count;
    for (size_t i = begin; i < end; i++) {
        const struct listed *l = &list[q->oldest_first ? count - 1 - i : i];
        STATUS_APPEND(r, backups, with_note(message_backup(&l->set, l->database), &l->note, l->set.kind));
    }
    r->total = count;
    r->next_page_token = end < count ? mem_printf("%zu/%zu", end, count) : mem_strdup("");
    mem_free(list);
    rpc_call_reply(call, &r->base);
    mssql__v1__list_backups_response__free_unpacked(r, NULL);
}

/* ---- GetChain ---- */

static void add_state(struct agent *agent, Mssql__V1__Chain *m, const struct database *db) {
    if (!db || !db->server_known || !db->tips_known)
        return;
    m->state = status_chain_state(db->status.state);
    m->since_at = db->status.since;
    m->reason = mem_strdup(chain_reason_word(db->status.reason));
    m->by_whom = mem_strdup(db->status.who);
    m->message = mem_strdup(db->status.text);
    m->family_guid = message_guid(&db->server.family_guid);
    m->database_guid = message_guid(&db->server.database_guid);
    m->fork_guid = message_guid(&db->server.recovery_fork_guid);
    m->incarnation = db->committed.path.incarnation;
    Mssql__V1__NextRun *next = mem_alloc(sizeof(*next));
    mssql__v1__next_run__init(next);
    for (unsigned k = 0; k < POLICY_KIND_COUNT; k++)
        if (db->next_at[k] && (!next->at || db->next_at[k] < next->at)) {
            next->at = db->next_at[k];
            next->kind = message_kind((enum backup_kind)k);
        }
    next->why = mem_strdup(db->skip[0] ? db->skip : "scheduled");
    m->next = next;
    (void)agent;
}

static const struct catalog_database *newest_named(const struct catalog *catalog, const char *name, const struct database *db) {
    const struct catalog_database *found = NULL;
    for (uint32_t id = 0; id < catalog_database_count(catalog); id++) {
        const struct catalog_database *cd = catalog_database_at(catalog, id);
        if (db && db->catalog_id == id)
            return cd;
        if (str_ieq(cd->name, name))
            found = cd;
    }
    return found;
}

void service_get_chain(void *user, struct rpc_call *call, const ProtobufCMessage *request) {
    struct agent *agent = user;
    const Mssql__V1__GetChainRequest *q = (const void *)request;
    if (!service_opened(agent, call))
        return;
    struct catalog *catalog = keeper_catalog(agent->keeper);
    struct err err;
    struct database *db = *q->database ? databases_find(agent, q->database) : NULL;
    const struct catalog_database *cd = catalog ? newest_named(catalog, q->database, db) : NULL;
    struct backup *sets = NULL;
    size_t count = 0;
    int rc = 0;
    if (!*q->database)
        rc = err_set(&err, ERR_USAGE, "name a database");
    else if (!db && !cd)
        rc = err_set(&err, ERR_NOT_FOUND, "there is no database '%s', neither on the server nor in the store", q->database);
    else if (cd)
        rc = catalog_load(catalog, cd->id, &sets, &count, &err);
    if (rc < 0) {
        rpc_call_fail(call, &err);
        return;
    }
    Mssql__V1__Chain *m = mem_alloc(sizeof(*m));
    mssql__v1__chain__init(m);
    m->database = mem_strdup(db ? db->name : cd->name);
    add_state(agent, m, db);
    struct chain_interval_input known = {
        .quiet_until_at = db ? db->quiet_until_at : 0, .known = db ? db->holes : NULL, .known_count = db ? db->hole_count : 0};
    message_chain_sets(m, sets, count, &known);
    mem_free(sets);
    if (cd) {
        add_note(catalog, cd->id, m->base_full);
        add_note(catalog, cd->id, m->tip);
    }
    if (catalog)
        catalog_release_pages(catalog);
    rpc_call_reply(call, &m->base);
    mssql__v1__chain__free_unpacked(m, NULL);
}
