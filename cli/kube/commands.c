/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/kube/commands.h"

#include "cli/commands.h"
#include "common/base/mem.h"

#define MANY 1000
#define OPTIONS(a) .options = (a), .option_count = ARRAY_LEN(a)

static const struct cli_option globals[] = {
    {"--namespace", 'n', "NAMESPACE", NULL, NULL, NULL, "of the instance; without it, that of the kubeconfig's context"},
    {"--context", 0, "NAME", NULL, NULL, NULL, "context of the kubeconfig"},
    {"--kubeconfig", 0, "FILE", NULL, NULL, NULL, "the kubeconfig; without it, as kubectl finds it"},
    {"--output", 'o', "FORMAT", "table|json|yaml", NULL, "table", "table, json or yaml"},
    {"--no-color", 0, NULL, NULL, NULL, NULL, "no colours, as with NO_COLOR in the environment"},
    {"--help", 'h', NULL, NULL, NULL, NULL, "help of the program or of a command"},
};

static const struct cli_option status_options[] = {
    {"--all-namespaces", 'A', NULL, NULL, NULL, NULL, "the instances of all namespaces"},
};

static const struct cli_option backup_options[] = {
    {"--now", 0, NULL, NULL, NULL, NULL, "required: an MSSQLBackup is made, and the sidecar takes it at once"},
    {"--kind", 'k', "KIND", "full|diff|log", NULL, "log", "full, diff or log; a log becomes a full where the chain needs one"},
    {"--copy-only", 0, NULL, NULL, NULL, NULL, "a full or log that no other backup builds on"},
    {"--reason", 0, "TEXT", NULL, NULL, NULL, "kept with the backup"},
    {"--no-wait", 0, NULL, NULL, NULL, NULL, "end as soon as the MSSQLBackup is there"},
};

#define RESTORE_OPTIONS                                                                                                          \
    {"--to", 0, "WHEN", NULL, NULL, NULL, "latest, a moment (2026-11-21T02:47:00Z), how long ago (30m), lsn:N, mark:NAME"},      \
        {"--into", 0, "NAME", NULL, NULL, NULL, "another instance, there or to be made; without it, in place"},                  \
        {"--as", 0, "NAME", NULL, NULL, NULL, "another name for the one database"}, {                                            \
        "--keep-request", 0, NULL, NULL, NULL, NULL, "with a dry run: leave its MSSQLRestoreRequest there"                       \
    }

static const struct cli_option plan_options[] = {RESTORE_OPTIONS};

static const struct cli_option restore_options[] = {
    RESTORE_OPTIONS,
    {"--dry-run", 0, NULL, NULL, NULL, NULL, "as 'plan': say what would happen"},
    {"--acknowledge", 0, "TOKEN", NULL, NULL, NULL, "the token that a dry run printed for what would be lost"},
    {"--expires", 0, "DURATION", NULL, NULL, NULL, "drop what was restored under another name after this (24h)"},
    {"--check", 0, NULL, NULL, NULL, NULL, "DBCC CHECKDB afterwards"},
    {"--reapply-options", 0, NULL, NULL, NULL, NULL, "put back what RESTORE resets: owner, TRUSTWORTHY, broker"},
    {"--no-wait", 0, NULL, NULL, NULL, NULL, "end as soon as the MSSQLRestoreRequest is there"},
};

static const struct cli_option pause_options[] = {
    {"--for", 0, "DURATION", NULL, NULL, NULL, "how long"},
    {"--until", 0, "TIME", NULL, NULL, NULL, "the moment when it ends"},
    {"--reason", 0, "TEXT", NULL, NULL, NULL, "required"},
};

static const struct cli_option logs_options[] = {
    {"--follow", 'f', NULL, NULL, NULL, NULL, "go on with what comes"},
    {"--since", 0, "DURATION", NULL, NULL, NULL, "only what is newer (1h)"},
    {"--previous", 'p', NULL, NULL, NULL, NULL, "of the container that ran before this one"},
};

static const struct cli_option report_options[] = {
    {"--directory", 'd', "DIR", NULL, NULL, NULL, "where it goes; without it, mssql-report-<time> here"},
};

#define ASKS_SIDECAR                                                                                                             \
    "It runs mssqlctl next to the sidecar with what stands behind the instance's name: flags and words are those of\n"           \
    "'mssqlctl help', so that --namespace stands in its long form there, or before the command. The right to 'kubectl exec'\n"   \
    "into the pod is needed.\n"

static const struct cli_command commands[] = {
    {
        .name = "status",
        .words = "[INSTANCE]",
        .max = 1,
        .run = kube_status,
        OPTIONS(status_options),
        .summary = "are the instances protected, to which moment, and what is wrong",
        .text = "With an instance it says its conditions, those that are not fine first, and what can be restored of each "
                "database.\n",
        .examples = "status\nstatus -A\nstatus mssql-src-mssql-helm-instance\n",
    },
    {
        .name = "chain",
        .words = "INSTANCE [ARGUMENT...]",
        .min = 1,
        .max = MANY,
        .flags = CLI_VERBATIM,
        .run = kube_through,
        .summary = "restorable intervals, the holes between them and their causes",
        .text = ASKS_SIDECAR,
        .examples = "chain mssql-src-mssql-helm-instance orders\n",
    },
    {
        .name = "backups",
        .words = "INSTANCE [ARGUMENT...]",
        .min = 1,
        .max = MANY,
        .flags = CLI_VERBATIM,
        .run = kube_through,
        .summary = "backups in the store, newest first",
        .text = ASKS_SIDECAR,
        .examples = "backups mssql-src-mssql-helm-instance orders --kind full --since 7d\n",
    },
    {
        .name = "backup",
        .words = "INSTANCE [DATABASE...]",
        .min = 1,
        .max = MANY,
        .run = kube_backup,
        OPTIONS(backup_options),
        .summary = "take backups now, of all protected databases or of these",
        .text = "Ends with 0 only when the MSSQLBackup is Completed. Ctrl-C ends the watching; the backup goes on.\n",
        .examples = "backup mssql-src-mssql-helm-instance --now --kind full --reason 'before the upgrade' orders\n",
    },
    {
        .name = "plan",
        .words = "INSTANCE [DATABASE...]",
        .min = 1,
        .max = MANY,
        .run = kube_plan,
        OPTIONS(plan_options),
        .summary = "what a restore would do, and what it would lose",
        .text = "Makes an MSSQLRestoreRequest with dryRun, waits for what the sidecar of the target says, prints it and removes "
                "the request.\n"
                "Where something would be lost it prints the token that acknowledges it.\n",
        .examples = "plan mssql-src-mssql-helm-instance --to 2026-11-21T02:46:59Z orders\n",
    },
    {
        .name = "restore",
        .words = "INSTANCE [DATABASE...]",
        .min = 1,
        .max = MANY,
        .run = kube_restore,
        OPTIONS(restore_options),
        .summary = "bring databases back to a moment, in place, under another name or into another instance",
        .text = "Makes an MSSQLRestoreRequest and shows how it goes. Ctrl-C ends the watching; the restore goes on, and "
                "'kubectl get mssqlrr'\n"
                "shows it. The exit code is 0 when it is Completed.\n",
        .examples = "restore mssql-src-mssql-helm-instance --to 2026-11-21T02:46:59Z orders --as orders_before --expires 24h\n"
                    "restore mssql-src-mssql-helm-instance --to 2026-11-21T02:46:59Z --into mssql-tgt\n",
    },
    {
        .name = "verify",
        .words = "INSTANCE [ARGUMENT...]",
        .min = 1,
        .max = MANY,
        .flags = CLI_VERBATIM,
        .run = kube_through,
        .summary = "read the stored backups again, or restore them for a trial",
        .text = ASKS_SIDECAR,
        .examples = "verify mssql-src-mssql-helm-instance orders\n",
    },
    {
        .name = "pause",
        .words = "INSTANCE",
        .min = 1,
        .max = 1,
        .run = kube_pause,
        OPTIONS(pause_options),
        .summary = "stop scheduled backups of an instance",
        .text = "It is written into the MSSQLInstance (spec.paused): who manages that object by GitOps pauses it there.\n",
        .examples = "pause mssql-src-mssql-helm-instance --for 2h --reason 'storage is moved'\n",
    },
    {
        .name = "resume",
        .words = "INSTANCE",
        .min = 1,
        .max = 1,
        .run = kube_resume,
        .summary = "end the pause of an instance",
    },
    {
        .name = "hold",
        .words = "INSTANCE DATABASE [ARGUMENT...]",
        .min = 2,
        .max = MANY,
        .flags = CLI_VERBATIM,
        .run = kube_through,
        .summary = "keep backups from being pruned",
        .text = ASKS_SIDECAR,
        .examples = "hold mssql-src-mssql-helm-instance orders --from 2026-11-20 --until 2026-11-21 --reason 'incident 4711'\n",
    },
    {
        .name = "hold release",
        .words = "INSTANCE DATABASE ID",
        .min = 3,
        .max = MANY,
        .flags = CLI_VERBATIM,
        .run = kube_through,
        .summary = "let held backups go again",
        .text = ASKS_SIDECAR,
    },
    {
        .name = "preflight",
        .words = "INSTANCE",
        .min = 1,
        .max = MANY,
        .flags = CLI_VERBATIM,
        .run = kube_through,
        .summary = "check rights, versions, directories, clocks and space; changes nothing",
        .text = ASKS_SIDECAR,
    },
    {
        .name = "logs",
        .words = "[INSTANCE]",
        .max = 1,
        .run = kube_logs,
        OPTIONS(logs_options),
        .summary = "the log of the sidecar",
        .examples = "logs mssql-src-mssql-helm-instance -f --since 10m\n",
    },
    {
        .name = "report",
        .words = "[INSTANCE]",
        .max = 1,
        .run = kube_report,
        OPTIONS(report_options),
        .summary = "a directory with what somebody who helps needs to see",
        .text =
            "Custom resources, pods, events, the sidecar's status and logs. Secrets are not read; values of environment "
            "variables and\n"
            "the copies that kubectl apply keeps are taken out. Names of hosts and databases stay: look at it before you send "
            "it on.\n",
    },
    {
        .name = "version",
        .words = "",
        .run = kube_version,
        .summary = "version of this program",
    },
    {
        .name = "help",
        .words = "[COMMAND]",
        .max = 4,
        .run = cmd_help,
        .summary = "this help, or that of a command",
    },
    {.name = "__reference", .words = "", .flags = CLI_HIDDEN, .run = cmd_reference, .summary = "docs/reference/kubectl-mssql.md"},
};

const struct cli_set kube_set = {
    .program = "kubectl mssql",
    .file = "kubectl-mssql",
    .summary = "SQL Servers on Kubernetes that are kept restorable",
    .reference = "The same program as `mssqlctl`, installed under the name `kubectl-mssql` in `PATH`. It works on the custom "
                 "resources and reaches everything by\nrunning `kubectl` (or what `KUBECTL` names): every kind of login works, "
                 "and the rights are those of the user. `-o json` and `-o yaml` print the\nobjects as the cluster has them.\n",
    .commands = commands,
    .command_count = ARRAY_LEN(commands),
    .globals = globals,
    .global_count = ARRAY_LEN(globals),
};
