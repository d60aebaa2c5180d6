/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/job/journal.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "common/base/fault.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define COPY_BYTES 2048
#define VERSION 2
#define HEADER_BYTES 4096

static const char magic[16] = "mssql-journal-2";

struct header {
    char magic[16];
    uint32_t slots;
};

/* On disk, little-endian as the machine that shares the volume is. */
struct copy {
    uint32_t crc; /* of everything after it */
    uint32_t version;
    uint64_t sequence;
    struct journal_entry entry;
};
_Static_assert(sizeof(struct copy) <= COPY_BYTES, "an entry fits its slot");

struct journal {
    int fd;
    char *path;
    pthread_mutex_t lock;
    unsigned used, count;
    struct slot {
        uint64_t sequence; /* of the newest good copy; 0 = never written */
        struct journal_entry *entry; /* NULL when free */
    } * slots;
};

static const char *const step_points[JOURNAL_STEP_COUNT] = {
    [JOURNAL_FREE] = "journal.removed",
    [JOURNAL_PLANNED] = "journal.planned",
    [JOURNAL_TAKEN] = "journal.taken",
    [JOURNAL_COMMITTED] = "journal.committed",
};

const char *const *journal_fault_points(void) {
    static const char *points[JOURNAL_STEP_COUNT + 1];
    for (unsigned i = 0; i < JOURNAL_STEP_COUNT; i++)
        points[i] = step_points[i];
    return points;
}

static uint32_t copy_crc(const struct copy *c) {
    return (uint32_t)crc32(0, (const unsigned char *)c + sizeof(c->crc), (unsigned)(sizeof(*c) - sizeof(c->crc)));
}

static off_t file_bytes(unsigned slots) {
    return HEADER_BYTES + (off_t)slots * 2 * COPY_BYTES;
}

static off_t copy_offset(unsigned slot, unsigned which) {
    return HEADER_BYTES + ((off_t)slot * 2 + which) * COPY_BYTES;
}

static int pwrite_full(struct journal *j, const void *data, size_t len, off_t at, struct err *err) {
    const char *p = data;
    while (len) {
        ssize_t n = pwrite(j->fd, p, len, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_os(err, ERR_NONE, errno, "write journal %s", j->path);
        p += n;
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Writes the slot's next copy over the older of the two. */
static int slot_write(struct journal *j, unsigned slot, const struct journal_entry *entry, struct err *err) {
    const char *point = step_points[entry->step];
    if (fault_point(point, FAULT_BEFORE, err) < 0)
        return -1;
    unsigned char block[COPY_BYTES] = {0};
    struct copy c;
    memset(&c, 0, sizeof(c));
    c.version = VERSION;
    c.sequence = j->slots[slot].sequence + 1;
    c.entry = *entry;
    c.crc = copy_crc(&c);
    memcpy(block, &c, sizeof(c));
    if (pwrite_full(j, block, sizeof(block), copy_offset(slot, c.sequence & 1), err) < 0)
        return -1;
    if (fdatasync(j->fd) < 0)
        return err_os(err, ERR_NONE, errno, "fsync journal %s", j->path);
    j->slots[slot].sequence = c.sequence;
    return fault_point(point, FAULT_AFTER, err);
}

static bool copy_good(const struct copy *c) {
    const struct journal_entry *e = &c->entry;
    return c->version == VERSION && c->crc == copy_crc(c) && e->step < JOURNAL_STEP_COUNT && e->kind < BACKUP_KIND_COUNT &&
           memchr(e->run_id, 0, sizeof(e->run_id)) && memchr(e->database, 0, sizeof(e->database)) &&
           memchr(e->trigger, 0, sizeof(e->trigger)) && memchr(e->reason, 0, sizeof(e->reason));
}

static bool all_zero(const unsigned char *p, size_t len) {
    return !len || (!p[0] && !memcmp(p, p + 1, len - 1));
}

static void slot_load(struct journal *j, unsigned slot, const unsigned char *block, unsigned *damaged) {
    unsigned bad = 0;
    struct copy best = {0};
    for (unsigned which = 0; which < 2; which++) {
        struct copy c;
        memcpy(&c, block + (size_t)which * COPY_BYTES, sizeof(c));
        if (copy_good(&c)) {
            if (c.sequence > best.sequence)
                best = c;
        } else if (!all_zero(block + (size_t)which * COPY_BYTES, COPY_BYTES)) {
            bad++;
        }
    }
    j->slots[slot].sequence = best.sequence;
    if (best.sequence && best.entry.step != JOURNAL_FREE) {
        j->slots[slot].entry = mem_dup(&best.entry, sizeof(best.entry));
        j->used++;
    } else if (!best.sequence && bad) {
        (*damaged)++;
    }
}

static int load(struct journal *j, unsigned *damaged, struct err *err) {
    unsigned char header[HEADER_BYTES];
    if (lseek(j->fd, 0, SEEK_SET) < 0)
        return err_os(err, ERR_NONE, errno, "read journal %s", j->path);
    ssize_t n = file_read_full(j->fd, header, sizeof(header), err);
    if (n < 0)
        return err_context(err, "journal %s", j->path);
    struct header head;
    memcpy(&head, header, sizeof(head));
    if ((size_t)n < sizeof(header) || memcmp(head.magic, magic, sizeof(magic)) || !head.slots || head.slots > JOURNAL_SLOTS_MAX)
        return err_set(err, ERR_CORRUPT,
                       "%s is not a journal. Move it away and start again: staged files are found by their names", j->path);
    j->count = head.slots;
    j->slots = mem_array(j->count, sizeof(*j->slots));
    unsigned char block[2 * COPY_BYTES];
    for (unsigned slot = 0; slot < j->count; slot++) {
        n = file_read_full(j->fd, block, sizeof(block), err);
        if (n < 0)
            return err_context(err, "journal %s", j->path);
        memset(block + n, 0, sizeof(block) - (size_t)n); /* a truncated tail was never written */
        slot_load(j, slot, block, damaged);
    }
    return 0;
}

/* Blocks are really allocated, so that no later write of ours can meet a full disk. */
static int create(struct journal *j, unsigned slots, struct err *err) {
    unsigned char header[HEADER_BYTES] = {0};
    struct header head = {.slots = slots};
    memcpy(head.magic, magic, sizeof(magic));
    memcpy(header, &head, sizeof(head));
    int rc = posix_fallocate(j->fd, 0, file_bytes(slots));
    if (rc)
        return err_os(err, ERR_NONE, rc, "allocate %lld bytes for journal %s", (long long)file_bytes(slots), j->path);
    if (pwrite_full(j, header, sizeof(header), 0, err) < 0)
        return -1;
    return file_fsync_path(j->path, err);
}

static int open_locked(struct journal *j, unsigned slots, unsigned *damaged, struct err *err) {
    j->fd = open(j->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (j->fd < 0)
        return err_os(err, ERR_NONE, errno, "open journal %s", j->path);
    if (flock(j->fd, LOCK_EX | LOCK_NB) < 0)
        return err_set(err, ERR_CONFLICT, "journal %s is in use by another process; one sidecar per state directory", j->path);
    struct stat st;
    if (fstat(j->fd, &st) < 0)
        return err_os(err, ERR_NONE, errno, "stat journal %s", j->path);
    unsigned char first = 0;
    /* preallocated but never begun: a crash between the two steps of create() */
    bool begun = st.st_size >= (off_t)sizeof(magic) && pread(j->fd, &first, 1, 0) == 1 && first;
    if (st.st_size == 0 || (!begun && st.st_size <= file_bytes(JOURNAL_SLOTS_MAX))) {
        if (create(j, slots, err) < 0)
            return -1;
    }
    return load(j, damaged, err);
}

int journal_open(const char *dir, unsigned slots, struct journal **ret_journal, unsigned *ret_damaged, struct err *err) {
    struct journal *j = mem_alloc(sizeof(*j));
    j->path = file_join(dir, "journal");
    pthread_mutex_init(&j->lock, NULL);
    unsigned damaged = 0;
    if (open_locked(j, slots, &damaged, err) < 0) {
        journal_close(j);
        return -1;
    }
    *ret_journal = j;
    *ret_damaged = damaged;
    return 0;
}

void journal_close(struct journal *journal) {
    if (!journal)
        return;
    if (journal->fd >= 0)
        close(journal->fd);
    for (unsigned i = 0; i < journal->count; i++)
        mem_free(journal->slots[i].entry);
    mem_free(journal->slots);
    pthread_mutex_destroy(&journal->lock);
    mem_free(journal->path);
    mem_free(journal);
}

static int add_locked(struct journal *j, const struct journal_entry *entry, unsigned *ret_slot, struct err *err) {
    for (unsigned slot = 0; slot < j->count; slot++) {
        if (j->slots[slot].entry)
            continue;
        if (slot_write(j, slot, entry, err) < 0)
            return -1;
        j->slots[slot].entry = mem_dup(entry, sizeof(*entry));
        j->used++;
        *ret_slot = slot;
        return 0;
    }
    err_set(err, ERR_LIMIT, "%u backups wait to be shipped, and the journal %s has no room for more", j->count, j->path);
    return err_hint(
        err, "Staged backups leave it when their drafts can be written beside it: make room there, or bring the store back");
}

int journal_add(struct journal *journal, const struct journal_entry *entry, unsigned *ret_slot, struct err *err) {
    pthread_mutex_lock(&journal->lock);
    int rc = add_locked(journal, entry, ret_slot, err);
    pthread_mutex_unlock(&journal->lock);
    return rc;
}

static int change_locked(struct journal *j, unsigned slot, const struct journal_entry *next, struct err *err) {
    if (slot_write(j, slot, next, err) < 0)
        return -1;
    *j->slots[slot].entry = *next;
    return 0;
}

int journal_advance(struct journal *journal, unsigned slot, enum journal_step step, struct err *err) {
    pthread_mutex_lock(&journal->lock);
    struct journal_entry next = *journal->slots[slot].entry;
    next.step = step;
    int rc = change_locked(journal, slot, &next, err);
    pthread_mutex_unlock(&journal->lock);
    return rc;
}

int journal_set_incarnation(struct journal *journal, unsigned slot, uint32_t incarnation, struct err *err) {
    pthread_mutex_lock(&journal->lock);
    struct journal_entry next = *journal->slots[slot].entry;
    next.incarnation = incarnation;
    int rc = change_locked(journal, slot, &next, err);
    pthread_mutex_unlock(&journal->lock);
    return rc;
}

int journal_remove(struct journal *journal, unsigned slot, struct err *err) {
    pthread_mutex_lock(&journal->lock);
    struct journal_entry gone;
    memset(&gone, 0, sizeof(gone));
    int rc = slot_write(journal, slot, &gone, err);
    if (rc == 0) {
        mem_free(journal->slots[slot].entry);
        journal->slots[slot].entry = NULL;
        journal->used--;
    }
    pthread_mutex_unlock(&journal->lock);
    return rc;
}

static int by_age(const void *a, const void *b) {
    const struct journal_found *x = a, *y = b;
    if (x->entry.planned_at != y->entry.planned_at)
        return x->entry.planned_at < y->entry.planned_at ? -1 : 1;
    return strcmp(x->entry.run_id, y->entry.run_id);
}

struct journal_found *journal_list(struct journal *journal, unsigned *ret_count) {
    pthread_mutex_lock(&journal->lock);
    struct journal_found *found = mem_array(journal->used + 1, sizeof(*found));
    unsigned n = 0;
    for (unsigned slot = 0; slot < journal->count; slot++)
        if (journal->slots[slot].entry)
            found[n++] = (struct journal_found){.slot = slot, .entry = *journal->slots[slot].entry};
    pthread_mutex_unlock(&journal->lock);
    qsort(found, n, sizeof(*found), by_age);
    *ret_count = n;
    return found;
}

unsigned journal_used(struct journal *journal) {
    if (!journal)
        return 0;
    pthread_mutex_lock(&journal->lock);
    unsigned n = journal->used;
    pthread_mutex_unlock(&journal->lock);
    return n;
}

unsigned journal_slots(const struct journal *journal) {
    return journal->count;
}
