/* SPDX-License-Identifier: Apache-2.0 */
#include "common/chain/reason.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"

struct reason_row {
    const char *word;
    const char *what; /* a clause without capital and full stop */
    enum chain_hole_cause cause; /* the hole it makes, NONE when it makes none */
};

static const struct reason_row reasons[CHAIN_REASON_COUNT] = {
    [CHAIN_REASON_NONE] = {"none", "the log chain is intact", CHAIN_HOLE_NONE},
    [CHAIN_REASON_NOTHING_DUE] = {"nothing_due", "no backup is due", CHAIN_HOLE_NONE},
    [CHAIN_REASON_SCHEDULED] = {"scheduled", "the backup is due", CHAIN_HOLE_NONE},
    [CHAIN_REASON_REQUESTED] = {"requested", "a copy-only backup was asked for", CHAIN_HOLE_NONE},
    [CHAIN_REASON_LOG_SIZE] = {"log_size", "the log since the last log backup is over its limit", CHAIN_HOLE_NONE},
    [CHAIN_REASON_FIRST_FULL] = {"awaiting_first_full", "there is no full backup of this database yet", CHAIN_HOLE_BASE_MISSING},
    [CHAIN_REASON_QUIET] = {"quiet", "nothing was committed since the last log backup", CHAIN_HOLE_NONE},
    [CHAIN_REASON_READ_ONLY] = {"read_only", "the database is read-only and its log is backed up to the end", CHAIN_HOLE_NONE},
    [CHAIN_REASON_PAUSED] = {"paused", "backups of this database are paused", CHAIN_HOLE_NONE},
    [CHAIN_REASON_OFFLINE] = {"offline", "the database is not online", CHAIN_HOLE_NONE},
    [CHAIN_REASON_STATE_UNKNOWN] = {"state_unknown", "the server does not tell the state of this database now", CHAIN_HOLE_NONE},
    [CHAIN_REASON_SIMPLE] = {"simple_recovery", "the recovery model is SIMPLE, so there are no log backups", CHAIN_HOLE_NOT_FULL},
    [CHAIN_REASON_PSEUDO_SIMPLE] = {"pseudo_simple",
                                    "the recovery model left FULL and came back, no data backup began a new log chain since",
                                    CHAIN_HOLE_NOT_FULL},
    [CHAIN_REASON_LOG_REBUILT] = {"log_rebuilt", "the log was rebuilt (repair, attach without log, or revert to a snapshot)",
                                  CHAIN_HOLE_LOG_REBUILT},
    [CHAIN_REASON_FOREIGN_LOG] = {"foreign_log", "a log backup was taken outside of this program", CHAIN_HOLE_FOREIGN_LOG},
    [CHAIN_REASON_FOREIGN_LOG_NUL] = {"foreign_log_nul", "the log was thrown away by a log backup to NUL",
                                      CHAIN_HOLE_FOREIGN_LOG_NUL},
    [CHAIN_REASON_LOG_MISSING] = {"log_missing", "a part of the log is in none of our backups and msdb does not say who took it",
                                  CHAIN_HOLE_LOG_MISSING},
    [CHAIN_REASON_BASE_MISSING] = {"base_missing", "there is no usable full backup before these logs", CHAIN_HOLE_BASE_MISSING},
    [CHAIN_REASON_BASE_MOVED] = {"base_moved", "a full backup taken outside of this program is now the base of differentials",
                                 CHAIN_HOLE_NONE},
    [CHAIN_REASON_BASE_UNKNOWN] = {"base_unknown", "the server names no single base for differentials", CHAIN_HOLE_NONE},
    [CHAIN_REASON_DAMAGED_BASE] = {"damaged_base", "the last full backup was taken over damaged pages", CHAIN_HOLE_DAMAGED_BASE},
    [CHAIN_REASON_MUCH_CHANGED] = {"much_changed", "half of the database or more changed since the last full backup",
                                   CHAIN_HOLE_NONE},
    [CHAIN_REASON_DIFFS_OFF] = {"diffs_off", "the policy allows no differentials", CHAIN_HOLE_NONE},
    [CHAIN_REASON_FORKED] = {"forked", "the database was restored and is on another recovery fork", CHAIN_HOLE_FORK},
    [CHAIN_REASON_VOLUME_REVERTED] = {"volume_reverted", "the data volume was reverted, cloned or exchanged",
                                      CHAIN_HOLE_VOLUME_REVERTED},
    [CHAIN_REASON_REPLACED] = {"replaced", "another database was restored under this name", CHAIN_HOLE_REPLACED},
    [CHAIN_REASON_RECREATED] = {"recreated", "the database was dropped and created again", CHAIN_HOLE_RECREATED},
    [CHAIN_REASON_HEALING_ALERT] = {"healing_alert", "healing is set to alert, so no unplanned backup is taken", CHAIN_HOLE_NONE},
    [CHAIN_REASON_BUDGET] = {"budget_exhausted", "today's healing backups are used up", CHAIN_HOLE_NONE},
    [CHAIN_REASON_WINDOW] = {"outside_window", "the healing window is closed", CHAIN_HOLE_NONE},
    [CHAIN_REASON_RUNNING] = {"already_running", "a data backup of this database is running", CHAIN_HOLE_NONE},
    [CHAIN_REASON_KIND_UNEXPECTED] = {"unexpected_set", "the backup set is not of the kind that was asked for", CHAIN_HOLE_NONE},
    [CHAIN_REASON_INCOMPLETE] = {"incomplete_header", "the backup set has no usable header (incomplete metadata)",
                                 CHAIN_HOLE_INCOMPLETE},
    [CHAIN_REASON_DAMAGED] = {"damaged", "the backup was taken over damaged pages and is no base for a restore", CHAIN_HOLE_NONE},
    [CHAIN_REASON_FULL_ONLY] = {"full_only", "this database allows full backups only", CHAIN_HOLE_NONE},
    [CHAIN_REASON_STORE_DAMAGED] = {"store_damaged", "a backup that the chain needs is damaged or missing in the store",
                                    CHAIN_HOLE_STORE_DAMAGED},
};

struct cause_row {
    const char *word;
    const char *what;
    enum chain_reason reason;
};

static const struct cause_row causes[CHAIN_HOLE_COUNT] = {
    [CHAIN_HOLE_NONE] = {"none", "nothing is missing", CHAIN_REASON_NONE},
    [CHAIN_HOLE_LOG_PENDING] = {"log_pending", "the next log backup is still to come", CHAIN_REASON_NONE},
    [CHAIN_HOLE_LOG_MISSING] = {"log_missing", "a log backup is missing", CHAIN_REASON_LOG_MISSING},
    [CHAIN_HOLE_FOREIGN_LOG] = {"foreign_log", "a log backup was taken outside of this program", CHAIN_REASON_FOREIGN_LOG},
    [CHAIN_HOLE_FOREIGN_LOG_NUL] = {"foreign_log_nul", "the log was thrown away by a log backup to NUL",
                                    CHAIN_REASON_FOREIGN_LOG_NUL},
    [CHAIN_HOLE_NOT_FULL] = {"not_full_recovery", "the recovery model was not FULL", CHAIN_REASON_PSEUDO_SIMPLE},
    [CHAIN_HOLE_NO_LOGS] = {"no_logs", "no logs were backed up between two data backups", CHAIN_REASON_LOG_MISSING},
    [CHAIN_HOLE_BULK_LOGGED] = {"bulk_logged", "minimally logged changes: only the end of that log backup is reachable",
                                CHAIN_REASON_NONE},
    [CHAIN_HOLE_FORK] = {"fork", "the database was restored and went on along another recovery fork", CHAIN_REASON_FORKED},
    [CHAIN_HOLE_VOLUME_REVERTED] = {"volume_reverted", "the data volume was reverted, cloned or exchanged",
                                    CHAIN_REASON_VOLUME_REVERTED},
    [CHAIN_HOLE_REPLACED] = {"replaced", "another database was restored under this name", CHAIN_REASON_REPLACED},
    [CHAIN_HOLE_RECREATED] = {"recreated", "the database was dropped and created again", CHAIN_REASON_RECREATED},
    [CHAIN_HOLE_LOG_REBUILT] = {"log_rebuilt", "the log was rebuilt", CHAIN_REASON_LOG_REBUILT},
    [CHAIN_HOLE_DAMAGED_BASE] = {"damaged_base", "the full backup before it was taken over damaged pages",
                                 CHAIN_REASON_DAMAGED_BASE},
    [CHAIN_HOLE_BASE_MISSING] = {"base_missing", "there is no usable full backup before it", CHAIN_REASON_BASE_MISSING},
    [CHAIN_HOLE_INCOMPLETE] = {"incomplete", "a backup set without usable header", CHAIN_REASON_INCOMPLETE},
    [CHAIN_HOLE_STORE_DAMAGED] = {"store_damaged", "a backup is damaged or missing in the store", CHAIN_REASON_STORE_DAMAGED},
};

const char *chain_hole_cause_word(enum chain_hole_cause cause) {
    return (unsigned)cause < CHAIN_HOLE_COUNT ? causes[cause].word : "unknown";
}

bool chain_hole_cause_parse(const char *word, enum chain_hole_cause *ret_cause) {
    for (unsigned i = 0; i < CHAIN_HOLE_COUNT; i++) {
        if (!strcmp(word, causes[i].word)) {
            *ret_cause = (enum chain_hole_cause)i;
            return true;
        }
    }
    return false;
}

const char *chain_reason_word(enum chain_reason reason) {
    return (unsigned)reason < CHAIN_REASON_COUNT ? reasons[reason].word : "unknown";
}

bool chain_reason_parse(const char *word, enum chain_reason *ret_reason) {
    for (unsigned i = 0; i < CHAIN_REASON_COUNT; i++) {
        if (!strcmp(word, reasons[i].word)) {
            *ret_reason = (enum chain_reason)i;
            return true;
        }
    }
    return false;
}

enum chain_reason chain_reason_of_cause(enum chain_hole_cause cause) {
    return (unsigned)cause < CHAIN_HOLE_COUNT ? causes[cause].reason : CHAIN_REASON_NONE;
}

enum chain_hole_cause chain_cause_of_reason(enum chain_reason reason) {
    return (unsigned)reason < CHAIN_REASON_COUNT ? reasons[reason].cause : CHAIN_HOLE_NONE;
}

/* Appends to dst as far as there is room. */
static void text_add(char dst[CHAIN_TEXT_MAX], const char *a, const char *b, const char *c) {
    size_t len = strlen(dst);
    str_format(dst + len, CHAIN_TEXT_MAX - len, "%s%s%s", a, b, c);
}

static void text_add_who(char dst[CHAIN_TEXT_MAX], const struct chain_hole *hole) {
    char at[CLOCK_TEXT_MAX];
    if (hole->who[0])
        text_add(dst, ", by ", hole->who, "");
    if (hole->device[0])
        text_add(dst, ", to ", hole->device, "");
    if (hole->cause_at)
        text_add(dst, ", at ", clock_format(at, hole->cause_at), "");
}

static void text_add_moments(char dst[CHAIN_TEXT_MAX], const struct chain_hole *hole) {
    char from[CLOCK_TEXT_MAX], until[CLOCK_TEXT_MAX];
    if (hole->from_at)
        text_add(dst, "no moment after ", clock_format(from, hole->from_at), "");
    else
        text_add(dst, "no moment", "", "");
    if (hole->until_at)
        text_add(dst, hole->from_at ? " and before " : " before ", clock_format(until, hole->until_at), "");
    else
        text_add(dst, " up to the next data backup", "", "");
    text_add(dst, " can be restored", "", "");
}

char *chain_reason_text(char dst[CHAIN_TEXT_MAX], enum chain_reason reason, const struct chain_hole *hole, const char *next) {
    dst[0] = 0;
    text_add(dst, (unsigned)reason < CHAIN_REASON_COUNT ? reasons[reason].what : "unknown reason", "", "");
    if (hole) {
        text_add_who(dst, hole);
        if (hole->from_at || hole->until_at) {
            text_add(dst, "; ", "", "");
            text_add_moments(dst, hole);
        }
    }
    if (next && next[0])
        text_add(dst, "; ", next, "");
    return dst;
}

char *chain_hole_text(char dst[CHAIN_TEXT_MAX], const struct chain_hole *hole) {
    dst[0] = 0;
    text_add_moments(dst, hole);
    text_add(dst, ": ", (unsigned)hole->cause < CHAIN_HOLE_COUNT ? causes[hole->cause].what : "unknown cause", "");
    text_add_who(dst, hole);
    return dst;
}
