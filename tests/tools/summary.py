#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Adds up what the test runners counted and closes with one plain line: N passed, N failed.

usage: summary.py UNIT_LOG PYTEST_JUNIT_XML...   (a missing file counts nothing)
"""

import os
import re
import sys
import xml.etree.ElementTree as ET


def unit(path: str) -> tuple[int, int]:
    if not os.path.exists(path):
        return 0, 0  # not asked for
    text = open(path, encoding="utf-8", errors="replace").read()

    def count(word: str) -> int:
        found = re.findall(rf"^{word}:\s+(\d+)", text, re.M)
        return int(found[-1]) if found else 0

    return count("Ok") + count("Expected Fail"), count("Fail") + count("Unexpected Pass") + count("Timeout")


def integration(paths: list[str]) -> tuple[int, int, list[str]]:
    passed = failed = 0
    slow: list[tuple[float, str]] = []
    for case in [case for path in paths if os.path.exists(path) for case in ET.parse(path).iter("testcase")]:
        bad = any(case.find(tag) is not None for tag in ("failure", "error", "skipped"))
        # a skipped test is a missing capability: it counts as failed
        failed += bad
        passed += not bad
        slow.append((float(case.get("time", "0")), f"{case.get('classname')}::{case.get('name')}"))
    return passed, failed, [f"{seconds:7.1f} s  {name}" for seconds, name in sorted(slow, reverse=True)[:5]]


def main() -> int:
    unit_passed, unit_failed = unit(sys.argv[1])
    passed, failed, slowest = integration(sys.argv[2:])
    print(f"unit: {unit_passed} passed, {unit_failed} failed; integration: {passed} passed, {failed} failed")
    for line in slowest:
        print(line)
    print(f"{unit_passed + passed} passed, {unit_failed + failed} failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
