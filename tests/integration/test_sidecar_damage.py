# SPDX-License-Identifier: Apache-2.0
"""Backups that went bad in the store: found by the sidecar, remembered, gone around, healed once, and forgotten when they are good again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import storecheck
from fixtures.lab import Lab
from fixtures.load import rows_of
from fixtures.restores import plan, restore
from fixtures.sidecar import Sidecar, steps

STEPS = [step for step in steps() if step == "verify.damaged"]


def newest(lab: Lab, sidecar: Sidecar, kind: str) -> tuple[dict[str, Any], Path]:
    mine = [m for m in storecheck.manifests(sidecar.store) if m["database"]["name"] == lab.database and m["kind"] == kind]
    manifest = max(mine, key=lambda m: m["sequence"])
    return manifest, manifest["_folder"] / manifest["objects"][0]["name"]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(bytes(data))


def stopped(lab: Lab, **config: Any) -> Sidecar:
    """A full, three logs, everything in the store, and nobody at it."""
    sidecar = lab.protected(**config)
    for _ in range(2):
        lab.write()
        sidecar.force(lab.database)
    lab.load.stop()
    sidecar.drained()
    assert sidecar.stop() == 0
    return sidecar


def due(sidecar: Sidecar) -> None:
    """The store is read again with the next start."""
    path = sidecar.state / "scrub.json"
    seen = json.loads(path.read_text())
    path.write_text(json.dumps({**{k: v for k, v in seen.items() if k not in ("begunAt", "endedAt")}, "firstAt": "2020-01-01T00:00:00Z", "folder": "", "kind": 0, "after": ""}))


def known(sidecar: Sidecar) -> list[dict[str, Any]]:
    return sidecar.status().get("damaged", [])


def found(sidecar: Sidecar) -> list[dict[str, Any]]:
    return sidecar.wait_until("the damage to be found", known)


def healed(lab: Lab, sidecar: Sidecar, before: list[str]) -> list[str]:
    """Kinds of what was taken since."""

    def look(s: Sidecar) -> Any:
        state = s.database(lab.database)
        return state.get("chainState") == "Intact" and len(lab.kinds(s)) > len(before) and lab.kinds(s)

    return sidecar.wait_until("the chain to be whole again", look)[len(before) :]


def test_a_log_goes_bad_and_one_backup_heals_it(lab: Lab) -> None:
    sidecar = stopped(lab)
    manifest, path = newest(lab, sidecar, "log")
    good = path.read_bytes()
    flip(path)
    before = lab.kinds(sidecar)
    due(sidecar)
    sidecar.start()
    damaged = found(sidecar)
    assert [(d["database"], d["problem"], Path(d["object"]).name) for d in damaged] == [(lab.database, "object_corrupt", path.name)], damaged
    assert healed(lab, sidecar, before) == ["diff"], "the cheapest that bridges it, once"
    condition = sidecar.condition("StoreVerified")
    assert (condition["status"], condition["reason"]) == ("False", "DamageFound")
    assert path.name in condition["message"] and lab.database in condition["message"], condition
    assert sidecar.metrics()[f'mssql_sidecar_damaged_backups{{database="{lab.database}"}}'] == 1
    holes = sidecar.database(lab.database)["holes"]
    assert [h["cause"] for h in holes] == ["store_damaged"], holes
    told = sidecar.ctl("status", check=False).stdout
    assert "damaged" in told and path.name.split(".")[0] in told, told
    assert "UNREADABLE" in sidecar.ctl("backups").stdout

    with sidecar.rpc() as rpc:
        planned = plan(rpc, [(lab.database, f"{lab.database}_p")]).report.results[0]
    assert manifest["set"]["guid"] not in {m.set_guid for m in planned.members} and planned.members[-1].kind == 2, planned
    copy = f"{lab.database}_c"
    assert restore(sidecar, [(lab.database, copy)]).good
    assert rows_of(lab.sim, copy) == lab.load.acked
    lab.sim.query(f"DROP DATABASE [{copy}]")

    # it is remembered over a restart, nothing more is taken, and it is good again when its bytes are
    assert sidecar.stop() == 0
    path.write_bytes(good)
    sidecar.start()
    sidecar.wait_until("it to be good again", lambda s: s.condition("StoreVerified")["status"] != "False")
    assert not known(sidecar) and "UNREADABLE" not in sidecar.ctl("backups").stdout
    sidecar.wait_until("its hole to be gone", lambda s: (d := s.database(lab.database)).get("chainState") == "Intact" and not d.get("holes"))
    assert [m["kind"] for m in sidecar.manifests()].count("diff") == 1
    assert json.loads((sidecar.state / "damaged.json").read_text()) == []
    assert sidecar.stop() == 0


@pytest.mark.parametrize("how", ["flip", "remove"])
def test_the_only_full_goes_bad_and_a_full_heals_it(lab: Lab, how: str) -> None:
    sidecar = stopped(lab)
    _, path = newest(lab, sidecar, "full")
    flip(path) if how == "flip" else path.unlink()
    before = lab.kinds(sidecar)
    due(sidecar)
    sidecar.start()
    problem = found(sidecar)[0]["problem"]
    assert problem == {"flip": "object_corrupt", "remove": "object_missing"}[how]
    assert healed(lab, sidecar, before) == ["full"]
    copy = f"{lab.database}_c"
    assert restore(sidecar, [(lab.database, copy)]).good
    assert rows_of(lab.sim, copy) == lab.load.acked
    lab.sim.query(f"DROP DATABASE [{copy}]")
    assert sidecar.stop() == 0


def test_the_budget_holds(lab: Lab) -> None:
    sidecar = stopped(lab, policy={"healing": {"maxFullsPerDay": 0}})
    _, path = newest(lab, sidecar, "full")
    flip(path)
    before = lab.kinds(sidecar)
    due(sidecar)
    sidecar.start()
    found(sidecar)
    seen = sidecar.wait_until("it to be said", lambda s: (d := s.database(lab.database)).get("chainState") == "Broken" and d)
    assert seen["chainReason"] == "store_damaged", seen
    assert sidecar.condition("LogChainIntact")["reason"] == "store_damaged"
    asked = len(sidecar.events())
    sidecar.wait_until("a healing to be put off", lambda s: "budget" in json.dumps(s.database(lab.database)) or any("budget" in json.dumps(e) for e in s.events()[asked:]))
    assert lab.kinds(sidecar) == before
    assert sidecar.stop() == 0


@pytest.mark.parametrize("when", ["before:kill", "after:kill", "before:enospc"])
@pytest.mark.parametrize("step", STEPS)
def test_killed_while_it_is_written_down(lab: Lab, step: str, when: str) -> None:
    sidecar = stopped(lab)
    _, path = newest(lab, sidecar, "log")
    flip(path)
    before = lab.kinds(sidecar)
    due(sidecar)
    if "kill" in when:
        sidecar.start(wait=False, fault=f"{step}:{when}")
        sidecar.process.wait(60)
        sidecar.kill()
        sidecar.start()
    else:
        sidecar.start(fault=f"{step}:{when}")
    found(sidecar)
    assert healed(lab, sidecar, before) == ["diff"]
    if "kill" in when:
        assert [d["manifest"] for d in json.loads((sidecar.state / "damaged.json").read_text())] == [known(sidecar)[0]["manifest"]]
    assert sidecar.stop() == 0


def test_a_lost_catalog_does_not_forget_it(lab: Lab) -> None:
    sidecar = stopped(lab)
    _, path = newest(lab, sidecar, "log")
    flip(path)
    before = lab.kinds(sidecar)
    due(sidecar)
    sidecar.start()
    found(sidecar)
    healed(lab, sidecar, before)
    sidecar.drained()
    assert sidecar.stop() == 0
    taken = lab.kinds(sidecar)
    (sidecar.state / "catalog").unlink()
    sidecar.start()
    sidecar.wait_until("the catalog to be made", lambda s: s.database(lab.database).get("chainState") == "Intact")
    assert "UNREADABLE" in sidecar.ctl("backups").stdout and len(known(sidecar)) == 1
    assert lab.kinds(sidecar)[: len(taken)] == taken and "full" not in lab.kinds(sidecar)[len(taken) :]
    assert sidecar.stop() == 0


def test_a_manifest_that_is_gone(lab: Lab) -> None:
    """The catalog knows of the backup, later ones name it: it is missing, healed, and counted until it is back."""
    sidecar = stopped(lab)
    manifest, path = newest(lab, sidecar, "log")
    name = next(p for p in path.parent.glob("*.json") if p.name.split(".")[0] == path.name.split(".")[0])
    before = lab.kinds(sidecar)
    text = name.read_bytes()
    name.unlink()
    due(sidecar)
    sidecar.start()
    damaged = found(sidecar)
    assert damaged[0]["problem"] in ("newest_missing", "manifest_missing") and damaged[0]["manifest"].endswith(name.name), damaged
    assert healed(lab, sidecar, before[:-1]) == ["diff"]
    assert sidecar.stop() == 0
    name.write_bytes(text)
    sidecar.start()
    sidecar.wait_until("it to be back", lambda s: not known(s))
    assert sidecar.stop() == 0
