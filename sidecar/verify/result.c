/* SPDX-License-Identifier: Apache-2.0 */
/* How one database's verification ended, as a message. */
#include "common/api/message.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "sidecar/status.h"
#include "sidecar/verify/verifier_int.h"

static char *text(const struct err *err) {
    return mem_strdup(err->class == ERR_NONE ? "" : err->text);
}

static void add_probes(Mssql__V1__VerifyResult *m, const struct trial_result *t) {
    for (size_t i = 0; i < t->probe_count; i++) {
        const struct trial_probe_result *p = &t->probes[i];
        Mssql__V1__VerifyProbeResult *q = mem_alloc(sizeof(*q));
        mssql__v1__verify_probe_result__init(q);
        q->name = mem_strdup(p->name);
        q->at_least = p->at_least;
        q->asked = p->asked;
        q->value = p->value;
        q->passed = p->passed;
        q->message = text(&p->err);
        STATUS_APPEND(m, probes, q);
    }
}

static void set_target(Mssql__V1__VerifyResult *m, const struct chain_target *target, bool random, uint64_t seed) {
    char to[CHAIN_TARGET_TEXT_MAX];
    m->to = mem_strdup(chain_target_format(to, target));
    m->random = random;
    m->seed = random ? seed : 0;
}

static void add_trial(Mssql__V1__VerifyResult *m, const struct trial_result *t) {
    const struct trial_phases *p = &t->phases;
    set_target(m, &t->target, t->random, t->seed);
    m->label = mem_strdup("local");
    m->scratch = mem_strdup(t->scratch);
    m->reached_at = t->reached_at;
    m->sets_applied = t->sets_applied;
    m->logs_applied = t->logs_applied;
    m->damaged_sets = t->damaged_sets;
    m->plain_bytes = t->plain_bytes;
    m->stored_bytes = t->stored_bytes;
    m->data_mb_per_second = t->data_mb_per_s;
    m->seconds_per_log = t->seconds_per_log;
    m->checked = t->checked;
    m->check_errors = t->check_errors;
    m->left_behind = t->left_behind;
    m->drop_message = text(&t->drop_err);
    for (size_t i = 0; i < t->warning_count; i++)
        STATUS_APPEND(m, warnings, mem_strdup(t->warnings[i]));
    add_probes(m, t);
    m->phases = mem_alloc(sizeof(*m->phases));
    mssql__v1__verify_phases__init(m->phases);
    m->phases->plan_ms = p->plan_ms;
    m->phases->base_ms = p->base_ms;
    m->phases->logs_ms = p->logs_ms;
    m->phases->recover_ms = p->recover_ms;
    m->phases->check_ms = p->check_ms;
    m->phases->probes_ms = p->probes_ms;
    m->phases->drop_ms = p->drop_ms;
    m->phases->total_ms = p->total_ms;
}

static void add_finding(Mssql__V1__VerifyResult *m, const char *problem, const char *name, bool loss, const struct err *why) {
    Mssql__V1__VerifyFinding *f = mem_alloc(sizeof(*f));
    mssql__v1__verify_finding__init(f);
    f->problem = mem_strdup(problem);
    f->name = mem_strdup(name);
    f->loss = loss;
    f->message = text(why);
    STATUS_APPEND(m, findings, f);
}

static void add_sets(Mssql__V1__VerifyResult *m, const struct trial_sets *s) {
    set_target(m, &s->target, s->random, s->seed);
    m->label = mem_strdup("local");
    m->sets = s->count;
    m->findings_total = s->bad;
    for (size_t i = 0; i < s->count && m->n_findings < FINDINGS_KEPT; i++) {
        char guid[GUID_TEXT_MAX];
        const struct trial_set *set = &s->items[i];
        m->plain_bytes += set->plain_bytes;
        if (set->err.class != ERR_NONE)
            add_finding(m, err_class_name(set->err.class), guid_format(guid, &set->set), true, &set->err);
    }
}

static void add_scrub(Mssql__V1__VerifyResult *m, const struct piece *p) {
    m->sets = p->totals.sets;
    m->stored_bytes = p->totals.stored_bytes;
    m->findings_total = p->findings_total;
    for (size_t i = 0; i < p->finding_count; i++) {
        const struct scrub_finding *f = &p->findings[i].is;
        add_finding(m, scrub_kind_word(f->kind), f->name, scrub_kind_is_loss(f->kind), &f->err);
    }
}

Mssql__V1__VerifyResult *result_of(const struct piece *p, const struct err *why) {
    Mssql__V1__VerifyResult *m = mem_alloc(sizeof(*m));
    mssql__v1__verify_result__init(m);
    m->database = mem_strdup(p->name);
    m->folder = mem_strdup(p->folder);
    m->mode = p->mode;
    m->verified = why->class == ERR_NONE;
    m->error_class = mem_strdup(m->verified ? "" : err_class_name(why->class));
    m->message = text(why);
    m->finished_at = clock_wall();
    if (p->mode == MSSQL__V1__VERIFY_MODE__VERIFY_MODE_RESTORE)
        add_trial(m, &p->trial);
    else if (p->mode == MSSQL__V1__VERIFY_MODE__VERIFY_MODE_SETS)
        add_sets(m, &p->sets);
    else
        add_scrub(m, p);
    return m;
}
