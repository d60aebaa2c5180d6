/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration is one table of keys: path, kind, default, bounds, what it is for. The table sets a caller's
 * struct from a document, from environment and flags, writes it out again, compares two and prints the reference.
 * Nothing about a key is written twice.
 *
 * The caller's struct holds plain fields: bool, int64_t, enum as int, char *, struct conf_list, according to the kind. All
 * heap memory in it is made by conf_keys_defaults() and conf_keys_apply() and freed by conf_keys_done().
 */
#ifndef MSSQL_CONF_KEYS_H
#define MSSQL_CONF_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/conf/tree.h"

struct conf_list {
    char **items;
    size_t count;
};
void conf_list_add(struct conf_list *list, const char *item);
void conf_list_addf(struct conf_list *list, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void conf_list_done(struct conf_list *list);
bool conf_list_has(const struct conf_list *list, const char *item);

enum conf_kind {
    CONF_BOOL, /* bool: true, false */
    CONF_INT, /* int64_t in [min, max] */
    CONF_DURATION, /* int64_t milliseconds in [min, max]: 10s, 5m, 1h30m, 30d; a bare number is seconds */
    CONF_MINUTES, /* int64_t milliseconds, written as a number of minutes; min and max in minutes */
    CONF_BYTES, /* int64_t bytes in [min, max]: 512Mi, 10Gi, 1000 */
    CONF_MEBIBYTES, /* int64_t bytes, written as a number of MiB; min and max in MiB */
    CONF_TIME, /* int64_t microseconds UTC, RFC 3339; 0 not given */
    CONF_ENUM, /* int: index into words */
    CONF_TEXT, /* char *, NULL when not given and without default */
    CONF_TEXTS, /* struct conf_list */
    CONF_OWN, /* read by the caller from the document; listed for the reference and against unknown keys */
    CONF_REFUSED, /* a key that people may write here and that is an error: `doc` says what to do instead */
};

enum conf_key_flag {
    CONF_RELOAD = 1 << 0, /* takes effect on reload, without a restart */
    CONF_ALIAS = 1 << 1, /* another spelling of the key with the same offset: not written out */
    CONF_REQUIRED = 1 << 2, /* must be given somewhere */
    CONF_FILE_ONLY = 1 << 3, /* no environment variable and no flag */
};

struct conf_key {
    const char *path; /* "sql.host" */
    enum conf_kind kind;
    unsigned flags;
    size_t offset;
    const char *fallback; /* default, as it would be written; lists separated by commas; NULL none */
    int64_t min, max; /* 0, 0: no bounds but those of the kind */
    const char *const *words; /* NULL-terminated */
    /* Further check of a text or of each item of a list. Its message follows "KEY: " and names the value and what
     * is allowed. */
    int (*check)(const char *text, struct err *err);
    const char *allowed; /* what `check` accepts, for the reference; NULL: what the kind says */
    const char *doc;
};

/* What this version does not have. Checked before everything else, so that nobody believes in a setting without effect. */
struct conf_gap {
    const char *path;
    const char *value; /* NULL: any value; else this word only */
    const char *text; /* "log backups to a URL are not in this version" */
};

struct conf_schema {
    const struct conf_key *keys;
    size_t count;
    const struct conf_gap *gaps;
    size_t gap_count;
};

/* Defaults into a zeroed struct. */
void conf_keys_defaults(const struct conf_schema *schema, void *object);
/* Sets what `map` (CONF_MAP or NULL) gives. `prefix` is put before key names in messages ("policy."). Errors:
 * "FILE:LINE: KEY: VALUE is not ..., allowed: ...". Unknown keys are errors with a suggestion. */
int conf_keys_apply(const struct conf_schema *schema, void *object, const char *file, const char *prefix,
                    const struct conf_node *map, struct err *err) ERR_CHECK;
/* Sets one key from text. `origin` begins the message ("environment MSSQL_SIDECAR_SQL_HOST"). ERR_USAGE for an unknown path. */
int conf_keys_set(const struct conf_schema *schema, void *object, const char *origin, const char *prefix, const char *path,
                  const char *text, struct err *err) ERR_CHECK;
/* Each required key has a value? */
int conf_keys_required(const struct conf_schema *schema, const void *object, const char *origin, struct err *err) ERR_CHECK;
void conf_keys_done(const struct conf_schema *schema, void *object);
/* Deep copy into a zeroed struct; CONF_OWN fields are the caller's. */
void conf_keys_copy(const struct conf_schema *schema, void *dst, const void *src);
/* Exchanges the values of the keys that have all of `flags`. */
void conf_keys_swap(const struct conf_schema *schema, void *a, void *b, unsigned flags);
/* Paths of the keys whose values differ are appended, each to the list that fits; either may be NULL. */
void conf_keys_diff(const struct conf_schema *schema, const void *old_object, const void *new_object, const char *prefix,
                    struct conf_list *reload, struct conf_list *restart);

const struct conf_key *conf_keys_find(const struct conf_schema *schema, const char *path);
/* The value as it would be written; lists separated by commas. "" when there is none. */
void conf_key_value(const struct conf_key *key, const void *object, struct buf *out);
/* "sql.passwordFile" -> "MSSQL_SIDECAR_SQL_PASSWORD_FILE" and "--sql-password-file". */
void conf_key_env(const char *prefix, const char *path, struct buf *out);
void conf_key_flag(const char *path, struct buf *out);
/* "a, b", "1 to 30", "a duration such as 10s, 5m, 1h; at least 10s". Words that are gaps are left out. */
void conf_key_allowed(const struct conf_schema *schema, const struct conf_key *key, struct buf *out);

/* An error at a key found later, when values are compared: "FILE:LINE: KEY: ..."; without a document or node only
 * "KEY: ...". */
int conf_keys_fail(struct err *err, const char *file, const struct conf_node *map, const char *prefix, const char *path,
                   const char *fmt, ...) __attribute__((format(printf, 6, 7)));

#endif
