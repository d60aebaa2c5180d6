/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a database, as the server has them now or as a backup holds them, and the volumes below. */
#include "common/sql/backup.h"
#include "common/sql/database.h"
#include "common/sql/int.h"

struct files_job {
    struct sql_file_list list;
    size_t cap;
};

static int add(struct files_job *job, const struct sql_file *file) {
    job->list.items = mem_grow(job->list.items, &job->cap, job->list.count + 1, sizeof(*job->list.items));
    job->list.items[job->list.count++] = *file;
    return 0;
}

/* sys.master_files.type */
static char type_letter(int type) {
    return type == 0 ? 'D' : type == 1 ? 'L' : type == 2 ? 'S' : type == 4 ? 'F' : '?';
}

static int master_row(void *user, const struct sql_row *row, struct err *err) {
    struct sql_file file = {0};
    int type = -1;
    uint64_t pages = 0;
    if (!sql_row_int(row, "file_id", &file.id) || !sql_row_int(row, "type", &type) ||
        !sql_row_copy(row, "name", file.logical, sizeof(file.logical)) ||
        !sql_row_copy(row, "physical_name", file.physical, sizeof(file.physical)))
        return err_set(err, ERR_PROTOCOL, "sys.master_files: row is not complete");
    file.type = type_letter(type);
    if (sql_row_u64(row, "size", &pages))
        file.size_bytes = pages * 8192;
    return add(user, &file);
}

int sql_files_read(struct sql_session *session, int database_id, struct sql_file_list *ret_list, struct err *err) {
    struct files_job job = {0};
    char text[256];
    str_format(text, sizeof(text),
               "SELECT file_id, type, name, physical_name, size FROM sys.master_files "
               "WHERE database_id = %d ORDER BY file_id",
               database_id);
    if (sql_query(session, text, NULL, master_row, &job, err) < 0) {
        sql_files_done(&job.list);
        return err_context(err, "files of database %d", database_id);
    }
    *ret_list = job.list;
    return 0;
}

static int filelist_row(void *user, const struct sql_row *row, struct err *err) {
    struct sql_file file = {0};
    const char *type = sql_row_text(row, "Type");
    sql_row_int(row, "FileId", &file.id);
    if (!type || !type[0] || !sql_row_copy(row, "LogicalName", file.logical, sizeof(file.logical)) ||
        !sql_row_copy(row, "PhysicalName", file.physical, sizeof(file.physical)) || !sql_row_u64(row, "Size", &file.size_bytes))
        return err_set(err, ERR_CORRUPT, "the list of files in the backup is not complete");
    file.type = type[0];
    sql_row_copy(row, "TDEThumbprint", file.tde_thumbprint, sizeof(file.tde_thumbprint));
    return add(user, &file);
}

static int filelist_query(struct sql_session *session, const char *const *paths, size_t count, struct files_job *job,
                          struct err *err) {
    static const struct sql_call call = {.timeout_s = 600}; /* may read a good part of the file */
    struct buf text;
    buf_init(&text, SQL_TEXT_MAX);
    buf_puts(&text, "RESTORE FILELISTONLY FROM ");
    for (size_t i = 0; i < count; i++) {
        buf_puts(&text, i ? ", DISK = " : "DISK = ");
        sql_quote_text_max(&text, paths[i], SQL_PATH_CHARS);
    }
    int rc = sql_text_check(&text, "RESTORE FILELISTONLY", err);
    if (rc == 0)
        rc = sql_query(session, text.data, &call, filelist_row, job, err);
    buf_done(&text);
    return rc;
}

int sql_filelist_read(struct sql_session *session, const char *const *paths, size_t path_count, struct sql_file_list *ret_list,
                      struct err *err) {
    struct files_job job = {0};
    struct err e;
    err_clear(&e);
    /* The grammar knows one device. Where the server wants all stripes it says so with 3132. */
    int rc = filelist_query(session, paths, 1, &job, &e);
    if (rc < 0 && e.sql_number == 3132 && path_count > 1) {
        job.list.count = 0;
        rc = filelist_query(session, paths, path_count, &job, &e);
    }
    if (rc == 0 && !job.list.count)
        rc = err_set(&e, ERR_CORRUPT, "the backup lists no files");
    if (rc < 0) {
        sql_files_done(&job.list);
        err_copy(err, &e);
        return err_context(err, "files in '%s'", paths[0]);
    }
    *ret_list = job.list;
    return 0;
}

void sql_files_done(struct sql_file_list *list) {
    mem_free(list->items);
    *list = (struct sql_file_list){0};
}

struct volumes_job {
    struct sql_volume_list list;
    size_t cap;
};

static int volume_row(void *user, const struct sql_row *row, struct err *err) {
    struct volumes_job *job = user;
    struct sql_volume v = {0};
    (void)err;
    sql_row_copy(row, "mount", v.mount, sizeof(v.mount));
    if (!sql_row_u64(row, "total_bytes", &v.total_bytes) || !sql_row_u64(row, "available_bytes", &v.free_bytes))
        return 0; /* a file on something that has no size */
    job->list.items = mem_grow(job->list.items, &job->cap, job->list.count + 1, sizeof(*job->list.items));
    job->list.items[job->list.count++] = v;
    return 0;
}

int sql_volumes_read(struct sql_session *session, int database_id, struct sql_volume_list *ret_list, struct err *err) {
    struct volumes_job job = {0};
    char text[512];
    str_format(text, sizeof(text),
               "SELECT DISTINCT v.volume_mount_point AS mount, v.total_bytes, v.available_bytes FROM sys.master_files AS f "
               "CROSS APPLY sys.dm_os_volume_stats(f.database_id, f.file_id) AS v WHERE f.database_id = %d",
               database_id);
    if (sql_query_if_able(session, text, volume_row, &job, err) < 0) {
        sql_volumes_done(&job.list);
        return err_context(err, "volumes of database %d", database_id);
    }
    *ret_list = job.list;
    return 0;
}

void sql_volumes_done(struct sql_volume_list *list) {
    mem_free(list->items);
    *list = (struct sql_volume_list){0};
}
