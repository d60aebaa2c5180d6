# SPDX-License-Identifier: Apache-2.0
"""LSNs, log chains, forks: what a backup tool reads and must get right."""

import datetime as dt
import subprocess
import sys
import time

import pytest

from sqlsim.engine.clock import ticks
from sqlsim.selftest.engine_kit import Kit, infos, raises


@pytest.fixture
def kit(tmp_path):
    kit = Kit(tmp_path)
    yield kit
    kit.server.stop()


def stop_at(when):
    return ticks(when).isoformat(timespec="milliseconds")


def pause():
    """Time stamps in the log have 1/300 s: waits until the next one."""
    start = ticks(dt.datetime.now())
    while ticks(dt.datetime.now()) <= start + dt.timedelta(milliseconds=4):
        time.sleep(0.001)


def chain(kit):
    """full, 1, log, 2, log."""
    kit.create()
    kit.backup("full", "db1", "f.bak")
    kit.put("db1", 1)
    kit.backup("log", "db1", "l1.trn")
    kit.put("db1", 2)
    kit.backup("log", "db1", "l2.trn")


def test_first_full_and_its_logs(kit):
    chain(kit)
    full, first, second = (kit.header(f)[0] for f in ("f.bak", "l1.trn", "l2.trn"))
    assert full["FirstLSN"] == full["CheckpointLSN"] and full["DatabaseBackupLSN"] == 0
    assert full["LastLSN"] > full["CheckpointLSN"] and full["LastLSN"] % 100000 == 1
    assert full["FirstLSN"] % 100000 > 1
    assert first["FirstLSN"] == full["FirstLSN"] and first["LastLSN"] > full["LastLSN"]
    assert second["FirstLSN"] == first["LastLSN"] and second["LastLSN"] % 100000 == 1
    assert first["DatabaseBackupLSN"] == second["DatabaseBackupLSN"] == full["CheckpointLSN"]
    assert first["BeginsLogChain"] and not second["BeginsLogChain"] and not full["BeginsLogChain"]


def test_empty_logs_repeat_the_same_pair(kit):
    chain(kit)
    kit.backup("log", "db1", "e1.trn")
    kit.backup("log", "db1", "e2.trn")
    one, two = kit.header("e1.trn")[0], kit.header("e2.trn")[0]
    assert one["FirstLSN"] == one["LastLSN"] == two["FirstLSN"] == two["LastLSN"] == kit.header("l2.trn")[0]["LastLSN"]


def test_quiet_log_end_does_not_move(kit):
    chain(kit)
    number = kit.server.find("db1").id
    before = kit.function("sys.dm_db_log_stats", number)[0]
    kit.backup("log", "db1", "e.trn")
    after = kit.function("sys.dm_db_log_stats", number)[0]
    assert before["log_end_lsn"] == after["log_end_lsn"] and after["log_since_last_log_backup_mb"] == 0
    kit.put("db1", 3)
    moved = kit.function("sys.dm_db_log_stats", number)[0]
    assert moved["log_end_lsn"] > after["log_end_lsn"] and moved["log_since_last_log_backup_mb"] > 0


def test_full_restores_rows_and_missing_log_loses_them(kit):
    chain(kit)
    kit.put("db1", 3)
    kit.backup("log", "db1", "l3.trn")
    kit.full_to("a", "f.bak")
    kit.restore("LOG", "a", "l1.trn", NORECOVERY=True)
    with raises(4305, 3013):
        kit.restore("LOG", "a", "l3.trn", NORECOVERY=True)
    kit.recover("a")
    assert kit.ids("a") == [1]
    kit.full_to("b", "f.bak")
    for file in ("l1.trn", "l2.trn", "l3.trn"):
        kit.restore("LOG", "b", file, NORECOVERY=True)
    kit.recover("b")
    assert kit.ids("b") == [1, 2, 3]


def test_stopat_cuts_by_commit_time(kit):
    chain(kit)
    kit.put("db1", 3)
    pause()
    middle = kit.server.clock.local()
    pause()
    kit.put("db1", 4)
    kit.backup("log", "db1", "l3.trn")
    kit.full_to("a", "f.bak")
    for file in ("l1.trn", "l2.trn"):
        assert 4322 in infos(kit.restore("LOG", "a", file, RECOVERY=True, STOPAT=stop_at(middle)))
        assert kit.db("a")["state_desc"] == "RESTORING"
    assert 4322 not in infos(kit.restore("LOG", "a", "l3.trn", RECOVERY=True, STOPAT=stop_at(middle)))
    assert kit.db("a")["state_desc"] == "ONLINE" and kit.ids("a") == [1, 2, 3]


def test_stopat_after_the_target_is_too_early(kit):
    chain(kit)
    pause()
    middle = kit.server.clock.local()
    pause()
    kit.put("db1", 3)
    kit.backup("log", "db1", "l3.trn")
    kit.put("db1", 4)
    kit.backup("log", "db1", "l4.trn")
    kit.full_to("a", "f.bak")
    for file in ("l1.trn", "l2.trn", "l3.trn"):
        kit.restore("LOG", "a", file, NORECOVERY=True, STOPAT=stop_at(middle))
    with raises(4305, 3013):
        kit.restore("LOG", "a", "l4.trn", NORECOVERY=True, STOPAT=stop_at(middle))
    with raises(4335, 3013):
        kit.restore("LOG", "a", "l3.trn", NORECOVERY=True, STOPAT=stop_at(middle))
    kit.recover("a")
    assert kit.ids("a") == [1, 2]


def test_differential_by_guid(kit):
    chain(kit)
    kit.backup("diff", "db1", "d1.bak")
    kit.put("db1", 3)
    kit.backup("full", "db1", "f2.bak", COPY_ONLY=True)
    kit.backup("diff", "db1", "d2.bak")
    full, diff = kit.header("f.bak")[0], kit.header("d2.bak")[0]
    assert diff["DifferentialBaseGUID"] == full["BackupSetGUID"] == kit.file()["differential_base_guid"]
    assert diff["DifferentialBaseLSN"] == full["CheckpointLSN"] and diff["BackupTypeDescription"] == "Database Differential"
    assert diff["FirstLSN"] == diff["CheckpointLSN"]
    kit.full_to("a", "f.bak")
    kit.restore("DATABASE", "a", "d1.bak", NORECOVERY=True)
    kit.restore("DATABASE", "a", "d2.bak", RECOVERY=True)
    assert kit.ids("a") == [1, 2, 3]
    kit.full_to("b", "f2.bak")
    with raises(3136, 3013):
        kit.restore("DATABASE", "b", "d2.bak", NORECOVERY=True)


def test_foreign_full_moves_the_base_and_keeps_the_log(kit):
    chain(kit)
    base = kit.file()["differential_base_guid"]
    kit.server.faults.foreign_full("db1")
    assert kit.file()["differential_base_guid"] != base
    kit.put("db1", 3)
    kit.backup("log", "db1", "l3.trn")
    assert kit.header("l3.trn")[0]["FirstLSN"] == kit.header("l2.trn")[0]["LastLSN"]
    kit.backup("diff", "db1", "d.bak")
    kit.full_to("a", "f.bak")
    with raises(3136, 3013):
        kit.restore("DATABASE", "a", "d.bak", NORECOVERY=True)


@pytest.mark.parametrize("nul", [False, True])
def test_foreign_log_makes_a_hole(kit, nul):
    chain(kit)
    kit.put("db1", 3)
    if nul:
        kit.server.faults.foreign_nul("db1")
        assert kit.view("dbo.backupmediafamily", "msdb")[-1]["physical_device_name"] == "NUL"
    else:
        kit.server.faults.foreign_log("db1")
    kit.put("db1", 4)
    ours = kit.header("l2.trn")[0]["LastLSN"]
    assert kit.recovery()["last_log_backup_lsn"] > ours
    kit.backup("log", "db1", "l3.trn")
    assert kit.header("l3.trn")[0]["FirstLSN"] > ours
    kit.full_to("a", "f.bak")
    kit.restore("LOG", "a", "l1.trn", NORECOVERY=True)
    kit.restore("LOG", "a", "l2.trn", NORECOVERY=True)
    with raises(4305, 3013):
        kit.restore("LOG", "a", "l3.trn", NORECOVERY=True)


def test_copy_only_moves_nothing(kit):
    chain(kit)
    before = kit.recovery(), kit.file()["differential_base_guid"]
    kit.put("db1", 3)
    kit.backup("log", "db1", "c.trn", COPY_ONLY=True)
    kit.backup("full", "db1", "c.bak", COPY_ONLY=True)
    assert (kit.recovery(), kit.file()["differential_base_guid"]) == before
    kit.backup("log", "db1", "l3.trn")
    copy, log = kit.header("c.bak")[0], kit.header("l3.trn")[0]
    assert copy["IsCopyOnly"] and copy["Flags"] & 1024 and copy["DatabaseBackupLSN"] == kit.header("f.bak")[0]["CheckpointLSN"]
    assert log["FirstLSN"] == kit.header("l2.trn")[0]["LastLSN"]
    kit.full_to("a", "c.bak")
    kit.restore("LOG", "a", "l3.trn", RECOVERY=True)
    assert kit.ids("a") == [1, 2, 3]


def test_no_log_backup_before_the_first_full(kit):
    kit.create()
    assert kit.recovery()["last_log_backup_lsn"] is None
    with raises(4214, 3013):
        kit.backup("log", "db1", "x.trn")
    with raises(3035, 3013):
        kit.backup("diff", "db1", "x.bak")
    kit.backup("full", "db1", "c.bak", COPY_ONLY=True)
    with raises(4214, 3013):
        kit.backup("log", "db1", "x.trn")
    assert kit.function("sys.dm_db_log_stats", kit.server.find("db1").id)[0]["recovery_model"] == "SIMPLE"
    kit.backup("full", "db1", "f.bak")
    kit.backup("log", "db1", "x.trn")


def test_simple_breaks_the_chain_and_a_differential_bridges(kit):
    chain(kit)
    kit.server.faults.set_recovery_model("db1", "SIMPLE")
    kit.put("db1", 3)
    with raises(4208, 3013):
        kit.backup("log", "db1", "x.trn")
    kit.server.faults.set_recovery_model("db1", "FULL")
    assert kit.recovery()["last_log_backup_lsn"] is None
    with raises(4214, 3013):
        kit.backup("log", "db1", "x.trn")
    kit.backup("diff", "db1", "d.bak")
    kit.put("db1", 4)
    kit.backup("log", "db1", "l3.trn")
    assert kit.header("l3.trn")[0]["BeginsLogChain"]
    kit.full_to("a", "f.bak")
    kit.restore("DATABASE", "a", "d.bak", NORECOVERY=True)
    kit.restore("LOG", "a", "l3.trn", RECOVERY=True)
    assert kit.ids("a") == [1, 2, 3, 4]


def test_restored_early_is_a_fork(kit):
    chain(kit)
    pause()
    middle = kit.server.clock.local()
    pause()
    kit.put("db1", 3)
    kit.backup("log", "db1", "l3.trn")
    before = kit.recovery()
    kit.restore("DATABASE", "db1", "f.bak", NORECOVERY=True, REPLACE=True)
    for file in ("l1.trn", "l2.trn", "l3.trn"):
        kit.restore("LOG", "db1", file, RECOVERY=True, STOPAT=stop_at(middle))
    after = kit.recovery()
    assert after["family_guid"] == before["family_guid"] and after["recovery_fork_guid"] != before["recovery_fork_guid"]
    assert after["fork_point_lsn"] is not None and kit.ids() == [1, 2]
    kit.put("db1", 30)
    kit.backup("log", "db1", "n1.trn")
    head = kit.header("n1.trn")[0]
    assert head["FirstRecoveryForkID"] == before["recovery_fork_guid"] and head["RecoveryForkID"] == after["recovery_fork_guid"]
    assert head["ForkPointLSN"] == after["fork_point_lsn"] == head["FirstLSN"]
    assert head["FirstLSN"] <= kit.header("l3.trn")[0]["LastLSN"]
    kit.put("db1", 31)
    kit.backup("log", "db1", "n2.trn")
    kit.full_to("a", "f.bak")
    for file in ("l1.trn", "l2.trn", "l3.trn"):
        kit.restore("LOG", "a", file, NORECOVERY=True)
    with raises(4330, 3013):
        kit.restore("LOG", "a", "n1.trn", NORECOVERY=True)
    with raises(4305, 3013):
        kit.restore("LOG", "a", "n2.trn", NORECOVERY=True)
    kit.full_to("b", "f.bak")
    for file in ("l1.trn", "l2.trn", "n1.trn", "n2.trn"):
        kit.restore("LOG", "b", file, NORECOVERY=True)
    with raises(4326, 3013):
        kit.restore("LOG", "b", "l2.trn", NORECOVERY=True)
    kit.recover("b")
    assert kit.ids("b") == [1, 2, 30, 31]


def test_restore_elsewhere_shares_the_family(kit):
    chain(kit)
    kit.full_to("copy", "f.bak", RECOVERY=True, NORECOVERY=False)
    ours, theirs = kit.recovery("db1"), kit.recovery("copy")
    assert ours["family_guid"] == theirs["family_guid"] and ours["database_guid"] != theirs["database_guid"]
    assert ours["recovery_fork_guid"] != theirs["recovery_fork_guid"]


def test_drop_and_create_is_all_new(kit):
    chain(kit)
    before = kit.recovery()
    kit.server.drop_database(kit.session, "db1")
    kit.create()
    after = kit.recovery()
    assert after["family_guid"] != before["family_guid"] and after["last_log_backup_lsn"] is None
    assert kit.file()["differential_base_guid"] is None


def test_rename_keeps_the_chain(kit):
    chain(kit)
    kit.server.alter_database(kit.session, "db1", [("MODIFY NAME", "db9")], None)
    kit.put("db9", 3)
    kit.backup("log", "db9", "l3.trn")
    head = kit.header("l3.trn")[0]
    assert head["DatabaseName"] == "db9" and head["FirstLSN"] == kit.header("l2.trn")[0]["LastLSN"]


def test_volume_revert_repeats_lsns_on_the_same_fork(kit):
    chain(kit)
    fork = kit.recovery()["recovery_fork_guid"]
    kit.server.faults.volume_snapshot("s")
    kit.put("db1", 3)
    kit.backup("log", "db1", "l3.trn")
    kit.server.faults.volume_revert("s")
    kit.session = kit.server.internal_session()
    assert kit.ids() == [1, 2]
    kit.put("db1", 99)
    kit.backup("log", "db1", "n3.trn")
    old, new = kit.header("l3.trn")[0], kit.header("n3.trn")[0]
    assert old["FirstLSN"] == new["FirstLSN"] and new["RecoveryForkID"] == fork == old["RecoveryForkID"]


def test_clone_has_the_same_guids(kit, tmp_path):
    chain(kit)
    kit.server.faults.clone(str(tmp_path / "sim2"))
    other = Kit(tmp_path, "sim2")
    try:
        assert other.ids() == [1, 2]
        assert other.recovery()["family_guid"] == kit.recovery()["family_guid"]
        other.put("db1", 7)
        assert kit.ids() == [1, 2] and other.ids() == [1, 2, 7]
    finally:
        other.server.stop()


def test_tail_log_and_back(kit):
    chain(kit)
    kit.put("db1", 3)
    fork = kit.recovery()["recovery_fork_guid"]
    kit.backup("log", "db1", "tail.trn", NORECOVERY=True)
    head = kit.header("tail.trn")[0]
    assert head["Flags"] & (64 | 256) == 64 | 256 and kit.db()["state_desc"] == "RESTORING"
    assert kit.file()["redo_start_lsn"] == head["LastLSN"]
    kit.recover("db1")
    assert kit.ids() == [1, 2, 3] and kit.recovery()["recovery_fork_guid"] == fork
    kit.full_to("a", "f.bak")
    for file in ("l1.trn", "l2.trn", "tail.trn"):
        kit.restore("LOG", "a", file, NORECOVERY=True)
    kit.recover("a")
    assert kit.ids("a") == [1, 2, 3] and kit.recovery("a")["recovery_fork_guid"] == fork


def test_marks(kit):
    chain(kit)
    kit.put("db1", 3, mark=("release", "before the release"))
    kit.put("db1", 4)
    kit.backup("log", "db1", "l3.trn")
    row = kit.view("dbo.logmarkhistory", "msdb")[0]
    assert row["mark_name"] == "release" and row["database_name"] == "db1"
    for option, expected in (("STOPATMARK", [1, 2, 3]), ("STOPBEFOREMARK", [1, 2])):
        for value in (("release", None), (f"lsn:{row['lsn']}", None)):
            kit.full_to("a", "f.bak", REPLACE=True)
            kit.restore("LOG", "a", "l1.trn", NORECOVERY=True)
            events = kit.restore("LOG", "a", "l2.trn", NORECOVERY=True, **{option: value})
            assert (4329 if value[0] == "release" else 4322) in infos(events)
            kit.restore("LOG", "a", "l3.trn", RECOVERY=True, **{option: value})
            assert kit.ids("a") == expected, (option, value)


CRASH = """
import os, signal, sys
from sqlsim.selftest.engine_kit import Kit
kit = Kit(sys.argv[1])
kit.create()
kit.backup("full", "db1", "f.bak")
kit.put("db1", 1)
kit.backup("log", "db1", "l1.trn")
kit.put("db1", 2, 3)
tran = kit.server.database("db1").begin(kit.session)
tran.connection.execute('INSERT INTO "dbo.t" VALUES (50, NULL)')
if sys.argv[2] == "logged":  # in the log, not yet in the rows
    tran.flush()
    db = tran.database
    db.log.append(1, {"ops": tran.ops}, 0, 0, 3)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("when, expected", [("open", [1, 2, 3]), ("logged", [1, 2, 3, 50])])
def test_kill_keeps_exactly_the_committed(tmp_path, when, expected):
    done = subprocess.run([sys.executable, "-c", CRASH, str(tmp_path), when], env={"PYTHONPATH": ":".join(p for p in sys.path if p)})
    assert done.returncode == -9
    kit = Kit(tmp_path)
    assert kit.ids() == expected
    kit.put("db1", 60)
    kit.restart()
    assert kit.ids() == [*expected, 60]
    kit.backup("log", "db1", "l2.trn")
    assert kit.header("l2.trn")[0]["FirstLSN"] == kit.header("l1.trn")[0]["LastLSN"]
    kit.full_to("a", "f.bak")
    for file in ("l1.trn", "l2.trn"):
        kit.restore("LOG", "a", file, NORECOVERY=True)
    kit.recover("a")
    assert kit.ids("a") == [*expected, 60]
    kit.server.stop()


def test_an_open_transaction_does_not_wait_and_is_not_lost(kit):
    """FirstLSN goes back to the open transaction; it is in the full only when it commits before the full's end."""
    kit.create()
    kit.put("db1", 1)
    other = kit.server.internal_session()
    db = kit.server.database("db1")
    tran = db.begin(other)
    tran.connection.execute('INSERT INTO "dbo.t" VALUES (2, NULL)')
    kit.backup("full", "db1", "f.bak")
    db.commit(tran)
    kit.backup("log", "db1", "l1.trn")
    full, log = kit.header("f.bak")[0], kit.header("l1.trn")[0]
    assert full["FirstLSN"] < full["CheckpointLSN"] == log["DatabaseBackupLSN"] and log["FirstLSN"] == full["FirstLSN"]
    kit.full_to("a", "f.bak", NORECOVERY=False)
    assert kit.ids("a") == [1]
    kit.full_to("b", "f.bak")
    kit.restore("LOG", "b", "l1.trn")
    assert kit.ids("b") == [1, 2]


def test_restore_under_an_open_reader(kit):
    """The reader goes on with the rows that it began with."""
    kit.create()
    kit.put("db1", 1)
    kit.backup("full", "db1", "f.bak")
    kit.put("db1", 2)
    reader = kit.server.database("db1").reader()
    cursor = reader.execute('SELECT id FROM "dbo.t" ORDER BY id')
    assert cursor.fetchone() == (1,)
    kit.restore("DATABASE", "db1", "f.bak", REPLACE=True)
    kit.put("db1", 30)
    assert cursor.fetchall() == [(2,)]
    reader.close()
    assert kit.ids() == [1, 30]
    kit.restart()
    assert kit.ids() == [1, 30]
