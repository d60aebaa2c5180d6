# SPDX-License-Identifier: Apache-2.0
"""Random kills of the sidecar and of the server under load: nothing that was acknowledged is missing in a copy of the store. Two rounds of
25, so that they run beside each other; `./dev soak N [seed]` does as many as wanted with the same driver."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from soak.driver import Soak

pytestmark = pytest.mark.simulator("kills the server, too")

KILLS = 25


@pytest.mark.parametrize("which", range(2))
def test_random_kills(tmp_path: Path, which: int) -> None:
    seed = int(os.environ["MSSQL_SEED"]) + which if "MSSQL_SEED" in os.environ else random.SystemRandom().randrange(1 << 31)
    with Soak(tmp_path, seed) as soak:  # prints the seed; MSSQL_SEED replays it
        soak.kill(KILLS)
        rows = soak.prove()
        print(soak.kills, "backups on demand:", soak.trigger.committed, "rows:", rows)
        assert soak.trigger.committed > 0
        assert sum(soak.kills.values()) == KILLS
