# SPDX-License-Identifier: Apache-2.0
"""mssqlctl against a running sidecar and a simulated SQL Server, and against a store alone."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import threading
import unicodedata
from pathlib import Path
from typing import Any, Callable

import pytest
import yaml
from fixtures.netprobe import authority, authority_factory  # noqa: F401
from fixtures.sidecar import BUILD, ROOT, SANITIZER, Sidecar, free_port, wait_for
from fixtures.sqlsim import Sim

pytestmark = pytest.mark.simulator("is about the command line; its databases have names of their own")

CTL = BUILD / "cli" / "mssqlctl"
RARE = {"policy": {"logBackup": {"interval": "1h"}, "healing": {"mode": "alert"}}}  # nothing happens by itself while a test looks
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
LONG = "größe 日本語 and a name that is much longer than any column of a table should ever be allowed to be"


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess:
    env = {**os.environ, **SANITIZER, **options.pop("env", {})}
    return subprocess.run([str(CTL), *map(str, arguments)], capture_output=True, text=True, timeout=120, env=env, **options)


def fails(done: subprocess.CompletedProcess, code: int, *parts: str) -> None:
    """One line on standard error, with the exit code of its class."""
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith("mssqlctl: "), done.stderr
    for part in parts:
        assert part in line, line


def columns(line: str) -> int:
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


def ask(sidecar: Sidecar, *arguments: str) -> Any:
    return json.loads(sidecar.ctl("-o", "json", *arguments).stdout)


def intervals(document: Any, database: str) -> list[tuple]:
    chain = next(c for c in document["chains"] if c["database"] == database)
    return [(i["fromAt"], i["untilAt"], i["fromLsn"], i["untilLsn"], i["forkGuid"]) for i in chain["intervals"]]


def make_database(sim: Sim, name: str) -> None:
    sim.query(f"CREATE DATABASE [{name}]")
    sim.query("CREATE TABLE dbo.t (id int identity primary key, n int)", name)
    sim.query("INSERT INTO dbo.t (n) VALUES (1)", name)


def break_chain(sim: Sim) -> None:
    sim.query("INSERT INTO dbo.t (n) VALUES (2)", "orders")
    sim.do("foreign_log", database="orders")
    sim.query("INSERT INTO dbo.t (n) VALUES (3)", "orders")


@pytest.fixture
def orders(sim: Sim, sidecar_factory: Callable[..., Sidecar]) -> Sidecar:
    """A sidecar with one database whose first full and log are in the store, and nothing else to do."""
    make_database(sim, "orders")
    sidecar = sidecar_factory(sim, **RARE)
    sidecar.wait_full("orders")
    sidecar.ctl("backup", "now", "--kind", "log", "orders")
    return sidecar


# ---- status ----


def test_status_says_it_at_a_glance(sim: Sim, orders: Sidecar) -> None:
    make_database(sim, LONG)
    orders.wait_full(LONG)
    text = orders.ctl("status").stdout
    document = ask(orders, "status")
    database = next(d for d in document["databases"] if d["name"] == "orders")
    until = re.sub(r"\.\d+Z", "Z", database["restorableUntilAt"])
    line = next(x for x in text.splitlines() if x.startswith("orders "))
    assert re.search(rf"^orders\s+intact\s+{TIME}\s+{until}\s", line), text
    assert "…" in next(x for x in text.splitlines() if x.startswith("größe")), text
    assert max(map(columns, text.splitlines())) <= 120, text
    assert text.index("!") < text.index("instance"), "what is not fine comes first"
    assert f"file://{orders.store}" in text and str(orders.staging) in text
    assert "\033" not in text


def test_status_of_named_databases_says_all(orders: Sidecar) -> None:
    text = orders.ctl("status", "ord*").stdout
    for part in (r"protected +yes, intact", rf"last full +{TIME} \(", rf"next log +{TIME} \(in ", "recovery model FULL", rf"restorable +{TIME} to {TIME}"):
        assert re.search(part, text), text
    fails(orders.ctl("status", "nothing*", check=False), 11, "no database of this server fits 'nothing*'")


def test_status_names_what_broke_the_chain(sim: Sim, sidecar_factory: Callable[..., Sidecar]) -> None:
    make_database(sim, "orders")
    orders = sidecar_factory(sim, policy={"healing": {"mode": "alert"}})
    orders.wait_full("orders")
    break_chain(sim)

    def seen(s: Sidecar) -> bool:
        database = s.database("orders")
        return database["chainState"] == "Broken" and any(h["cause"] == "foreign_log" for h in database["holes"])

    orders.wait_until("the hole to be seen", seen)
    text = orders.ctl("status").stdout
    assert re.search(r"^orders\s+BROKEN: (foreign_log|log_missing)", text, re.M), text
    assert "a log backup was taken outside of this program, by sa" in " ".join(text.split()), text
    assert "LogChainIntact is false" in text


def test_status_when_sql_server_is_away(sim: Sim, orders: Sidecar) -> None:
    sim.kill()
    orders.wait_until("the loss to be noticed", lambda s: not s.status()["sqlServer"]["reachable"])
    text = orders.ctl("status").stdout
    assert "SqlServerReachable is false" in text and re.search(r"SQL Server\s+not reachable at 127", text), text


# ---- formats ----


def test_json_and_yaml_are_the_same_data(sim: Sim, orders: Sidecar) -> None:
    make_database(sim, "yes: #1 \"quoted\"")
    orders.wait_full("yes: #1 \"quoted\"")
    for command in (("backups",), ("chain",), ("version",)):
        as_json = ask(orders, *command)
        as_yaml = yaml.safe_load(orders.ctl("-o", "yaml", *command).stdout)
        assert as_yaml == as_json
    assert ask(orders, "version")["sidecar"]["api"] == "mssql.v1"
    assert {b["database"] for b in ask(orders, "backups")["backups"]} >= {"orders", "yes: #1 \"quoted\""}


# ---- backups and chain ----


def test_backups_are_filtered(orders: Sidecar) -> None:
    for _ in range(3):
        orders.ctl("backup", "now", "--kind", "log", "orders")
    everything = ask(orders, "backups", "orders")
    assert [b["kind"] for b in everything["backups"]].count("Log") == 4
    finishes = [b["finishAt"] for b in everything["backups"]]
    assert finishes == sorted(finishes, reverse=True)
    some = ask(orders, "backups", "orders", "--kind", "log", "--limit", "2")
    assert len(some["backups"]) == 2 and some["total"] == 4
    assert "2 of 4; --limit 0 shows all" in orders.ctl("backups", "orders", "--kind", "log", "-n2").stdout
    assert len(ask(orders, "backups", "orders", "-k", "full", "-k", "log", "--limit", "0")["backups"]) == 5
    assert ask(orders, "backups", "orders", "--until", "2020-01-01")["backups"] == []
    assert len(ask(orders, "backups", "orders", "--since", "1h")["backups"]) == 5
    fails(orders.ctl("backups", "nosuch", check=False), 11, "'nosuch'")


def test_chain_shows_a_hole_and_its_cause(sim: Sim, orders: Sidecar) -> None:
    break_chain(sim)
    orders.ctl("backup", "now", "--kind", "full", "orders")
    orders.ctl("backup", "now", "--kind", "log", "orders")
    text = orders.ctl("chain", "orders").stdout
    assert len(re.findall(rf"restorable\s+{TIME}", text)) == 2, text
    hole = text.index("HOLE")
    assert text.index("restorable") < hole < text.rindex("restorable"), text
    fails(orders.ctl("chain", "nosuch", check=False), 11, "there is no database 'nosuch'")
    assert {c["database"] for c in ask(orders, "chain")["chains"]} == {"orders"}


# ---- backup now ----


def test_backup_now_is_success_only_when_every_database_is_done(sim: Sim, orders: Sidecar) -> None:
    sim.query("CREATE DATABASE plain")
    sim.query("ALTER DATABASE plain SET RECOVERY SIMPLE")
    orders.wait_full("plain")
    done = orders.ctl("backup", "now", "--kind", "diff", "--reason", "because", "orders", "plain")
    assert len(re.findall(r"^\w+: diff completed in ", done.stdout, re.M)) == 2, done.stdout
    assert "orders: " in done.stderr and "\033" not in done.stderr
    done = orders.ctl("backup", "now", "--kind", "log", "orders", "plain", check=False)
    fails(done, 20, "1 of 2 databases have a new backup")
    assert re.search(r"^plain: log skipped: simple", done.stdout, re.M), done.stdout
    assert re.search(r"^orders: log completed", done.stdout, re.M), done.stdout
    fails(orders.ctl("backup", "now", "ordesr", check=False), 11, "Did you mean 'orders'?")


def test_backup_now_that_fails_says_why(sim: Sim, orders: Sidecar) -> None:
    sim.do("fail_next", kind="full", number=3201, text="Cannot open backup device.", severity=16, count=10)
    done = orders.ctl("backup", "now", "--kind", "full", "orders", check=False)
    assert done.returncode not in (0, 2, 20), done
    assert re.search(r"^orders: full failed: .*\(SQL Server 3201\)$", done.stdout, re.M), done.stdout
    document = json.loads(orders.ctl("-o", "json", "backup", "now", "--kind", "full", "orders", check=False).stdout)
    assert document["results"][0]["state"] == "Failed" and document["summary"]["failed"] == 1
    assert document["results"][0]["sqlError"] == 3201


def test_backup_now_in_json_is_one_document(orders: Sidecar) -> None:
    done = orders.ctl("-o", "json", "backup", "now", "--kind", "full", "--copy-only", "orders")
    document = json.loads(done.stdout)
    assert [r["state"] for r in document["results"]] == ["Completed"]
    assert document["results"][0]["backup"]["copyOnly"] is True
    assert document["summary"] == {"completed": 1, "skipped": 0, "deferred": 0, "failed": 0}
    assert done.stderr == ""


def test_backup_now_without_waiting(sim: Sim, orders: Sidecar) -> None:
    sim.do("hold_at", kind="full", step="data")
    before = len(orders.manifests())
    done = orders.ctl("backup", "now", "--kind", "full", "--no-wait", "orders")
    assert re.match(r"accepted: 1 databases, request \w+\n", done.stdout), done.stdout
    assert len(orders.manifests()) == before
    assert sim.do("wait_held", timeout=30)
    sim.do("release")
    orders.wait_until("the backup that nobody waits for", lambda s: len(s.manifests()) > before)


class Watching:
    """A `backup now` that SQL Server holds in the middle."""

    def __init__(self, sim: Sim, sidecar: Sidecar, *flags: str) -> None:
        sim.do("hold_at", kind="full", step="data")
        self.sidecar, self.before = sidecar, len(sidecar.manifests())
        command = [str(CTL), "--address", f"unix://{sidecar.socket}", "backup", "now", "--kind", "full", *flags, "orders"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **SANITIZER})
        assert sim.do("wait_held", timeout=30)

    def interrupt(self) -> subprocess.CompletedProcess:
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=30)
        return subprocess.CompletedProcess([], self.process.returncode, out, err)

    def new(self) -> int:
        return len(self.sidecar.manifests()) - self.before


def test_ctrl_c_ends_the_watching_not_the_backup(sim: Sim, orders: Sidecar) -> None:
    watching = Watching(sim, orders)
    fails(watching.interrupt(), 19, "interrupted after 0 of 1 databases", "go on in the sidecar")
    assert watching.new() == 0
    job = next(d for d in ask(orders, "status")["databases"] if d["name"] == "orders")["job"]
    assert job["phase"] == "Taking"
    assert "taking" in orders.ctl("status").stdout
    sim.do("release")
    orders.wait_until("the backup to go on", lambda _: watching.new() == 1)


def test_ctrl_c_can_stop_the_backup(sim: Sim, orders: Sidecar) -> None:
    watching = Watching(sim, orders, "--stop-on-interrupt")
    fails(watching.interrupt(), 19, "told to stop the others")
    orders.wait_until("the job to end", lambda s: "job" not in s.database("orders"))
    sim.do("release")
    orders.wait_until("staging to be empty", lambda s: not s.staged())
    assert watching.new() == 0


def test_a_sidecar_that_dies_meanwhile(sim: Sim, orders: Sidecar) -> None:
    watching = Watching(sim, orders)
    orders.kill()
    out, err = watching.process.communicate(timeout=30)
    assert out == ""
    fails(subprocess.CompletedProcess([], watching.process.returncode, out, err), 15, "0 of 1 databases were done")


# ---- the terminal ----


def on_terminal(*arguments: str, env: dict[str, str] | None = None, until: Callable[[bytes], bool] | None = None, then: Callable[[], Any] = lambda: None) -> tuple[int, str]:
    """Runs it on a pseudo-terminal of 100 columns: exit code and all that was written. `then` runs once `until` is true of that."""
    master, slave = pty.openpty()
    import fcntl
    import struct
    import termios

    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    process = subprocess.Popen([str(CTL), *arguments], stdin=slave, stdout=slave, stderr=slave, env={**os.environ, **SANITIZER, **(env or {})})
    os.close(slave)
    written = bytearray()

    def read() -> None:
        try:
            while chunk := os.read(master, 65536):
                written.extend(chunk)
        except OSError:  # the other side is closed
            pass

    reader = threading.Thread(target=read)
    reader.start()
    if until is not None:
        wait_for("the terminal to show it", lambda: until(bytes(written)) or process.poll() is not None)
        then()
    code = process.wait(60)
    reader.join(10)
    os.close(master)
    return code, written.decode()


def test_colours_are_for_terminals(orders: Sidecar) -> None:
    address = ("--address", f"unix://{orders.socket}")
    assert "\033[32mintact\033[0m" in on_terminal(*address, "status")[1]
    table = re.sub(r"\033\[\d*m", "", on_terminal(*address, "status")[1]).partition("DATABASE")[2]  # above it are paths that stay whole
    assert max(map(columns, table.splitlines())) <= 100, table
    assert "\033" not in on_terminal(*address, "status", env={"NO_COLOR": "1"})[1]
    assert "\033" not in on_terminal(*address, "--no-color", "status")[1]
    assert "\033" in on_terminal(*address, "status", env={"NO_COLOR": ""})[1]
    assert "\033" not in on_terminal(*address, "status", "-o", "json")[1]


def test_a_terminal_has_a_progress_bar(sim: Sim, orders: Sidecar) -> None:
    sim.do("hold_at", kind="full", step="data")
    code, text = on_terminal(
        "--address", f"unix://{orders.socket}", "backup", "now", "--kind", "full", "orders",
        until=lambda seen: b"taking" in seen, then=lambda: sim.do("release"),
    )  # fmt: skip
    assert code == 0, text
    assert re.search(r"orders\s+full \[[#.]{24}\]\s+\d*%?\s*taking", text), text
    assert "\033[1A\033[J" in text, "the bar is drawn again in its place"
    assert re.search(r"\033\[J\033\[32morders: full completed in .*\033\[0m$", text.rstrip()), text


# ---- hold, pause, preflight ----


def test_hold_and_release(orders: Sidecar) -> None:
    full = next(b for b in ask(orders, "backups", "orders")["backups"] if b["kind"] == "Full")
    text = orders.ctl("hold", "orders", "--set", full["setGuid"], "--reason", "audit", "--expires", "30d", "--id", "audit-1").stdout
    assert re.match(rf"orders: hold audit-1 keeps 1 backups until {TIME}\n", text), text
    (held,) = ask(orders, "backups", "--held")["backups"]
    assert held["setGuid"] == full["setGuid"]
    assert len(list(orders.store.glob("*/*/*/holds/audit-1.json"))) == 1
    offline = json.loads(run("--store", f"file://{orders.store}", "-o", "json", "backups", "--held").stdout)
    assert [b["setGuid"] for b in offline["backups"]] == [full["setGuid"]]
    assert "held" in orders.ctl("backups", "orders").stdout
    assert orders.ctl("hold", "release", "orders", "audit-1").stdout == "orders: hold audit-1 is released\n"
    assert ask(orders, "backups", "--held")["backups"] == []
    fails(orders.ctl("hold", "release", "orders", "audit-1", check=False), 11, "audit-1")
    fails(orders.ctl("hold", "nosuch", "--from", "1h", "--reason", "x", check=False), 11, "nosuch")
    assert ask(orders, "hold", "orders", "--from", "1h", "--reason", "all of it")["backups"] == 2


def test_pause_and_resume(orders: Sidecar) -> None:
    text = orders.ctl("pause", "--for", "2h", "--reason", "index rebuild", "orders").stdout
    assert re.search(rf"^orders\s+{TIME}\s+{TIME}\s+.*index rebuild$", text, re.M), text
    orders.wait_until("the pause to be seen", lambda s: s.database("orders")["chainState"] == "Paused")
    assert re.search(r"^paused\s+orders until \S+: index rebuild", orders.ctl("status").stdout, re.M)
    assert orders.ctl("resume", "orders").stdout == "nothing is paused\n"
    fails(orders.ctl("pause", "--reason", "x", "nosuch", check=False), 11, "nosuch")


def test_preflight_fails_when_a_check_does(sim: Sim, orders: Sidecar) -> None:
    text = orders.ctl("preflight").stdout
    assert re.search(r"^ok\s+staging_write: ", text, re.M), text
    sim.do("eacces", path=str(orders.staging))
    done = orders.ctl("preflight", check=False)
    fails(done, 20, "1 of", "checks failed")
    assert re.search(r"^FAILED\s+staging_write: ", done.stdout, re.M), done.stdout


# ---- a store alone ----


def test_a_store_alone_says_what_the_sidecar_says(sim: Sim, orders: Sidecar, tmp_path: Path) -> None:
    break_chain(sim)
    orders.ctl("backup", "now", "--kind", "full", "orders")
    orders.ctl("backup", "now", "--kind", "log", "orders")
    online, listed = ask(orders, "chain", "orders"), ask(orders, "backups", "--limit", "0")
    assert orders.stop() == 0
    shutil.copytree(orders.store, tmp_path / "copy")
    (tmp_path / "copy" / "lost+found").mkdir()
    store = ("--store", f"file://{tmp_path}/copy")
    alone = json.loads(run(*store, "-o", "json", "chain", "orders").stdout)
    assert len(intervals(online, "orders")) == 2
    assert intervals(alone, "orders") == intervals(online, "orders")
    (chain,) = alone["chains"]
    assert chain["state"] is None and chain["tip"]["setGuid"] == online["chains"][0]["tip"]["setGuid"]
    also = json.loads(run(*store, "-o", "json", "backups", "--limit", "0").stdout)
    assert [b["setGuid"] for b in also["backups"]] == [b["setGuid"] for b in listed["backups"]]
    assert also["backups"][0]["runId"] != ""
    assert "HOLE" in run(*store, "chain").stdout
    fails(run(*store, "chain", "nosuch"), 11, "'nosuch'")


def test_a_damaged_manifest_hides_nothing_else(sim: Sim, orders: Sidecar) -> None:
    make_database(sim, "other")
    orders.wait_full("other")
    assert orders.stop() == 0
    (victim,) = orders.store.glob("*/*/other~*/full/*.json")
    victim.write_text(victim.read_text()[:100])
    store = ("--store", f"file://{orders.store}")
    done = run(*store, "backups")
    fails(done, 25, victim.name)
    assert "orders" in done.stdout and "other" not in done.stdout
    done = run(*store, "chain", "-o", "json")
    fails(done, 25, victim.name)
    assert [c["database"] for c in json.loads(done.stdout)["chains"]] == ["orders"]


def test_a_store_with_several_instances(orders: Sidecar, tmp_path: Path) -> None:
    assert orders.stop() == 0
    shutil.copytree(orders.store, tmp_path / "both")
    (namespace,) = (p for p in (tmp_path / "both").iterdir() if p.is_dir() and not p.name.startswith("."))
    shutil.copytree(namespace, tmp_path / "both" / "elsewhere")
    store = ("--store", f"file://{tmp_path}/both")
    fails(run(*store, "backups"), 2, "--scope", "elsewhere/sql", "tests/sql")
    fails(run(*store, "--scope", "tests/nosuch", "backups"), 11, "elsewhere/sql, tests/sql")
    assert run(*store, "--scope", "elsewhere/sql", "backups").returncode == 0
    (tmp_path / "empty").mkdir()
    fails(run("--store", f"file://{tmp_path}/empty", "chain"), 11, "holds no instance's backups")
    fails(run("--store", f"file://{tmp_path}/nothing", "chain"), 11, "nothing")
    fails(run("--store", "ftp://somewhere/x", "chain"), 28, "ftp")


# ---- reaching a sidecar ----


def test_nobody_is_there(orders: Sidecar, tmp_path: Path) -> None:
    orders.kill()  # the socket is still there
    fails(orders.ctl("status", check=False), 15, f"unix://{orders.socket}", "Does it run?")
    fails(run("status", env={"MSSQLCTL_ADDRESS": f"unix://{tmp_path}/none"}), 15, "none")
    fails(run("-a", f"127.0.0.1:{free_port()}", "status"), 15, "no sidecar answers")


def test_a_sidecar_that_does_not_answer(orders: Sidecar) -> None:
    orders.process.send_signal(signal.SIGSTOP)
    try:
        fails(orders.ctl("--timeout", "500ms", "status", check=False), 18, "--timeout")
    finally:
        orders.process.send_signal(signal.SIGCONT)


def test_tls(sim: Sim, sidecar_factory: Callable[..., Sidecar], authority, authority_factory) -> None:  # noqa: F811
    cert, key = authority.issue("sidecar.tests.svc")
    mine, mine_key = authority.issue("dba")
    port = free_port()
    tls = {"cert": str(cert), "key": str(key), "clientCa": str(authority.cert)}
    sidecar_factory(sim, grpc={"listen": f"127.0.0.1:{port}", "tls": tls})
    trust, show = ("--tls-ca", authority.cert), ("--tls-cert", mine, "--tls-key", mine_key)
    where = ("-a", f"127.0.0.1:{port}")
    assert run(*where, *trust, *show, "version").returncode == 0
    assert run(*where, *trust, *show, "--tls-server-name", "sidecar.tests.svc", "version").returncode == 0
    fails(run(*where, *trust, *show, "--tls-server-name", "other", "version"), 15, "no sidecar answers")
    fails(run(*where, "--tls-ca", authority_factory("foreign").cert, *show, "version"), 15)
    fails(run(*where, *trust, "version"), 15)
    fails(run(*where, *trust, "--tls-cert", mine, "version"), 10)
    fails(run(*where, "--tls-ca", "/nowhere/ca.pem", "version"), 10, "/nowhere/ca.pem")
    fails(run("-a", "unix:///tmp/x.sock", *trust, "version"), 2, "--tls-ca: a Unix socket has no TLS")


# ---- help, completion, reference ----


def test_the_reference_is_what_the_program_says() -> None:
    assert (ROOT / "docs/reference/mssqlctl.md").read_text() == run("__reference").stdout


def test_the_reference_of_the_plugin(tmp_path: Path) -> None:
    """The same program under another name."""
    plugin = tmp_path / "kubectl-mssql"
    plugin.symlink_to(CTL)
    said = subprocess.run([plugin, "__reference"], capture_output=True, text=True, check=True).stdout
    assert (ROOT / "docs/reference/kubectl-mssql.md").read_text() == said


def test_bash_completes(orders: Sidecar, tmp_path: Path) -> None:
    (tmp_path / "mssqlctl").symlink_to(CTL)
    script = tmp_path / "completion"
    script.write_text(run("completion", "bash").stdout)
    env = {**os.environ, **SANITIZER, "PATH": f"{tmp_path}:{os.environ['PATH']}", "MSSQLCTL_ADDRESS": f"unix://{orders.socket}"}

    def completes(*words: str) -> list[str]:
        text = 'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _mssqlctl; printf "%s\\n" "${COMPREPLY[@]}"'
        done = subprocess.run(["bash", "-c", text, str(script), "mssqlctl", *words], capture_output=True, text=True, env=env, timeout=60)
        assert done.returncode == 0 and done.stderr == "", done
        return done.stdout.split()

    assert completes("backup", "n") == ["now"]
    assert completes("backup", "now", "--kind", "d") == ["diff"]
    assert completes("chain", "ord") == ["orders"]
    assert "--copy-only" in completes("backup", "now", "--")
    subprocess.run(["shellcheck", "-s", "bash", str(script)], check=True)


def test_a_reader_that_had_enough() -> None:
    text = f"set -o pipefail; {CTL} help | true"
    for _ in range(5):
        done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, env={**os.environ, **SANITIZER})
        assert done.stderr == "" and done.returncode in (0, 141), done
