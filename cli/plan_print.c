/* SPDX-License-Identifier: Apache-2.0 */
/* A plan as JSON, as tables, and as T-SQL. */
#include <string.h>

#include "cli/plan.h"
#include "cli/table.h"
#include "cli/text.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"

/* ---- JSON ---- */

/* Left out when there is nothing to say. */
static void put_text(json_t *object, const char *key, const char *text) {
    if (text && *text)
        json_object_set_new(object, key, json_string(text));
}

static void put_time(json_t *object, const char *key, int64_t at) {
    char text[CLOCK_TEXT_MAX];
    if (at)
        json_object_set_new(object, key, json_string(clock_format(text, at)));
}

static void put_lsn(json_t *object, const char *key, struct lsn lsn) {
    char text[LSN_TEXT_MAX];
    if (!lsn_is_zero(lsn))
        json_object_set_new(object, key, json_string(lsn_format(text, lsn)));
}

static void put_guid(json_t *object, const char *key, const struct guid *guid) {
    char text[GUID_TEXT_MAX];
    if (!guid_is_zero(guid))
        json_object_set_new(object, key, json_string(guid_format(text, guid)));
}

static void put_bytes(json_t *object, const char *key, uint64_t bytes) {
    json_object_set_new(object, key, json_integer((json_int_t)bytes));
}

static json_t *hole_json(const struct chain_hole *hole) {
    json_t *o = json_object();
    char text[CHAIN_TEXT_MAX];
    put_text(o, "cause", chain_hole_cause_word(hole->cause));
    put_time(o, "fromAt", hole->from_at);
    put_time(o, "untilAt", hole->until_at);
    put_lsn(o, "fromLsn", hole->from_lsn);
    put_lsn(o, "untilLsn", hole->until_lsn);
    put_text(o, "byWhom", hole->who);
    put_text(o, "device", hole->device);
    put_text(o, "message", chain_hole_text(text, hole));
    return o;
}

static const char *why_text(enum chain_member_why why) {
    static const char *const texts[CHAIN_WHY_COUNT] = {
        [CHAIN_WHY_BASE] = "the full to begin with",
        [CHAIN_WHY_DIFF] = "replaces the logs between it and its full",
        [CHAIN_WHY_ROLL] = "joins what is before it to what follows",
        [CHAIN_WHY_TARGET] = "holds the target",
        [CHAIN_WHY_MAYBE] = "only when the target is not reached before it",
    };
    return why < CHAIN_WHY_COUNT ? texts[why] : "";
}

/* The GUID of the set as its row had it; none when we made one. */
static void put_identity(json_t *o, const struct plan_made *made, size_t n) {
    const struct history_set *d = plan_detail(made, n);
    int64_t number;
    if (!d || !d->made_guid)
        put_guid(o, "backupSetGuid", &plan_set(made, n)->set_guid);
    if (d && d->id_is_number && str_to_i64(d->id, 0, INT64_MAX, &number))
        json_object_set_new(o, "backupSetId", json_integer(number));
    else if (d)
        put_text(o, "backupSetId", d->id);
    if (d)
        put_text(o, "server", d->server);
}

static json_t *member_json(const struct plan_made *made, size_t n) {
    const struct chain_member *m = &made->plan.members[n];
    const struct backup *set = plan_set(made, n);
    const struct plan_files *f = &made->files[n];
    json_t *o = json_object(), *files = json_array();
    put_text(o, "kind", backup_kind_name(set->kind));
    put_identity(o, made, n);
    put_lsn(o, "firstLsn", set->first_lsn);
    put_lsn(o, "lastLsn", set->last_lsn);
    json_object_set_new(o, "ifNeeded", json_boolean(m->if_needed));
    put_text(o, "why", chain_member_why_word(m->why));
    put_text(o, "whyText", why_text(m->why));
    json_object_set_new(o, "stop", json_boolean(m->stop));
    if (m->damaged)
        json_object_set_new(o, "damaged", json_true());
    put_time(o, "startAt", set->start_at);
    put_time(o, "finishAt", set->finish_at);
    json_object_set_new(o, "position", json_integer(set->position));
    for (size_t i = 0; i < f->count; i++)
        json_array_append_new(files, json_string(f->objects ? f->objects[i] : f->names[i]));
    json_object_set_new(o, "files", files);
    json_object_set_new(o, "stripes", json_integer(set->stripes ? set->stripes : 1));
    put_bytes(o, "sizeBytes", set->size_bytes);
    put_bytes(o, "storedBytes", set->stored_bytes);
    return o;
}

static json_t *stop_json(const struct chain_stop *stop) {
    static const char *const kinds[] = {
        [CHAIN_STOP_AT] = "stopAt", [CHAIN_STOP_AT_MARK] = "stopAtMark", [CHAIN_STOP_BEFORE_MARK] = "stopBeforeMark"};
    char sql[CHAIN_STOP_TEXT_MAX];
    if (stop->kind == CHAIN_STOP_NONE)
        return NULL;
    json_t *o = json_object();
    put_text(o, "kind", kinds[stop->kind]);
    put_text(o, "value", stop->value);
    put_text(o, "after", stop->after);
    put_text(o, "sql", chain_stop_sql(sql, stop));
    if (stop->at) {
        json_object_set_new(o, "utcOffsetSeconds", json_integer(stop->utc_offset_s));
        json_object_set_new(o, "utcOffsetKnown", json_boolean(stop->offset_known));
    }
    return o;
}

static void put_head(json_t *o, const struct plan_made *made, const struct plan_options *options) {
    const struct source_database *d = made->chain.database;
    put_text(o, "database", d->name);
    put_text(o, "folder", d->folder);
    put_guid(o, "familyGuid", &made->plan.path.family);
    put_guid(o, "forkGuid", &made->plan.path.fork);
    json_object_set_new(o, "incarnation", json_integer(made->plan.path.incarnation));
    put_text(o, "target", options->target_text);
}

json_t *plan_json(const struct plan_made *made, const struct plan_options *options) {
    const struct chain_plan *p = &made->plan;
    struct plan_time time = plan_predict(made, options->rate);
    json_t *o = json_object(), *members = json_array(), *stop = stop_json(&p->stop);
    put_head(o, made, options);
    if (stop)
        json_object_set_new(o, "stop", stop);
    put_time(o, "reachesAt", p->reaches_at);
    put_lsn(o, "reachesLsn", p->reaches_lsn);
    put_time(o, "completeUntilAt", p->complete_until_at);
    for (size_t i = 0; i < p->count; i++)
        json_array_append_new(members, member_json(made, i));
    json_object_set_new(o, "members", members);
    put_bytes(o, "sizeBytes", p->size_bytes);
    put_bytes(o, "storedBytes", p->stored_bytes);
    put_bytes(o, "ifNeededBytes", p->if_needed_bytes);
    json_object_set_new(o, "predicted", json_pack("{s:f, s:s}", "seconds", time.seconds, "basis", time.basis));
    if (p->damaged)
        json_object_set_new(o, "damaged", json_true());
    if (p->before_path)
        json_object_set_new(o, "beforePath", json_true());
    if (p->has_hole)
        json_object_set_new(o, "notReached", hole_json(&p->hole));
    return o;
}

static json_t *nearest_json(const struct chain_nearest *nearest) {
    json_t *o = json_object();
    put_time(o, "at", nearest->at);
    put_lsn(o, "lsn", nearest->lsn);
    put_guid(o, "forkGuid", &nearest->path.fork);
    return o;
}

json_t *plan_refusal_json(const char *database, const struct plan_options *options, const struct chain_refusal *refusal) {
    json_t *o = json_object(), *r = json_object();
    put_text(o, "database", database);
    put_text(o, "target", options->target_text);
    put_text(r, "reason", chain_refusal_word(refusal->reason));
    put_text(r, "class", err_class_name(refusal->class));
    put_text(r, "message", refusal->text);
    put_guid(r, "backupSetGuid", &refusal->set);
    if (refusal->hole.cause)
        json_object_set_new(r, "hole", hole_json(&refusal->hole));
    if (refusal->before.any)
        json_object_set_new(r, "before", nearest_json(&refusal->before));
    if (refusal->after.any)
        json_object_set_new(r, "after", nearest_json(&refusal->after));
    json_object_set_new(o, "refusal", r);
    return o;
}

/* ---- tables ---- */

static void print_members(const struct cli *cli, const struct plan_made *made) {
    static const struct cli_column columns[] = {{"#", 0, true},          {"KIND", 0, false},     {"FINISHED", 0, false},
                                                {"FIRST LSN", 0, false}, {"LAST LSN", 0, false}, {"STORED", 0, true},
                                                {"WHY", 6, false}};
    struct cli_table *t = table_new(cli, columns, ARRAY_LEN(columns));
    char text[TEXT_MAX], lsn[LSN_TEXT_MAX];
    for (size_t i = 0; i < made->plan.count; i++) {
        const struct chain_member *m = &made->plan.members[i];
        const struct backup *set = plan_set(made, i);
        enum cli_color color = m->damaged ? CLI_BAD : m->if_needed ? CLI_DIM : CLI_PLAIN;
        table_cell(t, color, "%zu", i + 1);
        table_cell(t, color, "%s%s", backup_kind_name(set->kind), m->if_needed ? "?" : "");
        table_cell(t, color, "%s", text_time(text, set->finish_at));
        table_cell(t, color, "%s", lsn_format(lsn, set->first_lsn));
        table_cell(t, color, "%s", lsn_format(lsn, set->last_lsn));
        table_cell(t, color, "%s", set->stored_bytes ? text_bytes(text, set->stored_bytes) : "");
        table_cell(t, color, "%s%s", why_text(m->why), m->damaged ? ", DAMAGED" : "");
    }
    table_print(t);
}

void plan_print(const struct cli *cli, const struct plan_made *made, const struct plan_options *options) {
    const struct chain_plan *p = &made->plan;
    char a[TEXT_MAX], b[TEXT_MAX], hole[CHAIN_TEXT_MAX], sql[CHAIN_STOP_TEXT_MAX], span[TEXT_MAX];
    struct plan_time time = plan_predict(made, options->rate);
    cli_say(cli, CLI_BOLD, "%s to %s", made->chain.database->name, options->target_text);
    print_members(cli, made);
    if (p->stop.kind != CHAIN_STOP_NONE)
        cli_field(cli, "stop", CLI_PLAIN, "%s%s", chain_stop_sql(sql, &p->stop),
                  p->stop.kind == CHAIN_STOP_AT && !p->stop.offset_known ? " (UTC is assumed to be the server's local time)"
                                                                         : "");
    if (p->reaches_at)
        cli_field(cli, "reaches", CLI_GOOD, "%s", text_time(a, p->reaches_at));
    if (p->has_hole)
        cli_field(cli, "NOT REACHED", CLI_BAD, "newer backups: %s", chain_hole_text(hole, &p->hole));
    cli_field(cli, "to read", CLI_PLAIN, "%s in the store, %s of backups", text_bytes(a, p->stored_bytes),
              text_bytes(b, p->size_bytes));
    cli_field(cli, "predicted", CLI_PLAIN, "%s (%s)", text_span(span, (int64_t)(time.seconds * (double)CLOCK_SECOND)),
              time.basis);
}

/* ---- T-SQL ---- */

static int check_files(const struct plan_made *made, size_t n, struct err *err) {
    const struct backup *set = plan_set(made, n);
    const struct plan_files *f = &made->files[n];
    const struct history_set *d = plan_detail(made, n);
    char guid[GUID_TEXT_MAX], finish[CLOCK_TEXT_MAX];
    if (!f->count) {
        err_set(err, ERR_USAGE, "no files are known of the %s of %s (%s)", backup_kind_name(set->kind),
                clock_format(finish, set->finish_at), guid_format(guid, &set->set_guid));
        return d ? err_hint(err, "Rows need a column physical_device_name") : err_hint(err, "Say --store, too");
    }
    if (f->count < set->stripes)
        return err_set(err, ERR_USAGE, "the %s of %s (%s) has %u files and %zu are known", backup_kind_name(set->kind),
                       clock_format(finish, set->finish_at), guid_format(guid, &set->set_guid), set->stripes, f->count);
    for (uint32_t i = 0; d && i < d->file_count; i++)
        if (made->origin->history.files[d->first_file + i].device_type == 7)
            return err_set(err, ERR_UNSUPPORTED,
                           "the %s of %s went to a virtual device (%s): only the tool that took it can restore it",
                           backup_kind_name(set->kind), clock_format(finish, set->finish_at), f->names[i]);
    return 0;
}

/* Where the files of a member go. What the backups do not list (a history) is asked for on the full. mem_free() the list. */
static struct script_move *moves_of(const struct plan_made *made, const struct plan_options *options, size_t n,
                                    size_t *ret_count) {
    const struct plan_files *f = &made->files[n];
    bool listed = made->origin->store != NULL;
    struct script_move *moves = mem_array(f->move_count + options->move_count + 1, sizeof(*moves));
    size_t count = 0;
    for (size_t i = 0; i < f->move_count; i++) {
        moves[count] = f->moves[i];
        for (size_t k = 0; k < options->move_count; k++)
            if (str_ieq(options->moves[k].logical, f->moves[i].logical))
                moves[count].physical = options->moves[k].physical;
        count++;
    }
    for (size_t k = 0; !listed && !n && k < options->move_count; k++)
        moves[count++] = options->moves[k];
    *ret_count = count;
    return moves;
}

/* A move that names no file would be passed over in silence. */
static int check_moves(const struct plan_made *made, const struct plan_options *options, struct err *err) {
    for (size_t k = 0; k < options->move_count && made->origin->store; k++) {
        bool found = false;
        for (size_t i = 0; i < made->plan.count; i++)
            for (size_t f = 0; f < made->files[i].move_count; f++)
                found = found || str_ieq(made->files[i].moves[f].logical, options->moves[k].logical);
        if (!found)
            return err_set(err, ERR_USAGE, "--move: the database has no file '%s'", options->moves[k].logical);
    }
    return 0;
}

static int write_members(const struct plan_made *made, const struct plan_options *options, struct script *script, struct buf *out,
                         struct err *err) {
    struct script_member *members = mem_array(script->count + 1, sizeof(*members));
    struct script_move **moves = mem_array(script->count + 1, sizeof(*moves));
    int rc = check_moves(made, options, err);
    for (size_t i = 0; i < script->count && rc == 0; i++) {
        const struct plan_files *f = &made->files[i];
        members[i] = (struct script_member){
            &made->plan.members[i], plan_set(made, i), (const char *const *)f->names, f->count, NULL, 0};
        members[i].moves = moves[i] = moves_of(made, options, i, &members[i].move_count);
        rc = check_files(made, i, err);
    }
    script->members = members;
    if (rc == 0)
        rc = script_write(script, out, err);
    for (size_t i = 0; i < script->count; i++)
        mem_free(moves[i]);
    mem_free(moves);
    mem_free(members);
    return rc;
}

int plan_script(const struct cli *cli, const struct plan_made *made, const struct plan_options *options, const char *as,
                const char *folder, struct buf *out, struct err *err) {
    static const char system_note[] = "A system database: follow Microsoft's instructions, an ordinary RESTORE is not enough.",
                      moves_note[] =
                          "No list of the database's files is known: they go where they were. --move says another place.";
    const char *name = made->chain.database->name, *notes[2];
    _cleanup_free_ char *program = mem_printf("%s " MSSQLCTL_VERSION, cli->program);
    struct script script = {
        .program = program,
        .from = made->chain.database->folder,
        .database = as ? as : name,
        .target = options->target_text,
        .folder = made->origin->source ? folder : NULL,
        .notes = notes,
        .plan = &made->plan,
        .count = made->plan.count,
    };
    if (origin_is_system(name))
        notes[script.note_count++] = system_note;
    if (!made->origin->store && !options->move_count)
        notes[script.note_count++] = moves_note;
    return write_members(made, options, &script, out, err);
}
