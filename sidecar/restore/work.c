/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/restore/work.h"

#include <string.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "sidecar/restore/guarded.h"
#include "sidecar/version.h"

/* Read beside the loop: what changes later belongs to another run. */
static void copy_extras(struct agent *agent, struct work_place *p) {
    p->extras = mem_array(agent->database_count + 1, sizeof(*p->extras));
    for (size_t i = 0; i < agent->database_count; i++) {
        const struct database *db = agent->databases[i];
        if (!db->folder[0])
            continue;
        struct work_extras *x = &p->extras[p->extras_count++];
        str_copy(x->folder, sizeof(x->folder), db->folder);
        x->quiet_until_at = database_quiet_until(db);
        x->hole_count = db->hole_count;
        x->holes = db->hole_count ? mem_dup(db->holes, db->hole_count * sizeof(*db->holes)) : NULL;
    }
}

static uint64_t room_for_files(const struct agent *agent) {
    const struct staging_state *s = &agent->space;
    if (!s->total_bytes)
        return 0; /* not measured yet: the engine measures */
    uint64_t kept = staging_floor(staging_limits_get(agent->staging), s) + s->pending_bytes;
    return s->free_bytes > kept ? s->free_bytes - kept : 1;
}

int work_place_init(struct agent *agent, const char *journal_dir, struct work_place *ret_place, struct err *err) {
    const struct sidecar_config *c = agent->config;
    struct work_place p = {0};
    if (!keeper_state(agent->keeper)->configured)
        return err_set(err, ERR_STATE, "no store is configured: there is nothing to restore from");
    if (!agent->server_reachable)
        return err_set(err, ERR_CONNECT, "SQL Server is not reachable: %s",
                       agent->server_err.class == ERR_NONE ? "it was not asked yet" : agent->server_err.text);
    if (agent->staging_err.class != ERR_NONE)
        return err_set(err, ERR_STATE, "staging cannot be used: %s", agent->staging_err.text);
    p.store = keeper_take_store(agent->keeper);
    if (!p.store)
        return err_set(err, ERR_STORE, "the store is not usable: %s",
                       keeper_state(agent->keeper)->error.class == ERR_NONE ? "it was not reached yet"
                                                                            : keeper_state(agent->keeper)->error.text);
    sessions_params(agent->sessions, sessions_has_admin(agent->sessions) ? SESSIONS_ADMIN : SESSIONS_DAEMON, &p.sql);
    p.sql.password = p.password = secret_dup(p.sql.password); /* of our own: a reload frees the one in use */
    p.catalog_path = keeper_catalog(agent->keeper) ? file_join(c->paths.state, "catalog") : NULL;
    str_copy(p.scope, sizeof(p.scope), agent->scope);
    p.journal_dir = mem_strdup(journal_dir ? journal_dir : "");
    p.staging_local = mem_strdup(c->paths.staging);
    p.staging_server = mem_strdup(c->paths.staging_server);
    p.staging_bytes = room_for_files(agent);
    copy_extras(agent, &p);
    *ret_place = p;
    return 0;
}

void work_place_done(struct agent *agent, struct work_place *p) {
    if (p->store)
        keeper_put_store(agent->keeper, p->store);
    secret_free(p->password);
    for (size_t i = 0; i < p->extras_count; i++)
        mem_free(p->extras[i].holes);
    mem_free(p->extras);
    mem_free(p->catalog_path);
    mem_free(p->journal_dir);
    mem_free(p->staging_local);
    mem_free(p->staging_server);
    *p = (struct work_place){0};
}

/* ---- on a worker ---- */

static int add_extras(void *user, const char *folder, struct source_history *history, struct err *err) {
    const struct work_place *p = user;
    (void)err;
    for (size_t i = 0; i < p->extras_count; i++) {
        const struct work_extras *x = &p->extras[i];
        if (strcmp(x->folder, folder) != 0)
            continue;
        history->quiet_until_at = x->quiet_until_at;
        history->hole_count = x->hole_count;
        history->holes = x->hole_count ? mem_dup(x->holes, x->hole_count * sizeof(*x->holes)) : NULL;
    }
    return 0;
}

int work_place_enter(struct work_place *p, struct restore_env *ret_env, struct err *err) {
    struct source_catalog_params params = {
        .store = p->store, .scope = p->scope, .catalog_path = p->catalog_path, .extras = add_extras, .user = p};
    int rc = p->catalog_path ? source_catalog_open(&params, &p->source, err)
                             : source_store_open(p->store, p->scope, 0, &p->source, err);
    if (rc < 0)
        return -1;
    p->source = guarded_source(p->source, p->store, p->scope);
    *ret_env = (struct restore_env){
        .sql = &p->sql,
        .source = p->source,
        .scope = p->scope,
        .journal_dir = p->journal_dir,
        .staging_local = p->staging_local,
        .staging_server = p->staging_server,
        .staging_bytes = p->staging_bytes,
        .program_version = MSSQL_SIDECAR_VERSION,
        .resume_command = "mssqlctl restores resume",
    };
    return 0;
}

void work_place_leave(struct work_place *p) {
    source_free(p->source);
    p->source = NULL;
}
