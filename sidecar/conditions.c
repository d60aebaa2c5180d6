/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/conditions.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "sidecar/job/job.h"
#include "sidecar/pause.h"
#include "sidecar/restore/runs.h"
#include "sidecar/verify/damage.h"
#include "sidecar/verify/scrubber.h"
#include "sidecar/verify/verifier.h"

static const char *const names[CONDITION_COUNT] = {
    "Ready",
    "SqlServerReachable",
    "LoginSufficient",
    "StateWritable",
    "StagingWritable",
    "StoreReachable",
    "FailureDomainSeparated",
    "LogChainIntact",
    "RPOMet",
    "Encrypted",
    "Paused",
    "Restoring",
    "StoreVerified",
    "RecoveryVerified",
};

const char *condition_type_name(enum condition_type type) {
    return names[type];
}

const struct condition *conditions_of(const struct agent *agent) {
    return agent->conditions;
}

static void put(struct agent *agent, enum condition_type type, enum condition_status status, const char *reason, const char *fmt,
                ...) __attribute__((format(printf, 5, 6)));

static void put(struct agent *agent, enum condition_type type, enum condition_status status, const char *reason, const char *fmt,
                ...) {
    struct condition *c = &agent->conditions[type];
    bool changed = c->status != status || strcmp(c->reason, reason) != 0;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(c->message, sizeof(c->message), fmt, ap);
    va_end(ap);
    if (c->status != status || !c->since_at)
        c->since_at = clock_wall();
    if (!changed)
        return;
    c->status = status;
    str_copy(c->reason, sizeof(c->reason), reason);
    static const char *const words[] = {"unknown", "true", "false"};
    log_event(LOG_INFO, "condition changed", "type", names[type], "status", words[status], "reason", reason, "detail", c->message,
              NULL);
}

static void server(struct agent *agent) {
    if (agent->server_reachable)
        put(agent, CONDITION_SQL_SERVER_REACHABLE, CONDITION_TRUE, "Connected", "SQL Server %s, %s", agent->server.version,
            agent->server.edition);
    else if (agent->server_err.class == ERR_NONE)
        put(agent, CONDITION_SQL_SERVER_REACHABLE, CONDITION_UNKNOWN, "NotAskedYet", "SQL Server was not asked yet");
    else
        put(agent, CONDITION_SQL_SERVER_REACHABLE, CONDITION_FALSE,
            agent->server_err.class == ERR_AUTH ? "LoginRefused" : "NotReachable", "%s", agent->server_err.text);
    if (!agent->access_at) {
        put(agent, CONDITION_LOGIN_SUFFICIENT, CONDITION_UNKNOWN, "NotAskedYet", "rights were not read yet");
    } else if (agent->login_sufficient) {
        put(agent, CONDITION_LOGIN_SUFFICIENT, CONDITION_TRUE, "RightsSufficient",
            "login '%s' may back up every protected database", agent->config->sql.user);
    } else {
        const char *which = "";
        for (size_t i = 0; i < agent->database_count && !*which; i++) {
            const struct database *db = agent->databases[i];
            if (database_wanted(db) && db->access_known && !(db->may_data && db->may_log))
                which = db->name;
        }
        put(agent, CONDITION_LOGIN_SUFFICIENT, CONDITION_FALSE, "RightsMissing",
            "login '%s' may not back up database '%s'. Run: USE [%s]; CREATE USER [%s] FOR LOGIN [%s]; ALTER ROLE "
            "db_backupoperator ADD MEMBER [%s];",
            agent->config->sql.user, which, which, agent->config->sql.user, agent->config->sql.user, agent->config->sql.user);
    }
}

static void directories(struct agent *agent) {
    if (agent->opened && journal_used(agent->journal) == journal_slots(agent->journal))
        put(agent, CONDITION_STATE_WRITABLE, CONDITION_FALSE, "JournalFull",
            "%u staged backups fill the journal, and their drafts cannot be written to %s/drafts: nothing more is backed up "
            "until there "
            "is room, or the store is back",
            journal_used(agent->journal), agent->config->paths.state);
    else if (agent->opened)
        put(agent, CONDITION_STATE_WRITABLE, CONDITION_TRUE, "Writable", "%s", agent->config->paths.state);
    else
        put(agent, CONDITION_STATE_WRITABLE, CONDITION_FALSE, "NotWritable", "%s", agent->state_err.text);
    if (!agent->staging_known)
        put(agent, CONDITION_STAGING_WRITABLE, CONDITION_UNKNOWN, "NotAskedYet", "%s was not looked at yet",
            staging_path(agent->staging));
    else if (agent->staging_err.class == ERR_NONE && agent->staging_read_err.class != ERR_NONE)
        put(agent, CONDITION_STAGING_WRITABLE, CONDITION_FALSE, "NotReadable", "%s", agent->staging_read_err.text);
    else if (agent->staging_err.class == ERR_NONE && agent->space.aside)
        put(agent, CONDITION_STAGING_WRITABLE, CONDITION_TRUE, "FilesSetAside",
            "%s; %u files that end in .unsure are of interrupted log backups that could not be read, while msdb could not be "
            "asked: "
            "they may hold log that nothing else has. Let the login read msdb, and remove them when the chain is whole without "
            "them",
            staging_path(agent->staging), agent->space.aside);
    else if (agent->staging_err.class == ERR_NONE)
        put(agent, CONDITION_STAGING_WRITABLE, CONDITION_TRUE, "Writable", "%s", staging_path(agent->staging));
    else
        put(agent, CONDITION_STAGING_WRITABLE, CONDITION_FALSE, "NotWritable", "%s", agent->staging_err.text);
}

static void store(struct agent *agent) {
    const struct keeper_state *k = keeper_state(agent->keeper);
    int64_t oldest;
    unsigned waiting = job_unshipped(agent, &oldest);
    if (!k->configured)
        put(agent, CONDITION_STORE_REACHABLE, CONDITION_FALSE, "NotConfigured", "no store is configured: backups are not taken");
    else if (!k->usable && k->error.class == ERR_NONE)
        put(agent, CONDITION_STORE_REACHABLE, CONDITION_UNKNOWN, "NotAskedYet", "the store was not reached yet");
    else if (k->usable)
        put(agent, CONDITION_STORE_REACHABLE, CONDITION_TRUE, "Reachable", "%s", agent->config->store.url);
    else
        put(agent, CONDITION_STORE_REACHABLE, CONDITION_FALSE,
            k->foreign           ? "ForeignOwner"
            : k->catalog_damaged ? "CatalogRebuilding"
            : k->catalog_stuck   ? "CatalogNotWritable"
                                 : "NotReachable",
            "%s; %u backups wait in staging", k->error.text, waiting);
    if (!k->configured || !k->used_at)
        put(agent, CONDITION_FAILURE_DOMAIN_SEPARATED, CONDITION_UNKNOWN, "StoreNotSeen", "the store was not reached yet");
    else if (k->off_volume)
        put(agent, CONDITION_FAILURE_DOMAIN_SEPARATED, CONDITION_TRUE, "OtherVolume", "store and data are on different volumes");
    else
        put(agent, CONDITION_FAILURE_DOMAIN_SEPARATED, CONDITION_FALSE, "SameVolume",
            "store and data are on one volume: losing it loses both. Put the store on another volume or an object store");
    put(agent, CONDITION_ENCRYPTED, CONDITION_FALSE, "NoKey",
        "backups are stored as SQL Server wrote them, compressed but not encrypted");
}

static void chains(struct agent *agent) {
    unsigned broken = 0, awaiting = 0, known = 0;
    const struct database *first = NULL;
    for (size_t i = 0; i < agent->database_count; i++) {
        const struct database *db = agent->databases[i];
        if (!database_wanted(db) || !db->server_known || !db->tips_known)
            continue;
        known++;
        bool bad = db->status.state == CHAIN_BROKEN;
        broken += bad;
        awaiting += db->status.state == CHAIN_AWAITING_FIRST_FULL;
        if (bad && !first)
            first = db;
    }
    if (broken)
        put(agent, CONDITION_LOG_CHAIN_INTACT, CONDITION_FALSE, chain_reason_word(first->status.reason),
            "%u of %u databases; %s: %s", broken, known, first->name, first->status.text);
    else if (awaiting)
        put(agent, CONDITION_LOG_CHAIN_INTACT, CONDITION_FALSE, "AwaitingFirstFull", "%u databases have no full backup yet",
            awaiting);
    else if (known)
        put(agent, CONDITION_LOG_CHAIN_INTACT, CONDITION_TRUE, "Intact", "no chain is broken");
    else
        put(agent, CONDITION_LOG_CHAIN_INTACT, CONDITION_UNKNOWN, "NotAskedYet", "no database was looked at yet");
}

/* Databases in SIMPLE recovery have no recovery point of their own to meet. */
static bool counts_for_rpo(const struct database *db) {
    return database_wanted(db) && db->info.recovery != SQL_RECOVERY_SIMPLE && !str_ieq(db->name, "master");
}

int64_t conditions_recovery_point(const struct agent *agent, bool off_volume) {
    int64_t oldest = INT64_MAX;
    for (size_t i = 0; i < agent->database_count; i++) {
        const struct database *db = agent->databases[i];
        if (!counts_for_rpo(db) || !db->tips_known)
            continue;
        struct chain_window w;
        database_window(db, &w);
        int64_t at = !w.any ? 0 : off_volume ? w.off_volume_until_at : w.until_at;
        if (at < oldest)
            oldest = at;
    }
    return oldest == INT64_MAX ? 0 : oldest;
}

static void rpo(struct agent *agent, int64_t now) {
    int64_t target = agent->policy->rpo_target_ms * 1000, point = conditions_recovery_point(agent, false);
    char text[CLOCK_TEXT_MAX];
    bool any = false;
    for (size_t i = 0; i < agent->database_count && !any; i++)
        any = counts_for_rpo(agent->databases[i]) && agent->databases[i]->tips_known;
    if (!any)
        put(agent, CONDITION_RPO_MET, CONDITION_UNKNOWN, "NoDatabase", "no database with log backups");
    else if (point && now - point <= target + CLOCK_MINUTE)
        put(agent, CONDITION_RPO_MET, CONDITION_TRUE, "WithinTarget", "restorable until %s", clock_format(text, point));
    else if (point)
        put(agent, CONDITION_RPO_MET, CONDITION_FALSE, "TargetMissed", "restorable until %s only", clock_format(text, point));
    else
        put(agent, CONDITION_RPO_MET, CONDITION_FALSE, "NothingRestorable", "a database has no restorable moment yet");
}

static void unfinished(struct agent *agent, unsigned count) {
    char text[480];
    restores_unfinished_text(agent, text, sizeof(text));
    put(agent, CONDITION_RESTORING, CONDITION_FALSE, "Unfinished", "%u restores ended early and left something: %s", count, text);
}

static void restores(struct agent *agent) {
    struct restores_counts n;
    restores_count(agent, &n);
    if (n.waiting)
        put(agent, CONDITION_RESTORING, CONDITION_TRUE, "Waiting", "%u restores wait for the server or the store, %u run",
            n.waiting, n.running);
    else if (n.running)
        put(agent, CONDITION_RESTORING, CONDITION_TRUE, "Running", "%u restores run", n.running);
    else if (n.unfinished)
        unfinished(agent, n.unfinished);
    else
        put(agent, CONDITION_RESTORING, CONDITION_FALSE, "Idle",
            "no restore runs; %u restored copies will be dropped by themselves", n.copies);
}

static void verified(struct agent *agent) {
    struct scrub_progress p;
    char text[CLOCK_TEXT_MAX];
    scrubber_progress(agent, &p);
    const struct damage *all = &agent->damage;
    if (all->count)
        put(agent, CONDITION_STORE_VERIFIED, CONDITION_FALSE, "DamageFound",
            "%zu backups are damaged or missing in the store, the first is of database '%s': %s (%s). Plans go around them",
            all->count, damage_database(agent, &all->items[0]), all->items[0].object, scrub_kind_word(all->items[0].problem));
    else if (!agent->policy->scrub_days)
        put(agent, CONDITION_STORE_VERIFIED, CONDITION_UNKNOWN, "ScrubOff", "verification.scrubDays is 0: nothing is read again");
    else if (!p.ended_at)
        put(agent, CONDITION_STORE_VERIFIED, CONDITION_UNKNOWN, "NotReadYet", "%llu backups were read again so far",
            (unsigned long long)p.sets);
    else
        put(agent, CONDITION_STORE_VERIFIED, CONDITION_TRUE, "Verified", "everything was read again until %s",
            clock_format(text, p.ended_at));
}

/* A trial on the instance that took the backups proves less than one elsewhere, and the condition says where it was. */
static void recovery(struct agent *agent) {
    struct verifier_sum s;
    char when[CLOCK_TEXT_MAX], far[CLOCK_TEXT_MAX] = "its end";
    verifier_sum(agent, &s);
    if (s.failed) {
        put(agent, CONDITION_RECOVERY_VERIFIED, CONDITION_FALSE, "TrialFailed", "%u of %u databases; '%s' at %s: %s", s.failed,
            s.tried, s.failed_name, clock_format(when, s.failed_proof->finished_at),
            s.failed_proof->text ? s.failed_proof->text : err_class_name(s.failed_proof->class));
    } else if (s.tried) {
        if (s.reached_at)
            clock_format(far, s.reached_at);
        put(agent, CONDITION_RECOVERY_VERIFIED, CONDITION_TRUE, "Verified",
            "%u databases were restored for a trial on this instance, the oldest trial at %s, to %s", s.tried,
            clock_format(when, s.oldest_at), far);
    } else if (agent->policy->verify_target == POLICY_VERIFY_NONE) {
        put(agent, CONDITION_RECOVERY_VERIFIED, CONDITION_UNKNOWN, "VerificationOff",
            "verification.target is none, and no trial restore was asked for");
    } else {
        put(agent, CONDITION_RECOVERY_VERIFIED, CONDITION_UNKNOWN, "NotTriedYet", "no trial restore has ended yet");
    }
}

void conditions_update(struct agent *agent) {
    int64_t now = clock_wall();
    server(agent);
    directories(agent);
    store(agent);
    chains(agent);
    rpo(agent, now);
    const struct pause *pause = pause_of(agent, NULL, now);
    if (pause)
        put(agent, CONDITION_PAUSED, CONDITION_TRUE, "Paused", "%s (by %s)", pause->reason, pause->by);
    else
        put(agent, CONDITION_PAUSED, CONDITION_FALSE, "NotPaused", "backups run by schedule");
    restores(agent);
    verified(agent);
    recovery(agent);
    static const enum condition_type needed[] = {CONDITION_STATE_WRITABLE, CONDITION_SQL_SERVER_REACHABLE,
                                                 CONDITION_STAGING_WRITABLE, CONDITION_STORE_REACHABLE,
                                                 CONDITION_LOGIN_SUFFICIENT};
    for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
        const struct condition *c = &agent->conditions[needed[i]];
        if (c->status != CONDITION_TRUE) {
            put(agent, CONDITION_READY, c->status, names[needed[i]], "%s", c->message);
            return;
        }
    }
    put(agent, CONDITION_READY, CONDITION_TRUE, "Ready", "backups are taken and stored");
}
