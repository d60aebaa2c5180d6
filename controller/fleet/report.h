/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last status of one sidecar. Kept as packed bytes: that is a fifth of what the message takes in memory, and ten thousand of them
 * are held. No I/O, no clock.
 */
#ifndef MSSQL_CONTROLLER_FLEET_REPORT_H
#define MSSQL_CONTROLLER_FLEET_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "mssql/v1/controller.pb-c.h"

#define REPORT_DATABASES_MAX 10000
#define REPORT_BYTES_MAX (8u << 20)

struct report_piece {
    uint64_t digest;
    size_t len;
    char *name; /* of a database */
    uint8_t bytes[];
};

struct report_view {
    struct report_piece *head; /* NULL before the first */
    struct report_piece **databases; /* by name */
    size_t database_count, database_cap;
    size_t bytes;
};

struct report {
    struct report_view view; /* what readers see */
    struct report_view *next; /* a new one that is not complete yet; NULL = none */
    uint64_t sequence; /* of the last part in this session */
    bool complete; /* a whole status has come in this session */
    bool news; /* since the last complete part */
};

void report_done(struct report *report);
/* A new session: what is known stays until the first part comes. */
void report_begin(struct report *report);
/* ERR_PROTOCOL when a part is missing or is the first and does not say so, ERR_LIMIT when it becomes too large. ret_news: something has
 * changed that is news (common/api/digest.h), told with the part that completes it. */
int report_take(struct report *report, const Mssql__V1__StatusPart *part, bool *ret_news, struct err *err) ERR_CHECK;
/* NULL before there is a head. mssql__v1__status__free_unpacked(status, NULL). */
Mssql__V1__Status *report_status(const struct report *report, bool with_databases);

#endif
