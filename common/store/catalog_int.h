/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalog file: a header and records, all of CATALOG_RECORD bytes, in the byte order and layout of this machine and
 * program. It never leaves the state directory; another layout is simply rebuilt.
 *
 *     header | database, name, name | set | set | database ... | set | checkpoint, checkpoint | set | removed | ...
 *
 * Sets of one database are linked backwards. Every CHECKPOINT_EVERY records all tips are written down, so that opening
 * reads the end of the file only. Each record has a CRC and its own index. One word of a set is outside the CRC and is
 * changed in place: whether it was removed, is held, is off the volume, cannot be read any more; it is stored twice, the second time inverted.
 */
#ifndef MSSQL_STORE_CATALOG_INT_H
#define MSSQL_STORE_CATALOG_INT_H

#include "common/pipe/hash.h"
#include "common/store/catalog.h"
#include "common/store/store_int.h"

#define CATALOG_RECORD 320
#define CATALOG_MAGIC UINT64_C(0x31544143514c534d) /* "MSLQCAT1" as this machine writes it */
#define CATALOG_LAYOUT 2
#define CATALOG_MAX (UINT32_MAX - 1)
#define CHECKPOINT_EVERY 4096
#define TAIL_MAX 4096 /* bad records at the end that are cut; more is damage */

enum record_type { RECORD_SET = 1, RECORD_DATABASE, RECORD_NAME, RECORD_CHECKPOINT, RECORD_REMOVED };

/* The word outside the CRC. */
enum record_state { STATE_REMOVED = 1, STATE_HELD = 2, STATE_OFF_VOLUME = 4, STATE_UNREADABLE = 8 };

struct record_set {
    struct backup backup;
    struct catalog_note note;
};

struct record_database {
    struct guid family, database;
    uint32_t name_bytes;
    char folder[NAME_FOLDER_MAX];
};

struct record_tip {
    uint32_t database_at; /* index of its newest database record */
    uint32_t tip;
    uint32_t sets;
    uint32_t pad;
    uint64_t sequence;
};
#define RECORD_BODY (CATALOG_RECORD - 32)
#define RECORD_TIPS (RECORD_BODY / sizeof(struct record_tip))

struct record {
    uint32_t crc; /* of everything behind state */
    uint32_t state; /* low half: bits, high half: the same inverted */
    uint8_t type;
    uint8_t pad;
    uint16_t part; /* of a name or a checkpoint */
    uint32_t database; /* id; in a checkpoint: how many databases */
    uint32_t previous; /* set: the one before it of the database; removed: the set */
    uint32_t self; /* its index */
    uint64_t sequence;
    union {
        struct record_set set;
        struct record_database db;
        char text[RECORD_BODY];
        struct record_tip tips[RECORD_TIPS];
        uint8_t body[RECORD_BODY];
    };
};
_Static_assert(sizeof(struct record_set) <= RECORD_BODY, "a set fits its record");
_Static_assert(sizeof(struct record) == CATALOG_RECORD, "record of the catalog");

struct catalog_header {
    uint64_t magic;
    uint32_t layout, record_bytes, backup_bytes, pad;
    uint64_t generation;
    struct hash identity; /* of store and scope */
    uint8_t reserved[CATALOG_RECORD - 68];
    uint32_t crc; /* of everything before it */
};
_Static_assert(sizeof(struct catalog_header) == CATALOG_RECORD, "header of the catalog");

struct catalog_db {
    struct catalog_database pub;
    uint32_t record_at;
    uint32_t tip;
};

struct catalog {
    char *path;
    char *scope; /* writer */
    struct hash identity;
    bool writer;
    enum catalog_sync sync;
    int fd, lock_fd;
    uint64_t generation;
    const uint8_t *map;
    size_t map_bytes;
    uint32_t count; /* records that count */
    uint32_t checkpoint; /* records at the last checkpoint */
    bool unsynced;
    bool broken; /* a write failed half-way: only the file knows what is there */
    uint64_t live;
    struct catalog_db **dbs;
    size_t db_count, db_cap;
};

/* catalog_file.c */
const struct record *catalog_peek(const struct catalog *c, uint32_t index); /* no check */
int catalog_record(const struct catalog *c, uint32_t index, const struct record **ret_record, struct err *err) ERR_CHECK;
/* Gives the whole pages of these records back. */
void catalog_release_range(const struct catalog *c, uint32_t from, uint32_t until);
/* Fills self, state and crc of `count` records and writes them in one go behind the last. */
int catalog_write(struct catalog *c, struct record *records, uint32_t count, struct err *err) ERR_CHECK;
int catalog_checkpoint(struct catalog *c, struct err *err) ERR_CHECK;
int catalog_maybe_checkpoint(struct catalog *c, struct err *err) ERR_CHECK;
int catalog_write_state(struct catalog *c, uint32_t index, uint32_t bits, struct err *err) ERR_CHECK;
uint32_t record_state(uint32_t bits); /* the word of these bits */
uint32_t record_bits(const struct record *r); /* of the state; damage reads as none */
uint32_t catalog_flags_of(uint32_t bits); /* as enum backup_flag */
int catalog_identity(const char *identity, const char *scope, struct hash *ret_hash, struct err *err) ERR_CHECK;
/* A new file with a header only, open for writing without a lock; for rebuild and compaction. */
int catalog_create(const char *path, const struct hash *identity, uint64_t generation, struct catalog **ret_catalog,
                   struct err *err) ERR_CHECK;
int catalog_take_lock(const char *path, int *ret_fd, struct err *err) ERR_CHECK;
/* Makes `from` durable and gives it the name of `to`. */
int catalog_install(struct catalog *from, const char *to, struct err *err) ERR_CHECK;
/* The path's header and records; cut says how many bytes at the end do not count. */
int catalog_attach(struct catalog *c, uint64_t *ret_cut_bytes, struct err *err) ERR_CHECK;
void catalog_detach(struct catalog *c); /* map, descriptor and databases */

/* catalog_load.c */
int catalog_replay(struct catalog *c, struct err *err) ERR_CHECK;
struct catalog_db *catalog_db_at(const struct catalog *c, uint32_t id);
struct catalog_db *catalog_db_add(struct catalog *c);

/* catalog.c: appends without looking for the same set. */
int catalog_append_unchecked(struct catalog *c, struct catalog_db *db, const struct backup *backup,
                             const struct catalog_note *note, uint64_t sequence, struct err *err) ERR_CHECK;

#endif
