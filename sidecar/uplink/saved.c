/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands on disk: <state>/commands/ID.command, then ID.result beside it. When the result was acknowledged the id goes into the file
 * `ended`, and both are removed.
 */
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "sidecar/uplink/uplink_int.h"

#define FOLDER "commands"
#define ENDED "ended"
#define FILE_BYTES_MAX (1u << 20)

static char *folder_of(const struct uplink *u) {
    return file_join(u->agent->config->paths.state, FOLDER);
}

static char *path_of(const struct uplink *u, const char *id, const char *suffix) {
    return mem_printf("%s/" FOLDER "/%s%s", u->agent->config->paths.state, id, suffix);
}

static int save(struct uplink *u, const char *id, const char *suffix, const ProtobufCMessage *message, struct err *err) {
    size_t len = protobuf_c_message_get_packed_size(message);
    _cleanup_free_ uint8_t *bytes = mem_alloc(len + 1);
    _cleanup_free_ char *folder = folder_of(u);
    _cleanup_free_ char *path = path_of(u, id, suffix);
    protobuf_c_message_pack(message, bytes);
    if (file_mkdirs(folder, 0750, err) < 0)
        return -1;
    return file_write_durable(path, bytes, len, 0600, err);
}

int saved_command(struct uplink *u, const Mssql__V1__Command *command, struct err *err) {
    return save(u, command->id, ".command", &command->base, err);
}

int saved_result(struct uplink *u, const Mssql__V1__CommandResult *result, struct err *err) {
    return save(u, result->id, ".result", &result->base, err);
}

int saved_ended(struct uplink *u, const char *id, struct err *err) {
    _cleanup_free_ char *list = path_of(u, ENDED, "");
    _cleanup_free_ char *command = path_of(u, id, ".command");
    _cleanup_free_ char *result = path_of(u, id, ".result");
    struct buf text;
    buf_init(&text, FILE_BYTES_MAX);
    for (unsigned i = 0; i < u->ended_count; i++)
        buf_printf(&text, "%s\n", u->ended[i]);
    int rc = file_write_durable(list, text.data ? text.data : "", text.len, 0600, err);
    buf_done(&text);
    if (rc == 0)
        rc = file_unlink_durable(command, err);
    if (rc == 0)
        rc = file_unlink_durable(result, err);
    return rc;
}

/* ---- loading ---- */

/* NULL when there is none, or it cannot be read: then it is said and the file stays for somebody to look at. */
static void *load(const char *path, const ProtobufCMessageDescriptor *type) {
    char *data;
    size_t len;
    struct err err;
    if (!file_exists(path))
        return NULL;
    if (file_read_all(path, FILE_BYTES_MAX, &data, &len, &err) < 0) {
        log_error(LOG_ERROR, &err, "a command of the controller cannot be read", "path", path, NULL);
        return NULL;
    }
    void *message = protobuf_c_message_unpack(type, NULL, len, (const uint8_t *)data);
    mem_free(data);
    if (!message)
        log_event(LOG_ERROR, "a command of the controller is damaged", "path", path, NULL);
    return message;
}

struct walk {
    struct uplink *u;
    void (*fn)(struct uplink *u, Mssql__V1__Command *command, Mssql__V1__CommandResult *result);
};

static int each(void *user, const char *name) {
    struct walk *w = user;
    if (strstr(name, ".tmp-")) { /* half written when the process was killed */
        _cleanup_free_ char *left = path_of(w->u, name, "");
        (void)unlink(left);
    }
    if (!str_ends(name, ".command"))
        return 0;
    _cleanup_free_ char *id = mem_strndup(name, strlen(name) - strlen(".command"));
    _cleanup_free_ char *command_path = path_of(w->u, id, ".command");
    _cleanup_free_ char *result_path = path_of(w->u, id, ".result");
    Mssql__V1__Command *command = load(command_path, &mssql__v1__command__descriptor);
    Mssql__V1__CommandResult *result = load(result_path, &mssql__v1__command_result__descriptor);
    if ((command && strcmp(command->id, id)) || (result && strcmp(result->id, id)))
        log_event(LOG_ERROR, "a command of the controller is in the file of another", "path", command_path, NULL);
    else if (command || result) {
        w->fn(w->u, command, result);
        return 0;
    }
    if (command)
        mssql__v1__command__free_unpacked(command, NULL);
    if (result)
        mssql__v1__command_result__free_unpacked(result, NULL);
    return 0;
}

static void load_ended(struct uplink *u) {
    _cleanup_free_ char *path = path_of(u, ENDED, "");
    char *data, *rest = NULL;
    size_t len;
    struct err err;
    if (!file_exists(path) || file_read_all(path, FILE_BYTES_MAX, &data, &len, &err) < 0)
        return;
    for (char *id = strtok_r(data, "\n", &rest); id && u->ended_count < ENDED_MAX; id = strtok_r(NULL, "\n", &rest))
        u->ended[u->ended_count++] = mem_strdup(id);
    mem_free(data);
}

void saved_load(struct uplink *u, void (*fn)(struct uplink *u, Mssql__V1__Command *command, Mssql__V1__CommandResult *result)) {
    _cleanup_free_ char *folder = folder_of(u);
    struct walk w = {u, fn};
    struct err err;
    load_ended(u);
    if (file_exists(folder) && file_each(folder, each, &w, &err) < 0)
        log_error(LOG_ERROR, &err, "commands of the controller cannot be listed", NULL);
}
