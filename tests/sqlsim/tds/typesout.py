# SPDX-License-Identifier: Apache-2.0
"""From T-SQL types and Python values to TYPE_INFO and bytes."""

from __future__ import annotations

import datetime as dt
import decimal
import struct
import uuid
from typing import Any, Callable, NamedTuple

from sqlsim import moments
from sqlsim.contract import SqlType
from sqlsim.tds import temporal
from sqlsim.tds.collation import charset_of
from sqlsim.tds.wire import TDS72, TDS73, WireEnv, utf16_encode

PLP_CHUNK = 8000
_CONTEXT = decimal.Context(prec=80)


class Codec(NamedTuple):
    """How a column travels: its TYPE_INFO, its values, and (before TDS 7.2) whether a table name follows the TYPE_INFO."""

    info: bytes
    encode: Callable[[Any], bytes]
    blob: bool = False


_INTS = {"tinyint": (1, "<B", 0x30), "smallint": (2, "<h", 0x34), "int": (4, "<i", 0x38), "bigint": (8, "<q", 0x7F)}
_FLOATS = {"real": (4, "<f", 0x3B), "float": (8, "<d", 0x3E)}
_OLD_TEXT = {"date": 10, "time": 16, "datetime2": 27, "datetimeoffset": 34}


def codec_of(sql_type: SqlType, nullable: bool, env: WireEnv) -> Codec:
    kind = sql_type.kind
    if env.version < TDS73 and kind in _OLD_TEXT:
        # Clients of that age know no such types: SQL Server sends them text.
        return _text_codec(SqlType("nvarchar", _OLD_TEXT[kind]), env, lambda v: time_text(v, sql_type))
    if kind in _INTS:
        size, form, fixed = _INTS[kind]
        return _sized(0x26, size, fixed, nullable, lambda v: struct.pack(form, int(v)))
    if kind == "bit":
        return _sized(0x68, 1, 0x32, nullable, lambda v: b"\x01" if _truth(v) else b"\x00")
    if kind in _FLOATS:
        size, form, fixed = _FLOATS[kind]
        return _sized(0x6D, size, fixed, nullable, lambda v: struct.pack(form, float(v)))
    if kind in ("money", "smallmoney"):
        return _money_codec(kind, nullable)
    if kind == "datetime":
        return _sized(0x6F, 8, 0x3D, nullable, temporal.encode_datetime)
    if kind == "smalldatetime":
        return _sized(0x6F, 4, 0x3A, nullable, temporal.encode_smalldatetime)
    if kind in ("numeric", "decimal"):
        return _numeric_codec(sql_type)
    if kind == "uniqueidentifier":
        return Codec(b"\x24\x10", _nullable8(lambda v: as_uuid(v).bytes_le))
    if kind in ("date", "time", "datetime2", "datetimeoffset"):
        return _time_codec(sql_type)
    if kind in ("nvarchar", "nchar", "varchar", "char", "sysname", "text", "ntext"):
        return _text_codec(sql_type, env, str)
    if kind in ("varbinary", "binary", "timestamp", "rowversion", "image"):
        return _binary_codec(sql_type, env)
    if kind == "sql_variant":
        return Codec(struct.pack("<BI", 0x62, 8009), lambda v: encode_variant(v, env))
    if kind == "xml":
        if env.version < TDS72:
            return _text_codec(SqlType("nvarchar", -1), env, str)
        return Codec(b"\xf1\x00", lambda v: encode_plp(None if v is None else utf16_encode(str(v))))
    raise ValueError(f"no wire form for the type {kind!r}")


def _truth(value: Any) -> bool:
    return bool(int(value)) if isinstance(value, str) else bool(value)


def as_uuid(value: Any) -> uuid.UUID:
    if isinstance(value, uuid.UUID):
        return value
    return uuid.UUID(bytes_le=bytes(value)) if isinstance(value, (bytes, bytearray)) else uuid.UUID(str(value))


def _nullable8(encode: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    def run(value: Any) -> bytes:
        if value is None:
            return b"\x00"
        data = encode(value)
        return bytes([len(data)]) + data

    return run


def _never_null(encode: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    def run(value: Any) -> bytes:
        if value is None:
            raise ValueError("NULL in a column that was declared NOT NULL")
        return encode(value)

    return run


def _sized(token: int, size: int, fixed: int, nullable: bool, encode: Callable[[Any], bytes]) -> Codec:
    if nullable:
        return Codec(bytes([token, size]), _nullable8(encode))
    return Codec(bytes([fixed]), _never_null(encode))


def _money_codec(kind: str, nullable: bool) -> Codec:
    def units(value: Any) -> int:
        return int((decimal.Decimal(str(value)) * 10000).to_integral_value(decimal.ROUND_HALF_UP))

    def money(value: Any) -> bytes:
        whole = units(value)
        return struct.pack("<iI", whole >> 32, whole & 0xFFFFFFFF)

    if kind == "money":
        return _sized(0x6E, 8, 0x3C, nullable, money)
    return _sized(0x6E, 4, 0x7A, nullable, lambda v: struct.pack("<i", units(v)))


def numeric_size(precision: int) -> int:
    return 5 if precision <= 9 else 9 if precision <= 19 else 13 if precision <= 28 else 17


def encode_numeric(value: Any, precision: int, scale: int) -> bytes:
    """Sign and magnitude, as many bytes as the precision asks for."""
    number = value if isinstance(value, decimal.Decimal) else decimal.Decimal(str(value))
    whole = int(number.scaleb(scale, _CONTEXT).to_integral_value(decimal.ROUND_HALF_UP))
    return (b"\x00" if whole < 0 else b"\x01") + abs(whole).to_bytes(numeric_size(precision) - 1, "little")


def _numeric_codec(sql_type: SqlType) -> Codec:
    precision, scale = sql_type.precision or 18, sql_type.scale
    token = 0x6C if sql_type.kind == "numeric" else 0x6A
    return Codec(bytes([token, 17, precision, scale]), _nullable8(lambda v: encode_numeric(v, precision, scale)))


def _time_codec(sql_type: SqlType) -> Codec:
    scale = sql_type.scale
    if sql_type.kind == "date":
        return Codec(b"\x28", _nullable8(temporal.encode_date))
    if sql_type.kind == "time":
        return Codec(bytes([0x29, scale]), _nullable8(lambda v: temporal.encode_time(v, scale)))
    if sql_type.kind == "datetime2":
        return Codec(bytes([0x2A, scale]), _nullable8(lambda v: temporal.encode_datetime2(v, scale)))
    return Codec(bytes([0x2B, scale]), _nullable8(lambda v: temporal.encode_datetimeoffset(v, scale)))


def time_text(value: Any, sql_type: SqlType) -> str:
    """The text that clients older than TDS 7.3 get for the newer time types."""
    scale = sql_type.scale

    def fraction(value: Any) -> str:
        return "." + f"{value.microsecond:06d}{moments.tick(value)}"[:scale] if scale else ""

    if sql_type.kind == "date":
        return temporal.as_datetime(value).date().isoformat()
    moment = value if isinstance(value, (dt.datetime, dt.time)) else temporal.as_datetime(value)
    clock = moment.strftime("%H:%M:%S") + fraction(moment)
    if sql_type.kind == "time":
        return clock
    text = f"{moment.date().isoformat()} {clock}"
    if sql_type.kind == "datetime2":
        return text
    minutes = int((moment.utcoffset() or dt.timedelta(0)).total_seconds()) // 60
    return f"{text} {'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


def encode_plp(data: Any) -> bytes:
    """A (max) value: total length, chunks, end."""
    if data is None:
        return b"\xff" * 8
    parts = [struct.pack("<Q", len(data))]
    for start in range(0, len(data), PLP_CHUNK):
        chunk = data[start : start + PLP_CHUNK]
        parts += (struct.pack("<I", len(chunk)), chunk)
    parts.append(b"\x00\x00\x00\x00")
    return b"".join(parts)


def _blob(data: Any) -> bytes:
    """text, ntext and image: a text pointer and a time stamp stand before the data."""
    if data is None:
        return b"\x00"
    return b"\x10" + b"dummy textptr\0\0\0" + b"dummyTS\0" + struct.pack("<I", len(data)) + data


def _sized16(encode: Callable[[Any], bytes], limit: int) -> Callable[[Any], bytes]:
    def run(value: Any) -> bytes:
        if value is None:
            return b"\xff\xff"
        data = encode(value)[:limit]
        return struct.pack("<H", len(data)) + data

    return run


def _text_codec(sql_type: SqlType, env: WireEnv, to_text: Callable[[Any], str]) -> Codec:
    kind, length = sql_type.kind, sql_type.length
    if kind == "sysname":
        kind, length = "nvarchar", length or 128
    if kind in ("text", "ntext"):
        kind, length = ("varchar" if kind == "text" else "nvarchar"), -1
    wide = kind.startswith("n")
    charset = charset_of(env.collation)

    def encode(value: Any) -> bytes:
        text = to_text(value)
        return utf16_encode(text) if wide else text.encode(charset, "replace")

    if length == -1:
        if env.version < TDS72:
            info = struct.pack("<BI", 0x63 if wide else 0x23, 0x7FFFFFFF) + env.collation
            return Codec(info, lambda v: _blob(None if v is None else encode(v)), True)
        token = 0xE7 if wide else 0xA7
        info = struct.pack("<BH", token, 0xFFFF) + env.collation
        return Codec(info, lambda v: encode_plp(None if v is None else encode(v)))
    fixed = kind in ("char", "nchar")
    limit = max(length, 1) * (2 if wide else 1)
    token = {"nvarchar": 0xE7, "nchar": 0xEF, "varchar": 0xA7, "char": 0xAF}[kind]
    info = struct.pack("<BH", token, limit) + env.collation
    if fixed:
        blank = " ".encode("utf-16-le") if wide else b" "
        return Codec(info, _sized16(lambda v: _pad(encode(v), blank, limit), limit))
    return Codec(info, _sized16(encode, limit))


def _pad(data: bytes, blank: bytes, size: int) -> bytes:
    return data + blank * ((size - len(data)) // len(blank)) if len(data) < size else data


def _binary_codec(sql_type: SqlType, env: WireEnv) -> Codec:
    kind, length = sql_type.kind, sql_type.length
    if kind in ("timestamp", "rowversion"):
        kind, length = "binary", 8
    if length == -1 or kind == "image":
        if env.version < TDS72:
            return Codec(struct.pack("<BI", 0x22, 0x7FFFFFFF), lambda v: _blob(None if v is None else bytes(v)), True)
        return Codec(b"\xa5\xff\xff", lambda v: encode_plp(None if v is None else bytes(v)))
    limit = max(length, 1)
    if kind == "binary":
        return Codec(struct.pack("<BH", 0xAD, limit), _sized16(lambda v: _pad(bytes(v), b"\x00", limit), limit))
    return Codec(struct.pack("<BH", 0xA5, limit), _sized16(bytes, limit))


def encode_variant(value: Any, env: WireEnv) -> bytes:
    """sql_variant: the base type is the one that fits the Python value."""
    if value is None:
        return b"\x00\x00\x00\x00"
    body = _variant_body(value, env)
    return struct.pack("<I", len(body)) + body


def _variant_body(value: Any, env: WireEnv) -> bytes:
    if isinstance(value, bool):
        return bytes([0x32, 0, int(value)])
    if isinstance(value, int):
        if -(2**31) <= value < 2**31:
            return b"\x38\x00" + struct.pack("<i", value)
        if -(2**63) <= value < 2**63:
            return b"\x7f\x00" + struct.pack("<q", value)
        value = decimal.Decimal(value)
    if isinstance(value, float):
        return b"\x3e\x00" + struct.pack("<d", value)
    if isinstance(value, decimal.Decimal):
        scale = max(0, -value.as_tuple().exponent)
        return bytes([0x6C, 2, 38, scale]) + encode_numeric(value, 38, scale)
    if isinstance(value, uuid.UUID):
        return b"\x24\x00" + value.bytes_le
    if isinstance(value, dt.datetime):
        if value.tzinfo is not None:
            return b"\x2b\x01\x07" + temporal.encode_datetimeoffset(value, 7)
        return b"\x3d\x00" + temporal.encode_datetime(value)
    if isinstance(value, dt.date):
        return b"\x28\x00" + temporal.encode_date(value)
    if isinstance(value, dt.time):
        return b"\x29\x01\x07" + temporal.encode_time(value, 7)
    if isinstance(value, (bytes, bytearray)):
        return b"\xa5\x02" + struct.pack("<H", 8000) + bytes(value)[:8000]
    data = utf16_encode(str(value))[:8000]
    return b"\xe7\x07" + env.collation + struct.pack("<H", max(2, len(data))) + data
