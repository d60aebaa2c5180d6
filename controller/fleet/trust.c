/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/fleet/trust.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/net/jwt.h"
#include "common/net/tls.h"

#define AGAIN_US (10 * CLOCK_SECOND)
#define OLD_US CLOCK_HOUR
#define WAITING_MAX 20000
#define KEYS_BYTES_MAX (1u << 20)

typedef void done_fn(void *arg, const struct fleet_bearer *bearer, const struct err *err);

struct waiting {
    struct waiting *next;
    char *token;
    bool pod;
    done_fn *done;
    void *arg;
};

struct issuer {
    struct trust *trust;
    char *name, *audience, *file;
    void (*fetch)(void *user, void (*done)(void *arg, const char *text, size_t len, const struct err *err), void *arg);
    void *user;
    struct jwks *keys; /* NULL: never read */
    int64_t asked_us; /* monotonic, of the last attempt; 0 = none */
    int64_t read_us; /* of the last success */
    uint64_t stamp; /* of the file */
    bool fetching;
    struct waiting *first, *last;
    unsigned waiting;
};

struct trust {
    struct issuer *issuers;
    size_t count;
    int64_t skew_us;
};

struct trust *trust_new(const struct trust_issuer *issuers, size_t count, int64_t skew_us) {
    struct trust *t = mem_alloc(sizeof(*t));
    t->issuers = mem_array(count + 1, sizeof(*t->issuers));
    t->count = count;
    t->skew_us = skew_us;
    for (size_t i = 0; i < count; i++)
        t->issuers[i] = (struct issuer){
            .trust = t,
            .name = mem_strdup(issuers[i].issuer),
            .audience = mem_strdup(issuers[i].audience),
            .file = issuers[i].jwks_file ? mem_strdup(issuers[i].jwks_file) : NULL,
            .fetch = issuers[i].fetch,
            .user = issuers[i].user,
        };
    return t;
}

static void refuse_all(struct issuer *is, const struct err *err) {
    while (is->first) {
        struct waiting *w = is->first;
        is->first = w->next;
        w->done(w->arg, NULL, err);
        mem_free(w->token);
        mem_free(w);
    }
    is->last = NULL;
    is->waiting = 0;
}

void trust_free(struct trust *t) {
    if (!t)
        return;
    struct err err;
    err_set(&err, ERR_CANCELLED, "the controller stops");
    for (size_t i = 0; i < t->count; i++) {
        struct issuer *is = &t->issuers[i];
        refuse_all(is, &err);
        jwks_free(is->keys);
        mem_free(is->name);
        mem_free(is->audience);
        mem_free(is->file);
    }
    mem_free(t->issuers);
    mem_free(t);
}

/* ---- keys ---- */

static int take_keys(struct issuer *is, const char *text, size_t len, struct err *err) {
    struct jwks *keys;
    if (jwks_parse(text, len, &keys, err) < 0)
        return err_context(err, "keys of the issuer '%s'", is->name);
    jwks_free(is->keys);
    is->keys = keys;
    is->read_us = clock_mono_us();
    return 0;
}

static int read_file(struct issuer *is, struct err *err) {
    struct tls_files files = {.ca = is->file};
    uint64_t stamp = tls_files_stamp(&files);
    char *text;
    size_t len;
    if (is->keys && stamp && stamp == is->stamp)
        return 0;
    if (file_read_all(is->file, KEYS_BYTES_MAX, &text, &len, err) < 0)
        return err_context(err, "keys of the issuer '%s'", is->name);
    int rc = take_keys(is, text, len, err);
    if (rc == 0)
        is->stamp = stamp;
    mem_free(text);
    return rc;
}

/* With the keys that there are. ERR_NOT_FOUND: they are not enough. */
static int check_now(const struct issuer *is, const char *token, bool pod, struct jwt *jwt, struct err *err) {
    struct jwt_rules rules = {.issuer = is->name, .audience = is->audience, .skew_us = is->trust->skew_us, .pod = pod};
    if (jwt_parse(token, jwt, err) < 0)
        return -1;
    int rc = is->keys ? jwks_verify(is->keys, jwt, err) : err_set(err, ERR_NOT_FOUND, "no keys yet");
    if (rc == 0)
        rc = jwt_check(jwt, &rules, clock_wall(), err);
    if (rc < 0)
        jwt_done(jwt);
    return rc;
}

static void answer(const struct issuer *is, const char *token, bool pod, done_fn *done, void *arg) {
    struct jwt jwt;
    struct err err;
    if (check_now(is, token, pod, &jwt, &err) < 0) {
        if (!is->keys)
            err_set(&err, ERR_CONNECT, "the keys of the issuer '%s' could not be read yet", is->name);
        else if (err.class == ERR_NOT_FOUND)
            err_set(&err, ERR_AUTH, "token is signed with a key that the issuer '%s' does not have", is->name);
        done(arg, NULL, &err);
        return;
    }
    struct fleet_bearer bearer = {.issuer = is->name,
                                  .namespace_name = jwt.namespace_name,
                                  .service_account = jwt.service_account,
                                  .pod = jwt.pod,
                                  .pod_uid = jwt.pod_uid,
                                  .until_at = jwt.exp_at};
    err_clear(&err);
    done(arg, &bearer, &err);
    jwt_done(&jwt);
}

static void fetched(void *arg, const char *text, size_t len, const struct err *why) {
    struct issuer *is = arg;
    struct err err = *why;
    is->fetching = false;
    bool good = text && take_keys(is, text, len, &err) == 0;
    if (!good && !is->keys) {
        err_context(&err, "the keys of the issuer '%s' cannot be read", is->name);
        refuse_all(is, &err);
        return;
    }
    while (is->first) { /* the old keys are better than none */
        struct waiting *w = is->first;
        is->first = w->next;
        is->last = is->first ? is->last : NULL;
        is->waiting--;
        answer(is, w->token, w->pod, w->done, w->arg);
        mem_free(w->token);
        mem_free(w);
    }
}

/* ---- checks ---- */

static struct issuer *issuer_of(struct trust *t, const char *token, struct err *err) {
    struct jwt jwt;
    struct issuer *found = NULL;
    if (jwt_parse(token, &jwt, err) < 0)
        return NULL;
    for (size_t i = 0; i < t->count && !found; i++)
        if (!strcmp(t->issuers[i].name, jwt.issuer))
            found = &t->issuers[i];
    if (!found)
        err_set(err, ERR_AUTH, "nobody here believes the issuer '%.200s'", jwt.issuer);
    jwt_done(&jwt);
    return found;
}

/* Would reading the keys help this token, and is it time to? */
static bool want_keys(struct issuer *is, const char *token) {
    int64_t us = clock_mono_us();
    struct jwt jwt;
    if (!is->keys)
        return is->fetching || !is->asked_us || us - is->asked_us >= AGAIN_US / 10;
    if (us - is->read_us > OLD_US && us - is->asked_us >= AGAIN_US)
        return true;
    struct err err;
    if (jwt_parse(token, &jwt, &err) < 0)
        return false;
    bool unknown = !jwks_has(is->keys, jwt.kid);
    jwt_done(&jwt);
    return unknown && (is->fetching || us - is->asked_us >= AGAIN_US);
}

static void wait_for_keys(struct issuer *is, const char *token, bool pod, done_fn *done, void *arg) {
    struct waiting *w = mem_alloc(sizeof(*w));
    *w = (struct waiting){.token = mem_strdup(token), .pod = pod, .done = done, .arg = arg};
    *(is->last ? &is->last->next : &is->first) = w;
    is->last = w;
    is->waiting++;
    if (is->fetching)
        return;
    is->fetching = true;
    is->asked_us = clock_mono_us();
    is->fetch(is->user, fetched, is);
}

static void check(struct trust *t, const char *token, bool pod, done_fn *done, void *arg) {
    struct err err = {0};
    struct issuer *is = issuer_of(t, token, &err);
    if (!is) {
        done(arg, NULL, &err);
    } else if (is->file) {
        if (read_file(is, &err) < 0 && !is->keys)
            done(arg, NULL, &err);
        else
            answer(is, token, pod, done, arg);
    } else if (want_keys(is, token)) {
        if (is->waiting < WAITING_MAX) {
            wait_for_keys(is, token, pod, done, arg);
            return;
        }
        err_set(&err, ERR_BUSY, "too many callers wait for the keys of the issuer '%s'", is->name);
        done(arg, NULL, &err);
    } else {
        answer(is, token, pod, done, arg);
    }
}

void trust_check(void *user, const char *token, done_fn *done, void *arg) {
    check(user, token, true, done, arg);
}

void trust_check_caller(void *user, const char *token, done_fn *done, void *arg) {
    check(user, token, false, done, arg);
}
