/* SPDX-License-Identifier: Apache-2.0 */
/* What must be so before a restore that an earlier process began is gone on with: the same instance, the same backups. */
#include <string.h>

#include "common/base/str.h"
#include "common/restore/engine_int.h"

void going_on_server(const struct engine *e, struct restore_server *ret_server) {
    const struct sql_params *sql = e->env->sql;
    *ret_server = (struct restore_server){.name = ""};
    str_copy(ret_server->name, sizeof(ret_server->name), e->target.server.name);
    str_copy(ret_server->machine, sizeof(ret_server->machine), e->target.server.machine);
    str_format(ret_server->address, sizeof(ret_server->address), "%s:%u", sql->host ? sql->host : "",
               sql->port ? sql->port : 1433);
}

int going_on_scope(const struct engine *e, struct err *err) {
    const char *scope = e->env->scope;
    if (!scope || !strcmp(scope, e->request.scope))
        return 0;
    (void)err_set(err, ERR_CONFLICT, "restore %s is of the backups of '%s', and these are those of '%s'", e->request.id,
                  e->request.scope, scope);
    return err_hint(err, "Resume it with its own scope, or ask for a restore anew");
}

static int check_server(const struct engine *e, struct err *err) {
    const struct restore_server *was = &e->journal.server;
    struct restore_server now;
    going_on_server(e, &now);
    /* The machine is for people: a pod that is made anew may have another one, and is the same instance. */
    if (str_ieq(was->name, now.name) && !strcmp(was->address, now.address))
        return 0;
    (void)err_set(err, ERR_CONFLICT,
                  "restore %s was begun on instance '%s' (machine %s) at %s, and this is '%s' (machine %s) at %s", e->request.id,
                  was->name, was->machine, was->address, now.name, now.machine, now.address);
    return err_hint(err, "Resume it there. When it is the same instance at another address, ask for a restore anew: what is "
                         "RESTORING from backups of the store is replaced without loss");
}

static int check_entry(const struct engine *e, const struct item *it, struct err *err) {
    if (it->entry->step < RESTORE_EVICTED)
        return 0; /* judged anew */
    if (!it->entry->judged) {
        (void)err_set(err, ERR_UNSUPPORTED,
                      "restore %s was begun by an older program, which did not note which database it may replace",
                      e->request.id);
        return err_hint(err, "Ask for a restore of '%s' anew: it says what would be lost", it->target);
    }
    if (guid_eq(&it->entry->family, &it->source.family_guid))
        return 0;
    (void)err_set(err, ERR_CONFLICT, "the backups in folder %s are of another database than the one that restore %s began with",
                  it->source.folder, e->request.id);
    return err_hint(err, "Resume it with its own store");
}

int going_on_check(const struct engine *e, struct err *err) {
    bool begun = false;
    for (size_t i = 0; i < e->count; i++) {
        const struct item *it = &e->items[i];
        if (it->entry->outcome == RESTORE_FINISHED)
            continue;
        begun |= it->entry->step >= RESTORE_EVICTED;
        if (check_entry(e, it, err) < 0)
            return -1;
    }
    return begun ? check_server(e, err) : 0;
}
