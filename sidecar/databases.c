/* SPDX-License-Identifier: Apache-2.0 */
/* The table of databases. Jobs point at entries: one is freed only when nothing uses it any more (gone.c). */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/trial.h"
#include "sidecar/agent.h"
#include "sidecar/instruments.h"
#include "sidecar/job/job.h"
#include "sidecar/job/park.h"
#include "sidecar/past.h"
#include "sidecar/pause.h"

/* The store answers within this time, or the catalog is believed as it is. */
#define STORE_PATIENCE_US CLOCK_MINUTE

static struct database *find_exactly(struct agent *agent, const char *name) {
    for (size_t i = 0; i < agent->database_count; i++)
        if (!strcmp(agent->databases[i]->name, name))
            return agent->databases[i];
    return NULL;
}

struct database *databases_find(struct agent *agent, const char *name) {
    struct database *exact = find_exactly(agent, name);
    if (exact)
        return exact;
    for (size_t i = 0; i < agent->database_count; i++)
        if (str_ieq(agent->databases[i]->name, name))
            return agent->databases[i];
    return NULL;
}

static struct database *add(struct agent *agent, const char *name) {
    struct database *db = mem_alloc(sizeof(*db));
    db->name = mem_strdup(name);
    db->catalog_id = CATALOG_NONE;
    chain_tip_init(&db->taken);
    chain_tip_init(&db->committed);
    db->rules = policy_for_database(agent->policy, name, &db->scope);
    agent->databases = mem_grow(agent->databases, &agent->database_cap, agent->database_count + 1, sizeof(struct database *));
    agent->databases[agent->database_count++] = db;
    return db;
}

struct database *databases_find_or_add(struct agent *agent, const char *name) {
    struct database *db = databases_find(agent, name);
    return db ? db : add(agent, name);
}

int64_t database_quiet_until(const struct database *db) {
    if (chain_tip_end_is_unreadable(&db->committed))
        return 0; /* it was said of a log that the store lost */
    bool stored = guid_eq(&db->committed.last_log.set, &db->taken.last_log.set) &&
                  !lsn_cmp(db->committed.log_lsn, db->taken.log_lsn);
    return stored && !db->ship[LANE_LOG].head ? db->quiet_until_at : 0;
}

void databases_note_window(struct database *db) {
    struct chain_window w;
    chain_tip_window(&db->committed, 0, &w);
    if (w.any)
        db->last_window = w;
}

void database_window(const struct database *db, struct chain_window *ret_window) {
    struct chain_window w;
    chain_tip_window(&db->committed, database_quiet_until(db), &w);
    if (!w.any && db->last_window.any) {
        bool broken = w.broken;
        w = db->last_window;
        w.broken = broken;
    }
    *ret_window = w;
}

bool database_wanted(const struct database *db) {
    return db->present && db->scope == POLICY_IN && !db->info.snapshot && !db->copy && !restore_trial_is_scratch(db->name);
}

void databases_skip(struct database *db, const char *reason, const char *text) {
    str_copy(db->skip, sizeof(db->skip), reason);
    mem_free(db->skip_text);
    db->skip_text = *text ? mem_strdup(text) : NULL;
}

/* When a kind last ran, from what the store has: the schedule goes on across restarts. */
static void init_due(struct database *db) {
    int64_t now = clock_wall();
    const int64_t last[POLICY_KIND_COUNT] = {
        [POLICY_FULL] = db->taken.last_full.finish_at,
        [POLICY_DIFF] = db->taken.last_diff.finish_at > db->taken.last_full.finish_at ? db->taken.last_diff.finish_at
                                                                                      : db->taken.last_full.finish_at,
        [POLICY_LOG] = db->taken.last_log.finish_at,
    };
    for (unsigned kind = 0; kind < POLICY_KIND_COUNT; kind++) /* what began since is newer than what the store has */
        if (!db->due[kind].seen_at || last[kind] > db->due[kind].last_at)
            due_init(&db->due[kind], last[kind], now);
}

static const struct catalog_database *find_in_catalog(const struct catalog *catalog, const struct database *db) {
    if (db->server_known && !guid_is_zero(&db->server.family_guid))
        return catalog_database_by_guid(catalog, &db->server.family_guid, &db->server.database_guid);
    /* not asked yet: the newest of this name, so that status has something to say while the server is away */
    const struct catalog_database *found = NULL;
    for (uint32_t id = 0; id < catalog_database_count(catalog); id++) {
        const struct catalog_database *cd = catalog_database_at(catalog, id);
        if (str_ieq(cd->name, db->name) && (!found || cd->id > found->id))
            found = cd;
    }
    return found;
}

static void add_to_tip(void *tip, const struct backup *set) {
    chain_tip_add(tip, set);
}

static void add_staged(struct database *db) {
    for (enum lane lane = 0; lane < LANE_COUNT; lane++)
        park_each(&db->ship[lane], add_to_tip, &db->taken);
}

void databases_keep_hole(struct database *db, const struct chain_hole *hole) {
    if (!db->holes)
        db->holes = mem_array(RECENT_HOLES_MAX, sizeof(*db->holes));
    if (db->hole_count == RECENT_HOLES_MAX) {
        memmove(db->holes, db->holes + 1, (RECENT_HOLES_MAX - 1) * sizeof(*db->holes));
        db->hole_count--;
    }
    db->holes[db->hole_count++] = *hole;
    db->holes_total++;
}

/* A chain that is broken now was restorable once. */
static void load_window(struct database *db, const struct chain_intervals *intervals) {
    databases_note_window(db);
    if (db->last_window.any || !intervals->count)
        return;
    const struct chain_interval *newest = &intervals->intervals[intervals->count - 1];
    db->last_window = (struct chain_window){.any = true,
                                            .from = {.lsn = newest->from_lsn, .at = newest->from_at, .set = newest->begins},
                                            .until_lsn = newest->until_lsn,
                                            .until_at = newest->until_at,
                                            .latest_lsn = newest->until_lsn,
                                            .latest_at = newest->until_at,
                                            .off_volume_until_at = intervals->off_volume_until_at};
}

/* Holes of before the restart, as far as the backups themselves tell of them. */
static void load_holes(struct database *db, const struct chain_history *history) {
    struct chain_interval_input input = {.history = history};
    struct chain_intervals intervals;
    chain_intervals_build(&input, &intervals);
    load_window(db, &intervals);
    bool fresh = !db->hole_count; /* else they are known, and who made them */
    for (size_t i = 0; i < intervals.hole_count && fresh; i++)
        if (intervals.holes[i].cause != CHAIN_HOLE_LOG_PENDING)
            databases_keep_hole(db, &intervals.holes[i]);
    chain_intervals_done(&intervals);
}

void databases_load_tips(struct agent *agent, struct database *db) {
    struct catalog *catalog = keeper_catalog(agent->keeper);
    if (!catalog)
        return;
    if (!agent->store_asked && clock_mono_us() - agent->started_us < STORE_PATIENCE_US)
        return; /* a crash may have left the newest sets out of the catalog: a tip without them looks like a broken chain */
    const struct catalog_database *cd = find_in_catalog(catalog, db);
    struct backup *sets = NULL;
    size_t count = 0;
    struct err err;
    if (cd && catalog_load(catalog, cd->id, &sets, &count, &err) < 0) {
        log_error(LOG_ERROR, &err, "catalog could not be read", "database", db->name, NULL);
        return;
    }
    chain_tip_init(&db->committed);
    db->sets = db->stored_bytes = 0;
    db->catalog_id = CATALOG_NONE;
    db->folder[0] = 0;
    if (cd) {
        struct chain_history history;
        db->catalog_id = cd->id;
        str_copy(db->folder, sizeof(db->folder), cd->folder);
        chain_history_init(&history, sets, count);
        chain_tip_from_history(&db->committed, &history);
        load_holes(db, &history);
        chain_history_done(&history);
        db->sets = count;
        for (size_t i = 0; i < count; i++)
            db->stored_bytes += sets[i].stored_bytes;
        mem_free(sets);
        catalog_release_pages(catalog);
    }
    db->taken = db->committed;
    add_staged(db);
    db->tips_known = true;
    init_due(db);
    past_load(agent, db);
}

void databases_load_all_tips(struct agent *agent) {
    for (size_t i = 0; i < agent->database_count; i++) {
        databases_load_tips(agent, agent->databases[i]);
        databases_judge(agent, agent->databases[i], NULL, 0);
    }
}

void databases_add_hole(struct agent *agent, struct database *db, const struct chain_hole *hole) {
    if (hole->cause == CHAIN_HOLE_NONE || hole->cause == CHAIN_HOLE_LOG_PENDING)
        return;
    struct chain_hole seen = *hole;
    if (seen.from_at && seen.from_at < db->quiet_until_at && lsn_cmp(seen.from_lsn, db->taken.log_lsn) == 0)
        seen.from_at = db->quiet_until_at; /* nothing was committed until then: those moments are in the last log */
    hole = &seen;
    for (unsigned i = 0; i < db->hole_count; i++) {
        struct chain_hole *known = &db->holes[i];
        if (known->incarnation != hole->incarnation || lsn_cmp(known->from_lsn, hole->from_lsn))
            continue;
        /* the same one: closed by now, or with a better cause than "a log is missing" */
        if (known->cause == CHAIN_HOLE_LOG_MISSING || (known->cause == hole->cause && !known->who[0])) {
            *known = *hole;
        } else if (!lsn_is_zero(hole->until_lsn)) {
            known->until_lsn = hole->until_lsn;
            known->until_at = hole->until_at;
        }
        return;
    }
    databases_keep_hole(db, hole);
    char text[CHAIN_TEXT_MAX];
    log_event(LOG_ERROR, "hole in the log chain", "database", db->name, "cause", chain_hole_cause_word(hole->cause), "by",
              hole->who, "device", hole->device, "detail", chain_hole_text(text, hole), NULL);
    instruments_hole(agent, db, hole);
}

void databases_judge(struct agent *agent, struct database *db, const struct chain_foreign *foreign, size_t foreign_count) {
    if (!db->server_known || !db->tips_known || db->restoring)
        return; /* and what a restore has is not to be judged */
    int64_t now = clock_wall();
    const struct pause *pause = pause_of(agent, db->name, now);
    db->memory.paused = pause != NULL;
    if (pause) {
        db->memory.paused_at = pause->since_at;
        str_copy(db->memory.paused_reason, sizeof(db->memory.paused_reason), pause->reason);
        str_copy(db->memory.paused_by, sizeof(db->memory.paused_by), pause->by);
    }
    struct chain_view view = {
        .tip = &db->taken,
        .server = &db->server,
        .memory = &db->memory,
        .foreign = foreign,
        .foreign_count = foreign_count,
    };
    struct chain_status fresh;
    chain_state_of(&view, now, &fresh);
    bool foreign_known = db->status.reason == CHAIN_REASON_FOREIGN_LOG || db->status.reason == CHAIN_REASON_FOREIGN_LOG_NUL;
    bool same_break = fresh.has_hole && db->status.has_hole && !lsn_cmp(fresh.hole.from_lsn, db->status.hole.from_lsn);
    if (fresh.state == CHAIN_BROKEN && db->status.state == CHAIN_BROKEN && fresh.reason == CHAIN_REASON_LOG_MISSING &&
        foreign_known && (same_break || !foreign_count))
        fresh = db->status; /* without msdb's rows, or with other ones, it only looks like nobody's */
    bool same_cause = db->status.reason == fresh.reason && db->status.state == fresh.state;
    if (same_cause && !fresh.who[0]) { /* who it was is asked for once */
        memcpy(fresh.who, db->status.who, sizeof(fresh.who));
        memcpy(fresh.device, db->status.device, sizeof(fresh.device));
    }
    if (!same_cause && db->memory.since) {
        enum log_level level = fresh.state == CHAIN_BROKEN ? LOG_ERROR : LOG_INFO;
        log_event(level, "chain state changed", "database", db->name, "from", chain_state_name(db->memory.state), "to",
                  chain_state_name(fresh.state), "reason", chain_reason_word(fresh.reason), "by", fresh.who, "detail", fresh.text,
                  NULL);
    }
    db->memory.state = fresh.state;
    db->memory.reason = fresh.reason;
    db->memory.since = fresh.since;
    db->status = fresh;
    if (fresh.has_hole && fresh.state == CHAIN_BROKEN)
        databases_add_hole(agent, db, &fresh.hole);
    if (fresh.state == CHAIN_BROKEN || fresh.state == CHAIN_AWAITING_FIRST_FULL)
        db->heal_now = true;
}

void databases_taken(struct database *db, const struct backup *set) {
    struct chain_server_state *s = &db->server;
    chain_tip_add(&db->taken, set);
    db->tip_changed_us = clock_mono_us();
    if (backup_has(set, BACKUP_COPY_ONLY))
        return;
    if (set->kind == BACKUP_LOG)
        s->last_log_backup_lsn = set->last_lsn;
    if (set->kind == BACKUP_FULL) {
        s->differential_base_guid = set->set_guid;
        s->differential_base_lsn = set->checkpoint_lsn;
        s->modified_pages = 0;
    }
    if (set->kind != BACKUP_LOG && lsn_is_zero(s->last_log_backup_lsn) && s->model != CHAIN_MODEL_SIMPLE)
        s->last_log_backup_lsn = set->last_lsn; /* the first data backup begins a log chain; the next look says where exactly */
    if (lsn_cmp(s->log_end_lsn, set->last_lsn) < 0)
        s->log_end_lsn = set->last_lsn;
}

bool databases_looked(struct agent *agent, struct database *db, const struct chain_server_state *server,
                      const struct sql_sizes *sizes, int64_t begun_us) {
    if (db->server_known && db->tip_changed_us >= begun_us)
        return false;
    struct chain_server_state seen = *server;
    struct sql_sizes seen_sizes = *sizes;
    sql_extents_keep(&seen, &seen_sizes, &db->server, &db->sizes);
    bool readable = server->online && !guid_is_zero(&server->recovery_fork_guid);
    bool other = db->server_known && readable &&
                 (!guid_eq(&db->server.family_guid, &server->family_guid) ||
                  !guid_eq(&db->server.database_guid, &server->database_guid));
    if (readable) {
        bool first = !db->server_known;
        db->server = seen;
        db->server_known = true;
        if (first || (other && !db->taken.known))
            databases_load_tips(agent, db);
    } else if (db->server_known) {
        db->server.online = server->online;
    }
    db->sizes = seen_sizes;
    if (sizes->extents_asked) /* the regular look goes on beside those of log backups */
        db->looked_at = clock_wall();
    return true;
}

static void appeared(struct agent *agent, struct database *db) {
    db->present = true;
    db->gone_at = 0;
    db->server_known = false;
    db->heal_now = true;
    if (restore_trial_is_scratch(db->name)) {
        log_event(LOG_INFO, "scratch database of a trial restore found; it is left alone", "database", db->name, NULL);
        return;
    }
    log_event(LOG_INFO, "database found", "database", db->name, "recovery_model",
              db->info.recovery == SQL_RECOVERY_SIMPLE ? "SIMPLE"
              : db->info.recovery == SQL_RECOVERY_FULL ? "FULL"
                                                       : "BULK_LOGGED",
              NULL);
    (void)agent;
}

static void disappeared(struct agent *agent, struct database *db) {
    db->present = false;
    db->gone_at = clock_wall();
    db->server_known = false;
    if (restore_trial_is_scratch(db->name))
        log_event(LOG_INFO, "scratch database of a trial restore is gone", "database", db->name, NULL);
    else
        log_event(LOG_WARN, "database is gone from the server; its backups stay", "database", db->name, NULL);
    instruments_forget(agent, db);
}

/* A rename keeps the chain: same id, same creation date, another name. */
static struct database *renamed_from(struct agent *agent, const struct sql_database *info, const struct sql_database_list *list) {
    for (size_t i = 0; i < agent->database_count; i++) {
        struct database *db = agent->databases[i];
        if (db->present && db->info.id == info->id && db->info.created_at == info->created_at &&
            !sql_databases_find(list, db->name))
            return db;
    }
    return NULL;
}

static struct database *entry_for(struct agent *agent, const struct sql_database *info, const struct sql_database_list *list) {
    /* with a case-sensitive collation [Sales] and [SALES] are two databases: the server's own list is taken to the letter */
    struct database *db = find_exactly(agent, info->name);
    if (db)
        return db;
    db = renamed_from(agent, info, list);
    if (!db)
        return add(agent, info->name);
    log_event(LOG_INFO, "database was renamed; its chain goes on", "from", db->name, "to", info->name, NULL);
    instruments_forget(agent, db);
    mem_free(db->name);
    db->name = mem_strdup(info->name);
    db->rules = policy_for_database(agent->policy, db->name, &db->scope);
    return db;
}

/* Creation dates are local time with today's offset: at a change to or from summer time they all move, by half an hour or a whole one. */
static bool same_creation(int64_t before, int64_t now) {
    int64_t moved = before > now ? before - now : now - before;
    return moved == 0 || moved == CLOCK_HOUR / 2 || moved == CLOCK_HOUR;
}

void databases_update(struct agent *agent, const struct sql_database_list *list) {
    for (size_t i = 0; i < list->count; i++) {
        const struct sql_database *info = &list->items[i];
        struct database *db = entry_for(agent, info, list);
        bool recreated = db->present && (db->info.id != info->id || !same_creation(db->info.created_at, info->created_at));
        bool was = db->present && !recreated;
        db->info = *info;
        if (!was)
            appeared(agent, db);
    }
    for (size_t i = 0; i < agent->database_count; i++) {
        struct database *db = agent->databases[i];
        if (db->present && !sql_databases_find(list, db->name))
            disappeared(agent, db);
    }
}

static bool same_text(const char *a, const char *b) {
    return a && b ? !strcmp(a, b) : a == b;
}

static bool same_list(const struct conf_list *a, const struct conf_list *b) {
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++)
        same = same_text(a->items[i], b->items[i]);
    return same;
}

static bool same_schedule(const struct policy_rules *a, const struct policy_rules *b) {
    return a->full_enabled == b->full_enabled && a->diff_enabled == b->diff_enabled && a->log_enabled == b->log_enabled &&
           same_text(a->full_schedule, b->full_schedule) && same_text(a->diff_schedule, b->diff_schedule) &&
           a->log_interval_ms == b->log_interval_ms && same_text(a->time_zone, b->time_zone) && a->jitter_ms == b->jitter_ms &&
           a->missed == b->missed && same_list(&a->blackout_texts, &b->blackout_texts);
}

void databases_apply_policy(struct agent *agent) {
    int64_t now = clock_wall();
    for (size_t i = 0; i < agent->database_count; i++) {
        struct database *db = agent->databases[i];
        const struct policy_rules *before = db->rules;
        db->rules = policy_for_database(agent->policy, db->name, &db->scope);
        /* what is due and waits for a worker, or is to be tried again, stays so when another part of the file changed */
        for (unsigned kind = 0; kind < POLICY_KIND_COUNT && !(before && db->rules && same_schedule(before, db->rules)); kind++)
            due_rule_changed(&db->due[kind], now);
        if (!db->running[LANE_DATA] && !db->running[LANE_LOG])
            databases_skip(db, "", "");
        databases_judge(agent, db, NULL, 0);
    }
}

void database_free(struct database *db) {
    for (enum lane lane = 0; lane < LANE_COUNT; lane++)
        park_free(&db->ship[lane]);
    mem_free(db->name);
    mem_free(db->skip_text);
    mem_free(db->holes);
    mem_free(db);
}

void databases_free(struct agent *agent) {
    for (size_t i = 0; i < agent->database_count; i++)
        database_free(agent->databases[i]);
    while (agent->resuming) {
        struct job *job = agent->resuming;
        agent->resuming = job->next;
        job_free(job);
    }
    mem_free(agent->databases);
}
