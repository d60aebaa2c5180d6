/* SPDX-License-Identifier: Apache-2.0 */
/* RESTORE HEADERONLY. Columns are read by name: 2017 and 2019 have 56, 2022 has 59. */
#include <string.h>

#include "common/sql/backup.h"
#include "common/sql/int.h"

/* Bits of Flags that no column has. */
#define FLAG_TAIL 64

bool sql_zone_offset(const struct sql_row *row, const char *name, int32_t *ret_offset_s) {
    int quarters = 127;
    if (!sql_row_int(row, name, &quarters) || quarters < -64 || quarters > 64)
        return false;
    *ret_offset_s = quarters * 15 * 60;
    return true;
}

uint32_t sql_backup_flags(const struct sql_row *row, const struct sql_flag_names *names) {
    int bits = 0;
    sql_row_int(row, names->bits, &bits);
    uint32_t flags = 0;
    flags |= sql_row_bool(row, names->copy_only) ? BACKUP_COPY_ONLY : 0;
    flags |= sql_row_bool(row, names->bulk_logged) ? BACKUP_BULK_LOGGED : 0;
    flags |= sql_row_bool(row, names->damaged) ? BACKUP_DAMAGED : 0;
    flags |= sql_row_bool(row, names->checksums) ? BACKUP_CHECKSUMS : 0;
    flags |= sql_row_bool(row, names->begins_log_chain) ? BACKUP_BEGINS_LOG_CHAIN : 0;
    flags |= sql_row_bool(row, names->snapshot) ? BACKUP_SNAPSHOT : 0;
    flags |= sql_row_bool(row, names->read_only) ? BACKUP_READ_ONLY : 0;
    flags |= bits & FLAG_TAIL ? BACKUP_TAIL : 0;
    return flags;
}

struct header_job {
    struct sql_header header;
    const struct sql_clock *clock;
    unsigned sets;
};

static void read_strings(const struct sql_row *row, struct sql_header *h) {
    sql_row_copy(row, "BackupName", h->name, sizeof(h->name));
    sql_row_copy(row, "BackupDescription", h->description, sizeof(h->description));
    sql_row_copy(row, "DatabaseName", h->database, sizeof(h->database));
    sql_row_copy(row, "ServerName", h->server, sizeof(h->server));
    sql_row_copy(row, "MachineName", h->machine, sizeof(h->machine));
    sql_row_copy(row, "UserName", h->user, sizeof(h->user));
    sql_row_copy(row, "Collation", h->collation, sizeof(h->collation));
    sql_row_copy(row, "RecoveryModel", h->recovery_model, sizeof(h->recovery_model));
    sql_row_copy(row, "CompressionAlgorithm", h->compression, sizeof(h->compression));
    sql_row_copy(row, "EncryptorThumbprint", h->encryptor_thumbprint, sizeof(h->encryptor_thumbprint));
    sql_row_int(row, "CompatibilityLevel", &h->compat_level);
    sql_row_int(row, "DatabaseVersion", &h->database_version);
    sql_row_int(row, "SoftwareVersionMajor", &h->software_major);
    sql_row_int(row, "SoftwareVersionMinor", &h->software_minor);
    sql_row_int(row, "SoftwareVersionBuild", &h->software_build);
    sql_row_u64(row, "CompressedBackupSize", &h->compressed_bytes);
}

static void read_identity(const struct sql_row *row, struct backup *b) {
    sql_row_guid(row, "BackupSetGUID", &b->set_guid);
    sql_row_guid(row, "FamilyGUID", &b->family_guid);
    sql_row_guid(row, "BindingID", &b->database_guid);
    sql_row_guid(row, "FirstRecoveryForkID", &b->first_fork);
    sql_row_guid(row, "RecoveryForkID", &b->last_fork);
    sql_row_lsn(row, "ForkPointLSN", &b->fork_point);
    sql_row_guid(row, "DifferentialBaseGUID", &b->diff_base_guid);
    sql_row_lsn(row, "DifferentialBaseLSN", &b->diff_base_lsn);
    sql_row_lsn(row, "CheckpointLSN", &b->checkpoint_lsn);
    sql_row_lsn(row, "DatabaseBackupLSN", &b->database_backup_lsn);
}

/* A backup that was stopped leaves a header of which most is NULL. */
static int read_required(const struct sql_row *row, struct header_job *job, struct err *err) {
    struct sql_header *h = &job->header;
    struct backup *b = &h->backup;
    const char *type = sql_row_text(row, "BackupType");
    bool zone = sql_zone_offset(row, "TimeZone", &b->utc_offset_s);
    if (!zone && job->clock)
        b->utc_offset_s = job->clock->utc_offset_s;
    b->flags |= zone || job->clock ? BACKUP_UTC_OFFSET_KNOWN : 0;
    if (!sql_row_lsn(row, "FirstLSN", &b->first_lsn) || !sql_row_lsn(row, "LastLSN", &b->last_lsn) ||
        !sql_row_at(row, "BackupStartDate", b->utc_offset_s, &b->start_at) ||
        !sql_row_at(row, "BackupFinishDate", b->utc_offset_s, &b->finish_at) || guid_is_zero(&b->set_guid) ||
        guid_is_zero(&b->family_guid))
        return err_set(err, ERR_CORRUPT, "the backup is incomplete: its header has no LSNs, dates or identity ('%s')", h->name);
    if (!type || !backup_kind_from_type(type, &b->kind))
        return err_set(err, ERR_UNSUPPORTED, "the backup is of type '%s': only whole databases and logs are supported",
                       type ? type : "NULL");
    if (b->kind == BACKUP_DIFF && guid_is_zero(&b->diff_base_guid))
        return err_set(err, ERR_UNSUPPORTED, "the differential has more than one base");
    if (lsn_cmp(b->first_lsn, b->last_lsn) > 0)
        return err_set(err, ERR_CORRUPT, "the backup ends before it begins");
    return 0;
}

static int header_row(void *user, const struct sql_row *row, struct err *err) {
    static const struct sql_flag_names names = {"IsCopyOnly",     "HasBulkLoggedData", "IsDamaged",  "HasBackupChecksums",
                                                "BeginsLogChain", "IsSnapshot",        "IsReadOnly", "Flags"};
    struct header_job *job = user;
    struct sql_header *h = &job->header;
    struct backup *b = &h->backup;
    uint64_t number;
    if (job->sets++)
        return 0; /* counted; more than one is refused */
    read_strings(row, h);
    read_identity(row, b);
    b->flags = sql_backup_flags(row, &names);
    if (sql_row_bool(row, "Compressed"))
        b->flags |= BACKUP_COMPRESSED;
    if (h->encryptor_thumbprint[0])
        b->flags |= BACKUP_ENCRYPTED_BY_SERVER;
    if (read_required(row, job, err) < 0)
        return -1;
    sql_row_at(row, "LastValidRestoreTime", b->utc_offset_s, &b->valid_until);
    sql_row_at(row, "DatabaseCreationDate", b->utc_offset_s, &h->database_created_at);
    sql_row_u64(row, "BackupSize", &b->size_bytes);
    b->position = 1;
    if (sql_row_u64(row, "Position", &number) && number <= UINT16_MAX)
        b->position = (uint16_t)number;
    return 0;
}

/* One member: the grammar knows one device. */
static int read_member(struct sql_session *session, const char *path, struct header_job *job, struct err *err) {
    static const struct sql_call call = {.timeout_s = 600};
    struct buf text;
    buf_init(&text, SQL_TEXT_MAX);
    buf_puts(&text, "RESTORE HEADERONLY FROM DISK = ");
    sql_quote_text_max(&text, path, SQL_PATH_CHARS);
    int rc = sql_text_check(&text, "RESTORE HEADERONLY", err);
    if (rc == 0)
        rc = sql_query(session, text.data, &call, header_row, job, err);
    buf_done(&text);
    if (rc == 0 && job->sets != 1)
        rc = err_set(err, ERR_CORRUPT, "the file holds %u backup sets instead of one", job->sets);
    return rc < 0 ? err_context(err, "header of '%s'", path) : 0;
}

int sql_header_read(struct sql_session *session, const char *const *paths, size_t path_count, const struct sql_clock *clock,
                    struct sql_header *ret_header, struct err *err) {
    if (!path_count || path_count > SQL_DEVICES_MAX)
        return err_set(err, ERR_INTERNAL, "a backup has 1 to %d files, not %zu", SQL_DEVICES_MAX, path_count);
    struct header_job *first = mem_alloc(sizeof(*first)), *other = mem_alloc(sizeof(*other));
    first->clock = clock;
    int rc = read_member(session, paths[0], first, err);
    /* Every stripe carries the same set: this is the moment to notice one that does not belong. */
    for (size_t i = 1; rc == 0 && i < path_count; i++) {
        *other = (struct header_job){.clock = clock};
        rc = read_member(session, paths[i], other, err);
        if (rc == 0 && !guid_eq(&first->header.backup.set_guid, &other->header.backup.set_guid))
            rc = err_set(err, ERR_CORRUPT, "'%s' and '%s' are not stripes of one backup", paths[0], paths[i]);
    }
    if (rc == 0) {
        first->header.backup.stripes = (uint16_t)path_count;
        *ret_header = first->header;
    }
    mem_free(first);
    mem_free(other);
    return rc;
}
