/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Staging: a directory that we write and SQL Server reads, mounted in two places. Proven with a file before anything else
 * is done, because nothing goes wrong more often.
 */
#ifndef MSSQL_RESTORE_PROBE_H
#define MSSQL_RESTORE_PROBE_H

#include <sys/types.h>

#include "common/sql/session.h"

/* The folder of one restore inside of staging: made by restore_staging_make(). */
struct restore_staging {
    char *local; /* <staging>/<id> */
    char *server;
    mode_t file_mode; /* with which SQL Server's user can read */
    int lock_fd; /* of the folder; 0: none */
};

/* Makes the folder, as open as staging itself is, and removes what an earlier life of this restore left in it. ERR_BUSY: another
 * process is at this very restore. */
int restore_staging_make(const char *local, const char *server, const char *id, struct restore_staging *ret_staging,
                         struct err *err) ERR_CHECK;
/* Does SQL Server read what we write there? ERR_CONFIG says which mount is wrong; ERR_PERMISSION which mode. */
int restore_staging_probe(struct sql_session *session, const struct restore_staging *staging, struct err *err) ERR_CHECK;
/* Removes the folder with everything in it; failures do not matter any more. */
void restore_staging_remove(struct restore_staging *staging);
void restore_staging_done(struct restore_staging *staging); /* memory only */

#endif
