/* SPDX-License-Identifier: Apache-2.0 */
/* restore: a database at any moment, from the store alone. */
#include "cli/restore.h"

#include <string.h>

#include "cli/commands.h"
#include "cli/origin.h"
#include "cli/surroundings.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/trial.h"

static const char *value(const struct cli *cli, const char *name) {
    return cli_value(&cli->args, name);
}

/* ---- the request ---- */

static int add_moves(const struct cli *cli, struct restore_wish *wish, struct err *err) {
    for (size_t i = 0; i < cli->args.given_count; i++) {
        const struct cli_given *g = &cli->args.given[i];
        if (strcmp(g->option->name, "--move") != 0)
            continue;
        const char *equals = strchr(g->value, '=');
        if (!equals || equals == g->value || !equals[1])
            return err_set(err, ERR_USAGE, "--move takes LOGICAL=PATH, not '%s'", g->value);
        _cleanup_free_ char *logical = mem_strndup(g->value, (size_t)(equals - g->value));
        restore_wish_add_move(wish, logical, equals + 1);
    }
    return 0;
}

static int add_wishes(const struct cli *cli, struct restore_request *r, struct err *err) {
    for (size_t i = 0; i < cli->args.given_count; i++)
        if (!strcmp(cli->args.given[i].option->name, "--database"))
            (void)restore_request_add_wish(r, cli->args.given[i].value, NULL);
    for (size_t i = 0; i < cli->args.word_count; i++)
        (void)restore_request_add_wish(r, cli->args.words[i], NULL);
    bool one_only = cli_given(&cli->args, "--as") || cli_given(&cli->args, "--move");
    if (one_only && r->wish_count != 1)
        return err_set(err, ERR_USAGE, "--as and --move belong to exactly one --database");
    if (!one_only)
        return 0;
    if (value(cli, "--as"))
        restore_request_set(&r->wishes[0].as, value(cli, "--as"));
    return add_moves(cli, &r->wishes[0], err);
}

static int add_numbers(const struct cli *cli, struct restore_request *r, struct err *err) {
    uint64_t parallel = 0;
    if (!str_to_u64(value(cli, "--parallel"), RESTORE_PARALLEL_MAX, &parallel) || !parallel)
        return err_set(err, ERR_USAGE, "--parallel: '%s' is no number from 1 to %d", value(cli, "--parallel"),
                       RESTORE_PARALLEL_MAX);
    r->parallel = (unsigned)parallel;
    return cli_duration_ms("--stuck-after", value(cli, "--stuck-after"), &r->stuck_after_ms, err);
}

char *restore_given_tokens(const struct cli *cli) {
    char *all = mem_strdup("");
    for (size_t i = 0; i < cli->args.given_count; i++) {
        const struct cli_given *g = &cli->args.given[i];
        if (strcmp(g->option->name, "--acknowledge-data-loss") != 0)
            continue;
        char *more = mem_printf("%s%s%s", all, *all ? "," : "", g->value);
        mem_free(all);
        all = more;
    }
    return all;
}

static int make_request(const struct surroundings *s, struct restore_request *r, struct err *err) {
    const struct cli *cli = s->cli;
    const struct cli_args *a = &cli->args;
    const char *to = NULL;
    _cleanup_free_ char *tokens = restore_given_tokens(cli);
    if (surroundings_required(cli, "--to", &to, err) < 0 || chain_target_parse(to, &r->target, err) < 0 ||
        add_wishes(cli, r, err) < 0 || add_numbers(cli, r, err) < 0 || restore_id_make(r->id, cli->now, err) < 0)
        return -1;
    if (cli_given(a, "--leave-restoring") && cli_given(a, "--standby"))
        return err_set(err, ERR_USAGE, "--leave-restoring and --standby exclude each other");
    r->finish = cli_given(a, "--leave-restoring") ? RESTORE_FINISH_RESTORING
                : cli_given(a, "--standby")       ? RESTORE_FINISH_STANDBY
                                                  : RESTORE_FINISH_RECOVER;
    restore_request_set(&r->scope, s->scope);
    restore_request_set(&r->standby_dir, value(cli, "--standby"));
    restore_request_set(&r->data_dir, value(cli, "--data-dir"));
    restore_request_set(&r->log_dir, value(cli, "--log-dir"));
    r->keep_cdc = cli_given(a, "--keep-cdc");
    r->keep_replication = cli_given(a, "--keep-replication");
    r->reapply_options = cli_given(a, "--reapply-options");
    r->check = cli_given(a, "--check");
    r->requested_at = cli->now;
    if (!str_copy(r->token, sizeof(r->token), tokens))
        return err_set(err, ERR_USAGE, "--acknowledge-data-loss: too many tokens, quote the one over all databases");
    return 0;
}

/* ---- the command ---- */

/* The databases are what counts: a journal that stays is only told. */
static void forget(struct surroundings *s, const char *id) {
    struct err why;
    err_clear(&why);
    if (restore_forget(&s->env, id, &why) < 0)
        origin_note(s->cli, "%s", why.text);
}

static int run(struct surroundings *s, struct restore_report *report, struct err *err) {
    const struct cli *cli = s->cli;
    const char *id = value(cli, "--resume");
    struct restore_request request;
    bool dry = cli_given(&cli->args, "--dry-run");
    if (id) {
        if (dry || cli_given(&cli->args, "--to") || cli_given(&cli->args, "--database") || cli->args.word_count)
            return err_set(err, ERR_USAGE, "--resume goes on with what was asked for: no target, databases or dry run with it");
        return restore_resume(&s->env, id, report, err);
    }
    restore_request_init(&request);
    int rc = make_request(s, &request, err);
    if (rc == 0)
        rc = dry ? restore_prepare(&s->env, &request, report, err) : restore_run(&s->env, &request, report, err);
    restore_request_done(&request);
    return rc;
}

static int restore_offline(struct cli *cli, struct err *err) {
    struct surroundings s;
    struct restore_report report = {0};
    bool dry = cli_given(&cli->args, "--dry-run");
    int rc = surroundings_open(&s, cli, dry ? SURROUNDINGS_PRETEND_TAILS : SURROUNDINGS_SHIP_TAILS, err);
    if (rc == 0)
        rc = run(&s, &report, err);
    if (rc == 0 && !report.dry_run)
        forget(&s, report.id);
    if (s.bars) {
        restore_bars_free(s.bars);
        s.bars = NULL;
    }
    if (report.id[0])
        restore_print(cli, &report);
    restore_report_done(&report);
    surroundings_close(&s);
    return rc;
}

int cmd_restore(struct cli *cli, struct err *err) {
    if (cli_given(&cli->args, "--store"))
        return restore_offline(cli, err);
    return restore_remote(cli, err);
}

int cmd_steps(struct cli *cli, struct err *err) {
    size_t count;
    const char *const *points = cli->args.word_count ? restore_trial_fault_points(&count) : restore_fault_points(&count);
    (void)err;
    for (size_t i = 0; i < count; i++)
        fprintf(cli->io->out, "%s\n", points[i]);
    return 0;
}
