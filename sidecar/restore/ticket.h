/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sidecar itself must remember of a restore, beside the engine's journal: who asked and why, whether its run ended,
 * which of the restored databases still need their first full backup, and which are copies that go by themselves. One
 * small file per restore, <state>/restores/<id>/ticket.json, written durably; next to it the engine's journal and the
 * answer that was given at the end.
 */
#ifndef MSSQL_SIDECAR_RESTORE_TICKET_H
#define MSSQL_SIDECAR_RESTORE_TICKET_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/guid.h"
#include "common/restore/request.h"
#include "common/sql/text.h"

#define TICKET_REASON_MAX 256
#define TICKET_BY_MAX 128
#define TICKET_MESSAGE_MAX 512

/* A database of this restore that is dropped at its end. It is known by its identity, not by its name. */
struct ticket_copy {
    char database[SQL_NAME_MAX];
    struct guid database_guid, recovery_fork; /* as the restore made them; zero: not known, never dropped */
    int64_t expires_at; /* 0: it is kept */
    int64_t dropped_at; /* 0: it is there, as far as is known */
    char message[TICKET_MESSAGE_MAX]; /* why it was not dropped; "" */
};

struct ticket_names {
    char (*items)[SQL_NAME_MAX];
    size_t count;
};

struct ticket {
    char id[RESTORE_ID_MAX]; /* the restore's */
    char request_id[RESTORE_ID_MAX]; /* the asker's; equal to id when there was none */
    char reason[TICKET_REASON_MAX];
    char by[TICKET_BY_MAX];
    int64_t requested_at, started_at, finished_at;
    bool cancelled; /* somebody asked for its end */
    bool ended; /* with the error below; the engine's journal is of no use any more */
    struct err err;
    int64_t expires_at, expires_in_us; /* of copies; both 0: they stay */
    struct restore_request request;
    struct ticket_names targets; /* databases that it changes; none before it may change something */
    struct ticket_names protect; /* restored databases that wait for their first full backup */
    struct ticket_names left; /* databases that it began to change and did not bring to their end, as the run ended */
    struct ticket_names tails; /* files in staging that hold the last log of one of them and are not in the store */
    struct ticket_copy *copies;
    size_t copy_count;
    uint64_t version; /* of what is in memory, not written: the higher one is the newer */
};

/* One ticket is written from several threads; an older version never goes over a newer one. */
struct ticket_file {
    pthread_mutex_t lock;
    uint64_t written; /* version, under the lock */
};
void ticket_file_init(struct ticket_file *file);
void ticket_file_done(struct ticket_file *file);
/* As ticket_save(); success without a write when a newer version was written already. */
int ticket_file_save(struct ticket_file *file, const struct ticket *ticket, const char *state_dir, struct err *err) ERR_CHECK;

void ticket_init(struct ticket *ticket);
void ticket_done(struct ticket *ticket);
/* <state>/restores/<id>; mem_free() it. */
char *ticket_folder(const char *state_dir, const char *id);
/* Durable when it returns 0. Makes the folder. */
int ticket_save(const struct ticket *ticket, const char *state_dir, struct err *err) ERR_CHECK;
/* ERR_CORRUPT when it is not readable; ret_ticket needs no init. */
int ticket_load(const char *state_dir, const char *id, struct ticket *ret_ticket, struct err *err) ERR_CHECK;
/* Removes the folder with everything in it. */
int ticket_remove(const char *state_dir, const char *id, struct err *err) ERR_CHECK;
/* Calls fn with the id of each ticket; a missing folder has none. */
int ticket_each(const char *state_dir, int (*fn)(void *user, const char *id, struct err *err), void *user,
                struct err *err) ERR_CHECK;

void ticket_copy(struct ticket *dst, const struct ticket *src); /* dst needs no init */
void ticket_names_add(struct ticket_names *names, const char *name); /* nothing when it is there; without case */
void ticket_names_remove(struct ticket_names *names, const char *name);
bool ticket_names_has(const struct ticket_names *names, const char *name);
void ticket_names_clear(struct ticket_names *names);
struct ticket_copy *ticket_add_copy(struct ticket *ticket, const char *database);
/* Are there copies that the sidecar still has to drop? */
bool ticket_has_copies(const struct ticket *ticket);

/* Durable steps, for tests; ends with NULL. */
const char *const *ticket_fault_points(void);

#endif
