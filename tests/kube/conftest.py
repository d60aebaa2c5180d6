# SPDX-License-Identifier: Apache-2.0
"""Tests on a real Kubernetes. They run inside the test cluster: `./dev e2e` starts it and enters."""
import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


sys.path[:0] = [os.path.join(ROOT, "tests"), os.path.join(ROOT, "tests", "integration"), os.path.join(ROOT, "tests", "kube")]

from fixtures.sqlsim import Sim  # noqa: E402
from fixtures.wire import certificate  # noqa: E402,F401
from pods import Release  # noqa: E402


class Refused(Exception):
    """kubectl ended with an error; the text is what it said."""


class Kube:
    """kubectl in one namespace."""

    def __init__(self, namespace=None):
        self.namespace = namespace

    def __call__(self, *args, stdin=None, timeout=60):
        command = ["kubectl"] + (["-n", self.namespace] if self.namespace else []) + [str(a) for a in args]
        done = subprocess.run(command, input=stdin, text=True, capture_output=True, timeout=timeout)
        if done.returncode:
            raise Refused(done.stderr.strip())
        return done.stdout

    def apply(self, *objects, manager="tests", subresource=None):
        """Server-side apply; gives the objects as the server keeps them."""
        extra = ["--subresource=" + subresource] if subresource else []
        out = self("apply", "--server-side", "--force-conflicts", "--field-manager=" + manager, *extra, "-o", "json", "-f", "-",
                   stdin=yaml.safe_dump_all(objects))
        got = json.loads(out)
        return got["items"] if got.get("kind") == "List" else [got]

    def get(self, kind, name):
        return json.loads(self("get", kind, name, "-o", "json"))

    def status(self, kind, name, status):
        self("patch", kind, name, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))


@pytest.fixture(scope="session")
def crds():
    """The custom resource definitions of the repository, served."""
    kube = Kube()
    folder = os.path.join(ROOT, "crd")
    kube("apply", "--server-side", "--force-conflicts", "-f", folder)
    for name in sorted(os.listdir(folder)):
        kube("wait", "--for=condition=Established", "crd/" + name[: -len(".yaml")] + ".dbaas.cozy.io", "--timeout=30s")
    return folder


def diagnose(kube, folder):
    """What people look at when a pod is not as it should be; into files, and the ends of them into the report."""
    commands = {"objects.txt": ("get", "all,pvc,configmaps,events", "-o", "wide"), "pods.txt": ("describe", "pods"), "objects.yaml": ("get", "pods,pvc", "-o", "yaml")}
    for pod in json.loads(kube("get", "pods", "-o", "json"))["items"]:
        spec, name = pod["spec"], pod["metadata"]["name"]
        for container in spec.get("initContainers", []) + spec["containers"]:
            logs = ("logs", name, "-c", container["name"])
            commands |= {f"{name}.{container['name']}.log": logs, f"{name}.{container['name']}.before.log": (*logs, "--previous")}
    folder.mkdir(parents=True, exist_ok=True)
    for name, command in commands.items():
        try:
            text = kube(*command)
        except (Refused, subprocess.TimeoutExpired) as err:
            text = str(err)
        (folder / name).write_text(text)
        if not name.endswith((".yaml", ".before.log")):
            yield f"{kube.namespace}: {name}", text[-4000:]
    yield "all of it", str(folder)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows its namespace, which is still there."""
    report = (yield).get_result()
    if report.failed and "kube" in getattr(item, "funcargs", {}):
        folder = Path(os.environ.get("MSSQL_BUILD", "/tmp")).parent / "e2e" / "failed" / item.name
        report.sections += diagnose(item.funcargs["kube"], folder)


def namespace():
    name = "t-" + uuid.uuid4().hex[:10]
    Kube()("create", "namespace", name)
    yield Kube(name)
    Kube()("delete", "namespace", name, "--wait=false")


@pytest.fixture
def kube():
    """A namespace for one test, deleted after it."""
    yield from namespace()


@pytest.fixture
def release(kube, tmp_path):
    """The chart, not installed yet, in the test's namespace."""
    return Release(kube, tmp_path)


@pytest.fixture(scope="session")
def target(tmp_path_factory, certificate):  # noqa: F811
    """A server that never saw a pod, to restore copies of stores to."""
    sim = Sim(tmp_path_factory.mktemp("target"), certificate)
    sim.start()
    yield sim
    sim.kill()
