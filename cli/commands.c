/* SPDX-License-Identifier: Apache-2.0 */
/* What mssqlctl can do. Everything that names a command or an option is made from these tables. */
#include "cli/commands.h"

#include "common/base/mem.h"

#define MANY 1000000u

static const struct cli_option globals[] = {
    {"--address", 'a', "ADDRESS", NULL, "MSSQLCTL_ADDRESS", CLI_ADDRESS_DEFAULT,
     "the sidecar: unix:///path, host:port or [v6]:port"},
    {"--tls-ca", 0, "FILE", NULL, NULL, NULL, "PEM roots that the sidecar's certificate must lead to"},
    {"--tls-cert", 0, "FILE", NULL, NULL, NULL, "PEM certificate to show to the sidecar"},
    {"--tls-key", 0, "FILE", NULL, NULL, NULL, "its private key"},
    {"--tls-server-name", 0, "NAME", NULL, NULL, NULL, "name that the sidecar's certificate must have"},
    {"--store", 0, "URL", NULL, NULL, NULL, "read this store instead of asking a sidecar: file:///path"},
    {"--scope", 0, "NAMESPACE/INSTANCE", NULL, NULL, NULL, "the instance in the store, when there are several"},
    {"--output", 'o', "FORMAT", "table|json|yaml", NULL, "table", "table, json or yaml"},
    {"--timeout", 0, "DURATION", NULL, NULL, "30s", "how long one answer may take"},
    {"--no-color", 0, NULL, NULL, NULL, NULL, "no colours, as with NO_COLOR in the environment"},
    {"--help", 'h', NULL, NULL, NULL, NULL, "help of the program or of a command"},
};

#define KINDS "full|diff|log"

static const struct cli_option backups_options[] = {
    {"--kind", 'k', "KIND", KINDS, NULL, NULL, "only this kind; may be given more than once"},
    {"--since", 0, "TIME", NULL, NULL, NULL, "finished at or after: a moment, or how long ago (12h)"},
    {"--until", 0, "TIME", NULL, NULL, NULL, "finished before"},
    {"--held", 0, NULL, NULL, NULL, NULL, "only those that a hold keeps"},
    {"--limit", 'n', "N", NULL, NULL, "50", "at most so many, the newest; 0 = all"},
};

static const struct cli_option backup_now_options[] = {
    {"--kind", 'k', "KIND", KINDS, NULL, NULL, "full, diff or log; without it, what the chain needs"},
    {"--copy-only", 0, NULL, NULL, NULL, NULL, "a full or log that no other backup builds on"},
    {"--reason", 0, "TEXT", NULL, NULL, NULL, "kept in the manifest"},
    {"--no-wait", 0, NULL, NULL, NULL, NULL, "end as soon as the sidecar has accepted it"},
    {"--stop-on-interrupt", 0, NULL, NULL, NULL, NULL, "Ctrl-C stops the backups too, not only the watching"},
};

static const struct cli_option hold_options[] = {
    {"--set", 0, "GUID", NULL, NULL, NULL, "one backup set and what it needs"},
    {"--from", 0, "TIME", NULL, NULL, NULL, "every backup that the moments from here ..."},
    {"--until", 0, "TIME", NULL, NULL, NULL, "... to here need, or forever: what is still to come, too; without it, to now"},
    {"--reason", 0, "TEXT", NULL, NULL, NULL, "required"},
    {"--expires", 0, "TIME", NULL, NULL, NULL, "a moment, or how long from now (90d); without it: until released"},
    {"--id", 0, "ID", NULL, NULL, NULL, "name of the hold; without it one is made"},
};

static const struct cli_option pause_options[] = {
    {"--for", 0, "DURATION", NULL, NULL, NULL, "how long"},
    {"--until", 0, "TIME", NULL, NULL, NULL, "the moment when it ends"},
    {"--reason", 0, "TEXT", NULL, NULL, NULL, "required"},
};

/* Where the backups are, when no sidecar is asked. */
#define ORIGIN_OPTIONS                                                                                                            \
    {"--catalog", 0, "DIR", NULL, NULL, NULL, "state directory of a sidecar: its catalog instead of all manifests"},              \
        {"--history", 0, "FILE", NULL, NULL, NULL, "JSON rows of RESTORE HEADERONLY or msdb.dbo.backupset; - is standard input"}, \
    {                                                                                                                             \
        "--utc-offset", 0, "OFFSET", NULL, NULL, NULL, "of the server, for rows that do not say it (+02:00)"                      \
    }

#define TO_OPTION                                                                                                                \
    {                                                                                                                            \
        "--to", 0, "WHEN", NULL, NULL, "latest",                                                                                 \
            "latest, a moment (2026-11-21T02:47:00Z), lsn:N, before-lsn:N, mark:NAME[@MOMENT]"                                   \
    }
#define AVOID_OPTIONS                                                                                                            \
    {"--avoid", 0, "GUID", NULL, NULL, NULL, "go around this backup set; may be given more than once"}, {                        \
        "--allow-damaged", 0, NULL, NULL, NULL, NULL, "use a full or differential taken over bad pages where there is no other"  \
    }
#define SERVER_DIR_HELP "where the files of 'export' are, as SQL Server sees them"

static const struct cli_option plan_options[] = {
    TO_OPTION,
    {"--database", 'd', "NAME", NULL, NULL, NULL, "which one, when there are several: a name or a folder"},
    ORIGIN_OPTIONS,
    AVOID_OPTIONS,
    {"--rate", 0, "BYTES", NULL, NULL, NULL, "bytes per second that a restore reached (100Mi): for the predicted time"},
    {"--tsql", 0, NULL, NULL, NULL, NULL, "the statements that restore it"},
    {"--as", 0, "NAME", NULL, NULL, NULL, "with --tsql: the name to restore under"},
    {"--move", 0, "LOGICAL=PATH", NULL, NULL, NULL,
     "with --tsql: where a file of the database goes; may be given more than once"},
    {"--server-dir", 0, "DIR", NULL, NULL, "/var/opt/mssql/restore", "with --tsql and a store: " SERVER_DIR_HELP},
};

/* The instance that a restore goes to, and the way there. */
#define SERVER_OPTIONS                                                                                                           \
    {"--server", 0, "HOST[:PORT]", NULL, "MSSQLCTL_SQL_SERVER", NULL, "the instance to restore to"},                             \
        {"--user", 0, "LOGIN", NULL, "MSSQLCTL_SQL_USER", "sa", "a login there that may restore"},                               \
        {"--password-file", 0, "FILE", NULL, NULL, NULL, "its password; else MSSQLCTL_SQL_PASSWORD in the environment"},         \
        {"--encrypt", 0, "HOW", "request|off|require", NULL, "request", "encryption of the connection to SQL Server"},           \
        {"--sql-ca", 0, "FILE", NULL, NULL, NULL, "PEM roots that SQL Server's certificate must lead to, or 'system'"},          \
        {"--staging", 0, "LOCAL[:SERVERPATH]", NULL, NULL, NULL, "a directory that this program writes and SQL Server reads"},   \
        {"--staging-size", 0, "BYTES", NULL, NULL, NULL, "the most that it may take there (20Gi); without it, what is free"},    \
        {"--state", 0, "DIR", NULL, NULL, NULL, "where the journal is kept; without it, in staging"},                            \
        {"--data-dir", 0, "DIR", NULL, NULL, NULL, "for data files, on the server; without it, its default"}, {                  \
        "--log-dir", 0, "DIR", NULL, NULL, NULL, "for log files"                                                                 \
    }

static const struct cli_option verify_options[] = {
    {"--rate", 0, "BYTES", NULL, NULL, NULL, "read at most so many bytes per second (50Mi)"},
    {"--sizes-only", 0, NULL, NULL, NULL, NULL, "do not read the objects: finds what is missing or cut, no flipped bits"},
    {"--restore", 0, NULL, NULL, NULL, NULL, "restore each database under a scratch name, look at it and drop it"},
    {"--verify-only", 0, NULL, NULL, NULL, NULL,
     "SQL Server reads each backup that a restore would take: RESTORE VERIFYONLY WITH CHECKSUM"},
    {"--to", 0, "WHEN", NULL, NULL, "latest",
     "with --restore and --verify-only: as for 'restore', or random, or random:SEED: a restorable moment by chance"},
    {"--check", 0, NULL, NULL, NULL, NULL, "with --restore: DBCC CHECKDB of the restored database"},
    {"--probe", 0, "DATABASE:QUERY:ATLEAST", NULL, NULL, NULL,
     "with --restore: a query that must give at least this number; may be given more than once; * is every database"},
    SERVER_OPTIONS,
    {"--stuck-after", 0, "DURATION", NULL, NULL, "30m", "a statement without any progress for so long is cancelled"},
};

static const struct cli_option restore_options[] = {
    {"--to", 0, "TARGET", NULL, NULL, NULL,
     "latest, a moment (2026-11-21T02:47:00Z), lsn:N, before-lsn:N, mark:NAME or before-mark:NAME"},
    {"--database", 'd', "NAME", NULL, NULL, NULL,
     "a name, an earlier name or a folder; may be given more than once; without it, all"},
    {"--as", 0, "NAME", NULL, NULL, NULL, "under this name instead of its own"},
    SERVER_OPTIONS,
    {"--move", 0, "LOGICAL=PATH", NULL, NULL, NULL, "this file to that path; may be given more than once"},
    {"--dry-run", 0, NULL, NULL, NULL, NULL, "plan and check everything, change nothing"},
    {"--acknowledge-data-loss", 0, "TOKEN", NULL, NULL, NULL,
     "go on although something is lost: the token that the dry run printed, over all databases or of one; may be given more than "
     "once"},
    {"--leave-restoring", 0, NULL, NULL, NULL, NULL, "do not recover: more logs follow by hand"},
    {"--standby", 0, "DIR", NULL, NULL, NULL, "readable, and more logs may follow; undo files there, on the server"},
    {"--keep-cdc", 0, NULL, NULL, NULL, NULL, "keep change data capture"},
    {"--keep-replication", 0, NULL, NULL, NULL, NULL, "keep the settings of replication"},
    {"--reapply-options", 0, NULL, NULL, NULL, NULL, "put back what RESTORE resets: owner, TRUSTWORTHY, broker"},
    {"--check", 0, NULL, NULL, NULL, NULL, "DBCC CHECKDB at the end"},
    {"--parallel", 0, "N", NULL, NULL, "2", "databases at once"},
    {"--stuck-after", 0, "DURATION", NULL, NULL, "30m", "a statement without any progress for so long is cancelled"},
    {"--resume", 0, "ID", NULL, NULL, NULL, "go on with a restore that did not end"},
    {"--expires", 0, "WHEN", NULL, NULL, NULL,
     "through a sidecar: drop the copy again then, a moment or how long after the restore (24h)"},
    {"--reason", 0, "TEXT", NULL, NULL, NULL, "through a sidecar: kept in its status, log and record"},
    {"--request-id", 0, "ID", NULL, NULL, NULL, "through a sidecar: this request runs at most once, however often it is made"},
    {"--no-wait", 0, NULL, NULL, NULL, NULL, "through a sidecar: end as soon as it has accepted"},
    {"--stop-on-interrupt", 0, NULL, NULL, NULL, NULL, "through a sidecar: Ctrl-C ends the restore too, not only the watching"},
};

static const struct cli_option restores_resume_options[] = {
    {"--no-wait", 0, NULL, NULL, NULL, NULL, "end as soon as it has accepted"},
    {"--stop-on-interrupt", 0, NULL, NULL, NULL, NULL, "Ctrl-C ends the restore too, not only the watching"},
};

static const struct cli_option restores_keep_options[] = {
    {"--until", 0, "WHEN", NULL, NULL, NULL, "drop it then instead: a moment, or how long from now (7d)"},
};

static const struct cli_option export_options[] = {
    TO_OPTION,
    {"--database", 'd', "NAME", NULL, NULL, NULL, "only this one: a name or a folder; may be given more than once"},
    {"--catalog", 0, "DIR", NULL, NULL, NULL, "state directory of a sidecar: its catalog instead of all manifests"},
    AVOID_OPTIONS,
    {"--server-dir", 0, "DIR", NULL, NULL, NULL, "DIR as SQL Server sees it, for restore.sql"},
};

static const struct cli_option windows_options[] = {
    {"--database", 'd', "NAME", NULL, NULL, NULL, "only this one: a name, a pattern or a folder; may be given more than once"},
    ORIGIN_OPTIONS,
};

static const struct cli_option version_options[] = {
    {"--client", 0, NULL, NULL, NULL, NULL, "only of this program"},
};

#define OPTIONS(list) .options = list, .option_count = ARRAY_LEN(list)

static const struct cli_command commands[] = {
    {
        .name = "status",
        .words = "[DATABASE...]",
        .max = MANY,
        .flags = CLI_DATABASES,
        .run = cmd_status,
        .summary = "what is protected, to which moment, and what is wrong",
        .text = "Conditions that are not fine come first. One line per database says whether it is protected and what can be "
                "restored, a second\n"
                "table when backups were taken and when the next ones come. With databases (names or patterns with * and ?) it "
                "says all of each.\n",
        .examples = "status\nstatus orders\nstatus 'sales*' -o json\n",
    },
    {
        .name = "chain",
        .words = "[DATABASE...]",
        .max = MANY,
        .flags = CLI_DATABASES | CLI_OFFLINE,
        .run = cmd_chain,
        .summary = "restorable intervals, the holes between them and their causes",
        .text = "Every moment inside an interval can be restored. With --store the intervals are computed from the manifests "
                "alone; what only a\n"
                "running sidecar knows (the state of the chain, quiet time after the last log) is then left out.\n",
        .examples = "chain orders\nchain --store file:///backup-store --scope default/sql\n",
    },
    {
        .name = "backups",
        .words = "[DATABASE...]",
        .max = MANY,
        .flags = CLI_DATABASES | CLI_OFFLINE,
        .run = cmd_backups,
        OPTIONS(backups_options),
        .summary = "backups in the store, newest first",
        .examples = "backups orders --kind full --since 7d\nbackups --store file:///backup-store --limit 0 -o json\n",
    },
    {
        .name = "backup now",
        .words = "[DATABASE...]",
        .max = MANY,
        .flags = CLI_DATABASES,
        .run = cmd_backup_now,
        OPTIONS(backup_now_options),
        .summary = "take backups now, of all protected databases or of these",
        .text = "Ends with 0 only when every database has a new backup in the store. Skipped, deferred and failed are different "
                "results and none\n"
                "of them is success. Ctrl-C ends the watching; the backups go on in the sidecar, unless --stop-on-interrupt was "
                "given.\n",
        .examples = "backup now\nbackup now --kind full --copy-only --reason 'before the upgrade' orders\n",
    },
    {
        .name = "hold",
        .words = "DATABASE",
        .min = 1,
        .max = 1,
        .flags = CLI_DATABASES,
        .run = cmd_hold,
        OPTIONS(hold_options),
        .summary = "keep backups from being pruned",
        .text = "Name one set with --set, or the moments that must stay restorable with --from and --until.\n",
        .examples = "hold orders --set 0A1B2C3D-... --reason 'audit 2026' --expires 365d\n"
                    "hold orders --from 2026-11-20 --until 2026-11-21 --reason 'incident 4711'\n",
    },
    {
        .name = "hold release",
        .words = "DATABASE ID",
        .min = 2,
        .max = 2,
        .flags = CLI_DATABASES,
        .run = cmd_hold_release,
        .summary = "let held backups go again",
    },
    {
        .name = "pause",
        .words = "[DATABASE...]",
        .max = MANY,
        .flags = CLI_DATABASES,
        .run = cmd_pause,
        OPTIONS(pause_options),
        .summary = "stop scheduled backups, of all databases or of these",
        .text = "A pause is never silent: status, a condition and a metric say so until it ends.\n",
        .examples = "pause --for 2h --reason 'index rebuild' orders\n",
    },
    {
        .name = "resume",
        .words = "[DATABASE...]",
        .max = MANY,
        .flags = CLI_DATABASES,
        .run = cmd_resume,
        .summary = "end pauses: of these databases, or all",
    },
    {
        .name = "plan",
        .words = "",
        .flags = CLI_OFFLINE,
        .run = cmd_plan,
        OPTIONS(plan_options),
        .summary = "which backups restore a database to a moment, in their order",
        .text =
            "Works on a store (--store), on the catalog of a sidecar (--catalog, faster) or on rows of SQL Server's own history "
            "(--history).\n"
            "Without any of these it asks the sidecar, which also checks what stands against a restore onto its own server.\n"
            "Nothing is changed. When the moment cannot be restored it says why, names the nearest ones that can, and ends with "
            "the exit code\n"
            "of the refusal. A member that is 'if needed' is restored only when the moment was not reached before it.\n",
        .examples = "plan --store file:///backup-store --database orders --to 2026-11-21T02:47:00Z\n"
                    "plan --history headers.json --to latest --tsql\n",
    },
    {
        .name = "restore",
        .words = "[DATABASE...]",
        .max = MANY,
        .flags = CLI_OFFLINE,
        .run = cmd_restore,
        OPTIONS(restore_options),
        .summary = "bring databases back to a moment, in place, under another name or on another instance",
        .text =
            "Without --store the sidecar does it, to its own server, and goes on when this program ends: Ctrl-C ends the "
            "watching "
            "only, unless\n"
            "--stop-on-interrupt is given; 'restores' shows it and 'restores cancel' ends it.\n"
            "With --store it needs no sidecar and no controller: the store, an instance, and a directory that both see. "
            "Everything that can be\n"
            "known to stand against it is checked before anything is changed. A database that is there is never lost unasked: "
            "the tail of its log\n"
            "is taken and kept first, or the restore is refused with a token that acknowledges the loss.\n"
            "Ctrl-C ends it in order and says how each database stands; --resume goes on, also after a crash.\n",
        .examples = "restore orders --to 2026-11-21T02:46:59Z\n"
                    "restore orders --to 2026-11-21T02:46:59Z --as orders_before --expires 24h --reason 'ticket 4711'\n"
                    "restore orders --to 2026-11-21T02:46:00Z --as orders_before --store file:///backup-store \\\n"
                    "    --server sql.example:1433 --password-file ./sa --staging /mnt/restore:/var/opt/mssql/restore --dry-run\n"
                    "restore --resume 20261121T024700Z-restore-1a2b3c4d --store file:///backup-store --server sql.example \\\n"
                    "    --password-file ./sa --staging /mnt/restore:/var/opt/mssql/restore\n",
    },
    {
        .name = "restores",
        .words = "[ID]",
        .max = 1,
        .run = cmd_restores,
        .summary = "restores of the sidecar: under way, the last that ended, and copies that go by themselves",
    },
    {
        .name = "restores cancel",
        .words = "ID",
        .min = 1,
        .max = 1,
        .run = cmd_restores_cancel,
        .summary = "end a restore in order",
        .text = "A statement that runs is cancelled. A database that was being restored stays RESTORING, and nothing that was "
                "taken is "
                "lost: 'restores ID'\n"
                "says how each database stands and what to do next.\n",
    },
    {
        .name = "restores resume",
        .words = "ID",
        .min = 1,
        .max = 1,
        .run = cmd_restores_resume,
        OPTIONS(restores_resume_options),
        .summary = "go on with a restore that ended early and left databases in the middle of it",
        .text =
            "With what was asked for at first. Databases that it finished are left alone; a last log that is only in staging is\n"
            "shipped first.\n",
        .examples = "restores resume 20261121T024700Z-restore-1a2b3c4d\n",
    },
    {
        .name = "restores keep",
        .words = "ID [DATABASE]",
        .min = 1,
        .max = 2,
        .run = cmd_restores_keep,
        OPTIONS(restores_keep_options),
        .summary = "keep a restored copy that would be dropped by itself",
        .examples = "restores keep 20261121T024700Z-restore-1a2b3c4d orders_before\n"
                    "restores keep 20261121T024700Z-restore-1a2b3c4d --until 7d\n",
    },
    {
        .name = "windows",
        .words = "",
        .flags = CLI_OFFLINE,
        .run = cmd_windows,
        OPTIONS(windows_options),
        .summary = "the moments that can be restored and the holes between them, without a sidecar",
        .text = "As 'chain', but also from a catalog or from rows of SQL Server's own history.\n",
        .examples = "windows --store file:///backup-store\nwindows --history headers.json --utc-offset +02:00\n",
    },
    {
        .name = "export",
        .words = "DIR",
        .min = 1,
        .max = 1,
        .flags = CLI_OFFLINE,
        .run = cmd_export,
        OPTIONS(export_options),
        .summary = "plain backup files and a script that restores them with SQL Server alone",
        .text =
            "Fetches what the plan needs from the store (--store), decodes it and checks every hash. Each database gets a folder "
            "with its files,\n"
            "whose names sort in the order of restoring, and restore.sql. What is there already and right is not fetched again: "
            "it may be stopped\n"
            "and begun again. Without --database, all databases but the system's. A backup that turns out to be damaged is gone "
            "around where that\n"
            "is possible; the exit code then says so.\n",
        .examples = "export --store file:///backup-store --to 2026-11-21T02:47:00Z --database orders /mnt/out\n",
    },
    {
        .name = "inspect",
        .words = "FILE...",
        .min = 1,
        .max = MANY,
        .run = cmd_inspect,
        .summary = "what backup files say of themselves, without a server",
        .text =
            "Uncompressed .bak and .trn files: their sets, LSNs, GUIDs, forks and dates, whether they are complete, and whether "
            "several are\n"
            "stripes of one set. Checksums of blocks are checked, pages are not looked at: RESTORE VERIFYONLY does that. Files "
            "that SQL Server\n"
            "compressed or encrypted are recognised; what is in them only a server can say. -o json has the column names of "
            "RESTORE HEADERONLY,\n"
            "and 'plan --history' reads it. The exit code is 0 when all files are whole, 25 when one is not, 28 when one cannot "
            "be read here.\n",
        .examples = "inspect orders.bak\ninspect -o json *.bak *.trn | mssqlctl plan --history - --to latest\n",
    },
    {
        .name = "verify",
        .words = "[DATABASE...]",
        .max = MANY,
        .flags = CLI_OFFLINE | CLI_DATABASES,
        .run = cmd_verify,
        OPTIONS(verify_options),
        .summary = "read a store again and say what has gone bad, or restore it for a trial",
        .text =
            "Without --store the sidecar does it: it reads its own store again, its server reads backups (--verify-only) or "
            "restores them for\n"
            "a trial (--restore), one database at a time, on the instance that took them. With --store no sidecar is needed:\n"
            "Every manifest and every object of the store (--store) is read: names, sizes, hashes and records. Missing and "
            "exchanged objects and\n"
            "manifests are found, and objects that belong to nothing. Nothing is changed. It proves that the store gives back "
            "what was put there;\n"
            "that SQL Server can restore it, only a restore proves. The exit code is 25 when something is lost.\n"
            "With --restore each database is restored on an instance as NAME__verify_XXXXXXXX, looked at, and dropped. It needs\n"
            "room for the whole database, which is checked first. What a run that died left behind is dropped by the next one\n"
            "with the same --staging or --state, and nothing that the journal does not prove to be its own. The exit code is 0\n"
            "when all are verified, 25 when one is damaged. --verify-only takes the same options and makes no database.\n",
        .examples = "verify orders\nverify --restore --check orders\nverify --store file:///backup-store\nverify --store "
                    "file:///backup-store --rate 50Mi -o json orders\n"
                    "verify --restore --store file:///backup-store --server sql.example --password-file ./sa \\\n"
                    "    --staging /mnt/restore:/var/opt/mssql/restore --to random --check --probe 'orders:SELECT COUNT(*) FROM "
                    "dbo.orders:1' orders\n",
    },
    {
        .name = "preflight",
        .words = "",
        .run = cmd_preflight,
        .summary = "check rights, versions, directories, clocks and space; changes nothing",
    },
    {
        .name = "version",
        .words = "",
        .run = cmd_version,
        OPTIONS(version_options),
        .summary = "versions of this program and of the sidecar",
    },
    {
        .name = "completion",
        .words = "bash|zsh|fish",
        .min = 1,
        .max = 1,
        .run = cmd_completion,
        .summary = "the script that completes commands in a shell",
        .examples = "completion bash > /etc/bash_completion.d/mssqlctl\n",
    },
    {
        .name = "help",
        .words = "[COMMAND]",
        .max = 4,
        .run = cmd_help,
        .summary = "this help, or that of a command",
    },
    {.name = "__complete",
     .words = "WORD...",
     .max = MANY,
     .flags = CLI_HIDDEN | CLI_VERBATIM,
     .run = cmd_complete,
     .summary = "candidates"},
    {.name = "__steps",
     .words = "[verify]",
     .max = 1,
     .flags = CLI_HIDDEN,
     .run = cmd_steps,
     .summary = "durable steps of a restore, or of a trial"},
    {.name = "__reference", .words = "", .flags = CLI_HIDDEN, .run = cmd_reference, .summary = "docs/reference/mssqlctl.md"},
};

const struct cli_set cli_set = {
    .program = "mssqlctl",
    .file = "mssqlctl",
    .summary = "what a mssql-sidecar does, and what its backups hold",
    .reference = "Asks a sidecar what it does, tells it what to do, and reads a backup store without one. Results go to standard "
                 "output; progress and\nerrors (one line, `mssqlctl: ...`) to standard error. Times are UTC, RFC 3339. `-o json` "
                 "and `-o yaml` hold the messages of\n`proto/mssql/v1` with their names in lowerCamelCase, and are what programs "
                 "should read: tables may change.\n",
    .commands = commands,
    .command_count = ARRAY_LEN(commands),
    .globals = globals,
    .global_count = ARRAY_LEN(globals),
};
