/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/str.h"

struct list {
    struct pool_item *head, **tail;
};

struct pool {
    char name[16];
    unsigned threads, queue_max;
    void (*wake)(void *user);
    void *user;
    pthread_t *ids;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct list queue, finished; /* under lock */
    unsigned queued, pending; /* under lock */
    bool stopping; /* under lock */
};

static void list_init(struct list *l) {
    l->head = NULL;
    l->tail = &l->head;
}

static void list_push(struct list *l, struct pool_item *item) {
    item->next = NULL;
    *l->tail = item;
    l->tail = &item->next;
}

static struct pool_item *list_pop(struct list *l) {
    struct pool_item *item = l->head;
    l->head = item->next;
    if (!l->head)
        l->tail = &l->head;
    return item;
}

static void *worker(void *arg) {
    struct pool *pool = arg;
    pthread_setname_np(pthread_self(), pool->name);
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (!pool->queue.head && !pool->stopping)
            pthread_cond_wait(&pool->more, &pool->lock);
        if (!pool->queue.head)
            break;
        struct pool_item *item = list_pop(&pool->queue);
        pool->queued--;
        pthread_mutex_unlock(&pool->lock);
        item->work(item);
        pthread_mutex_lock(&pool->lock);
        bool first = !pool->finished.head;
        list_push(&pool->finished, item);
        if (first && pool->wake)
            pool->wake(pool->user);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

struct pool *pool_new(const char *name, unsigned threads, unsigned queue_max, void (*wake)(void *user), void *user) {
    struct pool *pool = mem_alloc(sizeof(*pool));
    str_copy(pool->name, sizeof(pool->name), name);
    pool->threads = threads;
    pool->queue_max = queue_max;
    pool->wake = wake;
    pool->user = user;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->more, NULL);
    list_init(&pool->queue);
    list_init(&pool->finished);
    pool->ids = mem_array(threads, sizeof(*pool->ids));
    /* signals belong to the loop thread */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (unsigned i = 0; i < threads; i++)
        if (pthread_create(&pool->ids[i], NULL, worker, pool))
            abort();
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pool;
}

bool pool_submit(struct pool *pool, struct pool_item *item) {
    pthread_mutex_lock(&pool->lock);
    bool ok = !pool->stopping && pool->queued < pool->queue_max;
    if (ok) {
        list_push(&pool->queue, item);
        pool->queued++;
        pool->pending++;
        pthread_cond_signal(&pool->more);
    }
    pthread_mutex_unlock(&pool->lock);
    return ok;
}

unsigned pool_collect(struct pool *pool) {
    pthread_mutex_lock(&pool->lock);
    struct pool_item *item = pool->finished.head;
    list_init(&pool->finished);
    unsigned count = 0;
    for (struct pool_item *i = item; i; i = i->next)
        count++;
    pool->pending -= count;
    pthread_mutex_unlock(&pool->lock);
    while (item) {
        struct pool_item *next = item->next;
        item->done(item);
        item = next;
    }
    return count;
}

unsigned pool_pending(struct pool *pool) {
    pthread_mutex_lock(&pool->lock);
    unsigned n = pool->pending;
    pthread_mutex_unlock(&pool->lock);
    return n;
}

void pool_free(struct pool *pool) {
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->more);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->threads; i++)
        pthread_join(pool->ids[i], NULL);
    pool_collect(pool);
    pthread_cond_destroy(&pool->more);
    pthread_mutex_destroy(&pool->lock);
    mem_free(pool->ids);
    mem_free(pool);
}
