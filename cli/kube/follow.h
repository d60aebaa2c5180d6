/* SPDX-License-Identifier: Apache-2.0 */
/* An object is made, and followed until its phase is a last one. */
#ifndef MSSQL_CLI_KUBE_FOLLOW_H
#define MSSQL_CLI_KUBE_FOLLOW_H

#include <jansson.h>

#include "cli/cli.h"

/* Takes the reference of `object`, which has a generateName. json_decref() what was made. */
int follow_create(struct cli *cli, json_t *object, json_t **ret_made, struct err *err) ERR_CHECK;
/* Says on the error stream what changes, until status.phase is among `last` ("Completed|Failed"). json_decref() the object as
 * it is then. */
int follow_until(struct cli *cli, const char *kind, const json_t *made, const char *last, json_t **ret_object,
                 struct err *err) ERR_CHECK;
/* The error of an object that ended badly: its message, and the class that the reason of its conditions stands for. */
int follow_failed(const json_t *object, struct err *err);

#endif
