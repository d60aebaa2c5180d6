/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/kube/kubectl.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "cli/kube/child.h"
#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define ANSWER_MAX ((size_t)256 << 20)

void kubectl_add(struct kubectl *k, const char *word) {
    if (k->count < KUBECTL_ARGS_MAX)
        k->args[k->count] = word;
    k->count++;
}

static void add_global(struct kubectl *k, const char *name) {
    const char *value = cli_value(&k->cli->args, name);
    if (!value || !*value)
        return;
    kubectl_add(k, name);
    kubectl_add(k, value);
}

void kubectl_begin(struct kubectl *k, const struct cli *cli, ...) {
    const char *program = cli->io->env("KUBECTL"), *word;
    *k = (struct kubectl){.cli = cli};
    kubectl_add(k, program && *program ? program : "kubectl");
    add_global(k, "--kubeconfig");
    add_global(k, "--context");
    add_global(k, "--namespace");
    va_list ap;
    va_start(ap, cli);
    while ((word = va_arg(ap, const char *)))
        kubectl_add(k, word);
    va_end(ap);
}

/* ---- errors ---- */

/* Of the words that it printed on its error stream. */
static enum err_class kubectl_class(const char *said) {
    static const struct {
        const char *word;
        enum err_class class;
    } words[] = {
        {"(NotFound)", ERR_NOT_FOUND},
        {"the server doesn't have a resource type", ERR_UNSUPPORTED},
        {"(Forbidden)", ERR_PERMISSION},
        {"(Unauthorized)", ERR_AUTH},
        {"You must be logged in", ERR_AUTH},
        {"(AlreadyExists)", ERR_EXISTS},
        {"(Conflict)", ERR_CONFLICT},
        {"(TooManyRequests)", ERR_BUSY},
        {"(Timeout)", ERR_TIMEOUT},
        {"is invalid:", ERR_USAGE},
        {"(BadRequest)", ERR_USAGE},
        {"Unable to connect to the server", ERR_CONNECT},
        {"was refused - did you specify the right host or port", ERR_CONNECT},
        {"connection refused", ERR_CONNECT},
        {"context \"", ERR_CONFIG}, /* context "x" does not exist */
        {"context was not found", ERR_CONFIG},
        {"no configuration has been provided", ERR_CONFIG},
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strstr(said, words[i].word))
            return words[i].class;
    return ERR_STATE;
}

/* Lines of its log ("E1121 18:43:33.18 ...") stand before what it says to people. */
static const char *to_people(const char *said) {
    while (*said) {
        bool log = (*said == 'E' || *said == 'W' || *said == 'I') && strspn(said + 1, "0123456789") == 4;
        size_t len = strcspn(said, "\n");
        if (!log && len)
            return said;
        said += len + (said[len] == '\n');
    }
    return said;
}

static int failed(const struct kubectl *k, const struct child_end *end, struct err *err) {
    const char *said = to_people(end->said);
    size_t len = strlen(said);
    while (len && (said[len - 1] == '\n' || said[len - 1] == ' '))
        len--;
    if (str_starts(said, "Error from server "))
        said += strlen("Error from server "), len -= strlen("Error from server ");
    if (!len)
        return err_set(err, ERR_STATE, "'%s' ended with %d and said nothing", k->args[0], end->exit);
    err_set(err, kubectl_class(end->said), "%.*s", (int)(len > 700 ? 700 : len), said);
    if (err->class == ERR_UNSUPPORTED)
        return err_hint(err, "The custom resources are not in this cluster: kubectl apply -f crd/");
    return -1;
}

/* ---- running ---- */

static int argv_of(const struct kubectl *k, const char *argv[KUBECTL_ARGS_MAX + 1], struct err *err) {
    if (k->count > KUBECTL_ARGS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d words for kubectl", KUBECTL_ARGS_MAX);
    for (size_t i = 0; i < k->count; i++)
        argv[i] = k->args[i];
    argv[k->count] = NULL;
    return 0;
}

int kubectl_text(const struct kubectl *k, const char *input, char **ret_text, struct err *err) {
    const char *argv[KUBECTL_ARGS_MAX + 1];
    struct buf out;
    struct child_end end;
    if (argv_of(k, argv, err) < 0)
        return -1;
    buf_init(&out, ANSWER_MAX);
    int rc = child_run(argv, input, &out, &end, err);
    if (rc == 0 && end.exit != 0)
        rc = failed(k, &end, err);
    if (rc == 0)
        *ret_text = mem_strndup(out.data ? out.data : "", out.len);
    buf_done(&out);
    return rc;
}

int kubectl_json(struct kubectl *k, const char *input, json_t **ret_json, struct err *err) {
    _cleanup_free_ char *text = NULL;
    json_error_t why;
    kubectl_add(k, "-o");
    kubectl_add(k, "json");
    if (kubectl_text(k, input, &text, err) < 0)
        return -1;
    json_t *answer = json_loads(text, 0, &why);
    if (!answer)
        return err_set(err, ERR_PROTOCOL, "what %s printed is no JSON: %s", k->args[0], why.text);
    *ret_json = answer;
    return 0;
}

int kubectl_through(const struct kubectl *k, int *ret_exit, struct err *err) {
    const char *argv[KUBECTL_ARGS_MAX + 1];
    if (argv_of(k, argv, err) < 0)
        return -1;
    fflush(k->cli->io->out);
    return child_through(argv, ret_exit, err);
}

/* ---- following ---- */

struct kubectl_watch {
    struct child *child;
};

int kubectl_watch_open(const struct cli *cli, const char *kind, const char *name, const char *namespace,
                       struct kubectl_watch **ret_watch, struct err *err) {
    const char *argv[KUBECTL_ARGS_MAX + 1];
    struct kubectl k;
    kubectl_begin(&k, cli, "get", kind, name, "--namespace", namespace, "--watch", "--output-watch-events", "-o", "json", NULL);
    if (argv_of(&k, argv, err) < 0)
        return -1;
    struct kubectl_watch *watch = mem_alloc(sizeof(*watch));
    if (child_open(argv, &watch->child, err) < 0) {
        mem_free(watch);
        return -1;
    }
    *ret_watch = watch;
    return 0;
}

int kubectl_watch_next(struct kubectl_watch *watch, json_t **ret_object, struct err *err) {
    struct child_end end;
    json_error_t why;
    json_t *event = json_loadf(child_stream(watch->child), JSON_DISABLE_EOF_CHECK, &why);
    if (!event) {
        child_wait(watch->child, &end);
        if (end.exit == 0 || !end.said[0])
            return 0;
        const struct kubectl k = {.args = {"kubectl"}, .count = 1};
        return failed(&k, &end, err);
    }
    const char *type = json_string_value(json_object_get(event, "type"));
    json_t *object = json_object_get(event, "object");
    if (type && !strcmp(type, "DELETED")) {
        json_decref(event);
        return err_set(err, ERR_NOT_FOUND, "deleted");
    }
    if (!json_is_object(object) || (type && !strcmp(type, "ERROR"))) {
        json_decref(event);
        return 0;
    }
    *ret_object = json_incref(object);
    json_decref(event);
    return 1;
}

void kubectl_watch_close(struct kubectl_watch *watch) {
    if (!watch)
        return;
    child_close(watch->child);
    mem_free(watch);
}
