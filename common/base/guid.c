/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/guid.h"

#include <stdio.h>
#include <sys/random.h>

#include "common/base/str.h"

bool guid_parse(const char *s, struct guid *ret_guid) {
    char hex[33];
    size_t n = 0, pos = 0;
    for (; s[pos]; pos++) {
        bool dash = pos == 8 || pos == 13 || pos == 18 || pos == 23;
        if (pos >= 36 || (s[pos] == '-') != dash)
            return false;
        if (!dash)
            hex[n++] = s[pos];
    }
    if (pos != 36)
        return false;
    hex[n] = 0;
    struct guid g;
    if (!str_unhex(hex, g.bytes, sizeof(g.bytes)))
        return false;
    *ret_guid = g;
    return true;
}

char *guid_format(char dst[GUID_TEXT_MAX], const struct guid *guid) {
    const uint8_t *b = guid->bytes;
    snprintf(dst, GUID_TEXT_MAX, "%02X%02X%02X%02X-%02X%02X-%02X%02X-%02X%02X-%02X%02X%02X%02X%02X%02X", b[0], b[1], b[2], b[3],
             b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
    return dst;
}

void guid_random(struct guid *ret_guid) {
    size_t have = 0;
    while (have < sizeof(ret_guid->bytes)) {
        ssize_t n = getrandom(ret_guid->bytes + have, sizeof(ret_guid->bytes) - have, 0);
        if (n > 0)
            have += (size_t)n;
    }
    ret_guid->bytes[6] = (uint8_t)((ret_guid->bytes[6] & 0x0f) | 0x40);
    ret_guid->bytes[8] = (uint8_t)((ret_guid->bytes[8] & 0x3f) | 0x80);
}
