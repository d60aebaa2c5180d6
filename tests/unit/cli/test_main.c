/* SPDX-License-Identifier: Apache-2.0 */
/* The whole program without a sidecar: what it prints, where, and the exit code. */
#include "tests/unit/support/unit.h"

#include "cli/cli.h"
#include "cli/commands.h"
#include "common/base/str.h"

#define ARGS_MAX 16

static const char *env_address;

static const char *env(const char *name) {
    return !strcmp(name, "MSSQLCTL_ADDRESS") ? env_address : NULL;
}

struct ran {
    char *out, *err;
    size_t out_len, err_len;
    int code;
};

static struct ran run_as(const char *program, const char *const *words) {
    struct ran r = {0};
    char *argv[ARGS_MAX + 2];
    int argc = 0;
    argv[argc++] = mem_strdup(program);
    for (; *words; words++)
        argv[argc++] = mem_strdup(*words);
    argv[argc] = NULL;
    struct cli_io io = {.out = open_memstream(&r.out, &r.out_len), .err = open_memstream(&r.err, &r.err_len), .env = env};
    r.code = cli_main(&io, argc, argv);
    fclose(io.out);
    fclose(io.err);
    for (int i = 0; i < argc; i++)
        mem_free(argv[i]);
    return r;
}

#define RUN(...) run_as("/usr/bin/mssqlctl", (const char *const[]){__VA_ARGS__, NULL})

static void ran_done(struct ran *r) {
    free(r->out);
    free(r->err);
}

/* Nothing on standard output, one line on the other. */
static void complains(struct ran r, int code, const char *line) {
    assert_string_equal(r.out, "");
    assert_string_equal(r.err, line);
    assert_int_equal(r.code, code);
    ran_done(&r);
}

static void says(struct ran r, const char *part) {
    if (r.code || r.err_len || !strstr(r.out, part))
        fail_msg("exit code %d, '%s' is not in:\n%s%s", r.code, part, r.out, r.err);
    ran_done(&r);
}

static void errors_are_one_line(void **state) {
    (void)state;
    complains(RUN("stauts"), 2, "mssqlctl: there is no command 'stauts'. Did you mean 'status'?\n");
    complains(RUN("sta\033[2Jtus\n"), 2, "mssqlctl: there is no command 'sta\xef\xbf\xbd[2Jtus '. 'help' lists what there is\n");
    complains(RUN("--store", "/nowhere", "status"), 2, "mssqlctl: 'status' needs a sidecar and takes no --store\n");
    complains(RUN("--scope", "a/b", "chain"), 2, "mssqlctl: --scope belongs to --store\n");
    complains(RUN("backup", "now", "--copy-only"), 2, "mssqlctl: --copy-only needs --kind full or --kind log\n");
    complains(RUN("windows"), 2,
              "mssqlctl: 'windows' needs to know where the backups are: --store URL, --catalog DIR or --history FILE\n");
    complains(RUN("export", "/tmp"), 2, "mssqlctl: 'export' needs the backups themselves: --store URL\n");
    complains(RUN("export", "/tmp", "--catalog", "/x"), 2, "mssqlctl: 'export' needs the backups themselves: --store URL\n");
    complains(RUN("plan", "--tsql"), 2,
              "mssqlctl: --tsql is for plans without a sidecar. Name the backups with --store, --catalog or --history\n");
    complains(RUN("plan", "--history", "x", "--as", "y"), 2, "mssqlctl: --as belongs to --tsql\n");
    complains(RUN("plan", "--history", "x", "--tsql", "--move", "a=b"), 2,
              "mssqlctl: --move: 'a=b' is not LOGICAL=PATH with a whole path\n");
    complains(RUN("plan", "--history", "x", "--avoid", "1"), 2, "mssqlctl: --avoid: '1' is no GUID of a backup set\n");
    complains(RUN("plan", "--history", "x", "--rate", "fast"), 2,
              "mssqlctl: --rate: 'fast' is no number of bytes per second (100Mi)\n");
    complains(RUN("windows", "--history", "x", "--utc-offset", "CET"), 2,
              "mssqlctl: --utc-offset: 'CET' is no offset from UTC (+02:00, -05:30, Z)\n");
    complains(RUN("windows", "--store", "/x", "--utc-offset", "Z"), 2,
              "mssqlctl: --utc-offset belongs to --history: manifests have theirs\n");
    complains(RUN("inspect"), 2, "mssqlctl: 'inspect' needs more: inspect FILE...\n");
    complains(RUN("completion", "tcsh"), 2, "mssqlctl: there is no completion for 'tcsh': bash, zsh or fish\n");
}

static void a_wrong_request_is_refused_before_the_sidecar_is_asked(void **state) {
    (void)state;
    static const char *const cases[][ARGS_MAX] = {
        {"pause"},
        {"pause", "--reason", ""},
        {"pause", "--reason", "x", "--for", "1h", "--until", "2099-01-01"},
        {"pause", "--reason", "x", "--until", "2020-01-01"},
        {"hold", "db", "--reason", "x"},
        {"hold", "db", "--reason", "x", "--set", "12"},
        {"hold", "db", "--reason", "x", "--set", "0A1B2C3D-0000-0000-0000-000000000000", "--from", "1h"},
        {"hold", "db", "--reason", "x", "--until", "1h"},
        {"hold", "db", "--reason", "x", "--from", "2026-01-02", "--until", "2026-01-01"},
        {"hold", "db", "--reason", "x", "--from", "1h", "--expires", "2020-01-01"},
        {"hold", "db", "--from", "1h"},
        {"backups", "--since", "2026-01-02", "--until", "2026-01-01"},
        {"backups", "--limit", "-1"},
        {"backup", "now", "--no-wait", "--stop-on-interrupt"},
        {"--address", "nonsense", "status"},
        {"--tls-ca", "/x", "status"},
    };
    env_address = NULL; /* the default: a socket that is not there would be exit code 15 */
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ran r = run_as("mssqlctl", cases[i]);
        if (r.code != 2)
            fail_msg("case %zu ends with %d: %s", i, r.code, r.err);
        assert_true(str_starts(r.err, "mssqlctl: "));
        assert_ptr_equal(strchr(r.err, '\n'), r.err + r.err_len - 1);
        ran_done(&r);
    }
}

static void nobody_answers(void **state) {
    (void)state;
    env_address = "unix:///nowhere/s.sock";
    complains(RUN("status"), 15,
              "mssqlctl: no sidecar at unix:///nowhere/s.sock: No such file or directory. Does it run? Another place is named "
              "with --address or "
              "MSSQLCTL_ADDRESS\n");
    struct ran r = RUN("-a", "127.0.0.1:1", "--timeout", "5s", "status");
    assert_int_equal(r.code, 15);
    assert_true(str_starts(r.err, "mssqlctl: no sidecar answers at 127.0.0.1:1: "));
    ran_done(&r);
    r = RUN("version"); /* our own all the same */
    assert_int_equal(r.code, 15);
    assert_non_null(strstr(r.out, "mssqlctl"));
    ran_done(&r);
    says(RUN("version", "--client"), "mssqlctl");
    env_address = NULL;
}

static void help_comes_from_the_table(void **state) {
    (void)state;
    for (size_t i = 0; i < cli_set.command_count; i++) {
        if (cli_set.commands[i].flags & CLI_HIDDEN)
            continue;
        says(RUN("help"), cli_set.commands[i].summary);
        char name[64];
        str_copy(name, sizeof(name), cli_set.commands[i].name);
        char *space = strchr(name, ' ');
        if (space)
            *space = 0;
        const char *words[] = {name, space ? space + 1 : "--help", space ? "--help" : NULL, NULL};
        struct ran r = run_as("mssqlctl", words);
        assert_int_equal(r.code, 0);
        for (size_t k = 0; k < cli_set.commands[i].option_count; k++)
            assert_non_null(strstr(r.out, cli_set.commands[i].options[k].help));
        ran_done(&r);
    }
    says(RUN("help", "backup"), "mssqlctl backup now - ");
    complains(RUN("help", "nothing"), 2, "mssqlctl: there is no command 'nothing'. 'mssqlctl help' lists what there is\n");
    struct ran r = RUN("help");
    assert_null(strstr(r.out, "__complete"));
    ran_done(&r);
}

static void as_a_plugin_it_has_another_name(void **state) {
    (void)state;
    struct ran r = run_as("/opt/bin/kubectl-mssql", (const char *const[]){"help", NULL});
    assert_non_null(strstr(r.out, "Usage: kubectl mssql [FLAG...] COMMAND"));
    ran_done(&r);
    r = run_as("kubectl-mssql", (const char *const[]){"nope-nope-nope", NULL});
    assert_true(str_starts(r.err, "kubectl mssql: "));
    ran_done(&r);
}

static void completes(const char *want, const char *const *words) {
    struct ran r = run_as("mssqlctl", words);
    if (strcmp(r.out, want) || r.err_len || r.code)
        fail_msg("want '%s', have '%s' %s(%d)", want, r.out, r.err, r.code);
    ran_done(&r);
}

#define COMPLETES(want, ...) completes(want, (const char *const[]){"__complete", __VA_ARGS__, NULL})

static void completion_knows_the_table(void **state) {
    (void)state;
    env_address = "unix:///nowhere/s.sock"; /* no names of databases, and nothing is said about that */
    COMPLETES("status\twhat is protected, to which moment, and what is wrong\n", "stat");
    COMPLETES("now\ttake backups now, of all protected databases or of these\n", "backup", "");
    COMPLETES("full\t\ndiff\t\nlog\t\n", "backup", "now", "--kind", "");
    COMPLETES("--kind=diff\t\n", "backups", "--kind=d");
    COMPLETES("json\t\n", "-o", "j");
    COMPLETES("--copy-only\ta full or log that no other backup builds on\n", "backup", "now", "-k", "full", "--cop");
    COMPLETES("bash\t\nzsh\t\nfish\t\n", "completion", "");
    COMPLETES("hold\tkeep backups from being pruned\nhelp\tthis help, or that of a command\n", "help", "h");
    COMPLETES("", "status", "");
    COMPLETES("", "--address", "");
    COMPLETES("", "nonsense", "");
    COMPLETES("", "__");
    says(RUN("completion", "bash"), "complete ");
    says(RUN("completion", "zsh"), "#compdef mssqlctl");
    says(RUN("completion", "fish"), "complete -c mssqlctl");
    env_address = NULL;
}

static void a_full_disk_is_an_error(void **state) {
    (void)state;
    char *argv[] = {(char[]){"mssqlctl"}, (char[]){"help"}, NULL};
    char *text;
    size_t len;
    struct cli_io io = {.out = fopen("/dev/full", "w"), .err = open_memstream(&text, &len), .env = env};
    assert_non_null(io.out);
    assert_int_equal(cli_main(&io, 2, argv), 22);
    fclose(io.out);
    fclose(io.err);
    assert_string_equal(text, "mssqlctl: writing the result: No space left on device\n");
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_one_line),
        cmocka_unit_test(a_wrong_request_is_refused_before_the_sidecar_is_asked),
        cmocka_unit_test(nobody_answers),
        cmocka_unit_test(help_comes_from_the_table),
        cmocka_unit_test(as_a_plugin_it_has_another_name),
        cmocka_unit_test(completion_knows_the_table),
        cmocka_unit_test(a_full_disk_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
