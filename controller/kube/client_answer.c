/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "common/base/mem.h"
#include "controller/kube/client_int.h"

static enum err_class class_of(unsigned status, const char *reason) {
    switch (status) {
    case 400:
    case 422:
        return ERR_USAGE;
    case 401:
        return ERR_AUTH;
    case 403:
        return ERR_PERMISSION;
    case 404:
        return ERR_NOT_FOUND;
    case 405:
    case 406:
    case 415:
        return ERR_UNSUPPORTED;
    case 409:
        return !strcmp(reason, "AlreadyExists") ? ERR_EXISTS : ERR_CONFLICT;
    case 410:
        return ERR_STATE;
    case 413:
        return ERR_LIMIT;
    case 504:
        return ERR_TIMEOUT;
    default:
        return status == 429 || status >= 500 ? ERR_BUSY : ERR_PROTOCOL;
    }
}

/* "cannot list secrets in namespace lab" */
static void add_what(const struct kube_call *call, struct err *err) {
    _cleanup_free_ char *where = call->namespace[0] ? mem_printf(" in namespace %s", call->namespace) : mem_strdup("");
    err_context(err, "cannot %s %s%s%s%s%s%s", kube_verb_name(call->verb), call->kind->plural, call->subresource[0] ? "/" : "",
                call->subresource, call->name[0] ? " " : "", call->name, where);
}

static void read_refusal(const struct kube_answer *answer, const json_t *document, struct kube_result *result) {
    const char *message = json_string_value(json_object_get(document, "message"));
    const char *reason = json_string_value(json_object_get(document, "reason"));
    if (reason)
        result->reason = reason;
    if (message)
        err_set(&result->err, class_of(answer->status, result->reason), "%.700s (HTTP %u)", message, answer->status);
    else
        err_set(&result->err, class_of(answer->status, result->reason), "the API server answers HTTP %u", answer->status);
}

void kube_answer_read(const struct kube_call *call, const struct kube_answer *answer, struct kube_result *ret_result,
                      json_t **ret_document) {
    struct kube_result result = {.status = answer->status, .reason = "", .retry_after_ms = answer->retry_after_ms};
    json_error_t why;
    json_t *document = NULL;
    bool success = answer->status >= 200 && answer->status < 300;
    if (answer->err.class)
        result.err = answer->err;
    else if (!success || call->verb != KUBE_WATCH) {
        document = json_loadb(answer->body, answer->len, JSON_REJECT_DUPLICATES, &why);
        if (!success)
            read_refusal(answer, document, &result);
        else if (!json_is_object(document))
            err_set(&result.err, ERR_PROTOCOL, "the answer is not an object: %s", document ? "another kind of JSON" : why.text);
        else
            result.object = document;
    } else if (kube_lines_partial(&call->lines))
        err_set(&result.err, ERR_CONNECT, "the stream ended within a line");
    if (result.err.class)
        add_what(call, &result.err);
    *ret_result = result;
    *ret_document = document;
}

bool kube_answer_passes(const struct kube_call *call, const struct kube_answer *answer) {
    bool unseen = !answer->sent || answer->status == 429;
    if (call->verb == KUBE_WATCH || (call->verb == KUBE_CREATE && !unseen))
        return false;
    if (answer->err.class)
        return answer->err.class == ERR_CONNECT || answer->err.class == ERR_TIMEOUT;
    return answer->status == 429 || (answer->status >= 500 && answer->status != 501 && answer->status != 505);
}

static struct kube_forbidden *find(const struct kube_call *call) {
    struct kube_client *client = call->client;
    for (unsigned i = 0; i < client->forbidden_count; i++) {
        struct kube_forbidden *f = &client->forbidden[i];
        if (!strcmp(kube_verb_name(f->verb), kube_verb_name(call->verb)) && !strcmp(f->kind->plural, call->kind->plural) &&
            !strcmp(f->kind->group, call->kind->group) && !strcmp(f->namespace, call->namespace) &&
            !strcmp(f->subresource, call->subresource))
            return f;
    }
    return NULL;
}

static void forbidden_free(struct kube_forbidden *f) {
    mem_free(f->namespace);
    mem_free(f->subresource);
}

void kube_forbidden_note(const struct kube_call *call, const struct kube_result *result) {
    struct kube_client *client = call->client;
    const struct kube_hooks *hooks = &client->options.hooks;
    struct kube_forbidden *f = find(call);
    bool refused = result->err.class == ERR_PERMISSION;
    if (refused == (f != NULL) || (!refused && result->err.class))
        return;
    _cleanup_free_ char *resource = mem_printf("%s%s%s", call->kind->plural, call->subresource[0] ? "/" : "", call->subresource);
    if (refused && client->forbidden_count == KUBE_FORBIDDEN_MAX)
        return;
    if (refused)
        client->forbidden[client->forbidden_count++] = (struct kube_forbidden){
            .verb = call->verb,
            .kind = call->kind,
            .namespace = mem_strdup(call->namespace),
            .subresource = mem_strdup(call->subresource),
        };
    else {
        forbidden_free(f);
        *f = client->forbidden[--client->forbidden_count];
    }
    if (hooks->forbidden)
        hooks->forbidden(hooks->user, kube_verb_name(call->verb), resource, call->namespace, refused ? &result->err : NULL);
}

void kube_forbidden_done(struct kube_client *client) {
    while (client->forbidden_count)
        forbidden_free(&client->forbidden[--client->forbidden_count]);
}
