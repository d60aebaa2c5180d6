# SPDX-License-Identifier: Apache-2.0
"""Restores a database from nothing but a copy of a backup store, with tools that share no code with the product: JSON, `zstd -d`, and
RESTORE statements. Used by the demo and by every test that asks whether something was lost.

    plan = newest_plan(manifests(store), "db1")
    restore(server, store, plan, "db1_check", folder)
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Callable, Iterable, Optional


class Hole(Exception):
    """The store cannot restore the database to its end."""


def manifests(store: Path, scope: str = "*/*") -> list[dict[str, Any]]:
    """Every manifest, with its folder's path under "_folder"."""
    found = []
    for path in sorted(Path(store).glob(f"{scope}/*/*/*.json")):
        if path.parent.name in ("full", "diff", "log"):
            manifest = json.loads(path.read_text())
            manifest["_folder"] = path.parent.parent
            found.append(manifest)
    return found


def lsn(manifest: dict[str, Any], name: str) -> int:
    return int(manifest["lsn"].get(name, 0))


def kind(manifest: dict[str, Any]) -> str:
    return manifest["kind"]


def chain(manifest: dict[str, Any], name: str) -> Any:
    return manifest["chain"].get(name)


def dicts(answer: Any) -> list[dict[str, Any]]:
    """Rows of a reply of sqlsim.client, or of what wraps one, by column name."""
    reply = getattr(answer, "reply", answer)
    names = reply.sets[0].names if reply.sets else []
    return [dict(zip(names, row)) for row in reply.rows]


def plan_from(base: dict[str, Any], sets: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The base and every log that follows it without a gap; a differential of the base where one bridges a gap."""
    same = [m for m in sets if all(chain(m, key) == chain(base, key) for key in ("familyGuid", "incarnation"))]
    logs = sorted((m for m in same if kind(m) == "log"), key=lambda m: (lsn(m, "first"), lsn(m, "last")))
    diffs = [m for m in same if kind(m) == "diff" and chain(m, "differentialBaseGuid") == base["set"]["guid"]]
    plan, reached, fork = [base], lsn(base, "last"), chain(base, "lastForkGuid")
    for log in logs:
        # LSNs of two forks overlap: a log of another one is none of this chain
        if lsn(log, "last") <= reached or fork not in (chain(log, "firstForkGuid"), chain(log, "lastForkGuid")):
            continue
        if lsn(log, "first") > reached:
            bridges = [d for d in diffs if lsn(d, "last") >= lsn(log, "first")]
            if not bridges:
                break
            bridge = min(bridges, key=lambda d: lsn(d, "last"))
            plan, reached = [base, bridge], lsn(bridge, "last")
            if lsn(log, "last") <= reached:
                continue
        plan.append(log)
        reached, fork = lsn(log, "last"), chain(log, "lastForkGuid")
    return plan


def newest_plan(found: list[dict[str, Any]], database: str) -> list[dict[str, Any]]:
    """The plan that reaches the newest moment."""
    mine = [m for m in found if m["database"]["name"] == database]
    fulls = [m for m in mine if kind(m) == "full" and "damaged" not in m["set"].get("flags", [])]
    if not fulls:
        raise Hole(f"no usable full backup of {database} in the store")
    plans = [plan_from(full, mine) for full in fulls]
    return max(plans, key=lambda p: (chain(p[0], "incarnation") or 0, p[-1]["time"]["finish"], lsn(p[-1], "last"), lsn(p[0], "last")))


def fetch(manifest: dict[str, Any], folder: Path) -> list[Path]:
    """The plain files of a set, hashes checked."""
    files = []
    for obj in sorted(manifest["objects"], key=lambda o: o["stripe"]):
        stored = manifest["_folder"] / obj["name"]
        plain = folder / Path(obj["name"]).name.removesuffix(".zst")
        if stored.suffix == ".zst":
            subprocess.run(["zstd", "-d", "-q", "-f", "-o", str(plain), str(stored)], check=True)
        else:
            shutil.copyfile(stored, plain)
        digest = hashlib.sha256(plain.read_bytes()).hexdigest()
        assert digest == obj["plainSha256"], f"{plain}: hash differs from the manifest"
        plain.chmod(0o660)
        files.append(plain)
    return files


def restore(server: Any, plan: list[dict[str, Any]], name: str, folder: Path, data: Path, stop_at: Optional[str] = None,
            server_path: Callable[[Path], str] = str) -> None:  # fmt: skip
    """Runs the plan on a server (anything with query(sql)) under a new name. server_path: the server's name of a file of ours."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, manifest in enumerate(plan):
        paths = fetch(manifest, folder)
        disks = ", ".join(f"DISK = N'{server_path(p)}'" for p in paths)
        what = "LOG" if kind(manifest) == "log" else "DATABASE"
        options = ["NORECOVERY"]
        if number == 0:
            listed = dicts(server.query(f"RESTORE FILELISTONLY FROM {disks}"))
            for f in listed:
                suffix = "ldf" if f["Type"] == "L" else "mdf"
                options.append(f"MOVE N'{f['LogicalName']}' TO N'{data}/{name}_{f['LogicalName']}.{suffix}'")
        if stop_at and what == "LOG":
            options.append(f"STOPAT = N'{stop_at}'")
        server.query(f"RESTORE {what} [{name}] FROM {disks} WITH {', '.join(options)}")
        for path in paths:
            path.unlink()
    server.query(f"RESTORE DATABASE [{name}] WITH RECOVERY")
