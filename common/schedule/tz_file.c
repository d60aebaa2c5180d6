/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/schedule/tz_int.h"

#define FILE_BYTES_MAX (256 * 1024)

/* Is the name one that cannot leave the directory? */
static bool tz_name_valid(const char *name) {
    if (!*name || strlen(name) >= TZ_NAME_MAX || *name == '/' || str_ends(name, "/") || strstr(name, "//"))
        return false;
    /* no dots at all: no zone has one, and no path can go up without them */
    return !name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/")];
}

static const char *const fixed[] = {"UTC", "Etc/UTC", "GMT"};

struct near {
    char best[TZ_NAME_MAX];
    const char *want;
    const char *region;
};

static int near_entry(void *user, const char *entry) {
    struct near *n = user;
    char name[TZ_NAME_MAX];
    if (!str_format(name, sizeof(name), "%s%s", n->region, entry) || !tz_name_valid(name))
        return 0;
    const char *candidates[] = {name, n->best};
    const char *nearest = str_nearest(n->want, candidates, n->best[0] ? 2 : 1);
    if (nearest == name)
        (void)str_copy(n->best, sizeof(n->best), name);
    return 0;
}

static int not_known(const char *dir, const char *name, struct err *err) {
    char region[TZ_NAME_MAX];
    (void)str_copy(region, sizeof(region), name);
    char *slash = strrchr(region, '/');
    if (slash)
        slash[1] = 0;
    else
        region[0] = 0;
    struct near n = {.want = name, .region = region};
    char *path = file_join(dir, region);
    int rc = file_each(path, near_entry, &n, NULL);
    mem_free(path);
    if (rc == 0 && n.best[0])
        return err_set(err, ERR_CONFIG, "time zone '%s' is not in %s, did you mean '%s'?", name, dir, n.best);
    return err_set(err, ERR_CONFIG, "time zone '%s' is not in %s, allowed: names such as UTC, Europe/Berlin", name, dir);
}

int tz_load(const char *dir, const char *name, struct tz **ret_tz, struct err *err) {
    if (!dir)
        dir = TZ_DIR;
    if (!tz_name_valid(name))
        return err_set(err, ERR_CONFIG, "'%s' is not a time zone, allowed: names such as UTC, Europe/Berlin", name);
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        if (!strcmp(name, fixed[i])) {
            *ret_tz = tz_new_utc(name);
            return 0;
        }
    _cleanup_free_ char *path = file_join(dir, name);
    char *data = NULL;
    size_t len;
    struct err why = {0};
    if (file_read_all(path, FILE_BYTES_MAX, &data, &len, &why) < 0) {
        if (why.class == ERR_NOT_FOUND)
            return not_known(dir, name, err);
        return err_set(err, ERR_CONFIG, "time zone '%s': %s", name, why.text);
    }
    int rc = tz_parse(name, data, len, ret_tz, err);
    mem_free(data);
    if (rc < 0 && err)
        err->class = ERR_CONFIG;
    return rc;
}
