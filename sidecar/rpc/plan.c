/* SPDX-License-Identifier: Apache-2.0 */
/* PlanRestore: the dry run, and which moments there are. */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "mssql/v1/sidecar.pb-c.h"
#include "sidecar/restore/message.h"
#include "sidecar/restore/runs_int.h"
#include "sidecar/rpc/service.h"
#include "sidecar/status.h"

struct plan {
    struct pool_item item;
    struct agent *agent;
    struct rpc_call *call;
    struct restore_request request;
    struct work_place place;
    struct restore_report report;
    bool reported;
    struct err err;
};

/* Tails can be shipped here; a dry run takes none. */
static int no_tail(void *user, const struct restore_tail *tail, struct err *err) {
    (void)user, (void)tail;
    return err_set(err, ERR_INTERNAL, "a dry run ships nothing");
}

static void plan_work(struct pool_item *item) {
    struct plan *p = container_of(item, struct plan, item);
    struct restore_env env;
    if (work_place_enter(&p->place, &env, &p->err) < 0)
        return;
    env.ship_tail = no_tail;
    env.journal_dir = p->agent->config->paths.state; /* nothing is written there by a dry run */
    if (restore_prepare(&env, &p->request, &p->report, &p->err) == 0)
        err_clear(&p->err); /* ways that were tried on the way */
    p->reported = true;
    work_place_leave(&p->place);
}

/* The moments of one chain, by the catalog. */
static Mssql__V1__RestoreWindow *window_of(struct agent *agent, const char *name, const char *folder) {
    struct catalog *catalog = keeper_catalog(agent->keeper);
    const struct catalog_database *cd = catalog ? catalog_database_by_folder(catalog, folder) : NULL;
    Mssql__V1__RestoreWindow *w = mem_alloc(sizeof(*w));
    mssql__v1__restore_window__init(w);
    w->database = mem_strdup(name);
    w->folder = mem_strdup(folder);
    struct backup *sets = NULL;
    size_t count = 0;
    struct err ignored; /* a window that is not told is no wrong one */
    if (!cd || catalog_load(catalog, cd->id, &sets, &count, &ignored) < 0)
        return w;
    const struct database *db = NULL;
    for (size_t i = 0; i < agent->database_count; i++)
        if (!strcmp(agent->databases[i]->folder, folder))
            db = agent->databases[i];
    struct chain_interval_input known = {.quiet_until_at = db ? database_quiet_until(db) : 0,
                                         .known = db ? db->holes : NULL,
                                         .known_count = db ? db->hole_count : 0};
    Mssql__V1__Chain *chain = mem_alloc(sizeof(*chain));
    mssql__v1__chain__init(chain);
    chain->database = mem_strdup(name);
    message_chain_sets(chain, sets, count, &known);
    w->intervals = chain->intervals;
    w->n_intervals = chain->n_intervals;
    w->holes = chain->holes;
    w->n_holes = chain->n_holes;
    chain->intervals = NULL;
    chain->n_intervals = 0;
    chain->holes = NULL;
    chain->n_holes = 0;
    mssql__v1__chain__free_unpacked(chain, NULL);
    mem_free(sets);
    catalog_release_pages(catalog);
    return w;
}

static void add_window(struct plan *p, Mssql__V1__PlanRestoreResponse *r, const char *name, const char *folder) {
    for (size_t i = 0; i < r->n_windows; i++)
        if (!strcmp(r->windows[i]->folder, folder))
            return;
    STATUS_APPEND(r, windows, window_of(p->agent, name, folder));
}

/* Also of what cannot be restored to the moment that was asked for: which moments can. */
static void add_windows(struct plan *p, Mssql__V1__PlanRestoreResponse *r) {
    struct catalog *catalog = keeper_catalog(p->agent->keeper);
    for (size_t i = 0; i < p->report.count; i++)
        if (p->report.results[i].folder[0])
            add_window(p, r, p->report.results[i].source, p->report.results[i].folder);
    for (uint32_t id = 0; catalog && id < catalog_database_count(catalog); id++) {
        const struct catalog_database *cd = catalog_database_at(catalog, id);
        for (size_t i = 0; i < p->request.wish_count; i++)
            if (str_ieq(p->request.wishes[i].database, cd->name) || !strcmp(p->request.wishes[i].database, cd->folder))
                add_window(p, r, cd->name, cd->folder);
    }
}

/* False when there is nothing to say but the error: no such database. */
static bool reply(struct plan *p) {
    Mssql__V1__PlanRestoreResponse *r = mem_alloc(sizeof(*r));
    mssql__v1__plan_restore_response__init(r);
    r->report = message_restore_report(&p->report);
    add_windows(p, r);
    bool anything = p->report.count || p->report.findings.count || r->n_windows;
    if (anything)
        rpc_call_reply(p->call, &r->base);
    mssql__v1__plan_restore_response__free_unpacked(r, NULL);
    return anything;
}

static void drop(struct plan *p) {
    if (p->reported)
        restore_report_done(&p->report);
    restore_request_done(&p->request);
    mem_free(p);
}

/* What was found out about databases is an answer; what kept it from being asked is an error. */
static bool is_answer(const struct plan *p) {
    switch (p->err.class) {
    case ERR_CONNECT:
    case ERR_AUTH:
    case ERR_STORE:
    case ERR_TIMEOUT:
    case ERR_INTERNAL:
        return false;
    default:
        return p->reported;
    }
}

static void plan_done(struct pool_item *item) {
    struct plan *p = container_of(item, struct plan, item);
    work_place_done(p->agent, &p->place);
    bool gone = !p->agent->rpc; /* the program ends, and so did the call */
    if (!gone && !(is_answer(p) && reply(p)))
        rpc_call_fail(p->call, &p->err);
    drop(p);
}

static int fill(struct agent *agent, const Mssql__V1__PlanRestoreRequest *q, struct plan *p, struct err *err) {
    if (message_restore_request(q->spec, &p->request, err) < 0)
        return -1;
    p->request.requested_at = clock_wall();
    if (restore_id_make(p->request.id, p->request.requested_at, err) < 0)
        return -1;
    restore_request_set(&p->request.scope, agent->scope);
    if (restore_request_check(&p->request, err) < 0 || work_place_init(agent, NULL, &p->place, err) < 0)
        return -1;
    p->item = (struct pool_item){.work = plan_work, .done = plan_done};
    if (restores_submit(agent, RESTORES_ASK, &p->item))
        return 0;
    work_place_done(agent, &p->place);
    return err_set(err, ERR_BUSY, "too many requests wait; try again");
}

void service_plan_restore(void *user, struct rpc_call *call, const ProtobufCMessage *request) {
    struct agent *agent = user;
    if (!service_opened(agent, call))
        return;
    struct plan *p = mem_alloc(sizeof(*p));
    struct err err;
    p->agent = agent;
    p->call = call;
    restore_request_init(&p->request);
    restore_request_done(&p->request);
    err_clear(&p->err);
    if (fill(agent, (const void *)request, p, &err) < 0) {
        rpc_call_fail(call, &err);
        drop(p);
    }
}
