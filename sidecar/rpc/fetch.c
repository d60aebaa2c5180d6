/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FetchBackup: the bytes of one object of a backup set as a stream. A worker reads, decodes and checks; a few chunks wait
 * between it and the call, so a slow client slows the worker and holds little memory. A client that takes nothing for a
 * minute is cut: it would hold a worker.
 */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/guid.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/store/backups.h"
#include "mssql/v1/sidecar.pb-c.h"
#include "sidecar/restore/runs_int.h"
#include "sidecar/rpc/service.h"
#include "sidecar/uplink/uplink.h"

#define CHUNK_BYTES (128u * 1024)
#define CHUNKS_WAITING 4
#define UNSENT_BYTES (512u * 1024)
#define PATIENCE_US CLOCK_MINUTE
#define NAP_US 50000

struct chunk {
    struct chunk *next;
    uint64_t offset;
    size_t len;
    uint8_t bytes[];
};

struct fetch {
    struct pool_item item;
    struct agent *agent;
    struct rpc_call *call; /* NULL: it was ended */
    struct grant_use *use; /* NULL: the caller needed no grant */
    bool sent; /* all of it */
    ev_async wake;
    struct store *store;
    char folder[NAME_FOLDER_MAX];
    struct backup set;
    unsigned stripe;
    bool as_stored;
    uint64_t begin; /* offset that was asked for */
    struct rate rate; /* of this stream; that of all is the agent's */
    atomic_bool cancel;
    struct err err;
    bool finished; /* the worker is back */

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t taken;
    struct chunk *head, *tail;
    unsigned waiting;
    bool opened; /* the next five are filled in */
    struct manifest manifest;
    const struct manifest_object *object;
    char *text; /* of the manifest */
    size_t text_len;
    uint64_t total;

    bool told; /* the loop sent the begin */
    uint64_t at; /* the worker's: offset of the next byte that it gets */
    bool verified;
};

/* ---- on the worker ---- */

static int wait_for(struct fetch *f, int64_t us, struct err *err) {
    for (int64_t end = clock_mono_us() + us, now; (now = clock_mono_us()) < end;) {
        if (atomic_load(&f->cancel))
            return err_set(err, ERR_CANCELLED, "cancelled");
        struct timespec nap = {.tv_nsec = (end - now < NAP_US ? end - now : NAP_US) * 1000};
        nanosleep(&nap, NULL);
    }
    return 0;
}

static int push(struct fetch *f, const uint8_t *bytes, size_t len, struct err *err) {
    int64_t own = rate_take(&f->rate, len, clock_mono_us());
    int64_t all = rate_take(&f->agent->restores->fetch_rate, len, clock_mono_us());
    if (wait_for(f, own > all ? own : all, err) < 0)
        return -1;
    struct chunk *c = mem_alloc(sizeof(*c) + len);
    c->offset = f->at;
    c->len = len;
    memcpy(c->bytes, bytes, len);
    int64_t patience = clock_mono_us() + PATIENCE_US;
    pthread_mutex_lock(&f->lock);
    while (f->waiting >= CHUNKS_WAITING && !atomic_load(&f->cancel) && clock_mono_us() < patience) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec++;
        pthread_cond_timedwait(&f->taken, &f->lock, &until);
    }
    bool room = f->waiting < CHUNKS_WAITING && !atomic_load(&f->cancel);
    if (room) {
        *(f->tail ? &f->tail->next : &f->head) = c;
        f->tail = c;
        f->waiting++;
    }
    pthread_mutex_unlock(&f->lock);
    if (!room) {
        mem_free(c);
        return atomic_load(&f->cancel) ? err_set(err, ERR_CANCELLED, "cancelled")
                                       : err_set(err, ERR_TIMEOUT, "the client took nothing for a minute");
    }
    f->at += len;
    ev_async_send(f->agent->loop, &f->wake);
    return 0;
}

/* Bytes before the offset that was asked for are read and checked, not sent. */
static int give(struct fetch *f, const void *bytes, size_t len, struct err *err) {
    const uint8_t *p = bytes;
    if (f->at < f->begin) {
        size_t skip = f->begin - f->at < len ? (size_t)(f->begin - f->at) : len;
        f->at += skip;
        p += skip;
        len -= skip;
    }
    for (size_t n; len; p += n, len -= n) {
        n = len < CHUNK_BYTES ? len : CHUNK_BYTES;
        if (push(f, p, n, err) < 0)
            return -1;
    }
    return 0;
}

static int on_plain(void *user, const void *bytes, size_t len, size_t plain_len, struct err *err) {
    (void)plain_len;
    return give(user, bytes, len, err);
}

struct reading {
    struct fetch *f;
    const char *name;
    uint64_t at;
};

static ssize_t read_stored(void *user, void *dst, size_t len, struct err *err) {
    struct reading *r = user;
    size_t got;
    if (store_get_range(r->f->store, r->name, r->at, dst, len, &got, err) < 0)
        return -1;
    r->at += got;
    return (ssize_t)got;
}

/* Decoded. Where the object has parts, those before the offset are not even read; each that is has its own hash. */
static int fetch_plain(struct fetch *f, const char *name, struct err *err) {
    const struct manifest_object *o = f->object;
    size_t first = 0;
    uint64_t plain = 0, stored = 0;
    while (first + 1 < o->part_count && plain + o->parts[first].plain_bytes <= f->begin) {
        plain += o->parts[first].plain_bytes;
        stored += o->parts[first++].stored_bytes;
    }
    struct pipe_part_expect *parts = mem_array(o->part_count + 1, sizeof(*parts));
    for (size_t i = first; i < o->part_count; i++)
        parts[i - first] = (struct pipe_part_expect){o->parts[i].stored_bytes, o->parts[i].stored_sha256};
    struct reading reading = {f, name, stored};
    struct pipe_source source = {.read = read_stored, .user = &reading};
    struct pipe_sink sink = {.write = on_plain, .user = f};
    struct pipe_control control = {.cancel = &f->cancel};
    struct pipe_spec spec = {.codec = o->codec, .record_bytes = o->record_bytes < PIPE_RECORD_BYTES_MIN ? 0 : o->record_bytes};
    struct pipe_expect expect = {
        .known = first == 0,
        .plain_bytes = o->plain_bytes,
        .stored_bytes = o->stored_bytes,
        .plain_sha256 = o->plain_sha256,
        .stored_sha256 = o->stored_sha256,
        .parts = parts,
        .part_count = o->part_count - first,
    };
    struct pipe_result result;
    f->at = plain;
    int rc = pipe_read_run(&spec, &source, &sink, &control, &expect, &result, err);
    mem_free(parts);
    if (rc == 0 && f->at != o->plain_bytes)
        rc = err_set(err, ERR_CORRUPT, "it ends after %llu of %llu bytes", (unsigned long long)f->at,
                     (unsigned long long)o->plain_bytes);
    f->verified = rc == 0;
    return rc;
}

static int copy_stored(struct fetch *f, struct reading *reading, struct hash_run *hash, struct err *err) {
    _cleanup_free_ uint8_t *block = mem_array(CHUNK_BYTES, 1);
    ssize_t n;
    while ((n = read_stored(reading, block, CHUNK_BYTES, err)) > 0)
        if (hash_update(hash, block, (size_t)n, err) < 0 || give(f, block, (size_t)n, err) < 0)
            return -1;
    return n < 0 ? -1 : 0;
}

/* As it lies there. From the beginning its hash is checked, too. */
static int fetch_stored(struct fetch *f, const char *name, struct err *err) {
    struct reading reading = {f, name, f->begin};
    struct hash_run *hash;
    struct hash got = {{0}};
    if (hash_begin(&hash, err) < 0)
        return -1;
    f->at = f->begin;
    int rc = copy_stored(f, &reading, hash, err);
    if (rc == 0)
        rc = hash_take(hash, &got, err);
    hash_free(hash);
    if (rc < 0)
        return -1;
    if (f->at != f->object->stored_bytes)
        return err_set(err, ERR_CORRUPT, "object %s has %llu bytes, its manifest says %llu", name, (unsigned long long)f->at,
                       (unsigned long long)f->object->stored_bytes);
    f->verified = f->begin == 0 && hash_eq(&got, &f->object->stored_sha256);
    return f->begin == 0 && !f->verified ? err_set(err, ERR_CORRUPT, "object %s is not what its manifest says", name) : 0;
}

static int open_object(struct fetch *f, struct err *err) {
    if (store_find_backup(f->store, f->agent->scope, f->folder, &f->set, &f->manifest, err) < 0)
        return -1;
    pthread_mutex_lock(&f->lock);
    f->opened = true; /* the manifest is to be freed */
    for (size_t i = 0; i < f->manifest.object_count; i++)
        if (f->manifest.objects[i].stripe == f->stripe)
            f->object = &f->manifest.objects[i];
    if (f->object)
        f->total = f->as_stored ? f->object->stored_bytes : f->object->plain_bytes;
    pthread_mutex_unlock(&f->lock);
    if (!f->object)
        return err_set(err, ERR_NOT_FOUND, "the backup has no stripe %u, it has %zu", f->stripe, f->manifest.object_count);
    if (f->begin > f->total)
        return err_set(err, ERR_USAGE, "offset %llu is behind the end of the object, which has %llu bytes",
                       (unsigned long long)f->begin, (unsigned long long)f->total);
    char *text;
    size_t len;
    if (manifest_format(&f->manifest, &text, &len, err) < 0)
        return -1;
    pthread_mutex_lock(&f->lock);
    f->text = text;
    f->text_len = len;
    pthread_mutex_unlock(&f->lock);
    ev_async_send(f->agent->loop, &f->wake);
    return 0;
}

static void fetch_work(struct pool_item *item) {
    struct fetch *f = container_of(item, struct fetch, item);
    char name[STORE_NAME_MAX];
    if (open_object(f, &f->err) < 0 || name_join(name, f->agent->scope, f->folder, f->object->name, &f->err) < 0)
        return;
    (void)!(f->as_stored ? fetch_stored(f, name, &f->err) : fetch_plain(f, name, &f->err)); /* the class is the result */
}

/* ---- on the loop ---- */

static void drop(struct fetch *f) {
    uplink_grant_end(f->use, f->sent);
    ev_async_stop(f->agent->loop, &f->wake);
    while (f->head) {
        struct chunk *c = f->head;
        f->head = c->next;
        mem_free(c);
    }
    if (f->opened)
        manifest_done(&f->manifest);
    mem_free(f->text);
    rate_done(&f->rate);
    pthread_cond_destroy(&f->taken);
    pthread_mutex_destroy(&f->lock);
    mem_free(f);
}

static void send_begin(struct fetch *f) {
    char hash[HASH_TEXT_MAX];
    Mssql__V1__FetchBackupBegin begin = MSSQL__V1__FETCH_BACKUP_BEGIN__INIT;
    Mssql__V1__FetchBackupEvent event = MSSQL__V1__FETCH_BACKUP_EVENT__INIT;
    struct err ignored;
    begin.manifest = (ProtobufCBinaryData){f->text_len, (uint8_t *)f->text};
    begin.name = f->object->name;
    begin.codec = f->object->codec;
    begin.total_bytes = f->total;
    begin.sha256 = hash_format(hash, f->as_stored ? &f->object->stored_sha256 : &f->object->plain_sha256);
    event.event_case = MSSQL__V1__FETCH_BACKUP_EVENT__EVENT_BEGIN;
    event.begin = &begin;
    (void)!rpc_call_send(f->call, &event.base, &ignored);
    f->told = true;
}

static bool send_chunk(struct fetch *f, struct chunk *c) {
    Mssql__V1__FetchBackupData data = MSSQL__V1__FETCH_BACKUP_DATA__INIT;
    Mssql__V1__FetchBackupEvent event = MSSQL__V1__FETCH_BACKUP_EVENT__INIT;
    struct err why;
    data.offset = c->offset;
    data.data = (ProtobufCBinaryData){c->len, c->bytes};
    event.event_case = MSSQL__V1__FETCH_BACKUP_EVENT__EVENT_DATA;
    event.data = &data;
    return rpc_call_send(f->call, &event.base, &why) == 0 || why.class != ERR_BUSY;
}

static void end_call(struct fetch *f) {
    if (f->err.class != ERR_NONE) {
        rpc_call_fail(f->call, &f->err);
    } else {
        Mssql__V1__FetchBackupEnd end = MSSQL__V1__FETCH_BACKUP_END__INIT;
        Mssql__V1__FetchBackupEvent event = MSSQL__V1__FETCH_BACKUP_EVENT__INIT;
        struct err ignored;
        end.total_bytes = f->total;
        end.verified = f->verified;
        event.event_case = MSSQL__V1__FETCH_BACKUP_EVENT__EVENT_END;
        event.end = &end;
        f->sent = rpc_call_send(f->call, &event.base, &ignored) == 0;
        rpc_call_end(f->call);
    }
    f->call = NULL;
}

/* Sends what fits; frees the fetch when all is over. */
static void pump(struct fetch *f) {
    pthread_mutex_lock(&f->lock);
    bool ready = f->text != NULL;
    pthread_mutex_unlock(&f->lock);
    if (f->call && ready && !f->told)
        send_begin(f);
    while (f->call && f->told && rpc_call_queued_bytes(f->call) < UNSENT_BYTES) {
        pthread_mutex_lock(&f->lock);
        struct chunk *c = f->head;
        pthread_mutex_unlock(&f->lock);
        if (!c || !send_chunk(f, c))
            break;
        pthread_mutex_lock(&f->lock);
        f->head = c->next;
        if (!f->head)
            f->tail = NULL;
        f->waiting--;
        pthread_cond_signal(&f->taken);
        pthread_mutex_unlock(&f->lock);
        mem_free(c);
    }
    if (f->finished && f->call && (!f->head || f->err.class != ERR_NONE))
        end_call(f);
    if (f->finished && !f->call)
        drop(f);
}

static void on_wake(struct ev_loop *loop, ev_async *w, int events) {
    (void)loop, (void)events;
    pump(w->data);
}

static void on_sent(void *user, struct rpc_call *call) {
    (void)call;
    pump(user);
}

static void on_cancel(void *user, struct rpc_call *call) {
    struct fetch *f = user;
    atomic_store(&f->cancel, true);
    rpc_call_end(call);
    f->call = NULL;
    pthread_mutex_lock(&f->lock);
    pthread_cond_signal(&f->taken);
    pthread_mutex_unlock(&f->lock);
    if (f->finished)
        drop(f);
}

static void fetch_done(struct pool_item *item) {
    struct fetch *f = container_of(item, struct fetch, item);
    keeper_put_store(f->agent->keeper, f->store);
    f->finished = true;
    if (!f->agent->rpc)
        f->call = NULL;
    pump(f);
}

/* Which chain, which set: by the catalog. */
static int locate(struct agent *agent, const Mssql__V1__FetchBackupRequest *q, struct fetch *f, struct err *err) {
    struct catalog *catalog = keeper_catalog(agent->keeper);
    struct guid guid;
    if (!guid_parse(q->set_guid, &guid))
        return err_set(err, ERR_USAGE, "'%s' is not the GUID of a backup set", q->set_guid);
    if (!catalog)
        return err_set(err, ERR_STATE, "the catalog is being rebuilt from the store; try again");
    for (uint32_t id = 0; id < catalog_database_count(catalog); id++) {
        const struct catalog_database *cd = catalog_database_at(catalog, id);
        struct catalog_entry entry;
        if (*q->database && !str_ieq(cd->name, q->database) && strcmp(cd->folder, q->database) != 0)
            continue;
        if (catalog_find(catalog, id, &guid, &entry, err) == 0) {
            str_copy(f->folder, sizeof(f->folder), cd->folder);
            f->set = entry.backup;
            return 0;
        }
        if (err->class != ERR_NOT_FOUND)
            return -1;
    }
    return err_set(err, ERR_NOT_FOUND, "there is no backup set %s%s%s", q->set_guid, *q->database ? " of database " : "",
                   q->database);
}

static int begin(struct agent *agent, const Mssql__V1__FetchBackupRequest *q, struct fetch *f, struct err *err) {
    if (agent->draining)
        return err_set(err, ERR_STATE, "the sidecar is stopping");
    if (locate(agent, q, f, err) < 0)
        return -1;
    f->store = keeper_take_store(agent->keeper);
    if (!f->store)
        return err_set(err, ERR_STORE, "the store is not usable: %s", keeper_state(agent->keeper)->error.text);
    if (restores_submit(agent, RESTORES_FETCH, &f->item))
        return 0;
    keeper_put_store(agent->keeper, f->store);
    return err_set(err, ERR_BUSY, "too many requests wait; try again");
}

void service_fetch_backup(void *user, struct rpc_call *call, const ProtobufCMessage *request) {
    struct agent *agent = user;
    const Mssql__V1__FetchBackupRequest *q = (const void *)request;
    struct grant_use *use = NULL;
    struct err err;
    if (!service_opened(agent, call))
        return;
    if (q->grant.len && uplink_grant_begin(agent->uplink, q, &use, &err) < 0) {
        log_error(LOG_WARN, &err, "a fetch was refused", "peer", rpc_call_peer(call), "pod", q->pod_uid, NULL);
        rpc_call_fail(call, &err);
        return;
    }
    if (!use && !service_trusted(call, "fetching a backup"))
        return;
    struct fetch *f = mem_alloc(sizeof(*f));
    f->item = (struct pool_item){.work = fetch_work, .done = fetch_done};
    f->agent = agent;
    f->call = call;
    f->use = use;
    f->stripe = q->stripe ? q->stripe : 1;
    f->as_stored = q->as_stored;
    f->begin = q->offset;
    err_clear(&f->err);
    rate_init(&f->rate, q->max_bytes_per_second);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->taken, NULL);
    ev_async_init(&f->wake, on_wake);
    f->wake.data = f;
    ev_async_start(agent->loop, &f->wake);
    if (begin(agent, q, f, &err) < 0) {
        rpc_call_fail(call, &err);
        drop(f);
        return;
    }
    rpc_call_on_cancel(call, on_cancel, f);
    rpc_call_on_sent(call, on_sent, f);
}
