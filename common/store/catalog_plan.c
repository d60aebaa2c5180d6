/* SPDX-License-Identifier: Apache-2.0 */
#include "common/store/catalog_plan.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/store/catalog_int.h"

#define SETS_FIRST 4096 /* older than the target, for the first try */
#define SETS_GROWTH 8
#define SHIPPED_LATE CLOCK_DAY /* a set may be committed that long after it was taken */
#define PROBE_MAX 4096 /* records looked at to find one of the database */

/* A set of the database at the index or shortly before it; NULL when there is none near. */
static const struct record *set_near(const struct catalog *c, uint32_t database, uint32_t index) {
    for (uint32_t n = 0; n < PROBE_MAX && n <= index; n++) {
        const struct record *r = catalog_peek(c, index - n);
        if (r->type == RECORD_SET && r->database == database)
            return r;
    }
    return NULL;
}

/*
 * A set of the database, near to the first that was finished after the moment; CATALOG_NONE for the end of the file. Sets
 * stand in the order of their commits, which is the order of time but for late ones, so halving is near enough.
 */
static uint32_t index_after(const struct catalog *c, uint32_t database, int64_t at) {
    uint32_t low = 0, high = c->count, found = CATALOG_NONE;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct record *r = set_near(c, database, middle);
        if (!r || r->set.backup.finish_at <= at) {
            low = middle + 1;
        } else {
            found = r->self;
            high = r->self < middle ? r->self : middle;
        }
    }
    return found;
}

/* Sets before `behind`, until `older` of them were finished before the moment. ret_oldest: there are no older ones. */
static int load_part(const struct catalog *c, uint32_t database, uint32_t behind, int64_t at, size_t older,
                     struct catalog_plan *plan, bool *ret_oldest, struct err *err) {
    struct catalog_entry e = {.index = behind};
    size_t cap = 0, count = 0, seen = 0;
    struct backup *sets = mem_grow(NULL, &cap, 1024, sizeof(*sets));
    int rc = 1;
    while (seen < older && (rc = catalog_previous(c, database, &e, err)) > 0) {
        sets = mem_grow(sets, &cap, count + 1, sizeof(*sets));
        sets[count++] = e.backup;
        seen += e.backup.finish_at <= at;
    }
    if (rc < 0) {
        mem_free(sets);
        return -1;
    }
    for (size_t i = 0; i < count / 2; i++) { /* a history is made faster from what is in order */
        struct backup swap = sets[i];
        sets[i] = sets[count - 1 - i];
        sets[count - 1 - i] = swap;
    }
    plan->sets = sets;
    plan->count = count;
    *ret_oldest = !rc;
    return 0;
}

static void plan_from_sets(const struct chain_plan_request *request, struct catalog_plan *plan) {
    struct chain_plan_request q = *request;
    chain_history_init(&plan->history, plan->sets, plan->count);
    q.history = &plan->history;
    plan->planned = chain_plan_build(&q, &plan->plan, &plan->refusal);
}

/* With the sets around the target only; *ret_good is false when that does not say enough. */
static int plan_part(const struct catalog *c, uint32_t database, const struct chain_plan_request *request, size_t older,
                     struct catalog_plan *plan, bool *ret_good, struct err *err) {
    struct chain_plan_request q = *request;
    bool by_time = q.target.kind == CHAIN_TO_TIME, oldest;
    uint32_t behind = by_time ? index_after(c, database, q.target.at + SHIPPED_LATE) : CATALOG_NONE;
    if (load_part(c, database, behind, by_time ? q.target.at : INT64_MAX, older, plan, &oldest, err) < 0)
        return -1;
    if (behind != CATALOG_NONE)
        q.quiet_until_at = 0; /* that is said of the newest set */
    plan_from_sets(&q, plan);
    *ret_good = plan->planned ? plan->plan.closed || oldest : oldest && behind == CATALOG_NONE;
    return 0;
}

int catalog_plan_build(const struct catalog *catalog, uint32_t database, const struct chain_plan_request *request,
                       struct catalog_plan *ret_plan, struct err *err) {
    const struct catalog_database *db = catalog_database_at(catalog, database);
    enum chain_target_kind kind = request->target.kind;
    if (!db)
        return err_set(err, ERR_INTERNAL, "there is no database %u in the catalog", database);
    for (size_t older = SETS_FIRST; older < db->sets && (kind == CHAIN_TO_TIME || kind == CHAIN_TO_LATEST);
         older *= SETS_GROWTH) {
        struct catalog_plan part = {0};
        bool good;
        if (plan_part(catalog, database, request, older, &part, &good, err) < 0)
            return -1;
        if (good) {
            *ret_plan = part;
            return 0;
        }
        bool planned = part.planned;
        catalog_plan_done(&part);
        if (!planned)
            break; /* what is refused needs all that there is, to name the nearest moments */
    }
    struct catalog_plan all = {0};
    if (catalog_load(catalog, database, &all.sets, &all.count, err) < 0)
        return -1;
    plan_from_sets(request, &all);
    *ret_plan = all;
    return 0;
}

void catalog_plan_done(struct catalog_plan *plan) {
    if (plan->planned)
        chain_plan_done(&plan->plan);
    if (plan->history.order)
        chain_history_done(&plan->history);
    mem_free(plan->sets);
    *plan = (struct catalog_plan){0};
}
