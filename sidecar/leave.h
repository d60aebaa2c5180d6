/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of the program is bounded. A worker that hangs on a volume whose server is dead cannot be ended, and joining it would keep the
 * pod until kubelet kills it. Everything that is durable is made for kill -9, so leaving it behind loses nothing.
 */
#ifndef MSSQL_SIDECAR_LEAVE_H
#define MSSQL_SIDECAR_LEAVE_H

#include <stdint.h>

/* From now on the process has so long to end by itself; then it ends at once, with the exit code of a timeout. */
void leave_after(int64_t ms);

#endif
