/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bad configuration ends the sidecar, so that whoever made the mistake sees it. In a pod that would hit SQL Server: kubelet
 * starts it only when the sidecar beside it runs, and takes the pod out of its Service while one container is down. With
 * `--wait-for-config ADDRESS` the sidecar stays instead, answers probes at that address, says in its log what is wrong, and
 * begins its work when the file is good.
 */
#ifndef MSSQL_SIDECAR_CONFIG_WAIT_H
#define MSSQL_SIDECAR_CONFIG_WAIT_H

#include "sidecar/config.h"

/* The ADDRESS of the command line; NULL without that flag. */
const char *config_wait_address(int argc, char *const *argv);
/*
 * As sidecar_config_load(), but tries again every two seconds. Passwords are removed from env when it has succeeded.
 * ERR_CANCELLED after SIGTERM or SIGINT; else it fails only when `listen` cannot be had.
 */
int config_wait(int argc, char *const *argv, char **env, const char *listen, struct sidecar_config *ret_config,
                struct err *err) ERR_CHECK;

#endif
