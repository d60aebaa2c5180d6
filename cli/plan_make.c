/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/plan.h"

#include <string.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/candidate.h"

#define NAMES_SHOWN 20

/* What a restore here is taken to do without a measurement: a modest disk, and the cost of a statement. */
#define DATA_BYTES_PER_S (100.0 * (1 << 20))
#define LOG_BYTES_PER_S (50.0 * (1 << 20))
#define STATEMENT_S 0.2

/* ---- which database ---- */

static int several(const struct origin *origin, struct err *err) {
    struct buf names;
    buf_init(&names, 8192);
    size_t shown = 0;
    for (size_t i = 0; i < origin->list.count && shown < NAMES_SHOWN; i++)
        if (!origin_is_system(origin->list.items[i].name))
            buf_printf(&names, "%s%s", shown++ ? ", " : "", origin->list.items[i].name);
    err_set(err, ERR_USAGE, "there are several databases: name one with --database");
    err_hint(err, "There is %s%s", names.data ? names.data : "", shown == NAMES_SHOWN ? ", ..." : "");
    buf_done(&names);
    return -1;
}

int plan_select(const struct origin *origin, const char *name, size_t **ret_indexes, size_t *ret_count, struct err *err) {
    const char *only = name;
    if (!origin->list.count)
        return err_set(err, ERR_NOT_FOUND, "there are no backups");
    for (size_t i = 0; i < origin->list.count && !name; i++) {
        const char *other = origin->list.items[i].name;
        if (origin->list.count > 1 && origin_is_system(other))
            continue;
        if (only && !str_ieq(only, other))
            return several(origin, err);
        only = other;
    }
    if (!only)
        return several(origin, err);
    return source_find(&origin->list, only, ret_indexes, ret_count, err);
}

/* ---- files ---- */

char *plan_file_name(char dst[PLAN_NAME_MAX], const struct backup *set, size_t stripe, size_t stripes) {
    struct clock_civil c;
    char number[24] = "", lsn[LSN_TEXT_MAX];
    const uint8_t *g = set->set_guid.bytes;
    clock_to_civil(set->finish_at, &c);
    if (stripes > 1)
        str_format(number, sizeof(number), "-s%02zu", stripe);
    str_format(dst, PLAN_NAME_MAX, "%s-%s-%04d%02d%02dT%02d%02d%02dZ-%02x%02x%02x%02x%s.%s",
               lsn_format_padded(lsn, set->last_lsn), backup_kind_name(set->kind), c.year, c.month, c.day, c.hour, c.minute,
               c.second, g[0], g[1], g[2], g[3], number, set->kind == BACKUP_LOG ? "trn" : "bak");
    return dst;
}

static void files_done(struct plan_files *f) {
    for (size_t i = 0; i < f->count; i++) {
        mem_free(f->names[i]);
        if (f->objects)
            mem_free(f->objects[i]);
    }
    for (size_t i = 0; i < f->move_count; i++)
        mem_free((char *)(uintptr_t)f->moves[i].logical);
    mem_free(f->names);
    mem_free(f->objects);
    mem_free(f->moves);
    *f = (struct plan_files){0};
}

static bool is_placed(const struct plan_made *made, size_t members, const char *logical) {
    for (size_t i = 0; i <= members; i++)
        for (size_t k = 0; k < made->files[i].move_count; k++)
            if (str_ieq(made->files[i].moves[k].logical, logical))
                return true;
    return false;
}

static void take_moves(struct plan_made *made, size_t member, const struct manifest *m) {
    struct plan_files *f = &made->files[member];
    f->moves = mem_array(m->file_count + 1, sizeof(*f->moves));
    for (size_t i = 0; i < m->file_count; i++)
        if (!is_placed(made, member, m->files[i].logical_name))
            f->moves[f->move_count++] = (struct script_move){
                .logical = mem_strdup(m->files[i].logical_name), .type = m->files[i].type, .id = m->files[i].file_id};
}

/* Stripes in their order: RESTORE takes them in any, people like this one. */
static int take_objects(struct plan_made *made, size_t member, const struct manifest *m, struct err *err) {
    struct plan_files *f = &made->files[member];
    const char *folder = made->chain.database->folder;
    f->names = mem_array(m->object_count + 1, sizeof(*f->names));
    f->objects = mem_array(m->object_count + 1, sizeof(*f->objects));
    for (uint32_t stripe = 1; stripe <= m->object_count; stripe++)
        for (size_t i = 0; i < m->object_count; i++) {
            char name[PLAN_NAME_MAX], whole[STORE_NAME_MAX];
            if (m->objects[i].stripe != stripe)
                continue;
            if (name_join(whole, made->origin->scope, folder, m->objects[i].name, err) < 0)
                return -1;
            f->names[f->count] = mem_strdup(plan_file_name(name, plan_set(made, member), stripe, m->object_count));
            f->objects[f->count++] = mem_strdup(whole);
            f->plain_bytes += m->objects[i].plain_bytes;
        }
    return 0;
}

static int files_of_store(struct plan_made *made, size_t member, struct err *err) {
    struct manifest m;
    const char *folder = made->chain.database->folder;
    if (source_manifest(made->origin->source, folder, plan_set(made, member), &m, err) < 0)
        return -1;
    int rc = source_probe(made->origin->source, folder, &m, err);
    if (rc == 0)
        rc = take_objects(made, member, &m, err);
    if (rc == 0)
        take_moves(made, member, &m);
    manifest_done(&m);
    return rc;
}

static void files_of_history(struct plan_made *made, size_t member) {
    const struct history_set *d = plan_detail(made, member);
    struct plan_files *f = &made->files[member];
    f->names = mem_array(d->file_count + 1, sizeof(*f->names));
    for (uint32_t i = 0; i < d->file_count; i++)
        f->names[f->count++] = mem_strdup(made->origin->history.files[d->first_file + i].path);
}

/* *ret_bad: the member whose set is not as it should be; SIZE_MAX: it is not about a set. */
static int load_files(struct plan_made *made, size_t *ret_bad, struct err *err) {
    *ret_bad = SIZE_MAX;
    made->files = mem_array(made->plan.count + 1, sizeof(*made->files));
    for (size_t i = 0; i < made->plan.count; i++) {
        if (!made->origin->source) {
            files_of_history(made, i);
        } else if (made->origin->store && files_of_store(made, i, err) < 0) {
            bool bad = err->class == ERR_NOT_FOUND || err->class == ERR_CORRUPT || err->class == ERR_UNSUPPORTED;
            *ret_bad = bad ? i : SIZE_MAX;
            return -1;
        }
    }
    return 0;
}

/* ---- the plan ---- */

const struct backup *plan_set(const struct plan_made *made, size_t member) {
    return &made->chain.sets[made->plan.members[member].set];
}

const struct history_set *plan_detail(const struct plan_made *made, size_t member) {
    return made->origin->source ? NULL : &made->origin->history.details[made->chain.first + made->plan.members[member].set];
}

static void plan_drop(struct plan_made *made) {
    for (size_t i = 0; made->files && i < made->plan.count; i++)
        files_done(&made->files[i]);
    mem_free(made->files);
    made->files = NULL;
    chain_plan_done(&made->plan);
}

void plan_made_done(struct plan_made *made) {
    plan_drop(made);
    origin_chain_done(&made->chain);
}

static bool build(const struct cli *cli, const struct plan_options *options, struct plan_made *made,
                  struct chain_refusal *refusal) {
    const struct origin_chain *c = &made->chain;
    /* A machine whose clock is behind the server's does not make the newest backups ones of the future. They ended within the
     * second of their finish. */
    int64_t newest = c->database->newest_at + CLOCK_SECOND;
    struct chain_plan_request request = {
        .history = &c->order,
        .foreign = c->foreign,
        .foreign_count = c->foreign_count,
        .known = c->loaded.holes,
        .known_count = c->loaded.hole_count,
        .quiet_until_at = c->loaded.quiet_until_at,
        .target = options->target,
        .avoid = options->avoid,
        .avoid_count = options->avoid_count,
        .marks = c->loaded.marks,
        .mark_count = c->loaded.mark_count,
        .allow_damaged = options->allow_damaged,
        .now = cli->now > newest ? cli->now : newest,
    };
    return chain_plan_build(&request, &made->plan, refusal);
}

/* Plans until every set of the plan is there. */
static int plan_chain(struct cli *cli, struct plan_options *options, struct plan_made *made, struct chain_refusal *refusal,
                      struct err *err) {
    for (;;) {
        size_t bad;
        struct err why = {0};
        if (!build(cli, options, made, refusal))
            return chain_refusal_err(refusal, err);
        if (load_files(made, &bad, &why) == 0)
            return 0;
        struct guid guid = bad == SIZE_MAX ? (struct guid){{0}} : plan_set(made, bad)->set_guid;
        plan_drop(made);
        if (bad == SIZE_MAX) {
            err_copy(err, &why);
            return -1;
        }
        err_hint(&why, "Another way around it is looked for");
        cli_fail_later(cli, &why);
        options->avoid = mem_grow(options->avoid, &options->avoid_cap, options->avoid_count + 1, sizeof(*options->avoid));
        options->avoid[options->avoid_count++] = guid;
    }
}

struct choice {
    struct cli *cli;
    struct origin *origin;
    struct plan_options *options;
    struct plan_made made; /* of the one that was found */
    struct chain_refusal refusal; /* of the one that is meant, else */
    bool tried;
};

static int try_candidate(void *user, size_t index, struct candidate_failure *ret_failure, struct err *err) {
    struct choice *c = user;
    struct plan_made made = {.origin = c->origin};
    struct chain_refusal refusal = {0};
    size_t avoided = c->options->avoid_count;
    if (origin_load(c->cli, c->origin, index, c->options->target.kind == CHAIN_TO_MARK, &made.chain, err) < 0) {
        c->refusal = refusal;
        return -1;
    }
    if (plan_chain(c->cli, c->options, &made, &refusal, err) == 0) {
        c->made = made;
        return 0;
    }
    *ret_failure = (struct candidate_failure){.refused = refusal.reason,
                                              .harmed = c->options->avoid_count > avoided || made.chain.loaded.unreadable_total};
    origin_chain_done(&made.chain);
    if (!c->tried || !candidate_is_later(ret_failure))
        c->refusal = refusal;
    c->tried = true;
    return -1;
}

int plan_make(struct cli *cli, struct origin *origin, struct plan_options *options, const size_t *indexes, size_t count,
              struct plan_made *ret_made, struct chain_refusal *ret_refusal, struct err *err) {
    struct choice c = {.cli = cli, .origin = origin, .options = options};
    size_t place;
    if (options->target.kind == CHAIN_TO_MARK && !origin->store)
        return err_set(err, ERR_UNSUPPORTED, "marks are in the manifests of a store: give --store, or the mark's lsn:");
    if (candidate_choose(indexes, count, try_candidate, &c, &place, err) < 0) {
        *ret_refusal = c.refusal;
        return -1;
    }
    if (count > 1)
        origin_note(cli, "%zu databases had this name; this is the one in %s", count, c.made.chain.database->folder);
    if (c.made.plan.before_path)
        origin_note(cli, "%s", CHAIN_BEFORE_PATH_TEXT);
    *ret_made = c.made;
    return 0;
}

/* ---- how long ---- */

struct plan_time plan_predict(const struct plan_made *made, uint64_t rate) {
    struct plan_time t = {.basis = rate ? "the rate that was given, and 0.2 s per statement"
                                        : "no measurement: 100 MiB/s for data, 50 MiB/s for log, 0.2 s per statement"};
    for (size_t i = 0; i < made->plan.count; i++) {
        const struct backup *set = plan_set(made, i);
        double per_s = rate ? (double)rate : set->kind == BACKUP_LOG ? LOG_BYTES_PER_S : DATA_BYTES_PER_S;
        uint64_t bytes = made->files[i].plain_bytes ? made->files[i].plain_bytes : set->size_bytes;
        t.seconds += (double)bytes / per_s + STATEMENT_S;
    }
    t.seconds += STATEMENT_S;
    if (!made->plan.size_bytes && !made->plan.stored_bytes)
        t.basis = "no sizes are known: 0.2 s per statement alone";
    return t;
}
