# SPDX-License-Identifier: Apache-2.0
"""100 databases with log backups every 10 s, half of them quiet."""

import re
import threading
import time
from pathlib import Path

from fixtures.sidecar import Sidecar
from fixtures.sqlsim import Sim

from bench import kit

DATABASES, SECONDS, EVERY = 100, 60, 5.0


def _results(sidecar: Sidecar) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, value in sidecar.metrics().items():
        if name.startswith("mssql_sidecar_backups_total{") and 'kind="log"' in name:
            result = re.search(r'result="(\w+)"', name)[1]
            found[result] = found.get(result, 0.0) + value
    return found


def _history(sim: Sim) -> int:
    return sim.query("SELECT COUNT(*) FROM msdb.dbo.backupset").sets[0].rows[0][0]


def _write(sim: Sim, names: list[str], stop: threading.Event) -> None:
    with sim.connect(timeout=120.0) as client:
        while not stop.is_set():
            begin = time.monotonic()
            for name in names:
                client.query(f"INSERT INTO {name}.dbo.t (id) VALUES (1)")
            stop.wait(max(0.0, EVERY - (time.monotonic() - begin)))


def run(build: Path, folder: Path) -> None:
    kit.title(f"{DATABASES} databases, logs every 10 s, half of them quiet, {SECONDS} s")
    sim = Sim(folder / "sql").start()
    policy = {"logBackup": {"interval": "10s"}, "maxConcurrentBackups": 4}
    sidecar = Sidecar(folder / "sidecar", sim.port, sim.password, policy=policy)
    stop = threading.Event()
    names = [f"db{n:03}" for n in range(DATABASES)]
    writer = threading.Thread(target=_write, args=(sim, names[::2], stop))
    try:
        for name in names:
            sim.query(f"CREATE DATABASE {name}")
            sim.query("CREATE TABLE t (id int)", database=name)
        sidecar.start()
        sidecar.wait_until("full backups of all", lambda s: all(d.get("lastFullAt") for d in s.status()["databases"] if d["name"] in names), 240)
        writer.start()
        results, history, cpu, server = _results(sidecar), _history(sim), kit.cpu_seconds(sidecar.process.pid), kit.cpu_seconds(sim.pid)
        begin = time.monotonic()
        time.sleep(SECONDS)
        seconds = time.monotonic() - begin
        cpu, server = kit.cpu_seconds(sidecar.process.pid) - cpu, kit.cpu_seconds(sim.pid) - server
        after = _results(sidecar)
        memory = kit.memory_mib(sidecar.process.pid)
        rows = [[f"log backups {k}", f"{v - results.get(k, 0):.0f}"] for k, v in sorted(after.items())]
        rows += [["rows in msdb.dbo.backupset", _history(sim) - history], ["sidecar, % of a core", 100 * cpu / seconds],
                 ["simulator, % of a core", 100 * server / seconds], ["sidecar RSS MiB", memory["VmRSS"]], ["of it anonymous MiB", memory["RssAnon"]]]  # fmt: skip
        kit.table([f"in {seconds:.0f} s", ""], rows)
    finally:
        stop.set()
        if writer.ident:
            writer.join(60)
        sidecar.kill()
        sim.kill()
