# SPDX-License-Identifier: Apache-2.0
"""The thread of one session: runs its requests one after the other and turns what happens into reply bytes."""

from __future__ import annotations

import queue
import sys
import threading
import traceback
from typing import Any, Callable, Optional

from sqlsim.contract import Cancelled, Done, EnvChange, Error, Event, Login, Row, SessionKilled, SqlError
from sqlsim.tds import packets, requests
from sqlsim.tds.faults import WireFaults
from sqlsim.tds.outbox import Closed, Outbox
from sqlsim.tds.packets import Message
from sqlsim.tds.rpc import RpcRunner, protocol_error
from sqlsim.tds.tokens import ReplyEncoder, attention_ack
from sqlsim.tds.wire import ProtocolError, WireEnv

FLUSH_AFTER = 0.005
KILLED = Error(596, "Cannot continue the execution because the session is in the kill state.", 1, 21)
STOPPING = Error(6005, "SHUTDOWN is in progress.", 1, 14)


class Worker(threading.Thread):
    def __init__(self, server: Any, env: WireEnv, outbox: Outbox, faults: WireFaults, on_close: Callable[[bool], None]) -> None:
        super().__init__(daemon=True, name="tds-session")
        self._server = server
        self._env = env
        self._outbox = outbox
        self._faults = faults
        self._on_close = on_close  # called with True when the connection shall be reset, not closed after the reply
        self._jobs: queue.SimpleQueue = queue.SimpleQueue()
        self._lock = threading.Lock()  # guards the four below
        self._busy = 0
        self._attention = False
        self._encoder: Optional[ReplyEncoder] = None
        self._gone = False
        self._rpcs: Optional[RpcRunner] = None
        self.session: Any = None
        self.login: Optional[Login] = None
        self.running = ""  # the text that runs now
        self.stopping = threading.Event()  # the server shuts down

    # Called by the network loop.

    def start_session(self, login: Login, done: Callable[[Any, list], None]) -> None:
        """Logs in on this thread; `done` gets the session, or the errors."""
        self.login = login
        self._jobs.put((login, done))
        self.start()

    def submit(self, message: Message) -> None:
        with self._lock:
            self._busy += 1
        self._jobs.put(message)

    @property
    def busy(self) -> int:
        return self._busy

    def attention(self) -> bool:
        """The client wants its request stopped. False when nothing runs: the caller acknowledges then."""
        with self._lock:
            if self._busy == 0:
                return False
            self._attention = True
            if self.session is not None:
                self.session.cancel.set()
        self._outbox.nudge()
        return True

    def gone(self) -> None:
        """The connection is lost or shall end; the thread ends after what runs now."""
        self._gone = True
        if self.session is not None:
            self.session.killed.set()
        self._outbox.nudge()
        self._jobs.put(None)

    def should_stop(self) -> bool:
        session = self.session
        return self._gone or (session is not None and (session.cancel.is_set() or session.killed.is_set()))

    def tick(self) -> None:
        """Sends what lies around while a statement takes its time."""
        if self._lock.acquire(blocking=False):
            try:
                encoder = self._encoder
                if encoder is not None and encoder.buf:
                    self._outbox.add(bytes(encoder.buf))
                    encoder.buf.clear()
            finally:
                self._lock.release()
            self._outbox.flush()

    # The thread itself.

    def run(self) -> None:
        login, done = self._jobs.get()
        try:
            self._log_in(login, done)
            while self.session is not None and not self._gone:
                job = self._jobs.get()
                if job is None or not self._serve(job):
                    break
        finally:
            if self.session is not None:
                self._close_session()

    def _close_session(self) -> None:
        try:
            self.session.close()
        except Exception:  # pylint: disable=broad-except
            traceback.print_exc(file=sys.stderr)

    def _log_in(self, login: Login, done: Callable[[Any, list], None]) -> None:
        try:
            self._faults.before_login(login, lambda: self._gone)
            session = self._server.login(login)
        except SqlError as err:
            done(None, [err.error, *err.also])
            return
        except SessionKilled as err:
            done(None, [err.error or STOPPING])
            return
        except Exception as err:  # pylint: disable=broad-except
            traceback.print_exc(file=sys.stderr)
            done(None, [Error(17806, f"The login could not be made: {err!r}", 1, 20)])
            return
        self.session = session
        self._rpcs = RpcRunner(session)
        if self._gone:
            session.killed.set()
        done(session, [])

    def _serve(self, message: Message) -> bool:
        """One request. False ends the session."""
        encoder = ReplyEncoder(self._env, self._server.name)
        with self._lock:
            self._encoder = encoder
        alive = True
        try:
            self._handle(message, encoder)
        except Cancelled:
            encoder.interrupt()
        except SessionKilled as err:
            stopping = self.stopping.is_set() or not getattr(self._server, "running", True)
            alive = self._say_last(encoder, err.error or (STOPPING if stopping else KILLED))
        except ProtocolError as err:
            alive = self._say_last(encoder, protocol_error(err))
        except Closed:
            alive = False
        except Exception as err:  # pylint: disable=broad-except
            traceback.print_exc(file=sys.stderr)
            text = f"A system assertion check has failed: {err!r}. Check the SQL Server error log for details."
            alive = self._say_last(encoder, Error(3624, text, 1, 20))
        else:
            encoder.finish()
        return self._complete(encoder, alive)

    def _say_last(self, encoder: ReplyEncoder, error: Error) -> bool:
        encoder.emit(error)
        encoder.interrupt(error.cls >= 20)
        return False

    def _complete(self, encoder: ReplyEncoder, alive: bool) -> bool:
        text, self.running = self.running, ""
        if not self._gone and self._faults.loses_reply(text):
            self._outbox.discard()
            self._on_close(True)
            return False
        with self._lock:
            self._encoder = None
            self._busy -= 1
            stopped, self._attention = self._attention, False
            self.session.cancel.clear()
            # Under the lock, so that an acknowledgement of the loop cannot come before the end of this reply.
            self._outbox.finish(bytes(encoder.buf))
            if stopped and alive:
                self._outbox.finish(attention_ack(self._env.version))
        if not alive:
            self._on_close(False)
        return alive

    def _emit(self, encoder: ReplyEncoder) -> Callable[[Event], None]:
        session, outbox, lock = self.session, self._outbox, self._lock

        def emit(event: Event) -> None:
            with lock:
                flush = encoder.emit(event)
                size = len(encoder.buf)
                if not flush and size < 4096:
                    return
                data = bytes(encoder.buf)
                encoder.buf.clear()
            try:
                outbox.put(data)
            except Closed:
                raise SessionKilled() from None
            if flush and outbox.flushed_before(FLUSH_AFTER):
                outbox.flush()
            if isinstance(event, Row) and self.should_stop():
                if session.killed.is_set() or self._gone:
                    raise SessionKilled()
                raise Cancelled()

        return emit

    def _handle(self, message: Message, encoder: ReplyEncoder) -> None:
        if message.ignored:  # the client took the request back while it was sending it
            raise Cancelled()
        emit = self._emit(encoder)
        if message.status & (packets.RESET | packets.RESET_SKIP_TRAN):
            self._reset(emit)
        if self.session.killed.is_set():
            raise SessionKilled()
        if self.session.cancel.is_set():
            raise Cancelled()
        if message.kind == packets.SQL_BATCH:
            sql = requests.read_batch(message.data, self._env).sql
            self.running = sql
            self.session.execute(sql, [], emit)
        elif message.kind == packets.RPC:
            for call in requests.read_rpcs(message.data, self._env):
                self.running = self._rpcs.describe(call)
                self._rpcs.run(call, encoder, emit)
        elif message.kind == packets.TRANSACTION:
            self._transaction(requests.read_transaction(message.data, self._env), emit)
        else:
            emit(Error(4002, "Bulk load is not expected: no INSERT BULK statement came before it."))
            emit(Done(0, error=True))

    def _transaction(self, request: Optional[requests.Transaction], emit: Callable[[Event], None]) -> None:
        while request is not None:
            self.running = f"{request.request} transaction"
            try:
                self.session.transaction(request.request, request.name, request.isolation, emit)
            except SqlError as err:
                for error in (err.error, *err.also):
                    emit(error)
                emit(Done(0, error=True))
                return
            request = request.begin_after

    def _reset(self, emit: Callable[[Event], None]) -> None:
        """RESETCONNECTION: the acknowledgement comes first, then what the reset changed."""
        events: list[Event] = []
        self._rpcs.forget()
        self.session.reset(events.append)
        if not any(isinstance(e, EnvChange) and e.kind == 18 for e in events):
            emit(EnvChange(18, b"", b""))
        for event in events:
            if not isinstance(event, Done):
                emit(event)
