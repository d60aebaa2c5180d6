/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log sequence numbers. An LSN is (VLF sequence, block offset, slot) and orders as that tuple. As numeric(25,0) it is
 * vlf * 10^15 + block * 10^5 + slot: up to 25 digits, so neither a 64-bit integer nor a double holds it, and text
 * compares only when padded.
 */
#ifndef MSSQL_CHAIN_LSN_H
#define MSSQL_CHAIN_LSN_H

#include <stdbool.h>
#include <stdint.h>

#define LSN_TEXT_MAX 26

struct lsn {
    uint32_t vlf;
    uint32_t block;
    uint16_t slot;
};

static inline int lsn_cmp(struct lsn a, struct lsn b) {
    if (a.vlf != b.vlf)
        return a.vlf < b.vlf ? -1 : 1;
    if (a.block != b.block)
        return a.block < b.block ? -1 : 1;
    return (a.slot > b.slot) - (a.slot < b.slot);
}
static inline struct lsn lsn_max(struct lsn a, struct lsn b) {
    return lsn_cmp(a, b) < 0 ? b : a;
}
static inline bool lsn_is_zero(struct lsn a) {
    return !a.vlf && !a.block && !a.slot;
}
/* Plain digits of numeric(25,0), without sign or leading zeros ("0" for none). False when out of range or malformed. */
bool lsn_parse(const char *s, struct lsn *ret_lsn);
/* Exactly 25 digits, as lsn_format_padded() writes them. */
bool lsn_parse_padded(const char *s, struct lsn *ret_lsn);
/* "00000022:00000045:00b3" as dm_db_log_stats and fn_dblog print it. */
bool lsn_parse_hex(const char *s, struct lsn *ret_lsn);
char *lsn_format(char dst[LSN_TEXT_MAX], struct lsn lsn);
/* Padded with zeros to 25 digits, so that names sort by LSN. */
char *lsn_format_padded(char dst[LSN_TEXT_MAX], struct lsn lsn);
char *lsn_format_hex(char dst[LSN_TEXT_MAX], struct lsn lsn);

#endif
