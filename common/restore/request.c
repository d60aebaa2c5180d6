/* SPDX-License-Identifier: Apache-2.0 */
#include "common/restore/request.h"

#include <ctype.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/guid.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/sql/text.h"

static const char *const finishes[RESTORE_FINISH_COUNT] = {"recover", "restoring", "standby"};

const char *restore_finish_name(enum restore_finish finish) {
    return finish < RESTORE_FINISH_COUNT ? finishes[finish] : "?";
}

bool restore_finish_parse(const char *word, enum restore_finish *ret_finish) {
    for (unsigned i = 0; i < RESTORE_FINISH_COUNT; i++)
        if (!strcmp(word, finishes[i])) {
            *ret_finish = (enum restore_finish)i;
            return true;
        }
    return false;
}

/* ---- data ---- */

void restore_request_set(char **field, const char *value) {
    char *copy = mem_strdup(value ? value : "");
    mem_free(*field);
    *field = copy;
}

void restore_request_init(struct restore_request *r) {
    *r = (struct restore_request){.target = {.kind = CHAIN_TO_LATEST}};
    restore_request_set(&r->scope, NULL);
    restore_request_set(&r->data_dir, NULL);
    restore_request_set(&r->log_dir, NULL);
    restore_request_set(&r->standby_dir, NULL);
}

static void wish_done(struct restore_wish *w) {
    for (size_t i = 0; i < w->move_count; i++) {
        mem_free(w->moves[i].logical);
        mem_free(w->moves[i].physical);
    }
    mem_free(w->moves);
    mem_free(w->database);
    mem_free(w->as);
}

void restore_request_done(struct restore_request *r) {
    for (size_t i = 0; i < r->wish_count; i++)
        wish_done(&r->wishes[i]);
    mem_free(r->wishes);
    mem_free(r->scope);
    mem_free(r->data_dir);
    mem_free(r->log_dir);
    mem_free(r->standby_dir);
    *r = (struct restore_request){0};
}

struct restore_wish *restore_request_add_wish(struct restore_request *r, const char *database, const char *as) {
    r->wishes = mem_realloc(r->wishes, (r->wish_count + 1) * sizeof(*r->wishes));
    struct restore_wish *w = &r->wishes[r->wish_count++];
    *w = (struct restore_wish){.database = mem_strdup(database), .as = mem_strdup(as ? as : "")};
    return w;
}

void restore_wish_add_move(struct restore_wish *w, const char *logical, const char *physical) {
    w->moves = mem_realloc(w->moves, (w->move_count + 1) * sizeof(*w->moves));
    w->moves[w->move_count++] = (struct restore_move){mem_strdup(logical), mem_strdup(physical)};
}

void restore_request_copy(struct restore_request *dst, const struct restore_request *src) {
    *dst = *src;
    dst->scope = mem_strdup(src->scope);
    dst->data_dir = mem_strdup(src->data_dir);
    dst->log_dir = mem_strdup(src->log_dir);
    dst->standby_dir = mem_strdup(src->standby_dir);
    dst->wishes = NULL;
    dst->wish_count = 0;
    for (size_t i = 0; i < src->wish_count; i++) {
        const struct restore_wish *from = &src->wishes[i];
        struct restore_wish *w = restore_request_add_wish(dst, from->database, from->as);
        for (size_t k = 0; k < from->move_count; k++)
            restore_wish_add_move(w, from->moves[k].logical, from->moves[k].physical);
    }
}

/* ---- ids ---- */

int restore_id_make(char dst[RESTORE_ID_MAX], int64_t now, struct err *err) {
    struct clock_civil c;
    struct guid g;
    guid_random(&g);
    clock_to_civil(now, &c);
    if (!str_format(dst, RESTORE_ID_MAX, "%04d%02d%02dT%02d%02d%02dZ-restore-%02x%02x%02x%02x", c.year, c.month, c.day, c.hour,
                    c.minute, c.second, g.bytes[0], g.bytes[1], g.bytes[2], g.bytes[3]))
        return err_set(err, ERR_INTERNAL, "an id that does not fit");
    return 0;
}

bool restore_id_valid(const char *id) {
    size_t n = strlen(id);
    if (!n || n >= RESTORE_ID_MAX || !isalnum((unsigned char)id[0]))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)id[i]) && !strchr("-_.", id[i]))
            return false;
    return true;
}

/* ---- checks ---- */

static int check_name(const char *what, const char *name, struct err *err) {
    long units = sql_text_units(name);
    if (units < 0 || !str_is_clean_utf8(name, strlen(name)))
        return err_set(err, ERR_USAGE, "%s is not text that SQL Server can have", what);
    if (!units || units > SQL_NAME_CHARS)
        return err_set(err, ERR_USAGE, "%s must have 1 to %d characters, it has %ld", what, SQL_NAME_CHARS, units);
    return 0;
}

/* Windows has drive letters and shares; instances there can be restored to as well. */
static int check_path(const char *what, const char *path, struct err *err) {
    long units = sql_text_units(path);
    bool absolute = path[0] == '/' || path[0] == '\\' || (isalpha((unsigned char)path[0]) && path[1] == ':');
    if (units < 0 || units > SQL_PATH_CHARS || !str_is_clean_utf8(path, strlen(path)))
        return err_set(err, ERR_USAGE, "%s is not a path that SQL Server can have (at most %d characters)", what, SQL_PATH_CHARS);
    if (!absolute)
        return err_set(err, ERR_USAGE, "%s must be an absolute path on the server, not '%s'", what, path);
    return 0;
}

/* SQL Server drops blanks at the end of a name without a word, and nobody sees those at its begin. */
static int check_blanks(const char *name, struct err *err) {
    size_t len = strlen(name);
    if (len && (name[0] == ' ' || name[len - 1] == ' '))
        return err_set(err, ERR_USAGE, "the new name '%s' has a blank at its begin or end", name);
    return 0;
}

static int check_wish(const struct restore_wish *w, struct err *err) {
    if (!*w->database)
        return err_set(err, ERR_USAGE, "a database without a name");
    if (check_blanks(w->as, err) < 0)
        return -1;
    if (*w->as && check_name("the new name", w->as, err) < 0)
        return -1;
    if (w->move_count > RESTORE_MOVES_MAX)
        return err_set(err, ERR_USAGE, "more than %d files to move", RESTORE_MOVES_MAX);
    for (size_t i = 0; i < w->move_count; i++) {
        if (check_name("the logical name of a file", w->moves[i].logical, err) < 0 ||
            check_path("the new path of a file", w->moves[i].physical, err) < 0)
            return err_context(err, "%s", w->database);
        for (size_t k = 0; k < i; k++)
            if (str_ieq(w->moves[k].logical, w->moves[i].logical))
                return err_set(err, ERR_USAGE, "%s: file '%s' is moved twice", w->database, w->moves[i].logical);
    }
    return 0;
}

static int check_wishes(const struct restore_request *r, struct err *err) {
    if (r->wish_count > RESTORE_DATABASES_MAX)
        return err_set(err, ERR_USAGE, "more than %d databases", RESTORE_DATABASES_MAX);
    for (size_t i = 0; i < r->wish_count; i++) {
        const struct restore_wish *w = &r->wishes[i];
        if (check_wish(w, err) < 0)
            return -1;
        for (size_t k = 0; k < i; k++) {
            const struct restore_wish *o = &r->wishes[k];
            if (str_ieq(*w->as ? w->as : w->database, *o->as ? o->as : o->database))
                return err_set(err, ERR_USAGE, "two databases cannot both become '%s'", *w->as ? w->as : w->database);
        }
    }
    return 0;
}

int restore_request_check(const struct restore_request *r, struct err *err) {
    if (!restore_id_valid(r->id))
        return err_set(err, ERR_USAGE, "'%.*s' cannot be the id of a restore", RESTORE_ID_MAX, r->id);
    if (check_wishes(r, err) < 0 || (*r->data_dir && check_path("the data directory", r->data_dir, err) < 0) ||
        (*r->log_dir && check_path("the log directory", r->log_dir, err) < 0) ||
        (*r->standby_dir && check_path("the directory of undo files", r->standby_dir, err) < 0))
        return -1;
    if (r->finish == RESTORE_FINISH_STANDBY && !*r->standby_dir)
        return err_set(err, ERR_USAGE, "standby needs a directory for undo files");
    if (r->finish != RESTORE_FINISH_RECOVER && (r->keep_cdc || r->keep_replication || r->reapply_options || r->check))
        return err_set(err, ERR_USAGE,
                       "CDC, replication, options and checks need a database that is recovered, not one that is left %s",
                       restore_finish_name(r->finish));
    if (r->parallel > RESTORE_PARALLEL_MAX)
        return err_set(err, ERR_USAGE, "at most %d databases at once", RESTORE_PARALLEL_MAX);
    if (r->stuck_after_ms < 0)
        return err_set(err, ERR_USAGE, "a time without progress cannot be negative");
    return 0;
}
