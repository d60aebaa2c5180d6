# SPDX-License-Identifier: Apache-2.0
"""mssqlctl restore, plan and restores through a sidecar: what is printed, as text and as JSON, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

from fixtures.lab import Lab
from fixtures.load import rows_of
from fixtures.restores import ready, wait_ended
from fixtures.sidecar import BUILD, SANITIZER


def prepared(lab: Lab):
    sidecar = lab.protected()
    lab.write()
    lab.load.stop()
    sidecar.force(lab.database)
    return sidecar


def test_plan_and_dry_run(lab: Lab) -> None:
    sidecar = prepared(lab)
    text = sidecar.ctl("plan", "--database", lab.database).stdout
    assert "1 full" in text and "(base)" in text and "dry run" in text, text
    told = json.loads(sidecar.ctl("restore", lab.database, "--to", "latest", "--as", "elsewhere", "--dry-run", "-o", "json").stdout)
    assert told["dryRun"] is True and told["error"] is None, told
    one = told["databases"][0]
    assert (one["source"], one["database"], one["replaces"]) == (lab.database, "elsewhere", "nothing")
    assert one["members"][0]["why"] == "base" and one["members"][0]["backupSetGuid"], one
    refused = sidecar.ctl("plan", "--database", lab.database, "--to", "2001-01-01T00:00:00Z", check=False)
    assert refused.returncode == 11 and "older than everything" in refused.stderr, refused
    unknown = sidecar.ctl("plan", "--database", "nobody_has_this", check=False)
    assert unknown.returncode == 11, unknown
    wrong = sidecar.ctl("plan", "--tsql", check=False)
    assert wrong.returncode == 2 and "--tsql" in wrong.stderr, wrong
    assert sidecar.stop() == 0


def test_restore_and_keep(lab: Lab) -> None:
    sidecar = prepared(lab)
    copy = f"{lab.database}_cli"
    done = sidecar.ctl("restore", lab.database, "--to", "latest", "--as", copy, "--expires", "1h", "--reason", "ticket 4711")
    assert f"{lab.database} as {copy}" in done.stdout and "by itself" in done.stdout, done
    assert rows_of(lab.sim, copy) == lab.load.acked
    listed = json.loads(sidecar.ctl("restores", "-o", "json").stdout)
    assert len(listed) == 1 and listed[0]["state"] == "Completed" and listed[0]["copies"][0]["expiresAt"], listed
    table = sidecar.ctl("restores").stdout
    assert "completed" in table and copy in table and "ticket 4711" in table, table
    kept = sidecar.ctl("restores", "keep", listed[0]["id"], copy).stdout
    assert kept == f"{copy} is kept\n"
    later = sidecar.ctl("restores", "keep", listed[0]["id"], "--until", "7d").stdout
    assert "goes at" in later, later
    one = sidecar.ctl("restores", listed[0]["id"]).stdout
    assert "by unix" in one and "restored" in one, one
    assert sidecar.ctl("restores", "nothing-like-it", check=False).returncode == 11
    other = f"{lab.database}_other"
    lab.sim.query(f"CREATE DATABASE [{other}]")
    over = sidecar.ctl("restore", lab.database, "--to", "latest", "--as", other, check=False)
    assert over.returncode == 31 and "acknowledge" in over.stderr, over  # data_loss: it is there, and nobody says it may go
    lab.sim.query(f"DROP DATABASE [{other}]")
    wrong = sidecar.ctl("restore", lab.database, "--to", "latest", "--server", "somewhere", check=False)
    assert wrong.returncode == 2 and "without a sidecar" in wrong.stderr, wrong
    lab.sim.query(f"DROP DATABASE [{copy}]")
    assert sidecar.stop() == 0


def begin_held(lab: Lab, sidecar, pause: Path, *arguments: str) -> subprocess.Popen:
    """A restore that is held at its first RESTORE, by a program that watches it."""
    sidecar.stop()
    sidecar.start(fault=f"restore.restoring:after:pause:{pause}")
    ready(sidecar, lab.database)
    process = subprocess.Popen(
        [str(BUILD / "cli" / "mssqlctl"), "--address", f"unix://{sidecar.socket}", "restore", lab.database, "--to", "latest", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **SANITIZER},
    )  # fmt: skip
    sidecar.wait_until("the restore to be held", lambda s: pause.exists())
    return process


def test_interrupt_leaves_it_running(lab: Lab, tmp_path: Path) -> None:
    sidecar = prepared(lab)
    pause, copy = tmp_path / "pause", f"{lab.database}_left"
    process = begin_held(lab, sidecar, pause, "--as", copy, "--request-id", "left")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 19 and "goes on in the sidecar" in errors and "restores cancel" in errors, errors
    pause.unlink()
    assert wait_ended(sidecar, "left")["state"] == "Completed"
    assert rows_of(lab.sim, copy) == lab.load.acked
    lab.sim.query(f"DROP DATABASE [{copy}]")
    assert sidecar.stop() == 0


def test_interrupt_that_stops_it_and_cancel(lab: Lab, tmp_path: Path) -> None:
    sidecar = prepared(lab)
    pause, copy = tmp_path / "pause", f"{lab.database}_stopped"
    process = begin_held(lab, sidecar, pause, "--as", copy, "--request-id", "stopped", "--stop-on-interrupt")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 19 and "was told to end" in errors, errors
    pause.unlink()
    assert wait_ended(sidecar, "stopped")["state"] == "Cancelled"
    lab.sim.query(f"IF DB_ID('{copy}') IS NOT NULL DROP DATABASE [{copy}]")

    process = begin_held(lab, sidecar, tmp_path / "second", "--as", copy, "--request-id", "cancelled")
    told = sidecar.ctl("restores", "cancel", "cancelled").stdout
    assert "told to end" in told
    (tmp_path / "second").unlink()
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 19 and "CANCELLED" in out, (out, errors)
    lab.sim.query(f"IF DB_ID('{copy}') IS NOT NULL DROP DATABASE [{copy}]")
    assert sidecar.stop() == 0
