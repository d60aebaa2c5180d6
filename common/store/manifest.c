/* SPDX-License-Identifier: Apache-2.0 */
#include "common/store/manifest.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/pipe/filter.h"
#include "common/store/manifest_int.h"
#include "common/store/name.h"

/* ---- the fields, in the order in which they are written ---- */

#define AT(member) offsetof(struct manifest, member)
const struct manifest_field manifest_fields[] = {
    {"runId", FIELD_STRING, AT(run_id)},
    {"kind", FIELD_KIND, AT(backup.kind), .required = true},
    {"sequence", FIELD_U64, AT(sequence)},
    {"previous", FIELD_STRING, AT(previous)},
    {"reason", FIELD_STRING, AT(reason)},
    {"trigger", FIELD_STRING, AT(trigger)},
    {"programVersion", FIELD_STRING, AT(program_version)},
    {"set.guid", FIELD_GUID, AT(backup.set_guid), .required = true},
    {"set.flags", FIELD_FLAGS, AT(backup.flags)},
    {"set.stripes", FIELD_U16, AT(backup.stripes), .required = true},
    {"set.position", FIELD_U16, AT(backup.position), .required = true},
    {"set.sizeBytes", FIELD_U64, AT(backup.size_bytes)},
    {"set.storedBytes", FIELD_U64, AT(backup.stored_bytes)},
    {"lsn.first", FIELD_LSN, AT(backup.first_lsn), .required = true},
    {"lsn.last", FIELD_LSN, AT(backup.last_lsn), .required = true},
    {"lsn.checkpoint", FIELD_LSN, AT(backup.checkpoint_lsn)},
    {"lsn.databaseBackup", FIELD_LSN, AT(backup.database_backup_lsn)},
    {"lsn.differentialBase", FIELD_LSN, AT(backup.diff_base_lsn)},
    {"lsn.forkPoint", FIELD_LSN, AT(backup.fork_point)},
    {"chain.familyGuid", FIELD_GUID, AT(backup.family_guid), .required = true},
    {"chain.databaseGuid", FIELD_GUID, AT(backup.database_guid)},
    {"chain.firstForkGuid", FIELD_GUID, AT(backup.first_fork)},
    {"chain.lastForkGuid", FIELD_GUID, AT(backup.last_fork)},
    {"chain.differentialBaseGuid", FIELD_GUID, AT(backup.diff_base_guid)},
    {"chain.incarnation", FIELD_U32, AT(backup.incarnation)},
    {"time.start", FIELD_TIME, AT(backup.start_at)},
    {"time.finish", FIELD_TIME, AT(backup.finish_at), .required = true},
    {"time.utcOffsetSeconds", FIELD_I32, AT(backup.utc_offset_s)},
    {"time.validUntil", FIELD_TIME, AT(backup.valid_until)},
    {"time.validUntilSource", FIELD_STRING, AT(valid_until_source)},
    {"hole.cause", FIELD_STRING, AT(hole.cause)},
    {"hole.causeAt", FIELD_TIME, AT(hole.cause_at)},
    {"hole.by", FIELD_STRING, AT(hole.who)},
    {"hole.device", FIELD_STRING, AT(hole.device)},
    {"hole.fromLsn", FIELD_LSN, AT(hole.from_lsn)},
    {"hole.from", FIELD_TIME, AT(hole.from_at)},
    {"database.name", FIELD_STRING, AT(database), .required = true},
    {"database.folder", FIELD_STRING, AT(folder), .required = true},
    {"database.collation", FIELD_STRING, AT(collation)},
    {"database.compatibilityLevel", FIELD_U32, AT(compatibility_level)},
    {"database.recoveryModel", FIELD_STRING, AT(recovery_model)},
    {"database.version", FIELD_U32, AT(database_version)},
    {"database.tdeThumbprint", FIELD_STRING, AT(tde_thumbprint)},
    {"database.options.owner", FIELD_STRING, AT(options.owner)},
    {"database.options.trustworthy", FIELD_BOOL, AT(options.trustworthy)},
    {"database.options.brokerEnabled", FIELD_BOOL, AT(options.broker_enabled)},
    {"database.options.cdcEnabled", FIELD_BOOL, AT(options.cdc_enabled)},
    {"database.options.changeTracking", FIELD_BOOL, AT(options.change_tracking)},
    {"database.options.dbChaining", FIELD_BOOL, AT(options.db_chaining)},
    {"database.options.honorBrokerPriority", FIELD_BOOL, AT(options.honor_broker_priority)},
    {"database.options.published", FIELD_BOOL, AT(options.is_published)},
    {"database.options.subscribed", FIELD_BOOL, AT(options.is_subscribed)},
    {"database.options.distributor", FIELD_BOOL, AT(options.is_distributor)},
    {"server.name", FIELD_STRING, AT(server_name)},
    {"server.machine", FIELD_STRING, AT(machine)},
    {"server.productVersion", FIELD_STRING, AT(product_version)},
    {"server.edition", FIELD_STRING, AT(edition)},
};
const size_t manifest_field_count = ARRAY_LEN(manifest_fields);

#undef AT
#define AT(member) offsetof(struct manifest_file, member)
static const struct manifest_field file_fields[] = {
    {"logicalName", FIELD_STRING, AT(logical_name), .required = true},
    {"physicalName", FIELD_STRING, AT(physical_name), .required = true},
    {"type", FIELD_LETTER, AT(type), .required = true},
    {"fileGroup", FIELD_STRING, AT(filegroup)},
    {"sizeBytes", FIELD_U64, AT(size_bytes)},
    {"fileId", FIELD_U32, AT(file_id)},
};
#undef AT
#define AT(member) offsetof(struct manifest_mark, member)
static const struct manifest_field mark_fields[] = {
    {"name", FIELD_STRING, AT(name), .required = true},
    {"description", FIELD_STRING, AT(description)},
    {"lsn", FIELD_LSN, AT(lsn)},
    {"at", FIELD_TIME, AT(at)},
};
#undef AT
#define AT(member) offsetof(struct manifest_part, member)
static const struct manifest_field part_fields[] = {
    {"plainBytes", FIELD_U64, AT(plain_bytes), .required = true},
    {"storedBytes", FIELD_U64, AT(stored_bytes), .required = true},
    {"storedSha256", FIELD_HASH, AT(stored_sha256), .required = true},
};
#undef AT
#define AT(member) offsetof(struct manifest_object, member)
static const struct manifest_field object_fields[] = {
    {"name", FIELD_STRING, AT(name), .required = true},
    {"stripe", FIELD_U32, AT(stripe), .required = true},
    {"plainBytes", FIELD_U64, AT(plain_bytes), .required = true},
    {"storedBytes", FIELD_U64, AT(stored_bytes), .required = true},
    {"plainSha256", FIELD_HASH, AT(plain_sha256), .required = true},
    {"storedSha256", FIELD_HASH, AT(stored_sha256), .required = true},
    {"codec", FIELD_STRING, AT(codec), .required = true},
    {"level", FIELD_I32, AT(level)},
    {"recordBytes", FIELD_U32, AT(record_bytes)},
};
static const struct manifest_list part_list = {
    .key = "parts",
    .fields = part_fields,
    .field_count = ARRAY_LEN(part_fields),
    .items_at = AT(parts),
    .count_at = AT(part_count),
    .extra_at = SIZE_MAX,
    .item_bytes = sizeof(struct manifest_part),
    .max = MANIFEST_PARTS_MAX,
};
#undef AT
#define AT(member) offsetof(struct manifest, member)
const struct manifest_list manifest_lists[] = {
    {
        .key = "files",
        .fields = file_fields,
        .field_count = ARRAY_LEN(file_fields),
        .items_at = AT(files),
        .count_at = AT(file_count),
        .extra_at = offsetof(struct manifest_file, extra),
        .item_bytes = sizeof(struct manifest_file),
        .max = MANIFEST_FILES_MAX,
    },
    {
        .key = "marks",
        .fields = mark_fields,
        .field_count = ARRAY_LEN(mark_fields),
        .items_at = AT(marks),
        .count_at = AT(mark_count),
        .extra_at = offsetof(struct manifest_mark, extra),
        .item_bytes = sizeof(struct manifest_mark),
        .max = MANIFEST_MARKS_MAX,
    },
    {
        .key = "objects",
        .fields = object_fields,
        .field_count = ARRAY_LEN(object_fields),
        .items_at = AT(objects),
        .count_at = AT(object_count),
        .extra_at = offsetof(struct manifest_object, extra),
        .item_bytes = sizeof(struct manifest_object),
        .max = MANIFEST_OBJECTS_MAX,
        .inner = &part_list,
    },
};
const size_t manifest_list_count = ARRAY_LEN(manifest_lists);
#undef AT

static const struct {
    unsigned bit;
    const char *name;
} flag_names[] = {
    {BACKUP_COPY_ONLY, "copyOnly"},
    {BACKUP_BULK_LOGGED, "bulkLogged"},
    {BACKUP_DAMAGED, "damaged"},
    {BACKUP_CHECKSUMS, "checksums"},
    {BACKUP_BEGINS_LOG_CHAIN, "beginsLogChain"},
    {BACKUP_TAIL, "tail"},
    {BACKUP_SNAPSHOT, "snapshot"},
    {BACKUP_READ_ONLY, "readOnly"},
    {BACKUP_COMPRESSED, "compressedByServer"},
    {BACKUP_ENCRYPTED_BY_SERVER, "encryptedByServer"},
    {BACKUP_OFF_VOLUME, "offVolume"},
    {BACKUP_UTC_OFFSET_KNOWN, "utcOffsetKnown"},
};

const char *manifest_flag_name(unsigned bit) {
    for (size_t i = 0; i < ARRAY_LEN(flag_names); i++)
        if (flag_names[i].bit == bit)
            return flag_names[i].name;
    return NULL;
}

unsigned manifest_flag_bit(const char *name) {
    for (size_t i = 0; i < ARRAY_LEN(flag_names); i++)
        if (!strcmp(flag_names[i].name, name))
            return flag_names[i].bit;
    return 0;
}

/* ---- life ---- */

void manifest_set(char **field, const char *value) {
    char *copy = mem_strdup(value ? value : "");
    mem_free(*field);
    *field = copy;
}

static void init_strings(void *base, const struct manifest_field *fields, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (fields[i].type == FIELD_STRING)
            *(char **)((char *)base + fields[i].offset) = mem_strdup("");
}

static void free_strings(void *base, const struct manifest_field *fields, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (fields[i].type == FIELD_STRING)
            mem_free(*(char **)((char *)base + fields[i].offset));
}

void *manifest_list_add(void *owner, const struct manifest_list *list) {
    void **items = (void **)((char *)owner + list->items_at);
    size_t *count = (size_t *)((char *)owner + list->count_at);
    /* Grown by doubling: the capacity is the power of two that holds count. */
    if (!(*count & (*count - 1)))
        *items = mem_realloc(*items, (*count ? *count * 2 : 1) * list->item_bytes);
    char *item = (char *)*items + (*count)++ * list->item_bytes;
    memset(item, 0, list->item_bytes);
    init_strings(item, list->fields, list->field_count);
    return item;
}

static void free_list(void *owner, const struct manifest_list *list) {
    void **items = (void **)((char *)owner + list->items_at);
    size_t *count = (size_t *)((char *)owner + list->count_at);
    for (size_t i = 0; i < *count; i++) {
        char *item = (char *)*items + i * list->item_bytes;
        free_strings(item, list->fields, list->field_count);
        if (list->extra_at != SIZE_MAX)
            json_decref(*(json_t **)(item + list->extra_at));
        if (list->inner)
            free_list(item, list->inner);
    }
    mem_free(*items);
    *items = NULL;
    *count = 0;
}

void manifest_init(struct manifest *m) {
    *m = (struct manifest){.format_major = MANIFEST_FORMAT_MAJOR, .format_minor = MANIFEST_FORMAT_MINOR};
    m->backup.stripes = 1;
    m->backup.position = 1;
    init_strings(m, manifest_fields, manifest_field_count);
}

void manifest_done(struct manifest *m) {
    if (m->run_id) /* the strings are there */
        free_strings(m, manifest_fields, manifest_field_count);
    for (size_t i = 0; i < manifest_list_count; i++)
        free_list(m, &manifest_lists[i]);
    json_decref(m->extra);
    *m = (struct manifest){0};
}

struct manifest_file *manifest_add_file(struct manifest *m) {
    return manifest_list_add(m, &manifest_lists[LIST_FILES]);
}

struct manifest_mark *manifest_add_mark(struct manifest *m) {
    return manifest_list_add(m, &manifest_lists[LIST_MARKS]);
}

struct manifest_object *manifest_add_object(struct manifest *m) {
    return manifest_list_add(m, &manifest_lists[LIST_OBJECTS]);
}

struct manifest_part *manifest_add_part(struct manifest_object *object) {
    return manifest_list_add(object, &part_list);
}

void manifest_clear_parts(struct manifest_object *object) {
    free_list(object, &part_list);
}

/* ---- consistency ---- */

static int check_object(const struct manifest *m, const struct manifest_object *o, uint64_t *seen, struct err *err) {
    struct err why = {0};
    if (store_name_check(o->name, &why) < 0)
        return err_set(err, ERR_CORRUPT, "objects: %s", why.text);
    if (!o->stripe || o->stripe > m->object_count || (*seen >> (o->stripe - 1) & 1))
        return err_set(err, ERR_CORRUPT, "object %s: stripe %u of %zu is wrong or there twice", o->name, o->stripe,
                       m->object_count);
    *seen |= UINT64_C(1) << (o->stripe - 1);
    if (o->record_bytes > FILTER_RECORD_MAX)
        return err_set(err, ERR_CORRUPT, "object %s: records of %u bytes are larger than the format has", o->name,
                       o->record_bytes);
    uint64_t plain = 0, stored = 0;
    for (size_t i = 0; i < o->part_count; i++) {
        if (__builtin_add_overflow(plain, o->parts[i].plain_bytes, &plain) ||
            __builtin_add_overflow(stored, o->parts[i].stored_bytes, &stored))
            return err_set(err, ERR_CORRUPT, "object %s: sizes of the parts are out of range", o->name);
    }
    if (o->part_count && (plain != o->plain_bytes || stored != o->stored_bytes))
        return err_set(err, ERR_CORRUPT, "object %s: the sizes of its parts are not the size of the whole", o->name);
    return 0;
}

/* The JSON library takes UTF-8 only, and would leave a field out without a word. */
static int check_texts(const void *base, const struct manifest_field *fields, size_t count, struct err *err) {
    for (size_t i = 0; i < count; i++) {
        json_t *text = fields[i].type == FIELD_STRING ? json_string(*(char *const *)((const char *)base + fields[i].offset))
                                                      : json_null();
        if (!text)
            return err_set(err, ERR_CORRUPT, "field %s: not UTF-8", fields[i].path);
        json_decref(text);
    }
    return 0;
}

static int check_all_texts(const struct manifest *m, struct err *err) {
    if (check_texts(m, manifest_fields, manifest_field_count, err) < 0)
        return -1;
    for (size_t l = 0; l < manifest_list_count; l++) {
        const struct manifest_list *list = &manifest_lists[l];
        const char *items = *(char *const *)((const char *)m + list->items_at);
        size_t count = *(const size_t *)((const char *)m + list->count_at);
        for (size_t i = 0; i < count; i++)
            if (check_texts(items + i * list->item_bytes, list->fields, list->field_count, err) < 0)
                return err_context(err, "%s[%zu]", list->key, i);
    }
    return 0;
}

int manifest_check(const struct manifest *m, struct err *err) {
    const struct backup *b = &m->backup;
    if (check_all_texts(m, err) < 0)
        return -1;
    if (guid_is_zero(&b->set_guid))
        return err_set(err, ERR_CORRUPT, "set.guid is missing");
    if (lsn_cmp(b->first_lsn, b->last_lsn) > 0)
        return err_set(err, ERR_CORRUPT, "lsn.first is greater than lsn.last");
    if (!b->finish_at || b->finish_at < b->start_at)
        return err_set(err, ERR_CORRUPT, "time.finish is missing or before time.start");
    if (!*m->database || !str_is_clean_utf8(m->folder, strlen(m->folder)) || !*m->folder || strchr(m->folder, '/') ||
        m->folder[0] == '.' || strlen(m->folder) >= NAME_FOLDER_MAX)
        return err_set(err, ERR_CORRUPT, "database.name or database.folder is missing or no name");
    if (!b->stripes || b->stripes != m->object_count || !b->position)
        return err_set(err, ERR_CORRUPT, "set.stripes is %u and there are %zu objects", b->stripes, m->object_count);
    uint64_t seen = 0;
    for (size_t i = 0; i < m->object_count; i++)
        if (check_object(m, &m->objects[i], &seen, err) < 0)
            return -1;
    return 0;
}
