/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a restore shall end, and how that is said to SQL Server.
 *
 * As text a target is one of
 *
 *     latest                              the newest state that the backups reach
 *     2026-11-21T02:47:00.123Z            a moment, RFC 3339 with any offset
 *     lsn:34000000006900179               with this log record; also 00000022:00000045:00b3 or 34:69:179
 *     before-lsn:34000000006900179        just before it (also written lsn:<34000000006900179)
 *     mark:NAME, mark:NAME@2026-11-21T02:47:00Z     with the marked transaction, the first of that name at or after the moment
 *     before-mark:NAME[@moment]           just before it
 */
#ifndef MSSQL_CHAIN_TARGET_H
#define MSSQL_CHAIN_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/chain/lsn.h"

#define CHAIN_MARK_MAX 513 /* 128 UTF-16 units as UTF-8, with room */
#define CHAIN_TARGET_TEXT_MAX (CHAIN_MARK_MAX + 64)
#define CHAIN_STOP_TEXT_MAX (2 * CHAIN_MARK_MAX + 64)

enum chain_target_kind { CHAIN_TO_LATEST, CHAIN_TO_TIME, CHAIN_TO_LSN, CHAIN_TO_MARK };

struct chain_target {
    enum chain_target_kind kind;
    int64_t at; /* TIME: the moment, UTC; MARK: the first mark at or after it, 0 any */
    struct lsn lsn; /* LSN */
    bool before; /* LSN and MARK: stop just before it */
    char mark[CHAIN_MARK_MAX];
};

/* ERR_USAGE names what is wrong and shows the forms. */
int chain_target_parse(const char *text, struct chain_target *ret_target, struct err *err) ERR_CHECK;
/* The text that parses to the same target again. */
char *chain_target_format(char dst[CHAIN_TARGET_TEXT_MAX], const struct chain_target *target);

/* What RESTORE LOG is told. */
enum chain_stop_kind { CHAIN_STOP_NONE, CHAIN_STOP_AT, CHAIN_STOP_AT_MARK, CHAIN_STOP_BEFORE_MARK };

struct chain_stop {
    enum chain_stop_kind kind;
    int64_t at; /* AT: the moment as datetime holds it, rounded down to 1/300 s; UTC */
    int32_t utc_offset_s; /* of the source at that moment: STOPAT and AFTER are its local time */
    bool offset_known; /* false: nobody said, UTC is assumed */
    char value[CHAIN_MARK_MAX]; /* "2026-11-21T03:47:00.123", "lsn:34000000006900179", or the mark's name; not quoted */
    char after[32]; /* marks: local time of AFTER, "" without */
};

/* The moment as datetime holds it (1/300 s), not later than `at`. */
int64_t chain_stop_round(int64_t at);
void chain_stop_at(int64_t at, int32_t utc_offset_s, bool offset_known, struct chain_stop *ret_stop);
void chain_stop_lsn(struct lsn lsn, bool before, struct chain_stop *ret_stop);
/* at: of the mark, 0 when its name alone names it. */
void chain_stop_mark(const char *name, bool before, int64_t at, int32_t utc_offset_s, bool offset_known,
                     struct chain_stop *ret_stop);
/* "STOPAT = N'2026-11-21T03:47:00.123'", "STOPATMARK = N'name' AFTER N'...'" quoted for T-SQL; "" for NONE. */
char *chain_stop_sql(char dst[CHAIN_STOP_TEXT_MAX], const struct chain_stop *stop);

#endif
