# SPDX-License-Identifier: Apache-2.0
"""`mssqlctl restore` over the database itself: nothing committed is ever lost unasked."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

import storecheck
from fixtures import history as past
from fixtures.history import History
from fixtures.restore import Done, Restore, state, steps, values
from fixtures.sidecar import Sidecar
from fixtures.sqlsim import Sim
from sqlsim.client import Client

DATA_LOSS, CONFLICT = 31, 13  # exit codes
POOL = 40


class World:
    """Databases with the same history: five rows, a moment, three rows, a log backup; then rows that no backup has."""

    def __init__(self, folder: Path, certificate: tuple[str, str], count: int) -> None:
        self.sim = Sim(folder / "sql", certificate).start()
        self.sidecars: list[Sidecar] = []
        names = [f"db{n}" for n in range(count)]
        self.free = past.protect(self.make, self.sim, *names)
        self.folder = folder
        for h in self.free:
            h.rows(5).backup("log")
        for h in self.free:
            h.rows(1)
            h.middle = h.moment()
            h.rows(3).backup("log")
        past.end(*self.free)
        self.store = self.free[0].sidecar.store

    def make(self, sim: Sim, name: str, **config: Any) -> Sidecar:
        self.sidecars.append(Sidecar(self.folder_of(sim) / name, sim.port, sim.password, **config))
        return self.sidecars[-1].start()

    @staticmethod
    def folder_of(sim: Sim) -> Path:
        return sim.folder.parent

    def close(self) -> None:
        for sidecar in self.sidecars:
            sidecar.kill()
            sidecar.socket.unlink(missing_ok=True)
            sidecar.check_sanitizers()
        self.sim.kill()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, certificate: tuple[str, str]) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("inplace"), certificate, POOL)
    yield made
    made.close()


@pytest.fixture
def own(tmp_path: Path, certificate: tuple[str, str]) -> Iterator[World]:
    """With a server that may be killed."""
    made = World(tmp_path, certificate, 1)
    yield made
    made.close()


@pytest.fixture
def h(world: World) -> Iterator[History]:
    """One of them, and rows that are in no backup."""
    one = world.free.pop()
    one.rows(4)
    yield one
    world.sim.do("clear")


@pytest.fixture
def restore(world: World, tmp_path: Path) -> Restore:
    return Restore(world.sim, world.store, tmp_path)


def access(server: Sim, database: str) -> str:
    (row,) = storecheck.dicts(server.query(f"SELECT user_access_desc AS a FROM sys.databases WHERE name = N'{database}'"))
    return row["a"]


def unharmed(h: History) -> None:
    assert state(h.sim, h.database) == "ONLINE" and access(h.sim, h.database) == "MULTI_USER"
    assert values(h.sim, h.database) == h.all


def tails(h: History) -> list[dict[str, Any]]:
    return [m for m in h.manifests("log") if "tail" in m["set"]["flags"]]


def everything(restore: Restore, h: History) -> list[int]:
    """What the store can bring back of the database as it was before: the tail included."""
    tail = tails(h)[-1]
    name = f"{h.database}_before"
    restore.run("--to", f"before-lsn:{tail['lsn']['last']}", "-d", h.database, "--as", name)
    try:
        return values(h.sim, name)
    finally:
        h.sim.query(f"DROP DATABASE [{name}]")


def token(done: Done) -> str:
    assert done.database["token"], done.out
    return done.database["token"]


# --- the way it should be ------------------------------------------------------------------------------------------------


def test_to_a_moment_and_nothing_is_lost(restore: Restore, h: History) -> None:
    done = restore.run("--to", h.middle, "-d", h.database)
    assert values(h.sim, h.database) == h.expected(h.middle)
    assert state(h.sim, h.database) == "ONLINE" and access(h.sim, h.database) == "MULTI_USER"
    assert done.database["replaces"] == "tail" and len(tails(h)) == 1
    assert everything(restore, h) == h.all
    assert restore.staged() == [] and restore.journals() == []


def test_the_dry_run_says_what_would_happen_and_does_nothing(restore: Restore, h: History) -> None:
    with h.sim.connect(h.database) as client:
        done = restore.run("--to", h.middle, "-d", h.database, "--dry-run")
        assert done.database["replaces"] == "tail" and not done.database["token"]
        assert client.query("SELECT 1 AS one").rows
    unharmed(h)
    assert tails(h) == []


def test_latest_is_with_the_tail(restore: Restore, h: History) -> None:
    """The rows that no backup had are in the tail, and latest means with them."""
    restore.run("--to", "latest", "-d", h.database)
    assert values(h.sim, h.database) == h.all
    assert access(h.sim, h.database) == "MULTI_USER"


def test_a_moment_that_only_the_tail_has(restore: Restore, h: History) -> None:
    moment = h.moment()
    h.rows(3)
    restore.run("--to", moment, "-d", h.database)
    assert values(h.sim, h.database) == h.expected(moment)
    assert everything(restore, h) == h.all


def test_without_replace_the_guards_of_the_server_stay_on(restore: Restore, h: History) -> None:
    restore.run("--to", h.middle, "-d", h.database)
    rows = storecheck.dicts(h.sim.query(f"SELECT replace, restore_type FROM msdb.dbo.restorehistory WHERE destination_database_name = N'{h.database}'"))
    assert rows and not any(r["replace"] for r in rows), rows


def test_twice(restore: Restore, h: History) -> None:
    """It was the wrong moment. No backup ends where the first restore stopped, so what came after it cannot be joined to anything: that is
    said, and its log is kept all the same."""
    restore.run("--to", h.middle, "-d", h.database)
    h.sim.query("INSERT INTO marks VALUES (99, SYSUTCDATETIME())", h.database)
    done = restore.run("--to", h.middle, "-d", h.database, code=DATA_LOSS)
    assert "went its own way" in done.err and 99 in values(h.sim, h.database)
    printed = token(restore.run("--to", h.middle, "-d", h.database, "--dry-run", code=None))
    restore.run("--to", h.middle, "-d", h.database, "--acknowledge-data-loss", printed)
    assert values(h.sim, h.database) == h.expected(h.middle)
    assert len(tails(h)) == 2


# --- people who are in it ------------------------------------------------------------------------------------------------


def test_sessions_are_ended_and_see_it(restore: Restore, h: History) -> None:
    idle, busy = h.sim.connect(h.database), h.sim.connect(h.database)
    busy.query("BEGIN TRAN; INSERT INTO marks VALUES (1000, SYSUTCDATETIME())")
    done = restore.run("--to", "latest", "-d", h.database)
    assert sum("thrown out: session" in w and "login 'sa'" in w for w in done.database["warnings"]) == 2, done.out
    for client in (idle, busy):
        with pytest.raises(Exception):
            client.query("SELECT 1 AS one")
        with contextlib.suppress(Exception):
            client.close()
    assert values(h.sim, h.database) == h.all  # what was not committed is not there


class Pest(threading.Thread):
    """Comes back at once whenever it is thrown out, and commits whenever it can."""

    def __init__(self, h: History, first: int) -> None:
        super().__init__(daemon=True)
        self.h, self.n, self.committed, self.unsure = h, first, [], []
        self.halt = threading.Event()

    def run(self) -> None:
        while not self.halt.is_set():
            with contextlib.suppress(Exception):
                client: Client = self.h.sim.connect(self.h.database, timeout=10.0)
                try:
                    while not self.halt.is_set():
                        self.n += 1
                        self.unsure.append(self.n)
                        client.query(f"INSERT INTO marks VALUES ({self.n}, SYSUTCDATETIME())")
                        self.unsure.remove(self.n)
                        self.committed.append(self.n)
                finally:
                    client.close()

    def end(self) -> None:
        self.halt.set()
        self.join(30)
        assert not self.is_alive()


def test_somebody_comes_back_at_once(restore: Restore, h: History) -> None:
    pests = [Pest(h, 10_000 * n) for n in (1, 2, 3)]
    for pest in pests:
        pest.start()
    deadline = time.monotonic() + 30
    while not all(pest.committed for pest in pests) and time.monotonic() < deadline:
        time.sleep(0.01)
    process = restore.begin("--to", h.middle, "-d", h.database)
    try:
        process.wait(90)
    finally:
        for pest in pests:
            pest.end()
    done = restore.end(process)
    assert done.code == 0, done.err
    found = set(everything(restore, h))
    for pest in pests:
        # What they committed before the tail is in it. After it nothing was: until the database was back.
        until_tail = [n for n in pest.committed if n in found]
        assert pest.committed[: len(until_tail)] == until_tail
        later = [n for n in pest.committed if n not in found]
        assert set(later) <= set(values(h.sim, h.database)), later


# --- crashes -------------------------------------------------------------------------------------------------------------


IN_PLACE = ["restore.checked", "restore.evicted", "restore.tail_taken", "restore.tail_shipped", "restore.restoring", "restore.applied", "restore.recovered"]


def test_the_list_of_steps_is_complete() -> None:
    assert set(IN_PLACE) <= set(steps())


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", IN_PLACE)
def test_killed_between_any_two_steps(restore: Restore, h: History, step: str, when: str) -> None:
    killed = restore.run("--to", h.middle, "-d", h.database, fault=f"{step}:{when}:kill", code=None)
    assert killed.code == -9, killed.err
    journal = restore.journals()
    if not journal:  # not even begun
        unharmed(h)
        restore.run("--to", h.middle, "-d", h.database)
    else:
        (journal,) = journal
        restore.run("--resume", journal)
    assert values(h.sim, h.database) == h.expected(h.middle)
    assert state(h.sim, h.database) == "ONLINE" and access(h.sim, h.database) == "MULTI_USER"
    assert everything(restore, h) == h.all
    assert restore.staged() == [] and restore.journals() == []


@pytest.mark.parametrize("action", ["kill", "exit"])
@pytest.mark.parametrize("step", ["opened", "data", "written", "state", "history"])
def test_the_session_or_the_server_dies_while_the_tail_is_taken(own: World, tmp_path: Path, step: str, action: str) -> None:
    h = own.free.pop().rows(4)
    restore = Restore(own.sim, own.store, tmp_path)
    own.sim.do("crash_after", kind="log", step=step, action=action)
    process = restore.begin("--to", h.middle, "-d", h.database)
    if action == "exit":
        deadline = time.monotonic() + 60
        while own.sim.running and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not own.sim.running, process.communicate()
        own.sim.kill()
        own.sim.start()
    done = restore.end(process)
    if done.code != 0:
        assert restore.journals(), (done.code, done.out, done.err)
        (journal,) = restore.journals()
        restore.run("--resume", journal)
    assert values(h.sim, h.database) == h.expected(h.middle)
    assert everything(restore, h) == h.all
    assert access(h.sim, h.database) == "MULTI_USER"


# --- when there is no tail -------------------------------------------------------------------------------------------------


def to_simple(h: History) -> None:
    h.sim.query(f"ALTER DATABASE [{h.database}] SET RECOVERY SIMPLE")


def to_pseudo_simple(h: History) -> None:
    to_simple(h)
    h.sim.query(f"ALTER DATABASE [{h.database}] SET RECOVERY FULL")


def foreign_log(h: History) -> None:
    h.sim.do("foreign_log", database=h.database)
    h.rows(2)


def another_database(h: History) -> None:
    h.sim.query(f"DROP DATABASE [{h.database}]")
    past.create(h.sim, h.database, ballast=1)
    h.count = 0
    h.rows(2)


def taken_offline(h: History) -> None:
    h.sim.query(f"ALTER DATABASE [{h.database}] SET OFFLINE WITH ROLLBACK IMMEDIATE")


def restoring_from_elsewhere(h: History) -> None:
    """Somebody took the tail and did not give it to us."""
    h.sim.query(f"BACKUP LOG [{h.database}] TO DISK = N'{h.sim.folder / (h.database + '.foreign')}' WITH NORECOVERY, FORMAT, INIT")


LOSSES = {
    "SIMPLE": to_simple,
    "no log chain": to_pseudo_simple,
    "newer than its backups": foreign_log,
    "another database": another_database,
    "(OFFLINE) cannot be opened": taken_offline,
    "somebody else's restore": restoring_from_elsewhere,
}


@pytest.mark.parametrize("why", LOSSES)
def test_what_would_be_lost_must_be_acknowledged(restore: Restore, h: History, why: str) -> None:
    LOSSES[why](h)
    before = state(h.sim, h.database)
    rows = values(h.sim, h.database) if before == "ONLINE" else None
    done = restore.run("--to", h.middle, "-d", h.database, code=DATA_LOSS)
    assert why in done.err and "would be lost" in done.err, done.err
    guess = restore.run("--to", h.middle, "-d", h.database, "--acknowledge-data-loss", "0000-0000-0000", code=CONFLICT)
    assert "dry run" in guess.err
    dry = restore.run("--to", h.middle, "-d", h.database, "--dry-run", code=None)
    assert why in dry.database["replacesText"], dry.out
    assert state(h.sim, h.database) == before
    if rows is not None:
        assert values(h.sim, h.database) == rows and access(h.sim, h.database) == "MULTI_USER"
    restore.run("--to", h.middle, "-d", h.database, "--acknowledge-data-loss", token(dry))
    assert values(h.sim, h.database) == list(range(1, 7))
    assert access(h.sim, h.database) == "MULTI_USER"
    assert len(tails(h)) == (1 if why == "newer than its backups" else 0)


def test_a_token_is_of_what_was_there(restore: Restore, h: History) -> None:
    to_simple(h)
    printed = token(restore.run("--to", h.middle, "-d", h.database, "--dry-run", code=None))
    # The same loss, whoever goes on working.
    h.rows(1)
    assert token(restore.run("--to", h.middle, "-d", h.database, "--dry-run", code=None)) == printed
    # Another target is another token.
    other = restore.run("--to", "latest", "-d", h.database, "--dry-run", code=None)
    assert token(other) != printed
    # And when it was restored meanwhile it is another database.
    restore.run("--to", h.middle, "-d", h.database, "--acknowledge-data-loss", printed)
    assert values(h.sim, h.database) == h.expected(h.middle)
    h.sim.query("INSERT INTO marks VALUES (77, SYSUTCDATETIME())", h.database)
    to_simple(h)
    again = restore.run("--to", h.middle, "-d", h.database, "--acknowledge-data-loss", printed, code=CONFLICT)
    assert "changed" in again.err
    assert 77 in values(h.sim, h.database)


def test_the_tail_fails_and_nothing_was_touched(restore: Restore, h: History) -> None:
    h.sim.do("fail_next", kind="log", number=3202, text="Write on 'x' failed: 112(There is not enough space on the disk.)")
    done = restore.run("--to", h.middle, "-d", h.database, code=DATA_LOSS)
    assert "does not save what was committed" in done.err and "not enough space" in done.err
    unharmed(h)
    words = done.err.replace(".", " ").split()
    printed = words[words.index("token") + 1]
    h.sim.do("fail_next", kind="log", number=3202, text="Write on 'x' failed: 112(There is not enough space on the disk.)")
    restore.run("--to", h.middle, "-d", h.database, "--acknowledge-data-loss", printed)
    assert values(h.sim, h.database) == h.expected(h.middle)
    assert access(h.sim, h.database) == "MULTI_USER"


def test_suspect_its_tail_can_be_read(restore: Restore, h: History) -> None:
    h.sim.do("state", database=h.database, state="SUSPECT")
    done = restore.run("--to", h.middle, "-d", h.database)
    assert done.database["replaces"] == "tail"
    assert values(h.sim, h.database) == h.expected(h.middle)
    assert everything(restore, h) == h.all


def test_restoring_from_the_store_is_no_loss(restore: Restore, h: History) -> None:
    """Killed in the middle, and the journal is gone: what is in the database is in the store."""
    killed = restore.run("--to", h.middle, "-d", h.database, fault="restore.tail_shipped:after:kill", code=None)
    assert killed.code == -9
    for journal in restore.staging.glob("*.json"):
        journal.unlink()
    assert state(h.sim, h.database) == "RESTORING"
    restore.run("--to", h.middle, "-d", h.database)
    assert values(h.sim, h.database) == h.expected(h.middle)
    assert everything(restore, h) == h.all


def test_dropped_meanwhile(restore: Restore, h: History) -> None:
    h.sim.query(f"DROP DATABASE [{h.database}]")
    done = restore.run("--to", h.middle, "-d", h.database)
    assert done.database["replaces"] == "nothing"
    assert values(h.sim, h.database) == h.expected(h.middle)


def test_a_backup_that_is_damaged_is_found_before_anybody_is_thrown_out(restore: Restore, h: History, tmp_path: Path) -> None:
    from fixtures.restore import copy_store, damage

    store = copy_store(restore.store, tmp_path / "damaged")
    damage(store, "flip", h.object("full", 0, store))
    broken = Restore(h.sim, store, tmp_path / "b")
    done = broken.run("--to", h.middle, "-d", h.database, code=None)
    assert done.code not in (0, 1)
    assert state(h.sim, h.database) in ("ONLINE", "RESTORING")
    if state(h.sim, h.database) == "RESTORING":
        assert "WITH RECOVERY" in done.err + done.out
        h.sim.query(f"RESTORE DATABASE [{h.database}] WITH RECOVERY")
    with contextlib.suppress(Exception):
        h.sim.query(f"ALTER DATABASE [{h.database}] SET MULTI_USER")
    unharmed(h)


# --- what RESTORE resets ---------------------------------------------------------------------------------------------------


def options(server: Sim, database: str) -> tuple:
    text = f"SELECT SUSER_SNAME(owner_sid) AS o, is_trustworthy_on AS t, is_broker_enabled AS b FROM sys.databases WHERE name = N'{database}'"
    (row,) = storecheck.dicts(server.query(text))
    return row["o"], bool(row["t"]), bool(row["b"])


@pytest.fixture
def furnished(tmp_path: Path, certificate: tuple[str, str]) -> Iterator[tuple[History, Restore]]:
    """A database with an owner of its own, options, and users; backed up so."""
    sim = Sim(tmp_path / "sql", certificate).start()
    sidecar: list[Sidecar] = []

    def make(server: Sim, name: str, **config: Any) -> Sidecar:
        sidecar.append(Sidecar(tmp_path / name, server.port, server.password, **config))
        return sidecar[-1]

    past.create(sim, "shop", ballast=1)
    for login in ("boss", "app", "gone"):
        sim.query(f"CREATE LOGIN [{login}] WITH PASSWORD = N'Long-Enough-1'")
    for user in ("app", "gone"):
        sim.query(f"CREATE USER [{user}] FOR LOGIN [{user}]", "shop")
    sim.query("ALTER AUTHORIZATION ON DATABASE::[shop] TO [boss]; ALTER DATABASE [shop] SET TRUSTWORTHY ON; ALTER DATABASE [shop] SET ENABLE_BROKER")
    one = make(sim, "sidecar", **past.merge(past.QUIET, {"policy": {"databases": ["shop"]}}))
    one.start()
    one.wait_full("shop")
    h = History(sim, one, "shop").rows(3).backup("log")
    past.end(h)
    yield h, Restore(sim, one.store, tmp_path)
    one.kill()
    one.socket.unlink(missing_ok=True)
    sim.kill()


def test_options_are_listed_or_put_back(furnished: tuple[History, Restore]) -> None:
    h, restore = furnished
    wanted = ("boss", True, True)
    assert options(h.sim, "shop") == wanted
    done = restore.run("--to", "latest", "-d", "shop", "--as", "listed")
    assert options(h.sim, "listed")[:2] == ("sa", False)
    assert "ALTER AUTHORIZATION ON DATABASE::[listed] TO [boss];" in done.database["next"]
    assert "ALTER DATABASE [listed] SET TRUSTWORTHY ON;" in done.database["next"]
    for statement in done.database["next"]:
        if "BROKER" not in statement:
            h.sim.query(statement)  # it is what it says
    assert options(h.sim, "listed")[:2] == ("boss", True)
    restore.run("--to", "latest", "-d", "shop", "--reapply-options")
    assert options(h.sim, "shop") == wanted
    assert values(h.sim, "shop") == h.all


def test_orphaned_users_are_listed_with_their_repair(furnished: tuple[History, Restore], certificate: tuple[str, str], tmp_path: Path) -> None:
    h, restore = furnished
    other = Sim(tmp_path / "other", certificate).start()
    try:
        other.query("CREATE LOGIN [app] WITH PASSWORD = N'Long-Enough-2'")  # the same name, another identity
        done = Restore(other, restore.store, tmp_path / "o").run("--to", "latest", "-d", "shop")
        repairs = [s for s in done.database["next"] if "USER" in s or "LOGIN" in s]
        assert "USE [shop]; ALTER USER [app] WITH LOGIN = [app];" in repairs, done.out
        assert any(s.startswith("CREATE LOGIN [gone] WITH PASSWORD = N'<choose one>', SID = 0x") for s in repairs), repairs
        assert any("'boss', which is no login" in w for w in done.database["warnings"]), done.out
        for statement in repairs:
            other.query(statement.replace("<choose one>", "Long-Enough-3"))
        with other.connect("shop", user="gone", password="Long-Enough-3") as client:
            assert client.query("SELECT 1 AS one").rows
        with other.connect("shop", user="app", password="Long-Enough-2") as client:
            assert client.query("SELECT 1 AS one").rows
    finally:
        other.kill()
