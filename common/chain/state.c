/* SPDX-License-Identifier: Apache-2.0 */
#include "common/chain/state.h"

#include <string.h>

#include "common/base/str.h"

static const char *const state_names[CHAIN_STATE_COUNT] = {
    [CHAIN_INTACT] = "Intact", [CHAIN_AWAITING_FIRST_FULL] = "AwaitingFirstFull",
    [CHAIN_BROKEN] = "Broken", [CHAIN_NOT_FULL_RECOVERY] = "NotFullRecovery",
    [CHAIN_PAUSED] = "Paused",
};

const char *chain_state_name(enum chain_state state) {
    return (unsigned)state < CHAIN_STATE_COUNT ? state_names[state] : "Unknown";
}

bool chain_state_parse(const char *s, enum chain_state *ret_state) {
    for (unsigned i = 0; i < CHAIN_STATE_COUNT; i++) {
        if (!strcmp(s, state_names[i])) {
            *ret_state = (enum chain_state)i;
            return true;
        }
    }
    return false;
}

static enum chain_state state_of_reason(enum chain_reason reason) {
    switch (reason) {
    case CHAIN_REASON_NONE:
    case CHAIN_REASON_BASE_MOVED:
        return CHAIN_INTACT;
    case CHAIN_REASON_SIMPLE:
        return CHAIN_NOT_FULL_RECOVERY;
    default:
        return CHAIN_BROKEN;
    }
}

/* The state stays what it was while the server tells nothing. */
static void state_unreadable(const struct chain_view *v, const struct chain_diagnosis *d, struct chain_status *st) {
    struct lsn reach;
    st->reason = d->reason;
    if (v->memory->since)
        st->state = v->memory->state;
    else
        st->state = chain_tip_reach(v->tip, &reach) ? CHAIN_INTACT : CHAIN_AWAITING_FIRST_FULL;
    chain_reason_text(st->text, d->reason, NULL, "the state is what was seen last");
}

static void state_paused(const struct chain_view *v, struct chain_status *st) {
    st->state = CHAIN_PAUSED;
    st->reason = CHAIN_REASON_PAUSED;
    st->since = v->memory->paused_at;
    str_copy(st->who, sizeof(st->who), v->memory->paused_by);
    chain_reason_text(st->text, st->reason, NULL, v->memory->paused_reason);
}

static void state_readable(const struct chain_diagnosis *d, struct chain_status *st) {
    const struct chain_hole *blame = d->has_hole ? &d->hole : NULL;
    const char *next = NULL;
    st->reason = d->reason;
    if (!st->reason && d->base_moved) {
        st->reason = CHAIN_REASON_BASE_MOVED;
        blame = &d->moved;
        next = "logs go on, the next differential becomes a full backup";
    }
    st->state = d->first_full ? CHAIN_AWAITING_FIRST_FULL : state_of_reason(st->reason);
    st->has_hole = d->has_hole;
    st->hole = d->hole;
    if (blame && st->reason) {
        str_copy(st->who, sizeof(st->who), blame->who);
        str_copy(st->device, sizeof(st->device), blame->device);
        st->since = blame->cause_at;
    }
    chain_reason_text(st->text, st->reason, st->reason ? blame : NULL, next);
}

void chain_state_of(const struct chain_view *view, int64_t now, struct chain_status *ret_status) {
    struct chain_status st = {0};
    struct chain_diagnosis d;
    chain_diagnose(view, &d);
    if (view->memory->paused)
        state_paused(view, &st);
    else if (!d.readable)
        state_unreadable(view, &d, &st);
    else
        state_readable(&d, &st);
    bool kept = view->memory->since && view->memory->state == st.state && (view->memory->reason == st.reason || !d.readable);
    if (!st.since)
        st.since = kept ? view->memory->since : now;
    *ret_status = st;
}
