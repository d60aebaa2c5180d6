# SPDX-License-Identifier: Apache-2.0
"""The same steps through FreeTDS's tsql and bsqldb, python-tds, node's tedious and our own client, with and without encryption:
what they all read alike is TDS."""

import datetime as dt
import decimal
import threading
import uuid

import pytest
from clients import matrix
from clients.matrix import Target
from fixtures.sqlsim import SA_PASSWORD

from sqlsim.contract import Cancelled, Column, Columns, Done, Error, Info, Row, SqlType

pytestmark = pytest.mark.simulator("it is the simulator that is tested")

ENCRYPTIONS = pytest.mark.parametrize("encrypt", [False, True], ids=["plain", "encrypted"])
D = decimal.Decimal


@pytest.fixture(scope="module", autouse=True)
def installed():
    matrix.install()


MOMENT = dt.datetime(2024, 5, 6, 12, 34, 56, 123000)
VALUES = [
    ("ti", SqlType("tinyint"), 255, "tinyint", "255"),
    ("si", SqlType("smallint"), -32768, "smallint", "-32768"),
    ("i", SqlType("int"), -5, "int", "-5"),
    ("bi", SqlType("bigint"), -(2**60) - 1, "bigint", "-1152921504606846977"),
    ("bt", SqlType("bit"), True, "bit", "1"),
    ("f", SqlType("float"), 1.5, "float", "1.5"),
    ("r", SqlType("real"), 0.25, "real", "0.25"),
    ("n", SqlType("numeric", 0, 10, 2), D("-12.34"), "numeric(10,2)", "-12.34"),
    ("nn", SqlType("numeric", 0, 25, 0), D(12345678901), "numeric(25,0)", "12345678901"),
    ("m", SqlType("money"), D("1.25"), "money", "1.25"),
    ("sm", SqlType("smallmoney"), D("-2.5"), "smallmoney", "-2.5"),
    ("nv", SqlType("nvarchar", 50), "h\u00e9llo \u20ac \U0001f600", "nvarchar(50)", "h\u00e9llo \u20ac \U0001f600"),
    ("v", SqlType("varchar", 20), "caf\u00e9", "varchar(20)", "caf\u00e9"),
    ("d", SqlType("datetime"), MOMENT, "datetime", "2024-05-06T12:34:56.123"),
]
NEWER = [
    ("sd", SqlType("smalldatetime"), dt.datetime(2024, 5, 6, 12, 34), "smalldatetime", "2024-05-06T12:34:00.000"),
    ("d2", SqlType("datetime2", 0, 0, 7), MOMENT, "datetime2(7)", "2024-05-06T12:34:56.123"),
    ("da", SqlType("date"), MOMENT.date(), "date", "2024-05-06"),
    ("t", SqlType("time", 0, 0, 3), MOMENT.time(), "time(3)", "12:34:56.123"),
    (
        "do",
        SqlType("datetimeoffset", 0, 0, 7),
        MOMENT.replace(tzinfo=dt.timezone(dt.timedelta(hours=2))),
        "datetimeoffset(7)",
        "2024-05-06T10:34:56.123",
    ),
    (
        "g",
        SqlType("uniqueidentifier"),
        uuid.UUID("c6c44151-8a2c-4c6c-9bf5-2e02090c8ebc"),
        "uniqueidentifier",
        "C6C44151-8A2C-4C6C-9BF5-2E02090C8EBC",
    ),
    ("vb", SqlType("varbinary", 10), b"\x01\xff", "varbinary(10)", "01ff"),
    ("vm", SqlType("varbinary", -1), b"\xab" * 9000, "varbinary(max)", "ab" * 9000),
    ("nm", SqlType("nvarchar", -1), "\u00fc" * 9000, "nvarchar(max)", "\u00fc" * 9000),
    ("xm", SqlType("varchar", -1), "z" * 20000, "varchar(max)", "z" * 20000),
]


def scripted(wire, values):
    """A result of the values, of NULLs, then an error in the middle, a message, a statement without rows."""

    def script(_session, _params, emit):
        emit(Columns([Column(name, sql_type) for name, sql_type, *_ in values]))
        emit(Row([value for _, _, value, *_ in values]))
        emit(Row([None] * len(values)))
        emit(Done(193, 2))
        emit(Error(8134, "Divide by zero error encountered.", 1, 16, 2))
        emit(Done(193, error=True))
        emit(Info(0, "printed", 1, 0, 3))
        emit(Done(247))
        emit(Done(195, 3))

    def marker(text):
        def run(_session, _params, emit):
            emit(Info(0, text))
            emit(Done(247))
            emit(Columns([Column("marker", SqlType("varchar", 30))]))
            emit(Row([text]))
            emit(Done(193, 1))

        return run

    wire.script("values", script)
    for number in range(3):
        text = f"end of step {number}"
        wire.script(f"print '{text}'\nselect '{text}' as marker", marker(text))
    return Target(wire.port, "Secret-1")


def expected(values):
    return {
        "sets": [
            {
                "columns": [[name, shown] for name, _, _, shown, _ in values],
                "rows": [[text for *_, text in values], [None] * len(values)],
            }
        ],
        "counts": [2, 3],
        "errors": [{"number": 8134, "class": 16, "state": 1, "line": 2, "text": "Divide by zero error encountered."}],
        "messages": [{"number": 0, "class": 0, "state": 1, "line": 3, "text": "printed"}],
    }


@ENCRYPTIONS
@pytest.mark.parametrize("run", [matrix.run_own, matrix.run_pytds, matrix.run_tedious], ids=["own", "pytds", "tedious"])
def test_every_type_is_read_alike(wire, encrypt, run):
    values = VALUES + NEWER
    target = scripted(wire, values)
    target.encrypt, target.ca = encrypt, wire.ca
    results = run(target, [{"sql": "values"}, {"sql": "values"}])
    assert results == [expected(values)] * 2
    assert wire.setup.counters["encryption_all" if encrypt else "encryption_none"] == 1


@ENCRYPTIONS
def test_every_type_is_read_by_tsql(wire, encrypt, tmp_path):
    values = VALUES + [v for v in NEWER if v[0] not in ("t", "da", "do")]  # printed without date, with one, in local time
    target = scripted(wire, values)
    target.encrypt, target.ca = encrypt, wire.ca
    for result in matrix.run_tsql(target, [{"sql": "values"}, {"sql": "values"}], tmp_path):
        assert result["sets"][0]["names"] == [name for name, *_ in values]
        rows = [[matrix.canonical(v) for v in row] for row in result["sets"][0]["rows"]]
        assert rows == [[matrix.shortened(text) for *_, text in values], [None] * len(values)]
        assert result["errors"] == expected(values)["errors"]
        assert "printed" in result["said"]
    assert wire.setup.counters["encryption_all" if encrypt else "encryption_none"] == 1


@ENCRYPTIONS
def test_every_type_that_bsqldb_knows_is_read_by_it(wire, encrypt, tmp_path):
    target = scripted(wire, VALUES)
    target.encrypt, target.ca = encrypt, wire.ca
    result = matrix.run_bsqldb(target, "values", tmp_path)
    rows = [[matrix.canonical(v) for v in row] for row in result["rows"]]
    assert rows == [[matrix.shortened(text) for *_, text in VALUES], [None] * len(VALUES)]
    assert result["counts"] == [2] and result["errors"] == [8134]
    assert wire.setup.counters["encryption_all" if encrypt else "encryption_none"] == 1


@pytest.mark.parametrize("run", [matrix.run_pytds, matrix.run_tedious, matrix.run_own], ids=["pytds", "tedious", "own"])
@ENCRYPTIONS
def test_cancel_leaves_the_connection_usable(wire, encrypt, run):
    began = threading.Event()

    def wait(session, _params, _emit):
        began.set()
        assert session.cancel.wait(30)
        raise Cancelled()

    wire.script("wait", wait)
    target = Target(wire.port, "Secret-1", "", encrypt, wire.ca, began.is_set)
    results = run(target, [{"cancel": "wait"}, {"sql": "select 1"}])
    assert results[0] == {"cancelled": True} and results[1]["sets"][0]["rows"] == [["1"]]
    assert wire.setup.counters["attentions"] == 1


def test_login_only_encryption(wire, tmp_path):
    target = scripted(wire, VALUES)
    target.encrypt, target.ca = "login", wire.ca
    assert matrix.run_pytds(target, [{"sql": "values"}]) == [expected(VALUES)]
    assert len(matrix.run_tsql(target, [{"sql": "values"}], tmp_path)[0]["sets"][0]["rows"]) == 2
    assert wire.setup.counters["encryption_login"] == 2


def test_tedious_prepares_and_executes(shared_sim):
    target = make_database(shared_sim, "matrix_prepared")
    step = {"prepare": "SELECT @a * 2 AS d", "params": [{"name": "a", "type": "int"}], "runs": [{"a": 1}, {"a": 21}, {"a": None}]}
    assert matrix.run_tedious(target, [step, {"sql": "SELECT 1 AS n"}])[0] == {"values": ["2", "42", None]}


def test_tds8_is_spoken_with_tedious(wire_factory):
    wire = wire_factory("strict")
    target = Target(wire.port, "Secret-1", "", "strict", wire.ca)
    assert matrix.run_tedious(target, [{"sql": "select 1"}])[0]["sets"][0]["rows"] == [["1"]]
    assert wire.setup.counters["encryption_strict"] == 1


# Against the whole server: what a batch script says.

STEPS = [
    {
        "sql": "CREATE TABLE dbo.m (id int NOT NULL IDENTITY(1,1) PRIMARY KEY, name nvarchar(50) NULL, "
        "amount numeric(18,4) NULL, at datetime2(3) NULL)"
    },
    {
        "sql": "INSERT INTO dbo.m (name, amount, at) VALUES (N'one \u20ac', 1.25, '2024-05-06T07:08:09.123'), "
        "(N'two', -2.5, NULL), (NULL, NULL, NULL)"
    },
    {"sql": "SELECT id, name, amount, at FROM dbo.m ORDER BY id"},
    {"sql": "SELECT 1 AS a\nSELECT 1/0 AS b\nPRINT 'still here'\nSELECT 2 AS c"},
    {"sql": "SELECT * FROM dbo.nowhere"},
    {"sql": "SELEC 1"},
    {"sql": "INSERT INTO dbo.m (name) VALUES (N'x')\nUPDATE dbo.m SET amount = 7 WHERE id >= 2\nDELETE FROM dbo.m WHERE id = 4"},
    {"sql": "SELECT COUNT(*) AS n, SUM(amount) AS s, COUNT_BIG(*) AS b FROM dbo.m"},
    {"sql": "SELECT REPLICATE(CAST(N'\u00e9' AS nvarchar(max)), 30000) AS big, CAST(REPLICATE('a', 8000) AS varchar(8000)) AS v"},
    {
        "sql": "BEGIN TRAN\nINSERT INTO dbo.m (name) VALUES (N'gone')\nSELECT @@TRANCOUNT AS t\nROLLBACK\n"
        "SELECT COUNT(*) AS n FROM dbo.m"
    },
    {"sql": "DECLARE @a int = 5\nEXEC sp_executesql N'SELECT @p + 1 AS q', N'@p int', @p = @a"},
    {"sql": "CREATE TABLE dbo.m (id int)"},
]

BY_API = [
    {
        "sql": "SELECT {i} AS i, {t} AS t, {f} AS f, {x} AS x",
        "params": [
            {"name": "i", "type": "int", "value": "-7"},
            {"name": "t", "type": "nvarchar", "value": "p\u00e4r'am"},
            {"name": "f", "type": "float", "value": "2.5"},
            {"name": "x", "type": "varbinary", "value": "00ff"},
        ],
    },
    {
        "sql": "INSERT INTO dbo.m (name, amount, at) VALUES ({n}, {a}, {d})",
        "params": [
            {"name": "n", "type": "nvarchar", "value": "\u20ac" * 50},
            {"name": "a", "type": "numeric", "value": "3.5"},
            {"name": "d", "type": "datetime2", "value": "2024-05-06T07:08:09.123"},
        ],
    },
    {
        "sql": "SELECT name, amount, at FROM dbo.m WHERE amount = {a}",
        "params": [{"name": "a", "type": "numeric", "value": "3.5"}],
    },
    {"sql": "SELECT COUNT(*) AS n FROM dbo.m WHERE name = {n}", "params": [{"name": "n", "type": "nvarchar", "value": None}]},
    {"sql": "SELECT LEN({n}) AS n", "params": [{"name": "n", "type": "nvarchar", "value": "y" * 3000}]},
    {"transaction": "begin"},
    {"sql": "INSERT INTO dbo.m (name) VALUES (N'rolled back')"},
    {"transaction": "rollback"},
    {"transaction": "begin"},
    {"sql": "INSERT INTO dbo.m (name) VALUES (N'kept')"},
    {"transaction": "commit"},
    {"sql": "SELECT COUNT(*) AS n FROM dbo.m WHERE name IN (N'rolled back', N'kept')"},
    {"sql": "INSERT INTO dbo.m (id) VALUES ({i})", "params": [{"name": "i", "type": "int", "value": "1"}]},
    {"cancel": "WAITFOR DELAY '00:01:00'"},
    {"sql": "SELECT 1 AS alive"},
]


def make_database(sim, name):
    sim.query(f"CREATE DATABASE {name}")

    def waits() -> bool:
        sessions = sim.do("sessions")["sessions"]
        return any(s["database"] == name and s["running"].startswith("WAITFOR") for s in sessions)

    return Target(sim.port, SA_PASSWORD, name, False, sim.certificate, waits)


@pytest.fixture(scope="module")
def reference(shared_sim):
    """What our own client reads without encryption."""
    results = matrix.run_own(make_database(shared_sim, "matrix_reference"), STEPS + BY_API)
    return results[: len(STEPS)], results[len(STEPS) :]


def test_the_script_says_what_sql_server_says(reference):
    steps, by_api = reference
    assert steps[1]["counts"] == [3]
    assert steps[2]["sets"][0] == {
        "columns": [["id", "int"], ["name", "nvarchar(50)"], ["amount", "numeric(18,4)"], ["at", "datetime2(3)"]],
        "rows": [["1", "one \u20ac", "1.25", "2024-05-06T07:08:09.123"], ["2", "two", "-2.5", None], ["3", None, None, None]],
    }
    assert [(e["number"], e["class"], e["line"]) for e in steps[3]["errors"]] == [(8134, 16, 2)]
    assert [s["rows"] for s in steps[3]["sets"] if s["rows"]] == [[["1"]], [["2"]]]
    assert [m["text"] for m in steps[3]["messages"]] == ["still here"]
    assert [(e["number"], e["class"]) for e in steps[4]["errors"]] == [(208, 16)]
    assert [(e["number"], e["class"]) for e in steps[5]["errors"]] in ([(102, 15)], [(2812, 16)])
    assert steps[6]["counts"] == [1, 3, 1]
    assert steps[7]["sets"][0]["rows"] == [["3", "15.25", "3"]]
    assert [c[1] for c in steps[7]["sets"][0]["columns"]] == ["int", "numeric(38,4)", "bigint"]
    assert steps[8]["sets"][0]["rows"] == [["\u00e9" * 30000, "a" * 8000]]
    assert [s["rows"] for s in steps[9]["sets"]] == [[["1"]], [["3"]]]
    assert steps[10]["sets"][0]["rows"] == [["6"]]
    assert [e["number"] for e in steps[11]["errors"]] == [2714]
    assert by_api[0]["sets"][0]["rows"] == [["-7", "p\u00e4r'am", "2.5", "00ff"]]
    assert by_api[1]["counts"] == [1]
    assert by_api[2]["sets"][0]["rows"] == [["\u20ac" * 50, "3.5", "2024-05-06T07:08:09.123"]]
    assert by_api[3]["sets"][0]["rows"] == [["0"]] and by_api[4]["sets"][0]["rows"] == [["3000"]]
    assert by_api[11]["sets"][0]["rows"] == [["1"]]
    assert [e["number"] for e in by_api[12]["errors"]] == [544]
    assert by_api[13] == {"cancelled": True} and by_api[14]["sets"][0]["rows"] == [["1"]]


@ENCRYPTIONS
@pytest.mark.parametrize("run", [matrix.run_pytds, matrix.run_tedious, matrix.run_own], ids=["pytds", "tedious", "own"])
def test_drivers_agree_on_the_script(shared_sim, reference, run, encrypt):
    target = make_database(shared_sim, f"matrix_{run.__name__}_{int(encrypt)}")
    target.encrypt = encrypt
    results = run(target, STEPS + BY_API)
    for step, got, want in zip(STEPS + BY_API, results, reference[0] + reference[1]):
        if "params" in step:
            # Drivers send their own parameter types: nvarchar(7) or nvarchar(4000), and the columns of a bare parameter follow.
            strip = lambda r: {
                **r,
                "sets": [{**s, "columns": [c[0] for c in s["columns"]]} for s in r.get("sets", [])],
            }  # noqa: E731
            got, want = strip(got), strip(want)
        if run is matrix.run_pytds and "messages" in want:
            want = {**want, "messages": [m for m in want["messages"] if m["number"] != 3621]}  # python-tds drops it on purpose
        assert got == want, step
    assert len(results) == len(STEPS + BY_API)


@ENCRYPTIONS
def test_tsql_agrees_on_the_script(shared_sim, reference, encrypt, tmp_path):
    target = make_database(shared_sim, f"matrix_tsql_{int(encrypt)}")
    target.encrypt = encrypt
    for step, got, want in zip(STEPS, matrix.run_tsql(target, STEPS, tmp_path), reference[0]):
        rows = [[[matrix.canonical(v) for v in row] for row in s["rows"]] for s in got["sets"] if s["rows"]]
        assert rows == [[[matrix.shortened(v) for v in row] for row in s["rows"]] for s in want["sets"] if s["rows"]], step
        assert got["errors"] == want["errors"], step
        for message in want["messages"]:
            assert message["text"] in got["said"]


@ENCRYPTIONS
def test_bsqldb_agrees_on_the_script(shared_sim, reference, encrypt, tmp_path):
    """bsqldb stops at the first error, does not know datetime2, and tells the count of a batch's first statement only when
    none of them has rows: it gets the steps that it can do, and statements that only count one by one."""
    target = make_database(shared_sim, f"matrix_bsqldb_{int(encrypt)}")
    target.encrypt = encrypt
    alone = [matrix.run_bsqldb(target, sql, tmp_path)["counts"] for step in (0, 1, 6) for sql in STEPS[step]["sql"].split("\n")]
    assert [count for counts in alone for count in counts] == [c for step in (0, 1, 6) for c in reference[0][step]["counts"]]
    for number in (7, 9, 10):
        got, want = matrix.run_bsqldb(target, STEPS[number]["sql"], tmp_path), reference[0][number]
        rows = [row for s in want["sets"] for row in s["rows"]]
        assert [[matrix.canonical(v) for v in row] for row in got["rows"]] == rows, STEPS[number]
        assert got["counts"] == [len(s["rows"]) for s in want["sets"]] and got["errors"] == [], STEPS[number]
    for number in (4, 5, 11):
        got, want = matrix.run_bsqldb(target, STEPS[number]["sql"], tmp_path), reference[0][number]
        assert got["errors"] == [e["number"] for e in want["errors"]], STEPS[number]
