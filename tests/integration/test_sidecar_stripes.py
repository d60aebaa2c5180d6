# SPDX-License-Identifier: Apache-2.0
"""Striped backups: several files, one set. It is a backup when all of them are in the store, and only then."""

from __future__ import annotations

import contextlib
import shutil
from typing import Any

import grpc
import pytest

import storecheck
from fixtures.lab import Lab
from fixtures.sidecar import Sidecar, wait_for
from fixtures.sidecar_rpc import try_backup

STRIPED = {"policy": {"stripes": 3}}


def sets(sidecar: Sidecar, lab: Lab, kind: str) -> list[dict[str, Any]]:
    return [m for m in storecheck.manifests(sidecar.store) if m["database"]["name"] == lab.database and storecheck.kind(m) == kind]


def test_fulls_and_differentials_are_striped_logs_are_not(lab: Lab) -> None:
    sidecar = lab.protected(**STRIPED)
    lab.write()
    sidecar.force(lab.database, "diff")
    lab.write()
    sidecar.force(lab.database)
    for kind, stripes in (("full", 3), ("diff", 3), ("log", 1)):
        found = sets(sidecar, lab, kind)
        assert found, kind
        for manifest in found:
            assert [o["stripe"] for o in manifest["objects"]] == list(range(1, stripes + 1)), kind
            assert all((manifest["_folder"] / o["name"]).is_file() for o in manifest["objects"])
            assert len({o["name"] for o in manifest["objects"]}) == stripes
    assert not sidecar.staged()
    assert lab.prove(sidecar) > 0


def killed_while_shipping(lab: Lab, fault: str) -> tuple[Sidecar, int]:
    """A sidecar that took a striped full and was killed before the set was committed; how many there were before."""
    sidecar = lab.protected(**STRIPED)
    before = len(sets(sidecar, lab, "full"))
    sidecar.stop()
    sidecar.start(fault=fault)

    def asked() -> bool:  # the first answers after a start may be refusals
        with contextlib.suppress(grpc.RpcError):
            try_backup(sidecar.target, lab.database, "full", 30)
        return sidecar.dead()

    wait_for("the kill", asked)
    assert len(sets(sidecar, lab, "full")) == before
    assert len(sidecar.staged()) == 3
    return sidecar, before


def test_killed_between_two_stripes(lab: Lab) -> None:
    """One object is in the store, the others are not: no backup yet, and after a restart all of it is one."""
    sidecar, before = killed_while_shipping(lab, "store.object.rename:before:kill:2")
    sidecar.start()
    sidecar.wait_until("the set to be committed", lambda s: len(sets(s, lab, "full")) > before and not s.staged())
    assert lab.prove(sidecar) > 0


def test_journal_and_draft_lost(lab: Lab) -> None:
    """The files are found, known as one set by their headers, and shipped."""
    sidecar, before = killed_while_shipping(lab, "store.object.rename:before:kill")
    shutil.rmtree(sidecar.state)
    sidecar.state.mkdir()
    sidecar.config["store"]["adopt"] = True  # the identity was in the state, too
    sidecar.start()
    sidecar.wait_until("the set to be committed", lambda s: len(sets(s, lab, "full")) > before and not s.staged())
    newest = sets(sidecar, lab, "full")[-1]
    assert len(newest["objects"]) == 3
    assert lab.prove(sidecar) > 0


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_stripe_is_gone(lab: Lab, lost: int) -> None:
    """Two files of three are no backup: never committed, said so, and another full is taken."""
    sidecar, before = killed_while_shipping(lab, "store.object.rename:before:kill")
    (sidecar.staging / sidecar.staged()[lost]).unlink()
    sidecar.start()
    sidecar.force(lab.database, "full")
    found = sets(sidecar, lab, "full")
    assert all(len(m["objects"]) == 3 for m in found)
    assert lab.prove(sidecar) > 0
