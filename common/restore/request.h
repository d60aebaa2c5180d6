/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What somebody wants restored: which databases, to which moment, onto which instance and under which names. Plain data
 * that goes into the journal as JSON and comes back the same.
 *
 * Nothing in a request is a secret.
 */
#ifndef MSSQL_RESTORE_REQUEST_H
#define MSSQL_RESTORE_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/chain/plan.h"

#define RESTORE_ID_MAX 64
#define RESTORE_TOKEN_MAX 64
#define RESTORE_TOKENS_MAX 4096 /* several of them */
#define RESTORE_DATABASES_MAX 4096
#define RESTORE_MOVES_MAX 4096 /* explicit ones, per database */
#define RESTORE_PARALLEL_DEFAULT 2
#define RESTORE_PARALLEL_MAX 16
#define RESTORE_STUCK_MS_DEFAULT (30 * 60 * 1000)

/* What becomes of the database after the last log. */
enum restore_finish {
    RESTORE_FINISH_RECOVER,
    RESTORE_FINISH_RESTORING, /* left as it is: somebody applies more logs */
    RESTORE_FINISH_STANDBY, /* readable, more logs may follow */
    RESTORE_FINISH_COUNT,
};

/* One file of the database: WITH MOVE. */
struct restore_move {
    char *logical;
    char *physical; /* as SQL Server sees it */
};

struct restore_wish {
    char *database; /* a name it has or had, or a folder of the store */
    char *as; /* name on the target; "": the same (its newest name) */
    struct restore_move *moves; /* explicit; the rest is placed by rule */
    size_t move_count;
};

/* Strings are on the heap and never NULL: absent is "". */
struct restore_request {
    char id[RESTORE_ID_MAX]; /* run id: names the journal, staged files and everything else of this restore */
    char *scope; /* "<namespace>/<instance>" of the source in its store */
    struct chain_target target;
    struct restore_wish *wishes; /* empty: every database that the source has, but the system's */
    size_t wish_count;
    char *data_dir; /* of the target, as SQL Server sees it; "": its default */
    char *log_dir;
    enum restore_finish finish;
    char *standby_dir; /* RESTORE_FINISH_STANDBY: where the undo files go, as SQL Server sees it */
    bool keep_cdc;
    bool keep_replication;
    bool reapply_options; /* what RESTORE resets is put back: owner, TRUSTWORTHY, broker, ... */
    bool check; /* DBCC CHECKDB afterwards */
    /* Acknowledges data loss: quotes what the dry run printed. Each database has a token of its own, and there is one over all of
     * them; several are separated by commas or blanks. "" none */
    char token[RESTORE_TOKENS_MAX];
    unsigned parallel; /* databases at once; 0: RESTORE_PARALLEL_DEFAULT */
    int64_t stuck_after_ms; /* a statement without progress for so long is cancelled; 0: RESTORE_STUCK_MS_DEFAULT */
    int64_t requested_at;
};

void restore_request_init(struct restore_request *request); /* latest, recover, no wishes */
void restore_request_done(struct restore_request *request);
void restore_request_copy(struct restore_request *dst, const struct restore_request *src); /* dst needs no init */
/* Replaces an owned string; NULL becomes "". */
void restore_request_set(char **field, const char *value);
struct restore_wish *restore_request_add_wish(struct restore_request *request, const char *database, const char *as);
void restore_wish_add_move(struct restore_wish *wish, const char *logical, const char *physical);
/* Names can be said in T-SQL, limits are kept, nothing is asked for twice. ERR_USAGE. */
int restore_request_check(const struct restore_request *request, struct err *err) ERR_CHECK;

/* "20261121T024700Z-restore-1a2b3c4d", unique. */
int restore_id_make(char dst[RESTORE_ID_MAX], int64_t now, struct err *err) ERR_CHECK;
/* May it name a file? (A request from elsewhere brings its own.) */
bool restore_id_valid(const char *id);

/* json_decref() it. */
json_t *restore_request_to_json(const struct restore_request *request);
/* ERR_CORRUPT. */
int restore_request_from_json(const json_t *json, struct restore_request *ret_request, struct err *err) ERR_CHECK;

const char *restore_finish_name(enum restore_finish finish); /* "recover", "restoring", "standby" */
bool restore_finish_parse(const char *word, enum restore_finish *ret_finish);

#endif
