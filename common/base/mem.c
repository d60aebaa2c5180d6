/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/mem.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static atomic_uint fail_countdown;

static _Noreturn void exhausted(size_t bytes) {
    fprintf(stderr, "out of memory: %zu bytes\n", bytes);
    abort();
}

void mem_setup(void) {
    /* without a fixed value glibc raises it to the largest block that was ever freed, and keeps such blocks */
    (void)mallopt(M_MMAP_THRESHOLD, 256 * 1024);
    (void)mallopt(M_ARENA_MAX, 4);
}

void *mem_alloc(size_t bytes) {
    void *p = calloc(1, bytes ? bytes : 1);
    if (!p)
        exhausted(bytes);
    return p;
}

void *mem_realloc(void *ptr, size_t bytes) {
    void *p = realloc(ptr, bytes ? bytes : 1);
    if (!p)
        exhausted(bytes);
    return p;
}

void *mem_array(size_t count, size_t element_bytes) {
    size_t bytes;
    if (__builtin_mul_overflow(count, element_bytes, &bytes))
        exhausted(SIZE_MAX);
    return mem_alloc(bytes);
}

void *mem_grow(void *ptr, size_t *cap, size_t need, size_t element_bytes) {
    if (need <= *cap && ptr)
        return ptr;
    size_t want = *cap ? *cap : 8;
    while (want < need)
        if (__builtin_mul_overflow(want, (size_t)2, &want))
            exhausted(SIZE_MAX);
    size_t bytes;
    if (__builtin_mul_overflow(want, element_bytes, &bytes))
        exhausted(SIZE_MAX);
    *cap = want;
    return mem_realloc(ptr, bytes);
}

char *mem_strndup(const char *s, size_t len) {
    char *copy = mem_alloc(len + 1);
    memcpy(copy, s, len);
    return copy;
}

char *mem_strdup(const char *s) {
    return mem_strndup(s, strlen(s));
}

char *mem_printf(const char *fmt, ...) {
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0)
        exhausted(0);
    return text;
}

void *mem_dup(const void *data, size_t bytes) {
    void *copy = mem_alloc(bytes);
    if (bytes)
        memcpy(copy, data, bytes);
    return copy;
}

void *mem_try_alloc(size_t bytes) {
    unsigned left = atomic_load(&fail_countdown);
    if (left && atomic_fetch_sub(&fail_countdown, 1) == 1)
        return NULL;
    return calloc(1, bytes ? bytes : 1);
}

void mem_free(void *ptr) {
    free(ptr);
}

void mem_fail_nth(unsigned n) {
    atomic_store(&fail_countdown, n);
}
