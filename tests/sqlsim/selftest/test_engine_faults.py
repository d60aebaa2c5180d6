# SPDX-License-Identifier: Apache-2.0
"""Faults that have no place in the other tests, and the rarer errors."""

import os

import pytest

from sqlsim.contract import Login
from sqlsim.selftest.engine_kit import PASSWORD, Kit, infos, raises, raises_any

ANY_STATEMENT = (701, 802, 845, 921, 941, 952, 954, 976, 978, 983, 988, 1204, 1205, 1222, 3059, 3062, 3104, 5149, 8645, 8651, 9001, 9004,
                 15404, 35250)
ANY_LOGIN = (17142, 17187, 17188, 17189, 17809, 17892, 18401, 18451, 18452, 18461, 18470, 18486, 18487, 18488, 18456)


@pytest.fixture
def kit(tmp_path):
    kit = Kit(tmp_path)
    kit.create()
    kit.backup("full", "db1", "f.bak")
    yield kit
    kit.server.faults.clear()
    kit.server.stop()


@pytest.mark.parametrize("number", ANY_STATEMENT)
def test_fail_next(kit, number):
    kit.server.faults.fail_next("log", number, "so it is", 17, count=2)
    kit.backup("full", "db1", "g.bak")
    for _ in range(2):
        with raises(number, 3013) as caught:
            kit.backup("log", "db1", "l.trn")
        assert caught[0].error.cls == 17 and caught[0].error.text == "so it is"
    kit.backup("log", "db1", "l.trn")


@pytest.mark.parametrize("number", ANY_LOGIN)
def test_login_errors(kit, number):
    kit.server.faults.login_error(number)
    with raises(number) as caught:
        kit.server.faults.on_login(Login("sa", PASSWORD))
    assert caught[0].error.cls == 14 and "{" not in caught[0].error.text
    kit.server.faults.on_login(Login("sa", PASSWORD))


def test_io_errors(kit):
    kit.server.faults.eio(str(kit.stage), after_bytes=4096)
    with raises(3202, 3271, 3013) as caught:
        kit.backup("full", "db1", "x.bak")
    assert "1117(" in caught[0].error.text
    with raises(3201, 3013) as caught:
        kit.header("f.bak")
    assert "1117(" in caught[0].error.text


def test_free_space(kit):
    kit.server.faults.free_space(kit.server.data_dir, bytes=1000)
    assert kit.function("sys.dm_os_volume_stats", 5, 1)[0]["available_bytes"] == 1000
    with raises(3257, 3119, 3013):
        kit.full_to("a", "f.bak")
    with raises(3257, 3013):
        kit.restore("VERIFYONLY", "", "f.bak")
    kit.server.faults.free_space(kit.server.data_dir)
    kit.full_to("a", "f.bak")


def test_not_inside_a_transaction(kit):
    db = kit.server.database("db1")
    tran = db.begin(kit.session)
    with raises(3021, 3013) as caught:
        kit.backup("full", "db1", "x.bak")
    assert caught[0].error.state == 0
    with raises(3021, 3013):
        kit.full_to("a", "f.bak")
    db.rollback(tran)
    kit.backup("full", "db1", "x.bak")


def test_history_trouble_is_an_info(kit):
    kit.server.faults.state("msdb", "SUSPECT")
    events = kit.backup("log", "db1", "l.trn")
    assert infos(events).count(3009) == 1 and infos(events)[-1] == 3014
    assert 3009 in infos(kit.full_to("a", "f.bak"))
    kit.server.faults.state("msdb", "ONLINE")
    assert len(kit.history()) == 1 and kit.header("l.trn")[0]["BackupSetGUID"]


def test_other_build_for_system_databases(kit, tmp_path):
    other = Kit(tmp_path, "sim2", version=(16, 0, 4100, 1))
    kit.backup("full", "msdb", "msdb.bak")
    with raises(3168, 3013):
        other.restore("DATABASE", "msdb", "msdb.bak", REPLACE=True)
    other.server.stop()


def test_stopat_in_simple(kit):
    kit.create("s", model="SIMPLE")
    kit.backup("full", "s", "s.bak")
    with raises(3145, 3013):
        kit.full_to("a", "s.bak", "s", STOPAT="2999-01-01T00:00:00")


def test_users_and_locks(kit):
    kit.security("CREATE LOGIN", name="someone", password="Backup!Pass1")
    kit.security("CREATE USER", "db1", name="someone")
    kit.server.alter_database(kit.session, "db1", [("RESTRICTED_USER", None)], None)
    with raises(923):
        kit.server.database("db1", kit.login("someone"))
    kit.server.alter_database(kit.session, "db1", [("MULTI_USER", None)], None)
    other = kit.server.internal_session("db1")
    with raises(5030, 5069):
        kit.server.alter_database(kit.session, "db1", [("MODIFY NAME", "x")], None)
    kit.server.alter_database(other, "db1", [("SINGLE_USER", None)], None)
    with raises(5064, 5069):
        kit.server.alter_database(kit.session, "db1", [("MULTI_USER", None)], None)


def test_files_that_are_gone_or_denied(kit):
    kit.server.alter_database(kit.session, "db1", [("OFFLINE", None)], None)
    path = kit.server.find("db1").path
    os.rename(path, path + ".away")
    with raises(5120, 5069):
        kit.server.alter_database(kit.session, "db1", [("ONLINE", None)], None)
    os.rename(path + ".away", path)
    kit.server.alter_database(kit.session, "db1", [("ONLINE", None)], None)
    kit.server.faults.eacces(kit.server.data_dir)
    with raises(5123, 1802):
        kit.server.create_database(kit.session, "new", {})
    with raises(3634, 3156, 3634, 3156, 3119, 3013):
        kit.full_to("a", "f.bak")
    with raises(5009, 5069):
        kit.server.alter_database(kit.session, "db1", [("REMOVE FILE", "none")], None)


def test_a_missing_file_is_recovery_pending(kit):
    kit.create("db2")
    kit.server.stop()
    log = kit.server.data_dir + "/db1_log.ldf"
    os.rename(log, log + ".away")
    kit.server.start()
    kit.session = kit.server.internal_session()
    assert kit.db()["state_desc"] == "RECOVERY_PENDING" and kit.db("db2")["state_desc"] == "ONLINE"
    with raises(945):
        kit.server.database("db1", kit.session)
    with raises(945, 3013):
        kit.backup("full", "db1", "x.bak")
    os.rename(log + ".away", log)
    kit.restart()
    assert kit.db()["state_desc"] == "ONLINE" and kit.ids() == []


def test_s3_is_unknown_before_2022(tmp_path):
    kit = Kit(tmp_path, version=(15, 0, 4385, 2))
    with raises(3224, 3013):
        kit.backup("full", "model", "s3://host/bucket/x.bak")
    kit.server.stop()


def test_commit_without_begin(kit):
    db = kit.server.database("db1")
    tran = db.begin(kit.session)
    db.rollback(tran)
    with raises(3902):
        db.commit(tran)


def test_rollback_leaves_nothing(kit):
    from sqlsim.contract import Column, SqlType, TableDef
    db = kit.server.database("db1")
    end = db.log.end
    tran = db.begin(kit.session)
    db.create_table(tran, TableDef("gone", [Column("a", SqlType("int"))]))
    tran.connection.execute('INSERT INTO "dbo.gone" VALUES (1)')
    assert "dbo.gone" in db.tables(tran) and "dbo.gone" not in db.tables()
    tran.connection.execute('INSERT INTO "dbo.t" VALUES (1, NULL)')
    tran.connection.execute("SAVEPOINT a")
    tran.connection.execute('INSERT INTO "dbo.t" VALUES (2, NULL)')
    tran.connection.execute("ROLLBACK TO a")
    db.rollback(tran)
    assert db.log.end == end and db.tables().keys() == {"dbo.t"} and kit.ids() == []
    tran = db.begin(kit.session)
    tran.connection.execute('INSERT INTO "dbo.t" VALUES (3, NULL)')
    tran.connection.execute("SAVEPOINT a")
    tran.connection.execute('DELETE FROM "dbo.t"')
    tran.connection.execute("ROLLBACK TO a")
    db.commit(tran)
    kit.backup("log", "db1", "l.trn")
    kit.full_to("a", "f.bak")
    kit.restore("LOG", "a", "l.trn")
    assert kit.ids("a") == kit.ids() == [3]


def test_every_kind_of_change_is_redone(kit):
    from sqlsim.contract import Column, SqlType, TableDef
    wide = [Column(f"c{n}", SqlType("int")) for n in range(130)]
    with kit.writing("db1") as tran:
        db = tran.database
        db.create_table(tran, TableDef("wide", wide))
        run = tran.connection.execute
        run(f'INSERT INTO "dbo.wide" VALUES ({", ".join(str(n) for n in range(130))})')
        run('INSERT INTO "dbo.t" VALUES (1, ?), (2, ?), (3, NULL)', ("ä\n\"x\"", b"\x00\xff"))
        run('UPDATE "dbo.t" SET id = 10, v = \'moved\' WHERE id = 1')
        run('DELETE FROM "dbo.t" WHERE id = 3')
        assert tran.next_identity("t", 5, 10, 3) == 5 and tran.next_identity("t", 5, 10) == 35
        db.alter_table(tran, TableDef("wide", [*wide, Column("extra", SqlType("nvarchar", 10))]))
        run('UPDATE "dbo.wide" SET extra = \'late\'')
        tran.execute_ddl('CREATE INDEX "ix" ON "dbo.t" ("v")')
    with kit.writing("db1") as tran:
        tran.connection.execute('INSERT OR REPLACE INTO "dbo.t" VALUES (2, \'again\')')
    kit.create("db2")
    kit.backup("log", "db1", "l.trn")
    kit.full_to("a", "f.bak")
    kit.restore("LOG", "a", "l.trn")

    def content(name):
        db = kit.server.database(name)
        reader = db.reader()
        try:
            return [reader.execute(f'SELECT * FROM "{t}" ORDER BY 1').fetchall() for t in ("dbo.t", "dbo.wide", "sys.identities")], db.tables()
        finally:
            reader.close()

    assert content("a") == content("db1")
    assert content("a")[0][1][0][-1] == "late"
    with kit.writing("a") as tran:
        tran.database.drop_table(tran, "wide")
    assert kit.server.database("a").tables().keys() == {"dbo.t"}


def test_free_random_history(kit):
    """A random life: whatever the engine acknowledged comes back from the files alone."""
    import random
    seed = random.randrange(1 << 30)
    print("seed", seed)
    dice = random.Random(seed)
    sets, number = [("full", "f.bak", [])], 0
    for turn in range(120):
        what = dice.choice(["put"] * 8 + ["log"] * 3 + ["full", "diff", "copy", "restart", "copylog"])
        if what == "put":
            number += 1
            kit.put("db1", number)
        elif what == "restart" and turn % 7 == 0:
            kit.restart()
        elif what in ("full", "diff", "log"):
            file = f"{turn}.{what}"
            kit.backup(what, "db1", file, COMPRESSION=dice.random() < 0.3)
            sets.append((what, file, kit.ids()))
        elif what == "copy":
            kit.backup("full", "db1", "copy.bak", COPY_ONLY=True, FORMAT=True)
        elif what == "copylog":
            kit.backup("log", "db1", "copy.trn", COPY_ONLY=True, FORMAT=True)
    kit.backup("log", "db1", "last.log")
    sets.append(("log", "last.log", kit.ids()))
    for start in [i for i, s in enumerate(sets) if s[0] == "full"]:
        kit.full_to("a", sets[start][1], REPLACE=True)
        for kind, file, _ in [s for s in sets[start + 1:] if s[0] == "log"]:
            kit.restore("LOG", "a", file, NORECOVERY=True)
        kit.recover("a")
        assert kit.ids("a") == kit.ids(), (seed, sets[start])
    for at, (kind, file, rows) in enumerate(sets):
        if kind != "diff":
            continue
        base = max(i for i, s in enumerate(sets[:at]) if s[0] == "full")
        kit.full_to("a", sets[base][1], REPLACE=True)
        kit.restore("DATABASE", "a", file, RECOVERY=True)
        assert kit.ids("a") == rows, (seed, file)


EXIT = """
import sys
from sqlsim.selftest.engine_kit import Kit
kit = Kit(sys.argv[1])
kit.create()
kit.backup("full", "db1", "f.bak")
kit.put("db1", 1)
kit.server.faults.crash_after(sys.argv[2], sys.argv[3], action="exit")
kit.backup(sys.argv[2], "db1", "x.set")
raise SystemExit("the step was not met")
"""


@pytest.mark.parametrize("kind", ["log", "full", "diff"])
@pytest.mark.parametrize("step", ["begin", "opened", "data", "written", "state", "history", "done"])
def test_process_dies_at_each_step(tmp_path, kind, step):
    """After a death at any step, what is in the files together restores every row."""
    import subprocess
    import sys
    paths = ":".join(p for p in sys.path if p)
    done = subprocess.run([sys.executable, "-c", EXIT, str(tmp_path), kind, step], env={"PYTHONPATH": paths}, capture_output=True)
    assert done.returncode == 137, done.stderr
    kit = Kit(tmp_path)
    assert kit.ids() == [1] and kit.server.find("db1").holds == {}
    complete = step in ("written", "state", "history", "done")
    heads = kit.header("x.set") if step != "begin" and (kit.stage / "x.set").stat().st_size else []
    assert [h["BackupName"] for h in heads if h["BackupName"] != "*** INCOMPLETE ***"] == ([None] if complete else [])
    assert len(kit.history()) == (2 if step in ("history", "done") else 1)
    kit.put("db1", 2)
    kit.backup("log", "db1", "l2.trn")
    first = kit.header("l2.trn")[0]["FirstLSN"]
    kit.full_to("a", "f.bak")
    if kind == "log" and step in ("state", "history", "done"):
        assert kit.header("x.set")[0]["LastLSN"] == first
        kit.restore("LOG", "a", "x.set", NORECOVERY=True)
    kit.restore("LOG", "a", "l2.trn")
    assert kit.ids("a") == [1, 2]
    adopted = kind == "full" and step in ("state", "history", "done")
    base = kit.file()["differential_base_guid"]
    assert (base != kit.header("f.bak")[0]["BackupSetGUID"]) == adopted
    kit.server.stop()


def test_a_closed_database_shows_nulls_until_it_is_used(kit):
    kit.server.alter_database(kit.session, "db1", [("AUTO_CLOSE", "ON")], None)
    kit.server.faults.auto_close("db1")
    assert kit.recovery()["recovery_fork_guid"] is None and kit.db()["state_desc"] == "ONLINE"
    kit.backup("log", "db1", "l.trn")
    assert kit.recovery()["last_log_backup_lsn"] == kit.header("l.trn")[0]["LastLSN"]


def test_a_copied_directory_is_another_server(kit, tmp_path):
    import shutil
    kit.put("db1", 1)
    kit.server.stop()
    shutil.copytree(kit.server.data_dir, tmp_path / "sim9")
    kit.server.start()
    kit.session = kit.server.internal_session()
    other = Kit(tmp_path, "sim9")
    assert other.file()["physical_name"].startswith(str(tmp_path / "sim9"))
    other.put("db1", 2)
    assert other.ids() == [1, 2] and kit.ids() == [1]
    other.server.stop()


def test_create_options(kit):
    folder = kit.server.data_dir
    kit.server.create_database(kit.session, "opt", {
        "DATA": [{"NAME": "opt_data", "FILENAME": f"{folder}/o1.mdf"}, {"NAME": "opt_more", "FILENAME": f"{folder}/o2.ndf"}],
        "LOG": [{"NAME": "opt_log", "FILENAME": f"{folder}/o.ldf", "MAXSIZE": "1MB"}], "COLLATE": "Latin1_General_BIN2"})
    assert kit.db("opt")["collation_name"] == "Latin1_General_BIN2" and kit.server.find("opt").state.log_limit == 1 << 20
    assert [(f["file_id"], f["name"]) for f in kit.view("sys.database_files", "opt")] == [(1, "opt_data"), (2, "opt_log"), (3, "opt_more")]
    kit.server.alter_database(kit.session, "opt", [("MODIFY FILE", {"NAME": "opt_data", "NEWNAME": "first"})], None)
    kit.backup("full", "opt", "o.bak")
    names = [r["LogicalName"] for r in kit.table(kit.restore("FILELISTONLY", "", "o.bak"))]
    assert names == ["first", "opt_log", "opt_more"]
    for options in ({"FOR": "ATTACH"}, {"AS SNAPSHOT OF": "db1"}):
        with raises(1844):
            kit.server.create_database(kit.session, "x", options)
    with raises(5041, 5069):
        kit.server.alter_database(kit.session, "opt", [("MODIFY FILE", {"NAME": "none"})], None)
    for option in ("PAGE", "PARTIAL", "DATABASE_SNAPSHOT"):
        with raises(1844, 3013):
            kit.restore("DATABASE", "opt", "o.bak", **{option: "x"})
    with raises(1844, 3013):
        kit.backup("full", "opt", "p.bak", FILES=[("FILE", "first")])


def test_a_death_while_creating_leaves_no_files(tmp_path):
    kit = Kit(tmp_path)
    made = kit.server.database("model").state
    from sqlsim.engine import databases
    state = databases.store.DbState(9, "half", made.create_date, creating=True)
    state.files = [databases.store.FileState(1, 0, "half", kit.server.data_dir + "/half.mdf"),
                   databases.store.FileState(2, 1, "half_log", kit.server.data_dir + "/half_log.ldf")]
    kit.server.store.save(state)
    open(kit.server.data_dir + "/half.mdf", "w").close()
    kit.restart()
    assert kit.server.find("half") is None and not os.path.exists(kit.server.data_dir + "/half.mdf")
    kit.create("half")
    kit.server.stop()


def test_a_really_full_volume(tmp_path):
    """Data and log on a tmpfs of 6 MB: commits are refused, none is half done, room makes them possible again."""
    import shutil
    import subprocess
    volume = tmp_path / "volume"
    volume.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(volume)], capture_output=True)
    if mounted.returncode:
        pytest.fail("this test mounts a tmpfs and needs the right to do so")
    try:
        kit = Kit(volume)
        kit.create()
        kit.backup("full", "db1", str(tmp_path / "f.bak"))
        with open(volume / "ballast", "wb") as ballast:
            ballast.write(bytes(max(0, shutil.disk_usage(volume).free - 1_500_000)))
        acknowledged = []
        with raises_any(9002, 1105):
            for number in range(10000):
                kit.put("db1", number, text="v" * 2000)
                acknowledged.append(number)
        assert kit.ids() == acknowledged and len(acknowledged) > 10
        os.unlink(volume / "ballast")
        kit.put("db1", 20000)
        kit.restart()
        assert kit.ids() == [*acknowledged, 20000]
        kit.backup("log", "db1", str(tmp_path / "l.trn"))
        kit.server.stop()
        other = Kit(tmp_path, "sim2")
        other.full_to("db1", str(tmp_path / "f.bak"))
        other.restore("LOG", "db1", str(tmp_path / "l.trn"))
        assert other.ids() == [*acknowledged, 20000]
        other.server.stop()
    finally:
        subprocess.run(["umount", "-l", str(volume)], check=True)
