# SPDX-License-Identifier: Apache-2.0
"""The chart's pod on a real kubelet: what it may do, what it backs up, and what is left when it is killed, stopped, filled or upgraded."""

import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from fixtures.load import restored_rows
from pods import LOGIN_PASSWORD, PREPARE, SA_PASSWORD, SERVER, SIDECAR, WAIT, wait_for

USER = 10001
IN_TIME = 110  # seconds: the pod ended by itself, before its grace period of 120 s was over


def status_of(pid):
    return dict(re.findall(r"^(\w+):\s+(.*)$", Path(f"/proc/{pid}/status").read_text(), re.M))


def test_the_pod_is_protected_and_locked_in(release, target):
    release.install()
    release.database("orders")
    load = release.load("orders")
    release.wait_full("orders")
    pid = release.sidecar_pid()
    # no root, no rights, nothing to write to but volumes
    got = status_of(pid)
    assert got["Uid"].split() == got["Gid"].split() == [str(USER)] * 4
    assert int(got["CapBnd"], 16) == int(got["CapEff"], 16) == 0 and got["NoNewPrivs"] == "1" and got["Seccomp"] == "2"
    mounts = {line.split()[4]: line.split()[5].split(",") for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()}
    assert "ro" in mounts["/"] and "rw" in mounts["/backup-store"] and "rw" in mounts["/var/opt/mssql/backup-staging"]
    # the folders that --prepare made; the database files are out of reach
    root = Path(f"/proc/{pid}/root")
    assert os.listdir(root / "var/opt/mssql") == ["backup-staging"]
    staging, state = (root / p for p in ("var/opt/mssql/backup-staging", "var/lib/mssql-sidecar"))
    assert [(p.stat().st_uid, oct(p.stat().st_mode & 0o7777)) for p in (staging, state)] == [(USER, "0o2770"), (USER, "0o750")]
    assert any(f.name.endswith(".mdf") for f in (release.volume(f"data-{release.pod}") / "data").iterdir())
    # a native sidecar: an init container that lives
    spec = release.object()["spec"]["initContainers"]
    assert [(c["name"], c.get("restartPolicy")) for c in spec] == [(PREPARE, None), (SIDECAR, "Always")]
    with pytest.raises(Exception, match="no such file|not found"):
        release.kube("exec", release.pod, "-c", SIDECAR, "--", "sh", "-c", "true")
    # what people look at
    load.wait_more(20)
    release.backup("orders")
    shown = release.ctl("status")
    assert re.search(r"^DATABASE +PROTECTED", shown, re.M) and re.search(r"^orders +intact ", shown, re.M), shown
    for kind in ("Ready", "LoginSufficient", "StagingWritable", "StoreReachable"):
        release.wait_condition(kind, "True")
    kinds = [f.parent.name for f in release.store.glob("*/*/orders*/*/*.json")]
    assert "full" in kinds and "log" in kinds
    assert release.prove(load, target) > 0
    logs = release.kube("logs", release.pod, "-c", SIDECAR) + release.kube("get", "pod", release.pod, "-o", "yaml")
    assert SA_PASSWORD not in logs and LOGIN_PASSWORD not in logs


def test_names_and_texts_of_every_script(release):
    """What needs the image's character sets and time zones, seen in the pod."""
    names = ["Größe", "注文", "заказы", "παραγγελίες"]
    policy = {"policy": {"timeZone": "Asia/Kathmandu"}}
    release.install(mssql={"env": [{"name": "SQLSIM_CONTROL", "value": "0.0.0.0:1400"}, {"name": "TZ", "value": "America/St_Johns"}]}, autoBackup=policy)
    for name in names:
        release.query(f"CREATE DATABASE [{name}]")
    for name in names:
        release.wait_full(name)
    assert set(names) <= {d["name"] for d in release.status()["databases"]}
    assert all(name in release.ctl("status") for name in names)
    # midnight in Kathmandu is at a quarter past an hour
    def minutes():
        return {d["nextFullAt"][14:16] for d in release.status()["databases"] if d["name"] in names}

    wait_for("the next fulls to be at midnight there", lambda: minutes() == {"15"})


def test_killed_in_the_middle_of_a_backup(release, target):
    release.install()
    release.database("orders")
    load = release.load("orders")
    release.wait_full("orders")
    load.wait_more(20)
    with release.control() as control:
        control.do("hold_at", kind="log", step="written")
        asked = threading.Thread(target=ask_for_log, args=(release,), daemon=True)
        asked.start()
        control.do("wait_held", timeout=100)
        assert any(f.suffix == ".trn" for f in (release.volume(f"data-{release.pod}") / "backup-staging").iterdir())
        release.crash()
    release.answers()
    load.wait_more(20)
    assert release.prove(load, target) > 0
    asked.join(60)


def ask_for_log(release):
    subprocess.run(["kubectl", "-n", release.kube.namespace, "exec", release.pod, "-c", SIDECAR, "--", "mssqlctl", "backup", "now", "--kind", "log", "orders"],
                   capture_output=True, timeout=120, check=False)


def test_killed_in_the_middle_of_shipping(release, target):
    """The sidecar is stopped at the moment when a part of the backup is in the store, and then everything dies."""
    release.install()
    release.database("orders", ballast=2500)
    load = release.load("orders")
    release.wait_full("orders")
    load.wait_more(20)
    store = release.store
    for _ in range(10):  # a machine that is busy elsewhere may look too late: then that backup simply was whole
        asked = threading.Thread(target=ask_for_log, args=(release,), daemon=True)
        release.query("INSERT INTO ballast SELECT TOP 2000 filling FROM ballast", "orders")
        pid, before = release.sidecar_pid(), manifests(store)
        asked.start()
        stop_at_part(store, pid, asked)
        if parts(store) and manifests(store) == before:
            break
        os.kill(pid, signal.SIGCONT)
        asked.join(60)
    else:
        raise AssertionError("the sidecar was never seen with half a backup in the store")
    release.crash()
    release.answers()
    load.wait_more(20)
    assert release.prove(load, target) > 0


def parts(store):
    return [p for p in store.glob("**/.tmp/*/*") if p.name != "alive" and p.stat().st_size > 0]


def manifests(store):
    return sorted(store.glob("*/*/*/*/*.json"))


def stop_at_part(store, pid, asked):
    end = time.monotonic() + WAIT
    while asked.is_alive() and time.monotonic() < end:
        try:
            if parts(store):
                os.kill(pid, signal.SIGSTOP)
                return
        except FileNotFoundError:
            pass  # renamed while we looked


def test_stops_in_time_with_the_last_log_in_the_store(release, target):
    """What is committed after the last log backup and before SQL Server stops is on its volume, and in the next log."""
    release.install(sidecar={"config": {"shutdown": {"prestop": "60s"}}})  # enough for a machine that is busy with other tests
    release.database("orders")
    load = release.load("orders")
    release.wait_full("orders")
    load.wait_more(20)
    owed = load.acked
    release.scale(0)
    release.gone(IN_TIME)
    load.stop()
    assert owed <= restored_rows(release.store, "orders", target, release.folder)
    release.scale(1)
    release.ready()
    assert release.prove(load, target) >= len(load.acked)


def test_a_bad_policy_is_said_and_sql_server_serves(release):
    """At the first start of the pod, at later ones, and until the ConfigMap is mended, which needs no restart."""
    release.install(sidecar={"config": {"policy": {"timeZone": "Mars/Base"}}})
    release.query("CREATE DATABASE orders")
    assert "policy.timeZone" in release.kube("logs", release.pod, "-c", SIDECAR)
    replace(release)
    assert release.query("SELECT COUNT(*) FROM sys.databases WHERE name = 'orders'").rows[0][0] == 1
    before = release.containers()
    release.install(sidecar={"config": {"policy": {"timeZone": "Europe/Berlin"}}})
    release.wait_full("orders")
    assert {n: c["restartCount"] for n, c in release.containers().items()} == {n: c["restartCount"] for n, c in before.items()}


def replace(release):
    """Deletes the pod as a drain does, and waits for the next one."""
    begin, before = time.monotonic(), release.object()["metadata"]["uid"]
    release.kube("delete", "pod", release.pod, "--wait=false")
    release.ready(unlike=before)
    assert time.monotonic() - begin < IN_TIME


@pytest.fixture
def small_volume(kube, tmp_path):
    """A claim on a volume that can really be full, and its folder on the node."""
    folder = tmp_path / "volume"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m,mode=0777", "none", folder], check=True)
    name = f"small-{kube.namespace}"
    node = {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["node"]}]}]}}
    common = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
    kube.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
                "spec": {**common, "capacity": {"storage": "32Mi"}, "local": {"path": str(folder)}, "nodeAffinity": node}})
    kube.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "small"},
                "spec": {**common, "volumeName": name, "resources": {"requests": {"storage": "32Mi"}}}})
    yield folder
    kube("delete", "pvc", "small", "--wait=false")
    kube("delete", "pv", name, "--wait=false")
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_store_stops_nobody_and_loses_nothing(release, target, small_volume):
    release.claim = "small"
    release.install(autoBackup={"storage": {"backupData": {"pvcName": "small"}}})
    release.database("orders")
    load = release.load("orders")
    release.wait_full("orders")
    load.wait_more(20)
    filler = small_volume / "filler"
    with pytest.raises(OSError, match="No space left"), open(filler, "wb") as file:
        while True:
            file.write(bytes(1 << 16))
    threading.Thread(target=ask_for_log, args=(release,), daemon=True).start()
    wait_for("a log that waits in staging", lambda: release.status()["staging"]["unshipped"] > 0)
    load.wait_more(20)
    replace(release)
    load.wait_more(20)
    assert release.status()["staging"]["unshipped"] > 0
    filler.unlink()
    wait_for("everything to be shipped", lambda: release.status()["staging"]["unshipped"] == 0)
    assert release.prove(load, target) > 0


def test_another_image_without_restarting_sql_server(release, target):
    release.install()
    release.database("orders")
    load = release.load("orders")
    release.wait_full("orders")
    before = release.containers()
    subprocess.run(["ctr", "-n", "k8s.io", "images", "tag", "--force", "localhost/mssql-sidecar:dev", "localhost/mssql-sidecar:next"], check=True, capture_output=True)
    patch = '[{"op": "replace", "path": "/spec/initContainers/1/image", "value": "localhost/mssql-sidecar:next"}]'
    release.kube("patch", "pod", release.pod, "--type=json", "-p", patch)
    after = wait_for("the new sidecar to run", lambda: (c := release.containers())[SIDECAR]["containerID"] != before[SIDECAR]["containerID"]
                     and "running" in c[SIDECAR]["state"] and c)
    assert after[SERVER]["containerID"] == before[SERVER]["containerID"] and after[SERVER]["restartCount"] == 0
    assert after[SIDECAR]["restartCount"] == 1 and release.object()["spec"]["initContainers"][1]["image"].endswith(":next")
    load.wait_more(20)
    assert release.prove(load, target) > 0
    assert release.containers()[SERVER]["containerID"] == before[SERVER]["containerID"]
