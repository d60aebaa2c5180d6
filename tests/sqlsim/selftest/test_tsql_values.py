# SPDX-License-Identifier: Apache-2.0
"""Expressions, types and conversions."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal as D

import pytest

from sqlsim.selftest import tsql_kit


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    server = tsql_kit.start(tmp_path_factory.mktemp("values"))
    yield tsql_kit.Client(server)
    server.stop()


@pytest.mark.parametrize("text, value, kind", [
    ("1", 1, "int"), ("2147483648", D(2147483648), "numeric(10,0)"), ("1.50", D("1.50"), "numeric(3,2)"), ("1e3", 1000.0, "float"),
    ("'ab'", "ab", "varchar(2)"), ("N'ab'", "ab", "nvarchar(2)"), ("''", "", "varchar(1)"), ("0x0102", b"\1\2", "varbinary(2)"),
    ("NULL", None, "int"), ("$1.5", D("1.5000"), "money"),
    ("7 / 2", 3, "int"), ("-7 / 2", -3, "int"), ("-7 % 3", -1, "int"), ("7 / 2.0", D("3.500000"), "numeric(8,6)"),
    ("CAST(1 AS bigint) * 3", 3, "bigint"), ("1.5 * 1.25", D("1.875"), "numeric(6,3)"), ("1 / 3e0", 1 / 3, "float"),
    ("CAST(10 AS numeric(10,2)) + CAST(1 AS numeric(5,1))", D("11.00"), "numeric(11,2)"),
    ("5 & 3 | 8 ^ 1", 8, "int"), ("~5", -6, "int"), ("- -3", 3, "int"),
    ("'a' + N'b'", "ab", "nvarchar(2)"), ("'1' + 1", 2, "int"), ("CAST('x' AS char(3)) + 'y'", "x  y", "varchar(4)"),
    ("CASE WHEN 1 = 2 THEN 1 ELSE 2.5 END", D("2.5"), "numeric(2,1)"), ("IIF(1 > 0, 'a', N'bcd')", "a", "nvarchar(3)"),
    ("ISNULL(NULL, 5)", 5, "int"), ("ISNULL(CAST(NULL AS varchar(2)), 'abc')", "ab", "varchar(2)"),
    ("COALESCE(NULL, 1, 2.5)", D("1.0"), "numeric(2,1)"), ("NULLIF(1, 1)", None, "int"),
    ("COUNT(*)", 1, "int"), ("COUNT_BIG(*)", 1, "bigint"), ("SUM(CAST(1 AS tinyint))", 1, "int"),
    ("SUM(CAST(1 AS numeric(5,2)))", D("1.00"), "numeric(38,2)"), ("AVG(CAST(1 AS numeric(5,2)))", D("1.000000"), "numeric(38,6)"),
    ("LEN('abc  ')", 3, "int"), ("DATALENGTH(N'abc ')", 8, "int"), ("LEN(CAST('x' AS varchar(max)))", 1, "bigint"),
    ("LEFT('abc', 2)", "ab", "varchar(2)"), ("SUBSTRING('abcdef', 0, 3)", "ab", "varchar(3)"),
    ("CHARINDEX('C', 'abc')", 3, "int"), ("REPLACE('aXbx', 'x', '-')", "a-b-", "varchar(8000)"),
    ("STUFF('abcdef', 2, 2, 'ZZZ')", "aZZZdef", "varchar(8000)"), ("QUOTENAME('a]b')", "[a]]b]", "nvarchar(258)"),
    ("CONCAT('a', NULL, 1)", "a1", "varchar(22)"), ("CONCAT_WS(',', 'a', NULL, 'b')", "a,b", "varchar(5)"),
    ("STR(12.345, 8, 2)", "   12.35", "varchar(8000)"), ("TRIM('  a ')", "a", "varchar(4)"), ("REPLICATE('ab', 2)", "abab", "varchar(8000)"),
    ("ASCII('A')", 65, "int"), ("UNICODE(N'é')", 233, "int"), ("NCHAR(233)", "é", "nchar(1)"), ("PATINDEX('%[0-9]%', 'ab3')", 3, "int"),
    ("FORMAT(1234.5, 'N2')", "1,234.50", "nvarchar(4000)"), ("ROUND(2.567, 2)", D("2.570"), "numeric(4,3)"), ("ROUND(125, -1)", 130, "int"), ("ROUND(2.5, 5000)", D("2.5"), "numeric(2,1)"),
    ("POWER(2, 10)", 1024, "int"), ("FLOOR(-1.5)", D(-2), "numeric(2,0)"), ("CEILING(1.2)", D(2), "numeric(2,0)"), ("SQRT(9)", 3.0, "float"),
    ("ISNUMERIC('1e5')", 1, "int"), ("ISNUMERIC('x')", 0, "int"), ("CHOOSE(2, 'a', 'b')", "b", "varchar(1)"),
    ("DATEADD(month, 1, '2024-01-31')", dt.datetime(2024, 2, 29), "datetime"), ("DATEDIFF(day, '2024-01-01', '2024-03-01')", 60, "int"),
    ("DATEDIFF(year, '2023-12-31', '2024-01-01')", 1, "int"), ("DATEDIFF(week, '2024-05-04', '2024-05-05')", 1, "int"),
    ("DATEDIFF_BIG(ms, '1970-01-01', '2024-01-01')", 1704067200000, "bigint"), ("DATEPART(weekday, '2024-05-05')", 1, "int"),
    ("DATENAME(month, '2024-05-05')", "May", "nvarchar(30)"), ("EOMONTH('2024-02-05')", dt.date(2024, 2, 29), "date"),
    ("SYSDATETIMEOFFSET() AT TIME ZONE 'UTC'", None, "datetimeoffset(7)"), ("TYPE_NAME(56)", "int", "nvarchar(128)"),
    ("HASHBYTES('MD5', 'a')", bytes.fromhex("0cc175b9c0f1b6a831c399e269772661"), "varbinary(8000)"),
    ("@@TRANCOUNT", 0, "int"), ("@@SPID", None, "smallint"), ("SCOPE_IDENTITY()", None, "numeric(38,0)"),
])
def test_values_and_types(client, text, value, kind):
    reply = client.ok("SELECT " + text)
    assert reply.types == [kind]
    if value is not None or "NULL" in text:
        assert reply.rows == [(value,)]
        assert type(reply.rows[0][0]) is type(value)


@pytest.mark.parametrize("text, value", [
    ("CAST(2.5 AS int)", 2), ("CAST(-2.5 AS int)", -2), ("CAST(2.555 AS numeric(5,2))", D("2.56")), ("CAST('  12 ' AS int)", 12),
    ("CAST(1.5e0 AS numeric(5,1))", D("1.5")), ("CAST(513 AS varbinary(4))", b"\0\0\2\1"), ("CAST(0x0102 AS int)", 258),
    ("CAST('true' AS bit)", True), ("CAST(5 AS bit)", True), ("CAST(CAST(2.5 AS money) AS varchar(10))", "2.50"),
    ("CAST(1e10 AS varchar(30))", "1e+010"), ("CAST(0.1 AS varchar(5))", "0.1"), ("CAST(N'日本' AS varchar(4))", "??"),
    ("CONVERT(varbinary(4), '0x1F2A', 1)", b"\x1f\x2a"), ("CONVERT(varbinary(4), '1F2A', 2)", b"\x1f\x2a"),
    ("CONVERT(varchar(10), 0x1F2A, 1)", "0x1F2A"), ("CONVERT(varchar(10), 0x1F2A, 2)", "1F2A"), ("CONVERT(varchar(2), 0x4142)", "AB"),
    ("CAST('2024-05-06 12:34:56.125' AS datetime)", dt.datetime(2024, 5, 6, 12, 34, 56, 127000)),
    ("CAST('2024-05-06 12:34:56.998' AS datetime)", dt.datetime(2024, 5, 6, 12, 34, 56, 997000)),
    ("CAST('2024-05-06T23:59:59.9996' AS datetime2(3))", dt.datetime(2024, 5, 7)),
    ("CAST('20240506' AS date)", dt.date(2024, 5, 6)), ("CAST('5/6/2024' AS date)", dt.date(2024, 5, 6)),
    ("CAST('May 6, 2024' AS date)", dt.date(2024, 5, 6)), ("CAST('12:30:15.5' AS time(1))", dt.time(12, 30, 15, 500000)),
    ("CAST('2024-05-06 12:34:30' AS smalldatetime)", dt.datetime(2024, 5, 6, 12, 35)),
    ("CONVERT(varchar(30), CAST('2024-05-06 12:34:56.123' AS datetime), 121)", "2024-05-06 12:34:56.123"),
    ("CONVERT(varchar(30), CAST('2024-05-06 12:34:56.123' AS datetime), 120)", "2024-05-06 12:34:56"),
    ("CONVERT(varchar(30), CAST('2024-05-06 12:34:56.123' AS datetime), 126)", "2024-05-06T12:34:56.123"),
    ("CONVERT(varchar(30), CAST('2024-05-06 12:34:56.5' AS datetime2(7)), 126)", "2024-05-06T12:34:56.5000000"),
    ("CONVERT(varchar(30), CAST('2024-05-06 12:34:56' AS datetime), 112)", "20240506"),
    ("CONVERT(varchar(30), CAST('2024-05-06 02:04:56' AS datetime))", "May  6 2024  2:04AM"),
    ("CONVERT(varchar(33), CAST('2024-05-06T12:00:00+02:00' AS datetimeoffset(0)), 127)", "2024-05-06T10:00:00Z"),
    ("CONVERT(datetime, '06.05.2024', 104)", dt.datetime(2024, 5, 6)),
    ("CAST('2024-05-06T12:00:00+02:00' AS datetime2)", dt.datetime(2024, 5, 6, 10)),
    ("CAST('c6c44151-8a2c-4c6c-9bf5-2e02090c8ebc' AS uniqueidentifier)", uuid.UUID("c6c44151-8a2c-4c6c-9bf5-2e02090c8ebc")),
    ("CAST(CAST(0x5141C4C62C8A6C4C9BF52E02090C8EBC AS uniqueidentifier) AS varchar(36))", "C6C44151-8A2C-4C6C-9BF5-2E02090C8EBC"),
    ("TRY_CONVERT(int, 'x')", None), ("TRY_CAST('5' AS int)", 5),
    ("CAST('2024-01-01' AS datetime) + 1", dt.datetime(2024, 1, 2)), ("CAST('abcdef' AS varchar(3))", "abc"), ("CAST(12345 AS varchar(3))", "*"),
])
def test_conversions(client, text, value):
    found = client.value(text)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize("text, number", [
    ("CAST('abc' AS int)", 245), ("1 + 'x'", 245), ("CAST('x' AS numeric(5,2))", 8114), ("CAST('x' AS bigint)", 8114),
    ("2147483647 + 1", 8115), ("CAST(300 AS tinyint)", 220), ("CAST(1000 AS numeric(4,2))", 8115), ("1 / 0", 8134), ("1.0 / 0", 8134), ("5 % 0", 8134),
    ("CAST('2024-13-01' AS date)", 241), ("CAST('2024-02-30' AS datetime)", 242), ("CAST('1700-01-01' AS datetime)", 242),
    ("CAST('x' AS uniqueidentifier)", 8169), ("CONVERT(varchar(10), GETDATE(), 999)", 281), ("CAST(1 AS date)", 529), ("1 + CAST('2024-01-01' AS date)", 206),
    ("FOO(1)", 195), ("SERVERPROPERTY()", 174), ("LEN()", 174), ("SUBSTRING('a')", 174), ("dbo.foo(1)", 4121), ("@nope", 137), ("nope", 207), ("a.b", 4104),
    ("LEFT('a', -1)", 536), ("DATEADD(foo, 1, GETDATE())", 155), ("CAST(1 AS bit) + CAST(1 AS bit)", 8117), ("ROW_NUMBER()", 10753),
    ("CAST(GETDATE() AS uniqueidentifier)", 529), ("CASE WHEN 1 = 1 THEN NULL END", 8133), ("0x01 + 'a'", 402), ("(SELECT 1, 2)", 116),
    ("(SELECT 1 UNION SELECT 2)", 512), ("SUM('a')", 8117), ("AVG(SUM(1))", 130),
])
def test_errors(client, text, number):
    assert client.error("SELECT " + text).number == number


@pytest.mark.parametrize("condition, truth", [
    ("'abc' = 'ABC  '", True), ("N'a' = 'A'", True), ("'a' < 'B'", True), ("'abc' LIKE 'A%'", True), ("'a%c' LIKE 'a!%c' ESCAPE '!'", True),
    ("'abc' LIKE '[a-c]_[^d]'", True), ("'abc' LIKE 'ab'", False), ("NULL = NULL", False), ("NOT NULL = 1", False), ("NULL IS NULL", True),
    ("1 IN (2, NULL)", False), ("1 NOT IN (2, NULL)", False), ("3 NOT IN (1, 2)", True), ("1 BETWEEN 1 AND 2", True), ("1.0 = 1", True),
    ("'10' > 9", True), ("CAST('2024-01-01' AS datetime) = '20240101'", True), ("1 = 1 OR 1 / 0 = 1", True), ("EXISTS (SELECT 1 WHERE 1 = 2)", False),
    ("3 > ALL (SELECT 1 UNION SELECT 2)", True), ("3 < ANY (SELECT 1 UNION SELECT 2)", False), ("NULL IS NOT DISTINCT FROM NULL", True),
    ("N'a' COLLATE Latin1_General_BIN2 = N'A'", False), ("'_' < '0'", True), ("0x0100 = 0x01", True), ("'é' = 'e'", False),
    ("CAST('00000000-0000-0000-0000-010000000000' AS uniqueidentifier) > CAST('FFFFFFFF-0000-0000-0000-000000000000' AS uniqueidentifier)", True),
    ("CAST('2024-01-01T12:00:00+02:00' AS datetimeoffset) = CAST('2024-01-01T10:00:00Z' AS datetimeoffset)", True),
])
def test_conditions(client, condition, truth):
    assert client.value(f"CASE WHEN {condition} THEN 1 ELSE 0 END") == int(truth)


def test_one_moment_per_statement(client):
    assert client.value("CASE WHEN SYSDATETIME() = SYSDATETIME() THEN 1 ELSE 0 END FROM (VALUES (1), (2)) v(x)") == 1
    micros = client.value("GETDATE()").microsecond
    assert micros % 1000 == 0 and micros // 1000 % 10 in (0, 3, 7)


def test_server_functions(client):
    assert client.value("DB_NAME()") == "master" and client.value("SUSER_SNAME()") == "sa"
    assert client.value("CONVERT(nvarchar(128), SERVERPROPERTY('ProductVersion'))") == "16.0.4236.2"
    assert client.value("@@SERVERNAME") == "sim1" and client.value("@@MICROSOFTVERSION") == 0x1000108C
    assert client.value("@@VERSION").startswith("Microsoft SQL Server 2022")
    assert client.run("SELECT DB_ID('nope')").rows == [(None,)]
