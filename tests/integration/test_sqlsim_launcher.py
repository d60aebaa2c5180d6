# SPDX-License-Identifier: Apache-2.0
"""python3 -m sqlsim: flags, environment, many instances, signals; and its control port."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest
from fixtures.sqlsim import SA_PASSWORD, TESTS
from fixtures.wire import wait_for

from sqlsim.__main__ import container_values, edition_name, gather, parse_arguments
from sqlsim.client import Client, ConnectionLost, ServerError
from sqlsim.control import Control
from sqlsim.instance import ConfigError, InstanceConfig, parse_version, split_address

pytestmark = pytest.mark.simulator("it is the simulator that is tested")

READY = "SQL Server is now ready for client connections"


def launch(*flags, env=None):
    return subprocess.run(
        [sys.executable, "-m", "sqlsim", *flags], capture_output=True, text=True, timeout=60, check=False,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(TESTS), **(env or {})},
    )  # fmt: skip


# Configuration.


@pytest.mark.parametrize(
    "flags,says",
    [
        ((), "ACCEPT_EULA"),
        (("--data", "x", "--version", "13"), "13"),
        (("--data", "x", "--edition", "Gold"), "Gold"),
        (("--data", "x", "--cert", "a"), "key"),
        (("--data", "x", "--listen", "nonsense"), "HOST:PORT"),
        (("--config", "/nowhere.json"), "/nowhere.json"),
        (("--data", "x", "--cert", "/nowhere", "--key", "/nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_is_said(tmp_path, flags, says):
    flags = tuple(str(tmp_path / "d") if f == "x" else f for f in flags)
    done = launch(*flags)
    assert done.returncode == 1 and says in done.stderr and "Traceback" not in done.stderr


def test_versions_editions_and_addresses():
    assert parse_version("16")[:2] == (16, 0) and parse_version("15.0.1.2") == (15, 0, 1, 2)
    assert (
        edition_name("express") == "Express Edition (64-bit)" and edition_name("Odd Edition (64-bit)") == "Odd Edition (64-bit)"
    )
    assert split_address(":1433") == ("0.0.0.0", 1433)
    for bad in ("1", "16.0", "x"):
        with pytest.raises(ConfigError):
            parse_version(bad)
    with pytest.raises(ConfigError, match="colour"):
        InstanceConfig.from_dict({"colour": "red"})


def test_container_environment(tmp_path):
    env = {
        "ACCEPT_EULA": "Y",
        "MSSQL_SA_PASSWORD": "Str0ng-pass",
        "MSSQL_PID": "Express",
        "MSSQL_TCP_PORT": "14330",
        "MSSQL_DATA_DIR": str(tmp_path / "d"),
        "MSSQL_BACKUP_DIR": "/b",
        "MSSQL_COLLATION": "Latin1_General_100_CI_AS",
        "TZ": "Europe/Paris",
    }
    values = container_values(env)
    assert values == {
        "data": str(tmp_path / "d"),
        "listen": "0.0.0.0:14330",
        "sa_password": "Str0ng-pass",
        "edition": "Express Edition (64-bit)",
        "backup_dir": "/b",
        "collation": "Latin1_General_100_CI_AS",
        "timezone": "Europe/Paris",
    }
    with pytest.raises(ConfigError, match="Password validation"):
        container_values({**env, "MSSQL_SA_PASSWORD": "weak"})
    (config,), _ = gather(parse_arguments(["--listen", "127.0.0.1:0"]), env)
    assert config.listen == "127.0.0.1:0" and config.timezone == "Europe/Paris"
    assert container_values({"ACCEPT_EULA": "y", "SA_PASSWORD": "Str0ng-pass"})["data"] == "/var/opt/mssql/data"


def test_container_start_and_sigterm(tmp_path):
    port = socket.create_server(("127.0.0.1", 0))
    number = port.getsockname()[1]
    port.close()
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(TESTS),
        "ACCEPT_EULA": "Y",
        "MSSQL_SA_PASSWORD": SA_PASSWORD,
        "MSSQL_TCP_PORT": str(number),
        "MSSQL_IP_ADDRESS": "127.0.0.1",
        "MSSQL_DATA_DIR": str(tmp_path / "data"),
    }
    process = subprocess.Popen([sys.executable, "-m", "sqlsim"], stdout=subprocess.PIPE, text=True, env=env)
    try:
        lines = []
        while not lines or "Recovery is complete." not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], "".join(lines)
        assert any(READY in line for line in lines)
        with Client("127.0.0.1", number, "sa", SA_PASSWORD) as client:
            assert client.query("SELECT 1").value == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def test_many_instances_in_one_process(tmp_path, certificate):
    instances = [
        {
            "name": f"sql{n}",
            "data": str(tmp_path / f"d{n}"),
            "sa_password": SA_PASSWORD,
            "version": str(13 + n),
            "cert": certificate[0],
            "key": certificate[1],
        }
        for n in (1, 2, 3, 4)
    ]
    config, ports = tmp_path / "config.json", tmp_path / "ports.json"
    config.write_text(json.dumps({"instances": instances, "control": "127.0.0.1:0"}))
    process = subprocess.Popen(
        [sys.executable, "-m", "sqlsim", "--config", str(config), "--port-file", str(ports)], stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )  # fmt: skip
    try:
        wait_for(ports.exists, "the port file", 60)
        told = json.loads(ports.read_text())
        assert sorted(told["instances"]) == ["sql1", "sql2", "sql3", "sql4"] and "port" not in told
        for n in (1, 2, 3, 4):
            with Client("127.0.0.1", told["instances"][f"sql{n}"]["port"], "sa", SA_PASSWORD) as client:
                assert client.query("SELECT CAST(SERVERPROPERTY('ProductMajorVersion') AS int)").value == 13 + n
                assert client.query("SELECT @@SERVERNAME").value == f"sql{n}"
        with Control("127.0.0.1", told["control"]) as control:
            with pytest.raises(RuntimeError, match="instance"):
                control.do("sessions")
            control.do("refuse_connections", instance="sql2")
            with pytest.raises(ConnectionLost):
                Client("127.0.0.1", told["instances"]["sql2"]["port"], "sa", SA_PASSWORD)
            Client("127.0.0.1", told["instances"]["sql3"]["port"], "sa", SA_PASSWORD).close()
            control.do("shutdown")
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


def test_config_with_doubles_is_refused(tmp_path):
    config = tmp_path / "c.json"
    for content, says in (
        ([{"data": "a", "name": "x"}, {"data": "b", "name": "x"}], "same name"),
        ([{"data": "a"}, {"data": "a"}], "data folder"),
        ([], "instances"),
        ({"instances": [{"data": "a"}], "extra": 1}, "extra"),
        ([{"dta": "a"}], "dta"),
    ):
        config.write_text(json.dumps(content))
        done = launch("--config", str(config))
        assert done.returncode == 1 and says in done.stderr


# The life of a server.


def test_data_survives_stop_and_kill(sim):
    sim.query("CREATE DATABASE life")
    sim.query("CREATE TABLE dbo.t (id int)", "life")
    sim.query("INSERT INTO dbo.t VALUES (1)", "life")
    port = sim.port
    assert sim.stop() == 0
    with pytest.raises(ConnectionLost):
        sim.connect()
    sim.start()
    assert sim.port == port
    sim.query("INSERT INTO dbo.t VALUES (2)", "life")
    sim.kill()
    sim.start()
    assert sim.query("SELECT COUNT(*), SUM(id) FROM dbo.t", "life").rows == [(2, 3)]
    assert READY in sim.log.read_text()


def make_database(sim, name, rows=200):
    sim.query(f"CREATE DATABASE {name}")
    sim.query(f"ALTER DATABASE {name} SET RECOVERY FULL")
    sim.query("CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, v nvarchar(400))", name)
    values = ", ".join(f"({n}, N'{'x' * 200}')" for n in range(rows))
    sim.query(f"INSERT INTO dbo.t (id, v) VALUES {values}", name)


def start_slow_backup(sim, name, path):
    sim.do("slow_io", bytes_per_s=20_000)
    client = sim.connect(app="backup")
    client.send_batch(f"BACKUP DATABASE {name} TO DISK = N'{path}' WITH INIT, STATS = 1")
    wait_for(lambda: any("BACKUP" in s["running"] for s in sim.do("sessions")["sessions"]), "the backup runs")
    wait_for(path.exists, "the backup writes")
    return client


def test_sigterm_aborts_a_running_backup(sim, tmp_path):
    make_database(sim, "term")
    client = start_slow_backup(sim, "term", tmp_path / "term.bak")
    assert sim.stop() == 0
    try:
        errors = [e.number for e in client.read_reply().errors]
        assert 6005 in errors or 3013 in errors
    except ConnectionLost:
        pass
    sim.start()
    assert sim.query("SELECT COUNT(*) FROM msdb.dbo.backupset WHERE database_name = 'term'").value == 0


def test_session_is_dropped_in_the_middle_of_a_backup(sim, tmp_path):
    make_database(sim, "drop1")
    client = start_slow_backup(sim, "drop1", tmp_path / "drop1.bak")
    dropped = sim.do("drop_session", running=r"^\s*BACKUP", wait=10)["dropped"]
    assert len(dropped) == 1
    with pytest.raises(ConnectionLost):
        while True:
            client.read_packet()
    wait_for(lambda: not [s for s in sim.do("sessions")["sessions"] if s["app"] == "backup"], "the session is gone")
    sim.do("slow_io", bytes_per_s=0)
    sim.query(f"BACKUP DATABASE drop1 TO DISK = N'{tmp_path / 'again.bak'}' WITH INIT")
    assert sim.query("SELECT COUNT(*) FROM msdb.dbo.backupset WHERE database_name = 'drop1'").value == 1


def test_cancelled_backup_leaves_the_connection_usable(sim, tmp_path):
    make_database(sim, "cancel1")
    client = start_slow_backup(sim, "cancel1", tmp_path / "cancel1.bak")
    replies = client.cancel()
    assert replies[-1].dones[-1].status == 0x20
    assert client.query("SELECT COUNT(*) FROM msdb.dbo.backupset WHERE database_name = 'cancel1'").value == 0
    client.close()


def test_lost_reply_of_a_backup_that_succeeded(sim, tmp_path):
    make_database(sim, "lost")
    sim.do("lose_reply", match="BACKUP DATABASE lost")
    with pytest.raises(ConnectionLost):
        sim.query(f"BACKUP DATABASE lost TO DISK = N'{tmp_path / 'lost.bak'}' WITH INIT")
    assert sim.query("SELECT COUNT(*) FROM msdb.dbo.backupset WHERE database_name = 'lost'").value == 1


def test_kill_statement(sim):
    client, other = sim.connect(), sim.connect()
    spid = client.query("SELECT @@SPID").value
    assert spid == client.spid
    client.send_batch("WAITFOR DELAY '00:01:00'")
    wait_for(lambda: any("WAITFOR" in s["running"] for s in sim.do("sessions")["sessions"]), "it waits")
    other.query(f"KILL {spid}")
    try:
        assert [e.number for e in client.read_reply().errors] == [596]
    except ConnectionLost:
        pass
    with pytest.raises(ConnectionLost):
        client.query("SELECT 1")
    other.close()


def what_a_client_sees(sim, database=""):
    try:
        sim.connect(database, timeout=5).close()
        return "in"
    except ServerError as err:
        return err.number
    except (ConnectionLost, TimeoutError):
        return "refused"


def test_restart_goes_through_the_phases_of_a_start(sim):
    sim.query("CREATE DATABASE phases")
    held = sim.connect()
    names = ("refused", "login_failed", "script_upgrade", "recovering")
    sim.do("restart", phases=[{"phase": name, "seconds": 0.6} for name in names], wait=False)
    seen = []

    def look():
        now = what_a_client_sees(sim, "phases")
        if now != "in" or "refused" in seen:
            if not seen or seen[-1] != now:
                seen.append(now)
        return seen and seen[-1] == "in"

    wait_for(look, "the server is ready again", 30)
    assert seen == ["refused", 18456, 18401, 4060, "in"]
    with pytest.raises(ConnectionLost):
        held.query("SELECT 1")
    assert sim.do("instances")["instances"][0]["phase"] == "ready"


def test_crash_restart_keeps_what_was_committed(sim):
    sim.query("CREATE DATABASE crash1")
    sim.query("CREATE TABLE dbo.t (id int)", "crash1")
    open_tran = sim.connect("crash1")
    sim.query("INSERT INTO dbo.t VALUES (1)", "crash1")
    open_tran.query("BEGIN TRAN INSERT INTO dbo.t VALUES (2)")
    sim.do("restart", crash=True)
    assert sim.query("SELECT COUNT(*) FROM dbo.t", "crash1").value == 1


def test_stop_and_start_of_an_instance(sim):
    sim.do("stop")
    assert what_a_client_sees(sim) == "refused"
    with pytest.raises(RuntimeError):
        sim.do("restart", phases=[{"phase": "nonsense"}])
    sim.do("start")
    assert what_a_client_sees(sim) == "in"
    with pytest.raises(RuntimeError, match="runs"):
        sim.do("start")


def test_shutdown_statement_ends_the_process(sim):
    with sim.connect() as client:
        try:
            client.query("SHUTDOWN WITH NOWAIT", check=False)
        except ConnectionLost:
            pass
    wait_for(lambda: not sim.running, "the process ends")
    assert sim._process.wait() == 0


def test_volume_revert_goes_back_under_open_connections(sim):
    sim.query("CREATE DATABASE back")
    sim.query("CREATE TABLE dbo.t (id int)", "back")
    sim.query("INSERT INTO dbo.t VALUES (1)", "back")
    sim.do("volume_snapshot", name="before")
    held = sim.connect("back")
    held.query("INSERT INTO dbo.t VALUES (2)")
    sim.do("volume_revert", name="before")
    with pytest.raises((ConnectionLost, ServerError)) as lost:  # 596 when the request is there before the connection is closed
        held.query("SELECT 1")
    assert isinstance(lost.value, ConnectionLost) or lost.value.number == 596
    assert sim.query("SELECT COUNT(*) FROM dbo.t", "back").value == 1


def test_control_port_survives_nonsense(sim):
    with pytest.raises(RuntimeError, match="unknown"):
        sim.do("explode")
    with pytest.raises(RuntimeError, match="unknown"):
        sim.do("__class__")
    with pytest.raises(RuntimeError, match="arguments"):
        sim.do("delay_logins", minutes=3)
    with pytest.raises(RuntimeError, match="which session"):
        sim.do("drop_session")
    raw = socket.create_connection(sim._control.address, 10)
    raw.sendall(b'not json\n[1]\n{"do": 5}\n')
    lines = raw.makefile().readline, raw
    for _ in range(3):
        assert json.loads(lines[0]())["ok"] is False
    raw.close()
    commands = sim.do("commands")
    assert "restart" in commands["wire"] and "enospc" in commands["engine"]
    assert not [n for n in commands["wire"] + commands["engine"] if n.startswith(("_", "on_"))]


def test_every_wire_command_is_documented():
    from sqlsim.control import Commands

    readme = (TESTS / "sqlsim" / "README.md").read_text()
    names = Commands(None).names() + ["ping", "instances", "commands", "shutdown"]
    assert [n for n in names if f"`{n}`" not in readme and f'"{n}"' not in readme] == []


# The workload.


def run_workload(sim, tmp_path, *flags):
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "sqlsim.workload",
            "--server",
            sim.address,
            "--password",
            sim.password,
            "--database",
            "loaddb",
            "--ack-file",
            str(tmp_path / "acks"),
            "--tried-file",
            str(tmp_path / "tried"),
            *flags,
        ],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )


def numbers(path):
    from sqlsim.workload import read_numbers

    return read_numbers(str(path))


def test_workload_acknowledges_what_is_committed_through_restarts(sim, tmp_path):
    sim.query("CREATE DATABASE loaddb")
    process = run_workload(sim, tmp_path, "--rate", "200", "--timeout", "5")
    try:
        wait_for(lambda: len(numbers(tmp_path / "acks")) > 50, "rows are acknowledged")
        sim.kill()
        sim.start()
        before = len(numbers(tmp_path / "acks"))
        wait_for(lambda: len(numbers(tmp_path / "acks")) > before + 50, "it goes on after the crash")
        sim.do("restart", crash=True)
        before = len(numbers(tmp_path / "acks"))
        wait_for(lambda: len(numbers(tmp_path / "acks")) > before + 20, "it goes on after a restart")
        process.terminate()
        out, _ = process.communicate(timeout=30)
        assert process.returncode == 0 and "connections=" in out
    finally:
        process.kill()
        process.wait()
    acked, tried = numbers(tmp_path / "acks"), numbers(tmp_path / "tried")
    there = {row[0] for row in sim.query("SELECT seq FROM dbo.workload", "loaddb").rows}
    assert len(acked) == len(set(acked)) and set(acked) <= there <= set(tried)
    assert len(set(tried) - set(acked)) <= 5


def test_workload_resumes_and_commits_in_groups(sim, tmp_path):
    sim.query("CREATE DATABASE loaddb")
    for _ in range(2):
        process = run_workload(sim, tmp_path, "--rate", "1000", "--count", "30", "--rows-per-commit", "10")
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0 and out.startswith("rows=30 errors=0")
    assert numbers(tmp_path / "acks") == list(range(1, 61))
    assert sim.query("SELECT COUNT(*), MIN(seq), MAX(seq) FROM dbo.workload", "loaddb").rows == [(60, 1, 60)]


def test_torn_last_line_of_an_ack_file_is_cut(tmp_path):
    from sqlsim.workload import NumberFile

    path = tmp_path / "acks"
    path.write_bytes(b"1 t\n2 t\n3")
    assert numbers(path) == [1, 2]
    file = NumberFile(str(path))
    file.add([4])
    file.close()
    assert numbers(path) == [1, 2, 4]
