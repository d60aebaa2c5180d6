# SPDX-License-Identifier: Apache-2.0
"""A restore destroys the database that was judged, as it was judged, and nothing else that has its name.

Whatever was allowed (a token that was quoted, nothing there, a tail that was taken) was allowed for one database on one instance. Between that
and the statement that destroys something lie a fetch of hours, or a crash and a resume; here somebody uses that time."""

from __future__ import annotations

import contextlib
import itertools
import json
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

import storecheck
from fixtures import history as past
from fixtures.history import History
from fixtures.restore import Done, Restore, databases, state, values
from fixtures.sidecar import Sidecar, wait_for
from fixtures.sqlsim import Sim

CONFLICT, DATA_LOSS, UNSUPPORTED, USAGE = 13, 31, 28, 2  # exit codes
FOREIGN = [4711]
NUMBERS = itertools.count(1)


class World:
    """Databases with the same history: five rows, a moment, three rows, all of it in the store."""

    def __init__(self, folder: Path, certificate: tuple[str, str], count: int) -> None:
        self.sim = Sim(folder / "sql", certificate).start()
        self.folder = folder
        self.free = past.protect(self.make, self.sim, *(f"db{n}" for n in range(count)))
        for h in self.free:
            h.rows(5)
            h.middle = h.moment()
            h.rows(3).backup("log")
        past.end(*self.free)
        self.kept = self.free.pop()
        self.store = self.kept.sidecar.store

    def make(self, sim: Sim, name: str, **config: Any) -> Sidecar:
        self.sidecar = Sidecar(self.folder / name, sim.port, sim.password, **config)
        return self.sidecar.start()

    def close(self) -> None:
        self.sidecar.socket.unlink(missing_ok=True)
        self.sidecar.check_sanitizers()
        self.sim.kill()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, certificate: tuple[str, str]) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("identity"), certificate, 23)
    yield made
    made.close()


@pytest.fixture
def h(world: World) -> Iterator[History]:
    yield world.free.pop()
    world.sim.do("clear")


@pytest.fixture
def kept(world: World) -> Iterator[History]:
    """One for tests that leave it as it is."""
    yield world.kept
    world.sim.do("clear")


@pytest.fixture
def name() -> str:
    return f"copy{next(NUMBERS)}"


@pytest.fixture
def restore(world: World, tmp_path: Path) -> Restore:
    return Restore(world.sim, world.store, tmp_path)


# ---- what somebody does -----------------------------------------------------------------------------------------------


def to_simple(h: History) -> None:
    """Its log cannot be saved any more: a token is needed."""
    h.sim.query(f"ALTER DATABASE [{h.database}] SET RECOVERY SIMPLE")
    h.sim.query(f"ALTER DATABASE [{h.database}] SET RECOVERY FULL")


def another(server: Sim, name: str) -> None:
    """A database of the name that has nothing to do with the one before."""
    server.query(f"CREATE DATABASE [{name}]")
    server.query("CREATE TABLE marks (n int, at datetime2)", name)
    server.query(f"INSERT INTO marks VALUES ({FOREIGN[0]}, SYSUTCDATETIME())", name)


def replaced(h: History, name: str) -> None:
    if state(h.sim, name) != "absent":
        h.sim.query(f"DROP DATABASE [{name}]")
    another(h.sim, name)


def opened_and_used(h: History, name: str) -> None:
    """As the report of a restore that failed says it can be done."""
    h.sim.query(f"RESTORE DATABASE [{name}] WITH RECOVERY")
    h.sim.query(f"INSERT INTO marks VALUES ({FOREIGN[0]}, SYSUTCDATETIME())", name)


def survived(h: History, name: str) -> None:
    assert state(h.sim, name) == "ONLINE"
    assert FOREIGN[0] in values(h.sim, name)
    (row,) = storecheck.dicts(h.sim.query(f"SELECT user_access_desc AS a FROM sys.databases WHERE name = N'{name}'"))
    assert row["a"] == "MULTI_USER"


def printed(done: Done) -> str:
    return done.database["token"]


def asked(restore: Restore, h: History, *more: str) -> list[str]:
    """A restore in place of a database whose loss is acknowledged."""
    to_simple(h)
    arguments = ["--to", h.middle, "-d", h.database, *more]
    return [*arguments, "--acknowledge-data-loss", printed(restore.run(*arguments, "--dry-run", code=None))]


def only_journal(restore: Restore) -> str:
    (journal,) = restore.journals()
    return journal


# ---- somebody else's database is there when it is gone on with ----------------------------------------------------------

KILLS = ["restore.restoring:after:kill", "restore.note:before:kill", "restore.note:after:kill", "restore.applied:before:kill",
         "restore.applied:after:kill", "restore.recovered:after:kill"]  # fmt: skip


@pytest.mark.parametrize("fault", KILLS)
def test_another_database_of_the_name_is_left_alone(restore: Restore, h: History, fault: str) -> None:
    restore.run(*asked(restore, h), fault=fault, code=None)
    replaced(h, h.database)
    done = restore.run("--resume", only_journal(restore), code=CONFLICT)
    assert values(h.sim, h.database) == FOREIGN and "left alone" in done.err
    survived(h, h.database)


@pytest.mark.parametrize("fault", KILLS)
def test_the_same_where_nothing_was_there(restore: Restore, kept: History, name: str, fault: str) -> None:
    h = kept
    restore.run("--to", h.middle, "-d", h.database, "--as", name, fault=fault, code=None)
    replaced(h, name)
    restore.run("--resume", only_journal(restore), code=CONFLICT)
    assert values(h.sim, name) == FOREIGN
    survived(h, name)


def test_a_half_restored_one_that_was_opened_by_hand_is_left_alone(restore: Restore, h: History) -> None:
    restore.run(*asked(restore, h), fault="restore.applied:before:kill", code=None)
    opened_and_used(h, h.database)
    done = restore.run("--resume", only_journal(restore), code=CONFLICT)
    survived(h, h.database)
    assert "opened by somebody else" in done.err


def test_somebody_elses_restore_of_the_name_is_left_alone(restore: Restore, h: History, tmp_path: Path) -> None:
    """It is RESTORING, its files lie where ours did, and what is in it is in no store."""
    restore.run(*asked(restore, h), fault="restore.note:after:kill", code=None)
    files = storecheck.dicts(h.sim.query(f"SELECT name, physical_name FROM sys.master_files WHERE database_id = DB_ID(N'{h.database}') ORDER BY file_id"))
    h.sim.query(f"DROP DATABASE [{h.database}]")
    media = tmp_path / "theirs.bak"
    tmp_path.chmod(0o755)
    another(h.sim, f"their_{h.database}")
    h.sim.query(f"BACKUP DATABASE [their_{h.database}] TO DISK = N'{media}'")
    logical = storecheck.dicts(h.sim.query(f"SELECT name FROM sys.master_files WHERE database_id = DB_ID(N'their_{h.database}') ORDER BY file_id"))
    moves = ", ".join(f"MOVE N'{mine['name']}' TO N'{its['physical_name']}'" for mine, its in zip(logical, files))
    h.sim.query(f"RESTORE DATABASE [{h.database}] FROM DISK = N'{media}' WITH {moves}, NORECOVERY")
    restore.run("--resume", only_journal(restore), code=CONFLICT)
    h.sim.query(f"RESTORE DATABASE [{h.database}] WITH RECOVERY")
    assert values(h.sim, h.database) == FOREIGN


def test_what_was_not_touched_is_gone_on_with(restore: Restore, h: History) -> None:
    """The identity is no obstacle: killed right before the first statement, and nobody did anything."""
    restore.run(*asked(restore, h), fault="restore.restoring:after:kill", code=None)
    assert values(h.sim, h.database) == h.all
    restore.run("--resume", only_journal(restore))
    assert values(h.sim, h.database) == list(range(1, 6)) and not restore.journals()


# ---- while it runs -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def held(restore: Restore, tmp_path: Path, *arguments: str, at: str) -> Iterator[dict[str, Done]]:
    """Stops the restore at a step, for as long as the block lasts; the outcome is there afterwards."""
    stop = tmp_path / "stop"
    process = restore.begin(*arguments, fault=f"{at}:pause:{stop}")
    outcome: dict[str, Done] = {}
    try:
        wait_for("the restore stands still", lambda: stop.exists() or process.poll() is not None)
        assert process.poll() is None, process.communicate()
        yield outcome
    finally:
        stop.unlink(missing_ok=True)
        outcome["done"] = restore.end(process)


@pytest.mark.parametrize("at", ["restore.checked:after", "restore.restoring:after"])
def test_replaced_while_backups_are_fetched(restore: Restore, h: History, tmp_path: Path, at: str) -> None:
    arguments = asked(restore, h)
    with held(restore, tmp_path, *arguments, at=at) as outcome:
        replaced(h, h.database)
    assert outcome["done"].code == CONFLICT, outcome["done"].err
    assert values(h.sim, h.database) == FOREIGN
    survived(h, h.database)


@pytest.mark.parametrize("at", ["restore.checked:after", "restore.restoring:after"])
def test_somebody_makes_one_where_nothing_was(restore: Restore, kept: History, name: str, tmp_path: Path, at: str) -> None:
    h = kept
    with held(restore, tmp_path, "--to", h.middle, "-d", h.database, "--as", name, at=at) as outcome:
        another(h.sim, name)
    assert outcome["done"].code == CONFLICT, outcome["done"].err
    assert values(h.sim, name) == FOREIGN


def test_another_one_before_the_tail_is_taken(restore: Restore, h: History, tmp_path: Path) -> None:
    """Nobody is thrown out of it, and its log is not taken."""
    with held(restore, tmp_path, "--to", h.middle, "-d", h.database, at="restore.evicted:after") as outcome:
        replaced(h, h.database)
    assert outcome["done"].code == CONFLICT, outcome["done"].err
    survived(h, h.database)


def test_opened_again_after_the_tail(restore: Restore, h: History, tmp_path: Path) -> None:
    """What was committed after the tail is in a second tail."""
    with held(restore, tmp_path, "--to", "latest", "-d", h.database, at="restore.tail_shipped:after") as outcome:
        opened_and_used(h, h.database)
    assert outcome["done"].code == 0, outcome["done"].err
    assert values(h.sim, h.database) == sorted([*h.all, *FOREIGN])


def test_opened_again_right_before_it_is_restored_over(restore: Restore, h: History, tmp_path: Path) -> None:
    """Behind the last look: the batch itself looks."""
    with held(restore, tmp_path, "--to", h.middle, "-d", h.database, at="restore.restoring:after") as outcome:
        opened_and_used(h, h.database)
    assert outcome["done"].code == CONFLICT, outcome["done"].err
    assert values(h.sim, h.database) == sorted([*h.all, *FOREIGN])
    restore.run("--resume", only_journal(restore), code=CONFLICT)
    assert values(h.sim, h.database) == sorted([*h.all, *FOREIGN])


def test_a_volume_that_comes_back_is_not_lost(restore: Restore, h: History, tmp_path: Path) -> None:
    """It could not be opened, what could be read of its log is saved; while the full is fetched it is open again and takes commits."""
    h.sim.do("state", database=h.database, state="RECOVERY_PENDING")
    with held(restore, tmp_path, "--to", "latest", "-d", h.database, at="restore.tail_shipped:after") as outcome:
        h.sim.do("state", database=h.database, state="ONLINE")
        h.sim.query(f"INSERT INTO marks VALUES ({FOREIGN[0]}, SYSUTCDATETIME())", h.database)
    assert outcome["done"].code == 0, outcome["done"].err
    assert values(h.sim, h.database) == sorted([*h.all, *FOREIGN]), "the second tail has it"


# ---- on the wrong instance, with the wrong backups ----------------------------------------------------------------------


def test_another_instance_is_refused(restore: Restore, h: History, tmp_path: Path, certificate: tuple[str, str]) -> None:
    restore.run(*asked(restore, h), fault="restore.note:after:kill", code=None)
    journal = only_journal(restore)
    other = Sim(tmp_path / "othersql", certificate).start()
    try:
        another(other, h.database)
        there = Restore(other, restore.store, tmp_path)
        done = there.run("--resume", journal, code=CONFLICT)
        assert "was begun on instance" in done.err and values(other, h.database) == FOREIGN
    finally:
        other.kill()
    restore.run("--resume", journal)
    assert values(h.sim, h.database) == list(range(1, 6))


def test_another_scope_is_refused(restore: Restore, h: History, tmp_path: Path) -> None:
    restore.run(*asked(restore, h), fault="restore.note:after:kill", code=None)
    (restore.store / "tests" / "other").mkdir(exist_ok=True)
    wrong = Restore(h.sim, restore.store, tmp_path, scope="tests/other")
    done = wrong.run("--resume", only_journal(restore), code=CONFLICT)
    assert "own scope" in done.err
    restore.run("--resume", only_journal(restore))
    assert values(h.sim, h.database) == list(range(1, 6))


def change_journal(restore: Restore, change: Callable[[dict[str, Any]], None]) -> str:
    path = restore.staging / f"{only_journal(restore)}.json"
    journal = json.loads(path.read_text())
    change(journal)
    path.write_text(json.dumps(journal))
    return path.stem


def test_backups_of_another_database_in_the_folder(restore: Restore, h: History) -> None:
    restore.run(*asked(restore, h), fault="restore.note:after:kill", code=None)

    def other_family(journal: dict[str, Any]) -> None:
        journal["databases"][0]["identity"]["family"] = "11111111-2222-3333-4444-555555555555"

    done = restore.run("--resume", change_journal(restore, other_family), code=CONFLICT)
    assert "of another database" in done.err and state(h.sim, h.database) == "RESTORING"


def test_a_journal_of_an_older_program(restore: Restore, h: History) -> None:
    """It does not say what may be replaced: nothing is."""
    restore.run(*asked(restore, h), fault="restore.restoring:after:kill", code=None)

    def older(journal: dict[str, Any]) -> None:
        del journal["server"], journal["databases"][0]["identity"]

    done = restore.run("--resume", change_journal(restore, older), code=UNSUPPORTED)
    assert "older program" in done.err and values(h.sim, h.database) == h.all


# ---- names ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blanks", ["blank ", " blank"])
def test_blanks_around_a_new_name(restore: Restore, kept: History, blanks: str) -> None:
    done = restore.run("--to", kept.middle, "-d", kept.database, "--as", blanks, code=USAGE)
    assert "blank" in done.err and not {n for n in databases(kept.sim) if "blank" in n}


def test_a_name_that_only_the_server_knows_to_be_the_same(restore: Restore, kept: History, name: str) -> None:
    """The case of letters outside of ASCII: by us two names, by its collation one."""
    h, there, asked_for = kept, f"ÜBUNG_{name}", f"übung_{name}"
    another(h.sim, there)
    h.sim.query(f"ALTER DATABASE [{there}] SET RECOVERY SIMPLE")
    done = restore.run("--to", h.middle, "-d", h.database, "--as", asked_for, code=DATA_LOSS)
    assert values(h.sim, there) == FOREIGN and "another database" in done.err


# ---- several databases that need a token ----------------------------------------------------------------------------------


def test_one_token_over_all_and_one_for_each(world: World, tmp_path: Path) -> None:
    one, two = world.free.pop(), world.free.pop()
    restore = Restore(world.sim, world.store, tmp_path)
    to_simple(one), to_simple(two)
    arguments = ["--to", "latest", one.database, two.database]
    dry = restore.run(*arguments, "--dry-run", code=None).report
    each = [d["token"] for d in dry["databases"]]
    assert len({*each, dry["token"]}) == 3
    done = restore.run(*arguments, "--acknowledge-data-loss", each[0], code=DATA_LOSS)
    assert "another database only" in done.err
    assert values(world.sim, one.database) == one.all and values(world.sim, two.database) == two.all
    restore.run(*arguments, "--acknowledge-data-loss", each[0], "--acknowledge-data-loss", "0000-0000-0000", code=DATA_LOSS)
    restore.run(*arguments, "--acknowledge-data-loss", "0000-0000-0000", code=CONFLICT)
    restore.run(*arguments, "--acknowledge-data-loss", each[1], "--acknowledge-data-loss", each[0])
    to_simple(one), to_simple(two)
    again = restore.run(*arguments, "--dry-run", code=None).report
    restore.run(*arguments, "--acknowledge-data-loss", again["token"])
    assert values(world.sim, two.database) == two.all
