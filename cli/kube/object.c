/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/kube/object.h"

#include <string.h>

#include "cli/kube/kubectl.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"

const json_t *object_at(const json_t *object, const char *path) {
    while (object && *path) {
        size_t len = strcspn(path, ".");
        object = json_object_getn(object, path, len);
        path += len + (path[len] == '.');
    }
    return object;
}

const char *object_text(const json_t *object, const char *path) {
    const char *text = json_string_value(object_at(object, path));
    return text ? text : "";
}

int64_t object_time(const json_t *object, const char *path) {
    int64_t at;
    return clock_parse(object_text(object, path), &at) ? at : 0;
}

int64_t object_number(const json_t *object, const char *path, int64_t fallback) {
    const json_t *value = object_at(object, path);
    return json_is_number(value) ? (int64_t)json_number_value(value) : fallback;
}

const char *object_name(const json_t *object) {
    return object_text(object, "metadata.name");
}

const char *object_namespace(const json_t *object) {
    return object_text(object, "metadata.namespace");
}

const json_t *object_condition(const json_t *object, const char *type) {
    const json_t *all = object_at(object, "status.conditions");
    for (size_t i = 0; i < json_array_size(all); i++)
        if (!strcmp(object_text(json_array_get(all, i), "type"), type))
            return json_array_get(all, i);
    return NULL;
}

enum cli_color object_phase_color(const char *phase) {
    static const char *const good[] = {"Ready", "Completed", "Planned", "Intact"};
    static const char *const bad[] = {"Failed", "Refused", "Degraded", "Conflict", "Invalid", "Broken"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        if (!strcmp(phase, good[i]))
            return CLI_GOOD;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (!strcmp(phase, bad[i]))
            return CLI_BAD;
    return CLI_WARN;
}

/* ---- the instance ---- */

static int several(const json_t *items, struct err *err) {
    struct buf names;
    buf_init(&names, 400);
    for (size_t i = 0; i < json_array_size(items); i++)
        if (!buf_printf(&names, "%s%s", i ? ", " : "", object_name(json_array_get(items, i))))
            break;
    err_set(err, ERR_USAGE, "there are %zu instances, say which: %s", json_array_size(items), names.data ? names.data : "");
    buf_done(&names);
    return -1;
}

int object_instance(struct cli *cli, const char *name, json_t **ret_instance, struct err *err) {
    struct kubectl k;
    json_t *answer;
    kubectl_begin(&k, cli, "get", KUBE_INSTANCES, NULL);
    if (name)
        kubectl_add(&k, name);
    if (kubectl_json(&k, NULL, &answer, err) < 0)
        return -1;
    if (name) {
        *ret_instance = answer;
        return 0;
    }
    const json_t *items = json_object_get(answer, "items");
    int rc = 0;
    if (json_array_size(items) == 1)
        *ret_instance = json_incref(json_array_get(items, 0));
    else if (json_array_size(items) > 1)
        rc = several(items, err);
    else
        rc = err_set(err, ERR_NOT_FOUND, "there is no MSSQLInstance in this namespace; -n names another one");
    json_decref(answer);
    return rc;
}

/* ---- its pod ---- */

static char *pod_of_endpoints(const json_t *endpoints) {
    const json_t *subsets = json_object_get(endpoints, "subsets");
    for (size_t i = 0; i < json_array_size(subsets); i++) {
        static const char *const lists[] = {"addresses", "notReadyAddresses"};
        for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
            const json_t *list = json_object_get(json_array_get(subsets, i), lists[l]);
            const char *name = json_array_size(list) == 1 ? object_text(json_array_get(list, 0), "targetRef.name") : "";
            if (*name)
                return mem_strdup(name);
        }
    }
    return NULL;
}

int object_pod(struct cli *cli, const json_t *instance, char **ret_pod, struct err *err) {
    const char *told = object_text(instance, "status.sidecar.pod"), *host = object_text(instance, "spec.connection.host");
    if (*told) {
        *ret_pod = mem_strdup(told);
        return 0;
    }
    _cleanup_free_ char *service = mem_strndup(host, strcspn(host, "."));
    struct kubectl k;
    struct err why = {0};
    json_t *endpoints;
    char *found = NULL;
    kubectl_begin(&k, cli, "get", "endpoints", service, "--namespace", object_namespace(instance), NULL);
    if (kubectl_json(&k, NULL, &endpoints, &why) == 0) {
        found = pod_of_endpoints(endpoints);
        json_decref(endpoints);
    } else if (why.class != ERR_NOT_FOUND) {
        err_copy(err, &why);
        return -1;
    }
    if (!found) {
        err_set(err, ERR_NOT_FOUND,
                "instance %s has no sidecar: its status names no pod, and none stands behind the Service '%s'",
                object_name(instance), service);
        return err_hint(err, "The chart puts the sidecar next to SQL Server");
    }
    *ret_pod = found;
    return 0;
}
