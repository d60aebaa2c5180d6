/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/args.h"

#include <string.h>

#include "cli/commands.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"

/* ---- the table ---- */

/* How many words the command's name has when the words begin with it, else 0. */
static size_t begins_with(const struct cli_command *c, char *const *words, size_t count) {
    const char *p = c->name;
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(words[i]);
        if (strncmp(p, words[i], len))
            return 0;
        if (!p[len])
            return i + 1;
        if (p[len] != ' ')
            return 0;
        p += len + 1;
    }
    return 0;
}

const struct cli_command *cli_command_match(const struct cli_set *set, char *const *words, size_t count, size_t *ret_used) {
    const struct cli_command *found = NULL;
    size_t used = 0;
    for (size_t i = 0; i < set->command_count; i++) {
        size_t n = begins_with(&set->commands[i], words, count);
        if (n > used) {
            used = n;
            found = &set->commands[i];
        }
    }
    *ret_used = used;
    return found;
}

static const struct cli_option *find_in(const struct cli_option *options, size_t count, const char *name, size_t len) {
    for (size_t i = 0; i < count; i++) {
        const struct cli_option *o = &options[i];
        if (strlen(o->name) == len && !memcmp(o->name, name, len))
            return o;
        if (len == 2 && name[1] == o->letter && o->letter)
            return o;
    }
    return NULL;
}

const struct cli_option *cli_option_find(const struct cli_set *set, const struct cli_command *command, const char *name,
                                         size_t name_bytes) {
    const struct cli_option *o = command ? find_in(command->options, command->option_count, name, name_bytes) : NULL;
    return o ? o : find_in(set->globals, set->global_count, name, name_bytes);
}

bool cli_choice(const char *choices, const char *value) {
    size_t len = strlen(value);
    for (const char *p = choices; *p;) {
        size_t n = strcspn(p, "|");
        if (n == len && !strncmp(p, value, len))
            return true;
        p += n + (p[n] == '|');
    }
    return false;
}

/* ---- what is wrong ---- */

static int unknown_command(const struct cli_set *set, char *const *words, size_t count, struct err *err) {
    const char *names[64];
    size_t n = 0;
    for (size_t i = 0; i < set->command_count && n < ARRAY_LEN(names); i++)
        if (!(set->commands[i].flags & CLI_HIDDEN))
            names[n++] = set->commands[i].name;
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(words[0]);
        if (count == 1 && !strncmp(names[i], words[0], len) && names[i][len] == ' ') {
            err_set(err, ERR_USAGE, "'%s' is not a whole command", words[0]);
            return err_hint(err, "Say '%s'", names[i]);
        }
    }
    _cleanup_free_ char *two = count > 1 ? mem_printf("%s %s", words[0], words[1]) : NULL;
    const char *near = two ? str_nearest(two, names, n) : NULL;
    if (!near)
        near = str_nearest(words[0], names, n);
    bool begun = false; /* the first word was right */
    for (size_t i = 0; i < n && !begun; i++)
        begun = !strncmp(names[i], words[0], strlen(words[0])) && names[i][strlen(words[0])] == ' ';
    err_set(err, ERR_USAGE, "there is no command '%s'", two && begun ? two : words[0]);
    return near ? err_hint(err, "Did you mean '%s'?", near) : err_hint(err, "'help' lists what there is");
}

static int unknown_option(const struct cli_set *set, const struct cli_command *command, const char *text, size_t len,
                          struct err *err) {
    const char *names[64];
    size_t n = 0;
    for (size_t i = 0; command && i < command->option_count && n < ARRAY_LEN(names); i++)
        names[n++] = command->options[i].name;
    for (size_t i = 0; i < set->global_count && n < ARRAY_LEN(names); i++)
        names[n++] = set->globals[i].name;
    _cleanup_free_ char *name = mem_strndup(text, len);
    const char *near = str_nearest(name, names, n);
    if (command)
        err_set(err, ERR_USAGE, "'%s' has no flag '%s'", command->name, name);
    else
        err_set(err, ERR_USAGE, "there is no flag '%s' before a command", name);
    if (near)
        return err_hint(err, "Did you mean '%s'?", near);
    return command ? err_hint(err, "'help %s' lists them", command->name) : err_hint(err, "'help' lists what there is");
}

/* ---- parsing ---- */

struct parse {
    int argc, at;
    char **argv;
    struct cli_args *args;
    size_t cap;
};

static int add(struct parse *p, const struct cli_option *option, char *value, struct err *err) {
    struct cli_args *a = p->args;
    if (value && option->choices && !cli_choice(option->choices, value))
        return err_set(err, ERR_USAGE, "%s: '%s' is not one of %s", option->name, value, option->choices);
    a->given = mem_grow(a->given, &p->cap, a->given_count + 1, sizeof(*a->given));
    a->given[a->given_count++] = (struct cli_given){option, value};
    return 0;
}

/* One option at p->at, with its value when that is the next argument. */
static int take_option(struct parse *p, const struct cli_command *command, struct err *err) {
    char *text = p->argv[p->at++];
    bool is_long = text[1] == '-';
    const char *equals = is_long ? strchr(text, '=') : NULL;
    size_t len = equals ? (size_t)(equals - text) : is_long ? strlen(text) : 2;
    const struct cli_option *o = cli_option_find(p->args->set, command, text, len);
    if (!o)
        return unknown_option(p->args->set, command, text, is_long ? len : strlen(text), err);
    char *value = equals ? text + len + 1 : !is_long && text[2] ? text + 2 : NULL;
    if (!o->value)
        return value ? err_set(err, ERR_USAGE, "%s takes no value", o->name) : add(p, o, NULL, err);
    if (!value && p->at < p->argc)
        value = p->argv[p->at++];
    if (!value)
        return err_set(err, ERR_USAGE, "%s needs a value: %s %s", o->name, o->name, o->value);
    return add(p, o, value, err);
}

static bool is_option(const char *text) {
    return text[0] == '-' && text[1];
}

/* Words and global options up to where the command's name ends; *ret_words counts its words. */
static int take_command(struct parse *p, struct err *err) {
    char *words[8];
    size_t count = 0, used = 0;
    while (p->at < p->argc && count < ARRAY_LEN(words)) {
        char *text = p->argv[p->at];
        if (is_option(text)) {
            if (p->args->command || !strcmp(text, "--"))
                break;
            if (take_option(p, NULL, err) < 0)
                return -1;
            continue;
        }
        words[count++] = text;
        const struct cli_command *c = cli_command_match(p->args->set, words, count, &used);
        if (p->args->command && used < count) /* this word does not belong to the name any more */
            break;
        p->args->command = c;
        p->at++;
        if (count > 1 && !c)
            break;
    }
    if (count && !p->args->command)
        return unknown_command(p->args->set, words, count, err);
    return 0;
}

static int check_words(const struct cli_args *a, struct err *err) {
    const struct cli_command *c = a->command;
    if (!c)
        return a->word_count ? err_set(err, ERR_USAGE, "there is no command '%s'", a->words[0]) : 0;
    for (size_t i = 0; i < a->word_count; i++)
        if (!(c->flags & CLI_VERBATIM) && (!*a->words[i] || !str_is_clean_utf8(a->words[i], strlen(a->words[i]))))
            return err_set(err, ERR_USAGE, "argument %zu of '%s' is empty or not clean UTF-8", i + 1, c->name);
    if (a->word_count < c->min)
        return err_set(err, ERR_USAGE, "'%s' needs more: %s %s", c->name, c->name, c->words);
    if (a->word_count > c->max)
        return err_set(err, ERR_USAGE, "'%s' takes no argument '%s': %s%s%s", c->name, a->words[c->max], c->name,
                       *c->words ? " " : "", c->words);
    return 0;
}

static int parse(struct parse *p, struct err *err) {
    struct cli_args *a = p->args;
    if (take_command(p, err) < 0)
        return -1;
    a->words = mem_array((size_t)(p->argc - p->at) + 1, sizeof(*a->words));
    bool only_words = a->command && a->command->flags & CLI_VERBATIM;
    while (p->at < p->argc) {
        char *text = p->argv[p->at];
        if (!only_words && !strcmp(text, "--")) {
            only_words = true;
            p->at++;
        } else if (!only_words && is_option(text)) {
            if (take_option(p, a->command, err) < 0)
                return -1;
        } else {
            a->words[a->word_count++] = text;
            p->at++;
        }
    }
    for (size_t i = 0; i < a->given_count; i++)
        if (a->given[i].value && !str_is_clean_utf8(a->given[i].value, strlen(a->given[i].value)))
            return err_set(err, ERR_USAGE, "the value of %s is not clean UTF-8", a->given[i].option->name);
    return cli_given(a, "--help") ? 0 : check_words(a, err);
}

int cli_args_parse(const struct cli_set *set, int argc, char **argv, const char *(*env)(const char *name),
                   struct cli_args *ret_args, struct err *err) {
    struct cli_args args = {.set = set, .env = env};
    struct parse p = {.argc = argc, .argv = argv, .args = &args};
    if (parse(&p, err) < 0) {
        cli_args_done(&args);
        return -1;
    }
    *ret_args = args;
    return 0;
}

void cli_args_done(struct cli_args *args) {
    mem_free(args->given);
    mem_free(args->words);
    *args = (struct cli_args){.set = args->set};
}

/* ---- asking ---- */

bool cli_given(const struct cli_args *args, const char *name) {
    for (size_t i = 0; i < args->given_count; i++)
        if (!strcmp(args->given[i].option->name, name))
            return true;
    return false;
}

char *cli_value(const struct cli_args *args, const char *name) {
    for (size_t i = args->given_count; i-- > 0;)
        if (!strcmp(args->given[i].option->name, name))
            return args->given[i].value;
    const struct cli_option *o = cli_option_find(args->set, args->command, name, strlen(name));
    if (!o)
        return NULL;
    const char *set = o->env && args->env ? args->env(o->env) : NULL;
    union { /* texts of messages are char * in protobuf-c although nobody writes them */
        const char *from;
        char *to;
    } text = {set && *set ? set : o->fallback};
    return text.to;
}

/* ---- values ---- */

int cli_time(const char *option, const char *text, int64_t now, int direction, int64_t *ret_at, struct err *err) {
    int64_t ms;
    _cleanup_free_ char *midnight = mem_printf("%sT00:00:00Z", text);
    if (clock_parse(text, ret_at) || (strlen(text) == 10 && clock_parse(midnight, ret_at)))
        return 0;
    bool is_number = text[0] && !text[strspn(text, "0123456789")];
    if (!is_number && str_to_duration_ms(text, &ms) && ms < INT64_MAX / 2000) {
        *ret_at = now + direction * ms * 1000;
        return 0;
    }
    err_set(err, ERR_USAGE, "%s: '%s' is not a moment", option, text);
    return err_hint(err, "Use RFC 3339 with its zone (2026-11-21T02:47:00Z), a date, or a duration (30m, 12h, 7d)");
}

int cli_duration_ms(const char *option, const char *text, int64_t *ret_ms, struct err *err) {
    if (str_to_duration_ms(text, ret_ms) && *ret_ms > 0)
        return 0;
    err_set(err, ERR_USAGE, "%s: '%s' is not a duration", option, text);
    return err_hint(err, "Use 500ms, 30s, 5m, 12h or 7d");
}
