# SPDX-License-Identifier: Apache-2.0
"""The Kubernetes client against a real API server."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import uuid
from pathlib import Path

import pytest

from fixtures.kube import ADDED, CONFIGMAP, DELETED, EVENT, LEASE, MODIFIED, PROGRAMS, SECRET

pytestmark = pytest.mark.simulator("it is about Kubernetes, not SQL Server")
FAST = (1000, 1000)


@pytest.fixture
def namespace(api):
    name = "t-" + uuid.uuid4().hex[:10]
    api.kubectl("create", "namespace", name)
    return name


@pytest.fixture
def probe(api, probes):
    return probes(api.kubeconfig, *FAST, netns=api.netns)


def config_map(name: str, **data: str) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def make_many(probe, namespace: str, count: int) -> None:
    idents = [probe.send(verb="create", kind=CONFIGMAP, namespace=namespace, body=config_map(f"m{n:04}")) for n in range(count)]
    for ident in idents:
        assert probe.result(ident)["class"] == "none"


def changes(probe, ident: str) -> list[tuple[int, str]]:
    return [(line["changed"], line["name"]) for line in probe.lines if line.get("id") == ident and "changed" in line]


def wait_change(probe, ident: str, kind: int, name: str) -> dict:
    return probe.wait(lambda line: line.get("id") == ident and line.get("changed") == kind and line["name"] == name, f"change {kind} of {name}")


def synced(probe, ident: str) -> int:
    return probe.wait(lambda line: line.get("id") == ident and "synced" in line, "sync")["synced"]


def test_verbs_and_their_conflicts(probe, api, namespace):
    where = {"namespace": namespace, "name": "a"}
    made = probe.call("create", CONFIGMAP, namespace=namespace, body=config_map("a", x="1"))
    assert made["class"] == "none" and made["status"] == 201
    again = probe.call("create", CONFIGMAP, namespace=namespace, body=config_map("a"))
    assert again["class"] == "exists" and again["reason"] == "AlreadyExists"
    old = made["object"]
    changed = json.loads(json.dumps(old)) | {"data": {"x": "2"}}
    assert probe.call("update", CONFIGMAP, body=changed, **where)["class"] == "none"
    assert probe.call("update", CONFIGMAP, body=changed, **where)["class"] == "conflict"
    api.run(["nsenter", f"--net={api.netns}", "env", f"KUBECONFIG={api.kubeconfig}", api.kubeconfig.parents[1] / "bin/kubectl", "-n", namespace,
             "apply", "--server-side", "--force-conflicts", "--field-manager=other", "-f", "-"], input=json.dumps(config_map("a", y="theirs")))
    refused = probe.call("apply", CONFIGMAP, body=config_map("a", y="ours"), **where)
    assert refused["class"] == "conflict" and 'conflict with "other"' in refused["error"]
    forced = probe.call("apply", CONFIGMAP, body=config_map("a", y="ours"), force=True, **where)
    assert forced["object"]["data"]["y"] == "ours"
    assert any(m["manager"] == "mssql-controller" and m["operation"] == "Apply" for m in forced["object"]["metadata"]["managedFields"])
    assert probe.call("delete", CONFIGMAP, uid=str(uuid.uuid4()), **where)["class"] == "conflict"
    assert probe.call("delete", CONFIGMAP, uid=old["metadata"]["uid"], **where)["class"] == "none"
    gone = probe.call("get", CONFIGMAP, **where)
    assert gone["class"] == "not_found" and f"cannot get configmaps a in namespace {namespace}" in gone["error"]


@pytest.mark.parametrize("plain", [True, False], ids=["pages", "stream"])
def test_many_objects_and_then_changes(probe, namespace, plain):
    make_many(probe, namespace, 2500)
    cache = probe.send(cache=True, kind=CONFIGMAP, namespaces=[namespace], page=300, plain=plain)
    assert synced(probe, cache) == 2501  # and kube-root-ca.crt
    verbs = [line["exchanged"] for line in probe.lines if "exchanged" in line]
    assert verbs.count("list") == (9 if plain else 0)
    probe.call("apply", CONFIGMAP, namespace=namespace, name="m0007", body=config_map("m0007", x="1"), force=True)
    probe.call("delete", CONFIGMAP, namespace=namespace, name="m0008")
    assert wait_change(probe, cache, MODIFIED, "m0007")["kind"] == "ConfigMap"
    wait_change(probe, cache, DELETED, "m0008")
    seen = changes(probe, cache)
    assert len(seen) == len(set(seen)) == 2503 and not any(line.get("managed") for line in probe.lines)


def test_two_namespaces_and_selectors(probe, api, namespace):
    other = namespace + "-b"
    api.kubectl("create", "namespace", other)
    for where in (namespace, other):
        for name in ("a", "b"):
            body = config_map(name)
            body["metadata"]["labels"] = {"take": name}
            assert probe.call("create", CONFIGMAP, namespace=where, body=body)["class"] == "none"
    cache = probe.send(cache=True, kind=CONFIGMAP, namespaces=[namespace, other], labels="take=a")
    assert synced(probe, cache) == 2
    one = probe.send(cache=True, kind=CONFIGMAP, namespaces=[namespace], fields="metadata.name=b")
    assert synced(probe, one) == 1


def compact(api, revision: int) -> None:
    body = json.dumps({"revision": str(revision), "physical": True})
    out = api.run(["nsenter", f"--net={api.netns}", "curl", "-sS", "http://127.0.0.1:2379/v3/kv/compaction", "-d", body])
    assert '"revision"' in out, out


class SecondServer:
    """Another API server on the same etcd, which a test may stop and start."""

    def __init__(self, api):
        self.api, self.process = api, None
        mine = str(api.kubeconfig.parent).encode()
        for command in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = command.read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0].endswith(b"kube-apiserver") and any(mine in word for word in words):
                self.command = [word.decode() for word in words if word]

    def start(self) -> None:
        self.process = subprocess.Popen(
            ["nsenter", f"--net={self.api.netns}", str(PROGRAMS / "kube-apiserver"), *self.command[1:], "--secure-port=7443"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def second(api, tmp_path):
    server = SecondServer(api)
    server.start()
    server.kubeconfig = tmp_path / "second"
    server.kubeconfig.write_text(api.kubeconfig.read_text(encoding="utf-8").replace(":6443", ":7443"), encoding="utf-8")
    yield server
    server.stop()


def test_restart_of_the_server_and_compaction(probe, probes, api, second, namespace):
    """The server is away while objects change, and the history that the watch would need is gone when it is back."""
    make_many(probe, namespace, 10)
    away = probes(second.kubeconfig, *FAST, netns=api.netns)
    cache = away.send(cache=True, kind=CONFIGMAP, namespaces=[namespace])
    assert synced(away, cache) == 11
    page = away.call("list", CONFIGMAP, namespace=namespace, limit=5)["object"]["metadata"]["continue"]
    second.stop()
    assert away.wait(lambda line: line.get("id") == cache and "trouble" in line, "trouble")["trouble"] == "connect"
    probe.call("delete", CONFIGMAP, namespace=namespace, name="m0003")
    probe.call("create", CONFIGMAP, namespace=namespace, body=config_map("new"))
    compact(api, int(probe.call("list", CONFIGMAP, namespace=namespace)["object"]["metadata"]["resourceVersion"]))
    second.start()
    wait_change(away, cache, DELETED, "m0003")
    wait_change(away, cache, ADDED, "new")
    assert away.wait(lambda line: line.get("id") == cache and line.get("trouble") == "none", "end of trouble")
    late = away.call("list", CONFIGMAP, namespace=namespace, limit=5, **{"continue": page})
    assert late["class"] == "state" and late["status"] == 410 and late["reason"] == "Expired"
    assert len(changes(away, cache)) == 13


def test_forbidden_in_one_namespace_others_go_on(probe, probes, api, namespace, tmp_path):
    api.kubectl("-n", namespace, "create", "serviceaccount", "limited")
    api.kubectl("-n", namespace, "create", "role", "maps", "--verb=get,list,watch", "--resource=configmaps")
    api.kubectl("-n", namespace, "create", "rolebinding", "maps", "--role=maps", f"--serviceaccount={namespace}:limited")
    token = api.kubectl("-n", namespace, "create", "token", "limited").strip()
    limited = probes(api.login(tmp_path / "limited", {"token": token}), *FAST, netns=api.netns)
    maps = limited.send(cache=True, kind=CONFIGMAP, namespaces=[namespace, "kube-system"])
    secrets = limited.send(cache=True, kind=SECRET, namespaces=[namespace])
    trouble = limited.wait(lambda line: line.get("id") == secrets and "trouble" in line, "trouble with secrets")
    assert trouble["trouble"] == "permission" and f"secrets in namespace {namespace}" in trouble["error"]
    assert limited.wait(lambda line: line.get("id") == maps and "trouble" in line, "trouble with maps")["namespace"] == "kube-system"
    wait_change(limited, maps, ADDED, "kube-root-ca.crt")
    assert probe.call("create", CONFIGMAP, namespace=namespace, body=config_map("new"))["class"] == "none"
    wait_change(limited, maps, ADDED, "new")
    said = {(line["forbidden"], line["resource"], line["namespace"]) for line in limited.lines if "forbidden" in line}
    assert said == {("watch", "secrets", namespace), ("watch", "configmaps", "kube-system")}


def test_a_token_that_ends_is_read_again(probes, api, namespace, tmp_path):
    api.kubectl("-n", namespace, "create", "serviceaccount", "reader")
    api.kubectl("-n", namespace, "create", "role", "maps", "--verb=get", "--resource=configmaps")
    api.kubectl("-n", namespace, "create", "rolebinding", "maps", "--role=maps", f"--serviceaccount={namespace}:reader")
    file = tmp_path / "token"
    file.write_text("not-a-token", encoding="utf-8")
    reader = probes(api.login(tmp_path / "reader", {"tokenFile": str(file)}), *FAST, netns=api.netns)
    where = {"namespace": namespace, "name": "kube-root-ca.crt"}
    assert reader.call("get", CONFIGMAP, **where)["class"] == "auth"
    file.write_text(api.kubectl("-n", namespace, "create", "token", "reader"), encoding="utf-8")
    assert reader.call("get", CONFIGMAP, **where)["class"] == "none"


def elector(probe, namespace: str, identity: str) -> str:
    return probe.send(lease=True, namespace=namespace, name="lead", identity=identity, kind={})


def lease_says(probe, ident: str, what: str) -> dict:
    return probe.wait(lambda line: line.get("id") == ident and line.get("lease") == what, f"{what} of {ident}")


def test_two_electors_and_a_release(probes, api, namespace):
    first, other = (probes(api.kubeconfig, *FAST, netns=api.netns) for _ in range(2))
    one = elector(first, namespace, "one")
    assert lease_says(first, one, "led")["leading"]
    two = elector(other, namespace, "two")
    assert other.wait(lambda line: line.get("id") == two and "holder" in line, "holder")["holder"] == "one"
    first.send(release=one, kind={})
    assert not lease_says(first, one, "released")["leading"]
    began = time.monotonic()
    assert lease_says(other, two, "led")["leading"]
    assert time.monotonic() - began < 10, "nobody waits for the lease to run out"
    spec = first.call("get", LEASE, namespace=namespace, name="lead")["object"]["spec"]
    assert spec["holderIdentity"] == "two" and spec["leaseTransitions"] >= 1


def test_a_leader_that_hangs_gives_up_before_it_does_anything_else(probes, api, namespace):
    first, other = (probes(api.kubeconfig, *FAST, netns=api.netns) for _ in range(2))
    one = elector(first, namespace, "one")
    lease_says(first, one, "led")
    two = elector(other, namespace, "two")
    other.wait(lambda line: line.get("id") == two and "holder" in line, "holder")
    first.process.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        lease_says(other, two, "led")
        assert time.monotonic() - began > 8, "not before the promise ended"
    finally:
        first.process.send_signal(signal.SIGCONT)
    assert not lease_says(first, one, "lost")["leading"]
    assert first.wait(lambda line: line.get("holder") == "two", "the new holder")


def test_what_happens_often_is_one_event(probe, api, namespace):
    about = probe.call("get", CONFIGMAP, namespace=namespace, name="kube-root-ca.crt")["object"]
    watch = probe.send(verb="watch", kind=EVENT, namespace=namespace)
    for number in range(50):
        probe.send(say="Broken", about=about, message=f"for the {number}th time", warning=True, kind={})
    probe.send(say="Fine", about=about, message="x" + "\u00fc" * 900, kind={})
    probe.wait(lambda line: line.get("id") == watch and line.get("event") == MODIFIED, "a patch of the first")
    found = {e["reason"]: e for e in json.loads(api.kubectl("-n", namespace, "get", "events", "-o", "json"))["items"] if e["source"]["component"] == "kubeprobe"}
    assert set(found) == {"Broken", "Fine"} and found["Fine"]["message"] == "x" + "\u00fc" * 499
    broken = found["Broken"]
    assert broken["count"] == 50 and broken["message"] == "for the 49th time" and broken["type"] == "Warning"
    assert broken["involvedObject"]["uid"] == about["metadata"]["uid"] and broken["involvedObject"]["kind"] == "ConfigMap"
    probe.wait(lambda line: line.get("exchanged") == "patch", "the answer to the patch")
    made = [line["exchanged"] for line in probe.lines if line.get("resource") == "events" and "exchanged" in line]
    assert sorted(made) == ["create", "create", "patch"]
