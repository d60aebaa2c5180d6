/* SPDX-License-Identifier: Apache-2.0 */
#include "common/restore/candidate.h"

bool candidate_is_later(const struct candidate_failure *failure) {
    return !failure->harmed && (failure->refused == CHAIN_REFUSED_BEFORE_WINDOW || failure->refused == CHAIN_REFUSED_NO_BACKUPS ||
                                failure->refused == CHAIN_REFUSED_MARK_UNKNOWN);
}

int candidate_choose(const size_t *indexes, size_t count, candidate_try_fn *try_one, void *user, size_t *ret_place,
                     struct err *err) {
    struct err first;
    err_clear(&first);
    for (size_t i = 0; i < count; i++) {
        struct candidate_failure failure = {0};
        struct err why;
        err_clear(&why);
        if (try_one(user, indexes[i], &failure, &why) == 0) {
            *ret_place = i;
            return 0;
        }
        if (i == 0)
            err_copy(&first, &why);
        if (!candidate_is_later(&failure)) {
            err_copy(err, &why);
            return -1;
        }
    }
    err_copy(err, &first);
    return -1;
}
