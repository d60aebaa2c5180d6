/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a staged backup back: its header is the truth about what was taken. Fills the set and the manifest. */
#include "sidecar/job/job.h"

#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/sql/history.h"
#include "sidecar/version.h"

static void fill_files(struct manifest *m, const struct sql_file_list *files) {
    for (size_t i = 0; i < files->count; i++) {
        const struct sql_file *f = &files->items[i];
        struct manifest_file *mf = manifest_add_file(m);
        manifest_set(&mf->logical_name, f->logical);
        manifest_set(&mf->physical_name, f->physical);
        mf->type = f->type;
        mf->size_bytes = f->size_bytes;
        mf->file_id = (uint32_t)f->id;
        if (f->tde_thumbprint[0]) /* the header names the certificate of an encrypted backup only */
            manifest_set(&m->tde_thumbprint, f->tde_thumbprint);
    }
}

static void fill_marks(struct job *job, struct sql_session *session, const struct sql_clock *clock) {
    struct sql_mark_list marks = {0};
    struct err err;
    if (job->entry.kind != BACKUP_LOG)
        return;
    if (sql_marks_read(session, job->entry.database, job->set.first_lsn, clock, &marks, &err) < 0) {
        log_error(LOG_WARN, &err, "marks could not be read; the log can still be restored by time and LSN", NULL);
        return;
    }
    for (size_t i = 0; i < marks.count; i++) {
        if (lsn_cmp(marks.items[i].lsn, job->set.last_lsn) >= 0)
            continue; /* the next log backup's */
        struct manifest_mark *mark = manifest_add_mark(&job->manifest);
        manifest_set(&mark->name, marks.items[i].name);
        manifest_set(&mark->description, marks.items[i].description);
        mark->lsn = marks.items[i].lsn;
        mark->at = marks.items[i].at;
    }
    sql_marks_done(&marks);
}

static void fill_options(struct manifest_options *o, const struct sql_db_options *from) {
    mem_free(o->owner);
    *o = (struct manifest_options){
        .owner = mem_strdup(from->owner),
        .trustworthy = from->trustworthy,
        .broker_enabled = from->broker,
        .db_chaining = from->db_chaining,
        .honor_broker_priority = from->honor_broker_priority,
        .cdc_enabled = from->cdc,
        .is_published = from->published || from->merge_published,
        .is_subscribed = from->subscribed,
    };
}

static void fill_manifest(struct job *job, const struct sql_header *h) {
    struct manifest *m = &job->manifest;
    m->format_major = MANIFEST_FORMAT_MAJOR;
    m->format_minor = MANIFEST_FORMAT_MINOR;
    m->backup = job->set;
    manifest_set(&m->run_id, job->entry.run_id);
    manifest_set(&m->reason, job->entry.reason);
    manifest_set(&m->trigger, job->entry.trigger);
    manifest_set(&m->database, h->database);
    manifest_set(&m->collation, h->collation);
    m->compatibility_level = (uint32_t)h->compat_level;
    manifest_set(&m->recovery_model, h->recovery_model);
    m->database_version = (uint32_t)h->database_version;
    manifest_set(&m->tde_thumbprint, h->encryptor_thumbprint);
    manifest_set(&m->server_name, h->server);
    manifest_set(&m->machine, h->machine);
    manifest_set(&m->product_version, job->server.version);
    manifest_set(&m->edition, job->server.edition);
    manifest_set(&m->program_version, MSSQL_SIDECAR_VERSION);
    fill_options(&m->options, &job->info.options);
}

/* The header must be this run's: a path that somebody reused is not ours to ship under this name. */
static int check_header(const struct job *job, const struct sql_header *h, struct err *err) {
    /* of an earlier owner after the state directory was lost, too: the run id is what says whose it is */
    _cleanup_free_ char *tail = mem_printf("/%s", job->entry.run_id);
    if (!str_ends(h->name, tail))
        return err_set(err, ERR_CORRUPT, "staged file of run %s holds a backup set named '%s'", job->entry.run_id, h->name);
    if (h->backup.kind != job->entry.kind)
        return err_set(err, ERR_CORRUPT, "staged file of run %s holds a %s backup, not a %s backup", job->entry.run_id,
                       backup_kind_name(h->backup.kind), backup_kind_name(job->entry.kind));
    return 0;
}

int job_inspect(struct job *job, struct sql_session *session, const struct sql_clock *clock, struct err *err) {
    char **paths = job_server_paths(job);
    struct sql_header header;
    struct sql_file_list files = {0};
    int rc = sql_header_read(session, (const char *const *)paths, job->entry.stripes, clock, &header, err);
    if (rc == 0)
        rc = check_header(job, &header, err);
    if (rc == 0)
        rc = sql_filelist_read(session, (const char *const *)paths, job->entry.stripes, &files, err);
    job_paths_free(paths);
    if (rc < 0)
        return err_context(err, "staged backup %s", job->entry.run_id);

    job->set = header.backup;
    job_media_compare(job, header.database);
    job->set.incarnation = job->entry.incarnation;
    job->set.stripes = (uint16_t)job->entry.stripes;
    manifest_set(&job->manifest.valid_until_source, job->set.valid_until ? "server" : "");
    if (!job->set.valid_until && job->entry.sampled_at) {
        job->set.valid_until = job->entry.sampled_at; /* every commit before the statement is in the set */
        manifest_set(&job->manifest.valid_until_source, "sampled");
    }
    fill_manifest(job, &header);
    fill_files(&job->manifest, &files);
    sql_files_done(&files);
    fill_marks(job, session, clock);
    return 0;
}
