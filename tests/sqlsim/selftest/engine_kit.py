# SPDX-License-Identifier: Apache-2.0
"""Short forms for tests that talk to the engine without a wire or a language."""

from __future__ import annotations

import contextlib
import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any, Iterator, Optional

from sqlsim.contract import BackupStatement, Column, Columns, Error, Info, RestoreStatement, Row, SqlError, SqlType, TableDef
from sqlsim.engine.server import InternalSession, Server

PASSWORD = "Str0ng!Passw0rd"


class Kit:
    """One server in a directory."""

    def __init__(self, root: Path, name: str = "sim1", **options: Any) -> None:
        self.root = Path(root)
        self.stage = self.root / "stage"
        self.stage.mkdir(parents=True, exist_ok=True)
        self.server = Server(name, str(self.root / name), sa_password=PASSWORD, backup_dir=str(self.stage), **options)
        self.server.start()
        self.session = self.server.internal_session()

    def restart(self) -> None:
        """A new server object on the same files."""
        old = self.server
        old.stop()
        self.server = Server(old.name, old.data_dir, old.version, old.edition, PASSWORD, backup_dir=old.backup_dir)
        self.server.start()
        self.session = self.server.internal_session()

    def login(self, name: str, database: str = "master") -> InternalSession:
        return self.server.internal_session(database, name)

    # -- rows -------------------------------------------------------------------------------------------------------

    def create(self, name: str = "db1", model: Optional[str] = None) -> None:
        self.server.create_database(self.session, name, {})
        if model:
            self.server.alter_database(self.session, name, [("RECOVERY", model)], None)
        table = TableDef("t", [Column("id", SqlType("int"), False), Column("v", SqlType("nvarchar", 100))], primary_key=["id"])
        with self.writing(name) as tran:
            tran.database.create_table(tran, table)

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[Any]:
        with self.server.database(name).writing(self.session) as tran:
            yield tran

    def put(self, name: str, *ids: int, text: str = "x", mark: Optional[tuple[str, str]] = None) -> dt.datetime:
        """One transaction per call. Returns the server's local time after the commit."""
        db = self.server.database(name)
        tran = db.begin(self.session)
        for number in ids:
            tran.connection.execute('INSERT INTO "dbo.t" VALUES (?,?)', (number, text))
        db.commit(tran, mark)
        return self.server.clock.local()

    def ids(self, name: str = "db1") -> list[int]:
        with contextlib.closing(self.server.database(name, self.session).reader()) as db:
            return [n for (n,) in db.execute('SELECT id FROM "dbo.t" ORDER BY id')]

    # -- statements -------------------------------------------------------------------------------------------------

    def backup(self, what: str, name: str, *files: str, session: Any = None, mirrors: Any = (), **options: Any) -> list:
        events: list = []
        kind = {"full": "DATABASE", "diff": "DATABASE", "log": "LOG"}[what]
        if what == "diff":
            options["DIFFERENTIAL"] = True
        stmt = BackupStatement(kind, name, [self.path(f) for f in files], dict(options), [[self.path(f) for f in m] for m in mirrors])
        self.server.backup(session or self.session, stmt, events.append)
        return events

    def path(self, file: str) -> str:
        return file if file.startswith("/") or file == "NUL" or "://" in file else str(self.stage / file)

    def restore(self, what: str, name: str, *files: str, session: Any = None, events: Optional[list] = None, **options: Any) -> list:
        events = [] if events is None else events
        stmt = RestoreStatement(what, name, [self.path(f) for f in files], dict(options))
        self.server.restore(session or self.session, stmt, events.append)
        return events

    def move(self, name: str, source: str = "db1") -> list[tuple[str, str]]:
        folder = self.server.data_dir
        return [(source, f"{folder}/{name}.mdf"), (f"{source}_log", f"{folder}/{name}_log.ldf")]

    def full_to(self, name: str, file: str, source: str = "db1", **options: Any) -> list:
        options.setdefault("NORECOVERY", True)
        options.setdefault("MOVE", self.move(name, source))
        return self.restore("DATABASE", name, file, **options)

    def recover(self, name: str) -> list:
        return self.restore("DATABASE", name, RECOVERY=True)

    def table(self, events: list) -> list[dict]:
        names, out = [], []
        for event in events:
            if isinstance(event, Columns):
                names = [c.name for c in event.columns]
            elif isinstance(event, Row):
                out.append(dict(zip(names, event.values)))
        return out

    def header(self, *files: str, **options: Any) -> list[dict]:
        return self.table(self.restore("HEADERONLY", "", *files, **options))

    def view(self, name: str, database: str = "master", session: Any = None) -> list[dict]:
        columns, rows = self.server.view(session or self.session, database, name)
        return [dict(zip([c.name for c in columns], r)) for r in rows]

    def function(self, name: str, *args: Any, session: Any = None) -> list[dict]:
        columns, rows = self.server.table_function(session or self.session, "master", name, list(args))
        return [dict(zip([c.name for c in columns], r)) for r in rows]

    def db(self, name: str = "db1") -> dict:
        return next(r for r in self.view("sys.databases") if r["name"] == name)

    def recovery(self, name: str = "db1") -> dict:
        number = self.server.find(name).id
        return next(r for r in self.view("sys.database_recovery_status") if r["database_id"] == number)

    def file(self, name: str = "db1") -> dict:
        number = self.server.find(name).id
        return next(r for r in self.view("sys.master_files") if r["database_id"] == number and r["file_id"] == 1)

    def history(self) -> list[dict]:
        return self.view("dbo.backupset", "msdb")

    def security(self, verb: str, database: str = "master", session: Any = None, **args: Any) -> None:
        self.server.security(session or self.session, database, verb, args)


def infos(events: list) -> list[int]:
    return [e.number for e in events if isinstance(e, Info)]


@contextlib.contextmanager
def raises(*numbers: int) -> Iterator[SqlError]:
    """The statement fails with exactly these numbers in order."""
    holder: list[SqlError] = []
    try:
        yield holder
    except SqlError as exc:
        holder.append(exc)
        found = [exc.error.number, *(e.number for e in exc.also)]
        assert found == list(numbers), f"got {found}: {exc}"
        return
    raise AssertionError(f"no error, expected {numbers}")


@contextlib.contextmanager
def raises_any(*numbers: int) -> Iterator[None]:
    """The statement fails with one of these numbers."""
    try:
        yield
    except SqlError as exc:
        assert exc.error.number in numbers, exc
        return
    raise AssertionError(f"no error, expected one of {numbers}")


__all__ = ["Kit", "infos", "raises", "raises_any", "Decimal", "Error", "PASSWORD"]
