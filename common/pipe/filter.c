/* SPDX-License-Identifier: Apache-2.0 */
#include "common/pipe/filter.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"

static const struct filter_ops *const known[] = {&filter_none, &filter_zstd};
static const char *const reserved[] = {"gzip", "lz4", "aes-256-gcm"};
static const char *const names[] = {"none", "zstd"};

int filter_find(const char *name, const struct filter_ops **ret_ops, struct err *err) {
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (!strcmp(known[i]->name, name)) {
            *ret_ops = known[i];
            return 0;
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
        if (!strcmp(reserved[i], name))
            return err_set(err, ERR_UNSUPPORTED, "codec '%s' is not in this version. Available: none, zstd", name);
    err_set(err, ERR_CONFIG, "'%.64s' is no codec. Available: none, zstd", name);
    const char *nearest = str_nearest(name, names, ARRAY_LEN(names));
    return nearest ? err_hint(err, "Did you mean '%s'?", nearest) : -1;
}

int filter_parse(const char *spec, const struct filter_ops **ret_ops, int *ret_level, struct err *err) {
    const char *colon = strchr(spec, ':');
    _cleanup_free_ char *name = mem_strndup(spec, colon ? (size_t)(colon - spec) : strlen(spec));
    const struct filter_ops *ops;
    if (filter_find(name, &ops, err) < 0)
        return -1;
    int64_t level = 0;
    if (colon) {
        if (ops == &filter_none)
            return err_set(err, ERR_CONFIG, "codec 'none' has no level: '%.64s'", spec);
        if (!str_to_i64(colon + 1, 1, FILTER_ZSTD_LEVEL_MAX, &level))
            return err_set(err, ERR_CONFIG, "level of codec '%.64s' must be a number from 1 to %d", spec, FILTER_ZSTD_LEVEL_MAX);
    }
    *ret_ops = ops;
    *ret_level = (int)level;
    return 0;
}

/* ---- none: records are slices of the bytes themselves ---- */

struct none {
    struct filter base;
    size_t gathered; /* of the record that scan() is in */
};

static int none_open(const struct filter_params *params, struct filter **ret_filter, struct err *err) {
    if (params->level)
        return err_set(err, ERR_CONFIG, "codec 'none' has no level");
    struct none *none = mem_alloc(sizeof(*none));
    none->base = (struct filter){.ops = &filter_none, .params = *params};
    *ret_filter = &none->base;
    return 0;
}

static size_t none_stored_bound(const struct filter *filter, size_t plain_bytes) {
    (void)filter;
    return plain_bytes;
}

static int none_process(struct filter *filter, const void *in, size_t in_len, void *out, size_t out_cap, size_t *ret_len,
                        struct err *err) {
    (void)filter;
    if (in_len > out_cap)
        return err_set(err, ERR_INTERNAL, "record of %zu bytes for a buffer of %zu", in_len, out_cap);
    if (in != out && in_len)
        memcpy(out, in, in_len);
    *ret_len = in_len;
    return 0;
}

static int none_scan(struct filter *filter, const void *in, size_t in_len, size_t *ret_used, bool *ret_end, struct err *err) {
    (void)in, (void)err;
    struct none *none = container_of(filter, struct none, base);
    size_t room = filter->params.record_bytes - none->gathered;
    size_t used = in_len < room ? in_len : room;
    none->gathered += used;
    *ret_used = used;
    *ret_end = none->gathered == filter->params.record_bytes;
    if (*ret_end)
        none->gathered = 0;
    return 0;
}

static int none_finish(struct filter *filter, void *out, size_t out_cap, size_t *ret_len, struct err *err) {
    (void)filter, (void)out, (void)out_cap, (void)err;
    *ret_len = 0;
    return 0;
}

static void none_result(const struct filter *filter, struct filter_result *ret_result) {
    (void)filter;
    *ret_result = (struct filter_result){.name = "none"};
}

static void none_free(struct filter *filter) {
    if (filter)
        mem_free(container_of(filter, struct none, base));
}

const struct filter_ops filter_none = {
    .name = "none",
    .suffix = "",
    .open = none_open,
    .stored_bound = none_stored_bound,
    .process = none_process,
    .scan = none_scan,
    .finish = none_finish,
    .result = none_result,
    .free = none_free,
};
