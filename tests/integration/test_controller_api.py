# SPDX-License-Identifier: Apache-2.0
"""The controller against a real API server, without sidecars: what it makes, what it says, who leads, what it may do."""

from __future__ import annotations

import subprocess

import pytest

from fixtures.controller import Controller, conditions, custom, instance, pod, secret, service
from fixtures.kube import ROOT
from fixtures.sidecar import BUILD, SANITIZER, wait_for

pytestmark = pytest.mark.simulator("it is about Kubernetes, not SQL Server")


def test_an_instance_gets_its_policy_and_its_claim(namespace, replicas):
    replicas().leads()
    namespace.apply(secret(), service(), pod(), instance(retentionDays=7, fullBackupSchedule="0 3 * * *", logBackupIntervalMinutes=2, storage={"backupData": {"size": "3Gi"}}))
    found = namespace.condition("MSSQLInstance", "src", "SidecarConnected", "False", "NotConnected")
    assert found["status"]["backupPolicyName"] == "src-backup-policy" and found["status"]["backupPVCName"] == "src-backup-store"
    assert found["status"]["sourcePVCName"] == "data-src-db-0"
    policy = namespace.phase("MSSQLBackupPolicy", "src-backup-policy", "Pending")
    assert policy["spec"]["retentionDays"] == 7 and policy["spec"]["logBackup"] == {"intervalMinutes": 2}
    assert policy["spec"]["fullBackup"] == {"enabled": True, "schedule": "0 3 * * *"}
    claim = namespace.wait("pvc", "src-backup-store", lambda o: True, "is there")
    assert claim["spec"]["resources"]["requests"]["storage"] == "3Gi" and "ownerReferences" not in claim["metadata"]
    wait_for("an event", lambda: "ClaimCreated" in namespace.events("src"))


def test_edits_of_the_policy_are_taken_back_and_changes_of_the_instance_arrive(namespace, replicas):
    replicas().leads()
    namespace.apply(secret(), service(), instance(retentionDays=7, timeZone="Europe/Berlin"))
    namespace.wait("MSSQLBackupPolicy", "src-backup-policy", lambda o: o["spec"]["retentionDays"] == 7, "7 days")
    namespace.patch("MSSQLBackupPolicy", "src-backup-policy", {"spec": {"retentionDays": 3}})
    namespace.wait("MSSQLBackupPolicy", "src-backup-policy", lambda o: o["spec"]["retentionDays"] == 7 and o["metadata"]["generation"] > 2, "7 days again")
    namespace.patch("MSSQLInstance", "src", {"spec": {"retentionDays": 9, "timeZone": None}})
    namespace.wait("MSSQLBackupPolicy", "src-backup-policy", lambda o: o["spec"]["retentionDays"] == 9 and "timeZone" not in o["spec"], "9 days, no zone")


def test_a_secret_that_comes_later(namespace, replicas):
    replicas().leads()
    namespace.apply(service(), instance())
    found = namespace.phase("MSSQLInstance", "src", "Pending")
    found = namespace.condition("MSSQLInstance", "src", "Accepted", "False", "SecretNotFound")
    assert "passwordSecretRef not found" in found["status"]["message"]
    assert namespace.get("MSSQLBackupPolicy", "src-backup-policy") is None
    namespace.apply(secret())
    namespace.condition("MSSQLInstance", "src", "Accepted", "True")
    namespace.wait("MSSQLBackupPolicy", "src-backup-policy", lambda o: True, "is there")


def test_two_instances_of_one_server(namespace, replicas):
    namespace.apply(secret(), secret("b-sa"), service(), instance())
    first = namespace.get("MSSQLInstance", "src")["metadata"]["creationTimestamp"]
    wait_for("another second", lambda: namespace.kubectl("create", "configmap", "clock", "-o", "jsonpath={.metadata.creationTimestamp}", "--dry-run=server") != first)
    namespace.apply(instance("b", connection={"host": "src-db"}))
    replicas().leads()
    late = namespace.phase("MSSQLInstance", "b", "Conflict")
    assert "src" in late["status"]["message"]
    namespace.wait("MSSQLBackupPolicy", "src-backup-policy", lambda o: True, "is there")
    assert namespace.get("MSSQLBackupPolicy", "b-backup-policy") is None
    namespace.kubectl("delete", "mssqlinstance", "src")
    namespace.phase("MSSQLInstance", "b", "Pending")
    namespace.wait("MSSQLBackupPolicy", "b-backup-policy", lambda o: True, "is there")


def test_objects_that_lead_nowhere_say_so_and_end(namespace, replicas):
    replicas().leads()
    namespace.apply(
        secret(), service(), instance(),
        custom("MSSQLBackup", "b", {"policyRef": {"name": "nope"}, "backupType": "full"}),
        custom("MSSQLRestoreRequest", "r", {"instanceRef": {"name": "src"}, "targetTime": "yesterday"}),
        custom("MSSQLRestoreRequest", "f", {"instanceRef": {"name": "src"}, "targetTime": "2999-01-01T00:00:00Z"}),
        custom("MSSQLRestoreJob", "j", {"policyRef": {"name": "gone"}, "targetTime": "2026-01-01T00:00:00Z"}),
        custom("MSSQLBackupPolicy", "p", {"instanceRef": {"name": "none"}, "logBackup": {"intervalMinutes": 5}, "retentionDays": 3, "connection": instance()["spec"]["connection"]}),
        custom("MSSQLBackupPolicy", "c", {"instanceRef": {"name": "src"}, "fullBackup": {"schedule": "61 * * * *"}, "logBackup": {"intervalMinutes": 5}, "retentionDays": 3, "connection": instance()["spec"]["connection"]}),
    )  # fmt: skip
    texts = {
        ("MSSQLBackup", "b", "Failed"): "policyRef nope not found",
        ("MSSQLRestoreRequest", "r", "Failed"): "targetTime must be valid RFC3339 time",
        ("MSSQLRestoreRequest", "f", "Failed"): "in the future",
        ("MSSQLRestoreJob", "j", "Failed"): "policyRef gone not found",
        ("MSSQLBackupPolicy", "p", "Pending"): "instanceRef none not found",
        ("MSSQLBackupPolicy", "c", "Invalid"): "fullBackup.schedule",
    }
    for (kind, name, phase), text in texts.items():
        assert text in namespace.phase(kind, name, phase)["status"]["message"]
    assert namespace.list("MSSQLRestoreJob")[0]["metadata"]["name"] == "j"  # nobody made another one


def test_finished_objects_go_after_their_time(namespace, replicas):
    replicas().leads()
    namespace.apply(custom("MSSQLBackup", "b", {"policyRef": {"name": "nope"}, "backupType": "full", "ttlSecondsAfterFinished": 1}))
    wait_for("its end", lambda: namespace.get("MSSQLBackup", "b") is None)


def test_a_quiet_cluster_costs_nothing(namespace, replicas):
    controller = replicas(waits={"missing": "2s", "reconnect": "1s"}).leads()
    namespace.apply(secret(), service(), pod(), instance())
    namespace.condition("MSSQLInstance", "src", "RPOMet", "Unknown", "SidecarNotConnected")
    namespace.phase("MSSQLBackupPolicy", "src-backup-policy", "Pending")
    wait_for("an empty queue", lambda: controller.metric("mssql_controller_queue_depth") == 0 or None)
    before = controller.metric("mssql_controller_status_writes_total"), controller.metric('mssql_controller_kube_requests_total{verb="patch"')
    renewed = controller.metric('mssql_controller_kube_requests_total{verb="update",resource="leases"')
    wait_for("three renewals of the Lease", lambda: controller.metric('mssql_controller_kube_requests_total{verb="update",resource="leases"') >= renewed + 3)
    after = controller.metric("mssql_controller_status_writes_total"), controller.metric('mssql_controller_kube_requests_total{verb="patch"')
    assert after == before


def test_the_second_replica_takes_over(namespace, replicas):
    first = replicas("first").leads()
    second = replicas("second")
    namespace.apply(secret(), service(), instance())
    namespace.phase("MSSQLInstance", "src", "Pending")
    assert "leading: no" in second.get("/readyz")
    assert first.stop() == 0  # releases the Lease
    second.leads()
    namespace.apply(custom("MSSQLBackup", "b", {"policyRef": {"name": "nope"}, "backupType": "full"}))
    namespace.phase("MSSQLBackup", "b", "Failed")


def test_a_killed_leader_is_followed(namespace, replicas):
    first = replicas("first").leads()
    second = replicas("second")
    first.kill()
    second.leads()


def test_missing_rights_are_named_and_the_rest_goes_on(namespace, replicas, api, tmp_path):
    """An account that may read everything and write statuses, but make no claims."""
    api.kubectl("create", "serviceaccount", "poor", "-n", namespace.name)
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "poor"},
        "rules": [
            {"apiGroups": ["dbaas.cozy.io"], "resources": ["*"], "verbs": ["get", "list", "watch", "create", "patch"]},
            {"apiGroups": [""], "resources": ["services", "secrets"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["get"]},
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]},
        ],
    }  # fmt: skip
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "poor"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "poor"},
        "subjects": [{"kind": "ServiceAccount", "name": "poor", "namespace": namespace.name}],
    }  # fmt: skip
    namespace.apply(role, binding, secret(), service(), instance())
    token = api.kubectl("-n", namespace.name, "create", "token", "poor").strip()
    controller = replicas(kubeconfig=api.login(tmp_path / "poor.kubeconfig", {"token": token})).leads()
    found = namespace.condition("MSSQLInstance", "src", "Reconciled", "False", "Forbidden")
    assert "create persistentvolumeclaims" in conditions(found)["Reconciled"]["message"] and namespace.name in conditions(found)["Reconciled"]["message"]
    assert "pods: " in controller.get("/readyz")
    namespace.wait("MSSQLBackupPolicy", "src-backup-policy", lambda o: True, "is there all the same")
    assert controller.metric('mssql_controller_kube_forbidden{verb="create",resource="persistentvolumeclaims"') == 1
    role["rules"].append({"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["create"]})
    namespace.apply(role)
    namespace.wait("pvc", "src-backup-store", lambda o: True, "is made when it may be")
    namespace.wait("MSSQLInstance", "src", lambda o: "Reconciled" not in conditions(o), "says nothing of it any more")


@pytest.mark.parametrize("line, code, text", [
    (["--grpc-listn", "x"], 2, "did you mean --grpc-listen"),
    (["--http-listen", "unix:///x"], 2, "Unix socket"),
    (["--namespaces", "*,a"], 10, "stands alone"),
    (["--grpc-tls-cert", "/x"], 10, "belong together"),
    (["--kube-kubeconfig", "/does/not/exist"], 10, "/does/not/exist"),
    ([], 10, ""),
])  # fmt: skip
def test_bad_starts_are_one_clear_line(line, code, text, tmp_path):
    done = subprocess.run(
        [BUILD / "controller/mssql-controller", *line], capture_output=True, text=True, check=False, timeout=30,
        env={**SANITIZER, "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert text in done.stderr and len(done.stderr.splitlines()) <= 3, done.stderr
    assert done.returncode == code, done.stderr


def test_the_reference_is_the_programs():
    printed = subprocess.run([BUILD / "controller/mssql-controller", "--config-reference"], capture_output=True, text=True, check=True)
    assert printed.stdout == (ROOT / "docs/reference/controller.md").read_text(encoding="utf-8")


def test_a_controller_that_lost_the_lead_ends(namespace, replicas, api):
    controller: Controller = replicas().leads()
    lease = namespace.get("lease", "mssql-controller")
    # another one took it, with a record that is newer than ours
    namespace.patch("lease", "mssql-controller", {"spec": {"holderIdentity": "thief", "leaseTransitions": lease["spec"].get("leaseTransitions", 0) + 1}})
    wait_for("its end", lambda: controller.process.poll() is not None)
    assert controller.process.returncode == 13, controller.log()[-2000:]
    assert any("lead was lost" in line.get("error", "") for line in controller.lines())
    controller.process = None
