# SPDX-License-Identifier: Apache-2.0
"""RESTORE: the state machine, refusals, where files go, interruptions, versions."""

import datetime as dt
import os
import threading
import time

import pytest

from sqlsim.contract import Info, SessionKilled
from sqlsim.engine import store
from sqlsim.selftest.engine_kit import Kit, infos, raises


@pytest.fixture
def kit(tmp_path):
    kit = Kit(tmp_path)
    kit.create()
    kit.backup("full", "db1", "f.bak", CHECKSUM=True)
    kit.put("db1", 1)
    kit.backup("log", "db1", "l1.trn")
    kit.put("db1", 2)
    kit.backup("log", "db1", "l2.trn")
    yield kit
    kit.server.faults.clear()
    kit.server.stop()


# -- information ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("major, columns", [(14, 56), (15, 56), (16, 59), (17, 59)])
def test_column_counts(tmp_path, major, columns):
    kit = Kit(tmp_path, version=(major, 0, 2000, 5))
    kit.create()
    kit.backup("full", "db1", "f.bak")
    assert len(kit.header("f.bak")[0]) == columns
    assert len(kit.table(kit.restore("FILELISTONLY", "", "f.bak"))[0]) == 22
    assert ("last_valid_restore_time" in kit.history()[0]) == (major >= 16)
    assert len(kit.table(kit.restore("LABELONLY", "", "f.bak"))[0]) == 13
    kit.server.stop()


def test_end_of_the_information_statements(kit):
    for what, code in (("HEADERONLY", 250), ("LABELONLY", 250), ("FILELISTONLY", 376)):
        events = kit.restore(what, "", "f.bak")
        assert events[-2].curcmd == 230 and events[-2].count == len(kit.table(events))
        assert events[-1].curcmd == code and events[-1].count is None
    events = kit.restore("VERIFYONLY", "", "f.bak", CHECKSUM=True)
    assert infos(events) == [3262] and events[-1].curcmd == 377


def test_file_list(kit):
    rows = kit.table(kit.restore("FILELISTONLY", "", "f.bak"))
    assert [(r["LogicalName"], r["Type"], r["FileGroupName"], r["FileId"]) for r in rows] == [("db1", "D", "PRIMARY", 1),
                                                                                          ("db1_log", "L", None, 2)]
    assert rows[0]["PhysicalName"] == kit.server.find("db1").path and rows[0]["SourceBlockSize"] == 4096


# -- state machine ----------------------------------------------------------------------------------------------------

def test_messages_and_state(kit):
    events = kit.full_to("a", "f.bak", STATS=50)
    assert infos(events)[-1] == 3014 and 3211 in infos(events) and events[-1].curcmd == 229
    assert kit.db("a")["state"] == 1
    head = kit.header("f.bak")[0]
    assert kit.file("a")["redo_start_lsn"] == head["LastLSN"]
    with raises(927):
        kit.server.database("a", kit.session)
    kit.restore("LOG", "a", "l1.trn", NORECOVERY=True)
    assert kit.file("a")["redo_start_lsn"] == kit.header("l1.trn")[0]["LastLSN"]
    kit.restore("LOG", "a", "l2.trn")
    assert kit.db("a")["state"] == 0 and kit.file("a")["redo_start_lsn"] is None


def test_bounds_are_inclusive(kit):
    kit.put("db1", 3)
    kit.backup("log", "db1", "l3.trn")
    kit.full_to("a", "f.bak")
    kit.restore("LOG", "a", "l1.trn", NORECOVERY=True)
    kit.restore("LOG", "a", "l1.trn", NORECOVERY=True)  # Last == R: accepted, nothing happens
    with raises(4305, 3013):
        kit.restore("LOG", "a", "l3.trn", NORECOVERY=True)
    kit.restore("LOG", "a", "l2.trn", NORECOVERY=True)
    with raises(4326, 3013):
        kit.restore("LOG", "a", "l1.trn", NORECOVERY=True)
    kit.recover("a")
    assert kit.ids("a") == [1, 2]
    with raises(3117, 3013):
        kit.restore("LOG", "a", "l3.trn", NORECOVERY=True)
    with raises(3153, 3013):
        kit.recover("a")


def test_log_or_differential_first(kit):
    with raises(3118, 3013):
        kit.restore("LOG", "a", "l1.trn", NORECOVERY=True)
    with raises(3118, 3013):
        kit.restore("DATABASE", "a", RECOVERY=True)
    kit.backup("diff", "db1", "d.bak")
    with raises(3118, 3013):
        kit.restore("DATABASE", "a", "d.bak")
    with raises(3117, 3013):
        kit.restore("DATABASE", "db1", "d.bak")
    with raises(3135, 3013):
        kit.restore("DATABASE", "a", "l1.trn")
    with raises(3135, 3013):
        kit.restore("LOG", "a", "f.bak")


def test_over_an_existing_database(kit):
    with raises(3159, 3013):
        kit.restore("DATABASE", "db1", "f.bak")
    kit.create("db2")
    with raises(3154, 3013) as caught:
        kit.restore("DATABASE", "db2", "f.bak", MOVE=kit.move("db2"))
    assert caught[0].error.state == 4
    other = kit.server.internal_session("db1")
    with raises(3101, 3013):
        kit.restore("DATABASE", "db1", "f.bak", REPLACE=True)
    with raises(3102, 3013):
        kit.restore("DATABASE", "db1", "f.bak", REPLACE=True, session=other)
    kit.server.alter_database(kit.session, "db1", [("SINGLE_USER", None)], "ROLLBACK IMMEDIATE")
    assert other.killed.is_set()
    kit.restore("DATABASE", "db1", "f.bak", REPLACE=True)
    assert kit.ids() == [] and kit.db()["user_access_desc"] == "MULTI_USER"
    kit.restore("DATABASE", "db2", "f.bak", REPLACE=True, MOVE=kit.move("db2"))
    assert kit.recovery("db2")["family_guid"] == kit.recovery("db1")["family_guid"]


def test_tail_makes_room_without_replace(kit):
    kit.put("db1", 3)
    kit.backup("log", "db1", "tail.trn", NORECOVERY=True)
    kit.restore("DATABASE", "db1", "f.bak", NORECOVERY=True)
    for file in ("l1.trn", "l2.trn", "tail.trn"):
        kit.restore("LOG", "db1", file, NORECOVERY=True)
    kit.recover("db1")
    assert kit.ids() == [1, 2, 3]


def test_simple_needs_no_replace(kit):
    kit.server.faults.set_recovery_model("db1", "SIMPLE")
    kit.restore("DATABASE", "db1", "f.bak")
    assert kit.db()["recovery_model_desc"] == "FULL"


def test_log_of_another_database(kit):
    kit.create("db2")
    kit.backup("full", "db2", "f2.bak")
    kit.put("db2", 9)
    kit.backup("log", "db2", "other.trn")
    kit.full_to("a", "f.bak")
    with raises(3154, 3013):
        kit.restore("LOG", "a", "other.trn", NORECOVERY=True)


def test_standby_reads_between_logs(kit):
    undo = str(kit.root / "undo.tuf")
    kit.full_to("a", "f.bak", NORECOVERY=False, STANDBY=undo)
    assert kit.ids("a") == [] and kit.db("a")["is_in_standby"] and os.path.exists(undo)
    kit.restore("LOG", "a", "l1.trn", STANDBY=undo)
    assert kit.ids("a") == [1]
    with raises(3906):
        kit.put("a", 5)
    kit.restart()
    assert kit.ids("a") == [1]
    kit.restore("LOG", "a", "l2.trn", RECOVERY=True)
    assert kit.ids("a") == [1, 2] and not kit.db("a")["is_in_standby"] and not os.path.exists(undo)


def test_tail_with_standby(kit):
    kit.put("db1", 3)
    kit.backup("log", "db1", "tail.trn", STANDBY=str(kit.root / "undo"))
    assert kit.ids() == [1, 2, 3] and kit.db()["is_in_standby"]
    with raises(3906):
        kit.put("db1", 4)
    kit.recover("db1")
    kit.put("db1", 4)
    assert kit.ids() == [1, 2, 3, 4]


# -- point in time ----------------------------------------------------------------------------------------------------

def test_stopat_with_a_full(kit):
    early = (kit.header("f.bak")[0]["BackupFinishDate"] - dt.timedelta(seconds=1)).isoformat()
    with raises(4338, 3013):
        kit.full_to("a", "f.bak", STOPAT=early)
    late = (kit.server.clock.local() + dt.timedelta(hours=1)).isoformat(timespec="milliseconds")
    events = kit.full_to("a", "f.bak", STOPAT=late, NORECOVERY=False)
    assert 4322 in infos(events) and kit.db("a")["state_desc"] == "RESTORING"
    with raises(4335, 3013):
        kit.restore("LOG", "a", "l1.trn", STOPAT=early)
    with raises(241):
        kit.restore("LOG", "a", "l1.trn", STOPAT="yesterday")


def test_stopat_counts_the_local_time_of_the_source(tmp_path):
    """The log was written at +02:00; the target runs at -05:00: only the source's times count."""
    source = Kit(tmp_path, "src", timezone="+02:00")
    source.create()
    source.backup("full", "db1", "f.bak")
    source.put("db1", 1)
    time.sleep(0.01)
    moment = source.server.clock.local().isoformat(timespec="milliseconds")
    time.sleep(0.01)
    source.put("db1", 2)
    source.backup("log", "db1", "l.trn")
    target = Kit(tmp_path, "dst", timezone="-05:00")
    target.full_to("db1", "f.bak")
    target.restore("LOG", "db1", "l.trn", STOPAT=moment)
    assert target.ids() == [1]
    for kit in (source, target):
        kit.server.stop()


def test_clock_step_back_stops_at_the_first_record_past_the_target(kit):
    """After a step back the log's times go back too; a stop point counts from the front."""
    kit.server.faults.clock(step=3600)
    kit.put("db1", 3)
    kit.server.faults.clock(step=-3600)
    kit.put("db1", 4)
    kit.backup("log", "db1", "l3.trn")
    kit.full_to("a", "f.bak")
    when = (kit.server.clock.local() + dt.timedelta(minutes=30)).isoformat(timespec="milliseconds")
    for file in ("l1.trn", "l2.trn", "l3.trn"):
        kit.restore("LOG", "a", file, STOPAT=when)
    assert kit.ids("a") == [1, 2]


def test_bulk_logged_has_no_points_inside(kit):
    kit.server.faults.set_recovery_model("db1", "BULK_LOGGED")
    kit.put("db1", *range(100, 1300))
    time.sleep(0.01)
    moment = kit.server.clock.local().isoformat(timespec="milliseconds")
    time.sleep(0.01)
    kit.put("db1", 5000)
    kit.backup("log", "db1", "b.trn")
    head = kit.header("b.trn")[0]
    assert head["HasBulkLoggedData"] and head["Flags"] & 1
    kit.full_to("a", "f.bak")
    for file in ("l1.trn", "l2.trn"):
        kit.restore("LOG", "a", file, NORECOVERY=True)
    with raises(4341, 3013):
        kit.restore("LOG", "a", "b.trn", STOPAT=moment)
    kit.restore("LOG", "a", "b.trn", RECOVERY=True)
    assert 5000 in kit.ids("a")


def test_target_exactly_at_a_boundary(kit):
    """An LSN that is a log's last one is not inside that log: the next one is needed."""
    boundary = kit.header("l1.trn")[0]["LastLSN"]
    kit.full_to("a", "f.bak")
    assert 4322 in infos(kit.restore("LOG", "a", "l1.trn", STOPBEFOREMARK=(f"lsn:{boundary}", None)))
    kit.restore("LOG", "a", "l2.trn", STOPBEFOREMARK=(f"lsn:{boundary}", None))
    assert kit.ids("a") == [1]


# -- files ------------------------------------------------------------------------------------------------------------

def test_moves(kit):
    move = kit.move("a")
    with raises(3234, 3013) as caught:
        kit.full_to("a", "f.bak", MOVE=[("nothing", "/tmp/x.mdf")])
    assert caught[0].error.state == 2
    with raises(3176, 3013):
        kit.full_to("a", "f.bak", MOVE=[("db1", move[0][1]), ("db1_log", move[0][1])])
    with raises(1834, 3156, 1834, 3156, 3119, 3013):
        kit.restore("DATABASE", "a", "f.bak")
    with raises(5133, 3156, 3119, 3013):
        kit.full_to("a", "f.bak", MOVE=[("db1", str(kit.root / "no" / "a.mdf")), move[1]])
    open(move[0][1], "w").close()
    with raises(3142, 3119, 3013):
        kit.full_to("a", "f.bak")
    kit.full_to("a", "f.bak", REPLACE=True, NORECOVERY=False)
    assert kit.file("a")["physical_name"] == move[0][1]


def test_no_room_for_the_files(kit):
    job = kit.server.find("db1")
    assert job is not None
    kit.server.faults.enospc(kit.server.data_dir, after_bytes=0)
    with raises(3634, 3013):
        kit.full_to("a", "f.bak")
    assert kit.db("a")["state_desc"] == "RESTORING"
    kit.server.faults.clear()
    kit.full_to("a", "f.bak", REPLACE=True, NORECOVERY=False)


def test_files_of_the_old_database_go(kit):
    kit.server.alter_database(kit.session, "db1", [("ADD FILE", ("more", str(kit.root / "more.ndf")))], None)
    assert os.path.exists(kit.root / "more.ndf")
    kit.restore("DATABASE", "db1", "f.bak", REPLACE=True)
    assert not os.path.exists(kit.root / "more.ndf")
    assert len(kit.view("sys.database_files", "db1")) == 2


# -- interruptions ----------------------------------------------------------------------------------------------------

def test_interrupted_restore_can_be_repeated(kit):
    kit.put("db1", *range(1000, 3000), text="i" * 800)
    kit.backup("full", "db1", "big.bak")
    kit.server.faults.crash_after("restore", "chunk")
    with pytest.raises(SessionKilled):
        kit.full_to("a", "big.bak", session=kit.server.internal_session())
    assert kit.db("a")["state_desc"] == "RESTORING" and kit.file("a")["redo_start_lsn"] is None
    kit.backup("log", "db1", "l3.trn")
    with raises(4319, 3013):
        kit.restore("LOG", "a", "l3.trn", NORECOVERY=True)
    with raises(4333, 3013):
        kit.recover("a")
    kit.restart()
    assert kit.db("a")["state_desc"] == "RESTORING"
    kit.full_to("a", "big.bak")
    kit.restore("LOG", "a", "l3.trn", RECOVERY=True)
    assert len(kit.ids("a")) == 2002


def test_interrupted_differential_and_log(kit):
    kit.backup("diff", "db1", "d.bak")
    kit.put("db1", *range(100, 600), text="j" * 3000)
    kit.backup("log", "db1", "l3.trn")
    kit.full_to("a", "f.bak")
    kit.server.faults.crash_after("restore", "chunk")
    with pytest.raises(SessionKilled):
        kit.restore("DATABASE", "a", "d.bak", NORECOVERY=True, session=kit.server.internal_session())
    with raises(4319, 3013):
        kit.restore("LOG", "a", "l3.trn", NORECOVERY=True)
    kit.restore("DATABASE", "a", "d.bak", NORECOVERY=True)
    kit.server.faults.crash_after("restore", "chunk", count=1)
    with pytest.raises(SessionKilled):
        kit.restore("LOG", "a", "l3.trn", NORECOVERY=True, session=kit.server.internal_session())
    kit.restart()
    kit.restore("LOG", "a", "l3.trn", RECOVERY=True)
    assert len(kit.ids("a")) == 502


def test_progress_of_a_restore(kit):
    kit.put("db1", *range(100, 2000), text="k" * 800)
    kit.backup("full", "db1", "big.bak")
    kit.server.faults.slow_io(bytes_per_s=4_000_000)
    session, seen = kit.server.internal_session(), set()
    thread = threading.Thread(target=kit.full_to, args=("a", "big.bak"), kwargs={"session": session})
    thread.start()
    while thread.is_alive():
        seen.update((r["command"], r["percent_complete"]) for r in kit.view("sys.dm_exec_requests") if r["session_id"] == session.spid)
        thread.join(0.01)
    assert {c for c, _ in seen} >= {"RESTORE DATABASE"} and len(seen) > 1


# -- versions and history ---------------------------------------------------------------------------------------------

def test_versions(tmp_path):
    old = Kit(tmp_path, "old", version=(15, 0, 4385, 2))
    new = Kit(tmp_path, "new")
    for kit, file in ((old, "old.bak"), (new, "new.bak")):
        kit.create()
        kit.put("db1", 1)
        kit.backup("full", "db1", file)
    with raises(3169, 3013):
        old.full_to("x", "new.bak")
    with raises(3169, 3013):
        old.restore("VERIFYONLY", "", "new.bak")
    events = new.full_to("x", "old.bak", NORECOVERY=False)
    assert 928 in infos(events) and infos(events).count(951) == 957 - 904 and infos(events)[-1] == 3014
    assert "from version 904 to the current version 957" in next(e.text for e in events if isinstance(e, Info) and e.number == 928)
    assert new.ids("x") == [1]
    with raises(3180, 3013):
        new.full_to("y", "old.bak", STANDBY=str(tmp_path / "u"), NORECOVERY=False)
    for kit in (old, new):
        kit.server.stop()


def test_restore_history(kit, tmp_path):
    other = Kit(tmp_path, "sim2")
    other.full_to("copy", "f.bak")
    other.restore("LOG", "copy", "l1.trn", STOPAT=(kit.server.clock.local() + dt.timedelta(hours=1)).isoformat(timespec="seconds"))
    rows = other.view("dbo.restorehistory", "msdb")
    assert [(r["destination_database_name"], r["restore_type"], r["recovery"], r["stop_at"] is None) for r in rows] == [
        ("copy", "D", False, True), ("copy", "L", True, False)]
    sets = {r["backup_set_id"]: r for r in other.history()}
    assert {sets[r["backup_set_id"]]["server_name"] for r in rows} == {"sim1"}
    assert len(other.view("dbo.restorefile", "msdb")) == 2
    other.server.stop()


def test_system_databases(kit):
    kit.backup("full", "master", "m.bak")
    with raises(3108, 3013):
        kit.restore("DATABASE", "master", "m.bak", REPLACE=True)
    with raises(3147, 3013):
        kit.restore("DATABASE", "tempdb", "m.bak", REPLACE=True)
    kit.backup("full", "msdb", "msdb.bak")
    count = len(kit.history())
    kit.backup("full", "db1", "x.bak", INIT=True)
    kit.restore("DATABASE", "msdb", "msdb.bak", REPLACE=True)
    assert len(kit.history()) == count - 1


def test_missing_certificate(kit):
    kit.security("CREATE MASTER KEY", password="x")
    kit.security("CREATE CERTIFICATE", name="cert", subject="backups")
    kit.backup("full", "db1", "enc.bak", ENCRYPTION={"ALGORITHM": "AES_256", "SERVER CERTIFICATE": "cert"}, FORMAT=True)
    head = kit.header("enc.bak")[0]
    assert head["KeyAlgorithm"] == "aes_256" and len(head["EncryptorThumbprint"]) == 20
    kit.security("DROP CERTIFICATE", name="cert")
    with raises(33111, 3013) as caught:
        kit.full_to("a", "enc.bak")
    assert caught[0].error.state == 3
    assert kit.server.find("a") is None


def test_differential_after_a_restore_fits_the_restored_base(kit):
    kit.restore("DATABASE", "db1", "f.bak", REPLACE=True)
    kit.put("db1", 50)
    kit.backup("diff", "db1", "d.bak")
    assert kit.header("d.bak")[0]["DifferentialBaseGUID"] == kit.header("f.bak")[0]["BackupSetGUID"]
    kit.full_to("a", "f.bak")
    kit.restore("DATABASE", "a", "d.bak", RECOVERY=True)
    assert kit.ids("a") == [50]


def test_model_of_the_state_is_kept_over_restarts(kit):
    kit.full_to("a", "f.bak")
    before = kit.file("a")["redo_start_lsn"]
    kit.restart()
    assert kit.file("a")["redo_start_lsn"] == before and kit.server.find("a").state.state == store.RESTORING
    kit.restore("LOG", "a", "l1.trn", RECOVERY=True)
    assert kit.ids("a") == [1]


def test_encrypted_database_needs_its_certificate(kit, tmp_path):
    kit.security("CREATE CERTIFICATE", name="tde")
    kit.security("CREATE DATABASE ENCRYPTION KEY", "db1", certificate="tde")
    kit.server.alter_database(kit.session, "db1", [("ENCRYPTION", "ON")], None)
    kit.backup("full", "db1", "t.bak")
    assert kit.table(kit.restore("FILELISTONLY", "", "t.bak"))[0]["TDEThumbprint"] == kit.view("sys.certificates")[0]["thumbprint"]
    kit.full_to("a", "t.bak", NORECOVERY=False)
    assert kit.db("a")["is_encrypted"]
    other = Kit(tmp_path, "sim2")
    assert other.header("t.bak")[0]["DatabaseName"] == "db1"
    with raises(33111, 3013):
        other.full_to("a", "t.bak")
    with raises(33111, 3013):
        other.restore("FILELISTONLY", "", "t.bak")
    other.server.stop()


def test_standby_does_not_see_records_past_the_redo_point(kit):
    kit.put("db1", *range(100, 600), text="j" * 3000)
    kit.backup("log", "db1", "l3.trn")
    kit.full_to("a", "f.bak")
    for file in ("l1.trn", "l2.trn"):
        kit.restore("LOG", "a", file, NORECOVERY=True)
    kit.server.faults.crash_after("restore", "chunk")
    with pytest.raises(SessionKilled):
        kit.restore("LOG", "a", "l3.trn", NORECOVERY=True, session=kit.server.internal_session())
    kit.restore("DATABASE", "a", STANDBY=str(kit.root / "undo"))
    assert kit.ids("a") == [1, 2]
    kit.restore("LOG", "a", "l3.trn")
    assert len(kit.ids("a")) == 502
