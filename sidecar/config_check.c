/* SPDX-License-Identifier: Apache-2.0 */
/* Values compared with each other, and what follows from them. */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/net/address.h"
#include "sidecar/config_int.h"

#define FAIL(path, ...) conf_keys_fail(err, config->file, root, NULL, path, __VA_ARGS__)

static int check_sql(const struct sidecar_config *config, const struct conf_node *root, struct err *err) {
    const struct sidecar_sql_config *sql = &config->sql;
    if (!sql->host)
        return FAIL("sql.host", "is empty");
    if (!sql->user)
        return FAIL("sql.user", "is empty");
    if (sql->ca_file && sql->encryption != SIDECAR_ENCRYPT_REQUIRE)
        return FAIL("sql.caFile", "has no effect without sql.encryption: require");
    bool admin_password = sql->admin_password_file || config->env_admin_password;
    if (sql->admin_user && !admin_password)
        return FAIL("sql.adminUser",
                    "'%s' has no password: give sql.adminPasswordFile or the variable " SIDECAR_ENV_ADMIN_PASSWORD,
                    sql->admin_user);
    if (!sql->admin_user && admin_password)
        return FAIL("sql.adminUser", "is missing, and a password for it is given");
    if (!sql->password_file && !config->env_password)
        return FAIL("sql.passwordFile", "is missing: give it or the variable " SIDECAR_ENV_PASSWORD);
    return 0;
}

static int check_grpc(const struct sidecar_config *config, const struct conf_node *root, struct err *err) {
    struct address address;
    if (!config->grpc.listen)
        return FAIL("grpc.listen", "is empty");
    if (address_parse(config->grpc.listen, &address, err) < 0)
        return err_context(err, "grpc.listen");
    if (!config->grpc.tls_cert != !config->grpc.tls_key)
        return FAIL(config->grpc.tls_cert ? "grpc.tls.cert" : "grpc.tls.key",
                    "is given without grpc.tls.%s, allowed: both or none", config->grpc.tls_cert ? "key" : "cert");
    if (config->grpc.tls_client_ca && !config->grpc.tls_cert)
        return FAIL("grpc.tls.clientCa", "has no effect without grpc.tls.cert and grpc.tls.key");
    if (!address.is_loopback && !config->grpc.tls_cert)
        return FAIL(
            "grpc.listen",
            "'%s' can be reached from other machines and has no TLS, allowed: a Unix socket, a loopback address, or grpc.tls",
            config->grpc.listen);
    return config->http.listen ? 0 : FAIL("http.listen", "is empty");
}

static int check_controller(const struct sidecar_config *config, const struct conf_node *root, struct err *err) {
    struct address address;
    if (!config->controller.address)
        return 0;
    if (address_parse(config->controller.address, &address, err) < 0)
        return err_context(err, "controller.address");
    if (!address.is_unix && (!address.host[0] || !address.port))
        return FAIL("controller.address", "'%s' needs a host and a port", config->controller.address);
    if (config->controller.plaintext && !address.is_loopback)
        return FAIL("controller.plaintext", "is for loopback addresses: '%s' is another machine", config->controller.address);
    if (!config->controller.token_file)
        return FAIL("controller.tokenFile", "is empty: the controller asks for a token");
    if (config->controller.fetch_address && !config->grpc.tls_cert)
        return FAIL("controller.fetchAddress", "has no effect without grpc.tls.cert and grpc.tls.key");
    return 0;
}

/* Is `inner` the directory `outer` or below it? */
static bool path_within(const char *inner, const char *outer) {
    size_t len = strlen(outer);
    while (len > 1 && outer[len - 1] == '/')
        len--;
    return !strncmp(inner, outer, len) && (!inner[len] || inner[len] == '/' || len == 1);
}

static int check_paths(struct sidecar_config *config, const struct conf_node *root, struct err *err) {
    if (!config->paths.staging || !config->paths.state || !config->store.url)
        return FAIL(!config->paths.staging ? "paths.staging" : !config->paths.state ? "paths.state" : "store.url", "is empty");
    if (!config->paths.staging_server)
        config->paths.staging_server = mem_strdup(config->paths.staging);
    if (!config->store.prefix)
        config->store.prefix = mem_strdup("");
    const char *path = config->store.url + (*config->store.url == '/' ? 0 : strlen("file://"));
    config->store.path = mem_strdup(path);
    if (path_within(path, config->paths.staging) || path_within(config->paths.staging, path))
        return FAIL("store.url", "'%s' and paths.staging '%s' lie in each other, allowed: separate directories",
                    config->store.url, config->paths.staging);
    if (path_within(config->paths.state, config->paths.staging))
        return FAIL("paths.state", "'%s' lies in paths.staging, where SQL Server may write, allowed: a directory of its own",
                    config->paths.state);
    return 0;
}

static int check_rest(struct sidecar_config *config, const struct conf_node *root, struct err *err) {
    if (config->limits.retry_min_ms > config->limits.retry_max_ms)
        return FAIL("limits.retryMin", "is longer than limits.retryMax");
    if (!config->umask_text)
        return FAIL("umask", "is empty");
    config->umask = strtol(config->umask_text, NULL, 8);
    if (config->policy.max_concurrent > config->limits.sql_workers - 1)
        conf_list_addf(
            &config->warnings,
            "policy.maxConcurrentBackups is larger than limits.sqlWorkers allows: one worker is kept for other statements");
    return 0;
}

int sidecar_config_check(struct sidecar_config *config, const struct conf_node *root, struct err *err) {
    if (conf_keys_required(&sidecar_schema, config, config->file, err) < 0)
        return -1;
    if (check_sql(config, root, err) < 0 || check_grpc(config, root, err) < 0 || check_paths(config, root, err) < 0 ||
        check_controller(config, root, err) < 0)
        return -1;
    return check_rest(config, root, err);
}
