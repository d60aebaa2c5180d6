# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: the release build, tables, and what the kernel says about a process."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Iterator, Optional

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ["bench_chain", "bench_catalog", "bench_plan", "bench_ship", "bench_restore", "ship_file", "catalog_grow"]
MIB = 1 << 20


def release_build(build: Path) -> Path:
    """`build` when it is a release build, else one beside it, up to date."""
    options = build / "meson-info" / "intro-buildoptions.json"
    text = options.read_text() if options.exists() else ""
    if '"name": "buildtype", "value": "release"' not in text:
        build = build.parent / "bench"
    log = build.with_suffix(".log")
    build.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8") as out:
        if not (build / "build.ninja").exists():
            print("==> release build", file=sys.stderr)
            subprocess.run(["meson", "setup", str(build), str(ROOT), "--buildtype=release"], check=True, stdout=out, stderr=out)
        targets = ["sidecar/mssql-sidecar", "cli/mssqlctl", *(f"tests/bench/{p}" for p in PROGRAMS)]
        if subprocess.run(["ninja", "-C", str(build), *targets], stdout=out, stderr=out).returncode:
            sys.exit(f"bench: the release build failed, see {log}")
    return build


def say_machine() -> None:
    load = ", ".join(f"{v:.2f}" for v in os.getloadavg())
    with open("/proc/meminfo", encoding="ascii") as text:
        memory = int(text.readline().split()[1]) >> 20
    print(f"machine: {os.cpu_count()} processors, {memory} GiB, load {load}" + (" (busy: times are too long)" if os.getloadavg()[0] > 1 else ""))


def title(text: str) -> None:
    print(f"\n== {text} (load {os.getloadavg()[0]:.2f})", flush=True)


def table(head: list[str], rows: list[list[Any]]) -> None:
    """The first column to the left, numbers to the right."""
    text = [[f"{v:.2f}" if isinstance(v, float) else str(v) for v in row] for row in rows]
    width = [max(len(line[i]) for line in [head, *text]) for i in range(len(head))]
    for line in [head, *text]:
        print("  ".join(v.ljust(width[i]) if i == 0 else v.rjust(width[i]) for i, v in enumerate(line)))
    sys.stdout.flush()


def memory_mib(pid: int) -> dict[str, float]:
    """VmRSS, RssAnon, RssFile, VmHWM of a process."""
    found = {}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if value.endswith(" kB"):
            found[key] = int(value.split()[0]) / 1024
    return found


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_seconds(pid: int) -> float:
    """The same to the nanosecond, of the threads that live: of a process that mostly sleeps, ticks of the clock count nothing."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


class Group:
    """A memory cgroup of our own: its peak has the page cache of the processes in it."""

    def __init__(self, path: Path, peak: str, current: str) -> None:
        self.path, self._peak, self._current = path, path / peak, path / current

    def peak_mib(self) -> float:
        return int(self._peak.read_text()) / MIB

    def current_mib(self) -> float:
        return int(self._current.read_text()) / MIB

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """What is started meanwhile is born in the group."""
        own = str(os.getpid())
        (self.path / "cgroup.procs").write_text(own)
        try:
            yield
        finally:
            (self.path.parent / "cgroup.procs").write_text(own)


@contextlib.contextmanager
def group(name: str) -> Iterator[Optional[Group]]:
    """None, said on the terminal, where no cgroup can be made."""
    name = f"bench-{name}-{os.getpid()}"
    made = None
    for parent, peak, current in (("/sys/fs/cgroup/memory", "memory.max_usage_in_bytes", "memory.usage_in_bytes"),
                                  ("/sys/fs/cgroup", "memory.peak", "memory.current")):  # fmt: skip
        path = Path(parent) / name
        try:
            path.mkdir()
        except OSError:
            continue
        if (path / peak).exists():
            made = Group(path, peak, current)
            break
        path.rmdir()
    if made is None:
        print("no memory cgroup can be made here: peaks are of resident memory, without page cache")
    try:
        yield made
    finally:
        if made is not None:
            with contextlib.suppress(OSError):
                made.path.rmdir()
