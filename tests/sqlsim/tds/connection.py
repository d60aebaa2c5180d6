# SPDX-License-Identifier: Apache-2.0
"""One client connection on the network loop: PRELOGIN, TLS, LOGIN7, then requests to the worker and replies back."""

from __future__ import annotations

import asyncio
import itertools
import ssl
import time
from dataclasses import dataclass, field
from typing import Any, Optional

from sqlsim.contract import Error, Login
from sqlsim.tds import handshake, packets
from sqlsim.tds.collation import collation_bytes
from sqlsim.tds.faults import WireFaults, login_error
from sqlsim.tds.outbox import Outbox
from sqlsim.tds.packets import Channel, Message, packets_of
from sqlsim.tds.tokens import attention_ack
from sqlsim.tds.wire import ProtocolError, WireEnv
from sqlsim.tds.worker import Worker

HANDSHAKE_SECONDS = 60
MESSAGE_LIMIT = 512 * 1024 * 1024
QUEUED_REQUESTS = 64
_numbers = itertools.count(1)


@dataclass
class Setup:
    """What all connections of a listener share."""

    server: Any
    encryption: str = "off"  # not-supported, off, on, required, strict
    tls: Optional[ssl.SSLContext] = None
    strict_tls: Optional[ssl.SSLContext] = None
    faults: WireFaults = field(default_factory=WireFaults)
    counters: dict[str, int] = field(default_factory=dict)

    def count(self, what: str) -> None:
        self.counters[what] = self.counters.get(what, 0) + 1


class Connection:
    def __init__(self, setup: Setup, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = next(_numbers)
        self.setup = setup
        self.channel = Channel(reader, writer)
        self.worker: Optional[Worker] = None
        self.login7: Optional[handshake.Login7] = None
        self.encryption = "none"
        peer = writer.get_extra_info("peername") or ("", 0)
        self.address = f"{peer[0]}:{peer[1]}"
        self.since = time.time()
        self._loop = asyncio.get_running_loop()
        self._env = WireEnv(collation=collation_bytes(getattr(setup.server, "collation", "SQL_Latin1_General_CP1_CI_AS")))
        self._outbox = Outbox(self._loop, self._should_stop)
        self._ticking = False
        self._sender: Optional[asyncio.Task] = None
        self._early: Optional[asyncio.Task] = None  # reads the first packet after the login

    def _should_stop(self) -> bool:
        return self.worker is not None and self.worker.should_stop()

    async def run(self) -> None:
        try:
            if await asyncio.wait_for(self._shake_hands(), HANDSHAKE_SECONDS):
                self._sender = asyncio.create_task(self._send())
                if await self._log_in():
                    await self._requests()
        except ProtocolError:
            self.setup.count("protocol_errors")
        except (asyncio.IncompleteReadError, asyncio.TimeoutError, ConnectionError, OSError, ssl.SSLError):
            self.setup.count("broken_connections")
        finally:
            await self._end()

    async def _end(self) -> None:
        if self.worker is not None:
            self.worker.gone()
        if self._sender is not None and not self._sender.done():
            self._outbox.close_when_sent()
            await asyncio.wait([self._sender], timeout=5)
        self._outbox.shut()
        for task in (self._sender, self._early):
            if task is not None:
                task.cancel()
        await self.channel.close()

    # Until the login is read.

    async def _shake_hands(self) -> bool:
        setup = self.setup
        strict = False
        if await self.channel.first_byte() == 0x16:
            if setup.strict_tls is None:
                raise ProtocolError("TLS before PRELOGIN, without a certificate")
            await self.channel.start_tls(setup.strict_tls)
            strict, self.encryption = True, "strict"
        elif setup.encryption == "strict":
            raise ProtocolError("this server takes TDS 8 only")
        message = await self.channel.read_message(handshake.LOGIN7_MAX)
        if message.kind == packets.PRELOGIN:
            if not await self._prelogin(message, strict):
                return False
            message = await self.channel.read_message(handshake.LOGIN7_MAX)
        elif setup.encryption in ("on", "required"):
            raise ProtocolError("a login without PRELOGIN on a server that forces encryption")
        if message.kind != packets.LOGIN7:
            raise ProtocolError(f"packet type 0x{message.kind:02x} instead of a login")
        self.login7 = handshake.read_login7(message.data)
        self.setup.count(f"encryption_{self.encryption}")
        if self.encryption == "login":
            self.channel.stop_tls()
        return True

    async def _prelogin(self, message: Message, strict: bool) -> bool:
        options = handshake.read_prelogin(message.data)
        asked = options.get(handshake.PRE_ENCRYPTION)
        byte = asked[0] if asked else None
        answer, follows = handshake.choose_encryption(self.setup.encryption, byte)
        if strict:
            answer, follows = handshake.ENCRYPT_NOT_SUP if byte == 2 else handshake.ENCRYPT_ON, "none"
        reply = handshake.prelogin_reply(options, self.setup.server.version, answer)
        await self.channel.write(packets_of(packets.REPLY, reply, 4096))
        if follows == "drop":
            self.setup.count("encryption_refused")
            return False
        if follows != "none":
            await self.channel.start_tls_in_prelogin(self.setup.tls)
            self.encryption = follows
        return True

    # The login itself.

    async def _log_in(self) -> bool:
        login7 = self.login7
        version = handshake.agreed_version(login7.version)
        if not version:
            raise ProtocolError(f"TDS version 0x{login7.version:08x}")
        self._env.version = version
        login = login7.login
        login.address, login.encrypted, login.tds = self.address, self.encryption not in ("none", "login"), version
        login.packet_size = handshake.agreed_packet_size(login7.packet_size, login.encrypted)
        if login7.integrated:
            err = login_error(18452, login)
            session, errors = None, [err.error]
        else:
            session, errors = await self._ask_engine(login)
        self.setup.count("logins" if session else "failed_logins")
        if session is None:
            self._outbox.finish(handshake.login_failure(errors, self._env, self.setup.server.name))
            return False
        self._outbox.spid = session.spid
        language = getattr(session, "language", "") or login7.language
        reply = handshake.login_reply(
            login7, self._env, self.setup.server.name, self.setup.server.version, session.database, login.packet_size, language
        )
        self._outbox.finish(reply)
        self._outbox.packet_size = login.packet_size
        return True

    async def _ask_engine(self, login: Login) -> tuple[Any, list[Error]]:
        answer: asyncio.Future = self._loop.create_future()

        def set_answer(session: Any, errors: list) -> None:
            if not answer.done():
                answer.set_result((session, errors))

        def done(session: Any, errors: list) -> None:
            try:
                self._loop.call_soon_threadsafe(set_answer, session, errors)
            except RuntimeError:
                pass

        self.worker = Worker(self.setup.server, self._env, self._outbox, self.setup.faults, self._worker_closes)
        self.worker.start_session(login, done)
        # A client that goes away while it waits must not be waited for.
        leaving = asyncio.create_task(self.channel.read_packet())
        leaving.add_done_callback(lambda task: task.cancelled() or task.exception())  # it is looked at later, or never
        await asyncio.wait([answer, leaving], return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            leaving.result()
            raise ProtocolError("a packet while the login was under way")
        self._early = leaving
        return answer.result()

    # Requests.

    async def _read_message(self) -> Message:
        if self._early is None:
            return await self.channel.read_message(MESSAGE_LIMIT)
        early, self._early = self._early, None
        return await self.channel.read_message(MESSAGE_LIMIT, await early)

    async def _requests(self) -> None:
        while True:
            message = await self._read_message()
            if message.kind == packets.ATTENTION:
                self.setup.count("attentions")
                if not self.worker.attention():
                    self._outbox.finish(attention_ack(self._env.version))
                continue
            if message.kind not in (packets.SQL_BATCH, packets.RPC, packets.TRANSACTION, packets.BULK):
                raise ProtocolError(f"packet type 0x{message.kind:02x} after the login")
            if self.worker.busy >= QUEUED_REQUESTS:
                raise ProtocolError("too many requests at once")
            self.setup.count("requests")
            self.worker.submit(message)
            self._start_ticking()

    def _start_ticking(self) -> None:
        if not self._ticking:
            self._ticking = True
            self._loop.call_later(0.02, self._tick, 0.02)

    def _tick(self, pause: float) -> None:
        if self.worker.busy == 0 or self.worker.should_stop():
            self._ticking = False
            return
        self.worker.tick()
        pause = min(pause * 1.5, 0.1)
        self._loop.call_later(pause, self._tick, pause)

    async def _send(self) -> None:
        try:
            while data := await self._outbox.take():
                await self._write(data)
                self._outbox.sent += len(data)
        except (ConnectionError, OSError, ssl.SSLError):
            pass
        finally:
            self._outbox.shut()
            self.channel.finish()  # ends the reader too

    async def _write(self, data: bytes) -> None:
        faults = self.setup.faults
        if faults.latency:
            await asyncio.sleep(faults.latency)
        if not faults.rate:
            await self.channel.write(data)
            return
        view = memoryview(data)
        while view:
            rate = faults.rate or len(view) * 20
            part = bytes(view[: max(1, rate // 20)])
            view = view[len(part) :]
            await self.channel.write(part)
            await asyncio.sleep(len(part) / rate)

    def _worker_closes(self, reset: bool) -> None:
        """From the worker's thread: the session is over."""
        if reset:
            try:
                self._loop.call_soon_threadsafe(self.channel.abort)
            except RuntimeError:
                pass
        else:
            self._outbox.close_when_sent()

    # From outside, on the loop.

    def check_killed(self) -> None:
        """An idle session that was killed just loses its connection; a running one ends by itself."""
        worker = self.worker
        if worker is not None and worker.session is not None and worker.session.killed.is_set() and worker.busy == 0:
            self.channel.abort()

    def drop(self) -> None:
        self.channel.abort()

    def stop(self) -> None:
        """The server shuts down: a running request hears of it, an idle connection is closed."""
        worker = self.worker
        if worker is None or worker.session is None:
            self.channel.abort()
            return
        worker.stopping.set()
        worker.session.killed.set()
        self._outbox.nudge()
        if worker.busy == 0:
            self._outbox.close_when_sent()

    def describe(self) -> dict[str, Any]:
        worker, login = self.worker, self.login7.login if self.login7 else None
        session = worker.session if worker else None
        return {
            "spid": getattr(session, "spid", 0),
            "login": login.user if login else "",
            "host": login.host if login else "",
            "app": login.app if login else "",
            "database": getattr(session, "database", ""),
            "address": self.address,
            "encryption": self.encryption,
            "running": worker.running if worker else "",
            "sent": self._outbox.sent,
        }
