/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies that go by themselves. A name proves nothing: between the restore and its end somebody may have dropped the copy,
 * restored another database over it, or renamed it because it became the real one. So the identity that the restore made
 * is compared in the moment of the drop, with everybody else thrown out; anything else is left alone and said.
 */
#include <string.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "sidecar/restore/runs_int.h"

#define RETRY_LATER_US (5 * CLOCK_MINUTE)

void copies_note(struct run *run, const struct restore_report *report) {
    struct ticket *t = &run->ticket;
    int64_t now = clock_wall(), at = t->expires_at ? t->expires_at : t->expires_in_us ? now + t->expires_in_us : 0;
    for (size_t i = 0; at && i < report->count; i++) {
        const struct restore_result *r = &report->results[i];
        bool known = false;
        for (size_t k = 0; k < t->copy_count; k++)
            known |= str_ieq(t->copies[k].database, r->target);
        if (known || r->step != RESTORE_FINISHED)
            continue;
        struct ticket_copy *c = ticket_add_copy(t, r->target);
        c->database_guid = r->database_guid;
        c->recovery_fork = r->recovery_fork;
        c->expires_at = at;
        if (guid_is_zero(&c->database_guid) || guid_is_zero(&c->recovery_fork))
            str_copy(c->message, sizeof(c->message), "its identity could not be read after the restore: it is never dropped");
        if (run->report && i < run->report->n_results)
            run->report->results[i]->expires_at = at;
    }
}

/* ---- on a worker ---- */

struct drop {
    struct pool_item item;
    struct run *run;
    struct agent *agent;
    struct ticket_copy copy;
    bool gone; /* dropped, or it was not there any more */
    bool absent; /* somebody else dropped or renamed it */
    bool ours; /* of an error: it is, as far as is known; try again */
    struct err err;
};

struct found {
    bool any;
    struct guid database_guid, recovery_fork;
};

static int found_row(void *user, const struct sql_row *row, struct err *err) {
    struct found *f = user;
    const char *database = sql_row_text(row, "database_guid"), *fork = sql_row_text(row, "recovery_fork_guid");
    (void)err;
    f->any = true;
    if (!database || !guid_parse(database, &f->database_guid))
        f->database_guid = (struct guid){0};
    if (!fork || !guid_parse(fork, &f->recovery_fork))
        f->recovery_fork = (struct guid){0};
    return 0;
}

static int read_identity(struct sql_session *session, const char *name, struct found *ret_found, struct err *err) {
    struct buf text;
    buf_init(&text, SQL_TEXT_MAX);
    buf_puts(&text,
             "SELECT s.database_guid, s.recovery_fork_guid FROM sys.databases d LEFT JOIN sys.database_recovery_status s ON "
             "s.database_id = d.database_id WHERE d.name = ");
    sql_quote_text(&text, name);
    *ret_found = (struct found){0};
    int rc = sql_text_check(&text, "identity of a database", err);
    if (rc == 0)
        rc = sql_query(session, text.data, NULL, found_row, ret_found, err);
    buf_done(&text);
    return rc;
}

static int alter(struct sql_session *session, const char *before, const char *name, const char *after, struct err *err) {
    struct buf text;
    buf_init(&text, SQL_TEXT_MAX);
    buf_puts(&text, before);
    sql_quote_name(&text, name);
    buf_puts(&text, after);
    int rc = sql_text_check(&text, "drop of a copy", err);
    if (rc == 0)
        rc = sql_exec(session, text.data, NULL, err);
    buf_done(&text);
    return rc;
}

static int not_ours(struct drop *d) {
    d->ours = false;
    return err_set(&d->err, ERR_CONFLICT,
                   "the database of that name is not the copy that was restored (any more): it is left alone");
}

static bool same(const struct drop *d, const struct found *f) {
    return guid_eq(&f->database_guid, &d->copy.database_guid) && guid_eq(&f->recovery_fork, &d->copy.recovery_fork);
}

/* 1: it is the copy; 0: it is gone; -1: it is something else, or nobody can say. */
static int is_ours(struct drop *d, struct sql_session *session) {
    struct found f;
    if (read_identity(session, d->copy.database, &f, &d->err) < 0)
        return -1;
    if (!f.any)
        return 0;
    if (guid_is_zero(&f.database_guid) || guid_is_zero(&f.recovery_fork))
        return err_set(&d->err, ERR_STATE, "the database is not open: whether it is the copy cannot be said");
    return same(d, &f) ? 1 : not_ours(d);
}

static void drop_with(struct drop *d, struct sql_session *session) {
    int ours = is_ours(d, session);
    d->gone = d->absent = ours == 0;
    if (ours <= 0)
        return;
    if (alter(session, "ALTER DATABASE ", d->copy.database, " SET SINGLE_USER WITH ROLLBACK IMMEDIATE", &d->err) < 0)
        return;
    /* between the question and the statement it may have become another one */
    ours = is_ours(d, session);
    if (ours > 0 && alter(session, "DROP DATABASE ", d->copy.database, "", &d->err) == 0) {
        d->gone = true;
        return;
    }
    struct err ignored; /* the first error says more */
    if (ours != 0 && alter(session, "ALTER DATABASE ", d->copy.database, " SET MULTI_USER", &ignored) < 0)
        log_error(LOG_WARN, &ignored, "a database could not be opened to all again", "database", d->copy.database, NULL);
    d->gone = d->absent = ours == 0;
}

static void drop_work(struct pool_item *item) {
    struct drop *d = container_of(item, struct drop, item);
    struct sessions *sessions = d->agent->sessions;
    enum sessions_login login = sessions_has_admin(sessions) ? SESSIONS_ADMIN : SESSIONS_DAEMON;
    struct sql_session *session;
    d->ours = true;
    if (sessions_take(sessions, login, &session, &d->err) < 0)
        return;
    drop_with(d, session);
    sessions_give(sessions, login, session);
}

/* ---- on the loop ---- */

static struct ticket_copy *copy_of(struct run *run, const char *database) {
    for (size_t i = 0; i < run->ticket.copy_count; i++)
        if (!strcmp(run->ticket.copies[i].database, database))
            return &run->ticket.copies[i];
    return NULL;
}

static void drop_done(struct pool_item *item) {
    struct drop *d = container_of(item, struct drop, item);
    struct run *run = d->run;
    struct ticket_copy *c = copy_of(run, d->copy.database);
    run->dropping = false;
    if (c && d->gone) {
        c->dropped_at = clock_wall();
        str_copy(c->message, sizeof(c->message), d->absent ? "it was not there any more: dropped or renamed by somebody" : "");
        log_event(LOG_INFO,
                  d->absent ? "restored copy is gone: somebody dropped or renamed it"
                            : "restored copy was dropped, its time was over",
                  "restore", run->ticket.id, "database", c->database, NULL);
        discover_soon(d->agent);
    } else if (c) {
        str_copy(c->message, sizeof(c->message), d->err.text);
        log_error(LOG_WARN, &d->err, "restored copy was not dropped", "restore", run->ticket.id, "database", c->database, NULL);
        if (!d->ours)
            c->expires_at = 0; /* kept: it is somebody's */
        run->drop_us = clock_mono_us() + RETRY_LATER_US;
    }
    if (c && !atomic_load(&d->agent->stopping))
        run_save(run, NULL, NULL);
    mem_free(d);
}

void copies_tick(struct run *run, int64_t now) {
    struct agent *agent = run->agent;
    if (run->state != RUN_ENDED || run->dropping || !agent->server_reachable || run->drop_us > clock_mono_us() || agent->draining)
        return;
    for (size_t i = 0; i < run->ticket.copy_count; i++) {
        const struct ticket_copy *c = &run->ticket.copies[i];
        if (!c->expires_at || c->dropped_at || c->expires_at > now || guid_is_zero(&c->database_guid) ||
            guid_is_zero(&c->recovery_fork))
            continue;
        struct drop *d = mem_alloc(sizeof(*d));
        d->item = (struct pool_item){.work = drop_work, .done = drop_done};
        d->run = run;
        d->agent = agent;
        d->copy = *c;
        err_clear(&d->err);
        run->dropping = restores_submit(agent, RESTORES_ASK, &d->item);
        if (!run->dropping)
            mem_free(d);
        return;
    }
}

int restores_keep(struct agent *agent, struct run *run, const char *database, int64_t expires_at,
                  void (*fn)(void *user, struct run *run, const struct err *err), void *user, struct err *err) {
    bool any = false;
    if (run->state != RUN_ENDED)
        return err_set(err, ERR_STATE, "restore %s is under way: wait for its end", run->ticket.id);
    if (run->dropping)
        return err_set(err, ERR_BUSY, "a copy of restore %s is being dropped in this moment", run->ticket.id);
    if (expires_at && expires_at <= clock_wall())
        return err_set(err, ERR_USAGE, "a copy cannot go in the past");
    for (size_t i = 0; i < run->ticket.copy_count; i++) {
        struct ticket_copy *c = &run->ticket.copies[i];
        if (c->dropped_at || (*database && !str_ieq(c->database, database)))
            continue;
        c->expires_at = expires_at;
        any = true;
        log_event(LOG_INFO, expires_at ? "restored copy goes at another time" : "restored copy is kept", "restore",
                  run->ticket.id, "database", c->database, NULL);
    }
    if (!any)
        return err_set(err, ERR_NOT_FOUND, "restore %s has no copy %s%s%sthat goes by itself", run->ticket.id,
                       *database ? "'" : "", database, *database ? "' " : "");
    run_save(run, fn, user);
    scheduler_wake(agent);
    return 0;
}
