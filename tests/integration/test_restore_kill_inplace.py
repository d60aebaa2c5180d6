# SPDX-License-Identifier: Apache-2.0
"""A restore over the database itself that is killed anywhere: the right rows at the end, and nothing committed before it is lost."""

from __future__ import annotations

import itertools
import random
import shutil
import signal
from pathlib import Path
from typing import Any, Iterator

import pytest

from fixtures import history as past
from fixtures.history import History
from fixtures.restore import Restore, copy_store, state, steps, values
from fixtures.sidecar import Sidecar
from fixtures.sqlsim import Sim

NUMBERS = itertools.count(1)
OUTCOMES = ("restore.failed", "restore.cancelled")


class World:
    """One server with rows that are in no backup; every test begins with the same volume and store."""

    def __init__(self, history: History, server: Sim, other: Sim) -> None:
        self.history, self.server, self.other = history, server, other

    def fresh(self, folder: Path) -> Restore:
        self.server.do("clear")
        self.server.do("volume_revert", name="begin")
        return Restore(self.server, copy_store(self.history.sidecar.store, folder / "store"), folder)

    def check(self, restore: Restore, moment: str) -> None:
        """The database is at the moment, and the store has what it was before."""
        assert state(self.server, "orders") == "ONLINE"
        assert values(self.server, "orders") == self.history.expected(moment)
        copy = Restore(self.other, restore.store, restore.staging.parent / "other")
        name = f"all{next(NUMBERS)}"
        copy.run("--to", "latest", "-d", "orders", "--as", name)
        assert values(self.other, name) == self.history.all, "what was committed before the restore is not in the store"
        self.other.query(f"DROP DATABASE [{name}]")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, certificate: tuple[str, str]) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("inplace")
    server, other = Sim(folder / "server", certificate), Sim(folder / "other", certificate)
    sidecars: list[Sidecar] = []

    def make(sim: Sim, name: str, **config: Any) -> Sidecar:
        sidecars.append(Sidecar(folder / name, sim.port, sim.password, **config))
        return sidecars[-1].start()

    try:
        server.start()
        other.start()
        (made,) = past.protect(make, server, "orders")
        made.clock.next_second()
        for kind in ("log", "log"):
            made.rows(2).moment()
            made.rows(1).backup(kind)
        past.end(made)
        made.rows(2).moment()
        made.rows(2)
        server.do("volume_snapshot", name="begin")
        yield World(made, server, other)
    finally:
        for sidecar in sidecars:
            sidecar.kill()
            sidecar.socket.unlink(missing_ok=True)
            sidecar.check_sanitizers()
        server.kill()
        other.kill()


def finish(restore: Restore, moment: str) -> None:
    journals = restore.journals()
    if not journals:
        if state(restore.server, "orders") == "ONLINE" and values(restore.server, "orders") == []:
            raise AssertionError("a database without rows")
        return
    for journal in journals:
        restore.run("--resume", journal)
    assert restore.journals() == [] and restore.staged() == []


def test_in_place_keeps_the_tail(world: World, tmp_path: Path) -> None:
    restore = world.fresh(tmp_path)
    moment, _ = world.history.moments[0]
    done = restore.run("--to", moment, "-d", "orders")
    assert done.database["replaces"] == "tail"
    world.check(restore, moment)
    assert restore.journals() == [] and restore.staged() == []


def test_a_moment_that_only_the_tail_has(world: World, tmp_path: Path) -> None:
    """Newer than the newest backup: the tail is taken first, and has it."""
    restore = world.fresh(tmp_path)
    moment, _ = world.history.moments[-1]
    restore.run("--to", moment, "-d", "orders")
    world.check(restore, moment)


def test_latest_in_place_has_the_tail(world: World, tmp_path: Path) -> None:
    restore = world.fresh(tmp_path)
    restore.run("--to", "latest", "-d", "orders")
    assert values(world.server, "orders") == world.history.all


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", [s for s in steps() if s not in OUTCOMES])
def test_killed_at_a_step(world: World, tmp_path: Path, step: str, when: str) -> None:
    restore = world.fresh(tmp_path)
    moment, _ = world.history.moments[1]
    done = restore.run("--to", moment, "-d", "orders", fault=f"{step}:{when}:kill", code=None)
    assert done.code == -signal.SIGKILL, (done.code, done.err)
    if not restore.journals() and step != "restore.forget":
        assert values(world.server, "orders") == world.history.all
        restore.run("--to", moment, "-d", "orders")
    finish(restore, moment)
    world.check(restore, moment)


@pytest.mark.parametrize("step", ["restore.evicted", "restore.tail_taken", "restore.tail_shipped", "restore.restoring", "restore.note"])
def test_a_step_that_fails(world: World, tmp_path: Path, step: str) -> None:
    restore = world.fresh(tmp_path)
    moment, _ = world.history.moments[1]
    done = restore.run("--to", moment, "-d", "orders", fault=f"{step}:before:enospc", code=None)
    assert done.code != 0, done.out
    finish(restore, moment)
    world.check(restore, moment)


@pytest.mark.parametrize("seed", range(6))
def test_killed_at_random_moments_again_and_again(world: World, tmp_path: Path, seed: int) -> None:
    chance = random.Random(100 + seed)
    restore = world.fresh(tmp_path)
    moment, _ = world.history.moments[1]
    world.server.do("slow_io", bytes_per_s=4_000_000)
    arguments = ["--to", moment, "-d", "orders"]
    for _ in range(4):
        process = restore.begin(*arguments)
        try:
            process.wait(chance.uniform(0.05, 0.6))
            break
        except Exception:  # pylint: disable=broad-except
            process.kill()
        finally:
            process.communicate()
        if restore.journals():
            arguments = ["--resume", restore.journals()[0]]
    world.server.do("clear")
    if not restore.journals() and values(world.server, "orders") == world.history.all:
        restore.run("--to", moment, "-d", "orders")
    finish(restore, moment)
    world.check(restore, moment)


@pytest.mark.parametrize("kind, step", [("log", "begin"), ("log", "written"), ("log", "state"), ("log", "history"), ("log", "done"),
                                        ("restore", "begin"), ("restore", "chunk"), ("restore", "applied"), ("restore", "done")])  # fmt: skip
def test_the_session_is_lost(world: World, tmp_path: Path, kind: str, step: str) -> None:
    """In the tail's BACKUP LOG and in every RESTORE."""
    restore = world.fresh(tmp_path)
    moment, _ = world.history.moments[1]
    world.server.do("crash_after", kind=kind, step=step, action="kill", count=1)
    done = restore.run("--to", moment, "-d", "orders", code=None)
    if done.code != 0:  # it may ask to be resumed, but it must not have lost anything
        assert restore.journals(), done.err
        finish(restore, moment)
    world.check(restore, moment)
    shutil.rmtree(restore.store)
