/* SPDX-License-Identifier: Apache-2.0 */
#include "common/media/media.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/media/media_int.h"

uint16_t media_block_checksum(const uint8_t *block) {
    uint16_t value = 0;
    for (size_t i = 0; i < 25; i++)
        value = (uint16_t)(value ^ (block[2 * i] | block[2 * i + 1] << 8));
    return value;
}

static const char *const kind_names[] = {"empty", "unknown", "plain", "container"};
static const char *const problem_names[] = {"whole", "cut", "damaged"};
_Static_assert(ARRAY_LEN(kind_names) == MEDIA_KIND_COUNT, "a name for each kind");
_Static_assert(ARRAY_LEN(problem_names) == MEDIA_PROBLEM_COUNT, "a name for each problem");

const char *media_kind_name(enum media_kind kind) {
    return kind_names[kind];
}

const char *media_problem_name(enum media_problem problem) {
    return problem_names[problem];
}

static bool is_zero(const uint8_t *data, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (data[i])
            return false;
    return true;
}

int media_read(const struct media_source *source, struct media *ret_media, struct err *err) {
    uint8_t head[MEDIA_STEP];
    size_t len = source->bytes < sizeof(head) ? (size_t)source->bytes : sizeof(head);
    struct media media = {.kind = MEDIA_UNKNOWN};
    if (source->bytes > INT64_MAX)
        return err_set(err, ERR_USAGE, "no file has %llu bytes", (unsigned long long)source->bytes);
    if (len && source->read(source->arg, 0, head, len, err) < 0)
        return -1;
    if (is_zero(head, len)) {
        media.kind = MEDIA_EMPTY;
    } else if (len >= 12 && !memcmp(head, "MSSQLBAK", 8)) {
        media.kind = MEDIA_CONTAINER;
        media.container_version = media_u32((struct media_bytes){head, len}, 8);
    } else if (len >= 4 && !memcmp(head, "TAPE", 4)) {
        media.kind = MEDIA_PLAIN;
        if (media_walk(source, &media, err) < 0) {
            media_done(&media);
            return -1;
        }
    }
    *ret_media = media;
    return 0;
}

void media_done(struct media *media) {
    if (!media)
        return;
    mem_free(media->sets);
    media->sets = NULL;
    media->set_count = 0;
}

const struct media_set *media_set_at(const struct media *media, uint16_t position) {
    for (size_t i = 0; i < media->set_count; i++)
        if (media->sets[i].backup.position == position)
            return &media->sets[i];
    return NULL;
}

int media_check_stripes(const struct media *files, size_t count, uint16_t position, struct err *err) {
    const struct media_set *first = count ? media_set_at(&files[0], position) : NULL;
    for (size_t i = 0; i < count; i++) {
        const struct media_set *set = media_set_at(&files[i], position);
        if (files[i].kind != MEDIA_PLAIN)
            return err_set(err, ERR_UNSUPPORTED, "file %zu is not an uncompressed backup but %s", i + 1,
                           media_kind_name(files[i].kind));
        if (!set)
            return err_set(err, ERR_NOT_FOUND, "file %zu has no set at position %u", i + 1, position);
        if (!guid_eq(&files[i].media_set_guid, &files[0].media_set_guid) ||
            !guid_eq(&set->backup.set_guid, &first->backup.set_guid))
            return err_set(err, ERR_CORRUPT, "file %zu is of another backup than file 1", i + 1);
        if (!set->complete)
            return err_set(err, ERR_CORRUPT, "file %zu is not complete", i + 1);
        for (size_t j = 0; j < i; j++)
            if (files[j].family_id == files[i].family_id)
                return err_set(err, ERR_USAGE, "file %zu is the same stripe as file %zu", i + 1, j + 1);
    }
    return count ? 0 : err_set(err, ERR_USAGE, "no files");
}
