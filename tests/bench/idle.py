# SPDX-License-Identifier: Apache-2.0
"""The sidecar when nothing is due: 20 databases, a catalog of a month of log backups every five minutes."""

import subprocess
import time
from pathlib import Path

from fixtures.sidecar import Sidecar
from fixtures.sqlsim import Sim

from bench import kit

DATABASES, SETS, SETTLE, SECONDS = 20, 172_800, 15, 60


def _row(what: str, sidecar: Sidecar, group: object) -> list:
    memory = kit.memory_mib(sidecar.process.pid)
    return [what, memory["VmRSS"], memory["RssAnon"], memory["RssFile"], memory["VmHWM"], group.current_mib() if group else "-"]


def _settle(sidecar: Sidecar, databases: list[str]) -> None:
    sidecar.wait_until("full and log backups of all", lambda s: all(s.database(d).get("lastLogAt") for d in databases), 180)
    sidecar.wait_shipped(120)


def run(build: Path, folder: Path) -> None:
    kit.title(f"idle sidecar, {DATABASES} databases, {SETS} sets")
    sim = Sim(folder / "sql").start()
    policy = {"logBackup": {"interval": "10s"}, "maxQuiet": "1d", "maxConcurrentBackups": 4}
    sidecar = Sidecar(folder / "sidecar", sim.port, sim.password, policy=policy)
    try:
        names = [f"db{n:02}" for n in range(DATABASES)]
        for name in names:
            sim.query(f"CREATE DATABASE {name}")
        sidecar.start()
        for name in names:
            sidecar.wait_full(name, 180)
            sim.query("CREATE TABLE t (id int)", database=name)
        _settle(sidecar, names)
        rows = [_row("after the first backups", sidecar, None)]
        sidecar.stop()
        command = [str(build / "tests" / "bench" / "catalog_grow"), str(sidecar.state / "catalog"), str(sidecar.store), "tests/sql", str(SETS)]
        subprocess.run(command, check=True)
        sidecar.config["policy"]["logBackup"]["interval"] = "5m"
        with kit.group("idle") as group:
            if group is None:
                sidecar.start()
            else:
                with group.inside():
                    sidecar.start()
            sidecar.wait_until("all databases to be known", lambda s: len(s.status()["databases"]) >= DATABASES)
            time.sleep(SETTLE)  # the store is listed, the databases are looked at
            cpu = kit.run_seconds(sidecar.process.pid)
            time.sleep(SECONDS)
            cpu = kit.run_seconds(sidecar.process.pid) - cpu
            rows.append(_row("after a start with the catalog", sidecar, group))
            states = {d["name"]: d.get("chainState") for d in sidecar.status()["databases"]}
            sidecar.stop()
        kit.table(["", "RSS MiB", "anonymous MiB", "file MiB", "peak RSS MiB", "cgroup MiB"], rows)
        print(f"processor: {100 * cpu / SECONDS:.3f} % of a core over {SECONDS} s; chains: {', '.join(sorted(set(map(str, states.values()))))}")
        print("budget: 24 MiB resident with shared libraries, 6 MiB anonymous, 0.1 % of a core")
    finally:
        sidecar.kill()
        sim.kill()
