# SPDX-License-Identifier: Apache-2.0
"""gRPC server of common/net, met by a stranger: Python's grpcio and raw sockets."""

import os
import socket
import stat

import grpc
import pytest
from fixtures.grpc_client import LOCAL, Client, Code, error_class, fails, local
from fixtures.netprobe import Probe, pb, probe_factory, run_probe  # noqa: F401

# --- calls ---


def test_unary_over_tcp_and_unix(pb, probe_factory, tmp_path):
    probe = probe_factory(*LOCAL, "--listen", f"unix:{tmp_path}/s")
    for target in (f"127.0.0.1:{probe.ports[0]}", f"unix:{tmp_path}/s"):
        with Client(pb, target) as client:
            for text in ("one", "zwölf ☃", "x" * 100_000):
                assert client.status(text).identity.instance == text
    assert probe.stats()["accepted"] == 2


def test_deadline_reaches_the_handler(pb, probe_factory):
    with local(pb, probe_factory(*LOCAL)) as client:
        assert client.status("echo", timeout=5).now_at == 1
        assert client.status("echo", timeout=None).now_at == 0


def test_stream_keeps_order_and_ends(pb, probe_factory):
    with local(pb, probe_factory(*LOCAL)) as client:
        assert [e.progress.done_bytes for e in client.backup("3000")] == list(range(1, 3001))
        assert list(client.backup("0")) == []


def test_many_calls_at_once(pb, probe_factory):
    probe = probe_factory(*LOCAL, "--limit", "streams=100")
    with local(pb, probe) as client:
        futures = [client.later(f"n{i}") for i in range(300)]
        assert [f.result().identity.instance for f in futures] == [f"n{i}" for i in range(300)]
    assert probe.stats_until(lambda s: s["calls"] == 0)["started"] == 300


@pytest.mark.parametrize(
    "name, code",
    [
        ("usage", Code.INVALID_ARGUMENT),
        ("not_found", Code.NOT_FOUND),
        ("space", Code.RESOURCE_EXHAUSTED),
        ("chain", Code.FAILED_PRECONDITION),
        ("permission", Code.PERMISSION_DENIED),
        ("data_loss", Code.FAILED_PRECONDITION),
        ("internal", Code.INTERNAL),
    ],
)
def test_error_class_becomes_status_and_trailer(pb, probe_factory, name, code):
    with local(pb, probe_factory(*LOCAL)) as client:
        error = fails(code, client.status, f"fail:{name}:größer als 100 %", text="größer als 100 %")
        assert error_class(error) == name


def test_client_cancels_a_stream(pb, probe_factory):
    probe = probe_factory(*LOCAL)
    with local(pb, probe) as client:
        stream = client.backup("open")
        assert next(stream).progress.done_bytes == 1
        stream.cancel()
        probe.expect("flow cancelled")
        probe.expect("end /mssql.v1.Sidecar/RunBackup cancelled")
        assert client.status("still here").identity.instance == "still here"


def test_deadline_cancels_the_handler(pb, probe_factory):
    probe = probe_factory(*LOCAL)
    with local(pb, probe) as client:
        fails(Code.DEADLINE_EXCEEDED, client.status, "slow", timeout=0.3)
        probe.expect("cancelled 1")
        probe.expect("end /mssql.v1.Sidecar/GetStatus cancelled")


def test_answer_after_the_client_has_gone(pb, probe_factory):
    probe = probe_factory(*LOCAL)
    with local(pb, probe) as client:
        fails(Code.DEADLINE_EXCEEDED, client.status, "late:400", timeout=0.1)
        probe.expect("late 1")
        probe.expect("end /mssql.v1.Sidecar/GetStatus cancelled")
        assert client.status("late:1").identity.instance == "late"


def test_connection_that_breaks_cancels_its_calls(pb, probe_factory):
    probe = probe_factory(*LOCAL)
    client = local(pb, probe)
    stream = client.backup("open")
    next(stream)
    client.channel.close()
    probe.expect("flow cancelled")
    probe.stats_until(lambda s: s["connections"] == 0 and s["calls"] == 0)


def test_slow_reader_holds_a_stream_back(pb, probe_factory):
    probe = probe_factory(*LOCAL, "--limit", "queue=20000")
    with local(pb, probe) as client:
        stream = client.backup("endless")
        queued = int(probe.expect("flow busy busy").split("queued=")[1])
        assert 0 < queued <= 20000
        for i in range(1, 5001):
            assert next(stream).progress.done_bytes == i
        stream.cancel()
        probe.expect("flow cancelled")


# --- what a client may not do ---


def test_message_too_large(pb, probe_factory):
    with local(pb, probe_factory(*LOCAL)) as client:
        fails(Code.RESOURCE_EXHAUSTED, client.status, "x" * (256 * 1024 + 1), text="larger than max")
        assert len(client.status("x" * (255 * 1024)).identity.instance) == 255 * 1024


def test_message_that_needs_too_much_memory(pb, probe_factory):
    with local(pb, probe_factory(*LOCAL)) as client:
        error = fails(Code.RESOURCE_EXHAUSTED, client.status, b"\x0a\x00" * (127 * 1024), text="too much memory")
        assert error_class(error) == "limit"


@pytest.mark.parametrize(
    "bad",
    [
        b"\x0a",  # a field without a length
        b"\x0a\x05ab",  # shorter than it says
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",  # longer than memory
        b"\xff" * 40,  # a number without end
        b"\x0b\x0c",  # a group
        b"\x00\x01",  # field number 0
        b"\x0f\x01",  # no such wire type
        b"\x10" + b"\x80" * 10 + b"\x01",  # more than 64 bits
    ],
)
def test_malformed_message(pb, probe_factory, bad):
    probe = probe_factory(*LOCAL)
    with local(pb, probe) as client:
        error = fails(Code.INVALID_ARGUMENT, client.status, bad, text="malformed")
        assert error_class(error) == "usage"
        assert client.status("fine").identity.instance == "fine"
    assert probe.stats()["rejected"] == 1


@pytest.mark.parametrize("bad", [b"\xff\xfe", b"a\x00b", b"a\nb", b"\x1b[2J", b"\xed\xa0\x80", b"\xc0\xaf", b"cut \xe2\x98"])
def test_text_that_is_not_text(pb, probe_factory, bad):
    with local(pb, probe_factory(*LOCAL)) as client:
        fails(Code.INVALID_ARGUMENT, client.status, b"\x0a" + bytes([len(bad)]) + bad, text="'databases'")


def test_unknown_fields_are_ignored(pb, probe_factory):
    with local(pb, probe_factory(*LOCAL)) as client:
        assert client.status(b"\xfa\x01\x02\xff\xfe\x0a\x02ok").identity.instance == "ok"


def test_empty_and_missing_message(pb, probe_factory):
    with local(pb, probe_factory(*LOCAL)) as client:
        assert client.status(b"").identity.instance == "echo"
        none = client.method("stream_unary", "/mssql.v1.Sidecar/GetStatus", pb.types.Status)
        fails(Code.INVALID_ARGUMENT, none, iter([]), timeout=10, text="no request message")


@pytest.mark.parametrize("path", ["/mssql.v1.Sidecar/Nothing", "/nobody/Knows", "/", "/mssql.v1.Sidecar/GetStatus/"])
def test_unknown_method_is_answered_at_once(pb, probe_factory, path):
    with local(pb, probe_factory(*LOCAL)) as client:
        for kind in ("unary_unary", "unary_stream"):
            fails(Code.UNIMPLEMENTED, client.method(kind, path, None), b"", timeout=10)


def test_compressed_message_is_refused(pb, probe_factory):
    with local(pb, probe_factory(*LOCAL)) as client:
        fails(Code.UNIMPLEMENTED, client.status, "x" * 50_000, compression=grpc.Compression.Gzip)
        assert client.status("plain").identity.instance == "plain"


def test_too_many_streams_on_a_connection_wait(pb, probe_factory):
    probe = probe_factory(*LOCAL, "--limit", "streams=4")
    with local(pb, probe) as client:
        slow = [client.later("slow") for _ in range(4)]
        probe.stats_until(lambda s: s["calls"] == 4)
        fails(Code.DEADLINE_EXCEEDED, client.status, "fifth", timeout=0.5)
        assert probe.stats()["started"] == 4
        slow[0].cancel()
        assert client.status("fifth").identity.instance == "fifth"


def test_too_many_calls_in_all(pb, probe_factory):
    probe = probe_factory(*LOCAL, "--limit", "calls=3")
    clients = [local(pb, probe) for _ in range(4)]
    slow = [c.later("slow") for c in clients[:3]]
    probe.stats_until(lambda s: s["calls"] == 3)
    error = fails(Code.RESOURCE_EXHAUSTED, clients[3].status, "more", text="more than 3 calls")
    assert error_class(error) == "limit"
    assert clients[3].health() == 1  # load is no ill health
    slow[0].cancel()
    probe.stats_until(lambda s: s["calls"] == 2)
    assert clients[3].status("more").identity.instance == "more"
    for client in clients:
        client.channel.close()


def test_too_many_connections(pb, probe_factory):
    probe = probe_factory(*LOCAL, "--limit", "connections=3")
    held = [socket.create_connection(("127.0.0.1", probe.ports[0])) for _ in range(3)]
    probe.stats_until(lambda s: s["connections"] == 3)
    with local(pb, probe) as client:
        fails(Code.UNAVAILABLE, client.status, "one too many")
    assert probe.stats()["refused"] >= 1
    held.pop().close()
    probe.stats_until(lambda s: s["connections"] == 2)
    with local(pb, probe) as client:
        assert client.status("room").identity.instance == "room"
    for connection in held:
        connection.close()


def test_silent_connection_is_closed(probe_factory):
    probe = probe_factory(*LOCAL, "--limit", "handshake=1")
    with socket.create_connection(("127.0.0.1", probe.ports[0])) as silent:
        probe.stats_until(lambda s: s["connections"] == 1)
        probe.stats_until(lambda s: s["connections"] == 0)
        silent.settimeout(10)
        while silent.recv(1000):
            pass


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x00" * 5000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x41" * 500,  # TLS to a plaintext port
        PREFACE + b"\xff\xff\xff\x09\xff\xff\xff\xff\xff",  # a frame too long
        PREFACE + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + b"\x00\x00\x05\x01\x05\x00\x00\x00\x01\xff\xff\xff\xff\xff",  # bad HPACK
        PREFACE + b"\x00\x00\x03\x04\x00\x00\x00\x00\x00abc",  # SETTINGS of a wrong length
        PREFACE + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00",  # window + 0
        PREFACE[:10],
    ],
)
def test_garbage_on_a_connection(pb, probe_factory, garbage):
    probe = probe_factory(*LOCAL, "--limit", "handshake=2")
    with socket.create_connection(("127.0.0.1", probe.ports[0])) as peer:
        peer.sendall(garbage)
        peer.shutdown(socket.SHUT_WR)
        peer.settimeout(20)
        try:
            while peer.recv(1000):
                pass
        except ConnectionResetError:
            pass
    with local(pb, probe) as client:
        assert client.status("alive").identity.instance == "alive"


# --- descriptors ---


def test_out_of_descriptors_and_back(pb, probe_factory):
    probe = probe_factory(*LOCAL, "--limit", "nofile=200")
    with local(pb, probe) as old:
        assert old.status("before").identity.instance == "before"
        probe.say("hog 0")
        probe.expect("hog")
        for _ in range(3):
            with local(pb, probe) as client:
                fails(Code.UNAVAILABLE, client.status, "none left", timeout=5)
        stats = probe.stats()
        assert stats["accepting"] == 0 and stats["refused"] >= 3
        assert old.status("old connections go on").identity.instance
        probe.say("hog -1")
        probe.expect("hog 0")
        with local(pb, probe) as client:
            assert client.status("after", timeout=10).identity.instance == "after"
        assert probe.stats()["accepting"] == 1


def test_connections_leave_descriptors_for_the_rest(pb, probe_factory):
    probe = probe_factory(*LOCAL, "--limit", "nofile=120", "--limit", "connections=1000")
    held = [socket.create_connection(("127.0.0.1", probe.ports[0])) for _ in range(150)]
    stats = probe.stats_until(lambda s: s["accepted"] + s["refused"] == 150)
    assert stats["accepted"] < 120 - 32 and stats["refused"] > 30 and stats["accepting"] == 0
    for connection in held:
        connection.close()
    probe.stats_until(lambda s: s["connections"] == 0)
    with local(pb, probe) as client:
        assert client.status("back").identity.instance == "back"


# --- health and reflection ---


def test_health(pb, probe_factory):
    probe = probe_factory(*LOCAL)
    with local(pb, probe) as client:
        assert client.health() == client.health("mssql.v1.Sidecar") == client.health("grpc.health.v1.Health") == 1
        fails(Code.NOT_FOUND, client.health, "nobody.Knows")
        probe.say("serving mssql.v1.Sidecar 0")
        probe.stats()
        assert (client.health("mssql.v1.Sidecar"), client.health()) == (2, 1)
        probe.say("serving - 0")
        probe.stats()
        assert client.health() == 2


def test_health_watch(pb, probe_factory):
    probe = probe_factory(*LOCAL)
    with local(pb, probe) as client:
        all_of_it, unknown = client.watch(), client.watch("later.Known")
        assert (next(all_of_it).status, next(unknown).status) == (1, 3)
        probe.say("serving - 0")
        assert next(all_of_it).status == 2
        probe.say("serving later.Known 1")
        assert next(unknown).status == 1
        probe.say("serving - 1")
        assert next(all_of_it).status == 1
        all_of_it.cancel()
        probe.expect("end /grpc.health.v1.Health/Watch cancelled")
        probe.say("serving later.Known 0")
        assert next(unknown).status == 2


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection(pb, probe_factory, version):
    from google.protobuf import descriptor_pb2, descriptor_pool

    probe = probe_factory(*LOCAL)
    Request = pb.reflection.ServerReflectionRequest
    with local(pb, probe) as client:
        ask = client.method("stream_stream", f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
                            pb.reflection.ServerReflectionResponse)
        answers = list(
            ask(
                iter(
                    [
                        Request(host="h", list_services=""),
                        Request(file_containing_symbol="mssql.v1.Sidecar.GetStatus"),
                        Request(file_by_filename="grpc/health/v1/health.proto"),
                        Request(file_containing_symbol="nobody.Knows"),
                        Request(all_extension_numbers_of_type="mssql.v1.Backup"),
                        Request(),
                    ]
                ),
                timeout=10,
            )
        )
    assert len(answers) == 6
    assert answers[0].valid_host == "h" and answers[0].original_request.host == "h"
    assert [s.name for s in answers[0].list_services_response.service] == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "mssql.v1.Sidecar",
    ]
    pool = descriptor_pool.DescriptorPool()
    files = [descriptor_pb2.FileDescriptorProto.FromString(f) for f in answers[1].file_descriptor_response.file_descriptor_proto]
    assert {f.name for f in files} == {"mssql/v1/sidecar.proto", "mssql/v1/types.proto"}
    for file in reversed(files):
        pool.Add(file)
    assert "RunBackup" in pool.FindServiceByName("mssql.v1.Sidecar").methods_by_name
    assert len(answers[2].file_descriptor_response.file_descriptor_proto) == 1
    assert answers[3].error_response.error_code == Code.NOT_FOUND.value[0]
    assert answers[4].all_extension_numbers_response.base_type_name == "mssql.v1.Backup"
    assert answers[5].HasField("error_response")


def test_bad_message_on_a_bidirectional_stream(pb, probe_factory):
    probe = probe_factory(*LOCAL)
    with local(pb, probe) as client:
        ask = client.method("stream_stream", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                            pb.reflection.ServerReflectionResponse)
        good = pb.reflection.ServerReflectionRequest(list_services="")
        stream = ask(iter([good, b"\x1a\x02\xff\xff", good]), timeout=10)
        assert next(stream).HasField("list_services_response")
        fails(Code.INVALID_ARGUMENT, lambda: stream, text="file_by_filename")
        probe.expect("end /grpc.reflection.v1.ServerReflection/ServerReflectionInfo usage")


# --- listening ---


def test_unix_socket_file(pb, probe_factory, tmp_path):
    path = tmp_path / "s"
    old = os.umask(0o077)
    try:
        probe = probe_factory("--listen", f"unix:{path}")
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    code, lines, _ = run_probe("--listen", f"unix:{path}")
    assert code == 1 and "error conflict" in lines[0] and "another process listens" in lines[0]
    with Client(pb, f"unix:{path}") as client:
        assert client.status("mine still").identity.instance == "mine still"
    probe.say("free")
    assert probe.wait() == 0
    assert not path.exists()


def test_unix_socket_left_by_a_crash_is_replaced(pb, probe_factory, tmp_path):
    path = tmp_path / "s"
    crashed = Probe("--listen", f"unix:{path}")
    crashed.expect("ready")
    crashed.process.kill()
    crashed.wait()
    assert path.exists()
    probe_factory("--listen", f"unix:{path}")
    with Client(pb, f"unix:{path}") as client:
        assert client.status("new").identity.instance == "new"


def test_server_does_not_remove_the_socket_of_its_successor(probe_factory, tmp_path):
    path = tmp_path / "s"
    probe = probe_factory("--listen", f"unix:{path}")
    path.unlink()
    with socket.socket(socket.AF_UNIX) as successor:
        successor.bind(str(path))
        probe.say("free")
        assert probe.wait() == 0
        assert path.exists()


def test_port_in_use(probe_factory):
    probe = probe_factory(*LOCAL)
    code, lines, _ = run_probe("--listen", f"127.0.0.1:{probe.ports[0]}")
    assert code == 1 and "error conflict" in lines[0]


@pytest.mark.parametrize(
    "address, text",
    [
        ("0.0.0.0:0", "needs TLS"),
        (":0", "needs TLS"),
        ("[::]:0", "needs TLS"),
        ("192.0.2.1:9000", "needs TLS"),
        ("127.0.0.1", "no port"),
        ("127.0.0.1:99999", "not a port"),
        ("127.0.0.1:-1", "not a port"),
        ("::1:9000", "needs brackets"),
        ("[::1:9000", "brackets"),
        ("unix:relative", "must be absolute"),
        ("unix:/" + "x" * 200, "at most"),
        ("some where:1", "not a host name"),
        ("localhost.example:1", "needs TLS"),
    ],
)
def test_bad_address(address, text):
    code, lines, log = run_probe("--listen", address)
    assert code == 1 and lines[0].startswith("error config") and text in lines[0], (lines, log)


def test_nothing_is_left_when_one_address_fails(tmp_path, probe_factory):
    probe = probe_factory(*LOCAL)
    code, lines, _ = run_probe("--listen", f"unix:{tmp_path}/s", "--listen", f"127.0.0.1:{probe.ports[0]}")
    assert code == 1 and "error conflict" in lines[0]
    assert not (tmp_path / "s").exists()


def test_file_in_the_way_of_a_socket(tmp_path):
    (tmp_path / "s").write_text("precious")
    code, lines, _ = run_probe("--listen", f"unix:{tmp_path}/s")
    assert code == 1 and "error config" in lines[0] and "in the way" in lines[0]
    assert (tmp_path / "s").read_text() == "precious"


# --- shutdown ---


def test_shutdown_lets_calls_end_in_the_grace(pb, probe_factory):
    probe = probe_factory(*LOCAL)
    with local(pb, probe) as client:
        pending, watch = client.later("late:500"), client.watch()
        assert next(watch).status == 1
        probe.stats_until(lambda s: s["calls"] == 2)
        probe.say("stop 20000")
        assert next(watch).status == 2
        fails(Code.UNAVAILABLE, lambda: watch, text="shutting down")
        assert pending.result().identity.instance == "late"
        probe.expect("stopped")
    assert probe.wait() == 0


def test_shutdown_cancels_after_the_grace(pb, probe_factory):
    probe = probe_factory(*LOCAL)
    with local(pb, probe) as client, local(pb, probe) as other:
        open_stream, slow, endless = client.backup("open"), client.later("slow"), other.backup("endless")
        next(open_stream)
        probe.expect("flow busy")
        probe.stats_until(lambda s: s["calls"] == 3)
        probe.say("stop 200")
        probe.expect("stopped")
        for call in (lambda: open_stream, slow.result, lambda: endless):
            with pytest.raises(grpc.RpcError) as caught:
                result = call()
                while True:
                    next(result)
            assert caught.value.code() in (Code.UNAVAILABLE, Code.CANCELLED)
    assert probe.wait() == 0


def test_no_new_calls_while_stopping(pb, probe_factory):
    probe = probe_factory(*LOCAL)
    with local(pb, probe) as client:
        stream = client.backup("open")
        next(stream)
        probe.say("stop 20000")
        probe.stats_until(lambda s: s["accepting"] == 0)
        with local(pb, probe) as late:
            fails(Code.UNAVAILABLE, late.status, "too late", timeout=5)
        stream.cancel()
        probe.expect("stopped")


def test_end_without_shutdown(pb, probe_factory):
    probe = probe_factory(*LOCAL)
    with local(pb, probe) as client:
        slow, stream, watch = client.later("slow"), client.backup("open"), client.watch()
        probe.stats_until(lambda s: s["calls"] == 3)
        probe.say("free")
        assert {probe.expect(("cancelled", "flow cancelled")) for _ in range(2)} == {"cancelled 1", "flow cancelled"}
        with pytest.raises(grpc.RpcError):
            slow.result()
        for messages in (stream, watch):
            with pytest.raises(grpc.RpcError):
                list(messages)
    assert probe.wait() == 0
