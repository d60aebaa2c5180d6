# SPDX-License-Identifier: Apache-2.0
"""Restoring over a database that exists: eviction, tail, guards, damaged files, rights."""

import os

import pytest

from sqlsim.contract import SessionKilled
from sqlsim.engine.database import look
from sqlsim.selftest import tsql_kit
from sqlsim.selftest.engine_kit import Kit, infos, raises


@pytest.fixture
def kit(tmp_path):
    kit = Kit(tmp_path)
    kit.create()
    kit.backup("full", "db1", "f.bak", CHECKSUM=True)
    kit.put("db1", 1)
    kit.backup("log", "db1", "l1.trn")
    yield kit
    kit.server.faults.clear()
    kit.server.stop()


def alter(kit, *clauses, name="db1", how=None, session=None):
    kit.server.alter_database(session or kit.session, name, list(clauses), how)


def test_the_safe_order(kit):
    other = kit.server.internal_session("db1")
    tran = kit.server.database("db1").begin(other)
    tran.connection.execute('INSERT INTO "dbo.t" VALUES (99, NULL)')
    alter(kit, ("SINGLE_USER", None), how="ROLLBACK IMMEDIATE")
    with pytest.raises(SessionKilled) as caught:
        look(other)
    assert caught.value.error.number == 596 and not tran.open
    kit.put("db1", 2)
    kit.backup("log", "db1", "tail.trn", NORECOVERY=True)
    head = kit.header("tail.trn")[0]
    assert head["Flags"] & (64 | 256) == 64 | 256 and kit.db()["state_desc"] == "RESTORING"
    with raises(927):
        kit.server.database("db1", kit.session)
    with raises(5052, 5069):
        alter(kit, ("MULTI_USER", None))
    kit.restore("DATABASE", "db1", "f.bak", NORECOVERY=True)
    kit.restore("LOG", "db1", "l1.trn", NORECOVERY=True)
    kit.restore("LOG", "db1", "tail.trn", NORECOVERY=True)
    assert kit.file()["redo_start_lsn"] == head["LastLSN"] and kit.file()["redo_start_fork_guid"] == head["RecoveryForkID"]
    fork = kit.server.find("db1").state.restore.fork
    kit.recover("db1")
    assert kit.ids() == [1, 2] and kit.db()["user_access_desc"] == "MULTI_USER"
    assert str(kit.recovery()["recovery_fork_guid"]) == fork  # nothing of the log was left out: no new fork


def test_the_tail_guard(kit):
    with raises(3159, 3013):
        kit.restore("DATABASE", "db1", "f.bak")
    kit.put("db1", 2)
    late = kit.server.clock.local().replace(year=2999).isoformat(timespec="milliseconds")
    with raises(3173, 3013):  # the commit after the last log backup is before the stop point
        kit.restore("DATABASE", "db1", "f.bak", STOPAT=late, NORECOVERY=True)
    with raises(3173, 3013):
        kit.restore("DATABASE", "db1", "f.bak", STOPATMARK=(f"lsn:{kit.server.find('db1').log.end.num}", None), NORECOVERY=True)
    kit.backup("log", "db1", "l2.trn")
    kit.restore("DATABASE", "db1", "f.bak", STOPAT=late, NORECOVERY=True)
    for file in ("l1.trn", "l2.trn"):
        assert 4322 in infos(kit.restore("LOG", "db1", file, STOPAT=late))
    kit.recover("db1")
    assert kit.ids() == [1, 2]


def test_the_other_database_guard(kit):
    """A tail does not help against the wrong backup."""
    kit.create("db2")
    kit.backup("full", "db2", "f2.bak")
    kit.backup("log", "db2", "tail2.trn", NORECOVERY=True)
    with raises(3154, 3013):
        kit.restore("DATABASE", "db2", "f.bak", MOVE=kit.move("db2"), NORECOVERY=True)
    assert kit.db("db2")["state_desc"] == "RESTORING"
    kit.restore("DATABASE", "db2", "f2.bak", NORECOVERY=True)
    kit.restore("LOG", "db2", "tail2.trn")
    assert kit.ids("db2") == []


def test_a_lost_data_file(kit):
    """The rows are gone, the log is not: NO_TRUNCATE saves what was committed last."""
    kit.put("db1", 2)
    os.unlink(kit.server.find("db1").path)
    with raises(3203, 3013):
        kit.backup("full", "db1", "x.bak")
    with raises(823) as caught:
        kit.ids()
    assert caught[0].error.cls == 24 and kit.db()["state_desc"] == "SUSPECT"
    with raises(926):
        kit.server.database("db1", kit.session)
    with raises(926, 3013):
        kit.backup("log", "db1", "no.trn", NORECOVERY=True)
    events = kit.backup("log", "db1", "tail.trn", NORECOVERY=True, NO_TRUNCATE=True)
    assert 3042 in infos(events)
    head = kit.header("tail.trn")[0]
    assert head["HasIncompleteMetaData"] and head["Flags"] & 128 and head["IsCopyOnly"] and kit.db()["state_desc"] == "RESTORING"
    kit.restore("DATABASE", "db1", "f.bak", NORECOVERY=True)
    kit.restore("LOG", "db1", "l1.trn", NORECOVERY=True)
    kit.restore("LOG", "db1", "tail.trn")
    assert kit.ids() == [1, 2]


def test_a_lost_data_file_at_start(kit):
    kit.put("db1", 2)
    kit.server.stop()
    os.unlink(kit.server.data_dir + "/db1.mdf")
    kit.server.start()
    kit.session = kit.server.internal_session()
    assert kit.db()["state_desc"] == "RECOVERY_PENDING"
    with raises(945, 3013):
        kit.backup("log", "db1", "no.trn")
    kit.backup("log", "db1", "tail.trn", NO_TRUNCATE=True)
    assert kit.db()["state_desc"] == "RECOVERY_PENDING"
    with raises(3159, 3013):  # that tail did not end the database
        kit.restore("DATABASE", "db1", "f.bak", NORECOVERY=True)
    kit.restore("DATABASE", "db1", "f.bak", NORECOVERY=True, REPLACE=True)
    kit.restore("LOG", "db1", "l1.trn", NORECOVERY=True)
    kit.restore("LOG", "db1", "tail.trn")
    assert kit.ids() == [1, 2]


def test_no_tail_of_offline_or_emergency(kit):
    alter(kit, ("OFFLINE", None), how="ROLLBACK IMMEDIATE")
    with raises(942, 3013):
        kit.backup("log", "db1", "x.trn", NO_TRUNCATE=True)
    alter(kit, ("ONLINE", None))
    kit.server.faults.state("db1", "EMERGENCY")
    with raises(3033, 3013):
        kit.backup("log", "db1", "x.trn", NO_TRUNCATE=True)


def test_in_use(kit):
    other = kit.server.internal_session("db1")
    with raises(3101, 3013):
        kit.backup("log", "db1", "tail.trn", NORECOVERY=True)
    with raises(3101, 3013):
        kit.restore("DATABASE", "db1", "f.bak", REPLACE=True)
    kit.server.kill(kit.session, other.spid)
    kit.backup("log", "db1", "tail.trn", NORECOVERY=True)
    undo = str(kit.root / "undo")
    kit.restore("DATABASE", "db1", STANDBY=undo)
    reader = kit.server.internal_session("db1")
    with raises(3101, 3013):  # STANDBY is readable: each next step needs the database for itself
        kit.restore("DATABASE", "db1", "f.bak", NORECOVERY=True)
    with raises(3101, 3013):
        kit.recover("db1")
    kit.server.kill(kit.session, reader.spid)
    kit.recover("db1")
    assert kit.ids() == [1]


def test_locks_name_who_is_in_the_way(kit):
    inside, writer = kit.server.internal_session("db1"), kit.server.internal_session("master")
    db = kit.server.find("db1")
    tran = db.begin(writer)
    seen = [(r["request_session_id"], r["resource_type"], r["request_mode"]) for r in kit.view("sys.dm_tran_locks")
            if r["resource_database_id"] == db.id]
    assert seen == [(inside.spid, "DATABASE", "S"), (writer.spid, "DATABASE", "S"), (writer.spid, "OBJECT", "IX")]
    db.rollback(tran)
    kit.security("CREATE LOGIN", name="plain", password="Backup!Pass1")
    with raises(300, 297):
        kit.view("sys.dm_tran_locks", session=kit.login("plain"))


def test_a_running_backup_is_in_the_way(kit):
    import threading
    session = kit.server.internal_session()
    kit.server.faults.hold_at("full", "opened")
    thread = threading.Thread(target=kit.backup, args=("full", "db1", "slow.bak"), kwargs={"session": session})
    thread.start()
    assert kit.server.faults.wait_held()
    assert [r["request_session_id"] for r in kit.view("sys.dm_tran_locks")] == [session.spid]
    with raises(3101, 3013):
        kit.backup("log", "db1", "tail.trn", NORECOVERY=True)
    with raises(3101, 3013):
        kit.restore("DATABASE", "db1", "f.bak", REPLACE=True)
    assert kit.db()["state_desc"] == "ONLINE"
    kit.server.faults.release()
    thread.join(10)
    kit.backup("log", "db1", "tail.trn", NORECOVERY=True)
    assert kit.db()["state_desc"] == "RESTORING"


def test_rollback_after_waits_so_long(kit):
    import time
    kit.server.internal_session("db1")
    began = time.monotonic()
    alter(kit, ("SINGLE_USER", None), how="ROLLBACK AFTER 1")
    assert time.monotonic() - began >= 1 and kit.db()["user_access_desc"] == "SINGLE_USER"
    began = time.monotonic()
    alter(kit, ("MULTI_USER", None), how="ROLLBACK AFTER 30")
    alter(kit, ("SINGLE_USER", None), how="ROLLBACK AFTER 30")  # nobody is there
    assert time.monotonic() - began < 10


def test_the_single_slot_can_be_taken(kit):
    alter(kit, ("SINGLE_USER", None), how="ROLLBACK IMMEDIATE")
    thief = kit.server.internal_session("db1")
    with raises(3101, 3013):
        kit.restore("DATABASE", "db1", "f.bak", REPLACE=True)
    with raises(5064, 5069):
        alter(kit, ("MULTI_USER", None))
    alter(kit, ("SINGLE_USER", None), how="ROLLBACK IMMEDIATE")
    assert thief.killed.is_set()
    kit.restore("DATABASE", "db1", "f.bak", REPLACE=True)


def test_two_restores_of_one_name(kit):
    import threading
    kit.server.faults.hold_at("restore_full", "chunk")
    thread = threading.Thread(target=kit.full_to, args=("a", "f.bak"), kwargs={"session": kit.server.internal_session()})
    thread.start()
    assert kit.server.faults.wait_held()
    with raises(3101, 3013):
        kit.full_to("a", "f.bak", REPLACE=True)
    with raises(3702):
        kit.server.drop_database(kit.session, "a")
    kit.server.faults.release()
    thread.join(10)
    assert [d.name for d in kit.server.dbs.values()].count("a") == 1
    kit.recover("a")


def test_rights(kit):
    kit.security("CREATE LOGIN", name="plain", password="Backup!Pass1")
    session = kit.login("plain")
    with raises(6102):
        kit.server.kill(session, kit.session.spid)
    with raises(6104):
        kit.server.kill(kit.session, kit.session.spid)
    with raises(6106):
        kit.server.kill(kit.session, 9999)
    with raises(5011, 5069):
        alter(kit, ("SINGLE_USER", None), how="ROLLBACK IMMEDIATE", session=session)
    with raises(3110, 3013):
        kit.restore("DATABASE", "db1", "f.bak", REPLACE=True, session=session)
    with raises(262, 3013):
        kit.full_to("a", "f.bak", session=session)
    kit.server.faults.grant_server("plain", "ALTER ANY CONNECTION")
    victim = kit.server.internal_session("db1")
    kit.server.kill(session, victim.spid)
    assert victim.killed.is_set()
    kit.server.faults.grant_server("plain", "CREATE ANY DATABASE")
    kit.full_to("a", "f.bak", session=session, NORECOVERY=False)
    assert kit.db("a")["owner_sid"] == kit.server.security.sid_of(session)
    kit.restore("DATABASE", "a", "f.bak", REPLACE=True, MOVE=kit.move("a"), session=session)  # the owner may


def test_a_log_of_another_history(kit):
    """The volume was reverted: LSNs come again with other rows on the same fork. The numbers fit, the rows do not."""
    kit.backup("full", "db1", "base.bak")
    kit.server.faults.volume_snapshot("s")
    kit.put("db1", 10, 11)
    kit.put("db1", 12)
    kit.backup("log", "db1", "old.trn")
    kit.server.faults.volume_revert("s")
    kit.session = kit.server.internal_session()
    kit.put("db1", 12, 10)
    kit.backup("log", "db1", "new1.trn")
    head, other = kit.header("old.trn")[0], kit.header("new1.trn")[0]
    assert head["FirstLSN"] == other["FirstLSN"] and head["RecoveryForkID"] == other["RecoveryForkID"]
    assert other["LastLSN"] < head["LastLSN"]
    kit.full_to("a", "base.bak")
    kit.restore("LOG", "a", "new1.trn", NORECOVERY=True)
    kit.restore("LOG", "a", "old.trn", NORECOVERY=True)  # First <= R <= Last, the fork is equal: nothing stands against it
    with raises(3456, 3013):
        kit.recover("a")
    assert kit.db("a")["state_desc"] == "SUSPECT" and kit.db()["state_desc"] == "ONLINE"
    kit.full_to("a", "base.bak", REPLACE=True)
    kit.restore("LOG", "a", "new1.trn")
    assert kit.ids("a") == [1, 10, 12]


def test_a_database_in_a_group(kit):
    kit.server.faults.availability_group("db1")
    assert kit.db()["replica_id"] is not None and kit.db()["group_database_id"] is not None
    with raises(3104, 3013):
        kit.restore("DATABASE", "db1", "f.bak", REPLACE=True)
    with raises(3104, 3013):
        kit.backup("log", "db1", "tail.trn", NORECOVERY=True)
    with raises(1468, 5069):
        alter(kit, ("SINGLE_USER", None), how="ROLLBACK IMMEDIATE")
    with raises(3752):
        kit.server.drop_database(kit.session, "db1")
    with raises(35220, 5069):
        alter(kit, ("HADR", "RESUME"))
    kit.backup("log", "db1", "l2.trn")
    kit.full_to("copy", "f.bak", NORECOVERY=False)
    assert kit.db("copy")["replica_id"] is None
    kit.restart()
    assert kit.db()["replica_id"] is not None
    alter(kit, ("HADR", "OFF"))
    kit.restore("DATABASE", "db1", "f.bak", REPLACE=True)
    assert kit.db()["replica_id"] is None


def test_database_snapshots(kit):
    kit.put("db1", 5)
    kit.server.faults.database_snapshot("db1", "db1_snap")
    kit.put("db1", 6)
    rows = {r["name"]: r for r in kit.view("sys.databases")}
    assert rows["db1_snap"]["source_database_id"] == rows["db1"]["database_id"] and rows["db1_snap"]["is_read_only"]
    assert kit.ids("db1_snap") == [1, 5] and kit.ids() == [1, 5, 6]
    with raises(3002, 3013):
        kit.backup("full", "db1_snap", "s.bak")
    with raises(3002, 3013):
        kit.restore("DATABASE", "db1_snap", "f.bak", REPLACE=True)
    with raises(3709, 3013):
        kit.restore("DATABASE", "db1", "f.bak", REPLACE=True)
    with raises(3709):
        kit.server.drop_database(kit.session, "db1")
    with raises(3906):
        kit.put("db1_snap", 7)
    kit.restart()
    assert kit.ids("db1_snap") == [1, 5]
    kit.server.drop_database(kit.session, "db1_snap")
    kit.restore("DATABASE", "db1", "f.bak", REPLACE=True)
    assert kit.ids() == []


def test_eviction_through_the_language(tmp_path):
    server = tsql_kit.start(tmp_path / "sql")
    client, user = tsql_kit.Client(server), tsql_kit.Client(server)
    full, tail = tmp_path / "f.bak", tmp_path / "t.trn"
    client.ok(f"CREATE DATABASE d; BACKUP DATABASE d TO DISK = '{full}'")
    user.ok("USE d; CREATE TABLE t (id int); INSERT t VALUES (1); BEGIN TRAN; INSERT t VALUES (2)")
    assert client.run(f"BACKUP LOG d TO DISK = '{tail}' WITH NORECOVERY").numbers == [3101, 3013]
    assert client.run(f"USE d; BACKUP LOG d TO DISK = '{tail}' WITH NORECOVERY").numbers == [3102, 3013]
    client.ok(f"USE master; ALTER DATABASE d SET SINGLE_USER WITH ROLLBACK IMMEDIATE; BACKUP LOG d TO DISK = '{tail}' WITH NORECOVERY, INIT")
    with pytest.raises(SessionKilled) as caught:
        user.run("SELECT 1")
    assert caught.value.error.number == 596
    client.ok(f"RESTORE DATABASE d FROM DISK = '{full}' WITH NORECOVERY; RESTORE LOG d FROM DISK = '{tail}' WITH NORECOVERY; "
              "RESTORE DATABASE d WITH RECOVERY")
    assert client.ok("SELECT id FROM d.dbo.t").rows[0][0] == 1 and client.value("(SELECT count(*) FROM d.dbo.t)") == 1
    server.stop()
