/* SPDX-License-Identifier: Apache-2.0 */
/* Custom resources as JSON: their fields by path, and the objects that belong to an instance. */
#ifndef MSSQL_CLI_KUBE_OBJECT_H
#define MSSQL_CLI_KUBE_OBJECT_H

#include <jansson.h>

#include "cli/cli.h"
#include "cli/out.h"

#define OBJECT_CONTAINER "mssql-sidecar"

/* "status.sidecar.pod": NULL when there is none. Borrowed. */
const json_t *object_at(const json_t *object, const char *path);
/* "" when there is none or it is no text. */
const char *object_text(const json_t *object, const char *path);
/* RFC 3339, as microseconds since 1970; 0 when there is none. */
int64_t object_time(const json_t *object, const char *path);
int64_t object_number(const json_t *object, const char *path, int64_t fallback);
const char *object_name(const json_t *object);
const char *object_namespace(const json_t *object);
/* Of status.conditions by type; NULL. */
const json_t *object_condition(const json_t *object, const char *type);
/* By what the phase means for the data: good, bad, or on its way. */
enum cli_color object_phase_color(const char *phase);

/* json_decref() the answers. */
/* The MSSQLInstance of this name; with NULL the only one of the namespace. ERR_USAGE names them when there are several. */
int object_instance(struct cli *cli, const char *name, json_t **ret_instance, struct err *err) ERR_CHECK;
/* The pod whose sidecar speaks for the instance: the one in its status, else the one behind the Service of its host.
 * mem_free() it. */
int object_pod(struct cli *cli, const json_t *instance, char **ret_pod, struct err *err) ERR_CHECK;

#endif
