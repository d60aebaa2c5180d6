/* SPDX-License-Identifier: Apache-2.0 */
/* For the files of the guard. */
#ifndef MSSQL_RESTORE_GUARD_INT_H
#define MSSQL_RESTORE_GUARD_INT_H

#include "common/restore/guard.h"

/* Fills guard->text. */
void guard_say(const struct restore_guard_view *view, struct restore_guard *guard);
/* Is the one for this loss, of today or of yesterday? */
bool guard_quoted(const struct restore_guard_view *view, const struct restore_guard *guard, enum restore_loss loss,
                  const char *tokens);
/* The token for this loss as it was printed `days_ago`. */
void guard_token(const struct restore_guard_view *view, const struct restore_guard *guard, enum restore_loss loss, int days_ago,
                 char dst[RESTORE_TOKEN_MAX]);

#endif
