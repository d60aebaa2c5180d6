# SPDX-License-Identifier: Apache-2.0
"""mssqlctl inspect: what it says of a file is what the server's RESTORE HEADERONLY says; whatever the bytes are, it ends in order."""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import subprocess
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fixtures.rows import Ledger, headers, plain, rows_of
from fixtures.sidecar import BUILD, ROOT, SANITIZER
from fixtures.sqlsim import Sim

CTL = BUILD / "cli" / "mssqlctl"
pytestmark = pytest.mark.simulator("moves the server's clock, and has servers of its own")


def run(*arguments: Any, stdin: str = "") -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(CTL), *map(str, arguments)], input=stdin, capture_output=True, text=True, timeout=120, env={**os.environ, **SANITIZER}
    )


def inspect(*files: Any, code: int = 0) -> dict[str, Any]:
    done = run("inspect", "-o", "json", *files)
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout)


def same(ours: Any, theirs: Any) -> bool:
    if isinstance(theirs, (uuid.UUID, Decimal)):
        return ours is not None and str(ours).lower() == str(plain(theirs)).lower()
    if isinstance(theirs, dt.datetime):
        return ours == theirs.isoformat()
    return ours == theirs or (ours is None and theirs in ("", 0, None))


@pytest.fixture
def ledger(sim_factory: Any, tmp_path: Path) -> Ledger:
    made = Ledger(sim_factory(timezone="America/St_Johns"), "größe", tmp_path / "files")
    made.add()
    made.backup("full", options="CHECKSUM, NAME = N'the first', DESCRIPTION = N'of many'")
    for kind in ("log", "diff", "log"):
        made.add()
        made.backup(kind)
    made.backup("full", options="COPY_ONLY")
    return made


def test_columns_are_those_of_the_server(ledger: Ledger) -> None:
    found = inspect(*ledger.files)
    rows = headers(ledger.sim, *ledger.files)
    assert [s["File"] for s in found["sets"]] == [str(f) for f in ledger.files]
    assert all(f["condition"] == "whole" and f["kind"] == "plain" for f in found["files"])
    for ours, theirs in zip(found["sets"], rows):
        assert ours["Complete"] is True
        for name, value in ours.items():
            if name not in ("File", "Complete"):
                assert same(value, theirs[name]), f"{name}: {value} is not {theirs[name]}"
    assert [s.get("IsCopyOnly") for s in found["sets"]] == [False, None, None, None, True]
    text = run("inspect", *ledger.files).stdout
    assert "full of größe" in text and "the first: of many" in text and "copy-only" in text


def test_plan_reads_what_inspect_says(ledger: Ledger, sim_factory: Any) -> None:
    found = run("inspect", "-o", "json", *ledger.files)
    target = sim_factory("target")
    moves = [f"--move=größe{part}={target.data}/x{part}" for part in ("", "_log")]
    done = run("plan", "--history", "-", "--to", "latest", "--tsql", *moves, stdin=found.stdout)
    assert done.returncode == 0, done.stderr
    assert target.query(done.stdout).sets[-1].rows == [("größe", "ONLINE")]
    assert rows_of(target, "größe") == sorted(ledger.moments)
    assert run("plan", "--history", "-", "--to", "latest", stdin=run("inspect", "-o", "json", ledger.files[1]).stdout).returncode != 0


def test_several_sets_and_stripes(ledger: Ledger) -> None:
    one = ledger.folder / "all.bak"
    for kind in ("full", "log"):
        ledger.add()
        ledger.backup(kind, "all.bak")
    a, b = ledger.folder / "s1.bak", ledger.folder / "s2.bak"
    ledger.backup("full", "s1.bak", "s2.bak")
    found = inspect(one, a, b)
    assert [(s["Position"], s["BackupType"]) for s in found["sets"]] == [(1, 1), (2, 2), (1, 1), (1, 1)]
    assert found["stripes"] == [{"position": 1, "files": [str(a), str(b)], "fit": True, "problem": ""}]
    assert "they fit together" in run("inspect", a, b).stdout
    copy = ledger.folder / "copy.bak"
    copy.write_bytes(a.read_bytes())
    twice = inspect(a, copy, code=2)
    assert twice["stripes"][0]["fit"] is False and "same stripe" in twice["stripes"][0]["problem"]


def test_what_is_wrong_is_said(ledger: Ledger, tmp_path: Path) -> None:
    whole = ledger.files[0].read_bytes()
    cut = tmp_path / "cut.bak"
    cut.write_bytes(whole[: len(whole) // 2])
    (half,) = inspect(cut, code=25)["files"]
    assert half["problem"] == "cut" and half["condition"].startswith("not complete: ends at byte")
    (row,) = inspect(cut, code=25)["sets"]
    assert row["Complete"] is False and row["LastLSN"] is None and row["BackupFinishDate"] is None, "estimates are not told as facts"
    assert "NOT COMPLETE" in run("inspect", cut).stdout
    bent = tmp_path / "bent.bak"
    bent.write_bytes(whole[:0x604] + bytes([whole[0x604] ^ 4]) + whole[0x605:])
    assert inspect(bent, code=25)["files"][0]["problem"] == "damaged"
    for name, content, code, part in (
        ("empty", b"", 25, "is empty"),
        ("zeros", bytes(100000), 25, "only zeros"),
        ("text", b"hello, world\n" * 99, 25, "not a SQL Server backup"),
        ("container", b"MSSQLBAK" + (2).to_bytes(4, "little") + random.randbytes(5000), 28, "compressed or encrypted by SQL Server"),
        ("packed", b"\x28\xb5\x2f\xfd" + random.randbytes(500), 28, "packed with zstd"),
    ):
        (tmp_path / name).write_bytes(content)
        done = run("inspect", tmp_path / name)
        assert done.returncode == code and part in done.stderr and part.removeprefix("is ") in done.stdout, f"{name}: {done}"
    done = run("inspect", tmp_path / "none", ledger.files[0], tmp_path)
    assert done.returncode == 11 and "none" in done.stderr and "is not a file" in done.stderr
    assert "full of größe" in done.stdout, "one bad file hides no other"
    assert run("inspect").returncode == 2


def test_any_bytes(ledger: Ledger, tmp_path: Path) -> None:
    """The fuzz target does this with millions; here the whole program sees some."""
    rng = random.Random(int(os.environ.get("INSPECT_SEED", "7")))
    seeds = [f.read_bytes() for f in ledger.files] + [p.read_bytes() for p in (ROOT / "tests" / "data" / "fuzz" / "media").iterdir()]
    files = []
    for number in range(60):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(min(len(data), 9000))
            data[at : at + rng.randrange(1, 9)] = rng.randbytes(rng.randrange(1, 9))
        files.append(tmp_path / f"{number}.bak")
        files[-1].write_bytes(data[: rng.randrange(1, len(data) + 1)])
    done = run("inspect", "-o", "json", *files)
    assert done.returncode in (0, 2, 25, 28), f"{done.returncode}\n{done.stderr[-3000:]}"
    assert len(json.loads(done.stdout)["files"]) == len(files)
    assert run("inspect", *files).returncode == done.returncode
