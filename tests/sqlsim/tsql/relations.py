# SPDX-License-Identifier: Apache-2.0
"""What stands in a FROM: tables, views, table functions, derived tables, joins."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Iterable, Iterator, Optional

from ..contract import Column, TableDef
from . import nodes, ops, storage, types
from .compiler import Compiler
from .expr import Ex, Scope, ScopeColumn
from .nodes import Expr
from .ops import key_of

BATCH = 512
ROWID = "\0rowid"  # the name of the hidden column with the row's number in SQLite


class Relation:
    """Rows with named columns. `rows()` may be called many times."""

    def __init__(self, columns: list[ScopeColumn]) -> None:
        self.columns = columns

    def rows(self) -> Iterable[tuple]:
        raise NotImplementedError


class OneRow(Relation):
    """SELECT without FROM."""

    def __init__(self) -> None:
        super().__init__([])

    def rows(self) -> Iterable[tuple]:
        return [()]


class RowsRelation(Relation):
    """Rows that some function gives: views, table functions, plans."""

    def __init__(self, columns: list[ScopeColumn], source: Callable[[], Iterable[tuple]]) -> None:
        super().__init__(columns)
        self.source = source

    def rows(self) -> Iterable[tuple]:
        return self.source()


def named(columns: Iterable[Column], quals: tuple[str, ...]) -> list[ScopeColumn]:
    return [ScopeColumn(c.name, quals, at, c.type, c.nullable, c.identity) for at, c in enumerate(columns)]


class TableRelation(Relation):
    """A table in SQLite. Only the columns of `used` are read; with `rowid` the row's number is the last value."""

    def __init__(self, ctx: Any, database: Any, table: TableDef, name: str, quals: tuple[str, ...], used: Optional[set[str]],
                 rowid: bool = False) -> None:
        columns = [c for c in table.columns if used is None or c.name.lower() in used]
        shown = named(columns, quals)
        if rowid:
            shown.append(ScopeColumn(ROWID, quals, len(shown), types.BIGINT))
            shown[-1].hidden = True
        super().__init__(shown)
        self.ctx, self.database, self.table, self.name = ctx, database, table, name
        self.rowid = rowid
        self.stored = columns
        self.filter: list[tuple[str, Callable[[], Any]]] = []

    def sql(self) -> tuple[str, list[Any]]:
        names = [storage.quote(c.name) for c in self.stored]
        if self.rowid:
            names.append("_rowid_")
        text = f"SELECT {', '.join(names) or 'NULL'} FROM {storage.quote(self.name)}"
        values = []
        if self.filter:
            text += " WHERE " + " AND ".join(part for part, _ in self.filter)
            values = [get() for _, get in self.filter]
        return text, values

    def rows(self) -> Iterator[tuple]:
        text, values = self.sql()
        if any(v is None for v in values):
            return
        decoders = [(at, d) for at, d in enumerate(storage.decoder(c.type) for c in self.stored) if d is not None]
        empty = not self.stored and not self.rowid
        look = self.ctx.session.look
        if hasattr(self.database, "check_readable"):
            self.database.check_readable(self.name)
        with self.ctx.reading(self.database) as connection:
            cursor = connection.execute(text, values)
            while True:
                batch = cursor.fetchmany(BATCH)
                if not batch:
                    return
                look()
                if empty:
                    for _ in batch:
                        yield ()
                elif not decoders:
                    yield from batch
                else:
                    for raw in batch:
                        row = list(raw)
                        for at, decode in decoders:
                            if row[at] is not None:
                                row[at] = decode(row[at])
                        yield tuple(row)

    def push(self, condition: Expr, compiler: Compiler) -> None:
        """Lets SQLite skip rows by the simple parts of a condition. The whole condition is tested again afterwards."""
        if isinstance(condition, nodes.Logic) and condition.op == "AND":
            self.push(condition.left, compiler)
            self.push(condition.right, compiler)
            return
        if not isinstance(condition, nodes.Compare) or condition.quantifier:
            return
        left, right, op = condition.left, condition.right, condition.op
        if isinstance(right, nodes.Col):
            left, right, op = right, left, {"<": ">", ">": "<", "<=": ">=", ">=": "<="}.get(op, op)
        if not isinstance(left, nodes.Col) or not isinstance(right, (nodes.Lit, nodes.Var)) or op == "<>":
            return
        found = compiler.scope.find(left.parts)
        if found is None or found not in self.columns:
            return
        value = compiler.compile(right)
        self._push(found, op, value)

    def _push(self, column: ScopeColumn, op: str, value: Ex) -> None:
        kind, fn = column.type.kind, value.fn
        name = storage.quote(column.name)
        if kind in types.INTS and value.type.kind in types.INTS:
            self.filter.append((f"{name} {op} ?", lambda: fn(None)))
        elif op == "=" and kind in ("nvarchar", "varchar") and value.type.kind in types.STRINGS:
            self.filter.append((f"{name} = ? COLLATE SQLSIM_CI", lambda: fn(None)))
        elif op == "=" and kind == value.type.kind == "uniqueidentifier":
            self.filter.append((f"{name} = ?", lambda: str(fn(None)).upper() if fn(None) is not None else None))


@contextlib.contextmanager
def committed(database: Any) -> Iterator[Any]:
    connection = database.reader()
    try:
        yield connection
    finally:
        connection.close()


# -- joins --------------------------------------------------------------------------------------------------------------


def shifted(columns: list[ScopeColumn], by: int, nullable: bool) -> list[ScopeColumn]:
    found = [ScopeColumn(c.name, c.quals, c.index + by, c.type, c.nullable or nullable, c.identity) for c in columns]
    for new, old in zip(found, columns):
        new.hidden = old.hidden
    return found


class JoinRelation(Relation):
    def __init__(self, ctx: Any, kind: str, left: Relation, right: Relation, on: Optional[Expr],
                 parent: Optional[Scope]) -> None:
        width = len(left.columns)
        super().__init__(shifted(left.columns, 0, kind in ("RIGHT", "FULL"))
                         + shifted(right.columns, width, kind in ("LEFT", "FULL", "OUTER APPLY")))
        self.kind, self.left, self.right, self.width = kind, left, right, width
        self.look = ctx.session.look
        self.test: Optional[Callable[[Any], Any]] = None
        self.keys: list[tuple[Callable, Callable]] = []
        if on is not None:
            compiler = Compiler(ctx, Scope(self.columns, parent))
            self.test = compiler.condition(on)
            self._find_keys(on, compiler)

    def _find_keys(self, on: Expr, compiler: Compiler) -> None:
        """Equalities between the two sides make a hash join possible."""
        if isinstance(on, nodes.Logic) and on.op == "AND":
            self._find_keys(on.left, compiler)
            self._find_keys(on.right, compiler)
            return
        if not (isinstance(on, nodes.Compare) and on.op == "=" and not on.quantifier
                and isinstance(on.left, nodes.Col) and isinstance(on.right, nodes.Col)):
            return
        a, b = compiler.scope.find(on.left.parts), compiler.scope.find(on.right.parts)
        if a is None or b is None or (a.index < self.width) == (b.index < self.width):
            return
        if a.index >= self.width:
            a, b = b, a
        at = b.index - self.width
        left, right = ops.common(compiler.column(a), Ex(lambda r: r[at], b.type))
        self.keys.append((key_of(left, right), key_of(right, left)))

    def rows(self) -> Iterator[tuple]:
        right = list(self.right.rows())
        self.look()
        find = self._finder(right)
        test, kind = self.test, self.kind
        blank_right = (None,) * len(self.right.columns)
        used: set[int] = set()
        for count, row in enumerate(self.left.rows()):
            if not count % 64:
                self.look()
            hit = False
            for at in find(row):
                both = row + right[at]
                if test is None or test(both):
                    hit = True
                    if kind in ("RIGHT", "FULL"):
                        used.add(at)
                    yield both
            if not hit and kind in ("LEFT", "FULL"):
                yield row + blank_right
        if kind in ("RIGHT", "FULL"):
            blank_left = (None,) * self.width
            for at, row in enumerate(right):
                if at not in used:
                    yield blank_left + row

    def _finder(self, right: list[tuple]) -> Callable[[tuple], Iterable[int]]:
        if not self.keys:
            everything = range(len(right))
            return lambda row: everything
        table: dict[tuple, list[int]] = {}
        right_keys = [k for _, k in self.keys]
        for at, row in enumerate(right):
            key = tuple(k(row) for k in right_keys)
            if None not in key:
                table.setdefault(key, []).append(at)
        left_keys = [k for k, _ in self.keys]
        return lambda row: table.get(tuple(k(row) for k in left_keys), ())


class ApplyRelation(Relation):
    """The right side is computed for each row of the left one, whose scope is its parent."""

    def __init__(self, ctx: Any, kind: str, left: Relation, scope: Scope, right: Relation) -> None:
        width = len(left.columns)
        super().__init__(shifted(left.columns, 0, False) + shifted(right.columns, width, kind == "OUTER APPLY"))
        self.kind, self.left, self.right, self.scope = kind, left, right, scope
        self.look = ctx.session.look

    def rows(self) -> Iterator[tuple]:
        cell, blank = self.scope.cell, (None,) * len(self.right.columns)
        for row in self.left.rows():
            self.look()
            cell[0] = row
            hit = False
            for other in list(self.right.rows()):
                hit = True
                yield row + tuple(other)
            if not hit and self.kind == "OUTER APPLY":
                yield row + blank
