/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory. mem_alloc() and friends never return NULL: when memory is exhausted the process says so and aborts, and the
 * journal makes the next start go on from there. Sizes that a peer or a file decides go through mem_try_alloc().
 * `_cleanup_free_` frees a local at the end of its scope.
 */
#ifndef MSSQL_BASE_MEM_H
#define MSSQL_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

/* For a daemon, before its first thread: blocks of 256 KiB and more always go back to the system when they are freed, and its many
 * threads, of which few are busy at a time, share a few heaps. */
void mem_setup(void);
void *mem_alloc(size_t bytes) __attribute__((malloc, returns_nonnull)); /* zeroed */
void *mem_realloc(void *ptr, size_t bytes) __attribute__((returns_nonnull));
/* Array of `count` zeroed elements; aborts on overflow. */
void *mem_array(size_t count, size_t element_bytes) __attribute__((malloc, returns_nonnull));
/* Grows `ptr` (capacity *cap elements) to hold at least `need`; doubles. Returns the new pointer. */
void *mem_grow(void *ptr, size_t *cap, size_t need, size_t element_bytes) __attribute__((returns_nonnull));
char *mem_strdup(const char *s) __attribute__((malloc, returns_nonnull));
char *mem_strndup(const char *s, size_t len) __attribute__((malloc, returns_nonnull));
/* Formatted string on the heap. */
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2), malloc, returns_nonnull));
void *mem_dup(const void *data, size_t bytes) __attribute__((malloc, returns_nonnull));
/* NULL when memory is exhausted or when a test asked the n-th call to fail. */
void *mem_try_alloc(size_t bytes) __attribute__((malloc));
void mem_free(void *ptr);

/* Test hook: the n-th mem_try_alloc() from now returns NULL (0 switches it off). */
void mem_fail_nth(unsigned n);

static inline void mem_cleanup(void *p) {
    mem_free(*(void **)p);
}
#define _cleanup_free_ __attribute__((cleanup(mem_cleanup)))
#define _cleanup_(fn) __attribute__((cleanup(fn)))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#endif
