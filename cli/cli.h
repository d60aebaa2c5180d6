/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mssqlctl. A command takes its arguments (args.h), asks a sidecar (ask.h) or reads a store (offline.h), and prints (out.h, table.h).
 * Commands and options stand in one table (commands.c): parsing, help, completion and the reference all read it.
 *
 * Results go to `out`, everything else to `err`: progress, and one line "mssqlctl: ..." per error. The exit code is the one of the
 * error's class (common/base/err.c).
 */
#ifndef MSSQL_CLI_CLI_H
#define MSSQL_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/args.h"
#include "common/base/err.h"

#define CLI_ADDRESS_DEFAULT "unix:///run/mssql-sidecar/sidecar.sock"
#define CLI_WIDTH_DEFAULT 120 /* columns when the output is no terminal */

enum cli_output { CLI_TABLE, CLI_JSON, CLI_YAML };

/* The world around the program, so that tests can make one. */
struct cli_io {
    FILE *out, *err;
    bool out_terminal, err_terminal;
    unsigned width; /* columns of the terminal; 0 unknown */
    const char *(*env)(const char *name);
};

struct rpc_client;

struct cli {
    const struct cli_io *io;
    char program[32]; /* how it was called: "mssqlctl" or "kubectl mssql" */
    struct cli_args args;
    enum cli_output output;
    bool color; /* on out */
    int64_t timeout_ms; /* of one question */
    int64_t now; /* when the program began; ages count from the sidecar's clock where there is one */
    struct rpc_client *client;
    struct err later; /* what was said already and decides the exit code although the rest worked; ERR_NONE: nothing */
};

/* argv[0] included. The exit code. */
int cli_main(const struct cli_io *io, int argc, char **argv);
/* Complains and remembers: the program goes on and ends with the exit code of the first one. */
void cli_fail_later(struct cli *cli, const struct err *err);

#endif
