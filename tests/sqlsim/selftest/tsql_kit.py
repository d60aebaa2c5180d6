# SPDX-License-Identifier: Apache-2.0
"""Short forms for tests of the language: a server whose BACKUP, RESTORE and security statements are written down."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

from sqlsim.contract import Columns, Done, Error, Info, Login, Param, Row
from sqlsim.engine.server import Server
from sqlsim.tsql.session import Session

PASSWORD = "Str0ng!Passw0rd"


class Recorder(Server):
    """Keeps what the language asks for instead of doing it, while `recording`."""

    recording = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.calls: list[tuple] = []

    def backup(self, session: Any, stmt: Any, emit: Any) -> None:
        self._keep("backup", stmt) or super().backup(session, stmt, emit)

    def restore(self, session: Any, stmt: Any, emit: Any) -> None:
        self._keep("restore", stmt) or super().restore(session, stmt, emit)

    def alter_database(self, session: Any, name: str, clauses: Any, termination: Any) -> None:
        self._keep("alter", name, clauses, termination) or super().alter_database(session, name, clauses, termination)

    def create_database(self, session: Any, name: str, options: Any) -> None:
        self._keep("create", name, options) or super().create_database(session, name, options)

    def _keep(self, *call: Any) -> bool:
        if self.recording:
            self.calls.append(call)
        return self.recording


class Reply:
    """The events of one batch."""

    def __init__(self, events: list[Any]) -> None:
        self.events = events

    @property
    def rows(self) -> list[tuple]:
        """Rows of all results."""
        return [tuple(e.values) for e in self.events if isinstance(e, Row)]

    @property
    def value(self) -> Any:
        """The first value of the first row. Fails when there was an error."""
        assert not self.errors, self.errors
        return self.rows[0][0]

    @property
    def columns(self) -> list[Any]:
        return next((list(e.columns) for e in self.events if isinstance(e, Columns)), [])

    @property
    def types(self) -> list[str]:
        return [describe(c.type) for c in self.columns]

    @property
    def errors(self) -> list[Error]:
        return [e for e in self.events if isinstance(e, Error)]

    @property
    def numbers(self) -> list[int]:
        return [e.number for e in self.errors]

    @property
    def infos(self) -> list[tuple[int, str]]:
        return [(e.number, e.text) for e in self.events if isinstance(e, Info)]

    @property
    def dones(self) -> list[Done]:
        return [e for e in self.events if isinstance(e, Done)]

    @property
    def counts(self) -> list[Optional[int]]:
        return [e.count for e in self.dones]


def describe(t: Any) -> str:
    if t.length:
        return f"{t.kind}({'max' if t.length < 0 else t.length})"
    if t.precision:
        return f"{t.kind}({t.precision},{t.scale})"
    return f"{t.kind}({t.scale})" if t.kind in ("datetime2", "datetimeoffset", "time") else t.kind


class Client:
    """One session."""

    def __init__(self, server: Server, user: str = "sa", password: str = PASSWORD, database: str = "") -> None:
        self.session: Session = server.login(Login(user, password, database, odbc=True))

    def run(self, sql: str, *params: Param) -> Reply:
        events: list[Any] = []
        self.session.execute(sql, list(params), events.append)
        return Reply(events)

    def ok(self, sql: str, *params: Param) -> Reply:
        reply = self.run(sql, *params)
        assert not reply.errors, (sql, reply.errors)
        return reply

    def value(self, expression: str) -> Any:
        return self.run("SELECT " + expression).value

    def error(self, sql: str) -> Error:
        """The first error of a batch that must fail."""
        reply = self.run(sql)
        assert reply.errors, f"no error: {sql}"
        return reply.errors[0]


def start(root: Path, **options: Any) -> Recorder:
    server = Recorder("sim1", str(root), sa_password=PASSWORD, **options)
    server.start()
    return server
