/* SPDX-License-Identifier: Apache-2.0 */
#include "common/restore/apply.h"

#include <ctype.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/sql/errors.h"
#include "common/sql/server.h"

#define WATCH_EVERY_US (2 * CLOCK_SECOND)
#define WATCH_TIMEOUT_S 5

int apply_open(struct apply *a, const struct sql_params *params, struct err *err) {
    a->params = params;
    if (sql_session_open(params, &a->session, err) < 0)
        return -1;
    return sql_spid_read(a->session, &a->spid, err);
}

void apply_close(struct apply *a) {
    sql_session_close(a->watch);
    sql_session_close(a->session);
    a->watch = a->session = NULL;
}

/* ---- signs of life ---- */

static void moved(struct apply *a, double percent) {
    a->moved_us = clock_mono_us();
    if (percent >= 0 && percent != a->percent) {
        a->percent = percent;
        if (a->progress)
            a->progress(a->user, percent);
    }
}

static void on_message(void *user, const struct sql_message *message) {
    struct apply *a = user;
    const char *p = message->text;
    if (message->number != 3211) {
        moved(a, -1);
        return;
    }
    while (*p && !isdigit((unsigned char)*p))
        p++;
    int percent = 0;
    for (; isdigit((unsigned char)*p) && percent <= 100; p++)
        percent = percent * 10 + (*p - '0');
    moved(a, percent);
}

static int on_request(void *user, const struct sql_row *row, struct err *err) {
    struct apply *a = user;
    a->sight = APPLY_SEES;
    int64_t cpu = 0, reads = 0, writes = 0;
    double percent = 0;
    int blocked_by = 0;
    (void)err;
    sql_row_double(row, "percent_complete", &percent);
    sql_row_i64(row, "cpu_time", &cpu);
    sql_row_i64(row, "reads", &reads);
    sql_row_i64(row, "writes", &writes);
    sql_row_int(row, "blocking_session_id", &blocked_by);
    /* Redo and undo go on for long at one percentage: work counts as life, too. */
    if (percent != a->server_percent || cpu != a->cpu || reads != a->reads || writes != a->writes)
        moved(a, percent > 0 ? percent : -1);
    a->server_percent = percent;
    a->cpu = cpu;
    a->reads = reads;
    a->writes = writes;
    const char *wait = sql_row_text(row, "wait_type");
    str_format(a->waits, sizeof(a->waits), "%s%s%s", wait && *wait ? "it waited for " : "", wait ? wait : "",
               blocked_by ? ", blocked by another session" : "");
    return 0;
}

/*
 * Through a second session. A look that comes to nothing (no VIEW SERVER STATE, a server too busy to answer in time) says nothing of
 * the statement: it may work for hours without a message, so it is never taken for stuck because of that. A server that takes no
 * connection at all is another matter.
 */
static void look(struct apply *a) {
    static const struct sql_call call = {.timeout_s = WATCH_TIMEOUT_S};
    struct err err;
    char text[256];
    int64_t now = clock_mono_us();
    if (now - a->watched_us < WATCH_EVERY_US)
        return;
    a->watched_us = now;
    if (a->watch && !sql_session_alive(a->watch)) {
        sql_session_close(a->watch);
        a->watch = NULL;
    }
    str_format(text, sizeof(text),
               "SELECT percent_complete, cpu_time, reads, writes, wait_type, blocking_session_id "
               "FROM sys.dm_exec_requests WHERE session_id = %d",
               a->spid);
    if (!a->watch && (!a->params || sql_session_open(a->params, &a->watch, &err) < 0)) {
        a->sight = APPLY_AWAY;
        return;
    }
    a->sight = APPLY_BLIND;
    if (sql_query(a->watch, text, &call, on_request, a, &err) < 0)
        a->sight = sql_session_alive(a->watch) ? APPLY_BLIND : APPLY_AWAY;
}

bool apply_is_stuck(const struct apply *a, int64_t now_us) {
    return a->stuck_after_ms > 0 && a->sight != APPLY_BLIND && now_us - a->moved_us > a->stuck_after_ms * 1000;
}

static void on_tick(void *user) {
    struct apply *a = user;
    look(a);
    if (a->cancel && atomic_load(a->cancel))
        atomic_store(&a->stop, true);
    if (apply_is_stuck(a, clock_mono_us())) {
        a->stuck = true;
        atomic_store(&a->stop, true);
    }
}

/* ---- what the answer means ---- */

static enum apply_trouble trouble_of(const struct err *err) {
    switch (err->sql_number) {
    case 3117: /* nothing to roll forward */
    case 3118: /* does not exist */
    case 3136: /* another differential base */
    case 4305: /* a log between is missing */
    case 4312: /* a gap in the chain */
    case 4318: /* files at different points */
    case 4319: /* an interrupted restore before */
    case 4320:
    case 4330: /* another recovery path */
    case 4331:
    case 4332:
    case 4335: /* already behind the target */
        return APPLY_STATE;
    case 3183:
    case 3189:
    case 3203:
    case 3208:
    case 3241:
    case 3242:
    case 3243:
    case 3254:
    case 3256:
    case 3266:
        return APPLY_MEDIA;
    default:
        break;
    }
    if (err->class == ERR_CANCELLED)
        return APPLY_CANCELLED;
    return err->class == ERR_CONNECT ? APPLY_LOST : APPLY_FATAL;
}

static int refused(struct apply *a, enum apply_trouble *ret_trouble, struct err *err) {
    *ret_trouble = trouble_of(err);
    if (!sql_session_alive(a->session))
        *ret_trouble = APPLY_LOST;
    if (!a->stuck)
        return -1;
    char span[32];
    str_from_duration(span, sizeof(span), a->stuck_after_ms);
    *ret_trouble = APPLY_STUCK;
    err_set(err, ERR_TIMEOUT, "RESTORE showed no progress for %s and was cancelled%s%s", span, *a->waits ? ": " : "", a->waits);
    return err_hint(err, "Look at sys.dm_exec_requests, the error log and the volumes of the instance, then resume");
}

int apply_run(struct apply *a, const char *text, enum apply_answer *ret_answer, enum apply_trouble *ret_trouble,
              struct err *err) {
    const struct sql_call call = {
        .timeout_s = SQL_TIMEOUT_NONE, .cancel = &a->stop, .tick = on_tick, .message = on_message, .user = a};
    struct sql_messages messages = {0};
    a->stuck = false;
    a->percent = -1;
    a->server_percent = 0;
    a->cpu = a->reads = a->writes = 0;
    a->waits[0] = 0;
    a->sight = APPLY_SEES;
    a->moved_us = a->watched_us = clock_mono_us();
    atomic_store(&a->stop, a->cancel && atomic_load(a->cancel));
    int rc = sql_run(a->session, text, &call, NULL, NULL, &messages, err);
    bool behind = sql_messages_find(&messages, 4326) != NULL;
    bool open = sql_messages_find(&messages, 4322) || sql_messages_find(&messages, 4329);
    sql_messages_done(&messages);
    if (rc < 0 && !(behind && err->sql_number == 4326))
        return refused(a, ret_trouble, err);
    *ret_answer = behind ? APPLY_SKIPPED : open ? APPLY_NOT_REACHED : APPLY_DONE;
    return 0;
}
