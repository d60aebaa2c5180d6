# SPDX-License-Identifier: Apache-2.0
"""RESTORE that is interrupted, slow, short of room, or made to fail; and where its files go."""

import os
import subprocess
import sys
import threading

import pytest

from sqlsim.contract import Cancelled, SessionKilled
from sqlsim.engine import wal
from sqlsim.selftest.engine_kit import Kit, infos, raises

ROWS = range(1000, 3000)


@pytest.fixture
def kit(tmp_path):
    kit = Kit(tmp_path)
    kit.create()
    kit.put("db1", *ROWS, text="i" * 800)
    kit.backup("full", "db1", "f.bak", CHECKSUM=True)
    kit.put("db1", 1)
    kit.backup("log", "db1", "l1.trn", CHECKSUM=True)
    kit.put("db1", 2)
    kit.backup("log", "db1", "l2.trn", CHECKSUM=True)
    yield kit
    kit.server.faults.clear()
    kit.server.stop()


def chain(kit, name="a"):
    kit.full_to(name, "f.bak", REPLACE=True)
    kit.restore("LOG", name, "l1.trn", NORECOVERY=True)
    kit.restore("LOG", name, "l2.trn")
    assert kit.ids(name)[:2] == [1, 2] and len(kit.ids(name)) == 2 + len(ROWS)


# -- room and places ----------------------------------------------------------------------------------------------------

def test_room_is_counted_per_volume(kit):
    big, small = kit.root / "big", kit.root / "small"
    for folder in (big, small):
        folder.mkdir()
    rows = kit.table(kit.restore("FILELISTONLY", "", "f.bak"))
    need = {r["Type"]: r["Size"] for r in rows}
    kit.server.faults.free_space(str(kit.root), bytes=sum(need.values()) - 1)
    with raises(3257, 3119, 3013) as caught:  # each file alone would fit
        kit.full_to("a", "f.bak")
    assert str(sum(need.values())) in caught[0].error.text and str(sum(need.values()) - 1) in caught[0].error.text
    assert kit.server.find("a") is None and not os.path.exists(kit.move("a")[0][1])
    with raises(3257, 3013):
        kit.restore("VERIFYONLY", "", "f.bak")
    kit.server.faults.free_space(str(big), bytes=need["D"])
    kit.server.faults.free_space(str(small), bytes=need["L"])
    move = [("db1", str(big / "a.mdf")), ("db1_log", str(small / "a.ldf"))]
    assert infos(kit.restore("VERIFYONLY", "", "f.bak", MOVE=move)) == [3262]
    kit.full_to("a", "f.bak", MOVE=move)
    # Over itself it needs nothing new, whatever is free.
    kit.server.faults.free_space(str(big), bytes=0)
    kit.server.faults.free_space(str(small), bytes=0)
    kit.full_to("a", "f.bak", MOVE=move)
    with raises(3257, 3257, 3119, 3013):
        kit.full_to("b", "f.bak", MOVE=[("db1", str(big / "b.mdf")), ("db1_log", str(small / "b.ldf"))])
    seen = {kit.function("sys.dm_os_volume_stats", kit.server.find("a").id, f)[0]["volume_mount_point"] for f in (1, 2)}
    assert seen == {str(big), str(small)}


def test_licensed_size(kit):
    rows = kit.table(kit.restore("FILELISTONLY", "", "f.bak"))
    size = next(r["Size"] for r in rows if r["Type"] == "D")
    kit.server.faults.size_limit(size - 1)
    with raises(1827, 3119, 3013):
        kit.full_to("a", "f.bak")
    kit.server.faults.size_limit()
    assert kit.server.size_limit == 0
    kit.server.faults.edition("Express Edition (64-bit)")
    assert kit.server.size_limit == 10 << 30
    kit.full_to("a", "f.bak")


def test_default_paths(kit):
    data, log = kit.root / "data2", kit.root / "log2"
    kit.server.faults.default_path("data", str(data))
    kit.server.faults.default_path("log", str(log))
    prop = lambda name: kit.server.scalar_function(kit.session, "master", "SERVERPROPERTY", [name])  # noqa: E731
    assert prop("InstanceDefaultDataPath") == f"{data}/" and prop("InstanceDefaultLogPath") == f"{log}/"
    kit.create("fresh")
    assert {r["physical_name"] for r in kit.view("sys.database_files", "fresh")} == {f"{data}/fresh.mdf", f"{log}/fresh_log.ldf"}
    kit.restart()
    assert kit.server.default_path("log") == str(log)
    with pytest.raises(ValueError):
        kit.server.faults.default_path("backup", "/x")
    # MOVE without a directory goes beside the instance's own files, and Windows' way of writing is understood.
    kit.full_to("a", "f.bak", MOVE=[("db1", "rel.mdf"), ("db1_log", "C:" + str(log).replace("/", "\\") + "\\rel.ldf")])
    assert {f.physical for f in kit.server.find("a").state.files} == {kit.server.data_dir + "/rel.mdf", f"{log}/rel.ldf"}


def test_a_directory_among_the_files(kit):
    """Memory-optimised data: a file of type S, which is a directory."""
    home = str(kit.root / "xtp")
    kit.server.alter_database(kit.session, "db1", [("ADD CONTAINER FILEGROUP", "mem")], None)
    kit.server.alter_database(kit.session, "db1", [("ADD FILE", {"NAME": "mem1", "FILENAME": home, "FILEGROUP": "mem"})], None)
    assert os.path.isdir(home)
    kit.backup("full", "db1", "x.bak")
    rows = kit.table(kit.restore("FILELISTONLY", "", "x.bak"))
    assert [(r["LogicalName"], r["Type"], r["FileGroupName"]) for r in rows] == [("db1", "D", "PRIMARY"), ("db1_log", "L", None), ("mem1", "S", "mem")]
    assert [(r["type"], r["type_desc"]) for r in kit.view("sys.database_files", "db1")] == [(0, "ROWS"), (1, "LOG"), (2, "FILESTREAM")]
    assert [r["type"] for r in kit.view("sys.filegroups", "db1")] == ["FG", "FX"]
    with raises(1834, 3156, 3119, 3013):
        kit.full_to("a", "x.bak")
    kit.full_to("a", "x.bak", MOVE=[*kit.move("a"), ("mem1", home + "2")], NORECOVERY=False)
    assert os.path.isdir(home + "2") and len(kit.ids("a")) == 2 + len(ROWS)
    kit.backup("log", "db1", "tail.trn", NORECOVERY=True)
    kit.restore("DATABASE", "db1", "x.bak")
    assert os.path.isdir(home)
    kit.server.drop_database(kit.session, "a")
    assert not os.path.exists(home + "2")
    kit.server.alter_database(kit.session, "db1", [("REMOVE FILE", "mem1")], None)
    assert not os.path.exists(home)


def test_directories_through_procedures(kit):
    call = lambda name, args: kit.table(_events(kit, name, args))  # noqa: E731
    root = str(kit.root / "made")
    _events(kit, "master.sys.xp_create_subdir", [root + "/a/b"])
    _events(kit, "xp_create_subdir", [root + "/a/b"])
    open(root + "/a/file.bak", "w").close()
    assert [(r["subdirectory"], r["depth"]) for r in call("xp_dirtree", [root])] == [("a", 1), ("b", 2)]
    assert [(r["subdirectory"], r["depth"], r["file"]) for r in call("xp_dirtree", [root, 0, 1])] == [("a", 1, 0), ("b", 2, 0), ("file.bak", 2, 1)]
    assert [r["subdirectory"] for r in call("xp_dirtree", [root, 1, 1])] == ["a"] and call("xp_dirtree", [root + "/none"]) == []
    assert list(call("xp_fileexist", [root + "/a/file.bak"])[0].values()) == [1, 0, 1]
    assert list(call("xp_fileexist", [root + "/a"])[0].values()) == [0, 1, 1]
    assert list(call("xp_fileexist", [root + "/x/y"])[0].values()) == [0, 0, 0]
    drives = call("xp_fixeddrives", [])
    assert drives[0]["drive"] == "C" and drives[0]["MB free"] == kit.view("sys.dm_os_enumerate_fixed_drives")[0]["free_space_in_bytes"] >> 20
    seen = kit.function("sys.dm_os_enumerate_filesystem", root, "*.bak")
    assert [(r["file_or_directory_name"], r["is_directory"]) for r in seen] == [("file.bak", False)]
    (kit.root / "plain").touch()
    with raises(22048):
        _events(kit, "xp_create_subdir", [str(kit.root / "plain" / "x")])


def _events(kit, name, args):
    events = []
    kit.server.procedure(kit.session, "master", name, dict(enumerate(args)), events.append)
    return events


def test_the_disk_fills_up(kit):
    target = kit.server.data_dir + "/a.mdf"
    kit.server.faults.enospc(target, after_bytes=1_200_000)
    with raises(3634, 3013) as caught:
        kit.full_to("a", "f.bak")
    assert "112(There is not enough space on the disk.)" in caught[0].error.text
    assert 0 < os.path.getsize(target) <= 1_200_000 and kit.db("a")["state_desc"] == "RESTORING"
    kit.server.faults.clear()
    kit.server.faults.eio(target, after_bytes=1_200_000)
    with raises(3634, 3013) as caught:
        kit.full_to("a", "f.bak", REPLACE=True)
    assert "1117(" in caught[0].error.text
    kit.server.faults.clear()
    chain(kit)


# -- made to fail -------------------------------------------------------------------------------------------------------

def test_fail_at_the_nth_file(kit):
    kit.server.faults.fail_restore(3203, "Read on \"x\" failed: 1117(x)", file=2)
    kit.full_to("a", "f.bak")
    before = kit.file("a")["redo_start_lsn"]
    with raises(3203, 3013):
        kit.restore("LOG", "a", "l1.trn", NORECOVERY=True)
    assert kit.file("a")["redo_start_lsn"] == before
    kit.restore("LOG", "a", "l1.trn", NORECOVERY=True)
    kit.restore("LOG", "a", "l2.trn")
    assert kit.ids("a")[:2] == [1, 2]


def test_fail_in_the_middle(kit):
    kit.server.faults.fail_restore(3634, "so it is", kind="full", after_bytes=1_000_000, database="A", count=2)
    kit.full_to("other", "f.bak")
    for _ in range(2):
        with raises(3634, 3013):
            kit.full_to("a", "f.bak", REPLACE=True)
        assert kit.db("a")["state_desc"] == "RESTORING" and kit.file("a")["redo_start_lsn"] is None
        with raises(4319, 3013):
            kit.restore("LOG", "a", "l1.trn", NORECOVERY=True)
        with raises(4333, 3013):
            kit.recover("a")
    chain(kit)
    kit.server.faults.fail_restore(3189, "all of them", kind="log", count=-1)
    kit.full_to("b", "f.bak")
    for _ in range(3):
        with raises(3189, 3013):
            kit.restore("LOG", "b", "l1.trn", NORECOVERY=True)
    kit.server.faults.clear()
    kit.restore("LOG", "b", "l1.trn", NORECOVERY=True)


def test_an_interrupted_full_takes_no_differential(kit):
    kit.backup("diff", "db1", "d.bak")
    kit.server.faults.fail_restore(kind="full", after_bytes=1_000_000)
    with raises(3203, 3013):
        kit.full_to("a", "f.bak")
    with raises(3136, 3013):
        kit.restore("DATABASE", "a", "d.bak", NORECOVERY=True)
    kit.full_to("a", "f.bak")
    kit.restore("DATABASE", "a", "d.bak")
    assert kit.ids("a")[:2] == [1, 2]


def test_slow_and_stuck(kit):
    """The pace of the slower side counts; a stuck statement stands at its percentage and can be cancelled."""
    import time
    size = kit.server.find("db1").data_size()
    for path in (str(kit.stage), kit.server.data_dir + "/a.mdf"):
        kit.server.faults.slow_io(bytes_per_s=size * 3, path=path)
        began = time.monotonic()
        kit.full_to("a", "f.bak", REPLACE=True)
        assert time.monotonic() - began > 0.25
        kit.server.faults.slow_io(path=path)
    session, errors = kit.server.internal_session(), []
    kit.server.faults.hold_at("restore_full", "chunk")

    def run():
        try:
            kit.full_to("a", "f.bak", REPLACE=True, session=session)
        except Cancelled as exc:
            errors.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    assert kit.server.faults.wait_held()
    row = next(r for r in kit.view("sys.dm_exec_requests") if r["session_id"] == session.spid)
    assert row["command"] == "RESTORE DATABASE" and 0 < row["percent_complete"] < 100 and row["wait_type"] == "BACKUPIO"
    assert row["reads"] > 0 and row["writes"] > 0 and row["estimated_completion_time"] > 0
    again = next(r for r in kit.view("sys.dm_exec_requests") if r["session_id"] == session.spid)
    assert [again[k] for k in ("reads", "writes", "cpu_time", "percent_complete")] == [
        row[k] for k in ("reads", "writes", "cpu_time", "percent_complete")]
    session.cancel.set()
    thread.join(10)
    assert errors and kit.db("a")["state_desc"] == "RESTORING"
    chain(kit)


@pytest.mark.parametrize("step", ["begin", "chunk", "data", "applied", "history", "recovering", "recovered", "done"])
@pytest.mark.parametrize("kind", ["restore_full", "restore_log"])
def test_session_lost_at_each_step(kit, kind, step):
    name, done = "a", step in ("recovered", "done")
    if kind == "restore_log":
        kit.full_to(name, "f.bak")
        kit.restore("LOG", name, "l1.trn", NORECOVERY=True)
    kit.server.faults.crash_after(kind, step)
    with pytest.raises(SessionKilled):
        if kind == "restore_full":
            kit.full_to(name, "f.bak", NORECOVERY=False, session=kit.server.internal_session())
        else:
            kit.restore("LOG", name, "l2.trn", session=kit.server.internal_session())
    assert kit.db(name)["state_desc"] == ("ONLINE" if done else "RESTORING")
    if not done:
        redo = kit.file(name)["redo_start_lsn"]
        if kind == "restore_full" and step in ("begin", "chunk", "data"):
            assert redo is None
        else:
            applied = step not in ("begin", "chunk", "data")
            last = kit.header("l2.trn" if applied else "l1.trn")[0] if kind == "restore_log" else kit.header("f.bak")[0]
            assert redo == last["LastLSN"]
    chain(kit)


EXIT = """
import sys
from sqlsim.selftest.engine_kit import Kit
kit = Kit(sys.argv[1])
kit.create()
kit.put("db1", *range(1000, 3000), text="i" * 800)
kit.backup("full", "db1", "f.bak")
kit.put("db1", 1)
kit.backup("diff", "db1", "d.bak")
kit.put("db1", 2)
kit.backup("log", "db1", "l.trn")
kit.server.faults.crash_after("restore_" + sys.argv[2], sys.argv[3], action="exit")
kit.full_to("a", "f.bak")
if sys.argv[2] != "full":
    kit.restore("DATABASE", "a", "d.bak", NORECOVERY=True)
kit.restore("LOG", "a", "l.trn", NORECOVERY=True)
kit.recover("a")
raise SystemExit("the step was not met")
"""


@pytest.mark.parametrize("kind, step", [(k, s) for k in ("full", "diff", "log") for s in ("begin", "chunk", "data", "applied", "history", "done")]
                         + [("recover", "recovering"), ("recover", "recovered")])
def test_server_dies_at_each_step(tmp_path, kind, step):
    """After a death anywhere the next RESTORE goes on from what redo_start_lsn says, and ends with the right rows."""
    done = subprocess.run([sys.executable, "-c", EXIT, str(tmp_path), kind, step], env={"PYTHONPATH": ":".join(p for p in sys.path if p)},
                          capture_output=True)
    assert done.returncode == 137, done.stderr
    kit = Kit(tmp_path)
    state = kit.db("a")["state_desc"]
    assert state == ("ONLINE" if step == "recovered" else "RESTORING")
    if state == "RESTORING":
        redo = kit.file("a")["redo_start_lsn"]
        if redo is None:  # a data backup was interrupted: the same again, or from the start
            if kind == "full":
                kit.full_to("a", "f.bak")
            kit.restore("DATABASE", "a", "d.bak", NORECOVERY=True)
        elif redo == kit.header("f.bak")[0]["LastLSN"]:
            kit.restore("DATABASE", "a", "d.bak", NORECOVERY=True)
        if kit.file("a")["redo_start_lsn"] < kit.header("l.trn")[0]["LastLSN"]:
            kit.restore("LOG", "a", "l.trn", NORECOVERY=True)
        kit.recover("a")
    assert kit.ids("a")[:2] == [1, 2] and len(kit.ids("a")) == 2002 and kit.ids() == kit.ids("a")
    kit.put("a", 7)
    kit.backup("log", "a", "after.trn")
    kit.server.stop()


# -- certificates -------------------------------------------------------------------------------------------------------

def test_certificates_come_and_go(kit, tmp_path):
    other = Kit(tmp_path, "sim2")
    kit.security("CREATE CERTIFICATE", name="tde")
    kit.security("CREATE DATABASE ENCRYPTION KEY", "db1", certificate="tde")
    kit.server.alter_database(kit.session, "db1", [("ENCRYPTION", "ON")], None)
    kit.backup("full", "db1", "t.bak")
    thumbprint = kit.view("sys.certificates")[0]["thumbprint"].hex()
    with raises(33111, 3013) as caught:
        other.full_to("a", "t.bak")
    assert thumbprint.upper() in caught[0].error.text
    assert other.server.faults.certificate("from-elsewhere", "0x" + thumbprint.upper()) == thumbprint
    other.full_to("a", "t.bak", NORECOVERY=False)
    other.server.faults.certificate("from-elsewhere", drop=True)
    with raises(33111, 3013):
        other.restore("VERIFYONLY", "", "t.bak")
    assert len(other.server.faults.certificate("another")) == 40
    # The way of the documentation: out with its private key, and in again.
    cert, key = str(kit.stage / "c.cer"), str(kit.stage / "c.key")
    kit.security("BACKUP CERTIFICATE", name="tde", file=cert, key_file=key)
    other.security("CREATE CERTIFICATE", name="public_only", file=cert)
    assert {r["name"]: r["pvt_key_encryption_type"] for r in other.view("sys.certificates")}["public_only"] == "NA"
    with raises(33111, 3013):
        other.restore("VERIFYONLY", "", "t.bak")
    other.security("CREATE CERTIFICATE", name="whole", file=cert, key_file=key)
    assert infos(other.restore("VERIFYONLY", "", "t.bak")) == [3262]
    with raises(15208):
        other.security("CREATE CERTIFICATE", name="none", file=str(kit.stage / "no.cer"))
    other.server.faults.certificate("x")
    other.security("BACKUP CERTIFICATE", name="x", file=cert + "2", key_file=key + "2")
    with raises(15297):
        other.security("CREATE CERTIFICATE", name="mixed", file=cert, key_file=key + "2")
    other.server.stop()


# -- damage on the way --------------------------------------------------------------------------------------------------

def test_every_flip_is_found_before_or_by_restore(kit):
    """Bits that flip anywhere in a set with checksums: VERIFYONLY WITH CHECKSUM refuses, RESTORE too, and the name stays free."""
    import random
    dice = random.Random(kit.server.name)
    for file in ("f.bak", "l1.trn"):
        data = (kit.stage / file).read_bytes()
        for _ in range(25):
            changed = bytearray(data)
            at = dice.randrange(len(data))
            changed[at] ^= 1 << dice.randrange(8)
            (kit.stage / "bad.bin").write_bytes(changed)
            try:
                kit.restore("VERIFYONLY", "", "bad.bin", CHECKSUM=True)
            except Exception as exc:
                assert exc.error.number in (3189, 3203, 3241, 3256, 3287), (file, at, exc)
                continue
            # What VERIFYONLY takes must give the right rows: the flip was in padding.
            kit.full_to("a", "bad.bin" if file == "f.bak" else "f.bak", REPLACE=True)
            kit.restore("LOG", "a", "bad.bin" if file == "l1.trn" else "l1.trn")
            assert kit.ids("a")[0] == 1 and len(kit.ids("a")) == 1 + len(ROWS), (file, at)


def test_a_damaged_log_record_without_checksums(kit):
    kit.put("db1", 3, text="w" * 300)
    kit.backup("log", "db1", "l3.trn")
    data = bytearray((kit.stage / "l3.trn").read_bytes())
    data[data.index(b"w" * 100)] ^= 1
    (kit.stage / "bad.trn").write_bytes(data)
    chain(kit)
    kit.full_to("b", "f.bak")
    for file in ("l1.trn", "l2.trn"):
        kit.restore("LOG", "b", file, NORECOVERY=True)
    with raises(3189, 3013):
        kit.restore("LOG", "b", "bad.trn", NORECOVERY=True)
    kit.restore("LOG", "b", "l3.trn")
    assert 3 in kit.ids("b")


def test_many_small_logs_are_quick(kit):
    """The time of a log does not grow with those before it: no quadratic work."""
    import time
    logs = []
    for number in range(120):
        kit.put("db1", 10_000 + number)
        logs.append(f"s{number}.trn")
        kit.backup("log", "db1", logs[-1])
    kit.full_to("a", "f.bak")
    for file in ("l1.trn", "l2.trn"):
        kit.restore("LOG", "a", file, NORECOVERY=True)
    reads = []
    scan = wal.LogFile._scan

    def counted(file, offset=wal.HEADER):
        for record in scan(file, offset):
            reads.append(1)
            yield record

    wal.LogFile._scan = staticmethod(counted)
    began = time.monotonic()
    try:
        for file in logs:
            kit.restore("LOG", "a", file, NORECOVERY=True)
    finally:
        wal.LogFile._scan = staticmethod(scan)
    assert len(reads) < 10 * len(logs), f"{len(reads)} records were read again, {time.monotonic() - began:.2f} s"
    kit.recover("a")
    assert kit.ids("a") == kit.ids()
