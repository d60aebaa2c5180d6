/* SPDX-License-Identifier: Apache-2.0 */
/* restores: those of a sidecar. */
#include <string.h>

#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/restore_remote.h"
#include "cli/status.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/words.h"
#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/net/proto_json.h"

static const char *state_word(Mssql__V1__RestoreState state) {
    static const char *const words[] = {"-", "queued", "running", "WAITING", "completed", "FAILED", "CANCELLED"};
    return (unsigned)state < ARRAY_LEN(words) ? words[state] : "-";
}

static enum cli_color state_color(Mssql__V1__RestoreState state) {
    switch (state) {
    case MSSQL__V1__RESTORE_STATE__RESTORE_STATE_COMPLETED:
        return CLI_GOOD;
    case MSSQL__V1__RESTORE_STATE__RESTORE_STATE_FAILED:
        return CLI_BAD;
    case MSSQL__V1__RESTORE_STATE__RESTORE_STATE_WAITING:
    case MSSQL__V1__RESTORE_STATE__RESTORE_STATE_CANCELLED:
        return CLI_WARN;
    default:
        return CLI_PLAIN;
    }
}

/* "orders as orders_copy, sales", of what is known. */
static char *databases_of(const Mssql__V1__Restore *r) {
    struct buf b;
    buf_init(&b, 4096);
    for (size_t i = 0; i < r->n_results; i++) {
        const Mssql__V1__RestoreResult *one = r->results[i];
        bool other = strcmp(one->source, one->database) != 0;
        buf_printf(&b, "%s%s%s%s", b.len ? ", " : "", one->source, other ? " as " : "", other ? one->database : "");
    }
    for (size_t i = 0; !r->n_results && i < r->n_progress; i++)
        buf_printf(&b, "%s%s", b.len ? ", " : "", r->progress[i]->database);
    return buf_take(&b);
}

static void print_more(const struct cli *cli, const Mssql__V1__Restore *r, int64_t now) {
    char ago[TEXT_MAX];
    if (*r->message)
        cli_field(cli, "  why", state_color(r->state), "%s", r->message);
    for (size_t i = 0; i < r->n_unfinished; i++)
        cli_field(cli, "  unfinished", CLI_WARN, "%s: 'restores resume %s' goes on", r->unfinished[i], r->id);
    for (size_t i = 0; i < r->n_tails; i++)
        cli_field(cli, "  only in staging", CLI_BAD, "%s, the last log of a database", r->tails[i]);
    for (size_t i = 0; i < r->n_copies; i++) {
        const Mssql__V1__RestoredCopy *c = r->copies[i];
        if (c->dropped_at)
            cli_field(cli, "  copy", CLI_DIM, "%s is gone since %s%s%s", c->database, text_ago(ago, c->dropped_at, now),
                      *c->message ? ": " : "", c->message);
        else
            cli_field(cli, "  copy", CLI_PLAIN, "%s %s%s%s%s", c->database, c->expires_at ? "goes " : "is kept",
                      c->expires_at ? text_ago(ago, c->expires_at, now) : "", *c->message ? ": " : "", c->message);
    }
}

static void print_table(struct cli *cli, const Mssql__V1__Status *s) {
    static const struct cli_column columns[] = {{"RESTORE", 0, false},    {"STATE", 0, false},     {"TO", 12, false},
                                                {"DATABASES", 16, false}, {"ASKED FOR", 0, false}, {"REASON", 10, false}};
    struct cli_table *t = table_new(cli, columns, ARRAY_LEN(columns));
    char ago[TEXT_MAX];
    for (size_t i = 0; i < s->n_restores; i++) {
        const Mssql__V1__Restore *r = s->restores[i];
        _cleanup_free_ char *databases = databases_of(r);
        table_cell(t, CLI_PLAIN, "%s", r->id);
        table_cell(t, state_color(r->state), "%s", state_word(r->state));
        table_cell(t, CLI_PLAIN, "%s", r->to);
        table_cell(t, CLI_PLAIN, "%s", databases);
        table_cell(t, CLI_PLAIN, "%s", text_ago(ago, r->requested_at, s->now_at));
        table_cell(t, CLI_PLAIN, "%s", r->reason);
    }
    table_print(t);
}

static const Mssql__V1__Restore *find(const Mssql__V1__Status *s, const char *id) {
    for (size_t i = 0; i < s->n_restores; i++)
        if (!strcmp(s->restores[i]->id, id) || !strcmp(s->restores[i]->request_id, id))
            return s->restores[i];
    return NULL;
}

static void print_one(struct cli *cli, const Mssql__V1__Restore *r, int64_t now) {
    char at[TEXT_MAX];
    cli_say(cli, CLI_BOLD, "restore %s", r->id);
    cli_field(cli, "  state", state_color(r->state), "%s", state_word(r->state));
    cli_field(cli, "  to", CLI_PLAIN, "%s", r->to);
    cli_field(cli, "  asked for", CLI_PLAIN, "%s by %s%s%s", text_time(at, r->requested_at), r->by_whom, *r->reason ? ": " : "",
              r->reason);
    if (strcmp(r->id, r->request_id) != 0)
        cli_field(cli, "  request", CLI_PLAIN, "%s", r->request_id);
    for (size_t i = 0; i < r->n_progress; i++) {
        const Mssql__V1__RestoreProgress *p = r->progress[i];
        cli_field(cli, "  database", CLI_PLAIN, "%s: %u of %u backups", p->database, p->member, p->members);
    }
    print_more(cli, r, now);
    for (size_t i = 0; i < r->n_results; i++)
        restore_remote_print_result(cli, r->results[i]);
}

int cmd_restores(struct cli *cli, struct err *err) {
    _cleanup_message_ Mssql__V1__Status *s = NULL;
    Mssql__V1__GetStatusRequest q = MSSQL__V1__GET_STATUS_REQUEST__INIT;
    ProtobufCMessage *answer;
    q.without_databases = true;
    if (ask(cli, "GetStatus", &q.base, &mssql__v1__status__descriptor, &answer, err) < 0)
        return -1;
    s = (Mssql__V1__Status *)answer;
    const Mssql__V1__Restore *one = cli->args.word_count ? find(s, cli->args.words[0]) : NULL;
    if (cli->args.word_count && !one)
        return err_set(err, ERR_NOT_FOUND, "there is no restore '%s'", cli->args.words[0]);
    if (cli->output != CLI_TABLE) {
        json_t *list = json_array();
        for (size_t i = 0; !one && i < s->n_restores; i++)
            json_array_append_new(list, proto_json_from(&s->restores[i]->base, false));
        if (one)
            json_decref(list);
        cli_print_value(cli, one ? proto_json_from(&one->base, false) : list);
        return 0;
    }
    if (one) {
        print_one(cli, one, s->now_at);
        return 0;
    }
    if (!s->n_restores) {
        cli_say(cli, CLI_PLAIN, "no restores");
        return 0;
    }
    print_table(cli, s);
    for (size_t i = 0; i < s->n_restores; i++)
        if (s->restores[i]->n_copies || s->restores[i]->n_unfinished || *s->restores[i]->message) {
            cli_say(cli, CLI_PLAIN, "%s", s->restores[i]->id);
            print_more(cli, s->restores[i], s->now_at);
        }
    return 0;
}

int cmd_restores_cancel(struct cli *cli, struct err *err) {
    Mssql__V1__CancelRestoreRequest q = MSSQL__V1__CANCEL_RESTORE_REQUEST__INIT;
    _cleanup_message_ ProtobufCMessage *answer = NULL;
    q.id = cli->args.words[0];
    if (ask(cli, "CancelRestore", &q.base, &mssql__v1__cancel_restore_response__descriptor, &answer, err) < 0)
        return -1;
    if (!cli_print_message(cli, answer))
        cli_say(cli, CLI_PLAIN, "restore %s is told to end; 'restores %s' shows how its databases stand", q.id, q.id);
    return 0;
}

int cmd_restores_keep(struct cli *cli, struct err *err) {
    Mssql__V1__KeepRestoreRequest q = MSSQL__V1__KEEP_RESTORE_REQUEST__INIT;
    _cleanup_message_ ProtobufCMessage *answer = NULL;
    const char *until = cli_value(&cli->args, "--until");
    char at[TEXT_MAX];
    q.id = cli->args.words[0];
    if (cli->args.word_count > 1)
        q.database = cli->args.words[1];
    if (until && cli_time("--until", until, cli->now, 1, &q.expires_at, err) < 0)
        return -1;
    if (ask(cli, "KeepRestore", &q.base, &mssql__v1__keep_restore_response__descriptor, &answer, err) < 0)
        return -1;
    const Mssql__V1__Restore *r = ((const Mssql__V1__KeepRestoreResponse *)answer)->restore;
    if (cli_print_message(cli, answer) || !r)
        return 0;
    for (size_t i = 0; i < r->n_copies; i++)
        if (!r->copies[i]->dropped_at)
            cli_say(cli, CLI_PLAIN, "%s %s%s", r->copies[i]->database, r->copies[i]->expires_at ? "goes at " : "is kept",
                    r->copies[i]->expires_at ? text_time(at, r->copies[i]->expires_at) : "");
    return 0;
}
