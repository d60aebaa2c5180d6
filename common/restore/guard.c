/* SPDX-License-Identifier: Apache-2.0 */
#include "common/restore/guard.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/chain/interval.h"
#include "common/chain/state.h"
#include "common/chain/tip.h"
#include "common/restore/guard_int.h"

static const char *const loss_words[RESTORE_LOSS_COUNT] = {
    [RESTORE_LOSS_NONE] = "none",
    [RESTORE_LOSS_SIMPLE] = "simple",
    [RESTORE_LOSS_PSEUDO_SIMPLE] = "pseudo_simple",
    [RESTORE_LOSS_NEWER] = "newer",
    [RESTORE_LOSS_OTHER_FORK] = "other_fork",
    [RESTORE_LOSS_OTHER_SERVER] = "other_server",
    [RESTORE_LOSS_OTHER_DATABASE] = "other_database",
    [RESTORE_LOSS_NOT_OPEN] = "not_open",
    [RESTORE_LOSS_RESTORING] = "restoring",
    [RESTORE_LOSS_STANDBY] = "standby",
    [RESTORE_LOSS_TAIL_FAILED] = "tail_failed",
};

const char *restore_loss_word(enum restore_loss loss) {
    return loss < RESTORE_LOSS_COUNT ? loss_words[loss] : "unknown";
}

static const char *const over_words[RESTORE_OVER_COUNT] = {"nothing", "ours", "tail", "token", "refused", "safe"};

const char *restore_over_name(enum restore_over over) {
    return over < RESTORE_OVER_COUNT ? over_words[over] : "unknown";
}

bool restore_over_parse(const char *word, enum restore_over *ret_over) {
    for (int i = 0; i < RESTORE_OVER_COUNT; i++)
        if (!strcmp(word, over_words[i])) {
            *ret_over = (enum restore_over)i;
            return true;
        }
    return false;
}

/* --- what the store knows -------------------------------------------------------------------------------------- */

struct known {
    struct chain_history history; /* all of it */
    struct backup *own_sets;
    struct chain_tip tip; /* of the fork that the database is on */
    struct chain_window window;
};

static bool was_on(const struct guid *forks, size_t count, const struct guid *fork) {
    for (size_t i = 0; i < count; i++)
        if (guid_eq(&forks[i], fork))
            return true;
    return false;
}

/* `fork` and those that it came from, as far as logs that cross over tell. Returns their number. */
static size_t forks_of(const struct restore_guard_view *view, const struct guid *fork, struct guid *forks) {
    size_t count = 0;
    forks[count++] = *fork;
    for (size_t known = 0; known < count; known++)
        for (size_t i = 0; i < view->set_count; i++) {
            const struct backup *b = &view->sets[i];
            if (guid_eq(&b->last_fork, &forks[known]) && !was_on(forks, count, &b->first_fork))
                forks[count++] = b->first_fork;
        }
    return count;
}

/*
 * The history of this fork, without what was made on others. Which of several forks is the newest in the store does not
 * matter here, and dates of whole seconds could not tell. All of it when the store has nothing of the fork.
 */
static size_t own_history(const struct restore_guard_view *view, const struct guid *fork, struct backup *own) {
    struct guid *forks = mem_array(view->set_count + 1, sizeof(*forks));
    size_t fork_count = forks_of(view, fork, forks), count = 0;
    bool any = false;
    for (size_t i = 0; i < view->set_count; i++)
        any = any || guid_eq(&view->sets[i].last_fork, fork);
    for (size_t i = 0; i < view->set_count; i++)
        if (!any || was_on(forks, fork_count, &view->sets[i].last_fork))
            own[count++] = view->sets[i];
    mem_free(forks);
    return count;
}

static void known_init(struct known *k, const struct restore_guard_view *view, const struct guid *fork) {
    struct chain_history own;
    k->own_sets = mem_array(view->set_count + 1, sizeof(*k->own_sets));
    chain_history_init(&k->history, view->sets, view->set_count);
    chain_history_init(&own, k->own_sets, own_history(view, fork, k->own_sets));
    chain_tip_from_history(&k->tip, &own);
    chain_tip_window(&k->tip, 0, &k->window);
    chain_history_done(&own);
}

static void known_done(struct known *k) {
    chain_history_done(&k->history);
    mem_free(k->own_sets);
}

/*
 * Is what is in the database, up to this point of this fork, in the store? A volume that was reverted, and a clone, use the same
 * LSNs on the same fork once more for something else: where the store knows of that, an LSN names nothing. And it must be
 * the very end of a backup, as it is after backups were restored or the tail was taken into the store.
 */
static bool known_holds(const struct restore_guard_view *view, const struct known *k, const struct guid *fork, struct lsn lsn) {
    const struct chain_interval_input input = {.history = &k->history};
    struct chain_intervals all;
    bool found = false, ends = false, twice = false;
    const struct backup *first = NULL;
    for (size_t i = 0; i < view->set_count; i++) {
        const struct backup *b = &view->sets[i];
        if (!guid_eq(&b->last_fork, fork))
            continue;
        first = first ? first : b;
        twice |= b->incarnation != first->incarnation;
        ends |= lsn_cmp(b->last_lsn, lsn) == 0;
    }
    if (twice || !ends)
        return false;
    chain_intervals_build(&input, &all);
    for (size_t i = 0; i < all.count && !found; i++) {
        const struct chain_interval *v = &all.intervals[i];
        found = guid_eq(&v->path.fork, fork) && lsn_cmp(v->from_lsn, lsn) <= 0 && lsn_cmp(lsn, v->until_lsn) <= 0;
    }
    chain_intervals_done(&all);
    return found;
}

/* --- one kind of database after the other ---------------------------------------------------------------------- */

static void lose(struct restore_guard *g, enum restore_loss loss, bool tail, bool replace) {
    g->over = RESTORE_OVER_TOKEN;
    g->loss = loss;
    g->tail = tail;
    g->replace = replace && !tail;
}

/* RESTORING or in STANDBY: there is nothing in it but what was restored into it, up to its redo point. */
static void decide_restored(const struct restore_guard_view *view, const struct known *k, enum restore_loss loss,
                            struct restore_guard *g) {
    const struct target_db *there = view->there;
    if (!lsn_is_zero(there->redo_start_lsn) && known_holds(view, k, &there->redo_start_fork, there->redo_start_lsn))
        g->over = RESTORE_OVER_SAFE;
    else
        lose(g, loss, false, true);
    g->evict = there->info.standby;
}

static void decide_damaged(const struct target_db *there, struct restore_guard *g) {
    if (there->info.recovery == SQL_RECOVERY_SIMPLE) {
        lose(g, RESTORE_LOSS_SIMPLE, false, true);
        return;
    }
    g->over = RESTORE_OVER_TAIL;
    /* NO_TRUNCATE is copy-only: for the server the tail is not backed up (3159). It is, and it joins, before anything is replaced. */
    g->tail = g->tail_damaged = g->replace = true;
}

/* Where it is not known whose the backups are, they may be another's. */
static bool other_server(const struct restore_guard_view *view) {
    return !view->server || !view->server[0] || !str_ieq(view->server, view->target->server.name);
}

/* Would this log, which begins on one fork and ends on another, be restorable? Asked of the chain logic as if it were there. */
static bool crossing_joins(const struct restore_guard_view *view, const struct backup *log) {
    struct backup *sets = mem_array(view->set_count + 1, sizeof(*sets));
    struct chain_history history;
    struct chain_intervals all;
    bool found = false;
    if (view->set_count)
        memcpy(sets, view->sets, view->set_count * sizeof(*sets));
    sets[view->set_count] = *log;
    chain_history_init(&history, sets, view->set_count + 1);
    const struct chain_interval_input input = {.history = &history};
    chain_intervals_build(&input, &all);
    for (size_t i = 0; i < all.count && !found; i++)
        found = guid_eq(&all.intervals[i].path.fork, &log->last_fork) && lsn_cmp(all.intervals[i].until_lsn, log->last_lsn) >= 0;
    chain_intervals_done(&all);
    chain_history_done(&history);
    mem_free(sets);
    return found;
}

/*
 * It was restored, and its log was not backed up since: the next log backup begins on the fork that it came from and
 * crosses over to the one that it is on.
 */
static bool crosses_over(const struct restore_guard_view *view) {
    const struct target_db *there = view->there;
    const struct chain_server_state *s = &there->state;
    if (guid_is_zero(&there->first_fork) || lsn_is_zero(there->fork_point) ||
        lsn_cmp(s->last_log_backup_lsn, there->fork_point) > 0)
        return false;
    struct backup log = {.kind = BACKUP_LOG,
                         .family_guid = s->family_guid,
                         .database_guid = s->database_guid,
                         .first_fork = there->first_fork,
                         .last_fork = s->recovery_fork_guid,
                         .fork_point = there->fork_point,
                         .first_lsn = s->last_log_backup_lsn,
                         .last_lsn = lsn_max(s->log_end_lsn, there->fork_point),
                         .start_at = view->now,
                         .finish_at = view->now,
                         .valid_until = view->now};
    guid_random(&log.set_guid);
    return crossing_joins(view, &log);
}

static void decide_online(const struct restore_guard_view *view, const struct known *k, struct restore_guard *g) {
    static const struct chain_memory nothing;
    struct chain_server_state state = view->there->state, *s = &state;
    const struct chain_view chain = {.tip = &k->tip, .server = s, .memory = &nothing};
    struct chain_diagnosis d;
    g->evict = true;
    state.sampled_at = 0; /* the look came after the sets */
    if (!view->there->state_known || !s->online || guid_is_zero(&s->recovery_fork_guid)) {
        lose(g, RESTORE_LOSS_NOT_OPEN, false, true);
        return;
    }
    if (!guid_eq(&s->family_guid, &view->family)) {
        lose(g, RESTORE_LOSS_OTHER_DATABASE, false, true);
        return;
    }
    chain_diagnose(&chain, &d);
    bool joins = d.readable && (d.log_extends || (d.reason == CHAIN_REASON_FORKED && crosses_over(view)));
    if (s->model == CHAIN_MODEL_SIMPLE)
        lose(g, RESTORE_LOSS_SIMPLE, false, false);
    else if (!d.log_possible)
        lose(g, RESTORE_LOSS_PSEUDO_SIMPLE, false, true);
    else if (joins && other_server(view))
        lose(g, RESTORE_LOSS_OTHER_SERVER, false, true);
    else if (joins)
        g->over = RESTORE_OVER_TAIL, g->tail = true;
    else if (d.reason == CHAIN_REASON_VOLUME_REVERTED)
        lose(g, RESTORE_LOSS_OTHER_FORK, false, true); /* its LSNs were used already: its tail would spoil the chain */
    else if (!guid_eq(&s->recovery_fork_guid, &k->tip.path.fork))
        lose(g, RESTORE_LOSS_OTHER_FORK, !other_server(view), true);
    else
        lose(g, RESTORE_LOSS_NEWER, !other_server(view), true);
}

static bool refused(const struct restore_guard_view *view, struct restore_guard *g) {
    const struct sql_database *db = &view->there->info;
    const char *why = db->system                   ? "is a system database"
                      : db->in_group               ? "is in an availability group: remove it from the group first"
                      : db->snapshot               ? "is a database snapshot"
                      : view->there->has_snapshots ? "has database snapshots: drop them first"
                      : db->state == SQL_DB_RECOVERING || db->state == SQL_DB_COPYING
                          ? "is being recovered or copied: wait for that"
                      : db->state == SQL_DB_OFFLINE_SECONDARY ? "is a secondary of another server"
                                                              : NULL;
    if (!why)
        return false;
    g->over = RESTORE_OVER_REFUSED;
    str_format(g->text, sizeof(g->text), "database '%s' %s", db->name, why);
    return true;
}

static void decide_there(const struct restore_guard_view *view, const struct known *k, struct restore_guard *g) {
    const struct target_db *there = view->there;
    if (there->info.standby) {
        decide_restored(view, k, RESTORE_LOSS_STANDBY, g);
        return;
    }
    switch (there->info.state) {
    case SQL_DB_ONLINE:
        decide_online(view, k, g);
        return;
    case SQL_DB_RESTORING:
        decide_restored(view, k, RESTORE_LOSS_RESTORING, g);
        return;
    case SQL_DB_SUSPECT:
    case SQL_DB_RECOVERY_PENDING:
        decide_damaged(there, g);
        return;
    default:
        lose(g, RESTORE_LOSS_NOT_OPEN, false, true);
        g->evict = there->info.state == SQL_DB_EMERGENCY;
    }
}

void restore_guard_decide(const struct restore_guard_view *view, struct restore_guard *ret_guard) {
    struct restore_guard g = {.over = RESTORE_OVER_NOTHING};
    if (view->there && view->ours) {
        g.over = RESTORE_OVER_OURS;
        str_format(g.text, sizeof(g.text), "database '%s' was begun by this restore, which goes on", view->database);
    } else if (view->there && !refused(view, &g)) {
        struct known k;
        known_init(&k, view, &view->there->state.recovery_fork_guid);
        decide_there(view, &k, &g);
        if (g.loss != RESTORE_LOSS_OTHER_DATABASE && k.window.any)
            g.kept_until_at = k.window.latest_at;
        known_done(&k);
        guard_say(view, &g);
        if (g.over == RESTORE_OVER_TOKEN)
            guard_token(view, &g, g.loss, 0, g.token);
        if (g.over == RESTORE_OVER_TAIL)
            guard_token(view, &g, RESTORE_LOSS_TAIL_FAILED, 0, g.tail_token);
    }
    *ret_guard = g;
}

/* --- permission ------------------------------------------------------------------------------------------------ */

int restore_guard_allow(const struct restore_guard_view *view, const struct restore_guard *g, const char *tokens,
                        struct err *err) {
    switch (g->over) {
    case RESTORE_OVER_REFUSED:
        return err_set(err, ERR_STATE, "%s", g->text);
    case RESTORE_OVER_TOKEN:
        if (guard_quoted(view, g, g->loss, tokens))
            return 0;
        if (tokens && tokens[0]) {
            (void)err_set(err, ERR_CONFLICT, "the token does not acknowledge what would be lost now: %s", g->text);
            return err_hint(err, "Something changed since it was printed, or that was before yesterday: run the dry run again");
        }
        (void)err_set(err, ERR_DATA_LOSS, "%s", g->text);
        return err_hint(err, "Restore under a new name, or quote the token that the dry run prints to acknowledge the loss");
    default:
        return 0;
    }
}

int restore_guard_no_tail(const struct restore_guard_view *view, struct restore_guard *g, const char *tokens,
                          const struct err *why, struct err *err) {
    bool acknowledged = g->over == RESTORE_OVER_TOKEN || guard_quoted(view, g, RESTORE_LOSS_TAIL_FAILED, tokens);
    if (!acknowledged) {
        char until[CLOCK_TEXT_MAX];
        (void)err_set(err, ERR_DATA_LOSS, "the tail of the log of '%s' does not save what was committed after %s: %s",
                      view->database, g->kept_until_at ? clock_format(until, g->kept_until_at) : "its newest backup", why->text);
        err->sql_number = why->sql_number;
        if (!g->tail_token[0]) /* a process before this one decided */
            return err_hint(err, "RESTORE DATABASE ... WITH RECOVERY opens it again; a new restore says what can be done");
        return err_hint(err, "To restore all the same, acknowledge the loss with the token %s", g->tail_token);
    }
    lose(g, g->over == RESTORE_OVER_TOKEN ? g->loss : RESTORE_LOSS_TAIL_FAILED, false, true);
    return 0;
}

int restore_guard_tail_joins(const struct restore_guard_view *view, const struct backup *tail, struct err *err) {
    struct known k;
    char last[LSN_TEXT_MAX], first[LSN_TEXT_MAX];
    bool family = guid_eq(&tail->family_guid, &view->family);
    known_init(&k, view, &tail->last_fork);
    struct lsn reached = k.window.latest_lsn;
    bool joins = family;
    if (backup_crosses_fork(tail)) {
        joins = joins && crossing_joins(view, tail);
    } else {
        chain_tip_add(&k.tip, tail);
        chain_tip_window(&k.tip, 0, &k.window);
        joins = joins && k.window.any && !k.window.broken && lsn_cmp(k.window.until_lsn, tail->last_lsn) >= 0;
    }
    known_done(&k);
    if (joins)
        return 0;
    if (!family)
        return err_set(err, ERR_DATA_LOSS, "the tail of '%s' is of another database than the backups", view->database);
    return err_set(
        err, ERR_DATA_LOSS,
        "the tail of '%s' begins at LSN %s, but the store reaches only LSN %s: a log backup between is missing, or it is on "
        "another recovery fork",
        view->database, lsn_format(first, tail->first_lsn), lsn_format(last, reached));
}
