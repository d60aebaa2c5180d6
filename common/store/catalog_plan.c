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

/* Could this set hold the LSN, or end there? */
static bool set_holds(const struct backup *set, struct lsn lsn) {
    if (set->kind != BACKUP_LOG)
        return !lsn_cmp(set->last_lsn, lsn);
    return lsn_cmp(set->first_lsn, lsn) <= 0 && lsn_cmp(lsn, set->last_lsn) <= 0;
}

/*
 * When the newest set that holds the LSN was taken; 0 for none. LSNs come again on other forks, so every set is looked at:
 * its numbers only, what is used is checked when it is read.
 */
static int64_t moment_of(const struct catalog *c, uint32_t database, struct lsn lsn) {
    uint32_t incarnation = 0;
    int64_t at = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        const struct record *r = catalog_peek(c, i);
        if (r->type != RECORD_SET || r->database != database || !set_holds(&r->set.backup, lsn))
            continue;
        const struct backup *set = &r->set.backup;
        if (set->incarnation > incarnation || (set->incarnation == incarnation && set->finish_at > at))
            at = set->finish_at;
        incarnation = set->incarnation > incarnation ? set->incarnation : incarnation;
    }
    return at;
}

/* The moment that the sets to read are around: INT64_MAX for the newest, 0 when it takes all. */
static int64_t moment_around(const struct catalog *c, uint32_t database, const struct chain_plan_request *request) {
    switch (request->target.kind) {
    case CHAIN_TO_LATEST:
        return INT64_MAX;
    case CHAIN_TO_TIME:
        return request->target.at;
    case CHAIN_TO_LSN: /* on a path of its own choice the newest set says nothing */
        return request->path ? 0 : moment_of(c, database, request->target.lsn);
    default:
        return 0;
    }
}

/* With the sets around the moment only; *ret_good is false when that does not say enough. */
static int plan_part(const struct catalog *c, uint32_t database, const struct chain_plan_request *request, int64_t at,
                     size_t older, struct catalog_plan *plan, bool *ret_good, struct err *err) {
    struct chain_plan_request q = *request;
    bool oldest;
    uint32_t behind = at == INT64_MAX ? CATALOG_NONE : index_after(c, database, at + SHIPPED_LATE);
    if (load_part(c, database, behind, at, older, plan, &oldest, err) < 0)
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
    if (!db)
        return err_set(err, ERR_INTERNAL, "there is no database %u in the catalog", database);
    int64_t at = db->sets > SETS_FIRST ? moment_around(catalog, database, request) : 0;
    for (size_t older = SETS_FIRST; at && older < db->sets; older *= SETS_GROWTH) {
        struct catalog_plan part = {0};
        bool good;
        if (plan_part(catalog, database, request, at, older, &part, &good, err) < 0)
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
