/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the database of an item stands on the server, and whose it is. Nothing is taken for ours because of its name:
 *
 *     before the first RESTORE   it is what was judged, unchanged, or somebody else's
 *     while the base is restored it has the files that the journal chose, and either nothing is in it yet or just the base
 *     after that                 it is the database that the journal noted then (identity.h)
 */
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/engine_int.h"

#define RECOVERING_LOOK_NS 200000000L
#define LOOKS_MAX 5 /* at a database that changes while it is looked at */

/* ---- its files ---- */

static bool same_path(const char *a, const char *b) {
    _cleanup_free_ char *x = restore_path_normal(a), *y = restore_path_normal(b);
    return x && y && str_ieq(x, y);
}

/* Are the files of the database there the ones that this restore makes? */
static bool files_are_ours(const struct item *it, const struct restore_target *target, const struct target_db *db) {
    bool any = false;
    for (size_t i = 0; i < target->file_count; i++) {
        const struct target_file *f = &target->files[i];
        if (f->database_id != db->info.id)
            continue;
        const struct restore_file *mine = restore_file_find(it->files, it->file_count, f->file.logical);
        if (!mine || !same_path(mine->physical, f->file.physical))
            return false;
        any = true;
    }
    return any;
}

void stand_forget_known(struct item *it) {
    for (size_t i = 0; i < it->known_count; i++)
        mem_free(it->known[i]);
    mem_free(it->known);
    it->known = NULL;
    it->known_count = 0;
}

bool stand_knows(const struct item *it, const char *logical) {
    for (size_t i = 0; i < it->known_count; i++)
        if (str_ieq(it->known[i], logical))
            return true;
    return false;
}

void stand_learn(struct item *it, const char *logical) {
    if (stand_knows(it, logical))
        return;
    it->known = mem_realloc(it->known, (it->known_count + 1) * sizeof(*it->known));
    it->known[it->known_count++] = mem_strdup(logical);
}

/* ---- whose it is ---- */

/* The base is being restored, or was, and there was no time to note it. */
static bool is_begun(const struct item *it, const struct restore_target *target, const struct target_db *db) {
    const struct restore_entry *entry = it->entry;
    const struct restore_identity *now = &it->there;
    if (entry->step < RESTORE_RESTORING || now->state != SQL_DB_RESTORING || !files_are_ours(it, target, db))
        return false;
    return lsn_is_zero(now->redo_lsn) ||
           (lsn_cmp(now->redo_lsn, entry->base_lsn) == 0 && guid_eq(&now->redo_fork, &entry->base_fork));
}

static enum stand judge_ours(struct item *it, const struct restore_target *target, const struct target_db *db,
                             struct chain_resume *ret_resume) {
    const struct restore_identity *now = &it->there;
    if (now->state == SQL_DB_ONLINE && now->standby)
        return STAND_STANDBY;
    if (now->state == SQL_DB_ONLINE) {
        bool other = !guid_is_zero(&now->family_guid) && !guid_eq(&now->family_guid, &it->entry->family);
        return other ? STAND_FOREIGN : STAND_ONLINE;
    }
    if (now->state != SQL_DB_RESTORING)
        return STAND_OTHER;
    it->ours_there = true;
    if (!lsn_is_zero(now->redo_lsn)) {
        *ret_resume = (struct chain_resume){
            .on = true, .redo_lsn = now->redo_lsn, .redo_fork = now->redo_fork, .base = db->differential_base};
        stand_forget_known(it);
        for (size_t i = 0; i < target->file_count; i++)
            if (target->files[i].database_id == db->info.id)
                stand_learn(it, target->files[i].file.logical);
    }
    return STAND_RESTORING;
}

static enum stand judge(struct item *it, const struct restore_target *target, const struct target_db *db,
                        struct chain_resume *ret_resume) {
    const struct restore_entry *entry = it->entry;
    *ret_resume = (struct chain_resume){0};
    it->ours_there = false;
    if (!it->there.there)
        return STAND_ABSENT;
    if (entry->mine.there ? restore_identity_is(&entry->mine, &it->there) : is_begun(it, target, db))
        return judge_ours(it, target, db, ret_resume);
    if (entry->mine.there || !entry->before.there || !restore_identity_is(&entry->before, &it->there))
        return STAND_FOREIGN;
    /* Its tail was taken, or it could not be opened, and now it is open. */
    if (entry->over == RESTORE_OVER_TAIL && it->there.state == SQL_DB_ONLINE && !it->there.standby)
        return STAND_REOPENED;
    if (!restore_identity_same(&entry->before, &it->there))
        return STAND_FOREIGN;
    it->ours_there = entry->before_ours;
    return STAND_BEFORE;
}

static int look(struct item *it, struct restore_target *target, const struct target_db **ret_db, struct err *err) {
    if (target_read(it->apply.session, target, err) < 0 || target_resolve(it->apply.session, target, it->target, err) < 0 ||
        restore_identity_read(it->apply.session, it->target, &it->there, err) < 0)
        return -1;
    *ret_db = target_find(target, it->target);
    return 0;
}

static int stand_now(struct item *it, enum stand *ret_stand, bool *ret_recovering, struct chain_resume *ret_resume,
                     struct err *err) {
    if (roll_connect(it, false, err) < 0)
        return -1;
    for (unsigned i = 0; i < LOOKS_MAX; i++) {
        struct restore_target target = {0};
        const struct target_db *db = NULL;
        if (look(it, &target, &db, err) < 0) {
            target_done(&target);
            return -1;
        }
        bool agree = db ? it->there.there && db->info.id == it->there.id : !it->there.there;
        if (agree) {
            *ret_recovering = it->there.state == SQL_DB_RECOVERING && it->there.there;
            *ret_stand = judge(it, &target, db, ret_resume);
        }
        target_done(&target);
        if (agree)
            return 0;
    }
    return err_set(err, ERR_BUSY, "database '%s' changes all the time", it->target);
}

int stand_look(struct item *it, enum stand *ret_stand, struct chain_resume *ret_resume, struct err *err) {
    int64_t until = clock_mono_us() + it->engine->request.stuck_after_ms * 1000;
    bool recovering = false;
    while (stand_now(it, ret_stand, &recovering, ret_resume, err) == 0) {
        /* After a start of the server it is not decided yet how it stands. */
        if (!recovering || clock_mono_us() >= until || engine_cancelled(it->engine)) {
            it->foreign = *ret_stand == STAND_FOREIGN;
            return 0;
        }
        nanosleep(&(struct timespec){.tv_nsec = RECOVERING_LOOK_NS}, NULL);
    }
    return -1;
}

int stand_refuse(struct item *it, enum stand stand, struct err *err) {
    switch (stand) {
    case STAND_ONLINE:
    case STAND_STANDBY:
        (void)err_set(err, ERR_CONFLICT,
                      "database '%s' was opened by somebody else before it was restored whole: it is left alone", it->target);
        break;
    case STAND_REOPENED:
        (void)err_set(err, ERR_CONFLICT, "database '%s' was opened again after its tail was taken: it is left alone", it->target);
        break;
    case STAND_OTHER:
        (void)err_set(err, ERR_CONFLICT, "database '%s' is neither RESTORING nor open: it is left alone", it->target);
        break;
    case STAND_ABSENT:
        return err_set(err, ERR_CONFLICT, "database '%s' is not there any more, somebody else has dropped or renamed it",
                       it->target);
    default:
        (void)err_set(
            err, ERR_CONFLICT,
            "database '%s' is not the one that was there when the restore was allowed, nor one that it has begun: it is "
            "left alone",
            it->target);
    }
    return err_hint(err, "Ask for the restore anew: it says what would be lost then");
}

/* ---- what is noted ---- */

int stand_before_base(struct item *it, struct err *err) {
    struct chain_resume resume;
    enum stand stand;
    if (stand_look(it, &stand, &resume, err) < 0)
        return -1;
    it->reopened = stand == STAND_REOPENED;
    if (stand != STAND_ABSENT && stand != STAND_BEFORE && stand != STAND_RESTORING)
        return stand_refuse(it, stand, err);
    stand_forget_known(it); /* a full brings each file anew */
    item_edit(it);
    it->entry->before = it->there; /* absent, unchanged, or ours: which may be replaced */
    it->entry->before_ours = it->ours_there;
    it->entry->mine = (struct restore_identity){.there = false};
    item_edited(it);
    return 0;
}

int stand_after_data(struct item *it, struct err *err) {
    struct restore_identity now;
    if (restore_identity_read(it->apply.session, it->target, &now, err) < 0)
        return -1;
    if (!now.there || now.state != SQL_DB_RESTORING)
        return stand_refuse(it, now.there ? STAND_FOREIGN : STAND_ABSENT, err);
    item_edit(it);
    it->entry->mine = now;
    item_edited(it);
    return 0;
}
