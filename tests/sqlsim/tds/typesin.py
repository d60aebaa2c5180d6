# SPDX-License-Identifier: Apache-2.0
"""From TYPE_INFO and bytes to T-SQL types and Python values: parameters for the server, rows for the client."""

from __future__ import annotations

import decimal
import struct
import uuid
from typing import Any, NamedTuple

from sqlsim.contract import SqlType
from sqlsim.tds import temporal
from sqlsim.tds.collation import charset_of
from sqlsim.tds.wire import Buf, ProtocolError, utf16_decode

_FIXED = {
    0x1F: ("int", 0), 0x30: ("tinyint", 1), 0x32: ("bit", 1), 0x34: ("smallint", 2), 0x38: ("int", 4), 0x7F: ("bigint", 8),
    0x3B: ("real", 4), 0x3E: ("float", 8), 0x3C: ("money", 8), 0x7A: ("smallmoney", 4), 0x3D: ("datetime", 8),
    0x3A: ("smalldatetime", 4),
}  # fmt: skip
_SIZED = {
    0x26: {1: "tinyint", 2: "smallint", 4: "int", 8: "bigint"},
    0x68: {1: "bit"},
    0x6D: {4: "real", 8: "float"},
    0x6E: {4: "smallmoney", 8: "money"},
    0x6F: {4: "smalldatetime", 8: "datetime"},
    0x24: {16: "uniqueidentifier", 0: "uniqueidentifier"},
}
_SCALED = {0x29: "time", 0x2A: "datetime2", 0x2B: "datetimeoffset"}
_SHORT = {0xA5: "varbinary", 0xAD: "binary", 0xA7: "varchar", 0xAF: "char", 0xE7: "nvarchar", 0xEF: "nchar"}
_OLD_SHORT = {0x2F: "char", 0x27: "varchar", 0x2D: "binary", 0x25: "varbinary"}
_BLOBS = {0x23: "varchar", 0x63: "nvarchar", 0x22: "varbinary"}
_TIME_SIZE = {"date": 0, "time": 0, "datetime2": 3, "datetimeoffset": 5}


class WireType(NamedTuple):
    token: int
    type: SqlType
    size: int = 0
    collation: bytes = b""


def read_type(buf: Buf) -> WireType:
    token = buf.u8()
    if token in _FIXED:
        kind, size = _FIXED[token]
        return WireType(token, SqlType(kind), size)
    if token in _SIZED:
        size = buf.u8()
        kind = _SIZED[token].get(size)
        if kind is None:
            raise _bad_type(token)
        return WireType(token, SqlType(kind), size)
    if token in (0x6A, 0x6C, 0x37, 0x3F):
        size, precision, scale = buf.u8(), buf.u8(), buf.u8()
        if not 1 <= precision <= 38 or scale > precision:
            raise _bad_type(token)
        kind = "decimal" if token in (0x6A, 0x37) else "numeric"
        return WireType(token, SqlType(kind, 0, precision, scale), size)
    if token == 0x28:
        return WireType(token, SqlType("date"))
    if token in _SCALED:
        scale = buf.u8()
        if scale > 7:
            raise _bad_type(token)
        return WireType(token, SqlType(_SCALED[token], 0, 0, scale))
    if token in _SHORT or token in _OLD_SHORT:
        return _read_short_type(buf, token)
    if token in _BLOBS:
        size = buf.u32()
        collation = buf.take(5) if token != 0x22 else b""
        return WireType(token, SqlType(_BLOBS[token], -1), size, collation)
    if token == 0x62:
        return WireType(token, SqlType("sql_variant"), buf.u32())
    if token == 0xF1:
        if buf.u8():
            buf.b_varchar(), buf.b_varchar(), buf.us_varchar()
        return WireType(token, SqlType("xml", -1), -1)
    raise _bad_type(token)


def _bad_type(token: int) -> ProtocolError:
    return ProtocolError(f"Data type 0x{token:02X} is unknown.", 8009)


def _read_short_type(buf: Buf, token: int) -> WireType:
    if token in _OLD_SHORT:
        size = buf.u8()
        return WireType(token, SqlType(_OLD_SHORT[token], size), size, b"")
    size = buf.u16()
    kind = _SHORT[token]
    collation = buf.take(5) if token not in (0xA5, 0xAD) else b""
    if size == 0xFFFF:
        return WireType(token, SqlType(kind, -1), -1, collation)
    length = size // 2 if kind in ("nvarchar", "nchar") else size
    return WireType(token, SqlType(kind, length), size, collation)


def read_value(buf: Buf, wire: WireType, row: bool = False) -> Any:
    """`row` says that the value stands in a ROW, where text, ntext and image have a text pointer."""
    token = wire.token
    if token in _FIXED:
        return decode(wire, buf.take(wire.size)) if wire.size else None
    if token in _BLOBS:
        return _read_blob(buf, wire, row)
    if token == 0x62:
        return _read_variant(buf)
    if wire.size == -1:
        data = read_plp(buf)
        return None if data is None else decode(wire, data)
    if token in _SHORT:
        size = buf.u16()
        return None if size == 0xFFFF else decode(wire, buf.take(size))
    size = buf.u8()
    if token in _OLD_SHORT:
        return None if size == 0xFF else decode(wire, buf.take(size))
    return None if size == 0 else decode(wire, buf.take(size))


def read_plp(buf: Buf) -> Any:
    total = buf.u64()
    if total == 0xFFFFFFFFFFFFFFFF:
        return None
    parts, got = [], 0
    while size := buf.u32():
        parts.append(buf.take(size))
        got += size
    if total != 0xFFFFFFFFFFFFFFFE and got != total:
        raise ProtocolError("The chunks of a value do not add up to its length.", 8015)
    return b"".join(parts)


def _read_blob(buf: Buf, wire: WireType, row: bool) -> Any:
    if row:
        pointer = buf.u8()
        if pointer == 0:
            return None
        buf.take(pointer + 8)
    size = buf.u32()
    return None if size == 0xFFFFFFFF else decode(wire, buf.take(size))


def decode(wire: WireType, data: bytes) -> Any:
    """The bytes of a value that is not NULL."""
    kind = wire.type.kind
    try:
        if kind in ("nvarchar", "nchar", "xml"):
            return utf16_decode(data)
        if kind in ("varchar", "char"):
            charset = charset_of(wire.collation) if wire.collation else "cp1252"
            return data.decode(charset, "replace")
        if kind in ("varbinary", "binary"):
            return data
        return _decode_number(kind, wire.type, data)
    except (struct.error, ValueError, OverflowError) as err:
        raise ProtocolError(f"Bad value of type {kind}: {err}", 8016) from err


def _decode_number(kind: str, sql_type: SqlType, data: bytes) -> Any:
    if kind == "bit":
        return data != b"\x00" * len(data)
    if kind == "tinyint":
        return data[0]
    if kind in ("smallint", "int", "bigint"):
        return int.from_bytes(data, "little", signed=True)
    if kind in ("real", "float"):
        return struct.unpack("<f" if len(data) == 4 else "<d", data)[0]
    if kind in ("money", "smallmoney"):
        return _money(data)
    if kind in ("numeric", "decimal"):
        whole = int.from_bytes(data[1:], "little")
        number = decimal.Decimal(whole if data[0] else -whole)
        return number.scaleb(-sql_type.scale, decimal.Context(prec=80))
    if kind == "uniqueidentifier":
        return uuid.UUID(bytes_le=data)
    return _decode_time(kind, sql_type.scale, data)


def _money(data: bytes) -> decimal.Decimal:
    if len(data) == 4:
        whole = struct.unpack("<i", data)[0]
    else:
        high, low = struct.unpack("<iI", data)
        whole = (high << 32) + low
    return decimal.Decimal(whole).scaleb(-4)


def _decode_time(kind: str, scale: int, data: bytes) -> Any:
    if kind == "datetime":
        return temporal.decode_datetime(data)
    if kind == "smalldatetime":
        return temporal.decode_smalldatetime(data)
    if kind == "date":
        return temporal.decode_date(data)
    if len(data) != temporal.time_size(scale) + _TIME_SIZE[kind]:
        raise ValueError("wrong length")
    if kind == "time":
        return temporal.decode_time(data, scale)
    if kind == "datetime2":
        return temporal.decode_datetime2(data, scale)
    return temporal.decode_datetimeoffset(data, scale)


def _read_variant(buf: Buf) -> Any:
    total = buf.u32()
    if total == 0:
        return None
    body = Buf(buf.take(total))
    token = body.u8()
    props = Buf(body.take(body.u8()))
    if token in _FIXED:
        wire = WireType(token, SqlType(_FIXED[token][0]))
    elif token == 0x24:
        wire = WireType(token, SqlType("uniqueidentifier"))
    elif token in (0x6A, 0x6C):
        wire = WireType(token, SqlType("numeric", 0, props.u8(), props.u8()))
    elif token == 0x28:
        wire = WireType(token, SqlType("date"))
    elif token in _SCALED:
        wire = WireType(token, SqlType(_SCALED[token], 0, 0, props.u8()))
    elif token in _SHORT:
        collation = props.take(5) if token not in (0xA5, 0xAD) else b""
        wire = WireType(token, SqlType(_SHORT[token], props.u16()), 0, collation)
    else:
        raise _bad_type(token)
    return decode(wire, body.take(body.left()))
