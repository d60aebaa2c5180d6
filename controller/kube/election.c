/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/kube/election.h"

#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "controller/kube/kind.h"

void election_init(struct election *election, const char *identity) {
    *election = (struct election){.identity = identity, .lease_ms = 15000, .renew_ms = 10000, .retry_ms = 2000};
}

void election_done(struct election *election) {
    json_decref(election->lease);
    election->lease = NULL;
}

static json_t *spec(const json_t *lease, const char *key) {
    return json_object_get(json_object_get(lease, "spec"), key);
}

const char *election_holder(const struct election *election) {
    const char *holder = json_string_value(spec(election->lease, "holderIdentity"));
    return holder ? holder : "";
}

void election_saw(struct election *election, json_t *lease, int64_t now_us) {
    const json_t *before = json_object_get(election->lease, "spec"), *after = json_object_get(lease, "spec");
    bool same = election->lease && lease && (before == after || (before && after && json_equal(before, after)));
    if (!same)
        election->seen_us = now_us;
    json_incref(lease);
    json_decref(election->lease);
    election->lease = lease;
}

/* What the holder promised, or what we would, whichever is longer: a broken record must not make two leaders. */
static int64_t patience_us(const struct election *election) {
    int64_t promised_ms = json_integer_value(spec(election->lease, "leaseDurationSeconds")) * 1000;
    return (promised_ms > election->lease_ms ? promised_ms : election->lease_ms) * 1000;
}

enum election_step election_next(struct election *election, int64_t now_us) {
    const char *holder = election_holder(election);
    bool ours = !strcmp(holder, election->identity);
    if (election->leading) {
        if (ours && now_us - election->renewed_us < election->renew_ms * 1000)
            return ELECTION_RENEW;
        election->leading = false;
        return ELECTION_LOST;
    }
    if (!holder[0] || ours || now_us - election->seen_us >= patience_us(election))
        return ELECTION_TAKE;
    return ELECTION_WATCH;
}

/* MicroTime: always six digits. */
static json_t *micro_time(int64_t at) {
    struct clock_civil c;
    char text[64];
    clock_to_civil(at, &c);
    snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", c.year, c.month, c.day, c.hour, c.minute, c.second,
             c.micro);
    return json_string(text);
}

json_t *election_record(const struct election *election, const char *namespace, const char *name, int64_t wall_at, bool release) {
    bool ours = !strcmp(election_holder(election), election->identity);
    json_int_t changes = json_integer_value(spec(election->lease, "leaseTransitions"));
    json_t *record = json_object(), *body = json_object(), *metadata;
    json_t *since = spec(election->lease, "acquireTime");
    json_object_set_new(record, "holderIdentity", json_string(release ? "" : election->identity));
    json_object_set_new(record, "leaseDurationSeconds", json_integer(release ? 1 : election->lease_ms / 1000));
    json_object_set_new(record, "renewTime", micro_time(wall_at));
    json_object_set_new(record, "acquireTime", ours && json_is_string(since) ? json_incref(since) : micro_time(wall_at));
    json_object_set_new(record, "leaseTransitions", json_integer(election->lease && !ours ? changes + 1 : changes));
    metadata = json_pack("{s:s, s:s}", "name", name, "namespace", namespace);
    if (election->lease)
        json_object_set_new(metadata, "resourceVersion", json_string(kube_resource_version(election->lease)));
    json_object_set_new(body, "apiVersion", json_string("coordination.k8s.io/v1"));
    json_object_set_new(body, "kind", json_string("Lease"));
    json_object_set_new(body, "metadata", metadata);
    json_object_set_new(body, "spec", record);
    return body;
}

bool election_wrote(struct election *election, json_t *lease, int64_t begun_us, int64_t now_us) {
    bool news = !election->leading;
    election_saw(election, lease, now_us);
    election->leading = true;
    election->renewed_us = begun_us;
    return news;
}
