/* SPDX-License-Identifier: Apache-2.0 */
/* Backups and manifests for the tests of this folder. */
#ifndef MSSQL_TEST_STORE_SETS_H
#define MSSQL_TEST_STORE_SETS_H

#include "common/base/clock.h"
#include "common/store/backups.h"
#include "common/store/manifest.h"

#define SETS_SCOPE "default/sql-a"
#define SETS_START (INT64_C(1792540800) * CLOCK_SECOND) /* 2026-10-21 */

static inline struct guid sets_guid(uint32_t n) {
    struct guid g = {{0}};
    for (unsigned i = 0; i < 16; i++)
        g.bytes[i] = (uint8_t)(n * 2654435761u >> (i % 4 * 8) ^ i * 17 ^ n);
    return g;
}

/* The n-th set of a database: a full at first, then logs, with a differential now and then. */
static inline struct backup sets_backup(uint32_t family, uint32_t n) {
    struct backup b = {.kind = n == 0       ? BACKUP_FULL
                               : n % 7 == 0 ? BACKUP_DIFF
                                            : BACKUP_LOG,
                       .flags = BACKUP_CHECKSUMS | BACKUP_UTC_OFFSET_KNOWN};
    b.set_guid = sets_guid(family * 100003 + n + 1);
    b.family_guid = sets_guid(family);
    b.database_guid = sets_guid(family + 7);
    b.first_fork = b.last_fork = sets_guid(family + 9);
    b.first_lsn = (struct lsn){34, 100 + n * 10, 1};
    b.last_lsn = (struct lsn){34, 100 + (n + 1) * 10, 1};
    b.checkpoint_lsn = b.first_lsn;
    b.start_at = SETS_START + n * CLOCK_MINUTE;
    b.finish_at = b.start_at + 2 * CLOCK_SECOND;
    b.valid_until = b.kind == BACKUP_LOG ? b.start_at : 0;
    b.utc_offset_s = 3600;
    b.size_bytes = 4096 + n;
    b.stripes = 1;
    b.position = 1;
    return b;
}

static inline void sets_manifest(struct manifest *m, const struct backup *b, const char *database, const char *folder,
                                 uint64_t sequence) {
    manifest_init(m);
    m->backup = *b;
    m->sequence = sequence;
    manifest_set(&m->database, database);
    manifest_set(&m->folder, folder);
    manifest_set(&m->run_id, "0190b6f0");
    manifest_set(&m->reason, "scheduled");
    manifest_set(&m->recovery_model, "FULL");
    manifest_set(&m->collation, "SQL_Latin1_General_CP1_CI_AS");
    manifest_set(&m->options.owner, "sa");
    m->options.broker_enabled = true;
    struct manifest_file *f = manifest_add_file(m);
    manifest_set(&f->logical_name, "db");
    manifest_set(&f->physical_name, "/var/opt/mssql/data/db.mdf");
    manifest_set(&f->filegroup, "PRIMARY");
    f->type = 'D';
    f->file_id = 1;
    f->size_bytes = 8 << 20;
}

struct sets_source {
    const char *data;
    size_t len, at;
};
static inline ssize_t sets_read(void *user, void *dst, size_t len, struct err *err) {
    (void)err;
    struct sets_source *s = user;
    size_t n = s->len - s->at < len ? s->len - s->at : len;
    if (n)
        memcpy(dst, s->data + s->at, n);
    s->at += n;
    return (ssize_t)n;
}

/* Ships `data` for this set and commits it. */
static inline int sets_ship(struct store *store, struct manifest *m, const char *codec, const char *data, size_t len,
                            struct err *err) {
    char name[STORE_NAME_MAX];
    struct sets_source s = {data, len, 0};
    struct pipe_source source = {.read = sets_read, .user = &s};
    struct pipe_spec spec = {.codec = codec, .record_bytes = 65536};
    name_object(name, &m->backup, 1, !strcmp(codec, "zstd") ? ".zst" : "");
    struct manifest_object *o = manifest_add_object(m);
    o->stripe = 1;
    if (store_ship_object(store, SETS_SCOPE, m->folder, &m->backup, name, &spec, &source, NULL, o, err) < 0)
        return -1;
    m->backup.stored_bytes = o->stored_bytes;
    return 0;
}

static inline int sets_put(struct store *store, uint32_t family, uint32_t n, const char *database, const char *folder,
                           struct err *err) {
    struct manifest m;
    struct backup b = sets_backup(family, n);
    char data[256];
    memset(data, 'a' + (int)(n % 26), sizeof(data));
    sets_manifest(&m, &b, database, folder, n + 1);
    int rc = sets_ship(store, &m, "none", data, sizeof(data), err);
    if (rc == 0)
        rc = store_commit_backup(store, SETS_SCOPE, &m, NULL, err);
    manifest_done(&m);
    return rc;
}

#endif
