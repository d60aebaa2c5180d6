/* SPDX-License-Identifier: Apache-2.0 */
/* The ticket as it is now, on its way to the disk beside what the run does. A thread of its own: a dry run takes its time. */
#include "common/base/log.h"
#include "common/base/mem.h"
#include "sidecar/restore/runs_int.h"

struct save {
    struct pool_item item;
    struct run *run;
    struct ticket ticket;
    struct err err;
    void (*fn)(void *user, struct run *run, const struct err *err);
    void *user;
};

void run_ticket_copy(struct run *run, struct ticket *ret_ticket) {
    run->ticket.version++;
    ticket_copy(ret_ticket, &run->ticket);
}

static void save_work(struct pool_item *item) {
    struct save *s = container_of(item, struct save, item);
    if (ticket_file_save(&s->run->file, &s->ticket, s->run->agent->config->paths.state, &s->err) < 0)
        log_error(LOG_ERROR, &s->err, "the ticket of a restore could not be written", "restore", s->ticket.id, NULL);
}

static void save_done(struct pool_item *item) {
    struct save *s = container_of(item, struct save, item);
    s->run->saving--;
    if (s->fn)
        s->fn(s->user, s->run, &s->err); /* may free the run */
    ticket_done(&s->ticket);
    mem_free(s);
}

static struct save *save_new(struct run *run, void (*fn)(void *user, struct run *run, const struct err *err), void *user) {
    struct save *s = mem_alloc(sizeof(*s));
    s->item = (struct pool_item){.work = save_work, .done = save_done};
    s->run = run;
    s->fn = fn;
    s->user = user;
    err_clear(&s->err);
    run_ticket_copy(run, &s->ticket);
    run->saving++;
    return s;
}

bool run_save_later(struct run *run, void (*fn)(void *user, struct run *run, const struct err *err), void *user) {
    struct save *s = save_new(run, fn, user);
    if (restores_submit(run->agent, RESTORES_SAVE, &s->item))
        return true;
    run->saving--;
    ticket_done(&s->ticket);
    mem_free(s);
    return false;
}

void run_save(struct run *run, void (*fn)(void *user, struct run *run, const struct err *err), void *user) {
    struct save *s = save_new(run, fn, user);
    if (restores_submit(run->agent, RESTORES_SAVE, &s->item))
        return;
    save_work(&s->item); /* the queue is full of other small writes: this one is worth the wait */
    save_done(&s->item);
}
