/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include "cli/args.h"
#include "cli/commands.h"
#include "common/base/clock.h"
#include "common/base/str.h"

#define NOW 1795270800000000

static const char *no_env(const char *name) {
    (void)name;
    return NULL;
}

static const char *some_env(const char *name) {
    return !strcmp(name, "MSSQLCTL_ADDRESS") ? "10.0.0.1:9187" : NULL;
}

/* Words as they stand on a command line; they live as long as the test's static buffer. */
static int parse(const char *line, struct cli_args *args, struct err *err) {
    static char text[512];
    static char *argv[64];
    int argc = 0;
    str_copy(text, sizeof(text), line);
    for (char *p = text; *p;) {
        argv[argc++] = p;
        p += strcspn(p, " ");
        if (*p)
            *p++ = 0;
    }
    argv[argc] = NULL;
    return cli_args_parse(&cli_set, argc, argv, no_env, args, err);
}

static void words_and_options_may_stand_in_any_order(void **state) {
    (void)state;
    static const char *const lines[] = {
        "-o json backup now --kind full a b",
        "backup -o json now a --kind=full b",
        "backup now a b -k full -ojson",
        "backup now --output=json -kfull -- a b",
    };
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct cli_args args;
        assert_succeeds(parse(lines[i], &args, &err), err);
        assert_string_equal(args.command->name, "backup now");
        assert_int_equal(args.word_count, 2);
        assert_string_equal(args.words[0], "a");
        assert_string_equal(args.words[1], "b");
        assert_string_equal(cli_value(&args, "--kind"), "full");
        assert_string_equal(cli_value(&args, "--output"), "json");
        assert_true(cli_given(&args, "--kind"));
        assert_false(cli_given(&args, "--copy-only"));
        cli_args_done(&args);
    }
}

static void the_longest_command_wins(void **state) {
    (void)state;
    struct cli_args args;
    struct err err;
    assert_succeeds(parse("hold release orders h1", &args, &err), err);
    assert_string_equal(args.command->name, "hold release");
    assert_int_equal(args.word_count, 2);
    cli_args_done(&args);
    assert_succeeds(parse("hold orders --set X --reason y", &args, &err), err);
    assert_string_equal(args.command->name, "hold");
    assert_int_equal(args.word_count, 1);
    cli_args_done(&args);
    /* a database may have the name of a verb */
    assert_succeeds(parse("hold -- release", &args, &err), err);
    assert_string_equal(args.command->name, "hold");
    assert_string_equal(args.words[0], "release");
    cli_args_done(&args);
}

static void behind_two_dashes_everything_is_a_word(void **state) {
    (void)state;
    struct cli_args args;
    struct err err;
    assert_succeeds(parse("status -- --weird -o", &args, &err), err);
    assert_int_equal(args.word_count, 2);
    assert_string_equal(args.words[0], "--weird");
    assert_string_equal(cli_value(&args, "--output"), "table");
    cli_args_done(&args);
}

static void mistakes_are_named_with_the_nearest_right_thing(void **state) {
    (void)state;
    static const struct {
        const char *line, *part;
    } cases[] = {
        {"stauts", "there is no command 'stauts'. Did you mean 'status'?"},
        {"backup", "'backup' is not a whole command. Say 'backup now'"},
        {"backup nwo", "there is no command 'backup nwo'. Did you mean 'backup now'?"},
        {"xyzzyxyzzy", "'help' lists what there is"},
        {"status --tiemout 3s", "'status' has no flag '--tiemout'. Did you mean '--timeout'?"},
        {"status --kind full", "'status' has no flag '--kind'"},
        {"--kind full backup now", "there is no flag '--kind' before a command"},
        {"backups --kind", "--kind needs a value: --kind KIND"},
        {"backups --kind=tail", "--kind: 'tail' is not one of full|diff|log"},
        {"backups --kind=full|diff", "is not one of"},
        {"backups --kind=", "--kind: '' is not one of"},
        {"status --no-color=yes", "--no-color takes no value"},
        {"status -hx", "--help takes no value"},
        {"preflight orders", "'preflight' takes no argument 'orders'"},
        {"hold", "'hold' needs more: hold DATABASE"},
        {"hold release orders", "'hold release' needs more"},
        {"hold a b", "'hold' takes no argument 'b'"},
        {"status or\x01"
         "ders",
         "not clean UTF-8"},
        {"status or\xff"
         "ders",
         "not clean UTF-8"},
        {"pause --reason a\xff"
         "b",
         "the value of --reason is not clean UTF-8"},
    };
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct cli_args args;
        assert_fails(parse(cases[i].line, &args, &err), err, ERR_USAGE, cases[i].part);
    }
}

static void help_needs_no_arguments_of_the_command(void **state) {
    (void)state;
    struct cli_args args;
    struct err err;
    assert_succeeds(parse("hold --help", &args, &err), err);
    assert_true(cli_given(&args, "--help"));
    cli_args_done(&args);
    assert_succeeds(parse("-h", &args, &err), err);
    assert_null(args.command);
    cli_args_done(&args);
}

static void nothing_is_a_command_line_too(void **state) {
    (void)state;
    struct cli_args args;
    struct err err;
    char *argv[] = {NULL};
    assert_succeeds(cli_args_parse(&cli_set, 0, argv, no_env, &args, &err), err);
    assert_null(args.command);
    assert_int_equal(args.word_count, 0);
    cli_args_done(&args);
}

static void the_command_line_beats_the_environment_beats_the_default(void **state) {
    (void)state;
    struct cli_args args;
    struct err err;
    char *plain[] = {(char[]){"status"}, NULL};
    char *given[] = {(char[]){"status"}, (char[]){"-a"}, (char[]){"one:1"}, (char[]){"--address=two:2"}, NULL};
    assert_succeeds(cli_args_parse(&cli_set, 1, plain, no_env, &args, &err), err);
    assert_string_equal(cli_value(&args, "--address"), CLI_ADDRESS_DEFAULT);
    cli_args_done(&args);
    assert_succeeds(cli_args_parse(&cli_set, 1, plain, some_env, &args, &err), err);
    assert_string_equal(cli_value(&args, "--address"), "10.0.0.1:9187");
    cli_args_done(&args);
    assert_succeeds(cli_args_parse(&cli_set, 4, given, some_env, &args, &err), err);
    assert_string_equal(cli_value(&args, "--address"), "two:2"); /* the last one */
    assert_null(cli_value(&args, "--tls-ca"));
    cli_args_done(&args);
}

static void moments(void **state) {
    (void)state;
    int64_t at;
    struct err err;
    assert_succeeds(cli_time("--since", "2026-11-21T02:47:00Z", NOW, -1, &at, &err), err);
    assert_int_equal(at, 1795229220000000);
    assert_succeeds(cli_time("--since", "2026-11-21T03:47:00+01:00", NOW, -1, &at, &err), err);
    assert_int_equal(at, 1795229220000000);
    assert_succeeds(cli_time("--since", "2026-11-21", NOW, -1, &at, &err), err);
    assert_int_equal(at, 1795219200000000);
    assert_succeeds(cli_time("--since", "90m", NOW, -1, &at, &err), err);
    assert_int_equal(at, NOW - 90 * CLOCK_MINUTE);
    assert_succeeds(cli_time("--expires", "7d", NOW, 1, &at, &err), err);
    assert_int_equal(at, NOW + 7 * CLOCK_DAY);
    static const char *const bad[] = {"",           "yesterday", "2026-11-21T02:47:00", "2026-13-01",
                                      "1795270800", "-5m",       "9999999999999d",      "2026-11-2x"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_fails(cli_time("--since", bad[i], NOW, -1, &at, &err), err, ERR_USAGE, "--since: '");
}

static void durations(void **state) {
    (void)state;
    int64_t ms = 0;
    struct err err;
    assert_succeeds(cli_duration_ms("--timeout", "1500ms", &ms, &err), err);
    assert_int_equal(ms, 1500);
    static const char *const bad[] = {"", "0", "0s", "-1s", "soon", "1.5h"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_fails(cli_duration_ms("--timeout", bad[i], &ms, &err), err, ERR_USAGE, "is not a duration");
}

static void choices(void **state) {
    (void)state;
    assert_true(cli_choice("full|diff|log", "full"));
    assert_true(cli_choice("full|diff|log", "log"));
    assert_false(cli_choice("full|diff|log", "lo"));
    assert_false(cli_choice("full|diff|log", "full|diff"));
    assert_false(cli_choice("full|diff|log", "Full"));
}

/* The tables themselves: a name twice, or an option that hides a global one, would never be reached. */
static void the_tables_are_sound(void **state) {
    (void)state;
    for (size_t i = 0; i < cli_set.command_count; i++) {
        const struct cli_command *c = &cli_set.commands[i];
        assert_non_null(c->run);
        assert_non_null(c->summary);
        assert_true(c->min <= c->max);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(c->name, cli_set.commands[k].name);
        for (size_t k = 0; k < c->option_count; k++) {
            const struct cli_option *o = &c->options[k];
            assert_ptr_equal(cli_option_find(&cli_set, c, o->name, strlen(o->name)), o);
            assert_null(cli_option_find(&cli_set, NULL, o->name, strlen(o->name)));
            char letter[3] = {'-', o->letter, 0};
            if (o->letter)
                assert_null(cli_option_find(&cli_set, NULL, letter, 2));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_and_options_may_stand_in_any_order),
        cmocka_unit_test(the_longest_command_wins),
        cmocka_unit_test(behind_two_dashes_everything_is_a_word),
        cmocka_unit_test(mistakes_are_named_with_the_nearest_right_thing),
        cmocka_unit_test(help_needs_no_arguments_of_the_command),
        cmocka_unit_test(nothing_is_a_command_line_too),
        cmocka_unit_test(the_command_line_beats_the_environment_beats_the_default),
        cmocka_unit_test(moments),
        cmocka_unit_test(durations),
        cmocka_unit_test(choices),
        cmocka_unit_test(the_tables_are_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
