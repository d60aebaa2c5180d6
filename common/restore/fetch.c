/* SPDX-License-Identifier: Apache-2.0 */
#include "common/restore/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define TRIES 5 /* of one object, when the store may be back the next moment */
#define FLUSH_BYTES (8u << 20)

enum slot_state { SLOT_EMPTY, SLOT_STAGED, SLOT_FAILED, SLOT_DROPPED };

struct slot {
    enum slot_state state;
    struct manifest manifest;
    char **local, **server; /* per stripe */
    size_t path_count;
    uint64_t reserved_bytes;
    uint64_t plain_bytes, stored_bytes;
    bool bad; /* FAILED: the backup itself */
    struct err err;
};

struct restore_fetch {
    struct restore_fetch_spec spec;
    struct backup *sets;
    char *folder, *local_dir, *server_dir, *stem;
    struct slot *slots; /* a ring: of member n at n % FETCH_AHEAD */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t fetched; /* members that were worked on */
    size_t dropped; /* members from the beginning that are gone */
    bool ended; /* the thread fetches no more */
    atomic_bool stop;
    uint64_t done_bytes; /* of whole objects */
};

/* ---- one object into one file ---- */

struct sink {
    struct restore_fetch *f;
    int fd;
    const char *path;
    uint64_t written, flushed;
    bool failed; /* it was the file, not the store */
};

static int sink_write(void *user, const void *bytes, size_t len, size_t plain_len, struct err *err) {
    struct sink *s = user;
    const char *p = bytes;
    (void)plain_len;
    while (len) {
        ssize_t n = write(s->fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            s->failed = true;
            return err_os(err, ERR_NONE, errno, "writing '%s'", s->path);
        }
        p += n;
        len -= (size_t)n;
        s->written += (uint64_t)n;
    }
    if (s->written - s->flushed >= FLUSH_BYTES) { /* on its way early: the server reads past the page cache */
        (void)sync_file_range(s->fd, (off_t)s->flushed, (off_t)(s->written - s->flushed), SYNC_FILE_RANGE_WRITE);
        s->flushed = s->written;
    }
    if (s->f->spec.progress)
        s->f->spec.progress(s->f->spec.user, s->f->done_bytes + s->written);
    return 0;
}

/* The flags of this pipeline and of the whole restore are two; a pipe knows one. */
static void on_record(void *user, const struct pipe_progress *progress) {
    struct sink *s = user;
    (void)progress;
    if (s->f->spec.cancel && atomic_load(s->f->spec.cancel))
        atomic_store(&s->f->stop, true);
}

static int open_file(struct sink *s, uint64_t bytes, struct err *err) {
    s->fd = open(s->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->fd < 0 || fchmod(s->fd, s->f->spec.mode) < 0) {
        s->failed = true;
        return err_os(err, ERR_NONE, errno, "creating '%s'", s->path);
    }
    /* All room at once: a full disk shows before the fetch, not at its end. */
    if (bytes && fallocate(s->fd, 0, 0, (off_t)bytes) < 0 && (errno == ENOSPC || errno == EDQUOT)) {
        s->failed = true;
        return err_os(err, ERR_SPACE, errno, "room for '%s'", s->path);
    }
    return 0;
}

static int fetch_object(struct restore_fetch *f, const struct manifest_object *o, const char *path, bool *ret_ours,
                        struct err *err) {
    struct sink s = {.f = f, .fd = -1, .path = path};
    struct pipe_sink sink = {.write = sink_write, .user = &s};
    struct pipe_control control = {.progress = on_record, .user = &s, .cancel = &f->stop};
    int rc = open_file(&s, o->plain_bytes, err);
    if (rc == 0)
        rc = source_fetch(f->spec.source, f->folder, o, &sink, &control, err);
    if (rc == 0 && ftruncate(s.fd, (off_t)s.written) < 0) {
        s.failed = true;
        rc = err_os(err, ERR_NONE, errno, "writing '%s'", path);
    }
    if (s.fd >= 0 && close(s.fd) < 0 && rc == 0) {
        s.failed = true;
        rc = err_os(err, ERR_NONE, errno, "writing '%s'", path);
    }
    if (rc < 0)
        unlink(path);
    *ret_ours = s.failed;
    return rc;
}

static bool passes(const struct err *err) {
    return err->class == ERR_CONNECT || err->class == ERR_TIMEOUT || err->class == ERR_BUSY || err->class == ERR_STORE;
}

/* Sleeps, but hears the flags. */
static void pause_ms(struct restore_fetch *f, unsigned ms) {
    for (unsigned waited = 0; waited < ms && !atomic_load(&f->stop); waited += 50) {
        struct timespec t = {.tv_nsec = 50000000};
        nanosleep(&t, NULL);
        on_record(&(struct sink){.f = f}, NULL);
    }
}

static int fetch_with_patience(struct restore_fetch *f, struct slot *slot, const struct manifest_object *o, const char *path,
                               struct err *err) {
    for (unsigned attempt = 1;; attempt++) {
        bool ours = false;
        if (fetch_object(f, o, path, &ours, err) == 0)
            return 0;
        if (err->class == ERR_CANCELLED || atomic_load(&f->stop))
            return -1;
        if (ours && err->class == ERR_SPACE &&
            restore_budget_wait(f->spec.budget, slot->reserved_bytes, f->spec.cancel, &f->stop))
            continue;
        if (!ours && passes(err) && attempt < TRIES) {
            pause_ms(f, 200u << attempt);
            continue;
        }
        slot->bad = !ours && !passes(err);
        return -1;
    }
}

/* ---- one backup ---- */

static const char *extension(enum backup_kind kind) {
    return kind == BACKUP_FULL ? "bak" : kind == BACKUP_DIFF ? "dif" : "trn";
}

static void name_files(struct restore_fetch *f, struct slot *slot, size_t n) {
    slot->path_count = slot->manifest.object_count;
    slot->local = mem_array(slot->path_count, sizeof(*slot->local));
    slot->server = mem_array(slot->path_count, sizeof(*slot->server));
    for (size_t i = 0; i < slot->path_count; i++) {
        _cleanup_free_ char *stripe = slot->path_count > 1 ? mem_printf("-s%zu", i + 1) : mem_strdup("");
        _cleanup_free_ char *name = mem_printf("%s-%zu%s.%s", f->stem, n + 1, stripe, extension(f->sets[n].kind));
        slot->local[i] = mem_printf("%s/%s", f->local_dir, name);
        slot->server[i] = mem_printf("%s/%s", f->server_dir, name);
    }
}

static int stage(struct restore_fetch *f, struct slot *slot, size_t n, struct err *err) {
    if (source_manifest(f->spec.source, f->folder, &f->sets[n], &slot->manifest, err) < 0) {
        slot->bad = !passes(err) && err->class != ERR_CANCELLED;
        manifest_init(&slot->manifest);
        return -1;
    }
    const struct manifest *m = &slot->manifest;
    uint64_t bytes = 0;
    for (size_t i = 0; i < m->object_count; i++)
        bytes += m->objects[i].plain_bytes;
    name_files(f, slot, n);
    if (restore_budget_take(f->spec.budget, bytes, f->spec.cancel, &f->stop, err) < 0)
        return -1;
    slot->reserved_bytes = bytes;
    slot->plain_bytes = bytes;
    for (size_t i = 0; i < m->object_count; i++) {
        if (fetch_with_patience(f, slot, &m->objects[i], slot->local[i], err) < 0)
            return -1;
        slot->stored_bytes += m->objects[i].stored_bytes;
        f->done_bytes += m->objects[i].plain_bytes;
    }
    return 0;
}

static void empty_slot(struct restore_fetch *f, struct slot *slot) {
    for (size_t i = 0; i < slot->path_count; i++) {
        unlink(slot->local[i]);
        mem_free(slot->local[i]);
        mem_free(slot->server[i]);
    }
    mem_free(slot->local);
    mem_free(slot->server);
    manifest_done(&slot->manifest);
    if (slot->reserved_bytes)
        restore_budget_put(f->spec.budget, slot->reserved_bytes);
    *slot = (struct slot){0};
}

/* ---- the thread ---- */

static void *run(void *arg) {
    struct restore_fetch *f = arg;
    pthread_mutex_lock(&f->lock);
    while (f->fetched < f->spec.count && !atomic_load(&f->stop)) {
        if (f->fetched - f->dropped >= FETCH_AHEAD) {
            pthread_cond_wait(&f->changed, &f->lock);
            continue;
        }
        size_t n = f->fetched;
        struct slot *slot = &f->slots[n % FETCH_AHEAD];
        pthread_mutex_unlock(&f->lock);
        err_clear(&slot->err);
        int rc = stage(f, slot, n, &slot->err);
        pthread_mutex_lock(&f->lock);
        slot->state = rc == 0 ? SLOT_STAGED : SLOT_FAILED;
        f->fetched++;
        pthread_cond_broadcast(&f->changed);
        if (rc < 0)
            break;
    }
    f->ended = true;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

int restore_fetch_start(const struct restore_fetch_spec *spec, struct restore_fetch **ret_fetch, struct err *err) {
    struct restore_fetch *f = mem_alloc(sizeof(*f));
    f->spec = *spec;
    f->sets = mem_dup(spec->sets, (spec->count ? spec->count : 1) * sizeof(*f->sets));
    f->folder = mem_strdup(spec->folder);
    f->local_dir = mem_strdup(spec->local_dir);
    f->server_dir = mem_strdup(spec->server_dir);
    f->stem = mem_strdup(spec->stem);
    f->slots = mem_array(FETCH_AHEAD, sizeof(*f->slots));
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    f->ended = !f->spec.count; /* nothing to fetch: no thread, and none to join */
    int rc = f->ended ? 0 : pthread_create(&f->thread, NULL, run, f);
    if (rc) {
        f->spec.count = 0;
        f->ended = true;
        restore_fetch_free(f);
        return err_os(err, ERR_LIMIT, rc, "starting a thread");
    }
    *ret_fetch = f;
    return 0;
}

int restore_fetch_wait(struct restore_fetch *f, size_t n, struct restore_staged *ret_staged, bool *ret_bad, struct err *err) {
    int rc = 0;
    *ret_bad = false;
    pthread_mutex_lock(&f->lock);
    while (f->fetched <= n && !f->ended)
        pthread_cond_wait(&f->changed, &f->lock);
    struct slot *slot = &f->slots[n % FETCH_AHEAD];
    if (f->fetched <= n) {
        rc = err_set(err, ERR_CANCELLED, "cancelled before a %s backup was fetched", backup_kind_name(f->sets[n].kind));
    } else if (slot->state == SLOT_FAILED) {
        char finish[CLOCK_TEXT_MAX];
        *ret_bad = slot->bad;
        err_copy(err, &slot->err);
        rc = err_context(err, "%s backup of %s", backup_kind_name(f->sets[n].kind), clock_format(finish, f->sets[n].finish_at));
    } else {
        *ret_staged = (struct restore_staged){(const char *const *)slot->server, slot->path_count, &slot->manifest,
                                              slot->plain_bytes, slot->stored_bytes};
    }
    pthread_mutex_unlock(&f->lock);
    return rc;
}

void restore_fetch_drop(struct restore_fetch *f, size_t n) {
    pthread_mutex_lock(&f->lock);
    if (n >= f->dropped && n < f->fetched) {
        empty_slot(f, &f->slots[n % FETCH_AHEAD]);
        f->slots[n % FETCH_AHEAD].state = SLOT_DROPPED;
        while (f->dropped < f->fetched && f->slots[f->dropped % FETCH_AHEAD].state == SLOT_DROPPED) {
            f->slots[f->dropped % FETCH_AHEAD].state = SLOT_EMPTY;
            f->dropped++;
        }
        pthread_cond_broadcast(&f->changed);
    }
    pthread_mutex_unlock(&f->lock);
}

void restore_fetch_free(struct restore_fetch *f) {
    if (!f)
        return;
    pthread_mutex_lock(&f->lock);
    atomic_store(&f->stop, true);
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    if (f->spec.count)
        pthread_join(f->thread, NULL);
    for (size_t i = 0; i < FETCH_AHEAD; i++)
        empty_slot(f, &f->slots[i]);
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
    mem_free(f->slots);
    mem_free(f->sets);
    mem_free(f->folder);
    mem_free(f->local_dir);
    mem_free(f->server_dir);
    mem_free(f->stem);
    mem_free(f);
}
