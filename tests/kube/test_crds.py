# SPDX-License-Identifier: Apache-2.0
"""The custom resource definitions: what earlier users have goes on working, what cannot be meant is refused with a sentence."""
import copy
import os
import subprocess
import sys

import pytest
import yaml

from conftest import ROOT, Refused

pytestmark = pytest.mark.usefixtures("crds")
HERE = os.path.dirname(os.path.abspath(__file__))
API = "dbaas.cozy.io/v1alpha1"
CONNECTION = {"host": "db", "port": 1433, "user": "sa", "passwordSecretRef": {"name": "sa", "key": "SA_PASSWORD"}}

with open(os.path.join(HERE, "manifests", "earlier.yaml"), encoding="utf-8") as f:
    EARLIER = list(yaml.safe_load_all(f))


def least(kind, **spec):
    base = {
        "MSSQLInstance": {"connection": CONNECTION},
        "MSSQLBackupPolicy": {"instanceRef": {"name": "i"}, "logBackup": {"intervalMinutes": 5}, "retentionDays": 7, "connection": CONNECTION},
        "MSSQLBackup": {"policyRef": {"name": "p"}, "backupType": "full"},
        "MSSQLRestoreRequest": {"instanceRef": {"name": "i"}, "targetTime": "2026-11-21T02:47:00Z", "newInstanceName": "mssql-tgt"},
        "MSSQLRestoreJob": {"policyRef": {"name": "p"}, "targetTime": "2026-11-21T02:47:00Z", "newInstanceName": "mssql-tgt"},
    }[kind]
    made = {**copy.deepcopy(base), **spec}
    return {"apiVersion": API, "kind": kind, "metadata": {"name": "x"}, "spec": {k: v for k, v in made.items() if v is not None}}


def lost(wanted, kept, path="spec"):
    """Paths of `wanted` that are not in `kept`, or with another value."""
    if isinstance(wanted, dict):
        return [p for k, v in wanted.items() for p in (lost(v, kept[k], f"{path}.{k}") if isinstance(kept, dict) and k in kept else [f"{path}.{k}"])]
    return [] if wanted == kept else [path]


@pytest.mark.parametrize("manifest", EARLIER, ids=lambda m: m["kind"] + "-" + m["metadata"]["name"])
def test_earlier_manifests_are_kept_whole(kube, manifest):
    kept = kube.apply(manifest)[0]
    assert lost(manifest["spec"], kept["spec"]) == []


def test_earlier_defaults(kube):
    spec = kube.apply(EARLIER[0])[0]["spec"]
    assert (spec["allDatabases"], spec["retentionDays"], spec["fullBackupSchedule"], spec["logBackupIntervalMinutes"], spec["mode"], spec["dryRun"]) == (
        True, 30, "0 0 * * *", 5, "local_pvc", False)
    spec = kube.apply(least("MSSQLInstance", storage={"sourceData": {}, "backupData": {}}, targets={}))[0]["spec"]
    assert (spec["storage"]["managePVC"], spec["storage"]["sourceData"]["size"], spec["storage"]["backupData"]["size"]) == (True, "100Gi", "200Gi")
    assert spec["targets"]["rpoTarget"] == "5m"
    assert kube.apply(least("MSSQLBackupPolicy", fullBackup={"schedule": "0 1 * * *"}))[0]["spec"]["fullBackup"]["enabled"] is True


@pytest.mark.parametrize("short,kind", [("mssqli", "MSSQLInstance"), ("mssqlbp", "MSSQLBackupPolicy"), ("mssqlb", "MSSQLBackup"),
                                        ("mssqlrr", "MSSQLRestoreRequest"), ("mssqlrj", "MSSQLRestoreJob")])
def test_short_names_and_phases(kube, short, kind):
    kube.apply(least(kind))
    phase = "Ready" if kind in ("MSSQLInstance", "MSSQLBackupPolicy") else "Completed"
    kube.status(short, "x", {"phase": phase, "message": "all is well"})
    assert kube("get", short, "x", "-o", "jsonpath={.status.phase} {.status.message}") == phase + " all is well"
    assert phase in kube("get", short)


NEW_FIELDS = {
    "excludeDatabases": ["tmp*"], "systemDatabases": False, "differentialBackup": {"enabled": True, "schedule": "0 6,12,18 * * *"}, "maxQuiet": "1h",
    "timeZone": "Europe/Berlin", "jitter": "30s", "missedRuns": "skip", "blackoutWindows": ["MON-FRI 08:00-18:00"],
    "keep": {"last": 3, "daily": 7, "weekly": 4, "monthly": 12, "yearly": 2}, "compression": {"codec": "zstd", "level": 3}, "serverCompression": "auto",
    "checksum": True, "stripes": 4, "maxTransferSize": "4Mi", "bufferCount": 8, "maxConcurrentBackups": 2, "stagingQuota": "20Gi",
    "healing": {"mode": "alert", "maxFullsPerDay": 2, "window": ["22:00-04:00"]}, "encryption": {"keySecretRef": {"name": "k", "key": "key"}},
    "verification": {"schedule": "0 3 * * SUN", "target": "ephemeral", "checkDB": True, "moment": "random", "scrubDays": 30,
                     "probes": [{"name": "orders", "database": "db1", "query": "SELECT COUNT(*) FROM dbo.orders", "atLeast": 1}]},
    "msdbHistoryDays": 60, "paused": {"reason": "migration", "until": "2026-11-22T00:00:00Z"},
    "overrides": [{"databases": ["sales*"], "logBackup": {"interval": "10s"}, "retentionDays": 30}], "deletionPolicy": "Retain",
    "logBackup": {"interval": "10s", "intervalMinutes": 1, "sizeMiB": 512, "enabled": True},
}


@pytest.mark.parametrize("kind", ["MSSQLInstance", "MSSQLBackupPolicy"])
def test_new_fields_are_kept_whole(kube, kind):
    wanted = least(kind, **NEW_FIELDS)
    assert lost(wanted["spec"], kube.apply(wanted)[0]["spec"]) == []


RR, RJ, I, P, B = "MSSQLRestoreRequest", "MSSQLRestoreJob", "MSSQLInstance", "MSSQLBackupPolicy", "MSSQLBackup"
REFUSED = [
    (I, {"connection": None}, "connection"),
    (I, {"connection": {"host": "db", "port": 1433, "user": "sa"}}, "passwordSecretRef"),
    (I, {"connection": {**CONNECTION, "port": 70000}}, "port"),
    (I, {"retentionDays": 31}, "retentionDays"),
    (I, {"retentionDays": 0}, "retentionDays"),
    (I, {"logBackupIntervalMinutes": 0}, "logBackupIntervalMinutes"),
    (I, {"mode": "tape"}, "native_url"),
    (I, {"allDatabases": "yes"}, "allDatabases"),
    (I, {"databasez": ["db1"]}, "databasez"),
    (I, {"differentialBackup": {"enabled": True}}, "needs a schedule"),
    (I, {"verification": {"target": "local"}}, "needs a schedule"),
    (I, {"verification": {"target": "elsewhere"}}, "ephemeral"),
    (I, {"mode": "native_url", "encryption": {"keySecretRef": {"name": "k", "key": "k"}}}, "native_url writes by SQL Server itself"),
    (I, {"keep": {"daily": -1}}, "keep.daily"),
    (I, {"stripes": 65}, "stripes"),
    (I, {"paused": {"until": "2026-11-22T00:00:00Z"}}, "paused.reason"),
    (I, {"paused": {"reason": "x", "until": "tomorrow"}}, "date-time"),
    (I, {"deletionPolicy": "Forget"}, "Retain"),
    (I, {"overrides": [{"retentionDays": 3}]}, "databases"),
    (P, {"instanceRef": None}, "instanceRef"),
    (P, {"logBackup": None}, "logBackup"),
    (P, {"logBackup": {}}, "intervalMinutes"),
    (P, {"retentionDays": None}, "retentionDays"),
    (B, {"policyRef": None}, "policyRef"),
    (B, {"backupType": "incremental"}, "full"),
    (B, {"backupType": "diff", "copyOnly": True}, "never copy-only"),
    (RR, {"targetTime": None}, "exactly one target"),
    (RR, {"latest": True}, "exactly one target"),
    (RR, {"targetLSN": "34000000006900179"}, "exactly one target"),
    (RR, {"source": {"storeURL": "file:///s"}}, "one source"),
    (RR, {"instanceRef": None}, "one source"),
    (RR, {"instanceRef": None, "source": {"storeURL": "file:///s"}, "newInstanceName": None}, "needs newInstanceName"),
    (RR, {"finish": "half"}, "standby"),
    (RR, {"expiresAfter": "soon"}, "expiresAfter"),
    (RJ, {"policyRef": None}, "one source"),
    (RJ, {"targetMark": "m"}, "exactly one target"),
]


@pytest.mark.parametrize("kind,change,says", REFUSED, ids=lambda v: v if isinstance(v, str) else "-".join(v))
def test_refused_with_a_sentence(kube, kind, change, says):
    with pytest.raises(Refused) as refused:
        kube.apply(least(kind, **change))
    assert says in str(refused.value)


ACCEPTED = [
    (RR, {"targetTime": None, "latest": True}),
    (RR, {"targetTime": None, "targetLSN": "34000000006900179"}),
    (RR, {"targetTime": None, "targetMark": "before-migration"}),
    (RR, {"newInstanceName": None}),
    (RR, {"newInstanceName": None, "dryRun": True, "acknowledgeDataLoss": "3f1c-77aa"}),
    (RR, {"instanceRef": None, "source": {"storeURL": "file:///store", "pvcName": "b", "instance": "ns/i", "encryptionKeyRef": {"name": "k", "key": "k"}}}),
    (RR, {"databaseRules": [{"name": "db1", "newName": "db1_old", "move": [{"logicalName": "db1", "path": "/x/db1.mdf"}]}], "expiresAfter": "3d"}),
    (RJ, {"policyRef": None, "source": {"storeURL": "s3://b/p"}}),
    (B, {"copyOnly": True, "hold": {"reason": "audit"}}),
]


@pytest.mark.parametrize("kind,change", ACCEPTED, ids=lambda v: v if isinstance(v, str) else "-".join(v))
def test_accepted(kube, kind, change):
    wanted = least(kind, **change)
    assert lost(wanted["spec"], kube.apply(wanted)[0]["spec"]) == []


@pytest.mark.parametrize("kind,change", [(B, {"backupType": "log"}), (B, {"databases": ["other"]}), (RR, {"targetTime": "2026-11-21T03:00:00Z"}),
                                         (RR, {"newInstanceName": "elsewhere"})])
def test_what_has_begun_cannot_be_changed(kube, kind, change):
    kube.apply(least(kind))
    kube.apply(least(kind, **change))  # nothing has begun yet
    kube.apply(least(kind))
    kube.status(kind, "x", {"phase": "Running" if kind == B else "Restoring"})
    with pytest.raises(Refused, match="that has begun cannot be changed: make another"):
        kube.apply(least(kind, **change))
    kube.apply(least(kind, ttlSecondsAfterFinished=60))  # but this can


def test_status_is_apart_from_spec(kube):
    kube.apply(least("MSSQLInstance"))
    kube("patch", "mssqli", "x", "--subresource=status", "--type=merge", "-p", '{"spec":{"retentionDays":1},"status":{"phase":"Ready"}}')
    kept = kube.get("mssqli", "x")
    assert kept["spec"]["retentionDays"] == 30 and kept["status"]["phase"] == "Ready"
    changed = least("MSSQLInstance")
    changed["status"] = {"phase": "Gone"}
    assert kube.apply(changed)[0]["status"]["phase"] == "Ready"


def test_columns_answer_am_i_safe(kube):
    kube.apply(least("MSSQLInstance"))
    now = "2026-11-21T02:47:00Z"

    def condition(kind, status, reason):
        return {"type": kind, "status": status, "reason": reason, "message": "m", "lastTransitionTime": now}

    kube.status("mssqli", "x", {"phase": "Degraded", "protectedDatabases": 2, "databases": 3, "latestRestorableTime": now,
                                "conditions": [condition("LogChainIntact", "False", "GapDetected"), condition("RPOMet", "True", "Met"),
                                               condition("RecoveryVerified", "Unknown", "Never")]})
    header, row = kube("get", "mssqli").splitlines()
    for word in ("PHASE", "PROTECTED", "DATABASES", "CHAINS", "RESTORABLE UNTIL", "RPO", "VERIFIED"):
        assert word in header
    for word in ("Degraded", " 2 ", " 3 ", "GapDetected", "True", "Unknown"):
        assert word in row


def policy_fields(crd):
    with open(os.path.join(ROOT, "crd", crd), encoding="utf-8") as file:
        return yaml.safe_load(file)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]


def test_instance_and_policy_say_the_same():
    """What both kinds have is the same field: a policy is made from its instance."""
    instance, policy = policy_fields("mssqlinstances.yaml"), policy_fields("mssqlbackuppolicies.yaml")
    for name in NEW_FIELDS:
        assert name in instance and name in policy, name
        a, b = copy.deepcopy(instance[name]), copy.deepcopy(policy[name])
        for side in (a, b):
            side.pop("required", None)  # logBackup.intervalMinutes was required in a policy
        assert a == b, name


def test_reference_is_up_to_date():
    made = subprocess.run([sys.executable, os.path.join(ROOT, "tests", "tools", "crd_reference.py")], capture_output=True, text=True, check=True).stdout
    with open(os.path.join(ROOT, "docs", "reference", "crds.md"), encoding="utf-8") as file:
        assert file.read() == made, "tests/tools/crd_reference.py > docs/reference/crds.md"
