/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/config.h"

#include <string.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "sidecar/config_int.h"

static void doc_cleanup(struct conf_doc *doc) {
    conf_doc_done(doc);
}

/* The default file may be missing; one that was named may not. */
static int read_file(struct sidecar_config *config, struct conf_doc *ret_doc, struct err *err) {
    bool named = config->file != NULL;
    char *text;
    size_t len;
    if (!named) {
        if (!file_exists(SIDECAR_CONFIG_FILE))
            return 0;
        config->file = mem_strdup(SIDECAR_CONFIG_FILE);
    }
    if (file_read_all(config->file, CONF_BYTES_MAX, &text, &len, err) < 0) {
        if (err && err->class != ERR_LIMIT)
            err->class = ERR_CONFIG;
        return err_context(err, "configuration");
    }
    int rc = conf_parse_yaml(config->file, text, len, ret_doc, err);
    mem_free(text);
    return rc;
}

static int read_secret(const char *path, const char *key, const struct secret *from_env, struct secret **ret_secret,
                       struct err *err) {
    if (from_env) {
        *ret_secret = secret_dup(from_env);
        return 0;
    }
    if (!path)
        return 0;
    if (secret_read_file(path, ret_secret, err) == 0)
        return 0;
    if (err)
        err->class = ERR_CONFIG;
    return err_context(err, "%s", key);
}

static int apply_all(struct sidecar_config *config, struct conf_doc *doc, struct err *err) {
    const struct conf_node *policy = conf_child(doc->root, "policy");
    const char *file = config->file;
    if (doc->root && conf_keys_apply(&sidecar_schema, config, file, "", doc->root, err) < 0)
        return -1;
    config->policy_given = policy != NULL;
    if (policy_apply(&config->policy, file, "policy.", policy, err) < 0 || sidecar_sources_apply(config, err) < 0)
        return -1;
    /* once more, for what variables and flags changed below them */
    if (policy_apply_overrides(&config->policy, file, "policy.", policy, err) < 0)
        return -1;
    if (policy_finish(&config->policy, err) < 0)
        return file ? err_context(err, "%s: policy", file) : err_context(err, "policy");
    if (sidecar_config_check(config, doc->root, err) < 0)
        return -1;
    for (size_t i = 0; i < config->policy.warnings.count; i++)
        conf_list_addf(&config->warnings, "policy: %s", config->policy.warnings.items[i]);
    return 0;
}

static int read_secrets(struct sidecar_config *config, struct err *err) {
    struct sidecar_sql_config *sql = &config->sql;
    if (read_secret(sql->password_file, "sql.passwordFile", config->env_password, &sql->password, err) < 0)
        return -1;
    if (!sql->admin_user)
        return 0;
    return read_secret(sql->admin_password_file, "sql.adminPasswordFile", config->env_admin_password, &sql->admin_password, err);
}

/* With the sources in place. */
static int load(struct sidecar_config *config, struct err *err) {
    __attribute__((cleanup(doc_cleanup))) struct conf_doc doc = {0};
    conf_keys_defaults(&sidecar_schema, config);
    policy_init(&config->policy);
    if (read_file(config, &doc, err) < 0 || apply_all(config, &doc, err) < 0)
        return -1;
    return read_secrets(config, err);
}

static bool needs_nothing(enum sidecar_action action) {
    return action != SIDECAR_RUN && action != SIDECAR_CHECK_CONFIG && action != SIDECAR_PRINT_CONFIG;
}

int sidecar_config_load(int argc, char *const *argv, char **env, struct sidecar_config *ret_config, struct err *err) {
    struct sidecar_config config = {0};
    int rc = sidecar_sources_read(&config, argc, argv, env, err);
    if (rc == 0 && !needs_nothing(config.action))
        rc = load(&config, err);
    if (rc < 0) {
        sidecar_config_done(&config);
        return -1;
    }
    *ret_config = config;
    return 0;
}

static void list_copy(struct conf_list *dst, const struct conf_list *src) {
    for (size_t i = 0; i < src->count; i++)
        conf_list_add(dst, src->items[i]);
}

int sidecar_config_reload(const struct sidecar_config *old, struct sidecar_config *ret_config, struct err *err) {
    struct sidecar_config config = {.action = old->action, .file = old->file ? mem_strdup(old->file) : NULL};
    list_copy(&config.flag_args, &old->flag_args);
    list_copy(&config.env_args, &old->env_args);
    config.env_password = secret_dup(old->env_password);
    config.env_admin_password = secret_dup(old->env_admin_password);
    if (load(&config, err) < 0) {
        sidecar_config_done(&config);
        return -1;
    }
    *ret_config = config;
    return 0;
}

void sidecar_config_done(struct sidecar_config *config) {
    conf_keys_done(&sidecar_schema, config);
    policy_done(&config->policy);
    mem_free(config->store.path);
    secret_free(config->sql.password);
    secret_free(config->sql.admin_password);
    secret_free(config->env_password);
    secret_free(config->env_admin_password);
    mem_free(config->file);
    conf_list_done(&config->prepare);
    conf_list_done(&config->warnings);
    conf_list_done(&config->flag_args);
    conf_list_done(&config->env_args);
    *config = (struct sidecar_config){0};
}

static void diff_secret(const struct secret *a, const struct secret *b, const char *name, struct conf_list *reload) {
    if (reload && !secret_eq(a, b))
        conf_list_add(reload, name);
}

void sidecar_config_diff(const struct sidecar_config *old, const struct sidecar_config *new_config, struct conf_list *reload,
                         struct conf_list *restart) {
    conf_keys_diff(&sidecar_schema, old, new_config, "", reload, restart);
    conf_keys_diff(&policy_schema, &old->policy, &new_config->policy, "policy.", reload, restart);
    if (reload && !policy_overrides_eq(&old->policy, &new_config->policy))
        conf_list_add(reload, "policy.overrides");
    if (reload && !policy_probes_eq(&old->policy, &new_config->policy))
        conf_list_add(reload, "policy.verification.probes");
    diff_secret(old->sql.password, new_config->sql.password, "sql.password", reload);
    if (old->sql.admin_password && new_config->sql.admin_password)
        diff_secret(old->sql.admin_password, new_config->sql.admin_password, "sql.adminPassword", reload);
}

static void secret_swap(struct secret **a, struct secret **b) {
    struct secret *held = *a;
    *a = *b;
    *b = held;
}

void sidecar_config_adopt(struct sidecar_config *live, struct sidecar_config *fresh) {
    conf_keys_swap(&sidecar_schema, live, fresh, CONF_RELOAD);
    struct policy policy = live->policy;
    live->policy = fresh->policy;
    fresh->policy = policy;
    bool given = live->policy_given;
    live->policy_given = fresh->policy_given;
    fresh->policy_given = given;
    secret_swap(&live->sql.password, &fresh->sql.password);
    /* a login that comes or goes needs a restart, its password does not */
    if (live->sql.admin_password && fresh->sql.admin_password)
        secret_swap(&live->sql.admin_password, &fresh->sql.admin_password);
    struct conf_list warnings = live->warnings;
    live->warnings = fresh->warnings;
    fresh->warnings = warnings;
}
