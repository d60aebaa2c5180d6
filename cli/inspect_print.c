/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cli/inspect.h"
#include "cli/out.h"
#include "cli/text.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"

/* ---- JSON ---- */

/* Control characters are spaces already, and the reader gives UTF-8: see media_text(). */
static json_t *text_json(const char *text) {
    return *text ? json_string(text) : json_null();
}

/* Text: the digits are more than most readers of JSON keep of a number. */
static json_t *number_json(struct lsn lsn, bool known) {
    char text[LSN_TEXT_MAX];
    return known ? json_string(lsn_format(text, lsn)) : json_null();
}

/* NULL where there is none. */
static json_t *lsn_json(struct lsn lsn, bool known) {
    return number_json(lsn, known && !lsn_is_zero(lsn));
}

static json_t *guid_json(const struct guid *guid) {
    char text[GUID_TEXT_MAX];
    return guid_is_zero(guid) ? json_null() : json_string(guid_format(text, guid));
}

/* As SQL Server has it: the server's local time without a zone. */
static json_t *local_json(int64_t at, const struct backup *b) {
    char text[CLOCK_TEXT_MAX];
    if (!at)
        return json_null();
    clock_format(text, at + b->utc_offset_s * CLOCK_SECOND);
    text[strlen(text) - 1] = 0; /* the Z */
    return json_string(text);
}

static const char *type_name(char type) {
    return type == 'D' ? "Database" : type == 'I' ? "Database Differential" : type == 'L' ? "Transaction Log" : "";
}

static json_t *type_json(char type) {
    return type == 'D' ? json_integer(1) : type == 'I' ? json_integer(5) : type == 'L' ? json_integer(2) : json_null();
}

static void put(json_t *o, const char *key, json_t *value) {
    json_object_set_new(o, key, value);
}

static void put_about(json_t *o, const struct media_set *s) {
    put(o, "BackupName", text_json(s->name));
    put(o, "BackupDescription", text_json(s->description));
    put(o, "BackupType", type_json(s->type));
    put(o, "Compressed", json_integer(0));
    put(o, "Position", json_integer(s->backup.position));
    put(o, "DeviceType", json_integer(2));
    put(o, "UserName", text_json(s->user));
    put(o, "ServerName", text_json(s->server));
    put(o, "DatabaseName", text_json(s->database));
    put(o, "DatabaseVersion", json_integer(s->database_version));
    put(o, "DatabaseCreationDate", local_json(s->database_created_at, &s->backup));
    put(o, "BackupSize", json_integer((json_int_t)s->backup.size_bytes));
}

/* LSNs and the finish of a set that is not complete are estimates: nobody should plan with them. */
static json_t *set_json(const struct inspected *f, const struct media_set *s) {
    const struct backup *b = &s->backup;
    json_t *o = json_object();
    put_about(o, s);
    put(o, "FirstLSN", number_json(b->first_lsn, s->complete));
    put(o, "LastLSN", number_json(b->last_lsn, s->complete));
    put(o, "CheckpointLSN", number_json(b->checkpoint_lsn, s->complete));
    put(o, "DatabaseBackupLSN", number_json(b->database_backup_lsn, s->complete));
    put(o, "BackupStartDate", local_json(b->start_at, b));
    put(o, "BackupFinishDate", s->complete ? local_json(b->finish_at, b) : json_null());
    put(o, "CompatibilityLevel", json_integer(s->compatibility));
    put(o, "SoftwareVersionMajor", json_integer(s->version_major));
    put(o, "SoftwareVersionMinor", json_integer(s->version_minor));
    put(o, "SoftwareVersionBuild", json_integer(s->version_build));
    put(o, "MachineName", text_json(s->machine));
    put(o, "BindingID", guid_json(&b->database_guid));
    put(o, "RecoveryForkID", guid_json(&b->last_fork));
    put(o, "FamilyGUID", guid_json(&b->family_guid));
    if (b->kind == BACKUP_FULL)
        put(o, "IsCopyOnly", json_boolean(backup_has(b, BACKUP_COPY_ONLY)));
    put(o, "FirstRecoveryForkID", guid_json(&b->first_fork));
    put(o, "ForkPointLSN", lsn_json(b->fork_point, s->complete));
    put(o, "DifferentialBaseLSN", lsn_json(b->diff_base_lsn, s->complete));
    put(o, "DifferentialBaseGUID", guid_json(&b->diff_base_guid));
    put(o, "BackupTypeDescription", text_json(type_name(s->type)));
    put(o, "BackupSetGUID", guid_json(&b->set_guid));
    if (backup_has(b, BACKUP_UTC_OFFSET_KNOWN))
        put(o, "TimeZone", json_integer(b->utc_offset_s / 900));
    put(o, "File", json_string(f->path));
    put(o, "Complete", json_boolean(s->complete));
    return o;
}

static json_t *file_json(const struct inspected *f) {
    const struct media *m = &f->media;
    _cleanup_free_ char *condition = inspect_condition(f);
    json_t *o = json_object();
    put(o, "file", json_string(f->path));
    put(o, "bytes", json_integer((json_int_t)f->bytes));
    put(o, "kind", json_string(media_kind_name(m->kind)));
    put(o, "condition", json_string(condition));
    if (m->kind == MEDIA_CONTAINER)
        put(o, "containerVersion", json_integer(m->container_version));
    if (f->packed)
        put(o, "packedWith", json_string(f->packed));
    if (m->kind != MEDIA_PLAIN)
        return o;
    put(o, "problem", json_string(media_problem_name(m->problem)));
    if (m->problem != MEDIA_WHOLE)
        put(o, "problemAt", json_integer((json_int_t)m->problem_at));
    put(o, "sets", json_integer((json_int_t)m->set_count));
    put(o, "mediaSetGuid", guid_json(&m->media_set_guid));
    put(o, "mediaFamily", json_integer(m->family_id));
    put(o, "blockBytes", json_integer(m->block_bytes));
    put(o, "software", text_json(m->software));
    return o;
}

json_t *inspect_json(const struct inspection *in) {
    json_t *sets = json_array(), *files = json_array(), *stripes = json_array();
    for (size_t i = 0; i < in->count; i++) {
        json_array_append_new(files, file_json(&in->files[i]));
        for (size_t k = 0; k < in->files[i].media.set_count; k++)
            json_array_append_new(sets, set_json(&in->files[i], &in->files[i].media.sets[k]));
    }
    for (size_t i = 0; i < in->stripe_count; i++) {
        const struct inspected_stripes *s = &in->stripes[i];
        json_t *names = json_array();
        for (size_t k = 0; k < s->count; k++)
            json_array_append_new(names, json_string(in->files[s->files[k]].path));
        json_array_append_new(stripes, json_pack("{s:i, s:o, s:b, s:s}", "position", (int)s->position, "files", names, "fit",
                                                 s->err.class == ERR_NONE, "problem", s->err.text));
    }
    return json_pack("{s:o, s:o, s:o}", "sets", sets, "files", files, "stripes", stripes);
}

/* ---- for people ---- */

static void print_set(const struct cli *cli, const struct media_set *s) {
    const struct backup *b = &s->backup;
    char a[TEXT_MAX], first[LSN_TEXT_MAX], last[LSN_TEXT_MAX], g[GUID_TEXT_MAX], h[GUID_TEXT_MAX];
    char label[32];
    str_format(label, sizeof(label), "  set %u", b->position);
    if (!s->type) {
        cli_field(cli, label, CLI_BAD, "nothing is known of it: the file ends before");
        return;
    }
    const char *kind = *type_name(s->type) ? backup_kind_name(b->kind) : "a kind that is not of a whole database";
    cli_field(cli, label, s->complete ? CLI_PLAIN : CLI_BAD, "%s%s of %s, server %s (%u.%u.%u)%s", kind,
              backup_has(b, BACKUP_COPY_ONLY) ? ", copy-only," : "", s->database, *s->server ? s->server : "-", s->version_major,
              s->version_minor, s->version_build, s->complete ? "" : ", NOT COMPLETE: the figures are estimates");
    cli_field(cli, "  finished", CLI_PLAIN, "%s%s", text_time(a, b->finish_at),
              backup_has(b, BACKUP_UTC_OFFSET_KNOWN) ? "" : " (the server's local time: the file does not say how far from UTC)");
    cli_field(cli, "  LSN", CLI_PLAIN, "%s to %s", lsn_format(first, b->first_lsn), lsn_format(last, b->last_lsn));
    cli_field(cli, "  set GUID", CLI_PLAIN, "%s", guid_format(g, &b->set_guid));
    cli_field(cli, "  family", CLI_PLAIN, "%s, database %s", guid_format(g, &b->family_guid), guid_format(h, &b->database_guid));
    if (guid_eq(&b->first_fork, &b->last_fork))
        cli_field(cli, "  fork", CLI_PLAIN, "%s", guid_format(g, &b->last_fork));
    else
        cli_field(cli, "  fork", CLI_WARN, "%s to %s at %s", guid_format(g, &b->first_fork), guid_format(h, &b->last_fork),
                  lsn_format(first, b->fork_point));
    if (b->kind == BACKUP_DIFF)
        cli_field(cli, "  base", CLI_PLAIN, "%s", guid_format(g, &b->diff_base_guid));
    if (*s->name || *s->description)
        cli_field(cli, "  name", CLI_PLAIN, "%s%s%s", s->name, *s->description ? ": " : "", s->description);
}

void inspect_print(const struct cli *cli, const struct inspection *in) {
    char size[TEXT_MAX];
    for (size_t i = 0; i < in->count; i++) {
        const struct inspected *f = &in->files[i];
        _cleanup_free_ char *condition = inspect_condition(f);
        if (i)
            fputc('\n', cli->io->out);
        cli_say(cli, CLI_BOLD, "%s", f->path);
        cli_field(cli, "  file", f->err.class == ERR_NONE ? CLI_GOOD : CLI_BAD, "%s, %s", text_bytes(size, f->bytes), condition);
        for (size_t k = 0; k < f->media.set_count; k++)
            print_set(cli, &f->media.sets[k]);
    }
    for (size_t i = 0; i < in->stripe_count; i++) {
        const struct inspected_stripes *s = &in->stripes[i];
        fputc('\n', cli->io->out);
        cli_say(cli, s->err.class == ERR_NONE ? CLI_GOOD : CLI_BAD, "stripes of one set at position %u: %s%s", s->position,
                s->err.class == ERR_NONE ? "they fit together (a file that is not here is not noticed)" : "", s->err.text);
        for (size_t k = 0; k < s->count; k++)
            cli_say(cli, CLI_PLAIN, "  %s", in->files[s->files[k]].path);
    }
}
