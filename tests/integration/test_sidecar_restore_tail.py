# SPDX-License-Identifier: Apache-2.0
"""The last log of a database that is restored over is a file, and nothing else has what is in it: whatever happens to a restore then,
the file stays until the store has it, its database is not destroyed before, and somebody can go on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import grpc
import pytest

import storecheck
from fixtures.lab import Lab
from fixtures.load import rows_of
from fixtures.restores import Background, Outcome, of_status, ready, restore, resume, run, wait_ended
from fixtures.sidecar import Sidecar, wait_for

pytestmark = pytest.mark.simulator("tears staged files, and makes backups fail and wait")


def with_a_tail(lab: Lab, fault: str, healing: str = "auto") -> Sidecar:
    """Rows that no backup has, and a sidecar that begins anew with the fault."""
    sidecar = lab.protected()
    lab.write(5)
    sidecar.force(lab.database)
    lab.write(5)
    lab.load.stop()
    sidecar.stop()
    sidecar.config["policy"]["healing"] = {"mode": healing}
    sidecar.start(fault=fault)
    ready(sidecar, lab.database)
    return sidecar


def tails(sidecar: Sidecar) -> list[Path]:
    return sorted(sidecar.staging.glob("*-tail-*.trn"))


def stored_tails(sidecar: Sidecar) -> list[dict[str, Any]]:
    return [m for m in sidecar.manifests() if m["trigger"] == "restore" and "tail" in m["set"]["flags"]]


def state_of(lab: Lab) -> str:
    (row,) = storecheck.dicts(lab.sim.query(f"SELECT state_desc AS s FROM sys.databases WHERE name = '{lab.database}'"))
    return row["s"]


def journal(sidecar: Sidecar, name: str) -> dict[str, Any]:
    id = of_status(sidecar, name)["id"]
    return json.loads((sidecar.state / "restores" / id / f"{id}.json").read_text())


def went_on(lab: Lab, sidecar: Sidecar, name: str) -> None:
    """What had ended early is gone on with, and no row is lost."""
    assert of_status(sidecar, name)["unfinished"] == [lab.database]
    ready(sidecar, lab.database) if state_of(lab) == "ONLINE" else sidecar.wait_until(
        "server and store", lambda s: s.condition("SqlServerReachable")["status"] == s.condition("StoreReachable")["status"] == "True"
    )
    with sidecar.rpc() as rpc:
        outcome = Outcome(resume(rpc, name))
    assert outcome.good, f"{outcome}\n{sidecar.log()[-6000:]}"
    assert lab.load.acked <= rows_of(lab.sim, lab.database) <= lab.load.tried
    assert not of_status(sidecar, name).get("unfinished") and not of_status(sidecar, name).get("tails")
    sidecar.wait_until("nothing to be left", lambda s: s.condition("Restoring")["reason"] == "Idle")
    assert len(stored_tails(sidecar)) == 1
    sidecar.wait_shipped()
    with sidecar.rpc() as rpc:
        with pytest.raises(grpc.RpcError) as over:
            Outcome(resume(rpc, name))
        assert over.value.code() == grpc.StatusCode.FAILED_PRECONDITION and "left nothing" in over.value.details()
    assert sidecar.stop() == 0


def test_a_tail_that_is_not_whole_destroys_nothing(lab: Lab, tmp_path: Path) -> None:
    """As after a power loss: the file is shorter than SQL Server wrote it, and its header is good."""
    pause = tmp_path / "pause"
    sidecar = with_a_tail(lab, f"restore.tail_taken:after:pause:{pause}")
    Background(sidecar, [lab.database], request_id="short")
    sidecar.wait_until("the tail to be taken", lambda s: pause.exists())
    sidecar.kill()
    (tail,) = tails(sidecar)
    whole = tail.read_bytes()
    with open(tail, "r+b") as f:
        f.truncate(len(whole) - 1500)
    sidecar.start()
    ended = wait_ended(sidecar, "short")
    assert ended["state"] == "Failed" and str(tail) in ended["message"], ended
    assert state_of(lab) == "RESTORING" and tail.exists() and not stored_tails(sidecar)
    assert ended["tails"] == [tail.name] and ended["unfinished"] == [lab.database]
    told = sidecar.condition("Restoring")
    assert told["reason"] == "Unfinished" and tail.name in told["message"] and "restores resume" in told["message"], told
    assert sidecar.metrics()['mssql_sidecar_restores{state="unfinished"}'] == 1
    sidecar.stop()
    sidecar.start()  # it is remembered
    assert of_status(sidecar, "short")["tails"] == [tail.name]
    tail.write_bytes(whole)
    went_on(lab, sidecar, "short")


def opened_after_a_bad_tail(lab: Lab, pause: Path, healing: str) -> tuple[Sidecar, Path]:
    sidecar = with_a_tail(lab, f"restore.tail_taken:after:pause:{pause}", healing)
    Background(sidecar, [lab.database], request_id="opened")
    sidecar.wait_until("the tail to be taken", lambda s: pause.exists())
    sidecar.kill()
    (tail,) = tails(sidecar)
    with open(tail, "r+b") as f:
        f.truncate(f.seek(0, 2) - 1500)
    sidecar.start()
    ended = wait_ended(sidecar, "opened")
    assert "WITH RECOVERY" in ended["message"], ended
    lab.sim.query(f"RESTORE DATABASE [{lab.database}] WITH RECOVERY")
    assert lab.load.acked <= rows_of(lab.sim, lab.database)
    return sidecar, tail


def test_a_bad_tail_and_the_database_was_opened(lab: Lab, tmp_path: Path) -> None:
    """All that the tail had is in the database still, and nowhere else."""
    sidecar, tail = opened_after_a_bad_tail(lab, tmp_path / "pause", "alert")
    with sidecar.rpc() as rpc:
        again = Outcome(resume(rpc, "opened"))
    assert not again.good, "the log that the tail held is nowhere: what came before it cannot be had to the end"
    assert again.summary.error_class == "data_loss", again
    assert lab.load.acked <= rows_of(lab.sim, lab.database), "nothing was destroyed"
    assert tail.exists() and str(tail) in " ".join(again.results[0].warnings), again
    assert not of_status(sidecar, "opened").get("unfinished")
    assert sidecar.stop() == 0


def test_a_bad_tail_and_the_chain_was_healed(lab: Lab, tmp_path: Path) -> None:
    """The database was opened and a backup of it was taken since: the tail is taken again, and nothing is lost."""
    sidecar, tail = opened_after_a_bad_tail(lab, tmp_path / "pause", "auto")
    sidecar.wait_until("the chain to be healed", lambda s: s.database(lab.database).get("chainState") == "Intact" and len(s.manifests()) > 3)
    with sidecar.rpc() as rpc:
        again = Outcome(resume(rpc, "opened"))
    assert again.good, again
    assert lab.load.acked <= rows_of(lab.sim, lab.database) <= lab.load.tried
    assert tail.exists() and str(tail) in " ".join(again.results[0].warnings), again
    assert sidecar.stop() == 0


def test_a_cancel_does_not_lose_sight_of_the_tail(lab: Lab, tmp_path: Path) -> None:
    """Cancelled between taking and handing over: it gets into the store all the same, without a restart."""
    pause = tmp_path / "pause"
    sidecar = with_a_tail(lab, f"draft.saved:after:pause:{pause}")
    background = Background(sidecar, [lab.database], request_id="seen")
    sidecar.wait_until("the tail's draft", lambda s: pause.exists())
    with sidecar.rpc() as rpc:
        pb = rpc.pb.sidecar
        rpc.call("CancelRestore", pb.CancelRestoreRequest(id="seen"), pb.CancelRestoreResponse)
    sidecar.wait_until("the cancel", lambda s: '"restore is cancelled"' in s.log())
    pause.unlink()
    background.join()
    assert background.outcome.summary.error_class == "cancelled", background.outcome
    sidecar.wait_until("the tail in the store", lambda s: len(stored_tails(s)) == 1)
    sidecar.wait_until("staging to be empty", lambda s: s.status()["staging"]["unshipped"] == 0)
    went_on(lab, sidecar, "seen")


def test_a_folder_that_is_missing_is_not_a_restore_that_did_not_begin(lab: Lab) -> None:
    """The journal knows the tail; what the store does not show for a while must not make anybody forget it."""
    sidecar = with_a_tail(lab, "restore.tail_taken:after:kill")
    Background(sidecar, [lab.database], request_id="away")
    assert wait_for("the kill", lambda: sidecar.process.poll()) == -9
    (folder,) = [p for p in (sidecar.store / "tests" / "sql").iterdir() if p.name.startswith(f"{lab.database}~")]
    hidden = folder.rename(sidecar.folder / "hidden")
    for path in sidecar.state.glob("catalog*"):
        path.unlink()
    sidecar.start()
    ended = wait_ended(sidecar, "away")
    assert ended["state"] == "Failed" and ended["errorClass"] == "not_found", ended
    (tail,) = tails(sidecar)
    assert ended["tails"] == [tail.name], ended
    (entry,) = journal(sidecar, "away")["databases"]
    assert entry["tailRun"] == tail.stem and entry["step"] == "tail_taken", entry
    sidecar.stop()
    if folder.exists():
        folder.rename(sidecar.folder / "made meanwhile")
    hidden.rename(folder)
    for path in sidecar.state.glob("catalog*"):
        path.unlink()
    sidecar.start()
    went_on(lab, sidecar, "away")


# ---- tickets ----


def test_accepted_means_written_down(lab: Lab, tmp_path: Path) -> None:
    pause, copy = tmp_path / "pause", f"{lab.database}_late"
    sidecar = with_a_tail(lab, f"restore.ticket.saved:before:pause:{pause}")
    with sidecar.rpc() as rpc:
        events = run(rpc, [(lab.database, copy)], request_id="late")
        sidecar.wait_until("the ticket to be written", lambda s: pause.exists())
        sidecar.kill()
        with pytest.raises(grpc.RpcError):
            next(events)  # nobody said that it was accepted
    sidecar.start()
    ready(sidecar, lab.database)
    assert not of_status(sidecar, "late")
    with sidecar.rpc() as rpc:
        events = run(rpc, [(lab.database, copy)], request_id="late")
        assert next(events).accepted.restore_id
        sidecar.kill()
    sidecar.start()
    assert wait_ended(sidecar, "late")["state"] == "Completed", sidecar.log()[-6000:]
    lab.sim.query(f"DROP DATABASE [{copy}]")
    assert sidecar.stop() == 0


def test_what_cannot_be_written_down_is_refused(lab: Lab) -> None:
    copy = f"{lab.database}_full"
    sidecar = with_a_tail(lab, "restore.ticket.saved:before:enospc")
    with pytest.raises(grpc.RpcError) as refused:
        restore(sidecar, [(lab.database, copy)], request_id="full")
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, refused.value
    assert not of_status(sidecar, "full")
    outcome = restore(sidecar, [(lab.database, copy)], request_id="full")
    assert outcome.good, outcome
    lab.sim.query(f"DROP DATABASE [{copy}]")
    assert sidecar.stop() == 0


@pytest.mark.parametrize("how", ["garbage", "empty"])
def test_a_ticket_that_cannot_be_read_is_told_and_gone_on_with(lab: Lab, how: str) -> None:
    sidecar = with_a_tail(lab, "restore.tail_taken:after:kill")
    Background(sidecar, [lab.database], request_id="torn")
    assert wait_for("the kill", lambda: sidecar.process.poll()) == -9
    (ticket,) = sidecar.state.glob("restores/*/ticket.json")
    ticket.write_text("" if how == "empty" else '{"format": 1, "id": 7}')
    id = ticket.parent.name
    sidecar.start()
    told = sidecar.wait_until("it to be told", lambda s: (c := s.condition("Restoring"))["reason"] == "Unfinished" and c)
    assert id in told["message"] and "cannot be read" in told["message"] and lab.database in told["message"], told
    assert of_status(sidecar, id)["state"] == "Failed" and state_of(lab) == "RESTORING"
    assert of_status(sidecar, id)["tails"] == [p.name for p in tails(sidecar)]
    went_on(lab, sidecar, id)


def test_a_restore_that_cannot_begin_says_so_and_gives_up(own_lab: Lab) -> None:
    """A backup of the database does not end: nothing was changed yet, so the restore is not waited for for ever."""
    lab = own_lab
    sidecar = lab.protected(limits={"restoreClear": "2s"})
    lab.load.stop()
    lab.sim.do("hold_at", kind="log", step="opened")
    with sidecar.rpc() as rpc:
        log = rpc.run_backup(databases=[lab.database], kind="log", seconds=120)
        assert lab.sim.do("wait_held")["result"]
        background = Background(sidecar, [lab.database], request_id="waits")
        sidecar.wait_until("it to say what it waits for", lambda s: "a backup of it runs" in of_status(s, "waits").get("message", ""))
        ended = wait_ended(sidecar, "waits")
        assert ended["state"] == "Failed" and ended["errorClass"] == "timeout", ended
        assert "nothing was changed" in ended["message"] and "a backup of it runs" in ended["message"], ended
        assert not ended.get("unfinished")
        background.join()
        lab.sim.do("release")
        log.cancel()
    outcome = restore(sidecar, [lab.database])
    assert outcome.good, outcome
    assert lab.load.acked <= rows_of(lab.sim, lab.database)
    assert sidecar.stop() == 0
