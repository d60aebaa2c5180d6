# SPDX-License-Identifier: Apache-2.0
"""common/sql against a SQL Server: facts, discovery, chain state, backups, headers, history, rights, preflight."""

import os
import time

import pytest
from fixtures import real
from fixtures.sqlprobe import SqlProbe, sql, sql_factory  # noqa: F401
from fixtures.sqlsim import Sim

FULL, LOG = "full", "log"
SALES, LAZY, SIMPLE, OFF, WEIRD, ABSENT = map(real.prefix, ("sales", "lazy", "simple", "off", "we]ird 'näme", "nope"))


class Server:
    """A simulated server, a staging folder both sides see, and an administrator's session of ours."""

    def __init__(self, sim, probe, folder):
        self.sim, self.probe, self.folder = sim, probe, folder
        folder.mkdir(mode=0o770, exist_ok=True)
        folder.chmod(0o770)
        if real.HOST:
            real.open_up(folder)
        probe.open(sim.port, user=sim.user, password=sim.password, host=sim.host)
        probe.run("server")

    def path(self, name):
        """Of a file in the folder, as the server sees it."""
        return real.server_path(self.folder / name)

    def create(self, name, rows=20):
        self.sim.query(f"CREATE DATABASE [{name.replace(']', ']]')}]")
        self.sim.query(f"ALTER DATABASE [{name.replace(']', ']]')}] SET RECOVERY FULL")
        self.sim.query("CREATE TABLE t (id int IDENTITY, v nvarchar(100))", database=name)
        self.insert(name, rows)

    def insert(self, name, rows=10):
        with self.sim.connect(name) as client:
            for _ in range(rows):  # one transaction each
                client.query("INSERT INTO t (v) VALUES (N'row')")

    def backup(self, kind, database, run_id, *paths, options=""):
        return self.probe.run("backup", kind, database, run_id, options, *(paths or [self.path(run_id)]))

    def database(self, name):
        return next((d for d in self.probe.run("databases")["databases"] if d["name"] == name), None)


@pytest.fixture
def server(sim, sql, tmp_path):  # noqa: F811
    return Server(sim, sql, tmp_path / "staging")


@pytest.fixture
def server_factory(sim_factory, sql_factory, tmp_path):  # noqa: F811
    return lambda name="sql", **flags: Server(sim_factory(name, **flags), sql_factory(), tmp_path / f"staging-{name}")


# --- facts and discovery ---


@pytest.mark.parametrize("version", ["14", "15", "16", "17"])
def test_facts(server_factory, version):
    server = server_factory(version=version, name="sql", edition="Standard Edition (64-bit)", timezone="Asia/Kolkata")
    facts = server.probe.run("server")
    assert facts["version"].startswith(version + ".0.")
    assert facts["compression"] == 1 and facts["edition"] == "Standard Edition (64-bit)"
    assert facts["utc_offset_s"] == 19800
    assert abs(facts["offset_us"]) < 2_000_000
    assert facts["platform"] == "Linux" and facts["spid"] > 50
    assert facts["started_at"] > "2020"


def test_discovery(server):
    server.create(SALES)
    server.create(WEIRD)
    server.sim.query(f"CREATE DATABASE {SIMPLE}")
    server.sim.query(f"ALTER DATABASE {SIMPLE} SET RECOVERY SIMPLE")
    server.sim.query(f"CREATE DATABASE [{OFF}]")
    server.sim.query(f"ALTER DATABASE [{OFF}] SET OFFLINE")
    assert server.database("tempdb") is None
    assert (server.database(SALES)["skip_full"], server.database(SALES)["skip_log"]) == (None, None)
    assert server.database(WEIRD)["recovery"] == 1
    assert server.database(SIMPLE)["skip_log"] == "simple_recovery"
    assert server.database(OFF)["skip_full"] == "offline"
    assert server.database("master")["skip_log"] == "master_full_only"
    assert server.database(SALES)["data"] == server.database(SALES)["log"] == 1
    assert server.database(OFF)["asked"] == 0


def test_state_follows_the_chain(server):
    server.create(SALES)
    before = server.probe.run("state", SALES)
    assert before["online"] == 1 and before["last_log_backup_lsn"] == "0" and before["base"] is None
    server.backup(FULL, SALES, "f1")
    full = server.probe.run("header", server.path("f1"))
    after = server.probe.run("state", SALES)
    assert after["base"] == full["set"] and after["family"] == full["family"] and after["fork"] == full["fork"]
    server.insert(SALES)
    server.backup(LOG, SALES, "l1")
    log = server.probe.run("header", server.path("l1"))
    state = server.probe.run("state", SALES)
    assert state["last_log_backup_lsn"] == log["last_lsn"]
    assert state["allocated_pages"] > 0 and state["full_bytes"] == state["allocated_pages"] * 8192
    end = state["log_end_lsn"]
    assert int(end) >= int(log["last_lsn"])
    server.insert(SALES, 1)
    assert int(server.probe.run("state", SALES)["log_end_lsn"]) > int(end)
    server.probe.fails("state", ABSENT, cls="not_found")


def test_closed_database_is_left_alone(server):
    server.create(LAZY)
    server.sim.query(f"ALTER DATABASE {LAZY} SET AUTO_CLOSE ON")
    quiet = server.probe.run("state", LAZY, 0)
    assert quiet["online"] == 0 and quiet["fork"] is None
    due = server.probe.run("state", LAZY, 1)
    assert due["online"] == 1 and due["fork"]
    assert server.database(LAZY)["asked"] == 0


# --- backups ---


def test_chain_of_backups(server):
    server.create(SALES)
    server.backup(FULL, SALES, "f1")
    server.insert(SALES)
    server.backup(LOG, SALES, "l1")
    server.insert(SALES)
    server.backup("diff", SALES, "d1")
    server.insert(SALES)
    server.backup(LOG, SALES, "l2")
    full, log1, diff, log2 = (server.probe.run("header", server.path(name)) for name in ("f1", "l1", "d1", "l2"))
    assert [h["kind"] for h in (full, log1, diff, log2)] == ["full", "log", "diff", "log"]
    assert log2["first_lsn"] == log1["last_lsn"]
    assert diff["base"] == full["set"]
    assert {h["family"] for h in (full, log1, diff, log2)} == {full["family"]}
    assert [h["name"] for h in (full, log1)] == ["f1", "l1"]
    assert full["database"] == SALES and full["recovery_model"] == "FULL" and full["software_major"] == 16
    files = server.probe.run("filelist", server.path("f1"))["files"]
    assert len(files) == 2
    server.probe.run("verify", server.path("f1"))


def test_weird_names_and_stripes(server):
    name = WEIRD
    server.create(name)
    paths = [server.path("a 'quoted'.bak"), server.path("ü.bak")]
    answer = server.backup(FULL, name, "it's a run", *paths, options="copy")
    assert answer["pages"] > 0 and answer["messages"] >= 2
    header = server.probe.run("header", *paths)
    assert header["database"] == name and header["name"] == "it's a run"
    other = server.path("other.bak")
    server.backup(FULL, name, "x", other)
    server.probe.fails("header", paths[0], other, cls="corrupt", text="not stripes")


def test_times_are_utc(server_factory):
    server = server_factory(timezone="America/New_York", version="15")  # 2019: the header has no zone
    server.create(SALES)
    began = time.time()
    server.backup(FULL, SALES, "f1")
    header = server.probe.run("header", server.path("f1"))
    finish = time.mktime(time.strptime(header["finish_at"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
    assert header["utc_offset_s"] in (-18000, -14400)
    assert abs(finish - began) < 10
    found = server.probe.run("find", "f1", server.path("f1"))
    assert (found["set"], found["finish_at"]) == (header["set"], header["finish_at"])


def test_express_cannot_compress(server_factory):
    server = server_factory(edition="Express Edition (64-bit)")
    assert server.probe.run("server")["compression"] == 0
    server.create(SALES)
    answer = server.backup(FULL, SALES, "f1", options="compress")
    assert answer["fell_back"] == 1 and answer["compressed"] == 0
    server_2 = server_factory("other")
    server_2.create(SALES)
    assert server_2.backup(FULL, SALES, "f1", options="compress")["compressed"] == 1


def test_errors_of_the_chain(server):
    server.create(SALES)
    fails = server.probe.fails
    assert fails("backup", LOG, SALES, "r", "", server.path("r"), cls="chain", number=4214)["reaction"] == "chain"
    assert fails("backup", "diff", SALES, "r", "", server.path("r"), cls="chain", number=3035)["reaction"] == "chain"
    server.sim.query(f"ALTER DATABASE {SALES} SET RECOVERY SIMPLE")
    assert fails("backup", LOG, SALES, "r", "", server.path("r"), number=4208)["reaction"] == "skip"
    assert fails("backup", LOG, "master", "r", "", server.path("r"), number=4212)["reaction"] == "skip"
    assert fails("backup", "diff", "master", "r", "", server.path("r"), number=3024)["reaction"] == "skip"
    assert fails("backup", FULL, "tempdb", "r", "", server.path("r"), number=3147)["reaction"] == "skip"
    assert fails("backup", FULL, ABSENT, "r", "", server.path("r"), cls="not_found", number=911)["reaction"] == "skip"
    server.sim.query(f"ALTER DATABASE {SALES} SET OFFLINE")
    assert fails("backup", FULL, SALES, "r", "", server.path("r"), cls="state", number=942)["reaction"] == "skip"


def test_errors_of_devices(server):
    server.create(SALES)
    fails = server.probe.fails
    answer = fails("backup", FULL, SALES, "r", "", "/nowhere/at/all/r.bak", number=3201)
    assert answer["reaction"] == "config" and "10001" in answer["error"]
    empty, junk = server.path("empty"), server.path("junk")
    (server.folder / "empty").write_bytes(b"")
    (server.folder / "junk").write_bytes(b"not a backup" * 1000)
    assert fails("header", empty, cls="corrupt")["reaction"] == "media"
    assert fails("header", junk, cls="corrupt")["reaction"] == "media"
    assert fails("header", server.path("absent"), number=3201)["class"] in ("not_found", "permission")
    server.backup(FULL, SALES, "f1")
    os.truncate(server.folder / "f1", os.path.getsize(server.folder / "f1") // 2)
    assert fails("verify", server.path("f1"))["reaction"] == "media"


# --- history ---


@pytest.mark.simulator("expects msdb to have nobody else's backups")
def test_foreign_backups(server):
    server.create(SALES)
    server.backup(FULL, SALES, "msc-1")
    nul = "NUL"
    server.sim.query(f"BACKUP LOG {SALES} TO DISK = N'{nul}'")
    server.sim.query(f"BACKUP DATABASE {SALES} TO DISK = N'{server.path('theirs.bak')}' WITH COPY_ONLY, NAME = N'theirs'")
    sets = server.probe.run("foreign", 0, "msc-")["sets"]
    assert [(s["kind"], s["database"], s["nul"]) for s in sets] == [("log", SALES, 1), ("full", SALES, 0)]
    assert sets[0]["user"] == "sa" and sets[1]["device"] == server.path("theirs.bak")
    assert sets[1]["flags"] & 1 and all(s["flags"] & 1024 for s in sets)
    assert server.probe.run("foreign", sets[0]["id"], "msc-")["sets"] == sets[1:]
    limited = server.probe.run("foreign", 0, "msc-", 1)
    assert limited["more"] == 1 and limited["sets"] == sets[:1]
    server.probe.fails("find", "never", cls="not_found")


def test_marks(server):
    server.create(SALES)
    server.backup(FULL, SALES, "f1")
    for name in ("one", "two's"):
        quoted = name.replace("'", "''")
        server.sim.query(f"BEGIN TRAN [{name}] WITH MARK N'{quoted}'; INSERT INTO t (v) VALUES (N'x'); COMMIT", database=SALES)
    assert server.probe.run("marks", SALES)["marks"] == ["one", "two's"]
    state = server.probe.run("state", SALES)
    assert server.probe.run("marks", SALES, state["log_end_lsn"])["marks"] == []


@pytest.mark.simulator("removes backup history of all databases, and sets the clock")
def test_history_is_pruned(server):
    server.create(SALES)
    server.backup(FULL, SALES, "f1")
    assert server.probe.run("prune", 30)["more"] == 0
    server.probe.run("find", "f1")
    server.sim.do("clock", offset=3 * 86400)
    server.probe.run("server")
    server.backup(FULL, SALES, "f2")
    while server.probe.run("prune", 1)["more"]:
        pass
    server.probe.run("find", "f2")
    server.probe.fails("find", "f1", cls="not_found")


# --- rights ---


@pytest.mark.simulator("grants rights in every database")
def test_least_privilege(server, sql_factory):  # noqa: F811
    server.create(SALES)
    answer = server.probe.run("grant", "sidecar's", "Backup-Pass-1")
    assert (answer["failed"], answer["first"]) == (0, None)
    server.probe.run("grant", "sidecar's", "Backup-Pass-2")  # again, with another password
    least = sql_factory()
    least.params(server.sim.port, user="sidecar's", password="Backup-Pass-1").fails("open", cls="auth", number=18456)
    least.open(server.sim.port, user="sidecar's", password="Backup-Pass-2")
    assert least.run("server")["started_at"]
    for kind, name in ((FULL, "f1"), (LOG, "l1"), ("diff", "d1")):
        least.run("backup", kind, SALES, name, "", server.path(name))
        assert least.run("header", server.path(name))["name"] == name
    least.run("verify", server.path("f1"))
    state = least.run("state", SALES)
    assert state["fork"] and state["base"] and state["allocated_pages"] > 0
    least.run("find", "f1")
    least.run("marks", SALES)
    least.run("prune", 30)
    assert [d["name"] for d in least.run("databases")["databases"] if d["asked"] and not d["data"]] == []
    # New databases have the user by way of model, restored ones do not.
    server.create("fresh")
    least.run("backup", FULL, "fresh", "f2", "", server.path("f2"))
    server.sim.query("DROP USER [sidecar's]", database="fresh")
    assert least.fails("backup", FULL, "fresh", "f3", "", server.path("f3"), cls="permission")["reaction"] == "permission"
    assert [d["name"] for d in least.run("databases")["databases"] if d["asked"] and not d["data"]] == ["fresh"]
    server.probe.run("grant", "sidecar's", "Backup-Pass-2")
    least.run("backup", FULL, "fresh", "f3", "", server.path("f3"))
    least.fails("grant", "other", "Backup-Pass-1")  # it cannot help itself


def test_sa_is_not_taken(server):
    server.probe.fails("grant", "sa", "Backup-Pass-1", cls="config", text="'sa'")


@pytest.mark.simulator("knows what is wrong with the server, and what is not")
def test_preflight(server):
    server.create(SALES)
    server.sim.query(f"CREATE DATABASE {LAZY}")
    server.sim.query(f"ALTER DATABASE {LAZY} SET AUTO_CLOSE ON")
    server.sim.query(f"ALTER DATABASE {LAZY} SET RECOVERY SIMPLE")
    answer = server.probe.run("preflight", server.folder)
    checks = {name: result for name, (result, _) in answer["checks"].items()}
    assert list(checks) == [
        "login", "encryption", "version", "rights", "database_rights", "history_rights", "staging", "staging_write", "clock", "space",
        "page_verify", "auto_close", "recovery_model", "tde_certificates", "trace_flag", "availability_groups",
    ]  # fmt: skip
    assert {n: r for n, r in checks.items() if r != "ok"} == {"auto_close": "warn", "recovery_model": "warn"}, answer
    assert LAZY in answer["checks"]["auto_close"][1]
    assert os.listdir(server.folder) == []


@pytest.mark.simulator("makes a login")
def test_preflight_finds(server, tmp_path):
    answer = server.probe.params(server.sim.port, password="wrong").run("preflight", server.folder)
    assert list(answer["checks"]) == ["login"] and answer["worst"] == "fail"
    server.sim.query("CREATE LOGIN poor WITH PASSWORD = N'Poor-Pass-1'")
    server.create(SALES)
    checks = server.probe.params(server.sim.port, user="poor", password="Poor-Pass-1").run("preflight", tmp_path / "absent")["checks"]
    assert checks["rights"][0] == "fail" and "GRANT VIEW SERVER STATE, CREATE ANY DATABASE TO [poor]" in checks["rights"][1]
    assert checks["database_rights"][0] == "fail" and "CREATE USER [poor] FOR LOGIN [poor]" in checks["database_rights"][1]
    assert checks["history_rights"][0] == "fail"
    assert checks["staging"][0] == "fail" and "does not exist" in checks["staging"][1]
    assert checks["staging_write"][0] == "fail"


def test_staging_probe(server, tmp_path):
    server.probe.run("staging", server.folder)
    assert os.listdir(server.folder) == []
    server.probe.fails("staging", tmp_path / "absent", number=3201, text="Staging directory")


# --- faults ---


@pytest.mark.simulator("stops a BACKUP in the middle")
def test_session_killed_in_backup(server, sql_factory):  # noqa: F811
    server.create(SALES)
    other = sql_factory().open(server.sim.port, password=server.sim.password)
    spid = int(server.probe.run("server")["spid"])
    server.sim.do("hold_at", kind=FULL, step="opened")
    server.probe.send("&backup", FULL, SALES, "r1", "", server.path("r1"))
    assert server.sim.do("wait_held")["result"]
    progress = other.run("progress", spid)
    assert 0 <= progress["percent"] < 100
    other.run("query", 0, f"KILL {spid}")
    assert server.probe.failed("backup")["reaction"] == "retry"
    assert server.probe.run("alive")["alive"] == 0
    other.fails("progress", spid, cls="not_found")
    other.run("server")
    other.fails("find", "r1", cls="not_found")


@pytest.mark.simulator("stops a BACKUP in the middle")
def test_cancelled_backup(server):
    server.create(SALES)
    server.sim.do("hold_at", kind=FULL, step="opened")
    server.probe.send("&backup", FULL, SALES, "r1", "", server.path("r1"))
    assert server.sim.do("wait_held")["result"]
    server.probe.send("flag")
    server.probe.expect("flag")
    server.probe.failed("backup", cls="cancelled")
    server.probe.run("unflag")
    server.probe.fails("find", "r1", cls="not_found")
    server.backup(FULL, SALES, "r2")


@pytest.mark.simulator("makes the server's disk full")
def test_full_disk(server):
    server.create(SALES)
    server.sim.do("enospc", path=str(server.folder), after_bytes=4096)
    answer = server.probe.fails("backup", FULL, SALES, "r1", "", server.path("r1"), cls="space")
    assert answer["reaction"] == "retry" and answer["number"] in (3202, 3271)
    server.sim.do("enospc", path=str(server.folder), off=True)
    server.backup(FULL, SALES, "r2")


@pytest.mark.simulator("takes the server's rights away")
def test_refused_directory(server):
    server.create(SALES)
    server.sim.do("eacces", path=str(server.folder))
    answer = server.probe.fails("backup", FULL, SALES, "r1", "", server.path("r1"), cls="permission", number=3201)
    assert answer["reaction"] == "config" and "10001" in answer["error"]
    answer = server.probe.fails("staging", server.folder, cls="permission", number=3201)
    assert f"Staging directory '{server.folder}'" in answer["error"] and "mode 0770" in answer["error"]


@pytest.mark.simulator("damages a page")
def test_bad_page(server):
    server.create(SALES, rows=200)
    server.sim.do("corrupt_page", database=SALES)
    answer = server.probe.fails("backup", FULL, SALES, "r1", "", server.path("r1"), cls="corrupt", number=3043)
    assert answer["reaction"] == "media" and "CHECKDB" in answer["error"]
    server.backup(FULL, SALES, "r2", options="continue")
    assert server.probe.run("header", server.path("r2"))["flags"] & 4


@pytest.mark.simulator("makes statements fail")
@pytest.mark.parametrize("number,severity,reaction", [
    (3023, 16, "retry"), (845, 17, "retry"), (701, 17, "retry"), (1205, 13, "retry"), (952, 16, "retry"), (922, 14, "wait"),
    (983, 14, "wait"), (3062, 16, "wait"), (3035, 16, "chain"), (4214, 16, "chain"), (945, 16, "config"), (33111, 16, "config"),
    (9002, 17, "config"), (262, 14, "permission"), (916, 14, "permission"), (823, 24, "media"), (3189, 16, "media"),
    (927, 14, "skip"), (3059, 16, "skip"), (3021, 16, "caller"), (3136, 16, "plan"), (50000, 16, "fail"),
])  # fmt: skip
def test_reactions(reaction_server, number, severity, reaction):
    server = reaction_server
    server.sim.do("fail_next", kind=FULL, number=number, text="Something.", severity=severity)
    answer = server.probe.fails("backup", FULL, SALES, "r", "", server.path("r"), number=number, text="Something.")
    assert answer["reaction"] == reaction


@pytest.fixture(scope="module")
def reaction_server(tmp_path_factory, certificate):
    folder = tmp_path_factory.mktemp("reactions")
    sim, probe = Sim(folder / "sql", certificate).start(), SqlProbe(folder / "probe")
    try:
        server = Server(sim, probe, folder / "staging")
        server.create(SALES, rows=1)
        yield Reopening(server)
        probe.finish()
    finally:
        sim.kill()
        if probe.process.poll() is None:
            probe.process.kill()


class Reopening:
    """An error of severity 20 and more ends the session: the next test gets another one."""

    def __init__(self, server):
        self.server = server

    def __getattr__(self, name):
        if name == "probe" and not self.server.probe.run("alive")["alive"]:
            self.server.probe.run("open")
        return getattr(self.server, name)


@pytest.mark.simulator("stops the server")
def test_server_restarts(server):
    server.create(SALES)
    started = server.probe.run("server")["started_at"]
    server.sim.stop()
    assert server.probe.fails("server", cls="connect")["reaction"] == "retry"
    server.probe.send("&wait", 60000, 1)
    server.probe.expect("waiting")
    server.sim.start()
    assert "error" not in server.probe.expect("wait")
    assert server.probe.run("server")["started_at"] > started
