/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of one sidecar: PENDING until it has acknowledged them, RUNNING until their result, DONE until somebody has acknowledged that. */
#include "controller/fleet/peer_int.h"

#include <string.h>

#include "common/base/mem.h"

#define PENDING MSSQL__V1__COMMAND_STATE__COMMAND_STATE_PENDING
#define RUNNING MSSQL__V1__COMMAND_STATE__COMMAND_STATE_RUNNING
#define DONE MSSQL__V1__COMMAND_STATE__COMMAND_STATE_DONE
#define ACKS_MAX 64

/* Letters, digits, '-', '_', '.': the sidecar makes file names of them. */
static bool id_valid(const char *id) {
    size_t len = strlen(id);
    return len && len <= PEER_ID_MAX && id[0] != '.' &&
           !id[strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")];
}

static void progress_free(struct peer_command *c) {
    for (size_t i = 0; i < c->progress_count; i++)
        mssql__v1__command_progress__free_unpacked(c->progress[i], NULL);
    mem_free(c->progress);
    c->progress = NULL;
    c->progress_count = 0;
}

static void command_free(struct peer_command *c) {
    progress_free(c);
    if (c->result)
        mssql__v1__command_result__free_unpacked(c->result, NULL);
    mem_free(c->id);
    mem_free(c->packed);
    mem_free(c);
}

void peer_commands_free(struct peer *p) {
    while (p->commands) {
        struct peer_command *c = p->commands;
        p->commands = c->next;
        command_free(c);
    }
    for (unsigned i = 0; i < p->ack_count; i++)
        mem_free(p->acks[i]);
    mem_free(p->acks);
}

struct peer_command *peer_find(const struct peer *p, const char *id) {
    struct peer_command *c = p->commands;
    while (c && strcmp(c->id, id))
        c = c->next;
    return c;
}

static struct peer_command *add(struct peer *p, const char *id, int64_t now) {
    struct peer_command *c = mem_alloc(sizeof(*c)), **end = &p->commands;
    while (*end)
        end = &(*end)->next;
    *end = c;
    c->id = mem_strdup(id);
    c->state = PENDING;
    c->given_at = c->moved_at = now;
    p->command_count++;
    return c;
}

static void drop(struct peer *p, struct peer_command *gone) {
    struct peer_command **at = &p->commands;
    while (*at != gone)
        at = &(*at)->next;
    *at = gone->next;
    p->command_count--;
    command_free(gone);
}

static bool is_acked(const struct peer *p, const char *id) {
    for (unsigned i = 0; i < p->ack_count; i++)
        if (!strcmp(p->acks[i], id))
            return true;
    return false;
}

/* The sidecar tells of a command that this life of the controller did not give. What nobody asks for may be more than we want to hold: the
 * sidecar has it. */
static struct peer_command *adopt(struct peer *p, const char *id, int64_t now) {
    struct peer_command *c = peer_find(p, id);
    if (c || is_acked(p, id) || !id_valid(id) || p->command_count >= FLEET_COMMANDS_MAX)
        return c;
    c = add(p, id, now);
    c->sent = true;
    return c;
}

static void moved(struct peer *p, struct peer_command *c, int64_t now) {
    c->moved_at = now;
    p->events.command(p->events.user, c->id);
}

/* ---- from the caller ---- */

int peer_give(struct peer *p, const Mssql__V1__Command *command, int64_t now, struct err *err) {
    if (!id_valid(command->id))
        return err_set(err, ERR_USAGE, "'%.80s' is not the id of a command", command->id);
    if (command->request_case == MSSQL__V1__COMMAND__REQUEST__NOT_SET)
        return err_set(err, ERR_USAGE, "command '%s' asks for nothing", command->id);
    size_t len = mssql__v1__command__get_packed_size(command);
    if (len > PEER_COMMAND_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "command '%s' is larger than %u KiB", command->id, PEER_COMMAND_BYTES_MAX >> 10);
    struct peer_command *c = peer_find(p, command->id);
    if (!c && p->command_count >= FLEET_COMMANDS_MAX)
        return err_set(err, ERR_LIMIT, "%s/%s has %u commands already", p->namespace_name, p->pod, p->command_count);
    if (!c && is_acked(p, command->id))
        return err_set(err, ERR_CONFLICT, "command '%s' was given, carried out and acknowledged before", command->id);
    if (!c)
        c = add(p, command->id, now);
    if (!c->packed) { /* also of an adopted one: should the sidecar have lost it, it can be sent again */
        c->packed = mem_alloc(len + 1);
        c->packed_len = len;
        mssql__v1__command__pack(command, c->packed);
    }
    peer_flush(p);
    return 0;
}

static Mssql__V1__CommandResult *result_new(const char *id, enum err_class class, const char *message, int64_t now) {
    Mssql__V1__CommandResult *r = mem_alloc(sizeof(*r));
    mssql__v1__command_result__init(r);
    r->id = mem_strdup(id);
    r->error_class = mem_strdup(err_class_name(class));
    r->message = mem_strdup(message);
    r->finished_at = now;
    return r;
}

void peer_cancel(struct peer *p, const char *id, int64_t now) {
    struct peer_command *c = peer_find(p, id);
    if (!c || c->cancel || c->state == DONE)
        return;
    c->cancel = true;
    if (c->state == PENDING && !c->sent && !p->connected) { /* the sidecar never saw it, and will not */
        c->state = DONE;
        c->done_at = now;
        c->result = result_new(id, ERR_CANCELLED, "cancelled before the sidecar had it", now);
        moved(p, c, now);
        return;
    }
    peer_flush(p);
}

void peer_ack(struct peer *p, const char *id) {
    struct peer_command *c = peer_find(p, id);
    if (!c || c->state != DONE)
        return;
    if (p->ack_count == ACKS_MAX) {
        mem_free(p->acks[0]);
        memmove(p->acks, p->acks + 1, --p->ack_count * sizeof(*p->acks));
        p->ack_sent -= p->ack_sent > 0;
    }
    p->acks = mem_realloc(p->acks, (p->ack_count + 1) * sizeof(*p->acks));
    p->acks[p->ack_count++] = mem_strdup(id);
    drop(p, c);
    peer_flush(p);
}

/* ---- to the sidecar ---- */

static bool flush_acks(struct peer *p) {
    while (p->ack_sent < p->ack_count) {
        Mssql__V1__ControllerMessage m = MSSQL__V1__CONTROLLER_MESSAGE__INIT;
        Mssql__V1__ResultAck ack = MSSQL__V1__RESULT_ACK__INIT;
        ack.id = p->acks[p->ack_sent];
        m.message_case = MSSQL__V1__CONTROLLER_MESSAGE__MESSAGE_RESULT_ACK;
        m.result_ack = &ack;
        if (peer_send(p, &m) < 0)
            return false;
        p->ack_sent++;
    }
    return true;
}

static bool send_command(struct peer *p, struct peer_command *c) {
    Mssql__V1__ControllerMessage m = MSSQL__V1__CONTROLLER_MESSAGE__INIT;
    m.message_case = MSSQL__V1__CONTROLLER_MESSAGE__MESSAGE_COMMAND;
    m.command = mssql__v1__command__unpack(NULL, c->packed_len, c->packed);
    c->sent = peer_send(p, &m) == 0;
    mssql__v1__command__free_unpacked(m.command, NULL);
    return c->sent;
}

static bool send_cancel(struct peer *p, struct peer_command *c) {
    Mssql__V1__ControllerMessage m = MSSQL__V1__CONTROLLER_MESSAGE__INIT;
    Mssql__V1__CancelCommand cancel = MSSQL__V1__CANCEL_COMMAND__INIT;
    cancel.id = c->id;
    m.message_case = MSSQL__V1__CONTROLLER_MESSAGE__MESSAGE_CANCEL;
    m.cancel = &cancel;
    c->cancel_sent = peer_send(p, &m) == 0;
    return c->cancel_sent;
}

void peer_commands_flush(struct peer *p) {
    if (!flush_acks(p))
        return;
    for (struct peer_command *c = p->commands; c; c = c->next) {
        if (c->state == PENDING && !c->sent && c->packed && !send_command(p, c))
            return;
        if (c->cancel && !c->cancel_sent && c->state != DONE && !send_cancel(p, c))
            return;
    }
}

/* ---- from the sidecar ---- */

void peer_commands_hello(struct peer *p, const Mssql__V1__Hello *hello, int64_t now) {
    p->ack_sent = 0;
    for (struct peer_command *c = p->commands; c; c = c->next) {
        /* What it does not name it does not have: sent again. One that was RUNNING and is gone lost its disk. */
        c->sent = c->cancel_sent = false;
        if (c->state == RUNNING)
            c->state = PENDING;
    }
    for (size_t i = 0; i < hello->n_commands; i++) {
        struct peer_command *c = adopt(p, hello->commands[i]->id, now);
        if (!c)
            continue;
        c->sent = true;
        if (c->state == PENDING)
            c->state = RUNNING; /* a result follows by itself */
    }
}

void peer_command_acked(struct peer *p, const char *id, int64_t now) {
    struct peer_command *c = peer_find(p, id);
    if (!c || c->state != PENDING)
        return;
    c->state = RUNNING;
    c->acked_at = now;
    moved(p, c, now);
}

static const char *database_of(const Mssql__V1__CommandProgress *g) {
    if (g->progress_case == MSSQL__V1__COMMAND_PROGRESS__PROGRESS_BACKUP)
        return g->backup->database;
    return g->progress_case == MSSQL__V1__COMMAND_PROGRESS__PROGRESS_RESTORE ? g->restore->database : "";
}

void peer_command_progress(struct peer *p, const Mssql__V1__CommandProgress *progress, int64_t now) {
    struct peer_command *c = adopt(p, progress->id, now);
    size_t i = 0;
    if (!c || c->state == DONE)
        return;
    c->state = RUNNING;
    while (i < c->progress_count && strcmp(database_of(c->progress[i]), database_of(progress)))
        i++;
    if (i < c->progress_count) {
        mssql__v1__command_progress__free_unpacked(c->progress[i], NULL);
    } else {
        if (i == PEER_PROGRESS_MAX)
            return;
        c->progress = mem_realloc(c->progress, (i + 1) * sizeof(*c->progress));
        c->progress_count++;
    }
    c->progress[i] = peer_copy(&progress->base);
    c->progress_last = i;
    moved(p, c, now);
}

int peer_command_result(struct peer *p, const Mssql__V1__CommandResult *result, int64_t now, struct err *err) {
    if (!id_valid(result->id))
        return err_set(err, ERR_PROTOCOL, "the result of a command without a proper id");
    struct peer_command *c = adopt(p, result->id, now);
    if (!c || c->state == DONE)
        return 0; /* again, or too many */
    progress_free(c);
    c->result = peer_copy(&result->base);
    c->state = DONE;
    c->done_at = now;
    moved(p, c, now);
    return 0;
}
