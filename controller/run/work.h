/* SPDX-License-Identifier: Apache-2.0 */
/* One key that is being worked on. */
#ifndef MSSQL_CONTROLLER_RUN_WORK_H
#define MSSQL_CONTROLLER_RUN_WORK_H

#include "controller/run/run_int.h"

struct work {
    struct run *run;
    char *key; /* the queue's stays valid until the end as well; this one also for waiters */
    enum world_kind kind;
    json_t *object; /* what was decided on */
    struct actions actions;
    size_t next; /* action */
    bool failed;
    struct err err; /* of the first that failed */
    struct kube_call *call;
    int64_t begun_us;
    bool urgent;
    struct work *later, **at; /* list of the run */
};

#endif
