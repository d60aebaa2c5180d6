/* SPDX-License-Identifier: Apache-2.0 */
#include "common/store/name.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/str.h"

#define LSN_DIGITS 25
#define FINISH_LEN 16 /* 20261121T024700Z */
#define ID_DIGITS 8
#define STEM_LEN (LSN_DIGITS + 1 + LSN_DIGITS + 1 + FINISH_LEN + 1 + ID_DIGITS)

static bool is_plain(unsigned char c, bool first) {
    return isalnum(c) || c == '_' || c == '-' || (c == '.' && !first);
}

/* Bytes of the UTF-8 sequence that begins at s, as far as it is one; 1 for what is none. */
static size_t sequence_len(const unsigned char *s) {
    size_t want = *s >= 0xf8 ? 1 : *s >= 0xf0 ? 4 : *s >= 0xe0 ? 3 : *s >= 0xc0 ? 2 : 1;
    size_t len = 1;
    while (len < want && (s[len] & 0xc0) == 0x80)
        len++;
    return len;
}

void name_encode_database(char dst[NAME_ENCODED_MAX + 1], const char *database) {
    static const char hex[] = "0123456789ABCDEF";
    const unsigned char *s = (const unsigned char *)database;
    size_t used = 0;
    while (*s) {
        size_t len = sequence_len(s);
        bool plain = len == 1 && *s < 0x80 && is_plain(*s, used == 0);
        size_t need = plain ? 1 : 3 * len;
        if (used + need > NAME_ENCODED_MAX)
            break;
        for (size_t i = 0; i < len && !plain; i++) {
            dst[used++] = '%';
            dst[used++] = hex[s[i] >> 4];
            dst[used++] = hex[s[i] & 15];
        }
        if (plain)
            dst[used++] = (char)*s;
        s += len;
    }
    dst[used] = 0;
}

/* The first eight hex digits of a GUID, lower case. */
static void short_id(char dst[ID_DIGITS + 1], const struct guid *guid) {
    str_hex(dst, guid->bytes, ID_DIGITS / 2);
}

void name_folder(char dst[NAME_FOLDER_MAX], const char *database, const struct guid *family, unsigned nth) {
    char encoded[NAME_ENCODED_MAX + 1], id[ID_DIGITS + 1];
    name_encode_database(encoded, database);
    short_id(id, family);
    if (nth > 1)
        snprintf(dst, NAME_FOLDER_MAX, "%s~%s-%u", encoded, id, nth);
    else
        snprintf(dst, NAME_FOLDER_MAX, "%s~%s", encoded, id);
}

static bool is_dns_name(const char *s) {
    size_t len = strlen(s);
    if (!len || len > 253 || !isalnum((unsigned char)s[0]) || !isalnum((unsigned char)s[len - 1]))
        return false;
    for (; *s; s++)
        if (!(*s >= 'a' && *s <= 'z') && !(*s >= '0' && *s <= '9') && *s != '-' && *s != '.')
            return false;
    return true;
}

int name_scope(char dst[NAME_SCOPE_MAX], const char *kube_namespace, const char *instance, struct err *err) {
    if (!is_dns_name(kube_namespace))
        return err_set(err, ERR_CONFIG, "namespace '%.80s' is no DNS name (lower-case letters, digits, '-' and '.')",
                       kube_namespace);
    if (!is_dns_name(instance))
        return err_set(err, ERR_CONFIG, "instance '%.80s' is no DNS name (lower-case letters, digits, '-' and '.')", instance);
    snprintf(dst, NAME_SCOPE_MAX, "%s/%s", kube_namespace, instance);
    return 0;
}

/* "<first>-<last>-<finish-utc>-<set8>": LSNs padded to 25 digits, time as 20261121T024700Z. */
static void name_stem(char dst[NAME_STEM_MAX], const struct backup *backup) {
    char first[LSN_TEXT_MAX], last[LSN_TEXT_MAX], id[ID_DIGITS + 1];
    struct clock_civil at;
    lsn_format_padded(first, backup->first_lsn);
    lsn_format_padded(last, backup->last_lsn);
    short_id(id, &backup->set_guid);
    clock_to_civil(backup->finish_at, &at);
    /* years are kept to four digits, so that every time has a name of the same length */
    snprintf(dst, NAME_STEM_MAX, "%.25s-%.25s-%04u%02u%02uT%02u%02u%02uZ-%s", first, last, (unsigned)at.year % 10000,
             (unsigned)at.month % 100, (unsigned)at.day % 100, (unsigned)at.hour % 100, (unsigned)at.minute % 100,
             (unsigned)at.second % 100, id);
}

void name_manifest(char dst[STORE_NAME_MAX], const struct backup *backup) {
    char stem[NAME_STEM_MAX];
    name_stem(stem, backup);
    snprintf(dst, STORE_NAME_MAX, "%s/%s.json", backup_kind_name(backup->kind), stem);
}

void name_object(char dst[STORE_NAME_MAX], const struct backup *backup, unsigned stripe, const char *suffix) {
    char stem[NAME_STEM_MAX], number[16] = "";
    name_stem(stem, backup);
    if (backup->stripes > 1)
        snprintf(number, sizeof(number), ".s%u", stripe);
    snprintf(dst, STORE_NAME_MAX, "%s/%s%s.%s%s", backup_kind_name(backup->kind), stem, number,
             backup->kind == BACKUP_LOG ? "trn" : "bak", suffix);
}

/* pattern: 'd' a digit, 'x' a lower-case hex digit, anything else itself. */
static bool matches(const char *s, const char *pattern) {
    for (; *pattern; pattern++, s++) {
        bool digit = *s >= '0' && *s <= '9';
        if (*pattern == 'd' ? !digit : *pattern == 'x' ? !digit && !(*s >= 'a' && *s <= 'f') : *s != *pattern)
            return false;
    }
    return !*s;
}

bool name_is_manifest(const char *name) {
    static const char pattern[] = "ddddddddddddddddddddddddd-ddddddddddddddddddddddddd-ddddddddTddddddZ-xxxxxxxx";
    _Static_assert(sizeof(pattern) - 1 == STEM_LEN, "the pattern is a stem");
    const char *slash = strrchr(name, '/');
    const char *base = slash ? slash + 1 : name;
    char stem[STEM_LEN + 1];
    if (strlen(base) != STEM_LEN + strlen(".json") || strcmp(base + STEM_LEN, ".json"))
        return false;
    memcpy(stem, base, STEM_LEN);
    stem[STEM_LEN] = 0;
    return matches(stem, pattern);
}

int name_join(char dst[STORE_NAME_MAX], const char *scope, const char *folder, const char *rest, struct err *err) {
    if (!str_format(dst, STORE_NAME_MAX, "%s/%s/%s", scope, folder, rest))
        return err_set(err, ERR_LIMIT, "name '%.100s/...' is longer than %d bytes", scope, STORE_NAME_MAX - 1);
    return store_name_check(dst, err);
}
