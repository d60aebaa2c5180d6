/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog_grow FILE STORE SCOPE SETS: makes a sidecar's catalog as big as after a month. The databases that are in it get log
 * backups of nothing behind their last set, so that the chain stays whole.
 */
#include <stdio.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/store/catalog.h"

static int last_log(struct catalog *catalog, uint32_t id, struct backup *ret_set, struct err *err) {
    struct catalog_entry last = {.index = CATALOG_NONE};
    int rc = catalog_previous(catalog, id, &last, err);
    if (rc <= 0)
        return rc < 0 ? rc : err_set(err, ERR_STATE, "database %u has no backup", id);
    *ret_set = last.backup;
    if (ret_set->kind != BACKUP_LOG)
        return err_set(err, ERR_STATE, "the last backup of database %u is not of its log", id);
    ret_set->first_lsn = ret_set->last_lsn;
    ret_set->flags &= ~(uint32_t)BACKUP_BEGINS_LOG_CHAIN;
    return 0;
}

/* In turn, as the schedule has them: the records of one database lie among those of all others. */
static int grow(struct catalog *catalog, uint64_t sets, struct err *err) {
    size_t count = catalog_database_count(catalog);
    struct backup *last = mem_array(count + 1, sizeof(*last));
    int rc = 0;
    for (size_t id = 0; id < count && rc == 0; id++)
        rc = last_log(catalog, (uint32_t)id, &last[id], err);
    for (uint64_t i = 0; i < sets && rc == 0 && count; i++) {
        struct backup *b = &last[i % count];
        guid_random(&b->set_guid);
        b->start_at = ++b->finish_at;
        rc = catalog_append(catalog, (uint32_t)(i % count), b, 0, err);
    }
    mem_free(last);
    return rc;
}

int main(int argc, char **argv) {
    struct catalog *catalog;
    struct err err;
    uint64_t sets;
    if (argc != 5 || !str_to_u64(argv[4], 100000000, &sets)) {
        fprintf(stderr, "usage: catalog_grow FILE STORE SCOPE SETS\n");
        return 2;
    }
    int rc = catalog_open(argv[1], argv[2], argv[3], CATALOG_SYNC_LATER, &catalog, NULL, &err);
    if (rc == 0) {
        rc = grow(catalog, sets, &err);
        if (rc == 0)
            rc = catalog_sync(catalog, &err);
        catalog_free(catalog);
    }
    if (rc < 0)
        fprintf(stderr, "%s\n", err.text);
    return rc < 0;
}
