/* SPDX-License-Identifier: Apache-2.0 */
/* What can be known before anything is done: what is at the target, what would be lost, what stands against it. */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/guid.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/engine_int.h"

#define RESERVE_MAX (UINT64_C(2) << 30)

/* ---- guard ---- */

/* One text that says what it is replaced with: another plan is another token. */
static void say_wanted(struct item *it) {
    char target[CHAIN_TARGET_TEXT_MAX], base[GUID_TEXT_MAX] = "";
    if (it->planned && it->plan.count)
        guid_format(base, &it->sets[0].set_guid);
    str_format(it->wanted, sizeof(it->wanted), "%s|%s|%s", it->source.folder,
               chain_target_format(target, &it->engine->request.target), base);
}

void assess_view(const struct item *it, struct restore_guard_view *ret_view) {
    const struct engine *e = it->engine;
    *ret_view = (struct restore_guard_view){
        .target = &e->target,
        .there = target_find(&e->target, it->target),
        .database = it->target,
        .ours = it->ours_there,
        .family = it->source.family_guid,
        .wanted = it->wanted,
        .sets = it->relatives ? it->relatives : it->history.sets,
        .set_count = it->relatives ? it->relative_count : it->history.count,
        .server = it->server,
        .now = clock_wall(),
    };
}

/* Whose chain it is: a clone of that server's volume looks the same to the LSNs. */
static int find_server(struct item *it, struct err *err) {
    const struct backup *newest = NULL;
    struct manifest m;
    for (size_t i = 0; i < it->history.count; i++)
        if (!newest || it->history.sets[i].finish_at > newest->finish_at)
            newest = &it->history.sets[i];
    if (!newest)
        return 0;
    if (source_manifest(it->engine->env->source, it->source.folder, newest, &m, err) < 0)
        return err_context(err, "which server took the newest backup of %s", it->source.name);
    str_copy(it->server, sizeof(it->server), m.server_name);
    manifest_done(&m);
    return 0;
}

/* What is allowed is allowed for this very database: the journal keeps its identity. */
static int identify(struct item *it, const struct target_db *there, struct sql_session *session, struct err *err) {
    struct restore_identity *now = &it->there;
    if (restore_identity_read(session, it->target, now, err) < 0)
        return -1;
    bool agree = now->there == (there != NULL);
    if (agree && there) {
        const struct chain_server_state *s = &there->state;
        agree = now->id == there->info.id && now->state == there->info.state && now->standby == there->info.standby &&
                lsn_cmp(now->redo_lsn, there->redo_start_lsn) == 0 &&
                (guid_is_zero(&now->database_guid) || !s->online || guid_eq(&now->database_guid, &s->database_guid)) &&
                (guid_is_zero(&now->fork) || !s->online || guid_eq(&now->fork, &s->recovery_fork_guid));
        /* One that closes itself shows them today and not tomorrow. */
        if (there->info.auto_close)
            now->database_guid = now->family_guid = now->fork = (struct guid){{0}};
    }
    return agree ? 0 : err_set(err, ERR_BUSY, "database '%s' has just been changed by somebody else: look again", it->target);
}

static int guard(struct item *it, struct sql_session *session, struct err *err) {
    struct engine *e = it->engine;
    struct restore_guard_view view;
    struct target_db *there = target_find(&e->target, it->target);
    if (there && target_state_read(session, there, err) < 0)
        return err_context(err, "state of %s", it->target);
    if (there && family_load(it, err) < 0)
        return -1;
    if ((there && find_server(it, err) < 0) || identify(it, there, session, err) < 0)
        return -1;
    say_wanted(it);
    assess_view(it, &view);
    restore_guard_decide(&view, &it->guard);
    if (it->guard.tail && !e->env->ship_tail) {
        it->guard.tail = false;
        struct err why;
        err_clear(&why);
        err_set(&why, ERR_UNSUPPORTED, "nobody here can ship a tail");
        return restore_guard_no_tail(&view, &it->guard, e->request.token, &why, err);
    }
    if (it->provisional && !it->guard.tail) {
        err_copy(err, &it->refusal);
        return err_context(err, "%s", it->source.name);
    }
    if (!it->guard.tail)
        item_drop_history(it);
    return 0;
}

/* ---- checks ---- */

static void look_at_paths(const struct item *it, struct sql_session *session, enum target_path *found) {
    const char **paths = mem_array(it->file_count + 1, sizeof(*paths));
    struct err ignored;
    for (size_t i = 0; i < it->file_count; i++)
        paths[i] = it->files[i].physical;
    err_clear(&ignored);
    if (target_paths_read(session, paths, it->file_count, found, &ignored) < 0)
        for (size_t i = 0; i < it->file_count; i++)
            found[i] = TARGET_PATH_UNKNOWN;
    mem_free(paths);
}

static void check_item(struct item *it, struct sql_session *session) {
    struct engine *e = it->engine;
    enum target_path *found = mem_array(it->file_count + 1, sizeof(*found));
    look_at_paths(it, session, found);
    struct restore_check check = {
        .target = &e->target,
        .database = it->target,
        .there = target_find(&e->target, it->target),
        .ours = it->ours_there,
        .tail = it->guard.tail,
        .reapply_options = e->request.reapply_options,
        .standby = e->request.finish == RESTORE_FINISH_STANDBY,
        .manifest = &it->last,
        .files = it->files,
        .file_count = it->file_count,
        .found = found,
    };
    restore_check_database(&check, &e->report->findings);
    mem_free(found);
}

uint64_t assess_staging(const struct engine *e, uint64_t *ret_free) {
    struct file_space space;
    struct err ignored;
    err_clear(&ignored);
    *ret_free = UINT64_MAX;
    if (file_space_of(e->env->staging_local, &space, &ignored) < 0)
        return e->env->staging_bytes ? e->env->staging_bytes : UINT64_MAX;
    *ret_free = space.free_bytes;
    if (e->env->staging_bytes)
        return e->env->staging_bytes;
    uint64_t reserve = space.total_bytes / 20 < RESERVE_MAX ? space.total_bytes / 20 : RESERVE_MAX;
    return space.free_bytes > reserve ? space.free_bytes - reserve : 0;
}

static void check_room(struct engine *e) {
    const struct restore_file **files = mem_array(e->count + 1, sizeof(*files));
    size_t *counts = mem_array(e->count + 1, sizeof(*counts));
    struct restore_check_space space = {.target = &e->target,
                                        .files = files,
                                        .file_counts = counts,
                                        .database_count = e->count,
                                        .staging_server = e->env->staging_server};
    uint64_t total = 0;
    for (size_t i = 0; i < e->count; i++) {
        files[i] = e->items[i].files;
        counts[i] = e->items[i].file_count;
        total += e->items[i].total_bytes;
        if (e->items[i].largest_bytes > space.staging_least)
            space.staging_least = e->items[i].largest_bytes;
    }
    uint64_t limit = assess_staging(e, &space.staging_free);
    space.staging_bytes = limit < total ? limit : total;
    restore_check_room(&space, &e->report->findings);
    mem_free(files);
    mem_free(counts);
}

static int check_moves(const struct item *it, struct err *err) {
    const struct engine *e = it->engine;
    struct restore_place place = {.source = it->source.name,
                                  .database = it->target,
                                  .moves = it->wish.moves,
                                  .move_count = it->wish.move_count,
                                  .target = &e->target};
    return restore_place_check(&place, it->files, it->file_count, err);
}

int assess_all(struct engine *e, struct sql_session *session, struct err *err) {
    for (size_t i = 0; i < e->count; i++) {
        struct item *it = &e->items[i];
        bool going_on = it->entry && it->entry->step >= RESTORE_EVICTED;
        if (going_on)
            continue; /* decided by the process before */
        if (guard(it, session, err) < 0 || check_moves(it, err) < 0)
            return -1;
        check_item(it, session);
    }
    check_room(e);
    return 0;
}
