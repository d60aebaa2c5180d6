# SPDX-License-Identifier: Apache-2.0
"""Expressions and conditions."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Optional

from ..contract import SqlError
from . import errors, types
from .nodes import (AtZone, Between, Binary, Case, Cast, Col, Collate, Compare, Distinct, Exists, Expr, Func, In, IsNull, Like, Lit,
                    Logic, Not, Query, Scalar, Star, Unary, Var, Window)
from .parse_base import Base

BOOLEANS = (Compare, Logic, Not, IsNull, In, Between, Like, Exists, Distinct)
COMPARISONS = ("=", "<>", "<", ">", "<=", ">=", "!<", "!>")
NILADIC = {"CURRENT_TIMESTAMP", "CURRENT_USER", "SESSION_USER", "SYSTEM_USER", "USER"}
KEYWORD_FUNCTIONS = {"LEFT", "RIGHT", "COALESCE", "NULLIF", "CONVERT", "TRY_CONVERT", "UPDATE", "CHECKSUM", "SCHEMA"}
DATE_PARTS_FIRST = {"DATEADD", "DATEDIFF", "DATEDIFF_BIG", "DATEPART", "DATENAME", "DATETRUNC"}


class ExprParser(Base):
    def query(self) -> Query:
        raise NotImplementedError

    # -- conditions -----------------------------------------------------------------------------------------------------

    def condition(self) -> Expr:
        found = self._or()
        if not isinstance(found, BOOLEANS):
            raise self._not_boolean()
        return found

    def _not_boolean(self) -> SqlError:
        token = self.tok
        near = token.value if token.kind == "end" else token.text
        return errors.at(SqlError(4145, "An expression of non-boolean type specified in a context where a condition is expected, "
                                        f"near '{near}'.", 1, 15), token.line)

    def _or(self) -> Expr:
        left = self._and()
        while self.is_("OR"):
            self._boolean(left)
            self.next()
            left = Logic("OR", left, self._boolean(self._and()))
        return left

    def _and(self) -> Expr:
        left = self._not()
        while self.is_("AND"):
            self._boolean(left)
            self.next()
            left = Logic("AND", left, self._boolean(self._not()))
        return left

    def _not(self) -> Expr:
        if self.accept("NOT"):
            return Not(self._boolean(self._not()))
        return self._predicate()

    def _boolean(self, node: Expr) -> Expr:
        if not isinstance(node, BOOLEANS):
            raise self._not_boolean()
        return node

    def _predicate(self) -> Expr:
        if self.is_("EXISTS") and self.ahead().text == "(":
            self.next()
            self.need("(")
            query = self.query()
            self.need(")")
            return Exists(query)
        if self.is_("(") and not (self.ahead().kind == "word" and self.ahead().key in ("SELECT", "WITH")):
            found = self._parenthesised()
            if found is not None:
                return found
        return self._tail(self.expression())

    def _parenthesised(self) -> Optional[Expr]:
        """( condition ), or None with nothing consumed when the parentheses belong to a value."""
        start = self.at
        try:
            self.need("(")
            found = self._or()
            self.need(")")
        except SqlError:
            if start + 1 < len(self.toks) and not self._value_follows(start):
                raise
            self.at = start
            return None
        if isinstance(found, BOOLEANS):
            return found
        self.at = start
        return None

    def _value_follows(self, start: int) -> bool:
        """Whether the text after the parenthesis at `start` can be parsed as a value: its own error is then the better one."""
        keep, self.at = self.at, start
        try:
            self.expression()
            return True
        except SqlError:
            return False
        finally:
            self.at = keep

    def _tail(self, left: Expr) -> Expr:
        token = self.tok
        if token.kind == "op" and token.key in COMPARISONS:
            op = {"!<": ">=", "!>": "<="}.get(self.next().key, token.key)
            quantifier = self.accept("ANY", "SOME", "ALL") or ""
            right = self.expression()
            if quantifier and not isinstance(right, Scalar):
                raise self.wrong()
            return Compare(op, left, right, "ANY" if quantifier == "SOME" else quantifier)
        if self.accept("IS"):
            negated = bool(self.accept("NOT"))
            if self.accept("DISTINCT"):
                self.need("FROM")
                return Distinct(left, self.expression(), negated)
            self.need("NULL")
            return IsNull(left, negated)
        negated = False
        if self.is_("NOT") and self.ahead().key in ("IN", "LIKE", "BETWEEN"):
            self.next()
            negated = True
        if self.accept("IN"):
            return self._in(left, negated)
        if self.accept("BETWEEN"):
            low = self.expression()
            self.need("AND")
            return Between(left, low, self.expression(), negated)
        if self.accept("LIKE"):
            pattern = self.expression()
            escape = self.expression() if self.accept("ESCAPE") else None
            return Like(left, pattern, escape, negated)
        return left

    def _in(self, left: Expr, negated: bool) -> Expr:
        self.need("(")
        if self.is_("SELECT", "WITH"):
            query = self.query()
            self.need(")")
            return In(left, [], query, negated)
        items = [self.expression()]
        while self.accept(","):
            items.append(self.expression())
        self.need(")")
        return In(left, items, None, negated)

    # -- values ---------------------------------------------------------------------------------------------------------

    def expression(self) -> Expr:
        left = self._product()
        while self.tok.kind == "op" and self.tok.key in ("+", "-", "&", "|", "^"):
            op = self.next().key
            left = Binary(op, left, self._product())
        return left

    def _product(self) -> Expr:
        left = self._unary()
        while self.tok.kind == "op" and self.tok.key in ("*", "/", "%"):
            op = self.next().key
            left = Binary(op, left, self._unary())
        return left

    def _unary(self) -> Expr:
        if self.tok.kind == "op" and self.tok.key in ("-", "+", "~"):
            op = self.next().key
            arg = self._unary()
            if op == "-" and isinstance(arg, Lit) and isinstance(arg.value, (int, float)) or (
                    op == "-" and isinstance(arg, Lit) and arg.type.kind in ("numeric", "money")):
                value = -arg.value
                return Lit(int(value), types.INT) if value == -2**31 and arg.type.scale == 0 else Lit(value, arg.type)
            return arg if op == "+" else Unary(op, arg)
        return self._postfix(self._primary())

    def _postfix(self, node: Expr) -> Expr:
        while True:
            if self.accept("COLLATE"):
                node = Collate(node, self.name() if not self.is_("DATABASE_DEFAULT") else self.next().text)
            elif self.are("AT", "TIME", "ZONE"):
                self.at += 3
                node = AtZone(node, self._primary())
            else:
                return node

    def _primary(self) -> Expr:
        token = self.tok
        if token.kind == "num":
            self.next()
            kind = types.of_number(token.value)
            return Lit(token.value if kind.kind != "numeric" else Decimal(token.value), kind)
        if token.kind == "str":
            self.next()
            return Lit(token.value, types.of_literal(token.value, token.wide))
        if token.kind == "var":
            self.next()
            return Var(token.text) if not token.text.startswith("@@") else Func(token.key, [], text=token.text)
        if token.kind == "money":
            self.next()
            return Lit(token.value, types.MONEY)
        if token.kind == "hex":
            self.next()
            return Lit(token.value, types.SqlType("varbinary", max(len(token.value), 1)))
        if self.accept("("):
            return self._inner()
        if token.kind == "word":
            return self._word()
        if token.kind == "ident":
            return self._reference()
        raise self.wrong()

    def _inner(self) -> Expr:
        if self.is_("SELECT", "WITH"):
            query = self.query()
            self.need(")")
            return Scalar(query)
        found = self.expression()
        self.need(")")
        return found

    def _word(self) -> Expr:
        token, key = self.tok, self.tok.key
        if key == "NULL":
            self.next()
            return Lit(None, types.NULL)
        if key == "CASE":
            return self._case()
        if key in NILADIC:
            self.next()
            return Func(key, [], text=token.text)
        if key in ("CAST", "TRY_CAST") and self.ahead().text == "(":
            return self._cast()
        if key in ("CONVERT", "TRY_CONVERT") and self.ahead().text == "(":
            return self._convert()
        if token.reserved and not (key in KEYWORD_FUNCTIONS and self.ahead().text == "("):
            if key == "IDENTITYCOL":
                self.next()
                return Col(["IDENTITYCOL"])
            raise self.wrong()
        if key in KEYWORD_FUNCTIONS and self.ahead().text == "(" and token.reserved:
            self.next()
            return self._call([token.text])
        return self._reference()

    def _reference(self) -> Expr:
        """A column or a function."""
        parts = [self.name()]
        while self.is_("."):
            self.next()
            if self.is_("*"):
                self.next()
                return Star(parts)
            if self.is_("."):
                parts.append("")
            else:
                parts.append(self.name())
        if self.is_("("):
            return self._call(parts)
        return Col(parts)

    def _call(self, parts: list[str]) -> Func:
        name, text = ".".join(parts).upper(), ".".join(parts)
        self.need("(")
        func = Func(name, [], text=text)
        if self.accept("*"):
            func.star = True
        elif not self.is_(")"):
            if self.accept("DISTINCT"):
                func.distinct = True
            else:
                self.accept("ALL")
            if name in DATE_PARTS_FIRST and self.tok.kind == "word":
                func.args.append(Lit(self.next().text.lower(), types.SYSNAME))
            elif name == "TRIM":
                self._trim(func)
            elif name == "IIF":
                func.args.append(self.condition())
            else:
                func.args.append(self.expression())
            while self.accept(","):
                func.args.append(self.expression())
        self.need(")")
        return self._after_call(func)

    def _trim(self, func: Func) -> None:
        """TRIM([LEADING|TRAILING|BOTH] chars FROM text)"""
        side = self.accept("LEADING", "TRAILING", "BOTH") or "BOTH"
        first = self.expression()
        if self.accept("FROM"):
            func.args = [self.expression(), first, Lit(side, types.SYSNAME)]
        else:
            func.args = [first]

    def _after_call(self, func: Func) -> Func:
        if self.is_("WITHIN") and self.ahead().key == "GROUP":
            self.at += 2
            self.need("(")
            self.need("ORDER")
            self.need("BY")
            func.within = self.order_list()
            self.need(")")
        if self.are("IGNORE", "NULLS") or self.are("RESPECT", "NULLS"):
            self.at += 2
        if self.accept("OVER"):
            func.over = self._window()
        return func

    def order_list(self) -> list[tuple[Expr, bool]]:
        found = []
        while True:
            expr = self.expression()
            descending = self.accept("ASC", "DESC") == "DESC"
            found.append((expr, descending))
            if not self.accept(","):
                return found

    def _window(self) -> Window:
        self.need("(")
        window = Window()
        if self.accept("PARTITION"):
            self.need("BY")
            window.partition.append(self.expression())
            while self.accept(","):
                window.partition.append(self.expression())
        if self.accept("ORDER"):
            self.need("BY")
            window.order = self.order_list()
        kind = self.accept("ROWS", "RANGE")
        if kind:
            if self.accept("BETWEEN"):
                start = self._bound()
                self.need("AND")
                window.frame = (kind, start, self._bound())
            else:
                window.frame = (kind, self._bound(), 0)
        self.need(")")
        return window

    def _bound(self) -> Any:
        """None is unbounded, a number of rows otherwise (negative is preceding)."""
        if self.accept("UNBOUNDED"):
            return ("-" if self.need("PRECEDING", "FOLLOWING") == "PRECEDING" else "+")
        if self.accept("CURRENT"):
            self.need("ROW")
            return 0
        count = self.integer()
        return -count if self.need("PRECEDING", "FOLLOWING") == "PRECEDING" else count

    def _case(self) -> Expr:
        self.need("CASE")
        arg = None if self.is_("WHEN") else self.expression()
        whens: list[tuple[Expr, Expr]] = []
        while self.accept("WHEN"):
            test = self.condition() if arg is None else self.expression()
            self.need("THEN")
            whens.append((test, self.expression()))
        if not whens:
            raise self.wrong()
        otherwise = self.expression() if self.accept("ELSE") else None
        self.need("END")
        return Case(arg, whens, otherwise)

    def _cast(self) -> Expr:
        soft = self.next().key == "TRY_CAST"
        self.need("(")
        arg = self.expression()
        self.need("AS")
        found = Cast(arg, self.data_type(True), None, soft)
        self.need(")")
        return found

    def _convert(self) -> Expr:
        soft = self.next().key == "TRY_CONVERT"
        self.need("(")
        target = self.data_type(True)
        self.need(",")
        arg = self.expression()
        style = self.expression() if self.accept(",") else None
        self.need(")")
        return Cast(arg, target, style, soft)
