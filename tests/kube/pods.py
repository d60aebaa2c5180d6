# SPDX-License-Identifier: Apache-2.0
"""A release of the chart with the simulated SQL Server in its place: what is in its pod, seen from the node."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import secrets
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Callable

import yaml

from fixtures.load import Load, check_nothing_lost
from sqlsim.client import Client
from sqlsim.control import Control

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "mssql-helm"
SA_PASSWORD, LOGIN_PASSWORD = "Sa-Passw0rd-1", "Sidecar-Passw0rd-1"
SIDECAR, SERVER, PREPARE = "mssql-sidecar", "mssql", "prepare-volumes"
CONTROL_PORT, HTTP_PORT, TDS_PORT = 1400, 9187, 1433
WAIT = 120.0

# As small as a test wants it: no controller, the test's own Secrets, quick probes, logs often.
VALUES: dict[str, Any] = {
    "mssql": {
        "image": {"repository": "localhost/mssql-sqlsim", "tag": "dev", "pullPolicy": "Never"},
        "auth": {"existingSecret": "sa"},
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {}},
        "env": [{"name": "SQLSIM_CONTROL", "value": f"0.0.0.0:{CONTROL_PORT}"}],
        "startupProbe": {"periodSeconds": 1, "failureThreshold": 120},
    },
    "sidecar": {
        "image": {"repository": "localhost/mssql-sidecar", "tag": "dev", "pullPolicy": "Never"},
        "login": {"existingSecret": "login"},
        "config": {"staging": {"reserve": "1Mi", "floor": "1Mi"}, "limits": {"retryMin": "50ms", "retryMax": "500ms"}, "log": {"format": "json"}},
    },
    "operator": {"enabled": False},
    "bootstrap": {"enabled": False},
    "autoBackup": {"createInstance": False, "policy": {"systemDatabases": False, "jitter": "0s"}},
}


def merge(base: dict, more: dict) -> dict:
    out = dict(base)
    for key, value in more.items():
        out[key] = merge(out[key], value) if isinstance(value, dict) and isinstance(out.get(key), dict) else value
    return out


def wait_for(what: str, condition: Callable[[], Any], seconds: float = WAIT) -> Any:
    """Looks again until the condition gives something. While it raises, it is not there yet; the last reason is told."""
    end, why = time.monotonic() + seconds, None
    while True:
        try:
            if got := condition():
                return got
        except Exception as err:  # pylint: disable=broad-except
            why = err
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:.0f} s for: {what}" + (f" ({type(why).__name__}: {why})" if why else ""))
        time.sleep(0.1)


def comm_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


class Release:
    """`helm install`ed into the namespace of a test. It can be written to (`load`), as fixtures.load wants a server."""

    user, password = "sa", SA_PASSWORD

    def __init__(self, kube: Any, folder: Path, name: str = "r") -> None:
        self.kube, self.folder, self.name = kube, folder, name
        self.full = f"{name}-mssql-helm"
        self.set = f"{self.full}-db"
        self.pod = f"{self.set}-0"
        self.claim = f"{self.full}-instance-backup-store"
        self.values: dict[str, Any] = {}

    # ---- life ----

    def passwords(self) -> None:
        for name, key, value in (("sa", "SA_PASSWORD", SA_PASSWORD), ("login", "PASSWORD", LOGIN_PASSWORD)):
            self.kube.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {key: value}})

    def install(self, wait: bool = True, **values: Any) -> "Release":
        self.passwords()
        self.values = merge(VALUES, values)
        path = self.folder / "values.yaml"
        path.write_text(yaml.safe_dump(self.values))
        done = subprocess.run(
            ["helm", "-n", self.kube.namespace, "upgrade", "--install", self.name, str(CHART), "-f", str(path)],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        if wait:
            self.ready()
        return self

    def ready(self, unlike: str = "") -> dict[str, Any]:
        """The pod, when it is Ready; another one than that of the uid `unlike`."""

        def look() -> Any:
            pod = self.object()
            conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", [])}
            return pod["metadata"]["uid"] != unlike and "deletionTimestamp" not in pod["metadata"] and conditions.get("Ready") == "True" and pod

        return wait_for(f"pod {self.pod} to be Ready", look)

    def object(self) -> dict[str, Any]:
        return self.kube.get("pod", self.pod)

    def gone(self, seconds: float) -> None:
        """Waits until there is no pod."""
        self.kube("wait", "--for=delete", f"pod/{self.pod}", f"--timeout={seconds:.0f}s", timeout=seconds + 10)

    def containers(self) -> dict[str, dict[str, Any]]:
        status = self.object()["status"]
        return {c["name"]: c for c in status.get("initContainerStatuses", []) + status.get("containerStatuses", [])}

    def scale(self, replicas: int) -> None:
        self.kube("scale", f"statefulset/{self.set}", f"--replicas={replicas}")

    # ---- processes, seen from the node ----

    def processes(self, comm: str = "") -> list[int]:
        """Process ids of everything in the pod, or of those with that name."""
        uid = self.object()["metadata"]["uid"]
        found = []
        for path in glob.glob(f"/sys/fs/cgroup/memory/*/kubepods/**/pod{uid}/**/cgroup.procs", recursive=True):
            found += [int(p) for p in Path(path).read_text().split()]
        return [p for p in found if not comm or comm_of(p) == comm]

    def sidecar_pid(self) -> int:
        return wait_for("the sidecar's process", lambda: self.processes(SIDECAR))[0]

    def crash(self) -> None:
        """Every process of the pod dies at once, as when the node loses power; the volumes stay."""
        before = self.sandbox()
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):  # it died with one that it depends on
                os.kill(pid, signal.SIGKILL)
        wait_for("kubelet to start the pod again", lambda: self.sandbox() != before)
        wait_for("both containers to run", lambda: all("running" in self.containers()[c]["state"] for c in (SIDECAR, SERVER)))

    def sandbox(self) -> tuple[str, ...]:
        """Changes when the pod's containers were started again."""
        return tuple(self.containers()[c].get("containerID", "") for c in (SIDECAR, SERVER))

    # ---- SQL Server ----

    @property
    def ip(self) -> str:
        return self.object()["status"]["podIP"]

    @property
    def host(self) -> str:
        """The Service's address: the same for every pod that comes."""
        return self.kube.get("service", self.set)["spec"]["clusterIP"]

    @property
    def address(self) -> str:
        return f"{self.host}:{TDS_PORT}"

    def query(self, sql: str, database: str = "") -> Any:
        with Client(self.ip, TDS_PORT, self.user, self.password, database, timeout=60.0) as client:
            return client.query(sql)

    def answers(self, seconds: float = WAIT) -> None:
        wait_for("SQL Server to answer", lambda: self.query("SELECT 1"), seconds)

    def control(self) -> Control:
        return Control(self.ip, CONTROL_PORT)

    def database(self, name: str, ballast: int = 60) -> None:
        """With something in it that does not compress: so many rows of 8 KB."""
        self.query(f"CREATE DATABASE [{name}]")
        self.query("CREATE TABLE ballast (filling nvarchar(4000))", name)
        for begin in range(0, ballast, 250):
            rows = "".join(f"INSERT INTO ballast VALUES (N'{secrets.token_hex(2000)}');" for _ in range(begin, min(begin + 250, ballast)))
            self.query(f"BEGIN TRAN; {rows} COMMIT", name)

    def load(self, database: str) -> Load:
        return Load(self, database, self.folder).start()

    # ---- the sidecar ----

    def get(self, path: str, seconds: float = 60.0) -> str:
        with urllib.request.urlopen(f"http://{self.ip}:{HTTP_PORT}{path}", timeout=seconds) as answer:
            return answer.read().decode()

    def status(self) -> dict[str, Any]:
        return json.loads(self.get("/status"))

    def protection(self, database: str) -> dict[str, Any]:
        return next((d for d in self.status()["databases"] if d["name"] == database), {})

    def condition(self, kind: str) -> dict[str, Any]:
        return next(c for c in self.status()["conditions"] if c["type"] == kind)

    def wait_condition(self, kind: str, status: str) -> dict[str, Any]:
        return wait_for(f"condition {kind} to be {status}", lambda: (c := self.condition(kind))["status"] == status and c)

    def ctl(self, *arguments: str, timeout: float = 120.0) -> str:
        """`mssqlctl` as people run it there."""
        return self.kube("exec", self.pod, "-c", SIDECAR, "--", "mssqlctl", *arguments, timeout=timeout)

    def wait_full(self, database: str) -> None:
        wait_for(f"a full backup of {database}", lambda: self.protection(database).get("lastFullAt"))

    def backup(self, database: str, kind: str = "log") -> None:
        """Until one is committed: right after a start a request may be refused."""
        wait_for(f"a {kind} backup of {database}", lambda: self.ctl("backup", "now", "--kind", kind, database) or True)

    # ---- the store ----

    def volume(self, claim: str) -> Path:
        """Where a claim's volume is on the node."""
        name = self.kube.get("persistentvolumeclaim", claim)["spec"]["volumeName"]
        volume = json.loads(self.kube("get", "persistentvolume", name, "-o", "json"))["spec"]
        return Path(volume.get("local", volume.get("hostPath"))["path"])

    @property
    def store(self) -> Path:
        return self.volume(self.claim)

    def prove(self, load: Load, target: Any) -> int:
        """Ends the workload, takes the last log, and restores a copy of the store elsewhere: every acknowledged row is there."""
        load.stop()
        self.backup(load.database)
        return check_nothing_lost(self.store, load, target, self.folder)
