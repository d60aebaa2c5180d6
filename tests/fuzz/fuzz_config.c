/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration and policy documents, YAML and JSON. Links: policy, conf, schedule, net, base and the sources in
 * sidecar_config_src.
 *
 * The first byte chooses: 'J' a policy in JSON, 'P' a policy in YAML, else the sidecar's file.
 */
#include <string.h>

#include "common/base/mem.h"
#include "sidecar/config.h"
#include "tests/fuzz/fuzz.h"

static void same_again(const struct policy *p, bool json) {
    struct policy again;
    struct err err;
    struct buf out;
    buf_init(&out, 8 << 20);
    if (json)
        policy_to_json(p, &out);
    else
        policy_to_yaml(p, &out, 0);
    int rc = (json ? policy_parse_json : policy_parse_yaml)("again", out.data, out.len, &again, &err);
    if (rc < 0)
        fprintf(stderr, "%s\n%s\n", err.text, out.data);
    must(rc == 0, "what was written can be read");
    must(policy_eq(p, &again), "what was written is the same policy");
    policy_done(&again);
    buf_done(&out);
}

static void fuzz_policy(const char *text, size_t len, bool json) {
    struct policy p, copy;
    struct err err = {0};
    enum policy_scope scope;
    if ((json ? policy_parse_json : policy_parse_yaml)("f", text, len, &p, &err) < 0) {
        must((err.class == ERR_CONFIG || err.class == ERR_UNSUPPORTED) && err.text[0] == 'f', "an error names the file");
        return;
    }
    same_again(&p, false);
    same_again(&p, true);
    policy_copy(&copy, &p);
    must(policy_eq(&p, &copy), "a copy is the same policy");
    must(policy_for_database(&p, "db1", &scope)->log_interval_ms >= 10000, "rules are within bounds");
    policy_done(&copy);
    policy_done(&p);
}

static void fuzz_sidecar(const char *text, size_t len) {
    struct conf_doc doc;
    struct sidecar_config config = {0};
    struct err err = {0};
    if (conf_parse_yaml("f", text, len, &doc, &err) < 0) {
        must(err.class == ERR_CONFIG, "a document that is none is an error of configuration");
        return;
    }
    conf_keys_defaults(&sidecar_schema, &config);
    if (conf_keys_apply(&sidecar_schema, &config, "f", "", doc.root, &err) == 0) {
        struct buf out;
        buf_init(&out, 8 << 20);
        policy_init(&config.policy);
        sidecar_config_print(&config, &out);
        must(out.len > 0 && !out.overflow, "a configuration can be printed");
        buf_done(&out);
    } else {
        must(err.class == ERR_CONFIG || err.class == ERR_UNSUPPORTED, "an error has its class");
    }
    sidecar_config_done(&config);
    conf_doc_done(&doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size)
        return 0;
    if (data[0] == 'J' || data[0] == 'P')
        fuzz_policy((const char *)data + 1, size - 1, data[0] == 'J');
    else
        fuzz_sidecar((const char *)data, size);
    return 0;
}
