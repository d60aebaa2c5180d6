/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a run that ended early left behind: databases in the middle of a restore, and perhaps the only copy of the last log of one of
 * them. It is named in the status until somebody goes on with it, or until another restore of the same database makes it
 * pointless; with an unshipped tail it is never forgotten.
 */
#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/journal.h"
#include "sidecar/restore/runs_int.h"

void left_note(struct ticket *ticket, const struct restore_journal *journal) {
    ticket_names_clear(&ticket->left);
    ticket_names_clear(&ticket->tails);
    for (size_t i = 0; i < journal->count; i++) {
        const struct restore_entry *e = &journal->entries[i];
        if (e->outcome == RESTORE_FINISHED || e->step < RESTORE_EVICTED || e->step >= RESTORE_FINISHED)
            continue;
        ticket_names_add(&ticket->left, e->target);
        if (*e->tail_run && e->step <= RESTORE_TAIL_TAKEN) {
            _cleanup_free_ char *file = mem_printf("%s.trn", e->tail_run);
            ticket_names_add(&ticket->tails, file);
        }
    }
}

int left_read(struct ticket *ticket, const char *state_dir, struct err *err) {
    _cleanup_free_ char *folder = ticket_folder(state_dir, ticket->id);
    struct restore_journal journal;
    struct err why;
    ticket_names_clear(&ticket->left);
    ticket_names_clear(&ticket->tails);
    if (restore_journal_load(folder, ticket->id, &journal, &why) == 0) {
        left_note(ticket, &journal);
        restore_journal_done(&journal);
        return 0;
    }
    if (why.class == ERR_NOT_FOUND) /* nothing was begun, or all of it is done */
        return 0;
    for (size_t i = 0; i < ticket->targets.count; i++)
        ticket_names_add(&ticket->left, ticket->targets.items[i]);
    err_copy(err, &why);
    return -1;
}

static void take_names(struct ticket_names *to, const struct ticket_names *from) {
    ticket_names_clear(to);
    for (size_t i = 0; i < from->count; i++)
        ticket_names_add(to, from->items[i]);
}

void left_take(struct ticket *to, const struct ticket *from) {
    take_names(&to->left, &from->left);
    take_names(&to->tails, &from->tails);
}

/* The server may not have been asked yet: then it is as it was. */
static bool is_unfinished(const struct run *run, const char *database) {
    const struct database *db = databases_find(run->agent, database);
    return !run->agent->server_listed || (db && db->present && db->info.state != SQL_DB_ONLINE);
}

bool left_any(const struct run *run) {
    if (run->state != RUN_ENDED)
        return false;
    bool any = run->unreadable || run->ticket.tails.count;
    for (size_t i = 0; !any && i < run->ticket.left.count; i++)
        any = is_unfinished(run, run->ticket.left.items[i]);
    return any;
}

static bool finished(const struct run *run, const char *database) {
    const Mssql__V1__RestoreReport *r = run->report;
    for (size_t i = 0; r && i < r->n_results; i++)
        if (r->results[i]->step == MSSQL__V1__RESTORE_STEP__RESTORE_STEP_FINISHED && str_ieq(r->results[i]->database, database))
            return true;
    return false;
}

void left_supersede(struct run *by) {
    for (struct run *run = by->agent->restores->runs; run; run = run->next) {
        size_t before = run->ticket.left.count;
        if (run == by || run->state != RUN_ENDED || run->ticket.tails.count)
            continue;
        for (size_t i = before; i-- > 0;) {
            char name[SQL_NAME_MAX];
            memcpy(name, run->ticket.left.items[i], sizeof(name));
            if (finished(by, name))
                ticket_names_remove(&run->ticket.left, name);
        }
        if (run->ticket.left.count != before)
            run_save(run, NULL, NULL);
    }
}

static void name_all(struct buf *out, const struct ticket_names *names) {
    for (size_t i = 0; i < names->count; i++)
        buf_printf(out, "%s'%s'", i ? ", " : "", names->items[i]);
}

void restores_unfinished_text(const struct agent *agent, char *dst, size_t dst_bytes) {
    const struct run *run = agent->restores ? agent->restores->runs : NULL;
    while (run && !left_any(run))
        run = run->next;
    dst[0] = 0;
    if (!run)
        return;
    struct buf text;
    buf_init(&text, 1u << 20);
    buf_printf(&text, "restore %s", run->ticket.id);
    if (run->unreadable)
        buf_puts(&text, ", whose ticket cannot be read");
    if (run->ticket.left.count) {
        buf_puts(&text, " left database ");
        name_all(&text, &run->ticket.left);
    }
    if (run->ticket.tails.count) {
        buf_printf(&text, ", the last log of which is not in the store but only in %s, file ", staging_path(agent->staging));
        name_all(&text, &run->ticket.tails);
    }
    if (run->ticket.left.count)
        buf_printf(&text, ". 'mssqlctl restores resume %s' goes on", run->ticket.id);
    str_to_utf8(dst, dst_bytes, text.data);
    buf_done(&text);
}
