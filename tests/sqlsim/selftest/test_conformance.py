# SPDX-License-Identifier: Apache-2.0
"""conformance.yaml names tests that exist and that speak of what they are named for."""

import ast
import functools
import re
from pathlib import Path

import pytest
import yaml

HERE = Path(__file__).parent
LIST = yaml.safe_load((HERE.parent / "conformance.yaml").read_text())
ENTRIES = [*((f"error {n}", e, n) for n, e in LIST["errors"].items()), *((f"os code {n}", e, n) for n, e in LIST["os_codes"].items()),
           *((e["item"], e, None) for e in LIST["checklist"])]


def path_of(file):
    """Tests of engine and language are here, those of the wire are integration tests."""
    return HERE.parents[1] / file if file.startswith("integration/") else HERE / file


@functools.cache
def functions(file):
    """Source of each test of a file by name."""
    text = path_of(file).read_text()
    return {n.name: ast.get_source_segment(text, n) for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)}, text


@pytest.mark.parametrize("name, entry, number", ENTRIES, ids=[e[0] for e in ENTRIES])
def test_entry(name, entry, number):
    if "unreachable" in entry:
        assert "tested" not in entry and len(entry["unreachable"]) > 10
        return
    assert entry["tested"]
    for test in entry["tested"]:
        file, _, function = test.partition("::")
        assert path_of(file).exists(), f"{name}: no file {file}"
        known, text = functions(file)
        assert function in known and function.startswith("test_"), f"{name}: no test {test}"
        if number is not None:
            assert re.search(rf"(?<!\d){number}(?!\d)", text), f"{name}: {file} never mentions {number}"


def test_every_number_has_an_entry():
    assert sorted(LIST["errors"]) == LIST["numbers"] == sorted(set(LIST["numbers"]))


def test_the_checklist_is_whole():
    assert [e["item"].split()[0] for e in LIST["checklist"]] == [f"9.{n}" for n in range(1, 13)]


def test_numbers_raised_by_the_engine_are_tested():
    """Each error number that the engine can raise stands in some engine test, unless it is named here with a reason."""
    raised = set()
    for path in (HERE.parent / "engine").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, (ast.Name, ast.Attribute)):
                name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                at = {"SqlError": 0, "fail": 1 if isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", "") == "errors" else 0}
                if name in at and len(node.args) > at[name] and isinstance(node.args[at[name]], ast.Constant):
                    raised.add(node.args[at[name]].value)
    tests = "".join(p.read_text() for p in HERE.glob("test_engine_*.py"))
    missing = sorted(n for n in raised if isinstance(n, int) and not re.search(rf"(?<!\d){n}(?!\d)", tests) and n not in LIST["untested"])
    assert not missing, missing
