/* SPDX-License-Identifier: Apache-2.0 */
/* verification.probes: queries that must give a number after a trial restore. */
#include <stddef.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/conf/emit.h"
#include "common/policy/policy_int.h"

#define PROBES_MAX 64
#define TEXT_MAX 4000

#define AT(field) offsetof(struct policy_probe, field)
static const struct conf_key keys[] = {
    {"name", CONF_TEXT, CONF_RELOAD, AT(name), .doc = "what it is called in results"},
    {"database", CONF_TEXT, CONF_RELOAD, AT(database), .doc = "name or pattern of the databases that it is asked of"},
    {"query", CONF_TEXT, CONF_RELOAD, AT(query), .doc = "gives one row with one number"},
    {"atLeast", CONF_INT, CONF_RELOAD, AT(at_least), "1", INT64_MIN, INT64_MAX, .doc = "the least number that passes"},
};
#undef AT
const struct conf_schema policy_probe_schema = {keys, ARRAY_LEN(keys), NULL, 0};

void policy_probes_done(struct policy *policy) {
    for (size_t i = 0; i < policy->probe_count; i++)
        conf_keys_done(&policy_probe_schema, &policy->probes[i]);
    mem_free(policy->probes);
    policy->probes = NULL;
    policy->probe_count = 0;
}

static int apply_one(struct policy *policy, const char *file, const char *prefix, const struct conf_node *node, struct err *err) {
    struct policy_probe *p = &policy->probes[policy->probe_count++];
    char where[128];
    const char *missing = NULL;
    (void)str_format(where, sizeof(where), "%sverification.probes[%zu].", prefix, policy->probe_count - 1);
    conf_keys_defaults(&policy_probe_schema, p);
    if (conf_keys_apply(&policy_probe_schema, p, file, where, node, err) < 0)
        return -1;
    if (!p->name || !*p->name)
        missing = "name";
    else if (!p->database || !*p->database)
        missing = "database";
    else if (!p->query || !*p->query || strlen(p->query) > TEXT_MAX)
        missing = "query";
    if (missing)
        return conf_keys_fail(err, file, node, where, missing, "is missing or too long, allowed: a text");
    for (size_t i = 0; i + 1 < policy->probe_count; i++)
        if (!strcmp(policy->probes[i].name, p->name))
            return conf_keys_fail(err, file, node, where, "name", "'%.80s' is there twice, allowed: a name of its own", p->name);
    return 0;
}

int policy_apply_probes(struct policy *policy, const char *file, const char *prefix, const struct conf_node *map,
                        struct err *err) {
    const struct conf_node *outer = conf_child(map, "verification");
    const struct conf_node *list = outer && outer->type == CONF_MAP ? conf_child(outer, "probes") : NULL;
    policy_probes_done(policy);
    if (!list)
        return 0;
    if (list->type != CONF_LIST || list->count > PROBES_MAX)
        return conf_keys_fail(err, file, map, prefix, "verification.probes", "is %s, allowed: a list of at most %d maps",
                              list->type == CONF_LIST ? "too long" : conf_type_name(list->type), PROBES_MAX);
    policy->probes = mem_array(list->count + 1, sizeof(*policy->probes));
    for (const struct conf_node *n = list->first; n; n = n->next)
        if (apply_one(policy, file, prefix, n, err) < 0)
            return -1;
    return 0;
}

void policy_copy_probes(struct policy *dst, const struct policy *src) {
    dst->probes = mem_array(src->probe_count + 1, sizeof(*dst->probes));
    for (size_t i = 0; i < src->probe_count; i++)
        conf_keys_copy(&policy_probe_schema, &dst->probes[i], &src->probes[i]);
    dst->probe_count = src->probe_count;
}

bool policy_verifies(const struct policy *policy, const char *database) {
    const struct conf_list *list = &policy->verify_databases;
    bool fits = !list->count;
    for (size_t i = 0; i < list->count && !fits; i++)
        fits = str_glob(list->items[i], database);
    return fits;
}
