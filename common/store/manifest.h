/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manifest of one backup: everything that a restore needs to know. It is written last, so it is the commit; it is
 * read first. JSON, LSNs as decimal strings, GUIDs as text, times RFC 3339 in UTC.
 *
 * The reader takes any bytes and gives a manifest or one clear error. Fields that it does not know are kept and written
 * back; an unknown major version is refused. All strings belong to the manifest (heap, never NULL after manifest_init:
 * absent is ""). Set them with manifest_set().
 */
#ifndef MSSQL_STORE_MANIFEST_H
#define MSSQL_STORE_MANIFEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/chain/backup.h"
#include "common/pipe/hash.h"

#define MANIFEST_FORMAT_MAJOR 1
#define MANIFEST_FORMAT_MINOR 0
#define MANIFEST_BYTES_MAX (4u << 20)
#define MANIFEST_FILES_MAX 32767 /* SQL Server's own limit of files per database */
#define MANIFEST_OBJECTS_MAX 64 /* stripes */
#define MANIFEST_PARTS_MAX 10000
#define MANIFEST_MARKS_MAX 10000

/* A file of the database, from RESTORE FILELISTONLY: what MOVE needs. */
struct manifest_file {
    char *logical_name;
    char *physical_name;
    char type; /* D data, L log, S memory-optimised or filestream, F full-text */
    char *filegroup;
    uint64_t size_bytes;
    uint32_t file_id;
    json_t *extra; /* fields that this version does not know */
};

struct manifest_mark {
    char *name;
    char *description;
    struct lsn lsn;
    int64_t at;
    json_t *extra;
};

struct manifest_part {
    uint64_t plain_bytes;
    uint64_t stored_bytes;
    struct hash stored_sha256;
};

/* One stripe. */
struct manifest_object {
    char *name; /* relative to the database's folder */
    uint32_t stripe; /* from 1 */
    uint64_t plain_bytes;
    uint64_t stored_bytes;
    struct hash plain_sha256;
    struct hash stored_sha256;
    char *codec;
    int32_t level;
    uint32_t record_bytes;
    struct manifest_part *parts;
    size_t part_count;
    json_t *extra;
};

/* What a restore resets and somebody wants back. */
struct manifest_options {
    char *owner;
    bool trustworthy;
    bool broker_enabled;
    bool cdc_enabled;
    bool change_tracking;
    bool db_chaining;
    bool honor_broker_priority;
    bool is_published; /* replication */
    bool is_subscribed;
    bool is_distributor;
};

/* A hole in the log chain that this set is the first one behind, as it was known when it was taken: msdb forgets who made it. */
struct manifest_hole {
    char *cause; /* stable word, "" none */
    int64_t cause_at;
    char *who;
    char *device;
    struct lsn from_lsn; /* last reachable point before it */
    int64_t from_at;
};

struct manifest {
    uint32_t format_major, format_minor;
    struct backup backup;
    uint64_t sequence; /* commits of this database's folder up to and with this one; 0: unknown */
    char *previous; /* manifest committed before this one in the folder, "<kind>/<stem>.json"; "" for the first */
    char *run_id;
    char *reason; /* why this kind: "scheduled", "chain broken: ..." */
    char *trigger; /* what asked for it: "schedule", "request", "size", "new database" */

    char *database; /* whole, current name, UTF-8 */
    char *folder;
    char *collation;
    uint32_t compatibility_level;
    char *recovery_model; /* FULL, BULK_LOGGED, SIMPLE */
    uint32_t database_version;
    char *tde_thumbprint; /* hex, "" without TDE */
    struct manifest_options options;

    char *server_name;
    char *machine;
    char *product_version;
    char *edition;
    char *program_version; /* of the writer */
    /* How backup.valid_until came about: "server" (LastValidRestoreTime) or "sampled"; "" when it is unknown. */
    char *valid_until_source;
    struct manifest_hole hole;

    struct manifest_file *files;
    size_t file_count;
    struct manifest_mark *marks;
    size_t mark_count;
    struct manifest_object *objects;
    size_t object_count;
    json_t *extra; /* unknown fields of the whole, nested as they were */
};

void manifest_init(struct manifest *m);
void manifest_done(struct manifest *m); /* may be called twice */
/* Replaces an owned string; NULL becomes "". */
void manifest_set(char **field, const char *value);
/* Grow the lists by one zeroed entry whose strings are "". The pointer is good until the next call. */
struct manifest_file *manifest_add_file(struct manifest *m);
struct manifest_mark *manifest_add_mark(struct manifest *m);
struct manifest_object *manifest_add_object(struct manifest *m);
struct manifest_part *manifest_add_part(struct manifest_object *object);

/* ERR_CORRUPT (not JSON, wrong type, missing field, contradiction: with the field's path), ERR_UNSUPPORTED (major version),
 * ERR_LIMIT. m needs no init and is untouched on failure. */
int manifest_parse(const char *data, size_t len, struct manifest *ret_m, struct err *err) ERR_CHECK;
/* mem_free() the text. ERR_INTERNAL when the manifest contradicts itself (manifest_check). */
int manifest_format(const struct manifest *m, char **ret_text, size_t *ret_len, struct err *err) ERR_CHECK;
/* Required fields are there, LSNs are in order, objects and stripes agree, names are relative and clean. */
int manifest_check(const struct manifest *m, struct err *err) ERR_CHECK;
/* Same content, whatever the order of fields. */
bool manifest_equal(const struct manifest *a, const struct manifest *b);
/* What the manifest tells of the hole before its set, as the chain rules know holes: it ends with the set at the latest. False when it tells of
 * none, or of a cause that this version does not know. */
struct chain_hole;
bool manifest_chain_hole(const struct manifest *m, struct chain_hole *ret_hole);
/* "copyOnly", "damaged", ...: the words of enum backup_flag, NULL for bits that have none. */
const char *manifest_flag_name(unsigned bit);

static inline void manifest_cleanup(struct manifest *m) {
    manifest_done(m);
}

#endif
