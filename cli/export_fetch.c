/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/export.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/pipe/hash.h"

#define FOLDER_MODE 0750
#define FILE_MODE 0640
#define CHUNK (256u << 10)

/* ---- what is there ---- */

static int hash_file(int fd, struct hash *ret_hash, struct err *err) {
    struct hash_run *run;
    _cleanup_free_ char *data = mem_alloc(CHUNK);
    ssize_t n;
    int rc = 0;
    if (hash_begin(&run, err) < 0)
        return -1;
    while (rc == 0 && (n = file_read_full(fd, data, CHUNK, err)) != 0)
        rc = n < 0 ? -1 : hash_update(run, data, (size_t)n, err);
    if (rc == 0)
        rc = hash_take(run, ret_hash, err);
    hash_free(run);
    return rc;
}

static int look_at(const char *folder, struct export_file *f, struct err *err) {
    _cleanup_free_ char *path = file_join(folder, f->name);
    struct stat st;
    struct hash found;
    f->there = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0)
        return err_os(err, ERR_NONE, errno, "'%s'", path);
    int rc = 0;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == f->bytes) {
        rc = hash_file(fd, &found, err);
        f->there = rc == 0 && hash_eq(&found, &f->sha256);
    }
    close(fd);
    return rc < 0 ? err_context(err, "'%s'", path) : 0;
}

static int list_member(struct export_job *job, size_t member, size_t *cap, struct err *err) {
    struct plan_made *made = job->made;
    struct manifest m;
    if (source_manifest(made->origin->source, made->chain.database->folder, plan_set(made, member), &m, err) < 0)
        return -1;
    for (size_t i = 0; i < m.object_count; i++) {
        const struct manifest_object *o = &m.objects[i];
        job->files = mem_grow(job->files, cap, job->count + 1, sizeof(*job->files));
        struct export_file *f = &job->files[job->count++];
        *f = (struct export_file){.member = member, .stripe = o->stripe, .bytes = o->plain_bytes, .sha256 = o->plain_sha256};
        plan_file_name(f->name, plan_set(made, member), o->stripe, m.object_count);
    }
    manifest_done(&m);
    return 0;
}

int export_look(struct plan_made *made, const char *directory, struct export_job *ret_job, struct err *err) {
    struct export_job job = {.made = made, .folder = file_join(directory, made->chain.database->folder)};
    size_t cap = 0;
    int rc = 0;
    for (size_t i = 0; i < made->plan.count && rc == 0; i++)
        rc = list_member(&job, i, &cap, err);
    for (size_t i = 0; i < job.count && rc == 0; i++) {
        rc = look_at(job.folder, &job.files[i], err);
        job.missing_bytes += job.files[i].there ? 0 : job.files[i].bytes;
    }
    if (rc < 0) {
        export_job_done(&job);
        return -1;
    }
    *ret_job = job;
    return 0;
}

void export_job_done(struct export_job *job) {
    mem_free(job->folder);
    mem_free(job->files);
    *job = (struct export_job){0};
}

/* ---- fetching ---- */

struct target {
    int fd;
    const char *path;
    bool failed; /* the file, not the store */
};

static int write_plain(void *user, const void *bytes, size_t len, size_t plain_len, struct err *err) {
    struct target *t = user;
    const char *from = bytes;
    (void)plain_len;
    while (len) {
        ssize_t n = write(t->fd, from, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            t->failed = true;
            return err_os(err, ERR_NONE, errno, "writing '%s'", t->path);
        }
        from += n;
        len -= (size_t)n;
    }
    return 0;
}

static int fetch_into(struct export_job *job, const struct export_file *f, struct target *t, struct err *err) {
    struct plan_made *made = job->made;
    const char *folder = made->chain.database->folder;
    struct manifest m;
    int rc = -1;
    if (source_manifest(made->origin->source, folder, plan_set(made, f->member), &m, err) < 0)
        return -1;
    struct pipe_sink sink = {.write = write_plain, .user = t};
    for (size_t i = 0; i < m.object_count; i++)
        if (m.objects[i].stripe == f->stripe)
            rc = source_fetch(made->origin->source, folder, &m.objects[i], &sink, NULL, err);
    manifest_done(&m);
    if (rc == 0 && fsync(t->fd) < 0) {
        t->failed = true;
        rc = err_os(err, ERR_NONE, errno, "'%s'", t->path);
    }
    return rc;
}

/* *ret_ours: what failed is here, not in the store. */
static int fetch_file(struct export_job *job, const struct export_file *f, bool *ret_ours, struct err *err) {
    _cleanup_free_ char *path = file_join(job->folder, f->name);
    _cleanup_free_ char *part = mem_printf("%s/.%s.part", job->folder, f->name);
    struct target t = {.path = part};
    *ret_ours = true;
    t.fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (t.fd < 0)
        return err_os(err, ERR_NONE, errno, "'%s'", part);
    int rc = fetch_into(job, f, &t, err);
    *ret_ours = t.failed;
    if (close(t.fd) < 0 && rc == 0) {
        *ret_ours = true;
        rc = err_os(err, ERR_NONE, errno, "'%s'", part);
    }
    if (rc == 0) {
        *ret_ours = true;
        rc = file_rename_durable(part, path, err);
    }
    if (rc < 0)
        unlink(part);
    return rc;
}

static int remove_part(void *user, const char *name) {
    const char *folder = user;
    _cleanup_free_ char *path = file_join(folder, name);
    if (name[0] == '.' && str_ends(name, ".part"))
        (void)unlink(path);
    return 0;
}

int export_fetch(const struct cli *cli, struct export_job *job, size_t *ret_bad, struct err *err) {
    *ret_bad = SIZE_MAX;
    if (file_mkdirs(job->folder, FOLDER_MODE, err) < 0 || file_each(job->folder, remove_part, job->folder, err) != 0)
        return -1;
    size_t done = 0, missing = 0;
    for (size_t i = 0; i < job->count; i++)
        missing += !job->files[i].there;
    for (size_t i = 0; i < job->count; i++) {
        struct export_file *f = &job->files[i];
        bool ours;
        if (f->there)
            continue;
        done++;
        if (cli->io->err_terminal)
            fprintf(cli->io->err, "\r\033[K%s: file %zu of %zu", job->made->chain.database->folder, done, missing);
        if (fetch_file(job, f, &ours, err) == 0)
            continue;
        if (cli->io->err_terminal)
            fputc('\n', cli->io->err);
        bool bad = !ours && (err->class == ERR_CORRUPT || err->class == ERR_NOT_FOUND || err->class == ERR_UNSUPPORTED);
        *ret_bad = bad ? f->member : SIZE_MAX;
        return -1;
    }
    if (done && cli->io->err_terminal)
        fputs("\r\033[K", cli->io->err);
    return 0;
}
