/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/kube/config.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/conf/tree.h"

#define ACCOUNT_DIR "/var/run/secrets/kubernetes.io/serviceaccount"
#define FILE_MAX_BYTES CONF_BYTES_MAX

struct reader {
    const char *name;
    struct err *err;
};

static int complain(const struct reader *r, const struct conf_node *at, const char *key, enum err_class class, const char *what) {
    if (at && at->line)
        return err_set(r->err, class, "%s:%u:%u: %s: %s", r->name, at->line, at->column, key, what);
    return err_set(r->err, class, "%s: %s: %s", r->name, key, what);
}

/* NULL in *ret_text when the key is absent. */
static int text_of(const struct reader *r, const struct conf_node *map, const char *key, const char **ret_text) {
    const struct conf_node *node = conf_child(map, key);
    if (node && node->type != CONF_SCALAR)
        return complain(r, node, key, ERR_CONFIG, "must be a text");
    *ret_text = node && node->text[0] ? node->text : NULL;
    return 0;
}

static int digit_of(char c) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Base64 with padding; spaces and line breaks are left out. NULL when it is not that, or holds a NUL. */
static char *unbase64(const char *text, size_t *ret_len) {
    char *out = mem_alloc(strlen(text) / 4 * 3 + 4);
    size_t len = 0;
    unsigned bits = 0, count = 0, pad = 0;
    bool ok = true;
    for (; *text && ok; text++) {
        int digit = digit_of(*text);
        if (strchr(" \t\r\n", *text))
            continue;
        if (*text == '=')
            pad++;
        else if (digit < 0 || pad)
            ok = false;
        else {
            bits = bits << 6 | (unsigned)digit;
            if (++count % 4 != 1)
                out[len++] = (char)(bits >> (6 - 2 * ((count - 1) % 4)));
        }
    }
    if (!ok || (count + pad) % 4 || pad > 2 || memchr(out, 0, len)) {
        explicit_bzero(out, len);
        mem_free(out);
        return NULL;
    }
    out[len] = 0;
    *ret_len = len;
    return out;
}

/* One of KEY (a file, relative to the kubeconfig) and KEY-data (base64 of PEM). Data wins, as it does in kubectl. */
static int pem_of(const struct reader *r, const struct conf_node *map, const char *key, char **ret_pem, char **ret_file) {
    const char *data = NULL, *file = NULL;
    _cleanup_free_ char *data_key = mem_printf("%s-data", key);
    if (text_of(r, map, data_key, &data) < 0 || text_of(r, map, key, &file) < 0)
        return -1;
    if (data) {
        size_t len;
        char *pem = unbase64(data, &len);
        if (!pem || !strstr(pem, "-----BEGIN ")) {
            if (pem)
                explicit_bzero(pem, len);
            mem_free(pem);
            return complain(r, conf_child(map, data_key), data_key, ERR_CONFIG, "must be the base64 of a PEM file");
        }
        *ret_pem = pem;
    } else if (file) {
        const char *slash = strrchr(r->name, '/');
        *ret_file = file[0] == '/' || !slash ? mem_strdup(file) : mem_printf("%.*s/%s", (int)(slash - r->name), r->name, file);
    }
    return 0;
}

/* The part `inner` of the entry NAME in the list `list`. */
static const struct conf_node *entry(const struct reader *r, const struct conf_node *root, const char *list, const char *inner,
                                     const char *name) {
    const struct conf_node *all = conf_child(root, list);
    for (const struct conf_node *e = all && all->type == CONF_LIST ? all->first : NULL; e; e = e->next) {
        const char *own = NULL;
        if (e->type != CONF_MAP || text_of(r, e, "name", &own) < 0 || !own || strcmp(own, name) != 0)
            continue;
        const struct conf_node *found = conf_child(e, inner);
        if (found && found->type == CONF_MAP)
            return found;
        complain(r, found ? found : e, inner, ERR_CONFIG, "must be a map");
        return NULL;
    }
    _cleanup_free_ char *what = mem_printf("there is no entry '%s'", name);
    complain(r, all, list, ERR_CONFIG, what);
    return NULL;
}

static int refuse(const struct reader *r, const struct conf_node *map, const char *const *keys, const char *what) {
    for (; *keys; keys++) {
        const struct conf_node *node = conf_child(map, *keys);
        if (node && !(node->type == CONF_SCALAR && str_ieq(node->text, "false")))
            return complain(r, node, *keys, ERR_UNSUPPORTED, what);
    }
    return 0;
}

static bool is_loopback(const char *host) {
    static const char *const names[] = {"127.0.0.1", "localhost", "[::1]"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        size_t len = strlen(names[i]);
        if (!strncmp(host, names[i], len) && (!host[len] || host[len] == ':' || host[len] == '/'))
            return true;
    }
    return false;
}

static int read_cluster(const struct reader *r, const struct conf_node *map, struct kube_config *config) {
    static const char *const insecure[] = {"insecure-skip-tls-verify", NULL};
    static const char *const proxy[] = {"proxy-url", NULL};
    const char *server, *name;
    if (refuse(r, map, insecure, "is refused: give certificate-authority instead") < 0 ||
        refuse(r, map, proxy, "is not supported") < 0 || text_of(r, map, "server", &server) < 0 ||
        text_of(r, map, "tls-server-name", &name) < 0)
        return -1;
    const struct conf_node *at = conf_child(map, "server");
    if (!server)
        return complain(r, at ? at : map, "server", ERR_CONFIG, "is missing");
    bool https = str_starts(server, "https://");
    const char *host = https ? server + 8 : str_starts(server, "http://") ? server + 7 : "";
    if (!host[0] || host[0] == '/' || host[strcspn(host, "@?# \t")])
        return complain(r, at, "server", ERR_CONFIG, "must be https://HOST[:PORT][/PATH]");
    if (!https && !is_loopback(host))
        return complain(r, at, "server", ERR_CONFIG, "must be https: http is for 127.0.0.1 only");
    size_t len = strlen(server);
    while (server[len - 1] == '/')
        len--;
    config->server = mem_strndup(server, len);
    config->server_name = name ? mem_strdup(name) : NULL;
    return pem_of(r, map, "certificate-authority", &config->ca_pem, &config->ca_file);
}

static int read_token(const struct reader *r, const struct conf_node *map, struct kube_config *config) {
    const char *token, *file;
    if (text_of(r, map, "token", &token) < 0 || text_of(r, map, "tokenFile", &file) < 0)
        return -1;
    if (token && token[strcspn(token, " \t\r\n")])
        return complain(r, conf_child(map, "token"), "token", ERR_CONFIG, "must be one word");
    if (file) { /* wins over `token`, as it does in kubectl: it is renewed */
        const char *slash = strrchr(r->name, '/');
        config->token_file = file[0] == '/' || !slash ? mem_strdup(file)
                                                      : mem_printf("%.*s/%s", (int)(slash - r->name), r->name, file);
    } else if (token)
        config->token = secret_new(token, strlen(token));
    return 0;
}

static int read_user(const struct reader *r, const struct conf_node *map, struct kube_config *config) {
    static const char *const programs[] = {"exec", "auth-provider", NULL};
    static const char *const others[] = {"username", "password", "as", "as-uid", "as-groups", "as-user-extra", NULL};
    char *key = NULL;
    if (refuse(r, map, programs, "is not supported: use a client certificate or a token") < 0 ||
        refuse(r, map, others, "is not supported") < 0 || read_token(r, map, config) < 0 ||
        pem_of(r, map, "client-certificate", &config->cert_pem, &config->cert_file) < 0 ||
        pem_of(r, map, "client-key", &key, &config->key_file) < 0)
        return -1;
    if (key) {
        config->key_pem = secret_new(key, strlen(key));
        explicit_bzero(key, strlen(key));
        mem_free(key);
    }
    bool cert = config->cert_pem || config->cert_file, has_key = config->key_pem || config->key_file;
    if (cert != has_key)
        return complain(r, map, cert ? "client-key" : "client-certificate", ERR_CONFIG, "is missing: both or none");
    return 0;
}

static int read_context(const struct reader *r, const struct conf_node *root, const char *context, struct kube_config *config) {
    const char *current, *cluster, *user, *namespace;
    if (text_of(r, root, "current-context", &current) < 0)
        return -1;
    context = context ? context : current;
    if (!context)
        return complain(r, NULL, "current-context", ERR_CONFIG, "is missing, and no context was asked for");
    const struct conf_node *map = entry(r, root, "contexts", "context", context);
    if (!map || text_of(r, map, "cluster", &cluster) < 0 || text_of(r, map, "user", &user) < 0 ||
        text_of(r, map, "namespace", &namespace) < 0)
        return -1;
    if (!cluster)
        return complain(r, map, "cluster", ERR_CONFIG, "is missing");
    config->namespace = mem_strdup(namespace ? namespace : "default");
    const struct conf_node *cluster_map = entry(r, root, "clusters", "cluster", cluster);
    if (!cluster_map || read_cluster(r, cluster_map, config) < 0)
        return -1;
    if (!user)
        return 0;
    const struct conf_node *user_map = entry(r, root, "users", "user", user);
    return user_map ? read_user(r, user_map, config) : -1;
}

int kube_config_parse(const char *name, const char *text, size_t len, const char *context, struct kube_config *ret_config,
                      struct err *err) {
    struct err own;
    struct reader r = {.name = name, .err = err ? err : &own};
    struct conf_doc doc;
    struct kube_config config = {0};
    if (conf_parse_yaml(name, text, len, &doc, r.err) < 0)
        return -1;
    int rc = doc.root->type == CONF_MAP ? read_context(&r, doc.root, context, &config)
                                        : err_set(r.err, ERR_CONFIG, "%s: not a kubeconfig", name);
    conf_doc_done(&doc);
    if (rc < 0)
        kube_config_done(&config);
    else
        *ret_config = config;
    return rc;
}

int kube_config_load(const char *path, const char *context, struct kube_config *ret_config, struct err *err) {
    char *text;
    size_t len;
    struct err why;
    if (file_read_all(path, FILE_MAX_BYTES, &text, &len, &why) < 0)
        return err_set(err, ERR_CONFIG, "kubeconfig: %s", why.text);
    int rc = kube_config_parse(path, text, len, context, ret_config, err);
    explicit_bzero(text, len);
    mem_free(text);
    return rc;
}

static char *read_namespace(const char *dir) {
    _cleanup_free_ char *path = file_join(dir, "namespace");
    char *text;
    size_t len;
    if (file_read_all(path, 1024, &text, &len, NULL) < 0)
        return mem_strdup("default");
    text[strcspn(text, "\r\n \t")] = 0;
    return text;
}

int kube_config_in_cluster(const char *dir, struct kube_config *ret_config, struct err *err) {
    const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
    if (!dir)
        dir = ACCOUNT_DIR;
    if (!host || !host[0] || !port || !port[0])
        return err_set(err, ERR_CONFIG, "not in a pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set");
    struct kube_config config = {.ca_file = file_join(dir, "ca.crt"), .token_file = file_join(dir, "token")};
    const char *missing = !file_exists(config.token_file) ? config.token_file
                          : !file_exists(config.ca_file)  ? config.ca_file
                                                          : NULL;
    if (missing) {
        err_set(err, ERR_CONFIG, "file '%s' is missing. The pod needs a service account with automountServiceAccountToken",
                missing);
        kube_config_done(&config);
        return -1;
    }
    config.namespace = read_namespace(dir);
    config.server = strchr(host, ':') ? mem_printf("https://[%s]:%s", host, port) : mem_printf("https://%s:%s", host, port);
    *ret_config = config;
    return 0;
}

void kube_config_done(struct kube_config *config) {
    char **texts[] = {&config->server,   &config->server_name, &config->namespace, &config->ca_pem,    &config->ca_file,
                      &config->cert_pem, &config->cert_file,   &config->key_file,  &config->token_file};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        mem_free(*texts[i]);
    secret_free(config->key_pem);
    secret_free(config->token);
    *config = (struct kube_config){0};
}
