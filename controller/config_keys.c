/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/net/address.h"
#include "controller/config.h"

static const char *const level_words[] = {"debug", "info", "warn", "error", NULL};
static const char *const format_words[] = {"logfmt", "json", NULL};

static int check_path(const char *text, struct err *err) {
    bool good = *text == '/' && strlen(text) <= 1024 && str_is_clean_utf8(text, strlen(text));
    return good ? 0 : err_set(err, ERR_CONFIG, "'%.200s' is not an absolute path", text);
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

static bool is_name(const char *text, size_t max) {
    size_t len = strlen(text);
    return len >= 1 && len <= max && text[0] != '-' && text[len - 1] != '-' &&
           !text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789.-")];
}

static int check_name(const char *text, struct err *err) {
    return is_name(text, 253) ? 0 : err_set(err, ERR_CONFIG, "'%.200s' is not the name of an object", text);
}

static int check_namespace(const char *text, struct err *err) {
    return is_name(text, 63) || !strcmp(text, "*") ? 0
                                                   : err_set(err, ERR_CONFIG, "'%.200s' is not the name of a namespace", text);
}

static int check_caller(const char *text, struct err *err) {
    const char *slash = strchr(text, '/');
    return slash && slash != text && slash[1] && !strchr(slash + 1, '/')
               ? 0
               : err_set(err, ERR_CONFIG, "'%.200s' is not a service account, allowed: namespace/name", text);
}

#define AT(field) offsetof(struct controller_config, field)
#define MINUTE_MS 60000
#define HOUR_MS (60 * MINUTE_MS)

static const struct conf_key keys[] = {
    {"kube.kubeconfig", CONF_TEXT, 0, AT(kube.kubeconfig), .check = check_path, .allowed = "an absolute path",
     .doc = "kubeconfig of the cluster; none: the pod's own account"},
    {"kube.context", CONF_TEXT, 0, AT(kube.context), .doc = "context in it; none: the current one"},
    {"kube.qps", CONF_INT, 0, AT(kube.qps), "20", 1, 1000, .doc = "requests to the API server a second"},
    {"kube.burst", CONF_INT, 0, AT(kube.burst), "40", 1, 2000, .doc = "requests at once after a quiet time"},
    {"identity.namespace", CONF_TEXT, 0, AT(identity.namespace_name), .check = check_name, .allowed = "a namespace",
     .doc = "where the controller keeps its own objects; none: the namespace of its login"},
    {"identity.name", CONF_TEXT, 0, AT(identity.name), .check = check_name, .allowed = "a name",
     .doc = "of this replica; none: the variable POD_NAME, else the name of the host"},
    {"identity.address", CONF_TEXT, 0, AT(identity.address), .check = check_listen, .allowed = "host:port",
     .doc = "where sidecars reach this replica when it leads; none: the variable POD_IP and the port of grpc.listen"},
    {"namespaces", CONF_TEXTS, 0, AT(namespaces), .check = check_namespace, .allowed = "a list of namespaces, or *",
     .doc = "where instances are looked after; none: identity.namespace"},
    {"lease", CONF_TEXT, 0, AT(lease), "mssql-controller", .check = check_name, .allowed = "a name",
     .doc = "the Lease that says which replica leads"},
    {"grpc.listen", CONF_TEXTS, 0, AT(grpc.listen), "127.0.0.1:8443", .check = check_listen,
     .allowed = "a list of host:port or unix:///path",
     .doc = "sidecars and callers of the service Fleet; beyond loopback with TLS only"},
    {"grpc.tls.cert", CONF_TEXT, 0, AT(grpc.tls_cert), .check = check_path, .allowed = "an absolute path",
     .doc = "certificate, read again when it changes"},
    {"grpc.tls.key", CONF_TEXT, 0, AT(grpc.tls_key), .check = check_path, .allowed = "an absolute path",
     .doc = "its private key"},
    {"grpc.maxSessions", CONF_INT, 0, AT(grpc.max_sessions), "12000", 1, 100000, .doc = "sidecars at a time"},
    {"http.listen", CONF_TEXT, 0, AT(http.listen), "127.0.0.1:9188", .check = check_listen_http, .allowed = "host:port",
     .doc = "/metrics, /healthz, /readyz"},
    {"trust.issuer", CONF_TEXT, 0, AT(trust.issuer),
     .doc = "issuer of service account tokens; none: that of the controller's own token"},
    {"trust.audience", CONF_TEXT, 0, AT(trust.audience), "mssql-controller",
     .doc = "audience that the tokens of sidecars must have"},
    {"trust.jwksFile", CONF_TEXT, 0, AT(trust.jwks_file), .check = check_path, .allowed = "an absolute path",
     .doc = "keys of the issuer; none: the API server is asked"},
    {"callers", CONF_TEXTS, 0, AT(callers), .check = check_caller, .allowed = "a list of namespace/serviceaccount",
     .doc = "who may use the service Fleet; none: nobody"},
    {"provisioning.enabled", CONF_BOOL, 0, AT(provisioning.enabled), "false",
     .doc = "instances may be made for restores. Needs rights on StatefulSets, Services, claims and Secrets"},
    {"provisioning.serviceDomain", CONF_TEXT, 0, AT(provisioning.service_domain), "cluster.local", .check = check_name,
     .allowed = "a domain", .doc = "of Services in this cluster"},
    {"waits.heartbeat", CONF_DURATION, 0, AT(waits.heartbeat_ms), "30s", 1000, 10 * MINUTE_MS,
     .doc = "between two signs of life of a sidecar; three missing ones end its session"},
    {"waits.reconnect", CONF_DURATION, 0, AT(waits.reconnect_ms), "60s", 0, HOUR_MS,
     .doc = "so long a sidecar may be away before its conditions become Unknown"},
    {"waits.missing", CONF_DURATION, 0, AT(waits.missing_ms), "2m", 0, 24 * HOUR_MS,
     .doc = "so long something that a backup or restore names may be missing before it fails"},
    {"waits.noProgress", CONF_DURATION, 0, AT(waits.no_progress_ms), "10m", 1000, 24 * HOUR_MS,
     .doc = "so long a backup or restore may give no sign before it fails"},
    {"log.level", CONF_ENUM, 0, AT(log.level), "info", .words = level_words, .doc = "least severe line that is written"},
    {"log.format", CONF_ENUM, 0, AT(log.format), "logfmt", .words = format_words, .doc = "of the log on stderr"},
};

const struct conf_schema controller_schema = {keys, ARRAY_LEN(keys), NULL, 0};
