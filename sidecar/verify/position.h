/* SPDX-License-Identifier: Apache-2.0 */
/* Where the continuous scrub stands: `<state>/scrub.json`. */
#ifndef MSSQL_SIDECAR_VERIFY_POSITION_H
#define MSSQL_SIDECAR_VERIFY_POSITION_H

#include "common/store/scrub.h"

struct position {
    int64_t first_at; /* when the first pass may begin */
    int64_t begun_at; /* of the newest pass, 0 none */
    int64_t ended_at; /* of the newest whole pass, 0 none; before begun_at: one runs */
    char folder[NAME_FOLDER_MAX]; /* that is being read, "" before the first */
    struct store_cursor cursor; /* of its manifests */
    bool names; /* and behind them, its names were checked, too: the next folder */
    struct scrub_totals totals; /* of the newest pass */
    uint64_t before[SCRUB_KIND_COUNT]; /* findings of the whole pass before it */
};

/* ERR_NOT_FOUND: none yet. ERR_CORRUPT. */
int position_load(const char *path, struct position *ret_position, struct err *err) ERR_CHECK;
int position_save(const char *path, const struct position *position, struct err *err) ERR_CHECK;

#endif
