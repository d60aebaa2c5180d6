/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "controller/bootstrap.h"

static void random_fill(unsigned char *bytes, size_t len) {
    size_t have = 0;
    while (have < len) {
        ssize_t n = getrandom(bytes + have, len - have, 0);
        if (n < 0 && errno != EINTR)
            abort(); /* a kernel without random numbers: nothing here would be secret */
        have += n > 0 ? (size_t)n : 0;
    }
}

static bool acceptable(const char *text) {
    bool lower = false, upper = false, digit = false, sign = false;
    for (const char *c = text; *c; c++) {
        lower |= islower((unsigned char)*c) != 0;
        upper |= isupper((unsigned char)*c) != 0;
        digit |= isdigit((unsigned char)*c) != 0;
        sign |= *c == '-' || *c == '_';
    }
    return lower && upper && digit && sign && isalpha((unsigned char)text[0]);
}

struct secret *bootstrap_password(void) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned char bytes[BOOTSTRAP_PASSWORD_LEN];
    char text[BOOTSTRAP_PASSWORD_LEN + 1] = "";
    do {
        random_fill(bytes, sizeof(bytes));
        for (size_t i = 0; i < sizeof(bytes); i++)
            text[i] = letters[bytes[i] % 64]; /* 64 divides 256: each is equally likely */
    } while (!acceptable(text));
    struct secret *secret = secret_new(text, BOOTSTRAP_PASSWORD_LEN);
    explicit_bzero(bytes, sizeof(bytes));
    explicit_bzero(text, sizeof(text));
    return secret;
}
