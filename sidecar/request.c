/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/request.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "sidecar/job/job.h"

#define REQUESTS_MAX 64

static bool named(const struct request_spec *spec, const char *name) {
    for (size_t i = 0; i < spec->database_count; i++)
        if (str_glob(spec->databases[i], name))
            return true;
    return false;
}

/* A name that fits nothing is a mistake; a pattern may. */
static int check_names(struct agent *agent, const struct request_spec *spec, struct err *err) {
    for (size_t i = 0; i < spec->database_count; i++) {
        const char *name = spec->databases[i];
        struct database *db = databases_find(agent, name);
        if (strpbrk(name, "*?") || (db && db->present))
            continue;
        const char **known = mem_array(agent->database_count + 1, sizeof(*known));
        for (size_t k = 0; k < agent->database_count; k++)
            known[k] = agent->databases[k]->name;
        const char *near = str_nearest(name, known, agent->database_count);
        err_set(err, ERR_NOT_FOUND, "there is no database '%s' on this server", name);
        if (near)
            err_hint(err, "Did you mean '%s'?", near);
        mem_free(known);
        return -1;
    }
    return 0;
}

static void add_items(struct agent *agent, const struct request_spec *spec, struct request *r) {
    r->items = mem_array(agent->database_count + 1, sizeof(*r->items));
    for (size_t i = 0; i < agent->database_count; i++) {
        struct database *db = agent->databases[i];
        bool wanted = spec->database_count ? db->present && named(spec, db->name) : database_wanted(db);
        if (!wanted)
            continue;
        r->items[r->count++] = (struct request_item){
            .request = r,
            .db = db,
            .kind = spec->kind,
            .any_kind = spec->any_kind,
            .copy_only = spec->copy_only,
            .force = spec->force,
        };
    }
}

int request_new(struct agent *agent, const struct request_spec *spec, const struct request_events *events,
                struct request **ret_request, struct err *err) {
    if (agent->draining && strcmp(spec->trigger, "shutdown"))
        return err_set(err, ERR_STATE, "the sidecar is stopping");
    if (spec->id && strlen(spec->id) >= REQUEST_ID_MAX)
        return err_set(err, ERR_USAGE, "a request id has at most %d characters", REQUEST_ID_MAX - 1);
    unsigned waiting = 0;
    for (const struct request *r = agent->requests; r; r = r->next)
        waiting++;
    if (waiting >= REQUESTS_MAX && strcmp(spec->trigger, "shutdown"))
        return err_set(err, ERR_LIMIT, "%u requests are under way already: wait for some of them", waiting);
    if (!agent->server_known)
        return err_set(err, ERR_STATE, "SQL Server was not reached yet: %s", agent->server_err.text);
    if (check_names(agent, spec, err) < 0)
        return -1;
    struct request *r = mem_alloc(sizeof(*r));
    if (spec->id && *spec->id) {
        str_copy(r->id, sizeof(r->id), spec->id);
    } else {
        struct guid g;
        guid_random(&g);
        str_hex(r->id, g.bytes, sizeof(g.bytes));
    }
    str_copy(r->reason, sizeof(r->reason), spec->reason ? spec->reason : "");
    str_copy(r->trigger, sizeof(r->trigger), spec->trigger);
    r->cancel_on_disconnect = spec->cancel_on_disconnect;
    r->events = *events;
    add_items(agent, spec, r);
    if (!r->count) {
        mem_free(r->items);
        mem_free(r);
        return err_set(err, ERR_NOT_FOUND, "no database of this server fits the request");
    }
    r->next = agent->requests;
    agent->requests = r;
    *ret_request = r;
    scheduler_wake(agent);
    return 0;
}

struct request *request_find(struct agent *agent, const char *id) {
    for (struct request *r = agent->requests; r; r = r->next)
        if (!strcmp(r->id, id))
            return r;
    return NULL;
}

static void drop(struct agent *agent, struct request *request) {
    for (struct request **p = &agent->requests; *p; p = &(*p)->next) {
        if (*p == request) {
            *p = request->next;
            break;
        }
    }
    mem_free(request->items);
    mem_free(request);
}

static void finish_item(struct request_item *item, enum outcome outcome) {
    item->state = REQUEST_FINISHED;
    item->outcome = outcome;
    item->request->finished++;
    item->request->outcomes[outcome]++;
}

void request_detach(struct agent *agent, struct request *request) {
    request->events = (struct request_events){0};
    if (!request->cancel_on_disconnect)
        return;
    for (unsigned i = 0; i < request->count; i++) {
        struct request_item *item = &request->items[i];
        if (item->state == REQUEST_RUNNING && atomic_load(&item->job->progress.phase) <= JOB_TAKING)
            atomic_store(&item->job->cancel, true); /* what is staged is shipped */
        if (item->state == REQUEST_WAITING)
            finish_item(item, OUTCOME_SKIPPED);
    }
    if (request->finished == request->count)
        drop(agent, request);
}

struct request_item *request_waiting(struct agent *agent, struct database *db, enum lane lane) {
    struct request_item *found = NULL;
    for (struct request *r = agent->requests; r; r = r->next) /* newest first: the last hit is the oldest */
        for (unsigned i = 0; i < r->count; i++) {
            struct request_item *item = &r->items[i];
            bool fits = item->any_kind ? lane == LANE_LOG : lane_of(item->kind) == lane;
            if (item->db == db && item->state == REQUEST_WAITING && fits)
                found = item;
        }
    return found;
}

void request_item_started(struct request_item *item, struct job *job) {
    item->state = REQUEST_RUNNING;
    item->job = job;
    job->request = item;
    if (item->request->events.progress)
        item->request->events.progress(item->request->events.user, item);
}

void request_item_moved(struct request_item *item, const struct chain_decision *decision) {
    str_copy(item->why, sizeof(item->why), decision->text);
    str_copy(item->why_reason, sizeof(item->why_reason), chain_reason_word(decision->reason));
    item->state = REQUEST_WAITING;
    item->job = NULL;
    item->any_kind = false;
    item->kind = decision->kind;
}

void request_item_finished(struct agent *agent, struct request_item *item, const struct job *job) {
    struct request *r = item->request;
    finish_item(item, job->outcome);
    if (r->events.result)
        r->events.result(r->events.user, item, job);
    item->job = NULL;
    if (r->finished < r->count)
        return;
    if (r->events.end)
        r->events.end(r->events.user, r);
    drop(agent, r);
}

void request_tick(struct agent *agent) {
    for (struct request *r = agent->requests; r; r = r->next)
        for (unsigned i = 0; i < r->count && r->events.progress; i++)
            if (r->items[i].state == REQUEST_RUNNING)
                r->events.progress(r->events.user, &r->items[i]);
}

void requests_free(struct agent *agent) {
    while (agent->requests)
        drop(agent, agent->requests);
}
