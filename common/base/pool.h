/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded pool of worker threads. work() runs on a worker and may block; done() runs on the thread that calls
 * pool_collect(), normally the event loop after `wake` was called. The owner of all state is that one thread: work() must
 * touch nothing but its own item.
 */
#ifndef MSSQL_BASE_POOL_H
#define MSSQL_BASE_POOL_H

#include <stdbool.h>
#include <stddef.h>

struct pool;

struct pool_item {
    void (*work)(struct pool_item *item);
    void (*done)(struct pool_item *item); /* may free the item */
    struct pool_item *next; /* the pool's */
};

/* `threads` workers, at most `queue_max` items waiting. wake(user) is called from a worker when results are ready; it must only
 * signal (ev_async_send). Threads get `name` (15 characters). */
struct pool *pool_new(const char *name, unsigned threads, unsigned queue_max, void (*wake)(void *user), void *user);
/* False when the queue is full or the pool is stopping; the item is untouched then. */
bool pool_submit(struct pool *pool, struct pool_item *item);
/* Runs done() of everything finished; returns how many. */
unsigned pool_collect(struct pool *pool);
/* Items submitted and not collected. */
unsigned pool_pending(struct pool *pool);
/* Refuses new items, waits for the running and queued ones, collects them, joins the threads. */
void pool_free(struct pool *pool);

#endif
