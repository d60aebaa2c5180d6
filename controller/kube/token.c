/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/kube/token.h"

#include <string.h>
#include <sys/stat.h>

#include "common/base/log.h"
#include "common/base/mem.h"

struct kube_token {
    const struct kube_config *config;
    struct secret *current;
    struct stat seen; /* of the file that `current` is from; zero = read it again */
};

struct kube_token *kube_token_new(const struct kube_config *config) {
    struct kube_token *token = mem_alloc(sizeof(*token));
    token->config = config;
    return token;
}

void kube_token_free(struct kube_token *token) {
    if (!token)
        return;
    secret_free(token->current);
    mem_free(token);
}

static bool same_file(const struct stat *a, const struct stat *b) {
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int read_file(struct kube_token *token, const struct stat *now, struct err *err) {
    struct secret *fresh;
    if (secret_read_file(token->config->token_file, &fresh, err) < 0)
        return -1;
    const char *text = secret_text(fresh);
    if (text[strcspn(text, " \t\r\n")]) { /* it becomes part of a header */
        secret_free(fresh);
        return err_set(err, ERR_CONFIG, "token file '%s': must hold one word", token->config->token_file);
    }
    secret_free(token->current);
    token->current = fresh;
    token->seen = *now;
    return 0;
}

int kube_token_get(struct kube_token *token, const char **ret_text, struct err *err) {
    const struct kube_config *config = token->config;
    if (!config->token_file) {
        *ret_text = config->token ? secret_text(config->token) : NULL;
        return 0;
    }
    struct stat now = {0};
    struct err why = {0};
    bool there = stat(config->token_file, &now) == 0;
    if (!token->current || (there && !same_file(&now, &token->seen))) {
        if (read_file(token, &now, &why) < 0) {
            if (!token->current) {
                err_copy(err, &why);
                return -1;
            }
            log_error(LOG_DEBUG, &why, "token cannot be read again; the old one is used", NULL);
        }
    }
    *ret_text = secret_text(token->current);
    return 0;
}

void kube_token_refused(struct kube_token *token) {
    memset(&token->seen, 0, sizeof(token->seen));
}
