/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/words.h"
#include "common/base/mem.h"

static void print(const struct cli *cli, Mssql__V1__Pause *const *pauses, size_t count) {
    static const struct cli_column columns[] = {
        {"DATABASE", 12, false}, {"SINCE", 0, false}, {"UNTIL", 0, false}, {"BY", 10, false}, {"REASON", 20, false}};
    if (!count) {
        cli_say(cli, CLI_GOOD, "nothing is paused");
        return;
    }
    struct cli_table *t = table_new(cli, columns, ARRAY_LEN(columns));
    char text[TEXT_MAX];
    for (size_t i = 0; i < count; i++) {
        table_cell(t, CLI_WARN, "%s", *pauses[i]->database ? pauses[i]->database : "(all)");
        table_cell(t, CLI_PLAIN, "%s", text_time(text, pauses[i]->since_at));
        table_cell(t, CLI_PLAIN, "%s", pauses[i]->until_at ? text_time(text, pauses[i]->until_at) : "resumed");
        table_cell(t, CLI_PLAIN, "%s", pauses[i]->by_whom);
        table_cell(t, CLI_PLAIN, "%s", pauses[i]->reason);
    }
    table_print(t);
}

static int fill(struct cli *cli, Mssql__V1__PauseRequest *q, struct err *err) {
    const struct cli_args *a = &cli->args;
    const char *span = cli_value(a, "--for"), *until = cli_value(a, "--until");
    char *reason = cli_value(a, "--reason");
    int64_t ms;
    if (!reason || !*reason)
        return err_set(err, ERR_USAGE, "a pause needs --reason: whoever finds it later must know why");
    if (span && until)
        return err_set(err, ERR_USAGE, "--for and --until do not go together");
    if (span && cli_duration_ms("--for", span, &ms, err) < 0)
        return -1;
    if (span)
        q->until_at = cli->now + ms * 1000;
    if (until && cli_time("--until", until, cli->now, 1, &q->until_at, err) < 0)
        return -1;
    if (until && q->until_at <= cli->now)
        return err_set(err, ERR_USAGE, "--until: %s is in the past", until);
    q->reason = reason;
    q->databases = a->words;
    q->n_databases = a->word_count;
    return 0;
}

int cmd_pause(struct cli *cli, struct err *err) {
    Mssql__V1__PauseRequest q = MSSQL__V1__PAUSE_REQUEST__INIT;
    _cleanup_message_ ProtobufCMessage *answer = NULL;
    if (fill(cli, &q, err) < 0 || ask(cli, "Pause", &q.base, &mssql__v1__pause_response__descriptor, &answer, err) < 0)
        return -1;
    const Mssql__V1__PauseResponse *r = (const Mssql__V1__PauseResponse *)answer;
    if (!cli_print_message(cli, answer))
        print(cli, r->pauses, r->n_pauses);
    return 0;
}

int cmd_resume(struct cli *cli, struct err *err) {
    Mssql__V1__ResumeRequest q = MSSQL__V1__RESUME_REQUEST__INIT;
    _cleanup_message_ ProtobufCMessage *answer = NULL;
    q.databases = cli->args.words;
    q.n_databases = cli->args.word_count;
    if (ask(cli, "Resume", &q.base, &mssql__v1__resume_response__descriptor, &answer, err) < 0)
        return -1;
    const Mssql__V1__ResumeResponse *r = (const Mssql__V1__ResumeResponse *)answer;
    if (!cli_print_message(cli, answer))
        print(cli, r->pauses, r->n_pauses);
    return 0;
}
