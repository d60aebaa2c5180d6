/* SPDX-License-Identifier: Apache-2.0 */
/* Is the data sound: DBCC CHECKDB and probes of a scratch database. */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/after_int.h"
#include "common/restore/trial_int.h"

#define PROBE_TIMEOUT_S 1800

int trial_check(struct sql_session *session, const struct restore_env *env, struct trial_result *result, struct err *err) {
    struct restore_after after = {0};
    struct sql_call call = {.timeout_s = SQL_TIMEOUT_NONE, .cancel = env->cancel};
    const struct restore_after_request request = {.database = result->scratch, .check = true, .call = &call};
    struct after_work work = {session, &request, &after};
    int64_t begun = clock_mono_us();
    int rc = fault_point("trial.checked", FAULT_BEFORE, err);
    if (rc == 0)
        rc = after_check(&work, err);
    result->checked = after.checked;
    result->check_errors = after.check_errors;
    result->phases.check_ms = (clock_mono_us() - begun) / 1000;
    if (rc == 0 && !after.checked) {
        err_copy(err, &after.unchecked);
        rc = err_context(err, "DBCC CHECKDB could not run");
    }
    restore_after_done(&after);
    return rc == 0 ? fault_point("trial.checked", FAULT_AFTER, err) : -1;
}

struct answer {
    unsigned rows;
    bool number;
    int64_t value;
};

static int answer_row(void *user, const struct sql_row *row, struct err *err) {
    struct answer *a = user;
    double real;
    if (++a->rows > 1 || row->count != 1)
        return err_set(err, ERR_USAGE, "a probe's query must give one row with one number");
    if (!row->values[0])
        return 0;
    if (str_to_i64(row->values[0], INT64_MIN, INT64_MAX, &a->value)) {
        a->number = true;
    } else if (str_to_double(row->values[0], &real) && real > -9e18 && real < 9e18) {
        a->value = (int64_t)real;
        a->number = true;
    }
    return 0;
}

static int ask(struct sql_session *session, const struct restore_env *env, const struct trial_probe *probe,
               struct trial_probe_result *r, struct err *err) {
    struct sql_call call = {.timeout_s = PROBE_TIMEOUT_S, .cancel = env->cancel};
    struct answer answer = {0};
    if (sql_query(session, probe->query, &call, answer_row, &answer, err) < 0)
        return err_context(err, "probe '%s'", probe->name);
    r->asked = answer.number;
    r->value = answer.value;
    if (!answer.number)
        return err_set(err, ERR_STATE, "probe '%s' gave no number", probe->name);
    r->passed = answer.value >= probe->at_least;
    if (r->passed)
        return 0;
    return err_set(err, ERR_STATE, "probe '%s' gave %lld, at least %lld is wanted", probe->name, (long long)answer.value,
                   (long long)probe->at_least);
}

/* Each one gets a session of its own: what one leaves behind does not reach the next. */
static int probe_one(const struct restore_env *env, const struct trial_probe *probe, const char *database,
                     struct trial_probe_result *r) {
    struct sql_session *session;
    struct sql_params params = *env->sql;
    params.database = database;
    if (sql_session_open(&params, &session, &r->err) < 0)
        return err_context(&r->err, "probe '%s'", probe->name);
    int rc = ask(session, env, probe, r, &r->err);
    sql_session_close(session);
    return rc;
}

int trial_probes(const struct restore_env *env, const struct trial_request *request, struct trial_result *result,
                 struct err *err) {
    int64_t begun = clock_mono_us();
    int rc = 0;
    result->probes = mem_array(request->probe_count + 1, sizeof(*result->probes));
    for (size_t i = 0; i < request->probe_count; i++) {
        struct trial_probe_result *r = &result->probes[result->probe_count++];
        *r = (struct trial_probe_result){.name = mem_strdup(request->probes[i].name), .at_least = request->probes[i].at_least};
        if (probe_one(env, &request->probes[i], result->scratch, r) == 0)
            continue;
        if (rc == 0)
            err_copy(err, &r->err);
        rc = -1;
    }
    result->phases.probes_ms = (clock_mono_us() - begun) / 1000;
    return rc;
}
