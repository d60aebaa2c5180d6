# SPDX-License-Identifier: Apache-2.0
"""INSERT, UPDATE, DELETE, TRUNCATE and EXECUTE."""

from __future__ import annotations

from typing import Any, Optional

from . import nodes
from .nodes import Cte, Delete, ExecArg, ExecText, Execute, Expr, Func, Insert, Lit, Node, Query, Table, TableVar, Update, Var
from .parse_query import ASSIGN, QueryParser


class DmlParser(QueryParser):
    def _target(self) -> Node:
        if self.tok.kind == "var":
            return TableVar(self.variable())
        found = Table(self.dotted())
        self.hints()
        return found

    def _output(self, stmt: Any) -> None:
        """OUTPUT items [INTO target [(columns)]]"""
        if not self.accept("OUTPUT"):
            return
        stmt.output = self.items()
        if self.accept("INTO"):
            stmt.into = self._target()
            if self.is_("("):
                stmt.into_columns = self.names()

    def insert(self, ctes: list[Cte]) -> Insert:
        line = self.tok.line
        self.need("INSERT")
        top = self.top()[0] if self.accept("TOP") else None
        self.accept("INTO")
        stmt = Insert(self._target(), [], None, top=top, ctes=ctes, line=line)
        if self.is_("(") and not self.ahead().key == "SELECT":
            stmt.columns = self.names()
        self._output(stmt)
        if self.accept("DEFAULT"):
            self.need("VALUES")
        elif self.accept("VALUES"):
            stmt.source = Query(self.values())
        elif self.is_("EXEC", "EXECUTE"):
            stmt.source = self.execute()
        elif self.is_("SELECT", "(", "WITH"):
            stmt.source = self.query()
        else:
            raise self.wrong()
        self.options()
        return stmt

    def update(self, ctes: list[Cte]) -> Update:
        line = self.tok.line
        self.need("UPDATE")
        top, percent = self.top() if self.accept("TOP") else (None, False)
        stmt = Update(self._target(), [], top=top, percent=percent, ctes=ctes, line=line)
        self.need("SET")
        stmt.sets.append(self._set_clause())
        while self.accept(","):
            stmt.sets.append(self._set_clause())
        self._output(stmt)
        if self.accept("FROM"):
            stmt.source = self.source()
        if self.accept("WHERE"):
            stmt.where = self.condition()
        self.options()
        return stmt

    def _set_clause(self) -> tuple[list[str], str, str, Expr]:
        variable = ""
        if self.tok.kind == "var":
            variable = self.variable()
            op = self.need(*ASSIGN)
            if not (op == "=" and self.is_name() and self.ahead().text in ASSIGN):
                return [], variable, op, self.expression()
        column = self.dotted()
        op = self.need(*ASSIGN)
        value = Func("DEFAULT", []) if self.accept("DEFAULT") else self.expression()
        return column, variable, op, value

    def delete(self, ctes: list[Cte]) -> Delete:
        line = self.tok.line
        self.need("DELETE")
        top, percent = self.top() if self.accept("TOP") else (None, False)
        self.accept("FROM")
        stmt = Delete(self._target(), top=top, percent=percent, ctes=ctes, line=line)
        self._output(stmt)
        if self.accept("FROM"):
            stmt.source = self.source()
        if self.accept("WHERE"):
            stmt.where = self.condition()
        self.options()
        return stmt

    def truncate(self) -> nodes.Truncate:
        line = self.next().line
        self.need("TABLE")
        return nodes.Truncate(self.dotted(), line=line)

    # -- EXECUTE --------------------------------------------------------------------------------------------------------

    def execute(self) -> Any:
        line = self.next().line
        if self.accept("("):
            text = self.expression()
            self.need(")")
            return ExecText(text, line=line)
        status = ""
        if self.tok.kind == "var" and self.ahead().text == "=":
            status = self.variable()
            self.next()
        if self.tok.kind == "var":
            return self._by_variable(status, line)
        return Execute(self.dotted(), self.arguments(), status, line=line)

    def _by_variable(self, status: str, line: int) -> Execute:
        name = self.variable()
        return Execute([], self.arguments(), status, name, line=line)

    def arguments(self) -> list[ExecArg]:
        found: list[ExecArg] = []
        if not self._argument_follows():
            return found
        while True:
            name = ""
            if self.tok.kind == "var" and self.ahead().text == "=":
                name = self.next().text
                self.next()
            value = self._value()
            output = bool(self.accept("OUTPUT", "OUT"))
            found.append(ExecArg(name, value, output))
            if not self.accept(","):
                break
        if self.is_("WITH") and self.ahead().key in ("RECOMPILE", "RESULT"):
            self.at += 2
        return found

    def _argument_follows(self) -> bool:
        token = self.tok
        if token.kind in ("var", "str", "num", "hex", "money", "ident"):
            return True
        if token.kind == "op":
            return token.key == "-"
        return token.kind == "word" and (not token.reserved or token.key in ("NULL", "DEFAULT"))

    def _value(self) -> Optional[Expr]:
        """Arguments are constants, variables or bare words, never expressions."""
        token = self.tok
        if self.accept("DEFAULT"):
            return None
        if self.accept("NULL"):
            return Lit(None, nodes.SqlType("null"))
        if token.kind == "var":
            self.next()
            return Var(token.text) if not token.text.startswith("@@") else Func(token.key, [], text=token.text)
        if token.kind in ("str", "num", "hex", "money") or self.is_("-"):
            return self._unary()
        if token.kind in ("word", "ident") and not token.reserved:
            return Lit(".".join(self.dotted()), nodes.SqlType("nvarchar", 128))
        raise self.wrong()
