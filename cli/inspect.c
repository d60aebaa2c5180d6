/* SPDX-License-Identifier: Apache-2.0 */
/* inspect: what backup files say of themselves, without a server. */
#include "cli/inspect.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/out.h"
#include "common/base/mem.h"

static int read_at(void *arg, uint64_t offset, void *data, size_t len, struct err *err) {
    const int *fd = arg;
    char *to = data;
    while (len) {
        ssize_t n = pread(*fd, to, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_os(err, ERR_NONE, errno, "reading at byte %llu", (unsigned long long)offset);
        if (!n)
            return err_set(err, ERR_IO, "it became shorter while it was read");
        to += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

/* Programs that people and this one pack backups with. */
static const char *packed_with(int fd, uint64_t bytes) {
    static const struct {
        const char *name, *magic;
        size_t len;
    } known[] = {{"zstd", "\x28\xb5\x2f\xfd", 4},   {"gzip", "\x1f\x8b", 2},  {"lz4", "\x04\x22\x4d\x18", 4},
                 {"xz", "\xfd\x37\x7a\x58\x5a", 5}, {"zip", "PK\x03\x04", 4}, {"bzip2", "BZh", 3}};
    char head[8] = {0};
    size_t len = bytes < sizeof(head) ? (size_t)bytes : sizeof(head);
    if (len && read_at(&fd, 0, head, len, NULL) < 0)
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (len >= known[i].len && !memcmp(head, known[i].magic, known[i].len))
            return known[i].name;
    return NULL;
}

char *inspect_condition(const struct inspected *f) {
    unsigned long long at = f->media.problem_at;
    if (f->media.kind == MEDIA_EMPTY)
        return mem_strdup(f->bytes ? "only zeros" : "empty");
    if (f->media.kind == MEDIA_CONTAINER)
        return mem_strdup("compressed or encrypted by SQL Server");
    if (f->media.kind == MEDIA_UNKNOWN)
        return f->packed ? mem_printf("packed with %s", f->packed) : mem_strdup("not a SQL Server backup");
    if (f->media.problem == MEDIA_CUT)
        return mem_printf("not complete: ends at byte %llu", at);
    return f->media.problem == MEDIA_DAMAGED ? mem_printf("damaged at byte %llu", at) : mem_strdup("whole");
}

/* Is there anything about the file that a script should stop at? */
static void judge(struct inspected *f) {
    _cleanup_free_ char *condition = inspect_condition(f);
    if (f->media.kind == MEDIA_PLAIN && f->media.problem == MEDIA_WHOLE)
        return;
    if (f->media.kind == MEDIA_CONTAINER) {
        err_set(&f->err, ERR_UNSUPPORTED, "'%s' is %s: its inside needs a server", f->path, condition);
        err_hint(&f->err, "RESTORE HEADERONLY FROM DISK = N'...'");
    } else if (f->packed) {
        err_set(&f->err, ERR_UNSUPPORTED, "'%s' is %s: unpack it first", f->path, condition);
    } else {
        err_set(&f->err, ERR_CORRUPT, "'%s' is %s", f->path, condition);
    }
}

/* False: there is nothing to show of it. */
static bool inspect_file(const char *path, struct inspected *f) {
    struct stat st;
    *f = (struct inspected){.path = path};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0) {
        err_os(&f->err, ERR_NONE, errno, "'%s'", path);
    } else if (!S_ISREG(st.st_mode)) {
        err_set(&f->err, ERR_USAGE, "'%s' is not a file", path);
    } else {
        struct media_source source = {.read = read_at, .arg = &fd, .bytes = (uint64_t)st.st_size};
        f->bytes = source.bytes;
        if (media_read(&source, &f->media, &f->err) < 0) {
            err_context(&f->err, "'%s'", path);
        } else {
            f->packed = f->media.kind == MEDIA_UNKNOWN ? packed_with(fd, f->bytes) : NULL;
            judge(f);
            close(fd);
            return true;
        }
    }
    if (fd >= 0)
        close(fd);
    return false;
}

/* ---- stripes ---- */

static bool same_media(const struct inspected *a, const struct inspected *b) {
    return a->media.kind == MEDIA_PLAIN && b->media.kind == MEDIA_PLAIN && !guid_is_zero(&a->media.media_set_guid) &&
           guid_eq(&a->media.media_set_guid, &b->media.media_set_guid);
}

static void check_stripes(struct inspection *in, const size_t *files, size_t count, size_t *cap) {
    struct media *media = mem_array(count, sizeof(*media));
    const struct media *first = &in->files[files[0]].media;
    for (size_t i = 0; i < count; i++)
        media[i] = in->files[files[i]].media;
    for (size_t k = 0; k < first->set_count; k++) {
        in->stripes = mem_grow(in->stripes, cap, in->stripe_count + 1, sizeof(*in->stripes));
        struct inspected_stripes *s = &in->stripes[in->stripe_count++];
        *s = (struct inspected_stripes){mem_dup(files, count * sizeof(*files)), count, first->sets[k].backup.position, {0}};
        (void)media_check_stripes(media, count, s->position, &s->err);
    }
    mem_free(media);
}

static void find_stripes(struct inspection *in) {
    size_t *files = mem_array(in->count + 1, sizeof(*files)), cap = 0;
    bool *taken = mem_array(in->count + 1, sizeof(*taken));
    for (size_t i = 0; i < in->count; i++) {
        size_t n = 0;
        for (size_t k = i; k < in->count && !taken[i]; k++)
            if (!taken[k] && same_media(&in->files[i], &in->files[k]))
                files[n++] = k;
        for (size_t k = 0; k < n; k++)
            taken[files[k]] = true;
        if (n > 1)
            check_stripes(in, files, n, &cap);
    }
    mem_free(files);
    mem_free(taken);
}

static void complain(struct cli *cli, const struct inspection *in) {
    for (size_t i = 0; i < in->stripe_count; i++) {
        struct err why = in->stripes[i].err;
        if (why.class == ERR_NONE)
            continue;
        err_context(&why, "stripes of '%s', position %u", in->files[in->stripes[i].files[0]].path, in->stripes[i].position);
        cli_fail_later(cli, &why);
    }
}

static void inspection_done(struct inspection *in) {
    for (size_t i = 0; i < in->count; i++)
        media_done(&in->files[i].media);
    for (size_t i = 0; i < in->stripe_count; i++)
        mem_free(in->stripes[i].files);
    mem_free(in->stripes);
    mem_free(in->files);
}

int cmd_inspect(struct cli *cli, struct err *err) {
    (void)err;
    struct inspection in = {.files = mem_array(cli->args.word_count + 1, sizeof(*in.files))};
    for (size_t i = 0; i < cli->args.word_count; i++) {
        bool read = inspect_file(cli->args.words[i], &in.files[in.count]);
        if (in.files[in.count].err.class != ERR_NONE)
            cli_fail_later(cli, &in.files[in.count].err);
        in.count += read;
    }
    find_stripes(&in);
    if (cli->output != CLI_TABLE)
        cli_print_value(cli, inspect_json(&in));
    else
        inspect_print(cli, &in);
    complain(cli, &in);
    inspection_done(&in);
    return 0;
}
