# SPDX-License-Identifier: Apache-2.0
"""`mssqlctl restore` from a store alone: the right rows, to the row, whatever the moment and the time zones."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any, Iterator

import pytest

import storecheck
from fixtures import history as past
from fixtures.history import History
from fixtures.restore import Restore, databases, state, values
from fixtures.sidecar import Sidecar
from fixtures.sqlsim import Sim


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, certificate: tuple[str, str]) -> Iterator[tuple[History, Sim]]:
    """One history with a full, a differential, another full and many logs, of a server in one zone, and a server in another."""
    folder = tmp_path_factory.mktemp("moments")
    source, target = Sim(folder / "source", certificate, timezone="Asia/Kolkata"), Sim(folder / "target", certificate, timezone="America/St_Johns")
    sidecars: list[Sidecar] = []

    def make(sim: Sim, name: str, **config: Any) -> Sidecar:
        sidecars.append(Sidecar(folder / name, sim.port, sim.password, **config))
        return sidecars[-1].start()

    try:
        source.start()
        target.start()
        (made,) = past.protect(make, source, "orders")
        write(made)
        past.end(made)
        made.uncovered = made.clock.moment()
        yield made, target
    finally:
        for sidecar in sidecars:
            sidecar.kill()
            sidecar.socket.unlink(missing_ok=True)
            sidecar.check_sanitizers()
        source.kill()
        target.kill()


def write(h: History) -> None:
    h.clock.next_second()
    for number in range(8):
        h.rows(2).moment()
        h.rows(1)
        h.sim.query(f"BEGIN TRAN mark{number} WITH MARK 'the {number}th'; INSERT INTO marks VALUES ({h.count + 1}, SYSUTCDATETIME()); COMMIT", h.database)
        h.count += 1
        h.marked = getattr(h, "marked", []) + [(f"mark{number}", h.count)]
        h.rows(1).moment()
        h.backup("full" if number == 5 else "diff" if number in (2, 6) else "log")
        if number < 7:
            h.moment()
        if number in (2, 5, 6):
            h.rows(1).backup("log")


@pytest.fixture
def restore(world: tuple[History, Sim], tmp_path: Path) -> Restore:
    h, target = world
    return Restore(target, h.sidecar.store, tmp_path)


@pytest.fixture
def name(world: tuple[History, Sim], request: pytest.FixtureRequest) -> Iterator[str]:
    """A name that is free on the target."""
    wanted = "r_" + "".join(c for c in request.node.name if c.isalnum())[:60]
    yield wanted
    world[1].query(f"IF DB_ID(N'{wanted}') IS NOT NULL DROP DATABASE [{wanted}]")


def test_latest_has_everything(world: tuple[History, Sim], restore: Restore, name: str) -> None:
    done = restore.run("--to", "latest", "--database", "orders", "--as", name)
    assert values(restore.server, name) == world[0].all
    assert done.database["state"] == "ONLINE" and done.database["error"] is None
    assert restore.journals() == [] and restore.staged() == []


def test_every_moment_is_exact_between_two_zones(world: tuple[History, Sim], restore: Restore, name: str) -> None:
    """Neither server runs in UTC: STOPAT is the source's local time."""
    for number, (moment, _) in enumerate(world[0].moments):
        one = f"{name}_{number}"
        done = restore.run("--to", moment, "-d", "orders", "--as", one)
        assert values(restore.server, one) == world[0].expected(moment), (moment, done.out)
        restore.server.query(f"DROP DATABASE [{one}]")


def test_the_zone_of_the_target_text_does_not_matter(world: tuple[History, Sim], restore: Restore, name: str) -> None:
    moment, _ = world[0].moments[4]
    at = dt.datetime.fromisoformat(moment.replace("Z", "+00:00")).astimezone(dt.timezone(dt.timedelta(hours=-9, minutes=-30)))
    restore.run("--to", at.isoformat(timespec="milliseconds"), "-d", "orders", "--as", name)
    assert values(restore.server, name) == world[0].expected(moment)


def test_marks_and_lsns(world: tuple[History, Sim], restore: Restore, name: str) -> None:
    h, _ = world
    mark, count = h.marked[3]
    restore.run("--to", f"mark:{mark}", "-d", "orders", "--as", f"{name}_at")
    assert values(restore.server, f"{name}_at") == list(range(1, count + 1))
    restore.run("--to", f"before-mark:{mark}", "-d", "orders", "--as", f"{name}_before")
    assert values(restore.server, f"{name}_before") == list(range(1, count))
    lsn = next(m["lsn"] for log in h.manifests("log") for m in log.get("marks", []) if m["name"] == mark)
    restore.run("--to", f"before-lsn:{lsn}", "-d", "orders", "--as", f"{name}_lsn")
    assert values(restore.server, f"{name}_lsn") == list(range(1, count))
    for one in ("at", "before", "lsn"):
        restore.server.query(f"IF DB_ID(N'{name}_{one}') IS NOT NULL DROP DATABASE [{name}_{one}]")


def test_a_moment_that_is_not_covered_is_refused_with_what_is(world: tuple[History, Sim], restore: Restore) -> None:
    before = databases(restore.server)
    uncovered = world[0].uncovered
    for target, word in (("2001-01-01T00:00:00Z", "nearest"), (uncovered, "nearest moment before"), ("2099-01-01T00:00:00Z", "future"), ("mark:nobody", "mark")):
        done = restore.run("--to", target, "-d", "orders", "--as", "never", code=None)
        assert done.code not in (0, 1), (done.code, done.err)
        assert word in done.err.lower(), done.err
    assert databases(restore.server) == before
    assert restore.journals() == [] and restore.staged() == []


def test_a_dry_run_changes_nothing_and_says_everything(world: tuple[History, Sim], restore: Restore, name: str) -> None:
    before = databases(restore.server)
    moment, _ = world[0].moments[7]
    done = restore.run("--to", moment, "-d", "orders", "--as", name, "--dry-run")
    assert databases(restore.server) == before
    assert done.report["dryRun"] and done.database["step"] == "planned"
    kinds = [m["kind"] for m in done.database["members"]]
    assert kinds[0] == "full" and kinds[-1] == "log" and done.database["stop"].startswith("STOPAT = N'")
    assert done.report["checks"] and all(c["state"] != "error" for c in done.report["checks"])
    assert restore.journals() == [] and restore.staged() == []


def test_a_database_that_nobody_backed_up(restore: Restore) -> None:
    done = restore.run("--to", "latest", "-d", "order", code=None)
    assert done.code != 0 and "orders" in done.err


def test_left_restoring_takes_more_logs(world: tuple[History, Sim], restore: Restore, name: str) -> None:
    moment, _ = world[0].moments[3]
    done = restore.run("--to", moment, "-d", "orders", "--as", name, "--leave-restoring")
    assert state(restore.server, name) == "RESTORING" and done.database["state"] == "RESTORING"
    restore.server.query(f"RESTORE DATABASE [{name}] WITH RECOVERY")
    assert values(restore.server, name) == world[0].expected(moment)


def test_standby_is_readable(world: tuple[History, Sim], restore: Restore, name: str) -> None:
    moment, _ = world[0].moments[3]
    done = restore.run("--to", moment, "-d", "orders", "--as", name, "--standby", str(restore.server.data))
    assert done.database["state"] == "STANDBY"
    assert values(restore.server, name) == world[0].expected(moment)
    (row,) = storecheck.dicts(restore.server.query(f"SELECT is_in_standby AS s FROM sys.databases WHERE name = N'{name}'"))
    assert row["s"]


def test_where_files_go(world: tuple[History, Sim], restore: Restore, name: str, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    data = tmp_path / "elsewhere.mdf"
    restore.run("--to", "latest", "-d", "orders", "--as", name, "--log-dir", str(logs), "--move", f"orders={data}")
    files = storecheck.dicts(restore.server.query(f"SELECT physical_name AS p, type FROM sys.master_files WHERE database_id = DB_ID(N'{name}')"))
    assert {f["type"]: Path(f["p"]) for f in files}[0] == data
    assert {f["type"]: Path(f["p"]).parent for f in files}[1] == logs
    assert values(restore.server, name) == world[0].all


def test_two_copies_do_not_meet(world: tuple[History, Sim], restore: Restore, name: str) -> None:
    restore.run("--to", "latest", "-d", "orders", "--as", name)
    restore.run("--to", "latest", "-d", "orders", "--as", f"{name}2")
    assert values(restore.server, name) == values(restore.server, f"{name}2") == world[0].all
    restore.server.query(f"DROP DATABASE [{name}2]")


def test_wrong_words(restore: Restore) -> None:
    for arguments in (
        ("--to", "yesterday", "-d", "orders"),
        ("-d", "orders"),
        ("--to", "latest", "--as", "x"),
        ("--to", "latest", "-d", "orders", "--move", "nothing"),
        ("--to", "latest", "-d", "orders", "--data-dir", "relative"),
        ("--to", "latest", "-d", "orders", "--leave-restoring", "--check"),
        ("--to", "latest", "-d", "orders", "--parallel", "0"),
        ("--to", "latest", "-d", "orders", "-d", "orders"),
        ("--resume", "x", "--to", "latest"),
    ):
        assert restore.run(*arguments, code=None).code == 2, arguments
