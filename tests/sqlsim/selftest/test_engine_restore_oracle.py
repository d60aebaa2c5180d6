# SPDX-License-Identifier: Apache-2.0
"""Random lives, random orders of RESTORE, and an oracle that knows only what RESTORE HEADERONLY says.

The oracle keeps three things of the target: redo point, differential base and recovery fork. It says which error a statement
gets, or where the database stands after it, and which rows it then has."""

import random

import pytest

from sqlsim.contract import SqlError
from sqlsim.selftest.engine_kit import Kit

MOVES = ["put"] * 6 + ["log"] * 4 + ["full", "diff", "diff", "copy", "copylog", "foreign", "fork"]


class Life:
    """A database db1 with a history, and what it held at the end of each set."""

    def __init__(self, kit, dice):
        self.kit, self.dice = kit, dice
        self.sets, self.rows, self.number = [], {}, 0
        kit.create()
        self.backup("full")
        self.backup("log")

    def backup(self, kind, **options):
        name = f"{len(self.sets)}.{kind}"
        self.kit.backup(kind, "db1", name, CHECKSUM=self.dice.random() < 0.5, **options)
        self.keep(name)

    def keep(self, name):
        head = self.kit.header(name)[0]
        self.sets.append((name, head))
        self.rows[head["RecoveryForkID"], head["LastLSN"]] = self.kit.ids()

    def live(self, turns):
        for _ in range(turns):
            what = self.dice.choice(MOVES)
            if what == "put":
                self.number += 1
                self.kit.put("db1", *range(self.number * 10, self.number * 10 + self.dice.randint(1, 4)), text="x" * self.dice.randint(1, 400))
            elif what in ("log", "full", "diff"):
                self.backup(what)
            elif what == "copy":
                self.backup("full", COPY_ONLY=True)
            elif what == "copylog":
                self.backup("log", COPY_ONLY=True)
            elif what == "foreign":
                path = self.kit.server.faults.foreign_log("db1")
                if self.dice.random() < 0.7:
                    self.keep(path)
            else:
                self.fork()
        self.backup("log")

    def fork(self):
        """Back to some earlier set, in place, and on from there."""
        fulls = [s for s in self.sets if s[1]["BackupType"] == 1]
        name, head = self.dice.choice(fulls)
        redo, fork = head["LastLSN"], head["RecoveryForkID"]
        self.kit.restore("DATABASE", "db1", name, REPLACE=True, NORECOVERY=True)
        for log, other in self.sets:
            if self.dice.random() < 0.15:
                break
            if other["BackupType"] == 2 and other["FirstLSN"] <= redo < other["LastLSN"] and fits(other, redo, fork):
                self.kit.restore("LOG", "db1", log, NORECOVERY=True)
                redo, fork = other["LastLSN"], other["RecoveryForkID"]
        self.kit.recover("db1")


def fits(log, redo, fork):
    """On the same recovery path at the redo point."""
    if log["RecoveryForkID"] == log["FirstRecoveryForkID"]:
        return fork == log["RecoveryForkID"]
    return fork == log["RecoveryForkID"] or (fork == log["FirstRecoveryForkID"] and redo <= log["ForkPointLSN"])


class Oracle:
    def __init__(self, rows):
        self.rows = rows
        self.state, self.redo, self.base, self.fork = "absent", None, None, None

    def full(self, head):
        self.state, self.redo, self.base, self.fork = "restoring", head["LastLSN"], head["BackupSetGUID"], head["RecoveryForkID"]

    def not_ready(self):
        return {"absent": 3118, "online": 3117}.get(self.state)

    def diff(self, head):
        if self.not_ready():
            return self.not_ready()
        if head["DifferentialBaseGUID"] != self.base or head["LastLSN"] < self.redo:
            return 3136
        self.redo, self.fork = head["LastLSN"], head["RecoveryForkID"]
        return None

    def log(self, head):
        if self.not_ready():
            return self.not_ready()
        if head["FirstLSN"] > self.redo:
            return 4305
        if head["LastLSN"] < self.redo:
            return 4326
        if not fits(head, self.redo, self.fork):
            return 4330
        self.redo, self.fork = head["LastLSN"], head["RecoveryForkID"]
        return None

    def recover(self):
        if self.state != "restoring":
            return {"absent": 3118, "online": 3153}[self.state]
        self.state = "online"
        return None


@pytest.mark.parametrize("seed", [1, 2, 3, None])
def test_any_order_of_statements(tmp_path, seed):
    seed = random.randrange(1 << 30) if seed is None else seed
    print("seed", seed)
    dice = random.Random(seed)
    kit = Kit(tmp_path)
    life = Life(kit, dice)
    life.live(60)
    oracle, seen, checked = Oracle(life.rows), set(), 0
    for turn in range(220):
        name, head = dice.choice(life.sets)
        # Mostly what has a chance to fit, sometimes anything.
        if oracle.state == "restoring" and dice.random() < 0.75:
            near = [s for s in life.sets if s[1]["BackupType"] == 5 and s[1]["DifferentialBaseGUID"] == oracle.base
                    or s[1]["BackupType"] == 2 and s[1]["FirstLSN"] <= oracle.redo <= s[1]["LastLSN"]]
            name, head = dice.choice(near or life.sets)
        what = "recover" if dice.random() < 0.08 else {1: "full", 2: "log", 5: "diff"}[head["BackupType"]]
        if what == "full" and oracle.state == "restoring" and dice.random() < 0.6:
            continue
        expected = oracle.recover() if what == "recover" else getattr(oracle, what)(head)
        try:
            if what == "recover":
                kit.recover("a")
            elif what == "full":
                kit.full_to("a", name, REPLACE=True)
            else:
                kit.restore("LOG" if what == "log" else "DATABASE", "a", name, NORECOVERY=True)
            found = None
        except SqlError as exc:
            found = exc.error.number
        assert found == expected, (seed, turn, what, name, head)
        seen.add((what, found))
        if oracle.state == "restoring":
            row = kit.file("a")
            assert (row["redo_start_lsn"], row["redo_start_fork_guid"]) == (oracle.redo, oracle.fork), (seed, turn, what, name)
        elif what == "recover" and found is None:
            assert kit.ids("a") == life.rows[oracle.fork, oracle.redo], (seed, turn)
            checked += 1
    assert checked and {("log", None), ("full", None), ("log", 4305), ("log", 3117), ("diff", 3136)} <= seen, seen
    kit.server.stop()
