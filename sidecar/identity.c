/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/identity.h"

#include <string.h>

#include <jansson.h>

#include "common/base/file.h"
#include "common/base/mem.h"

#define IDENTITY_FILE "identity.json"
#define IDENTITY_BYTES_MAX 4096

static int parse(const char *path, const char *data, size_t len, struct identity *ret_identity, struct err *err) {
    json_error_t why;
    json_t *root = json_loadb(data, len, JSON_REJECT_DUPLICATES, &why);
    if (!root)
        return err_set(err, ERR_CORRUPT, "%s: line %d: %s", path, why.line, why.text);
    const char *cluster = json_string_value(json_object_get(root, "clusterId"));
    const char *owner = json_string_value(json_object_get(root, "owner"));
    struct identity found = {0};
    bool ok = owner && guid_parse(owner, &found.owner) && (!cluster || !*cluster || guid_parse(cluster, &found.cluster_id));
    json_decref(root);
    if (!ok)
        return err_set(err, ERR_CORRUPT, "%s: owner or clusterId is not a GUID", path);
    *ret_identity = found;
    return 0;
}

int identity_save(const char *state_dir, const struct identity *identity, struct err *err) {
    char cluster[GUID_TEXT_MAX], owner[GUID_TEXT_MAX];
    _cleanup_free_ char *path = file_join(state_dir, IDENTITY_FILE);
    _cleanup_free_ char *text = mem_printf("{\n  \"clusterId\": \"%s\",\n  \"owner\": \"%s\"\n}\n",
                                           guid_is_zero(&identity->cluster_id) ? "" : guid_format(cluster, &identity->cluster_id),
                                           guid_format(owner, &identity->owner));
    return file_write_durable(path, text, strlen(text), 0600, err);
}

int identity_load(const char *state_dir, const char *cluster_id, struct identity *ret_identity, struct err *err) {
    _cleanup_free_ char *path = file_join(state_dir, IDENTITY_FILE);
    struct identity identity = {0}, before = {0};
    if (file_exists(path)) {
        _cleanup_free_ char *data = NULL;
        size_t len;
        if (file_read_all(path, IDENTITY_BYTES_MAX, &data, &len, err) < 0 || parse(path, data, len, &identity, err) < 0)
            return err_hint(
                err,
                "Restore the file or remove it; without it the store is taken over once the old owner is silent for ten minutes");
        before = identity;
    } else {
        guid_random(&identity.owner);
    }
    if (cluster_id && *cluster_id && !guid_parse(cluster_id, &identity.cluster_id))
        return err_set(err, ERR_CONFIG, "cluster id '%s' is not a GUID", cluster_id);
    if (memcmp(&before, &identity, sizeof(before)) && identity_save(state_dir, &identity, err) < 0)
        return -1;
    *ret_identity = identity;
    return 0;
}
