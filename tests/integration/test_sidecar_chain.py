# SPDX-License-Identifier: Apache-2.0
"""Everything that breaks a log chain, and some things that only look like it: what the status says of it and of who did it, the backup it
is healed with, and that the store restores what the sidecar claims."""

from __future__ import annotations

from typing import Any, Callable

import pytest

import storecheck
from fixtures import real
from fixtures.history import next_second
from fixtures.lab import Lab
from fixtures.load import restored_rows
from fixtures.sidecar import Sidecar
from fixtures.sidecar_rpc import try_backup

ALERT = {"policy": {"healing": {"mode": "alert"}}}


def gaps(sidecar: Sidecar, database: str) -> dict[str, float]:
    """Holes by cause, from the metrics."""
    found = {}
    for name, value in sidecar.metrics().items():
        if name.startswith("mssql_sidecar_chain_gaps_total{") and f'database="{database}"' in name and value:
            found[name.split('cause="')[1].split('"')[0]] = value
    return found


def intact(sidecar: Sidecar, database: str) -> bool:
    return sidecar.database(database).get("chainState") == "Intact"


def healed(lab: Lab, sidecar: Sidecar, kind: str, sets: int = 1) -> None:
    """A log on demand meets the break; the wanted kind heals it, and logs go on."""
    before = lab.kinds(sidecar).count(kind)
    sidecar.force(lab.database)
    sidecar.wait_until(f"a {kind} backup that heals", lambda s: lab.kinds(s).count(kind) == before + sets and intact(s, lab.database))
    lab.write()
    sidecar.force(lab.database)


def prove_newest(lab: Lab, sidecar: Sidecar) -> None:
    """What the newest interval claims is there: every row that is in the database now."""
    lab.load.stop()
    sidecar.drained()
    assert sidecar.stop() == 0
    now = {row["seq"] for row in storecheck.dicts(lab.sim.query(f"SELECT seq FROM [{lab.database}].dbo.workload"))}
    assert restored_rows(sidecar.store, lab.database, lab.target, lab.folder) == now


def sql(lab: Lab, text: str) -> None:
    lab.sim.query(text.format(db=lab.database, path=f"{lab.folder}/foreign"))


def to_simple_and_back(lab: Lab) -> None:
    sql(lab, "ALTER DATABASE [{db}] SET RECOVERY SIMPLE")
    lab.write()
    sql(lab, "ALTER DATABASE [{db}] SET RECOVERY FULL")


# what happens, the backup that heals, the cause of the hole, who is named
BREAKS: dict[str, tuple[Callable[[Lab], Any], str, str, str]] = {
    "foreign log": (lambda lab: sql(lab, "BACKUP LOG [{db}] TO DISK = N'{path}.trn'"), "diff", "foreign_log", "sa"),
    "log to NUL": (lambda lab: sql(lab, "BACKUP LOG [{db}] TO DISK = N'NUL'"), "diff", "foreign_log_nul", "sa"),
    "SIMPLE and back": (to_simple_and_back, "diff", "not_full_recovery", ""),
    "foreign full and log": (
        lambda lab: sql(lab, "BACKUP DATABASE [{db}] TO DISK = N'{path}.bak'; BACKUP LOG [{db}] TO DISK = N'{path}.trn'"),
        "full",
        "foreign_log",
        "sa",
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_break_is_explained_and_healed(lab: Lab, name: str) -> None:
    breaks, kind, cause, who = BREAKS[name]
    sidecar = lab.protected()
    next_second(lab.sim)  # a hole inside of one second has no length: headers have whole seconds
    lab.write()
    breaks(lab)
    lab.write()
    healed(lab, sidecar, kind)
    assert gaps(sidecar, lab.database) == {cause: 1}, "one break is one hole, with its cause"
    assert len(sidecar.database(lab.database)["holes"]) == 1, sidecar.database(lab.database)["holes"]
    hole = sidecar.database(lab.database)["holes"][-1]
    assert hole["cause"] == cause and who in hole["byWhom"], hole
    assert hole["fromAt"] and hole["untilAt"] and hole["fromAt"] < hole["untilAt"], hole
    lab.prove(sidecar)


@pytest.mark.parametrize("name", BREAKS)
def test_a_break_that_healed_before_a_kill_is_one_hole(lab: Lab, name: str) -> None:
    """After the restart the next log joins the healing backup: that is the same hole, with the same cause, not a second one of nobody."""
    breaks, kind, cause, who = BREAKS[name]
    sidecar = lab.protected()
    next_second(lab.sim)  # a hole inside of one second has no length: headers have whole seconds
    lab.write()
    breaks(lab)
    lab.write()
    before = lab.kinds(sidecar).count(kind)
    try_backup(sidecar.target, lab.database)
    sidecar.wait_until("the healing backup", lambda s: lab.kinds(s).count(kind) == before + 1)
    sidecar.kill()
    sidecar.start()
    sidecar.wait_until("an intact chain", lambda s: intact(s, lab.database))
    lab.write()
    sidecar.force(lab.database)
    holes = sidecar.wait_until("the cause", lambda s: [h for h in s.database(lab.database)["holes"] if who in h.get("byWhom", "")])
    assert [h["cause"] for h in sidecar.database(lab.database)["holes"]] == [cause], sidecar.database(lab.database)["holes"]
    assert holes[0]["fromAt"] < holes[0]["untilAt"]
    assert set(gaps(sidecar, lab.database)) <= {cause}
    lab.prove(sidecar)


@pytest.mark.parametrize("what", ["full", "copy-only full", "copy-only log", "diff"])
def test_foreign_backups_that_break_no_log_chain(lab: Lab, what: str) -> None:
    sidecar = lab.protected()
    statement = {
        "full": "BACKUP DATABASE [{db}] TO DISK = N'{path}.bak'",
        "copy-only full": "BACKUP DATABASE [{db}] TO DISK = N'{path}.bak' WITH COPY_ONLY",
        "copy-only log": "BACKUP LOG [{db}] TO DISK = N'{path}.trn' WITH COPY_ONLY",
        "diff": "BACKUP DATABASE [{db}] TO DISK = N'{path}.dif' WITH DIFFERENTIAL",
    }[what]
    sql(lab, statement)
    lab.write()
    sidecar.force(lab.database)
    assert gaps(sidecar, lab.database) == {} and intact(sidecar, lab.database)
    assert lab.kinds(sidecar) == ["full", "log", "log"]
    # a differential is of our base only when nobody moved it
    sidecar.force(lab.database, "diff")
    lab.write()
    sidecar.force(lab.database)
    mine = sorted((m for m in storecheck.manifests(sidecar.store) if m["database"]["name"] == lab.database), key=lambda m: m["sequence"])
    assert mine[3]["kind"] == "full" if what == "full" else mine[3]["kind"] == "diff" or mine[3]["reason"] == "much_changed", mine[3]
    lab.prove(sidecar)


def test_dropped_and_created_again(lab: Lab) -> None:
    sidecar = lab.protected()
    old = set(sidecar.store.glob("*/*/*/*/*.json"))
    lab.load.stop()
    sql(lab, "DROP DATABASE [{db}]")
    sql(lab, "CREATE DATABASE [{db}]")
    lab.load.acks.unlink(), lab.load.tries.unlink()
    lab.load.start()
    lab.write()
    sidecar.wait_until("a full of the new database", lambda s: lab.kinds(s).count("full") == 2, 90)
    sidecar.force(lab.database)
    assert old <= set(sidecar.store.glob("*/*/*/*/*.json")), "the backups of the dropped one stay"
    assert len({p.parent.parent for p in sidecar.store.glob("*/*/*/*/*.json")}) == 2, "in a folder of its own"
    prove_newest(lab, sidecar)


def test_dropped_database_stays_in_the_store(lab: Lab) -> None:
    sidecar = lab.protected()
    lab.load.stop()
    sets = len(lab.kinds(sidecar))
    sql(lab, "DROP DATABASE [{db}]")
    sidecar.wait_until("it to be seen", lambda s: any("gone from the server" in e["msg"] for e in s.events()))
    assert len(lab.kinds(sidecar)) == sets
    assert sidecar.stop() == 0
    rows = restored_rows(sidecar.store, lab.database, lab.target, lab.folder)
    assert rows and rows <= lab.load.tried


def test_renamed_keeps_its_chain(lab: Lab) -> None:
    sidecar = lab.protected(policy={"databases": [real.prefix("*")]})
    lab.load.stop()
    new = f"{lab.database}_new"
    lab.sim.query(f"ALTER DATABASE [{lab.database}] MODIFY NAME = [{new}]")
    sidecar.wait_until("the new name", lambda s: s.database(new).get("chainState") == "Intact")
    lab.sim.query(f"INSERT INTO [{new}].dbo.workload (seq, written_at, payload) VALUES (1000000, SYSUTCDATETIME(), N'after')")
    sidecar.force(new)
    mine = [m for m in storecheck.manifests(sidecar.store) if m["database"]["name"] in (lab.database, new)]
    assert [m["kind"] for m in sorted(mine, key=lambda m: m["sequence"])] == ["full", "log", "log"]
    assert len({m["_folder"] for m in mine}) == 1
    assert gaps(sidecar, new) == {}


def test_restored_over(lab: Lab) -> None:
    """An earlier backup restored over it: another fork, whose first backup is a full of its own."""
    sidecar = lab.protected()
    sql(lab, "BACKUP DATABASE [{db}] TO DISK = N'{path}.bak' WITH COPY_ONLY")
    lab.write()
    sidecar.force(lab.database)
    lab.load.stop()
    sql(lab, "RESTORE DATABASE [{db}] FROM DISK = N'{path}.bak' WITH REPLACE, RECOVERY")
    lab.load.start()
    lab.write()
    sidecar.force(lab.database)
    sidecar.wait_until("the chain to heal", lambda s: intact(s, lab.database) and len(lab.kinds(s)) > 3)
    lab.write()
    sidecar.force(lab.database)
    assert set(gaps(sidecar, lab.database)) <= {"fork", "replaced"} and gaps(sidecar, lab.database)
    prove_newest(lab, sidecar)


def test_volume_reverted(own_lab: Lab) -> None:
    """LSNs repeat with other content: nothing of before is joined with what comes after."""
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
    sidecar.wait_until("the chain to heal", lambda s: intact(s, lab.database) and lab.kinds(s).count("full") == 2, 90)
    sidecar.force(lab.database)
    assert "volume_reverted" in gaps(sidecar, lab.database), gaps(sidecar, lab.database)
    prove_newest(lab, sidecar)


@pytest.mark.simulator("damages a page")
def test_a_bad_page(lab: Lab) -> None:
    """The full fails with 3043; one is taken over the bad page and marked, and logs go on."""
    sidecar = lab.protected()
    lab.sim.do("corrupt_page", database=lab.database)
    lab.write()
    sidecar.force(lab.database, "full")
    damaged = [m for m in storecheck.manifests(sidecar.store) if "damaged" in m["set"].get("flags", [])]
    assert [m["kind"] for m in damaged] == ["full"]
    lab.write()
    sidecar.force(lab.database)
    assert lab.kinds(sidecar)[-1] == "log"
    assert any("bad pages" in e["msg"] for e in sidecar.events())
    lab.prove(sidecar)  # from the good full, over the logs


def test_express_edition_refuses_compression_once(own_lab: Lab) -> None:
    lab = own_lab
    lab.sim.do("edition", name="Express Edition (64-bit)")
    sidecar = lab.protected(policy={"serverCompression": "on"})
    lab.write()
    sidecar.force(lab.database)
    assert not [e for e in sidecar.events() if e["msg"] == "backup failed"]
    lab.prove(sidecar)


@pytest.mark.parametrize("state", ["offline", "restoring"])
def test_states_that_allow_no_backup(lab: Lab, state: str) -> None:
    sidecar = lab.protected()
    lab.load.stop()
    if state == "offline":
        sql(lab, "ALTER DATABASE [{db}] SET OFFLINE WITH ROLLBACK IMMEDIATE")
    else:
        sql(lab, "BACKUP LOG [{db}] TO DISK = N'{path}.trn' WITH NORECOVERY")
    sidecar.wait_until("the state", lambda s: s.database(lab.database)["skipReason"] == state)
    assert sidecar.condition("Ready")["status"] == "True", "it is not the sidecar's fault"
    if state == "offline":
        sql(lab, "ALTER DATABASE [{db}] SET ONLINE")
    else:
        sql(lab, "RESTORE DATABASE [{db}] WITH RECOVERY")
    lab.load.start()
    lab.write()
    sidecar.wait_until("it to go on", lambda s: s.database(lab.database)["state"] == "ONLINE")
    sidecar.force(lab.database)
    sidecar.wait_until("an intact chain", lambda s: intact(s, lab.database))
    sidecar.force(lab.database)
    prove_newest(lab, sidecar)


def test_another_kind_than_asked_for_is_explained(lab: Lab) -> None:
    """In the result of the request and on the command line."""
    sidecar = lab.protected()
    sql(lab, "BACKUP DATABASE [{db}] TO DISK = N'{path}.bak'")  # the base of differentials is not ours any more
    lab.write()
    with sidecar.rpc() as rpc:
        result = rpc.backup(lab.database, "diff")
        assert (rpc.state(result), result.kind) == ("COMPLETED", rpc.pb.types.BACKUP_KIND_FULL)
        assert result.reason == "base_moved" and "full backup" in result.message, result
        result = rpc.backup(lab.database, "log")
        assert (rpc.state(result), result.reason, result.message) == ("COMPLETED", "", ""), result
        sql(lab, "BACKUP LOG [{db}] TO DISK = N'NUL'")
        lab.write()
        result = rpc.backup(lab.database, "log")
        assert rpc.state(result) == "COMPLETED" and result.kind != rpc.pb.types.BACKUP_KIND_LOG
        assert result.reason == "foreign_log_nul" and "sa" in result.message, result
    sql(lab, "BACKUP DATABASE [{db}] TO DISK = N'{path}.bak'")
    done = sidecar.ctl("backup", "now", "--kind", "diff", lab.database)
    assert "base_moved" in done.stdout + done.stderr, done
    lab.prove(sidecar)


def test_names_and_words_of_lists(lab: Lab) -> None:
    """ListBackups takes patterns; who is not protected is told by a stable word."""
    sidecar = lab.protected(policy={"databases": [f"{lab.database}*"], "excludeDatabases": [f"{lab.database}_out"]})
    lab.sim.query(f"CREATE DATABASE [{lab.database}_out]")
    sidecar.wait_until("the other one", lambda s: s.database(f"{lab.database}_out"))
    assert sidecar.database(f"{lab.database}_out")["unprotectedReason"] == "excluded"
    assert sidecar.database("master")["unprotectedReason"] == "system_database"
    with sidecar.rpc() as rpc:
        pb = rpc.pb.sidecar
        listed = rpc.call("ListBackups", pb.ListBackupsRequest(database=lab.database.upper()[:-1] + "?"), pb.ListBackupsResponse)
        assert listed.total == len(lab.kinds(sidecar)) and {b.database for b in listed.backups} == {lab.database}
        for b in listed.backups:
            assert b.run_id.split("-")[1] == rpc.pb.types.BackupKind.Name(b.kind).removeprefix("BACKUP_KIND_").lower() and b.reason, b
        assert {b.reason for b in listed.backups if b.kind == rpc.pb.types.BACKUP_KIND_FULL} == {"awaiting_first_full"}
        assert rpc.call("ListBackups", pb.ListBackupsRequest(database="nothing*"), pb.ListBackupsResponse).total == 0
        chain = rpc.call("GetChain", pb.GetChainRequest(database=lab.database), rpc.pb.types.Chain)
        assert chain.tip.run_id and chain.tip.reason == "scheduled" and chain.base_full.run_id, chain
    lab.sim.query(f"DROP DATABASE [{lab.database}_out]")
    lab.prove(sidecar)


def test_a_new_database_is_picked_up(lab: Lab) -> None:
    sidecar = lab.protected(policy={"databases": [f"{lab.database}*"]})
    new = f"{lab.database}b"
    lab.sim.query(f"CREATE DATABASE [{new}]")
    sidecar.wait_full(new)
    lab.sim.query(f"DROP DATABASE [{new}]")
    lab.prove(sidecar)


def test_a_log_that_is_due_waits_for_the_first_full(own_lab: Lab) -> None:
    lab = own_lab
    names = [lab.database, f"{lab.database}b"]
    lab.sim.query(f"CREATE DATABASE [{names[1]}]")
    lab.write()
    lab.sim.do("hold_at", kind="full", step="opened")
    sidecar = lab.sidecar(policy={"databases": [f"{lab.database}*"], "logBackup": {"interval": "10s"}, "maxConcurrentBackups": 2})
    assert lab.sim.do("wait_held")["result"]
    # of the other one the log follows at once: by then, that of the held one was due as well
    sidecar.wait_until("the log of the other database", lambda s: any(s.database(n).get("lastLogAt") for n in names))
    assert sorted(bool(sidecar.database(n).get("lastFullAt")) for n in names) == [False, True]
    lab.sim.do("release")
    sidecar.wait_until("logs of both", lambda s: all(s.database(n).get("lastLogAt") for n in names))
    results = [k for k in sidecar.metrics() if "_backups_total{" in k and 'kind="log"' in k]
    assert results and all('result="completed"' in k or 'result="quiet"' in k for k in results), results
    lab.sim.query(f"DROP DATABASE [{names[1]}]")
    lab.prove(sidecar)


def test_a_quiet_database_takes_no_log_but_moves_on(lab: Lab) -> None:
    sidecar = lab.protected(policy={"logBackup": {"interval": "10s"}})
    lab.load.stop()
    sidecar.force(lab.database)
    sets, before = len(lab.kinds(sidecar)), sidecar.database(lab.database)["restorableUntilAt"]
    sidecar.wait_until("the moment to move on", lambda s: s.database(lab.database)["restorableUntilAt"] > before)
    assert len(lab.kinds(sidecar)) == sets
    lab.load.start()
    lab.write()
    sidecar.force(lab.database)
    lab.prove(sidecar)


def test_healing_alert_says_and_does_not_heal(lab: Lab) -> None:
    sidecar = lab.protected()
    sidecar.config["policy"]["healing"] = {"mode": "alert"}
    sidecar.reload()
    before = sidecar.database(lab.database)
    sql(lab, "BACKUP LOG [{db}] TO DISK = N'{path}.trn'")
    lab.write()
    with sidecar.rpc() as rpc:
        rpc.backup(lab.database, "log")
    sidecar.wait_until("the break to be told", lambda s: s.database(lab.database)["chainState"] == "Broken")
    d = sidecar.database(lab.database)
    assert d["chainReason"] == "foreign_log" and "sa" in d["chainByWhom"], d
    assert "diff" not in lab.kinds(sidecar) and lab.kinds(sidecar).count("full") == 1
    assert sidecar.condition("LogChainIntact")["status"] == "False"
    # what was restorable before the break still is, also behind further logs and a restart
    until = before["restorableUntilAt"]
    lab.write()
    try_backup(sidecar.target, lab.database)
    for restarted in (False, True):
        if restarted:
            sidecar.kill()
            sidecar.start()
            sidecar.wait_until("the break to be known", lambda s: s.database(lab.database).get("chainState") == "Broken")
        d = sidecar.database(lab.database)
        assert (d["restorableFromAt"], d["restorableUntilAt"]) == (before["restorableFromAt"], until), d
        assert sidecar.condition("RPOMet")["reason"] in ("TargetMissed", "WithinTarget"), sidecar.condition("RPOMet")
        assert sidecar.metrics()[f'mssql_sidecar_recoverable_until_timestamp_seconds{{database="{lab.database}"}}'] > 0
    sidecar.config["policy"]["healing"] = {"mode": "auto"}
    sidecar.reload()
    sidecar.wait_until("it to heal now", lambda s: "diff" in lab.kinds(s))
    lab.prove(sidecar)


def test_healing_budget(lab: Lab) -> None:
    """Nothing is left of today's budget: the break is told, and there is no war. A person may still heal it."""
    sidecar = lab.protected(policy={"healing": {"maxFullsPerDay": 0}, "logBackup": {"interval": "10s"}})
    sql(lab, "BACKUP DATABASE [{db}] TO DISK = N'{path}.bak'; BACKUP LOG [{db}] TO DISK = N'{path}.trn'")
    lab.write()
    sidecar.wait_until("the break to be told", lambda s: s.database(lab.database)["chainState"] == "Broken")
    sidecar.wait_until("the refusal to heal", lambda s: "budget" in s.get("/status")[1])
    assert lab.kinds(sidecar).count("full") == 1
    sidecar.force(lab.database, "full")
    sidecar.wait_until("an intact chain", lambda s: intact(s, lab.database))
    lab.prove(sidecar)


def test_blackout_and_pause(lab: Lab) -> None:
    sidecar = lab.protected(policy={"blackoutWindows": ["MON-SUN 00:00-23:00"]})
    with sidecar.rpc() as rpc:
        pb = rpc.pb.sidecar
        rpc.call("Pause", pb.PauseRequest(reason="maintenance"), pb.PauseResponse)
        c = sidecar.condition("Paused")
        assert c["status"] == "True" and "maintenance" in c["message"]
        assert sidecar.metrics()["mssql_sidecar_paused"] == 1
        assert sidecar.database(lab.database)["chainState"] == "Paused"
        sidecar.kill()
        sidecar.start()
        sidecar.wait_until("the pause to outlive a restart", lambda s: s.condition("Paused")["status"] == "True")
    with sidecar.rpc() as rpc:
        rpc.call("Resume", pb.ResumeRequest(), pb.ResumeResponse)
    sidecar.wait_until("the end of the pause", lambda s: s.condition("Paused")["status"] == "False")
    lab.write()
    sidecar.force(lab.database)
    lab.prove(sidecar)
