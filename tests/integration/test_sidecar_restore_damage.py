# SPDX-License-Identifier: Apache-2.0
"""Restores by a sidecar when what the store has is not as it should be: named before RESTORE is issued, another way where there is one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import storecheck
from fixtures.history import next_second
from fixtures.lab import Lab
from fixtures.load import rows_of
from fixtures.restores import ready, restore, rfc3339
from fixtures.sidecar import Sidecar


def prepared(lab: Lab) -> Sidecar:
    """Two fulls with logs between and behind them: the newest plan begins with the second."""
    sidecar = lab.protected()
    lab.write(5)
    sidecar.force(lab.database)
    sidecar.force(lab.database, "full")
    lab.write(5)
    lab.load.stop()
    sidecar.force(lab.database)
    return sidecar


def newest(lab: Lab, sidecar: Sidecar, kind: str) -> tuple[dict[str, Any], Path]:
    mine = [m for m in storecheck.manifests(sidecar.store) if m["database"]["name"] == lab.database and m["kind"] == kind]
    manifest = max(mine, key=lambda m: m["sequence"])
    return manifest, manifest["_folder"] / manifest["objects"][0]["name"]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(bytes(data))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [flip, cut, remove])
def test_the_newest_full_is_gone_around(lab: Lab, damage: Any) -> None:
    sidecar = prepared(lab)
    manifest, path = newest(lab, sidecar, "full")
    damage(path)
    copy = f"{lab.database}_around"
    outcome = restore(sidecar, [(lab.database, copy)])
    assert outcome.good, outcome
    assert rows_of(lab.sim, copy) == lab.load.acked
    told = " ".join(outcome.results[0].warnings)
    assert path.name in told or manifest["set"]["guid"] in told, outcome.results[0].warnings
    assert manifest["set"]["guid"] not in {m.set_guid for m in outcome.results[0].members}
    lab.sim.query(f"DROP DATABASE [{copy}]")
    assert sidecar.stop() == 0


@pytest.mark.parametrize("damage", [flip, cut, remove])
def test_a_log_that_is_gone_is_named_and_the_original_stays(lab: Lab, damage: Any) -> None:
    """In place: nothing of the database is touched but for its tail, or it is not begun at all; and it can be had again."""
    sidecar = prepared(lab)
    _, path = newest(lab, sidecar, "log")
    damage(path)
    copy = f"{lab.database}_gap"
    outcome = restore(sidecar, [(lab.database, copy)])
    assert outcome.summary.error_class, outcome
    assert path.name in outcome.summary.message or any(path.name in r.message for r in outcome.results), outcome
    assert rows_of(lab.sim, lab.database) == lab.load.acked
    lab.sim.query(f"IF DB_ID('{copy}') IS NOT NULL DROP DATABASE [{copy}]")
    assert sidecar.stop() == 0


def test_a_reverted_volume_is_never_mixed(own_lab: Lab) -> None:
    """The server's volume goes back to yesterday while the sidecar is away: noticed, a full is taken, and every moment that is restored
    has the rows of one history only."""
    lab = own_lab
    lab.sim.query("CREATE TABLE history (n int)", lab.database)
    sidecar = lab.protected()
    lab.load.stop()
    lab.sim.query("INSERT INTO history VALUES (0)", lab.database)
    sidecar.force(lab.database)
    assert sidecar.stop() == 0
    lab.sim.do("volume_snapshot", name="yesterday")
    sidecar.start()
    ready(sidecar, lab.database)
    next_second(lab.sim)
    for n in (1, 2):  # of the history that is undone: in the store
        lab.sim.query(f"INSERT INTO history VALUES ({n})", lab.database)
        before = lab.sim.query("SELECT SYSUTCDATETIME()").rows[0][0]
        sidecar.force(lab.database)
    next_second(lab.sim)  # the other history begins in another second: headers cannot tell moments of one second apart
    assert sidecar.stop() == 0
    lab.sim.do("volume_revert", name="yesterday")
    for n in (11, 12):  # the same LSNs again, with other content
        lab.sim.query(f"INSERT INTO history VALUES ({n})", lab.database)
    fulls = len([m for m in sidecar.manifests() if m["kind"] == "full"])
    sidecar.start()
    sidecar.wait_until("a full of the new history", lambda s: len([m for m in s.manifests() if m["kind"] == "full"]) > fulls)
    lab.sim.query("INSERT INTO history VALUES (13)", lab.database)
    sidecar.force(lab.database)
    for to, rows in (("latest", {0, 11, 12, 13}), (rfc3339(before), {0, 1, 2})):
        copy = f"{lab.database}_{len(rows)}"
        outcome = restore(sidecar, [(lab.database, copy)], to=to)
        assert outcome.good, outcome
        found = {row["n"] for row in storecheck.dicts(lab.sim.query(f"SELECT n FROM [{copy}].dbo.history"))}
        assert found == rows, f"{to}: two histories in one plan"
    assert sidecar.stop() == 0
