# SPDX-License-Identifier: Apache-2.0
"""python3 -m bench [name...], with PYTHONPATH=tests and MSSQL_BUILD naming a build folder: benchmarks, one table each.

Nothing here is asserted: numbers are to be read. They are taken on a release build, made beside the build folder. BENCH_BIG=1
ships 20 GiB, too, and BENCH_DIR chooses the disk.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from bench import kit


def main() -> int:
    build = kit.release_build(Path(os.environ.get("MSSQL_BUILD", kit.ROOT / "build" / "dev")))
    # the fixtures take their programs from here
    os.environ["MSSQL_BUILD"] = str(build)
    sys.path[:0] = [str(kit.ROOT / "tests" / "integration")]
    from bench import idle, log, many, programs, restore, ship  # pylint: disable=import-outside-toplevel

    known = {"chain": programs.chain, "catalog": programs.catalog, "plan": programs.plan, "ship": programs.ship,
             "memory": ship.run, "idle": idle.run, "log": log.run, "many": many.run, "restore": restore.run}  # fmt: skip
    wanted = sys.argv[1:] or list(known)
    for name in wanted:
        if name not in known:
            print(f"bench: no '{name}': one of {', '.join(known)}", file=sys.stderr)
            return 2
    kit.say_machine()
    for name in wanted:
        with tempfile.TemporaryDirectory(prefix=f"bench-{name}-", dir=os.environ.get("BENCH_DIR")) as folder:
            known[name](build, Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
