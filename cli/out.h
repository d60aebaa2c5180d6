/* SPDX-License-Identifier: Apache-2.0 */
/* What a command says. Text from elsewhere goes through cli_say() or a table cell: both clean it (text.h). */
#ifndef MSSQL_CLI_OUT_H
#define MSSQL_CLI_OUT_H

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

#include "cli/cli.h"
#include "common/base/buf.h"

enum cli_color { CLI_PLAIN, CLI_GOOD, CLI_BAD, CLI_WARN, CLI_DIM, CLI_BOLD };

/* One line, cleaned, without being cut. */
void cli_say(const struct cli *cli, enum cli_color color, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* "label   text": the label in a column of its own, the text as it is, in lines of its own when it does not fit. */
void cli_field(const struct cli *cli, const char *label, enum cli_color color, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Columns that a line may have. */
size_t cli_width(const struct cli *cli);
/* The escape sequence of a colour, "" without colours; and the one that ends it. */
const char *cli_color_begin(const struct cli *cli, enum cli_color color);
const char *cli_color_end(const struct cli *cli, enum cli_color color);

/* In the format of -o when that is JSON or YAML; true when it was. The reference of `value` is taken by print_value only. */
bool cli_print_message(const struct cli *cli, const ProtobufCMessage *message);
void cli_print_value(const struct cli *cli, json_t *value);

/* yaml.c: the same data as YAML; `value` is borrowed. */
void yaml_from_json(struct buf *out, const json_t *value);

#endif
