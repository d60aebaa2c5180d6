# SPDX-License-Identifier: Apache-2.0
"""Memory of shipping, whatever the size: 10 MiB, and 20 GiB with BENCH_BIG=1; one stream and eight."""

import os
import subprocess
from pathlib import Path

from bench import kit


def _file(path: Path, mib: int) -> None:
    """Pages of which a third does not compress; out of the page cache, so that reading it is what is measured."""
    random = os.urandom(8192)
    text = b"0000    " * 1024
    with open(path, "wb") as out:
        for n in range(mib):
            out.write(b"".join(random[k % 97:] + random[: k % 97] if k % 3 == 0 else text for k in range(n, n + 128)))
        out.flush()
        os.fsync(out.fileno())
        os.posix_fadvise(out.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _once(build: Path, folder: Path, paths: list[Path]) -> list:
    store = folder / "store"
    store.mkdir(exist_ok=True)
    command = [str(build / "tests" / "bench" / "ship_file"), f"file://{store}", *map(str, paths)]
    with kit.group("ship") as group:
        if group is None:
            done, peak = subprocess.run(command, check=True, capture_output=True, text=True), "-"
        else:
            with group.inside():
                process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            out, _ = process.communicate()
            if process.returncode:
                raise RuntimeError(f"ship_file ended with {process.returncode}")
            done, peak = subprocess.CompletedProcess(command, 0, out), group.peak_mib()
    seconds, resident, _ = done.stdout.split()
    mib = sum(p.stat().st_size for p in paths) / kit.MIB
    return [f"{mib:.0f} MiB", len(paths), float(seconds), mib / float(seconds), int(resident) / 1024, peak]


def run(build: Path, folder: Path) -> None:
    kit.title("memory of shipping, zstd:1")
    rows = []
    for mib in [10, 256] + ([20480] if os.environ.get("BENCH_BIG") else []):
        for streams in (1, 8):
            paths = [folder / f"staged-{n}" for n in range(streams)]
            for path in paths:
                _file(path, mib if mib <= 256 else mib // streams)
            rows.append(_once(build, folder, paths))
            for path in paths:
                path.unlink()
    kit.table(["in all", "streams", "seconds", "MiB/s", "RSS above idle MiB", "cgroup peak MiB"], rows)
    print("budget: 32 MiB above idle, cgroup peak with page cache; the group holds the program itself, too")
