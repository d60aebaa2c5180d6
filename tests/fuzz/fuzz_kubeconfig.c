/* SPDX-License-Identifier: Apache-2.0 */
/* A kubeconfig. Links: kube, base. What is accepted can be used: an address, one login at most, nothing half. */
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "controller/kube/config.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct kube_config config;
    struct err err = {0};
    char *text = mem_strndup((const char *)data, size);
    if (kube_config_parse("/k/config", text, size, NULL, &config, &err) < 0)
        must(err.class && strstr(err.text, "/k/config"), "an error names the file");
    else {
        must(str_starts(config.server, "https://") || str_starts(config.server, "http://"), "an address");
        must(!str_ends(config.server, "/") && !strpbrk(config.server, "@?# \t"), "without what does not belong there");
        must(config.namespace && config.namespace[0], "a namespace");
        must(!(config.ca_pem && config.ca_file) && !(config.token && config.token_file), "one of two");
        must((config.cert_pem || config.cert_file) == (config.key_pem || config.key_file), "certificate and key");
        must(!config.ca_pem || strstr(config.ca_pem, "-----BEGIN "), "PEM");
        must(!config.token || !strpbrk(secret_text(config.token), " \t\r\n"), "a token of one word");
        kube_config_done(&config);
    }
    mem_free(text);
    return 0;
}
