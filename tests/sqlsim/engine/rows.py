# SPDX-License-Identifier: Apache-2.0
"""The SQLite side of a database: connections, capture of row images, redo of them."""

from __future__ import annotations

import base64
import dataclasses
import json
import sqlite3
import urllib.parse
from typing import Any, Iterator

from ..contract import Column, SqlType, TableDef

PAGE = 8192
INTERNAL = "sys."
SYSTEM_TABLES = {
    "sys.users": "name TEXT COLLATE NOCASE PRIMARY KEY, id INTEGER, sid BLOB, type TEXT, created TEXT",
    "sys.members": "role TEXT COLLATE NOCASE, member TEXT COLLATE NOCASE, PRIMARY KEY (role, member)",
    "sys.perms": "grantee TEXT COLLATE NOCASE, perm TEXT, object TEXT, state TEXT, PRIMARY KEY (grantee, perm, object)",
    "sys.tables": "name TEXT COLLATE NOCASE PRIMARY KEY, id INTEGER, def TEXT, created TEXT",
    "sys.identities": "name TEXT COLLATE NOCASE PRIMARY KEY, value INTEGER",
    "sys.things": "kind TEXT, name TEXT, value TEXT, PRIMARY KEY (kind, name)",
}
INTEGERS = {"int", "bigint", "smallint", "tinyint", "bit"}


class Connection(sqlite3.Connection):
    """Takes attributes, so that the executor can note which functions it has registered here."""


def quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def collate_ci(left: str, right: str) -> int:
    a, b = left.casefold().rstrip(" "), right.casefold().rstrip(" ")
    return (a > b) - (a < b)


def encode(value: Any) -> Any:
    return {"b": base64.b64encode(value).decode()} if isinstance(value, (bytes, memoryview)) else value


def decode(value: Any) -> Any:
    return base64.b64decode(value["b"]) if isinstance(value, dict) else value


def image(*values: Any) -> str:
    return json.dumps([encode(v) for v in values])


def connect(path: str, create: bool = False) -> Connection:
    """A file that is not there is an error, unless it is to be made."""
    uri = f"file:{urllib.parse.quote(path)}?mode={'rwc' if create else 'rw'}"
    db = sqlite3.connect(uri, uri=True, factory=Connection, check_same_thread=False, isolation_level=None, timeout=30,
                         cached_statements=256)
    if create:
        db.execute(f"PRAGMA page_size={PAGE}")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=OFF")
    db.execute("PRAGMA secure_delete=OFF")
    db.create_collation("SQLSIM_CI", collate_ci)
    return db


def create_file(path: str) -> Connection:
    db = connect(path, create=True)
    db.execute('CREATE TABLE "sys.meta" (name TEXT PRIMARY KEY, value)')
    for name, columns in SYSTEM_TABLES.items():
        db.execute(f"CREATE TABLE {quote(name)} ({columns})")
    return db


def columns_of(db: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in db.execute(f"PRAGMA table_info({quote(table)})")]


def user_tables(db: sqlite3.Connection) -> list[str]:
    return [n for (n,) in db.execute("SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite_%'")
            if n != "sys.meta"]


def install_capture(db: Connection) -> None:
    """Temporary triggers write the image of each changed row into a temporary table, so that a rollback, also of a
    single statement or to a savepoint, takes the images back with the rows."""
    db.create_function("sqlsim_image", -1, image)
    db.execute("PRAGMA recursive_triggers=ON")
    db.execute("CREATE TEMP TABLE IF NOT EXISTS sqlsim_capture (op TEXT, tbl TEXT, rid INTEGER, nid INTEGER, img TEXT)")
    known = {n for (n,) in db.execute("SELECT name FROM sqlite_temp_master WHERE type='trigger'")}
    for name in user_tables(db):
        if f"cap_i_{name}" not in known:
            capture_table(db, name)


def capture_table(db: Connection, name: str) -> None:
    table, text = quote(name), "'" + name.replace("'", "''") + "'"
    parts, columns = [], columns_of(db, name)
    for at in range(0, len(columns), 100):
        parts.append("sqlsim_image(" + ", ".join("new." + quote(c) for c in columns[at:at + 100]) + ")")
    picture = "||'\n'||".join(parts)
    for op, event, rid, nid, value in (("I", "INSERT", "new._rowid_", "NULL", picture),
                                       ("U", "UPDATE", "old._rowid_", "new._rowid_", picture),
                                       ("D", "DELETE", "old._rowid_", "NULL", "NULL")):
        trigger = quote(f"cap_{op.lower()}_{name}")
        db.execute(f"DROP TRIGGER IF EXISTS temp.{trigger}")
        db.execute(f"CREATE TEMP TRIGGER {trigger} AFTER {event} ON main.{table} BEGIN "
                   f"INSERT INTO sqlsim_capture VALUES ('{op}', {text}, {rid}, {nid}, {value}); END")


def drop_capture(db: Connection, name: str) -> None:
    for op in "iud":
        db.execute("DROP TRIGGER IF EXISTS temp." + quote(f"cap_{op}_{name}"))


def drain(db: Connection) -> Iterator[list]:
    """The captured operations in order; the capture table is empty afterwards."""
    rows = db.execute("SELECT op, tbl, rid, nid, img FROM sqlsim_capture ORDER BY _rowid_").fetchall()
    if rows:
        db.execute("DELETE FROM sqlsim_capture")
    for op, table, rid, nid, text in rows:
        values = [v for part in text.split("\n") for v in json.loads(part)] if text else None
        yield [op, table, rid, nid, values]


class RedoConflict(ValueError):
    """A logged operation that the rows contradict: the log belongs to another history."""

    lsn: Any = None


class Redo:
    """Applies logged operations to a connection without capture."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.columns: dict[str, list[str]] = {}

    def apply(self, ops: list) -> None:
        for op in ops:
            if op[0] == "Q":
                self.db.execute(op[1])
                self.columns.clear()
                continue
            kind, table, rid, nid, values = op
            columns = self.columns.get(table)
            if columns is None:
                columns = self.columns[table] = columns_of(self.db, table)
            name = quote(table)
            if kind == "D":
                self._one(f"DELETE FROM {name} WHERE _rowid_=?", (rid,))
                continue
            row = [decode(v) for v in values]
            if kind == "I":
                names = ", ".join(quote(c) for c in columns[:len(row)])
                marks = ", ".join("?" * len(row))
                self._one(f"INSERT INTO {name} (_rowid_, {names}) VALUES (?, {marks})", (rid, *row))
            else:
                sets = ", ".join(quote(c) + "=?" for c in columns[:len(row)])
                self._one(f"UPDATE {name} SET {sets}, _rowid_=? WHERE _rowid_=?", (*row, nid, rid))

    def _one(self, sql: str, values: tuple) -> None:
        """A change of exactly one row."""
        if self.db.execute(sql, values).rowcount != 1:
            raise RedoConflict(sql)


def dump_table(table: TableDef) -> str:
    return json.dumps(dataclasses.asdict(table), default=str)


def _make(cls: Any, values: dict) -> Any:
    known = {f.name for f in dataclasses.fields(cls)}
    return cls(**{k: v for k, v in values.items() if k in known})


def load_table(text: str) -> TableDef:
    values = json.loads(text)
    columns = []
    for column in values["columns"]:
        column["type"] = _make(SqlType, column["type"])
        columns.append(_make(Column, column))
    values["columns"] = columns
    if values.get("identity"):
        values["identity"] = tuple(values["identity"])
    return _make(TableDef, values)


def table_sql(table: TableDef, name: str) -> str:
    """The SQLite table. Columns have no affinity, except integers, so that values come back as they went in."""
    parts = []
    for column in table.columns:
        text = quote(column.name)
        if column.type.kind in INTEGERS:
            text += " INTEGER" if column.type.kind != "bit" else " INT"
        elif column.type.kind in ("char", "varchar", "nchar", "nvarchar"):
            text += " COLLATE SQLSIM_CI"
        if not column.nullable:
            text += " NOT NULL"
        parts.append(text)
    if table.primary_key:
        parts.append("PRIMARY KEY (" + ", ".join(quote(c) for c in table.primary_key) + ")")
    return f"CREATE TABLE {quote(name)} ({', '.join(parts)})"
