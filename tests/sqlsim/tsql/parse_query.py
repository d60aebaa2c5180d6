# SPDX-License-Identifier: Apache-2.0
"""SELECT and what it is made of."""

from __future__ import annotations

from typing import Optional

from . import nodes, types
from .lexer import Token
from .nodes import Cte, Derived, Expr, Item, Join, Lit, Node, Query, Select, SetOp, Star, Table, TableFunc, TableVar, Values
from .parse_expr import ExprParser

HINTS = {"NOLOCK", "READUNCOMMITTED", "UPDLOCK", "HOLDLOCK", "ROWLOCK", "TABLOCK", "TABLOCKX", "PAGLOCK", "READPAST", "XLOCK",
         "SERIALIZABLE", "READCOMMITTED", "READCOMMITTEDLOCK", "REPEATABLEREAD", "NOWAIT", "INDEX", "FORCESEEK", "FORCESCAN",
         "NOEXPAND", "SNAPSHOT", "KEEPIDENTITY", "KEEPDEFAULTS", "IGNORE_CONSTRAINTS", "IGNORE_TRIGGERS"}
ASSIGN = ("=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=")


class QueryParser(ExprParser):
    def query(self) -> Query:
        """[WITH ctes] select [ORDER BY ...]"""
        ctes = self.ctes() if self.is_("WITH") else []
        found = Query(self._set(), ctes=ctes)
        if self.accept("ORDER"):
            self.need("BY")
            found.order = self.order_list()
            if self.accept("OFFSET"):
                found.offset = self.expression()
                self.need("ROW", "ROWS")
                if self.accept("FETCH"):
                    self.need("FIRST", "NEXT")
                    found.fetch = self.expression()
                    self.need("ROW", "ROWS")
                    self.need("ONLY")
        self.options()
        return found

    def options(self) -> None:
        """OPTION (...) changes plans, never results."""
        if self.is_("OPTION") and self.ahead().text == "(":
            self.next()
            self.skip_parens()

    def skip_parens(self) -> None:
        self.need("(")
        depth = 1
        while depth:
            if self.tok.kind == "end":
                raise self.wrong()
            token = self.next()
            depth += {"(": 1, ")": -1}.get(token.key, 0) if token.kind == "op" else 0

    def ctes(self) -> list[Cte]:
        self.need("WITH")
        found = []
        while True:
            name = self.name()
            columns = self.names() if self.is_("(") else []
            self.need("AS")
            self.need("(")
            found.append(Cte(name, columns, self.query()))
            self.need(")")
            if not self.accept(","):
                return found

    def _set(self) -> Node:
        left = self._intersect()
        while self.is_("UNION", "EXCEPT"):
            op = self.next().key
            if op == "UNION" and self.accept("ALL"):
                op = "UNION ALL"
            left = SetOp(op, left, self._intersect())
        return left

    def _intersect(self) -> Node:
        left = self._operand()
        while self.accept("INTERSECT"):
            left = SetOp("INTERSECT", left, self._operand())
        return left

    def _operand(self) -> Node:
        if self.accept("("):
            found = self._set()
            self.need(")")
            return found
        return self.select()

    def select(self) -> Select:
        self.need("SELECT")
        found = Select([])
        if self.accept("DISTINCT"):
            found.distinct = True
        else:
            self.accept("ALL")
        if self.accept("TOP"):
            found.top, found.percent = self.top()
            if self.is_("WITH") and self.ahead().key == "TIES":
                self.at += 2
                found.ties = True
        found.items = self.items()
        if self.accept("INTO"):
            found.into = self.dotted()
        if self.accept("FROM"):
            found.source = self.source()
        if self.accept("WHERE"):
            found.where = self.condition()
        if self.accept("GROUP"):
            self.need("BY")
            found.group.append(self.expression())
            while self.accept(","):
                found.group.append(self.expression())
        if self.accept("HAVING"):
            found.having = self.condition()
        return found

    def top(self) -> tuple[Expr, bool]:
        if self.accept("("):
            count = self.expression()
            self.need(")")
        elif self.tok.kind in ("num", "var"):
            token = self.next()
            count = Lit(token.value, types.of_number(token.value)) if token.kind == "num" else nodes.Var(token.text)
        else:
            raise self.wrong()
        return count, bool(self.accept("PERCENT"))

    def items(self) -> list[Item]:
        found = [self._item()]
        while self.accept(","):
            found.append(self._item())
        return found

    def _item(self) -> Item:
        if self.accept("*"):
            return Item(Star())
        if self.tok.kind == "var" and not self.tok.text.startswith("@@") and self.ahead().text in ASSIGN:
            name, op = self.next().text, self.next().text
            return Item(self.expression(), var=name, op=op)
        if (self.is_name() or self.tok.kind == "str") and self.ahead().text == "=" and self.ahead().kind == "op":
            alias = self.name_or_string()
            self.next()
            return Item(self.expression(), alias)
        expr = self.expression()
        if isinstance(expr, Star):
            return Item(expr)
        return Item(expr, self._alias())

    def _alias(self) -> str:
        if self.accept("AS"):
            return self.name_or_string()
        if self.is_name() or self.tok.kind == "str":
            return self.name_or_string()
        return ""

    # -- FROM -----------------------------------------------------------------------------------------------------------

    def source(self) -> Node:
        left = self._joined()
        while self.accept(","):
            left = Join("CROSS", left, self._joined())
        return left

    def _joined(self) -> Node:
        left = self._table()
        while True:
            kind = self._join_kind()
            if kind is None:
                return left
            if kind in ("CROSS", "CROSS APPLY", "OUTER APPLY"):
                left = Join(kind, left, self._table())
                continue
            right = self._table()
            while not self.is_("ON"):  # a JOIN b JOIN c ON .. ON ..
                inner = self._join_kind()
                if inner is None:
                    raise self.wrong()
                deeper = self._table()
                self.need("ON")
                right = Join(inner, right, deeper, self.condition())
            self.need("ON")
            left = Join(kind, left, right, self.condition())

    def _join_kind(self) -> Optional[str]:
        if self.accept_all("CROSS", "JOIN"):
            return "CROSS"
        if self.accept_all("CROSS", "APPLY"):
            return "CROSS APPLY"
        if self.accept_all("OUTER", "APPLY"):
            return "OUTER APPLY"
        start = self.at
        kind = self.accept("INNER", "LEFT", "RIGHT", "FULL")
        if kind in ("LEFT", "RIGHT", "FULL"):
            self.accept("OUTER")
        self.accept("HASH", "LOOP", "MERGE") if kind else None
        if self.accept("JOIN"):
            return kind or "INNER"
        if kind:
            raise self.wrong()
        self.at = start
        return None

    def _table(self) -> Node:
        if self.is_("("):
            return self._paren_table()
        if self.tok.kind == "var":
            found: Node = TableVar(self.variable())
            found.alias = self._table_alias() or found.name
            return found
        name = self.dotted()
        if self.is_("(") and not self._hints_follow():
            return self._table_function(name)
        found = Table(name)
        found.alias = self._table_alias()
        self.hints()
        if not found.alias:
            found.alias = self._table_alias()
        return found

    def _hints_follow(self) -> bool:
        return self.ahead().kind == "word" and self.ahead().key in HINTS and self.ahead(2).text in (")", ",")

    def hints(self) -> None:
        if self.is_("WITH") and self.ahead().text == "(":
            self.next()
            self.skip_parens()
        elif self.is_("(") and self._hints_follow():
            self.skip_parens()

    def _table_function(self, name: list[str]) -> TableFunc:
        self.need("(")
        found = TableFunc(name, [])
        if not self.is_(")"):
            found.args.append(self._function_argument())
            while self.accept(","):
                found.args.append(self._function_argument())
        self.need(")")
        found.alias = self._table_alias()
        if found.alias and self.is_("("):
            found.columns = self.names()
        return found

    def _function_argument(self) -> Expr:
        if self.accept("DEFAULT"):
            return Lit(None, types.NULL)
        return self.expression()

    def _paren_table(self) -> Node:
        self.need("(")
        if self.accept("VALUES"):
            query = Query(self.values())
        elif self.is_("SELECT", "WITH") or self._select_deeper():
            query = self.query()
        else:
            found = self.source()
            self.need(")")
            return found
        self.need(")")
        found = Derived(query, self._table_alias())
        if not found.alias:
            raise self.wrong()
        if self.is_("("):
            found.columns = self.names()
        return found

    def _select_deeper(self) -> bool:
        at = 0
        while self.ahead(at).text == "(":
            at += 1
        return self.ahead(at).key == "SELECT" and at > 0

    def values(self) -> Values:
        rows = [self._row()]
        while self.accept(","):
            rows.append(self._row())
        return Values(rows)

    def _row(self) -> list[Expr]:
        self.need("(")
        row = [self._cell()]
        while self.accept(","):
            row.append(self._cell())
        self.need(")")
        return row

    def _cell(self) -> Expr:
        if self.accept("DEFAULT"):
            return nodes.Func("DEFAULT", [])
        return self.expression()

    def _table_alias(self) -> str:
        if self.accept("AS"):
            return self.name_or_string()
        token: Token = self.tok
        if token.kind == "ident" or (token.kind == "word" and not token.reserved and token.key not in ("APPLY", "OFFSET")):
            return self.name()
        return ""
