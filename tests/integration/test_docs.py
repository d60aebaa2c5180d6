# SPDX-License-Identifier: Apache-2.0
"""What the documents say is what the programs do: names of metrics, conditions, errors, paths, methods, commands; links that lead somewhere."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Iterator

import grpc
import pytest
import yaml

from fixtures import real
from fixtures.sidecar import BUILD, SANITIZER

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted(
    p for p in ROOT.rglob("*.md") if not {"build", ".git", "data"} & set(p.relative_to(ROOT).parts) and ".pytest_cache" not in p.parts
)
MONITORING = ROOT / "docs" / "guide" / "monitoring.md"
KINDS = {"counter", "gauge", "histogram"}


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def tables(text: str) -> Iterator[list[str]]:
    """Every row of every table, as cells; titles and rules left out."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if not line.startswith("|") or re.fullmatch(r"[|\- :]+", line):
            continue
        if number + 1 < len(lines) and re.fullmatch(r"\|[|\- :]+", lines[number + 1]):
            continue
        yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def section(text: str, title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", text, re.M | re.S)
    assert found, f"there is no section '{title}'"
    return found[1]


def first_cells(text: str) -> list[str]:
    return [word for row in tables(text) for word in words(row[0])]


def documented_metrics() -> dict[str, tuple[str, set[str]]]:
    """Name -> type and labels."""
    found = {}
    for row in tables(read(REFERENCE / "metrics.md")):
        if len(row) < 3 or row[1] not in KINDS:
            continue
        for name in words(row[0]):
            assert name not in found, f"{name} is described twice"
            found[name] = (row[1], set(words(row[2])) if len(row) == 4 else set())
    return found


def scraped(text: str) -> dict[str, tuple[str, set[str] | None]]:
    """Name -> type and labels; None when there was no series to see labels of."""
    found: dict[str, tuple[str, set[str] | None]] = {
        name: (kind, None) for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M)
    }
    for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? [^ ]+$", text, re.M):
        base = name if name in found else re.sub(r"_(bucket|sum|count)$", "", name)
        kind, _ = found[base]
        found[base] = (kind, set(re.findall(r'(\w+)="', labels)) - ({"le"} if kind == "histogram" else set()))
    return found


@pytest.fixture
def running(sim, sidecar_factory):
    name = real.prefix("docs")
    sim.query(f"CREATE DATABASE {name}")
    sim.query(f"ALTER DATABASE {name} SET RECOVERY FULL")
    sidecar = sidecar_factory(sim, policy={"systemDatabases": True})
    sidecar.wait_full(name)
    sidecar.wait_until("a log backup", lambda s: s.database(name)["lastLogAt"])
    return sidecar


def test_metrics_are_the_ones_of_the_program(running):
    documented, real = documented_metrics(), scraped(running.get("/metrics")[1])
    assert set(documented) == set(real)
    for name, (kind, labels) in real.items():
        assert documented[name][0] == kind, name
        if labels is not None:
            assert documented[name][1] == labels, name


def test_metrics_named_anywhere_exist():
    known = set(documented_metrics())
    for page in PAGES:
        for name in re.findall(r"\bmssql_sidecar_[a-z_]*[a-z]\b(?!\*)", read(page)):
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            assert name in known or (base in known and documented_metrics()[base][0] == "histogram"), f"{page}: {name}"


def selectors(expression: str) -> Iterator[tuple[str, dict[str, str]]]:
    for name, labels in re.findall(r"\b(mssql_sidecar_\w+)(?:\{([^}]*)\})?", expression):
        yield name, dict(re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"', labels))


def rules() -> list[dict]:
    blocks = re.findall(r"^```yaml\n(groups:.*?)^```", read(MONITORING), re.M | re.S)
    assert len(blocks) == 1
    return [rule for group in yaml.safe_load(blocks[0])["groups"] for rule in group["rules"]]


def test_alerts_ask_for_metrics_labels_and_values_that_exist():
    documented = documented_metrics()
    conditions = read(REFERENCE / "conditions.md")
    values = {
        "type": set(first_cells(section(conditions, "Conditions"))),
        "state": set(first_cells(section(conditions, "States of a chain"))) | {"running", "waiting"},
        "result": set(first_cells(section(conditions, "Results of runs"))),
        "kind": {"full", "diff", "log", "data"},
    }
    all_rules = rules()
    assert len({rule["alert"] for rule in all_rules}) == len(all_rules) >= 8
    for rule in all_rules:
        assert {"alert", "expr", "labels", "annotations"} <= set(rule), rule
        asked = list(selectors(rule["expr"]))
        assert asked or "up{" in rule["expr"], rule["alert"]
        for name, labels in asked:
            assert set(labels) <= documented[name][1], f"{rule['alert']}: {name}{labels}"
            for label, text in labels.items():
                for value in text.split("|"):
                    assert value in values.get(label, {value}), f"{rule['alert']}: {label}={value}"
        for label in re.findall(r"\$labels\.(\w+)", str(rule["annotations"])):
            assert label in {"instance"} or any(label in documented[name][1] for name, _ in asked), f"{rule['alert']}: {label}"


def test_conditions_are_the_ones_of_the_program(running):
    page = section(read(REFERENCE / "conditions.md"), "Conditions")
    documented = {words(row[0])[0]: words(row[3]) for row in tables(page)}
    real = {c["type"]: c["reason"] for c in running.status()["conditions"]}
    assert list(documented) == list(real)
    for kind, reason in real.items():
        assert reason in documented[kind] or kind == "LogChainIntact", f"{kind}: {reason}"
    source = read(ROOT / "sidecar" / "conditions.c")
    literal = re.findall(r'"([A-Z][a-z]+(?:[A-Z][a-z]+)*)"', source)
    every = {word for list_ in documented.values() for word in list_} | set(documented)
    assert set(literal) <= every, set(literal) - every


def rows_of(path: str, table: str) -> list[str]:
    body = re.search(rf"\b{table}\[[A-Z_]*\] = \{{(.*?)^\}};", read(ROOT / path), re.M | re.S)
    assert body, f"no table {table} in {path}"
    return re.findall(r'^\s*\[\w+\] = \{\s*"(\w+)"', body[1], re.M)


def test_chain_words_are_the_ones_of_the_program():
    page = read(REFERENCE / "conditions.md")
    causes = [word for word in rows_of("common/chain/reason.c", "causes") if word not in ("none", "log_pending")]
    assert first_cells(section(page, "Causes of holes")) == causes
    assert first_cells(section(page, "Reasons of chains and decisions")) == rows_of("common/chain/reason.c", "reasons")
    states = re.findall(r'\[CHAIN_\w+\] = "(\w+)"', read(ROOT / "common" / "chain" / "state.c"))
    assert first_cells(section(page, "States of a chain")) == states


def test_reasons_for_nothing_are_the_ones_of_the_program():
    skipped, _ = section(read(REFERENCE / "conditions.md"), "Why nothing is taken").split("not skipped but unprotected")
    documented = set(first_cells(skipped))
    database = re.search(r"state_skip.*?^}.*?^}", read(ROOT / "common/sql/database.c"), re.M | re.S)[0]
    real = set(re.findall(r'return "(\w+)"', database))
    scheduler = re.search(r"\*why_not\(.*?^}", read(ROOT / "sidecar/scheduler.c"), re.M | re.S)[0]
    real |= set(re.findall(r'return "(\w+)"', scheduler))
    for path in sorted((ROOT / "sidecar" / "job").glob("*.c")):
        real |= set(re.findall(r'job_set_outcome\(job, OUTCOME_\w+, "(\w+)"', read(path)))
    assert documented == real


def error_rows() -> list[list[str]]:
    return [row for row in tables(read(REFERENCE / "exit-codes.md")) if row[0].isdigit()]


def test_error_classes_are_the_ones_of_the_program():
    source = re.findall(r'\[ERR_\w+\] = \{"(\w+)", (\d+), (\d+), (true|false)\}', read(ROOT / "common" / "base" / "err.c"))
    codes = {code.value[0]: code.name for code in grpc.StatusCode}
    real = [[exit_code, f"`{name}`", codes[int(code)], "yes" if passes == "true" else ""] for name, exit_code, code, passes in source]
    assert [row[:4] for row in error_rows()] == real


def exit_code(*arguments: str) -> int:
    command = [str(BUILD / "sidecar" / "mssql-sidecar"), *arguments]
    return subprocess.run(command, capture_output=True, timeout=60, env={"PATH": "/usr/bin:/bin", **SANITIZER}).returncode


def test_exit_codes_of_the_program(tmp_path):
    codes = {words(row[1])[0]: int(row[0]) for row in error_rows()}
    (tmp_path / "bad.yaml").write_text("sql: {hots: x}\n")
    assert exit_code("--version") == codes["none"]
    assert exit_code("--no-such-flag") == codes["usage"]
    assert exit_code("--check-config", "--config", str(tmp_path / "bad.yaml")) == codes["config"]
    assert exit_code("--check-config", "--config", str(tmp_path / "missing.yaml")) == codes["config"]


def test_http_paths_are_the_ones_of_the_program(running):
    documented = [word.removeprefix("GET ") for word in first_cells(read(REFERENCE / "http.md"))]
    routes = re.findall(r'HTTP_GET, "(/\w+)"', read(ROOT / "sidecar" / "web.c"))
    assert documented == routes and documented[-1] == "/prestop"
    for path in documented:
        assert running.get(path)[0] == 200, path
    assert running.get("/readyz") == (503, "stopping\n")  # as the page says, once /prestop was called
    assert running.get("/healthz")[0] == 200
    assert running.get("/no-such-path")[0] == 404


def test_methods_are_the_ones_of_the_program():
    documented = first_cells(read(REFERENCE / "grpc.md"))
    proto = re.findall(r"^\s*rpc (\w+)\(", read(ROOT / "proto/mssql/v1/sidecar.proto"), re.M)
    served = re.findall(r'"/mssql\.v1\.Sidecar/(\w+)"', read(ROOT / "sidecar/rpc/service.c"))
    assert documented == proto
    assert sorted(served) == sorted(proto)


def heading_ids(text: str) -> set[str]:
    """As GitHub makes them."""
    plain = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    titles = re.findall(r"^#+ (.*)$", plain, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```", "", read(page), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        goal = (page.parent / path).resolve() if path else page
        assert goal.exists(), f"{page}: {target}"
        if anchor:
            assert anchor in heading_ids(read(goal)), f"{page}: {target}"


def test_every_page_can_be_reached():
    seen, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page in seen or not page.exists():
            continue
        seen.add(page)
        for target in re.findall(r"\]\(([^)\s#]+\.md)", read(page)):
            if not re.match(r"[a-z]+:", target):
                todo.append((page.parent / target).resolve())
    docs = {p for p in PAGES if p.parts[len(ROOT.parts)] == "docs"}
    assert docs <= seen, sorted(str(p.relative_to(ROOT)) for p in docs - seen)


def keys_of_reference() -> set[str]:
    return {word for row in tables(read(REFERENCE / "configuration.md")) if len(row) == 6 for word in words(row[0])}


def test_keys_named_in_the_guide_exist():
    known = keys_of_reference()
    sections = {key.rsplit(".", depth)[0] for key in known for depth in range(1, key.count(".") + 1)}
    roots = {key.split(".")[0] for key in known}
    for page in sorted((ROOT / "docs" / "guide").glob("*.md")):
        for word in words(re.sub(r"^```.*?^```", "", read(page), flags=re.M | re.S)):
            if re.fullmatch(r"[a-z]+(\.[a-z][A-Za-z]*)+", word) and word.split(".")[0] in roots and not word.endswith(".json"):
                assert word in known | sections, f"{page}: {word}"


def test_configurations_in_the_guide_are_good(tmp_path):
    """Every YAML block that is a configuration is accepted by the program."""
    found = 0
    for page in sorted((ROOT / "docs" / "guide").glob("*.md")):
        for block in re.findall(r"^```yaml\n(.*?)^```", read(page), re.M | re.S):
            if not re.match(r"(sql|identity):", block):
                continue
            config = yaml.safe_load(block)
            (tmp_path / "password").write_text("secret")
            config.setdefault("sql", {})["passwordFile"] = str(tmp_path / "password")
            path = tmp_path / f"{found}.yaml"
            path.write_text(yaml.safe_dump(config))
            assert exit_code("--check-config", "--config", str(path)) == 0, f"{page}:\n{block}"
            found += 1
    assert found >= 1


def test_commands_named_in_the_guide_exist():
    """`./dev` commands and their names in the documents."""
    known = set(re.findall(r"^cmd_([a-z0-9]+)\(\)", read(ROOT / "dev"), re.M))
    for page in PAGES:
        for command in re.findall(r"\./dev ([a-z0-9]+)", read(page)):
            assert command in known, f"{page}: ./dev {command}"


def command_table() -> tuple[list[str], set[str]]:
    """Commands and options of mssqlctl."""
    source = read(ROOT / "cli" / "commands.c")
    return re.findall(r'\.name = "([a-z ]+)"', source), set(re.findall(r'\{"(--[a-z-]+)"', source))


def shown_commands(text: str) -> Iterator[str]:
    """What stands behind `mssqlctl` in code."""
    for code in re.findall(r"^```[a-z]*\n(.*?)^```", text, re.M | re.S) + words(re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)):
        for line in code.splitlines():
            if found := re.match(r"^(?:\$ )?mssqlctl ([a-z].*)$", line.strip()):
                yield found[1].split("  #")[0]


def test_commands_of_mssqlctl_in_the_guide_exist():
    names, options = command_table()
    seen = 0
    for page in [ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))]:
        for line in shown_commands(read(page)):
            seen += 1
            assert any(line == name or line.startswith(f"{name} ") for name in names), f"{page}: mssqlctl {line}"
            for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", line):
                assert option in options, f"{page}: mssqlctl {line}"
    assert seen > 20
