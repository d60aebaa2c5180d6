# SPDX-License-Identifier: Apache-2.0
"""Disks that are full, read-only or away, and stores that are somebody else's. Really full ones: small file systems in memory, which needs
the right to mount. Nothing is lost, and SQL Server goes on."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
from pathlib import Path
from typing import Any, Callable, Iterator

import grpc
import pytest

from fixtures.lab import Lab
from fixtures.load import check_nothing_lost
from fixtures.sidecar import Sidecar

MIB = 1 << 20


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """make(folder, mebibytes): an own file system of that size is mounted there."""
    mounted: list[Path] = []

    def make(folder: Path, mebibytes: int) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)], capture_output=True, text=True)
        assert done.returncode == 0, f"these tests need the right to mount (CAP_SYS_ADMIN): {done.stderr}"
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)


def fill(folder: Path, leave: int = 0) -> Path:
    """Takes all space but `leave` bytes."""
    filler = folder / ".filler"
    with open(filler, "ab", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            pass
        file.truncate(max(0, file.tell() - leave))
    return filler


def condition(sidecar: Sidecar, kind: str, status: str) -> dict[str, Any]:
    def look(s: Sidecar) -> Any:
        c = s.condition(kind)
        return c if c["status"] == status else None

    return sidecar.wait_until(f"condition {kind} to be {status}", look)


def shipped_order(sidecar: Sidecar) -> list[str]:
    return [e["run"] for e in sidecar.events() if e["msg"] == "backup committed" and e["kind"] == "log"]


def result_of(sidecar: Sidecar, database: str, kind: str = "log") -> Any:
    with sidecar.rpc() as rpc:
        return rpc.backup(database, kind, seconds=30)


# ---- staging ----


def test_staging_is_full(lab: Lab, tmpfs: Callable[..., Path]) -> None:
    """The gate sees it: skipped with both sizes, and as soon as there is room the log is taken."""
    lab.write()
    sidecar = lab.sidecar(start=False)
    tmpfs(sidecar.staging, 12)
    sidecar.start()
    sidecar.wait_full(lab.database)
    filler = fill(sidecar.staging, 64 << 10)
    (sidecar.staging / ".reserve").unlink(missing_ok=True)
    fill(sidecar.staging, 64 << 10)
    lab.write()
    result = result_of(sidecar, lab.database)
    assert sidecar.rpc().state(result) == "SKIPPED" and result.reason == "StagingTooSmall", result
    assert "staging is too small" in result.message and "bytes" in result.message
    lab.write(20)
    filler.unlink()
    sidecar.force(lab.database)
    assert lab.kinds(sidecar) == ["full", "log"], "the chain did not break"
    lab.prove(sidecar)


def test_staging_becomes_full_during_the_backup(own_lab: Lab, tmpfs: Callable[..., Path]) -> None:
    lab = own_lab
    lab.write()
    sidecar = lab.sidecar(start=False)
    tmpfs(sidecar.staging, 12)
    sidecar.start()
    sidecar.wait_full(lab.database)
    lab.sim.do("hold_at", kind="log", step="opened")
    with sidecar.rpc() as rpc:
        events = rpc.run_backup(databases=[lab.database], kind="log", seconds=60)
        assert lab.sim.do("wait_held")["result"]
        filler = fill(sidecar.staging)
        lab.sim.do("release")
        result = next(e.result for e in events if e.WhichOneof("event") == "result")
        assert rpc.state(result) in ("FAILED", "DEFERRED") and result.error_class == "space", result
    assert [f for f in sidecar.staged() if f.endswith(".trn")] == [], "the torn file is removed"
    lab.write(20)
    filler.unlink()
    sidecar.force(lab.database)
    assert lab.kinds(sidecar) == ["full", "log"]
    lab.prove(sidecar)


def test_staging_disappears_and_comes_back(lab: Lab) -> None:
    sidecar = lab.protected()
    away = sidecar.staging.with_name("away")
    sidecar.staging.rename(away)
    c = condition(sidecar, "StagingWritable", "False")
    assert str(sidecar.staging) in c["message"]
    assert sidecar.get("/readyz")[0] == 200
    lab.write(20)
    away.rename(sidecar.staging)
    condition(sidecar, "StagingWritable", "True")
    sidecar.force(lab.database)
    lab.prove(sidecar)


def test_staging_is_made_when_it_is_missing(lab: Lab) -> None:
    lab.write()
    sidecar = lab.sidecar(start=False)
    sidecar.staging.rmdir()
    sidecar.start()
    sidecar.wait_full(lab.database)
    lab.prove(sidecar)


def remount(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)


def serves_without(sidecar: Sidecar, kind: str, *words: str) -> None:
    """The process serves, says what is wrong and where, and what to do about it."""
    c = condition(sidecar, kind, "False")
    assert all(word in c["message"] for word in words), c
    assert sidecar.condition("Ready")["status"] != "True"
    assert sidecar.get("/healthz")[0] == sidecar.get("/readyz")[0] == 200
    assert sidecar.metrics()[f'mssql_sidecar_condition{{type="{kind}"}}'] == 0
    with sidecar.rpc() as rpc:
        status = rpc.call("GetStatus", rpc.pb.sidecar.GetStatusRequest(), rpc.pb.types.Status)
        assert [all(word in c.message for word in words) for c in status.conditions if c.type == kind] == [True]
    assert sidecar.ctl("status", check=False).stdout


def test_staging_is_read_only(lab: Lab, tmpfs: Callable[..., Path]) -> None:
    lab.write()
    sidecar = lab.sidecar(start=False)
    tmpfs(sidecar.staging, 12)
    remount(sidecar.staging, "ro")
    sidecar.start()
    serves_without(sidecar, "StagingWritable", str(sidecar.staging), "not writable", "mounted writable")
    lab.write(20)
    remount(sidecar.staging, "rw")
    sidecar.wait_full(lab.database)
    remount(sidecar.staging, "ro")
    lab.write()
    result = result_of(sidecar, lab.database)
    assert sidecar.rpc().state(result) != "COMPLETED" and result.message, result
    remount(sidecar.staging, "rw")
    sidecar.force(lab.database)
    lab.prove(sidecar)


@pytest.mark.parametrize("what", ["a file", "below a file"])
def test_staging_that_cannot_be_opened_at_the_start(lab: Lab, what: str) -> None:
    lab.write()
    sidecar = lab.sidecar(start=False)
    sidecar.staging.rmdir()
    in_the_way = sidecar.staging if what == "a file" else sidecar.volume
    if what == "below a file":
        sidecar.volume.rmdir()
    in_the_way.write_text("")
    sidecar.start()
    serves_without(sidecar, "StagingWritable", str(in_the_way))
    if what == "a file":
        assert "is not a directory" in sidecar.condition("StagingWritable")["message"]
    sidecar.wait_until("the databases to be seen", lambda s: s.database(lab.database))
    result = result_of(sidecar, lab.database, "full")
    assert (sidecar.rpc().state(result), result.reason) == ("DEFERRED", "staging_unusable"), result
    code, text = sidecar.get("/prestop")
    assert code == 200 and "staging cannot be used" in text, "it does not hold up the end of SQL Server"
    assert sidecar.stop() == 0
    sidecar.start()
    serves_without(sidecar, "StagingWritable", str(in_the_way))
    in_the_way.unlink()
    sidecar.wait_full(lab.database)
    condition(sidecar, "Ready", "True")
    lab.prove(sidecar)


def test_staging_is_not_mounted_at_the_start(lab: Lab) -> None:
    """What is left is an empty folder. What is staged is not taken for removed, and is shipped when the volume is back."""
    sidecar = lab.protected(shutdown={"grace": "100ms"})
    store_away = sidecar.store.with_name("store-away")
    sidecar.store.rename(store_away)
    lab.write()
    staged = sidecar.stage_log(lab.database)
    sidecar.kill()
    away = sidecar.staging.with_name("away")
    sidecar.staging.rename(away)
    sidecar.staging.mkdir()
    store_away.rename(sidecar.store)
    before = lab.kinds(sidecar)
    sidecar.start()
    serves_without(sidecar, "StagingWritable", str(sidecar.staging), "1 staged backups", "Is its volume mounted?")
    lab.write(20)
    assert lab.kinds(sidecar) == before
    sidecar.staging.rmdir()
    away.rename(sidecar.staging)
    sidecar.wait_until("the staged log in the store", lambda s: lab.kinds(s) == before + ["log"])
    sidecar.wait_shipped()
    assert shipped_order(sidecar)[-1] == staged.split(".")[0]
    sidecar.force(lab.database)
    assert lab.kinds(sidecar) == before + ["log", "log"], "the chain did not break"
    lab.prove(sidecar)


# ---- the state directory ----


@pytest.mark.parametrize("what", ["a file", "read-only", "full", "no room for the catalog"])
def test_state_that_cannot_be_used_at_the_start(lab: Lab, tmpfs: Callable[..., Path], what: str) -> None:
    lab.write()
    sidecar = lab.sidecar(start=False)
    free: Callable[[], Any]
    if what == "a file":
        sidecar.state.rmdir()
        sidecar.state.write_text("")
        free = sidecar.state.unlink
    else:
        tmpfs(sidecar.state, 16)
        if what == "read-only":
            remount(sidecar.state, "ro")
            free = lambda: remount(sidecar.state, "rw")  # noqa: E731
        else:
            if what == "no room for the catalog":
                sidecar.start()
                sidecar.wait_full(lab.database)
                assert sidecar.stop() == 0
                (sidecar.state / "catalog").unlink()
            filler = fill(sidecar.state, 4096 if what == "no room for the catalog" else 0)
            free = filler.unlink
    sidecar.start()
    if what == "no room for the catalog":
        c = condition(sidecar, "StoreReachable", "False")
        assert c["reason"] == "CatalogNotWritable" and "No space left" in c["message"] and str(sidecar.state) in c["message"], c
        assert sidecar.get("/healthz")[0] == 200
    else:
        serves_without(sidecar, "StateWritable", str(sidecar.state), "mounted writable")
        with sidecar.rpc() as rpc, pytest.raises(grpc.RpcError) as caught:
            rpc.backup(lab.database, "full", seconds=10)
        assert str(sidecar.state) in caught.value.details()
    code, _ = sidecar.get("/metrics")
    assert code == 200 and not sidecar.dead()
    free()
    sidecar.wait_full(lab.database)
    condition(sidecar, "Ready", "True")
    lab.write()
    sidecar.force(lab.database)
    lab.prove(sidecar)


# ---- the store ----


def test_store_is_full(lab: Lab, tmpfs: Callable[..., Path]) -> None:
    lab.write()
    sidecar = lab.sidecar(start=False)
    tmpfs(sidecar.store, 8)
    sidecar.start()
    sidecar.wait_full(lab.database)
    filler = fill(sidecar.store)
    lab.write(20)
    staged = [sidecar.stage_log(lab.database)]
    sidecar.wait_until("the refusal", lambda s: s.metrics().get('mssql_sidecar_ship_errors_total{class="space"}', 0) > 0)
    lab.write(20)
    filler.unlink()
    sidecar.wait_shipped()
    assert shipped_order(sidecar) == [f.split(".")[0] for f in staged]
    lab.prove(sidecar)


def test_store_is_away_for_a_while(lab: Lab) -> None:
    """Logs go on into staging, and are shipped oldest first, also when the sidecar dies meanwhile."""
    sidecar = lab.protected()
    first = shipped_order(sidecar)
    away = sidecar.store.with_name("away")
    sidecar.store.rename(away)
    staged = []
    for number in range(4):
        lab.write()
        staged.append(sidecar.stage_log(lab.database))
        if number == 1:
            sidecar.kill()
            sidecar.start()
    sidecar.wait_until("the condition to count them", lambda s: "4 backups wait in staging" in s.condition("StoreReachable")["message"])
    assert condition(sidecar, "StoreReachable", "False")["reason"] == "NotReachable"
    assert sidecar.metrics()["mssql_sidecar_unshipped_backups"] == 4
    assert sidecar.status()["staging"]["oldestUnshippedAt"]
    away.rename(sidecar.store)
    sidecar.wait_shipped()
    assert shipped_order(sidecar) == first + [f.split(".")[0] for f in staged]
    assert lab.kinds(sidecar) == ["full"] + ["log"] * 5
    lab.prove(sidecar)


def test_store_is_unmounted(lab: Lab, tmpfs: Callable[..., Path]) -> None:
    """What is left is the empty folder of the mount point: nothing may be written there, for it is hidden when the volume is back."""
    lab.write()
    sidecar = lab.sidecar(start=False)
    volume = tmpfs(sidecar.folder / "store-volume", 16)
    subprocess.run(["mount", "--bind", str(volume), str(sidecar.store)], check=True)
    try:
        sidecar.start()
        sidecar.wait_full(lab.database)
        subprocess.run(["umount", "-l", str(sidecar.store)], check=True)
        lab.write()
        sidecar.stage_log(lab.database)
        condition(sidecar, "StoreReachable", "False")
        assert [p for p in sidecar.store.rglob("*.json")] == [], "something was committed to the empty mount point"
        assert sidecar.staged(), "the only copy of the log is gone"
        subprocess.run(["mount", "--bind", str(volume), str(sidecar.store)], check=True)
        sidecar.wait_shipped()
        lab.prove(sidecar)
    finally:
        subprocess.run(["umount", "-l", str(sidecar.store)], check=False, capture_output=True)


def test_a_manifest_that_is_damaged(lab: Lab) -> None:
    """It is left out and named. The chain has a hole then, which is seen and bridged."""
    sidecar = lab.protected()
    lab.write()
    sidecar.force(lab.database)
    assert sidecar.stop() == 0
    newest = max(sidecar.store.glob("*/*/*/log/*.json"))
    newest.write_text("{ broken")
    (sidecar.state / "catalog").unlink()
    lab.write()
    sidecar.start()
    left_out = sidecar.wait_until("it to be named", lambda s: [e for e in s.events() if "manifest left out" in e["msg"]])
    assert newest.name in left_out[0]["manifest"] and left_out[0]["class"] == "corrupt"
    sidecar.wait_until("the hole to be bridged", lambda s: "diff" in lab_kinds(s))
    sidecar.force(lab.database)
    lab.load.stop()
    sidecar.drained()
    assert sidecar.stop() == 0
    newest.unlink()
    check_nothing_lost(sidecar.store, lab.load, lab.target, lab.folder)


def lab_kinds(sidecar: Sidecar) -> list[str]:
    return [p.parent.name for p in sidecar.store.glob("*/*/*/*/*.json")]


# ---- whose store it is ----


def lineage(sidecar: Sidecar) -> Path:
    return next(sidecar.store.glob("*/*/lineage.json"))


def edit(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def forget_state(sidecar: Sidecar) -> None:
    sidecar.state.rename(sidecar.state.with_name("state-before"))
    sidecar.state.mkdir()


def minutes_ago(minutes: int) -> str:
    return (dt.datetime.now(dt.timezone.utc) - dt.timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_store_of_a_live_other_owner_is_refused(lab: Lab) -> None:
    sidecar = lab.protected()
    sidecar.kill()
    forget_state(sidecar)
    before = {p: p.read_bytes() for p in sidecar.store.rglob("*") if p.is_file()}
    sidecar.start()
    c = condition(sidecar, "StoreReachable", "False")
    assert c["reason"] == "ForeignOwner" and "alive within the last ten minutes" in c["message"], c
    lab.write(20)
    assert {p: p.read_bytes() for p in sidecar.store.rglob("*") if p.is_file()} == before, "not a byte was changed"
    # the old owner stays silent: it is dead
    edit(lineage(sidecar), heartbeatAt=minutes_ago(20))
    condition(sidecar, "StoreReachable", "True")
    told = json.loads(lineage(sidecar).read_text())
    assert told["epoch"] == 2
    assert any("took the store's scope over" in e["msg"] for e in sidecar.events())
    lab.write()
    sidecar.force(lab.database)
    lab.prove(sidecar)


def test_store_of_another_cluster_is_refused_however_old(lab: Lab) -> None:
    sidecar = lab.protected()
    assert sidecar.stop() == 0
    mine = json.loads(lineage(sidecar).read_text())["clusterId"]
    other = "0" * 8 + mine[8:]
    edit(lineage(sidecar), clusterId=other, heartbeatAt=minutes_ago(600))
    sidecar.start()
    c = condition(sidecar, "StoreReachable", "False")
    assert c["reason"] == "ForeignOwner" and "another cluster or instance wrote it" in c["message"], c
    assert any(e.get("class") == "conflict" and "store.adopt" in json.dumps(e) for e in sidecar.events()), "the way out is told"
    lab.write()
    edit(lineage(sidecar), clusterId=mine)
    sidecar.force(lab.database)
    lab.prove(sidecar)
