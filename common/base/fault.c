/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/fault.h"

#ifdef MSSQL_FAULT_POINTS

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "common/base/str.h"

enum action { ACTION_NONE, ACTION_KILL, ACTION_ENOSPC, ACTION_PAUSE };

static struct {
    char step[64];
    enum fault_when when;
    enum action action;
    int64_t at_hit; /* which time it is reached */
    int64_t hits;
    char file[256];
} plan;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int parse(char *spec, struct err *err) {
    char *save = NULL;
    char *step = strtok_r(spec, ":", &save), *when = strtok_r(NULL, ":", &save);
    char *action = strtok_r(NULL, ":", &save), *arg = strtok_r(NULL, "", &save);
    if (!step || !when || !action)
        return err_set(err, ERR_CONFIG, "MSSQL_FAULT must be <step>:<before|after>:<kill|enospc|pause>[:<n|file>]");
    str_copy(plan.step, sizeof(plan.step), step);
    plan.when = !strcmp(when, "after") ? FAULT_AFTER : FAULT_BEFORE;
    plan.at_hit = 1;
    if (!strcmp(action, "pause") && arg) {
        plan.action = ACTION_PAUSE;
        str_copy(plan.file, sizeof(plan.file), arg);
        return 0;
    }
    if (arg && !str_to_i64(arg, 1, 1000000, &plan.at_hit))
        return err_set(err, ERR_CONFIG, "MSSQL_FAULT: '%s' is not a count", arg);
    if (!strcmp(action, "kill"))
        plan.action = ACTION_KILL;
    else if (!strcmp(action, "enospc"))
        plan.action = ACTION_ENOSPC;
    else
        return err_set(err, ERR_CONFIG, "MSSQL_FAULT: unknown action '%s'", action);
    return 0;
}

int fault_init(struct err *err) {
    const char *env = getenv("MSSQL_FAULT");
    if (!env || !*env)
        return 0;
    char spec[512];
    str_copy(spec, sizeof(spec), env);
    return parse(spec, err);
}

static void pause_here(void) {
    int fd = open(plan.file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    while (access(plan.file, F_OK) == 0)
        usleep(5000);
}

int fault_point(const char *step, enum fault_when when, struct err *err) {
    if (plan.action == ACTION_NONE || plan.when != when || strcmp(plan.step, step))
        return 0;
    pthread_mutex_lock(&lock);
    bool now = ++plan.hits == plan.at_hit;
    pthread_mutex_unlock(&lock);
    if (!now)
        return 0;
    fprintf(stderr, "fault point %s\n", step);
    switch (plan.action) {
    case ACTION_KILL:
        kill(getpid(), SIGKILL);
        for (;;)
            pause();
    case ACTION_PAUSE:
        pause_here();
        return 0;
    default:
        return err_os(err, ERR_SPACE, ENOSPC, "fault point %s", step);
    }
}

#endif
