# SPDX-License-Identifier: Apache-2.0
"""Date and time functions."""

from __future__ import annotations

import calendar
import datetime as dt
from typing import Any, Callable, Optional

from .. import moments
from ..contract import SqlType
from . import dates, errors, types
from .convert import converter
from .expr import Ex, coerce
from .functions import as_int, register, strict

PARTS = {"year": "year", "yy": "year", "yyyy": "year", "quarter": "quarter", "qq": "quarter", "q": "quarter", "month": "month",
         "mm": "month", "m": "month", "dayofyear": "dayofyear", "dy": "dayofyear", "y": "dayofyear", "day": "day", "dd": "day",
         "d": "day", "week": "week", "wk": "week", "ww": "week", "weekday": "weekday", "dw": "weekday", "w": "weekday",
         "hour": "hour", "hh": "hour", "minute": "minute", "mi": "minute", "n": "minute", "second": "second", "ss": "second",
         "s": "second", "millisecond": "millisecond", "ms": "millisecond", "microsecond": "microsecond", "mcs": "microsecond",
         "nanosecond": "nanosecond", "ns": "nanosecond", "tzoffset": "tzoffset", "tz": "tzoffset", "iso_week": "iso_week",
         "isowk": "iso_week", "isoww": "iso_week"}
MICROS = {"hour": 3_600_000_000, "minute": 60_000_000, "second": 1_000_000, "millisecond": 1000, "microsecond": 1}
DAY = 86_400_000_000


def _part(node: Any) -> str:
    name = node.args[0].value if isinstance(node.args[0].value, str) else ""
    found = PARTS.get(name)
    if found is None:
        raise errors.error(155, f"'{name}' is not a recognized {node.text.lower()} option.", 1, 15)
    return found


def _moment(ex: Ex) -> Ex:
    """Text becomes datetime2 here, numbers datetime."""
    if ex.type.kind in types.TIMES:
        return ex
    if ex.type.kind in types.STRINGS:
        return coerce(ex, types.DATETIME2)
    return coerce(ex, types.DATETIME)


def with_tick(value: dt.datetime) -> dt.datetime:
    """The clock's seventh digit, the same for each look at one moment."""
    return moments.of(value, (value.microsecond * 7 + 3) % 10)


def _full(value: Any) -> dt.datetime:
    if isinstance(value, dt.datetime):
        return value
    if isinstance(value, dt.date):
        return dt.datetime(value.year, value.month, value.day)
    return moments.combine(dt.date(1900, 1, 1), value)


# -- now ----------------------------------------------------------------------------------------------------------------


def _now(name: str, target: SqlType, shape: Callable[[dt.datetime], Any]) -> None:
    @register(name, 0)
    def build(c: Any, args: list[Ex], node: Any) -> Ex:
        ctx = c.ctx
        return Ex(lambda r: shape(ctx.now()), target, False, True)


def _utc(value: dt.datetime) -> dt.datetime:
    return value.astimezone(dt.timezone.utc).replace(tzinfo=None)


_now("GETDATE", types.DATETIME, lambda v: dates.round_datetime(v.replace(tzinfo=None)))
_now("CURRENT_TIMESTAMP", types.DATETIME, lambda v: dates.round_datetime(v.replace(tzinfo=None)))
_now("GETUTCDATE", types.DATETIME, lambda v: dates.round_datetime(_utc(v)))
_now("SYSDATETIME", types.DATETIME2, lambda v: with_tick(v.replace(tzinfo=None)))
_now("SYSUTCDATETIME", types.DATETIME2, lambda v: with_tick(_utc(v)))
_now("SYSDATETIMEOFFSET", types.OFFSET, lambda v: with_tick(v.astimezone(dt.timezone(v.utcoffset()))))


# -- arithmetic ---------------------------------------------------------------------------------------------------------


def add_months(value: dt.datetime, count: int) -> dt.datetime:
    month = value.year * 12 + value.month - 1 + count
    year, month = divmod(month, 12)
    day = min(value.day, calendar.monthrange(year, month + 1)[1]) if 1 <= year <= 9999 else value.day
    return value.replace(year=year, month=month + 1, day=day)


@register("DATEADD", 3)
def _dateadd(c: Any, args: list[Ex], node: Any) -> Ex:
    part, moment = _part(node), args[2]
    if moment.type.kind in types.STRINGS:
        moment = coerce(moment, types.DATETIME)
    moment = _moment(moment)
    count = coerce(args[1], types.BIGINT if args[1].type.kind == "bigint" else types.INT)
    kind, scale = moment.type.kind, moment.type.scale
    if kind == "date" and part in MICROS or kind == "time" and part not in (*MICROS, "nanosecond"):
        raise errors.error(9810, f"The datepart {part} is not supported by date function dateadd for data type {kind}.", 1)
    fix = {"datetime": dates.round_datetime, "smalldatetime": dates.round_minute}.get(kind)

    def run(n: int, value: Any) -> Any:
        full = _full(value)
        try:
            if part in ("year", "quarter", "month"):
                done = add_months(full, n * {"year": 12, "quarter": 3, "month": 1}[part])
            elif part in ("day", "dayofyear", "weekday"):
                done = full + dt.timedelta(days=n)
            elif part == "week":
                done = full + dt.timedelta(weeks=n)
            elif part == "nanosecond":
                whole, digit = divmod(moments.tick(full) + n // 100, 10)
                done = moments.of(moments.of(full, 0) + dt.timedelta(microseconds=whole), digit)
            else:
                done = full + dt.timedelta(microseconds=n * MICROS[part])
        except (ValueError, OverflowError):
            raise errors.error(517, f"Adding a value to a '{kind}' column caused an overflow.") from None
        if kind == "date":
            return done.date()
        return done.time() if kind == "time" else fix(done) if fix else dates.round_micros(done, scale)

    return strict(moment.type, [count, moment], run)


def _boundary(part: str, value: dt.datetime) -> int:
    """The number of the period in which a moment lies."""
    if part == "year":
        return value.year
    if part == "quarter":
        return value.year * 4 + (value.month - 1) // 3
    if part == "month":
        return value.year * 12 + value.month
    days = value.toordinal()
    if part in ("day", "dayofyear", "weekday"):
        return days
    if part == "week":
        return days // 7  # weeks begin on Sunday
    micros = ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond
    if part == "nanosecond":
        return (days * DAY + micros) * 1000 + moments.tick(value) * 100
    return (days * DAY + micros) // MICROS[part]


@register("DATEDIFF DATEDIFF_BIG", 3)
def _datediff(c: Any, args: list[Ex], node: Any) -> Ex:
    part, target = _part(node), types.INT if node.name == "DATEDIFF" else types.BIGINT
    low, high = types.RANGES[target.kind]

    def wide(value: Any) -> dt.datetime:
        full = _full(value)
        return _utc(full) if full.tzinfo else full

    def run(a: Any, b: Any) -> int:
        found = _boundary(part, wide(b)) - _boundary(part, wide(a))
        if not low <= found <= high:
            raise errors.error(535, f"The {node.name.lower()} function resulted in an overflow. The number of dateparts separating "
                                    f"two date/time instances is too large. Try to use {node.name.lower()} with a less precise "
                                    "datepart.", 0)
        return found

    return strict(target, [_moment(args[1]), _moment(args[2])], run)


def part_value(part: str, value: Any, first: int = 7) -> int:
    value = _full(value)
    if part == "quarter":
        return (value.month - 1) // 3 + 1
    if part == "dayofyear":
        return value.timetuple().tm_yday
    if part == "weekday":
        return (value.isoweekday() - first) % 7 + 1
    if part == "week":
        start = dt.datetime(value.year, 1, 1)
        return (value.timetuple().tm_yday - 1 + (start.isoweekday() - first) % 7) // 7 + 1
    if part == "iso_week":
        return value.isocalendar()[1]
    if part == "millisecond":
        return value.microsecond // 1000
    if part == "nanosecond":
        return value.microsecond * 1000 + moments.tick(value) * 100
    if part == "tzoffset":
        return int(value.utcoffset().total_seconds()) // 60 if value.tzinfo else 0
    return getattr(value, part)


@register("DATEPART", 2)
def _datepart(c: Any, args: list[Ex], node: Any) -> Ex:
    part, session = _part(node), c.ctx.session
    return strict(types.INT, [_moment(args[1])], lambda v: part_value(part, v, session.options.date_first))


@register("DATENAME", 2)
def _datename(c: Any, args: list[Ex], node: Any) -> Ex:
    part, session = _part(node), c.ctx.session

    def run(value: Any) -> str:
        if part == "month":
            return dates.MONTHS[_full(value).month - 1]
        if part == "weekday":
            return dates.DAYS[_full(value).weekday()]
        if part == "tzoffset":
            return dates.offset_text(value) if getattr(value, "tzinfo", None) else "+00:00"
        return str(part_value(part, value, session.options.date_first))

    return strict(SqlType("nvarchar", 30), [_moment(args[1])], run)


@register("YEAR MONTH DAY", 1)
def _ymd(c: Any, args: list[Ex], node: Any) -> Ex:
    name = node.name.lower()
    return strict(types.INT, [_moment(args[0])], lambda v: getattr(_full(v), name))


@register("DATETRUNC", 2)
def _datetrunc(c: Any, args: list[Ex], node: Any) -> Ex:
    part, moment = _part(node), _moment(args[1])

    def run(value: Any) -> Any:
        full = _full(value)
        start = full.replace(hour=0, minute=0, second=0, microsecond=0)
        if part in ("year", "quarter", "month"):
            month = {"year": 1, "quarter": (full.month - 1) // 3 * 3 + 1, "month": full.month}[part]
            done = start.replace(month=month, day=1)
        elif part == "week":
            done = start - dt.timedelta(days=full.isoweekday() % 7)
        elif part == "iso_week":
            done = start - dt.timedelta(days=full.weekday())
        elif part in MICROS:
            micros = ((full.hour * 60 + full.minute) * 60 + full.second) * 1_000_000 + full.microsecond
            done = start + dt.timedelta(microseconds=micros // MICROS[part] * MICROS[part])
        else:
            done = start
        return converter(types.DATETIME2 if not full.tzinfo else types.OFFSET, moment.type)(done)

    return strict(moment.type, [moment], run)


@register("EOMONTH", 1, 2)
def _eomonth(c: Any, args: list[Ex], node: Any) -> Ex:
    def run(value: dt.date, count: int = 0) -> dt.date:
        full = add_months(_full(value).replace(day=1), count)
        return full.replace(day=calendar.monthrange(full.year, full.month)[1]).date()

    return strict(types.DATE, [coerce(args[0], types.DATE), *[as_int(a) for a in args[1:]]], run)


@register("DATEFROMPARTS", 3)
def _datefromparts(c: Any, args: list[Ex], node: Any) -> Ex:
    def run(y: int, m: int, d: int) -> dt.date:
        try:
            return dt.date(y, m, d)
        except ValueError:
            raise _no_parts("date") from None

    return strict(types.DATE, [as_int(a) for a in args], run)


def _no_parts(kind: str) -> Exception:
    return errors.error(289, f"Cannot construct data type {kind}, some of the arguments have values which are not valid.")


@register("DATETIMEFROMPARTS DATETIME2FROMPARTS", 7, 8)
def _datetimefromparts(c: Any, args: list[Ex], node: Any) -> Ex:
    old = node.name == "DATETIMEFROMPARTS"
    scale = 3 if old else args[7].lit if len(args) > 7 and isinstance(args[7].lit, int) else 7

    def run(y: int, m: int, d: int, h: int, mi: int, s: int, f: int, p: int = 0) -> dt.datetime:
        try:
            units = f * 10 ** (7 - scale)
            made = moments.of(dt.datetime(y, m, d, h, mi, s) + dt.timedelta(microseconds=units // 10), units % 10)
        except ValueError:
            raise _no_parts("datetime" if old else "datetime2") from None
        return dates.round_datetime(made) if old else made

    return strict(types.DATETIME if old else SqlType("datetime2", scale=scale), [as_int(a) for a in args], run)


@register("ISDATE", 1)
def _isdate(c: Any, args: list[Ex], node: Any) -> Ex:
    fn, convert = args[0].fn, converter(args[0].type, types.DATETIME, None, True)

    def run(r: Any) -> int:
        try:
            value = fn(r)
            return 0 if value is None else int(convert(value) is not None)
        except errors.SqlError:
            return 0

    return Ex(run, types.INT, False)


# -- zones --------------------------------------------------------------------------------------------------------------


def _zone(value: Any, function: str) -> dt.timezone:
    if isinstance(value, int):
        minutes: Optional[int] = value
    else:
        text = value.strip()
        minutes = None
        if len(text) == 6 and text[0] in "+-" and text[3] == ":" and (text[1:3] + text[4:]).isdigit():
            minutes = (int(text[1:3]) * 60 + int(text[4:])) * (-1 if text[0] == "-" else 1)
    if minutes is None or abs(minutes) > 840:
        raise errors.error(9812, f"The timezone provided to builtin function {function} is invalid.")
    return dt.timezone(dt.timedelta(minutes=minutes))


@register("SWITCHOFFSET", 2)
def _switchoffset(c: Any, args: list[Ex], node: Any) -> Ex:
    value = coerce(args[0], types.OFFSET if args[0].type.kind != "datetimeoffset" else args[0].type)
    return strict(value.type, [value, args[1]], lambda v, z: v.astimezone(_zone(z, "switchoffset")))


@register("TODATETIMEOFFSET", 2)
def _todatetimeoffset(c: Any, args: list[Ex], node: Any) -> Ex:
    value = coerce(args[0], types.DATETIME2)
    return strict(types.OFFSET, [value, args[1]], lambda v, z: v.replace(tzinfo=_zone(z, "todatetimeoffset")))


ZONES = {"UTC": "UTC", "W. EUROPE STANDARD TIME": "Europe/Berlin", "CENTRAL EUROPE STANDARD TIME": "Europe/Budapest",
         "GMT STANDARD TIME": "Europe/London", "EASTERN STANDARD TIME": "America/New_York",
         "CENTRAL STANDARD TIME": "America/Chicago", "PACIFIC STANDARD TIME": "America/Los_Angeles",
         "INDIA STANDARD TIME": "Asia/Kolkata", "TOKYO STANDARD TIME": "Asia/Tokyo", "CHINA STANDARD TIME": "Asia/Shanghai"}


def at_zone(c: Any, value: Ex, zone: Ex) -> Ex:
    import zoneinfo
    if value.type.kind not in ("datetime", "smalldatetime", "datetime2", "datetimeoffset"):
        value = coerce(value, types.DATETIME2)

    def run(moment: dt.datetime, name: str) -> dt.datetime:
        known = ZONES.get(name.strip().upper())
        if known is None:
            raise errors.error(9820, f"The time zone parameter '{name}' provided to AT TIME ZONE clause is invalid.")
        info = dt.timezone.utc if known == "UTC" else zoneinfo.ZoneInfo(known)
        there = moment.astimezone(info) if moment.tzinfo else moment.replace(tzinfo=info)
        return there.replace(tzinfo=dt.timezone(there.utcoffset()))

    return strict(SqlType("datetimeoffset", scale=value.type.scale if value.type.scale or value.type.kind == "datetime2" else 3),
                  [value, zone], run)
