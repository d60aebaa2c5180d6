# SPDX-License-Identifier: Apache-2.0
"""What is wrong outside of the sidecar: configuration, password, server, state, requests. One clear error each, the right exit code or
status, and nothing lost."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from fixtures.lab import Lab
from fixtures.sidecar import BUILD, SANITIZER, Sidecar, free_port, merge

USAGE, CONFIG, CONFLICT, CORRUPT = 2, 10, 13, 25

# ---- the configuration ----

BAD_CONFIGURATIONS = {
    "unknown key": ({"sql": {"prot": 1}}, ["sql.prot", "unknown key", "did you mean 'port'"]),
    "no number": ({"sql": {"port": "many"}}, ["sql.port", "'many'", "1 to 65535"]),
    "password in the file": ({"sql": {"password": "secret-text"}}, ["sql.password", "sql.passwordFile"]),
    "password file missing": ({"sql": {"passwordFile": "/nowhere/pw"}}, ["sql.passwordFile", "/nowhere/pw", "No such file"]),
    "relative path": ({"paths": {"staging": "staging"}}, ["paths.staging", "not an absolute path"]),
    "no such store": ({"store": {"url": "ftp://host/x"}}, ["store.url", "not a store"]),
    "open to the network": ({"grpc": {"listen": "0.0.0.0:8443"}}, ["grpc.listen", "no TLS"]),
    "cron": ({"policy": {"fullBackup": {"schedule": "61 * * * *"}}}, ["policy.fullBackup.schedule", "61"]),
    "time zone": ({"policy": {"timeZone": "Mars/Base"}}, ["policy.timeZone", "Mars/Base"]),
    "window": ({"policy": {"blackoutWindows": ["MON 25:00-26:00"]}}, ["policy.blackoutWindows", "25:00"]),
    "interval": ({"policy": {"logBackup": {"interval": "1s"}}}, ["policy.logBackup.interval", "'1s'"]),
}


def run_alone(folder: Path, config: dict[str, Any], *arguments: str) -> subprocess.CompletedProcess:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    command = [str(BUILD / "sidecar" / "mssql-sidecar"), "--config", str(path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, env={**os.environ, **SANITIZER})


def good_config(folder: Path) -> dict[str, Any]:
    (folder / "pw").write_text("secret-text")
    return {
        "sql": {"port": 1, "user": "sa", "passwordFile": str(folder / "pw")},
        "identity": {"instance": "sql"},
        "paths": {"staging": str(folder / "staging"), "state": str(folder / "state")},
        "store": {"url": f"file://{folder}/store"},
        "grpc": {"listen": f"unix://{folder}/s.sock"},
        "http": {"listen": f"127.0.0.1:{free_port()}"},
    }


@pytest.mark.parametrize("name", BAD_CONFIGURATIONS)
def test_bad_configuration(tmp_path: Path, name: str) -> None:
    wrong, words = BAD_CONFIGURATIONS[name]
    for arguments in ((), ("--check-config",)):
        done = run_alone(tmp_path, merge(good_config(tmp_path), wrong), *arguments)
        assert done.returncode == CONFIG, done.stderr
        assert len(done.stderr.splitlines()) == 1, "one error is one line"
        assert all(word in done.stderr for word in words), done.stderr
        assert "secret-text" not in done.stderr + done.stdout
    assert not (tmp_path / "state").exists() and not (tmp_path / "staging").exists(), "nothing is begun"


def test_a_file_that_is_no_yaml_and_a_flag_that_is_none(tmp_path: Path) -> None:
    config = good_config(tmp_path)
    done = run_alone(tmp_path, config, "--sql-prot=5")
    assert (done.returncode, "did you mean --sql-port" in done.stderr) == (USAGE, True), done.stderr
    (tmp_path / "config.yaml").write_text("sql: [1, 2\n")
    command = [str(BUILD / "sidecar" / "mssql-sidecar"), "--config", str(tmp_path / "config.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, env={**os.environ, **SANITIZER})
    assert done.returncode == CONFIG and "config.yaml:" in done.stderr, done.stderr


def test_a_bad_policy_on_reload_leaves_the_old_one_in_force(lab: Lab) -> None:
    sidecar = lab.protected()
    before = sidecar.status()["policy"]
    sidecar.config["policy"]["retentionDays"] = 99
    sidecar.reload()
    sidecar.wait_until("the refusal", lambda s: s.metrics().get('mssql_sidecar_config_reloads_total{result="bad"}') == 1)
    refusal = next(e for e in sidecar.events() if "not reloaded" in e["msg"])
    assert "policy.retentionDays" in refusal["error"] and "'99'" in refusal["error"] and "old one stays" in refusal["msg"]
    assert sidecar.status()["policy"] == before
    lab.write()
    sidecar.force(lab.database)
    sidecar.config["policy"]["retentionDays"] = 7
    sidecar.reload()
    sidecar.wait_until("the good policy", lambda s: s.status()["policy"]["retentionDays"] == 7)
    lab.prove(sidecar)


# ---- the server ----


def condition_is(kind: str, status: str, reason: str):
    def look(sidecar: Sidecar) -> bool:
        c = sidecar.condition(kind)
        return (c["status"], c["reason"]) == (status, reason)

    return look


def test_wrong_password_until_it_is_right(lab: Lab) -> None:
    lab.write()
    sidecar = lab.sidecar(start=False)
    (sidecar.folder / "password").write_text("Wrong-Password-7")
    sidecar.start()
    sidecar.wait_until("the refused login", condition_is("SqlServerReachable", "False", "LoginRefused"))
    assert "Login failed for user 'sa'" in sidecar.condition("SqlServerReachable")["message"]
    failed = next(e for e in sidecar.events() if e["msg"] == "SQL Server cannot be looked at")
    assert failed["class"] == "auth"
    assert sidecar.get("/readyz")[0] == sidecar.get("/healthz")[0] == 200, "the process serves"
    (sidecar.folder / "password").write_text(lab.sim.password)
    sidecar.reload()
    sidecar.wait_full(lab.database)
    assert "Wrong-Password-7" not in sidecar.log() and lab.sim.password not in sidecar.log()
    lab.prove(sidecar)


def test_unreachable_server(own_lab: Lab) -> None:
    lab = own_lab
    sidecar = lab.protected()
    lab.sim.do("refuse_connections")
    lab.sim.do("drop_all_sessions")
    sidecar.wait_until("it to be noticed", condition_is("SqlServerReachable", "False", "NotReachable"))
    assert sidecar.get("/readyz")[0] == 200
    assert sidecar.condition("Ready")["reason"] == "SqlServerReachable"
    assert sidecar.metrics()["mssql_sidecar_sql_server_up"] == 0
    lab.sim.do("accept_connections")
    sidecar.wait_until("the server to be back", condition_is("SqlServerReachable", "True", "Connected"))
    lab.write()
    sidecar.force(lab.database)
    lab.prove(sidecar)


def test_server_in_its_start_up_phases(own_lab: Lab) -> None:
    lab = own_lab
    sidecar = lab.protected()
    phases = [{"phase": p, "seconds": 0.7} for p in ("refused", "login_failed", "script_upgrade", "recovering")]
    lab.sim.do("restart", phases=phases, wait=False)
    sidecar.wait_until("the restart to be noticed", condition_is("Ready", "False", "SqlServerReachable"))
    sidecar.wait_until("the server to be back", condition_is("Ready", "True", "Ready"))
    lab.write()
    sidecar.force(lab.database)
    assert lab.kinds(sidecar) == ["full", "log", "log"], "a restart breaks no chain"
    lab.prove(sidecar)


# ---- the state directory ----


def with_staged_log(lab: Lab) -> Sidecar:
    """A stopped sidecar: a log that is in staging only."""
    sidecar = lab.protected(shutdown={"grace": "100ms"})
    away = sidecar.store.with_name("store-away")
    sidecar.store.rename(away)
    lab.write()
    sidecar.stage_log(lab.database)
    assert sidecar.stop() == 0
    away.rename(sidecar.store)
    return sidecar


def test_a_file_that_is_no_journal(lab: Lab) -> None:
    sidecar = with_staged_log(lab)
    journal = sidecar.state / "journal"
    journal.write_bytes(b"\xff" * journal.stat().st_size)
    sidecar.start(wait=False)
    assert sidecar.wait(30) == CORRUPT
    error = next(e["error"] for e in sidecar.events() if e["msg"] == "cannot start")
    assert str(journal) in error and "is not a journal" in error and "Move it away" in error
    assert len(sidecar.staged()) == 1, "what is staged is not touched"
    journal.rename(journal.with_name("journal.bad"))
    shutil.rmtree(sidecar.state / "drafts")  # with them it would not even have to be asked about
    sidecar.start()
    sidecar.wait_shipped()
    assert any("is adopted" in e["msg"] for e in sidecar.events())
    lab.prove(sidecar)


def test_one_damaged_entry_of_the_journal(lab: Lab) -> None:
    sidecar = with_staged_log(lab)
    journal = sidecar.state / "journal"
    data = bytearray(journal.read_bytes())
    run = sidecar.staged()[0].split(".")[0].encode()
    copies = [at for at in range(len(data)) if data[at : at + len(run)] == run]
    assert copies
    for at in copies:
        data[at] ^= 0xFF
    journal.write_bytes(data)
    sidecar.start()
    sidecar.wait_shipped()
    damaged = next(e for e in sidecar.events() if "damaged journal entries" in e["msg"])
    assert damaged["count"] == "1"
    lab.prove(sidecar)


@pytest.mark.parametrize("how", ["garbage", "cut", "deleted"])
def test_damaged_catalog(lab: Lab, how: str) -> None:
    sidecar = lab.protected()
    before = sidecar.database(lab.database)
    assert sidecar.stop() == 0
    catalog = sidecar.state / "catalog"
    if how == "garbage":
        catalog.write_bytes(os.urandom(catalog.stat().st_size))
    elif how == "cut":
        catalog.write_bytes(catalog.read_bytes()[:100])
    else:
        catalog.unlink()
    lab.write()
    sidecar.start()
    after = sidecar.wait_until("the catalog to be made again", lambda s: (d := s.database(lab.database)).get("backups") and d)
    assert after["backups"] == before["backups"] == 2
    assert after["lastFullAt"] == before["lastFullAt"] and after["lastLogAt"] == before["lastLogAt"]
    if how != "deleted":
        assert any("catalog is damaged; it is made anew" in e["msg"] for e in sidecar.events())
    sidecar.force(lab.database)
    assert lab.kinds(sidecar) == ["full", "log", "log"], "no new full: the store told all"
    lab.prove(sidecar)


def test_a_second_sidecar_on_the_same_state(lab: Lab) -> None:
    sidecar = lab.protected()
    second = lab.sidecar(start=False, name="second", paths={"state": str(sidecar.state), "staging": str(sidecar.staging)})
    second.start(wait=False)
    assert second.wait(30) == CONFLICT
    assert any("in use by another process" in e.get("error", "") for e in second.events())
    lab.write()
    sidecar.force(lab.database)
    lab.prove(sidecar)


# ---- requests ----


def refused(code: grpc.StatusCode, what: Any) -> tuple[str, str]:
    """Text and error class."""
    with pytest.raises(grpc.RpcError) as caught:
        what()
    assert caught.value.code() == code, caught.value
    return caught.value.details(), dict(caught.value.trailing_metadata() or ()).get("mssql-error-class", "")


def test_bad_grpc_requests(lab: Lab) -> None:
    sidecar = lab.protected()
    with sidecar.rpc() as rpc:
        pb = rpc.pb.sidecar
        text, word = refused(grpc.StatusCode.NOT_FOUND, lambda: rpc.backup(lab.database + "x", "log"))
        assert f"there is no database '{lab.database}x'" in text and f"Did you mean '{lab.database}'" in text and word == "not_found"
        text, word = refused(grpc.StatusCode.NOT_FOUND, lambda: rpc.call("GetChain", pb.GetChainRequest(database="nope"), rpc.pb.types.Chain))
        assert "nope" in text and word == "not_found"
        text, word = refused(grpc.StatusCode.INVALID_ARGUMENT, lambda: rpc.call("SetHold", pb.SetHoldRequest(database=lab.database), pb.SetHoldResponse))
        assert "reason" in text and word == "usage"
        text, word = refused(grpc.StatusCode.INVALID_ARGUMENT, lambda: rpc.call("Pause", pb.PauseRequest(), pb.PauseResponse))
        assert "reason" in text and word == "usage"
        text, _ = refused(grpc.StatusCode.INVALID_ARGUMENT, lambda: rpc.call("GetStatus", b"\xff\xff\xff\xff", rpc.pb.types.Status))
        assert text
        refused(grpc.StatusCode.RESOURCE_EXHAUSTED, lambda: rpc.call("GetStatus", b"\x0a" + b"\x00" * (2 << 20), rpc.pb.types.Status))
        refused(grpc.StatusCode.UNIMPLEMENTED, lambda: rpc.call("NoSuchMethod", b"", rpc.pb.types.Status))
        status = rpc.call("GetStatus", pb.GetStatusRequest(), rpc.pb.types.Status)
        assert [d.name for d in status.databases if d.protected] == [lab.database]
    sidecar.force(lab.database)
    lab.prove(sidecar)


def raw_http(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 20) as s:
        try:
            s.sendall(data)
            answer = b""
            while part := s.recv(65536):
                answer += part
        except ConnectionError:
            return answer
        return answer


def test_bad_http_requests(lab: Lab) -> None:
    sidecar = lab.sidecar()
    close = b"Host: x\r\nConnection: close\r\n\r\n"
    assert raw_http(sidecar.http, b"GET /nothing HTTP/1.1\r\n" + close).startswith(b"HTTP/1.1 404")
    assert raw_http(sidecar.http, b"DELETE /status HTTP/1.1\r\n" + close).startswith(b"HTTP/1.1 405")
    for junk in (b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64 + b"\r\n\r\n"):
        assert raw_http(sidecar.http, junk)[:12] in (b"HTTP/1.1 400", b"HTTP/1.0 400", b""), junk
    assert raw_http(sidecar.http, b"GET /status HTTP/1.1\r\nX: " + b"y" * 100000 + b"\r\n" + close)[:12] in (b"HTTP/1.1 431", b"")
    assert sidecar.get("/healthz") == (200, "ok\n")
    lab.write()
    sidecar.wait_full(lab.database)
    lab.prove(sidecar)


# ---- nobody there ----


def test_no_store_and_no_server_still_serve(lab: Lab) -> None:
    """SQL Server is not touched, whatever is missing beside it."""
    lab.write()
    sidecar = lab.sidecar(start=False)
    shutil.rmtree(sidecar.store)
    sidecar.start()
    sidecar.wait_until("the store to be missed", condition_is("StoreReachable", "False", "NotReachable"))
    assert str(sidecar.store) in sidecar.condition("StoreReachable")["message"]
    sidecar.wait_until("that to be told first", condition_is("Ready", "False", "StoreReachable"))
    lab.write(20)
    sidecar.store.mkdir()
    sidecar.wait_full(lab.database)
    lab.prove(sidecar)
