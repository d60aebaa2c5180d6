/* SPDX-License-Identifier: Apache-2.0 */
/* What acknowledges a loss: the tokens that somebody quotes, for one database and for several. */
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/pipe/hash.h"
#include "common/restore/guard_int.h"

#define SEPARATORS ", \t\r\n"

/* Is this token among those that are quoted? */
static bool quotes(const char *tokens, const char *token) {
    size_t len = strlen(token);
    if (!tokens || !len)
        return false;
    for (const char *p = tokens; *p;) {
        size_t one = strcspn(p, SEPARATORS);
        if (one == len && strncasecmp(p, token, len) == 0)
            return true;
        p += one;
        p += strspn(p, SEPARATORS);
    }
    return false;
}

bool guard_quoted(const struct restore_guard_view *view, const struct restore_guard *g, enum restore_loss loss,
                  const char *tokens) {
    char token[RESTORE_TOKEN_MAX];
    if (!view->there)
        return false;
    for (int days_ago = 0; days_ago <= 1; days_ago++) {
        guard_token(view, g, loss, days_ago, token);
        if (quotes(tokens, token))
            return true;
    }
    return false;
}

/* ---- several databases ---- */

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* In whatever order the databases were named. */
static void over_all(const struct restore_guarded *all, size_t count, int days_ago, char dst[RESTORE_TOKEN_MAX]) {
    char(*each)[RESTORE_TOKEN_MAX] = mem_array(count + 1, sizeof(*each));
    char **sorted = mem_array(count + 1, sizeof(*sorted)), digest[HASH_TEXT_MAX];
    size_t n = 0;
    struct hash hash;
    struct err err;
    struct buf text;
    dst[0] = 0;
    for (size_t i = 0; i < count; i++)
        if (all[i].guard->over == RESTORE_OVER_TOKEN) {
            guard_token(&all[i].view, all[i].guard, all[i].guard->loss, days_ago, each[n]);
            sorted[n] = each[n];
            n++;
        }
    if (n)
        qsort(sorted, n, sizeof(*sorted), by_text);
    buf_init(&text, (count + 2) * RESTORE_TOKEN_MAX);
    buf_puts(&text, "restore token over all\n");
    for (size_t i = 0; i < n; i++)
        buf_printf(&text, "%s\n", sorted[i]);
    bool whole = !n || sorted[0][0]; /* one that could not be made sorts first */
    if (n == 1)
        str_copy(dst, RESTORE_TOKEN_MAX, sorted[0]);
    else if (n && whole && hash_of(text.data, text.len, &hash, &err) == 0) {
        hash_format(digest, &hash);
        str_format(dst, RESTORE_TOKEN_MAX, "%.4s-%.4s-%.4s", digest, digest + 4, digest + 8);
    }
    buf_done(&text);
    mem_free(sorted);
    mem_free(each);
}

void restore_guard_token_all(const struct restore_guarded *all, size_t count, char dst[RESTORE_TOKEN_MAX]) {
    over_all(all, count, 0, dst);
}

static bool all_quoted(const struct restore_guarded *all, size_t count, const char *tokens) {
    char token[RESTORE_TOKEN_MAX];
    for (int days_ago = 0; days_ago <= 1; days_ago++) {
        over_all(all, count, days_ago, token);
        if (quotes(tokens, token))
            return true;
    }
    return false;
}

static bool any_quoted(const struct restore_guarded *all, size_t count, const char *tokens) {
    for (size_t i = 0; i < count; i++)
        if (all[i].guard->over == RESTORE_OVER_TOKEN && guard_quoted(&all[i].view, all[i].guard, all[i].guard->loss, tokens))
            return true;
    return false;
}

int restore_guard_allow_all(const struct restore_guarded *all, size_t count, const char *tokens, struct err *err) {
    bool everything = all_quoted(all, count, tokens);
    for (size_t i = 0; i < count; i++) {
        const struct restore_guard *g = all[i].guard;
        if (everything && g->over == RESTORE_OVER_TOKEN)
            continue;
        if (restore_guard_allow(&all[i].view, g, tokens, err) == 0)
            continue;
        if (err->class != ERR_CONFLICT || !any_quoted(all, count, tokens))
            return -1;
        (void)err_set(err, ERR_DATA_LOSS, "%s", g->text); /* what was quoted is good, and not for this one */
        return err_hint(err,
                        "The token acknowledges the loss of another database only: quote this one's, too, or the one over all");
    }
    return 0;
}
