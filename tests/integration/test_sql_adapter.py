# SPDX-License-Identifier: Apache-2.0
"""The client of common/sql on the wire, against scripted replies: values, messages, cancel, timeouts, logins, TLS."""

import contextlib
import datetime as dt
import decimal
import os
import socket
import stat
import subprocess
import threading
import time
import uuid

import pytest
from fixtures.sqlprobe import sql, sql_factory  # noqa: F401
from fixtures.wire import wait_for

from sqlsim.contract import Cancelled, Column, Columns, Done, Error, Info, Row, SessionKilled, SqlType

BACKUP_LOG = "BACKUP LOG [sales] TO DISK = N'/s/r1.trn' WITH INIT, FORMAT, NAME = N'r1', CHECKSUM, STATS = 10"


def rows(columns, *values):
    """A script that answers with one result set."""

    def script(session, params, emit):
        emit(Columns([Column(name, kind) for name, kind in columns]))
        for row in values:
            emit(Row(list(row)))
        emit(Done(193, len(values)))

    return script


def backup_messages(emit, end=True):
    emit(Info(3211, "50 percent processed."))
    emit(Done(235))
    emit(Info(4035, "Processed 2 pages for database 'sales', file 'sales_log' on file 1."))
    emit(Done(235))
    if end:
        emit(Info(3014, "BACKUP LOG successfully processed 2 pages in 0.030 seconds (83.8 MB/sec)."))
        emit(Done(235))


def waits(session, emit, before=lambda emit: None):
    """Runs until the client cancels or the session is killed."""
    before(emit)
    while True:
        if session.cancel.wait(0.02):
            raise Cancelled()
        if session.killed.is_set():
            raise SessionKilled()


# --- values ---


def test_values_are_exact(wire, sql):
    guid = uuid.UUID("c6c44151-8a2c-4c6c-9bf5-2e02090c8ebc")
    long = "ä€😀]'\"" * 570
    kinds = [
        ("lsn", SqlType("numeric", precision=25, scale=0), decimal.Decimal("4294967295429496729565535"), "4294967295429496729565535"),
        ("money_like", SqlType("numeric", precision=20, scale=2), decimal.Decimal("-12.50"), "-12.50"),
        ("guid", SqlType("uniqueidentifier"), guid, str(guid).upper()),
        ("bit1", SqlType("bit"), True, "1"),
        ("tiny", SqlType("tinyint"), 255, "255"),
        ("small", SqlType("smallint"), -32768, "-32768"),
        ("int", SqlType("int"), -2147483648, "-2147483648"),
        ("big", SqlType("bigint"), 9223372036854775807, "9223372036854775807"),
        ("half", SqlType("real"), 0.5, "0.5"),
        ("tenth", SqlType("float"), 0.1, "0.1"),
        ("text", SqlType("nvarchar", 4000), long, long),
        ("max", SqlType("nvarchar", -1), long * 40, long * 40),
        ("widest", SqlType("nvarchar", 4000), "€" * 4000, "€" * 4000),
        ("empty", SqlType("nvarchar", 10), "", ""),
        ("nul", SqlType("nvarchar", 10), "a\0b", "a\ufffdb"),
        ("null", SqlType("nvarchar", 10), None, None),
        ("nullnum", SqlType("numeric", precision=25, scale=0), None, None),
        ("bytes", SqlType("varbinary", 20), b"\x00\xab\xff", "00ABFF"),
        ("datetime", SqlType("datetime"), dt.datetime(2026, 11, 21, 13, 5, 33, 123000), "2026-11-21T13:05:33.123000"),
        ("midnight", SqlType("datetime"), dt.datetime(1753, 1, 1), "1753-01-01T00:00:00"),
        ("datetime2", SqlType("datetime2", scale=7), dt.datetime(9999, 12, 31, 23, 59, 59, 999999), "9999-12-31T23:59:59.999999"),
        ("offset", SqlType("datetimeoffset", scale=7),
         dt.datetime(2026, 1, 1, 0, 30, 0, 500000, dt.timezone(dt.timedelta(hours=5, minutes=30))), "2026-01-01T00:30:00.500000+05:30"),
        ("west", SqlType("datetimeoffset", scale=3),
         dt.datetime(2026, 1, 1, 0, 30, tzinfo=dt.timezone(dt.timedelta(hours=-3))), "2026-01-01T00:30:00-03:00"),
        ("date", SqlType("date"), dt.date(2026, 2, 28), "2026-02-28T00:00:00"),
    ]  # fmt: skip
    wire.script("q", rows([(k[0], k[1]) for k in kinds], [k[2] for k in kinds]))
    sql.open(wire.port)
    (row,) = sql.query("q")
    for name, _, _, want in kinds:
        got = row[name]
        if name in ("half", "tenth"):
            assert float(got) == pytest.approx(float(want), rel=1e-6)
        else:
            assert got == want, name


def test_several_results_and_names(wire, sql):
    def script(session, params, emit):
        rows([("a", SqlType("int")), ("", SqlType("int"))], [1, 2], [3, 4])(session, params, emit)
        emit(Done(195, 7))
        rows([("ü b", SqlType("int"))])(session, params, emit)
        rows([("c", SqlType("nvarchar", 5))], ["x"])(session, params, emit)

    wire.script("q", script)
    sql.open(wire.port)
    assert sql.query("q") == [{"a": "1", "": "2"}, {"a": "3", "": "4"}, {"c": "x"}]


def test_many_rows(wire, sql):
    wire.script("q", rows([("n", SqlType("int"))], *([i] for i in range(20000))))
    sql.open(wire.port)
    assert [int(r["n"]) for r in sql.query("q")] == list(range(20000))


def test_row_callback_stops(wire, sql):
    wire.script("q", rows([("n", SqlType("int"))], *([i] for i in range(5000))))
    sql.open(wire.port)
    sql.fails("query", 0, "q", "refuse", cls="limit", text="one row is enough")
    assert len(sql.query("q")) == 5000  # nothing is left over


# --- messages ---


def test_backup_messages(wire, sql):
    def script(session, params, emit):
        backup_messages(emit)

    wire.script(BACKUP_LOG, script)
    sql.open(wire.port)
    answer = sql.run("backup", "log", "sales", "r1", "", "/s/r1.trn")
    assert (answer["pages"], answer["duration_ms"]) == (2, 30)
    assert [e["number"] for e in answer["events"] if e["event"] == "progress"] == [50]


def test_first_error_is_the_cause(wire, sql):
    def script(session, params, emit):
        emit(Info(3211, "10 percent processed."))
        emit(Done(235))
        emit(Error(3202, 'Write on "/s/r1.trn" failed: 112(There is not enough space on the disk.)'))
        emit(Error(3271, 'A nonrecoverable I/O error occurred on file "/s/r1.trn:" 112(There is not enough space on the disk.).'))
        emit(Error(3013, "BACKUP LOG is terminating abnormally."))
        emit(Done(235, error=True))

    wire.script(BACKUP_LOG, script)
    sql.open(wire.port)
    answer = sql.fails("backup", "log", "sales", "r1", "", "/s/r1.trn", cls="space", number=3202, text="log backup of 'sales'")
    assert answer["reaction"] == "retry"
    assert sql.run("alive")["alive"] == 1


def test_error_in_a_later_statement(wire, sql):
    """db-lib's dbsqlexec() succeeds here: the error comes with the second DONE."""

    def script(session, params, emit):
        rows([("a", SqlType("int"))], [1])(session, params, emit)
        emit(Error(1205, "Transaction (Process ID 51) was deadlocked.", 51, 13))
        emit(Done(193, error=True))

    wire.script("q", script)
    wire.script("fine", rows([("a", SqlType("int"))], [1]))
    sql.open(wire.port)
    assert sql.fails("query", 0, "q", cls="busy", number=1205)["reaction"] == "retry"
    assert sql.query("fine") == [{"a": "1"}]


def test_success_needs_the_final_message(wire, sql):
    wire.script(BACKUP_LOG, lambda session, params, emit: backup_messages(emit, end=False))
    sql.open(wire.port)
    sql.fails("backup", "log", "sales", "r1", "", "/s/r1.trn", cls="protocol", text="without saying")


def test_warnings_are_no_errors(wire, sql):
    def script(session, params, emit):
        emit(Info(5701, "Changed database context to 'master'."))
        emit(Info(8153, "Null value is eliminated by an aggregate.", 1, 10))
        rows([("a", SqlType("int"))], [1])(session, params, emit)

    wire.script("q", script)
    sql.open(wire.port)
    answer = sql.run("query", 0, "q")
    assert answer["rows"] == [{"a": "1"}]
    assert 8153 in [e["number"] for e in answer["events"] if e["event"] == "message"]


# --- cancel, timeout, loss ---


def test_cancel_keeps_the_connection(wire, sql):
    wire.script(BACKUP_LOG, lambda session, params, emit: waits(session, emit, lambda emit: backup_messages(emit, end=False)))
    wire.script("fine", rows([("a", SqlType("int"))], [1]))
    sql.open(wire.port)
    sql.send("&backup", "log", "sales", "r1", "", "/s/r1.trn")
    sql.expect(event="progress")
    sql.expect(event="tick")
    began = time.monotonic()
    sql.send("flag")
    sql.expect("flag")
    sql.failed("backup", cls="cancelled")
    assert time.monotonic() - began < 5
    assert sql.run("alive")["alive"] == 1
    sql.fails("query", 0, "fine", cls="cancelled", text="before it began")  # the flag is still up
    sql.run("unflag")
    assert sql.query("fine") == [{"a": "1"}]
    assert len(wire.engine.sessions) == 1


def test_cancel_is_sticky(wire, sql):
    wire.script("slow", lambda session, params, emit: waits(session, emit))
    wire.script("fine", rows([("a", SqlType("int"))], [1]))
    sql.open(wire.port)
    sql.send("&query", 0, "slow")
    sql.expect(event="tick")
    sql.send("cancel")
    sql.expect("cancel")
    sql.failed("query", cls="cancelled")
    sql.fails("query", 0, "fine", cls="cancelled")
    sql.run("resume")
    assert sql.query("fine") == [{"a": "1"}]


def test_timeout_keeps_the_connection(wire, sql):
    wire.script("slow", lambda session, params, emit: waits(session, emit))
    wire.script("fine", rows([("a", SqlType("int"))], [1]))
    sql.open(wire.port)
    began = time.monotonic()
    sql.fails("query", 2, "slow", cls="timeout", text="within 2 seconds")
    assert 1.5 < time.monotonic() - began < 8
    assert sql.query("fine") == [{"a": "1"}]


def test_abort_is_immediate(wire, sql):
    wire.script("slow", lambda session, params, emit: waits(session, emit))
    sql.open(wire.port)
    sql.send("&query", -1, "slow")
    sql.expect(event="tick")
    began = time.monotonic()
    sql.send("abort")
    sql.expect("abort")
    sql.failed("query", cls="cancelled")
    assert time.monotonic() - began < 5
    assert sql.run("alive")["alive"] == 0
    sql.fails("query", 0, "slow", cls="cancelled")
    sql.run("open")  # another one takes its place
    assert sql.run("alive")["alive"] == 1


def test_killed_session(wire, sql):
    def script(session, params, emit):
        raise SessionKilled(Error(596, "Cannot continue the execution because the session is in the kill state.", 1, 21))

    wire.script("q", script)
    sql.open(wire.port)
    assert sql.fails("query", 0, "q", cls="connect", number=596)["reaction"] == "retry"
    assert sql.run("alive")["alive"] == 0
    sql.fails("query", 0, "q", cls="connect", text="closed")


def test_lost_connection(wire, sql):
    started = threading.Event()

    def script(session, params, emit):
        started.set()
        waits(session, emit)

    wire.script("slow", script)
    sql.open(wire.port)
    sql.send("&query", -1, "slow")
    assert started.wait(10)
    wire.run(drop_all(wire))
    assert sql.failed("query", cls="connect", text="lost")["reaction"] == "retry"
    sql.run("open")


async def drop_all(wire):
    return wire.listener.drop()


def test_server_that_ignores_the_attention(wire, sql):
    """It neither answers nor hangs up: after a while the connection is given up."""
    ended = threading.Event()
    wire.script("deaf", lambda session, params, emit: ended.wait(60))
    sql.open(wire.port)
    try:
        began = time.monotonic()
        answer = sql.fails("query", 1, "deaf", cls="timeout", text="the connection is gone")
        assert answer["reaction"] == "retry"
        assert 10 < time.monotonic() - began < 40
        assert sql.run("alive")["alive"] == 0
    finally:
        ended.set()


def test_server_that_says_nothing(sql):
    with Mute() as mute:
        sql.params(mute.port, timeout=2)
        began = time.monotonic()
        sql.fails("open", cls="timeout")
        assert time.monotonic() - began < 8


# --- logins ---


class Mute:
    """Accepts connections, and sends `reply` to what it gets, or nothing."""

    def __init__(self, reply=None, close=False):
        self.reply, self.close_at_once = reply, close
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.connections = []
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def _serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections.append(connection)
            with contextlib.suppress(OSError):
                if self.reply is not None:
                    connection.recv(4096)
                    connection.sendall(self.reply)
                if self.close_at_once:
                    connection.recv(4096)
                    connection.close()

    def __exit__(self, *_):
        self.socket.close()
        for connection in self.connections:
            connection.close()


def test_wrong_password(wire, sql):
    sql.params(wire.port, password="wrong")
    answer = sql.fails("open", cls="auth", number=18456, text="as 'sa'")
    assert answer["reaction"] == "config"
    assert "wrong" not in answer["error"]


def test_nobody_listens(sql):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert sql.params(port).fails("open", cls="connect", text=f"127.0.0.1:{port}")["reaction"] == "retry"


def test_unknown_host(sql):
    sql.params(1433, host="no-such-host.invalid").fails("open", cls="connect")


@pytest.mark.parametrize(
    "reply", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x04\x01\x00\x08\x00\x00\x01\x00", b"\0" * 100], ids=["http", "empty", "zeros"]
)
def test_not_a_sql_server(sql, reply):
    with Mute(reply, close=True) as mute:
        sql.params(mute.port, timeout=3)
        answer = sql.fails("open")
        assert answer["class"] in ("connect", "timeout"), answer


def test_server_that_hangs_up(sql):
    with Mute(close=True) as mute:
        sql.params(mute.port, timeout=3).fails("open", cls="connect", text="strict encryption")


def test_parameters_refused(sql):
    sql.params(1433, host="").fails("open", cls="config", text="host")
    sql.params(1433, user="").fails("open", cls="config", text="user")
    sql.params(1433, user="u" * 129).fails("open", cls="config", text="longer than 128")
    sql.params(1433, ca="/nowhere.pem").fails("open", cls="config", text="does not exist")


@pytest.mark.parametrize("number,cls,passes", [
    (18401, "state", True), (18451, "state", True), (18461, "state", True), (17187, "state", True), (17809, "limit", True),
    (4060, "state", True), (922, "state", True), (18486, "auth", False), (18470, "auth", False), (17892, "auth", False),
])  # fmt: skip
def test_login_phases(wire, sql, number, cls, passes):
    wire.setup.faults.refuse_logins(number, times=1)
    sql.params(wire.port).fails("open", cls=cls, number=number)
    wire.setup.faults.refuse_logins(number, times=1)
    if passes:
        answer = sql.run("wait", 30000, 0)
        assert [e["number"] for e in answer["events"]] == [number]
    else:
        sql.fails("wait", 30000, 1, cls=cls, number=number)


def test_start_is_waited_for(wire, sql):
    """Nothing listens, then logins are refused, then the server is there: one call."""
    wire.run(wire.listener.close())
    wire.setup.faults.refuse_logins(18456, times=1)
    sql.params(wire.port)
    sql.send("&wait", 60000, 1)
    assert sql.expect("waiting")["class"] == "connect"
    wire.run(wire.listener.open())
    assert wait_for_waiting(sql, 18456)["class"] == "auth"
    assert "error" not in sql.expect("wait")


def wait_for_waiting(sql, number):
    while True:
        answer = sql.expect("waiting")
        if answer["number"] == number:
            return answer


def test_wait_ends(wire, sql):
    wire.setup.faults.refuse_logins(18401)
    sql.params(wire.port).fails("wait", 1500, 0, cls="state", number=18401)  # its last failure
    sql.send("&wait", 0, 0)
    sql.expect("waiting")
    sql.send("flag")
    sql.failed("wait", cls="cancelled")
    wire.setup.faults.clear()
    sql.run("unflag")
    wire.setup.faults.refuse_logins(18456)
    sql.fails("wait", 60000, 0, cls="auth", number=18456)  # a server that serves means it


# --- TLS ---


@pytest.mark.parametrize("server", ["off", "on", "required", "not-supported"])
@pytest.mark.parametrize("client", ["off", "request", "require"])
def test_encryption_modes(wire_factory, sql, server, client):
    wire = wire_factory(server)
    wire.script("fine", rows([("a", SqlType("nvarchar", 4000))], ["x" * 4000]))
    sql.params(wire.port, encryption=client, timeout=5)
    forced = server in ("on", "required")
    if (client == "require" and server == "not-supported") or (client == "off" and forced):
        sql.fails("open", cls="connect", text="ncryption")
        return
    sql.run("open")
    assert sql.query("fine") == [{"a": "x" * 4000}]
    (session,) = wire.engine.sessions.values()
    assert session.login.encrypted == (client == "require" or forced)


def test_certificate_is_verified(wire_factory, sql, tmp_path):
    wire = wire_factory("on")
    other = tmp_path / "other.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-keyout",
                    tmp_path / "other.key", "-out", other, "-subj", "/CN=other"], check=True, capture_output=True)  # fmt: skip
    sql.open(wire.port, encryption="require", ca=wire.ca)
    sql.params(wire.port, encryption="require", ca=other, timeout=5).fails("open", cls="connect", text="CA file")


def test_configuration_file(wire, sql):
    sql.open(wire.port)
    conf = sql.runtime / "freetds.conf"
    assert stat.S_IMODE(os.stat(conf).st_mode) == 0o600
    assert "Secret-1" not in conf.read_text() and f"port = {wire.port}" in conf.read_text()


def test_login_says_who(wire, sql):
    sql.open(wire.port, database="master")
    (session,) = wire.engine.sessions.values()
    assert (session.login.user, session.login.app, session.login.database) == ("sa", "mssql-sidecar", "master")
    assert session.login.tds == 0x74000004
    sql.run("close")
    wait_for(lambda: wire.engine.closed == [session.spid], "the session is closed")
