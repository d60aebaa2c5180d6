/* SPDX-License-Identifier: Apache-2.0 */
/* verify through a sidecar: it reads its store, and its own server reads or restores backups. */
#include <string.h>

#include "cli/ask.h"
#include "cli/out.h"
#include "cli/text.h"
#include "cli/verify.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/net/proto_json.h"
#include "mssql/v1/sidecar.pb-c.h"

struct remote {
    struct cli *cli;
    Mssql__V1__VerifyRequest request;
    Mssql__V1__VerifyProbe **probes;
    size_t probe_count;
    json_t *document; /* of -o json and yaml */
    size_t planned, ended;
    bool accepted, summary;
    struct err worst;
};

/* ---- the request ---- */

static int check(const struct cli *cli, struct err *err) {
    static const char *const others[] = {"--rate",    "--sizes-only",   "--user",  "--password-file", "--encrypt", "--sql-ca",
                                         "--staging", "--staging-size", "--state", "--data-dir",      "--log-dir"};
    const struct cli_args *a = &cli->args;
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        for (size_t k = 0; k < a->given_count; k++)
            if (!strcmp(a->given[k].option->name, others[i])) {
                err_set(err, ERR_USAGE, "%s is for reading a store", others[i]);
                return err_hint(err, "Name the store with --store, or leave it out: a sidecar has its own");
            }
    bool restores = cli_given(a, "--restore"), sets = cli_given(a, "--verify-only");
    if (restores && sets)
        return err_set(err, ERR_USAGE, "--verify-only restores nothing: no --restore with it");
    if (!restores && (cli_given(a, "--check") || cli_given(a, "--probe")))
        return err_set(err, ERR_USAGE, "--check and --probe belong to --restore");
    return 0;
}

static int add_probe(struct remote *r, const char *text, struct err *err) {
    char *database, *query;
    int64_t at_least;
    if (verify_probe_read(text, &database, &query, &at_least, err) < 0)
        return -1;
    Mssql__V1__VerifyProbe *p = mem_alloc(sizeof(*p));
    mssql__v1__verify_probe__init(p);
    p->name = mem_strdup(query);
    p->database = database;
    p->query = query;
    p->at_least = at_least;
    r->probes = mem_realloc(r->probes, (r->probe_count + 1) * sizeof(*r->probes));
    r->probes[r->probe_count++] = p;
    return 0;
}

static int fill(struct remote *r, struct err *err) {
    const struct cli_args *a = &r->cli->args;
    Mssql__V1__VerifyRequest *q = &r->request;
    mssql__v1__verify_request__init(q);
    if (check(r->cli, err) < 0)
        return -1;
    q->databases = a->words;
    q->n_databases = a->word_count;
    q->mode = cli_given(a, "--restore")       ? MSSQL__V1__VERIFY_MODE__VERIFY_MODE_RESTORE
              : cli_given(a, "--verify-only") ? MSSQL__V1__VERIFY_MODE__VERIFY_MODE_SETS
                                              : MSSQL__V1__VERIFY_MODE__VERIFY_MODE_SCRUB;
    if (q->mode != MSSQL__V1__VERIFY_MODE__VERIFY_MODE_SCRUB)
        q->to = cli_value(a, "--to");
    q->check_db = cli_given(a, "--check");
    q->cancel_on_disconnect = true; /* whoever waits for a proof and goes away does not want it any more */
    for (size_t i = 0; i < a->given_count; i++)
        if (!strcmp(a->given[i].option->name, "--probe") && add_probe(r, a->given[i].value, err) < 0)
            return -1;
    q->probes = r->probes;
    q->n_probes = r->probe_count;
    return 0;
}

/* ---- what is told ---- */

static void print_findings(const struct cli *cli, const Mssql__V1__VerifyResult *m) {
    for (size_t i = 0; i < m->n_findings; i++)
        cli_field(cli, "  bad", m->findings[i]->loss ? CLI_BAD : CLI_WARN, "%s: %s: %s", m->findings[i]->problem,
                  m->findings[i]->name, m->findings[i]->message);
    if (m->findings_total > m->n_findings)
        cli_field(cli, "  bad", CLI_BAD, "and %llu more", (unsigned long long)(m->findings_total - m->n_findings));
}

static void print_trial(const struct cli *cli, const Mssql__V1__VerifyResult *m) {
    char at[CLOCK_TEXT_MAX], span[TEXT_MAX], size[TEXT_MAX];
    if (m->random)
        cli_field(cli, "  to", CLI_PLAIN, "%s, by chance: again with --to random:%llu", m->to, (unsigned long long)m->seed);
    else
        cli_field(cli, "  to", CLI_PLAIN, "%s", m->to);
    if (m->sets_applied)
        cli_field(cli, "  restored", CLI_PLAIN, "to %s, %u backups, %s in %s, on the instance that took them",
                  m->reached_at ? clock_format(at, m->reached_at) : "the end", m->sets_applied, text_bytes(size, m->plain_bytes),
                  text_span(span, m->phases ? m->phases->total_ms * 1000 : 0));
    if (m->data_mb_per_second > 0)
        cli_field(cli, "  speed", CLI_PLAIN, "%.1f MB/s of data, %.3f s per log", m->data_mb_per_second, m->seconds_per_log);
    if (m->checked)
        cli_field(cli, "  CHECKDB", m->check_errors ? CLI_BAD : CLI_GOOD, "%u errors", m->check_errors);
    for (size_t i = 0; i < m->n_probes; i++) {
        const Mssql__V1__VerifyProbeResult *p = m->probes[i];
        if (p->asked)
            cli_field(cli, "  probe", p->passed ? CLI_GOOD : CLI_BAD, "%s: %lld, at least %lld", p->name, (long long)p->value,
                      (long long)p->at_least);
        else
            cli_field(cli, "  probe", CLI_BAD, "%s: %s", p->name, p->message);
    }
}

static void print_result(const struct cli *cli, const Mssql__V1__VerifyResult *m) {
    char size[TEXT_MAX];
    cli_say(cli, CLI_BOLD, "%s", m->database);
    if (m->mode == MSSQL__V1__VERIFY_MODE__VERIFY_MODE_RESTORE)
        print_trial(cli, m);
    else
        cli_field(cli, "  read", CLI_PLAIN, "%llu backups%s%s", (unsigned long long)m->sets, m->stored_bytes ? ", " : "",
                  m->stored_bytes ? text_bytes(size, m->stored_bytes) : "");
    print_findings(cli, m);
    cli_field(cli, m->verified ? "  verified" : "  NOT VERIFIED", m->verified ? CLI_GOOD : CLI_BAD, "%s",
              !m->verified                                             ? m->message
              : m->mode == MSSQL__V1__VERIFY_MODE__VERIFY_MODE_RESTORE ? m->scratch
                                                                       : "all is well");
    if (*m->drop_message)
        cli_field(cli, "  left behind", CLI_BAD, "%s: %s", m->left_behind ? m->scratch : "its journal", m->drop_message);
}

static void print_progress(const struct cli *cli, const Mssql__V1__VerifyProgress *p) {
    char done[TEXT_MAX], total[TEXT_MAX];
    if (!cli->io->err_terminal || cli->output != CLI_TABLE)
        return;
    fprintf(cli->io->err, "\r\x1b[K%s: %s, %s of %s", p->database, p->text, text_bytes(done, p->done_bytes),
            p->total_bytes ? text_bytes(total, p->total_bytes) : "an unknown size");
    fflush(cli->io->err);
}

static void clear_progress(const struct cli *cli) {
    if (cli->io->err_terminal && cli->output == CLI_TABLE)
        fprintf(cli->io->err, "\r\x1b[K");
}

static void on_result(struct remote *r, const Mssql__V1__VerifyResult *m) {
    r->ended++;
    clear_progress(r->cli);
    json_array_append_new(json_object_get(r->document, "results"), proto_json_from(&m->base, false));
    if (r->cli->output == CLI_TABLE)
        print_result(r->cli, m);
}

static int on_event(void *user, const ProtobufCMessage *message) {
    struct remote *r = user;
    const Mssql__V1__VerifyEvent *e = (const Mssql__V1__VerifyEvent *)message;
    switch (e->event_case) {
    case MSSQL__V1__VERIFY_EVENT__EVENT_ACCEPTED:
        r->accepted = true;
        r->planned = e->accepted->n_databases;
        if (e->accepted->waiting_for && r->cli->output == CLI_TABLE)
            cli_say(r->cli, CLI_PLAIN, "waits for %u other verifications", e->accepted->waiting_for);
        return 0;
    case MSSQL__V1__VERIFY_EVENT__EVENT_PROGRESS:
        print_progress(r->cli, e->progress);
        return 0;
    case MSSQL__V1__VERIFY_EVENT__EVENT_RESULT:
        on_result(r, e->result);
        return 0;
    case MSSQL__V1__VERIFY_EVENT__EVENT_SUMMARY:
        r->summary = true;
        json_object_set_new(r->document, "summary", proto_json_from(&e->summary->base, false));
        if (*e->summary->error_class)
            err_set(&r->worst, err_class_parse(e->summary->error_class), "%u of %zu databases are not verified; the gravest: %s",
                    e->summary->failed, r->planned, e->summary->message);
        return 0;
    default: /* of a newer sidecar */
        return 0;
    }
}

/* ---- the command ---- */

static int judge(const struct remote *r, int rc, struct err *err) {
    if (rc < 0 && ask_interrupted() && r->accepted)
        return err_set(err, ERR_CANCELLED, "interrupted after %zu of %zu databases; the sidecar ends what runs", r->ended,
                       r->planned);
    if (rc < 0)
        return r->accepted ? err_context(err, "%zu of %zu databases were done", r->ended, r->planned) : -1;
    if (!r->summary)
        return err_set(err, ERR_PROTOCOL, "the sidecar ended the stream after %zu of %zu databases", r->ended, r->planned);
    if (r->worst.class == ERR_NONE)
        return 0;
    err_copy(err, &r->worst);
    return -1;
}

int verify_remote(struct cli *cli, struct err *err) {
    struct remote r = {.cli = cli};
    err_clear(&r.worst);
    int rc = fill(&r, err);
    if (rc == 0) {
        r.document = json_pack("{s:[],s:n}", "results", "summary");
        int64_t timeout = cli_given(&cli->args, "--timeout") ? cli->timeout_ms : 0; /* a restore may take hours */
        rc = ask_stream(cli, "Verify", &r.request.base, &mssql__v1__verify_event__descriptor, timeout, on_event, &r, err);
        clear_progress(cli);
        rc = judge(&r, rc, err);
        if (cli->output != CLI_TABLE && r.accepted)
            cli_print_value(cli, json_incref(r.document));
        json_decref(r.document);
    }
    for (size_t i = 0; i < r.probe_count; i++)
        mssql__v1__verify_probe__free_unpacked(r.probes[i], NULL);
    mem_free(r.probes);
    return rc;
}
