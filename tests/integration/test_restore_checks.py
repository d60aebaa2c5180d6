# SPDX-License-Identifier: Apache-2.0
"""What stands against a restore is said before a byte is fetched, with what to do about it; nothing on the target is touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator

import pytest

import storecheck
from fixtures import history as past
from fixtures.history import History
from fixtures.restore import Done, Restore, copy_store, databases, values
from fixtures.sidecar import Sidecar
from fixtures.sqlsim import Sim

EXISTS, PERMISSION, SPACE, CRYPTO, UNSUPPORTED, NOT_FOUND = 12, 17, 22, 26, 28, 11


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, certificate: tuple[str, str]) -> Iterator[History]:
    """A store with one plain database and one with TDE; the server that they are of is gone."""
    folder = tmp_path_factory.mktemp("checks")
    sim = Sim(folder / "sql", certificate).start()
    sidecars: list[Sidecar] = []

    def make(server: Sim, name: str, **config: Any) -> Sidecar:
        sidecars.append(Sidecar(folder / name, server.port, server.password, **config))
        return sidecars[-1].start()

    sim.query("CREATE MASTER KEY ENCRYPTION BY PASSWORD = N'Long-Enough-1'; CREATE CERTIFICATE tde WITH SUBJECT = N'tde'")
    past.create(sim, "secret", ballast=1)
    sim.query("CREATE DATABASE ENCRYPTION KEY WITH ALGORITHM = AES_256 ENCRYPTION BY SERVER CERTIFICATE tde", "secret")
    sim.query("ALTER DATABASE [secret] SET ENCRYPTION ON")
    (thumbprint,) = storecheck.dicts(sim.query("SELECT CONVERT(varchar(64), thumbprint, 2) AS t FROM master.sys.certificates WHERE name = N'tde'"))
    past.create(sim, "plain", ballast=60)
    one = make(sim, "sidecar", **past.merge(past.QUIET, {"policy": {"databases": ["plain", "secret"]}}))
    for name in ("plain", "secret"):
        one.wait_full(name)
    h = History(sim, one, "plain").rows(3).backup("log")
    h.thumbprint = thumbprint["t"]
    past.end(h)
    sim.kill()
    yield h
    for sidecar in sidecars:
        sidecar.kill()
        sidecar.socket.unlink(missing_ok=True)


@pytest.fixture
def target(tmp_path: Path, certificate: tuple[str, str], request: pytest.FixtureRequest) -> Iterator[Sim]:
    """Its flags are the parameter, when there is one."""
    sim = Sim(tmp_path / "target", certificate, **getattr(request, "param", {})).start()
    yield sim
    sim.kill()


@pytest.fixture
def restore(source: History, target: Sim, tmp_path: Path) -> Restore:
    return Restore(target, source.sidecar.store, tmp_path)


def refused(restore: Restore, code: int, *arguments: str, database: str = "plain") -> Done:
    before = databases(restore.server)
    dry = restore.run("--to", "latest", "-d", database, "--dry-run", *arguments, code=code)
    done = restore.run("--to", "latest", "-d", database, *arguments, code=code)
    assert done.err == dry.err
    assert databases(restore.server) == before
    assert restore.staged() == [] and restore.journals() == []
    assert done.database["fetchedBytes"] == 0 if done.report["databases"] else True
    return done


def check(done: Done, name: str) -> dict[str, Any]:
    (found,) = [c for c in done.report["checks"] if c["name"] == name]
    return found


@pytest.mark.parametrize("target", [{"version": "15"}], indirect=True)
def test_an_older_server_is_refused(restore: Restore) -> None:
    done = refused(restore, UNSUPPORTED)
    assert "newer SQL Server" in done.err and "957" in done.err and "904" in done.err
    assert check(done, "version")["state"] == "error" and check(done, "version")["hint"]


@pytest.mark.parametrize("target", [{"version": "17"}], indirect=True)
def test_a_newer_server_upgrades_and_says_so(restore: Restore, source: History) -> None:
    done = restore.run("--to", "latest", "-d", "plain")
    assert check(done, "version")["state"] == "warning"
    assert values(restore.server, "plain") == source.all
    standby = restore.run("--to", "latest", "-d", "plain", "--as", "s", "--standby", str(restore.server.data), code=UNSUPPORTED)
    assert "STANDBY is not possible across versions" in standby.err


@pytest.mark.parametrize("target", [{"edition": "Express"}], indirect=True)
def test_the_size_that_express_can_hold(restore: Restore, source: History, tmp_path: Path) -> None:
    done = restore.run("--to", "latest", "-d", "plain")
    assert check(done, "edition")["state"] == "ok"
    import json
    import shutil

    store = tmp_path / "large"
    shutil.copytree(restore.store, store)
    for manifest in store.rglob("full/*.json"):
        text = json.loads(manifest.read_text())
        if text["database"]["name"] == "plain":
            next(f for f in text["files"] if f["type"] == "D")["sizeBytes"] = 11 << 30
            manifest.chmod(0o644)
            manifest.write_text(json.dumps(text))
    done = refused(Restore(restore.server, store, tmp_path / "l"), UNSUPPORTED, "--as", "again")
    assert "11.0 GiB" in done.err and "10.0 GiB" in done.err


def test_the_certificate_of_tde(restore: Restore, source: History) -> None:
    done = refused(restore, CRYPTO, database="secret")
    assert source.thumbprint in done.err.upper().replace("0X", ""), done.err
    assert "CREATE CERTIFICATE" in done.err
    restore.server.query("CREATE MASTER KEY ENCRYPTION BY PASSWORD = N'Long-Enough-1'")
    restore.server.do("certificate", name="tde", thumbprint=source.thumbprint)
    done = restore.run("--to", "latest", "-d", "secret")
    assert check(done, "tde")["state"] == "ok"
    assert done.database["state"] == "ONLINE"


@pytest.mark.parametrize("target", [{"collation": "Latin1_General_100_BIN2"}], indirect=True)
def test_another_collation_is_a_warning(restore: Restore, source: History) -> None:
    done = restore.run("--to", "latest", "-d", "plain")
    assert check(done, "collation")["state"] == "warning" and "Latin1_General_100_BIN2" in check(done, "collation")["message"]
    assert values(restore.server, "plain") == source.all


def test_too_little_room_per_volume(restore: Restore, source: History) -> None:
    restore.server.do("free_space", path=str(restore.server.data), bytes=1000)
    done = refused(restore, SPACE)
    found = check(done, "space")
    assert found["state"] == "error" and "1000 bytes" in found["message"] and "missing" in found["message"]
    restore.server.do("free_space", path=str(restore.server.data))
    restore.run("--to", "latest", "-d", "plain")
    assert values(restore.server, "plain") == source.all


def test_too_little_room_for_two(restore: Restore) -> None:
    """Each alone would fit."""
    one = restore.run("--to", "latest", "-d", "plain", "--dry-run")
    sizes = [m for m in storecheck.manifests(restore.store) if m["kind"] == "full"]
    need = {m["database"]["name"]: sum(f["sizeBytes"] for f in m["files"]) for m in sizes}
    assert one.code == 0
    restore.server.query("CREATE MASTER KEY ENCRYPTION BY PASSWORD = N'Long-Enough-1'")
    restore.server.do("certificate", name="tde", thumbprint=next(m["database"]["tdeThumbprint"] for m in sizes if m["database"]["name"] == "secret"))
    restore.server.do("free_space", path=str(restore.server.data), bytes=max(need.values()) + 1000)
    restore.run("--to", "latest", "-d", "plain", "--dry-run")
    restore.run("--to", "latest", "-d", "secret", "--dry-run")
    done = restore.run("--to", "latest", "-d", "plain", "-d", "secret", "--dry-run", code=SPACE)
    assert check(done, "space")["state"] == "error"


def test_a_file_that_belongs_to_nobody(restore: Restore, source: History) -> None:
    """Left behind by somebody: it is not overwritten, and a made-up name goes around it."""
    old = restore.server.data / "plain.mdf"
    old.write_bytes(b"somebody's")
    done = restore.run("--to", "latest", "-d", "plain", code=None)
    if done.code:
        assert done.code == EXISTS and str(old) in done.err and "belongs to no database" in done.err
        restore.run("--to", "latest", "-d", "plain", "--move", f"plain={restore.server.data / 'other.mdf'}")
    assert old.read_bytes() == b"somebody's"
    assert values(restore.server, "plain") == source.all


def test_files_of_other_databases(restore: Restore, source: History) -> None:
    """The names that the backups have are taken by another database."""
    restore.server.query("CREATE DATABASE other ON (NAME = other, FILENAME = N'{0}/plain.mdf') LOG ON (NAME = other_log, FILENAME = N'{0}/plain_log.ldf')".format(restore.server.data))
    done = refused(restore, EXISTS, "--move", f"plain={restore.server.data}/plain.mdf")
    assert "in use by database 'other'" in done.err
    restore.run("--to", "latest", "-d", "plain")
    assert values(restore.server, "plain") == source.all
    paths = [r["p"] for r in storecheck.dicts(restore.server.query("SELECT physical_name AS p FROM sys.master_files WHERE database_id > 4"))]
    assert len(set(paths)) == 4


def test_a_directory_that_is_not_there(restore: Restore, tmp_path: Path) -> None:
    done = refused(restore, NOT_FOUND, "--data-dir", str(tmp_path / "nowhere"))
    assert "is not there" in done.err and "nowhere" in done.err


def test_a_move_of_a_file_that_is_none(restore: Restore) -> None:
    done = refused(restore, 2, "--move", "nothing=/tmp/x.mdf")
    assert "no file 'nothing'" in done.err and "'plain'" in done.err


def test_system_databases_are_not_restored_over(restore: Restore) -> None:
    done = refused(restore, UNSUPPORTED, "--as", "msdb")
    assert "system database" in done.err or "msdb" in done.err


# --- the least rights ------------------------------------------------------------------------------------------------------


class Least(Restore):
    """With a login of its own."""

    def command(self, *arguments: str, **more: Any) -> list[str]:
        return [*super().command(*arguments, **more), "--user", "restorer"]


@pytest.fixture
def least(source: History, target: Sim, tmp_path: Path) -> Least:
    target.query("CREATE LOGIN [restorer] WITH PASSWORD = N'Long-Enough-1'")
    made = Least(target, copy_store(source.sidecar.store, tmp_path / "store"), tmp_path)
    made.password.write_text("Long-Enough-1")
    return made


def test_what_a_login_lacks_is_said_as_a_statement(least: Least, source: History) -> None:
    done = least.run("--to", "latest", "-d", "plain", code=None)
    assert done.code == PERMISSION, done.err
    assert "ALTER SERVER ROLE [dbcreator] ADD MEMBER [restorer]" in done.err, done.err
    least.server.query("ALTER SERVER ROLE [dbcreator] ADD MEMBER [restorer]")
    done = least.run("--to", "latest", "-d", "plain")
    assert values(least.server, "plain") == source.all
    assert any("VIEW SERVER STATE" in c["message"] + c["hint"] for c in done.report["checks"] if c["state"] == "unknown")


@pytest.fixture
def granted(least: Least) -> Least:
    """With what docs/reference/permissions.md lists, on the server and in msdb."""
    for statement in (
        "ALTER SERVER ROLE [dbcreator] ADD MEMBER [restorer]",
        "GRANT VIEW SERVER STATE TO [restorer]",
        "GRANT VIEW ANY DEFINITION TO [restorer]",
        "GRANT ALTER ANY CONNECTION TO [restorer]",
    ):
        least.server.query(statement)
    rights = ("backupset", "backupmediafamily", "logmarkhistory")
    least.server.query("CREATE USER [restorer] FOR LOGIN [restorer];" + "".join(f"GRANT SELECT ON dbo.{t} TO [restorer];" for t in rights), "msdb")
    least.run("--to", "latest", "-d", "plain")
    # It is the restorer's now, which would hide what is missing.
    least.server.query("ALTER AUTHORIZATION ON DATABASE::[plain] TO [sa]")
    least.server.query("INSERT INTO marks VALUES (50, SYSUTCDATETIME())", "plain")
    return least


def test_in_place_with_the_least_rights(granted: Least, source: History) -> None:
    granted.server.query("CREATE USER [restorer] FOR LOGIN [restorer]; ALTER ROLE [db_backupoperator] ADD MEMBER [restorer]", "plain")
    before = len(list(granted.store.rglob("log/*.json")))
    with granted.server.connect("plain"):
        done = granted.run("--to", "latest", "-d", "plain")
    assert done.database["replaces"] == "tail" and any("thrown out" in w for w in done.database["warnings"])
    assert values(granted.server, "plain") == [*source.all, 50]
    assert len(list(granted.store.rglob("log/*.json"))) == before + 1  # its tail, on the fork that it was on


def test_in_place_without_a_log_with_the_least_rights(granted: Least, source: History) -> None:
    granted.server.query("ALTER DATABASE [plain] SET RECOVERY SIMPLE")
    dry = granted.run("--to", "latest", "-d", "plain", "--dry-run", code=None)
    granted.run("--to", "latest", "-d", "plain", "--acknowledge-data-loss", dry.database["token"])
    assert values(granted.server, "plain") == source.all


def test_without_the_right_to_take_the_tail_nothing_is_touched(granted: Least) -> None:
    dry = granted.run("--to", "latest", "-d", "plain", "--dry-run", code=None)
    assert any(c["name"] == "permission" and "db_backupoperator" in c["message"] for c in dry.report["checks"])
    done = granted.run("--to", "latest", "-d", "plain", code=None)
    assert done.code == 31, done.err
    assert 50 in values(granted.server, "plain")
