# SPDX-License-Identifier: Apache-2.0
"""The transaction log of one database: an append-only file of records that survive kill -9.

A record is committed when it is complete in the file; a torn tail is cut at the next start. Truncation rewrites the
file without the records before a given LSN, so what BACKUP LOG took is really gone from here.
"""

from __future__ import annotations

import json
import os
import struct
import threading
import zlib
from dataclasses import dataclass
from typing import Callable, Iterator, Optional

from .lsn import Lsn, from_num, unpack

MAGIC = b"SQSIMLDF"
HEADER = 4096
# body length, crc of the rest, lsn, end, kind, flags, utc offset in minutes, local commit time in microseconds
RECORD = struct.Struct("<II10s10sBBhq")
MAX_BODY = 1 << 30
FIRST_BLOCK = 16
VLF_SECTORS = 4096

TRAN = 1
CHECKPOINT = 2
NOTE = 3

FLAG_BULK = 1
FLAG_MARK = 2


@dataclass
class Record:
    raw: bytes
    lsn: Lsn
    end: Lsn
    kind: int
    flags: int
    offset_min: int
    local_us: int

    @property
    def body(self) -> dict:
        return json.loads(self.raw[RECORD.size:])


def parse(raw: bytes) -> Optional[Record]:
    """One whole record, None when it is damaged."""
    if len(raw) < RECORD.size:
        return None
    length, crc, lsn, end, kind, flags, offset, when = RECORD.unpack_from(raw)
    if len(raw) != RECORD.size + length or zlib.crc32(raw[8:]) != crc:
        return None
    return Record(raw, unpack(lsn), unpack(end), kind, flags, offset, when)


def split(data: bytes) -> Iterator[Record]:
    """The records of a chunk of concatenated ones. Raises ValueError for damage."""
    at = 0
    while at < len(data):
        if at + RECORD.size > len(data):
            raise ValueError("log chunk ends inside a record")
        size = RECORD.size + struct.unpack_from("<I", data, at)[0]
        record = parse(bytes(data[at:at + size]))
        if record is None:
            raise ValueError("damaged log record")
        yield record
        at += size


class LogFile:
    """`start` is the LSN from which records are kept, `end` the LSN of the next record."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.lock = threading.RLock()
        self.start = self.end = Lsn(34, FIRST_BLOCK, 1)
        self.size = HEADER
        self.last_us = 0
        self.file = None

    @staticmethod
    def create(path: str, start: Lsn) -> "LogFile":
        log = LogFile(path)
        with open(path, "wb") as out:
            out.write(log._header(start, start))
        log.open()
        return log

    @staticmethod
    def _header(start: Lsn, end: Lsn, last_us: int = 0) -> bytes:
        text = json.dumps({"start": start.num, "end": end.num, "last_us": last_us}).encode()
        head = MAGIC + struct.pack("<II", len(text), zlib.crc32(text)) + text
        return head + bytes(HEADER - len(head))

    def open(self) -> None:
        """Finds the end; cuts a torn tail."""
        self.file = open(self.path, "r+b")
        head = self.file.read(HEADER)
        if len(head) < HEADER or head[:8] != MAGIC:
            raise ValueError(f"{self.path} is not a log file")
        length, crc = struct.unpack_from("<II", head, 8)
        text = head[16:16 + length]
        if zlib.crc32(text) != crc:
            raise ValueError(f"{self.path}: damaged log header")
        values = json.loads(text)
        self.start, self.end = from_num(values["start"]), from_num(values["end"])
        self.last_us = values.get("last_us", 0)
        self.size = HEADER
        for record in self._scan(self.file):
            self.end = record.end
            self.size += len(record.raw)
            self.last_us = record.local_us
        self.file.truncate(self.size)

    def close(self) -> None:
        if self.file is not None:
            self.file.close()
            self.file = None

    @staticmethod
    def _scan(file, offset: int = HEADER) -> Iterator[Record]:
        file.seek(offset)
        while True:
            head = file.read(RECORD.size)
            if len(head) < RECORD.size:
                return
            length = struct.unpack_from("<I", head)[0]
            if length > MAX_BODY:
                return
            record = parse(head + file.read(length))
            if record is None:
                return
            yield record

    def place(self, size: int, slot: int) -> tuple[Lsn, Lsn]:
        """Where a record of `size` bytes goes."""
        sectors = -(-size // 512)
        vlf, block = self.end.vlf, self.end.block
        if block + sectors > VLF_SECTORS and block > FIRST_BLOCK:
            vlf, block = vlf + 1, FIRST_BLOCK
        return Lsn(vlf, block, slot), Lsn(vlf, block + sectors, 1)

    def append(self, kind: int, body: dict, local_us: int, offset_min: int, slot: int,
               flags: int = 0, check: Optional[Callable[[int], None]] = None) -> Record:
        text = json.dumps(body, separators=(",", ":")).encode()
        with self.lock:
            if check is not None:
                check(self.size - HEADER + RECORD.size + len(text))
            lsn, end = self.place(RECORD.size + len(text), slot)
            rest = RECORD.pack(len(text), 0, lsn.packed, end.packed, kind, flags, offset_min, local_us)[8:] + text
            raw = struct.pack("<II", len(text), zlib.crc32(rest)) + rest
            self._write(raw)
            self.end, self.last_us = end, local_us
            return Record(raw, lsn, end, kind, flags, offset_min, local_us)

    def append_raw(self, records: list[Record]) -> None:
        """Records of another incarnation of this log, as they are (RESTORE)."""
        if records:
            with self.lock:
                self._write(b"".join(r.raw for r in records))
                self.end, self.last_us = records[-1].end, records[-1].local_us

    def _write(self, raw: bytes) -> None:
        self.file.seek(self.size)
        try:
            self.file.write(raw)
            self.file.flush()
        except OSError:
            self.file.truncate(self.size)
            raise
        self.size += len(raw)

    def undo(self, record: Record, end: Lsn) -> None:
        """Takes back the last record: the commit that it belongs to did not happen."""
        with self.lock:
            self.size -= len(record.raw)
            self.file.truncate(self.size)
            self.end = end

    def read(self, first: Lsn, last: Lsn) -> Iterator[Record]:
        """Records with first <= lsn < last, of the file as it is now, also when it is truncated meanwhile."""
        with self.lock:
            file = open(self.path, "rb")
        with file:
            for record in self._scan(file):
                if record.lsn >= last:
                    return
                if record.lsn >= first:
                    yield record

    def bytes_between(self, first: Lsn, last: Lsn) -> int:
        if first <= self.start and last >= self.end:
            return self.size - HEADER
        try:
            return sum(len(r.raw) for r in self.read(first, last))
        except FileNotFoundError:  # the database goes away at this moment
            return 0

    def truncate(self, first: Lsn) -> None:
        """Forgets the records before `first`."""
        with self.lock:
            if first <= self.start:
                return
            temp = self.path + ".new"
            size = HEADER
            with open(temp, "wb") as out:
                out.write(self._header(min(first, self.end), self.end, self.last_us))
                if first < self.end:
                    # The header's end is that of an empty file: records follow, so it is their first LSN.
                    out.seek(0)
                    out.write(self._header(first, first, self.last_us))
                    for record in self._scan(self.file):
                        if record.lsn >= first:
                            out.write(record.raw)
                            size += len(record.raw)
            self._swap(temp, min(first, self.end), size)

    def reset(self, start: Lsn) -> None:
        """An empty log that goes on at `start`."""
        with self.lock:
            temp = self.path + ".new"
            with open(temp, "wb") as out:
                out.write(self._header(start, start))
            self._swap(temp, start, HEADER)
            self.end, self.last_us = start, 0

    def cut(self, last: Lsn) -> None:
        """Forgets the records at and after `last` (a restore that stopped before them)."""
        with self.lock:
            if self.end <= last:
                return
            size, end = HEADER, self.start
            for record in self._scan(self.file):
                if record.lsn >= last:
                    break
                size, end = size + len(record.raw), record.end
            self.file.truncate(size)
            self.size, self.end = size, end

    def _swap(self, temp: str, start: Lsn, size: int) -> None:
        os.replace(temp, self.path)
        self.file.close()
        self.file = open(self.path, "r+b")
        self.start, self.size = start, size
