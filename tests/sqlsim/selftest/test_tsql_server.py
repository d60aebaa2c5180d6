# SPDX-License-Identifier: Apache-2.0
"""Statements for the server, and the language over the whole engine."""

from __future__ import annotations

import time

import pytest

from sqlsim.contract import Param, SqlType
from sqlsim.selftest import tsql_kit


@pytest.fixture
def server(tmp_path):
    server = tsql_kit.start(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def client(server):
    return tsql_kit.Client(server)


def recorded(server, client, sql, *params):
    server.recording = True
    try:
        client.ok(sql, *params)
    finally:
        server.recording = False
    return server.calls.pop()


def test_backup_takes_variables(server, client):
    kind, stmt = recorded(server, client, "DECLARE @d sysname = 'db1', @n int = 5\nBACKUP LOG @d TO DISK = @p WITH STATS = @n, NAME = @p, INIT",
                          Param("@p", SqlType("nvarchar", 100), "/x/y.trn"))
    assert kind == "backup" and stmt.what == "LOG" and stmt.database == "db1" and stmt.devices == ["/x/y.trn"] and stmt.line == 2
    assert stmt.options == {"STATS": 5, "NAME": "/x/y.trn", "INIT": True}


def test_restore_takes_variables(server, client):
    kind, stmt = recorded(server, client, "DECLARE @t datetime = '2024-05-06 07:08:09.123', @f nvarchar(20) = N'/a.mdf' "
                                          "RESTORE LOG d FROM DISK='a' WITH STOPAT = @t, MOVE 'd' TO @f, NORECOVERY")
    assert kind == "restore" and stmt.options["STOPAT"] == "2024-05-06T07:08:09.123" and stmt.options["MOVE"] == [("d", "/a.mdf")]
    assert client.error("DECLARE @t datetime2 = '2024-05-06' RESTORE LOG d FROM DISK='a' WITH STOPAT = @t").number == 206


def test_media_statements_not_in_a_transaction(client):
    reply = client.run("BEGIN TRAN; BACKUP DATABASE master TO DISK='/x'; RESTORE HEADERONLY FROM DISK='/x'; ROLLBACK")
    assert reply.numbers == [3021, 3013, 3021, 3013] and reply.errors[0].state == 0
    assert client.error("BEGIN TRAN CREATE DATABASE x").number == 226
    client.ok("ROLLBACK")


def test_unknown_devices(client):
    assert client.run("BACKUP DATABASE master TO mydevice").numbers == [3206, 3013]
    assert client.run("BACKUP DATABASE master TO DISK = ''").numbers == [3044]


def test_alter_database(server, client):
    call = recorded(server, client, "ALTER DATABASE [x y] SET RECOVERY SIMPLE WITH ROLLBACK IMMEDIATE")
    assert call == ("alter", "x y", [("RECOVERY", "SIMPLE")], "ROLLBACK IMMEDIATE")


def test_full_round(client, tmp_path):
    client.ok("CREATE DATABASE db1")
    client.ok("CREATE TABLE db1.dbo.pitr_orders (id int IDENTITY PRIMARY KEY, phase nvarchar(32), marker nvarchar(64), "
              "created_at datetime2 DEFAULT SYSUTCDATETIME())")
    client.ok("INSERT db1.dbo.pitr_orders (phase, marker) VALUES ('seed', 's1'), ('seed', 's2')")
    full, log = tmp_path / "full.bak", tmp_path / "log.trn"
    reply = client.ok(f"BACKUP DATABASE db1 TO DISK = '{full}' WITH INIT, CHECKSUM")
    assert reply.infos[-1][0] == 3014 and reply.dones[-1].curcmd == 228
    client.ok("INSERT db1.dbo.pitr_orders (phase, marker) VALUES ('wave1', 'w1')")
    client.ok("CREATE INDEX ix ON db1.dbo.pitr_orders (phase); CREATE UNIQUE INDEX ux ON db1.dbo.pitr_orders (marker)")
    assert client.ok(f"BACKUP LOG db1 TO DISK = '{log}' WITH INIT").dones[-1].curcmd == 235
    client.ok("INSERT db1.dbo.pitr_orders (phase, marker) VALUES ('wave2', 'w2')")
    move = f"MOVE 'db1' TO '{tmp_path}/d2.mdf', MOVE 'db1_log' TO '{tmp_path}/d2.ldf'"
    client.ok(f"RESTORE DATABASE db2 FROM DISK = '{full}' WITH {move}, NORECOVERY; RESTORE LOG db2 FROM DISK = '{log}' WITH RECOVERY")
    assert client.ok("SELECT phase, COUNT(*) FROM db2.dbo.pitr_orders GROUP BY phase ORDER BY phase").rows == [("seed", 2), ("wave1", 1)]
    assert client.error("INSERT db2.dbo.pitr_orders (marker) VALUES ('W1')").number == 2601
    assert client.ok("INSERT db2.dbo.pitr_orders (phase) OUTPUT inserted.id VALUES ('x')").rows == [(5,)]


def test_data_survives_a_restart(server, client, tmp_path):
    client.ok("CREATE DATABASE db1; CREATE TABLE db1.dbo.t (id int IDENTITY PRIMARY KEY, d numeric(9,3) DEFAULT 1, CHECK (d > 0)); "
              "INSERT db1.dbo.t (d) VALUES (1.5); BEGIN TRAN; INSERT db1.dbo.t (d) VALUES (2.5)")
    server.stop()
    again = tsql_kit.start(tmp_path)
    client = tsql_kit.Client(again)
    assert client.ok("INSERT db1.dbo.t (d) OUTPUT inserted.id VALUES (3.5); SELECT COUNT(*) FROM db1.dbo.t").rows == [(2,), (2,)]
    assert client.error("INSERT db1.dbo.t VALUES (-1)").number == 547
    again.stop()


def test_permissions(server, client):
    client.ok("CREATE DATABASE db1; CREATE LOGIN l WITH PASSWORD = 'Abcdef12!'")
    client.ok("USE db1; CREATE TABLE t (a int); CREATE TABLE u (a int); CREATE USER l FOR LOGIN l; GRANT SELECT ON dbo.t TO l")
    other = tsql_kit.Client(server, "l", "Abcdef12!", "db1")
    assert other.ok("SELECT * FROM t").rows == []
    error = other.error("SELECT * FROM u")
    assert (error.number, error.state, error.cls) == (229, 5, 14)
    assert other.error("INSERT t VALUES (1)").number == 229
    assert other.error("CREATE TABLE x (a int)").number == 262
    assert other.error("BACKUP DATABASE db1 TO DISK='/x'").number == 262
    client.ok("ALTER ROLE db_datawriter ADD MEMBER l; GRANT CREATE TABLE TO l")
    other.ok("INSERT t VALUES (1)")


def test_drop_database(client):
    client.ok("CREATE DATABASE db1; USE db1")
    assert client.error("DROP DATABASE db1").number == 3702
    client.ok("USE master; DROP DATABASE db1; DROP DATABASE IF EXISTS db1")
    assert client.error("DROP DATABASE db1").number == 3701


def test_dbcc(client):
    assert client.ok("DBCC CHECKDB ('master') WITH NO_INFOMSGS").infos == []
    assert client.ok("DBCC CHECKDB").infos[-1][0] == 2528
    client.ok("DBCC TRACEON (3226, -1)")
    assert (3226, 1, 1, 0) in client.ok("DBCC TRACESTATUS (-1)").rows
    assert client.error("DBCC FOO").number == 2526
    client.ok("CHECKPOINT")


DRIVERS = [
    "SET ARITHABORT ON; SET CONCAT_NULL_YIELDS_NULL ON; SET ANSI_NULLS ON; SET ANSI_NULL_DFLT_ON ON; SET ANSI_PADDING ON; SET ANSI_WARNINGS ON; "
    "SET CURSOR_CLOSE_ON_COMMIT ON; SET QUOTED_IDENTIFIER ON; SET TEXTSIZE 2147483647;",
    "SELECT @@MAX_PRECISION\r\nSET TRANSACTION ISOLATION LEVEL READ COMMITTED\r\nSET IMPLICIT_TRANSACTIONS OFF\r\nSET QUOTED_IDENTIFIER ON\r\n"
    "SET TEXTSIZE 2147483647",
    "set ansi_nulls on\nset ansi_null_dflt_on on\nset ansi_padding on\nset ansi_warnings on\nset arithabort on\nset concat_null_yields_null on\n"
    "set cursor_close_on_commit off\nset datefirst 7\nset dateformat mdy\nset implicit_transactions off\nset language us_english\n"
    "set numeric_roundabort off\nset quoted_identifier on\nset textsize 2147483647\nset transaction isolation level read committed\nset xact_abort off",
    "IF @@TRANCOUNT > 0 ROLLBACK TRAN", "set textsize 64512 ", "SET LOCK_TIMEOUT -1", "SET DEADLOCK_PRIORITY LOW", "SET SOMETHING_NEW 5",
    "SET STATISTICS IO OFF", "SET ROWCOUNT 0", "SET FMTONLY OFF", "SET NO_BROWSETABLE ON",
]


@pytest.mark.parametrize("sql", DRIVERS)
def test_what_drivers_send(client, sql):
    client.ok(sql)


def test_options_follow_the_session(client):
    assert client.ok('SET QUOTED_IDENTIFIER OFF').dones[0].curcmd == 190
    assert client.value('"text"') == "text"
    client.ok("SET QUOTED_IDENTIFIER ON")
    assert client.run('SELECT "text"').numbers == [207]
    assert client.ok("SET DATEFIRST 1; SELECT DATEPART(weekday, '2024-05-05'), @@DATEFIRST").rows == [(7, 1)]
    assert client.ok("SET ROWCOUNT 1; SELECT name FROM sys.databases; SET ROWCOUNT 0").counts[1] == 1


def test_large_tables_stay_usable(client):
    """Generous bounds: they catch a scan that turned quadratic, not a slow machine."""
    client.ok("CREATE DATABASE db1; USE db1; CREATE TABLE t (id int IDENTITY PRIMARY KEY, phase nvarchar(10), n numeric(10,2))")
    client.ok("INSERT t (phase, n) SELECT CASE value % 3 WHEN 0 THEN 'wave' ELSE 'seed' END, value * 0.5 FROM GENERATE_SERIES(1, 100000)")
    begun = time.monotonic()
    rows = client.ok("SELECT phase, COUNT(*), SUM(n), MAX(id) FROM t GROUP BY phase ORDER BY 1").rows
    assert [r[:2] for r in rows] == [("seed", 66667), ("wave", 33333)]
    assert client.ok("SELECT COUNT(*) FROM t a JOIN t b ON a.id = b.id AND b.phase = 'wave'").rows == [(33333,)]
    for number in range(100):
        assert client.ok(f"UPDATE t SET n = n + 1 WHERE id = {number + 1}").counts == [1]
    assert time.monotonic() - begun < 20


def test_kill_with_statusonly_kills_nobody(server, client):
    other = tsql_kit.Client(server)
    assert client.error(f"KILL {other.session.spid} WITH STATUSONLY").number == 6120
    assert other.value("1") == 1
    client.ok(f"KILL {other.session.spid}")
    assert other.session.killed.is_set()
