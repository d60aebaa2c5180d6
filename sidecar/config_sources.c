/* SPDX-License-Identifier: Apache-2.0 */
/* Command line and environment. */
#include <ctype.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "sidecar/config_int.h"

#define FLAGS_MAX 512

static const struct {
    const char *flag;
    enum sidecar_action action;
} actions[] = {
    {"--check-config", SIDECAR_CHECK_CONFIG},
    {"--print-config", SIDECAR_PRINT_CONFIG},
    {"--config-reference", SIDECAR_CONFIG_REFERENCE},
    {"--prepare", SIDECAR_PREPARE},
    {"--list-steps", SIDECAR_LIST_STEPS},
    {"--version", SIDECAR_VERSION},
    {"--help", SIDECAR_HELP},
    {"-h", SIDECAR_HELP},
};

/* All keys that can be set by name: schema, prefix of its paths, the struct. */
struct group {
    const struct conf_schema *schema;
    const char *prefix;
    void *object;
};

static void groups_of(struct sidecar_config *config, struct group groups[2]) {
    groups[0] = (struct group){&sidecar_schema, "", config};
    groups[1] = (struct group){&policy_schema, "policy.", &config->policy};
}

typedef void name_fn(const char *path, struct buf *out);

static void env_name(const char *path, struct buf *out) {
    conf_key_env(SIDECAR_ENV, path, out);
}

/* The key whose name, made by `name_of`, is `name` (len bytes). */
static const struct conf_key *key_named(struct group groups[2], name_fn *name_of, const char *name, size_t len,
                                        struct group *ret_group) {
    const struct conf_key *found = NULL;
    struct buf text;
    buf_init(&text, 512);
    for (int g = 0; g < 2 && !found; g++) {
        for (size_t i = 0; i < groups[g].schema->count && !found; i++) {
            const struct conf_key *key = &groups[g].schema->keys[i];
            char path[256];
            (void)str_format(path, sizeof(path), "%s%s", groups[g].prefix, key->path);
            buf_reset(&text);
            name_of(path, &text);
            if (key->kind != CONF_OWN && text.len == len && !memcmp(text.data, name, len)) {
                found = key;
                *ret_group = groups[g];
            }
        }
    }
    buf_done(&text);
    return found;
}

/* The nearest name to suggest, as heap text; NULL when none is near. */
static char *nearest_name(struct group groups[2], name_fn *name_of, const char *name) {
    char *best = NULL;
    for (int g = 0; g < 2; g++) {
        for (size_t i = 0; i < groups[g].schema->count; i++) {
            const struct conf_key *key = &groups[g].schema->keys[i];
            char path[256];
            struct buf text;
            if (key->kind == CONF_OWN || key->kind == CONF_REFUSED)
                continue;
            (void)str_format(path, sizeof(path), "%s%s", groups[g].prefix, key->path);
            buf_init(&text, 512);
            name_of(path, &text);
            const char *const pair[] = {text.data, best};
            const char *near = str_nearest(name, pair, best ? 2 : 1);
            if (near && near != best) {
                mem_free(best);
                best = buf_take(&text);
            }
            buf_done(&text);
        }
    }
    return best;
}

/* Kubernetes puts variables of every Service of the namespace into a container. One named mssql-sidecar-* makes
 * names like ours: X_SERVICE_HOST, X_SERVICE_PORT[_NAME], X_PORT=tcp://..., X_PORT_1433_TCP[_ADDR|_PORT|_PROTO]. */
static bool of_kubernetes(const char *variable) {
    const char *value = strchr(variable, '=');
    size_t len = (size_t)(value - variable);
    _cleanup_free_ char *name = mem_strndup(variable, len);
    if (str_ends(name, "_SERVICE_HOST") || strstr(name, "_SERVICE_PORT"))
        return true;
    if (str_starts(value + 1, "tcp://") || str_starts(value + 1, "udp://") || str_starts(value + 1, "sctp://"))
        return true;
    const char *port = strstr(name, "_PORT_");
    return port && isdigit((unsigned char)port[6]);
}

static void take_secret(char *variable, struct secret **ret_secret) {
    char *value = strchr(variable, '=') + 1;
    secret_free(*ret_secret);
    *ret_secret = secret_new(value, strlen(value)); /* NULL when empty: not given */
    explicit_bzero(value, strlen(value)); /* readable in /proc otherwise */
}

void sidecar_sources_wipe(char **env) {
    for (; env && *env; env++)
        if (str_starts(*env, SIDECAR_ENV_PASSWORD "=") || str_starts(*env, SIDECAR_ENV_ADMIN_PASSWORD "="))
            explicit_bzero(strchr(*env, '=') + 1, strlen(strchr(*env, '=') + 1));
}

static int read_env(struct sidecar_config *config, char **env) {
    for (; env && *env; env++) {
        if (!str_starts(*env, SIDECAR_ENV) || !strchr(*env, '='))
            continue;
        if (str_starts(*env, SIDECAR_ENV_PASSWORD "="))
            take_secret(*env, &config->env_password);
        else if (str_starts(*env, SIDECAR_ENV_ADMIN_PASSWORD "="))
            take_secret(*env, &config->env_admin_password);
        else if (str_starts(*env, SIDECAR_ENV_CONFIG "=")) {
            mem_free(config->file);
            config->file = mem_strdup(*env + strlen(SIDECAR_ENV_CONFIG "="));
        } else if (!of_kubernetes(*env))
            conf_list_add(&config->env_args, *env);
    }
    return 0;
}

/* "--name=value" or "--name value" as one item "name=value" without the dashes' ambiguity. */
static int read_flag(struct sidecar_config *config, int argc, char *const *argv, int *index, struct err *err) {
    const char *arg = argv[*index];
    if (!str_starts(arg, "--") || !arg[2])
        return err_set(err, ERR_USAGE, "'%.80s' is not understood, see --help", arg);
    const char *value = strchr(arg, '=');
    size_t len = value ? (size_t)(value - arg) : strlen(arg);
    struct group groups[2], group;
    groups_of(config, groups);
    bool config_flag = len == strlen("--config") && !strncmp(arg, "--config", len);
    bool wait_flag = len == strlen("--wait-for-config") &&
                     !strncmp(arg, "--wait-for-config", len); /* main's, see config_wait.h */
    const struct conf_key *key = config_flag || wait_flag ? NULL : key_named(groups, conf_key_flag, arg, len, &group);
    if (!config_flag && !wait_flag && !key) {
        _cleanup_free_ char *name = mem_strndup(arg, len);
        _cleanup_free_ char *near = nearest_name(groups, conf_key_flag, name);
        return err_set(err, ERR_USAGE, "%.80s: unknown flag%s%s%s, see --help", name, near ? ", did you mean " : "",
                       near ? near : "", near ? "?" : "");
    }
    if (key && key->kind == CONF_REFUSED)
        return err_set(err, ERR_USAGE, "%.*s is not accepted: %s", (int)len, arg, key->doc);
    if (!value) {
        if (*index + 1 >= argc)
            return err_set(err, ERR_USAGE, "%s: the value is missing", arg);
        value = argv[++*index];
    } else {
        value++;
    }
    if (config_flag) {
        mem_free(config->file);
        config->file = mem_strdup(value);
    } else if (!wait_flag) {
        conf_list_addf(&config->flag_args, "%.*s=%s", (int)len, arg, value);
    }
    return 0;
}

int sidecar_sources_read(struct sidecar_config *config, int argc, char *const *argv, char **env, struct err *err) {
    if (read_env(config, env) < 0)
        return -1;
    for (int i = 1; i < argc; i++) {
        bool taken = false;
        for (size_t a = 0; a < ARRAY_LEN(actions) && !taken; a++) {
            if (strcmp(argv[i], actions[a].flag) != 0)
                continue;
            taken = true;
            if (config->action != SIDECAR_RUN && config->action != actions[a].action)
                return err_set(err, ERR_USAGE, "%s: only one of these actions can be asked for at a time", argv[i]);
            config->action = actions[a].action;
        }
        if (i >= FLAGS_MAX)
            return err_set(err, ERR_USAGE, "more than %d arguments", FLAGS_MAX);
        if (!taken && config->action == SIDECAR_PREPARE && !str_starts(argv[i], "-")) {
            conf_list_add(&config->prepare, argv[i]);
            taken = true;
        }
        if (!taken && read_flag(config, argc, argv, &i, err) < 0)
            return -1;
    }
    if (config->action == SIDECAR_PREPARE && !config->prepare.count)
        return err_set(err, ERR_USAGE, "--prepare: which folders? See --help");
    return 0;
}

/* `item` is NAME=VALUE. */
static int apply_one(struct sidecar_config *config, const char *item, name_fn *name_of, const char *what, struct err *err) {
    struct group groups[2], group;
    groups_of(config, groups);
    const char *value = strchr(item, '=') + 1;
    size_t len = (size_t)(value - item) - 1;
    _cleanup_free_ char *name = mem_strndup(item, len);
    _cleanup_free_ char *origin = mem_printf("%s%s", what, name);
    const struct conf_key *key = key_named(groups, name_of, item, len, &group);
    if (!key) {
        _cleanup_free_ char *near = nearest_name(groups, name_of, name);
        return err_set(err, ERR_CONFIG, "%s: unknown%s%s%s", origin, near ? ", did you mean " : "", near ? near : "",
                       near ? "?" : "");
    }
    return conf_keys_set(group.schema, group.object, origin, group.prefix, key->path, value, err);
}

int sidecar_sources_apply(struct sidecar_config *config, struct err *err) {
    for (size_t i = 0; i < config->env_args.count; i++)
        if (apply_one(config, config->env_args.items[i], env_name, "environment variable ", err) < 0)
            return -1;
    for (size_t i = 0; i < config->flag_args.count; i++) {
        if (apply_one(config, config->flag_args.items[i], conf_key_flag, "flag ", err) < 0) {
            if (err && err->class == ERR_CONFIG)
                err->class = ERR_USAGE;
            return -1;
        }
    }
    return 0;
}
