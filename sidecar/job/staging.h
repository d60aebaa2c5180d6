/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The staging directory: where SQL Server writes and the sidecar reads. It often lies on SQL Server's own data volume, so
 * what may be written there is decided before each backup: we never fill that volume. A log backup is worth most when the
 * volume is nearly full (9002), so data backups stop first, a share is kept for logs, and a reserve file is given up for a
 * log backup that fits in no other way.
 */
#ifndef MSSQL_SIDECAR_JOB_STAGING_H
#define MSSQL_SIDECAR_JOB_STAGING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/err.h"
#include "common/chain/backup.h"
#include "sidecar/job/journal.h"

struct staging_limits {
    uint64_t
        quota_bytes; /* what our files may take together; 0 = the smaller of 40 % of the volume and free space less the floor */
    uint64_t floor_bytes; /* free space that data backups leave alone; 0 = the larger of 10 % of the volume and 2 GiB */
    uint64_t reserve_bytes; /* size of the reserve file; 0 = none */
    unsigned log_share_percent; /* of the quota, kept for log backups */
};

struct staging_state {
    uint64_t total_bytes;
    uint64_t free_bytes;
    uint64_t used_bytes; /* our staged files; the reserve file does not count */
    uint64_t pending_bytes; /* estimates of backups that run now */
    bool reserve_held; /* the reserve file exists */
    unsigned aside; /* files that were set aside */
};

enum staging_verdict {
    STAGING_FITS,
    STAGING_NEEDS_RESERVE, /* a log backup that fits once the reserve file is given up */
    STAGING_TOO_SMALL,
};

/* The quota in force, in bytes. Pure. */
uint64_t staging_quota(const struct staging_limits *limits, const struct staging_state *state);
uint64_t staging_floor(const struct staging_limits *limits, const struct staging_state *state);
/* May a backup of this kind and estimated size begin? Pure. On TOO_SMALL err (class ERR_SPACE) says both sizes. */
enum staging_verdict staging_judge(const struct staging_limits *limits, const struct staging_state *state, enum backup_kind kind,
                                   uint64_t estimate_bytes, struct err *err);

struct staging;

/* Touches nothing: whether the directory can be used is asked with staging_check(). */
struct staging *staging_new(const char *path, const struct staging_limits *limits);
void staging_free(struct staging *staging);
const char *staging_path(const struct staging *staging);
/*
 * Can the directory be used? It must exist (its owner makes it), or is made with mode 2770 until it was there once. A file in it marks
 * it as ours: an empty mount point without that mark is not it while `known` staged backups should be there. Errors name path, uid, gid
 * and mode, and say what to do. It may block as long as the volume does; one caller at a time.
 */
int staging_check(struct staging *staging, unsigned known, struct err *err) ERR_CHECK;
/* Does the directory, as it is now, carry our mark? Else a file that is missing says nothing. */
bool staging_marked(const struct staging *staging);
/* Makes the reserve file when there is room for it above the floor and beside what is still to be written; quietly does nothing when
 * there is not. */
void staging_reserve_make(struct staging *staging, const struct staging_limits *limits, uint64_t pending_bytes);
void staging_reserve_give_up(struct staging *staging);
/* Measures the volume and our files. pending_bytes is the caller's. */
int staging_measure(struct staging *staging, struct staging_state *ret_state, struct err *err) ERR_CHECK;
/* Kept for the owner; nothing here reads them. */
void staging_limits_set(struct staging *staging, const struct staging_limits *limits);
const struct staging_limits *staging_limits_get(const struct staging *staging);

/* "20261121T024700Z-log-1a2b3c4d": sorts by time, names the kind, is unique. */
void staging_run_id(char dst[RUN_ID_MAX], enum backup_kind kind, int64_t now);
/* File of stripe `stripe` (0-based) of a run: "<run id>.trn", "<run id>.bak", "<run id>.dif", with ".<n>" before the suffix
 * when there are several. Relative to the directory. */
char *staging_file_name(const char *run_id, enum backup_kind kind, uint32_t stripe, uint32_t stripes);
/* Is this the name of one of our files? Gives the run id, the kind and the stripe number (0-based, or 0 for a single file). */
bool staging_parse_name(const char *name, char ret_run_id[RUN_ID_MAX], enum backup_kind *ret_kind, uint32_t *ret_stripe);

/* A staged file found by scanning. */
struct staged_file {
    char run_id[RUN_ID_MAX];
    enum backup_kind kind;
    uint32_t stripe;
    uint64_t bytes;
    int64_t written_ns; /* when the oldest file of the run was last written to; orders, and is nothing else */
};
/* All files of ours, oldest run first, its stripes in order; mem_free() the array. Others' files are left alone. */
int staging_scan(struct staging *staging, struct staged_file **ret_files, unsigned *ret_count, struct err *err) ERR_CHECK;
/* fsync of every file of the run and of the directory: after this the staged copy survives a power loss. */
int staging_sync(struct staging *staging, const char *run_id, enum backup_kind kind, uint32_t stripes, uint64_t *ret_bytes,
                 struct err *err) ERR_CHECK;
/* Durably removes every file of the run. */
int staging_remove(struct staging *staging, const char *run_id, enum backup_kind kind, uint32_t stripes,
                   struct err *err) ERR_CHECK;

/* Gives the files of a run a name that nothing of ours looks at (".unsure" behind it); durable. staging_measure() counts them. */
int staging_set_aside(struct staging *staging, const char *run_id, enum backup_kind kind, uint32_t stripes,
                      struct err *err) ERR_CHECK;

const char *const *staging_fault_points(void);

#endif
