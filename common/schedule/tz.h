/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time zones. The C library's zone functions share one zone per process and are not safe with threads, so the TZif
 * files of the system are read here. A struct tz never changes after it was made: any thread may use it.
 *
 * A *local* time is an int64_t of microseconds like a moment, but counts what the wall clock shows: clock_to_civil() of it
 * gives the civil fields. NULL as a zone means UTC everywhere.
 */
#ifndef MSSQL_SCHEDULE_TZ_H
#define MSSQL_SCHEDULE_TZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

#define TZ_NAME_MAX 64
#define TZ_DIR "/usr/share/zoneinfo"

struct tz;

/* Parses the bytes of a TZif file (versions 1 to 4). ERR_CORRUPT when they are none. No I/O. */
int tz_parse(const char *name, const void *data, size_t len, struct tz **ret_tz, struct err *err) ERR_CHECK;
/* Reads the zone's file below `dir` (NULL: TZ_DIR). "UTC", "Etc/UTC" and "GMT" need no file. ERR_CONFIG for a name
 * that is malformed or not known. The only function of this area that does I/O. */
int tz_load(const char *dir, const char *name, struct tz **ret_tz, struct err *err) ERR_CHECK;
void tz_free(struct tz *tz);
const char *tz_name(const struct tz *tz);

/* Seconds to add to UTC at that moment. */
int32_t tz_offset_s(const struct tz *tz, int64_t at);
int64_t tz_to_local(const struct tz *tz, int64_t at);

enum tz_fit {
    TZ_ONCE, /* the ordinary case */
    TZ_GAP, /* the clock jumped over this local time: both moments are the moment of the jump */
    TZ_FOLD, /* the clock was set back: it was shown twice */
};
struct tz_moments {
    enum tz_fit fit;
    int64_t first;
    int64_t second; /* equal to first unless TZ_FOLD */
};
void tz_from_local(const struct tz *tz, int64_t local, struct tz_moments *ret_moments);

/* The first change of the offset after `at`; false when there is none. */
bool tz_next_change(const struct tz *tz, int64_t at, int64_t *ret_at);

#endif
