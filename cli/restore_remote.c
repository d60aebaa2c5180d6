/* SPDX-License-Identifier: Apache-2.0 */
/* restore through a sidecar: it does the work and goes on when this program ends. */
#include "cli/restore_remote.h"

#include <string.h>

#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "cli/restore.h"
#include "cli/words.h"
#include "common/base/mem.h"
#include "common/base/str.h"

/* A spec; what it points at is the command line's, or of `wishes`. */
struct restore_spec {
    Mssql__V1__RestoreSpec spec;
    Mssql__V1__RestoreWish **wishes;
    size_t wish_count;
    char *tokens;
};

/* ---- the request ---- */

static char *value(const struct cli *cli, const char *name) {
    return cli_value(&cli->args, name);
}

static Mssql__V1__RestoreWish *add_wish(struct restore_spec *s, char *database) {
    s->wishes = mem_realloc(s->wishes, (s->wish_count + 1) * sizeof(*s->wishes));
    Mssql__V1__RestoreWish *w = mem_alloc(sizeof(*w));
    mssql__v1__restore_wish__init(w);
    w->database = database;
    s->wishes[s->wish_count++] = w;
    return w;
}

static int add_move(Mssql__V1__RestoreWish *w, const char *text, struct err *err) {
    const char *equals = strchr(text, '=');
    if (!equals || equals == text || !equals[1])
        return err_set(err, ERR_USAGE, "--move takes LOGICAL=PATH, not '%s'", text);
    Mssql__V1__RestoreMove *m = mem_alloc(sizeof(*m));
    mssql__v1__restore_move__init(m);
    m->logical = mem_strndup(text, (size_t)(equals - text));
    m->physical = mem_strdup(equals + 1);
    w->moves = mem_realloc(w->moves, (w->n_moves + 1) * sizeof(*w->moves));
    w->moves[w->n_moves++] = m;
    return 0;
}

static int add_wishes(struct cli *cli, struct restore_spec *s, struct err *err) {
    const struct cli_args *a = &cli->args;
    bool one_only = cli_given(a, "--as") || cli_given(a, "--move");
    for (size_t i = 0; i < a->given_count; i++)
        if (!strcmp(a->given[i].option->name, "--database"))
            add_wish(s, a->given[i].value);
    for (size_t i = 0; i < a->word_count; i++)
        add_wish(s, a->words[i]);
    if (one_only && s->wish_count != 1)
        return err_set(err, ERR_USAGE, "--as and --move belong to exactly one --database");
    if (one_only && value(cli, "--as"))
        s->wishes[0]->as = value(cli, "--as");
    for (size_t i = 0; i < a->given_count; i++)
        if (!strcmp(a->given[i].option->name, "--move") && add_move(s->wishes[0], a->given[i].value, err) < 0)
            return -1;
    return 0;
}

static void set(char **field, char *text) {
    if (text)
        *field = text;
}

static int fill(struct cli *cli, struct restore_spec *s, struct err *err) {
    const struct cli_args *a = &cli->args;
    Mssql__V1__RestoreSpec *q = &s->spec;
    uint64_t parallel = 0;
    if (!value(cli, "--to"))
        return err_set(err, ERR_USAGE, "a restore needs --to: latest, or a moment");
    if (add_wishes(cli, s, err) < 0)
        return -1;
    if (cli_given(a, "--leave-restoring") && cli_given(a, "--standby"))
        return err_set(err, ERR_USAGE, "--leave-restoring and --standby exclude each other");
    if (!str_to_u64(value(cli, "--parallel"), UINT32_MAX, &parallel) || !parallel)
        return err_set(err, ERR_USAGE, "--parallel: '%s' is no number of databases", value(cli, "--parallel"));
    q->databases = s->wishes;
    q->n_databases = s->wish_count;
    q->finish = cli_given(a, "--leave-restoring") ? MSSQL__V1__RESTORE_FINISH__RESTORE_FINISH_RESTORING
                : cli_given(a, "--standby")       ? MSSQL__V1__RESTORE_FINISH__RESTORE_FINISH_STANDBY
                                                  : MSSQL__V1__RESTORE_FINISH__RESTORE_FINISH_RECOVER;
    set(&q->to, value(cli, "--to"));
    set(&q->data_dir, value(cli, "--data-dir"));
    set(&q->log_dir, value(cli, "--log-dir"));
    set(&q->standby_dir, value(cli, "--standby"));
    s->tokens = restore_given_tokens(cli);
    set(&q->acknowledge_data_loss, s->tokens);
    q->keep_cdc = cli_given(a, "--keep-cdc");
    q->keep_replication = cli_given(a, "--keep-replication");
    q->reapply_options = cli_given(a, "--reapply-options");
    q->check = cli_given(a, "--check");
    q->parallel = (uint32_t)parallel;
    return 0;
}

static void spec_done(struct restore_spec *s) {
    for (size_t i = 0; i < s->wish_count; i++) {
        for (size_t k = 0; k < s->wishes[i]->n_moves; k++)
            mssql__v1__restore_move__free_unpacked(s->wishes[i]->moves[k], NULL);
        mem_free(s->wishes[i]->moves);
        mem_free(s->wishes[i]); /* its texts are the command line's */
    }
    mem_free(s->wishes);
    mem_free(s->tokens);
    *s = (struct restore_spec){0};
}

static int spec_read(struct cli *cli, struct restore_spec *ret_spec, struct err *err) {
    struct restore_spec s = {.spec = MSSQL__V1__RESTORE_SPEC__INIT};
    if (fill(cli, &s, err) < 0) {
        spec_done(&s);
        return -1;
    }
    *ret_spec = s;
    return 0;
}

/* ---- the dry run ---- */

int restore_remote_plan(struct cli *cli, const Mssql__V1__RestoreSpec *spec, struct err *err) {
    Mssql__V1__PlanRestoreRequest q = MSSQL__V1__PLAN_RESTORE_REQUEST__INIT;
    _cleanup_message_ ProtobufCMessage *answer = NULL;
    q.spec = (Mssql__V1__RestoreSpec *)(uintptr_t)spec; /* packed at once */
    if (ask(cli, "PlanRestore", &q.base, &mssql__v1__plan_restore_response__descriptor, &answer, err) < 0)
        return -1;
    const Mssql__V1__RestoreReport *r = ((const Mssql__V1__PlanRestoreResponse *)answer)->report;
    if (!r)
        return err_set(err, ERR_PROTOCOL, "the sidecar answered without a report");
    if (cli->output != CLI_TABLE) {
        json_t *v = restore_remote_json(r->restore_id, true, r->started_at, r->finished_at, r->error_class, r->message,
                                        r->results, r->n_results, r->checks, r->n_checks);
        json_object_set_new(v, "token", *r->token ? json_string(r->token) : json_null());
        cli_print_value(cli, v);
    } else {
        for (size_t i = 0; i < r->n_results; i++)
            restore_remote_print_result(cli, r->results[i]);
        restore_remote_print_checks(cli, r->checks, r->n_checks, true);
        restore_print_token(cli, r->token, r->n_results);
    }
    if (*r->error_class) {
        enum err_class class = err_class_parse(r->error_class);
        return err_set(err, class == ERR_NONE ? ERR_INTERNAL : class, "%s", r->message);
    }
    if (cli->output == CLI_TABLE)
        cli_say(cli, CLI_GOOD, "nothing was changed: this was a dry run");
    return 0;
}

/* ---- the stream ---- */

struct watching {
    struct cli *cli;
    bool wait;
    struct restore_bars *bars;
    char *restore_id, *request_id;
    Mssql__V1__RestoreResult **results;
    size_t count, cap;
    Mssql__V1__RestoreSummary *summary;
};

static void *copy_of(const ProtobufCMessage *message) {
    size_t len = protobuf_c_message_get_packed_size(message);
    _cleanup_free_ uint8_t *bytes = mem_array(len + 1, 1);
    protobuf_c_message_pack(message, bytes);
    return protobuf_c_message_unpack(message->descriptor, NULL, len, bytes);
}

static enum backup_kind kind_of(Mssql__V1__BackupKind kind) {
    return kind == MSSQL__V1__BACKUP_KIND__BACKUP_KIND_FULL   ? BACKUP_FULL
           : kind == MSSQL__V1__BACKUP_KIND__BACKUP_KIND_DIFF ? BACKUP_DIFF
                                                              : BACKUP_LOG;
}

static void on_progress(struct watching *w, const Mssql__V1__RestoreProgress *m) {
    if (m->step < MSSQL__V1__RESTORE_STEP__RESTORE_STEP_PLANNED || m->step > MSSQL__V1__RESTORE_STEP__RESTORE_STEP_CANCELLED)
        return; /* of a newer sidecar */
    struct restore_progress p = {
        .restore_id = m->restore_id,
        .database = m->database,
        .step = (enum restore_step)(m->step - MSSQL__V1__RESTORE_STEP__RESTORE_STEP_PLANNED), /* the order is the same */
        .member = m->member,
        .members = m->members,
        .kind = kind_of(m->kind),
        .percent = m->percent,
        .fetched_bytes = m->fetched_bytes,
        .applied_bytes = m->applied_bytes,
        .total_bytes = m->total_bytes,
        .reached_at = m->reached_at,
        .message = *m->message ? m->message : NULL,
    };
    restore_bars_update(w->bars, &p);
}

static int on_event(void *user, const ProtobufCMessage *message) {
    struct watching *w = user;
    const Mssql__V1__RunRestoreEvent *e = (const Mssql__V1__RunRestoreEvent *)message;
    switch (e->event_case) {
    case MSSQL__V1__RUN_RESTORE_EVENT__EVENT_ACCEPTED:
        w->restore_id = mem_strdup(e->accepted->restore_id);
        w->request_id = mem_strdup(e->accepted->request_id);
        return w->wait ? 0 : -1; /* the stream ends, the restore goes on */
    case MSSQL__V1__RUN_RESTORE_EVENT__EVENT_PROGRESS:
        on_progress(w, e->progress);
        return 0;
    case MSSQL__V1__RUN_RESTORE_EVENT__EVENT_RESULT:
        w->results = mem_grow(w->results, &w->cap, w->count + 1, sizeof(*w->results));
        w->results[w->count++] = copy_of(&e->result->base);
        return 0;
    case MSSQL__V1__RUN_RESTORE_EVENT__EVENT_SUMMARY:
        if (!w->summary)
            w->summary = copy_of(&e->summary->base);
        return 0;
    default: /* of a newer sidecar */
        return 0;
    }
}

static void print(struct watching *w) {
    const struct cli *cli = w->cli;
    const Mssql__V1__RestoreSummary *s = w->summary;
    if (cli->output != CLI_TABLE) {
        json_t *v = restore_remote_json(w->restore_id, false, 0, 0, s->error_class, s->message, w->results, w->count, s->checks,
                                        s->n_checks);
        json_object_set_new(v, "requestId", json_string(w->request_id));
        cli_print_value(cli, v);
        return;
    }
    for (size_t i = 0; i < w->count; i++)
        restore_remote_print_result(cli, w->results[i]);
    restore_remote_print_checks(cli, s->checks, s->n_checks, false);
}

/* What the stream came to, as an error or success. */
static int judge(struct watching *w, int rc, struct err *err) {
    struct cli *cli = w->cli;
    if (!w->restore_id)
        return rc < 0 ? -1 : err_set(err, ERR_PROTOCOL, "the sidecar ended the stream without a word");
    if (!w->wait) {
        cli_say(cli, CLI_PLAIN, "accepted: restore %s", w->restore_id);
        return 0; /* ended by us */
    }
    if (rc < 0 && ask_interrupted()) {
        err_set(err, ERR_CANCELLED, "interrupted");
        if (cli_given(&cli->args, "--stop-on-interrupt"))
            return err_hint(err, "The sidecar was told to end restore %s; 'restores' shows how its databases stand",
                            w->restore_id);
        return err_hint(err, "Restore %s goes on in the sidecar: 'restores' shows it, 'restores cancel %s' ends it",
                        w->restore_id, w->restore_id);
    }
    if (rc < 0) {
        err_context(err, "restore %s goes on in the sidecar", w->restore_id);
        return err_hint(err, "'restores' shows it");
    }
    if (!w->summary)
        return err_set(err, ERR_PROTOCOL, "the sidecar ended the stream before the end of restore %s", w->restore_id);
    print(w);
    if (!*w->summary->error_class)
        return 0;
    enum err_class class = err_class_parse(w->summary->error_class);
    return err_set(err, class == ERR_NONE ? ERR_INTERNAL : class, "%s", w->summary->message);
}

static int read_times(struct cli *cli, Mssql__V1__RunRestoreRequest *q, struct err *err) {
    const char *text = value(cli, "--expires");
    if (!text)
        return 0;
    int64_t ms;
    if (str_to_duration_ms(text, &ms)) { /* from the end of the restore */
        q->expires_in_seconds = ms / 1000;
        return ms >= 1000 ? 0 : err_set(err, ERR_USAGE, "--expires: at least a second");
    }
    return cli_time("--expires", text, cli->now, 1, &q->expires_at, err);
}

static int check_watching(const struct cli *cli, struct err *err) {
    if (cli_given(&cli->args, "--no-wait") && cli_given(&cli->args, "--stop-on-interrupt"))
        return err_set(err, ERR_USAGE, "--no-wait and --stop-on-interrupt do not go together");
    return 0;
}

static int check(struct cli *cli, struct err *err) {
    static const char *const others[] = {"--server", "--password-file", "--staging", "--staging-size",
                                         "--state",  "--resume",        "--sql-ca"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (cli_given(&cli->args, others[i])) {
            err_set(err, ERR_USAGE, "%s is for a restore without a sidecar", others[i]);
            if (!strcmp(others[i], "--resume"))
                return err_hint(err, "With a sidecar: restores resume ID");
            return err_hint(err, "Name the backups with --store, or leave it out: a sidecar restores to its own server");
        }
    return check_watching(cli, err);
}

/* Watches the stream to its end and tells what it came to. */
static int watch(struct cli *cli, const char *method, const ProtobufCMessage *request, struct err *err) {
    struct watching w = {.cli = cli, .wait = !cli_given(&cli->args, "--no-wait")};
    w.bars = restore_bars_new(cli);
    int64_t timeout = cli_given(&cli->args, "--timeout") ? cli->timeout_ms : 0; /* terabytes take hours */
    int rc = ask_stream(cli, method, request, &mssql__v1__run_restore_event__descriptor, timeout, on_event, &w, err);
    restore_bars_free(w.bars);
    rc = judge(&w, rc, err);
    for (size_t i = 0; i < w.count; i++)
        mssql__v1__restore_result__free_unpacked(w.results[i], NULL);
    mem_free(w.results);
    if (w.summary)
        mssql__v1__restore_summary__free_unpacked(w.summary, NULL);
    mem_free(w.restore_id);
    mem_free(w.request_id);
    return rc;
}

static int run(struct cli *cli, const struct restore_spec *spec, struct err *err) {
    Mssql__V1__RunRestoreRequest q = MSSQL__V1__RUN_RESTORE_REQUEST__INIT;
    q.spec = (Mssql__V1__RestoreSpec *)(uintptr_t)&spec->spec; /* packed at once */
    set(&q.request_id, value(cli, "--request-id"));
    set(&q.reason, value(cli, "--reason"));
    q.cancel_on_disconnect = cli_given(&cli->args, "--stop-on-interrupt");
    if (read_times(cli, &q, err) < 0)
        return -1;
    return watch(cli, "RunRestore", &q.base, err);
}

int cmd_restores_resume(struct cli *cli, struct err *err) {
    Mssql__V1__ResumeRestoreRequest q = MSSQL__V1__RESUME_RESTORE_REQUEST__INIT;
    q.id = cli->args.words[0];
    q.cancel_on_disconnect = cli_given(&cli->args, "--stop-on-interrupt");
    return check_watching(cli, err) < 0 ? -1 : watch(cli, "ResumeRestore", &q.base, err);
}

int restore_remote(struct cli *cli, struct err *err) {
    struct restore_spec spec;
    if (check(cli, err) < 0 || spec_read(cli, &spec, err) < 0)
        return -1;
    int rc = cli_given(&cli->args, "--dry-run") ? restore_remote_plan(cli, &spec.spec, err) : run(cli, &spec, err);
    spec_done(&spec);
    return rc;
}
