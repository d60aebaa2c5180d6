# SPDX-License-Identifier: Apache-2.0
"""Plans of whole queries: FROM, set operations, VALUES, common table expressions."""

from __future__ import annotations

from typing import Any, Callable, Iterable, Iterator, Optional

from ..contract import Column
from . import errors, nodes, types
from .compiler import Compiler
from .convert import comparer, converter, same
from .expr import Ex, Scope, ScopeColumn, coerce
from .nodes import Query, Select, SetOp, Values, walk
from .relations import ApplyRelation, JoinRelation, OneRow, Relation, RowsRelation, named
from .select import Output, SelectPlan, row_key, sort_rows

MAX_RECURSION = 100


class Plan:
    """A plan of VALUES or of a set operation, with the interface of SelectPlan."""

    correlated = False

    def __init__(self, outputs: list[Output], source: Callable[[], Iterable[tuple]]) -> None:
        self.outputs = outputs
        self.source = source

    def columns(self) -> list[Column]:
        return [o.column() for o in self.outputs]

    single = SelectPlan.single

    def rows(self) -> Iterable[tuple]:
        return self.source()


def used_names(node: Any) -> Optional[set[str]]:
    """Lower-case names of all columns that a statement mentions; None when it has a star."""
    found: set[str] = set()
    for part in walk(node):
        if isinstance(part, nodes.Col):
            found.add(part.parts[-1].lower())
        elif isinstance(part, nodes.Star) or (isinstance(part, nodes.Func) and part.star and part.name.endswith("CHECKSUM")):
            return None
    return found


class Planner:
    """Plans for one statement of a context."""

    def __init__(self, ctx: Any) -> None:
        self.ctx = ctx
        self.ctes: list[dict[str, Any]] = []

    def query(self, query: Query, parent: Optional[Scope]) -> Any:
        boundary = Scope([], parent)
        self.push_ctes(query.ctes)
        try:
            plan = self._body(query.body, boundary, query)
        finally:
            self.pop_ctes(query.ctes)
        plan.correlated = boundary.outer_used
        return plan

    # -- common table expressions ---------------------------------------------------------------------------------------

    def push_ctes(self, ctes: list[nodes.Cte]) -> None:
        if ctes:
            known: dict[str, Any] = {}
            for cte in ctes:
                if cte.name.lower() in known:
                    raise errors.error(462, f"Duplicate common table expression name '{cte.name}' was specified.")
                known[cte.name.lower()] = cte
            self.ctes.append(known)

    def pop_ctes(self, ctes: list[nodes.Cte]) -> None:
        if ctes:
            self.ctes.pop()

    def _cte(self, name: str, quals: tuple[str, ...]) -> Optional[Relation]:
        for depth in range(len(self.ctes) - 1, -1, -1):
            found = self.ctes[depth].get(name.lower())
            if found is None:
                continue
            if isinstance(found, RowsRelation):  # a recursive reference
                return RowsRelation([ScopeColumn(c.name, quals, c.index, c.type, c.nullable) for c in found.columns], found.rows)
            keep, self.ctes = self.ctes, self.ctes[:depth + 1]
            try:
                return self._plan_cte(found, quals)
            finally:
                self.ctes = keep
        return None

    def _plan_cte(self, cte: nodes.Cte, quals: tuple[str, ...]) -> Relation:
        body = cte.query.body
        recursive = isinstance(body, SetOp) and body.op == "UNION ALL" and any(
            isinstance(n, nodes.Table) and len(n.name) == 1 and n.name[0].lower() == cte.name.lower() for n in walk(body.right))
        if recursive:
            return self._recursive(cte, body, quals)
        # Inside its own text the name means a table, or an outer expression.
        outer = self.ctes.pop()
        self.ctes.append({k: v for k, v in outer.items() if k != cte.name.lower()})
        try:
            plan = self.query(cte.query, None)
        finally:
            self.ctes[-1] = outer
        return RowsRelation(self._renamed(plan.columns(), cte.columns, cte.name, quals), plan.rows)

    def _renamed(self, columns: list[Column], names: list[str], table: str, quals: tuple[str, ...]) -> list[ScopeColumn]:
        if names and len(names) != len(columns):
            more = "fewer" if len(names) < len(columns) else "more"
            number = 8158 if more == "fewer" else 8159
            text = f"'{table}' has more columns than were specified in the column list." if more == "fewer" else \
                f"'{table}' has fewer columns than were specified in the column list."
            raise errors.error(number, text)
        found = named(columns, quals)
        for column, name in zip(found, names):
            column.name, column.key = name, name.lower()
        seen: set[str] = set()
        for at, column in enumerate(found, 1):
            if not column.name:
                raise errors.error(8155, f"No column name was specified for column {at} of '{table}'.", 2)
            if column.key in seen:
                raise errors.error(8156, f"The column '{column.name}' was specified multiple times for '{table}'.")
            seen.add(column.key)
        return found

    def _recursive(self, cte: nodes.Cte, body: SetOp, quals: tuple[str, ...]) -> Relation:
        anchor = self._body(body.left, Scope([]), None)
        columns = self._renamed(anchor.columns(), cte.columns, cte.name, quals)
        work: list[list[tuple]] = [[]]
        known = self.ctes[-1]
        known[cte.name.lower()] = RowsRelation(columns, lambda: work[0])
        try:
            step = self._body(body.right, Scope([]), None)
        finally:
            known[cte.name.lower()] = cte
        fix = [converter(o.ex.type, c.type) for o, c in zip(step.outputs, columns)]

        def rows() -> Iterator[tuple]:
            work[0] = list(anchor.rows())
            for depth in range(MAX_RECURSION + 1):
                yield from work[0]
                self.ctx.session.look()
                work[0] = [tuple(v if v is None else f(v) for v, f in zip(row, fix)) for row in step.rows()]
                if not work[0]:
                    return
            raise errors.error(530, "The statement terminated. The maximum recursion 100 has been exhausted before statement "
                                    "completion.")

        return RowsRelation(columns, rows)

    # -- bodies ---------------------------------------------------------------------------------------------------------

    def _body(self, body: Any, parent: Scope, query: Optional[Query]) -> Any:
        order = query.order if query is not None else []
        if isinstance(body, Select):
            relation = self.source(body.source, parent, body, query)
            return SelectPlan(self.ctx, body, relation, parent, order, query.offset if query else None,
                              query.fetch if query else None)
        plan = self._values(body, parent) if isinstance(body, Values) else self._set(body, parent)
        return self._ordered(plan, query) if query is not None and query.order else plan

    def _values(self, body: Values, parent: Scope) -> Plan:
        compiler = Compiler(self.ctx, Scope([], parent.parent) if parent.parent else parent)
        rows = [[compiler.compile(e) for e in row] for row in body.rows]
        if len({len(r) for r in rows}) > 1:
            raise errors.error(10709, "The number of columns for each row in a table value constructor must be the same.")
        outputs, fixed = [], []
        for column in zip(*rows):
            target, exprs = compiler.unify(list(column))
            outputs.append(Output("", Ex(exprs[0].fn, target, any(e.nullable for e in exprs), lit=exprs[0].lit
                                         if len(exprs) == 1 else None), None))
            fixed.append([e.fn for e in exprs])
        table = list(zip(*fixed))
        return Plan(outputs, lambda: (tuple(fn(None) for fn in row) for row in table))

    def _set(self, body: SetOp, parent: Scope) -> Plan:
        left, right = self._body(body.left, parent, None), self._body(body.right, parent, None)
        if len(left.outputs) != len(right.outputs):
            raise errors.error(205, "All queries combined using a UNION, INTERSECT or EXCEPT operator must have an equal number of "
                                    "expressions in their target lists.")
        outputs, fix_left, fix_right = [], [], []
        for a, b in zip(left.outputs, right.outputs):
            target = types.wider(a.ex.type, b.ex.type, a.ex.lit, b.ex.lit)
            outputs.append(Output(a.name, Ex(a.ex.fn, target, a.ex.nullable or b.ex.nullable), None))
            fix_left.append(converter(a.ex.type, target))
            fix_right.append(converter(b.ex.type, target))
        keys = [comparer(o.ex.type) for o in outputs]
        lefts, rights = _converted(left, fix_left), _converted(right, fix_right)
        return Plan(outputs, lambda: combine(body.op, lefts(), rights(), keys))

    def _ordered(self, plan: Plan, query: Query) -> Plan:
        keys = []
        for node, desc in query.order:
            at = SelectPlan._ordinal(plan, node)
            if at is None:
                raise errors.error(104, "ORDER BY items must appear in the select list if the statement contains a UNION, INTERSECT "
                                        "or EXCEPT operator.", 1)
            keys.append((_at(at, comparer(plan.outputs[at].ex.type)), desc))
        count = Compiler(self.ctx)
        skip = coerce(count.compile(query.offset), types.BIGINT).fn(None) if query.offset is not None else 0
        take = coerce(count.compile(query.fetch), types.BIGINT).fn(None) if query.fetch is not None else None

        def rows() -> list[tuple]:
            found = sort_rows(list(plan.rows()), keys)
            return found[skip:skip + take if take is not None else None]

        return Plan(plan.outputs, rows)

    # -- FROM -----------------------------------------------------------------------------------------------------------

    def source(self, node: Any, parent: Optional[Scope], whole: Any, query: Any = None) -> Relation:
        if node is None:
            return OneRow()
        used = used_names(query if query is not None else whole)
        return self.relation(node, parent, used)

    def relation(self, node: Any, parent: Optional[Scope], used: Optional[set[str]], rowid: Any = None) -> Relation:
        if isinstance(node, nodes.Table):
            return self.table(node, used, node is rowid)
        if isinstance(node, nodes.TableVar):
            return self.ctx.table_variable(node.name, (node.alias.lower(),), used, node is rowid)
        if isinstance(node, nodes.Derived):
            plan = self.query(node.query, parent)
            return RowsRelation(self._renamed(plan.columns(), node.columns, node.alias, (node.alias.lower(),)), plan.rows)
        if isinstance(node, nodes.TableFunc):
            return self.function(node, parent)
        left = self.relation(node.left, parent, used, rowid)
        if node.kind.endswith("APPLY"):
            scope = Scope(left.columns, parent)
            return ApplyRelation(self.ctx, node.kind, left, scope, self.relation(node.right, scope, used, rowid))
        return JoinRelation(self.ctx, node.kind, left, self.relation(node.right, parent, used, rowid), node.on, parent)

    def table(self, node: nodes.Table, used: Optional[set[str]], rowid: bool = False) -> Relation:
        quals = (node.alias.lower(),) if node.alias else tuple(p.lower() for p in node.name)
        if len(node.name) == 1:
            found = self._cte(node.name[0], quals)
            if found is not None:
                return found
        return self.ctx.open_table(node.name, quals, used, rowid)

    def function(self, node: nodes.TableFunc, parent: Optional[Scope]) -> Relation:
        compiler = Compiler(self.ctx, Scope([], parent) if parent is not None else None)
        args = [compiler.compile(a).fn for a in node.args]
        quals = (node.alias.lower(),) if node.alias else tuple(p.lower() for p in node.name)
        columns, call = self.ctx.table_function(node.name, args, all(isinstance(a, (nodes.Lit, nodes.Var)) for a in node.args))
        if node.columns:
            return RowsRelation(self._renamed(columns, node.columns, node.alias, quals), call)
        return RowsRelation(named(columns, quals), call)


def _converted(plan: Any, fix: list[Callable]) -> Callable[[], Iterable[tuple]]:
    if all(f is same for f in fix):
        return plan.rows
    return lambda: (tuple(v if v is None else f(v) for v, f in zip(row, fix)) for row in plan.rows())


def combine(op: str, left: Iterable[tuple], right: Iterable[tuple], keys: list) -> Iterator[tuple]:
    if op == "UNION ALL":
        yield from left
        yield from right
        return
    seen: set = set()
    other = {row_key(row, keys) for row in right} if op != "UNION" else set()
    for source in (left, right) if op == "UNION" else (left,):
        for row in source:
            key = row_key(row, keys)
            if key in seen or (op == "EXCEPT" and key in other) or (op == "INTERSECT" and key not in other):
                continue
            seen.add(key)
            yield row


def _at(at: int, key: Optional[Callable]) -> Callable:
    return lambda row: row[at] if key is None or row[at] is None else key(row[at])
