# SPDX-License-Identifier: Apache-2.0
"""Benchmarks that are programs: they print their own tables."""

import os
import subprocess
from pathlib import Path

from bench import kit


def _run(build: Path, *command: str) -> None:
    subprocess.run([str(build / "tests" / "bench" / command[0]), *command[1:]], check=True)


def chain(build: Path, _folder: Path) -> None:
    kit.title("decisions over many sets")
    _run(build, "bench_chain", "1000000")


def catalog(build: Path, folder: Path) -> None:
    kit.title("catalog of 1,000,000 sets")
    _run(build, "bench_catalog", "1000000", "20", str(folder))


def plan(build: Path, folder: Path) -> None:
    kit.title("restore plans over 1,000,000 sets")
    _run(build, "bench_plan", "1000000", str(folder))


def ship(build: Path, folder: Path) -> None:
    size = os.environ.get("BENCH_SHIP_MIB", "256")
    kit.title(f"shipping {size} MiB, beside zstd and cp")
    _run(build, "bench_ship", size, "1", str(folder))
