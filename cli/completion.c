/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completion. The scripts of the shells are thin: they hand the words to "mssqlctl __complete", which knows the table, and offer what
 * it prints, one candidate with its meaning per line.
 */
#include <string.h>

#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/status.h"
#include "cli/text.h"
#include "cli/words.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define ASK_MS 1000 /* nobody waits longer for a name */

static const char bash_script[] = "# bash completion of mssqlctl\n"
                                  "_mssqlctl() {\n"
                                  "    local line\n"
                                  "    COMPREPLY=()\n"
                                  "    while IFS=$'\\t' read -r line _; do\n"
                                  "        COMPREPLY+=(\"$(printf '%q' \"$line\")\")\n"
                                  "    done < <(\"${COMP_WORDS[0]}\" __complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)\n"
                                  "}\n"
                                  "complete -o default -F _mssqlctl mssqlctl\n";

static const char zsh_script[] =
    "#compdef mssqlctl\n"
    "_mssqlctl() {\n"
    "    local line\n"
    "    local -a found\n"
    "    while IFS= read -r line; do\n"
    "        found+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\")\n"
    "    done < <(\"${words[1]}\" __complete \"${(@)words[2,CURRENT]}\" 2>/dev/null)\n"
    "    if (( ${#found} )); then\n"
    "        _describe -t candidates mssqlctl found\n"
    "    else\n"
    "        _files\n"
    "    fi\n"
    "}\n"
    "if [ \"$funcstack[1]\" = _mssqlctl ]; then _mssqlctl \"$@\"; else compdef _mssqlctl mssqlctl; fi\n";

static const char fish_script[] = "# fish completion of mssqlctl\n"
                                  "function __mssqlctl_complete\n"
                                  "    set -l words (commandline -opc) (commandline -ct)\n"
                                  "    mssqlctl __complete $words[2..-1] 2>/dev/null\n"
                                  "end\n"
                                  "complete -c mssqlctl -f -a '(__mssqlctl_complete)'\n"
                                  "complete -c mssqlctl -n '__fish_seen_subcommand_from inspect export' -F\n";

int cmd_completion(struct cli *cli, struct err *err) {
    static const struct {
        const char *shell, *script;
    } scripts[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        if (strcmp(scripts[i].shell, cli->args.words[0]))
            continue;
        fputs(scripts[i].script, cli->io->out);
        return 0;
    }
    return err_set(err, ERR_USAGE, "there is no completion for '%s': bash, zsh or fish", cli->args.words[0]);
}

/* ---- candidates ---- */

static void offer(const struct cli *cli, const char *begun, const char *word, const char *meaning) {
    if (str_starts(word, begun))
        fprintf(cli->io->out, "%s\t%s\n", word, meaning);
}

static void offer_options(const struct cli *cli, const char *begun, const struct cli_command *c) {
    for (size_t i = 0; c && i < c->option_count; i++)
        offer(cli, begun, c->options[i].name, c->options[i].help);
    const struct cli_set *set = cli->args.set;
    for (size_t i = 0; i < set->global_count; i++)
        offer(cli, begun, set->globals[i].name, set->globals[i].help);
}

/* `lead` is printed before each: "--output=". */
static void offer_choices(const struct cli *cli, const char *begun, const char *lead, const char *choices) {
    for (const char *p = choices; *p;) {
        size_t len = strcspn(p, "|");
        _cleanup_free_ char *word = mem_printf("%s%.*s", lead, (int)len, p);
        offer(cli, begun, word, "");
        p += len + (p[len] == '|');
    }
}

/* The next word of every command that begins with the words so far. */
static void offer_commands(const struct cli *cli, const char *begun, const char *const *before, size_t count) {
    const char *last = "";
    const struct cli_set *set = cli->args.set;
    for (size_t i = 0; i < set->command_count; i++) {
        const char *p = set->commands[i].name;
        size_t k = 0;
        for (; k < count && str_starts(p, before[k]) && p[strlen(before[k])] == ' '; k++)
            p += strlen(before[k]) + 1;
        if (k < count || set->commands[i].flags & CLI_HIDDEN)
            continue;
        _cleanup_free_ char *word = mem_strndup(p, strcspn(p, " "));
        if (!strcmp(word, last)) /* "hold" and "hold release" stand side by side */
            continue;
        last = p[strlen(word)] ? "" : p;
        offer(cli, begun, word, set->commands[i].summary);
    }
}

/* Names from the sidecar; without one there are none. */
static void offer_databases(struct cli *cli, const char *begun) {
    _cleanup_message_ Mssql__V1__Status *s = NULL;
    struct err err;
    cli->timeout_ms = ASK_MS;
    if (status_ask(cli, NULL, 0, &s, &err) < 0)
        return;
    for (size_t i = 0; i < s->n_databases; i++) {
        _cleanup_free_ char *clean = text_clean(s->databases[i]->name);
        if (!strcmp(clean, s->databases[i]->name))
            offer(cli, begun, clean, "database");
    }
}

struct typed {
    const char *words[64]; /* neither options nor their values */
    size_t count;
    const struct cli_command *command;
    size_t used; /* words of the command's name */
    const struct cli_option *open; /* the last word begins its value */
    const char *address;
};

static void read_typed(const struct cli_set *set, char *const *argv, size_t count, struct typed *t) {
    for (size_t i = 0; i + 1 < count && t->count < ARRAY_LEN(t->words); i++) {
        if (argv[i][0] != '-') {
            t->words[t->count++] = argv[i];
            t->command = cli_command_match(set, (char *const *)(uintptr_t)t->words, t->count, &t->used);
            continue;
        }
        const char *equals = strchr(argv[i], '=');
        const struct cli_option *o = cli_option_find(set, t->command, argv[i],
                                                     equals ? (size_t)(equals - argv[i]) : strlen(argv[i]));
        if (!o || !o->value || equals)
            continue;
        if (i + 2 < count)
            i++;
        else
            t->open = o;
    }
}

int cmd_complete(struct cli *cli, struct err *err) {
    (void)err;
    struct typed t = {0};
    size_t count = cli->args.word_count;
    const char *begun = count ? cli->args.words[count - 1] : "";
    read_typed(cli->args.set, cli->args.words, count, &t);
    const char *equals = begun[0] == '-' ? strchr(begun, '=') : NULL;
    const struct cli_option *o = equals ? cli_option_find(cli->args.set, t.command, begun, (size_t)(equals - begun)) : NULL;
    _cleanup_free_ char *lead = o ? mem_printf("%s=", o->name) : mem_strdup("");
    if (o || t.open) {
        const struct cli_option *with = o ? o : t.open;
        if (with->choices)
            offer_choices(cli, begun, lead, with->choices);
        return 0;
    }
    if (begun[0] == '-') {
        offer_options(cli, begun, t.command);
        return 0;
    }
    if (!t.command || t.used == t.count || !strcmp(t.command->name, "help"))
        offer_commands(cli, begun, t.words + (t.command && !strcmp(t.command->name, "help") ? t.used : 0),
                       t.command && !strcmp(t.command->name, "help") ? t.count - t.used : t.count);
    if (!t.command)
        return 0;
    if (t.command->run == cmd_completion && t.count == t.used)
        offer_choices(cli, begun, "", t.command->words);
    if (t.command->flags & CLI_DATABASES && t.count - t.used < t.command->max)
        offer_databases(cli, begun);
    return 0;
}
