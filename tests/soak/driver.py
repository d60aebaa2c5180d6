# SPDX-License-Identifier: Apache-2.0
"""Kills the sidecar, the server, or both, at random moments while rows are written and logs are backed up, and proves at the end that a
copy of the store alone has every acknowledged row. What happens when is a function of the seed; what it hits is a matter of luck."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from pathlib import Path
from typing import Any, Callable, Optional

from fixtures.load import Load, check_nothing_lost
from fixtures.sidecar import Sidecar
from fixtures.sidecar_rpc import Rpc
from fixtures.sqlsim import Sim

CONFIG: dict[str, Any] = {
    "limits": {"retryMin": "20ms", "retryMax": "500ms"},
    "staging": {"reserve": "1Mi", "floor": "1Mi"},
    "policy": {"allDatabases": False, "logBackup": {"interval": "10s"}, "fullBackup": {"enabled": False}},
}
VICTIMS = ("sidecar", "sidecar", "sidecar", "server", "both")
KINDS = ("log", "log", "log", "log", "log", "diff", "full")


class Trigger:
    """Asks for backups one after the other, all the time; nobody waits for a schedule."""

    def __init__(self, sidecar: Sidecar, databases: list[str], seed: int) -> None:
        self._sidecar, self._databases = sidecar, databases
        self._random = random.Random(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="trigger", daemon=True)
        self.committed = 0

    def start(self) -> "Trigger":
        self._thread.start()
        return self

    def _run(self) -> None:
        while not self._stop.wait(self._random.uniform(0.0, 0.15)):
            with contextlib.suppress(Exception), Rpc(self._sidecar.target) as rpc:  # whoever answers may die meanwhile
                database, kind = self._random.choice(self._databases), self._random.choice(KINDS)
                self.committed += rpc.state(rpc.backup(database, kind, seconds=10)) == "COMPLETED"

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(60)


class Soak:
    """One server, one sidecar, some databases under load. `kill(n)`, then `prove()`."""

    def __init__(self, folder: Path, seed: int, databases: int = 2, say: Callable[[str], None] = print) -> None:
        self.folder, self.seed, self.say = folder, seed, say
        self.random = random.Random(seed)
        self.source, self.target = Sim(folder / "source"), Sim(folder / "target")
        self.names = [f"soak{n}" for n in range(databases)]
        self.sidecar: Optional[Sidecar] = None
        self.loads: list[Load] = []
        self.trigger: Optional[Trigger] = None
        self.kills = {"sidecar": 0, "server": 0, "both": 0}

    def start(self) -> "Soak":
        self.say(f"seed {self.seed}")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.source.start()
        self.target.start()
        config = {**CONFIG, "policy": {**CONFIG["policy"], "databases": self.names}}
        self.sidecar = Sidecar(self.folder / "sidecar", self.source.port, self.source.password, **config)
        for name in self.names:
            self.source.query(f"CREATE DATABASE [{name}]")
            self.loads.append(Load(self.source, name, self.folder, rate=50).start())
        self.sidecar.start()
        for name in self.names:
            self.sidecar.wait_full(name)
        self.trigger = Trigger(self.sidecar, self.names, self.seed).start()
        return self

    def kill(self, count: int) -> None:
        for number in range(count):
            time.sleep(self.random.uniform(0.05, 2.0))
            victim = self.random.choice(VICTIMS)
            if victim in ("sidecar", "both") and self.sidecar.dead():
                self.sidecar.check_sanitizers()
                raise AssertionError(f"the sidecar ended by itself before kill {number}:\n{self.sidecar.log()[-6000:]}")
            self.kills[victim] += 1
            order = ["sidecar", "server"] if victim == "both" else [victim]
            self.random.shuffle(order)
            for who in order:
                self._kill_one(who)
            for who in reversed(order):
                self._start_one(who)
            self.sidecar.check_sanitizers()

    def _kill_one(self, who: str) -> None:
        if who == "sidecar":
            self.sidecar.kill()
        else:
            self.source.kill()

    def _start_one(self, who: str) -> None:
        if who == "sidecar":
            self.sidecar.start(wait=False)
        else:
            self.source.start()

    def prove(self) -> dict[str, int]:
        """Everything is shipped, the last logs are taken, and a copy of the store is restored. Rows by database."""
        self.trigger.stop()
        for load in self.loads:
            load.wait_more(5)
            self.sidecar.force(load.database, seconds=120)
        self.sidecar.wait_shipped()
        for load in self.loads:
            load.wait_more(5)
            load.stop()
        self.sidecar.drained()
        assert self.sidecar.stop() == 0, self.sidecar.log()[-4000:]
        return {load.database: check_nothing_lost(self.sidecar.store, load, self.target, self.folder) for load in self.loads}

    def close(self) -> None:
        if self.trigger is not None:
            self.trigger.stop()
        for load in self.loads:
            with contextlib.suppress(AssertionError):
                load.stop()
        if self.sidecar is not None:
            self.sidecar.kill()
            self.sidecar.socket.unlink(missing_ok=True)
        for sim in (self.source, self.target):
            sim.kill()

    def __enter__(self) -> "Soak":
        return self.start()

    def __exit__(self, *_: Any) -> None:
        self.close()
