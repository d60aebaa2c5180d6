# SPDX-License-Identifier: Apache-2.0
"""CREATE, ALTER and DROP of tables, indexes, schemas."""

from __future__ import annotations

from typing import Any

from ..contract import SqlError
from . import errors
from .nodes import (AlterTable, ColumnSpec, Constraint, CreateIndex, CreateSchema, CreateTable, Declare, Drop, TableSpec)
from .parse_media import MediaParser


class DdlParser(MediaParser):
    def create_table(self, line: int) -> CreateTable:
        name = self.dotted()
        spec = self.table_spec()
        if self.accept("ON"):
            self.name_or_string() if not self.is_("PRIMARY") else self.next()
        self.accept_all("TEXTIMAGE_ON", "PRIMARY")
        if self.is_("WITH") and self.ahead().text == "(":
            self.next()
            self.skip_parens()
        return CreateTable(name, spec, line=line)

    def table_spec(self) -> TableSpec:
        self.need("(")
        spec = TableSpec([], [])
        while True:
            if self.is_("CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"):
                spec.constraints.append(self.table_constraint())
            elif self.is_("INDEX"):
                self._inline_index()
            else:
                spec.columns.append(self.column())
            if not self.accept(","):
                break
            if self.is_(")"):
                break
        self.need(")")
        return spec

    def _inline_index(self) -> None:
        self.next()
        self.name()
        while not self.is_("("):
            self.need("UNIQUE", "CLUSTERED", "NONCLUSTERED")
        self.skip_parens()

    def column(self) -> ColumnSpec:
        line = self.tok.line
        column = ColumnSpec(self.name(), None, line=line)
        if self.accept("AS"):
            start = self.at
            self.expression()
            column.computed = self.text_of(start, self.at)
            self.accept("PERSISTED")
            return column
        column.type = self.data_type()
        while self._column_option(column):
            pass
        return column

    def _column_option(self, column: ColumnSpec) -> bool:
        if self.accept("COLLATE"):
            self.name()
        elif self.accept("NULL"):
            column.nullable = True
        elif self.accept_all("NOT", "NULL"):
            column.nullable = False
        elif self.accept("IDENTITY"):
            column.identity = self._identity()
        elif self.is_("NOT") and self.ahead().key == "FOR":
            self.at += 3
        elif self.accept("ROWGUIDCOL", "SPARSE"):
            pass
        else:
            return self._inline_constraint(column)
        return True

    def _identity(self) -> tuple[int, int]:
        if not self.accept("("):
            return 1, 1
        seed = self.integer()
        self.need(",")
        step = self.integer()
        self.need(")")
        return seed, step

    def _inline_constraint(self, column: ColumnSpec) -> bool:
        name = self.name() if self.accept("CONSTRAINT") else ""
        if self.accept("DEFAULT"):
            column.default, column.default_name = self._default(), name
        elif self.accept("PRIMARY"):
            self.need("KEY")
            self._index_words()
            column.constraints.append(Constraint("PRIMARY KEY", name, [column.name]))
        elif self.accept("UNIQUE"):
            self._index_words()
            column.constraints.append(Constraint("UNIQUE", name, [column.name]))
        elif self.accept("CHECK"):
            column.constraints.append(Constraint("CHECK", name, text=self._check(), column=column.name))
        elif self.is_("REFERENCES") or self.are("FOREIGN", "KEY", "REFERENCES"):
            self.accept_all("FOREIGN", "KEY")
            column.constraints.append(self._references(Constraint("FOREIGN KEY", name, [column.name], column=column.name)))
        elif name:
            raise self.wrong()
        else:
            return False
        return True

    def _default(self) -> str:
        start = self.at
        self.expression()
        return self.text_of(start, self.at)

    def _check(self) -> str:
        if self.accept("NOT"):
            self.at += 2
        self.need("(")
        start = self.at
        self.condition()
        text = self.text_of(start, self.at)
        self.need(")")
        return text

    def _index_words(self) -> None:
        self.accept("CLUSTERED", "NONCLUSTERED")
        if self.is_("WITH") and self.ahead().text == "(":
            self.next()
            self.skip_parens()
        if self.is_("ON") and self.ahead().kind in ("word", "ident"):
            self.at += 2

    def _key_columns(self) -> list[str]:
        self.need("(")
        found = []
        while True:
            found.append(self.name())
            self.accept("ASC", "DESC")
            if not self.accept(","):
                break
        self.need(")")
        return found

    def table_constraint(self) -> Constraint:
        name = self.name() if self.accept("CONSTRAINT") else ""
        kind = self.need("PRIMARY", "UNIQUE", "CHECK", "FOREIGN", "DEFAULT")
        if kind == "CHECK":
            return Constraint("CHECK", name, text=self._check())
        if kind == "DEFAULT":
            text = self._default()
            self.need("FOR")
            return Constraint("DEFAULT", name, text=text, column=self.name())
        if kind in ("PRIMARY", "FOREIGN"):
            self.need("KEY")
        if kind == "FOREIGN":
            return self._references(Constraint("FOREIGN KEY", name, self.names()))
        self.accept("CLUSTERED", "NONCLUSTERED")
        found = Constraint("PRIMARY KEY" if kind == "PRIMARY" else "UNIQUE", name, self._key_columns())
        self._index_words()
        return found

    def _references(self, constraint: Constraint) -> Constraint:
        self.need("REFERENCES")
        constraint.table = self.dotted(3)
        if self.is_("("):
            constraint.others = self.names()
        while self.accept("ON"):
            self.need("DELETE", "UPDATE")
            if self.is_("CASCADE") or self.is_("SET"):
                raise self.wrong()
            self.need("NO")
            self.need("ACTION")
        return constraint

    def alter_table(self, line: int) -> AlterTable:
        stmt = AlterTable(self.dotted(), [], [], line=line)
        if self.accept("WITH"):
            self.need("CHECK", "NOCHECK")
        self.need("ADD")
        while True:
            if self.is_("CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN", "DEFAULT"):
                stmt.constraints.append(self.table_constraint())
            else:
                stmt.columns.append(self.column())
            if not self.accept(","):
                return stmt

    def create_index(self, line: int) -> CreateIndex:
        unique = bool(self.accept("UNIQUE"))
        self.accept("CLUSTERED", "NONCLUSTERED")
        columnstore = self.accept("COLUMNSTORE")
        self.need("INDEX")
        name = self.name()
        self.need("ON")
        table = self.dotted(3)
        columns = self._key_columns() if self.is_("(") or not columnstore else []
        if self.accept("INCLUDE"):
            self.skip_parens()
        if self.accept("WHERE"):
            self.condition()
            unique = False
        self._index_words()
        return CreateIndex(name, table, columns, unique, line=line)

    def create_schema(self, line: int) -> CreateSchema:
        name = "" if self.is_("AUTHORIZATION") else self.name()
        owner = self.name() if self.accept("AUTHORIZATION") else ""
        return CreateSchema(name or owner, owner, line=line)

    def drop(self, kind: str, line: int) -> Drop:
        if_exists = self.accept_all("IF", "EXISTS")
        names = [self._drop_name(kind)]
        while self.accept(","):
            names.append(self._drop_name(kind))
        return Drop(kind, names, if_exists, line=line)

    def _drop_name(self, kind: str) -> list[str]:
        name = self.dotted(3)
        if kind == "INDEX" and self.accept("ON"):
            return [*self.dotted(3), *name]
        return name

    def declare(self) -> Declare:
        line = self.next().line
        items: list[tuple[str, Any, Any]] = []
        while True:
            name = self.variable()
            self.accept("AS")
            if self.is_("TABLE"):
                self.next()
                items.append((name, self.table_spec(), None))
            elif self.is_("CURSOR"):
                raise self.wrong()
            else:
                kind = self.data_type()
                items.append((name, kind, self.expression() if self.accept("=") else None))
            if not self.accept(","):
                return Declare(items, line=line)


def duplicate_column(name: str, table: str) -> SqlError:
    return errors.error(2705, f"Column names in each table must be unique. Column name '{name}' in table '{table}' is specified "
                              "more than once.", 3)
