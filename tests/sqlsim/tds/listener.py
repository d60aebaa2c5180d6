# SPDX-License-Identifier: Apache-2.0
"""A listening port of one simulated server, and the connections on it."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Optional

from sqlsim.tds.connection import Connection, Setup
from sqlsim.tds.worker import Worker

SWEEP_SECONDS = 0.1
BACKLOG = 1024


class Listener:
    def __init__(self, setup: Setup, host: str, port: int) -> None:
        self.setup = setup
        self.host = host
        self.port = port
        self.connections: set[Connection] = set()
        self._server: Optional[asyncio.Server] = None
        self._tasks: set[asyncio.Task] = set()
        self._workers: set[Worker] = set()
        self._sweeper: Optional[asyncio.Task] = None

    async def open(self) -> None:
        """Listens; on port 0 the first time, the port stays the same afterwards."""
        if self._server is not None:
            return
        self._server = await asyncio.start_server(self._serve, self.host, self.port, backlog=BACKLOG, reuse_address=True)
        self.port = self._server.sockets[0].getsockname()[1]
        if self._sweeper is None:
            self._sweeper = asyncio.create_task(self._sweep())

    async def close(self) -> None:
        """No new connections: the port is refused. Those that exist stay."""
        server, self._server = self._server, None
        if server is not None:
            server.close()

    @property
    def listening(self) -> bool:
        return self._server is not None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(self.setup, reader, writer)
        self.setup.count("connections")
        task = asyncio.current_task()
        self._tasks.add(task)
        self.connections.add(connection)
        try:
            await connection.run()
        finally:
            self.connections.discard(connection)
            self._tasks.discard(task)
            if connection.worker is not None and connection.worker.is_alive():
                self._workers.add(connection.worker)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self._workers = {w for w in self._workers if w.is_alive()}
            for connection in list(self.connections):
                connection.check_killed()

    def sessions(self) -> list[dict[str, Any]]:
        return [c.describe() for c in self.connections]

    def drop(self) -> int:
        """Drops every connection at once, as a crash does."""
        dropped = list(self.connections)
        for connection in dropped:
            connection.drop()
        return len(dropped)

    async def shut_down(self, seconds: float = 10.0) -> None:
        """As a service stop: no new connections, running requests are told, then everything is closed."""
        await self.close()
        for connection in list(self.connections):
            connection.stop()
        tasks = [t for t in self._tasks if not t.done()]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        for connection in list(self.connections):
            connection.drop()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    async def wait_workers(self, seconds: float) -> bool:
        """Until no thread works for a session any more; False when one still does."""
        end = asyncio.get_running_loop().time() + seconds
        while self.connections or any(w.is_alive() for w in self._workers):
            if asyncio.get_running_loop().time() > end:
                return False
            await asyncio.sleep(0.02)
        return True
