/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The media reader on a file whose header SQL Server has just told: a mismatch says that the reader does not understand this
 * server's files. It is counted and said once per backup; what RESTORE HEADERONLY says decides in any case.
 */
#include "sidecar/job/job.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/media/media.h"

static int read_at(void *arg, uint64_t offset, void *data, size_t len, struct err *err) {
    ssize_t n = pread(*(int *)arg, data, len, (off_t)offset);
    if (n < 0)
        return err_os(err, ERR_NONE, errno, "reading a staged file");
    return (size_t)n == len ? 0 : err_set(err, ERR_IO, "a staged file became shorter");
}

/* What of the two is not the same; NULL: nothing. */
static const char *difference(const struct media *media, const struct backup *told, const char *database) {
    const struct media_set *set = media_set_at(media, told->position ? told->position : 1);
    if (media->problem != MEDIA_WHOLE)
        return "it does not see a whole file";
    if (!set || !set->complete)
        return "it does not see a complete set";
    const struct backup *b = &set->backup;
    if (!set->type || b->kind != told->kind)
        return "kind";
    if (!guid_eq(&b->set_guid, &told->set_guid))
        return "GUID of the set";
    if (!guid_eq(&b->family_guid, &told->family_guid) || !guid_eq(&b->database_guid, &told->database_guid))
        return "GUIDs of the database";
    if (!guid_eq(&b->first_fork, &told->first_fork) || !guid_eq(&b->last_fork, &told->last_fork))
        return "recovery forks";
    if (lsn_cmp(b->first_lsn, told->first_lsn) || lsn_cmp(b->last_lsn, told->last_lsn) ||
        lsn_cmp(b->checkpoint_lsn, told->checkpoint_lsn))
        return "LSNs";
    if (b->finish_at != told->finish_at && backup_has(b, BACKUP_UTC_OFFSET_KNOWN) && backup_has(told, BACKUP_UTC_OFFSET_KNOWN))
        return "dates";
    return strcmp(set->database, database) != 0 ? "name of the database" : NULL;
}

void job_media_compare(struct job *job, const char *database) {
    _cleanup_free_ char *name = staging_file_name(job->entry.run_id, job->entry.kind, 0, job->entry.stripes);
    _cleanup_free_ char *path = file_join(staging_path(job->agent->staging), name);
    struct media media;
    struct stat st;
    struct err err;
    err_clear(&err);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) { /* who needs the file says so */
        if (fd >= 0)
            close(fd);
        return;
    }
    const struct media_source source = {.read = read_at, .arg = &fd, .bytes = (uint64_t)st.st_size};
    const char *what = NULL;
    if (media_read(&source, &media, &err) < 0) {
        what = "it cannot be read";
    } else {
        if (media.kind != MEDIA_CONTAINER) /* compressed or encrypted by the server: only a server sees into it */
            what = media.kind == MEDIA_PLAIN ? difference(&media, &job->set, database) : "it sees no backup";
        media_done(&media);
    }
    close(fd);
    job->media_differs = what != NULL;
    if (what)
        log_event(LOG_WARN, "the media reader and RESTORE HEADERONLY differ about a backup; the server is believed", "run",
                  job->entry.run_id, "about", what, NULL);
}
