# SPDX-License-Identifier: Apache-2.0
"""The lexer and the parser: what is accepted, and the words of what is not."""

from __future__ import annotations

import pytest

from sqlsim.contract import SqlError
from sqlsim.tsql import nodes
from sqlsim.tsql.lexer import tokens
from sqlsim.tsql.parser import parse


def one(sql: str):
    found = parse(sql)
    assert len(found) == 1
    return found[0]


def refused(sql: str, quoted: bool = True):
    with pytest.raises(SqlError) as caught:
        parse(sql, quoted)
    return caught.value


def test_tokens():
    found = [(t.kind, t.text, t.value) for t in tokens("N'a''b' [x]]y] \"q\"\"r\" 0x1F 1.50 2e3 @v @@x $2.5 a.b -- c\n/* d /* e */ f */ z")]
    assert [f[:1] for f in found[:6]] == [("str",), ("ident",), ("ident",), ("hex",), ("num",), ("num",)]
    assert found[0][2] == "a'b" and found[1][1] == "x]y" and found[2][1] == 'q"r' and found[3][2] == b"\x1f"
    assert str(found[4][2]) == "1.50" and found[5][2] == 2000.0
    assert found[-2][1] == "z" and found[-1] == ("end", "", "z")


def test_double_quotes_are_text_without_quoted_identifier():
    assert tokens('"a"', quoted=False)[0].kind == "str"
    assert tokens('"a"', quoted=True)[0].kind == "ident"


def test_lines_are_counted_in_comments_and_strings():
    assert refused("/* a\nb */ SELECT 'x\ny'\n,,").error.line == 4


@pytest.mark.parametrize("sql, number, near", [
    ("SELECT 1 FROM", 102, "'FROM'"),
    ("SELECT 1 = 1", 102, "'='"),
    ("SELECT * FROM t WHERE", 102, "'WHERE'"),
    ("SELECT 1;; foo", 102, "'foo'"),
    ("SELECT , 1", 102, "','"),
    ("SELECT 1 UNION", 102, "'UNION'"),
    ("CREATE PROCEDURE p AS SELECT 1", 40510, "'CREATE PROCEDURE'"), ("CREATE OR ALTER VIEW v AS SELECT 1", 40510, "'CREATE VIEW'"),
    ("ALTER FUNCTION f() RETURNS int AS BEGIN RETURN 1 END", 40510, "'ALTER FUNCTION'"), ("DROP TRIGGER x", 40510, "'DROP TRIGGER'"),
    ("DECLARE c CURSOR FOR SELECT 1", 40510, "'DECLARE CURSOR'"), ("FETCH NEXT FROM c", 40510, "'FETCH'"), ("CREATE NONSENSE x", 343, "'NONSENSE'"),
    ("DELETE FROM WHERE 1=1", 156, "'WHERE'"),
    ("SELECT 1 WITH c AS (SELECT 1 a) SELECT * FROM c", 319, "'with'"),
    ("IF 1 SELECT 1", 4145, "'SELECT'"),
    ("MERGE t USING u ON 1=1 WHEN MATCHED THEN DELETE;", 40510, "'MERGE'"),
    ("CREATE DATABASE x, y", 102, "','"),
    ("DECLARE @a foo", 243, "foo"),
    ("DECLARE @a nvarchar(9000)", 131, "9000"),
    ("SELECT TOP FROM t", 156, "'FROM'"),
    ("BEGIN SELECT 1", 102, "'1'"),
    ("SELECT * FROM (", 102, "'('"),
    ("CREATE UNIQUE INDEX ix ON t SELECT 1", 156, "'SELECT'"),
    ("SELECT (", 102, "'('"),
    ("SELECT a. FROM t", 156, "'FROM'"),
])
def test_mistakes(sql, number, near):
    exc = refused(sql)
    assert exc.error.number == number, exc
    assert near in exc.error.text


def test_an_open_string_gives_two_errors():
    exc = refused("SELECT 'abc")
    assert exc.error.number == 105 and [e.number for e in exc.also] == [102]
    assert refused("SELECT 1 /* abc").error.number == 113


def test_precedence():
    found = one("SELECT 1 + 2 * 3 - -4 % 5").query.body.items[0].expr
    assert found.op == "-" and found.left.op == "+" and found.left.right.op == "*" and found.right.op == "%"
    where = one("SELECT 1 WHERE NOT a = 1 AND b = 2 OR c = 3").query.body.where
    assert where.op == "OR" and where.left.op == "AND" and isinstance(where.left.left, nodes.Not)


def test_parentheses_of_conditions_and_values():
    where = one("SELECT 1 WHERE ((a) = (1 + 2)) AND ((b) IS NULL OR (c + 1) * 2 > (3))").query.body.where
    assert where.op == "AND" and isinstance(where.left, nodes.Compare) and where.right.op == "OR"


def test_a_batch_may_begin_with_a_procedure():
    found = one("sp_foo 1, @b = N'x', @c = @d OUTPUT")
    assert found.name == ["sp_foo"] and [a.name for a in found.args] == ["", "@b", "@c"] and found.args[2].output


def test_statements_without_semicolons():
    kinds = [s.__class__.__name__ for s in parse("DECLARE @i int = 1 SET @i = 2 IF @i = 2 SELECT 1 ELSE PRINT 'x' BEGIN TRAN COMMIT SELECT 2")]
    assert kinds == ["Declare", "SetVar", "If", "BeginTran", "Commit", "SelectStmt"]


def media(sql: str) -> nodes.Media:
    return one(sql)


def test_backup_with_every_kind_of_option():
    found = media("BACKUP DATABASE [a]]b] TO DISK = N'/x/1.bak', DISK = @p MIRROR TO DISK='/y/1', DISK='/y/2' WITH FORMAT, INIT, SKIP, CHECKSUM, "
                  "COPY_ONLY, STATS = 5, NAME = N'run', DESCRIPTION = @d, BLOCKSIZE = 4096, BUFFERCOUNT = 7, MAXTRANSFERSIZE = 1048576, "
                  "COMPRESSION (ALGORITHM = ZSTD, LEVEL = LOW), ENCRYPTION (ALGORITHM = AES_256, SERVER CERTIFICATE = [my cert]), "
                  "CONTINUE_AFTER_ERROR, RETAINDAYS = 3")
    assert found.database == "a]b" and found.devices == ["/x/1.bak", nodes.Var("@p")] and found.mirrors == [["/y/1", "/y/2"]]
    options = found.options
    assert options["COMPRESSION"] == {"ALGORITHM": "ZSTD", "LEVEL": "LOW"}
    assert options["ENCRYPTION"] == {"ALGORITHM": "AES_256", "SERVER CERTIFICATE": "my cert"}
    assert options["STATS"] == 5 and options["NAME"] == "run" and options["DESCRIPTION"] == nodes.Var("@d")
    assert all(options[k] is True for k in ("FORMAT", "INIT", "SKIP", "CHECKSUM", "COPY_ONLY", "CONTINUE_AFTER_ERROR"))


def test_backup_log_and_stats_alone():
    found = media("BACKUP LOG @db TO DISK='x' WITH NORECOVERY, NO_TRUNCATE, STANDBY = 'u', STATS, NO_COMPRESSION, METADATA_ONLY = SNAPSHOT")
    assert found.what == "LOG" and found.database == nodes.Var("@db") and found.options["STATS"] == 10
    assert found.options["STANDBY"] == "u" and found.options["METADATA_ONLY"] is True


def test_restore():
    found = media("RESTORE LOG d FROM DISK='a', URL='s3://b/c' WITH FILE = 2, MOVE N'd' TO '/d.mdf', MOVE 'l' TO '/l.ldf', REPLACE, NORECOVERY, "
                  "STOPAT = '2024-01-01T00:00:00', STATS = 5, KEEP_CDC, KEEP_REPLICATION")
    assert found.options["MOVE"] == [("d", "/d.mdf"), ("l", "/l.ldf")] and found.options["FILE"] == 2
    assert found.devices == ["a", "s3://b/c"]
    found = media("RESTORE LOG d FROM DISK='a' WITH STOPATMARK = 'm' AFTER '2024-01-01', RECOVERY")
    assert found.options["STOPATMARK"] == ("m", "2024-01-01")
    assert media("RESTORE LOG d FROM DISK='a' WITH STOPBEFOREMARK = 'lsn:34'").options["STOPBEFOREMARK"] == ("lsn:34", None)
    found = media("RESTORE DATABASE d WITH RECOVERY")
    assert found.devices == [] and found.options == {"RECOVERY": True}
    assert media("RESTORE DATABASE d FROM DATABASE_SNAPSHOT = 's'").options == {"DATABASE_SNAPSHOT": "s"}
    assert media("RESTORE DATABASE d PAGE = '1:57' FROM DISK='a' WITH NORECOVERY").options["PAGE"] == "1:57"
    for what in ("HEADERONLY", "FILELISTONLY", "LABELONLY", "VERIFYONLY"):
        assert media(f"RESTORE {what} FROM DISK = 'x'").what == what


@pytest.mark.parametrize("sql", ["BACKUP DATABASE d TO DISK='x' WITH INIT, FOO", "BACKUP LOG d TO DISK='x' WITH REPLACE",
                                 "RESTORE DATABASE d FROM DISK='x' WITH INIT", "RESTORE LOG d FROM DISK='x' WITH FOO = 1",
                                 "ALTER DATABASE d SET FOO ON", "ALTER DATABASE d SET RECOVERY FOO"])
def test_unknown_options_are_155_alone(sql):
    exc = refused(sql)
    assert (exc.error.number, exc.error.state, exc.error.cls) == (155, 1, 15) and not exc.also


def test_alter_database():
    found = one("ALTER DATABASE [d] SET SINGLE_USER WITH ROLLBACK IMMEDIATE")
    assert found.clauses == [("SINGLE_USER", None)] and found.termination == "ROLLBACK IMMEDIATE"
    found = one("ALTER DATABASE d SET RECOVERY BULK_LOGGED, AUTO_CLOSE OFF, PAGE_VERIFY CHECKSUM WITH NO_WAIT")
    assert found.clauses == [("RECOVERY", "BULK_LOGGED"), ("AUTO_CLOSE", "OFF"), ("PAGE_VERIFY", "CHECKSUM")]
    assert found.termination == "NO_WAIT"
    assert one("ALTER DATABASE d MODIFY NAME = [e]").clauses == [("MODIFY NAME", "e")]
    assert one("ALTER DATABASE CURRENT SET COMPATIBILITY_LEVEL = 150").clauses == [("COMPATIBILITY_LEVEL", 150)]
    assert one("ALTER DATABASE d ADD FILE (NAME = f, FILENAME = '/f.ndf', SIZE = 8MB)").clauses == [
        ("ADD FILE", {"NAME": "f", "FILENAME": "/f.ndf", "SIZE": "8MB"})]


def test_security_statements():
    found = one("GRANT VIEW SERVER STATE, ALTER ANY CONNECTION TO [a], [b] WITH GRANT OPTION")
    assert found.args["permissions"] == ["VIEW SERVER STATE", "ALTER ANY CONNECTION"] and found.args["to"] == ["a", "b"]
    found = one("DENY SELECT ON OBJECT::dbo.t TO public")
    assert found.verb == "DENY" and found.args["class"] == "OBJECT" and found.args["object"] == "dbo.t"
    found = one("CREATE LOGIN l WITH PASSWORD = N'x', CHECK_POLICY = OFF, DEFAULT_DATABASE = [d], SID = 0x0102")
    assert found.args == {"name": "l", "password": "x", "check_policy": "OFF", "default_database": "d", "sid": b"\x01\x02"}
    assert one("ALTER ROLE db_owner DROP MEMBER u").args["add"] is False
    found = one("ALTER AUTHORIZATION ON DATABASE::d TO sa")
    assert found.args == {"class": "DATABASE", "object": "d", "to": "sa"}


def test_deep_nesting_is_an_error_and_no_crash():
    assert refused("SELECT " + "(" * 20000 + "1" + ")" * 20000).error.number == 191
