/* SPDX-License-Identifier: Apache-2.0 */
#include "common/restore/guard.h"
#include "tests/unit/chain/make.h"
#include "tests/unit/restore/target_make.h"

#define NOW SEC(1000000)

/* Full 1 [10,12] at 10, logs [10,20] at 20 and [20,30] at 30 are in the store; the server's next log begins at 30. */
struct fixture {
    struct restore_target target;
    struct backup sets[8];
    struct restore_guard_view view;
};

static void begin(struct fixture *f) {
    *f = (struct fixture){.target = target_make()};
    struct target_db *db = target_add_db(&f->target, 6, "sales");
    db->info.created_at = SEC(1);
    db->state_known = true;
    db->state = (struct chain_server_state){.online = true,
                                            .model = CHAIN_MODEL_FULL,
                                            .last_log_backup_lsn = L(30),
                                            .recovery_fork_guid = G(FORK_A),
                                            .family_guid = G(FAMILY),
                                            .database_guid = G(0xDB),
                                            .differential_base_guid = G(1),
                                            .log_end_lsn = L(35),
                                            .create_at = SEC(1),
                                            .sampled_at = SEC(40)};
    f->sets[0] = make_full(1, 10, 12, 10);
    f->sets[1] = make_log(2, 10, 20, 20);
    f->sets[2] = make_log(3, 20, 30, 30);
    f->view = (struct restore_guard_view){.target = &f->target,
                                          .there = db,
                                          .database = "sales",
                                          .family = G(FAMILY),
                                          .wanted = "sales~fa000000 2026-11-21T02:47:00Z 1",
                                          .sets = f->sets,
                                          .set_count = 3,
                                          .server = "sql-0",
                                          .now = NOW};
}

static struct target_db *db_of(struct fixture *f) {
    return &f->target.databases[0];
}

static void end(struct fixture *f) {
    target_done(&f->target);
}

static struct restore_guard decide(struct fixture *f) {
    struct restore_guard g;
    restore_guard_decide(&f->view, &g);
    return g;
}

#define assert_decides(f, over_, loss_)                                                                                          \
    do {                                                                                                                         \
        struct restore_guard g_ = decide(f);                                                                                     \
        if (g_.over != (over_) || g_.loss != (loss_))                                                                            \
            fail_msg("over %d loss %s: %s", g_.over, restore_loss_word(g_.loss), g_.text);                                       \
        assert_true(g_.over == RESTORE_OVER_NOTHING || g_.text[0]);                                                              \
        assert_int_equal(g_.token[0] != 0, g_.over == RESTORE_OVER_TOKEN);                                                       \
        assert_false(g_.tail &&g_.replace && !g_.tail_damaged);                                                                  \
    } while (0)

static void test_words(void **state) {
    (void)state;
    for (int i = 0; i < RESTORE_LOSS_COUNT; i++) {
        assert_non_null(restore_loss_word((enum restore_loss)i));
        for (int k = 0; k < i; k++)
            assert_string_not_equal(restore_loss_word((enum restore_loss)i), restore_loss_word((enum restore_loss)k));
    }
    assert_string_equal(restore_loss_word(RESTORE_LOSS_COUNT), "unknown");
}

static void test_nothing_there(void **state) {
    struct fixture f;
    struct err err;
    (void)state;
    begin(&f);
    f.view.there = NULL;
    assert_decides(&f, RESTORE_OVER_NOTHING, RESTORE_LOSS_NONE);
    struct restore_guard g = decide(&f);
    assert_succeeds(restore_guard_allow(&f.view, &g, NULL, &err), err);
    f.view.there = db_of(&f);
    f.view.ours = true;
    db_of(&f)->info.system = true; /* what the journal proves counts */
    assert_decides(&f, RESTORE_OVER_OURS, RESTORE_LOSS_NONE);
    end(&f);
}

static void test_tail(void **state) {
    struct fixture f;
    struct err err;
    (void)state;
    begin(&f);
    assert_decides(&f, RESTORE_OVER_TAIL, RESTORE_LOSS_NONE);
    struct restore_guard g = decide(&f);
    assert_true(g.tail && g.evict && !g.replace && !g.tail_damaged);
    assert_int_equal(g.kept_until_at, SEC(30));
    assert_succeeds(restore_guard_allow(&f.view, &g, "", &err), err);
    f.view.server = NULL; /* nobody said which server: it may be another's */
    assert_decides(&f, RESTORE_OVER_TOKEN, RESTORE_LOSS_OTHER_SERVER);
    f.view.server = "sql-0";
    assert_decides(&f, RESTORE_OVER_TAIL, RESTORE_LOSS_NONE);
    f.view.server = "SQL-0";
    assert_decides(&f, RESTORE_OVER_TAIL, RESTORE_LOSS_NONE);
    db_of(&f)->state.model = CHAIN_MODEL_BULK_LOGGED;
    assert_decides(&f, RESTORE_OVER_TAIL, RESTORE_LOSS_NONE);
    db_of(&f)->state.sampled_at = SEC(29); /* the look is older than the newest set by its clock: LSNs decide */
    assert_decides(&f, RESTORE_OVER_TAIL, RESTORE_LOSS_NONE);
    end(&f);
}

static void simple(struct target_db *db) {
    db->state.model = CHAIN_MODEL_SIMPLE;
    db->state.last_log_backup_lsn = L(0);
}
static void pseudo_simple(struct target_db *db) {
    db->state.last_log_backup_lsn = L(0);
}
static void foreign_log(struct target_db *db) {
    db->state.last_log_backup_lsn = L(34);
}
static void other_fork(struct target_db *db) {
    db->state.recovery_fork_guid = G(FORK_B);
}
static void reverted(struct target_db *db) {
    db->state.last_log_backup_lsn = L(20);
    db->state.log_end_lsn = L(25);
}
static void other_database(struct target_db *db) {
    db->state.family_guid = G(0xEE);
}
static void closed(struct target_db *db) {
    db->state.recovery_fork_guid = G(0);
}
static void not_looked(struct target_db *db) {
    db->state_known = false;
}
static void offline(struct target_db *db) {
    db->info.state = SQL_DB_OFFLINE;
}
static void emergency(struct target_db *db) {
    db->info.state = SQL_DB_EMERGENCY;
}
static void restoring(struct target_db *db) {
    db->info.state = SQL_DB_RESTORING;
}
static void restoring_beyond(struct target_db *db) {
    db->info.state = SQL_DB_RESTORING;
    db->redo_start_lsn = L(31);
    db->redo_start_fork = G(FORK_A);
}
static void restoring_fork(struct target_db *db) {
    db->info.state = SQL_DB_RESTORING;
    db->redo_start_lsn = L(20);
    db->redo_start_fork = G(FORK_B);
}
static void standby(struct target_db *db) {
    db->info.standby = true;
}
static void suspect_simple(struct target_db *db) {
    db->info.state = SQL_DB_SUSPECT;
    db->info.recovery = SQL_RECOVERY_SIMPLE;
}

static void test_losses(void **state) {
    static const struct {
        void (*change)(struct target_db *db);
        enum restore_loss loss;
        bool tail, replace, evict;
        const char *text;
    } table[] = {
        {simple, RESTORE_LOSS_SIMPLE, false, false, true, "committed after 1970-01-01T00:00:30Z would be lost"},
        {pseudo_simple, RESTORE_LOSS_PSEUDO_SIMPLE, false, true, true, "no log chain"},
        {foreign_log, RESTORE_LOSS_NEWER, true, false, true, "newer than its backups"},
        {other_fork, RESTORE_LOSS_OTHER_FORK, true, false, true, "went its own way"},
        {reverted, RESTORE_LOSS_OTHER_FORK, false, true, true, "went its own way"},
        {other_database, RESTORE_LOSS_OTHER_DATABASE, false, true, true, "all of it would be lost"},
        {closed, RESTORE_LOSS_NOT_OPEN, false, true, true, "cannot be opened"},
        {not_looked, RESTORE_LOSS_NOT_OPEN, false, true, true, "cannot be opened"},
        {offline, RESTORE_LOSS_NOT_OPEN, false, true, false, "cannot be opened"},
        {emergency, RESTORE_LOSS_NOT_OPEN, false, true, true, "cannot be opened"},
        {restoring, RESTORE_LOSS_RESTORING, false, true, false, "somebody else's restore"},
        {restoring_beyond, RESTORE_LOSS_RESTORING, false, true, false, "somebody else's restore"},
        {restoring_fork, RESTORE_LOSS_RESTORING, false, true, false, "somebody else's restore"},
        {standby, RESTORE_LOSS_STANDBY, false, true, true, "STANDBY"},
        {suspect_simple, RESTORE_LOSS_SIMPLE, false, true, false, "SIMPLE"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct fixture f;
        struct err err;
        begin(&f);
        table[i].change(db_of(&f));
        assert_decides(&f, RESTORE_OVER_TOKEN, table[i].loss);
        struct restore_guard g = decide(&f);
        if (!strstr(g.text, table[i].text))
            fail_msg("case %zu: %s", i, g.text);
        assert_int_equal(g.tail, table[i].tail);
        assert_int_equal(g.replace, table[i].replace);
        assert_int_equal(g.evict, table[i].evict);
        assert_fails(restore_guard_allow(&f.view, &g, "", &err), err, ERR_DATA_LOSS, table[i].text);
        assert_null(strstr(err.text, g.token)); /* only a dry run prints it */
        assert_fails(restore_guard_allow(&f.view, &g, "0000-0000-0000", &err), err, ERR_CONFLICT, "dry run again");
        assert_succeeds(restore_guard_allow(&f.view, &g, g.token, &err), err);
        end(&f);
    }
}

/* A database that is RESTORING holds nothing but what was restored into it. */
static void test_safe(void **state) {
    struct fixture f;
    struct err err;
    (void)state;
    static const unsigned ends[] = {12, 20, 30};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        begin(&f);
        db_of(&f)->info.state = SQL_DB_RESTORING;
        db_of(&f)->redo_start_lsn = L(ends[i]);
        db_of(&f)->redo_start_fork = G(FORK_A);
        assert_decides(&f, RESTORE_OVER_SAFE, RESTORE_LOSS_NONE);
        struct restore_guard g = decide(&f);
        assert_true(!g.replace && !g.tail && !g.evict);
        assert_succeeds(restore_guard_allow(&f.view, &g, "", &err), err);
        db_of(&f)->info.state = SQL_DB_ONLINE;
        db_of(&f)->info.standby = true;
        assert_decides(&f, RESTORE_OVER_SAFE, RESTORE_LOSS_NONE);
        assert_true(decide(&f).evict);
        end(&f);
    }
    begin(&f); /* before anything that the store can restore */
    db_of(&f)->info.state = SQL_DB_RESTORING;
    db_of(&f)->redo_start_lsn = L(11);
    db_of(&f)->redo_start_fork = G(FORK_A);
    assert_decides(&f, RESTORE_OVER_TOKEN, RESTORE_LOSS_RESTORING);
    end(&f);
}

/* LSNs that the store has, and what is there need not be what the store has under them. */
static void test_lsns_of_something_else(void **state) {
    struct fixture f;
    (void)state;
    begin(&f); /* not the end of a backup: nothing that was restored from it */
    db_of(&f)->info.state = SQL_DB_RESTORING;
    db_of(&f)->redo_start_fork = G(FORK_A);
    db_of(&f)->redo_start_lsn = L(18);
    assert_decides(&f, RESTORE_OVER_TOKEN, RESTORE_LOSS_RESTORING);
    end(&f);
    static const unsigned ends[] = {12, 20, 24, 26, 30, 33};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        begin(&f); /* the volume was reverted to 20: from there on each LSN was used twice */
        f.sets[3] = make_full(4, 22, 24, 50);
        f.sets[4] = make_log(5, 22, 26, 55);
        f.sets[3].incarnation = f.sets[4].incarnation = 1;
        f.view.set_count = 5;
        db_of(&f)->info.state = SQL_DB_RESTORING;
        db_of(&f)->redo_start_fork = G(FORK_A);
        db_of(&f)->redo_start_lsn = L(ends[i]);
        assert_decides(&f, RESTORE_OVER_TOKEN, RESTORE_LOSS_RESTORING);
        end(&f);
    }
}

/* Several databases in one request: each has a token, and there is one over all. */
static void test_several(void **state) {
    struct fixture f[3];
    struct restore_guard g[3];
    struct restore_guarded all[3];
    struct err err;
    char over[RESTORE_TOKEN_MAX], text[4 * RESTORE_TOKEN_MAX];
    (void)state;
    for (int i = 0; i < 3; i++) {
        begin(&f[i]);
        db_of(&f[i])->info.id += i;
        if (i < 2) /* the third one's tail is taken */
            foreign_log(db_of(&f[i]));
        g[i] = decide(&f[i]);
        all[i] = (struct restore_guarded){f[i].view, &g[i]};
    }
    restore_guard_token_all(all, 3, over);
    assert_true(over[0] && strcmp(over, g[0].token) != 0 && strcmp(over, g[1].token) != 0);
    assert_fails(restore_guard_allow_all(all, 3, "", &err), err, ERR_DATA_LOSS, "would be lost");
    assert_fails(restore_guard_allow_all(all, 3, "0000-0000-0000", &err), err, ERR_CONFLICT, "dry run again");
    for (int i = 0; i < 2; i++)
        assert_fails(restore_guard_allow_all(all, 3, g[i].token, &err), err, ERR_DATA_LOSS, "another database only");
    assert_succeeds(restore_guard_allow_all(all, 3, over, &err), err);
    str_format(text, sizeof(text), " %s,\t%s ", g[1].token, g[0].token);
    assert_succeeds(restore_guard_allow_all(all, 3, text, &err), err);
    str_format(text, sizeof(text), "%s%s", g[1].token, g[0].token); /* in one word */
    assert_fails(restore_guard_allow_all(all, 3, text, &err), err, ERR_CONFLICT, "dry run again");
    struct restore_guarded turned[2] = {all[1], all[0]};
    restore_guard_token_all(turned, 2, text);
    assert_string_equal(text, over);
    restore_guard_token_all(all, 1, text); /* of one it is its own */
    assert_string_equal(text, g[0].token);
    restore_guard_token_all(all + 2, 1, text);
    assert_string_equal(text, "");
    for (int i = 0; i < 3; i++)
        all[i].view.now += CLOCK_DAY; /* printed yesterday */
    assert_succeeds(restore_guard_allow_all(all, 3, over, &err), err);
    g[1].over = RESTORE_OVER_REFUSED;
    assert_fails(restore_guard_allow_all(all, 3, over, &err), err, ERR_CONFLICT, "dry run again");
    for (int i = 0; i < 3; i++)
        end(&f[i]);
}

/* Restored to LSN 25 a moment ago, not backed up since: the tail begins on the old fork and crosses over. */
static void test_crosses_over(void **state) {
    struct fixture f;
    struct err err;
    (void)state;
    begin(&f);
    struct target_db *db = db_of(&f);
    db->state.recovery_fork_guid = G(FORK_B);
    db->state.last_log_backup_lsn = L(20);
    db->state.log_end_lsn = L(29);
    db->first_fork = G(FORK_A);
    db->fork_point = L(25);
    assert_decides(&f, RESTORE_OVER_TAIL, RESTORE_LOSS_NONE);
    struct backup tail = on_fork(make_log(9, 20, 29, 41), FORK_A, FORK_B, 25);
    assert_succeeds(restore_guard_tail_joins(&f.view, &tail, &err), err);
    tail = on_fork(make_log(9, 31, 39, 41), FORK_A, FORK_B, 35);
    assert_fails(restore_guard_tail_joins(&f.view, &tail, &err), err, ERR_DATA_LOSS, "missing");
    tail = on_fork(make_log(9, 5, 39, 41), FORK_A, FORK_B, 11); /* before anything that the store can restore */
    assert_fails(restore_guard_tail_joins(&f.view, &tail, &err), err, ERR_DATA_LOSS, "missing");
    tail = on_fork(make_log(9, 21, 29, 41), FORK_A, FORK_B, 25); /* no backup ends where it could be joined to */
    assert_fails(restore_guard_tail_joins(&f.view, &tail, &err), err, ERR_DATA_LOSS, "missing");
    db->state.last_log_backup_lsn = L(21);
    assert_decides(&f, RESTORE_OVER_TOKEN, RESTORE_LOSS_OTHER_FORK);
    db->state.last_log_backup_lsn = L(20);
    f.view.server = "another";
    assert_decides(&f, RESTORE_OVER_TOKEN, RESTORE_LOSS_OTHER_SERVER);
    f.view.server = "sql-0";
    db->first_fork = G(FORK_C); /* from a fork that the store does not know */
    assert_decides(&f, RESTORE_OVER_TOKEN, RESTORE_LOSS_OTHER_FORK);
    db->first_fork = G(FORK_A);
    db->fork_point = L(35); /* beyond what it has, and so is the beginning */
    db->state.last_log_backup_lsn = L(33);
    assert_decides(&f, RESTORE_OVER_TOKEN, RESTORE_LOSS_OTHER_FORK);
    db->state.last_log_backup_lsn = L(36); /* it was backed up behind the fork point: by whom? */
    db->fork_point = L(25);
    assert_decides(&f, RESTORE_OVER_TOKEN, RESTORE_LOSS_OTHER_FORK);
    end(&f);
}

static void test_healed(void **state) {
    struct fixture f;
    (void)state;
    begin(&f); /* somebody took a log, a full of ours came behind it: the tail joins that one */
    foreign_log(db_of(&f));
    f.sets[3] = make_full(4, 36, 38, 50);
    f.view.set_count = 4;
    db_of(&f)->state.log_end_lsn = L(45);
    db_of(&f)->state.differential_base_guid = G(4);
    assert_decides(&f, RESTORE_OVER_TAIL, RESTORE_LOSS_NONE);
    end(&f);
    begin(&f); /* nothing of it in the store */
    f.view.set_count = 0;
    assert_decides(&f, RESTORE_OVER_TOKEN, RESTORE_LOSS_OTHER_FORK);
    assert_non_null(strstr(decide(&f).text, "all of it would be lost"));
    end(&f);
    begin(&f); /* logs without their full */
    f.view.sets = f.sets + 1;
    f.view.set_count = 2;
    assert_decides(&f, RESTORE_OVER_TOKEN, RESTORE_LOSS_NEWER);
    end(&f);
}

/* A clone of the server's volume has the same identity: its tail must not get into the chain of the original. */
static void test_copy(void **state) {
    struct fixture f;
    (void)state;
    begin(&f);
    f.view.server = "sql-prod-0";
    assert_decides(&f, RESTORE_OVER_TOKEN, RESTORE_LOSS_OTHER_SERVER);
    assert_true(decide(&f).replace);
    foreign_log(db_of(&f));
    assert_decides(&f, RESTORE_OVER_TOKEN, RESTORE_LOSS_NEWER);
    assert_false(decide(&f).tail);
    other_fork(db_of(&f));
    assert_decides(&f, RESTORE_OVER_TOKEN, RESTORE_LOSS_OTHER_FORK);
    assert_false(decide(&f).tail);
    end(&f);
}

static void test_refused(void **state) {
    struct fixture f;
    struct err err;
    (void)state;
    for (int i = 0; i < 6; i++) {
        begin(&f);
        struct target_db *db = db_of(&f);
        db->info.system = i == 0;
        db->info.in_group = i == 1;
        db->info.snapshot = i == 2;
        db->has_snapshots = i == 3;
        if (i == 4)
            db->info.state = SQL_DB_RECOVERING;
        if (i == 5)
            db->info.state = SQL_DB_OFFLINE_SECONDARY;
        assert_decides(&f, RESTORE_OVER_REFUSED, RESTORE_LOSS_NONE);
        struct restore_guard g = decide(&f);
        assert_fails(restore_guard_allow(&f.view, &g, "0000-0000-0000", &err), err, ERR_STATE, "database 'sales' ");
        end(&f);
    }
}

/* Everything that a person would want to know changes the token; what goes on all the time does not. */
static void test_token(void **state) {
    struct fixture f;
    struct err err;
    (void)state;
    begin(&f);
    foreign_log(db_of(&f));
    struct restore_guard first = decide(&f);
    assert_int_equal(strlen(first.token), 14);
    db_of(&f)->state.log_end_lsn = L(99); /* people go on working */
    db_of(&f)->state.sampled_at = SEC(999);
    db_of(&f)->state.last_log_backup_lsn = L(36); /* one more log behind the hole: what is lost stays the same */
    assert_string_equal(decide(&f).token, first.token);
    end(&f);
    for (int i = 0; i < 9; i++) {
        begin(&f);
        foreign_log(db_of(&f));
        struct target_db *db = db_of(&f);
        switch (i) {
        case 0:
            db->state.recovery_fork_guid = G(FORK_B); /* restored meanwhile */
            break;
        case 1:
            db->state.database_guid = G(0xDC);
            break;
        case 2:
            db->info.created_at = SEC(2); /* dropped and made again */
            break;
        case 3:
            f.view.wanted = "sales~fa000000 2026-11-21T02:48:00Z 1";
            break;
        case 4:
            str_copy(f.target.server.machine, sizeof(f.target.server.machine), "sql-1");
            break;
        case 5:
            simple(db); /* another loss */
            break;
        case 6:
            f.sets[3] = make_full(4, 31, 32, 33); /* less is lost now */
            f.view.set_count = 4;
            break;
        case 7:
            db->state.family_guid = G(0xEE);
            break;
        default:
            f.view.now += 2 * CLOCK_DAY;
            break;
        }
        struct restore_guard g = decide(&f);
        assert_string_not_equal(g.token, first.token);
        assert_fails(restore_guard_allow(&f.view, &g, first.token, &err), err, ERR_CONFLICT, "what would be lost now");
        end(&f);
    }
    begin(&f); /* until the end of the next day, in any case of letters */
    foreign_log(db_of(&f));
    f.view.now += CLOCK_DAY;
    struct restore_guard g = decide(&f);
    assert_string_not_equal(g.token, first.token);
    for (char *p = first.token; *p; p++)
        *p = *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p;
    assert_succeeds(restore_guard_allow(&f.view, &g, first.token, &err), err);
    end(&f);
}

static void test_no_tail(void **state) {
    struct fixture f;
    struct err err, why;
    (void)state;
    begin(&f);
    struct restore_guard g = decide(&f);
    err_clear(&why);
    err_sql(&why, ERR_IO, 3201, 16, "Cannot open backup device");
    assert_fails(restore_guard_no_tail(&f.view, &g, "", &why, &err), err, ERR_DATA_LOSS, "Cannot open backup device");
    assert_non_null(strstr(err.text, g.tail_token));
    assert_non_null(strstr(err.text, "1970-01-01T00:00:30Z"));
    assert_int_equal(err.sql_number, 3201);
    assert_true(g.tail && !g.replace);
    assert_fails(restore_guard_no_tail(&f.view, &g, "1111-2222-3333", &why, &err), err, ERR_DATA_LOSS, "does not save");
    char token[RESTORE_TOKEN_MAX];
    str_copy(token, sizeof(token), g.tail_token);
    struct restore_guard later = {.over = RESTORE_OVER_NOTHING}; /* of a process that goes on */
    assert_fails(restore_guard_no_tail(&f.view, &later, "", &why, &err), err, ERR_DATA_LOSS, "WITH RECOVERY");
    f.view.there = NULL; /* and it is gone */
    assert_fails(restore_guard_no_tail(&f.view, &later, token, &why, &err), err, ERR_DATA_LOSS, "WITH RECOVERY");
    f.view.there = db_of(&f);
    assert_succeeds(restore_guard_no_tail(&f.view, &g, token, &why, &err), err);
    assert_true(!g.tail && g.replace && g.over == RESTORE_OVER_TOKEN && g.loss == RESTORE_LOSS_TAIL_FAILED);
    end(&f);

    begin(&f); /* the loss was acknowledged before, the tail was a favour */
    foreign_log(db_of(&f));
    g = decide(&f);
    assert_true(g.tail);
    assert_succeeds(restore_guard_no_tail(&f.view, &g, g.token, &why, &err), err);
    assert_true(!g.tail && g.replace && g.loss == RESTORE_LOSS_NEWER);
    end(&f);
}

static void test_damaged(void **state) {
    struct fixture f;
    struct err err;
    (void)state;
    for (int i = 0; i < 2; i++) {
        begin(&f);
        db_of(&f)->info.state = i ? SQL_DB_SUSPECT : SQL_DB_RECOVERY_PENDING;
        db_of(&f)->state = (struct chain_server_state){0};
        assert_decides(&f, RESTORE_OVER_TAIL, RESTORE_LOSS_NONE);
        struct restore_guard g = decide(&f);
        assert_true(g.tail && g.tail_damaged && g.replace && !g.evict);
        assert_succeeds(restore_guard_allow(&f.view, &g, "", &err), err);
        end(&f);
    }
}

static void test_joins(void **state) {
    struct fixture f;
    struct err err;
    (void)state;
    begin(&f);
    struct backup tail = make_log(9, 30, 36, 41);
    assert_succeeds(restore_guard_tail_joins(&f.view, &tail, &err), err);
    tail = make_log(9, 30, 30, 41); /* nothing was committed */
    assert_succeeds(restore_guard_tail_joins(&f.view, &tail, &err), err);
    tail = make_log(9, 25, 36, 41); /* an overlap is none the worse */
    assert_succeeds(restore_guard_tail_joins(&f.view, &tail, &err), err);
    tail = make_log(9, 31, 36, 41);
    assert_fails(restore_guard_tail_joins(&f.view, &tail, &err), err, ERR_DATA_LOSS, "a log backup between is missing");
    tail = on_fork(make_log(9, 30, 36, 41), FORK_B, FORK_B, 0);
    assert_fails(restore_guard_tail_joins(&f.view, &tail, &err), err, ERR_DATA_LOSS, "another recovery fork");
    tail = make_log(9, 30, 36, 41);
    tail.family_guid = G(0xEE);
    assert_fails(restore_guard_tail_joins(&f.view, &tail, &err), err, ERR_DATA_LOSS, "another database");
    tail = make_log(9, 30, 36, 41);
    f.view.sets = f.sets + 1; /* without the full */
    f.view.set_count = 2;
    assert_fails(restore_guard_tail_joins(&f.view, &tail, &err), err, ERR_DATA_LOSS, "missing");
    f.view.set_count = 0;
    assert_fails(restore_guard_tail_joins(&f.view, &tail, &err), err, ERR_DATA_LOSS, "missing");
    end(&f);
}

/* Restored twice within one second: the dates do not say which fork is the newer one, and one's LSNs are lower. */
static void test_siblings(void **state) {
    struct fixture f;
    struct err err;
    (void)state;
    begin(&f);
    struct target_db *db = db_of(&f);
    f.sets[3] = on_fork(make_full(4, 26, 28, 50), FORK_B, FORK_B, 0);
    f.sets[4] = on_fork(make_log(5, 28, 36, 50), FORK_B, FORK_B, 0);
    f.sets[5] = on_fork(make_full(6, 23, 25, 50), FORK_C, FORK_C, 0);
    f.sets[6] = on_fork(make_log(7, 25, 27, 50), FORK_C, FORK_C, 0);
    f.view.set_count = 7;
    db->state.recovery_fork_guid = G(FORK_C);
    db->state.last_log_backup_lsn = L(27);
    db->state.log_end_lsn = L(29);
    db->state.differential_base_guid = G(6);
    assert_decides(&f, RESTORE_OVER_TAIL, RESTORE_LOSS_NONE);
    struct backup tail = on_fork(make_log(9, 27, 29, 60), FORK_C, FORK_C, 0);
    assert_succeeds(restore_guard_tail_joins(&f.view, &tail, &err), err);
    tail = on_fork(make_log(9, 28, 29, 60), FORK_C, FORK_C, 0);
    assert_fails(restore_guard_tail_joins(&f.view, &tail, &err), err, ERR_DATA_LOSS, "missing");
    db->state.last_log_backup_lsn = L(28); /* somebody took a log of it */
    assert_decides(&f, RESTORE_OVER_TOKEN, RESTORE_LOSS_NEWER);
    db->state.recovery_fork_guid = G(FORK_B);
    db->state.last_log_backup_lsn = L(36);
    db->state.log_end_lsn = L(37);
    db->state.differential_base_guid = G(4);
    assert_decides(&f, RESTORE_OVER_TAIL, RESTORE_LOSS_NONE);
    db->state.recovery_fork_guid = G(FORK_A); /* the volume of before came back: its tail joins what it left */
    db->state.last_log_backup_lsn = L(30);
    db->state.log_end_lsn = L(33);
    db->state.differential_base_guid = G(1);
    assert_decides(&f, RESTORE_OVER_TAIL, RESTORE_LOSS_NONE);
    end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),    cmocka_unit_test(test_nothing_there), cmocka_unit_test(test_tail),
        cmocka_unit_test(test_losses),   cmocka_unit_test(test_safe),          cmocka_unit_test(test_lsns_of_something_else),
        cmocka_unit_test(test_several),  cmocka_unit_test(test_crosses_over),  cmocka_unit_test(test_healed),
        cmocka_unit_test(test_copy),     cmocka_unit_test(test_refused),       cmocka_unit_test(test_token),
        cmocka_unit_test(test_no_tail),  cmocka_unit_test(test_damaged),       cmocka_unit_test(test_joins),
        cmocka_unit_test(test_siblings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
