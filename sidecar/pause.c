/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/pause.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define FILE_BYTES_MAX (1u << 20)

static char *path_of(const struct agent *agent) {
    return file_join(agent->config->paths.state, "pauses.json");
}

static bool text(const json_t *object, const char *key, char *dst, size_t dst_bytes) {
    const char *s = json_string_value(json_object_get(object, key));
    return s && str_copy(dst, dst_bytes, s);
}

static bool time_value(const json_t *object, const char *key, int64_t *ret_at) {
    const char *s = json_string_value(json_object_get(object, key));
    *ret_at = 0;
    return !s || clock_parse(s, ret_at);
}

static int parse(struct pauses *p, const json_t *root) {
    size_t i;
    json_t *item;
    json_array_foreach(root, i, item) {
        struct pause entry;
        if (p->count == PAUSES_MAX || !text(item, "database", entry.database, sizeof(entry.database)) ||
            !text(item, "reason", entry.reason, sizeof(entry.reason)) || !text(item, "by", entry.by, sizeof(entry.by)) ||
            !time_value(item, "since", &entry.since_at) || !time_value(item, "until", &entry.until_at))
            return -1;
        p->items = mem_realloc(p->items, (p->count + 1) * sizeof(entry));
        p->items[p->count++] = entry;
    }
    return json_is_array(root) ? 0 : -1;
}

int pauses_load(struct agent *agent, struct err *err) {
    _cleanup_free_ char *path = path_of(agent);
    if (!file_exists(path))
        return 0;
    _cleanup_free_ char *data = NULL;
    size_t len;
    if (file_read_all(path, FILE_BYTES_MAX, &data, &len, err) < 0)
        return -1;
    json_t *root = json_loadb(data, len, JSON_REJECT_DUPLICATES, NULL);
    int rc = root ? parse(agent->pauses, root) : -1;
    json_decref(root);
    if (rc < 0) {
        mem_free(agent->pauses->items);
        *agent->pauses = (struct pauses){0};
        err_set(err, ERR_CORRUPT, "%s cannot be read", path);
        return err_hint(err, "Remove it to forget all pauses");
    }
    return 0;
}

static int save(struct agent *agent, struct err *err) {
    json_t *root = json_array();
    for (size_t i = 0; i < agent->pauses->count; i++) {
        const struct pause *p = &agent->pauses->items[i];
        char since[CLOCK_TEXT_MAX], until[CLOCK_TEXT_MAX];
        json_t *o = json_pack("{s:s, s:s, s:s, s:s}", "database", p->database, "reason", p->reason, "by", p->by, "since",
                              clock_format(since, p->since_at));
        if (p->until_at)
            json_object_set_new(o, "until", json_string(clock_format(until, p->until_at)));
        json_array_append_new(root, o);
    }
    char *out = json_dumps(root, JSON_INDENT(2));
    _cleanup_free_ char *path = path_of(agent);
    int rc = file_write_durable(path, out, strlen(out), 0600, err);
    free(out);
    json_decref(root);
    return rc;
}

static void drop(struct pauses *p, const char *database) {
    size_t kept = 0;
    for (size_t i = 0; i < p->count; i++)
        if (*database && !str_ieq(p->items[i].database, database))
            p->items[kept++] = p->items[i];
    p->count = kept;
}

static void drop_expired(struct pauses *p, int64_t now) {
    size_t kept = 0;
    for (size_t i = 0; i < p->count; i++)
        if (!p->items[i].until_at || p->items[i].until_at > now)
            p->items[kept++] = p->items[i];
    p->count = kept;
}

int pause_set(struct agent *agent, const struct pause *pause, struct err *err) {
    struct pauses *p = agent->pauses;
    drop_expired(p, clock_wall());
    for (size_t i = 0; i < p->count; i++)
        if (str_ieq(p->items[i].database, pause->database)) {
            p->items[i] = *pause;
            return save(agent, err);
        }
    if (p->count == PAUSES_MAX)
        return err_set(err, ERR_LIMIT, "there are %u pauses already: pause everything, or resume some", PAUSES_MAX);
    p->items = mem_realloc(p->items, (p->count + 1) * sizeof(*pause));
    p->items[p->count++] = *pause;
    log_event(LOG_WARN, "backups are paused", "database", *pause->database ? pause->database : "*", "reason", pause->reason, "by",
              pause->by, NULL);
    return save(agent, err);
}

int pause_clear(struct agent *agent, const char *database, struct err *err) {
    drop(agent->pauses, database);
    log_event(LOG_INFO, "backups are resumed", "database", *database ? database : "*", NULL);
    return save(agent, err);
}

const struct pause *pause_of(const struct agent *agent, const char *database, int64_t now) {
    struct pauses *p = agent->pauses;
    for (size_t i = 0; i < p->count; i++) {
        const struct pause *item = &p->items[i];
        bool fits = !item->database[0] || (database && str_ieq(item->database, database));
        if (fits && (!item->until_at || item->until_at > now))
            return item;
    }
    if (!policy_paused(agent->policy, now))
        return NULL;
    p->policy = (struct pause){.since_at = agent->policy_at, .until_at = agent->policy->paused_until};
    str_copy(p->policy.reason, sizeof(p->policy.reason), agent->policy->paused_reason);
    str_copy(p->policy.by, sizeof(p->policy.by), "policy");
    return &p->policy;
}

void pauses_free(struct agent *agent) {
    if (!agent->pauses)
        return;
    mem_free(agent->pauses->items);
    mem_free(agent->pauses);
}
