# SPDX-License-Identifier: Apache-2.0
"""mssqlctl export, and plans from a store and a catalog: what comes out restores with SQL Server alone."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any, Callable

import pytest
from fixtures.rows import Ledger, rfc3339, rows_of
from fixtures.sidecar import BUILD, SANITIZER, Sidecar
from fixtures.sqlsim import Sim

CTL = BUILD / "cli" / "mssqlctl"
pytestmark = pytest.mark.simulator("moves the server's clock, and has servers of its own")
RARE = {"policy": {"logBackup": {"interval": "1h"}, "healing": {"mode": "alert"}}}


def run(*arguments: Any, **options: Any) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(CTL), *map(str, arguments)], capture_output=True, text=True, timeout=120, env={**os.environ, **SANITIZER}, **options
    )


def good(*arguments: Any) -> str:
    done = run(*arguments)
    assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


class Shop:
    """A sidecar's store with two databases, and a ledger whose moments are known."""

    def __init__(self, source: Sim, sidecar: Sidecar, tmp_path: Path) -> None:
        self.source, self.sidecar = source, sidecar
        self.ledger = Ledger(source, "orders", tmp_path / "unused")
        source.query("CREATE DATABASE [other's]")
        self.ledger.add()
        sidecar.wait_full("orders")
        sidecar.wait_full("other's")
        for kind in ("log", "log", "full", "log", "diff", "log"):
            self.ledger.add(2)
            self.ledger.step()
            sidecar.ctl("backup", "now", "--kind", kind, "orders")
        self.store = f"file://{sidecar.store}"
        sidecar.wait_shipped()

    def moments(self) -> list[dt.datetime]:
        return sorted(self.ledger.moments.values())[1:]


@pytest.fixture
def target(sim_factory: Callable[..., Sim]) -> Sim:
    return sim_factory("target", timezone="America/St_Johns")


@pytest.fixture
def shop(sim_factory: Callable[..., Sim], sidecar_factory: Callable[..., Sidecar], tmp_path: Path) -> Shop:
    source = sim_factory("source", timezone="+05:30")
    return Shop(source, sidecar_factory(source, **RARE), tmp_path)


def folder_of(out: Path, name: str) -> Path:
    (found,) = [p for p in out.iterdir() if p.is_dir() and p.name.startswith(f"{name}~")]
    return found


def restore(sim: Sim, out: Path, name: str) -> list[int]:
    text = (folder_of(out, name) / "restore.sql").read_text()
    reply = sim.query(text)
    assert reply.sets[-1].rows == [(name, "ONLINE")], reply.messages
    rows = rows_of(sim, name)
    sim.query(f"DROP DATABASE [{name}]")
    return rows


def test_export_restores_with_sql_server_alone(shop: Shop, target: Sim, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for moment in shop.moments()[2::3]:
        good("--store", shop.store, "export", "--to", rfc3339(moment), "--database", "orders", out)
        assert restore(target, out, "orders") == shop.ledger.rows_at(moment), rfc3339(moment)
    text = good("--store", shop.store, "export", out)
    assert "orders to 20" in text and "other's to 20" in text, text
    assert shop.sidecar.stop() == 0
    shutil.rmtree(shop.sidecar.store)  # from here on there is SQL Server alone
    assert restore(target, out, "orders") == sorted(shop.ledger.moments)
    readme = (out / "README.txt").read_text()
    assert "orders~" in readme and "other%27s~" in readme and "sqlcmd -x -b -i" in readme
    other = (folder_of(out, "other%27s") / "restore.sql").read_text()
    assert target.query(other).sets[-1].rows == [("other's", "ONLINE")]


def test_an_ordinary_client_runs_the_script(shop: Shop, target: Sim, tmp_path: Path) -> None:
    """bsqldb reads a file and sends it as one batch, as sqlcmd does."""
    moment = shop.moments()[6]
    good("--store", shop.store, "export", "-d", "orders", "--to", rfc3339(moment), tmp_path / "out")
    config = tmp_path / "freetds.conf"
    config.write_text(f"[target]\n\thost = 127.0.0.1\n\tport = {target.port}\n\ttds version = 7.4\n")
    done = subprocess.run(
        ["bsqldb", "-S", "target", "-U", "sa", "-P", target.password, "-i", str(folder_of(tmp_path / "out", "orders") / "restore.sql")],
        capture_output=True, text=True, timeout=120, env={**os.environ, "FREETDSCONF": str(config)},
    )  # fmt: skip
    assert done.returncode == 0 and "ONLINE" in done.stdout, f"{done.stdout}\n{done.stderr}"
    assert rows_of(target, "orders") == shop.ledger.rows_at(moment)


def test_names_sort_in_order_and_nothing_is_fetched_twice(shop: Shop, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = json.loads(good("--store", shop.store, "-o", "json", "export", "-d", "orders", "--to", rfc3339(shop.moments()[4]), out))
    (database,) = first["databases"]
    names = [f["name"] for f in database["exported"]]
    assert names == sorted(names) and all(f["fetched"] for f in database["exported"])
    assert sorted(p.name for p in Path(database["directory"]).iterdir()) == sorted([*names, "restore.sql"])
    for member, name in zip(database["members"], names):
        manifest = json.loads((shop.sidecar.store / member["files"][0]).with_name(Path(member["files"][0]).name.split(".")[0] + ".json").read_text())
        assert hashlib.sha256((Path(database["directory"]) / name).read_bytes()).hexdigest() == manifest["objects"][0]["plainSha256"]
    victim = Path(database["directory"]) / names[0]
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    (Path(database["directory"]) / f".{names[1]}.part").write_bytes(b"half")
    (Path(database["directory"]) / ".of-another-plan.part").write_bytes(b"half")
    again = json.loads(good("--store", shop.store, "-o", "json", "export", "-d", "orders", "--to", rfc3339(shop.moments()[4]), out))
    assert [f["fetched"] for f in again["databases"][0]["exported"]] == [True] + [False] * (len(names) - 1)
    assert sorted(p.name for p in Path(database["directory"]).iterdir()) == sorted([*names, "restore.sql"]), "halves are gone"
    more = json.loads(good("--store", shop.store, "-o", "json", "export", "-d", "orders", "--to", rfc3339(shop.moments()[5]), out))
    files = more["databases"][0]["exported"]
    assert {f["name"] for f in files if not f["fetched"]} == {f["name"] for f in files} & set(names), "a name is the same in every plan"


def test_another_folder_on_the_server_and_names_of_files(shop: Shop, target: Sim, tmp_path: Path) -> None:
    out, seen = tmp_path / "out", tmp_path / "as the server sees it's"
    good("--store", shop.store, "export", "-d", "orders", "--server-dir", seen, out)
    out.rename(seen)
    assert restore(target, seen, "orders") == sorted(shop.ledger.moments)
    text = (folder_of(seen, "orders") / "restore.sql").read_text().replace("DECLARE @database sysname = N'orders'", "DECLARE @database sysname = N'a/b'")
    assert target.query(text).sets[-1].rows == [("a/b", "ONLINE")]
    files = target.query("SELECT physical_name FROM sys.master_files WHERE database_id = DB_ID(N'a/b') ORDER BY file_id").rows
    assert [Path(f[0]).name for f in files] == ["a_b_1.mdf", "a_b_2.ldf"]


def test_damage_is_gone_around_or_said(shop: Shop, target: Sim, tmp_path: Path) -> None:
    out = tmp_path / "out"
    whole = json.loads(good("--store", shop.store, "-o", "json", "plan", "-d", "orders", "--to", "latest"))
    full = shop.sidecar.store / whole["members"][0]["files"][0]
    data = bytearray(full.read_bytes())
    data[random.randrange(len(data) // 4, len(data) // 2)] ^= 1
    full.chmod(0o600)
    full.write_bytes(data)
    done = run("--store", shop.store, "export", "-d", "orders", out)
    assert done.returncode == 25 and "Another way around it is looked for" in done.stderr, done.stderr
    assert restore(target, out, "orders") == sorted(shop.ledger.moments), "an older full and all logs"
    full.unlink()
    done = run("--store", shop.store, "-o", "json", "plan", "-d", "orders")
    assert done.returncode == 11 and full.name in done.stderr, done.stderr
    assert json.loads(done.stdout)["members"][0]["backupSetGuid"] != whole["members"][0]["backupSetGuid"]
    for other in full.parent.glob("*.bak*"):
        other.unlink()
    shutil.rmtree(out)
    done = run("--store", shop.store, "export", "-d", "orders", out)
    assert done.returncode != 0 and not list(out.rglob("restore.sql")), "no script beside files that are not there"


def test_plans_from_a_store_and_its_catalog_are_the_same(shop: Shop, target: Sim, tmp_path: Path) -> None:
    moment = rfc3339(shop.moments()[5])
    alone = json.loads(good("--store", shop.store, "-o", "json", "plan", "-d", "orders", "--to", moment))
    both = json.loads(good("--store", shop.store, "-o", "json", "plan", "-d", "orders", "--to", moment, "--catalog", shop.sidecar.state))
    assert both == alone
    fast = json.loads(good("-o", "json", "plan", "-d", "orders", "--to", moment, "--catalog", shop.sidecar.state))
    assert [m["backupSetGuid"] for m in fast["members"]] == [m["backupSetGuid"] for m in alone["members"]]
    done = run("plan", "-d", "orders", "--catalog", shop.sidecar.state, "--tsql")
    assert done.returncode == 2 and "Say --store, too" in done.stderr
    windows = json.loads(good("--store", shop.store, "-o", "json", "windows"))["databases"]
    catalog = json.loads(good("-o", "json", "windows", "--catalog", shop.sidecar.state))["databases"]
    chains = {c["database"]: c for c in json.loads(shop.sidecar.ctl("-o", "json", "chain").stdout)["chains"]}
    assert [d["database"] for d in windows] == ["orders", "other's"]
    for a, b in zip(windows, catalog):
        assert a["intervals"] == b["intervals"] and a["holes"] == b["holes"] == []
        assert a["intervals"][0]["fromAt"] == chains[a["database"]]["intervals"][0]["fromAt"]
    assert "restorable" in good("--store", shop.store, "windows", "-d", "ord*")
    # the script says which files of `export` it wants
    out = tmp_path / "out"
    good("--store", shop.store, "export", "-d", "orders", "--to", moment, out)
    text = good("--store", shop.store, "plan", "-d", "orders", "--to", moment, "--tsql", "--server-dir", folder_of(out, "orders"), "--as", "copy")
    assert target.query(text).sets[-1].rows == [("copy", "ONLINE")]
    assert rows_of(target, "copy") == shop.ledger.rows_at(shop.moments()[5])


def test_a_marked_transaction(shop: Shop, target: Sim, tmp_path: Path) -> None:
    shop.ledger.step()
    shop.source.query("BEGIN TRANSACTION upgrade WITH MARK N'before it'; INSERT INTO dbo.ledger VALUES (100); COMMIT", "orders")
    shop.ledger.step()
    shop.source.query("INSERT INTO dbo.ledger VALUES (101)", "orders")
    shop.ledger.step()
    shop.sidecar.ctl("backup", "now", "--kind", "log", "orders")
    before = sorted(shop.ledger.moments)
    for to, want in (("mark:upgrade", [*before, 100]), ("before-mark:upgrade", before)):
        good("--store", shop.store, "export", "-d", "orders", "--to", to, tmp_path / "out")
        assert restore(target, tmp_path / "out", "orders") == want, to
    done = run("--store", shop.store, "-o", "json", "plan", "-d", "orders", "--to", "mark:nosuch")
    assert done.returncode == 11 and json.loads(done.stdout)["refusal"]["reason"] == "mark_unknown"
    done = run("plan", "-d", "orders", "--catalog", shop.sidecar.state, "--to", "mark:upgrade")
    assert done.returncode == 28 and "give --store" in done.stderr


def test_space_and_refusals(shop: Shop, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run("--store", shop.store, "-o", "json", "export", "--to", "2001-01-01T00:00:00Z", out)
    assert done.returncode == 11 and [d["refusal"]["reason"] for d in json.loads(done.stdout)["databases"]] == ["before_window"] * 2
    assert run("--store", shop.store, "export").returncode == 2
    assert run("export", out).returncode == 2
    assert run("--store", shop.store, "export", "-d", "nosuch", out).returncode == 11
    (tmp_path / "file").write_text("x")
    assert run("--store", shop.store, "export", tmp_path / "file").returncode != 0
    small = tmp_path / "small"
    small.mkdir()
    if os.geteuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], check=False).returncode == 0:
        try:
            done = run("--store", shop.store, "export", small)
            assert done.returncode == 22 and "free, and the backups need" in done.stderr, done.stderr
            assert not list(small.rglob("*.bak")), "nothing is begun that cannot end"
        finally:
            subprocess.run(["umount", small], check=True)
