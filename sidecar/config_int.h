/* SPDX-License-Identifier: Apache-2.0 */
/* For the files that make up the configuration. */
#ifndef MSSQL_SIDECAR_CONFIG_INT_H
#define MSSQL_SIDECAR_CONFIG_INT_H

#include "sidecar/config.h"

#define SIDECAR_ENV_CONFIG SIDECAR_ENV "CONFIG"
#define SIDECAR_ENV_PASSWORD SIDECAR_ENV "SQL_PASSWORD"
#define SIDECAR_ENV_ADMIN_PASSWORD SIDECAR_ENV "SQL_ADMIN_PASSWORD"

/* config_sources.c: the command line and the environment, kept as they are; --config and the actions are taken out. */
int sidecar_sources_read(struct sidecar_config *config, int argc, char *const *argv, char **env, struct err *err) ERR_CHECK;
/* Empties the variables that hold passwords. */
void sidecar_sources_wipe(char **env);
/* Sets the keys that variables and flags give. */
int sidecar_sources_apply(struct sidecar_config *config, struct err *err) ERR_CHECK;
/* config_check.c: compares values with each other and derives what follows from them. `root` may be NULL. */
int sidecar_config_check(struct sidecar_config *config, const struct conf_node *root, struct err *err) ERR_CHECK;

#endif
