/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include <sys/stat.h>

#include "common/base/file.h"
#include "common/base/str.h"
#include "sidecar/config.h"

static char *dir;

static char *path_of(const char *name) {
    static char path[4][512];
    static unsigned n;
    n = (n + 1) % 4;
    str_format(path[n], sizeof(path[n]), "%s/%s", dir, name);
    return path[n];
}

static char *write_file(const char *name, const char *text) {
    struct err err;
    char *path = path_of(name);
    assert_succeeds(file_write_durable(path, text, strlen(text), 0600, &err), err);
    return path;
}

static int setup(void **state) {
    (void)state;
    dir = unit_tmpdir();
    write_file("pw", "s3cret-of-file\n");
    return 0;
}

static int teardown(void **state) {
    (void)state;
    unit_rm(dir);
    return 0;
}

/* Loads `text` with more arguments and variables, each list NULL-terminated or NULL. "@" in them stands for the directory. */
struct with {
    const char *text;
    const char *args[8], *env[8];
};

static char *expand(const char *s) {
    struct buf out;
    buf_init(&out, 65536);
    for (; *s; s++)
        (void)(*s == '@' ? buf_puts(&out, dir) : buf_putc(&out, *s));
    return buf_take(&out);
}

static int load(const struct with *w, struct sidecar_config *ret_config, struct err *err) {
    char *argv[12] = {mem_strdup("mssql-sidecar")}, *env[12] = {mem_strdup("PATH=/bin")};
    int argc = 1;
    if (w->text) {
        char *text = expand(w->text);
        argv[argc++] = mem_printf("--config=%s", write_file("c.yaml", text));
        mem_free(text);
    }
    for (int i = 0; i < 8 && w->args[i]; i++)
        argv[argc++] = expand(w->args[i]);
    for (int i = 0; i < 8 && w->env[i]; i++)
        env[i + 1] = expand(w->env[i]);
    int rc = sidecar_config_load(argc, argv, env, ret_config, err);
    for (int i = 0; env[i]; i++)
        if (strstr(env[i], "s3cret"))
            fail_msg("%s is still in the environment", env[i]);
    for (int i = 0; i < 12; i++) {
        mem_free(argv[i]);
        mem_free(env[i]);
    }
    return rc;
}

#define BASE "identity: {instance: sql1}\nsql:\n  passwordFile: @/pw\n"

static void defaults(void **state) {
    (void)state;
    struct sidecar_config c;
    struct err err;
    assert_succeeds(load(&(struct with){BASE}, &c, &err), err);
    assert_int_equal(c.action, SIDECAR_RUN);
    assert_string_equal(c.sql.host, "127.0.0.1");
    assert_int_equal(c.sql.port, 1433);
    assert_string_equal(secret_text(c.sql.password), "s3cret-of-file");
    assert_null(c.sql.admin_password);
    assert_string_equal(c.paths.staging_server, c.paths.staging);
    assert_string_equal(c.store.path, "/backup-store");
    assert_string_equal(c.store.prefix, "");
    assert_string_equal(c.identity.namespace_name, "default");
    assert_int_equal(c.umask, 027);
    assert_int_equal(c.log.level, LOG_INFO);
    assert_false(c.policy_given);
    assert_int_equal(c.policy.rules.retention_days, 30);
    sidecar_config_done(&c);
}

static void flags_beat_environment_beats_file(void **state) {
    (void)state;
    struct sidecar_config c;
    struct err err;
    struct with w = {
        BASE "  port: 1500\n  user: file\nlog: {level: warn, format: json}\n"
             "policy:\n  retentionDays: 9\n  logBackup: {interval: 20s}\n  overrides: [{databases: [a], keep: {last: 3}}]\n",
        {"--sql-port", "1502", "--policy-retention-days=7", "--policy-exclude-databases=x,y"},
        {"MSSQL_SIDECAR_SQL_PORT=1501", "MSSQL_SIDECAR_SQL_USER=env", "MSSQL_SIDECAR_POLICY_LOG_BACKUP_INTERVAL=40s",
         "MSSQL_SIDECAR_SQL_PASSWORD=s3cret-of-env", "MSSQL_SIDECAR_SQL_PORT_1433_TCP_ADDR=10.0.0.1",
         "MSSQL_SIDECAR_SERVICE_HOST=10.0.0.1", "MSSQL_SIDECAR_PORT=tcp://10.0.0.1:1433"}};
    assert_succeeds(load(&w, &c, &err), err);
    assert_int_equal(c.sql.port, 1502);
    assert_string_equal(c.sql.user, "env");
    assert_int_equal(c.log.level, LOG_WARN);
    assert_int_equal(c.log.format, LOG_JSON);
    assert_string_equal(secret_text(c.sql.password), "s3cret-of-env");
    assert_true(c.policy_given);
    assert_int_equal(c.policy.rules.retention_days, 7);
    assert_int_equal(c.policy.rules.log_interval_ms, 40000);
    /* what a flag changed holds below it, too */
    assert_int_equal(c.policy.overrides[0].rules.retention_days, 7);
    assert_int_equal(c.policy.overrides[0].rules.log_interval_ms, 40000);
    assert_int_equal(c.policy.overrides[0].rules.keep_last, 3);
    assert_int_equal(c.policy.exclude.count, 2);
    sidecar_config_done(&c);
    /* the file may be named by a variable; without any, flags are enough */
    w = (struct with){NULL, {"--identity-instance=x"}, {"MSSQL_SIDECAR_SQL_PASSWORD=s3cret-of-env"}};
    assert_succeeds(load(&w, &c, &err), err);
    assert_null(c.file);
    sidecar_config_done(&c);
    w = (struct with){NULL, {NULL}, {"MSSQL_SIDECAR_CONFIG=@/c.yaml"}};
    assert_succeeds(load(&w, &c, &err), err);
    assert_int_equal(c.sql.port, 1500);
    sidecar_config_done(&c);
}

static void actions(void **state) {
    (void)state;
    struct sidecar_config c;
    struct err err;
    static const struct {
        const char *flag;
        enum sidecar_action action;
    } cases[] = {{"--version", SIDECAR_VERSION},
                 {"--help", SIDECAR_HELP},
                 {"-h", SIDECAR_HELP},
                 {"--list-steps", SIDECAR_LIST_STEPS},
                 {"--config-reference", SIDECAR_CONFIG_REFERENCE}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_succeeds(load(&(struct with){NULL, {cases[i].flag}}, &c, &err), err);
        assert_int_equal(c.action, cases[i].action);
        sidecar_config_done(&c);
    }
    assert_succeeds(load(&(struct with){BASE, {"--check-config"}}, &c, &err), err);
    assert_int_equal(c.action, SIDECAR_CHECK_CONFIG);
    sidecar_config_done(&c);
    assert_fails(load(&(struct with){BASE "  prot: 1\n", {"--check-config"}}, &c, &err), err, ERR_CONFIG, "did you mean 'port'?");
}

static void bad_command_lines(void **state) {
    (void)state;
    static const struct {
        struct with w;
        enum err_class class;
        const char *part;
    } cases[] = {
        {{BASE, {"--sql-prot=5"}}, ERR_USAGE, "--sql-prot: unknown flag, did you mean --sql-port?"},
        {{BASE, {"--frobnicate-everything-now"}}, ERR_USAGE, "--frobnicate-everything-now: unknown flag, see --help"},
        {{BASE, {"sql"}}, ERR_USAGE, "'sql' is not understood"},
        {{BASE, {"-x"}}, ERR_USAGE, "'-x' is not understood"},
        {{BASE, {"--"}}, ERR_USAGE, "'--' is not understood"},
        {{BASE, {"--sql-port"}}, ERR_USAGE, "--sql-port: the value is missing"},
        {{BASE, {"--sql-port=x"}}, ERR_USAGE, "flag --sql-port: sql.port: 'x' is not an allowed number, allowed: 1 to 65535"},
        {{BASE, {"--sql-password=s3cret"}}, ERR_USAGE, "--sql-password is not accepted: passwords do not belong here"},
        {{BASE, {"--sql-password", "s3cret"}}, ERR_USAGE, "--sql-password is not accepted"},
        {{BASE, {"--version", "--help"}}, ERR_USAGE, "only one of these actions"},
        {{BASE, {"--policy=x"}}, ERR_USAGE, "unknown flag"},
        {{BASE, {"--policy-mode=native_url"}}, ERR_UNSUPPORTED, "policy.mode: 'native_url': this version does not have"},
        {{BASE, {NULL}, {"MSSQL_SIDECAR_SQL_PROT=5"}},
         ERR_CONFIG,
         "environment variable MSSQL_SIDECAR_SQL_PROT: unknown, did you mean MSSQL_SIDECAR_SQL_PORT?"},
        {{BASE, {NULL}, {"MSSQL_SIDECAR_SQL_PORT=70000"}},
         ERR_CONFIG,
         "environment variable MSSQL_SIDECAR_SQL_PORT: sql.port: '70000' is not an allowed number"},
        {{BASE, {NULL}, {"MSSQL_SIDECAR_POLICY_TIME_ZONE=Mars"}},
         ERR_CONFIG,
         "environment variable MSSQL_SIDECAR_POLICY_TIME_ZONE: policy.timeZone: time zone 'Mars'"},
        {{NULL, {"--config", "/nonexistent/c.yaml"}}, ERR_CONFIG, "configuration: open /nonexistent/c.yaml: No such file"},
        {{NULL, {"--config", "/"}}, ERR_CONFIG, "configuration: "},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct sidecar_config c;
        struct err err;
        assert_fails(load(&cases[i].w, &c, &err), err, cases[i].class, cases[i].part);
        assert_null(strstr(err.text, "s3cret"));
    }
}

static void bad_files(void **state) {
    (void)state;
    static const struct {
        const char *text, *part;
        enum err_class class;
    } cases[] = {
        {"sql: {passwordFile: @/pw}\n", "c.yaml: identity.instance: is missing and has no default"},
        {"identity: {instance: a}\n", "sql.passwordFile: is missing: give it or the variable MSSQL_SIDECAR_SQL_PASSWORD"},
        {BASE "  password: s3cret\n",
         "c.yaml:4: sql.password: is not accepted: passwords do not belong here, use sql.passwordFile"},
        {BASE "  adminPassword: s3cret\n", "sql.adminPassword: is not accepted"},
        {"identity: {instance: a}\nsql: {passwordFile: /nonexistent}\n", "sql.passwordFile: secret file: open /nonexistent"},
        {"identity: {instance: a}\nsql: {passwordFile: @/empty}\n", "is empty"},
        {"identity: {instance: a}\nsql: {passwordFile: pw}\n", "sql.passwordFile: 'pw' is not an absolute path"},
        {BASE "  port: 0\n", "c.yaml:4: sql.port: '0' is not an allowed number, allowed: 1 to 65535"},
        {BASE "  host: a b\n", "sql.host: 'a b' is not a host"},
        {BASE "  host: ''\n", "sql.host: is empty"},
        {BASE "  encryption: maybe\n", "allowed: off, request, require"},
        {BASE "  caFile: /ca.pem\n", "c.yaml:4: sql.caFile: has no effect without sql.encryption: require"},
        {BASE "  adminUser: sa\n", "c.yaml:4: sql.adminUser: 'sa' has no password"},
        {BASE "  adminPasswordFile: @/pw\n", "sql.adminUser: is missing, and a password for it is given"},
        {BASE "  loginTimeout: 1\n  progressTimeout: 1s\n", "sql.progressTimeout: '1s' is not an allowed duration"},
        {BASE "identity: {instance: b}\n", "c.yaml:4:1: identity is given twice, first in line 1"},
        {"identity: {instance: Upper}\n", "identity.instance: 'Upper' is not a name"},
        {"identity: {instance: ../x}\n", "is not a name"},
        {"identity: {instance: a, namespace: .hidden}\n", "is not a name"},
        {"identity: {instance: a, cluster: 'a/b'}\n", "is not a cluster id"},
        {BASE "paths: {staging: relative}\n", "paths.staging: 'relative' is not an absolute path"},
        {BASE "paths: {staging: /a/../b}\n", "goes up with '..'"},
        {BASE "paths: {state: /var/opt/mssql/backup-staging/state}\n", "lies in paths.staging"},
        {BASE "store: {url: /var/opt/mssql/backup-staging}\n", "lie in each other"},
        {BASE "store: {url: file:///var/opt}\n", "c.yaml:4: store.url: 'file:///var/opt' and paths.staging"},
        {BASE "store: {url: ftp://x}\n", "store.url: 'ftp://x' is not a store"},
        {BASE "store: {url: 's3://bucket'}\n", "this version does not have object stores", ERR_UNSUPPORTED},
        {BASE "store: {prefix: ../up}\n", "is not a prefix"},
        {BASE "store: {prefix: /abs}\n", "is not a prefix"},
        {BASE "staging: {quota: lots}\n", "staging.quota: 'lots' is not an allowed size"},
        {BASE "grpc: {listen: '0.0.0.0:8443'}\n", "can be reached from other machines and has no TLS"},
        {BASE "grpc: {listen: ':8443'}\n", "can be reached from other machines"},
        {BASE "grpc: {listen: nonsense}\n", "grpc.listen: address 'nonsense'"},
        {BASE "grpc: {listen: 'unix:relative'}\n", "must be absolute"},
        {BASE "grpc: {tls: {cert: /c.pem}}\n", "grpc.tls.cert: is given without grpc.tls.key"},
        {BASE "grpc: {tls: {key: /c.pem}}\n", "grpc.tls.key: is given without grpc.tls.cert"},
        {BASE "grpc: {tls: {clientCa: /c.pem}}\n", "grpc.tls.clientCa: has no effect"},
        {BASE "http: {listen: 'unix:///x'}\n", "is a Unix socket, allowed: host:port"},
        {BASE "http: {listen: '1.2.3.4:99999'}\n", "is not a port"},
        {BASE "log: {level: loud}\n", "log.level: 'loud' is not an allowed word, allowed: debug, info, warn, error"},
        {BASE "limits: {retryMin: 1m, retryMax: 1s}\n", "limits.retryMin: is longer than limits.retryMax"},
        {BASE "limits: {sqlWorkers: 1}\n", "2 to 64"},
        {BASE "umask: 888\n", "umask: '888' is not a file mode mask"},
        {BASE "umask: 0x1\n", "is not a file mode mask"},
        {BASE "  user: ''\n", "sql.user: is empty"},
        {BASE "grpc: {listen: ''}\n", "grpc.listen: is empty"},
        {BASE "http: {listen: ''}\n", "http.listen: is empty"},
        {BASE "paths: {staging: ''}\n", "paths.staging: is empty"},
        {BASE "paths: {state: ''}\n", "paths.state: is empty"},
        {BASE "store: {url: ''}\n", "store.url: is empty"},
        {BASE "umask: ''\n", "umask: is empty"},
        {BASE "paths: {staging: /a/}\nstore: {url: /a/b}\n", "lie in each other"},
        {BASE "paths: {state: \"/a\\tb\"}\nsql2: 1\n", "unknown key"},
        {BASE "policy: []\n", "c.yaml:4: policy is a list, allowed: a map of keys"},
        {BASE "policy:\n  retentionDays: 99\n",
         "c.yaml:5: policy.retentionDays: '99' is not an allowed number, allowed: 1 to 30"},
        {BASE "policy:\n  overrides:\n    - databases: [x]\n      retentionDay: 3\n",
         "c.yaml:7: policy.overrides[0].retentionDay: unknown key, did you mean 'retentionDays'?"},
        {BASE "policy: {allDatabases: false, systemDatabases: false}\n", "c.yaml: policy: databases: is empty"},
        {BASE "polcy: {}\n", "c.yaml:4: polcy: unknown key, did you mean 'policy'?"},
        {"identity: {instance: a\n", "c.yaml:2:1: "},
        {"- a\n- b\n", "is a list, allowed: a map of keys"},
        {"\x01", "c.yaml"},
    };
    write_file("empty", "\n");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct sidecar_config c;
        struct err err;
        enum err_class class = cases[i].class ? cases[i].class : ERR_CONFIG;
        assert_fails(load(&(struct with){cases[i].text}, &c, &err), err, class, cases[i].part);
        assert_null(strstr(err.text, "s3cret"));
    }
}

static void warnings(void **state) {
    (void)state;
    struct sidecar_config c;
    struct err err;
    assert_succeeds(load(&(struct with){BASE "limits: {sqlWorkers: 2}\npolicy: {databases: [a]}\n"}, &c, &err), err);
    assert_int_equal(c.warnings.count, 2);
    assert_non_null(strstr(c.warnings.items[0], "limits.sqlWorkers"));
    assert_non_null(strstr(c.warnings.items[1], "policy: allDatabases is true by default"));
    sidecar_config_done(&c);
}

static void what_is_printed_can_be_loaded(void **state) {
    (void)state;
    struct sidecar_config a, b;
    struct err err;
    struct buf out;
    struct conf_list all = {0};
    struct with w = {
        BASE "  adminUser: sa\n  adminPasswordFile: @/pw\n  encryption: require\n  caFile: /ca\nstore: {url: /s, prefix: a/b}\n"
             "grpc: {listen: '[::1]:0', tls: {cert: /c, key: /k, clientCa: /a}}\numask: '0077'\nlog: {level: debug}\n"
             "policy: {blackoutWindows: ['SAT 01:00-02:00'], overrides: [{databases: ['a b'], maxQuiet: 10m}]}\n",
        {"--sql-user=x y"},
        {"MSSQL_SIDECAR_SQL_PASSWORD=s3cret-of-env"}};
    buf_init(&out, 1 << 20);
    assert_succeeds(load(&w, &a, &err), err);
    sidecar_config_print(&a, &out);
    assert_null(strstr(out.data, "s3cret"));
    assert_non_null(strstr(out.data, "*** (from MSSQL_SIDECAR_SQL_PASSWORD)"));
    w = (struct with){out.data};
    assert_succeeds(load(&w, &b, &err), err);
    sidecar_config_diff(&a, &b, &all, &all);
    /* only the password that came from the environment is another one */
    assert_int_equal(all.count, 1);
    assert_string_equal(all.items[0], "sql.password");
    assert_int_equal(b.umask, 077);
    conf_list_done(&all);
    sidecar_config_done(&a);
    sidecar_config_done(&b);
    buf_done(&out);
}

static void reload(void **state) {
    (void)state;
    struct sidecar_config live, fresh;
    struct err err;
    struct conf_list now = {0}, later = {0};
    assert_succeeds(load(&(struct with){BASE "  progressTimeout: 10m\n", {"--log-format=json"}}, &live, &err), err);
    assert_succeeds(sidecar_config_reload(&live, &fresh, &err), err);
    sidecar_config_diff(&live, &fresh, &now, &later);
    assert_int_equal(now.count + later.count, 0);
    sidecar_config_done(&fresh);
    char *text = expand(
        "identity: {instance: sql1}\nsql:\n  passwordFile: @/pw\n  port: 1999\nlog: {level: debug, format: logfmt}\n"
        "policy: {retentionDays: 3, overrides: [{databases: [a]}]}\n");
    write_file("c.yaml", text);
    mem_free(text);
    write_file("pw", "n3w");
    assert_succeeds(sidecar_config_reload(&live, &fresh, &err), err);
    sidecar_config_diff(&live, &fresh, &now, &later);
    assert_int_equal(later.count, 1);
    assert_string_equal(later.items[0], "sql.port");
    assert_true(conf_list_has(&now, "log.level") && conf_list_has(&now, "policy.retentionDays") &&
                conf_list_has(&now, "policy.overrides") && conf_list_has(&now, "sql.password"));
    assert_false(conf_list_has(&now, "log.format")); /* the flag still beats the file */
    sidecar_config_adopt(&live, &fresh);
    assert_int_equal(live.sql.port, 1433);
    assert_int_equal(live.log.level, LOG_DEBUG);
    assert_int_equal(live.policy.rules.retention_days, 3);
    assert_string_equal(secret_text(live.sql.password), "n3w");
    assert_true(live.policy_given);
    sidecar_config_done(&fresh);
    /* a bad file changes nothing */
    write_file("c.yaml", "identity: {instance: sql1}\nsql: {port: x}\n");
    assert_fails(sidecar_config_reload(&live, &fresh, &err), err, ERR_CONFIG, "c.yaml:2: sql.port: 'x'");
    conf_list_done(&now);
    conf_list_done(&later);
    sidecar_config_done(&live);
    write_file("pw", "s3cret-of-file\n");
}

typedef void name_fn(const char *path, struct buf *out);

static void env_of(const char *path, struct buf *out) {
    conf_key_env(SIDECAR_ENV, path, out);
}

/* Two keys with one name would make one of them unreachable, unless they are spellings of the same. */
static void names_are_unique(void **state) {
    (void)state;
    name_fn *const makers[] = {env_of, conf_key_flag};
    const struct conf_schema *const schemas[] = {&sidecar_schema, &policy_schema};
    for (int m = 0; m < 2; m++) {
        struct conf_list names = {0};
        const struct conf_key *keys[512];
        for (int s = 0; s < 2; s++) {
            for (size_t i = 0; i < schemas[s]->count; i++) {
                const struct conf_key *key = keys[names.count] = &schemas[s]->keys[i];
                char path[256];
                struct buf out;
                buf_init(&out, 512);
                str_format(path, sizeof(path), "%s%s", s ? "policy." : "", key->path);
                makers[m](path, &out);
                for (size_t k = 0; k < names.count; k++)
                    if (!strcmp(names.items[k], out.data) && (keys[k]->offset != key->offset || keys[k]->kind != key->kind))
                        fail_msg("%s is the name of two keys", out.data);
                conf_list_add(&names, out.data);
                buf_done(&out);
            }
        }
        assert_true(names.count > 80 && names.count < ARRAY_LEN(keys));
        conf_list_done(&names);
    }
}

static void every_default_is_good(void **state) {
    (void)state;
    for (size_t i = 0; i < sidecar_schema.count; i++) {
        const struct conf_key *key = &sidecar_schema.keys[i];
        struct sidecar_config c = {0};
        struct err err;
        if (!key->fallback)
            continue;
        assert_succeeds(conf_keys_set(&sidecar_schema, &c, "default", "", key->path, key->fallback, &err), err);
        conf_keys_done(&sidecar_schema, &c);
    }
}

static void the_reference_is_up_to_date(void **state) {
    (void)state;
    struct buf out;
    struct err err;
    char *text;
    size_t len;
    const char *data = getenv("TEST_DATA");
    assert_non_null(data);
    char *path = mem_printf("%s/../../docs/reference/configuration.md", data);
    buf_init(&out, 1 << 20);
    sidecar_config_reference(&out);
    assert_succeeds(file_read_all(path, 1 << 20, &text, &len, &err), err);
    if (strcmp(text, out.data) != 0)
        fail_msg("run mssql-sidecar --config-reference > docs/reference/configuration.md");
    for (size_t i = 0; i < sidecar_schema.count; i++)
        assert_true(sidecar_schema.keys[i].kind == CONF_REFUSED || strstr(out.data, sidecar_schema.keys[i].path));
    buf_reset(&out);
    sidecar_config_help(&out);
    assert_non_null(strstr(out.data, "--sql-password-file"));
    assert_null(strstr(out.data, "--sql-password "));
    buf_done(&out);
    mem_free(text);
    mem_free(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(flags_beat_environment_beats_file),
        cmocka_unit_test(actions),
        cmocka_unit_test(bad_command_lines),
        cmocka_unit_test(bad_files),
        cmocka_unit_test(warnings),
        cmocka_unit_test(what_is_printed_can_be_loaded),
        cmocka_unit_test(reload),
        cmocka_unit_test(names_are_unique),
        cmocka_unit_test(every_default_is_good),
        cmocka_unit_test(the_reference_is_up_to_date),
    };
    return cmocka_run_group_tests_name("sidecar/config", tests, setup, teardown);
}
