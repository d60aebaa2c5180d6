/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sql/preflight.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/sql/int.h"
#include "common/sql/preflight_int.h"

static const char *const result_names[SQL_CHECK_RESULT_COUNT] = {"ok", "warn", "fail"};

const char *sql_check_result_name(enum sql_check_result result) {
    return result < SQL_CHECK_RESULT_COUNT ? result_names[result] : "fail";
}

enum sql_check_result sql_preflight_worst(const struct sql_check_list *list) {
    enum sql_check_result worst = SQL_CHECK_OK;
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].result > worst)
            worst = list->items[i].result;
    return worst;
}

void sql_checks_done(struct sql_check_list *list) {
    for (size_t i = 0; i < list->count; i++)
        mem_free(list->items[i].message);
    mem_free(list->items);
    *list = (struct sql_check_list){0};
}

void check_add(struct preflight *p, const char *name, enum sql_check_result result, const char *fmt, ...) {
    struct buf text;
    char *line = NULL;
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&line, fmt, ap) < 0)
        line = NULL;
    va_end(ap);
    p->list.items = mem_grow(p->list.items, &p->cap, p->list.count + 1, sizeof(*p->list.items));
    buf_init(&text, 16384);
    buf_puts(&text, line ? line : "");
    free(line);
    p->list.items[p->list.count++] = (struct sql_check){.name = name, .result = result, .message = buf_take(&text)};
}

/* --- names of databases ---------------------------------------------------------------------------------------- */

void names_add(struct names *n, const char *name) {
    if (n->count++ < 20)
        buf_printf(&n->text, "%s%s", n->count > 1 ? ", " : "", name);
    else if (n->count == 21)
        buf_puts(&n->text, ", ...");
}

static bool wanted(const struct preflight *p, const struct sql_database *db) {
    return !p->in->wanted || p->in->wanted(p->in->user, db);
}

typedef bool (*db_test)(const struct sql_database *db);

static void check_databases(struct preflight *p, const char *name, db_test test, bool system_too, const char *fine,
                            const char *advice) {
    struct names n;
    names_init(&n);
    for (size_t i = 0; i < p->databases.count; i++) {
        const struct sql_database *db = &p->databases.items[i];
        if ((system_too || !db->system) && wanted(p, db) && test(db))
            names_add(&n, db->name);
    }
    if (n.count)
        check_add(p, name, SQL_CHECK_WARN, "%s: %s", advice, n.text.data);
    else
        check_add(p, name, SQL_CHECK_OK, "%s", fine);
    buf_done(&n.text);
}

static bool bad_page_verify(const struct sql_database *db) {
    return db->page_verify != 2 && !db->snapshot;
}
static bool is_auto_close(const struct sql_database *db) {
    return db->auto_close;
}
static bool is_simple(const struct sql_database *db) {
    return db->recovery == SQL_RECOVERY_SIMPLE && !db->snapshot;
}
static bool is_in_group(const struct sql_database *db) {
    return db->in_group;
}

/* --- login and server ------------------------------------------------------------------------------------------ */

struct encrypted_job {
    bool known, on, loopback;
};

static int encrypted_row(void *user, const struct sql_row *row, struct err *err) {
    struct encrypted_job *job = user;
    (void)err;
    const char *option = sql_row_text(row, "encrypt_option"), *client = sql_row_text(row, "client_net_address");
    job->known = option != NULL;
    job->on = option && str_ieq(option, "TRUE");
    job->loopback = client && (str_starts(client, "127.") || !strcmp(client, "::1") || !strcmp(client, "<local machine>"));
    return 0;
}

static void check_encryption(struct preflight *p) {
    struct encrypted_job job = {0};
    struct err err;
    err_clear(&err);
    const struct sql_params *params = p->in->params;
    if (sql_query_if_able(p->session,
                          "SELECT encrypt_option, client_net_address FROM sys.dm_exec_connections WHERE session_id = @@SPID",
                          encrypted_row, &job, &err) < 0)
        check_add(p, "encryption", SQL_CHECK_WARN, "not known: %s", err.text);
    else if (params->encryption == SQL_ENCRYPTION_REQUIRE && params->ca_file)
        check_add(p, "encryption", SQL_CHECK_OK, "the connection is encrypted and the server's certificate verified");
    else if (params->encryption == SQL_ENCRYPTION_REQUIRE || job.on)
        check_add(p, "encryption", job.loopback ? SQL_CHECK_OK : SQL_CHECK_WARN,
                  "the connection is encrypted, but the server's certificate is not verified: give its CA file");
    else if (job.loopback || str_starts(params->host, "127.") || !strcmp(params->host, "::1") ||
             !strcmp(params->host, "localhost"))
        check_add(p, "encryption", SQL_CHECK_OK, "the connection is not encrypted; it stays on this machine");
    else
        check_add(p, "encryption", SQL_CHECK_WARN,
                  "the connection to %s is not encrypted: require encryption and give the CA file", params->host);
}

static void check_version(struct preflight *p) {
    const struct sql_server *s = p->server;
    if (s->major < 14)
        check_add(p, "version", SQL_CHECK_FAIL, "SQL Server %s (%s) is too old: 2017 (14.0) or newer is needed", s->version,
                  s->edition);
    else if (s->major > 17)
        check_add(p, "version", SQL_CHECK_WARN, "SQL Server %s (%s) is newer than what this program was made for", s->version,
                  s->edition);
    else
        check_add(p, "version", SQL_CHECK_OK, "SQL Server %s %s, %s%s", s->version, s->level, s->edition,
                  s->compression ? "" : " (cannot compress backups: the sidecar does)");
}

static void check_clock(struct preflight *p) {
    const struct sql_clock *c = &p->server->clock;
    int64_t limit = p->in->clock_warn_us ? p->in->clock_warn_us : 5 * CLOCK_SECOND;
    int64_t off = c->offset_us < 0 ? -c->offset_us : c->offset_us;
    check_add(p, "clock", off > limit + c->round_trip_us / 2 ? SQL_CHECK_WARN : SQL_CHECK_OK,
              "the server's clock is %.3f s %s ours, its local time is UTC%+.2f h%s", (double)off / 1e6,
              c->offset_us < 0 ? "behind" : "ahead of", c->utc_offset_s / 3600.0,
              off > limit ? ": synchronise the clocks, restores to a moment follow the server's" : "");
}

static void check_trace(struct preflight *p) {
    int on = p->server->trace_3226;
    if (on < 0)
        check_add(p, "trace_flag", SQL_CHECK_WARN, "trace flag 3226 could not be read");
    else
        check_add(p, "trace_flag", SQL_CHECK_OK, "%s",
                  on ? "trace flag 3226 is on: successful backups are not in the error log"
                     : "trace flag 3226 is off: every backup writes a line into the error log; with frequent log backups set it "
                       "in mssql.conf");
}

/* --- the whole ------------------------------------------------------------------------------------------------- */

static void run_checks(struct preflight *p) {
    struct err err;
    err_clear(&err);
    check_encryption(p);
    if (sql_server_read(p->session, p->server, &err) < 0) {
        check_add(p, "version", SQL_CHECK_FAIL, "%s", err.text);
        return;
    }
    check_version(p);
    if (sql_databases_read(p->session, &p->server->clock, &p->databases, &err) < 0) {
        check_add(p, "rights", SQL_CHECK_FAIL, "%s", err.text);
        return;
    }
    preflight_rights(p);
    preflight_staging(p);
    check_clock(p);
    preflight_space(p);
    check_databases(p, "page_verify", bad_page_verify, false, "every database verifies its pages by checksum",
                    "damage may go unnoticed, run ALTER DATABASE ... SET PAGE_VERIFY CHECKSUM in");
    check_databases(p, "auto_close", is_auto_close, false, "no database closes itself",
                    "each look at it starts it again, run ALTER DATABASE ... SET AUTO_CLOSE OFF in");
    check_databases(
        p, "recovery_model", is_simple, false, "every database keeps its log for log backups",
        "only the moments of data backups can be restored (recovery model SIMPLE), ALTER DATABASE ... SET RECOVERY FULL in");
    preflight_certificates(p);
    check_trace(p);
    check_databases(p, "availability_groups", is_in_group, true, "no database is in an availability group",
                    "left out, because they are in an availability group");
}

void sql_preflight_run(const struct sql_preflight *in, struct sql_check_list *ret_list) {
    struct preflight p = {.in = in, .server = mem_alloc(sizeof(*p.server))};
    struct err err;
    err_clear(&err);
    if (sql_session_open(in->params, &p.session, &err) < 0) {
        check_add(&p, "login", SQL_CHECK_FAIL, "%s", err.text);
    } else {
        check_add(&p, "login", SQL_CHECK_OK, "'%s' logs in at %s:%u", in->params->user, in->params->host,
                  in->params->port ? in->params->port : 1433u);
        run_checks(&p);
    }
    sql_session_close(p.session);
    sql_databases_done(&p.databases);
    mem_free(p.server);
    *ret_list = p.list;
}
