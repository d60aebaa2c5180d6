/* SPDX-License-Identifier: Apache-2.0 */
/* Whose turn is it? With more databases due than may run at once, the one after the last that was served comes first. Pure. */
#ifndef MSSQL_SIDECAR_ROTA_H
#define MSSQL_SIDECAR_ROTA_H

#include <stddef.h>

struct rota {
    size_t first;
};

/* Index of the k-th of n. */
static inline size_t rota_at(const struct rota *rota, size_t k, size_t n) {
    return (rota->first + k) % n;
}

/* The one at this index was served. */
static inline void rota_served(struct rota *rota, size_t index, size_t n) {
    rota->first = (index + 1) % n;
}

#endif
