# SPDX-License-Identifier: Apache-2.0
"""Log sequence numbers: virtual log file, block (512-byte sectors), slot."""

from __future__ import annotations

import struct
from typing import NamedTuple, Optional

PACK = struct.Struct("<IIH")


class Lsn(NamedTuple):
    vlf: int
    block: int
    slot: int

    @property
    def num(self) -> int:
        """As numeric(25,0)."""
        return self.vlf * 10**15 + self.block * 10**5 + self.slot

    @property
    def hex(self) -> str:
        return f"{self.vlf:08x}:{self.block:08x}:{self.slot:04x}"

    @property
    def triple(self) -> str:
        return f"{self.vlf}:{self.block}:{self.slot}"

    @property
    def packed(self) -> bytes:
        return PACK.pack(self.vlf, self.block, self.slot)

    def __str__(self) -> str:
        return str(self.num)


ZERO = Lsn(0, 0, 0)
MAX = Lsn(0xFFFFFFFF, 0xFFFFFFFF, 0xFFFF)


def from_num(number: int) -> Lsn:
    return Lsn(number // 10**15, number // 10**5 % 10**10, number % 10**5)


def unpack(data: bytes, offset: int = 0) -> Lsn:
    return Lsn(*PACK.unpack_from(data, offset))


def opt(number: Optional[int]) -> Optional[Lsn]:
    return None if number is None else from_num(int(number))
