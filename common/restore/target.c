/* SPDX-License-Identifier: Apache-2.0 */
#include "common/restore/target.h"

#include <ctype.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/ask.h"
#include "common/restore/place.h"

#define PAGE_BYTES UINT64_C(8192)
#define PATHS_PER_BATCH 50
#define NAMES_PER_BATCH 200

/* --- rights and version ---------------------------------------------------------------------------------------- */

static int rights_row(void *user, const struct sql_row *row, struct err *err) {
    struct restore_target *t = user;
    (void)err;
    sql_row_copy(row, "login_name", t->login, sizeof(t->login));
    t->sysadmin = sql_row_bool(row, "is_sysadmin");
    t->dbcreator = sql_row_bool(row, "is_dbcreator");
    t->create_any_database = sql_row_bool(row, "may_create");
    t->alter_any_database = sql_row_bool(row, "may_alter");
    t->alter_any_connection = sql_row_bool(row, "may_kill");
    t->server_state = sql_row_bool(row, "may_state");
    t->certificates_known = sql_row_bool(row, "may_define");
    sql_row_int(row, "database_version", &t->database_version);
    return 0;
}

static int rights_read(struct sql_session *session, struct restore_target *t, struct err *err) {
    static const char text[] = "SELECT SUSER_SNAME() AS login_name, IS_SRVROLEMEMBER(N'sysadmin') AS is_sysadmin, "
                               "IS_SRVROLEMEMBER(N'dbcreator') AS is_dbcreator, "
                               "HAS_PERMS_BY_NAME(NULL, NULL, N'CREATE ANY DATABASE') AS may_create, "
                               "HAS_PERMS_BY_NAME(NULL, NULL, N'ALTER ANY DATABASE') AS may_alter, "
                               "HAS_PERMS_BY_NAME(NULL, NULL, N'ALTER ANY CONNECTION') AS may_kill, "
                               "HAS_PERMS_BY_NAME(NULL, NULL, N'VIEW SERVER STATE') AS may_state, "
                               "HAS_PERMS_BY_NAME(NULL, NULL, N'VIEW ANY DEFINITION') AS may_define, "
                               "CONVERT(int, DATABASEPROPERTYEX(N'master', N'Version')) AS database_version";
    return sql_query(session, text, NULL, rights_row, t, err) < 0 ? err_context(err, "rights on the target instance") : 0;
}

/* --- databases ------------------------------------------------------------------------------------------------- */

static struct target_db *db_by_id(struct restore_target *t, int id) {
    for (size_t i = 0; i < t->database_count; i++)
        if (t->databases[i].info.id == id)
            return &t->databases[i];
    return NULL;
}

static int ownership_row(void *user, const struct sql_row *row, struct err *err) {
    int id = 0;
    (void)err;
    if (!sql_row_int(row, "database_id", &id))
        return 0;
    struct target_db *db = db_by_id(user, id);
    if (!db)
        return 0;
    db->mine = sql_row_bool(row, "is_mine");
    db->has_snapshots = sql_row_bool(row, "snapshots");
    return 0;
}

static int databases_read(struct sql_session *session, struct restore_target *t, struct err *err) {
    static const char text[] = "SELECT d.database_id, CASE WHEN d.owner_sid = SUSER_SID() THEN 1 ELSE 0 END AS is_mine, "
                               "(SELECT COUNT(*) FROM sys.databases AS s WHERE s.source_database_id = d.database_id) AS "
                               "snapshots FROM sys.databases AS d";
    struct sql_database_list list = {0};
    if (sql_databases_read(session, &t->server.clock, &list, err) < 0)
        return -1;
    t->databases = mem_array(list.count + 1, sizeof(*t->databases));
    t->database_count = list.count;
    for (size_t i = 0; i < list.count; i++)
        t->databases[i].info = list.items[i];
    sql_databases_done(&list);
    return restore_ask(session, text, ownership_row, t, NULL, err);
}

/* --- files and volumes ----------------------------------------------------------------------------------------- */

struct files_job {
    struct restore_target *target;
    size_t cap;
};

static int file_row(void *user, const struct sql_row *row, struct err *err) {
    struct files_job *job = user;
    struct restore_target *t = job->target;
    struct target_file file = {0};
    uint64_t pages = 0;
    int type = -1;
    if (!sql_row_int(row, "database_id", &file.database_id) || !sql_row_int(row, "file_id", &file.file.id) ||
        !sql_row_int(row, "type", &type) || !sql_row_copy(row, "name", file.file.logical, sizeof(file.file.logical)) ||
        !sql_row_copy(row, "physical_name", file.file.physical, sizeof(file.file.physical)))
        return err_set(err, ERR_PROTOCOL, "sys.master_files: row is not complete");
    file.file.type = type == 0 ? 'D' : type == 1 ? 'L' : type == 4 ? 'F' : 'S';
    if (sql_row_u64(row, "size", &pages))
        file.file.size_bytes = pages * PAGE_BYTES;
    t->files = mem_grow(t->files, &job->cap, t->file_count + 1, sizeof(*t->files));
    t->files[t->file_count++] = file;
    struct target_db *db = file.file.id == 1 ? db_by_id(t, file.database_id) : NULL;
    if (db) {
        sql_row_lsn(row, "redo_start_lsn", &db->redo_start_lsn);
        sql_row_guid(row, "redo_start_fork_guid", &db->redo_start_fork);
        sql_row_guid(row, "differential_base_guid", &db->differential_base);
    }
    return 0;
}

/* "/a/b/c.mdf" -> "/a/b" in its one form; false when it is no path. */
static bool folder_of(const char *path, char *dst, size_t dst_bytes) {
    _cleanup_free_ char *normal = restore_path_normal(path);
    if (!normal)
        return false;
    char *slash = strrchr(normal, '/');
    if (!slash)
        return false;
    slash[slash == normal ? 1 : 0] = 0;
    return str_copy(dst, dst_bytes, normal);
}

static int volume_row(void *user, const struct sql_row *row, struct err *err) {
    struct files_job *job = user;
    struct restore_target *t = job->target;
    struct target_volume v = {0};
    (void)err;
    const char *path = sql_row_text(row, "physical_name");
    if (!path || !folder_of(path, v.dir, sizeof(v.dir)) || !sql_row_u64(row, "total_bytes", &v.total_bytes) ||
        !sql_row_u64(row, "available_bytes", &v.free_bytes))
        return 0; /* a file on something that has no size */
    sql_row_copy(row, "mount", v.mount, sizeof(v.mount));
    for (size_t i = 0; i < t->volume_count; i++)
        if (!strcmp(t->volumes[i].dir, v.dir))
            return 0;
    t->volumes = mem_grow(t->volumes, &job->cap, t->volume_count + 1, sizeof(*t->volumes));
    t->volumes[t->volume_count++] = v;
    return 0;
}

static int files_read(struct sql_session *session, struct restore_target *t, struct err *err) {
    static const char files[] = "SELECT database_id, file_id, type, name, physical_name, size, redo_start_lsn, "
                                "redo_start_fork_guid, differential_base_guid "
                                "FROM sys.master_files ORDER BY database_id, file_id";
    static const char volumes[] =
        "SELECT f.physical_name, v.volume_mount_point AS mount, v.total_bytes, v.available_bytes FROM sys.master_files AS f "
        "CROSS APPLY sys.dm_os_volume_stats(f.database_id, f.file_id) AS v ORDER BY f.database_id, f.file_id";
    struct files_job job = {.target = t}, volume_job = {.target = t};
    if (sql_query(session, files, NULL, file_row, &job, err) < 0)
        return err_context(err, "files of the target instance");
    return restore_ask(session, volumes, volume_row, &volume_job, &t->volumes_known, err);
}

/* --- certificates ---------------------------------------------------------------------------------------------- */

struct certificates_job {
    struct restore_target *target;
    size_t cap;
};

static int certificate_row(void *user, const struct sql_row *row, struct err *err) {
    struct certificates_job *job = user;
    struct restore_target *t = job->target;
    struct target_thumbprint c = {0};
    (void)err;
    const char *key = sql_row_text(row, "key_type");
    if (!sql_row_copy(row, "thumbprint", c.hex, sizeof(c.hex)) || !c.hex[0])
        return 0;
    for (char *p = c.hex; *p; p++)
        *p = (char)toupper((unsigned char)*p);
    c.private_key = !key || strcmp(key, "NA") != 0;
    t->certificates = mem_grow(t->certificates, &job->cap, t->certificate_count + 1, sizeof(*t->certificates));
    t->certificates[t->certificate_count++] = c;
    return 0;
}

static int certificates_read(struct sql_session *session, struct restore_target *t, struct err *err) {
    static const char certificates[] = "SELECT thumbprint, pvt_key_encryption_type AS key_type FROM master.sys.certificates";
    static const char keys[] = "SELECT thumbprint, pvt_key_encryption_type AS key_type FROM master.sys.asymmetric_keys";
    struct certificates_job job = {.target = t};
    bool able = false;
    if (restore_ask(session, certificates, certificate_row, &job, &able, err) < 0)
        return -1;
    /* Without VIEW ANY DEFINITION the list is empty, which is no answer. */
    t->certificates_known = able && (t->certificates_known || t->sysadmin);
    /* TDE by a key of an external provider. */
    return restore_ask(session, keys, certificate_row, &job, NULL, err);
}

enum target_certificate target_certificate_find(const struct restore_target *t, const char *thumbprint) {
    if (str_starts(thumbprint, "0x") || str_starts(thumbprint, "0X"))
        thumbprint += 2;
    for (size_t i = 0; i < t->certificate_count; i++)
        if (str_ieq(t->certificates[i].hex, thumbprint))
            return t->certificates[i].private_key ? TARGET_CERTIFICATE_GOOD : TARGET_CERTIFICATE_NO_KEY;
    return t->certificates_known ? TARGET_CERTIFICATE_ABSENT : TARGET_CERTIFICATE_UNKNOWN;
}

/* --- the whole ------------------------------------------------------------------------------------------------- */

int target_read(struct sql_session *session, struct restore_target *ret_target, struct err *err) {
    struct restore_target t = {0};
    if (sql_server_read(session, &t.server, err) < 0 || rights_read(session, &t, err) < 0 ||
        databases_read(session, &t, err) < 0 || files_read(session, &t, err) < 0 || certificates_read(session, &t, err) < 0) {
        target_done(&t);
        return err_context(err, "looking at the target instance");
    }
    *ret_target = t;
    return 0;
}

static int fork_row(void *user, const struct sql_row *row, struct err *err) {
    struct target_db *db = user;
    (void)err;
    sql_row_guid(row, "first_recovery_fork_guid", &db->first_fork);
    sql_row_lsn(row, "fork_point_lsn", &db->fork_point);
    return 0;
}

int target_state_read(struct sql_session *session, struct target_db *db, struct err *err) {
    struct chain_server_state state = {0};
    char text[160];
    db->state_known = false;
    db->first_fork = (struct guid){0};
    db->fork_point = (struct lsn){0};
    if (sql_database_state(session, &db->info, true, &state, err) < 0)
        return -1;
    str_format(text, sizeof(text),
               "SELECT first_recovery_fork_guid, fork_point_lsn FROM sys.database_recovery_status WHERE database_id = %d",
               db->info.id);
    if (state.online && restore_ask(session, text, fork_row, db, NULL, err) < 0)
        return -1;
    if (guid_eq(&db->first_fork, &state.recovery_fork_guid))
        db->first_fork = (struct guid){0};
    db->state = state;
    db->state_known = true;
    return 0;
}

void target_done(struct restore_target *t) {
    mem_free(t->databases);
    mem_free(t->files);
    mem_free(t->volumes);
    mem_free(t->certificates);
    mem_free(t->names);
    *t = (struct restore_target){0};
}

/* --- names ----------------------------------------------------------------------------------------------------- */

static int id_row(void *user, const struct sql_row *row, struct err *err) {
    (void)err;
    sql_row_int(row, "database_id", user);
    return 0;
}

int target_resolve(struct sql_session *session, struct restore_target *t, const char *name, struct err *err) {
    struct target_name found = {.database_id = 0};
    struct buf text;
    for (size_t i = 0; i < t->name_count; i++)
        if (!strcmp(t->names[i].name, name))
            return 0;
    buf_init(&text, SQL_TEXT_MAX);
    buf_puts(&text, "SELECT database_id FROM sys.databases WHERE name = ");
    sql_quote_text(&text, name);
    int rc = sql_text_check(&text, "name of a database", err);
    if (rc == 0)
        rc = sql_query(session, text.data, NULL, id_row, &found.database_id, err);
    buf_done(&text);
    if (rc < 0)
        return err_context(err, "looking for database '%s'", name);
    str_copy(found.name, sizeof(found.name), name);
    t->names = mem_realloc(t->names, (t->name_count + 1) * sizeof(*t->names));
    t->names[t->name_count++] = found;
    return 0;
}

struct pair {
    bool any;
    uint64_t a, b;
};

static int pair_row(void *user, const struct sql_row *row, struct err *err) {
    struct pair *p = user;
    (void)err;
    p->any = !p->any && sql_row_u64(row, "a", &p->a) && sql_row_u64(row, "b", &p->b);
    return 0;
}

/* Of such names we know ourselves which are one for any server that does not tell case from case. */
static bool is_plain(const char *name) {
    size_t len = strlen(name);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)name[i] >= 0x80)
            return false;
    return !len || name[len - 1] != ' ';
}

static void put_names(struct buf *out, const char *const *names, size_t begin, size_t end) {
    bool any = false;
    buf_puts(out, "(");
    for (size_t i = begin; i < end; i++) {
        buf_printf(out, "%sSELECT %zu AS i, ", any ? " UNION ALL " : "", i);
        sql_quote_text(out, names[i]);
        buf_puts(out, " AS n");
        any = true;
    }
    buf_puts(out, ")");
}

/* Those of one batch with those of another. */
static int pairs_ask(struct sql_session *session, const char *const *names, size_t count, size_t a, size_t b, struct pair *pair,
                     struct err *err) {
    struct buf text;
    buf_init(&text, SQL_TEXT_MAX);
    buf_puts(&text, "SELECT TOP (1) x.i AS a, y.i AS b FROM ");
    put_names(&text, names, a, a + NAMES_PER_BATCH < count ? a + NAMES_PER_BATCH : count);
    buf_puts(&text, " AS x INNER JOIN ");
    put_names(&text, names, b, b + NAMES_PER_BATCH < count ? b + NAMES_PER_BATCH : count);
    buf_puts(&text, " AS y ON x.n = y.n AND x.i < y.i");
    int rc = sql_text_check(&text, "names of databases", err);
    if (rc == 0)
        rc = sql_query(session, text.data, NULL, pair_row, pair, err);
    buf_done(&text);
    return rc;
}

int target_names_differ(struct sql_session *session, const char *const *names, size_t count, bool *ret_differ, size_t *ret_a,
                        size_t *ret_b, struct err *err) {
    struct pair pair = {.any = false};
    bool plain = true;
    *ret_differ = true;
    for (size_t i = 0; i < count; i++) {
        plain = plain && is_plain(names[i]);
        for (size_t k = 0; k < i; k++)
            if (str_ieq(names[k], names[i])) {
                *ret_differ = false;
                *ret_a = k;
                *ret_b = i;
                return 0;
            }
    }
    for (size_t a = 0; !plain && a < count && !pair.any; a += NAMES_PER_BATCH)
        for (size_t b = a; b < count && !pair.any; b += NAMES_PER_BATCH)
            if (pairs_ask(session, names, count, a, b, &pair, err) < 0)
                return err_context(err, "comparing names");
    if (pair.any && pair.a < count && pair.b < count) {
        *ret_differ = false;
        *ret_a = pair.a;
        *ret_b = pair.b;
    }
    return 0;
}

struct target_db *target_find(const struct restore_target *target, const char *name) {
    for (size_t i = 0; i < target->name_count; i++)
        if (!strcmp(target->names[i].name, name))
            return db_by_id((struct restore_target *)(uintptr_t)target, target->names[i].database_id);
    for (size_t i = 0; i < target->database_count; i++)
        if (str_ieq(target->databases[i].info.name, name))
            return &target->databases[i];
    return NULL;
}

/* --- volumes --------------------------------------------------------------------------------------------------- */

/* Is `dir` the folder or one above it? */
static bool holds(const char *dir, const char *folder) {
    size_t len = strlen(dir);
    if (!len || strncmp(folder, dir, len) != 0)
        return false;
    return !folder[len] || folder[len] == '/' || dir[len - 1] == '/';
}

const struct target_volume *target_volume_of(const struct restore_target *t, const char *path) {
    char folder[SQL_PATH_MAX];
    const struct target_volume *best = NULL;
    size_t best_len = 0;
    if (!folder_of(path, folder, sizeof(folder)))
        return NULL;
    /* The nearest known directory above it; something else could be mounted between the two, which only the server knows. */
    for (size_t i = 0; i < t->volume_count; i++) {
        size_t len = strlen(t->volumes[i].dir);
        if (len > best_len && holds(t->volumes[i].dir, folder)) {
            best = &t->volumes[i];
            best_len = len;
        }
    }
    if (best && best_len == strlen(folder))
        return best;
    /* "/" is above everything and says nothing. */
    for (size_t i = 0; i < t->volume_count; i++) {
        _cleanup_free_ char *mount = restore_path_normal(t->volumes[i].mount);
        size_t len = mount ? strlen(mount) : 0;
        if (len > 1 && len > best_len && holds(mount, folder)) {
            best = &t->volumes[i];
            best_len = len;
        }
    }
    return best_len > 1 ? best : NULL;
}

bool target_volume_same(const struct target_volume *a, const struct target_volume *b) {
    return !strcmp(a->mount, b->mount) && a->total_bytes == b->total_bytes;
}

/* --- paths ----------------------------------------------------------------------------------------------------- */

struct paths_job {
    enum target_path *found;
    size_t count;
};

static int path_row(void *user, const struct sql_row *row, struct err *err) {
    struct paths_job *job = user;
    uint64_t n = 0;
    (void)err;
    if (!sql_row_u64(row, "n", &n) || n >= job->count)
        return 0;
    job->found[n] = sql_row_bool(row, "file_is_a_directory")       ? TARGET_PATH_FOLDER
                    : sql_row_bool(row, "file_exists")             ? TARGET_PATH_FILE
                    : sql_row_bool(row, "parent_directory_exists") ? TARGET_PATH_FREE
                                                                   : TARGET_PATH_NO_FOLDER;
    return 0;
}

int target_paths_read(struct sql_session *session, const char *const *paths, size_t count, enum target_path *ret_found,
                      struct err *err) {
    struct paths_job job = {.found = mem_array(count + 1, sizeof(*job.found)), .count = count};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count;) {
        struct buf text;
        buf_init(&text, SQL_TEXT_MAX);
        for (size_t k = 0; k < PATHS_PER_BATCH && i < count; k++, i++) {
            buf_printf(&text,
                       "SELECT %zu AS n, file_exists, file_is_a_directory, parent_directory_exists FROM sys.dm_os_file_exists(",
                       i);
            sql_quote_text_max(&text, paths[i], SQL_PATH_CHARS);
            buf_puts(&text, "); ");
        }
        rc = sql_text_check(&text, "paths of files", err);
        if (rc == 0)
            rc = restore_ask(session, text.data, path_row, &job, NULL, err);
        buf_done(&text);
    }
    if (rc == 0)
        memcpy(ret_found, job.found, count * sizeof(*job.found));
    mem_free(job.found);
    return rc;
}
