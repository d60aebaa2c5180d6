/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An open store that workers borrow. A suspected one is retired: nobody new gets it, and after its last user a worker closes it, which can
 * take as long as a dead volume likes. Loop thread.
 */
#ifndef MSSQL_SIDECAR_LEND_H
#define MSSQL_SIDECAR_LEND_H

#include "common/base/pool.h"
#include "common/store/store.h"

struct lent;

struct lending {
    struct pool *pool; /* its workers close what was retired; NULL: nothing is closed before lending_end() */
    struct lent *current, *retired;
};

/* Takes the store over. */
void lending_open(struct lending *lending, struct store *store);
/* NULL when there is none. */
struct store *lending_current(const struct lending *lending);
struct store *lending_take(struct lending *lending);
void lending_put(struct lending *lending, const struct store *store);
void lending_retire(struct lending *lending);
/* Closes everything at once: the workers that borrowed have ended. */
void lending_end(struct lending *lending);

#endif
