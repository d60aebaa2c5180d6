# SPDX-License-Identifier: Apache-2.0
"""What the instance remembers about itself: databases, logins, server permissions, configuration (an SQLite file)."""

from __future__ import annotations

import json
import sqlite3
import threading
import uuid
from dataclasses import dataclass, field, fields
from typing import Any, Optional

from .lsn import Lsn, from_num

SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT);
CREATE TABLE IF NOT EXISTS dbs (id INTEGER PRIMARY KEY, state TEXT);
CREATE TABLE IF NOT EXISTS logins (name TEXT PRIMARY KEY COLLATE NOCASE, id INTEGER, sid BLOB, type TEXT, hash BLOB, salt BLOB,
    disabled INTEGER, default_db TEXT, created TEXT);
CREATE TABLE IF NOT EXISTS roles (role TEXT COLLATE NOCASE, login TEXT COLLATE NOCASE, PRIMARY KEY (role, login));
CREATE TABLE IF NOT EXISTS perms (login TEXT COLLATE NOCASE, perm TEXT, state TEXT, PRIMARY KEY (login, perm));
CREATE TABLE IF NOT EXISTS things (kind TEXT, name TEXT, value TEXT, PRIMARY KEY (kind, name));
"""

ONLINE, RESTORING, RECOVERING, RECOVERY_PENDING, SUSPECT, EMERGENCY, OFFLINE = range(7)
STATE_DESC = {0: "ONLINE", 1: "RESTORING", 2: "RECOVERING", 3: "RECOVERY_PENDING", 4: "SUSPECT", 5: "EMERGENCY", 6: "OFFLINE"}
FULL, BULK_LOGGED, SIMPLE = 1, 2, 3
LETTERS = "DLS"
# Owner, TRUSTWORTHY, DB_CHAINING and the broker's switches are not among them: RESTORE sets these anew.
BOOT = ("auto_close", "auto_shrink", "page_verify", "containment", "rcsi", "broker_guid", "cdc", "published", "last_good_check")
MODEL_DESC = {1: "FULL", 2: "BULK_LOGGED", 3: "SIMPLE"}


def new_guid() -> str:
    return str(uuid.uuid4())


@dataclass
class FileState:
    file_id: int
    type: int  # 0 rows, 1 log, 2 a directory (FILESTREAM, memory-optimised data)
    logical: str
    physical: str
    guid: str = field(default_factory=new_guid)
    create_lsn: int = 0
    filegroup: str = "PRIMARY"

    @property
    def letter(self) -> str:
        """As backups call the type."""
        return LETTERS[self.type]


@dataclass
class RestoreState:
    """Where a RESTORING database stands. Its pages are those of the last data backup; the log records after them wait in
    the .ldf until recovery."""

    redo: int = 0  # R, the LSN that the next log must reach
    fork: str = ""
    base_guid: Optional[str] = None  # set GUID of the full whose pages the file holds
    bound_us: int = 0  # nothing before this local time can be a target any more
    stopped: bool = False
    incomplete: bool = False  # a RESTORE was interrupted
    early: bool = True  # recovery now begins a new fork
    source: str = ""  # name of the database that was backed up
    server: str = ""  # where
    tail: bool = False  # the database's own tail was just backed up: its pages are current
    version: int = 0  # database version of the backup


@dataclass
class DbState:
    id: int
    name: str
    create_date: str
    owner_sid: str = "01"  # as master has it
    dbo_sid: str = ""  # as the database itself has it; empty: the same. They differ after a restore
    state: int = ONLINE
    recovery_model: int = FULL
    user_access: int = 0
    read_only: bool = False
    auto_close: bool = False
    auto_shrink: bool = False
    page_verify: int = 2
    trustworthy: bool = False
    chaining: bool = False
    priority: bool = False  # HONOR_BROKER_PRIORITY
    cdc: bool = False
    published: int = 0  # 1 published, 2 merge published
    last_good_check: str = ""
    broker: bool = True
    containment: int = 0
    rcsi: bool = False
    compat: int = 160
    collation: str = "SQL_Latin1_General_CP1_CI_AS"
    broker_guid: str = field(default_factory=new_guid)
    standby: str = ""
    database_guid: str = field(default_factory=new_guid)
    family_guid: str = field(default_factory=new_guid)
    fork: str = field(default_factory=new_guid)
    first_fork: str = ""
    fork_point: Optional[int] = None
    chain: bool = False  # FULL or BULK_LOGGED and a data backup since: log backups are possible
    begins_chain: bool = True
    last_log: Optional[int] = None  # start of the next log backup
    last_log_time: Optional[str] = None
    last_log_fork: str = ""  # fork at last_log
    diff_guid: Optional[str] = None
    diff_lsn: Optional[int] = None
    diff_time: Optional[str] = None
    full_guid: Optional[str] = None
    database_backup_lsn: int = 0
    checkpoint: int = 0
    group: str = ""  # guid, when the database is in an availability group
    containers: list = field(default_factory=list)  # filegroups whose files are directories
    source_id: Optional[int] = None
    source_name: str = ""
    bad_pages: list = field(default_factory=list)
    log_limit: int = 0
    encrypted: bool = False
    key: str = ""  # thumbprint of the certificate that protects the database encryption key
    creating: bool = False
    files: list = field(default_factory=list)
    restore: Optional[RestoreState] = None

    def boot_options(self) -> dict:
        """The options that live in the database itself, so that its backups carry them."""
        return {name: getattr(self, name) for name in BOOT}

    def boot_page(self, meta: dict) -> None:
        """Takes the options that a set carries."""
        self.recovery_model = {v: k for k, v in MODEL_DESC.items()}[meta["recovery_model"]]
        self.read_only, self.compat = bool(meta["is_readonly"]), meta["compat"]
        for name, value in (meta.get("options") or {}).items():
            if name in BOOT:
                setattr(self, name, value)

    def lsn(self, name: str) -> Optional[Lsn]:
        value = getattr(self, name)
        return None if value is None else from_num(value)

    @property
    def data_file(self) -> FileState:
        return next(f for f in self.files if f.type == 0)

    @property
    def log_file(self) -> FileState:
        return next(f for f in self.files if f.type == 1)

    @property
    def pseudo_simple(self) -> bool:
        return self.recovery_model == SIMPLE or not self.chain

    def dump(self) -> str:
        return json.dumps(self, default=vars)


def load_state(text: str) -> DbState:
    values = json.loads(text)
    known = {f.name for f in fields(DbState)}
    values = {k: v for k, v in values.items() if k in known}
    values["files"] = [FileState(**f) for f in values.get("files", [])]
    if values.get("restore"):
        values["restore"] = RestoreState(**values["restore"])
    return DbState(**values)


class Store:
    """All calls are serialised; each is durable when it returns."""

    def __init__(self, path: str) -> None:
        self.lock = threading.RLock()
        self.db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=OFF")
        self.db.executescript(SCHEMA)

    def close(self) -> None:
        with self.lock:
            self.db.close()

    def run(self, sql: str, *args: Any) -> list[tuple]:
        with self.lock:
            return self.db.execute(sql, args).fetchall()

    def setting(self, name: str, default: Any = None) -> Any:
        rows = self.run("SELECT value FROM settings WHERE name=?", name)
        return json.loads(rows[0][0]) if rows else default

    def set(self, name: str, value: Any) -> None:
        self.run("INSERT OR REPLACE INTO settings VALUES (?,?)", name, json.dumps(value))

    def databases(self) -> list[DbState]:
        return [load_state(text) for (text,) in self.run("SELECT state FROM dbs ORDER BY id")]

    def save(self, state: DbState) -> None:
        self.run("INSERT OR REPLACE INTO dbs VALUES (?,?)", state.id, state.dump())

    def forget(self, database_id: int) -> None:
        self.run("DELETE FROM dbs WHERE id=?", database_id)

    def thing(self, kind: str, name: str) -> Any:
        rows = self.run("SELECT value FROM things WHERE kind=? AND name=?", kind, name)
        return json.loads(rows[0][0]) if rows else None

    def things(self, kind: str) -> dict[str, Any]:
        return {n: json.loads(v) for n, v in self.run("SELECT name, value FROM things WHERE kind=? ORDER BY name", kind)}

    def put_thing(self, kind: str, name: str, value: Any) -> None:
        self.run("INSERT OR REPLACE INTO things VALUES (?,?,?)", kind, name, json.dumps(value))

    def drop_thing(self, kind: str, name: str) -> None:
        self.run("DELETE FROM things WHERE kind=? AND name=?", kind, name)
