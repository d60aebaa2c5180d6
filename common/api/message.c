/* SPDX-License-Identifier: Apache-2.0 */
#include "common/api/message.h"

#include "common/base/mem.h"

/* Appends to a repeated field. */
#define APPEND(message, field, item)                                                                                             \
    do {                                                                                                                         \
        (message)->field = mem_realloc((message)->field, ((message)->n_##field + 1) * sizeof(*(message)->field));                \
        (message)->field[(message)->n_##field++] = (item);                                                                       \
    } while (0)

Mssql__V1__BackupKind message_kind(enum backup_kind kind) {
    static const Mssql__V1__BackupKind kinds[BACKUP_KIND_COUNT] = {
        [BACKUP_FULL] = MSSQL__V1__BACKUP_KIND__BACKUP_KIND_FULL,
        [BACKUP_DIFF] = MSSQL__V1__BACKUP_KIND__BACKUP_KIND_DIFF,
        [BACKUP_LOG] = MSSQL__V1__BACKUP_KIND__BACKUP_KIND_LOG,
    };
    return kinds[kind];
}

static char *message_lsn(struct lsn lsn) {
    char text[LSN_TEXT_MAX];
    return mem_strdup(lsn_is_zero(lsn) ? "" : lsn_format(text, lsn));
}

char *message_guid(const struct guid *guid) {
    char text[GUID_TEXT_MAX];
    return mem_strdup(guid_is_zero(guid) ? "" : guid_format(text, guid));
}

static void backup_flags(Mssql__V1__Backup *m, const struct backup *b) {
    m->copy_only = backup_has(b, BACKUP_COPY_ONLY);
    m->bulk_logged = backup_has(b, BACKUP_BULK_LOGGED);
    m->damaged = backup_has(b, BACKUP_DAMAGED);
    m->checksums = backup_has(b, BACKUP_CHECKSUMS);
    m->begins_log_chain = backup_has(b, BACKUP_BEGINS_LOG_CHAIN);
    m->tail = backup_has(b, BACKUP_TAIL);
    m->snapshot = backup_has(b, BACKUP_SNAPSHOT);
    m->read_only = backup_has(b, BACKUP_READ_ONLY);
    m->compressed = backup_has(b, BACKUP_COMPRESSED);
    m->encrypted_by_server = backup_has(b, BACKUP_ENCRYPTED_BY_SERVER);
    m->foreign = backup_has(b, BACKUP_FOREIGN);
    m->off_volume = backup_has(b, BACKUP_OFF_VOLUME);
    m->held = backup_has(b, BACKUP_HELD);
    m->unreadable = backup_has(b, BACKUP_UNREADABLE);
    m->utc_offset_known = backup_has(b, BACKUP_UTC_OFFSET_KNOWN);
}

Mssql__V1__Backup *message_backup(const struct backup *b, const char *database) {
    Mssql__V1__Backup *m = mem_alloc(sizeof(*m));
    mssql__v1__backup__init(m);
    char manifest[STORE_NAME_MAX];
    name_manifest(manifest, b);
    m->database = mem_strdup(database);
    m->kind = message_kind(b->kind);
    m->manifest = mem_strdup(manifest);
    m->tier = mem_strdup("fs");
    m->set_guid = message_guid(&b->set_guid);
    m->family_guid = message_guid(&b->family_guid);
    m->database_guid = message_guid(&b->database_guid);
    m->first_fork_guid = message_guid(&b->first_fork);
    m->last_fork_guid = message_guid(&b->last_fork);
    m->fork_point_lsn = message_lsn(b->fork_point);
    m->diff_base_guid = message_guid(&b->diff_base_guid);
    m->diff_base_lsn = message_lsn(b->diff_base_lsn);
    m->first_lsn = message_lsn(b->first_lsn);
    m->last_lsn = message_lsn(b->last_lsn);
    m->checkpoint_lsn = message_lsn(b->checkpoint_lsn);
    m->database_backup_lsn = message_lsn(b->database_backup_lsn);
    m->start_at = b->start_at;
    m->finish_at = b->finish_at;
    m->valid_until_at = b->valid_until;
    m->utc_offset_seconds = b->utc_offset_s;
    m->incarnation = b->incarnation;
    m->size_bytes = b->size_bytes;
    m->stored_bytes = b->stored_bytes;
    m->stripes = b->stripes;
    m->position = b->position;
    backup_flags(m, b);
    return m;
}

Mssql__V1__Hole *message_hole(const struct chain_hole *hole) {
    Mssql__V1__Hole *m = mem_alloc(sizeof(*m));
    mssql__v1__hole__init(m);
    char text[CHAIN_TEXT_MAX];
    m->from_at = hole->from_at;
    m->until_at = hole->until_at;
    m->from_lsn = message_lsn(hole->from_lsn);
    m->until_lsn = message_lsn(hole->until_lsn);
    m->cause = mem_strdup(chain_hole_cause_word(hole->cause));
    m->by_whom = mem_strdup(hole->who);
    m->message = mem_strdup(chain_hole_text(text, hole));
    return m;
}

static Mssql__V1__Interval *message_interval(const struct chain_interval *interval) {
    Mssql__V1__Interval *m = mem_alloc(sizeof(*m));
    mssql__v1__interval__init(m);
    m->from_at = interval->from_at;
    m->until_at = interval->until_at;
    m->from_lsn = message_lsn(interval->from_lsn);
    m->until_lsn = message_lsn(interval->until_lsn);
    m->incarnation = interval->path.incarnation;
    m->fork_guid = message_guid(&interval->path.fork);
    return m;
}

static void add_ends(Mssql__V1__Chain *m, const struct backup *sets, size_t count) {
    const struct backup *base = NULL, *tip = NULL;
    for (size_t i = 0; i < count; i++) {
        m->stored_bytes += sets[i].stored_bytes;
        if (backup_is_base(&sets[i]) && (!base || sets[i].finish_at >= base->finish_at))
            base = &sets[i];
        if (!tip || sets[i].finish_at >= tip->finish_at)
            tip = &sets[i];
    }
    if (base)
        m->base_full = message_backup(base, m->database);
    if (tip)
        m->tip = message_backup(tip, m->database);
    m->backups = count;
}

void message_chain_sets(Mssql__V1__Chain *m, const struct backup *sets, size_t count, const struct chain_interval_input *input) {
    struct chain_history history;
    struct chain_intervals found;
    struct chain_interval_input in = *input;
    chain_history_init(&history, sets, count);
    in.history = &history;
    chain_intervals_build(&in, &found);
    for (size_t i = 0; i < found.count; i++)
        APPEND(m, intervals, message_interval(&found.intervals[i]));
    for (size_t i = 0; i < found.hole_count; i++)
        if (found.holes[i].cause != CHAIN_HOLE_LOG_PENDING) /* none yet */
            APPEND(m, holes, message_hole(&found.holes[i]));
    chain_intervals_done(&found);
    chain_history_done(&history);
    add_ends(m, sets, count);
}
