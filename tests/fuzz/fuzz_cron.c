/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cron lines, windows and time zone files. Links: schedule, base.
 *
 * The first byte chooses: 0xff the rest is a zone file; 0xfe a window; else a cron line, with the zone and the moment
 * taken from that byte.
 */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/schedule/cron.h"
#include "common/schedule/window.h"
#include "tests/fuzz/fuzz.h"

static struct tz *zone(unsigned n) {
    static const char *const names[] = {
        "UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Africa/Casablanca", "Pacific/Apia"};
    static struct tz *zones[ARRAY_LEN(names)];
    n %= ARRAY_LEN(names);
    if (!zones[n])
        must(tz_load(NULL, names[n], &zones[n], NULL) == 0, "a zone of the system");
    return zones[n];
}

static void fuzz_cron(const char *text, unsigned choice) {
    struct cron one, two;
    struct err err = {0};
    char canonical[CRON_TEXT_MAX], again[CRON_TEXT_MAX];
    if (cron_parse(text, &one, &err) < 0) {
        must(err.class == ERR_CONFIG && err.text[0], "an error says what is wrong");
        return;
    }
    must(cron_parse(cron_format(canonical, &one), &two, NULL) == 0, "the canonical form is a cron line");
    must(!strcmp(cron_format(again, &two), canonical), "the canonical form is stable");
    int64_t after = INT64_C(1262304000) * CLOCK_SECOND + choice * 977 * CLOCK_HOUR, first = 0, second = 0;
    struct tz *tz = zone(choice);
    bool found = cron_next(&one, tz, after, &first);
    must(found == cron_next(&two, tz, after, &second) && first == second, "both forms run at the same time");
    must(found && first > after, "a line that was accepted runs, and later than now");
    must(cron_next(&one, tz, first - 1, &second) && second == first, "it is found again from just before");
}

static void fuzz_window(const char *text) {
    struct window one, two;
    char canonical[WINDOW_TEXT_MAX];
    int64_t at = INT64_C(1767225600) * CLOCK_SECOND, edge;
    if (window_parse(text, &one, NULL) < 0)
        return;
    must(window_parse(window_format(canonical, &one), &two, NULL) == 0, "the canonical form is a window");
    must(one.weekdays == two.weekdays && one.begin_min == two.begin_min && one.end_min == two.end_min, "of the same meaning");
    if (window_next_outside(&one, 1, zone(1), at, &edge))
        must(edge >= at && !window_inside(&one, 1, zone(1), edge), "the end is outside");
    must(window_next_inside(&one, 1, zone(1), at, &edge) && window_inside(&one, 1, zone(1), edge), "it begins within a week");
}

static void fuzz_zone(const uint8_t *data, size_t size) {
    struct tz *tz;
    if (tz_parse("x", data, size, &tz, NULL) < 0)
        return;
    int64_t at = 0, next;
    for (int i = 0; i < 50 && tz_next_change(tz, at, &next); i++) {
        must(next > at && tz_offset_s(tz, next) != tz_offset_s(tz, next - 1), "a change is one");
        struct tz_moments m;
        tz_from_local(tz, tz_to_local(tz, next), &m);
        must(m.first == next || m.second == next || m.fit == TZ_FOLD, "a local time leads back");
        at = next;
    }
    tz_free(tz);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size)
        return 0;
    if (data[0] == 0xff) {
        fuzz_zone(data + 1, size - 1);
        return 0;
    }
    char *text = mem_strndup((const char *)data + 1, size - 1);
    if (data[0] == 0xfe)
        fuzz_window(text);
    else
        fuzz_cron(text, data[0]);
    mem_free(text);
    return 0;
}
