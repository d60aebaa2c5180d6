/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions, policy, and what comes in. Commands: peer_command.c. */
#include "controller/fleet/peer_int.h"

#include <string.h>

#include "common/base/mem.h"

struct peer *peer_new(const struct fleet_bearer *bearer) {
    struct peer *p = mem_alloc(sizeof(*p));
    p->pod_uid = mem_strdup(bearer->pod_uid);
    p->namespace_name = mem_strdup(bearer->namespace_name);
    p->pod = mem_strdup(bearer->pod);
    p->service_account = mem_strdup(bearer->service_account);
    return p;
}

static void applied_free(Mssql__V1__PolicyApplied **slot) {
    if (*slot)
        mssql__v1__policy_applied__free_unpacked(*slot, NULL);
    *slot = NULL;
}

void peer_free(struct peer *p) {
    if (!p)
        return;
    mem_free(p->pod_uid);
    mem_free(p->namespace_name);
    mem_free(p->pod);
    mem_free(p->service_account);
    if (p->hello)
        mssql__v1__hello__free_unpacked(p->hello, NULL);
    report_done(&p->report);
    mem_free(p->wanted.uid);
    mem_free(p->wanted_json);
    applied_free(&p->applied);
    applied_free(&p->refused);
    peer_commands_free(p);
    mem_free(p);
}

/* protobuf-c has no copy. */
void *peer_copy(const ProtobufCMessage *message) {
    size_t len = protobuf_c_message_get_packed_size(message);
    _cleanup_free_ uint8_t *bytes = mem_alloc(len + 1);
    protobuf_c_message_pack(message, bytes);
    return protobuf_c_message_unpack(message->descriptor, NULL, len, bytes);
}

int peer_send(struct peer *p, const Mssql__V1__ControllerMessage *message) {
    struct err err;
    return p->out.send ? p->out.send(p->out.user, message, &err) : -1;
}

/* ---- policy ---- */

static bool is_wanted(const struct peer *p, const Mssql__V1__PolicyApplied *a) {
    return a && p->wanted.uid && !strcmp(a->uid, p->wanted.uid) && a->generation == p->wanted.generation;
}

static void take_applied(struct peer *p, const Mssql__V1__PolicyApplied *a) {
    bool refused = *a->error_class != 0;
    applied_free(&p->refused);
    if (refused) {
        p->refused = peer_copy(&a->base);
        if (p->applied) { /* what stays in force: only its source can be another one now */
            if (p->applied->source != protobuf_c_empty_string)
                mem_free(p->applied->source);
            p->applied->source = mem_strdup(a->source);
        }
    } else {
        applied_free(&p->applied);
        p->applied = peer_copy(&a->base);
    }
}

/* False: the stream is full. */
static bool flush_policy(struct peer *p) {
    if (!p->wanted.uid || p->wanted_sent || is_wanted(p, p->applied) || is_wanted(p, p->refused))
        return true;
    Mssql__V1__ControllerMessage m = MSSQL__V1__CONTROLLER_MESSAGE__INIT;
    Mssql__V1__PolicyPush push = MSSQL__V1__POLICY_PUSH__INIT;
    push.uid = p->wanted.uid;
    push.generation = p->wanted.generation;
    push.json = p->wanted_json;
    m.message_case = MSSQL__V1__CONTROLLER_MESSAGE__MESSAGE_POLICY;
    m.policy = &push;
    p->wanted_sent = peer_send(p, &m) == 0;
    return p->wanted_sent;
}

int peer_push(struct peer *p, const char *uid, int64_t generation, const char *json, struct err *err) {
    if (strlen(json) > PEER_POLICY_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "the policy is larger than %u KiB", PEER_POLICY_BYTES_MAX >> 10);
    if (!*uid || generation <= 0)
        return err_set(err, ERR_USAGE, "a policy needs the uid and the generation of its object");
    if (p->wanted.uid && !strcmp(p->wanted.uid, uid) && p->wanted.generation == generation && !strcmp(p->wanted_json, json))
        return 0;
    mem_free(p->wanted.uid);
    mem_free(p->wanted_json);
    p->wanted = (struct peer_text){mem_strdup(uid), generation};
    p->wanted_json = mem_strdup(json);
    p->wanted_sent = false;
    peer_flush(p);
    return 0;
}

/* ---- sessions ---- */

void peer_connect(struct peer *p, const Mssql__V1__Hello *hello, const struct peer_out *out, int64_t now) {
    if (p->hello)
        mssql__v1__hello__free_unpacked(p->hello, NULL);
    p->hello = peer_copy(&hello->base);
    p->out = *out;
    p->connected = true;
    p->since_at = p->heard_at = now;
    p->wanted_sent = false;
    report_begin(&p->report);
    applied_free(&p->applied);
    if (hello->policy)
        take_applied(p, hello->policy);
    peer_commands_hello(p, hello, now);
}

void peer_disconnect(struct peer *p, int64_t now) {
    p->out = (struct peer_out){0};
    p->connected = false;
    p->since_at = now;
    p->report.complete = false;
}

void peer_flush(struct peer *p) {
    if (p->out.send && flush_policy(p))
        peer_commands_flush(p);
}

static int take_status(struct peer *p, const Mssql__V1__StatusPart *part, struct err *err) {
    bool news = false;
    if (report_take(&p->report, part, &news, err) < 0)
        return -1;
    if (part->complete)
        p->events.status(p->events.user, news);
    return 0;
}

int peer_message(struct peer *p, const Mssql__V1__SidecarMessage *m, int64_t now, struct err *err) {
    p->heard_at = now;
    switch (m->message_case) {
    case MSSQL__V1__SIDECAR_MESSAGE__MESSAGE_STATUS:
        return take_status(p, m->status, err);
    case MSSQL__V1__SIDECAR_MESSAGE__MESSAGE_ACK:
        peer_command_acked(p, m->ack->id, now);
        return 0;
    case MSSQL__V1__SIDECAR_MESSAGE__MESSAGE_PROGRESS:
        peer_command_progress(p, m->progress, now);
        return 0;
    case MSSQL__V1__SIDECAR_MESSAGE__MESSAGE_RESULT:
        return peer_command_result(p, m->result, now, err);
    case MSSQL__V1__SIDECAR_MESSAGE__MESSAGE_POLICY_APPLIED:
        take_applied(p, m->policy_applied);
        p->events.policy(p->events.user);
        return 0;
    case MSSQL__V1__SIDECAR_MESSAGE__MESSAGE_HEARTBEAT:
        return 0;
    case MSSQL__V1__SIDECAR_MESSAGE__MESSAGE_HELLO:
        return err_set(err, ERR_PROTOCOL, "a second Hello");
    default: /* of a newer sidecar */
        return 0;
    }
}
