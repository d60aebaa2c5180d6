/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal of runs: which backups were begun, how far each one got. BACKUP LOG truncates the log, so between its success
 * and the commit in the store the staged file is the only copy; the journal is what finds it again after any crash.
 *
 * One file of fixed, preallocated size in the state directory, so that it still works when the volume is full. A slot
 * holds one run, in two copies that are written in turn, each with a sequence number and a CRC: a torn write leaves the
 * older copy. A change returns only when it is durable.
 */
#ifndef MSSQL_SIDECAR_JOB_JOURNAL_H
#define MSSQL_SIDECAR_JOB_JOURNAL_H

#include <stdint.h>

#include "common/base/err.h"
#include "common/base/guid.h"
#include "common/chain/backup.h"

#define RUN_ID_MAX 40 /* "20261121T024700Z-log-1a2b3c4d" */
#define DATABASE_NAME_MAX 513 /* 128 UTF-16 characters are at most 512 bytes of UTF-8 */
#define JOURNAL_SLOTS_MAX 65536
#define JOURNAL_STRIPES_MAX 64

/* Persisted; numbers never change their meaning. */
enum journal_step {
    JOURNAL_FREE = 0,
    JOURNAL_PLANNED = 1, /* BACKUP may be running, or may have succeeded without our knowing */
    JOURNAL_TAKEN = 2, /* the staged file is complete and durable: never removed before the commit */
    JOURNAL_COMMITTED = 3, /* the manifest is durable in the store: the staged file may go */
    JOURNAL_STEP_COUNT,
};

/* What must survive of a run. Everything else is read from the staged file again. */
struct journal_entry {
    char run_id[RUN_ID_MAX];
    char database[DATABASE_NAME_MAX];
    char trigger[32]; /* schedule, healing, request, ... */
    char reason[64]; /* stable word of the decision */
    enum journal_step step;
    enum backup_kind kind;
    uint32_t flags; /* BACKUP_COPY_ONLY, BACKUP_TAIL, BACKUP_DAMAGED as asked for */
    uint32_t stripes;
    uint32_t incarnation;
    int32_t utc_offset_s; /* the server's, sampled before the statement */
    int64_t planned_at;
    int64_t sampled_at; /* the server's clock in UTC, sampled before the statement: lower bound of valid_until */
    struct guid family_guid; /* which database it was, whatever its name is now */
    struct guid database_guid;
    struct lsn
        not_before; /* the highest that was known of the database then: a set that ends before it is of another incarnation */
};

struct journal;

/* Opens or creates <dir>/journal, a new one with so many slots; an old one keeps its number. Existing entries are kept; slots whose both copies are bad are counted in ret_damaged
 * (ERR_CORRUPT only when the file as a whole is not a journal). ERR_CONFLICT when another process holds it. */
int journal_open(const char *dir, unsigned slots, struct journal **ret_journal, unsigned *ret_damaged, struct err *err) ERR_CHECK;
void journal_close(struct journal *journal);

/* Writes a new entry; ret_slot names it from then on. ERR_LIMIT when all slots are taken. Thread-safe, as all calls here. */
int journal_add(struct journal *journal, const struct journal_entry *entry, unsigned *ret_slot, struct err *err) ERR_CHECK;
int journal_advance(struct journal *journal, unsigned slot, enum journal_step step, struct err *err) ERR_CHECK;
/* The set is of another incarnation than was planned: only its header told. */
int journal_set_incarnation(struct journal *journal, unsigned slot, uint32_t incarnation, struct err *err) ERR_CHECK;
/* Frees the slot. */
int journal_remove(struct journal *journal, unsigned slot, struct err *err) ERR_CHECK;

/* Entries in use, oldest first by planned_at. mem_free() the array. */
struct journal_found {
    unsigned slot;
    struct journal_entry entry;
};
struct journal_found *journal_list(struct journal *journal, unsigned *ret_count);
unsigned journal_used(struct journal *journal);
unsigned journal_slots(const struct journal *journal);

/* Names of the fault points of this file, NULL-terminated. */
const char *const *journal_fault_points(void);

#endif
