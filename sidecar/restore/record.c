/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/restore/record.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/store/document.h"

#define RECORD_BYTES_MAX STORE_SMALL_MAX

static int name_of(char dst[STORE_NAME_MAX], const char *scope, const struct ticket *t, struct err *err) {
    if (!str_format(dst, STORE_NAME_MAX, "%s/restores/%s.json", scope, t->request_id))
        return err_set(err, ERR_LIMIT, "the name of the record is too long");
    return store_name_check(dst, err);
}

static json_t *document_of(const struct ticket *t) {
    char target[CHAIN_TARGET_TEXT_MAX], reason[TICKET_REASON_MAX], by[TICKET_BY_MAX];
    json_t *root = document_new(), *databases = json_array();
    document_set_text(root, "requestId", t->request_id);
    document_set_text(root, "restoreId", t->id);
    document_set_text(root, "reason", str_to_utf8(reason, sizeof(reason), t->reason));
    document_set_text(root, "by", str_to_utf8(by, sizeof(by), t->by));
    document_set_text(root, "to", chain_target_format(target, &t->request.target));
    for (size_t i = 0; i < t->request.wish_count; i++)
        json_array_append_new(databases,
                              json_pack("{s:s,s:s}", "database", t->request.wishes[i].database, "as", t->request.wishes[i].as));
    json_object_set_new(root, "databases", databases);
    document_set_time(root, "requestedAt", t->requested_at);
    document_set_time(root, "startedAt", t->started_at);
    return root;
}

/* Somebody executed it: we, before a crash, or another restore. */
static int judge(struct store *store, const char *name, const struct ticket *t, struct err *err) {
    _cleanup_free_ char *data = NULL;
    size_t len;
    json_t *root;
    char id[RESTORE_ID_MAX] = "", result[32] = "", message[ERR_TEXT_MAX] = "", when[CLOCK_TEXT_MAX];
    int64_t started = 0;
    if (store_get(store, name, RECORD_BYTES_MAX, &data, &len, err) < 0 ||
        document_parse(data, len, "record of a restore", &root, err) < 0)
        return err_context(err, "record of request '%s'", t->request_id);
    int rc = document_text(root, "restoreId", true, id, sizeof(id), err);
    if (rc == 0)
        rc = document_text(root, "result", false, result, sizeof(result), err);
    if (rc == 0)
        rc = document_text(root, "message", false, message, sizeof(message), err);
    if (rc == 0)
        rc = document_time(root, "startedAt", false, &started, err);
    json_decref(root);
    if (rc < 0)
        return err_context(err, "record of request '%s'", t->request_id);
    if (!strcmp(id, t->id))
        return store_make_durable(store, name, err);
    err_set(err, ERR_EXISTS, "request '%s' was executed already, at %s by restore %s: %s%s%s", t->request_id,
            clock_format(when, started), id, *result ? result : "its end was not recorded", *message ? ": " : "", message);
    return err_hint(err, "To restore again, ask with another request id");
}

int record_begin(struct store *store, const char *scope, const struct ticket *t, struct err *err) {
    char name[STORE_NAME_MAX];
    struct err why = {0};
    if (name_of(name, scope, t, err) < 0)
        return -1;
    json_t *root = document_of(t);
    int rc = document_put(store, name, root, STORE_PUT_IF_ABSENT, "restore", &why);
    json_decref(root);
    if (rc == 0)
        return 0;
    if (why.class == ERR_EXISTS)
        return judge(store, name, t, err);
    err_copy(err, &why);
    return err_context(err, "record of request '%s'", t->request_id);
}

int record_finish(struct store *store, const char *scope, const struct ticket *t, const json_t *results, struct err *err) {
    char name[STORE_NAME_MAX], message[ERR_TEXT_MAX];
    if (name_of(name, scope, t, err) < 0)
        return -1;
    json_t *root = document_of(t);
    document_set_time(root, "finishedAt", t->finished_at);
    document_set_text(root, "result",
                      t->err.class == ERR_NONE        ? "completed"
                      : t->err.class == ERR_CANCELLED ? "cancelled"
                                                      : "failed");
    document_set_text(root, "message", t->err.class == ERR_NONE ? "" : str_to_utf8(message, sizeof(message), t->err.text));
    if (results)
        json_object_set_new(root, "results", json_deep_copy(results));
    int rc = document_put(store, name, root, STORE_PUT_REPLACE, "restore", err);
    json_decref(root);
    return rc < 0 ? err_context(err, "record of request '%s'", t->request_id) : 0;
}
