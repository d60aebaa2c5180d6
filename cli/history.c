/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/history.h"

#include <string.h>

#include "cli/history_int.h"
#include "cli/history_row.h"
#include "cli/history_strings.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define NOWHERE UINT32_MAX

struct reader {
    const struct history_source *source;
    struct history_json *json;
    struct history *h;
    size_t set_cap, detail_cap, file_cap;
    uint32_t *table; /* set GUID -> index + 1; open addressing */
    size_t table_size, table_count;
    struct history_row row;
};

/* ---- sets by GUID ---- */

static size_t guid_hash(const struct guid *guid) {
    uint64_t a, b;
    memcpy(&a, guid->bytes, 8);
    memcpy(&b, guid->bytes + 8, 8);
    a = (a ^ b * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xbf58476d1ce4e5b9);
    return (size_t)(a ^ a >> 29);
}

static uint32_t *guid_slot(const struct reader *r, const struct guid *guid) {
    size_t i = guid_hash(guid) & (r->table_size - 1);
    while (r->table[i] && !guid_eq(&r->h->sets[r->table[i] - 1].set_guid, guid))
        i = (i + 1) & (r->table_size - 1);
    return &r->table[i];
}

static void table_grow(struct reader *r) {
    mem_free(r->table);
    r->table_size = r->table_size ? 2 * r->table_size : 1024;
    r->table = mem_array(r->table_size, sizeof(*r->table));
    for (size_t i = 0; i < r->h->count; i++)
        *guid_slot(r, &r->h->sets[i].set_guid) = (uint32_t)i + 1;
}

static uint32_t find_set(const struct reader *r, const struct guid *guid) {
    uint32_t at = r->table_size && !guid_is_zero(guid) ? *guid_slot(r, guid) : 0;
    return at ? at - 1 : NOWHERE;
}

/* ---- a row becomes a set ---- */

/* One that no other set has and that is the same for the same row each time. */
static struct guid made_guid(const struct history_row *row) {
    const struct backup *b = &row->backup;
    struct {
        uint64_t kind, name, first[2], last[2], finish;
    } content = {b->kind, 0, {0}, {0}, (uint64_t)b->finish_at};
    for (const char *s = row->database; *s; s++)
        content.name = (content.name ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
    for (const char *s = row->set_id; *s; s++)
        content.name = (content.name ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
    content.first[0] = (uint64_t)b->first_lsn.vlf << 32 | b->first_lsn.block;
    content.first[1] = b->first_lsn.slot;
    content.last[0] = (uint64_t)b->last_lsn.vlf << 32 | b->last_lsn.block;
    content.last[1] = b->last_lsn.slot | (uint64_t)b->position << 16;
    uint64_t half[2] = {UINT64_C(0xcbf29ce484222325), UINT64_C(0x84222325cbf29ce4)};
    const unsigned char *p = (const unsigned char *)&content;
    for (size_t i = 0; i < sizeof(content); i++)
        for (int k = 0; k < 2; k++)
            half[k] = (half[k] ^ (p[i] + (unsigned)k)) * UINT64_C(0x100000001b3);
    struct guid guid;
    memcpy(guid.bytes, half, sizeof(guid.bytes));
    guid.bytes[6] = (uint8_t)((guid.bytes[6] & 0x0f) | 0x80); /* version 8: custom */
    return guid;
}

static int64_t to_utc(const struct reader *r, const struct history_date *date, bool *assumed) {
    const struct history_row *row = &r->row;
    if (date->has_zone)
        return date->at;
    if (row->zone == HISTORY_ZONE_KNOWN)
        return date->at - row->zone_s * CLOCK_SECOND;
    if (!r->source->offset_known)
        *assumed = true;
    return date->at - r->source->utc_offset_s * CLOCK_SECOND;
}

static void set_times(struct reader *r) {
    struct history_row *row = &r->row;
    struct backup *b = &row->backup;
    bool assumed = false;
    b->finish_at = to_utc(r, &row->finish, &assumed);
    b->start_at = row->has_start ? to_utc(r, &row->start, &assumed) : b->finish_at;
    b->valid_until = row->has_valid ? to_utc(r, &row->valid, &assumed) : 0;
    r->h->zone_assumed += assumed;
    bool by_text = row->finish.has_offset && row->zone != HISTORY_ZONE_KNOWN;
    if (by_text || row->zone == HISTORY_ZONE_KNOWN || r->source->offset_known) {
        b->utc_offset_s = by_text                           ? row->finish.offset_s
                          : row->zone == HISTORY_ZONE_KNOWN ? row->zone_s
                                                            : r->source->utc_offset_s;
        b->flags |= BACKUP_UTC_OFFSET_KNOWN;
    }
}

static void complete(struct reader *r) {
    struct history_row *row = &r->row;
    struct backup *b = &row->backup;
    b->kind = row->type == 'D' ? BACKUP_FULL : row->type == 'I' ? BACKUP_DIFF : BACKUP_LOG;
    set_times(r);
    if (guid_is_zero(&b->first_fork))
        b->first_fork = b->last_fork;
    if (guid_is_zero(&b->last_fork))
        b->last_fork = b->first_fork;
    if (b->kind != BACKUP_DIFF) {
        b->diff_base_guid = (struct guid){{0}};
        b->diff_base_lsn = (struct lsn){0};
    }
    if (b->kind != BACKUP_LOG)
        b->flags &= ~(uint32_t)BACKUP_BULK_LOGGED;
    if (guid_eq(&b->first_fork, &b->last_fork))
        b->fork_point = (struct lsn){0};
    if (!b->position)
        b->position = 1;
    b->stored_bytes = row->compressed_bytes ? row->compressed_bytes : b->size_bytes;
}

static int add_set(struct reader *r, uint32_t *ret_set, struct err *err) {
    struct history *h = r->h;
    struct history_row *row = &r->row;
    bool made = guid_is_zero(&row->backup.set_guid);
    if (made)
        row->backup.set_guid = made_guid(row);
    *ret_set = find_set(r, &row->backup.set_guid);
    if (*ret_set != NOWHERE)
        return 0;
    if (h->count >= HISTORY_SETS_MAX)
        return err_set(err, ERR_LIMIT, "more than %u backup sets", HISTORY_SETS_MAX);
    if (4 * (h->count + 1) > 3 * r->table_size)
        table_grow(r);
    h->sets = mem_grow(h->sets, &r->set_cap, h->count + 1, sizeof(*h->sets));
    h->details = mem_grow(h->details, &r->detail_cap, h->count + 1, sizeof(*h->details));
    *ret_set = (uint32_t)h->count;
    h->sets[h->count] = row->backup;
    h->details[h->count] = (struct history_set){
        .database = history_strings_keep(h->strings, row->database),
        .server = history_strings_keep(h->strings, row->server),
        .user = history_strings_keep(h->strings, row->user),
        .id = history_strings_keep(h->strings, row->set_id),
        .id_is_number = row->set_id_is_number,
        .made_guid = made,
        .has_diff_base = row->has_diff_base,
    };
    h->count++;
    *guid_slot(r, &row->backup.set_guid) = *ret_set + 1;
    return 0;
}

/* Another row of a set that is known: the next stripe, or the same row from another server. */
static int check_same(const struct reader *r, uint32_t set, struct err *err) {
    const struct backup *a = &r->h->sets[set], *b = &r->row.backup;
    char guid[GUID_TEXT_MAX];
    if (a->kind == b->kind && !lsn_cmp(a->first_lsn, b->first_lsn) && !lsn_cmp(a->last_lsn, b->last_lsn))
        return 0;
    return err_set(err, ERR_CORRUPT, "the set %s was there already with another kind or other LSNs",
                   guid_format(guid, &a->set_guid));
}

static void add_files(struct reader *r, uint32_t set) {
    struct history *h = r->h;
    struct history_row *row = &r->row;
    struct history_set *d = &h->details[set];
    if (row->families > d->families)
        d->families = (uint16_t)row->families;
    if (row->mirror) /* a copy of what another row names */
        return;
    for (unsigned i = 0; i < row->path_count; i++) {
        h->files = mem_grow(h->files, &r->file_cap, h->file_count + 1, sizeof(*h->files));
        h->files[h->file_count++] = (struct history_file){
            .set = set,
            .sequence = (uint16_t)(row->path_count == 1 ? row->sequence : i + 1),
            .device_type = (uint16_t)row->device_type,
            .path = history_strings_keep(h->strings, row->paths[i]),
        };
    }
}

static int add_row(struct reader *r, struct err *err) {
    const struct history_row *row = &r->row;
    bool incomplete = !row->has_first_lsn || !row->has_last_lsn || !row->has_finish;
    uint32_t set;
    if (!row->any)
        return err_set(err, ERR_CORRUPT, "none of its fields is a column of RESTORE HEADERONLY or msdb.dbo.backupset");
    if (row->type == 'X') {
        r->h->other_kinds++;
        return 0;
    }
    if (incomplete) { /* WITH CONTINUE_AFTER_ERROR gone wrong, or a backup that was cut off: NULLs */
        r->h->incomplete++;
        return 0;
    }
    if (!row->type)
        return err_set(err, ERR_CORRUPT, "no type of backup (BackupType or type)");
    if (!*row->database)
        return err_set(err, ERR_CORRUPT, "no name of a database (DatabaseName or database_name)");
    if (lsn_cmp(row->backup.first_lsn, row->backup.last_lsn) > 0)
        return err_set(err, ERR_CORRUPT, "field 'FirstLSN': it is behind LastLSN");
    complete(r);
    if (add_set(r, &set, err) < 0 || check_same(r, set, err) < 0)
        return -1;
    add_files(r, set);
    return 0;
}

/* ---- the document ---- */

static int row_failed(const struct reader *r, struct err *err) {
    return err_context(err, "%s: row %llu", r->source->name, (unsigned long long)r->h->rows);
}

/* Behind the '[' of the rows. */
static int read_rows(struct reader *r, struct err *err) {
    enum history_token token;
    for (;;) {
        if (history_json_next(r->json, &token, err) < 0)
            return -1;
        if (token == HISTORY_ARRAY_END)
            return 0;
        r->h->rows++;
        if (token != HISTORY_OBJECT) {
            err_set(err, ERR_CORRUPT, "byte %llu: not an object", (unsigned long long)history_json_offset(r->json));
            return row_failed(r, err);
        }
        int rc = history_row_read(r->json, &r->row, err);
        if (rc == 0)
            rc = add_row(r, err);
        history_row_done(&r->row);
        if (rc < 0)
            return row_failed(r, err);
    }
}

/* Behind the '{' of the document: the first list that is no column holds the rows; without one, the object is a row itself. */
static int read_object(struct reader *r, struct err *err) {
    enum history_token token;
    bool rows = false;
    memset(&r->row, 0, sizeof(r->row));
    for (;;) {
        if (history_json_next(r->json, &token, err) < 0)
            return -1;
        if (token == HISTORY_OBJECT_END)
            break;
        bool is_column = history_row_is_column(history_json_text(r->json));
        bool is_rows = !rows && !is_column && history_json_list_follows(r->json);
        if (!rows && !is_rows) {
            if (history_row_member(r->json, &r->row, err) < 0)
                return err_context(err, "%s", r->source->name);
            continue;
        }
        if (history_json_next(r->json, &token, err) < 0)
            return -1;
        history_row_done(&r->row); /* what stood before the rows was about all of them */
        if ((is_rows ? read_rows(r, err) : history_json_skip(r->json, token, err)) < 0)
            return -1;
        rows = true;
    }
    history_row_done(&r->row);
    if (rows)
        return 0;
    r->h->rows++;
    return add_row(r, err) < 0 ? row_failed(r, err) : 0;
}

static int read_document(struct reader *r, struct err *err) {
    enum history_token token;
    if (history_json_next(r->json, &token, err) < 0)
        return -1;
    if (token != HISTORY_ARRAY && token != HISTORY_OBJECT)
        return err_set(err, ERR_CORRUPT, "%s: neither a list of rows nor an object", r->source->name);
    if ((token == HISTORY_ARRAY ? read_rows(r, err) : read_object(r, err)) < 0)
        return -1;
    return history_json_next(r->json, &token, err);
}

static int check_any(const struct reader *r, struct err *err) {
    const struct history *h = r->h;
    if (h->count || !h->rows)
        return 0;
    return err_set(err, ERR_CORRUPT,
                   "%s: none of its %llu rows is a finished backup of a whole database: %llu have no LSNs or finish date, %llu "
                   "are of files or partial",
                   r->source->name, (unsigned long long)h->rows, (unsigned long long)h->incomplete,
                   (unsigned long long)h->other_kinds);
}

int history_read(const struct history_source *source, struct history *ret_history, struct err *err) {
    struct history h = {.strings = history_strings_new()};
    struct reader *r = mem_alloc(sizeof(*r));
    r->source = source;
    r->h = &h;
    r->json = history_json_new(source->name, source->read, source->user);
    int rc = read_document(r, err);
    if (rc == 0)
        rc = check_any(r, err);
    history_row_done(&r->row);
    history_json_free(r->json);
    mem_free(r->table);
    mem_free(r);
    if (rc < 0) {
        history_done(&h);
        return -1;
    }
    history_share_columns(&h);
    history_group(&h);
    history_link_bases(&h);
    history_find_reverts(&h);
    *ret_history = h;
    return 0;
}

void history_done(struct history *history) {
    mem_free(history->sets);
    mem_free(history->details);
    mem_free(history->files);
    mem_free(history->databases);
    history_strings_free(history->strings);
    *history = (struct history){0};
}
