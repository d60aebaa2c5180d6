# SPDX-License-Identifier: Apache-2.0
"""Requests of a client that is logged in: batches, remote procedure calls, transaction manager requests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional, Union

from sqlsim.contract import Param, SqlType
from sqlsim.tds.typesin import read_type, read_value
from sqlsim.tds.wire import TDS72, Buf, ProtocolError, WireEnv, utf16_decode

PROC_IDS = {
    1: "sp_cursor", 2: "sp_cursoropen", 3: "sp_cursorprepare", 4: "sp_cursorexecute", 5: "sp_cursorprepexec",
    6: "sp_cursorunprepare", 7: "sp_cursorfetch", 8: "sp_cursoroption", 9: "sp_cursorclose", 10: "sp_executesql",
    11: "sp_prepare", 12: "sp_execute", 13: "sp_prepexec", 14: "sp_prepexecrpc", 15: "sp_unprepare",
}  # fmt: skip

RPC_END, RPC_NO_EXEC, RPC_END_72 = 0x80, 0xFE, 0xFF
_TM_NAMES = {5: "begin", 7: "commit", 8: "rollback", 9: "save"}


@dataclass
class Batch:
    sql: str


@dataclass
class Rpc:
    proc: str
    params: list[Param] = field(default_factory=list)
    flags: int = 0
    no_exec: bool = False


@dataclass
class Transaction:
    request: str
    name: str = ""
    isolation: int = 0
    begin_after: Optional["Transaction"] = None


Request = Union[Batch, list, Transaction]


def skip_headers(buf: Buf, env: WireEnv) -> None:
    """ALL_HEADERS, which clients send since TDS 7.2."""
    if env.version < TDS72:
        return
    total = buf.u32()
    if total < 4 or total - 4 > buf.left():
        raise ProtocolError("The headers of a request have a wrong length.", 4002)
    headers = Buf(buf.take(total - 4))
    while headers.left():
        size = headers.u32()
        if size < 6:
            raise ProtocolError("A header of a request has a wrong length.", 4002)
        headers.take(size - 4)


def read_batch(data: bytes, env: WireEnv) -> Batch:
    buf = Buf(data)
    skip_headers(buf, env)
    rest = buf.take(buf.left())
    if len(rest) % 2:
        raise ProtocolError("The text of a batch has an odd number of bytes.", 4002)
    return Batch(utf16_decode(rest).lstrip("\ufeff"))


def read_rpcs(data: bytes, env: WireEnv) -> list[Rpc]:
    buf = Buf(data)
    skip_headers(buf, env)
    calls = []
    while buf.left():
        calls.append(_read_rpc(buf, env))
    if not calls:
        raise ProtocolError("An RPC request names no procedure.", 8004)
    return calls


def _read_rpc(buf: Buf, env: WireEnv) -> Rpc:
    chars = buf.u16()
    if chars == 0xFFFF:
        number = buf.u16()
        if number not in PROC_IDS:
            raise ProtocolError(f"The procedure number {number} is unknown.", 8005)
        name = PROC_IDS[number]
    else:
        name = buf.text(chars)
    call = Rpc(name, flags=buf.u16())
    end = (RPC_END_72, RPC_NO_EXEC) if env.version >= TDS72 else (RPC_END,)
    while buf.left():
        if buf.peek() in end:
            call.no_exec = buf.u8() == RPC_NO_EXEC
            break
        call.params.append(_read_param(buf, len(call.params) + 1))
    return call


def _read_param(buf: Buf, ordinal: int) -> Param:
    chars = buf.u8()
    name = buf.text(chars)
    status = buf.u8()
    try:
        wire = read_type(buf)
        value = read_value(buf, wire)
    except ProtocolError as err:
        text = f'Parameter {ordinal} ("{name}"): {err}'
        raise ProtocolError(text, err.number) from err
    return Param(name, wire.type, value, bool(status & 1), bool(status & 2))


def read_transaction(data: bytes, env: WireEnv) -> Transaction:
    buf = Buf(data)
    skip_headers(buf, env)
    kind = buf.u16()
    if kind not in _TM_NAMES:
        raise ProtocolError(f"The transaction manager request {kind} is not supported.", 3989)
    if kind == 5:
        return _begin(buf)
    name = buf.b_varchar() if buf.left() else ""
    request = Transaction(_TM_NAMES[kind], name)
    if kind in (7, 8) and buf.left() and buf.u8() & 1:
        request.begin_after = _begin(buf)
    return request


def _begin(buf: Buf) -> Transaction:
    isolation = buf.u8()
    return Transaction("begin", buf.b_varchar() if buf.left() else "", isolation)


_SIZED_DEFAULTS = {
    "nvarchar": 1, "varchar": 1, "nchar": 1, "char": 1, "varbinary": 1, "binary": 1,
}  # fmt: skip
_ALIASES = {
    "integer": "int", "dec": "decimal", "sysname": "nvarchar", "rowversion": "binary", "timestamp": "binary",
    "character": "char", "double precision": "float",
}  # fmt: skip


def parse_declarations(text: str) -> list[Param]:
    """'@a int, @b nvarchar(max) output, @c decimal(10, 2) = 5' of sp_executesql and sp_prepare."""
    found = []
    for part in _split(text):
        words = part.replace("(", " ( ").replace(")", " ) ").replace(",", " , ").split()
        if len(words) < 2 or not words[0].startswith("@"):
            raise ProtocolError(f"Incorrect syntax near '{part.strip()[:60]}'.", 102)
        rest = [w.lower() for w in words[1:]]
        if rest[0] == "as":
            rest = rest[1:]
        output = rest[-1] in ("output", "out")
        found.append(Param(words[0], _parse_type(rest), None, output))
    return found


def _split(text: str) -> list[str]:
    parts, depth, start, quoted = [], 0, 0, False
    for at, char in enumerate(text):
        if char == "'":
            quoted = not quoted
        elif not quoted:
            depth += (char == "(") - (char == ")")
            if char == "," and depth == 0:
                parts.append(text[start:at])
                start = at + 1
    parts.append(text[start:])
    return [p for p in parts if p.strip()]


def _parse_type(words: list[str]) -> SqlType:
    raw = words[0].split(".")[-1].strip('[]"') if words else ""
    kind = _ALIASES.get(raw, raw)
    args: list[int] = []
    if len(words) > 1 and words[1] == "(":
        inside = words[2 : words.index(")")] if ")" in words else []
        args = [-1 if w == "max" else int(w) for w in inside if w == "max" or w.isdigit()]
    if raw == "sysname":
        return SqlType("nvarchar", 128)
    if raw in ("rowversion", "timestamp"):
        return SqlType("binary", 8)
    if kind in ("numeric", "decimal"):
        return SqlType(kind, 0, args[0] if args else 18, args[1] if len(args) > 1 else 0)
    if kind in ("datetime2", "datetimeoffset", "time"):
        return SqlType(kind, 0, 0, args[0] if args else 7)
    if kind == "float" and args and args[0] <= 24:
        return SqlType("real")
    if kind in _SIZED_DEFAULTS:
        return SqlType(kind, args[0] if args else _SIZED_DEFAULTS[kind])
    if kind in ("text", "ntext", "image"):
        return SqlType({"text": "varchar", "ntext": "nvarchar", "image": "varbinary"}[kind], -1)
    return SqlType(kind, -1 if kind == "xml" else 0)
