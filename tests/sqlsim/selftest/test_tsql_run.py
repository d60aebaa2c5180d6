# SPDX-License-Identifier: Apache-2.0
"""Statements over rows: DML, transactions, errors, tokens."""

from __future__ import annotations

import threading
from decimal import Decimal as D

import pytest

from sqlsim.contract import Cancelled, EnvChange, Param, ReturnStatus, SessionKilled, SqlType
from sqlsim.selftest import tsql_kit


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = tsql_kit.start(tmp_path_factory.mktemp("run"))
    yield server
    server.stop()


@pytest.fixture
def client(server, request):
    """A session in a database of its own."""
    name = "d" + str(abs(hash(request.node.name)) % 10**9)
    client = tsql_kit.Client(server)
    client.ok(f"CREATE DATABASE {name}")
    client.ok(f"USE {name}")
    client.ok("CREATE TABLE dbo.t (id int IDENTITY PRIMARY KEY, v nvarchar(10) NOT NULL, n numeric(10,2) DEFAULT 1.5)")
    yield client
    client.session.close()


def ids(client, where="1=1"):
    return [r[0] for r in client.ok(f"SELECT id FROM t WHERE {where} ORDER BY id").rows]


# -- rows ---------------------------------------------------------------------------------------------------------------


def test_insert_forms(client):
    assert client.ok("INSERT INTO dbo.t (v) VALUES (N'a'), ('b')").counts == [2]
    assert client.ok("INSERT t (v, n) SELECT v + 'x', n * 2 FROM t").counts == [2]
    assert client.run("INSERT t DEFAULT VALUES").numbers == [515]
    assert client.ok("INSERT t (v) OUTPUT inserted.id, inserted.n VALUES ('c')").rows == [(6, D("1.50"))]
    assert client.ok("SELECT * FROM t WHERE id < 5").rows == [(1, "a", D("1.50")), (2, "b", D("1.50")), (3, "ax", D("3.00")),
                                                                (4, "bx", D("3.00"))]


def test_identity(client):
    reply = client.ok("INSERT t (v) VALUES ('a'); SELECT SCOPE_IDENTITY(), @@IDENTITY, IDENT_CURRENT('t')")
    assert reply.rows == [(1, 1, 1)]
    assert client.error("INSERT t (id, v) VALUES (9, 'x')").number == 544
    client.ok("SET IDENTITY_INSERT t ON; INSERT t (id, v) VALUES (9, 'x'); SET IDENTITY_INSERT t OFF; INSERT t (v) VALUES ('y')")
    assert ids(client) == [1, 9, 10]
    client.ok("TRUNCATE TABLE t; INSERT t (v) VALUES ('z')")
    assert ids(client) == [1]
    assert client.error("UPDATE t SET id = 5").number == 8102


def test_an_insert_does_not_see_its_own_rows(client):
    client.ok("INSERT t (v) VALUES ('a')")
    for expected in (2, 4, 8):
        client.ok("INSERT t (v) SELECT v FROM t")
        assert client.value("COUNT(*) FROM t") == expected


def test_update_and_delete(client):
    client.ok("INSERT t (v) VALUES ('a'), ('b'), ('c')")
    reply = client.ok("UPDATE t SET n = n + id, v = UPPER(v) OUTPUT deleted.v, inserted.v, inserted.n WHERE id > 1")
    assert reply.rows == [("b", "B", D("3.50")), ("c", "C", D("4.50"))] and reply.counts == [2]
    assert client.ok("UPDATE x SET n = y.k FROM t x JOIN (VALUES (1, 10), (3, 30)) y (i, k) ON y.i = x.id").counts == [2]
    assert client.ok("SELECT n FROM t ORDER BY id").rows == [(D("10.00"),), (D("3.50"),), (D("30.00"),)]
    assert client.ok("DELETE TOP (1) FROM t WHERE id >= 2").counts == [1]
    assert client.ok("DELETE FROM t OUTPUT deleted.id WHERE v IN (SELECT 'A')").rows == [(1,)]
    assert client.value("COUNT(*) FROM t") == 1


def test_keys_may_be_exchanged_in_one_update(client):
    client.ok("CREATE TABLE k (a int PRIMARY KEY, b varchar(3) UNIQUE); INSERT k VALUES (1, 'x'), (2, 'y'), (3, 'z')")
    client.ok("UPDATE k SET a = 4 - a, b = CASE b WHEN 'x' THEN 'y' WHEN 'y' THEN 'x' ELSE b END")
    assert client.ok("SELECT a, b FROM k ORDER BY a").rows == [(1, "z"), (2, "x"), (3, "y")]
    assert client.run("UPDATE k SET a = 1").numbers == [2627]
    assert client.value("COUNT(*) FROM k") == 3


@pytest.mark.parametrize("sql, number, also", [
    ("INSERT t (v) VALUES (NULL)", 515, 3621), ("INSERT t (v) VALUES ('12345678901')", 2628, 3621), ("INSERT t VALUES ('a')", 213, None),
    ("INSERT t (v) VALUES ('a', 1)", 110, None), ("INSERT t (v, n) VALUES ('a')", 109, None), ("INSERT t (v, n) SELECT 'a'", 120, None),
    ("INSERT t (foo) VALUES (1)", 207, None), ("INSERT nope VALUES (1)", 208, None), ("UPDATE t SET v = NULL WHERE id = 1", 515, 3621),
    ("INSERT t (v, n) VALUES ('a', 123456789)", 8115, 3621), ("INSERT sys.databases VALUES (1)", 259, None), ("DROP TABLE nope", 3701, None),
    ("SELECT v FROM t GROUP BY n", 8120, None), ("SELECT id FROM t a, t b", 209, None), ("SELECT 1 FROM t WHERE SUM(id) = 1", 147, None),
    ("CREATE TABLE t (a int)", 2714, None), ("CREATE TABLE x (a int, A int)", 2705, None), ("SELECT 1 UNION SELECT 1, 2", 205, None),
    ("TRUNCATE TABLE nope", 4701, None), ("USE nope", 911, None), ("CREATE TABLE foo.x (a int)", 2760, None),
    ("SELECT DISTINCT v FROM t ORDER BY n", 145, None), ("EXEC nope", 2812, None), ("SELECT @a = 1, 2", 137, None),
    ("DECLARE @a int SELECT @a = 1, 2", 141, None), ("SELECT * FROM t x WHERE y.id = 1", 4104, None), ("SAVE TRAN s", 628, None),
    ("COMMIT", 3902, None), ("ROLLBACK", 3903, None), ("KILL 30000", 6106, None), ("SELECT TOP (-1) * FROM t", 1060, None),
])
def test_errors(client, sql, number, also):
    client.ok("INSERT t (v) VALUES ('a')")
    reply = client.run(sql)
    assert reply.numbers == [number]
    assert reply.dones[-1].error and reply.dones[-1].count is None
    assert [n for n, _ in reply.infos] == ([also] if also else [])


def test_constraints(client):
    client.ok("CREATE TABLE p (a int CONSTRAINT pk_p PRIMARY KEY, b int NULL UNIQUE, c int CHECK (c > 0), "
              "CONSTRAINT ck_two CHECK (b < c OR b IS NULL))")
    client.ok("CREATE TABLE c (a int REFERENCES p (a))")
    client.ok("INSERT p VALUES (1, 1, 2), (2, NULL, 5)")
    error = client.error("INSERT p VALUES (1, 9, 10)")
    assert error.number == 2627 and error.cls == 14 and "'pk_p'" in error.text and error.text.endswith("(1).")
    assert client.error("INSERT p VALUES (3, NULL, 10)").text.endswith("(<NULL>).")
    assert '"ck_two"' in client.error("INSERT p VALUES (3, 9, 8)").text
    assert client.error("UPDATE p SET c = 0 WHERE a = 2").number == 547
    assert client.error("INSERT c VALUES (7)").number == 547
    client.ok("INSERT c VALUES (1), (NULL)")
    assert client.error("DELETE p WHERE a = 1").number == 547
    assert client.error("DROP TABLE p").number == 3726
    client.ok("DELETE p WHERE a = 2")


def test_a_failing_statement_leaves_nothing_behind(client):
    assert client.run("INSERT t (v) SELECT v FROM (VALUES ('a'), ('b'), (NULL)) x (v)").numbers == [515]
    client.ok("BEGIN TRAN; INSERT t (v) VALUES ('keep')")
    assert client.run("INSERT t (v) VALUES ('x'), (NULL)").numbers == [515]
    client.ok("COMMIT")
    assert client.ok("SELECT v FROM t").rows == [("keep",)]


def test_alter_table_and_select_into(client):
    client.ok("INSERT t (v) VALUES ('a'), ('b')")
    client.ok("ALTER TABLE t ADD e int NOT NULL DEFAULT 7, f nvarchar(5) NULL")
    assert client.ok("SELECT e, f FROM t").rows == [(7, None), (7, None)]
    assert client.error("ALTER TABLE t ADD g int NOT NULL").number == 4901
    assert client.ok("SELECT id, v INTO t2 FROM t").counts == [2]
    client.ok("CREATE UNIQUE INDEX ix ON t2 (v)")
    assert client.error("INSERT t2 (v) VALUES ('A')").number == 2601
    client.ok("DROP INDEX ix ON t2; INSERT t2 (v) VALUES ('A')")
    assert ids(client, "id IN (SELECT id FROM t2)") == [1, 2]


def test_temporary_tables_and_variables_are_private(server, client):
    client.ok("CREATE TABLE #x (a int PRIMARY KEY, b varchar(5) DEFAULT 'q'); INSERT #x (a) VALUES (1)")
    assert client.ok("SELECT * FROM tempdb..#x").rows == [(1, "q")]
    other = tsql_kit.Client(server)
    assert other.run("SELECT * FROM #x").numbers == [208]
    other.session.close()
    reply = client.ok("DECLARE @t table (a int); BEGIN TRAN; INSERT @t VALUES (1); INSERT #x (a) VALUES (2); ROLLBACK; "
                      "SELECT (SELECT COUNT(*) FROM @t), (SELECT COUNT(*) FROM #x)")
    assert reply.rows == [(1, 1)]
    assert client.run("SELECT * FROM @t").numbers == [1087]


def test_values_come_back_as_they_went_in(client):
    client.ok("CREATE TABLE v (a bigint, b bit, c numeric(38,10), d money, e float, f real, g datetime, h datetime2(7), i date, j time(3), "
              "k datetimeoffset(2), l uniqueidentifier, m varbinary(max), n nvarchar(max), o char(4), p sql_variant, q smalldatetime, r tinyint)")
    row = ("-9223372036854775808, 1, -1234567890123456789012345678.1234567890, -1.2345, 1e300, 1.5, '2024-05-06T07:08:09.997', "
           "'0001-01-01T00:00:00.123456', '9999-12-31', '23:59:59.999', '2024-05-06T07:08:09.12+05:30', "
           "'c6c44151-8a2c-4c6c-9bf5-2e02090c8ebc', 0x00FF, N'日本''\"', 'ab', N'x', '2024-05-06T07:08:29', 255")
    client.ok(f"INSERT v VALUES ({row})")
    client.ok("INSERT v (a) VALUES (NULL)")
    stored = client.ok("SELECT * FROM v WHERE a IS NOT NULL").rows[0]
    types = client.ok("SELECT * FROM v").types
    assert types[2] == "numeric(38,10)" and types[10] == "datetimeoffset(2)" and types[12] == "varbinary(max)"
    casts = [part.strip() for part in row.replace("'2024-05-06T07:08:09.12+05:30', ", "'2024-05-06T07:08:09.12+05:30', ").split(", ")]
    for value, text, kind in zip(stored, casts, types):
        if kind != "sql_variant":
            assert client.value(f"CAST({text} AS {kind})") == value
    assert stored[15] == "x" and stored[14] == "ab  "
    assert client.ok("SELECT * FROM v WHERE a IS NULL").rows == [(None,) * 18]


# -- queries ------------------------------------------------------------------------------------------------------------


def test_joins_and_groups(client):
    client.ok("CREATE TABLE a (i int, x varchar(5)); CREATE TABLE b (i int, y int)")
    client.ok("INSERT a VALUES (1, 'one'), (2, 'two'), (3, NULL); INSERT b VALUES (1, 10), (1, 11), (2, 20), (4, 40)")
    run = lambda sql: client.ok(sql).rows  # noqa: E731
    assert run("SELECT a.i, y FROM a JOIN b ON a.i = b.i ORDER BY y") == [(1, 10), (1, 11), (2, 20)]
    assert run("SELECT a.i, y FROM a LEFT JOIN b ON a.i = b.i AND y > 10 ORDER BY 1") == [(1, 11), (2, 20), (3, None)]
    assert run("SELECT a.i, b.i FROM a FULL JOIN b ON a.i = b.i AND b.y <> 11 ORDER BY 1, 2") == [
        (None, 1), (None, 4), (1, 1), (2, 2), (3, None)]
    assert run("SELECT x, SUM(y) s, COUNT(*) FROM a JOIN b ON a.i = b.i GROUP BY x HAVING SUM(y) > 20 ORDER BY s DESC") == [("one", 21, 2)]
    assert run("SELECT i, (SELECT MAX(y) FROM b WHERE b.i = a.i) FROM a ORDER BY i") == [(1, 11), (2, 20), (3, None)]
    assert run("SELECT i FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.i = a.i)") == [(3,)]
    assert run("SELECT i FROM a WHERE i NOT IN (SELECT i FROM b)") == [(3,)]
    assert run("SELECT a.i, z.y FROM a OUTER APPLY (SELECT TOP 1 y FROM b WHERE b.i = a.i ORDER BY y DESC) z ORDER BY 1") == [
        (1, 11), (2, 20), (3, None)]
    assert run("SELECT COUNT(*), COUNT(x), MIN(x), MAX(i) FROM a WHERE i > 99") == [(0, 0, None, None)]
    assert run("SELECT i, COUNT(*) FROM a WHERE i > 99 GROUP BY i") == []
    assert run("SELECT SUM(CASE WHEN y > 10 THEN 1 ELSE 0 END) FROM b") == [(3,)]
    assert run("SELECT STRING_AGG(CAST(y AS varchar(5)), '-') WITHIN GROUP (ORDER BY y DESC) FROM b") == [("40-20-11-10",)]
    assert run("SELECT i FROM a EXCEPT SELECT i FROM b") == [(3,)]
    assert run("SELECT i FROM a INTERSECT SELECT i FROM b ORDER BY i DESC") == [(2,), (1,)]
    assert run("SELECT i FROM b ORDER BY y DESC OFFSET 1 ROWS FETCH NEXT 2 ROWS ONLY") == [(2,), (1,)]
    assert run("SELECT TOP (1) WITH TIES i FROM b ORDER BY i") == [(1,), (1,)]
    assert run("SELECT TOP 50 PERCENT y FROM b ORDER BY y") == [(10,), (11,)]


def test_windows(client):
    client.ok("INSERT t (v, n) VALUES ('a', 1), ('a', 2), ('b', 2), ('b', 4)")
    run = lambda sql: client.ok(sql).rows  # noqa: E731
    assert run("SELECT ROW_NUMBER() OVER (PARTITION BY v ORDER BY n DESC), id FROM t ORDER BY id") == [(2, 1), (1, 2), (2, 3), (1, 4)]
    assert run("SELECT RANK() OVER (ORDER BY n), DENSE_RANK() OVER (ORDER BY n) FROM t ORDER BY id") == [(1, 1), (2, 2), (2, 2), (4, 3)]
    assert run("SELECT LAG(id) OVER (ORDER BY id), LEAD(id, 2, 0) OVER (ORDER BY id) FROM t ORDER BY id") == [
        (None, 3), (1, 4), (2, 0), (3, 0)]
    assert run("SELECT SUM(n) OVER (ORDER BY n), COUNT(*) OVER () FROM t ORDER BY id") == [(D("1.00"), 4), (D("5.00"), 4), (D("5.00"), 4), (D("9.00"), 4)]
    assert run("SELECT SUM(id) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t ORDER BY id") == [(1,), (3,), (5,), (7,)]
    assert run("SELECT v, SUM(COUNT(*)) OVER () FROM t GROUP BY v ORDER BY v") == [("a", 4), ("b", 4)]


def test_common_table_expressions(client):
    sql = "WITH n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < {}) SELECT COUNT(*), SUM(i) FROM n"
    assert client.ok(sql.format(100)).rows == [(100, 5050)]
    assert client.run(sql.format(1000)).numbers == [530]
    client.ok("INSERT t (v) VALUES ('a'), ('b'), ('c')")
    client.ok("WITH x AS (SELECT id FROM t WHERE v > 'a') DELETE FROM t WHERE id IN (SELECT id FROM x)")
    assert ids(client) == [1]


def test_changes_through_a_common_table_expression(client):
    client.ok("INSERT t (v, n) VALUES ('a', 1), ('a', 2), ('b', 3)")
    assert client.ok("WITH x AS (SELECT *, ROW_NUMBER() OVER (PARTITION BY v ORDER BY id) AS r FROM t) DELETE FROM x WHERE r > 1").counts == [1]
    assert client.ok("WITH x AS (SELECT TOP 1 id, n FROM t ORDER BY id DESC) UPDATE x SET n = n * 2 OUTPUT inserted.n").rows == [(D("6.00"),)]
    assert client.ok("SELECT id, n FROM t ORDER BY id").rows == [(1, D("1.00")), (3, D("6.00"))]


def test_views_join_with_tables(client):
    client.ok("INSERT t (v) VALUES (DB_NAME())" if len(client.session.database) <= 10 else "INSERT t (v) VALUES ('master')")
    assert client.ok("SELECT d.state_desc FROM t JOIN sys.databases AS d ON d.name = t.v").rows == [("ONLINE",)]
    assert client.run("SELECT * FROM sys.nope").numbers == [208]
    assert client.value("COUNT(*) FROM sys.databases d CROSS APPLY sys.dm_db_log_stats(d.database_id) s") >= 4
    assert client.value("OBJECT_NAME(OBJECT_ID('dbo.t'))") == "t"
    assert client.ok("SELECT OBJECT_ID('dbo.nope'), OBJECT_ID('nope..t')").rows == [(None, None)]


# -- transactions -------------------------------------------------------------------------------------------------------


def test_nesting_and_names(client):
    reply = client.ok("BEGIN TRAN a; BEGIN TRAN b; INSERT t (v) VALUES ('x'); COMMIT; SELECT @@TRANCOUNT; COMMIT; SELECT @@TRANCOUNT")
    assert reply.rows == [(1,), (0,)]
    assert client.ok("BEGIN TRAN; BEGIN TRAN; DELETE t; ROLLBACK; SELECT @@TRANCOUNT, (SELECT COUNT(*) FROM t)").rows == [(0, 1)]
    assert client.run("BEGIN TRAN a; ROLLBACK TRAN zzz").numbers == [6401]
    client.ok("ROLLBACK TRAN a")


def test_savepoints(client):
    reply = client.ok("BEGIN TRAN; INSERT t (v) VALUES ('a'); SAVE TRAN s; INSERT t (v) VALUES ('b'); CREATE TABLE made (a int); "
                      "ROLLBACK TRAN s; INSERT t (v) VALUES ('c'); COMMIT; SELECT v FROM t ORDER BY id")
    assert [r[0] for r in reply.rows] == ["a", "c"]
    assert client.value("OBJECT_ID('made')") is None if client.run("SELECT OBJECT_ID('made')").rows != [(None,)] else True


def test_env_changes(client):
    events = client.ok("BEGIN TRAN; INSERT t (v) VALUES ('x'); COMMIT; BEGIN TRAN; ROLLBACK").events
    assert [e.kind for e in events if isinstance(e, EnvChange)] == [8, 9, 8, 10]
    first, second = [e for e in events if isinstance(e, EnvChange)][:2]
    assert len(first.new) == 8 and second.old == first.new


def test_isolation(server, client):
    """Other sessions see committed rows only; a second writer waits."""
    client.ok("INSERT t (v) VALUES ('a'); BEGIN TRAN; UPDATE t SET v = 'b'")
    other = tsql_kit.Client(server, database=client.session.database)
    assert other.ok("SELECT v FROM t").rows == [("a",)]
    done = threading.Event()

    def write():
        other.ok("UPDATE t SET n = 9")
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    assert not done.wait(0.2)
    client.ok("COMMIT")
    thread.join(10)
    assert done.is_set()
    assert client.ok("SELECT v, n FROM t").rows == [("b", D("9.00"))]
    other.session.close()


def test_many_writers_lose_nothing(server, client):
    """Increments from several sessions, each a statement or a transaction of its own; readers never see half a transaction."""
    client.ok("CREATE TABLE acc (k int PRIMARY KEY, v int NOT NULL); INSERT acc VALUES (1, 500), (2, 500)")
    bad, stop = [], threading.Event()

    def write(number):
        mine = tsql_kit.Client(server, database=client.session.database)
        for step in range(30):
            amount = number + step
            reply = mine.run(f"BEGIN TRAN; UPDATE acc SET v = v - {amount} WHERE k = 1; UPDATE acc SET v = v + {amount} WHERE k = 2; COMMIT; "
                             f"INSERT t (v) VALUES ('w{number}')")
            bad.extend(reply.errors)
        mine.session.close()

    def read():
        mine = tsql_kit.Client(server, database=client.session.database)
        while not stop.is_set():
            total = mine.value("SUM(v) FROM acc")
            if total != 1000:
                bad.append(total)
        mine.session.close()

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join(60)
    stop.set()
    reader.join(60)
    assert not bad
    assert client.value("COUNT(DISTINCT id) FROM t") == 120
    moved = sum(n + s for n in range(4) for s in range(30))
    assert client.ok("SELECT v FROM acc ORDER BY k").rows == [(500 - moved,), (500 + moved,)]


def test_marks_and_implicit_transactions(client):
    client.ok("BEGIN TRAN m1 WITH MARK 'why'; INSERT t (v) VALUES ('x'); COMMIT")
    assert client.ok(f"SELECT mark_name, description FROM msdb.dbo.logmarkhistory WHERE database_name = DB_NAME()").rows == [("m1", "why")]
    client.ok("SET IMPLICIT_TRANSACTIONS ON; SELECT 1")
    assert client.value("@@TRANCOUNT") == 0
    client.ok("DELETE FROM t")
    assert client.value("@@TRANCOUNT") == 1
    client.ok("ROLLBACK; SET IMPLICIT_TRANSACTIONS OFF")
    assert ids(client) == [1]


def test_transaction_manager(client):
    events = []
    client.session.transaction("begin", "", 2, events.append)
    client.ok("INSERT t (v) VALUES ('x')")
    client.session.transaction("rollback", "", 0, events.append)
    client.session.transaction("begin", "", 2, events.append)
    client.ok("INSERT t (v) VALUES ('y')")
    client.session.transaction("commit", "", 0, events.append)
    assert client.ok("SELECT v FROM t").rows == [("y",)]
    assert [e.kind for e in events if isinstance(e, EnvChange)] == [8, 10, 8, 9]


def test_closing_rolls_back(server, client):
    other = tsql_kit.Client(server, database=client.session.database)
    other.ok("BEGIN TRAN; INSERT t (v) VALUES ('lost')")
    other.session.close()
    client.ok("INSERT t (v) VALUES ('kept')")
    assert client.ok("SELECT v FROM t").rows == [("kept",)]


def test_reset(client):
    client.ok("CREATE TABLE #x (a int); BEGIN TRAN; INSERT t (v) VALUES ('x'); SET NOCOUNT ON")
    client.session.reset(lambda event: None)
    assert client.session.database == "master" and client.value("@@TRANCOUNT") == 0
    assert client.run("SELECT * FROM #x").numbers == [208]
    assert client.ok("SELECT 1").counts == [1]


# -- errors and flow ----------------------------------------------------------------------------------------------------


def test_statement_errors_go_on_and_batch_errors_stop(client):
    assert client.run("SELECT 1/0; SELECT 2").rows == [(2,)]
    assert client.run("SELECT CAST('x' AS int); SELECT 2").rows == []
    assert client.run("SELECT * FROM nope; SELECT 2").rows == []
    assert client.run("EXEC('SELECT * FROM nope'); SELECT 2").rows == [(2,)]
    assert client.run("RAISERROR('a', 16, 1); SELECT 2").rows == [(2,)]
    assert client.run("THROW 50001, 'a', 1; SELECT 2").rows == []


def test_xact_abort(client):
    reply = client.run("SET XACT_ABORT ON; BEGIN TRAN; INSERT t (v) VALUES ('a'); INSERT t (v) VALUES (NULL); SELECT 'no'")
    assert reply.numbers == [515] and reply.rows == []
    assert client.ok("SELECT @@TRANCOUNT, COUNT(*) FROM t").rows == [(0, 0)]
    reply = client.run("BEGIN TRAN; BEGIN TRY INSERT t (v) VALUES ('a'); SELECT 1/0 END TRY BEGIN CATCH SELECT XACT_STATE(); "
                       "INSERT t (v) VALUES ('b') END CATCH")
    assert reply.rows == [(-1,)] and reply.numbers == [3930]
    assert client.ok("SELECT @@TRANCOUNT, COUNT(*) FROM t; SET XACT_ABORT OFF").rows == [(0, 0)]


def test_conversion_errors_roll_back(client):
    assert client.run("BEGIN TRAN; INSERT t (v) VALUES ('a'); SELECT CAST('x' AS int)").numbers == [245]
    assert client.ok("SELECT @@TRANCOUNT, COUNT(*) FROM t").rows == [(0, 0)]


def test_try_catch(client):
    reply = client.run("BEGIN TRY\n\nINSERT t (v) VALUES (NULL)\nEND TRY BEGIN CATCH SELECT ERROR_NUMBER(), ERROR_SEVERITY(), ERROR_STATE(), "
                       "ERROR_LINE() END CATCH; SELECT ERROR_NUMBER()")
    assert reply.rows == [(515, 16, 2, 3), (None,)] and not reply.errors
    reply = client.run("BEGIN TRY SELECT 1/0 END TRY BEGIN CATCH THROW END CATCH; SELECT 1")
    assert reply.numbers == [8134] and reply.rows == []
    reply = client.run("BEGIN TRY BEGIN TRY SELECT 1/0 END TRY BEGIN CATCH THROW 50005, 'in', 7 END CATCH END TRY "
                       "BEGIN CATCH SELECT ERROR_NUMBER(), ERROR_MESSAGE(), ERROR_STATE() END CATCH")
    assert reply.rows == [(50005, "in", 7)]
    assert client.run("BEGIN TRY SELECT * FROM nope END TRY BEGIN CATCH SELECT 'no' END CATCH").numbers == [208]
    reply = client.run("BEGIN TRY EXEC('SELECT * FROM nope') END TRY BEGIN CATCH SELECT ERROR_NUMBER() END CATCH")
    assert reply.rows == [(208,)] and not reply.errors


def test_raiserror_and_print(client):
    reply = client.run("RAISERROR('%s has %d of %5.2s|', 16, 3, 'x', 7, 'abc')")
    assert (reply.errors[0].number, reply.errors[0].text, reply.errors[0].state) == (50000, "x has 7 of    ab|", 3)
    assert client.ok("RAISERROR('low', 10, 1) WITH NOWAIT; PRINT 'p' + CAST(1 AS varchar(2))").infos == [(50000, "low"), (0, "p1")]
    assert client.run("RAISERROR('x', 16, 1); SELECT @@ERROR").rows == [(50000,)]


def test_loops(client):
    reply = client.ok("DECLARE @i int = 0, @s varchar(20) = ''; WHILE 1 = 1 BEGIN SET @i += 1; IF @i = 2 CONTINUE; IF @i > 4 BREAK; "
                      "SELECT @s = @s + CAST(@i AS varchar(2)) END; SELECT @s, @i")
    assert reply.rows == [("134", 5)]
    assert client.ok("IF 1 = 2 SELECT 'a' ELSE IF 1 = 1 SELECT 'b' ELSE SELECT 'c'; RETURN; SELECT 'd'").rows == [("b",)]


def test_rowcount_and_error_functions(client):
    reply = client.ok("INSERT t (v) VALUES ('a'), ('b'); SELECT @@ROWCOUNT; SELECT @@ROWCOUNT; UPDATE t SET v = 'c' WHERE 1 = 2; SELECT @@ROWCOUNT")
    assert reply.rows == [(2,), (1,), (0,)]
    assert client.run("INSERT t (v) VALUES (NULL); SELECT @@ERROR; SELECT @@ERROR").rows == [(515,), (0,)]


def test_done_tokens(client):
    reply = client.ok("SET NOCOUNT OFF; SELECT 1; INSERT t (v) VALUES ('a'); UPDATE t SET v = 'b'; DELETE t; USE master")
    assert [(d.curcmd, d.count) for d in reply.dones] == [(190, None), (193, 1), (195, 1), (197, 1), (196, 1), (226, None)]
    reply = client.ok("SET NOCOUNT ON; SELECT 1")
    assert [d.count for d in reply.dones] == [None, None]
    assert client.ok("DECLARE @a int").dones, "a batch always ends with a DONE"


# -- procedures ---------------------------------------------------------------------------------------------------------


def test_sp_executesql(client):
    reply = client.ok("DECLARE @o int = 1; EXEC sp_executesql N'SET @x = @x + @y; SELECT @z', N'@x int OUTPUT, @y int, @z nvarchar(5) = N''d''', "
                      "@x = @o OUTPUT, @y = 41; SELECT @o")
    assert reply.rows == [("d",), (42,)] and any(isinstance(e, ReturnStatus) for e in reply.events)
    assert client.run("EXEC sp_executesql 'SELECT 1'").numbers == [214]
    assert client.run("EXEC sp_executesql N'SELECT @a', N'@a int'").numbers == [8178]
    assert client.ok("INSERT t (v) EXEC('SELECT ''x'' UNION ALL SELECT ''y''')").counts[-1] == 2


def test_parameters_of_the_wire(client):
    out = Param("@out", SqlType("int"), None, output=True)
    reply = client.ok("SET @out = LEN(@a); SELECT @a, @n", Param("@a", SqlType("nvarchar", 10), "abc"),
                      Param("@n", SqlType("numeric", precision=5, scale=2), D("1.25")), out)
    assert reply.rows == [("abc", D("1.25"))] and reply.types == ["nvarchar(10)", "numeric(5,2)"] and out.value == 3


def test_call(client):
    events = []
    client.session.call("msdb.dbo.sp_delete_backuphistory", [Param("@oldest_date", SqlType("nvarchar", 10), "2000-01-01")], events.append)
    assert any(isinstance(e, ReturnStatus) and e.value == 0 for e in events)
    events.clear()
    client.session.call("nope", [], events.append)
    assert [e.number for e in tsql_kit.Reply(events).errors] == [2812]


# -- stopping -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sql", ["WAITFOR DELAY '00:01:00'", "WHILE 1 = 1 SELECT 1 WHERE 1 = 2",
                                 "SELECT COUNT(*) FROM GENERATE_SERIES(1, 1000) a CROSS JOIN GENERATE_SERIES(1, 1000000) b"])
@pytest.mark.parametrize("event, error", [("cancel", Cancelled), ("killed", SessionKilled)])
def test_stopping(server, sql, event, error):
    client = tsql_kit.Client(server)
    timer = threading.Timer(0.1, getattr(client.session, event).set)
    timer.start()
    with pytest.raises(error):
        client.session.execute(sql, [], lambda e: None)
    timer.join()
    if event == "cancel":
        client.session.cancel.clear()
        assert client.value("1") == 1
    client.session.close()


def test_kill(server, client):
    victim = tsql_kit.Client(server)
    client.ok(f"KILL {victim.session.spid}")
    with pytest.raises(SessionKilled) as caught:
        victim.run("SELECT 1")
    assert caught.value.error.number == 596
    assert client.run(f"KILL {client.session.spid}").numbers == [6104]
    victim.session.close()
