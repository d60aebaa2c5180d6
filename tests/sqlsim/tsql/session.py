# SPDX-License-Identifier: Apache-2.0
"""A session: what the wire calls."""

from __future__ import annotations

import random
import threading
from typing import Any, Optional, Sequence

from ..contract import (Cancelled, Done, Emit, EnvChange, Error, Login, Param, ReturnStatus, SessionKilled, SqlError)
from . import curcmd, types
from .context import Variable
from .executor import BatchEnd, Executor
from .storage import LocalStore
from .transactions import Transactions


class Options:
    """SET options and what else RESETCONNECTION resets."""

    def __init__(self, odbc: bool) -> None:
        self.switches: dict[str, bool] = {name: odbc for name in (
            "QUOTED_IDENTIFIER", "ANSI_NULLS", "ANSI_PADDING", "ANSI_WARNINGS", "CONCAT_NULL_YIELDS_NULL", "ANSI_NULL_DFLT_ON")}
        self.textsize = 2147483647 if odbc else 4096
        self.lock_timeout = -1
        self.date_first = 7
        self.row_limit = 0
        self.isolation = "READ COMMITTED"
        self.context_info: Optional[bytes] = None
        self.context: dict[str, Any] = {}
        self.identity_insert: Optional[str] = None

    def on(self, name: str) -> bool:
        return self.switches.get(name, False)

    def bits(self) -> int:
        """@@OPTIONS"""
        values = {"IMPLICIT_TRANSACTIONS": 2, "CURSOR_CLOSE_ON_COMMIT": 4, "ANSI_WARNINGS": 8, "ANSI_PADDING": 16, "ANSI_NULLS": 32,
                  "ARITHABORT": 64, "ARITHIGNORE": 128, "QUOTED_IDENTIFIER": 256, "NOCOUNT": 512, "ANSI_NULL_DFLT_ON": 1024,
                  "ANSI_NULL_DFLT_OFF": 2048, "CONCAT_NULL_YIELDS_NULL": 4096, "NUMERIC_ROUNDABORT": 8192, "XACT_ABORT": 16384}
        return sum(bit for name, bit in values.items() if self.on(name))


class Frame:
    """Variables of a batch or of an EXEC."""

    def __init__(self) -> None:
        self.variables: dict[str, Any] = {}
        self.identity: Any = None
        self.tries = 0
        self.tables: list[str] = []


class Session:
    def __init__(self, engine: Any, spid: int, login: Login, database: str = "master") -> None:
        self.engine = engine
        self.spid = spid
        self.login = login
        self.database = database
        self.start_database = database
        self.language = "us_english"
        self.cancel = threading.Event()
        self.killed = threading.Event()
        self.random = random.Random()
        self.options = Options(login.odbc)
        self.tran = Transactions(self)
        self.temp = LocalStore("tempdb", True)
        self.table_variables = LocalStore("tempdb", False)
        self.frame = Frame()
        self.depth = 0
        self.row_count = 0
        self.last_error = 0
        self.identity: Any = None
        self.caught: Optional[Error] = None
        self.table_number = 0
        self.closed = False

    # -- stopping -------------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Raises when the client or the server wants the session to stop."""
        if self.killed.is_set():
            raise SessionKilled(Error(596, "Cannot continue the execution because the session is in the kill state.", 1, 21))
        if self.cancel.is_set():
            raise Cancelled()

    # -- requests -------------------------------------------------------------------------------------------------------

    def execute(self, sql: str, params: Sequence[Param], emit: Emit) -> None:
        frame = Frame()
        for param in params:
            frame.variables[param.name.lower()] = Variable(types.of_param(param), param.value)
        self._request(lambda run, out: run.text(sql, frame), emit)
        for param in params:
            if param.output:
                param.value = frame.variables[param.name.lower()].value

    def call(self, proc: str, params: Sequence[Param], emit: Emit) -> None:
        def work(run: Executor, out: Emit) -> None:
            status = run.remote(proc, params)
            out(ReturnStatus(status))
            out(Done(curcmd.EXEC))

        self._request(work, emit)

    def _request(self, work: Any, emit: Emit) -> None:
        done = [False]

        def out(event: Any) -> None:
            done[0] = isinstance(event, Done)
            emit(event)

        outer, self.depth = self.frame, 0
        self.caught = None
        try:
            self.look()
            work(Executor(self, out), out)
        except BatchEnd:
            pass
        except Cancelled:
            if self.options.on("XACT_ABORT") or not self.tran.count:
                self.tran.abandon(out)
            raise
        except SessionKilled:
            self.tran.abandon(out)
            raise
        finally:
            self.frame = outer
        if self.tran.doomed:
            self.tran.abandon(out)
            error = Error(3998, "Uncommittable transaction is detected at the end of the batch. The transaction is rolled back.", 1, 16)
            out(error)
            out(Done(curcmd.NONE, error=True))
        if not done[0]:
            out(Done(curcmd.NONE))

    def transaction(self, request: str, name: str, isolation: int, emit: Emit) -> None:
        """A transaction manager request."""
        kind = request.lower()
        try:
            if kind == "begin":
                self.tran.begin(name, None, emit)
                emit(Done(curcmd.BEGIN))
            elif kind == "commit":
                while self.tran.count > 1:
                    self.tran.count -= 1
                self.tran.commit(emit)
                emit(Done(curcmd.COMMIT))
            elif kind == "rollback":
                self.tran.rollback(emit, name)
                emit(Done(curcmd.ROLLBACK))
            elif kind == "save":
                self.tran.save(name)
                emit(Done(curcmd.SAVE))
            else:
                raise SqlError(3989, f"New request is not allowed to start because it should come with valid transaction descriptor.")
        except SqlError as exc:
            emit(exc.error)
            for more in exc.also:
                emit(more)
            emit(Done(curcmd.NONE, error=True))

    def reset(self, emit: Emit) -> None:
        if self.tran.count or self.tran.parts:
            self.tran.abandon(emit)
        self._drop_temporary()
        self.options = Options(self.login.odbc)
        self.frame = Frame()
        self.row_count = self.last_error = 0
        self.identity = self.caught = None
        if self.database != self.start_database:
            old, self.database = self.database, self.start_database
            emit(EnvChange(1, self.database, old))

    def _drop_temporary(self) -> None:
        self.temp.close()
        self.table_variables.close()
        self.temp, self.table_variables = LocalStore("tempdb", True), LocalStore("tempdb", False)

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        try:
            self.tran.abandon(lambda event: None)
        finally:
            self.temp.close()
            self.table_variables.close()
            gone = getattr(self.engine, "session_closed", None)
            if gone is not None:
                gone(self)
