# SPDX-License-Identifier: Apache-2.0
"""What goes wrong around a restore: cancelled, stuck, no room, a staging directory that the server does not see; and several databases."""

from __future__ import annotations

import itertools
import os
import subprocess
import signal
import stat
from pathlib import Path
from typing import Any, Iterator

import pytest

from fixtures import history as past
from fixtures.history import History
from fixtures.restore import Restore, copy_store, databases, state, values
from fixtures.sidecar import Sidecar, wait_for
from fixtures.sqlsim import Sim

NUMBERS = itertools.count(1)
CONFIG, BUSY, TIMEOUT, CANCELLED, SPACE = 10, 14, 18, 19, 22


class World:
    def __init__(self, histories: list[History], source: Sim, target: Sim) -> None:
        self.histories, self.source, self.target = histories, source, target
        self.store = histories[0].sidecar.store


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, certificate: tuple[str, str]) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("trouble")
    source, target = Sim(folder / "source", certificate), Sim(folder / "target", certificate)
    sidecars: list[Sidecar] = []

    def make(sim: Sim, name: str, **config: Any) -> Sidecar:
        sidecars.append(Sidecar(folder / name, sim.port, sim.password, **config))
        return sidecars[-1].start()

    try:
        source.start()
        target.start()
        made = past.protect(make, source, "orders", "sales", "stock")
        made[0].clock.next_second()
        for h in made:
            for _ in range(3):
                h.rows(2).backup("log")
        past.end(*made)
        yield World(made, source, target)
    finally:
        for sidecar in sidecars:
            sidecar.kill()
            sidecar.socket.unlink(missing_ok=True)
            sidecar.check_sanitizers()
        source.kill()
        target.kill()


@pytest.fixture
def restore(world: World, tmp_path: Path) -> Iterator[Restore]:
    world.target.do("clear")
    yield Restore(world.target, world.store, tmp_path)
    world.target.do("clear")


@pytest.fixture
def name(world: World) -> Iterator[str]:
    wanted = f"t{next(NUMBERS)}"
    yield wanted
    world.target.do("clear")
    world.target.query(f"IF DB_ID(N'{wanted}') IS NOT NULL DROP DATABASE [{wanted}]")


# ---- several ----


def test_several_at_once(world: World, restore: Restore) -> None:
    done = restore.run("--to", "latest", "orders", "sales", "-d", "stock", "--parallel", "3")
    assert len(done.report["databases"]) == 3
    for h in world.histories:
        assert values(world.target, h.database) == h.all
        world.target.query(f"DROP DATABASE [{h.database}]")


def test_everything(world: World, restore: Restore) -> None:
    restore.run("--to", "latest")
    assert databases(world.target) >= {"orders", "sales", "stock"}
    for h in world.histories:
        assert values(world.target, h.database) == h.all
        world.target.query(f"DROP DATABASE [{h.database}]")


def test_one_of_several_fails(world: World, restore: Restore, tmp_path: Path) -> None:
    """The others are restored all the same, and the code says that not all is well."""
    store = copy_store(world.store, tmp_path / "copy")
    bad = world.histories[1].object("full", 0, store)
    bad.chmod(0o644)
    data = bytearray(bad.read_bytes())
    data[len(data) // 2] ^= 1
    bad.write_bytes(bytes(data))
    broken = Restore(world.target, store, tmp_path)
    done = broken.run("--to", "latest", code=None)
    assert done.code != 0
    ends = {d["database"]: d["step"] for d in done.report["databases"]}
    assert ends == {"orders": "finished", "sales": "failed", "stock": "finished"}
    assert state(world.target, "sales") == "absent"
    # the store is mended: only what is missing is done
    bad.write_bytes(world.histories[1].object("full", 0).read_bytes())
    done = broken.run("--resume", broken.journals()[0])
    assert {d["step"] for d in done.report["databases"]} == {"finished"}
    for h in world.histories:
        assert values(world.target, h.database) == h.all
        world.target.query(f"DROP DATABASE [{h.database}]")


def test_names_that_would_meet(world: World, restore: Restore) -> None:
    assert restore.run("--to", "latest", "orders", "ORDERS", code=None).code == 2


def test_a_database_that_is_there_without_backups_of_it(world: World, restore: Restore) -> None:
    """Another database has the name: never replaced unasked."""
    world.target.query("CREATE DATABASE [stock]")
    world.target.query("CREATE TABLE t (n int); INSERT INTO t VALUES (7)", "stock")
    done = restore.run("--to", "latest", "stock", code=None)
    assert done.code != 0 and "acknowledge" in (done.err + done.out).lower()
    assert world.target.query("SELECT n FROM t", "stock").rows
    token = restore.run("--to", "latest", "stock", "--dry-run").database["token"]
    assert token
    assert restore.run("--to", "latest", "stock", "--acknowledge-data-loss", "0" * len(token), code=None).code != 0
    restore.run("--to", "latest", "stock", "--acknowledge-data-loss", token)
    assert values(world.target, "stock") == world.histories[2].all
    world.target.query("DROP DATABASE [stock]")


# ---- cancel, stuck ----


def test_cancelled_in_a_restore(world: World, restore: Restore, name: str) -> None:
    """Ctrl-C: an orderly end that says how the database stands, and the way on."""
    world.target.do("hold_at", kind="restore", step="chunk")
    process = restore.begin("--to", "latest", "-d", "orders", "--as", name)
    world.target.do("wait_held", timeout=60)
    process.send_signal(signal.SIGINT)
    world.target.do("release")
    done = restore.end(process)
    assert done.code == CANCELLED, (done.code, done.err)
    assert done.database["step"] == "cancelled"
    assert done.database["next"], done.out
    assert restore.journals() == [done.id]
    restore.run("--resume", done.id)
    assert values(world.target, name) == world.histories[0].all


def test_two_at_one_restore(world: World, restore: Restore, name: str) -> None:
    """The second one leaves at once, and the first one does not notice."""
    restore.run("--to", "latest", "-d", "orders", "--as", name, fault="restore.note:after:kill", code=None)
    world.target.do("hold_at", kind="restore", step="applied")
    first = restore.begin("--resume", restore.journals()[0])
    world.target.do("wait_held", timeout=60)
    second = restore.run("--resume", restore.journals()[0], code=None)
    assert second.code == BUSY and "another process" in second.err, (second.code, second.err)
    world.target.do("clear")
    world.target.do("release")
    assert restore.end(first).code == 0
    assert values(world.target, name) == world.histories[0].all


def test_a_statement_that_is_stuck(world: World, restore: Restore, name: str) -> None:
    world.target.do("hold_at", kind="restore", step="applied")
    done = restore.run("--to", "latest", "-d", "orders", "--as", name, "--stuck-after", "3s", code=None)
    assert done.code == TIMEOUT, (done.code, done.err)
    assert "no progress" in done.err
    world.target.do("release")
    world.target.do("clear")
    wait_for("the statement to end", lambda: not world.target.query("SELECT 1 FROM sys.dm_exec_requests WHERE command LIKE 'RESTORE%'").rows)
    restore.run("--resume", restore.journals()[0])
    assert values(world.target, name) == world.histories[0].all


def test_slow_is_not_stuck(world: World, restore: Restore, name: str) -> None:
    world.target.do("slow_io", bytes_per_s=150_000)
    restore.run("--to", "latest", "-d", "orders", "--as", name, "--stuck-after", "3s")
    assert values(world.target, name) == world.histories[0].all


# ---- staging ----


def test_the_server_sees_another_path(world: World, restore: Restore, name: str, tmp_path: Path) -> None:
    other = tmp_path / "as-the-server-sees-it"
    other.symlink_to(restore.staging)
    restore.run("--to", "latest", "-d", "orders", "--as", name, staging=f"{restore.staging}:{other}")
    assert values(world.target, name) == world.histories[0].all


@pytest.mark.parametrize("server", ["/nowhere/at/all", "{other}"])
def test_the_wrong_path_is_found_before_anything(world: World, restore: Restore, name: str, tmp_path: Path, server: str) -> None:
    (tmp_path / "other").mkdir()
    done = restore.run("--to", "latest", "-d", "orders", "--as", name, code=None, staging=f"{restore.staging}:{server.format(other=tmp_path / 'other')}")
    assert done.code == CONFIG, (done.code, done.err)
    assert "mounted" in done.err and "LOCAL:SERVERPATH" in done.err
    assert state(world.target, name) == "absent" and restore.journals() == [] and restore.staged() == []


def test_a_staging_directory_that_the_server_may_not_read(world: World, restore: Restore, name: str) -> None:
    world.target.do("eacces", path=str(restore.staging))
    done = restore.run("--to", "latest", "-d", "orders", "--as", name, code=None)
    assert done.code != 0 and "may not read" in done.err and "2770" in done.err, done.err
    assert restore.journals() == []


def test_a_staging_directory_that_is_not_there(world: World, restore: Restore, name: str, tmp_path: Path) -> None:
    done = restore.run("--to", "latest", "-d", "orders", "--as", name, code=None, staging=str(tmp_path / "missing"))
    assert done.code == CONFIG and "missing" in done.err


def test_files_are_as_open_as_staging_is(world: World, restore: Restore, name: str) -> None:
    for mode, wanted in ((0o2770, 0o640), (0o755, 0o644)):
        restore.staging.chmod(mode)
        world.target.do("hold_at", kind="restore", step="begin")
        process = restore.begin("--to", "latest", "-d", "orders", "--as", name)
        world.target.do("wait_held", timeout=60)
        files = [p for p in restore.staging.rglob("*.bak")]
        assert [stat.S_IMODE(p.stat().st_mode) for p in files] == [wanted]
        assert files[0].parent.stat().st_mode & 0o007 == (0o005 if mode & 1 else 0)
        world.target.do("clear")
        world.target.do("release")
        assert restore.end(process).code == 0
        world.target.query(f"DROP DATABASE [{name}]")


def test_too_little_room_is_said_before(world: World, restore: Restore, name: str) -> None:
    done = restore.run("--to", "latest", "-d", "orders", "--as", name, "--staging-size", "64Ki", code=None)
    assert done.code == SPACE, (done.code, done.err)
    assert state(world.target, name) == "absent" and restore.journals() == []


def test_little_room_is_enough(world: World, restore: Restore) -> None:
    """Room for the largest backup and no more, for three databases at once."""
    largest = max(o["plainBytes"] for h in world.histories for m in h.manifests() for o in m["objects"])
    restore.run("--to", "latest", "--staging-size", str(largest), "--parallel", "3")
    for h in world.histories:
        assert values(world.target, h.database) == h.all
        world.target.query(f"DROP DATABASE [{h.database}]")


def test_the_target_volume_is_full(world: World, restore: Restore, name: str) -> None:
    world.target.do("free_space", path=str(world.target.data), bytes=1_000_000)
    done = restore.run("--to", "latest", "-d", "orders", "--as", name, code=None)
    assert done.code == SPACE, (done.code, done.err)
    assert state(world.target, name) == "absent" and restore.journals() == []


# ---- the rest of the world ----


def test_no_server(world: World, restore: Restore, tmp_path: Path) -> None:
    class Nobody:
        port, password = 1, "x"

    done = Restore(Nobody(), world.store, tmp_path / "nobody").run("--to", "latest", code=None)
    assert done.code != 0 and "instance to restore to" in done.err


def test_a_wrong_password(world: World, restore: Restore) -> None:
    restore.password.write_text("wrong")
    done = restore.run("--to", "latest", code=None)
    assert done.code == 16, (done.code, done.err)
    assert "wrong" not in done.err + done.out


def test_a_store_that_is_read_only_is_enough(world: World, restore: Restore, name: str, tmp_path: Path) -> None:
    store = copy_store(world.store, tmp_path / "ro")
    for path in [store, *store.rglob("*")]:
        path.chmod(path.stat().st_mode & ~0o222)
    if os.geteuid() == 0:  # whom modes do not hold back
        subprocess.run(["mount", "--bind", str(store), str(store)], check=True)
        subprocess.run(["mount", "-o", "remount,ro,bind", str(store)], check=True)
    try:
        with pytest.raises(OSError):
            (store / "x").write_text("x")
        Restore(world.target, store, tmp_path / "r").run("--to", "latest", "-d", "orders", "--as", name)
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", str(store)], check=True)


def test_nothing_secret_is_shown_or_kept(world: World, restore: Restore, name: str) -> None:
    done = restore.run("--to", "latest", "-d", "orders", "--as", name, fault="restore.note:after:kill", code=None)
    journal = (restore.staging / f"{restore.journals()[0]}.json").read_text()
    assert world.target.password not in journal + done.out + done.err
    restore.run("--resume", restore.journals()[0])
