# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the integration tests; each family lives in fixtures/."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from fixtures.lab import lab, lab_servers, own_lab  # noqa: E402,F401
from fixtures.sidecar import sidecar, sidecar_factory  # noqa: E402,F401
from fixtures.sqlsim import shared_sim, sim, sim_factory  # noqa: E402,F401
from fixtures.wire import certificate, wire, wire_factory  # noqa: E402,F401
