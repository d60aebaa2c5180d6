/* SPDX-License-Identifier: Apache-2.0 */
/* Callers of the service Fleet by a list of service accounts: for controllers without the right to ask the API server. */
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "controller/fleet/trust.h"

struct callers {
    struct trust *trust;
    char **entries;
    size_t count;
};

struct question {
    const struct callers *callers;
    void (*done)(void *arg, const struct err *err);
    void *arg;
};

struct callers *callers_new(struct trust *trust, const char *const *entries, size_t count) {
    struct callers *c = mem_alloc(sizeof(*c));
    c->trust = trust;
    c->count = count;
    c->entries = mem_array(count + 1, sizeof(*c->entries));
    for (size_t i = 0; i < count; i++)
        c->entries[i] = mem_strdup(entries[i]);
    return c;
}

void callers_free(struct callers *c) {
    if (!c)
        return;
    for (size_t i = 0; i < c->count; i++)
        mem_free(c->entries[i]);
    mem_free(c->entries);
    mem_free(c);
}

static void checked(void *arg, const struct fleet_bearer *bearer, const struct err *why) {
    struct question *q = arg;
    struct err err = *why;
    if (bearer) {
        _cleanup_free_ char *name = mem_printf("%s/%s", bearer->namespace_name, bearer->service_account);
        bool listed = false;
        for (size_t i = 0; i < q->callers->count && !listed; i++)
            listed = !strcmp(q->callers->entries[i], name);
        if (!listed)
            err_set(&err, ERR_PERMISSION, "the service account %.300s is not in the list of callers", name);
    }
    q->done(q->arg, &err);
    mem_free(q);
}

void callers_check(void *user, const char *token, const char *verb, const char *namespace_name,
                   void (*done)(void *arg, const struct err *err), void *arg) {
    const struct callers *callers = user;
    struct question *q = mem_alloc(sizeof(*q));
    (void)verb, (void)namespace_name;
    *q = (struct question){callers, done, arg};
    trust_check_caller(callers->trust, token, checked, q);
}
