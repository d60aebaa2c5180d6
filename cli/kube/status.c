/* SPDX-License-Identifier: Apache-2.0 */
/* What the status of the MSSQLInstances says, for people. */
#include <string.h>

#include "cli/kube/commands.h"
#include "cli/kube/kubectl.h"
#include "cli/kube/object.h"
#include "cli/table.h"
#include "cli/text.h"
#include "common/base/mem.h"

static void cell_ago(struct cli_table *t, const struct cli *cli, enum cli_color color, int64_t at) {
    char when[TEXT_MAX], ago[TEXT_MAX];
    if (at)
        table_cell(t, color, "%s (%s)", text_time(when, at), text_ago(ago, at, cli->now));
    else
        table_cell(t, color, "-");
}

static void list(struct cli *cli, const json_t *items, bool all) {
    static const struct cli_column columns[] = {{"NAMESPACE", 10, false}, {"INSTANCE", 16, false},        {"PHASE", 0, false},
                                                {"PROTECTED", 0, true},   {"RESTORABLE UNTIL", 0, false}, {"SIDECAR", 8, false},
                                                {"MESSAGE", 20, false}};
    size_t skip = all ? 0 : 1;
    if (!json_array_size(items)) {
        cli_say(cli, CLI_WARN, all ? "there is no MSSQLInstance" : "there is no MSSQLInstance in this namespace");
        return;
    }
    struct cli_table *t = table_new(cli, columns + skip, ARRAY_LEN(columns) - skip);
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *o = json_array_get(items, i);
        const char *phase = object_text(o, "status.phase");
        int64_t have = object_number(o, "status.databases", 0), safe = object_number(o, "status.protectedDatabases", 0);
        if (all)
            table_cell(t, CLI_PLAIN, "%s", object_namespace(o));
        table_cell(t, CLI_PLAIN, "%s", object_name(o));
        table_cell(t, object_phase_color(phase), "%s", *phase ? phase : "unknown");
        table_cell(t, have && safe == have ? CLI_GOOD : CLI_WARN, "%lld/%lld", (long long)safe, (long long)have);
        cell_ago(t, cli, CLI_PLAIN, object_time(o, "status.latestRestorableTime"));
        table_cell(t, CLI_PLAIN, "%s", object_text(o, "status.sidecar.version"));
        table_cell(t, CLI_PLAIN, "%s", *phase ? object_text(o, "status.message") : "no controller has looked at it yet");
    }
    table_print(t);
}

/* ---- one ---- */

/* Conditions whose False is the good news are few; they are named here. */
static bool is_fine(const char *type, const char *status) {
    static const char *const bad_when_true[] = {"Conflict", "Paused", "Deleting", "Waiting", "QuotaExceeded"};
    for (size_t i = 0; i < ARRAY_LEN(bad_when_true); i++)
        if (!strcmp(type, bad_when_true[i]))
            return strcmp(status, "True") != 0;
    return !strcmp(status, "True");
}

static void conditions(struct cli *cli, const json_t *all) {
    for (int fine = 0; fine < 2; fine++)
        for (size_t i = 0; i < json_array_size(all); i++) {
            const json_t *c = json_array_get(all, i);
            const char *type = object_text(c, "type"), *status = object_text(c, "status");
            bool good = is_fine(type, status);
            if (good != (fine == 1))
                continue;
            cli_field(cli, type,
                      good                         ? CLI_GOOD
                      : !strcmp(status, "Unknown") ? CLI_WARN
                                                   : CLI_BAD,
                      "%s, %s: %s", status, object_text(c, "reason"), object_text(c, "message"));
        }
}

static void windows(struct cli *cli, const json_t *all) {
    static const struct cli_column columns[] = {{"DATABASE", 12, false},       {"PROTECTED", 0, false}, {"CHAIN", 8, false},
                                                {"RESTORABLE FROM", 0, false}, {"UNTIL", 0, false},     {"HOLES", 0, true},
                                                {"LAST FULL", 0, false},       {"VERIFIED", 0, false},  {"MESSAGE", 16, false}};
    char when[TEXT_MAX];
    if (!json_array_size(all))
        return;
    fputc('\n', cli->io->out);
    struct cli_table *t = table_new(cli, columns, ARRAY_LEN(columns));
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *w = json_array_get(all, i);
        bool safe = json_is_true(object_at(w, "protected"));
        int64_t holes = object_number(w, "holes", 0);
        table_cell(t, CLI_PLAIN, "%s", object_text(w, "name"));
        table_cell(t, safe ? CLI_GOOD : CLI_WARN, safe ? "yes" : "no");
        table_cell(t, object_phase_color(object_text(w, "chain")), "%s", object_text(w, "chain"));
        table_cell(t, CLI_PLAIN, "%s", text_time(when, object_time(w, "earliestRestorableTime")));
        table_cell(t, CLI_PLAIN, "%s", text_time(when, object_time(w, "latestRestorableTime")));
        table_cell(t, holes ? CLI_BAD : CLI_PLAIN, "%lld", (long long)holes);
        table_cell(t, CLI_PLAIN, "%s", text_time(when, object_time(w, "lastFull")));
        table_cell(t, CLI_PLAIN, "%s", text_time(when, object_time(w, "lastVerified")));
        table_cell(t, CLI_PLAIN, "%s", object_text(w, "message"));
    }
    table_print(t);
}

static void one(struct cli *cli, const json_t *o) {
    const char *phase = object_text(o, "status.phase");
    cli_field(cli, "instance", CLI_BOLD, "%s/%s", object_namespace(o), object_name(o));
    cli_field(cli, "phase", object_phase_color(phase), "%s", *phase ? phase : "unknown: no controller has looked at it yet");
    if (*object_text(o, "status.message"))
        cli_field(cli, "message", CLI_PLAIN, "%s", object_text(o, "status.message"));
    conditions(cli, object_at(o, "status.conditions"));
    if (*object_text(o, "status.sidecar.pod"))
        cli_field(cli, "sidecar", CLI_PLAIN, "%s, version %s", object_text(o, "status.sidecar.pod"),
                  object_text(o, "status.sidecar.version"));
    if (*object_text(o, "status.server.version"))
        cli_field(cli, "SQL Server", CLI_PLAIN, "%s, %s", object_text(o, "status.server.version"),
                  object_text(o, "status.server.edition"));
    if (*object_text(o, "status.store.url")) {
        char bytes[TEXT_MAX];
        cli_field(cli, "store", CLI_PLAIN, "%s: %lld backups, %s", object_text(o, "status.store.url"),
                  (long long)object_number(o, "status.store.backups", 0),
                  text_bytes(bytes, (uint64_t)object_number(o, "status.store.bytes", 0)));
    }
    windows(cli, object_at(o, "status.databaseWindows"));
}

int kube_status(struct cli *cli, struct err *err) {
    bool all = cli_given(&cli->args, "--all-namespaces");
    struct kubectl k;
    json_t *answer;
    kubectl_begin(&k, cli, "get", KUBE_INSTANCES, NULL);
    if (all && cli->args.word_count)
        return err_set(err, ERR_USAGE, "-A and the name of an instance do not go together");
    if (all)
        kubectl_add(&k, "--all-namespaces");
    if (cli->args.word_count)
        kubectl_add(&k, cli->args.words[0]);
    if (kubectl_json(&k, NULL, &answer, err) < 0)
        return -1;
    if (cli->output != CLI_TABLE) {
        cli_print_value(cli, answer);
        return 0;
    }
    if (cli->args.word_count)
        one(cli, answer);
    else
        list(cli, json_object_get(answer, "items"), all);
    json_decref(answer);
    return 0;
}
