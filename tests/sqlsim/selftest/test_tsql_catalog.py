# SPDX-License-Identifier: Apache-2.0
"""The catalog procedures of drivers."""

import pytest

from sqlsim.selftest import tsql_kit


@pytest.fixture
def client(tmp_path):
    server = tsql_kit.start(tmp_path)
    client = tsql_kit.Client(server)
    client.ok("CREATE DATABASE d")
    client.ok("USE d; CREATE TABLE dbo.orders (id int IDENTITY CONSTRAINT pk_orders PRIMARY KEY, name nvarchar(40) NOT NULL UNIQUE, price decimal(9,2), "
              "at datetime2(3) DEFAULT SYSDATETIME(), body varbinary(max), flag bit); CREATE TABLE dbo.other (a int)")
    yield client
    server.stop()


def rows(client, sql):
    reply = client.ok(sql)
    names = [c.name for c in reply.columns]
    return [dict(zip(names, r)) for r in reply.rows]


def test_tables(client):
    assert [(r["TABLE_QUALIFIER"], r["TABLE_OWNER"], r["TABLE_NAME"], r["TABLE_TYPE"]) for r in rows(client, "EXEC sp_tables")] == [
        ("d", "dbo", "orders", "TABLE"), ("d", "dbo", "other", "TABLE")]
    assert [r["TABLE_NAME"] for r in rows(client, "EXEC sp_tables @table_name = 'ord%', @table_owner = 'dbo'")] == ["orders"]
    assert [r["TABLE_NAME"] for r in rows(client, "USE master; EXEC d.sys.sp_tables 'o_her'")] == ["other"]
    assert rows(client, "EXEC d..sp_tables @table_type = \"'VIEW'\"") == []


def test_columns(client):
    found = {r["COLUMN_NAME"]: r for r in rows(client, "EXEC sp_columns 'orders'")}
    assert list(found) == ["id", "name", "price", "at", "body", "flag"] and [r["ORDINAL_POSITION"] for r in found.values()] == [1, 2, 3, 4, 5, 6]
    assert (found["id"]["DATA_TYPE"], found["id"]["TYPE_NAME"], found["id"]["NULLABLE"], found["id"]["IS_NULLABLE"]) == (4, "int identity", 0, "NO")
    assert (found["name"]["DATA_TYPE"], found["name"]["PRECISION"], found["name"]["LENGTH"], found["name"]["CHAR_OCTET_LENGTH"]) == (-9, 40, 80, 80)
    assert (found["price"]["PRECISION"], found["price"]["SCALE"], found["price"]["RADIX"]) == (9, 2, 10)
    assert (found["at"]["DATA_TYPE"], found["at"]["PRECISION"], found["at"]["SCALE"]) == (93, 23, 3) and "sysdatetime" in found["at"]["COLUMN_DEF"].lower()
    assert found["body"]["PRECISION"] == 0
    assert [r["COLUMN_NAME"] for r in rows(client, "EXEC sp_columns_100 N'orders', N'dbo', NULL, N'p%', @ODBCVer = 3")] == ["price"]


def test_keys_and_statistics(client):
    assert [(r["COLUMN_NAME"], r["KEY_SEQ"], r["PK_NAME"]) for r in rows(client, "EXEC sp_pkeys 'orders'")] == [("id", 1, "pk_orders")]
    found = rows(client, "EXEC sp_statistics 'orders'")
    assert [(r["TYPE"], r["COLUMN_NAME"]) for r in found] == [(0, None), (1, "id"), (3, "name")]


def test_types(client):
    found = rows(client, "EXEC sp_datatype_info 0, 3")
    assert len(found) > 20 and [r["DATA_TYPE"] for r in found] == sorted(r["DATA_TYPE"] for r in found)
    assert [r["TYPE_NAME"] for r in rows(client, "EXEC sp_datatype_info_100 -9")] == ["nvarchar"]
    assert client.error("EXEC sp_datatype_info 0, 3, 4").number == 8144
