/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One sidecar as the controller knows it: session, status, policy, commands. A state machine without I/O and clock: messages go out
 * through `send`, which may refuse one with ERR_BUSY; peer_flush() then goes on where it stopped.
 */
#ifndef MSSQL_CONTROLLER_FLEET_PEER_H
#define MSSQL_CONTROLLER_FLEET_PEER_H

#include "controller/fleet/fleet.h"
#include "controller/fleet/report.h"

#define PEER_PROGRESS_MAX 512 /* databases whose progress is kept of one command */
#define PEER_COMMAND_BYTES_MAX (200u * 1024)
#define PEER_POLICY_BYTES_MAX (128u * 1024)
#define PEER_ID_MAX 64

struct peer_command {
    char *id;
    Mssql__V1__CommandState state;
    uint8_t *packed; /* the Command; NULL: it was given by another life of the controller */
    size_t packed_len;
    Mssql__V1__CommandProgress **progress;
    size_t progress_count, progress_last;
    Mssql__V1__CommandResult *result;
    int64_t given_at, acked_at, done_at, moved_at;
    bool sent; /* in this session */
    bool cancel, cancel_sent;
    struct peer_command *next;
};

struct peer_text { /* a policy as the controller wants it, or as the sidecar has it */
    char *uid;
    int64_t generation;
};

struct peer_events {
    void (*status)(void *user, bool news);
    void (*policy)(void *user);
    void (*command)(void *user, const char *id);
    void *user;
};

struct peer_out {
    int (*send)(void *user, const Mssql__V1__ControllerMessage *message, struct err *err);
    void *user;
};

struct peer {
    char *pod_uid, *namespace_name, *pod, *service_account; /* of the token */
    Mssql__V1__Hello *hello; /* of the last session; NULL before the first */
    bool connected;
    int64_t since_at, heard_at;
    struct report report;

    struct peer_text wanted; /* uid NULL = nothing */
    char *wanted_json;
    bool wanted_sent; /* in this session */
    Mssql__V1__PolicyApplied *applied, *refused; /* NULL = none */

    struct peer_command *commands; /* in the order they were given */
    unsigned command_count;
    char **acks; /* the newest ids whose results were taken care of: told again in each session, for nobody confirms it */
    unsigned ack_count, ack_sent;

    struct peer_events events;
    struct peer_out out; /* send NULL: no session */
};

struct peer *peer_new(const struct fleet_bearer *bearer);
void peer_free(struct peer *peer);

/* A session begins with this Hello (a copy is taken). `out` is used until peer_disconnect(). Nothing is sent yet: peer_flush(). */
void peer_connect(struct peer *peer, const Mssql__V1__Hello *hello, const struct peer_out *out, int64_t now);
void peer_disconnect(struct peer *peer, int64_t now);
/* Any message but Hello. On failure the session must be ended: ERR_PROTOCOL, ERR_LIMIT. */
int peer_message(struct peer *peer, const Mssql__V1__SidecarMessage *message, int64_t now, struct err *err) ERR_CHECK;
/* Sends what is to be sent, until the stream is full. */
void peer_flush(struct peer *peer);

int peer_push(struct peer *peer, const char *uid, int64_t generation, const char *json, struct err *err) ERR_CHECK;
int peer_give(struct peer *peer, const Mssql__V1__Command *command, int64_t now, struct err *err) ERR_CHECK;
void peer_cancel(struct peer *peer, const char *id, int64_t now);
void peer_ack(struct peer *peer, const char *id);
struct peer_command *peer_find(const struct peer *peer, const char *id);

#endif
