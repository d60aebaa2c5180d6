# SPDX-License-Identifier: Apache-2.0
"""Sessions between real sidecars and the controller's fleet: status, policy, commands, and the death of either side."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from fixtures.fleet import Controller, Issuer, connected, messages, wait_connected
from fixtures.lab import Lab
from fixtures.sidecar import Sidecar, wait_for

UID = "uid-0"


def command(id: str, **request: Any) -> Any:
    return messages().controller.Command(id=id, **request)


def backup(id: str, database: str, kind: str = "full") -> Any:
    pb = messages()
    request = pb.sidecar.RunBackupRequest(databases=[database], kind=pb.types.BackupKind.Value(f"BACKUP_KIND_{kind.upper()}"))
    return command(id, run_backup=request)


def database_of(controller: Controller, name: str) -> Any:
    status = controller.status(UID)
    return next((d for d in status.databases if d.name == name), None) if status else None


def condition(controller: Controller, kind: str) -> Any:
    status = controller.status(UID)
    return next((c for c in status.conditions if c.type == kind), None) if status else None


@pytest.fixture
def linked(lab: Lab, controllers: Any, issuer: Issuer) -> tuple[Sidecar, Controller]:
    controller = controllers()
    sidecar = connected(lab.sidecar(start=False), controller, issuer)
    sidecar.start()
    wait_connected(controller)
    return sidecar, controller


def test_status_reaches_the_controller(lab: Lab, linked: tuple[Sidecar, Controller]) -> None:
    sidecar, controller = linked
    lab.write()
    sidecar.wait_full(lab.database)
    found = wait_for("the full in the controller's view", lambda: (d := database_of(controller, lab.database)) and d.last_full_at and d)
    assert found.chain_state == messages().types.ChainState.CHAIN_STATE_INTACT
    words = controller.ask("session", UID, answer="session-is")
    assert words[4:7] == ["tests", "sql-0", "sql"], words
    status = controller.status(UID)
    assert status.identity.instance == "sql" and status.identity.pod == "sql-0"
    assert not status.counters, "metrics have their own way"

    # a condition that changes is told at once, and by its change alone
    before = controller.count()
    away = sidecar.store.with_name("away")
    sidecar.store.rename(away)
    wait_for("the condition at the controller", lambda: condition(controller, "StoreReachable").status == 2)
    controller.wait("status", UID, "1", after=before)
    away.rename(sidecar.store)
    wait_for("the condition at the controller", lambda: condition(controller, "StoreReachable").status == 1)

    # a database that is gone is gone there, too
    lab.load.stop()
    other = f"{lab.database}x"
    lab.sim.query(f"CREATE DATABASE [{other}]")
    wait_for("a new database there", lambda: database_of(controller, other))
    lab.sim.query(f"DROP DATABASE [{other}]")
    wait_for("it to be gone there", lambda: database_of(controller, other) is None)


def test_policy_is_pushed_kept_and_refused(lab: Lab, controllers: Any, issuer: Issuer) -> None:
    controller = controllers()
    sidecar = connected(lab.sidecar(start=False), controller, issuer)
    sidecar.start()
    wait_connected(controller)
    assert sidecar.status()["policy"]["source"] == "file"
    policy = {"allDatabases": False, "databases": [lab.database], "logBackup": {"interval": "7m"}, "retentionDays": 11}
    controller.push(UID, 3, policy)
    words = controller.wait("policy", UID, "policy-uid", "3", "controller")
    assert words[5] == "-", words
    mine = sidecar.wait_until("the policy in force", lambda s: (p := s.status()["policy"])["source"] == "controller" and p)
    assert (int(mine["generation"]), int(mine["logIntervalSeconds"]), mine["retentionDays"]) == (3, 420, 11)

    # a bad one changes nothing, and says why
    before = controller.count()
    controller.push(UID, 4, {"logBackup": {"interval": "soon"}})
    words = controller.wait("policy", UID, after=before)
    assert words[2:4] == ["policy-uid", "3"] and words[5:8] == ["policy-uid", "4", "config"], words
    assert "logBackup.interval" in " ".join(words), words
    before = controller.count()
    controller.push(UID, 5, "{not json")
    assert "JSON" in " ".join(controller.wait("policy", UID, after=before))
    assert int(sidecar.status()["policy"]["generation"]) == 3

    # it holds without a controller, after a kill, and over a reload of the file
    controller.kill()
    sidecar.kill()
    sidecar.start()
    assert int(sidecar.status()["policy"]["generation"]) == 3 and int(sidecar.status()["policy"]["logIntervalSeconds"]) == 420
    sidecar.config["log"]["level"] = "debug"
    sidecar.reload()
    sidecar.wait_until("the reload", lambda s: any(e["msg"] == "reloaded" for e in s.events()))
    assert sidecar.status()["policy"]["source"] == "controller"

    # a controller that comes back is not told twice what it wants
    before = controller.count()
    controller.start()
    wait_connected(controller, after=before)
    controller.push(UID, 3, policy)
    controller.push(UID, 6, {**policy, "retentionDays": 12})
    controller.wait("policy", UID, "policy-uid", "6", "controller", after=before)
    assert sidecar.status()["policy"]["retentionDays"] == 12
    assert json.loads((sidecar.state / "policy.json").read_text())["generation"] == 6


def test_commands_run_once(lab: Lab, linked: tuple[Sidecar, Controller]) -> None:
    sidecar, controller = linked
    pb = messages()
    lab.write()
    sidecar.wait_full(lab.database)
    fulls = lab.kinds(sidecar).count("full")
    controller.give(UID, backup("b1", lab.database))
    result = controller.result(UID, "b1")
    assert not result.error_class and result.run_backup.summary.completed == 1, result
    assert result.run_backup.results[0].database == lab.database and result.run_backup.results[0].backup.set_guid
    assert lab.kinds(sidecar).count("full") == fulls + 1

    # given again, also by somebody who forgot that it was: the same result, nothing is run
    before = controller.count()
    controller.give(UID, backup("b1", lab.database))
    assert controller.ask("session", UID, answer="session-is")
    controller.kill()
    controller.start()
    wait_connected(controller, after=before)
    again = controller.result(UID, "b1", after=before)
    assert again == result
    controller.give(UID, backup("b1", lab.database))
    controller.order("ack", UID, "b1")
    wait_for("the sidecar to forget it", lambda: not list((sidecar.state / "commands").glob("b1.*")))
    assert lab.kinds(sidecar).count("full") == fulls + 1

    # after the acknowledgement the id is spent for ever
    before = controller.count()
    controller.kill()
    sidecar.kill()
    sidecar.start()
    controller.start()
    wait_connected(controller, after=before)
    controller.give(UID, backup("b1", lab.database))
    assert controller.result(UID, "b1", after=before).error_class == "conflict"
    assert lab.kinds(sidecar).count("full") == fulls + 1

    # the other verbs, errors with their class, and a deadline that has passed
    before = controller.count()
    controller.give(UID, command("p1", pause=pb.sidecar.PauseRequest(reason="a test")))
    assert controller.result(UID, "p1").pause.pauses[0].by_whom == "controller"
    controller.give(UID, command("r1", resume=pb.sidecar.ResumeRequest()))
    assert not controller.result(UID, "r1").resume.pauses
    controller.give(UID, command("f1", preflight=pb.sidecar.PreflightRequest()))
    assert controller.result(UID, "f1").preflight.checks
    controller.give(UID, command("c1", get_chain=pb.sidecar.GetChainRequest(database=lab.database)))
    assert controller.result(UID, "c1").get_chain.intervals
    plan = pb.sidecar.PlanRestoreRequest(spec=pb.types.RestoreSpec(databases=[pb.types.RestoreWish(database=lab.database)]))
    controller.give(UID, command("d1", plan_restore=plan))
    assert controller.result(UID, "d1").plan_restore.report.results[0].members
    controller.give(UID, backup("e1", "no such database"))
    assert controller.result(UID, "e1").error_class == "not_found"
    late = backup("l1", lab.database)
    late.deadline_at = 1
    controller.give(UID, late)
    assert controller.result(UID, "l1").error_class == "timeout"


def test_either_side_is_killed_with_commands_under_way(lab: Lab, linked: tuple[Sidecar, Controller]) -> None:
    sidecar, controller = linked
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    lab.write()
    sidecar.wait_full(lab.database)
    lab.load.stop()
    for turn in range(5):
        id = f"k{turn}"
        before = controller.count()
        given = backup(id, lab.database, chance.choice(["full", "log"]))
        controller.give(UID, given)
        if chance.random() < 0.5:
            controller.wait("command", UID, id, after=before)  # it is on the sidecar's disk
        victims = chance.choice([[sidecar], [controller], [sidecar, controller]])
        for victim in victims:
            victim.kill()
        for victim in victims:
            victim.start()
        wait_connected(controller, after=before if controller in victims else 0)
        if controller in victims:
            controller.give(UID, given)  # as a reconciler does that does not know what became of it
        result = controller.result(UID, id, after=before)
        state = messages().types.ResultState.Name(result.run_backup.results[0].state)
        assert not result.error_class and state.endswith(("COMPLETED", "QUIET")), f"seed {seed} turn {turn}: {result}"
        controller.order("ack", UID, id)
        wait_for(f"seed {seed}: the sidecar to forget {id}", lambda: not list((sidecar.state / "commands").glob(f"{id}.*")))
    sidecar.kill()
    half = sidecar.state / "commands" / "k9.command.tmp-1-1"  # as a kill in mid-write leaves it
    half.write_bytes(b"x")
    sidecar.start()
    assert not half.exists()
    assert sidecar.stop() == 0


def test_a_leader_is_followed(lab: Lab, controllers: Any, issuer: Issuer) -> None:
    leader = controllers()
    other = controllers("-L", leader.listen)
    sidecar = connected(lab.sidecar(start=False), other, issuer)
    sidecar.start()
    wait_connected(leader)
    assert other.stats()["known"] == 0
    # the lead moves: the sidecar does, too
    before = other.count()
    leader.order("lead", "0", other.listen)
    other.order("lead", "1")
    leader.wait("session", UID, "0")
    wait_connected(other, after=before)
    # nobody leads for a while
    before = other.count()
    other.order("lead", "0")
    other.wait("session", UID, "0", after=before)
    leader.order("lead", "0")
    other.order("lead", "1")
    wait_connected(other, after=before)


def test_without_a_controller_nothing_stands_still(lab: Lab, controllers: Any, issuer: Issuer) -> None:
    controller = controllers(start=False)
    sidecar = connected(lab.sidecar(start=False), controller, issuer)
    sidecar.start()
    lab.write()
    sidecar.wait_full(lab.database)
    sidecar.force(lab.database)
    failures = [name for name in sidecar.metrics() if name == "mssql_sidecar_controller_session_failures_total"]
    sidecar.wait_until("some attempts", lambda s: s.metrics()[failures[0]] >= 3)
    said = [json.dumps({k: v for k, v in e.items() if k != "time"}) for e in sidecar.events() if e["msg"].startswith("no session with the controller")]
    assert said and all(a != b for a, b in zip(said, said[1:])), "the same thing once, however often it is tried"
    controller.start()
    wait_connected(controller, seconds=120)
    assert sidecar.stop() == 0
    controller.wait("session", UID, "0")
