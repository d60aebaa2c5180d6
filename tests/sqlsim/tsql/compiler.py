# SPDX-License-Identifier: Apache-2.0
"""The syntax tree of an expression to closures over rows."""

from __future__ import annotations

from typing import Any, Callable, Optional

from ..contract import SqlType
from . import errors, nodes, ops, types
from .convert import comparer, converter
from .expr import Ex, Scope, coerce, constant
from .nodes import Expr
from .ops import key_of
from .parse_expr import BOOLEANS


class Compiler:
    """`ctx` is the running session's context: variables, the engine, the planner of subqueries."""

    def __init__(self, ctx: Any, scope: Optional[Scope] = None) -> None:
        self.ctx = ctx
        self.scope = scope

    def compile(self, node: Expr) -> Ex:
        method: Optional[Callable[[Any], Ex]] = getattr(self, "c_" + node.__class__.__name__, None)
        if method is None:
            raise errors.syntax("*" if isinstance(node, nodes.Star) else node.__class__.__name__)
        return method(node)

    def condition(self, node: Expr) -> Callable[[Any], Any]:
        return self.compile(node).fn

    # -- leaves ---------------------------------------------------------------------------------------------------------

    def c_Lit(self, node: nodes.Lit) -> Ex:
        return constant(node.value, node.type)

    def c_Var(self, node: nodes.Var) -> Ex:
        variable = self.ctx.variable(node.name)
        return Ex(lambda r: variable.value, variable.type, True, True)

    def c_Col(self, node: nodes.Col) -> Ex:
        scope = self.scope
        if scope is not None:
            found = scope.find(node.parts)
            if found is not None:
                return self.column(found)
            passed, outer = [scope], scope.parent
            while outer is not None:
                found = outer.find(node.parts)
                if found is not None:
                    for inner in passed:
                        inner.outer_used = True
                    return self.outer_column(outer, found)
                passed.append(outer)
                outer = outer.parent
        raise self.unknown_column(node.parts)

    def column(self, found: Any) -> Ex:
        index = found.index
        return Ex(lambda r: r[index], found.type, found.nullable, identity=found.identity)

    def outer_column(self, outer: Scope, found: Any) -> Ex:
        cell, index = outer.cell, found.index
        return Ex(lambda r: cell[0][index], found.type, True)

    def unknown_column(self, parts: list[str]) -> Exception:
        scope = self.scope
        if len(parts) == 1:
            if scope is None and parts[0].upper() != parts[0].lower() and not self.ctx.columns_possible:
                return errors.error(128, f'The name "{parts[0]}" is not permitted in this context. Valid expressions are '
                                         "constants, constant expressions, and (in some contexts) variables. Column names are "
                                         "not permitted.", 1)
            return errors.no_column(parts[0])
        quals = tuple(p.lower() for p in parts[:-1])
        while scope is not None:
            if scope.has_table(quals):
                return errors.no_column(parts[-1])
            scope = scope.parent
        return errors.not_bound(".".join(parts))

    # -- operators ------------------------------------------------------------------------------------------------------

    def c_Unary(self, node: nodes.Unary) -> Ex:
        arg = self.compile(node.arg)
        return ops.negate(arg) if node.op == "-" else ops.invert(arg)

    def c_Binary(self, node: nodes.Binary) -> Ex:
        return ops.binary(node.op, self.compile(node.left), self.compile(node.right))

    def c_Compare(self, node: nodes.Compare) -> Ex:
        if node.quantifier:
            return self.quantified(node)
        return ops.compare(node.op, self.compile(node.left), self.compile(node.right))

    def quantified(self, node: nodes.Compare) -> Ex:
        left = self.compile(node.left)
        plan, run = self.subquery(node.right.query)
        item = plan.single()
        every = node.quantifier == "ALL"
        a, b = ops.common(left, item)
        ka, kb, test = key_of(a, b), key_of(Ex(lambda r: r[0], item.type), a), ops.COMPARE[node.op]
        kb = key_of(coerce(Ex(lambda r: r[0], item.type), b.type) if b.type != item.type else Ex(lambda r: r[0], item.type), a)

        def check(r: Any) -> Any:
            x, unknown = ka(r), False
            for row in run(r):
                y = kb(row)
                if x is None or y is None:
                    unknown = True
                elif test(x, y) != every:
                    return not every
            return None if unknown else every

        return Ex(check, types.BIT, boolean=True)

    def c_Logic(self, node: nodes.Logic) -> Ex:
        a, b = self.compile(node.left).fn, self.compile(node.right).fn

        def conj(r: Any) -> Any:
            x = a(r)
            if x is False:
                return False
            y = b(r)
            return False if y is False else (True if x and y else None)

        def disj(r: Any) -> Any:
            x = a(r)
            if x:
                return True
            y = b(r)
            return True if y else (False if x is False and y is False else None)

        return Ex(conj if node.op == "AND" else disj, types.BIT, boolean=True)

    def c_Not(self, node: nodes.Not) -> Ex:
        fn = self.compile(node.arg).fn

        def run(r: Any) -> Any:
            x = fn(r)
            return None if x is None else not x

        return Ex(run, types.BIT, boolean=True)

    def c_IsNull(self, node: nodes.IsNull) -> Ex:
        fn = self.compile(node.arg).fn
        if node.negated:
            return Ex(lambda r: fn(r) is not None, types.BIT, boolean=True)
        return Ex(lambda r: fn(r) is None, types.BIT, boolean=True)

    def c_Distinct(self, node: nodes.Distinct) -> Ex:
        a, b = ops.common(self.compile(node.left), self.compile(node.right))
        ka, kb, negated = key_of(a, b), key_of(b, a), node.negated
        return Ex(lambda r: (ka(r) != kb(r)) != negated, types.BIT, boolean=True)

    def c_Between(self, node: nodes.Between) -> Ex:
        low = nodes.Compare(">=", node.arg, node.low)
        high = nodes.Compare("<=", node.arg, node.high)
        both = nodes.Logic("AND", low, high)
        return self.compile(nodes.Not(both) if node.negated else both)

    def c_Like(self, node: nodes.Like) -> Ex:
        escape = self.compile(node.escape) if node.escape is not None else None
        return ops.like(self.compile(node.arg), self.compile(node.pattern), escape, node.negated)

    def c_In(self, node: nodes.In) -> Ex:
        if node.query is not None:
            return self.in_query(node)
        arg = self.compile(node.arg)
        tests = [ops.compare("=", arg, self.compile(item)).fn for item in node.items]
        negated = node.negated
        fixed = self._in_literals(arg, node)
        if fixed is not None:
            return fixed

        def run(r: Any) -> Any:
            unknown = False
            for test in tests:
                found = test(r)
                if found:
                    return not negated
                if found is None:
                    unknown = True
            return None if unknown else negated

        return Ex(run, types.BIT, boolean=True)

    def _in_literals(self, arg: Ex, node: nodes.In) -> Optional[Ex]:
        """x IN (1, 2, 3) as a set, when all sides have one type family."""
        if not all(isinstance(i, nodes.Lit) and i.value is not None for i in node.items) or len(node.items) < 3:
            return None
        if not all((i.type.kind in types.INTS and arg.type.kind in types.INTS) or
                   (i.type.kind in types.STRINGS and arg.type.kind in types.STRINGS) for i in node.items):
            return None
        key = comparer(arg.type, arg.coll)
        wanted = {key(i.value) if key else i.value for i in node.items}
        fn, negated = key_of(arg), node.negated

        def run(r: Any) -> Any:
            x = fn(r)
            return None if x is None else (x in wanted) != negated

        return Ex(run, types.BIT, boolean=True)

    def in_query(self, node: nodes.In) -> Ex:
        arg = self.compile(node.arg)
        plan, run = self.subquery(node.query)
        item = plan.single()
        a, b = ops.common(arg, item)
        cell = Ex(lambda r: r[0], item.type, coll=item.coll)
        ka, kb, negated = key_of(a, b), key_of(coerce(cell, b.type), a), node.negated
        cache: list[Any] = []

        def values(r: Any) -> tuple[set, bool]:
            if cache and not plan.correlated:
                return cache[0]
            keys = [kb(row) for row in run(r)]
            found = set(keys) - {None}, None in keys
            if not plan.correlated:
                cache.append(found)
            return found

        def check(r: Any) -> Any:
            wanted, unknown = values(r)
            x = ka(r)
            if x is None:
                return None if wanted or unknown else negated
            if x in wanted:
                return not negated
            return None if unknown else negated

        return Ex(check, types.BIT, boolean=True)

    # -- subqueries -----------------------------------------------------------------------------------------------------

    def subquery(self, query: nodes.Query) -> tuple[Any, Callable[[Any], Any]]:
        plan = self.ctx.plan(query, self.scope)
        if self.scope is None:
            return plan, lambda r: plan.rows()
        cell = self.scope.cell

        def run(r: Any) -> Any:
            cell[0] = r
            return plan.rows()

        return plan, run

    def c_Exists(self, node: nodes.Exists) -> Ex:
        plan, run = self.subquery(node.query)
        cache: list[bool] = []

        def check(r: Any) -> bool:
            if cache:
                return cache[0]
            found = False
            for _ in run(r):
                found = True
                break
            if not plan.correlated:
                cache.append(found)
            return found

        return Ex(check, types.BIT, boolean=True)

    def c_Scalar(self, node: nodes.Scalar) -> Ex:
        plan, run = self.subquery(node.query)
        item = plan.single()
        cache: list[Any] = []

        def value(r: Any) -> Any:
            if cache:
                return cache[0]
            found, count = None, 0
            for row in run(r):
                count += 1
                if count > 1:
                    raise errors.many_rows()
                found = row[0]
            if not plan.correlated:
                cache.append(found)
            return found

        return Ex(value, item.type, True, coll=item.coll)

    # -- other forms ----------------------------------------------------------------------------------------------------

    def c_Case(self, node: nodes.Case) -> Ex:
        tests = []
        for test, _ in node.whens:
            if node.arg is not None:
                test = nodes.Compare("=", node.arg, test)
            tests.append(self.compile(test).fn)
        results = [self.compile(value) for _, value in node.whens]
        if node.otherwise is not None:
            results.append(self.compile(node.otherwise))
        if all(e.type.kind == "null" for e in results):
            raise errors.error(8133, "At least one of the result expressions in a CASE specification must be an expression "
                                     "other than the NULL constant.")
        target, results = self.unify(results)
        default = results.pop().fn if node.otherwise is not None else (lambda r: None)
        pairs = list(zip(tests, [e.fn for e in results]))
        nullable = node.otherwise is None or any(e.nullable for e in results)

        def run(r: Any) -> Any:
            for test, result in pairs:
                if test(r):
                    return result(r)
            return default(r)

        return Ex(run, target, nullable)

    def unify(self, exprs: list[Ex]) -> tuple[SqlType, list[Ex]]:
        """All as their common type."""
        target, lit = exprs[0].type, exprs[0].lit
        for ex in exprs[1:]:
            first = lit
            lit = ex.lit if target.kind == "null" else lit if ex.type.kind == "null" else None
            target = types.wider(target, ex.type, first, ex.lit)
        return target, [coerce(e, target) for e in exprs]

    def c_Cast(self, node: nodes.Cast) -> Ex:
        arg = self.compile(node.arg)
        style: Optional[int] = None
        if node.style is not None:
            style_ex = coerce(self.compile(node.style), types.INT)
            if not style_ex.const:
                raise errors.argument("expression", 3, "convert")
            style = style_ex.fn(None)
            if style is None:
                return constant(None, node.type)
        if node.soft:
            return self._try_cast(arg, node.type, style)
        return coerce(arg, node.type, True, style)

    def _try_cast(self, arg: Ex, target: SqlType, style: Optional[int]) -> Ex:
        convert, fn = converter(arg.type, target, style, True), arg.fn

        def run(r: Any) -> Any:
            value = fn(r)
            if value is None:
                return None
            try:
                return convert(value)
            except errors.SqlError:
                return None

        return Ex(run, target, True)

    def c_Collate(self, node: nodes.Collate) -> Ex:
        arg = self.compile(node.arg)
        name = node.name.upper()
        sensitive = "_BIN" in name or "_CS" in name
        return Ex(arg.fn, arg.type, arg.nullable, arg.const, arg.lit, "bin" if sensitive else "ci")

    def c_AtZone(self, node: nodes.AtZone) -> Ex:
        from .func_date import at_zone
        return at_zone(self, self.compile(node.arg), self.compile(node.zone))

    def c_Func(self, node: nodes.Func) -> Ex:
        from .functions import call
        return call(self, node)


def is_condition(node: Expr) -> bool:
    return isinstance(node, BOOLEANS)
