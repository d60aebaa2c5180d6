/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MSSQL_POLICY_POLICY_INT_H
#define MSSQL_POLICY_POLICY_INT_H

#include "common/policy/policy.h"

extern const char *const policy_codec_words[];

/* policy_probes.c */
int policy_apply_probes(struct policy *policy, const char *file, const char *prefix, const struct conf_node *map,
                        struct err *err) ERR_CHECK;
void policy_copy_probes(struct policy *dst, const struct policy *src);
void policy_probes_done(struct policy *policy);

#endif
