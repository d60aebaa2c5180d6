/* SPDX-License-Identifier: Apache-2.0 */
/* Ships one file into a store in several streams at once, as the sidecar does; for the programs that measure it. */
#ifndef MSSQL_BENCH_SHIP_H
#define MSSQL_BENCH_SHIP_H

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/store/backups.h"

struct ship {
    struct store *store;
    const char *file;
    const char *codec;
    unsigned number, streams;
    struct err err;
    int rc;
    uint64_t stored;
};

static inline void *ship_one(void *user) {
    struct ship *s = user;
    struct backup b = {.kind = BACKUP_FULL, .stripes = 1, .position = 1, .finish_at = clock_wall()};
    guid_random(&b.set_guid);
    struct manifest m;
    manifest_init(&m);
    struct manifest_object *o = manifest_add_object(&m);
    o->stripe = 1;
    char name[STORE_NAME_MAX], folder[32];
    const struct filter_ops *ops = NULL;
    int level = 0;
    snprintf(folder, sizeof(folder), "bench~%u", s->number);
    int fd = open(s->file, O_RDONLY | O_CLOEXEC);
    s->rc = fd < 0 ? err_os(&s->err, ERR_NONE, errno, "open %s", s->file) : filter_parse(s->codec, &ops, &level, &s->err);
    if (s->rc == 0) {
        name_object(name, &b, 1, ops->suffix);
        struct pipe_spec spec = {.codec = ops->name, .level = level, .record_bytes = pipe_record_bytes(s->streams)};
        struct pipe_source source = {.fd = fd, .drop_cache = true};
        s->rc = store_ship_object(s->store, "bench/bench", folder, &b, name, &spec, &source, NULL, o, &s->err);
        s->stored = o->stored_bytes;
        if (s->rc == 0)
            s->rc = store_remove(s->store, name_join(name, "bench/bench", folder, o->name, &s->err) == 0 ? name : "", &s->err);
    }
    if (fd >= 0)
        close(fd);
    manifest_done(&m);
    return NULL;
}

/* One file for each stream, or the same one. Seconds; ends the program when it fails. */
static inline double ship_all(struct store *store, const char *const *files, const char *codec, unsigned streams,
                              uint64_t *ret_stored) {
    struct ship *ships = mem_array(streams, sizeof(*ships));
    pthread_t *threads = mem_array(streams, sizeof(*threads));
    int64_t start = clock_mono_us();
    for (unsigned i = 0; i < streams; i++) {
        ships[i] = (struct ship){.store = store, .file = files[i], .codec = codec, .number = i, .streams = streams};
        if (pthread_create(&threads[i], NULL, ship_one, &ships[i]) != 0)
            abort();
    }
    for (unsigned i = 0; i < streams; i++)
        pthread_join(threads[i], NULL);
    double seconds = (double)(clock_mono_us() - start) / 1e6;
    for (unsigned i = 0; i < streams; i++)
        if (ships[i].rc < 0) {
            fprintf(stderr, "%s\n", ships[i].err.text);
            exit(1);
        }
    *ret_stored = ships[0].stored;
    mem_free(ships);
    mem_free(threads);
    return seconds;
}

#endif
