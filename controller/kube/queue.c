/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/kube/queue.h"

#include <string.h>

#include "common/base/mem.h"
#include "controller/kube/backoff.h"
#include "controller/kube/map.h"

struct item {
    char *key;
    int64_t due_us;
    uint64_t order; /* of those due at the same time */
    size_t place; /* in the heap, when it waits */
    unsigned failures;
    bool in_flight, again; /* again: added while in flight, due_us says when */
};

struct kube_queue {
    struct kube_queue_options options;
    struct kube_map items;
    struct item **heap; /* those that wait, the first due at the top */
    size_t count, cap;
    unsigned in_flight;
    uint64_t order, added, retried;
};

struct kube_queue *kube_queue_new(const struct kube_queue_options *options) {
    struct kube_queue *queue = mem_alloc(sizeof(*queue));
    queue->options = *options;
    if (!options->first_ms)
        queue->options.first_ms = 500;
    if (!options->max_ms)
        queue->options.max_ms = 5 * 60 * 1000;
    if (!options->in_flight_max)
        queue->options.in_flight_max = 16;
    if (!options->random)
        queue->options.random = kube_random;
    kube_map_init(&queue->items);
    return queue;
}

static void item_free(struct item *item) {
    mem_free(item->key);
    mem_free(item);
}

void kube_queue_free(struct kube_queue *queue) {
    if (!queue)
        return;
    void **all = kube_map_values(&queue->items);
    for (size_t i = 0; i < queue->items.count; i++)
        item_free(all[i]);
    mem_free(all);
    kube_map_done(&queue->items);
    mem_free(queue->heap);
    mem_free(queue);
}

static bool before(const struct item *a, const struct item *b) {
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->order < b->order;
}

static void place(struct kube_queue *queue, struct item *item, size_t at) {
    queue->heap[at] = item;
    item->place = at;
}

static void move_up(struct kube_queue *queue, struct item *item) {
    size_t at = item->place;
    for (; at && before(item, queue->heap[(at - 1) / 2]); at = (at - 1) / 2)
        place(queue, queue->heap[(at - 1) / 2], at);
    place(queue, item, at);
}

static void move_down(struct kube_queue *queue, struct item *item) {
    size_t at = item->place;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < queue->count && before(queue->heap[child + 1], queue->heap[child]))
            child++;
        if (child >= queue->count || !before(queue->heap[child], item))
            break;
        place(queue, queue->heap[child], at);
        at = child;
    }
    place(queue, item, at);
}

static void push(struct kube_queue *queue, struct item *item, int64_t due_us) {
    item->due_us = due_us;
    item->order = ++queue->order;
    queue->heap = mem_grow(queue->heap, &queue->cap, queue->count + 1, sizeof(struct item *));
    place(queue, item, queue->count++);
    move_up(queue, item);
}

static struct item *pop(struct kube_queue *queue) {
    struct item *first = queue->heap[0], *last = queue->heap[--queue->count];
    if (queue->count) {
        place(queue, last, 0);
        move_down(queue, last);
    }
    return first;
}

void kube_queue_add(struct kube_queue *queue, const char *key, int64_t at_us) {
    struct item *item = kube_map_get(&queue->items, key);
    queue->added++;
    if (!item) {
        item = mem_alloc(sizeof(*item));
        item->key = mem_strdup(key);
        kube_map_put(&queue->items, key, item);
        push(queue, item, at_us);
    } else if (item->in_flight) {
        if (!item->again || at_us < item->due_us)
            item->due_us = at_us;
        item->again = true;
    } else if (at_us < item->due_us) {
        item->due_us = at_us;
        move_up(queue, item);
    }
}

bool kube_queue_take(struct kube_queue *queue, int64_t now_us, const char **ret_key) {
    if (!queue->count || queue->heap[0]->due_us > now_us || queue->in_flight >= queue->options.in_flight_max)
        return false;
    struct item *item = pop(queue);
    item->in_flight = true;
    item->again = false;
    queue->in_flight++;
    *ret_key = item->key;
    return true;
}

void kube_queue_end(struct kube_queue *queue, const char *key, bool failed, int64_t now_us) {
    struct item *item = kube_map_get(&queue->items, key);
    if (!item || !item->in_flight)
        return;
    item->in_flight = false;
    queue->in_flight--;
    item->failures = failed ? item->failures + 1 : 0;
    if (failed) {
        int64_t wait_ms = kube_backoff_ms(item->failures, queue->options.first_ms, queue->options.max_ms,
                                          queue->options.random());
        queue->retried++;
        /* What came meanwhile does not shorten the wait: it is often the work's own write of a status. */
        push(queue, item, now_us + wait_ms * 1000);
    } else if (item->again)
        push(queue, item, item->due_us);
    else {
        kube_map_remove(&queue->items, item->key);
        item_free(item);
    }
}

int64_t kube_queue_next_us(const struct kube_queue *queue) {
    bool full = queue->in_flight >= queue->options.in_flight_max;
    return queue->count && !full ? queue->heap[0]->due_us : INT64_MAX;
}

void kube_queue_get_stats(const struct kube_queue *queue, int64_t now_us, struct kube_queue_stats *ret_stats) {
    struct kube_queue_stats stats = {.in_flight = queue->in_flight, .added = queue->added, .retried = queue->retried};
    for (size_t i = 0; i < queue->count; i++) {
        if (queue->heap[i]->due_us <= now_us)
            stats.due++;
        else
            stats.waiting++;
    }
    if (stats.due)
        stats.oldest_us = now_us - queue->heap[0]->due_us;
    *ret_stats = stats;
}
