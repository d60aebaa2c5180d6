/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/history_row.h"

#include <ctype.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"

enum field {
    F_TYPE,
    F_SET_GUID,
    F_SET_ID,
    F_FAMILY_GUID,
    F_DATABASE_GUID,
    F_FIRST_FORK,
    F_LAST_FORK,
    F_FORK_POINT,
    F_DIFF_GUID,
    F_DIFF_LSN,
    F_FIRST_LSN,
    F_LAST_LSN,
    F_CHECKPOINT_LSN,
    F_DATABASE_BACKUP_LSN,
    F_START,
    F_FINISH,
    F_VALID,
    F_ZONE,
    F_SIZE,
    F_COMPRESSED_SIZE,
    F_POSITION,
    F_COPY_ONLY,
    F_BULK,
    F_DAMAGED,
    F_CHECKSUMS,
    F_BEGINS,
    F_SNAPSHOT,
    F_READ_ONLY,
    F_TAIL,
    F_INCOMPLETE,
    F_FLAGS,
    F_COMPRESSED,
    F_ENCRYPTED,
    F_DATABASE,
    F_SERVER,
    F_USER,
    F_PATH,
    F_SEQUENCE,
    F_FAMILIES,
    F_LAST_FAMILY,
    F_MIRROR,
    F_DEVICE_TYPE,
    F_FILES, /* files of the database: nothing of the set */
    F_COUNT,
};

/* Lower case, without '_' and spaces. */
#define COLUMN(name_, field_)                                                                                                    \
    { name_, sizeof(name_) - 1, field_ }
static const struct {
    const char *name;
    size_t len;
    enum field field;
} columns[] = {
    COLUMN("backuptype", F_TYPE),
    COLUMN("type", F_TYPE),
    COLUMN("kind", F_TYPE),
    COLUMN("backupsetguid", F_SET_GUID),
    COLUMN("backupsetuuid", F_SET_GUID),
    COLUMN("backupsetid", F_SET_ID),
    COLUMN("familyguid", F_FAMILY_GUID),
    COLUMN("bindingid", F_DATABASE_GUID),
    COLUMN("databaseguid", F_DATABASE_GUID),
    COLUMN("firstrecoveryforkid", F_FIRST_FORK),
    COLUMN("firstrecoveryforkguid", F_FIRST_FORK),
    COLUMN("recoveryforkid", F_LAST_FORK),
    COLUMN("lastrecoveryforkid", F_LAST_FORK),
    COLUMN("lastrecoveryforkguid", F_LAST_FORK),
    COLUMN("forkpointlsn", F_FORK_POINT),
    COLUMN("differentialbaseguid", F_DIFF_GUID),
    COLUMN("differentialbaselsn", F_DIFF_LSN),
    COLUMN("firstlsn", F_FIRST_LSN),
    COLUMN("lastlsn", F_LAST_LSN),
    COLUMN("checkpointlsn", F_CHECKPOINT_LSN),
    COLUMN("databasebackuplsn", F_DATABASE_BACKUP_LSN),
    COLUMN("backupstartdate", F_START),
    COLUMN("start", F_START),
    COLUMN("backupfinishdate", F_FINISH),
    COLUMN("end", F_FINISH),
    COLUMN("finish", F_FINISH),
    COLUMN("lastvalidrestoretime", F_VALID),
    COLUMN("timezone", F_ZONE),
    COLUMN("backupsize", F_SIZE),
    COLUMN("totalsize", F_SIZE),
    COLUMN("compressedbackupsize", F_COMPRESSED_SIZE),
    COLUMN("position", F_POSITION),
    COLUMN("iscopyonly", F_COPY_ONLY),
    COLUMN("copyonly", F_COPY_ONLY),
    COLUMN("hasbulkloggeddata", F_BULK),
    COLUMN("isdamaged", F_DAMAGED),
    COLUMN("hasbackupchecksums", F_CHECKSUMS),
    COLUMN("beginslogchain", F_BEGINS),
    COLUMN("issnapshot", F_SNAPSHOT),
    COLUMN("isreadonly", F_READ_ONLY),
    COLUMN("isforceoffline", F_TAIL),
    COLUMN("hasincompletemetadata", F_INCOMPLETE),
    COLUMN("flags", F_FLAGS),
    COLUMN("compressed", F_COMPRESSED),
    COLUMN("iscompressed", F_COMPRESSED),
    COLUMN("keyalgorithm", F_ENCRYPTED),
    COLUMN("encryptorthumbprint", F_ENCRYPTED),
    COLUMN("databasename", F_DATABASE),
    COLUMN("database", F_DATABASE),
    COLUMN("servername", F_SERVER),
    COLUMN("server", F_SERVER),
    COLUMN("sqlinstance", F_SERVER),
    COLUMN("username", F_USER),
    COLUMN("physicaldevicename", F_PATH),
    COLUMN("fullname", F_PATH),
    COLUMN("path", F_PATH),
    COLUMN("file", F_PATH),
    COLUMN("backuppath", F_PATH),
    COLUMN("familysequencenumber", F_SEQUENCE),
    COLUMN("mediafamilycount", F_FAMILIES),
    COLUMN("familycount", F_FAMILIES),
    COLUMN("lastfamilynumber", F_LAST_FAMILY),
    COLUMN("mirror", F_MIRROR),
    COLUMN("devicetype", F_DEVICE_TYPE),
    COLUMN("filelist", F_FILES),
};

static enum field field_of(const char *key) {
    char name[32];
    size_t n = 0;
    for (; *key; key++) {
        if (*key == '_' || *key == ' ')
            continue;
        if (n == sizeof(name) - 1)
            return F_COUNT;
        name[n++] = (char)tolower((unsigned char)*key);
    }
    for (size_t i = 0; i < ARRAY_LEN(columns); i++)
        if (columns[i].len == n && !memcmp(columns[i].name, name, n))
            return columns[i].field;
    return F_COUNT;
}

/* ---- values ---- */

static const struct {
    enum field field;
    uint32_t flag;
} bits[] = {
    {F_COPY_ONLY, BACKUP_COPY_ONLY},     {F_BULK, BACKUP_BULK_LOGGED},
    {F_DAMAGED, BACKUP_DAMAGED},         {F_CHECKSUMS, BACKUP_CHECKSUMS},
    {F_BEGINS, BACKUP_BEGINS_LOG_CHAIN}, {F_SNAPSHOT, BACKUP_SNAPSHOT},
    {F_READ_ONLY, BACKUP_READ_ONLY},     {F_TAIL, BACKUP_TAIL},
    {F_COMPRESSED, BACKUP_COMPRESSED},
};

/* backupset.flags and HEADERONLY's Flags. */
static const struct {
    unsigned bit;
    uint32_t flag;
} flag_bits[] = {
    {1, BACKUP_BULK_LOGGED}, {2, BACKUP_SNAPSHOT}, {4, BACKUP_READ_ONLY},    {16, BACKUP_CHECKSUMS},
    {32, BACKUP_DAMAGED},    {64, BACKUP_TAIL},    {1024, BACKUP_COPY_ONLY},
};

static const char *set_bit(struct backup *b, enum field field, const char *text) {
    bool on;
    if (!history_bit_parse(text, &on))
        return "is not 0, 1, true or false";
    for (size_t i = 0; i < ARRAY_LEN(bits); i++)
        if (bits[i].field == field && on)
            b->flags |= bits[i].flag;
    return NULL;
}

static const char *set_flags(struct backup *b, const char *text) {
    int64_t flags;
    if (!history_int_parse(text, 0, UINT32_MAX, &flags))
        return "is not a number";
    for (size_t i = 0; i < ARRAY_LEN(flag_bits); i++)
        if (flags & flag_bits[i].bit)
            b->flags |= flag_bits[i].flag;
    return NULL;
}

static const char *set_lsn(struct lsn *lsn, bool *ret_has, const char *text) {
    if (!history_lsn_parse(text, lsn))
        return "is not an LSN (numeric(25,0))";
    if (ret_has)
        *ret_has = true;
    return NULL;
}

static const char *set_guid(struct guid *guid, const char *text) {
    return *text && !history_guid_parse(text, guid) ? "is not a GUID" : NULL;
}

static const char *set_date(struct history_date *date, bool *ret_has, const char *text) {
    if (!history_date_parse(text, date))
        return "is not a date (ISO 8601 or /Date(milliseconds)/)";
    *ret_has = true;
    return NULL;
}

static const char *set_count(unsigned *value, unsigned max, const char *text) {
    int64_t n;
    if (!history_int_parse(text, 0, max, &n))
        return "is not a number, or too large";
    *value = (unsigned)n;
    return NULL;
}

static const char *set_text(char *dst, size_t dst_bytes, const char *text) {
    return str_copy(dst, dst_bytes, text) ? NULL : "is too long";
}

/* backup_set_id is a number in msdb; some tools write the set's GUID there. */
static const char *set_id(struct history_row *row, const char *text) {
    int64_t number;
    row->set_id_is_number = history_int_parse(text, 0, INT64_MAX, &number);
    if (!row->set_id_is_number && !history_guid_parse(text, &row->backup.set_guid))
        return "is neither a number nor a GUID";
    return set_text(row->set_id, sizeof(row->set_id), text);
}

/* Quarters of an hour from UTC; 127: unknown. */
static const char *set_zone(struct history_row *row, const char *text) {
    int64_t quarters;
    if (!history_int_parse(text, -128, 127, &quarters) || ((quarters < -56 || quarters > 56) && quarters != 127))
        return "is no number of quarters of an hour from -56 to 56, or 127";
    row->zone = quarters == 127 ? HISTORY_ZONE_UNKNOWN : HISTORY_ZONE_KNOWN;
    row->zone_s = quarters == 127 ? 0 : (int32_t)quarters * 900;
    return NULL;
}

static const char *set_path(struct history_row *row, const char *text) {
    if (!*text)
        return NULL;
    if (strlen(text) >= HISTORY_PATH_BYTES)
        return "is too long";
    for (unsigned i = 0; i < row->path_count; i++)
        if (!strcmp(row->paths[i], text)) /* two columns with the same path */
            return NULL;
    if (row->path_count == HISTORY_PATHS_MAX)
        return "has more files than a backup can have";
    row->paths[row->path_count++] = mem_strdup(text);
    return NULL;
}

static const char *set_type(struct history_row *row, const char *text) {
    row->type = history_type_parse(text);
    return row->type ? NULL : "is no type of backup (1, 2, 5; D, L, I; full, log, diff)";
}

static const char *set_about(struct history_row *row, enum field field, const char *text) {
    unsigned number;
    const char *wrong;
    switch (field) {
    case F_POSITION:
        wrong = set_count(&number, UINT16_MAX, text);
        if (!wrong)
            row->backup.position = (uint16_t)number;
        return wrong;
    case F_SEQUENCE:
        return set_count(&row->sequence, UINT16_MAX, text);
    case F_FAMILIES:
    case F_LAST_FAMILY:
        wrong = set_count(&number, HISTORY_PATHS_MAX, text);
        if (!wrong && number > row->families)
            row->families = number;
        return wrong;
    case F_MIRROR:
        if (str_ieq(text, "true") || str_ieq(text, "false"))
            text = str_ieq(text, "true") ? "1" : "0";
        return set_count(&row->mirror, 3, text);
    case F_DEVICE_TYPE: /* some tools write the word: then the path says what it is */
        return *text >= '0' && *text <= '9' ? set_count(&row->device_type, UINT16_MAX, text) : NULL;
    case F_SIZE:
        return history_size_parse(text, &row->backup.size_bytes) ? NULL : "is not a number of bytes";
    case F_COMPRESSED_SIZE:
        return history_size_parse(text, &row->compressed_bytes) ? NULL : "is not a number of bytes";
    case F_DATABASE:
        return set_text(row->database, sizeof(row->database), text);
    case F_SERVER:
        return set_text(row->server, sizeof(row->server), text);
    case F_USER:
        return set_text(row->user, sizeof(row->user), text);
    case F_PATH:
        return set_path(row, text);
    case F_ENCRYPTED:
        row->backup.flags |= *text ? BACKUP_ENCRYPTED_BY_SERVER : 0;
        return NULL;
    default:
        return set_bit(&row->backup, field, text);
    }
}

/* What is wrong with the value, NULL when nothing is. */
static const char *set_field(struct history_row *row, enum field field, const char *text) {
    struct backup *b = &row->backup;
    switch (field) {
    case F_TYPE:
        return set_type(row, text);
    case F_SET_GUID:
        return set_guid(&b->set_guid, text);
    case F_SET_ID:
        return set_id(row, text);
    case F_FAMILY_GUID:
        return set_guid(&b->family_guid, text);
    case F_DATABASE_GUID:
        return set_guid(&b->database_guid, text);
    case F_FIRST_FORK:
        return set_guid(&b->first_fork, text);
    case F_LAST_FORK:
        return set_guid(&b->last_fork, text);
    case F_FORK_POINT:
        return set_lsn(&b->fork_point, NULL, text);
    case F_DIFF_GUID:
        return set_guid(&b->diff_base_guid, text);
    case F_DIFF_LSN:
        return set_lsn(&b->diff_base_lsn, NULL, text);
    case F_FIRST_LSN:
        return set_lsn(&b->first_lsn, &row->has_first_lsn, text);
    case F_LAST_LSN:
        return set_lsn(&b->last_lsn, &row->has_last_lsn, text);
    case F_CHECKPOINT_LSN:
        return set_lsn(&b->checkpoint_lsn, NULL, text);
    case F_DATABASE_BACKUP_LSN:
        return set_lsn(&b->database_backup_lsn, NULL, text);
    case F_START:
        return set_date(&row->start, &row->has_start, text);
    case F_FINISH:
        return set_date(&row->finish, &row->has_finish, text);
    case F_VALID:
        return set_date(&row->valid, &row->has_valid, text);
    case F_ZONE:
        return set_zone(row, text);
    case F_FLAGS:
        return set_flags(b, text);
    default:
        return set_about(row, field, text);
    }
}

/* ---- JSON ---- */

static int wrong_field(const struct history_json *json, const char *key, const char *text, const char *wrong, struct err *err) {
    return err_set(err, ERR_CORRUPT, "field '%.60s', byte %llu: '%.100s' %s", key, (unsigned long long)history_json_offset(json),
                   text, wrong);
}

static const char *scalar_text(const struct history_json *json, enum history_token token) {
    switch (token) {
    case HISTORY_STRING:
    case HISTORY_NUMBER:
        return history_json_text(json);
    case HISTORY_TRUE:
        return "1";
    case HISTORY_FALSE:
        return "0";
    default:
        return NULL;
    }
}

/* PowerShell writes some values as objects: {"value": "/Date(..)/", "DateTime": ".."}, {"Guid": ".."}, {"Byte": 1}; an empty one is
 * NULL. */
static int object_value(struct history_json *json, struct history_row *row, enum field field, const char *key, struct err *err) {
    enum history_token token;
    bool found = false, members = false;
    uint64_t at = history_json_offset(json);
    for (;;) {
        if (history_json_next(json, &token, err) < 0)
            return -1;
        if (token == HISTORY_OBJECT_END)
            break;
        const char *name = history_json_text(json);
        bool takes = !found && (str_ieq(name, "value") || str_ieq(name, "Guid") || str_ieq(name, "Byte"));
        members = true;
        if (history_json_next(json, &token, err) < 0)
            return -1;
        const char *text = takes ? scalar_text(json, token) : NULL;
        const char *wrong = text ? set_field(row, field, text) : NULL;
        if (wrong)
            return wrong_field(json, key, text, wrong, err);
        found = found || text || (takes && token == HISTORY_NULL);
        if (history_json_skip(json, token, err) < 0)
            return -1;
    }
    if (members && !found)
        return err_set(err, ERR_CORRUPT, "field '%.60s', byte %llu: an object without a 'value'", key, (unsigned long long)at);
    return 0;
}

/* Only paths come in lists: the stripes of a set. */
static int list_value(struct history_json *json, struct history_row *row, enum field field, const char *key, struct err *err) {
    enum history_token token;
    for (;;) {
        if (history_json_next(json, &token, err) < 0)
            return -1;
        if (token == HISTORY_ARRAY_END)
            return 0;
        const char *wrong = field == F_PATH && token == HISTORY_STRING ? set_path(row, history_json_text(json)) : NULL;
        if (wrong)
            return wrong_field(json, key, history_json_text(json), wrong, err);
        if (history_json_skip(json, token, err) < 0)
            return -1;
    }
}

int history_row_member(struct history_json *json, struct history_row *row, struct err *err) {
    char key[64];
    enum history_token token;
    bool whole = str_copy(key, sizeof(key), history_json_text(json));
    enum field field = whole ? field_of(key) : F_COUNT;
    if (history_json_next(json, &token, err) < 0)
        return -1;
    if (field == F_COUNT || field == F_FILES)
        return history_json_skip(json, token, err);
    row->any = true;
    row->has_diff_base = row->has_diff_base || field == F_DIFF_GUID || field == F_DIFF_LSN;
    if (token == HISTORY_OBJECT)
        return object_value(json, row, field, key, err);
    if (token == HISTORY_ARRAY)
        return list_value(json, row, field, key, err);
    const char *text = scalar_text(json, token);
    const char *wrong = text ? set_field(row, field, text) : NULL;
    return wrong ? wrong_field(json, key, text, wrong, err) : 0;
}

int history_row_read(struct history_json *json, struct history_row *row, struct err *err) {
    enum history_token token;
    memset(row, 0, sizeof(*row));
    for (;;) {
        if (history_json_next(json, &token, err) < 0)
            return -1;
        if (token == HISTORY_OBJECT_END)
            return 0;
        if (history_row_member(json, row, err) < 0)
            return -1;
    }
}

bool history_row_is_column(const char *name) {
    return field_of(name) != F_COUNT;
}

void history_row_done(struct history_row *row) {
    for (unsigned i = 0; i < row->path_count; i++)
        mem_free(row->paths[i]);
    row->path_count = 0;
}
