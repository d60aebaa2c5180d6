# SPDX-License-Identifier: Apache-2.0
"""Commits and backups that run at the same time: what was committed while a backup ran is in the one or in the next, and never lost."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Callable

from fixtures import history as past
from fixtures.history import History
from fixtures.restore import Restore, values
from fixtures.sidecar import Sidecar
from fixtures.sqlsim import Sim


def held(h: History, kind: str, step: str, during: Callable[[], Any]) -> Any:
    """A backup that stands still at a step while something happens."""
    h.sim.do("hold_at", kind=kind, step=step)
    thread = threading.Thread(target=h.backup, args=(kind,))
    thread.start()
    h.sim.do("wait_held", timeout=60)
    result = during()
    h.sim.do("release")
    thread.join(60)
    assert not thread.is_alive()
    h.sim.do("clear")
    return result


def check_all(h: History, target: Sim, folder: Path) -> list[dict[str, Any]]:
    """Every moment, and the end. What the restores tell."""
    told = []
    restore = Restore(target, h.sidecar.store, folder)
    for moment, _ in h.moments:
        done = restore.run("--to", moment, "-d", h.database, "--as", "copy")
        assert values(target, "copy") == h.expected(moment), (moment, done.out)
        target.query("DROP DATABASE [copy]")
        told.append(done.database)
    restore.run("--to", "latest", "-d", h.database, "--as", "copy")
    assert values(target, "copy") == h.all
    return told


def test_commits_while_a_log_backup_runs(sim: Sim, sim_factory: Callable[..., Sim], sidecar_factory: Callable[..., Sidecar], tmp_path: Path) -> None:
    """The log that has the moment in its time does not have its rows: the next one is needed, because the server says so."""
    (h,) = past.protect(sidecar_factory, sim, "orders")
    h.clock.next_second()
    h.rows(2).moment()

    def meanwhile() -> None:
        h.rows(1).moment()
        h.rows(1).moment()
        h.clock.next_second()

    held(h, "log", "data", meanwhile)
    h.rows(1).moment()
    h.backup("log")
    h.rows(1).backup("log")
    past.end(h)
    told = check_all(h, sim_factory("target"), tmp_path)
    # both moments lie before the first log's finish; its rows end before them
    needed = [any(m["ifNeeded"] for m in t["members"]) for t in told]
    assert any(needed), told
    inside = told[1]
    assert inside["setsApplied"] == len(inside["members"]), inside


def test_a_log_that_is_only_possible_is_left_out(sim: Sim, sim_factory: Callable[..., Sim], sidecar_factory: Callable[..., Sidecar], tmp_path: Path) -> None:
    """When the moment was reached, what is listed as 'if needed' is not restored."""
    (h,) = past.protect(sidecar_factory, sim, "orders")
    h.clock.next_second()
    h.rows(2).moment()
    h.rows(1).backup("log")
    h.rows(1).backup("log")
    past.end(h)
    told = check_all(h, sim_factory("target"), tmp_path)
    assert told[0]["setsApplied"] == len([m for m in told[0]["members"] if not m["ifNeeded"]])


def test_a_log_that_straddles_the_end_of_a_full(sim: Sim, sim_factory: Callable[..., Sim], sidecar_factory: Callable[..., Sidecar], tmp_path: Path) -> None:
    """Logs are taken while the full runs: one ends inside of it, the next one begins inside and ends behind it."""
    (h,) = past.protect(sidecar_factory, sim, "orders")
    h.rows(1).backup("log")

    def meanwhile() -> None:
        h.rows(2).backup("log")
        h.rows(2)

    held(h, "full", "opened", meanwhile)
    h.rows(1)
    h.clock.next_second()
    h.moment()
    h.rows(1).backup("log")
    h.rows(1).moment()
    h.backup("log")
    past.end(h)
    told = check_all(h, sim_factory("target"), tmp_path)
    assert [m["kind"] for m in told[0]["members"]][0] == "full"


def test_the_same_for_a_differential(sim: Sim, sim_factory: Callable[..., Sim], sidecar_factory: Callable[..., Sidecar], tmp_path: Path) -> None:
    (h,) = past.protect(sidecar_factory, sim, "orders")
    h.rows(1).backup("log")
    h.clock.next_second()

    def meanwhile() -> None:
        h.rows(2).moment()
        h.backup("log")
        h.rows(2).moment()

    held(h, "diff", "opened", meanwhile)
    h.clock.next_second()
    h.rows(1).moment()
    h.rows(1).backup("log")
    past.end(h)
    check_all(h, sim_factory("target"), tmp_path)


def test_a_reply_that_is_lost(sim: Sim, sim_factory: Callable[..., Sim], sidecar_factory: Callable[..., Sidecar], tmp_path: Path) -> None:
    """Every kind of statement succeeds, and nobody is told: it goes on where the database stands."""
    (h,) = past.protect(sidecar_factory, sim, "orders")
    h.rows(2).backup("log")
    h.rows(2).backup("log")
    past.end(h)
    target = sim_factory("target")
    restore = Restore(target, h.sidecar.store, tmp_path)
    for number, match in enumerate(("RESTORE DATABASE.*MOVE", "RESTORE LOG", "WITH RECOVERY")):
        target.do("lose_reply", match=match, times=1)
        restore.run("--to", "latest", "-d", "orders", "--as", f"copy{number}")
        target.do("clear_wire_faults")
        assert values(target, f"copy{number}") == h.all
