/* SPDX-License-Identifier: Apache-2.0 */
#include "common/restore/journal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/journal_int.h"

#define JOURNAL_BYTES_MAX (256u << 20)

/* ---- memory ---- */

void restore_entry_set(char **field, const char *value) {
    char *copy = mem_strdup(value ? value : "");
    mem_free(*field);
    *field = copy;
}

void restore_journal_new(const char *dir, const struct restore_request *request, struct restore_journal *ret_journal) {
    *ret_journal = (struct restore_journal){.path = mem_printf("%s/%s.json", dir, request->id), .created_at = clock_wall()};
    restore_request_copy(&ret_journal->request, request);
    pthread_mutex_init(&ret_journal->lock, NULL);
}

struct restore_entry *restore_journal_add(struct restore_journal *j) {
    j->entries = mem_realloc(j->entries, (j->count + 1) * sizeof(*j->entries));
    struct restore_entry *e = &j->entries[j->count++];
    *e = (struct restore_entry){0};
    char **const strings[] = {&e->database, &e->folder, &e->source, &e->target, &e->tail_run, &e->stop};
    for (size_t i = 0; i < ARRAY_LEN(strings); i++)
        restore_entry_set(strings[i], NULL);
    return e;
}

static void entry_done(struct restore_entry *e) {
    char *const strings[] = {e->database, e->folder, e->source, e->target, e->tail_run, e->stop};
    for (size_t i = 0; i < ARRAY_LEN(strings); i++)
        mem_free(strings[i]);
    for (size_t i = 0; i < e->file_count; i++) {
        mem_free(e->files[i].logical);
        mem_free(e->files[i].physical);
    }
    mem_free(e->files);
    mem_free(e->avoid);
}

void restore_journal_done(struct restore_journal *j) {
    if (!j->path)
        return;
    for (size_t i = 0; i < j->count; i++)
        entry_done(&j->entries[i]);
    mem_free(j->entries);
    restore_request_done(&j->request);
    pthread_mutex_destroy(&j->lock);
    mem_free(j->path);
    *j = (struct restore_journal){0};
}

void restore_entry_avoid(struct restore_entry *e, const struct guid *set) {
    if (restore_entry_avoids(e, set))
        return;
    e->avoid = mem_realloc(e->avoid, (e->avoid_count + 1) * sizeof(*e->avoid));
    e->avoid[e->avoid_count++] = *set;
}

bool restore_entry_avoids(const struct restore_entry *e, const struct guid *set) {
    for (size_t i = 0; i < e->avoid_count; i++)
        if (guid_eq(&e->avoid[i], set))
            return true;
    return false;
}

bool restore_journal_complete(const struct restore_journal *j) {
    for (size_t i = 0; i < j->count; i++)
        if (j->entries[i].outcome != RESTORE_FINISHED)
            return false;
    return true;
}

/* ---- the file ---- */

static const char *const steps[RESTORE_STEP_COUNT] = {"planned",      "checked",   "evicted",  "tail_taken",
                                                      "tail_shipped", "restoring", "applied",  "recovered",
                                                      "finished",     "failed",    "cancelled"};

const char *restore_step_name(enum restore_step step) {
    return step < RESTORE_STEP_COUNT ? steps[step] : "?";
}

bool restore_step_parse(const char *word, enum restore_step *ret_step) {
    for (unsigned i = 0; i < RESTORE_STEP_COUNT; i++)
        if (!strcmp(word, steps[i])) {
            *ret_step = (enum restore_step)i;
            return true;
        }
    return false;
}

static const char *const points[] = {
    "restore.planned",   "restore.checked", "restore.evicted",   "restore.tail_taken", "restore.tail_shipped",
    "restore.restoring", "restore.applied", "restore.recovered", "restore.finished",   "restore.failed",
    "restore.cancelled", "restore.note",    "restore.forget",
};

const char *const *restore_fault_points(size_t *ret_count) {
    *ret_count = ARRAY_LEN(points);
    return points;
}

static int write_file(struct restore_journal *j, struct err *err) {
    json_t *json = restore_journal_to_json(j);
    char *text = json_dumps(json, JSON_INDENT(1));
    json_decref(json);
    if (!text)
        return err_set(err, ERR_INTERNAL, "journal %s cannot be said in JSON", j->path);
    int rc = file_write_durable(j->path, text, strlen(text), 0640, err);
    free(text);
    return rc < 0 ? err_context(err, "journal of restore %s", j->request.id) : 0;
}

static int note(struct restore_journal *j, const char *point, struct err *err) {
    if (fault_point(point, FAULT_BEFORE, err) < 0)
        return err_context(err, "journal of restore %s", j->request.id);
    if (write_file(j, err) < 0)
        return -1;
    return fault_point(point, FAULT_AFTER, err);
}

static const char *point_of(enum restore_step step) {
    for (size_t i = 0; i < ARRAY_LEN(points); i++)
        if (!strcmp(points[i] + strlen("restore."), restore_step_name(step)))
            return points[i];
    return points[0];
}

static int note_locked(struct restore_journal *j, const char *point, struct err *err) {
    pthread_mutex_lock(&j->lock);
    int rc = note(j, point, err);
    pthread_mutex_unlock(&j->lock);
    return rc;
}

int restore_journal_begin(struct restore_journal *j, struct err *err) {
    return note_locked(j, "restore.planned", err);
}

int restore_journal_checked(struct restore_journal *j, struct err *err) {
    return note_locked(j, "restore.checked", err);
}

int restore_journal_note(struct restore_journal *j, struct err *err) {
    return note_locked(j, "restore.note", err);
}

int restore_journal_step(struct restore_journal *j, struct restore_entry *e, enum restore_step step, struct err *err) {
    pthread_mutex_lock(&j->lock);
    enum restore_step before = e->step;
    e->step = step;
    int rc = note(j, point_of(step), err);
    if (rc < 0)
        e->step = before;
    pthread_mutex_unlock(&j->lock);
    return rc;
}

int restore_journal_end(struct restore_journal *j, struct restore_entry *e, enum restore_step outcome, const struct err *why,
                        struct err *err) {
    pthread_mutex_lock(&j->lock);
    e->outcome = outcome;
    if (outcome == RESTORE_FINISHED)
        e->step = RESTORE_FINISHED;
    if (why)
        e->err = *why;
    int rc = note(j, point_of(outcome), err);
    pthread_mutex_unlock(&j->lock);
    return rc;
}

struct leftovers {
    const char *dir;
    char *prefix;
};

static int on_leftover(void *user, const char *name) {
    const struct leftovers *left = user;
    if (!str_starts(name, left->prefix))
        return 0;
    _cleanup_free_ char *path = mem_printf("%s/%s", left->dir, name);
    (void)unlink(path);
    return 0;
}

/* Half-written ones of processes that were killed. */
static int remove_leftovers(const char *dir, const char *id, struct err *err) {
    struct leftovers left = {dir, mem_printf("%s.json.tmp-", id)};
    int rc = file_each(dir, on_leftover, &left, err);
    mem_free(left.prefix);
    return rc;
}

int restore_journal_forget(const char *dir, const char *id, struct err *err) {
    _cleanup_free_ char *path = mem_printf("%s/%s.json", dir, id);
    if (fault_point("restore.forget", FAULT_BEFORE, err) < 0 || file_unlink_durable(path, err) < 0 ||
        remove_leftovers(dir, id, err) < 0)
        return err_context(err, "journal of restore %s", id);
    return fault_point("restore.forget", FAULT_AFTER, err);
}

int restore_journal_load(const char *dir, const char *id, struct restore_journal *ret_journal, struct err *err) {
    if (!restore_id_valid(id))
        return err_set(err, ERR_USAGE, "'%.*s' cannot be the id of a restore", RESTORE_ID_MAX, id);
    _cleanup_free_ char *path = mem_printf("%s/%s.json", dir, id);
    _cleanup_free_ char *text = NULL;
    size_t len;
    if (file_read_all(path, JOURNAL_BYTES_MAX, &text, &len, err) < 0) {
        if (err && err->class == ERR_NOT_FOUND)
            err_set(err, ERR_NOT_FOUND, "there is no journal of a restore %s in %s", id, dir);
        return -1;
    }
    json_error_t why;
    json_t *json = json_loadb(text, len, 0, &why);
    if (!json)
        return err_set(err, ERR_CORRUPT, "journal %s is not JSON: %s, line %d", path, why.text, why.line);
    int rc = restore_journal_from_json(json, path, ret_journal, err);
    json_decref(json);
    return rc < 0 ? err_context(err, "journal %s", path) : 0;
}

struct each {
    int (*fn)(void *user, const char *id);
    void *user;
};

static int on_file(void *user, const char *name) {
    struct each *each = user;
    size_t len = strlen(name);
    if (len < 6 || strcmp(name + len - 5, ".json") != 0)
        return 0;
    _cleanup_free_ char *id = mem_strndup(name, len - 5);
    return restore_id_valid(id) ? each->fn(each->user, id) : 0;
}

int restore_journal_each(const char *dir, int (*fn)(void *user, const char *id), void *user, struct err *err) {
    struct each each = {fn, user};
    return file_each(dir, on_file, &each, err);
}
