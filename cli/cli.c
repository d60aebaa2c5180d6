/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <errno.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/kube/commands.h"
#include "cli/out.h"
#include "cli/text.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"

/* "mssqlctl: <text>" on the error stream, in one line without control characters. */
static void cli_complain(const struct cli *cli, const struct err *err) {
    _cleanup_free_ char *text = text_clean(err->text);
    fprintf(cli->io->err, "%s: %s\n", cli->program, text);
}

void cli_fail_later(struct cli *cli, const struct err *err) {
    cli_complain(cli, err);
    if (cli->later.class == ERR_NONE)
        cli->later = *err;
}

/* kubectl finds plugins by their file name and people call them with a space. */
static const struct cli_set *name_program(struct cli *cli, const char *path) {
    const char *slash = path ? strrchr(path, '/') : NULL;
    const char *name = slash ? slash + 1 : path;
    const struct cli_set *set = name && str_starts(name, kube_set.file) ? &kube_set : &cli_set;
    str_copy(cli->program, sizeof(cli->program), set->program);
    return set;
}

static int settle(struct cli *cli, struct err *err) {
    const char *output = cli_value(&cli->args, "--output");
    const char *no_color = cli->io->env("NO_COLOR");
    cli->output = !strcmp(output, "json") ? CLI_JSON : !strcmp(output, "yaml") ? CLI_YAML : CLI_TABLE;
    cli->color = cli->io->out_terminal && !cli_given(&cli->args, "--no-color") && !(no_color && *no_color);
    const char *timeout = cli_value(&cli->args, "--timeout");
    if (timeout && cli_duration_ms("--timeout", timeout, &cli->timeout_ms, err) < 0)
        return -1;
    const struct cli_command *c = cli->args.command;
    if (c && cli_given(&cli->args, "--store") && !(c->flags & CLI_OFFLINE))
        return err_set(err, ERR_USAGE, "'%s' needs a sidecar and takes no --store", c->name);
    if (cli_given(&cli->args, "--scope") && !cli_given(&cli->args, "--store"))
        return err_set(err, ERR_USAGE, "--scope belongs to --store");
    return 0;
}

static int run(struct cli *cli, struct err *err) {
    const struct cli_command *c = cli->args.command;
    if (settle(cli, err) < 0)
        return -1;
    if (cli_given(&cli->args, "--help")) {
        help_print(cli, c);
        return 0;
    }
    if (!c) {
        err_set(err, ERR_USAGE, "no command was given");
        return err_hint(err, "'%s help' lists them, '%s status' is a good first one", cli->program, cli->program);
    }
    return c->run(cli, err);
}

/* A reader that had enough (head) is no failure; a full disk is. */
static int flush(struct cli *cli, struct err *err) {
    errno = 0;
    if (fflush(cli->io->out) == 0 && !ferror(cli->io->out))
        return 0;
    int reason = errno;
    if (reason == EPIPE)
        return 0;
    return err_os(err, ERR_NONE, reason ? reason : EIO, "writing the result");
}

int cli_main(const struct cli_io *io, int argc, char **argv) {
    struct cli cli = {.io = io, .now = clock_wall()};
    struct err err = {0};
    const struct cli_set *set = name_program(&cli, argc > 0 ? argv[0] : NULL);
    int rc = cli_args_parse(set, argc > 0 ? argc - 1 : 0, argv + 1, io->env, &cli.args, &err);
    if (rc == 0)
        rc = run(&cli, &err);
    ask_done(&cli);
    cli_args_done(&cli.args);
    struct err why = {0};
    if (flush(&cli, &why) < 0 && rc == 0) {
        err = why;
        rc = -1;
    }
    if (rc < 0) {
        cli_complain(&cli, &err);
        return err_class_exit(err.class);
    }
    return err_class_exit(cli.later.class);
}
