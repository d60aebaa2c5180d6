/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of a peer: peer.c, peer_command.c. */
#ifndef MSSQL_CONTROLLER_FLEET_PEER_INT_H
#define MSSQL_CONTROLLER_FLEET_PEER_INT_H

#include "controller/fleet/peer.h"

void *peer_copy(const ProtobufCMessage *message);
/* 0, or the stream is full or gone. */
int peer_send(struct peer *peer, const Mssql__V1__ControllerMessage *message);

void peer_commands_free(struct peer *peer);
/* What the sidecar knows decides what has to be sent. */
void peer_commands_hello(struct peer *peer, const Mssql__V1__Hello *hello, int64_t now);
void peer_commands_flush(struct peer *peer);
void peer_command_acked(struct peer *peer, const char *id, int64_t now);
void peer_command_progress(struct peer *peer, const Mssql__V1__CommandProgress *progress, int64_t now);
int peer_command_result(struct peer *peer, const Mssql__V1__CommandResult *result, int64_t now, struct err *err) ERR_CHECK;

#endif
