/* SPDX-License-Identifier: Apache-2.0 */
/* From the file to what is resident: the databases with their tips. Only the end of the file is read. */
#include <string.h>

#include "common/base/mem.h"
#include "common/store/catalog_int.h"

struct catalog_db *catalog_db_at(const struct catalog *c, uint32_t id) {
    return id < c->db_count ? c->dbs[id] : NULL;
}

struct catalog_db *catalog_db_add(struct catalog *c) {
    c->dbs = mem_grow(c->dbs, &c->db_cap, c->db_count + 1, sizeof(*c->dbs));
    struct catalog_db *db = mem_alloc(sizeof(*db));
    db->pub.id = (uint32_t)c->db_count;
    db->tip = CATALOG_NONE;
    c->dbs[c->db_count++] = db;
    return db;
}

static int damaged(const struct catalog *c, uint32_t index, struct err *err) {
    return err_set(err, ERR_CORRUPT, "catalog %s: record %u makes no sense here. It can be made again from the store", c->path,
                   index);
}

static uint32_t name_records(uint32_t name_bytes) {
    return (name_bytes + RECORD_BODY - 1) / RECORD_BODY;
}

/* A database record with the names behind it. 1: read, 0: the names are not all there (the end was torn), -1: damage. */
static int read_database(struct catalog *c, uint32_t at, struct catalog_db *db, struct err *err) {
    const struct record *r, *name;
    if (catalog_record(c, at, &r, err) < 0)
        return -1;
    if (r->type != RECORD_DATABASE || r->db.name_bytes >= CATALOG_NAME_MAX || !memchr(r->db.folder, 0, sizeof(r->db.folder)))
        return damaged(c, at, err);
    uint32_t parts = name_records(r->db.name_bytes);
    if (parts > c->count - at - 1)
        return 0;
    char text[CATALOG_NAME_MAX] = "";
    for (uint32_t i = 0; i < parts; i++) {
        if (catalog_record(c, at + 1 + i, &name, err) < 0)
            return -1;
        if (name->type != RECORD_NAME || name->part != i || name->database != r->database)
            return damaged(c, at + 1 + i, err);
        uint32_t left = r->db.name_bytes - i * (uint32_t)RECORD_BODY;
        memcpy(text + i * RECORD_BODY, name->text, left < RECORD_BODY ? left : RECORD_BODY);
    }
    db->record_at = at;
    db->pub.family_guid = r->db.family;
    db->pub.database_guid = r->db.database;
    memcpy(db->pub.folder, r->db.folder, sizeof(db->pub.folder));
    memcpy(db->pub.name, text, sizeof(db->pub.name));
    return 1;
}

static uint32_t checkpoint_parts(uint32_t databases) {
    return (uint32_t)((databases + RECORD_TIPS - 1) / RECORD_TIPS);
}

static int load_tip(struct catalog *c, uint32_t at, const struct record_tip *tip, struct err *err) {
    struct catalog_db *db = catalog_db_add(c);
    if (tip->database_at >= at || (tip->tip != CATALOG_NONE && tip->tip >= at))
        return damaged(c, at, err);
    int rc = read_database(c, tip->database_at, db, err);
    if (rc <= 0)
        return rc < 0 ? -1 : damaged(c, tip->database_at, err);
    db->tip = tip->tip;
    db->pub.sets = tip->sets;
    db->pub.sequence = tip->sequence;
    c->live += tip->sets;
    return 0;
}

/* The newest whole checkpoint that ends at or before `end`; its first record, or CATALOG_NONE. */
static int find_checkpoint(const struct catalog *c, uint32_t *ret_first, uint32_t *ret_behind, struct err *err) {
    for (uint32_t at = c->count; at-- > 0;) {
        const struct record *r = catalog_peek(c, at);
        if (r->type != RECORD_CHECKPOINT)
            continue;
        if (catalog_record(c, at, &r, err) < 0)
            return -1;
        uint32_t parts = checkpoint_parts(r->database);
        if (!parts || r->part + 1u != parts || at + 1 < parts)
            continue; /* one that was torn: the one before it serves */
        *ret_first = at + 1 - parts;
        *ret_behind = at + 1;
        return 0;
    }
    *ret_first = CATALOG_NONE;
    *ret_behind = 0;
    return 0;
}

static int load_checkpoint(struct catalog *c, uint32_t first, uint32_t behind, struct err *err) {
    uint32_t databases = catalog_peek(c, first)->database;
    for (uint32_t at = first; at < behind; at++) {
        const struct record *r;
        if (catalog_record(c, at, &r, err) < 0)
            return -1;
        if (r->type != RECORD_CHECKPOINT || r->database != databases || r->part != at - first)
            return damaged(c, at, err);
        for (size_t i = 0; i < RECORD_TIPS && c->db_count < databases; i++)
            if (load_tip(c, first, &r->tips[i], err) < 0)
                return -1;
    }
    return 0;
}

static int replay_set(struct catalog *c, uint32_t at, const struct record *r, struct err *err) {
    struct catalog_db *db = catalog_db_at(c, r->database);
    if (!db || r->previous != db->tip)
        return damaged(c, at, err);
    db->tip = at;
    if (r->sequence > db->pub.sequence)
        db->pub.sequence = r->sequence;
    if (!(record_bits(r) & STATE_REMOVED)) {
        db->pub.sets++;
        c->live++;
    }
    return 0;
}

/* The set's own mark was written first, but may have been lost with the power. */
static int replay_removed(struct catalog *c, uint32_t at, const struct record *r, uint32_t from, struct err *err) {
    const struct record *set;
    struct catalog_db *db = catalog_db_at(c, r->database);
    if (!db || r->previous >= at)
        return damaged(c, at, err);
    if (catalog_record(c, r->previous, &set, err) < 0)
        return -1;
    bool marked = record_bits(set) & STATE_REMOVED;
    /* Sets behind the checkpoint were not counted when they carried the mark. */
    if ((r->previous < from || !marked) && db->pub.sets) {
        db->pub.sets--;
        c->live--;
    }
    return marked || !c->writer ? 0 : catalog_write_state(c, r->previous, record_bits(set) | STATE_REMOVED, err);
}

/* 1: the next record is at *at, 0: the end was torn here, -1: damage. */
static int replay_one(struct catalog *c, uint32_t *at, uint32_t from, struct err *err) {
    const struct record *r;
    if (catalog_record(c, *at, &r, err) < 0)
        return -1;
    switch (r->type) {
    case RECORD_SET:
        if (replay_set(c, *at, r, err) < 0)
            return -1;
        break;
    case RECORD_REMOVED:
        if (replay_removed(c, *at, r, from, err) < 0)
            return -1;
        break;
    case RECORD_DATABASE: {
        if (r->database > c->db_count)
            return damaged(c, *at, err);
        bool is_new = r->database == c->db_count;
        struct catalog_db spare = {0};
        struct catalog_db *db = is_new ? &spare : c->dbs[r->database];
        int rc = read_database(c, *at, db, err);
        if (rc <= 0)
            return rc;
        if (is_new) {
            struct catalog_db *added = catalog_db_add(c);
            spare.pub.id = added->pub.id;
            spare.tip = CATALOG_NONE;
            *added = spare;
        }
        *at += name_records(r->db.name_bytes);
        break;
    }
    case RECORD_CHECKPOINT:
        break;
    default:
        return damaged(c, *at, err);
    }
    (*at)++;
    return 1;
}

int catalog_replay(struct catalog *c, struct err *err) {
    uint32_t first, from;
    if (find_checkpoint(c, &first, &from, err) < 0)
        return -1;
    if (first != CATALOG_NONE && load_checkpoint(c, first, from, err) < 0)
        return -1;
    c->checkpoint = from;
    for (uint32_t at = from; at < c->count;) {
        uint32_t here = at;
        int rc = replay_one(c, &at, from, err);
        if (rc < 0)
            return -1;
        if (!rc)
            c->count = here;
    }
    return 0;
}
