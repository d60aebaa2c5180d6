# SPDX-License-Identifier: Apache-2.0
"""Between a session's thread, which makes reply bytes, and the network loop, which sends them: bounded."""

from __future__ import annotations

import asyncio
import struct
import threading
import time
from typing import Callable

from sqlsim.tds.packets import EOM, HEADER, REPLY

LIMIT = 256 * 1024


class Closed(Exception):
    """The connection is gone, nothing can be sent any more."""


class Outbox:
    """`put`, `flush` and `finish` are called by the session's thread, the others by the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, stop_waiting: Callable[[], bool]) -> None:
        self._loop = loop
        self._stop_waiting = stop_waiting
        self._cond = threading.Condition()
        self._ready = asyncio.Event()
        self._woken = False
        self._packets: list[bytes] = []
        self._queued = 0
        self._sending = 0
        self._partial = bytearray()
        self._number = 0
        self._closed = False
        self._closing = False
        self._flushed_at = 0.0
        self.packet_size = 4096
        self.spid = 0
        self.sent = 0

    def put(self, data: bytes) -> None:
        """Adds to the current message; waits while too much is unsent, unless the statement shall stop."""
        with self._cond:
            self._partial += data
            room = self.packet_size - HEADER
            if len(self._partial) > room:
                # One byte at least stays for the packet that ends the message.
                at = 0
                while len(self._partial) - at > room:
                    self._packet(self._partial[at : at + room], 0)
                    at += room
                del self._partial[:at]
                self._flushed_at = time.monotonic()
                self._wake()
            while self._queued + self._sending > LIMIT and not self._closed and not self._stop_waiting():
                self._cond.wait(0.5)
            if self._closed:
                raise Closed()

    def add(self, data: bytes) -> None:
        """Adds to the current message without waiting. Any thread."""
        with self._cond:
            self._partial += data

    def flush(self) -> None:
        """Sends what there is without ending the message. Any thread."""
        with self._cond:
            if self._partial and not self._closed:
                self._packet(bytes(self._partial), 0)
                self._partial.clear()
                self._flushed_at = time.monotonic()
                self._wake()

    def flushed_before(self, seconds: float) -> bool:
        return time.monotonic() - self._flushed_at > seconds

    def finish(self, data: bytes = b"") -> None:
        """Ends the message."""
        with self._cond:
            self._partial += data
            room, at = self.packet_size - HEADER, 0
            while len(self._partial) - at > room:
                self._packet(self._partial[at : at + room], 0)
                at += room
            self._packet(self._partial[at:], EOM)
            self._partial.clear()
            self._number = 0
            self._wake()

    def discard(self) -> None:
        """Forgets what of the current message is not sent."""
        with self._cond:
            self._partial.clear()
            self._packets.clear()
            self._queued = 0

    def close_when_sent(self) -> None:
        with self._cond:
            self._closing = True
            self._wake()

    def nudge(self) -> None:
        """Lets a waiting thread look again whether it shall stop."""
        with self._cond:
            self._cond.notify_all()

    def shut(self) -> None:
        with self._cond:
            self._closed = True
            self._packets.clear()
            self._cond.notify_all()
            self._wake()

    def _packet(self, part: bytes, status: int) -> None:
        self._number = (self._number + 1) & 0xFF
        head = struct.pack(">BBHHBB", REPLY, status, HEADER + len(part), self.spid & 0xFFFF, self._number, 0)
        self._packets.append(head + part)
        self._queued += HEADER + len(part)

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._ready.set)
            except RuntimeError:  # the loop is closed, so is everything
                self._closed = True

    async def take(self) -> bytes:
        """What is to be sent next; empty at the end."""
        while True:
            with self._cond:
                self._sending = 0
                self._cond.notify_all()
                if self._closed:
                    return b""
                if self._packets:
                    data = b"".join(self._packets)
                    self._packets.clear()
                    self._sending, self._queued = len(data), 0
                    self.sent += len(data)
                    return data
                if self._closing:
                    return b""
                self._ready.clear()
                self._woken = False
            await self._ready.wait()
