# SPDX-License-Identifier: Apache-2.0
"""DBCC CHECKDB and its relatives: damage travels in backups and is found where it arrives."""

import pytest

from sqlsim.contract import Columns, Error, Info, Row, SessionKilled
from sqlsim.selftest import tsql_kit
from sqlsim.selftest.engine_kit import Kit, infos, raises


@pytest.fixture
def kit(tmp_path):
    kit = Kit(tmp_path)
    kit.create()
    kit.put("db1", *range(400), text="d" * 90)
    yield kit
    kit.server.faults.clear()
    kit.server.stop()


def check(kit, name="db1", command="CHECKDB", *options, table="", session=None, args=()):
    events = []
    kit.server.checkdb(session or kit.session, name, events.append, command, options, args, table)
    return events


def found(events):
    return [e.number for e in events if isinstance(e, Error)]


def test_a_clean_database(kit):
    events = check(kit)
    assert not found(events) and infos(events)[0] == 2536 and infos(events)[-1] == 8989
    assert any(e.number == 2593 and 'There are 400 rows in' in e.text and 'object "t"' in e.text for e in events if isinstance(e, Info))
    assert check(kit, "db1", "CHECKDB", "NO_INFOMSGS", "ALL_ERRORMSGS") == []
    assert check(kit, "db1", "CHECKDB", "NO_INFOMSGS", "TABLERESULTS") == []  # no result set at all, as on a real server
    assert infos(check(kit, "db1", "CHECKDB", "PHYSICAL_ONLY")) == [2536, 8989]


def test_a_bad_page_of_a_table(kit):
    page = kit.server.faults.corrupt_page("db1", table="t")
    events = check(kit, "db1", "CHECKDB", "NO_INFOMSGS", "ALL_ERRORMSGS", "PHYSICAL_ONLY")
    assert found(events) == [8939, 8928, 8976] and infos(events) == [8990, 8989, 8958]
    number = kit.view("sys.tables", "db1")[0]["object_id"]
    first = next(e for e in events if isinstance(e, Error))
    assert first.state == 98 and first.cls == 16 and f"Object ID {number}, index ID 1" in first.text and f"page (1:{page})" in first.text
    texts = [e.text for e in events if isinstance(e, Info)]
    assert texts[0] == f"CHECKDB found 0 allocation errors and 3 consistency errors in table 't' (object ID {number})."
    assert texts[1] == "CHECKDB found 0 allocation errors and 3 consistency errors in database 'db1'."
    assert texts[2] == "repair_allow_data_loss is the minimum repair level for the errors found by DBCC CHECKDB (db1)."
    assert [(r["page_id"], r["event_type"]) for r in kit.view("dbo.suspect_pages", "msdb")] == [(page, 2)]
    kit.server.faults.corrupt_page("db1", page, repair=True)
    assert found(check(kit)) == []


def test_table_results(kit):
    page = kit.server.faults.corrupt_page("db1", table="t")
    events = check(kit, "db1", "CHECKDB", "NO_INFOMSGS", "TABLERESULTS")
    assert not found(events) and not infos(events)
    columns = [c.name for c in events[0].columns]
    assert columns == ["Error", "Level", "State", "MessageText", "RepairLevel", "Status", "DbId", "DbFragId", "ObjectId", "IndexId",
                       "PartitionId", "AllocUnitId", "RidDbId", "RidPruId", "File", "Page", "Slot", "RefDbId", "RefPruId", "RefFile",
                       "RefPage", "RefSlot", "Allocation"]
    rows = [dict(zip(columns, e.values)) for e in events if isinstance(e, Row)]
    assert [(r["Error"], r["Level"], r["RepairLevel"], r["Page"]) for r in rows] == [
        (8939, 16, "repair_allow_data_loss", page), (8928, 16, "repair_allow_data_loss", page), (8976, 16, "repair_allow_data_loss", page),
        (8990, 10, None, 0), (8989, 10, None, 0)]
    assert all(r["DbId"] == kit.server.find("db1").id for r in rows)
    with_infos = check(kit, "db1", "CHECKDB", "TABLERESULTS")
    assert isinstance(with_infos[0], Columns) and any(isinstance(e, Row) and e.values[0] == 2593 for e in with_infos)


def test_damage_travels_without_checksums(kit):
    """A backup without CHECKSUM sees nothing, RESTORE sees nothing, CHECKDB of the copy does."""
    page = kit.server.faults.corrupt_page("db1", table="t")
    kit.backup("full", "db1", "silent.bak")
    assert not kit.header("silent.bak")[0]["IsDamaged"]
    assert infos(kit.restore("VERIFYONLY", "", "silent.bak")) == [3262]
    events = kit.full_to("a", "silent.bak", NORECOVERY=False)
    assert 3184 not in infos(events) and 3188 not in infos(events)
    assert found(check(kit, "a", "CHECKDB", "NO_INFOMSGS")) == [8939, 8928, 8976]
    assert kit.server.find("a").state.bad_pages == [page]


def test_damage_travels_with_continue_after_error(kit):
    kit.server.faults.corrupt_page("db1", table="t")
    with raises(3043, 3013):
        kit.backup("full", "db1", "x.bak", CHECKSUM=True)
    events = kit.backup("full", "db1", "d.bak", CHECKSUM=True, CONTINUE_AFTER_ERROR=True)
    assert 3042 in infos(events) and infos(events)[-1] == 3014
    with raises(3183, 3013):
        kit.full_to("a", "d.bak")
    events = kit.full_to("a", "d.bak", CONTINUE_AFTER_ERROR=True, REPLACE=True, NORECOVERY=False)
    assert [n for n in infos(events) if n in (3188, 3184, 3014)] == [3188, 3184, 3014]
    assert 8928 in found(check(kit, "a"))
    # VERIFYONLY goes on after errors by default: the medium is what was written, only the pages were bad before.
    assert infos(kit.restore("VERIFYONLY", "", "d.bak", CHECKSUM=True)) == [3188, 3262]
    with raises(3189, 3013):
        kit.restore("VERIFYONLY", "", "d.bak", CHECKSUM=True, STOP_ON_ERROR=True)


def test_a_differential_brings_and_heals_damage(kit):
    kit.backup("full", "db1", "f.bak")
    kit.put("db1", 1000, text="z" * 90)
    page = kit.server.faults.corrupt_page("db1", table="t")
    kit.backup("diff", "db1", "bad.bak")
    kit.full_to("a", "f.bak")
    kit.restore("DATABASE", "a", "bad.bak")
    assert kit.server.find("a").state.bad_pages == [page] and found(check(kit, "a"))
    kit.backup("full", "db1", "f2.bak")
    kit.server.faults.corrupt_page("db1", page, repair=True)
    kit.put("db1", 1001, text="z" * 90)
    kit.backup("diff", "db1", "good.bak")
    kit.full_to("b", "f2.bak")
    assert kit.server.find("b").state.bad_pages == [page]
    kit.restore("DATABASE", "b", "good.bak")
    assert not found(check(kit, "b"))


def test_a_value_out_of_range(kit):
    """Right checksum, wrong content: neither BACKUP nor PHYSICAL_ONLY finds it; it travels in the pages, not in the log."""
    kit.backup("full", "db1", "before.bak", CHECKSUM=True)
    page = kit.server.faults.corrupt_value("db1", "t", "id")
    kit.put("db1", 1000)
    kit.backup("log", "db1", "l.trn", CHECKSUM=True)
    kit.backup("full", "db1", "after.bak", CHECKSUM=True)
    kit.full_to("a", "after.bak", NORECOVERY=False)
    assert check(kit, "a", "CHECKDB", "NO_INFOMSGS", "PHYSICAL_ONLY") == []
    events = check(kit, "a", "CHECKDB", "NO_INFOMSGS")
    assert found(events) == [2570] and infos(events) == [8990, 8989]
    text = next(e.text for e in events if isinstance(e, Error))
    assert f"Page (1:{page})" in text and 'Column "id" value is out of range for data type "int"' in text
    kit.full_to("b", "before.bak")
    kit.restore("LOG", "b", "l.trn")
    assert 1000 in kit.ids("b") and not found(check(kit, "b"))
    kit.server.faults.corrupt_value("db1", "t", "id", repair=True)
    assert not found(check(kit))


def test_check_of_one_table(kit):
    page = kit.server.faults.corrupt_page("db1", table="t")
    with kit.writing("db1") as tran:
        from sqlsim.contract import Column, SqlType, TableDef
        tran.database.create_table(tran, TableDef("other", [Column("a", SqlType("int"))]))
    events = check(kit, "db1", "CHECKTABLE", table="other")
    assert not found(events) and infos(events) == [2536, 2593]
    events = check(kit, "db1", "CHECKTABLE", "NO_INFOMSGS", table="dbo.T")
    assert found(events) == [8939, 8928, 8976] and infos(events) == [8990, 8958]
    assert f"(1:{page})" in events[0].text
    with raises(2501):
        check(kit, "db1", "CHECKTABLE", table="nothing")


def test_pages_of_nobody_and_of_the_system(kit):
    kit.server.faults.corrupt_page("db1", 4000)
    events = check(kit, "db1", "CHECKDB", "NO_INFOMSGS")
    assert found(events) == [8939] and infos(events) == [8954, 8989, 8958]
    assert found(check(kit, "db1", "CHECKALLOC", "NO_INFOMSGS")) == [8939]
    kit.server.faults.corrupt_page("db1", 4000, repair=True)
    kit.server.faults.corrupt_page("db1", 0)
    assert "in table 'sys." in next(e.text for e in check(kit) if isinstance(e, Info) and e.number == 8990)
    assert not found(check(kit, "db1", "CHECKCATALOG"))


def test_bytes_that_sqlite_cannot_read(kit):
    """Damage that nobody announced: the file itself is broken."""
    page = kit.server.faults.corrupt_page("db1", table="t")
    kit.server.faults.corrupt_page("db1", page, repair=True)
    kit.server.alter_database(kit.session, "db1", [("OFFLINE", None)], None)
    path = kit.server.find("db1").path
    with open(path, "r+b") as file:
        file.seek(8192 * page)
        file.write(b"\xa5" * 8192)
    kit.server.alter_database(kit.session, "db1", [("ONLINE", None)], None)
    assert 8939 in found(check(kit))


def test_refusals(kit):
    with raises(2520):
        check(kit, "nope")
    with raises(155):
        check(kit, "db1", "CHECKDB", "FAST")
    with raises(155):
        check(kit, "db1", "CHECKALLOC", "PHYSICAL_ONLY")
    with raises(2559):
        check(kit, "db1", "CHECKDB", "PHYSICAL_ONLY", "DATA_PURITY")
    with raises(7919):
        check(kit, args=["REPAIR_ALLOW_DATA_LOSS"])
    kit.server.alter_database(kit.session, "db1", [("SINGLE_USER", None)], None)
    with raises(1844):
        check(kit, args=["REPAIR_ALLOW_DATA_LOSS"])
    kit.backup("full", "db1", "f.bak")
    kit.full_to("a", "f.bak")
    with raises(927):
        check(kit, "a")
    kit.server.faults.fail_next("dbcc", 1823, "A database snapshot cannot be created because it failed to start.")
    with raises(1823):
        check(kit)
    check(kit)


def test_who_may(kit):
    kit.security("CREATE LOGIN", name="someone", password="Backup!Pass1")
    kit.security("CREATE USER", "db1", name="someone")
    session = kit.login("someone")
    with raises(7983) as caught:
        check(kit, session=session)
    assert caught[0].error.cls == 14 and "run DBCC checkdb for database 'db1'" in caught[0].error.text
    with raises(2557):
        check(kit, "db1", "CHECKTABLE", table="t", session=session)
    kit.security("ALTER ROLE", "db1", role="db_ddladmin", member="someone", add=True)
    check(kit, "db1", "CHECKTABLE", table="t", session=session)
    with raises(7983):
        check(kit, session=session)
    kit.security("ALTER ROLE", "db1", role="db_owner", member="someone", add=True)
    check(kit, session=session)


def test_progress_cancel_and_the_last_good_check(kit):
    import threading
    good = "LastGoodCheckDbTime"
    when = lambda: kit.server.scalar_function(kit.session, "master", "DATABASEPROPERTYEX", ["db1", good])  # noqa: E731
    assert when().year == 1900
    session = kit.server.internal_session()
    kit.server.faults.hold_at("dbcc", "begin")
    events, errors = [], []

    def run():
        try:
            kit.server.checkdb(session, "db1", events.append)
        except SessionKilled as exc:
            errors.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    assert kit.server.faults.wait_held()
    assert [(r["command"]) for r in kit.view("sys.dm_exec_requests") if r["session_id"] == session.spid] == ["DBCC TABLE CHECK"]
    kit.server.kill(kit.session, session.spid)
    thread.join(10)
    assert errors and when().year == 1900
    check(kit)
    assert when().year > 1900
    kit.backup("full", "db1", "f.bak")
    kit.full_to("a", "f.bak", NORECOVERY=False)
    assert kit.server.find("a").state.last_good_check == kit.server.find("db1").state.last_good_check
    kit.server.faults.corrupt_page("a", table="t")
    before = kit.server.find("a").state.last_good_check
    check(kit, "a")
    assert kit.server.find("a").state.last_good_check == before


# -- through the language -----------------------------------------------------------------------------------------------

@pytest.fixture
def client(tmp_path):
    server = tsql_kit.start(tmp_path / "sql")
    client = tsql_kit.Client(server)
    client.ok("CREATE DATABASE d")
    client.ok("USE d; CREATE TABLE dbo.t (id int PRIMARY KEY, v char(200)); CREATE TABLE dbo.u (id int)")
    client.ok("DECLARE @i int = 0; WHILE @i < 300 BEGIN INSERT dbo.t VALUES (@i, 'x'); SET @i += 1 END; INSERT dbo.u VALUES (1); USE master")
    yield client
    server.stop()


def test_statement_forms(client):
    for text in ("DBCC CHECKDB", "DBCC CHECKDB (0)", "DBCC CHECKDB ('d')", "DBCC CHECKDB (d)", "DBCC CHECKDB ([d], NOINDEX)",
                 "DBCC CHECKDB (N'd') WITH NO_INFOMSGS, ALL_ERRORMSGS, PHYSICAL_ONLY, TABLERESULTS", "DBCC CHECKDB(d) WITH MAXDOP = 2",
                 "DBCC CHECKALLOC ('d')", "DBCC CHECKCATALOG ('d')", "USE d DBCC CHECKTABLE ('t') WITH NO_INFOMSGS",
                 "USE d DBCC CHECKTABLE ('dbo.t'); USE master", "DECLARE @d sysname = 'd' DBCC CHECKDB (@d)"):
        client.ok(text)
    assert client.ok("DBCC CHECKDB ('d') WITH NO_INFOMSGS").infos == []
    assert client.ok("DBCC CHECKDB ('d')").infos[-1][0] == 2528
    assert client.error("DBCC CHECKTABLE").number == 2583
    assert client.error("DBCC CHECKDB ('d') WITH NONSENSE").number == 155


def test_errors_do_not_end_the_batch(client):
    client.session.engine.faults.corrupt_page("d", table="t")
    reply = client.run("DBCC CHECKDB ('d') WITH NO_INFOMSGS; SELECT @@ERROR")
    assert reply.numbers == [8939, 8928, 8976] and [n for n, _ in reply.infos] == [8990, 8989, 8958]
    assert reply.rows[0][0] == 8976 and [d.error for d in reply.dones] == [True, False]
    reply = client.run("BEGIN TRY DBCC CHECKDB ('d') WITH NO_INFOMSGS; SELECT 1 END TRY BEGIN CATCH SELECT 2 END CATCH")
    assert reply.rows[0][0] == 1
    rows = client.ok("CREATE TABLE #c (Error int, Level int, State int, MessageText nvarchar(max), RepairLevel nvarchar(30), Status int, DbId int,"
                     "DbFragId int, ObjectId int, IndexId int, PartitionId bigint, AllocUnitId bigint, RidDbId int, RidPruId int, [File] int,"
                     "Page int, Slot int, RefDbId int, RefPruId int, RefFile int, RefPage int, RefSlot int, Allocation int);"
                     "INSERT #c EXEC ('DBCC CHECKDB (''d'') WITH NO_INFOMSGS, TABLERESULTS'); SELECT Error FROM #c WHERE Level >= 16")
    assert [r[0] for r in rows.rows] == [8939, 8928, 8976]


def test_reading_a_bad_page_ends_the_connection(client):
    server = client.session.engine
    page = server.faults.corrupt_page("d", table="t")
    other = tsql_kit.Client(server)
    with pytest.raises(SessionKilled) as caught:
        other.run("SELECT count(*) FROM d.dbo.t")
    assert caught.value.error.number == 824 and caught.value.error.cls == 24 and f"(1:{page})" in caught.value.error.text
    assert client.value("(SELECT count(*) FROM d.dbo.u)") == 1
    assert client.value("(SELECT count(*) FROM msdb.dbo.suspect_pages)") == 1
    server.faults.corrupt_page("d", page, repair=True)
    assert client.value("(SELECT count(*) FROM d.dbo.t)") == 300
