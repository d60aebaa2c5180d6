/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands. Each is on disk before it is acknowledged, its result is on disk before it is sent, and both stay until the controller has
 * acknowledged the result. So neither side's death loses one: what had no result is given to its handler again (restores join by their
 * request id, the others may be done twice), what had one is sent again. Ids that are over are remembered and never run again.
 */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/net/rpc_server.h"
#include "sidecar/restore/runs.h"
#include "sidecar/uplink/uplink_int.h"

#define READY_AFTER_US CLOCK_MINUTE

static bool id_valid(const char *id) {
    size_t len = strlen(id);
    return len && len <= ORDER_ID_MAX && id[0] != '.' &&
           !id[strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")];
}

static struct order *find(const struct uplink *u, const char *id) {
    struct order *o = u->orders;
    while (o && strcmp(o->id, id))
        o = o->next;
    return o;
}

static bool is_ended(const struct uplink *u, const char *id) {
    for (unsigned i = 0; i < u->ended_count; i++)
        if (!strcmp(u->ended[i], id))
            return true;
    return false;
}

static struct order *add(struct uplink *u, const char *id) {
    struct order *o = mem_alloc(sizeof(*o)), **end = &u->orders;
    while (*end)
        end = &(*end)->next;
    *end = o;
    o->uplink = u;
    str_copy(o->id, sizeof(o->id), id);
    u->order_count++;
    return o;
}

static void order_free(struct order *o) {
    if (o->command)
        mssql__v1__command__free_unpacked(o->command, NULL);
    if (o->result)
        mssql__v1__command_result__free_unpacked(o->result, NULL);
    mem_free(o);
}

static void drop(struct uplink *u, struct order *gone) {
    struct order **at = &u->orders;
    while (*at != gone)
        at = &(*at)->next;
    *at = gone->next;
    u->order_count--;
    order_free(gone);
}

/* ---- messages ---- */

static void send_ack(struct uplink *u, const char *id) {
    Mssql__V1__SidecarMessage m = MSSQL__V1__SIDECAR_MESSAGE__INIT;
    Mssql__V1__CommandAck ack = MSSQL__V1__COMMAND_ACK__INIT;
    ack.id = (char *)(uintptr_t)id;
    m.message_case = MSSQL__V1__SIDECAR_MESSAGE__MESSAGE_ACK;
    m.ack = &ack;
    (void)link_send(u, &m); /* lost: the next Hello names it */
}

static bool send_result(struct uplink *u, Mssql__V1__CommandResult *result) {
    Mssql__V1__SidecarMessage m = MSSQL__V1__SIDECAR_MESSAGE__INIT;
    m.message_case = MSSQL__V1__SIDECAR_MESSAGE__MESSAGE_RESULT;
    m.result = result;
    return link_send(u, &m) == 0;
}

void order_flush(struct uplink *u) {
    for (struct order *o = u->orders; o && u->welcomed; o = o->next) {
        if (!o->done || o->result_sent)
            continue;
        if (link_full(u))
            return;
        o->result_sent = send_result(u, o->result);
    }
}

/* The answer to a command that is not kept: it is not begun, and may be given again. */
static void turn_away(struct uplink *u, const char *id, const struct err *err) {
    Mssql__V1__CommandResult r = MSSQL__V1__COMMAND_RESULT__INIT;
    r.id = (char *)(uintptr_t)id;
    r.error_class = (char *)(uintptr_t)err_class_name(err->class);
    r.message = (char *)(uintptr_t)err->text;
    r.finished_at = clock_wall();
    (void)send_result(u, &r);
}

/* ---- life ---- */

void order_finish(struct order *o, const struct err *err) {
    struct uplink *u = o->uplink;
    struct err why;
    Mssql__V1__CommandResult *r = o->result;
    r->id = mem_strdup(o->id);
    r->error_class = mem_strdup(err->class == ERR_NONE ? "" : err_class_name(err->class));
    r->message = mem_strdup(err->class == ERR_NONE ? "" : err->text);
    r->finished_at = clock_wall();
    order_fit(r);
    o->done = true;
    o->call = NULL;
    u->stats.commands_done++;
    u->stats.commands_failed += err->class != ERR_NONE;
    if (saved_result(u, r, &why) < 0) /* it is told all the same; a restart before the acknowledgement runs it again */
        log_error(LOG_ERROR, &why, "the result of a command cannot be kept", "command", o->id, NULL);
    log_event(LOG_INFO, "command of the controller is over", "command", o->id, "class", *r->error_class ? r->error_class : "none",
              NULL);
    order_flush(u);
}

static void begin(struct order *o) {
    struct err err;
    int64_t deadline = o->command->deadline_at;
    o->result = mem_alloc(sizeof(*o->result));
    mssql__v1__command_result__init(o->result);
    if (deadline && clock_wall() > deadline) {
        err_set(&err, ERR_TIMEOUT, "it came after its deadline and was not begun");
        order_finish(o, &err);
    } else {
        order_run(o);
    }
}

/* At the start of the program nothing is known yet of the server's databases and of the store: what is asked then would fail for that. */
static bool ready(const struct uplink *u) {
    const struct agent *agent = u->agent;
    return (agent->server_listed && agent->store_asked) || clock_mono_us() - agent->started_us > READY_AFTER_US;
}

bool order_resume(struct uplink *u) {
    bool waiting = false;
    for (struct order *o = u->orders; o && !u->stopping; o = o->next) {
        if (o->done || o->result)
            continue;
        if (ready(u))
            begin(o);
        else
            waiting = true;
    }
    return waiting;
}

/* True when it needs nothing any more but an answer. */
static bool answer_known(struct uplink *u, const Mssql__V1__Command *command) {
    struct order *o = find(u, command->id);
    struct err err;
    if (o) {
        send_ack(u, o->id);
        o->result_sent = false;
        order_flush(u);
        return true;
    }
    if (!is_ended(u, command->id))
        return false;
    err_set(&err, ERR_CONFLICT, "it was carried out before, and its result acknowledged");
    turn_away(u, command->id, &err);
    return true;
}

void order_take(struct uplink *u, const Mssql__V1__Command *command) {
    struct err err = {0};
    if (!id_valid(command->id)) {
        err_set(&err, ERR_USAGE, "'%.80s' is not the id of a command", command->id);
        log_error(LOG_WARN, &err, "a command cannot be taken", NULL);
        return;
    }
    if (answer_known(u, command))
        return;
    if (!u->agent->opened)
        err_set(&err, ERR_STATE, "the state directory cannot be used: %.400s", u->agent->state_err.text);
    else if (u->order_count >= ORDERS_MAX)
        err_set(&err, ERR_LIMIT, "%u commands wait for the acknowledgement of their result already", u->order_count);
    if (err.class != ERR_NONE || saved_command(u, command, &err) < 0) {
        turn_away(u, command->id, &err);
        return;
    }
    struct order *o = add(u, command->id);
    o->command = order_copy(&command->base);
    log_event(LOG_INFO, "command of the controller", "command", o->id, NULL);
    send_ack(u, o->id);
    link_resume(u);
}

void order_cancel(struct uplink *u, const char *id) {
    struct order *o = find(u, id);
    struct err err;
    if (!o || o->done || !o->command || o->command->request_case != MSSQL__V1__COMMAND__REQUEST_RUN_RESTORE)
        return; /* backups that run go on: they hurt nobody, and a log that was taken must be shipped */
    const char *request = o->command->run_restore->request_id;
    struct run *run = restores_find(u->agent, *request ? request : o->id);
    if (run && restores_cancel(u->agent, run, &err) < 0)
        log_error(LOG_WARN, &err, "a restore cannot be cancelled", "command", id, NULL);
}

static void remember(struct uplink *u, const char *id) {
    if (u->ended_count == ENDED_MAX) {
        mem_free(u->ended[0]);
        memmove(u->ended, u->ended + 1, --u->ended_count * sizeof(*u->ended));
    }
    u->ended[u->ended_count++] = mem_strdup(id);
}

void order_acked(struct uplink *u, const char *id) {
    struct order *o = find(u, id);
    struct err err;
    if (!o || !o->done)
        return;
    if (!is_ended(u, id))
        remember(u, id);
    if (saved_ended(u, id, &err) < 0) {
        log_error(LOG_WARN, &err, "the end of a command cannot be kept", "command", id, NULL);
        return; /* offered again with the next session */
    }
    drop(u, o);
}

/* ---- sessions and restarts ---- */

void order_hello(struct uplink *u, Mssql__V1__Hello *hello) {
    hello->commands = mem_array(u->order_count + 1, sizeof(*hello->commands));
    for (struct order *o = u->orders; o; o = o->next) {
        Mssql__V1__CommandKnown *k = mem_alloc(sizeof(*k));
        mssql__v1__command_known__init(k);
        k->id = o->id;
        k->state = o->done ? MSSQL__V1__COMMAND_STATE__COMMAND_STATE_DONE : MSSQL__V1__COMMAND_STATE__COMMAND_STATE_RUNNING;
        hello->commands[hello->n_commands++] = k;
        o->result_sent = false;
    }
}

void order_hello_done(Mssql__V1__Hello *hello) {
    for (size_t i = 0; i < hello->n_commands; i++)
        mem_free(hello->commands[i]);
    mem_free(hello->commands);
}

/* From the files. Takes both. */
static void found(struct uplink *u, Mssql__V1__Command *command, Mssql__V1__CommandResult *result) {
    const char *id = result ? result->id : command->id;
    if (!id_valid(id) || find(u, id) || u->order_count >= ORDERS_MAX) {
        if (command)
            mssql__v1__command__free_unpacked(command, NULL);
        if (result)
            mssql__v1__command_result__free_unpacked(result, NULL);
        return;
    }
    struct order *o = add(u, id);
    o->command = command;
    o->result = result;
    o->done = result != NULL;
}

void order_open(struct uplink *u) {
    saved_load(u, found);
}

void order_stop(struct uplink *u) {
    for (struct order *o = u->orders; o; o = o->next)
        if (o->call)
            rpc_local_cancel(o->call); /* its end is no result: order_run.c sees that we are stopping */
}

void order_done(struct uplink *u) {
    while (u->orders) {
        struct order *o = u->orders;
        u->orders = o->next;
        if (o->call)
            rpc_local_abandon(o->call);
        order_free(o);
    }
    u->order_count = 0;
    for (unsigned i = 0; i < u->ended_count; i++)
        mem_free(u->ended[i]);
    u->ended_count = 0;
}
