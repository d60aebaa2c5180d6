# SPDX-License-Identifier: Apache-2.0
"""At every durable step of the sidecar: kill -9 before it and after it, and a full disk instead of it. The steps come from the program
itself. Afterwards a copy of the store alone holds every row that a client was told is committed."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path
from typing import Any, Callable, NamedTuple

import grpc
import pytest

from fixtures import real
from fixtures.load import Load, check_nothing_lost
from fixtures.sidecar import Sidecar, steps, wait_for
from fixtures.sqlsim import Sim

NUMBERS = itertools.count(1)
FAR = 4102444800 * 1000000  # 2100, in microseconds

# Retries at once: a case takes seconds. No scheduled log: each scenario says itself when its step is reached.
QUICK = {
    "limits": {"retryMin": "50ms", "retryMax": "500ms"},
    "staging": {"reserve": "1Mi", "floor": "1Mi"},
}
POLICY = {"allDatabases": False, "logBackup": {"interval": "1h"}, "fullBackup": {"enabled": False}}


class Case(NamedTuple):
    sim: Sim
    sidecar: Sidecar
    load: Load


# ---- what brings the sidecar to a step; each is called again until it is there ----


def first_start(case: Case) -> None:
    """Claims the store, makes catalog and instance.json, takes the first full: nothing to do but to wait."""


def log_backup(case: Case) -> None:
    ask(case, lambda rpc: rpc.backup(case.load.database, "log", seconds=10))


def full_backup(case: Case) -> None:
    ask(case, lambda rpc: rpc.backup(case.load.database, "full", seconds=10))


def hold(case: Case) -> None:
    """A hold is made and released again."""

    def both(rpc: Any) -> None:
        pb = rpc.pb.sidecar
        made = rpc.call("SetHold", pb.SetHoldRequest(database=case.load.database, from_at=1, until_at=FAR, reason="test"), pb.SetHoldResponse, 10)
        rpc.call("SetHold", pb.SetHoldRequest(database=case.load.database, id=made.hold.id, release=True), pb.SetHoldResponse, 10)

    ask(case, both)


def ask(case: Case, what: Callable[[Any], None]) -> None:
    try:
        with case.sidecar.rpc() as rpc:
            what(rpc)
    except (grpc.RpcError, AssertionError):
        pass  # it was not there yet, the step failed, or the process is gone: what counts is the end


# ---- where each step is reached: (with a chain in the store already?, what to do) ----

LOG = (True, log_backup)
FULL = (True, full_backup)
FIRST = (False, first_start)
START = (True, first_start)
HOLD = (True, hold)


def lost_catalog(case: Case) -> None:
    """Before the start: the catalog is gone and is made again from the store."""
    for path in case.sidecar.state.glob("catalog*"):
        path.unlink()


BACKUP = {"first full": FIRST, "log": LOG, "full": FULL}
SCENARIOS: dict[str, dict[str, tuple]] = {
    **{f"journal.{step}": BACKUP for step in ("planned", "taken", "committed", "removed")},
    **{f"staging.{step}": BACKUP for step in ("synced", "removed")},
    "draft.saved": BACKUP,
    **{f"store.object.{step}": BACKUP for step in ("write", "sync", "rename", "dirsync")},
    **{f"store.manifest.{step}": BACKUP for step in ("write", "sync", "rename", "dirsync")},
    "store.lineage.rename": {"claim": FIRST, "restart": START},
    "store.instance.rename": {"first": FIRST, "restart": START},
    "store.hold.rename": {"hold": HOLD},
    "store.remove": {"release": HOLD},
    "catalog.mark": {"hold": HOLD},
    "catalog.append": {"first full": FIRST, "log": LOG},
    "catalog.sync": {"first": FIRST, "rebuild": (True, first_start, lost_catalog)},
    "catalog.rename": {"first": FIRST, "rebuild": (True, first_start, lost_catalog)},
}
FAULTS = {"kill-before": "before:kill", "kill-after": "after:kill", "full-disk": "before:enospc"}
RESTORES = ("restore.", "store.small.", "verify.")  # test_sidecar_restore_kills.py and test_sidecar_damage.py have them
STEPS = [step for step in steps() if not step.startswith(RESTORES)]


def cases() -> list:
    found = []
    for step in STEPS:
        for name, scenario in SCENARIOS.get(step, {"unmapped": None}).items():
            found += [pytest.param(step, scenario, fault, id=f"{step}-{name}-{how}") for how, fault in FAULTS.items()]
    return found


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, certificate: tuple[str, str]):
    """One server that is written to and one that is restored to. Each case has a database of its own."""
    if real.HOST:
        yield [real.server(), real.server()]
        return
    folder = tmp_path_factory.mktemp("steps")
    both = [Sim(folder / name, certificate) for name in ("source", "target")]
    try:
        for sim in both:
            sim.start()
        yield both
    finally:
        for sim in both:
            sim.kill()


@pytest.fixture
def case(servers: list[Sim], sidecar_factory: Callable[..., Sidecar], tmp_path: Path):
    sim = servers[0]
    database = real.prefix(f"db{next(NUMBERS)}")
    sim.query(f"CREATE DATABASE [{database}]")
    sidecar = sidecar_factory(sim, start=False, policy={**POLICY, "databases": [database]}, **QUICK)
    load = Load(sim, database, tmp_path).start()
    yield Case(sim, sidecar, load)
    load.stop()
    sim.query(f"DROP DATABASE [{database}]")


def reached(case: Case, step: str) -> bool:
    return f"fault point {step}\n" in case.sidecar.log()


def go_until_reached(case: Case, step: str, act: Callable[[Case], None]) -> None:
    """Repeats the act until the fault has happened; it may hang for as long as its call lasts, so it has a thread."""
    worker: list[threading.Thread] = []

    def look() -> bool:
        if reached(case, step):
            return True
        assert not case.sidecar.dead(), "the sidecar ended by itself"
        if not worker or not worker[-1].is_alive():
            worker[:] = [threading.Thread(target=act, args=(case,), daemon=True)]
            worker[-1].start()
        return False

    try:
        wait_for(f"the step {step} to be reached", look, 30)
    except AssertionError as err:
        raise AssertionError(f"{err}\n{case.sidecar.log()[-4000:]}") from None
    for thread in worker:
        thread.join(15)


@pytest.mark.parametrize(("step", "scenario", "fault"), cases())
def test_step(case: Case, servers: list[Sim], tmp_path: Path, step: str, scenario: Any, fault: str) -> None:
    assert scenario, f"no scenario reaches the step '{step}': add it to SCENARIOS"
    with_chain, act, *before = scenario
    sidecar, load = case.sidecar, case.load
    load.wait_more(3)
    if with_chain:
        sidecar.start()
        sidecar.wait_full(load.database)
        sidecar.force(load.database)
        assert sidecar.stop() == 0
        for prepare in before:
            prepare(case)
    load.wait_more(3)
    sidecar.start(wait=False, fault=f"{step}:{fault}")
    go_until_reached(case, step, act)
    if fault.endswith(":kill"):
        assert sidecar.process.wait(30) == -9, sidecar.log()[-4000:]
    else:
        goes_on_after_a_full_disk(case)
    load.wait_more(3)
    sidecar.start()
    sidecar.force(load.database)
    sidecar.wait_shipped()
    load.wait_more(3)
    load.stop()
    sidecar.drained()
    assert sidecar.stop() == 0
    check_nothing_lost(sidecar.store, load, servers[1], tmp_path)


def goes_on_after_a_full_disk(case: Case) -> None:
    """A full disk that passed needs no restart, wherever it was met."""
    sidecar = case.sidecar
    sidecar.wait_until("it to serve", lambda s: s.get("/readyz")[0] == 200)
    sidecar.force(case.load.database)
    sidecar.wait_until("everything staged to be in the store", lambda s: s.status()["staging"]["unshipped"] == 0)
    assert sidecar.stop() == 0


def test_no_scenario_is_of_a_step_that_is_gone() -> None:
    assert set(SCENARIOS) <= set(STEPS)
