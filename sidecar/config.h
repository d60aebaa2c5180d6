/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sidecar's configuration: flags > environment (MSSQL_SIDECAR_*) > one YAML file > defaults. Every key is a
 * row of the tables in config_keys.c and common/policy/policy_keys.c; the reference in docs/ is printed from them.
 */
#ifndef MSSQL_SIDECAR_CONFIG_H
#define MSSQL_SIDECAR_CONFIG_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/secret.h"
#include "common/conf/keys.h"
#include "common/policy/policy.h"

#define SIDECAR_CONFIG_FILE "/etc/mssql-sidecar/config.yaml"
#define SIDECAR_ENV "MSSQL_SIDECAR_"

/* What the command line asks for. */
enum sidecar_action {
    SIDECAR_RUN,
    SIDECAR_CHECK_CONFIG, /* --check-config: load, say "configuration is good", exit 0 */
    SIDECAR_PRINT_CONFIG, /* --print-config: what holds, as YAML, secrets as *** */
    SIDECAR_CONFIG_REFERENCE, /* --config-reference: Markdown */
    SIDECAR_PREPARE, /* --prepare DIR...: makes folders on volumes, see prepare.h */
    SIDECAR_LIST_STEPS, /* --list-steps: names of the durable steps */
    SIDECAR_VERSION,
    SIDECAR_HELP,
};

enum sidecar_encryption { SIDECAR_ENCRYPT_OFF, SIDECAR_ENCRYPT_REQUEST, SIDECAR_ENCRYPT_REQUIRE };

struct sidecar_sql_config {
    char *host;
    int64_t port;
    char *user;
    char *password_file;
    char *admin_user; /* NULL: no admin login */
    char *admin_password_file;
    enum sidecar_encryption encryption;
    char *ca_file;
    bool check_hostname;
    int64_t login_timeout_ms;
    int64_t progress_timeout_ms; /* BACKUP or RESTORE without progress for so long is given up */
    struct secret *password; /* from the file or the environment */
    struct secret *admin_password; /* NULL without an admin login */
};

struct sidecar_config {
    struct sidecar_sql_config sql;
    struct {
        char *namespace_name, *instance;
        char *cluster; /* NULL: made at first start */
    } identity;
    struct {
        char *staging; /* as this program sees it */
        char *staging_server; /* as SQL Server sees it; never NULL after loading */
        char *state;
        char *data_volume; /* NULL: not mounted here */
    } paths;
    struct {
        char *url; /* file:///path or /path */
        char *path; /* the directory of url */
        char *prefix; /* "" none */
        bool adopt;
    } store;
    struct {
        int64_t quota_bytes, floor_bytes; /* 0: chosen from the volume's size */
        int64_t reserve_bytes;
    } staging;
    struct {
        char *listen; /* unix:///path or host:port */
        char *tls_cert, *tls_key, *tls_client_ca;
        int64_t max_message_bytes, max_streams, max_connections;
    } grpc;
    struct {
        char *listen; /* host:port */
        int64_t max_connections;
        char *prestop_listen; /* host:port; NULL: as listen */
    } http;
    struct {
        char *address; /* host:port or unix:///path; NULL: no controller */
        char *ca_file, *server_name, *token_file;
        bool plaintext;
        char *release;
        char *fetch_address; /* NULL: no other sidecar can fetch from this one */
    } controller;
    struct {
        enum log_level level;
        enum log_format format;
    } log;
    struct {
        int64_t sql_workers, store_workers, queue, journal_entries;
        int64_t fetch_bytes_per_s; /* 0: no limit */
        int64_t retry_min_ms, retry_max_ms; /* backoff of connections and of the store */
        int64_t restore_clear_ms; /* most that a restore waits for before it begins to change something */
    } limits;
    struct {
        int64_t grace_ms, prestop_ms, resume_ms, leave_ms;
    } shutdown;
    char *umask_text;
    int64_t umask;
    struct policy policy;
    bool policy_given; /* the file has a policy: section */

    enum sidecar_action action;
    struct conf_list prepare; /* of SIDECAR_PREPARE */
    char *file; /* NULL: none was read */
    struct conf_list warnings;
    /* Flags and variables as given, for reload. */
    struct conf_list flag_args, env_args;
    struct secret *env_password, *env_admin_password;
};

/*
 * Parses argv (argv[0] is the program) and env ("NAME=value", NULL-terminated; pass environ), reads the file and
 * the secrets, checks everything. Passwords are removed from env. ERR_USAGE for the command line, else ERR_CONFIG
 * or ERR_UNSUPPORTED. For the actions that need no configuration (prepare, reference, steps, version, help) only
 * `action` and `prepare` are set. On failure nothing is left to free.
 */
int sidecar_config_load(int argc, char *const *argv, char **env, struct sidecar_config *ret_config, struct err *err) ERR_CHECK;
/* The same sources again: the file and the secret files are read anew. */
int sidecar_config_reload(const struct sidecar_config *old, struct sidecar_config *ret_config, struct err *err) ERR_CHECK;
void sidecar_config_done(struct sidecar_config *config);

/* Keys that differ. `reload` takes effect at once; `restart` names what needs a restart and keeps its old value
 * until then. A changed password is "sql.password". */
void sidecar_config_diff(const struct sidecar_config *old, const struct sidecar_config *new_config, struct conf_list *reload,
                         struct conf_list *restart);
/* After a reload: takes what can change at run time (policy and passwords included) from `fresh` into `live`;
 * `fresh` gets the old values and is the caller's to free. Rules that policy_for_database() gave before are
 * `fresh`'s then. */
void sidecar_config_adopt(struct sidecar_config *live, struct sidecar_config *fresh);
/* YAML that can be loaded again; secrets are not in it. */
void sidecar_config_print(const struct sidecar_config *config, struct buf *out);
void sidecar_config_reference(struct buf *out);
void sidecar_config_help(struct buf *out);

extern const struct conf_schema sidecar_schema;

#endif
