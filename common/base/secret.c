/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/secret.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"

#define SECRET_FILE_MAX (64 * 1024)

struct secret {
    size_t len;
    size_t mapped;
    char text[];
};

struct secret *secret_new(const void *bytes, size_t len) {
    if (!len)
        return NULL;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t mapped = (sizeof(struct secret) + len + 1 + page - 1) / page * page;
    struct secret *s = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (s == MAP_FAILED)
        abort();
    /* best effort: RLIMIT_MEMLOCK may be small in a container */
    if (mlock(s, mapped) == 0)
        (void)madvise(s, mapped, MADV_DONTFORK);
    (void)madvise(s, mapped, MADV_DONTDUMP);
    s->len = len;
    s->mapped = mapped;
    memcpy(s->text, bytes, len);
    s->text[len] = 0;
    return s;
}

struct secret *secret_dup(const struct secret *secret) {
    return secret ? secret_new(secret->text, secret->len) : NULL;
}

void secret_free(struct secret *secret) {
    if (!secret)
        return;
    size_t mapped = secret->mapped;
    explicit_bzero(secret, mapped);
    munmap(secret, mapped);
}

int secret_read_file(const char *path, struct secret **ret_secret, struct err *err) {
    char *data;
    size_t len;
    if (file_read_all(path, SECRET_FILE_MAX, &data, &len, err) < 0)
        return err_context(err, "secret file");
    size_t used = len;
    if (used && data[used - 1] == '\n')
        used--;
    if (used && data[used - 1] == '\r')
        used--;
    struct secret *s = secret_new(data, used);
    explicit_bzero(data, len);
    mem_free(data);
    if (!s)
        return err_set(err, ERR_CONFIG, "secret file %s is empty", path);
    *ret_secret = s;
    return 0;
}

struct secret *secret_take_env(const char *name) {
    char *value = getenv(name);
    if (!value || !*value)
        return NULL;
    struct secret *s = secret_new(value, strlen(value));
    explicit_bzero(value, strlen(value)); /* the environment block itself is readable in /proc */
    unsetenv(name);
    return s;
}

const char *secret_text(const struct secret *secret) {
    return secret ? secret->text : "";
}

size_t secret_len(const struct secret *secret) {
    return secret ? secret->len : 0;
}

bool secret_eq(const struct secret *a, const struct secret *b) {
    if (secret_len(a) != secret_len(b))
        return false;
    unsigned char diff = 0;
    for (size_t i = 0; i < secret_len(a); i++)
        diff |= (unsigned char)(a->text[i] ^ b->text[i]);
    return diff == 0;
}
