# SPDX-License-Identifier: Apache-2.0
"""/prestop, and who may stop backups for how long."""

from __future__ import annotations

import threading
from pathlib import Path

from fixtures.lab import Lab
from fixtures.restores import ready
from fixtures.sidecar import Sidecar, free_port

EVERY = {"policy": {"logBackup": {"interval": "10s"}}}


def logs(lab: Lab, sidecar: Sidecar) -> int:
    return lab.kinds(sidecar).count("log")


def said(sidecar: Sidecar, text: str) -> int:
    return sum(text in e["msg"] for e in sidecar.events())


def test_only_sql_server_restarts(own_lab: Lab) -> None:
    """kubelet calls the hook, stops SQL Server's container, and starts it again; the sidecar lives on."""
    lab = own_lab
    sidecar = lab.protected(**EVERY)
    sidecar.drained()
    assert sidecar.get("/readyz")[0] == 503
    before = logs(lab, sidecar)
    lab.sim.stop()
    sidecar.wait_until("the server to be missed", lambda s: s.condition("SqlServerReachable")["status"] == "False")
    assert sidecar.get("/readyz")[0] == 503, "it waits for the server"
    lab.sim.start()
    sidecar.wait_until("backups to go on", lambda s: said(s, "SQL Server was started again; backups go on"))
    assert sidecar.get("/readyz")[0] == 200
    lab.write()
    sidecar.wait_until("a scheduled log", lambda s: logs(lab, s) > before)
    sidecar.drained()  # a new life of the server: the hook works as the first time
    assert sidecar.get("/readyz")[0] == 503
    lab.load.stop()
    assert sidecar.stop() == 0


def test_a_stop_for_nothing_ends_and_is_not_believed_again(lab: Lab) -> None:
    sidecar = lab.protected(shutdown={"resumeAfter": "2s"}, **EVERY)
    sidecar.drained()
    sidecar.wait_until("backups to go on", lambda s: said(s, "SQL Server was not stopped; backups go on"))
    assert sidecar.get("/readyz")[0] == 200
    lab.write()
    before = logs(lab, sidecar)
    code, _ = sidecar.get("/prestop")
    assert code == 200 and logs(lab, sidecar) > before, "a last log is taken all the same"
    assert sidecar.get("/readyz")[0] == 200 and said(sidecar, "backups go on") >= 2
    before = logs(lab, sidecar)
    lab.write()
    sidecar.wait_until("a scheduled log", lambda s: logs(lab, s) > before)
    sidecar.wait_until("the time of mistrust to be over", lambda s: s.get("/prestop")[0] == 200 and s.get("/readyz")[0] == 503)
    lab.prove(sidecar)


def test_many_calls_are_one_stop(own_lab: Lab) -> None:
    lab = own_lab
    sidecar = lab.protected()
    lab.write()
    before = logs(lab, sidecar)
    lab.sim.do("hold_at", kind="log", step="opened")
    answers: list[tuple[int, str]] = []
    callers = [threading.Thread(target=lambda: answers.append(sidecar.get("/prestop", 60)), daemon=True) for _ in range(12)]
    for caller in callers:
        caller.start()
    assert lab.sim.do("wait_held")["result"]
    sidecar.wait_until("those that are too many", lambda _: len(answers) == 4)
    assert all(code == 429 for code, _ in answers), answers
    lab.load.stop()
    lab.sim.do("release")
    for caller in callers:
        caller.join(60)
    assert sorted(code for code, _ in answers) == [200] * 8 + [429] * 4, answers
    assert logs(lab, sidecar) == before + 1, "one last log for all of them"
    lab.prove(sidecar)


def test_an_address_of_its_own(lab: Lab) -> None:
    port = free_port()
    sidecar = lab.protected(http={"prestopListen": f"127.0.0.1:{port}"})
    assert sidecar.get("/prestop")[0] == 404
    assert sidecar.get("/readyz")[0] == 200
    other, sidecar.http = sidecar.http, port
    assert sidecar.get("/metrics")[0] == 404
    lab.load.stop()
    sidecar.drained()
    sidecar.http = other
    assert sidecar.get("/readyz")[0] == 503
    assert sidecar.stop() == 0


def test_work_that_hangs_does_not_hold_the_stop(lab: Lab, tmp_path: Path) -> None:
    """As on a volume whose server is dead: the worker cannot be ended, the program can, and the next start goes on."""
    sidecar = lab.protected()
    lab.write()
    lab.load.stop()
    sidecar.stop()
    pause = tmp_path / "pause"
    sidecar.config["shutdown"] = {"grace": "500ms", "leaveAfter": "2s"}
    sidecar.start(fault=f"staging.synced:before:pause:{pause}")
    ready(sidecar, lab.database)
    with sidecar.rpc() as rpc:
        events = rpc.run_backup(databases=[lab.database], kind="log", seconds=120)
        sidecar.wait_until("the worker to hang", lambda s: pause.exists())
        code = sidecar.stop()
        events.cancel()
    assert code == 18, f"the exit code of a timeout: {code}\n{sidecar.log()[-3000:]}"
    assert said(sidecar, "stopping by force") == 1
    pause.unlink()
    sidecar.start()
    sidecar.wait_shipped()
    lab.prove(sidecar)
