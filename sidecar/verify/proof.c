/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/verify/proof.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define FILE_BYTES_MAX (8u << 20)

const char *const *proof_fault_points(void) {
    static const char *const points[] = {"verify.proof", NULL};
    return points;
}

void proofs_done(struct proofs *all) {
    for (size_t i = 0; i < all->count; i++)
        mem_free(all->items[i].text);
    mem_free(all->items);
    mem_free(all->path);
    *all = (struct proofs){0};
}

struct proof *proofs_find(const struct proofs *all, const char *folder) {
    for (size_t i = 0; i < all->count; i++)
        if (!strcmp(all->items[i].folder, folder))
            return &all->items[i];
    return NULL;
}

struct proof *proofs_put(struct proofs *all, const char *folder) {
    struct proof *known = proofs_find(all, folder);
    if (known || all->count == PROOFS_MAX)
        return known;
    all->items = mem_grow(all->items, &all->cap, all->count + 1, sizeof(*all->items));
    struct proof *p = &all->items[all->count++];
    *p = (struct proof){0};
    str_copy(p->folder, sizeof(p->folder), folder);
    return p;
}

void proof_note(struct proof *p, const struct trial_result *r, const struct err *why, bool requested, int64_t now) {
    p->finished_at = now;
    p->verified = r->verified;
    p->checked = r->checked;
    p->requested = requested;
    p->class = r->verified ? ERR_NONE : why->class;
    mem_free(p->text);
    p->text = r->verified ? NULL : mem_strdup(why->text);
    p->reached_at = r->reached_at;
    p->data_mb_per_s = r->data_mb_per_s;
    p->seconds_per_log = r->seconds_per_log;
    p->total_ms = r->phases.total_ms;
    p->attempts = 0;
    if (r->verified) {
        p->verified_at = now;
        p->verified_reached_at = r->reached_at;
    }
}

/* ---- the file ---- */

static int64_t whole(const json_t *o, const char *key) {
    return json_integer_value(json_object_get(o, key));
}

static bool parse_item(struct proofs *all, const json_t *o) {
    const char *folder = json_string_value(json_object_get(o, "folder"));
    const char *class = json_string_value(json_object_get(o, "errorClass"));
    const char *text = json_string_value(json_object_get(o, "message"));
    struct proof *p = folder && strlen(folder) < NAME_FOLDER_MAX && class ? proofs_put(all, folder) : NULL;
    if (!p)
        return false;
    p->finished_at = whole(o, "finishedAt");
    p->verified = json_is_true(json_object_get(o, "verified"));
    p->checked = json_is_true(json_object_get(o, "checked"));
    p->requested = json_is_true(json_object_get(o, "requested"));
    p->class = err_class_parse(class);
    mem_free(p->text);
    p->text = text ? mem_strdup(text) : NULL;
    p->reached_at = whole(o, "reachedAt");
    p->verified_at = whole(o, "verifiedAt");
    p->verified_reached_at = whole(o, "verifiedReachedAt");
    p->data_mb_per_s = json_number_value(json_object_get(o, "dataMBPerSecond"));
    p->seconds_per_log = json_number_value(json_object_get(o, "secondsPerLog"));
    p->total_ms = whole(o, "totalMs");
    p->round = (uint64_t)whole(o, "round");
    p->attempts = (unsigned)whole(o, "attempts");
    return true;
}

static int load(struct proofs *all, struct err *err) {
    _cleanup_free_ char *data = NULL;
    size_t len, i;
    json_t *item;
    if (!file_exists(all->path))
        return 0;
    if (file_read_all(all->path, FILE_BYTES_MAX, &data, &len, err) < 0)
        return -1;
    json_t *root = json_loadb(data, len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *list = json_object_get(root, "databases");
    bool good = json_is_array(list);
    json_array_foreach(list, i, item) good = good && parse_item(all, item);
    all->round_at = whole(root, "roundAt");
    all->round = (uint64_t)whole(root, "round");
    json_decref(root);
    return good ? 0 : err_set(err, ERR_CORRUPT, "%s cannot be read", all->path);
}

void proofs_load(struct proofs *all, const char *path) {
    struct err err;
    proofs_done(all);
    all->path = mem_strdup(path);
    if (load(all, &err) == 0)
        return;
    log_error(LOG_WARN, &err, "what trial restores have proven is forgotten", NULL);
    proofs_done(all);
    all->path = mem_strdup(path);
}

static json_t *item_json(const struct proof *p) {
    json_t *o = json_pack("{s:s, s:I, s:b, s:b, s:b, s:s, s:I, s:I, s:I, s:f, s:f, s:I, s:I, s:I}", "folder", p->folder,
                          "finishedAt", (json_int_t)p->finished_at, "verified", p->verified, "checked", p->checked, "requested",
                          p->requested, "errorClass", err_class_name(p->class), "reachedAt", (json_int_t)p->reached_at,
                          "verifiedAt", (json_int_t)p->verified_at, "verifiedReachedAt", (json_int_t)p->verified_reached_at,
                          "dataMBPerSecond", p->data_mb_per_s, "secondsPerLog", p->seconds_per_log, "totalMs",
                          (json_int_t)p->total_ms, "round", (json_int_t)p->round, "attempts", (json_int_t)p->attempts);
    if (o && p->text)
        (void)json_object_set_new(o, "message", json_string(p->text)); /* not UTF-8: left out */
    return o;
}

int proofs_save(const struct proofs *all, struct err *err) {
    json_t *list = json_array();
    for (size_t i = 0; i < all->count; i++)
        json_array_append_new(list, item_json(&all->items[i]));
    json_t *root = json_pack("{s:I, s:I, s:o}", "round", (json_int_t)all->round, "roundAt", (json_int_t)all->round_at,
                             "databases", list);
    char *out = json_dumps(root, JSON_INDENT(1));
    json_decref(root);
    if (!out)
        return err_set(err, ERR_INTERNAL, "the results of trial restores cannot be said in JSON");
    int rc = fault_point("verify.proof", FAULT_BEFORE, err);
    if (rc == 0)
        rc = file_write_durable(all->path, out, strlen(out), 0600, err);
    free(out);
    return rc == 0 ? fault_point("verify.proof", FAULT_AFTER, err) : -1;
}
