/* SPDX-License-Identifier: Apache-2.0 */
/* mediaprobe FILE...: what common/media reads from backup files, one JSON object per line; a last line about them as stripes. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/media/media.h"
#include "tests/integration/tools/probe_json.h"

#define OUTPUT_MAX (64u << 20)

static int get(void *arg, uint64_t offset, void *data, size_t len, struct err *err) {
    int fd = *(int *)arg;
    for (size_t done = 0; done < len;) {
        ssize_t n = pread(fd, (char *)data + done, len - done, (off_t)(offset + done));
        if (n <= 0)
            return err_os(err, ERR_NONE, n ? errno : EIO, "read");
        done += (size_t)n;
    }
    return 0;
}

static void print_set(struct buf *out, const struct media_set *set) {
    const struct backup *b = &set->backup;
    const char type[2] = {set->type, 0};
    buf_puts(out, out->data[out->len - 1] == '[' ? "{" : ",{");
    put_number(out, "position", b->position);
    put_number(out, "complete", set->complete);
    put_text(out, "type", type);
    put_text(out, "name", set->name);
    put_text(out, "description", set->description);
    put_text(out, "user", set->user);
    put_text(out, "machine", set->machine);
    put_text(out, "database", set->database);
    put_text(out, "server", set->server);
    put_number(out, "databaseVersion", set->database_version);
    put_number(out, "compatibility", set->compatibility);
    put_number(out, "major", set->version_major);
    put_number(out, "build", set->version_build);
    put_at(out, "created", set->database_created_at);
    put_at(out, "start", b->start_at);
    put_at(out, "finish", b->finish_at);
    put_number(out, "offset", b->utc_offset_s);
    put_number(out, "copyOnly", backup_has(b, BACKUP_COPY_ONLY));
    put_number(out, "size", (double)b->size_bytes);
    put_lsn(out, "first", b->first_lsn);
    put_lsn(out, "last", b->last_lsn);
    put_lsn(out, "checkpoint", b->checkpoint_lsn);
    put_lsn(out, "databaseBackup", b->database_backup_lsn);
    put_lsn(out, "forkPoint", b->fork_point);
    put_lsn(out, "diffBaseLsn", b->diff_base_lsn);
    put_guid(out, "set", &b->set_guid);
    put_guid(out, "family", &b->family_guid);
    put_guid(out, "binding", &b->database_guid);
    put_guid(out, "firstFork", &b->first_fork);
    put_guid(out, "lastFork", &b->last_fork);
    put_guid(out, "diffBase", &b->diff_base_guid);
    buf_putc(out, '}');
}

static void print_media(const char *path, const struct media *media) {
    struct buf out;
    buf_init(&out, OUTPUT_MAX);
    buf_putc(&out, '{');
    put_text(&out, "path", path);
    put_text(&out, "kind", media_kind_name(media->kind));
    put_text(&out, "problem", media_problem_name(media->problem));
    put_number(&out, "containerVersion", media->container_version);
    put_text(&out, "software", media->software);
    put_guid(&out, "mediaSet", &media->media_set_guid);
    buf_puts(&out, ",\"sets\":[");
    for (size_t i = 0; i < media->set_count; i++)
        print_set(&out, &media->sets[i]);
    buf_puts(&out, "]}");
    puts(out.data);
    buf_done(&out);
}

static int probe(const char *path, struct media *ret_media, struct err *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0)
        return err_os(err, ERR_NONE, errno, "%s", path);
    int rc = fstat(fd, &st) < 0 ? err_os(err, ERR_NONE, errno, "%s", path) : 0;
    if (!rc) {
        struct media_source source = {.read = get, .arg = &fd, .bytes = (uint64_t)st.st_size};
        rc = media_read(&source, ret_media, err);
    }
    close(fd);
    return rc;
}

int main(int argc, char **argv) {
    struct err err = {0};
    struct media *files = mem_array((size_t)argc, sizeof(*files));
    size_t count = 0;
    int rc = 0;
    for (int i = 1; i < argc && !rc; i++) {
        rc = probe(argv[i], &files[count], &err);
        if (!rc)
            print_media(argv[i], &files[count++]);
    }
    if (!rc) {
        bool same = media_check_stripes(files, count, 1, &err) == 0;
        struct buf out;
        buf_init(&out, OUTPUT_MAX);
        buf_putc(&out, '{');
        put_text(&out, "stripes", same ? "yes" : err.text);
        buf_putc(&out, '}');
        puts(out.data);
        buf_done(&out);
    } else {
        fprintf(stderr, "%s\n", err.text);
    }
    for (size_t i = 0; i < count; i++)
        media_done(&files[i]);
    mem_free(files);
    return rc ? err_class_exit(err.class) : 0;
}
