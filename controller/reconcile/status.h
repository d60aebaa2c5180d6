/* SPDX-License-Identifier: Apache-2.0 */
/* Building the status of an object: conditions keep the time of their last change, and what did not change is not written. */
#ifndef MSSQL_RECONCILE_STATUS_H
#define MSSQL_RECONCILE_STATUS_H

#include "controller/reconcile/actions.h"

struct status {
    const struct world *world;
    const json_t *old; /* NULL = none */
    json_t *fresh;
};

enum truth { TRUTH_UNKNOWN, TRUTH_TRUE, TRUTH_FALSE };
enum truth truth_parse(const char *word);

/* With observedGeneration. Of the old status only what `keep` names (NULL-terminated, may be NULL) comes along. */
void status_begin(struct status *status, const struct world *world, const char *const *keep);
void status_phase(struct status *status, const char *phase, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
const char *status_old_phase(const struct status *status);
void status_condition(struct status *status, const char *type, enum truth truth, const char *reason, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* The condition as it was, NULL when there was none. */
const json_t *status_old_condition(const struct status *status, const char *type);
/* As it was; one that was not there becomes Unknown with `reason`. */
void status_condition_keep(struct status *status, const char *type, const char *reason, const char *message);
/* Since when the object is not finished: the time of the condition's last change, or now when it is another reason or new. */
int64_t status_since(const struct status *status, const char *type, const char *reason);
/* Gives the status to the actions when it is another one. */
void status_end(struct status *status, struct actions *actions);

/* Must the change be written at once? Figures that move all the time may wait for a minute. */
bool status_urgent(const json_t *old, const json_t *fresh);

#endif
