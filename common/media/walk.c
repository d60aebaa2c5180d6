/* SPDX-License-Identifier: Apache-2.0 */
/* Goes from block to block and, inside a block, from stream to stream. */
#include <string.h>

#include "common/base/mem.h"
#include "common/media/media_int.h"

#define ROUND_UP(n, unit) (((n) + (unit)-1) / (unit) * (unit))
#define GAP_MAX 65536 /* a block without streams says not where the next one begins: it is looked for so far */

struct walk {
    struct media_window window;
    struct media *media;
    struct media_set *set; /* the one that is being read */
    bool final; /* its last record was seen */
    int ends; /* its ESET blocks behind that */
    uint64_t at; /* of the block */
    uint8_t block[MEDIA_BLOCK_MAX];
    size_t block_len;
    size_t set_cap;
    struct err *err;
};

/* Copies; false when the source ends before, or (err is set then, its class not ERR_NONE) cannot be read. */
static bool media_window_read(struct media_window *w, uint64_t at, void *dst, size_t len, struct err *err) {
    uint64_t bytes = w->source->bytes;
    if (at > bytes || bytes - at < len)
        return false;
    if (len > sizeof(w->data))
        return w->source->read(w->source->arg, at, dst, len, err) == 0;
    if (at < w->at || at - w->at > w->len || w->len - (at - w->at) < len) {
        size_t take = bytes - at < sizeof(w->data) ? (size_t)(bytes - at) : sizeof(w->data);
        w->len = 0;
        if (w->source->read(w->source->arg, at, w->data, take, err) < 0)
            return false;
        w->at = at;
        w->len = take;
    }
    memcpy(dst, w->data + (at - w->at), len);
    return true;
}

/* Ends a walk; the sets that were found stay. */
static bool stop(struct walk *w, enum media_problem problem, uint64_t at) {
    w->media->problem = problem;
    w->media->problem_at = at < w->window.source->bytes ? at : w->window.source->bytes;
    return false;
}

static bool read_or_stop(struct walk *w, uint64_t at, void *dst, size_t len) {
    return media_window_read(&w->window, at, dst, len, w->err) || stop(w, MEDIA_CUT, at);
}

static bool has_block_type(const uint8_t *head) {
    static const char types[][5] = {"TAPE", "SFMB", "SSET", "VOLB", "MSCI", "MSDA", "MSTL", "MSLS",
                                    "ESET", "DIRB", "FILE", "CFIL", "ESPB", "EOTM", "MSDB"};
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (!memcmp(head, types[i], 4))
            return true;
    return false;
}

static bool is_block(const uint8_t *head) {
    return has_block_type(head) && media_u16((struct media_bytes){head, MEDIA_HEAD_BYTES}, 50) == media_block_checksum(head);
}

static bool is_type(const struct walk *w, const char *type) {
    return !memcmp(w->block, type, 4);
}

static struct media_bytes block_bytes(const struct walk *w) {
    return (struct media_bytes){w->block, w->block_len};
}

static bool begin_set(struct walk *w) {
    struct media *m = w->media;
    if (m->set_count == MEDIA_SETS_MAX) {
        (void)err_set(w->err, ERR_LIMIT, "more than %d backup sets in one file", MEDIA_SETS_MAX);
        return false;
    }
    m->sets = mem_grow(m->sets, &w->set_cap, m->set_count + 1, sizeof(*m->sets));
    w->set = &m->sets[m->set_count++];
    *w->set = (struct media_set){.begin = w->at};
    w->final = false;
    w->ends = 0;
    media_set_begin(w->set, block_bytes(w));
    return true;
}

static void read_tape(struct walk *w) {
    struct media_bytes b = block_bytes(w);
    struct media *m = w->media;
    bool utf16 = b.len > 48 && b.data[48] == 2;
    m->family_id = media_u32(b, 52);
    m->block_bytes = media_u16(b, 84);
    m->written_at = media_date(b, 88);
    media_text(b, 68, utf16, m->name, sizeof(m->name));
    media_text(b, 72, utf16, m->description, sizeof(m->description));
    media_text(b, 80, utf16, m->software, sizeof(m->software));
}

static bool read_record(struct walk *w, uint64_t at, uint64_t length) {
    if (w->final)
        return true; /* estimates do not replace what is final */
    size_t take = length < MEDIA_RECORD_MAX ? (size_t)length : MEDIA_RECORD_MAX;
    _cleanup_free_ uint8_t *data = mem_alloc(take + 1);
    if (!read_or_stop(w, at, data, take))
        return false;
    if (!media_set_record(w->set, (struct media_bytes){data, take}))
        return stop(w, MEDIA_DAMAGED, at);
    w->final = is_type(w, "MSLS");
    return true;
}

static bool read_stream(struct walk *w, const char *id, uint64_t at, uint64_t length) {
    if (!memcmp(id, "MQCI", 4) && (is_type(w, "MSCI") || is_type(w, "MSLS")))
        return read_record(w, at, length);
    if (!memcmp(id, "RAID", 4) && is_type(w, "TAPE") && length >= 16) {
        uint8_t guid[16];
        if (!read_or_stop(w, at, guid, sizeof(guid)))
            return false;
        w->media->media_set_guid = media_guid((struct media_bytes){guid, sizeof(guid)}, 0);
    }
    return true;
}

static bool is_stream_id(const uint8_t *id) {
    for (int i = 0; i < 4; i++)
        if (!((id[i] >= 'A' && id[i] <= 'Z') || (id[i] >= '0' && id[i] <= '9')))
            return false;
    return true;
}

/* All streams of the block; a padding stream ends them. */
static bool read_streams(struct walk *w, uint64_t at, uint64_t *ret_next) {
    uint64_t bytes = w->window.source->bytes;
    for (;;) {
        uint8_t head[MEDIA_STREAM_BYTES];
        if (!read_or_stop(w, at, head, sizeof(head)))
            return false;
        if (!is_stream_id(head))
            return stop(w, MEDIA_DAMAGED, at);
        uint64_t length = media_u64((struct media_bytes){head, sizeof(head)}, 8);
        at += sizeof(head);
        if (bytes - at < length)
            return stop(w, MEDIA_CUT, bytes);
        if (!read_stream(w, (const char *)head, at, length))
            return false;
        at += length;
        if (!memcmp(head, "SPAD", 4)) {
            *ret_next = at;
            return true;
        }
        at = ROUND_UP(at, 4);
    }
}

/* What the block itself says. Texts lie behind the fixed fields, before the first stream. */
static bool read_block(struct walk *w, size_t streams_at) {
    size_t want = streams_at ? streams_at : MEDIA_STEP;
    w->block_len = want < sizeof(w->block) ? want : sizeof(w->block);
    if (!read_or_stop(w, w->at, w->block, w->block_len))
        return false;
    if (is_type(w, "TAPE"))
        read_tape(w);
    else if (is_type(w, "SSET"))
        return begin_set(w);
    else if (is_type(w, "VOLB"))
        media_set_volume(w->set, block_bytes(w));
    return true;
}

/*
 * The next block. Behind a padding stream it begins at once. A block without streams does not say how long it is, so the
 * next one is looked for; what is skipped may be the rest of that block. False at the end of the file, too.
 */
static bool next_block(struct walk *w, uint64_t from, bool at_once) {
    uint8_t head[MEDIA_HEAD_BYTES];
    uint64_t bytes = w->window.source->bytes;
    bool zero = true;
    for (uint64_t at = ROUND_UP(from, MEDIA_STEP); at - from <= GAP_MAX; at += MEDIA_STEP) {
        if (at >= bytes)
            return false;
        if (!read_or_stop(w, at, head, sizeof(head)))
            return false;
        if (is_block(head)) {
            w->at = at;
            return true;
        }
        for (size_t i = 0; i < sizeof(head); i++)
            zero = zero && !head[i];
        if (at_once || has_block_type(head))
            break;
    }
    /* A file that was made longer before it was written is only zeros from here on. */
    return stop(w, zero ? MEDIA_CUT : MEDIA_DAMAGED, from);
}

/* Parts of a set stand between its beginning and its end. When one follows that, the beginning in front of it is damaged. */
static bool is_out_of_place(const struct walk *w) {
    static const char parts[][5] = {"VOLB", "MSCI", "MSDA", "MSTL", "MSLS", "MSDB"};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (is_type(w, parts[i]))
            return !w->set || w->set->complete;
    return false;
}

/* A set ends with two ESET blocks behind its final record. */
static void end_set(struct walk *w, uint64_t at) {
    if (!w->set || !w->final || w->set->complete || ++w->ends < 2)
        return;
    w->set->complete = true;
    w->set->end = at;
}

static bool step(struct walk *w) {
    uint8_t head[MEDIA_HEAD_BYTES];
    if (!read_or_stop(w, w->at, head, sizeof(head)))
        return false;
    size_t streams_at = media_u16((struct media_bytes){head, sizeof(head)}, 8);
    uint64_t next = w->at + MEDIA_STEP;
    if (streams_at && streams_at < MEDIA_HEAD_BYTES)
        return stop(w, MEDIA_DAMAGED, w->at);
    memcpy(w->block, head, sizeof(head));
    if (is_out_of_place(w))
        return stop(w, MEDIA_DAMAGED, w->at);
    if (!read_block(w, streams_at) || (streams_at && !read_streams(w, w->at + streams_at, &next)))
        return false;
    if (is_type(w, "ESET"))
        end_set(w, next);
    return next_block(w, next, streams_at != 0);
}

/* Bytes that are only zeros behind a complete set are no harm; nothing, or half a set, is a file that was cut. */
static void judge(struct media *media, uint64_t bytes) {
    bool complete = media->set_count && media->sets[media->set_count - 1].complete;
    if (media->problem == MEDIA_CUT && complete && media->problem_at >= media->sets[media->set_count - 1].end) {
        media->problem = MEDIA_WHOLE;
        media->problem_at = 0;
    } else if (media->problem == MEDIA_WHOLE && !complete) {
        media->problem = MEDIA_CUT;
        media->problem_at = bytes;
    }
}

int media_walk(const struct media_source *source, struct media *media, struct err *err) {
    struct err own;
    struct walk *w = mem_alloc(sizeof(*w));
    w->window.source = source;
    w->media = media;
    w->err = err ? err : &own;
    err_clear(w->err);
    uint8_t head[MEDIA_HEAD_BYTES];
    if (read_or_stop(w, 0, head, sizeof(head)) && (is_block(head) || stop(w, MEDIA_DAMAGED, 0)))
        while (step(w))
            continue;
    bool failed = w->err->class != ERR_NONE;
    mem_free(w);
    if (!failed)
        judge(media, source->bytes);
    return failed ? -1 : 0;
}
