# SPDX-License-Identifier: Apache-2.0
"""Operators: arithmetic, concatenation, bits, comparisons, LIKE."""

from __future__ import annotations

import datetime as dt
import functools
import math
import operator
import re
from decimal import ROUND_DOWN, Decimal
from typing import Any, Callable, Optional

from ..contract import SqlType
from . import dates, errors, types
from .convert import CONTEXT, comparer, fit, narrow_text, quantize
from .expr import Ex, coerce
from .types import APPROX, BINARIES, EXACT, INTS, MONEYS, RANGES, RANK, STRINGS, TIMES, label

NAMES = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "%": "modulo"}
LONG = {"+": "addition", "-": "subtract", "*": "multiply", "/": "divide", "%": "modulo"}


def binary(op: str, a: Ex, b: Ex) -> Ex:
    if op in ("&", "|", "^"):
        return bits(op, a, b)
    ka, kb = a.type.kind, b.type.kind
    if op == "+" and (ka in STRINGS | BINARIES | {"null"}) and (kb in STRINGS | BINARIES | {"null"}):
        if ka == kb == "null":
            return integer(op, coerce(a, types.INT), coerce(b, types.INT), types.INT)
        return concatenate(a, b)
    if ka in TIMES or kb in TIMES:
        return moment(op, a, b)
    for kind, other in ((ka, b), (kb, a)):
        if kind in ("uniqueidentifier", "sql_variant", "xml") or (kind in BINARIES and op != "+" and other.type.kind not in INTS):
            if kind == "sql_variant":
                raise errors.implicit("sql_variant", label(other.type))
            raise errors.operator(label(a.type), label(b.type), LONG[op]) if ka != kb else errors.operand(kind, LONG[op])
    target = arithmetic_type(a, b)
    if target.kind in STRINGS:
        raise errors.operator(label(a.type), label(b.type), LONG[op])
    if target.kind in INTS:
        return integer(op, coerce(a, target), coerce(b, target), target)
    if target.kind in APPROX:
        return floating(op, coerce(a, target), coerce(b, target), target)
    if target.kind in MONEYS:
        return money(op, coerce(a, target), coerce(b, target), target)
    return exact(op, a, b)


def arithmetic_type(a: Ex, b: Ex) -> SqlType:
    ta, tb = a.type, b.type
    if ta.kind == "null" and tb.kind == "null":
        return types.INT
    if ta.kind == "null":
        ta = tb
    if tb.kind == "null":
        tb = ta
    best = ta if RANK[ta.kind] <= RANK[tb.kind] else tb
    if best.kind == "bit":
        raise errors.operand("bit", "add")
    return best


def integer(op: str, a: Ex, b: Ex, target: SqlType) -> Ex:
    low, high = RANGES[target.kind]
    fa, fb = a.fn, b.fn
    name = target.kind
    calc: Callable[[int, int], int] = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": int_div,
                                       "%": int_mod}[op]

    def run(r: Any) -> Any:
        x = fa(r)
        if x is None:
            return None
        y = fb(r)
        if y is None:
            return None
        z = calc(x, y)
        if low <= z <= high:
            return z
        raise errors.overflow(name)

    return Ex(run, target, a.nullable or b.nullable, a.const and b.const)


def int_div(x: int, y: int) -> int:
    if y == 0:
        raise errors.divide()
    q = abs(x) // abs(y)
    return q if (x < 0) == (y < 0) else -q


def int_mod(x: int, y: int) -> int:
    if y == 0:
        raise errors.divide()
    return x - y * int_div(x, y)


def nulls(a: Ex, b: Ex, target: SqlType, calc: Callable[[Any, Any], Any]) -> Ex:
    fa, fb = a.fn, b.fn

    def run(r: Any) -> Any:
        x = fa(r)
        if x is None:
            return None
        y = fb(r)
        return None if y is None else calc(x, y)

    return Ex(run, target, a.nullable or b.nullable, a.const and b.const)


def floating(op: str, a: Ex, b: Ex, target: SqlType) -> Ex:
    def calc(x: float, y: float) -> float:
        if op == "%":
            raise errors.operator("float", "float", "modulo")
        if op == "/" and y == 0:
            raise errors.divide()
        z = x + y if op == "+" else x - y if op == "-" else x * y if op == "*" else x / y
        if math.isinf(z):
            raise errors.overflow("float")
        return z

    if op == "%":
        raise errors.operator(label(a.type), label(b.type), "modulo")
    return nulls(a, b, target, calc)


def money(op: str, a: Ex, b: Ex, target: SqlType) -> Ex:
    wide = SqlType("numeric", precision=19 if target.kind == "money" else 10, scale=4)

    def calc(x: Decimal, y: Decimal) -> Decimal:
        z = decimal_op(op, x, y)
        z = quantize(z, 4, ROUND_DOWN) if op == "/" else quantize(z, 4)
        if z.adjusted() >= wide.precision - 4 and z:
            raise errors.overflow(target.kind)
        return z

    return nulls(a, b, target, calc)


def decimal_op(op: str, x: Decimal, y: Decimal) -> Decimal:
    if op == "+":
        return CONTEXT.add(x, y)
    if op == "-":
        return CONTEXT.subtract(x, y)
    if op == "*":
        return CONTEXT.multiply(x, y)
    if y == 0:
        raise errors.divide()
    return CONTEXT.divide(x, y) if op == "/" else CONTEXT.remainder(x, y)


def exact(op: str, a: Ex, b: Ex) -> Ex:
    def as_decimal(ex: Ex, other: Ex) -> Ex:
        if ex.type.kind in STRINGS | {"null"}:
            return coerce(ex, other.type)
        return coerce(ex, types.as_exact(ex.type, ex.lit))

    a, b = as_decimal(a, b), as_decimal(b, a)
    target = types.exact_result(op, a.type, b.type)

    def calc(x: Decimal, y: Decimal) -> Decimal:
        z = decimal_op(op, x, y)
        if op == "/":
            z = quantize(z, target.scale, ROUND_DOWN)
        return fit(z, target)

    return nulls(a, b, target, calc)


def concatenate(a: Ex, b: Ex) -> Ex:
    if (a.type.kind in BINARIES) != (b.type.kind in BINARIES) and "null" not in (a.type.kind, b.type.kind):
        raise errors.operator(label(a.type), label(b.type), "add")
    target = types.concat(a.type, b.type)
    limit = target.length
    narrow = target.kind in ("varchar", "char")

    def calc(x: Any, y: Any) -> Any:
        z = x + y
        if narrow and not z.isascii():
            z = narrow_text(z)
        return z if limit < 0 or len(z) <= limit else z[:limit]

    found = nulls(a, b, target, calc)
    found.coll = a.coll or b.coll
    return found


def moment(op: str, a: Ex, b: Ex) -> Ex:
    """datetime and smalldatetime take numbers of days; the newer types do not."""
    old = ("datetime", "smalldatetime")
    for ex in (a, b):
        if ex.type.kind in TIMES and ex.type.kind not in old:
            other = b if ex is a else a
            if ex.type.kind in TIMES and other.type.kind in TIMES and op == "-":
                raise errors.operand(ex.type.kind, "subtract")
            raise errors.clash(label(ex.type), label(other.type))
    if op not in "+-":
        raise errors.operator(label(a.type), label(b.type), LONG[op])
    target = a.type if a.type.kind in old else b.type
    a, b = coerce(a, types.DATETIME), coerce(b, types.DATETIME)

    def calc(x: dt.datetime, y: dt.datetime) -> dt.datetime:
        try:
            z = x + (y - dates.BASE) if op == "+" else dates.BASE + (x - y)
        except OverflowError:
            raise errors.overflow("datetime") from None
        return dates.round_minute(z) if target.kind == "smalldatetime" else dates.round_datetime(z)

    return nulls(a, b, target, calc)


def bits(op: str, a: Ex, b: Ex) -> Ex:
    ta, tb = a.type, b.type
    if ta.kind in BINARIES and tb.kind in INTS:
        a = coerce(a, tb)
    elif tb.kind in BINARIES and ta.kind in INTS:
        b = coerce(b, ta)
    target = types.wider(a.type, b.type)
    if target.kind not in INTS | {"bit"}:
        raise errors.operator(label(ta), label(tb), {"&": "'&'", "|": "'|'", "^": "'^'"}[op])
    calc = {"&": operator.and_, "|": operator.or_, "^": operator.xor}[op]
    return nulls(coerce(a, target), coerce(b, target), target, calc)


def negate(a: Ex) -> Ex:
    t = a.type
    if t.kind in STRINGS:
        raise errors.operand(label(t), "minus")
    if t.kind == "bit" or t.kind in TIMES | BINARIES | {"uniqueidentifier", "sql_variant"}:
        raise errors.operand(label(t), "minus")
    if t.kind in INTS:
        target = types.SMALLINT if t.kind == "tinyint" else t
        return integer("-", Ex(lambda r: 0, target, False, True, 0), coerce(a, target), target)
    fn = a.fn

    def run(r: Any) -> Any:
        x = fn(r)
        return None if x is None else -x

    return Ex(run, types.visible(t), a.nullable, a.const)


def invert(a: Ex) -> Ex:
    if a.type.kind not in INTS | {"bit"}:
        raise errors.operand(label(a.type), "'~'")
    fn, kind = a.fn, a.type.kind

    def run(r: Any) -> Any:
        x = fn(r)
        return None if x is None else not x if kind == "bit" else 255 - x if kind == "tinyint" else ~x

    return Ex(run, a.type, a.nullable, a.const)


# -- comparisons --------------------------------------------------------------------------------------------------------

COMPARE: dict[str, Callable[[Any, Any], bool]] = {"=": operator.eq, "<>": operator.ne, "<": operator.lt, ">": operator.gt,
                                                  "<=": operator.le, ">=": operator.ge}


def common(a: Ex, b: Ex, op: str = "equal to") -> tuple[Ex, Ex]:
    """Both sides as the type in which they are compared."""
    ta, tb = a.type, b.type
    for t, u in ((ta, tb), (tb, ta)):
        if t.kind in ("text", "ntext", "image", "xml") and u.kind != "null":
            raise errors.operator(label(ta), label(tb), op)
        if t.kind == "time" and u.kind == "date" or (t.kind == "uniqueidentifier" and u.kind in INTS | EXACT | APPROX | TIMES):
            raise errors.operator(label(ta), label(tb), op) if t.kind == "time" else errors.clash(label(t), label(u))
        if t.kind in BINARIES and u.kind in STRINGS:
            raise errors.implicit(label(u), label(t))
    target = types.wider(ta, tb, a.lit, b.lit)
    if target.kind in SIZED_KINDS:
        target = SqlType(target.kind if target.kind not in ("char", "nchar") else
                         "nvarchar" if target.kind == "nchar" else "varchar", -1)
        if ta.kind in STRINGS and tb.kind in STRINGS or ta.kind in BINARIES and tb.kind in BINARIES:
            return a, b
    if target.kind in EXACT and ta.kind in INTS | EXACT | {"bit"} and tb.kind in INTS | EXACT | {"bit"}:
        return a, b  # Python compares int and Decimal exactly
    if ta.kind in INTS | {"bit"} and tb.kind in INTS | {"bit"}:
        return a, b
    return coerce(a, target), coerce(b, target)


SIZED_KINDS = set(types.SIZED)


def key_of(ex: Ex, other: Optional[Ex] = None) -> Callable[[Any], Any]:
    """fn(row) giving what compares: None for NULL."""
    key = comparer(ex.type, ex.coll or (other.coll if other is not None else ""))
    fn = ex.fn
    if key is None:
        return fn
    if ex.const and ex.lit is not None:
        value = key(ex.lit)
        return lambda r: value

    def run(r: Any) -> Any:
        value = fn(r)
        return None if value is None else key(value)

    return run


def compare(op: str, a: Ex, b: Ex) -> Ex:
    a, b = common(a, b, {"=": "equal to", "<>": "not equal to", "<": "less than", ">": "greater than",
                         "<=": "less than or equal to", ">=": "greater than or equal to"}[op])
    ka, kb, test = key_of(a, b), key_of(b, a), COMPARE[op]
    if b.const and b.lit is not None:
        fixed = kb(None)

        def run_fixed(r: Any) -> Any:
            x = ka(r)
            return None if x is None else test(x, fixed)

        return Ex(run_fixed, types.BIT, boolean=True)

    def run(r: Any) -> Any:
        x = ka(r)
        if x is None:
            return None
        y = kb(r)
        return None if y is None else test(x, y)

    return Ex(run, types.BIT, boolean=True)


@functools.lru_cache(maxsize=1024)
def like_regex(pattern: str, escape: str, sensitive: bool, loose: bool) -> re.Pattern:
    out, at, size = [], 0, len(pattern)
    while at < size:
        c = pattern[at]
        if escape and c == escape and at + 1 < size:
            at += 1
            out.append(re.escape(pattern[at]))
        elif c == "%":
            out.append(".*")
        elif c == "_":
            out.append(".")
        elif c == "[" and pattern.find("]", at + 2) > 0:
            end = pattern.find("]", at + 2)
            body = pattern[at + 1:end]
            negated = body.startswith("^")
            body = body[1:] if negated else body
            out.append("[" + ("^" if negated else "") + re.sub(r"([\\\[\]^&~|])", r"\\\1", body) + "]")
            at = end
        else:
            out.append(re.escape(c))
        at += 1
    return re.compile("".join(out) + (" *" if loose else "") + r"\Z", re.S | (0 if sensitive else re.I))


def like(a: Ex, b: Ex, escape: Optional[Ex], negated: bool) -> Ex:
    wide = a.type.kind in types.WIDE or b.type.kind in types.WIDE
    sensitive = (a.coll or b.coll) == "bin"
    a, b = coerce(a, types.NMAX, True), coerce(b, types.NMAX, True)
    fa, fb, fe = a.fn, b.fn, escape.fn if escape is not None else None

    def run(r: Any) -> Any:
        x, y = fa(r), fb(r)
        if x is None or y is None:
            return None
        found = like_regex(y, fe(r) or "" if fe else "", sensitive, not wide).match(x) is not None
        return found != negated

    return Ex(run, types.BIT, boolean=True)
