# SPDX-License-Identifier: Apache-2.0
"""One simulated SQL Server: the engine, its port, and how both start, stop and restart together."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from typing import Any, Callable, Optional

from sqlsim.tds import tls
from sqlsim.tds.connection import Setup
from sqlsim.tds.faults import WireFaults
from sqlsim.tds.listener import Listener

BUILDS = {14: (14, 0, 3490, 10), 15: (15, 0, 4430, 1), 16: (16, 0, 4236, 2), 17: (17, 0, 1000, 7)}
YEARS = {14: "2017", 15: "2019", 16: "2022", 17: "2025"}
READY_LINES = ("SQL Server is now ready for client connections", "Recovery is complete")
ENCRYPTION_MODES = ("off", "on", "required", "not-supported", "strict")


class ConfigError(Exception):
    """What was asked for cannot be; the text says why."""


@dataclass
class InstanceConfig:
    """The names are those of the flags and of the objects in a --config file."""

    data: str = ""
    name: str = ""
    listen: str = "127.0.0.1:0"
    sa_password: str = ""
    version: str = "16"
    edition: str = "Developer Edition (64-bit)"
    encryption: str = "off"
    cert: str = ""
    key: str = ""
    timezone: str = "UTC"
    collation: str = "SQL_Latin1_General_CP1_CI_AS"
    backup_dir: str = ""

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "InstanceConfig":
        known = {f.name for f in fields(cls)}
        cleaned = {key.replace("-", "_"): value for key, value in values.items()}
        if unknown := sorted(set(cleaned) - known):
            raise ConfigError(f"unknown instance key {unknown[0]!r}; known are {', '.join(sorted(known))}")
        return cls(**{key: str(value) for key, value in cleaned.items()})

    def check(self) -> None:
        if not self.data:
            raise ConfigError("an instance needs a data folder")
        if self.encryption not in ENCRYPTION_MODES:
            raise ConfigError(f"encryption {self.encryption!r} is not one of {', '.join(ENCRYPTION_MODES)}")
        if bool(self.cert) != bool(self.key):
            raise ConfigError("a certificate needs its key, and a key its certificate")
        for path in filter(None, (self.cert, self.key)):
            if not os.access(path, os.R_OK):
                raise ConfigError(f"{path} cannot be read")
        parse_version(self.version)
        split_address(self.listen)


def parse_version(text: str) -> tuple[int, int, int, int]:
    """'16' or '16.0.4236.2'."""
    try:
        numbers = [int(part) for part in str(text).split(".")]
    except ValueError:
        numbers = []
    if len(numbers) == 1 and numbers[0] in BUILDS:
        return BUILDS[numbers[0]]
    if len(numbers) == 4 and numbers[0] in BUILDS:
        return numbers[0], numbers[1], numbers[2], numbers[3]
    raise ConfigError(f"version {text!r} is not one of 14, 15, 16, 17 or four numbers like 16.0.4236.2")


def split_address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"address {text!r} is not HOST:PORT")
    return host.strip("[]") or "0.0.0.0", int(port)


def default_engine(config: InstanceConfig) -> Any:
    from sqlsim.engine.server import Server  # late: the wire can be used with another engine

    return Server(
        config.name,
        config.data,
        version=parse_version(config.version),
        edition=config.edition,
        sa_password=config.sa_password,
        collation=config.collation,
        timezone=config.timezone,
        backup_dir=config.backup_dir or None,
    )


class Instance:
    """All methods run on the network loop."""

    def __init__(self, config: InstanceConfig, engine: Callable[[InstanceConfig], Any] = default_engine) -> None:
        config.name = config.name or socket.gethostname()
        config.check()
        self.config = config
        self.faults = WireFaults()
        self.certificate = ""
        self.server: Any = None
        self.phase = "stopped"
        self.on_stopped: Callable[[], None] = lambda: None  # after a SHUTDOWN statement
        self._make_engine = engine
        self._setup: Optional[Setup] = None
        self._listener: Optional[Listener] = None
        self._restart: Optional[asyncio.Task] = None
        self._lock = asyncio.Lock()  # one start, stop or restart at a time
        self._loop: Optional[asyncio.AbstractEventLoop] = None

    @property
    def listener(self) -> Listener:
        if self._listener is None:
            raise ConfigError("the instance was not started")
        return self._listener

    @property
    def setup(self) -> Setup:
        if self._setup is None:
            raise ConfigError("the instance was not started")
        return self._setup

    @property
    def port(self) -> int:
        return self.listener.port

    def log(self, text: str, source: str = "Server") -> None:
        """A line of the errorlog, which SQL Server in a container also writes to its standard output."""
        now = datetime.now(timezone.utc)
        print(f"{now:%Y-%m-%d %H:%M:%S}.{now.microsecond // 10000:02d} {source:<11} {text}", flush=True)

    async def start(self) -> None:
        async with self._lock:
            self._loop = asyncio.get_running_loop()
            os.makedirs(self.config.data, exist_ok=True)
            await self._start_engine()
            context = strict = None
            if self.config.encryption != "not-supported":
                context, strict = await self._loop.run_in_executor(None, self._tls)
            self._setup = Setup(self.server, self.config.encryption, context, strict, self.faults)
            self._listener = Listener(self._setup, *split_address(self.config.listen))
            await self._listener.open()
            self._ready()

    def _tls(self) -> tuple[Any, Any]:
        cert, key = self.config.cert, self.config.key
        if not cert:
            cert, key = tls.make_certificate(os.path.join(self.config.data, "tls"))
        self.certificate = cert
        return tls.server_context(cert, key), tls.server_context(cert, key, strict=True)

    async def _start_engine(self) -> None:
        version = parse_version(self.config.version)
        shown = ".".join(str(n) for n in version)
        self.log(f"Microsoft SQL Server {YEARS[version[0]]} - {shown} (X64) {self.config.edition} on Linux (simulated)")
        self.log(f"Server name is '{self.config.name}'. This is an informational message only. No user action is required.")
        loop = asyncio.get_running_loop()

        def make() -> Any:
            server = self._make_engine(self.config)
            server.on_shutdown = self._shutdown_statement
            self._copy_errorlog(server)
            server.start()
            return server

        self.server = await loop.run_in_executor(None, make)

    def _copy_errorlog(self, server: Any) -> None:
        """What the engine writes to its errorlog also goes to standard output; but a start is over when the port is open."""
        inner = getattr(server, "errorlog", None)
        if inner is None:
            return

        def errorlog(text: str) -> None:
            inner(text)
            if self.phase == "ready" or not text.startswith(READY_LINES):
                self.log(text, "spid1s")

        server.errorlog = errorlog

    def _shutdown_statement(self) -> None:
        """SHUTDOWN ran in a session: any thread."""
        if self._loop is not None:
            asyncio.run_coroutine_threadsafe(self._stop_by_statement(), self._loop)

    async def _stop_by_statement(self) -> None:
        await self.stop()
        self.on_stopped()

    def _ready(self) -> None:
        self.phase = "ready"
        self.log(f"Server is listening on [ {self.listener.host} <ipv4> {self.port}] accept sockets 1.")
        self.log(f"{READY_LINES[0]}. This is an informational message; no user action is required.")
        self.log(f"{READY_LINES[1]}. This is an informational message only. No user action is required.", "spid10s")

    async def stop(self, crash: bool = False) -> None:
        """As SIGTERM does it: running backups are aborted, sessions hear 6005. `crash` asks nobody."""
        async with self._lock:
            await self._stop(crash)

    async def _stop(self, crash: bool) -> None:
        if self._listener is None or self.server is None:
            return
        self.phase = "stopping"
        if crash:
            await self.listener.close()
            self.listener.drop()
        else:
            await self.listener.shut_down()
        if not await self.listener.wait_workers(20.0):
            self.log("a session's thread did not end; going on without it")
        server, self.server = self.server, None
        if getattr(server, "running", True):
            end = getattr(server, "crash", server.stop) if crash else server.stop
            await asyncio.get_running_loop().run_in_executor(None, end)
        self.phase = "stopped"

    async def restart(self, phases: Optional[list[dict[str, Any]]] = None, crash: bool = False, wait: bool = True) -> None:
        """Stops and starts again, with what clients see of a start in between."""
        if self._restart is not None and not self._restart.done():
            raise ConfigError("a restart is under way")
        steps = [check_phase(p) for p in (phases or [])]
        self._restart = asyncio.create_task(self._run_restart(steps, crash))
        if wait:
            await self._restart

    async def _run_restart(self, steps: list[dict[str, Any]], crash: bool) -> None:
        async with self._lock:
            await self._stop(crash)
            for step in [s for s in steps if s["phase"] == "refused"]:
                self.phase = "refused"
                await asyncio.sleep(step["seconds"])
            await self._start_engine()
            self.setup.server = self.server
            await self.listener.open()
            for step in [s for s in steps if s["phase"] != "refused"]:
                await self._run_phase(step)
            self._ready()

    async def _run_phase(self, step: dict[str, Any]) -> None:
        self.phase = step["phase"]
        if self.phase == "login_failed":
            self.faults.refuse_logins(18456)
        elif self.phase == "script_upgrade":
            self.faults.refuse_logins(18401)
        else:
            self.faults.refuse_databases(step.get("databases"))
        try:
            await asyncio.sleep(step["seconds"])
        finally:
            self.faults.accept_logins()


PHASES = ("refused", "login_failed", "script_upgrade", "recovering")


def check_phase(step: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(step, dict) or step.get("phase") not in PHASES:
        raise ConfigError(f"a phase is one of {', '.join(PHASES)}")
    seconds = step.get("seconds", 1)
    if not isinstance(seconds, (int, float)) or seconds < 0:
        raise ConfigError("the seconds of a phase are a number")
    return {**step, "seconds": float(seconds)}


def print_error(text: str) -> None:
    print(f"sqlsim: {text}", file=sys.stderr, flush=True)
