# SPDX-License-Identifier: Apache-2.0
"""BACKUP: messages, refusals, history, faults, what runs beside what."""

import datetime as dt
import threading
import time

import pytest

from sqlsim.contract import Cancelled, Done, Error, Info, SessionKilled
from sqlsim.selftest.engine_kit import Kit, infos, raises


@pytest.fixture
def kit(tmp_path):
    kit = Kit(tmp_path)
    yield kit
    kit.server.faults.clear()
    kit.server.stop()


class Background(threading.Thread):
    """A statement in a session of its own."""

    def __init__(self, kit, *args, **options):
        super().__init__()
        self.kit, self.args_, self.options = kit, args, options
        self.session = kit.server.internal_session()
        self.error = None
        self.events = []
        self.start()

    def run(self):
        try:
            self.events = self.kit.backup(*self.args_, session=self.session, **self.options)
        except BaseException as exc:
            self.error = exc

    def result(self):
        self.join(20)
        assert not self.is_alive()
        return self.error


def wait(condition, seconds=10):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "condition not met"
        time.sleep(0.002)


def held(kit, kind="full", step="opened", *args, **options):
    kit.server.faults.hold_at(kind, step)
    thread = Background(kit, *args, **options)
    assert kit.server.faults.wait_held()
    return thread


# -- messages ---------------------------------------------------------------------------------------------------------

def test_message_pattern(kit):
    kit.create()
    events = kit.backup("full", "db1", "a.bak")
    assert [type(e).__name__ for e in events] == ["Info", "Done"] * 3
    assert [e.number for e in events if isinstance(e, Info)] == [4035, 4035, 3014]
    assert all(e.cls == 0 and e.state == 1 for e in events if isinstance(e, Info))
    assert all(e.curcmd == 228 and e.count is None for e in events if isinstance(e, Done))
    assert events[0].text.endswith("file 'db1' on file 1.") and events[2].text.endswith("file 'db1_log' on file 1.")
    assert events[4].text.startswith("BACKUP DATABASE successfully processed ")
    log = kit.backup("log", "db1", "a.trn")
    assert infos(log) == [4035, 3014] and log[-1].curcmd == 235 and log[2].text.startswith("BACKUP LOG successfully")
    diff = kit.backup("diff", "db1", "d.bak")
    assert diff[-2].text.startswith("BACKUP DATABASE WITH DIFFERENTIAL successfully")


def test_percent_only_with_stats(kit):
    kit.create()
    kit.put("db1", *range(2000), text="s" * 500)
    events = kit.backup("full", "db1", "a.bak", STATS=10)
    shown = [e.text for e in events if isinstance(e, Info) and e.number == 3211]
    assert shown[-1] == "100 percent processed." and all(int(t.split()[0]) % 10 == 0 for t in shown)
    assert infos(events)[-1] == 3014


# -- refusals ---------------------------------------------------------------------------------------------------------

def test_what_cannot_be_backed_up(kit):
    for what, name, numbers in (("full", "nope", (911, 3013)), ("full", "tempdb", (3147, 3013)), ("log", "master", (4212, 3013)),
                                ("diff", "master", (3024, 3013)), ("log", "msdb", (4208, 3013)), ("log", "model", (4214, 3013))):
        with raises(*numbers) as caught:
            kit.backup(what, name, "x.bak")
        if numbers[0] == 911:
            assert caught[0].error.state == 11
    for name in ("master", "msdb", "model"):
        kit.backup("full", name, f"{name}.bak")


@pytest.mark.parametrize("state, number", [("SUSPECT", 926), ("RECOVERY_PENDING", 945), ("RECOVERING", 922), ("OFFLINE", 942),
                                           ("EMERGENCY", 3033)])
def test_states(kit, state, number):
    kit.create()
    kit.backup("full", "db1", "f.bak")
    kit.server.faults.state("db1", state)
    assert kit.db()["state_desc"] == state
    with raises(number, 3013):
        kit.backup("full", "db1", "x.bak")
    if state in ("SUSPECT", "RECOVERY_PENDING"):
        kit.backup("log", "db1", "tail.trn", NO_TRUNCATE=True)
        assert kit.header("tail.trn")[0]["IsCopyOnly"]
    kit.server.faults.state("db1", "ONLINE")
    kit.backup("full", "db1", "x.bak")


def test_restoring_and_standby(kit):
    kit.create()
    kit.backup("full", "db1", "f.bak")
    kit.full_to("a", "f.bak")
    with raises(927, 3013):
        kit.backup("full", "a", "x.bak")
    kit.restore("DATABASE", "a", STANDBY=str(kit.root / "undo"))
    with raises(3036, 3013):
        kit.backup("full", "a", "x.bak")


def test_single_user_held_by_another(kit):
    kit.create()
    other = kit.server.internal_session("db1")
    kit.server.alter_database(other, "db1", [("SINGLE_USER", None)], None)
    with raises(924, 3013):
        kit.backup("full", "db1", "x.bak")
    kit.server.session_closed(other)
    kit.backup("full", "db1", "x.bak")


def test_options(kit):
    kit.create()
    for option in ({"BLOCKSIZE": 1000}, {"BLOCKSIZE": 131072}, {"MAXTRANSFERSIZE": 100000}, {"MAXTRANSFERSIZE": 8 << 20}):
        with raises(3217, 3013):
            kit.backup("full", "db1", "x.bak", **option)
    with raises(3205, 3013):
        kit.backup("full", "db1", *[f"x{n}" for n in range(65)])
    kit.backup("full", "db1", "x.bak", BLOCKSIZE=4096, MAXTRANSFERSIZE=1 << 20, MEDIANAME="tapes", RETAINDAYS=3)
    with raises(4037, 3013):
        kit.backup("full", "db1", "x.bak", MEDIANAME="other")
    with raises(4030, 3013):
        kit.backup("full", "db1", "x.bak", INIT=True)
    kit.backup("full", "db1", "x.bak", INIT=True, SKIP=True)
    with raises(3201, 3013):
        kit.backup("full", "db1", "s3://host/bucket/x.bak")
    with raises(3083, 3013):
        kit.backup("full", "db1", "y.bak", METADATA_ONLY=True)
    with raises(3010, 3013):
        kit.backup("full", "db1", "y.bak", mirrors=[["z1.bak", "z2.bak"]], FORMAT=True)
    with raises(17441, 3013):
        kit.backup("full", "db1", "y.bak", COMPRESSION={"ALGORITHM": "QAT_DEFLATE"})
    with raises(33101, 3013):
        kit.backup("full", "db1", "y.bak", ENCRYPTION={"ALGORITHM": "AES_256", "SERVER CERTIFICATE": "none"})


@pytest.mark.parametrize("edition", ["Express Edition (64-bit)", "Web Edition (64-bit)"])
def test_no_compression_in_small_editions(kit, edition):
    kit.create()
    kit.server.faults.edition(edition)
    with raises(1844, 3013):
        kit.backup("full", "db1", "x.bak", COMPRESSION=True)
    kit.backup("full", "db1", "x.bak")


@pytest.mark.parametrize("major, algorithm, number", [(14, "MS_XPRESS", 102), (15, "ZSTD", 102), (16, "ZSTD", 155), (17, "ZSTD", 0),
                                                      (16, "MS_XPRESS", 0)])
def test_algorithms_by_version(tmp_path, major, algorithm, number):
    kit = Kit(tmp_path, version=(major, 0, 1000, 1))
    kit.create()
    if number:
        with raises(number) as caught:
            kit.backup("full", "db1", "x.bak", COMPRESSION={"ALGORITHM": algorithm})
        assert caught[0].error.cls == 15
    else:
        kit.backup("full", "db1", "x.bak", COMPRESSION={"ALGORITHM": algorithm})
        assert kit.header("x.bak")[0]["CompressionAlgorithm"] == algorithm
    kit.server.stop()


# -- history ----------------------------------------------------------------------------------------------------------

def test_history_equals_the_header(kit):
    kit.create()
    kit.backup("full", "db1", "f.bak", NAME="run", CHECKSUM=True)
    head, row = kit.header("f.bak")[0], kit.history()[-1]
    pairs = {"backup_set_uuid": "BackupSetGUID", "first_lsn": "FirstLSN", "last_lsn": "LastLSN", "checkpoint_lsn": "CheckpointLSN",
             "database_backup_lsn": "DatabaseBackupLSN", "backup_start_date": "BackupStartDate", "backup_finish_date": "BackupFinishDate",
             "name": "BackupName", "family_guid": "FamilyGUID", "database_guid": "BindingID", "flags": "Flags",
             "has_backup_checksums": "HasBackupChecksums", "last_valid_restore_time": "LastValidRestoreTime", "server_name": "ServerName"}
    assert {k: row[k] for k in pairs} == {k: head[v] for k, v in pairs.items()}
    assert row["type"] == "D" and row["backup_start_date"].microsecond == 0 and head["Flags"] == 512 + 16
    assert {f["logical_name"] for f in kit.view("dbo.backupfile", "msdb")} == {"db1", "db1_log"}


def test_no_history_before_success(kit):
    kit.create()
    thread = held(kit, "full", "written", "full", "db1", "f.bak")
    assert kit.history() == []
    kit.server.faults.release()
    assert thread.result() is None and len(kit.history()) == 1


def test_time_zone_in_quarter_hours(tmp_path):
    kit = Kit(tmp_path, timezone="+05:45")
    kit.create()
    kit.backup("full", "db1", "f.bak")
    head = kit.header("f.bak")[0]
    assert head["TimeZone"] == 23 and kit.history()[0]["time_zone"] == 23
    shift = head["BackupStartDate"] - dt.datetime.now(dt.timezone.utc).replace(tzinfo=None)
    assert 5.7 * 3600 < shift.total_seconds() <= 5.75 * 3600
    kit.server.stop()


def test_clean_up_procedures(kit):
    kit.create()
    kit.create("db2")
    for name in ("db1", "db2"):
        kit.backup("full", name, f"{name}.bak")
    run = kit.server.procedure
    run(kit.session, "msdb", "msdb.dbo.sp_delete_database_backuphistory", {"@database_name": "db1"}, lambda e: None)
    assert [r["database_name"] for r in kit.history()] == ["db2"]
    last = kit.history()[0]["backup_set_id"]
    run(kit.session, "msdb", "sp_delete_backuphistory", {"@oldest_date": dt.datetime(2000, 1, 1)}, lambda e: None)
    assert len(kit.history()) == 1
    run(kit.session, "msdb", "sp_delete_backuphistory", {"@oldest_date": "2999-01-01"}, lambda e: None)
    assert kit.history() == [] and kit.view("dbo.backupmediafamily", "msdb") == [] and kit.view("dbo.backupfile", "msdb") == []
    kit.backup("full", "db1", "again.bak")
    assert kit.history()[0]["backup_set_id"] > last
    with raises(2812):
        run(kit.session, "msdb", "sp_nothing", {}, lambda e: None)


# -- beside each other ------------------------------------------------------------------------------------------------

def test_log_backup_beside_a_full(kit):
    kit.create()
    kit.backup("full", "db1", "f0.bak")
    kit.put("db1", 1)
    thread = held(kit, "full", "data", "full", "db1", "f.bak")
    kit.put("db1", 2)
    kit.backup("log", "db1", "l1.trn")
    assert kit.db()["log_reuse_wait_desc"] == "ACTIVE_BACKUP_OR_RESTORE"
    size = kit.server.find("db1").log.size
    with raises(3023, 3013):
        kit.backup("full", "db1", "second.bak")
    with raises(3023, 3013):
        kit.backup("diff", "db1", "second.bak")
    with raises(3023, 5069):
        kit.server.alter_database(kit.session, "db1", [("ADD FILE", ("x", str(kit.root / "x.ndf")))], None)
    kit.server.faults.release()
    assert thread.result() is None
    assert kit.server.find("db1").log.size < size
    log, full = kit.header("l1.trn")[0], kit.header("f.bak")[0]
    assert log["DatabaseBackupLSN"] == kit.header("f0.bak")[0]["CheckpointLSN"] and log["LastLSN"] == full["LastLSN"]
    kit.full_to("a", "f.bak", RECOVERY=True, NORECOVERY=False)
    assert kit.ids("a") == [1, 2]


def test_truncation_is_real(kit):
    kit.create()
    kit.backup("full", "db1", "f.bak")
    kit.put("db1", *range(500), text="t" * 200)
    log = kit.server.find("db1").log
    grown = log.size
    assert kit.db()["log_reuse_wait_desc"] == "LOG_BACKUP" and b"t" * 200 in open(log.path, "rb").read()
    kit.backup("log", "db1", "c.trn", COPY_ONLY=True)
    assert log.size == grown
    kit.backup("log", "db1", "l.trn")
    assert log.size < grown // 10 and b"t" * 200 not in open(log.path, "rb").read()
    assert kit.db()["log_reuse_wait_desc"] == "NOTHING"


def test_simple_truncates_by_itself(kit):
    kit.create(model="SIMPLE")
    for first in range(0, 2000, 200):
        kit.put("db1", *range(first, first + 200), text="u" * 300)
    assert kit.server.find("db1").log.size < 200_000 and len(kit.ids()) == 2000


def test_log_full(kit):
    kit.create()
    kit.backup("full", "db1", "f.bak")
    kit.server.faults.log_limit("db1", 100_000)
    with raises(9002) as caught:
        for number in range(1000):
            kit.put("db1", number, text="v" * 1000)
    assert "due to 'LOG_BACKUP'" in caught[0].error.text and caught[0].error.cls == 17
    count = len(kit.ids())
    assert 10 < count < 100
    kit.backup("log", "db1", "l.trn")
    kit.put("db1", 5000)
    assert len(kit.ids()) == count + 1


def test_twenty_databases_every_second(kit):
    for number in range(20):
        kit.create(f"d{number}")
        kit.backup("full", f"d{number}", f"d{number}.bak")
    began = time.monotonic()
    errors = []

    def work(number):
        try:
            session = kit.server.internal_session()
            for turn in range(3):
                kit.put(f"d{number}", turn)
                kit.backup("log", f"d{number}", f"d{number}-{turn}.trn", session=session)
        except Exception as exc:
            errors.append(exc)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and len(kit.history()) == 80
    assert time.monotonic() - began < 30


# -- faults -----------------------------------------------------------------------------------------------------------

def test_disk_full(kit):
    kit.create()
    kit.backup("full", "db1", "f.bak")
    kit.put("db1", 1)
    before = kit.recovery()["last_log_backup_lsn"]
    kit.server.faults.enospc(str(kit.stage), after_bytes=9000)
    with raises(3202, 3271, 3013) as caught:
        kit.backup("log", "db1", "l.trn")
    assert "112(There is not enough space on the disk.)" in caught[0].error.text
    assert (kit.stage / "l.trn").stat().st_size == 9000
    assert kit.recovery()["last_log_backup_lsn"] == before and len(kit.history()) == 1
    kit.server.faults.enospc(str(kit.stage), off=True)
    kit.backup("log", "db1", "l.trn", INIT=True, FORMAT=True)
    kit.full_to("a", "f.bak")
    kit.restore("LOG", "a", "l.trn", RECOVERY=True)
    assert kit.ids("a") == [1]


def test_cannot_open(kit):
    kit.create()
    kit.server.faults.eacces(str(kit.stage))
    with raises(3201, 3013) as caught:
        kit.backup("full", "db1", "x.bak")
    assert caught[0].error.state == 1 and "5(Access is denied.)" in caught[0].error.text
    kit.server.faults.clear()
    for code, expected in ((None, "5(Access is denied.)"), (3, "3(The system cannot find the path specified.)")):
        kit.server.faults.missing_directory_code(code)
        with raises(3201, 3013) as caught:
            kit.backup("full", "db1", str(kit.root / "nowhere" / "x.bak"))
        assert expected in caught[0].error.text
    held_thread = held(kit, "full", "opened", "full", "db1", "x.bak")
    kit.create("db2")
    with raises(3201, 3013) as caught:
        kit.backup("full", "db2", "x.bak")
    assert "32(" in caught[0].error.text
    kit.server.faults.release()
    assert held_thread.result() is None


def test_missing_directory_on_2019(tmp_path):
    kit = Kit(tmp_path, version=(15, 0, 4385, 2))
    with raises(3201, 3013) as caught:
        kit.backup("full", "model", str(tmp_path / "nowhere" / "x.bak"))
    assert "2(The system cannot find the file specified.)" in caught[0].error.text
    kit.server.stop()


@pytest.mark.parametrize("how", ["cancel", "kill", "shutdown"])
def test_abort_leaves_a_partial_file(kit, how):
    kit.create()
    kit.put("db1", *range(2000), text="p" * 500)
    kit.server.faults.slow_io(bytes_per_s=1_000_000)
    thread = Background(kit, "full", "db1", "p.bak")
    wait(lambda: (kit.stage / "p.bak").exists() and (kit.stage / "p.bak").stat().st_size > 100_000)
    if how == "cancel":
        thread.session.cancel.set()
    elif how == "kill":
        kit.server.kill(kit.session, thread.session.spid)
    else:
        kit.server.stop()
    error = thread.result()
    assert isinstance(error, Cancelled if how == "cancel" else SessionKilled)
    if how == "kill":
        assert error.error.number == 596 and error.error.cls == 21
    if how == "shutdown":
        kit.server.faults.clear()
        kit.server.start()
        kit.session = kit.server.internal_session()
    assert 0 < (kit.stage / "p.bak").stat().st_size < 1_000_000 and kit.history() == []
    assert kit.file()["differential_base_guid"] is None
    assert kit.header("p.bak")[0]["BackupName"] == "*** INCOMPLETE ***"
    with open(kit.server.system_dir + "/errorlog") as lines:
        text = lines.read()
    assert "3041" in text and "995(The I/O operation has been aborted" in text
    kit.server.faults.clear()
    kit.backup("full", "db1", "p.bak", INIT=True)


def test_killed_backup_tells_why(kit):
    kit.create()
    kit.server.faults.hold_at("full", "opened")
    events = []
    session = kit.server.internal_session()

    def run():
        from sqlsim.contract import BackupStatement
        with pytest.raises(SessionKilled):
            kit.server.backup(session, BackupStatement("DATABASE", "db1", [kit.path("k.bak")], {}), events.append)

    thread = threading.Thread(target=run)
    thread.start()
    assert kit.server.faults.wait_held()
    kit.server.faults.kill(session.spid)
    thread.join(10)
    assert [e.number for e in events if isinstance(e, Error)] == [3271, 3204, 3013]


def test_shutdown_tells_why(kit):
    kit.create()
    thread = held(kit, "full", "opened", "full", "db1", "k.bak")
    kit.server.stop()
    error = thread.result()
    assert isinstance(error, SessionKilled) and error.error.number == 6005
    kit.server.start()
    kit.session = kit.server.internal_session()
    assert kit.history() == [] and kit.db()["state_desc"] == "ONLINE"


@pytest.mark.parametrize("step", ["begin", "opened", "data", "written", "state", "history", "done"])
def test_session_lost_at_each_step_never_loses_log(kit, step):
    """Whatever the client sees: the rows are in the file or still in the log."""
    kit.create()
    kit.backup("full", "db1", "f.bak")
    kit.put("db1", 1)
    kit.server.faults.crash_after("log", step)
    with pytest.raises(SessionKilled):
        kit.backup("log", "db1", "l1.trn", session=kit.server.internal_session())
    taken = step in ("state", "history", "done")
    moved = kit.recovery()["last_log_backup_lsn"] != kit.header("f.bak")[0]["FirstLSN"]
    assert moved == taken and len(kit.history()) == (2 if step in ("history", "done") else 1)
    kit.put("db1", 2)
    kit.backup("log", "db1", "l2.trn")
    kit.full_to("a", "f.bak")
    if taken:
        kit.restore("LOG", "a", "l1.trn", NORECOVERY=True)
    kit.restore("LOG", "a", "l2.trn", RECOVERY=True)
    assert kit.ids("a") == [1, 2]


def test_corrupt_page(kit):
    kit.create()
    kit.put("db1", *range(500), text="c" * 300)
    kit.backup("full", "db1", "good.bak", CHECKSUM=True)
    kit.server.faults.corrupt_page("db1", 7)
    with raises(3043, 3013) as caught:
        kit.backup("full", "db1", "bad.bak", CHECKSUM=True)
    assert "(1:7)" in caught[0].error.text
    row = kit.view("dbo.suspect_pages", "msdb")[0]
    assert row["page_id"] == 7 and row["error_count"] == 1
    kit.backup("log", "db1", "l.trn", CHECKSUM=True)
    kit.backup("full", "db1", "damaged.bak", CHECKSUM=True, CONTINUE_AFTER_ERROR=True, INIT=True)
    head = kit.header("damaged.bak")[0]
    assert head["IsDamaged"] and head["Flags"] & 32 and kit.history()[-1]["is_damaged"]
    with raises(3183, 3013):
        kit.full_to("a", "damaged.bak", REPLACE=True)
    kit.restore("DATABASE", "a", "damaged.bak", MOVE=kit.move("a"), CONTINUE_AFTER_ERROR=True, REPLACE=True)
    assert len(kit.ids("a")) == 500
    for name in ("db1", "a"):
        events = []
        kit.server.checkdb(kit.session, name, events.append)
        assert [e.number for e in events if isinstance(e, Error)] == [8939, 8928]
    events = []
    kit.server.checkdb(kit.session, "model", events.append)
    assert not any(isinstance(e, Error) for e in events)


def test_trace_flag_3226_hides_success(kit):
    kit.create()
    log = kit.server.system_dir + "/errorlog"
    kit.backup("full", "db1", "a.bak")
    with open(log) as lines:
        assert "pages dumped" in lines.read()
    kit.server.trace(kit.session, [3226], True)
    assert kit.server.trace(kit.session, [-1], None) == [(3226, 1, 1, 0)]
    open(log, "w").close()
    kit.backup("full", "db1", "b.bak")
    with open(log) as lines:
        assert "pages dumped" not in lines.read()


def test_read_only_log_repeats_its_work(kit):
    kit.create()
    kit.backup("full", "db1", "f.bak")
    kit.put("db1", 1)
    kit.server.alter_database(kit.session, "db1", [("READ_ONLY", None)], None)
    assert 4217 in infos(kit.backup("log", "db1", "r1.trn"))
    kit.backup("log", "db1", "r2.trn")
    one, two = kit.header("r1.trn")[0], kit.header("r2.trn")[0]
    assert one["FirstLSN"] == two["FirstLSN"] and one["LastLSN"] == two["LastLSN"] and one["IsReadOnly"]


def test_everything_at_once_loses_nothing(kit):
    """Writers, log backups, fulls and differentials beside each other; every chain then holds every acknowledged row."""
    kit.create()
    kit.backup("full", "db1", "f0.bak")
    done, errors, logs, fulls, diffs = threading.Event(), [], [], ["f0.bak"], []
    acknowledged = [[], []]

    def run(work):
        session = kit.server.internal_session()
        try:
            turn = 0
            while not done.is_set():
                work(session, turn)
                turn += 1
        except Exception as exc:
            errors.append(exc)

    def writer(which):
        def work(session, turn):
            number = turn * 2 + which
            db = kit.server.database("db1")
            tran = db.begin(session)
            tran.connection.execute('INSERT INTO "dbo.t" VALUES (?,?)', (number, "w" * 50))
            db.commit(tran)
            acknowledged[which].append(number)
            time.sleep(0.0005)
        return work

    def log(session, turn):
        kit.backup("log", "db1", f"l{turn}.trn", session=session)
        logs.append(f"l{turn}.trn")

    def data(session, turn):
        if turn % 3 == 0:
            kit.backup("full", "db1", f"f{turn + 1}.bak", session=session)
            fulls.append(f"f{turn + 1}.bak")
        else:
            kit.backup("diff", "db1", f"d{turn}.bak", session=session)
            diffs.append((fulls[-1], f"d{turn}.bak"))

    threads = [threading.Thread(target=run, args=(w,)) for w in (writer(0), writer(1), log, data)]
    for thread in threads:
        thread.start()
    wait(lambda: errors or (len(logs) > 20 and len(fulls) > 4 and len(diffs) > 6), 60)
    done.set()
    for thread in threads:
        thread.join()
    assert not errors
    kit.backup("log", "db1", "last.trn")
    logs.append("last.trn")
    rows = sorted(acknowledged[0] + acknowledged[1])
    assert kit.ids() == rows
    starts = [(f, None) for f in (fulls[0], fulls[-1])] + [diffs[0], diffs[-1]]
    for full, diff in starts:
        kit.full_to("a", full, REPLACE=True)
        if diff:
            kit.restore("DATABASE", "a", diff, NORECOVERY=True)
        for file in logs:
            try:
                kit.restore("LOG", "a", file, NORECOVERY=True)
            except Exception as exc:
                assert exc.error.number == 4326, exc
        kit.restore("DATABASE", "a", RECOVERY=True)
        assert kit.ids("a") == rows, (full, diff)
