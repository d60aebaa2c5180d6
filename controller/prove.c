/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/prove.h"

#include <ev.h>
#include <signal.h>
#include <string.h>

#include "common/base/guid.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "controller/kube/client.h"

#define TIMEOUT_MS (15 * 60 * 1000)
#define AGAIN_S 1.0 /* a watch that ended begins again */
#define SUFFIX_LEN 8
#define DATABASE_MAX 100 /* the copy's name is longer and must fit as well */
#define EXPIRES "10m"
#define API_VERSION "dbaas.cozy.io/v1alpha1"

enum stage { STAGE_INSTANCE, STAGE_BACKUP, STAGE_RESTORE, STAGE_COUNT };

static const struct kube_kind kinds[STAGE_COUNT] = {
    {"dbaas.cozy.io", "v1alpha1", "MSSQLInstance", "mssqlinstances", true},
    {"dbaas.cozy.io", "v1alpha1", "MSSQLBackup", "mssqlbackups", true},
    {"dbaas.cozy.io", "v1alpha1", "MSSQLRestoreRequest", "mssqlrestorerequests", true},
};

struct prove {
    const char *instance, *kubeconfig, *namespace;
    char database[DATABASE_MAX + 1], policy[KUBE_NAME_MAX], made[KUBE_NAME_MAX];
    char suffix[SUFFIX_LEN + 1];
    int64_t timeout_ms;
    struct kube_config config;
    struct kube_client *client;
    struct ev_loop *ev;
    ev_timer deadline, again;
    struct kube_call *call;
    enum stage stage;
    bool reached; /* what the stage waits for */
    bool ended;
    char waiting[512]; /* for what, said once */
    struct err err;
};

static void watch(struct prove *prove);

static void end(struct prove *prove) {
    prove->ended = true;
    ev_break(prove->ev, EVBREAK_ALL);
}

static const char *text(const json_t *object, const char *key) {
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : "";
}

static void waits(struct prove *prove, const char *kind, const char *what, const char *why) {
    char line[sizeof(prove->waiting)];
    str_format(line, sizeof(line), "%s: %s%s%s", kind, what, *why ? ": " : "", why);
    if (strcmp(line, prove->waiting) != 0)
        log_event(LOG_INFO, "waiting", "for", line, NULL);
    str_copy(prove->waiting, sizeof(prove->waiting), line);
}

/* ---- the instance ---- */

static const json_t *condition(const json_t *status, const char *type) {
    size_t i;
    json_t *c;
    json_array_foreach(json_object_get(status, "conditions"), i, c) {
        if (!strcmp(text(c, "type"), type))
            return c;
    }
    return NULL;
}

static bool system_database(const char *name) {
    return !strcmp(name, "master") || !strcmp(name, "model") || !strcmp(name, "msdb") || !strcmp(name, "tempdb");
}

/* The one that is asked for, or the first of somebody's own, once it can be restored. */
static bool choose(struct prove *prove, const json_t *status) {
    size_t i;
    json_t *window;
    json_array_foreach(json_object_get(status, "databaseWindows"), i, window) {
        const char *name = text(window, "name");
        bool meant = *prove->database ? !strcmp(name, prove->database) : !system_database(name) && strlen(name) <= DATABASE_MAX;
        if (meant && *text(window, "latestRestorableTime"))
            return str_copy(prove->database, sizeof(prove->database), name);
    }
    return false;
}

static void judge_instance(struct prove *prove, const json_t *object) {
    const json_t *status = json_object_get(object, "status"), *connected = condition(status, "SidecarConnected");
    if (strcmp(text(connected, "status"), "True") != 0)
        waits(prove, "MSSQLInstance", "its sidecar is not connected", text(connected, "message"));
    else if (!choose(prove, status) && *prove->database)
        waits(prove, "MSSQLInstance", "there is no restorable backup yet of database", prove->database);
    else if (!*prove->database)
        waits(prove, "MSSQLInstance", "it has no database with a restorable backup but SQL Server's own; make one", "");
    else {
        if (!str_copy(prove->policy, sizeof(prove->policy), text(status, "backupPolicyName")) || !*prove->policy)
            str_format(prove->policy, sizeof(prove->policy), "%.230s-backup-policy", prove->instance);
        prove->reached = true;
    }
}

/* ---- backup and restore ---- */

static json_t *wish(const struct prove *prove) {
    json_t *spec;
    if (prove->stage == STAGE_BACKUP)
        spec = json_pack("{s:{s:s}, s:s, s:b, s:[s], s:i}", "policyRef", "name", prove->policy, "backupType", "full", "copyOnly",
                         1, "databases", prove->database, "ttlSecondsAfterFinished", 3600);
    else
        spec = json_pack("{s:{s:s}, s:b, s:[{s:s, s:o}], s:s, s:i}", "instanceRef", "name", prove->instance, "latest", 1,
                         "databaseRules", "name", prove->database, "newName",
                         json_sprintf("%s_test_%s", prove->database, prove->suffix), "expiresAfter", EXPIRES,
                         "ttlSecondsAfterFinished", 3600);
    return json_pack("{s:s, s:s, s:{s:s, s:{s:s}}, s:o}", "apiVersion", API_VERSION, "kind", kinds[prove->stage].kind, "metadata",
                     "name", prove->made, "labels", "app.kubernetes.io/managed-by", "mssql-controller", "spec", spec);
}

static void judge_wish(struct prove *prove, const json_t *object) {
    const json_t *status = json_object_get(object, "status");
    const char *phase = text(status, "phase"), *kind = kinds[prove->stage].kind;
    if (!strcmp(phase, "Completed"))
        prove->reached = true;
    else if (!strcmp(phase, "Failed") || !strcmp(phase, "Refused")) {
        err_set(&prove->err, ERR_STATE, "%s %s of database %s: %s: %s", kind, prove->made, prove->database, phase,
                text(status, "message"));
        end(prove);
    } else
        waits(prove, kind, *phase ? phase : "no controller has taken it yet", text(status, "message"));
}

static void next(struct prove *prove);

static void created(void *user, const struct kube_result *result) {
    struct prove *prove = user;
    prove->call = NULL;
    if (result->err.class && result->err.class != ERR_EXISTS) { /* the name is random: what exists is what we made */
        err_copy(&prove->err, &result->err);
        end(prove);
    } else
        watch(prove);
}

static void next(struct prove *prove) {
    prove->reached = false;
    if (prove->stage > STAGE_INSTANCE)
        log_event(LOG_INFO, "completed", "kind", kinds[prove->stage].kind, "name", prove->made, "database", prove->database,
                  NULL);
    if (++prove->stage == STAGE_COUNT) {
        end(prove);
        return;
    }
    str_format(prove->made, sizeof(prove->made), "%.200s-test-%s", prove->instance, prove->suffix);
    json_t *body = wish(prove);
    struct kube_op op = {.verb = KUBE_CREATE, .kind = &kinds[prove->stage], .namespace = prove->namespace, .body = body};
    prove->call = kube_start(prove->client, &op, created, prove);
    json_decref(body);
}

/* ---- watching one object ---- */

static int on_event(void *user, const struct kube_event *event) {
    struct prove *prove = user;
    if (event->type == KUBE_DELETED && prove->stage > STAGE_INSTANCE) {
        err_set(&prove->err, ERR_NOT_FOUND, "%s %s was deleted by somebody", kinds[prove->stage].kind, prove->made);
        end(prove);
    } else if (event->type == KUBE_ADDED || event->type == KUBE_MODIFIED)
        (prove->stage == STAGE_INSTANCE ? judge_instance : judge_wish)(prove, event->object);
    return prove->reached || prove->ended;
}

static void watched(void *user, const struct kube_result *result) {
    struct prove *prove = user;
    prove->call = NULL;
    if (prove->ended)
        return;
    if (prove->reached)
        next(prove);
    else if (result->err.class == ERR_PERMISSION || result->err.class == ERR_NOT_FOUND || result->err.class == ERR_AUTH) {
        err_copy(&prove->err, &result->err);
        end(prove);
    } else
        ev_timer_again(prove->ev, &prove->again);
}

static void watch(struct prove *prove) {
    char fields[KUBE_NAME_MAX + 16];
    const char *name = prove->stage == STAGE_INSTANCE ? prove->instance : prove->made;
    str_format(fields, sizeof(fields), "metadata.name=%s", name);
    if (!*prove->waiting)
        waits(prove, "MSSQLInstance", name, "not seen yet");
    struct kube_op op = {
        .verb = KUBE_WATCH, .kind = &kinds[prove->stage], .namespace = prove->namespace, .fields = fields, .on_event = on_event};
    prove->call = kube_start(prove->client, &op, watched, prove);
}

static void on_again(struct ev_loop *ev, ev_timer *timer, int events) {
    struct prove *prove = timer->data;
    (void)events;
    ev_timer_stop(ev, timer);
    watch(prove);
}

static void on_deadline(struct ev_loop *ev, ev_timer *timer, int events) {
    struct prove *prove = timer->data;
    (void)ev, (void)events;
    err_set(&prove->err, ERR_TIMEOUT, "not proven in time. It still waited for %s", prove->waiting);
    end(prove);
}

/* ---- the program ---- */

static int parse(int argc, char **argv, struct prove *prove, struct err *err) {
    if (argc < 1 || argv[0][0] == '-')
        return err_set(err, ERR_USAGE, "--prove needs the name of an MSSQLInstance");
    prove->instance = argv[0];
    for (int i = 1; i < argc; i += 2) {
        const char *flag = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (!value)
            return err_set(err, ERR_USAGE, "%s needs a value", flag);
        if (!strcmp(flag, "--database")) {
            if (!str_copy(prove->database, sizeof(prove->database), value))
                return err_set(err, ERR_USAGE, "--database: at most %d bytes", DATABASE_MAX);
        } else if (!strcmp(flag, "--timeout")) {
            if (!str_to_duration_ms(value, &prove->timeout_ms) || prove->timeout_ms < 1)
                return err_set(err, ERR_USAGE, "--timeout %s is no duration such as 15m", value);
        } else if (!strcmp(flag, "--namespace"))
            prove->namespace = value;
        else if (!strcmp(flag, "--kubeconfig"))
            prove->kubeconfig = value;
        else
            return err_set(err, ERR_USAGE, "unknown flag %s after --prove", flag);
    }
    return 0;
}

static int run(struct prove *prove) {
    struct kube_client_options options = {.ev = prove->ev, .config = &prove->config};
    if (kube_client_new(&options, &prove->client, &prove->err) < 0)
        return -1;
    if (!prove->namespace)
        prove->namespace = prove->config.namespace;
    ev_timer_init(&prove->again, on_again, 0, AGAIN_S);
    ev_timer_init(&prove->deadline, on_deadline, (double)prove->timeout_ms / 1000, 0);
    prove->again.data = prove->deadline.data = prove;
    ev_timer_start(prove->ev, &prove->deadline);
    watch(prove);
    ev_run(prove->ev, 0);
    kube_client_free(prove->client);
    return prove->err.class ? -1 : 0;
}

int prove_main(int argc, char **argv) {
    struct prove prove = {.timeout_ms = TIMEOUT_MS};
    struct guid random;
    log_setup(LOG_INFO, LOG_LOGFMT, "mssql-controller");
    signal(SIGPIPE, SIG_IGN);
    guid_random(&random);
    str_hex(prove.suffix, random.bytes, SUFFIX_LEN / 2);
    int rc = parse(argc - 2, argv + 2, &prove, &prove.err);
    if (rc == 0)
        rc = prove.kubeconfig ? kube_config_load(prove.kubeconfig, NULL, &prove.config, &prove.err)
                              : kube_config_in_cluster(NULL, &prove.config, &prove.err);
    if (rc == 0) {
        prove.ev = ev_loop_new(0);
        rc = run(&prove);
        ev_loop_destroy(prove.ev);
        kube_config_done(&prove.config);
    }
    if (rc < 0)
        log_error(LOG_ERROR, &prove.err, "not proven", NULL);
    else
        log_event(LOG_INFO, "a backup was taken and its database restored", "instance", prove.instance, "database",
                  prove.database, NULL);
    return err_class_exit(prove.err.class);
}
