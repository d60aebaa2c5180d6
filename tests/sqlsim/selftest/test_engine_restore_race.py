# SPDX-License-Identifier: Apache-2.0
"""Many sessions that restore, recover, check, back up, alter and drop the same three databases: every answer is one of the
server's, nothing stays claimed, and what is left works."""

import random
import threading

from sqlsim.contract import Cancelled, SessionKilled, SqlError
from sqlsim.selftest.engine_kit import Kit

TURNS = 250


def one(kit, dice, session, sets, others):
    name, file, roll = dice.choice("abc"), dice.choice(sets), dice.random()
    if roll < 0.55:
        options = {"REPLACE": dice.random() < 0.7, "CONTINUE_AFTER_ERROR": dice.random() < 0.1}
        if dice.random() < 0.1:
            options["STANDBY"] = str(kit.root / f"undo-{name}")
        elif dice.random() < 0.8:
            options["NORECOVERY"] = True
        if file.endswith("bak") and file[0] == "f":
            options["MOVE"] = kit.move(name)
        kit.restore("LOG" if file.endswith("trn") else "DATABASE", name, file, session=session, **options)
    elif roll < 0.62:
        kit.restore("DATABASE", name, session=session, RECOVERY=True)
    elif roll < 0.68:
        kit.server.drop_database(session, name)
    elif roll < 0.74:
        kit.server.checkdb(session, name, lambda event: None)
    elif roll < 0.80:
        for view in ("sys.master_files", "sys.dm_tran_locks", "sys.dm_exec_requests", "sys.databases", "sys.database_recovery_status"):
            kit.view(view)
        kit.function("sys.dm_db_log_stats", None)
    elif roll < 0.85:
        kit.server.alter_database(session, name, [(dice.choice(("SINGLE_USER", "MULTI_USER", "OFFLINE", "ONLINE")), None)], "ROLLBACK IMMEDIATE")
    elif roll < 0.90:
        kit.backup(dice.choice(("full", "log", "diff")), name, f"x{session.spid}.set", session=session, INIT=True, NORECOVERY=dice.random() < 0.3)
    elif roll < 0.93:
        kit.server.database(name, session).tables()
    elif roll < 0.96:
        dice.choice(others).killed.set()
    elif roll < 0.98:
        dice.choice(others).cancel.set()
    else:
        kit.server.faults.crash_after("restore", dice.choice(("begin", "chunk", "data", "applied", "recovering", "recovered")))


def test_everybody_at_once(tmp_path):
    seed = random.randrange(1 << 30)
    print("seed", seed)
    kit = Kit(tmp_path)
    kit.create()
    kit.put("db1", *range(1000, 1500), text="c" * 800)
    kit.backup("full", "db1", "f.bak", CHECKSUM=True)
    sets = ["f.bak"]
    for number in range(6):
        kit.put("db1", number)
        kind = "log" if number % 3 else "diff"
        sets.append(f"{number}." + ("trn" if kind == "log" else "bak"))
        kit.backup(kind, "db1", sets[-1])
    wrong, sessions = [], []

    def work(index):
        dice = random.Random(seed + index)
        session = kit.server.internal_session()
        sessions.append(session)
        for _ in range(TURNS):
            if session.killed.is_set():
                kit.server.session_closed(session)
                session = kit.server.internal_session()
                sessions.append(session)
            session.cancel.clear()
            try:
                one(kit, dice, session, sets, list(sessions))
            except (SqlError, SessionKilled, Cancelled):
                pass
            except Exception as exc:
                wrong.append(exc)
        kit.server.session_closed(session)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(t.is_alive() for t in threads) and not wrong, (seed, wrong[:3])
    kit.server.faults.clear()
    for db in list(kit.server.dbs.values()):
        assert db.restoring is None and db.data_backup is None and not db.write_lock.locked() and not db.log_backup_lock.locked(), (seed, db.name)
    kit.restart()
    for name in "abc":
        if kit.server.find(name) is not None:
            kit.server.drop_database(kit.session, name)
        for path in (p for _, p in kit.move(name)):
            (tmp_path / path).unlink(missing_ok=True)  # files of an offline database stay when it is dropped
        kit.full_to(name, "f.bak")
        for file in sets[1:]:
            kit.restore("LOG" if file.endswith("trn") else "DATABASE", name, file, NORECOVERY=True)
        kit.recover(name)
        assert kit.ids(name)[:6] == list(range(6)), seed
    kit.server.stop()
