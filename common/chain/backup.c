/* SPDX-License-Identifier: Apache-2.0 */
#include "common/chain/backup.h"

#include <string.h>

#include "common/base/clock.h"

static const char *const backup_kind_names[BACKUP_KIND_COUNT] = {"full", "diff", "log"};

const char *backup_kind_name(enum backup_kind kind) {
    return (unsigned)kind < BACKUP_KIND_COUNT ? backup_kind_names[kind] : "unknown";
}

bool backup_kind_parse(const char *s, enum backup_kind *ret_kind) {
    for (unsigned i = 0; i < BACKUP_KIND_COUNT; i++) {
        if (!strcmp(s, backup_kind_names[i])) {
            *ret_kind = (enum backup_kind)i;
            return true;
        }
    }
    return false;
}

bool backup_kind_from_type(const char *type, enum backup_kind *ret_kind) {
    /* HEADERONLY: 1 database, 2 log, 5 differential; 4, 6, 7 and 8 are files and partial backups. */
    static const struct {
        const char *type;
        enum backup_kind kind;
    } types[] = {{"1", BACKUP_FULL}, {"5", BACKUP_DIFF}, {"2", BACKUP_LOG},
                 {"D", BACKUP_FULL}, {"I", BACKUP_DIFF}, {"L", BACKUP_LOG}};
    for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (!strcmp(type, types[i].type)) {
            *ret_kind = types[i].kind;
            return true;
        }
    }
    return false;
}

bool backup_has_lsns(const struct backup *b) {
    return !lsn_is_zero(b->first_lsn) && !lsn_is_zero(b->last_lsn) && lsn_cmp(b->first_lsn, b->last_lsn) <= 0;
}

int64_t backup_reach_at(const struct backup *b) {
    if (b->kind == BACKUP_LOG)
        return b->valid_until ? b->valid_until : b->start_at;
    return b->valid_until > b->finish_at ? b->valid_until : b->finish_at;
}

int64_t backup_ended_by(const struct backup *b) {
    bool whole = b->finish_at && b->finish_at % CLOCK_SECOND == 0;
    return whole ? b->finish_at + CLOCK_SECOND : b->finish_at;
}

bool backup_crosses_fork(const struct backup *b) {
    return !guid_eq(&b->first_fork, &b->last_fork);
}

bool backup_is_base(const struct backup *b) {
    return b->kind == BACKUP_FULL && backup_has_lsns(b) &&
           !(b->flags & (BACKUP_DAMAGED | BACKUP_SNAPSHOT | BACKUP_FOREIGN | BACKUP_UNREADABLE));
}
