/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backup set as the chain logic sees it: what RESTORE HEADERONLY says of it, plus where it came from. Plain data of
 * fixed size, no pointers: the catalog file is an array of struct backup_record made from these.
 */
#ifndef MSSQL_CHAIN_BACKUP_H
#define MSSQL_CHAIN_BACKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/guid.h"
#include "common/chain/lsn.h"

enum backup_kind { BACKUP_FULL, BACKUP_DIFF, BACKUP_LOG, BACKUP_KIND_COUNT };

/* Bits of struct backup.flags; the same values are stored, so never renumber. */
enum backup_flag {
    BACKUP_COPY_ONLY = 1 << 0,
    BACKUP_BULK_LOGGED = 1 << 1, /* log with minimally logged changes: no moment inside is reachable */
    BACKUP_DAMAGED = 1 << 2, /* taken WITH CONTINUE_AFTER_ERROR over bad pages */
    BACKUP_CHECKSUMS = 1 << 3,
    BACKUP_BEGINS_LOG_CHAIN = 1 << 4,
    BACKUP_TAIL = 1 << 5, /* tail of the log, database left RESTORING */
    BACKUP_SNAPSHOT = 1 << 6,
    BACKUP_READ_ONLY = 1 << 7, /* database was read-only: consecutive logs overlap legitimately (4217) */
    BACKUP_COMPRESSED = 1 << 8, /* by SQL Server itself */
    BACKUP_ENCRYPTED_BY_SERVER = 1 << 9,
    BACKUP_FOREIGN = 1 << 10, /* known from msdb only: somebody else took it, we do not have it */
    BACKUP_OFF_VOLUME = 1 << 11, /* a copy exists on another volume than the data's */
    BACKUP_HELD = 1 << 12,
    BACKUP_UTC_OFFSET_KNOWN = 1 << 13,
    BACKUP_UNREADABLE = 1 << 14, /* the store has it damaged, or not any more: evidence that it was taken, no use for a restore */
};

struct backup {
    enum backup_kind kind;
    uint32_t flags;

    struct guid set_guid; /* BackupSetGUID: identity of the set */
    struct guid family_guid; /* FamilyGUID: constant through restores of one original database */
    struct guid database_guid; /* BindingID */
    struct guid first_fork; /* FirstRecoveryForkID: fork at the start */
    struct guid last_fork; /* RecoveryForkID: fork at the end */
    struct lsn fork_point; /* ForkPointLSN, zero unless the forks differ */
    struct guid diff_base_guid; /* DifferentialBaseGUID: set GUID of the base full; diffs only */
    struct lsn diff_base_lsn;

    struct lsn first_lsn;
    struct lsn last_lsn; /* exclusive: the next record after the set */
    struct lsn checkpoint_lsn;
    struct lsn database_backup_lsn; /* CheckpointLSN of the last regular full, 0 when none */

    int64_t start_at; /* BackupStartDate in UTC */
    int64_t finish_at; /* BackupFinishDate in UTC; headers have whole seconds, rounded down: see backup_ended_by() */
    /* LastValidRestoreTime in UTC where the server knows it (2022), else the server's clock sampled before BACKUP LOG: every
     * commit up to here is in the set. 0 for fulls and differentials without it. */
    int64_t valid_until;
    int32_t utc_offset_s; /* the server's offset when it wrote the dates: STOPAT text is the source's local time */
    uint32_t incarnation; /* counts volume reverts seen under this database: LSNs repeat across them */
    uint64_t size_bytes; /* BackupSize: logical */
    uint64_t stored_bytes; /* what the store holds */
    uint16_t stripes; /* files of the set */
    uint16_t position; /* in its file, from 1 */
};

static inline bool backup_has(const struct backup *b, enum backup_flag flag) {
    return (b->flags & (uint32_t)flag) != 0;
}
/* "full", "diff", "log". */
const char *backup_kind_name(enum backup_kind kind);
bool backup_kind_parse(const char *s, enum backup_kind *ret_kind);
/* HEADERONLY's BackupType number or msdb's type letter (D, I, L): only whole-database kinds are ours. */
bool backup_kind_from_type(const char *type, enum backup_kind *ret_kind);
/* Does the header say where the set begins and ends? Sets with incomplete metadata have NULL LSNs. */
bool backup_has_lsns(const struct backup *b);
/* Every commit up to here is in the set: valid_until where known; else the start of a log backup, the end of a full or
 * differential one. */
int64_t backup_reach_at(const struct backup *b);
/* The set holds no commit from behind this moment: its finish, or the end of that second where the header has whole seconds.
 * It is a whole second then, so that what people see of it is what they can ask for. 0: the header has no finish. */
int64_t backup_ended_by(const struct backup *b);
/* Does the log cross a fork: begin on one recovery fork and end on another? */
bool backup_crosses_fork(const struct backup *b);
/* May this full be the base of a plan (not damaged, not a snapshot, not foreign)? */
bool backup_is_base(const struct backup *b);

#endif
