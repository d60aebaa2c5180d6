/* SPDX-License-Identifier: Apache-2.0 */
/*
 * May a database that is there be restored over? Pure.
 *
 * Nothing committed is ever lost unasked. When the log that is not backed up yet continues what the store can restore, its
 * tail is taken and shipped first, and RESTORE runs without REPLACE so that SQL Server's own guards stay on. When
 * something would be lost for good it is refused with a token; quoting that token acknowledges the loss. The token is a
 * hash over everything that the loss consists of: the instance, the database, its identity and recovery fork, how far it
 * can be restored, why its tail does not help, and what it is to be replaced with. When any of that changed it is another
 * token. It is good on the day (UTC) it was printed and the day after.
 */
#ifndef MSSQL_RESTORE_GUARD_H
#define MSSQL_RESTORE_GUARD_H

#include "common/restore/restore.h"
#include "common/restore/target.h"

/* Why something would be lost; stable words. */
enum restore_loss {
    RESTORE_LOSS_NONE,
    RESTORE_LOSS_SIMPLE, /* recovery model SIMPLE: there is no log to back up */
    RESTORE_LOSS_PSEUDO_SIMPLE, /* FULL, but no log chain yet */
    RESTORE_LOSS_NEWER, /* parts of its log are not in the store: the tail would not join */
    RESTORE_LOSS_OTHER_FORK, /* it went its own way: restored elsewhere, the store does not know this fork */
    RESTORE_LOSS_OTHER_SERVER, /* a copy: its backups in the store are another server's, whose chain its tail would spoil */
    RESTORE_LOSS_OTHER_DATABASE, /* another database has this name */
    RESTORE_LOSS_NOT_OPEN, /* OFFLINE, EMERGENCY, RECOVERING, ...: nobody can say what is in it, no tail */
    RESTORE_LOSS_RESTORING, /* somebody else's restore is under way there */
    RESTORE_LOSS_STANDBY,
    RESTORE_LOSS_TAIL_FAILED, /* it was tried and did not work */
    RESTORE_LOSS_COUNT,
};
const char *restore_loss_word(enum restore_loss loss); /* "none", "simple", ... */

struct restore_guard_view {
    const struct restore_target *target;
    const struct target_db *there; /* its state read after `sets` were; NULL: there is none */
    const char *database; /* name on the target */
    bool ours; /* the journal proves that this restore made what is there */
    struct guid family; /* of what is restored */
    const char *wanted; /* what it is replaced with, as one text: folder, target, base set */
    const struct backup *sets; /* everything the store has of the family that is restored: read them again before a tail */
    size_t set_count;
    const char *server; /* server_name of the newest set's manifest; "" or NULL unknown: then it may be another's */
    int64_t now; /* for the day of the token */
};

struct restore_guard {
    enum restore_over over;
    enum restore_loss loss;
    bool evict; /* sessions may be in it: restore_evict(), or restore_tail_take() which does that too */
    bool tail; /* take the tail; for TOKEN too where it may be of use later */
    bool tail_damaged; /* WITH NO_TRUNCATE: the database cannot be opened */
    bool replace; /* WITH REPLACE is needed, and allowed: the token was quoted, or the tail of a damaged database is kept */
    int64_t kept_until_at; /* what the store can restore of it, 0 nothing */
    char text[1024]; /* what is there, what would be lost */
    char token[RESTORE_TOKEN_MAX]; /* TOKEN: acknowledges it */
    char tail_token[RESTORE_TOKEN_MAX]; /* TAIL: acknowledges the loss when the tail cannot be taken; said only then */
};

/* One of the databases of a request. */
struct restore_guarded {
    struct restore_guard_view view;
    const struct restore_guard *guard;
};

/*
 * The token over all that need one: a hash over theirs; "" none does. When it is one database it is that one's own. With it or
 * with each one's own all of them are acknowledged.
 */
void restore_guard_token_all(const struct restore_guarded *all, size_t count, char dst[RESTORE_TOKEN_MAX]);
/* restore_guard_allow() of each; `tokens` are separated by commas or blanks. */
int restore_guard_allow_all(const struct restore_guarded *all, size_t count, const char *tokens, struct err *err) ERR_CHECK;

void restore_guard_decide(const struct restore_guard_view *view, struct restore_guard *ret_guard);
/* 0: go on. ERR_DATA_LOSS says what would be lost and the token; ERR_STATE what is never replaced; ERR_CONFLICT a token that is
 * not (any more) this one. `tokens` are separated by commas or blanks; "" or NULL: none. */
int restore_guard_allow(const struct restore_guard_view *view, const struct restore_guard *guard, const char *tokens,
                        struct err *err) ERR_CHECK;
/* The tail could not be taken (`why`). 0 when the quoted token acknowledges that too: *guard is then one without a tail. */
int restore_guard_no_tail(const struct restore_guard_view *view, struct restore_guard *guard, const char *token,
                          const struct err *why, struct err *err) ERR_CHECK;
/*
 * Does the tail that was taken join what the store has (view->sets as of now, without it)? Asked for RESTORE_OVER_TAIL before
 * it is shipped: a damaged database says too little before, and somebody could have taken a log in between. ERR_DATA_LOSS.
 */
int restore_guard_tail_joins(const struct restore_guard_view *view, const struct backup *tail, struct err *err) ERR_CHECK;

#endif
