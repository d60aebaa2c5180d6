/* SPDX-License-Identifier: Apache-2.0 */
/* The command line, parsed by the table of commands and options. */
#ifndef MSSQL_CLI_ARGS_H
#define MSSQL_CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

struct cli;

struct cli_option {
    const char *name; /* "--kind" */
    char letter; /* 'k' for "-k"; 0 none */
    const char *value; /* "KIND": it takes a value of this meaning; NULL: a flag */
    const char *choices; /* "full|diff|log": the values it may have; NULL: any */
    const char *env; /* variable that stands for it; NULL none */
    const char *fallback; /* value without both; NULL none */
    const char *help;
};

enum cli_command_flag {
    CLI_OFFLINE = 1 << 0, /* works on --store too */
    CLI_HIDDEN = 1 << 1, /* not in help and completion */
    CLI_DATABASES = 1 << 2, /* its words are names of databases */
    CLI_VERBATIM = 1 << 3, /* everything behind the name is a word, also what begins with a dash */
};

struct cli_command {
    const char *name; /* "status", "backup now" */
    const char *words; /* for the usage line: "[DATABASE...]" */
    unsigned min, max; /* number of words */
    const char *summary;
    const char *text; /* paragraphs of the help; NULL none */
    const char *examples; /* lines without the program's name; NULL none */
    const struct cli_option *options;
    size_t option_count;
    unsigned flags; /* enum cli_command_flag */
    int (*run)(struct cli *cli, struct err *err);
};

/* The commands of a program; its name decides which program it is. */
struct cli_set {
    const char *program; /* as people call it: "mssqlctl", "kubectl mssql" */
    const char *file; /* how its file is called: "mssqlctl", "kubectl-mssql" */
    const char *summary; /* for the help: what it is about */
    const char *reference; /* paragraph of the reference */
    const struct cli_command *commands;
    size_t command_count;
    const struct cli_option *globals; /* options of every command */
    size_t global_count;
};

struct cli_given {
    const struct cli_option *option;
    char *value; /* of argv; NULL for a flag */
};

struct cli_args {
    const struct cli_set *set;
    const struct cli_command *command; /* NULL: none was named */
    struct cli_given *given;
    size_t given_count;
    char **words; /* what is neither command nor option; of argv */
    size_t word_count;
    const char *(*env)(const char *name);
};

/* argv without the program's name. ERR_USAGE says what is wrong, with the nearest right thing as a hint. */
int cli_args_parse(const struct cli_set *set, int argc, char **argv, const char *(*env)(const char *name),
                   struct cli_args *ret_args, struct err *err) ERR_CHECK;
void cli_args_done(struct cli_args *args);

/* By the option's name: the last value given, else the environment's, else the fallback, else NULL. The name must be one of the
 * command's or a global one. */
char *cli_value(const struct cli_args *args, const char *name);
/* Was it on the command line? */
bool cli_given(const struct cli_args *args, const char *name);

/* The command whose name the words begin with: the longest. NULL when there is none; *ret_used counts its words. */
const struct cli_command *cli_command_match(const struct cli_set *set, char *const *words, size_t count, size_t *ret_used);
/* Of the command (may be NULL) or a global one; by "--name" or "-l". */
const struct cli_option *cli_option_find(const struct cli_set *set, const struct cli_command *command, const char *name,
                                         size_t name_bytes);
/* Is `value` among "a|b|c"? */
bool cli_choice(const char *choices, const char *value);

/* ---- values ---- */
/* A moment: RFC 3339 with its zone, a date (its midnight, UTC), or a duration from `now`: back into the past with direction -1, ahead
 * with 1. ERR_USAGE names the option and what is allowed. */
int cli_time(const char *option, const char *text, int64_t now, int direction, int64_t *ret_at, struct err *err) ERR_CHECK;
int cli_duration_ms(const char *option, const char *text, int64_t *ret_ms, struct err *err) ERR_CHECK;

#endif
