# SPDX-License-Identifier: Apache-2.0
"""Single cases that need whole processes: states of databases, damage between two steps, windows, another owner."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import threading
from pathlib import Path

from fixtures.lab import Lab
from fixtures.sidecar import Sidecar
from fixtures.sidecar_rpc import try_backup


def intact(sidecar: Sidecar, database: str) -> bool:
    return sidecar.database(database).get("chainState") == "Intact"


def with_staged_log(lab: Lab, **config: object) -> tuple[Sidecar, str, Path]:
    """A killed sidecar with a log that is in staging only, its file, and where the store is meanwhile."""
    sidecar = lab.protected(**config)
    away = sidecar.store.with_name("away")
    sidecar.store.rename(away)
    lab.write()
    staged = sidecar.stage_log(lab.database)
    sidecar.kill()
    return sidecar, staged, away


def test_a_staged_file_that_is_damaged_before_it_is_shipped(lab: Lab) -> None:
    """Its header does not read any more: it is told, left for people, and the chain heals behind it."""
    sidecar, staged, away = with_staged_log(lab)
    shutil.rmtree(sidecar.state / "drafts")
    path = sidecar.staging / staged
    data = bytearray(path.read_bytes())
    for at in range(0, len(data), 7):
        data[at] ^= 0x55
    path.write_bytes(data)
    away.rename(sidecar.store)
    sidecar.start()
    told = sidecar.wait_until("it to be told", lambda s: [e for e in s.events() if e["msg"] == "backup failed" and e.get("class") == "corrupt"])
    assert staged.split(".")[0] in json.dumps(told[0]), told
    lab.write()
    sidecar.wait_until("the chain to heal", lambda s: try_backup(s.target, lab.database) == "COMPLETED" and "diff" in lab.kinds(s) and intact(s, lab.database))
    assert path.exists(), "it is the only copy of what it held"
    holes = sidecar.wait_until("the hole", lambda s: s.database(lab.database)["holes"])
    assert [h["cause"] for h in holes] == ["log_missing"], holes
    lab.write()
    sidecar.force(lab.database)
    lab.load.stop()
    code, _ = sidecar.get("/prestop")
    assert code == 200 and sidecar.stop() == 0


def test_staged_files_of_an_earlier_owner(lab: Lab) -> None:
    """The state directory is lost with its owner id: the store is taken over once the old owner is silent for ten minutes, and what it
    staged is adopted, though its NAME has the old owner's id."""
    sidecar, staged, away = with_staged_log(lab)
    sidecar.state.rename(sidecar.state.with_name("state-before"))
    sidecar.state.mkdir()
    away.rename(sidecar.store)
    sidecar.start()
    sidecar.wait_until("the refusal", lambda s: s.condition("StoreReachable")["reason"] == "ForeignOwner")
    assert len(sidecar.staged()) == 1
    lineage = next(sidecar.store.glob("*/*/lineage.json"))
    silent = (dt.datetime.now(dt.timezone.utc) - dt.timedelta(minutes=11)).strftime("%Y-%m-%dT%H:%M:%SZ")
    lineage.write_text(json.dumps({**json.loads(lineage.read_text()), "heartbeatAt": silent}))
    sidecar.wait_until("the store to be taken over", lambda s: s.condition("StoreReachable")["status"] == "True")
    assert json.loads(lineage.read_text())["epoch"] == 2
    sidecar.wait_shipped()
    committed = [e["run"] for e in sidecar.events() if e["msg"] == "backup committed"]
    assert staged.split(".")[0] in committed
    lab.write()
    sidecar.force(lab.database)
    assert lab.kinds(sidecar).count("full") == 1 and "diff" not in lab.kinds(sidecar), "the chain did not break"
    lab.prove(sidecar)


def test_nothing_is_decided_before_the_store_told_what_it_has(lab: Lab) -> None:
    """The catalog is lost and the store away: a full now would be a mistake. Requests are told; when the store is back the chain goes on."""
    sidecar = lab.protected()
    assert sidecar.stop() == 0
    (sidecar.state / "catalog").unlink()
    away = sidecar.store.with_name("away")
    sidecar.store.rename(away)
    lab.write()
    sidecar.start()
    sidecar.wait_until("the database to be seen", lambda s: s.database(lab.database).get("state") == "ONLINE")
    with sidecar.rpc() as rpc:
        result = rpc.backup(lab.database, "log", seconds=20)
    assert (rpc.state(result), result.reason) == ("DEFERRED", "catalog_rebuilding"), result
    assert sidecar.database(lab.database).get("chainState", "Unspecified") != "AwaitingFirstFull"
    assert not sidecar.staged()
    away.rename(sidecar.store)
    sidecar.force(lab.database)
    assert lab.kinds(sidecar) == ["full", "log", "log"] or lab.kinds(sidecar) == ["full", "log", "log", "log"]
    lab.prove(sidecar)


def test_single_user_database(lab: Lab) -> None:
    """While somebody has its one place it cannot be backed up; that is told, and passes by itself."""
    sidecar = lab.protected(policy={"logBackup": {"interval": "10s"}})
    lab.load.stop()
    with lab.sim.connect(lab.database) as only:
        only.query(f"ALTER DATABASE [{lab.database}] SET SINGLE_USER WITH ROLLBACK IMMEDIATE")
        only.query("INSERT INTO workload (seq, written_at, payload) VALUES (900000, SYSUTCDATETIME(), N'alone')")
        with sidecar.rpc() as rpc:
            result = rpc.backup(lab.database, "log", seconds=30)
        assert rpc.state(result) in ("SKIPPED", "DEFERRED") and result.sql_error == 924, result
        assert sidecar.condition("Ready")["status"] == "True"
        only.query(f"ALTER DATABASE [{lab.database}] SET MULTI_USER")
    before = lab.kinds(sidecar).count("log")
    sidecar.wait_until("the log to be taken by itself", lambda s: lab.kinds(s).count("log") > before)
    assert lab.kinds(sidecar).count("full") == 1 and intact(sidecar, lab.database)
    sidecar.drained()
    assert sidecar.stop() == 0


def test_a_log_over_bad_pages(lab: Lab) -> None:
    """A log with minimally logged changes can meet a bad page. Refused for ever it would only let the log grow."""
    sidecar = lab.protected()
    lab.sim.do("fail_next", kind="log", number=3043, text="BACKUP detected an error on page (1:7).")
    lab.write()
    with sidecar.rpc() as rpc:
        result = rpc.backup(lab.database, "log", seconds=30)
        assert rpc.state(result) == "COMPLETED", result
    assert any("bad pages" in e["msg"] for e in sidecar.events())
    assert lab.kinds(sidecar).count("full") == 1
    lab.prove(sidecar)


def test_a_blackout_window_holds_a_full_back(lab: Lab) -> None:
    """A full that is due every minute waits for the end of the window; a log does not, and a person may."""
    now = dt.datetime.now(dt.timezone.utc)
    window = f"MON-SUN {(now - dt.timedelta(hours=1)):%H:%M}-{(now + dt.timedelta(hours=2)):%H:%M}"
    sidecar = lab.protected(policy={"fullBackup": {"enabled": True, "schedule": "* * * * *"}, "blackoutWindows": [window], "timeZone": "UTC"})
    d = sidecar.wait_until("the plan", lambda s: (d := s.database(lab.database)).get("nextFullAt") and d)
    planned = dt.datetime.fromisoformat(d["nextFullAt"].replace("Z", "+00:00"))
    end = (now + dt.timedelta(hours=2)).replace(second=0, microsecond=0)
    assert dt.timedelta(0) <= planned - end < dt.timedelta(minutes=2), (planned, end)
    fulls = lab.kinds(sidecar).count("full")
    minute = dt.datetime.now(dt.timezone.utc).minute
    sidecar.wait_until("a minute in which it is due", lambda _: dt.datetime.now(dt.timezone.utc).minute not in (minute, (minute + 1) % 60), 130)
    lab.write()
    sidecar.force(lab.database)
    assert lab.kinds(sidecar).count("full") == fulls, "it was held back"
    sidecar.config["policy"]["blackoutWindows"] = []
    sidecar.reload()
    sidecar.wait_until("the full, without the window", lambda s: lab.kinds(s).count("full") > fulls, 90)
    lab.prove(sidecar)


def test_a_log_that_needs_a_full_leaves_the_lane_of_the_logs(own_lab: Lab) -> None:
    """The full that heals one database takes long: the logs of the others go on beside it, with one worker for logs."""
    lab = own_lab
    other = f"{lab.database}b"
    lab.sim.query(f"CREATE DATABASE [{other}]")
    sidecar = lab.protected(policy={"databases": [lab.database, other]}, limits={"sqlWorkers": 2})
    sidecar.wait_full(other)
    path = f"{lab.folder}/foreign"
    lab.sim.query(f"BACKUP DATABASE [{lab.database}] TO DISK = N'{path}.bak'; BACKUP LOG [{lab.database}] TO DISK = N'{path}.trn'")
    lab.write()
    lab.sim.do("hold_at", kind="full", step="opened")
    results: list[str] = []
    asked = threading.Thread(target=lambda: results.append(str(try_backup(sidecar.target, lab.database, "log", 60))), daemon=True)
    asked.start()
    assert lab.sim.do("wait_held")["result"], "the log became a full"
    for _ in range(3):
        lab.sim.query(f"CREATE TABLE t{_} (n int)", other)
        sidecar.force(other)
    lab.sim.do("release")
    asked.join(60)
    assert results == ["COMPLETED"]
    sidecar.wait_until("an intact chain", lambda s: intact(s, lab.database))
    assert lab.kinds(sidecar).count("full") == 2
    lab.prove(sidecar)
