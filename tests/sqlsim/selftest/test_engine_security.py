# SPDX-License-Identifier: Apache-2.0
"""Who may do what, and with which error the others are refused."""

import pytest

from sqlsim.contract import Login
from sqlsim.engine.security import Security
from sqlsim.selftest.engine_kit import PASSWORD, Kit, infos, raises

GRANTS = ("VIEW SERVER STATE", "VIEW ANY DEFINITION", "CREATE ANY DATABASE", "CONNECT ANY DATABASE")


@pytest.fixture
def kit(tmp_path):
    kit = Kit(tmp_path)
    kit.create()
    kit.backup("full", "db1", "f.bak")
    kit.security("CREATE LOGIN", name="backupd", password="Backup!Pass1")
    yield kit
    kit.server.stop()


def user(kit, name, database, *roles):
    kit.security("CREATE USER", database, name=name)
    for role in roles:
        kit.security("ALTER ROLE", database, role=role, member=name)


def test_login_checks(kit):
    check = kit.server.security.authenticate
    assert check(Login("sa", PASSWORD))["name"] == "sa" and check(Login("BACKUPD", "Backup!Pass1"))["name"] == "backupd"
    for name, password in (("sa", "wrong"), ("nobody", "x"), ("backupd", "")):
        with raises(18456) as caught:
            check(Login(name, password))
        assert caught[0].error.state == 1 and caught[0].error.cls == 14
    kit.security("ALTER LOGIN", name="backupd", enable=False)
    with raises(18470):
        check(Login("backupd", "Backup!Pass1"))
    kit.security("ALTER LOGIN", name="backupd", enable=True, password="New!Passw0rd")
    assert check(Login("backupd", "New!Passw0rd"))


def test_login_faults_and_databases(kit):
    faults = kit.server.faults
    faults.login_error(18401, 2)
    for _ in range(2):
        with raises(18401):
            faults.on_login(Login("sa", PASSWORD))
    faults.on_login(Login("sa", PASSWORD))
    with raises(4060, 18456):
        kit.server._login_database(kit.session.spid, Login("sa", PASSWORD, "absent"), "absent")
    mine = kit.login("backupd")
    with raises(4060, 18456):
        kit.server._login_database(mine.spid, Login("backupd", "", "db1"), "db1")
    with raises(4064, 18456):
        kit.server._login_database(mine.spid, Login("backupd", ""), "db1")


def test_backup_needs_a_user_and_a_role(kit):
    session = kit.login("backupd")
    for what in ("full", "log"):
        with raises(262, 3013) as caught:
            kit.backup(what, "db1", "x.bak", session=session)
        assert caught[0].error.cls == 14 and caught[0].error.text.endswith("permission denied in database 'db1'.")
    with raises(916):
        kit.server.database("db1", session)
    user(kit, "backupd", "db1")
    kit.server.database("db1", session)
    with raises(262, 3013):
        kit.backup("full", "db1", "x.bak", session=session)
    kit.security("ALTER ROLE", "db1", role="db_backupoperator", member="backupd")
    kit.backup("full", "db1", "x.bak", session=session)
    kit.backup("log", "db1", "x.trn", session=session)
    assert kit.header("x.bak")[0]["UserName"] == "backupd"
    kit.security("ALTER ROLE", "db1", role="db_backupoperator", member="backupd", add=False)
    kit.security("GRANT", "db1", permissions=["BACKUP LOG"], to=["backupd"])
    kit.backup("log", "db1", "y.trn", session=session)
    with raises(262, 3013):
        kit.backup("full", "db1", "y.bak", session=session)
    kit.security("DENY", "db1", permissions=["BACKUP LOG"], to=["backupd"])
    with raises(262, 3013):
        kit.backup("log", "db1", "z.trn", session=session)


def test_connect_any_database_is_not_backup(kit):
    session = kit.login("backupd")
    kit.security("GRANT", permissions=["CONNECT ANY DATABASE"], to=["backupd"])
    kit.server.database("db1", session)
    with raises(262, 3013):
        kit.backup("full", "db1", "x.bak", session=session)


def test_media_needs_create_database(kit):
    session = kit.login("backupd")
    for what in ("HEADERONLY", "FILELISTONLY", "LABELONLY", "VERIFYONLY"):
        with raises(262, 3013) as caught:
            kit.restore(what, "", "f.bak", session=session)
        assert caught[0].error.text == "CREATE DATABASE permission denied in database 'master'."
    kit.security("GRANT", permissions=["CREATE ANY DATABASE"], to=["backupd"])
    assert infos(kit.restore("VERIFYONLY", "", "f.bak", session=session)) == [3262]


def test_restore_needs_dbcreator_or_the_owner(kit):
    session = kit.login("backupd")
    with raises(262, 3013):
        kit.full_to("a", "f.bak", session=session)
    user(kit, "backupd", "db1", "db_owner")
    with raises(3110, 3013):
        kit.restore("DATABASE", "db1", "f.bak", REPLACE=True, session=session)
    kit.security("GRANT", permissions=["CREATE ANY DATABASE"], to=["backupd"])
    kit.full_to("a", "f.bak", session=session, NORECOVERY=False)
    assert kit.db("a")["owner_sid"] == kit.server.security.login("backupd")["sid"]
    kit.restore("DATABASE", "a", "f.bak", MOVE=kit.move("a"), REPLACE=True, session=session)
    with raises(3110, 3013):
        kit.restore("DATABASE", "db1", "f.bak", REPLACE=True, session=session)
    kit.security("ALTER SERVER ROLE", role="dbcreator", member="backupd")
    kit.restore("DATABASE", "db1", "f.bak", REPLACE=True, session=session)
    kit.security("ALTER AUTHORIZATION", object="db1", object_class="DATABASE", to="sa")
    assert kit.db()["owner_sid"] == b"\x01"


@pytest.mark.parametrize("major, right", [(15, "VIEW SERVER STATE"), (16, "VIEW SERVER PERFORMANCE STATE"), (16, "VIEW SERVER STATE")])
def test_server_state(tmp_path, major, right):
    kit = Kit(tmp_path, version=(major, 0, 4000, 1))
    kit.security("CREATE LOGIN", name="monitor", password="Backup!Pass1")
    session = kit.login("monitor")
    for name in ("sys.dm_os_sys_info", "sys.dm_hadr_database_replica_states"):
        with raises(300, 297):
            kit.server.view(session, "master", name)
    with raises(300, 297):
        kit.function("sys.dm_db_log_stats", 1, session=session)
    assert [r["session_id"] for r in kit.view("sys.dm_exec_requests", session=session)] == [session.spid]
    kit.security("GRANT", permissions=[right], to=["monitor"])
    assert kit.view("sys.dm_os_sys_info", session=session)
    assert len(kit.view("sys.dm_exec_sessions", session=session)) == 2
    if major == 15:
        with raises(102):
            kit.security("GRANT", permissions=["VIEW SERVER PERFORMANCE STATE"], to=["monitor"])
    kit.server.stop()


def test_msdb_select_and_execute(kit):
    session = kit.login("backupd")
    with raises(229) as caught:
        kit.view("dbo.backupset", "msdb", session)
    assert "'backupset', database 'msdb', schema 'dbo'" in caught[0].error.text
    user(kit, "backupd", "msdb")
    kit.security("GRANT", "msdb", permissions=["SELECT"], object="dbo.backupset", to=["backupd"])
    assert kit.view("dbo.backupset", "msdb", session)
    with raises(229):
        kit.view("dbo.backupmediafamily", "msdb", session)
    with raises(229):
        kit.server.procedure(session, "msdb", "sp_delete_backuphistory", {"@oldest_date": "2020-01-01"}, lambda e: None)
    kit.security("GRANT", "msdb", permissions=["EXECUTE"], object="dbo.sp_delete_backuphistory", to=["backupd"])
    kit.server.procedure(session, "msdb", "sp_delete_backuphistory", {"@oldest_date": "2020-01-01"}, lambda e: None)


def test_the_suggested_login_is_enough(kit):
    for right in GRANTS:
        kit.security("GRANT", permissions=[right], to=["backupd"])
    for name in ("db1", "model", "msdb", "master"):
        user(kit, "backupd", name, "db_backupoperator")
    for table in ("backupset", "backupmediafamily", "backupmediaset", "backupfile", "restorehistory"):
        kit.security("GRANT", "msdb", permissions=["SELECT"], object=f"dbo.{table}", to=["backupd"])
    session = kit.login("backupd")
    kit.create("fresh")
    for name in ("db1", "fresh", "msdb", "master"):
        kit.backup("full", name, f"{name}.bak", session=session)
    kit.restore("HEADERONLY", "", "fresh.bak", session=session)
    assert kit.view("sys.master_files", session=session) and kit.view("sys.database_recovery_status", session=session)
    kit.function("sys.dm_db_log_stats", 5, session=session)
    with raises(3110, 3013):
        kit.restore("DATABASE", "db1", "f.bak", REPLACE=True, session=session)
    kit.full_to("arrived", "db1.bak", NORECOVERY=False)
    kit.server.database("arrived", session)


def test_users_of_a_restored_database_are_orphans_elsewhere(kit, tmp_path):
    user(kit, "backupd", "db1", "db_backupoperator")
    kit.backup("full", "db1", "u.bak")
    other = Kit(tmp_path, "sim2")
    other.security("CREATE LOGIN", name="backupd", password="Backup!Pass1")
    other.full_to("db1", "u.bak", NORECOVERY=False)
    session = other.login("backupd")
    with raises(916):
        other.server.database("db1", session)
    assert any(p["name"] == "backupd" for p in other.view("sys.database_principals", "db1"))
    other.security("ALTER USER", "db1", name="backupd", login="backupd")
    other.backup("full", "db1", "v.bak", session=session)
    other.server.stop()


def test_kill_and_shutdown_rights(kit):
    session = kit.login("backupd")
    with raises(6102):
        kit.server.kill(session, kit.session.spid)
    with raises(6004):
        kit.server.shutdown(session)
    with raises(6106):
        kit.server.kill(kit.session, 32000)
    with raises(6104):
        kit.server.kill(kit.session, kit.session.spid)
    kit.security("GRANT", permissions=["ALTER ANY CONNECTION"], to=["backupd"])
    other = kit.server.internal_session()
    kit.server.kill(session, other.spid)
    assert other.killed.is_set()


def test_create_drop_alter_need_rights(kit):
    session = kit.login("backupd")
    with raises(262):
        kit.server.create_database(session, "x", {})
    with raises(3701):
        kit.server.drop_database(session, "db1")
    with raises(5011, 5069):
        kit.server.alter_database(session, "db1", [("RECOVERY", "SIMPLE")], None)
    with raises(3708) as caught:
        kit.server.drop_database(kit.session, "msdb")
    assert caught[0].error.state == 4


def test_names_of_principals(kit):
    with raises(15025):
        kit.security("CREATE LOGIN", name="backupd", password="Backup!Pass1")
    with raises(15007):
        kit.security("CREATE USER", "db1", name="ghost")
    user(kit, "backupd", "db1")
    with raises(15023):
        kit.security("CREATE USER", "db1", name="backupd", login="sa")
    with raises(15151):
        kit.security("ALTER ROLE", "db1", role="db_owner", member="ghost")
    with raises(4621):
        kit.security("GRANT", "db1", permissions=["VIEW SERVER STATE"], to=["backupd"])
    with raises(102):
        kit.security("CREATE NONSENSE", name="x")
    assert isinstance(kit.server.security, Security)


def test_permission_functions(kit):
    user(kit, "backupd", "db1", "db_backupoperator")
    session = kit.login("backupd", "db1")
    ask = lambda name, *args: kit.server.scalar_function(session, "db1", name, list(args))  # noqa: E731
    assert ask("SUSER_SNAME") == "backupd" and ask("USER_NAME") == "backupd" and ask("IS_SRVROLEMEMBER", "sysadmin") == 0
    assert ask("IS_ROLEMEMBER", "db_backupoperator") == 1 and ask("IS_ROLEMEMBER", "db_owner") == 0
    assert ask("HAS_PERMS_BY_NAME", "db1", "DATABASE", "BACKUP LOG") == 1
    assert ask("HAS_PERMS_BY_NAME", "[db1]", "DATABASE", "BACKUP LOG") == 1 and ask("HAS_PERMS_BY_NAME", "[none]", "DATABASE", "ANY") is None
    assert ask("HAS_PERMS_BY_NAME", "[msdb].[dbo].[backupset]", "OBJECT", "SELECT") == 0
    assert ask("HAS_PERMS_BY_NAME", None, None, "VIEW SERVER STATE") == 0
    assert ask("HAS_DBACCESS", "db1") == 1 and ask("HAS_DBACCESS", "model") == 0 and ask("HAS_DBACCESS", "nope") is None
    mine = {r["permission_name"] for r in kit.function("sys.fn_my_permissions", None, "SERVER", session=session)}
    assert mine == {"CONNECT SQL", "VIEW ANY DATABASE"}
    rows = kit.server.table_function(session, "db1", "fn_my_permissions", ["db1", "DATABASE"])[1]
    assert {"BACKUP DATABASE", "BACKUP LOG", "CONNECT"} == {r[2] for r in rows}
    members = kit.view("sys.database_role_members", "db1")
    assert len(members) == 2


def test_rarer_refusals(kit):
    session = kit.login("backupd")
    run = kit.server.procedure
    with raises(201):
        run(kit.session, "msdb", "sp_delete_backuphistory", {}, lambda e: None)
    with raises(22048):
        run(kit.session, "master", "xp_create_subdir", {0: "/proc/none/x"}, lambda e: None)
    with raises(229):
        run(session, "master", "xp_create_subdir", {0: "/tmp/x"}, lambda e: None)
    with raises(1031):
        kit.server.create_database(kit.session, "x" * 129, {})
    with raises(2571):
        kit.server.trace(session, [3226], True)
    with raises(15247):
        kit.security("CREATE LOGIN", session=session, name="other", password="Other!Pass1")
    user(kit, "backupd", "db1")
    with raises(15063):
        kit.security("CREATE USER", "db1", name="second", login="backupd")
    with raises(7983):
        kit.server.checkdb(session, "db1", lambda e: None)
    with raises(15434):
        kit.security("DROP LOGIN", name="backupd")
    kit.security("CREATE CERTIFICATE", name="c")
    with raises(15232):
        kit.security("CREATE CERTIFICATE", name="c")
    with raises(15240):
        kit.security("BACKUP CERTIFICATE", name="c", file="/nowhere/c.cer")
    kit.server.check_policy = True
    with raises(15116):
        kit.security("CREATE LOGIN", name="short", password="short")
    kit.server.session_closed(session)
    kit.security("DROP LOGIN", name="backupd")
    assert kit.server.security.login("backupd") is None


def test_a_closed_session_has_no_rights(kit):
    session = kit.server.internal_session()
    kit.server.session_closed(session)
    with raises(262, 3013):
        kit.restore("HEADERONLY", "", "f.bak", session=session)


def test_a_session_of_before_a_restart_closes_nobody_elses(kit):
    old = kit.session
    kit.server.stop()
    kit.server.start()
    kit.session = kit.server.internal_session()
    assert old.spid == kit.session.spid and old.killed.is_set()
    kit.server.session_closed(old)
    assert kit.server.sessions[kit.session.spid].session() is kit.session


def test_roles_of_users(kit):
    user(kit, "backupd", "db1")
    kit.security("CREATE ROLE", "db1", name="keepers")
    kit.security("ALTER ROLE", "db1", role="keepers", member="backupd")
    kit.security("ALTER ROLE", "db1", role="db_backupoperator", member="keepers")
    session = kit.login("backupd")
    kit.backup("full", "db1", "r.bak", session=session)
    kit.security("DROP ROLE", "db1", name="keepers")
    with raises(262, 3013):
        kit.backup("full", "db1", "r.bak", session=session)
    kit.security("DROP USER", "db1", name="backupd")
    with raises(916):
        kit.server.database("db1", session)
    kit.security("DROP USER", "db1", name="backupd", if_exists=True)
    with raises(15151):
        kit.security("DROP USER", "db1", name="backupd")
