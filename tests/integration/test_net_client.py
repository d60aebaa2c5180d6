# SPDX-License-Identifier: Apache-2.0
"""gRPC client of common/net, blocking as the command line uses it, against the server of common/net."""

import signal

from fixtures.grpc_client import LOCAL, local
from fixtures.netprobe import authority, authority_factory, pb, probe_factory, run_probe  # noqa: F401


def test_our_client(probe_factory, tmp_path):
    probe_factory("--listen", f"unix:{tmp_path}/s")
    code, lines, log = run_probe("--probe", f"unix:{tmp_path}/s", "one", "fail:chain:log chain is broken", "fail:store:grüße", "slow")
    assert code == 0, log
    assert lines == [
        "probe none ",
        "unary none one",
        "unary chain log chain is broken",
        "unary store grüße",
        "unary timeout no answer in time",
        "event 1",
        "event 2",
        "event 3",
        "stream 0 none",
        "event 1",
        "event 2",
        "event 3",
        "event 4",
        "event 5",
        "stream -1 cancelled",
    ]


def test_our_client_over_tls(probe_factory, authority, authority_factory):
    cert, key = authority.issue("server")
    mine, mine_key = authority.issue("me")
    probe = probe_factory(*LOCAL, "--cert", cert, "--key", key, "--ca", authority.cert)
    address = f"127.0.0.1:{probe.ports[0]}"
    with_cert = ("--tls", "--cert", mine, "--key", mine_key)
    assert run_probe("--probe", address, *with_cert, "--ca", authority.cert, "x")[1][:2] == ["probe none ", "unary none x"]
    assert run_probe("--probe", address, *with_cert, "--ca", authority_factory("foreign").cert, "x")[1][1].startswith("unary connect")
    assert run_probe("--probe", address, *with_cert, "--ca", authority.cert, "--name", "other", "x")[1][1].startswith("unary connect")
    assert run_probe("--probe", address, "--tls", "--ca", authority.cert, "x")[1][1].startswith("unary connect")


def test_our_client_is_interrupted(probe_factory, tmp_path):
    server = probe_factory("--listen", f"unix:{tmp_path}/s")
    client = probe_factory("--probe", f"unix:{tmp_path}/s", "--limit", "timeout=60000", "slow", expect="probe none")
    server.expect("slow")
    client.process.send_signal(signal.SIGINT)
    assert client.expect("unary") == "unary cancelled cancelled"
    assert [client.expect("stream") for _ in range(2)] == ["stream -1 cancelled"] * 2
    assert client.wait() == 0
    server.expect("cancelled 1")


def test_our_client_without_a_server(tmp_path):
    for address in (f"unix:{tmp_path}/none", "127.0.0.1:1"):
        lines = run_probe("--probe", address, "x")[1]
        assert lines[0].startswith("probe connect") and lines[1].startswith("unary connect"), lines
    assert run_probe("--probe", "nonsense")[1][1].startswith("client config")


def test_probe_sees_what_an_old_connection_hides(pb, probe_factory):
    probe = probe_factory(*LOCAL, "--limit", "nofile=200")
    address = f"127.0.0.1:{probe.ports[0]}"
    with local(pb, probe) as old:
        assert old.health() == 1
        probe.say("hog 0")
        probe.expect("hog")
        assert old.health() == 1
        assert run_probe("--probe", address)[1][0].startswith("probe connect")
        probe.say("hog -1")
        probe.expect("hog 0")
        assert run_probe("--probe", address)[1][0] == "probe none "
    probe.say("serving - 0")
    assert run_probe("--probe", address)[1][0].startswith("probe state")
