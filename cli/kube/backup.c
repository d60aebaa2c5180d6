/* SPDX-License-Identifier: Apache-2.0 */
/* An MSSQLBackup of now, and what became of it. */
#include <string.h>

#include "cli/kube/commands.h"
#include "cli/kube/follow.h"
#include "cli/kube/kubectl.h"
#include "cli/kube/object.h"
#include "cli/table.h"
#include "cli/text.h"
#include "common/base/clock.h"
#include "common/base/mem.h"

static json_t *object_of(const struct cli *cli, const json_t *instance) {
    const struct cli_args *a = &cli->args;
    char now[CLOCK_TEXT_MAX];
    const char *policy = object_text(instance, "status.backupPolicyName"), *reason = cli_value(a, "--reason");
    _cleanup_free_ char *fallback = mem_printf("%s-backup-policy", object_name(instance));
    _cleanup_free_ char *prefix = mem_printf("%.40s-%s-", object_name(instance), cli_value(a, "--kind"));
    json_t *spec = json_pack("{s:{s:s}, s:s, s:s}", "policyRef", "name", *policy ? policy : fallback, "backupType",
                             cli_value(a, "--kind"), "requestedAt", clock_format(now, cli->now / CLOCK_SECOND * CLOCK_SECOND));
    json_t *databases = json_array();
    for (size_t i = 1; i < a->word_count; i++)
        json_array_append_new(databases, json_string(a->words[i]));
    if (json_array_size(databases))
        json_object_set(spec, "databases", databases);
    json_decref(databases);
    if (reason)
        json_object_set_new(spec, "reason", json_string(reason));
    if (cli_given(a, "--copy-only"))
        json_object_set_new(spec, "copyOnly", json_true());
    return json_pack("{s:s, s:s, s:{s:s, s:s}, s:o}", "apiVersion", "dbaas.cozy.io/v1alpha1", "kind", "MSSQLBackup", "metadata",
                     "generateName", prefix, "namespace", object_namespace(instance), "spec", spec);
}

static void print(const struct cli *cli, const json_t *object) {
    static const struct cli_column columns[] = {{"DATABASE", 12, false}, {"STATE", 0, false}, {"KIND", 0, false},
                                                {"SIZE", 0, true},       {"STORED", 0, true}, {"MESSAGE", 20, false}};
    const json_t *results = object_at(object, "status.results");
    char text[TEXT_MAX];
    if (json_array_size(results)) {
        struct cli_table *t = table_new(cli, columns, ARRAY_LEN(columns));
        for (size_t i = 0; i < json_array_size(results); i++) {
            const json_t *r = json_array_get(results, i);
            const char *state = object_text(r, "state");
            table_cell(t, CLI_PLAIN, "%s", object_text(r, "database"));
            table_cell(t, object_phase_color(state), "%s", state);
            table_cell(t, CLI_PLAIN, "%s", object_text(r, "kind"));
            table_cell(t, CLI_PLAIN, "%s", text_bytes(text, (uint64_t)object_number(r, "sizeBytes", 0)));
            table_cell(t, CLI_PLAIN, "%s", text_bytes(text, (uint64_t)object_number(r, "storedBytes", 0)));
            table_cell(t, CLI_PLAIN, "%s", object_text(r, "message"));
        }
        table_print(t);
    }
    cli_say(cli, object_phase_color(object_text(object, "status.phase")), "%s: %s, %s", object_name(object),
            object_text(object, "status.phase"), object_text(object, "status.message"));
}

static int wait_for(struct cli *cli, const json_t *made, struct err *err) {
    json_t *ended;
    if (follow_until(cli, KUBE_BACKUPS, made, "Completed|Failed", &ended, err) < 0)
        return -1;
    int rc = !strcmp(object_text(ended, "status.phase"), "Completed") ? 0 : follow_failed(ended, err);
    if (cli->output == CLI_TABLE)
        print(cli, ended);
    else
        cli_print_value(cli, json_incref(ended));
    json_decref(ended);
    return rc;
}

int kube_backup(struct cli *cli, struct err *err) {
    json_t *instance, *made;
    if (!cli_given(&cli->args, "--now")) {
        err_set(err, ERR_USAGE, "a backup that is not for now is made by the policy's schedule");
        return err_hint(err, "Say --now to have one at once");
    }
    if (object_instance(cli, cli->args.words[0], &instance, err) < 0)
        return -1;
    int rc = follow_create(cli, object_of(cli, instance), &made, err);
    json_decref(instance);
    if (rc < 0)
        return -1;
    fprintf(cli->io->err, "MSSQLBackup %s is made\n", object_name(made));
    if (!cli_given(&cli->args, "--no-wait"))
        rc = wait_for(cli, made, err);
    else if (cli->output == CLI_TABLE)
        cli_say(cli, CLI_PLAIN, "%s", object_name(made));
    else
        cli_print_value(cli, json_incref(made));
    json_decref(made);
    return rc;
}
