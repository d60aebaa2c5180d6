# SPDX-License-Identifier: Apache-2.0
"""Remote procedure calls: the statements that clients prepare, and the binding of their parameters."""

from __future__ import annotations

from dataclasses import replace
from typing import Callable, Optional

from sqlsim.contract import Done, Emit, Error, Param, SessionApi, SqlError, SqlType
from sqlsim.tds.requests import Rpc, parse_declarations
from sqlsim.tds.tokens import ReplyEncoder
from sqlsim.tds.wire import ProtocolError

CURCMD_EXECUTE = 224
_TEXT_KINDS = ("nvarchar", "nchar", "varchar", "char", "xml")


class Prepared:
    def __init__(self, sql: str, declared: list[Param]) -> None:
        self.sql = sql
        self.declared = declared


def plain_name(proc: str) -> str:
    """'[sys].[sp_executesql]' and 'master..sp_executesql' are 'sp_executesql'."""
    return proc.replace("[", "").replace("]", "").split(".")[-1].strip().lower()


class RpcRunner:
    """Runs the calls of one connection; holds its prepared statements."""

    def __init__(self, session: SessionApi) -> None:
        self._session = session
        self._prepared: dict[int, Prepared] = {}
        self._next = 1
        self._special: dict[str, Callable[[Rpc, Emit], list[tuple[int, Param]]]] = {
            "sp_executesql": self._executesql,
            "sp_prepare": self._prepare,
            "sp_prepexec": self._prepexec,
            "sp_execute": self._execute,
            "sp_unprepare": self._unprepare,
            "sp_reset_connection": self._reset,
        }

    def forget(self) -> None:
        self._prepared.clear()

    def run(self, call: Rpc, encoder: ReplyEncoder, emit: Emit) -> None:
        special = self._special.get(plain_name(call.proc))
        encoder.next_request("text" if special else "proc")
        outputs: list[tuple[int, Param]] = []
        if not call.no_exec:
            try:
                outputs = special(call, emit) if special else self._by_name(call, emit)
            except SqlError as err:
                for error in (err.error, *err.also):
                    emit(error)
                emit(Done(CURCMD_EXECUTE, error=True))
        encoder.finish_rpc(outputs)

    def describe(self, call: Rpc) -> str:
        """The text that a call runs, for those who look at sessions from outside."""
        name = plain_name(call.proc)
        try:
            if name == "sp_executesql":
                return str(call.params[0].value)
            if name == "sp_prepexec":
                return str(call.params[2].value)
            if name == "sp_execute":
                return self._prepared[call.params[0].value].sql
        except (IndexError, KeyError, TypeError):
            pass
        return call.proc

    def _by_name(self, call: Rpc, emit: Emit) -> list[tuple[int, Param]]:
        self._session.call(call.proc, call.params, emit)
        return [(index, p) for index, p in enumerate(call.params) if p.output]

    def _executesql(self, call: Rpc, emit: Emit) -> list[tuple[int, Param]]:
        sql = _text(call, 0, "@statement")
        declared = _declared(_text(call, 1, "@params", True)) if len(call.params) > 1 else []
        return self._run_text(Prepared(sql, declared), call, 2, emit)

    def _prepare(self, call: Rpc, emit: Emit) -> list[tuple[int, Param]]:
        declared = _declared(_text(call, 1, "@params", True))
        handle = self._remember(Prepared(_text(call, 2, "@stmt"), declared))
        return [(0, self._handle_param(call, handle))]

    def _prepexec(self, call: Rpc, emit: Emit) -> list[tuple[int, Param]]:
        prepared = Prepared(_text(call, 2, "@stmt"), _declared(_text(call, 1, "@params", True)))
        outputs = self._run_text(prepared, call, 3, emit)
        return [(0, self._handle_param(call, self._remember(prepared))), *outputs]

    def _execute(self, call: Rpc, emit: Emit) -> list[tuple[int, Param]]:
        return self._run_text(self._find(call), call, 1, emit)

    def _unprepare(self, call: Rpc, emit: Emit) -> list[tuple[int, Param]]:
        self._find(call)
        del self._prepared[call.params[0].value]
        return []

    def _reset(self, call: Rpc, emit: Emit) -> list[tuple[int, Param]]:
        self.forget()
        self._session.reset(emit)
        return []

    def _remember(self, prepared: Prepared) -> int:
        handle, self._next = self._next, self._next + 1
        self._prepared[handle] = prepared
        return handle

    def _find(self, call: Rpc) -> Prepared:
        handle = call.params[0].value if call.params else None
        if handle not in self._prepared:
            raise SqlError(8179, f"Could not find prepared statement with handle {handle or 0}.", 2)
        return self._prepared[handle]

    @staticmethod
    def _handle_param(call: Rpc, handle: int) -> Param:
        return Param(call.params[0].name, SqlType("int"), handle, True)

    def _run_text(self, prepared: Prepared, call: Rpc, first: int, emit: Emit) -> list[tuple[int, Param]]:
        bound = bind(prepared, call.params[first:])
        params = [param for param, _ in bound]
        self._session.execute(prepared.sql, params, emit)
        return [(first + at, param) for param, at in bound if param.output and at is not None]


def _text(call: Rpc, index: int, name: str, optional: bool = False) -> str:
    param = call.params[index] if index < len(call.params) else None
    if param is not None and (param.value is None or param.value == "") and optional:
        return ""
    if param is None or param.type.kind not in _TEXT_KINDS or param.value is None:
        kind = "ntext/nchar/nvarchar"
        raise SqlError(214, f"Procedure expects parameter '{name}' of type '{kind}'.", 2)
    return param.value


def _declared(text: str) -> list[Param]:
    try:
        return parse_declarations(text)
    except ProtocolError as err:
        raise SqlError(102, str(err), 1, 15) from err


def bind(prepared: Prepared, given: list[Param]) -> list[tuple[Param, Optional[int]]]:
    """Each declared parameter with its value, and where in the call it came from."""
    values: dict[str, tuple[Param, int]] = {}
    for at, param in enumerate(given):
        if param.name:
            name = param.name if param.name.startswith("@") else "@" + param.name
        elif at < len(prepared.declared):
            name = prepared.declared[at].name
        else:
            raise SqlError(8144, "Procedure or function  has too many arguments specified.", 2)
        values[name.lower()] = (param, at)
    bound: list[tuple[Param, Optional[int]]] = []
    for declared in prepared.declared:
        found = values.pop(declared.name.lower(), None)
        if found is None or found[0].default:
            expects = (
                f"The parameterized query '{_head(prepared)}' expects the parameter '{declared.name}', which was not supplied."
            )
            raise SqlError(8178, expects, 1)
        param, at = found
        if param.output and not declared.output:
            wrong = (
                f'The formal parameter "{declared.name}" was not declared as an OUTPUT parameter, '
                "but the actual parameter passed in requested output."
            )
            raise SqlError(8162, wrong, 2)
        bound.append((replace(declared, value=param.value, output=param.output), at))
    if values:
        extra = next(iter(values.values()))[0].name
        raise SqlError(8145, f"{extra} is not a parameter for procedure .", 2)
    return bound


def _head(prepared: Prepared) -> str:
    names = ",".join(f"{p.name} {p.type.kind}" for p in prepared.declared)
    return f"({names}){prepared.sql}"[:120]


def protocol_error(err: ProtocolError) -> Error:
    """What SQL Server says to a stream that it cannot read, just before it closes the connection."""
    number = err.number or 4002
    if number in (8009, 8016, 8015, 8004, 8005):
        kind = "remote procedure call (RPC) protocol stream"
        return Error(number, f"The incoming tabular data stream (TDS) {kind} is incorrect. {err}")
    if number == 4002:
        return Error(number, f"The incoming tabular data stream (TDS) protocol stream is incorrect. {err}")
    return Error(number, str(err))
