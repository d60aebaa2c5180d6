# SPDX-License-Identifier: Apache-2.0
"""The smallest parts of TDS: a bounds-checked reader, strings, the versions, and what both ends agreed on."""

from __future__ import annotations

import struct
from dataclasses import dataclass

TDS71 = 0x71000001
TDS72 = 0x72090002
TDS73 = 0x730B0003
TDS74 = 0x74000004

# LCID 1033, ignore case, kana and width, sort id 52: SQL_Latin1_General_CP1_CI_AS
DEFAULT_COLLATION = bytes.fromhex("0904d00034")


class ProtocolError(Exception):
    """The peer sent what is not TDS. `number` is what SQL Server would say, 0 when it just closes the connection."""

    def __init__(self, text: str, number: int = 0) -> None:
        super().__init__(text)
        self.number = number


@dataclass
class WireEnv:
    """What a connection agreed on: the TDS version, and the collation of its char data."""

    version: int = TDS74
    collation: bytes = DEFAULT_COLLATION


class Buf:
    """Reads a message front to back; reading past its end is the peer's mistake."""

    def __init__(self, data: bytes, pos: int = 0) -> None:
        self.data = data
        self.pos = pos

    def left(self) -> int:
        return len(self.data) - self.pos

    def take(self, size: int) -> bytes:
        if size < 0 or self.pos + size > len(self.data):
            raise ProtocolError("The stream ended unexpectedly.", 4002)
        part = self.data[self.pos : self.pos + size]
        self.pos += size
        return bytes(part)

    def peek(self) -> int:
        if self.pos >= len(self.data):
            raise ProtocolError("The stream ended unexpectedly.", 4002)
        return self.data[self.pos]

    def unpack(self, form: str) -> int:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def u8(self) -> int:
        return self.take(1)[0]

    def u16(self) -> int:
        return self.unpack("<H")

    def u32(self) -> int:
        return self.unpack("<I")

    def i32(self) -> int:
        return self.unpack("<i")

    def u64(self) -> int:
        return self.unpack("<Q")

    def text(self, chars: int) -> str:
        return utf16_decode(self.take(2 * chars))

    def b_varchar(self) -> str:
        return self.text(self.u8())

    def us_varchar(self) -> str:
        return self.text(self.u16())


def utf16_decode(data: bytes) -> str:
    """UTF-16LE as SQL Server stores it: an unpaired surrogate is no error."""
    return data.decode("utf-16-le", "surrogatepass")


def utf16_encode(text: str) -> bytes:
    return text.encode("utf-16-le", "surrogatepass")


def b_varchar(text: str) -> bytes:
    data = utf16_encode(text)[:510]
    return bytes([len(data) // 2]) + data


def us_varchar(text: str) -> bytes:
    data = utf16_encode(text)[: 2 * 0xFFFF]
    return struct.pack("<H", len(data) // 2) + data


def b_varbyte(data: bytes) -> bytes:
    return bytes([len(data)]) + data
