/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/store/catalog_int.h"
#include "common/store/crc32c.h"

#define MAP_LEAST (UINT64_C(16) << 20)
#define MODE 0600

/* ---- records ---- */

static uint32_t record_crc(const struct record *r) {
    size_t skip = offsetof(struct record, type);
    return crc32c((const uint8_t *)r + skip, sizeof(*r) - skip);
}

uint32_t record_state(uint32_t bits) {
    return (bits & 0xffff) | (~bits & 0xffff) << 16;
}

uint32_t record_bits(const struct record *r) {
    uint32_t word = __atomic_load_n(&r->state, __ATOMIC_RELAXED); /* another process may be changing it */
    return (word & 0xffff) == (~word >> 16 & 0xffff) ? word & 0xffff : 0;
}

const struct record *catalog_peek(const struct catalog *c, uint32_t index) {
    return (const struct record *)(c->map + sizeof(struct catalog_header)) + index;
}

static bool record_is_good(const struct catalog *c, uint32_t index) {
    const struct record *r = catalog_peek(c, index);
    return r->self == index && r->type && r->crc == record_crc(r);
}

int catalog_record(const struct catalog *c, uint32_t index, const struct record **ret_record, struct err *err) {
    if (index >= c->count || !record_is_good(c, index))
        return err_set(err, ERR_CORRUPT, "catalog %s: record %u of %u is damaged. It can be made again from the store", c->path,
                       index, c->count);
    *ret_record = catalog_peek(c, index);
    return 0;
}

/* ---- the map: larger than the file, so that it is made anew only when the file doubles ---- */

static int catalog_map_grow(struct catalog *c, struct err *err) {
    size_t need = sizeof(struct catalog_header) + (size_t)c->count * CATALOG_RECORD;
    if (c->map && need <= c->map_bytes)
        return 0;
    size_t bytes = MAP_LEAST;
    while (bytes < need * 2)
        bytes *= 2;
    void *map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, c->fd, 0);
    if (map == MAP_FAILED)
        return err_os(err, ERR_NONE, errno, "map catalog %s", c->path);
    if (c->map)
        munmap((void *)(uintptr_t)c->map, c->map_bytes);
    c->map = map;
    c->map_bytes = bytes;
    return 0;
}

void catalog_release_pages(const struct catalog *c) {
    if (c->map)
        (void)madvise((void *)(uintptr_t)c->map, c->map_bytes, MADV_DONTNEED);
}

void catalog_release_range(const struct catalog *c, uint32_t from, uint32_t until) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t begin = sizeof(struct catalog_header) + (size_t)from * CATALOG_RECORD,
           end = begin + (size_t)(until - from) * CATALOG_RECORD;
    begin = (begin + page - 1) / page * page;
    end = end / page * page;
    if (c->map && begin < end)
        (void)madvise((void *)(uintptr_t)(c->map + begin), end - begin, MADV_DONTNEED);
}

void catalog_detach(struct catalog *c) {
    if (c->map)
        munmap((void *)(uintptr_t)c->map, c->map_bytes);
    c->map = NULL;
    c->map_bytes = 0;
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    for (size_t i = 0; i < c->db_count; i++)
        mem_free(c->dbs[i]);
    mem_free(c->dbs);
    c->dbs = NULL;
    c->db_count = c->db_cap = 0;
    c->live = 0;
    c->count = c->checkpoint = 0;
}

/* ---- writing ---- */

static int write_at(struct catalog *c, const void *data, size_t len, uint64_t at, struct err *err) {
    const char *p = data;
    while (len) {
        ssize_t n = pwrite(c->fd, p, len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_os(err, ERR_NONE, n < 0 ? errno : EIO, "write catalog %s", c->path);
        p += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

static uint64_t offset_of(uint32_t index) {
    return sizeof(struct catalog_header) + (uint64_t)index * CATALOG_RECORD;
}

int catalog_sync(struct catalog *c, struct err *err) {
    if (!c->unsynced)
        return 0;
    if (store_step_before(STORE_STEP_CATALOG_SYNC, err) < 0)
        return -1;
    if (fdatasync(c->fd) < 0)
        return err_os(err, ERR_NONE, errno, "fsync catalog %s", c->path);
    c->unsynced = false;
    return store_step_after(STORE_STEP_CATALOG_SYNC, err);
}

int catalog_sync_begin(struct catalog *c) {
    int fd = c->unsynced ? fcntl(c->fd, F_DUPFD_CLOEXEC, 0) : -1;
    c->unsynced &= fd < 0;
    return fd;
}

int catalog_sync_wait(int fd, struct err *err) {
    if (store_step_before(STORE_STEP_CATALOG_SYNC, err) < 0)
        return -1;
    if (fdatasync(fd) < 0)
        return err_os(err, ERR_NONE, errno, "fsync catalog");
    return store_step_after(STORE_STEP_CATALOG_SYNC, err);
}

void catalog_sync_failed(struct catalog *c) {
    c->unsynced = true;
}

static int sync_by_policy(struct catalog *c, struct err *err) {
    c->unsynced = true;
    return c->sync == CATALOG_SYNC_EACH ? catalog_sync(c, err) : 0;
}

static int check_writer(const struct catalog *c, struct err *err) {
    if (!c->writer)
        return err_set(err, ERR_INTERNAL, "catalog %s was opened for reading", c->path);
    return c->broken ? err_set(err, ERR_IO, "catalog %s: an earlier write failed; it must be opened again", c->path) : 0;
}

int catalog_write(struct catalog *c, struct record *records, uint32_t count, struct err *err) {
    if (check_writer(c, err) < 0)
        return -1;
    if (c->count > CATALOG_MAX - count)
        return err_set(err, ERR_LIMIT, "catalog %s has %u records: no more fit", c->path, c->count);
    for (uint32_t i = 0; i < count; i++) {
        records[i].self = c->count + i;
        records[i].state = record_state(record_bits(&records[i]));
        records[i].crc = record_crc(&records[i]);
    }
    if (store_step_before(STORE_STEP_CATALOG_APPEND, err) < 0)
        return -1;
    if (write_at(c, records, (size_t)count * CATALOG_RECORD, offset_of(c->count), err) < 0) {
        /* Half a record must not stay in front of a later one. */
        c->broken = ftruncate(c->fd, (off_t)offset_of(c->count)) < 0;
        return -1;
    }
    c->count += count;
    if (catalog_map_grow(c, err) < 0 || store_step_after(STORE_STEP_CATALOG_APPEND, err) < 0 || sync_by_policy(c, err) < 0) {
        /* The records are in the file and perhaps not in what is resident: opening it again settles that. */
        c->count -= count;
        c->broken = true;
        return -1;
    }
    return 0;
}

int catalog_write_state(struct catalog *c, uint32_t index, uint32_t bits, struct err *err) {
    if (check_writer(c, err) < 0 || store_step_before(STORE_STEP_CATALOG_MARK, err) < 0)
        return -1;
    uint32_t word = record_state(bits);
    if (write_at(c, &word, sizeof(word), offset_of(index) + offsetof(struct record, state), err) < 0)
        return -1;
    c->unsynced = true;
    return store_step_after(STORE_STEP_CATALOG_MARK, err);
}

int catalog_maybe_checkpoint(struct catalog *c, struct err *err) {
    return c->count - c->checkpoint < CHECKPOINT_EVERY ? 0 : catalog_checkpoint(c, err);
}

int catalog_checkpoint(struct catalog *c, struct err *err) {
    if (!c->db_count)
        return 0;
    size_t parts = (c->db_count + RECORD_TIPS - 1) / RECORD_TIPS;
    struct record *records = mem_array(parts, sizeof(*records));
    for (size_t i = 0; i < parts; i++)
        records[i] = (struct record){.type = RECORD_CHECKPOINT, .part = (uint16_t)i, .database = (uint32_t)c->db_count};
    for (size_t i = 0; i < c->db_count; i++) {
        const struct catalog_db *db = c->dbs[i];
        records[i / RECORD_TIPS].tips[i % RECORD_TIPS] = (struct record_tip){
            .database_at = db->record_at,
            .tip = db->tip,
            .sets = (uint32_t)db->pub.sets,
            .sequence = db->pub.sequence,
        };
    }
    int rc = catalog_write(c, records, (uint32_t)parts, err);
    mem_free(records);
    if (rc == 0)
        c->checkpoint = c->count;
    return rc;
}

/* ---- files ---- */

int catalog_identity(const char *identity, const char *scope, struct hash *ret_hash, struct err *err) {
    _cleanup_free_ char *text = mem_printf("%s\n%s", identity, scope);
    return hash_of(text, strlen(text), ret_hash, err);
}

static uint32_t header_crc(const struct catalog_header *h) {
    return crc32c(h, offsetof(struct catalog_header, crc));
}

static int check_header(struct catalog *c, const struct catalog_header *h, struct err *err) {
    if (h->magic != CATALOG_MAGIC || h->crc != header_crc(h))
        return err_set(err, ERR_CORRUPT, "catalog %s: its header is damaged. It can be made again from the store", c->path);
    if (h->layout != CATALOG_LAYOUT || h->record_bytes != CATALOG_RECORD || h->backup_bytes != sizeof(struct backup))
        return err_set(err, ERR_CORRUPT, "catalog %s is of another version. It can be made again from the store", c->path);
    if (c->writer && !hash_eq(&h->identity, &c->identity))
        return err_set(err, ERR_CORRUPT, "catalog %s is of another store or instance. It can be made again from the store",
                       c->path);
    c->identity = h->identity;
    c->generation = h->generation;
    return 0;
}

int catalog_attach(struct catalog *c, uint64_t *ret_cut_bytes, struct err *err) {
    struct catalog_header header;
    struct stat st;
    if (fstat(c->fd, &st) < 0)
        return err_os(err, ERR_NONE, errno, "look at catalog %s", c->path);
    ssize_t n = pread(c->fd, &header, sizeof(header), 0);
    if (n < 0)
        return err_os(err, ERR_NONE, errno, "read catalog %s", c->path);
    if ((size_t)n < sizeof(header))
        memset((char *)&header + n, 0, sizeof(header) - (size_t)n);
    if (check_header(c, &header, err) < 0)
        return -1;
    uint64_t records = ((uint64_t)st.st_size - sizeof(header)) / CATALOG_RECORD;
    if (records > CATALOG_MAX)
        return err_set(err, ERR_LIMIT, "catalog %s has %llu records", c->path, (unsigned long long)records);
    c->count = (uint32_t)records;
    if (catalog_map_grow(c, err) < 0)
        return -1;
    uint32_t cut = 0;
    while (c->count && !record_is_good(c, c->count - 1)) {
        c->count--;
        if (++cut > TAIL_MAX)
            return err_set(err, ERR_CORRUPT, "catalog %s: more than its end is damaged. It can be made again from the store",
                           c->path);
    }
    if (catalog_replay(c, err) < 0)
        return -1;
    *ret_cut_bytes = (uint64_t)st.st_size - offset_of(c->count);
    return 0;
}

int catalog_take_lock(const char *path, int *ret_fd, struct err *err) {
    _cleanup_free_ char *lock = mem_printf("%s.lock", path);
    int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, MODE);
    if (fd < 0)
        return err_os(err, ERR_NONE, errno, "lock of catalog %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int saved = errno;
        close(fd);
        return saved == EWOULDBLOCK ? err_set(err, ERR_BUSY, "catalog %s is in use by another process", path)
                                    : err_os(err, ERR_NONE, saved, "lock of catalog %s", path);
    }
    *ret_fd = fd;
    return 0;
}

int catalog_create(const char *path, const struct hash *identity, uint64_t generation, struct catalog **ret_catalog,
                   struct err *err) {
    struct catalog *c = mem_alloc(sizeof(*c));
    *c = (struct catalog){
        .path = mem_strdup(path), .identity = *identity, .writer = true, .sync = CATALOG_SYNC_LATER, .lock_fd = -1};
    c->generation = generation;
    struct catalog_header h = {
        .magic = CATALOG_MAGIC,
        .layout = CATALOG_LAYOUT,
        .record_bytes = CATALOG_RECORD,
        .backup_bytes = sizeof(struct backup),
        .generation = generation,
        .identity = *identity,
    };
    h.crc = header_crc(&h);
    c->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, MODE);
    int rc = c->fd < 0 ? err_os(err, ERR_NONE, errno, "create catalog %s", path) : write_at(c, &h, sizeof(h), 0, err);
    if (rc < 0 || catalog_map_grow(c, err) < 0) {
        catalog_free(c);
        return -1;
    }
    c->unsynced = true;
    *ret_catalog = c;
    return 0;
}

int catalog_install(struct catalog *from, const char *to, struct err *err) {
    if (catalog_sync(from, err) < 0 || store_step_before(STORE_STEP_CATALOG_RENAME, err) < 0 ||
        file_rename_durable(from->path, to, err) < 0)
        return -1;
    mem_free(from->path);
    from->path = mem_strdup(to);
    return store_step_after(STORE_STEP_CATALOG_RENAME, err);
}
