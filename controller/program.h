/* SPDX-License-Identifier: Apache-2.0 */
/* The controller as a whole: who leads, what runs, how it ends. */
#ifndef MSSQL_CONTROLLER_PROGRAM_H
#define MSSQL_CONTROLLER_PROGRAM_H

#include "controller/config.h"

/* Until a signal ends it, or the lead is lost: then somebody else leads, and a fresh start is the surest way to follow. */
int program_run(const struct controller_config *config, struct err *err) ERR_CHECK;

#endif
