# SPDX-License-Identifier: Apache-2.0
"""A log backup of 1 MiB, from due to committed, by phase; what SQL Server itself takes is the phase "take"."""

import re
from pathlib import Path

from fixtures.sidecar import Sidecar
from fixtures.sqlsim import Sim

from bench import kit

ROUNDS = 20
ROW = 4000


def _phases(sidecar: Sidecar) -> dict[str, tuple[float, float]]:
    """Sum and count of each phase, and of the whole ("")."""
    found: dict[str, list[float]] = {}
    for name, value in sidecar.metrics().items():
        match = re.match(r"mssql_sidecar_backup_(phase|duration)_seconds_(sum|count)\{(.*)\}$", name)
        if not match or 'kind="log"' not in match[3]:
            continue
        phase = re.search(r'phase="(\w+)"', match[3])
        found.setdefault(phase[1] if phase else "", [0.0, 0.0])[match[2] == "count"] = value
    return {k: (v[0], v[1]) for k, v in found.items()}


def run(build: Path, folder: Path) -> None:
    kit.title("a log backup of 1 MiB, from due to committed")
    sim = Sim(folder / "sql").start()
    sidecar = Sidecar(folder / "sidecar", sim.port, sim.password, policy={"logBackup": {"interval": "1h"}, "maxQuiet": "1d"})
    try:
        sim.query("CREATE DATABASE db1")
        sim.query("CREATE TABLE t (v varchar(8000))", database="db1")
        sidecar.start()
        sidecar.wait_full("db1")
        sidecar.force("db1")
        before = _phases(sidecar)
        with sim.connect("db1", timeout=120.0) as client:
            for _ in range(ROUNDS):
                for _ in range((1 << 20) // ROW // 16):
                    client.query("INSERT INTO t (v) VALUES " + ", ".join([f"('{'x' * ROW}')"] * 16))
                sidecar.force("db1")
        after = _phases(sidecar)
        raw = [v for k, v in sidecar.metrics().items() if k.startswith("mssql_sidecar_backup_bytes_total") and 'kind="log"' in k and 'stage="raw"' in k]
        means = {k: 1000 * (s - before.get(k, (0, 0))[0]) / max(1, c - before.get(k, (0, 0))[1]) for k, (s, c) in after.items()}
        order = ["decide", "take", "sync", "inspect", "ship", "commit"]
        rows = [[p + (" (SQL Server)" if p == "take" else ""), means.pop(p)] for p in order if p in means]
        total = means.pop("", 0.0)
        rows += [[p, v] for p, v in means.items()]
        rows += [["from start to commit", total], ["on top of SQL Server", total - next((r[1] for r in rows if r[0].startswith("take")), 0.0)]]
        kit.table([f"mean of {ROUNDS}", "ms"], rows)
        print(f"{sum(raw) / kit.MIB / (ROUNDS + 1):.2f} MiB of media each; budget: 50 ms on top of SQL Server's own time")
        sidecar.stop()
    finally:
        sidecar.kill()
        sim.kill()
