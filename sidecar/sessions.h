/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections to SQL Server, lent to workers. A few idle ones are kept, so that a log backup does not begin with a login.
 * Thread-safe.
 */
#ifndef MSSQL_SIDECAR_SESSIONS_H
#define MSSQL_SIDECAR_SESSIONS_H

#include "common/sql/session.h"

struct sessions;

enum sessions_login { SESSIONS_DAEMON, SESSIONS_ADMIN };

struct sessions_options {
    const char *host;
    uint16_t port;
    const char *user;
    const struct secret *password;
    const char *admin_user; /* NULL: no admin login */
    const struct secret *admin_password;
    enum sql_encryption encryption;
    const char *ca_file;
    bool check_hostname;
    unsigned login_timeout_s;
    unsigned idle_max;
};

/* Everything is copied. */
struct sessions *sessions_new(const struct sessions_options *options);
void sessions_free(struct sessions *sessions);
/* New passwords; idle connections with the old ones are closed. */
void sessions_set_passwords(struct sessions *sessions, const struct secret *password, const struct secret *admin_password);
/* An idle connection that is alive, or a new one. ERR_CONFIG when the admin login is wanted and not configured. */
int sessions_take(struct sessions *sessions, enum sessions_login login, struct sql_session **ret_session,
                  struct err *err) ERR_CHECK;
/* Back to the idle ones, or closed when it is dead, an admin's, or there are enough. */
void sessions_give(struct sessions *sessions, enum sessions_login login, struct sql_session *session);
/* Closes the idle ones: after a restart of the server, and when nothing has happened for long. */
void sessions_close_idle(struct sessions *sessions);
bool sessions_has_admin(struct sessions *sessions);
/* A copy of the daemon's password; secret_free() it. */
struct secret *sessions_password(struct sessions *sessions);
/* Parameters for a connection that somebody else opens, valid until passwords change or sessions_free(). */
void sessions_params(struct sessions *sessions, enum sessions_login login, struct sql_params *ret_params);

#endif
