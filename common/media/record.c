/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a set says of itself: its block, and the configuration record ("SCIN"), which stands twice: before the data with
 * estimates, and behind it with the final values.
 */
#include <string.h>

#include "common/base/clock.h"
#include "common/media/media_int.h"

#define RECORD_MIN 0xf0 /* up to the family's GUID: the same in all versions that were seen */

enum {
    SSET_ATTRIBUTES = 52,
    SSET_NUMBER = 62,
    SSET_NAME = 64,
    SSET_DESCRIPTION = 68,
    SSET_USER = 76,
    SSET_DATE = 88,
    SSET_ZONE = 95,
    SSET_GUID = 100,
    SSET_IS_COPY = 2,
    VOLB_MACHINE = 64,
    ZONE_UNKNOWN = 127,
};

static bool is_utf16(struct media_bytes block) {
    return block.len > 48 && block.data[48] == 2;
}

void media_set_begin(struct media_set *set, struct media_bytes block) {
    struct backup *b = &set->backup;
    bool utf16 = is_utf16(block);
    int8_t quarters = block.len > SSET_ZONE ? (int8_t)block.data[SSET_ZONE] : ZONE_UNKNOWN;
    b->position = media_u16(block, SSET_NUMBER);
    b->set_guid = media_guid(block, SSET_GUID);
    if (quarters >= -56 && quarters <= 56) {
        b->utc_offset_s = quarters * 900;
        b->flags |= BACKUP_UTC_OFFSET_KNOWN;
    }
    if (media_u32(block, SSET_ATTRIBUTES) & SSET_IS_COPY)
        b->flags |= BACKUP_COPY_ONLY;
    int64_t date = media_date(block, SSET_DATE);
    b->start_at = date ? date - b->utc_offset_s * CLOCK_SECOND : 0;
    media_text(block, SSET_NAME, utf16, set->name, sizeof(set->name));
    media_text(block, SSET_DESCRIPTION, utf16, set->description, sizeof(set->description));
    media_text(block, SSET_USER, utf16, set->user, sizeof(set->user));
}

void media_set_volume(struct media_set *set, struct media_bytes block) {
    media_text(block, VOLB_MACHINE, is_utf16(block), set->machine, sizeof(set->machine));
}

static int64_t date_utc(struct media_bytes record, size_t at, const struct backup *b) {
    int64_t local = media_date(record, at);
    return local ? local - b->utc_offset_s * CLOCK_SECOND : 0;
}

/* Fields past 0x100 moved between versions: they count only where the record says it reaches so far. */
static void set_late_fields(struct media_set *set, struct media_bytes record, size_t length) {
    struct backup *b = &set->backup;
    struct guid none = {{0}};
    b->diff_base_guid = none;
    b->diff_base_lsn = (struct lsn){0};
    if (set->type == 'I' && length >= 0x120) {
        b->diff_base_lsn = media_lsn(record, 0x104);
        b->diff_base_guid = media_guid(record, 0x110);
    }
    b->first_fork = length >= 0x14c ? media_guid(record, 0x13c) : none;
    if (guid_is_zero(&b->first_fork))
        b->first_fork = media_guid(record, 0xb8);
    if (guid_is_zero(&b->first_fork))
        b->first_fork = b->last_fork;
    b->fork_point = guid_eq(&b->first_fork, &b->last_fork) ? (struct lsn){0} : media_lsn(record, 0x90);
    set->next_log_lsn = length >= 0x156 ? media_lsn(record, 0x14c) : (struct lsn){0};
}

bool media_set_record(struct media_set *set, struct media_bytes record) {
    struct backup *b = &set->backup;
    size_t length = media_u16(record, 4);
    if (record.len < RECORD_MIN || memcmp(record.data, "SCIN", 4) || length < RECORD_MIN || length > record.len)
        return false;
    char type[2] = {(char)record.data[0x57], 0};
    if (*type < 'A' || *type > 'Z')
        return false;
    set->type = *type;
    (void)backup_kind_from_type(type, &b->kind);
    set->version_build = media_u16(record, 0x18);
    set->version_minor = record.data[0x1a];
    set->version_major = record.data[0x1b];
    set->database_id = media_u32(record, 0x1c);
    b->first_lsn = media_lsn(record, 0x20);
    b->last_lsn = media_lsn(record, 0x2a);
    b->checkpoint_lsn = media_lsn(record, 0x34);
    b->database_backup_lsn = media_lsn(record, 0x3e);
    set->database_created_at = date_utc(record, 0x48, b);
    int64_t start = date_utc(record, 0x4d, b);
    b->start_at = start ? start : b->start_at;
    b->finish_at = date_utc(record, 0x52, b);
    set->compatibility = record.data[0x5b];
    set->database_version = media_u16(record, 0x5e);
    b->size_bytes = media_u64(record, 0x60);
    media_text(record, 0x68, true, set->database, sizeof(set->database));
    media_text(record, 0x6c, true, set->server, sizeof(set->server));
    b->database_guid = media_guid(record, 0x7c);
    b->last_fork = media_guid(record, 0x9c);
    set->full_guid = media_guid(record, 0xc8);
    b->family_guid = media_guid(record, 0xe0);
    set_late_fields(set, record, length);
    return true;
}
