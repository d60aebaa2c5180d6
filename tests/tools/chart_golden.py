# SPDX-License-Identifier: Apache-2.0
"""Writes tests/data/chart/golden: what the chart renders to. Look at the difference before you commit it."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kube"))

import chart  # noqa: E402  pylint: disable=wrong-import-position

for case in chart.CASES:
    chart.golden(case).write_text(chart.render(case), encoding="utf-8")
