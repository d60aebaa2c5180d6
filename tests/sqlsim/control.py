# SPDX-License-Identifier: Apache-2.0
"""The control port: JSON lines in, JSON lines out. It makes faults happen; README.md lists the commands.

A request is {"do": NAME, "instance": NAME, ...arguments}; the instance may be left out when there is only one.
The answer is {"ok": true, ...} or {"ok": false, "error": TEXT}."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import socket
import threading
from typing import Any, Awaitable, Callable, Optional

from sqlsim.instance import ConfigError, Instance

LINE_LIMIT = 1 << 20


class ControlServer:
    def __init__(self, instances: list[Instance], stop_all: Callable[[], None]) -> None:
        self._instances = {i.config.name: i for i in instances}
        self._stop_all = stop_all
        self._server: Optional[asyncio.Server] = None
        self.port = 0

    async def open(self, host: str, port: int) -> None:
        self._server = await asyncio.start_server(self._serve, host, port, limit=LINE_LIMIT)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                answer = await self._answer(line)
                writer.write(json.dumps(answer, default=str).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError, asyncio.IncompleteReadError):
            pass  # the peer went away, or sent a line without end
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            if not isinstance(request, dict) or not isinstance(request.get("do"), str):
                raise ConfigError('a request is an object with "do"')
            name = request.pop("do")
            return {"ok": True, **await self._run(name, request)}
        except Exception as err:  # pylint: disable=broad-except
            text = str(err) or type(err).__name__
            return {"ok": False, "error": text if isinstance(err, ConfigError) else f"{type(err).__name__}: {text}"}

    async def _run(self, name: str, args: dict[str, Any]) -> dict[str, Any]:
        if name == "ping":
            return {}
        if name == "instances":
            return {"instances": [describe(i) for i in self._instances.values()]}
        if name == "shutdown":
            self._stop_all()
            return {}
        instance = self._find(args.pop("instance", None))
        commands = Commands(instance)
        if name == "commands":
            return {"wire": commands.names(), "engine": engine_faults(instance)}
        own = commands.find(name)
        if own is not None:
            check_arguments(own, args)
            return await own(**args) or {}
        return await self._engine_fault(instance, name, args)

    def _find(self, name: Optional[str]) -> Instance:
        if name is None and len(self._instances) == 1:
            return next(iter(self._instances.values()))
        if name not in self._instances:
            raise ConfigError(f"instance {name!r} is not one of {', '.join(sorted(self._instances))}")
        return self._instances[name]

    @staticmethod
    async def _engine_fault(instance: Instance, name: str, args: dict[str, Any]) -> dict[str, Any]:
        faults = getattr(instance.server, "faults", None)
        method = getattr(faults, name, None) if name in engine_faults(instance) else None
        if method is None:
            raise ConfigError(f"the command {name!r} is unknown")
        check_arguments(method, args)
        result = await asyncio.get_running_loop().run_in_executor(None, lambda: method(**args))
        return {} if result is None else {"result": result}


def check_arguments(method: Callable, args: dict[str, Any]) -> None:
    try:
        inspect.signature(method).bind(**args)
    except TypeError as err:
        raise ConfigError(f"wrong arguments: {err}; it is {method.__name__}{inspect.signature(method)}") from err


# The engine asks its faults with these, they are not for others.
_HOOKS = ("_", "on_", "denied", "rate", "step")


def engine_faults(instance: Instance) -> list[str]:
    faults = getattr(instance.server, "faults", None)
    return sorted(n for n in dir(faults) if not n.startswith(_HOOKS) and inspect.ismethod(getattr(faults, n, None)))


def describe(instance: Instance) -> dict[str, Any]:
    return {
        "name": instance.config.name,
        "port": instance.port,
        "phase": instance.phase,
        "listening": instance.listener.listening,
        "certificate": instance.certificate,
        "data": instance.config.data,
        "counters": instance.setup.counters,
    }


class Commands:
    """What the wire can do by itself; each public coroutine is a command."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def names(self) -> list[str]:
        return sorted(n for n in dir(self) if not n.startswith("_") and inspect.iscoroutinefunction(getattr(self, n)))

    def find(self, name: str) -> Optional[Callable[..., Awaitable[Optional[dict]]]]:
        return getattr(self, name) if name in self.names() else None

    async def refuse_logins(self, number: int = 18456, text: Optional[str] = None, state: int = 1, cls: Optional[int] = None,
                            times: Optional[int] = None, user: Optional[str] = None,
                            databases: Optional[list[str]] = None) -> None:  # fmt: skip
        self._instance.faults.refuse_logins(number, text, state, cls, times, user, databases)

    async def accept_logins(self) -> None:
        self._instance.faults.accept_logins()

    async def delay_logins(self, seconds: float, times: Optional[int] = None) -> None:
        self._instance.faults.delay_logins(seconds, times)

    async def lose_reply(self, match: str, times: int = 1) -> None:
        self._instance.faults.lose_reply(match, times)

    async def slow_network(self, bytes_per_second: Optional[int] = None, latency: float = 0.0) -> None:
        self._instance.faults.slow_network(bytes_per_second, latency)

    async def clear_wire_faults(self) -> None:
        self._instance.faults.clear()
        await self._instance.listener.open()

    async def refuse_connections(self, seconds: Optional[float] = None) -> None:
        """The port is closed; with `seconds`, it opens again by itself."""
        await self._instance.listener.close()
        if seconds is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(float(seconds), lambda: loop.create_task(self._instance.listener.open()))

    async def accept_connections(self) -> None:
        await self._instance.listener.open()

    async def sessions(self) -> dict[str, Any]:
        return {"sessions": self._instance.listener.sessions()}

    async def drop_session(self, spid: Optional[int] = None, running: Optional[str] = None, user: Optional[str] = None,
                           app: Optional[str] = None, wait: float = 0.0) -> dict[str, Any]:  # fmt: skip
        """Drops the sessions that match everything given; waits until there is one."""
        if spid is None and running is None and user is None and app is None:
            raise ConfigError("say which session: spid, running, user or app")
        pattern = re.compile(running, re.I | re.S) if running is not None else None
        end = asyncio.get_running_loop().time() + float(wait)
        while True:
            dropped = []
            for connection in list(self._instance.listener.connections):
                told = connection.describe()
                if (
                    (spid is None or told["spid"] == spid)
                    and (pattern is None or pattern.search(told["running"]))
                    and (user is None or told["login"].lower() == user.lower())
                    and (app is None or told["app"].lower() == app.lower())
                ):
                    connection.drop()
                    dropped.append(told["spid"])
            if dropped or asyncio.get_running_loop().time() >= end:
                return {"dropped": dropped}
            await asyncio.sleep(0.01)

    async def drop_all_sessions(self) -> dict[str, Any]:
        return {"dropped": self._instance.listener.drop()}

    async def restart(self, phases: Optional[list[dict[str, Any]]] = None, crash: bool = False, wait: bool = True) -> None:
        await self._instance.restart(phases, crash, wait)

    async def stop(self, crash: bool = False) -> None:
        """Stops the instance; `start` brings it back on the same port."""
        await self._instance.stop(crash)

    async def start(self) -> None:
        if self._instance.server is not None:
            raise ConfigError("the instance runs")
        await self._instance.restart()


class Control:
    """A blocking client of the control port, for tests: control.do("restart", crash=True). Each thread has a connection of its own: a
    command that waits holds nobody else up, and nobody reads another's answer."""

    def __init__(self, host: str, port: int, timeout: float = 120.0) -> None:
        self.address, self._timeout = (host, port), timeout
        self._own = threading.local()
        self._lock = threading.Lock()
        self._open: list[Any] = []
        self._connection()

    def _connection(self) -> tuple[socket.socket, Any]:
        if not hasattr(self._own, "pair"):
            made = socket.create_connection(self.address, self._timeout)
            self._own.pair = (made, made.makefile("rb"))
            with self._lock:
                self._open += [self._own.pair[1], made]
        return self._own.pair

    def do(self, name: str, /, **args: Any) -> dict[str, Any]:
        """The answer; raises RuntimeError when it is not ok."""
        connection, answers = self._connection()
        connection.sendall(json.dumps({"do": name, **args}).encode() + b"\n")
        line = answers.readline()
        if not line:
            raise RuntimeError("the control port closed the connection")
        answer = json.loads(line)
        if not answer.pop("ok"):
            raise RuntimeError(answer["error"])
        return answer

    def close(self) -> None:
        with self._lock:
            for each in self._open:
                each.close()
            self._open.clear()

    def __enter__(self) -> "Control":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
