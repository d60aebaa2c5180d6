# SPDX-License-Identifier: Apache-2.0
"""HTTP server and metrics text of common/net, by raw sockets and a strict parser of the Prometheus format."""

import math
import random
import re
import shutil
import socket
import subprocess
import time

import pytest
from fixtures.netprobe import probe_factory, run_probe  # noqa: F401

LINE = "Host: x\r\n"
CLOSE = LINE + "Connection: close\r\n"


class Http:
    def __init__(self, probe):
        self.probe, self.port = probe, probe.ports[-1]

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.port))
        connection.settimeout(20)
        return connection

    def raw(self, data):
        """Everything that comes back until the server closes."""
        with self.connect() as connection:
            out = b""
            try:
                connection.sendall(data if isinstance(data, bytes) else data.encode())
                while chunk := connection.recv(65536):
                    out += chunk
            except (ConnectionResetError, BrokenPipeError):
                pass
            return out

    def ask(self, method, path, headers="", body=b""):
        """(status, headers, body)"""
        out = self.raw(f"{method} {path} HTTP/1.1\r\n{CLOSE}{headers}\r\n".encode() + body)
        head, _, rest = out.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
        return int(lines[0].split()[1]), fields, rest


@pytest.fixture
def http(probe_factory, tmp_path):
    def start(*limits):
        arguments = [word for limit in limits for word in ("--limit", limit)]
        return Http(probe_factory("--listen", f"unix:{tmp_path}/s", "--http", "127.0.0.1:0", *arguments))

    return start


# --- requests ---


def test_get_and_head(http):
    server = http()
    status, headers, body = server.ask("GET", "/echo?name=a%20b&other", "X-Probe: seen\r\n")
    assert (status, headers["content-type"], body) == (200, "application/octet-stream", b"")
    assert headers["x-content-type-options"] == "nosniff" and headers["cache-control"] == "no-store"
    assert server.probe.expect("http /echo") == "http /echo name=a b header=seen body=0"
    status, headers, body = server.ask("HEAD", "/metrics")
    assert status == 200 and int(headers["content-length"]) > 500 and body == b""


def test_post_gets_its_body(http):
    server = http()
    assert server.ask("POST", "/post", "Content-Length: 5\r\n", b"hello")[::2] == (200, b"hello")
    chunked = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    assert server.ask("POST", "/post", "Transfer-Encoding: chunked\r\n", chunked)[::2] == (200, b"abcde")
    whole = b"z" * 65536
    assert server.ask("POST", "/post", "Content-Length: 65536\r\n", whole)[::2] == (200, whole)


def test_connection_is_kept(http):
    server = http()
    with server.connect() as connection:
        for _ in range(20):
            connection.sendall(f"GET /echo HTTP/1.1\r\n{LINE}\r\n".encode())
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        assert server.probe.stats()["http"] == 1
    server.probe.stats_until(lambda s: s["http"] == 0)


@pytest.mark.parametrize(
    "method, path, headers, body, status",
    [
        ("GET", "/nothing", "", b"", 404),
        ("GET", "/", "", b"", 404),
        ("GET", "/metrics/", "", b"", 404),
        ("GET", "/../metrics", "", b"", 404),
        ("GET", "/echo%00", "", b"", 404),
        ("POST", "/metrics", "Content-Length: 1\r\n", b"x", 405),
        ("DELETE", "/post", "", b"", 405),
        ("GET", "/post", "", b"", 405),
        ("BREW", "/metrics", "", b"", 405),
        ("POST", "/post", "Content-Length: 65537\r\n", b"x" * 65537, 413),
        ("POST", "/post", "Content-Length: 99999999999999999999999\r\n", b"x", 413),
        ("POST", "/post", "Transfer-Encoding: chunked\r\n", (b"4000\r\n" + b"x" * 0x4000 + b"\r\n") * 5 + b"0\r\n\r\n", 413),
        ("GET", "/metrics", "X-Long: " + "a" * 40_000 + "\r\n", b"", 431),
        ("GET", "/" + "a" * 40_000, "", b"", 414),
    ],
)
def test_refusals(http, method, path, headers, body, status):
    server = http()
    got, fields, _ = server.ask(method, path, headers, body)
    if status == 413 and got == 400:  # a length beyond 64 bits is malformed to the library
        assert "99999" in headers
    else:
        assert got == status
    if status == 405:
        assert fields["allow"] == ("POST" if path == "/post" else "GET, HEAD")
    assert server.ask("GET", "/echo")[0] == 200


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\xff\xfe\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /echo HTTP/1.1\r\n\r\n",
        b"GET /echo HTTP/9.9\r\nHost: x\r\n\r\n",
        b"POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\nabc",
        b"POST /post HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"A" * 300,
        b"\r\n" * 2000,
    ],
)
def test_garbage(http, data):
    server = http("http_request=1")
    out = server.raw(data)
    assert not out.startswith(b"HTTP/1.1 200"), out
    assert server.ask("GET", "/echo")[0] == 200


def test_random_garbage(http):
    server = http("http_request=1", "http_connections=300")  # more than come: none is refused
    chance = random.Random(11)
    words = [b"GET ", b"POST ", b"/echo", b" HTTP/1.1", b"\r\n", b"\r\n\r\n", b"Host: x", b"Content-Length: ", b"7", b"chunked",
             b"Transfer-Encoding: ", b"\x00", b"\xff", b"?", b"%", b"=", b":", b" ", b"a" * 3000]
    for _ in range(200):
        with server.connect() as connection:
            connection.sendall(b"".join(chance.choices(words, k=chance.randrange(1, 14))))
    server.probe.stats_until(lambda s: s["http"] == 0)
    assert server.ask("GET", "/echo")[0] == 200


# --- time and number ---


def test_request_that_drips_is_cut(http):
    server = http("http_request=1", "http_idle=30")
    start = time.monotonic()
    with server.connect() as connection:
        connection.sendall(b"GET /echo HTTP/1.1\r\nX-Slow: ")
        connection.settimeout(0.1)
        while True:
            assert time.monotonic() - start < 15, "still open"
            try:
                connection.sendall(b"a")
                if connection.recv(100) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
    assert server.ask("GET", "/echo")[0] == 200


def test_idle_connection_is_closed(http):
    server = http("http_idle=1")
    with server.connect() as connection:
        connection.sendall(f"GET /echo HTTP/1.1\r\n{LINE}\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        assert connection.recv(4096) == b""


def test_too_many_connections_then_room_again(http):
    server = http("http_connections=4", "http_request=30")
    held = [server.connect() for _ in range(4)]
    server.probe.stats_until(lambda s: s["http"] == 4)
    assert server.raw(f"GET /echo HTTP/1.1\r\n{CLOSE}\r\n") == b""
    assert server.probe.stats()["http"] == 4
    for connection in held:
        connection.close()
    server.probe.stats_until(lambda s: s["http"] < 4)
    assert server.ask("GET", "/echo")[0] == 200


def test_out_of_descriptors_and_back(http):
    server = http("nofile=200")
    server.probe.say("hog 0")
    server.probe.expect("hog")
    for _ in range(3):
        assert server.raw(f"GET /echo HTTP/1.1\r\n{CLOSE}\r\n") == b""
    server.probe.say("hog -1")
    server.probe.expect("hog 0")
    assert server.ask("GET", "/echo")[0] == 200


# --- answers that come later ---


def test_answer_comes_later(http):
    server = http()
    assert server.ask("GET", "/slow")[::2] == (200, b"later\n")
    many = [server.connect() for _ in range(20)]
    for connection in many:
        connection.sendall(f"GET /slow HTTP/1.1\r\n{CLOSE}\r\n".encode())
    for connection in many:
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        connection.close()


def test_peer_that_does_not_wait(http):
    server = http()
    for path in ("/slow", "/hang"):
        connection = server.connect()
        connection.sendall(f"GET {path} HTTP/1.1\r\n{LINE}\r\n".encode())
        if path == "/hang":
            server.probe.expect("http hang")
        connection.close()
        if path == "/hang":
            server.probe.expect("http gone")
    server.probe.stats_until(lambda s: s["http"] == 0)


def test_end_with_waiting_requests(http):
    server = http()
    waiting = [server.connect() for _ in range(3)]
    for connection in waiting:
        connection.sendall(f"GET /hang HTTP/1.1\r\n{LINE}\r\n".encode())
        server.probe.expect("http hang")
    server.probe.say("free")
    for _ in waiting:
        server.probe.expect("http gone")
    assert server.probe.wait() == 0
    for connection in waiting:
        connection.close()


@pytest.mark.parametrize("address, text", [("127.0.0.1", "no port"), ("name.example:1", "IP address"), ("127.0.0.1:70000", "not a port")])
def test_bad_address(tmp_path, address, text):
    code, lines, _ = run_probe("--listen", f"unix:{tmp_path}/s", "--http", address)
    assert code == 1 and lines[0].startswith("error config HTTP") and text in lines[0]


def test_port_in_use(http, tmp_path):
    server = http()
    code, lines, _ = run_probe("--listen", f"unix:{tmp_path}/t", "--http", f"127.0.0.1:{server.port}")
    assert code == 1 and lines[0].startswith("error conflict HTTP")


# --- the metrics text ---

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')


def parse_metrics(text):
    """{family: (type, {(sample name, labels): value})}; stricter than Prometheus: HELP, TYPE, then its samples, once each."""
    assert text.endswith("\n")
    families, current = {}, None
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            name, help_text = line[7:].split(" ", 1)
            assert NAME.fullmatch(name) and name not in families and help_text
            families[name], current = [None, {}], name
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            assert name == current and families[name][0] is None and kind in ("counter", "gauge", "histogram")
            families[name][0] = kind
        else:
            match = re.fullmatch(r"([^{ ]+)(?:\{(.*)\})? (\S+)", line)
            assert match, line
            sample, labels, value = match.groups()
            kind = families[current][0]
            suffixes = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
            assert sample in [current + suffix for suffix in suffixes], line
            pairs = LABEL.findall(labels or "")
            assert ",".join(f'{k}="{v}"' for k, v in pairs) == (labels or ""), line
            key = (sample, tuple(pairs))
            assert len(dict(pairs)) == len(pairs) and key not in families[current][1], line
            families[current][1][key] = float(value)
    assert list(families) == sorted(families)
    return families


def test_metrics_text(http):
    server = http()
    status, headers, body = server.ask("GET", "/metrics")
    assert status == 200 and headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = parse_metrics(body.decode())
    assert {"process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds", "process_start_time_seconds",
            "netprobe_calls_total", "netprobe_metrics_overflow_total"} <= set(families)
    value = lambda name: families[name][1][(name, ())]  # noqa: E731
    assert value("process_resident_memory_bytes") > 1e6
    assert 5 < value("process_open_fds") < value("process_max_fds")
    assert abs(value("process_start_time_seconds") - time.time()) < 120
    assert math.isfinite(value("process_cpu_seconds_total"))
    assert families["netprobe_calls_total"] == ["counter", {}]
    promtool = shutil.which("promtool")
    if promtool:  # a second opinion where Debian's prometheus is installed
        result = subprocess.run([promtool, "check", "metrics"], input=body, capture_output=True, check=False)
        assert result.returncode == 0, result.stderr + result.stdout
