# SPDX-License-Identifier: Apache-2.0
"""An interrupted log backup of which nobody can tell whether it was taken: its file may be the only copy."""

from __future__ import annotations

import pytest

from fixtures.lab import Lab
from fixtures.restores import ready
from fixtures.sidecar import Sidecar, wait_for

pytestmark = pytest.mark.simulator("tears a staged file, and denies a right in msdb")


def interrupted(lab: Lab, denied: bool) -> Sidecar:
    """BACKUP LOG succeeded, the sidecar was killed before it was noted, and the power loss took the end of the file."""
    sidecar = lab.protected()
    sidecar.stop()
    (sidecar.folder / "low").write_text("Low-Password-1")
    low = {"user": "backup_only", "passwordFile": str(sidecar.folder / "low")}
    sidecar.config["sql"].update({**low, "adminUser": "sa", "adminPasswordFile": str(sidecar.folder / "password")})
    sidecar.start(fault="staging.synced:before:kill")
    ready(sidecar, lab.database)
    lab.write(5)
    lab.load.stop()
    with sidecar.rpc() as rpc:
        events = rpc.run_backup(databases=[lab.database], kind="log", seconds=120)
        assert wait_for("the kill", lambda: sidecar.process.poll()) == -9
        events.cancel()
    (staged,) = sidecar.staged()
    with open(sidecar.staging / staged, "r+b") as f:
        f.truncate(f.seek(0, 2) - 1500)
    del sidecar.config["sql"]["adminUser"], sidecar.config["sql"]["adminPasswordFile"]
    if denied:
        lab.sim.query("DENY SELECT ON dbo.backupset TO [backup_only]", "msdb")
    return sidecar


def test_without_msdb_the_file_is_set_aside(lab: Lab) -> None:
    sidecar = interrupted(lab, denied=True)
    (staged,) = sidecar.staged()
    whole = (sidecar.staging / staged).read_bytes()
    sidecar.start()
    told = sidecar.wait_until("it to be told", lambda s: (c := s.condition("StagingWritable"))["reason"] == "FilesSetAside" and c)
    assert told["status"] == "True" and "1 files that end in .unsure" in told["message"], told
    assert (sidecar.staging / f"{staged}.unsure").read_bytes() == whole
    assert sidecar.metrics()["mssql_sidecar_staging_set_aside_files"] == 1
    assert '"interrupted log backup cannot be read, and msdb cannot be asked whether it was taken: its file is set aside"' in sidecar.log()
    sidecar.wait_until("the chain to go on", lambda s: s.status()["staging"]["unshipped"] == 0 and s.database(lab.database).get("chainState"))
    sidecar.stop()
    sidecar.start()  # looked at by nobody, and forgotten by nobody
    sidecar.wait_until("it to be told again", lambda s: s.condition("StagingWritable")["reason"] == "FilesSetAside")
    assert (sidecar.staging / f"{staged}.unsure").read_bytes() == whole
    lab.sim.query("REVOKE SELECT ON dbo.backupset TO [backup_only]", "msdb")
    assert sidecar.stop() == 0
