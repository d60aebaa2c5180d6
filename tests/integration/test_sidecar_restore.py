# SPDX-License-Identifier: Apache-2.0
"""Restores by a sidecar onto its own server: beside the original and in place, to the end and to a moment, refused and repeated."""

from __future__ import annotations

import datetime
import shutil
from pathlib import Path
from typing import Any, Callable

import grpc
import pytest

import storecheck
from fixtures.history import next_second
from fixtures.lab import Lab
from fixtures.load import check_nothing_lost, rows_of
from fixtures.restores import Outcome, of_status, plan, ready, restore, rfc3339, run, wait_ended
from fixtures.sidecar import Sidecar
from fixtures.sqlsim import Sim


def drop(sim: Any, name: str) -> None:
    sim.query(f"IF DB_ID('{name}') IS NOT NULL DROP DATABASE [{name}]")


def test_a_copy_beside_the_original_has_its_rows(lab: Lab) -> None:
    sidecar = lab.protected()
    lab.write()
    lab.load.stop()
    sidecar.force(lab.database)
    copy = f"{lab.database}_copy"
    outcome = restore(sidecar, [(lab.database, copy)], reason="test")
    assert outcome.good, outcome
    assert outcome.accepted.restore_id and not outcome.accepted.joined
    assert rows_of(lab.sim, copy) == lab.load.acked
    result = outcome.results[0]
    assert (result.source, result.database, result.database_state) == (lab.database, copy, "ONLINE")
    assert result.sets_applied >= 2 and result.reached_at and result.fork_guid and result.database_guid
    assert result.protection == "not backed up: the policy does not want it"
    assert any(p.members and p.member for p in outcome.progress), outcome.progress
    told = of_status(sidecar, outcome.accepted.restore_id)
    assert told["state"] == "Completed" and told["reason"] == "test" and told["results"][0]["database"] == copy
    drop(lab.sim, copy)
    assert sidecar.stop() == 0


def protected_again(sidecar: Sidecar, database: str, times: int = 1) -> None:
    """The first full after the `times`th restore is in the store, and a log goes on from it."""

    def fulls(s: Sidecar) -> int:
        return sum(e.get("msg") == "restored database has its first full backup" and e.get("database") == database for e in s.events())

    sidecar.wait_until("the first full after the restore", lambda s: fulls(s) >= times)
    sidecar.force(database)
    sidecar.wait_until("the chain to be intact", lambda s: s.database(database).get("chainState") == "Intact")


def test_in_place_to_the_end_loses_nothing(lab: Lab, tmp_path: Path) -> None:
    """The workload goes on until it is thrown out: what it committed since the last log backup is in the tail."""
    sidecar = lab.protected()
    lab.write(20)
    outcome = restore(sidecar, [lab.database])
    assert outcome.good, outcome
    assert outcome.results[0].protection == "a full backup follows at once"
    lab.write(5)  # it comes back by itself
    protected_again(sidecar, lab.database)
    lab.load.stop()
    assert lab.load.acked <= rows_of(lab.sim, lab.database) <= lab.load.tried
    tails = [m for m in sidecar.manifests() if "tail" in str(m) and m["trigger"] == "restore"]
    assert len(tails) == 1 and tails[0]["kind"] == "log", "the tail is a backup like any other"
    sidecar.drained()
    assert sidecar.stop() == 0
    check_nothing_lost(sidecar.store, lab.load, lab.target, tmp_path)


def moments(sim: Sim, database: str, count: int) -> list[tuple[datetime.datetime, set[int]]]:
    """Rows in a table of their own, one commit each: a moment behind each commit, and the rows that are there then."""
    sim.query("CREATE TABLE marks (n int)", database)
    next_second(sim)
    found, rows = [], set()
    for n in range(count):
        sim.query(f"INSERT INTO marks VALUES ({n})", database)
        rows.add(n)
        # datetime's resolution is 1/300 s: moments that far from both neighbours
        sim.query("WAITFOR DELAY '00:00:00.050'")
        at = sim.query("SELECT SYSUTCDATETIME() AS now").rows[0][0]
        sim.query("WAITFOR DELAY '00:00:00.050'")
        found.append((at, set(rows)))
    return found


def marks_of(sim: Any, database: str) -> set[int]:
    return {row["n"] for row in storecheck.dicts(sim.query(f"SELECT n FROM [{database}].dbo.marks"))}


def test_in_place_to_a_moment_is_exact(lab: Lab) -> None:
    sidecar = lab.protected()
    lab.load.stop()
    marks = moments(lab.sim, lab.database, 6)
    sidecar.force(lab.database)
    for times, (at, rows) in enumerate((marks[3], marks[1]), 1):  # back, and further back: the second goes over the first one's history
        outcome = restore(sidecar, [lab.database], to=rfc3339(at))
        assert outcome.good, outcome
        assert marks_of(lab.sim, lab.database) == rows
        protected_again(sidecar, lab.database, times)
    forward = restore(sidecar, [lab.database], to=rfc3339(marks[4][0]), acknowledge_data_loss="")
    assert forward.good, f"what was undone can be had again: {forward}"
    assert marks_of(lab.sim, lab.database) == marks[4][1]
    assert sidecar.stop() == 0


def test_a_dropped_database_comes_back_and_is_protected(lab: Lab) -> None:
    sidecar = lab.protected()
    lab.write()
    lab.load.stop()
    sidecar.force(lab.database)
    rows = lab.load.acked
    drop(lab.sim, lab.database)
    sidecar.wait_until("the drop to be seen", lambda s: s.database(lab.database)["state"] == "GONE")
    outcome = restore(sidecar, [lab.database])
    assert outcome.good, outcome
    assert rows_of(lab.sim, lab.database) == rows
    protected_again(sidecar, lab.database)
    assert sidecar.stop() == 0


def test_a_request_runs_once(lab: Lab) -> None:
    sidecar = lab.protected()
    lab.load.stop()
    sidecar.force(lab.database)
    copy = f"{lab.database}_once"
    first = restore(sidecar, [(lab.database, copy)], request_id="restore-uid-1")
    assert first.good, first
    lab.sim.query("CREATE TABLE mine (n int)", copy)
    again = restore(sidecar, [(lab.database, copy)], request_id="restore-uid-1")
    assert again.good and again.accepted.joined and again.accepted.restore_id == first.accepted.restore_id
    lab.sim.query("SELECT n FROM mine", copy)  # it was not restored again
    with pytest.raises(grpc.RpcError) as other:
        restore(sidecar, [(lab.database, f"{copy}_other")], request_id="restore-uid-1")
    assert other.value.code() == grpc.StatusCode.ABORTED and "asked for something else" in other.value.details()
    sidecar.stop()
    sidecar.start()  # remembered across restarts
    again = restore(sidecar, [(lab.database, copy)], request_id="restore-uid-1")
    assert again.good and again.accepted.joined and again.results[0].reached_at == first.results[0].reached_at
    sidecar.stop()
    shutil.rmtree(sidecar.state)  # and the store remembers when the state directory is lost
    sidecar.config["store"]["adopt"] = True
    sidecar.start()
    ready(sidecar, lab.database)
    refused = restore(sidecar, [(lab.database, copy)], request_id="restore-uid-1", acknowledge_data_loss=token_of(sidecar, (lab.database, copy)))
    assert refused.summary.error_class == "exists", refused
    assert "was executed already" in refused.summary.message and first.accepted.restore_id in refused.summary.message
    lab.sim.query("SELECT n FROM mine", copy)
    drop(lab.sim, copy)
    assert sidecar.stop() == 0


def token_of(sidecar: Sidecar, database: Any, **fields: Any) -> str:
    with sidecar.rpc() as rpc:
        return plan(rpc, [database], **fields).report.token


def test_what_would_be_lost_needs_the_token(lab: Lab) -> None:
    """A database of another family under that name: refused, nothing is touched, until the token of the dry run is quoted."""
    sidecar = lab.protected()
    lab.load.stop()
    sidecar.force(lab.database)
    other = f"{lab.database}_other"
    lab.sim.query(f"CREATE DATABASE [{other}]")
    lab.sim.query("CREATE TABLE precious (n int)", other)
    refused = restore(sidecar, [(lab.database, other)], request_id="token-1")
    assert refused.summary.error_class == "data_loss", refused
    assert refused.results[0].token and refused.results[0].over_message
    lab.sim.query("SELECT n FROM precious", other)
    token = token_of(sidecar, (lab.database, other))
    assert token == refused.results[0].token
    wrong = restore(sidecar, [(lab.database, other)], request_id="token-1", acknowledge_data_loss="0" * len(token))
    assert wrong.summary.error_class == "conflict", wrong
    lab.sim.query("SELECT n FROM precious", other)
    outcome = restore(sidecar, [(lab.database, other)], request_id="token-1", acknowledge_data_loss=token)
    assert outcome.good, outcome
    assert rows_of(lab.sim, other) == lab.load.acked
    drop(lab.sim, other)
    assert sidecar.stop() == 0


def test_a_dry_run_tells_and_changes_nothing(lab: Lab) -> None:
    sidecar = lab.protected()
    next_second(lab.sim)  # the window is as long as the seconds of the headers say
    lab.write()
    lab.load.stop()
    sidecar.force(lab.database)
    before = sorted(p.name for p in sidecar.staging.iterdir())
    with sidecar.rpc() as rpc:
        answer = plan(rpc, [(lab.database, "planned")])
        report = answer.report
        assert report.dry_run and not report.error_class, report
        members = report.results[0].members
        assert members[0].why == "base" and len(members) >= 2 and all(m.set_guid and m.text for m in members), members
        assert {c.name for c in report.checks} >= {"version", "staging", "space"}, report.checks
        window = answer.windows[0]
        assert window.database == lab.database and window.intervals[0].from_at < window.intervals[-1].until_at
        late = plan(rpc, [lab.database], to="2100-01-01T00:00:00Z").report
        assert late.error_class and late.message, late
        in_place = plan(rpc, [lab.database]).report
        assert rpc.pb.types.RestoreOver.Name(in_place.results[0].over) == "RESTORE_OVER_TAIL", in_place
        with pytest.raises(grpc.RpcError) as nobody:
            plan(rpc, ["nobody_has_this"])
        assert nobody.value.code() == grpc.StatusCode.NOT_FOUND
        with pytest.raises(grpc.RpcError) as nonsense:
            plan(rpc, [lab.database], to="yesterday, about noon")
        assert nonsense.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert sorted(p.name for p in sidecar.staging.iterdir()) == before
    assert not lab.sim.query("SELECT name FROM sys.databases WHERE name = 'planned'").rows
    assert not sidecar.status().get("restores")
    assert sidecar.stop() == 0


def test_nothing_is_taken_while_it_is_restored(lab: Lab, tmp_path: Path) -> None:
    """Held in the middle: the database is nobody else's, other requests for it are refused, and a second restore, too."""
    sidecar = lab.protected()
    lab.load.stop()
    sidecar.stop()
    pause = tmp_path / "pause"
    sidecar.start(fault=f"restore.restoring:after:pause:{pause}")
    ready(sidecar, lab.database)
    with sidecar.rpc() as rpc:
        events = run(rpc, [lab.database], request_id="held")
        sidecar.wait_until("the restore to be held", lambda s: pause.exists())
        assert rpc.state(rpc.backup(lab.database, "log")) == "DEFERRED"
        assert sidecar.database(lab.database)["skipReason"] == "being_restored"
        assert of_status(sidecar, "held")["state"] == "Running"
        assert sidecar.condition("Restoring")["status"] == "True"
        assert sidecar.metrics()['mssql_sidecar_restores{state="running"}'] == 1
        second = restore(sidecar, [lab.database])
        assert second.summary.error_class in ("conflict", "state", "data_loss"), second
        joined = run(rpc, [lab.database], request_id="held")
        assert next(joined).accepted.joined
        joined.cancel()
        pause.unlink()
        outcome = Outcome(events)
    assert outcome.good, outcome
    assert rows_of(lab.sim, lab.database) >= lab.load.acked
    protected_again(sidecar, lab.database)
    assert sidecar.condition("Restoring")["status"] == "False"
    metrics = sidecar.metrics()
    assert metrics['mssql_sidecar_restores_total{result="completed",class="none"}'] == 1
    assert metrics["mssql_sidecar_restore_bytes_total"] > 0
    assert sidecar.stop() == 0


@pytest.mark.parametrize("how", ["goes on", "stops"])
def test_the_listener_goes_away(lab: Lab, tmp_path: Path, how: str) -> None:
    sidecar = lab.protected()
    lab.load.stop()
    sidecar.force(lab.database)
    sidecar.stop()
    pause, copy = tmp_path / "pause", f"{lab.database}_gone"
    sidecar.start(fault=f"restore.restoring:after:pause:{pause}")
    ready(sidecar, lab.database)
    with sidecar.rpc() as rpc:
        events = run(rpc, [(lab.database, copy)], request_id="left", cancel_on_disconnect=how == "stops")
        sidecar.wait_until("the restore to be held", lambda s: pause.exists())
        events.cancel()
    if how == "stops":
        sidecar.wait_until("the cancel", lambda s: '"restore is cancelled"' in s.log())
    pause.unlink()
    ended = wait_ended(sidecar, "left")
    assert ended["state"] == ("Completed" if how == "goes on" else "Cancelled"), ended
    if how == "goes on":
        assert rows_of(lab.sim, copy) == lab.load.acked
    drop(lab.sim, copy)
    assert sidecar.stop() == 0


def test_cancel(lab: Lab, tmp_path: Path) -> None:
    """In order: the result says in which state the database is, and how it goes on."""
    sidecar = lab.protected()
    lab.load.stop()
    sidecar.force(lab.database)
    sidecar.stop()
    pause, copy = tmp_path / "pause", f"{lab.database}_cancelled"
    sidecar.start(fault=f"restore.restoring:after:pause:{pause}")
    ready(sidecar, lab.database)
    with sidecar.rpc() as rpc:
        events = run(rpc, [(lab.database, copy)], request_id="c1")
        sidecar.wait_until("the restore to be held", lambda s: pause.exists())
        pb = rpc.pb.sidecar
        answer = rpc.call("CancelRestore", pb.CancelRestoreRequest(id="c1"), pb.CancelRestoreResponse)
        assert answer.restore.request_id == "c1"
        pause.unlink()
        outcome = Outcome(events)
        assert outcome.summary.error_class == "cancelled" and outcome.summary.cancelled == 1, outcome
        assert outcome.results[0].database_state in ("absent", "RESTORING"), outcome
        with pytest.raises(grpc.RpcError) as over:
            rpc.call("CancelRestore", pb.CancelRestoreRequest(id="c1"), pb.CancelRestoreResponse)
        assert over.value.code() == grpc.StatusCode.FAILED_PRECONDITION
        with pytest.raises(grpc.RpcError) as unknown:
            rpc.call("CancelRestore", pb.CancelRestoreRequest(id="c2"), pb.CancelRestoreResponse)
        assert unknown.value.code() == grpc.StatusCode.NOT_FOUND
    drop(lab.sim, copy)
    assert sidecar.stop() == 0


def test_without_the_right_it_says_which(lab: Lab, sidecar_factory: Callable[..., Sidecar]) -> None:
    sidecar = lab.protected()
    lab.load.stop()
    sidecar.stop()
    (sidecar.folder / "low").write_text("Low-Password-1")
    # the administrator makes the daemon's login, and is then taken away
    low = {"user": "backup_only", "passwordFile": str(sidecar.folder / "low")}
    admin = {"adminUser": "sa", "adminPasswordFile": str(sidecar.folder / "password")}
    sidecar.config["sql"].update({**low, **admin})
    sidecar.start()
    ready(sidecar, lab.database)
    copy = f"{lab.database}_admin"
    outcome = restore(sidecar, [(lab.database, copy)])
    assert outcome.good, f"with the administrator's login it works: {outcome}"
    drop(lab.sim, copy)
    sidecar.stop()
    del sidecar.config["sql"]["adminUser"], sidecar.config["sql"]["adminPasswordFile"]
    sidecar.start()
    ready(sidecar, lab.database)
    outcome = restore(sidecar, [(lab.database, copy)])
    assert outcome.good, f"the daemon's login may make databases: {outcome}"
    drop(lab.sim, copy)
    refused = restore(sidecar, [lab.database])  # but not go over one that is not its own
    assert refused.summary.error_class == "permission", refused
    text = refused.summary.message + " ".join(c.message + " " + c.hint for c in refused.summary.checks)
    assert "GRANT" in text or "ALTER SERVER ROLE" in text, refused
    assert "sql.adminUser" in text, refused
    assert rows_of(lab.sim, lab.database) == lab.load.acked, "nothing was touched"
    assert sidecar.stop() == 0


def test_several_at_once(lab: Lab) -> None:
    """Three databases in one request, to one moment: each has its own result, and one that cannot be refuses all before anything is done."""
    names = [f"{lab.database}_{letter}" for letter in "abc"]
    for name in names:
        lab.sim.query(f"CREATE DATABASE [{name}]")
        lab.sim.query("CREATE TABLE marks (n int); INSERT INTO marks VALUES (1)", name)
    sidecar = lab.sidecar(policy={"databases": names})
    for name in names:
        sidecar.wait_full(name)
    next_second(lab.sim)
    at = lab.sim.query("SELECT SYSUTCDATETIME()").rows[0][0]
    lab.sim.query("WAITFOR DELAY '00:00:00.050'")
    for name in names:
        lab.sim.query("INSERT INTO marks VALUES (2)", name)
        sidecar.force(name)
    refused = restore(sidecar, [*names, (names[0], "master")], to=rfc3339(at))
    assert refused.summary.error_class and not refused.summary.completed, refused
    assert all(marks_of(lab.sim, name) == {1, 2} for name in names), "nothing was touched"
    outcome = restore(sidecar, names, to=rfc3339(at), parallel=2)
    assert outcome.good and sorted(r.database for r in outcome.results) == names, outcome
    assert all(marks_of(lab.sim, name) == {1} for name in names)
    for name in names:
        sidecar.wait_until(f"{name} to be protected again", lambda s, n=name: s.database(n)["chainState"] == "Intact" and not s.database(n).get("skipReason"))
        lab.sim.query(f"DROP DATABASE [{name}]")
    assert sidecar.stop() == 0
