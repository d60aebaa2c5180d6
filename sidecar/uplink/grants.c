/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Grants that other sidecars show to fetch backups. A grant is for the sets that it names, from this process, to one pod, and each object
 * can be read to its end once: a fetch that broke may go on, one that is whole may not come again, and two at a time neither.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "sidecar/uplink/uplink_int.h"

#define USES_MAX 20000

struct grant_use {
    struct uplink *uplink;
    char *key; /* grant, set, stripe */
    int64_t until_at;
    bool open, whole;
    struct grant_use *next;
};

static void use_free(struct grant_use *use) {
    mem_free(use->key);
    mem_free(use);
}

void grants_free(struct uplink *u) {
    while (u->uses) {
        struct grant_use *use = u->uses;
        u->uses = use->next;
        use_free(use);
    }
}

/* Uses of expired grants: those are refused for their time. A minute more than grant_check() allows. */
void grants_sweep(struct uplink *u) {
    int64_t now = clock_wall();
    for (struct grant_use **at = &u->uses; *at;) {
        struct grant_use *use = *at;
        if (use->open || now < use->until_at + 2 * CLOCK_MINUTE) {
            at = &use->next;
            continue;
        }
        *at = use->next;
        use_free(use);
    }
}

static bool names_set(const Mssql__V1__Grant *g, const char *set_guid) {
    for (size_t i = 0; i < g->n_set_guids; i++)
        if (str_ieq(g->set_guids[i], set_guid))
            return true;
    return false;
}

static int check(const struct uplink *u, const Mssql__V1__Grant *g, const Mssql__V1__FetchBackupRequest *q, struct err *err) {
    const char *own = getenv("POD_UID");
    if (strcmp(g->source_pod_uid, own ? own : "") || strcmp(g->source_process_id, u->process_id))
        return err_set(err, ERR_PERMISSION, "the grant is for another sidecar, or for one before it was started again");
    if (!*q->pod_uid || strcmp(g->target_pod_uid, q->pod_uid))
        return err_set(err, ERR_PERMISSION, "the grant is for another pod");
    if (!*q->set_guid || !names_set(g, q->set_guid))
        return err_set(err, ERR_PERMISSION, "the grant is for other backup sets");
    return 0;
}

static int begin_use(struct uplink *u, const Mssql__V1__Grant *g, const Mssql__V1__FetchBackupRequest *q,
                     struct grant_use **ret_use, struct err *err) {
    char *key = mem_printf("%s/%s/%u", g->id, q->set_guid, q->stripe ? q->stripe : 1);
    struct grant_use *use = u->uses;
    unsigned count = 0;
    for (; use && !str_ieq(use->key, key); use = use->next)
        count++;
    if (use) {
        mem_free(key);
        if (use->whole)
            return err_set(err, ERR_PERMISSION, "the grant was used for this backup already");
        if (use->open)
            return err_set(err, ERR_PERMISSION, "the grant is being used for this backup");
    } else {
        if (count >= USES_MAX) {
            mem_free(key);
            return err_set(err, ERR_LIMIT, "too many grants are in use");
        }
        use = mem_alloc(sizeof(*use));
        *use = (struct grant_use){.uplink = u, .key = key, .until_at = g->until_at, .next = u->uses};
        u->uses = use;
    }
    use->open = true;
    *ret_use = use;
    return 0;
}

int uplink_grant_begin(struct uplink *u, const Mssql__V1__FetchBackupRequest *q, struct grant_use **ret_use, struct err *err) {
    Mssql__V1__Grant *g;
    if (!u || !u->grant_key_known)
        return err_set(err, ERR_PERMISSION, "this sidecar has no session with a controller whose grants it could check");
    if (grant_check(u->grant_key, q->grant.data, q->grant.len, clock_wall(), &g, err) < 0)
        return -1;
    grants_sweep(u);
    int rc = check(u, g, q, err);
    if (rc == 0)
        rc = begin_use(u, g, q, ret_use, err);
    if (rc == 0)
        log_event(LOG_INFO, "a grant is used", "grant", g->id, "set", q->set_guid, "pod", q->pod_uid, NULL);
    mssql__v1__grant__free_unpacked(g, NULL);
    return rc;
}

void uplink_grant_end(struct grant_use *use, bool whole) {
    if (!use)
        return;
    use->open = false;
    use->whole |= whole;
}
