/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/job/draft.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/fault.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define FOLDER "draft" /* a place holder: the folder is chosen when the set is shipped */

const char *const *draft_fault_points(void) {
    static const char *const points[] = {"draft.saved", NULL};
    return points;
}

static char *folder_of(const struct agent *agent) {
    return file_join(agent->config->paths.state, "drafts");
}

static char *path_of(const struct agent *agent, const char *run_id) {
    _cleanup_free_ char *folder = folder_of(agent);
    _cleanup_free_ char *name = mem_printf("%s.json", run_id);
    return file_join(folder, name);
}

/* A manifest names one object per stripe; a draft has their names only. */
static void add_place_holders(struct job *job) {
    for (uint32_t i = 0; i < job->entry.stripes; i++) {
        struct manifest_object *object = manifest_add_object(&job->manifest);
        char name[STORE_NAME_MAX];
        name_object(name, &job->set, i + 1, "");
        manifest_set(&object->name, name);
        manifest_set(&object->codec, "none");
        object->stripe = i + 1;
    }
}

int draft_save(struct job *job, struct err *err) {
    _cleanup_free_ char *folder = folder_of(job->agent), *path = path_of(job->agent, job->entry.run_id), *text = NULL;
    size_t len;
    add_place_holders(job);
    manifest_set(&job->manifest.folder, FOLDER);
    int rc = manifest_format(&job->manifest, &text, &len, err);
    job_forget_objects(&job->manifest);
    manifest_set(&job->manifest.folder, "");
    if (rc < 0 || file_mkdirs(folder, 0700, err) < 0)
        return err_context(err, "draft of run %s", job->entry.run_id);
    if (fault_point("draft.saved", FAULT_BEFORE, err) < 0 || file_write_durable(path, text, len, 0600, err) < 0)
        return -1;
    return fault_point("draft.saved", FAULT_AFTER, err);
}

/* What the journal would say, for a run that has left it. */
static void fill_entry(struct job *job) {
    struct journal_entry *e = &job->entry;
    const struct manifest *m = &job->manifest;
    e->step = JOURNAL_TAKEN;
    e->kind = m->backup.kind;
    e->stripes = m->backup.stripes;
    e->incarnation = m->backup.incarnation;
    e->utc_offset_s = m->backup.utc_offset_s;
    e->family_guid = m->backup.family_guid;
    e->database_guid = m->backup.database_guid;
    if (!e->planned_at)
        e->planned_at = m->backup.start_at;
    str_copy(e->database, sizeof(e->database), m->database);
    str_copy(e->trigger, sizeof(e->trigger), m->trigger);
    str_copy(e->reason, sizeof(e->reason), m->reason);
}

int draft_load(struct job *job, struct err *err) {
    _cleanup_free_ char *path = path_of(job->agent, job->entry.run_id), *text = NULL;
    size_t len;
    struct manifest m;
    if (file_read_all(path, MANIFEST_BYTES_MAX, &text, &len, err) < 0 || manifest_parse(text, len, &m, err) < 0)
        return -1;
    if (strcmp(m.run_id, job->entry.run_id)) {
        manifest_done(&m);
        return err_set(err, ERR_CORRUPT, "%s is the draft of another run", path);
    }
    manifest_done(&job->manifest);
    job->manifest = m;
    job_forget_objects(&job->manifest);
    manifest_set(&job->manifest.folder, "");
    job->set = job->manifest.backup;
    fill_entry(job);
    return 0;
}

struct listing {
    char **names;
    size_t count, cap;
};

static int list_one(void *user, const char *name) {
    struct listing *l = user;
    size_t len = strlen(name);
    if (!str_ends(name, ".json") || len - 5 >= RUN_ID_MAX)
        return 0;
    l->names = mem_grow(l->names, &l->cap, l->count + 1, sizeof(*l->names));
    l->names[l->count++] = mem_printf("%.*s", (int)(len - 5), name);
    return 0;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char **draft_list(const struct agent *agent, unsigned *ret_count) {
    _cleanup_free_ char *folder = folder_of(agent);
    struct listing l = {0};
    struct err ignored; /* none was ever made */
    if (file_exists(folder))
        (void)!file_each(folder, list_one, &l, &ignored);
    if (l.count)
        qsort(l.names, l.count, sizeof(*l.names), by_name);
    *ret_count = (unsigned)l.count;
    return l.names;
}

void draft_remove(const struct agent *agent, const char *run_id) {
    _cleanup_free_ char *path = path_of(agent, run_id);
    struct err ignored; /* a draft that stays is read by nobody: its journal entry is gone */
    (void)!file_unlink_durable(path, &ignored);
}
