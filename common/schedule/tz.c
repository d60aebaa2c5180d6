/* SPDX-License-Identifier: Apache-2.0 */
#include "common/schedule/tz.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/schedule/tz_int.h"

#define HEADER_BYTES 44
#define STEPS_MAX 20000

struct tz {
    char name[TZ_NAME_MAX];
    int32_t first_offset_s; /* before the first step */
    struct tz_rule rule; /* after the last one */
    uint32_t count;
    struct tz_step *steps;
};

/* What is left of the file. */
struct cursor {
    const uint8_t *at;
    size_t left;
};

struct header {
    char version;
    uint32_t isut, isstd, leap, time, type, chars;
};

static uint64_t big_endian(const uint8_t *p, unsigned bytes) {
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v = v << 8 | p[i];
    return v;
}

static int64_t signed_time(const uint8_t *p, unsigned bytes) {
    uint64_t v = big_endian(p, bytes);
    return bytes == 4 ? (int32_t)(uint32_t)v : (int64_t)v;
}

static bool header_read(struct cursor *c, struct header *ret) {
    if (c->left < HEADER_BYTES || memcmp(c->at, "TZif", 4) != 0)
        return false;
    ret->version = (char)c->at[4];
    uint32_t *const counts[] = {&ret->isut, &ret->isstd, &ret->leap, &ret->time, &ret->type, &ret->chars};
    for (unsigned i = 0; i < ARRAY_LEN(counts); i++)
        *counts[i] = (uint32_t)big_endian(c->at + 20 + 4 * i, 4);
    c->at += HEADER_BYTES;
    c->left -= HEADER_BYTES;
    return true;
}

/* Bytes of the data block; the counts are of 32 bits, so the sum cannot overflow. */
static uint64_t block_bytes(const struct header *h, unsigned time_bytes) {
    return (uint64_t)h->time * (time_bytes + 1) + (uint64_t)h->type * 6 + h->chars + (uint64_t)h->leap * (time_bytes + 4) +
           h->isstd + h->isut;
}

static bool offset_read(const uint8_t *types, uint32_t index, int32_t *ret_offset) {
    int64_t v = signed_time(types + 6 * (size_t)index, 4);
    if (v < -TZ_OFFSET_MAX || v > TZ_OFFSET_MAX)
        return false;
    *ret_offset = (int32_t)v;
    return true;
}

/* The type of the times before the first change: the first one of the file (RFC 9636, 3.2). */
static const char *block_read(struct cursor *c, const struct header *h, unsigned time_bytes, struct tz *tz) {
    if (h->leap)
        return "counts leap seconds";
    if (!h->type || h->type > 256 || h->time > STEPS_MAX)
        return "has impossible counts";
    if (block_bytes(h, time_bytes) > c->left)
        return "is cut short";
    const uint8_t *times = c->at, *indices = times + (size_t)h->time * time_bytes, *types = indices + h->time;
    if (!offset_read(types, 0, &tz->first_offset_s))
        return "has an impossible offset";
    tz->steps = mem_array(h->time, sizeof(*tz->steps));
    for (uint32_t i = 0; i < h->time; i++) {
        struct tz_step *step = &tz->steps[i];
        step->at_s = signed_time(times + (size_t)i * time_bytes, time_bytes);
        if (i && step->at_s <= step[-1].at_s)
            return "has changes out of order";
        if (indices[i] >= h->type || !offset_read(types, indices[i], &step->offset_s))
            return "has an impossible offset";
    }
    tz->count = h->time;
    return NULL;
}

static const char *footer_read(struct cursor *c, struct tz *tz) {
    const uint8_t *end = c->left && c->at[0] == '\n' ? memchr(c->at + 1, '\n', c->left - 1) : NULL;
    if (!end)
        return "has no footer";
    char text[128];
    size_t len = (size_t)(end - c->at - 1);
    if (len >= sizeof(text) || memchr(c->at + 1, 0, len))
        return "has a footer that is no POSIX time zone";
    memcpy(text, c->at + 1, len);
    text[len] = 0;
    /* an empty footer: nobody knows what comes after the last change */
    if (len && !tz_rule_parse(text, &tz->rule))
        return "has a footer that is no POSIX time zone";
    return NULL;
}

static const char *file_read(struct cursor *c, struct tz *tz) {
    struct header h;
    if (!header_read(c, &h))
        return "is not a TZif file";
    if (!h.version)
        return block_read(c, &h, 4, tz);
    /* version 2 and later: the block with 32-bit times is for old readers, the one that counts follows */
    if (h.version < '2' || h.version > '4')
        return "has an unknown version";
    uint64_t skip = block_bytes(&h, 4);
    if (skip > c->left)
        return "is cut short";
    c->at += skip;
    c->left -= (size_t)skip;
    if (!header_read(c, &h))
        return "is cut short";
    const char *what = block_read(c, &h, 8, tz);
    if (what)
        return what;
    skip = block_bytes(&h, 8);
    c->at += skip;
    c->left -= (size_t)skip;
    return footer_read(c, tz);
}

struct tz *tz_new_utc(const char *name) {
    struct tz *tz = mem_alloc(sizeof(*tz));
    (void)str_copy(tz->name, sizeof(tz->name), name);
    return tz;
}

int tz_parse(const char *name, const void *data, size_t len, struct tz **ret_tz, struct err *err) {
    struct cursor c = {data, len};
    struct tz *tz = tz_new_utc(name);
    const char *what = file_read(&c, tz);
    if (what) {
        tz_free(tz);
        return err_set(err, ERR_CORRUPT, "time zone file of %s %s", name, what);
    }
    *ret_tz = tz;
    return 0;
}

void tz_free(struct tz *tz) {
    if (!tz)
        return;
    mem_free(tz->steps);
    mem_free(tz);
}

const char *tz_name(const struct tz *tz) {
    return tz ? tz->name : "UTC";
}

/* Index of the first step after at_s. */
static uint32_t steps_after(const struct tz *tz, int64_t at_s) {
    uint32_t low = 0, high = tz->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (tz->steps[middle].at_s <= at_s)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int32_t offset_at(const struct tz *tz, int64_t at_s) {
    if (!tz)
        return 0;
    uint32_t i = steps_after(tz, at_s);
    if (i == tz->count && tz->rule.present) {
        struct tz_step step;
        tz_rule_at(&tz->rule, at_s, &step);
        return step.offset_s;
    }
    return i ? tz->steps[i - 1].offset_s : tz->first_offset_s;
}

/* The first step after at_s, whether or not the offset differs there. */
static bool step_next(const struct tz *tz, int64_t at_s, struct tz_step *ret_step) {
    if (!tz)
        return false;
    uint32_t i = steps_after(tz, at_s);
    if (i < tz->count) {
        *ret_step = tz->steps[i];
        /* the rule holds from the last change on, also in a file that says something else in its list */
        if (i + 1 == tz->count && tz->rule.present)
            ret_step->offset_s = offset_at(tz, ret_step->at_s);
        return true;
    }
    return tz->rule.present && tz_rule_next(&tz->rule, at_s, ret_step);
}

static int64_t to_seconds(int64_t us) {
    return us / CLOCK_SECOND - (us % CLOCK_SECOND < 0);
}

int32_t tz_offset_s(const struct tz *tz, int64_t at) {
    return offset_at(tz, to_seconds(at));
}

int64_t tz_to_local(const struct tz *tz, int64_t at) {
    return at + tz_offset_s(tz, at) * CLOCK_SECOND;
}

/* Stretches of one offset are walked from a day before to a day after. Each that holds the local time gives a
 * moment; when none does, the local time lies in the jump between two of them. */
void tz_from_local(const struct tz *tz, int64_t local, struct tz_moments *ret_moments) {
    int64_t local_s = to_seconds(local), rest = local - local_s * CLOCK_SECOND;
    int64_t from = local_s - TZ_OFFSET_MAX - 1, until = local_s + TZ_OFFSET_MAX + 1;
    int32_t offset = offset_at(tz, from);
    int64_t begin = INT64_MIN, gap = local_s - offset;
    struct tz_moments found = {0};
    bool any = false;
    for (;;) {
        struct tz_step next;
        bool more = step_next(tz, begin == INT64_MIN ? from : begin, &next) && next.at_s <= until;
        int64_t moment = local_s - offset;
        if (moment >= begin && (!more || moment < next.at_s)) {
            int64_t at = moment * CLOCK_SECOND + rest;
            found = any ? (struct tz_moments){TZ_FOLD, found.first, at} : (struct tz_moments){TZ_ONCE, at, at};
            any = true;
        } else if (more && moment >= next.at_s && local_s - next.offset_s < next.at_s) {
            gap = next.at_s;
        }
        if (!more)
            break;
        begin = next.at_s;
        offset = next.offset_s;
    }
    if (!any)
        found = (struct tz_moments){TZ_GAP, gap * CLOCK_SECOND, gap * CLOCK_SECOND};
    *ret_moments = found;
}

bool tz_next_change(const struct tz *tz, int64_t at, int64_t *ret_at) {
    int64_t at_s = to_seconds(at);
    int32_t before = offset_at(tz, at_s);
    struct tz_step step;
    /* zone files list changes of the name or of the daylight flag alone, too */
    for (unsigned i = 0; i < STEPS_MAX + 8 && step_next(tz, at_s, &step); i++) {
        if (step.offset_s != before) {
            if (step.at_s > INT64_MAX / CLOCK_SECOND)
                return false;
            *ret_at = step.at_s * CLOCK_SECOND;
            return true;
        }
        at_s = step.at_s;
    }
    return false;
}
