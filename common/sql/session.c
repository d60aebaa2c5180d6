/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sql/session.h"

int sql_run(struct sql_session *session, const char *text, const struct sql_call *call, sql_row_fn row, void *user,
            struct sql_messages *messages, struct err *err) {
    static const struct sql_call plain;
    *messages = (struct sql_messages){0};
    return session->ops->run(session, text, call ? call : &plain, row, user, messages, err);
}

int sql_query(struct sql_session *session, const char *text, const struct sql_call *call, sql_row_fn row, void *user,
              struct err *err) {
    struct sql_messages messages;
    int rc = sql_run(session, text, call, row, user, &messages, err);
    sql_messages_done(&messages);
    return rc;
}

int sql_exec(struct sql_session *session, const char *text, const struct sql_call *call, struct err *err) {
    return sql_query(session, text, call, NULL, NULL, err);
}

void sql_cancel(struct sql_session *session) {
    session->ops->cancel(session, true);
}

void sql_session_resume(struct sql_session *session) {
    session->ops->cancel(session, false);
}

void sql_abort(struct sql_session *session) {
    session->ops->abort(session);
}

bool sql_session_alive(const struct sql_session *session) {
    return session->ops->alive(session);
}

void sql_session_close(struct sql_session *session) {
    if (session)
        session->ops->close(session);
}
