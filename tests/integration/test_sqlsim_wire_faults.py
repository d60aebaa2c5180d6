# SPDX-License-Identifier: Apache-2.0
"""The simulated server's wire when something is wrong: faults that tests ask for, and peers that do not speak TDS."""

import os
import random
import socket
import struct
import time

import pytest
from fixtures.wire import one_value, wait_for

from sqlsim.client import ConnectionLost, ServerError
from sqlsim.contract import Done, SqlError, SqlType
from sqlsim.tds import handshake
from sqlsim.tds.packets import ATTENTION, LOGIN7, PRELOGIN, RPC, SQL_BATCH, packets_of
from sqlsim.tds.wire import utf16_encode

pytestmark = pytest.mark.simulator("it is the simulator that is tested")

# Faults.


def test_refused_logins(wire):
    wire.setup.faults.refuse_logins(18401, times=1)
    with pytest.raises(ServerError) as caught:
        wire.connect()
    assert caught.value.number == 18401 and "script upgrade mode" in str(caught.value)
    wire.connect().close()
    wire.setup.faults.refuse_databases(["db1"])
    wire.connect().close()
    with pytest.raises(ServerError) as caught:
        wire.connect(database="DB1")
    assert [e.number for e in caught.value.errors] == [4060, 18456]
    wire.setup.faults.clear()
    wire.connect(database="db1").close()


def test_delayed_login_and_client_that_does_not_wait(wire):
    wire.setup.faults.delay_logins(0.5, times=1)
    before = time.monotonic()
    wire.connect().close()
    assert time.monotonic() - before >= 0.5
    wire.setup.faults.delay_logins(60)
    with pytest.raises(TimeoutError):
        wire.connect(timeout=0.3)
    wait_for(lambda: not wire.listener.connections, "the waiting login is given up")


def test_lost_reply(wire):
    ran = []
    wire.script("backup log x", lambda s, p, emit: ran.append(1) or emit(Done(235)))
    wire.setup.faults.lose_reply("^backup log", 1)
    with wire.connect() as client:
        assert client.query("select 1").value == 1
        with pytest.raises(ConnectionLost):
            client.query("backup log x")
    assert ran == [1]
    with wire.connect() as client:
        client.query("backup log x")


def test_slow_network(wire):
    wire.script("big", lambda s, p, emit: one_value("y" * 50_000, SqlType("nvarchar", -1), emit))
    with wire.connect() as client:
        wire.setup.faults.slow_network(bytes_per_second=200_000)
        before = time.monotonic()
        assert len(client.query("big").value) == 50_000
        assert time.monotonic() - before > 0.3


# What is not TDS.


def fresh(wire):
    raw = socket.create_connection(("127.0.0.1", wire.port), 10)
    return raw


def ends(raw):
    """The server closes the connection; what it said first."""
    said = b""
    try:
        while data := raw.recv(65536):
            said += data
    except ConnectionResetError:
        pass
    raw.close()
    return said


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        b"\x12\x01\x00\x04\x00\x00\x00\x00",
        b"\x12\x01\x00\x09\x00\x00\x00\x00\x00",
        b"\x12\x01\x00\x0e\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff",
        b"\x10\x01\x00\x0a\x00\x00\x00\x00ab",
        b"\x02\x01\x00\x0a\x00\x00\x00\x00ab",
        b"\x16\x03\x01\x00\x05hello",
        b"\x06\x01\x00\x08\x00\x00\x00\x00",
    ],
    ids=lambda d: d[:6].hex(),
)
def test_garbage_instead_of_a_login(wire, data):
    raw = fresh(wire)
    raw.sendall(data)
    ends(raw)
    wire.connect().close()


def test_login_bigger_than_any(wire):
    raw = fresh(wire)
    part = struct.pack(">BBHHBB", LOGIN7, 0, 8 + 30_000, 0, 1, 0) + bytes(30_000)
    try:
        for _ in range(40):
            raw.sendall(part)
    except OSError:
        pass
    ends(raw)
    wire.connect().close()


def test_malformed_requests_are_answered_and_end_the_connection(wire):
    cases = [
        (SQL_BATCH, b"\xff\xff\xff\x7f" + bytes(18), 4002), (SQL_BATCH, b"", 4002), (RPC, b"", 4002),
        (RPC, bytes.fromhex("16000000120000000200") + bytes(8) + b"\x01\0\0\0" + bytes.fromhex("ffff0a0000000000f5"), 8009),
        (RPC, bytes.fromhex("16000000120000000200") + bytes(8) + b"\x01\0\0\0" + bytes.fromhex("ffff63000000"), 8005),
    ]  # fmt: skip
    for kind, body, number in cases:
        client = wire.connect(encryption="not-supported")
        client.send_bytes(packets_of(kind, body, 4096))
        reply = client.read_reply()
        assert [e.number for e in reply.errors] == [number] and reply.dones[-1].status & 2
        with pytest.raises(ConnectionLost):
            client.query("select 1")
        client.close()
    wire.connect().close()


def test_unknown_packet_after_login_closes(wire):
    for kind in (0x77, PRELOGIN, LOGIN7, 0x11):
        client = wire.connect(encryption="not-supported")
        client.send_bytes(packets_of(kind, b"abc", 4096))
        with pytest.raises(ConnectionLost):
            client.read_reply()
        client.close()
    client = wire.connect(encryption="not-supported")
    client.send_bytes(packets_of(ATTENTION, b"", 4096))
    assert client.read_reply().dones[0].status == 0x20


def test_fuzzed_connections_never_hurt_others(wire):
    chance = random.Random(int(os.environ.get("SQLSIM_FUZZ_SEED", "7")))
    steady = wire.connect()
    options = [(0, bytes(6)), (1, b"\x02"), (2, b"\0"), (3, bytes(4)), (4, b"\0")]
    good = packets_of(PRELOGIN, handshake.prelogin_bytes(options), 4096)
    good += packets_of(LOGIN7, handshake.login7_bytes("sa", "Secret-1"), 4096)
    good += packets_of(SQL_BATCH, struct.pack("<IIH", 22, 18, 2) + bytes(8) + b"\1\0\0\0" + utf16_encode("select 1"), 4096)
    for _ in range(150):
        data = bytearray(good)
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        raw = fresh(wire)
        raw.sendall(data)
        raw.shutdown(socket.SHUT_WR)
        ends(raw)
        assert steady.query("select 1").value == 1
    wait_for(lambda: len(wire.listener.connections) == 1, "all fuzzed connections are gone")


def test_error_of_a_transaction_request(wire):
    def refuse(*_):
        raise SqlError(3902, "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.", 1, 16)

    with wire.connect() as client:
        wire.engine.sessions[51].transaction = refuse
        reply = client.transaction(7, check=False)
        assert [e.number for e in reply.errors] == [3902] and reply.dones[-1].status == 2
