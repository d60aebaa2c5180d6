/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of a sidecar, each behind two bytes with its length, to the state machine of the controller. Links: fleet, net, base. Whatever
 * comes: what is held stays bounded, and a session that broke the rules can be followed by another one.
 */
#include <string.h>

#include "common/base/mem.h"
#include "controller/fleet/peer.h"
#include "tests/fuzz/fuzz.h"

static int take(void *user, const Mssql__V1__ControllerMessage *message, struct err *err) {
    unsigned *room = user;
    (void)message;
    return (*room)++ % 3 ? 0 : err_set(err, ERR_BUSY, "full");
}

static void on_status(void *user, bool news) {
    (void)user, (void)news;
}

static void on_policy(void *user) {
    (void)user;
}

static void on_command(void *user, const char *id) {
    must(user && id[0], "a command has an id");
}

static void begin(struct peer *peer, const Mssql__V1__Hello *hello, unsigned *room) {
    static const Mssql__V1__Hello empty = MSSQL__V1__HELLO__INIT;
    if (peer->connected)
        peer_disconnect(peer, 2);
    peer_connect(peer, hello ? hello : &empty, &(struct peer_out){take, room}, 1);
    peer_flush(peer);
}

static void one(struct peer *peer, const Mssql__V1__SidecarMessage *m, unsigned *room) {
    struct err err = {0};
    if (m->message_case == MSSQL__V1__SIDECAR_MESSAGE__MESSAGE_HELLO)
        begin(peer, m->hello, room);
    else if (peer_message(peer, m, 3, &err) < 0) {
        must(err.class == ERR_PROTOCOL || err.class == ERR_LIMIT, "a broken rule has its class");
        begin(peer, NULL, room);
    }
    must(peer->command_count <= FLEET_COMMANDS_MAX, "commands are bounded");
    must(peer->report.view.bytes <= REPORT_BYTES_MAX && peer->report.view.database_count <= REPORT_DATABASES_MAX,
         "so is the status");
}

static void look(const struct peer *peer) {
    Mssql__V1__Status *s = report_status(&peer->report, true);
    for (size_t i = 1; s && i < s->n_databases; i++)
        must(strcmp(s->databases[i - 1]->name, s->databases[i]->name) < 0, "databases are in order, each once");
    if (s)
        mssql__v1__status__free_unpacked(s, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fleet_bearer bearer = {.pod_uid = "u", .namespace_name = "n", .pod = "p", .service_account = "s"};
    struct peer *peer = peer_new(&bearer);
    unsigned room = 1;
    struct err err;
    peer->events = (struct peer_events){on_status, on_policy, on_command, &room};
    if (peer_push(peer, "p", 1, "{}", &err) < 0)
        abort();
    begin(peer, NULL, &room);
    while (size >= 2) {
        size_t len = (size_t)data[0] << 8 | data[1];
        data += 2;
        size -= 2;
        len = len < size ? len : size;
        Mssql__V1__SidecarMessage *m = mssql__v1__sidecar_message__unpack(NULL, len, data);
        if (m) {
            one(peer, m, &room);
            mssql__v1__sidecar_message__free_unpacked(m, NULL);
        }
        data += len;
        size -= len;
    }
    look(peer);
    peer_free(peer);
    return 0;
}
