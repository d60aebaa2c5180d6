/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/job/staging.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define RESERVE_NAME ".reserve"
#define MARK_NAME ".mssql-sidecar"
#define ASIDE_SUFFIX ".unsure"
#define GIB (UINT64_C(1) << 30)

struct staging {
    char *path;
    char *reserve_path;
    char *mark_path;
    bool seen; /* staging_check()'s: it was there once, so nobody but its owner makes it again */
    struct staging_limits limits;
};

static const char *const suffixes[BACKUP_KIND_COUNT] = {[BACKUP_FULL] = "bak", [BACKUP_DIFF] = "dif", [BACKUP_LOG] = "trn"};
static const char *const points[] = {"staging.synced", "staging.removed", NULL};

const char *const *staging_fault_points(void) {
    return points;
}

static uint64_t less(uint64_t a, uint64_t b) {
    return a > b ? a - b : 0;
}

uint64_t staging_floor(const struct staging_limits *limits, const struct staging_state *state) {
    if (limits->floor_bytes)
        return limits->floor_bytes;
    uint64_t tenth = state->total_bytes / 10;
    /* on a volume smaller than 20 GiB two GiB would be most of what is free; a tenth is then all we can ask for */
    return tenth > 2 * GIB || state->total_bytes < 20 * GIB ? tenth : 2 * GIB;
}

uint64_t staging_quota(const struct staging_limits *limits, const struct staging_state *state) {
    if (limits->quota_bytes)
        return limits->quota_bytes;
    uint64_t by_volume = state->total_bytes / 10 * 4;
    /* what we use already counts as room we may use */
    uint64_t by_free = less(state->free_bytes + state->used_bytes, staging_floor(limits, state));
    return by_volume < by_free ? by_volume : by_free;
}

static enum staging_verdict too_small(struct err *err, const char *what, uint64_t need, uint64_t have) {
    char a[32], b[32];
    str_from_bytes(a, sizeof(a), need);
    str_from_bytes(b, sizeof(b), have);
    err_set(err, ERR_SPACE, "staging is too small: the %s backup needs about %s (%llu bytes), %s (%llu bytes) may be used", what,
            a, (unsigned long long)need, b, (unsigned long long)have);
    err_hint(err, "Give the volume more space, raise staging.quota, or ship faster");
    return STAGING_TOO_SMALL;
}

enum staging_verdict staging_judge(const struct staging_limits *limits, const struct staging_state *state, enum backup_kind kind,
                                   uint64_t estimate_bytes, struct err *err) {
    uint64_t quota = staging_quota(limits, state);
    uint64_t taken = state->used_bytes + state->pending_bytes;
    uint64_t free_now = less(state->free_bytes, state->pending_bytes);
    if (kind != BACKUP_LOG) {
        uint64_t data_quota = quota - quota / 100 * limits->log_share_percent;
        uint64_t room = less(data_quota, taken), by_free = less(free_now, staging_floor(limits, state));
        uint64_t usable = room < by_free ? room : by_free;
        return estimate_bytes <= usable ? STAGING_FITS : too_small(err, backup_kind_name(kind), estimate_bytes, usable);
    }
    /* A log backup may go below the floor: the same log would only grow in the .ldf, on the same volume, for ever. What it
     * must leave is a tenth of the floor, so that SQL Server itself can still grow a file. */
    uint64_t hard_floor = staging_floor(limits, state) / 10;
    uint64_t usable = less(free_now, hard_floor);
    if (limits->quota_bytes && less(quota, taken) < usable)
        usable = less(quota, taken);
    if (estimate_bytes <= usable)
        return STAGING_FITS;
    if (state->reserve_held && estimate_bytes <= usable + limits->reserve_bytes)
        return STAGING_NEEDS_RESERVE;
    return too_small(err, "log", estimate_bytes, usable);
}

static int check_directory(const char *path, struct err *err) {
    struct stat st;
    if (stat(path, &st) < 0) {
        err_os(err, ERR_NONE, errno, "staging directory %s", path);
        return err_hint(err, "Is its volume mounted?");
    }
    if (!S_ISDIR(st.st_mode)) {
        err_set(err, ERR_CONFIG, "staging path %s is not a directory", path);
        return err_hint(err, "Move away what is there, or name another directory in paths.staging");
    }
    if (access(path, R_OK | W_OK | X_OK) < 0) {
        int saved = errno;
        err_os(err, saved == EROFS ? ERR_CONFIG : ERR_PERMISSION, saved,
               "staging directory %s (uid %u, gid %u, mode %04o) is not writable by uid %u, gid %u", path, st.st_uid, st.st_gid,
               st.st_mode & 07777, geteuid(), getegid());
        return err_hint(
            err, "It must belong to the user SQL Server runs as (10001 in its images), mode 2770, on a volume mounted writable");
    }
    return 0;
}

struct staging *staging_new(const char *path, const struct staging_limits *limits) {
    struct staging *s = mem_alloc(sizeof(*s));
    s->path = mem_strdup(path);
    s->reserve_path = file_join(path, RESERVE_NAME);
    s->mark_path = file_join(path, MARK_NAME);
    s->limits = *limits;
    return s;
}

static int make_mark(struct staging *s, struct err *err) {
    int fd = open(s->mark_path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0 && (errno == ENOSPC || errno == EDQUOT))
        return 0; /* a full volume is a matter of room, and made again when there is some */
    if (fd < 0)
        return err_os(err, ERR_NONE, errno, "staging directory %s: file %s cannot be made", s->path, MARK_NAME);
    close(fd);
    return 0;
}

static int check_mark(struct staging *s, unsigned known, struct err *err) {
    if (file_exists(s->mark_path))
        return 0;
    struct staged_file *files = NULL;
    unsigned count = 0;
    if (known && staging_scan(s, &files, &count, err) < 0)
        return -1;
    mem_free(files);
    if (!known || count)
        return make_mark(s, err);
    err_set(err, ERR_NOT_FOUND, "staging directory %s is empty, but %u staged backups that are not in the store should be there",
            s->path, known);
    return err_hint(
        err,
        "Is its volume mounted? If they are lost for good, make an empty file %s there: then that is told per backup, "
        "and the chains are healed",
        MARK_NAME);
}

bool staging_marked(const struct staging *staging) {
    return file_exists(staging->mark_path);
}

int staging_check(struct staging *s, unsigned known, struct err *err) {
    if (!s->seen && !known && !file_exists(s->path) && file_mkdirs(s->path, 02770, err) < 0) {
        err_context(err, "staging directory");
        return err_hint(err, "Mount its volume, or let this program make the directory");
    }
    if (check_directory(s->path, err) < 0 || check_mark(s, known, err) < 0)
        return -1;
    s->seen = true;
    return 0;
}

void staging_free(struct staging *staging) {
    if (!staging)
        return;
    mem_free(staging->path);
    mem_free(staging->reserve_path);
    mem_free(staging->mark_path);
    mem_free(staging);
}

const char *staging_path(const struct staging *staging) {
    return staging->path;
}

void staging_limits_set(struct staging *staging, const struct staging_limits *limits) {
    staging->limits = *limits;
}

const struct staging_limits *staging_limits_get(const struct staging *staging) {
    return &staging->limits;
}

void staging_reserve_make(struct staging *staging, const struct staging_limits *limits, uint64_t pending_bytes) {
    struct staging_state state;
    uint64_t want = limits->reserve_bytes;
    if (!want || file_exists(staging->reserve_path) || staging_measure(staging, &state, NULL) < 0 ||
        state.free_bytes < want + pending_bytes + staging_floor(limits, &state))
        return;
    int fd = open(staging->reserve_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    int rc = posix_fallocate(fd, 0, (off_t)want);
    close(fd);
    if (rc)
        unlink(staging->reserve_path);
}

void staging_reserve_give_up(struct staging *staging) {
    unlink(staging->reserve_path);
}

struct scan {
    struct staging *staging;
    struct staged_file *files;
    size_t count, cap;
};

#define RUN_ID_TIME 16 /* bytes of "20261121T024700Z" */

static int scan_entry(void *user, const char *name) {
    struct scan *scan = user;
    struct staged_file f = {0};
    if (!staging_parse_name(name, f.run_id, &f.kind, &f.stripe))
        return 0;
    _cleanup_free_ char *path = file_join(scan->staging->path, name);
    struct stat st;
    if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode)) /* gone meanwhile, or not ours after all */
        return 0;
    f.bytes = (uint64_t)st.st_size;
    f.written_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    scan->files = mem_grow(scan->files, &scan->cap, scan->count + 1, sizeof(f));
    scan->files[scan->count++] = f;
    return 0;
}

static int by_run(const void *a, const void *b) {
    const struct staged_file *x = a, *y = b;
    int c = strcmp(x->run_id, y->run_id);
    return c ? c : (x->stripe > y->stripe) - (x->stripe < y->stripe);
}

/* A run id has whole seconds: in one second the order is that in which the files were written. */
static int by_age(const void *a, const void *b) {
    const struct staged_file *x = a, *y = b;
    int c = strncmp(x->run_id, y->run_id, RUN_ID_TIME);
    if (c)
        return c;
    if (x->written_ns != y->written_ns)
        return x->written_ns < y->written_ns ? -1 : 1;
    return by_run(a, b);
}

/* The files of a run stay together: all of them are as old as the oldest. */
static void sort_by_age(struct scan *scan) {
    if (!scan->count)
        return;
    qsort(scan->files, scan->count, sizeof(*scan->files), by_run);
    for (size_t i = 0, n; i < scan->count; i += n) {
        int64_t oldest = scan->files[i].written_ns;
        for (n = 1; i + n < scan->count && !strcmp(scan->files[i + n].run_id, scan->files[i].run_id); n++)
            if (scan->files[i + n].written_ns < oldest)
                oldest = scan->files[i + n].written_ns;
        for (size_t k = 0; k < n; k++)
            scan->files[i + k].written_ns = oldest;
    }
    qsort(scan->files, scan->count, sizeof(*scan->files), by_age);
}

int staging_scan(struct staging *staging, struct staged_file **ret_files, unsigned *ret_count, struct err *err) {
    struct scan scan = {.staging = staging};
    if (file_each(staging->path, scan_entry, &scan, err) < 0) {
        mem_free(scan.files);
        return err_context(err, "staging");
    }
    sort_by_age(&scan);
    *ret_files = scan.files;
    *ret_count = (unsigned)scan.count;
    return 0;
}

int staging_set_aside(struct staging *staging, const char *run_id, enum backup_kind kind, uint32_t stripes, struct err *err) {
    for (uint32_t i = 0; i < stripes; i++) {
        _cleanup_free_ char *name = staging_file_name(run_id, kind, i, stripes);
        _cleanup_free_ char *path = file_join(staging->path, name), *aside = mem_printf("%s" ASIDE_SUFFIX, path);
        if (rename(path, aside) < 0 && errno != ENOENT)
            return err_os(err, ERR_NONE, errno, "set staged file %s aside", path);
    }
    return file_fsync_dir(staging->path, err);
}

static int count_aside(void *user, const char *name) {
    *(unsigned *)user += str_ends(name, ASIDE_SUFFIX);
    return 0;
}

int staging_measure(struct staging *staging, struct staging_state *ret_state, struct err *err) {
    struct file_space space;
    if (file_space_of(staging->path, &space, err) < 0)
        return err_context(err, "staging");
    struct staged_file *files;
    unsigned count;
    if (staging_scan(staging, &files, &count, err) < 0)
        return -1;
    struct staging_state state = {.total_bytes = space.total_bytes, .free_bytes = space.free_bytes};
    for (unsigned i = 0; i < count; i++)
        state.used_bytes += files[i].bytes;
    mem_free(files);
    state.reserve_held = file_exists(staging->reserve_path);
    if (file_each(staging->path, count_aside, &state.aside, err) < 0)
        return err_context(err, "staging");
    *ret_state = state;
    return 0;
}

void staging_run_id(char dst[RUN_ID_MAX], enum backup_kind kind, int64_t now) {
    struct clock_civil c;
    clock_to_civil(now, &c);
    struct guid g;
    guid_random(&g);
    char tail[9];
    str_hex(tail, g.bytes, 4);
    str_format(dst, RUN_ID_MAX, "%04d%02d%02dT%02d%02d%02dZ-%s-%s", c.year % 10000, c.month, c.day, c.hour, c.minute, c.second,
               backup_kind_name(kind), tail);
}

char *staging_file_name(const char *run_id, enum backup_kind kind, uint32_t stripe, uint32_t stripes) {
    return stripes > 1 ? mem_printf("%s.%u.%s", run_id, stripe + 1, suffixes[kind]) : mem_printf("%s.%s", run_id, suffixes[kind]);
}

/* "YYYYMMDDThhmmssZ-" */
static bool looks_like_time(const char *s) {
    static const char shape[] = "ddddddddTddddddZ-";
    for (size_t i = 0; shape[i]; i++)
        if (shape[i] == 'd' ? s[i] < '0' || s[i] > '9' : s[i] != shape[i])
            return false;
    return true;
}

bool staging_parse_name(const char *name, char ret_run_id[RUN_ID_MAX], enum backup_kind *ret_kind, uint32_t *ret_stripe) {
    const char *dot = strchr(name, '.');
    if (!dot || (size_t)(dot - name) >= RUN_ID_MAX || !looks_like_time(name))
        return false;
    char run_id[RUN_ID_MAX];
    memcpy(run_id, name, (size_t)(dot - name));
    run_id[dot - name] = 0;
    uint64_t stripe = 0;
    const char *suffix = dot + 1, *second = strchr(suffix, '.');
    if (second) {
        char number[8];
        if ((size_t)(second - suffix) >= sizeof(number))
            return false;
        memcpy(number, suffix, (size_t)(second - suffix));
        number[second - suffix] = 0;
        if (!str_to_u64(number, JOURNAL_STRIPES_MAX, &stripe) || !stripe)
            return false;
        stripe--;
        suffix = second + 1;
    }
    for (unsigned kind = 0; kind < BACKUP_KIND_COUNT; kind++) {
        char marker[16];
        str_format(marker, sizeof(marker), "Z-%s-", backup_kind_name((enum backup_kind)kind));
        if (strcmp(suffix, suffixes[kind]) || !strstr(run_id, marker))
            continue;
        memcpy(ret_run_id, run_id, sizeof(run_id));
        *ret_kind = (enum backup_kind)kind;
        *ret_stripe = (uint32_t)stripe;
        return true;
    }
    return false;
}

int staging_sync(struct staging *staging, const char *run_id, enum backup_kind kind, uint32_t stripes, uint64_t *ret_bytes,
                 struct err *err) {
    if (fault_point("staging.synced", FAULT_BEFORE, err) < 0)
        return -1;
    uint64_t total = 0;
    for (uint32_t i = 0; i < stripes; i++) {
        _cleanup_free_ char *name = staging_file_name(run_id, kind, i, stripes);
        _cleanup_free_ char *path = file_join(staging->path, name);
        uint64_t bytes;
        if (file_size(path, &bytes, err) < 0 || file_fsync_path(path, err) < 0)
            return err_context(err, "staged file");
        total += bytes;
    }
    *ret_bytes = total;
    return fault_point("staging.synced", FAULT_AFTER, err);
}

int staging_remove(struct staging *staging, const char *run_id, enum backup_kind kind, uint32_t stripes, struct err *err) {
    if (fault_point("staging.removed", FAULT_BEFORE, err) < 0)
        return -1;
    for (uint32_t i = 0; i < stripes; i++) {
        _cleanup_free_ char *name = staging_file_name(run_id, kind, i, stripes);
        _cleanup_free_ char *path = file_join(staging->path, name);
        if (file_unlink_durable(path, err) < 0)
            return err_context(err, "staged file");
    }
    return fault_point("staging.removed", FAULT_AFTER, err);
}
