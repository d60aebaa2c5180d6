# SPDX-License-Identifier: Apache-2.0
"""mssqlctl verify: a store that was written by a sidecar is read again, whole and damaged in every way."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Callable

import pytest

import storecheck
from fixtures.lab import Lab
from fixtures.sidecar import BUILD, SANITIZER

CORRUPT, NOT_FOUND, USAGE = 25, 11, 2
CONNECT = 15


def verify(store: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    done = subprocess.run(
        [str(BUILD / "cli" / "mssqlctl"), "verify", "--store", f"file://{store}", "-o", "json", *arguments],
        capture_output=True, text=True, timeout=120, env={**os.environ, **SANITIZER},
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout) if done.stdout.strip() else {}, done.stderr


@pytest.fixture(scope="module")
def written(lab_servers: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a full and logs of one database."""
    from fixtures.sidecar import Sidecar

    folder = tmp_path_factory.mktemp("written")
    made: list[Sidecar] = []

    def make(server: Any, name: str, start: bool = True, **config: Any) -> Sidecar:
        made.append(Sidecar(folder / name, server.port, server.password, **config))
        return made[-1].start()

    lab = Lab(*lab_servers, make, folder)
    try:
        sidecar = lab.protected()
        for _ in range(3):
            lab.write()
            sidecar.force(lab.database)
        lab.prove(sidecar)
        return sidecar.store
    finally:
        lab.close()
        for sidecar in made:
            sidecar.kill()
            sidecar.socket.unlink(missing_ok=True)


@pytest.fixture
def store(written: Path, tmp_path: Path) -> Path:
    shutil.copytree(written, tmp_path / "store")
    return tmp_path / "store"


def objects(store: Path) -> list[Path]:
    return sorted(m["_folder"] / o["name"] for m in storecheck.manifests(store) for o in m["objects"])


def manifest_files(store: Path) -> list[Path]:
    return sorted(p for p in store.glob("*/*/*/*/*.json") if p.parent.name in ("full", "diff", "log"))


def flip(store: Path) -> str:
    path = max(objects(store), key=lambda p: p.stat().st_size)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return "object_corrupt"


def cut(store: Path) -> str:
    path = objects(store)[0]
    path.write_bytes(path.read_bytes()[:-1])
    return "object_size"


def take_object(store: Path) -> str:
    objects(store)[0].unlink()
    return "object_missing"


def swap_objects(store: Path) -> str:
    a, b = [p for p in objects(store) if p.parent.name == "log"][:2]
    data = a.read_bytes()
    a.write_bytes(b.read_bytes())
    b.write_bytes(data)
    return "object_"


def swap_manifests(store: Path) -> str:
    a, b = [p for p in manifest_files(store) if p.parent.name == "log"][:2]
    data = a.read_bytes()
    a.write_bytes(b.read_bytes())
    b.write_bytes(data)
    return "manifest"


def garble_manifest(store: Path) -> str:
    path = manifest_files(store)[0]
    path.write_bytes(path.read_bytes()[:50])
    return "manifest"


def take_manifest(store: Path) -> str:
    by_sequence = sorted(storecheck.manifests(store), key=lambda m: m["sequence"])
    named = by_sequence[-1]["previous"]
    (by_sequence[-1]["_folder"] / named).unlink()
    return "manifest_missing"


def test_all_is_well(store: Path) -> None:
    code, told, errors = verify(store)
    assert (code, told["findings"], errors) == (0, [], "")
    assert told["sets"] == len(storecheck.manifests(store)) > 3
    assert told["storedBytes"] == sum(p.stat().st_size for p in objects(store))


@pytest.mark.parametrize("damage", [flip, cut, take_object, swap_objects, swap_manifests, garble_manifest, take_manifest], ids=lambda f: f.__name__)
def test_damage_is_found_and_named(store: Path, damage: Callable[[Path], str]) -> None:
    before = {p: p.read_bytes() for p in store.rglob("*") if p.is_file()}
    problem = damage(store)
    after = {p: p.read_bytes() for p in store.rglob("*") if p.is_file()}
    changed = {p for p in before.keys() | after.keys() if before.get(p) != after.get(p)}
    code, told, errors = verify(store)
    assert code == CORRUPT
    assert told["findings"] and all(f["problem"].startswith(problem) and f["loss"] for f in told["findings"])
    assert {store / f["name"] for f in told["findings"]} == changed
    assert "take a full backup" in errors
    assert {p: p.read_bytes() for p in store.rglob("*") if p.is_file()} == after, "verify changed the store"


def test_sizes_only_does_not_read(store: Path) -> None:
    flip(store)
    assert verify(store, "--sizes-only")[0] == 0
    cut(store)
    assert verify(store, "--sizes-only")[0] == CORRUPT


def test_one_database(store: Path) -> None:
    name = storecheck.manifests(store)[0]["database"]["name"]
    code, told, _ = verify(store, name)
    assert code == 0 and told["databases"] == 1 and told["sets"] > 0
    code, _, errors = verify(store, "nosuch")
    assert code == NOT_FOUND and "nosuch" in errors


def test_without_a_store_a_sidecar_is_asked(store: Path, tmp_path: Path) -> None:
    nobody = [str(BUILD / "cli" / "mssqlctl"), "--address", f"unix://{tmp_path}/nobody.sock", "verify"]
    for more, code in (([], CONNECT), (["--rate", "1Mi"], USAGE)):
        done = subprocess.run([*nobody, *more], capture_output=True, text=True, timeout=60, env={**os.environ, **SANITIZER})
        assert done.returncode == code, done
    assert "--store" in done.stderr
    assert verify(store, "--rate", "fast")[0] == USAGE
