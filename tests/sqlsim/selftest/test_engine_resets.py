# SPDX-License-Identifier: Apache-2.0
"""What RESTORE sets anew and what it keeps: owner, TRUSTWORTHY, broker, CDC, replication, options, users, history."""

import pytest

from sqlsim.selftest import tsql_kit
from sqlsim.selftest.engine_kit import Kit, infos, raises


@pytest.fixture
def kit(tmp_path):
    kit = Kit(tmp_path)
    kit.create()
    yield kit
    kit.server.faults.clear()
    kit.server.stop()


@pytest.fixture
def other(tmp_path):
    kit = Kit(tmp_path, "sim2")
    yield kit
    kit.server.stop()


def alter(kit, *clauses, name="db1"):
    kit.server.alter_database(kit.session, name, list(clauses), None)


def principals(kit, name):
    return {r["name"]: r for r in kit.view("sys.database_principals", name)}


def test_owner_and_switches(kit, other):
    kit.security("CREATE LOGIN", name="boss", password="Backup!Pass1", sid=b"\x07" * 16)
    kit.security("ALTER AUTHORIZATION", object="db1", object_class="DATABASE", to="boss")
    alter(kit, ("TRUSTWORTHY", "ON"), ("DB_CHAINING", "ON"), ("HONOR_BROKER_PRIORITY", "ON"), ("PAGE_VERIFY", "TORN_PAGE_DETECTION"), ("AUTO_SHRINK", "ON"),
          ("COMPATIBILITY_LEVEL", 140), ("READ_COMMITTED_SNAPSHOT", "ON"), ("RECOVERY", "BULK_LOGGED"))
    before = kit.db()
    assert before["is_trustworthy_on"] and before["is_broker_enabled"] and before["is_db_chaining_on"] and before["owner_sid"] == b"\x07" * 16
    kit.backup("full", "db1", "f.bak")
    other.full_to("db1", "f.bak", NORECOVERY=False)
    row = other.db()
    assert row["owner_sid"] == b"\x01" and not row["is_trustworthy_on"] and not row["is_broker_enabled"] and not row["is_db_chaining_on"]
    assert before["is_honor_broker_priority_on"] and not row["is_honor_broker_priority_on"]
    for kept in ("page_verify_option_desc", "is_auto_shrink_on", "compatibility_level", "is_read_committed_snapshot_on", "recovery_model_desc",
                 "collation_name", "service_broker_guid"):
        assert row[kept] == before[kept], kept
    # The database itself still names its old owner.
    assert principals(other, "db1")["dbo"]["sid"] == b"\x07" * 16
    assert other.server.scalar_function(other.session, "master", "SUSER_SNAME", [b"\x07" * 16]) is None
    other.security("ALTER AUTHORIZATION", object="db1", object_class="DATABASE", to="sa")
    assert principals(other, "db1")["dbo"]["sid"] == b"\x01"
    alter(other, ("TRUSTWORTHY", "ON"), ("ENABLE_BROKER", None))
    assert other.db()["is_trustworthy_on"] and other.db()["is_broker_enabled"]


def test_the_restoring_login_becomes_the_owner(kit):
    kit.backup("full", "db1", "f.bak")
    kit.security("CREATE LOGIN", name="restorer", password="Backup!Pass1", sid=b"\x05" * 16)
    kit.security("ALTER SERVER ROLE", role="dbcreator", member="restorer", add=True)
    session = kit.login("restorer")
    kit.full_to("a", "f.bak", session=session, NORECOVERY=False)
    assert kit.db("a")["owner_sid"] == b"\x05" * 16
    with raises(15247, 5069):
        kit.server.alter_database(session, "a", [("TRUSTWORTHY", "ON")], None)
    kit.security("CREATE LOGIN", name="user1", password="Backup!Pass1")
    kit.security("CREATE USER", "a", name="user1")
    with raises(15110):
        kit.security("ALTER AUTHORIZATION", object="a", object_class="DATABASE", to="user1")
    with raises(15151):
        kit.security("ALTER AUTHORIZATION", object="a", object_class="DATABASE", to="nobody")


def test_options_follow_the_log(kit):
    kit.backup("full", "db1", "f.bak")
    alter(kit, ("PAGE_VERIFY", "NONE"), ("AUTO_CLOSE", "ON"))
    kit.put("db1", 1)
    kit.backup("log", "db1", "l.trn")
    kit.full_to("a", "f.bak")
    kit.restore("LOG", "a", "l.trn", NORECOVERY=True)
    kit.recover("a")
    assert kit.db("a")["page_verify_option_desc"] == "NONE" and kit.db("a")["is_auto_close_on"]


def test_broker_of_a_copy(kit):
    kit.backup("full", "db1", "f.bak")
    kit.full_to("a", "f.bak", NORECOVERY=False)
    assert kit.db("a")["service_broker_guid"] == kit.db()["service_broker_guid"] and not kit.db("a")["is_broker_enabled"]
    with raises(9772, 5069):
        alter(kit, ("ENABLE_BROKER", None), name="a")
    alter(kit, ("NEW_BROKER", None), name="a")
    assert kit.db("a")["service_broker_guid"] != kit.db()["service_broker_guid"] and kit.db("a")["is_broker_enabled"]
    kit.server.internal_session("a")
    with raises(5061, 5069):  # it needs the database for itself
        kit.server.alter_database(kit.session, "a", [("DISABLE_BROKER", None)], "NO_WAIT")


@pytest.mark.parametrize("option, enabled, same", [("ENABLE_BROKER", True, True), ("ERROR_BROKER_CONVERSATIONS", True, True),
                                                  ("NEW_BROKER", True, False), (None, False, True)])
def test_broker_options_of_restore(kit, other, option, enabled, same):
    kit.backup("full", "db1", "f.bak")
    other.full_to("db1", "f.bak")
    other.restore("DATABASE", "db1", RECOVERY=True, **({option: True} if option else {}))
    row = other.db()
    assert row["is_broker_enabled"] == enabled and (row["service_broker_guid"] == kit.db()["service_broker_guid"]) == same


def test_change_data_capture(kit, other):
    kit.server.procedure(kit.session, "db1", "sys.sp_cdc_enable_db", {}, lambda e: None)
    kit.server.procedure(kit.session, "master", "sp_replicationdboption", {"@dbname": "db1", "@optname": "publish", "@value": "true"},
                         lambda e: None)
    assert kit.db()["is_cdc_enabled"] and kit.db()["is_published"]
    kit.backup("full", "db1", "f.bak")
    kit.put("db1", 1)
    kit.backup("log", "db1", "l.trn", NORECOVERY=True)
    for option in ("KEEP_CDC", "KEEP_REPLICATION"):
        with raises(3031, 3013):
            other.full_to("db1", "f.bak", **{option: True})
    with raises(3031, 3013):
        other.full_to("db1", "f.bak", RECOVERY=True)
    other.full_to("db1", "f.bak", NORECOVERY=False)
    assert not other.db()["is_cdc_enabled"] and not other.db()["is_published"]
    other.full_to("db1", "f.bak", REPLACE=True)
    other.restore("LOG", "db1", "l.trn", RECOVERY=True, KEEP_CDC=True, KEEP_REPLICATION=True)
    assert other.db()["is_cdc_enabled"] and other.db()["is_published"]
    # In place it stays without being asked for, under another name it does not.
    kit.restore("DATABASE", "db1", "f.bak", NORECOVERY=True)
    kit.restore("LOG", "db1", "l.trn")
    assert kit.db()["is_cdc_enabled"] and kit.db()["is_published"] and kit.ids() == [1]
    kit.full_to("copy", "f.bak", NORECOVERY=False)
    assert not kit.db("copy")["is_cdc_enabled"]
    kit.security("CREATE LOGIN", name="plain", password="Backup!Pass1")
    kit.security("CREATE USER", "db1", name="plain")
    with raises(22902):
        kit.server.procedure(kit.login("plain", "db1"), "db1", "sp_cdc_disable_db", {}, lambda e: None)
    kit.server.procedure(kit.session, "db1", "sys.sp_cdc_add_job", {0: "capture"}, lambda e: None)
    with raises(22992):
        kit.server.procedure(kit.session, "db1", "sys.sp_cdc_add_job", {0: "nap"}, lambda e: None)
    with raises(22901):
        kit.server.procedure(kit.session, "copy", "sys.sp_cdc_add_job", {0: "capture"}, lambda e: None)
    with raises(22903):
        kit.server.procedure(kit.session, "master", "sp_cdc_enable_db", {}, lambda e: None)
    with raises(21089):
        kit.server.procedure(kit.login("plain", "db1"), "db1", "sp_replicationdboption", {"@dbname": "db1"}, lambda e: None)
    with raises(20044):
        kit.server.procedure(kit.session, "db1", "sp_replicationdboption", {"@dbname": "db1", "@optname": "x"}, lambda e: None)


def test_restricted_user(kit):
    kit.backup("full", "db1", "f.bak")
    kit.full_to("a", "f.bak", NORECOVERY=False, RESTRICTED_USER=True)
    assert kit.db("a")["user_access_desc"] == "RESTRICTED_USER"
    alter(kit, ("MULTI_USER", None), name="a")
    assert kit.db("a")["user_access_desc"] == "MULTI_USER"


def test_orphaned_users(kit, other):
    for name in ("app", "report"):
        kit.security("CREATE LOGIN", name=name, password="Backup!Pass1")
        kit.security("CREATE USER", "db1", name=name)
    kit.security("CREATE USER", "db1", name="contained", login=False)
    kit.security("ALTER ROLE", "db1", role="db_datareader", member="app", add=True)
    kit.backup("full", "db1", "f.bak")
    other.security("CREATE LOGIN", name="app", password="Other!Pass1")
    other.full_to("db1", "f.bak", NORECOVERY=False)
    assert {"app", "report", "contained"} <= set(principals(other, "db1"))
    logins = {r["sid"] for r in other.view("sys.server_principals")}
    assert {n for n, r in principals(other, "db1").items() if r["type"] == "S" and r["sid"] not in logins and n not in ("guest", "dbo")} == {
        "app", "report", "contained"}
    with raises(916):
        other.server.database("db1", other.login("app"))
    seen = other.table(_events(other, "sp_change_users_login", {"@Action": "Report"}))
    assert [r["UserName"] for r in seen] == ["app", "report"]
    other.security("ALTER USER", "db1", name="app", login="app")
    session = other.login("app")
    assert other.server.database("db1", session) and other.server.security.user_of(session, other.server.find("db1")) == "app"
    assert other.server.security.roles_of(other.server.find("db1"), "app") == {"db_datareader"}
    other.security("CREATE LOGIN", name="report", password="Other!Pass1", sid=principals(kit, "db1")["report"]["sid"])
    assert other.server.database("db1", other.login("report"))
    other.security("CREATE LOGIN", name="late", password="Other!Pass1")
    _events(other, "sp_change_users_login", {"@Action": "Update_One", "@UserNamePattern": "report", "@LoginName": "late"})
    assert other.server.database("db1", other.login("late"))
    with raises(15600):
        _events(other, "sp_change_users_login", {"@Action": "Auto_Magic"})


def _events(kit, name, args, database="db1"):
    events = []
    kit.server.procedure(kit.session, database, name, args, events.append)
    return events


def test_history_of_a_restore(kit, other):
    kit.backup("full", "db1", "f.bak")
    kit.put("db1", 1)
    kit.backup("log", "db1", "l.trn")
    assert 3018 in infos(other.full_to("copy", "f.bak", RESTART=True, REPLACE=True))
    other.restore("LOG", "copy", "l.trn", STOPBEFOREMARK=(f"lsn:{kit.header('l.trn')[0]['LastLSN']}", None))
    rows = other.view("dbo.restorehistory", "msdb")
    assert [(r["restore_type"], r["replace"], r["recovery"], r["restart"], r["user_name"], r["device_count"]) for r in rows] == [
        ("D", True, False, True, "sa", 1), ("L", False, True, False, "sa", 1)]
    assert rows[1]["stop_at_mark_name"].startswith("lsn:") and rows[1]["stop_before"]
    files = other.view("dbo.restorefile", "msdb")
    assert [f["destination_phys_name"] for f in files] == [p for _, p in other.move("copy")]
    assert [(r["restore_history_id"], r["filegroup_name"]) for r in other.view("dbo.restorefilegroup", "msdb")] == [
        (rows[0]["restore_history_id"], "PRIMARY")]
    events = other.restore("VERIFYONLY", "", "f.bak", LOADHISTORY=True)
    assert infos(events) == [3262] and len(other.history()) == 2
    kit.restore("VERIFYONLY", "", "f.bak")
    other.server.procedure(other.session, "msdb", "sp_delete_backuphistory", {"@oldest_date": "2999-01-01"}, lambda e: None)
    for table in ("restorehistory", "restorefile", "restorefilegroup", "backupset"):
        assert other.view(f"dbo.{table}", "msdb") == [], table


# -- through the language -----------------------------------------------------------------------------------------------

def test_statements_of_a_repair(tmp_path):
    server = tsql_kit.start(tmp_path / "sql")
    client = tsql_kit.Client(server)
    path = str(tmp_path / "f.bak")
    client.ok("CREATE DATABASE d; CREATE LOGIN app WITH PASSWORD = 'Passw0rd!'")
    client.ok(f"USE d; CREATE USER app; USE master; BACKUP DATABASE d TO DISK = '{path}'; ALTER DATABASE d SET SINGLE_USER WITH ROLLBACK "
              f"IMMEDIATE; RESTORE DATABASE d FROM DISK = '{path}' WITH REPLACE; DROP LOGIN app; CREATE LOGIN app WITH PASSWORD = 'Passw0rd!'")
    orphans = ("SELECT p.name FROM d.sys.database_principals p LEFT JOIN sys.server_principals s ON s.sid = p.sid "
               "WHERE p.type IN ('S', 'U') AND p.authentication_type = 1 AND s.sid IS NULL AND p.principal_id > 4")
    assert client.ok(orphans).rows == [("app",)] or client.ok(orphans).rows == [["app"]]
    client.ok("USE d; ALTER USER [app] WITH LOGIN = [app]; USE master; ALTER AUTHORIZATION ON DATABASE::[d] TO [sa]; "
              "ALTER DATABASE d SET TRUSTWORTHY ON; ALTER DATABASE d SET ENABLE_BROKER WITH ROLLBACK IMMEDIATE")
    assert client.ok(orphans).rows == []
    assert list(client.ok("SELECT is_trustworthy_on, is_broker_enabled, SUSER_SNAME(owner_sid) FROM sys.databases WHERE name = 'd'").rows[0]) == [
        True, True, "sa"]
    client.ok(f"RESTORE DATABASE e FROM DISK = '{path}' WITH MOVE 'd' TO '{tmp_path}/e.mdf', MOVE 'd_log' TO '{tmp_path}/e.ldf', NEW_BROKER, "
              "KEEP_CDC, KEEP_REPLICATION, RESTRICTED_USER, RECOVERY, STATS = 5")
    assert client.value("(SELECT user_access_desc FROM sys.databases WHERE name = 'e')") == "RESTRICTED_USER"
    server.stop()
