/* SPDX-License-Identifier: Apache-2.0 */
#include "common/store/lineage.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/store/document.h"

#define LINEAGE_BYTES_MAX 65536
#define INSTANCE_BYTES_MAX (1u << 20)

static int read_fields(const json_t *root, struct lineage *l, struct err *err) {
    if (document_guid(root, "clusterId", true, &l->cluster_id, err) < 0 ||
        document_text(root, "namespace", true, l->kube_namespace, sizeof(l->kube_namespace), err) < 0 ||
        document_text(root, "instance", true, l->instance, sizeof(l->instance), err) < 0 ||
        document_guid(root, "owner", true, &l->owner, err) < 0 || document_number(root, "epoch", true, &l->epoch, err) < 0 ||
        document_time(root, "createdAt", false, &l->created_at, err) < 0 ||
        document_time(root, "adoptedAt", false, &l->adopted_at, err) < 0 ||
        document_time(root, "heartbeatAt", true, &l->heartbeat_at, err) < 0 ||
        document_text(root, "holder", false, l->holder, sizeof(l->holder), err) < 0)
        return -1;
    if (!l->epoch || guid_is_zero(&l->owner))
        return err_set(err, ERR_CORRUPT, "field epoch or owner: zero");
    return 0;
}

/* Total over any bytes. */
static int lineage_parse(const char *data, size_t len, struct lineage *ret_lineage, struct err *err) {
    json_t *root;
    if (document_parse(data, len, "lineage.json", &root, err) < 0)
        return -1;
    struct lineage l = {0};
    int rc = read_fields(root, &l, err);
    json_decref(root);
    if (rc < 0)
        return err_context(err, "lineage.json");
    *ret_lineage = l;
    return 0;
}

static int name_of(char dst[STORE_NAME_MAX], const char *scope, const char *file, struct err *err) {
    if (!str_format(dst, STORE_NAME_MAX, "%s/%s", scope, file))
        return err_set(err, ERR_LIMIT, "scope '%.100s' is too long", scope);
    return store_name_check(dst, err);
}

int lineage_read(struct store *store, const char *scope, struct lineage *ret_lineage, struct err *err) {
    char name[STORE_NAME_MAX];
    _cleanup_free_ char *data = NULL;
    size_t len;
    if (name_of(name, scope, "lineage.json", err) < 0 || store_get(store, name, LINEAGE_BYTES_MAX, &data, &len, err) < 0)
        return -1;
    return lineage_parse(data, len, ret_lineage, err) < 0 ? err_context(err, "%s", scope) : 0;
}

static int lineage_write(struct store *store, const char *scope, const struct lineage *l, enum store_put_mode mode,
                         struct err *err) {
    char name[STORE_NAME_MAX];
    if (name_of(name, scope, "lineage.json", err) < 0)
        return -1;
    json_t *root = document_new();
    document_set_guid(root, "clusterId", &l->cluster_id);
    document_set_text(root, "namespace", l->kube_namespace);
    document_set_text(root, "instance", l->instance);
    document_set_guid(root, "owner", &l->owner);
    json_object_set_new(root, "epoch", json_integer((json_int_t)l->epoch));
    document_set_time(root, "createdAt", l->created_at);
    document_set_time(root, "adoptedAt", l->adopted_at);
    document_set_time(root, "heartbeatAt", l->heartbeat_at);
    document_set_text(root, "holder", l->holder);
    int rc = document_put(store, name, root, mode, "lineage", err);
    json_decref(root);
    return rc;
}

static int refuse(const struct lineage *have, const char *why, struct err *err) {
    char at[CLOCK_TEXT_MAX];
    err_set(err, ERR_CONFLICT, "%s/%s in the store belongs to '%s' (epoch %llu, last sign of life %s): %s", have->kube_namespace,
            have->instance, *have->holder ? have->holder : "somebody else", (unsigned long long)have->epoch,
            clock_format(at, have->heartbeat_at), why);
    return err_hint(err, "Give this instance a store prefix of its own, or, when the other one is gone for good, start once with "
                         "store.adopt: true");
}

/* What the rules say of the owner that is there. */
static int judge(const struct lineage *want, const struct lineage *have, bool adopt, int64_t now,
                 enum lineage_outcome *ret_outcome, struct err *err) {
    bool same_identity = (guid_is_zero(&want->cluster_id) || guid_eq(&want->cluster_id, &have->cluster_id)) &&
                         !strcmp(want->kube_namespace, have->kube_namespace) && !strcmp(want->instance, have->instance);
    if (same_identity && guid_eq(&want->owner, &have->owner)) {
        *ret_outcome = LINEAGE_OURS;
        return 0;
    }
    *ret_outcome = LINEAGE_ADOPTED;
    if (adopt)
        return 0;
    if (!same_identity)
        return refuse(have, "another cluster or instance wrote it", err);
    /* A sign of life from the future is a clock that is wrong somewhere: that is no proof of death. */
    if (now - have->heartbeat_at <= LINEAGE_DEAD_AFTER)
        return refuse(have, "it was alive within the last ten minutes", err);
    return 0;
}

/* The store may have no compare-and-swap: what is read back shows who was last. */
static int settle(struct store *store, const char *scope, const struct lineage *mine, struct err *err) {
    struct lineage seen;
    if (lineage_read(store, scope, &seen, err) < 0)
        return -1;
    return guid_eq(&seen.owner, &mine->owner) ? 0 : refuse(&seen, "it was faster than this one", err);
}

static int claim_empty(struct store *store, const char *scope, const struct lineage *want, int64_t now, struct lineage *ret_now,
                       struct err *err) {
    struct lineage l = *want;
    if (guid_is_zero(&l.cluster_id))
        guid_random(&l.cluster_id);
    l.epoch = 1;
    l.created_at = l.adopted_at = l.heartbeat_at = now;
    if (lineage_write(store, scope, &l, STORE_PUT_IF_ABSENT, err) < 0 || settle(store, scope, &l, err) < 0)
        return -1;
    *ret_now = l;
    return 0;
}

int lineage_claim(struct store *store, const struct lineage *want, bool adopt, int64_t now, struct lineage *ret_now,
                  struct lineage *ret_before, enum lineage_outcome *ret_outcome, struct err *err) {
    char scope[NAME_SCOPE_MAX];
    if (name_scope(scope, want->kube_namespace, want->instance, err) < 0)
        return -1;
    if (guid_is_zero(&want->owner))
        return err_set(err, ERR_INTERNAL, "a lineage without an owner");
    struct lineage have;
    struct err why = {0};
    if (lineage_read(store, scope, &have, &why) < 0) {
        if (why.class != ERR_NOT_FOUND) {
            err_copy(err, &why);
            return -1;
        }
        if (claim_empty(store, scope, want, now, ret_now, err) < 0)
            return -1;
        if (ret_before)
            *ret_before = (struct lineage){0};
        *ret_outcome = LINEAGE_CREATED;
        return 0;
    }
    enum lineage_outcome outcome;
    if (judge(want, &have, adopt, now, &outcome, err) < 0)
        return -1;
    struct lineage l = have;
    if (outcome == LINEAGE_ADOPTED) {
        l.owner = want->owner;
        l.epoch++;
        l.adopted_at = now;
        if (!guid_is_zero(&want->cluster_id))
            l.cluster_id = want->cluster_id;
    }
    str_copy(l.holder, sizeof(l.holder), want->holder);
    l.heartbeat_at = now;
    if (lineage_write(store, scope, &l, STORE_PUT_REPLACE, err) < 0 || settle(store, scope, &l, err) < 0)
        return -1;
    *ret_now = l;
    if (ret_before)
        *ret_before = have;
    *ret_outcome = outcome;
    return 0;
}

int lineage_heartbeat(struct store *store, struct lineage *mine, int64_t now, struct err *err) {
    char scope[NAME_SCOPE_MAX];
    struct lineage have;
    if (name_scope(scope, mine->kube_namespace, mine->instance, err) < 0 || lineage_read(store, scope, &have, err) < 0)
        return -1;
    if (!guid_eq(&have.owner, &mine->owner) || have.epoch != mine->epoch)
        return refuse(&have, "it has taken over", err);
    have.heartbeat_at = now;
    if (lineage_write(store, scope, &have, STORE_PUT_REPLACE, err) < 0)
        return -1;
    *mine = have;
    return 0;
}

int instance_write(struct store *store, const char *scope, const json_t *document, struct err *err) {
    char name[STORE_NAME_MAX];
    if (name_of(name, scope, "instance.json", err) < 0)
        return -1;
    return document_put(store, name, document, STORE_PUT_REPLACE, "instance", err);
}

int instance_read(struct store *store, const char *scope, json_t **ret_document, struct err *err) {
    char name[STORE_NAME_MAX];
    _cleanup_free_ char *data = NULL;
    size_t len;
    if (name_of(name, scope, "instance.json", err) < 0 || store_get(store, name, INSTANCE_BYTES_MAX, &data, &len, err) < 0)
        return -1;
    json_error_t why;
    json_t *root = json_loadb(data, len, JSON_REJECT_DUPLICATES, &why);
    if (!root || !json_is_object(root)) {
        json_decref(root);
        return err_set(err, ERR_CORRUPT, "%s is not a JSON object: %s", name, root ? "another value" : why.text);
    }
    *ret_document = root;
    return 0;
}
