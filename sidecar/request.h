/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backups on demand: one request, several databases, one result each. Whoever asked listens through events; when they go
 * away the backups go on unless they said otherwise. Loop thread only.
 */
#ifndef MSSQL_SIDECAR_REQUEST_H
#define MSSQL_SIDECAR_REQUEST_H

#include "sidecar/agent.h"

#define REQUEST_ID_MAX 64
#define REQUEST_REASON_MAX 128

enum request_state { REQUEST_WAITING, REQUEST_RUNNING, REQUEST_FINISHED };

struct request_item {
    struct request *request;
    struct database *db;
    enum backup_kind kind;
    bool any_kind; /* what the chain needs */
    bool copy_only;
    bool force; /* a log although the database is quiet */
    enum request_state state;
    struct job *job; /* while it runs */
    enum outcome outcome;
    char why[CHAIN_TEXT_MAX]; /* another kind than the one asked for: what made it so, "" else */
    char why_reason[64];
};

struct request_events {
    void (*progress)(void *user, struct request_item *item);
    /* job holds the result; valid during the call. */
    void (*result)(void *user, struct request_item *item, const struct job *job);
    /* All items are finished; the request is gone afterwards. */
    void (*end)(void *user, struct request *request);
    void *user;
};

struct request {
    char id[REQUEST_ID_MAX];
    char reason[REQUEST_REASON_MAX];
    char trigger[32];
    struct request_item *items;
    unsigned count, finished;
    unsigned outcomes[OUTCOME_COUNT];
    bool cancel_on_disconnect;
    struct request_events events;
    struct request *next;
};

struct request_spec {
    const char *id; /* NULL or "": a new one */
    const char *reason;
    const char *trigger;
    char *const *databases; /* names or patterns; none: every protected one */
    size_t database_count;
    enum backup_kind kind;
    bool any_kind, copy_only, force;
    bool cancel_on_disconnect;
};

/* ERR_NOT_FOUND names a database that is not there, ERR_STATE while stopping. The backups begin at the next tick. */
int request_new(struct agent *agent, const struct request_spec *spec, const struct request_events *events,
                struct request **ret_request, struct err *err) ERR_CHECK;
struct request *request_find(struct agent *agent, const char *id);
/* Nobody listens any more. */
void request_detach(struct agent *agent, struct request *request);
/* The item waiting for this database and lane, NULL when there is none. */
struct request_item *request_waiting(struct agent *agent, struct database *db, enum lane lane);
void request_item_started(struct request_item *item, struct job *job);
/* The chain needs a data backup: the item waits for that lane. */
void request_item_moved(struct request_item *item, const struct chain_decision *decision);
void request_item_finished(struct agent *agent, struct request_item *item, const struct job *job);
/* Calls progress of every running item. */
void request_tick(struct agent *agent);
void requests_free(struct agent *agent);

#endif
