# SPDX-License-Identifier: Apache-2.0
"""Messages and progress of a running BACKUP or RESTORE."""

from __future__ import annotations

import time
from typing import Any, Optional

from ..contract import Done, Emit, Info


class Progress:
    """Each info is followed by an intermediate DONE, the last one by the final DONE of the statement."""

    def __init__(self, emit: Emit, curcmd: int, stats: Any, request: Any, line: int = 1) -> None:
        self.emit, self.curcmd, self.request, self.line = emit, curcmd, request, line
        self.step: Optional[int] = None
        if stats is not None and stats is not False:
            self.step = 10 if stats is True else max(1, min(100, int(stats)))
        self.told = 0
        self.total, self.done = 1, 0
        self.began = time.monotonic()

    def info(self, number: int, text: str, last: bool = False) -> None:
        self.emit(Info(number, text, 1, 0, self.line))
        self.emit(Done(self.curcmd))

    def expect(self, total: int) -> None:
        self.total = max(1, total)

    def add(self, count: int) -> None:
        self.done += count
        if self.request is not None:
            self.request.work(count, count)
        self.show(min(99.0, 100.0 * self.done / self.total))

    def show(self, percent: float) -> None:
        if self.request is not None:
            self.request.percent = max(self.request.percent, percent)
        if self.step is None:
            return
        reached = int(percent) // self.step * self.step if percent < 100 else 100
        if reached > self.told:
            self.told = reached
            self.info(3211, f"{reached} percent processed.")

    def pages(self, count: int, database: str, logical: str, position: int) -> None:
        self.info(4035, f"Processed {count} pages for database '{database}', file '{logical}' on file {position}.")

    def finish(self, verb: str, pages: int) -> None:
        self.show(100)
        seconds = max(0.001, time.monotonic() - self.began)
        rate = pages * 8192 / 1048576 / seconds
        self.info(3014, f"{verb} successfully processed {pages} pages in {seconds:.3f} seconds ({rate:.3f} MB/sec).", last=True)
