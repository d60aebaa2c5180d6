/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/past.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/store/backups.h"
#include "sidecar/job/journal.h"
#include "sidecar/verify/damage.h"

#define QUESTIONS_MAX 512 /* more holes than that keep the cause that the backups alone show */
#define WITNESSES_MAX 3

/* One hole, and the manifests that may tell of it. */
struct question {
    uint32_t catalog_id;
    uint32_t incarnation;
    struct lsn from_lsn;
    bool unknown; /* the hole that the newest of them tells of, whichever it is */
    char names[WITNESSES_MAX][STORE_NAME_MAX];
    unsigned name_count;
    bool answered;
    struct chain_hole answer;
};

struct past {
    struct pool_item item;
    struct agent *agent;
    struct store *store;
    struct question *asked; /* the worker's while item is under way */
    size_t asked_count;
    bool asking;
    struct question *waiting;
    size_t waiting_count, waiting_cap;
};

/* ---- healing ---- */

/* As count_healing() counts: the first full of a database is none. */
static bool heals(const char *trigger, const char *reason) {
    return !strcmp(trigger, "healing") && strcmp(reason, chain_reason_word(CHAIN_REASON_FIRST_FULL)) != 0;
}

static void count(struct database *db, enum backup_kind kind) {
    if (kind == BACKUP_FULL)
        db->heal_fulls++;
    else
        db->heal_diffs++;
}

/* Those that are begun and not committed are in the journal. */
static void count_journal(struct agent *agent, struct database *db, int64_t day) {
    unsigned n;
    struct journal_found *found = journal_list(agent->journal, &n);
    for (unsigned i = 0; i < n; i++) {
        const struct journal_entry *e = &found[i].entry;
        if (e->step != JOURNAL_COMMITTED && heals(e->trigger, e->reason) && e->planned_at / CLOCK_DAY == day &&
            guid_eq(&e->database_guid, &db->committed.database_guid))
            count(db, e->kind);
    }
    mem_free(found);
}

static void count_healings(struct agent *agent, struct database *db) {
    int64_t day = clock_wall() / CLOCK_DAY;
    struct catalog_entry e = {.index = CATALOG_NONE};
    struct err ignored;
    if (db->heal_day == day)
        return; /* this life has counted */
    db->heal_day = day;
    db->heal_fulls = db->heal_diffs = 0;
    /* commits are not quite in the order of begins: a full may take a day */
    while (catalog_previous(keeper_catalog(agent->keeper), db->catalog_id, &e, &ignored) > 0 &&
           e.backup.finish_at > (day - 1) * CLOCK_DAY)
        if (heals(e.note.trigger, e.note.reason) && e.note.run_at / CLOCK_DAY == day)
            count(db, e.backup.kind);
    count_journal(agent, db, day);
}

/* ---- holes ---- */

static bool explained(const struct chain_hole *hole) {
    return hole->who[0] || hole->cause_at || hole->cause == CHAIN_HOLE_BULK_LOGGED;
}

static bool is_witness(const struct catalog_entry *e, const struct question *q) {
    return e->backup.incarnation == q->incarnation && lsn_cmp(e->backup.last_lsn, q->from_lsn) > 0;
}

static void add_witness(const struct agent *agent, const struct database *db, const struct backup *set, struct question *q) {
    char rest[STORE_NAME_MAX];
    struct err ignored;
    memmove(q->names[1], q->names[0], sizeof(q->names) - sizeof(q->names[0]));
    name_manifest(rest, set);
    if (name_join(q->names[0], agent->scope, db->folder, rest, &ignored) == 0 && q->name_count < WITNESSES_MAX)
        q->name_count++;
}

/* The oldest manifests behind each hole that tell of one. All of the catalog is walked, once for all holes: this is the loop's time. */
static void find_witnesses(struct agent *agent, const struct database *db, struct question *questions, size_t count) {
    struct catalog_entry e = {.index = CATALOG_NONE};
    struct err ignored;
    while (catalog_previous(keeper_catalog(agent->keeper), db->catalog_id, &e, &ignored) > 0)
        for (size_t i = 0; e.note.has_hole && i < count; i++)
            if (is_witness(&e, &questions[i]))
                add_witness(agent, db, &e.backup, &questions[i]);
}

/* A hole that a data backup has closed is seen in the backups only when the next log comes: until then its cause is in the manifest alone. */
static void ask_newest(struct agent *agent, const struct database *db, struct question *q) {
    struct catalog_entry e = {.index = CATALOG_NONE};
    struct err ignored;
    char rest[STORE_NAME_MAX];
    while (catalog_previous(keeper_catalog(agent->keeper), db->catalog_id, &e, &ignored) > 0 && e.note.has_hole &&
           !q->name_count) {
        name_manifest(rest, &e.backup);
        q->name_count = name_join(q->names[0], agent->scope, db->folder, rest, &ignored) == 0;
        q->incarnation = e.backup.incarnation;
    }
}

static void ask(struct past *p, const struct question *q) {
    if (!q->name_count || p->waiting_count == QUESTIONS_MAX)
        return;
    p->waiting = mem_grow(p->waiting, &p->waiting_cap, p->waiting_count + 1, sizeof(*q));
    p->waiting[p->waiting_count++] = *q;
}

static void ask_about_holes(struct agent *agent, const struct database *db) {
    _cleanup_free_ struct question *questions = mem_array(db->hole_count + 1, sizeof(*questions));
    size_t count = 0;
    for (unsigned i = 0; i < db->hole_count; i++)
        if (!explained(&db->holes[i]))
            questions[count++] = (struct question){
                .catalog_id = db->catalog_id, .incarnation = db->holes[i].incarnation, .from_lsn = db->holes[i].from_lsn};
    if (count)
        find_witnesses(agent, db, questions, count);
    for (size_t i = 0; i < count; i++)
        ask(agent->past, &questions[i]);
}

void past_load(struct agent *agent, struct database *db) {
    if (db->catalog_id == CATALOG_NONE || !keeper_catalog(agent->keeper))
        return;
    if (!agent->past) {
        agent->past = mem_alloc(sizeof(*agent->past));
        agent->past->agent = agent;
    }
    count_healings(agent, db);
    ask_about_holes(agent, db);
    struct question newest = {.catalog_id = db->catalog_id, .unknown = true};
    ask_newest(agent, db, &newest);
    ask(agent->past, &newest);
}

/* ---- asking ---- */

static bool answer_from(struct question *q, const struct manifest *m) {
    struct chain_hole told;
    if (!manifest_chain_hole(m, &told) || (!q->unknown && lsn_cmp(told.from_lsn, q->from_lsn) != 0))
        return false;
    q->from_lsn = told.from_lsn;
    told.until_lsn = (struct lsn){0}; /* the next log shows where it ends */
    told.until_at = 0;
    q->answer = told;
    return true;
}

static void ask_work(struct pool_item *item) {
    struct past *p = container_of(item, struct past, item);
    for (size_t i = 0; i < p->asked_count && !atomic_load(&p->agent->stopping); i++) {
        struct question *q = &p->asked[i];
        for (unsigned n = 0; n < q->name_count && !q->answered; n++) {
            struct manifest m;
            struct err err;
            if (store_read_manifest(p->store, q->names[n], &m, &err) < 0) {
                log_error(LOG_DEBUG, &err, "who made a hole could not be read", "manifest", q->names[n], NULL);
                continue;
            }
            q->answered = answer_from(q, &m);
            manifest_done(&m);
        }
    }
}

static void take_answer(struct agent *agent, const struct question *q) {
    for (size_t i = 0; i < agent->database_count; i++) {
        struct database *db = agent->databases[i];
        if (db->catalog_id != q->catalog_id)
            continue;
        bool known = false;
        for (unsigned h = 0; h < db->hole_count; h++) {
            struct chain_hole *hole = &db->holes[h];
            if (hole->incarnation != q->incarnation || lsn_cmp(hole->from_lsn, q->from_lsn))
                continue;
            known = true;
            if (explained(hole))
                continue;
            hole->cause = q->answer.cause;
            hole->cause_at = q->answer.cause_at;
            str_copy(hole->who, sizeof(hole->who), q->answer.who);
            str_copy(hole->device, sizeof(hole->device), q->answer.device);
        }
        /* what damage tore is whole again when nothing is damaged any more, whatever was written down then */
        bool mended = q->answer.cause == CHAIN_HOLE_STORE_DAMAGED && !damage_count_of(agent, db->folder);
        if (!known && !mended)
            databases_keep_hole(db, &q->answer);
    }
}

static void ask_done(struct pool_item *item) {
    struct past *p = container_of(item, struct past, item);
    struct agent *agent = p->agent;
    keeper_put_store(agent->keeper, p->store);
    p->store = NULL;
    p->asking = false;
    for (size_t i = 0; i < p->asked_count; i++)
        if (p->asked[i].answered)
            take_answer(agent, &p->asked[i]);
    mem_free(p->asked);
    p->asked = NULL;
    p->asked_count = 0;
    if (!atomic_load(&agent->stopping))
        past_ask(agent); /* what was noted meanwhile */
}

void past_ask(struct agent *agent) {
    struct past *p = agent->past;
    if (!p || p->asking || !p->waiting_count)
        return;
    p->store = keeper_take_store(agent->keeper);
    if (!p->store)
        return; /* asked again when it is there */
    p->asked = p->waiting;
    p->asked_count = p->waiting_count;
    p->waiting = NULL;
    p->waiting_count = p->waiting_cap = 0;
    p->item = (struct pool_item){.work = ask_work, .done = ask_done};
    p->asking = pool_submit(agent->ship_data, &p->item);
    if (p->asking)
        return;
    keeper_put_store(agent->keeper, p->store);
    p->store = NULL;
    p->waiting = p->asked;
    p->waiting_count = p->waiting_cap = p->asked_count;
    p->asked = NULL;
    p->asked_count = 0;
}

void past_free(struct agent *agent) {
    struct past *p = agent->past;
    if (!p)
        return;
    mem_free(p->asked);
    mem_free(p->waiting);
    mem_free(p);
    agent->past = NULL;
}

struct chain_hole past_open_hole(const struct database *db) {
    struct chain_hole none = {0};
    if (!db->hole_count)
        return none;
    const struct chain_hole *newest = &db->holes[db->hole_count - 1];
    return lsn_is_zero(newest->until_lsn) ? *newest : none;
}
