# SPDX-License-Identifier: Apache-2.0
"""What must outlive a restart or a crash, and is known to the sidecar alone."""

from __future__ import annotations

import shutil
from typing import Any

import storecheck
from fixtures.lab import Lab
from fixtures.sidecar import Sidecar


def mine(lab: Lab, sidecar: Sidecar) -> list[dict[str, Any]]:
    """Manifests of the lab's database, oldest first."""
    found = [m for m in storecheck.manifests(sidecar.store) if m["database"]["name"] == lab.database]
    return sorted(found, key=lambda m: m["sequence"])


def test_a_staged_log_of_a_later_incarnation_and_a_lost_journal(own_lab: Lab) -> None:
    """The volume was reverted once: the chain is in its second incarnation. A staged log that only its file tells of belongs to it."""
    lab = own_lab
    sidecar = lab.protected()
    lab.sim.do("volume_snapshot", name="s1")
    lab.write(20)
    sidecar.force(lab.database)
    lab.load.stop()
    lab.sim.do("volume_revert", name="s1")
    lab.load.start()
    lab.write(20)
    sidecar.force(lab.database, seconds=90)
    sidecar.wait_until("the chain to heal", lambda s: s.database(lab.database).get("chainState") == "Intact" and lab.kinds(s).count("full") == 2, 90)
    sidecar.force(lab.database)
    away = sidecar.store.with_name("away")
    sidecar.store.rename(away)
    lab.write()
    staged = sidecar.stage_log(lab.database)
    sidecar.kill()
    (sidecar.state / "journal").unlink()
    shutil.rmtree(sidecar.state / "drafts")
    away.rename(sidecar.store)
    sidecar.start()
    run = staged.split(".")[0]
    found = sidecar.wait_until("the log in the store", lambda s: [m for m in mine(lab, s) if m["runId"] == run])
    assert found[0]["chain"]["incarnation"] == 1, found[0]["chain"]
    lab.write()
    sidecar.force(lab.database)
    assert sidecar.database(lab.database)["chainState"] == "Intact"
    assert lab.kinds(sidecar).count("full") == 2, "it was joined to what it continues"
    lab.load.stop()
    sidecar.drained()
    assert sidecar.stop() == 0
