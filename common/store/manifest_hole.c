/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/str.h"
#include "common/chain/reason.h"
#include "common/store/manifest.h"

bool manifest_chain_hole(const struct manifest *m, struct chain_hole *ret_hole) {
    enum chain_hole_cause cause;
    if (!chain_hole_cause_parse(m->hole.cause, &cause) || cause == CHAIN_HOLE_NONE)
        return false;
    *ret_hole = (struct chain_hole){.cause = cause,
                                    .cause_at = m->hole.cause_at,
                                    .incarnation = m->backup.incarnation,
                                    .family = m->backup.family_guid,
                                    .fork = m->backup.last_fork,
                                    .from_lsn = m->hole.from_lsn,
                                    .from_at = m->hole.from_at,
                                    .until_lsn = m->backup.last_lsn,
                                    .until_at = backup_ended_by(&m->backup)};
    str_copy(ret_hole->who, sizeof(ret_hole->who), m->hole.who);
    str_copy(ret_hole->device, sizeof(ret_hole->device), m->hole.device);
    return true;
}
