# SPDX-License-Identifier: Apache-2.0
"""A whole release on a real kubelet: hooks, controller, sidecar, `helm test`."""
import base64
import json
import subprocess

import pytest

from chart import CHART
from pods import Release, wait_for

pytestmark = pytest.mark.usefixtures("crds")
CONTROLLER = {"repository": "localhost/mssql-controller", "tag": "dev", "pullPolicy": "Never"}
# Nothing is there before: the hooks make passwords and certificates.
WHOLE = {
    "mssql": {"auth": {"existingSecret": ""}},
    "sidecar": {"login": {"existingSecret": ""}},
    "bootstrap": {"enabled": True},
    "operator": {"enabled": True, "image": CONTROLLER, "resources": {"requests": {"cpu": "10m"}, "limits": {}}},
    "autoBackup": {"createInstance": True, "policy": {"systemDatabases": True, "jitter": "0s"}},
    "test": {"timeout": "2m"},
}


def secret(kube, name: str, key: str) -> str:
    return base64.b64decode(kube.get("secret", name)["data"][key]).decode()


def conditions(kube, instance: str) -> dict[str, str]:
    return {c["type"]: c["status"] for c in kube.get("mssqli", instance).get("status", {}).get("conditions", [])}


def helm(release: Release, *args: str) -> subprocess.CompletedProcess:
    return subprocess.run(["helm", "-n", release.kube.namespace, *args], capture_output=True, text=True, timeout=300, check=False)


def test_a_whole_release_proves_itself(kube, release, tmp_path):
    release.install(**WHOLE)
    release.password = secret(kube, f"{release.full}-sa", "SA_PASSWORD")
    instance = f"{release.full}-instance"
    release.answers()
    release.database("orders")
    wait_for("the sidecar's session", lambda: conditions(kube, instance).get("SidecarConnected") == "True")
    done = helm(release, "test", release.name, "--timeout", "3m")
    logs = kube("logs", f"{release.full}-test")
    assert done.returncode == 0 and "a backup was taken and its database restored" in logs, done.stderr + logs
    assert "database=orders" in logs
    request = json.loads(kube("get", "mssqlrr", "-o", "json"))["items"][0]
    assert request["status"]["phase"] == "Completed"
    copy = request["spec"]["databaseRules"][0]["newName"]
    assert "ballast" in str(release.query("SELECT name FROM sys.tables", copy).sets)
    # another policy reaches the sidecar, and SQL Server does not notice the upgrade
    before, kept = release.containers()["mssql"]["containerID"], release.password
    done = helm(release, "upgrade", release.name, str(CHART), "--reuse-values", "--set", "autoBackup.retentionDays=7")
    assert done.returncode == 0, done.stderr
    wait_for("the sidecar to work by the new policy", lambda: release.status()["policy"]["retentionDays"] == 7)
    assert release.status()["policy"]["source"] == "controller"
    assert release.containers()["mssql"]["containerID"] == before
    assert secret(kube, f"{release.full}-sa", "SA_PASSWORD") == kept


def test_a_release_without_a_controller_finds_the_one_of_the_namespace(kube, release, tmp_path):
    release.install(**WHOLE)
    folder = tmp_path / "target"
    folder.mkdir()
    target = Release(kube, folder, "t")
    target.install(**{**WHOLE, "operator": {"enabled": False, "image": CONTROLLER}, "autoBackup": {"enabled": False}})
    target.password = secret(kube, f"{target.full}-sa", "SA_PASSWORD")
    target.answers()
    assert secret(kube, f"{release.full}-sa", "SA_PASSWORD") != target.password
    pods = [p["metadata"]["name"] for p in json.loads(kube("get", "pods", "-l", "app.kubernetes.io/component=operator", "-o", "json"))["items"]]
    wait_for("both sessions", lambda: any(all(f"pod={r.pod} " in kube("logs", p) for r in (release, target)) for p in pods))
    wait_for("the instance to be connected", lambda: conditions(kube, f"{release.full}-instance").get("SidecarConnected") == "True")
