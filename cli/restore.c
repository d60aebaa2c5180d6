/* SPDX-License-Identifier: Apache-2.0 */
/* restore: a database at any moment, from the store alone. */
#include "cli/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/offline.h"
#include "cli/origin.h"
#include "common/base/fault.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/base/str.h"
#include "common/net/address.h"

#define PASSWORD_ENV "MSSQLCTL_SQL_PASSWORD"

/* A signal handler has no other way to know it. */
static atomic_bool cancelled;

struct surroundings {
    struct cli *cli;
    struct store *store; /* read only */
    struct store *writable; /* for tails; NULL: none can be shipped */
    char scope[NAME_SCOPE_MAX];
    struct source *source;
    struct address server;
    struct sql_params sql;
    struct secret *password;
    char *staging_local, *staging_server;
    char *runtime; /* a directory of this run, for the driver */
    bool sql_up;
    struct restore_bars *bars;
    struct restore_env env;
};

static void on_signal(int number) {
    atomic_store(&cancelled, true);
    signal(number, SIG_DFL); /* the second time at once */
}

static const char *value(const struct cli *cli, const char *name) {
    return cli_value(&cli->args, name);
}

/* ---- options that are values ---- */

static int required(const struct cli *cli, const char *name, const char **ret_value, struct err *err) {
    const char *v = value(cli, name);
    if (!v || !*v) {
        err_set(err, ERR_USAGE, "a restore from a store needs %s", name);
        return err_hint(err, "'%s help restore' shows an example", cli->program);
    }
    *ret_value = v;
    return 0;
}

/* "LOCAL" or "LOCAL:SERVERPATH"; "C:\..." on the server has a colon of its own. */
static int read_staging(struct surroundings *s, struct err *err) {
    const char *text = NULL;
    if (required(s->cli, "--staging", &text, err) < 0)
        return -1;
    const char *colon = strchr(text, ':');
    s->staging_local = colon ? mem_strndup(text, (size_t)(colon - text)) : mem_strdup(text);
    s->staging_server = mem_strdup(colon && colon[1] ? colon + 1 : s->staging_local);
    if (s->staging_local[0] != '/')
        return err_set(err, ERR_USAGE, "--staging: '%s' must be an absolute path", s->staging_local);
    if (access(s->staging_local, R_OK | W_OK | X_OK) < 0)
        return err_os(err, ERR_CONFIG, errno, "--staging: '%s' cannot be written", s->staging_local);
    size_t len = strlen(s->staging_server);
    while (len > 1 && s->staging_server[len - 1] == '/')
        s->staging_server[--len] = 0;
    return 0;
}

static int read_server(struct surroundings *s, struct err *err) {
    const char *text = NULL, *file = value(s->cli, "--password-file"), *encrypt = value(s->cli, "--encrypt");
    if (required(s->cli, "--server", &text, err) < 0)
        return -1;
    const char *colon = strrchr(text, ':');
    bool has_port = colon && !str_ends(text, "]");
    _cleanup_free_ char *whole = mem_printf("%s%s", text, has_port ? "" : ":1433");
    if (address_parse(whole, &s->server, err) < 0)
        return err_context(err, "--server");
    if (s->server.is_unix || !s->server.host[0])
        return err_set(err, ERR_USAGE, "--server takes HOST or HOST:PORT, not '%s'", text);
    s->sql = (struct sql_params){.host = s->server.host,
                                 .port = (uint16_t)s->server.port,
                                 .user = value(s->cli, "--user"),
                                 .app = "mssqlctl",
                                 .ca_file = value(s->cli, "--sql-ca")};
    s->sql.encryption = !strcmp(encrypt, "off")       ? SQL_ENCRYPTION_OFF
                        : !strcmp(encrypt, "require") ? SQL_ENCRYPTION_REQUIRE
                                                      : SQL_ENCRYPTION_REQUEST;
    s->sql.check_hostname = s->sql.ca_file != NULL;
    if (file && secret_read_file(file, &s->password, err) < 0)
        return err_context(err, "--password-file");
    if (!file)
        s->password = secret_take_env(PASSWORD_ENV);
    if (!s->password) {
        err_set(err, ERR_USAGE, "the password of '%s' is needed: --password-file, or " PASSWORD_ENV " in the environment",
                s->sql.user);
        return err_hint(err, "A password on a command line would be seen by everybody");
    }
    s->sql.password = s->password;
    return 0;
}

static int read_bytes(const struct cli *cli, const char *name, uint64_t *ret_bytes, struct err *err) {
    const char *text = value(cli, name);
    if (text && !str_to_bytes(text, ret_bytes))
        return err_set(err, ERR_USAGE, "%s: '%s' is no size such as 20Gi", name, text);
    return 0;
}

/* ---- the request ---- */

static int add_moves(const struct cli *cli, struct restore_wish *wish, struct err *err) {
    for (size_t i = 0; i < cli->args.given_count; i++) {
        const struct cli_given *g = &cli->args.given[i];
        if (strcmp(g->option->name, "--move") != 0)
            continue;
        const char *equals = strchr(g->value, '=');
        if (!equals || equals == g->value || !equals[1])
            return err_set(err, ERR_USAGE, "--move takes LOGICAL=PATH, not '%s'", g->value);
        _cleanup_free_ char *logical = mem_strndup(g->value, (size_t)(equals - g->value));
        restore_wish_add_move(wish, logical, equals + 1);
    }
    return 0;
}

static int add_wishes(const struct cli *cli, struct restore_request *r, struct err *err) {
    for (size_t i = 0; i < cli->args.given_count; i++)
        if (!strcmp(cli->args.given[i].option->name, "--database"))
            (void)restore_request_add_wish(r, cli->args.given[i].value, NULL);
    for (size_t i = 0; i < cli->args.word_count; i++)
        (void)restore_request_add_wish(r, cli->args.words[i], NULL);
    bool one_only = cli_given(&cli->args, "--as") || cli_given(&cli->args, "--move");
    if (one_only && r->wish_count != 1)
        return err_set(err, ERR_USAGE, "--as and --move belong to exactly one --database");
    if (!one_only)
        return 0;
    if (value(cli, "--as"))
        restore_request_set(&r->wishes[0].as, value(cli, "--as"));
    return add_moves(cli, &r->wishes[0], err);
}

static int add_numbers(const struct cli *cli, struct restore_request *r, struct err *err) {
    uint64_t parallel = 0;
    if (!str_to_u64(value(cli, "--parallel"), RESTORE_PARALLEL_MAX, &parallel) || !parallel)
        return err_set(err, ERR_USAGE, "--parallel: '%s' is no number from 1 to %d", value(cli, "--parallel"),
                       RESTORE_PARALLEL_MAX);
    r->parallel = (unsigned)parallel;
    return cli_duration_ms("--stuck-after", value(cli, "--stuck-after"), &r->stuck_after_ms, err);
}

static int make_request(const struct surroundings *s, struct restore_request *r, struct err *err) {
    const struct cli *cli = s->cli;
    const struct cli_args *a = &cli->args;
    const char *token = value(cli, "--acknowledge-data-loss"), *to = NULL;
    if (required(cli, "--to", &to, err) < 0 || chain_target_parse(to, &r->target, err) < 0 || add_wishes(cli, r, err) < 0 ||
        add_numbers(cli, r, err) < 0 || restore_id_make(r->id, cli->now, err) < 0)
        return -1;
    if (cli_given(a, "--leave-restoring") && cli_given(a, "--standby"))
        return err_set(err, ERR_USAGE, "--leave-restoring and --standby exclude each other");
    r->finish = cli_given(a, "--leave-restoring") ? RESTORE_FINISH_RESTORING
                : cli_given(a, "--standby")       ? RESTORE_FINISH_STANDBY
                                                  : RESTORE_FINISH_RECOVER;
    restore_request_set(&r->scope, s->scope);
    restore_request_set(&r->standby_dir, value(cli, "--standby"));
    restore_request_set(&r->data_dir, value(cli, "--data-dir"));
    restore_request_set(&r->log_dir, value(cli, "--log-dir"));
    r->keep_cdc = cli_given(a, "--keep-cdc");
    r->keep_replication = cli_given(a, "--keep-replication");
    r->reapply_options = cli_given(a, "--reapply-options");
    r->check = cli_given(a, "--check");
    r->requested_at = cli->now;
    if (token && !str_copy(r->token, sizeof(r->token), token))
        return err_set(err, ERR_USAGE, "--acknowledge-data-loss: that is no token");
    return 0;
}

/* ---- surroundings ---- */

static int ship_tail(void *user, const struct restore_tail *tail, struct err *err) {
    struct surroundings *s = user;
    return restore_ship_tail(s->writable, s->scope, tail, err);
}

static void on_progress(void *user, const struct restore_progress *progress) {
    struct surroundings *s = user;
    restore_bars_update(s->bars, progress);
}

static void on_log(void *user, const char *restore_id, const char *database, const char *text) {
    struct surroundings *s = user;
    (void)restore_id;
    restore_bars_say(s->bars, database, text);
}

static int open_store(struct surroundings *s, struct err *err) {
    struct store_options reading = {.read_only = true}, writing = {.writer = "mssqlctl"};
    struct err why;
    const char *url = value(s->cli, "--store");
    if (store_open(url, &reading, &s->store, err) < 0 || offline_scope(s->cli, s->store, s->scope, err) < 0 ||
        source_store_open(s->store, s->scope, 0, &s->source, err) < 0)
        return -1;
    err_clear(&why);
    if (!cli_given(&s->cli->args, "--dry-run") && store_open(url, &writing, &s->writable, &why) < 0)
        origin_note(s->cli, "the store cannot be written, so no tail of a log can be kept there: %s", why.text);
    return 0;
}

static int open_sql(struct surroundings *s, struct err *err) {
    const char *tmp = s->cli->io->env("TMPDIR");
    s->runtime = mem_printf("%s/mssqlctl-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(s->runtime)) {
        int reason = errno;
        err_os(err, ERR_NONE, reason, "creating a directory like '%s'", s->runtime);
        mem_free(s->runtime);
        s->runtime = NULL;
        return -1;
    }
    if (sql_global_init(s->runtime, err) < 0)
        return -1;
    s->sql_up = true;
    return 0;
}

static int surroundings_open(struct surroundings *s, struct err *err) {
    const struct cli *cli = s->cli;
    const char *state = value(cli, "--state");
    uint64_t staging_bytes = 0;
    if (fault_init(err) < 0 || read_staging(s, err) < 0 || read_server(s, err) < 0 ||
        read_bytes(cli, "--staging-size", &staging_bytes, err) < 0 || open_store(s, err) < 0 || open_sql(s, err) < 0)
        return -1;
    s->bars = restore_bars_new(cli);
    s->env = (struct restore_env){
        .sql = &s->sql,
        .source = s->source,
        .journal_dir = state ? state : s->staging_local,
        .staging_local = s->staging_local,
        .staging_server = s->staging_server,
        .staging_bytes = staging_bytes,
        .program_version = MSSQLCTL_VERSION,
        .ship_tail = s->writable || cli_given(&cli->args, "--dry-run") ? ship_tail : NULL,
        .progress = on_progress,
        .log = on_log,
        .cancel = &cancelled,
        .user = s,
    };
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    return 0;
}

static void surroundings_close(struct surroundings *s) {
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    if (s->sql_up)
        sql_global_done();
    if (s->runtime)
        rmdir(s->runtime);
    if (s->bars)
        restore_bars_free(s->bars);
    source_free(s->source);
    store_free(s->store);
    store_free(s->writable);
    secret_free(s->password);
    mem_free(s->runtime);
    mem_free(s->staging_local);
    mem_free(s->staging_server);
}

/* ---- the command ---- */

/* The databases are what counts: a journal that stays is only told. */
static void forget(struct surroundings *s, const char *id) {
    struct err why;
    err_clear(&why);
    if (restore_forget(&s->env, id, &why) < 0)
        origin_note(s->cli, "%s", why.text);
}

static int run(struct surroundings *s, struct restore_report *report, struct err *err) {
    const struct cli *cli = s->cli;
    const char *id = value(cli, "--resume");
    struct restore_request request;
    bool dry = cli_given(&cli->args, "--dry-run");
    if (id) {
        if (dry || cli_given(&cli->args, "--to") || cli_given(&cli->args, "--database") || cli->args.word_count)
            return err_set(err, ERR_USAGE, "--resume goes on with what was asked for: no target, databases or dry run with it");
        return restore_resume(&s->env, id, report, err);
    }
    restore_request_init(&request);
    int rc = make_request(s, &request, err);
    if (rc == 0)
        rc = dry ? restore_prepare(&s->env, &request, report, err) : restore_run(&s->env, &request, report, err);
    restore_request_done(&request);
    return rc;
}

static int restore_offline(struct cli *cli, struct err *err) {
    struct surroundings s = {.cli = cli};
    struct restore_report report = {0};
    int rc = surroundings_open(&s, err);
    if (rc == 0)
        rc = run(&s, &report, err);
    if (rc == 0 && !report.dry_run)
        forget(&s, report.id);
    if (s.bars) {
        restore_bars_free(s.bars);
        s.bars = NULL;
    }
    if (report.id[0])
        restore_print(cli, &report);
    restore_report_done(&report);
    surroundings_close(&s);
    return rc;
}

int cmd_restore(struct cli *cli, struct err *err) {
    if (cli_given(&cli->args, "--store"))
        return restore_offline(cli, err);
    return restore_remote(cli, err);
}

int cmd_steps(struct cli *cli, struct err *err) {
    size_t count;
    const char *const *points = restore_fault_points(&count);
    (void)err;
    for (size_t i = 0; i < count; i++)
        fprintf(cli->io->out, "%s\n", points[i]);
    return 0;
}
