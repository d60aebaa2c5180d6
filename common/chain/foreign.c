/* SPDX-License-Identifier: Apache-2.0 */
#include "common/chain/interval.h"

#include "common/base/str.h"

bool chain_foreign_is_nul(const struct chain_foreign *foreign) {
    return str_ieq(foreign->device, "NUL") || str_ieq(foreign->device, "NUL:") || str_ieq(foreign->device, "/dev/null");
}

const struct chain_foreign *chain_foreign_log(const struct chain_foreign *foreign, size_t count, const struct chain_path *path,
                                              struct lsn from, struct lsn until) {
    const struct chain_foreign *found = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct backup *set = &foreign[i].set;
        struct chain_path of = chain_path_of(set);
        if (set->kind != BACKUP_LOG || backup_has(set, BACKUP_COPY_ONLY) || !chain_path_eq(&of, path) ||
            lsn_cmp(set->last_lsn, from) <= 0 || (!lsn_is_zero(until) && lsn_cmp(set->first_lsn, until) >= 0))
            continue;
        if (!found || lsn_cmp(set->first_lsn, found->set.first_lsn) < 0)
            found = &foreign[i];
    }
    return found;
}
