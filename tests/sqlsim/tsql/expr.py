# SPDX-License-Identifier: Apache-2.0
"""Compiled expressions, and the columns that names are looked up in."""

from __future__ import annotations

from typing import Any, Callable, Optional

from ..contract import Column, SqlError, SqlType
from . import errors
from .convert import converter, same

Fn = Callable[[Any], Any]


class Ex:
    """A compiled expression: `fn(row)` gives the value, `type` is static. `lit` holds the value of a literal."""

    __slots__ = ("fn", "type", "nullable", "const", "lit", "coll", "identity", "boolean")

    def __init__(self, fn: Fn, type_: SqlType, nullable: bool = True, const: bool = False, lit: Any = None,
                 coll: str = "", identity: bool = False, boolean: bool = False) -> None:
        self.fn = fn
        self.type = type_
        self.nullable = nullable
        self.const = const
        self.lit = lit
        self.coll = coll
        self.identity = identity
        self.boolean = boolean


def constant(value: Any, type_: SqlType) -> Ex:
    return Ex(lambda r: value, type_, value is None, True, value)


def coerce(ex: Ex, target: SqlType, explicit: bool = False, style: Optional[int] = None) -> Ex:
    """The same value as another type."""
    if ex.type == target and style is None:
        return ex
    convert = converter(ex.type, target, style, explicit)
    if convert is same:
        return Ex(ex.fn, target, ex.nullable, ex.const, ex.lit, ex.coll)
    fn = ex.fn
    if ex.const and ex.lit is not None:
        try:
            return constant(convert(ex.lit), target)
        except SqlError:
            pass  # an error of the data belongs to the row that meets it

    def run(r: Any) -> Any:
        value = fn(r)
        return None if value is None else convert(value)

    return Ex(run, target, ex.nullable, ex.const, None, ex.coll)


class ScopeColumn:
    __slots__ = ("name", "key", "quals", "index", "type", "nullable", "identity", "hidden")

    def __init__(self, name: str, quals: tuple[str, ...], index: int, type_: SqlType, nullable: bool = True,
                 identity: bool = False) -> None:
        self.name = name
        self.key = name.lower()
        self.quals = quals  # lower-case parts of the table's name, or its alias
        self.index = index
        self.type = type_
        self.nullable = nullable
        self.identity = identity
        self.hidden = False

    def column(self, name: str = "") -> Column:
        return Column(name or self.name, self.type, self.nullable, self.identity)


class Scope:
    """The columns of a FROM. `cell` holds the current row for the queries inside."""

    def __init__(self, columns: list[ScopeColumn], parent: Optional["Scope"] = None) -> None:
        self.columns = columns
        self.parent = parent
        self.cell: list[Any] = [None]
        self.outer_used = False
        self.by_name: dict[str, list[ScopeColumn]] = {}
        for column in columns:
            self.by_name.setdefault(column.key, []).append(column)

    def find(self, parts: list[str]) -> Optional[ScopeColumn]:
        """The column, None when this scope has none of that name; 209 when there are several."""
        found = self.by_name.get(parts[-1].lower())
        if not found:
            return None
        if len(parts) > 1:
            quals = tuple(p.lower() for p in parts[:-1])
            found = [c for c in found if matches(c.quals, quals)]
        if len(found) > 1:
            raise errors.error(209, f"Ambiguous column name '{parts[-1]}'.")
        return found[0] if found else None

    def has_table(self, quals: tuple[str, ...]) -> bool:
        return any(matches(c.quals, quals) for c in self.columns)

    def of_table(self, quals: tuple[str, ...]) -> list[ScopeColumn]:
        return [c for c in self.columns if matches(c.quals, quals)]


def matches(have: tuple[str, ...], asked: tuple[str, ...]) -> bool:
    if len(asked) > len(have):
        return False
    return all(not a or a == h for a, h in zip(reversed(asked), reversed(have)))
