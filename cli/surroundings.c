/* SPDX-License-Identifier: Apache-2.0 */
/* The world of a restore in this process: options of the command line to what the engine wants. */
#include "cli/surroundings.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/offline.h"
#include "cli/origin.h"
#include "cli/restore.h"
#include "common/base/fault.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define PASSWORD_ENV "MSSQLCTL_SQL_PASSWORD"

/* A signal handler has no other way to know it. */
static atomic_bool cancelled;

static void on_signal(int number) {
    atomic_store(&cancelled, true);
    signal(number, SIG_DFL); /* the second time at once */
}

static const char *value(const struct cli *cli, const char *name) {
    return cli_value(&cli->args, name);
}

/* ---- options that are values ---- */

int surroundings_required(const struct cli *cli, const char *name, const char **ret_value, struct err *err) {
    const char *v = value(cli, name);
    if (!v || !*v) {
        err_set(err, ERR_USAGE, "a restore from a store needs %s", name);
        return err_hint(err, "'%s help %s' shows an example", cli->program, cli->args.command->name);
    }
    *ret_value = v;
    return 0;
}

/* "LOCAL" or "LOCAL:SERVERPATH"; "C:\..." on the server has a colon of its own. */
static int read_staging(struct surroundings *s, struct err *err) {
    const char *text = NULL;
    if (surroundings_required(s->cli, "--staging", &text, err) < 0)
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
    if (surroundings_required(s->cli, "--server", &text, err) < 0)
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

static int open_store(struct surroundings *s, enum surroundings_tails tails, struct err *err) {
    struct store_options reading = {.read_only = true}, writing = {.writer = "mssqlctl"};
    struct err why;
    const char *url = value(s->cli, "--store");
    if (store_open(url, &reading, &s->store, err) < 0 || offline_scope(s->cli, s->store, s->scope, err) < 0 ||
        source_store_open(s->store, s->scope, 0, &s->source, err) < 0)
        return -1;
    err_clear(&why);
    if (tails == SURROUNDINGS_SHIP_TAILS && store_open(url, &writing, &s->writable, &why) < 0)
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

int surroundings_open(struct surroundings *s, struct cli *cli, enum surroundings_tails tails, struct err *err) {
    *s = (struct surroundings){.cli = cli};
    const char *state = value(cli, "--state");
    uint64_t staging_bytes = 0;
    if (fault_init(err) < 0 || read_staging(s, err) < 0 || read_server(s, err) < 0 ||
        read_bytes(cli, "--staging-size", &staging_bytes, err) < 0 || open_store(s, tails, err) < 0 || open_sql(s, err) < 0)
        return -1;
    s->bars = restore_bars_new(cli);
    s->env = (struct restore_env){
        .sql = &s->sql,
        .source = s->source,
        .scope = s->scope,
        .journal_dir = state ? state : s->staging_local,
        .staging_local = s->staging_local,
        .staging_server = s->staging_server,
        .staging_bytes = staging_bytes,
        .program_version = MSSQLCTL_VERSION,
        .ship_tail = s->writable || tails == SURROUNDINGS_PRETEND_TAILS ? ship_tail : NULL,
        .progress = on_progress,
        .log = on_log,
        .cancel = &cancelled,
        .user = s,
    };
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    return 0;
}

void surroundings_close(struct surroundings *s) {
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
