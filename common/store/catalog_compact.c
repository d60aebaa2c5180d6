/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/store/catalog_int.h"

#define WANTED_FROM 4096

bool catalog_wants_compaction(const struct catalog *c) {
    struct catalog_stats stats;
    catalog_stats_of(c, &stats);
    return stats.useless > WANTED_FROM && stats.useless > stats.records / 4;
}

/* Databases keep their ids, also those without a set: their folders must not be chosen again. */
static int copy_databases(const struct catalog *from, struct catalog *to, struct err *err) {
    for (size_t i = 0; i < from->db_count; i++) {
        const struct catalog_database *db = &from->dbs[i]->pub;
        uint32_t id;
        if (catalog_database_put(to, db->folder, db->name, &db->family_guid, &db->database_guid, &id, err) < 0)
            return -1;
        to->dbs[id]->pub.sequence = db->sequence;
    }
    return 0;
}

/* In the order of the file, which is the order of commits. */
static int copy_sets(const struct catalog *from, struct catalog *to, struct err *err) {
    for (uint32_t i = 0; i < from->count; i++) {
        const struct record *r;
        if (catalog_record(from, i, &r, err) < 0)
            return -1;
        uint32_t bits = record_bits(r);
        if (r->type != RECORD_SET || bits & STATE_REMOVED)
            continue;
        struct catalog_db *db = catalog_db_at(to, r->database);
        if (!db)
            return err_set(err, ERR_CORRUPT, "catalog %s: record %u is of no database. It can be made again from the store",
                           from->path, i);
        struct backup b = r->set.backup;
        b.flags |= catalog_flags_of(bits);
        if (catalog_append_unchecked(to, db, &b, &r->set.note, r->sequence, err) < 0)
            return -1;
    }
    return 0;
}

/* The new file's insides become the open catalog's. */
static void take_over(struct catalog *c, struct catalog *fresh) {
    catalog_detach(c);
    int lock = c->lock_fd;
    enum catalog_sync sync = c->sync;
    char *scope = c->scope;
    mem_free(c->path);
    *c = *fresh;
    c->lock_fd = lock;
    c->scope = scope;
    c->sync = sync;
    mem_free(fresh);
}

int catalog_compact(struct catalog *c, struct err *err) {
    if (!c->writer)
        return err_set(err, ERR_INTERNAL, "catalog %s was opened for reading", c->path);
    _cleanup_free_ char *path = mem_printf("%s.new", c->path), *final = mem_strdup(c->path);
    struct catalog *fresh;
    if (catalog_create(path, &c->identity, c->generation + 1, &fresh, err) < 0)
        return -1;
    int rc = copy_databases(c, fresh, err) < 0 || copy_sets(c, fresh, err) < 0 || catalog_checkpoint(fresh, err) < 0 ? -1 : 0;
    if (rc == 0)
        rc = catalog_install(fresh, final, err);
    if (rc < 0) {
        bool renamed = !strcmp(fresh->path, final);
        (void)unlink(path);
        catalog_free(fresh);
        c->broken |= renamed; /* what is open has no name any more */
        return -1;
    }
    take_over(c, fresh);
    return 0;
}
