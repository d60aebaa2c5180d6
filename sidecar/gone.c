/* SPDX-License-Identifier: Apache-2.0 */
/* Databases that the server does not have any more: the newest of them stay in the table, so that the status can tell of them. */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "sidecar/agent.h"
#include "sidecar/job/park.h"
#include "sidecar/request.h"

static bool in_use(const struct agent *agent, const struct database *db) {
    for (enum lane lane = 0; lane < LANE_COUNT; lane++)
        if (db->running[lane] || db->recovering[lane] || park_count(&db->ship[lane]))
            return true;
    for (const struct job *job = agent->resuming; job; job = job->next)
        if (job->db == db)
            return true;
    for (const struct request *r = agent->requests; r; r = r->next)
        for (unsigned i = 0; i < r->count; i++)
            if (r->items[i].db == db)
                return true;
    return db->resuming || db->committing || db->commit_wait || db->restoring || db->copy;
}

static int64_t last_heard_of(const struct database *db) {
    const int64_t at[] = {db->gone_at, db->committed.last_full.finish_at, db->committed.last_log.finish_at};
    int64_t newest = 0;
    for (size_t i = 0; i < ARRAY_LEN(at); i++)
        newest = at[i] > newest ? at[i] : newest;
    return newest;
}

static int oldest_first(const void *a, const void *b) {
    int64_t x = last_heard_of(*(struct database *const *)a), y = last_heard_of(*(struct database *const *)b);
    return (x > y) - (x < y);
}

static void drop(struct agent *agent, const struct database *db) {
    size_t kept = 0;
    for (size_t i = 0; i < agent->database_count; i++)
        if (agent->databases[i] != db)
            agent->databases[kept++] = agent->databases[i];
    agent->database_count = kept;
}

void databases_forget_gone(struct agent *agent) {
    struct database **gone = mem_array(agent->database_count + 1, sizeof(struct database *));
    size_t count = 0;
    for (size_t i = 0; agent->server_listed && i < agent->database_count; i++)
        if (!agent->databases[i]->present && !in_use(agent, agent->databases[i]))
            gone[count++] = agent->databases[i];
    if (count)
        qsort(gone, count, sizeof(struct database *), oldest_first);
    size_t surplus = count > DATABASES_GONE_MAX ? count - DATABASES_GONE_MAX : 0;
    for (size_t i = 0; i < count; i++) {
        bool nothing_to_tell = gone[i]->tips_known && !gone[i]->sets;
        if (i >= surplus && !nothing_to_tell)
            continue;
        drop(agent, gone[i]);
        database_free(gone[i]);
    }
    mem_free(gone);
}
