/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/history_json.h"

#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"

#define CHUNK 65536
#define NO_CHAR UINT32_MAX

enum encoding { UTF8, UTF16_LE, UTF16_BE };

/* What may come next. */
enum expect {
    EXPECT_VALUE, /* of the document, behind a colon, or behind a comma in an array */
    EXPECT_VALUE_OR_END, /* behind '[' */
    EXPECT_KEY_OR_END, /* behind '{' */
    EXPECT_MORE, /* behind a value: a comma or the end */
    EXPECT_NOTHING, /* the document is over */
};

struct history_json {
    const char *name;
    history_read_fn *read;
    void *user;
    enum encoding encoding;
    enum expect expect;
    bool begun, failed, ended;
    uint64_t chunk_offset; /* of raw[0] in the source */
    size_t at, len;
    uint32_t next; /* the character that was looked at, NO_CHAR at the end */
    uint64_t next_offset;
    uint64_t offset; /* of the last token */
    unsigned depth;
    bool is_object[HISTORY_DEPTH_MAX];
    struct buf text;
    struct err why;
    uint8_t raw[CHUNK];
};

/* ---- bytes ---- */

static int fail(struct history_json *j, uint64_t at, const char *what) {
    if (!j->failed)
        err_set(&j->why, ERR_CORRUPT, "%s: byte %llu: %s", j->name, (unsigned long long)at, what);
    j->failed = true;
    return -1;
}

static uint64_t place(const struct history_json *j) {
    return j->chunk_offset + j->at;
}

/* Makes `need` bytes available at j->at, fewer at the end of the source. */
static int fill(struct history_json *j, size_t need) {
    while (j->len - j->at < need && !j->ended) {
        memmove(j->raw, j->raw + j->at, j->len - j->at);
        j->chunk_offset += j->at;
        j->len -= j->at;
        j->at = 0;
        ssize_t n = j->read(j->user, j->raw + j->len, sizeof(j->raw) - j->len, &j->why);
        if (n < 0) {
            j->failed = true;
            return -1;
        }
        j->ended = n == 0;
        j->len += (size_t)n;
    }
    return 0;
}

static int take_utf16(struct history_json *j, uint32_t *ret_unit) {
    if (fill(j, 2) < 0)
        return -1;
    if (j->len - j->at < 2)
        return fail(j, place(j), "half a character at the end");
    unsigned low = j->encoding == UTF16_LE ? 0 : 1;
    *ret_unit = (uint32_t)j->raw[j->at + low] | (uint32_t)j->raw[j->at + 1 - low] << 8;
    j->at += 2;
    return 0;
}

static int read_utf16(struct history_json *j) {
    uint32_t low;
    if (take_utf16(j, &j->next) < 0)
        return -1;
    if (j->next < 0xd800 || j->next > 0xdfff)
        return 0;
    if (j->next > 0xdbff || take_utf16(j, &low) < 0 || low < 0xdc00 || low > 0xdfff)
        return fail(j, j->next_offset, "not valid UTF-16");
    j->next = 0x10000 + ((j->next - 0xd800) << 10) + (low - 0xdc00);
    return 0;
}

static int read_utf8(struct history_json *j) {
    uint32_t c = j->raw[j->at];
    if (c < 0x80) {
        j->next = c;
        j->at++;
        return 0;
    }
    size_t n = c >= 0xf0 && c <= 0xf4 ? 4 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xc2 && c < 0xe0 ? 2 : 0;
    if (fill(j, n) < 0)
        return -1;
    c &= 0xffu >> (n + 1);
    for (size_t i = 1; n && i < n; i++) {
        if (j->len - j->at <= i || (j->raw[j->at + i] & 0xc0) != 0x80)
            n = 0;
        else
            c = c << 6 | (j->raw[j->at + i] & 0x3f);
    }
    if (!n || (n == 3 && c < 0x800) || (n == 4 && (c < 0x10000 || c > 0x10ffff)) || (c >= 0xd800 && c <= 0xdfff))
        return fail(j, j->next_offset, "not valid UTF-8");
    j->next = c;
    j->at += n;
    return 0;
}

/* Moves on to the next character. */
static int advance(struct history_json *j) {
    j->next_offset = place(j);
    if (j->at == j->len && fill(j, 1) < 0)
        return -1;
    if (j->at == j->len) {
        j->next = NO_CHAR;
        return 0;
    }
    return j->encoding == UTF8 ? read_utf8(j) : read_utf16(j);
}

static int begin(struct history_json *j) {
    if (fill(j, 3) < 0)
        return -1;
    if (j->len >= 2 && j->raw[0] == 0xff && j->raw[1] == 0xfe)
        j->encoding = UTF16_LE;
    else if (j->len >= 2 && j->raw[0] == 0xfe && j->raw[1] == 0xff)
        j->encoding = UTF16_BE;
    if (j->encoding != UTF8)
        j->at = 2;
    else if (j->len >= 3 && !memcmp(j->raw, "\xef\xbb\xbf", 3))
        j->at = 3;
    return advance(j);
}

/* ---- characters ---- */

static int put(struct history_json *j, uint32_t c) {
    char bytes[4];
    size_t n = 0;
    if (c < 0x80) {
        bytes[n++] = (char)c;
    } else if (c < 0x800) {
        bytes[n++] = (char)(0xc0 | c >> 6);
    } else if (c < 0x10000) {
        bytes[n++] = (char)(0xe0 | c >> 12);
        bytes[n++] = (char)(0x80 | (c >> 6 & 0x3f));
    } else {
        bytes[n++] = (char)(0xf0 | c >> 18);
        bytes[n++] = (char)(0x80 | (c >> 12 & 0x3f));
        bytes[n++] = (char)(0x80 | (c >> 6 & 0x3f));
    }
    if (c >= 0x80)
        bytes[n++] = (char)(0x80 | (c & 0x3f));
    if (!buf_append(&j->text, bytes, n))
        return fail(j, j->offset, "a text that is too long");
    return 0;
}

static int read_hex(struct history_json *j, uint32_t *ret_unit) {
    uint32_t unit = 0;
    for (int i = 0; i < 4; i++) {
        if (advance(j) < 0)
            return -1;
        uint32_t c = j->next, lower = c | 0x20;
        bool digit = c >= '0' && c <= '9', letter = c < 0x80 && lower >= 'a' && lower <= 'f';
        if (!digit && !letter)
            return fail(j, j->next_offset, "\\u needs four hexadecimal digits");
        unit = unit << 4 | (digit ? c - '0' : lower - 'a' + 10);
    }
    *ret_unit = unit;
    return 0;
}

/* Behind "\u", at the 'u'. Ends at the last digit. */
static int read_unicode(struct history_json *j) {
    uint64_t at = j->next_offset;
    uint32_t c, low;
    if (read_hex(j, &c) < 0)
        return -1;
    if (!c)
        return fail(j, at, "a text with a NUL in it");
    if (c >= 0xdc00 && c <= 0xdfff)
        return fail(j, at, "half of a surrogate pair");
    if (c >= 0xd800 && c <= 0xdbff) {
        if (advance(j) < 0 || j->next != '\\' || advance(j) < 0 || j->next != 'u' || read_hex(j, &low) < 0 || low < 0xdc00 ||
            low > 0xdfff)
            return fail(j, at, "half of a surrogate pair");
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    return put(j, c);
}

static int read_escape(struct history_json *j) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (advance(j) < 0)
        return -1;
    if (j->next == 'u')
        return read_unicode(j);
    const char *p = j->next && j->next < 0x80 ? strchr(from, (int)j->next) : NULL;
    return p ? put(j, (uint32_t)to[p - from]) : fail(j, j->next_offset, "an escape that JSON does not have");
}

/* Most of a text is plain ASCII: as much of it as is here, at once. */
static int take_run(struct history_json *j) {
    size_t n = 0, left = j->encoding == UTF8 ? j->len - j->at : 0;
    const uint8_t *from = j->raw + j->at;
    while (n < left && from[n] >= 0x20 && from[n] < 0x80 && from[n] != '"' && from[n] != '\\')
        n++;
    if (!buf_append(&j->text, from, n))
        return fail(j, j->offset, "a text that is too long");
    j->at += n;
    return 0;
}

/* At the first quote; ends behind the last one. */
static int read_string(struct history_json *j) {
    buf_reset(&j->text);
    for (;;) {
        if (take_run(j) < 0 || advance(j) < 0)
            return -1;
        if (j->next == '"')
            return advance(j);
        if (j->next == NO_CHAR)
            return fail(j, j->offset, "a text without its end");
        if (j->next < 0x20)
            return fail(j, j->next_offset, "a control character in a text");
        if ((j->next == '\\' ? read_escape(j) : put(j, j->next)) < 0)
            return -1;
    }
}

static bool is_digit(uint32_t c) {
    return c >= '0' && c <= '9';
}

static int read_digits(struct history_json *j) {
    if (!is_digit(j->next))
        return fail(j, j->next_offset, "a digit is missing");
    while (is_digit(j->next))
        if (put(j, j->next) < 0 || advance(j) < 0)
            return -1;
    return 0;
}

static int take(struct history_json *j) {
    return put(j, j->next) < 0 ? -1 : advance(j);
}

static int read_number(struct history_json *j) {
    buf_reset(&j->text);
    if (j->next == '-' && take(j) < 0)
        return -1;
    bool zero = j->next == '0';
    if (read_digits(j) < 0)
        return -1;
    if (zero && j->text.len > 1 + (j->text.data[0] == '-'))
        return fail(j, j->offset, "a number with a leading zero");
    if (j->next == '.' && (take(j) < 0 || read_digits(j) < 0))
        return -1;
    if (j->next == 'e' || j->next == 'E') {
        if (take(j) < 0 || ((j->next == '+' || j->next == '-') && take(j) < 0))
            return -1;
        return read_digits(j);
    }
    return 0;
}

static int read_word(struct history_json *j, const char *word) {
    for (; *word; word++) {
        if (j->next != (unsigned char)*word)
            return fail(j, j->offset, "not JSON");
        if (advance(j) < 0)
            return -1;
    }
    return 0;
}

/* ---- grammar ---- */

static int skip_space(struct history_json *j) {
    while (j->next == ' ' || j->next == '\t' || j->next == '\n' || j->next == '\r')
        if (advance(j) < 0)
            return -1;
    j->offset = j->next_offset;
    return 0;
}

static int push(struct history_json *j, bool is_object, enum history_token *ret_token) {
    if (j->depth == HISTORY_DEPTH_MAX)
        return fail(j, j->offset, "nested too deep");
    j->is_object[j->depth++] = is_object;
    j->expect = is_object ? EXPECT_KEY_OR_END : EXPECT_VALUE_OR_END;
    *ret_token = is_object ? HISTORY_OBJECT : HISTORY_ARRAY;
    return advance(j);
}

static void value_over(struct history_json *j) {
    j->expect = j->depth ? EXPECT_MORE : EXPECT_NOTHING;
}

static int pop(struct history_json *j, enum history_token *ret_token) {
    *ret_token = j->is_object[--j->depth] ? HISTORY_OBJECT_END : HISTORY_ARRAY_END;
    value_over(j);
    return advance(j);
}

static int read_value(struct history_json *j, enum history_token *ret_token) {
    uint32_t c = j->next;
    if (c == '{' || c == '[')
        return push(j, c == '{', ret_token);
    value_over(j);
    if (c == '"') {
        *ret_token = HISTORY_STRING;
        return read_string(j);
    }
    if (c == '-' || is_digit(c)) {
        *ret_token = HISTORY_NUMBER;
        return read_number(j);
    }
    *ret_token = c == 't' ? HISTORY_TRUE : c == 'f' ? HISTORY_FALSE : HISTORY_NULL;
    if (c == NO_CHAR)
        return fail(j, j->offset, "it ends where a value should be");
    return read_word(j, c == 't' ? "true" : c == 'f' ? "false" : "null");
}

static int read_key(struct history_json *j, enum history_token *ret_token) {
    if (j->next != '"')
        return fail(j, j->offset, j->next == NO_CHAR ? "it ends inside an object" : "a name in quotes should be here");
    if (read_string(j) < 0)
        return -1;
    uint64_t at = j->offset;
    if (skip_space(j) < 0)
        return -1;
    if (j->next != ':')
        return fail(j, j->offset, "a colon is missing");
    j->offset = at;
    j->expect = EXPECT_VALUE;
    *ret_token = HISTORY_KEY;
    return advance(j);
}

/* A comma and what follows it, or the end of what is open. */
static int read_more(struct history_json *j, enum history_token *ret_token) {
    bool is_object = j->is_object[j->depth - 1];
    if (j->next == (is_object ? '}' : ']'))
        return pop(j, ret_token);
    if (j->next != ',')
        return fail(j, j->offset, j->next == NO_CHAR ? "it ends before its brackets are closed" : "a comma is missing");
    if (advance(j) < 0 || skip_space(j) < 0)
        return -1;
    return is_object ? read_key(j, ret_token) : read_value(j, ret_token);
}

static int read_token(struct history_json *j, enum history_token *ret_token) {
    if (skip_space(j) < 0)
        return -1;
    switch (j->expect) {
    case EXPECT_KEY_OR_END:
        return j->next == '}' ? pop(j, ret_token) : read_key(j, ret_token);
    case EXPECT_VALUE_OR_END:
        return j->next == ']' ? pop(j, ret_token) : read_value(j, ret_token);
    case EXPECT_VALUE:
        return read_value(j, ret_token);
    case EXPECT_MORE:
        return read_more(j, ret_token);
    default:
        if (j->next != NO_CHAR)
            return fail(j, j->offset, "something follows the end of the document");
        *ret_token = HISTORY_END;
        return 0;
    }
}

int history_json_next(struct history_json *json, enum history_token *ret_token, struct err *err) {
    bool first = !json->begun;
    enum history_token token;
    json->begun = true;
    if (!json->failed && (!first || begin(json) == 0) && read_token(json, &token) == 0) {
        *ret_token = token;
        return 0;
    }
    json->failed = true;
    err_copy(err, &json->why);
    return -1;
}

int history_json_skip(struct history_json *json, enum history_token token, struct err *err) {
    if (token != HISTORY_OBJECT && token != HISTORY_ARRAY)
        return 0;
    unsigned depth = json->depth - 1;
    while (json->depth > depth)
        if (history_json_next(json, &token, err) < 0)
            return -1;
    return 0;
}

bool history_json_list_follows(struct history_json *json) {
    return !json->failed && skip_space(json) == 0 && json->next == '[';
}

const char *history_json_text(const struct history_json *json) {
    return json->text.data ? json->text.data : "";
}

uint64_t history_json_offset(const struct history_json *json) {
    return json->offset;
}

struct history_json *history_json_new(const char *name, history_read_fn *read, void *user) {
    struct history_json *j = mem_alloc(sizeof(*j));
    j->name = name;
    j->read = read;
    j->user = user;
    buf_init(&j->text, HISTORY_TEXT_MAX);
    return j;
}

void history_json_free(struct history_json *json) {
    if (!json)
        return;
    buf_done(&json->text);
    mem_free(json);
}
