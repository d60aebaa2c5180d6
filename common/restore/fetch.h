/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pipeline of one database: a thread of its own brings the next backups into staging, decoded and with their hashes
 * checked, while SQL Server restores the one before. Nothing is fsynced: after a crash they are fetched again.
 *
 * Bounded by the budget (bytes, all databases) and by FETCH_AHEAD (files).
 */
#ifndef MSSQL_RESTORE_FETCH_H
#define MSSQL_RESTORE_FETCH_H

#include <sys/types.h>

#include "common/restore/budget.h"
#include "common/restore/source.h"

#define FETCH_AHEAD 64

struct restore_fetch_spec {
    struct source *source;
    const char *folder;
    const struct backup *sets; /* in the order of restoring; copied */
    size_t count;
    const char *local_dir; /* of this restore, exists */
    const char *server_dir; /* the same one as SQL Server sees it */
    const char *stem; /* begins the names of the files: unique per database and plan */
    mode_t mode; /* of the files: SQL Server reads as another user */
    struct restore_budget *budget;
    const atomic_bool *cancel; /* may be NULL */
    void (*progress)(void *user,
                     uint64_t fetched_bytes); /* so many plain bytes in all; from the pipeline's thread; may be NULL */
    void *user;
};

/* A backup that is staged whole. Good until it is dropped. */
struct restore_staged {
    const char *const *paths; /* as SQL Server sees them */
    size_t path_count;
    const struct manifest *manifest;
    uint64_t plain_bytes, stored_bytes;
};

struct restore_fetch;

/* Nothing is fetched before restore_fetch_start(). */
int restore_fetch_start(const struct restore_fetch_spec *spec, struct restore_fetch **ret_fetch, struct err *err) ERR_CHECK;
/* Waits for the n-th backup. When it cannot be had *ret_bad says that the backup itself is damaged or missing, so that another
 * way around it is worth looking for; else it is the store, the disk, or a cancel. */
int restore_fetch_wait(struct restore_fetch *fetch, size_t n, struct restore_staged *ret_staged, bool *ret_bad,
                       struct err *err) ERR_CHECK;
/* It is restored, or not needed: its files go, and the room is given back. */
void restore_fetch_drop(struct restore_fetch *fetch, size_t n);
/* Ends the thread and removes every file. NULL is allowed. */
void restore_fetch_free(struct restore_fetch *fetch);

#endif
