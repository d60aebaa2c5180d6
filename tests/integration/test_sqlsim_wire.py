# SPDX-License-Identifier: Apache-2.0
"""The simulated server's wire over real sockets, with a scripted engine: login, TLS, packets, cancel, flow."""

import socket
import ssl
import struct
import threading

import pytest
from fixtures.wire import one_value, wait_for

from sqlsim.client import Client, ConnectionLost, ServerError
from sqlsim.contract import Cancelled, Column, Columns, Done, Error, Info, Param, ReturnStatus, Row, SessionKilled, SqlType
from sqlsim.tds import handshake
from sqlsim.tds.packets import EOM, LOGIN7, RPC, SQL_BATCH, packets_of
from sqlsim.tds.wire import TDS71, TDS72, TDS73

pytestmark = pytest.mark.simulator("it is the simulator that is tested")

INT, TEXT = SqlType("int"), SqlType("nvarchar", 4000)


def run_until_stopped(session, _params, emit):
    emit(Info(3211, "10 percent processed."))
    emit(Done(228))
    while not session.cancel.wait(0.01):
        if session.killed.is_set():
            raise SessionKilled()
    raise Cancelled()


def many_rows(count, width=100):
    def script(_session, _params, emit):
        emit(Columns([Column("i", INT), Column("t", TEXT)]))
        for number in range(count):
            emit(Row([number, "x" * width]))
        emit(Done(193, count))

    return script


# Login.


def test_login_reply_carries_what_clients_look_for(wire):
    with wire.connect(database="db1") as client:
        login = client.login
        assert login.login_ack[0] == 0x74000004 and login.login_ack[1] == "Microsoft SQL Server"
        assert login.spid == 51 and client.query("select 1").spid == 51
        assert [(e.kind, e.new) for e in login.envs] == [
            (1, "db1"),
            (7, bytes.fromhex("0904d00034")),
            (2, "us_english"),
            (4, "4096"),
        ]
        assert login.features == {0x0A: b"\x01"}
        assert wire.engine.sessions[51].login.user == "sa"


def test_wrong_password_says_18456_and_closes(wire):
    with pytest.raises(ServerError) as caught:
        wire.connect("wrong")
    error = caught.value.errors[0]
    assert (error.number, error.state, error.cls) == (18456, 1, 14)
    assert [d.status for d in caught.value.reply.dones] == [2]
    wait_for(lambda: not wire.listener.connections, "the connection is closed")


@pytest.mark.parametrize("version", [TDS71, TDS72, TDS73])
def test_older_protocols_work(wire, version):
    wire.script("s", lambda s, p, emit: one_value("é" * 5000, SqlType("nvarchar", -1), emit))
    with wire.connect(version=version) as client:
        assert client.login.login_ack[0] == version
        assert client.query("s").value == "é" * 5000
        assert client.query("select 1").value == 1


@pytest.mark.parametrize("asked,got", [(512, 512), (100, 512), (8000, 8000), (65535, 32767), (0, 4096)])
def test_packet_size_is_agreed(wire, asked, got):
    wire.script("big", lambda s, p, emit: one_value("y" * 100_000, SqlType("nvarchar", -1), emit))
    with wire.connect(packet_size=asked, encryption="not-supported") as client:
        assert client.packet_size == got
        client.send_batch("big")
        sizes = []
        while True:
            _, status, _, part = client.read_packet()
            sizes.append(len(part) + 8)
            if status & EOM:
                break
        assert max(sizes) == got
        assert client.query("select 1").value == 1


# TLS.


@pytest.mark.parametrize(
    "server,client,tls",
    [
        ("off", "off", False), ("off", "on", True), ("off", "not-supported", False), ("on", "off", True), ("on", "on", True),
        ("required", "off", True), ("required", "on", True), ("required", "required", True), ("not-supported", "off", False),
        ("not-supported", "not-supported", False),
    ],
)  # fmt: skip
def test_encryption_modes(wire_factory, server, client, tls):
    wire = wire_factory(server)
    wire.script("big", many_rows(3000))
    with wire.connect(encryption=client, ca=wire.ca) as connection:
        assert len(connection.query("big").rows) == 3000
        assert connection.execute("select 1").value == 1
        (only,) = wire.listener.connections
        assert only.channel.encrypted == tls


@pytest.mark.parametrize("server", ["on", "required"])
def test_forced_encryption_refuses_clients_without(wire_factory, server):
    wire = wire_factory(server)
    with pytest.raises(ConnectionLost):
        wire.connect(encryption="not-supported")
    raw = socket.create_connection(("127.0.0.1", wire.port), 10)
    raw.sendall(packets_of(LOGIN7, handshake.login7_bytes("sa", "Secret-1"), 4096))
    assert raw.recv(100) == b""
    raw.close()
    assert not wire.engine.sessions


def test_certificate_can_be_verified_and_tls_stops_at_12(wire):
    with wire.connect(encryption="on", ca=wire.ca) as client:
        assert client.tls_version == "TLSv1.2"
    with pytest.raises(ssl.SSLCertVerificationError):
        wire.connect(encryption="on", ca="/etc/ssl/certs/ca-certificates.crt")


def test_strict_encryption_is_tls_first(wire_factory):
    wire = wire_factory("strict")
    with wire.connect(strict=True, ca=wire.ca) as client:
        assert client.query("select 1").value == 1 and client.tls_version == "TLSv1.3"
    with pytest.raises(ConnectionLost):
        wire.connect(encryption="on")


def test_login_only_encryption_hides_the_password(wire):
    """A recorded connection: the password is nowhere in it, the reply is plain."""
    recorder = Recorder(wire.port)
    with Client("127.0.0.1", recorder.port, "sa", "Secret-1") as client:
        assert client.query("select 1").value == 1
    recorder.stop()
    assert handshake.scramble("Secret-1".encode("utf-16-le")) not in recorder.up
    assert "Microsoft SQL Server".encode("utf-16-le") in recorder.down


class Recorder:
    """Forwards one connection and keeps what went both ways; may cut the client's bytes into small pieces."""

    def __init__(self, port, piece=65536):
        self.up = self.down = b""
        self._piece = piece
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._target = port
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        client, _ = self._listener.accept()
        server = socket.create_connection(("127.0.0.1", self._target))
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=self._back, args=(server, client), daemon=True)
        back.start()
        while data := client.recv(65536):
            self.up += data
            for at in range(0, len(data), self._piece):
                server.sendall(data[at : at + self._piece])
        server.shutdown(socket.SHUT_WR)
        back.join(10)
        client.close()
        server.close()

    def _back(self, server, client):
        try:
            while data := server.recv(65536):
                self.down += data
                client.sendall(data)
        except OSError:
            pass

    def stop(self):
        self._thread.join(10)
        self._listener.close()


@pytest.mark.parametrize("encryption", ["not-supported", "on"])
def test_bytes_may_arrive_one_by_one(wire, encryption):
    recorder = Recorder(wire.port, piece=1)
    wire.script("s" * 3000, lambda s, p, emit: one_value("ok", TEXT, emit))
    with Client("127.0.0.1", recorder.port, "sa", "Secret-1", encryption=encryption) as client:
        assert client.query("s" * 3000).value == "ok"
    recorder.stop()


# Requests.


def test_batch_over_many_packets(wire):
    sql = "-- " + "é" * 40_000
    wire.script(sql, lambda s, p, emit: one_value(len(sql), INT, emit))
    with wire.connect(packet_size=512) as client:
        assert client.query(sql).value == len(sql)


def test_error_in_the_middle_does_not_end_the_connection(wire):
    def script(_session, _params, emit):
        one_value(1, INT, emit)
        emit(Error(8134, "Divide by zero error encountered.", 1, 16, 2))
        emit(Done(193, error=True))
        one_value(2, INT, emit)

    wire.script("mixed", script)
    with wire.connect() as client:
        reply = client.query("mixed", check=False)
        assert [s.rows for s in reply.sets] == [[(1,)], [(2,)]]
        assert [(d.status, d.count) for d in reply.dones] == [(0x11, 1), (3, 0), (0x10, 1)]
        assert reply.errors == [Error(8134, "Divide by zero error encountered.", 1, 16, 2)]
        assert client.query("select 1").value == 1


def test_sp_executesql_binds_declared_types_and_returns_output(wire):
    def script(_session, params, emit):
        one_value(params[0].value + 1, INT, emit)
        params[1].value = "out!"

    wire.script("p", script)
    with wire.connect() as client:
        reply = client.rpc("sp_executesql", [
            Param("", TEXT, "p"), Param("", TEXT, "@a bigint, @b nvarchar(10) output"),
            Param("@b", SqlType("nvarchar", 10), "in", True), Param("@a", SqlType("int"), 41),
        ])  # fmt: skip
        assert reply.value == 42 and reply.outputs == {"@b": "out!"} and reply.return_status == 0
        params = wire.engine.sessions[51].seen[0][1]
        assert [(p.name, p.type.kind, p.value if p.name == "@a" else "in") for p in params] == [
            ("@a", "bigint", 41),
            ("@b", "nvarchar", "in"),
        ]


@pytest.mark.parametrize(
    "declared,given,number",
    [
        ("@a int, @b int", [("@a", False)], 8178),
        ("@a int", [("", False), ("", False)], 8144),
        ("@a int", [("@a", False), ("@z", False)], 8145),
        ("@a int", [("@a", True)], 8162),
        ("a int", [], 102),
    ],
)
def test_wrong_parameters_have_the_right_number(wire, declared, given, number):
    with wire.connect() as client:
        params = [Param("", TEXT, "select 1"), Param("", TEXT, declared)] + [Param(n, INT, 1, out) for n, out in given]
        reply = client.rpc(10, params, check=False)
        assert [e.number for e in reply.errors] == [number] and reply.return_status == number
        assert [d.status for d in reply.dones] == [3, 2]
        assert client.query("select 1").value == 1


def test_prepared_statements(wire):
    wire.script("double", lambda s, params, emit: one_value(params[0].value * 2, INT, emit))
    with wire.connect() as client:
        handle = Param("@handle", INT, None, True)
        prepared = client.rpc(13, [handle, Param("", TEXT, "@a int"), Param("", TEXT, "double"), Param("", INT, 4)])
        number = prepared.outputs["@handle"]
        assert prepared.value == 8 and number >= 1
        other = client.rpc(11, [handle, Param("", TEXT, "@a int"), Param("", TEXT, "double"), Param("", INT, 1)]).outputs[
            "@handle"
        ]
        assert other != number
        assert client.rpc(12, [Param("", INT, number), Param("@a", INT, 21)]).value == 42
        assert client.rpc("sp_execute", [Param("", INT, other), Param("", INT, 1)]).value == 2
        client.rpc(15, [Param("", INT, number)])
        gone = client.rpc(12, [Param("", INT, number), Param("@a", INT, 1)], check=False)
        assert [e.number for e in gone.errors] == [8179]
        assert client.rpc(12, [Param("", INT, other), Param("", INT, 5)]).value == 10


def test_procedure_by_name_with_output_and_status(wire):
    def script(_session, params, emit):
        params[0].value = 9
        emit(ReturnStatus(4))
        emit(Done(224))

    wire.script("dbo.proc", script)
    with wire.connect() as client:
        reply = client.rpc("dbo.proc", [Param("@out", INT, None, True)])
        assert reply.outputs == {"@out": 9} and reply.return_status == 4 and reply.tokens == [0x79, 0xAC, 0xFE]


def test_several_rpcs_in_one_message_answer_in_order(wire):
    wire.script("double", lambda s, params, emit: one_value(params[0].value * 2, INT, emit))
    with wire.connect() as client:
        calls = [
            client.rpc_bytes(10, [Param("", TEXT, "double"), Param("", TEXT, "@a int"), Param("@a", INT, n)]) for n in (1, 2, 3)
        ]
        calls.insert(1, client.rpc_bytes(10, [Param("", TEXT, "nothing there")]))
        client.send(RPC, b"\xff".join(calls))
        reply = client.read_reply()
        assert [s.rows for s in reply.sets] == [[(2,)], [(4,)], [(6,)]]
        assert [e.number for e in reply.errors] == [208]
        assert [d.status for d in reply.dones if d.token == 0xFE] == [1, 3, 1, 0]


def test_transaction_requests_carry_the_descriptor(wire):
    with wire.connect() as client:
        assert client.transaction(5, "t", 2).envs[0].new == (7).to_bytes(8, "little")
        assert client.headers()[10:18] == (7).to_bytes(8, "little")
        client.transaction(9, "sp")
        assert client.transaction(8).envs[0].kind == 10
        assert client.headers()[10:18] == bytes(8)
        assert [s for s, _ in wire.engine.sessions[51].seen] == ["begin", "save", "rollback"]


def test_reset_connection_comes_before_the_reply(wire):
    with wire.connect(database="db1") as client:
        handle = client.rpc(11, [Param("", INT, None, True), Param("", TEXT, ""), Param("", TEXT, "select 1")]).outputs[""]
        client.reset_next()
        reply = client.query("select 1")
        assert [e.kind for e in reply.envs] == [18, 1] and reply.tokens[:2] == [0xE3, 0xE3] and reply.value == 1
        assert wire.engine.sessions[51].resets == 1
        assert not client.query("select 1").envs
        assert [e.number for e in client.rpc(12, [Param("", INT, handle)], check=False).errors] == [8179]


def test_request_that_the_client_takes_back(wire):
    """The IGNORE bit in the last packet: the server answers with a failed DONE and runs nothing."""
    with wire.connect(encryption="not-supported") as client:
        client.send_bytes(
            struct.pack(">BBHHBB", SQL_BATCH, 0, 10, 0, 1, 0) + b"xx" + struct.pack(">BBHHBB", SQL_BATCH, 3, 8, 0, 2, 0)
        )
        assert [d.status for d in client.read_reply().dones] == [2]
        assert client.query("select 1").value == 1
        assert [s for s, _ in wire.engine.sessions[51].seen] == ["select 1"]


# Attention.


def test_attention_ends_the_statement_in_two_messages(wire):
    wire.script("slow", run_until_stopped)
    with wire.connect() as client:
        for _ in range(3):
            client.send_batch("slow")
            wait_for(lambda: wire.engine.sessions[51].seen, "the statement runs")
            first, second = client.cancel()
            assert [(m.number, m.text) for m in first.messages] in ([(3211, "10 percent processed.")], [])
            assert first.dones[-1].status == 2 and not first.errors
            assert [(d.token, d.status, d.curcmd, d.count) for d in second.dones] == [(0xFD, 0x20, 253, 0)]
            wire.engine.sessions[51].seen.clear()
        assert client.query("select 1").value == 1


def test_attention_without_a_request_is_acknowledged(wire):
    with wire.connect() as client:
        assert len(client.cancel()) == 1
        assert client.query("select 1").value == 1


def test_attention_stops_a_stream_that_nobody_reads(wire):
    wire.script("endless", many_rows(10**9))
    with wire.connect() as client:
        client.send_batch("endless")
        wait_for(lambda: wire.listener.sessions()[0]["sent"] > 50_000, "the rows flow")
        first, second = client.cancel()
        assert second.dones[0].status == 0x20
        assert 0 < len(first.rows) < 10**6
        assert client.query("select 1").value == 1


def test_attention_races_with_the_end_of_a_request(wire):
    with wire.connect(timeout=20) as client:
        for _ in range(300):
            client.send_batch("select 1")
            replies = client.cancel()
            assert sum(d.status & 0x20 for r in replies for d in r.dones) == 0x20
            assert len(replies) == 2
        assert client.query("select 1").value == 1


# Flow.


def test_messages_of_a_running_backup_arrive_while_it_runs(wire):
    go_on = threading.Event()

    def backup(_session, _params, emit):
        emit(Info(3211, "50 percent processed."))
        emit(Done(228))
        assert go_on.wait(20)
        emit(Info(3014, "BACKUP DATABASE successfully processed 1 pages in 0.001 seconds (1.0 MB/sec)."))
        emit(Done(228))

    wire.script("backup", backup)
    with wire.connect(encryption="not-supported") as client:
        client.send_batch("backup")
        got = b""
        while not got.endswith(bytes.fromhex("fd0100e400" + "00" * 8)):
            kind, status, _, part = client.read_packet()
            assert (kind, status) == (4, 0)
            got += part
        assert got[0] == 0xAB
        go_on.set()
        assert client.read_message()[-13:].hex() == "fd0000e400" + "00" * 8


def test_rows_before_a_pause_are_sent(wire):
    go_on = threading.Event()

    def script(_session, _params, emit):
        one_value(1, INT, emit)
        emit(Info(0, "now"))
        assert go_on.wait(20)

    wire.script("pause", script)
    with wire.connect(encryption="not-supported") as client:
        client.send_batch("pause")
        _, status, _, part = client.read_packet()
        assert status == 0 and part[0] == 0x81
        go_on.set()
        client.read_message()


def test_rows_are_not_collected_in_memory(wire):
    produced = []

    def script(session, _params, emit):
        emit(Columns([Column("t", TEXT)]))
        for number in range(100_000):
            produced.append(number)
            emit(Row(["x" * 1000]))
        emit(Done(193, 100_000))

    wire.script("rows", script)
    with wire.connect() as client:
        client.send_batch("rows")
        client.read_packet()
        last = -1
        while last != len(produced):  # until the producer waits for the reader
            last = len(produced)
            threading.Event().wait(0.3)
        assert last < 20_000
        client.close()
    wait_for(lambda: wire.engine.closed == [51], "the session ends when its client is gone")


def test_lost_connection_kills_the_running_statement(wire):
    wire.script("slow", run_until_stopped)
    client = wire.connect()
    client.send_batch("slow")
    wait_for(lambda: wire.engine.sessions[51].seen, "the statement runs")
    client.close()
    wait_for(lambda: wire.engine.closed == [51], "the session is closed")
    assert wire.engine.sessions[51].killed.is_set()


def test_kill_of_a_running_and_of_an_idle_session(wire):
    wire.script("slow", run_until_stopped)
    running, idle = wire.connect(), wire.connect()
    running.send_batch("slow")
    wait_for(lambda: wire.engine.sessions[51].seen, "the statement runs")
    wire.engine.sessions[51].killed.set()
    reply = running.read_reply()
    assert [(e.number, e.cls) for e in reply.errors] == [(596, 21)] and reply.dones[-1].status & 2
    with pytest.raises(ConnectionLost):
        running.query("select 1")
    wire.engine.sessions[52].killed.set()
    with pytest.raises(ConnectionLost):
        idle.read_reply()
    wait_for(lambda: sorted(wire.engine.closed) == [51, 52], "both sessions are closed")


def test_severe_error_closes_the_connection(wire):
    def script(_session, _params, _emit):
        raise SessionKilled(Error(823, "The operating system returned error 5", 2, 24))

    wire.script("severe", script)
    with wire.connect() as client:
        reply = client.query("severe", check=False)
        assert [(e.number, e.cls) for e in reply.errors] == [(823, 24)] and reply.dones[-1].status == 0x102
        with pytest.raises(ConnectionLost):
            client.query("select 1")


def test_failure_inside_the_simulator_is_visible_and_closes(wire, capfd):
    def script(_session, _params, _emit):
        raise KeyError("our bug")

    wire.script("bug", script)
    with wire.connect() as client:
        reply = client.query("bug", check=False)
        assert reply.errors[0].number == 3624 and "our bug" in reply.errors[0].text
    with wire.connect() as client:
        assert client.query("select 1").value == 1
    assert "KeyError" in capfd.readouterr().err


def test_many_connections_at_once(wire):
    wire.script("rows", many_rows(500))
    failures = []

    def work():
        try:
            with wire.connect() as client:
                for _ in range(5):
                    assert len(client.query("rows").rows) == 500
        except Exception as err:  # pylint: disable=broad-except
            failures.append(err)

    threads = [threading.Thread(target=work) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures and len({s for s in wire.engine.sessions}) == 40
    wait_for(lambda: len(wire.engine.closed) == 40, "all sessions are closed")


def test_shutdown_tells_running_sessions_6005(wire):
    wire.script("slow", run_until_stopped)
    running, idle = wire.connect(), wire.connect()
    running.send_batch("slow")
    wait_for(lambda: wire.engine.sessions[51].seen, "the statement runs")
    wire.run(wire.listener.shut_down())
    assert [e.number for e in running.read_reply().errors] == [6005]
    with pytest.raises(ConnectionLost):
        idle.query("select 1")
    with pytest.raises(ConnectionLost):
        wire.connect()
