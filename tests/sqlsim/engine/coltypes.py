# SPDX-License-Identifier: Apache-2.0
"""Column lists written as text, and how typed values are kept in SQLite."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from decimal import Decimal
from typing import Any

from ..contract import Column, SqlType

ITEM = re.compile(r"(\w+) (\w+)(?:\((\w+)(?:,(\d+))?\))?(!?)")


def cols(text: str) -> list[Column]:
    """`a int!, b nvarchar(60), c numeric(25,0)`: an exclamation mark is NOT NULL."""
    out = []
    for item in re.split(r",\s+", text.strip()):
        found = ITEM.fullmatch(item.strip())
        if found is None:
            raise ValueError(f"bad column {item!r}")
        name, kind, first, second, strict = found.groups()
        out.append(Column(name, sql_type(kind, first, second), nullable=not strict))
    return out


def sql_type(kind: str, first: str = None, second: str = None) -> SqlType:
    if kind in ("numeric", "decimal"):
        return SqlType(kind, 0, int(first or 18), int(second or 0))
    if kind in ("datetime2", "datetimeoffset", "time"):
        return SqlType(kind, 0, 0, int(first) if first else 7)
    return SqlType(kind, -1 if first == "max" else int(first or 0))


def encode(value: Any) -> Any:
    if isinstance(value, (dt.datetime, dt.date)):
        return value.isoformat()
    if isinstance(value, (uuid.UUID, Decimal)):
        return str(value)
    if isinstance(value, bool):
        return int(value)
    return str(value) if isinstance(value, int) and value >= 1 << 62 else value


def decode(column: Column, value: Any) -> Any:
    kind = column.type.kind
    if value is None:
        return None
    if kind in ("numeric", "decimal"):
        return Decimal(str(value))
    if kind == "uniqueidentifier":
        return uuid.UUID(str(value))
    if kind == "datetime":
        return dt.datetime.fromisoformat(value)
    if kind == "bit":
        return bool(value)
    return value


def guid(value: Any) -> Any:
    return uuid.UUID(value) if value else None


def num(value: Any) -> Any:
    return None if value is None else Decimal(int(value))


def when(value: Any) -> Any:
    return dt.datetime.fromisoformat(value) if value else None
