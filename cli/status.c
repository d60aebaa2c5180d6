/* SPDX-License-Identifier: Apache-2.0 */
/* status: what is wrong first, then what can be restored, then when backups were and will be taken. */
#include "cli/status.h"

#include <string.h>

#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/words.h"
#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define LINE_MAX_BYTES 4096

int status_ask(struct cli *cli, char **databases, size_t count, Mssql__V1__Status **ret_status, struct err *err) {
    Mssql__V1__GetStatusRequest q = MSSQL__V1__GET_STATUS_REQUEST__INIT;
    ProtobufCMessage *answer;
    q.n_databases = count;
    q.databases = databases;
    if (ask(cli, "GetStatus", &q.base, &mssql__v1__status__descriptor, &answer, err) < 0)
        return -1;
    *ret_status = (Mssql__V1__Status *)answer;
    return 0;
}

/* ---- the instance ---- */

static bool is_fine(const Mssql__V1__Condition *c) {
    bool bad_when_true = !strcmp(c->type, "Paused") || !strcmp(c->type, "Restoring");
    if (!strcmp(c->type, "StoreVerified") || !strcmp(c->type, "RecoveryVerified")) /* that nothing is known yet is no news */
        return c->status != MSSQL__V1__CONDITION_STATUS__CONDITION_STATUS_FALSE;
    return c->status == (bad_when_true ? MSSQL__V1__CONDITION_STATUS__CONDITION_STATUS_FALSE
                                       : MSSQL__V1__CONDITION_STATUS__CONDITION_STATUS_TRUE);
}

static void print_conditions(const struct cli *cli, const Mssql__V1__Status *s) {
    char ago[TEXT_MAX];
    bool any = false;
    for (size_t i = 0; i < s->n_conditions; i++) {
        const Mssql__V1__Condition *c = s->conditions[i];
        if (is_fine(c))
            continue;
        bool is_minor = !strcmp(c->type, "Encrypted") || !strcmp(c->type, "FailureDomainSeparated") || !strcmp(c->type, "Paused");
        bool known = c->status != MSSQL__V1__CONDITION_STATUS__CONDITION_STATUS_UNKNOWN;
        cli_field(cli, "!", known && !is_minor ? CLI_BAD : CLI_WARN, "%s is %s (%s%s%s): %s", c->type,
                  !known                                                            ? "not known"
                  : c->status == MSSQL__V1__CONDITION_STATUS__CONDITION_STATUS_TRUE ? "true"
                                                                                    : "false",
                  c->reason, c->since_at ? ", since " : "", c->since_at ? text_ago(ago, c->since_at, s->now_at) : "", c->message);
        any = true;
    }
    if (any)
        fputc('\n', cli->io->out);
}

static void print_server(const struct cli *cli, const Mssql__V1__Status *s) {
    const Mssql__V1__SqlServer *q = s->sql_server;
    const Mssql__V1__Identity *id = s->identity;
    char up[TEXT_MAX], ago[TEXT_MAX];
    if (id)
        cli_field(cli, "instance", CLI_BOLD, "%s/%s", id->namespace_, id->instance);
    if (!q)
        return;
    if (q->reachable && q->started_at)
        cli_field(cli, "SQL Server", CLI_GOOD, "%s, %s, at %s, up %s", q->version, q->edition, q->address,
                  text_span(up, s->now_at - q->started_at));
    else if (q->reachable)
        cli_field(cli, "SQL Server", CLI_GOOD, "%s, %s, at %s", q->version, q->edition, q->address);
    else
        cli_field(cli, "SQL Server", CLI_BAD, "not reachable at %s: %s%s%s", q->address,
                  *q->last_error ? q->last_error : "not asked yet", q->last_error_at ? ", " : "",
                  q->last_error_at ? text_ago(ago, q->last_error_at, s->now_at) : "");
    int64_t off = q->clock_offset_ms < 0 ? -q->clock_offset_ms : q->clock_offset_ms;
    if (q->reachable && off >= 2000)
        cli_field(cli, "", CLI_WARN, "its clock is %s %s of the sidecar's", text_span(up, off * 1000),
                  q->clock_offset_ms > 0 ? "ahead" : "behind");
}

static void print_store(const struct cli *cli, const Mssql__V1__Status *s) {
    const Mssql__V1__Store *t = s->store;
    char ago[TEXT_MAX], stored[TEXT_MAX], time[TEXT_MAX];
    if (!t)
        return;
    if (!*t->url) {
        cli_field(cli, "store", CLI_BAD, "none is configured");
        return;
    }
    if (t->reachable)
        cli_field(cli, "store", CLI_GOOD, "%s, %llu backups, %s, last commit %s", t->url, (unsigned long long)t->backups,
                  text_bytes(stored, t->stored_bytes), text_ago(ago, t->last_commit_at, s->now_at));
    else
        cli_field(cli, "store", CLI_BAD, "%s is not reachable: %s%s%s", t->url, *t->last_error ? t->last_error : "not asked yet",
                  t->last_error_at ? ", " : "", t->last_error_at ? text_ago(ago, t->last_error_at, s->now_at) : "");
    cli_field(cli, "off volume", t->off_volume_until_at ? CLI_PLAIN : CLI_WARN, "%s",
              t->off_volume_until_at ? text_time(time, t->off_volume_until_at)
                                     : "nothing can be restored without the data volume");
}

static void print_staging(const struct cli *cli, const Mssql__V1__Status *s) {
    const Mssql__V1__Staging *g = s->staging;
    char used[TEXT_MAX], quota[TEXT_MAX], left[TEXT_MAX], ago[TEXT_MAX];
    if (!g)
        return;
    cli_field(cli, "staging",
              !g->writable   ? CLI_BAD
              : g->unshipped ? CLI_WARN
                             : CLI_PLAIN,
              "%s%s, %s of %s used, %s free%s", g->path, g->writable ? "" : " is NOT writable", text_bytes(used, g->used_bytes),
              text_bytes(quota, g->quota_bytes), text_bytes(left, g->free_bytes),
              g->unshipped ? "" : ", nothing waits for the store");
    if (g->unshipped)
        cli_field(cli, "", CLI_WARN, "%u backups wait for the store, the oldest of %s", g->unshipped,
                  text_ago(ago, g->oldest_unshipped_at, s->now_at));
}

static void print_policy(const struct cli *cli, const Mssql__V1__Status *s) {
    const Mssql__V1__Policy *p = s->policy;
    char every[TEXT_MAX], until[TEXT_MAX];
    if (!p)
        return;
    cli_field(cli, "policy", CLI_PLAIN, "full %s, diff %s, log %s%s, from the %s", *p->full_schedule ? p->full_schedule : "off",
              *p->diff_schedule ? p->diff_schedule : "off", p->log_interval_seconds ? "every " : "off",
              p->log_interval_seconds ? text_span(every, p->log_interval_seconds * 1000000) : "", p->source);
    for (size_t i = 0; i < p->n_pauses; i++) {
        const Mssql__V1__Pause *u = p->pauses[i];
        cli_field(cli, "paused", CLI_WARN, "%s until %s: %s%s%s", *u->database ? u->database : "everything",
                  u->until_at ? text_time(until, u->until_at) : "resumed", u->reason, *u->by_whom ? ", by " : "", u->by_whom);
    }
}

#define DAMAGED_PRINTED 5

static void print_damaged(const struct cli *cli, const Mssql__V1__Status *s) {
    for (size_t i = 0; i < s->n_damaged && i < DAMAGED_PRINTED; i++)
        cli_field(cli, i ? "" : "damaged", CLI_BAD, "%s: %s (%s)", s->damaged[i]->database, s->damaged[i]->manifest,
                  s->damaged[i]->problem);
    if (s->n_damaged > DAMAGED_PRINTED)
        cli_field(cli, "", CLI_BAD, "and %zu more: -o json lists them", s->n_damaged - DAMAGED_PRINTED);
}

static void status_print_head(const struct cli *cli, const Mssql__V1__Status *s) {
    print_conditions(cli, s);
    print_server(cli, s);
    print_store(cli, s);
    print_damaged(cli, s);
    print_staging(cli, s);
    print_policy(cli, s);
}

/* ---- the databases ---- */

static bool status_is_trouble(const Mssql__V1__Database *d) {
    return !d->protected_ && (!strcmp(d->unprotected_reason, "permission") || !strcmp(d->unprotected_reason, "no_store"));
}

enum cli_color status_word(const Mssql__V1__Database *d, char *dst, size_t dst_bytes) {
    enum cli_color color = color_chain(d->chain_state);
    if (!d->protected_) {
        str_format(dst, dst_bytes, "%s: %s", status_is_trouble(d) ? "NO" : "no", d->unprotected_reason);
        return status_is_trouble(d) ? CLI_BAD : CLI_DIM;
    }
    if (d->chain_state == MSSQL__V1__CHAIN_STATE__CHAIN_STATE_BROKEN)
        str_format(dst, dst_bytes, "%s: %s", word_chain(d->chain_state), d->chain_reason);
    else if (*d->skip_reason && d->chain_state != MSSQL__V1__CHAIN_STATE__CHAIN_STATE_PAUSED)
        str_format(dst, dst_bytes, "%s, skipped: %s", word_chain(d->chain_state), d->skip_reason);
    else
        str_copy(dst, dst_bytes, word_chain(d->chain_state));
    return *d->skip_reason && color == CLI_GOOD ? CLI_WARN : color;
}

static void print_recovery(const struct cli *cli, const Mssql__V1__Status *s) {
    static const struct cli_column columns[] = {{"DATABASE", 10, false}, {"PROTECTED", 12, false}, {"RESTORABLE FROM", 0, false},
                                                {"UNTIL", 0, false},     {"OFF VOLUME", 0, false}, {"LAST LOG", 0, true},
                                                {"HOLES", 0, true}};
    struct cli_table *t = table_new(cli, columns, ARRAY_LEN(columns));
    char a[TEXT_MAX], word[160];
    bool roomy = cli_width(cli) >= CLI_WIDTH_DEFAULT; /* else an age is shorter */
    for (size_t i = 0; i < s->n_databases; i++) {
        const Mssql__V1__Database *d = s->databases[i];
        int64_t log_at = d->last_log_checked_at > d->last_log_at ? d->last_log_checked_at : d->last_log_at;
        enum cli_color color = status_word(d, word, sizeof(word));
        table_cell(t, CLI_PLAIN, "%s", d->name);
        table_cell(t, color, "%s", word);
        table_cell(t, CLI_PLAIN, "%s", text_time(a, d->restorable_from_at));
        table_cell(t, d->restorable_until_at || !d->protected_ ? CLI_PLAIN : CLI_BAD, "%s", text_time(a, d->restorable_until_at));
        table_cell(t, CLI_PLAIN, "%s",
                   roomy ? text_time(a, d->off_volume_until_at) : text_ago(a, d->off_volume_until_at, s->now_at));
        table_cell(t, CLI_PLAIN, "%s", text_ago(a, log_at, s->now_at));
        table_cell(t, d->holes_total ? CLI_WARN : CLI_PLAIN, "%u", d->holes_total);
    }
    table_print(t);
}

/* "shipping log 43%" */
static void job_text(const Mssql__V1__Job *j, char *dst, size_t dst_bytes) {
    if (!j)
        str_copy(dst, dst_bytes, "");
    else if (j->percent >= 0)
        str_format(dst, dst_bytes, "%s %s %.0f%%", word_phase(j->phase), word_kind(j->kind), j->percent);
    else
        str_format(dst, dst_bytes, "%s %s", word_phase(j->phase), word_kind(j->kind));
}

static void print_runs(const struct cli *cli, const Mssql__V1__Status *s) {
    static const struct cli_column columns[] = {{"DATABASE", 12, false}, {"LAST FULL", 0, true}, {"LAST DIFF", 0, true},
                                                {"LAST LOG", 0, true},   {"NEXT FULL", 0, true}, {"NEXT DIFF", 0, true},
                                                {"NEXT LOG", 0, true},   {"RUNNING", 12, false}};
    struct cli_table *t = table_new(cli, columns, ARRAY_LEN(columns));
    char a[TEXT_MAX], job[64];
    for (size_t i = 0; i < s->n_databases; i++) {
        const Mssql__V1__Database *d = s->databases[i];
        const int64_t at[] = {d->last_full_at, d->last_diff_at, d->last_log_at, d->next_full_at, d->next_diff_at, d->next_log_at};
        table_cell(t, CLI_PLAIN, "%s", d->name);
        for (size_t k = 0; k < ARRAY_LEN(at); k++) {
            bool due = k >= 3 && at[k] && at[k] <= s->now_at;
            table_cell(t, CLI_PLAIN, "%s", due ? "due" : text_ago(a, at[k], s->now_at));
        }
        job_text(d->job, job, sizeof(job));
        table_cell(t, CLI_PLAIN, "%s", job);
    }
    table_print(t);
}

/* What a person must know beside the tables. */
static void print_notes(const struct cli *cli, const Mssql__V1__Status *s) {
    bool any = false;
    for (size_t i = 0; i < s->n_databases; i++) {
        const Mssql__V1__Database *d = s->databases[i];
        if (!status_has_notes(d) || !(d->protected_ || status_is_trouble(d)))
            continue;
        if (!any)
            fputc('\n', cli->io->out);
        any = true;
        status_print_notes(cli, d, s->now_at, d->name);
    }
}

int cmd_status(struct cli *cli, struct err *err) {
    _cleanup_message_ Mssql__V1__Status *s = NULL;
    if (status_ask(cli, cli->args.words, cli->args.word_count, &s, err) < 0)
        return -1;
    if (cli->args.word_count && !s->n_databases)
        return err_set(err, ERR_NOT_FOUND, "no database of this server fits '%s'", cli->args.words[0]);
    if (cli_print_message(cli, &s->base))
        return 0;
    status_print_head(cli, s);
    if (cli->args.word_count) {
        for (size_t i = 0; i < s->n_databases; i++)
            status_print_database(cli, s, s->databases[i]);
        return 0;
    }
    fputc('\n', cli->io->out);
    if (!s->n_databases) {
        cli_say(cli, CLI_WARN, "no databases%s",
                s->sql_server && s->sql_server->reachable ? "" : " are known: SQL Server was not reached yet");
        return 0;
    }
    print_recovery(cli, s);
    fputc('\n', cli->io->out);
    print_runs(cli, s);
    print_notes(cli, s);
    return 0;
}
