/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of several databases that had one name is meant: the rule for restores and for plans of the command line.
 *
 * A database that was dropped and made again has a folder for each. The newest that covers the target is meant. An older one only when the
 * newer ones were not there yet at the target; never because the backups of a newer one are damaged, missing or have a hole: that would be
 * another database under the wanted name.
 */
#ifndef MSSQL_RESTORE_CANDIDATE_H
#define MSSQL_RESTORE_CANDIDATE_H

#include "common/base/err.h"
#include "common/chain/plan.h"

/* What came of one candidate that failed. */
struct candidate_failure {
    enum chain_refusal_reason refused; /* NONE: it failed for another reason than its plan */
    bool harmed; /* a manifest or an object of it cannot be used: it may have been there at the target */
};
/* Plans the index-th database. 0, or -1 with err and ret_failure. */
typedef int candidate_try_fn(void *user, size_t index, struct candidate_failure *ret_failure, struct err *err);

/* Does the failure say that the database was not there yet at the target? */
bool candidate_is_later(const struct candidate_failure *failure);

/*
 * Tries `indexes`, newest first. 0 with the place (in `indexes`) of the one that covers the target; else -1 with the failure of the
 * one that is meant: the first that was there, or the newest.
 */
int candidate_choose(const size_t *indexes, size_t count, candidate_try_fn *try_one, void *user, size_t *ret_place,
                     struct err *err) ERR_CHECK;

#endif
