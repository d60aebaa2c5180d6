/* SPDX-License-Identifier: Apache-2.0 */
/* Names of files: paths in one form, and new names made of old ones. */
#include <ctype.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/place_int.h"

#define FILE_NAME_BYTES 255 /* of a file system */
#define NUMBER_ROOM 6 /* "_99999" */

char *restore_path_normal(const char *path) {
    /* SQL Server on Linux knows one drive, which is the root. */
    if ((path[0] == 'C' || path[0] == 'c') && path[1] == ':')
        path += 2;
    if (path[0] != '/' && path[0] != '\\')
        return NULL;
    struct buf out;
    buf_init(&out, SQL_PATH_MAX * 2);
    while (*path) {
        while (*path == '/' || *path == '\\')
            path++;
        size_t len = strcspn(path, "/\\");
        if (len == 2 && path[0] == '.' && path[1] == '.') {
            buf_done(&out);
            return NULL;
        }
        if (len && !(len == 1 && path[0] == '.')) {
            buf_putc(&out, '/');
            buf_append(&out, path, len);
        }
        path += len;
    }
    if (!out.len)
        buf_putc(&out, '/');
    if (out.overflow) {
        buf_done(&out);
        return NULL;
    }
    return buf_take(&out);
}

/* What no file name may hold on any file system that SQL Server is used with. */
static void put_clean(struct buf *out, const char *name) {
    for (; *name; name++) {
        unsigned char c = (unsigned char)*name;
        buf_putc(out, c < 0x20 || c == 0x7f || strchr("/\\:*?\"<>|", c) ? '_' : (char)c);
    }
}

/* Cuts at a character, so that what is left has at most `bytes` and, with `units` UTF-16 units before it, fits a path. */
static void cut(struct buf *stem, size_t bytes, long units) {
    while (stem->len && (stem->len > bytes || sql_text_units(stem->data) > units)) {
        do
            stem->data[--stem->len] = 0;
        while (stem->len && ((unsigned char)stem->data[stem->len] & 0xC0) == 0x80);
        /* A byte that begins a character went with its followers. */
        while (stem->len && sql_text_units(stem->data) < 0)
            stem->data[--stem->len] = 0;
    }
}

char *restore_file_name(const char *name) {
    struct buf out;
    buf_init(&out, 4096);
    put_clean(&out, name);
    if (!out.len)
        buf_puts(&out, "database");
    if (out.data[0] == '.')
        out.data[0] = '_';
    cut(&out, FILE_NAME_BYTES / 2, FILE_NAME_BYTES / 2);
    return buf_take(&out);
}

static bool starts_with_name(const char *stem, const char *name) {
    size_t len = strlen(name);
    if (!len || strncasecmp(stem, name, len) != 0)
        return false;
    return !isalnum((unsigned char)stem[len]); /* "sales2" is not "sales" with something behind it */
}

/* The stem of the new name: "sales_log" of sales becomes "copy_log" of copy, "data1" becomes "copy_data1". */
static void put_stem(struct buf *out, const struct restore_place *place, const char *stem) {
    if (str_ieq(place->source, place->database)) {
        put_clean(out, stem);
    } else if (starts_with_name(stem, place->source)) {
        put_clean(out, place->database);
        put_clean(out, stem + strlen(place->source));
    } else {
        put_clean(out, place->database);
        if (stem[0])
            buf_putc(out, '_');
        put_clean(out, stem);
    }
    if (!out->len)
        buf_puts(out, "data");
    if (out->data[0] == '.')
        out->data[0] = '_'; /* a hidden file is easily overlooked */
}

/* The file's own name in the backup: of a path of Linux or of Windows. */
static const char *last_part(const char *path) {
    const char *last = path;
    for (const char *p = path; *p; p++)
        if ((*p == '/' || *p == '\\') && p[1])
            last = p + 1;
    return last;
}

static char *free_name(const struct restore_place *place, const char *dir, const char *stem, const char *extension) {
    const char *slash = strcmp(dir, "/") ? "/" : "";
    for (unsigned n = 1; n < 100000; n++) {
        char *path = n == 1 ? mem_printf("%s%s%s%s", dir, slash, stem, extension)
                            : mem_printf("%s%s%s_%u%s", dir, slash, stem, n, extension);
        if (!taken_lookup(place->taken, path, true))
            return path;
        mem_free(path);
    }
    return NULL;
}

char *place_name(const struct restore_place *place, const char *dir, const char *source_path, char type, struct err *err) {
    _cleanup_free_ char *name = mem_strdup(last_part(source_path));
    for (size_t len = strlen(name); len && (name[len - 1] == '/' || name[len - 1] == '\\'); len--)
        name[len - 1] = 0;
    char *dot = type == 'S' ? NULL : strrchr(name, '.');
    _cleanup_free_ char *extension = mem_strdup(dot && dot != name && strlen(dot) <= 32 ? dot : "");
    if (extension[0])
        *dot = 0;
    struct buf stem, clean;
    buf_init(&stem, 4096);
    buf_init(&clean, 64);
    put_stem(&stem, place, name);
    put_clean(&clean, extension);
    long room = SQL_PATH_CHARS - (sql_text_units(dir) + 1 + (long)clean.len + NUMBER_ROOM);
    if (room < 1) {
        buf_done(&stem);
        buf_done(&clean);
        (void)err_set(err, ERR_USAGE, "directory '%s' is too long for a file of a database: a path has at most %d characters",
                      dir, SQL_PATH_CHARS);
        return NULL;
    }
    cut(&stem, FILE_NAME_BYTES - NUMBER_ROOM - clean.len, room);
    char *path = free_name(place, dir, stem.data, clean.data ? clean.data : "");
    if (!path)
        (void)err_set(err, ERR_EXISTS, "no free name like '%s%s' in '%s'", stem.data, clean.data ? clean.data : "", dir);
    buf_done(&stem);
    buf_done(&clean);
    return path;
}
