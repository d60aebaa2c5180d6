/* SPDX-License-Identifier: Apache-2.0 */
#include "common/chain/lsn.h"

#include <stdio.h>
#include <string.h>

#define LSN_DIGITS 25
#define LSN_SLOT_BASE UINT64_C(100000)
#define LSN_BLOCK_BASE UINT64_C(10000000000)

/* Up to 25 digits are more than 64 bits hold, so the number is cut into its three parts by 128-bit arithmetic. */
static bool lsn_from_digits(const char *s, size_t digits, struct lsn *ret_lsn) {
    unsigned __int128 n = 0;
    for (size_t i = 0; i < digits; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        n = n * 10 + (unsigned)(s[i] - '0');
    }
    uint64_t slot = (uint64_t)(n % LSN_SLOT_BASE);
    uint64_t block = (uint64_t)(n / LSN_SLOT_BASE % LSN_BLOCK_BASE);
    uint64_t vlf = (uint64_t)(n / LSN_SLOT_BASE / LSN_BLOCK_BASE);
    if (slot > UINT16_MAX || block > UINT32_MAX || vlf > UINT32_MAX)
        return false;
    *ret_lsn = (struct lsn){.vlf = (uint32_t)vlf, .block = (uint32_t)block, .slot = (uint16_t)slot};
    return true;
}

bool lsn_parse(const char *s, struct lsn *ret_lsn) {
    size_t digits = strlen(s);
    if (!digits || digits > LSN_DIGITS || (s[0] == '0' && digits > 1))
        return false;
    return lsn_from_digits(s, digits, ret_lsn);
}

bool lsn_parse_padded(const char *s, struct lsn *ret_lsn) {
    return strlen(s) == LSN_DIGITS && lsn_from_digits(s, LSN_DIGITS, ret_lsn);
}

/* Exactly `digits` hexadecimal digits followed by `end`; the position behind them or NULL. */
static const char *lsn_hex_part(const char *s, unsigned digits, char end, uint32_t *ret_value) {
    uint32_t value = 0;
    for (; digits; digits--, s++) {
        unsigned digit;
        if (*s >= '0' && *s <= '9')
            digit = (unsigned)(*s - '0');
        else if ((*s | 0x20) >= 'a' && (*s | 0x20) <= 'f')
            digit = (unsigned)((*s | 0x20) - 'a') + 10;
        else
            return NULL;
        value = value << 4 | digit;
    }
    if (*s != end)
        return NULL;
    *ret_value = value;
    return s + 1;
}

bool lsn_parse_hex(const char *s, struct lsn *ret_lsn) {
    uint32_t vlf, block, slot;
    if (!(s = lsn_hex_part(s, 8, ':', &vlf)) || !(s = lsn_hex_part(s, 8, ':', &block)) || !lsn_hex_part(s, 4, 0, &slot))
        return false;
    *ret_lsn = (struct lsn){.vlf = vlf, .block = block, .slot = (uint16_t)slot};
    return true;
}

char *lsn_format_padded(char dst[LSN_TEXT_MAX], struct lsn lsn) {
    snprintf(dst, LSN_TEXT_MAX, "%010u%010u%05u", lsn.vlf, lsn.block, lsn.slot);
    return dst;
}

char *lsn_format(char dst[LSN_TEXT_MAX], struct lsn lsn) {
    lsn_format_padded(dst, lsn);
    size_t zeros = strspn(dst, "0");
    if (zeros == LSN_DIGITS)
        zeros--;
    memmove(dst, dst + zeros, LSN_DIGITS + 1 - zeros);
    return dst;
}

char *lsn_format_hex(char dst[LSN_TEXT_MAX], struct lsn lsn) {
    snprintf(dst, LSN_TEXT_MAX, "%08x:%08x:%04x", lsn.vlf, lsn.block, lsn.slot);
    return dst;
}
