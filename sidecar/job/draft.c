/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/job/draft.h"

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

static char *path_of(const struct job *job) {
    _cleanup_free_ char *folder = folder_of(job->agent);
    _cleanup_free_ char *name = mem_printf("%s.json", job->entry.run_id);
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
    _cleanup_free_ char *folder = folder_of(job->agent), *path = path_of(job), *text = NULL;
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

int draft_load(struct job *job, struct err *err) {
    _cleanup_free_ char *path = path_of(job), *text = NULL;
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
    return 0;
}

void draft_remove(const struct job *job) {
    _cleanup_free_ char *path = path_of(job);
    struct err ignored; /* a draft that stays is read by nobody: its journal entry is gone */
    (void)!file_unlink_durable(path, &ignored);
}
