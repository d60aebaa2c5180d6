/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/link.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/net/proto_json.h"
#include "common/net/proto_parse.h"
#include "controller/kube/map.h"

/* Statuses as JSON are large, and reconcilers look at one or two at a time: the last few are kept. */
#define REPORTS 64

struct kept {
    char *pod_uid;
    json_t *status; /* NULL: there is none yet */
};

/* A command as reconcilers see it. */
struct course {
    char *id;
    json_t *list; /* newest progress of each database */
    json_t *result;
    int64_t moved_at;
};

struct link {
    struct fleet *fleet;
    struct run *run;
    struct kept reports[REPORTS];
    unsigned next;
    struct kube_map courses; /* id -> course */
};

struct link *link_new(void) {
    struct link *link = mem_alloc(sizeof(*link));
    kube_map_init(&link->courses);
    return link;
}

static void drop_report(struct kept *kept) {
    mem_free(kept->pod_uid);
    json_decref(kept->status);
    *kept = (struct kept){0};
}

static void drop_course(struct link *link, const char *id) {
    struct course *c = kube_map_remove(&link->courses, id);
    if (!c)
        return;
    json_decref(c->list), json_decref(c->result);
    mem_free(c->id);
    mem_free(c);
}

void link_free(struct link *link) {
    if (!link)
        return;
    for (unsigned i = 0; i < REPORTS; i++)
        drop_report(&link->reports[i]);
    void **all = kube_map_values(&link->courses);
    size_t count = link->courses.count;
    for (size_t i = 0; i < count; i++)
        drop_course(link, ((struct course *)all[i])->id);
    mem_free(all);
    kube_map_done(&link->courses);
    mem_free(link);
}

void link_join(struct link *link, struct fleet *fleet, struct run *run) {
    link->fleet = fleet;
    link->run = run;
}

/* ---- sessions ---- */

static void forget_report(struct link *link, const char *pod_uid) {
    for (unsigned i = 0; i < REPORTS; i++)
        if (link->reports[i].pod_uid && !strcmp(link->reports[i].pod_uid, pod_uid))
            drop_report(&link->reports[i]);
}

static const json_t *report_of(struct link *link, const char *pod_uid) {
    for (unsigned i = 0; i < REPORTS; i++)
        if (link->reports[i].pod_uid && !strcmp(link->reports[i].pod_uid, pod_uid))
            return link->reports[i].status;
    struct kept *kept = &link->reports[link->next++ % REPORTS];
    Mssql__V1__Status *status = fleet_status(link->fleet, pod_uid, true);
    drop_report(kept);
    kept->pod_uid = mem_strdup(pod_uid);
    kept->status = status ? proto_json_from(&status->base, false) : NULL;
    if (status)
        mssql__v1__status__free_unpacked(status, NULL);
    return kept->status;
}

static bool session(void *user, const char *pod_uid, struct world_session *ret_session) {
    struct link *link = user;
    struct fleet_session s;
    struct fleet_policy p = {.uid = "", .refused_uid = "", .message = ""};
    if (!fleet_session(link->fleet, pod_uid, &s))
        return false;
    (void)fleet_policy(link->fleet, pod_uid, &p);
    *ret_session = (struct world_session){
        .connected = s.connected,
        .since_at = s.since_at,
        .pod_uid = s.pod_uid,
        .version = s.sidecar_version,
        .status = report_of(link, pod_uid),
        .policy_uid = p.uid,
        .policy_generation = p.generation,
        .refused_uid = p.refused_uid,
        .refused_generation = p.refused_generation,
        .policy_error = p.message,
    };
    return true;
}

static int push(void *user, const char *pod_uid, const char *uid, int64_t generation, const json_t *policy, struct err *err) {
    struct link *link = user;
    char *text = json_dumps(policy, JSON_COMPACT | JSON_SORT_KEYS);
    int rc = fleet_policy_push(link->fleet, pod_uid, uid, generation, text, err);
    free(text);
    return rc;
}

static void gone(void *user, const char *pod_uid) {
    struct link *link = user;
    forget_report(link, pod_uid);
    fleet_forget(link->fleet, pod_uid);
}

/* ---- commands ---- */

static struct course *course_of(struct link *link, const char *id) {
    struct course *c = kube_map_get(&link->courses, id);
    if (c)
        return c;
    c = mem_alloc(sizeof(*c));
    *c = (struct course){.id = mem_strdup(id), .list = json_array()};
    kube_map_put(&link->courses, id, c);
    return c;
}

static void note_progress(struct course *c, const struct fleet_command *known) {
    json_array_clear(c->list);
    for (size_t i = 0; i < known->progress_count; i++) {
        const Mssql__V1__CommandProgress *p = known->progress[i];
        if (p->progress_case == MSSQL__V1__COMMAND_PROGRESS__PROGRESS_BACKUP)
            json_array_append_new(c->list, proto_json_from(&p->backup->base, false));
        else if (p->progress_case == MSSQL__V1__COMMAND_PROGRESS__PROGRESS_RESTORE)
            json_array_append_new(c->list, proto_json_from(&p->restore->base, false));
    }
}

static bool command(void *user, const char *pod_uid, const char *id, struct world_command *ret_command) {
    static const enum world_command_state states[] = {
        [MSSQL__V1__COMMAND_STATE__COMMAND_STATE_UNSPECIFIED] = WORLD_COMMAND_PENDING,
        [MSSQL__V1__COMMAND_STATE__COMMAND_STATE_PENDING] = WORLD_COMMAND_PENDING,
        [MSSQL__V1__COMMAND_STATE__COMMAND_STATE_RUNNING] = WORLD_COMMAND_RUNNING,
        [MSSQL__V1__COMMAND_STATE__COMMAND_STATE_DONE] = WORLD_COMMAND_DONE,
    };
    struct link *link = user;
    struct fleet_command known;
    if (!fleet_command(link->fleet, pod_uid, id, &known))
        return false;
    struct course *c = course_of(link, id);
    note_progress(c, &known);
    if (known.result && !c->result)
        c->result = proto_json_from(&known.result->base, false);
    int64_t at = known.done_at ? known.done_at : known.acked_at ? known.acked_at : known.given_at;
    *ret_command = (struct world_command){
        .state = states[known.state],
        .pod_uid = pod_uid,
        .moved_at = c->moved_at > at ? c->moved_at : at,
        .progress = json_array_size(c->list) ? c->list : NULL,
        .result = c->result,
    };
    return true;
}

static int give(void *user, const char *pod_uid, const char *id, int64_t deadline_at, const json_t *body, struct err *err) {
    struct link *link = user;
    ProtobufCMessage *message;
    if (proto_parse_json(&mssql__v1__command__descriptor, body, &message, err) < 0)
        return err_context(err, "command %s", id);
    Mssql__V1__Command *c = (Mssql__V1__Command *)message;
    c->id = mem_strdup(id);
    c->deadline_at = deadline_at;
    int rc = fleet_command_give(link->fleet, pod_uid, c, err);
    mssql__v1__command__free_unpacked(c, NULL);
    return rc;
}

static void cancel(void *user, const char *pod_uid, const char *id) {
    struct link *link = user;
    fleet_command_cancel(link->fleet, pod_uid, id);
}

static void acknowledge(void *user, const char *pod_uid, const char *id) {
    struct link *link = user;
    fleet_command_ack(link->fleet, pod_uid, id);
    drop_course(link, id);
}

/* ---- events ---- */

static void on_session(void *user, const char *pod_uid, bool connected) {
    struct link *link = user;
    (void)connected;
    forget_report(link, pod_uid);
    run_sidecar_changed(link->run, pod_uid, false);
}

static void on_status(void *user, const char *pod_uid, bool conditions) {
    struct link *link = user;
    forget_report(link, pod_uid);
    run_sidecar_changed(link->run, pod_uid, !conditions);
}

static void on_policy(void *user, const char *pod_uid) {
    struct link *link = user;
    run_sidecar_changed(link->run, pod_uid, false);
}

static void on_command(void *user, const char *pod_uid, const char *id) {
    struct link *link = user;
    struct fleet_command known;
    if (fleet_command(link->fleet, pod_uid, id, &known)) {
        course_of(link, id)->moved_at = clock_wall();
    }
    run_command_changed(link->run, pod_uid, id);
}

struct fleet_events link_events(struct link *link) {
    return (struct fleet_events){on_session, on_status, on_policy, on_command, link};
}

struct run_sidecars link_sidecars(struct link *link) {
    return (struct run_sidecars){.user = link,
                                 .session = session,
                                 .command = command,
                                 .push = push,
                                 .give = give,
                                 .cancel = cancel,
                                 .acknowledge = acknowledge,
                                 .gone = gone};
}
