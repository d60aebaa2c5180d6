/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/verify/damage.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define FILE_BYTES_MAX (8u << 20)

const char *const *damage_fault_points(void) {
    static const char *const points[] = {"verify.damaged", NULL};
    return points;
}

static void item_done(struct damaged *d) {
    mem_free(d->folder);
    mem_free(d->manifest);
    mem_free(d->object);
    mem_free(d->text);
}

static void clear(struct damage *all) {
    for (size_t i = 0; i < all->count; i++)
        item_done(&all->items[i]);
    mem_free(all->items);
    all->items = NULL;
    all->count = all->cap = 0;
}

static struct damaged *add(struct damage *all) {
    if (all->count == DAMAGE_MAX)
        return NULL;
    all->items = mem_grow(all->items, &all->cap, all->count + 1, sizeof(*all->items));
    struct damaged *d = &all->items[all->count++];
    *d = (struct damaged){0};
    return d;
}

size_t damage_find(const struct agent *agent, const char *folder, const char *manifest) {
    for (size_t i = 0; i < agent->damage.count; i++)
        if (!strcmp(agent->damage.items[i].folder, folder) && !strcmp(agent->damage.items[i].manifest, manifest))
            return i;
    return SIZE_MAX;
}

/* ---- the file ---- */

static bool problem_parse(const char *word, enum scrub_kind *ret_kind) {
    for (enum scrub_kind kind = 0; kind < SCRUB_KIND_COUNT; kind++)
        if (!strcmp(word, scrub_kind_word(kind))) {
            *ret_kind = kind;
            return true;
        }
    return false;
}

static bool parse_item(struct damage *all, const json_t *o) {
    const char *folder, *manifest, *object, *problem, *found, *what;
    enum scrub_kind kind;
    int64_t at;
    if (json_unpack((json_t *)(uintptr_t)o, "{s:s, s:s, s:s, s:s, s:s, s:s}", "folder", &folder, "manifest", &manifest, "object",
                    &object, "problem", &problem, "foundAt", &found, "message", &what) < 0 ||
        !problem_parse(problem, &kind) || !clock_parse(found, &at) || strlen(folder) >= NAME_FOLDER_MAX ||
        strlen(manifest) >= STORE_NAME_MAX)
        return false;
    struct damaged *d = add(all);
    if (!d)
        return false;
    *d = (struct damaged){.folder = mem_strdup(folder),
                          .manifest = mem_strdup(manifest),
                          .object = mem_strdup(object),
                          .text = mem_strdup(what),
                          .problem = kind,
                          .found_at = at};
    return true;
}

static int load(struct damage *all, struct err *err) {
    _cleanup_free_ char *data = NULL;
    size_t len, i;
    json_t *item;
    if (!file_exists(all->path))
        return 0;
    if (file_read_all(all->path, FILE_BYTES_MAX, &data, &len, err) < 0)
        return -1;
    json_t *root = json_loadb(data, len, JSON_REJECT_DUPLICATES, NULL);
    bool good = json_is_array(root);
    json_array_foreach(root, i, item) good = good && parse_item(all, item);
    json_decref(root);
    return good ? 0 : err_set(err, ERR_CORRUPT, "%s cannot be read", all->path);
}

int damage_save(struct agent *agent, struct err *err) {
    struct damage *all = &agent->damage;
    char at[CLOCK_TEXT_MAX];
    if (!all->open || !all->changed)
        return 0;
    json_t *root = json_array();
    for (size_t i = 0; i < all->count; i++) {
        const struct damaged *d = &all->items[i];
        bool text = str_is_clean_utf8(d->text, strlen(d->text));
        json_array_append_new(root, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "folder", d->folder, "manifest", d->manifest,
                                              "object", d->object, "problem", scrub_kind_word(d->problem), "foundAt",
                                              clock_format(at, d->found_at), "message", text ? d->text : ""));
    }
    char *out = json_dumps(root, JSON_INDENT(1));
    json_decref(root);
    if (!out)
        return err_set(err, ERR_INTERNAL, "the list of damaged backups cannot be said in JSON");
    int rc = fault_point("verify.damaged", FAULT_BEFORE, err);
    if (rc == 0)
        rc = file_write_durable(all->path, out, strlen(out), 0600, err);
    free(out);
    if (rc == 0)
        rc = fault_point("verify.damaged", FAULT_AFTER, err);
    all->changed = rc < 0;
    return rc;
}

void damage_open(struct agent *agent) {
    struct damage *all = &agent->damage;
    struct err err;
    clear(all);
    mem_free(all->path);
    all->path = file_join(agent->config->paths.state, "damaged.json");
    if (load(all, &err) < 0) {
        log_error(LOG_WARN, &err, "which backups are damaged is found out anew", NULL);
        clear(all);
    }
    all->open = true;
    damage_mark(agent);
}

void damage_free(struct agent *agent) {
    clear(&agent->damage);
    mem_free(agent->damage.path);
    agent->damage = (struct damage){0};
}

/* ---- marks ---- */

static struct database *database_of(const struct agent *agent, const char *folder) {
    for (size_t i = 0; i < agent->database_count; i++)
        if (!strcmp(agent->databases[i]->folder, folder))
            return agent->databases[i];
    return NULL;
}

/* Holes that damage made: those that are there now are told, and none is left when nothing is damaged any more. */
static void tell_holes(struct agent *agent, struct database *db) {
    const struct catalog *catalog = keeper_catalog(agent->keeper);
    struct chain_history history;
    struct chain_intervals intervals;
    struct backup *sets;
    size_t count;
    struct err ignored;
    unsigned kept = 0;
    for (unsigned i = 0; i < db->hole_count; i++)
        if (db->holes[i].cause != CHAIN_HOLE_STORE_DAMAGED || damage_count_of(agent, db->folder))
            db->holes[kept++] = db->holes[i];
    db->hole_count = kept;
    if (!catalog || db->catalog_id == CATALOG_NONE || catalog_load(catalog, db->catalog_id, &sets, &count, &ignored) < 0)
        return;
    chain_history_init(&history, sets, count);
    const struct chain_interval_input input = {.history = &history};
    chain_intervals_build(&input, &intervals);
    for (size_t i = 0; i < intervals.hole_count; i++)
        if (intervals.holes[i].cause == CHAIN_HOLE_STORE_DAMAGED)
            databases_add_hole(agent, db, &intervals.holes[i]);
    chain_intervals_done(&intervals);
    chain_history_done(&history);
    mem_free(sets);
    catalog_release_pages(catalog);
}

/* The chain is looked at again with what can be read now. */
static void judge_again(struct agent *agent, const char *folder) {
    struct database *db = database_of(agent, folder);
    if (!db || !db->tips_known)
        return;
    db->last_window = (struct chain_window){0}; /* it may have needed what is lost */
    databases_load_tips(agent, db);
    tell_holes(agent, db);
    databases_judge(agent, db, NULL, 0);
    scheduler_wake(agent);
}

static void mark_folder(struct agent *agent, const char *folder) {
    struct catalog *catalog = keeper_catalog(agent->keeper);
    const struct catalog_database *cd = catalog ? catalog_database_by_folder(catalog, folder) : NULL;
    struct catalog_entry e = {.index = CATALOG_NONE};
    struct err err;
    bool changed = false;
    while (cd && catalog_previous(catalog, cd->id, &e, &err) > 0) {
        char name[STORE_NAME_MAX];
        name_manifest(name, &e.backup);
        bool bad = damage_find(agent, folder, name) != SIZE_MAX;
        if (bad == backup_has(&e.backup, BACKUP_UNREADABLE))
            continue;
        if (catalog_mark(catalog, e.index, bad ? BACKUP_UNREADABLE : 0, bad ? 0 : BACKUP_UNREADABLE, &err) < 0) {
            keeper_catalog_stale(agent->keeper); /* it is opened again, and marked then */
            return;
        }
        changed = true;
    }
    if (changed)
        judge_again(agent, folder);
}

void damage_mark(struct agent *agent) {
    const struct damage *all = &agent->damage;
    for (size_t i = 0; i < all->count; i++) {
        bool done = false;
        for (size_t k = 0; k < i && !done; k++)
            done = !strcmp(all->items[k].folder, all->items[i].folder);
        if (!done)
            mark_folder(agent, all->items[i].folder);
    }
}

bool damage_is_known(const struct agent *agent, const struct damaged *d) {
    const struct catalog *catalog = keeper_catalog(agent->keeper);
    const struct catalog_database *cd = catalog ? catalog_database_by_folder(catalog, d->folder) : NULL;
    struct catalog_entry e = {.index = CATALOG_NONE};
    struct err ignored;
    while (cd && catalog_previous(catalog, cd->id, &e, &ignored) > 0) {
        char name[STORE_NAME_MAX];
        name_manifest(name, &e.backup);
        if (!strcmp(name, d->manifest))
            return true;
    }
    return !catalog; /* being made anew: nothing is known of anything */
}

const char *damage_database(const struct agent *agent, const struct damaged *d) {
    const struct catalog *catalog = keeper_catalog(agent->keeper);
    const struct catalog_database *cd = catalog ? catalog_database_by_folder(catalog, d->folder) : NULL;
    return cd ? cd->name : d->folder;
}

unsigned damage_count_of(const struct agent *agent, const char *folder) {
    unsigned n = 0;
    for (size_t i = 0; i < agent->damage.count; i++)
        n += !strcmp(agent->damage.items[i].folder, folder);
    return n;
}

/* ---- coming and going ---- */

void damage_found(struct agent *agent, const char *manifest, const struct scrub_finding *finding) {
    struct damage *all = &agent->damage;
    size_t inside = strlen(agent->scope) + 1 + strlen(finding->folder) + 1;
    if (strlen(manifest) <= inside || damage_find(agent, finding->folder, manifest + inside) != SIZE_MAX)
        return;
    struct damaged *d = add(all);
    if (!d) {
        log_event(LOG_ERROR, "too many backups are damaged to remember this one", "backup", manifest, NULL);
        return;
    }
    *d = (struct damaged){.folder = mem_strdup(finding->folder),
                          .manifest = mem_strdup(manifest + inside),
                          .object = mem_strdup(finding->name),
                          .text = mem_strdup(finding->err.text),
                          .problem = finding->kind,
                          .found_at = clock_wall(),
                          .asked_us = clock_mono_us()};
    all->changed = true;
    log_event(LOG_ERROR, "backup cannot be used any more; plans go around it", "database", damage_database(agent, d), "backup",
              d->manifest, "problem", scrub_kind_word(d->problem), NULL);
    mark_folder(agent, finding->folder);
}

void damage_forget(struct agent *agent, size_t index, const char *why) {
    struct damage *all = &agent->damage;
    struct damaged gone = all->items[index];
    memmove(&all->items[index], &all->items[index + 1], (all->count - index - 1) * sizeof(gone));
    all->count--;
    all->changed = true;
    log_event(LOG_INFO, "backup is not counted as damaged any more", "database", damage_database(agent, &gone), "backup",
              gone.manifest, "reason", why, NULL);
    mark_folder(agent, gone.folder);
    item_done(&gone);
}
