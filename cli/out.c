/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/out.h"

#include <stdarg.h>
#include <string.h>

#include "cli/text.h"
#include "common/base/mem.h"
#include "common/net/proto_json.h"

#define LABEL_WIDTH 18
#define DOCUMENT_MAX (1u << 30)

size_t cli_width(const struct cli *cli) {
    if (!cli->io->out_terminal || !cli->io->width)
        return CLI_WIDTH_DEFAULT;
    return cli->io->width < 60 ? 60 : cli->io->width;
}

const char *cli_color_begin(const struct cli *cli, enum cli_color color) {
    static const char *const codes[] = {"", "\033[32m", "\033[31m", "\033[33m", "\033[2m", "\033[1m"};
    return cli->color ? codes[color] : "";
}

const char *cli_color_end(const struct cli *cli, enum cli_color color) {
    return cli->color && color != CLI_PLAIN ? "\033[0m" : "";
}

void cli_say(const struct cli *cli, enum cli_color color, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    _cleanup_free_ char *text = text_vprintf(fmt, ap);
    va_end(ap);
    fprintf(cli->io->out, "%s%s%s\n", cli_color_begin(cli, color), text, cli_color_end(cli, color));
}

/* Bytes of `text` that fit into `width` columns, at least one word; breaks at spaces. */
static size_t line_bytes(const char *text, size_t width) {
    size_t end = 0;
    for (size_t at = 0; text[at];) {
        size_t next = at + strcspn(text + at, " ");
        _cleanup_free_ char *line = mem_strndup(text, next);
        if (end && text_width(line) > width)
            break;
        end = next;
        at = next + strspn(text + next, " ");
    }
    return end;
}

void cli_field(const struct cli *cli, const char *label, enum cli_color color, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    _cleanup_free_ char *text = text_vprintf(fmt, ap);
    va_end(ap);
    _cleanup_free_ char *name = text_clean(label);
    size_t pad = text_width(name) < LABEL_WIDTH ? LABEL_WIDTH - text_width(name) : 1;
    fprintf(cli->io->out, "%s%*s", name, (int)pad, "");
    size_t width = cli_width(cli) - LABEL_WIDTH;
    const char *at = text + strspn(text, " ");
    do {
        size_t n = line_bytes(at, width);
        fprintf(cli->io->out, "%s%.*s%s\n", cli_color_begin(cli, color), (int)n, at, cli_color_end(cli, color));
        at += n + strspn(at + n, " ");
        if (*at)
            fprintf(cli->io->out, "%*s", LABEL_WIDTH, "");
    } while (*at);
}

void cli_print_value(const struct cli *cli, json_t *value) {
    if (cli->output == CLI_YAML) {
        struct buf out;
        buf_init(&out, DOCUMENT_MAX);
        yaml_from_json(&out, value);
        fputs(out.data ? out.data : "", cli->io->out);
        buf_done(&out);
    } else {
        json_dumpf(value, cli->io->out, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
        fputc('\n', cli->io->out);
    }
    json_decref(value);
}

bool cli_print_message(const struct cli *cli, const ProtobufCMessage *message) {
    if (cli->output == CLI_TABLE)
        return false;
    cli_print_value(cli, proto_json_from(message, false));
    return true;
}
