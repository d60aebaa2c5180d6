/* SPDX-License-Identifier: Apache-2.0 */
/* An MSSQLRestoreRequest, as a dry run or for good, and what became of it. */
#include <string.h>

#include "cli/kube/commands.h"
#include "cli/kube/follow.h"
#include "cli/kube/kubectl.h"
#include "cli/kube/object.h"
#include "cli/table.h"
#include "cli/text.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"

/* ---- the request ---- */

static int set_target(const struct cli *cli, json_t *spec, struct err *err) {
    const char *to = cli_value(&cli->args, "--to");
    char text[CLOCK_TEXT_MAX];
    int64_t at;
    if (!to || !*to) {
        err_set(err, ERR_USAGE, "say to which moment: --to WHEN");
        return err_hint(err, "'status %s' shows what can be restored; --to latest is as far as the backups reach",
                        cli->args.words[0]);
    }
    if (!strcmp(to, "latest"))
        json_object_set_new(spec, "latest", json_true());
    else if (str_starts(to, "lsn:"))
        json_object_set_new(spec, "targetLSN", json_string(to + strlen("lsn:")));
    else if (str_starts(to, "mark:"))
        json_object_set_new(spec, "targetMark", json_string(to + strlen("mark:")));
    else if (clock_parse(to, &at)) /* as it was written: every digit of its fraction counts */
        json_object_set_new(spec, "targetTime", json_string(to));
    else if (cli_time("--to", to, cli->now, -1, &at, err) < 0)
        return -1;
    else
        json_object_set_new(spec, "targetTime", json_string(clock_format(text, at)));
    return 0;
}

static int set_databases(const struct cli *cli, json_t *spec, struct err *err) {
    const struct cli_args *a = &cli->args;
    const char *as = cli_value(a, "--as");
    json_t *databases = json_array();
    if (as && a->word_count != 2) {
        json_decref(databases);
        return err_set(err, ERR_USAGE, "--as is the new name of one database: name exactly one behind the instance");
    }
    for (size_t i = 1; i < a->word_count; i++)
        json_array_append_new(databases, json_string(a->words[i]));
    if (as)
        json_object_set_new(spec, "databaseRules", json_pack("[{s:s, s:s}]", "name", a->words[1], "newName", as));
    else if (json_array_size(databases))
        json_object_set(spec, "databases", databases);
    json_decref(databases);
    return 0;
}

static void set_text(const struct cli *cli, json_t *spec, const char *option, const char *field) {
    const char *value = cli_value(&cli->args, option);
    if (value)
        json_object_set_new(spec, field, json_string(value));
}

static int spec_of(const struct cli *cli, const json_t *instance, bool dry, json_t *spec, struct err *err) {
    json_object_set_new(spec, "instanceRef", json_pack("{s:s}", "name", object_name(instance)));
    set_text(cli, spec, "--into", "newInstanceName");
    set_text(cli, spec, "--acknowledge", "acknowledgeDataLoss");
    set_text(cli, spec, "--expires", "expiresAfter");
    if (cli_given(&cli->args, "--check"))
        json_object_set_new(spec, "checkDB", json_true());
    if (cli_given(&cli->args, "--reapply-options"))
        json_object_set_new(spec, "reapplyOptions", json_true());
    if (dry)
        json_object_set_new(spec, "dryRun", json_true());
    return set_target(cli, spec, err) < 0 || set_databases(cli, spec, err) < 0 ? -1 : 0;
}

static int make(struct cli *cli, bool dry, json_t **ret_made, struct err *err) {
    json_t *instance, *spec = json_object();
    if (object_instance(cli, cli->args.words[0], &instance, err) < 0) {
        json_decref(spec);
        return -1;
    }
    int rc = spec_of(cli, instance, dry, spec, err);
    if (rc == 0) {
        _cleanup_free_ char *prefix = mem_printf("%.40s-%s-", object_name(instance), dry ? "plan" : "restore");
        json_t *object = json_pack("{s:s, s:s, s:{s:s, s:s}, s:O}", "apiVersion", "dbaas.cozy.io/v1alpha1", "kind",
                                   "MSSQLRestoreRequest", "metadata", "generateName", prefix, "namespace",
                                   object_namespace(instance), "spec", spec);
        rc = follow_create(cli, object, ret_made, err);
    }
    json_decref(spec);
    json_decref(instance);
    return rc;
}

/* ---- what is said of it ---- */

static void print(const struct cli *cli, const json_t *object) {
    static const struct cli_column columns[] = {{"DATABASE", 12, false}, {"AS", 8, false},     {"STATE", 0, false},
                                                {"BACKUPS", 0, true},    {"TO READ", 0, true}, {"REACHES", 0, false},
                                                {"MESSAGE", 20, false}};
    const json_t *databases = object_at(object, "status.databases");
    char text[TEXT_MAX];
    if (json_array_size(databases)) {
        struct cli_table *t = table_new(cli, columns, ARRAY_LEN(columns));
        for (size_t i = 0; i < json_array_size(databases); i++) {
            const json_t *d = json_array_get(databases, i);
            int64_t applied = object_time(d, "lastAppliedLogTime");
            table_cell(t, CLI_PLAIN, "%s", object_text(d, "database"));
            table_cell(t, CLI_PLAIN, "%s", object_text(d, "newName"));
            table_cell(t, object_phase_color(object_text(d, "state")), "%s", object_text(d, "state"));
            table_cell(t, CLI_PLAIN, "%lld", (long long)object_number(d, "sets", 0));
            table_cell(t, CLI_PLAIN, "%s", text_bytes(text, (uint64_t)object_number(d, "bytes", 0)));
            table_cell(t, CLI_PLAIN, "%s", text_time(text, applied ? applied : object_time(d, "reachesTime")));
            table_cell(t, CLI_PLAIN, "%s", object_text(d, "message"));
        }
        table_print(t);
    }
    cli_say(cli, object_phase_color(object_text(object, "status.phase")), "%s: %s, %s", object_name(object),
            object_text(object, "status.phase"), object_text(object, "status.message"));
    if (*object_text(object, "status.token"))
        cli_say(cli, CLI_WARN, "what would be lost is acknowledged with --acknowledge %s", object_text(object, "status.token"));
}

static int tell(struct cli *cli, const json_t *object, const char *good, struct err *err) {
    if (cli->output == CLI_TABLE)
        print(cli, object);
    else
        cli_print_value(cli, json_incref((json_t *)(uintptr_t)object));
    return cli_choice(good, object_text(object, "status.phase")) ? 0 : follow_failed(object, err);
}

static int dry_run(struct cli *cli, struct err *err) {
    json_t *made, *planned = NULL;
    if (make(cli, true, &made, err) < 0)
        return -1;
    int rc = follow_until(cli, KUBE_REQUESTS, made, "Planned|Refused|Failed|Completed", &planned, err);
    if (!cli_given(&cli->args, "--keep-request")) {
        _cleanup_free_ char *ignored = NULL;
        struct kubectl k;
        struct err why = {0};
        kubectl_begin(&k, cli, "delete", KUBE_REQUESTS, object_name(made), "--namespace", object_namespace(made), "--wait=false",
                      NULL);
        if (kubectl_text(&k, NULL, &ignored, &why) < 0)
            fprintf(cli->io->err, "the request %s of the dry run stays: %s\n", object_name(made), why.text);
    }
    if (rc == 0)
        rc = tell(cli, planned, "Planned|Completed", err);
    json_decref(planned);
    json_decref(made);
    return rc;
}

int kube_plan(struct cli *cli, struct err *err) {
    return dry_run(cli, err);
}

int kube_restore(struct cli *cli, struct err *err) {
    json_t *made, *ended;
    if (cli_given(&cli->args, "--dry-run"))
        return dry_run(cli, err);
    if (make(cli, false, &made, err) < 0)
        return -1;
    fprintf(cli->io->err, "MSSQLRestoreRequest %s is made; it goes on when this program ends\n", object_name(made));
    int rc = 0;
    if (cli_given(&cli->args, "--no-wait")) {
        if (cli->output == CLI_TABLE)
            cli_say(cli, CLI_PLAIN, "%s", object_name(made));
        else
            cli_print_value(cli, json_incref(made));
    } else {
        rc = follow_until(cli, KUBE_REQUESTS, made, "Refused|Failed|Completed", &ended, err);
        if (rc == 0) {
            rc = tell(cli, ended, "Completed", err);
            json_decref(ended);
        }
    }
    json_decref(made);
    return rc;
}
