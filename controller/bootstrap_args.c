/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "controller/bootstrap.h"

/* Names come from the chart and go into paths; Kubernetes itself checks the rest. */
static bool is_name(const char *s) {
    size_t len = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789.-");
    return len && len <= 253 && !s[len] && s[0] != '.' && s[0] != '-';
}

static bool is_key(const char *s) {
    size_t len = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    return len && len <= 253 && !s[len] && strcmp(s, ".") && strcmp(s, "..");
}

static int add(struct bootstrap *plan, enum bootstrap_kind kind, const char *name, const char *key, unsigned port,
               struct err *err) {
    if (!is_name(name))
        return err_set(err, ERR_USAGE, "'%s' is no name of an object: lower-case letters, digits, - and .", name);
    for (unsigned i = 0; i < plan->count; i++)
        if (!strcmp(plan->items[i].name, name) && plan->items[i].kind == kind)
            return err_set(err, ERR_USAGE, "%s is named twice", name);
    if (plan->count == BOOTSTRAP_ITEMS_MAX)
        return err_set(err, ERR_USAGE, "more than %d things", BOOTSTRAP_ITEMS_MAX);
    plan->items[plan->count++] = (struct bootstrap_item){kind, mem_strdup(name), key ? mem_strdup(key) : NULL, port};
    return 0;
}

/* Splits "A<sep>B"; *ret_first is on the heap. */
static int split(const char *word, char sep, const char *form, char **ret_first, const char **ret_rest, struct err *err) {
    const char *at = strchr(word, sep);
    if (!at || at == word || !at[1])
        return err_set(err, ERR_USAGE, "'%s' is not %s", word, form);
    *ret_first = mem_strndup(word, (size_t)(at - word));
    *ret_rest = at + 1;
    return 0;
}

static int add_secret(struct bootstrap *plan, const char *word, struct err *err) {
    _cleanup_free_ char *name = NULL;
    const char *key = NULL;
    if (split(word, '/', "NAME/KEY", &name, &key, err) < 0)
        return -1;
    if (!is_key(key))
        return err_set(err, ERR_USAGE, "'%s' is no key of a Secret: letters, digits, -, _ and .", key);
    return add(plan, BOOTSTRAP_SECRET, name, key, 0, err);
}

static int add_service(struct bootstrap *plan, const char *word, struct err *err) {
    _cleanup_free_ char *name = NULL;
    const char *text = NULL;
    int64_t port;
    if (split(word, ':', "NAME:PORT", &name, &text, err) < 0)
        return -1;
    if (!str_to_i64(text, 1, 65535, &port))
        return err_set(err, ERR_USAGE, "'%s' is no port: 1 to 65535", text);
    return add(plan, BOOTSTRAP_SERVICE, name, NULL, (unsigned)port, err);
}

static int add_bundle(struct bootstrap *plan, const char *name, struct err *err) {
    enum bootstrap_kind before = plan->count ? plan->items[plan->count - 1].kind : BOOTSTRAP_SECRET;
    if (before != BOOTSTRAP_CERTIFICATE && before != BOOTSTRAP_AUTHORITY)
        return err_set(err, ERR_USAGE, "--bundle %s needs --certificate or --authority right before it", name);
    return add(plan, BOOTSTRAP_BUNDLE, name, NULL, 0, err);
}

static int add_pair(json_t *map, const char *word, struct err *err) {
    _cleanup_free_ char *key = NULL;
    const char *value = NULL;
    if (split(word, '=', "KEY=VALUE", &key, &value, err) < 0)
        return -1;
    if (json_object_set_new(map, key, json_string(value)) < 0)
        return err_set(err, ERR_USAGE, "'%s' is not UTF-8", word);
    return 0;
}

static int take(struct bootstrap *plan, const char *flag, const char *value, struct err *err) {
    if (!strcmp(flag, "--secret"))
        return add_secret(plan, value, err);
    if (!strcmp(flag, "--service"))
        return add_service(plan, value, err);
    if (!strcmp(flag, "--certificate"))
        return add(plan, BOOTSTRAP_CERTIFICATE, value, NULL, 0, err);
    if (!strcmp(flag, "--authority"))
        return add(plan, BOOTSTRAP_AUTHORITY, value, NULL, 0, err);
    if (!strcmp(flag, "--bundle"))
        return add_bundle(plan, value, err);
    if (!strcmp(flag, "--label"))
        return add_pair(plan->labels, value, err);
    if (!strcmp(flag, "--select"))
        return add_pair(plan->selector, value, err);
    char **text = !strcmp(flag, "--kubeconfig") ? &plan->kubeconfig : !strcmp(flag, "--namespace") ? &plan->namespace : NULL;
    if (!text)
        return err_set(err, ERR_USAGE, "unknown flag %s after --bootstrap", flag);
    mem_free(*text);
    *text = mem_strdup(value);
    return 0;
}

int bootstrap_parse(int argc, char **argv, struct bootstrap *ret_plan, struct err *err) {
    struct bootstrap plan = {.labels = json_object(), .selector = json_object()};
    bool services = false;
    for (int i = 0; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if ((value ? take(&plan, argv[i], value, err) : err_set(err, ERR_USAGE, "%s needs a value", argv[i])) < 0)
            goto fail;
    }
    for (unsigned i = 0; i < plan.count; i++)
        services |= plan.items[i].kind == BOOTSTRAP_SERVICE;
    if (services && !json_object_size(plan.selector)) {
        err_set(err, ERR_USAGE, "--service needs --select KEY=VALUE: else it leads nowhere");
        goto fail;
    }
    *ret_plan = plan;
    return 0;
fail:
    bootstrap_done(&plan);
    return -1;
}

void bootstrap_done(struct bootstrap *plan) {
    for (unsigned i = 0; i < plan->count; i++) {
        mem_free(plan->items[i].name);
        mem_free(plan->items[i].key);
    }
    mem_free(plan->kubeconfig);
    mem_free(plan->namespace);
    json_decref(plan->labels);
    json_decref(plan->selector);
    *plan = (struct bootstrap){0};
}
