/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads what a SQL Server backup file says about itself, without a server: which sets it holds, whose they are, from
 * which LSN to which, and whether they are complete. Uncompressed media only (Microsoft Tape Format with SQL Server's
 * blocks); compressed or encrypted files are recognised and said to be so.
 *
 * It takes any bytes. Every step goes forward, at least 22 bytes at a time, so a walk ends; memory is bounded by
 * MEDIA_SETS_MAX and MEDIA_RECORD_MAX; nothing beyond the size of the source is asked for. Payload is skipped: a
 * complete set has its frame, its pages are not looked at.
 *
 * Our own backups have all this in their manifest, taken from RESTORE HEADERONLY. This reader is for a file whose
 * manifest is lost, and for tests.
 */
#ifndef MSSQL_MEDIA_MEDIA_H
#define MSSQL_MEDIA_MEDIA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/chain/backup.h"

#define MEDIA_SETS_MAX 4096 /* of one file */
#define MEDIA_RECORD_MAX 65536 /* bytes of a configuration record that are looked at */
#define MEDIA_NAME_MAX 385 /* 128 UTF-16 units as UTF-8 */
#define MEDIA_DESCRIPTION_MAX 766 /* 255 */

/* Reads exactly `len` bytes at `offset`. Never asked for bytes beyond `bytes`. -1 with err when it cannot. */
struct media_source {
    int (*read)(void *arg, uint64_t offset, void *data, size_t len, struct err *err);
    void *arg;
    uint64_t bytes;
};

enum media_kind {
    MEDIA_EMPTY, /* no bytes, or zeros: preallocated, or the server died */
    MEDIA_UNKNOWN, /* not a backup file */
    MEDIA_PLAIN, /* uncompressed: the sets are listed */
    MEDIA_CONTAINER, /* "MSSQLBAK": compressed, encrypted or both; its inside needs a server */
    MEDIA_KIND_COUNT,
};

enum media_problem {
    MEDIA_WHOLE,
    MEDIA_CUT, /* ends in the middle of something */
    MEDIA_DAMAGED, /* a block with a wrong checksum, or bytes that are none */
    MEDIA_PROBLEM_COUNT,
};

struct media_set {
    /* Kind, LSNs, GUIDs, forks, dates (UTC), sizes and position. Flags: BACKUP_COPY_ONLY of fulls only, and
     * BACKUP_UTC_OFFSET_KNOWN. Stripes stays 0: one file does not say how many there are. */
    struct backup backup;
    char type; /* D, I, L; another letter is a kind that is not ours: backup.kind means nothing then. 0: no record */
    bool complete; /* has its final record and its end */
    char name[MEDIA_NAME_MAX];
    char description[MEDIA_DESCRIPTION_MAX];
    char user[MEDIA_NAME_MAX];
    char machine[MEDIA_NAME_MAX];
    char database[MEDIA_NAME_MAX];
    char server[MEDIA_NAME_MAX];
    uint32_t database_id;
    uint16_t database_version; /* internal version, such as 957 for SQL Server 2022 */
    uint8_t compatibility;
    uint8_t version_major, version_minor; /* of the server */
    uint16_t version_build;
    int64_t database_created_at; /* UTC when the set's offset is known, else the server's local time */
    struct lsn next_log_lsn; /* where the next log backup begins */
    struct guid full_guid; /* the last regular full */
    uint64_t begin, end; /* place in the file; end is 0 while not complete */
};

struct media {
    enum media_kind kind;
    enum media_problem problem;
    uint64_t problem_at;
    uint32_t container_version; /* of MEDIA_CONTAINER */
    struct guid media_set_guid; /* files of one striped set share it */
    uint32_t family_id; /* and differ in this */
    uint16_t block_bytes; /* format logical block */
    char name[MEDIA_NAME_MAX];
    char description[MEDIA_DESCRIPTION_MAX];
    char software[MEDIA_NAME_MAX];
    int64_t written_at; /* local time of the server: the media header has no offset */
    struct media_set *sets;
    size_t set_count;
};

/* 0 for any bytes: `kind` and `problem` say what they are. -1 when the source cannot be read, or when there are more
 * than MEDIA_SETS_MAX sets (ERR_LIMIT). */
int media_read(const struct media_source *source, struct media *ret_media, struct err *err);
void media_done(struct media *media);
/* The set at a position (from 1), NULL when there is none. */
const struct media_set *media_set_at(const struct media *media, uint16_t position);
/* Are these files stripes of one set: same media, same set at `position`, complete in each, no file twice? Whether one is
 * missing is not to be told from the files that are there. */
int media_check_stripes(const struct media *files, size_t count, uint16_t position, struct err *err);
/* "empty", "unknown", "plain", "container". */
const char *media_kind_name(enum media_kind kind);
/* "whole", "cut", "damaged". */
const char *media_problem_name(enum media_problem problem);
/* XOR of the first 25 words of a block: what its 26th word must be. */
uint16_t media_block_checksum(const uint8_t *block);

#endif
