# SPDX-License-Identifier: Apache-2.0
"""One SELECT: filter, group, window functions, projection, order, TOP."""

from __future__ import annotations

import itertools
from typing import Any, Callable, Iterable, Iterator, Optional

from ..contract import Column, SqlType
from . import aggregate, errors, nodes, types, window
from .compiler import Compiler
from .convert import comparer
from .expr import Ex, Scope, ScopeColumn, coerce
from .functions import AGGREGATES
from .nodes import Expr, Func, Item, Star
from .ops import key_of
from .relations import Relation


class Output:
    """A column of a result."""

    __slots__ = ("name", "ex", "node", "var", "op")

    def __init__(self, name: str, ex: Ex, node: Optional[Expr], var: str = "", op: str = "=") -> None:
        self.name, self.ex, self.node, self.var, self.op = name, ex, node, var, op

    def column(self) -> Column:
        return Column(self.name, types.visible(self.ex.type), self.ex.nullable, self.ex.identity)


def own_functions(node: Any) -> Iterator[Func]:
    """Function calls of an expression, without those of subqueries."""
    if isinstance(node, (list, tuple)):
        for item in node:
            yield from own_functions(item)
    elif isinstance(node, Func):
        yield node
        yield from own_functions(node.args)
        if node.over is not None:
            yield from own_functions(node.over.partition)
            yield from own_functions([e for e, _ in node.over.order])
    elif isinstance(node, (nodes.Query, nodes.Select)) or not isinstance(node, nodes.Node):
        return
    else:
        for name in node.__dataclass_fields__:
            yield from own_functions(getattr(node, name))


def has_aggregate(node: Any) -> bool:
    return any(f.name in AGGREGATES and f.over is None for f in own_functions(node))


class SelectCompiler(Compiler):
    """Select list and ORDER BY of a query without groups: window values follow the columns in a row."""

    def __init__(self, ctx: Any, scope: Scope, width: int) -> None:
        super().__init__(ctx, scope)
        self.base = width
        self.windows: list[window.WindowFunc] = []
        self.in_window = False

    def window(self, node: Func) -> Ex:
        if self.in_window:
            raise errors.error(4109, "Windowed functions cannot be used in the context of another windowed function or aggregate.",
                               1, 15)
        self.in_window = True
        try:
            made = window.build(self, node)
        finally:
            self.in_window = False
        at = len(self.windows)
        self.windows.append(made)
        return Ex(lambda r: r[self.base + at], made.type, made.nullable)

    def add_windows(self, rows: list[tuple]) -> list[tuple]:
        columns = [w.values(rows) for w in self.windows]
        return [row + extra for row, extra in zip(rows, zip(*columns))]


class GroupCompiler(SelectCompiler):
    """Expressions over groups: a row holds the keys, then the aggregates, then window values."""

    def __init__(self, ctx: Any, scope: Scope, group: list[Expr]) -> None:
        self.inner = Compiler(ctx, scope)
        self.keys = [self.inner.compile(e) for e in group]
        self.names = [self.canonical(e) for e in group]
        self.aggregates: list[aggregate.Aggregate] = []
        columns = []
        for at, node in enumerate(group):
            found = scope.find(node.parts) if isinstance(node, nodes.Col) else None
            if found is not None:
                columns.append(ScopeColumn(found.name, found.quals, at, found.type, found.nullable))
        super().__init__(ctx, Scope(columns, scope.parent), 0)
        self.source = scope

    def canonical(self, node: Any) -> Any:
        """Equal for expressions that mean the same."""
        if isinstance(node, nodes.Col):
            found = self.inner.scope.find(node.parts)
            return ("col", found.index) if found is not None else ("outer", tuple(p.lower() for p in node.parts))
        if isinstance(node, (list, tuple)):
            return tuple(self.canonical(n) for n in node)
        if isinstance(node, Func):
            return "Func", node.name, node.distinct, node.star, self.canonical(node.args), node.over is not None
        if isinstance(node, nodes.Node):
            return (node.__class__.__name__, *(self.canonical(getattr(node, f)) for f in node.__dataclass_fields__))
        return node if not isinstance(node, dict) else str(node)

    def compile(self, node: Expr) -> Ex:
        if self.keys and not isinstance(node, (nodes.Lit, nodes.Var)):
            name = self.canonical(node)
            if name in self.names:
                at = self.names.index(name)
                key = self.keys[at]
                return Ex(lambda r: r[at], key.type, key.nullable, coll=key.coll)
        return super().compile(node)

    def c_Col(self, node: nodes.Col) -> Ex:
        found = self.source.find(node.parts)
        if found is not None:
            name = found.name if len(found.quals) == 0 else f"{found.quals[-1]}.{found.name}"
            raise errors.error(8120, f"Column '{name}' is invalid in the select list because it is not contained in either an "
                                     "aggregate function or the GROUP BY clause.")
        return super().c_Col(node)

    def aggregate(self, node: Func) -> Ex:
        for inner in own_functions(node.args):
            if inner.name in AGGREGATES and inner.over is None:
                raise errors.error(130, "Cannot perform an aggregate function on an expression containing an aggregate or a subquery.",
                                   1, 15)
        args = [self.inner.compile(a) for a in node.args]
        order = [(self.inner.compile(e), d) for e, d in node.within]
        made = aggregate.build(node, args, self.ctx, order)
        at = len(self.keys) + len(self.aggregates)
        self.aggregates.append(made)
        return Ex(lambda r: r[at], made.type, made.nullable)

    def groups(self, rows: Iterable[tuple], always: bool) -> Iterator[tuple]:
        """One row per group. `always`: a group even without rows."""
        key_fns, value_fns = [key_of(k) for k in self.keys], [k.fn for k in self.keys]
        makers = [a.make for a in self.aggregates]
        if not key_fns:
            yield from self._single(rows, makers, always)
            return
        found: dict[tuple, tuple[tuple, list, list]] = {}
        for row in rows:
            key = tuple(fn(row) for fn in key_fns)
            group = found.get(key)
            if group is None:
                made = [make() for make in makers]
                group = found[key] = (tuple(fn(row) for fn in value_fns), [s for s, _ in made], [r for _, r in made])
            for step in group[1]:
                step(row)
        for values, _, results in found.values():
            yield values + tuple(result() for result in results)

    def _single(self, rows: Iterable[tuple], makers: list, always: bool) -> Iterator[tuple]:
        made = [make() for make in makers]
        steps, seen = [s for s, _ in made], False
        for row in rows:
            seen = True
            for step in steps:
                step(row)
        if seen or always:
            yield tuple(result() for _, result in made)


def sort_rows(rows: list[Any], keys: list[tuple[Callable, bool]]) -> list[Any]:
    for key, desc in reversed(keys):
        rows = sorted(rows, key=lambda r: ((v := key(r)) is not None, v), reverse=desc)
    return rows


class SelectPlan:
    """`outputs` are compiled; rows() yields tuples of them."""

    def __init__(self, ctx: Any, select: nodes.Select, relation: Relation, parent: Optional[Scope],
                 order: list[tuple[Expr, bool]], offset: Optional[Expr], fetch: Optional[Expr]) -> None:
        self.ctx, self.select, self.relation = ctx, select, relation
        self.correlated = False
        scope = Scope(relation.columns, parent)
        self.scope = scope
        plain = Compiler(ctx, scope)
        self.where = plain.condition(select.where) if select.where is not None else None
        if select.where is not None and hasattr(relation, "push"):
            relation.push(select.where, plain)
        self.grouped = bool(select.group or select.having is not None
                            or has_aggregate([i.expr for i in select.items]) or has_aggregate([e for e, _ in order]))
        compiler = GroupCompiler(ctx, scope, select.group) if self.grouped else SelectCompiler(ctx, scope, len(relation.columns))
        self.compiler = compiler
        self.outputs = self._outputs(select.items, scope, compiler)
        self.having = compiler.condition(select.having) if select.having is not None else None
        self.keys = self._order(order, compiler)
        if self.grouped:
            compiler.base = len(compiler.keys) + len(compiler.aggregates)
        self.top = self._count(select.top) if select.top is not None else None
        self.offset = self._count(offset) if offset is not None else None
        self.fetch = self._count(fetch) if fetch is not None else None

    # -- compiling ------------------------------------------------------------------------------------------------------

    def _count(self, node: Expr) -> Callable[[], Any]:
        ex = Compiler(self.ctx, Scope([], self.scope.parent)).compile(node)
        fn = coerce(ex, types.FLOAT if self.select.percent else types.BIGINT).fn
        return lambda: fn(None)

    def _outputs(self, items: list[Item], scope: Scope, compiler: Compiler) -> list[Output]:
        found: list[Output] = []
        for item in items:
            if isinstance(item.expr, Star):
                found += self._star(item.expr, scope, compiler)
                continue
            ex = compiler.compile(item.expr)
            name = item.alias
            if not name and isinstance(item.expr, nodes.Col):
                column = scope.find(item.expr.parts)
                name = column.name if column is not None else item.expr.parts[-1]
            found.append(Output(name, ex, item.expr, item.var, item.op))
        return found

    def _star(self, star: Star, scope: Scope, compiler: Compiler) -> list[Output]:
        quals = tuple(p.lower() for p in star.parts)
        columns = scope.of_table(quals) if quals else scope.columns
        if not columns:
            if quals:
                raise errors.error(107, f"The column prefix '{'.'.join(star.parts)}' does not match with a table name or alias name "
                                        "used in the query.", 1, 15)
            raise errors.error(263, "Must specify table to select from.", 1)
        found = []
        for column in columns:
            if column.hidden:
                continue
            node = nodes.Col([*column.quals[-1:], column.name])
            ex = compiler.compile(node) if self.grouped else compiler.column(column)
            found.append(Output(column.name, ex, node))
        return found

    def _order(self, order: list[tuple[Expr, bool]], compiler: Compiler) -> list[tuple[Callable, bool]]:
        """Keys over (row, output)."""
        keys = []
        for node, desc in order:
            at = self._ordinal(node)
            if at is not None:
                ex = self.outputs[at].ex
                key = comparer(ex.type, ex.coll)
                keys.append((_output_key(at, key), desc))
                continue
            if self.select.distinct:
                at = self._same_output(node)
                keys.append((_output_key(at, comparer(self.outputs[at].ex.type)), desc))
                continue
            fn = key_of(compiler.compile(node))
            keys.append((_row_key(fn), desc))
        return keys

    def _ordinal(self, node: Expr) -> Optional[int]:
        if isinstance(node, nodes.Lit) and isinstance(node.value, int):
            if not 1 <= node.value <= len(self.outputs):
                raise errors.error(108, f"The ORDER BY position number {node.value} is out of range of the number of items in the "
                                        "select list.", 1, 16)
            return node.value - 1
        if isinstance(node, nodes.Col) and len(node.parts) == 1:
            name = node.parts[0].lower()
            found = [at for at, out in enumerate(self.outputs) if out.name.lower() == name]
            if found:
                return found[0]
        return None

    def _same_output(self, node: Expr) -> int:
        for at, out in enumerate(self.outputs):
            if out.node == node or (isinstance(node, nodes.Col) and out.name.lower() == node.parts[-1].lower()):
                return at
        raise errors.error(145, "ORDER BY items must appear in the select list if SELECT DISTINCT is specified.", 1, 15)

    def columns(self) -> list[Column]:
        return [o.column() for o in self.outputs]

    def single(self) -> Ex:
        if len(self.outputs) != 1:
            raise errors.error(116, "Only one expression can be specified in the select list when the subquery is not introduced "
                                    "with EXISTS.", 1)
        return self.outputs[0].ex

    def types(self) -> list[tuple[SqlType, Any, str]]:
        return [(o.ex.type, o.ex.lit, o.ex.coll) for o in self.outputs]

    # -- running --------------------------------------------------------------------------------------------------------

    def _source(self) -> Iterable[tuple]:
        rows: Iterable[tuple] = self.relation.rows()
        if self.where is not None:
            where = self.where
            rows = (row for row in rows if where(row))
        if self.grouped:
            rows = self.compiler.groups(rows, not self.select.group)
        if self.having is not None:
            having = self.having
            rows = (row for row in rows if having(row))
        if self.compiler.windows:
            rows = self.compiler.add_windows(list(rows))
        return rows

    def rows(self) -> Iterator[tuple]:
        limit = self.top() if self.top is not None else None
        if limit is not None and limit < 0:
            raise errors.error(1060, "The number of rows provided for a TOP or FETCH clauses row count parameter must be an integer.",
                               1, 15)
        fns = [o.ex.fn for o in self.outputs]
        if len(fns) == 1:
            only = fns[0]
            pairs: Iterable[tuple[tuple, tuple]] = ((row, (only(row),)) for row in self._source())
        else:
            pairs = ((row, tuple([fn(row) for fn in fns])) for row in self._source())
        if self.select.distinct:
            pairs = self._distinct(pairs)
        if self.keys:
            pairs = sort_rows(list(pairs), self.keys)
        if self.select.percent and limit is not None:
            pairs = list(pairs)
            limit = -(-len(pairs) * limit // 100)
        if self.select.ties and limit is not None:
            pairs = self._ties(list(pairs), int(limit))
        elif limit is not None:
            pairs = itertools.islice(pairs, int(limit))
        if self.offset is not None:
            start = self.offset()
            stop = start + self.fetch() if self.fetch is not None else None
            pairs = itertools.islice(pairs, start, stop)
        for _, out in pairs:
            yield out

    def _distinct(self, pairs: Iterable[tuple[tuple, tuple]]) -> Iterator[tuple[tuple, tuple]]:
        keys = [comparer(o.ex.type, o.ex.coll) for o in self.outputs]
        seen: set = set()
        for pair in pairs:
            key = row_key(pair[1], keys)
            if key not in seen:
                seen.add(key)
                yield pair

    def _ties(self, pairs: list, limit: int) -> list:
        if not 0 < limit < len(pairs):
            return pairs[:limit]
        last = [key(pairs[limit - 1]) for key, _ in self.keys]
        end = limit
        while end < len(pairs) and [key(pairs[end]) for key, _ in self.keys] == last:
            end += 1
        return pairs[:end]


def row_key(values: tuple, keys: list) -> tuple:
    return tuple(v if v is None or key is None else key(v) for v, key in zip(values, keys))


def _output_key(at: int, key: Optional[Callable]) -> Callable:
    if key is None:
        return lambda pair: pair[1][at]
    return lambda pair: None if pair[1][at] is None else key(pair[1][at])


def _row_key(fn: Callable) -> Callable:
    return lambda pair: fn(pair[0])
