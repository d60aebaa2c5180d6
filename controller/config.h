/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The controller's configuration: flags > environment (MSSQL_CONTROLLER_*) > one YAML file > defaults. Every key is a row of the
 * table in config_keys.c; the reference in docs/ is printed from it.
 */
#ifndef MSSQL_CONTROLLER_CONFIG_H
#define MSSQL_CONTROLLER_CONFIG_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/conf/keys.h"

#define CONTROLLER_CONFIG_FILE "/etc/mssql-controller/config.yaml"
#define CONTROLLER_ENV "MSSQL_CONTROLLER_"

enum controller_action {
    CONTROLLER_RUN,
    CONTROLLER_CHECK_CONFIG,
    CONTROLLER_PRINT_CONFIG,
    CONTROLLER_CONFIG_REFERENCE,
    CONTROLLER_VERSION,
    CONTROLLER_HELP,
};

struct controller_config {
    struct {
        char *kubeconfig, *context; /* NULL: the pod's own account */
        int64_t qps, burst;
    } kube;
    struct {
        char *namespace_name; /* of the controller; NULL: that of the login */
        char *name; /* of this replica; NULL: POD_NAME, else the host's name */
        char *address; /* host:port that sidecars reach this replica at; NULL: POD_IP and the first port of grpc.listen */
    } identity;
    struct conf_list namespaces; /* empty: identity.namespace; "*": all */
    char *lease;
    struct {
        struct conf_list listen;
        char *tls_cert, *tls_key;
        int64_t max_sessions;
    } grpc;
    struct {
        char *listen;
    } http;
    struct {
        char *issuer, *audience, *jwks_file;
    } trust;
    struct conf_list callers; /* of the service Fleet: namespace/serviceaccount */
    struct {
        char *service_domain;
        bool enabled;
    } provisioning;
    struct {
        int64_t heartbeat_ms, reconnect_ms, missing_ms, no_progress_ms;
    } waits;
    struct {
        enum log_level level;
        enum log_format format;
    } log;

    enum controller_action action;
    char *file; /* NULL: none was read */
    struct conf_list flag_args, env_args; /* NAME=VALUE as given */
};

/* argv[0] is the program; env as environ. ERR_USAGE for the command line, else ERR_CONFIG. On failure nothing is left to free. */
int controller_config_load(int argc, char *const *argv, char *const *env, struct controller_config *ret_config,
                           struct err *err) ERR_CHECK;
void controller_config_done(struct controller_config *config);
void controller_config_print(const struct controller_config *config, struct buf *out);
void controller_config_reference(struct buf *out);
void controller_config_help(struct buf *out);

extern const struct conf_schema controller_schema;

#endif
