/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/reconcile/find.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "controller/reconcile/look.h"

const char *find_reason(enum find_outcome outcome) {
    static const char *const words[] = {"Connected", "ServiceNotFound", "NoPod", "NoSidecar", "NotConnected"};
    return words[outcome];
}

/* Up to four labels and a rest: "db-0.db.lab.svc.cluster.local". */
static unsigned split(const char *host, char labels[5][254]) {
    unsigned n = 0;
    while (n < 5 && *host) {
        size_t len = strcspn(host, ".");
        if (n == 4)
            len = strlen(host);
        if (len == 0 || len >= 254)
            return 0;
        memcpy(labels[n], host, len);
        labels[n++][len] = '\0';
        host += len;
        if (*host == '.')
            host++;
    }
    return n;
}

static bool is_service(const struct world *world, const char *namespace, const char *name) {
    const json_t *object;
    return world_get(world, WORLD_SERVICE, namespace, name, &object) == WORLD_THERE;
}

bool find_host(const struct world *world, const char *namespace, const char *host, struct find_host *ret_host) {
    char labels[5][254] = {{0}};
    unsigned n = split(host, labels);
    if (n == 0 || strchr(host, ':') || !host[strspn(host, "0123456789.")])
        return false;
    struct find_host at = {0};
    str_copy(at.service, sizeof(at.service), labels[0]);
    str_copy(at.namespace, sizeof(at.namespace), n > 1 ? labels[1] : namespace);
    /* "db-0.db": a pod behind its headless Service, when only that reading has a Service */
    const char *of_pod = n > 2 ? labels[2] : namespace;
    if (n > 1 && !is_service(world, at.namespace, at.service) && is_service(world, of_pod, labels[1])) {
        str_copy(at.pod, sizeof(at.pod), labels[0]);
        str_copy(at.service, sizeof(at.service), labels[1]);
        str_copy(at.namespace, sizeof(at.namespace), of_pod);
    }
    *ret_host = at;
    return true;
}

bool find_same_server(const struct world *world, const char *namespace_a, const json_t *connection_a, const char *namespace_b,
                      const json_t *connection_b) {
    if (look_int(connection_a, "port", 1433) != look_int(connection_b, "port", 1433))
        return false;
    const char *a = look_text(connection_a, "host"), *b = look_text(connection_b, "host");
    struct find_host ha, hb;
    bool is_a = find_host(world, namespace_a, a, &ha), is_b = find_host(world, namespace_b, b, &hb);
    if (!is_a || !is_b)
        return is_a == is_b && str_ieq(a, b);
    return str_ieq(ha.service, hb.service) && !strcmp(ha.namespace, hb.namespace) &&
           (!*ha.pod || !*hb.pod || !strcmp(ha.pod, hb.pod));
}

struct search {
    const struct world *world;
    const json_t *selector; /* NULL: by label only */
    const char *instance, *pod;
    const json_t *best;
    int best_rank;
};

static bool has_sidecar(const json_t *pod) {
    static const char *const lists[] = {"spec.initContainers", "spec.containers"};
    for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
        size_t i;
        json_t *c;
        json_array_foreach(look(pod, lists[l]), i, c) {
            if (!strcmp(look_text(c, "name"), FIND_CONTAINER))
                return true;
        }
    }
    return false;
}

/* Higher is better; negative: not this one. Of several the one that is connected, else one that stays. */
static int rank(const struct search *s, const json_t *pod) {
    const json_t *labels = look(pod, "metadata.labels");
    const char *label = json_string_value(json_object_get(labels, FIND_LABEL));
    bool named = label && s->instance && !strcmp(label, s->instance);
    if (label && s->instance && !named)
        return -1;
    if (!named && (!s->selector || !json_object_size(s->selector) || !look_within(s->selector, labels)))
        return -1;
    if (!named && s->pod && *s->pod && strcmp(s->pod, kube_name(pod)) != 0)
        return -1;
    const char *phase = look_text(pod, "status.phase");
    if (!strcmp(phase, "Succeeded") || !strcmp(phase, "Failed"))
        return -1;
    struct world_session session;
    bool connected = s->world->ops->session(s->world->user, kube_uid(pod), &session) && session.connected;
    return (named ? 8 : 0) + (connected ? 4 : 0) + (look(pod, "metadata.deletionTimestamp") ? 0 : 2) + (has_sidecar(pod) ? 1 : 0);
}

static void consider(void *user, const json_t *pod) {
    struct search *s = user;
    int r = rank(s, pod);
    if (r < 0)
        return;
    if (!s->best || r > s->best_rank || (r == s->best_rank && strcmp(kube_name(pod), kube_name(s->best)) < 0)) {
        s->best = pod;
        s->best_rank = r;
    }
}

static void judge(const struct world *world, struct found *f) {
    f->pod_uid = kube_uid(f->pod);
    f->seen = world->ops->session(world->user, f->pod_uid, &f->session);
    if (f->seen && f->session.connected) {
        f->outcome = FIND_CONNECTED;
        (void)str_format(f->text, sizeof(f->text), "pod %s, version %s", kube_name(f->pod), f->session.version);
    } else if (has_sidecar(f->pod)) {
        f->outcome = FIND_NOT_CONNECTED;
        (void)str_format(
            f->text, sizeof(f->text),
            "the sidecar of pod %s is not connected. Look at its log, and whether its controller.address is this controller",
            kube_name(f->pod));
    } else {
        f->outcome = FIND_NO_SIDECAR;
        (void)str_format(f->text, sizeof(f->text),
                         "pod %s has no container '" FIND_CONTAINER "': nothing is backed up. Install SQL Server with the chart "
                         "mssql-helm, or add the sidecar to its pod template",
                         kube_name(f->pod));
    }
}

void find_sidecar(const struct world *world, const char *namespace, const char *host, const char *instance,
                  struct found *ret_found) {
    struct found f = {.outcome = FIND_NO_SERVICE, .pod_uid = ""};
    struct find_host at;
    const json_t *service = NULL;
    bool is_name = find_host(world, namespace, host, &at);
    if (is_name && !strcmp(at.namespace, namespace))
        world_get(world, WORLD_SERVICE, at.namespace, at.service, &service);
    struct search s = {
        .world = world, .selector = look(service, "spec.selector"), .instance = instance, .pod = is_name ? at.pod : ""};
    world_each(world, WORLD_POD, namespace, consider, &s);
    f.pod = s.best;
    if (f.pod) {
        judge(world, &f);
    } else if (service) {
        f.outcome = FIND_NO_POD;
        (void)str_format(f.text, sizeof(f.text), "Service %s selects no pod: SQL Server is not running", at.service);
    } else if (is_name && strcmp(at.namespace, namespace) != 0) {
        (void)str_format(f.text, sizeof(f.text),
                         "connection.host '%.200s' is in namespace %.60s: an instance must be in the namespace of its SQL Server",
                         host, at.namespace);
    } else {
        (void)str_format(f.text, sizeof(f.text),
                         "connection.host '%.200s' is no Service in namespace %.60s. Name the Service of SQL Server, or label "
                         "its pod " FIND_LABEL "=%.60s",
                         host, namespace, instance ? instance : "<instance>");
    }
    *ret_found = f;
}
