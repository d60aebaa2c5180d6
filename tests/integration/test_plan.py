# SPDX-License-Identifier: Apache-2.0
"""mssqlctl plan and windows over histories of a server: what is planned is what a server restores, row for row."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import threading
from pathlib import Path
from typing import Any, Callable

import pytest
from fixtures.rows import Ledger, headers, msdb, rfc3339, rows_of, write_json
from fixtures.sidecar import BUILD, ROOT, SANITIZER
from fixtures.sqlsim import Sim

CTL = BUILD / "cli" / "mssqlctl"
DATA = ROOT / "tests" / "data" / "dbatools"
pytestmark = pytest.mark.simulator("moves the server's clock, and has servers of its own")


def run(*arguments: Any, stdin: str = "") -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(CTL), *map(str, arguments)], input=stdin, capture_output=True, text=True, timeout=120, env={**os.environ, **SANITIZER}
    )


def good(*arguments: Any, stdin: str = "") -> str:
    done = run(*arguments, stdin=stdin)
    assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def plan(*arguments: Any, stdin: str = "") -> dict[str, Any]:
    return json.loads(good("plan", "-o", "json", *arguments, stdin=stdin))


def refused(code: int, *arguments: Any) -> dict[str, Any]:
    done = run("plan", "-o", "json", *arguments)
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    assert done.stderr.strip().splitlines()[-1].startswith("mssqlctl: "), done.stderr
    return json.loads(done.stdout)["refusal"]


def kinds(found: dict[str, Any]) -> list[str]:
    return [m["kind"] + ("?" if m["ifNeeded"] else "") for m in found["members"]]


def script(sim: Sim, database: str, *arguments: Any) -> str:
    """T-SQL for a server where the old paths are taken."""
    moves = [f"--move={database}{part}={sim.data}/restored{part}{end}" for part, end in (("", ".mdf"), ("_log", ".ldf"))]
    return good("plan", "--tsql", *moves, *arguments)


def restore(sim: Sim, text: str, name: str) -> list[int]:
    """Runs the script as one batch, as sqlcmd would; the rows of what came of it."""
    reply = sim.query(text)
    assert reply.sets[-1].rows == [(name, "ONLINE")], reply.messages
    rows = rows_of(sim, name)
    sim.query(f"DROP DATABASE [{name.replace(']', ']]')}]")
    return rows


@pytest.fixture
def two(sim_factory: Callable[..., Sim]) -> tuple[Sim, Sim]:
    """A source and a target in different zones, neither UTC."""
    return sim_factory("source", timezone="+05:30"), sim_factory("target", timezone="America/St_Johns")


@pytest.fixture
def ledger(two: tuple[Sim, Sim], tmp_path: Path) -> Ledger:
    """full, log, log, diff, log, log with rows before, between and behind."""
    made = Ledger(two[0], "orders", tmp_path / "files")
    made.add()
    made.backup("full")
    for kind in ("log", "log", "diff", "log", "log"):
        made.add(2)
        made.backup(kind)
    return made


# ---- real histories ----


@pytest.mark.parametrize(
    "case", [c for c in json.loads((DATA / "planner_cases.json").read_text())["selection_cases"] if not c["input"].get("ignore_diffs")
             and not c["input"].get("ignore_logs") and c["asserted"]], ids=lambda c: c["id"]
)  # fmt: skip
def test_histories_of_dbatools(case: dict[str, Any], tmp_path: Path) -> None:
    document = json.loads((DATA / case["history"]).read_text())
    if case["input"]["filter"] == "drop_diffs":
        document["records"] = [r for r in document["records"] if r["kind"] != "diff"]
    history = tmp_path / "history.json"
    history.write_text(json.dumps(document))
    found = plan("--history", history, "--to", case["input"]["restore_time"] or "latest")
    certain = [m for m in found["members"] if not m["ifNeeded"]]
    assert [m["backupSetGuid"].lower() for m in certain] == [m["backup_set_id"] for m in case["derived_plan"]]
    assert [m["kind"] for m in certain] == [m["kind"] for m in case["derived_plan"]]


# ---- what is planned restores the right rows ----


def test_every_moment_restores_its_rows(two: tuple[Sim, Sim], ledger: Ledger, tmp_path: Path) -> None:
    source, target = two
    history = write_json(tmp_path / "h.json", headers(source, *ledger.files))
    first = min(ledger.moments.values())
    for row, moment in ledger.moments.items():
        if moment == first:
            continue  # before the full
        for at in (moment, moment - dt.timedelta(seconds=3.5)):
            text = script(target, "orders", "--history", history, "--to", rfc3339(at))
            assert restore(target, text, "orders") == ledger.rows_at(at), f"row {row} at {at}\n{text}"
    text = script(target, "orders", "--history", history, "--to", "latest", "--as", "it's a [copy]")
    assert restore(target, text, "it's a [copy]") == sorted(ledger.moments)
    found = plan("--history", history, "--to", "latest")
    assert kinds(found)[0] == "full" and kinds(found)[-1] == "log" and found["members"][0]["files"] == [str(ledger.files[0])]
    assert found["predicted"]["seconds"] > 0 and "no measurement" in found["predicted"]["basis"]


def test_rows_of_msdb_say_the_same(two: tuple[Sim, Sim], ledger: Ledger, tmp_path: Path) -> None:
    source = two[0]
    ids = {str(r["backup_set_uuid"]).upper(): r["backup_set_id"] for r in msdb(source)}
    a = plan("--history", write_json(tmp_path / "h.json", headers(source, *ledger.files)), "--to", "latest")
    b = plan("--history", write_json(tmp_path / "m.json", msdb(source)), "--to", "latest")
    assert [m["backupSetGuid"] for m in a["members"]] == [m["backupSetGuid"] for m in b["members"]]
    assert [m["backupSetId"] for m in b["members"]] == [ids[m["backupSetGuid"]] for m in b["members"]]
    assert [m["finishAt"] for m in a["members"]] == [m["finishAt"] for m in b["members"]], "the zone of both is known"
    assert a["members"][0]["files"] == b["members"][0]["files"]


def test_lsn_targets(two: tuple[Sim, Sim], ledger: Ledger, tmp_path: Path) -> None:
    source, target = two
    rows = headers(source, *ledger.files)
    history = write_json(tmp_path / "h.json", rows)
    end = next(r for r in rows if r["physical_device_name"].endswith("02-log.trn"))["LastLSN"]
    text = script(target, "orders", "--history", history, "--to", f"before-lsn:{end}")
    assert restore(target, text, "orders") == [1, 2, 3, 4, 5]
    text = script(target, "orders", "--history", history, "--to", f"lsn:{end}")
    assert f"STOPATMARK = N'lsn:{end}'" in text
    assert restore(target, text, "orders") in ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6]), "the record may be a commit or not"


def test_the_second_in_which_a_backup_ended(two: tuple[Sim, Sim], tmp_path: Path) -> None:
    """A header says 12:00:07 of a backup that ended at 12:00:07.8: it is no base for moments before 12:00:08."""
    source, target = two
    made = Ledger(source, "orders", tmp_path / "files")
    made.add()
    made.backup("full")
    made.add()
    made.backup("log")
    history = write_json(tmp_path / "h.json", headers(source, *made.files))
    finish = dt.datetime.fromisoformat(plan("--history", history)["members"][0]["finishAt"].replace("Z", "+00:00"))
    for seconds in (0, 0.9):
        early = refused(11, "--history", history, "--to", rfc3339(finish + dt.timedelta(seconds=seconds)))
        assert early["reason"] == "before_window" and early["after"]["at"] == rfc3339(finish + dt.timedelta(seconds=1))
    assert kinds(plan("--history", history, "--to", early["after"]["at"])) == ["full", "log"]
    # a database without logs can be had at the moment that is shown for its full
    source.query("CREATE DATABASE [plain]")
    source.query("ALTER DATABASE [plain] SET RECOVERY SIMPLE")
    source.query("CREATE TABLE dbo.ledger (id int NOT NULL PRIMARY KEY)", "plain")
    source.query("INSERT INTO dbo.ledger VALUES (1)", "plain")
    alone = made.folder / "plain.bak"
    source.query(f"BACKUP DATABASE [plain] TO DISK = N'{alone}'")
    history = write_json(tmp_path / "plain.json", headers(source, alone))
    (shown,) = json.loads(good("windows", "-o", "json", "--history", history))["databases"][0]["intervals"]
    assert shown["fromAt"] == shown["untilAt"] and f"{shown['fromAt']} only" in good("windows", "--history", history)
    assert kinds(plan("--history", history, "--to", shown["fromAt"])) == ["full"]
    assert restore(target, script(target, "plain", "--history", history, "--to", shown["fromAt"]), "plain") == [1]


def test_a_commit_while_the_log_was_taken_is_in_the_next_one(two: tuple[Sim, Sim], ledger: Ledger, tmp_path: Path) -> None:
    source, target = two
    ledger.add()
    source.do("hold_at", kind="log", step="data")
    busy = threading.Thread(target=ledger.backup, args=("log",))
    busy.start()
    source.do("wait_held")
    ledger.add()  # row 13
    late = ledger.moments[13]
    ledger.step()
    source.do("release")
    busy.join(60)
    ledger.add()
    ledger.backup("log")
    rows = headers(source, *ledger.files)
    new = write_json(tmp_path / "new.json", rows)  # says up to which moment each log is complete
    old = write_json(tmp_path / "old.json", [{k: v for k, v in r.items() if k not in ("LastValidRestoreTime", "TimeZone")} for r in rows])
    found = plan("--history", old, "--utc-offset", "+05:30", "--to", rfc3339(late))
    assert kinds(found)[-2:] == ["log", "log?"], kinds(found)
    assert found["members"][-1]["why"] == "may_hold_target"
    for moment, want in ((late, 13), (ledger.moments[12] + dt.timedelta(seconds=1), 12)):
        for arguments in (("--history", old, "--utc-offset", "+05:30"), ("--history", new)):
            text = script(target, "orders", *arguments, "--to", rfc3339(moment))
            assert restore(target, text, "orders") == list(range(1, want + 1)), text


def test_several_sets_in_one_file_and_stripes(two: tuple[Sim, Sim], tmp_path: Path) -> None:
    source, target = two
    made = Ledger(source, "many", tmp_path / "many")
    made.add()
    made.backup("full", "all.bak")
    made.add()
    made.backup("log", "all.bak")
    made.add()
    made.backup("log", "s1.trn", "s2.trn")
    rows = msdb(source)
    history = write_json(tmp_path / "m.json", reversed(rows))
    found = plan("--history", history, "--to", "latest")
    assert [(m["position"], m["files"], m["stripes"]) for m in found["members"]] == [
        (1, [str(made.folder / "all.bak")], 1),
        (2, [str(made.folder / "all.bak")], 1),
        (1, [str(made.folder / "s1.trn"), str(made.folder / "s2.trn")], 2),
    ]
    assert restore(target, script(target, "many", "--history", history, "--to", "latest"), "many") == [1, 2, 3]
    short = write_json(tmp_path / "short.json", rows[:-1])
    done = run("plan", "--history", short, "--tsql")
    assert done.returncode == 2 and "has 2 files and 1 are known" in done.stderr


def test_a_script_replaces_nothing_and_stops_at_an_error(two: tuple[Sim, Sim], ledger: Ledger, tmp_path: Path) -> None:
    source, target = two
    history = write_json(tmp_path / "h.json", headers(source, *ledger.files))
    text = script(target, "orders", "--history", history)
    with source.connect() as client:
        reply = client.query(text, check=False)
    assert any("There is a database orders already" in e.text for e in reply.errors)
    assert rows_of(source, "orders") == sorted(ledger.moments)
    ledger.files[-1].rename(tmp_path / "away")
    with target.connect() as client:
        reply = client.query(text, check=False)
    assert 3201 in [e.number for e in reply.errors]
    assert target.query("SELECT state_desc FROM sys.databases WHERE name = 'orders'").value == "RESTORING", "no half of it is opened"
    (tmp_path / "away").rename(ledger.files[-1])
    with target.connect() as client:
        reply = client.query(text, check=False)
    assert any("is RESTORING already" in e.text for e in reply.errors), "it may be a secondary"
    target.query("DROP DATABASE orders")
    assert restore(target, text, "orders") == rows_of(source, "orders")


# ---- what cannot be restored ----


def identity(kind: int, n: int) -> str:
    return f"{kind:08X}-0000-0000-0000-{n:012X}"


def row(n: int, kind: str, lsns: tuple[int, int], times: tuple[str, str], database: int = 1, forks: tuple[int, int] = (1, 1), **more: Any) -> dict[str, Any]:
    """A row as RESTORE HEADERONLY gives it, of times of one day."""
    number = {"full": 1, "log": 2}[kind]
    first, last = (str(34 * 10**15 + lsn * 10**6 + 1) for lsn in lsns)
    begin, end = (f"2026-11-21T{at}" for at in times)
    return {
        **{"DatabaseName": "sales", "BackupType": number, "Position": 1, "FirstLSN": first, "LastLSN": last, "CheckpointLSN": first},
        **{"BackupStartDate": begin, "BackupFinishDate": end, "BackupSetGUID": identity(1, n), "FamilyGUID": identity(2, database)},
        **{"BindingID": identity(3, database), "FirstRecoveryForkID": identity(4, forks[0]), "RecoveryForkID": identity(4, forks[1])},
        **{"ForkPointLSN": None, "IsDamaged": 0, "IsCopyOnly": 0, "BackupSize": 1000, "HasBulkLoggedData": 0, **more},
    }


OLDER = [
    row(1, "full", (10, 12), ("01:00:00", "01:00:10")),
    row(2, "log", (10, 20), ("12:00:00", "12:00:01")),
]


@pytest.mark.parametrize(
    "newer, target, word",
    [
        ([row(3, "full", (110, 112), ("06:00:00", "06:00:10"), 2, (2, 2)), row(5, "log", (130, 140), ("13:00:00", "13:00:01"), 2, (2, 2))], "2026-11-21T11:00:00Z", "in_hole"),
        ([row(3, "full", (110, 112), ("12:30:00", "12:30:10"), 2, (2, 2), IsDamaged=1)], "latest", "base_damaged"),
    ],
)
def test_another_database_of_the_name_is_not_taken_for_one_that_cannot_be_restored(newer: list[Any], target: str, word: str, tmp_path: Path) -> None:
    """It was dropped, and one of the same name made: whatever is wrong with that one's backups, the older one is not meant."""
    history = write_json(tmp_path / "h.json", OLDER + newer)
    code = {"in_hole": 21, "base_damaged": 31}[word]
    assert refused(code, "--history", history, "-d", "sales", "--to", target)["reason"] == word
    if word == "base_damaged":
        return
    older = plan("--history", history, "-d", "sales", "--to", "2026-11-21T05:00:00Z")
    assert older["familyGuid"].upper() == identity(2, 1) and kinds(older) == ["full", "log"]


def test_what_the_old_primary_logged_fills_no_hole(tmp_path: Path) -> None:
    """A forced failover at 08:00: the old primary goes on until 09:00, a log of the new one is missing."""
    rows = [
        row(1, "full", (10, 12), ("06:00:00", "06:00:10")),
        row(2, "log", (10, 20), ("07:00:00", "07:00:01")),
        row(3, "log", (20, 40), ("09:00:00", "09:00:01")),
        row(4, "log", (20, 30), ("08:00:00", "08:00:01"), forks=(1, 2), ForkPointLSN=str(34 * 10**15 + 25 * 10**6 + 1)),
        row(6, "log", (35, 45), ("08:50:00", "08:50:01"), forks=(2, 2)),
    ]
    history = write_json(tmp_path / "h.json", rows)
    found = refused(21, "--history", history, "--to", "2026-11-21T08:30:00Z")
    assert found["reason"] == "in_hole" and found["hole"]["cause"] == "log_missing", found
    assert found["before"]["at"] == "2026-11-21T08:00:00Z" and "had left" in found["message"], found
    assert [m["backupSetGuid"].upper() for m in plan("--history", history, "--to", "2026-11-21T07:59:00Z")["members"]][:2] == [identity(1, 1), identity(1, 2)]


def test_the_end_of_a_log_that_is_restored_whole(tmp_path: Path) -> None:
    """With minimally logged changes all of it comes, with what was committed until the end of the second in which it ended."""
    rows = [
        row(1, "full", (10, 12), ("06:00:00", "06:00:10")),
        row(2, "log", (10, 20), ("07:00:00", "07:00:05"), HasBulkLoggedData=1),
        row(3, "log", (20, 30), ("08:00:00", "08:00:01")),
    ]
    history = write_json(tmp_path / "h.json", rows)
    assert refused(21, "--history", history, "--to", "2026-11-21T07:00:05.300Z")["reason"] == "bulk_logged"
    assert kinds(plan("--history", history, "--to", "2026-11-21T07:00:06Z")) == ["full", "log", "log"]


def test_refusals_name_the_nearest_moments(two: tuple[Sim, Sim], ledger: Ledger, tmp_path: Path) -> None:
    source = two[0]
    rows = [r for r in headers(source, *ledger.files) if not r["physical_device_name"].endswith("03-diff.bak")]
    whole = write_json(tmp_path / "whole.json", rows)
    before = refused(11, "--history", whole, "--to", "2001-01-01T00:00:00Z")
    assert before["reason"] == "before_window" and before["after"]["at"]
    future = refused(2, "--history", whole, "--to", "2199-01-01T00:00:00Z")
    assert future["reason"] == "in_future" and future["before"]["at"]
    holed = write_json(tmp_path / "holed.json", [r for r in rows if not r["physical_device_name"].endswith("02-log.trn")])
    hole = refused(21, "--history", holed, "--to", rfc3339(ledger.moments[7]))
    assert hole["reason"] in ("in_hole", "after_window") and hole["before"]["at"], hole
    done = run("plan", "--history", holed, "--to", rfc3339(ledger.moments[7]))
    assert done.stdout == "" and "orders to 20" in done.stderr
    assert refused(25, "--history", whole, "--to", "latest", "--avoid", rows[0]["BackupSetGUID"])["reason"] == "set_unusable"


def test_what_went_to_nul_is_a_hole_with_its_author(two: tuple[Sim, Sim], tmp_path: Path) -> None:
    source = two[0]
    made = Ledger(source, "thrown", tmp_path / "files")
    made.add()
    made.backup("full")
    made.add()
    made.backup("log")
    made.add()
    source.query("BACKUP LOG thrown TO DISK = N'NUL'")
    made.add()
    made.backup("log")
    history = write_json(tmp_path / "m.json", msdb(source))
    document = json.loads(good("windows", "-o", "json", "--history", history))
    (found,) = document["databases"]
    assert [h["cause"] for h in found["holes"]] == ["foreign_log_nul"] and found["holes"][0]["byWhom"] == "sa"
    text = good("windows", "--history", history)
    assert "HOLE" in text and "foreign_log_nul by sa" in text
    latest = plan("--history", history, "--to", "latest")
    assert kinds(latest) == ["full", "log"] and latest["notReached"]["cause"] == "foreign_log_nul"


# ---- input ----


def test_input_of_all_kinds(tmp_path: Path) -> None:
    text = (DATA / "RestoreTimeClean.json").read_text()
    assert len(plan("--history", "-", stdin=text)["members"]) == 7
    wide = tmp_path / "wide.json"
    wide.write_text(text, encoding="utf-16")  # as PowerShell's > writes it
    assert len(plan("--history", wide)["members"]) == 7
    done = run("plan", "--history", "-", "--to", "latest", stdin='[{"type":"D","FirstLSN":"x"}]')
    assert done.returncode == 25 and "standard input: row 1: field 'FirstLSN', byte 24: 'x' is not an LSN" in done.stderr
    assert run("plan", "--history", tmp_path / "none").returncode == 11
    assert run("plan", "--history", "-", "--store", "/x").returncode == 2
    assert "needs to know where the backups are" in run("windows").stderr
    assert run("plan", "--history", "-", "--to", "yesterday").returncode == 2
    assert "a moment needs its zone" in run("plan", "--history", "-", "--to", "2026-01-01T00:00:00").stderr


def test_local_times_need_an_offset(tmp_path: Path) -> None:
    row = {"DatabaseName": "a", "FirstLSN": 10, "CheckpointLSN": 10, "IsDamaged": 0}
    history = write_json(
        tmp_path / "h.json",
        [
            {**row, "BackupType": 1, "LastLSN": 20, "BackupFinishDate": "2026-06-01T10:00:00", "BackupSetGUID": "0" * 7 + "1-0000-4000-8000-000000000001"},
            {**row, "BackupType": 2, "LastLSN": 30, "BackupFinishDate": "2026-06-01T11:00:00", "BackupSetGUID": "0" * 7 + "2-0000-4000-8000-000000000001"},
        ],
    )  # fmt: skip
    done = run("plan", "--history", history, "--to", "2026-06-01T10:30:00Z", "--tsql")
    assert done.returncode == 2 and "physical_device_name" in done.stderr and "UTC is assumed" in done.stderr
    found = plan("--history", history, "--to", "2026-06-01T10:30:00Z")
    assert found["stop"]["value"] == "2026-06-01T10:30:00.000" and found["stop"]["utcOffsetKnown"] is False
    found = plan("--history", history, "--to", "2026-06-01T08:30:00Z", "--utc-offset", "+02:00")
    assert found["stop"]["value"] == "2026-06-01T10:30:00.000" and found["stop"]["utcOffsetKnown"] is True
    assert found["members"][0]["finishAt"] == "2026-06-01T08:00:00Z"


def test_several_databases_must_be_named(two: tuple[Sim, Sim], ledger: Ledger, tmp_path: Path) -> None:
    source = two[0]
    other = Ledger(source, "other", tmp_path / "other")
    other.backup("full")
    history = write_json(tmp_path / "m.json", msdb(source))
    done = run("plan", "--history", history)
    assert done.returncode == 2 and "There is orders, other" in done.stderr
    found = plan("--history", history, "--database", "OTHER")
    assert kinds(found) == ["full"]
    assert plan("--history", history, "--database", found["folder"])["members"] == found["members"]
    assert run("plan", "--history", history, "--database", "othr").returncode == 11
    assert [d["database"] for d in json.loads(good("windows", "-o", "json", "--history", history, "--database", "o*"))["databases"]] == ["orders", "other"]


def test_a_reverted_volume_is_never_joined(sim_factory: Callable[..., Sim], tmp_path: Path) -> None:
    source, target = sim_factory("source"), sim_factory("target")
    made = Ledger(source, "back", tmp_path / "files")
    made.add()
    made.backup("full")
    made.add()
    made.backup("log")
    source.do("volume_snapshot", name="yesterday")
    made.add()
    made.backup("log")
    made.add()
    made.backup("log")
    lost = dict(made.moments)
    source.do("volume_revert", name="yesterday")
    made.step(60)
    source.query("INSERT INTO dbo.ledger VALUES (100)", "back")
    after = made.backup("log")
    made.step(60)
    source.query("INSERT INTO dbo.ledger VALUES (101)", "back")
    made.backup("log")
    history = write_json(tmp_path / "h.json", headers(source, *made.files))
    found = plan("--history", history, "--to", rfc3339(lost[4]))
    assert str(after) not in [f for m in found["members"] for f in m["files"]]
    assert restore(target, script(target, "back", "--history", history, "--to", rfc3339(lost[4])), "back") == [1, 2, 3, 4]
    latest = plan("--history", history, "--to", "latest")
    files = [f for m in latest["members"] for f in m["files"]]
    assert str(after) not in files, "the full and the logs before are of another life"
    made.backup("full")
    made.add()
    made.backup("log")
    history = write_json(tmp_path / "h.json", headers(source, *made.files))
    text = script(target, "back", "--history", history, "--to", "latest")
    assert restore(target, text, "back") == [1, 2, 5, 100, 101]


def test_a_restore_in_place_is_the_same_database_on_another_fork(sim_factory: Callable[..., Sim], tmp_path: Path) -> None:
    source, target = sim_factory("source"), sim_factory("target")
    made = Ledger(source, "forked", tmp_path / "files")
    made.add()
    full = made.backup("full")
    made.add()
    log = made.backup("log")
    made.add()
    made.backup("log", options="NORECOVERY")
    source.query(f"RESTORE DATABASE forked FROM DISK = N'{full}' WITH NORECOVERY")
    source.query(f"RESTORE LOG forked FROM DISK = N'{log}' WITH RECOVERY")
    made.step()
    made.add()  # row 4; row 3 is of the other fork
    made.backup("log")
    rows = headers(source, *made.files)
    assert len({r["BindingID"] for r in rows}) == 2, "the server gave it another identity"
    history = write_json(tmp_path / "h.json", rows)
    (windows,) = json.loads(good("windows", "-o", "json", "--history", history))["databases"]
    assert len({i["forkGuid"] for i in windows["intervals"]}) == 2
    text = script(target, "forked", "--history", history, "--to", "latest")
    assert restore(target, text, "forked") == [1, 2, 4]
    assert str(made.files[2]) not in text, "the tail of the other fork"
    text = script(target, "forked", "--history", history, "--to", rfc3339(made.moments[2]))
    assert restore(target, text, "forked") == [1, 2]
