# SPDX-License-Identifier: Apache-2.0
"""What the statement that is being compiled and run can see: variables, tables, the engine, the time."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Iterable, Iterator, Optional

from ..contract import Column, SqlType, TableDef
from . import errors, types
from .expr import Scope
from .names import split_name
from .query import Planner
from .relations import Relation, RowsRelation, TableRelation, committed, named
from .storage import LocalStore

DATA_ROLES = {"SELECT": ("db_datareader",), "INSERT": ("db_datawriter",), "UPDATE": ("db_datawriter",),
              "DELETE": ("db_datawriter",), "ALTER": ("db_ddladmin",)}


class Variable:
    __slots__ = ("type", "value")

    def __init__(self, type_: SqlType, value: Any = None) -> None:
        self.type = type_
        self.value = value


class Target:
    """A table that a statement names: its database, definition and name in SQLite."""

    def __init__(self, database: Any, table: TableDef, name: str) -> None:
        self.database = database
        self.table = table
        self.name = name  # as SQLite knows it

    @property
    def full(self) -> str:
        """As error messages name it."""
        if isinstance(self.database, LocalStore):
            return self.name if self.name.startswith("@") else f"tempdb.dbo.{self.name}"
        return f"{self.database.name}.{self.name}"

    @property
    def short(self) -> str:
        """schema.table"""
        return self.name


class Context:
    columns_possible = False

    def __init__(self, session: Any) -> None:
        self.session = session
        self.engine = session.engine
        self.database: str = session.database
        self.planner = Planner(self)
        self.null_seen = False
        self._now: Any = None

    # -- values ---------------------------------------------------------------------------------------------------------

    def now(self) -> Any:
        """One moment for the whole statement."""
        if self._now is None:
            self._now = self.engine.now(self.session)
        return self._now

    def variable(self, name: str) -> Variable:
        found = self.session.frame.variables.get(name.lower())
        if not isinstance(found, Variable):
            raise errors.no_variable(name)
        return found

    def plan(self, query: Any, scope: Optional[Scope]) -> Any:
        return self.planner.query(query, scope)

    # -- tables ---------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def reading(self, database: Any) -> Iterator[Any]:
        if isinstance(database, LocalStore):
            yield database.connection
            return
        tran = self.session.tran.of(database)
        if tran is not None:
            yield tran.connection
            return
        with committed(database) as connection:
            yield connection

    def tables(self, database: Any) -> dict[str, TableDef]:
        tran = self.session.tran.of(database)
        return database.tables(tran) if tran is not None else database.tables()

    def find_table(self, parts: list[str]) -> Optional[Target]:
        """A user table, a temporary table, or None."""
        name = parts[-1]
        if name.startswith("#"):
            store = self.session.temp
            for known, table in store.tables().items():
                if known.lower() == name.lower():
                    return Target(store, table, known)
            return None
        database = self.database_of(parts)
        schema = parts[-2] if len(parts) > 1 and parts[-2] else "dbo"
        wanted = f"{schema}.{name}".lower()
        tables = self.tables(database)
        found = tables.get(wanted)
        if found is not None and f"{schema}.{name}" == wanted:
            return Target(database, found, wanted)
        for known, table in tables.items():
            if known.lower() == wanted:
                return Target(database, table, known)
        return None

    def database_of(self, parts: list[str]) -> Any:
        if len(parts) > 3 and parts[-4] and parts[-4].lower() != str(getattr(self.engine, "name", "")).lower():
            raise errors.error(7202, f"Could not find server '{parts[-4]}' in sys.servers. Verify that the correct server name was "
                                     "specified. If necessary, execute the stored procedure sp_addlinkedserver to add the server "
                                     "to sys.servers.", 2, 11)
        name = parts[-3] if len(parts) > 2 and parts[-3] else self.database
        return self.engine.database(name, self.session)

    def target(self, node: Any, right: str) -> Target:
        """The table that a statement writes to."""
        if hasattr(node, "name") and isinstance(node.name, str):
            found = self.session.frame.variables.get(node.name.lower())
            if not isinstance(found, Target):
                raise errors.error(1087, f'Must declare the table variable "{node.name}".', 2, 15)
            return found
        return self.named_target(node.name, right)

    def named_target(self, parts: list[str], right: str) -> Target:
        found = self.find_table(parts)
        if found is None:
            if self._view(parts) is not None:
                raise errors.error(259, "Ad hoc updates to system catalogs are not allowed.")
            raise errors.no_object(".".join(parts))
        self.permit(found, right)
        return found

    def permit(self, target: Target, right: str) -> None:
        security = getattr(self.engine, "security", None)
        if security is None or not hasattr(security, "can_in") or isinstance(target.database, LocalStore):
            return
        if not security.can_in(self.session, target.database, right, DATA_ROLES.get(right, ()), target.name):
            schema, _, name = target.name.partition(".")
            raise errors.error(229, f"The {right} permission was denied on the object '{name}', database '{target.database.name}', "
                                    f"schema '{schema}'.", 5, 14)

    def open_table(self, parts: list[str], quals: tuple[str, ...], used: Optional[set[str]], rowid: bool) -> Relation:
        found = self.find_table(parts)
        if found is not None:
            self.permit(found, "SELECT")
            return TableRelation(self, found.database, found.table, found.name, quals, used, rowid)
        view = self._view(parts)
        if view is None:
            raise errors.no_object(".".join(parts))
        columns, rows = view
        return RowsRelation(named(columns, quals), lambda: rows)

    def _view(self, parts: list[str]) -> Optional[tuple[list[Column], list[tuple]]]:
        if parts[-1].startswith("#"):
            return None
        database = parts[-3] if len(parts) > 2 and parts[-3] else self.database
        schema = parts[-2] if len(parts) > 1 and parts[-2] else ""
        names = [f"{schema}.{parts[-1]}"] if schema else [f"dbo.{parts[-1]}"]
        if not schema and parts[-1].lower().startswith("sys"):
            names.append(f"sys.{parts[-1]}")
        for name in names:
            found = self.engine.view(self.session, database, name)
            if found is not None:
                return found
        return None

    def table_variable(self, name: str, quals: tuple[str, ...], used: Optional[set[str]], rowid: bool) -> Relation:
        found = self.session.frame.variables.get(name.lower())
        if not isinstance(found, Target):
            raise errors.error(1087, f'Must declare the table variable "{name}".', 2, 15)
        return TableRelation(self, found.database, found.table, found.name, quals, used, rowid)

    # -- table functions ------------------------------------------------------------------------------------------------

    def table_function(self, name: list[str], args: list[Callable], fixed: bool) -> tuple[list[Column], Callable[[], Iterable]]:
        own = name[-1].upper()
        if len(name) == 1 and own in ("STRING_SPLIT", "GENERATE_SERIES"):
            return _string_split(args) if own == "STRING_SPLIT" else _series(args)
        database = name[-3] if len(name) > 2 and name[-3] else self.database
        full = f"{name[-2]}.{name[-1]}" if len(name) > 1 and name[-2] else name[-1]
        first = self._call(database, full, [a(None) if fixed else None for a in args])

        def rows() -> Iterable[tuple]:
            return first[1] if fixed else self._call(database, full, [a(None) for a in args])[1]

        return first[0], rows

    def _call(self, database: str, name: str, values: list[Any]) -> tuple[list[Column], list[tuple]]:
        found = self.engine.table_function(self.session, database, name, values)
        if found is None:
            raise errors.no_object(name)
        return found

    # -- objects --------------------------------------------------------------------------------------------------------

    def object_id(self, text: str, kind: str) -> Optional[int]:
        parts = split_name(text)
        if not parts or len(parts) > 4:
            return None
        try:
            found = self.find_table(parts)
        except errors.SqlError as exc:
            if exc.error.number in (911, 916, 942, 927):
                return None
            raise
        if found is None:
            return self._engine_object(parts, text, kind)
        if kind and kind != "U":
            return None
        return self._table_id(found)

    def _engine_object(self, parts: list[str], text: str, kind: str) -> Optional[int]:
        try:
            return self.engine.scalar_function(self.session, self.database, "OBJECT_ID", [text] + ([kind] if kind else []))
        except LookupError:
            pass
        if kind and kind not in ("V", "S"):
            return None
        if len(parts) > 1 and parts[-2].lower() in ("sys", "information_schema") and self._view(parts) is not None:
            return -(sum(ord(c) * 31 ** (i % 7) for i, c in enumerate(parts[-1].lower())) % 2**30 + 1)
        return None

    def _table_id(self, target: Target) -> int:
        if isinstance(target.database, LocalStore):
            return -(sum(ord(c) * 31 ** (i % 7) for i, c in enumerate(target.name.lower())) % 2**30 + 1)
        with self.reading(target.database) as connection:
            row = connection.execute('SELECT id FROM "sys.tables" WHERE name=?', (target.name,)).fetchone()
        return row[0]

    def object_name(self, number: int, database_id: Optional[int]) -> Optional[str]:
        """schema.name of a table of a database."""
        name = self.database
        if database_id is not None:
            name = self.engine.scalar_function(self.session, self.database, "DB_NAME", [database_id])
        if not name:
            return None
        with self.reading(self.engine.database(name, self.session)) as connection:
            row = connection.execute('SELECT name FROM "sys.tables" WHERE id=?', (number,)).fetchone()
        return row[0] if row else None

    def schemas(self) -> list[tuple[str, int]]:
        """Names and numbers of the current database's schemas."""
        found = self.engine.view(self.session, self.database, "sys.schemas")
        if found is None:
            return [("dbo", 1), ("guest", 2), ("INFORMATION_SCHEMA", 3), ("sys", 4)]
        names = [c.name for c in found[0]]
        at_name, at_id = names.index("name"), names.index("schema_id")
        return [(row[at_name], row[at_id]) for row in found[1]]

    def column_length(self, table: str, column: str) -> Optional[int]:
        found = self.find_table(split_name(table) or [table])
        for c in found.table.columns if found is not None else ():
            if c.name.lower() == column.lower():
                return byte_length(c.type)
        return None

    def identity_of(self, text: str, function: str) -> Any:
        found = self.find_table(split_name(text) or [text])
        if found is None or found.table.identity is None:
            return None
        seed, step = found.table.identity
        if function != "IDENT_CURRENT":
            return seed if function == "IDENT_SEED" else step
        if isinstance(found.database, LocalStore):
            return found.database.identities.get(found.name, seed)
        with self.reading(found.database) as connection:
            row = connection.execute('SELECT value FROM "sys.identities" WHERE name=?', (found.name,)).fetchone()
        return row[0] if row else seed


def byte_length(t: SqlType) -> int:
    """max_length of a column."""
    if t.kind in types.SIZED:
        return t.length * (2 if t.kind in types.WIDE and t.length > 0 else 1)
    if t.kind in types.EXACT:
        return 5 if t.precision <= 9 else 9 if t.precision <= 19 else 13 if t.precision <= 28 else 17
    time_part = 3 if t.scale <= 2 else 4 if t.scale <= 4 else 5
    return {"bigint": 8, "int": 4, "smallint": 2, "tinyint": 1, "bit": 1, "float": 8, "real": 4, "money": 8, "smallmoney": 4,
            "uniqueidentifier": 16, "datetime": 8, "smalldatetime": 4, "date": 3, "time": time_part, "datetime2": time_part + 3,
            "datetimeoffset": time_part + 5, "timestamp": 8, "sql_variant": 8016}.get(t.kind, 16)


def _string_split(args: list[Callable]) -> tuple[list[Column], Callable[[], Iterable]]:
    ordinal = len(args) > 2 and args[2](None)
    columns = [Column("value", SqlType("nvarchar", 4000))] + ([Column("ordinal", types.BIGINT)] if ordinal else [])

    def rows() -> Iterable[tuple]:
        text, separator = args[0](None), args[1](None)
        if text is None:
            return
        if not separator or len(separator) != 1:
            raise errors.error(214, "Procedure expects parameter 'separator' of type 'nchar(1)/nvarchar(1)'.", 11)
        for at, part in enumerate(text.split(separator), 1):
            yield (part, at) if ordinal else (part,)

    return columns, rows


def _series(args: list[Callable]) -> tuple[list[Column], Callable[[], Iterable]]:
    def rows() -> Iterable[tuple]:
        low, high = args[0](None), args[1](None)
        step = args[2](None) if len(args) > 2 else (1 if low <= high else -1)
        return ((n,) for n in range(low, high + (1 if step > 0 else -1), step))

    return [Column("value", types.INT, False)], rows
