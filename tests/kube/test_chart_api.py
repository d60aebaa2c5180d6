# SPDX-License-Identifier: Apache-2.0
"""The chart against a real API server: what it accepts, what its rights are worth, upgrades. No pod has to run."""
import base64
import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest
import yaml

from chart import CASES, CHART, DATA, ChartError, find, helm, objects, render, template
from conftest import ROOT, Kube, Refused

pytestmark = pytest.mark.usefixtures("crds")
BUILD = os.environ.get("MSSQL_BUILD", os.path.join(ROOT, "build", "asan"))
MONITORING = "monitoring.coreos.com/v1"


def listed(items: list[dict]) -> str:
    """For kubectl. JSON: what one YAML library takes for text is a truth value for another."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


@pytest.mark.parametrize("case", CASES)
def test_the_server_accepts_it(kube, case):
    other = ["--set", f"operator.namespaces={{{kube.namespace}}}"] if case == "everything" else []
    # what the Prometheus operator brings is not here
    wanted = [o for o in objects(render(case, *other, namespace=kube.namespace)) if o["apiVersion"] != MONITORING]
    if any(o["kind"] == "Pod" for o in wanted):  # without its account no pod is accepted, not even on trial
        kube("create", "serviceaccount", "mssql-src-mssql-helm-test")
    kept = kube("apply", "--server-side", "--dry-run=server", "--validate=strict", "-o", "name", "-f", "-", stdin=listed(wanted)).split()
    assert len(kept) == len(wanted)


def test_a_statefulset_of_ones_own_is_accepted(kube, tmp_path):
    shutil.copytree(DATA / "own", tmp_path / "own")
    shutil.copytree(CHART, tmp_path / "own" / "charts" / "mssql-helm")
    kube("create", "serviceaccount", "shop-mssql-helm-test")
    kube("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", stdin=template(chart=tmp_path / "own", release="shop", namespace=kube.namespace))


def can(kube: Kube, user: str, verb: str, what: str, namespace: str | None = None) -> bool:
    where = ["-A"] if namespace == "*" else ["-n", namespace or kube.namespace]
    args = ["kubectl", "auth", "can-i", verb, *what.split(), f"--as={user}", "-q", *where]
    return subprocess.run(args, capture_output=True, timeout=60, check=False).returncode == 0


def until(kube: Kube, user: str, verb: str, what: str, allowed: bool) -> None:
    """The authorizer hears of a Role a moment after it was written."""
    end = time.monotonic() + 60
    while can(kube, user, verb, what) != allowed:
        assert time.monotonic() < end, f"{user} {verb} {what} is not {allowed}"


def test_the_patch_of_the_guide_gives_what_the_chart_gives(kube, tmp_path):
    page = (CHART.parents[1] / "docs" / "guide" / "own-statefulset.md").read_text(encoding="utf-8")
    (tmp_path / "patch.yaml").write_text([p for p in re.findall(r"```yaml\n(.*?)```", page, re.S) if "initContainers" in p][0], encoding="utf-8")
    labels = {"app": "shop-db"}
    own = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "shop-db"}, "spec": {
        "serviceName": "shop-db", "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {
            "securityContext": {"runAsUser": 10001, "fsGroup": 10001},
            "containers": [{"name": "mssql", "image": "mssql", "volumeMounts": [{"name": "data", "mountPath": "/var/opt/mssql"}]}]}},
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]}}
    kube.apply(own)
    kube("patch", "statefulset", "shop-db", "--patch-file", tmp_path / "patch.yaml")
    settings = ("--set", "mssql.auth.existingSecret=shop-sa,mssql.auth.saPasswordKey=password")
    kube("apply", "-f", "-", stdin=listed([find(template(*settings, release="shop", namespace=kube.namespace), "StatefulSet", "shop-mssql-helm-db")]))
    got, want = (kube.get("statefulset", name)["spec"]["template"]["spec"] for name in ("shop-db", "shop-mssql-helm-db"))
    sidecar, preparation = want["initContainers"][1], want["initContainers"][0]
    assert got["initContainers"][1] == sidecar
    preparation.pop("resources"), got["initContainers"][0].pop("resources")
    assert got["initContainers"][0] == preparation
    named = {v["name"]: v for v in got["volumes"]}
    assert named == {v["name"]: v for v in want["volumes"]}
    assert got["containers"][0]["lifecycle"] == want["containers"][0]["lifecycle"]
    assert sorted(m["mountPath"] for m in got["containers"][0]["volumeMounts"]) == ["/var/opt/mssql", "/var/opt/mssql/backup-staging"]


class Account:
    """A service account's own kubeconfig."""

    def __init__(self, kube: Kube, name: str, folder):
        admin = yaml.safe_load(Kube()("config", "view", "--raw", "--minify", "--flatten", "-o", "yaml"))
        token = kube("create", "token", name).strip()
        admin["users"][0]["user"] = {"token": token}
        admin["contexts"][0]["context"]["namespace"] = kube.namespace
        self.path = folder / f"{name}.kubeconfig"
        self.path.write_text(yaml.safe_dump(admin), encoding="utf-8")
        self.user = f"system:serviceaccount:{kube.namespace}:{name}"


class Bootstrap:
    """The hook Job's program as the chart calls it, with the rights that the chart gives it."""

    def __init__(self, kube: Kube, folder, *values):
        self.kube = kube
        text = template(*values, namespace=kube.namespace)
        made = [o for o in objects(text) if o["metadata"]["name"] == "mssql-src-mssql-helm-bootstrap"]
        self.job = [o for o in made if o["kind"] == "Job"][0]
        kube("apply", "-f", "-", stdin=listed([o for o in made if o["kind"] != "Job"]))
        self.account = Account(kube, "mssql-src-mssql-helm-bootstrap", folder)
        until(kube, self.account.user, "create", "services", True)

    def run(self) -> subprocess.CompletedProcess:
        args = self.job["spec"]["template"]["spec"]["containers"][0]["args"]
        return subprocess.run([f"{BUILD}/controller/mssql-controller", *args, "--kubeconfig", str(self.account.path)],
                              capture_output=True, text=True, timeout=120, check=False)

    def good(self) -> str:
        done = self.run()
        assert done.returncode == 0, done.stderr
        return done.stderr


def passwords(kube: Kube, *names: tuple[str, str]) -> list[str]:
    return [base64.b64decode(kube.get("secret", name)["data"][key]).decode() for name, key in names]


SECRETS = [("mssql-src-mssql-helm-sa", "SA_PASSWORD"), ("mssql-src-mssql-helm-backup-login", "PASSWORD")]


def test_bootstrap_makes_what_is_missing_once(kube, tmp_path):
    bootstrap = Bootstrap(kube, tmp_path)
    log = bootstrap.good()
    first = passwords(kube, *SECRETS)
    assert len(set(first)) == 2 and all(len(p) == 32 for p in first)
    assert not any(p in log for p in first)
    service = kube.get("service", "mssql-controller")
    labels = find(template(), "Deployment", "mssql-src-mssql-helm-operator")["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items() and service["spec"]["ports"][0]["port"] == 8443
    trusted = kube.get("configmap", "mssql-controller-ca")["data"]["ca.crt"]
    assert [trusted] == passwords(kube, ("mssql-controller-tls", "ca.crt"))
    again = bootstrap.good()
    assert passwords(kube, *SECRETS) == first and again.count("there already") == 5
    kube("delete", "secret", SECRETS[1][0])
    bootstrap.good()
    second = passwords(kube, *SECRETS)
    assert second[0] == first[0] and second[1] != first[1]


def test_two_bootstraps_at_once_agree(kube, tmp_path):
    bootstrap = Bootstrap(kube, tmp_path)
    args = bootstrap.job["spec"]["template"]["spec"]["containers"][0]["args"]
    running = [subprocess.Popen([f"{BUILD}/controller/mssql-controller", *args, "--kubeconfig", str(bootstrap.account.path)],
                                stderr=subprocess.PIPE, text=True) for _ in range(4)]
    logs = [process.communicate(timeout=120)[1] for process in running]
    assert [process.returncode for process in running] == [0] * 4, logs
    assert sum(log.count("msg=made") for log in logs) == 5, logs
    assert kube.get("configmap", "mssql-controller-ca")["data"]["ca.crt"] == passwords(kube, ("mssql-controller-tls", "ca.crt"))[0]


def test_bootstrap_never_changes_a_secret(kube, tmp_path):
    kube("create", "secret", "generic", SECRETS[0][0], "--from-literal=SA_PASSWORD=mine")
    kube("create", "secret", "generic", SECRETS[1][0], "--from-literal=other=x")
    bootstrap = Bootstrap(kube, tmp_path)
    before = kube.get("secret", SECRETS[0][0])
    done = bootstrap.run()
    assert done.returncode == 10 and "has no key PASSWORD" in done.stderr and "name another Secret in the chart's values" in done.stderr
    assert kube.get("secret", SECRETS[0][0]) == before and list(kube.get("secret", SECRETS[1][0])["data"]) == ["other"]
    kube("delete", "secret", SECRETS[1][0])
    bootstrap.good()
    assert kube.get("secret", SECRETS[0][0]) == before


def openssl(*args: str, text: str) -> str:
    return subprocess.run(["openssl", *args], input=text, capture_output=True, text=True, timeout=60, check=True).stdout


def test_the_certificate_is_renewed_by_the_same_authority(kube, tmp_path):
    bootstrap, tls = Bootstrap(kube, tmp_path), "mssql-controller-tls"
    bootstrap.good()
    authority, key, first = passwords(kube, (tls, "ca.crt"), (tls, "ca.key"), (tls, "tls.crt"))
    names = openssl("x509", "-noout", "-ext", "subjectAltName", text=first)
    assert f"*.{kube.namespace}.svc" in names
    # one that ends soon, as an old release has it
    (tmp_path / "ca.crt").write_text(authority, encoding="utf-8")
    (tmp_path / "ca.key").write_text(key, encoding="utf-8")
    (tmp_path / "key").write_text(openssl("ecparam", "-genkey", "-name", "prime256v1", "-noout", text=""), encoding="utf-8")
    request = openssl("req", "-new", "-key", str(tmp_path / "key"), "-subj", "/CN=old", text="")
    old = openssl("x509", "-req", "-CA", str(tmp_path / "ca.crt"), "-CAkey", str(tmp_path / "ca.key"), "-days", "30", text=request)
    kube("patch", "secret", tls, "--type=merge", "-p", json.dumps({"stringData": {"tls.crt": old}}))
    assert "renewed by the same authority" in bootstrap.good()
    after, renewed = passwords(kube, (tls, "ca.crt"), (tls, "tls.crt"))
    assert after == authority and renewed not in (first, old)
    (tmp_path / "new.crt").write_text(renewed, encoding="utf-8")
    assert "OK" in openssl("verify", "-CAfile", str(tmp_path / "ca.crt"), str(tmp_path / "new.crt"), text="")
    assert kube.get("configmap", "mssql-controller-ca")["data"]["ca.crt"] == authority
    assert "renewed" not in bootstrap.good()


def test_a_certificate_of_somebody_else_is_only_published(kube, tmp_path):
    kube("create", "secret", "generic", "my-tls", "--from-literal=tls.crt=c", "--from-literal=tls.key=k", "--from-literal=ca.crt=theirs")
    before = kube.get("secret", "my-tls")
    bootstrap = Bootstrap(kube, tmp_path, "--set", "operator.tls.existingSecret=my-tls")
    bootstrap.good()
    assert kube.get("secret", "my-tls") == before and kube.get("configmap", "mssql-controller-ca")["data"] == {"ca.crt": "theirs"}
    kube("patch", "secret", "my-tls", "--type=merge", "-p", '{"stringData": {"ca.crt": "another"}}')
    assert "has another authority now" in bootstrap.good()
    assert kube.get("configmap", "mssql-controller-ca")["data"] == {"ca.crt": "another"}
    kube("patch", "secret", "my-tls", "--type=merge", "-p", '{"data": {"ca.crt": null}}')
    done = bootstrap.run()
    assert done.returncode == 10 and "it has no key ca.crt" in done.stderr


def test_bootstrap_says_which_right_is_missing(kube, tmp_path):
    bootstrap = Bootstrap(kube, tmp_path)
    kube("delete", "rolebinding", "mssql-src-mssql-helm-bootstrap")
    until(kube, bootstrap.account.user, "create", "services", False)
    done = bootstrap.run()
    assert done.returncode != 0 and "cannot get secrets" in done.stderr and kube.namespace in done.stderr


class Controller:
    """The controller with what the chart gives it: configuration, certificate, and the rights of its account."""

    def __init__(self, kube: Kube, folder, *values):
        name = "mssql-src-mssql-helm-operator"
        text = template(*values, namespace=kube.namespace)
        Bootstrap(kube, folder, *values).good()
        self.roles = [o for o in objects(text) if o["kind"] in ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
                      and "helm.sh/hook" not in o["metadata"].get("annotations", {})]
        kube("apply", "-f", "-", stdin=listed(self.roles))
        account = Account(kube, name, folder)
        until(kube, account.user, "watch", "mssqlinstances.dbaas.cozy.io", True)
        until(kube, account.user, "create", "leases.coordination.k8s.io", True)
        config = yaml.safe_load(find(text, "ConfigMap", name)["data"]["config.yaml"])
        for key, file in (("cert", "tls.crt"), ("key", "tls.key")):
            config["grpc"]["tls"][key] = str(folder / file)
            (folder / file).write_text(passwords(kube, ("mssql-controller-tls", file))[0], encoding="utf-8")
        self.port = free_port()
        config["grpc"]["listen"], config["http"]["listen"] = [f"127.0.0.1:{free_port()}"], f"127.0.0.1:{self.port}"
        config["kube"], config["identity"] = {"kubeconfig": str(account.path)}, {"namespace": kube.namespace, "name": "controller-0"}
        config["namespaces"] = [kube.namespace]  # not those of the tests beside this one
        (folder / "controller.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        self.log = open(folder / "controller.log", "w+", encoding="utf-8")  # pylint: disable=consider-using-with
        self.process = subprocess.Popen([f"{BUILD}/controller/mssql-controller", "--config", str(folder / "controller.yaml")],
                                        stderr=self.log, env={**os.environ, "ASAN_OPTIONS": "detect_leaks=1"})

    def get(self, path: str) -> str:
        assert self.process.poll() is None, self.said()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return answer.read().decode()
        except (urllib.error.URLError, ConnectionError):
            return ""

    def said(self) -> str:
        self.log.seek(0)
        return self.log.read()[-4000:]

    def wait(self, what: str, wanted) -> None:
        end = time.monotonic() + 60
        while not wanted():
            assert time.monotonic() < end and self.process.poll() is None, f"{what}: {self.said()}"
            time.sleep(0.1)

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(timeout=60) == 0, self.said()
        self.log.close()
        for role in self.roles:
            if role["kind"].startswith("Cluster"):
                Kube()("delete", role["kind"], role["metadata"]["name"])


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def exists(kube: Kube, kind: str, name: str) -> bool:
    try:
        return bool(kube.get(kind, name))
    except Refused:
        return False


@pytest.mark.parametrize("values", [[], ["--set", "operator.rbac.provision=true"], ["--set", "operator.namespaces={*}"]], ids=["namespace", "provision", "cluster"])
def test_the_controller_needs_no_more_rights_than_it_has(kube, tmp_path, values):
    controller = Controller(kube, tmp_path, *values)
    try:
        controller.wait("ready", lambda: controller.get("/readyz").startswith("ok\nleading: yes\n"))
        controller.wait("leads", lambda: "mssql_controller_leader 1\n" in controller.get("/metrics"))
        instance = find(template(*values, namespace=kube.namespace), "MSSQLInstance", "mssql-src-mssql-helm-instance")
        kube.apply(instance)
        name = instance["metadata"]["name"]
        controller.wait("a policy", lambda: exists(kube, "mssqlbp", f"{name}-backup-policy"))
        controller.wait("a claim", lambda: exists(kube, "pvc", f"{name}-backup-store"))
        controller.wait("a status", lambda: kube.get("mssqli", name).get("status", {}).get("backupPolicyName"))
        assert "may not" not in controller.get("/readyz") and "cannot" not in controller.get("/readyz"), controller.get("/readyz")
        metrics = controller.get("/metrics")
        assert "mssql_controller_kube_forbidden{" not in metrics, metrics
        assert 'code="403"' not in metrics
        assert re.search(r"^mssql_controller_certificate_expiry_timestamp_seconds [1-9]", metrics, re.M)
    finally:
        controller.stop()


TIME = "2026-11-21T02:47:00Z"


class Proof:
    """`helm test`'s program with the rights that the chart gives it; the test plays the controller."""

    def __init__(self, kube: Kube, folder, *flags):
        text = template("--set", "test.timeout=40s", namespace=kube.namespace)
        name = "mssql-src-mssql-helm-test"
        kube("apply", "-f", "-", stdin=listed([o for o in objects(text) if o["metadata"]["name"] == name and o["kind"] != "Pod"]))
        self.kube, args = kube, find(text, "Pod", name)["spec"]["containers"][0]["args"]
        account = Account(kube, name, folder)
        self.user = account.user
        until(kube, account.user, "create", "mssqlbackups.dbaas.cozy.io", True)
        kube.apply(find(text, "MSSQLInstance", "mssql-src-mssql-helm-instance"))
        self.process = subprocess.Popen([f"{BUILD}/controller/mssql-controller", *args, *flags, "--kubeconfig", str(account.path)],
                                        stderr=subprocess.PIPE, text=True)
        self.log = ""

    def says(self, text: str) -> None:
        while text not in self.log:
            line = self.process.stderr.readline()
            assert line, f"it ended without '{text}': {self.log}"
            self.log += line

    def instance(self, connected: str, *windows: dict) -> None:
        self.kube.status("mssqli", "mssql-src-mssql-helm-instance", {
            "conditions": [{"type": "SidecarConnected", "status": connected, "reason": "R", "message": "no pod yet", "lastTransitionTime": TIME}],
            "databaseWindows": list(windows), "backupPolicyName": "the-policy"})

    def made(self, kind: str) -> dict:
        self.says(f"{kind}: no controller has taken it yet")
        items = json.loads(self.kube("get", kind, "-o", "json"))["items"]
        assert len(items) == 1
        return items[0]

    def end(self) -> int:
        self.log += self.process.communicate(timeout=120)[1]
        return self.process.returncode


def test_helm_test_takes_a_backup_and_restores_it(kube, tmp_path):
    proof = Proof(kube, tmp_path)
    proof.says("not seen yet")
    proof.instance("False")
    proof.says("its sidecar is not connected: no pod yet")
    proof.instance("True", {"name": "master", "latestRestorableTime": TIME}, {"name": "shop"})
    proof.says("it has no database with a restorable backup but SQL Server's own")
    proof.instance("True", {"name": "master", "latestRestorableTime": TIME}, {"name": "shop", "latestRestorableTime": TIME})
    backup = proof.made("MSSQLBackup")
    assert backup["spec"]["copyOnly"] is True and backup["spec"]["databases"] == ["shop"] and backup["spec"]["policyRef"]["name"] == "the-policy"
    kube.status("mssqlb", backup["metadata"]["name"], {"phase": "Running", "message": "half"})
    proof.says("Running: half")
    kube.status("mssqlb", backup["metadata"]["name"], {"phase": "Completed"})
    request = proof.made("MSSQLRestoreRequest")
    rule = request["spec"]["databaseRules"][0]
    assert request["spec"]["latest"] is True and rule["name"] == "shop" and rule["newName"].startswith("shop_test_") and request["spec"]["expiresAfter"]
    assert "newInstanceName" not in request["spec"]
    kube.status("mssqlrr", request["metadata"]["name"], {"phase": "Completed"})
    assert proof.end() == 0, proof.log
    assert "a backup was taken and its database restored" in proof.log


@pytest.mark.parametrize("phase", ["Failed", "Refused"])
def test_helm_test_fails_with_the_reason(kube, tmp_path, phase):
    proof = Proof(kube, tmp_path, "--database", "b")
    proof.instance("True", {"name": "a", "latestRestorableTime": TIME}, {"name": "b", "latestRestorableTime": TIME})
    backup = proof.made("MSSQLBackup")
    assert backup["spec"]["databases"] == ["b"]
    kube.status("mssqlb", backup["metadata"]["name"], {"phase": phase, "message": "the disk is full"})
    assert proof.end() != 0 and f"{phase}: the disk is full" in proof.log


def test_helm_test_says_what_it_waited_for(kube, tmp_path):
    proof = Proof(kube, tmp_path, "--timeout", "1s")
    assert proof.end() != 0 and "not proven in time. It still waited for MSSQLInstance: " in proof.log


def test_helm_test_needs_its_rights(kube, tmp_path):
    proof = Proof(kube, tmp_path)
    proof.says("not seen yet")
    kube("delete", "rolebinding", "mssql-src-mssql-helm-test")
    until(kube, proof.user, "create", "mssqlbackups.dbaas.cozy.io", False)
    proof.instance("True", {"name": "a", "latestRestorableTime": TIME})
    assert proof.end() != 0 and "cannot create mssqlbackups" in proof.log


@pytest.fixture(name="release")
def _release(kube):
    """helm in the test's namespace. Hooks are left out: here no pod runs."""
    def run(verb, *args, chart=CHART):
        return helm(verb, "mssql-src", chart, "-n", kube.namespace, "--no-hooks", *args)
    yield run
    helm("uninstall", "mssql-src", "-n", kube.namespace, "--ignore-not-found", "--no-hooks")


def test_upgrade_from_the_earlier_chart(kube, release, tmp_path):
    full = "mssql-src-mssql-helm"
    release("install", chart=DATA / "earlier")
    # the earlier controller made these by itself
    kube("apply", "-f", "-", stdin=listed([
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": f"{full}-instance-backup-store"},
         "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "200Gi"}}}},
        {"apiVersion": "dbaas.cozy.io/v1alpha1", "kind": "MSSQLBackupPolicy", "metadata": {"name": f"{full}-instance-backup-policy"},
         "spec": {"instanceRef": {"name": f"{full}-instance"}, "logBackup": {"intervalMinutes": 5}, "retentionDays": 30,
                  "connection": {"host": f"{full}-db", "port": 1433, "user": "sa", "passwordSecretRef": {"name": f"{full}-sa", "key": "SA_PASSWORD"}}}}]))
    kinds = [("statefulset", f"{full}-db"), ("service", f"{full}-db"), ("secret", f"{full}-sa"), ("deployment", f"{full}-operator"),
             ("serviceaccount", f"{full}-operator"), ("pvc", f"{full}-instance-backup-store"), ("mssqlinstance", f"{full}-instance"),
             ("mssqlbackuppolicy", f"{full}-instance-backup-policy")]
    before = {name: kube.get(*name)["metadata"]["uid"] for name in kinds}
    Bootstrap(kube, tmp_path).good()
    for _ in range(2):
        release("upgrade", "-f", CASES["bundled-operator"])
        assert {name: kube.get(*name)["metadata"]["uid"] for name in kinds} == before
        assert passwords(kube, SECRETS[0]) == ["Earlier-Passw0rd"]
    spec = kube.get("statefulset", f"{full}-db")["spec"]
    assert [c["name"] for c in spec["template"]["spec"]["initContainers"]] == ["prepare-volumes", "mssql-sidecar"]
    assert spec["updateStrategy"]["type"] == "OnDelete"


def test_a_release_that_goes_leaves_what_holds_data(kube, release, tmp_path):
    Bootstrap(kube, tmp_path).good()
    release("install", "-f", CASES["bundled-operator"])
    release("upgrade", "-f", CASES["bundled-operator"], "--set", "autoBackup.retentionDays=7")
    assert kube.get("mssqlinstance", "mssql-src-mssql-helm-instance")["spec"]["retentionDays"] == 7
    kept = passwords(kube, *SECRETS)
    helm("uninstall", "mssql-src", "-n", kube.namespace, "--no-hooks")
    with pytest.raises(Refused, match="NotFound"):
        kube("get", "statefulset", "mssql-src-mssql-helm-db")
    claim = kube.get("pvc", "mssql-src-mssql-helm-instance-backup-store")
    assert passwords(kube, *SECRETS) == kept
    release("install", "-f", CASES["bundled-operator"])
    assert kube.get("pvc", "mssql-src-mssql-helm-instance-backup-store")["metadata"]["uid"] == claim["metadata"]["uid"]


def test_a_password_of_the_values_is_kept_when_it_is_taken_out(kube, release, tmp_path):
    release("install", "--set", "mssql.auth.saPassword=Try-0ut!")
    Bootstrap(kube, tmp_path).good()
    release("upgrade")
    assert passwords(kube, SECRETS[0]) == ["Try-0ut!"]


def test_what_cannot_be_changed_is_refused_and_nothing_is_lost(kube, release):
    release("install")
    with pytest.raises(ChartError, match="Forbidden"):
        release("upgrade", "--set", "mssql.persistence.size=1Ti")
    assert kube.get("statefulset", "mssql-src-mssql-helm-db")["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] == "100Gi"


MATRIX = [  # (verb, resource, always, needs)
    ("list", "mssqlinstances.dbaas.cozy.io", True, ""), ("watch", "mssqlrestorejobs.dbaas.cozy.io", True, ""),
    ("patch", "mssqlbackuppolicies.dbaas.cozy.io", True, ""), ("create", "mssqlrestorejobs.dbaas.cozy.io", True, ""),
    ("delete", "mssqlbackups.dbaas.cozy.io", True, ""), ("delete", "mssqlinstances.dbaas.cozy.io", False, ""),
    ("delete", "mssqlbackuppolicies.dbaas.cozy.io", False, ""), ("create", "mssqlbackups.dbaas.cozy.io", False, ""),
    ("patch", "mssqlinstances.dbaas.cozy.io", False, ""),
    ("patch", "mssqlinstances.dbaas.cozy.io --subresource=status", True, ""), ("patch", "mssqlrestorerequests.dbaas.cozy.io --subresource=status", True, ""),
    ("watch", "pods", True, ""), ("watch", "services", True, ""), ("delete", "pods", False, ""), ("create", "pods", False, ""),
    ("create", "pods --subresource=exec", False, ""), ("get", "pods --subresource=log", False, ""),
    ("get", "secrets", True, ""), ("list", "secrets", False, ""), ("watch", "secrets", False, ""), ("delete", "secrets", False, ""),
    ("create", "persistentvolumeclaims", True, ""), ("create", "events", True, ""), ("create", "leases.coordination.k8s.io", True, ""),
    ("update", "leases.coordination.k8s.io/mssql-controller", True, ""), ("update", "leases.coordination.k8s.io/other", False, ""),
    ("get", "configmaps", False, ""), ("create", "configmaps", False, "provision"), ("create", "secrets", False, "provision"),
    ("patch", "pods", False, "upgradePods"), ("create", "statefulsets.apps", False, "provision"), ("delete", "statefulsets.apps", False, "provision"),
    ("create", "services", False, "provision"), ("delete", "persistentvolumeclaims", False, "provision"),
    ("create", "tokenreviews.authentication.k8s.io", False, "clusterAuth"), ("create", "subjectaccessreviews.authorization.k8s.io", False, "clusterAuth"),
    ("create", "roles.rbac.authorization.k8s.io", False, ""), ("get", "nodes", False, ""),
]


@pytest.mark.parametrize("enabled", ["", "upgradePods", "provision", "clusterAuth"])
def test_rights_are_what_is_written_down(kube, enabled):
    values = ["--set", f"operator.rbac.{enabled}=true"] if enabled else []
    text = template(*values, namespace=kube.namespace)
    roles = [o for o in objects(text) if o["apiVersion"].startswith("rbac.") and "helm.sh/hook" not in o["metadata"].get("annotations", {})]
    kube("apply", "-f", "-", stdin=listed(roles))
    user = f"system:serviceaccount:{kube.namespace}:mssql-src-mssql-helm-operator"
    try:
        until(kube, user, *(("create", "tokenreviews.authentication.k8s.io") if enabled == "clusterAuth" else ("create", "leases.coordination.k8s.io")), True)
        until(kube, user, "create", "events", True)
        for verb, what, always, needs in MATRIX:
            allowed = can(kube, user, verb, what)
            assert allowed == (always or (needs != "" and needs == enabled)), f"{verb} {what}"
        assert not can(kube, user, "get", "pods", "default") and not can(kube, user, "list", "mssqlinstances.dbaas.cozy.io", "default")
    finally:
        for role in roles:
            if role["kind"].startswith("Cluster"):
                Kube()("delete", role["kind"], role["metadata"]["name"])


def test_the_platforms_controller_sees_every_namespace(kube):
    text = render("platform-controller", namespace=kube.namespace)
    roles = [o for o in objects(text) if o["apiVersion"].startswith("rbac.") and "helm.sh/hook" not in o["metadata"].get("annotations", {})]
    kube("apply", "-f", "-", stdin=listed(roles))
    user = f"system:serviceaccount:{kube.namespace}:mssql-src-mssql-helm-operator"
    try:
        until(kube, user, "get", "pods", True)
        assert can(kube, user, "watch", "mssqlinstances.dbaas.cozy.io", "default") and can(kube, user, "get", "pods", "*")
        assert not can(kube, user, "update", "leases.coordination.k8s.io/mssql-controller", "default")
        assert not can(kube, user, "create", "statefulsets.apps", "default") and not can(kube, user, "list", "secrets", "default")
        tenant = find(render("core-managed", namespace=kube.namespace), "StatefulSet", "mssql-src-mssql-helm-db")
        assert tenant["spec"]["template"]["spec"]["automountServiceAccountToken"] is False
    finally:
        for role in roles:
            if role["kind"].startswith("Cluster"):
                Kube()("delete", role["kind"], role["metadata"]["name"])
