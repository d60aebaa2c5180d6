/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The private freetds.conf. db-lib takes encryption options from there only, and reads the file at each login: one section per
 * combination of address and options. For dblib.c.
 */
#ifndef MSSQL_SQL_ENDPOINT_H
#define MSSQL_SQL_ENDPOINT_H

#include "common/sql/session.h"

#define SQL_SECTION_MAX 16

int sql_endpoint_init(const char *runtime_dir, struct err *err) ERR_CHECK;
void sql_endpoint_done(void);
/* Name of the section for these parameters; the file holds it when this returns. ERR_CONFIG for values that the file's syntax cannot
 * hold. */
int sql_endpoint_section(const struct sql_params *params, char ret_name[SQL_SECTION_MAX], struct err *err) ERR_CHECK;
/* The seconds of params->login_timeout_s, or the default. */
unsigned sql_login_timeout_s(const struct sql_params *params);

#endif
