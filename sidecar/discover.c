/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The regular look at the server: is it there, which databases, in which state, may we back them up. The list is read often, each
 * database's state once a minute or when it is new: that is how a chain that somebody broke is seen before the next log is due.
 */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/trial.h"
#include "common/sql/connect.h"
#include "common/sql/grant.h"
#include "common/sql/history.h"
#include "sidecar/agent.h"
#include "sidecar/conditions.h"
#include "sidecar/describe.h"
#include "sidecar/instruments.h"
#include "sidecar/job/job.h"
#include "sidecar/past.h"

#define LIST_S 10.0
#define STATE_US (60 * CLOCK_SECOND)
#define ACCESS_US (300 * CLOCK_SECOND)
#define HISTORY_US (6 * CLOCK_HOUR)
#define HISTORY_LAG_US (10 * CLOCK_MINUTE)
#define HISTORY_FIRST 10000 /* rows that are looked at after a start */

struct looked {
    char name[SQL_NAME_MAX];
    bool ok;
    struct chain_server_state state;
    struct sql_sizes sizes;
};

/* One look, done by the control worker. */
struct look {
    struct pool_item item;
    struct agent *agent;
    bool want_access, want_prune;
    unsigned keep_days;
    int64_t pruned_at;
    char (*fresh)[SQL_NAME_MAX]; /* databases whose state was read lately: left out */
    size_t fresh_count;

    int64_t begun_us;
    struct err err;
    struct sql_server server;
    struct sql_database_list list;
    struct looked *states;
    size_t state_count;
    struct sql_access_list access;
    bool access_read;
    unsigned granted;
    int64_t last_id;
};

static bool is_fresh(const struct look *look, const char *name) {
    for (size_t i = 0; i < look->fresh_count; i++)
        if (str_ieq(look->fresh[i], name))
            return true;
    return false;
}

static void look_at_states(struct look *look, struct sql_session *session) {
    look->states = mem_array(look->list.count + 1, sizeof(*look->states));
    for (size_t i = 0; i < look->list.count; i++) {
        const struct sql_database *db = &look->list.items[i];
        if (is_fresh(look, db->name) || db->snapshot || restore_trial_is_scratch(db->name))
            continue; /* a session of ours in a scratch database would be in the way of its trial */
        struct looked *l = &look->states[look->state_count++];
        struct err err;
        str_copy(l->name, sizeof(l->name), db->name);
        struct sql_look found;
        l->ok = sql_database_look(session, db, SQL_LOOK_ALL, false, &found, &err) == 0;
        if (l->ok) {
            l->state = found.state;
            l->sizes = found.sizes;
        }
        l->state.full_only = str_ieq(db->name, "master");
        l->state.sampled_at = look->server.clock.server_at;
        if (!l->ok && !sql_session_alive(session))
            return;
    }
}

/* Databases without our user (restored or attached ones) get it when the administrator's login is there. */
static void grant_missing(struct look *look) {
    struct agent *agent = look->agent;
    struct sql_session *admin = NULL;
    struct err err;
    for (size_t i = 0; i < look->access.count; i++) {
        struct sql_access *a = &look->access.items[i];
        if (!a->asked || (a->data && a->log) || !sessions_has_admin(agent->sessions))
            continue;
        if (!admin && sessions_take(agent->sessions, SESSIONS_ADMIN, &admin, &err) < 0) {
            log_error(LOG_WARN, &err, "administrator's login could not be used to grant rights", NULL);
            return;
        }
        for (size_t k = 0; k < look->list.count; k++)
            if (look->list.items[k].id == a->database_id &&
                sql_grant_database(admin, agent->config->sql.user, look->list.items[k].name, &err) == 0) {
                a->data = a->log = true;
                look->granted++;
                log_event(LOG_INFO, "granted the backup rights", "database", look->list.items[k].name, NULL);
            }
    }
    sessions_give(agent->sessions, SESSIONS_ADMIN, admin);
}

static void read_access(struct look *look, struct sql_session *session) {
    struct err err;
    struct sql_database_list asked = {.items = mem_array(look->list.count + 1, sizeof(*asked.items))};
    for (size_t i = 0; i < look->list.count; i++)
        if (!restore_trial_is_scratch(look->list.items[i].name)) /* nor is a user made in one */
            asked.items[asked.count++] = look->list.items[i];
    look->access_read = sql_access_read(session, &asked, &look->access, &err) == 0;
    mem_free(asked.items);
    if (!look->access_read) {
        log_error(LOG_WARN, &err, "rights in the databases could not be read", NULL);
        return;
    }
    grant_missing(look);
}

static void prune_history(struct look *look, struct sql_session *session) {
    struct err err;
    bool more = true;
    for (unsigned i = 0; more && i < 30; i++)
        if (sql_history_prune(session, &look->server.clock, look->keep_days, &more, &err) < 0) {
            log_error(LOG_WARN, &err, "old backup history in msdb could not be removed", NULL);
            return;
        }
    look->pruned_at = clock_wall();
}

static int look_with(struct look *look, struct sql_session *session, struct err *err) {
    if (sql_server_read(session, &look->server, err) < 0 ||
        sql_databases_read(session, &look->server.clock, &look->list, err) < 0)
        return -1;
    look_at_states(look, session);
    if (look->want_access)
        read_access(look, session);
    if (look->want_prune)
        prune_history(look, session);
    if (sql_history_last_id(session, &look->last_id, err) < 0)
        err_clear(err); /* only names who broke a chain */
    return 0;
}

/* The daemon's login is refused, and an administrator's is there: the first start on a new server, or a new password. */
static int make_login(struct agent *agent, struct err *err) {
    struct sql_session *admin = NULL;
    if (sessions_take(agent->sessions, SESSIONS_ADMIN, &admin, err) < 0)
        return err_context(err, "administrator's login");
    struct secret *password = sessions_password(agent->sessions);
    int rc = sql_grant_login(admin, agent->config->sql.user, password, err);
    struct sql_database_list all = {0};
    struct sql_grant_result granted;
    struct sql_clock clock;
    if (rc == 0 && sql_clock_read(admin, &clock, err) == 0 && sql_databases_read(admin, &clock, &all, err) == 0)
        rc = sql_grant_all(admin, agent->config->sql.user, &all, &granted, err);
    sql_databases_done(&all);
    secret_free(password);
    sessions_give(agent->sessions, SESSIONS_ADMIN, admin);
    if (rc == 0)
        log_event(LOG_INFO, "made the login for backups and granted its rights", "login", agent->config->sql.user, NULL);
    return rc;
}

static int take_session(struct look *look, struct sql_session **ret_session) {
    struct agent *agent = look->agent;
    if (sessions_take(agent->sessions, SESSIONS_DAEMON, ret_session, &look->err) == 0)
        return 0;
    if (look->err.class != ERR_AUTH || !sessions_has_admin(agent->sessions))
        return -1;
    struct err err;
    if (make_login(agent, &err) < 0) {
        log_error(LOG_WARN, &err, "the login for backups could not be made", NULL);
        return -1;
    }
    err_clear(&look->err);
    return sessions_take(agent->sessions, SESSIONS_DAEMON, ret_session, &look->err);
}

static void look_work(struct pool_item *item) {
    struct look *look = container_of(item, struct look, item);
    struct sql_session *session = NULL;
    if (take_session(look, &session) < 0)
        return;
    (void)!look_with(look, session, &look->err); /* the class of err is the result */
    sessions_give(look->agent->sessions, SESSIONS_DAEMON, session);
}

/* ---- on the loop ---- */

static void look_free(struct look *look) {
    sql_databases_done(&look->list);
    sql_access_done(&look->access);
    mem_free(look->states);
    mem_free(look->fresh);
    mem_free(look);
}

static void again_after(struct agent *agent, double seconds) {
    ev_timer_stop(agent->loop, &agent->discover_timer);
    ev_timer_set(&agent->discover_timer, seconds, 0.);
    ev_timer_start(agent->loop, &agent->discover_timer);
}

static void failed(struct agent *agent, const struct err *err) {
    bool told = !agent->server_reachable && agent->server_err.class == err->class && agent->discover_failures;
    agent->server_reachable = false;
    agent->server_err = *err;
    agent->server_err_at = clock_wall();
    agent->discover_failures++;
    if (!told)
        log_error(LOG_ERROR, err, "SQL Server cannot be looked at", NULL);
    sessions_close_idle(agent->sessions);
    conditions_update(agent);
    again_after(agent, (double)sql_backoff_next_ms(&agent->backoff, err) / 1000.0);
}

static void reached(struct agent *agent, const struct look *look) {
    if (!agent->server_reachable) {
        log_event(LOG_INFO, "SQL Server is reachable", "version", look->server.version, "edition", look->server.edition, NULL);
        agent->connected_at = clock_wall();
    }
    agent->server = look->server;
    agent->server_known = agent->server_reachable = true;
    agent->discover_failures = 0;
    err_clear(&agent->server_err);
    sql_backoff_reset(&agent->backoff);
}

static void take_access(struct agent *agent, const struct look *look) {
    if (!look->access_read)
        return;
    agent->access_at = clock_wall();
    agent->login_sufficient = true;
    for (size_t i = 0; i < look->access.count; i++) {
        const struct sql_access *a = &look->access.items[i];
        for (size_t k = 0; k < agent->database_count; k++) {
            struct database *db = agent->databases[k];
            if (!db->present || db->info.id != a->database_id || !a->asked)
                continue;
            db->access_known = true;
            db->may_data = a->data;
            db->may_log = a->log;
            if (database_wanted(db) && !(a->data && a->log))
                agent->login_sufficient = false;
        }
    }
}

static void take_states(struct agent *agent, const struct look *look) {
    for (size_t i = 0; i < look->state_count; i++) {
        const struct looked *l = &look->states[i];
        struct database *db = databases_find(agent, l->name);
        if (!db || !l->ok)
            continue;
        if (db->running[LANE_DATA] || db->running[LANE_LOG] || db->restoring)
            continue; /* the job has its own look, and what a restore has is not to be judged */
        if (databases_looked(agent, db, &l->state, &l->sizes, look->begun_us))
            databases_judge(agent, db, NULL, 0);
    }
}

/* Who broke a chain is looked for among the rows since then. A break is seen within a minute, so ten are enough, and the rows stay few also
 * where an Agent job adds one every minute. */
static void note_history(struct agent *agent, int64_t last_id) {
    int64_t now = clock_wall();
    if (agent->history_at && now >= agent->history_at && now - agent->history_at < HISTORY_LAG_US)
        return;
    agent->foreign_id = agent->history_at ? agent->history_id : last_id > HISTORY_FIRST ? last_id - HISTORY_FIRST : 0;
    agent->history_id = last_id;
    agent->history_at = now;
}

static void look_done(struct pool_item *item) {
    struct look *look = container_of(item, struct look, item);
    struct agent *agent = look->agent;
    agent->discovering = false;
    if (look->err.class != ERR_NONE) {
        failed(agent, &look->err);
        look_free(look);
        return;
    }
    reached(agent, look);
    databases_update(agent, &look->list);
    take_access(agent, look);
    take_states(agent, look);
    if (look->pruned_at)
        agent->pruned_at = look->pruned_at;
    note_history(agent, look->last_id);
    look_free(look);
    agent->server_listed = true;
    databases_forget_gone(agent);
    past_ask(agent);
    agent_drain_looked(agent);
    describe_instance(agent);
    conditions_update(agent);
    scheduler_wake(agent);
    again_after(agent, LIST_S);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int events) {
    (void)loop, (void)events;
    struct agent *agent = w->data;
    if (agent->discovering)
        return;
    int64_t now = clock_wall();
    struct look *look = mem_alloc(sizeof(*look));
    look->agent = agent;
    look->begun_us = clock_mono_us();
    look->item = (struct pool_item){.work = look_work, .done = look_done};
    look->want_access = !agent->access_at || now - agent->access_at > ACCESS_US || now < agent->access_at;
    look->keep_days = (unsigned)agent->policy->msdb_history_days;
    look->want_prune = look->keep_days && (now - agent->pruned_at > HISTORY_US || now < agent->pruned_at) && agent->access_at;
    look->fresh = mem_array(agent->database_count + 1, sizeof(*look->fresh));
    for (size_t i = 0; i < agent->database_count; i++) {
        const struct database *db = agent->databases[i];
        if (db->server_known && db->looked_at <= now && now - db->looked_at < STATE_US)
            str_copy(look->fresh[look->fresh_count++], sizeof(look->fresh[0]), db->name);
        if (db->present && !db->access_known && !db->info.auto_close && !db->info.in_group && !db->info.snapshot &&
            db->info.state == SQL_DB_ONLINE && !restore_trial_is_scratch(db->name))
            look->want_access = true;
    }
    agent->discovering = pool_submit(agent->control, &look->item);
    if (!agent->discovering)
        look_free(look);
}

void discover_start(struct agent *agent) {
    ev_init(&agent->discover_timer, on_timer);
    agent->discover_timer.data = agent;
    again_after(agent, 0.);
}

void discover_soon(struct agent *agent) {
    if (agent->opened && !agent->discovering)
        again_after(agent, 0.05);
}

void discover_stop(struct agent *agent) {
    ev_timer_stop(agent->loop, &agent->discover_timer);
}
