# SPDX-License-Identifier: Apache-2.0
"""Renders of the chart."""
import os
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "mssql-helm"
DATA = ROOT / "tests" / "data" / "chart"
PROGRAMS = Path(os.environ.get("MSSQL_SIDECAR_CACHE", Path.home() / ".cache" / "mssql-sidecar")) / "cluster" / "bin"
KUBERNETES = "1.34.0"
NAMESPACE = "dbaas-mssql"
PROFILES = {name: CHART / f"values-{name}.yaml" for name in ("bundled-operator", "core-managed", "platform-controller")}
CASES = {**PROFILES, **{path.stem: path for path in sorted((DATA / "values").glob("*.yaml"))}}


class ChartError(Exception):
    """helm refused; the text is what it said."""


def helm(*args, stdin=None) -> str:
    done = subprocess.run([str(PROGRAMS / "helm"), *map(str, args)], input=stdin, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise ChartError(done.stderr + done.stdout)
    return done.stdout


def template(*args, release="mssql-src", namespace=NAMESPACE, chart=CHART, kube=KUBERNETES) -> str:
    return helm("template", release, chart, "-n", namespace, "--kube-version", kube, *args)


def render(case: str, *args, **more) -> str:
    return template("-f", CASES[case], *args, **more)


def objects(text: str) -> list[dict]:
    return [o for o in yaml.safe_load_all(text) if o]


def find(text: str, kind: str, name: str) -> dict:
    found = [o for o in objects(text) if o["kind"] == kind and o["metadata"]["name"] == name]
    assert len(found) == 1, f"{len(found)} {kind} {name}; there are {sorted((o['kind'], o['metadata']['name']) for o in objects(text))}"
    return found[0]


def pod_specs(text: str) -> list[tuple[str, dict]]:
    return [(f"{o['kind']} {o['metadata']['name']}", o["spec"]["template"]["spec"]) for o in objects(text) if "template" in o.get("spec", {})]


def containers(spec: dict) -> list[dict]:
    return spec.get("initContainers", []) + spec["containers"]


def golden(case: str) -> Path:
    return DATA / "golden" / f"{case}.yaml"
