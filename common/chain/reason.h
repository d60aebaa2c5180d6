/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why something is as it is: causes of holes and reasons of states and decisions. The words are stable (metrics, JSON,
 * conditions); the texts are for people. Both stand in one table in reason.c.
 */
#ifndef MSSQL_CHAIN_REASON_H
#define MSSQL_CHAIN_REASON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/guid.h"
#include "common/chain/lsn.h"

#define CHAIN_WHO_MAX 132
#define CHAIN_DEVICE_MAX 264
#define CHAIN_TEXT_MAX 768

/* Order is not meaning; stored by word. */
enum chain_hole_cause {
    CHAIN_HOLE_NONE = 0,
    CHAIN_HOLE_LOG_PENDING, /* no hole yet: the next log backup closes it */
    CHAIN_HOLE_LOG_MISSING, /* a log backup is not there and nobody says who took it */
    CHAIN_HOLE_FOREIGN_LOG, /* somebody else took a log backup */
    CHAIN_HOLE_FOREIGN_LOG_NUL, /* somebody else threw the log away: TO DISK = 'NUL' */
    CHAIN_HOLE_NOT_FULL, /* the recovery model was SIMPLE for a while */
    CHAIN_HOLE_NO_LOGS, /* data backups only, nobody took logs between them */
    CHAIN_HOLE_BULK_LOGGED, /* minimally logged changes: only the end of that log is reachable */
    CHAIN_HOLE_FORK, /* restored to an earlier moment: another recovery fork */
    CHAIN_HOLE_VOLUME_REVERTED, /* the data volume went back or is another one */
    CHAIN_HOLE_REPLACED, /* another database was restored under this name */
    CHAIN_HOLE_RECREATED, /* dropped and created again */
    CHAIN_HOLE_LOG_REBUILT, /* repair, attach without log, revert to a database snapshot */
    CHAIN_HOLE_DAMAGED_BASE, /* the only full before it was taken over bad pages */
    CHAIN_HOLE_BASE_MISSING, /* logs or a differential whose full we do not have */
    CHAIN_HOLE_INCOMPLETE, /* a set without usable header */
    CHAIN_HOLE_STORE_DAMAGED, /* what the store has of a set cannot be read any more */
    CHAIN_HOLE_COUNT,
};

enum chain_reason {
    CHAIN_REASON_NONE = 0,
    CHAIN_REASON_NOTHING_DUE,
    CHAIN_REASON_SCHEDULED, /* the due kind is taken as planned */
    CHAIN_REASON_REQUESTED, /* on demand, copy-only */
    CHAIN_REASON_LOG_SIZE, /* log since the last backup is over its size */
    CHAIN_REASON_FIRST_FULL, /* no full of ours yet */
    CHAIN_REASON_QUIET, /* nothing was committed since the last log backup */
    CHAIN_REASON_READ_ONLY, /* nothing can be committed */
    CHAIN_REASON_PAUSED,
    CHAIN_REASON_OFFLINE,
    CHAIN_REASON_STATE_UNKNOWN, /* the server does not say (closed or starting database) */
    CHAIN_REASON_SIMPLE, /* recovery model SIMPLE: no log backups */
    CHAIN_REASON_PSEUDO_SIMPLE, /* FULL, but no log chain since it was SIMPLE */
    CHAIN_REASON_LOG_REBUILT, /* FULL, but the log was rebuilt: repair, attach, snapshot revert */
    CHAIN_REASON_FOREIGN_LOG,
    CHAIN_REASON_FOREIGN_LOG_NUL,
    CHAIN_REASON_LOG_MISSING, /* LSN gap, nobody known */
    CHAIN_REASON_BASE_MISSING, /* logs without a usable full before them */
    CHAIN_REASON_BASE_MOVED, /* the differential base is not ours any more */
    CHAIN_REASON_BASE_UNKNOWN, /* no single differential base: new or multi-based files */
    CHAIN_REASON_DAMAGED_BASE,
    CHAIN_REASON_MUCH_CHANGED, /* a differential would hold more than half of the database */
    CHAIN_REASON_DIFFS_OFF, /* policy does not allow differentials */
    CHAIN_REASON_FORKED, /* restored: another recovery fork */
    CHAIN_REASON_VOLUME_REVERTED,
    CHAIN_REASON_REPLACED,
    CHAIN_REASON_RECREATED,
    CHAIN_REASON_HEALING_ALERT, /* policy: say, do not heal */
    CHAIN_REASON_BUDGET, /* today's healing backups are used up */
    CHAIN_REASON_WINDOW, /* outside the healing window */
    CHAIN_REASON_RUNNING, /* a data backup of this database runs already */
    CHAIN_REASON_KIND_UNEXPECTED, /* check: the set is not what was asked for */
    CHAIN_REASON_INCOMPLETE, /* check: header without LSNs */
    CHAIN_REASON_DAMAGED, /* check: taken over bad pages */
    CHAIN_REASON_FULL_ONLY, /* system database that allows full backups only */
    CHAIN_REASON_STORE_DAMAGED, /* a backup that the chain needs is damaged or missing in the store */
    CHAIN_REASON_COUNT,
};

/* A stretch of time that none of our sets reaches. Plain data. */
struct chain_hole {
    enum chain_hole_cause cause;
    uint32_t incarnation; /* of the path behind it */
    struct guid family;
    struct guid fork;
    int64_t from_at; /* last reachable moment before it, 0 when there is none */
    int64_t until_at; /* first reachable moment behind it, 0 while it is open */
    struct lsn from_lsn;
    struct lsn until_lsn;
    int64_t cause_at; /* when the cause happened, 0 unknown */
    char who[CHAIN_WHO_MAX]; /* login, "" unknown */
    char device[CHAIN_DEVICE_MAX]; /* where the foreign backup went, "" unknown */
};

/* Never NULL; "unknown" outside the enum. */
const char *chain_hole_cause_word(enum chain_hole_cause cause);
bool chain_hole_cause_parse(const char *word, enum chain_hole_cause *ret_cause);
const char *chain_reason_word(enum chain_reason reason);
bool chain_reason_parse(const char *word, enum chain_reason *ret_reason);
/* The reason that is the state's when a hole of this cause is open, and back (NONE where there is no such cause). */
enum chain_reason chain_reason_of_cause(enum chain_hole_cause cause);
enum chain_hole_cause chain_cause_of_reason(enum chain_reason reason);

/*
 * One paragraph: what happened, who, when, what is unreachable, what happens next. `hole` and `next` may be NULL. A hole
 * without times adds nothing about moments.
 */
char *chain_reason_text(char dst[CHAIN_TEXT_MAX], enum chain_reason reason, const struct chain_hole *hole, const char *next);
/* "no moment from ... to ... can be restored: <what>, by ..., at ..., to ...". */
char *chain_hole_text(char dst[CHAIN_TEXT_MAX], const struct chain_hole *hole);

#endif
