# SPDX-License-Identifier: Apache-2.0
"""What the sidecar believes and shows: roots and tokens that change, a controller that is not the one, grants for fetching."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import grpc
import pytest

from fixtures.fleet import Controller, Issuer, connected, messages, wait_connected
from fixtures.lab import Lab
from fixtures.sidecar import Sidecar, free_port, wait_for
from fixtures.sidecar_rpc import SERVICE, Rpc

UID = "uid-0"


def certificate(folder: Path, name: str, san: str = "DNS:controller.test") -> tuple[Path, Path]:
    cert, key = folder / f"{name}.crt", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
               "-addext", f"subjectAltName={san}", "-keyout", str(key), "-out", str(cert)]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


def failures(sidecar: Sidecar) -> list[str]:
    return [e.get("err", "") or str(e) for e in sidecar.events() if e["msg"].startswith("no session with the controller")]


def test_roots_are_read_again(lab: Lab, controllers: Any, issuer: Issuer, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "one")
    other, _ = certificate(tmp_path, "two")
    controller = controllers("-c", str(cert), "-k", str(key))
    sidecar = connected(lab.sidecar(start=False), controller, issuer)
    roots = tmp_path / "ca.crt"
    roots.write_bytes(other.read_bytes())  # not those of the controller
    sidecar.config["controller"].update({"plaintext": False, "caFile": str(roots), "serverName": "controller.test"})
    sidecar.start()
    sidecar.wait_until("a refusal", failures)
    assert controller.stats()["known"] == 0
    roots.write_bytes(cert.read_bytes())
    wait_connected(controller, seconds=120)

    # the right roots and another name: nobody is told the token
    stranger_cert, stranger_key = certificate(tmp_path, "three", "DNS:elsewhere.test")
    sidecar.stop()
    before = controller.count()
    stranger = controllers("-c", str(stranger_cert), "-k", str(stranger_key))
    sidecar.config["controller"]["address"] = stranger.listen
    roots.write_bytes(stranger_cert.read_bytes())
    seen = len(failures(sidecar))
    sidecar.start()
    sidecar.wait_until("another refusal", lambda s: len(failures(s)) > seen)
    assert stranger.stats()["known"] == 0 and stranger.stats()["refused"] == 0
    assert controller.count() >= before


def test_a_renewed_token_is_shown(lab: Lab, controllers: Any, issuer: Issuer) -> None:
    controller = controllers()
    sidecar = connected(lab.sidecar(start=False), controller, issuer)
    token = sidecar.folder / "token"
    token.write_text(issuer.token(forged=True))
    sidecar.start()
    sidecar.wait_until("a refusal", failures)
    wait_for("the controller to say so", lambda: "signature" in controller.log())
    token.write_text(issuer.token())
    wait_connected(controller, seconds=120)
    token.write_text(issuer.token(uid="uid-1"))  # of another pod: with the next heartbeat the session is over
    controller.wait("session", UID, "0")
    before = controller.count()
    token.write_text(issuer.token())
    wait_connected(controller, after=before, seconds=120)


def fetch(target: str, seconds: float = 60.0, **fields: Any) -> int:
    """Bytes that were fetched, to the end."""
    with Rpc(target) as rpc:
        make = rpc._channel.unary_stream(  # pylint: disable=protected-access
            SERVICE + "FetchBackup", request_serializer=lambda m: m.SerializeToString(), response_deserializer=rpc.pb.sidecar.FetchBackupEvent.FromString
        )
        got, ended = 0, False
        for event in make(rpc.pb.sidecar.FetchBackupRequest(**fields), timeout=seconds):
            got += len(event.data.data) if event.WhichOneof("event") == "data" else 0
            ended |= event.WhichOneof("event") == "end"
        assert ended
        return got


def refused(target: str, **fields: Any) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        fetch(target, **fields)
    assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED, caught.value
    return caught.value.details()


def test_grants(lab: Lab, controllers: Any, issuer: Issuer) -> None:
    controller: Controller = controllers()
    sidecar = connected(lab.sidecar(start=False), controller, issuer)
    target = f"127.0.0.1:{free_port()}"
    sidecar.config["grpc"]["listen"] = target
    sidecar.start()
    wait_connected(controller)
    lab.write()
    sidecar.wait_full(lab.database)
    lab.load.stop()
    controller.give(UID, messages().controller.Command(id="list", list_backups=messages().sidecar.ListBackupsRequest(database=lab.database)))
    guid = controller.result(UID, "list").list_backups.backups[-1].set_guid

    def grant(*sets: str, to: str = "uid-7") -> bytes:
        return bytes.fromhex(controller.ask("grant", UID, to, *sets, answer="grant")[1])

    good = grant(guid)
    assert "who asks" in refused(target, set_guid=guid)
    assert "signed" in refused(target, set_guid=guid, grant=b"\x0a\x02ab", pod_uid="uid-7")
    assert "signed" in refused(target, set_guid=guid, grant=good[:-1] + bytes([good[-1] ^ 1]), pod_uid="uid-7")
    assert "another pod" in refused(target, set_guid=guid, grant=good, pod_uid="uid-8")
    assert "another pod" in refused(target, set_guid=guid, grant=good)
    assert "other backup sets" in refused(target, set_guid="27FF333C-DB84-4AFF-B8CB-684D06418EF6", grant=good, pod_uid="uid-7")
    assert "other backup sets" in refused(target, set_guid=guid, grant=grant("27FF333C-DB84-4AFF-B8CB-684D06418EF6"), pod_uid="uid-7")
    assert fetch(target, set_guid=guid, grant=good, pod_uid="uid-7") > 0
    assert "used" in refused(target, set_guid=guid, grant=good, pod_uid="uid-7")
    assert "used" in refused(target, set_guid=guid.lower(), grant=good, pod_uid="uid-7", offset=1)
    assert fetch(target, set_guid=guid, grant=grant(guid), pod_uid="uid-7", offset=10) > 0

    # a source that was started again remembers no uses, and takes no older grant
    late = grant(guid)
    before = controller.count()
    sidecar.kill()
    sidecar.start()
    wait_connected(controller, after=before)
    sidecar.wait_until("its catalog", lambda s: s.database(lab.database).get("backups"))
    assert "started again" in refused(target, set_guid=guid, grant=late, pod_uid="uid-7")
    assert fetch(target, set_guid=guid, grant=grant(guid), pod_uid="uid-7") > 0
    assert sidecar.stop() == 0
