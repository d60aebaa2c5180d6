# SPDX-License-Identifier: Apache-2.0
"""The server of the demo: simulated ones of our own, or a real one that the environment names."""

from __future__ import annotations

import datetime
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from sqlsim.client import Client
from sqlsim.control import Control

TESTS = Path(__file__).resolve().parents[1]


def dicts(reply: Any) -> Any:
    """Rows as dictionaries by column name."""
    names = reply.sets[0].names if reply.sets else []
    return [dict(zip(names, row)) for row in reply.rows]


class Answer:
    def __init__(self, reply: Any) -> None:
        self.reply = reply

    def dicts(self) -> list[dict[str, Any]]:
        return dicts(self.reply)


class Server:
    """What the demo needs of a server. `staging` is where it writes backups, `data` where its files are."""

    def __init__(self, host: str, port: int, user: str, password: str, staging: Path, data: Path) -> None:
        self.host, self.port, self.user, self.password = host, port, user, password
        self.staging, self.data = staging, data
        self.others: list[Server] = []

    # ---- SQL ----

    def query(self, sql: str) -> Answer:
        with Client(self.host, self.port, self.user, self.password, timeout=300.0) as client:
            return Answer(client.query(sql))

    def create_database(self, name: str) -> None:
        self.query(f"IF DB_ID('{name}') IS NOT NULL DROP DATABASE [{name}]")
        self.query(f"CREATE DATABASE [{name}]")
        self.query(f"ALTER DATABASE [{name}] SET RECOVERY FULL")
        # data that does not change, as real databases have it: a differential is then much smaller than a full
        rows = f"INSERT INTO dbo.archive VALUES (N'{'a' * 4000}');" * 400
        self.query(f"USE [{name}]; CREATE TABLE dbo.archive (filling nvarchar(4000)); BEGIN TRAN; {rows} COMMIT")

    def foreign_log(self, name: str) -> None:
        self.query(f"BACKUP LOG [{name}] TO DISK = N'{self.staging}/somebody-elses.trn' WITH INIT, FORMAT, NAME = N'maintenance plan'")

    def now(self) -> str:
        """The server's clock, UTC."""
        return str(self.query("SELECT CONVERT(varchar(27), SYSUTCDATETIME(), 126) AS t").dicts()[0]["t"])[:26]

    @staticmethod
    def earlier(at: str, seconds: float) -> str:
        return (datetime.datetime.fromisoformat(at) - datetime.timedelta(seconds=seconds)).isoformat(timespec="microseconds")

    @staticmethod
    def between(first: str, second: str) -> str:
        """The moment in the middle, as a target."""
        a, b = datetime.datetime.fromisoformat(first), datetime.datetime.fromisoformat(second)
        return (a + (b - a) / 2).isoformat(timespec="milliseconds") + "Z"

    def numbers(self, name: str) -> list[int]:
        return [int(row["seq"]) for row in self.query(f"SELECT seq FROM [{name}].dbo.workload").dicts()]

    def start_workload(self, database: str, acks: Path, rate: float) -> subprocess.Popen:
        command = [
            sys.executable, "-m", "sqlsim.workload", "--server", f"{self.host}:{self.port}", "--user", self.user, "--database", database,
            "--rate", str(rate), "--ack-file", str(acks),
        ]  # fmt: skip
        env = {**os.environ, "PYTHONPATH": str(TESTS), "SQLSIM_PASSWORD": self.password}
        return subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)

    # ---- around it ----

    @staticmethod
    def free_port() -> int:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            return s.getsockname()[1]

    @staticmethod
    def fetch(url: str) -> str:
        with urllib.request.urlopen(url, timeout=120) as answer:
            return answer.read().decode()

    def open_target(self, folder: Path) -> "Server":
        """Where the proof is restored: on a real server, the same one under another name."""
        return self

    def close(self) -> None:
        for other in self.others:
            other.close()


class Simulated(Server):
    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        staging, data = folder / "staging", folder / "data"
        staging.mkdir()
        super().__init__("127.0.0.1", 0, "sa", "Demo-Password-1", staging, data)
        ports = folder / "ports.json"
        with open(folder / "errorlog", "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "sqlsim", "--listen", "127.0.0.1:0", "--data", str(data), "--sa-password", self.password,
                 "--control", "127.0.0.1:0", "--port-file", str(ports)],
                env={**os.environ, "PYTHONPATH": str(TESTS), "PYTHONDONTWRITEBYTECODE": "1"}, stdout=log, stderr=log,
            )  # fmt: skip
        end = time.monotonic() + 60
        while not ports.exists():
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"the simulated SQL Server did not start:\n{(folder / 'errorlog').read_text()[-2000:]}")
            time.sleep(0.02)
        told = json.loads(ports.read_text())
        self.port = told["port"]
        self.control = Control("127.0.0.1", told["control"])

    def open_target(self, folder: Path) -> Server:
        other = Simulated(folder / "target")
        self.others.append(other)
        return other

    def close(self) -> None:
        super().close()
        self.control.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


class Real(Server):
    def close(self) -> None:
        for name in ("demo_orders", "demo_orders_check"):
            self.query(f"IF DB_ID('{name}') IS NOT NULL DROP DATABASE [{name}]")


def open_server(folder: Path) -> Server:
    host = os.environ.get("MSSQL_HOST")
    if not host:
        print("   on the simulated SQL Server (MSSQL_HOST names a real one)")
        return Simulated(folder / "sql")
    staging = os.environ.get("MSSQL_STAGING")
    password = os.environ.get("MSSQL_PASSWORD")
    if not staging or not password:
        raise SystemExit("MSSQL_HOST needs MSSQL_PASSWORD, and MSSQL_STAGING: a directory that has the same path here and for the server")
    user = os.environ.get("MSSQL_USER", "sa")
    return Real(host, int(os.environ.get("MSSQL_PORT", "1433")), user, password, Path(staging), Path(os.environ.get("MSSQL_DATA", "/var/opt/mssql/data")))
