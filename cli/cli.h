/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mssqlctl: one file per command. A command parses its own arguments, asks a sidecar (or reads a store), and prints. Exit codes come
 * from the error classes.
 */
#ifndef MSSQL_CLI_CLI_H
#define MSSQL_CLI_CLI_H

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/base/err.h"
#include "common/net/rpc_client.h"

#define CLI_ADDRESS_DEFAULT "unix:///run/mssql-sidecar/sidecar.sock"
#define CLI_TIMEOUT_MS 30000

enum cli_output { CLI_TABLE, CLI_JSON, CLI_YAML };

struct cli {
    const char *address;
    const char *store; /* read this store instead of asking a sidecar */
    const char *scope; /* <namespace>/<instance> in it, when there are several */
    const char *ca, *cert, *key, *server_name;
    bool tls;
    enum cli_output output;
    bool color;    /* standard output is a terminal that wants it */
    bool terminal; /* standard error is one: progress bars */
    int64_t timeout_ms;
    struct rpc_client *client; /* opened by cli_client() */
};

/* The arguments of a command, without the global flags. */
struct cli_args {
    int count;
    char **items;
};

struct cli_command {
    const char *name;
    const char *arguments; /* for the usage line */
    const char *summary;
    const char *options; /* lines of help, "" none; also what completion offers */
    int (*run)(struct cli *cli, struct cli_args *args, struct err *err);
    bool offline; /* works on --store as well */
};

extern const struct cli_command cli_commands[];
extern const size_t cli_command_count;

/* ---- arguments ---- */
/* Takes "--name value" or "--name=value" out of the arguments; NULL when it is not there. ERR_USAGE when its value is missing. */
int cli_option(struct cli_args *args, const char *name, const char **ret_value, struct err *err) ERR_CHECK;
bool cli_flag(struct cli_args *args, const char *name);
/* Every "--name value", in order; mem_free() the array. */
int cli_options(struct cli_args *args, const char *name, const char ***ret_values, size_t *ret_count, struct err *err) ERR_CHECK;
/* What is left must be `min` to `max` words without a leading dash. */
int cli_words(const struct cli_args *args, int min, int max, struct err *err) ERR_CHECK;
/* RFC 3339, or a duration from now ("30m", "2h"). */
int cli_time(const char *text, int64_t *ret_at, struct err *err) ERR_CHECK;

/* ---- asking ---- */
/* The client, connected at the first use. */
int cli_client(struct cli *cli, struct rpc_client **ret_client, struct err *err) ERR_CHECK;
int cli_unary(struct cli *cli, const char *method, const ProtobufCMessage *request, const ProtobufCMessageDescriptor *response,
              ProtobufCMessage **ret_response, struct err *err) ERR_CHECK;

/* ---- printing ---- */
/* As JSON or YAML; only when the output is not a table. True when it did. */
bool cli_print_message(const struct cli *cli, const ProtobufCMessage *message);
void cli_print_json(const struct cli *cli, json_t *value); /* takes the reference */

enum cli_color { CLI_PLAIN, CLI_GOOD, CLI_BAD, CLI_WARN, CLI_DIM, CLI_BOLD };
/* Prints text in a colour when there are colours. */
void cli_paint(const struct cli *cli, enum cli_color color, const char *text);

struct cli_table;
struct cli_table *cli_table_new(const struct cli *cli, const char *const *titles, size_t columns);
/* The next cell; text is copied. Rows are filled from left to right. */
void cli_cell(struct cli_table *table, enum cli_color color, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Prints and frees. */
void cli_table_print(struct cli_table *table);

#define CLI_TIME_MAX 40
/* "2026-11-21 02:47:00Z", "-" for 0. */
char *cli_time_text(char dst[CLI_TIME_MAX], int64_t at);
/* "3m12s ago", "in 2h", "-". */
char *cli_ago_text(char dst[CLI_TIME_MAX], int64_t at, int64_t now);
/* mssql.v1 enum value as its word, lower case; "" for UNSPECIFIED. mem_free() it. */
char *cli_enum_text(const ProtobufCEnumDescriptor *descriptor, int value);

/* ---- commands ---- */
int cmd_status(struct cli *cli, struct cli_args *args, struct err *err);
int cmd_chain(struct cli *cli, struct cli_args *args, struct err *err);
int cmd_backups(struct cli *cli, struct cli_args *args, struct err *err);
int cmd_backup(struct cli *cli, struct cli_args *args, struct err *err);
int cmd_hold(struct cli *cli, struct cli_args *args, struct err *err);
int cmd_pause(struct cli *cli, struct cli_args *args, struct err *err);
int cmd_resume(struct cli *cli, struct cli_args *args, struct err *err);
int cmd_preflight(struct cli *cli, struct cli_args *args, struct err *err);
int cmd_version(struct cli *cli, struct cli_args *args, struct err *err);
int cmd_completion(struct cli *cli, struct cli_args *args, struct err *err);

#endif
