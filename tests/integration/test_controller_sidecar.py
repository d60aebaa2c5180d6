# SPDX-License-Identifier: Apache-2.0
"""The controller with a real API server, real sidecars and simulated SQL Servers: from an instance to backups and restores."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Callable

import pytest

import storecheck
from fixtures.controller import Controller, Namespace, conditions, custom, instance, pod, secret, service
from fixtures.history import next_second
from fixtures.lab import Lab
from fixtures.load import rows_of
from fixtures.restores import rfc3339
from fixtures.sidecar import Sidecar, free_port, wait_for

pytestmark = pytest.mark.simulator("it is about Kubernetes, not SQL Server")
AUDIENCE = "mssql-controller"


class Site:
    """One instance `src` in a namespace, its pod (that nothing runs) and its sidecar (a process with the pod's token)."""

    def __init__(self, lab: Lab, namespace: Namespace, replicas: Callable[..., Controller], folder: Path) -> None:
        self.lab, self.namespace, self.folder, self._replicas = lab, namespace, folder, replicas
        # sidecars are outside of the API server's network: a Unix socket is in both
        self.address = f"unix:///tmp/mssql-{os.getpid()}-{free_port()}.sock"

    def controller(self, name: str = "controller", **config: Any) -> Controller:
        config.setdefault("grpc", {"listen": [self.address]})
        config.setdefault("trust", {"issuer": "https://kubernetes.default.svc"})
        return self._replicas(name, **config)

    def token(self, name: str = "src-db-0", audience: str = AUDIENCE, account: str = "default") -> str:
        uid = self.namespace.get("pod", name)["metadata"]["uid"]
        return self.namespace.kubectl("create", "token", account, f"--audience={audience}", "--bound-object-kind=Pod", f"--bound-object-name={name}", f"--bound-object-uid={uid}").strip()

    def objects(self, **spec: Any) -> None:
        usual = {"allDatabases": False, "databases": [self.lab.database], "logBackupIntervalMinutes": 60, "fullBackupSchedule": "0 0 1 1 *"}
        self.namespace.apply(secret(), service(), pod(), instance(**{**usual, **spec}))

    def sidecar(self, token: str = "", start: bool = True, pod_name: str = "src-db-0", **config: Any) -> Sidecar:
        path = self.folder / "token"
        path.write_text(token or self.token(), encoding="utf-8")
        config.setdefault("identity", {"namespace": self.namespace.name, "instance": "src"})
        config.setdefault("controller", {"address": self.address, "tokenFile": str(path), "plaintext": True})
        sidecar = self.lab.sidecar(start=False, **config)
        sidecar.environment["POD_NAME"] = pod_name
        sidecar.environment["POD_UID"] = self.namespace.get("pod", pod_name)["metadata"]["uid"]
        return sidecar.start() if start else sidecar

    def backup(self, name: str, kind: str = "log", **spec: Any) -> dict:
        self.namespace.apply(custom("MSSQLBackup", name, {"policyRef": {"name": "src-backup-policy"}, "backupType": kind, **spec}))
        return self.namespace.phase("MSSQLBackup", name, "Completed", "Failed")

    def request(self, name: str, seconds: float = 180, **spec: Any) -> dict:
        self.namespace.apply(custom("MSSQLRestoreRequest", name, {"instanceRef": {"name": "src"}, "databases": [self.lab.database], **spec}))
        return self.namespace.phase("MSSQLRestoreRequest", name, "Completed", "Failed", "Refused", "Planned", seconds=seconds)


@pytest.fixture
def site(lab: Lab, namespace: Namespace, replicas: Callable[..., Controller], tmp_path: Path) -> Site:
    return Site(lab, namespace, replicas, tmp_path)


def marks(site: Site) -> set[int]:
    return {row["n"] for row in storecheck.dicts(site.lab.sim.query(f"SELECT n FROM [{site.lab.database}].dbo.marks"))}


def mark(site: Site, n: int) -> str:
    """Commits one row; a moment behind it, far enough from what comes before and after."""
    site.lab.sim.query(f"INSERT INTO marks VALUES ({n})", site.lab.database)
    site.lab.sim.query("WAITFOR DELAY '00:00:00.050'")
    at = site.lab.sim.query("SELECT SYSUTCDATETIME() AS now").rows[0][0]
    site.lab.sim.query("WAITFOR DELAY '00:00:00.050'")
    return rfc3339(at)


def test_from_an_instance_to_a_restore(site: Site) -> None:
    """The lab: backups by policy and by hand, then back to a moment between two commits."""
    namespace = site.namespace
    site.controller().leads()
    site.objects()
    sidecar = site.sidecar()
    found = namespace.phase("MSSQLInstance", "src", "Ready")
    assert found["status"]["sidecar"]["pod"] == "src-db-0" and conditions(found)["SidecarConnected"]["status"] == "True"
    policy = namespace.phase("MSSQLBackupPolicy", "src-backup-policy", "Ready")
    assert policy["status"]["appliedGeneration"] == policy["metadata"]["generation"]
    assert sidecar.status()["policy"]["source"] == "controller"
    full = site.backup("full", "full")
    assert full["status"]["phase"] == "Completed" and full["status"]["results"][0]["state"] == "Completed", full["status"]
    site.lab.sim.query("CREATE TABLE marks (n int)", site.lab.database)
    next_second(site.lab.sim)
    mark(site, 1)
    target = mark(site, 2)
    mark(site, 3)
    log = site.backup("log")
    assert log["status"]["phase"] == "Completed" and log["status"]["results"][0]["kind"] == "Log", log["status"]
    namespace.wait("MSSQLInstance", "src", lambda o: any(w["name"] == site.lab.database and w.get("lastFull") for w in o["status"]["databaseWindows"]), "a window")
    held = site.backup("held", "full", copyOnly=True, databases=[site.lab.database], hold={"reason": "audit"})
    assert held["status"]["phase"] == "Completed", held["status"]
    assert [h["setGuid"] for h in sidecar.status()["holds"]] == [held["status"]["results"][0]["setGUID"]]
    early = site.request("early", targetTime="2026-01-01T00:00:00Z")
    assert early["status"]["phase"] == "Refused" and early["status"]["databases"][0]["nearestAfter"], early["status"]
    dry = site.request("dry", targetTime=target, dryRun=True)
    assert dry["status"]["phase"] == "Planned" and dry["status"]["databases"][0]["sets"] >= 2, dry["status"]
    assert namespace.list("MSSQLRestoreJob") == [] and marks(site) == {1, 2, 3}
    done = site.request("back", targetTime=target)
    assert done["status"]["phase"] == "Completed", done["status"]
    assert marks(site) == {1, 2}
    job = namespace.get("MSSQLRestoreJob", done["status"]["restoreJobName"])
    assert job["status"]["phase"] == "Completed" and job["spec"]["requestRef"]["uid"] == done["metadata"]["uid"]
    assert job["status"]["databases"][0]["recoveryFork"] and job["status"]["restoreID"]


def test_a_restored_cluster_does_not_restore_again(site: Site) -> None:
    """The same request, made again by GitOps in a cluster that knows nothing of it: nothing happens."""
    site.controller().leads()
    site.objects()
    site.sidecar()
    site.namespace.phase("MSSQLBackupPolicy", "src-backup-policy", "Ready")
    site.backup("full", "full")
    site.lab.sim.query("CREATE TABLE marks (n int)", site.lab.database)
    next_second(site.lab.sim)
    target = mark(site, 1)
    mark(site, 2)
    site.backup("log")
    assert site.request("back", targetTime=target)["status"]["phase"] == "Completed"
    assert marks(site) == {1}
    mark(site, 7)
    site.namespace.kubectl("delete", "mssqlrestorerequest", "back", "--wait=true")
    wait_for("the job to go", lambda: site.namespace.list("MSSQLRestoreJob") == [] or site.namespace.kubectl("delete", "mssqlrestorejobs", "--all"))
    again = site.request("back", targetTime=target)
    assert again["status"]["phase"] in ("Completed", "Failed", "Refused"), again["status"]
    assert marks(site) == {1, 7}, "a finished restore was executed again"


def test_conditions_follow_the_sidecar(site: Site) -> None:
    site.controller().leads()
    site.objects()
    sidecar = site.sidecar()
    site.namespace.phase("MSSQLInstance", "src", "Ready")
    sidecar.ctl("pause", "--reason", "migration")
    site.namespace.phase("MSSQLInstance", "src", "Paused")
    sidecar.ctl("resume")
    site.namespace.phase("MSSQLInstance", "src", "Ready")
    sidecar.kill()
    site.namespace.condition("MSSQLInstance", "src", "SidecarConnected", "False", "NotConnected")
    sidecar.start()
    site.namespace.condition("MSSQLInstance", "src", "SidecarConnected", "True")


def test_a_killed_controller_loses_no_command(site: Site) -> None:
    """Killed while a backup is asked for: the next one takes the result, and the backup was taken once."""
    controller = site.controller().leads()
    site.objects()
    sidecar = site.sidecar()
    site.namespace.phase("MSSQLBackupPolicy", "src-backup-policy", "Ready")
    spec = {"policyRef": {"name": "src-backup-policy"}, "backupType": "full", "copyOnly": True, "databases": [site.lab.database]}
    for n in range(3):
        name = f"full{n}"
        site.namespace.apply(custom("MSSQLBackup", name, spec))
        if n != 1:  # the second time before or after the object was seen: whatever comes first
            site.namespace.wait("MSSQLBackup", name, lambda o: o.get("status", {}).get("phase"), "seen")
        controller.kill()
        controller.start()
        done = site.namespace.phase("MSSQLBackup", name, "Completed", "Failed")
        assert done["status"]["phase"] == "Completed" and len(done["status"]["results"]) == 1, done["status"]
    copies = [m for m in sidecar.manifests() if "copyOnly" in m["set"]["flags"]]
    assert len(copies) == 3


@pytest.mark.parametrize("wrong", ["audience", "another pod", "another pod that says so", "garbage", "deleted pod"])
def test_forged_sidecars_are_refused(site: Site, wrong: str) -> None:
    controller = site.controller().leads()
    site.objects()
    site.namespace.apply(pod("other-0", app="other"))
    if wrong == "audience":
        token = site.token(audience="somebody-else")
    elif wrong.startswith("another pod"):
        token = site.token("other-0")
    elif wrong == "deleted pod":
        token = site.token("other-0")
        site.namespace.kubectl("delete", "pod", "other-0", "--force", "--grace-period=0")
        wait_for("its end", lambda: site.namespace.get("pod", "other-0") is None)
    else:
        token = "x.y.z"
    if wrong == "another pod that says so":  # let in as what it is: the sidecar of a pod that is of no instance
        site.sidecar(token, pod_name="other-0")
        wait_for("its session", lambda: controller.metric('mssql_controller_sidecars{session="connected"') == 1, 120)
    else:
        site.sidecar(token)
        wait_for("its refusal", lambda: controller.metric('mssql_controller_sessions_total{result="refused"') >= 1, 120)
        assert any(line["msg"] == "refused" and line["error"] for line in controller.lines())
    found = site.namespace.phase("MSSQLInstance", "src", "Pending")
    assert conditions(found)["SidecarConnected"]["status"] == "False"


def test_a_bad_policy_changes_nothing(site: Site) -> None:
    site.controller().leads()
    site.objects()
    sidecar = site.sidecar()
    site.namespace.phase("MSSQLInstance", "src", "Ready")
    before = sidecar.status()["policy"]
    site.namespace.patch("MSSQLInstance", "src", {"spec": {"fullBackupSchedule": "61 * * * *"}})
    found = site.namespace.phase("MSSQLInstance", "src", "Degraded")
    assert "fullBackup.schedule" in found["status"]["message"]
    assert sidecar.status()["policy"]["generation"] == before["generation"]
    site.namespace.patch("MSSQLInstance", "src", {"spec": {"fullBackupSchedule": "0 0 1 1 *"}})
    site.namespace.phase("MSSQLInstance", "src", "Ready")


def test_the_restored_rows_are_all_there_under_load(site: Site) -> None:
    """In place to the newest moment while the workload goes on: nothing that was acknowledged is lost."""
    site.controller().leads()
    site.objects()
    site.lab.write()
    site.sidecar()
    site.namespace.phase("MSSQLBackupPolicy", "src-backup-policy", "Ready")
    site.backup("full", "full")
    site.lab.write(20)
    done = site.request("back", latest=True)
    assert done["status"]["phase"] == "Completed", done["status"]
    site.lab.write(5)  # it comes back by itself
    site.lab.load.stop()
    assert site.lab.load.acked <= rows_of(site.lab.sim, site.lab.database) <= site.lab.load.tried
