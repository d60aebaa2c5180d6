# SPDX-License-Identifier: Apache-2.0
"""Packets and messages over an asyncio stream, in the clear or through TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from typing import Optional

from sqlsim.tds.tls import TlsBox
from sqlsim.tds.wire import ProtocolError

SQL_BATCH, RPC, REPLY, ATTENTION, BULK, TRANSACTION, LOGIN7, SSPI, PRELOGIN = 1, 3, 4, 6, 7, 0x0E, 0x10, 0x11, 0x12
KNOWN_TYPES = frozenset((1, 2, 3, 6, 7, 8, 0x0E, 0x0F, 0x10, 0x11, 0x12))
EOM, IGNORE, RESET, RESET_SKIP_TRAN = 0x01, 0x02, 0x08, 0x10
HEADER = 8


def packets_of(kind: int, payload: bytes, size: int, spid: int = 0, status: int = 0) -> bytes:
    """One message cut into packets of at most `size` bytes. `status` goes into the first packet."""
    room, out, at, number = size - HEADER, [], 0, 1
    while True:
        part = payload[at : at + room]
        at += len(part)
        last = at >= len(payload)
        flags = (EOM if last else 0) | (status if number == 1 else 0)
        out.append(struct.pack(">BBHHBB", kind, flags, HEADER + len(part), spid & 0xFFFF, number & 0xFF, 0) + part)
        number += 1
        if last:
            return b"".join(out)


class Message:
    __slots__ = ("kind", "data", "status", "ignored")

    def __init__(self, kind: int, data: bytes, status: int, ignored: bool) -> None:
        self.kind = kind
        self.data = data
        self.status = status  # of the first packet
        self.ignored = ignored  # the client took it back in its last packet


class Channel:
    """Reads and writes the bytes of one connection. Used by its reader task and its writer task, each alone."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._tls: Optional[TlsBox] = None
        self._plain = bytearray()
        self._eof = False

    async def _fill(self) -> None:
        data = await self._reader.read(65536)
        if not data:
            self._eof = True
            return
        self._plain += self._tls.decrypt(data) if self._tls else data

    async def read_exactly(self, size: int) -> bytes:
        while len(self._plain) < size:
            if self._eof:
                raise asyncio.IncompleteReadError(bytes(self._plain), size)
            await self._fill()
        part = bytes(self._plain[:size])
        del self._plain[:size]
        return part

    async def first_byte(self) -> int:
        while not self._plain and not self._eof:
            await self._fill()
        if not self._plain:
            raise asyncio.IncompleteReadError(b"", 1)
        return self._plain[0]

    async def read_packet(self) -> tuple[int, int, bytes]:
        kind, status, length = struct.unpack(">BBH", (await self.read_exactly(HEADER))[:4])
        if kind not in KNOWN_TYPES:
            raise ProtocolError(f"packet type 0x{kind:02x} is unknown")
        if length < HEADER:
            raise ProtocolError(f"a packet of {length} bytes cannot be")
        return kind, status, await self.read_exactly(length - HEADER)

    async def read_message(self, limit: int, begun: Optional[tuple[int, int, bytes]] = None) -> Message:
        """The packets up to the one with EOM. An attention may come in the middle of a message: it takes it back.
        `begun` is the first packet when somebody has read it already."""
        kind, status, part = begun or await self.read_packet()
        first, parts, size = status, [part], len(part)
        while not status & EOM:
            more, status, part = await self.read_packet()
            if more == ATTENTION:
                return Message(ATTENTION, b"", status, False)
            if more != kind:
                raise ProtocolError(f"a packet of type 0x{more:02x} inside a message of type 0x{kind:02x}")
            parts.append(part)
            size += len(part)
            if size > limit:
                raise ProtocolError(f"a message of more than {limit} bytes")
        return Message(kind, b"".join(parts), first, bool(status & IGNORE))

    async def write(self, data: bytes) -> None:
        self._writer.write(self._tls.encrypt(data) if self._tls else data)
        await self._writer.drain()

    async def start_tls_in_prelogin(self, context: ssl.SSLContext) -> None:
        """The handshake travels in PRELOGIN packets, one flight per message."""
        box, done = TlsBox(context, True), False
        while not done:
            kind, _, data = await self.read_packet()
            if kind != PRELOGIN:
                raise ProtocolError(f"packet type 0x{kind:02x} in the TLS handshake")
            try:
                done, out = box.handshake(data)
            except ssl.SSLError:
                if alert := box.pending():
                    self._writer.write(packets_of(PRELOGIN, alert, 4096))
                raise
            if out:
                self._writer.write(packets_of(PRELOGIN, out, 4096))
                await self._writer.drain()
        self._tls = box
        if self._plain:
            early, self._plain = bytes(self._plain), bytearray()
            self._plain += box.decrypt(early)

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """TDS 8: TLS before anything else."""
        box, data, self._plain = TlsBox(context, True), bytes(self._plain), bytearray()
        while True:
            done, out = box.handshake(data)
            if out:
                self._writer.write(out)
                await self._writer.drain()
            if done:
                break
            data = await self._reader.read(65536)
            if not data:
                raise asyncio.IncompleteReadError(b"", 1)
        self._tls = box
        self._plain += box.decrypt(b"")

    def stop_tls(self) -> None:
        """After LOGIN7, when only the login is encrypted: plain bytes follow, without a close_notify."""
        self._tls = None

    @property
    def encrypted(self) -> bool:
        return self._tls is not None

    def finish(self) -> None:
        """Sends what is written and closes; the reader sees the end."""
        self._writer.close()

    def abort(self) -> None:
        """Drops the connection without ceremony: the peer sees a reset."""
        raw = self._writer.get_extra_info("socket")
        try:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except (OSError, AttributeError):
            pass  # it is closed already
        self._writer.transport.abort()

    async def close(self) -> None:
        self._writer.close()
        try:
            await asyncio.wait_for(self._writer.wait_closed(), 5)
        except (OSError, asyncio.TimeoutError, ssl.SSLError):
            self._writer.transport.abort()
