/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `mssql-sidecar --prepare DIR...`: what the first init container of a pod runs. It makes the folders on the volumes that the
 * sidecar then mounts by subPath, for kubelet would make them as root's. A second run changes nothing, and writes nothing: a
 * volume that is full or read-only by now does not keep the pod from starting.
 */
#ifndef MSSQL_SIDECAR_PREPARE_H
#define MSSQL_SIDECAR_PREPARE_H

#include "common/base/buf.h"
#include "common/base/err.h"

#define PREPARE_MODE 02770 /* of a DIR without =MODE: SQL Server's group writes there, and its files get that group */
#define PREPARE_MARK ".prepared"

/*
 * `spec` is an absolute path, with "=MODE" (octal) behind it for another mode than PREPARE_MODE. The folder that holds it must
 * be there: when it is not, the volume is not mounted. No part of the path may be a symbolic link. What is in a folder is ours
 * when it is empty or holds a file that the sidecar or this function made there; another folder with something in it is
 * refused and left as it is. One line for each folder is appended to `said`; those that begin with "warning:" are about
 * something that the sidecar will complain of, but that is no reason to keep SQL Server from starting.
 */
int prepare_directory(const char *spec, struct buf *said, struct err *err) ERR_CHECK;

#endif
