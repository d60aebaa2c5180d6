/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a backup file. A byte before them chooses: odd puts the right checksum into everything that looks like a
 * block, so that mutations inside of blocks get further than the checksum.
 */
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/media/media.h"
#include "tests/fuzz/fuzz.h"

struct bytes {
    const uint8_t *data;
    size_t len;
    uint64_t asked; /* bytes that were read */
    uint64_t highest; /* reads go forward */
};

static int get(void *arg, uint64_t offset, void *data, size_t len, struct err *err) {
    struct bytes *b = arg;
    (void)err;
    must(len > 0 && offset <= b->len && len <= b->len - offset, "nothing beyond the end is asked for");
    must(offset >= b->highest, "reads go forward");
    b->highest = offset;
    b->asked += len;
    memcpy(data, b->data + offset, len);
    return 0;
}

static void mend(uint8_t *data, size_t len) {
    for (size_t at = 0; at + 52 <= len; at += 512) {
        uint16_t sum = media_block_checksum(data + at);
        data[at + 50] = (uint8_t)sum;
        data[at + 51] = (uint8_t)(sum >> 8);
    }
}

static void clean(const char *text) {
    must(str_is_clean_utf8(text, strlen(text)), "texts are clean UTF-8");
}

static void check_set(const struct media_set *set, uint64_t bytes) {
    clean(set->name);
    clean(set->description);
    clean(set->user);
    clean(set->machine);
    clean(set->database);
    clean(set->server);
    must(set->begin < bytes, "a set begins inside");
    must(!set->complete || (set->type && set->end > set->begin && set->end <= bytes), "a complete set has a record and an end");
    must(set->complete || !set->end, "another one has no end");
    must(backup_has(&set->backup, BACKUP_UTC_OFFSET_KNOWN) || !set->backup.utc_offset_s, "an offset is known or none");
    must(!guid_eq(&set->backup.first_fork, &set->backup.last_fork) || lsn_is_zero(set->backup.fork_point), "no fork, no point");
}

static void check(const uint8_t *data, size_t len) {
    struct bytes bytes = {.data = data, .len = len};
    struct media_source source = {.read = get, .arg = &bytes, .bytes = len};
    struct media media;
    struct err err = {0};
    if (media_read(&source, &media, &err) < 0) {
        must(err.class == ERR_LIMIT, "any bytes are read");
        return;
    }
    must(bytes.asked <= 3 * len + 8192, "the file is read a few times at most");
    must(media_kind_name(media.kind) && media_problem_name(media.problem), "results have names");
    must(media.kind == MEDIA_PLAIN || (!media.set_count && media.problem == MEDIA_WHOLE), "only plain media have sets");
    must(media.problem_at <= len, "the problem is inside");
    clean(media.name);
    clean(media.description);
    clean(media.software);
    for (size_t i = 0; i < media.set_count; i++) {
        check_set(&media.sets[i], len);
        must(!i || media.sets[i].begin > media.sets[i - 1].begin, "sets are in order");
        (void)media_check_stripes(&media, 1, media.sets[i].backup.position, &err);
        must(media_set_at(&media, media.sets[i].backup.position), "a set is found");
    }
    if (media.set_count)
        must(media_check_stripes((struct media[]){media, media}, 2, media.sets[0].backup.position, &err) < 0, "a file twice");
    media_done(&media);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size)
        return 0;
    _cleanup_free_ uint8_t *copy = mem_dup(data + 1, size - 1);
    if (data[0] & 1)
        mend(copy, size - 1);
    check(copy, size - 1);
    return 0;
}
