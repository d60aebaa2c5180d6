# SPDX-License-Identifier: Apache-2.0
"""Window functions: values computed over the sorted rows of each partition."""

from __future__ import annotations

from typing import Any, Callable, Optional

from ..contract import SqlType
from . import aggregate, errors, types
from .expr import Ex, coerce
from .functions import AGGREGATES, RANKING, as_int
from .nodes import Func
from .ops import key_of


class WindowFunc:
    """`values(rows)` gives one value per row, in the order of the rows."""

    def __init__(self, type_: SqlType, nullable: bool, values: Callable[[list[Any]], list[Any]]) -> None:
        self.type = type_
        self.nullable = nullable
        self.values = values


def build(compiler: Any, node: Func) -> WindowFunc:
    over = node.over
    partition = [key_of(compiler.compile(e)) for e in over.partition]
    order = [(key_of(compiler.compile(e)), desc) for e, desc in over.order]
    if node.name not in AGGREGATES and node.name not in RANKING:
        raise errors.error(10753, f"The function '{node.text}' must have an OVER clause.", 3, 15)
    if node.name in RANKING and not order:
        raise errors.error(4112, f"The function '{node.text}' must have an OVER clause with ORDER BY.", 1, 15)
    args = [compiler.compile(a) for a in node.args]
    type_, nullable, run = _partition_function(node, args, order, compiler.ctx)

    def values(rows: list[Any]) -> list[Any]:
        groups: dict[Any, list[int]] = {}
        for at, row in enumerate(rows):
            groups.setdefault(tuple(k(row) for k in partition), []).append(at)
        out: list[Any] = [None] * len(rows)
        for members in groups.values():
            members = _sort(rows, members, order)
            for at, value in zip(members, run([rows[i] for i in members])):
                out[at] = value
        return out

    return WindowFunc(type_, nullable, values)


def _sort(rows: list[Any], members: list[int], order: list[tuple[Callable, bool]]) -> list[int]:
    for key, desc in reversed(order):
        members = sorted(members, key=lambda i: ((v := key(rows[i])) is not None, v), reverse=desc)
    return members


Run = Callable[[list[Any]], list[Any]]


def _partition_function(node: Func, args: list[Ex], order: list, ctx: Any) -> tuple[SqlType, bool, Run]:
    name = node.name
    if name == "ROW_NUMBER":
        return types.BIGINT, False, lambda rows: list(range(1, len(rows) + 1))
    if name in ("RANK", "DENSE_RANK"):
        return types.BIGINT, False, lambda rows: _ranks(rows, order, name == "DENSE_RANK")
    if name == "NTILE":
        return types.BIGINT, False, lambda rows: _tiles(len(rows), args[0].fn(rows[0]))
    if name in ("LAG", "LEAD"):
        return _shift(node, args, name == "LEAD")
    if name in ("FIRST_VALUE", "LAST_VALUE"):
        return _edge(node, args, order)
    found = aggregate.build(node, args, ctx, [])
    return found.type, found.nullable, lambda rows: _running(rows, found, node, order)


def _keys(row: Any, order: list) -> tuple:
    return tuple(key(row) for key, _ in order)


def _ranks(rows: list[Any], order: list, dense: bool) -> list[int]:
    out: list[int] = []
    last: Any = None
    for at, row in enumerate(rows):
        key = _keys(row, order)
        if at and key == last:
            out.append(out[-1])
        else:
            out.append((out[-1] + 1 if out else 1) if dense else at + 1)
        last = key
    return out


def _tiles(count: int, tiles: int) -> list[int]:
    if tiles is None or tiles <= 0:
        raise errors.error(9108, "The argument to NTILE must be a positive integer.")
    size, extra = divmod(count, tiles)
    out: list[int] = []
    for tile in range(1, tiles + 1):
        out += [tile] * (size + (1 if tile <= extra else 0))
    return out[:count]


def _shift(node: Func, args: list[Ex], forward: bool) -> tuple[SqlType, bool, Run]:
    value = args[0]
    step = as_int(args[1]).fn if len(args) > 1 else lambda r: 1
    default = coerce(args[2], value.type).fn if len(args) > 2 else lambda r: None

    def run(rows: list[Any]) -> list[Any]:
        out = []
        for at, row in enumerate(rows):
            to = at + step(row) * (1 if forward else -1)
            out.append(value.fn(rows[to]) if 0 <= to < len(rows) else default(row))
        return out

    return value.type, True, run


def _bounds(at: int, rows: list[Any], frame: Optional[tuple], order: list, peers: list[int]) -> tuple[int, int]:
    """First and last row (exclusive) of the frame of row `at`."""
    if frame is None:
        return (0, peers[at]) if order else (0, len(rows))
    kind, start, end = frame
    first = 0 if start == "-" else at + start
    last = len(rows) if end == "+" else (peers[at] if kind == "RANGE" and end == 0 else at + end + 1)
    return max(0, first), min(len(rows), max(last, 0))


def _peer_ends(rows: list[Any], order: list) -> list[int]:
    """For each row the index after the last row that sorts equal."""
    ends, end = [0] * len(rows), len(rows)
    keys = [_keys(row, order) for row in rows]
    for at in range(len(rows) - 1, -1, -1):
        if at + 1 < len(rows) and keys[at] != keys[at + 1]:
            end = at + 1
        ends[at] = end
    return ends


def _edge(node: Func, args: list[Ex], order: list) -> tuple[SqlType, bool, Run]:
    value = args[0]
    frame = node.over.frame

    def run(rows: list[Any]) -> list[Any]:
        peers, out = _peer_ends(rows, order), []
        for at in range(len(rows)):
            first, last = _bounds(at, rows, frame, order, peers)
            pick = first if node.name == "FIRST_VALUE" else last - 1
            out.append(value.fn(rows[pick]) if first < last else None)
        return out

    return value.type, True, run


def _running(rows: list[Any], found: aggregate.Aggregate, node: Func, order: list) -> list[Any]:
    frame = node.over.frame
    if not order and frame is None:
        step, result = found.make()
        for row in rows:
            step(row)
        return [result()] * len(rows)
    peers = _peer_ends(rows, order)
    if frame is None or frame[1] == "-":  # grows only: one pass
        step, result = found.make()
        out, done, last_value = [], 0, None
        for at in range(len(rows)):
            _, last = _bounds(at, rows, frame, order, peers)
            if done < last or at == 0:
                while done < last:
                    step(rows[done])
                    done += 1
                last_value = result()
            out.append(last_value)
        return out
    out = []
    for at in range(len(rows)):
        first, last = _bounds(at, rows, frame, order, peers)
        step, result = found.make()
        for row in rows[first:last]:
            step(row)
        out.append(result())
    return out
