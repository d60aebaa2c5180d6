# SPDX-License-Identifier: Apache-2.0
"""Verify of a running sidecar: its store is read again, its server reads backups or restores them for a trial, on demand and by schedule."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from pathlib import Path
from typing import Any, Iterator

import grpc
import pytest

import storecheck
from fixtures.lab import Lab
from fixtures.restore import CTL
from fixtures.sidecar import SANITIZER, Sidecar, wait_for
from fixtures.sidecar_rpc import SERVICE, Rpc

TABLE = "dbo.workload"
SCRUB, SETS, RESTORE = 0, 1, 2
STATE, SPACE, CORRUPT = 20, 22, 25


def trial_steps() -> list[str]:
    """The durable steps of a trial: its own, and those of the engine that a trial comes to."""
    own = subprocess.run([str(CTL), "__steps", "verify"], capture_output=True, text=True, check=True, env={**os.environ, **SANITIZER})
    engine = ["planned", "checked", "restoring", "note", "applied", "recovered", "finished", "forget"]
    return [*own.stdout.split(), *(f"restore.{step}" for step in engine), "verify.proof"]


def verify(rpc: Rpc, *databases: str, mode: int = RESTORE, seconds: float = 120.0, probes: Any = (), **fields: Any) -> Iterator[Any]:
    pb = rpc.pb.sidecar
    make = rpc._channel.unary_stream(  # pylint: disable=protected-access
        SERVICE + "Verify",
        request_serializer=lambda m: m.SerializeToString(),
        response_deserializer=pb.VerifyEvent.FromString,
    )
    request = pb.VerifyRequest(databases=databases, mode=mode, probes=[pb.VerifyProbe(**p) for p in probes], **fields)
    return make(request, timeout=seconds)


class Told:
    """Everything that a finished stream told."""

    def __init__(self, events: Iterator[Any]) -> None:
        self.accepted: Any = None
        self.progress: list[Any] = []
        self.results: list[Any] = []
        self.summary: Any = None
        for event in events:
            what = event.WhichOneof("event")
            if what in ("progress", "result"):
                (self.progress if what == "progress" else self.results).append(getattr(event, what))
            else:
                setattr(self, what, getattr(event, what))


def ask(sidecar: Sidecar, *databases: str, **fields: Any) -> Told:
    with sidecar.rpc() as rpc:
        return Told(verify(rpc, *databases, **fields))


def scratches(lab: Lab) -> list[str]:
    """Scratch databases of this lab's database on the server."""
    rows = storecheck.dicts(lab.sim.query("SELECT name FROM sys.databases"))
    return sorted(r["name"] for r in rows if r["name"].startswith(f"{lab.database}__verify_"))


def left(sidecar: Sidecar) -> list[str]:
    """What lies in the state directory of trials, and of them in staging."""
    kept = sorted(p.name for p in (sidecar.state / "trials").glob("*"))
    return kept + [p.name for p in sidecar.staging.iterdir() if "-restore-" in p.name or "verify-only" in p.name]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(bytes(data))


def newest(lab: Lab, sidecar: Sidecar, kind: str) -> Path:
    mine = [m for m in storecheck.manifests(sidecar.store) if m["database"]["name"] == lab.database and m["kind"] == kind]
    manifest = max(mine, key=lambda m: m["sequence"])
    return manifest["_folder"] / manifest["objects"][0]["name"]


def quiet(lab: Lab, **config: Any) -> Sidecar:
    """Protected, everything in the store, nobody writes."""
    sidecar = lab.protected(**config)
    lab.write()
    sidecar.force(lab.database)
    lab.load.stop()
    sidecar.force(lab.database)
    return sidecar


def test_a_trial_on_demand(lab: Lab) -> None:
    sidecar = quiet(lab)
    assert sidecar.condition("RecoveryVerified")["reason"] == "VerificationOff"
    rows = len(lab.load.acked)
    probes = [{"name": "rows", "database": f"{lab.database}*", "query": f"SELECT COUNT(*) FROM {TABLE}", "at_least": rows}]
    told = ask(sidecar, lab.database, check_db=True, probes=probes)
    assert list(told.accepted.databases) == [lab.database] and told.accepted.waiting_for == 0
    (result,) = told.results
    assert result.verified and not result.error_class and not result.left_behind, result
    assert re.fullmatch(rf"{lab.database}__verify_[0-9a-f]{{8}}", result.scratch) and result.label == "local"
    assert result.checked and result.check_errors == 0 and result.to == "latest"
    assert [(p.name, p.value, p.passed) for p in result.probes] == [("rows", rows, True)]
    assert result.sets_applied > result.logs_applied > 0 and result.seconds_per_log > 0 and result.data_mb_per_second > 0
    assert (told.summary.verified, told.summary.failed, told.summary.error_class) == (1, 0, "")
    assert scratches(lab) == [] and left(sidecar) == []

    def known(s: Sidecar) -> None:
        seen = s.database(lab.database)["lastTrial"]
        assert seen["verified"] and seen["checked"] and seen["label"] == "local" and seen["trigger"] == "request", seen
        assert seen["reachedAt"] == seen["verifiedReachedAt"], seen
        metrics, label = s.metrics(), f'{{database="{lab.database}"}}'
        assert metrics[f"mssql_sidecar_trial_restore_verified{label}"] == 1
        for name in ("timestamp_seconds", "reached_timestamp_seconds", "data_bytes_per_second", "seconds_per_log"):
            assert metrics[f"mssql_sidecar_trial_restore_{name}{label}"] > 0, name
        assert (s.condition("RecoveryVerified")["status"], s.condition("RecoveryVerified")["reason"]) == ("True", "Verified")
        assert "verified" in s.ctl("status", lab.database).stdout

    known(sidecar)
    assert not [m for m in sidecar.manifests() if "__verify_" in m["database"]["name"]]
    assert not sidecar.metrics().get("mssql_sidecar_media_mismatches_total") and "media reader" not in sidecar.log(), "it reads what this server writes"
    assert sidecar.stop() == 0
    sidecar.start()
    sidecar.wait_until("the database to be seen again", lambda s: s.database(lab.database).get("protected"))
    known(sidecar)
    assert sidecar.stop() == 0


def test_the_command_line(lab: Lab) -> None:
    sidecar = quiet(lab)
    done = sidecar.ctl("verify", "--restore", "--check", "--probe", f"*:SELECT COUNT(*) FROM {TABLE}:1", "-o", "json", lab.database)
    document = json.loads(done.stdout)
    assert document["results"][0]["verified"] is True and document["summary"]["verified"] == 1, document
    assert "verified" in sidecar.ctl("verify", "--restore", "--to", "random", lab.database).stdout
    assert "all is well" in sidecar.ctl("verify", "--verify-only", lab.database).stdout
    assert "all is well" in sidecar.ctl("verify").stdout
    failed = sidecar.ctl("verify", "--restore", "--probe", f"*:SELECT COUNT(*) FROM {TABLE}:1000000", lab.database, check=False)
    assert failed.returncode == STATE and "NOT VERIFIED" in failed.stdout, failed
    assert sidecar.ctl("verify", "nobody", check=False).returncode == 11
    for wrong in (["--check"], ["--rate", "1Mi"], ["--restore", "--verify-only"], ["--restore", "--probe", "x"], ["--restore", "--staging", "/tmp"]):
        assert sidecar.ctl("verify", *wrong, check=False).returncode == 2, wrong
    assert scratches(lab) == [] and left(sidecar) == []
    flip(newest(lab, sidecar, "full"))
    for how in ([], ["--verify-only"], ["--restore"]):
        done = sidecar.ctl("verify", *how, lab.database, check=False)
        assert done.returncode == CORRUPT, (how, done.returncode, done.stdout, done.stderr)
        if not how:
            # found on demand, remembered as if the scrub had come to it, and healed; the next two must see the damage themselves
            assert "object_corrupt" in done.stdout
            sidecar.wait_until("the chain to be healed", lambda s: lab.kinds(s).count("full") == 2 and s.database(lab.database)["chainState"] == "Intact")
            sidecar.wait_shipped()
            flip(newest(lab, sidecar, "full"))
    assert sidecar.condition("StoreVerified")["reason"] == "DamageFound"
    assert sidecar.condition("RecoveryVerified")["reason"] == "TrialFailed"
    assert sidecar.stop() == 0


def test_damage_that_was_there_before_the_backup(lab: Lab) -> None:
    """Checksums are right and hashes are right: only DBCC CHECKDB sees it."""
    lab.sim.query("CREATE TABLE rotten (n int); INSERT INTO rotten VALUES (1)", lab.database)
    lab.sim.do("corrupt_value", database=lab.database, table="rotten", column="n")
    sidecar = quiet(lab)
    assert ask(sidecar, lab.database).results[0].verified
    told = ask(sidecar, lab.database, check_db=True)
    assert told.results[0].check_errors > 0 and told.results[0].error_class == "corrupt" and told.summary.error_class == "corrupt"
    condition = sidecar.condition("RecoveryVerified")
    assert (condition["status"], condition["reason"]) == ("False", "TrialFailed") and lab.database in condition["message"]
    assert sidecar.metrics()[f'mssql_sidecar_trial_restore_verified{{database="{lab.database}"}}'] == 0
    assert sidecar.database(lab.database)["lastTrial"]["verifiedAt"], "the one before was good"
    assert scratches(lab) == [] and left(sidecar) == []
    assert sidecar.stop() == 0


def test_too_little_room(own_lab: Lab) -> None:
    lab = own_lab
    sidecar = quiet(lab)
    lab.sim.do("free_space", path=str(lab.sim.data), bytes=1000)
    told = ask(sidecar, lab.database)
    assert told.summary.error_class == "space" and told.results[0].sets_applied == 0, told.results
    assert re.search(r"1000 bytes\).*\(\d+ bytes\)", told.results[0].message), "both sizes are said"
    lab.sim.do("clear")
    assert sidecar.stop() == 0


def test_the_schedule(lab: Lab) -> None:
    policy = {"verification": {"target": "local", "schedule": "* * * * * *", "checkDB": True, "moment": "random",
                               "probes": [{"name": "any", "database": "*", "query": "SELECT 1"}]}}  # fmt: skip
    sidecar = lab.protected(policy=policy)
    lab.write()
    sidecar.force(lab.database)
    seen = sidecar.wait_until("a trial by schedule", lambda s: (t := s.database(lab.database).get("lastTrial")) and t["verified"] and t)
    assert seen["trigger"] == "schedule" and seen["checked"], seen
    assert sidecar.condition("RecoveryVerified")["status"] == "True"
    first = seen["finishedAt"]
    # it goes on, and backups beside it
    sidecar.wait_until("the next one", lambda s: s.database(lab.database)["lastTrial"]["finishedAt"] != first)
    sidecar.force(lab.database)
    sidecar.force(lab.database, "full")
    sidecar.config["policy"]["verification"]["target"] = "none"
    sidecar.reload()
    sidecar.wait_until("the schedule to end", lambda s: any(e["msg"] == "reloaded" for e in s.events()) and not scratches(lab) and left(s) == [])
    assert not [m for m in sidecar.manifests() if "__verify_" in m["database"]["name"]]
    lab.prove(sidecar)


def test_a_round_is_tried_once_and_goes_on_after_a_restart(lab: Lab) -> None:
    """A schedule of once a year that was missed: one round, each database once, also when the sidecar is killed between two."""
    second = f"{lab.database}_b"
    lab.sim.query(f"CREATE DATABASE [{second}]")
    sidecar = lab.protected(policy={"databases": [f"{lab.database}*"]})
    sidecar.wait_full(second)
    lab.load.stop()
    sidecar.force(lab.database)
    sidecar.wait_shipped()
    assert sidecar.stop() == 0
    sidecar.config["policy"]["verification"] = {"target": "local", "schedule": "0 0 1 1 *", "checkDB": False}
    (sidecar.state / "proof.json").write_text(json.dumps({"round": 3, "roundAt": 1, "databases": []}))
    sidecar.start(fault="verify.proof:after:kill:2")  # the result of the first is written, the second did not begin
    sidecar.process.wait(60)
    sidecar.kill()
    kept = json.loads((sidecar.state / "proof.json").read_text())
    assert kept["round"] == 4 and [d["verified"] for d in kept["databases"]] == [True], kept
    sidecar.start()
    for name in (lab.database, second):
        sidecar.wait_until(f"a trial of {name}", lambda s, n=name: s.database(n).get("lastTrial"))
    done = [e["database"] for e in sidecar.events() if e["msg"] == "trial restore: verified"]
    assert sorted(done) == sorted([lab.database, second]), done
    assert json.loads((sidecar.state / "proof.json").read_text())["round"] == 4
    lab.sim.query(f"DROP DATABASE [{second}]")
    assert sidecar.stop() == 0


class Asked(threading.Thread):
    """A Verify that is watched by a thread: it outlives the sidecar's death."""

    def __init__(self, sidecar: Sidecar, *databases: str, **fields: Any) -> None:
        super().__init__(daemon=True)
        self.sidecar, self.databases, self.fields = sidecar, databases, fields
        self.told: Any = None
        self.error: Any = None
        self.start()

    def run(self) -> None:
        try:
            self.told = ask(self.sidecar, *self.databases, **self.fields)
        except grpc.RpcError as err:
            self.error = err


@pytest.mark.parametrize("step, when", [(s, w) for s in trial_steps() for w in ("before", "after") if (s, w) != ("trial.restored", "before")])
def test_killed_at_a_step_and_cleaned_after_the_start(lab: Lab, step: str, when: str) -> None:
    sidecar = quiet(lab)
    assert sidecar.stop() == 0
    sidecar.start(fault=f"{step}:{when}:kill")
    sidecar.wait_until("the server and the store", lambda s: s.condition("Ready")["status"] == "True")
    asked = Asked(sidecar, lab.database, check_db=True)
    assert sidecar.process.wait(60) == -9
    sidecar.kill()
    asked.join(60)
    assert asked.told is None and asked.error is not None
    before = scratches(lab)
    assert len(before) <= 1
    sidecar.start()
    sidecar.wait_until("it to be cleaned up", lambda _: scratches(lab) == [] and left(sidecar) == [])
    seen = sidecar.database(lab.database).get("lastTrial")
    assert bool(seen) == ((step, when) == ("verify.proof", "after")), "what did not end proves nothing"
    told = ask(sidecar, lab.database)
    assert told.results[0].verified and told.results[0].scratch not in before, told.results
    assert scratches(lab) == [] and left(sidecar) == []
    lab.sim.query("SELECT 1", lab.database)
    assert sidecar.stop() == 0


def test_backups_go_on_beside_a_trial_and_one_waits_for_the_other(lab: Lab, tmp_path: Path) -> None:
    pause = tmp_path / "pause"
    sidecar = quiet(lab)
    assert sidecar.stop() == 0
    sidecar.start(fault=f"trial.checked:before:pause:{pause}")
    sidecar.wait_until("the server and the store", lambda s: s.condition("Ready")["status"] == "True")
    first = Asked(sidecar, lab.database, check_db=True)
    try:
        wait_for("the trial to stand still", pause.exists)
        (scratch,) = scratches(lab)
        sidecar.wait_until("it to be seen", lambda s: s.database(scratch).get("unprotectedReason") == "trial_scratch")
        sidecar.force(lab.database, "full")
        sidecar.force(lab.database)
        with sidecar.rpc() as rpc:
            events = verify(rpc, lab.database, mode=SETS)
            assert next(events).accepted.waiting_for == 1
            assert scratches(lab) == [scratch]
            pause.unlink()
            second = Told(events)
        assert second.results[0].verified and second.results[0].sets > 0, second.results
    finally:
        pause.unlink(missing_ok=True)
        first.join(60)
    assert first.told is not None and first.told.results[0].verified, first.error
    assert scratches(lab) == [] and not [m for m in sidecar.manifests() if m["database"]["name"] == scratch]
    assert sidecar.stop() == 0


@pytest.mark.parametrize("how", ["sigterm", "hang up"])
def test_ended_in_the_middle(lab: Lab, tmp_path: Path, how: str) -> None:
    pause = tmp_path / "pause"
    sidecar = quiet(lab)
    assert sidecar.stop() == 0
    sidecar.start(fault=f"trial.restored:after:pause:{pause}")
    sidecar.wait_until("the server and the store", lambda s: s.condition("Ready")["status"] == "True")
    if how == "sigterm":
        asked = Asked(sidecar, lab.database, check_db=True)
        wait_for("the trial to stand still", pause.exists)
        sidecar.process.terminate()
        sidecar_events = len(sidecar.events())
        pause.unlink()
        assert sidecar.wait() == 0 and sidecar_events
        asked.join(60)
        assert scratches(lab) == [] and left(sidecar) == []
        return
    with sidecar.rpc() as rpc:
        events = verify(rpc, lab.database, check_db=True, cancel_on_disconnect=True)
        next(events)
        wait_for("the trial to stand still", pause.exists)
        events.cancel()
    pause.unlink()
    sidecar.wait_until("it to be dropped", lambda _: scratches(lab) == [] and left(sidecar) == [])
    assert not sidecar.database(lab.database).get("lastTrial"), "what was cancelled proves nothing"
    assert sidecar.stop() == 0


def test_without_rights_and_with_wrong_questions(lab: Lab) -> None:
    sidecar = quiet(lab)
    with sidecar.rpc() as rpc:
        for fields in ({"mode": 7}, {"mode": SCRUB, "to": "latest"}, {"mode": SETS, "check_db": True}, {"to": "randomly"}, {"to": "random:x"}):
            with pytest.raises(grpc.RpcError) as refused:
                Told(verify(rpc, lab.database, **fields))
            assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT, fields
        with pytest.raises(grpc.RpcError) as refused:
            Told(verify(rpc, "nobody"))
        assert refused.value.code() == grpc.StatusCode.NOT_FOUND
        told = Told(verify(rpc, lab.database, to="2001-01-01T00:00:00Z"))
        assert told.summary.failed == 1 and not told.results[0].verified and told.results[0].message, told.results
    assert scratches(lab) == []
    assert sidecar.stop() == 0
