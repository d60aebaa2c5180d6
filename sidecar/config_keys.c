/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of the sidecar's file, without the policy: common/policy/policy_keys.c has those. */
#include <ctype.h>
#include <stddef.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/guid.h"
#include "common/base/str.h"
#include "common/net/address.h"
#include "sidecar/config_int.h"

static const char *const encryption_words[] = {"off", "request", "require", NULL};
static const char *const level_words[] = {"debug", "info", "warn", "error", NULL};
static const char *const format_words[] = {"logfmt", "json", NULL};

static int check_path(const char *text, struct err *err) {
    const char *why = NULL;
    if (*text != '/')
        why = "is not an absolute path";
    else if (strstr(text, "/../") || str_ends(text, "/.."))
        why = "goes up with '..'";
    else if (strlen(text) > 1024)
        why = "is longer than 1024 bytes";
    else if (!str_is_clean_utf8(text, strlen(text)))
        why = "has control characters";
    return why ? err_set(err, ERR_CONFIG, "'%.200s' %s, allowed: a path such as /var/opt/mssql/backup-staging", text, why) : 0;
}

static int check_url(const char *text, struct err *err) {
    static const char *const later[] = {"s3://", "gs://", "azblob://", "https://", "http://"};
    for (size_t i = 0; i < ARRAY_LEN(later); i++)
        if (str_starts(text, later[i]))
            return err_set(err, ERR_UNSUPPORTED,
                           "'%.200s': this version does not have object stores, allowed: file:///PATH or /PATH", text);
    if (*text == '/' || str_starts(text, "file:///"))
        return check_path(*text == '/' ? text : text + strlen("file://"), err);
    return err_set(err, ERR_CONFIG, "'%.200s' is not a store, allowed: file:///PATH or /PATH", text);
}

static int check_prefix(const char *text, struct err *err) {
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-/";
    if (*text == '/' || text[strspn(text, set)] || strstr(text, "..") || strstr(text, "//") || strlen(text) > 200)
        return err_set(err, ERR_CONFIG,
                       "'%.200s' is not a prefix, allowed: letters, digits, '_', '.', '-' and single '/' between them", text);
    return 0;
}

/* Names of Kubernetes objects: they become directories of the store. */
static int check_name(const char *text, struct err *err) {
    size_t len = strlen(text);
    bool good = len >= 1 && len <= 253 && isalnum((unsigned char)text[0]) && isalnum((unsigned char)text[len - 1]) &&
                !text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789.-")];
    if (!good)
        return err_set(err, ERR_CONFIG,
                       "'%.200s' is not a name, allowed: lower-case letters, digits, '-' and '.' between them, at most 253",
                       text);
    return 0;
}

static int check_cluster(const char *text, struct err *err) {
    struct guid guid;
    return guid_parse(text, &guid)
               ? 0
               : err_set(err, ERR_CONFIG,
                         "'%.200s' is not a cluster id, allowed: a GUID such as 27FF333C-DB84-4AFF-B8CB-684D06418EF6", text);
}

static int check_host(const char *text, struct err *err) {
    if (!*text || strlen(text) > 253 || text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:")])
        return err_set(err, ERR_CONFIG, "'%.200s' is not a host, allowed: a name or an address, without port", text);
    return 0;
}

static int check_login(const char *text, struct err *err) {
    if (!*text || strlen(text) > 128 || !str_is_clean_utf8(text, strlen(text)))
        return err_set(err, ERR_CONFIG, "'%.140s' is not a login name, allowed: 1 to 128 characters", text);
    return 0;
}

static int check_listen(const char *text, struct err *err) {
    struct address address;
    return address_parse(text, &address, err);
}

static int check_listen_http(const char *text, struct err *err) {
    struct address address;
    if (address_parse(text, &address, err) < 0)
        return -1;
    return address.is_unix ? err_set(err, ERR_CONFIG, "'%.200s' is a Unix socket, allowed: host:port", text) : 0;
}

static int check_umask(const char *text, struct err *err) {
    size_t len = strlen(text);
    if (len < 3 || len > 4 || text[strspn(text, "01234567")] || (len == 4 && *text != '0'))
        return err_set(err, ERR_CONFIG, "'%.40s' is not a file mode mask, allowed: three octal digits, such as 027", text);
    return 0;
}

#define AT(field) offsetof(struct sidecar_config, field)
#define MINUTE_MS 60000
#define HOUR_MS (60 * MINUTE_MS)

static const struct conf_key keys[] = {
    {"sql.host", CONF_TEXT, 0, AT(sql.host), "127.0.0.1", .check = check_host, .allowed = "a name or an address",
     .doc = "where SQL Server listens"},
    {"sql.port", CONF_INT, 0, AT(sql.port), "1433", 1, 65535, .doc = "its port"},
    {"sql.user", CONF_TEXT, 0, AT(sql.user), "mssql_sidecar", .check = check_login, .allowed = "1 to 128 characters",
     .doc = "login for backups, with the least rights"},
    {"sql.passwordFile", CONF_TEXT, 0, AT(sql.password_file), .check = check_path, .allowed = "an absolute path",
     .doc = "file with its password, read again on reload; or the variable " SIDECAR_ENV_PASSWORD},
    {"sql.adminUser", CONF_TEXT, 0, AT(sql.admin_user), .check = check_login, .allowed = "1 to 128 characters",
     .doc = "login that may make and grant the first one; none: missing rights are only reported"},
    {"sql.adminPasswordFile", CONF_TEXT, 0, AT(sql.admin_password_file), .check = check_path, .allowed = "an absolute path",
     .doc = "file with its password; or the variable " SIDECAR_ENV_ADMIN_PASSWORD},
    {"sql.encryption", CONF_ENUM, 0, AT(sql.encryption), "request", .words = encryption_words,
     .doc = "TLS to SQL Server: off, request (when the server has it), require"},
    {"sql.caFile", CONF_TEXT, 0, AT(sql.ca_file), .check = check_path, .allowed = "an absolute path",
     .doc = "roots that the server's certificate must lead to"},
    {"sql.checkHostname", CONF_BOOL, 0, AT(sql.check_hostname), "true",
     .doc = "with caFile: the certificate must be for sql.host"},
    {"sql.loginTimeout", CONF_DURATION, 0, AT(sql.login_timeout_ms), "15s", 1000, 5 * MINUTE_MS, .doc = "time for a login"},
    {"sql.progressTimeout", CONF_DURATION, 0, AT(sql.progress_timeout_ms), "10m", 10000, 24 * HOUR_MS,
     .doc = "a BACKUP that makes no progress for so long is given up"},
    {"identity.namespace", CONF_TEXT, 0, AT(identity.namespace_name), "default", .check = check_name,
     .allowed = "lower-case letters, digits, - and .", .doc = "namespace of the instance"},
    {"identity.instance", CONF_TEXT, CONF_REQUIRED, AT(identity.instance), .check = check_name,
     .allowed = "lower-case letters, digits, - and .", .doc = "name of the instance"},
    {"identity.cluster", CONF_TEXT, 0, AT(identity.cluster), .check = check_cluster, .allowed = "a GUID",
     .doc = "id of the cluster; none: a random one, made at first start and kept in paths.state"},
    {"paths.staging", CONF_TEXT, 0, AT(paths.staging), "/var/opt/mssql/backup-staging", .check = check_path,
     .allowed = "an absolute path", .doc = "where SQL Server writes backups to, as the sidecar sees it"},
    {"paths.stagingServerPath", CONF_TEXT, 0, AT(paths.staging_server), .check = check_path, .allowed = "an absolute path",
     .doc = "the same directory as SQL Server sees it; none: the same path"},
    {"paths.state", CONF_TEXT, 0, AT(paths.state), "/var/lib/mssql-sidecar", .check = check_path, .allowed = "an absolute path",
     .doc = "journal, catalog and pushed policy; must survive restarts"},
    {"paths.dataVolume", CONF_TEXT, 0, AT(paths.data_volume), .check = check_path, .allowed = "an absolute path",
     .doc = "a directory on SQL Server's data volume, to know whether the store is on another one; none: that of paths.staging"},
    {"store.url", CONF_TEXT, 0, AT(store.url), "file:///backup-store", .check = check_url, .allowed = "file:///PATH or /PATH",
     .doc = "where backups go"},
    {"store.prefix", CONF_TEXT, 0, AT(store.prefix), .check = check_prefix, .allowed = "a relative path",
     .doc = "put before every name in the store"},
    {"store.adopt", CONF_BOOL, 0, AT(store.adopt), "false",
     .doc = "take over a store that belongs to another sidecar or cluster; for one start, when the other one is gone for good"},
    {"staging.quota", CONF_BYTES, CONF_RELOAD, AT(staging.quota_bytes), "0", 0, 0,
     .doc = "most that staged backups may take; 0: the smaller of 40 % of the volume and the free space less the floor"},
    {"staging.floor", CONF_BYTES, CONF_RELOAD, AT(staging.floor_bytes), "0", 0, 0,
     .doc = "free space of the volume that backups never touch; 0: the larger of 10 % and 2Gi"},
    {"staging.reserve", CONF_BYTES, 0, AT(staging.reserve_bytes), "64Mi", 0, INT64_C(1) << 40,
     .doc = "size of a file that is given up for a log backup when the disk is full"},
    {"grpc.listen", CONF_TEXT, 0, AT(grpc.listen), "unix:///run/mssql-sidecar/sidecar.sock", .check = check_listen,
     .allowed = "unix:///PATH or host:port", .doc = "where the gRPC service listens; beyond loopback only with TLS"},
    {"grpc.tls.cert", CONF_TEXT, 0, AT(grpc.tls_cert), .check = check_path, .allowed = "an absolute path",
     .doc = "certificate chain (PEM)"},
    {"grpc.tls.key", CONF_TEXT, 0, AT(grpc.tls_key), .check = check_path, .allowed = "an absolute path", .doc = "its key (PEM)"},
    {"grpc.tls.clientCa", CONF_TEXT, 0, AT(grpc.tls_client_ca), .check = check_path, .allowed = "an absolute path",
     .doc = "clients must show a certificate that leads to these roots"},
    {"grpc.maxMessageSize", CONF_BYTES, 0, AT(grpc.max_message_bytes), "1Mi", 65536, 16 << 20, .doc = "largest request"},
    {"grpc.maxStreams", CONF_INT, 0, AT(grpc.max_streams), "32", 1, 1000, .doc = "calls at a time on one connection"},
    {"grpc.maxConnections", CONF_INT, 0, AT(grpc.max_connections), "64", 1, 10000, .doc = "connections at a time"},
    {"http.listen", CONF_TEXT, 0, AT(http.listen), "127.0.0.1:9187", .check = check_listen_http, .allowed = "host:port",
     .doc = "/metrics, /healthz, /readyz, /status, /prestop"},
    {"http.maxConnections", CONF_INT, 0, AT(http.max_connections), "64", 4, 10000, .doc = "connections at a time"},
    {"http.prestopListen", CONF_TEXT, 0, AT(http.prestop_listen), NULL, .check = check_listen_http, .allowed = "host:port",
     .doc = "/prestop here only, for example on a port that a NetworkPolicy closes: the kubelet reaches it all the same"},
    {"controller.address", CONF_TEXT, 0, AT(controller.address), .check = check_listen, .allowed = "host:port or unix:///PATH",
     .doc = "the controller to connect to; none: no controller, and no policy that one has pushed before"},
    {"controller.caFile", CONF_TEXT, 0, AT(controller.ca_file), "/var/run/secrets/mssql-controller/ca.crt", .check = check_path,
     .allowed = "an absolute path", .doc = "roots that its certificate must lead to (PEM), read at each connection"},
    {"controller.serverName", CONF_TEXT, 0, AT(controller.server_name), .check = check_host, .allowed = "a name",
     .doc = "name that its certificate must have; none: the host of controller.address"},
    {"controller.tokenFile", CONF_TEXT, 0, AT(controller.token_file), "/var/run/secrets/mssql-controller/token",
     .check = check_path, .allowed = "an absolute path",
     .doc = "token of the pod's service account for the audience of the controller, read again when it is renewed"},
    {"controller.plaintext", CONF_BOOL, 0, AT(controller.plaintext), "false", .doc = "without TLS; loopback addresses only"},
    {"controller.release", CONF_TEXT, 0, AT(controller.release), .check = check_name,
     .allowed = "lower-case letters, digits, - and .", .doc = "release of the chart, for people"},
    {"controller.fetchAddress", CONF_TEXT, 0, AT(controller.fetch_address), .check = check_listen_http, .allowed = "host:port",
     .doc =
         "where other sidecars reach grpc.listen to fetch backups for a restore, as the controller tells them; needs grpc.tls"},
    {"log.level", CONF_ENUM, CONF_RELOAD, AT(log.level), "info", .words = level_words, .doc = "least level that is written"},
    {"log.format", CONF_ENUM, CONF_RELOAD, AT(log.format), "logfmt", .words = format_words, .doc = "form of a line"},
    {"limits.sqlWorkers", CONF_INT, 0, AT(limits.sql_workers), "4", 2, 64, .doc = "threads that talk to SQL Server"},
    {"limits.storeWorkers", CONF_INT, 0, AT(limits.store_workers), "2", 1, 32,
     .doc = "threads that ship log backups to the store; as many again ship data backups"},
    {"limits.fetchBytesPerSecond", CONF_BYTES, 0, AT(limits.fetch_bytes_per_s), "0", 0, 0,
     .doc = "most that is read from the store for restores elsewhere (FetchBackup), all of them together; 0: no limit"},
    {"limits.queue", CONF_INT, 0, AT(limits.queue), "1024", 16, 100000, .doc = "work that may wait for a thread"},
    {"limits.journalEntries", CONF_INT, 0, AT(limits.journal_entries), "2048", 16, 65536,
     .doc =
         "backups in the journal at a time, 4 KiB each; when half of them are taken, staged ones are kept by their drafts alone. "
         "Decided when the journal is made"},
    {"limits.retryMin", CONF_DURATION, 0, AT(limits.retry_min_ms), "1s", 10, HOUR_MS,
     .doc = "first wait before something that failed is tried again"},
    {"limits.retryMax", CONF_DURATION, 0, AT(limits.retry_max_ms), "1m", 10, 24 * HOUR_MS, .doc = "longest such wait"},
    {"limits.restoreClear", CONF_DURATION, 0, AT(limits.restore_clear_ms), "30m", 1000, 7 * 24 * HOUR_MS,
     .doc = "a restore that has changed nothing yet is given up when backups of its databases, the server or the store keep it "
            "waiting "
            "so long"},
    {"shutdown.grace", CONF_DURATION, 0, AT(shutdown.grace_ms), "20s", 0, HOUR_MS,
     .doc = "on SIGTERM staged backups are shipped for at most so long"},
    {"shutdown.leaveAfter", CONF_DURATION, 0, AT(shutdown.leave_ms), "20s", 100, HOUR_MS,
     .doc = "after that, work that hangs (a volume that does not answer) is left so long later; the next start finds it as after "
            "a crash"},
    {"shutdown.prestop", CONF_DURATION, 0, AT(shutdown.prestop_ms), "20s", 0, HOUR_MS,
     .doc = "/prestop takes last log backups for at most so long"},
    {"shutdown.resumeAfter", CONF_DURATION, 0, AT(shutdown.resume_ms), "15m", 1000, 24 * HOUR_MS,
     .doc = "when SQL Server was not stopped so long after /prestop, backups go on"},
    {"umask", CONF_TEXT, 0, AT(umask_text), "027", .check = check_umask, .allowed = "three octal digits",
     .doc = "file mode mask of the process"},
    {"policy", CONF_OWN, CONF_RELOAD, 0, .doc = "the policy while no controller has pushed one, see below"},
    {"sql.password", CONF_REFUSED, 0, 0,
     .doc = "passwords do not belong here, use sql.passwordFile or the variable " SIDECAR_ENV_PASSWORD},
    {"sql.adminPassword", CONF_REFUSED, 0, 0,
     .doc = "passwords do not belong here, use sql.adminPasswordFile or the variable " SIDECAR_ENV_ADMIN_PASSWORD},
};

const struct conf_schema sidecar_schema = {keys, ARRAY_LEN(keys), NULL, 0};
