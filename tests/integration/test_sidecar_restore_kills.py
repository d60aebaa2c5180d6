# SPDX-License-Identifier: Apache-2.0
"""Restores that are killed: kill -9 of the sidecar before and after every durable step, a full disk instead of it, kill -9 of SQL Server
and of both at random moments. What was asked for is there afterwards, with the right rows, without anybody asking again; in place no
row that was acknowledged is lost. The steps come from the program itself."""

from __future__ import annotations

import contextlib
import os
import random
import threading
from pathlib import Path
from typing import Any, Callable

import grpc
import pytest

from fixtures.lab import Lab
from fixtures.load import rows_of
from fixtures.restores import Background, of_status, ready, wait_ended
from fixtures.sidecar import Sidecar, steps, wait_for

STEPS = [step for step in steps() if step.startswith(("restore.", "store.small."))]
JOURNAL = [step for step in steps() if step.split(".")[0] in ("journal", "draft", "staging")]  # the tail passes them
# Reached only when a restore fails, is cancelled, or is forgotten later: not on the way of one that completes.
ASIDE = {"restore.failed", "restore.cancelled", "restore.ticket.removed", "restore.forget", "restore.note"}
# Only in place.
TAIL = {"restore.evicted", "restore.tail_taken", "restore.tail_shipped", *JOURNAL}


def cases(fault: str) -> list:
    found = []
    for step in [s for s in STEPS if s not in ASIDE] + JOURNAL:
        for where in ("in-place", "beside"):
            if where == "in-place" or step not in TAIL:
                found += [pytest.param(step, where, f"{when}:{fault}", id=f"{step}-{where}-{when}") for when in ("before", "after")]
    return found


def begun(sidecar: Sidecar, databases: Any, reached: Callable[[], bool], request: str) -> None:
    """Asks until the step is reached: what is refused because the start is not over yet is asked again."""
    asked: list[Background] = []

    def look() -> bool:
        if reached() or sidecar.dead():
            return True
        if not asked or asked[-1].outcome or asked[-1].error:
            asked.append(Background(sidecar, databases, request_id=request))
        return False

    try:
        wait_for("the step to be reached", look, 40)
    except AssertionError as err:
        raise AssertionError(f"{err}\n{[(a.outcome, a.error) for a in asked]}\n{sidecar.log()[-6000:]}") from None


def completed(lab: Lab, sidecar: Sidecar, where: str, copy: str, request: str, wish: Any) -> None:
    """It goes on by itself, or was never begun and is asked for again; then the rows are right."""
    ready(sidecar, lab.database) if where == "beside" else sidecar.wait_until("the server", lambda s: s.condition("SqlServerReachable")["status"] == "True")
    if not of_status(sidecar, request):
        Background(sidecar, [wish], request_id=request).join()
    ended = wait_ended(sidecar, request)
    assert ended["state"] == "Completed", f"{ended}\n{sidecar.log()[-8000:]}"
    if where == "beside":
        assert rows_of(lab.sim, copy) == lab.load.acked
        lab.sim.query(f"DROP DATABASE [{copy}]")
        return
    rows = rows_of(lab.sim, lab.database)
    assert lab.load.acked <= rows <= lab.load.tried, f"LOST {sorted(lab.load.acked - rows)[:20]}"
    sidecar.wait_until("the first full after the restore", lambda s: '"restored database has its first full backup"' in s.log())
    sidecar.wait_shipped()
    assert not [p for p in sidecar.staging.rglob("*") if p.is_file() and not p.name.startswith(".")], "nothing is left in staging"


def killed_at(lab: Lab, step: str, where: str, fault: str) -> None:
    sidecar = lab.protected()
    lab.write(5)
    lab.load.stop() if where == "beside" else None
    sidecar.force(lab.database)
    if where == "in-place":
        lab.write(5)  # these are in the tail
        lab.load.stop()
    sidecar.stop()
    copy, request = f"{lab.database}_copy", f"uid-{lab.database}"
    wish = lab.database if where == "in-place" else (lab.database, copy)
    # staged backups pass the journal's steps, too: the fault is for the one that is taken after the start, the tail
    sidecar.start(fault=f"{step}:{fault}")
    ready(sidecar, lab.database)
    begun(sidecar, [wish], lambda: f"fault point {step}\n" in sidecar.log(), request)
    if fault.endswith(":kill"):
        assert sidecar.process.wait(30) == -9, sidecar.log()[-4000:]
        sidecar.start()
    completed(lab, sidecar, where, copy, request, wish)
    assert sidecar.stop() == 0


@pytest.mark.parametrize(("step", "where", "fault"), cases("kill"))
def test_kill_at_every_step(lab: Lab, step: str, where: str, fault: str) -> None:
    killed_at(lab, step, where, fault)


def test_every_step_is_tested_or_known_to_be_aside() -> None:
    assert ASIDE <= set(STEPS)
    assert TAIL <= set(STEPS) | set(JOURNAL)


# ---- SQL Server dies at a step of RESTORE; the sidecar is told nothing ----

SERVER = [("restore_full", s) for s in ("begin", "chunk", "data", "applied", "history", "done")]
SERVER += [("restore_log", s) for s in ("begin", "data", "applied", "history", "done")]
SERVER += [("restore", s) for s in ("recovering", "recovered")]


@pytest.mark.parametrize("where", ["in-place", "beside"])
@pytest.mark.parametrize(("kind", "step"), SERVER, ids=[f"{k}-{s}" for k, s in SERVER])
def test_the_server_dies_at_a_step(own_lab: Lab, kind: str, step: str, where: str) -> None:
    lab = own_lab
    sidecar = lab.protected()
    lab.write(5)
    sidecar.force(lab.database)
    lab.write(5)
    lab.load.stop()
    if where == "beside":
        sidecar.force(lab.database)
    copy, request = f"{lab.database}_copy", f"uid-{lab.database}"
    wish = lab.database if where == "in-place" else (lab.database, copy)
    lab.sim.do("crash_after", kind=kind, step=step, action="exit")
    background = Background(sidecar, [wish], request_id=request)
    wait_for("the server to die", lambda: not lab.sim.running)
    lab.sim.kill()
    sidecar.wait_until("the loss to be seen", lambda s: "connection was lost" in s.log() or s.condition("SqlServerReachable")["status"] == "False")
    lab.sim.start()
    completed(lab, sidecar, where, copy, request, wish)
    background.join()
    assert background.outcome and background.outcome.good, "whoever watches hears of nothing but the end"
    assert sidecar.stop() == 0


# ---- random moments ----

SLOW = 400_000  # bytes per second: a restore takes seconds, so that kills meet it

def kill_at_random(lab: Lab, sidecar: Sidecar, rng: random.Random, whom: str, stop: threading.Event) -> int:
    """Kills until the restore is over; how often."""
    kills = 0
    while not stop.wait(rng.uniform(0.05, 0.8)) and kills < 6:
        if whom in ("sidecar", "both"):
            sidecar.kill()
        if whom in ("server", "both"):
            lab.sim.kill()
            lab.sim.start()
            lab.sim.do("slow_io", bytes_per_s=SLOW)
        if whom in ("sidecar", "both"):
            sidecar.start(wait=False)
            wait_for("the sidecar to serve", lambda: sidecar.get("/readyz")[0] == 200)
        kills += 1
    return kills


@pytest.mark.parametrize("where", ["in-place", "beside"])
@pytest.mark.parametrize("whom", ["sidecar", "server", "both"])
def test_kill_at_random_moments(own_lab: Lab, whom: str, where: str) -> None:
    lab = own_lab
    seed = int(os.environ.get("MSSQL_SEED", random.SystemRandom().randrange(1 << 31)))
    print("seed", seed)
    rng = random.Random(seed)
    sidecar = lab.protected()
    for _ in range(4):  # several logs: there is something to be in the middle of
        lab.write(5)
        sidecar.force(lab.database)
    if where == "in-place":
        lab.write(5)
    lab.load.stop()
    if where == "beside":
        sidecar.force(lab.database)
    copy, request = f"{lab.database}_copy", f"uid-{lab.database}"
    wish = lab.database if where == "in-place" else (lab.database, copy)
    stop = threading.Event()
    lab.sim.do("slow_io", bytes_per_s=SLOW)
    with contextlib.suppress(grpc.RpcError):
        Background(sidecar, [wish], request_id=request)
    sidecar.wait_until("the restore to be known", lambda s: of_status(s, request))
    kills = kill_at_random(lab, sidecar, rng, whom, stop)
    print("kills", kills)
    lab.sim.do("slow_io", bytes_per_s=0)
    completed(lab, sidecar, where, copy, request, wish)
    assert sidecar.stop() == 0


