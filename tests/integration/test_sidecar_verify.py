# SPDX-License-Identifier: Apache-2.0
"""Scratch databases of trial restores are left alone; the store is read again, and damage is told."""

from __future__ import annotations

import json
from pathlib import Path

from fixtures.lab import Lab
from fixtures.sidecar import Sidecar


def test_scratch_databases_are_left_alone(lab: Lab) -> None:
    scratch, near = f"{lab.database}__verify_0123abcd", f"{lab.database}__verify_0123abcx"
    lab.write()
    sidecar = lab.sidecar(policy={"databases": [f"{lab.database}*"]})
    sidecar.wait_full(lab.database)
    lab.sim.query(f"CREATE DATABASE [{scratch}]")
    lab.sim.query(f"CREATE DATABASE [{near}]")
    # made after it and nearly of its name: once this one has a full, the other one would have had its turn
    sidecar.wait_full(near)
    seen = sidecar.database(scratch)
    assert not seen.get("protected") and seen["unprotectedReason"] == "trial_scratch", seen
    assert not seen.get("chainState") and not seen.get("familyGuid"), "nobody looked into it"
    assert not [m for m in sidecar.manifests() if m["database"]["name"] == scratch]
    told = sidecar.ctl("status")
    assert "trial_scratch" in told.stdout, told.stdout

    with sidecar.rpc() as rpc:
        result = rpc.backup(scratch, "full")
        assert (rpc.state(result), result.reason) == ("SKIPPED", "trial_scratch"), result
    assert not [m for m in sidecar.manifests() if m["database"]["name"] == scratch]

    lab.sim.query(f"DROP DATABASE [{scratch}]")
    sidecar.wait_until("it to be forgotten", lambda s: not s.database(scratch))
    assert not [e for e in sidecar.events() if e.get("database") == scratch and e["level"] != "info"]
    lab.prove(sidecar)


def test_one_that_is_renamed_is_a_database_like_any_other(lab: Lab) -> None:
    scratch, kept = f"{lab.database}__verify_00000001", f"{lab.database}_kept"
    lab.write()
    sidecar = lab.sidecar(policy={"databases": [f"{lab.database}*"]})
    lab.sim.query(f"CREATE DATABASE [{scratch}]")
    sidecar.wait_until("it to be seen", lambda s: s.database(scratch).get("unprotectedReason") == "trial_scratch")
    lab.sim.query(f"ALTER DATABASE [{scratch}] MODIFY NAME = [{kept}]")
    sidecar.wait_full(kept)
    assert sidecar.database(kept)["protected"]
    sidecar.wait_full(lab.database)
    lab.prove(sidecar)


def due(sidecar: Sidecar) -> Path:
    """Its first pass is due; the sidecar must not run."""
    path = sidecar.state / "scrub.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "firstAt": "2020-01-01T00:00:00Z"}))
    return path


def found(sidecar: Sidecar) -> dict[str, float]:
    metrics = sidecar.metrics()
    return {k.split('"')[1]: v for k, v in metrics.items() if k.startswith("mssql_sidecar_scrub_findings") and v}


def passed(sidecar: Sidecar, seconds: float = 60.0) -> dict[str, float]:
    return sidecar.wait_until("the pass to end", lambda s: (m := s.metrics()).get("mssql_sidecar_scrub_last_pass_timestamp_seconds") and m, seconds)


def test_the_store_is_read_again(lab: Lab) -> None:
    sidecar = lab.protected()
    lab.load.stop()
    sidecar.drained()
    assert sidecar.condition("StoreVerified")["reason"] == "NotReadYet" and "StoreVerified" not in sidecar.ctl("status").stdout
    assert sidecar.stop() == 0
    due(sidecar)
    sidecar.start()
    metrics = passed(sidecar)
    assert metrics["mssql_sidecar_scrub_backups"] == len(sidecar.manifests()) and not found(sidecar)
    assert metrics["mssql_sidecar_scrub_bytes"] == sum(o["storedBytes"] for m in sidecar.manifests() for o in m["objects"])
    assert sidecar.condition("StoreVerified")["reason"] == "Verified"
    # told once, and known after a restart without reading all again
    assert sidecar.stop() == 0
    sidecar.start()
    assert sidecar.condition("StoreVerified")["reason"] == "Verified"
    assert [e["msg"] for e in sidecar.events()].count("scrub of the store begins") == 1
    lab.prove(sidecar)


def test_damage_is_found_and_a_kill_changes_nothing(lab: Lab) -> None:
    sidecar = lab.protected(policy={"healing": {"maxFullsPerDay": 0}})  # what heals would be read, too
    lab.write()
    sidecar.force(lab.database)
    lab.load.stop()
    sidecar.drained()
    assert sidecar.stop() == 0
    whole = sorted(sidecar.store.glob("*/*/*/log/*"))
    objects = [p for p in whole if p.suffix != ".json"]
    assert len(objects) >= 2, whole
    data = bytearray(objects[0].read_bytes())
    data[len(data) // 2] ^= 1
    objects[0].write_bytes(data)
    objects[1].rename(objects[1].with_name("elsewhere"))
    path = due(sidecar)
    sidecar.start()
    sidecar.wait_until("a set to be read", lambda s: s.metrics()["mssql_sidecar_scrub_backups"] >= 1)
    sidecar.kill()
    before = json.loads(path.read_text())
    sidecar.start()
    passed(sidecar)
    after = json.loads(path.read_text())
    assert after["begunAt"] == before["begunAt"], "it went on"
    assert after["sets"] == len(sidecar.manifests()), "none was left out, none read twice"
    assert {k: v for k, v in found(sidecar).items() if k != "orphan"} == {"object_corrupt": 1, "object_missing": 1}, found(sidecar)
    condition = sidecar.condition("StoreVerified")
    assert (condition["status"], condition["reason"]) == ("False", "DamageFound")
    assert "StoreVerified is false" in sidecar.ctl("status", check=False).stdout
    told = {(e["problem"], Path(e["object"]).name) for e in sidecar.events() if e["msg"] == "scrub of the store found something"}
    assert {("object_corrupt", objects[0].name), ("object_missing", objects[1].name)} <= told, told
    assert sidecar.stop() == 0


def test_a_store_that_is_away_is_no_finding(lab: Lab) -> None:
    sidecar = lab.protected()
    lab.load.stop()
    sidecar.drained()
    assert sidecar.stop() == 0
    due(sidecar)
    sidecar.start()
    sidecar.wait_until("a set to be read", lambda s: s.metrics()["mssql_sidecar_scrub_backups"] >= 1)
    away = sidecar.store.with_name("away")
    sidecar.store.rename(away)
    # by the scrub, or by the heartbeat before it
    sidecar.wait_until("it to be noticed", lambda s: s.condition("StoreReachable")["status"] != "True")
    assert not found(sidecar) and sidecar.condition("StoreVerified")["status"] == "Unknown"
    away.rename(sidecar.store)
    assert passed(sidecar, 120)["mssql_sidecar_scrub_backups"] == len(sidecar.manifests())
    assert not found(sidecar) and sidecar.condition("StoreVerified")["status"] == "True"
    assert sidecar.stop() == 0


def test_zero_days_is_never(lab: Lab) -> None:
    sidecar = lab.protected(policy={"verification": {"scrubDays": 0}})
    lab.load.stop()
    sidecar.drained()
    assert sidecar.stop() == 0
    due(sidecar)
    sidecar.start()
    sidecar.wait_until("the store to be reached", lambda s: s.condition("StoreReachable")["status"] == "True")
    lab.load.start()
    lab.write()
    sidecar.force(lab.database)
    assert sidecar.condition("StoreVerified")["reason"] == "ScrubOff"
    assert not json.loads((sidecar.state / "scrub.json").read_text()).get("begunAt")
    lab.prove(sidecar)
