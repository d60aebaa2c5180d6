/* SPDX-License-Identifier: Apache-2.0 */
#include "common/pipe/lane.h"

#include <signal.h>
#include <sys/mman.h>

#include "common/base/mem.h"

/* Record buffers come and go with each backup. Mapped, they leave no hole in the heap of a daemon that idles afterwards. */
static uint8_t *map_buffer(size_t bytes) {
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static int map_slots(struct lane *lane, bool identity, struct err *err) {
    for (size_t i = 0; i < ARRAY_LEN(lane->slots); i++) {
        struct lane_slot *slot = &lane->slots[i];
        slot->in = map_buffer(lane->in_cap);
        slot->out = identity ? slot->in : map_buffer(lane->out_cap);
        if (!slot->in || !slot->out)
            return err_os(err, ERR_LIMIT, errno, "buffers of a record");
    }
    return 0;
}

int lane_open(struct lane *lane, struct filter *filter, bool identity, size_t in_cap, size_t out_cap, struct err *err) {
    *lane = (struct lane){.filter = filter, .in_cap = in_cap, .out_cap = out_cap};
    pthread_mutex_init(&lane->lock, NULL);
    pthread_cond_init(&lane->changed, NULL);
    if (map_slots(lane, identity, err) < 0 || (identity && hash_begin(&lane->hash, err) < 0)) {
        lane_close(lane);
        return -1;
    }
    return 0;
}

static int work_on(struct lane *lane, struct lane_slot *slot, struct err *err) {
    if (lane->hash) {
        slot->out_len = slot->in_len;
        return hash_update(lane->hash, slot->in, slot->in_len, err);
    }
    return lane->filter->ops->process(lane->filter, slot->in, slot->in_len, slot->out, lane->out_cap, &slot->out_len, err);
}

static void *worker(void *user) {
    struct lane *lane = user;
    pthread_mutex_lock(&lane->lock);
    for (;;) {
        while (!lane->job && !lane->stop)
            pthread_cond_wait(&lane->changed, &lane->lock);
        if (!lane->job)
            break;
        struct lane_slot *slot = lane->job;
        pthread_mutex_unlock(&lane->lock);
        struct err err = {0};
        int rc = work_on(lane, slot, &err);
        pthread_mutex_lock(&lane->lock);
        lane->rc = rc;
        lane->err = err;
        lane->job = NULL;
        pthread_cond_signal(&lane->changed);
    }
    pthread_mutex_unlock(&lane->lock);
    return NULL;
}

/* False when no thread is to be had: the owner then does the work. */
static bool start_worker(struct lane *lane) {
    sigset_t all, before;
    sigfillset(&all); /* signals are the event loop's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    lane->running = pthread_create(&lane->thread, NULL, worker, lane) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (lane->running)
        pthread_setname_np(lane->thread, "pipe");
    return lane->running;
}

int lane_submit(struct lane *lane, struct lane_slot *slot, bool inline_, struct err *err) {
    if (inline_ || (!lane->running && !start_worker(lane))) {
        lane->rc = work_on(lane, slot, err);
        if (lane->rc < 0)
            err_copy(&lane->err, err);
        return lane->rc;
    }
    pthread_mutex_lock(&lane->lock);
    lane->job = slot;
    pthread_cond_signal(&lane->changed);
    pthread_mutex_unlock(&lane->lock);
    return 0;
}

int lane_wait(struct lane *lane, struct err *err) {
    pthread_mutex_lock(&lane->lock);
    while (lane->job)
        pthread_cond_wait(&lane->changed, &lane->lock);
    int rc = lane->rc;
    if (rc < 0)
        err_copy(err, &lane->err);
    pthread_mutex_unlock(&lane->lock);
    return rc;
}

void lane_close(struct lane *lane) {
    if (lane->running) {
        pthread_mutex_lock(&lane->lock);
        lane->stop = true;
        pthread_cond_signal(&lane->changed);
        pthread_mutex_unlock(&lane->lock);
        pthread_join(lane->thread, NULL);
    }
    for (size_t i = 0; i < ARRAY_LEN(lane->slots); i++) {
        struct lane_slot *slot = &lane->slots[i];
        if (slot->out && slot->out != slot->in)
            munmap(slot->out, lane->out_cap);
        if (slot->in)
            munmap(slot->in, lane->in_cap);
    }
    hash_free(lane->hash);
    if (lane->filter)
        lane->filter->ops->free(lane->filter);
    pthread_mutex_destroy(&lane->lock);
    pthread_cond_destroy(&lane->changed);
    *lane = (struct lane){0};
}
