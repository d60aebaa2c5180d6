# SPDX-License-Identifier: Apache-2.0
"""A restore that is killed anywhere, or whose SQL Server is: resumed, it ends with the right rows."""

from __future__ import annotations

import itertools
import random
import signal
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from fixtures import history as past
from fixtures.history import History
from fixtures.restore import Restore, state, steps, values
from fixtures.sidecar import Sidecar, wait_for
from fixtures.sqlsim import Sim

NUMBERS = itertools.count(1)
IN_PLACE = ("evicted", "tail_taken", "tail_shipped")
OUTCOMES = ("failed", "cancelled")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, certificate: tuple[str, str]) -> Iterator[tuple[History, Sim]]:
    folder = tmp_path_factory.mktemp("kill")
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
        for kind in ("log", "diff", "log", "log", "log"):
            made.rows(2).moment()
            made.rows(1).backup(kind)
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
    return Restore(target, h.sidecar.store, tmp_path)


def finish(restore: Restore) -> None:
    """Goes on with everything that a journal knows of."""
    for journal in restore.journals():
        restore.run("--resume", journal)
    assert restore.journals() == [] and restore.staged() == []


def check(world: tuple[History, Sim], name: str, moment: str) -> None:
    assert state(world[1], name) == "ONLINE"
    assert values(world[1], name) == world[0].expected(moment)
    world[1].query(f"DROP DATABASE [{name}]")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", [s for s in steps() if s.split(".")[1] not in IN_PLACE + OUTCOMES])
def test_killed_at_a_step(world: tuple[History, Sim], restore: Restore, step: str, when: str) -> None:
    name, (moment, _) = f"k{next(NUMBERS)}", world[0].moments[3]
    done = restore.run("--to", moment, "-d", "orders", "--as", name, fault=f"{step}:{when}:kill", code=None)
    assert done.code == -signal.SIGKILL, (done.code, done.err)
    if not restore.journals():  # nothing was noted yet, or all was done
        assert state(restore.server, name) == ("ONLINE" if step == "restore.forget" else "absent")
        if step != "restore.forget":
            restore.run("--to", moment, "-d", "orders", "--as", name)
    finish(restore)
    check(world, name, moment)


@pytest.mark.parametrize("step", [s for s in steps() if s.split(".")[1] not in IN_PLACE + OUTCOMES])
def test_a_step_that_fails(world: tuple[History, Sim], restore: Restore, step: str) -> None:
    """A full disk under the journal: it says so and stops, and goes on later."""
    name, (moment, _) = f"k{next(NUMBERS)}", world[0].moments[4]
    done = restore.run("--to", moment, "-d", "orders", "--as", name, fault=f"{step}:before:enospc", code=None)
    if step != "restore.forget":  # the databases are what counts
        assert done.code != 0, done.out
        assert "space" in done.err.lower() or "No space" in done.err, done.err
    if not restore.journals():
        assert state(restore.server, name) == "absent"
        restore.run("--to", moment, "-d", "orders", "--as", name)
    finish(restore)
    check(world, name, moment)


@pytest.mark.parametrize("seed", range(6))
def test_killed_at_random_moments_again_and_again(world: tuple[History, Sim], restore: Restore, seed: int) -> None:
    chance = random.Random(seed)
    name, (moment, _) = f"k{next(NUMBERS)}", world[0].moments[4]
    restore.server.do("slow_io", bytes_per_s=4_000_000)
    arguments = ["--to", moment, "-d", "orders", "--as", name]
    for _ in range(4):
        process = restore.begin(*arguments)
        try:
            process.wait(chance.uniform(0.02, 0.7))
        except Exception:  # pylint: disable=broad-except
            process.kill()
        process.communicate()
        if restore.journals():
            arguments = ["--resume", restore.journals()[0]]
        elif state(restore.server, name) == "ONLINE":
            break
    restore.server.do("clear")
    if restore.journals():
        finish(restore)
    elif state(restore.server, name) != "ONLINE":
        restore.run("--to", moment, "-d", "orders", "--as", name)
    check(world, name, moment)


SERVER_STEPS = ["begin", "chunk", "applied", "done"]


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("step", SERVER_STEPS)
def test_the_session_is_killed_in_restore(world: tuple[History, Sim], restore: Restore, step: str, count: int) -> None:
    name, (moment, _) = f"k{next(NUMBERS)}", world[0].moments[4]
    restore.server.do("crash_after", kind="restore", step=step, action="kill", count=count)
    restore.run("--to", moment, "-d", "orders", "--as", name)
    assert restore.journals() == [] and restore.staged() == []
    check(world, name, moment)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("step", SERVER_STEPS)
def test_sql_server_dies_in_restore(sim_factory: Callable[..., Sim], world: tuple[History, Sim], tmp_path: Path, step: str, count: int) -> None:
    """The process waits until it is there again, and goes on by itself."""
    h, _ = world
    own = sim_factory("own")
    restore = Restore(own, h.sidecar.store, tmp_path)
    moment, _ = h.moments[4]
    own.do("crash_after", kind="restore", step=step, action="exit", count=count)
    process = restore.begin("--to", moment, "-d", "orders")
    wait_for("the server to die", lambda: not own.running or process.poll() is not None)
    assert not own.running, process.communicate()
    own.kill()
    own.start()
    done = restore.end(process)
    assert done.code == 0, (done.code, done.err, done.out)
    assert values(own, "orders") == h.expected(moment)


def test_both_die(sim_factory: Callable[..., Sim], world: tuple[History, Sim], tmp_path: Path) -> None:
    h, _ = world
    for number, step in enumerate(("chunk", "applied", "done")):
        own = sim_factory(f"own{number}")
        restore = Restore(own, h.sidecar.store, tmp_path / str(number))
        moment, _ = h.moments[2]
        own.do("crash_after", kind="restore", step=step, action="exit", count=2)
        process = restore.begin("--to", moment, "-d", "orders")
        wait_for("the server to die", lambda: not own.running)  # pylint: disable=cell-var-from-loop
        process.kill()
        process.communicate()
        own.kill()
        own.start()
        finish(restore)
        assert values(own, "orders") == h.expected(moment)


def test_a_resumed_restore_goes_on_where_the_database_stands(world: tuple[History, Sim], restore: Restore) -> None:
    """The full is not restored twice."""
    name, (moment, _) = f"k{next(NUMBERS)}", world[0].moments[4]
    done = restore.run("--to", moment, "-d", "orders", "--as", name, fault="restore.note:after:kill", code=None)
    assert done.code == -signal.SIGKILL and state(restore.server, name) == "RESTORING"
    done = restore.run("--resume", restore.journals()[0])
    assert "full" not in [m["kind"] for m in done.database["members"]], done.out
    check(world, name, moment)


def test_what_somebody_else_made_is_left_alone(world: tuple[History, Sim], restore: Restore) -> None:
    name, (moment, _) = f"k{next(NUMBERS)}", world[0].moments[4]
    done = restore.run("--to", moment, "-d", "orders", "--as", name, fault="restore.restoring:after:kill", code=None)
    assert done.code == -signal.SIGKILL and state(restore.server, name) == "absent"
    restore.server.query(f"CREATE DATABASE [{name}]")
    restore.server.query("CREATE TABLE t (n int); INSERT INTO t VALUES (1)", name)
    done = restore.run("--resume", restore.journals()[0], code=None)
    assert done.code != 0 and name in done.err, done.err
    assert len(restore.server.query("SELECT n FROM t", name).rows) == 1
    restore.server.query(f"DROP DATABASE [{name}]")


def test_an_id_that_nobody_knows(restore: Restore) -> None:
    assert restore.run("--resume", "20200101T000000Z-restore-00000000", code=None).code == 11
