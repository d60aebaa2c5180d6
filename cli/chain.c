/* SPDX-License-Identifier: Apache-2.0 */
/* chain: what a database can be restored to, the holes, and what comes next. */
#include <string.h>

#include "cli/ask.h"
#include "cli/chain.h"
#include "cli/commands.h"
#include "cli/offline.h"
#include "cli/status.h"
#include "cli/text.h"
#include "cli/words.h"
#include "common/chain/lsn.h"
#include "common/base/clock.h"
#include "common/api/message.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/net/proto_json.h"

struct chains {
    Mssql__V1__Chain **items;
    size_t count;
    int64_t now;
    bool offline;
};

static void append(struct chains *c, Mssql__V1__Chain *chain) {
    c->items = mem_realloc(c->items, (c->count + 1) * sizeof(*c->items));
    c->items[c->count++] = chain;
}

static void chains_done(struct chains *c) {
    for (size_t i = 0; i < c->count; i++)
        mssql__v1__chain__free_unpacked(c->items[i], NULL);
    mem_free(c->items);
}

/* ---- from a sidecar ---- */

static int ask_one(struct cli *cli, char *database, struct chains *c, struct err *err) {
    Mssql__V1__GetChainRequest q = MSSQL__V1__GET_CHAIN_REQUEST__INIT;
    ProtobufCMessage *answer;
    q.database = database;
    if (ask(cli, "GetChain", &q.base, &mssql__v1__chain__descriptor, &answer, err) < 0)
        return -1;
    append(c, (Mssql__V1__Chain *)answer);
    return 0;
}

static bool is_pattern(const char *word) {
    return strpbrk(word, "*?") != NULL;
}

/* All that are protected or have backups, or those that fit a pattern; a plain name is asked as it is, also when only the store knows
 * it. */
static int ask_many(struct cli *cli, char **patterns, size_t count, struct chains *c, struct err *err) {
    _cleanup_message_ Mssql__V1__Status *s = NULL;
    if (status_ask(cli, patterns, count, &s, err) < 0)
        return -1;
    if (count && !s->n_databases)
        return err_set(err, ERR_NOT_FOUND, "no database of this server fits '%s'", patterns[0]);
    for (size_t i = 0; i < s->n_databases; i++)
        if ((count || s->databases[i]->protected_ || s->databases[i]->backups) && ask_one(cli, s->databases[i]->name, c, err) < 0)
            return -1;
    return 0;
}

static int from_sidecar(struct cli *cli, struct chains *c, struct err *err) {
    const struct cli_args *a = &cli->args;
    c->now = cli->now;
    if (!a->word_count)
        return ask_many(cli, NULL, 0, c, err);
    for (size_t i = 0; i < a->word_count; i++) {
        int rc = is_pattern(a->words[i]) ? ask_many(cli, &a->words[i], 1, c, err) : ask_one(cli, a->words[i], c, err);
        if (rc < 0)
            return -1;
    }
    return 0;
}

/* ---- from a store ---- */

static int from_store(struct cli *cli, struct chains *c, struct err *err) {
    struct offline_list list;
    if (offline_load(cli, &list, err) < 0)
        return -1;
    c->now = cli->now;
    c->offline = true;
    for (size_t i = 0; i < list.count; i++) {
        const struct offline_database *db = &list.items[i];
        Mssql__V1__Chain *m = mem_alloc(sizeof(*m));
        struct backup *sets = mem_array(db->count, sizeof(*sets));
        mssql__v1__chain__init(m);
        m->database = mem_strdup(db->name);
        const struct backup *tip = NULL;
        for (size_t k = 0; k < db->count; k++) {
            sets[k] = db->sets[k].backup;
            if (!tip || sets[k].finish_at >= tip->finish_at)
                tip = &sets[k];
        }
        const struct chain_interval_input known = {.known = db->holes, .known_count = db->hole_count};
        message_chain_sets(m, sets, db->count, &known);
        if (tip) {
            m->family_guid = message_guid(&tip->family_guid);
            m->database_guid = message_guid(&tip->database_guid);
            m->fork_guid = message_guid(&tip->last_fork);
            m->incarnation = tip->incarnation;
        }
        mem_free(sets);
        append(c, m);
    }
    offline_done(&list);
    return 0;
}

/* ---- printing ---- */

static void print_state(const struct cli *cli, const Mssql__V1__Chain *m, int64_t now) {
    char ago[TEXT_MAX];
    const char *text = *m->message ? m->message : m->reason;
    bool intact = m->state == MSSQL__V1__CHAIN_STATE__CHAIN_STATE_INTACT;
    cli_field(cli, "  chain", color_chain(m->state), "%s%s%s%s%s%s%s", word_chain(m->state), m->since_at ? ", since " : "",
              m->since_at ? text_ago(ago, m->since_at, now) : "", *m->by_whom ? ", by " : "", m->by_whom,
              *text && !intact ? ": " : "", intact ? "" : text);
}

static void print_edges(const struct cli *cli, const Mssql__V1__Chain *m, int64_t now) {
    char time[TEXT_MAX], ago[TEXT_MAX], size[TEXT_MAX];
    if (m->base_full)
        cli_field(cli, "  newest full", CLI_PLAIN, "%s (%s)%s", text_time(time, m->base_full->finish_at),
                  text_ago(ago, m->base_full->finish_at, now), m->base_full->copy_only ? ", copy-only" : "");
    if (m->tip)
        cli_field(cli, "  newest backup", CLI_PLAIN, "%s of %s (%s)", word_kind(m->tip->kind), text_time(time, m->tip->finish_at),
                  text_ago(ago, m->tip->finish_at, now));
    cli_field(cli, "  in the store", CLI_PLAIN, "%llu backups, %s", (unsigned long long)m->backups,
              text_bytes(size, m->stored_bytes));
    if (m->next && m->next->at)
        cli_field(cli, "  next", CLI_PLAIN, "%s %s%s%s%s", word_kind(m->next->kind),
                  m->next->at <= now ? "due" : text_ago(ago, m->next->at, now), *m->next->why ? " (" : "", m->next->why,
                  *m->next->why ? ")" : "");
}

static void print_interval(const struct cli *cli, const Mssql__V1__Interval *v) {
    char from[TEXT_MAX], until[TEXT_MAX], span[TEXT_MAX];
    if (v->from_at == v->until_at)
        cli_field(cli, "  restorable", CLI_GOOD, "%s only", text_time(from, v->from_at));
    else
        cli_field(cli, "  restorable", CLI_GOOD, "%s to %s (%s)", text_time(from, v->from_at), text_time(until, v->until_at),
                  text_span(span, v->until_at - v->from_at));
}

static void print_hole(const struct cli *cli, const Mssql__V1__Hole *h) {
    char from[TEXT_MAX], until[TEXT_MAX];
    cli_field(cli, "  HOLE", CLI_BAD, "%s to %s: %s%s%s", h->from_at ? text_time(from, h->from_at) : "the beginning",
              h->until_at ? text_time(until, h->until_at) : "now", h->cause, *h->by_whom ? " by " : "", h->by_whom);
    if (*h->message)
        cli_field(cli, "", CLI_PLAIN, "%s", h->message);
}

static bool is_before(const Mssql__V1__Hole *h, const Mssql__V1__Interval *v) {
    int64_t later = v->from_at - h->from_at;
    struct lsn hole, interval;
    if (later >= CLOCK_SECOND || later <= -CLOCK_SECOND)
        return later > 0;
    /* headers have whole seconds: inside one the LSNs know the order */
    if (lsn_parse(h->from_lsn, &hole) && lsn_parse(v->from_lsn, &interval))
        return lsn_cmp(hole, interval) < 0;
    return later > 0 || (h->until_at && h->until_at <= v->from_at);
}

void chain_print_moments(const struct cli *cli, const Mssql__V1__Chain *m) {
    size_t hole = 0;
    for (size_t i = 0; i < m->n_intervals; i++) {
        const Mssql__V1__Interval *v = m->intervals[i];
        while (hole < m->n_holes && is_before(m->holes[hole], v))
            print_hole(cli, m->holes[hole++]);
        print_interval(cli, v);
    }
    while (hole < m->n_holes)
        print_hole(cli, m->holes[hole++]);
    if (!m->n_intervals)
        cli_field(cli, "  restorable", CLI_BAD, "nothing");
}

static void print(const struct cli *cli, const struct chains *c) {
    for (size_t i = 0; i < c->count; i++) {
        const Mssql__V1__Chain *m = c->items[i];
        if (i)
            fputc('\n', cli->io->out);
        cli_say(cli, CLI_BOLD, "%s", m->database);
        if (!c->offline)
            print_state(cli, m, c->now);
        chain_print_moments(cli, m);
        print_edges(cli, m, c->now);
    }
    if (!c->count)
        cli_say(cli, CLI_WARN, "no chains: no database is protected, and there are no backups");
}

int cmd_chain(struct cli *cli, struct err *err) {
    struct chains c = {0};
    int rc = cli_given(&cli->args, "--store") ? from_store(cli, &c, err) : from_sidecar(cli, &c, err);
    if (rc == 0 && cli->output == CLI_TABLE) {
        print(cli, &c);
    } else if (rc == 0) {
        json_t *list = json_array();
        for (size_t i = 0; i < c.count; i++)
            json_array_append_new(list, proto_json_from(&c.items[i]->base, false));
        cli_print_value(cli, json_pack("{s:o}", "chains", list));
    }
    chains_done(&c);
    return rc;
}
