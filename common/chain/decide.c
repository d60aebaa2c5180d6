/* SPDX-License-Identifier: Apache-2.0 */
#include "common/chain/decide.h"

#include "common/base/clock.h"
#include "common/base/str.h"

struct deciding {
    const struct chain_view *view;
    const struct chain_due *due;
    const struct chain_rules *rules;
    int64_t now;
    struct chain_diagnosis d;
    bool log_big; /* the log since the last backup is over its size */
    struct chain_decision *out;
};

const char *chain_action_name(enum chain_action action) {
    static const char *const names[] = {"none", "take", "quiet"};
    return (unsigned)action < sizeof(names) / sizeof(names[0]) ? names[action] : "unknown";
}

static bool much_changed(const struct chain_server_state *s) {
    return s->allocated_pages && s->modified_pages >= s->allocated_pages - s->modified_pages;
}

static const char *kind_text(enum backup_kind kind) {
    static const char *const texts[BACKUP_KIND_COUNT] = {"full", "differential", "log"};
    return texts[kind];
}

/* What is wrong, then what happens next. */
static void decision_explain(struct deciding *x, enum chain_reason about, const char *next) {
    const struct chain_hole *hole = x->d.has_hole ? &x->d.hole : NULL;
    if (about == CHAIN_REASON_BASE_MOVED)
        hole = &x->d.moved;
    else if (about != x->d.reason)
        hole = NULL;
    chain_reason_text(x->out->text, about, hole, next);
}

static void decide_none(struct deciding *x, enum chain_reason reason, int64_t wait_until_at) {
    x->out->action = CHAIN_ACTION_NONE;
    x->out->reason = reason;
    x->out->wait_until_at = wait_until_at;
    decision_explain(x, reason, NULL);
}

static void decide_take(struct deciding *x, enum backup_kind kind, enum chain_reason reason) {
    x->out->action = CHAIN_ACTION_TAKE;
    x->out->kind = kind;
    x->out->reason = reason;
    x->out->new_incarnation = x->d.new_incarnation;
    decision_explain(x, reason, NULL);
}

static bool due_kind(const struct deciding *x, enum backup_kind *ret_kind) {
    if (x->due->full)
        *ret_kind = BACKUP_FULL;
    else if (x->due->diff)
        *ret_kind = BACKUP_DIFF;
    else if (x->due->log || x->log_big)
        *ret_kind = BACKUP_LOG;
    else
        return false;
    return true;
}

static void decide_escalated(struct deciding *x, enum backup_kind kind, enum chain_reason reason) {
    char next[128];
    decide_take(x, kind, reason);
    x->out->was_due = due_kind(x, &x->out->escalated_from);
    x->out->escalated = true;
    x->out->unplanned = !x->d.first_full;
    if (x->out->was_due)
        str_format(next, sizeof(next), "a %s backup is taken instead of the %s backup that is due", kind_text(kind),
                   kind_text(x->out->escalated_from));
    else
        str_format(next, sizeof(next), "a %s backup is taken now", kind_text(kind));
    decision_explain(x, reason, next);
}

/* Why an unplanned backup of this kind may not be taken now; NONE when it may. */
static enum chain_reason healing_refusal(const struct deciding *x, enum backup_kind kind, int64_t *ret_wait_until_at) {
    const struct chain_rules *r = x->rules;
    *ret_wait_until_at = 0;
    if (r->data_running)
        return CHAIN_REASON_RUNNING;
    if (!r->heal)
        return CHAIN_REASON_HEALING_ALERT;
    if (x->d.first_full) /* an unprotected database does not wait */
        return CHAIN_REASON_NONE;
    if (!r->window_open) {
        *ret_wait_until_at = r->window_at;
        return CHAIN_REASON_WINDOW;
    }
    if (kind == BACKUP_FULL ? !r->fulls_left : !r->diffs_left) {
        *ret_wait_until_at = r->budget_at;
        return CHAIN_REASON_BUDGET;
    }
    return CHAIN_REASON_NONE;
}

/* Healing is not allowed now: say what it would do, and when it goes on. */
static void decide_wanted(struct deciding *x, enum backup_kind kind, enum chain_reason broken, enum chain_reason refusal,
                          int64_t wait_until_at) {
    char next[256], when[CLOCK_TEXT_MAX] = "", refusal_text[CHAIN_TEXT_MAX];
    x->out->wanted = true;
    x->out->wanted_kind = kind;
    x->out->wait_until_at = wait_until_at;
    chain_reason_text(refusal_text, refusal, NULL, NULL);
    if (wait_until_at)
        clock_format(when, wait_until_at);
    str_format(next, sizeof(next), "a %s backup would heal it, but %s%s%s", kind_text(kind), refusal_text,
               wait_until_at ? "; healing goes on at " : "", when);
    decision_explain(x, broken, next);
}

/*
 * The chain needs a data backup. The cheapest kind that bridges it is taken; where that is not allowed now, a due log is
 * still taken when the server lets us: what it holds is joined by the next data backup, and the log must not grow.
 */
static void decide_heal(struct deciding *x, enum chain_reason broken) {
    enum backup_kind kind = BACKUP_FULL;
    int64_t wait_until_at;
    if (x->d.diff_heals && x->rules->diffs && !much_changed(x->view->server))
        kind = BACKUP_DIFF;
    enum chain_reason refusal = healing_refusal(x, kind, &wait_until_at);
    if (!refusal) {
        decide_escalated(x, kind, broken);
        return;
    }
    if ((x->due->log || x->log_big) && x->d.log_possible && !x->d.first_full)
        decide_take(x, BACKUP_LOG, x->due->log ? CHAIN_REASON_SCHEDULED : CHAIN_REASON_LOG_SIZE);
    else
        decide_none(x, refusal, wait_until_at);
    decide_wanted(x, kind, broken, refusal, wait_until_at);
}

static void decide_full(struct deciding *x) {
    if (x->rules->data_running)
        decide_none(x, CHAIN_REASON_RUNNING, 0);
    else
        decide_take(x, BACKUP_FULL, CHAIN_REASON_SCHEDULED);
}

/* A differential that would hold most of the database costs as much as a full and serves less. */
static void decide_much_changed(struct deciding *x) {
    int64_t wait_until_at;
    if (!healing_refusal(x, BACKUP_FULL, &wait_until_at))
        decide_escalated(x, BACKUP_FULL, CHAIN_REASON_MUCH_CHANGED);
    else
        decide_take(x, BACKUP_DIFF, CHAIN_REASON_SCHEDULED);
}

static void decide_diff(struct deciding *x) {
    if (x->view->server->full_only)
        decide_none(x, CHAIN_REASON_FULL_ONLY, 0);
    else if (x->rules->data_running)
        decide_none(x, CHAIN_REASON_RUNNING, 0);
    else if (!x->d.diff_heals)
        decide_heal(x, x->d.diff_reason);
    else if (!x->rules->diffs)
        decide_none(x, CHAIN_REASON_DIFFS_OFF, 0);
    else if (much_changed(x->view->server))
        decide_much_changed(x);
    else
        decide_take(x, BACKUP_DIFF, CHAIN_REASON_SCHEDULED);
}

/* Nothing was committed since the last log backup: its end of the log is still the end. */
static bool is_quiet(const struct deciding *x) {
    const struct chain_server_state *s = x->view->server;
    const struct lsn noted = x->view->memory->quiet_end_lsn;
    int64_t last_at = x->view->tip->last_log.finish_at;
    if (x->due->force || x->log_big || !x->d.log_extends || !last_at || !s->sampled_at || lsn_is_zero(noted) ||
        lsn_cmp(noted, s->log_end_lsn))
        return false;
    if (s->is_read_only)
        return true; /* nothing can be committed, so there is no need to look again */
    int64_t age_us = s->sampled_at - last_at;
    return age_us >= 0 && age_us < x->rules->max_quiet_us;
}

static void decide_log(struct deciding *x) {
    if (is_quiet(x)) {
        const struct chain_server_state *s = x->view->server;
        decide_none(x, s->is_read_only ? CHAIN_REASON_READ_ONLY : CHAIN_REASON_QUIET, 0);
        x->out->action = CHAIN_ACTION_QUIET;
        x->out->quiet_until_at = s->sampled_at;
        if (!s->is_read_only)
            x->out->wait_until_at = x->view->tip->last_log.finish_at + x->rules->max_quiet_us;
    } else {
        decide_take(x, BACKUP_LOG, x->due->log ? CHAIN_REASON_SCHEDULED : CHAIN_REASON_LOG_SIZE);
    }
}

/* Copy-only backups change nothing for the chain and are not changed by it. */
static void decide_copy_only(struct deciding *x) {
    if (x->due->full) {
        decide_take(x, BACKUP_FULL, CHAIN_REASON_REQUESTED);
    } else if (x->due->diff) { /* SQL Server ignores COPY_ONLY there: it would be an ordinary one */
        decide_none(x, CHAIN_REASON_KIND_UNEXPECTED, 0);
    } else if (x->due->log && x->d.log_possible) {
        decide_take(x, BACKUP_LOG, CHAIN_REASON_REQUESTED);
    } else {
        decide_none(x, x->d.reason ? x->d.reason : CHAIN_REASON_NOTHING_DUE, 0);
    }
    x->out->copy_only = x->out->action == CHAIN_ACTION_TAKE;
    x->out->new_incarnation = x->d.new_incarnation;
}

/*
 * The server tells nothing. A closed AUTO_CLOSE database is opened by the backup itself, and chain_check() sees then
 * what it was worth; of any other nobody knows, so only a full is sure to be worth its cost.
 */
static void decide_unreadable(struct deciding *x) {
    enum backup_kind kind;
    if (!x->view->server->online || !due_kind(x, &kind))
        decide_none(x, x->d.reason, 0);
    else if (kind != BACKUP_LOG && x->rules->data_running)
        decide_none(x, CHAIN_REASON_RUNNING, 0);
    else if (kind == BACKUP_FULL || (x->view->server->is_auto_close && x->view->tip->known))
        decide_take(x, kind, CHAIN_REASON_SCHEDULED);
    else
        decide_none(x, x->d.reason, x->now + CLOCK_MINUTE);
    if (x->out->action == CHAIN_ACTION_TAKE)
        x->out->copy_only = x->due->copy_only;
}

static void decide_readable(struct deciding *x) {
    bool log_due = x->due->log || x->log_big;
    if (x->due->full) {
        decide_full(x);
    } else if (x->due->diff) {
        decide_diff(x);
    } else if (x->d.first_full) {
        decide_heal(x, x->d.reason);
    } else if (x->view->server->full_only && !x->d.reason) {
        decide_none(x, log_due ? CHAIN_REASON_FULL_ONLY : CHAIN_REASON_NOTHING_DUE, 0);
    } else if (x->d.reason == CHAIN_REASON_SIMPLE) {
        decide_none(x, log_due ? CHAIN_REASON_SIMPLE : CHAIN_REASON_NOTHING_DUE, 0);
    } else if (x->d.reason) {
        decide_heal(x, x->d.reason);
    } else if (log_due) {
        decide_log(x);
    } else {
        decide_none(x, CHAIN_REASON_NOTHING_DUE, 0);
    }
}

void chain_decide(const struct chain_view *view, const struct chain_due *due, const struct chain_rules *rules, int64_t now,
                  struct chain_decision *ret_decision) {
    struct chain_decision out = {0};
    struct deciding x = {.view = view, .due = due, .rules = rules, .now = now, .out = &out};
    chain_diagnose(view, &x.d);
    x.log_big = rules->log_limit_bytes && x.d.log_extends && view->server->log_since_backup_bytes >= rules->log_limit_bytes;
    out.broken = x.d.reason;
    out.has_hole = x.d.has_hole;
    out.hole = x.d.hole;
    if (view->memory->paused)
        decide_none(&x, CHAIN_REASON_PAUSED, 0);
    else if (!x.d.readable)
        decide_unreadable(&x);
    else if (due->copy_only)
        decide_copy_only(&x);
    else
        decide_readable(&x);
    *ret_decision = out;
}
