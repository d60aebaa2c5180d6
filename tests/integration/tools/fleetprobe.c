/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fleet alone, as a program: sidecars connect to it, and a test gives orders on stdin, one in a line, words between spaces. Messages
 * are protobuf in hex. What happens is told on stdout.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "controller/fleet/fleet.h"
#include "controller/fleet/trust.h"

#define WORDS_MAX 64
#define LINE_MAX_BYTES (1u << 20)

static struct ev_loop *ev;
static struct fleet *fleet;
static struct trust *trust;
static struct callers *callers;
static struct buf input;
static const char *pods_file;

static void hex_of(const ProtobufCMessage *m) {
    size_t len = protobuf_c_message_get_packed_size(m);
    uint8_t *bytes = mem_alloc(len + 1);
    char *text = mem_alloc(2 * len + 1);
    protobuf_c_message_pack(m, bytes);
    str_hex(text, bytes, len);
    printf(" %s", len ? text : "-");
    mem_free(text);
    mem_free(bytes);
}

static uint8_t *unhex(const char *text, size_t *ret_len) {
    *ret_len = strlen(text) / 2;
    uint8_t *bytes = mem_alloc(*ret_len + 1);
    if (!str_unhex(text, bytes, *ret_len))
        abort();
    return bytes;
}

static void end_line(void) {
    putchar('\n');
    fflush(stdout);
}

static const char *word(const char *s) {
    return *s ? s : "-";
}

/* ---- events ---- */

static void on_session(void *user, const char *pod, bool connected) {
    (void)user;
    printf("session %s %d", pod, connected);
    end_line();
}

static void on_status(void *user, const char *pod, bool news) {
    (void)user;
    printf("status %s %d", pod, news);
    end_line();
}

static void on_policy(void *user, const char *pod) {
    struct fleet_policy p;
    (void)user;
    if (!fleet_policy(fleet, pod, &p))
        return;
    printf("policy %s %s %lld %s %s %lld %s %s", pod, word(p.uid), (long long)p.generation, word(p.source), word(p.refused_uid),
           (long long)p.refused_generation, word(p.error_class), word(p.message));
    end_line();
}

static void on_command(void *user, const char *pod, const char *id) {
    struct fleet_command c;
    (void)user;
    if (!fleet_command(fleet, pod, id, &c))
        return;
    printf("command %s %s %d", pod, id, (int)c.state);
    if (c.result)
        hex_of(&c.result->base);
    else
        printf(" %zu", c.progress_count);
    end_line();
}

/* Lines "uid" of the pods that exist; no file: all. */
static int on_pod(void *user, const struct fleet_bearer *bearer, struct err *err) {
    char *text;
    size_t len;
    (void)user;
    if (!pods_file)
        return 0;
    if (file_read_all(pods_file, 1u << 20, &text, &len, err) < 0)
        return -1;
    bool there = strstr(text, bearer->pod_uid) != NULL;
    mem_free(text);
    return there ? 0 : err_set(err, ERR_PERMISSION, "there is no pod %s of uid %s", bearer->pod, bearer->pod_uid);
}

/* ---- orders ---- */

static void failed(const struct err *err) {
    printf("error %s %s", err_class_name(err->class), err->text);
    end_line();
}

static void do_push(char **w) {
    struct err err;
    size_t len;
    uint8_t *json = unhex(w[4], &len);
    if (fleet_policy_push(fleet, w[1], w[2], strtoll(w[3], NULL, 10), (char *)json, &err) < 0)
        failed(&err);
    mem_free(json);
}

static void do_give(char **w) {
    struct err err;
    size_t len;
    uint8_t *bytes = unhex(w[2], &len);
    Mssql__V1__Command *command = mssql__v1__command__unpack(NULL, len, bytes);
    if (!command)
        abort();
    if (fleet_command_give(fleet, w[1], command, &err) < 0)
        failed(&err);
    mssql__v1__command__free_unpacked(command, NULL);
    mem_free(bytes);
}

static void do_status(char **w) {
    Mssql__V1__Status *s = fleet_status(fleet, w[1], true);
    printf("status-is %s", w[1]);
    if (s)
        hex_of(&s->base);
    else
        printf(" none");
    if (s)
        mssql__v1__status__free_unpacked(s, NULL);
    end_line();
}

static void do_session(char **w) {
    struct fleet_session s = {0};
    bool known = fleet_session(fleet, w[1], &s);
    printf("session-is %s", w[1]);
    if (known)
        printf(" %d %d %s %s %s %s %s", s.connected, s.status_complete, word(s.namespace_name), word(s.pod), word(s.instance),
               word(s.process_id), word(s.fetch_address));
    end_line();
}

static void do_grant(char **w, size_t count) {
    uint8_t *bytes = NULL;
    size_t len;
    struct err err;
    if (fleet_grant(fleet, w[1], w[2], (const char *const *)(w + 3), count - 3, &bytes, &len, &err) < 0) {
        failed(&err);
        return;
    }
    char *text = mem_alloc(2 * len + 1);
    str_hex(text, bytes, len);
    printf("grant %s", text);
    end_line();
    mem_free(text);
    mem_free(bytes);
}

static void do_stats(void) {
    struct fleet_stats s;
    fleet_get_stats(fleet, &s);
    printf("stats connected=%u known=%u accepted=%llu refused=%llu replaced=%llu lost=%llu statuses=%llu results=%llu open=%u "
           "bytes=%llu cert=%d",
           s.connected, s.known, (unsigned long long)s.accepted, (unsigned long long)s.refused, (unsigned long long)s.replaced,
           (unsigned long long)s.lost, (unsigned long long)s.statuses, (unsigned long long)s.results, s.commands_open,
           (unsigned long long)s.status_bytes, s.cert_not_after_at > 0);
    end_line();
}

static void stopped(void *user) {
    (void)user;
    ev_break(ev, EVBREAK_ALL);
}

static void order(char *line) {
    char *w[WORDS_MAX] = {0}, *rest = NULL;
    size_t count = 0;
    for (char *p = strtok_r(line, " ", &rest); p && count < WORDS_MAX; p = strtok_r(NULL, " ", &rest))
        w[count++] = p;
    if (!count)
        return;
    if (!strcmp(w[0], "push") && count == 5)
        do_push(w);
    else if (!strcmp(w[0], "give") && count == 3)
        do_give(w);
    else if (!strcmp(w[0], "cancel") && count == 3)
        fleet_command_cancel(fleet, w[1], w[2]);
    else if (!strcmp(w[0], "ack") && count == 3)
        fleet_command_ack(fleet, w[1], w[2]);
    else if (!strcmp(w[0], "forget") && count == 2)
        fleet_forget(fleet, w[1]);
    else if (!strcmp(w[0], "status") && count == 2)
        do_status(w);
    else if (!strcmp(w[0], "session") && count == 2)
        do_session(w);
    else if (!strcmp(w[0], "lead") && count >= 2)
        fleet_lead(fleet, *w[1] == '1', count > 2 ? w[2] : "");
    else if (!strcmp(w[0], "grant") && count > 3)
        do_grant(w, count);
    else if (!strcmp(w[0], "stats"))
        do_stats();
    else if (!strcmp(w[0], "quit"))
        fleet_stop(fleet, 500, stopped, NULL);
    else
        printf("unknown\n"), fflush(stdout);
}

static void on_stdin(struct ev_loop *loop, ev_io *io, int revents) {
    char chunk[65536];
    ssize_t n = read(STDIN_FILENO, chunk, sizeof(chunk));
    (void)revents;
    if (n <= 0) {
        ev_io_stop(loop, io);
        ev_break(loop, EVBREAK_ALL);
        return;
    }
    buf_append(&input, chunk, (size_t)n);
    for (char *end; input.len && (end = memchr(input.data, '\n', input.len));) {
        *end = 0;
        order(input.data);
        buf_consume(&input, (size_t)(end - input.data) + 1);
    }
}

static int serve(struct fleet_options *o, bool lead, const char *leader) {
    struct err err = {0};
    ev = ev_default_loop(EVFLAG_AUTO);
    o->loop = rpc_loop_new(ev);
    if (fleet_new(o, &fleet, &err) < 0) {
        failed(&err);
    } else {
        fleet_lead(fleet, lead, leader);
        printf("ready %u", fleet_port(fleet, 0));
        end_line();
        ev_io in;
        ev_io_init(&in, on_stdin, STDIN_FILENO, EV_READ);
        ev_io_start(ev, &in);
        ev_run(ev, 0);
    }
    fleet_free(fleet);
    callers_free(callers);
    trust_free(trust);
    rpc_loop_free(o->loop);
    ev_loop_destroy(ev);
    buf_done(&input);
    return err.class != ERR_NONE;
}

int main(int argc, char **argv) {
    const char *listen[2] = {NULL, NULL}, *caller[16], *leader = "";
    size_t caller_count = 0;
    bool lead = true;
    struct trust_issuer issuer = {.issuer = "https://issuer.test", .audience = "mssql-controller"};
    struct fleet_options o = {.listen = listen,
                              .controller_id = "probe",
                              .events = {on_session, on_status, on_policy, on_command, NULL},
                              .heartbeat_s = 10};
    for (int c; (c = getopt(argc, argv, "l:j:p:c:k:a:h:n:L:s:")) != -1;) {
        if (c == 'l')
            listen[0] = optarg;
        else if (c == 'j')
            issuer.jwks_file = optarg;
        else if (c == 'p')
            pods_file = optarg;
        else if (c == 'c')
            o.tls.cert = optarg;
        else if (c == 'k')
            o.tls.key = optarg;
        else if (c == 'a' && caller_count < 16)
            caller[caller_count++] = optarg;
        else if (c == 'h')
            o.heartbeat_s = (unsigned)strtoul(optarg, NULL, 10);
        else if (c == 'n')
            o.controller_id = optarg;
        else if (c == 'L')
            lead = false, leader = optarg;
        else if (c == 's')
            o.sessions_max = (unsigned)strtoul(optarg, NULL, 10);
        else
            return 2;
    }
    log_setup(LOG_INFO, LOG_LOGFMT, "fleetprobe");
    rpc_setup();
    buf_init(&input, LINE_MAX_BYTES);
    trust = trust_new(&issuer, 1, TRUST_SKEW_US);
    o.trust = (struct fleet_trust){trust_check, on_pod, trust};
    if (caller_count) {
        callers = callers_new(trust, caller, caller_count);
        o.caller = callers_check;
        o.caller_user = callers;
    }
    return serve(&o, lead, leader);
}
