/* SPDX-License-Identifier: Apache-2.0 */
/* backups: what the store holds, from the sidecar's catalog or from the manifests. */
#include <stdlib.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/offline.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/words.h"
#include "common/api/message.h"
#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define PAGE 500 /* the most that a sidecar gives at once */

struct listing {
    Mssql__V1__ListBackupsRequest query; /* without a database */
    Mssql__V1__BackupKind kinds[3];
    uint64_t limit; /* 0 all */
    Mssql__V1__ListBackupsResponse *result; /* owns the backups; total */
};

static void listing_done(struct listing *l) {
    mssql__v1__list_backups_response__free_unpacked(l->result, NULL);
}

static void append(struct listing *l, Mssql__V1__Backup *b) {
    Mssql__V1__ListBackupsResponse *r = l->result;
    r->backups = mem_realloc(r->backups, (r->n_backups + 1) * sizeof(*r->backups));
    r->backups[r->n_backups++] = b;
}

static int options_of(struct cli *cli, struct listing *l, struct err *err) {
    const struct cli_args *a = &cli->args;
    const char *since = cli_value(a, "--since"), *until = cli_value(a, "--until");
    mssql__v1__list_backups_request__init(&l->query);
    for (size_t i = 0; i < a->given_count; i++) {
        if (strcmp(a->given[i].option->name, "--kind"))
            continue;
        Mssql__V1__BackupKind kind = kind_of_word(a->given[i].value);
        bool known = false;
        for (size_t k = 0; k < l->query.n_kinds; k++)
            known = known || l->kinds[k] == kind;
        if (!known)
            l->kinds[l->query.n_kinds++] = kind;
    }
    l->query.kinds = l->kinds;
    l->query.held_only = cli_given(a, "--held");
    if (since && cli_time("--since", since, cli->now, -1, &l->query.from_at, err) < 0)
        return -1;
    if (until && cli_time("--until", until, cli->now, -1, &l->query.until_at, err) < 0)
        return -1;
    if (since && until && l->query.from_at >= l->query.until_at)
        return err_set(err, ERR_USAGE, "--since is not before --until");
    if (!str_to_u64(cli_value(a, "--limit"), UINT32_MAX, &l->limit))
        return err_set(err, ERR_USAGE, "--limit: '%s' is not a number", cli_value(a, "--limit"));
    l->result = mem_alloc(sizeof(*l->result));
    mssql__v1__list_backups_response__init(l->result);
    return 0;
}

/* ---- from a sidecar ---- */

/* All pages of one database ("": all of them), up to the limit. */
static int ask_database(struct cli *cli, struct listing *l, char *database, struct err *err) {
    Mssql__V1__ListBackupsRequest q = l->query;
    _cleanup_free_ char *token = mem_strdup("");
    uint64_t taken = 0;
    q.database = database;
    do {
        ProtobufCMessage *answer;
        uint64_t left = l->limit ? l->limit - taken : PAGE;
        q.page_size = (uint32_t)(left < PAGE ? left : PAGE);
        q.page_token = token;
        if (ask(cli, "ListBackups", &q.base, &mssql__v1__list_backups_response__descriptor, &answer, err) < 0)
            return -1;
        Mssql__V1__ListBackupsResponse *r = (Mssql__V1__ListBackupsResponse *)answer;
        if (!taken)
            l->result->total += r->total;
        taken += r->n_backups;
        bool empty = !r->n_backups;
        for (size_t i = 0; i < r->n_backups; i++)
            append(l, r->backups[i]);
        r->n_backups = 0; /* they belong to the result now */
        mem_free(token);
        token = mem_strdup(empty ? "" : r->next_page_token);
        mssql__v1__list_backups_response__free_unpacked(r, NULL);
    } while (*token && (!l->limit || taken < l->limit));
    return 0;
}

static int from_sidecar(struct cli *cli, struct listing *l, struct err *err) {
    char all[] = "";
    if (!cli->args.word_count)
        return ask_database(cli, l, all, err);
    for (size_t i = 0; i < cli->args.word_count; i++)
        if (ask_database(cli, l, cli->args.words[i], err) < 0)
            return -1;
    return 0;
}

/* ---- from a store ---- */

static bool fits(const struct listing *l, const struct backup *b) {
    const Mssql__V1__ListBackupsRequest *q = &l->query;
    bool kind = !q->n_kinds;
    for (size_t i = 0; i < q->n_kinds; i++)
        kind = kind || q->kinds[i] == message_kind(b->kind);
    return kind && (!q->from_at || b->finish_at >= q->from_at) && (!q->until_at || b->finish_at < q->until_at) &&
           (!q->held_only || backup_has(b, BACKUP_HELD));
}

struct found {
    const struct offline_database *db;
    const struct offline_set *set;
};

static int newest_first(const void *a, const void *b) {
    const struct backup *x = &((const struct found *)a)->set->backup, *y = &((const struct found *)b)->set->backup;
    if (x->finish_at != y->finish_at)
        return x->finish_at < y->finish_at ? 1 : -1;
    return lsn_cmp(y->last_lsn, x->last_lsn);
}

static void add_found(struct listing *l, struct found *found, size_t count) {
    if (count)
        qsort(found, count, sizeof(*found), newest_first);
    l->result->total = count;
    for (size_t i = 0; i < count && (!l->limit || i < l->limit); i++) {
        Mssql__V1__Backup *b = message_backup(&found[i].set->backup, found[i].db->name);
        b->run_id = mem_strdup(found[i].set->run_id);
        b->reason = mem_strdup(found[i].set->reason);
        append(l, b);
    }
}

static int from_store(struct cli *cli, struct listing *l, struct err *err) {
    struct offline_list list;
    struct found *found = NULL;
    size_t count = 0, cap = 0;
    if (offline_load(cli, &list, err) < 0)
        return -1;
    for (size_t i = 0; i < list.count; i++)
        for (size_t k = 0; k < list.items[i].count; k++)
            if (fits(l, &list.items[i].sets[k].backup)) {
                found = mem_grow(found, &cap, count + 1, sizeof(*found));
                found[count++] = (struct found){&list.items[i], &list.items[i].sets[k]};
            }
    add_found(l, found, count);
    mem_free(found);
    offline_done(&list);
    return 0;
}

/* ---- printing ---- */

static const char *notes_of(const Mssql__V1__Backup *b, struct buf *out) {
    const struct {
        bool is;
        const char *word;
    } words[] = {
        {b->unreadable, "UNREADABLE"}, {b->damaged, "DAMAGED"}, {b->foreign, "foreign"},         {b->held, "held"},
        {b->copy_only, "copy-only"},   {b->tail, "tail"},       {b->bulk_logged, "bulk-logged"}, {b->snapshot, "snapshot"},
        {b->read_only, "read-only"}};
    buf_reset(out);
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (words[i].is)
            buf_printf(out, "%s%s", out->len ? "," : "", words[i].word);
    return out->len ? out->data : "";
}

static void print(const struct cli *cli, const Mssql__V1__ListBackupsResponse *r) {
    static const struct cli_column columns[] = {{"DATABASE", 12, false}, {"KIND", 0, false},  {"FINISHED", 0, false},
                                                {"SIZE", 0, true},       {"STORED", 0, true}, {"SET", 0, false},
                                                {"NOTES", 6, false}};
    struct cli_table *t = table_new(cli, columns, ARRAY_LEN(columns));
    char text[TEXT_MAX];
    struct buf notes;
    buf_init(&notes, 1024);
    for (size_t i = 0; i < r->n_backups; i++) {
        const Mssql__V1__Backup *b = r->backups[i];
        table_cell(t, CLI_PLAIN, "%s", b->database);
        table_cell(t, CLI_PLAIN, "%s", word_kind(b->kind));
        table_cell(t, CLI_PLAIN, "%s", text_time(text, b->finish_at));
        table_cell(t, CLI_PLAIN, "%s", text_bytes(text, b->size_bytes));
        table_cell(t, CLI_PLAIN, "%s", text_bytes(text, b->stored_bytes));
        table_cell(t, CLI_PLAIN, "%s", b->set_guid);
        table_cell(t, b->damaged || b->unreadable ? CLI_BAD : CLI_PLAIN, "%s", notes_of(b, &notes));
    }
    buf_done(&notes);
    table_print(t);
    if (r->total > r->n_backups)
        cli_say(cli, CLI_DIM, "%zu of %llu; --limit 0 shows all", r->n_backups, (unsigned long long)r->total);
}

static int by_finish(const void *a, const void *b) {
    const Mssql__V1__Backup *x = *(Mssql__V1__Backup *const *)a, *y = *(Mssql__V1__Backup *const *)b;
    return (x->finish_at < y->finish_at) - (x->finish_at > y->finish_at);
}

/* Several databases were asked one after the other: one order, one limit. */
static void merge(struct listing *l) {
    Mssql__V1__ListBackupsResponse *r = l->result;
    if (r->n_backups)
        qsort(r->backups, r->n_backups, sizeof(*r->backups), by_finish);
    while (l->limit && r->n_backups > l->limit)
        mssql__v1__backup__free_unpacked(r->backups[--r->n_backups], NULL);
}

int cmd_backups(struct cli *cli, struct err *err) {
    struct listing l = {0};
    if (options_of(cli, &l, err) < 0)
        return -1;
    int rc = cli_given(&cli->args, "--store") ? from_store(cli, &l, err) : from_sidecar(cli, &l, err);
    if (rc == 0 && cli->args.word_count > 1)
        merge(&l);
    if (rc == 0 && !cli_print_message(cli, &l.result->base))
        print(cli, l.result);
    listing_done(&l);
    return rc;
}
