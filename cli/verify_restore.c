/* SPDX-License-Identifier: Apache-2.0 */
/* verify --restore: the backups of a store are restored under a scratch name, looked at and dropped. */
#include <inttypes.h>
#include <string.h>

#include "cli/origin.h"
#include "cli/out.h"
#include "cli/surroundings.h"
#include "cli/verify.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define SEED_MAX (UINT64_C(1) << 53) /* what every reader of JSON knows exactly */

struct probe {
    char *database;
    struct trial_probe is;
    bool used;
};

struct trials {
    struct cli *cli;
    struct surroundings s;
    bool sets_only; /* --verify-only */
    bool tried; /* anything at all */
    struct trial_request request; /* but for the database and its probes */
    struct probe *probes;
    size_t probe_count;
    struct trial_probe *chosen; /* of the database that is tried now */
    json_t *results;
    struct err corrupt; /* the first damage: it decides the exit code over all else */
};

/* ---- options ---- */

int verify_probe_read(const char *text, char **ret_database, char **ret_query, int64_t *ret_at_least, struct err *err) {
    const char *first = strchr(text, ':'), *last = strrchr(text, ':');
    if (!first || first == text || last <= first + 1 || !str_to_i64(last + 1, INT64_MIN, INT64_MAX, ret_at_least))
        return err_set(err, ERR_USAGE, "--probe takes DATABASE:QUERY:ATLEAST, not '%s'", text);
    *ret_database = mem_strndup(text, (size_t)(first - text));
    *ret_query = mem_strndup(first + 1, (size_t)(last - first - 1));
    return 0;
}

static int read_probe(struct probe *p, const char *text, struct err *err) {
    char *query;
    if (verify_probe_read(text, &p->database, &query, &p->is.at_least, err) < 0)
        return -1;
    p->is.query = p->is.name = query;
    return 0;
}

static int read_probes(struct trials *t, struct err *err) {
    const struct cli_args *args = &t->cli->args;
    t->probes = mem_array(args->given_count + 1, sizeof(*t->probes));
    t->chosen = mem_array(args->given_count + 1, sizeof(*t->chosen));
    for (size_t i = 0; i < args->given_count; i++)
        if (!strcmp(args->given[i].option->name, "--probe") &&
            read_probe(&t->probes[t->probe_count++], args->given[i].value, err) < 0)
            return -1;
    return 0;
}

/* random, or random:SEED to have the same one again. */
static int read_target(struct trials *t, struct err *err) {
    const char *to = cli_value(&t->cli->args, "--to");
    if (!str_starts(to, "random"))
        return chain_target_parse(to, &t->request.target, err);
    t->request.random = true;
    if (!to[6]) {
        struct guid g;
        guid_random(&g);
        memcpy(&t->request.seed, g.bytes, sizeof(t->request.seed));
        t->request.seed %= SEED_MAX;
        return 0;
    }
    if (to[6] != ':' || !str_to_u64(to + 7, SEED_MAX, &t->request.seed))
        return err_set(err, ERR_USAGE, "--to: '%s' is not random or random:SEED", to);
    return 0;
}

static int read_options(struct trials *t, struct err *err) {
    const struct cli_args *args = &t->cli->args;
    if (cli_given(args, "--rate") || cli_given(args, "--sizes-only"))
        return err_set(err, ERR_USAGE, "--rate and --sizes-only belong to reading the store, not to --restore");
    t->sets_only = cli_given(args, "--verify-only");
    t->request.check = cli_given(args, "--check");
    if (t->sets_only && (cli_given(args, "--restore") || t->request.check || cli_given(args, "--probe")))
        return err_set(err, ERR_USAGE, "--verify-only restores nothing: no --restore, --check or --probe with it");
    t->request.data_dir = cli_value(args, "--data-dir");
    t->request.log_dir = cli_value(args, "--log-dir");
    t->request.scope = t->s.scope;
    if (read_target(t, err) < 0 || read_probes(t, err) < 0)
        return -1;
    return cli_duration_ms("--stuck-after", cli_value(args, "--stuck-after"), &t->request.stuck_after_ms, err);
}

/* ---- what died before ---- */

static void on_cleaned(void *user, const char *id, const char *scratch, enum trial_cleaned what, const struct err *why) {
    struct trials *t = user;
    switch (what) {
    case TRIAL_CLEANED:
        origin_note(t->cli, "trial %s had died: '%s' was dropped", id, scratch);
        return;
    case TRIAL_CLEANED_GONE:
        origin_note(t->cli, "trial %s had died and left no database", id);
        return;
    case TRIAL_CLEANED_RUNS:
        return;
    default:
        origin_note(t->cli, "trial %s: %s", id, why ? why->text : "");
    }
}

/* ---- trials ---- */

static size_t choose_probes(struct trials *t, const char *database) {
    size_t n = 0;
    for (size_t i = 0; i < t->probe_count; i++) {
        if (!str_ieq(t->probes[i].database, database) && strcmp(t->probes[i].database, "*") != 0)
            continue;
        t->chosen[n++] = t->probes[i].is;
        t->probes[i].used = true;
    }
    return n;
}

static void complain(struct trials *t, const char *database, struct err *why) {
    err_context(why, "%s", database);
    if (why->class == ERR_CORRUPT && t->corrupt.class == ERR_NONE)
        t->corrupt = *why;
    cli_fail_later(t->cli, why);
}

static int read_sets(struct trials *t, struct err *err) {
    struct trial_sets sets;
    int rc = restore_trial_sets(&t->s.env, &t->request, &sets, err);
    if (t->cli->output == CLI_TABLE)
        verify_print_sets(t->cli, &sets, err);
    else
        json_array_append_new(t->results, verify_sets_json(&sets, err));
    trial_sets_done(&sets);
    return rc;
}

static int restore_once(struct trials *t, struct err *err) {
    struct trial_result result;
    int rc = restore_trial(&t->s.env, &t->request, &result, err);
    restore_bars_free(t->s.bars);
    t->s.bars = restore_bars_new(t->cli);
    if (t->cli->output == CLI_TABLE)
        verify_print_trial(t->cli, &result);
    else
        json_array_append_new(t->results, verify_trial_json(&result));
    trial_result_done(&result);
    return rc;
}

static void try_one(struct trials *t, const char *database) {
    struct err err;
    err_clear(&err);
    t->tried = true;
    t->request.database = database;
    t->request.probes = t->chosen;
    t->request.probe_count = choose_probes(t, database);
    if ((t->sets_only ? read_sets(t, &err) : restore_once(t, &err)) < 0)
        complain(t, database, &err);
}

static bool cancelled(const struct trials *t) {
    return atomic_load(t->s.env.cancel);
}

static int try_all(struct trials *t, struct err *err) {
    const struct cli_args *args = &t->cli->args;
    for (size_t i = 0; i < args->word_count && !cancelled(t); i++)
        try_one(t, args->words[i]);
    if (args->word_count)
        return 0;
    struct source_list list;
    if (source_databases(t->s.source, &list, err) < 0)
        return -1;
    for (size_t i = 0; i < list.count && !cancelled(t); i++) {
        const char *name = list.items[i].name;
        bool system = str_ieq(name, "master") || str_ieq(name, "model") || str_ieq(name, "msdb");
        if (!system && !source_list_repeats(&list, i))
            try_one(t, name);
    }
    source_list_done(&list);
    return 0;
}

/* What nobody looked at is not proven. */
static int check_whole(const struct trials *t, struct err *err) {
    if (cancelled(t))
        return err_set(err, ERR_CANCELLED, "cancelled: not all was verified");
    if (!t->tried)
        return err_set(err, ERR_NOT_FOUND, "%s has no backups to verify", t->s.scope);
    for (size_t i = 0; i < t->probe_count; i++)
        if (!t->probes[i].used)
            return err_set(err, ERR_USAGE, "--probe: no database '%s' was restored", t->probes[i].database);
    return 0;
}

static int run(struct trials *t, struct err *err) {
    if (read_options(t, err) < 0)
        return -1;
    if (!t->sets_only && restore_trial_clean(&t->s.env, on_cleaned, t, err) < 0)
        return -1;
    t->results = json_array();
    int rc = try_all(t, err);
    if (rc == 0)
        rc = check_whole(t, err);
    if (t->cli->output != CLI_TABLE)
        cli_print_value(t->cli, json_pack("{s:s, s:O}", "scope", t->s.scope, "trials", t->results));
    json_decref(t->results);
    if (rc == 0 && t->corrupt.class != ERR_NONE)
        t->cli->later = t->corrupt;
    return rc;
}

int verify_restore(struct cli *cli, struct err *err) {
    struct trials t = {.cli = cli};
    err_clear(&t.corrupt);
    int rc = surroundings_open(&t.s, cli, SURROUNDINGS_NO_TAILS, err);
    if (rc == 0)
        rc = run(&t, err);
    for (size_t i = 0; i < t.probe_count; i++) {
        mem_free(t.probes[i].database);
        mem_free((char *)t.probes[i].is.query);
    }
    mem_free(t.probes);
    mem_free(t.chosen);
    surroundings_close(&t.s);
    return rc;
}
