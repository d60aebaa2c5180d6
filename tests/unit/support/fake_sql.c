/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/fake_sql.h"

#include "common/sql/errors.h"
#include "tests/unit/support/unit.h"

#define PARTS_MAX 8
#define ROWS_MAX 64
#define COLUMNS_MAX 64
#define MESSAGES_MAX 300
#define STEPS_MAX 64

struct result {
    unsigned columns;
    char *names[COLUMNS_MAX];
    unsigned rows;
    char *values[ROWS_MAX][COLUMNS_MAX];
};

struct step {
    char *parts[PARTS_MAX];
    bool absent[PARTS_MAX];
    unsigned part_count;
    struct result *results[4];
    unsigned result_count;
    struct sql_message messages[MESSAGES_MAX];
    unsigned message_count;
    enum err_class fails;
    char *fail_text;
    bool dies;
    char *came;
};

struct fake_sql {
    struct sql_session session;
    struct step *steps[STEPS_MAX];
    unsigned count, next;
    bool dead, cancelled;
};

static struct step *last(struct fake_sql *fake) {
    assert_true(fake->count > 0);
    return fake->steps[fake->count - 1];
}

static void check_text(const struct step *step, const char *text, unsigned number) {
    for (unsigned i = 0; i < step->part_count; i++)
        if ((strstr(text, step->parts[i]) != NULL) == step->absent[i])
            fail_msg("statement %u %s '%s': %s", number, step->absent[i] ? "contains" : "does not contain", step->parts[i], text);
}

static int give_rows(const struct step *step, sql_row_fn row, void *user, struct err *err) {
    for (unsigned i = 0; row && i < step->result_count; i++) {
        const struct result *r = step->results[i];
        for (unsigned k = 0; k < r->rows; k++) {
            const struct sql_row given = {.count = r->columns,
                                          .names = (const char *const *)r->names,
                                          .values = (const char *const *)r->values[k],
                                          .result = i};
            if (row(user, &given, err) != 0)
                return -1;
        }
    }
    return 0;
}

static int fake_run(struct sql_session *session, const char *text, const struct sql_call *call, sql_row_fn row, void *user,
                    struct sql_messages *messages, struct err *err) {
    struct fake_sql *fake = container_of(session, struct fake_sql, session);
    if (fake->dead)
        return err_set(err, ERR_CONNECT, "connection to SQL Server is closed");
    if (fake->cancelled)
        return err_set(err, ERR_CANCELLED, "statement cancelled before it began");
    if (fake->next >= fake->count)
        fail_msg("statement %u is not expected: %s", fake->next, text);
    struct step *step = fake->steps[fake->next];
    check_text(step, text, fake->next++);
    step->came = mem_strdup(text);
    if (call->tick)
        call->tick(call->user);
    int rc = give_rows(step, row, user, err);
    for (unsigned i = 0; i < step->message_count; i++) {
        sql_messages_add(messages, &step->messages[i]);
        if (call->message)
            call->message(call->user, &step->messages[i]);
    }
    fake->dead = step->dies;
    if (rc < 0)
        return rc;
    if (step->fails != ERR_NONE)
        return err_set(err, step->fails, "%s", step->fail_text);
    const struct sql_message *cause = sql_messages_cause(messages);
    return cause ? sql_error_set(err, cause) : 0;
}

static void fake_cancel(struct sql_session *session, bool on) {
    container_of(session, struct fake_sql, session)->cancelled = on;
}
static void fake_abort(struct sql_session *session) {
    container_of(session, struct fake_sql, session)->dead = true;
}
static bool fake_alive(const struct sql_session *session) {
    return !((const struct fake_sql *)session)->dead;
}
static void fake_close(struct sql_session *session) {
    (void)session;
}

struct fake_sql *fake_sql_new(void) {
    static const struct sql_ops ops = {
        .run = fake_run, .cancel = fake_cancel, .abort = fake_abort, .alive = fake_alive, .close = fake_close};
    struct fake_sql *fake = mem_alloc(sizeof(*fake));
    fake->session.ops = &ops;
    return fake;
}

struct sql_session *fake_sql_session(struct fake_sql *fake) {
    return &fake->session;
}

static void result_free(struct result *r) {
    for (unsigned i = 0; i < r->columns; i++)
        mem_free(r->names[i]);
    for (unsigned k = 0; k < r->rows; k++)
        for (unsigned i = 0; i < r->columns; i++)
            mem_free(r->values[k][i]);
    mem_free(r);
}

void fake_sql_done(struct fake_sql *fake) {
    unsigned missing = fake->count - fake->next;
    for (unsigned i = 0; i < fake->count; i++) {
        struct step *s = fake->steps[i];
        if (i == fake->next)
            print_error("statement %u never came: %s\n", i, s->parts[0]);
        for (unsigned k = 0; k < s->part_count; k++)
            mem_free(s->parts[k]);
        for (unsigned k = 0; k < s->result_count; k++)
            result_free(s->results[k]);
        for (unsigned k = 0; k < s->message_count; k++)
            mem_free(s->messages[k].text);
        mem_free(s->fail_text);
        mem_free(s->came);
        mem_free(s);
    }
    mem_free(fake);
    assert_int_equal(missing, 0);
}

void fake_sql_expect(struct fake_sql *fake, const char *part) {
    assert_true(fake->count < STEPS_MAX);
    fake->steps[fake->count++] = mem_alloc(sizeof(struct step));
    fake_sql_also(fake, part);
}

static void add_part(struct fake_sql *fake, const char *part, bool absent) {
    struct step *s = last(fake);
    assert_true(s->part_count < PARTS_MAX);
    s->absent[s->part_count] = absent;
    s->parts[s->part_count++] = mem_strdup(part);
}

void fake_sql_also(struct fake_sql *fake, const char *part) {
    add_part(fake, part, false);
}

void fake_sql_not(struct fake_sql *fake, const char *part) {
    add_part(fake, part, true);
}

void fake_sql_columns(struct fake_sql *fake, unsigned count, ...) {
    struct step *s = last(fake);
    assert_true(s->result_count < ARRAY_LEN(s->results) && count <= COLUMNS_MAX);
    struct result *r = s->results[s->result_count++] = mem_alloc(sizeof(*r));
    va_list ap;
    va_start(ap, count);
    r->columns = count;
    for (unsigned i = 0; i < count; i++)
        r->names[i] = mem_strdup(va_arg(ap, const char *));
    va_end(ap);
}

void fake_sql_row(struct fake_sql *fake, ...) {
    struct step *s = last(fake);
    assert_true(s->result_count > 0);
    struct result *r = s->results[s->result_count - 1];
    assert_true(r->rows < ROWS_MAX);
    va_list ap;
    va_start(ap, fake);
    for (unsigned i = 0; i < r->columns; i++) {
        const char *value = va_arg(ap, const char *);
        r->values[r->rows][i] = value ? mem_strdup(value) : NULL;
    }
    va_end(ap);
    r->rows++;
}

void fake_sql_message(struct fake_sql *fake, int number, int severity, const char *text) {
    struct step *s = last(fake);
    assert_true(s->message_count < MESSAGES_MAX);
    s->messages[s->message_count++] = (struct sql_message){
        .number = number, .severity = severity, .state = 1, .line = 1, .text = mem_strdup(text)};
}

void fake_sql_fails(struct fake_sql *fake, enum err_class class, const char *text) {
    struct step *s = last(fake);
    s->fails = class;
    mem_free(s->fail_text);
    s->fail_text = mem_strdup(text);
}

void fake_sql_dies(struct fake_sql *fake) {
    last(fake)->dies = true;
}

const char *fake_sql_text(const struct fake_sql *fake, unsigned n) {
    assert_true(n < fake->next);
    return fake->steps[n]->came;
}
