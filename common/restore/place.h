/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the files of a restored database go: MOVE for every one of them. Pure.
 *
 * In this order: an explicit move; for a database that is restored in place, the path that the file of that logical name
 * has now; else the directory that was asked for, or the one where the database in place keeps such files, or the
 * instance's default, with a name made of the file's own. A name that is taken gets a number. An explicit move is never
 * changed: when its path is taken that is an error.
 */
#ifndef MSSQL_RESTORE_PLACE_H
#define MSSQL_RESTORE_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/restore/request.h"
#include "common/restore/target.h"
#include "common/store/manifest.h"

enum restore_placed {
    RESTORE_PLACED_MOVE, /* as asked for */
    RESTORE_PLACED_KEPT, /* where the database that is replaced has it */
    RESTORE_PLACED_RULE, /* by directory and name */
};

struct restore_file {
    char *logical;
    char *physical; /* on the target, as SQL Server sees it */
    char *source_path; /* where the backup says it was */
    char type; /* D data, L log, S directory of memory-optimised or filestream data, F full-text */
    uint64_t size_bytes;
    uint64_t replaced_bytes; /* of a file that is there and is overwritten: space that need not be free */
    enum restore_placed how;
};

/* Paths that are in use: by databases of the instance, by files that belong to nobody, by databases that are restored at the
 * same time. */
struct restore_taken;
struct restore_taken *restore_taken_new(void);
void restore_taken_free(struct restore_taken *taken); /* NULL is allowed */
/* All files of the instance but those of the database `except` (NULL: none). */
void restore_taken_add_target(struct restore_taken *taken, const struct restore_target *target, const char *except);
/* `owner`: whose it is, for messages ("database 'x'"). */
void restore_taken_add(struct restore_taken *taken, const char *path, const char *owner);
/* The owner of a path, or of a directory of memory-optimised data that it would be in; NULL when it is free. */
const char *restore_taken_find(const struct restore_taken *taken, const char *path);

struct restore_place {
    const char *source; /* the database's name in its backups */
    const char *database; /* its name on the target */
    const char *data_dir; /* "" or NULL: as above */
    const char *log_dir;
    const struct restore_move *moves;
    size_t move_count;
    const struct restore_target *target;
    const struct target_db *replaced; /* the database that is restored over, NULL: none. Its own files must not be in `taken` */
    struct restore_taken *taken; /* grows by what is placed */
};

/*
 * Places the files of a manifest that are not in *files yet, and appends them: call it with the full, and again with each
 * later set, for files can be added to a database at any time. (RESTORE takes MOVE only for files that its set lists:
 * restore_file_find() the set's own.) A file that is there already keeps its place and gets the larger size. ERR_USAGE: a
 * move names no file or a path that is none; ERR_EXISTS: its path is taken. On failure *files is as before.
 */
int restore_place_files(const struct restore_place *place, const struct manifest *m, struct restore_file **files, size_t *count,
                        struct err *err) ERR_CHECK;
/* After the full, the newest data backup and the newest log: does every move name a file? ERR_USAGE lists the names. */
int restore_place_check(const struct restore_place *place, const struct restore_file *files, size_t count,
                        struct err *err) ERR_CHECK;
/* Logical names compare without case. */
const struct restore_file *restore_file_find(const struct restore_file *files, size_t count, const char *logical);
void restore_files_done(struct restore_file *files, size_t count);

/*
 * The same path in one form: "C:\var\opt\x" of SQL Server on Linux is "/var/opt/x", doubled slashes and "." are dropped.
 * NULL when it is not absolute or has ".." in it. mem_free() it.
 */
char *restore_path_normal(const char *path);
/* A name of a database as a part of a file's name: nothing in it leads into another directory. mem_free() it. */
char *restore_file_name(const char *name);

#endif
