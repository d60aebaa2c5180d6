/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/conf/emit.h"
#include "sidecar/config_int.h"

static void write_own(const struct conf_key *key, const void *object, struct buf *out, unsigned indent, bool json) {
    const struct sidecar_config *config = object;
    (void)json;
    if (strcmp(key->path, "policy") != 0)
        return;
    (void)buf_putc(out, '\n');
    policy_to_yaml(&config->policy, out, indent + 2);
}

static void secret_line(struct buf *out, const char *name, const struct secret *secret, const char *from) {
    if (secret)
        (void)buf_printf(out, "# %s: *** (from %s)\n", name, from);
}

void sidecar_config_print(const struct sidecar_config *config, struct buf *out) {
    const struct sidecar_sql_config *sql = &config->sql;
    (void)buf_printf(out, "# what holds, from %s, environment and flags\n", config->file ? config->file : "no file");
    secret_line(out, "password of sql.user", sql->password, config->env_password ? SIDECAR_ENV_PASSWORD : sql->password_file);
    secret_line(out, "password of sql.adminUser", sql->admin_password,
                config->env_admin_password ? SIDECAR_ENV_ADMIN_PASSWORD : sql->admin_password_file);
    conf_emit_yaml(&sidecar_schema, config, out, 0, write_own);
}

static void gaps(struct buf *out) {
    (void)buf_puts(out, "\n## Not in this version\n\nThese are refused with an error, so that nobody relies on them:\n\n");
    for (size_t i = 0; i < policy_schema.gap_count; i++) {
        const struct conf_gap *gap = &policy_schema.gaps[i];
        (void)buf_printf(out, "- `policy.%s%s%s`: %s\n", gap->path, gap->value ? ": " : "", gap->value ? gap->value : "",
                         gap->text);
    }
    (void)buf_puts(out, "- `store.url` of an object store: object stores\n");
}

void sidecar_config_reference(struct buf *out) {
    (void)buf_puts(
        out,
        "<!-- Printed by `mssql-sidecar --config-reference`; a test compares. Change the tables in the code, not this file. -->\n"
        "# Configuration of mssql-sidecar\n\n"
        "One YAML file, `" SIDECAR_CONFIG_FILE "` unless `--config FILE` or `" SIDECAR_ENV_CONFIG
        "` names another. A key of the table "
        "stands in the file as nested\nmaps (`sql.host` is `host` in `sql`). Each key can also be set by its environment "
        "variable, or by a "
        "flag: `sql.passwordFile` is\n`--sql-password-file`. Flags beat the environment, that beats the file, that beats the "
        "defaults. A list "
        "in a variable or flag is separated by\ncommas.\n\n"
        "Passwords are never written in the file or on the command line: `sql.passwordFile` names a file, or "
        "`" SIDECAR_ENV_PASSWORD "` holds\n"
        "it (`sql.adminPasswordFile`, `" SIDECAR_ENV_ADMIN_PASSWORD "`); the variables are emptied at start.\n\n"
        "`mssql-sidecar --check-config` says whether a configuration is good, `--print-config` what holds. SIGHUP reads "
        "everything again: "
        "keys marked\n*reload* take effect at once, of the others the log says that they need a restart.\n\n"
        "## Sidecar\n\n");
    conf_emit_reference(&sidecar_schema, "", SIDECAR_ENV, out);
    (void)buf_puts(out, "\n## Policy\n\nThe section `policy`. The controller pushes the same fields; a pushed policy replaces "
                        "this section whole.\n\n");
    conf_emit_reference(&policy_schema, "policy.", SIDECAR_ENV, out);
    (void)buf_puts(
        out, "\nAn entry of `policy.overrides` has `databases` and any of the keys from `fullBackup` to `bufferCount`:\n\n"
             "```yaml\npolicy:\n  overrides:\n    - databases: [\"sales*\"]\n      logBackup:\n        interval: 10s\n```\n");
    gaps(out);
}

void sidecar_config_help(struct buf *out) {
    (void)buf_puts(out, "usage: mssql-sidecar [--config FILE] [--KEY VALUE]...\n\n"
                        "Keeps the databases of one SQL Server restorable to any moment.\n\n"
                        "  --config FILE        configuration (" SIDECAR_CONFIG_FILE ")\n"
                        "  --wait-for-config ADDRESS  stay and answer probes there while the configuration is bad: for pods\n"
                        "  --check-config       read and check the configuration, then exit\n"
                        "  --print-config       print what holds, then exit\n"
                        "  --config-reference   print every key with its default (Markdown)\n"
                        "  --prepare DIR[=MODE]...  make folders on volumes (mode 2770), then exit: for init containers\n"
                        "  --list-steps         print the names of the durable steps\n"
                        "  --version, --help\n\n"
                        "Every key of the configuration is a flag:\n");
    for (size_t i = 0; i < sidecar_schema.count; i++) {
        const struct conf_key *key = &sidecar_schema.keys[i];
        if (key->kind == CONF_OWN || key->kind == CONF_REFUSED)
            continue;
        (void)buf_puts(out, "  ");
        size_t begin = out->len;
        conf_key_flag(key->path, out);
        int width = (int)(out->len - begin);
        (void)buf_printf(out, "%*s %s\n", width < 28 ? 28 - width : 0, "", key->doc);
    }
    (void)buf_puts(out, "  --policy-...                 the keys of the policy, see --config-reference\n");
}
