# SPDX-License-Identifier: Apache-2.0
"""common/media against the files that a server writes: it says what the server's RESTORE HEADERONLY says."""

import datetime as dt
import json
import os
import random
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("MSSQL_BUILD", ROOT / "build" / "asan"))
PROBE = BUILD / "tests" / "integration" / "tools" / "mediaprobe"


def probe(*paths):
    """What is in each file, and whether they are stripes of one set."""
    done = subprocess.run([str(PROBE), *map(str, paths)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    *files, last = [json.loads(line) for line in done.stdout.splitlines()]
    return (files[0] if len(paths) == 1 else files), last["stripes"]


def header(sim, *paths):
    devices = ", ".join(f"DISK = N'{path}'" for path in paths)
    table = sim.query(f"RESTORE HEADERONLY FROM {devices}").sets[0]
    names = [c.name for c in table.columns]
    return [dict(zip(names, row)) for row in table.rows]


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stage")
    folder.chmod(0o770)
    return folder


@pytest.fixture
def database(shared_sim):
    name = f"m{random.randrange(10**9)}"
    shared_sim.query(f"CREATE DATABASE [{name}]")
    shared_sim.query(f"ALTER DATABASE [{name}] SET RECOVERY FULL")
    shared_sim.query("CREATE TABLE t (id int IDENTITY, v nvarchar(100)); INSERT INTO t (v) VALUES (N'row')", database=name)
    return name


def backup(sim, kind, database, *paths, options=""):
    what = "LOG" if kind == "log" else "DATABASE"
    more = ["DIFFERENTIAL"] if kind == "diff" else []
    devices = ", ".join(f"DISK = N'{path}'" for path in paths)
    sim.query(f"BACKUP {what} [{database}] TO {devices} WITH {', '.join([*more, options or 'CHECKSUM'])}")


def utc(local, offset):
    return (local - dt.timedelta(seconds=offset)).strftime("%Y-%m-%dT%H:%M:%SZ") if local else None


def text(guid):
    return str(guid).upper() if guid else None


def same(found, head):
    """A set as the reader and as the server see it."""
    for ours, theirs in (("first", "FirstLSN"), ("last", "LastLSN"), ("checkpoint", "CheckpointLSN"), ("databaseBackup", "DatabaseBackupLSN")):
        assert int(found[ours]) == head[theirs], theirs
    assert int(found["forkPoint"]) == (head["ForkPointLSN"] or 0)
    assert int(found["diffBaseLsn"]) == (head["DifferentialBaseLSN"] or 0)
    for ours, theirs in (("set", "BackupSetGUID"), ("family", "FamilyGUID"), ("binding", "BindingID"), ("firstFork", "FirstRecoveryForkID"),
                         ("lastFork", "RecoveryForkID"), ("diffBase", "DifferentialBaseGUID")):  # fmt: skip
        assert found[ours] == text(head[theirs]), theirs
    assert found["type"] == {1: "D", 2: "L", 5: "I"}[head["BackupType"]]
    for ours, theirs in (("position", "Position"), ("size", "BackupSize"), ("databaseVersion", "DatabaseVersion"),
                         ("compatibility", "CompatibilityLevel"), ("major", "SoftwareVersionMajor"), ("build", "SoftwareVersionBuild"),
                         ("database", "DatabaseName"), ("server", "ServerName"), ("user", "UserName"), ("machine", "MachineName")):  # fmt: skip
        assert found[ours] == head[theirs], theirs
    assert found["name"] == (head["BackupName"] or "") and found["description"] == (head["BackupDescription"] or "")
    offset = found["offset"]
    assert "TimeZone" not in head or offset == head["TimeZone"] * 900  # before 2022 only the files know it
    for ours, theirs in (("start", "BackupStartDate"), ("finish", "BackupFinishDate"), ("created", "DatabaseCreationDate")):
        assert found[ours] == utc(head[theirs] and head[theirs].replace(microsecond=0), offset), theirs
    assert found["complete"] == 1


@pytest.mark.parametrize("kind", ["full", "diff", "log"])
def test_agrees_with_headeronly(shared_sim, database, stage, kind):
    backup(shared_sim, "full", database, stage / f"{database}-base")
    shared_sim.query("INSERT INTO t (v) VALUES (N'more')", database=database)
    path = stage / f"{database}-x"
    backup(shared_sim, kind, database, path, options="CHECKSUM, NAME = N'Größe 🐘', DESCRIPTION = N'what it is'")
    found, _ = probe(path)
    assert (found["kind"], found["problem"], found["software"]) == ("plain", "whole", "Microsoft SQL Server")
    assert len(found["sets"]) == 1
    same(found["sets"][0], header(shared_sim, path)[0])


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/St_Johns", "UTC"])
@pytest.mark.parametrize("version", ["14", "17"])
def test_zones_and_versions(sim_factory, tmp_path, zone, version):
    sim = sim_factory(version=version, timezone=zone)
    sim.query("CREATE DATABASE db1")
    path = tmp_path / "x.bak"
    backup(sim, "full", "db1", path)
    same(probe(path)[0]["sets"][0], header(sim, path)[0])


def test_positions_and_a_copy(shared_sim, database, stage):
    path = stage / f"{database}-many"
    backup(shared_sim, "full", database, path)
    backup(shared_sim, "full", database, path, options="COPY_ONLY")
    for _ in range(3):
        shared_sim.query("INSERT INTO t (v) VALUES (N'more')", database=database)
        backup(shared_sim, "log", database, path)
    found, heads = probe(path)[0], header(shared_sim, path)
    assert len(heads) == 5 == len(found["sets"])
    for one, head in zip(found["sets"], heads):
        same(one, head)
        assert one["copyOnly"] == head["IsCopyOnly"]


def test_forks(shared_sim, database, stage):
    full, log, after = (stage / f"{database}-{n}" for n in ("full", "log", "after"))
    backup(shared_sim, "full", database, full)
    shared_sim.query("INSERT INTO t (v) VALUES (N'more')", database=database)
    backup(shared_sim, "log", database, log)
    shared_sim.query("INSERT INTO t (v) VALUES (N'given up')", database=database)
    shared_sim.query(f"RESTORE DATABASE [{database}] FROM DISK = N'{full}' WITH REPLACE, NORECOVERY")
    shared_sim.query(f"RESTORE LOG [{database}] FROM DISK = N'{log}' WITH RECOVERY")
    shared_sim.query("INSERT INTO t (v) VALUES (N'on a fork')", database=database)
    backup(shared_sim, "log", database, after)
    head = header(shared_sim, after)[0]
    assert head["FirstRecoveryForkID"] != head["RecoveryForkID"]
    same(probe(after)[0]["sets"][0], head)


def test_stripes(shared_sim, database, stage):
    paths = [stage / f"{database}-s{n}" for n in range(3)]
    backup(shared_sim, "full", database, *paths)
    files, stripes = probe(*paths)
    assert stripes == "yes"
    head = header(shared_sim, *paths)[0]
    for one in files:
        same(one["sets"][0], head)
    other = stage / f"{database}-other"
    backup(shared_sim, "full", database, other)
    assert probe(*paths[:2], other)[1] == "file 3 is of another backup than file 1"
    assert probe(*paths, paths[1])[1] == "file 4 is the same stripe as file 2"


def test_compressed_is_said_to_be_so(shared_sim, database, stage):
    path = stage / f"{database}-packed"
    backup(shared_sim, "full", database, path, options="COMPRESSION")
    found, stripes = probe(path)
    assert (found["kind"], found["sets"]) == ("container", []) and found["containerVersion"] > 0
    assert stripes == "file 1 is not an uncompressed backup but container"


def test_cut_and_damaged(shared_sim, database, stage, tmp_path):
    path, bad = stage / f"{database}-whole", tmp_path / "bad"
    backup(shared_sim, "full", database, path)
    data = path.read_bytes()
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    # behind the second ESET is only a file mark
    end = data.rindex(b"ESET") + 512
    sizes = [rng.randrange(52, len(data)) for _ in range(40)] + [end - 1, end, len(data) - 1]
    for size in sizes:
        bad.write_bytes(data[:size])
        found = probe(bad)[0]
        complete = bool(found["sets"]) and found["sets"][0]["complete"] == 1
        assert complete == (size >= end), (seed, size, end)
        assert found["problem"] == ("whole" if complete else "cut"), (seed, size)
        if complete:
            continue
        # the server thinks the same
        try:
            heads = header(shared_sim, bad)
        except Exception as err:
            assert getattr(err, "number", 0) in (3241, 3254), (seed, size, err)
        else:
            assert all(h["BackupName"] == "*** INCOMPLETE ***" for h in heads), (seed, size)
    for at in (60, 0x405, 0x600 + 30, 0xA00 + 20, 0xE00 + 40):
        changed = bytearray(data)
        changed[at & ~511 | at % 50] ^= 1
        bad.write_bytes(changed)
        assert probe(bad)[0]["problem"] == "damaged", at


def test_not_there(tmp_path):
    done = subprocess.run([str(PROBE), str(tmp_path / "absent")], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "No such file" in done.stderr and not done.stdout
