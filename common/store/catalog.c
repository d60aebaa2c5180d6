/* SPDX-License-Identifier: Apache-2.0 */
#include "common/store/catalog.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/store/catalog_int.h"

#define SAME_SET_DEPTH 64 /* what a replayed journal may bring again */
#define RELEASE_EVERY (2u * 1024 * 1024 / CATALOG_RECORD) /* records */
#define MUTABLE_FLAGS ((uint32_t)(BACKUP_HELD | BACKUP_OFF_VOLUME | BACKUP_UNREADABLE))

/* ---- opening ---- */

static struct catalog *new_catalog(const char *path) {
    struct catalog *c = mem_alloc(sizeof(*c));
    *c = (struct catalog){.path = mem_strdup(path), .fd = -1, .lock_fd = -1};
    return c;
}

void catalog_free(struct catalog *c) {
    if (!c)
        return;
    if (c->writer && c->fd >= 0 && !c->broken) {
        struct err ignored;
        (void)!catalog_sync(c, &ignored);
    }
    catalog_detach(c);
    if (c->lock_fd >= 0)
        close(c->lock_fd);
    mem_free(c->path);
    mem_free(c->scope);
    mem_free(c);
}

/* An empty file becomes visible whole, so a crash leaves none or a good one. */
static int create_empty(const char *path, const struct hash *identity, struct err *err) {
    _cleanup_free_ char *fresh = mem_printf("%s.new", path);
    struct catalog *c;
    if (catalog_create(fresh, identity, 1, &c, err) < 0)
        return -1;
    int rc = catalog_install(c, path, err);
    catalog_free(c);
    return rc;
}

static int open_writer(struct catalog *c, uint64_t *ret_cut_bytes, struct err *err) {
    if (catalog_take_lock(c->path, &c->lock_fd, err) < 0)
        return -1;
    c->fd = open(c->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (c->fd < 0 && errno == ENOENT) {
        if (create_empty(c->path, &c->identity, err) < 0)
            return -1;
        c->fd = open(c->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    }
    if (c->fd < 0)
        return err_os(err, ERR_NONE, errno, "open catalog %s", c->path);
    uint64_t cut;
    if (catalog_attach(c, &cut, err) < 0)
        return -1;
    if (cut && ftruncate(c->fd, (off_t)(sizeof(struct catalog_header) + (uint64_t)c->count * CATALOG_RECORD)) < 0)
        return err_os(err, ERR_NONE, errno, "cut the torn end of catalog %s", c->path);
    if (ret_cut_bytes)
        *ret_cut_bytes = cut;
    return 0;
}

int catalog_open(const char *path, const char *identity, const char *scope, enum catalog_sync sync, struct catalog **ret_catalog,
                 uint64_t *ret_cut_bytes, struct err *err) {
    struct catalog *c = new_catalog(path);
    c->writer = true;
    c->sync = sync;
    c->scope = mem_strdup(scope);
    if (catalog_identity(identity, scope, &c->identity, err) < 0 || open_writer(c, ret_cut_bytes, err) < 0) {
        c->writer = false;
        catalog_free(c);
        return -1;
    }
    *ret_catalog = c;
    return 0;
}

static int open_reader(struct catalog *c, struct err *err) {
    c->fd = open(c->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (c->fd < 0)
        return err_os(err, ERR_NONE, errno, "open catalog %s", c->path);
    uint64_t cut;
    return catalog_attach(c, &cut, err);
}

int catalog_open_reader(const char *path, struct catalog **ret_catalog, struct err *err) {
    struct catalog *c = new_catalog(path);
    if (open_reader(c, err) < 0) {
        catalog_free(c);
        return -1;
    }
    *ret_catalog = c;
    return 0;
}

int catalog_refresh(struct catalog *c, struct err *err) {
    if (c->writer)
        return 0;
    catalog_detach(c);
    return open_reader(c, err);
}

/* ---- databases ---- */

size_t catalog_database_count(const struct catalog *c) {
    return c->db_count;
}

const struct catalog_database *catalog_database_at(const struct catalog *c, uint32_t id) {
    const struct catalog_db *db = catalog_db_at(c, id);
    return db ? &db->pub : NULL;
}

static struct catalog_db *by_folder(const struct catalog *c, const char *folder) {
    for (size_t i = 0; i < c->db_count; i++)
        if (!strcmp(c->dbs[i]->pub.folder, folder))
            return c->dbs[i];
    return NULL;
}

const struct catalog_database *catalog_database_by_folder(const struct catalog *c, const char *folder) {
    const struct catalog_db *db = by_folder(c, folder);
    return db ? &db->pub : NULL;
}

const struct catalog_database *catalog_database_by_guid(const struct catalog *c, const struct guid *family,
                                                        const struct guid *database) {
    for (size_t i = c->db_count; i-- > 0;) {
        const struct catalog_database *db = &c->dbs[i]->pub;
        if (guid_eq(&db->family_guid, family) && guid_eq(&db->database_guid, database))
            return db;
    }
    return NULL;
}

void catalog_choose_folder(const struct catalog *c, const char *name, const struct guid *family, char dst[NAME_FOLDER_MAX]) {
    for (unsigned nth = 1;; nth++) {
        name_folder(dst, name, family, nth);
        if (!by_folder(c, dst))
            return;
    }
}

/* One database record and as many name records as the name needs. */
static int write_database(struct catalog *c, struct catalog_db *db, struct err *err) {
    struct record records[1 + (CATALOG_NAME_MAX + RECORD_BODY - 1) / RECORD_BODY] = {0};
    size_t len = strlen(db->pub.name);
    uint32_t count = 1;
    records[0] = (struct record){.type = RECORD_DATABASE, .database = db->pub.id, .previous = CATALOG_NONE};
    records[0].db = (struct record_database){
        .family = db->pub.family_guid, .database = db->pub.database_guid, .name_bytes = (uint32_t)len};
    str_copy(records[0].db.folder, sizeof(records[0].db.folder), db->pub.folder);
    for (size_t at = 0; at < len; at += RECORD_BODY, count++) {
        records[count] = (struct record){
            .type = RECORD_NAME, .database = db->pub.id, .part = (uint16_t)(count - 1), .previous = CATALOG_NONE};
        memcpy(records[count].text, db->pub.name + at, len - at < RECORD_BODY ? len - at : RECORD_BODY);
    }
    uint32_t at = c->count;
    if (catalog_write(c, records, count, err) < 0)
        return -1;
    db->record_at = at;
    return 0;
}

int catalog_database_put(struct catalog *c, const char *folder, const char *name, const struct guid *family,
                         const struct guid *database, uint32_t *ret_id, struct err *err) {
    if (!*folder || strlen(folder) >= NAME_FOLDER_MAX || strlen(name) >= CATALOG_NAME_MAX)
        return err_set(err, ERR_USAGE, "database '%.130s' in folder '%.130s': too long, or no folder", name, folder);
    struct catalog_db *have = by_folder(c, folder);
    struct catalog_db next = {.tip = CATALOG_NONE};
    if (have)
        next = *have;
    if (have && !strcmp(next.pub.name, name) && guid_eq(&next.pub.family_guid, family) &&
        guid_eq(&next.pub.database_guid, database)) {
        *ret_id = have->pub.id;
        return 0;
    }
    if (!have)
        next.pub.id = (uint32_t)c->db_count;
    str_copy(next.pub.folder, sizeof(next.pub.folder), folder);
    str_copy(next.pub.name, sizeof(next.pub.name), name);
    next.pub.family_guid = *family;
    next.pub.database_guid = *database;
    if (write_database(c, &next, err) < 0)
        return -1;
    if (!have)
        have = catalog_db_add(c);
    *have = next;
    *ret_id = have->pub.id;
    return 0;
}

/* ---- sets ---- */

static void fill_entry(const struct record *r, struct catalog_entry *ret_entry) {
    uint32_t bits = record_bits(r), behind = ret_entry->behind;
    *ret_entry = (struct catalog_entry){
        .index = r->self, .database = r->database, .sequence = r->sequence, .backup = r->set.backup, .note = r->set.note};
    ret_entry->behind = behind;
    ret_entry->backup.flags &= ~MUTABLE_FLAGS;
    ret_entry->backup.flags |= catalog_flags_of(bits);
}

uint32_t catalog_flags_of(uint32_t bits) {
    return (bits & STATE_HELD ? BACKUP_HELD : 0u) | (bits & STATE_OFF_VOLUME ? BACKUP_OFF_VOLUME : 0u) |
           (bits & STATE_UNREADABLE ? BACKUP_UNREADABLE : 0u);
}

static uint32_t bits_of_flags(uint32_t flags) {
    return (flags & BACKUP_HELD ? STATE_HELD : 0u) | (flags & BACKUP_OFF_VOLUME ? STATE_OFF_VOLUME : 0u) |
           (flags & BACKUP_UNREADABLE ? STATE_UNREADABLE : 0u);
}

/* The record before `at` of this database, removed ones included. 1, 0 or -1. */
static int step_back(const struct catalog *c, uint32_t database, uint32_t at, const struct record **ret_record, struct err *err) {
    const struct catalog_db *db = catalog_db_at(c, database);
    if (!db)
        return err_set(err, ERR_INTERNAL, "catalog %s has no database %u", c->path, database);
    const struct record *r;
    uint32_t next = db->tip;
    if (at != CATALOG_NONE) {
        if (catalog_record(c, at, &r, err) < 0)
            return -1;
        next = r->previous;
    }
    if (next == CATALOG_NONE)
        return 0;
    if (catalog_record(c, next, &r, err) < 0)
        return -1;
    if (r->type != RECORD_SET || r->database != database || next >= at)
        return err_set(err, ERR_CORRUPT, "catalog %s: record %u is linked wrongly. It can be made again from the store", c->path,
                       next);
    *ret_record = r;
    return 1;
}

static void release_behind(const struct catalog *c, struct catalog_entry *entry) {
    if (!entry->behind || entry->behind < entry->index) /* a walk begins */
        entry->behind = entry->index + 1;
    if (entry->behind - entry->index < RELEASE_EVERY)
        return;
    catalog_release_range(c, entry->index, entry->behind);
    entry->behind = entry->index;
}

int catalog_previous(const struct catalog *c, uint32_t database, struct catalog_entry *entry, struct err *err) {
    const struct record *r = NULL;
    uint32_t at = entry->index;
    int rc;
    while ((rc = step_back(c, database, at, &r, err)) > 0) {
        if (!(record_bits(r) & STATE_REMOVED)) {
            fill_entry(r, entry);
            release_behind(c, entry);
            return 1;
        }
        at = r->self;
    }
    return rc;
}

int catalog_newest(const struct catalog *c, uint32_t database, enum backup_kind kind, struct catalog_entry *ret_entry,
                   struct err *err) {
    struct catalog_entry e = {.index = CATALOG_NONE};
    int rc;
    while ((rc = catalog_previous(c, database, &e, err)) > 0 && e.backup.kind != kind)
        ;
    if (rc < 0)
        return -1;
    if (!rc)
        return err_set(err, ERR_NOT_FOUND, "no %s backup of database '%s' is known", backup_kind_name(kind),
                       c->dbs[database]->pub.name);
    *ret_entry = e;
    return 0;
}

int catalog_find(const struct catalog *c, uint32_t database, const struct guid *set_guid, struct catalog_entry *ret_entry,
                 struct err *err) {
    struct catalog_entry e = {.index = CATALOG_NONE};
    int rc;
    while ((rc = catalog_previous(c, database, &e, err)) > 0 && !guid_eq(&e.backup.set_guid, set_guid))
        ;
    if (rc < 0)
        return -1;
    char text[GUID_TEXT_MAX];
    if (!rc)
        return err_set(err, ERR_NOT_FOUND, "database '%s' has no set %s", c->dbs[database]->pub.name,
                       guid_format(text, set_guid));
    *ret_entry = e;
    return 0;
}

int catalog_each(const struct catalog *c, uint32_t database, int (*fn)(void *user, const struct catalog_entry *entry), void *user,
                 struct err *err) {
    struct catalog_entry e = {.index = CATALOG_NONE};
    int rc;
    while ((rc = catalog_previous(c, database, &e, err)) > 0) {
        int result = fn(user, &e);
        if (result)
            return result;
    }
    return rc;
}

struct loading {
    struct backup *sets;
    size_t count, cap;
};

static int load_one(void *user, const struct catalog_entry *entry) {
    struct loading *l = user;
    l->sets = mem_grow(l->sets, &l->cap, l->count + 1, sizeof(*l->sets));
    l->sets[l->count++] = entry->backup;
    return 0;
}

int catalog_load(const struct catalog *c, uint32_t database, struct backup **ret_backups, size_t *ret_count, struct err *err) {
    const struct catalog_db *db = catalog_db_at(c, database);
    if (!db)
        return err_set(err, ERR_INTERNAL, "catalog %s has no database %u", c->path, database);
    struct loading l = {0};
    l.sets = mem_grow(NULL, &l.cap, (size_t)db->pub.sets + 1, sizeof(*l.sets));
    if (catalog_each(c, database, load_one, &l, err) < 0) {
        mem_free(l.sets);
        return -1;
    }
    for (size_t i = 0; i < l.count / 2; i++) {
        struct backup swap = l.sets[i];
        l.sets[i] = l.sets[l.count - 1 - i];
        l.sets[l.count - 1 - i] = swap;
    }
    *ret_backups = l.sets;
    *ret_count = l.count;
    return 0;
}

/* 1: it is there, 0: not among the newest, -1: damage. */
static int has_same_set(const struct catalog *c, uint32_t database, const struct backup *b, struct err *err) {
    struct catalog_entry e = {.index = CATALOG_NONE};
    for (unsigned depth = 0; depth < SAME_SET_DEPTH; depth++) {
        int rc = catalog_previous(c, database, &e, err);
        if (rc <= 0)
            return rc;
        if (guid_eq(&e.backup.set_guid, &b->set_guid) && !lsn_cmp(e.backup.first_lsn, b->first_lsn) &&
            !lsn_cmp(e.backup.last_lsn, b->last_lsn))
            return 1;
    }
    return 0;
}

int catalog_append_unchecked(struct catalog *c, struct catalog_db *db, const struct backup *backup,
                             const struct catalog_note *note, uint64_t sequence, struct err *err) {
    struct record r = {.type = RECORD_SET, .database = db->pub.id, .previous = db->tip};
    r.sequence = sequence ? sequence : db->pub.sequence + 1;
    r.state = record_state(bits_of_flags(backup->flags));
    r.set.backup = *backup;
    r.set.backup.flags &= ~MUTABLE_FLAGS;
    if (note)
        r.set.note = *note;
    uint32_t at = c->count;
    if (catalog_write(c, &r, 1, err) < 0)
        return -1;
    db->tip = at;
    db->pub.sets++;
    c->live++;
    if (r.sequence > db->pub.sequence)
        db->pub.sequence = r.sequence;
    return catalog_maybe_checkpoint(c, err);
}

int catalog_append(struct catalog *c, uint32_t database, const struct backup *backup, uint64_t sequence, struct err *err) {
    return catalog_append_noted(c, database, backup, NULL, sequence, err);
}

int catalog_append_noted(struct catalog *c, uint32_t database, const struct backup *backup, const struct catalog_note *note,
                         uint64_t sequence, struct err *err) {
    struct catalog_db *db = catalog_db_at(c, database);
    if (!db || (unsigned)backup->kind >= BACKUP_KIND_COUNT)
        return err_set(err, ERR_INTERNAL, "catalog %s has no database %u, or the set has no kind", c->path, database);
    int same = has_same_set(c, database, backup, err);
    if (same)
        return same < 0 ? -1 : 0;
    return catalog_append_unchecked(c, db, backup, note, sequence, err);
}

/* ---- changing what is there ---- */

static int set_record(const struct catalog *c, uint32_t index, const struct record **ret_record, struct err *err) {
    if (catalog_record(c, index, ret_record, err) < 0)
        return -1;
    return (*ret_record)->type == RECORD_SET ? 0 : err_set(err, ERR_INTERNAL, "catalog %s: record %u is no set", c->path, index);
}

int catalog_remove(struct catalog *c, uint32_t index, struct err *err) {
    const struct record *r;
    if (set_record(c, index, &r, err) < 0)
        return -1;
    struct catalog_db *db = catalog_db_at(c, r->database);
    uint32_t bits = record_bits(r);
    if (!db || bits & STATE_REMOVED)
        return db ? 0 : err_set(err, ERR_INTERNAL, "catalog %s has no database %u", c->path, r->database);
    if (catalog_write_state(c, index, bits | STATE_REMOVED, err) < 0)
        return -1;
    struct record gone = {.type = RECORD_REMOVED, .database = db->pub.id, .previous = index};
    db->pub.sets--;
    c->live--;
    if (catalog_write(c, &gone, 1, err) < 0 || catalog_sync(c, err) < 0)
        return -1;
    return catalog_maybe_checkpoint(c, err);
}

int catalog_mark(struct catalog *c, uint32_t index, uint32_t set_flags, uint32_t clear_flags, struct err *err) {
    if ((set_flags | clear_flags) & ~MUTABLE_FLAGS)
        return err_set(err, ERR_INTERNAL, "only 'held', 'off the volume' and 'unreadable' change in a catalog");
    const struct record *r;
    if (set_record(c, index, &r, err) < 0)
        return -1;
    uint32_t bits = (record_bits(r) | bits_of_flags(set_flags)) & ~bits_of_flags(clear_flags);
    if (bits == record_bits(r))
        return 0;
    if (catalog_write_state(c, index, bits, err) < 0)
        return -1;
    return c->sync == CATALOG_SYNC_EACH ? catalog_sync(c, err) : 0;
}

void catalog_stats_of(const struct catalog *c, struct catalog_stats *ret_stats) {
    *ret_stats = (struct catalog_stats){
        .records = c->count,
        .live = c->live,
        .useless = c->count - c->live,
        .bytes = sizeof(struct catalog_header) + (uint64_t)c->count * CATALOG_RECORD,
        .generation = c->generation,
    };
}

int catalog_check(const struct catalog *c, struct err *err) {
    const struct record *r;
    for (uint32_t i = 0; i < c->count; i++)
        if (catalog_record(c, i, &r, err) < 0)
            return -1;
    for (uint32_t db = 0; db < c->db_count; db++) {
        struct catalog_entry e = {.index = CATALOG_NONE};
        int rc;
        while ((rc = catalog_previous(c, db, &e, err)) > 0)
            ;
        if (rc < 0)
            return -1;
    }
    return 0;
}
