/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After a backup: is the set what the decision wanted, and does it continue the chain? Between the look at the server
 * and the backup somebody else may have taken a log, restored or replaced the database; only the set's own header tells.
 * The set is kept and recorded whatever comes out (what was backed up is worth having); `heal` says that the chain needs
 * another decision at once.
 */
#ifndef MSSQL_CHAIN_CHECK_H
#define MSSQL_CHAIN_CHECK_H

#include "common/chain/state.h"

struct chain_expectation {
    enum backup_kind kind;
    bool copy_only;
    bool new_incarnation; /* as decided */
    struct lsn not_before; /* the tip's max_lsn when the backup began: the server cannot be behind it */
};

struct chain_verdict {
    bool ok; /* the set is what was expected and continues or begins a chain */
    bool recordable; /* it belongs to this database: add it to the history */
    bool usable; /* a restore can use it, perhaps after another set of ours */
    bool heal; /* decide again at once */
    bool new_incarnation; /* the set's LSNs say that the history was left: it begins incarnation tip + 1 */
    enum chain_reason reason; /* NONE when ok */
    bool has_hole;
    struct chain_hole hole;
    char text[CHAIN_TEXT_MAX];
};

/* view: server as before the backup, tip as it is now without the set; foreign rows read again after the backup name who
 * did it. The set's incarnation is not looked at: the verdict says which it belongs to. */
void chain_check(const struct chain_view *view, const struct chain_expectation *expected, const struct backup *set,
                 struct chain_verdict *ret_verdict);

#endif
