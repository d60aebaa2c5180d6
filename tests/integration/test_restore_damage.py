# SPDX-License-Identifier: Apache-2.0
"""Backups that are damaged, gone or exchanged: found before their RESTORE is issued, named, and gone around where there is a way."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Any, Iterator

import pytest

from fixtures import history as past
from fixtures.history import History
from fixtures.restore import Done, Restore, copy_store, damage, state, values
from fixtures.sidecar import Sidecar
from fixtures.sqlsim import Sim

NUMBERS = itertools.count(1)
CORRUPT = 25  # exit code
WAYS = ["flip", "truncate", "remove", "empty"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, certificate: tuple[str, str]) -> Iterator[tuple[History, Sim]]:
    """full log log diff log full log log log: a moment behind the second full can be reached from either."""
    folder = tmp_path_factory.mktemp("damage")
    source, target = Sim(folder / "source", certificate), Sim(folder / "target", certificate)
    sidecars: list[Sidecar] = []

    def make(sim: Sim, name: str, **config: Any) -> Sidecar:
        sidecars.append(Sidecar(folder / name, sim.port, sim.password, **config))
        return sidecars[-1].start()

    try:
        source.start()
        target.start()
        (made,) = past.protect(make, source, "orders")
        made.clock.next_second()
        for kind in ("log", "log", "diff", "log", "full", "log", "log", "log"):
            made.rows(2).backup(kind)
            if kind != "log":
                made.clock.next_second()
                made.rows(1)
            made.moment()
        made.rows(1).backup("log")
        past.end(made)
        yield made, target
    finally:
        for sidecar in sidecars:
            sidecar.kill()
            sidecar.socket.unlink(missing_ok=True)
            sidecar.check_sanitizers()
        source.kill()
        target.kill()


@pytest.fixture
def restore(world: tuple[History, Sim], tmp_path: Path) -> Restore:
    h, target = world
    target.do("clear")
    return Restore(target, copy_store(h.sidecar.store, tmp_path / "store"), tmp_path)


@pytest.fixture
def name(world: tuple[History, Sim]) -> Iterator[str]:
    wanted = f"d{next(NUMBERS)}"
    yield wanted
    world[1].query(f"IF DB_ID(N'{wanted}') IS NOT NULL DROP DATABASE [{wanted}]")


def statements(server: Any) -> int:
    """RESTOREs that the server has seen."""
    return len(server.query("SELECT restore_history_id FROM msdb.dbo.restorehistory").rows)


def warned(done: Done, *words: str) -> None:
    text = " ".join(done.database["warnings"])
    assert all(w in text for w in words), f"{words} not in {text!r}"


@pytest.mark.parametrize("how", WAYS)
def test_a_bad_full_is_gone_around(world: tuple[History, Sim], restore: Restore, name: str, how: str) -> None:
    """The newest full is not usable: the older one and all logs lead there too."""
    moment, _ = world[0].moments[-1]
    bad = world[0].object("full", -1, restore.store)
    damage(restore.store, how, bad)
    done = restore.run("--to", moment, "-d", "orders", "--as", name)
    assert values(restore.server, name) == world[0].expected(moment)
    warned(done, bad.name)
    assert done.database["members"][0]["backupSetGuid"] == world[0].manifests("full")[0]["set"]["guid"].upper()


@pytest.mark.parametrize("how", WAYS)
def test_a_bad_manifest_is_gone_around(world: tuple[History, Sim], restore: Restore, name: str, how: str) -> None:
    moment, _ = world[0].moments[-1]
    damage(restore.store, how, world[0].manifest("full", -1, restore.store))
    restore.run("--to", moment, "-d", "orders", "--as", name)
    assert values(restore.server, name) == world[0].expected(moment)


@pytest.mark.parametrize("how", WAYS)
def test_a_bad_differential_is_gone_around(world: tuple[History, Sim], restore: Restore, name: str, how: str) -> None:
    moment, _ = world[0].moments[3]
    damage(restore.store, how, world[0].object("diff", 0, restore.store))
    restore.run("--to", moment, "-d", "orders", "--as", name)
    assert values(restore.server, name) == world[0].expected(moment)


@pytest.mark.parametrize("how", WAYS)
def test_a_bad_log_is_bridged_by_a_differential(world: tuple[History, Sim], restore: Restore, name: str, how: str) -> None:
    """The plan that was made first may use the log; it is found before it is restored."""
    moment, _ = world[0].moments[3]
    bad = world[0].object("log", 0, restore.store)
    damage(restore.store, how, bad)
    restore.run("--to", moment, "-d", "orders", "--as", name)
    assert values(restore.server, name) == world[0].expected(moment)


@pytest.mark.parametrize("how", WAYS)
def test_a_bad_log_without_a_way_around_is_named_and_nothing_is_touched(world: tuple[History, Sim], restore: Restore, name: str, how: str) -> None:
    """Only that log has the moment: refused with the nearest ones that remain, and no RESTORE of it was ever issued."""
    moment, _ = world[0].moments[-1]
    bad = world[0].object("log", -1, restore.store)
    before = statements(restore.server)
    damage(restore.store, how, bad)
    done = restore.run("--to", moment, "-d", "orders", "--as", name, code=None)
    assert done.code != 0
    assert bad.name in done.err, done.err
    assert "nearest moment before" in done.err, done.err
    # sizes are looked at before anything is done; a flipped bit is found when the backup is fetched
    if how == "flip":
        assert state(restore.server, name) == "RESTORING"
        assert "WITH RECOVERY" in " ".join(done.database["next"])
    else:
        assert statements(restore.server) == before and state(restore.server, name) == "absent"


def test_exchanged_objects(world: tuple[History, Sim], restore: Restore, name: str) -> None:
    """Two logs that changed places: each has a good hash, of another backup."""
    moment, _ = world[0].moments[-1]
    one, two = world[0].object("log", -1, restore.store), world[0].object("log", -2, restore.store)
    first, second = one.read_bytes(), two.read_bytes()
    one.chmod(0o644), two.chmod(0o644)
    one.write_bytes(second), two.write_bytes(first)
    done = restore.run("--to", moment, "-d", "orders", "--as", name, code=None)
    assert done.code != 0 and (one.name in done.err or two.name in done.err), done.err


def test_exchanged_manifests(world: tuple[History, Sim], restore: Restore, name: str) -> None:
    moment, _ = world[0].moments[-1]
    one, two = world[0].manifest("log", -1, restore.store), world[0].manifest("log", -2, restore.store)
    first, second = one.read_bytes(), two.read_bytes()
    one.chmod(0o644), two.chmod(0o644)
    one.write_bytes(second), two.write_bytes(first)
    done = restore.run("--to", moment, "-d", "orders", "--as", name, code=None)
    assert done.code != 0 and "manifest" in done.err, done.err


def test_the_newest_manifests_are_gone(world: tuple[History, Sim], restore: Restore, name: str) -> None:
    """What is not there cannot be known from the store alone, but nothing wrong is restored."""
    for number in (-1, -2, -3):
        world[0].manifest("log", number, restore.store).unlink()
    done = restore.run("--to", world[0].moments[-1][0], "-d", "orders", "--as", name, code=None)
    assert done.code != 0 and "nearest moment before" in done.err
    restore.run("--to", "latest", "-d", "orders", "--as", name)
    got = values(restore.server, name)
    assert got == world[0].all[: len(got)] and got


def test_latest_with_a_hole_says_so(world: tuple[History, Sim], restore: Restore, name: str) -> None:
    """Newer backups are there and nothing reaches them: what is restored is older than somebody expects."""
    world[0].manifest("log", -2, restore.store).unlink()
    done = restore.run("--to", "latest", "-d", "orders", "--as", name)
    got = values(restore.server, name)
    assert got == world[0].all[: len(got)] and len(got) < world[0].count
    warned(done, "nothing reaches")


def test_an_unreadable_manifest_is_told(world: tuple[History, Sim], restore: Restore, name: str) -> None:
    bad = world[0].manifest("log", -1, restore.store)
    damage(restore.store, "truncate", bad)
    done = restore.run("--to", "latest", "-d", "orders", "--as", name)
    warned(done, bad.name)


def test_all_fulls_are_gone(world: tuple[History, Sim], restore: Restore, name: str) -> None:
    for path in restore.store.glob("*/*/*/full/*.json"):
        path.unlink()
    done = restore.run("--to", "latest", "-d", "orders", "--as", name, code=None)
    assert done.code != 0 and state(restore.server, name) == "absent"


def test_another_database_of_the_name_is_not_taken_for_a_damaged_one(sim: Sim, sidecar_factory: Any, tmp_path: Path, world: tuple[History, Sim]) -> None:
    """Dropped and made again: the earlier one is for moments before the new one began, and for nothing else."""
    (h,) = past.protect(sidecar_factory, sim, "twice")
    h.clock.next_second()
    h.rows(2).moment()
    h.rows(1).backup("log")
    sim.query("DROP DATABASE twice")
    past.create(sim, "twice")
    h.sidecar.wait_until("a full of the new one", lambda s: len(list(s.store.glob("*/*/twice~*/full/*.json"))) == 2)
    first = h.expected(h.moments[0][0])
    sim.query("INSERT INTO marks VALUES (77, SYSUTCDATETIME())", "twice")
    h.backup("log")
    past.end(h)
    restore = Restore(world[1], copy_store(h.sidecar.store, tmp_path / "copy"), tmp_path)
    restore.run("--to", "latest", "-d", "twice", "--as", "newest")
    assert values(world[1], "newest") == [77]
    done = restore.run("--to", h.moments[0][0], "-d", "twice", "--as", "older")
    assert values(world[1], "older") == first
    warned(done, "2 databases had the name")
    folders = {p.parent.parent: p for p in restore.store.glob("*/*/twice~*/full/*.bak*")}
    for folder, full in folders.items():
        if folder.name == done.database["folder"]:
            continue
        damage(restore.store, "remove", full)
    assert restore.run("--to", "latest", "-d", "twice", "--as", "wrong", code=None).code != 0
    assert state(world[1], "wrong") == "absent"
    world[1].query("DROP DATABASE newest; DROP DATABASE older")


def test_everything_without_a_database_that_cannot_be_read_is_no_success(world: tuple[History, Sim], restore: Restore, tmp_path: Path) -> None:
    h, target = world
    store = copy_store(h.sidecar.store, tmp_path / "unreadable")
    for path in store.rglob("*.json"):
        if "~" in str(path):
            path.chmod(0o644)
            path.write_bytes(b"{")
    other = Restore(target, store, tmp_path)
    done = other.run("--to", "latest", "--dry-run", code=CORRUPT)
    assert h.database in done.err and "none of" in done.err, done.err
    done = other.run("--to", "latest", "-d", h.database, "--dry-run", code=CORRUPT)
    assert "none of" in done.err, done.err


def test_an_empty_store(world: tuple[History, Sim], tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    done = Restore(world[1], empty, tmp_path).run("--to", "latest", "-d", "orders", code=None)
    assert done.code == 11, done.err


def test_a_bit_flip_in_place_loses_nothing(sim: Sim, sidecar_factory: Any, world: tuple[History, Sim], tmp_path: Path) -> None:
    """The base of the only way is bad, and the database is restored in place: its tail is kept, and it says how it stands."""
    (h,) = past.protect(sidecar_factory, sim, "sales")
    h.rows(3).backup("log")
    past.end(h)
    h.rows(2)
    restore = Restore(sim, copy_store(h.sidecar.store, tmp_path / "broken"), tmp_path)
    damage(restore.store, "flip", h.object("full", 0, restore.store))
    done = restore.run("--to", "latest", "-d", "sales", code=None)
    assert done.code != 0
    assert state(sim, "sales") == "RESTORING" and "RESTORING" in " ".join(done.database["next"])
    # the tail is in that store: with a good copy of the full everything is there
    shutil.copyfile(h.object("full", 0), h.object("full", 0, restore.store))
    restore.run("--resume", restore.journals()[0])
    assert values(sim, "sales") == h.all
