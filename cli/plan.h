/* SPDX-License-Identifier: Apache-2.0 */
/* A plan on the command line: of which database, made, and said. */
#ifndef MSSQL_CLI_PLAN_H
#define MSSQL_CLI_PLAN_H

#include <jansson.h>

#include "cli/origin.h"
#include "cli/script.h"
#include "common/chain/plan.h"

/* What the options of the command ask for. */
struct plan_options {
    struct chain_target target;
    char target_text[CHAIN_TARGET_TEXT_MAX];
    struct guid *avoid; /* grows by what is found missing */
    size_t avoid_count, avoid_cap;
    bool allow_damaged;
    uint64_t rate; /* bytes per second; 0: documented ones */
    struct script_move *moves; /* --move: logical and physical, on the heap */
    size_t move_count, move_cap;
};
int plan_options_read(struct cli *cli, struct plan_options *ret_options, struct err *err) ERR_CHECK;
void plan_options_done(struct plan_options *options);

/* The databases that a name means, newest first. NULL: the only one that there is. mem_free() the indexes. */
int plan_select(const struct origin *origin, const char *name, size_t **ret_indexes, size_t *ret_count,
                struct err *err) ERR_CHECK;

/* What is known of the files of one member. */
struct plan_files {
    char **names; /* of a history: whole paths; of a store: the names that export gives them */
    char **objects; /* of a store: whole names; else NULL */
    size_t count; /* 0: not known */
    struct script_move *moves; /* files of the database that no member before brought */
    size_t move_count;
    uint64_t plain_bytes; /* of all objects */
};

struct plan_made {
    struct origin *origin;
    struct origin_chain chain;
    struct chain_plan plan;
    struct plan_files *files; /* one per member */
};

/* Of the candidates the one that is meant (common/restore/candidate.h). Sets whose manifest or objects are missing are complained about
 * (cli_fail_later) and gone around. When it does not reach the target, -1 with the refusal in ret_refusal; its reason is NONE when the failure is
 * another one. */
int plan_make(struct cli *cli, struct origin *origin, struct plan_options *options, const size_t *indexes, size_t count,
              struct plan_made *ret_made, struct chain_refusal *ret_refusal, struct err *err) ERR_CHECK;
void plan_made_done(struct plan_made *made);
const struct backup *plan_set(const struct plan_made *made, size_t member);
/* Of a history: what its row said beside the set; else NULL. */
const struct history_set *plan_detail(const struct plan_made *made, size_t member);

/* "<last LSN, 25 digits>-full-20261121T024700Z-0a1b2c3d.bak", with "-s<stripe>" when there are more than one. The members of a plan are
 * in the order of these names; the same set has the same name in every plan. */
#define PLAN_NAME_MAX 112
char *plan_file_name(char dst[PLAN_NAME_MAX], const struct backup *set, size_t stripe, size_t stripes);

/* ---- how long it takes ---- */
struct plan_time {
    double seconds;
    const char *basis; /* for people: what the figure was made from */
};
struct plan_time plan_predict(const struct plan_made *made, uint64_t rate);

/* ---- said (plan_print.c) ---- */
json_t *plan_json(const struct plan_made *made, const struct plan_options *options);
json_t *plan_refusal_json(const char *database, const struct plan_options *options, const struct chain_refusal *refusal);
void plan_print(const struct cli *cli, const struct plan_made *made, const struct plan_options *options);

/* The plan as T-SQL under the name `as` (NULL: its own). folder: where the files that `export` writes are, as SQL Server sees them;
 * not used with a history, whose paths are whole. ERR_USAGE when files of a member are not known. */
int plan_script(const struct cli *cli, const struct plan_made *made, const struct plan_options *options, const char *as,
                const char *folder, struct buf *out, struct err *err) ERR_CHECK;

/* plan_remote.c: without backups that are named, the sidecar of --address is asked. */
int plan_remote(struct cli *cli, struct err *err) ERR_CHECK;

#endif
