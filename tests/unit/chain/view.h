/* SPDX-License-Identifier: Apache-2.0 */
/* A database whose chain is intact, for tests of state, decision and check: change one thing and look. */
#ifndef MSSQL_TEST_CHAIN_VIEW_H
#define MSSQL_TEST_CHAIN_VIEW_H

#include <limits.h>

#include "common/chain/decide.h"
#include "tests/unit/chain/make.h"

#define NOW SEC(1000)

struct view_case {
    struct chain_tip tip;
    struct chain_server_state server;
    struct chain_memory memory;
    struct chain_foreign foreign[4];
    size_t foreign_count;
    struct chain_restore restore;
    struct chain_due due;
    struct chain_rules rules;
};

/* Full 1 [10,12] at 10, logs [10,20] at 20 and [20,30] at 30; the server agrees, nothing is due, healing is free. */
static inline struct view_case view_intact(void) {
    struct view_case c = {0};
    struct backup sets[] = {make_full(1, 10, 12, 10), make_log(2, 10, 20, 20), make_log(3, 20, 30, 30)};
    for (size_t i = 0; i < ARRAY_LEN(sets); i++)
        chain_tip_add(&c.tip, &sets[i]);
    c.server = (struct chain_server_state){.online = true,
                                           .model = CHAIN_MODEL_FULL,
                                           .last_log_backup_lsn = L(30),
                                           .recovery_fork_guid = G(FORK_A),
                                           .family_guid = G(FAMILY),
                                           .database_guid = G(0xDB),
                                           .differential_base_guid = G(1),
                                           .log_end_lsn = L(35),
                                           .create_at = SEC(1),
                                           .sampled_at = NOW,
                                           .allocated_pages = 1000,
                                           .modified_pages = 499,
                                           .page_verify_checksum = true,
                                           .volume = G(0x70)};
    c.memory.volume = G(0x70);
    c.rules = (struct chain_rules){
        .heal = true, .diffs = true, .window_open = true, .fulls_left = 3, .diffs_left = UINT_MAX, .max_quiet_us = CLOCK_HOUR};
    return c;
}

static inline struct chain_view view_of(const struct view_case *c) {
    return (struct chain_view){.tip = &c->tip,
                               .server = &c->server,
                               .memory = &c->memory,
                               .foreign = c->foreign,
                               .foreign_count = c->foreign_count,
                               .restore = c->restore};
}

static inline void view_foreign(struct view_case *c, struct backup set, const char *device) {
    struct chain_foreign *f = &c->foreign[c->foreign_count++];
    *f = (struct chain_foreign){.set = with(set, BACKUP_FOREIGN), .who = "CORP\\bob"};
    snprintf(f->device, sizeof(f->device), "%s", device);
}

static inline void view_add(struct view_case *c, struct backup set) {
    chain_tip_add(&c->tip, &set);
}

#endif
