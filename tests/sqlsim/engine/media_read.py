# SPDX-License-Identifier: Apache-2.0
"""Reads backup files: which sets a file holds, and the chunks of one set over all its families."""

from __future__ import annotations

import json
import os
import struct
import uuid
import zlib
from dataclasses import dataclass, field
from typing import Iterator, Optional

from . import mtf
from .media_write import CONTAINER, FRAME, MAGIC
from .mtf import MediaError

SMALL = 1 << 24  # streams that are read whole (configuration, indexes)


class Plain:
    """An uncompressed file."""

    compressed = False

    def __init__(self, file) -> None:
        self.file = file
        self.size = os.fstat(file.fileno()).st_size

    def tell(self) -> int:
        return self.file.tell()

    def physical(self) -> int:
        return self.file.tell()

    def read(self, count: int) -> bytes:
        return self.file.read(count)

    def skip(self, count: int) -> None:
        if self.file.tell() + count > self.size:
            raise MediaError("end")
        self.file.seek(count, os.SEEK_CUR)


class Compressed:
    """The container: decompressed chunk by chunk, forward only."""

    compressed = True

    def __init__(self, file) -> None:
        self.file = file
        file.seek(len(CONTAINER))
        self.at = 0
        self.data, self.used = b"", 0
        self.chunk_start = len(CONTAINER)

    def tell(self) -> int:
        return self.at

    def physical(self) -> int:
        """Where the next chunk begins (exact only between sets)."""
        return self.file.tell() if self.used == len(self.data) else self.chunk_start

    def _fill(self) -> bool:
        self.chunk_start = self.file.tell()
        head = self.file.read(FRAME.size)
        if not head:
            return False
        if len(head) < FRAME.size:
            raise MediaError("end")
        packed_size, size, crc = FRAME.unpack(head)
        packed = self.file.read(packed_size)
        if len(packed) < packed_size:
            raise MediaError("end")
        if zlib.crc32(packed) != crc:
            raise MediaError("damaged", "compressed chunk")
        self.data, self.used = zlib.decompress(packed), 0
        if len(self.data) != size:
            raise MediaError("damaged", "compressed chunk length")
        return True

    def read(self, count: int) -> bytes:
        out = bytearray()
        while len(out) < count:
            if self.used == len(self.data) and not self._fill():
                break
            part = self.data[self.used:self.used + count - len(out)]
            self.used += len(part)
            out += part
        self.at += len(out)
        return bytes(out)

    def skip(self, count: int) -> None:
        while count:
            part = self.read(min(count, 1 << 20))
            if not part:
                raise MediaError("end")
            count -= len(part)


def open_image(path: str):
    """The MTF image of a file. Raises OSError, MediaError."""
    file = open(path, "rb")
    head = file.read(8)
    if not head:
        file.close()
        raise MediaError("empty")
    file.seek(0)
    if head == MAGIC:
        return Compressed(file)
    if head[:4] != b"TAPE":
        file.close()
        raise MediaError("format")
    return Plain(file)


def exactly(image, count: int) -> bytes:
    data = image.read(count)
    if len(data) < count:
        raise MediaError("end")
    return data


def blocks(image) -> Iterator[tuple[bytes, bytes, int]]:
    """(type, block bytes, position). The consumer reads the streams of a block with `streams` before the next one."""
    while True:
        start = image.tell()
        head = image.read(52)
        if not head:
            return
        if len(head) < 52:
            raise MediaError("end")
        kind, _, first, *_ = mtf.BLOCK.unpack(head)
        if kind not in mtf.TYPES or mtf.checksum(head) != struct.unpack_from("<H", head, 50)[0]:
            raise MediaError("format" if start == 0 else "damaged", f"block at {start:#x}")
        if first:
            yield kind, head + exactly(image, first - 52), start
        else:
            size = 512 if start == 0x400 else mtf.UNIT
            yield kind, head + exactly(image, size - 52), start


def streams(image) -> Iterator[tuple[bytes, int]]:
    """(name, length); the consumer reads or skips exactly `length` bytes before the next one. Ends after SPAD."""
    while True:
        head = exactly(image, 22)
        name, _, _, length, *_ = mtf.STREAM.unpack(head)
        if not name.isalnum():
            raise MediaError("damaged", f"stream at {image.tell() - 22:#x}")
        yield name, length
        if name == b"SPAD":
            return
        image.skip(-image.tell() % 4)


@dataclass
class SetInfo:
    position: int
    start: int  # position of SSET in the image
    physical: int
    meta: Optional[dict] = None
    complete: bool = False
    guid: str = ""


@dataclass
class FileInfo:
    """What one backup file says about itself."""

    path: str
    compressed: bool
    media: dict = field(default_factory=dict)
    sets: list[SetInfo] = field(default_factory=list)
    end: int = 0  # position after the last complete set
    physical_end: int = 0
    problem: str = ""  # end, damaged

    @property
    def family(self) -> int:
        return self.media.get("family", 1)


def _raid(data: bytes) -> dict:
    if len(data) < 24:
        raise MediaError("format")
    length = struct.unpack_from("<I", data, 20)[0]
    return json.loads(mtf.unsealed(data[24:24 + length]))


def _skip_streams(image, info: FileInfo, current: Optional[SetInfo], kind: bytes) -> None:
    for name, length in streams(image):
        if name == b"RAID" and length < SMALL:
            info.media = _raid(exactly(image, length))
        elif name == b"XMSI" and length < SMALL:
            meta = json.loads(mtf.unsealed(exactly(image, length)))
            if current is not None:
                current.meta = meta
        else:
            image.skip(length)


def inspect(path: str) -> FileInfo:
    """Walks the whole file, skipping payload. A file that ends too early is reported in `problem`, not raised, as long as
    its media header is whole."""
    image = open_image(path)
    with image.file:
        info = FileInfo(path, image.compressed)
        current: Optional[SetInfo] = None
        try:
            for kind, data, start in blocks(image):
                if kind == b"SSET":
                    position = struct.unpack_from("<H", data, 62)[0]
                    current = SetInfo(position, start, 0, guid=str(uuid.UUID(bytes_le=data[100:116])))
                    current.physical = info.physical_end
                    info.sets.append(current)
                if struct.unpack_from("<H", data, 8)[0]:
                    _skip_streams(image, info, current, kind)
                elif kind == b"ESET" and current is not None:
                    current.complete = True
                if kind == b"SFMB" and (current is None or current.complete):
                    info.end, info.physical_end = image.tell(), image.physical()
                if kind == b"TAPE" and not info.media:
                    raise MediaError("format")
        except MediaError as exc:
            if not info.media:
                raise MediaError("format") from exc
            info.problem = exc.kind
        except (ValueError, KeyError, UnicodeDecodeError, zlib.error) as exc:
            if not info.media:
                raise MediaError("format") from exc
            info.problem = "damaged"
        if not info.media:
            raise MediaError("format")
        return info


@dataclass
class Chunk:
    phase: bytes  # MQDA or MQTL
    data: bytes
    index: dict
    sums: list[int] = field(default_factory=list)  # of the pages, as they are


def family_chunks(path: str, position: int) -> Iterator[Chunk]:
    """The chunks of one set in one family, in order."""
    image = open_image(path)
    with image.file:
        inside = False
        for kind, data, _ in blocks(image):
            if kind == b"SSET":
                inside = struct.unpack_from("<H", data, 62)[0] == position
            if kind == b"MSLS" and inside:
                return
            if not struct.unpack_from("<H", data, 8)[0]:
                continue
            payload = b""
            for name, length in streams(image):
                if inside and name in (b"MQDA", b"MQTL") and length:
                    if length > SMALL:
                        raise MediaError("damaged", "stream length")
                    payload = exactly(image, length)[2:]
                    phase = name
                elif inside and name == b"XIDX" and length < SMALL:
                    index = json.loads(mtf.unsealed(exactly(image, length)))
                    if not payload:
                        raise MediaError("damaged", "an index without its chunk")
                    yield Chunk(phase, payload, index)
                else:
                    image.skip(length)


def set_chunks(paths: list[str], positions: list[int]) -> Iterator[Chunk]:
    """The chunks of a set over all families, in the order in which they were written."""
    sources = [family_chunks(path, position) for path, position in zip(paths, positions)]
    sequence = 0
    while True:
        chunk = next(sources[sequence % len(sources)], None)
        if chunk is None:
            return
        if chunk.index.get("seq") != sequence:
            raise MediaError("damaged", "chunk sequence")
        sequence += 1
        yield chunk
