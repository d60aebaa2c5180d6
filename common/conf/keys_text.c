/* SPDX-License-Identifier: Apache-2.0 */
/* Values and texts of the kinds. */
#include <inttypes.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/conf/keys_int.h"

#define MINUTE_MS 60000
#define MIB (INT64_C(1) << 20)

static bool bounded(const struct conf_key *key) {
    return key->min || key->max;
}

static bool in_bounds(const struct conf_key *key, int64_t v) {
    return !bounded(key) || (v >= key->min && v <= key->max);
}

static bool parse_number(const struct conf_key *key, const char *text, int64_t unit, int64_t *field) {
    int64_t v;
    if (!str_to_i64(text, bounded(key) ? key->min : 0, bounded(key) ? key->max : INT64_MAX / unit, &v))
        return false;
    *field = v * unit;
    return true;
}

static bool parse_bytes(const struct conf_key *key, const char *text, int64_t *field) {
    uint64_t v;
    if (!str_to_bytes(text, &v) || v > INT64_MAX || !in_bounds(key, (int64_t)v))
        return false;
    *field = (int64_t)v;
    return true;
}

static bool parse_word(const struct conf_key *key, const char *text, int *field) {
    for (int i = 0; key->words[i]; i++) {
        if (!strcmp(key->words[i], text)) {
            *field = i;
            return true;
        }
    }
    return false;
}

bool conf_value_parse(const struct conf_key *key, const char *text, void *object) {
    void *field = conf_field(key, object);
    int64_t v;
    switch (key->kind) {
    case CONF_BOOL:
        return str_to_bool(text, field);
    case CONF_INT:
        return parse_number(key, text, 1, field);
    case CONF_MINUTES:
        return parse_number(key, text, MINUTE_MS, field);
    case CONF_MEBIBYTES:
        return parse_number(key, text, MIB, field);
    case CONF_DURATION:
        if (!str_to_duration_ms(text, &v) || !in_bounds(key, v))
            return false;
        *(int64_t *)field = v;
        return true;
    case CONF_BYTES:
        return parse_bytes(key, text, field);
    case CONF_TIME:
        return clock_parse(text, field);
    case CONF_ENUM:
        return parse_word(key, text, field);
    case CONF_TEXT:
        mem_free(*(char **)field);
        *(char **)field = *text ? mem_strdup(text) : NULL;
        return true;
    default:
        return false;
    }
}

/* "1h30m", exact. */
static void conf_duration_text(int64_t ms, struct buf *out) {
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    if (!ms)
        (void)buf_puts(out, "0s");
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (ms >= units[i].ms)
            (void)buf_printf(out, "%" PRId64 "%s", ms / units[i].ms, units[i].unit);
        ms %= units[i].ms;
    }
}

static void bytes_text(int64_t bytes, struct buf *out) {
    static const char *const units[] = {"", "Ki", "Mi", "Gi", "Ti", "Pi"};
    size_t u = 0;
    for (; bytes && bytes % 1024 == 0 && u + 1 < ARRAY_LEN(units); u++)
        bytes /= 1024;
    (void)buf_printf(out, "%" PRId64 "%s", bytes, units[u]);
}

void conf_key_value(const struct conf_key *key, const void *object, struct buf *out) {
    const void *field = conf_field(key, object);
    char time[CLOCK_TEXT_MAX];
    switch (key->kind) {
    case CONF_BOOL:
        (void)buf_puts(out, *(const bool *)field ? "true" : "false");
        break;
    case CONF_INT:
        (void)buf_printf(out, "%" PRId64, *(const int64_t *)field);
        break;
    case CONF_MINUTES:
        (void)buf_printf(out, "%" PRId64, *(const int64_t *)field / MINUTE_MS);
        break;
    case CONF_MEBIBYTES:
        (void)buf_printf(out, "%" PRId64, *(const int64_t *)field / MIB);
        break;
    case CONF_DURATION:
        conf_duration_text(*(const int64_t *)field, out);
        break;
    case CONF_BYTES:
        bytes_text(*(const int64_t *)field, out);
        break;
    case CONF_TIME:
        if (*(const int64_t *)field)
            (void)buf_puts(out, clock_format(time, *(const int64_t *)field));
        break;
    case CONF_ENUM:
        (void)buf_puts(out, key->words[*(const int *)field]);
        break;
    case CONF_TEXT:
        if (*(char *const *)field)
            (void)buf_puts(out, *(char *const *)field);
        break;
    case CONF_TEXTS: {
        const struct conf_list *list = field;
        for (size_t i = 0; i < list->count; i++)
            (void)buf_printf(out, "%s%s", i ? "," : "", list->items[i]);
        break;
    }
    default:
        break;
    }
}

static void bounds_text(const struct conf_key *key, void (*text)(int64_t, struct buf *), struct buf *out) {
    if (!bounded(key))
        return;
    (void)buf_puts(out, ", from ");
    text(key->min, out);
    (void)buf_puts(out, " to ");
    text(key->max, out);
}

static void words_text(const struct conf_schema *schema, const struct conf_key *key, struct buf *out) {
    const char *comma = "";
    for (int i = 0; key->words[i]; i++) {
        if (schema && conf_gap_find(schema, key->path, key->words[i]))
            continue;
        (void)buf_printf(out, "%s%s", comma, key->words[i]);
        comma = ", ";
    }
}

static void range_text(const struct conf_key *key, const char *noun, struct buf *out) {
    (void)buf_puts(out, noun);
    if (bounded(key))
        (void)buf_printf(out, "%s%" PRId64 " to %" PRId64, *noun ? ", " : "", key->min, key->max);
    else if (!*noun)
        (void)buf_puts(out, "a whole number");
}

void conf_key_allowed(const struct conf_schema *schema, const struct conf_key *key, struct buf *out) {
    if (key->allowed) {
        (void)buf_puts(out, key->allowed);
        return;
    }
    switch (key->kind) {
    case CONF_BOOL:
        (void)buf_puts(out, "true, false");
        break;
    case CONF_INT:
        range_text(key, "", out);
        break;
    case CONF_MINUTES:
        range_text(key, "a number of minutes", out);
        break;
    case CONF_MEBIBYTES:
        range_text(key, "a number of MiB", out);
        break;
    case CONF_DURATION:
        (void)buf_puts(out, "a duration such as 30s, 5m or 1h");
        bounds_text(key, conf_duration_text, out);
        break;
    case CONF_BYTES:
        (void)buf_puts(out, "a size such as 512Mi or 10Gi");
        bounds_text(key, bytes_text, out);
        break;
    case CONF_TIME:
        (void)buf_puts(out, "a time such as 2026-11-21T02:47:00Z");
        break;
    case CONF_ENUM:
        words_text(schema, key, out);
        break;
    case CONF_TEXTS:
        (void)buf_puts(out, "a list of texts");
        break;
    default:
        (void)buf_puts(out, "a text");
        break;
    }
}

const char *conf_kind_noun(enum conf_kind kind) {
    static const char *const nouns[] = {
        [CONF_BOOL] = "true or false",
        [CONF_INT] = "an allowed number",
        [CONF_DURATION] = "an allowed duration",
        [CONF_MINUTES] = "an allowed number",
        [CONF_BYTES] = "an allowed size",
        [CONF_MEBIBYTES] = "an allowed number",
        [CONF_TIME] = "a time",
        [CONF_ENUM] = "an allowed word",
        [CONF_TEXT] = "a text",
        [CONF_TEXTS] = "a list",
        [CONF_OWN] = "acceptable",
        [CONF_REFUSED] = "acceptable",
    };
    return nouns[kind];
}
