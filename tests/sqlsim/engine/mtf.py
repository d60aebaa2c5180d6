# SPDX-License-Identifier: Apache-2.0
"""Microsoft Tape Format as SQL Server writes it: descriptor blocks, streams, the SCIN configuration record."""

from __future__ import annotations

import datetime as dt
import json
import struct
import uuid
import zlib
from typing import Any, Optional

from .lsn import ZERO, from_num

BLOCK = struct.Struct("<4sIHBBQQH6xI4xHHBxH")  # 52 bytes
STREAM = struct.Struct("<4sHHQHHH")  # 22 bytes
UNIT = 1024
FIRST_SET = 0x600
TYPES = {b"TAPE", b"SFMB", b"SSET", b"VOLB", b"MSCI", b"MSDA", b"MSTL", b"MSLS", b"ESET"}
SCIN_LENGTH = 0x194


class MediaError(Exception):
    """The file is not what it should be. `kind`: empty, format, end (cut off), damaged."""

    def __init__(self, kind: str, text: str = "") -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind


def checksum(block: bytes) -> int:
    value = 0
    for (word,) in struct.iter_unpack("<H", block[:50]):
        value ^= word
    return value


def pack_date(when: Optional[dt.datetime]) -> bytes:
    if when is None:
        return bytes(5)
    value = (when.year << 26 | when.month << 22 | when.day << 17 | when.hour << 12 | when.minute << 6 | when.second)
    return value.to_bytes(5, "big")


def block(kind: bytes, body: bytes, fla: int, cbid: int, attributes: int = 0, os_data: tuple[int, int] = (0, 0),
          streams: bool = True) -> bytes:
    """A descriptor block. Streams begin at its end, at a multiple of four."""
    size = (52 + len(body) + 3) & ~3
    head = BLOCK.pack(kind, attributes, size if streams else 0, 14, 1, 0, fla, 0, cbid, *os_data, 2, 0)
    head = head[:50] + struct.pack("<H", checksum(head))
    return head + body + bytes(size - 52 - len(body))


def stream(name: bytes, length: int, media_attributes: int = 0) -> bytes:
    head = STREAM.pack(name, 0, media_attributes, length, 0, 0, 0)
    value = 0
    for (word,) in struct.iter_unpack("<H", head[:20]):
        value ^= word
    return head[:20] + struct.pack("<H", value)


class Body:
    """Fixed fields followed by the texts that they point to."""

    def __init__(self, size: int) -> None:
        self.fixed = bytearray(size)
        self.tail = bytearray()

    def put(self, at: int, fmt: str, *values: Any) -> None:
        struct.pack_into("<" + fmt, self.fixed, at - 52, *values)

    def raw(self, at: int, data: bytes) -> None:
        self.fixed[at - 52:at - 52 + len(data)] = data

    def text(self, at: int, value: str) -> None:
        data = (value or "").encode("utf-16-le")
        self.put(at, "HH", len(data), 52 + len(self.fixed) + len(self.tail) if data else 0)
        self.tail += data

    def bytes(self) -> bytes:
        return bytes(self.fixed + self.tail)


def sealed(data: bytes) -> bytes:
    """Our own records carry a checksum in front."""
    return struct.pack("<I", zlib.crc32(data)) + data


def unsealed(data: bytes) -> bytes:
    if len(data) < 4 or struct.unpack_from("<I", data)[0] != zlib.crc32(data[4:]):
        raise MediaError("damaged", "checksum of a record")
    return data[4:]


def tape(media: dict, family: int, cbid: int) -> bytes:
    """`media`: guid, family_ids, name, description, date."""
    body = Body(94 - 52)
    body.put(52, "IIHHHH", int(media["family_ids"][family - 1], 16), 5, 1, 0, 1, 0)
    body.text(68, media["name"])
    body.text(72, media["description"])
    body.text(80, "Microsoft SQL Server")
    body.put(84, "HH", UNIT, 0x1200)
    body.raw(88, pack_date(dt.datetime.fromisoformat(media["date"])))
    body.put(93, "B", 1)
    return block(b"TAPE", body.bytes(), 0, cbid)


def raid(media: dict, family: int) -> bytes:
    """Datum of the RAID stream: the media set and this member's place in it."""
    private = json.dumps(dict(media, family=family)).encode()
    return uuid.UUID(media["guid"]).bytes_le + struct.pack("<HHI", len(media["family_ids"]), family, len(private) + 4) + sealed(private)


def sset(meta: dict, position: int, fla: int, cbid: int) -> bytes:
    body = Body(121 - 52)
    attributes = {"L": 4, "D": 4, "I": 8}[meta["type"]]
    if meta["is_copy_only"] and meta["type"] == "D":
        attributes = 2
    body.put(52, "IHHHH", attributes, 0, 0, 0x1200, position)
    body.put(80, "Q", fla)
    body.raw(88, pack_date(dt.datetime.fromisoformat(meta["start"])))
    body.put(95, "bBB", meta["time_zone"], 0, 0)
    body.raw(100, uuid.UUID(meta["guid"]).bytes_le)
    body.text(64, meta["name"])
    body.text(68, meta["description"])
    body.text(76, meta["user_name"])
    return block(b"SSET", body.bytes(), fla, cbid, os_data=(21, 100))


def volb(meta: dict, fla: int, cbid: int) -> bytes:
    body = Body(76 - 52)
    body.text(56, "C:")
    body.text(60, "")
    body.text(64, meta["machine_name"])
    body.raw(68, pack_date(dt.datetime.fromisoformat(meta["start"])))
    return block(b"VOLB", body.bytes(), fla, cbid)


def eset(meta: dict, position: int, fla: int, cbid: int, streams: bool) -> bytes:
    body = Body(88 - 52)
    body.put(76, "HH", 1, position)
    body.raw(80, pack_date(dt.datetime.fromisoformat(meta["finish"])))
    return block(b"ESET", body.bytes(), fla, cbid, streams=streams)


def guid_bytes(value: Optional[str]) -> bytes:
    return uuid.UUID(value).bytes_le if value else bytes(16)


def scin(meta: dict) -> bytes:
    """The configuration record of a set."""
    data = bytearray(SCIN_LENGTH)

    def text(at: int, value: str) -> None:
        raw = value.encode("utf-16-le")
        struct.pack_into("<HH", data, at, len(raw), len(data))
        data.extend(raw)

    def lsn(at: int, value: Optional[int]) -> None:
        data[at:at + 10] = (from_num(value) if value else ZERO).packed

    data[0:4] = b"SCIN"
    struct.pack_into("<H", data, 4, SCIN_LENGTH)
    data[9] = 0x0A if meta["type"] == "I" else 0x02
    major, minor, build = meta["software"]
    struct.pack_into("<HBB", data, 0x18, build, minor, major)
    struct.pack_into("<I", data, 0x1C, meta["database_id"])
    for at, key in ((0x20, "first_lsn"), (0x2A, "last_lsn"), (0x34, "checkpoint_lsn"), (0x3E, "database_backup_lsn")):
        lsn(at, meta[key])
    for at, key in ((0x48, "database_creation_date"), (0x4D, "start"), (0x52, "finish")):
        data[at:at + 5] = pack_date(dt.datetime.fromisoformat(meta[key]).replace(microsecond=0) if meta[key] else None)
    data[0x57] = ord(meta["type"])
    data[0x58] = 52
    data[0x5B] = meta["compat"] & 0xFF
    struct.pack_into("<H", data, 0x5E, meta["database_version"])
    struct.pack_into("<Q", data, 0x60, meta["backup_size"])
    text(0x68, meta["database_name"])
    text(0x6C, meta["server_name"])
    struct.pack_into("<II", data, 0x74, 1033, 196609)
    data[0x7C:0x8C] = guid_bytes(meta["database_guid"])
    lsn(0x90, meta["fork_point_lsn"])
    data[0x9C:0xAC] = guid_bytes(meta["last_fork"])
    data[0xB8:0xC8] = guid_bytes(meta["first_fork"])
    data[0xC8:0xD8] = guid_bytes(meta["full_guid"])
    data[0xD8:0xDD] = bytes((0x09, 0x04, 0xD0, 0x00, 0x34))
    data[0xE0:0xF0] = guid_bytes(meta["family_guid"])
    if meta["type"] == "I":
        lsn(0x104, meta["differential_base_lsn"])
        data[0x110:0x120] = guid_bytes(meta["differential_base_guid"])
    data[0x13C:0x14C] = guid_bytes(meta["first_fork"])
    lsn(0x14C, meta["next_log_lsn"])
    return bytes(data)
