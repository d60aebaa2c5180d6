# SPDX-License-Identifier: Apache-2.0
"""--wait-for-config: in a pod a bad configuration must not end the sidecar, for SQL Server's container hangs on it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Iterator

import pytest
import yaml

from fixtures.sidecar import BUILD, SANITIZER, free_port, wait_for

SECRET = "Secret-Text-1"


class Waiting:
    def __init__(self, folder: Path, **env: str) -> None:
        self.folder, self.port, self.log = folder, free_port(), folder / "log"
        for name in ("staging", "state", "store"):
            (folder / name).mkdir()
        self.config: dict[str, Any] = {
            "sql": {"port": 1, "user": "sa"},
            "identity": {"instance": "sql"},
            "paths": {"staging": str(folder / "staging"), "state": str(folder / "state")},
            "store": {"url": f"file://{folder}/store"},
            "grpc": {"listen": f"unix://{folder}/s.sock"},
            "http": {"listen": f"127.0.0.1:{self.port}"},
            "policy": {"fullBackup": {"schedule": "61 * * * *"}},
        }
        self.write()
        command = [str(BUILD / "sidecar" / "mssql-sidecar"), "--config", str(folder / "c.yaml"), "--wait-for-config", f"127.0.0.1:{self.port}"]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **SANITIZER, **env})

    def write(self) -> None:
        new = self.folder / "c.new"
        new.write_text(yaml.safe_dump(self.config))
        new.rename(self.folder / "c.yaml")

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as err:
            return err.code, err.read().decode()
        except OSError as err:
            return 0, str(err)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Waiting]:
    made = Waiting(tmp_path, MSSQL_SIDECAR_SQL_PASSWORD=SECRET)
    yield made
    if made.process.poll() is None:
        made.process.kill()
        made.process.wait()
    text = made.log.read_text()
    assert "Sanitizer" not in text and "runtime error" not in text, text


def test_answers_probes_and_begins_when_the_file_is_good(waiting: Waiting) -> None:
    wait_for("the probe's answer", lambda: waiting.get("/healthz") == (200, "ok\n"))
    code, why = waiting.get("/readyz")
    assert code == 503 and "policy.fullBackup.schedule" in why and "61" in why
    assert waiting.get("/prestop") == (200, "nothing is backed up: the configuration is not good\n")
    assert waiting.get("/metrics")[0] == 404  # nobody takes it for a sidecar that works
    waiting.config["policy"]["fullBackup"]["schedule"] = "1 * * * *"
    waiting.config["policy"]["logBackup"] = {"interval": "1s"}  # another mistake: it is named, too
    waiting.write()
    wait_for("the second mistake to be named", lambda: "policy.logBackup.interval" in waiting.get("/readyz")[1])
    waiting.config["policy"]["logBackup"] = {"interval": "10s"}
    waiting.write()
    wait_for("the sidecar to serve", lambda: waiting.get("/status")[0] == 200)
    assert json.loads(waiting.get("/status")[1])["conditions"]
    text = waiting.log.read_text()
    assert text.count("is out of range") == 1 and text.count("policy.logBackup.interval") == 1 and "msg=serving" in text
    assert "password" not in text.lower() or SECRET not in text
    # the password came from the environment; it served every try, and is gone now
    assert SECRET.encode() not in Path(f"/proc/{waiting.process.pid}/environ").read_bytes()
    assert waiting.stop() == 0


def test_ends_when_asked(waiting: Waiting) -> None:
    wait_for("the probe's answer", lambda: waiting.get("/healthz")[0] == 200)
    assert waiting.stop() == 19
    assert "asked to stop" in waiting.log.read_text()


def test_without_the_flag_it_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("policy: {fullBackup: {schedule: 61 * * * *}}")
    command = [str(BUILD / "sidecar" / "mssql-sidecar"), "--config", str(tmp_path / "c.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, **SANITIZER}, check=False)
    assert done.returncode == 10


def test_an_address_that_cannot_be_had_is_said(tmp_path: Path) -> None:
    command = [str(BUILD / "sidecar" / "mssql-sidecar"), "--config", str(tmp_path / "none.yaml"), "--wait-for-config=nonsense"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, **SANITIZER}, check=False)
    assert done.returncode == 10 and "--wait-for-config" in done.stderr.splitlines()[-1]
