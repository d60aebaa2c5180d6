/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "common/base/guid.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/journal_int.h"

/* ---- out ---- */

static json_t *guid_json(const struct guid *g) {
    char text[GUID_TEXT_MAX];
    return json_string(guid_is_zero(g) ? "" : guid_format(text, g));
}

/* A text that was cut in the middle of a character is no JSON. */
static json_t *text_json(const char *text) {
    json_t *json = json_string(text);
    if (json)
        return json;
    _cleanup_free_ char *plain = mem_strdup(text);
    for (char *p = plain; *p; p++)
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    return json_string(plain);
}

static json_t *err_json(const struct err *e) {
    return json_pack("{s:s,s:i,s:i,s:o}", "class", err_class_name(e->class), "sql", e->sql_number, "os", e->os, "text",
                     text_json(e->text));
}

/* What proves whose a database is. */
static json_t *proof_json(const struct restore_entry *e) {
    char base[LSN_TEXT_MAX], tail[LSN_TEXT_MAX];
    return json_pack("{s:o,s:b,s:o,s:o,s:s,s:o,s:s,s:I}", "before", restore_identity_to_json(&e->before), "beforeOurs",
                     e->before_ours, "mine", restore_identity_to_json(&e->mine), "family", guid_json(&e->family), "baseLsn",
                     lsn_format(base, e->base_lsn), "baseFork", guid_json(&e->base_fork), "tailLsn",
                     lsn_format(tail, e->tail_lsn), "shortAt", (json_int_t)e->short_at);
}

static json_t *entry_json(const struct restore_entry *e) {
    json_t *files = json_array(), *avoid = json_array();
    for (size_t i = 0; i < e->file_count; i++)
        json_array_append_new(files, json_pack("{s:s,s:s}", "logical", e->files[i].logical, "physical", e->files[i].physical));
    for (size_t i = 0; i < e->avoid_count; i++)
        json_array_append_new(avoid, guid_json(&e->avoid[i]));
    json_t *json = json_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:s,s:o,s:s,s:b,s:i,s:s,s:o,s:o,s:b,s:s,s:o,s:o,s:o}", "database", e->database, "folder", e->folder,
        "source", e->source, "target", e->target, "step", restore_step_name(e->step), "outcome", restore_step_name(e->outcome),
        "error", err_json(&e->err), "over", restore_over_name(e->over), "replace", e->replace, "userAccess", e->user_access,
        "tailRun", e->tail_run, "files", files, "base", guid_json(&e->base), "baseDone", e->base_done, "stop", e->stop, "avoid",
        avoid, "recoveryFork", guid_json(&e->recovery_fork), "databaseGuid", guid_json(&e->database_guid));
    if (json && e->judged)
        json_object_set_new(json, "identity", proof_json(e));
    return json;
}

json_t *restore_journal_to_json(const struct restore_journal *j) {
    json_t *entries = json_array();
    for (size_t i = 0; i < j->count; i++)
        json_array_append_new(entries, entry_json(&j->entries[i]));
    return json_pack("{s:i,s:I,s:o,s:o,s:{s:s,s:s,s:s}}", "format", RESTORE_JOURNAL_FORMAT, "createdAt",
                     (json_int_t)j->created_at, "request", restore_request_to_json(&j->request), "databases", entries, "server",
                     "name", j->server.name, "machine", j->server.machine, "address", j->server.address);
}

/* ---- in ---- */

static int bad(struct err *err, const char *what) {
    return err_set(err, ERR_CORRUPT, "%s is missing or cannot be", what);
}

static bool guid_from(const json_t *json, struct guid *dst) {
    const char *text = json_string_value(json);
    return text && (!*text || guid_parse(text, dst));
}

static int lists_from(struct restore_entry *e, const json_t *files, const json_t *avoid, struct err *err) {
    size_t i;
    json_t *one;
    if (!json_is_array(files) || !json_is_array(avoid))
        return bad(err, "a list");
    e->files = mem_array(json_array_size(files) + 1, sizeof(*e->files));
    json_array_foreach(files, i, one) {
        const char *logical, *physical;
        if (json_unpack(one, "{s:s,s:s}", "logical", &logical, "physical", &physical) < 0)
            return bad(err, "a file");
        e->files[e->file_count++] = (struct restore_move){mem_strdup(logical), mem_strdup(physical)};
    }
    json_array_foreach(avoid, i, one) {
        struct guid g = {{0}};
        if (!guid_from(one, &g))
            return bad(err, "a set");
        restore_entry_avoid(e, &g);
    }
    return 0;
}

/* Absent in journals of older programs. */
static int proof_from(struct restore_entry *e, json_t *json, struct err *err) {
    json_t *before, *mine, *family, *fork;
    const char *base, *tail;
    json_int_t short_at;
    int ours;
    if (!json)
        return 0;
    if (json_unpack(json, "{s:o,s:b,s:o,s:o,s:s,s:o,s:s,s:I}", "before", &before, "beforeOurs", &ours, "mine", &mine, "family",
                    &family, "baseLsn", &base, "baseFork", &fork, "tailLsn", &tail, "shortAt", &short_at) < 0 ||
        !restore_identity_from_json(before, &e->before) || !restore_identity_from_json(mine, &e->mine) ||
        !guid_from(family, &e->family) || !guid_from(fork, &e->base_fork) || !lsn_parse(base, &e->base_lsn) ||
        !lsn_parse(tail, &e->tail_lsn))
        return bad(err, "the identity of a database");
    e->before_ours = ours;
    e->short_at = short_at;
    e->judged = true;
    return 0;
}

static int server_from(struct restore_server *s, json_t *json, struct err *err) {
    const char *name, *machine, *address;
    if (!json)
        return 0;
    if (json_unpack(json, "{s:s,s:s,s:s}", "name", &name, "machine", &machine, "address", &address) < 0 ||
        !str_copy(s->name, sizeof(s->name), name) || !str_copy(s->machine, sizeof(s->machine), machine) ||
        !str_copy(s->address, sizeof(s->address), address))
        return bad(err, "the server");
    return 0;
}

static int entry_from(struct restore_journal *j, json_t *json, struct err *err) {
    const char *database, *folder, *source, *target, *step, *outcome, *over, *tail_run, *stop, *class, *text;
    json_t *files, *avoid, *base, *fork, *guid;
    int replace, user_access, sql, os, base_done;
    if (json_unpack(json, "{s:s,s:s,s:s,s:s,s:s,s:s,s:{s:s,s:i,s:i,s:s},s:s,s:b,s:i,s:s,s:o,s:o,s:b,s:s,s:o,s:o,s:o}", "database",
                    &database, "folder", &folder, "source", &source, "target", &target, "step", &step, "outcome", &outcome,
                    "error", "class", &class, "sql", &sql, "os", &os, "text", &text, "over", &over, "replace", &replace,
                    "userAccess", &user_access, "tailRun", &tail_run, "files", &files, "base", &base, "baseDone", &base_done,
                    "stop", &stop, "avoid", &avoid, "recoveryFork", &fork, "databaseGuid", &guid) < 0)
        return bad(err, "a member of a database");
    struct restore_entry *e = restore_journal_add(j);
    restore_entry_set(&e->database, database);
    restore_entry_set(&e->folder, folder);
    restore_entry_set(&e->source, source);
    restore_entry_set(&e->target, target);
    restore_entry_set(&e->tail_run, tail_run);
    restore_entry_set(&e->stop, stop);
    e->replace = replace;
    e->base_done = base_done;
    e->user_access = user_access;
    e->err = (struct err){.class = err_class_parse(class), .os = os, .sql_number = sql};
    str_copy(e->err.text, sizeof(e->err.text), text);
    if (!restore_step_parse(step, &e->step) || !restore_step_parse(outcome, &e->outcome) || !restore_over_parse(over, &e->over))
        return bad(err, "a step");
    if (!guid_from(base, &e->base) || !guid_from(fork, &e->recovery_fork) || !guid_from(guid, &e->database_guid))
        return bad(err, "a GUID");
    if (proof_from(e, json_object_get(json, "identity"), err) < 0)
        return -1;
    return lists_from(e, files, avoid, err);
}

static int read_all(json_t *json, struct restore_journal *j, struct err *err) {
    json_int_t created = 0;
    json_t *request, *entries, *one;
    int format = 0;
    size_t i;
    if (json_unpack(json, "{s:i,s:I,s:o,s:o}", "format", &format, "createdAt", &created, "request", &request, "databases",
                    &entries) < 0 ||
        !json_is_array(entries))
        return bad(err, "a member");
    if (format != RESTORE_JOURNAL_FORMAT)
        return err_set(err, ERR_UNSUPPORTED, "it has format %d, this program knows %d", format, RESTORE_JOURNAL_FORMAT);
    if (restore_request_from_json(request, &j->request, err) < 0 ||
        server_from(&j->server, json_object_get(json, "server"), err) < 0)
        return -1;
    j->created_at = created;
    json_array_foreach(entries, i, one) if (entry_from(j, one, err) < 0) return -1;
    return 0;
}

int restore_journal_from_json(const json_t *json, const char *path, struct restore_journal *ret_journal, struct err *err) {
    struct restore_journal j = {.path = mem_strdup(path)};
    pthread_mutex_init(&j.lock, NULL);
    if (read_all((json_t *)(uintptr_t)json, &j, err) < 0) {
        restore_journal_done(&j);
        return -1;
    }
    *ret_journal = j; /* nobody holds the lock yet */
    return 0;
}
