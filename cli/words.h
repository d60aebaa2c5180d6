/* SPDX-License-Identifier: Apache-2.0 */
/* Values of messages as words for people. JSON and YAML have their own (proto_json.h). */
#ifndef MSSQL_CLI_WORDS_H
#define MSSQL_CLI_WORDS_H

#include "cli/out.h"
#include "mssql/v1/sidecar.pb-c.h"

/* "full", "diff", "log"; "-" */
const char *word_kind(Mssql__V1__BackupKind kind);
const char *word_phase(Mssql__V1__JobPhase phase);
const char *word_result(Mssql__V1__ResultState state);
enum cli_color color_result(Mssql__V1__ResultState state);
/* "intact", "awaiting first full", ... */
const char *word_chain(Mssql__V1__ChainState state);
enum cli_color color_chain(Mssql__V1__ChainState state);
Mssql__V1__BackupKind kind_of_word(const char *word);

/* Frees a message that ask() gave, at the end of its scope. */
void message_cleanup(void *message);
#define _cleanup_message_ __attribute__((cleanup(message_cleanup)))

#endif
