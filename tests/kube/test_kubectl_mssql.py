# SPDX-License-Identifier: Apache-2.0
"""kubectl mssql on a real API server: what it makes, what it says, how it ends. The test plays the controller."""
import json
import os
import stat
import subprocess
import threading
import time

import pytest

from conftest import Refused

pytestmark = pytest.mark.usefixtures("crds")
API = "dbaas.cozy.io/v1alpha1"
CONNECTION = {"host": "db", "port": 1433, "user": "sa", "passwordSecretRef": {"name": "sa", "key": "SA_PASSWORD"}}
INSTANCE = {"apiVersion": API, "kind": "MSSQLInstance", "metadata": {"name": "sql"}, "spec": {"connection": CONNECTION}}
DONE = "2026-11-21T02:50:00Z"

# kubectl, but for what needs a pod: that is told instead
SHIM = """#!/bin/sh
for word in "$@"; do
    case $word in exec|logs) echo "ran: $*"; exit "${SHIM_EXIT:-0}";; esac
done
exec kubectl "$@"
"""


def until(what, look, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited in vain for {what}")


class Plugin:
    def __init__(self, kube, folder):
        self.kube, self.folder = kube, folder
        os.symlink(os.path.join(os.environ["MSSQL_BUILD"], "cli", "mssqlctl"), folder / "kubectl-mssql")
        shim = folder / "shim"
        shim.write_text(SHIM)
        shim.chmod(shim.stat().st_mode | stat.S_IXUSR)

    def __call__(self, *args, code=0, **env):
        path = f"{self.folder}:{os.environ['PATH']}"
        done = subprocess.run(["kubectl", "mssql", *args, "-n", self.kube.namespace] if args[-1] != "--" else ["kubectl", "mssql", *args[:-1]],
                              text=True, capture_output=True, timeout=90, cwd=self.folder, env={**os.environ, "PATH": path, **env})
        assert done.returncode == code, f"{args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def shim(self, *args, code=0, **env):
        return self(*args, "--", code=code, KUBECTL=str(self.folder / "shim"), **env)


@pytest.fixture
def plugin(kube, tmp_path):
    kube.apply(INSTANCE)
    return Plugin(kube, tmp_path)


def play(kube, kind, *statuses):
    """The controller's part: these statuses, one after the other, for the first object of the kind. What it was is in `seen`."""
    seen = []

    def run():
        item = until(f"a {kind}", lambda: json.loads(kube("get", kind, "-o", "json"))["items"])[0]
        seen.append(item)
        for status in statuses:
            kube.status(kind, item["metadata"]["name"], status)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, seen


def condition(kind, status, reason, message="text"):
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": DONE}


def test_status_of_all(kube, plugin):
    assert "no controller has looked at it yet" in plugin("status").stdout
    kube.status("mssqli", "sql", {"phase": "Ready", "databases": 3, "protectedDatabases": 2, "message": "one is not protected",
                                  "latestRestorableTime": "2026-11-21T02:47:00Z", "sidecar": {"pod": "sql-0", "version": "0.1.0"}})
    out = plugin("status").stdout
    assert "sql " in out and "Ready" in out and "2/3" in out and "2026-11-21T02:47:00Z" in out and "one is not protected" in out
    assert "NAMESPACE" not in out
    everywhere = plugin("status", "-A").stdout
    assert "NAMESPACE" in everywhere and kube.namespace in everywhere
    items = json.loads(plugin("status", "-o", "json").stdout)["items"]
    assert [i["metadata"]["name"] for i in items] == ["sql"]
    assert "phase: Ready" in plugin("status", "sql", "-o", "yaml").stdout


def test_status_of_one_says_first_what_is_wrong(kube, plugin):
    window = {"name": "orders", "protected": True, "chain": "Intact", "earliestRestorableTime": "2026-11-20T00:00:00Z",
              "latestRestorableTime": "2026-11-21T02:47:00Z", "holes": 1, "message": "a log is missing"}
    kube.status("mssqli", "sql", {"phase": "Degraded", "message": "the store is full", "databaseWindows": [window],
                                  "conditions": [condition("SidecarConnected", "True", "Connected", "since yesterday"),
                                                 condition("StoreUsable", "False", "QuotaExceeded", "the store is full")]})
    out = plugin("status", "sql").stdout
    assert out.index("StoreUsable") < out.index("SidecarConnected")
    assert "False, QuotaExceeded: the store is full" in out
    assert "orders" in out and "2026-11-20T00:00:00Z" in out and "a log is missing" in out


def test_errors_have_the_class_of_what_happened(kube, plugin):
    gone = plugin("status", "nothing", code=11)
    assert gone.stderr.startswith("kubectl mssql: ") and '"nothing" not found' in gone.stderr
    assert "E1121" not in gone.stderr and "memcache" not in gone.stderr
    nobody = plugin("status", "sql", "--kubeconfig", "/dev/null", "--context", "nowhere", code=10)
    assert "context" in nobody.stderr
    away = plugin("status", KUBECTL="/nonexistent/kubectl", code=11)
    assert "Install kubectl" in away.stderr
    bad = plugin("restore", "sql", "--to", "yesterday-ish", code=2)
    assert "is not a moment" in bad.stderr
    assert "say to which moment" in plugin("restore", "sql", code=2).stderr
    assert "--as is the new name of one database" in plugin("restore", "sql", "--to", "latest", "--as", "x", code=2).stderr
    assert json.loads(kube("get", "mssqlrr", "-o", "json"))["items"] == [], "nothing was made"


def test_backup_now(kube, plugin):
    assert "Say --now" in plugin("backup", "sql", code=2).stderr
    thread, seen = play(kube, "mssqlb", {"phase": "Running", "message": "the sidecar takes them"},
                        {"phase": "Completed", "message": "1 backup", "results": [
                            {"database": "orders", "state": "Completed", "kind": "full", "sizeBytes": 4096, "storedBytes": 1024}]})
    done = plugin("backup", "sql", "orders", "--now", "--kind", "full", "--reason", "before the upgrade", "--copy-only")
    thread.join()
    spec = seen[0]["spec"]
    assert (spec["policyRef"], spec["backupType"], spec["databases"]) == ({"name": "sql-backup-policy"}, "full", ["orders"])
    assert spec["reason"] == "before the upgrade" and spec["copyOnly"] is True and spec["requestedAt"].endswith("Z")
    assert "orders" in done.stdout and "4.0 KiB" in done.stdout and "Completed" in done.stdout
    assert "is made" in done.stderr


def test_a_failed_backup_is_an_exit_code(kube, plugin):
    kube.status("mssqli", "sql", {"backupPolicyName": "of-another-name"})
    thread, seen = play(kube, "mssqlb", {"phase": "Failed", "message": "the disk is full",
                                         "conditions": [condition("Completed", "False", "BackupFailed", "the disk is full")]})
    failed = plugin("backup", "sql", "--now", "-o", "json", code=20)
    thread.join()
    assert seen[0]["spec"]["policyRef"] == {"name": "of-another-name"} and "databases" not in seen[0]["spec"]
    assert json.loads(failed.stdout)["status"]["phase"] == "Failed" and "the disk is full" in failed.stderr


def test_plan_is_a_dry_run_that_leaves_nothing(kube, plugin):
    thread, seen = play(kube, "mssqlrr", {"phase": "Pending", "message": "the sidecar plans it"},
                        {"phase": "Planned", "token": "9a18-4647-e157", "message": "it can be done", "databases": [
                            {"database": "orders", "newName": "orders_before", "state": "Pending", "sets": 3, "bytes": 4096,
                             "reachesTime": "2026-11-21T02:46:59Z"}]})
    done = plugin("plan", "sql", "orders", "--to", "2026-11-21T02:46:59.125Z", "--as", "orders_before")
    thread.join()
    spec = seen[0]["spec"]
    assert spec["dryRun"] is True and spec["targetTime"] == "2026-11-21T02:46:59.125Z" and spec["instanceRef"] == {"name": "sql"}
    assert spec["databaseRules"] == [{"name": "orders", "newName": "orders_before"}] and "databases" not in spec
    assert "orders_before" in done.stdout and "2026-11-21T02:46:59Z" in done.stdout and "--acknowledge 9a18-4647-e157" in done.stdout
    until("the request to go", lambda: not json.loads(kube("get", "mssqlrr", "-o", "json"))["items"])


def test_a_refused_plan(kube, plugin):
    thread, _ = play(kube, "mssqlrr", {"phase": "Refused", "message": "a hole is there",
                                       "conditions": [condition("Planned", "False", "Hole", "a hole is there")]})
    refused = plugin("plan", "sql", "--to", "lsn:34000000055700001", "--keep-request", code=11)
    thread.join()
    assert "a hole is there" in refused.stderr
    assert [i["spec"]["targetLSN"] for i in json.loads(kube("get", "mssqlrr", "-o", "json"))["items"]] == ["34000000055700001"]


def test_restore_into_another_instance(kube, plugin):
    thread, seen = play(kube, "mssqlrr", {"phase": "Restoring", "message": "it runs",
                                          "databases": [{"database": "orders", "state": "Restoring", "progress": 42}]},
                        {"phase": "Completed", "message": "1 databases were restored", "completedAt": DONE, "databases": [
                            {"database": "orders", "state": "Completed", "progress": 100, "lastAppliedLogTime": "2026-11-21T02:46:59Z"}]})
    done = plugin("restore", "sql", "--to", "30m", "--into", "mssql-tgt", "--acknowledge", "1-2-3", "--expires", "24h", "--check")
    thread.join()
    spec = seen[0]["spec"]
    assert (spec["newInstanceName"], spec["acknowledgeDataLoss"], spec["expiresAfter"], spec["checkDB"]) == ("mssql-tgt", "1-2-3", "24h", True)
    assert spec["targetTime"] < time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()) and "dryRun" not in spec
    assert "2026-11-21T02:46:59Z" in done.stdout and "Completed" in done.stdout
    assert "it goes on when this program ends" in done.stderr


def test_a_restore_that_would_lose_data(kube, plugin):
    thread, _ = play(kube, "mssqlrr", {"phase": "Refused", "message": "rows would be lost", "token": "7-7-7",
                                       "conditions": [condition("Planned", "False", "NotAcknowledged", "rows would be lost")]})
    refused = plugin("restore", "sql", "--to", "latest", code=31)
    thread.join()
    assert "rows would be lost" in refused.stderr and "--acknowledge 7-7-7" in refused.stderr


def test_a_request_that_goes_away_ends_the_watching(kube, plugin):
    def away():
        item = until("a request", lambda: json.loads(kube("get", "mssqlrr", "-o", "json"))["items"])[0]
        kube("delete", "mssqlrr", item["metadata"]["name"])

    thread = threading.Thread(target=away)
    thread.start()
    gone = plugin("restore", "sql", "--to", "latest", code=11)
    thread.join()
    assert "was deleted meanwhile" in gone.stderr


def test_pause_and_resume(kube, plugin):
    assert "needs --reason" in plugin("pause", "sql", code=2).stderr
    plugin("pause", "sql", "--reason", "storage is moved", "--until", "2030-01-01T00:00:00Z")
    assert kube.get("mssqli", "sql")["spec"]["paused"] == {"reason": "storage is moved", "until": "2030-01-01T00:00:00Z"}
    assert "until it is resumed" in plugin("pause", "sql", "--reason", "longer").stdout
    assert kube.get("mssqli", "sql")["spec"]["paused"] == {"reason": "longer"}
    plugin("resume", "sql")
    assert "paused" not in kube.get("mssqli", "sql")["spec"]


def test_the_sidecar_is_asked_by_exec(kube, plugin):
    there = f"--namespace={kube.namespace}"
    none = plugin.shim("chain", "sql", there, code=11)
    assert "has no sidecar" in none.stderr and "'db'" in none.stderr
    kube.status("mssqli", "sql", {"sidecar": {"pod": "sql-0", "version": "0.1.0"}})
    told = plugin.shim("backups", "sql", "orders", "-n", "5", "--kind", "full", "--namespace", kube.namespace).stdout
    assert told.endswith("exec sql-0 --container mssql-sidecar --namespace " + kube.namespace + " -- mssqlctl backups orders -n 5 --kind full\n")
    held = plugin.shim("hold", "release", "sql", "orders", "h1", there).stdout
    assert held.endswith("-- mssqlctl hold release orders h1\n")
    plugin.shim("verify", "sql", there, code=25, SHIM_EXIT="25")
    logs = plugin.shim("logs", "sql", "-f", "--since", "10m", there).stdout
    assert "logs sql-0 --container mssql-sidecar" in logs and "--follow" in logs and "--since=600s" in logs


def test_the_pod_behind_the_service(kube, plugin):
    kube.apply({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "db"},
                "subsets": [{"addresses": [{"ip": "192.0.2.7", "targetRef": {"kind": "Pod", "name": "found-0"}}], "ports": [{"port": 1433}]}]})
    assert "exec found-0 " in plugin.shim("preflight", "sql", f"--namespace={kube.namespace}").stdout


def test_which_instance(kube, plugin):
    kube.status("mssqli", "sql", {"sidecar": {"pod": "sql-0"}})
    there = f"--namespace={kube.namespace}"
    assert "logs sql-0" in plugin.shim("logs", there).stdout, "the only one needs no name"
    kube.apply({**INSTANCE, "metadata": {"name": "other"}})
    several = plugin.shim("logs", there, code=2)
    assert "say which: other, sql" in several.stderr


def test_a_report_holds_no_secrets(kube, plugin):
    kube.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "sa"}, "stringData": {"SA_PASSWORD": "geheim-1"}})
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "sql-0"}, "spec": {"containers": [
        {"name": "mssql", "image": "example.invalid/x", "env": [{"name": "MSSQL_SA_PASSWORD", "value": "geheim-2"}]}]}}
    kube("create", "--save-config", "-f", "-", stdin=json.dumps(pod))
    kube.status("mssqli", "sql", {"sidecar": {"pod": "sql-0"}})
    there = f"--namespace={kube.namespace}"
    said = plugin.shim("report", there, "--directory=bundle").stdout
    files = {f.name: f.read_text() for f in (plugin.folder / "bundle").iterdir()}
    assert said.startswith("bundle: ") and {"instances.json", "pods.json", "events.json", "sql-status.json", "sql-sidecar.log"} <= set(files)
    everything = "\n".join(files.values())
    assert "geheim" not in everything and "MSSQL_SA_PASSWORD" in everything and "<taken out>" in everything
    assert json.loads(files["pods.json"])["items"][0]["metadata"]["name"] == "sql-0"
    again = plugin.shim("report", there, "--directory=bundle", code=12)
    assert "bundle" in again.stderr, "an older report is not mixed with a new one"


def test_rights_that_are_missing_are_named(kube, plugin):
    kube("create", "serviceaccount", "nobody")
    token = kube("create", "token", "nobody").strip()
    config = json.loads(kube("config", "view", "--raw", "--minify", "-o", "json"))
    config["users"][0]["user"] = {"token": token}
    (plugin.folder / "nobody.json").write_text(json.dumps(config))
    with pytest.raises(Refused):
        kube("--kubeconfig", plugin.folder / "nobody.json", "get", "mssqli")
    refused = plugin("status", "--kubeconfig", str(plugin.folder / "nobody.json"), code=17)
    assert "cannot list resource" in refused.stderr
