/* SPDX-License-Identifier: Apache-2.0 */
/* SetHold: an object in the store, so that every reader of it knows. */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/store/holds.h"
#include "mssql/v1/sidecar.pb-c.h"
#include "sidecar/holds.h"
#include "sidecar/rpc/service.h"
#include "sidecar/status.h"

struct hold_work {
    struct service_work work;
    struct store *store;
    char folder[NAME_FOLDER_MAX];
    char database[CATALOG_NAME_MAX];
    uint32_t catalog_id;
    bool release;
    struct hold hold;
    struct hold *all; /* of the database, as they are now */
    size_t count, cap;
};

static int remember(void *user, const struct hold *hold, struct err *err) {
    struct hold_work *h = user;
    (void)err;
    h->all = mem_grow(h->all, &h->cap, h->count + 1, sizeof(*h->all));
    h->all[h->count++] = *hold;
    return 0;
}

static void run(struct pool_item *item) {
    struct hold_work *h = container_of(item, struct hold_work, work.item);
    const char *scope = h->work.agent->scope;
    err_clear(&h->work.err);
    int rc = h->release ? hold_release(h->store, scope, h->folder, h->hold.id, &h->work.err)
                        : hold_create(h->store, scope, h->folder, &h->hold, &h->work.err);
    if (rc == 0)
        (void)!hold_list(h->store, scope, h->folder, remember, h, &h->work.err); /* the class is the result */
}

/* How many sets this one keeps. */
static uint32_t kept(const struct hold_work *h) {
    const struct catalog *catalog = keeper_catalog(h->work.agent->keeper);
    struct catalog_entry e = {.index = CATALOG_NONE};
    struct err ignored;
    uint32_t n = 0;
    while (catalog && !h->release && catalog_previous(catalog, h->catalog_id, &e, &ignored) > 0)
        n += hold_keeps(&h->hold, &e.backup);
    return n;
}

static void drop(struct hold_work *h) {
    mem_free(h->all);
    mem_free(h);
}

static void done(struct pool_item *item) {
    struct hold_work *h = container_of(item, struct hold_work, work.item);
    keeper_put_store(h->work.agent->keeper, h->store);
    if (h->work.err.class != ERR_NONE) {
        service_fail(&h->work);
        drop(h);
        return;
    }
    Mssql__V1__SetHoldResponse *r = mem_alloc(sizeof(*r));
    mssql__v1__set_hold_response__init(r);
    r->hold = mem_alloc(sizeof(*r->hold));
    mssql__v1__hold__init(r->hold);
    r->hold->id = mem_strdup(h->hold.id);
    r->hold->database = mem_strdup(h->database);
    r->hold->set_guid = message_guid(&h->hold.set_guid);
    r->hold->from_at = h->hold.from_at;
    r->hold->until_at = h->hold.until_at;
    r->hold->reason = mem_strdup(h->hold.reason);
    r->hold->created_at = h->hold.created_at;
    r->hold->expires_at = h->hold.expires_at;
    holds_replace(h->work.agent, h->folder, h->all, h->count);
    r->backups = kept(h);
    service_reply(&h->work, &r->base);
    mssql__v1__set_hold_response__free_unpacked(r, NULL);
    drop(h);
}

static int fill(struct agent *agent, const Mssql__V1__SetHoldRequest *q, const char *by, struct hold_work *h, struct err *err) {
    struct catalog *catalog = keeper_catalog(agent->keeper);
    const struct catalog_database *cd = NULL;
    for (uint32_t id = 0; catalog && id < catalog_database_count(catalog); id++)
        if (str_ieq(catalog_database_at(catalog, id)->name, q->database))
            cd = catalog_database_at(catalog, id);
    if (!cd)
        return err_set(err, ERR_NOT_FOUND, "there is no backup of a database '%s'", q->database);
    h->release = q->release;
    if (!q->release && !*q->reason)
        return err_set(err, ERR_USAGE, "a hold needs a reason");
    if (q->release && !*q->id)
        return err_set(err, ERR_USAGE, "name the hold to release");
    if (*q->set_guid && !guid_parse(q->set_guid, &h->hold.set_guid))
        return err_set(err, ERR_USAGE, "'%s' is not the GUID of a backup set", q->set_guid);
    if (q->until_at && q->until_at < q->from_at)
        return err_set(err, ERR_USAGE, "the end of the hold is before its beginning");
    if (!q->release && !*q->set_guid && !q->from_at)
        return err_set(err, ERR_USAGE, "say what to hold: a backup set, or the moments from and until");
    struct catalog_entry e;
    if (*q->set_guid && catalog_find(catalog, cd->id, &h->hold.set_guid, &e, err) < 0)
        return -1;
    h->catalog_id = cd->id;
    str_copy(h->folder, sizeof(h->folder), cd->folder);
    str_copy(h->database, sizeof(h->database), cd->name);
    str_copy(h->hold.id, sizeof(h->hold.id), q->id);
    str_copy(h->hold.reason, sizeof(h->hold.reason), q->reason);
    str_copy(h->hold.by, sizeof(h->hold.by), by);
    h->hold.from_at = *q->set_guid ? 0 : q->from_at;
    h->hold.until_at = *q->set_guid ? 0 : q->until_at;
    h->hold.created_at = clock_wall();
    h->hold.expires_at = q->expires_at;
    h->store = keeper_take_store(agent->keeper);
    return h->store ? 0 : err_set(err, ERR_STORE, "the store is not usable: %s", keeper_state(agent->keeper)->error.text);
}

void service_set_hold(void *user, struct rpc_call *call, const ProtobufCMessage *request) {
    struct agent *agent = user;
    if (!service_opened(agent, call))
        return;
    struct hold_work *h = mem_alloc(sizeof(*h));
    h->work = (struct service_work){.item = {.work = run, .done = done}, .agent = agent, .call = call};
    const char *peer = rpc_call_peer_name(call);
    struct err err;
    if (fill(agent, (const void *)request, *peer ? peer : rpc_call_peer(call), h, &err) < 0) {
        rpc_call_fail(call, &err);
        drop(h);
        return;
    }
    if (service_submit(&h->work))
        return;
    keeper_put_store(agent->keeper, h->store);
    drop(h);
}
