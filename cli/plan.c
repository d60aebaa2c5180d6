/* SPDX-License-Identifier: Apache-2.0 */
/* plan: which backups bring a database to a moment, in which order. windows: which moments there are. */
#include "cli/plan.h"

#include <string.h>

#include "cli/commands.h"
#include "cli/history_value.h"
#include "cli/out.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define AVOID_MAX 10000

static int add_avoid(struct plan_options *o, const char *text, struct err *err) {
    struct guid guid;
    if (!history_guid_parse(text, &guid) || o->avoid_count == AVOID_MAX)
        return err_set(err, ERR_USAGE, "--avoid: '%s' is no GUID of a backup set", text);
    o->avoid = mem_grow(o->avoid, &o->avoid_cap, o->avoid_count + 1, sizeof(*o->avoid));
    o->avoid[o->avoid_count++] = guid;
    return 0;
}

/* LOGICAL=PATH; a logical name may hold '=', a path as SQL Server has it begins with '/' or a drive. */
static int add_move(struct plan_options *o, const char *text, struct err *err) {
    const char *at = strstr(text, "=/");
    for (const char *p = text; !at && *p; p++)
        if (p > text && p[0] == '=' && p[1] && p[2] == ':')
            at = p;
    if (!at || at == text)
        return err_set(err, ERR_USAGE, "--move: '%s' is not LOGICAL=PATH with a whole path", text);
    o->moves = mem_grow(o->moves, &o->move_cap, o->move_count + 1, sizeof(*o->moves));
    o->moves[o->move_count++] = (struct script_move){.logical = mem_strndup(text, (size_t)(at - text)),
                                                     .physical = mem_strdup(at + 1)};
    return 0;
}

static int read_options(const struct cli_args *a, struct plan_options *o, struct err *err) {
    const char *rate = cli_value(a, "--rate");
    if (chain_target_parse(cli_value(a, "--to"), &o->target, err) < 0)
        return err_context(err, "--to");
    chain_target_format(o->target_text, &o->target);
    o->allow_damaged = cli_given(a, "--allow-damaged");
    if (rate && (!str_to_bytes(rate, &o->rate) || !o->rate))
        return err_set(err, ERR_USAGE, "--rate: '%s' is no number of bytes per second (100Mi)", rate);
    for (size_t i = 0; i < a->given_count; i++) {
        const char *name = a->given[i].option->name, *value = a->given[i].value;
        if ((!strcmp(name, "--avoid") && add_avoid(o, value, err) < 0) ||
            (!strcmp(name, "--move") && add_move(o, value, err) < 0))
            return -1;
    }
    return 0;
}

int plan_options_read(struct cli *cli, struct plan_options *ret_options, struct err *err) {
    struct plan_options o = {0};
    if (read_options(&cli->args, &o, err) < 0) {
        plan_options_done(&o);
        return -1;
    }
    *ret_options = o;
    return 0;
}

void plan_options_done(struct plan_options *options) {
    for (size_t i = 0; i < options->move_count; i++) {
        mem_free((char *)(uintptr_t)options->moves[i].logical);
        mem_free((char *)(uintptr_t)options->moves[i].physical);
    }
    mem_free(options->moves);
    mem_free(options->avoid);
    *options = (struct plan_options){0};
}

static int say(struct cli *cli, const struct plan_made *made, const struct plan_options *options, struct err *err) {
    struct buf script;
    bool tsql = cli_given(&cli->args, "--tsql");
    int rc = 0;
    buf_init(&script, SCRIPT_BYTES_MAX);
    if (tsql)
        rc = plan_script(cli, made, options, cli_value(&cli->args, "--as"), cli_value(&cli->args, "--server-dir"), &script, err);
    if (rc == 0 && cli->output != CLI_TABLE) {
        json_t *json = plan_json(made, options);
        if (tsql)
            json_object_set_new(json, "tsql", json_string(script.data));
        cli_print_value(cli, json);
    } else if (rc == 0 && tsql) {
        fputs(script.data, cli->io->out);
    } else if (rc == 0) {
        plan_print(cli, made, options);
    }
    buf_done(&script);
    return rc;
}

static int plan_in(struct cli *cli, struct origin *origin, struct plan_options *options, struct err *err) {
    struct plan_made made;
    struct chain_refusal refusal = {0};
    size_t *indexes, count;
    if (plan_select(origin, cli_value(&cli->args, "--database"), &indexes, &count, err) < 0)
        return err_context(err, "%s", origin_name(cli));
    int rc = plan_make(cli, origin, options, indexes, count, &made, &refusal, err);
    if (rc == 0) {
        rc = say(cli, &made, options, err);
        plan_made_done(&made);
    } else if (refusal.reason != CHAIN_REFUSED_NONE) {
        const char *name = origin->list.items[indexes[0]].name;
        if (cli->output != CLI_TABLE)
            cli_print_value(cli, plan_refusal_json(name, options, &refusal));
        err_context(err, "%s to %s", name, options->target_text);
    }
    mem_free(indexes);
    return rc;
}

int cmd_plan(struct cli *cli, struct err *err) {
    struct plan_options options;
    struct origin origin;
    static const char *const lone[] = {"--as", "--server-dir", "--move"};
    for (size_t i = 0; i < ARRAY_LEN(lone); i++)
        if (cli_given(&cli->args, lone[i]) && !cli_given(&cli->args, "--tsql"))
            return err_set(err, ERR_USAGE, "%s belongs to --tsql", lone[i]);
    if (!cli_given(&cli->args, "--store") && !cli_given(&cli->args, "--catalog") && !cli_given(&cli->args, "--history"))
        return plan_remote(cli, err);
    if (plan_options_read(cli, &options, err) < 0)
        return -1;
    int rc = origin_open(cli, &origin, err);
    if (rc == 0) {
        rc = plan_in(cli, &origin, &options, err);
        origin_done(&origin);
    }
    plan_options_done(&options);
    return rc;
}
