/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/offline.h"

#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/store/backups.h"
#include "common/store/holds.h"

#define PAGE 8192
#define SCOPES_SHOWN 20

/* Does the database fit one of the command's words (names or patterns)? Without words every one does. */
static bool offline_wanted(const struct cli *cli, const char *name) {
    for (size_t i = 0; i < cli->args.word_count; i++)
        if (str_glob(cli->args.words[i], name))
            return true;
    return !cli->args.word_count;
}

/* ---- which instance ---- */

struct scopes {
    char first[NAME_SCOPE_MAX];
    const char *wanted;
    bool found;
    size_t count;
    struct buf names;
};

static int on_scope(void *user, const char *scope, struct err *err) {
    (void)err;
    struct scopes *s = user;
    if (s->wanted && !strcmp(s->wanted, scope))
        s->found = true;
    if (!s->count++)
        str_copy(s->first, sizeof(s->first), scope);
    if (s->count <= SCOPES_SHOWN)
        buf_printf(&s->names, "%s%s", s->count > 1 ? ", " : "", scope);
    return 0;
}

static int choose(struct scopes *s, const char *url, char dst[NAME_SCOPE_MAX], struct err *err) {
    const char *more = s->count > SCOPES_SHOWN ? ", ..." : "";
    if (!s->count)
        return err_set(err, ERR_NOT_FOUND, "store %s holds no instance's backups", url);
    if (s->wanted && !s->found) {
        err_set(err, ERR_NOT_FOUND, "store %s has no instance '%s'", url, s->wanted);
        return err_hint(err, "There is %s%s", s->names.data, more);
    }
    if (!s->wanted && s->count > 1) {
        err_set(err, ERR_USAGE, "store %s holds several instances: name one with --scope", url);
        return err_hint(err, "There is %s%s", s->names.data, more);
    }
    str_copy(dst, NAME_SCOPE_MAX, s->wanted ? s->wanted : s->first);
    return 0;
}

int offline_scope(struct cli *cli, struct store *store, char dst[NAME_SCOPE_MAX], struct err *err) {
    struct scopes s = {.wanted = cli_value(&cli->args, "--scope")};
    buf_init(&s.names, 16384);
    int rc = store_list_instances(store, on_scope, &s, err) ? -1 : choose(&s, store_url(store), dst, err);
    buf_done(&s.names);
    return rc;
}

/* ---- its backups ---- */

struct load {
    struct cli *cli;
    struct store *store;
    const char *scope, *folder;
    struct offline_list *list;
    size_t list_cap;
    struct offline_database db; /* the folder's */
    size_t cap, hole_cap;
    uint64_t newest_sequence;
    int64_t newest_at;
    uint64_t unreadable;
};

static int leave_out(struct load *l, const struct err *why) {
    l->unreadable++;
    cli_fail_later(l->cli, why);
    return 0;
}

/* Every set until the next log tells of the same one: the first that closed it says it best. */
static void add_hole(struct load *l, const struct manifest *m) {
    struct chain_hole hole;
    if (!manifest_chain_hole(m, &hole))
        return;
    for (size_t i = 0; i < l->db.hole_count; i++) {
        struct chain_hole *known = &l->db.holes[i];
        if (known->incarnation != hole.incarnation || lsn_cmp(known->from_lsn, hole.from_lsn) != 0)
            continue;
        if (hole.until_at < known->until_at)
            *known = hole;
        return;
    }
    l->db.holes = mem_grow(l->db.holes, &l->hole_cap, l->db.hole_count + 1, sizeof(hole));
    l->db.holes[l->db.hole_count++] = hole;
}

static int on_manifest(void *user, const struct store_entry *entry, struct err *err) {
    struct load *l = user;
    struct manifest m;
    struct err why = {0};
    if (store_read_manifest(l->store, entry->name, &m, &why) < 0) {
        if (why.class == ERR_NOT_FOUND) /* pruned meanwhile */
            return 0;
        if (why.class == ERR_CORRUPT || why.class == ERR_UNSUPPORTED || why.class == ERR_LIMIT)
            return leave_out(l, &why);
        err_copy(err, &why);
        return -1;
    }
    add_hole(l, &m);
    l->db.sets = mem_grow(l->db.sets, &l->cap, l->db.count + 1, sizeof(*l->db.sets));
    l->db.sets[l->db.count++] = (struct offline_set){m.backup, mem_strdup(m.run_id), mem_strdup(m.reason)};
    bool newer = m.sequence > l->newest_sequence || (m.sequence == l->newest_sequence && m.backup.finish_at >= l->newest_at);
    if (!l->db.name || newer) {
        mem_free(l->db.name);
        l->db.name = mem_strdup(m.database);
        l->newest_sequence = m.sequence;
        l->newest_at = m.backup.finish_at;
    }
    manifest_done(&m);
    return 0;
}

/* A hold of a set marks it; the range of the others too, as the sidecar does when it is made. */
static int on_hold(void *user, const struct hold *hold, struct err *err) {
    (void)err;
    struct load *l = user;
    if (hold->expires_at && hold->expires_at <= l->cli->now)
        return 0;
    for (size_t i = 0; i < l->db.count; i++) {
        struct backup *b = &l->db.sets[i].backup;
        bool kept = !guid_is_zero(&hold->set_guid)
                        ? guid_eq(&hold->set_guid, &b->set_guid)
                        : b->finish_at >= hold->from_at && (!hold->until_at || b->start_at <= hold->until_at);
        if (kept)
            b->flags |= BACKUP_HELD;
    }
    return 0;
}

static void database_done(struct offline_database *db) {
    for (size_t i = 0; i < db->count; i++) {
        mem_free(db->sets[i].run_id);
        mem_free(db->sets[i].reason);
    }
    mem_free(db->sets);
    mem_free(db->holes);
    mem_free(db->name);
}

static int load_folder(struct load *l, struct err *err) {
    struct store_cursor cursor = {0};
    struct err why = {0};
    while (cursor.kind < BACKUP_KIND_COUNT)
        if (store_list_manifests(l->store, l->scope, l->folder, &cursor, PAGE, on_manifest, l, err))
            return -1;
    if (l->db.count && hold_list(l->store, l->scope, l->folder, on_hold, l, &why))
        cli_fail_later(l->cli, &why);
    return 0;
}

static int on_database(void *user, const char *folder, struct err *err) {
    struct load *l = user;
    l->folder = folder;
    l->db = (struct offline_database){0};
    l->cap = l->hole_cap = 0;
    l->newest_sequence = 0;
    l->newest_at = 0;
    int rc = load_folder(l, err);
    if (rc < 0 || !l->db.count || !offline_wanted(l->cli, l->db.name)) {
        database_done(&l->db);
        return rc;
    }
    l->list->items = mem_grow(l->list->items, &l->list_cap, l->list->count + 1, sizeof(*l->list->items));
    l->list->items[l->list->count++] = l->db;
    return 0;
}

int offline_load(struct cli *cli, struct offline_list *ret_list, struct err *err) {
    struct store_options options = {.read_only = true};
    struct store *store;
    char scope[NAME_SCOPE_MAX];
    struct offline_list list = {0};
    if (store_open(cli_value(&cli->args, "--store"), &options, &store, err) < 0)
        return -1;
    struct load l = {.cli = cli, .store = store, .scope = scope, .list = &list};
    int rc = offline_scope(cli, store, scope, err);
    if (rc == 0)
        rc = store_list_databases(store, scope, on_database, &l, err) ? -1 : 0;
    store_free(store);
    if (rc == 0 && !list.count && cli->args.word_count && !l.unreadable)
        rc = err_set(err, ERR_NOT_FOUND, "there is no backup of a database '%s' in %s", cli->args.words[0], scope);
    if (rc < 0) {
        offline_done(&list);
        return -1;
    }
    *ret_list = list;
    return 0;
}

void offline_done(struct offline_list *list) {
    for (size_t i = 0; i < list->count; i++)
        database_done(&list->items[i]);
    mem_free(list->items);
    *list = (struct offline_list){0};
}
