# SPDX-License-Identifier: Apache-2.0
"""Types: their names, ranges, precedence and what operators make of them."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any, Optional

from ..contract import Param, SqlType

NULL = SqlType("null")
INT, BIGINT, SMALLINT, TINYINT, BIT = (SqlType(k) for k in ("int", "bigint", "smallint", "tinyint", "bit"))
FLOAT, REAL, MONEY, UUID, VARIANT = (SqlType(k) for k in ("float", "real", "money", "uniqueidentifier", "sql_variant"))
DATETIME, DATE, SMALLDATETIME = SqlType("datetime"), SqlType("date"), SqlType("smalldatetime")
DATETIME2, OFFSET, TIME = SqlType("datetime2", scale=7), SqlType("datetimeoffset", scale=7), SqlType("time", scale=7)
SYSNAME = SqlType("nvarchar", 128)
NMAX, VMAX, BMAX = SqlType("nvarchar", -1), SqlType("varchar", -1), SqlType("varbinary", -1)

ORDER = ["sql_variant", "xml", "datetimeoffset", "datetime2", "datetime", "smalldatetime", "date", "time", "float", "real",
         "decimal", "numeric", "money", "smallmoney", "bigint", "int", "smallint", "tinyint", "bit", "text", "ntext", "image",
         "timestamp", "uniqueidentifier", "nvarchar", "nchar", "varchar", "char", "varbinary", "binary", "null"]
RANK = {kind: at for at, kind in enumerate(ORDER)}
INTS = {"bigint", "int", "smallint", "tinyint"}
RANGES = {"bigint": (-2**63, 2**63 - 1), "int": (-2**31, 2**31 - 1), "smallint": (-2**15, 2**15 - 1), "tinyint": (0, 255)}
DIGITS = {"bigint": 19, "int": 10, "smallint": 5, "tinyint": 3, "bit": 1, "money": 19, "smallmoney": 10}
STRINGS = {"nvarchar", "nchar", "varchar", "char", "text", "ntext", "xml"}
WIDE = {"nvarchar", "nchar", "ntext", "xml"}
BINARIES = {"varbinary", "binary", "image", "timestamp"}
EXACT = {"decimal", "numeric"}
MONEYS = {"money", "smallmoney"}
APPROX = {"float", "real"}
TIMES = {"datetimeoffset", "datetime2", "datetime", "smalldatetime", "date", "time"}
NUMBERS = INTS | EXACT | MONEYS | APPROX | {"bit"}

# name -> (kind, default length in DECLARE, default length in CAST)
SIZED = {"nvarchar": 4000, "nchar": 4000, "varchar": 8000, "char": 8000, "varbinary": 8000, "binary": 8000}
ALIASES = {"integer": "int", "dec": "decimal", "rowversion": "timestamp", "character": "char"}
PLAIN = {"int", "bigint", "smallint", "tinyint", "bit", "money", "smallmoney", "uniqueidentifier", "datetime", "smalldatetime",
         "date", "sql_variant", "xml", "text", "ntext", "image", "timestamp", "real"}


def build(name: str, args: Optional[list[Any]], cast: bool = False) -> Optional[SqlType]:
    """The type called `name` with its arguments ('max' or ints); None when there is no such type. Raises ValueError when
    the arguments do not fit."""
    kind = name.lower()
    kind = ALIASES.get(kind, kind)
    if kind == "sysname":
        return SYSNAME
    if kind in SIZED:
        if not args:
            return SqlType(kind, 30 if cast else 1)
        if args == ["max"]:
            if kind in ("nchar", "char", "binary"):
                raise ValueError(name)
            return SqlType(kind, -1)
        if args[0] == "max" or not 1 <= args[0] <= SIZED[kind]:
            raise ValueError(name)
        return SqlType(kind, args[0])
    if kind in EXACT:
        precision, scale = ([*(args or [18]), 0] + [0])[:2]
        if not (1 <= precision <= 38 and 0 <= scale <= precision):
            raise ValueError(name)
        return SqlType(kind, precision=precision, scale=scale)
    if kind == "float":
        return REAL if args and args[0] <= 24 else FLOAT
    if kind in ("datetime2", "datetimeoffset", "time"):
        scale = args[0] if args else 7
        if not 0 <= scale <= 7:
            raise ValueError(name)
        return SqlType(kind, scale=scale)
    if kind in PLAIN and not args:
        return SqlType(kind)
    return None


def label(t: SqlType) -> str:
    """As error messages name it."""
    return "NULL" if t.kind == "null" else t.kind


def full_label(t: SqlType) -> str:
    if t.kind in SIZED:
        return f"{t.kind}({'max' if t.length < 0 else t.length})"
    if t.kind in EXACT:
        return f"{t.kind}({t.precision},{t.scale})"
    return label(t)


def of_literal(text: str, wide: bool) -> SqlType:
    size, limit = max(len(text), 1), 4000 if wide else 8000
    return SqlType("nvarchar" if wide else "varchar", size if size <= limit else -1)


def of_number(value: Any) -> SqlType:
    if isinstance(value, int):
        if RANGES["int"][0] <= value <= RANGES["int"][1]:
            return INT
        return SqlType("numeric", precision=len(str(abs(value))), scale=0)
    if isinstance(value, float):
        return FLOAT
    return of_decimal(value)


def of_decimal(value: Decimal) -> SqlType:
    _, digits, exponent = value.as_tuple()
    scale = max(-exponent, 0)
    return SqlType("numeric", precision=max(len(digits), scale, 1), scale=scale)


def of_value(value: Any) -> SqlType:
    """The type of a Python value without a declaration (sql_variant, procedure arguments)."""
    if value is None:
        return NULL
    if isinstance(value, bool):
        return BIT
    if isinstance(value, int):
        return INT if -2**31 <= value < 2**31 else BIGINT
    if isinstance(value, float):
        return FLOAT
    if isinstance(value, Decimal):
        return of_decimal(value)
    if isinstance(value, str):
        return of_literal(value, True)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return SqlType("varbinary", max(len(value), 1) if len(value) <= 8000 else -1)
    if isinstance(value, uuid.UUID):
        return UUID
    if isinstance(value, dt.datetime):
        return OFFSET if value.tzinfo else DATETIME2
    if isinstance(value, dt.date):
        return DATE
    return TIME if isinstance(value, dt.time) else VARIANT


def as_exact(t: SqlType, value: Any = None) -> SqlType:
    """A numeric type that holds everything of `t`; literals of int count by their digits."""
    if t.kind in EXACT:
        return t
    if t.kind in MONEYS:
        return SqlType("numeric", precision=DIGITS[t.kind], scale=4)
    if isinstance(value, int) and not isinstance(value, bool):
        return SqlType("numeric", precision=len(str(abs(value))), scale=0)
    return SqlType("numeric", precision=DIGITS.get(t.kind, 38), scale=0)


def exact_result(op: str, a: SqlType, b: SqlType) -> SqlType:
    """Precision and scale of a decimal operation."""
    whole_a, whole_b = a.precision - a.scale, b.precision - b.scale
    if op in "+-":
        scale = max(a.scale, b.scale)
        precision = max(whole_a, whole_b) + scale + 1
        if precision > 38:
            return SqlType("numeric", precision=38, scale=max(0, min(scale, 38 - max(whole_a, whole_b))))
        return SqlType("numeric", precision=precision, scale=scale)
    if op == "*":
        precision, scale = a.precision + b.precision + 1, a.scale + b.scale
    elif op == "/":
        scale = max(6, a.scale + b.precision + 1)
        precision = whole_a + b.scale + scale
    else:
        scale = max(a.scale, b.scale)
        precision = min(whole_a, whole_b) + scale
    if precision > 38:
        whole = precision - scale
        scale = min(scale, 38 - whole) if whole < 32 else min(scale, 6)
        precision = 38
    return SqlType("numeric", precision=precision, scale=scale)


def wider(a: SqlType, b: SqlType, va: Any = None, vb: Any = None) -> SqlType:
    """The common type of CASE, UNION, COALESCE and comparisons. `va`/`vb` are the values of int literals."""
    if a == b:
        return a
    if a.kind == "null":
        return b
    if b.kind == "null":
        return a
    if RANK[b.kind] < RANK[a.kind]:
        a, b, va, vb = b, a, vb, va
    if a.kind in EXACT and b.kind in NUMBERS - APPROX:
        a2, b2 = as_exact(a, va), as_exact(b, vb)
        scale = max(a2.scale, b2.scale)
        whole = max(a2.precision - a2.scale, b2.precision - b2.scale)
        return SqlType(a.kind, precision=min(38, whole + scale), scale=scale if whole + scale <= 38 else max(0, 38 - whole))
    if a.kind in SIZED and (b.kind in SIZED):
        return _longer(a, b)
    if a.kind in ("datetime2", "datetimeoffset", "time") and b.kind in TIMES:
        return SqlType(a.kind, scale=max(a.scale, b.scale, 3 if b.kind == "datetime" else 0))
    return a


def _longer(a: SqlType, b: SqlType) -> SqlType:
    kind = a.kind
    if kind == "nchar" and b.kind in ("nvarchar", "varchar"):
        kind = "nvarchar"
    if kind == "char" and b.kind == "varchar":
        kind = "varchar"
    if a.length < 0 or b.length < 0:
        return SqlType("nvarchar" if kind in WIDE else "varchar" if kind in STRINGS else "varbinary", -1)
    return SqlType(kind, min(max(a.length, b.length), SIZED[kind]))


def concat(a: SqlType, b: SqlType) -> SqlType:
    if a.kind == "null":
        a = b
    if b.kind == "null":
        b = a
    wide = a.kind in WIDE or b.kind in WIDE
    limit = 4000 if wide else 8000
    kind = "nvarchar" if wide else "varchar"
    if a.kind in BINARIES and b.kind in BINARIES:
        kind, limit = "varbinary", 8000
    elif a.kind in ("char", "nchar") and b.kind in ("char", "nchar"):
        kind = "nchar" if wide else "char"
    if a.length < 0 or b.length < 0:
        return SqlType(kind if kind.startswith(("nv", "v")) else "n" * wide + "varchar", -1)
    return SqlType(kind, min(a.length + b.length, limit))


def of_param(param: Param) -> SqlType:
    return param.type if param.type.kind != "sysname" else SYSNAME


def visible(t: SqlType) -> SqlType:
    """As a client sees it: an untyped NULL is an int."""
    return INT if t.kind == "null" else t
