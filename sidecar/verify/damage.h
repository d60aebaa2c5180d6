/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backups of the store that turned out to be damaged or missing: `<state>/damaged.json`. Each is marked in the catalog
 * (BACKUP_UNREADABLE), so that no plan takes it and the chain is broken at it until a new backup bridges it. It is forgotten
 * when it is read well again, or when nothing knows of it any more. Loop thread.
 */
#ifndef MSSQL_SIDECAR_VERIFY_DAMAGE_H
#define MSSQL_SIDECAR_VERIFY_DAMAGE_H

#include "common/store/scrub.h"
#include "sidecar/agent.h"

#define DAMAGE_MAX 1000 /* more are found again by the next pass */

struct damaged {
    char *folder;
    char *manifest; /* "<kind>/<stem>.json" */
    char *object; /* what is bad: its whole name */
    char *text;
    enum scrub_kind problem;
    int64_t found_at;
    int64_t asked_us; /* monotonic: read again last; 0: not in this life */
};

/* Once the state directory can be used. A file that cannot be read is told, and begun anew: the scrub finds again. */
void damage_open(struct agent *agent);
void damage_free(struct agent *agent);
/* The catalog is new, or there again: its marks are made as the list says. */
void damage_mark(struct agent *agent);
/* A finding that makes a backup unusable; the whole name of its manifest. Known ones change nothing. The file is written by
 * damage_save(). */
void damage_found(struct agent *agent, const char *manifest, const struct scrub_finding *finding);
/* It is good again, or nothing knows of it any more: `why` is for the log. */
void damage_forget(struct agent *agent, size_t index, const char *why);
/* Durable, when anything changed. */
int damage_save(struct agent *agent, struct err *err) ERR_CHECK;
/* SIZE_MAX when it is not in the list. */
size_t damage_find(const struct agent *agent, const char *folder, const char *manifest);
/* Does the catalog have it? */
bool damage_is_known(const struct agent *agent, const struct damaged *d);
/* The name of the database, for people. */
const char *damage_database(const struct agent *agent, const struct damaged *d);
unsigned damage_count_of(const struct agent *agent, const char *folder);

const char *const *damage_fault_points(void); /* ends with NULL */

#endif
