/* SPDX-License-Identifier: Apache-2.0 */
/* A target instance for tests: a 2022 Developer with its system databases and whatever a test puts there. */
#ifndef MSSQL_TEST_RESTORE_TARGET_MAKE_H
#define MSSQL_TEST_RESTORE_TARGET_MAKE_H

#include "common/base/str.h"
#include "common/restore/target.h"
#include "tests/unit/support/unit.h"

static inline struct restore_target target_make(void) {
    struct restore_target t = {.database_version = 957,
                               .sysadmin = true,
                               .create_any_database = true,
                               .server_state = true,
                               .certificates_known = true,
                               .volumes_known = true};
    t.server.major = 16;
    t.server.engine_edition = 3;
    str_copy(t.login, sizeof(t.login), "admin");
    str_copy(t.server.version, sizeof(t.server.version), "16.0.4236.2");
    str_copy(t.server.edition, sizeof(t.server.edition), "Developer Edition (64-bit)");
    str_copy(t.server.name, sizeof(t.server.name), "sql-0");
    str_copy(t.server.machine, sizeof(t.server.machine), "sql-0");
    str_copy(t.server.collation, sizeof(t.server.collation), "SQL_Latin1_General_CP1_CI_AS");
    str_copy(t.server.data_path, sizeof(t.server.data_path), "/var/opt/mssql/data/");
    str_copy(t.server.log_path, sizeof(t.server.log_path), "/var/opt/mssql/log/");
    return t;
}

static inline struct target_db *target_add_db(struct restore_target *t, int id, const char *name) {
    t->databases = mem_realloc(t->databases, (t->database_count + 1) * sizeof(*t->databases));
    struct target_db *db = &t->databases[t->database_count++];
    *db = (struct target_db){.info = {.id = id, .recovery = SQL_RECOVERY_FULL}};
    str_copy(db->info.name, sizeof(db->info.name), name);
    str_copy(db->info.state_text, sizeof(db->info.state_text), "ONLINE");
    return db;
}

static inline void target_add_file(struct restore_target *t, int database_id, char type, const char *logical,
                                   const char *physical, uint64_t bytes) {
    t->files = mem_realloc(t->files, (t->file_count + 1) * sizeof(*t->files));
    struct target_file *f = &t->files[t->file_count++];
    *f = (struct target_file){.database_id = database_id, .file = {.type = type, .size_bytes = bytes}};
    str_copy(f->file.logical, sizeof(f->file.logical), logical);
    str_copy(f->file.physical, sizeof(f->file.physical), physical);
}

static inline void target_add_volume(struct restore_target *t, const char *dir, const char *mount, uint64_t total,
                                     uint64_t free) {
    t->volumes = mem_realloc(t->volumes, (t->volume_count + 1) * sizeof(*t->volumes));
    struct target_volume *v = &t->volumes[t->volume_count++];
    *v = (struct target_volume){.total_bytes = total, .free_bytes = free};
    str_copy(v->dir, sizeof(v->dir), dir);
    str_copy(v->mount, sizeof(v->mount), mount);
}

static inline void target_add_certificate(struct restore_target *t, const char *hex, bool private_key) {
    t->certificates = mem_realloc(t->certificates, (t->certificate_count + 1) * sizeof(*t->certificates));
    struct target_thumbprint *c = &t->certificates[t->certificate_count++];
    *c = (struct target_thumbprint){.private_key = private_key};
    str_copy(c->hex, sizeof(c->hex), hex);
}

#endif
