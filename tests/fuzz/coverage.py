# SPDX-License-Identifier: Apache-2.0
"""coverage.py ROOT TARGET PROGRAM PROFDATA TABLE LINES: line coverage of a target's own files (sources.txt), as one percentage.

TABLE gets one line per file; LINES the sources with their counts. Paths in a program are relative to its build folder, so files are
compared by where they really are.
"""

import json
import os
import subprocess
import sys


def main(root: str, target: str, program: str, profile: str, table: str, lines: str) -> None:
    own = set()
    with open(os.path.join(root, "tests/fuzz/sources.txt"), encoding="utf-8") as text:
        for name, *files in (line.split() for line in text):
            if name == target:
                own.update(os.path.realpath(os.path.join(root, f)) for f in files)
    command = ["llvm-cov", "export", "-summary-only", f"-instr-profile={profile}", program]
    data = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["data"][0]
    found = {f["filename"]: f["summary"]["lines"] for f in data["files"] if os.path.realpath(f["filename"]) in own}
    missing = own - {os.path.realpath(name) for name in found}
    if missing:
        sys.exit(f"{target}: not in the program: {', '.join(sorted(missing))}")
    with open(table, "w", encoding="utf-8") as out:
        for name, count in sorted(found.items()):
            print(f"{os.path.relpath(os.path.realpath(name), root):40} {count['covered']:5} of {count['count']:5} lines  {count['percent']:6.2f} %", file=out)
    with open(lines, "w", encoding="utf-8") as out:
        subprocess.run(["llvm-cov", "show", f"-instr-profile={profile}", program, *found], check=True, stdout=out)
    covered, count = sum(f["covered"] for f in found.values()), sum(f["count"] for f in found.values())
    print(f"{100 * covered / count:.2f}")


main(*sys.argv[1:])
