# SPDX-License-Identifier: Apache-2.0
"""Mathematical functions."""

from __future__ import annotations

import math
import random
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal
from typing import Any, Callable

from ..contract import SqlType
from . import errors, types
from .convert import CONTEXT, fit, quantize
from .expr import Ex, coerce, constant
from .functions import as_int, register, strict


def _number(ex: Ex) -> Ex:
    """As the numeric type that it has; text becomes float."""
    if ex.type.kind in types.STRINGS | {"null"}:
        return coerce(ex, types.FLOAT)
    if ex.type.kind in ("bit", "tinyint", "smallint"):
        return coerce(ex, types.INT)
    if ex.type.kind == "real":
        return coerce(ex, types.FLOAT)
    if ex.type.kind == "smallmoney":
        return coerce(ex, types.MONEY)
    if ex.type.kind not in types.NUMBERS:
        raise errors.argument(types.label(ex.type), 1, "math")
    return ex


@register("ABS", 1)
def _abs(c: Any, args: list[Ex], node: Any) -> Ex:
    arg = _number(args[0])

    def run(x: Any) -> Any:
        if arg.type.kind in types.RANGES and -x > types.RANGES[arg.type.kind][1]:
            raise errors.overflow(arg.type.kind)
        return abs(x)

    return strict(arg.type, [arg], run)


@register("SIGN", 1)
def _sign(c: Any, args: list[Ex], node: Any) -> Ex:
    arg = _number(args[0])
    wrap: Callable[[int], Any] = {"float": float, "int": int, "bigint": int}.get(arg.type.kind, Decimal)
    return strict(arg.type, [arg], lambda x: wrap((x > 0) - (x < 0)))


@register("CEILING FLOOR", 1)
def _whole(c: Any, args: list[Ex], node: Any) -> Ex:
    arg, up = _number(args[0]), node.name == "CEILING"
    if arg.type.kind in types.INTS:
        return arg
    if arg.type.kind in types.EXACT:
        target = SqlType("numeric", precision=arg.type.precision, scale=0)
        return strict(target, [arg], lambda x: quantize(x, 0, ROUND_CEILING if up else ROUND_FLOOR))
    if arg.type.kind == "money":
        return strict(arg.type, [arg], lambda x: quantize(quantize(x, 0, ROUND_CEILING if up else ROUND_FLOOR), 4))
    return strict(types.FLOAT, [arg], lambda x: float((math.ceil if up else math.floor)(x)))


@register("ROUND", 2, 3)
def _round(c: Any, args: list[Ex], node: Any) -> Ex:
    arg, rest = _number(args[0]), [as_int(a) for a in args[1:]]
    t = arg.type

    def run(x: Any, places: int, cut: int = 0) -> Any:
        rounding = ROUND_DOWN if cut else "ROUND_HALF_UP"
        places = max(-40, min(places, 40))
        number = Decimal(repr(x)) if isinstance(x, float) else Decimal(x)
        done = CONTEXT.quantize(number, Decimal(1).scaleb(-places)) if not cut else number.quantize(
            Decimal(1).scaleb(-places), rounding=rounding, context=CONTEXT)
        if isinstance(x, float):
            return float(done)
        if isinstance(x, int):
            whole = int(done)
            if not types.RANGES[t.kind][0] <= whole <= types.RANGES[t.kind][1]:
                raise errors.overflow(t.kind)
            return whole
        return quantize(done, 4) if t.kind == "money" else fit(done, t)

    return strict(t, [arg, *rest], run)


@register("POWER", 2)
def _power(c: Any, args: list[Ex], node: Any) -> Ex:
    base, exponent = _number(args[0]), coerce(args[1], types.FLOAT)
    t = base.type

    def run(x: Any, y: float) -> Any:
        try:
            if t.kind in types.INTS:
                done = x ** int(y) if y == int(y) and y >= 0 else int(float(x) ** y)
                if not types.RANGES[t.kind][0] <= done <= types.RANGES[t.kind][1]:
                    raise errors.error(232, f"Arithmetic overflow error for type {t.kind}, value = {float(done):f}.", 3)
                return done
            value = float(x) ** y
        except ZeroDivisionError:
            raise errors.error(3623, "An invalid floating point operation occurred.") from None
        except OverflowError:
            raise errors.overflow("float") from None
        if isinstance(value, complex):
            raise errors.error(3623, "An invalid floating point operation occurred.")
        return value if t.kind == "float" else fit(Decimal(repr(value)), t) if t.kind in types.EXACT else Decimal(repr(value))

    return strict(t, [base, exponent], run)


def _float(name: str, impl: Callable[..., float], low: int = 1, high: int = 1) -> None:
    @register(name, low, high)
    def build(c: Any, args: list[Ex], node: Any) -> Ex:
        def run(*values: float) -> float:
            try:
                return impl(*values)
            except (ValueError, ZeroDivisionError):
                raise errors.error(3623, "An invalid floating point operation occurred.") from None
            except OverflowError:
                raise errors.overflow("float") from None

        return strict(types.FLOAT, [coerce(a, types.FLOAT) for a in args], run)


for _name, _impl in (("SQRT", math.sqrt), ("EXP", math.exp), ("LOG10", math.log10), ("SIN", math.sin), ("COS", math.cos),
                     ("TAN", math.tan), ("ASIN", math.asin), ("ACOS", math.acos), ("ATAN", math.atan),
                     ("SQUARE", lambda x: x * x), ("COT", lambda x: 1 / math.tan(x))):
    _float(_name, _impl)
_float("LOG", lambda x, base=math.e: math.log(x) if base == math.e else math.log(x, base), 1, 2)
_float("ATN2", math.atan2, 2, 2)


@register("DEGREES RADIANS", 1)
def _angle(c: Any, args: list[Ex], node: Any) -> Ex:
    return strict(types.FLOAT, [coerce(args[0], types.FLOAT)], math.degrees if node.name == "DEGREES" else math.radians)


@register("PI", 0)
def _pi(c: Any, args: list[Ex], node: Any) -> Ex:
    return constant(math.pi, types.FLOAT)


@register("RAND", 0, 1)
def _rand(c: Any, args: list[Ex], node: Any) -> Ex:
    state = c.ctx.session.random
    cache: list[float] = []  # one value per statement, as on the real server

    def run(r: Any) -> float:
        if not cache:
            if args:
                state.seed(args[0].fn(r))
            cache.append(state.random())
        return cache[0]

    return Ex(run, types.FLOAT, False)


def new_random() -> random.Random:
    return random.Random()


@register("GREATEST LEAST", 1, 254)
def _extreme(c: Any, args: list[Ex], node: Any) -> Ex:
    from .ops import key_of
    target, exprs = c.unify(args)
    pairs = [(e.fn, key_of(e)) for e in exprs]
    pick = max if node.name == "GREATEST" else min

    def run(r: Any) -> Any:
        found = [(key(r), at) for at, (fn, key) in enumerate(pairs) if fn(r) is not None]
        return pairs[pick(found, key=lambda f: f[0])[1]][0](r) if found else None

    return Ex(run, target)
