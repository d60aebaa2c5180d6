/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/kube/kind.h"

#include <string.h>

const struct kube_kind kube_pods = {"", "v1", "Pod", "pods", true};
const struct kube_kind kube_services = {"", "v1", "Service", "services", true};
const struct kube_kind kube_secrets = {"", "v1", "Secret", "secrets", true};
const struct kube_kind kube_configmaps = {"", "v1", "ConfigMap", "configmaps", true};
const struct kube_kind kube_claims = {"", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", true};
const struct kube_kind kube_statefulsets = {"apps", "v1", "StatefulSet", "statefulsets", true};
const struct kube_kind kube_leases = {"coordination.k8s.io", "v1", "Lease", "leases", true};
const struct kube_kind kube_events_kind = {"", "v1", "Event", "events", true};

/* The API server refuses the same: such a name would lead to another path. */
static bool segment_ok(const char *s) {
    size_t len = strlen(s);
    if (!len || len >= KUBE_NAME_MAX || !strcmp(s, ".") || !strcmp(s, ".."))
        return false;
    return !s[strcspn(s, "/%")];
}

static void append_escaped(struct buf *out, const char *s) {
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (; *s; s++) {
        if (strchr(plain, *s))
            buf_putc(out, *s);
        else
            buf_printf(out, "%%%02X", (unsigned char)*s);
    }
}

static int append_segment(struct buf *out, const char *what, const char *s, struct err *err) {
    if (!segment_ok(s))
        return err_set(err, ERR_USAGE, "%s '%.300s' cannot be part of a path", what, s);
    buf_putc(out, '/');
    append_escaped(out, s);
    return 0;
}

int kube_path_append(struct buf *out, const struct kube_kind *kind, const char *namespace, const char *name,
                     const char *subresource, struct err *err) {
    if (namespace && !kind->namespaced)
        return err_set(err, ERR_USAGE, "%s have no namespace", kind->plural);
    if (name && kind->namespaced && !namespace)
        return err_set(err, ERR_USAGE, "%s '%s' needs a namespace", kind->plural, name);
    if (kind->group[0])
        buf_printf(out, "/apis/%s/%s", kind->group, kind->version);
    else
        buf_printf(out, "/api/%s", kind->version);
    if (namespace) {
        buf_puts(out, "/namespaces");
        if (append_segment(out, "namespace", namespace, err) < 0)
            return -1;
    }
    buf_printf(out, "/%s", kind->plural);
    if (name && append_segment(out, "name", name, err) < 0)
        return -1;
    if (subresource && append_segment(out, "subresource", subresource, err) < 0)
        return -1;
    return out->overflow ? err_set(err, ERR_LIMIT, "path of %s is too long", kind->plural) : 0;
}

void kube_query_append(struct buf *out, const char *key, const char *value) {
    buf_printf(out, "%c%s=", out->data && strchr(out->data, '?') ? '&' : '?', key);
    append_escaped(out, value);
}

static const char *metadata_text(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(json_object_get(object, "metadata"), key));
    return text ? text : "";
}

const char *kube_name(const json_t *object) {
    return metadata_text(object, "name");
}

const char *kube_namespace(const json_t *object) {
    return metadata_text(object, "namespace");
}

const char *kube_uid(const json_t *object) {
    return metadata_text(object, "uid");
}

const char *kube_resource_version(const json_t *object) {
    return metadata_text(object, "resourceVersion");
}
