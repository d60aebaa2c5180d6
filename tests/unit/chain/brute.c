/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cheapest plan by trying every sequence that the server would take: a full, perhaps a differential on it, then any
 * log with FirstLSN <= redo <= LastLSN on the recovery path. Exponential, and written without a look at the planner.
 */
#include "tests/unit/chain/model_plan.h"

struct state {
    struct lsn redo;
    struct guid fork;
    uint64_t bytes;
    unsigned sets;
};

struct tries {
    const struct backup *sets;
    size_t count;
    const struct chain_path *path;
    const struct chain_plan_request *request;
    bool allowed[32];
    struct lsn tip;
    int64_t used_at; /* first beginning of a set on the path */
    struct brute best;
};

static bool usable(const struct tries *t, size_t i) {
    for (size_t k = 0; k < t->request->avoid_count; k++) {
        if (guid_eq(&t->request->avoid[k], &t->sets[i].set_guid))
            return false;
    }
    return !backup_has(&t->sets[i], BACKUP_FOREIGN);
}

/* A set belongs to the wanted path, or to one that it came from, up to where it was left. */
static void allow(struct tries *t) {
    for (size_t i = 0; i < t->count; i++) {
        struct chain_path of = chain_path_of(&t->sets[i]);
        t->allowed[i] = usable(t, i) && chain_path_eq(&of, t->path);
    }
    for (bool again = true; again;) {
        again = false;
        for (size_t c = 0; c < t->count; c++) {
            const struct backup *log = &t->sets[c];
            if (!t->allowed[c] || log->kind != BACKUP_LOG || !backup_crosses_fork(log))
                continue;
            for (size_t i = 0; i < t->count; i++) {
                const struct backup *b = &t->sets[i];
                if (!t->allowed[i] && usable(t, i) && b->incarnation == log->incarnation &&
                    guid_eq(&b->family_guid, &log->family_guid) && guid_eq(&b->last_fork, &log->first_fork) &&
                    lsn_cmp(b->last_lsn, log->fork_point) <= 0)
                    t->allowed[i] = again = true;
            }
        }
    }
}

static void found(struct tries *t, uint64_t bytes, unsigned sets) {
    if (t->best.found && (bytes > t->best.bytes || (bytes == t->best.bytes && sets >= t->best.sets)))
        return;
    t->best = (struct brute){.found = true, .bytes = bytes, .sets = sets};
}

/* 1: the target is in the log, 0: it is behind it, -1: the log leads past it. */
static int log_verdict(const struct tries *t, const struct backup *log) {
    const struct chain_target *target = &t->request->target;
    bool bulk = backup_has(log, BACKUP_BULK_LOGGED) && lsn_cmp(log->first_lsn, log->last_lsn) < 0;
    struct chain_path of = chain_path_of(log);
    if (target->kind == CHAIN_TO_TIME && !chain_path_eq(&of, t->path)) {
        /* From before a fork: it holds nothing later than the fork, and does not know what was committed behind it. */
        int64_t until = bulk ? backup_ended_by(log) : log->valid_until ? log->valid_until : log->start_at;
        return target->at >= t->used_at || until < target->at ? 0 : -1;
    }
    if (target->kind == CHAIN_TO_TIME) {
        if (bulk)
            return backup_ended_by(log) > target->at ? -1
                   : chain_path_eq(&of, t->path) && !lsn_cmp(log->last_lsn, t->tip) && target->at <= t->request->quiet_until_at
                       ? 1
                       : 0;
        if ((log->valid_until ? log->valid_until : log->start_at) >= target->at)
            return 1;
        return chain_path_eq(&of, t->path) && !lsn_cmp(log->last_lsn, t->tip) && target->at <= t->request->quiet_until_at;
    }
    if (target->before && !lsn_cmp(target->lsn, log->last_lsn))
        return 1;
    if (lsn_cmp(target->lsn, log->last_lsn) >= 0)
        return 0;
    if (bulk || lsn_cmp(target->lsn, log->first_lsn) < 0 || (target->before && !lsn_cmp(target->lsn, log->first_lsn)))
        return -1;
    return 1;
}

static void go_on(struct tries *t, struct state s) {
    if (t->best.found && s.bytes > t->best.bytes)
        return;
    for (size_t i = 0; i < t->count; i++) {
        const struct backup *log = &t->sets[i];
        if (!t->allowed[i] || log->kind != BACKUP_LOG || lsn_cmp(log->first_lsn, s.redo) > 0 ||
            lsn_cmp(s.redo, log->last_lsn) > 0)
            continue;
        bool from = guid_eq(&s.fork, &log->first_fork) &&
                    (guid_eq(&log->first_fork, &log->last_fork) || lsn_cmp(s.redo, log->fork_point) <= 0);
        if (!from && !guid_eq(&s.fork, &log->last_fork))
            continue;
        int verdict = log_verdict(t, log);
        if (verdict > 0)
            found(t, s.bytes + log->stored_bytes, s.sets + 1);
        else if (!verdict && lsn_cmp(log->last_lsn, s.redo) > 0)
            go_on(t, (struct state){log->last_lsn, log->last_fork, s.bytes + log->stored_bytes, s.sets + 1});
    }
}

static void begin_at(struct tries *t, const struct backup *end, uint64_t bytes, unsigned sets) {
    const struct chain_target *target = &t->request->target;
    struct chain_path of = chain_path_of(end);
    if (target->kind == CHAIN_TO_TIME) {
        if (backup_ended_by(end) > target->at)
            return;
        if (chain_path_eq(&of, t->path) && target->at <= t->request->quiet_until_at && lsn_cmp(end->last_lsn, t->tip) >= 0)
            found(t, bytes, sets);
    } else {
        if (lsn_cmp(end->last_lsn, target->lsn) > 0)
            return;
        if (target->before && !lsn_cmp(end->last_lsn, target->lsn))
            found(t, bytes, sets);
    }
    go_on(t, (struct state){end->last_lsn, end->last_fork, bytes, sets});
}

static bool good_full(const struct tries *t, size_t i) {
    return t->sets[i].kind == BACKUP_FULL && usable(t, i) && !backup_has(&t->sets[i], BACKUP_DAMAGED);
}

void brute_plan(const struct backup *sets, size_t count, const struct chain_path *path, const struct chain_plan_request *request,
                struct brute *ret_brute) {
    struct tries t = {.sets = sets, .count = count, .path = path, .request = request, .used_at = INT64_MAX};
    assert_true(count <= 32);
    allow(&t);
    for (size_t i = 0; i < count; i++) {
        struct chain_path of = chain_path_of(&sets[i]);
        if (!chain_path_eq(&of, path) || backup_has(&sets[i], BACKUP_FOREIGN))
            continue;
        if (sets[i].kind == BACKUP_LOG)
            t.tip = lsn_max(t.tip, sets[i].last_lsn);
        if (sets[i].start_at < t.used_at)
            t.used_at = sets[i].start_at;
    }
    for (size_t i = 0; i < count; i++) {
        if (t.allowed[i] && good_full(&t, i))
            begin_at(&t, &sets[i], sets[i].stored_bytes, 1);
        if (!t.allowed[i] || sets[i].kind != BACKUP_DIFF || backup_has(&sets[i], BACKUP_DAMAGED))
            continue;
        for (size_t f = 0; f < count; f++) {
            if (good_full(&t, f) && guid_eq(&sets[f].set_guid, &sets[i].diff_base_guid) &&
                sets[f].incarnation == sets[i].incarnation)
                begin_at(&t, &sets[i], sets[i].stored_bytes + sets[f].stored_bytes, 2);
        }
    }
    *ret_brute = t.best;
}
