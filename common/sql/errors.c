/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sql/errors.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"

static const char GRANT_BACKUP[] = "the login needs a user in the database that is a member of db_backupoperator: "
                                   "CREATE USER ... FOR LOGIN ...; ALTER ROLE db_backupoperator ADD MEMBER ...";
static const char GRANT_STATE[] = "GRANT VIEW SERVER STATE to the login";
static const char GRANT_RESTORE[] = "needs sysadmin, dbcreator or the owner of the database";
static const char GROUP[] = "the replica's state decides: other replicas may be able to do it";
static const char MEMORY[] = "SQL Server is short of memory";
static const char DAMAGED[] = "run DBCC CHECKDB and look at msdb.dbo.suspect_pages";
static const char MEDIA[] = "the backup file is damaged or incomplete and must not be used";
static const char STRIPES[] = "the files given do not belong together as one striped backup";
static const char CHECK_LOGIN[] = "check user and password in the Secret; the real reason is in SQL Server's error log";
static const char CERTIFICATE[] = "restore the certificate with this thumbprint into master first";
static const char STARTING[] = "SQL Server is starting";

/* Ordered by number. */
static const struct sql_error_row table[] = {
    {155, SQL_CALLER, ERR_UNSUPPORTED, "this version of SQL Server does not know the option"},
    {207, SQL_CALLER, ERR_UNSUPPORTED, "this version of SQL Server does not have the column"},
    {208, SQL_CALLER, ERR_UNSUPPORTED, "this version of SQL Server does not have the object"},
    {229, SQL_PERMISSION, ERR_PERMISSION, "see the list of grants for the backup login"},
    {262, SQL_PERMISSION, ERR_PERMISSION, GRANT_BACKUP},
    {297, SQL_PERMISSION, ERR_PERMISSION, GRANT_STATE},
    {300, SQL_PERMISSION, ERR_PERMISSION, GRANT_STATE},
    {596, SQL_RETRY, ERR_CONNECT, "the session was killed"},
    {601, SQL_RETRY, ERR_BUSY, NULL},
    {701, SQL_RETRY, ERR_LIMIT, MEMORY},
    {802, SQL_RETRY, ERR_LIMIT, MEMORY},
    {823, SQL_MEDIA, ERR_CORRUPT, DAMAGED},
    {824, SQL_MEDIA, ERR_CORRUPT, DAMAGED},
    {825, SQL_INFO, ERR_NONE, NULL},
    {845, SQL_RETRY, ERR_BUSY, NULL},
    {911, SQL_SKIP, ERR_NOT_FOUND, NULL},
    {913, SQL_RETRY, ERR_NOT_FOUND, NULL},
    {916, SQL_PERMISSION, ERR_PERMISSION, GRANT_BACKUP},
    {921, SQL_WAIT, ERR_STATE, NULL},
    {922, SQL_WAIT, ERR_STATE, NULL},
    {923, SQL_WAIT, ERR_STATE, "the database is in restricted mode"},
    {924, SQL_WAIT, ERR_STATE, "somebody holds the only session of the database"},
    {926, SQL_CONFIG, ERR_CORRUPT, "the database is suspect: see SQL Server's error log"},
    {927, SQL_SKIP, ERR_STATE, NULL},
    {941, SQL_SKIP, ERR_STATE, NULL},
    {942, SQL_SKIP, ERR_STATE, NULL},
    {945, SQL_CONFIG, ERR_STATE, "files of the database are missing, or memory or disk space ran out at its start"},
    {948, SQL_CONFIG, ERR_UNSUPPORTED, NULL},
    {952, SQL_RETRY, ERR_STATE, NULL},
    {954, SQL_WAIT, ERR_STATE, GROUP},
    {955, SQL_WAIT, ERR_STATE, GROUP},
    {956, SQL_WAIT, ERR_STATE, GROUP},
    {976, SQL_SKIP, ERR_STATE, GROUP},
    {978, SQL_SKIP, ERR_STATE, GROUP},
    {979, SQL_SKIP, ERR_STATE, GROUP},
    {982, SQL_SKIP, ERR_STATE, GROUP},
    {983, SQL_WAIT, ERR_STATE, GROUP},
    {988, SQL_WAIT, ERR_STATE, GROUP},
    {992, SQL_WAIT, ERR_STATE, GROUP},
    {997, SQL_WAIT, ERR_STATE, GROUP},
    {1101, SQL_CONFIG, ERR_SPACE, "the disk of the database is full"},
    {1105, SQL_CONFIG, ERR_SPACE, "the filegroup is full"},
    {1204, SQL_RETRY, ERR_BUSY, NULL},
    {1205, SQL_RETRY, ERR_BUSY, NULL},
    {1222, SQL_RETRY, ERR_BUSY, NULL},
    {1834, SQL_PLAN, ERR_EXISTS, "restore to other file names with MOVE"},
    {1844, SQL_CONFIG, ERR_UNSUPPORTED, NULL},
    {2812, SQL_CALLER, ERR_UNSUPPORTED, NULL},
    {3002, SQL_SKIP, ERR_STATE, NULL},
    {3009, SQL_INFO, ERR_NONE, "the backup is good, msdb could not note it"},
    {3013, SQL_FOLLOW_UP, ERR_SQL, NULL},
    {3014, SQL_INFO, ERR_NONE, NULL},
    {3021, SQL_CALLER, ERR_INTERNAL, NULL},
    {3023, SQL_RETRY, ERR_BUSY, "another backup, shrink or file change of this database is running"},
    {3024, SQL_SKIP, ERR_STATE, "only full backups of master are possible"},
    {3033, SQL_CONFIG, ERR_STATE, "the database is in emergency mode"},
    {3035, SQL_CHAIN, ERR_CHAIN, "a full backup is needed first"},
    {3036, SQL_SKIP, ERR_STATE, NULL},
    {3041, SQL_FOLLOW_UP, ERR_SQL, NULL},
    {3043, SQL_MEDIA, ERR_CORRUPT, DAMAGED},
    {3049, SQL_MEDIA, ERR_CORRUPT, DAMAGED},
    {3059, SQL_SKIP, ERR_UNSUPPORTED, GROUP},
    {3062, SQL_WAIT, ERR_STATE, GROUP},
    {3083, SQL_WAIT, ERR_BUSY, "the database is suspended for a snapshot"},
    {3095, SQL_CALLER, ERR_EXISTS, "a file of another kind is in the way"},
    {3098, SQL_CALLER, ERR_EXISTS, "a file of another kind is in the way"},
    {3101, SQL_RETRY, ERR_BUSY, "other sessions use the database"},
    {3102, SQL_CALLER, ERR_BUSY, NULL},
    {3104, SQL_CONFIG, ERR_STATE, "remove the database from its availability group first"},
    {3108, SQL_CONFIG, ERR_STATE, "master is restored in single-user mode"},
    {3109, SQL_CONFIG, ERR_STATE, NULL},
    {3110, SQL_PERMISSION, ERR_PERMISSION, GRANT_RESTORE},
    {3117, SQL_PLAN, ERR_STATE, "the restore must begin again with the full backup"},
    {3118, SQL_PLAN, ERR_STATE, "the restore must begin with the full backup"},
    {3119, SQL_FOLLOW_UP, ERR_SQL, NULL},
    {3132, SQL_PLAN, ERR_NOT_FOUND, STRIPES},
    {3133, SQL_PLAN, ERR_CORRUPT, STRIPES},
    {3136, SQL_PLAN, ERR_CHAIN, "the differential belongs to another full backup"},
    {3142, SQL_PLAN, ERR_EXISTS, NULL},
    {3145, SQL_CALLER, ERR_STATE, NULL},
    {3147, SQL_SKIP, ERR_STATE, NULL},
    {3154, SQL_PLAN, ERR_CONFLICT, "restore under another name, or allow the existing database to be replaced"},
    {3155, SQL_PLAN, ERR_CONFIG, NULL},
    {3156, SQL_FOLLOW_UP, ERR_CONFIG, NULL},
    {3159, SQL_PLAN, ERR_DATA_LOSS, "take the tail of the log first, or acknowledge its loss"},
    {3168, SQL_CONFIG, ERR_UNSUPPORTED, "system databases need the same build"},
    {3169, SQL_CONFIG, ERR_UNSUPPORTED, "restore to the same or a newer version"},
    {3176, SQL_CALLER, ERR_CONFIG, NULL},
    {3183, SQL_MEDIA, ERR_CORRUPT, MEDIA},
    {3187, SQL_CALLER, ERR_UNSUPPORTED, NULL},
    {3189, SQL_MEDIA, ERR_CORRUPT, MEDIA},
    {3201, SQL_CONFIG, ERR_IO, NULL},
    {3202, SQL_RETRY, ERR_IO, NULL},
    {3203, SQL_MEDIA, ERR_IO, NULL},
    {3204, SQL_RETRY, ERR_CANCELLED, NULL},
    {3205, SQL_CALLER, ERR_LIMIT, NULL},
    {3208, SQL_MEDIA, ERR_CORRUPT, MEDIA},
    {3211, SQL_INFO, ERR_NONE, NULL},
    {3218, SQL_CONFIG, ERR_UNSUPPORTED, NULL},
    {3227, SQL_PLAN, ERR_CORRUPT, STRIPES},
    {3231, SQL_PLAN, ERR_CORRUPT, STRIPES},
    {3234, SQL_CALLER, ERR_CONFIG, NULL},
    {3241, SQL_MEDIA, ERR_CORRUPT, MEDIA},
    {3242, SQL_MEDIA, ERR_CORRUPT, MEDIA},
    {3243, SQL_MEDIA, ERR_CORRUPT, MEDIA},
    {3247, SQL_PLAN, ERR_CORRUPT, STRIPES},
    {3254, SQL_MEDIA, ERR_CORRUPT, "the file is empty"},
    {3256, SQL_MEDIA, ERR_CORRUPT, MEDIA},
    {3257, SQL_CONFIG, ERR_SPACE, "the volume is too small for the files of the database"},
    {3258, SQL_CONFIG, ERR_UNSUPPORTED, "sector sizes differ"},
    {3262, SQL_INFO, ERR_NONE, NULL},
    {3266, SQL_MEDIA, ERR_CORRUPT, MEDIA},
    {3268, SQL_CONFIG, ERR_UNSUPPORTED, "block sizes differ"},
    {3269, SQL_CONFIG, ERR_UNSUPPORTED, "block sizes differ"},
    {3271, SQL_RETRY, ERR_IO, NULL},
    {3272, SQL_CONFIG, ERR_UNSUPPORTED, "block sizes differ"},
    {3279, SQL_CALLER, ERR_UNSUPPORTED, "the backup has a media password"},
    {3287, SQL_CALLER, ERR_NOT_FOUND, NULL},
    {3634, SQL_CONFIG, ERR_IO, NULL},
    {3701, SQL_CALLER, ERR_NOT_FOUND, NULL},
    {3702, SQL_RETRY, ERR_BUSY, NULL},
    {3708, SQL_CALLER, ERR_STATE, NULL},
    {4030, SQL_CALLER, ERR_EXISTS, "the file there must not be overwritten yet"},
    {4035, SQL_INFO, ERR_NONE, NULL},
    {4037, SQL_CALLER, ERR_EXISTS, NULL},
    {4038, SQL_CALLER, ERR_NOT_FOUND, NULL},
    {4060, SQL_WAIT, ERR_STATE, "the database is not open yet, or the login has no user in it"},
    {4064, SQL_CONFIG, ERR_CONFIG,
     "the default database of the login cannot be opened: ALTER LOGIN ... WITH DEFAULT_DATABASE = master"},
    {4208, SQL_SKIP, ERR_STATE, "log backups need recovery model FULL"},
    {4212, SQL_SKIP, ERR_STATE, NULL},
    {4214, SQL_CHAIN, ERR_CHAIN, "a full backup is needed first"},
    {4215, SQL_INFO, ERR_NONE, NULL},
    {4217, SQL_INFO, ERR_NONE, NULL},
    {4218, SQL_CONFIG, ERR_STATE, "a filegroup with bulk-logged changes is not accessible"},
    {4219, SQL_INFO, ERR_NONE, NULL},
    {4221, SQL_RETRY, ERR_CONNECT, NULL},
    {4303, SQL_INFO, ERR_NONE, NULL},
    {4305, SQL_PLAN, ERR_CHAIN, "a log backup between is missing"},
    {4312, SQL_PLAN, ERR_CHAIN, "a newer data backup bridges the gap"},
    {4318, SQL_PLAN, ERR_CHAIN, "more log is needed before recovery"},
    {4319, SQL_PLAN, ERR_STATE, "an interrupted restore must be repeated"},
    {4320, SQL_PLAN, ERR_STATE, NULL},
    {4322, SQL_INFO, ERR_NONE, NULL},
    {4326, SQL_PLAN, ERR_CHAIN, "the log backup is already contained and can be left out"},
    {4327, SQL_PLAN, ERR_STATE, NULL},
    {4328, SQL_PLAN, ERR_STATE, NULL},
    {4329, SQL_INFO, ERR_NONE, NULL},
    {4330, SQL_PLAN, ERR_CHAIN, "the backup belongs to another recovery fork"},
    {4331, SQL_PLAN, ERR_STATE, NULL},
    {4332, SQL_PLAN, ERR_STATE, NULL},
    {4333, SQL_PLAN, ERR_STATE, NULL},
    {4334, SQL_PLAN, ERR_STATE, NULL},
    {4335, SQL_PLAN, ERR_STATE, "the target is before what is already restored: begin with an older full backup"},
    {4338, SQL_PLAN, ERR_STATE, "the target is before the end of this backup: begin with an older full backup"},
    {4339, SQL_INFO, ERR_NONE, NULL},
    {4340, SQL_PLAN, ERR_STATE, NULL},
    {4341, SQL_PLAN, ERR_STATE, "only the end of this log backup can be reached"},
    {4342, SQL_PLAN, ERR_STATE, NULL},
    {4343, SQL_PLAN, ERR_STATE, NULL},
    {4346, SQL_PLAN, ERR_STATE, NULL},
    {4349, SQL_PLAN, ERR_STATE, NULL},
    {4353, SQL_PLAN, ERR_STATE, NULL},
    {5011, SQL_RETRY, ERR_PERMISSION, "the login may not change the database, or it is gone"},
    {5030, SQL_RETRY, ERR_BUSY, NULL},
    {5052, SQL_WAIT, ERR_STATE, NULL},
    {5059, SQL_WAIT, ERR_STATE, NULL},
    {5061, SQL_RETRY, ERR_BUSY, NULL},
    {5064, SQL_RETRY, ERR_BUSY, NULL},
    {5069, SQL_FOLLOW_UP, ERR_SQL, NULL},
    {5105, SQL_CONFIG, ERR_IO, NULL},
    {5120, SQL_CONFIG, ERR_IO, NULL},
    {5121, SQL_CONFIG, ERR_IO, NULL},
    {5123, SQL_CONFIG, ERR_IO, NULL},
    {5133, SQL_CONFIG, ERR_IO, NULL},
    {5145, SQL_INFO, ERR_NONE, NULL},
    {5149, SQL_CONFIG, ERR_IO, NULL},
    {5701, SQL_INFO, ERR_NONE, NULL},
    {5703, SQL_INFO, ERR_NONE, NULL},
    {6005, SQL_RETRY, ERR_STATE, "SQL Server is shutting down"},
    {6006, SQL_RETRY, ERR_STATE, "SQL Server is shutting down"},
    {8645, SQL_RETRY, ERR_LIMIT, MEMORY},
    {8651, SQL_RETRY, ERR_LIMIT, MEMORY},
    {9001, SQL_WAIT, ERR_STATE, "the log of the database is not available: see SQL Server's error log"},
    {9002, SQL_CONFIG, ERR_SPACE, "the log of the database is full: a log backup frees it when the reason is LOG_BACKUP"},
    {9003, SQL_CONFIG, ERR_CORRUPT, DAMAGED},
    {9004, SQL_MEDIA, ERR_CORRUPT, DAMAGED},
    {9019, SQL_CONFIG, ERR_CORRUPT, DAMAGED},
    {10928, SQL_RETRY, ERR_LIMIT, NULL},
    {10929, SQL_RETRY, ERR_LIMIT, NULL},
    {15007, SQL_CALLER, ERR_NOT_FOUND, NULL},
    {15023, SQL_CALLER, ERR_EXISTS, NULL},
    {15025, SQL_CALLER, ERR_EXISTS, NULL},
    {15118, SQL_CONFIG, ERR_CONFIG, "the password does not meet SQL Server's policy"},
    {15151, SQL_CONFIG, ERR_NOT_FOUND, "it does not exist, or the login may not see it"},
    {15247, SQL_PERMISSION, ERR_PERMISSION, "needs the administrator's login"},
    {15404, SQL_CONFIG, ERR_CONFIG, "the owner of the database or job no longer exists"},
    {17142, SQL_WAIT, ERR_STATE, "SQL Server is paused"},
    {17187, SQL_WAIT, ERR_STATE, STARTING},
    {17188, SQL_WAIT, ERR_STATE, "SQL Server is shutting down"},
    {17189, SQL_RETRY, ERR_LIMIT, NULL},
    {17809, SQL_RETRY, ERR_LIMIT, "too many connections"},
    {17892, SQL_CONFIG, ERR_AUTH, "a logon trigger refuses the login"},
    {18401, SQL_WAIT, ERR_STATE, "SQL Server is in script upgrade after an update"},
    {18451, SQL_WAIT, ERR_STATE, "only administrators may connect now"},
    {18452, SQL_CONFIG, ERR_AUTH, "SQL Server logins are not enabled, or the login is a Windows one"},
    {18456, SQL_CONFIG, ERR_AUTH, CHECK_LOGIN},
    {18461, SQL_WAIT, ERR_STATE, "SQL Server is in single-user mode"},
    {18470, SQL_CONFIG, ERR_AUTH, "the login is disabled: ALTER LOGIN ... ENABLE"},
    {18486, SQL_CONFIG, ERR_AUTH, "the login is locked out: ALTER LOGIN ... WITH PASSWORD = ... UNLOCK"},
    {18487, SQL_CONFIG, ERR_AUTH, "the password has expired"},
    {18488, SQL_CONFIG, ERR_AUTH, "the password must be changed first"},
    {33111, SQL_CONFIG, ERR_CRYPTO, CERTIFICATE},
    {33120, SQL_CONFIG, ERR_CRYPTO, NULL},
    {35250, SQL_WAIT, ERR_STATE, GROUP},
    {40197, SQL_RETRY, ERR_CONNECT, NULL},
    {40501, SQL_RETRY, ERR_BUSY, NULL},
    {40540, SQL_RETRY, ERR_BUSY, NULL},
    {40613, SQL_RETRY, ERR_CONNECT, NULL},
    {49918, SQL_RETRY, ERR_LIMIT, NULL},
    {49919, SQL_RETRY, ERR_LIMIT, NULL},
    {49920, SQL_RETRY, ERR_LIMIT, NULL},
};

static const struct sql_error_row unknown = {0, SQL_FAIL, ERR_SQL, NULL};
static const struct sql_error_row group_operation = {0, SQL_WAIT, ERR_STATE, GROUP}; /* 41xxx */

static const char *const reaction_names[SQL_REACTION_COUNT] = {
    [SQL_FAIL] = "fail",   [SQL_INFO] = "info",   [SQL_FOLLOW_UP] = "follow_up", [SQL_RETRY] = "retry",
    [SQL_WAIT] = "wait",   [SQL_CHAIN] = "chain", [SQL_CONFIG] = "config",       [SQL_PERMISSION] = "permission",
    [SQL_MEDIA] = "media", [SQL_SKIP] = "skip",   [SQL_CALLER] = "caller",       [SQL_PLAN] = "plan",
};

const struct sql_error_row *sql_error_find(int number) {
    size_t low = 0, high = ARRAY_LEN(table);
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (table[mid].number == number)
            return &table[mid];
        if (table[mid].number < number)
            low = mid + 1;
        else
            high = mid;
    }
    return number >= 41000 && number < 42000 ? &group_operation : &unknown;
}

const char *sql_reaction_name(enum sql_reaction reaction) {
    return reaction < SQL_REACTION_COUNT ? reaction_names[reaction] : "fail";
}

const struct sql_error_row *sql_error_table(size_t *ret_count) {
    *ret_count = ARRAY_LEN(table);
    return table;
}

enum sql_reaction sql_err_reaction(const struct err *err) {
    if (err->sql_number) {
        enum sql_reaction reaction = sql_error_find(err->sql_number)->reaction;
        /* A device that cannot be opened or written because the disk is full, or because it is just in use, may work
         * later; one without rights never will. */
        if (err->class == ERR_SPACE && (reaction == SQL_RETRY || err->sql_number == 3201))
            return SQL_RETRY;
        if (err->class == ERR_PERMISSION && reaction == SQL_RETRY && err->sql_number != 5011)
            return SQL_CONFIG;
        return reaction;
    }
    switch (err->class) {
    case ERR_CONNECT:
    case ERR_TIMEOUT:
    case ERR_BUSY:
    case ERR_CANCELLED:
        return SQL_RETRY;
    case ERR_STATE:
        return SQL_WAIT;
    case ERR_AUTH:
    case ERR_CONFIG:
        return SQL_CONFIG;
    case ERR_PERMISSION:
        return SQL_PERMISSION;
    case ERR_CHAIN:
        return SQL_CHAIN;
    case ERR_CORRUPT:
        return SQL_MEDIA;
    default:
        return SQL_FAIL;
    }
}
