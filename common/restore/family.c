/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that the source has of one family. A restore that ends early gives a database a new GUID and so a new chain
 * with a folder of its own: what is on the server now may go on from another folder than the one that is restored.
 */
#include <string.h>

#include "common/base/mem.h"
#include "common/restore/engine_int.h"

static int add_folder(struct item *it, const char *folder, struct err *err) {
    struct source_history h = {0};
    if (source_history(it->engine->env->source, folder, false, &h, err) < 0)
        return -1;
    it->relatives = mem_realloc(it->relatives, (it->relative_count + h.count + 1) * sizeof(*it->relatives));
    if (h.count)
        memcpy(it->relatives + it->relative_count, h.sets, h.count * sizeof(*h.sets));
    it->relative_count += h.count;
    source_history_done(&h);
    return 0;
}

int family_load(struct item *it, struct err *err) {
    struct source_list list = {0};
    mem_free(it->relatives);
    it->relatives = NULL;
    it->relative_count = 0;
    if (source_databases(it->engine->env->source, &list, err) < 0)
        return -1;
    int rc = 0;
    for (size_t i = 0; i < list.count && rc == 0; i++)
        if (guid_eq(&list.items[i].family_guid, &it->source.family_guid))
            rc = add_folder(it, list.items[i].folder, err);
    source_list_done(&list);
    return rc;
}
