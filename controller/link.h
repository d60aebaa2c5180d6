/* SPDX-License-Identifier: Apache-2.0 */
/* Between the fleet, which speaks protobuf with sidecars, and the runner, which thinks in JSON. */
#ifndef MSSQL_CONTROLLER_LINK_H
#define MSSQL_CONTROLLER_LINK_H

#include "controller/fleet/fleet.h"
#include "controller/run/run.h"

struct link;

struct link *link_new(void);
void link_free(struct link *link);
/* For fleet_options.events and run_options.sidecars. */
struct fleet_events link_events(struct link *link);
struct run_sidecars link_sidecars(struct link *link);
/* Both must be set before anything is told, and live until link_free(). */
void link_join(struct link *link, struct fleet *fleet, struct run *run);

#endif
