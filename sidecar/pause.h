/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pauses that people asked for: of everything or of one database, with a reason, until a time or until resume. They survive a restart
 * (<state>/pauses.json) and are never silent: status, a condition and a metric say so. The policy can pause as well.
 */
#ifndef MSSQL_SIDECAR_PAUSE_H
#define MSSQL_SIDECAR_PAUSE_H

#include "sidecar/agent.h"

#define PAUSE_TEXT_MAX 256
#define PAUSES_MAX 256

struct pause {
    char database[SQL_NAME_MAX]; /* "" all */
    char reason[PAUSE_TEXT_MAX];
    char by[PAUSE_TEXT_MAX];
    int64_t since_at;
    int64_t until_at; /* 0: until resume */
};

/* A file that cannot be read is an error: forgetting a pause could take a backup that somebody forbade. */
int pauses_load(struct agent *agent, struct err *err) ERR_CHECK;
/* Replaces a pause of the same database. Durable when it returns 0. */
int pause_set(struct agent *agent, const struct pause *pause, struct err *err) ERR_CHECK;
/* database "": every pause. */
int pause_clear(struct agent *agent, const char *database, struct err *err) ERR_CHECK;
/* The pause in force for this database (NULL: for all), the policy's included; NULL when there is none. */
const struct pause *pause_of(const struct agent *agent, const char *database, int64_t now);
void pauses_free(struct agent *agent);

struct pauses {
    struct pause *items;
    size_t count;
    struct pause policy; /* the policy's own, as pause_of() shows it */
};

#endif
