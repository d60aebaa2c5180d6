/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/leave.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/base/log.h"

static int64_t patience_ms; /* written before the thread begins */

static void *watch(void *arg) {
    (void)arg;
    const struct timespec pause = {.tv_sec = patience_ms / 1000, .tv_nsec = patience_ms % 1000 * 1000000};
    struct err err;
    clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL); /* signals belong to the loop */
    err_set(&err, ERR_TIMEOUT, "work does not end: a volume that does not answer? It is left as after a crash");
    log_error(LOG_ERROR, &err, "stopping by force", NULL);
    _exit(err_class_exit(ERR_TIMEOUT));
}

void leave_after(int64_t ms) {
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, before;
    patience_ms = ms;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, 256 * 1024);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread, &attr, watch, NULL) != 0)
        log_event(LOG_WARN, "the end of the program is not watched", NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
}
