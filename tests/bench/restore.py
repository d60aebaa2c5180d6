# SPDX-License-Identifier: Apache-2.0
"""A restore of many small logs: what it takes on top of the server's own time, and how soon the first RESTORE is issued.

The same statements are run by a plain client on files that are there already: the difference is ours.
"""

import os
import subprocess
import time
from pathlib import Path

import storecheck
from fixtures import history as past
from fixtures.restore import Restore
from fixtures.sidecar import Sidecar
from fixtures.sqlsim import Sim

from bench import kit


def _plain(server: Sim, manifests: list[dict], folder: Path) -> float:
    """The server's own time: the files are decoded before the clock starts."""
    folder.mkdir()
    files = [(m["kind"], storecheck.fetch(m, folder)[0]) for m in manifests]
    with server.connect(timeout=120.0) as client:
        began = time.monotonic()
        for kind, path in files:
            move = ""
            if kind == "full":
                move = ", " + ", ".join(f"MOVE N'{f['logicalName']}' TO N'{server.data}/plain_{f['logicalName']}'" for f in manifests[0]["files"])
            what = "LOG" if kind == "log" else "DATABASE"
            client.query(f"RESTORE {what} plain FROM DISK = N'{path}' WITH FILE = 1, NORECOVERY, CHECKSUM, STATS = 2{move}")
        client.query("RESTORE DATABASE plain WITH RECOVERY")
        return time.monotonic() - began


def run(build: Path, folder: Path) -> None:
    count = int(os.environ.get("BENCH_LOGS", "300"))
    kit.title("backups from a store into staging, beside zstd -d | cp")
    subprocess.run([str(build / "tests/bench/bench_restore"), os.environ.get("BENCH_SHIP_MIB", "256"), "1000", str(folder)], check=True)
    kit.title(f"a restore of {count} small logs")
    source, target = Sim(folder / "source").start(), Sim(folder / "target").start()
    sidecars: list[Sidecar] = []

    def make(sim: Sim, name: str, **config: object) -> Sidecar:
        sidecars.append(Sidecar(folder / name, sim.port, sim.password, **config))
        return sidecars[-1].start()

    try:
        (made,) = past.protect(make, source, "db1")
        with source.connect("db1", timeout=120.0) as client:
            for number in range(count):
                client.query(f"INSERT INTO marks VALUES ({number}, SYSUTCDATETIME())")
                made.backup("log")
        past.end(made)
        sets = storecheck.newest_plan(made.manifests(), "db1")
        plain = _plain(target, sets, folder / "plain")
        began = time.monotonic()
        done = Restore(target, made.sidecar.store, folder).run("--to", "latest", "-d", "db1", seconds=600)
        whole = time.monotonic() - began
        phases = done.database["phases"]
        logs = done.database["setsApplied"] - 1
        ours = (phases["recoveredMs"] - phases["firstStatementMs"]) / 1000 - plain
        kit.table(
            ["", "ms"],
            [
                ["from request to first RESTORE", float(phases["firstStatementMs"])],
                ["all statements and what is between them", float(phases["recoveredMs"] - phases["firstStatementMs"])],
                ["the same statements by a plain client", plain * 1000],
                [f"on top of it, per log (of {logs})", ours * 1000 / max(1, logs)],
                ["the program from start to end", whole * 1000],
            ],
        )
    finally:
        for sidecar in sidecars:
            sidecar.kill()
        source.kill()
        target.kill()
