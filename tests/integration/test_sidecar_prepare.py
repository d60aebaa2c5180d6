# SPDX-License-Identifier: Apache-2.0
"""`mssql-sidecar --prepare`: what the first init container of a pod does on the volumes, as the user that it runs as there."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from fixtures.sidecar import BUILD, SANITIZER

USAGE, CONFIG, NOT_FOUND, PERMISSION = 2, 10, 11, 17
USER = 10001 if os.geteuid() == 0 else os.geteuid()


@pytest.fixture(scope="module")
def program():
    """A copy where every user can reach it."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield shutil.copy(BUILD / "sidecar" / "mssql-sidecar", folder)


@pytest.fixture
def volume():
    """A fresh volume as fsGroup leaves it: root's, and the group may write."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = Path(folder) / "data"
        path.mkdir()
        if USER == 10001:
            os.chown(path, 0, USER)
        path.chmod(0o2775)
        yield path


def run(program: str, *args: object, user: int = USER) -> subprocess.CompletedProcess:
    identity = {"user": user, "group": user, "extra_groups": []} if os.geteuid() == 0 else {}
    return subprocess.run([program, "--prepare", *map(str, args)], capture_output=True, text=True, timeout=60, env={**os.environ, **SANITIZER},
                          check=False, **identity)


def modes(folder: Path) -> dict[str, str]:
    return {p.name: f"{stat.S_IMODE(p.stat().st_mode):04o} {p.stat().st_uid}" for p in folder.iterdir()}


def test_makes_folders_once(program: str, volume: Path) -> None:
    args = (f"{volume}/mssql-sidecar=0750", f"{volume}/backup-staging")
    first = run(program, *args)
    assert first.returncode == 0 and first.stderr == ""
    assert [line.split(": ")[1].split(",")[0] for line in first.stdout.splitlines()] == ["made", "made"]
    made = {"mssql-sidecar": f"0750 {USER}", "backup-staging": f"2770 {USER}"}
    assert modes(volume) == made
    assert (volume / "backup-staging").stat().st_gid == volume.stat().st_gid  # so SQL Server's files get the group that we are in
    volume.chmod(0o555)  # nothing is to be made any more
    again = run(program, *args)
    assert again.returncode == 0 and again.stdout.count("as it should be") == 2
    assert modes(volume) == made


def test_all_folders_are_tried_and_each_failure_is_named(program: str, volume: Path) -> None:
    (volume / "link").symlink_to("/etc")
    (volume / "data").mkdir()
    (volume / "data" / "master.mdf").touch()
    done = run(program, volume / "link", volume / "data", volume / "nowhere" / "x", volume / "good")
    assert done.returncode == CONFIG  # of the first failure
    errors = done.stderr.splitlines()
    assert len(errors) == 3
    assert "link is a symbolic link" in errors[0]
    assert "holds 'master.mdf'" in errors[1] and "Name a folder of its own" in errors[1]
    assert "nowhere: No such file or directory" in errors[2] and "not mounted" in errors[2]
    assert (volume / "good").is_dir()
    assert run(program, volume / "nowhere" / "x").returncode == NOT_FOUND


def test_a_volume_that_may_not_be_written_names_the_way_out(program: str, volume: Path) -> None:
    if os.geteuid() == 0:
        os.chown(volume, 0, 0)
    volume.chmod(0o555)
    done = run(program, volume / "backup-staging")
    assert done.returncode == PERMISSION
    assert f"cannot be made by uid {USER}" in done.stderr and "set fsGroup" in done.stderr


@pytest.mark.parametrize("args, text", [
    ((), "which folders"),
    (("relative",), "not an absolute path"),
    (("VOLUME/x=0778",), "octal digits"),
    (("VOLUME/x", "--version"), "only one of these actions"),
    (("VOLUME/x", "--unknown", "1"), "unknown flag"),
], ids=["none", "relative", "mode", "two actions", "unknown flag"])
def test_usage(program: str, volume: Path, args: tuple, text: str) -> None:
    done = run(program, *(a.replace("VOLUME", str(volume)) for a in args))
    assert done.returncode == USAGE and text in done.stderr and done.stdout == ""
    assert not list(volume.iterdir())


def test_needs_no_configuration_and_no_environment(program: str, volume: Path) -> None:
    """The variables of the pod are those of the sidecar; a wrong one there must not stop the pod here."""
    done = subprocess.run([program, "--prepare", f"{volume}/a"], capture_output=True, text=True, timeout=60, check=False,
                          env={**SANITIZER, "MSSQL_SIDECAR_SQL_PORT": "many", "MSSQL_SIDECAR_CONFIG": "/nowhere"},
                          **({"user": USER, "group": USER, "extra_groups": []} if os.geteuid() == 0 else {}))
    assert done.returncode == 0, done.stderr
