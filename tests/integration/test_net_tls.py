# SPDX-License-Identifier: Apache-2.0
"""TLS of the gRPC server: good and bad peers, certificates that change, files that do not fit."""

import time

import grpc
from fixtures.grpc_client import LOCAL, Client, Code, fails, local
from fixtures.netprobe import authority, authority_factory, pb, probe_factory, run_probe  # noqa: F401


def tls(authority, client=None):
    read = lambda path: path.read_bytes()  # noqa: E731
    key, cert = (read(client[1]), read(client[0])) if client else (None, None)
    return grpc.ssl_channel_credentials(read(authority.cert), key, cert)


def test_tls(pb, probe_factory, authority, authority_factory, tmp_path):
    cert, key = authority.issue("server")
    probe = probe_factory(*LOCAL, "--listen", "0.0.0.0:0", "--listen", f"unix:{tmp_path}/s", "--cert", cert, "--key", key)
    for port in probe.ports[:2]:
        with Client(pb, f"127.0.0.1:{port}", tls(authority)) as client:
            assert client.status("secret").identity.instance == "secret"
    with Client(pb, f"unix:{tmp_path}/s") as client:
        assert client.status("local").identity.instance == "local"
    with local(pb, probe) as plain:
        fails(Code.UNAVAILABLE, plain.status, "plaintext", timeout=5)
    with local(pb, probe, credentials=tls(authority_factory("foreign"))) as foreign:
        fails(Code.UNAVAILABLE, foreign.status, "not my CA", timeout=5)
    with local(pb, probe, credentials=tls(authority), options=[("grpc.ssl_target_name_override", "someone.else")]) as other:
        fails(Code.UNAVAILABLE, other.status, "not its name", timeout=5)
    assert abs(probe.stats()["cert"] / 1e6 - time.time() - 86400) < 300


def test_mutual_tls(pb, probe_factory, authority, authority_factory):
    cert, key = authority.issue("server")
    probe = probe_factory(*LOCAL, "--cert", cert, "--key", key, "--ca", authority.cert)
    with local(pb, probe, credentials=tls(authority, authority.issue("alice"))) as client:
        assert client.status("hello").identity.service == "alice"
    with local(pb, probe, credentials=tls(authority)) as nobody:
        fails(Code.UNAVAILABLE, nobody.status, "no certificate", timeout=5)
    with local(pb, probe, credentials=tls(authority, authority_factory("foreign").issue("mallory"))) as mallory:
        fails(Code.UNAVAILABLE, mallory.status, "foreign certificate", timeout=5)


def test_certificate_rotation(pb, probe_factory, authority, authority_factory, tmp_path):
    def install(pair):
        for source, name in zip(pair, ("cert", "key")):
            fresh = tmp_path / f"{name}.new"
            fresh.write_bytes(source.read_bytes())
            fresh.rename(tmp_path / name)

    old, new = authority, authority_factory("new")
    install(old.issue("server"))
    probe = probe_factory(*LOCAL, "--cert", tmp_path / "cert", "--key", tmp_path / "key")
    with local(pb, probe, credentials=tls(old)) as before:
        assert before.status("old").identity.instance == "old"
        (tmp_path / "key").write_text("half-way through")
        with local(pb, probe, credentials=tls(old)) as client:
            assert client.status("the old one stays").identity.instance
        install(new.issue("server"))
        with local(pb, probe, credentials=tls(new)) as client:
            assert client.status("new").identity.instance == "new"
        with local(pb, probe, credentials=tls(old)) as client:
            fails(Code.UNAVAILABLE, client.status, "old CA", timeout=5)
        assert before.status("open connections keep theirs").identity.instance
    probe.say("free")
    assert probe.wait() == 0
    assert probe.log().count("cannot be used") == 1


def test_bad_tls_files(authority, tmp_path):
    (cert, key), (_, other_key) = authority.issue("a"), authority.issue("b")
    expired, expired_key = authority.issue("old", days=-1)
    text = tmp_path / "text"
    text.write_text("no PEM")
    for arguments, word, part in [
        (("--cert", cert), "config", "certificate and"),
        (("--key", key), "config", "certificate and"),
        (("--ca", authority.cert), "config", "needs a certificate"),
        (("--cert", tmp_path / "none", "--key", key), "config", "none"),
        (("--cert", text, "--key", key), "crypto", "no certificate in it"),
        (("--cert", cert, "--key", text), "crypto", "no private key in it"),
        (("--cert", cert, "--key", other_key), "crypto", "does not belong"),
        (("--cert", cert, "--key", key, "--ca", text), "crypto", "no certificate in it"),
        (("--cert", expired, "--key", expired_key), "crypto", "expired"),
    ]:
        code, lines, _ = run_probe(*LOCAL, *arguments)
        assert code == 1 and lines[0].startswith(f"error {word} ") and part in lines[0], lines
