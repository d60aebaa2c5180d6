/* SPDX-License-Identifier: Apache-2.0 */
/* Plain files of a plan in a folder, for `export`. */
#ifndef MSSQL_CLI_EXPORT_H
#define MSSQL_CLI_EXPORT_H

#include "cli/plan.h"

/* One file. */
struct export_file {
    size_t member;
    uint32_t stripe;
    char name[PLAN_NAME_MAX];
    uint64_t bytes;
    struct hash sha256;
    bool there; /* from an earlier run, with the right content */
};

struct export_job {
    struct plan_made *made;
    char *folder; /* of the database, below the directory of the command; made when it is not there */
    struct export_file *files;
    size_t count;
    uint64_t missing_bytes;
};

/* What is to be fetched: looks at what is there already, hashes it, and changes nothing. */
int export_look(struct plan_made *made, const char *directory, struct export_job *ret_job, struct err *err) ERR_CHECK;
/* Fetches what is not there: each file is hash-checked, durable, and under its name only when it is whole. *ret_bad: the member whose
 * backup is damaged or missing in the store, else SIZE_MAX. */
int export_fetch(const struct cli *cli, struct export_job *job, size_t *ret_bad, struct err *err) ERR_CHECK;
void export_job_done(struct export_job *job);

#endif
