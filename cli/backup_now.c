/* SPDX-License-Identifier: Apache-2.0 */
/* backup now: the stream of the sidecar as progress, and one result per database. Only completed is success. */
#include <string.h>

#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "cli/words.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/net/proto_json.h"

struct watching {
    struct cli *cli;
    bool wait;
    struct progress *progress;
    char *request_id;
    size_t planned, ended, completed;
    bool summary;
    struct err worst; /* what the exit code is made of; ERR_NONE: all completed */
    json_t *document; /* of -o json and yaml */
};

/* Failed before deferred before skipped: the first of the gravest kind. */
static void remember(struct watching *w, const Mssql__V1__BackupResult *r) {
    enum err_class class = err_class_parse(r->error_class);
    if (r->state == MSSQL__V1__RESULT_STATE__RESULT_STATE_COMPLETED)
        return;
    if (class == ERR_NONE)
        class = r->state == MSSQL__V1__RESULT_STATE__RESULT_STATE_FAILED ? ERR_INTERNAL : ERR_STATE;
    bool failed = r->state == MSSQL__V1__RESULT_STATE__RESULT_STATE_FAILED;
    if (w->worst.class == ERR_NONE || (failed && !w->worst.sql_severity)) {
        w->worst.class = class;
        w->worst.sql_severity = failed; /* a mark of ours: nothing graver can come */
    }
}

static void print_result(struct watching *w, const Mssql__V1__BackupResult *r) {
    char span[TEXT_MAX], size[TEXT_MAX];
    if (w->cli->output != CLI_TABLE)
        return;
    if (r->backup) {
        cli_say(w->cli, CLI_GOOD, "%s: %s completed in %s, %s in the store, set %s", r->database, word_kind(r->kind),
                text_span(span, r->duration_ms * 1000), text_bytes(size, r->backup->stored_bytes), r->backup->set_guid);
        if (*r->message) /* another kind than the one asked for */
            cli_say(w->cli, CLI_WARN, "%s: %s: %s", r->database, r->reason, r->message);
        return;
    }
    _cleanup_free_ char *sql = r->sql_error ? mem_printf(" (SQL Server %d)", r->sql_error) : mem_strdup("");
    bool has_kind = r->kind != MSSQL__V1__BACKUP_KIND__BACKUP_KIND_UNSPECIFIED;
    cli_say(w->cli, color_result(r->state), "%s: %s%s%s%s%s%s%s%s", r->database, has_kind ? word_kind(r->kind) : "",
            has_kind ? " " : "", word_result(r->state), *r->reason ? ": " : "", r->reason, *r->message ? ": " : "", r->message,
            sql);
}

static void keep(struct watching *w, const char *field, const ProtobufCMessage *message) {
    json_t *list = json_object_get(w->document, field);
    if (list)
        json_array_append_new(list, proto_json_from(message, false));
}

static int on_accepted(struct watching *w, const Mssql__V1__BackupAccepted *a) {
    w->planned = a->n_planned;
    mem_free(w->request_id);
    w->request_id = mem_strdup(a->request_id);
    json_object_set_new(w->document, "requestId", json_string(a->request_id));
    for (size_t i = 0; i < a->n_planned; i++) {
        keep(w, "planned", &a->planned[i]->base);
        if (w->wait)
            progress_add(w->progress, a->planned[i]);
    }
    return w->wait ? 0 : -1; /* the stream ends, the backups go on */
}

static int on_event(void *user, const ProtobufCMessage *message) {
    struct watching *w = user;
    const Mssql__V1__RunBackupEvent *e = (const Mssql__V1__RunBackupEvent *)message;
    switch (e->event_case) {
    case MSSQL__V1__RUN_BACKUP_EVENT__EVENT_ACCEPTED:
        return on_accepted(w, e->accepted);
    case MSSQL__V1__RUN_BACKUP_EVENT__EVENT_PROGRESS:
        progress_update(w->progress, e->progress);
        return 0;
    case MSSQL__V1__RUN_BACKUP_EVENT__EVENT_RESULT:
        w->ended++;
        w->completed += e->result->state == MSSQL__V1__RESULT_STATE__RESULT_STATE_COMPLETED;
        remember(w, e->result);
        keep(w, "results", &e->result->base);
        progress_end(w->progress, e->result);
        print_result(w, e->result);
        return 0;
    case MSSQL__V1__RUN_BACKUP_EVENT__EVENT_SUMMARY:
        w->summary = true;
        json_object_set_new(w->document, "summary", proto_json_from(&e->summary->base, false));
        return 0;
    default: /* of a newer sidecar */
        return 0;
    }
}

static void fill(struct cli *cli, Mssql__V1__RunBackupRequest *q) {
    const struct cli_args *a = &cli->args;
    char *kind = cli_value(a, "--kind"), *reason = cli_value(a, "--reason");
    q->databases = a->words;
    q->n_databases = a->word_count;
    if (kind)
        q->kind = kind_of_word(kind);
    if (reason)
        q->reason = reason;
    q->copy_only = cli_given(a, "--copy-only");
    q->cancel_on_disconnect = cli_given(a, "--stop-on-interrupt");
}

static int check(struct cli *cli, struct err *err) {
    const struct cli_args *a = &cli->args;
    const char *kind = cli_value(a, "--kind");
    if (cli_given(a, "--copy-only") && (!kind || !strcmp(kind, "diff")))
        return err_set(err, ERR_USAGE, "--copy-only needs --kind full or --kind log");
    if (cli_given(a, "--no-wait") && cli_given(a, "--stop-on-interrupt"))
        return err_set(err, ERR_USAGE, "--no-wait and --stop-on-interrupt do not go together");
    return 0;
}

/* What the stream came to, as an error or success. */
static int judge(struct watching *w, int rc, struct err *err) {
    bool stopped = cli_given(&w->cli->args, "--stop-on-interrupt");
    if (!w->wait && w->request_id)
        return 0; /* ended by us */
    if (rc < 0 && ask_interrupted() && w->request_id) {
        err_set(err, ERR_CANCELLED, "interrupted after %zu of %zu databases", w->ended, w->planned);
        return err_hint(err, stopped ? "The sidecar was told to stop the others"
                                     : "The others go on in the sidecar, 'status' shows them");
    }
    if (rc < 0)
        return w->request_id
                   ? err_context(err, "%zu of %zu databases were done, the others may go on in the sidecar", w->ended, w->planned)
                   : -1;
    if (!w->summary || w->ended < w->planned)
        return err_set(err, ERR_PROTOCOL, "the sidecar ended the stream after %zu of %zu databases", w->ended, w->planned);
    if (w->worst.class == ERR_NONE)
        return 0;
    return err_set(err, w->worst.class, "%zu of %zu databases have a new backup", w->completed, w->planned);
}

int cmd_backup_now(struct cli *cli, struct err *err) {
    Mssql__V1__RunBackupRequest q = MSSQL__V1__RUN_BACKUP_REQUEST__INIT;
    struct watching w = {.cli = cli, .wait = !cli_given(&cli->args, "--no-wait")};
    if (check(cli, err) < 0)
        return -1;
    fill(cli, &q);
    w.document = json_pack("{s:n,s:[],s:[],s:n}", "requestId", "planned", "results", "summary");
    w.progress = progress_new(cli);
    int64_t timeout = cli_given(&cli->args, "--timeout") ? cli->timeout_ms : 0; /* a full may take hours */
    int rc = ask_stream(cli, "RunBackup", &q.base, &mssql__v1__run_backup_event__descriptor, timeout, on_event, &w, err);
    progress_free(w.progress);
    rc = judge(&w, rc, err);
    if (cli->output != CLI_TABLE && w.request_id)
        cli_print_value(cli, json_incref(w.document));
    else if (!w.wait && w.request_id)
        cli_say(cli, CLI_PLAIN, "accepted: %zu databases, request %s", w.planned, w.request_id);
    json_decref(w.document);
    mem_free(w.request_id);
    return rc;
}
