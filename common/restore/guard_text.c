/* SPDX-License-Identifier: Apache-2.0 */
/* What the guard says, and the token: a hash over everything that it said it because of. */
#include <string.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/pipe/hash.h"
#include "common/restore/guard_int.h"

static const char *because(enum restore_loss loss) {
    switch (loss) {
    case RESTORE_LOSS_SIMPLE:
        return "is in recovery model SIMPLE, so there is no log to save";
    case RESTORE_LOSS_PSEUDO_SIMPLE:
        return "has no log chain (no full backup since it was made or left recovery model SIMPLE), so its log cannot be saved";
    case RESTORE_LOSS_NEWER:
        return "is newer than its backups: a part of its log is not in the store, so its tail would not join them";
    case RESTORE_LOSS_OTHER_FORK:
        return "went its own way since the backups: it was restored, or its volume went back, and what came after is not in the "
               "store";
    case RESTORE_LOSS_OTHER_SERVER:
        return "is a copy: the backups are of another server, and its own changes are not in the store";
    case RESTORE_LOSS_OTHER_DATABASE:
        return "is another database than the one in the backups";
    case RESTORE_LOSS_RESTORING:
        return "is in the middle of somebody else's restore, and the store does not have what is in it";
    case RESTORE_LOSS_STANDBY:
        return "is in STANDBY from somebody else's restore, and the store does not have what is in it";
    default:
        return "cannot be opened, so nobody can say what is in it and its log cannot be saved";
    }
}

static void say_loss(const struct restore_guard_view *view, struct restore_guard *g) {
    char until[CLOCK_TEXT_MAX], state[96] = "";
    if (g->loss == RESTORE_LOSS_NOT_OPEN)
        str_format(state, sizeof(state), " (%s)", view->there->info.state_text);
    if (g->loss == RESTORE_LOSS_OTHER_DATABASE || !g->kept_until_at)
        str_format(g->text, sizeof(g->text), "database '%s'%s %s: all of it would be lost", view->database, state,
                   because(g->loss));
    else
        str_format(g->text, sizeof(g->text), "database '%s'%s %s: what was committed after %s would be lost", view->database,
                   state, because(g->loss), clock_format(until, g->kept_until_at));
    if (g->tail) {
        size_t len = strlen(g->text);
        str_copy(g->text + len, sizeof(g->text) - len, " (its tail is taken and kept in case the missing part turns up)");
    }
}

void guard_say(const struct restore_guard_view *view, struct restore_guard *g) {
    switch (g->over) {
    case RESTORE_OVER_TAIL:
        str_format(
            g->text, sizeof(g->text),
            "database '%s' is replaced: its sessions are ended, then the tail of its log is taken%s and kept in the store, so "
            "nothing is lost",
            view->database, g->tail_damaged ? " as far as it can be read" : "");
        return;
    case RESTORE_OVER_SAFE:
        str_format(g->text, sizeof(g->text), "database '%s' is %s from backups that are all in the store: nothing is lost",
                   view->database, view->there->info.standby ? "in STANDBY" : "RESTORING");
        return;
    case RESTORE_OVER_TOKEN:
        say_loss(view, g);
        return;
    default:
        return;
    }
}

/* --- the token ------------------------------------------------------------------------------------------------- */

static void put_guid(struct buf *out, const struct guid *guid) {
    char text[GUID_TEXT_MAX];
    buf_printf(out, "%s\n", guid_format(text, guid));
}

void guard_token(const struct restore_guard_view *view, const struct restore_guard *g, enum restore_loss loss, int days_ago,
                 char dst[RESTORE_TOKEN_MAX]) {
    const struct target_db *there = view->there;
    const struct sql_server *server = &view->target->server;
    char lsn[LSN_TEXT_MAX], digest[HASH_TEXT_MAX];
    struct hash hash;
    struct err err;
    struct buf text;
    buf_init(&text, 64 * 1024);
    buf_printf(&text, "restore token 1\n%s\n%s\n%s\n", restore_loss_word(loss), server->name, server->machine);
    buf_printf(&text, "%s\n%d\n%lld\n%d\n", there->info.name, there->info.id, (long long)there->info.created_at,
               there->info.state);
    put_guid(&text, &there->state.database_guid);
    put_guid(&text, &there->state.family_guid);
    put_guid(&text, &there->state.recovery_fork_guid);
    put_guid(&text, &there->redo_start_fork);
    buf_printf(&text, "%s\n%lld\n", lsn_format(lsn, there->redo_start_lsn), (long long)g->kept_until_at);
    buf_printf(&text, "%s\n%lld", view->wanted ? view->wanted : "", (long long)(view->now / CLOCK_DAY - days_ago));
    dst[0] = 0;
    /* Without SHA-256 there is no token, and then nothing that needs one is done. */
    if (hash_of(text.data, text.len, &hash, &err) == 0) {
        hash_format(digest, &hash);
        str_format(dst, RESTORE_TOKEN_MAX, "%.4s-%.4s-%.4s", digest, digest + 4, digest + 8);
    }
    buf_done(&text);
}
