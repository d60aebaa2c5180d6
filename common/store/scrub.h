/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a store again to find what has gone bad: bits, lengths, objects and manifests that are missing, exchanged or not
 * there for a reason. Nothing is changed. It needs the store alone.
 *
 * A scrub of one database has two parts. The sets, one after the other: the manifest is what its name says, each object is
 * there and has the size and both hashes that the manifest says. And the names, all at once: manifests that others say came
 * before them and that are gone, and objects that no manifest names.
 */
#ifndef MSSQL_STORE_SCRUB_H
#define MSSQL_STORE_SCRUB_H

#include <stdatomic.h>

#include "common/base/guid.h"
#include "common/pipe/rate.h"
#include "common/store/backups.h"

/* Order is not meaning; words are stable (metrics, JSON). */
enum scrub_kind {
    SCRUB_MANIFEST, /* "manifest": cannot be read, or describes another backup than its name says */
    SCRUB_OBJECT_MISSING, /* "object_missing" */
    SCRUB_OBJECT_SIZE, /* "object_size" */
    SCRUB_OBJECT_CORRUPT, /* "object_corrupt": a hash or a record is wrong */
    SCRUB_MANIFEST_MISSING, /* "manifest_missing": a later commit names it, and nothing removed it that is known */
    SCRUB_NEWEST_MISSING, /* "newest_missing": the store ends before the commit that is remembered */
    SCRUB_ORPHAN, /* "orphan": an object that no manifest names, for an hour or longer; costs room, loses nothing */
    SCRUB_KIND_COUNT,
};
const char *scrub_kind_word(enum scrub_kind kind);
/* Does it make a backup unusable? All but orphans do. */
bool scrub_kind_is_loss(enum scrub_kind kind);

struct scrub_finding {
    enum scrub_kind kind;
    char name[STORE_NAME_MAX]; /* of the manifest or object */
    char folder[NAME_FOLDER_MAX];
    struct guid set; /* of the backup that cannot be used; zero when it is not known */
    enum backup_kind backup_kind; /* with `set` */
    struct err err; /* what is wrong */
};

struct scrub_options {
    bool sizes_only; /* do not read objects */
    struct rate *rate; /* of plain bytes; NULL no limit */
    const atomic_bool *cancel; /* NULL: never */
    void (*finding)(void *user, const struct scrub_finding *finding);
    /* After each set, and after each record of a large one. May be NULL. */
    void (*progress)(void *user, const char *name, uint64_t done_bytes);
    void *user;
};

/* Summed up over calls: start with {0}. */
struct scrub_totals {
    uint64_t sets, objects;
    uint64_t stored_bytes; /* read, or with sizes_only looked at */
    uint64_t findings[SCRUB_KIND_COUNT];
};

/* One set, by the whole name of its manifest. Findings are no errors: -1 means that the store could not be asked
 * (ERR_STORE, ERR_IO, ...) or that it was cancelled, and says nothing about the set. */
int store_scrub_set(struct store *store, const char *manifest, const struct scrub_options *options, struct scrub_totals *totals,
                    struct err *err) ERR_CHECK;
/* The next up to `limit` sets of a database, as store_list_manifests() has them; the cursor survives a restart. */
int store_scrub_sets(struct store *store, const char *scope, const char *folder, struct store_cursor *cursor, unsigned limit,
                     const struct scrub_options *options, struct scrub_totals *totals, struct err *err) ERR_CHECK;

/* What is remembered of the newest commit elsewhere (catalog, custom resource): "<kind>/<stem>.json", "" nothing. */
struct scrub_known {
    const char *newest;
};
/* All names of one database. */
int store_scrub_names(struct store *store, const char *scope, const char *folder, const struct scrub_known *known, int64_t now,
                      const struct scrub_options *options, struct scrub_totals *totals, struct err *err) ERR_CHECK;

#endif
