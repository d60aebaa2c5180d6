# SPDX-License-Identifier: Apache-2.0
"""Runs the same steps through TDS clients that share no code, and brings what they say into one form.

A step is {"sql": ...}, with "params" or without, {"transaction": "begin" | "commit" | "rollback"} or {"cancel": sql}.
The result of a step: {"sets": [{"columns": [[name, type]], "rows": [[text or None]]}], "counts": [...], "errors": [...],
"messages": [...]}; values are text, times in UTC with milliseconds."""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import json
import os
import re
import subprocess
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator, Optional

from sqlsim.client import Client, type_text
from sqlsim.contract import Param, SqlType

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("MSSQL_SIDECAR_CACHE", Path.home() / ".cache" / "mssql-sidecar"))
PYTDS = CACHE / "pytds-1.17.1"
TEDIOUS = CACHE / "tedious-20.3.9"
DEADLINE = 60


@dataclass
class Target:
    port: int
    password: str
    database: str = ""
    encrypt: bool | str = False  # "login": only the login, "strict": TDS 8; for the clients that have them
    ca: str = ""
    running: Callable[[], bool] = lambda: False  # does the server work on the statement that is to be cancelled?

    def wait_running(self, stop: Callable[[], bool] = lambda: False) -> bool:
        end = time.monotonic() + DEADLINE
        while not self.running():
            if stop():
                return False
            assert time.monotonic() < end, "the statement to be cancelled does not run"
            time.sleep(0.01)
        return True

    @contextlib.contextmanager
    def tell_running(self, steps: list[dict]) -> Iterator[str]:
        """A file that comes into being when the statement of a cancel step runs: for clients in other processes."""
        ended = threading.Event()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "running"
            thread = threading.Thread(target=lambda: self.wait_running(ended.is_set) and path.touch())
            if any("cancel" in step for step in steps):
                thread.start()
            try:
                yield str(path)
            finally:
                ended.set()
                if thread.ident:
                    thread.join()

    def work(self, steps: list[dict], running: str) -> str:
        return json.dumps(
            {
                "port": self.port,
                "user": "sa",
                "password": self.password,
                "database": self.database,
                "encrypt": self.encrypt,
                "ca": self.ca,
                "running": running,
                "steps": steps,
            }
        )


def install() -> None:
    subprocess.run(["bash", str(HERE / "install.sh"), str(CACHE)], check=True)


def _run(command: list[str], text: str, env: Optional[dict] = None) -> subprocess.CompletedProcess:
    return subprocess.run(
        command,
        input=text,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
        env={**os.environ, **(env or {})},
        encoding="utf-8",
    )


def _json_client(command: list[str], target: Target, steps: list[dict]) -> list[dict]:
    with target.tell_running(steps) as running:
        done = _run(command, target.work(steps, running))
    if done.returncode != 0:
        raise AssertionError(f"{command[-1]} failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def run_pytds(target: Target, steps: list[dict]) -> list[dict]:
    return _json_client([str(PYTDS / "bin" / "python"), str(HERE / "pytds_client.py")], target, steps)


def run_tedious(target: Target, steps: list[dict]) -> list[dict]:
    return _json_client([str(TEDIOUS / "bin" / "node"), str(HERE / "tedious_client.js"), str(TEDIOUS)], target, steps)


# Our own client, the reference.


def shown(value: Any) -> Optional[str]:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).hex()
    if isinstance(value, uuid.UUID):
        return str(value).upper()
    if isinstance(value, dt.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(dt.timezone.utc).replace(tzinfo=None)
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, dt.time):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, decimal.Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return value.isoformat() if isinstance(value, dt.date) else str(value)


def _normal_type(sql_type: SqlType) -> str:
    return type_text(sql_type).replace("decimal(", "numeric(")


_PARAM_TYPES = {
    "nvarchar": SqlType("nvarchar", 4000), "varbinary": SqlType("varbinary", 8000), "numeric": SqlType("numeric", 0, 18, 4),
    "datetime2": SqlType("datetime2", 0, 0, 7),
}  # fmt: skip


def _param(given: dict) -> Param:
    kind, value = given["type"], given["value"]
    made = {
        "int": int,
        "bigint": int,
        "float": float,
        "bit": lambda v: v == "1",
        "nvarchar": str,
        "varbinary": bytes.fromhex,
        "numeric": decimal.Decimal,
        "datetime2": dt.datetime.fromisoformat,
        "uniqueidentifier": uuid.UUID,
        "date": dt.date.fromisoformat,
    }[kind]
    return Param("@" + given["name"], _PARAM_TYPES.get(kind, SqlType(kind)), None if value is None else made(value))


def run_own(target: Target, steps: list[dict]) -> list[dict]:
    encryption = "on" if target.encrypt else "not-supported"
    results = []
    with Client(
        "127.0.0.1", target.port, "sa", target.password, target.database, encryption=encryption, ca=target.ca or None, timeout=60
    ) as client:
        for step in steps:
            results.append(_own_step(client, step, target))
    return results


def _own_step(client: Client, step: dict, target: Target) -> dict:
    if "transaction" in step:
        client.transaction({"begin": 5, "commit": 7, "rollback": 8}[step["transaction"]])
        return {}
    if "cancel" in step:
        client.send_batch(step["cancel"])
        target.wait_running()
        return {"cancelled": client.cancel()[-1].dones[-1].status == 0x20}
    if "params" in step:
        sql = step["sql"]
        for param in step["params"]:
            sql = sql.replace("{" + param["name"] + "}", "@" + param["name"])
        reply = client.execute(sql, *[_param(p) for p in step["params"]], check=False)
    else:
        reply = client.query(step["sql"], check=False)
    return {
        "sets": [
            {"columns": [[c.name, _normal_type(c.type)] for c in s.columns], "rows": [[shown(v) for v in row] for row in s.rows]}
            for s in reply.sets
        ],
        "counts": reply.counts,
        "errors": [_message(m) for m in reply.errors],
        "messages": [_message(m) for m in reply.infos],
    }


def _message(m: Any) -> dict:
    return {"number": m.number, "class": m.cls, "state": m.state, "line": m.line, "text": m.text}


# FreeTDS's tools speak text.


def _freetds(target: Target, folder: Path) -> dict[str, str]:
    lines = [
        "[sim]",
        "host = 127.0.0.1",
        f"port = {target.port}",
        "tds version = 7.4",
        "client charset = UTF-8",
        "text size = 2147483647",
        f"encryption = {'request' if target.encrypt == 'login' else 'require' if target.encrypt else 'off'}",
    ]
    if target.encrypt is True and target.ca:
        lines.append(f"ca file = {target.ca}")
    conf = folder / "freetds.conf"
    conf.write_text("\n".join(lines) + "\n")
    return {"FREETDSCONF": str(conf), "HOME": str(folder)}


def run_tsql(target: Target, steps: list[dict], folder: Path) -> list[dict]:
    """Rows and row counts of SELECTs, and errors. `tsql` shows no types and no counts of other statements."""
    script = ""
    for number, step in enumerate(steps):
        script += f"{step['sql']}\ngo\nprint 'end of step {number}'\nselect 'end of step {number}' as marker\ngo\n"
    command = ["tsql", "-S", "sim", "-U", "sa", "-P", target.password, "-t", "|"]
    if target.database:
        command += ["-D", target.database]
    done = _run(command, script, _freetds(target, folder))
    out = re.sub(r"(?m)^(\d+> )+", "", done.stdout)
    results, err = [], done.stderr.replace("\r", "")
    for number in range(len(steps)):
        part, mark, out = out.partition(f"marker\nend of step {number}\n(1 row affected)\n")
        said, mark_err, err = err.partition(f"end of step {number}\n")
        if not mark or not mark_err:
            raise AssertionError(f"tsql did not get through step {number}: {done.stdout[-500:]!r} {done.stderr[-500:]!r}")
        results.append({"sets": _tsql_sets(part), "errors": _tsql_errors(said), "said": said})
    return results


def _tsql_sets(text: str) -> list[dict]:
    sets, block = [], []
    for line in text.split("\n"):
        footer = re.fullmatch(r"\((\d+) rows? affected\)", line)
        if footer is None:
            block.append(line)
            continue
        if int(footer.group(1)) and block:
            # A failed statement can leave its header without rows in front.
            rows = block[-int(footer.group(1)) :]
            header = block[-int(footer.group(1)) - 1]
            sets.append(
                {"names": header.split("|"), "rows": [[None if v == "NULL" else v for v in row.split("|")] for row in rows]}
            )
        elif block:
            sets.append({"names": block[-1].split("|"), "rows": []})
        block = []
    return sets


def _tsql_errors(text: str) -> list[dict]:
    found = re.findall(r"(?m)^Msg (\d+) \(severity (\d+), state (\d+)\) from \S+.*? Line (\d+):\n\t\"(.*)\"$", text)
    return [
        {"number": int(n), "class": int(c), "state": int(s), "line": int(line), "text": t}
        for n, c, s, line, t in found
        if int(c) > 10
    ]


def run_bsqldb(target: Target, sql: str, folder: Path) -> dict:
    """One batch: its rows, the row counts, and the error that ended it."""
    command = ["bsqldb", "-S", "sim", "-U", "sa", "-P", target.password, "-t", "|", "-h"]
    if target.database:
        command += ["-D", target.database]
    done = _run(command, sql + "\ngo\n", _freetds(target, folder))
    lines, rows = done.stdout.splitlines(), []
    rulers = {at for at, line in enumerate(lines) if re.fullmatch(r"[-|]+", line)}  # each stands below a line of names
    for at, line in enumerate(lines):
        if at not in rulers and at + 1 not in rulers:
            rows.append([None if v == "NULL" else v for v in line.split("|")])
    errors = [int(n) for n in re.findall(r"(?m)^Msg (\d+), Level", done.stderr)]
    return {
        "rows": rows,
        "counts": [int(n) for n in re.findall(r"(?m)^(\d+) rows? affected", done.stderr)],
        "errors": errors,
        "said": done.stderr,
    }


def canonical(value: Optional[str]) -> Optional[str]:
    """Values as FreeTDS prints them: times without seconds, money with four digits, numbers with blanks."""
    if value is None:
        return None
    for form in ("%b %d %Y %I:%M%p", "%b %d %Y %I:%M:%S:%f%p"):
        try:
            return dt.datetime.strptime(re.sub(r" +", " ", value), form).strftime("%Y-%m-%dT%H:%M")
        except ValueError:
            pass
    if re.fullmatch(r"-?\d+\.\d+", value):
        return format(decimal.Decimal(value).normalize(), "f")
    return value


def shortened(value: Optional[str]) -> Optional[str]:
    """Of our form, as much as FreeTDS prints."""
    if value is not None and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}", value):
        return value[:16]
    return value
