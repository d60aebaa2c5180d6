/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/chain/model.h"

#include "common/base/str.h"

uint32_t model_random(struct model *m, uint32_t below) {
    m->random ^= m->random << 13;
    m->random ^= m->random >> 17;
    m->random ^= m->random << 5;
    return (m->random >> 8) % below;
}

/* Several things happen within one second: dates of headers do not tell them apart. Commits have times that STOPAT can name. */
void model_tick(struct model *m) {
    static const int64_t steps[] = {130000, 330000, CLOCK_SECOND, 2 * CLOCK_SECOND + 500000};
    m->now += steps[model_random(m, sizeof(steps) / sizeof(steps[0]))];
}

/* A path is never younger than the second in which its first backup begins. */
static void model_next_second(struct model *m) {
    m->now += CLOCK_SECOND - m->now % CLOCK_SECOND;
}

int64_t model_header_date(const struct model *m) {
    return m->now - m->now % CLOCK_SECOND;
}

void model_commit(struct model *m, unsigned count) {
    for (unsigned i = 0; i < count && m->record_count < MODEL_RECORDS; i++) {
        model_tick(m);
        m->records[m->record_count] = (struct model_record){
            .before = m->server.head, .lsn = m->server.next_lsn++, .at = m->now, .fork = m->server.fork};
        m->server.head = m->record_count++;
    }
}

void model_recreate(struct model *m) {
    model_next_second(m);
    m->server = (struct model_server){.model = CHAIN_MODEL_FULL,
                                      .family = ++m->ids,
                                      .fork = ++m->ids,
                                      .database = ++m->ids,
                                      .volume = m->server.volume,
                                      .head = -1,
                                      .next_lsn = 10,
                                      .log_from_record = -1,
                                      .create_at = m->now};
    m->has_snapshot = false;
    model_commit(m, 2);
}

void model_init(struct model *m, uint32_t seed) {
    memset(m, 0, sizeof(*m));
    m->random = seed * 2654435761u + 1;
    m->now = SEC(1000000);
    m->ids = 100;
    m->server.volume = ++m->ids;
    model_recreate(m);
}

bool model_log_possible(const struct model *m) {
    return m->server.model != CHAIN_MODEL_SIMPLE && m->server.log_from;
}

static unsigned model_fork_at(const struct model *m, unsigned lsn) {
    for (int r = m->server.head; r >= 0; r = m->records[r].before) {
        if (m->records[r].lsn < lsn)
            return m->records[r].fork;
    }
    return m->server.fork;
}

static void model_log(struct model *m, struct model_set *s, uint32_t flags) {
    struct model_server *v = &m->server;
    s->begin = v->log_from_record;
    s->set.first_lsn = L(v->log_from);
    s->set.first_fork = G(model_fork_at(m, v->log_from));
    if (!guid_eq(&s->set.first_fork, &s->set.last_fork)) {
        int r = v->head;
        while (r >= 0 && m->records[r].fork == v->fork)
            r = m->records[r].before;
        s->set.fork_point = L(r >= 0 ? m->records[r].lsn + 1 : 1);
    }
    if (v->begins)
        s->set.flags |= BACKUP_BEGINS_LOG_CHAIN;
    if (v->bulk)
        s->set.flags |= BACKUP_BULK_LOGGED;
    if (flags & BACKUP_COPY_ONLY)
        return;
    v->log_from = v->next_lsn;
    v->log_from_record = v->head;
    v->begins = v->bulk = false;
}

static void model_data(struct model *m, struct model_set *s, uint32_t flags, unsigned begin_lsn, int begin) {
    struct model_server *v = &m->server;
    s->set.first_lsn = s->set.checkpoint_lsn = L(begin_lsn);
    s->set.first_fork = G(v->fork);
    if (s->set.kind == BACKUP_DIFF)
        s->set.diff_base_guid = G(v->base);
    if (flags & BACKUP_COPY_ONLY)
        return;
    if (s->set.kind == BACKUP_FULL) {
        v->base = m->ids; /* the GUID of this set */
        m->fulls[m->full_count].id = m->ids;
        m->fulls[m->full_count].lsn = begin_lsn;
        m->fulls[m->full_count++].end = s->end;
    }
    if (!v->log_from && v->model != CHAIN_MODEL_SIMPLE) {
        v->log_from = begin_lsn;
        v->log_from_record = begin;
        v->begins = true;
        v->bulk = false;
    }
}

struct model_set model_backup(struct model *m, enum backup_kind kind, uint32_t flags) {
    struct model_server *v = &m->server;
    struct model_set s = {.begin = -1};
    model_tick(m);
    int64_t sampled_at = m->now, started_at = model_header_date(m);
    unsigned begin_lsn = v->next_lsn;
    int begin = v->head;
    if (kind != BACKUP_LOG)
        model_commit(m, 1); /* its checkpoint */
    model_commit(m, model_random(m, 3)); /* while it runs */
    s.set = (struct backup){.kind = kind,
                            .flags = flags,
                            .set_guid = G(++m->ids),
                            .family_guid = G(v->family),
                            .database_guid = G(v->database),
                            .last_fork = G(v->fork),
                            .last_lsn = L(v->next_lsn),
                            .start_at = started_at,
                            .valid_until = kind == BACKUP_LOG ? sampled_at : 0};
    s.end = v->head;
    if (kind == BACKUP_LOG)
        model_log(m, &s, flags);
    else
        model_data(m, &s, flags, begin_lsn, begin);
    model_tick(m);
    s.set.finish_at = model_header_date(m);
    return s;
}

void model_keep(struct model *m, const struct model_set *set, uint32_t incarnation) {
    assert_true(m->ours_count < MODEL_SETS);
    m->ours[m->ours_count] = *set;
    m->ours[m->ours_count++].set.incarnation = incarnation;
}

void model_foreign(struct model *m, enum backup_kind kind, uint32_t flags, const char *device, uint32_t incarnation) {
    if ((kind == BACKUP_LOG && !model_log_possible(m)) || (kind == BACKUP_DIFF && !m->server.base))
        return;
    struct model_set s = model_backup(m, kind, flags | BACKUP_FOREIGN);
    struct chain_foreign *f = &m->foreign[m->foreign_count++];
    *f = (struct chain_foreign){.set = s.set};
    f->set.incarnation = incarnation;
    str_copy(f->who, sizeof(f->who), "CORP\\agent");
    str_copy(f->device, sizeof(f->device), device);
}

void model_set_recovery(struct model *m, enum chain_model recovery) {
    m->server.model = recovery;
    if (recovery == CHAIN_MODEL_SIMPLE) {
        m->server.log_from = 0;
        m->server.bulk = false;
    }
}

/* The newest regular full that leads to a state: what a restore to it began with. */
static unsigned model_full_before(const struct model *m, int record) {
    for (int r = record; r >= 0; r = m->records[r].before) {
        for (size_t i = m->full_count; i--;) {
            if (m->fulls[i].end == r)
                return m->fulls[i].id;
        }
    }
    return 0;
}

void model_restore(struct model *m) {
    struct model_server *v = &m->server;
    int to = v->head;
    for (uint32_t back = model_random(m, 12); back && m->records[to].before >= 0; back--)
        to = m->records[to].before;
    unsigned base = model_full_before(m, to);
    if (!base)
        return;
    model_next_second(m);
    v->base = base;
    unsigned old_fork = m->records[to].fork;
    v->head = to;
    v->next_lsn = m->records[to].lsn + 1;
    v->fork = ++m->ids;
    v->restore = (struct chain_restore){.at = m->now, .type = 'L', .who = "CORP\\dba"};
    v->begins = v->bulk = false;
    if (v->model == CHAIN_MODEL_SIMPLE)
        return;
    /* The log goes on from somewhere in the last log that was restored. */
    int from = to;
    for (uint32_t back = model_random(m, 4); back && m->records[from].before >= 0; back--) {
        if (m->records[m->records[from].before].fork != old_fork)
            break;
        from = m->records[from].before;
    }
    v->log_from = m->records[from].lsn + 1;
    v->log_from_record = from;
    model_commit(m, 1);
}

void model_snapshot(struct model *m) {
    m->snapshot = m->server;
    m->has_snapshot = true;
}

void model_revert(struct model *m, bool other_volume) {
    if (!m->has_snapshot)
        return;
    model_next_second(m);
    m->server = m->snapshot;
    if (other_volume)
        m->server.volume = ++m->ids;
}

void model_look(const struct model *m, struct chain_server_state *ret_state) {
    const struct model_server *v = &m->server;
    *ret_state = (struct chain_server_state){.online = true,
                                             .model = v->model,
                                             .last_log_backup_lsn = L(v->log_from),
                                             .recovery_fork_guid = G(v->fork),
                                             .family_guid = G(v->family),
                                             .database_guid = G(v->database),
                                             .differential_base_guid = G(v->base),
                                             .log_end_lsn = L(v->next_lsn),
                                             .create_at = v->create_at,
                                             .sampled_at = m->now,
                                             .allocated_pages = 1000,
                                             .modified_pages = 100,
                                             .page_verify_checksum = true,
                                             .volume = G(v->volume)};
    for (size_t i = 0; i < m->full_count; i++) {
        if (m->fulls[i].id == v->base)
            ret_state->differential_base_lsn = L(m->fulls[i].lsn);
    }
}

static const struct model_set *model_ours(const struct model *m, const struct guid *guid, uint32_t incarnation) {
    for (size_t i = 0; i < m->ours_count; i++) {
        if (guid_eq(&m->ours[i].set.set_guid, guid) && m->ours[i].set.incarnation == incarnation)
            return &m->ours[i];
    }
    return NULL;
}

/* From the stops (ends of sets that were restored) on the log's own records, the log leads to its end. */
static bool model_apply(struct model *m, const struct model_set *log, bool *stop) {
    bool found = false;
    for (int r = log->end; r != log->begin && !found; r = m->records[r].before)
        found = stop[r];
    found |= log->begin >= 0 && stop[log->begin];
    if (!found)
        return false;
    bool fresh = !stop[log->end];
    stop[log->end] = m->reach[log->end] = true;
    if (backup_has(&log->set, BACKUP_BULK_LOGGED))
        return fresh;
    int last = -1; /* the oldest stop on the log: everything behind it is reached */
    for (int r = log->end;; r = m->records[r].before) {
        if (r >= 0 && stop[r])
            last = r;
        if (r == log->begin || r < 0)
            break;
    }
    for (int r = log->end; r != last; r = m->records[r].before) {
        fresh |= !m->reach[r];
        m->reach[r] = true;
    }
    return fresh;
}

void model_reach(struct model *m, const struct chain_path *path) {
    bool *stop = mem_array(MODEL_RECORDS, sizeof(*stop));
    memset(m->reach, 0, sizeof(m->reach));
    for (size_t i = 0; i < m->ours_count; i++) {
        const struct model_set *s = &m->ours[i];
        if (s->set.incarnation != path->incarnation || !guid_eq(&s->set.family_guid, &path->family) || s->set.kind == BACKUP_LOG)
            continue;
        const struct model_set *base = s;
        if (s->set.kind == BACKUP_DIFF)
            base = model_ours(m, &s->set.diff_base_guid, path->incarnation);
        if (base && backup_is_base(&base->set) && !backup_has(&s->set, BACKUP_DAMAGED))
            stop[s->end] = m->reach[s->end] = true;
    }
    for (bool again = true; again;) {
        again = false;
        for (size_t i = 0; i < m->ours_count; i++) {
            const struct model_set *s = &m->ours[i];
            if (s->set.kind == BACKUP_LOG && s->set.incarnation == path->incarnation &&
                guid_eq(&s->set.family_guid, &path->family))
                again |= model_apply(m, s, stop);
        }
    }
    mem_free(stop);
}
