/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/status.h"
#include "cli/text.h"
#include "cli/words.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define HOLES_SHOWN 3

static bool is_failure(const Mssql__V1__LastResult *r) {
    return r && (r->state == MSSQL__V1__RESULT_STATE__RESULT_STATE_FAILED ||
                 r->state == MSSQL__V1__RESULT_STATE__RESULT_STATE_DEFERRED);
}

static bool chain_needs_words(const Mssql__V1__Database *d) {
    return d->protected_ && d->chain_state != MSSQL__V1__CHAIN_STATE__CHAIN_STATE_UNSPECIFIED &&
           d->chain_state != MSSQL__V1__CHAIN_STATE__CHAIN_STATE_INTACT;
}

/* The newest backups reach nothing, but older ones may. */
static bool only_older(const Mssql__V1__Database *d) {
    return d->protected_ && !d->restorable_until_at && d->backups;
}

bool status_has_notes(const Mssql__V1__Database *d) {
    return only_older(d) || *d->unprotected_message || *d->skip_message || chain_needs_words(d) || d->n_holes ||
           is_failure(d->last_result);
}

static void print_chain(const struct cli *cli, const Mssql__V1__Database *d, int64_t now, const char **label) {
    char ago[TEXT_MAX];
    const char *text = *d->chain_message ? d->chain_message : d->chain_reason;
    cli_field(cli, *label, color_chain(d->chain_state), "%s%s%s%s%s%s%s", word_chain(d->chain_state),
              d->chain_since_at ? " since " : "", d->chain_since_at ? text_ago(ago, d->chain_since_at, now) : "",
              *d->chain_by_whom ? ", by " : "", d->chain_by_whom, *text ? ": " : "", text);
    *label = "";
}

static void print_hole(const struct cli *cli, const Mssql__V1__Hole *h, const char **label) {
    char from[TEXT_MAX], until[TEXT_MAX];
    if (*h->message)
        cli_field(cli, *label, CLI_WARN, "hole: %s", h->message);
    else
        cli_field(cli, *label, CLI_WARN, "hole: %s to %s, %s%s%s", text_time(from, h->from_at),
                  h->until_at ? text_time(until, h->until_at) : "now", h->cause, *h->by_whom ? " by " : "", h->by_whom);
    *label = "";
}

static void print_result(const struct cli *cli, const Mssql__V1__LastResult *r, int64_t now, const char **label) {
    char ago[TEXT_MAX];
    _cleanup_free_ char *sql = r->sql_error ? mem_printf(" (SQL Server %d)", r->sql_error) : mem_strdup("");
    cli_field(cli, *label, color_result(r->state), "last %s %s %s%s%s%s%s%s", word_kind(r->kind), word_result(r->state),
              text_ago(ago, r->finish_at, now), *r->reason ? ": " : "", r->reason, *r->message ? ": " : "", r->message, sql);
    *label = "";
}

void status_print_notes(const struct cli *cli, const Mssql__V1__Database *d, int64_t now, const char *label) {
    _cleanup_free_ char *name = text_fit(label, 17);
    const char *left = name;
    if (*d->unprotected_message) {
        cli_field(cli, left, CLI_WARN, "not protected (%s): %s", d->unprotected_reason, d->unprotected_message);
        left = "";
    }
    if (chain_needs_words(d))
        print_chain(cli, d, now, &left);
    if (only_older(d)) {
        cli_field(cli, left, CLI_WARN,
                  "the newest backups do not join anything; 'chain' shows which older moments can be restored");
        left = "";
    }
    if (*d->skip_message) {
        cli_field(cli, left, CLI_WARN, "skipped (%s): %s", d->skip_reason, d->skip_message);
        left = "";
    }
    for (size_t i = 0; i < d->n_holes && i < HOLES_SHOWN; i++)
        print_hole(cli, d->holes[i], &left);
    if (d->holes_total > HOLES_SHOWN)
        cli_field(cli, left, CLI_WARN, "and %u older holes", d->holes_total - HOLES_SHOWN);
    if (is_failure(d->last_result))
        print_result(cli, d->last_result, now, &left);
}

static void print_moment(const struct cli *cli, const char *label, int64_t at, int64_t now) {
    char time[TEXT_MAX], ago[TEXT_MAX];
    if (at)
        cli_field(cli, label, CLI_PLAIN, "%s (%s)", text_time(time, at), text_ago(ago, at, now));
    else
        cli_field(cli, label, CLI_PLAIN, "-");
}

static void print_sizes(const struct cli *cli, const Mssql__V1__Database *d) {
    char a[TEXT_MAX], b[TEXT_MAX], c[TEXT_MAX];
    cli_field(cli, "  in the store", CLI_PLAIN, "%llu backups, %s", (unsigned long long)d->backups,
              text_bytes(a, d->stored_bytes));
    if (d->changed_percent >= 0)
        cli_field(cli, "  data", CLI_PLAIN, "%s, %.1f %% changed since the last full", text_bytes(a, d->data_bytes),
                  d->changed_percent);
    else
        cli_field(cli, "  data", CLI_PLAIN, "%s", text_bytes(a, d->data_bytes));
    cli_field(cli, "  log", CLI_PLAIN, "%s of %s used%s%s", text_bytes(b, d->log_used_bytes), text_bytes(c, d->log_bytes),
              *d->log_reuse_wait ? ", reuse waits for " : "", d->log_reuse_wait);
}

static void print_job(const struct cli *cli, const Mssql__V1__Job *j, int64_t now) {
    char ago[TEXT_MAX], done[TEXT_MAX], total[TEXT_MAX];
    if (!j)
        return;
    char percent[16] = "";
    if (j->percent >= 0)
        str_format(percent, sizeof(percent), ", %.0f %%", j->percent);
    cli_field(cli, "  running", CLI_PLAIN, "%s %s%s, %s of %s, begun %s (%s)", word_kind(j->kind), word_phase(j->phase), percent,
              text_bytes(done, j->done_bytes), j->total_bytes ? text_bytes(total, j->total_bytes) : "an unknown size",
              text_ago(ago, j->started_at, now), j->why);
}

static void print_trial(const struct cli *cli, const Mssql__V1__Database *d, int64_t now) {
    const Mssql__V1__Trial *t = d->last_trial;
    char ago[TEXT_MAX], time[TEXT_MAX];
    if (!t)
        return;
    if (t->verified)
        cli_field(cli, "  last trial", CLI_GOOD, "verified %s, to %s%s, on the instance that took the backups",
                  text_ago(ago, t->finished_at, now), text_time(time, t->reached_at), t->checked ? ", CHECKDB is good" : "");
    else
        cli_field(cli, "  last trial", CLI_BAD, "NOT verified %s: %s", text_ago(ago, t->finished_at, now), t->message);
}

void status_print_database(const struct cli *cli, const Mssql__V1__Status *s, const Mssql__V1__Database *d) {
    char word[160], from[TEXT_MAX], until[TEXT_MAX];
    int64_t now = s->now_at;
    enum cli_color color = status_word(d, word, sizeof(word));
    fputc('\n', cli->io->out);
    cli_say(cli, CLI_BOLD, "%s", d->name);
    cli_field(cli, "  protected", color, "%s%s", d->protected_ ? "yes, " : "", word);
    cli_field(cli, "  on the server", CLI_PLAIN, "%s, recovery model %s", d->state,
              *d->recovery_model ? d->recovery_model : "not known");
    if (d->restorable_until_at)
        cli_field(cli, "  restorable", CLI_PLAIN, "%s to %s", text_time(from, d->restorable_from_at),
                  text_time(until, d->restorable_until_at));
    else
        cli_field(cli, "  restorable", d->protected_ ? CLI_BAD : CLI_PLAIN, "nothing");
    print_moment(cli, "  off volume", d->off_volume_until_at, now);
    print_moment(cli, "  last full", d->last_full_at, now);
    print_moment(cli, "  last diff", d->last_diff_at, now);
    print_moment(cli, "  last log", d->last_log_at, now);
    if (d->last_log_checked_at > d->last_log_at)
        print_moment(cli, "  quiet until", d->last_log_checked_at, now);
    print_moment(cli, "  next full", d->next_full_at, now);
    print_moment(cli, "  next diff", d->next_diff_at, now);
    print_moment(cli, "  next log", d->next_log_at, now);
    print_job(cli, d->job, now);
    print_trial(cli, d, now);
    print_sizes(cli, d);
    if (status_has_notes(d))
        status_print_notes(cli, d, now, "  !");
}
