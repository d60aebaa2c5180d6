# SPDX-License-Identifier: Apache-2.0
"""/prestop, and who may stop backups for how long."""

from __future__ import annotations

import threading

from fixtures.lab import Lab
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
