/* SPDX-License-Identifier: Apache-2.0 */
/* LSN text in its three forms. The text of an LSN leads back to it, and sorts and compares as it does. */
#include <string.h>

#include "common/base/mem.h"
#include "common/chain/lsn.h"
#include "tests/fuzz/fuzz.h"

static int sign(int n) {
    return (n > 0) - (n < 0);
}

static void check(struct lsn lsn, struct lsn other) {
    char plain[LSN_TEXT_MAX], padded[LSN_TEXT_MAX], hex[LSN_TEXT_MAX], second[LSN_TEXT_MAX];
    struct lsn again;
    must(lsn_parse(lsn_format(plain, lsn), &again) && !lsn_cmp(lsn, again), "plain digits lead back");
    must(lsn_parse_padded(lsn_format_padded(padded, lsn), &again) && !lsn_cmp(lsn, again), "padded digits lead back");
    must(lsn_parse_hex(lsn_format_hex(hex, lsn), &again) && !lsn_cmp(lsn, again), "hexadecimal digits lead back");
    must(strlen(padded) == 25 && strlen(plain) <= 25 && strlen(hex) == 22, "texts have their lengths");
    must(plain[0] != '0' || !plain[1], "no leading zeros");
    must(strspn(plain, "0123456789") == strlen(plain), "digits only");
    int order = lsn_cmp(lsn, other);
    must(order == -lsn_cmp(other, lsn), "an order has two sides");
    must(order == sign(strcmp(padded, lsn_format_padded(second, other))), "padded texts sort as LSNs do");
    must(!lsn_cmp(lsn_max(lsn, other), order < 0 ? other : lsn), "the greater one");
    must(lsn_is_zero(lsn) == !strcmp(plain, "0"), "zero is zero");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_free_ char *text = mem_strndup((const char *)data, size);
    char back[LSN_TEXT_MAX];
    struct lsn other = {0}, lsn;
    memcpy(&other, data, size < sizeof(other) ? size : sizeof(other));
    if (lsn_parse(text, &lsn)) {
        must(!strcmp(lsn_format(back, lsn), text), "what was read is what is written");
        check(lsn, other);
    }
    if (lsn_parse_padded(text, &lsn)) {
        must(!strcmp(lsn_format_padded(back, lsn), text), "what was read is what is written, padded");
        check(lsn, other);
    }
    if (lsn_parse_hex(text, &lsn)) {
        must(!strcasecmp(lsn_format_hex(back, lsn), text), "what was read is what is written, in hexadecimal");
        check(lsn, other);
    }
    check(other, (struct lsn){.vlf = other.block, .block = other.vlf, .slot = other.slot});
    return 0;
}
