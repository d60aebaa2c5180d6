/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's own parts.
 *
 *     select.c    which chain of the source each wish means, its plan and where its files go
 *     assess.c    the target: guard, checks, room
 *     going_on.c  may the journal of an earlier process be gone on with?
 *     execute.c   one database, step by step
 *     stand.c     where it stands on the server, and whose it is
 *     roll.c      its backups, one RESTORE after the other, and ways around trouble
 *     tailing.c   the tail of a database in place
 *     engine.c    all databases of a restore
 */
#ifndef MSSQL_RESTORE_ENGINE_INT_H
#define MSSQL_RESTORE_ENGINE_INT_H

#include "common/base/clock.h"
#include "common/restore/after.h"
#include "common/restore/apply.h"
#include "common/restore/check.h"
#include "common/restore/fetch.h"
#include "common/restore/guard.h"
#include "common/restore/journal.h"
#include "common/restore/place.h"
#include "common/restore/probe.h"
#include "common/restore/restore.h"
#include "common/restore/tail.h"

struct engine;

/* One database. */
struct item {
    struct engine *engine;
    unsigned index;
    struct restore_wish wish; /* borrowed strings */
    struct restore_entry *entry; /* NULL in a dry run */
    bool resumed; /* the journal is of an earlier process */

    struct source_database source;
    char target[SQL_NAME_MAX];
    struct source_history history; /* until the plan is made; with a tail until it is shipped */
    bool loaded;
    struct backup *relatives; /* of the whole family, for the guard of a database in place; NULL: none is there */
    size_t relative_count;
    struct guid *avoid; /* sets found damaged or missing in this life: somebody may have mended the store since the last one */
    size_t avoid_count;
    char bad[512]; /* the last one, in words */
    bool said_hole, said_unreadable, said_before_path;

    bool planned;
    bool provisional; /* the target is newer than the backups: the tail will have it */
    struct err refusal; /* what was said to that */
    enum chain_refusal_reason refused;
    bool from_start; /* the plan begins with a full */
    struct chain_plan plan; /* members[i].set is an index of `sets` */
    struct backup *sets;
    uint64_t largest_bytes; /* of one staged backup */
    struct manifest last; /* of the newest data backup that is restored */
    bool has_last;
    struct restore_file *files;
    size_t file_count;

    struct restore_guard guard;
    char server[SQL_NAME_MAX]; /* that took the newest backup; "" unknown */
    char wanted[NAME_FOLDER_MAX + CHAIN_TARGET_TEXT_MAX + GUID_TEXT_MAX + 8];
    bool ours_there; /* what is on the server under this name was begun by this restore */
    struct restore_identity there; /* as last looked at */
    bool foreign; /* that look found somebody else's: nothing is done to it */
    bool reopened; /* a database whose tail was taken is open: that is taken again */
    bool evicted; /* by this process */

    struct apply apply;
    bool connected;
    char **known; /* logical names of files that the database has already */
    size_t known_count;
    unsigned plans; /* made so far: names of staged files */
    unsigned restarts; /* from a full, because what was there did not fit */
    atomic_uint_fast64_t fetched_bytes;
    uint64_t total_bytes, applied_bytes;
    unsigned member;
    struct restore_result *result;
    struct restore_lines warnings, next;
};

struct engine {
    const struct restore_env *env;
    struct restore_request request;
    struct restore_journal journal;
    bool has_journal;
    bool dry_run;
    struct restore_target target;
    struct sql_session *session; /* while databases are chosen and looked at; NULL later */
    struct item *items;
    size_t count, cap;
    struct restore_staging staging;
    struct restore_budget budget;
    bool has_budget;
    pthread_mutex_t lock; /* callbacks; files of the items */
    int64_t begun_us;
    struct restore_report *report;
};

static inline int64_t engine_ms(const struct engine *e) {
    return (clock_mono_us() - e->begun_us) / 1000;
}
bool engine_cancelled(const struct engine *e);
/* Around every change of an entry while databases run: another one's step may be writing the journal just now. */
static inline void item_edit(struct item *item) {
    if (item->engine->has_journal)
        pthread_mutex_lock(&item->engine->journal.lock);
}
static inline void item_edited(struct item *item) {
    if (item->engine->has_journal)
        pthread_mutex_unlock(&item->engine->journal.lock);
}
/* Progress of an item; message may be NULL. */
void engine_progress(struct item *item, enum restore_step step, enum backup_kind kind, double percent, const char *message);
void engine_log(struct item *item, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* select.c */
int select_items(struct engine *e, struct err *err) ERR_CHECK;
/* Of an entry of the journal: by its folder, nothing is chosen. */
int select_entry(struct engine *e, struct restore_entry *entry, const struct source_list *list, struct err *err) ERR_CHECK;
/* (Re)loads the history and plans; resume may be NULL. Sets that are found missing are avoided and it is planned again. */
int select_plan(struct item *item, const struct chain_resume *resume, struct err *err) ERR_CHECK;
void select_avoid(struct item *item, const struct guid *set);
void item_done(struct item *item);
void item_drop_history(struct item *item);
/* family.c: what the source has of the family, in other folders, too. */
int family_load(struct item *it, struct err *err) ERR_CHECK;

/* going_on.c */
void going_on_server(const struct engine *e, struct restore_server *ret_server);
int going_on_scope(const struct engine *e, struct err *err) ERR_CHECK;
int going_on_check(const struct engine *e, struct err *err) ERR_CHECK;

/* assess.c */
int assess_all(struct engine *e, struct sql_session *session, struct err *err) ERR_CHECK;
void assess_view(const struct item *item, struct restore_guard_view *ret_view);
/* The most that staged files may take: what was asked for, else most of what is free. */
uint64_t assess_staging(const struct engine *e, uint64_t *ret_free);

/* tailing.c */
int tail_take(struct item *item, struct err *err) ERR_CHECK;
int tail_ship(struct item *item, struct err *err) ERR_CHECK;
/* After a crash at EVICTED: what became of it. The step is TAIL_TAKEN or CHECKED afterwards. */
int tail_settle(struct item *item, struct err *err) ERR_CHECK;
/* The database is open again, with everything that its tail had, and the tail's file is bad: the step is CHECKED. The file stays. */
int tail_give_up(struct item *item, struct err *err) ERR_CHECK;
void tail_on_evicted(void *user, const char *who); /* user: the item */
/* A tail that was shipped, and the database is open all the same: the BACKUP was not finished, or somebody opened it since. Its
 * commits go on, so it is as if it had not been evicted: the step is CHECKED then, and *ret_again says so. */
int tail_reconsider(struct item *item, bool *ret_again, struct err *err) ERR_CHECK;

/* roll.c */
/* All backups are applied when it returns 0. */
int roll_forward(struct item *item, struct err *err) ERR_CHECK;
int roll_connect(struct item *item, bool wait, struct err *err) ERR_CHECK;

/* stand.c */
enum stand {
    STAND_ABSENT,
    STAND_BEFORE, /* what was judged, unchanged */
    STAND_REOPENED, /* that too, but open although its tail was taken, or could not be taken whole */
    STAND_RESTORING, /* this one and the next three are proven to be ours */
    STAND_ONLINE,
    STAND_STANDBY,
    STAND_OTHER, /* neither open nor RESTORING */
    STAND_FOREIGN, /* somebody else's */
};
int stand_look(struct item *item, enum stand *ret_stand, struct chain_resume *ret_resume, struct err *err) ERR_CHECK;
/* What is said when it is not what it should be; -1. */
int stand_refuse(struct item *item, enum stand stand, struct err *err);
/* Right before a full is restored: what is there may be replaced, and the entry says what it is. */
int stand_before_base(struct item *item, struct err *err) ERR_CHECK;
/* Right after a full or differential one: from now on it is this one that is ours. */
int stand_after_data(struct item *item, struct err *err) ERR_CHECK;
/* Logical names of the files that it has. */
void stand_forget_known(struct item *item);
bool stand_knows(const struct item *item, const char *logical);
void stand_learn(struct item *item, const char *logical);

/* execute.c */
void execute_item(struct item *item);

/* report.c */
void report_plan(struct item *item);
void report_refused(struct item *item, const struct err *why); /* nothing was changed */
void report_end(struct item *item, enum restore_step outcome, const struct err *why);
void report_told(struct item *item); /* finished in an earlier life */

#endif
