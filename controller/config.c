/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/conf/emit.h"

static const struct {
    const char *flag;
    enum controller_action action;
} actions[] = {
    {"--check-config", CONTROLLER_CHECK_CONFIG},
    {"--print-config", CONTROLLER_PRINT_CONFIG},
    {"--config-reference", CONTROLLER_CONFIG_REFERENCE},
    {"--version", CONTROLLER_VERSION},
    {"--help", CONTROLLER_HELP},
    {"-h", CONTROLLER_HELP},
};

typedef void name_fn(const char *path, struct buf *out);

static void env_name(const char *path, struct buf *out) {
    conf_key_env(CONTROLLER_ENV, path, out);
}

/* The key whose name, made by `name_of`, is `name`; else *ret_near (mem_free() it) is what may have been meant. */
static const struct conf_key *key_named(name_fn *name_of, const char *name, char **ret_near) {
    const struct conf_key *found = NULL;
    const char *names[64] = {0};
    char *owned[64];
    size_t n = 0;
    for (size_t i = 0; i < controller_schema.count && !found && n < ARRAY_LEN(names); i++) {
        struct buf text;
        buf_init(&text, 512);
        name_of(controller_schema.keys[i].path, &text);
        names[n] = owned[n] = buf_take(&text);
        if (!strcmp(names[n++], name))
            found = &controller_schema.keys[i];
    }
    const char *near = found ? NULL : str_nearest(name, names, n);
    *ret_near = near ? mem_strdup(near) : NULL;
    for (size_t i = 0; i < n; i++)
        mem_free(owned[i]);
    return found;
}

/* Kubernetes puts variables of each Service into a container: one named mssql-controller makes names like ours. */
static bool of_kubernetes(const char *variable) {
    const char *value = strchr(variable, '=');
    _cleanup_free_ char *name = mem_strndup(variable, (size_t)(value - variable));
    return str_ends(name, "_SERVICE_HOST") || strstr(name, "_SERVICE_PORT") || strstr(name, "_PORT_") ||
           str_starts(value + 1, "tcp://");
}

static void read_env(struct controller_config *config, char *const *env) {
    for (; env && *env; env++) {
        if (!str_starts(*env, CONTROLLER_ENV) || !strchr(*env, '='))
            continue;
        if (str_starts(*env, CONTROLLER_ENV "CONFIG=")) {
            mem_free(config->file);
            config->file = mem_strdup(*env + strlen(CONTROLLER_ENV "CONFIG="));
        } else if (!of_kubernetes(*env)) {
            conf_list_add(&config->env_args, *env);
        }
    }
}

static int read_args(struct controller_config *config, int argc, char *const *argv, struct err *err) {
    for (int i = 1; i < argc; i++) {
        const char *value = strchr(argv[i], '=');
        bool taken = false;
        for (size_t a = 0; a < ARRAY_LEN(actions) && !taken; a++) {
            taken = !strcmp(argv[i], actions[a].flag);
            if (taken && config->action != CONTROLLER_RUN)
                return err_set(err, ERR_USAGE, "%s: only one action can be asked for at a time", argv[i]);
            if (taken)
                config->action = actions[a].action;
        }
        if (taken)
            continue;
        if (!str_starts(argv[i], "--") || !argv[i][2])
            return err_set(err, ERR_USAGE, "'%.80s' is not understood, see --help", argv[i]);
        _cleanup_free_ char *name = mem_strndup(argv[i], value ? (size_t)(value - argv[i]) : strlen(argv[i]));
        if (!value && i + 1 >= argc)
            return err_set(err, ERR_USAGE, "%.80s: the value is missing", argv[i]);
        value = value ? value + 1 : argv[++i];
        if (!strcmp(name, "--config")) {
            mem_free(config->file);
            config->file = mem_strdup(value);
        } else {
            conf_list_addf(&config->flag_args, "%s=%s", name, value);
        }
    }
    return 0;
}

static int apply_list(struct controller_config *config, const struct conf_list *list, name_fn *name_of, const char *what,
                      enum err_class class, struct err *err) {
    for (size_t i = 0; i < list->count; i++) {
        const char *value = strchr(list->items[i], '=') + 1;
        _cleanup_free_ char *name = mem_strndup(list->items[i], (size_t)(value - list->items[i]) - 1);
        _cleanup_free_ char *origin = mem_printf("%s%s", what, name), *near = NULL;
        const struct conf_key *key = key_named(name_of, name, &near);
        if (!key)
            return err_set(err, class, "%s: unknown%s%s%s", origin, near ? ", did you mean " : "", near ? near : "",
                           near ? "?" : "");
        if (conf_keys_set(&controller_schema, config, origin, "", key->path, value, err) < 0) {
            if (err)
                err->class = class;
            return -1;
        }
    }
    return 0;
}

/* The default file may be missing; one that was named may not. */
static int read_file(struct controller_config *config, struct err *err) {
    struct conf_doc doc;
    char *text;
    size_t len;
    if (!config->file) {
        if (!file_exists(CONTROLLER_CONFIG_FILE))
            return 0;
        config->file = mem_strdup(CONTROLLER_CONFIG_FILE);
    }
    if (file_read_all(config->file, CONF_BYTES_MAX, &text, &len, err) < 0) {
        if (err && err->class != ERR_LIMIT)
            err->class = ERR_CONFIG;
        return err_context(err, "configuration");
    }
    int rc = conf_parse_yaml(config->file, text, len, &doc, err);
    mem_free(text);
    if (rc < 0)
        return -1;
    rc = doc.root ? conf_keys_apply(&controller_schema, config, config->file, "", doc.root, err) : 0;
    conf_doc_done(&doc);
    return rc;
}

static int compare(const struct controller_config *config, struct err *err) {
    if (!config->grpc.tls_cert != !config->grpc.tls_key)
        return err_set(err, ERR_CONFIG, "grpc.tls.%s: missing: certificate and key belong together",
                       config->grpc.tls_cert ? "key" : "cert");
    if (config->kube.context && !config->kube.kubeconfig)
        return err_set(err, ERR_CONFIG, "kube.context: needs kube.kubeconfig");
    if (conf_list_has(&config->namespaces, "*") && config->namespaces.count > 1)
        return err_set(err, ERR_CONFIG, "namespaces: * stands alone");
    return 0;
}

int controller_config_load(int argc, char *const *argv, char *const *env, struct controller_config *ret_config, struct err *err) {
    struct controller_config config = {0};
    read_env(&config, env);
    int rc = read_args(&config, argc, argv, err);
    conf_keys_defaults(&controller_schema, &config);
    bool needed = config.action <= CONTROLLER_PRINT_CONFIG;
    if (rc == 0 && needed)
        rc = read_file(&config, err);
    if (rc == 0 && needed)
        rc = apply_list(&config, &config.env_args, env_name, "environment variable ", ERR_CONFIG, err);
    if (rc == 0 && needed)
        rc = apply_list(&config, &config.flag_args, conf_key_flag, "flag ", ERR_USAGE, err);
    if (rc == 0 && needed)
        rc = compare(&config, err);
    if (rc < 0) {
        controller_config_done(&config);
        return -1;
    }
    *ret_config = config;
    return 0;
}

void controller_config_done(struct controller_config *config) {
    conf_keys_done(&controller_schema, config);
    mem_free(config->file);
    conf_list_done(&config->flag_args);
    conf_list_done(&config->env_args);
    *config = (struct controller_config){0};
}

void controller_config_print(const struct controller_config *config, struct buf *out) {
    (void)buf_printf(out, "# what holds, from %s, environment and flags\n", config->file ? config->file : "no file");
    conf_emit_yaml(&controller_schema, config, out, 0, NULL);
}

void controller_config_reference(struct buf *out) {
    (void)buf_puts(
        out,
        "<!-- Printed by `mssql-controller --config-reference`; a test compares. Change the table in the code, not this file. "
        "-->\n"
        "# Configuration of mssql-controller\n\n"
        "One YAML file, `" CONTROLLER_CONFIG_FILE "` unless `--config FILE` or `" CONTROLLER_ENV
        "CONFIG` names another. A key of the "
        "table\nstands in the file as nested maps (`grpc.listen` is `listen` in `grpc`). Each key can also be set by its "
        "environment "
        "variable, or by a\nflag: `trust.jwksFile` is `--trust-jwks-file`. Flags beat the environment, that beats the file, that "
        "beats the defaults. A list in a\nvariable or flag is separated by commas. A change needs a restart; certificates and "
        "tokens "
        "are read again by themselves.\n\n"
        "`mssql-controller --check-config` says whether a configuration is good, `--print-config` what holds. The words after\n"
        "`--bootstrap` are those of the chart's hook that makes missing Secrets, those after `--prove` of its test.\n\n");
    conf_emit_reference(&controller_schema, "", CONTROLLER_ENV, out);
}

void controller_config_help(struct buf *out) {
    (void)buf_puts(out, "usage: mssql-controller [--config FILE] [--KEY VALUE]...\n"
                        "       mssql-controller --bootstrap ...\n\n"
                        "Reconciles the custom resources of SQL Server backups with what the sidecars report.\n\n"
                        "  --config FILE        configuration (" CONTROLLER_CONFIG_FILE ")\n"
                        "  --check-config       read and check the configuration, then exit\n"
                        "  --print-config       print what holds, then exit\n"
                        "  --config-reference   print every key with its default (Markdown)\n"
                        "  --bootstrap          make missing Secrets, then exit: for the chart's hook\n"
                        "  --prove ...          prove that an instance can be restored, then exit: for `helm test`\n"
                        "  --version, --help\n");
}
