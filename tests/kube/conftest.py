# SPDX-License-Identifier: Apache-2.0
"""Tests on a real Kubernetes. They run inside the test cluster: `./dev e2e` starts it and enters."""
import json
import os
import subprocess
import uuid

import pytest
import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


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


@pytest.fixture
def kube():
    """A namespace for one test, deleted after it."""
    name = "t-" + uuid.uuid4().hex[:10]
    Kube()("create", "namespace", name)
    yield Kube(name)
    Kube()("delete", "namespace", name, "--wait=false")
