/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics of the controller: docs/reference/controller.md names them. */
#ifndef MSSQL_CONTROLLER_FIGURES_H
#define MSSQL_CONTROLLER_FIGURES_H

#include "common/net/metrics.h"
#include "controller/fleet/fleet.h"
#include "controller/run/run.h"

struct figures;

struct figures *figures_new(void);
void figures_free(struct figures *figures);
struct metrics *figures_registry(const struct figures *figures);
struct kube_hooks figures_kube_hooks(struct figures *figures);
struct run_hooks figures_run_hooks(struct figures *figures);
void figures_lead(struct figures *figures, bool leading);
/* What is measured when somebody asks; NULL again before one of them is freed. */
void figures_watch(struct figures *figures, const struct run *run, const struct fleet *fleet);

#endif
