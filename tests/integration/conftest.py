# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the integration tests; each family lives in fixtures/."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

import pytest  # noqa: E402

from fixtures import real  # noqa: E402
from fixtures.controller import crds, namespace, replicas  # noqa: E402,F401
from fixtures.fleet import controllers, issuer  # noqa: E402,F401
from fixtures.kube import api, misbehaving, probes  # noqa: E402,F401
from fixtures.lab import lab, lab_servers, own_lab  # noqa: E402,F401
from fixtures.real import real_server  # noqa: E402,F401
from fixtures.sidecar import sidecar, sidecar_factory  # noqa: E402,F401
from fixtures.sqlsim import shared_sim, sim, sim_factory  # noqa: E402,F401
from fixtures.wire import certificate, wire, wire_factory  # noqa: E402,F401


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "simulator(reason): needs what only the simulated SQL Server can do; not run with MSSQL_TEST_HOST")
    if real.HOST:
        if not hasattr(config, "workerinput"):  # the workers of xdist are children of this one
            real.refuse_production()
        config.option.basetemp = str(real.shared_directory() / "tmp")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items if real.HOST else ():
        reason = real.why_not(item)
        if reason:
            item.add_marker(pytest.mark.skip(reason=f"simulator: {reason}"))


def pytest_terminal_summary(terminalreporter) -> None:
    """By name, with the reason: what was not run is not tested."""
    left = {r.nodeid: r.longrepr[2].removeprefix("Skipped: simulator: ") for r in terminalreporter.stats.get("skipped", [])} if real.HOST else {}
    if left:
        terminalreporter.section(f"not run on {real.HOST}: {len(left)}")
    for name, reason in sorted(left.items()):
        terminalreporter.write_line(f"{name}: {reason}")


def pytest_unconfigure(config: pytest.Config) -> None:
    if real.HOST and real._server is not None:  # pylint: disable=protected-access
        real.server().clean()
