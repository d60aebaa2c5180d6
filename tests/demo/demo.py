# SPDX-License-Identifier: Apache-2.0
"""The main job on a terminal: a workload writes, a sidecar keeps the log chain in a store, somebody breaks it and it heals, the sidecar
is killed in the middle of shipping, a copy of the store alone gives every acknowledged row back, and at the end somebody destroys the
database and it is restored to the second before.

Runs on the simulated SQL Server of tests/sqlsim. With MSSQL_HOST (and MSSQL_PORT, MSSQL_USER, MSSQL_PASSWORD, MSSQL_STAGING: a directory that
the server and this machine share) it runs on a real one, in databases of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "demo")]

import storecheck  # noqa: E402
from server import Server, open_server  # noqa: E402
from sqlsim.workload import read_numbers  # noqa: E402

BOLD, DIM, GREEN, RED, OFF = ("\033[1m", "\033[2m", "\033[32m", "\033[31m", "\033[0m") if sys.stdout.isatty() else ("",) * 5
DATABASE = "demo_orders"


def say(text: str) -> None:
    print(f"\n{BOLD}== {text}{OFF}", flush=True)


def note(text: str) -> None:
    print(f"   {text}", flush=True)


def wait(what: str, condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise SystemExit(f"{RED}waited {seconds:.0f} s for {what}{OFF}")
        time.sleep(0.1)
    return value


class Demo:
    def __init__(self, build: Path, folder: Path) -> None:
        self.build, self.folder = build, folder
        self.server: Server = open_server(folder)
        # on another volume than the data, where there is one, as it should be
        other = Path("/dev/shm")
        self.store = Path(tempfile.mkdtemp(prefix="mssql-demo-store-", dir=other if os.access(other, os.W_OK) else folder))
        self.state = folder / "state"
        self.socket = folder / "sidecar.sock"
        self.http = self.server.free_port()
        self.log = folder / "sidecar.log"
        self.sidecar: subprocess.Popen | None = None
        self.workload: subprocess.Popen | None = None
        self.acks = folder / "acknowledged"

    # ---- parts ----

    def configure(self) -> None:
        for d in (self.store, self.state):
            d.mkdir(parents=True, exist_ok=True)
        (self.folder / "password").write_text(self.server.password)
        (self.folder / "sidecar.yaml").write_text(
            f"""sql:
  host: {self.server.host}
  port: {self.server.port}
  user: {self.server.user}
  passwordFile: {self.folder}/password
identity:
  namespace: demo
  instance: sql
paths:
  staging: {self.server.staging}
  state: {self.state}
store:
  url: file://{self.store}
grpc:
  listen: unix://{self.socket}
http:
  listen: 127.0.0.1:{self.http}
log:
  level: info
policy:
  allDatabases: false
  databases: [{DATABASE}]
  systemDatabases: false
  logBackup:
    interval: 10s
  jitter: 0s
"""
        )

    def start_sidecar(self, fault: str = "") -> None:
        env = {**os.environ, **({"MSSQL_FAULT": fault} if fault else {})}
        with open(self.log, "ab") as log:
            self.sidecar = subprocess.Popen(
                [str(self.build / "sidecar/mssql-sidecar"), "--config", str(self.folder / "sidecar.yaml")], stdout=log, stderr=log, env=env
            )
        wait("the sidecar", lambda: self.socket.exists() and self.ctl("version", quiet=True) == 0)

    def ctl(self, *arguments: str, quiet: bool = False) -> int:
        command = [str(self.build / "cli/mssqlctl"), "--address", f"unix://{self.socket}", *arguments]
        if not quiet:
            print(f"{DIM}$ mssqlctl {' '.join(arguments)}{OFF}", flush=True)
        sink = subprocess.DEVNULL if quiet else None
        return subprocess.run(command, stdout=sink, stderr=sink).returncode

    def start_workload(self) -> None:
        self.workload = self.server.start_workload(DATABASE, self.acks, rate=40)
        wait("the first rows", lambda: self.acked() > 20)

    def acked(self) -> int:
        return len(read_numbers(str(self.acks)))

    def manifests(self) -> int:
        return len(list(self.store.glob("*/*/*/*/*.json")))

    def log_has(self, text: str) -> bool:
        return text in self.log.read_text(errors="replace")

    def wait_backups(self, more: int) -> None:
        want = self.manifests() + more
        wait("backups in the store", lambda: self.manifests() >= want, 90)

    # ---- acts ----

    def act_protect(self) -> None:
        say(f"A workload writes to {DATABASE}, and a sidecar starts beside the server")
        self.server.create_database(DATABASE)
        self.start_workload()
        self.configure()
        self.start_sidecar()
        self.wait_backups(2)
        note(f"{self.acked()} rows acknowledged so far; a full and the first log are in the store")
        self.ctl("status")

    def act_on_demand(self) -> None:
        say("A differential on demand")
        self.ctl("backup", "now", "--kind", "diff", "--reason", "demo", DATABASE)

    def act_foreign(self) -> None:
        say("Somebody takes a log backup of their own: our chain has a hole, and heals by itself")
        self.server.foreign_log(DATABASE)
        wait("the hole to be seen", lambda: self.log_has("hole in the log chain"), 60)
        wait("the chain to be healed", lambda: self.log_has("trigger=healing"), 60)
        self.wait_backups(1)
        self.ctl("chain", DATABASE)

    def act_kill(self) -> None:
        say("kill -9 in the middle of shipping a log: the staged file is the only copy of those commits")
        self.sidecar.send_signal(signal.SIGTERM)
        self.sidecar.wait(30)
        pause = self.folder / "in-the-middle"
        self.start_sidecar(fault=f"store.object.rename:before:pause:{pause}")
        wait("a backup on its way into the store", pause.exists, 60)
        self.sidecar.kill()
        self.sidecar.wait()
        staged = sorted(p.name for p in Path(self.server.staging).iterdir() if not p.name.startswith("."))
        note(f"killed; in staging: {', '.join(staged)}")
        before = self.manifests()
        self.start_sidecar()
        wait("the staged backup to be in the store", lambda: self.manifests() > before, 60)
        note("started again: the journal knew the file, and it is in the store now")

    def act_end(self) -> None:
        say("The server's container is about to stop: the last log is taken and shipped")
        self.workload.send_signal(signal.SIGTERM)
        self.workload.wait(30)
        note(self.server.fetch(f"http://127.0.0.1:{self.http}/prestop").strip())
        self.ctl("status")
        self.ctl("backups", DATABASE)
        say("What Prometheus sees (some of it)")
        text = self.server.fetch(f"http://127.0.0.1:{self.http}/metrics")
        wanted = ("backups_total", "chain_gaps_total", "recoverable_", "oldest_unshipped", "chain_state{", "backup_bytes_total")
        for line in text.splitlines():
            if not line.startswith("#") and any(w in line for w in wanted) and f"_{'overflow'}" not in line:
                note(line)
        self.sidecar.send_signal(signal.SIGTERM)
        code = self.sidecar.wait(60)
        note(f"the sidecar ended with exit code {code}")

    def act_prove(self) -> None:
        say("The proof: a copy of the store alone, restored by another server with nothing but zstd and RESTORE")
        copy = self.folder / "copy"
        shutil.copytree(self.store, copy)
        plan = storecheck.newest_plan(storecheck.manifests(copy), DATABASE)
        note("plan: " + ", ".join(storecheck.kind(m) for m in plan))
        target = self.server.open_target(self.folder)
        storecheck.restore(target, plan, f"{DATABASE}_check", Path(target.staging), Path(target.data))
        restored = set(target.numbers(f"{DATABASE}_check"))
        acknowledged = set(read_numbers(str(self.acks)))
        missing = sorted(acknowledged - restored)
        note(f"{len(acknowledged)} rows were acknowledged, {len(restored)} rows are there, {len(missing)} are missing")
        if missing:
            raise SystemExit(f"{RED}LOST: {missing[:20]}{OFF}")
        print(f"\n{GREEN}{BOLD}Nothing was lost.{OFF}")

    def write_markers(self, seconds: float) -> list[tuple[int, str, str]]:
        """One row per commit, for so long: its number, and the server's clock before and after it."""
        found, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            n = len(found) + 1
            before = self.server.now()
            self.server.query(f"INSERT INTO [{DATABASE}].dbo.markers VALUES ({n})")
            found.append((n, before, self.server.now()))
            time.sleep(0.05)
        return found

    def act_destroy(self) -> None:
        say("Somebody runs a DELETE without WHERE, and drops a table")
        self.start_sidecar()
        wait("the sidecar to see server and store", lambda: self.ready())
        self.server.query(f"CREATE TABLE [{DATABASE}].dbo.markers (n int)")
        markers = self.write_markers(3)
        self.server.query(f"USE [{DATABASE}]; DELETE FROM dbo.workload; DROP TABLE dbo.archive")
        late = self.write_markers_after(len(markers))
        rows = len(self.server.numbers(DATABASE))
        note(f"{rows} rows are left; {len(markers)} markers were committed before, {late} after it")

        say("Back to the second before, in place: the tail of the log is taken first, so nothing is thrown away")
        # between two commits, about a second before the end: exactly those up to it must be there
        at = next(i for i in range(len(markers) - 1, 0, -1) if markers[i][2] < self.server.earlier(markers[-1][2], 1.0))
        target = self.server.between(markers[at][2], markers[at + 1][1])
        self.ctl("restore", DATABASE, "--to", target, "--dry-run")
        if self.ctl("restore", DATABASE, "--to", target, "--reason", "DELETE without WHERE") != 0:
            raise SystemExit(f"{RED}the restore failed{OFF}")
        there = sorted(int(row["n"]) for row in self.server.query(f"SELECT n FROM [{DATABASE}].dbo.markers").dicts())
        wanted = [n for n, _, _ in markers[: at + 1]]
        rows, acknowledged = set(self.server.numbers(DATABASE)), set(read_numbers(str(self.acks)))
        note(f"markers up to {wanted[-1]} were committed by {target}; the database has those up to {there[-1] if there else 'none'}")
        if there != wanted or acknowledged - rows:
            raise SystemExit(f"{RED}WRONG: markers {there} instead of {wanted}, {len(acknowledged - rows)} rows are missing{OFF}")
        wait("the first full of the restored database", lambda: self.log_has("restored database has its first full backup"), 60)
        note("and a full backup of it was taken at once")
        self.ctl("restores")
        self.sidecar.send_signal(signal.SIGTERM)
        self.sidecar.wait(60)
        print(f"\n{GREEN}{BOLD}Exact to the commit.{OFF}")

    def write_markers_after(self, count: int) -> int:
        for n in range(1, 6):
            self.server.query(f"INSERT INTO [{DATABASE}].dbo.markers VALUES ({count + n})")
        return 5

    def ready(self) -> bool:
        status = json.loads(self.server.fetch(f"http://127.0.0.1:{self.http}/status"))
        return any(c["type"] == "Ready" and c["status"] == "True" for c in status["conditions"])

    def run(self) -> None:
        begin = time.monotonic()
        try:
            self.act_protect()
            self.act_on_demand()
            self.act_foreign()
            self.act_kill()
            self.act_end()
            self.act_prove()
            self.act_destroy()
        except BaseException:
            print(f"\nlog of the sidecar (end):\n{self.log.read_text(errors='replace')[-3000:]}" if self.log.exists() else "", file=sys.stderr)
            raise
        finally:
            self.close()
        print(f"The demo took {time.monotonic() - begin:.0f} s. Everything was in {self.folder} and is gone now.")

    def close(self) -> None:
        for process in (self.workload, self.sidecar):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        self.server.close()
        shutil.rmtree(self.store, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True, help="folder of the compiled programs")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mssql-demo-", dir="/tmp") as folder:
        Demo(arguments.build, Path(folder)).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
