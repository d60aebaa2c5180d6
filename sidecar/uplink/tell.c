/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling the status. What is news (common/api/digest.h) goes out at once, figures once a minute. What was told is known by its digest and
 * the hash of its bytes; it counts as told when the stream has taken it, so a full stream only makes it later.
 */
#include <stdlib.h>
#include <string.h>

#include "common/api/digest.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "sidecar/conditions.h"
#include "sidecar/status.h"
#include "sidecar/uplink/uplink_int.h"

#define PART_BYTES (128u * 1024)
#define FIGURES_US CLOCK_MINUTE

static uint64_t hash_of(const ProtobufCMessage *message) {
    size_t len = protobuf_c_message_get_packed_size(message);
    _cleanup_free_ uint8_t *bytes = mem_alloc(len + 1);
    uint64_t hash = 14695981039346656037u;
    protobuf_c_message_pack(message, bytes);
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * 1099511628211u;
    return hash;
}

void tell_begin(struct uplink *u) {
    u->sequence = 0;
    u->head_told = u->incomplete = false;
    u->figures_us = clock_mono_us();
    for (size_t i = 0; i < u->told_count; i++)
        mem_free(u->told[i].name);
    u->told_count = 0;
    tell_look(u);
}

void tell_done(struct uplink *u) {
    for (size_t i = 0; i < u->told_count; i++)
        mem_free(u->told[i].name);
    mem_free(u->told);
}

/* ---- parts ---- */

static bool send_part(struct uplink *u, Mssql__V1__StatusPart *part) {
    Mssql__V1__SidecarMessage m = MSSQL__V1__SIDECAR_MESSAGE__INIT;
    part->sequence = u->sequence + 1;
    m.message_case = MSSQL__V1__SIDECAR_MESSAGE__MESSAGE_STATUS;
    m.status = part;
    if (link_full(u) || link_send(u, &m) < 0)
        return false;
    u->sequence++;
    u->incomplete = !part->complete;
    return true;
}

/* The moment that it was asked at is no change. */
static uint64_t head_hash(Mssql__V1__Status *s) {
    int64_t now = s->now_at;
    s->now_at = 0;
    uint64_t hash = hash_of(&s->base);
    s->now_at = now;
    return hash;
}

/* Old restores are left out when the message would become too large. */
static void fit_head(Mssql__V1__Status *s) {
    while (s->n_restores && protobuf_c_message_get_packed_size(&s->base) > MESSAGE_BYTES_MAX)
        s->n_restores--;
}

/* What is not per database, without what only metrics need. */
static bool tell_head(struct uplink *u, Mssql__V1__Status *s, bool figures) {
    uint64_t digest = digest_head(s), hash = head_hash(s);
    if (u->head_told && digest == u->head_digest && (!figures || hash == u->head_hash))
        return true;
    Mssql__V1__StatusPart part = MSSQL__V1__STATUS_PART__INIT;
    part.first = !u->head_told;
    part.head = s;
    if (!send_part(u, &part))
        return false;
    u->head_told = true;
    u->head_digest = digest;
    u->head_hash = hash;
    return true;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct told *)a)->name, ((const struct told *)b)->name);
}

static struct told *told_of(struct uplink *u, const char *name) {
    struct told key = {.name = (char *)(uintptr_t)name};
    return u->told_count ? bsearch(&key, u->told, u->told_count, sizeof(key), by_name) : NULL;
}

static void remember(struct uplink *u, const Mssql__V1__Database *db, uint64_t digest, uint64_t hash) {
    struct told *t = told_of(u, db->name);
    if (!t) {
        u->told = mem_grow(u->told, &u->told_cap, u->told_count + 1, sizeof(*u->told));
        t = &u->told[u->told_count++];
        *t = (struct told){.name = mem_strdup(db->name), .digest = digest, .hash = hash, .seen = true};
        qsort(u->told, u->told_count, sizeof(*u->told), by_name);
        return;
    }
    t->digest = digest;
    t->hash = hash;
}

/* A batch of databases that are sent together. */
struct batch {
    Mssql__V1__Database **list;
    uint64_t *digest, *hash;
    size_t count, bytes;
};

static bool batch_send(struct uplink *u, struct batch *b) {
    Mssql__V1__StatusPart part = MSSQL__V1__STATUS_PART__INIT;
    if (!b->count)
        return true;
    part.databases = b->list;
    part.n_databases = b->count;
    if (!send_part(u, &part))
        return false;
    for (size_t i = 0; i < b->count; i++)
        remember(u, b->list[i], b->digest[i], b->hash[i]);
    b->count = b->bytes = 0;
    return true;
}

static bool tell_databases(struct uplink *u, Mssql__V1__Database **list, size_t count, bool figures) {
    _cleanup_free_ Mssql__V1__Database **room = mem_array(count + 1, sizeof(*room));
    _cleanup_free_ uint64_t *digests = mem_array(count + 1, sizeof(*digests));
    _cleanup_free_ uint64_t *hashes = mem_array(count + 1, sizeof(*hashes));
    struct batch b = {.list = room, .digest = digests, .hash = hashes};
    for (size_t i = 0; i < count; i++) {
        const struct told *t = told_of(u, list[i]->name);
        uint64_t digest = digest_database(list[i]), hash = t && !figures ? 0 : hash_of(&list[i]->base);
        if (t && t->digest == digest && (!figures || t->hash == hash))
            continue;
        b.list[b.count] = list[i];
        b.digest[b.count] = digest;
        b.hash[b.count++] = hash;
        b.bytes += protobuf_c_message_get_packed_size(&list[i]->base);
        if (b.bytes > PART_BYTES && !batch_send(u, &b))
            return false;
    }
    return batch_send(u, &b);
}

static bool tell_gone(struct uplink *u, Mssql__V1__Database *const *list, size_t count) {
    _cleanup_free_ char **names = mem_array(u->told_count + 1, sizeof(*names));
    Mssql__V1__StatusPart part = MSSQL__V1__STATUS_PART__INIT;
    for (size_t i = 0; i < u->told_count; i++)
        u->told[i].seen = false;
    for (size_t i = 0; i < count; i++) {
        struct told *t = told_of(u, list[i]->name);
        if (t)
            t->seen = true;
    }
    for (size_t i = 0; i < u->told_count; i++)
        if (!u->told[i].seen)
            names[part.n_gone++] = u->told[i].name;
    part.gone = names;
    if (part.n_gone && !send_part(u, &part))
        return false;
    size_t kept = 0;
    for (size_t i = 0; i < u->told_count; i++) {
        if (u->told[i].seen)
            u->told[kept++] = u->told[i];
        else
            mem_free(u->told[i].name);
    }
    u->told_count = kept;
    return true;
}

void tell_look(struct uplink *u) {
    int64_t us = clock_mono_us();
    bool figures = us - u->figures_us >= FIGURES_US;
    if (!u->welcomed || link_full(u))
        return;
    conditions_update(u->agent);
    Mssql__V1__Status *s = status_build(u->agent, NULL, 0, true);
    Mssql__V1__Database **databases = s->databases;
    size_t count = s->n_databases, n_counters = s->n_counters;
    s->databases = NULL;
    s->n_databases = s->n_counters = 0;
    size_t n_restores = s->n_restores;
    fit_head(s);
    Mssql__V1__StatusPart end = MSSQL__V1__STATUS_PART__INIT;
    end.complete = true;
    bool all = tell_head(u, s, figures) && tell_gone(u, databases, count) && tell_databases(u, databases, count, figures) &&
               (!u->incomplete || send_part(u, &end));
    if (all && figures)
        u->figures_us = us;
    s->databases = databases;
    s->n_databases = count;
    s->n_counters = n_counters;
    s->n_restores = n_restores;
    status_free(s);
}
