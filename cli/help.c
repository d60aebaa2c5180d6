/* SPDX-License-Identifier: Apache-2.0 */
/* Help and the reference, from the table of commands. */
#include <string.h>

#include "cli/commands.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define COLUMN 30

static void print_option(FILE *out, const struct cli_option *o) {
    char left[80];
    char letter[8] = "    ";
    if (o->letter)
        str_format(letter, sizeof(letter), "-%c, ", o->letter);
    str_format(left, sizeof(left), "%s%s%s%s", letter, o->name, o->value ? " " : "", o->value ? o->value : "");
    fprintf(out, "  %-*s%s", COLUMN, left, strlen(left) >= COLUMN ? "  " : "");
    fprintf(out, "%s", o->help);
    if (o->fallback && o->env)
        fprintf(out, " [$%s, else %s]", o->env, o->fallback);
    else if (o->fallback)
        fprintf(out, " [%s]", o->fallback);
    fputc('\n', out);
}

static void print_options(FILE *out, const char *title, const struct cli_option *options, size_t count) {
    if (!count)
        return;
    fprintf(out, "\n%s:\n", title);
    for (size_t i = 0; i < count; i++)
        print_option(out, &options[i]);
}

static void print_examples(FILE *out, const char *program, const char *lines, const char *indent) {
    for (const char *p = lines; p && *p;) {
        size_t len = strcspn(p, "\n");
        fprintf(out, "%s%s %.*s\n", indent, program, (int)len, p);
        p += len + (p[len] == '\n');
    }
}

static void print_command(const struct cli *cli, const struct cli_command *c) {
    FILE *out = cli->io->out;
    fprintf(out, "%s %s - %s\n\n", cli->program, c->name, c->summary);
    fprintf(out, "Usage: %s %s%s%s%s\n", cli->program, c->name, c->option_count ? " [FLAG...]" : "", *c->words ? " " : "",
            c->words);
    if (c->text)
        fprintf(out, "\n%s", c->text);
    print_options(out, "Flags", c->options, c->option_count);
    if (c->examples) {
        fputs("\nExamples:\n", out);
        print_examples(out, cli->program, c->examples, "  ");
    }
    fprintf(out, "\n'%s help' lists the flags that every command has.\n", cli->program);
}

static void print_program(const struct cli *cli) {
    FILE *out = cli->io->out;
    const struct cli_set *set = cli->args.set;
    fprintf(out, "%s - %s\n\nUsage: %s [FLAG...] COMMAND\n\nCommands:\n", cli->program, set->summary, cli->program);
    for (size_t i = 0; i < set->command_count; i++) {
        const struct cli_command *c = &set->commands[i];
        if (!(c->flags & CLI_HIDDEN))
            fprintf(out, "  %-*s%s\n", 16, c->name, c->summary);
    }
    print_options(out, "Flags of every command", set->globals, set->global_count);
    fprintf(out, "\n'%s help COMMAND' says more. Exit codes: 0 success, 2 wrong usage, others by the class of the error.\n",
            cli->program);
}

void help_print(const struct cli *cli, const struct cli_command *command) {
    if (command)
        print_command(cli, command);
    else
        print_program(cli);
}

int cmd_help(struct cli *cli, struct err *err) {
    const struct cli_args *a = &cli->args;
    const struct cli_set *set = a->set;
    size_t used = 0;
    const struct cli_command *c = a->word_count ? cli_command_match(set, a->words, a->word_count, &used) : NULL;
    if (used == a->word_count) {
        help_print(cli, c);
        return 0;
    }
    bool any = false;
    for (size_t i = 0; i < set->command_count; i++) { /* "help backup": all that begin so */
        size_t len = strlen(a->words[0]);
        if (a->word_count > 1 || strncmp(set->commands[i].name, a->words[0], len) || set->commands[i].name[len] != ' ')
            continue;
        help_print(cli, &set->commands[i]);
        any = true;
    }
    if (any)
        return 0;
    err_set(err, ERR_USAGE, "there is no command '%s'", a->words[0]);
    return err_hint(err, "'%s help' lists what there is", cli->program);
}

/* ---- docs/reference/mssqlctl.md ---- */

/* In a cell of a table a bar must be escaped. */
static void cell(FILE *out, const char *text) {
    for (; *text; text++) {
        if (*text == '|')
            fputc('\\', out);
        fputc(*text, out);
    }
}

static void reference_options(FILE *out, const struct cli_option *options, size_t count) {
    fputs("\n| flag | value | default | meaning |\n|---|---|---|---|\n", out);
    for (size_t i = 0; i < count; i++) {
        const struct cli_option *o = &options[i];
        fprintf(out, "| `%s`", o->name);
        if (o->letter)
            fprintf(out, ", `-%c`", o->letter);
        fputs(" | ", out);
        cell(out, o->choices ? o->choices : o->value ? o->value : "");
        fputs(" | ", out);
        if (o->env)
            fprintf(out, "`$%s`, else ", o->env);
        fprintf(out, o->fallback ? "`%s` | " : "%s| ", o->fallback ? o->fallback : "");
        cell(out, o->help);
        fputs(" |\n", out);
    }
}

static void reference_command(FILE *out, const struct cli_set *set, const struct cli_command *c) {
    fprintf(out, "\n## %s %s\n\n```\n%s %s%s%s%s\n```\n\n", set->program, c->name, set->program, c->name,
            c->option_count ? " [FLAG...]" : "", *c->words ? " " : "", c->words);
    fprintf(out, "%c%s.\n", c->summary[0] - 'a' + 'A', c->summary + 1);
    if (c->text)
        fprintf(out, "\n%s", c->text);
    if (c->option_count)
        reference_options(out, c->options, c->option_count);
    if (c->examples) {
        fputs("\n```\n", out);
        print_examples(out, set->program, c->examples, "");
        fputs("```\n", out);
    }
}

static void reference_exit_codes(FILE *out) {
    fputs("\n## Exit codes\n\nThe word is also the one in logs, in metrics and in the trailer `mssql-error-class` of gRPC "
          "answers.\n\n"
          "| code | word |\n|---|---|\n| 0 | success |\n",
          out);
    for (unsigned i = 1; i < ERR_CLASS_COUNT; i++)
        fprintf(out, "| %d | %s |\n", err_class_exit((enum err_class)i), err_class_name((enum err_class)i));
}

int cmd_reference(struct cli *cli, struct err *err) {
    (void)err;
    FILE *out = cli->io->out;
    const struct cli_set *set = cli->args.set;
    fprintf(out, "<!-- Made by `%s __reference`; a test compares. -->\n# %s\n\n%s\n## Every command\n", set->file, set->program,
            set->reference);
    reference_options(out, set->globals, set->global_count);
    for (size_t i = 0; i < set->command_count; i++)
        if (!(set->commands[i].flags & CLI_HIDDEN))
            reference_command(out, set, &set->commands[i]);
    reference_exit_codes(out);
    return 0;
}
