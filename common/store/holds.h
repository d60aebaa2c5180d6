/* SPDX-License-Identifier: Apache-2.0 */
/* Holds: a set, or all that a range of time needs, is kept until the hold is released, whatever retention says. */
#ifndef MSSQL_STORE_HOLDS_H
#define MSSQL_STORE_HOLDS_H

#include "common/base/guid.h"
#include "common/store/name.h"
#include "common/store/store.h"

#define HOLD_ID_MAX 64
#define HOLD_TEXT_MAX 512

struct hold {
    char id[HOLD_ID_MAX]; /* letters, digits, '-', '_'; made by hold_create when empty */
    struct guid set_guid; /* zero: the range counts */
    int64_t from_at, until_at; /* moments that must stay reachable; 0 with a set; until 0: without end */
    char reason[HOLD_TEXT_MAX];
    char by[HOLD_TEXT_MAX]; /* who asked */
    int64_t created_at;
    int64_t expires_at; /* 0: until it is released */
};

/* ERR_EXISTS when the id is taken by another hold; the same hold again is success. */
int hold_create(struct store *store, const char *scope, const char *folder, struct hold *hold, struct err *err) ERR_CHECK;
/* In order of ids. A hold that cannot be read is a failure: retention must not go on without it. */
typedef int hold_fn(void *user, const struct hold *hold, struct err *err);
int hold_list(struct store *store, const char *scope, const char *folder, hold_fn *fn, void *user, struct err *err) ERR_CHECK;
/* ERR_NOT_FOUND when there is none of that id. */
int hold_release(struct store *store, const char *scope, const char *folder, const char *id, struct err *err) ERR_CHECK;

#endif
