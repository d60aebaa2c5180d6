# SPDX-License-Identifier: Apache-2.0
"""A write workload whose every acknowledged row can be asked for afterwards.

python3 -m sqlsim.workload --server HOST:PORT --database db1 --rate 50 --ack-file FILE

Each row has a sequence number that is never used twice. A number stands in the ack file, synced, when the server has said
that the row is committed. A row whose answer was lost is in doubt: it may or may not be there; its number stands in the
tried file only."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import re
import signal
import sys
import threading
import time
from typing import Optional

from sqlsim.client import Client, ConnectionLost, ServerError, connect

TABLE = re.compile(r"^(?:\w+\.)?\w+$")


class NumberFile:
    """Sequence numbers, one per line with a time, each on disk before the call returns."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._cut_torn_line()

    def _cut_torn_line(self) -> None:
        size = os.fstat(self._fd).st_size
        tail = os.pread(self._fd, min(size, 4096), max(0, size - 4096))
        if tail and not tail.endswith(b"\n"):
            os.ftruncate(self._fd, size - len(tail) + tail.rfind(b"\n") + 1)

    def add(self, numbers: list[int]) -> None:
        now = dt.datetime.now(dt.timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")
        os.write(self._fd, "".join(f"{n} {now}\n" for n in numbers).encode())
        os.fdatasync(self._fd)

    def close(self) -> None:
        os.close(self._fd)


def read_numbers(path: str) -> list[int]:
    """The numbers of an ack file or tried file; a torn last line counts for nothing."""
    try:
        with open(path, "rb") as file:
            return [int(line.split()[0]) for line in file if line.endswith(b"\n") and line.strip()]
    except FileNotFoundError:
        return []


class Workload:
    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._acked = NumberFile(args.ack_file)
        self._tried = NumberFile(args.tried_file) if args.tried_file else None
        self._client: Optional[Client] = None
        self._next = max([0, *read_numbers(args.ack_file), *read_numbers(args.tried_file or os.devnull)]) + 1
        self.stop = threading.Event()
        self.counts = {"rows": 0, "errors": 0, "connections": 0}

    def run(self) -> None:
        args = self._args
        pause, due = 0.05, time.monotonic()
        end = due + args.duration if args.duration else None
        while not self.stop.is_set() and (end is None or time.monotonic() < end):
            if args.count and self.counts["rows"] >= args.count:
                break
            try:
                if self._client is None:
                    self._connect()
                self._write()
                pause = 0.05
            except (ConnectionLost, ServerError, OSError) as err:
                self._failed(err)
                self.stop.wait(pause)
                pause = min(pause * 2, 2.0)
                due = time.monotonic()
                continue
            due = max(due + args.rows_per_commit / args.rate, time.monotonic() - 1.0)
            self.stop.wait(max(0.0, due - time.monotonic()))

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        self._acked.close()
        if self._tried is not None:
            self._tried.close()

    def _connect(self) -> None:
        args = self._args
        self._client = connect(
            args.server, user=args.user, password=args.password, database=args.database, encryption=args.encryption,
            ca=args.ca, app="sqlsim-workload", timeout=args.timeout,
        )  # fmt: skip
        self.counts["connections"] += 1
        self._client.query(
            f"IF OBJECT_ID('{args.table}') IS NULL CREATE TABLE {args.table} "
            "(seq bigint NOT NULL PRIMARY KEY, written_at datetime2(6) NOT NULL, payload nvarchar(4000) NULL)"
        )
        highest = self._client.query(f"SELECT MAX(seq) FROM {args.table}").value
        self._next = max(self._next, (highest or 0) + 1)

    def _write(self) -> None:
        args, client = self._args, self._client
        numbers = list(range(self._next, self._next + args.rows_per_commit))
        self._next = numbers[-1] + 1
        if self._tried is not None:
            self._tried.add(numbers)
        insert = f"INSERT INTO {args.table} (seq, written_at, payload) VALUES (@p1, @p2, @p3)"
        if len(numbers) > 1:
            client.transaction(5)
        for number in numbers:
            now = dt.datetime.now(dt.timezone.utc).replace(tzinfo=None)
            client.execute(insert, number, now, f"row {number} ".ljust(args.payload, "x"))
        if len(numbers) > 1:
            client.transaction(7)
        self._acked.add(numbers)
        self.counts["rows"] += len(numbers)

    def _failed(self, err: Exception) -> None:
        """Whatever failed, a new connection makes sure that no transaction is left open."""
        self.counts["errors"] += 1
        if self._args.verbose:
            print(f"workload: {err}", file=sys.stderr, flush=True)
        if self._client is not None:
            self._client.close()
            self._client = None


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sqlsim.workload", description="Writes rows and notes which are committed.")
    parser.add_argument("--server", required=True, metavar="HOST:PORT")
    parser.add_argument("--user", default="sa")
    parser.add_argument("--password", default=os.environ.get("SQLSIM_PASSWORD", ""), help="or the variable SQLSIM_PASSWORD")
    parser.add_argument("--database", required=True)
    parser.add_argument("--table", default="dbo.workload")
    parser.add_argument("--rate", type=float, default=10.0, help="rows per second")
    parser.add_argument("--ack-file", required=True)
    parser.add_argument("--tried-file", help="also gets the numbers that are about to be sent")
    parser.add_argument("--rows-per-commit", type=int, default=1)
    parser.add_argument("--payload", type=int, default=40, help="characters of text in each row")
    parser.add_argument("--count", type=int, default=0, help="stop after so many committed rows")
    parser.add_argument("--duration", type=float, default=0.0, help="stop after so many seconds")
    parser.add_argument("--timeout", type=float, default=30.0)
    parser.add_argument("--encryption", choices=("off", "on", "required", "not-supported"), default="off")
    parser.add_argument("--ca", metavar="FILE")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args(argv)
    if not TABLE.match(args.table):
        parser.error("--table is NAME or SCHEMA.NAME")
    if args.rate <= 0 or args.rows_per_commit < 1 or not 0 <= args.payload <= 4000:
        parser.error("--rate and --rows-per-commit are positive, --payload is at most 4000")
    return args


def main(argv: Optional[list[str]] = None) -> int:
    workload = Workload(parse_arguments(sys.argv[1:] if argv is None else argv))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: workload.stop.set())
    try:
        workload.run()
    finally:
        workload.close()
    print(" ".join(f"{key}={value}" for key, value in workload.counts.items()), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
