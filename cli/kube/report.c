/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory for somebody who helps. No Secret is read. What people put values into that nobody else should see is taken
 * out of the objects: values of environment variables, annotations of kubectl apply, managed fields.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/kube/commands.h"
#include "cli/kube/kubectl.h"
#include "cli/kube/object.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define LOG_LINES "--tail=5000"

struct report {
    struct cli *cli;
    const char *dir;
    unsigned written, missing;
};

/* ---- taking out ---- */

static void redact_environment(json_t *list) {
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *entry = json_array_get(list, i);
        if (json_object_get(entry, "value"))
            json_object_set_new(entry, "value", json_string("<taken out>"));
    }
}

/* Everywhere in it, whatever kind it is. */
static void redact(json_t *value) {
    const char *key;
    json_t *inner;
    size_t i;
    if (json_is_array(value)) {
        json_array_foreach(value, i, inner) redact(inner);
        return;
    }
    if (!json_is_object(value))
        return;
    json_object_del(value, "managedFields");
    json_object_del(json_object_get(value, "annotations"), "kubectl.kubernetes.io/last-applied-configuration");
    redact_environment(json_object_get(value, "env"));
    json_object_foreach(value, key, inner) redact(inner);
}

/* ---- writing ---- */

static void put(struct report *r, const char *name, const char *text) {
    struct err err = {0};
    _cleanup_free_ char *path = mem_printf("%s/%s", r->dir, name);
    FILE *f = fopen(path, "wxe");
    if (!f || fputs(text, f) < 0)
        err_os(&err, ERR_NONE, errno, "%s", path);
    if (f && fclose(f) != 0 && err.class == ERR_NONE)
        err_os(&err, ERR_NONE, errno, "%s", path);
    if (err.class != ERR_NONE) {
        cli_fail_later(r->cli, &err);
        return;
    }
    r->written++;
}

/* What cannot be had stands in the report too: the reason is often what was looked for. */
static void put_missing(struct report *r, const char *name, const struct err *why) {
    _cleanup_free_ char *file = mem_printf("%s.missing", name), *text = mem_printf("%s\n", why->text);
    put(r, file, text);
    r->missing++;
}

static json_t *put_objects(struct report *r, const char *name, struct kubectl *k) {
    struct err why = {0};
    json_t *answer;
    if (kubectl_json(k, NULL, &answer, &why) < 0) {
        put_missing(r, name, &why);
        return NULL;
    }
    redact(answer);
    char *text = json_dumps(answer, JSON_INDENT(2));
    put(r, name, text);
    free(text);
    return answer;
}

static void put_text(struct report *r, const char *name, const struct kubectl *k) {
    struct err why = {0};
    _cleanup_free_ char *text = NULL;
    if (kubectl_text(k, NULL, &text, &why) < 0)
        put_missing(r, name, &why);
    else
        put(r, name, text);
}

/* ---- what goes in ---- */

static void put_kinds(struct report *r, const char *namespace) {
    static const char *const kinds[][2] = {
        {KUBE_POLICIES, "policies.json"},
        {KUBE_BACKUPS, "backups.json"},
        {KUBE_REQUESTS, "requests.json"},
        {KUBE_JOBS, "jobs.json"},
        {"pods", "pods.json"},
        {"statefulsets,deployments", "workloads.json"},
        {"services,endpoints", "services.json"},
        {"persistentvolumeclaims", "claims.json"},
        {"events", "events.json"},
        {"leases", "leases.json"},
    };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct kubectl k;
        kubectl_begin(&k, r->cli, "get", kinds[i][0], "--namespace", namespace, NULL);
        json_decref(put_objects(r, kinds[i][1], &k));
    }
}

static void put_sidecar(struct report *r, const json_t *instance) {
    static const char *const questions[][3] = {{"status", NULL, "status"},
                                               {"chain", NULL, "chain"},
                                               {"backups", "--limit=500", "backups"},
                                               {"preflight", NULL, "preflight"}};
    struct err why = {0};
    _cleanup_free_ char *pod = NULL;
    if (object_pod(r->cli, instance, &pod, &why) < 0) {
        _cleanup_free_ char *name = mem_printf("%s-sidecar", object_name(instance));
        put_missing(r, name, &why);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(questions); i++) {
        struct kubectl k;
        _cleanup_free_ char *name = mem_printf("%s-%s.json", object_name(instance), questions[i][2]);
        kubectl_begin(&k, r->cli, "exec", pod, "--container", OBJECT_CONTAINER, "--namespace", object_namespace(instance), "--",
                      "mssqlctl", questions[i][0], "--output=json", NULL);
        if (questions[i][1])
            kubectl_add(&k, questions[i][1]);
        put_text(r, name, &k);
    }
    for (int previous = 0; previous < 2; previous++) {
        struct kubectl k;
        _cleanup_free_ char *name = mem_printf("%s-sidecar%s.log", object_name(instance), previous ? "-previous" : "");
        kubectl_begin(&k, r->cli, "logs", pod, "--container", OBJECT_CONTAINER, "--namespace", object_namespace(instance),
                      LOG_LINES, NULL);
        if (previous)
            kubectl_add(&k, "--previous");
        put_text(r, name, &k);
    }
}

static void put_controller(struct report *r, const char *namespace) {
    struct kubectl k;
    kubectl_begin(&k, r->cli, "logs", "--selector=app.kubernetes.io/component=operator", "--namespace", namespace, LOG_LINES,
                  NULL);
    put_text(r, "controller.log", &k);
}

static int fill(struct report *r, struct err *err) {
    struct kubectl k;
    json_t *one = NULL, *all;
    kubectl_begin(&k, r->cli, "get", KUBE_INSTANCES, NULL);
    if (r->cli->args.word_count && object_instance(r->cli, r->cli->args.words[0], &one, err) < 0)
        return -1;
    if (kubectl_json(&k, NULL, &all, err) < 0) {
        json_decref(one);
        return -1;
    }
    const json_t *items = json_object_get(all, "items");
    const char *namespace = json_array_size(items) ? object_namespace(json_array_get(items, 0)) : "";
    if (mkdir(r->dir, 0700) < 0) {
        err_os(err, errno == EEXIST ? ERR_EXISTS : ERR_NONE, errno, "%s", r->dir);
    } else if (!*namespace) {
        err_set(err, ERR_NOT_FOUND, "there is no MSSQLInstance in this namespace; -n names another one");
    } else {
        put_kinds(r, namespace);
        put_controller(r, namespace);
        for (size_t i = 0; i < json_array_size(items); i++)
            if (!one || !strcmp(object_name(json_array_get(items, i)), object_name(one)))
                put_sidecar(r, json_array_get(items, i));
        redact(all);
        char *text = json_dumps(all, JSON_INDENT(2));
        put(r, "instances.json", text);
        free(text);
    }
    json_decref(all);
    json_decref(one);
    return err->class == ERR_NONE ? 0 : -1;
}

int kube_report(struct cli *cli, struct err *err) {
    const char *given = cli_value(&cli->args, "--directory");
    char now[CLOCK_TEXT_MAX];
    clock_format(now, cli->now / CLOCK_SECOND * CLOCK_SECOND);
    for (char *p = now; *p; p++)
        if (*p == ':')
            *p = '-';
    _cleanup_free_ char *made = mem_printf("mssql-report-%s", now);
    struct report r = {.cli = cli, .dir = given ? given : made};
    if (fill(&r, err) < 0)
        return -1;
    cli_say(cli, CLI_PLAIN, "%s: %u files, %u of them say why something could not be had", r.dir, r.written, r.missing);
    return 0;
}
