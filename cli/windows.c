/* SPDX-License-Identifier: Apache-2.0 */
/* windows: the moments that can be restored, and the holes between them, from a store, a catalog or a history. */
#include <string.h>

#include "cli/chain.h"
#include "cli/commands.h"
#include "cli/origin.h"
#include "common/api/message.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/net/proto_json.h"

static Mssql__V1__Chain *message_of(const struct origin_chain *c) {
    Mssql__V1__Chain *m = mem_alloc(sizeof(*m));
    struct chain_interval_input input = {
        .quiet_until_at = c->loaded.quiet_until_at,
        .foreign = c->foreign,
        .foreign_count = c->foreign_count,
        .known = c->loaded.holes,
        .known_count = c->loaded.hole_count,
    };
    const struct backup *tip = NULL;
    mssql__v1__chain__init(m);
    m->database = mem_strdup(c->database->name);
    message_chain_sets(m, c->sets, c->count, &input);
    for (size_t i = 0; i < c->count; i++)
        if (!tip || c->sets[i].finish_at >= tip->finish_at)
            tip = &c->sets[i];
    if (tip) {
        m->family_guid = message_guid(&tip->family_guid);
        m->database_guid = message_guid(&tip->database_guid);
        m->fork_guid = message_guid(&tip->last_fork);
        m->incarnation = tip->incarnation;
    }
    return m;
}

static bool is_wanted(const struct source_database *d, const struct cli_args *a) {
    bool any = false;
    for (size_t i = 0; i < a->given_count; i++) {
        if (strcmp(a->given[i].option->name, "--database"))
            continue;
        any = true;
        if (str_glob(a->given[i].value, d->name) || !strcmp(a->given[i].value, d->folder))
            return true;
    }
    return !any;
}

static int each(struct cli *cli, struct origin *origin, json_t *list, size_t *ret_shown, struct err *err) {
    for (size_t i = 0; i < origin->list.count; i++) {
        struct origin_chain c;
        const struct source_database *d = &origin->list.items[i];
        if (!is_wanted(d, &cli->args))
            continue;
        if (origin_load(cli, origin, i, false, &c, err) < 0) {
            if (err->class != ERR_CORRUPT)
                return -1;
            cli_fail_later(cli, err); /* the others are there */
            ++*ret_shown;
            continue;
        }
        Mssql__V1__Chain *m = message_of(&c);
        if (cli->output == CLI_TABLE) {
            if (*ret_shown)
                fputc('\n', cli->io->out);
            cli_say(cli, CLI_BOLD, "%s", d->name);
            chain_print_moments(cli, m);
        } else {
            json_t *json = proto_json_from(&m->base, false);
            json_object_set_new(json, "folder", json_string(d->folder));
            json_array_append_new(list, json);
        }
        ++*ret_shown;
        mssql__v1__chain__free_unpacked(m, NULL);
        origin_chain_done(&c);
    }
    return 0;
}

int cmd_windows(struct cli *cli, struct err *err) {
    struct origin origin;
    size_t shown = 0;
    if (origin_open(cli, &origin, err) < 0)
        return -1;
    json_t *list = json_array();
    int rc = each(cli, &origin, list, &shown, err);
    if (rc == 0 && !shown)
        rc = err_set(err, ERR_NOT_FOUND, "%s: there are no backups%s%s", origin_name(cli),
                     cli_given(&cli->args, "--database") ? " of a database " : "",
                     cli_given(&cli->args, "--database") ? cli_value(&cli->args, "--database") : "");
    origin_done(&origin);
    if (rc == 0 && cli->output != CLI_TABLE)
        cli_print_value(cli, json_pack("{s:O}", "databases", list));
    json_decref(list);
    return rc;
}
