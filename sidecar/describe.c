/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/describe.h"

#include <jansson.h>

#define MIB (1u << 20)

static json_t *server_json(const struct sql_server *s) {
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i}", "version", s->version, "level", s->level,
                     "edition", s->edition, "name", s->name, "machine", s->machine, "collation", s->collation, "platform",
                     s->platform, "dataPath", s->data_path, "logPath", s->log_path, "backupPath", s->backup_path,
                     "utcOffsetSeconds", (int)s->clock.utc_offset_s);
}

/* Sizes in whole MiB: the document is written anew only when something really changed. */
static json_t *database_json(const struct database *db) {
    static const char *const models[] = {"", "FULL", "BULK_LOGGED", "SIMPLE"};
    const struct sql_database *i = &db->info;
    return json_pack("{s:s, s:s, s:s, s:i, s:b, s:I, s:I}", "name", db->name, "recoveryModel",
                     i->recovery >= 1 && i->recovery <= 3 ? models[i->recovery] : "", "collation", i->collation,
                     "compatibilityLevel", i->compat_level, "encrypted", i->encrypted, "usedMiB",
                     (json_int_t)(db->sizes.full_bytes / MIB), "logFileMiB", (json_int_t)(db->sizes.log_file_bytes / MIB));
}

void describe_instance(struct agent *agent) {
    json_t *databases = json_array();
    for (size_t i = 0; i < agent->database_count; i++)
        if (agent->databases[i]->present)
            json_array_append_new(databases, database_json(agent->databases[i]));
    json_t *document = json_pack("{s:s, s:o, s:o}", "format", "1.0", "server", server_json(&agent->server), "databases",
                                 databases);
    if (!document) /* a name that is not UTF-8: nothing that SQL Server gives */
        return;
    keeper_describe(agent->keeper, document);
    json_decref(document);
}
