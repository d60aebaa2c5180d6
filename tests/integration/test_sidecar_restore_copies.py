# SPDX-License-Identifier: Apache-2.0
"""Restored copies that go by themselves: only what the restore made is ever dropped, also after restarts and in spite of everybody."""

from __future__ import annotations

import time
from typing import Any

import grpc
import pytest

from fixtures.lab import Lab
from fixtures.load import rows_of
from fixtures.restores import of_status, ready, restore
from fixtures.sidecar import Sidecar


def exists(lab: Lab, name: str) -> bool:
    return bool(lab.sim.query(f"SELECT name FROM sys.databases WHERE name = '{name}'").rows)


def prepared(lab: Lab, **config: Any) -> Sidecar:
    sidecar = lab.protected(**config)
    lab.load.stop()
    sidecar.force(lab.database)
    return sidecar


def keep(sidecar: Sidecar, **fields: Any) -> Any:
    with sidecar.rpc() as rpc:
        pb = rpc.pb.sidecar
        return rpc.call("KeepRestore", pb.KeepRestoreRequest(**fields), pb.KeepRestoreResponse).restore


def copy_of(sidecar: Sidecar, request: str) -> dict[str, Any]:
    return of_status(sidecar, request)["copies"][0]


def test_a_copy_goes_by_itself_and_is_not_backed_up(lab: Lab) -> None:
    # everything is in the policy: the copy is left out all the same
    sidecar = prepared(lab, policy={"allDatabases": True, "systemDatabases": False})
    copy = f"{lab.database}_x"
    outcome = restore(sidecar, [(lab.database, copy)], request_id="x", expires_in_seconds=6)
    assert outcome.good and outcome.results[0].expires_at, outcome
    assert outcome.results[0].protection == "not backed up: it is a copy that goes by itself"
    seen = sidecar.wait_until("the copy to be seen", lambda s: s.database(copy))
    assert not seen.get("protected") and seen["unprotectedReason"] == "restored_copy"
    assert sidecar.metrics()["mssql_sidecar_restored_copies"] == 1
    assert rows_of(lab.sim, copy) == lab.load.acked
    with lab.sim.connect(copy) as somebody:  # sessions in it do not keep it
        somebody.query("SELECT 1")
        sidecar.wait_until("the copy to be dropped", lambda s: copy_of(s, "x").get("droppedAt"))
    assert not exists(lab, copy)
    assert sidecar.metrics()["mssql_sidecar_restored_copies"] == 0
    assert not [m for m in sidecar.manifests() if m["database"]["name"] == copy]
    assert sidecar.stop() == 0


def test_it_goes_after_a_restart_and_kept_ones_stay(lab: Lab) -> None:
    sidecar = prepared(lab)
    goes, stays = f"{lab.database}_goes", f"{lab.database}_stays"
    assert restore(sidecar, [(lab.database, goes)], request_id="goes", expires_in_seconds=3600).good
    assert restore(sidecar, [(lab.database, stays)], request_id="stays", expires_in_seconds=5).good
    told = keep(sidecar, id="stays", database=stays)
    assert told.copies[0].expires_at == 0
    soon = int((time.time() + 4) * 1_000_000)
    assert keep(sidecar, id="goes", expires_at=soon).copies[0].expires_at == soon
    sidecar.kill()
    sidecar.start()
    sidecar.wait_until("the copy to be dropped", lambda s: copy_of(s, "goes").get("droppedAt"))
    assert not exists(lab, goes) and exists(lab, stays)
    assert not copy_of(sidecar, "stays").get("expiresAt")
    for wrong, code in (
        ({"id": "nobody"}, grpc.StatusCode.NOT_FOUND),
        ({"id": "stays", "database": "other"}, grpc.StatusCode.NOT_FOUND),
        ({"id": "stays", "expires_at": 1}, grpc.StatusCode.INVALID_ARGUMENT),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            keep(sidecar, **wrong)
        assert refused.value.code() == code, wrong
    lab.sim.query(f"DROP DATABASE [{stays}]")
    assert sidecar.stop() == 0


def replaced_by_another(lab: Lab, copy: str) -> None:
    lab.sim.query(f"DROP DATABASE [{copy}]")
    lab.sim.query(f"CREATE DATABASE [{copy}]")
    lab.sim.query("CREATE TABLE precious (n int)", copy)


def became_the_real_one(lab: Lab, copy: str) -> None:
    """Renamed, and another database has the name now."""
    lab.sim.query(f"ALTER DATABASE [{copy}] MODIFY NAME = [{copy}_real]")
    lab.sim.query(f"CREATE DATABASE [{copy}_other]")  # the files keep their names
    lab.sim.query(f"ALTER DATABASE [{copy}_other] MODIFY NAME = [{copy}]")
    lab.sim.query("CREATE TABLE precious (n int)", copy)


@pytest.mark.parametrize("what", [replaced_by_another, became_the_real_one])
def test_what_is_not_the_copy_is_left_alone(lab: Lab, what: Any) -> None:
    sidecar = prepared(lab)
    copy = f"{lab.database}_x"
    assert restore(sidecar, [(lab.database, copy)], request_id="x", expires_in_seconds=4).good
    what(lab, copy)
    sidecar.wait_until("it to be said", lambda s: "left alone" in copy_of(s, "x").get("message", ""))
    lab.sim.query("SELECT n FROM precious", copy)
    assert lab.sim.query(f"SELECT user_access_desc FROM sys.databases WHERE name = '{copy}'").rows[0][0] == "MULTI_USER"
    assert not copy_of(sidecar, "x").get("expiresAt"), "the claim is given up"
    for name in (copy, f"{copy}_real"):
        if exists(lab, name):
            lab.sim.query(f"DROP DATABASE [{name}]")
    assert sidecar.stop() == 0


def test_dropped_by_somebody_else(lab: Lab) -> None:
    sidecar = prepared(lab)
    copy = f"{lab.database}_x"
    assert restore(sidecar, [(lab.database, copy)], request_id="x", expires_in_seconds=3).good
    lab.sim.query(f"DROP DATABASE [{copy}]")
    gone = sidecar.wait_until("it to be noticed", lambda s: (c := copy_of(s, "x")).get("droppedAt") and c)
    assert "dropped or renamed by somebody" in gone["message"]
    assert sidecar.stop() == 0


def test_only_a_copy_under_a_name_of_its_own(lab: Lab) -> None:
    sidecar = prepared(lab)
    refused = restore(sidecar, [lab.database], expires_in_seconds=60)
    assert refused.summary.error_class == "usage" and "name of its own" in refused.summary.message, refused
    assert rows_of(lab.sim, lab.database) == lab.load.acked
    with pytest.raises(grpc.RpcError) as past:
        restore(sidecar, [(lab.database, "x")], expires_at=1)
    assert past.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.RpcError) as unrecovered:
        restore(sidecar, [(lab.database, "x")], expires_in_seconds=60, finish="restoring")
    assert unrecovered.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert sidecar.stop() == 0


def test_a_server_that_is_away_at_the_end(own_lab: Lab) -> None:
    lab = own_lab
    sidecar = prepared(lab)
    copy = f"{lab.database}_x"
    assert restore(sidecar, [(lab.database, copy)], request_id="x", expires_in_seconds=3).good
    lab.sim.kill()
    sidecar.wait_until("the server to be missed", lambda s: s.condition("SqlServerReachable")["status"] == "False")
    lab.sim.start()
    sidecar.wait_until("the copy to be dropped", lambda s: copy_of(s, "x").get("droppedAt"))
    assert not exists(lab, copy)
    ready(sidecar, lab.database)
    assert sidecar.stop() == 0
