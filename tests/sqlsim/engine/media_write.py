# SPDX-License-Identifier: Apache-2.0
"""Writes a backup set to its devices: MTF frame, page and log chunks, compressed container, stripes."""

from __future__ import annotations

import errno
import json
import os
import struct
import time
import zlib
from typing import Any, Optional

from . import mtf
from .database import look
from .rows import PAGE

MAGIC = b"MSSQLBAK"
CONTAINER = MAGIC + struct.pack("<IIII", 2, 1, 0, 0) + bytes(512 - 24)
CHUNK = 128 * PAGE  # bytes of pages in one chunk
PIECE = 64 * 1024
FRAME = struct.Struct("<III")  # compressed length, length, crc


class Device:
    """One backup file. Writes slowly when told so, stops when the session must, honours the faults of the server."""

    def __init__(self, server: Any, session: Any, path: str, typed: str) -> None:
        self.server, self.session = server, session
        self.path, self.typed = path, typed
        self.null = typed.upper() in ("NUL", "NUL:") or path == "/dev/null"
        self.fd: Optional[int] = None
        self.written = 0
        self.mirrors: list["Device"] = []

    def open(self, keep: int) -> None:
        """Keeps the first `keep` bytes. Raises OSError."""
        if self.null:
            return
        self.server.faults.on_open(self.path)
        self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o660)
        if not os.get_blocking(self.fd):
            os.set_blocking(self.fd, True)
        try:
            os.fchmod(self.fd, 0o660)
        except PermissionError:
            pass  # another user's file: it keeps its mode
        os.ftruncate(self.fd, keep)
        os.lseek(self.fd, keep, os.SEEK_SET)

    def write(self, data: bytes) -> None:
        for mirror in self.mirrors:
            mirror.write(data)
        view = memoryview(data)
        while view:
            look(self.session)
            part = view[:PIECE]
            if not self.null:
                allowed = self.server.faults.on_write(self.path, self.written, len(part))
                done = os.write(self.fd, part[:allowed]) if allowed else 0
                if done < len(part) and allowed < len(part):
                    raise OSError(errno.ENOSPC, "no space left")
            else:
                done = len(part)
            self.written += done
            view = view[done:]
            self.pace(done)

    def pace(self, count: int) -> None:
        rate = self.server.faults.rate(self.path)
        until = time.monotonic() + count / rate if rate else 0
        while (rest := until - time.monotonic()) > 0:
            look(self.session)
            time.sleep(min(rest, 0.02))

    def close(self) -> None:
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None


class Compressor:
    """The container of compressed backups: framed zlib chunks. A set begins with a chunk of its own."""

    def __init__(self, device: Device, fresh: bool) -> None:
        self.device = device
        self.buffer = bytearray()
        if fresh:
            device.write(CONTAINER)

    def write(self, data: bytes) -> None:
        self.buffer += data
        while len(self.buffer) >= CHUNK:
            self._emit(bytes(self.buffer[:CHUNK]))
            del self.buffer[:CHUNK]

    def _emit(self, data: bytes) -> None:
        packed = zlib.compress(data, 1)
        self.device.write(FRAME.pack(len(packed), len(data), zlib.crc32(packed)) + packed)

    def flush(self) -> None:
        if self.buffer:
            self._emit(bytes(self.buffer))
            self.buffer.clear()


class Family:
    """The MTF image of one media family. `at` is the position in the uncompressed image."""

    def __init__(self, device: Device, number: int, at: int, compressed: bool, fresh: bool) -> None:
        self.device, self.number, self.at = device, number, at
        self.sink = Compressor(device, fresh) if compressed else device
        self.cbid = 0

    def put(self, data: bytes) -> None:
        self.sink.write(data)
        self.at += len(data)

    def fla(self) -> int:
        return max(0, (self.at - mtf.FIRST_SET) // mtf.UNIT)

    def next_id(self) -> int:
        self.cbid += 1
        return self.cbid

    def stream(self, name: bytes, data: bytes, attributes: int = 0) -> None:
        self.put(mtf.stream(name, len(data), attributes))
        self.put(data)
        self.put(bytes(-self.at % 4))

    def pad(self, name: bytes, target: int) -> None:
        """A padding stream that ends at `target`."""
        self.put(mtf.stream(name, target - self.at - 22) + bytes(target - self.at - 22))

    def end_block(self) -> None:
        """SPAD up to the next block."""
        target = mtf.FIRST_SET + -(-(self.at + 22 - mtf.FIRST_SET) // mtf.UNIT) * mtf.UNIT
        self.pad(b"SPAD", target)

    def begin_media(self, media: dict) -> None:
        self.put(mtf.tape(media, self.number, self.next_id()))
        self.stream(b"RAID", mtf.raid(media, self.number))
        self.pad(b"SPAD", 0x400)
        self.soft_filemark(512)

    def soft_filemark(self, size: int = mtf.UNIT) -> None:
        body = struct.pack("<II", 1, 1)
        data = mtf.block(b"SFMB", body, self.fla(), self.next_id(), streams=False)
        self.put(data + bytes(size - len(data)))

    def begin_set(self, meta: dict, position: int) -> None:
        self.put(mtf.sset(meta, position, self.fla(), self.next_id()))
        self.end_block()
        self.put(mtf.volb(meta, self.fla(), self.next_id()))
        self.end_block()
        self.configuration(b"MSCI", meta, 0x1000)

    def configuration(self, kind: bytes, meta: dict, size: int) -> None:
        start = self.at
        self.put(mtf.block(kind, bytes(12), self.fla(), self.next_id()))
        self.stream(b"MQCI", mtf.scin(meta))
        self.stream(b"XMSI", mtf.sealed(json.dumps(meta).encode()))
        if self.at + 22 <= start + size:
            self.pad(b"SPAD", start + size)
        else:
            self.end_block()

    def begin_data(self, kind: bytes) -> None:
        """MSDA or MSTL; the payload begins 1024 bytes after the block as in real files."""
        start = self.at
        body = bytes(12) if kind == b"MSDA" else bytes(596 - 52)
        self.put(mtf.block(kind, body, self.fla(), self.next_id()))
        self.pad(b"APAD", start + 0x400 - 24)

    def chunk(self, name: bytes, data: bytes, index: dict) -> None:
        self.put(mtf.stream(name, len(data) + 2) + b"\0\0")
        self.put(data)
        self.put(bytes(-self.at % 4))
        self.stream(b"XIDX", mtf.sealed(json.dumps(index, separators=(",", ":")).encode()))

    def end_data(self, name: bytes) -> None:
        self.put(mtf.stream(name, 0))
        self.put(bytes(-self.at % 4))
        self.end_block()

    def end_set(self, meta: dict, position: int) -> None:
        self.configuration(b"MSLS", meta, 0x1000)
        self.soft_filemark()
        self.put(mtf.eset(meta, position, self.fla(), self.next_id(), True))
        self.stream(b"TSMP", struct.pack("<II", position, 0))
        self.end_block()
        data = mtf.eset(meta, position, self.fla(), self.next_id(), False)
        self.put(data + bytes(mtf.UNIT - len(data)))
        self.soft_filemark()
        if isinstance(self.sink, Compressor):
            self.sink.flush()


class SetWriter:
    """One backup set over all its families. Chunks go round the families."""

    def __init__(self, families: list[Family], positions: list[int]) -> None:
        self.families, self.positions = families, positions
        self.sequence = 0
        self.phase = b""

    def begin(self, meta: dict, media: Optional[dict]) -> None:
        for family, position in zip(self.families, self.positions):
            if media is not None:
                family.begin_media(media)
            family.begin_set(meta, position)

    def begin_phase(self, kind: bytes) -> None:
        self.phase = kind
        for family in self.families:
            family.begin_data(kind)

    def chunk(self, data: bytes, **index: Any) -> None:
        name = b"MQDA" if self.phase == b"MSDA" else b"MQTL"
        family = self.families[self.sequence % len(self.families)]
        family.chunk(name, data, dict(index, seq=self.sequence))
        self.sequence += 1

    def end_phase(self) -> None:
        name = b"MQDA" if self.phase == b"MSDA" else b"MQTL"
        for family in self.families:
            family.end_data(name)

    def end(self, meta: dict) -> None:
        for family, position in zip(self.families, self.positions):
            family.end_set(meta, position)

    @property
    def written(self) -> int:
        return sum(f.device.written for f in self.families)
