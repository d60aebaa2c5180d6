# SPDX-License-Identifier: Apache-2.0
"""Aggregate functions."""

from __future__ import annotations

import math
from decimal import ROUND_DOWN, Decimal
from typing import Any, Callable, Optional

from ..contract import SqlType
from . import errors, types
from .convert import CONTEXT, fit, quantize
from .expr import Ex, coerce
from .functions import as_text
from .ops import key_of

Step = Callable[[Any], None]


class Aggregate:
    """One aggregate of a query: `make()` gives a fresh (step, result) pair for a group; step takes a row."""

    def __init__(self, type_: SqlType, make: Callable[[], tuple[Step, Callable[[], Any]]], nullable: bool = True) -> None:
        self.type = type_
        self.make = make
        self.nullable = nullable


def sum_type(t: SqlType, name: str) -> SqlType:
    if t.kind in ("tinyint", "smallint", "int", "null"):
        return types.INT
    if t.kind == "bigint":
        return types.BIGINT
    if t.kind in types.EXACT:
        return SqlType("numeric", precision=38, scale=max(t.scale, 6) if name == "AVG" else t.scale)
    if t.kind in types.MONEYS:
        return types.MONEY
    if t.kind in types.APPROX:
        return types.FLOAT
    raise errors.operand(types.label(t), name.lower())


def build(node: Any, args: list[Ex], ctx: Any, order: list[tuple[Ex, bool]]) -> Aggregate:
    name = node.name
    if node.star:
        if name not in ("COUNT", "COUNT_BIG"):
            raise errors.syntax("*")
        return Aggregate(types.INT if name == "COUNT" else types.BIGINT, _count_rows, False)
    wanted = 2 if name == "STRING_AGG" else 1
    if len(args) != wanted:
        raise errors.arguments(node.text, wanted)
    arg = args[0]
    if name in ("COUNT", "COUNT_BIG"):
        return Aggregate(types.INT if name == "COUNT" else types.BIGINT, _counter(arg, node.distinct, ctx), False)
    if name in ("MIN", "MAX"):
        if arg.type.kind in ("bit", "text", "ntext", "image", "xml"):
            raise errors.operand(types.label(arg.type), name.lower())
        return Aggregate(arg.type, _extreme(arg, name == "MAX", ctx))
    if name in ("SUM", "AVG"):
        target = sum_type(arg.type, name)
        return Aggregate(target, _total(arg, target, name == "AVG", node.distinct, ctx))
    if name == "STRING_AGG":
        return _string_agg(args, order)
    if name == "CHECKSUM_AGG":
        raise errors.unknown_function(node.text)
    return Aggregate(types.FLOAT, _spread(coerce(arg, types.FLOAT), name, node.distinct))


def _count_rows() -> tuple[Step, Callable[[], Any]]:
    count = [0]

    def step(r: Any) -> None:
        count[0] += 1

    return step, lambda: count[0]


def _counter(arg: Ex, distinct: bool, ctx: Any) -> Callable:
    fn = key_of(arg) if distinct else arg.fn

    def make() -> tuple[Step, Callable[[], Any]]:
        seen: set = set()
        count = [0]

        def step(r: Any) -> None:
            x = fn(r)
            if x is None:
                ctx.null_seen = True
            elif distinct:
                seen.add(x)
            else:
                count[0] += 1

        return step, lambda: len(seen) if distinct else count[0]

    return make


def _extreme(arg: Ex, largest: bool, ctx: Any) -> Callable:
    fn, key = arg.fn, key_of(arg)
    plain = key is fn

    def make() -> tuple[Step, Callable[[], Any]]:
        best: list[Any] = [None, None]

        def step(r: Any) -> None:
            k = key(r)
            if k is None:
                ctx.null_seen = True
                return
            if best[0] is None or (k > best[0] if largest else k < best[0]):
                best[0] = k
                best[1] = k if plain else fn(r)

        return step, lambda: best[1]

    return make


def _total(arg: Ex, target: SqlType, average: bool, distinct: bool, ctx: Any) -> Callable:
    fn, kind = arg.fn, target.kind

    def finish(total: Any, count: int) -> Any:
        if not count:
            return None
        if kind in types.INTS:
            low, high = types.RANGES[kind]
            if not low <= total <= high:
                raise errors.overflow(kind)
            if average:
                total = abs(total) // count * (1 if total >= 0 else -1)
            return total
        if kind == "float":
            if math.isinf(total):
                raise errors.overflow("float")
            return total / count if average else total
        if average:
            total = CONTEXT.divide(total, Decimal(count))
            total = quantize(total, 4 if kind == "money" else target.scale, ROUND_DOWN)
        return quantize(total, 4) if kind == "money" else fit(total, target)

    def make() -> tuple[Step, Callable[[], Any]]:
        state: list[Any] = [0 if kind != "float" else 0.0, 0]
        seen: set = set()
        exact = kind not in types.INTS and kind != "float"

        def step(r: Any) -> None:
            x = fn(r)
            if x is None:
                ctx.null_seen = True
                return
            if distinct:
                if x in seen:
                    return
                seen.add(x)
            state[0] = CONTEXT.add(state[0], x) if exact else state[0] + x
            state[1] += 1

        return step, lambda: finish(state[0], state[1])

    return make


def _string_agg(args: list[Ex], order: list[tuple[Ex, bool]]) -> Aggregate:
    text, separator = as_text(args[0]), as_text(args[1])
    fn, between = text.fn, separator.fn
    keys = [(key_of(ex), desc) for ex, desc in order]
    wide = text.type.kind in types.WIDE
    target = SqlType("nvarchar" if wide else "varchar", -1 if text.type.length < 0 else 4000 if wide else 8000)

    def make() -> tuple[Step, Callable[[], Any]]:
        found: list[tuple[str, list[Any]]] = []
        glue = [""]

        def step(r: Any) -> None:
            x = fn(r)
            if x is not None:
                found.append((x, [k(r) for k, _ in keys]))
                glue[0] = between(r) or ""

        def result() -> Any:
            rows = found
            for at in range(len(keys) - 1, -1, -1):
                rows = sorted(rows, key=lambda f: (f[1][at] is not None, f[1][at]), reverse=keys[at][1])
            return glue[0].join(f[0] for f in rows) if rows else None

        return step, result

    return Aggregate(target, make)


def _spread(arg: Ex, name: str, distinct: bool) -> Callable:
    fn = arg.fn

    def make() -> tuple[Step, Callable[[], Any]]:
        values: list[float] = []

        def result() -> Optional[float]:
            found = list(set(values)) if distinct else values
            n = len(found)
            whole = name.endswith("P")
            if n == 0 or (n == 1 and not whole):
                return None
            mean = math.fsum(found) / n
            variance = math.fsum((v - mean) ** 2 for v in found) / (n if whole else n - 1)
            return math.sqrt(variance) if name.startswith("STDEV") else variance

        def step(r: Any) -> None:
            x = fn(r)
            if x is not None:
                values.append(x)

        return step, result

    return make
