/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/reconcile/look.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"

json_t *look(const json_t *object, const char *path) {
    json_t *at = (json_t *)(uintptr_t)object;
    while (at) {
        size_t len = strcspn(path, ".");
        at = json_object_getn(at, path, len);
        if (!path[len])
            break;
        path += len + 1;
    }
    return json_is_null(at) ? NULL : at;
}

const char *look_text(const json_t *object, const char *path) {
    const char *text = json_string_value(look(object, path));
    return text ? text : "";
}

int64_t look_int(const json_t *object, const char *path, int64_t fallback) {
    const json_t *value = look(object, path);
    return json_is_integer(value) ? (int64_t)json_integer_value(value) : fallback;
}

bool look_bool(const json_t *object, const char *path, bool fallback) {
    const json_t *value = look(object, path);
    return json_is_boolean(value) ? json_is_true(value) : fallback;
}

int64_t look_time(const json_t *object, const char *path) {
    int64_t at;
    return clock_parse(look_text(object, path), &at) ? at : 0;
}

int64_t look_duration_ms(const json_t *object, const char *path, int64_t fallback_ms) {
    int64_t ms;
    const char *text = look_text(object, path);
    return *text && str_to_duration_ms(text, &ms) ? ms : fallback_ms;
}

size_t look_count(const json_t *object, const char *path) {
    return json_array_size(look(object, path));
}

bool look_within(const json_t *part, const json_t *whole) {
    if (!json_is_object(part) || !json_is_object(whole))
        return json_equal((json_t *)(uintptr_t)part, (json_t *)(uintptr_t)whole);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)part, key, value) {
        if (!look_within(value, json_object_get(whole, key)))
            return false;
    }
    return true;
}

void look_put_time(json_t *object, const char *key, int64_t at) {
    char text[CLOCK_TEXT_MAX];
    if (at > 0)
        json_object_set_new(object, key, json_string(clock_format(text, at - at % CLOCK_SECOND)));
}

json_t *look_clean(const char *text) {
    json_t *value = json_string(text);
    if (value)
        return value;
    char *copy = mem_strdup(text);
    for (char *p = copy; *p; p++)
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    value = json_string(copy);
    mem_free(copy);
    return value;
}

void look_put_text(json_t *object, const char *key, const char *text) {
    if (text && *text)
        json_object_set_new(object, key, look_clean(text));
}
