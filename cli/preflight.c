/* SPDX-License-Identifier: Apache-2.0 */
/* preflight: fails when a check failed, so that a script may stop. */
#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "cli/text.h"
#include "cli/words.h"

static void print_check(const struct cli *cli, const Mssql__V1__Check *c) {
    static const struct {
        const char *word;
        enum cli_color color;
    } states[] = {{"?", CLI_WARN}, {"ok", CLI_GOOD}, {"WARNING", CLI_WARN}, {"FAILED", CLI_BAD}, {"not run", CLI_WARN}};
    size_t state = (size_t)c->state < sizeof(states) / sizeof(states[0]) ? (size_t)c->state : 0;
    cli_field(cli, states[state].word, states[state].color, "%s%s%s%s%s%s%s", c->name, *c->subject ? " " : "", c->subject,
              *c->message ? ": " : "", c->message, *c->hint ? ". " : "", c->hint);
}

int cmd_preflight(struct cli *cli, struct err *err) {
    Mssql__V1__PreflightRequest q = MSSQL__V1__PREFLIGHT_REQUEST__INIT;
    _cleanup_message_ ProtobufCMessage *answer = NULL;
    if (ask(cli, "Preflight", &q.base, &mssql__v1__preflight_response__descriptor, &answer, err) < 0)
        return -1;
    const Mssql__V1__PreflightResponse *r = (const Mssql__V1__PreflightResponse *)answer;
    unsigned failed = 0;
    bool printed = cli_print_message(cli, answer);
    for (size_t i = 0; i < r->n_checks; i++) {
        failed += r->checks[i]->state == MSSQL__V1__CHECK_STATE__CHECK_STATE_FAILED;
        if (!printed)
            print_check(cli, r->checks[i]);
    }
    if (r->passed)
        return 0;
    return err_set(err, ERR_STATE, "%u of %zu checks failed", failed, r->n_checks);
}
