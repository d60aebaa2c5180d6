# SPDX-License-Identifier: Apache-2.0
"""Catalog views, DMVs, functions: rows fit their columns and say what is so."""

import datetime as dt
import os
import uuid
from decimal import Decimal

import pytest

from sqlsim.engine import views
from sqlsim.engine.lsn import Lsn, from_num, unpack
from sqlsim.selftest.engine_kit import Kit, raises

PYTHON = {"int": int, "bigint": int, "smallint": int, "tinyint": int, "bit": (bool, int), "nvarchar": str, "varchar": str, "char": str,
          "nchar": str, "numeric": Decimal, "uniqueidentifier": uuid.UUID, "datetime": dt.datetime, "datetime2": dt.datetime,
          "datetimeoffset": dt.datetime, "float": float, "real": float, "varbinary": bytes}


@pytest.fixture
def kit(tmp_path):
    kit = Kit(tmp_path)
    kit.create()
    kit.backup("full", "db1", "f.bak")
    yield kit
    kit.server.stop()


def check(name, columns, rows):
    for row in rows:
        assert len(row) == len(columns), (name, row)
        for column, value in zip(columns, row):
            if value is None:
                assert column.nullable, (name, column.name)
            else:
                assert isinstance(value, PYTHON[column.type.kind]), (name, column.name, value)
                if column.type.length > 0 and isinstance(value, (str, bytes)):
                    assert len(value) <= column.type.length, (name, column.name, value)


@pytest.mark.parametrize("name", sorted(views.VIEWS))
def test_types_of_every_view(kit, name):
    kit.security("CREATE CERTIFICATE", name="c", subject="s")
    kit.security("CREATE CREDENTIAL", name="k", identity="i")
    kit.security("CREATE LOGIN", name="backupd", password="Backup!Pass1")
    kit.security("CREATE USER", "db1", name="backupd")
    kit.security("CREATE DATABASE ENCRYPTION KEY", "db1", certificate="c", algorithm="AES_256")
    kit.server.alter_database(kit.session, "db1", [("ENCRYPTION", "ON")], None)
    for database in ("db1", "master"):
        columns, rows = kit.server.view(kit.session, database, name)
        check(name, columns, rows)


@pytest.mark.parametrize("name", ["backupset", "backupmediaset", "backupmediafamily", "backupfile", "backupfilegroup", "restorehistory",
                                  "restorefile", "restorefilegroup", "logmarkhistory", "suspect_pages"])
def test_types_of_msdb(kit, name):
    kit.full_to("a", "f.bak", NORECOVERY=False)
    kit.put("a", 1, mark=("m", "d"))
    kit.server.faults.corrupt_page("db1", 1)
    kit.server.checkdb(kit.session, "db1", lambda e: None)
    columns, rows = kit.server.view(kit.session, "msdb", f"dbo.{name}")
    check(name, columns, rows)
    assert rows or name == "restorefilegroup"


@pytest.mark.parametrize("name, args", [("sys.dm_db_log_stats", [5]), ("sys.dm_db_log_info", [5]), ("sys.dm_os_volume_stats", [5, 1]),
                                        ("sys.dm_os_file_exists", ["/tmp"]), ("sys.dm_os_enumerate_filesystem", ["{stage}", "*"]),
                                        ("sys.fn_my_permissions", [None, "SERVER"]), ("sys.fn_dblog", [None, None])])
def test_types_of_functions(kit, name, args):
    args = [str(kit.stage) if a == "{stage}" else a for a in args]
    columns, rows = kit.server.table_function(kit.session, "db1", name, args)
    check(name, columns, rows)
    assert rows


def test_unknown_names(kit):
    assert kit.server.view(kit.session, "master", "sys.nothing") is None
    assert kit.server.view(kit.session, "db1", "dbo.backupset") is None
    assert kit.server.table_function(kit.session, "master", "sys.nothing", []) is None
    with pytest.raises(LookupError):
        kit.server.scalar_function(kit.session, "master", "NOTHING", [])
    with raises(911):
        kit.server.database("nope", kit.session)


def test_lsn_forms():
    lsn = from_num(34000000006900179)
    assert lsn == (34, 69, 179) and lsn.hex == "00000022:00000045:00b3" and lsn.triple == "34:69:179" and lsn.num == 34000000006900179
    assert unpack(lsn.packed) == lsn and len(str(Lsn(2**32 - 1, 2**32 - 1, 2**16 - 1))) == 25
    assert from_num(Lsn(2**32 - 1, 2**32 - 1, 2**16 - 1).num) == (2**32 - 1, 2**32 - 1, 2**16 - 1)


def test_databases_view(kit):
    rows = {r["name"]: r for r in kit.view("sys.databases")}
    assert [rows[n]["database_id"] for n in ("master", "tempdb", "model", "msdb", "db1")] == [1, 2, 3, 4, 5]
    assert {n: r["recovery_model_desc"] for n, r in rows.items()} == {
        "master": "SIMPLE", "tempdb": "SIMPLE", "model": "FULL", "msdb": "SIMPLE", "db1": "FULL"}
    kit.server.alter_database(kit.session, "db1", [("AUTO_CLOSE", "ON"), ("PAGE_VERIFY", "NONE"), ("TRUSTWORTHY", "ON")], None)
    row = kit.db()
    assert row["is_auto_close_on"] and row["page_verify_option_desc"] == "NONE" and row["is_trustworthy_on"]
    kit.server.alter_database(kit.session, "db1", [("OFFLINE", None)], "ROLLBACK IMMEDIATE")
    assert kit.db()["state_desc"] == "OFFLINE" and kit.recovery()["recovery_fork_guid"] is None
    with raises(942):
        kit.server.database("db1", kit.session)
    kit.server.alter_database(kit.session, "db1", [("ONLINE", None)], None)
    assert kit.recovery()["recovery_fork_guid"] is not None


def test_single_user_and_eviction(kit):
    others = [kit.server.internal_session("db1") for _ in range(2)]
    with raises(5061, 5069):
        kit.server.alter_database(kit.session, "db1", [("SINGLE_USER", None)], "NO_WAIT")
    tran = kit.server.database("db1").begin(others[0])
    tran.connection.execute('INSERT INTO "dbo.t" VALUES (9, NULL)')
    kit.server.alter_database(kit.session, "db1", [("SINGLE_USER", None)], "ROLLBACK IMMEDIATE")
    assert all(s.killed.is_set() for s in others) and not tran.open
    kit.put("db1", 1)
    assert kit.ids() == [1] and kit.db()["user_access_desc"] == "SINGLE_USER"


def test_file_space_follows_changes(kit):
    first = kit.view("sys.dm_db_file_space_usage", "db1")[0]["modified_extent_page_count"]
    kit.put("db1", *range(3000), text="f" * 100)
    grown = kit.view("sys.dm_db_file_space_usage", "db1")[0]
    assert grown["modified_extent_page_count"] > first + 20
    assert grown["allocated_extent_page_count"] * 8192 >= 300_000
    kit.backup("full", "db1", "g.bak", INIT=True)
    assert kit.view("sys.dm_db_file_space_usage", "db1")[0]["modified_extent_page_count"] <= first


def test_log_stats(kit):
    row = kit.function("sys.dm_db_log_stats", 5)[0]
    assert row["recovery_model"] == "FULL" and row["log_backup_time"] == dt.datetime(1900, 1, 1)
    kit.put("db1", *range(100), text="g" * 500)
    kit.backup("log", "db1", "l.trn")
    row = kit.function("sys.dm_db_log_stats", 5)[0]
    assert row["log_backup_lsn"] == row["log_end_lsn"] == from_num(int(kit.header("l.trn")[0]["LastLSN"])).hex
    assert row["log_truncation_holdup_reason"] == "NOTHING" and row["log_backup_time"] > dt.datetime(2000, 1, 1)
    assert kit.function("sys.dm_db_log_stats", 99) == []


def test_vlfs_advance(kit):
    for turn in range(6):
        kit.put("db1", *range(turn * 1000, turn * 1000 + 1000), text="h" * 500)
    row = kit.function("sys.dm_db_log_stats", 5)[0]
    assert row["current_vlf_sequence_number"] > 34 and row["active_vlf_count"] > 1
    kit.backup("log", "db1", "l.trn")
    kit.put("db1", 10000)
    kit.backup("log", "db1", "l2.trn")
    one, two = kit.header("l.trn")[0], kit.header("l2.trn")[0]
    assert one["LastLSN"] == two["FirstLSN"] < two["LastLSN"]
    kit.full_to("a", "f.bak")
    for file in ("l.trn", "l2.trn"):
        kit.restore("LOG", "a", file, NORECOVERY=True)
    kit.recover("a")
    assert len(kit.ids("a")) == 6001


def test_volume_and_files(kit):
    row = kit.function("sys.dm_os_volume_stats", 5, 1)[0]
    found = os.statvfs(kit.server.data_dir)
    assert row["total_bytes"] == found.f_blocks * found.f_frsize
    ask = lambda path: tuple(kit.function("sys.dm_os_file_exists", path)[0].values())  # noqa: E731
    assert ask(str(kit.stage / "f.bak")) == (True, False, True) and ask(str(kit.stage)) == (False, True, True)
    assert ask(str(kit.root / "no" / "file")) == (False, False, False)
    names = [r["file_or_directory_name"] for r in kit.function("sys.dm_os_enumerate_filesystem", str(kit.stage), "*.bak")]
    assert names == ["f.bak"]


def test_server_properties(tmp_path):
    for version, edition, engine, path in (((14, 0, 3485, 1), "Standard Edition (64-bit)", 2, False),
                                           ((15, 0, 4385, 2), "Express Edition (64-bit)", 4, True),
                                           ((16, 0, 4236, 2), "Developer Edition (64-bit)", 3, True),
                                           ((17, 0, 1000, 7), "Web Edition (64-bit)", 2, True)):
        kit = Kit(tmp_path, f"s{version[0]}", version=version, edition=edition)
        ask = lambda name: kit.server.scalar_function(kit.session, "master", "SERVERPROPERTY", [name])  # noqa: B023,E731
        assert ask("ProductVersion") == ".".join(map(str, version)) and ask("EngineEdition") == engine and ask("Edition") == edition
        assert (ask("InstanceDefaultBackupPath") is not None) == path and ask("InstanceName") is None and ask("IsHadrEnabled") == 0
        assert (ask("SuspendedDatabaseCount") is not None) == (version[0] >= 16)
        assert len(kit.server.view(kit.session, "master", "sys.dm_os_sys_info")[0]) == (12 if version[0] < 15 else 14)
        kit.server.stop()


def test_start_time_changes_with_a_restart(kit):
    before = kit.view("sys.dm_os_sys_info")[0]["sqlserver_start_time"]
    kit.restart()
    assert kit.view("sys.dm_os_sys_info")[0]["sqlserver_start_time"] > before


def test_preferred_replica(kit):
    assert kit.server.scalar_function(kit.session, "master", "sys.fn_hadr_backup_is_preferred_replica", ["db1"]) is True


def test_configure(kit):
    run = kit.server.procedure
    run(kit.session, "master", "sp_configure", {"@configname": "backup compression default", "@configvalue": 1}, lambda e: None)
    assert next(r for r in kit.view("sys.configurations") if r["configuration_id"] == 1579)["value_in_use"] == 1
    kit.backup("full", "db1", "c.bak")
    assert kit.header("c.bak")[0]["Compressed"] == 1
    kit.backup("full", "db1", "n.bak", NO_COMPRESSION=True)
    assert kit.header("n.bak")[0]["Compressed"] == 0
    run(kit.session, "master", "sp_configure", {0: "backup checksum default", 1: 1}, lambda e: None)
    kit.backup("full", "db1", "s.bak")
    assert kit.header("s.bak")[0]["HasBackupChecksums"]
    with raises(15123):
        run(kit.session, "master", "sp_configure", {"@configname": "no such"}, lambda e: None)


def test_certificate_backup_date(kit):
    kit.security("CREATE CERTIFICATE", name="c", subject="tde")
    assert kit.view("sys.certificates")[0]["pvt_key_last_backup_date"] is None
    kit.security("BACKUP CERTIFICATE", name="c", file=str(kit.root / "c.cer"), key_file=str(kit.root / "c.key"))
    assert kit.view("sys.certificates")[0]["pvt_key_last_backup_date"] is not None
    with raises(33107, 5069):
        kit.server.alter_database(kit.session, "db1", [("ENCRYPTION", "ON")], None)
    with raises(15151):
        kit.security("CREATE DATABASE ENCRYPTION KEY", "db1", certificate="none")
    kit.security("CREATE DATABASE ENCRYPTION KEY", "db1", certificate="c", algorithm="AES_256")
    with raises(33103):
        kit.security("CREATE DATABASE ENCRYPTION KEY", "db1", certificate="c", algorithm="AES_256")
    kit.server.alter_database(kit.session, "db1", [("ENCRYPTION", "ON")], None)
    with raises(33105):
        kit.security("DROP DATABASE ENCRYPTION KEY", "db1")
    assert kit.view("sys.dm_database_encryption_keys")[0]["encryptor_thumbprint"] == kit.view("sys.certificates")[0]["thumbprint"]


def test_many_servers_are_independent(tmp_path):
    kits = [Kit(tmp_path / str(n), f"s{n}") for n in range(5)]
    for number, kit in enumerate(kits):
        kit.create()
        kit.put("db1", number)
    assert [k.ids() for k in kits] == [[n] for n in range(5)]
    assert len({k.recovery()["family_guid"] for k in kits}) == 5
    for kit in kits:
        kit.server.stop()


def test_create_refusals(kit):
    with raises(1801):
        kit.server.create_database(kit.session, "DB1", {})
    open(os.path.join(kit.server.data_dir, "taken.mdf"), "w").close()
    with raises(5170, 1802):
        kit.server.create_database(kit.session, "taken", {})
    with raises(5133, 1802):
        kit.server.create_database(kit.session, "x", {"DATA": [("x", "/nowhere/x.mdf")]})
    with raises(3702):
        kit.server.internal_session("db1")
        kit.server.drop_database(kit.session, "db1")
    with raises(3701):
        kit.server.drop_database(kit.session, "nope")
    with raises(1801, 5069):
        kit.server.alter_database(kit.session, "db1", [("MODIFY NAME", "model")], None)
    with raises(5011, 5069):
        kit.server.alter_database(kit.session, "nope", [("RECOVERY", "SIMPLE")], None)
    kit.full_to("a", "f.bak")
    with raises(5052, 5069):
        kit.server.alter_database(kit.session, "a", [("RECOVERY", "SIMPLE")], None)
