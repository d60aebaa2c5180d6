# SPDX-License-Identifier: Apache-2.0
"""Restores whose surroundings go away in the middle: the store, the sidecar in order, a cancel and a kill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fixtures.lab import Lab
from fixtures.load import rows_of
from fixtures.restores import Background, of_status, ready, wait_ended
from fixtures.sidecar import Sidecar

def prepared(lab: Lab, **config: Any) -> Sidecar:
    sidecar = lab.protected(**config)
    for _ in range(3):
        lab.write(5)
        sidecar.force(lab.database)
    lab.load.stop()
    sidecar.force(lab.database)
    return sidecar


def begun(lab: Lab, sidecar: Sidecar, copy: str) -> Background:
    """A restore that SQL Server holds in the middle of its full, until somebody cancels the statement."""
    lab.sim.do("hold_at", kind="restore_full", step="data")
    background = Background(sidecar, [(lab.database, copy)], request_id="away")
    sidecar.wait_until("the full to be held", lambda s: any(p.get("member") == 1 for p in of_status(s, "away").get("progress", [])))
    return background


def completed(lab: Lab, sidecar: Sidecar, copy: str) -> None:
    ended = wait_ended(sidecar, "away")
    assert ended["state"] == "Completed", f"{ended}\n{sidecar.log()[-6000:]}"
    assert rows_of(lab.sim, copy) == lab.load.acked
    assert not [p for p in sidecar.staging.rglob("*") if p.is_file() and not p.name.startswith(".")]
    assert sidecar.stop() == 0


def test_the_store_goes_away(own_lab: Lab, tmp_path: Path) -> None:
    """Unmounted after everything was checked: its backups are not taken for lost ones."""
    lab, copy = own_lab, "copy"
    sidecar = prepared(lab)
    sidecar.stop()
    pause, hidden = tmp_path / "pause", sidecar.store.with_name("unmounted")
    sidecar.start(fault=f"restore.checked:after:pause:{pause}")
    ready(sidecar, lab.database)
    Background(sidecar, [(lab.database, copy)], request_id="away")
    sidecar.wait_until("the restore to be held", lambda s: pause.exists())
    sidecar.store.rename(hidden)
    sidecar.store.mkdir()
    pause.unlink()
    sidecar.wait_until("it to wait", lambda s: of_status(s, "away").get("state") == "Waiting")
    assert sidecar.condition("Restoring")["reason"] == "Waiting"
    assert "the store itself is away" in of_status(sidecar, "away")["message"], of_status(sidecar, "away")
    sidecar.store.rmdir()
    hidden.rename(sidecar.store)
    completed(lab, sidecar, copy)


def test_a_stop_is_not_a_cancel(own_lab: Lab) -> None:
    lab, copy = own_lab, "copy"
    sidecar = prepared(lab)
    begun(lab, sidecar, copy)
    assert sidecar.stop(30) == 0
    sidecar.start()
    completed(lab, sidecar, copy)


def test_a_cancel_is_remembered(own_lab: Lab) -> None:
    """Asked for, and killed before it came to it: it is not gone on with."""
    lab, copy = own_lab, "copy"
    sidecar = prepared(lab)
    begun(lab, sidecar, copy)
    with sidecar.rpc() as rpc:
        pb = rpc.pb.sidecar
        rpc.call("CancelRestore", pb.CancelRestoreRequest(id="away"), pb.CancelRestoreResponse)
    sidecar.wait_until("the cancel to be written down", lambda s: any('"cancelled": true' in t.read_text() for t in s.state.glob("restores/*/ticket.json")))
    sidecar.kill()
    sidecar.start()
    ended = wait_ended(sidecar, "away")
    assert ended["state"] == "Cancelled", ended
    assert sidecar.stop() == 0
