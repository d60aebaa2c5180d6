/* SPDX-License-Identifier: Apache-2.0 */
/* Which chain of the source a name means, and how it gets to the target. */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/candidate.h"
#include "common/restore/engine_int.h"

#define REPLANS_MAX 10000 /* each one leaves a set out, so it ends anyway */

/* ---- an item ---- */

static struct item *add_item(struct engine *e, const struct restore_wish *wish, const struct source_database *db) {
    e->items = mem_grow(e->items, &e->cap, e->count + 1, sizeof(*e->items));
    struct item *it = &e->items[e->count];
    *it = (struct item){.engine = e, .index = (unsigned)e->count, .source = *db};
    if (wish)
        it->wish = *wish;
    str_copy(it->target, sizeof(it->target), wish && *wish->as ? wish->as : db->name);
    e->count++;
    return it;
}

void item_drop_history(struct item *it) {
    if (it->loaded)
        source_history_done(&it->history);
    it->loaded = false;
}

static void drop_plan(struct item *it) {
    if (it->planned)
        chain_plan_done(&it->plan);
    mem_free(it->sets);
    it->sets = NULL;
    it->planned = false;
}

void item_done(struct item *it) {
    drop_plan(it);
    item_drop_history(it);
    if (it->has_last)
        manifest_done(&it->last);
    if (it->files)
        restore_files_done(it->files, it->file_count);
    for (size_t i = 0; i < it->known_count; i++)
        mem_free(it->known[i]);
    mem_free(it->known);
    mem_free(it->avoid);
    mem_free(it->relatives);
    apply_close(&it->apply);
    restore_lines_done(&it->warnings);
    restore_lines_done(&it->next);
}

static bool avoids(const struct item *it, const struct guid *set) {
    for (size_t i = 0; i < it->avoid_count; i++)
        if (guid_eq(&it->avoid[i], set))
            return true;
    return false;
}

void select_avoid(struct item *it, const struct guid *set) {
    if (avoids(it, set))
        return;
    it->avoid = mem_realloc(it->avoid, (it->avoid_count + 1) * sizeof(*it->avoid));
    it->avoid[it->avoid_count++] = *set;
    if (!it->entry)
        return;
    item_edit(it);
    restore_entry_avoid(it->entry, set);
    item_edited(it);
}

/* ---- the plan ---- */

static int load(struct item *it, struct err *err) {
    item_drop_history(it);
    bool marks = it->engine->request.target.kind == CHAIN_TO_MARK;
    if (source_history(it->engine->env->source, it->source.folder, marks, &it->history, err) < 0)
        return -1;
    it->loaded = true;
    return 0;
}

static void say_unreadable(const struct item *it, struct err *err) {
    const struct source_history *h = &it->history;
    if (h->unreadable_total)
        err_hint(err, "%zu manifests could not be read, the first one: %s", h->unreadable_total, h->unreadable[0].err.text);
}

/* The plan, with its sets copied so that the history may go. */
static void keep_plan(struct item *it, const struct chain_plan *plan) {
    drop_plan(it);
    it->plan = *plan;
    it->planned = true;
    it->sets = mem_array(plan->count + 1, sizeof(*it->sets));
    for (size_t i = 0; i < plan->count; i++) {
        it->sets[i] = it->history.sets[plan->members[i].set];
        it->plan.members[i].set = (uint32_t)i;
    }
    it->from_start = plan->count > 0 && plan->members[0].kind == BACKUP_FULL;
}

static int build(struct item *it, const struct chain_target *target, const struct chain_resume *resume,
                 struct chain_refusal *ret_refusal, struct err *err) {
    struct chain_history order;
    struct chain_plan plan;
    chain_history_init(&order, it->history.sets, it->history.count);
    struct chain_plan_request q = {
        .history = &order,
        .known = it->history.holes,
        .known_count = it->history.hole_count,
        .quiet_until_at = it->history.quiet_until_at,
        .target = *target,
        .avoid = it->avoid,
        .avoid_count = it->avoid_count,
        .marks = it->history.marks,
        .mark_count = it->history.mark_count,
        .now = clock_wall(),
    };
    if (resume)
        q.resume = *resume;
    bool good = chain_plan_build(&q, &plan, ret_refusal);
    if (good)
        keep_plan(it, &plan);
    chain_history_done(&order);
    if (good)
        return 0;
    it->refused = ret_refusal->reason;
    chain_refusal_err(ret_refusal, err);
    say_unreadable(it, err);
    return -1;
}

static bool is_newer_than_backups(const struct engine *e, const struct chain_refusal *refusal) {
    return refusal->reason == CHAIN_REFUSED_AFTER_WINDOW && e->request.target.kind == CHAIN_TO_TIME &&
           e->request.target.at <= clock_wall();
}

/* A target newer than the backups may lie in the tail of the log, when that is taken first: the plan is then to the latest
 * state, for the checks, and made again with the tail. */
static int build_any(struct item *it, const struct chain_resume *resume, bool may_be_provisional, struct err *err) {
    static const struct chain_target latest = {.kind = CHAIN_TO_LATEST};
    struct chain_refusal refusal, other;
    struct err ignored;
    it->provisional = false;
    if (build(it, &it->engine->request.target, resume, &refusal, err) == 0)
        return 0;
    if (!may_be_provisional || !is_newer_than_backups(it->engine, &refusal) || build(it, &latest, resume, &other, &ignored) < 0) {
        it->refused = refusal.reason;
        return -1;
    }
    it->provisional = true;
    it->refusal = *err; /* for when no tail can be had */
    return 0;
}

/* ---- its manifests ---- */

static bool is_placed(const struct item *it, const struct manifest *m) {
    for (size_t i = 0; i < m->file_count; i++)
        if (!restore_file_find(it->files, it->file_count, m->files[i].logical_name))
            return false;
    return true;
}

/* Paths of everybody but this database: of the instance, and of the other databases that are restored. */
static struct restore_taken *taken_by_others(const struct item *it) {
    const struct engine *e = it->engine;
    struct restore_taken *taken = restore_taken_new();
    restore_taken_add_target(taken, &e->target, it->target);
    for (size_t i = 0; i < e->count; i++)
        for (size_t k = 0; &e->items[i] != it && k < e->items[i].file_count; k++)
            restore_taken_add(taken, e->items[i].files[k].physical, e->items[i].target);
    for (size_t k = 0; k < it->file_count; k++)
        restore_taken_add(taken, it->files[k].physical, it->target);
    return taken;
}

static int place_under_lock(struct item *it, const struct manifest *m, struct err *err) {
    const struct engine *e = it->engine;
    struct restore_taken *taken = taken_by_others(it);
    struct restore_place place = {
        .source = it->source.name,
        .database = it->target,
        .data_dir = e->request.data_dir,
        .log_dir = e->request.log_dir,
        .moves = it->wish.moves,
        .move_count = it->wish.move_count,
        .target = &e->target,
        .replaced = target_find(&e->target, it->target),
        .taken = taken,
    };
    int rc = restore_place_files(&place, m, &it->files, &it->file_count, err);
    restore_taken_free(taken);
    return rc < 0 ? err_context(err, "%s", it->target) : 0;
}

static int place_manifest(struct item *it, const struct manifest *m, struct err *err) {
    if (is_placed(it, m))
        return 0;
    pthread_mutex_lock(&it->engine->lock);
    int rc = place_under_lock(it, m, err);
    pthread_mutex_unlock(&it->engine->lock);
    return rc;
}

static bool is_about_the_set(const struct err *err) {
    return err->class == ERR_NOT_FOUND || err->class == ERR_CORRUPT || err->class == ERR_UNSUPPORTED || err->class == ERR_LIMIT ||
           err->class == ERR_CRYPTO || err->class == ERR_IO;
}

/* Is everything there that the plan needs? Reads the manifests, not the backups. 1: a set is not usable and is avoided now. */
static int inspect(struct item *it, struct err *err) {
    struct source *source = it->engine->env->source;
    it->total_bytes = 0;
    it->largest_bytes = 0;
    for (size_t i = 0; i < it->plan.count; i++) {
        struct manifest m;
        struct err why;
        uint64_t bytes = 0;
        err_clear(&why);
        int rc = source_manifest(source, it->source.folder, &it->sets[i], &m, &why);
        if (rc == 0 && source_probe(source, it->source.folder, &m, &why) < 0) {
            manifest_done(&m);
            rc = -1;
        }
        if (rc < 0 && !is_about_the_set(&why)) {
            err_copy(err, &why);
            return -1;
        }
        if (rc < 0) {
            str_format(it->bad, sizeof(it->bad), "a %s backup cannot be used: %s", backup_kind_name(it->sets[i].kind), why.text);
            restore_lines_add(&it->warnings, "%s", it->bad);
            select_avoid(it, &it->sets[i].set_guid);
            return 1;
        }
        rc = place_manifest(it, &m, err);
        for (size_t k = 0; k < m.object_count; k++)
            bytes += m.objects[k].plain_bytes;
        it->total_bytes += bytes;
        it->largest_bytes = bytes > it->largest_bytes ? bytes : it->largest_bytes;
        if (it->plan.members[i].kind != BACKUP_LOG && rc == 0) {
            if (it->has_last)
                manifest_done(&it->last);
            it->last = m;
            it->has_last = true;
        } else {
            manifest_done(&m);
        }
        if (rc < 0)
            return -1;
    }
    return 0;
}

static int refuse(const struct item *it, struct err *err) {
    if (it->bad[0])
        err_hint(err, "%s", it->bad);
    return err_context(err, "%s", it->source.name);
}

/* "latest" is not what somebody expects when newer backups are there that nothing reaches. */
static void say_limits(struct item *it) {
    char text[CHAIN_TEXT_MAX];
    if (it->plan.has_hole && !it->said_hole)
        restore_lines_add(&it->warnings, "newer backups are there that nothing reaches: %s",
                          chain_hole_text(text, &it->plan.hole));
    it->said_hole |= it->plan.has_hole;
    if (it->plan.before_path && !it->said_before_path)
        restore_lines_add(&it->warnings, "%s", CHAIN_BEFORE_PATH_TEXT);
    it->said_before_path |= it->plan.before_path;
    if (it->history.unreadable_total && !it->said_unreadable)
        restore_lines_add(&it->warnings, "%zu manifests could not be read, the first one: %s", it->history.unreadable_total,
                          it->history.unreadable[0].err.text);
    it->said_unreadable |= it->history.unreadable_total > 0;
}

int select_plan(struct item *it, const struct chain_resume *resume, struct err *err) {
    bool may_be_provisional = it->engine->env->ship_tail && (!it->entry || it->entry->step < RESTORE_TAIL_TAKEN);
    if (it->engine->session && target_resolve(it->engine->session, &it->engine->target, it->target, err) < 0)
        return -1;
    if (load(it, err) < 0)
        return -1;
    for (unsigned i = 0; i < REPLANS_MAX; i++) {
        if (build_any(it, resume, may_be_provisional, err) < 0)
            return refuse(it, err);
        int rc = inspect(it, err);
        if (rc == 0)
            say_limits(it);
        if (rc <= 0)
            return rc;
    }
    return err_set(err, ERR_CORRUPT, "%s: too many damaged backups", it->source.name);
}

/* ---- which chain ---- */

static void drop_item(struct engine *e) {
    item_done(&e->items[--e->count]);
}

struct choice {
    struct engine *engine;
    const struct restore_wish *wish;
    const struct source_list *list;
    struct candidate_failure failure; /* the last one */
};

static int try_candidate(void *user, size_t index, struct candidate_failure *ret_failure, struct err *err) {
    struct choice *c = user;
    struct item *it = add_item(c->engine, c->wish, &c->list->items[index]);
    if (select_plan(it, NULL, err) == 0)
        return 0;
    c->failure = (struct candidate_failure){.refused = it->refused, .harmed = it->bad[0] || it->history.unreadable_total};
    *ret_failure = c->failure;
    drop_item(c->engine);
    return -1;
}

/* ret_later: the database was not there yet at the target, and none of its name was. */
static int select_candidate(struct engine *e, const struct restore_wish *wish, const struct source_list *list,
                            const size_t *found, size_t count, bool *ret_later, struct err *err) {
    struct choice c = {.engine = e, .wish = wish, .list = list};
    size_t place;
    if (candidate_choose(found, count, try_candidate, &c, &place, err) < 0) {
        *ret_later = candidate_is_later(&c.failure) && c.failure.refused != CHAIN_REFUSED_MARK_UNKNOWN;
        return -1;
    }
    struct item *it = &e->items[e->count - 1];
    if (!target_find(&e->target, it->target))
        item_drop_history(it); /* only the guard of a database that is there wants all of it */
    if (count > 1)
        restore_lines_add(&it->warnings, "%zu databases had the name '%s'; this is the one in folder %s", count, it->source.name,
                          it->source.folder);
    return 0;
}

static int select_wish(struct engine *e, const struct restore_wish *wish, const struct source_list *list, struct err *err) {
    bool later;
    size_t *found, count;
    if (source_find(list, wish->database, &found, &count, err) < 0)
        return -1;
    int rc = select_candidate(e, wish, list, found, count, &later, err);
    mem_free(found);
    if (rc == 0 && !str_ieq(e->items[e->count - 1].source.name, wish->database) &&
        strcmp(e->items[e->count - 1].source.folder, wish->database) != 0)
        restore_lines_add(&e->items[e->count - 1].warnings, "'%s' is an earlier name of '%s'", wish->database,
                          e->items[e->count - 1].source.name);
    return rc;
}

static bool is_system(const char *name) {
    return str_ieq(name, "master") || str_ieq(name, "model") || str_ieq(name, "msdb") || str_ieq(name, "tempdb");
}

static int select_everything(struct engine *e, const struct source_list *list, struct err *err) {
    for (size_t i = 0; i < list->count; i++) {
        const char *name = list->items[i].name;
        size_t *found, count;
        bool later = false;
        struct err why;
        if (is_system(name) || source_list_repeats(list, i))
            continue;
        if (source_find(list, name, &found, &count, err) < 0)
            return -1;
        err_clear(&why);
        int rc = select_candidate(e, NULL, list, found, count, &later, &why);
        mem_free(found);
        /* "Everything" at a moment does not mean what began later. */
        if (rc < 0 && !later) {
            err_copy(err, &why);
            return -1;
        }
        if (rc < 0)
            restore_findings_add(&e->report->findings, RESTORE_CHECK_WARNING, "plan", name, "left out: %s", why.text);
    }
    return e->count
               ? 0
               : err_set(err, ERR_NOT_FOUND, "there is no database in '%s' that can be restored to the target", e->request.scope);
}

static int check_targets(const struct engine *e, struct err *err) {
    const char **names = mem_array(e->count + 1, sizeof(*names));
    bool differ = true;
    size_t a = 0, b = 0;
    for (size_t i = 0; i < e->count; i++)
        names[i] = e->items[i].target;
    int rc = target_names_differ(e->session, names, e->count, &differ, &a, &b, err);
    if (rc == 0 && !differ && !strcmp(names[a], names[b]))
        rc = err_set(err, ERR_USAGE, "two databases cannot both become '%s'", names[b]);
    else if (rc == 0 && !differ)
        rc = err_set(err, ERR_USAGE, "two databases cannot both become '%s': for the server '%s' is the same name", names[b],
                     names[a]);
    mem_free(names);
    return rc;
}

int select_items(struct engine *e, struct err *err) {
    struct source_list list;
    int rc = 0;
    if (source_databases(e->env->source, &list, err) < 0)
        return -1;
    for (size_t i = 0; i < e->request.wish_count && rc == 0; i++)
        rc = select_wish(e, &e->request.wishes[i], &list, err);
    if (!e->request.wish_count)
        rc = select_everything(e, &list, err);
    source_list_done(&list);
    return rc < 0 ? -1 : check_targets(e, err);
}

int select_entry(struct engine *e, struct restore_entry *entry, const struct source_list *list, struct err *err) {
    const struct source_database *db = NULL;
    const struct restore_wish *wish = NULL;
    for (size_t i = 0; i < list->count; i++)
        if (!strcmp(list->items[i].folder, entry->folder))
            db = &list->items[i];
    if (!db)
        return err_set(err, ERR_NOT_FOUND, "the backups of %s (folder %s) are not there any more", entry->source, entry->folder);
    for (size_t i = 0; i < e->request.wish_count; i++)
        if (!strcmp(e->request.wishes[i].database, entry->database))
            wish = &e->request.wishes[i];
    struct item *it = add_item(e, wish, db);
    str_copy(it->target, sizeof(it->target), entry->target);
    it->entry = entry;
    it->resumed = true;
    for (size_t i = 0; i < entry->file_count; i++) {
        struct restore_file *f;
        it->files = mem_realloc(it->files, (it->file_count + 1) * sizeof(*it->files));
        f = &it->files[it->file_count++];
        *f = (struct restore_file){.logical = mem_strdup(entry->files[i].logical),
                                   .physical = mem_strdup(entry->files[i].physical),
                                   .source_path = mem_strdup(""),
                                   .type = 'D'};
    }
    return 0;
}
