# SPDX-License-Identifier: Apache-2.0
"""Writing rows of a table: conversions, defaults, identity, constraints."""

from __future__ import annotations

import sqlite3
from typing import Any, Callable, Optional

from ..contract import Column, SqlError, SqlType, TableDef
from . import errors, types
from .compiler import Compiler
from .context import Context, Target
from .convert import converter
from .expr import Scope, coerce
from .names import quote_key
from .parser import parse_condition, parse_expression
from .relations import named
from .storage import LocalStore, decoder, encoder, quote


def storer(source: SqlType, column: Column, target: Target) -> Callable[[Any], Any]:
    """Conversion of a value into a column; text that does not fit is an error, not cut off."""
    t = column.type
    if t.kind not in types.SIZED or t.length < 0 or source.kind not in types.STRINGS | types.BINARIES:
        return converter(source, t)
    if t == source and t.kind in ("nvarchar", "nchar", "varbinary", "binary"):
        return converter(source, t)
    convert = converter(source, SqlType({"nchar": "nvarchar", "char": "varchar", "binary": "varbinary"}.get(t.kind, t.kind), -1))
    limit, pad = t.length, t.kind in ("char", "nchar")
    binary = t.kind in types.BINARIES

    def run(value: Any) -> Any:
        value = convert(value)
        if len(value) > limit:
            if binary or len(value.rstrip(" ")) > limit:
                shown = "" if binary else value[:limit]
                raise errors.truncated(target.full, column.name, shown)
            value = value[:limit]
        if pad:
            return value.ljust(limit)
        return value.ljust(limit, b"\0") if t.kind == "binary" else value

    return run


class Checks:
    """CHECK constraints and computed columns over whole rows."""

    def __init__(self, context: Context, target: Target) -> None:
        table = target.table
        scope = Scope(named(table.columns, tuple(target.name.lower().split("."))))
        compiler = Compiler(context, scope)
        self.checks = [(name, column, compiler.condition(parse_condition(text))) for name, text, column in table.checks]
        self.computed = []
        for at, column in enumerate(table.columns):
            text = table.computed.get(column.name)
            if text is not None:
                self.computed.append((at, coerce(compiler.compile(parse_expression(text)), column.type).fn))

    def fill(self, row: list[Any]) -> None:
        for at, fn in self.computed:
            row[at] = fn(row)

    def test(self, row: list[Any], verb: str, target: Target) -> None:
        for name, column, condition in self.checks:
            if condition(row) is False:
                raise errors.check(verb, name, target.database.name, target.name, column)


def used_identities(database: Any) -> dict[Any, int]:
    """The last identity value given out per table, kept with the open database."""
    if not hasattr(database, "used_identities"):
        database.used_identities = {}
    return database.used_identities


def identity_key(target: Target) -> tuple:
    """A restore begins a new recovery fork, and counts from what it restored."""
    state = getattr(target.database, "state", None)
    return target.name, getattr(state, "fork", None)


class TableWriter:
    def __init__(self, context: Context, target: Target, session: Any, keep_identity: bool = False) -> None:
        self.context, self.target, self.session = context, target, session
        self.table: TableDef = target.table
        self.columns = self.table.columns
        self.places = {c.name.lower(): at for at, c in enumerate(self.columns)}
        self.has_identity = any(c.identity for c in self.columns)
        self.keep_identity = keep_identity
        self.identity_value: Optional[int] = None
        self.reserved: Optional[int] = None  # the last identity value given out here
        self.noted = True
        self.checks = Checks(context, target) if self.table.checks or self.table.computed else None
        self.needs_old = self.checks is not None or bool(self.table.foreign)
        self.encoders = [encoder(c.type) for c in self.columns]
        self.tran: Any = None
        self.name = quote(target.name)
        self.defaults_made: dict[str, Callable[[], Any]] = {}
        self.pending: list[list[Any]] = []
        self._sql = f"INSERT INTO {self.name} ({', '.join(quote(c.name) for c in self.columns)}) VALUES " \
                    f"({', '.join('?' * len(self.columns))})"
        self._referrers: Optional[list] = None

    def open(self) -> None:
        self.tran = self.session.tran.write(self.target.database)

    def column(self, name: str) -> Column:
        at = self.places.get(name.lower())
        if at is None:
            raise errors.no_column(name)
        column = self.columns[at]
        if column.name in self.table.computed:
            raise errors.error(271, f'The column "{column.name}" cannot be modified because it is either a computed column or is the '
                                    "result of a UNION operator.")
        return column

    # -- INSERT ---------------------------------------------------------------------------------------------------------

    def insert_columns(self, names: list[str]) -> list[Column]:
        explicit = self.session.options.identity_insert == (id(self.target.database), self.target.name.lower())
        short = self.target.name.split(".")[-1]
        if not names:
            if explicit and self.has_identity:
                raise errors.error(8101, f"An explicit value for the identity column in table '{short}' can only be specified when a "
                                         "column list is used and IDENTITY_INSERT is ON.")
            return [c for c in self.columns if not c.identity and c.name not in self.table.computed
                    and c.type.kind != "timestamp"]
        found = [self.column(n) for n in names]
        if len({c.name for c in found}) < len(found):
            raise errors.error(264, f"The column name '{found[0].name}' is specified more than once in the SET clause or column list of an "
                                    "INSERT. A column cannot be assigned more than one value in the same clause. Modify the clause to make "
                                    "sure that a column is updated only once. If this statement updates or inserts columns into a view, "
                                    "column aliasing can conceal the duplication in your code.")
        if any(c.identity for c in found) and not explicit:
            raise errors.error(544, f"Cannot insert explicit value for identity column in table '{short}' when IDENTITY_INSERT is set to "
                                    "OFF.")
        if explicit and not any(c.identity for c in found):
            raise errors.error(545, f"Explicit value must be specified for identity column in table '{short}' either when IDENTITY_INSERT "
                                    "is set to ON or when a replication user is inserting into a NOT FOR REPLICATION identity column.")
        return found

    def default(self, column: Column) -> Callable[[], Any]:
        made = self.defaults_made.get(column.name)
        if made is None:
            text = self.table.defaults.get(column.name)
            if text is None:
                made = lambda: None  # noqa: E731
            else:
                ex = Compiler(self.context).compile(parse_expression(text))
                fix, fn = storer(ex.type, column, self.target), ex.fn

                def made() -> Any:
                    value = fn(None)
                    return None if value is None else fix(value)

            self.defaults_made[column.name] = made
        return made

    def defaults(self, names: list[Column]) -> tuple:
        return tuple(self.default(c)() for c in names)

    def insert(self, names: list[Column], values: tuple) -> tuple:
        """Stores one row; returns all its values."""
        row: list[Any] = [None] * len(self.columns)
        given = set()
        for column, value in zip(names, values):
            at = self.places[column.name.lower()]
            row[at] = value
            given.add(at)
        for at, column in enumerate(self.columns):
            if at in given:
                if column.identity:
                    self._note_identity(row[at])
            elif column.identity:
                row[at] = self._next_identity()
            else:
                row[at] = self.default(column)()
        self._store(row, "INSERT")
        return tuple(row)

    def _next_identity(self) -> int:
        seed, step = self.table.identity
        column = next(c for c in self.columns if c.identity)
        if self.reserved is None:
            value = self._first_identity(seed, step)
        else:  # the writer lock is ours: the rest is noted once, at the end of the statement
            value = self.reserved + step
            self.noted = False
        self.reserved = value
        used_identities(self.target.database)[identity_key(self.target)] = value
        low, high = types.RANGES.get(column.type.kind, (-10**38, 10**38))
        if not low <= value <= high:
            raise errors.error(8115, f"Arithmetic overflow error converting IDENTITY to data type {column.type.kind}.", 1)
        self.identity_value = value
        return value

    def _first_identity(self, seed: int, step: int) -> int:
        """Values that a rolled back statement took are not given out again."""
        value = self.tran.next_identity(self.target.name, seed, step)
        used = used_identities(self.target.database).get(identity_key(self.target))
        if used is not None and (used >= value if step > 0 else used <= value):
            value = used + step
            self.tran.note_identity(self.target.name, value)
        return value

    def _note_identity(self, value: Any) -> None:
        if self.table.identity is None or value is None:
            return
        self.identity_value = int(value)
        self.finish_insert()
        self.reserved = None
        step = self.table.identity[1]
        last = self._last_identity()
        if last is None or (value > last if step > 0 else value < last):
            self.tran.note_identity(self.target.name, int(value))

    def finish_insert(self) -> None:
        """Notes the last identity value of a statement with several rows."""
        if not self.noted:
            self.tran.note_identity(self.target.name, self.reserved)
            self.noted = True

    def _last_identity(self) -> Optional[int]:
        if isinstance(self.target.database, LocalStore):
            return self.target.database.identities.get(self.target.name)
        found = self.tran.connection.execute('SELECT value FROM "sys.identities" WHERE name=?', (self.target.name,)).fetchone()
        return found[0] if found else None

    def _store(self, row: list[Any], verb: str) -> None:
        self._check(row, verb)
        encoded = [v if v is None or e is None else e(v) for v, e in zip(row, self.encoders)]
        try:
            self.tran.connection.execute(self._sql, encoded)
        except sqlite3.IntegrityError as exc:
            raise self._violation(exc, row, verb) from None
        except OverflowError:
            raise errors.overflow("bigint") from None

    def _check(self, row: list[Any], verb: str) -> None:
        if self.checks is not None:
            self.checks.fill(row)
        for column, value in zip(self.columns, row):
            if value is None and not column.nullable:
                raise errors.null_column(column.name, self.target.full, verb)
        if self.checks is not None:
            self.checks.test(row, verb, self.target)
        self._null_keys(row)
        for name, columns, parent, others in self.table.foreign:
            self._parent_exists(row, verb, name, columns, parent, others)

    def _null_keys(self, row: list[Any]) -> None:
        """NULLs are equal to each other in a UNIQUE constraint, which SQLite sees differently."""
        for name, columns, kind in self.table.uniques:
            values = [row[self.places[c.lower()]] for c in columns]
            if None not in values:
                continue
            where = " AND ".join(f"{quote(c)} IS ?" for c in columns)
            if self.tran.connection.execute(f"SELECT 1 FROM {self.name} WHERE {where}", self._encode(columns, values)).fetchone():
                raise self._duplicate(name, kind, values)

    def _encode(self, columns: list[str], values: list[Any]) -> list[Any]:
        found = []
        for name, value in zip(columns, values):
            encode = self.encoders[self.places[name.lower()]]
            found.append(value if value is None or encode is None else encode(value))
        return found

    def _duplicate(self, name: str, kind: str, values: list[Any]) -> SqlError:
        key = quote_key([_shown(v) for v in values])
        if kind == "INDEX":
            return errors.duplicate_index(name, self.target.name, key)
        return errors.duplicate(kind, name, self.target.name, key)

    def _violation(self, exc: sqlite3.IntegrityError, row: list[Any], verb: str) -> SqlError:
        """2627 for the constraint that SQLite complained about."""
        text = str(exc)
        if "UNIQUE" not in text and "PRIMARY" not in text:
            return errors.error(547, f"The {verb} statement conflicted with a constraint: {text}", 0)
        hit = {part.strip().rsplit(".", 1)[-1].lower() for part in text.split(":", 1)[-1].split(",")}
        keys = [(self.table.pk_name or "PK", self.table.primary_key, "PRIMARY KEY")] if self.table.primary_key else []
        for name, columns, kind in [*keys, *self.table.uniques]:
            if {c.lower() for c in columns} == hit:
                return self._duplicate(name, kind, [row[self.places[c.lower()]] for c in columns])
        name, columns, kind = [*keys, *self.table.uniques][0]
        return self._duplicate(name, kind, [row[self.places[c.lower()]] for c in columns])

    # -- foreign keys ---------------------------------------------------------------------------------------------------

    def _parent_exists(self, row: list[Any], verb: str, name: str, columns: list[str], parent: str, others: list[str]) -> None:
        values = [row[self.places[c.lower()]] for c in columns]
        if None in values:
            return
        where = " AND ".join(f"{quote(c)} = ?" for c in others)
        if self.tran.connection.execute(f"SELECT 1 FROM {quote(parent)} WHERE {where}", self._encode(columns, values)).fetchone():
            return
        if parent == self.target.name and all(row[self.places[o.lower()]] == v for o, v in zip(others, values)):
            return
        raise errors.error(547, f'The {verb} statement conflicted with the FOREIGN KEY constraint "{name}". The conflict occurred in '
                                f'database "{self.target.database.name}", table "{parent}", column \'{others[0]}\'.', 0)

    def _no_children(self, row: tuple, verb: str) -> None:
        """547 when some row refers to this one."""
        for child, (name, columns, _, others) in self._referring():
            values = self._encode(others, [row[self.places[o.lower()]] for o in others])
            where = " AND ".join(f"{quote(c)} = ?" for c in columns)
            if None not in values and self.tran.connection.execute(f"SELECT 1 FROM {quote(child)} WHERE {where}", values).fetchone():
                raise errors.error(547, f'The {verb} statement conflicted with the REFERENCE constraint "{name}". The conflict occurred in '
                                        f'database "{self.target.database.name}", table "{child}", column \'{columns[0]}\'.', 0)

    # -- UPDATE and DELETE ----------------------------------------------------------------------------------------------

    def row(self, number: int) -> tuple:
        raw = self.tran.connection.execute(
            f"SELECT {', '.join(quote(c.name) for c in self.columns)} FROM {self.name} WHERE _rowid_=?", (number,)).fetchone()
        found = []
        for value, column in zip(raw, self.columns):
            decode = decoder(column.type)
            found.append(value if value is None or decode is None else decode(value))
        return tuple(found)

    def _keyed(self, names: list[Column]) -> bool:
        keys = {c.lower() for _, columns, _ in self.table.uniques for c in columns} | {c.lower() for c in self.table.primary_key}
        return any(c.name.lower() in keys for c in names)

    def update(self, number: int, names: list[Column], values: list[Any], old: Optional[tuple]) -> Optional[tuple]:
        """Changes one row. Rows whose keys change are taken out first and put back by finish_update(), so that keys may be
        exchanged within one statement."""
        if not names:
            return old
        keyed = self._keyed(names)
        if old is None and (keyed or self.needs_old):
            old = self.row(number)
        if old is not None:
            new = list(old)
            for column, value in zip(names, values):
                new[self.places[column.name.lower()]] = value
            if keyed:
                self._no_children_changed(old, new)
                self.tran.connection.execute(f"DELETE FROM {self.name} WHERE _rowid_=?", (number,))
                self.pending.append(new)
                return tuple(new)
            self._check(new, "UPDATE")
            names, values = self.columns, new
        for column, value in zip(names, values):
            if value is None and not column.nullable:
                raise errors.null_column(column.name, self.target.full, "UPDATE")
        sets = ", ".join(quote(c.name) + "=?" for c in names)
        self.tran.connection.execute(f"UPDATE {self.name} SET {sets} WHERE _rowid_=?",
                                     [*self._encode([c.name for c in names], list(values)), number])
        return tuple(values) if old is not None else None

    def _no_children_changed(self, old: tuple, new: list[Any]) -> None:
        if list(old) != new:
            self._no_children(old, "UPDATE")

    def finish_update(self) -> None:
        pending, self.pending = self.pending, []
        for row in pending:
            self._store(row, "UPDATE")

    def delete(self, number: int) -> None:
        if self._referring():
            self._no_children(self.row(number), "DELETE")
        self.tran.connection.execute(f"DELETE FROM {self.name} WHERE _rowid_=?", (number,))

    def _referring(self) -> list:
        """Foreign keys of other tables that point here."""
        if self._referrers is None:
            tables = {} if isinstance(self.target.database, LocalStore) else self.context.tables(self.target.database)
            self._referrers = [(known, f) for known, table in tables.items() for f in table.foreign if f[2] == self.target.name]
        return self._referrers


def _shown(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    return value

