# SPDX-License-Identifier: Apache-2.0
"""python3 -m soak --kills N [--seed S] [--keep]: with PYTHONPATH=tests and MSSQL_BUILD naming a build folder."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "integration")]

from soak.driver import Soak  # noqa: E402

ROUND = 50  # kills between two proofs


def one_round(folder: Path, seed: int, kills: int) -> str:
    with Soak(folder, seed, say=lambda text: None) as soak:
        try:
            soak.kill(kills)
            rows = soak.prove()
        except BaseException:
            (folder / "tail.log").write_text(soak.sidecar.log()[-200000:] if soak.sidecar else "")
            raise
        hits = ", ".join(f"{who} {n}" for who, n in soak.kills.items())
        return f"{hits}; {soak.trigger.committed} backups on demand; {sum(rows.values())} rows, none missing"


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak", description="Random kills under load; nothing may be lost.")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, help="of the first round; round n has seed + n")
    parser.add_argument("--keep", action="store_true", help="keep the folders of rounds that went well")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(1 << 31)
    begin, done = time.monotonic(), 0
    base = Path(tempfile.mkdtemp(prefix="mssql-soak-", dir="/tmp"))
    while done < arguments.kills:
        kills, this = min(ROUND, arguments.kills - done), seed + done // ROUND
        folder = base / f"seed-{this}"
        print(f"seed {this}: {kills} kills ...", flush=True)
        try:
            told = one_round(folder, this, kills)
        except BaseException as err:  # pylint: disable=broad-except
            print(f"FAILED: {err}\nfolder: {folder}\nagain with: --kills {kills} --seed {this}", flush=True)
            return 1
        done += kills
        print(f"seed {this}: {told} ({done} of {arguments.kills} kills, {time.monotonic() - begin:.0f} s)", flush=True)
        if not arguments.keep:
            shutil.rmtree(folder)
    if not arguments.keep:
        shutil.rmtree(base)
    print(f"nothing was lost in {done} kills")
    return 0


if __name__ == "__main__":
    sys.exit(main())
