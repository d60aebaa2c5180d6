# SPDX-License-Identifier: Apache-2.0
"""Conversions between types. `converter(source, target)` is chosen once per expression; it never sees NULL."""

from __future__ import annotations

import datetime as dt
import decimal
import functools
import re
import uuid
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Callable, Optional

from .. import moments
from ..contract import SqlType
from . import dates, errors
from .types import APPROX, BINARIES, EXACT, INTS, MONEYS, RANGES, STRINGS, TIMES, WIDE, label, of_value

CONTEXT = decimal.Context(prec=100, rounding=ROUND_HALF_UP)
INTEGER = re.compile(r"^\s*[+-]?\s*\d*\s*$")
NUMERIC = re.compile(r"^\s*[+-]?(\d+\.?\d*|\.\d+)\s*$")
FLOATING = re.compile(r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$")
GUID = re.compile(r"^\{?[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")

Fn = Callable[[Any], Any]


def same(value: Any) -> Any:
    return value


@functools.lru_cache(maxsize=4096)
def converter(source: SqlType, target: SqlType, style: Optional[int] = None, explicit: bool = False) -> Fn:
    """Raises SqlError (529, 257, 206) when the types cannot be converted at all. The function raises SqlError for values
    that do not fit."""
    if source == target or source.kind == "null":
        return same
    if source.kind == "sql_variant":
        return _from_variant(target, style, explicit)
    make = _MAKERS.get(target.kind)
    if make is None:
        raise errors.not_allowed(label(source), label(target))
    return make(source, target, style, explicit)


def convert(value: Any, source: SqlType, target: SqlType, style: Optional[int] = None) -> Any:
    return None if value is None else converter(source, target, style, True)(value)


def store(value: Any, target: SqlType) -> Any:
    """A Python value without a declared type, as `target`."""
    return None if value is None else converter(of_value(value), target, None, True)(value)


def _from_variant(target: SqlType, style: Optional[int], explicit: bool) -> Fn:
    if target.kind == "sql_variant":
        return same
    return lambda value: converter(of_value(value), target, style, True)(value)


def _refuse(source: SqlType, target: SqlType, explicit: bool, allowed: bool) -> None:
    if not allowed:
        raise errors.not_allowed(label(source), label(target)) if explicit else errors.clash(label(source), label(target))


# -- numbers ------------------------------------------------------------------------------------------------------------


def _integer(source: SqlType, target: SqlType, style: Optional[int], explicit: bool) -> Fn:
    kind = target.kind
    low, high = RANGES[kind]
    name = label(source)

    def check(value: int) -> int:
        if low <= value <= high:
            return value
        if kind in ("tinyint", "smallint") and source.kind in INTS:
            raise errors.error(220, f"Arithmetic overflow error for data type {kind}, value = {value}.")
        raise errors.overflow(kind)

    def from_text(value: str) -> int:
        if not INTEGER.match(value):
            raise errors.bad_number(name, kind) if kind == "bigint" else errors.conversion(value, name, kind)
        number = int(value.replace(" ", "") or 0) if value.strip() not in ("", "+", "-") else 0
        if low <= number <= high:
            return number
        if kind == "bigint":
            raise errors.overflow(kind)
        if kind == "int":
            raise errors.error(248, f"The conversion of the {name} value '{value}' overflowed an int column.")
        raise errors.error(244, f"The conversion of the {name} value '{value}' overflowed an INT{2 if kind == 'smallint' else 1} "
                                "column. Use a larger integer column.", 1)

    if source.kind in STRINGS:
        return from_text
    if source.kind in BINARIES:
        size = {"bigint": 8, "int": 4, "smallint": 2, "tinyint": 1}[kind]
        return lambda v: int.from_bytes(v[-size:], "big", signed=kind != "tinyint" and len(v) >= size)
    if source.kind in ("datetime", "smalldatetime"):
        return lambda v: check(int(_days(v) + 0.5))
    _refuse(source, target, explicit, source.kind in INTS | EXACT | APPROX | MONEYS | {"bit"})
    if source.kind in MONEYS:
        return lambda v: check(int(v.to_integral_value(ROUND_HALF_UP)))
    return lambda v: check(int(v))


def _days(value: dt.datetime) -> float:
    return (value - dates.BASE).total_seconds() / 86400


def _bit(source: SqlType, target: SqlType, style: Optional[int], explicit: bool) -> Fn:
    def from_text(value: str) -> bool:
        text = value.strip().lower()
        if text in ("true", "false"):
            return text == "true"
        if not INTEGER.match(value):
            raise errors.conversion(value, label(source), "bit")
        return int(text or 0) != 0

    if source.kind in STRINGS:
        return from_text
    if source.kind in BINARIES:
        return lambda v: any(v)
    _refuse(source, target, explicit, source.kind in INTS | EXACT | APPROX | MONEYS)
    return bool


def quantize(value: Decimal, scale: int, rounding: str = ROUND_HALF_UP) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-scale), rounding=rounding, context=CONTEXT)


def fit(value: Decimal, target: SqlType, source: str = "numeric") -> Decimal:
    value = quantize(value, target.scale)
    if value.adjusted() >= target.precision - target.scale and value:
        raise errors.overflow_from(source, target.kind)
    return value


def _exact(source: SqlType, target: SqlType, style: Optional[int], explicit: bool) -> Fn:
    name = label(source)

    def from_text(value: str) -> Decimal:
        if not NUMERIC.match(value):
            raise errors.bad_number(name, "numeric")
        return fit(Decimal(value.strip()), target, name)

    if source.kind in STRINGS:
        return from_text
    if source.kind in BINARIES:
        return lambda v: fit(Decimal(int.from_bytes(v, "big")), target, name)
    if source.kind in ("datetime", "smalldatetime"):
        return lambda v: fit(Decimal(repr(_days(v))), target, name)
    _refuse(source, target, explicit, source.kind in INTS | EXACT | APPROX | MONEYS | {"bit"})
    if source.kind in APPROX:
        return lambda v: fit(Decimal(repr(v)), target, "float")
    return lambda v: fit(Decimal(int(v)) if not isinstance(v, Decimal) else v, target, "int" if source.kind in INTS else name)


def _money(source: SqlType, target: SqlType, style: Optional[int], explicit: bool) -> Fn:
    limit = Decimal(2**63 if target.kind == "money" else 2**31) / 10000

    def check(value: Decimal) -> Decimal:
        value = quantize(value, 4)
        if not -limit <= value < limit:
            raise errors.overflow_from(label(source), target.kind)
        return value

    def from_text(value: str) -> Decimal:
        text = value.strip().replace(",", "").replace("$", "", 1)
        if text and not NUMERIC.match(text):
            raise errors.error(235, "Cannot convert a char value to money. The char value has incorrect syntax.", 0)
        return check(Decimal(text or 0))

    if source.kind in STRINGS:
        return from_text
    if source.kind in BINARIES:
        return lambda v: Decimal(int.from_bytes(v, "big", signed=True)) / 10000
    _refuse(source, target, explicit, source.kind in INTS | EXACT | APPROX | MONEYS | {"bit"})
    return lambda v: check(v if isinstance(v, Decimal) else Decimal(repr(v) if isinstance(v, float) else int(v)))


def _float(source: SqlType, target: SqlType, style: Optional[int], explicit: bool) -> Fn:
    import struct

    def narrow(value: float) -> float:
        try:
            return struct.unpack("<f", struct.pack("<f", value))[0] if target.kind == "real" else value
        except OverflowError:
            raise errors.error(232, f"Arithmetic overflow error for type real, value = {value:f}.", 2) from None

    def from_text(value: str) -> float:
        if not value.strip():
            return 0.0
        if not FLOATING.match(value):
            raise errors.bad_number(label(source), target.kind)
        return narrow(float(value))

    if source.kind in STRINGS:
        return from_text
    if source.kind in ("datetime", "smalldatetime"):
        return lambda v: narrow(_days(v))
    _refuse(source, target, explicit, source.kind in INTS | EXACT | APPROX | MONEYS | {"bit"})
    return lambda v: narrow(float(v))


# -- text ---------------------------------------------------------------------------------------------------------------


def float_text(value: float, style: Optional[int] = None) -> str:
    if style in (1, 2):
        mantissa, exponent = f"{value:.{7 if style == 1 else 15}e}".split("e")
        return f"{mantissa}e{exponent[0]}{int(exponent[1:]):03d}"
    if style == 3:
        return f"{value:.17g}"
    text = f"{value:.6g}"
    if "e" in text:
        mantissa, exponent = text.split("e")
        return f"{mantissa}e{exponent[0]}{int(exponent[1:]):03d}"
    return text


def money_text(value: Decimal, style: Optional[int] = None) -> str:
    if style == 2 or style == 126:
        return str(quantize(value, 4))
    text = str(quantize(value, 2))
    return f"{quantize(value, 2):,}" if style == 1 else text


def narrow_text(text: str) -> str:
    """What code page 1252 keeps."""
    return text if text.isascii() else text.encode("cp1252", "replace").decode("cp1252", "replace")


def _to_str(source: SqlType, target: SqlType, style: Optional[int]) -> Fn:
    kind = source.kind
    if kind in STRINGS:
        return same
    if kind in INTS:
        return str
    if kind == "bit":
        return lambda v: "1" if v else "0"
    if kind in EXACT:
        return lambda v: format(v, "f")
    if kind in MONEYS:
        return lambda v: money_text(v, style)
    if kind in APPROX:
        return lambda v: float_text(v, style)
    if kind == "uniqueidentifier":
        return lambda v: str(v).upper()
    if kind in TIMES:
        return _time_text(source, style)
    return _binary_text(target, style)


def _time_text(source: SqlType, style: Optional[int]) -> Fn:
    kind, scale = source.kind, source.scale
    if style is None:
        return lambda v: dates.default_text(v, kind, scale)

    def run(value: Any) -> str:
        try:
            return dates.style_text(value, kind, scale, style)
        except KeyError:
            raise errors.error(281, f"{style} is not a valid style number when converting from {kind} "
                                    "to a character string.") from None

    return run


def _binary_text(target: SqlType, style: Optional[int]) -> Fn:
    wide = target.kind in WIDE
    if style == 1:
        return lambda v: "0x" + bytes(v).hex().upper()
    if style == 2:
        return lambda v: bytes(v).hex().upper()
    return lambda v: bytes(v).decode("utf-16-le" if wide else "cp1252", "replace")


def _text(source: SqlType, target: SqlType, style: Optional[int], explicit: bool) -> Fn:
    _refuse(source, target, explicit, source.kind not in ("image",))
    read = _to_str(source, target, style)
    length, fixed, narrow = target.length, target.kind in ("char", "nchar"), target.kind not in WIDE
    if target.kind in ("text", "ntext", "xml"):
        length = -1
    strict = source.kind not in STRINGS | BINARIES | TIMES
    from_text = source.kind in STRINGS

    def run(value: Any) -> str:
        text = read(value)
        if narrow and not text.isascii():
            text = narrow_text(text)
        if 0 <= length < len(text):
            if strict:
                text = _too_long(source, target, text)
            text = text[:length]
        return text.ljust(length) if fixed else text

    if from_text and not narrow and not fixed and (length < 0 or 0 < source.length <= length):
        return same
    return run


def _too_long(source: SqlType, target: SqlType, text: str) -> str:
    if source.kind in INTS and target.kind in ("varchar", "char"):
        return "*"
    if source.kind == "uniqueidentifier":
        raise errors.error(8170, "Insufficient result space to convert uniqueidentifier value to char.", 2)
    raise errors.overflow_from("expression" if source.kind in INTS else label(source), target.kind)


# -- binary and others --------------------------------------------------------------------------------------------------


def _binary(source: SqlType, target: SqlType, style: Optional[int], explicit: bool) -> Fn:
    length, fixed = (-1 if target.kind == "image" else 8 if target.kind == "timestamp" else target.length), target.kind == "binary"
    if source.kind in STRINGS and not explicit:
        raise errors.implicit(label(source), label(target))
    _refuse(source, target, explicit, source.kind not in APPROX or explicit)
    read = _bytes_reader(source, style)
    left = source.kind in INTS | {"bit"} | MONEYS

    def run(value: Any) -> bytes:
        data = read(value)
        if length >= 0 and len(data) > length:
            data = data[-length:] if left else data[:length]
        if fixed and len(data) < length:
            data = data.rjust(length, b"\0") if left else data.ljust(length, b"\0")
        return data

    return run


def _bytes_reader(source: SqlType, style: Optional[int]) -> Fn:
    kind = source.kind
    if kind in BINARIES:
        return bytes
    if kind in INTS:
        size = {"bigint": 8, "int": 4, "smallint": 2, "tinyint": 1}[kind]
        return lambda v: (v % (1 << 8 * size)).to_bytes(size, "big")
    if kind == "bit":
        return lambda v: b"\1" if v else b"\0"
    if kind == "uniqueidentifier":
        return lambda v: v.bytes_le
    if kind in MONEYS:
        return lambda v: (int(v * 10000) % 2**64).to_bytes(8, "big")
    if kind in STRINGS and style in (1, 2):
        return lambda v: _hex(v, style)
    if kind in STRINGS:
        return lambda v: v.encode("utf-16-le" if kind in WIDE else "cp1252", "replace")
    if kind in ("datetime",):
        return _datetime_bytes
    if kind in EXACT:
        return lambda v: bytes([source.precision, source.scale, 0, int(v >= 0)]) + abs(int(v.scaleb(source.scale))).to_bytes(
            4, "little")
    if kind in APPROX:
        import struct
        return lambda v: struct.pack(">d" if kind == "float" else ">f", v)
    raise errors.not_allowed(label(source), "varbinary")


def _datetime_bytes(value: dt.datetime) -> bytes:
    days = (value.date() - dates.BASE.date()).days
    micros = ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond
    return (days % 2**32).to_bytes(4, "big") + ((micros * 300 + 500_000) // 1_000_000).to_bytes(4, "big")


def _hex(text: str, style: int) -> bytes:
    text = text.strip()
    if style == 1:
        if not text.lower().startswith("0x"):
            raise errors.bad_number("varchar", "varbinary")
        text = text[2:]
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise errors.bad_number("varchar", "varbinary") from None


def _uuid(source: SqlType, target: SqlType, style: Optional[int], explicit: bool) -> Fn:
    def from_text(value: str) -> uuid.UUID:
        if not GUID.match(value):
            raise errors.error(8169, "Conversion failed when converting from a character string to uniqueidentifier.", 2)
        return uuid.UUID(value.lstrip("{")[:36])

    if source.kind in STRINGS:
        return from_text
    _refuse(source, target, explicit, source.kind in BINARIES)
    return lambda v: uuid.UUID(bytes_le=bytes(v)[:16].ljust(16, b"\0"))


def _variant(source: SqlType, target: SqlType, style: Optional[int], explicit: bool) -> Fn:
    _refuse(source, target, explicit, source.kind not in ("text", "ntext", "image", "xml", "timestamp") and source.length >= 0)
    return same


# -- times --------------------------------------------------------------------------------------------------------------

LOW = {"datetime": 1753, "smalldatetime": 1900}


def _time(source: SqlType, target: SqlType, style: Optional[int], explicit: bool) -> Fn:
    kind, scale = target.kind, target.scale
    read = _time_reader(source, target, style, explicit)
    name = label(source)

    def run(value: Any) -> Any:
        try:
            moment = read(value)
            if kind in LOW and (moment.year < LOW[kind] or (kind == "smalldatetime" and moment.year > 2079)):
                raise errors.date_range(name, kind)
            return _shape(moment, kind, scale)
        except (ValueError, OverflowError):
            if kind in LOW and source.kind in STRINGS and _looks_like_date(value):
                raise errors.date_range(name, kind) from None
            raise errors.bad_date() if source.kind in STRINGS else errors.overflow_from(name, kind) from None

    return run


def _looks_like_date(text: str) -> bool:
    return bool(re.match(r"^\s*(\d{4}|\d{1,2})[-/.]?\d{1,2}[-/.]?(\d{4}|\d{1,2})(\s|T|$)", text))


def _shape(moment: dt.datetime, kind: str, scale: int) -> Any:
    if kind == "date":
        return moment.date()
    if kind == "datetimeoffset":
        return dates.round_micros(moment if moment.tzinfo else moment.replace(tzinfo=dt.timezone.utc), scale)
    if moment.tzinfo:
        moment = moment.replace(tzinfo=None)
    if kind == "time":
        rounded = dates.round_micros(moment, scale)
        return rounded.time() if rounded.date() == moment.date() else moment.time().replace(
            microsecond=moment.microsecond // 10 ** max(0, 6 - scale) * 10 ** max(0, 6 - scale))
    if kind == "datetime":
        return dates.round_datetime(moment)
    return dates.round_minute(moment) if kind == "smalldatetime" else dates.round_micros(moment, scale)


def _time_reader(source: SqlType, target: SqlType, style: Optional[int], explicit: bool) -> Fn:
    kind = source.kind
    if kind in STRINGS:
        order = {3: "dmy", 103: "dmy", 4: "dmy", 104: "dmy", 5: "dmy", 105: "dmy"}.get(style or 0, "mdy")
        return lambda v: _parse(v, order, target.kind)
    if kind in ("datetime", "smalldatetime", "datetime2", "datetimeoffset"):
        return same
    if kind == "date":
        _refuse(source, target, explicit, target.kind != "time")
        return lambda v: dt.datetime(v.year, v.month, v.day)
    if kind == "time":
        _refuse(source, target, explicit, target.kind != "date")
        return lambda v: moments.combine(dt.date(1900, 1, 1), v)
    old = target.kind in ("datetime", "smalldatetime")
    _refuse(source, target, explicit, old and kind in INTS | EXACT | APPROX | MONEYS | BINARIES | {"bit"})
    if kind in BINARIES:
        return lambda v: dates.BASE + dt.timedelta(days=int.from_bytes(v[-8:-4], "big", signed=True),
                                                   microseconds=int.from_bytes(v[-4:], "big") * 10000 / 3)
    return lambda v: dates.BASE + dt.timedelta(days=float(v))


def _parse(text: str, order: str, target: str) -> dt.datetime:
    if not text.strip():
        return dates.BASE
    found = dates.parse(text, order)
    if target == "datetime" and (found.nanos % 1_000_000 and len(text.rsplit(".", 1)[-1].rstrip("AaPpMm ")) > 3):
        raise ValueError(text)
    if found.zone is not None and target in LOW:
        raise ValueError(text)
    day, clock = found.day or dt.date(1900, 1, 1), found.time or dt.time()
    moment = dt.datetime.combine(day, clock)
    if target in ("datetime2", "datetimeoffset", "time"):
        digit = (found.nanos % 1000 + 50) // 100
        moment = moments.of(moment + dt.timedelta(microseconds=1) if digit == 10 else moment, digit % 10)
    elif found.nanos % 1000 >= 500:
        moment += dt.timedelta(microseconds=1)
    if found.zone is not None:
        moment = moment.replace(tzinfo=found.zone)
        if target != "datetimeoffset":
            moment = moment.replace(tzinfo=None) if target in ("date", "time") else moment.astimezone(dt.timezone.utc)
    return moment


_MAKERS = {**{k: _integer for k in INTS}, "bit": _bit, **{k: _exact for k in EXACT}, **{k: _money for k in MONEYS},
           **{k: _float for k in APPROX}, **{k: _text for k in STRINGS}, **{k: _binary for k in BINARIES},
           "uniqueidentifier": _uuid, "sql_variant": _variant, **{k: _time for k in TIMES}}


# -- comparison ---------------------------------------------------------------------------------------------------------

_PUNCTUATION = {ord(c): chr(i + 1) for i, c in enumerate("'-!\"#$%&()*,./:;?@[\\]^_`{|}~+<=>")}


def text_key(text: str) -> str:
    """Equal for strings that CI_AS takes for equal."""
    return text.casefold().rstrip(" ")


def sort_text(text: str) -> str:
    """Orders as the collation does: punctuation, digits, letters."""
    text = text.casefold().rstrip(" ")
    return text if text.isalnum() else text.translate(_PUNCTUATION)


def bin_key(text: str) -> str:
    return text.rstrip(" ")


def uuid_key(value: uuid.UUID) -> bytes:
    """SQL Server compares the last group first."""
    b = value.bytes_le
    return b[10:16] + b[8:10] + b[6:8] + b[4:6] + b[0:4]


def utc_key(value: dt.datetime) -> dt.datetime:
    return value.astimezone(dt.timezone.utc).replace(tzinfo=None)


def bytes_key(value: bytes) -> bytes:
    return bytes(value).rstrip(b"\0")


def variant_key(value: Any) -> Any:
    kind = of_value(value).kind
    family = 5 if kind in TIMES else 4 if kind in INTS | EXACT | APPROX | {"bit"} else 2 if kind in STRINGS else 1
    return family, (sort_text(value) if family == 2 else str(value) if family == 5 else value if family == 4 else repr(value))


def comparer(t: SqlType, coll: str = "") -> Optional[Fn]:
    """The key function for values of a type; None when the values compare as they are."""
    if t.kind in STRINGS:
        return bin_key if coll == "bin" else sort_text
    return {"uniqueidentifier": uuid_key, "datetimeoffset": utc_key, "sql_variant": variant_key, "varbinary": bytes_key,
            "binary": bytes_key, "image": bytes_key}.get(t.kind)
