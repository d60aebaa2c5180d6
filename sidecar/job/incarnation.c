/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/job/incarnation.h"

#include <string.h>

/* It is what is missing before the segment: taken before that began, by clock and by LSN. Its LSNs lie behind the tip because
 * younger logs were known first (their drafts could be read, its own could not), not because the files were put back. */
static bool is_late(const struct backup *set, const struct chain_tip *tip) {
    return set->kind == BACKUP_LOG && tip->known && tip->has_log && guid_eq(&set->last_fork, &tip->path.fork) &&
           lsn_cmp(set->last_lsn, tip->seg_first) <= 0 && set->finish_at <= tip->seg_from_at;
}

uint32_t incarnation_of(const struct journal_entry *entry, const struct backup *set, const struct chain_tip *tip,
                        struct chain_verdict *ret_verdict) {
    bool adopted = !strcmp(entry->trigger, "adopted"); /* nobody knows what it was planned as */
    if (!adopted && (!tip->known || entry->incarnation != tip->path.incarnation))
        return entry->incarnation;
    if (is_late(set, tip))
        return tip->path.incarnation;
    struct chain_server_state nothing = {0};
    struct chain_memory memory = {0};
    struct chain_view view = {.tip = tip, .server = &nothing, .memory = &memory};
    struct chain_expectation expected = {
        .kind = entry->kind, .copy_only = backup_has(set, BACKUP_COPY_ONLY), .not_before = entry->not_before};
    struct chain_verdict verdict;
    chain_check(&view, &expected, set, &verdict);
    if (verdict.new_incarnation)
        *ret_verdict = verdict;
    return tip->path.incarnation + verdict.new_incarnation;
}
