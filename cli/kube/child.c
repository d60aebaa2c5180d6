/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/kube/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/str.h"

extern char **environ;

struct pipes {
    int in[2], out[2], said[2];
};

static void shut(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void pipes_done(struct pipes *p) {
    for (int i = 0; i < 2; i++) {
        shut(&p->in[i]);
        shut(&p->out[i]);
        shut(&p->said[i]);
    }
}

static int pipes_make(struct pipes *p, struct err *err) {
    *p = (struct pipes){{-1, -1}, {-1, -1}, {-1, -1}};
    if (pipe2(p->in, O_CLOEXEC) == 0 && pipe2(p->out, O_CLOEXEC) == 0 && pipe2(p->said, O_CLOEXEC) == 0)
        return 0;
    err_os(err, ERR_IO, errno, "pipe");
    pipes_done(p);
    return -1;
}

static int start(const char *const *argv, const struct pipes *p, pid_t *ret_pid, struct err *err) {
    posix_spawn_file_actions_t actions;
    union { /* posix_spawnp() does not change them */
        const char *const *from;
        char *const *to;
    } words = {argv};
    posix_spawn_file_actions_init(&actions);
    if (p) {
        posix_spawn_file_actions_adddup2(&actions, p->in[0], STDIN_FILENO);
        posix_spawn_file_actions_adddup2(&actions, p->out[1], STDOUT_FILENO);
        posix_spawn_file_actions_adddup2(&actions, p->said[1], STDERR_FILENO);
    }
    int rc = posix_spawnp(ret_pid, argv[0], &actions, NULL, words.to, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (rc == 0)
        return 0;
    err_os(err, rc == ENOENT ? ERR_NOT_FOUND : ERR_NONE, rc, "'%s' cannot be run", argv[0]);
    return rc == ENOENT ? err_hint(err, "Install kubectl, or name it in KUBECTL") : -1;
}

static int exit_of(pid_t pid) {
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* The last of it: what went wrong comes last. */
static void keep_said(struct child_end *end, const char *data, size_t len) {
    size_t have = strlen(end->said);
    if (len >= CHILD_SAID_MAX) {
        data += len - (CHILD_SAID_MAX - 1);
        len = CHILD_SAID_MAX - 1;
    }
    if (have + len >= CHILD_SAID_MAX) {
        size_t drop = have + len - (CHILD_SAID_MAX - 1);
        memmove(end->said, end->said + drop, have - drop);
        have -= drop;
    }
    for (size_t i = 0; i < len; i++)
        end->said[have + i] = data[i] ? data[i] : ' ';
    end->said[have + len] = '\0';
}

static void feed(int *fd, const char **input) {
    size_t len = *input ? strlen(*input) : 0;
    ssize_t n = len ? write(*fd, *input, len) : 0;
    if (n > 0)
        *input += n;
    else if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (!len || n < 0 || !**input)
        shut(fd);
}

/* false: it is at its end. */
static bool drain(int *fd, struct buf *out, struct child_end *end, struct err *err, int *rc) {
    char block[16384];
    ssize_t n = read(*fd, block, sizeof(block));
    if (n < 0 && errno == EINTR)
        return true;
    if (n <= 0) {
        shut(fd);
        return false;
    }
    if (end)
        keep_said(end, block, (size_t)n);
    else if (*rc == 0 && !buf_append(out, block, (size_t)n))
        *rc = err_set(err, ERR_LIMIT, "kubectl printed more than %zu bytes", out->max);
    return true;
}

int child_run(const char *const *argv, const char *input, struct buf *out, struct child_end *ret_end, struct err *err) {
    struct pipes p;
    pid_t pid;
    int rc = 0;
    *ret_end = (struct child_end){0};
    if (pipes_make(&p, err) < 0)
        return -1;
    if (start(argv, &p, &pid, err) < 0) {
        pipes_done(&p);
        return -1;
    }
    shut(&p.in[0]);
    shut(&p.out[1]);
    shut(&p.said[1]);
    fcntl(p.in[1], F_SETFL, O_NONBLOCK);
    if (!input)
        shut(&p.in[1]);
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    sigaction(SIGPIPE, &ignore, &before); /* it may end before it has read all */
    while (p.out[0] >= 0 || p.said[0] >= 0) {
        struct pollfd fds[] = {{p.out[0], POLLIN, 0}, {p.said[0], POLLIN, 0}, {p.in[1], POLLOUT, 0}};
        if (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno != EINTR)
            break;
        if (fds[2].revents)
            feed(&p.in[1], &input);
        if (fds[0].revents)
            drain(&p.out[0], out, NULL, err, &rc);
        if (fds[1].revents)
            drain(&p.said[0], NULL, ret_end, err, &rc);
    }
    sigaction(SIGPIPE, &before, NULL);
    pipes_done(&p);
    ret_end->exit = exit_of(pid);
    return rc;
}

int child_through(const char *const *argv, int *ret_exit, struct err *err) {
    pid_t pid;
    if (start(argv, NULL, &pid, err) < 0)
        return -1;
    *ret_exit = exit_of(pid);
    return 0;
}

/* ---- one that goes on ---- */

struct child {
    pid_t pid; /* 0: it has ended */
    int said;
    FILE *out;
};

int child_open(const char *const *argv, struct child **ret_child, struct err *err) {
    struct pipes p;
    struct child *c = mem_alloc(sizeof(*c));
    if (pipes_make(&p, err) < 0 || start(argv, &p, &c->pid, err) < 0) {
        pipes_done(&p);
        mem_free(c);
        return -1;
    }
    c->out = fdopen(p.out[0], "r");
    c->said = p.said[0];
    p.said[0] = -1;
    if (c->out)
        p.out[0] = -1;
    pipes_done(&p);
    if (!c->out) {
        child_close(c);
        return err_os(err, ERR_IO, errno, "fdopen");
    }
    *ret_child = c;
    return 0;
}

FILE *child_stream(struct child *child) {
    return child->out;
}

void child_wait(struct child *child, struct child_end *ret_end) {
    char block[1024];
    ssize_t n;
    *ret_end = (struct child_end){0};
    if (!child->pid)
        return;
    if (!child->out || !feof(child->out)) /* else it ends by itself */
        kill(child->pid, SIGTERM);
    while ((n = read(child->said, block, sizeof(block))) > 0)
        keep_said(ret_end, block, (size_t)n);
    ret_end->exit = exit_of(child->pid);
    child->pid = 0;
}

void child_close(struct child *child) {
    struct child_end end;
    child_wait(child, &end);
    if (child->out)
        fclose(child->out);
    shut(&child->said);
    mem_free(child);
}
