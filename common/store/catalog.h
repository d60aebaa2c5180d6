/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalog: what the store holds, in one append-only file of fixed-size records that is memory-mapped. It is a copy
 * that can be made again from the manifests, so damage costs time, not data. Resident in memory is one small entry per
 * database only.
 *
 * One process writes; the writer and each reader belong to one thread at a time. Other processes and threads open it
 * read-only, each for itself. Pointers to databases are good until the next call that changes the catalog.
 */
#ifndef MSSQL_STORE_CATALOG_H
#define MSSQL_STORE_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/guid.h"
#include "common/chain/backup.h"
#include "common/store/name.h"
#include "common/store/store.h"

#define CATALOG_NONE UINT32_MAX
#define CATALOG_NAME_MAX 513 /* 128 UTF-16 units as UTF-8, with room */

struct catalog;

struct catalog_database {
    uint32_t id;
    char folder[NAME_FOLDER_MAX];
    char name[CATALOG_NAME_MAX]; /* the newest one */
    struct guid family_guid;
    struct guid database_guid; /* of the newest set */
    uint64_t sets; /* that are there */
    uint64_t sequence; /* of the newest commit */
};

/* What else the manifest says of a set and lists want to show without reading it. Zero: nothing is known. */
struct catalog_note {
    int64_t run_at; /* the run id, taken apart: time and tail */
    char run_tail[8];
    char reason[24]; /* stable words, cut where they do not fit */
    char trigger[12];
    bool has_hole; /* the manifest tells of a hole before the set */
};
struct manifest;
void catalog_note_of(const struct manifest *m, struct catalog_note *ret_note);
/* "20261121T024700Z-log-1a2b3c4d"; "" when it is not known. */
#define CATALOG_RUN_ID_MAX 40
char *catalog_run_id(char dst[CATALOG_RUN_ID_MAX], const struct catalog_note *note, enum backup_kind kind);

struct catalog_entry {
    uint32_t index; /* place in the file: names the entry until the next compaction */
    uint32_t database;
    uint64_t sequence;
    struct backup backup; /* with BACKUP_HELD, BACKUP_OFF_VOLUME and BACKUP_UNREADABLE as they are now */
    struct catalog_note note;
    uint32_t behind; /* of catalog_previous(): pages from this record on were given back */
};

enum catalog_sync {
    CATALOG_SYNC_EACH, /* an append is durable when it returns */
    CATALOG_SYNC_LATER, /* catalog_sync() says when; what is lost is caught up from the store */
};

/* Opens or creates the writer's catalog of this scope. A torn tail is cut. ERR_CORRUPT when the file is damaged, of another
 * store, scope or layout: the caller removes nothing and calls catalog_rebuild(). ERR_BUSY when another writer has it.
 * identity is any text that names the store (its URL); ret_cut_bytes (may be NULL) tells what was cut. */
int catalog_open(const char *path, const char *identity, const char *scope, enum catalog_sync sync, struct catalog **ret_catalog,
                 uint64_t *ret_cut_bytes, struct err *err) ERR_CHECK;
/* A reader; nothing is changed. */
int catalog_open_reader(const char *path, struct catalog **ret_catalog, struct err *err) ERR_CHECK;
/* Reader: what was appended or compacted since. */
int catalog_refresh(struct catalog *catalog, struct err *err) ERR_CHECK;
void catalog_free(struct catalog *catalog); /* NULL is allowed; syncs best effort */
int catalog_sync(struct catalog *catalog, struct err *err) ERR_CHECK;
/* The same in two parts, so that a worker may wait for the disk while the owner goes on: begin gives a descriptor (the caller's) when
 * there is something to sync, else -1; catalog_sync_wait() may run anywhere; a failure is told to the owner's catalog. */
int catalog_sync_begin(struct catalog *catalog);
int catalog_sync_wait(int fd, struct err *err) ERR_CHECK;
void catalog_sync_failed(struct catalog *catalog);

/* ---- databases ---- */
size_t catalog_database_count(const struct catalog *catalog);
const struct catalog_database *catalog_database_at(const struct catalog *catalog,
                                                   uint32_t id); /* ids are 0..count-1; NULL beyond */
const struct catalog_database *catalog_database_by_folder(const struct catalog *catalog, const char *folder);
/* The newest with this family and database GUID. */
const struct catalog_database *catalog_database_by_guid(const struct catalog *catalog, const struct guid *family,
                                                        const struct guid *database);
/* The database's entry, made when it is new; a new name or database GUID is recorded. */
int catalog_database_put(struct catalog *catalog, const char *folder, const char *name, const struct guid *family,
                         const struct guid *database, uint32_t *ret_id, struct err *err) ERR_CHECK;
/* A folder that no other chain uses, for a database that is first seen. */
void catalog_choose_folder(const struct catalog *catalog, const char *name, const struct guid *family, char dst[NAME_FOLDER_MAX]);

/* ---- sets ---- */
/* Appends a committed set. The same set again (same database, set GUID and LSNs, among the last 64) is success and changes
 * nothing. sequence 0: the next of the database. When it fails, the catalog may have to be opened again (ERR_IO says so from
 * then on). */
int catalog_append(struct catalog *catalog, uint32_t database, const struct backup *backup, uint64_t sequence,
                   struct err *err) ERR_CHECK;
/* With a note; NULL: none. */
int catalog_append_noted(struct catalog *catalog, uint32_t database, const struct backup *backup, const struct catalog_note *note,
                         uint64_t sequence, struct err *err) ERR_CHECK;

/* Newest first, one database, in commit order backwards: reads its records only. They lie among those of all others, so a long walk
 * gives the pages behind it back.
 *     struct catalog_entry e = {.index = CATALOG_NONE};
 *     int rc;
 *     while ((rc = catalog_previous(catalog, db, &e, err)) > 0) use(&e.backup);
 * 1: an entry, 0: no more, -1: ERR_CORRUPT (rebuild). */
int catalog_previous(const struct catalog *catalog, uint32_t database, struct catalog_entry *entry, struct err *err) ERR_CHECK;
/* The same as a loop. fn's result that is not 0 ends it and is the result. */
int catalog_each(const struct catalog *catalog, uint32_t database, int (*fn)(void *user, const struct catalog_entry *entry),
                 void *user, struct err *err) ERR_CHECK;
/* The newest set of a kind. ERR_NOT_FOUND when there is none. */
int catalog_newest(const struct catalog *catalog, uint32_t database, enum backup_kind kind, struct catalog_entry *ret_entry,
                   struct err *err) ERR_CHECK;
/* ERR_NOT_FOUND when the database has no such set. */
int catalog_find(const struct catalog *catalog, uint32_t database, const struct guid *set_guid, struct catalog_entry *ret_entry,
                 struct err *err) ERR_CHECK;
/* All live sets of a database in commit order (oldest first), copied into an array; mem_free() it. */
int catalog_load(const struct catalog *catalog, uint32_t database, struct backup **ret_backups, size_t *ret_count,
                 struct err *err) ERR_CHECK;

/* A pruned set: durable when it returns 0. Removing it again is success. Call before the manifest is removed from the store. */
int catalog_remove(struct catalog *catalog, uint32_t index, struct err *err) ERR_CHECK;
/* BACKUP_HELD, BACKUP_OFF_VOLUME and BACKUP_UNREADABLE come and go; other bits are refused. */
int catalog_mark(struct catalog *catalog, uint32_t index, uint32_t set_flags, uint32_t clear_flags, struct err *err) ERR_CHECK;

struct catalog_stats {
    uint64_t records;
    uint64_t live;
    uint64_t useless; /* records of no use any more */
    uint64_t bytes;
    uint64_t generation; /* counts compactions and rebuilds */
};
void catalog_stats_of(const struct catalog *catalog, struct catalog_stats *ret_stats);
/* More than a quarter, and more than 4096, of the records are of no use any more. */
bool catalog_wants_compaction(const struct catalog *catalog);
int catalog_compact(struct catalog *catalog, struct err *err) ERR_CHECK;
/* Gives the mapped pages back after a long walk, so that they do not count as resident. */
void catalog_release_pages(const struct catalog *catalog);
/* Reads everything and checks every record: ERR_CORRUPT names the first bad one. */
int catalog_check(const struct catalog *catalog, struct err *err) ERR_CHECK;

/* ---- from the store ---- */
struct catalog_rebuild_result {
    uint64_t databases;
    uint64_t sets;
    uint64_t unreadable; /* manifests that were left out */
    char first_unreadable[STORE_NAME_MAX];
    struct err first_error;
};
struct catalog_rebuild_control {
    void (*progress)(void *user, const char *folder, uint64_t sets);
    void (*unreadable)(void *user, const char *name, const struct err *err); /* each manifest that is left out */
    void *user;
    const _Atomic(bool) *cancel;
};
/* Makes the file anew from the store's manifests; what was there stays until the new one is whole and durable. The result
 * opens with catalog_open() of the same identity and scope. control may be NULL. Holds are read, too. */
int catalog_rebuild(const char *path, const char *identity, const char *scope, struct store *store,
                    const struct catalog_rebuild_control *control, struct catalog_rebuild_result *ret_result,
                    struct err *err) ERR_CHECK;
/* Appends what the store has and the catalog has not, for the moment after a crash between commit and append. It lists all
 * names and reads the manifests of unknown ones only; those that cannot be read are left out, as in a rebuild. */
int catalog_catch_up(struct catalog *catalog, struct store *store, uint64_t *ret_added, struct err *err) ERR_CHECK;

#endif
