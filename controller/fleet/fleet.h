/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fleet: sessions of sidecars, what each told last, and the commands that were given to them. Loop thread only.
 *
 * A sidecar is known by the uid of its pod. The names of namespace and pod come from its token, never from what it says of itself.
 * After a session was lost its last status and its commands stay, until fleet_forget().
 *
 * Commands. The caller chooses the id (of the object's uid and generation), so that giving one twice is giving it once. It is sent
 * until the sidecar has it, also over reconnects. The result stays here and at the sidecar until fleet_command_ack(): acknowledge it
 * when what follows from it is durable. After a restart of the controller nothing is known of earlier commands but what the
 * sidecars tell in their Hello: a command that is given again with its old id joins, and results come again.
 */
#ifndef MSSQL_CONTROLLER_FLEET_FLEET_H
#define MSSQL_CONTROLLER_FLEET_FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/net/rpc_loop.h"
#include "common/net/rpc_server.h"
#include "mssql/v1/controller.pb-c.h"

struct fleet;

/* ---- what the fleet asks ---- */

/* Who a token says its bearer is. Strings live as long as the call. */
struct fleet_bearer {
    const char *issuer;
    const char *namespace_name, *service_account;
    const char *pod, *pod_uid; /* "" when the token is not bound to a pod */
    int64_t until_at;
};

struct fleet_trust {
    /* Checks a token of a sidecar and answers by calling `done` once, now or later on the loop. bearer NULL: refused for err. */
    void (*check)(void *user, const char *token,
                  void (*done)(void *arg, const struct fleet_bearer *bearer, const struct err *err), void *arg);
    /* Is there such a pod now, and may it be a sidecar? 0, or the reason. NULL: the token is enough. */
    int (*pod)(void *user, const struct fleet_bearer *bearer, struct err *err);
    void *user;
};

/* ---- what the fleet tells ---- */

struct fleet_events {
    /* A session began (again), or was lost. */
    void (*session)(void *user, const char *pod_uid, bool connected);
    /* Another status: fleet_status() has it. conditions: a condition, the set of databases or a database's state has changed, not only
     * figures. */
    void (*status)(void *user, const char *pod_uid, bool conditions);
    /* The sidecar has applied a policy, or refused it: fleet_policy(). */
    void (*policy)(void *user, const char *pod_uid);
    /* A command was acknowledged, progressed or ended. */
    void (*command)(void *user, const char *pod_uid, const char *id);
    void *user;
};

struct fleet_options {
    struct rpc_loop *loop;
    const char *const *listen; /* addresses, NULL-terminated; TCP beyond loopback only with TLS */
    struct tls_files tls; /* cert and key, read again when they change */
    const char *controller_id; /* of this replica: its pod's name */
    struct fleet_trust trust;
    struct fleet_events events;
    /* The service Fleet for others: checks a caller's token for a verb ("get", "create") in a namespace ("" = all) and answers once.
     * NULL: the service is off. */
    void (*caller)(void *user, const char *token, const char *verb, const char *namespace_name,
                   void (*done)(void *arg, const struct err *err), void *arg);
    void *caller_user;
    unsigned heartbeat_s; /* 0 = 30; a session that was silent for three of them is lost */
    unsigned sessions_max; /* 0 = 12000 */
    const uint8_t *grant_seed; /* 32 bytes of the Ed25519 key that signs grants; NULL: a new key for this process */
};

int fleet_new(const struct fleet_options *options, struct fleet **ret_fleet, struct err *err) ERR_CHECK;
/* Ends the sessions in order (the sidecars come back to whoever leads); `stopped` runs when that is done. */
void fleet_stop(struct fleet *fleet, unsigned grace_ms, void (*stopped)(void *user), void *user);
/* NULL is allowed. */
void fleet_free(struct fleet *fleet);
unsigned fleet_port(const struct fleet *fleet, size_t n); /* of the n-th address, for port 0 */
/* A fleet begins without the lead: sessions are answered with NotLeader{leader_address} ("" = unknown). With the lead it takes them. */
void fleet_lead(struct fleet *fleet, bool lead, const char *leader_address);

/* ---- sessions ---- */

struct fleet_session {
    const char *pod_uid, *namespace_name, *pod, *service_account; /* of the token */
    const char *instance, *instance_namespace, *release; /* as it calls itself */
    const char *sidecar_version;
    const char *fetch_address, *fetch_certificate; /* "" = it cannot be fetched from */
    const char *process_id;
    bool connected;
    bool status_complete; /* a whole status has come in this session */
    int64_t since_at; /* of `connected` */
    int64_t heard_at;
};

/* False when nothing is known of such a pod. Strings live until the loop goes on. */
bool fleet_session(const struct fleet *fleet, const char *pod_uid, struct fleet_session *ret_session);
/* The pod is gone for good: session, status and commands are forgotten; commands that had no result get no event. */
void fleet_forget(struct fleet *fleet, const char *pod_uid);
/* The last status, as one message; NULL while there was none. mssql__v1__status__free_unpacked(status, NULL) it. */
Mssql__V1__Status *fleet_status(const struct fleet *fleet, const char *pod_uid, bool with_databases);

/* ---- policy ---- */

struct fleet_policy {
    const char *uid; /* "" = none */
    int64_t generation;
    const char *source; /* in force: "file", "controller", "default" */
    const char *refused_uid; /* "" = the last push was taken */
    int64_t refused_generation;
    const char *error_class, *message; /* why it was refused */
};

/* What the sidecar said last. False when nothing is known of it. */
bool fleet_policy(const struct fleet *fleet, const char *pod_uid, struct fleet_policy *ret_policy);
/* The policy that this sidecar shall have: sent now and at each reconnect, unless it has it already or has refused it. */
int fleet_policy_push(struct fleet *fleet, const char *pod_uid, const char *uid, int64_t generation, const char *json,
                      struct err *err) ERR_CHECK;

/* ---- commands ---- */

struct fleet_command {
    const char *id;
    Mssql__V1__CommandState state;
    const Mssql__V1__CommandProgress *const *progress; /* the newest of each database */
    size_t progress_count;
    const Mssql__V1__CommandResult *result; /* of DONE */
    int64_t given_at, acked_at, done_at, moved_at; /* moved: the last sign of it */
};

#define FLEET_COMMANDS_MAX 64 /* of one sidecar that have not been acknowledged by fleet_command_ack() */

/* A copy is taken. ERR_NOT_FOUND when nothing is known of such a sidecar, ERR_LIMIT when it has too many. An id that is known already is
 * success. */
int fleet_command_give(struct fleet *fleet, const char *pod_uid, const Mssql__V1__Command *command, struct err *err) ERR_CHECK;
/* False when it is not known. Lives until the loop goes on. */
bool fleet_command(const struct fleet *fleet, const char *pod_uid, const char *id, struct fleet_command *ret_command);
/* Nobody wants it any more; one that was not acknowledged yet ends here with ERR_CANCELLED. */
void fleet_command_cancel(struct fleet *fleet, const char *pod_uid, const char *id);
/* Its result is taken care of: forgotten here and at the sidecar. */
void fleet_command_ack(struct fleet *fleet, const char *pod_uid, const char *id);

/* ---- grants ---- */

/* A packed SignedGrant that lets target fetch these sets from source for 15 minutes, each once. ERR_STATE while the source has no
 * session. mem_free() it. */
int fleet_grant(struct fleet *fleet, const char *source_pod_uid, const char *target_pod_uid, const char *const *set_guids,
                size_t count, uint8_t **ret_grant, size_t *ret_len, struct err *err) ERR_CHECK;

/* ---- figures ---- */

struct fleet_stats {
    unsigned connected, known; /* sessions now; pods that something is known of */
    uint64_t accepted, refused, replaced, lost; /* sessions */
    uint64_t statuses, commands, results;
    unsigned commands_open;
    uint64_t status_bytes; /* held */
    int64_t cert_not_after_at; /* 0 without TLS */
};
void fleet_get_stats(const struct fleet *fleet, struct fleet_stats *ret_stats);

#endif
