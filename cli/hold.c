/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "cli/text.h"
#include "cli/words.h"
#include "common/base/guid.h"

static int fill(struct cli *cli, Mssql__V1__SetHoldRequest *q, struct err *err) {
    const struct cli_args *a = &cli->args;
    char *set = cli_value(a, "--set"), *reason = cli_value(a, "--reason"), *id = cli_value(a, "--id");
    const char *from = cli_value(a, "--from"), *until = cli_value(a, "--until"), *expires = cli_value(a, "--expires");
    struct guid guid;
    q->database = a->words[0];
    if (!reason || !*reason)
        return err_set(err, ERR_USAGE, "a hold needs --reason: whoever finds it later must know why");
    if (!set == !from)
        return err_set(err, ERR_USAGE, "say what to hold: either --set, or --from and --until");
    if (until && !from)
        return err_set(err, ERR_USAGE, "--until needs --from");
    if (set && !guid_parse(set, &guid))
        return err_set(err, ERR_USAGE, "--set: '%s' is not the GUID of a backup set. 'backups' lists them", set);
    if (from && cli_time("--from", from, cli->now, -1, &q->from_at, err) < 0)
        return -1;
    if (from)
        q->until_at = cli->now;
    if (until && !strcmp(until, "forever"))
        q->until_at = 0;
    else if (until && cli_time("--until", until, cli->now, -1, &q->until_at, err) < 0)
        return -1;
    if (from && q->until_at && q->until_at < q->from_at)
        return err_set(err, ERR_USAGE, "%s is before --from", until ? "--until" : "now");
    if (expires && cli_time("--expires", expires, cli->now, 1, &q->expires_at, err) < 0)
        return -1;
    if (expires && q->expires_at <= cli->now)
        return err_set(err, ERR_USAGE, "--expires: %s is in the past", expires);
    q->reason = reason;
    if (set)
        q->set_guid = set;
    if (id)
        q->id = id;
    return 0;
}

static int send(struct cli *cli, const Mssql__V1__SetHoldRequest *q, struct err *err) {
    _cleanup_message_ ProtobufCMessage *answer = NULL;
    char until[TEXT_MAX];
    if (ask(cli, "SetHold", &q->base, &mssql__v1__set_hold_response__descriptor, &answer, err) < 0)
        return -1;
    const Mssql__V1__SetHoldResponse *r = (const Mssql__V1__SetHoldResponse *)answer;
    if (cli_print_message(cli, answer) || !r->hold)
        return 0;
    if (q->release)
        cli_say(cli, CLI_PLAIN, "%s: hold %s is released", r->hold->database, r->hold->id);
    else
        cli_say(cli, CLI_PLAIN, "%s: hold %s keeps %u backups until %s", r->hold->database, r->hold->id, r->backups,
                r->hold->expires_at ? text_time(until, r->hold->expires_at) : "it is released");
    return 0;
}

int cmd_hold(struct cli *cli, struct err *err) {
    Mssql__V1__SetHoldRequest q = MSSQL__V1__SET_HOLD_REQUEST__INIT;
    return fill(cli, &q, err) < 0 ? -1 : send(cli, &q, err);
}

int cmd_hold_release(struct cli *cli, struct err *err) {
    Mssql__V1__SetHoldRequest q = MSSQL__V1__SET_HOLD_REQUEST__INIT;
    q.release = true;
    q.database = cli->args.words[0];
    q.id = cli->args.words[1];
    return send(cli, &q, err);
}
