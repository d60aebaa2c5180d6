/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/words.h"

#include <string.h>

#include "common/base/mem.h"

static const char *const kinds[] = {"-", "full", "diff", "log"};

const char *word_kind(Mssql__V1__BackupKind kind) {
    return (size_t)kind < ARRAY_LEN(kinds) ? kinds[kind] : "?";
}

Mssql__V1__BackupKind kind_of_word(const char *word) {
    for (size_t i = 1; i < ARRAY_LEN(kinds); i++)
        if (!strcmp(kinds[i], word))
            return (Mssql__V1__BackupKind)i;
    return MSSQL__V1__BACKUP_KIND__BACKUP_KIND_UNSPECIFIED;
}

const char *word_phase(Mssql__V1__JobPhase phase) {
    static const char *const words[] = {"-", "waiting", "taking", "checking", "shipping", "committing", "done"};
    return (size_t)phase < ARRAY_LEN(words) ? words[phase] : "?";
}

const char *word_result(Mssql__V1__ResultState state) {
    static const char *const words[] = {"-", "completed", "quiet", "skipped", "deferred", "failed"};
    return (size_t)state < ARRAY_LEN(words) ? words[state] : "?";
}

enum cli_color color_result(Mssql__V1__ResultState state) {
    switch (state) {
    case MSSQL__V1__RESULT_STATE__RESULT_STATE_COMPLETED:
    case MSSQL__V1__RESULT_STATE__RESULT_STATE_QUIET:
        return CLI_GOOD;
    case MSSQL__V1__RESULT_STATE__RESULT_STATE_FAILED:
        return CLI_BAD;
    default:
        return CLI_WARN;
    }
}

const char *word_chain(Mssql__V1__ChainState state) {
    static const char *const words[] = {"not known yet", "intact", "awaiting first full", "BROKEN", "no logs (SIMPLE)", "paused"};
    return (size_t)state < ARRAY_LEN(words) ? words[state] : "?";
}

enum cli_color color_chain(Mssql__V1__ChainState state) {
    switch (state) {
    case MSSQL__V1__CHAIN_STATE__CHAIN_STATE_INTACT:
        return CLI_GOOD;
    case MSSQL__V1__CHAIN_STATE__CHAIN_STATE_BROKEN:
        return CLI_BAD;
    default:
        return CLI_WARN;
    }
}

void message_cleanup(void *message) {
    ProtobufCMessage *m = *(ProtobufCMessage **)message;
    if (m)
        protobuf_c_message_free_unpacked(m, NULL);
}
