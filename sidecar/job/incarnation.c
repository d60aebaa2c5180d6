/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/job/incarnation.h"

#include <string.h>

uint32_t incarnation_of(const struct journal_entry *entry, const struct backup *set, const struct chain_tip *tip,
                        struct chain_verdict *ret_verdict) {
    bool adopted = !strcmp(entry->trigger, "adopted"); /* nobody knows what it was planned as */
    if (!adopted && (!tip->known || entry->incarnation != tip->path.incarnation))
        return entry->incarnation;
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
