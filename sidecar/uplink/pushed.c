/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy that the controller pushes: replaces the one of the file whole, lies in <state>/policy.json before it is in force, and holds
 * after a restart until another one comes. One that is not acceptable is refused with the reason, and the old one stays.
 */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "sidecar/uplink/uplink_int.h"

#define FILE_BYTES_MAX (1u << 20)
#define UID_MAX 128

static char *path_of(const struct uplink *u) {
    return file_join(u->agent->config->paths.state, "policy.json");
}

static void set(struct uplink *u, struct policy *policy, const char *uid, int64_t generation) {
    if (u->old_policy)
        policy_done(u->old_policy);
    mem_free(u->old_policy);
    u->old_policy = u->policy;
    u->policy = policy;
    mem_free(u->policy_uid);
    u->policy_uid = mem_strdup(uid);
    u->policy_generation = generation;
}

/* ---- saved ---- */

static int save(const struct uplink *u, const char *uid, int64_t generation, const json_t *body, struct err *err) {
    _cleanup_free_ char *path = path_of(u);
    char at[CLOCK_TEXT_MAX];
    json_t *root = json_pack("{s:s, s:I, s:s, s:O}", "uid", uid, "generation", (json_int_t)generation, "takenAt",
                             clock_format(at, clock_wall()), "policy", body);
    char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    json_decref(root);
    if (!text)
        return err_set(err, ERR_INTERNAL, "the policy cannot be written as JSON");
    int rc = file_write_durable(path, text, strlen(text), 0600, err);
    free(text);
    return rc;
}

static int parse(const json_t *body, struct policy **ret_policy, struct err *err) {
    char *text = json_dumps(body, JSON_COMPACT);
    if (!text)
        return err_set(err, ERR_CONFIG, "there is no policy in it");
    struct policy *policy = mem_alloc(sizeof(*policy));
    int rc = policy_parse_json("policy", text, strlen(text), policy, err);
    free(text);
    if (rc < 0) {
        mem_free(policy);
        return -1;
    }
    *ret_policy = policy;
    return 0;
}

static int load(struct uplink *u, const char *data, size_t len, struct err *err) {
    json_t *root = json_loadb(data, len, JSON_REJECT_DUPLICATES, NULL);
    const char *uid = json_string_value(json_object_get(root, "uid"));
    int64_t generation = json_integer_value(json_object_get(root, "generation"));
    struct policy *policy;
    int rc;
    if (!uid || generation <= 0)
        rc = err_set(err, ERR_CORRUPT, "it is not what the sidecar wrote");
    else if ((rc = parse(json_object_get(root, "policy"), &policy, err)) == 0)
        set(u, policy, uid, generation);
    json_decref(root);
    return rc;
}

void policy_open(struct uplink *u) {
    _cleanup_free_ char *path = path_of(u);
    char *data = NULL;
    size_t len;
    struct err err;
    if (!file_exists(path))
        return;
    int rc = file_read_all(path, FILE_BYTES_MAX, &data, &len, &err);
    if (rc == 0)
        rc = load(u, data, len, &err);
    mem_free(data);
    if (rc < 0)
        log_error(LOG_ERROR, &err,
                  "the policy that the controller pushed cannot be used; that of the file holds until it comes again", "path",
                  path, NULL);
}

/* ---- pushed ---- */

static void tell(struct uplink *u, const Mssql__V1__PolicyPush *push, const struct err *err) {
    Mssql__V1__SidecarMessage m = MSSQL__V1__SIDECAR_MESSAGE__INIT;
    Mssql__V1__PolicyApplied a = MSSQL__V1__POLICY_APPLIED__INIT;
    a.uid = push->uid;
    a.generation = push->generation;
    a.source = (char *)(uintptr_t)u->agent->policy_source;
    if (err) {
        a.error_class = (char *)(uintptr_t)err_class_name(err->class);
        a.message = (char *)(uintptr_t)err->text;
    }
    m.message_case = MSSQL__V1__SIDECAR_MESSAGE__MESSAGE_POLICY_APPLIED;
    m.policy_applied = &a;
    (void)link_send(u, &m); /* lost: the next Hello says it */
}

static int take(struct uplink *u, const Mssql__V1__PolicyPush *push, struct err *err) {
    json_error_t where;
    struct policy *policy;
    if (!*push->uid || strlen(push->uid) > UID_MAX || push->generation <= 0)
        return err_set(err, ERR_USAGE, "a policy needs the uid and the generation of its object");
    if (!u->agent->opened)
        return err_set(err, ERR_STATE, "the state directory cannot be used: %.400s", u->agent->state_err.text);
    json_t *body = json_loads(push->json, JSON_REJECT_DUPLICATES, &where);
    if (!body)
        return err_set(err, ERR_CONFIG, "the policy is not JSON: line %d: %s", where.line, where.text);
    int rc = parse(body, &policy, err);
    if (rc == 0 && save(u, push->uid, push->generation, body, err) < 0) {
        policy_done(policy);
        mem_free(policy);
        rc = -1;
    }
    json_decref(body);
    if (rc == 0)
        set(u, policy, push->uid, push->generation);
    return rc;
}

void policy_take(struct uplink *u, const Mssql__V1__PolicyPush *push) {
    char generation[24];
    struct err err;
    str_format(generation, sizeof(generation), "%lld", (long long)push->generation);
    if (take(u, push, &err) < 0) {
        log_error(LOG_ERROR, &err, "the pushed policy is refused; the old one stays in force", "uid", push->uid, "generation",
                  generation, NULL);
        tell(u, push, &err);
        return;
    }
    for (size_t i = 0; i < u->policy->warnings.count; i++)
        log_event(LOG_WARN, u->policy->warnings.items[i], NULL);
    log_event(LOG_INFO, "policy of the controller", "uid", push->uid, "generation", generation, NULL);
    agent_set_policy(u->agent, u->policy, "controller", u->policy_generation);
    tell(u, push, NULL);
}

void policy_applied(const struct uplink *u, Mssql__V1__PolicyApplied *ret_applied) {
    ret_applied->uid = (char *)(uintptr_t)(u->policy_uid ? u->policy_uid : "");
    ret_applied->generation = u->policy_generation;
    ret_applied->source = (char *)(uintptr_t)u->agent->policy_source;
}

void policy_close(struct uplink *u) {
    if (u->policy)
        policy_done(u->policy);
    if (u->old_policy)
        policy_done(u->old_policy);
    mem_free(u->policy);
    mem_free(u->old_policy);
    mem_free(u->policy_uid);
}

const struct policy *uplink_policy(const struct uplink *u, int64_t *ret_generation) {
    *ret_generation = u ? u->policy_generation : 0;
    return u ? u->policy : NULL;
}
