/* SPDX-License-Identifier: Apache-2.0 */
#include "common/chain/target.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"

static const char target_forms[] =
    "Write latest, a moment such as 2026-11-21T02:47:00Z, lsn:N, before-lsn:N, mark:NAME or mark:NAME@MOMENT";

/* The rest of text behind the first of the prefixes that it begins with; NULL when it begins with none. */
static const char *behind(const char *text, const char *const *prefixes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (str_starts(text, prefixes[i]))
            return text + strlen(prefixes[i]);
    }
    return NULL;
}

/* "34:69:179" as the error log prints it. */
static bool lsn_parse_triple(const char *s, struct lsn *ret_lsn) {
    char part[3][16] = {{0}};
    for (unsigned i = 0; i < 3; i++) {
        size_t len = strcspn(s, ":");
        if (!len || len >= sizeof(part[i]))
            return false;
        memcpy(part[i], s, len);
        s += len;
        if (*s != (i < 2 ? ':' : 0))
            return false;
        s += i < 2;
    }
    uint64_t vlf, block, slot;
    if (!str_to_u64(part[0], UINT32_MAX, &vlf) || !str_to_u64(part[1], UINT32_MAX, &block) ||
        !str_to_u64(part[2], UINT16_MAX, &slot))
        return false;
    *ret_lsn = (struct lsn){.vlf = (uint32_t)vlf, .block = (uint32_t)block, .slot = (uint16_t)slot};
    return true;
}

static int parse_lsn(const char *text, const char *number, bool before, struct chain_target *ret_target, struct err *err) {
    struct lsn lsn;
    if ((!lsn_parse(number, &lsn) && !lsn_parse_padded(number, &lsn) && !lsn_parse_hex(number, &lsn) &&
         !lsn_parse_triple(number, &lsn)) ||
        lsn_is_zero(lsn))
        return err_set(err, ERR_USAGE,
                       "'%s': '%s' is no LSN. Write it as numeric(25,0) prints it (34000000006900179), as "
                       "00000022:00000045:00b3, or as 34:69:179",
                       text, number);
    *ret_target = (struct chain_target){.kind = CHAIN_TO_LSN, .lsn = lsn, .before = before};
    return 0;
}

static int parse_mark(const char *text, const char *name, bool before, struct chain_target *ret_target, struct err *err) {
    struct chain_target target = {.kind = CHAIN_TO_MARK, .before = before};
    size_t len = strlen(name);
    const char *at = strrchr(name, '@'); /* a name may hold @: it is a moment only when it reads as one */
    if (at && clock_parse(at + 1, &target.at))
        len = (size_t)(at - name);
    if (!len)
        return err_set(err, ERR_USAGE, "'%s' names no mark. %s", text, target_forms);
    if (len >= sizeof(target.mark))
        return err_set(err, ERR_USAGE, "the mark's name has %zu bytes; SQL Server allows 128 characters", len);
    memcpy(target.mark, name, len);
    *ret_target = target;
    return 0;
}

int chain_target_parse(const char *text, struct chain_target *ret_target, struct err *err) {
    static const char *const lsn_before[] = {"before-lsn:", "lsn:<"}, *const lsn_with[] = {"lsn:"},
                             *const mark_before[] = {"before-mark:"}, *const mark_with[] = {"mark:"};
    const char *rest;
    int64_t at;
    if (str_ieq(text, "latest")) {
        *ret_target = (struct chain_target){.kind = CHAIN_TO_LATEST};
        return 0;
    }
    if ((rest = behind(text, lsn_before, ARRAY_LEN(lsn_before))))
        return parse_lsn(text, rest, true, ret_target, err);
    if ((rest = behind(text, lsn_with, ARRAY_LEN(lsn_with))))
        return parse_lsn(text, rest, false, ret_target, err);
    if ((rest = behind(text, mark_before, ARRAY_LEN(mark_before))))
        return parse_mark(text, rest, true, ret_target, err);
    if ((rest = behind(text, mark_with, ARRAY_LEN(mark_with))))
        return parse_mark(text, rest, false, ret_target, err);
    if (!clock_parse(text, &at) || !at)
        return err_set(err, ERR_USAGE, "'%s' is no target. %s; a moment needs its zone (Z or +01:00)", text, target_forms);
    *ret_target = (struct chain_target){.kind = CHAIN_TO_TIME, .at = at};
    return 0;
}

char *chain_target_format(char dst[CHAIN_TARGET_TEXT_MAX], const struct chain_target *target) {
    char text[CLOCK_TEXT_MAX], lsn[LSN_TEXT_MAX];
    const char *before = target->before ? "before-" : "";
    switch (target->kind) {
    case CHAIN_TO_LATEST:
        str_copy(dst, CHAIN_TARGET_TEXT_MAX, "latest");
        break;
    case CHAIN_TO_TIME:
        str_copy(dst, CHAIN_TARGET_TEXT_MAX, clock_format(text, target->at));
        break;
    case CHAIN_TO_LSN:
        str_format(dst, CHAIN_TARGET_TEXT_MAX, "%slsn:%s", before, lsn_format(lsn, target->lsn));
        break;
    case CHAIN_TO_MARK:
        str_format(dst, CHAIN_TARGET_TEXT_MAX, "%smark:%s%s%s", before, target->mark, target->at ? "@" : "",
                   target->at ? clock_format(text, target->at) : "");
        break;
    }
    return dst;
}

/*
 * datetime counts 1/300 s and shows them as .000, .003, .007 and so on: the tick that is shown as .003 is 3.333 ms, the one
 * shown as .007 is 6.667 ms. A moment belongs to the last tick that began by either reading, so that what people copy from
 * a query names the same tick again.
 */
static const int64_t tick_begin[3] = {0, 3000, 6666}; /* microseconds in each 10 ms */
static const int tick_shown_ms[3] = {0, 3, 7};

struct tick {
    int64_t second;
    int64_t hundredth;
    unsigned third;
};

static struct tick tick_of(int64_t at) {
    struct tick t = {.second = at / CLOCK_SECOND};
    int64_t micro = at % CLOCK_SECOND;
    if (micro < 0) { /* downwards also before 1970 */
        micro += CLOCK_SECOND;
        t.second--;
    }
    t.hundredth = micro / 10000;
    t.third = (micro % 10000 >= tick_begin[1]) + (micro % 10000 >= tick_begin[2]);
    return t;
}

int64_t chain_stop_round(int64_t at) {
    struct tick t = tick_of(at);
    return t.second * CLOCK_SECOND + t.hundredth * 10000 + tick_begin[t.third];
}

/* The source's local time as SQL Server reads it back to the same tick. */
static void local_text(char *dst, size_t dst_bytes, int64_t at, int32_t utc_offset_s) {
    struct tick t = tick_of(at);
    struct clock_civil c;
    clock_to_civil((t.second + utc_offset_s) * CLOCK_SECOND, &c);
    str_format(dst, dst_bytes, "%04d-%02d-%02dT%02d:%02d:%02d.%03d", c.year, c.month, c.day, c.hour, c.minute, c.second,
               (int)t.hundredth * 10 + tick_shown_ms[t.third]);
}

void chain_stop_at(int64_t at, int32_t utc_offset_s, bool offset_known, struct chain_stop *ret_stop) {
    *ret_stop = (struct chain_stop){
        .kind = CHAIN_STOP_AT, .at = chain_stop_round(at), .utc_offset_s = utc_offset_s, .offset_known = offset_known};
    local_text(ret_stop->value, sizeof(ret_stop->value), at, utc_offset_s);
}

void chain_stop_lsn(struct lsn lsn, bool before, struct chain_stop *ret_stop) {
    char text[LSN_TEXT_MAX];
    *ret_stop = (struct chain_stop){.kind = before ? CHAIN_STOP_BEFORE_MARK : CHAIN_STOP_AT_MARK};
    str_format(ret_stop->value, sizeof(ret_stop->value), "lsn:%s", lsn_format(text, lsn));
}

void chain_stop_mark(const char *name, bool before, int64_t at, int32_t utc_offset_s, bool offset_known,
                     struct chain_stop *ret_stop) {
    *ret_stop = (struct chain_stop){
        .kind = before ? CHAIN_STOP_BEFORE_MARK : CHAIN_STOP_AT_MARK, .utc_offset_s = utc_offset_s, .offset_known = offset_known};
    str_copy(ret_stop->value, sizeof(ret_stop->value), name);
    if (!at)
        return;
    ret_stop->at = chain_stop_round(at);
    local_text(ret_stop->after, sizeof(ret_stop->after), at, utc_offset_s);
}

char *chain_stop_sql(char dst[CHAIN_STOP_TEXT_MAX], const struct chain_stop *stop) {
    static const char *const options[] = {
        [CHAIN_STOP_AT] = "STOPAT", [CHAIN_STOP_AT_MARK] = "STOPATMARK", [CHAIN_STOP_BEFORE_MARK] = "STOPBEFOREMARK"};
    dst[0] = 0;
    if (stop->kind == CHAIN_STOP_NONE)
        return dst;
    char quoted[2 * CHAIN_MARK_MAX];
    size_t n = 0;
    for (const char *s = stop->value; *s; s++) {
        if (*s == '\'')
            quoted[n++] = '\'';
        quoted[n++] = *s;
    }
    quoted[n] = 0;
    str_format(dst, CHAIN_STOP_TEXT_MAX, "%s = N'%s'", options[stop->kind], quoted);
    size_t used = strlen(dst);
    if (stop->after[0])
        str_format(dst + used, CHAIN_STOP_TEXT_MAX - used, " AFTER N'%s'", stop->after);
    return dst;
}
