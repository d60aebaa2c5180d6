/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MSSQL_POLICY_POLICY_INT_H
#define MSSQL_POLICY_POLICY_INT_H

#include "common/policy/policy.h"

extern const char *const policy_codec_words[];

#endif
