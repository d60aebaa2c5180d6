# SPDX-License-Identifier: Apache-2.0
"""Transactions of a session: nesting, names, marks, savepoints, and the atomicity of single statements."""

from __future__ import annotations

import contextlib
import itertools
from typing import Any, Iterator, Optional

from ..contract import Emit, EnvChange
from . import errors

_descriptors = itertools.count(1)


class Part:
    """The transaction in one database."""

    def __init__(self, database: Any, tran: Any) -> None:
        self.database = database
        self.tran = tran
        self.saved = False  # has a savepoint for the running statement
        self.ops = 0

    def save(self, name: str) -> int:
        self.tran.connection.execute(f'SAVEPOINT "{name}"')
        return len(getattr(self.tran, "ops", ()))

    def back_to(self, name: str, ops: int) -> None:
        self.tran.connection.execute(f'ROLLBACK TO "{name}"')
        if hasattr(self.tran, "ops"):
            del self.tran.ops[ops:]

    def release(self, name: str) -> None:
        self.tran.connection.execute(f'RELEASE "{name}"')


class Transactions:
    def __init__(self, session: Any) -> None:
        self.session = session
        self.count = 0
        self.name = ""
        self.mark: Optional[tuple[str, str]] = None
        self.doomed = False
        self.descriptor = b""
        self.parts: dict[int, Part] = {}
        self.local: dict[int, Part] = {}  # table variables: not part of any transaction
        self.saves: list[tuple[str, str, dict[int, int]]] = []
        self._depth = 0

    def state(self) -> int:
        return 0 if not self.count else -1 if self.doomed else 1

    # -- statements -----------------------------------------------------------------------------------------------------

    def write(self, database: Any) -> Any:
        """The transaction to write with in a database; it waits for the writer lock when it is the first one there."""
        local = getattr(database, "transactional", True) is False
        if self.doomed and not local:
            raise errors.doomed()
        parts = self.local if local else self.parts
        part = parts.get(id(database))
        if part is None:
            part = parts[id(database)] = Part(database, database.begin(self.session))
        if self.count and not part.saved and not local:
            part.ops = part.save("stmt")
            part.saved = True
        return part.tran

    def of(self, database: Any) -> Any:
        """The open transaction in a database, None when there is none."""
        part = self.parts.get(id(database)) or self.local.get(id(database))
        return part.tran if part is not None else None

    @contextlib.contextmanager
    def statement(self) -> Iterator[None]:
        """Makes what happens inside atomic; commits it when no transaction is open."""
        self._depth += 1
        try:
            yield
        except BaseException:
            self._depth -= 1
            if not self._depth:
                self._undo_statement()
            raise
        self._depth -= 1
        if not self._depth:
            self._end_statement()

    def _undo_statement(self) -> None:
        self._end_local(False)
        if not self.count:
            self._rollback_all()
            return
        for part in self.parts.values():
            if part.saved:
                part.back_to("stmt", part.ops)
                part.release("stmt")
                part.saved = False

    def _end_statement(self) -> None:
        self._end_local(True)
        if not self.count:
            self._commit_all(None)
            return
        for part in self.parts.values():
            if part.saved:
                part.release("stmt")
                part.saved = False

    def _end_local(self, keep: bool) -> None:
        parts, self.local = list(self.local.values()), {}
        for part in parts:
            (part.database.commit if keep else part.database.rollback)(part.tran)

    def _commit_all(self, mark: Optional[tuple[str, str]]) -> None:
        parts, self.parts = list(self.parts.values()), {}
        failed: Optional[BaseException] = None
        for part in parts:
            try:
                if failed is None:
                    part.database.commit(part.tran, mark)
                else:
                    part.database.rollback(part.tran)
            except BaseException as exc:
                failed = exc
        if failed is not None:
            raise failed

    def _rollback_all(self) -> None:
        parts, self.parts = list(self.parts.values()), {}
        for part in parts:
            part.database.rollback(part.tran)

    # -- transactions ---------------------------------------------------------------------------------------------------

    def begin(self, name: str, mark: Optional[str], emit: Emit) -> None:
        self.count += 1
        if self.count == 1:
            self.name = name
            self.mark = (name, mark) if mark is not None else None
            self.descriptor = next(_descriptors).to_bytes(8, "little")
            emit(EnvChange(8, self.descriptor, b""))
        elif mark is not None and self.mark is None:
            self.mark = (name, mark)

    def commit(self, emit: Emit) -> None:
        if not self.count:
            raise errors.no_commit()
        if self.doomed:
            raise errors.doomed()
        if self.count > 1:
            self.count -= 1
            return
        mark, old = self.mark, self.descriptor
        self._clear()
        try:
            self._commit_all(mark)
        except BaseException:
            emit(EnvChange(10, b"", old))
            raise
        emit(EnvChange(9, b"", old))

    def rollback(self, emit: Emit, name: str = "") -> None:
        if not self.count:
            raise errors.no_rollback()
        if name:
            for at in range(len(self.saves) - 1, -1, -1):
                if self.saves[at][0] == name:
                    self._back_to(at)
                    return
            if name != self.name:
                raise errors.error(6401, f"Cannot roll back {name}. No transaction or savepoint of that name was found.")
        self.abandon(emit)

    def abandon(self, emit: Emit) -> None:
        """Rolls everything back, whatever is open."""
        had, old = self.count > 0, self.descriptor
        self._clear()
        self._end_local(False)
        self._rollback_all()
        if had:
            emit(EnvChange(10, b"", old))

    def _clear(self) -> None:
        self.count, self.name, self.mark, self.doomed, self.descriptor = 0, "", None, False, b""
        self.saves = []

    def save(self, name: str) -> None:
        if not self.count:
            raise errors.error(628, "Cannot issue SAVE TRANSACTION when there is no active transaction.", 0)
        if self.doomed:
            raise errors.doomed()
        inner = f"save_{len(self.saves)}"
        self.saves.append((name, inner, {key: part.save(inner) for key, part in self.parts.items()}))

    def _back_to(self, at: int) -> None:
        if self.doomed:
            raise errors.doomed()
        _, inner, known = self.saves[at]
        for key, part in list(self.parts.items()):
            if key in known:
                part.back_to(inner, known[key])
            else:  # the database was first written after the savepoint
                del self.parts[key]
                part.database.rollback(part.tran)
        del self.saves[at + 1:]
