# SPDX-License-Identifier: Apache-2.0
"""Scratch databases of trial restores, as the sidecar of their instance sees them: left alone, told, and forgotten."""

from __future__ import annotations

from fixtures.lab import Lab


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
