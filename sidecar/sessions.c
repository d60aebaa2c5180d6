/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/sessions.h"

#include <pthread.h>

#include "common/base/mem.h"

#define IDLE_LIMIT 16

struct sessions {
    pthread_mutex_t lock;
    char *host, *user, *admin_user, *ca_file;
    uint16_t port;
    struct secret *password, *admin_password; /* under lock */
    enum sql_encryption encryption;
    bool check_hostname;
    unsigned login_timeout_s, idle_max;
    struct sql_session *idle[IDLE_LIMIT]; /* under lock */
    unsigned idle_count;
};

static char *dup_or_null(const char *s) {
    return s ? mem_strdup(s) : NULL;
}

struct sessions *sessions_new(const struct sessions_options *o) {
    struct sessions *s = mem_alloc(sizeof(*s));
    pthread_mutex_init(&s->lock, NULL);
    s->host = mem_strdup(o->host);
    s->user = mem_strdup(o->user);
    s->admin_user = dup_or_null(o->admin_user);
    s->ca_file = dup_or_null(o->ca_file);
    s->port = o->port;
    s->password = secret_dup(o->password);
    s->admin_password = secret_dup(o->admin_password);
    s->encryption = o->encryption;
    s->check_hostname = o->check_hostname;
    s->login_timeout_s = o->login_timeout_s;
    s->idle_max = o->idle_max < IDLE_LIMIT ? o->idle_max : IDLE_LIMIT;
    return s;
}

void sessions_close_idle(struct sessions *sessions) {
    struct sql_session *close[IDLE_LIMIT];
    pthread_mutex_lock(&sessions->lock);
    unsigned n = sessions->idle_count;
    for (unsigned i = 0; i < n; i++)
        close[i] = sessions->idle[i];
    sessions->idle_count = 0;
    pthread_mutex_unlock(&sessions->lock);
    for (unsigned i = 0; i < n; i++)
        sql_session_close(close[i]);
}

void sessions_free(struct sessions *sessions) {
    if (!sessions)
        return;
    sessions_close_idle(sessions);
    pthread_mutex_destroy(&sessions->lock);
    secret_free(sessions->password);
    secret_free(sessions->admin_password);
    mem_free(sessions->host);
    mem_free(sessions->user);
    mem_free(sessions->admin_user);
    mem_free(sessions->ca_file);
    mem_free(sessions);
}

void sessions_set_passwords(struct sessions *sessions, const struct secret *password, const struct secret *admin_password) {
    pthread_mutex_lock(&sessions->lock);
    secret_free(sessions->password);
    secret_free(sessions->admin_password);
    sessions->password = secret_dup(password);
    sessions->admin_password = secret_dup(admin_password);
    pthread_mutex_unlock(&sessions->lock);
    sessions_close_idle(sessions);
}

void sessions_params(struct sessions *s, enum sessions_login login, struct sql_params *ret_params) {
    bool admin = login == SESSIONS_ADMIN;
    *ret_params = (struct sql_params){
        .host = s->host,
        .port = s->port,
        .user = admin ? s->admin_user : s->user,
        .password = admin ? s->admin_password : s->password,
        .encryption = s->encryption,
        .ca_file = s->ca_file,
        .check_hostname = s->check_hostname,
        .login_timeout_s = s->login_timeout_s,
    };
}

struct secret *sessions_password(struct sessions *sessions) {
    pthread_mutex_lock(&sessions->lock);
    struct secret *copy = secret_dup(sessions->password);
    pthread_mutex_unlock(&sessions->lock);
    return copy;
}

static struct sql_session *take_idle(struct sessions *s) {
    struct sql_session *found = NULL;
    pthread_mutex_lock(&s->lock);
    if (s->idle_count)
        found = s->idle[--s->idle_count];
    pthread_mutex_unlock(&s->lock);
    return found;
}

int sessions_take(struct sessions *sessions, enum sessions_login login, struct sql_session **ret_session, struct err *err) {
    if (login == SESSIONS_ADMIN && !sessions->admin_user)
        return err_set(err, ERR_CONFIG, "no administrator's login is configured (sql.adminUser)");
    struct sql_session *s;
    while (login == SESSIONS_DAEMON && (s = take_idle(sessions))) {
        if (sql_session_alive(s)) {
            *ret_session = s;
            return 0;
        }
        sql_session_close(s);
    }
    /* the login may take long: with a copy of the password, not under the lock */
    struct sql_params params;
    sessions_params(sessions, login, &params);
    pthread_mutex_lock(&sessions->lock);
    struct secret *password = secret_dup(login == SESSIONS_ADMIN ? sessions->admin_password : sessions->password);
    pthread_mutex_unlock(&sessions->lock);
    params.password = password;
    int rc = sql_session_open(&params, ret_session, err);
    secret_free(password);
    return rc;
}

void sessions_give(struct sessions *sessions, enum sessions_login login, struct sql_session *session) {
    if (!session)
        return;
    bool kept = false;
    if (login == SESSIONS_DAEMON && sql_session_alive(session)) {
        pthread_mutex_lock(&sessions->lock);
        kept = sessions->idle_count < sessions->idle_max;
        if (kept)
            sessions->idle[sessions->idle_count++] = session;
        pthread_mutex_unlock(&sessions->lock);
    }
    if (!kept)
        sql_session_close(session);
}

bool sessions_has_admin(struct sessions *sessions) {
    return sessions->admin_user != NULL;
}
