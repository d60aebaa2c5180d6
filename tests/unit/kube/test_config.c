/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include "common/base/file.h"
#include "controller/kube/config.h"

#define HEAD                                                                                                                     \
    "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts:\n- name: a\n  context: {cluster: c, user: u, namespace: lab}\n" \
    "- name: b\n  context: {cluster: c}\n- name: lost\n  context: {cluster: nowhere}\n"
#define CLUSTER(text) "clusters:\n- name: other\n  cluster: {server: 'https://x'}\n- name: c\n  cluster: {" text "}\n"
#define USER(text) "users:\n- name: u\n  user: {" text "}\n"
#define SERVER "server: 'https://192.0.2.1:6443/'"
/* "-----BEGIN X-----\n" */
#define PEM "LS0tLS1CRUdJTiBYLS0tLS0K"

static int parse(const char *text, const char *context, struct kube_config *config, struct err *err) {
    return kube_config_parse("/etc/kube/config", text, strlen(text), context, config, err);
}

static void everything(void **state) {
    (void)state;
    struct kube_config c;
    struct err err;
    assert_succeeds(parse(HEAD CLUSTER(SERVER ", tls-server-name: api, certificate-authority-data: " PEM)
                              USER("client-certificate: pki/u.crt, client-key-data: '" PEM "', token: abc"),
                          NULL, &c, &err),
                    err);
    assert_string_equal(c.server, "https://192.0.2.1:6443");
    assert_string_equal(c.server_name, "api");
    assert_string_equal(c.namespace, "lab");
    assert_string_equal(c.ca_pem, "-----BEGIN X-----\n");
    assert_null(c.ca_file);
    assert_string_equal(c.cert_file, "/etc/kube/pki/u.crt");
    assert_string_equal(secret_text(c.key_pem), "-----BEGIN X-----\n");
    assert_string_equal(secret_text(c.token), "abc");
    kube_config_done(&c);
    assert_succeeds(parse(HEAD CLUSTER(SERVER ", certificate-authority: /ca, insecure-skip-tls-verify: false"), "b", &c, &err),
                    err);
    assert_string_equal(c.namespace, "default");
    assert_string_equal(c.ca_file, "/ca");
    assert_null(c.token);
    assert_null(c.server_name);
    kube_config_done(&c);
    assert_succeeds(parse(HEAD CLUSTER(SERVER) USER("token: old, tokenFile: t"), NULL, &c, &err), err);
    assert_string_equal(c.token_file, "/etc/kube/t");
    assert_null(c.token);
    kube_config_done(&c);
    assert_succeeds(parse(HEAD CLUSTER("server: 'http://127.0.0.1:8001'") USER(""), NULL, &c, &err), err);
    kube_config_done(&c);
}

static void refused(void **state) {
    (void)state;
    static const struct {
        const char *text, *context, *part;
        enum err_class class;
    } cases[] = {
        {"", NULL, "not a kubeconfig", ERR_CONFIG},
        {"[]", NULL, "not a kubeconfig", ERR_CONFIG},
        {"a: {", NULL, "/etc/kube/config:", ERR_CONFIG},
        {"kind: Config\n", NULL, "current-context: is missing", ERR_CONFIG},
        {HEAD, NULL, "clusters: there is no entry 'c'", ERR_CONFIG},
        {HEAD CLUSTER(SERVER), "z", "contexts: there is no entry 'z'", ERR_CONFIG},
        {HEAD CLUSTER(SERVER), "lost", "clusters: there is no entry 'nowhere'", ERR_CONFIG},
        {HEAD CLUSTER(SERVER), NULL, "users: there is no entry 'u'", ERR_CONFIG},
        {HEAD CLUSTER("a: b"), NULL, "server: is missing", ERR_CONFIG},
        {HEAD CLUSTER("server: [a]"), NULL, "config:15:13: server: must be a text", ERR_CONFIG},
        {HEAD CLUSTER("server: 'ftp://x'"), NULL, "must be https://HOST", ERR_CONFIG},
        {HEAD CLUSTER("server: 'https://'"), NULL, "must be https://HOST", ERR_CONFIG},
        {HEAD CLUSTER("server: 'https://u:p@x'"), NULL, "must be https://HOST", ERR_CONFIG},
        {HEAD CLUSTER("server: 'http://192.0.2.1'"), NULL, "must be https", ERR_CONFIG},
        {HEAD CLUSTER("server: 'http://127.0.0.1.example'"), NULL, "must be https", ERR_CONFIG},
        {HEAD CLUSTER(SERVER ", insecure-skip-tls-verify: true"), NULL, "insecure-skip-tls-verify: is refused", ERR_UNSUPPORTED},
        {HEAD CLUSTER(SERVER ", proxy-url: 'http://p'"), NULL, "proxy-url", ERR_UNSUPPORTED},
        {HEAD CLUSTER(SERVER ", certificate-authority-data: '%%%'"), NULL, "base64 of a PEM", ERR_CONFIG},
        {HEAD CLUSTER(SERVER ", certificate-authority-data: YWJj"), NULL, "base64 of a PEM", ERR_CONFIG},
        {HEAD CLUSTER(SERVER ", certificate-authority-data: " PEM "A"), NULL, "base64 of a PEM", ERR_CONFIG},
        {HEAD CLUSTER(SERVER) USER("client-key: k"), NULL, "client-certificate: is missing", ERR_CONFIG},
        {HEAD CLUSTER(SERVER) USER("client-certificate: k"), NULL, "client-key: is missing", ERR_CONFIG},
        {HEAD CLUSTER(SERVER) USER("exec: {command: aws}"), NULL, "exec: is not supported", ERR_UNSUPPORTED},
        {HEAD CLUSTER(SERVER) USER("username: x"), NULL, "username", ERR_UNSUPPORTED},
        {HEAD CLUSTER(SERVER) USER("as: admin"), NULL, "as: is not", ERR_UNSUPPORTED},
        {HEAD CLUSTER(SERVER) USER("token: 'a b'"), NULL, "token: must be one word", ERR_CONFIG},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct kube_config c;
        struct err err;
        assert_fails(parse(cases[i].text, cases[i].context, &c, &err), err, cases[i].class, cases[i].part);
        assert_null(strstr(err.text, "a b"));
    }
}

static void in_a_pod(void **state) {
    (void)state;
    struct kube_config c;
    struct err err;
    char *dir = unit_tmpdir();
    unsetenv("KUBERNETES_SERVICE_HOST");
    assert_fails(kube_config_in_cluster(dir, &c, &err), err, ERR_CONFIG, "not in a pod");
    setenv("KUBERNETES_SERVICE_HOST", "2001:db8::1", 1);
    setenv("KUBERNETES_SERVICE_PORT", "443", 1);
    assert_fails(kube_config_in_cluster(dir, &c, &err), err, ERR_CONFIG, "/token' is missing");
    static const char *const files[] = {"token", "ca.crt", "namespace"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        _cleanup_free_ char *path = file_join(dir, files[i]);
        assert_succeeds(file_write_durable(path, "lab\n", 4, 0600, &err), err);
    }
    assert_succeeds(kube_config_in_cluster(dir, &c, &err), err);
    assert_string_equal(c.server, "https://[2001:db8::1]:443");
    assert_string_equal(c.namespace, "lab");
    assert_true(strstr(c.token_file, "/token") && strstr(c.ca_file, "/ca.crt"));
    kube_config_done(&c);
    unit_rm(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything),
        cmocka_unit_test(refused),
        cmocka_unit_test(in_a_pod),
    };
    return cmocka_run_group_tests_name("kube_config", tests, NULL, NULL);
}
