# SPDX-License-Identifier: Apache-2.0
"""mssqlctl verify --restore: a database is restored under a scratch name, looked at and dropped, and nothing else is ever touched."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any, Iterator

import pytest

from fixtures import history as past
from fixtures.history import History
from fixtures.lab import QUIET
from fixtures.restore import CTL, Done, Restore, copy_store, damage, databases, values
from fixtures.sidecar import SANITIZER, Sidecar, merge, wait_for
from fixtures.sqlsim import Sim

USAGE, NOT_FOUND, STATE, SPACE, CORRUPT = 2, 11, 20, 22, 25
SCRATCH = re.compile(r"orders__verify_[0-9a-f]{8}")


def steps() -> list[str]:
    """The durable steps of a trial: its own, and those of the engine that a trial comes to."""
    own = subprocess.run([str(CTL), "__steps", "verify"], capture_output=True, text=True, check=True, env={**os.environ, **SANITIZER})
    engine = ["planned", "checked", "restoring", "note", "applied", "recovered", "finished", "forget"]
    return own.stdout.split() + [f"restore.{step}" for step in engine]


class Verify(Restore):
    def command(self, *arguments: str, **more: Any) -> list[str]:
        command = super().command(*arguments, **more)
        command[1] = "verify"
        return [*command, "--restore"]

    def notes(self) -> list[str]:
        return sorted(p.stem for p in self.staging.glob("*.trial"))

    def noted(self) -> str:
        """The scratch name of the only note."""
        (note,) = self.staging.glob("*.trial")
        return json.loads(note.read_text())["scratch"]

    def clean(self) -> bool:
        return not any(self.staging.iterdir())


class VerifyOnly(Verify):
    def command(self, *arguments: str, **more: Any) -> list[str]:
        return [*super().command(*arguments, **more)[:-1], "--verify-only"]


def trial(done: Done) -> dict[str, Any]:
    (only,) = done.report["trials"]
    return only


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, certificate: tuple[str, str]) -> Iterator[tuple[list[History], Sim]]:
    folder = tmp_path_factory.mktemp("verify")
    source, target = Sim(folder / "source", certificate), Sim(folder / "target", certificate)
    sidecars: list[Sidecar] = []

    def make(sim: Sim, name: str, **config: Any) -> Sidecar:
        sidecars.append(Sidecar(folder / name, sim.port, sim.password, **config))
        return sidecars[-1].start()

    try:
        source.start()
        target.start()
        past.create(source, "orders")
        past.create(source, "rotten")
        source.query("INSERT INTO marks VALUES (1, SYSUTCDATETIME())", "rotten")
        source.do("corrupt_value", database="rotten", table="marks", column="n")
        sidecar = make(source, "sidecar", **merge(QUIET, {"policy": {"databases": ["orders", "rotten"]}}))
        for name in ("orders", "rotten"):
            sidecar.wait_full(name)
        orders, rotten = made = [History(source, sidecar, name) for name in ("orders", "rotten")]
        orders.clock.next_second()
        for kind in ("log", "diff", "log", "log"):
            orders.rows(2).moment()
            orders.rows(1).backup(kind)
        rotten.backup("log")
        past.end(*made)
        yield made, target
    finally:
        for sidecar in sidecars:
            sidecar.kill()
            sidecar.socket.unlink(missing_ok=True)
            sidecar.check_sanitizers()
        source.kill()
        target.kill()


@pytest.fixture
def verify(world: tuple[list[History], Sim], tmp_path: Path) -> Iterator[Verify]:
    histories, target = world
    target.do("clear")
    yield Verify(target, histories[0].sidecar.store, tmp_path)
    target.do("clear")
    for name in databases(target):
        target.query(f"DROP DATABASE [{name}]")


def test_a_good_store_is_verified_and_nothing_stays(verify: Verify, world: tuple[list[History], Sim]) -> None:
    rows = world[0][0].count
    done = verify.run("orders", "--check", "--probe", f"orders:SELECT COUNT(*) FROM dbo.marks:{rows}")
    told = trial(done)
    assert told["verified"] and told["error"] is None and not told["leftBehind"]
    assert SCRATCH.fullmatch(told["scratch"]) and told["to"] == "latest"
    assert told["checked"] and told["checkErrors"] == 0
    assert told["probes"] == [{"name": "SELECT COUNT(*) FROM dbo.marks", "atLeast": rows, "value": rows, "passed": True, "error": None}]
    assert told["setsApplied"] > told["logsApplied"] > 0 and told["secondsPerLog"] > 0
    assert told["dataBytes"] > 240_000 and told["dataMBPerSecond"] > 0 and told["plainBytes"] >= told["dataBytes"]
    assert told["phases"]["totalMs"] >= told["phases"]["planMs"] + told["phases"]["baseMs"] + told["phases"]["checkMs"]
    assert databases(verify.server) == set() and verify.clean()


def test_a_moment(verify: Verify, world: tuple[list[History], Sim]) -> None:
    """The probe sees the rows of that moment: at least so many, and not one more."""
    moment, rows = world[0][0].moments[1]
    query = "orders:SELECT COUNT(*) FROM dbo.marks"
    assert trial(verify.run("orders", "--to", moment, "--probe", f"{query}:{rows}"))["verified"]
    told = trial(verify.run("orders", "--to", moment, "--probe", f"{query}:{rows + 1}", code=STATE))
    assert not told["verified"] and told["probes"][0]["value"] == rows
    assert f"at least {rows + 1}" in told["error"]["message"]
    assert databases(verify.server) == set() and verify.clean()


def test_a_moment_by_chance_can_be_had_again(verify: Verify) -> None:
    first = trial(verify.run("orders", "--to", "random"))
    assert first["verified"] and first["seed"] is not None and first["to"].startswith("20")
    again = trial(verify.run("orders", "--to", f"random:{first['seed']}"))
    assert (again["to"], again["seed"]) == (first["to"], first["seed"])
    others = {trial(verify.run("orders", "--to", f"random:{seed}"))["to"] for seed in range(1, 4)}
    assert len(others) > 1


def test_damage_that_was_there_before_the_backup(verify: Verify) -> None:
    """Checksums are right and hashes are right: only DBCC CHECKDB sees it."""
    assert trial(verify.run("rotten"))["verified"]
    done = verify.run("rotten", "--check", code=CORRUPT)
    told = trial(done)
    assert not told["verified"] and told["checked"] and told["checkErrors"] > 0
    assert told["error"]["sqlNumber"] == 2570 and told["error"]["class"] == "corrupt" and "rotten" in done.err
    assert databases(verify.server) == set() and verify.clean()


def test_all_databases_and_the_worst_decides(verify: Verify) -> None:
    done = verify.run("--check", "--probe", "orders:SELECT COUNT(*) FROM dbo.marks:1000000", code=CORRUPT)
    assert {t["database"]: t["error"]["class"] for t in done.report["trials"]} == {"orders": "state", "rotten": "corrupt"}


def test_a_bad_backup_that_was_gone_around(verify: Verify, world: tuple[list[History], Sim], tmp_path: Path) -> None:
    """The moment is reached without the log, from the differential behind it, and yet the store is not good."""
    store = copy_store(verify.store, tmp_path / "copy")
    damage(store, "flip", world[0][0].object("log", 0, store))
    other = Verify(verify.server, store, tmp_path)
    told = trial(other.run("orders", code=CORRUPT))
    assert told["damagedSets"] == 1 and told["setsApplied"] > 1 and not told["verified"]
    assert databases(verify.server) == set() and other.clean()


@pytest.mark.parametrize("query", ["SELECT n FROM dbo.marks", "SELECT 1, 2", "SELECT NULL", "SELECT 'x'", "SELECT n FROM dbo.nothing"])
def test_a_probe_that_is_none(verify: Verify, query: str) -> None:
    done = verify.run("orders", "--probe", f"orders:{query}:0", code=None)
    told = trial(done)
    assert done.code != 0 and not told["verified"] and not told["probes"][0]["passed"] and told["probes"][0]["error"]
    assert databases(verify.server) == set() and verify.clean()


def test_too_little_room(verify: Verify) -> None:
    verify.server.do("free_space", path=str(verify.server.data), bytes=1000)
    done = verify.run("orders", code=SPACE)
    told = trial(done)
    needed = re.search(r"1000 bytes\).*\((\d+) bytes\)", told["error"]["message"])
    assert needed and int(needed[1]) > 240_000, told["error"]
    assert told["setsApplied"] == 0 and databases(verify.server) == set() and verify.clean()


def test_what_makes_no_sense(verify: Verify) -> None:
    for arguments in (["--rate", "1Mi"], ["--probe", "orders"], ["--probe", "orders:x"], ["--to", "randomly"], ["--to", "random:x"]):
        assert verify.run("orders", *arguments, code=None).code == USAGE, arguments
    assert verify.run("nothing", code=NOT_FOUND).report["trials"][0]["verified"] is False
    done = verify.run("orders", "--probe", "ordres:SELECT 1:1", code=USAGE)
    assert "no database 'ordres' was restored" in done.err
    assert databases(verify.server) == set() and verify.clean()


# Nothing is written at trial.restored: only its end is a point.
@pytest.mark.parametrize("step, when", [(s, w) for s in steps() for w in ("before", "after") if (s, w) != ("trial.restored", "before")])
def test_killed_at_a_step_and_cleaned_by_the_next(verify: Verify, step: str, when: str) -> None:
    done = verify.run("orders", "--check", fault=f"{step}:{when}:kill", code=None)
    assert done.code == -signal.SIGKILL, (done.code, done.err)
    left = databases(verify.server)
    assert len(left) <= 1 and all(SCRATCH.fullmatch(name) for name in left)
    assert bool(verify.notes()) == ((step, when) not in (("trial.noted", "before"), ("trial.forgotten", "after")))
    told = trial(verify.run("orders"))
    assert told["verified"] and told["scratch"] not in left
    assert databases(verify.server) == set() and verify.clean()


@pytest.mark.parametrize("step", [s for s in steps() if s not in ("trial.restored", "trial.checked")])
def test_a_step_that_fails(verify: Verify, step: str) -> None:
    """A full disk: never verified, and the next one cleans up what this one could not."""
    done = verify.run("orders", fault=f"{step}:before:enospc", code=SPACE)
    assert "fault point" in done.err
    told = trial(done)
    assert told["error"] or told["dropError"], told
    assert told["leftBehind"] == bool(databases(verify.server))
    assert trial(verify.run("orders"))["verified"]
    assert databases(verify.server) == set() and verify.clean()


@pytest.mark.parametrize("step", ["restore.restoring:after", "restore.recovered:after", "restore.finished:after", "trial.dropped:before"])
def test_what_somebody_made_under_that_name_is_left_alone(verify: Verify, step: str) -> None:
    done = verify.run("orders", fault=f"{step}:kill", code=None)
    assert done.code == -signal.SIGKILL
    scratch = verify.noted()
    verify.server.query(f"IF DB_ID(N'{scratch}') IS NOT NULL DROP DATABASE [{scratch}]")
    verify.server.query(f"CREATE DATABASE [{scratch}]")
    verify.server.query("CREATE TABLE t (n int); INSERT INTO t VALUES (7)", scratch)
    done = verify.run("orders")
    assert trial(done)["verified"] and "left alone" in done.err
    assert values(verify.server, scratch, "t") == [7] and databases(verify.server) == {scratch}
    assert verify.clean(), "it is not ours: there is nothing to go on with"


def test_a_copy_restored_under_that_name_is_left_alone(verify: Verify, world: tuple[list[History], Sim]) -> None:
    """The same family, the same name: only the GUIDs of the journal tell them apart."""
    done = verify.run("orders", fault="trial.restored:after:kill", code=None)
    assert done.code == -signal.SIGKILL
    (scratch,) = databases(verify.server)
    verify.server.query(f"DROP DATABASE [{scratch}]")
    Restore(verify.server, verify.store, verify.staging.parent / "other").run("--to", world[0][0].moments[0][0], "-d", "orders", "--as", scratch)
    done = verify.run("orders")
    assert "left alone" in done.err and databases(verify.server) == {scratch}


def test_two_at_once_leave_each_other_alone(verify: Verify, tmp_path: Path) -> None:
    pause = tmp_path / "pause"
    process = verify.begin("orders", "--check", fault=f"trial.checked:before:pause:{pause}")
    try:
        wait_for("the first to wait", pause.exists)
        (scratch,) = databases(verify.server)
        assert trial(verify.run("orders"))["verified"]
        assert databases(verify.server) == {scratch}, "the trial of a process that lives was touched"
    finally:
        pause.unlink(missing_ok=True)
        done = verify.end(process)
    assert done.code == 0 and trial(done)["verified"], done.err
    assert databases(verify.server) == set() and verify.clean()


def test_cancelled(verify: Verify, tmp_path: Path) -> None:
    pause = tmp_path / "pause"
    process = verify.begin("orders", "--check", fault=f"trial.checked:before:pause:{pause}")
    wait_for("it to wait", pause.exists)
    process.send_signal(signal.SIGTERM)
    pause.unlink()
    done = verify.end(process)
    assert done.code == 19, (done.code, done.err)
    assert databases(verify.server) == set() and verify.clean()


# ---- VERIFYONLY ----


@pytest.fixture
def only(verify: Verify) -> VerifyOnly:
    return VerifyOnly(verify.server, verify.store, verify.staging.parent)


def test_every_backup_is_read_and_nothing_restored(only: VerifyOnly) -> None:
    told = trial(only.run("orders"))
    assert told["verified"] and told["bad"] == 0 and told["planned"] == len(told["sets"]) >= 3
    assert told["sets"][0]["kind"] == "full" and all(s["error"] is None and s["plainBytes"] > 0 for s in told["sets"])
    assert databases(only.server) == set() and only.clean()
    told = trial(only.run("orders", "--to", "random:7"))
    assert told["verified"] and told["seed"] == 7 and told["to"].startswith("20")


def test_room_for_the_database_is_not_needed(only: VerifyOnly) -> None:
    only.server.do("free_space", path=str(only.server.data), bytes=1000)
    assert trial(only.run("orders"))["verified"]


def test_all_that_are_bad_are_named(only: VerifyOnly, world: tuple[list[History], Sim], tmp_path: Path) -> None:
    """What comes behind a bad one is read all the same."""
    store, orders = copy_store(only.store, tmp_path / "copy"), world[0][0]
    good = trial(only.run("orders"))["sets"]
    damage(store, "flip", orders.object("full", 0, store))
    damage(store, "remove", orders.object("log", 2, store))
    told = trial(VerifyOnly(only.server, store, tmp_path).run("orders", code=CORRUPT))
    assert [s["setGuid"] for s in told["sets"]] == [s["setGuid"] for s in good] and told["bad"] == 2
    assert [bool(s["error"]) for s in told["sets"]] == [s["kind"] == "full" or s is good[-1] for s in good]
    assert databases(only.server) == set() and only.clean()


def test_what_a_killed_one_left_in_staging_goes(only: VerifyOnly) -> None:
    left = only.staging / "verify-only-1"
    left.mkdir()
    (left / "v1-1.bak").write_bytes(b"staged")
    assert trial(only.run("orders"))["verified"] and only.clean()


def test_verify_only_is_no_restore(only: VerifyOnly) -> None:
    for arguments in (["--check"], ["--probe", "orders:SELECT 1:1"], ["--restore"]):
        assert only.run("orders", *arguments, code=None).code == USAGE, arguments
