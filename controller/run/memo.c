/* SPDX-License-Identifier: Apache-2.0 */
/* What the runner remembers beside the caches. All of it can be lost: it saves work, and decides nothing. */
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "controller/run/run_int.h"

void run_key(char dst[RUN_KEY_MAX], enum world_kind kind, const char *namespace, const char *name) {
    (void)str_format(dst, RUN_KEY_MAX, "%s/%s/%s", world_kind_of(kind)->kind, namespace, name);
}

bool run_key_split(const char *key, enum world_kind *ret_kind, char namespace[254], char name[254]) {
    char kind[64];
    const char *a = strchr(key, '/'), *b = a ? strchr(a + 1, '/') : NULL;
    if (!b || (size_t)(a - key) >= sizeof(kind) || b - a > 254 || strlen(b + 1) > 253)
        return false;
    memcpy(kind, key, (size_t)(a - key));
    kind[a - key] = '\0';
    memcpy(namespace, a + 1, (size_t)(b - a - 1));
    namespace[b - a - 1] = '\0';
    str_copy(name, 254, b + 1);
    *ret_kind = world_kind_named(kind);
    return *ret_kind < WORLD_OWN_COUNT;
}

struct memo *memo_get(struct run *run, const char *key) {
    return kube_map_get(&run->memos, key);
}

static void free_memo(struct memo *memo) {
    json_decref(memo->written);
    mem_free(memo->key), mem_free(memo->uid), mem_free(memo->signature);
    mem_free(memo);
}

struct memo *memo_make(struct run *run, const char *key, const char *uid) {
    struct memo *memo = memo_get(run, key);
    if (memo && !strcmp(memo->uid, uid))
        return memo;
    memo_drop(run, key); /* another object of the name */
    memo = mem_alloc(sizeof(*memo));
    *memo = (struct memo){.key = mem_strdup(key), .uid = mem_strdup(uid), .signature = mem_strdup("")};
    kube_map_put(&run->memos, key, memo);
    kube_map_put(&run->keys, uid, memo);
    return memo;
}

void memo_drop(struct run *run, const char *key) {
    struct memo *memo = kube_map_remove(&run->memos, key);
    if (!memo)
        return;
    if (kube_map_get(&run->keys, memo->uid) == memo)
        kube_map_remove(&run->keys, memo->uid);
    free_memo(memo);
}

static void free_errand(struct errand *errand) {
    mem_free(errand->id), mem_free(errand->pod_uid);
    mem_free(errand);
}

void errand_note(struct run *run, const char *id, const char *pod_uid) {
    struct errand *errand = kube_map_get(&run->errands, id);
    if (errand && !strcmp(errand->pod_uid, pod_uid))
        return;
    errand_drop(run, id);
    errand = mem_alloc(sizeof(*errand));
    *errand = (struct errand){mem_strdup(id), mem_strdup(pod_uid)};
    kube_map_put(&run->errands, id, errand);
}

const struct errand *errand_get(const struct run *run, const char *id) {
    return kube_map_get(&run->errands, id);
}

void errand_drop(struct run *run, const char *id) {
    struct errand *errand = kube_map_remove(&run->errands, id);
    if (errand)
        free_errand(errand);
}

void memo_done(struct run *run) {
    void **all = kube_map_values(&run->memos);
    for (size_t i = 0; i < run->memos.count; i++)
        free_memo(all[i]);
    mem_free(all);
    all = kube_map_values(&run->errands);
    for (size_t i = 0; i < run->errands.count; i++)
        free_errand(all[i]);
    mem_free(all);
    all = kube_map_values(&run->pods);
    for (size_t i = 0; i < run->pods.count; i++)
        mem_free(all[i]);
    mem_free(all);
    kube_map_done(&run->memos);
    kube_map_done(&run->keys);
    kube_map_done(&run->errands);
    kube_map_done(&run->pods);
}
