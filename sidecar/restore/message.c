/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/restore/message.h"

#include <string.h>

#include "common/api/message.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "sidecar/status.h"

/* ---- request ---- */

static int finish_of(Mssql__V1__RestoreFinish finish, enum restore_finish *ret_finish, struct err *err) {
    switch (finish) {
    case MSSQL__V1__RESTORE_FINISH__RESTORE_FINISH_RECOVER:
        *ret_finish = RESTORE_FINISH_RECOVER;
        return 0;
    case MSSQL__V1__RESTORE_FINISH__RESTORE_FINISH_RESTORING:
        *ret_finish = RESTORE_FINISH_RESTORING;
        return 0;
    case MSSQL__V1__RESTORE_FINISH__RESTORE_FINISH_STANDBY:
        *ret_finish = RESTORE_FINISH_STANDBY;
        return 0;
    default:
        return err_set(err, ERR_USAGE, "unknown end of a restore %d", (int)finish);
    }
}

static void add_wish(const Mssql__V1__RestoreWish *from, struct restore_request *r) {
    struct restore_wish *w = restore_request_add_wish(r, from->database, from->as);
    for (size_t i = 0; i < from->n_moves; i++)
        restore_wish_add_move(w, from->moves[i]->logical, from->moves[i]->physical);
}

static int fill(const Mssql__V1__RestoreSpec *spec, struct restore_request *r, struct err *err) {
    if (chain_target_parse(*spec->to ? spec->to : "latest", &r->target, err) < 0 || finish_of(spec->finish, &r->finish, err) < 0)
        return -1;
    if (spec->n_databases > RESTORE_DATABASES_MAX)
        return err_set(err, ERR_USAGE, "%zu databases, at most %d in one restore", spec->n_databases, RESTORE_DATABASES_MAX);
    if (spec->parallel > RESTORE_PARALLEL_MAX)
        return err_set(err, ERR_USAGE, "parallel is %u, at most %d", spec->parallel, RESTORE_PARALLEL_MAX);
    if (!str_copy(r->token, sizeof(r->token), spec->acknowledge_data_loss))
        return err_set(err, ERR_USAGE, "acknowledge_data_loss is not a token that a dry run gave");
    for (size_t i = 0; i < spec->n_databases; i++)
        add_wish(spec->databases[i], r);
    restore_request_set(&r->data_dir, spec->data_dir);
    restore_request_set(&r->log_dir, spec->log_dir);
    restore_request_set(&r->standby_dir, spec->standby_dir);
    r->keep_cdc = spec->keep_cdc;
    r->keep_replication = spec->keep_replication;
    r->reapply_options = spec->reapply_options;
    r->check = spec->check;
    r->parallel = spec->parallel;
    return 0;
}

int message_restore_request(const Mssql__V1__RestoreSpec *spec, struct restore_request *ret_request, struct err *err) {
    struct restore_request r;
    if (!spec)
        return err_set(err, ERR_USAGE, "the request has no spec: say what is to be restored");
    restore_request_init(&r);
    if (fill(spec, &r, err) < 0) {
        restore_request_done(&r);
        return -1;
    }
    *ret_request = r;
    return 0;
}

/* ---- results ---- */

static Mssql__V1__RestoreStep step_of(enum restore_step step) {
    static const Mssql__V1__RestoreStep steps[RESTORE_STEP_COUNT] = {
        [RESTORE_PLANNED] = MSSQL__V1__RESTORE_STEP__RESTORE_STEP_PLANNED,
        [RESTORE_CHECKED] = MSSQL__V1__RESTORE_STEP__RESTORE_STEP_CHECKED,
        [RESTORE_EVICTED] = MSSQL__V1__RESTORE_STEP__RESTORE_STEP_EVICTED,
        [RESTORE_TAIL_TAKEN] = MSSQL__V1__RESTORE_STEP__RESTORE_STEP_TAIL_TAKEN,
        [RESTORE_TAIL_SHIPPED] = MSSQL__V1__RESTORE_STEP__RESTORE_STEP_TAIL_SHIPPED,
        [RESTORE_RESTORING] = MSSQL__V1__RESTORE_STEP__RESTORE_STEP_RESTORING,
        [RESTORE_APPLIED] = MSSQL__V1__RESTORE_STEP__RESTORE_STEP_APPLIED,
        [RESTORE_RECOVERED] = MSSQL__V1__RESTORE_STEP__RESTORE_STEP_RECOVERED,
        [RESTORE_FINISHED] = MSSQL__V1__RESTORE_STEP__RESTORE_STEP_FINISHED,
        [RESTORE_FAILED] = MSSQL__V1__RESTORE_STEP__RESTORE_STEP_FAILED,
        [RESTORE_CANCELLED] = MSSQL__V1__RESTORE_STEP__RESTORE_STEP_CANCELLED,
    };
    return steps[step];
}

static Mssql__V1__RestoreOver over_of(enum restore_over over) {
    static const Mssql__V1__RestoreOver overs[RESTORE_OVER_COUNT] = {
        [RESTORE_OVER_NOTHING] = MSSQL__V1__RESTORE_OVER__RESTORE_OVER_NOTHING,
        [RESTORE_OVER_OURS] = MSSQL__V1__RESTORE_OVER__RESTORE_OVER_OURS,
        [RESTORE_OVER_TAIL] = MSSQL__V1__RESTORE_OVER__RESTORE_OVER_TAIL,
        [RESTORE_OVER_TOKEN] = MSSQL__V1__RESTORE_OVER__RESTORE_OVER_TOKEN,
        [RESTORE_OVER_REFUSED] = MSSQL__V1__RESTORE_OVER__RESTORE_OVER_REFUSED,
        [RESTORE_OVER_SAFE] = MSSQL__V1__RESTORE_OVER__RESTORE_OVER_SAFE,
    };
    return overs[over];
}

static char **copy_lines(char *const *lines, size_t count) {
    char **copy = mem_array(count + 1, sizeof(*copy));
    for (size_t i = 0; i < count; i++)
        copy[i] = mem_strdup(lines[i]);
    return copy;
}

static void add_phases(Mssql__V1__RestoreResult *m, const struct restore_phases *p) {
    m->phases = mem_alloc(sizeof(*m->phases));
    mssql__v1__restore_phases__init(m->phases);
    m->phases->planned_ms = p->planned_ms;
    m->phases->first_statement_ms = p->first_statement_ms;
    m->phases->base_ms = p->base_ms;
    m->phases->applied_ms = p->applied_ms;
    m->phases->recovered_ms = p->recovered_ms;
    m->phases->finished_ms = p->finished_ms;
}

static char *lsn_text(struct lsn lsn) {
    char text[LSN_TEXT_MAX];
    return mem_strdup(lsn_is_zero(lsn) ? "" : lsn_format(text, lsn));
}

static Mssql__V1__RestoreMember *member_of(const struct restore_result *r, size_t i) {
    Mssql__V1__RestoreMember *m = mem_alloc(sizeof(*m));
    mssql__v1__restore_member__init(m);
    if (i < r->plan.count) {
        m->kind = message_kind(r->plan.members[i].kind);
        m->why = mem_strdup(chain_member_why_word(r->plan.members[i].why));
        m->if_needed = r->plan.members[i].if_needed;
    }
    m->set_guid = r->sets ? message_guid(&r->sets[i]) : mem_strdup("");
    m->text = mem_strdup(r->members[i]);
    return m;
}

static Mssql__V1__RestoreResult *result_of(const struct restore_result *r) {
    char stop[CHAIN_STOP_TEXT_MAX];
    Mssql__V1__RestoreResult *m = mem_alloc(sizeof(*m));
    mssql__v1__restore_result__init(m);
    m->source = mem_strdup(r->source);
    m->folder = mem_strdup(r->folder);
    m->database = mem_strdup(r->target);
    m->step = step_of(r->step);
    m->error_class = mem_strdup(r->err.class == ERR_NONE ? "" : err_class_name(r->err.class));
    m->message = mem_strdup(r->err.class == ERR_NONE ? "" : r->err.text);
    m->sql_error = r->err.class == ERR_NONE ? 0 : r->err.sql_number;
    m->summary = mem_strdup(r->summary ? r->summary : "");
    for (size_t i = 0; i < r->member_count; i++)
        STATUS_APPEND(m, members, member_of(r, i));
    m->stop = mem_strdup(chain_stop_sql(stop, &r->plan.stop));
    m->over = over_of(r->over);
    m->over_message = mem_strdup(r->over_text);
    m->token = mem_strdup(r->token);
    m->database_state = mem_strdup(r->db_state);
    m->reached_at = r->reached_at;
    m->reached_lsn = lsn_text(r->reached_lsn);
    m->fork_guid = message_guid(&r->recovery_fork);
    m->database_guid = message_guid(&r->database_guid);
    m->sets_applied = r->sets_applied;
    m->fetched_bytes = r->fetched_bytes;
    m->stored_bytes = r->stored_bytes;
    add_phases(m, &r->phases);
    m->warnings = copy_lines(r->warnings, r->warning_count);
    m->n_warnings = r->warning_count;
    m->next = copy_lines(r->next, r->next_count);
    m->n_next = r->next_count;
    return m;
}

static Mssql__V1__Check *check_of(const struct restore_finding *f) {
    static const Mssql__V1__CheckState states[] = {
        [RESTORE_CHECK_OK] = MSSQL__V1__CHECK_STATE__CHECK_STATE_PASSED,
        [RESTORE_CHECK_UNKNOWN] = MSSQL__V1__CHECK_STATE__CHECK_STATE_NOT_RUN,
        [RESTORE_CHECK_WARNING] = MSSQL__V1__CHECK_STATE__CHECK_STATE_WARNING,
        [RESTORE_CHECK_ERROR] = MSSQL__V1__CHECK_STATE__CHECK_STATE_FAILED,
    };
    Mssql__V1__Check *m = mem_alloc(sizeof(*m));
    mssql__v1__check__init(m);
    m->name = mem_strdup(f->name);
    m->subject = mem_strdup(f->subject);
    m->state = states[f->verdict];
    m->message = mem_strdup(f->message);
    m->hint = mem_strdup(f->hint);
    return m;
}

static void add_checks(const struct restore_findings *findings, bool all, size_t *n, Mssql__V1__Check ***list) {
    *list = mem_array(findings->count + 1, sizeof(**list));
    for (size_t i = 0; i < findings->count; i++)
        if (all || findings->items[i].verdict != RESTORE_CHECK_OK)
            (*list)[(*n)++] = check_of(&findings->items[i]);
}

Mssql__V1__RestoreReport *message_restore_report(const struct restore_report *r) {
    Mssql__V1__RestoreReport *m = mem_alloc(sizeof(*m));
    mssql__v1__restore_report__init(m);
    m->restore_id = mem_strdup(r->id);
    m->dry_run = r->dry_run;
    m->started_at = r->started_at;
    m->finished_at = r->finished_at;
    m->error_class = mem_strdup(r->err.class == ERR_NONE ? "" : err_class_name(r->err.class));
    m->message = mem_strdup(r->err.class == ERR_NONE ? "" : r->err.text);
    for (size_t i = 0; i < r->count; i++)
        STATUS_APPEND(m, results, result_of(&r->results[i]));
    m->token = mem_strdup(r->token);
    add_checks(&r->findings, true, &m->n_checks, &m->checks);
    return m;
}

Mssql__V1__RestoreProgress *message_restore_progress(const struct restore_progress *p) {
    Mssql__V1__RestoreProgress *m = mem_alloc(sizeof(*m));
    mssql__v1__restore_progress__init(m);
    m->restore_id = mem_strdup(p->restore_id ? p->restore_id : "");
    m->database = mem_strdup(p->database ? p->database : "");
    m->step = step_of(p->step);
    m->member = p->member;
    m->members = p->members;
    m->kind = p->member ? message_kind(p->kind) : MSSQL__V1__BACKUP_KIND__BACKUP_KIND_UNSPECIFIED;
    m->percent = p->percent;
    m->fetched_bytes = p->fetched_bytes;
    m->applied_bytes = p->applied_bytes;
    m->total_bytes = p->total_bytes;
    m->reached_at = p->reached_at;
    m->message = mem_strdup(p->message ? p->message : "");
    return m;
}

Mssql__V1__RestoreResult *message_restore_result_copy(const Mssql__V1__RestoreResult *result) {
    size_t len = mssql__v1__restore_result__get_packed_size(result);
    _cleanup_free_ uint8_t *bytes = mem_array(len + 1, 1);
    mssql__v1__restore_result__pack(result, bytes);
    return mssql__v1__restore_result__unpack(NULL, len, bytes);
}
