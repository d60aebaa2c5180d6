/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tip of a chain: what must stay resident of a database's history to decide about its next backup and to say what is
 * restorable now. A few hundred bytes without pointers; it may be copied, stored as it is, and compared with
 * chain_tip_eq().
 *
 * A tip is updated with one more set in constant time. Logs come in the order in which they were taken; fulls and
 * differentials may come late (a full runs for hours while logs go on), but before the next gap, and a differential after
 * its full. Built
 * from a history instead (any order) the result is the same.
 *
 * How it walks. Logs of one path that touch or overlap are a *segment* [seg_first, seg_last]. A base (usable full, or
 * differential whose full we have) inside a segment opens an interval: from there to the segment's end every moment is
 * restorable. A base beyond the segment is *pending*: whether the chain runs on through it shows when the next log comes.
 * A log that begins beyond the segment is a gap.
 */
#ifndef MSSQL_CHAIN_TIP_H
#define MSSQL_CHAIN_TIP_H

#include "common/chain/history.h"
#include "common/chain/reason.h"

#define CHAIN_PENDING_MAX 8
#define CHAIN_BASES_MAX 4
#define CHAIN_FORKS_MAX 8

/* A reachable point. */
struct chain_point {
    struct lsn lsn;
    int64_t at;
    struct guid set; /* whose end it is */
};

struct chain_mark {
    struct guid set;
    struct lsn first_lsn;
    struct lsn last_lsn;
    int64_t finish_at; /* 0: there is none */
    uint32_t flags;
};

/* A regular full of ours: what differentials may build on. */
struct chain_base {
    struct guid set;
    struct lsn last_lsn; /* zero: of another fork */
    struct lsn checkpoint_lsn;
    bool usable;
    bool unreadable; /* that is why it is not usable */
    bool off_volume;
};

struct chain_tip {
    bool known; /* at least one set of ours is in it; else all else is zero */
    struct chain_path path;
    struct guid database_guid; /* of the newest set */
    int64_t path_at; /* earliest finish on the path */

    bool has_log; /* the segment is there */
    struct lsn seg_first; /* FirstLSN of its first log */
    struct lsn seg_last; /* LastLSN of its last log: where the next log must begin */
    int64_t seg_from_at; /* when its first log began */
    int64_t seg_until_at; /* every commit up to here is in it */
    struct lsn clean_lsn; /* end of the last bulk-logged log in it, else zero */
    int64_t clean_at;
    struct lsn bulk_lsn; /* where that log began to add something */
    int64_t bulk_at;
    struct guid clean_set;
    bool begins; /* its first log began a log chain: the recovery model had left FULL */
    bool gap; /* a gap before the segment is known and counted */
    bool older; /* sets before the segment were dropped from the tip */

    bool open; /* a base is inside the segment: the interval is there */
    struct chain_point from; /* its start */
    enum chain_hole_cause cause; /* why it is not joined to what was before; NONE at the beginning */
    enum chain_hole_cause bad; /* why the newest data backup is no base, NONE when it is one */
    struct lsn bad_lsn; /* its end */
    struct lsn base_lsn; /* end of the newest data backup that is a base */

    struct guid past_forks[CHAIN_FORKS_MAX]; /* of this incarnation, newest last: they never come back */
    unsigned past_fork_count;
    struct chain_point parent[2]; /* newest reachable points of the newest past fork: a log may cross over from there */
    unsigned parent_count;

    struct lsn lost_lsn; /* newest reachable point before the newest hole; zero on another path */
    int64_t lost_at;

    struct chain_point pending[CHAIN_PENDING_MAX]; /* bases beyond the segment, by LSN */
    unsigned pending_count;

    struct lsn log_lsn; /* LastLSN of the last regular log: the server's last_log_backup_lsn after it */
    struct lsn max_lsn; /* highest LastLSN on the path: the server's log is never behind it */
    struct chain_mark last_full; /* usable or not, copy-only not counted */
    struct chain_mark last_diff;
    struct chain_mark last_log;
    struct chain_base bases[CHAIN_BASES_MAX]; /* newest last */
    unsigned base_count;

    struct lsn foreign_lsn; /* LastLSN of the newest foreign log known on this path */
    int64_t foreign_at;

    struct lsn unreadable_lsn; /* LastLSN of the newest log on this path that the store lost; zero: none */

    struct lsn off_lsn; /* highest point that copies on another volume alone reach; zero: none */
    int64_t off_until_at;
    bool off_has_log; /* as the segment, of logs with such a copy */
    struct lsn off_seg_first;
    struct lsn off_seg_last;
    int64_t off_seg_until_at;

    uint32_t holes; /* gaps in the logs seen on this path */
    uint32_t sets; /* sets of ours on this path */
};

/* What is restorable, from a tip alone. */
struct chain_window {
    bool any; /* something is restorable on the current path */
    struct chain_point from; /* start of the current interval */
    struct lsn until_lsn; /* its end without holes */
    int64_t until_at;
    struct lsn latest_lsn; /* newest reachable point: later than until when data backups wait for their log */
    int64_t latest_at;
    int64_t off_volume_until_at; /* 0: nothing on another volume */
    bool broken; /* logs are there that nothing reaches */
};

/* An empty tip. */
void chain_tip_init(struct chain_tip *tip);
/*
 * One more set, as soon as its header was read: the server's last_log_backup_lsn moved when it was taken, so a set that
 * is still staged must be in the tip when the next decision is made. Foreign sets (BACKUP_FOREIGN) are evidence only.
 */
void chain_tip_add(struct chain_tip *tip, const struct backup *set);
/* A set got a copy on another volume. Copies are made oldest first; another order understates off_until_at. */
void chain_tip_off_volume(struct chain_tip *tip, const struct backup *set);
void chain_tip_from_history(struct chain_tip *tip, const struct chain_history *history);
bool chain_tip_eq(const struct chain_tip *a, const struct chain_tip *b);

/* The newest reachable point; false when nothing is reachable. */
bool chain_tip_reach(const struct chain_tip *tip, struct lsn *ret_lsn);
/* Did the store lose the log behind that point? */
bool chain_tip_end_is_unreadable(const struct chain_tip *tip);
/* Is this full the one that differentials of the server would build on, usable for us? */
bool chain_tip_base_usable(const struct chain_tip *tip, const struct guid *base);
/* Was the database on this recovery fork before it came to the present one? Only a reverted volume goes back there. */
bool chain_tip_fork_is_past(const struct chain_tip *tip, const struct guid *fork);
/*
 * Would a log that begins here repeat what our last regular log held? Not when a data backup began a new log chain since:
 * then it begins at that one's FirstLSN, which an old open transaction can put before the last log's end.
 */
bool chain_tip_is_behind(const struct chain_tip *tip, struct lsn log_begin);
/* The newest regular full of ours; NULL when there is none. */
const struct chain_base *chain_tip_base(const struct chain_tip *tip);
/* quiet_until_at: nothing was committed between the last log and this moment, 0 when that is not known. */
void chain_tip_window(const struct chain_tip *tip, int64_t quiet_until_at, struct chain_window *ret_window);

#endif
