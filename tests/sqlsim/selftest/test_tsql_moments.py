# SPDX-License-Identifier: Apache-2.0
"""datetime2, datetimeoffset and time have seven digits."""

import datetime as dt

import pytest

from sqlsim import moments
from sqlsim.contract import SqlType
from sqlsim.selftest import tsql_kit
from sqlsim.tds import temporal


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    server = tsql_kit.start(tmp_path_factory.mktemp("m"))
    client = tsql_kit.Client(server)
    client.ok("CREATE DATABASE d")
    yield client
    server.stop()


@pytest.mark.parametrize("expression, text", [
    ("CAST('2024-05-06 07:08:09.1234567' AS datetime2)", "2024-05-06 07:08:09.1234567"),
    ("CAST('2024-05-06 07:08:09.1234567' AS datetime2(6))", "2024-05-06 07:08:09.123457"),
    ("CAST('2024-05-06 07:08:09.1234564' AS datetime2(6))", "2024-05-06 07:08:09.123456"),
    ("CAST('2024-05-06 07:08:09.1234500' AS datetime2(4))", "2024-05-06 07:08:09.1235"),
    ("CAST('2024-05-06 07:08:09.1234499' AS datetime2(4))", "2024-05-06 07:08:09.1234"),
    ("CAST('2024-05-06 23:59:59.9999999' AS datetime2(3))", "2024-05-07 00:00:00.000"),
    ("CAST('9999-12-31 23:59:59.9999999' AS datetime2(3))", "9999-12-31 23:59:59.999"),
    ("CAST('9999-12-31 23:59:59.9999999' AS datetime2)", "9999-12-31 23:59:59.9999999"),
    ("CAST('07:08:09.1234567' AS time)", "07:08:09.1234567"),
    ("CAST('2024-05-06T07:08:09.1234567+02:00' AS datetimeoffset)", "2024-05-06 07:08:09.1234567 +02:00"),
    ("SWITCHOFFSET(CAST('2024-05-06T07:08:09.1234567+02:00' AS datetimeoffset), '-05:00')", "2024-05-06 00:08:09.1234567 -05:00"),
    ("CAST(CAST('2024-05-06T07:08:09.1234567+02:00' AS datetimeoffset) AS datetime2)", "2024-05-06 07:08:09.1234567"),
    ("CAST(CAST('2024-05-06 07:08:09.1234567' AS datetime2) AS time)", "07:08:09.1234567"),
    ("DATEADD(nanosecond, 100, CAST('2024-05-06 07:08:09.9999999' AS datetime2))", "2024-05-06 07:08:10.0000000"),
    ("DATEADD(nanosecond, -100, CAST('2024-05-06' AS datetime2))", "2024-05-05 23:59:59.9999999"),
    ("DATEADD(hour, 1, CAST('2024-05-06 07:08:09.1234567' AS datetime2))", "2024-05-06 08:08:09.1234567"),
    ("DATETIME2FROMPARTS(2024, 5, 6, 7, 8, 9, 1234567, 7)", "2024-05-06 07:08:09.1234567")])
def test_text(client, expression, text):
    assert client.value(f"CAST({expression} AS varchar(40))") == text


def test_arithmetic_and_order(client):
    a, b = "CAST('2024-05-06 07:08:09.1234567' AS datetime2)", "CAST('2024-05-06 07:08:09.1234568' AS datetime2)"
    assert client.value(f"CASE WHEN {a} < {b} AND {b} > {a} AND {a} <> {b} AND NOT {a} = {b} AND {a} <= {b} THEN 1 ELSE 0 END") == 1
    assert client.value(f"CASE WHEN {a} = {a} AND {a} >= {a} THEN 1 ELSE 0 END") == 1
    assert client.value(f"DATEDIFF(nanosecond, {a}, {b})") == 100 and client.value(f"DATEPART(nanosecond, {a})") == 123456700
    assert client.value(f"CAST(CAST({a} AS datetime) AS varchar(30))").startswith("May")
    assert client.value(f"CONVERT(varchar(33), {a}, 126)") == "2024-05-06T07:08:09.1234567"
    assert client.value(f"FORMAT({a}, 'fffffff')") == "1234567"


def test_rows_keep_and_sort_them(client):
    client.ok("CREATE TABLE d.dbo.m (id int, a datetime2 PRIMARY KEY, b datetimeoffset, c time, v sql_variant)")
    for at, digit in enumerate("3179"):
        moment = f"2024-05-06 07:08:09.123456{digit}"
        client.ok(f"INSERT d.dbo.m VALUES ({at}, '{moment}', '{moment} +01:00', '07:08:09.123456{digit}', CAST('{moment}' AS datetime2))")
    assert [r[0] for r in client.ok("SELECT id FROM d.dbo.m ORDER BY a").rows] == [1, 0, 2, 3]
    assert [r[0] for r in client.ok("SELECT id FROM d.dbo.m ORDER BY b DESC").rows] == [3, 2, 0, 1]
    assert client.value("(SELECT CAST(max(c) AS varchar(20)) FROM d.dbo.m)") == "07:08:09.1234569"
    assert client.value("(SELECT id FROM d.dbo.m WHERE a = '2024-05-06 07:08:09.1234567')") == 2
    assert client.value("(SELECT count(DISTINCT b) FROM d.dbo.m)") == 4
    assert client.value("(SELECT CAST(CAST(v AS datetime2) AS varchar(30)) FROM d.dbo.m WHERE id = 3)") == "2024-05-06 07:08:09.1234569"
    assert client.error("INSERT d.dbo.m (id, a) VALUES (9, '2024-05-06 07:08:09.1234567')").number == 2627


def test_the_clock(client):
    seen = {client.value("CAST(SYSDATETIME() AS varchar(30))")[-1] for _ in range(40)}
    assert len(seen) > 2
    assert client.value("CASE WHEN SYSDATETIMEOFFSET() = SYSDATETIMEOFFSET() THEN 1 ELSE 0 END") == 1


@pytest.mark.parametrize("digit", range(10))
def test_on_the_wire(digit):
    moment = moments.of(dt.datetime(2024, 5, 6, 23, 59, 59, 999999), digit)
    assert temporal.decode_datetime2(temporal.encode_datetime2(moment, 7), 7) == moment
    assert temporal.decode_time(temporal.encode_time(moment.time(), 7), 7) == moment.time()
    zoned = moment.replace(tzinfo=dt.timezone(dt.timedelta(hours=-3)))
    back = temporal.decode_datetimeoffset(temporal.encode_datetimeoffset(zoned, 7), 7)
    assert back == zoned and back.utcoffset() == zoned.utcoffset() and moments.tick(back) == digit
    assert int.from_bytes(temporal.encode_datetime2(moment, 7)[:5], "little") == moments.tenths(moment)
    from sqlsim.tds.typesout import time_text
    assert time_text(moment, SqlType("datetime2", scale=7)) == f"2024-05-06 23:59:59.999999{digit}"


def test_values_with_a_seventh_digit():
    plain = dt.datetime(2024, 1, 1, 0, 0, 0, 5)
    one, two = moments.of(plain, 1), moments.of(plain, 2)
    assert plain < one < two and two > one > plain and one != two and one != plain and plain != one and sorted([two, plain, one]) == [plain, one, two]
    assert len({plain, one, two, moments.of(plain, 1)}) == 3 and type(moments.of(one, 0)) is dt.datetime
    day = dt.timedelta(days=1)
    assert moments.tick(one + day) == 1 and moments.tick(day + one) == 1 and moments.tick(one - day) == 1 and two - one == dt.timedelta(0)
    assert moments.parse(one.isoformat(" ", "microseconds")) == one and moments.parse_clock(one.time().isoformat()) == one.time()
    assert moments.tick(one.replace(year=2020)) == 1 and moments.tick(one.replace(microsecond=3)) == 0
