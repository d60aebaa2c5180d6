/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/chain/model_plan.h"

static void offsets_fill(struct world *w) {
    for (; w->filled < w->m.record_count; w->filled++)
        w->offsets[w->filled] = w->offset_s;
}

static void path_note(struct world *w) {
    const struct model_server *v = &w->m.server;
    struct chain_path path = {.family = G(v->family), .fork = G(v->fork), .incarnation = w->incarnation};
    offsets_fill(w);
    for (size_t i = 0; i < w->path_count; i++) {
        if (chain_path_eq(&w->paths[i].path, &path)) {
            w->paths[i].head = v->head;
            return;
        }
    }
    assert_true(w->path_count < WORLD_PATHS);
    w->paths[w->path_count++] = (struct world_path){.path = path, .head = v->head, .made_at = w->m.now};
}

void world_init(struct world *w, uint32_t seed) {
    memset(w, 0, sizeof(*w));
    model_init(&w->m, seed);
    if (!model_random(&w->m, 3))
        w->offset_s = 3600 * ((int32_t)model_random(&w->m, 5) - 2);
    path_note(w);
}

/* ---- backups ---- */

static void set_finish(struct world *w, struct model_set *s) {
    struct model *m = &w->m;
    uint32_t size = s->set.kind == BACKUP_FULL ? 200 : s->set.kind == BACKUP_DIFF ? 80 : 30;
    if (!model_random(m, 2)) { /* commits that the set does not hold, before its header is written */
        model_commit(m, model_random(m, 3));
        model_tick(m);
        s->set.finish_at = model_header_date(m);
    }
    s->set.stored_bytes = 1 + model_random(m, model_random(m, 4) ? size : 4);
    s->set.size_bytes = s->set.stored_bytes * 2;
    s->set.utc_offset_s = w->offset_s;
    s->set.flags |= BACKUP_UTC_OFFSET_KNOWN;
    s->set.stripes = s->set.position = 1;
    model_keep(m, s, w->incarnation);
    path_note(w);
}

static void take(struct world *w, enum backup_kind kind, uint32_t flags) {
    struct model *m = &w->m;
    if (m->ours_count + 2 > MODEL_SETS || m->record_count + 20 > MODEL_RECORDS)
        return;
    if ((kind == BACKUP_LOG && !model_log_possible(m)) || (kind == BACKUP_DIFF && !m->server.base))
        return;
    struct model_set s = model_backup(m, kind, flags);
    set_finish(w, &s);
}

/* A full during which logs are taken and commits made. */
static void take_long_full(struct world *w) {
    struct model *m = &w->m;
    struct model_server *v = &m->server;
    unsigned id = ++m->ids, begin_lsn = v->next_lsn;
    int begin = v->head;
    model_tick(m);
    int64_t start_at = model_header_date(m);
    model_commit(m, 1);
    for (uint32_t n = model_random(m, 3); n; n--) {
        model_commit(m, model_random(m, 3));
        take(w, BACKUP_LOG, 0);
    }
    struct model_set s = {.begin = -1, .end = v->head};
    s.set = (struct backup){.kind = BACKUP_FULL,
                            .set_guid = G(id),
                            .family_guid = G(v->family),
                            .database_guid = G(v->database),
                            .first_fork = G(v->fork),
                            .last_fork = G(v->fork),
                            .first_lsn = L(begin_lsn),
                            .checkpoint_lsn = L(begin_lsn),
                            .last_lsn = L(v->next_lsn),
                            .start_at = start_at};
    v->base = id;
    m->fulls[m->full_count].id = id;
    m->fulls[m->full_count].lsn = begin_lsn;
    m->fulls[m->full_count++].end = s.end;
    if (!v->log_from && v->model != CHAIN_MODEL_SIMPLE) {
        v->log_from = begin_lsn;
        v->log_from_record = begin;
        v->begins = true;
        v->bulk = false;
    }
    model_tick(m);
    s.set.finish_at = model_header_date(m);
    if (!model_random(m, 2)) /* a log that ends behind the full's end and is finished before it */
        take(w, BACKUP_LOG, 0);
    set_finish(w, &s);
}

/* ---- what happens to a server ---- */

/* The old primary goes on: what it logs from now on is dead, but nobody tells the backups. */
static void fail_over(struct world *w) {
    struct model_server old = w->m.server;
    unsigned fork = old.fork;
    model_restore(&w->m);
    if (w->m.server.fork == fork)
        return;
    w->m.server.restore = old.restore;
    w->two_primaries = w->failed_over = true;
    w->other = old;
}

static void change_clock(struct world *w) {
    struct model *m = &w->m;
    if (w->step_count == WORLD_CHANGES || w->zone_count == WORLD_CHANGES)
        return;
    if (model_random(m, 2)) {
        int64_t high = m->now;
        m->now -= SEC(5 + model_random(m, 40));
        w->steps[w->step_count++] = (struct world_change){.low = m->now, .high = high};
        return;
    }
    int32_t by = (int32_t)(model_random(m, 2) ? 30 : -30);
    w->offset_s += by;
    w->zones[w->zone_count++] = (struct world_change){.low = m->now - SEC(30), .high = m->now + SEC(30)};
}

static void disturb(struct world *w, bool calm) {
    struct model *m = &w->m;
    switch (model_random(m, 16)) {
    case 0:
        model_foreign(m, BACKUP_LOG, 0, model_random(m, 2) ? "NUL" : "/agent.trn", w->incarnation);
        break;
    case 1:
        model_foreign(m, BACKUP_FULL, 0, "{9F3A}", w->incarnation);
        break;
    case 2:
        model_foreign(m, BACKUP_LOG, BACKUP_COPY_ONLY, "/copy.trn", w->incarnation);
        break;
    case 3:
        model_set_recovery(m, CHAIN_MODEL_SIMPLE);
        break;
    case 4:
    case 5:
        model_restore(m);
        break;
    case 6:
        model_snapshot(m);
        break;
    case 7:
        if (m->has_snapshot && !w->two_primaries) {
            model_revert(m, model_random(m, 2));
            w->incarnation++;
        }
        break;
    case 8:
        if (!model_random(m, 4) && !w->two_primaries)
            model_recreate(m);
        break;
    case 9:
    case 10:
        m->server.bulk = m->server.model != CHAIN_MODEL_SIMPLE;
        break;
    case 11:
        if (!w->two_primaries)
            fail_over(w);
        break;
    case 12:
        if (!calm)
            change_clock(w);
        break;
    default:
        break;
    }
    if (m->server.model == CHAIN_MODEL_SIMPLE && model_random(m, 3))
        model_set_recovery(m, CHAIN_MODEL_FULL);
    path_note(w);
}

static void swap_primaries(struct world *w) {
    struct model_server swap = w->m.server;
    w->m.server = w->other;
    w->other = swap;
    path_note(w);
}

void world_step(struct world *w, bool calm) {
    struct model *m = &w->m;
    bool on_other = w->two_primaries && !model_random(m, 3);
    if (on_other)
        swap_primaries(w);
    if (m->record_count + 40 < MODEL_RECORDS)
        model_commit(m, model_random(m, 5));
    path_note(w);
    uint32_t copy = model_random(m, 8) ? 0 : BACKUP_COPY_ONLY, damaged = model_random(m, 12) ? 0 : BACKUP_DAMAGED;
    uint32_t what = model_random(m, 14);
    if (what == 0)
        take(w, BACKUP_FULL, copy | damaged);
    else if (what == 1)
        take(w, BACKUP_DIFF, damaged);
    else if (what == 2)
        take_long_full(w);
    else if (what < 10)
        take(w, BACKUP_LOG, copy);
    else if (what < 12 && !on_other)
        disturb(w, calm);
    if (on_other)
        swap_primaries(w);
    if (w->two_primaries && !model_random(m, 6))
        w->two_primaries = false; /* the old one is switched off */
}

/* ---- the truth ---- */

const struct world_path *world_path_at(const struct world *w, int64_t at) {
    const struct world_path *found = NULL;
    for (size_t i = 0; i < w->path_count; i++) {
        if (w->paths[i].made_at <= at)
            found = &w->paths[i];
    }
    return found;
}

const struct world_path *world_path_find(const struct world *w, const struct chain_path *path) {
    for (size_t i = 0; i < w->path_count; i++) {
        if (chain_path_eq(&w->paths[i].path, path))
            return &w->paths[i];
    }
    return NULL;
}

int world_state_at(const struct world *w, const struct world_path *path, int64_t at, bool strict) {
    int state = path->head; /* the record before the first that is too late */
    for (int r = path->head; r >= 0; r = w->m.records[r].before) {
        if (w->m.records[r].at > at || (strict && w->m.records[r].at == at))
            state = w->m.records[r].before;
    }
    return state;
}

int world_record(const struct world *w, const struct world_path *path, unsigned lsn) {
    for (int r = path->head; r >= 0; r = w->m.records[r].before) {
        if (w->m.records[r].lsn == lsn)
            return r;
    }
    return -1;
}

bool world_time_unclear(const struct world_change *changes, size_t count, int64_t at, int64_t slack) {
    for (size_t i = 0; i < count; i++) {
        if (at >= changes[i].low - slack && at <= changes[i].high + slack)
            return true;
    }
    return false;
}

/* ---- restoring ---- */

static const struct model_set *set_of(const struct world *w, const struct backup *b) {
    for (size_t i = 0; i < w->m.ours_count; i++) {
        if (guid_eq(&w->m.ours[i].set.set_guid, &b->set_guid) && w->m.ours[i].set.incarnation == b->incarnation)
            return &w->m.ours[i];
    }
    return NULL;
}

static bool record_stops(const struct world *w, const struct chain_stop *stop, int record, bool strict) {
    int64_t local = w->m.records[record].at + w->offsets[record] * CLOCK_SECOND;
    int64_t stop_local = stop->at + stop->utc_offset_s * CLOCK_SECOND;
    struct lsn lsn;
    switch (stop->kind) {
    case CHAIN_STOP_AT:
        return strict ? local >= stop_local : local > stop_local;
    case CHAIN_STOP_AT_MARK:
    case CHAIN_STOP_BEFORE_MARK:
        assert_true(lsn_parse(stop->value + 4, &lsn));
        return stop->kind == CHAIN_STOP_AT_MARK ? w->m.records[record].lsn > lsn.block : w->m.records[record].lsn >= lsn.block;
    default:
        return false;
    }
}

static void replay_log(const struct world *w, const struct model_set *log, const struct chain_stop *stop, bool strict,
                       struct replay *r) {
    int chain[MODEL_RECORDS], count = 0, at;
    for (at = log->end; at != r->state && at != log->begin && at >= 0; at = w->m.records[at].before)
        chain[count++] = at;
    if (at != r->state) {
        r->error = "a log does not apply";
        return;
    }
    while (count-- && !r->reached) {
        if (stop && record_stops(w, stop, chain[count], strict))
            r->reached = true;
        else
            r->state = chain[count];
    }
    if (r->reached && backup_has(&log->set, BACKUP_BULK_LOGGED))
        r->error = "stopped inside a bulk-logged log";
}

int world_set_end(const struct world *w, const struct backup *set) {
    const struct model_set *s = set_of(w, set);
    assert_non_null(s);
    return s ? s->end : -1;
}

void world_replay(const struct world *w, const struct chain_plan *plan, const struct backup *sets, bool strict,
                  const struct standing *standing, struct replay *ret_replay) {
    struct replay r = {.state = standing ? standing->state : -1};
    const struct model_set *full = standing ? set_of(w, standing->full) : NULL;
    bool waits = false; /* the server said 4322 */
    for (size_t i = 0; i < plan->count && !r.error; i++) {
        const struct chain_member *member = &plan->members[i];
        const struct backup *b = &sets[member->set];
        const struct model_set *s = set_of(w, b);
        if (!s || (member->damaged && !plan->damaged))
            r.error = "a set that we do not have, or a damaged one";
        else if (member->kind == BACKUP_FULL && full)
            r.error = "a full in the middle";
        else if (member->kind == BACKUP_DIFF && (!full || !guid_eq(&full->set.set_guid, &b->diff_base_guid)))
            r.error = "a differential of another full";
        else if (member->kind != BACKUP_LOG)
            r.state = s->end;
        else if (!full)
            r.error = "a log without full";
        else if (member->if_needed && !waits)
            continue;
        else if (r.reached)
            r.error = "a log behind the target"; /* 4335 */
        else
            replay_log(w, s, member->stop ? &plan->stop : NULL, strict, &r);
        waits = member->stop && !r.reached;
        if (member->kind == BACKUP_FULL)
            full = s;
    }
    *ret_replay = r;
}
