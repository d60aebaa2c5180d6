# SPDX-License-Identifier: Apache-2.0
"""How values lie in SQLite, and the private store of temporary tables.

Numbers that SQLite has no exact type for, times and GUIDs are text, in a form in which equal values are equal text."""

from __future__ import annotations

import datetime as dt
import sqlite3
import uuid
from decimal import Decimal
from typing import Any, Callable, Optional

from .. import moments
from ..contract import SqlType, TableDef
from . import types
from .convert import text_key


def quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def encoder(t: SqlType) -> Optional[Callable[[Any], Any]]:
    """Value to SQLite; None when it goes as it is."""
    kind = t.kind
    if kind == "bit":
        return int
    if kind in types.EXACT | types.MONEYS:
        return lambda v: format(v, "f")
    if kind == "uniqueidentifier":
        return lambda v: str(v).upper()
    if kind in ("datetime", "smalldatetime", "datetime2"):
        return lambda v: v.isoformat(" ", "microseconds")
    if kind == "datetimeoffset":
        return lambda v: v.isoformat(" ", "microseconds")
    if kind == "date":
        return dt.date.isoformat
    if kind == "time":
        return lambda v: v.isoformat("microseconds")
    if kind == "sql_variant":
        return encode_variant
    return None


def decoder(t: SqlType) -> Optional[Callable[[Any], Any]]:
    kind = t.kind
    if kind == "bit":
        return bool
    if kind in types.EXACT | types.MONEYS:
        return Decimal
    if kind == "uniqueidentifier":
        return uuid.UUID
    if kind in ("datetime", "smalldatetime", "datetime2", "datetimeoffset"):
        return moments.parse
    if kind == "date":
        return dt.date.fromisoformat
    if kind == "time":
        return moments.parse_clock
    if kind == "sql_variant":
        return decode_variant
    if kind in types.APPROX:
        return float
    return None


def encode_variant(value: Any) -> str:
    t = types.of_value(value)
    inner = encoder(t)
    text = inner(value) if inner else value.hex() if isinstance(value, bytes) else value
    return f"{t.kind}:{t.scale}:{text}"


def decode_variant(text: str) -> Any:
    kind, scale, body = text.split(":", 2)
    if kind in types.INTS:
        return int(body)
    if kind == "bit":
        return body == "1"
    if kind in types.BINARIES:
        return bytes.fromhex(body)
    inner = decoder(SqlType(kind, scale=int(scale)))
    return inner(body) if inner else body


def full_name(name: str) -> str:
    return name if "." in name else "dbo." + name


def collate(left: str, right: str) -> int:
    a, b = text_key(left), text_key(right)
    return (a > b) - (a < b)


def table_sql(table: TableDef, name: str) -> str:
    parts = []
    for column in table.columns:
        text = quote(column.name)
        if column.type.kind in types.INTS | {"bit"}:
            text += " INTEGER"
        elif column.type.kind in types.STRINGS:
            text += " COLLATE SQLSIM_CI"
        if not column.nullable:
            text += " NOT NULL"
        parts.append(text)
    if table.primary_key:
        parts.append("PRIMARY KEY (" + ", ".join(quote(c) for c in table.primary_key) + ")")
    return f"CREATE TABLE {quote(name)} ({', '.join(parts)})"


class LocalTran:
    """The transaction of a local store has the shape of the engine's."""

    def __init__(self, store: "LocalStore") -> None:
        self.database = store
        self.connection = store.connection
        self.open = True

    def next_identity(self, table: str, seed: int = 1, step: int = 1, count: int = 1) -> int:
        known = self.database.identities
        first = known[table] + step if table in known else seed
        known[table] = first + step * (count - 1)
        return first

    def note_identity(self, table: str, value: Optional[int]) -> None:
        if value is None:
            self.database.identities.pop(table, None)
        else:
            self.database.identities[table] = value


class LocalStore:
    """Temporary tables or table variables of one session: an SQLite database in memory."""

    def __init__(self, name: str, transactional: bool) -> None:
        self.name = name
        self.id = 2
        self.transactional = transactional
        self.connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self.connection.create_collation("SQLSIM_CI", collate)
        self.identities: dict[str, int] = {}
        self.definitions: dict[str, TableDef] = {}
        self._saved: dict[str, TableDef] = {}

    def tables(self, tran: Any = None) -> dict[str, TableDef]:
        return self.definitions

    def begin(self, session: Any) -> LocalTran:
        self.connection.execute("BEGIN")
        self._saved = dict(self.definitions)
        return LocalTran(self)

    def commit(self, tran: LocalTran, mark: Any = None) -> None:
        tran.open = False
        self.connection.execute("COMMIT")

    def rollback(self, tran: LocalTran) -> None:
        tran.open = False
        self.connection.execute("ROLLBACK")
        self.definitions = self._saved

    def create_table(self, tran: Any, table: TableDef) -> None:
        self.connection.execute(table_sql(table, table.name))
        self.definitions = {**self.definitions, table.name: table}

    def drop_table(self, tran: Any, name: str) -> None:
        self.connection.execute(f"DROP TABLE {quote(name)}")
        self.definitions = {k: v for k, v in self.definitions.items() if k != name}
        self.identities.pop(name, None)

    def alter_table(self, tran: Any, table: TableDef) -> None:
        have = {row[1].casefold() for row in self.connection.execute(f"PRAGMA table_info({quote(table.name)})")}
        for column in table.columns:
            if column.name.casefold() not in have:
                self.connection.execute(f"ALTER TABLE {quote(table.name)} ADD COLUMN {quote(column.name)}")
        self.definitions = {**self.definitions, table.name: table}

    def close(self) -> None:
        self.connection.close()
