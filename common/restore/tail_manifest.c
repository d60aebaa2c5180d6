/* SPDX-License-Identifier: Apache-2.0 */
/* The tail as a backup like any other: read back, described, and for those without a job pipeline put into the store. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/tail.h"
#include "common/sql/history.h"
#include "common/store/backups.h"

void restore_tail_done(struct restore_tail *tail) {
    mem_free(tail->server_path);
    mem_free(tail->local_path);
    manifest_done(&tail->manifest);
    *tail = (struct restore_tail){0};
}

static void fill_files(struct manifest *m, const struct sql_file_list *files) {
    for (size_t i = 0; i < files->count; i++) {
        const struct sql_file *f = &files->items[i];
        struct manifest_file *mf = manifest_add_file(m);
        manifest_set(&mf->logical_name, f->logical);
        manifest_set(&mf->physical_name, f->physical);
        mf->type = f->type;
        mf->size_bytes = f->size_bytes;
        mf->file_id = (uint32_t)f->id;
        if (f->tde_thumbprint[0])
            manifest_set(&m->tde_thumbprint, f->tde_thumbprint);
    }
}

static void fill_options(struct manifest_options *o, const struct sql_db_options *from) {
    manifest_set(&o->owner, from->owner);
    o->trustworthy = from->trustworthy;
    o->broker_enabled = from->broker;
    o->db_chaining = from->db_chaining;
    o->honor_broker_priority = from->honor_broker_priority;
    o->cdc_enabled = from->cdc;
    o->is_published = from->published || from->merge_published;
    o->is_subscribed = from->subscribed;
}

/* Marks are a convenience: a log without them is restored by time or LSN. */
static void fill_marks(struct sql_session *session, const struct restore_tail_facts *facts, struct manifest *m) {
    struct sql_mark_list marks = {0};
    struct err ignored;
    if (sql_marks_read(session, facts->database, m->backup.first_lsn, &facts->target->server.clock, &marks, &ignored) < 0)
        return;
    for (size_t i = 0; i < marks.count; i++) {
        if (lsn_cmp(marks.items[i].lsn, m->backup.last_lsn) >= 0)
            continue;
        struct manifest_mark *mark = manifest_add_mark(m);
        manifest_set(&mark->name, marks.items[i].name);
        manifest_set(&mark->description, marks.items[i].description);
        mark->lsn = marks.items[i].lsn;
        mark->at = marks.items[i].at;
    }
    sql_marks_done(&marks);
}

static void fill_manifest(struct manifest *m, const struct restore_tail_facts *facts, const struct sql_header *h) {
    m->format_major = MANIFEST_FORMAT_MAJOR;
    m->format_minor = MANIFEST_FORMAT_MINOR;
    m->backup = h->backup;
    m->backup.flags |= BACKUP_TAIL;
    m->backup.stripes = 1;
    manifest_set(&m->valid_until_source, "server");
    if (!m->backup.valid_until) {
        m->backup.valid_until = h->backup.finish_at; /* nobody could commit any more when it was taken */
        manifest_set(&m->valid_until_source, "sampled");
    }
    _cleanup_free_ char *reason = mem_printf("tail of the log before restore %s", facts->restore_id);
    manifest_set(&m->run_id, facts->run_id);
    manifest_set(&m->reason, reason);
    manifest_set(&m->trigger, "restore");
    manifest_set(&m->database, h->database);
    manifest_set(&m->folder, facts->folder);
    manifest_set(&m->collation, h->collation);
    m->compatibility_level = (uint32_t)h->compat_level;
    manifest_set(&m->recovery_model, h->recovery_model);
    m->database_version = (uint32_t)h->database_version;
    manifest_set(&m->tde_thumbprint, h->encryptor_thumbprint);
    manifest_set(&m->server_name, h->server);
    manifest_set(&m->machine, h->machine);
    manifest_set(&m->product_version, facts->target->server.version);
    manifest_set(&m->edition, facts->target->server.edition);
    manifest_set(&m->program_version, facts->program_version);
    if (facts->info)
        fill_options(&m->options, &facts->info->options);
}

int restore_tail_inspect(struct sql_session *session, const struct restore_tail_facts *facts, struct restore_tail *ret_tail,
                         struct err *err) {
    const char *const paths[] = {facts->server_path};
    struct sql_file_list files = {0};
    struct sql_header *h = mem_alloc(sizeof(*h));
    int rc = sql_header_read(session, paths, 1, &facts->target->server.clock, h, err);
    if (rc == 0 && strcmp(h->name, facts->run_id) != 0)
        rc = err_set(err, ERR_CORRUPT, "'%s' holds a backup set named '%s'", facts->server_path, h->name);
    if (rc == 0 && h->backup.kind != BACKUP_LOG)
        rc = err_set(err, ERR_CORRUPT, "'%s' holds a %s backup", facts->server_path, backup_kind_name(h->backup.kind));
    if (rc == 0)
        rc = sql_filelist_read(session, paths, 1, &files, err);
    if (rc < 0) {
        mem_free(h);
        return err_context(err, "tail of the log of '%s'", facts->database);
    }
    struct restore_tail tail = {.restore_id = facts->restore_id,
                                .database = facts->database,
                                .folder = facts->folder,
                                .server_path = mem_strdup(facts->server_path),
                                .local_path = mem_strdup(facts->local_path)};
    str_copy(tail.run_id, sizeof(tail.run_id), facts->run_id);
    manifest_init(&tail.manifest);
    fill_manifest(&tail.manifest, facts, h);
    fill_files(&tail.manifest, &files);
    fill_marks(session, facts, &tail.manifest);
    tail.set = tail.manifest.backup;
    sql_files_done(&files);
    mem_free(h);
    *ret_tail = tail;
    return 0;
}

/* --- into the store -------------------------------------------------------------------------------------------- */

/* A manifest of its own: the tail's stays as it is, for another try. */
static int copy_manifest(const struct restore_tail *tail, struct manifest *ret_m, struct err *err) {
    char name[STORE_NAME_MAX];
    _cleanup_free_ char *text = NULL;
    struct manifest m = tail->manifest;
    size_t len;
    /* The codec wants one object per stripe. */
    struct manifest_object place_holder = {.name = name, .stripe = 1, .codec = (char[]){"none"}};
    name_object(name, &m.backup, 1, "");
    m.objects = &place_holder;
    m.object_count = 1;
    if (manifest_format(&m, &text, &len, err) < 0 || manifest_parse(text, len, ret_m, err) < 0)
        return -1;
    return 0;
}

static int ship(struct store *store, const char *scope, const struct restore_tail *tail, struct manifest *m, struct err *err) {
    static const struct pipe_spec spec = {.codec = "zstd"};
    const struct filter_ops *filter;
    char name[STORE_NAME_MAX];
    if (filter_find(spec.codec, &filter, err) < 0 || file_fsync_path(tail->local_path, err) < 0)
        return -1;
    int fd = open(tail->local_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_os(err, ERR_NONE, errno, "open the tail %s", tail->local_path);
    const struct pipe_source source = {.fd = fd, .drop_cache = true};
    name_object(name, &m->backup, 1, filter->suffix);
    struct manifest_object *object = &m->objects[0];
    object->stripe = 1;
    int rc = store_ship_object(store, scope, tail->folder, &m->backup, name, &spec, &source, NULL, object, err);
    close(fd);
    if (rc == 0)
        m->backup.stored_bytes = object->stored_bytes;
    return rc;
}

int restore_tail_commit(struct store *store, const char *scope, const struct manifest *newest, const struct restore_tail *tail,
                        struct err *err) {
    struct manifest m, found;
    char previous[STORE_NAME_MAX] = "", name[STORE_NAME_MAX];
    if (copy_manifest(tail, &m, err) < 0)
        return err_context(err, "tail of the log of '%s'", tail->database);
    if (newest) {
        name_manifest(previous, &newest->backup);
        m.backup.incarnation = newest->backup.incarnation;
        m.sequence = newest->sequence ? newest->sequence + 1 : 0;
    }
    manifest_set(&m.previous, previous);
    int rc = store_find_backup(store, scope, tail->folder, &m.backup, &found, err);
    if (rc == 0) { /* of an earlier life; its commit may not be durable yet */
        rc = store_commit_backup(store, scope, &found, name, err);
        manifest_done(&found);
    } else if (err->class == ERR_NOT_FOUND) {
        err_clear(err);
        rc = ship(store, scope, tail, &m, err);
        if (rc == 0)
            rc = store_commit_backup(store, scope, &m, name, err);
    }
    manifest_done(&m);
    return rc < 0 ? err_context(err, "keeping the tail of the log of '%s' in the store", tail->database) : 0;
}
