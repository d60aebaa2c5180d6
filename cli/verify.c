/* SPDX-License-Identifier: Apache-2.0 */
/* verify: reads a store again, all of it, and says what has gone bad. Nothing is changed. */
#include "cli/verify.h"

#include <string.h>

#include "cli/commands.h"
#include "cli/offline.h"
#include "cli/table.h"
#include "cli/text.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/store/scrub.h"

#define PAGE 1000
#define NEWS_EVERY_US 1000000

struct found {
    struct scrub_finding *items;
    size_t count, cap;
};

struct verify {
    struct cli *cli;
    struct store *store;
    const char *scope, *folder;
    struct scrub_options options;
    struct rate rate;
    struct scrub_totals totals;
    struct found found;
    unsigned databases;
    int64_t told_us;
};

static void on_finding(void *user, const struct scrub_finding *finding) {
    struct verify *v = user;
    v->found.items = mem_grow(v->found.items, &v->found.cap, v->found.count + 1, sizeof(*v->found.items));
    v->found.items[v->found.count++] = *finding;
}

/* One line on the terminal that is written over. */
static void on_progress(void *user, const char *name, uint64_t bytes) {
    (void)name, (void)bytes;
    struct verify *v = user;
    char size[TEXT_MAX];
    int64_t now = clock_mono_us();
    if (!v->cli->io->err_terminal || now - v->told_us < NEWS_EVERY_US)
        return;
    v->told_us = now;
    fprintf(v->cli->io->err, "\r\x1b[K%s: %llu sets, %s, %zu bad", v->folder, (unsigned long long)v->totals.sets,
            text_bytes(size, v->totals.stored_bytes), v->found.count);
    fflush(v->cli->io->err);
}

/* The database's name is in its newest manifest; a folder fits by its own name, too. */
static bool wanted(struct verify *v, const char *folder) {
    const struct cli_args *args = &v->cli->args;
    char encoded[NAME_ENCODED_MAX + 1];
    for (size_t i = 0; i < args->word_count; i++) {
        name_encode_database(encoded, args->words[i]);
        size_t n = strlen(encoded);
        if (str_glob(args->words[i], folder) || (str_starts(folder, encoded) && folder[n] == '~'))
            return true;
    }
    return !args->word_count;
}

static int on_database(void *user, const char *folder, struct err *err) {
    struct verify *v = user;
    struct store_cursor cursor = {0};
    if (!wanted(v, folder))
        return 0;
    v->databases++;
    v->folder = folder;
    while (cursor.kind < BACKUP_KIND_COUNT)
        if (store_scrub_sets(v->store, v->scope, folder, &cursor, PAGE, &v->options, &v->totals, err))
            return -1;
    return store_scrub_names(v->store, v->scope, folder, NULL, v->cli->now, &v->options, &v->totals, err);
}

static json_t *finding_json(const struct scrub_finding *f) {
    char guid[GUID_TEXT_MAX];
    json_t *j = json_pack("{s:s, s:s, s:s, s:b, s:s}", "problem", scrub_kind_word(f->kind), "name", f->name, "folder", f->folder,
                          "loss", scrub_kind_is_loss(f->kind), "message", f->err.text);
    if (!guid_is_zero(&f->set)) {
        json_object_set_new(j, "kind", json_string(backup_kind_name(f->backup_kind)));
        json_object_set_new(j, "setGuid", json_string(guid_format(guid, &f->set)));
    }
    return j;
}

static void print_json(const struct verify *v) {
    json_t *findings = json_array();
    for (size_t i = 0; i < v->found.count; i++)
        json_array_append_new(findings, finding_json(&v->found.items[i]));
    cli_print_value(v->cli,
                    json_pack("{s:s, s:i, s:I, s:I, s:I, s:b, s:o}", "scope", v->scope, "databases", (int)v->databases, "sets",
                              (json_int_t)v->totals.sets, "objects", (json_int_t)v->totals.objects, "storedBytes",
                              (json_int_t)v->totals.stored_bytes, "sizesOnly", v->options.sizes_only, "findings", findings));
}

static void print_table(const struct verify *v) {
    static const struct cli_column columns[] = {{"PROBLEM", 0, false}, {"NAME", 24, false}, {"WHAT", 30, false}};
    char size[TEXT_MAX];
    if (v->found.count) {
        struct cli_table *table = table_new(v->cli, columns, ARRAY_LEN(columns));
        for (size_t i = 0; i < v->found.count; i++) {
            const struct scrub_finding *f = &v->found.items[i];
            table_cell(table, scrub_kind_is_loss(f->kind) ? CLI_BAD : CLI_WARN, "%s", scrub_kind_word(f->kind));
            table_cell(table, CLI_PLAIN, "%s", f->name);
            table_cell(table, CLI_PLAIN, "%s", f->err.text);
        }
        table_print(table);
    }
    cli_say(v->cli, v->found.count ? CLI_PLAIN : CLI_GOOD, "%s: %llu backups in %u databases, %s %s, %s", v->scope,
            (unsigned long long)v->totals.sets, v->databases, text_bytes(size, v->totals.stored_bytes),
            v->options.sizes_only ? "by their sizes only" : "read", v->found.count ? "not all is well" : "all is well");
}

/* What is lost decides the exit code. */
static void judge(const struct verify *v) {
    struct err why = {0};
    size_t lost = 0;
    for (size_t i = 0; i < v->found.count; i++)
        lost += scrub_kind_is_loss(v->found.items[i].kind);
    if (!lost)
        return;
    err_set(&why, ERR_CORRUPT, "%zu problem%s in the store %s", lost, lost == 1 ? "" : "s", store_url(v->store));
    err_hint(&why, "'mssqlctl plan --avoid GUID' shows what can be restored without a bad set; take a full backup now");
    cli_fail_later(v->cli, &why);
}

static int verify_run(struct verify *v, struct err *err) {
    char scope[NAME_SCOPE_MAX];
    if (offline_scope(v->cli, v->store, scope, err) < 0)
        return -1;
    v->scope = scope;
    int rc = store_list_databases(v->store, scope, on_database, v, err) ? -1 : 0;
    if (v->told_us)
        fprintf(v->cli->io->err, "\r\x1b[K");
    if (rc < 0)
        return -1;
    if (!v->databases && v->cli->args.word_count)
        return err_set(err, ERR_NOT_FOUND, "there is no backup of a database '%s' in %s", v->cli->args.words[0], scope);
    if (v->cli->output == CLI_TABLE)
        print_table(v);
    else
        print_json(v);
    judge(v);
    return 0;
}

int cmd_verify(struct cli *cli, struct err *err) {
    struct store_options options = {.read_only = true};
    struct verify v = {.cli = cli};
    const char *rate = cli_value(&cli->args, "--rate"), *url = cli_value(&cli->args, "--store");
    uint64_t bytes = 0;
    if (!url)
        return verify_remote(cli, err);
    if (cli_given(&cli->args, "--restore") || cli_given(&cli->args, "--verify-only"))
        return verify_restore(cli, err);
    if (rate && !str_to_bytes(rate, &bytes))
        return err_set(err, ERR_USAGE, "--rate: '%.80s' is not a size such as 50Mi", rate);
    if (store_open(url, &options, &v.store, err) < 0)
        return -1;
    rate_init(&v.rate, bytes);
    v.options = (struct scrub_options){.sizes_only = cli_given(&cli->args, "--sizes-only"),
                                       .rate = &v.rate,
                                       .finding = on_finding,
                                       .progress = on_progress,
                                       .user = &v};
    int rc = verify_run(&v, err);
    rate_done(&v.rate);
    store_free(v.store);
    mem_free(v.found.items);
    return rc;
}
