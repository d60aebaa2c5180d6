/* SPDX-License-Identifier: Apache-2.0 */
/* Refusals: the words, the classes, and what is said: why, and which moments are the nearest that can be restored. */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/chain/plan_int.h"

static const struct {
    const char *word;
    enum err_class class;
    const char *what;
    const char *advice;
} rows[CHAIN_REFUSED_COUNT] = {
    [CHAIN_REFUSED_NONE] = {"none", ERR_NONE, "nothing is refused", ""},
    [CHAIN_REFUSED_NO_BACKUPS] = {"no_backups", ERR_NOT_FOUND, "there is no backup of this database", ""},
    [CHAIN_REFUSED_NO_BASE] = {"no_base", ERR_CHAIN, "there are backups, but no usable full backup to begin with", ""},
    [CHAIN_REFUSED_BEFORE_WINDOW] = {"before_window", ERR_NOT_FOUND, "it is older than everything that can be restored", ""},
    [CHAIN_REFUSED_AFTER_WINDOW] = {"after_window", ERR_NOT_FOUND, "it is newer than what the backups are known to hold",
                                    "wait for the next log backup, or restore to latest"},
    [CHAIN_REFUSED_IN_FUTURE] = {"in_future", ERR_USAGE, "it is in the future", "to have the newest state, restore to latest"},
    [CHAIN_REFUSED_IN_HOLE] = {"in_hole", ERR_CHAIN, "it lies in a hole of the log chain", ""},
    [CHAIN_REFUSED_BULK_LOGGED] =
        {"bulk_logged", ERR_CHAIN,
         "it lies inside a log backup with minimally logged changes, which can be restored to its end only", ""},
    [CHAIN_REFUSED_AMBIGUOUS_HOUR] = {"ambiguous_hour", ERR_USAGE,
                                      "the source's clock was changed there, and SQL Server stops by the source's local time",
                                      "name an LSN instead"},
    [CHAIN_REFUSED_CLOCK_SET_BACK] = {"clock_set_back", ERR_USAGE, "the server's clock was set back over this moment",
                                      "name an LSN instead"},
    [CHAIN_REFUSED_MARK_UNKNOWN] = {"mark_unknown", ERR_NOT_FOUND, "no log backup is known to hold such a mark", ""},
    [CHAIN_REFUSED_MARK_AMBIGUOUS] = {"mark_ambiguous", ERR_USAGE, "several marks have this name",
                                      "say which with mark:NAME@MOMENT: the first at or after it"},
    [CHAIN_REFUSED_BASE_DAMAGED] = {"base_damaged", ERR_DATA_LOSS, "the only backup to begin with was taken over damaged pages",
                                    "restoring it must be allowed explicitly and gives a database with those pages damaged"},
    [CHAIN_REFUSED_SET_UNUSABLE] = {"set_unusable", ERR_CORRUPT, "every way to it needs a backup that is damaged or missing", ""},
    [CHAIN_REFUSED_PATH_UNKNOWN] = {"path_unknown", ERR_NOT_FOUND, "no backup belongs to this recovery fork", ""},
    [CHAIN_REFUSED_PAST_TARGET] = {"past_target", ERR_STATE, "the database that is being restored is already behind it",
                                   "begin again with the full backup"},
    [CHAIN_REFUSED_RESUME_GAP] = {"resume_gap", ERR_CHAIN, "no log backup continues where the database stands",
                                  "begin again with the full backup"},
};

static const char *const why_words[CHAIN_WHY_COUNT] = {"base", "differential", "roll_forward", "holds_target", "may_hold_target"};

const char *chain_member_why_word(enum chain_member_why why) {
    return (unsigned)why < CHAIN_WHY_COUNT ? why_words[why] : "unknown";
}

const char *chain_refusal_word(enum chain_refusal_reason reason) {
    return (unsigned)reason < CHAIN_REFUSED_COUNT ? rows[reason].word : "unknown";
}

bool chain_refusal_parse(const char *word, enum chain_refusal_reason *ret_reason) {
    for (unsigned i = 0; i < CHAIN_REFUSED_COUNT; i++) {
        if (!strcmp(word, rows[i].word)) {
            *ret_reason = (enum chain_refusal_reason)i;
            return true;
        }
    }
    return false;
}

int chain_refusal_err(const struct chain_refusal *refusal, struct err *err) {
    return err_set(err, refusal->class, "%s", refusal->text);
}

/* ---- the window, without the sets that are avoided ---- */

struct window {
    struct backup *sets;
    struct chain_history history;
    struct chain_intervals list;
    int64_t *answers_until; /* by path: from then on a newer one was in use, and moments are looked for there; TIME only */
};

static void answers_fill(const struct chain_plan_request *request, struct window *w) {
    const struct chain_history *h = request->history;
    int64_t until = INT64_MAX;
    if (request->target.kind != CHAIN_TO_TIME)
        return;
    w->answers_until = mem_array(h->path_count ? h->path_count : 1, sizeof(*w->answers_until));
    for (size_t p = h->path_count; p--;) {
        w->answers_until[p] = until;
        int64_t at = h->path_count > 1 && !request->path ? plan_path_known_at(request, p) : INT64_MAX;
        until = at < until ? at : until;
    }
}

static int64_t answers_until(const struct chain_plan_request *request, const struct window *w, const struct chain_path *path) {
    size_t p;
    return w->answers_until && chain_history_path_find(request->history, path, &p) ? w->answers_until[p] : INT64_MAX;
}

static void window_open(const struct chain_plan_request *request, struct window *w) {
    const struct chain_history *h = request->history;
    struct chain_interval_input input = {.history = h,
                                         .quiet_until_at = request->quiet_until_at,
                                         .foreign = request->foreign,
                                         .foreign_count = request->foreign_count,
                                         .known = request->known,
                                         .known_count = request->known_count};
    *w = (struct window){0};
    answers_fill(request, w);
    if (request->avoid_count) {
        struct plan_rules rules;
        size_t count = 0;
        plan_rules_init(request, &rules);
        w->sets = mem_array(h->count ? h->count : 1, sizeof(*w->sets));
        for (size_t i = 0; i < h->count; i++) {
            if (h->order[i].flags & BACKUP_FOREIGN || plan_set_usable(&rules, (uint32_t)i))
                w->sets[count++] = chain_history_at(h, i);
        }
        plan_rules_done(&rules);
        chain_history_init(&w->history, w->sets, count);
        input.history = &w->history;
    }
    chain_intervals_build(&input, &w->list);
}

static void window_close(struct window *w) {
    chain_intervals_done(&w->list);
    if (w->sets)
        chain_history_done(&w->history);
    mem_free(w->sets);
    mem_free(w->answers_until);
}

static bool wanted(const struct chain_plan_request *request, const struct chain_path *path) {
    return !request->path || chain_path_eq(request->path, path);
}

static struct chain_nearest interval_end(const struct chain_interval *v, bool from) {
    return (struct chain_nearest){
        .any = true, .at = from ? v->from_at : v->until_at, .lsn = from ? v->from_lsn : v->until_lsn, .path = v->path};
}

static void nearest_by_time(const struct chain_plan_request *request, const struct window *w, int64_t at,
                            struct chain_refusal *r) {
    for (size_t i = 0; i < w->list.count; i++) {
        const struct chain_interval *v = &w->list.intervals[i];
        int64_t behind = answers_until(request, w, &v->path);
        if (!wanted(request, &v->path) || v->from_at >= behind)
            continue;
        struct chain_nearest end = interval_end(v, false);
        if (end.at >= behind) {
            end.at = behind - 1;
            end.lsn = (struct lsn){0};
        }
        if (end.at <= at && (!r->before.any || end.at >= r->before.at))
            r->before = end;
        if (v->from_at >= at && (!r->after.any || v->from_at < r->after.at))
            r->after = interval_end(v, true);
    }
}

/* On the newest path that has something on a side of the LSN. */
static void nearest_by_lsn(const struct chain_plan_request *request, const struct window *w, struct lsn lsn,
                           struct chain_refusal *r) {
    for (size_t i = w->list.count; i--;) {
        const struct chain_interval *v = &w->list.intervals[i];
        if (!wanted(request, &v->path) || (r->before.any && !chain_path_eq(&r->before.path, &v->path)) ||
            (r->after.any && !chain_path_eq(&r->after.path, &v->path)))
            continue;
        if (lsn_cmp(v->until_lsn, lsn) <= 0 && !r->before.any)
            r->before = interval_end(v, false);
        if (lsn_cmp(v->from_lsn, lsn) >= 0)
            r->after = interval_end(v, true);
    }
}

/* Ends of logs around a moment that cannot be named by time: they can be by LSN. */
static void nearest_by_end(const struct chain_plan_request *request, const struct window *w, int64_t at,
                           struct chain_refusal *r) {
    const struct chain_interval *v = chain_interval_at(&w->list, at);
    const struct chain_history *h = request->history;
    size_t p;
    if (!v || !chain_history_path_find(h, &v->path, &p))
        return;
    for (size_t i = h->paths[p].begin; i < h->paths[p].end; i++) {
        const struct backup *set = chain_history_peek(h, i);
        if (set->kind != BACKUP_LOG || lsn_cmp(set->last_lsn, v->from_lsn) < 0 || lsn_cmp(set->last_lsn, v->until_lsn) > 0)
            continue;
        struct chain_nearest end = {.any = true, .at = backup_reach_at(set), .lsn = set->last_lsn, .path = v->path};
        if (end.at <= at) {
            r->before = end;
        } else if (!r->after.any) {
            r->after = end;
        }
    }
}

static const struct chain_hole *hole_of_lsn(const struct chain_plan_request *request, const struct window *w, struct lsn lsn) {
    for (size_t i = w->list.hole_count; i--;) {
        const struct chain_hole *hole = &w->list.holes[i];
        struct chain_path path = {.family = hole->family, .fork = hole->fork, .incarnation = hole->incarnation};
        if (wanted(request, &path) && lsn_cmp(hole->from_lsn, lsn) <= 0 &&
            (lsn_is_zero(hole->until_lsn) || lsn_cmp(lsn, hole->until_lsn) < 0))
            return hole;
    }
    return NULL;
}

static bool held_on(const struct window *w, const struct chain_path *path, int64_t at) {
    for (size_t i = 0; i < w->list.count; i++) {
        const struct chain_interval *v = &w->list.intervals[i];
        if (chain_path_eq(&v->path, path) && v->from_at <= at && at <= v->until_at)
            return true;
    }
    return false;
}

/* Does a path hold the moment from which the database had moved on? */
static bool left_path_holds(const struct chain_plan_request *request, const struct window *w, int64_t at) {
    for (size_t i = 0; i < w->list.count; i++) {
        const struct chain_interval *v = &w->list.intervals[i];
        if (v->from_at <= at && at <= v->until_at && at >= answers_until(request, w, &v->path))
            return true;
    }
    return false;
}

/* On the path that was in use at the moment, if it has one: others may hold the moment, too. */
static const struct chain_hole *hole_of_time(const struct chain_plan_request *request, const struct window *w, int64_t at) {
    for (size_t i = w->list.hole_count; i--;) {
        const struct chain_hole *hole = &w->list.holes[i];
        struct chain_path path = {.family = hole->family, .fork = hole->fork, .incarnation = hole->incarnation};
        if (wanted(request, &path) && hole->from_at < at && (!hole->until_at || at < hole->until_at) &&
            at < answers_until(request, w, &path) && !held_on(w, &path, at))
            return hole;
    }
    return NULL;
}

/* ---- why ---- */

static void reason_refine(const struct chain_plan_request *request, const struct window *w, struct chain_refusal *r) {
    const struct chain_target *target = &request->target;
    const struct chain_hole *hole = NULL;
    if (!w->list.count) {
        r->reason = CHAIN_REFUSED_NO_BASE;
        if (w->list.hole_count)
            r->hole = w->list.holes[w->list.hole_count - 1];
        return;
    }
    if (target->kind == CHAIN_TO_TIME)
        hole = hole_of_time(request, w, target->at);
    else if (target->kind != CHAIN_TO_LATEST)
        hole = hole_of_lsn(request, w, target->lsn);
    /* What the next log backup closes is no hole yet, and before the first moment and behind the last there is none either. */
    if (hole && hole->cause != CHAIN_HOLE_LOG_PENDING && (r->before.any || target->kind != CHAIN_TO_TIME)) {
        r->hole = *hole;
        r->reason = hole->cause == CHAIN_HOLE_BULK_LOGGED ? CHAIN_REFUSED_BULK_LOGGED : CHAIN_REFUSED_IN_HOLE;
    } else if (!r->before.any) {
        r->reason = CHAIN_REFUSED_BEFORE_WINDOW;
    } else if (!r->after.any || (hole && hole->cause == CHAIN_HOLE_LOG_PENDING)) {
        r->reason = CHAIN_REFUSED_AFTER_WINDOW;
    } else {
        r->reason = CHAIN_REFUSED_IN_HOLE;
    }
}

static void text_add(char dst[CHAIN_TEXT_MAX], const char *a, const char *b, const char *c) {
    size_t used = strlen(dst);
    str_format(dst + used, CHAIN_TEXT_MAX - used, "%s%s%s", a, b, c);
}

static void text_add_nearest(char dst[CHAIN_TEXT_MAX], const char *side, const struct chain_nearest *n, bool by_lsn) {
    char at[CLOCK_TEXT_MAX], lsn[LSN_TEXT_MAX];
    if (!n->any)
        return;
    text_add(dst, side, clock_format(at, n->at), "");
    if (by_lsn)
        text_add(dst, " = before-lsn:", lsn_format(lsn, n->lsn), "");
}

static void refusal_text(const struct chain_plan_request *request, struct chain_refusal *r) {
    char target[CHAIN_TARGET_TEXT_MAX], hole[CHAIN_TEXT_MAX], guid[GUID_TEXT_MAX];
    bool by_lsn = request->target.kind == CHAIN_TO_LSN || request->target.kind == CHAIN_TO_MARK ||
                  r->reason == CHAIN_REFUSED_AMBIGUOUS_HOUR || r->reason == CHAIN_REFUSED_CLOCK_SET_BACK;
    str_format(r->text, CHAIN_TEXT_MAX, "cannot restore to %.160s: %s", chain_target_format(target, &request->target),
               rows[r->reason].what);
    if (!guid_is_zero(&r->set))
        text_add(r->text, " (set ", guid_format(guid, &r->set), ")");
    if (r->hole.cause && (r->hole.from_at || r->hole.until_at)) {
        size_t used = strlen(r->text);
        str_format(r->text + used, CHAIN_TEXT_MAX - used, "; %.320s", chain_hole_text(hole, &r->hole));
    }
    text_add_nearest(r->text, "; nearest moment before: ", &r->before, by_lsn);
    text_add_nearest(r->text, "; nearest moment after: ", &r->after, by_lsn);
    if (rows[r->reason].advice[0])
        text_add(r->text, "; ", rows[r->reason].advice, "");
}

void plan_refuse(const struct chain_plan_request *request, enum chain_refusal_reason reason, const struct plan_clock *clock,
                 const struct guid *set, struct chain_refusal *ret_refusal) {
    struct chain_refusal r = {.reason = reason};
    struct window w;
    if (set)
        r.set = *set;
    window_open(request, &w);
    if (clock)
        nearest_by_end(request, &w, request->target.at, &r);
    else if (request->target.kind == CHAIN_TO_TIME)
        nearest_by_time(request, &w, request->target.at, &r);
    else if (request->target.kind == CHAIN_TO_LATEST)
        nearest_by_time(request, &w, INT64_MAX, &r);
    else if (!lsn_is_zero(request->target.lsn))
        nearest_by_lsn(request, &w, request->target.lsn, &r);
    if (reason == CHAIN_REFUSED_IN_HOLE)
        reason_refine(request, &w, &r);
    bool left = request->target.kind == CHAIN_TO_TIME && left_path_holds(request, &w, request->target.at);
    window_close(&w);
    r.class = rows[r.reason].class;
    refusal_text(request, &r);
    if (left)
        text_add(r.text,
                 "; backups of a recovery fork that the database had left hold this moment: rows that it did not have then", "",
                 "");
    *ret_refusal = r;
}
