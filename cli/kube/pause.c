/* SPDX-License-Identifier: Apache-2.0 */
/* spec.paused of the MSSQLInstance. */
#include "cli/kube/commands.h"
#include "cli/kube/kubectl.h"
#include "cli/kube/object.h"
#include "cli/text.h"
#include "common/base/clock.h"
#include "common/base/mem.h"

static int patch(struct cli *cli, json_t *paused, json_t **ret_instance, struct err *err) {
    json_t *whole = json_pack("{s:{s:o}}", "spec", "paused", paused);
    char *text = json_dumps(whole, JSON_COMPACT);
    struct kubectl k;
    kubectl_begin(&k, cli, "patch", KUBE_INSTANCES, cli->args.words[0], "--type", "merge", "--patch", text,
                  "--field-manager=kubectl-mssql", NULL);
    int rc = kubectl_json(&k, NULL, ret_instance, err);
    json_decref(whole);
    free(text);
    return rc;
}

static int span(struct cli *cli, int64_t *ret_until, struct err *err) {
    const char *length = cli_value(&cli->args, "--for"), *until = cli_value(&cli->args, "--until");
    int64_t ms;
    if (length && until)
        return err_set(err, ERR_USAGE, "--for and --until do not go together");
    if (length && cli_duration_ms("--for", length, &ms, err) < 0)
        return -1;
    if (until && cli_time("--until", until, cli->now, 1, ret_until, err) < 0)
        return -1;
    if (until && *ret_until <= cli->now)
        return err_set(err, ERR_USAGE, "--until: %s is in the past", until);
    if (length)
        *ret_until = cli->now + ms * 1000;
    return 0;
}

int kube_pause(struct cli *cli, struct err *err) {
    const char *reason = cli_value(&cli->args, "--reason");
    char text[CLOCK_TEXT_MAX];
    int64_t until = 0;
    json_t *instance;
    if (!reason || !*reason)
        return err_set(err, ERR_USAGE, "a pause needs --reason: whoever finds it later must know why");
    if (span(cli, &until, err) < 0)
        return -1;
    json_t *paused = json_pack("{s:s}", "reason", reason);
    /* null takes the end of an earlier pause away */
    json_object_set_new(paused, "until",
                        until ? json_string(clock_format(text, until / CLOCK_SECOND * CLOCK_SECOND)) : json_null());
    if (patch(cli, paused, &instance, err) < 0)
        return -1;
    if (cli->output != CLI_TABLE) {
        cli_print_value(cli, instance);
        return 0;
    }
    cli_say(cli, CLI_WARN, "scheduled backups of %s are paused until %s: %s", object_name(instance),
            until ? text : "it is resumed", reason);
    json_decref(instance);
    return 0;
}

int kube_resume(struct cli *cli, struct err *err) {
    json_t *instance;
    if (patch(cli, json_null(), &instance, err) < 0)
        return -1;
    if (cli->output != CLI_TABLE) {
        cli_print_value(cli, instance);
        return 0;
    }
    cli_say(cli, CLI_GOOD, "scheduled backups of %s go on", object_name(instance));
    json_decref(instance);
    return 0;
}
