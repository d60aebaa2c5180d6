/* SPDX-License-Identifier: Apache-2.0 */
/* TLS material in PEM files: checked when read, so that a wrong file is one clear error and not a failed handshake later. */
#ifndef MSSQL_NET_TLS_H
#define MSSQL_NET_TLS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"

struct tls_files {
    const char *cert; /* certificate chain, leaf first; NULL = none */
    const char *key; /* its private key */
    const char *ca; /* roots that the peer's certificate must lead to; NULL = do not ask (server), system's roots (client) */
};

struct tls_pem {
    char *cert, *key, *ca; /* NULL when not given; the key is wiped by tls_pem_done() */
    int64_t not_after_at; /* of the leaf, 0 without a certificate */
    char subject[256];
};

/* Reads and checks: parses, key belongs to certificate, not expired (ERR_CRYPTO; ERR_CONFIG when only one of cert and key is
 * given or a file cannot be read). */
int tls_pem_load(const struct tls_files *files, struct tls_pem *ret_pem, struct err *err) ERR_CHECK;
void tls_pem_done(struct tls_pem *pem);
/* A number that changes when one of the files does (identity, size, times); 0 when one is missing. */
uint64_t tls_files_stamp(const struct tls_files *files);

#endif
