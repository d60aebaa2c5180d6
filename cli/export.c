/* SPDX-License-Identifier: Apache-2.0 */
/* export: the way out. Plain backup files and a script that restores them with SQL Server alone. */
#include "cli/export.h"

#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/out.h"
#include "cli/text.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define RESERVE_BYTES (64u << 20) /* free space that is left */
#define FOLDER_MODE 0750
#define TEXT_MODE 0640

struct exporting {
    struct cli *cli;
    struct origin origin;
    struct plan_options options;
    char *directory; /* absolute */
    const char *server_dir; /* the same as SQL Server sees it */
    struct export_item {
        const char *name;
        size_t *indexes, count; /* candidates */
        struct plan_made made;
        struct export_job job;
        bool planned, done;
    } * items;
    size_t count, cap;
    json_t *result; /* a list */
};

/* ---- which ---- */

static int add(struct exporting *x, const char *name, struct err *err) {
    size_t *indexes, count;
    if (plan_select(&x->origin, name, &indexes, &count, err) < 0)
        return err_context(err, "%s", origin_name(x->cli));
    for (size_t i = 0; i < x->count; i++)
        if (x->items[i].indexes[0] == indexes[0]) { /* named twice */
            mem_free(indexes);
            return 0;
        }
    x->items = mem_grow(x->items, &x->cap, x->count + 1, sizeof(*x->items));
    x->items[x->count++] = (struct export_item){
        .name = x->origin.list.items[indexes[0]].name, .indexes = indexes, .count = count};
    return 0;
}

/* Those that were named, else all but the system's. */
static int choose(struct exporting *x, struct err *err) {
    const struct cli_args *a = &x->cli->args;
    if (!x->origin.list.count)
        return err_set(err, ERR_NOT_FOUND, "%s: there are no backups", origin_name(x->cli));
    for (size_t i = 0; i < a->given_count; i++)
        if (!strcmp(a->given[i].option->name, "--database") && add(x, a->given[i].value, err) < 0)
            return -1;
    for (size_t i = 0; i < x->origin.list.count && !cli_given(a, "--database"); i++)
        if (!origin_is_system(x->origin.list.items[i].name) && add(x, x->origin.list.items[i].name, err) < 0)
            return -1;
    return x->count ? 0 : err_set(err, ERR_NOT_FOUND, "there are system databases only: name them with --database");
}

static void forget(struct export_item *item) {
    if (item->planned) {
        export_job_done(&item->job);
        plan_made_done(&item->made);
    }
    item->planned = false;
}

/* A database that cannot be had does not keep the others from being exported. */
static int plan_item(struct exporting *x, struct export_item *item, struct err *err) {
    struct chain_refusal refusal = {0};
    struct err why = {0};
    if (plan_make(x->cli, &x->origin, &x->options, item->indexes, item->count, &item->made, &refusal, &why) == 0) {
        if (export_look(&item->made, x->directory, &item->job, &why) == 0) {
            item->planned = true;
            return 0;
        }
        plan_made_done(&item->made);
    }
    if (refusal.reason == CHAIN_REFUSED_NONE) {
        err_copy(err, &why);
        return -1;
    }
    json_array_append_new(x->result, plan_refusal_json(item->name, &x->options, &refusal));
    err_context(&why, "%s to %s", item->name, x->options.target_text);
    cli_fail_later(x->cli, &why);
    return 0;
}

static int check_space(struct exporting *x, struct err *err) {
    uint64_t need = 0;
    struct file_space space;
    char a[TEXT_MAX], b[TEXT_MAX];
    for (size_t i = 0; i < x->count; i++)
        need += x->items[i].planned && !x->items[i].done ? x->items[i].job.missing_bytes : 0;
    if (file_space_of(x->directory, &space, err) < 0)
        return -1;
    if (!need || space.free_bytes >= need + RESERVE_BYTES)
        return 0;
    return err_set(err, ERR_SPACE, "'%s' has %s free, and the backups need %s", x->directory, text_bytes(a, space.free_bytes),
                   text_bytes(b, need));
}

/* ---- one database ---- */

static int write_script(struct exporting *x, struct export_item *item, struct err *err) {
    _cleanup_free_ char *path = file_join(item->job.folder, "restore.sql");
    _cleanup_free_ char *folder = mem_printf("%s/%s", x->server_dir, item->made.chain.database->folder);
    struct buf text;
    buf_init(&text, SCRIPT_BYTES_MAX);
    int rc = plan_script(x->cli, &item->made, &x->options, NULL, folder, &text, err);
    if (rc == 0)
        rc = file_write_durable(path, text.data, text.len, TEXT_MODE, err);
    buf_done(&text);
    return rc;
}

static void add_result(struct exporting *x, const struct export_item *item) {
    json_t *o = plan_json(&item->made, &x->options), *files = json_array();
    for (size_t i = 0; i < item->job.count; i++) {
        const struct export_file *f = &item->job.files[i];
        json_array_append_new(files,
                              json_pack("{s:s, s:I, s:b}", "name", f->name, "bytes", (json_int_t)f->bytes, "fetched", !f->there));
    }
    json_object_set_new(o, "directory", json_string(item->job.folder));
    json_object_set_new(o, "exported", files);
    json_array_append_new(x->result, o);
}

/* Files first, then the script: one that is there is right. A backup that turns out to be damaged is gone around. */
static int export_item(struct exporting *x, struct export_item *item, struct err *err) {
    while (item->planned) {
        size_t bad;
        struct err why = {0};
        struct plan_options *o = &x->options;
        _cleanup_free_ char *script = file_join(item->job.folder, "restore.sql");
        if (file_exists(script) && file_unlink_durable(script, err) < 0)
            return -1;
        if (export_fetch(x->cli, &item->job, &bad, &why) == 0) {
            item->done = true;
            if (write_script(x, item, err) < 0)
                return -1;
            add_result(x, item);
            return 0;
        }
        if (bad == SIZE_MAX) {
            err_copy(err, &why);
            return -1;
        }
        struct guid guid = plan_set(&item->made, bad)->set_guid;
        err_hint(&why, "Another way around it is looked for");
        cli_fail_later(x->cli, &why);
        o->avoid = mem_grow(o->avoid, &o->avoid_cap, o->avoid_count + 1, sizeof(*o->avoid));
        o->avoid[o->avoid_count++] = guid;
        forget(item);
        if (plan_item(x, item, err) < 0 || check_space(x, err) < 0)
            return -1;
    }
    return 0;
}

static int write_readme(const struct exporting *x, struct err *err) {
    _cleanup_free_ char *path = file_join(x->directory, "README.txt");
    struct buf text;
    buf_init(&text, 16u << 20);
    buf_printf(
        &text,
        "Backups of SQL Server as plain files, exported by mssqlctl " MSSQLCTL_VERSION ", to %s.\n\n"
        "Each folder has the files of one database in the order of restoring and a restore.sql. SQL Server's user must be\n"
        "able to read the files. The variables at the top of restore.sql say where they are and under which name the database\n"
        "is restored. Run it as one batch:\n\n",
        x->options.target_text);
    for (size_t i = 0; i < x->count; i++)
        if (x->items[i].done)
            buf_printf(&text, "    sqlcmd -x -b -i '%s/restore.sql'\n", x->items[i].made.chain.database->folder);
    int rc = file_write_durable(path, text.data, text.len, TEXT_MODE, err);
    buf_done(&text);
    return rc;
}

static void print(const struct exporting *x) {
    char size[TEXT_MAX], at[TEXT_MAX];
    for (size_t i = 0; i < x->count; i++) {
        const struct export_item *item = &x->items[i];
        size_t fetched = 0;
        uint64_t bytes = 0;
        if (!item->done)
            continue;
        for (size_t k = 0; k < item->job.count; k++) {
            fetched += !item->job.files[k].there;
            bytes += item->job.files[k].bytes;
        }
        cli_say(x->cli, CLI_GOOD, "%s to %s: %zu files, %s (%zu were there already) in %s", item->made.chain.database->name,
                item->made.plan.reaches_at ? text_time(at, item->made.plan.reaches_at) : x->options.target_text, item->job.count,
                text_bytes(size, bytes), item->job.count - fetched, item->job.folder);
    }
}

static int export_all(struct exporting *x, struct err *err) {
    if (choose(x, err) < 0)
        return -1;
    for (size_t i = 0; i < x->count; i++)
        if (plan_item(x, &x->items[i], err) < 0)
            return -1;
    if (check_space(x, err) < 0)
        return -1;
    for (size_t i = 0; i < x->count; i++)
        if (export_item(x, &x->items[i], err) < 0)
            return -1;
    return write_readme(x, err);
}

static int make_directory(struct exporting *x, const char *word, struct err *err) {
    if (file_mkdirs(word, FOLDER_MODE, err) < 0)
        return -1;
    char *whole = realpath(word, NULL);
    if (!whole)
        return err_os(err, ERR_NONE, errno, "'%s'", word);
    x->directory = mem_strdup(whole);
    free(whole);
    const char *server = cli_value(&x->cli->args, "--server-dir");
    x->server_dir = server ? server : x->directory;
    return 0;
}

int cmd_export(struct cli *cli, struct err *err) {
    struct exporting x = {.cli = cli};
    if (!cli_given(&cli->args, "--store"))
        return err_set(err, ERR_USAGE, "'export' needs the backups themselves: --store URL");
    if (plan_options_read(cli, &x.options, err) < 0)
        return -1;
    if (origin_open(cli, &x.origin, err) < 0) {
        plan_options_done(&x.options);
        return -1;
    }
    x.result = json_array();
    int rc = make_directory(&x, cli->args.words[0], err);
    if (rc == 0)
        rc = export_all(&x, err);
    if (cli->output != CLI_TABLE)
        cli_print_value(cli, json_pack("{s:s, s:O}", "directory", x.directory ? x.directory : "", "databases", x.result));
    else
        print(&x);
    for (size_t i = 0; i < x.count; i++) {
        forget(&x.items[i]);
        mem_free(x.items[i].indexes);
    }
    mem_free(x.items);
    mem_free(x.directory);
    json_decref(x.result);
    origin_done(&x.origin);
    plan_options_done(&x.options);
    return rc;
}
