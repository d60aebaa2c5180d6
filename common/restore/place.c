/* SPDX-License-Identifier: Apache-2.0 */
#include "common/restore/place.h"

#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/place_int.h"

/* Does a file of one type stand where one of the other may? */
static bool same_class(char a, char b) {
    return a == b || ((a == 'D' || a == 'F') && (b == 'D' || b == 'F'));
}

/* --- where the database that is replaced has it ---------------------------------------------------------------- */

static const struct sql_file *replaced_file(const struct restore_place *p, const char *logical, char type) {
    for (size_t i = 0; p->replaced && i < p->target->file_count; i++) {
        const struct target_file *f = &p->target->files[i];
        if (f->database_id == p->replaced->info.id && str_ieq(f->file.logical, logical) && same_class(f->file.type, type))
            return &f->file;
    }
    return NULL;
}

/* A file of it that is at this path, whatever its name: RESTORE overwrites it. */
static uint64_t replaced_bytes(const struct restore_place *p, const char *path) {
    for (size_t i = 0; p->replaced && i < p->target->file_count; i++) {
        const struct target_file *f = &p->target->files[i];
        if (f->database_id != p->replaced->info.id)
            continue;
        _cleanup_free_ char *normal = restore_path_normal(f->file.physical);
        if (normal && !strcmp(normal, path))
            return f->file.size_bytes;
    }
    return 0;
}

static char *folder_of(const char *path) {
    char *normal = restore_path_normal(path);
    char *slash = normal ? strrchr(normal, '/') : NULL;
    if (slash)
        slash[slash == normal] = 0;
    return normal;
}

/* --- the directory --------------------------------------------------------------------------------------------- */

static const char *asked_dir(const struct restore_place *p, char type) {
    const char *dir = type == 'L' ? p->log_dir : p->data_dir;
    return dir && dir[0] ? dir : NULL;
}

static char *directory_for(const struct restore_place *p, char type, struct err *err) {
    const char *asked = asked_dir(p, type);
    if (asked) {
        char *dir = restore_path_normal(asked);
        if (!dir)
            (void)err_set(err, ERR_USAGE, "'%s' is not an absolute path of a directory", asked);
        return dir;
    }
    for (size_t i = 0; p->replaced && i < p->target->file_count; i++) {
        const struct target_file *f = &p->target->files[i];
        if (f->database_id == p->replaced->info.id && same_class(f->file.type, type == 'S' ? 'D' : type)) {
            char *dir = folder_of(f->file.physical);
            if (dir)
                return dir;
        }
    }
    const struct sql_server *s = &p->target->server;
    char *dir = restore_path_normal(type == 'L' && s->log_path[0] ? s->log_path : s->data_path);
    if (!dir)
        (void)err_set(err, ERR_CONFIG, "the server does not say where it keeps %s files: name a directory",
                      type == 'L' ? "log" : "data");
    return dir;
}

/* --- one file -------------------------------------------------------------------------------------------------- */

static const struct restore_move *move_of(const struct restore_place *p, const char *logical) {
    for (size_t i = 0; i < p->move_count; i++)
        if (str_ieq(p->moves[i].logical, logical))
            return &p->moves[i];
    return NULL;
}

static int place_moved(const struct restore_place *p, const struct restore_move *move, struct restore_file *file,
                       struct err *err) {
    size_t len = strlen(move->physical);
    char *path = restore_path_normal(move->physical);
    if (!path || !strcmp(path, "/") || (move->physical[len - 1] == '/' && file->type != 'S')) {
        mem_free(path);
        return err_set(err, ERR_USAGE, "'%s' for file '%s' is not the absolute path of a file", move->physical, move->logical);
    }
    if (sql_text_units(path) > SQL_PATH_CHARS || sql_text_units(path) < 0) {
        mem_free(path);
        return err_set(err, ERR_USAGE, "the path for file '%s' is longer than %d characters or not valid text", move->logical,
                       SQL_PATH_CHARS);
    }
    const char *owner = taken_lookup(p->taken, path, false);
    if (owner) {
        (void)err_set(err, ERR_EXISTS, "'%s' for file '%s' is in use by %s", path, move->logical, owner);
        mem_free(path);
        return -1;
    }
    file->physical = path;
    file->how = RESTORE_PLACED_MOVE;
    return 0;
}

static int place_one(const struct restore_place *p, const struct manifest_file *from, struct restore_file *file,
                     struct err *err) {
    const struct restore_move *move = move_of(p, from->logical_name);
    if (move)
        return place_moved(p, move, file, err);
    const struct sql_file *kept = asked_dir(p, from->type) ? NULL : replaced_file(p, from->logical_name, from->type);
    char *path = kept ? restore_path_normal(kept->physical) : NULL;
    if (path && !taken_lookup(p->taken, path, false)) {
        file->physical = path;
        file->how = RESTORE_PLACED_KEPT;
        return 0;
    }
    mem_free(path);
    _cleanup_free_ char *dir = directory_for(p, from->type, err);
    if (!dir)
        return -1;
    file->physical = place_name(p, dir, from->physical_name, from->type, err);
    file->how = RESTORE_PLACED_RULE;
    return file->physical ? 0 : -1;
}

static int add_one(const struct restore_place *p, const struct manifest_file *from, struct restore_file *file, struct err *err) {
    *file = (struct restore_file){.type = from->type, .size_bytes = from->size_bytes};
    if (place_one(p, from, file, err) < 0)
        return err_context(err, "file '%s' of database '%s'", from->logical_name, p->database);
    file->logical = mem_strdup(from->logical_name);
    file->source_path = mem_strdup(from->physical_name);
    file->replaced_bytes = replaced_bytes(p, file->physical);
    _cleanup_free_ char *owner = mem_printf("file '%s' of database '%s' of this restore", file->logical, p->database);
    restore_taken_add(p->taken, file->physical, owner);
    return 0;
}

/* --- all of them ----------------------------------------------------------------------------------------------- */

static void file_done(struct restore_file *file) {
    mem_free(file->logical);
    mem_free(file->physical);
    mem_free(file->source_path);
}

/* Files that keep an exact path come first, so that no made-up name is in their way. */
static bool is_fixed(const struct restore_place *p, const struct manifest_file *f) {
    return move_of(p, f->logical_name) || (!asked_dir(p, f->type) && replaced_file(p, f->logical_name, f->type));
}

int restore_place_files(const struct restore_place *p, const struct manifest *m, struct restore_file **files, size_t *count,
                        struct err *err) {
    size_t before = *count, cap = 0, n = before;
    struct restore_file *all = mem_grow(NULL, &cap, before + m->file_count + 1, sizeof(*all));
    if (before)
        memcpy(all, *files, before * sizeof(*all));
    for (int fixed = 1; fixed >= 0; fixed--) {
        for (size_t i = 0; i < m->file_count; i++) {
            const struct manifest_file *f = &m->files[i];
            if (is_fixed(p, f) != (bool)fixed || restore_file_find(all, n, f->logical_name))
                continue;
            if (add_one(p, f, &all[n], err) == 0) {
                n++;
                continue;
            }
            for (size_t k = before; k < n; k++)
                file_done(&all[k]);
            mem_free(all);
            return -1;
        }
    }
    for (size_t i = 0; i < m->file_count; i++) /* files grow */
        for (size_t k = 0; k < before; k++)
            if (str_ieq(all[k].logical, m->files[i].logical_name) && all[k].size_bytes < m->files[i].size_bytes)
                all[k].size_bytes = m->files[i].size_bytes;
    mem_free(*files);
    *files = all;
    *count = n;
    return 0;
}

int restore_place_check(const struct restore_place *p, const struct restore_file *files, size_t count, struct err *err) {
    for (size_t i = 0; i < p->move_count; i++) {
        if (restore_file_find(files, count, p->moves[i].logical))
            continue;
        struct buf names;
        buf_init(&names, 600);
        for (size_t k = 0; k < count; k++)
            buf_printf(&names, "%s'%s'", k ? ", " : "", files[k].logical);
        (void)err_set(err, ERR_USAGE, "database '%s' has no file '%s' to move; its files are %s%s", p->source,
                      p->moves[i].logical, names.data ? names.data : "none", names.overflow ? ", ..." : "");
        buf_done(&names);
        return -1;
    }
    return 0;
}

const struct restore_file *restore_file_find(const struct restore_file *files, size_t count, const char *logical) {
    for (size_t i = 0; i < count; i++)
        if (str_ieq(files[i].logical, logical))
            return &files[i];
    return NULL;
}

void restore_files_done(struct restore_file *files, size_t count) {
    for (size_t i = 0; i < count; i++)
        file_done(&files[i]);
    mem_free(files);
}
