/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/history_strings.h"

#include <stdint.h>
#include <string.h>

#include "common/base/mem.h"

#define CHUNK (256u << 10)

struct chunk {
    struct chunk *next;
    size_t used, size;
    char data[];
};

struct history_strings {
    struct chunk *chunks; /* newest first */
    const char **table; /* open addressing, NULL empty */
    size_t size, count;
};

static size_t hash_of(const char *s) {
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
    return (size_t)(h ^ h >> 32);
}

struct history_strings *history_strings_new(void) {
    struct history_strings *s = mem_alloc(sizeof(*s));
    s->size = 1024;
    s->table = mem_array(s->size, sizeof(*s->table));
    return s;
}

void history_strings_free(struct history_strings *strings) {
    if (!strings)
        return;
    while (strings->chunks) {
        struct chunk *next = strings->chunks->next;
        mem_free(strings->chunks);
        strings->chunks = next;
    }
    mem_free(strings->table);
    mem_free(strings);
}

static const char *store(struct history_strings *s, const char *text) {
    size_t len = strlen(text) + 1;
    if (!s->chunks || s->chunks->size - s->chunks->used < len) {
        size_t size = len > CHUNK ? len : CHUNK;
        struct chunk *c = mem_alloc(sizeof(*c) + size);
        c->size = size;
        c->next = s->chunks;
        s->chunks = c;
    }
    char *at = s->chunks->data + s->chunks->used;
    memcpy(at, text, len);
    s->chunks->used += len;
    return at;
}

static size_t slot_of(const char *const *table, size_t size, const char *text) {
    size_t i = hash_of(text) & (size - 1);
    while (table[i] && strcmp(table[i], text))
        i = (i + 1) & (size - 1);
    return i;
}

static void grow(struct history_strings *s) {
    size_t size = 2 * s->size;
    const char **table = mem_array(size, sizeof(*table));
    for (size_t i = 0; i < s->size; i++)
        if (s->table[i])
            table[slot_of(table, size, s->table[i])] = s->table[i];
    mem_free(s->table);
    s->table = table;
    s->size = size;
}

const char *history_strings_keep(struct history_strings *strings, const char *text) {
    if (!*text)
        return "";
    size_t i = slot_of(strings->table, strings->size, text);
    if (strings->table[i])
        return strings->table[i];
    if (4 * ++strings->count > 3 * strings->size) {
        grow(strings);
        i = slot_of(strings->table, strings->size, text);
    }
    return strings->table[i] = store(strings, text);
}
