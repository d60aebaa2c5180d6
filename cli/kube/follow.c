/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/kube/follow.h"

#include <poll.h>
#include <string.h>

#include "cli/kube/kubectl.h"
#include "cli/kube/object.h"
#include "cli/text.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define LINE_MAX_BYTES 1024
#define AGAIN_MAX_S 30

int follow_create(struct cli *cli, json_t *object, json_t **ret_made, struct err *err) {
    char *text = json_dumps(object, JSON_COMPACT);
    struct kubectl k;
    kubectl_begin(&k, cli, "create", "--filename", "-", "--field-manager=kubectl-mssql", NULL);
    int rc = kubectl_json(&k, text, ret_made, err);
    json_decref(object);
    free(text);
    return rc;
}

/* "Restoring 42 %: the restore runs; orders 42 %, sales 40 %" */
static void line_of(const json_t *object, char line[LINE_MAX_BYTES]) {
    const json_t *databases = object_at(object, "status.databases");
    const char *phase = object_text(object, "status.phase"), *message = object_text(object, "status.message");
    int64_t percent = object_number(object, "status.progress", -1);
    size_t at = 0;
    str_format(line, LINE_MAX_BYTES, "%s", *phase ? phase : "waits for a controller");
    at = strlen(line);
    if (percent >= 0)
        str_format(line + at, LINE_MAX_BYTES - at, " %lld %%", (long long)percent);
    at = strlen(line);
    if (*message)
        str_format(line + at, LINE_MAX_BYTES - at, ": %s", message);
    for (size_t i = 0; i < json_array_size(databases); i++) {
        const json_t *d = json_array_get(databases, i);
        int64_t done = object_number(d, "progress", -1);
        at = strlen(line);
        if (done >= 0 && at + 200 < LINE_MAX_BYTES)
            str_format(line + at, LINE_MAX_BYTES - at, "%s%s %lld %%", i ? ", " : "; ", object_text(d, "database"),
                       (long long)done);
    }
}

static void say(const struct cli *cli, const json_t *object, char last[LINE_MAX_BYTES]) {
    char line[LINE_MAX_BYTES];
    line_of(object, line);
    if (!strcmp(line, last))
        return;
    str_copy(last, LINE_MAX_BYTES, line);
    _cleanup_free_ char *clean = text_clean(line);
    fprintf(cli->io->err, "%s\n", clean);
    fflush(cli->io->err);
}

/* One stream; 1: it ended, *ret_object is the last one. */
static int follow_stream(struct cli *cli, struct kubectl_watch *watch, const char *last, char *line, unsigned *again,
                         json_t **ret_object, struct err *err) {
    json_t *object;
    int rc;
    while ((rc = kubectl_watch_next(watch, &object, err)) > 0) {
        *again = 1;
        say(cli, object, line);
        if (cli_choice(last, object_text(object, "status.phase"))) {
            *ret_object = object;
            return 1;
        }
        json_decref(object);
    }
    return rc;
}

int follow_until(struct cli *cli, const char *kind, const json_t *made, const char *last, json_t **ret_object, struct err *err) {
    char line[LINE_MAX_BYTES] = "";
    unsigned again = 1;
    for (;;) {
        struct kubectl_watch *watch;
        if (kubectl_watch_open(cli, kind, object_name(made), object_namespace(made), &watch, err) < 0)
            return -1;
        int rc = follow_stream(cli, watch, last, line, &again, ret_object, err);
        kubectl_watch_close(watch);
        if (rc > 0)
            return 0;
        if (rc < 0 && err->class == ERR_NOT_FOUND)
            return err_set(err, ERR_NOT_FOUND, "%s %s was deleted meanwhile", kind, object_name(made));
        if (rc < 0 && !err_class_transient(err->class))
            return -1;
        if (rc < 0)
            fprintf(cli->io->err, "%s; looking again in %u s\n", err->text, again);
        (void)poll(NULL, 0, (int)again * 1000); /* the API server ended the stream, or is away */
        again = again * 2 > AGAIN_MAX_S ? AGAIN_MAX_S : again * 2;
    }
}

static const struct {
    const char *reason;
    enum err_class class;
} reasons[] = {
    {"NotAcknowledged", ERR_DATA_LOSS}, {"InvalidTarget", ERR_USAGE},      {"Unsupported", ERR_UNSUPPORTED},
    {"AlreadyExecuted", ERR_EXISTS},    {"NoProgress", ERR_TIMEOUT},       {"Hole", ERR_NOT_FOUND},
    {"NotRestorable", ERR_NOT_FOUND},   {"TargetNotFound", ERR_NOT_FOUND},
};

int follow_failed(const json_t *object, struct err *err) {
    static const char *const types[] = {"Completed", "Planned"};
    const char *message = object_text(object, "status.message"), *token = object_text(object, "status.token");
    enum err_class class = ERR_STATE;
    for (size_t t = 0; t < ARRAY_LEN(types); t++) {
        const json_t *c = object_condition(object, types[t]);
        for (size_t i = 0; c && !strcmp(object_text(c, "status"), "False") && i < ARRAY_LEN(reasons); i++)
            if (!strcmp(object_text(c, "reason"), reasons[i].reason))
                class = reasons[i].class;
    }
    if (*token)
        class = ERR_DATA_LOSS;
    err_set(err, class, "%s: %s", object_name(object), *message ? message : object_text(object, "status.phase"));
    return *token ? err_hint(err, "To restore all the same, acknowledge the loss: --acknowledge %s", token) : -1;
}
