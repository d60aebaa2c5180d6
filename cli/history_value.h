/* SPDX-License-Identifier: Apache-2.0 */
/* Values of backup histories in the forms in which SQL Server's clients write them. All take any text. */
#ifndef MSSQL_CLI_HISTORY_VALUE_H
#define MSSQL_CLI_HISTORY_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/guid.h"
#include "common/chain/lsn.h"

struct history_date {
    int64_t at; /* UTC when has_zone, else the server's local time as if it were UTC */
    int32_t offset_s; /* of the zone in the text */
    bool has_zone; /* the text names a moment */
    bool has_offset; /* and says how far local time was from UTC; "Z" and "/Date(ms)/" say nothing about the server */
};

/* "2026-11-21T02:47:00.123", with a space for the T, without seconds, with "Z", "+01:00" or "+0100", a day alone; and
 * "/Date(1493883737000)/", "/Date(1493883737000+0200)/". */
bool history_date_parse(const char *s, struct history_date *ret_date);
/* Decimal digits, "0x" and hexadecimal triples are not numbers of SQL Server's columns: digits only, leading zeros and a fraction of
 * zeros ("34000000006900179.0") allowed. */
bool history_lsn_parse(const char *s, struct lsn *ret_lsn);
/* With or without braces. */
bool history_guid_parse(const char *s, struct guid *ret_guid);
/* 0, 1, true, false in any case. */
bool history_bit_parse(const char *s, bool *ret_bit);
/* A count of bytes: digits, a fraction of zeros. */
bool history_size_parse(const char *s, uint64_t *ret_size);
bool history_int_parse(const char *s, int64_t min, int64_t max, int64_t *ret_value);
/* "+02:00", "-0530", "+1", "Z", "UTC". */
bool history_offset_parse(const char *s, int32_t *ret_offset_s);

/* 'D', 'I' or 'L' of SQL Server's letters, numbers or words; 'X' for a kind that is not of a whole database; 0 unknown. */
char history_type_parse(const char *s);

#endif
