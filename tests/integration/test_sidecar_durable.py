# SPDX-License-Identifier: Apache-2.0
"""What must outlive a restart or a crash, and is known to the sidecar alone."""

from __future__ import annotations

import shutil
import threading
from typing import Any

import grpc
import pytest

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


def test_who_made_a_hole_outlives_state_directory_and_msdb(lab: Lab) -> None:
    """The manifest of the first backup behind the hole tells of it, and whoever has the store knows."""
    sidecar = lab.protected()
    lab.sim.query(f"BACKUP LOG [{lab.database}] TO DISK = N'{lab.folder}/foreign.trn'")
    lab.write()
    sidecar.force(lab.database)
    sidecar.wait_until("the chain to heal", lambda s: s.database(lab.database)["chainState"] == "Intact" and s.database(lab.database)["holes"])
    lab.write()
    sidecar.force(lab.database)
    before = sidecar.database(lab.database)["holes"]
    assert [h["cause"] for h in before] == ["foreign_log"] and "sa" in before[0]["byWhom"], before
    behind = next(m for m in mine(lab, sidecar) if "hole" in m)
    assert behind["hole"]["cause"] == "foreign_log" and behind["hole"]["by"] == "sa" and behind["hole"]["causeAt"], behind["hole"]
    assert "foreign.trn" in behind["hole"]["device"]
    lab.load.stop()
    sidecar.drained()
    assert sidecar.stop() == 0
    told = sidecar.ctl("--store", f"file://{sidecar.store}", "chain", lab.database).stdout
    assert "foreign" in told.lower() or "outside of this program" in told, told
    assert "sa" in told.split(), told
    lab.sim.query(f"EXEC msdb.dbo.sp_delete_database_backuphistory @database_name = N'{lab.database}'")
    for lost in ("catalog only", "everything"):
        if lost == "catalog only":
            (sidecar.state / "catalog").unlink()
        else:
            identity = (sidecar.state / "identity.json").read_text()
            shutil.rmtree(sidecar.state)
            sidecar.state.mkdir()
            (sidecar.state / "identity.json").write_text(identity)  # else its own store is a stranger's for ten minutes
        sidecar.start()
        after = sidecar.wait_until("the cause to be known again", lambda s: [h for h in s.database(lab.database).get("holes", []) if h.get("byWhom")])
        assert [(h["cause"], h["byWhom"], h["fromAt"]) for h in after] == [(h["cause"], h["byWhom"], h["fromAt"]) for h in before]
        assert sidecar.stop() == 0


def test_the_healing_budget_outlives_a_restart(lab: Lab) -> None:
    """Two fulls a day, whatever restarts: the third break of the day is told and not healed."""
    sidecar = lab.protected(policy={"healing": {"maxFullsPerDay": 2}, "logBackup": {"interval": "10s"}})

    def break_it(number: int) -> None:
        path = f"{lab.folder}/foreign{number}"
        lab.sim.query(f"BACKUP DATABASE [{lab.database}] TO DISK = N'{path}.bak'; BACKUP LOG [{lab.database}] TO DISK = N'{path}.trn'")
        lab.write()

    for number in (1, 2):
        fulls = lab.kinds(sidecar).count("full")
        break_it(number)
        sidecar.wait_until("a full that heals", lambda s: lab.kinds(s).count("full") == fulls + 1 and s.database(lab.database)["chainState"] == "Intact")
        if number == 1:
            sidecar.kill()
        else:
            assert sidecar.stop() == 0
            (sidecar.state / "catalog").unlink()
        sidecar.start()
        sidecar.wait_until("the chain to be known", lambda s: s.database(lab.database).get("chainState") == "Intact")
    break_it(3)
    sidecar.wait_until("the refusal to heal", lambda s: s.database(lab.database)["chainState"] == "Broken" and "budget" in s.get("/status")[1])
    assert lab.kinds(sidecar).count("full") == 3
    sidecar.force(lab.database, "full")
    lab.prove(sidecar)


def test_more_staged_backups_than_the_journal_holds(lab: Lab) -> None:
    """The store is away for longer than the journal is large: logs go on, and all of them are shipped in their order, also after a kill."""
    sidecar = lab.protected(limits={"journalEntries": 16})
    first = len(committed_logs(sidecar))
    away = sidecar.store.with_name("away")
    sidecar.store.rename(away)
    staged = []
    for number in range(24):
        lab.write(1)
        staged.append(sidecar.stage_log(lab.database))
        if number == 20:
            assert sidecar.metrics()["mssql_sidecar_journal_entries"] <= 16
            sidecar.kill()
            sidecar.start()
            sidecar.wait_until("what is staged to be known", lambda s: s.status()["staging"]["unshipped"] == 21)
    assert sidecar.metrics()["mssql_sidecar_unshipped_backups"] == 24
    assert sidecar.condition("StateWritable")["status"] == "True"
    away.rename(sidecar.store)
    sidecar.wait_shipped()
    assert committed_logs(sidecar)[first:] == [f.split(".")[0] for f in staged], "oldest first"
    assert lab.kinds(sidecar).count("full") == 1, "the chain did not break"
    assert not list((sidecar.state / "drafts").iterdir())
    lab.prove(sidecar)


def committed_logs(sidecar: Sidecar) -> list[str]:
    return [e["run"] for e in sidecar.events() if e["msg"] == "backup committed" and e["kind"] == "log"]


def test_a_full_journal_is_told(lab: Lab) -> None:
    """No drafts can be written, and the journal is full: that is an end, and it is loud."""
    sidecar = lab.protected(limits={"journalEntries": 16})
    away = sidecar.store.with_name("away")
    sidecar.store.rename(away)
    shutil.rmtree(sidecar.state / "drafts", ignore_errors=True)
    (sidecar.state / "drafts").write_text("in the way")
    for _ in range(16):
        lab.write(1)
        sidecar.stage_log(lab.database)
    sidecar.wait_until("the condition", lambda s: s.condition("StateWritable")["reason"] == "JournalFull")
    assert str(sidecar.state) in sidecar.condition("StateWritable")["message"]
    with sidecar.rpc() as rpc:
        result = rpc.backup(lab.database, "log", seconds=20)
        assert (rpc.state(result), result.error_class) == ("FAILED", "limit") and "wait to be shipped" in result.message, result
    assert len(sidecar.staged()) == 16
    away.rename(sidecar.store)
    sidecar.wait_shipped()
    sidecar.wait_until("the end of the condition", lambda s: s.condition("StateWritable")["status"] == "True")
    (sidecar.state / "drafts").unlink()
    lab.write()
    sidecar.force(lab.database)
    assert lab.kinds(sidecar).count("full") == 1, "the chain did not break"
    lab.prove(sidecar)


def test_a_staged_file_that_cannot_be_removed_is_tried_again(lab: Lab) -> None:
    sidecar = lab.protected()
    assert sidecar.stop() == 0
    sidecar.start(fault="staging.removed:before:enospc")
    lab.write()
    sidecar.force(lab.database)
    sidecar.wait_until("the failure", lambda s: any("could not be removed; tried again" in e["msg"] for e in s.events()))
    sidecar.wait_until("the file to be removed", lambda s: not s.staged() and s.metrics()["mssql_sidecar_journal_entries"] == 0)
    assert not list((sidecar.state / "drafts").iterdir())
    lab.prove(sidecar)


def test_holds_without_end_and_their_release(lab: Lab) -> None:
    """They keep what is still to come, are in the status, outlive the loss of the catalog, and leave nothing behind when released."""
    sidecar = lab.protected()
    done = sidecar.ctl("hold", lab.database, "--from", "2020-01-01", "--until", "forever", "--reason", "audit", "--id", "h1")
    assert "keeps 2 backups until it is released" in done.stdout, done.stdout

    def held(s: Sidecar) -> int:
        with s.rpc() as rpc:
            pb = rpc.pb.sidecar
            return rpc.call("ListBackups", pb.ListBackupsRequest(database=lab.database, held_only=True), pb.ListBackupsResponse).total

    assert held(sidecar) == 2
    lab.write()
    sidecar.force(lab.database)
    assert held(sidecar) == len(lab.kinds(sidecar)) >= 3, "a new backup is in it"
    for restart in ("no", "kill", "lost catalog"):
        if restart != "no":
            sidecar.kill()
            if restart == "lost catalog":
                (sidecar.state / "catalog").unlink()
            sidecar.start()
        shown = sidecar.wait_until("the hold in the status", lambda s: s.status().get("holds"))
        assert [(h["id"], h["database"], h["reason"], h.get("untilAt")) for h in shown] == [("h1", lab.database, "audit", None)], shown
        sidecar.wait_until("all to be held", lambda s: held(s) == len(lab.kinds(s)))
    with sidecar.rpc() as rpc, pytest.raises(grpc.RpcError) as caught:
        pb = rpc.pb.sidecar
        rpc.call("SetHold", pb.SetHoldRequest(database=lab.database, from_at=20, until_at=10, reason="x"), pb.SetHoldResponse)
    assert "before its beginning" in caught.value.details()
    sidecar.ctl("hold", "release", lab.database, "h1")
    assert held(sidecar) == 0 and not sidecar.status().get("holds")
    lab.prove(sidecar)


def test_a_long_preflight_holds_up_nothing(own_lab: Lab) -> None:
    """Neither the look at the server nor a hold waits for it, and there is one at a time."""
    lab = own_lab
    sidecar = lab.protected()
    lab.sim.do("hold_at", kind="full", step="opened")  # preflight proves with a backup that SQL Server can write to staging
    with sidecar.rpc() as rpc:
        pb = rpc.pb.sidecar
        answers: list[Any] = []
        thread = threading.Thread(target=lambda: answers.append(rpc.call("Preflight", pb.PreflightRequest(), pb.PreflightResponse, 120)), daemon=True)
        thread.start()
        assert lab.sim.do("wait_held")["result"]
        made = rpc.call("SetHold", pb.SetHoldRequest(database=lab.database, from_at=1, reason="now"), pb.SetHoldResponse, 20)
        assert made.backups == 2
        with pytest.raises(grpc.RpcError) as caught:
            rpc.call("Preflight", pb.PreflightRequest(), pb.PreflightResponse, 20)
        assert "under way" in caught.value.details()
        lab.sim.query(f"CREATE DATABASE [{lab.database}_new]")
        sidecar.wait_until("a look at the server", lambda s: s.database(f"{lab.database}_new"))
        assert thread.is_alive(), "the preflight was through before: the test proves nothing"
        lab.sim.do("release")
        thread.join(60)
    assert answers and answers[0].checks
    lab.prove(sidecar)


def test_what_the_status_says_of_itself(lab: Lab) -> None:
    sidecar = lab.protected()
    status = sidecar.status()
    assert status["versions"]["freetds"].startswith("freetds") and status["versions"]["commit"], status["versions"]
    counters = {c["name"]: c for c in status["counters"]}
    assert all(not name.startswith("mssql_") for name in counters)
    done = [c for c in status["counters"] if c["name"] == "backups_total" and {"name": "result", "value": "completed"} in c["labels"]]
    assert sum(c["value"] for c in done) == len(lab.kinds(sidecar)), done
    assert not any(label["name"] == "database" for c in status["counters"] for label in c["labels"])
    lab.prove(sidecar)
