/* SPDX-License-Identifier: Apache-2.0 */
/* A request in the journal. */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/request.h"

static json_t *wish_to_json(const struct restore_wish *w) {
    json_t *moves = json_array();
    for (size_t i = 0; i < w->move_count; i++)
        json_array_append_new(moves, json_pack("{s:s,s:s}", "logical", w->moves[i].logical, "physical", w->moves[i].physical));
    return json_pack("{s:s,s:s,s:o}", "database", w->database, "as", w->as, "moves", moves);
}

json_t *restore_request_to_json(const struct restore_request *r) {
    char target[CHAIN_TARGET_TEXT_MAX];
    json_t *wishes = json_array();
    for (size_t i = 0; i < r->wish_count; i++)
        json_array_append_new(wishes, wish_to_json(&r->wishes[i]));
    return json_pack("{s:s,s:s,s:s,s:o,s:s,s:s,s:s,s:s,s:b,s:b,s:b,s:b,s:s,s:I,s:I,s:I}", "id", r->id, "scope", r->scope,
                     "target", chain_target_format(target, &r->target), "databases", wishes, "dataDir", r->data_dir, "logDir",
                     r->log_dir, "finish", restore_finish_name(r->finish), "standbyDir", r->standby_dir, "keepCdc", r->keep_cdc,
                     "keepReplication", r->keep_replication, "reapplyOptions", r->reapply_options, "check", r->check, "token",
                     r->token, "parallel", (json_int_t)r->parallel, "stuckAfterMs", (json_int_t)r->stuck_after_ms, "requestedAt",
                     (json_int_t)r->requested_at);
}

static int bad(struct err *err, const char *what) {
    return err_set(err, ERR_CORRUPT, "request of a restore: %s", what);
}

static int wish_from_json(struct restore_request *r, const json_t *json, struct err *err) {
    const char *database, *as;
    json_t *moves, *move;
    size_t i;
    if (json_unpack((json_t *)(uintptr_t)json, "{s:s,s:s,s:o}", "database", &database, "as", &as, "moves", &moves) < 0 ||
        !json_is_array(moves))
        return bad(err, "a database is not described as it should be");
    struct restore_wish *w = restore_request_add_wish(r, database, as);
    json_array_foreach(moves, i, move) {
        const char *logical, *physical;
        if (json_unpack(move, "{s:s,s:s}", "logical", &logical, "physical", &physical) < 0)
            return bad(err, "a file to move is not described as it should be");
        restore_wish_add_move(w, logical, physical);
    }
    return 0;
}

static int wishes_from_json(struct restore_request *r, const json_t *list, struct err *err) {
    size_t i;
    json_t *one;
    if (!json_is_array(list))
        return bad(err, "no list of databases");
    json_array_foreach(list, i, one) if (wish_from_json(r, one, err) < 0) return -1;
    return 0;
}

static int from_json(json_t *json, struct restore_request *r, struct err *err) {
    const char *id, *scope, *target, *data_dir, *log_dir, *finish, *standby_dir, *token;
    int keep_cdc, keep_replication, reapply, check;
    json_int_t parallel, stuck, requested;
    json_t *wishes;
    if (json_unpack(json, "{s:s,s:s,s:s,s:o,s:s,s:s,s:s,s:s,s:b,s:b,s:b,s:b,s:s,s:I,s:I,s:I}", "id", &id, "scope", &scope,
                    "target", &target, "databases", &wishes, "dataDir", &data_dir, "logDir", &log_dir, "finish", &finish,
                    "standbyDir", &standby_dir, "keepCdc", &keep_cdc, "keepReplication", &keep_replication, "reapplyOptions",
                    &reapply, "check", &check, "token", &token, "parallel", &parallel, "stuckAfterMs", &stuck, "requestedAt",
                    &requested) < 0)
        return bad(err, "a member is missing or of another type");
    if (!str_copy(r->id, sizeof(r->id), id) || !str_copy(r->token, sizeof(r->token), token) ||
        !restore_finish_parse(finish, &r->finish) || parallel < 0 || parallel > RESTORE_PARALLEL_MAX)
        return bad(err, "a value that cannot be");
    if (chain_target_parse(target, &r->target, err) < 0)
        return -1;
    restore_request_set(&r->scope, scope);
    restore_request_set(&r->data_dir, data_dir);
    restore_request_set(&r->log_dir, log_dir);
    restore_request_set(&r->standby_dir, standby_dir);
    r->keep_cdc = keep_cdc;
    r->keep_replication = keep_replication;
    r->reapply_options = reapply;
    r->check = check;
    r->parallel = (unsigned)parallel;
    r->stuck_after_ms = stuck;
    r->requested_at = requested;
    return wishes_from_json(r, wishes, err);
}

int restore_request_from_json(const json_t *json, struct restore_request *ret_request, struct err *err) {
    struct restore_request r;
    restore_request_init(&r);
    if (from_json((json_t *)(uintptr_t)json, &r, err) < 0) {
        restore_request_done(&r);
        return -1;
    }
    *ret_request = r;
    return 0;
}
