/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of a database's chain: what the tip promises against what the server says now.
 *
 * Chain state is never derived from what the server did not say. A closed (AUTO_CLOSE) or starting database has NULLs
 * in sys.database_recovery_status: that is `readable` false and breaks nothing.
 */
#ifndef MSSQL_CHAIN_STATE_H
#define MSSQL_CHAIN_STATE_H

#include "common/chain/interval.h"
#include "common/chain/tip.h"

enum chain_state {
    CHAIN_INTACT,
    CHAIN_AWAITING_FIRST_FULL,
    CHAIN_BROKEN,
    CHAIN_NOT_FULL_RECOVERY,
    CHAIN_PAUSED,
    CHAIN_STATE_COUNT,
};

/* sys.databases.recovery_model */
enum chain_model { CHAIN_MODEL_FULL = 1, CHAIN_MODEL_BULK_LOGGED = 2, CHAIN_MODEL_SIMPLE = 3 };

/* One look at the server. Zero LSNs, GUIDs and times are NULLs. */
struct chain_server_state {
    bool online; /* state = 0 and not in standby */
    enum chain_model model;
    struct lsn last_log_backup_lsn; /* start of the next log backup; zero (NULL): log backup is not possible */
    struct guid recovery_fork_guid; /* zero (NULL): the database is closed or cannot be started */
    struct guid family_guid;
    struct guid database_guid;
    struct guid differential_base_guid; /* sys.master_files, file_id 1 */
    struct lsn differential_base_lsn; /* beside it */
    struct lsn log_end_lsn; /* dm_db_log_stats; zero unknown */
    int64_t create_at; /* sys.databases.create_date in UTC */
    int64_t sampled_at; /* the server's clock, UTC, read before all of this */
    uint64_t modified_pages; /* of extents changed since the base; 0 with allocated 0: unknown */
    uint64_t allocated_pages;
    uint64_t log_since_backup_bytes;
    bool is_read_only;
    bool is_auto_close;
    bool page_verify_checksum;
    bool full_only; /* master: neither differentials nor logs */
    struct guid volume; /* identity of the data volume; zero unknown */
};

/* The newest row of msdb.dbo.restorehistory for this database. at == 0: none. */
struct chain_restore {
    int64_t at;
    char type; /* D, F, I, L, R (revert to snapshot) */
    char who[CHAIN_WHO_MAX];
};

/* What the sidecar remembers of the database beside its sets. */
struct chain_memory {
    struct guid volume; /* of the data when the last set was taken; zero unknown */
    struct lsn quiet_end_lsn; /* end of the log noted after the last log backup; zero unknown */
    bool paused;
    int64_t paused_at;
    char paused_by[CHAIN_WHO_MAX];
    char paused_reason[256];
    /* State and reason that were last reported and since when: `since` stays while they stay. */
    enum chain_state state;
    enum chain_reason reason;
    int64_t since; /* 0: nothing was reported yet */
};

/* No backup of ours may end between the look at the server and the use of the view: take looks one after the other. */
struct chain_view {
    const struct chain_tip *tip;
    const struct chain_server_state *server;
    const struct chain_memory *memory;
    const struct chain_foreign *foreign; /* rows of msdb newer than the tip, any order; may hold older ones */
    size_t foreign_count;
    struct chain_restore restore;
};

/* What is true now, before any policy. */
struct chain_diagnosis {
    bool readable; /* the server told enough to say anything */
    bool first_full; /* nothing of ours to build on */
    bool log_possible; /* BACKUP LOG can succeed */
    bool log_extends; /* and what it gives continues what we can restore */
    bool diff_heals; /* a differential taken now is restorable: its base is ours and good */
    bool new_incarnation; /* LSNs of the history may repeat: no set before joins one after */
    bool base_moved;
    enum chain_reason reason; /* why log_extends is false; NONE when it is true */
    enum chain_reason diff_reason; /* why diff_heals is false; NONE when it is true */
    bool has_hole; /* moments were lost already, also when the chain goes on behind them */
    struct chain_hole hole; /* of `reason`, open unless a base is behind it */
    struct chain_hole moved; /* who moved the differential base, when base_moved */
};

void chain_diagnose(const struct chain_view *view, struct chain_diagnosis *ret_diagnosis);

struct chain_status {
    enum chain_state state;
    enum chain_reason reason;
    int64_t since; /* the cause's time where known, else when this was first seen */
    char who[CHAIN_WHO_MAX];
    char device[CHAIN_DEVICE_MAX];
    char text[CHAIN_TEXT_MAX];
    bool has_hole;
    struct chain_hole hole;
};

/* now: wall time, for `since` of what is seen first. While the server is not readable the remembered state stays. */
void chain_state_of(const struct chain_view *view, int64_t now, struct chain_status *ret_status);

/* "Intact", "AwaitingFirstFull", "Broken", "NotFullRecovery", "Paused": condition reasons and metric labels. */
const char *chain_state_name(enum chain_state state);
bool chain_state_parse(const char *s, enum chain_state *ret_state);

#endif
