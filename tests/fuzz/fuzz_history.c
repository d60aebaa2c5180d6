/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a backup history. What is read is in order: sets in databases, files in sets; the same whether it comes at once or byte
 * by byte; and windows and plans can be made of it, whatever it says. The first byte chooses how much comes at once.
 */
#include <string.h>

#include "cli/history.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/chain/plan.h"
#include "tests/fuzz/fuzz.h"

struct bytes {
    const uint8_t *data;
    size_t len, at, step;
};

static ssize_t get(void *user, void *dst, size_t len, struct err *err) {
    struct bytes *b = user;
    (void)err;
    size_t n = b->len - b->at;
    n = n < len ? n : len;
    n = n < b->step ? n : b->step;
    memcpy(dst, b->data + b->at, n);
    b->at += n;
    return (ssize_t)n;
}

static int take(const uint8_t *data, size_t len, size_t step, struct history *ret_history, struct err *err) {
    struct bytes bytes = {data, len, 0, step};
    struct history_source source = {.name = "fuzz", .read = get, .user = &bytes};
    return history_read(&source, ret_history, err);
}

static void check_set(const struct history *h, const struct history_database *d, size_t i) {
    const struct backup *b = &h->sets[i];
    const struct history_set *s = &h->details[i];
    must(!guid_is_zero(&b->set_guid), "a set has an identity");
    must(lsn_cmp(b->first_lsn, b->last_lsn) <= 0, "a set ends behind its beginning");
    must(b->kind < BACKUP_KIND_COUNT && b->position >= 1 && b->stripes >= 1, "a set is of a kind, at a place");
    must(*s->database != 0, "a set has a database");
    must(guid_eq(&b->family_guid, &d->family), "a database has one family");
    must(backup_has(b, BACKUP_FOREIGN) == (i >= d->foreign), "foreign sets are the last ones");
    for (uint32_t k = 0; k < s->file_count; k++)
        must(s->first_file + k < h->file_count && h->files[s->first_file + k].set == i, "files are the set's own");
}

static void use(const struct history *h, const struct history_database *d) {
    struct chain_history order;
    struct chain_intervals intervals;
    struct chain_plan plan;
    struct chain_refusal refusal = {0};
    chain_history_init(&order, h->sets + d->begin, d->foreign - d->begin);
    struct chain_interval_input input = {.history = &order};
    chain_intervals_build(&input, &intervals);
    struct chain_plan_request request = {.history = &order, .target = {.kind = CHAIN_TO_LATEST}};
    if (chain_plan_build(&request, &plan, &refusal)) {
        must(plan.count > 0 && plan.members[0].kind == BACKUP_FULL, "a plan begins with a full");
        chain_plan_done(&plan);
    } else {
        must(refusal.reason != CHAIN_REFUSED_NONE && refusal.text[0], "a refusal says why");
    }
    chain_intervals_done(&intervals);
    chain_history_done(&order);
}

static void check(const struct history *h) {
    size_t at = 0;
    for (size_t i = 0; i < h->database_count; i++) {
        const struct history_database *d = &h->databases[i];
        must(d->begin == at && d->begin <= d->foreign && d->foreign <= d->end && d->begin < d->end,
             "databases follow each other");
        must(*d->name != 0, "a database has a name");
        for (; at < d->end; at++)
            check_set(h, d, at);
        use(h, d);
    }
    must(at == h->count, "every set is of a database");
    must(h->count + h->other_kinds + h->incomplete <= h->rows, "every set has a row");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct history h, again;
    struct err err = {0}, other = {0};
    if (!size)
        return 0;
    size_t step = data[0] ? data[0] : 65536;
    int rc = take(data + 1, size - 1, step, &h, &err);
    int same = take(data + 1, size - 1, 1, &again, &other);
    must(rc == same, "pieces change nothing");
    if (rc < 0) {
        must(err.class == ERR_CORRUPT && str_starts(err.text, "fuzz: "), "an error says where");
        must(!strcmp(err.text, other.text), "the same error, whatever the pieces");
        return 0;
    }
    must(h.count == again.count && h.database_count == again.database_count && h.file_count == again.file_count, "the same sets");
    check(&h);
    history_done(&h);
    history_done(&again);
    return 0;
}
