# SPDX-License-Identifier: Apache-2.0
"""One simulated SQL Server: life cycle, sessions, and the EngineApi over the parts of this package."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import threading
import time
import weakref
from dataclasses import dataclass, field
from typing import Any, Optional, Sequence

from ..contract import BackupStatement, Emit, Error, Login, RestoreStatement, SqlError
from . import backup, databases, errors, functions, integrity, msdb, procs, restore, store, views
from .clock import Clock
from .database import Database
from .faults import Faults
from .principals import Principals
from .security import Security

DATABASE_VERSION = {14: 869, 15: 904, 16: 957, 17: 998}
COMPAT = {14: 140, 15: 150, 16: 160, 17: 170}
ENGINE_EDITION = {"Standard": 2, "Web": 2, "Express": 4}
SYSTEM = ("master", "tempdb", "model", "msdb")


@dataclass
class SessionInfo:
    """What the server knows of a connection."""

    spid: int
    login_name: str
    login: Login
    session: Any  # weak reference, or a callable that returns the session
    login_time: dt.datetime
    request: Optional["Request"] = None


@dataclass
class Request:
    command: str
    start: dt.datetime
    database: str
    percent: float = 0.0
    wait: Optional[str] = None
    blocking: int = 0
    began: float = field(default_factory=time.monotonic)
    cpu_began: float = field(default_factory=time.thread_time)
    cpu_ms: int = 0
    reads: int = 0
    writes: int = 0

    def work(self, read: int = 0, written: int = 0) -> None:
        """Notes bytes that were moved; called by the thread that runs the request."""
        self.reads += read // 8192
        self.writes += written // 8192
        self.cpu_ms = int((time.thread_time() - self.cpu_began) * 1000)


class InternalSession:
    """A connection of the engine's own: foreign backups that a test asks for."""

    def __init__(self, spid: int, database: str = "master") -> None:
        self.spid = spid
        self.database = database
        self.language = "us_english"
        self.cancel = threading.Event()
        self.killed = threading.Event()

    def close(self) -> None:
        pass


class Server:
    def __init__(self, name: str, data_dir: str, version: tuple[int, int, int, int] = (16, 0, 4236, 2),
                 edition: str = "Developer Edition (64-bit)", sa_password: str = "", *,
                 collation: str = "SQL_Latin1_General_CP1_CI_AS", timezone: str = "UTC", backup_dir: Optional[str] = None) -> None:
        self.name = name
        self.data_dir = os.path.abspath(data_dir)
        self.backup_dir = os.path.abspath(backup_dir) if backup_dir else self.data_dir
        self.system_dir = os.path.join(self.data_dir, ".system")
        self.version = version
        self.edition = edition
        self.sa_password = sa_password
        self.collation = collation
        self.check_policy = False
        self.clock = Clock(timezone)
        self.faults = Faults(self)
        self.lock = threading.RLock()
        self.dbs: dict[int, Database] = {}
        self.sessions: dict[int, SessionInfo] = {}
        self.trace_flags: set[int] = set()
        self.claimed: set[str] = set()  # backup files that are being written
        self.running = False
        self.start_time: Optional[dt.datetime] = None
        self.store: store.Store = None
        self.security = Security(self)
        self.principals = Principals(self)
        self.on_shutdown: Any = None  # called by SHUTDOWN after stop(), for whoever owns the listener
        self._log_lock = threading.Lock()

    # -- identity ---------------------------------------------------------------------------------------------------

    @property
    def major(self) -> int:
        return self.version[0]

    @property
    def database_version(self) -> int:
        return DATABASE_VERSION.get(self.major, 957)

    @property
    def engine_edition(self) -> int:
        return ENGINE_EDITION.get(self.edition.split()[0], 3)

    @property
    def edition_kind(self) -> str:
        return self.edition.split()[0]

    @property
    def size_limit(self) -> int:
        """Bytes that the data files of one database may have; 0 for any number."""
        given = self.store.setting("size_limit")
        if given is not None:
            return int(given)
        return 0 if self.edition_kind != "Express" else (50 if self.major >= 17 else 10) << 30

    def version_text(self) -> str:
        year = {14: "2017", 15: "2019", 16: "2022", 17: "2025"}.get(self.major, "2022")
        number = ".".join(map(str, self.version))
        return (f"Microsoft SQL Server {year} (RTM-CU16) (KB5048033) - {number} (X64) \n\tNov 22 2024 12:21:20 \n\tCopyright (C) "
                f"{year} Microsoft Corporation\n\t{self.edition} on Linux (Ubuntu 22.04.5 LTS) <X64>")

    # -- life cycle -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Opens the instance, makes it at the first start, recovers every database."""
        os.makedirs(self.system_dir, exist_ok=True)
        os.makedirs(self.backup_dir, exist_ok=True)
        self.store = store.Store(os.path.join(self.system_dir, "instance.db"))
        self.start_time = self.clock.local()
        if self.store.setting("made") is None:
            databases.make_instance(self)
        else:
            databases.open_all(self)
        if self.sa_password:
            self.principals.alter_login(None, "", {"name": "sa", "password": self.sa_password})
        self.running = True
        self.errorlog("SQL Server is now ready for client connections. This is an informational message; no user action is required.")
        self.errorlog("Recovery is complete. This is an informational message only. No user action is required.")

    def stop(self, wait: float = 10.0) -> None:
        """Ends sessions and running backups, closes every database."""
        self.errorlog("SQL Server is terminating because of a system shutdown. This is an informational message only. "
                      "No user action is required.")
        self._end(wait, Error(6005, "SHUTDOWN is in progress.", 1, 14))

    def crash(self, wait: float = 10.0) -> None:
        """As the loss of the process for this one of several servers: nobody is told anything, nothing is finished."""
        self._end(wait, None)

    def _end(self, wait: float, error: Optional[Error]) -> None:
        self.running = False
        for info in list(self.sessions.values()):
            session = info.session()
            if session is not None:
                session.kill_error = error
                session.killed.set()
        until = time.monotonic() + wait
        while time.monotonic() < until and any(i.request for i in list(self.sessions.values())):
            time.sleep(0.01)
        for database in list(self.dbs.values()):
            databases.abort_transaction(database, None)
        with self.lock:
            for database in self.dbs.values():
                with contextlib.suppress(Exception):
                    database.close()
            self.dbs.clear()
            self.sessions.clear()
            self.store.close()

    def shutdown(self, session: Any = None) -> None:
        if not self.security.can(session, "SHUTDOWN"):
            raise SqlError(6004, "User does not have permission to perform this action.", 1, 14)

        def run() -> None:
            self.stop()
            if self.on_shutdown is not None:
                self.on_shutdown()

        threading.Thread(target=run, name="shutdown", daemon=True).start()

    def errorlog(self, text: str) -> None:
        with self._log_lock, contextlib.suppress(OSError):
            with open(os.path.join(self.system_dir, "errorlog"), "a", encoding="utf-8") as out:
                out.write(f"{self.clock.local():%Y-%m-%d %H:%M:%S}.{self.clock.local().microsecond // 10000:02d} spid1s      {text}\n")

    # -- sessions ---------------------------------------------------------------------------------------------------

    def login(self, login: Login) -> Any:
        """A session for a client. Raises SqlError as the wire sends it."""
        from ..tsql.session import Session
        self.faults.on_login(login)
        if not self.running:
            raise SqlError(18451, f"Login failed for user '{login.user}'. Only administrators may connect at this time.", 1, 14)
        found = self.security.authenticate(login)
        wanted = login.database or found["default_db"] or "master"
        spid = self._reserve(found["name"], login)
        try:
            database = self._login_database(spid, login, wanted)
            session = Session(self, spid, login, database)
        except BaseException:
            self.sessions.pop(spid, None)
            raise
        self.sessions[spid].session = weakref.ref(session)
        return session

    def _reserve(self, name: str, login: Login) -> int:
        with self.lock:
            spid = next(n for n in range(51, 32767) if n not in self.sessions)
            self.sessions[spid] = SessionInfo(spid, name, login, lambda: None, self.clock.local())
            return spid

    def _login_database(self, spid: int, login: Login, wanted: str) -> str:
        probe = InternalSession(spid)
        try:
            return self.database(wanted, probe).name
        except SqlError:
            text = (f'Cannot open database "{wanted}" requested by the login. The login failed.' if login.database
                    else "Cannot open user default database. Login failed.")
            self.errorlog(f"Login failed for user '{login.user}'. Reason: Failed to open the explicitly specified database '{wanted}'.")
            raise SqlError(4060 if login.database else 4064, text, 1, 11,
                           also=[Error(18456, f"Login failed for user '{login.user}'.", 1, 14)]) from None

    def internal_session(self, database: str = "master", login: str = "sa") -> InternalSession:
        """A session that is not a client's. Close it with session_closed()."""
        spid = self._reserve(login, Login(login, "", database, app="SQLAgent"))
        session = InternalSession(spid, database)
        self.sessions[spid].session = lambda: session
        return session

    def session_closed(self, session: Any) -> None:
        """Also sessions of before a restart come here: their number may be another's by now."""
        info = self.sessions.get(session.spid)
        if info is not None and info.session() is session:
            self.sessions.pop(session.spid, None)

    def begin_request(self, session: Any, command: str, database: str) -> Optional[Request]:
        info = self.sessions.get(session.spid)
        if info is None:
            return None
        info.request = Request(command, self.clock.local(), database)
        return info.request

    def end_request(self, session: Any) -> None:
        info = self.sessions.get(session.spid)
        if info is not None:
            info.request = None

    def users_of(self, database: Database, but: Any = None) -> list[SessionInfo]:
        """Sessions that are in the database, or have a transaction there."""
        found = []
        for info in list(self.sessions.values()):
            session = info.session()
            if session is None or (but is not None and info.spid == but.spid) or session.killed.is_set():
                continue
            tran = database.active
            if (session.database or "").casefold() == database.name.casefold() or (tran is not None and tran.session is session):
                found.append(info)
        return found

    def requests_on(self, database: Database, but: Any = None) -> list[SessionInfo]:
        """Sessions that run BACKUP or DBCC of the database, wherever they are."""
        return [i for i in list(self.sessions.values()) if i.request is not None and (but is None or i.spid != but.spid)
                and i.request.command.startswith(("BACKUP", "DBCC")) and i.request.database.casefold() == database.name.casefold()]

    def kill(self, session: Any, spid: int) -> None:
        if not self.security.can(session, "ALTER ANY CONNECTION"):
            raise SqlError(6102, "User does not have permission to use the KILL statement.", 1, 14)
        if session is not None and spid == session.spid:
            raise SqlError(6104, "Cannot use KILL to kill your own process.", 1, 16)
        info = self.sessions.get(spid)
        target = info.session() if info is not None else None
        if target is None:
            raise SqlError(6106, f"Process ID {spid} is not an active process ID.", 2, 16)
        target.killed.set()

    # -- databases --------------------------------------------------------------------------------------------------

    def find(self, name: str) -> Optional[Database]:
        key = name.casefold()
        return next((d for d in list(self.dbs.values()) if d.name.casefold() == key), None)

    def database(self, name: str, session: Any = None) -> Database:
        database = self.find(name)
        if database is None:
            raise errors.no_database(name)
        if session is not None:
            databases.check_usable(self, database, session)
        return database

    def create_database(self, session: Any, name: str, options: dict[str, Any]) -> None:
        databases.create(self, session, name, options)

    def drop_database(self, session: Any, name: str) -> None:
        databases.drop(self, session, name)

    def alter_database(self, session: Any, name: str, clauses: list[tuple[str, Any]], termination: Optional[str]) -> None:
        databases.alter(self, session, name, clauses, termination)

    # -- the rest of the EngineApi ----------------------------------------------------------------------------------

    def view(self, session: Any, database: str, name: str):
        return views.view(self, session, database, name)

    def table_function(self, session: Any, database: str, name: str, args: list[Any]):
        return views.table_function(self, session, database, name, args)

    def scalar_function(self, session: Any, database: str, name: str, args: list[Any]) -> Any:
        return functions.scalar(self, session, database, name, args)

    def procedure(self, session: Any, database: str, name: str, args: dict[str, Any], emit: Emit) -> int:
        return procs.run(self, session, database, name, args, emit)

    def backup(self, session: Any, stmt: BackupStatement, emit: Emit) -> None:
        backup.run(self, session, stmt, emit)

    def restore(self, session: Any, stmt: RestoreStatement, emit: Emit) -> None:
        restore.run(self, session, stmt, emit)

    def checkdb(self, session: Any, database: str, emit: Emit, command: str = "CHECKDB", options: Sequence[str] = (),
                args: Sequence[str] = (), table: str = "") -> int:
        return integrity.check(self, session, command, database, emit, options, args, table)

    def trace(self, session: Any, flags: list[int], on: Optional[bool]) -> list[tuple]:
        """DBCC TRACEON/TRACEOFF/TRACESTATUS. All flags are global here."""
        if on is not None:
            if not self.security.sysadmin(session):
                raise SqlError(2571, f"User '{self.security.name_of(session)}' does not have permission to run DBCC TRACEON.", 3, 14)
            (self.trace_flags.update if on else self.trace_flags.difference_update)(flags)
            return []
        wanted = [f for f in flags if f > 0] or sorted(self.trace_flags)
        return [(f, int(f in self.trace_flags), int(f in self.trace_flags), 0) for f in wanted]

    def note_mark(self, database: Database, mark: tuple[str, str], record: Any, session: Any) -> None:
        msdb.note_mark(self, database, mark, record, self.security.name_of(session))

    def now(self, session: Any = None) -> dt.datetime:
        return self.clock.now()

    def default_path(self, kind: str) -> str:
        """Where files of new databases go; kinds data and log."""
        return str(self.store.setting(f"default_{kind}", "") or self.data_dir)

    def config(self, name: str) -> int:
        return int(self.store.setting("config", {}).get(name, 0))
