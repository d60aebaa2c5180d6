# SPDX-License-Identifier: Apache-2.0
"""The client's side of reply tokens: bytes become columns, rows, messages and DONEs."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any, Optional

from sqlsim.contract import Column, EnvChange, Error, Info
from sqlsim.tds.typesin import WireType, read_type, read_value
from sqlsim.tds.wire import TDS72, Buf, ProtocolError, WireEnv


@dataclass
class DoneToken:
    token: int
    status: int
    curcmd: int
    count: int


@dataclass
class ResultSet:
    columns: list[Column]
    wire: list[WireType]
    rows: list[tuple] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        return [c.name for c in self.columns]


@dataclass
class Reply:
    """Everything that one reply message held, in order."""

    sets: list[ResultSet] = field(default_factory=list)
    messages: list[Any] = field(default_factory=list)  # Info and Error as they came
    dones: list[DoneToken] = field(default_factory=list)
    envs: list[EnvChange] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    return_status: Optional[int] = None
    tokens: list[int] = field(default_factory=list)
    login_ack: Optional[tuple[int, str, bytes]] = None
    features: dict[int, bytes] = field(default_factory=dict)
    spid: int = 0

    @property
    def rows(self) -> list[tuple]:
        """Of the first result set."""
        return self.sets[0].rows if self.sets else []

    @property
    def errors(self) -> list[Error]:
        return [m for m in self.messages if isinstance(m, Error)]

    @property
    def infos(self) -> list[Info]:
        return [m for m in self.messages if isinstance(m, Info)]

    @property
    def counts(self) -> list[int]:
        return [d.count for d in self.dones if d.status & 0x10]

    @property
    def value(self) -> Any:
        """The first column of the first row."""
        return self.rows[0][0] if self.rows else None


class ReplyReader:
    def __init__(self, env: WireEnv) -> None:
        self._env = env
        self._done_form = "<HHQ" if env.version >= TDS72 else "<HHI"

    def read(self, data: bytes, reply: Reply) -> Reply:
        buf = Buf(data)
        while buf.left():
            token = buf.u8()
            reply.tokens.append(token)
            self._token(token, buf, reply)
        return reply

    def _token(self, token: int, buf: Buf, reply: Reply) -> None:
        if token == 0x81:
            reply.sets.append(self._columns(buf))
        elif token == 0xD1:
            now = reply.sets[-1]
            now.rows.append(tuple(read_value(buf, wire, True) for wire in now.wire))
        elif token == 0xD2:
            self._nbc_row(buf, reply.sets[-1])
        elif token in (0xFD, 0xFE, 0xFF):
            size = struct.calcsize(self._done_form)
            reply.dones.append(DoneToken(token, *struct.unpack(self._done_form, buf.take(size))))
        elif token in (0xAA, 0xAB):
            reply.messages.append(self._message(token, Buf(buf.take(buf.u16()))))
        elif token == 0xE3:
            reply.envs.append(_env_change(Buf(buf.take(buf.u16()))))
        elif token == 0x79:
            reply.return_status = buf.i32()
        elif token == 0xAC:
            self._return_value(buf, reply)
        elif token == 0xAD:
            body = Buf(buf.take(buf.u16()))
            body.u8()
            version = body.unpack(">I")
            reply.login_ack = (version, body.b_varchar(), body.take(4))
        elif token == 0xAE:
            while (number := buf.u8()) != 0xFF:
                reply.features[number] = buf.take(buf.u32())
        elif token in (0xA9, 0xA4, 0xA5):
            buf.take(buf.u16())
        else:
            raise ProtocolError(f"token 0x{token:02x} is unknown")

    def _head(self, buf: Buf) -> int:
        if self._env.version >= TDS72:
            buf.u32()
        else:
            buf.u16()
        return buf.u16()

    def _columns(self, buf: Buf) -> ResultSet:
        columns, wires = [], []
        count = buf.u16()
        for _ in range(0 if count == 0xFFFF else count):
            flags = self._head(buf)
            wire = read_type(buf)
            if wire.token in (0x23, 0x63, 0x22):
                for _part in range(buf.u8() if self._env.version >= TDS72 else 1):
                    buf.us_varchar()
            columns.append(Column(buf.b_varchar(), wire.type, bool(flags & 1), bool(flags & 0x10)))
            wires.append(wire)
        return ResultSet(columns, wires)

    @staticmethod
    def _nbc_row(buf: Buf, now: ResultSet) -> None:
        bits = buf.take((len(now.wire) + 7) // 8)
        nulls = [bool(bits[i // 8] >> (i % 8) & 1) for i in range(len(now.wire))]
        now.rows.append(tuple(None if n else read_value(buf, w, True) for n, w in zip(nulls, now.wire)))

    def _message(self, token: int, body: Buf) -> Any:
        number, state, cls = body.i32(), body.u8(), body.u8()
        text = body.us_varchar()
        body.b_varchar()
        proc = body.b_varchar()
        line = body.u32() if self._env.version >= TDS72 else body.u16()
        return (Error if token == 0xAA else Info)(number, text, state, cls, line, proc)

    def _return_value(self, buf: Buf, reply: Reply) -> None:
        buf.u16()
        name = buf.b_varchar()
        buf.u8()
        self._head(buf)
        wire = read_type(buf)
        reply.outputs[name] = read_value(buf, wire)


def _env_change(body: Buf) -> EnvChange:
    kind = body.u8()
    if kind in (1, 2, 3, 4, 13, 19):
        return EnvChange(kind, body.b_varchar(), body.b_varchar())
    new = body.take(body.u8())
    return EnvChange(kind, new, body.take(body.u8()) if body.left() else b"")
