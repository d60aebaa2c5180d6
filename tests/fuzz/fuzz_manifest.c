/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes: a manifest that is written and read again as the same one, or one error of the right class. */
#include "common/base/mem.h"
#include "common/store/manifest.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct err err = {0};
    struct manifest m, again;
    if (manifest_parse((const char *)data, size, &m, &err) < 0) {
        if ((err.class != ERR_CORRUPT && err.class != ERR_UNSUPPORTED && err.class != ERR_LIMIT) || !*err.text)
            abort();
        return 0;
    }
    char *text;
    size_t len;
    /* A text may grow by its escapes and pass the limit: that is an error, too. */
    if (manifest_format(&m, &text, &len, &err) < 0) {
        if (err.class != ERR_LIMIT)
            abort();
    } else {
        if (manifest_parse(text, len, &again, &err) < 0 || !manifest_equal(&m, &again))
            abort();
        manifest_done(&again);
        mem_free(text);
    }
    manifest_done(&m);
    return 0;
}
