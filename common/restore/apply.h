/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs RESTORE statements of one database: progress, a watch for statements that are stuck, cancel, and what the server's
 * answer means for the plan.
 */
#ifndef MSSQL_RESTORE_APPLY_H
#define MSSQL_RESTORE_APPLY_H

#include "common/sql/session.h"

/* What a statement that did not fail says. */
enum apply_answer {
    APPLY_DONE,
    APPLY_NOT_REACHED, /* 4322, 4329: the moment or mark is not in it, the next log is needed */
    APPLY_SKIPPED, /* 4326: the database is behind this log already */
};

/* What a failure means. */
enum apply_trouble {
    APPLY_FATAL, /* somebody must change something */
    APPLY_LOST, /* the connection is gone: nobody knows whether the statement came to its end */
    APPLY_CANCELLED,
    APPLY_STUCK, /* no sign of life for too long; it was cancelled */
    APPLY_MEDIA, /* the server does not accept the bytes of this backup */
    APPLY_STATE, /* it does not fit where the database stands: begin again with a full */
};

struct apply {
    const struct sql_params *params; /* for the second session, which looks at the progress of the first */
    struct sql_session *session;
    int spid;
    int64_t stuck_after_ms;
    const atomic_bool *cancel; /* may be NULL */
    void (*progress)(void *user, double percent); /* -1: none known; may be NULL */
    void *user;

    atomic_bool stop; /* the rest belongs to apply.c */
    bool stuck;
    int64_t moved_us, watched_us;
    double percent, server_percent;
    struct sql_session *watch;
    enum apply_sight { APPLY_SEES, APPLY_BLIND, APPLY_AWAY } sight; /* of the last look */
    int64_t cpu, reads, writes;
    char waits[160]; /* what it waited for when last seen */
};

/* Opens the session, on master. */
int apply_open(struct apply *apply, const struct sql_params *params, struct err *err) ERR_CHECK;
void apply_close(struct apply *apply); /* {0} is allowed */
/* Nothing moved for too long, and that was to be seen. */
bool apply_is_stuck(const struct apply *apply, int64_t now_us);
/* Runs one statement to its end, however long it takes. *ret_trouble is set on failure, *ret_answer on success. */
int apply_run(struct apply *apply, const char *text, enum apply_answer *ret_answer, enum apply_trouble *ret_trouble,
              struct err *err) ERR_CHECK;

#endif
