# SPDX-License-Identifier: Apache-2.0
"""INSERT, UPDATE, DELETE, TRUNCATE, SELECT INTO."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Callable, Iterable, Optional

from ..contract import Column, Columns, Row, SqlType
from . import curcmd, errors, nodes, types
from .compiler import Compiler
from .context import Context, Target
from .convert import converter
from .expr import Scope, ScopeColumn
from .relations import ROWID, OneRow, RowsRelation, TableRelation, named
from .select import SelectPlan, has_aggregate
from .query import used_names
from .storage import quote
from .tables import TableWriter, identity_key, storer, used_identities


class DmlRunner:
    """Part of the executor."""

    session: Any
    emit: Any

    # -- INSERT ---------------------------------------------------------------------------------------------------------

    def x_Insert(self, stmt: nodes.Insert) -> None:
        self._implicit(stmt)
        context = self.context()
        context.planner.push_ctes(stmt.ctes)
        target = context.target(stmt.target, "INSERT")
        writer = TableWriter(context, target, self.session)
        names = writer.insert_columns(stmt.columns)
        with self.session.tran.statement():
            count = self._insert(stmt, context, target, writer, names)
        self._null_note(context)
        self.done(curcmd.INSERT, count)

    def _insert(self, stmt: nodes.Insert, context: Context, target: Target, writer: TableWriter, names: list[Column]) -> int:
        rows = self._insert_rows(stmt, context, writer, names)
        if stmt.top is not None:
            rows = list(rows)[:self.value(stmt.top, types.BIGINT)]
        output = Output(self, context, stmt, target, ("inserted",)) if stmt.output else None
        writer.open()
        count = 0
        for values in rows:
            stored = writer.insert(names, values)
            if output is not None:
                output.add(stored)
            count += 1
            if not count % 256:
                self.session.look()
        writer.finish_insert()
        if writer.identity_value is not None:
            self.session.identity = self.session.frame.identity = writer.identity_value
        elif count:
            self.session.frame.identity = self.session.identity = None if writer.has_identity else self.session.identity
        if output is not None:
            output.finish()
        return count

    def _insert_rows(self, stmt: nodes.Insert, context: Context, writer: TableWriter, names: list[Column]) -> Iterable[tuple]:
        """Rows in the order of `names`, values already of the columns' types."""
        if stmt.source is None:
            return [writer.defaults(names)]
        if isinstance(stmt.source, (nodes.Execute, nodes.ExecText)):
            columns, rows = self.captured(stmt.source)
            self._same_count(len(columns), names, stmt, "SELECT")
            fix = [storer(c.type, n, writer.target) for c, n in zip(columns, names)]
            return [_apply(fix, row) for row in rows]
        body = stmt.source.body
        if isinstance(body, nodes.Values):
            return self._values(stmt, context, writer, names)
        plan = context.plan(stmt.source, None)
        self._same_count(len(plan.outputs), names, stmt, "SELECT")
        fix = [storer(o.ex.type, n, writer.target) for o, n in zip(plan.outputs, names)]
        rows = plan.rows()
        if any(isinstance(n, (nodes.Table, nodes.TableVar)) for n in nodes.walk(stmt.source)):
            rows = list(rows)  # the statement must not see its own rows
        return (_apply(fix, row) for row in rows)

    def _values(self, stmt: nodes.Insert, context: Context, writer: TableWriter, names: list[Column]) -> Iterable[tuple]:
        compiler, rows = Compiler(context), []
        for row in stmt.source.body.rows:
            self._same_count(len(row), names, stmt)
            cells = []
            for node, column in zip(row, names):
                if isinstance(node, nodes.Func) and node.name == "DEFAULT":
                    cells.append(writer.default(column))
                    continue
                ex = compiler.compile(node)
                fn, fix = ex.fn, storer(ex.type, column, writer.target)
                cells.append(_cell(fn, fix))
            rows.append(cells)
        return (tuple(cell() for cell in cells) for cells in rows)

    @staticmethod
    def _same_count(given: int, names: list[Column], stmt: nodes.Insert, what: str = "VALUES") -> None:
        if given == len(names):
            return
        if not stmt.columns:
            raise errors.error(213, "Column name or number of supplied values does not match table definition.", 1)
        more, number = ("fewer", 110 if what == "VALUES" else 121) if given > len(names) else ("more", 109 if what == "VALUES" else 120)
        if what == "VALUES":
            text = (f"There are {more} columns in the INSERT statement than values specified in the VALUES clause. The number of values in "
                    "the VALUES clause must match the number of columns specified in the INSERT statement.")
        else:
            other = "more" if more == "fewer" else "fewer"
            text = (f"The select list for the INSERT statement contains {other} items than the insert list. The number of SELECT values "
                    "must match the number of INSERT columns.")
        raise errors.error(number, text, 1, 15)

    # -- UPDATE and DELETE ----------------------------------------------------------------------------------------------

    def _find(self, stmt: Any, right: str) -> tuple[Context, Target, int, Scope, list[tuple]]:
        """The rows that UPDATE or DELETE touches: context, target, the target's relation within `scope`, all rows."""
        context = self.context()
        context.planner.push_ctes(stmt.ctes)
        cte = self._target_cte(stmt)
        if cte is not None:
            return self._find_through(cte, stmt, context, right)
        node, source = self._target_node(stmt)
        target = context.target(node, right)
        self.session.tran.write(target.database)
        used = used_names(stmt)
        if used is not None:
            used |= {c.name.lower() for c in target.table.columns}
        relation = context.planner.relation(source, None, used, node)
        rows, scope = self._matching(stmt, context, relation)
        return context, target, self._place(relation), scope, rows

    @staticmethod
    def _target_cte(stmt: Any) -> Optional[nodes.Cte]:
        """WITH x AS (SELECT .. FROM one table) DELETE FROM x"""
        name = stmt.target.name
        for cte in stmt.ctes:
            body = cte.query.body
            if (name == [name[-1]] and cte.name.lower() == name[-1].lower() and stmt.source is None and isinstance(body, nodes.Select)
                    and isinstance(body.source, (nodes.Table, nodes.TableVar)) and not body.group and not body.distinct):
                return cte
        return None

    def _find_through(self, cte: nodes.Cte, stmt: Any, context: Context, right: str) -> tuple[Context, Target, int, Scope, list[tuple]]:
        """As _find(), for a target that is a common table expression: its rows carry the row number along."""
        body = cte.query.body
        target = context.target(body.source, right)
        self.session.tran.write(target.database)
        inner = context.planner.relation(body.source, None, None, body.source)
        select = replace(body, items=[*body.items, nodes.Item(nodes.Col([ROWID]), ROWID)])
        plan = SelectPlan(context, select, inner, Scope([]), cte.query.order, cte.query.offset, cte.query.fetch)
        columns = named(plan.columns(), (cte.name.lower(),))
        for column, alias in zip(columns, cte.columns):
            column.name, column.key = alias, alias.lower()
        columns[-1].hidden = True
        relation = RowsRelation(columns, plan.rows)
        rows, scope = self._matching(stmt, context, relation)
        return context, target, self._place(relation), scope, rows

    @staticmethod
    def _target_node(stmt: Any) -> tuple[Any, Any]:
        """The table node in FROM that the statement's target means, and the whole FROM."""
        node = stmt.target
        if stmt.source is None:
            return node, node
        if isinstance(node, nodes.Table) and len(node.name) == 1:
            for found in nodes.walk(stmt.source):
                if isinstance(found, (nodes.Table, nodes.TableVar)) and found.alias.lower() == node.name[0].lower():
                    return found, stmt.source
        for found in nodes.walk(stmt.source):
            if isinstance(found, node.__class__) and _last(found) == _last(node):
                return found, stmt.source
        return node, nodes.Join("CROSS", node, stmt.source)

    def _matching(self, stmt: Any, context: Context, relation: Any) -> tuple[list[tuple], Scope]:
        scope = Scope(relation.columns)
        compiler = Compiler(context, scope)
        rows: Iterable[tuple] = ()
        if stmt.where is not None:
            where = compiler.condition(stmt.where)
            if isinstance(relation, TableRelation):
                relation.push(stmt.where, compiler)
            rows = (row for row in relation.rows() if where(row))
        else:
            rows = relation.rows()
        found = list(rows)
        if stmt.top is not None:
            top = self.value(stmt.top, types.FLOAT if stmt.percent else types.BIGINT)
            found = found[:int(-(-len(found) * top // 100)) if stmt.percent else top]
        return found, scope

    @staticmethod
    def _place(relation: Any) -> int:
        """Where the target's row number is in a row."""
        return next(c.index for c in relation.columns if c.name == ROWID)

    def x_Update(self, stmt: nodes.Update) -> None:
        self._implicit(stmt)
        with self.session.tran.statement():
            count = self._update(stmt)
        self.done(curcmd.UPDATE, count)

    def _update(self, stmt: nodes.Update) -> int:
        context, target, place, scope, rows = self._find(stmt, "UPDATE")
        writer = TableWriter(context, target, self.session)
        compiler = Compiler(context, scope)
        sets = [self._set(clause, compiler, writer) for clause in stmt.sets]
        names = [column for column, _, _ in sets if column is not None]
        if len({c.name for c in names}) < len(names):
            raise errors.error(264, f"The column name '{names[0].name}' is specified more than once in the SET clause or column list of "
                                    "an INSERT. A column cannot be assigned more than one value in the same clause. Modify the clause to "
                                    "make sure that a column is updated only once. If this statement updates or inserts columns into a "
                                    "view, column aliasing can conceal the duplication in your code.")
        output = Output(self, context, stmt, target, ("deleted", "inserted"), scope) if stmt.output else None
        writer.open()
        seen: set[int] = set()
        changes = []
        for row in rows:
            number = row[place]
            if number in seen or number is None:
                continue
            seen.add(number)
            values = []
            for column, variable, fn in sets:
                value = fn(row)
                if variable is not None:
                    variable.value = value
                if column is not None:
                    values.append(value)
            changes.append((number, values, row))
        for at, (number, values, row) in enumerate(changes):
            old = writer.row(number) if output is not None or writer.needs_old else None
            new = writer.update(number, names, values, old)
            if output is not None:
                output.add(old, new, source=row)
            if not at % 256:
                self.session.look()
        writer.finish_update()
        if output is not None:
            output.finish()
        return len(changes)

    def _set(self, clause: Any, compiler: Compiler, writer: TableWriter) -> tuple[Optional[Column], Any, Callable]:
        parts, variable_name, op, node = clause
        context = compiler.ctx
        variable = context.variable(variable_name) if variable_name else None
        column = writer.column(parts[-1]) if parts else None
        if column is not None and column.identity:
            raise errors.error(8102, f"Cannot update identity column '{column.name}'.")
        if isinstance(node, nodes.Func) and node.name == "DEFAULT":
            return column, variable, lambda row, fn=writer.default(column): fn()
        if op != "=":
            left = nodes.Col(parts) if parts else nodes.Var(variable_name)
            node = nodes.Binary(op[0], left, node)
        if has_aggregate(node):
            raise errors.error(157, "An aggregate may not appear in the set list of an UPDATE statement.", 1, 15)
        ex = compiler.compile(node)
        fix = storer(ex.type, column, writer.target) if column is not None else converter(ex.type, variable.type)
        fn = ex.fn

        def run(row: tuple) -> Any:
            value = fn(row)
            return None if value is None else fix(value)

        return column, variable, run

    def x_Delete(self, stmt: nodes.Delete) -> None:
        self._implicit(stmt)
        with self.session.tran.statement():
            context, target, place, scope, rows = self._find(stmt, "DELETE")
            writer = TableWriter(context, target, self.session)
            output = Output(self, context, stmt, target, ("deleted",), scope) if stmt.output else None
            writer.open()
            numbers = list(dict.fromkeys(row[place] for row in rows if row[place] is not None))
            sources = {row[place]: row for row in rows} if output is not None else {}
            for at, number in enumerate(numbers):
                if output is not None:
                    output.add(writer.row(number), source=sources[number])
                writer.delete(number)
                if not at % 256:
                    self.session.look()
            if output is not None:
                output.finish()
        self.done(curcmd.DELETE, len(numbers))

    def x_Truncate(self, stmt: nodes.Truncate) -> None:
        self._implicit(stmt)
        context = self.context()
        found = context.find_table(stmt.table)
        if found is None:
            raise errors.error(4701, f"Cannot find the object \"{stmt.table[-1]}\" because it does not exist or you do not have "
                                     "permissions.")
        context.permit(found, "ALTER")
        with self.session.tran.statement():
            tran = self.session.tran.write(found.database)
            tran.connection.execute(f"DELETE FROM {quote(found.name)}")
            if found.table.identity is not None:
                tran.note_identity(found.name, None)
                used_identities(found.database).pop(identity_key(found), None)
        self.done(curcmd.TRUNCATE)

    # -- SELECT INTO ----------------------------------------------------------------------------------------------------

    def select_into(self, query: nodes.Query) -> None:
        context = self.context()
        plan = context.plan(query, None)
        name = query.body.into
        columns = []
        for at, column in enumerate(plan.columns(), 1):
            if not column.name:
                raise errors.error(1038, "An object or column name is missing or empty. For SELECT INTO statements, verify each column "
                                         "has a name. For other statements, look for empty alias names. Aliases defined as \"\" or [] are "
                                         "not allowed. Change the alias to a valid name.", 5, 15)
            columns.append(Column(column.name, _kept(column.type), column.nullable, column.identity))
        with self.session.tran.statement():
            rows = list(plan.rows())
            target = self.make_table(context, name, columns, (1, 1) if any(c.identity for c in columns) else None)
            writer = TableWriter(context, target, self.session, keep_identity=True)
            writer.open()
            for at, row in enumerate(rows):
                writer.insert(columns, row)
                if not at % 256:
                    self.session.look()
            writer.finish_insert()
        self._null_note(context)
        self.done(curcmd.INTO, len(rows))

    def _null_note(self, context: Context) -> None:
        context.null_seen = False


def _kept(t: SqlType) -> SqlType:
    return types.visible(t)


def _last(node: Any) -> str:
    return (node.name if isinstance(node.name, str) else node.name[-1]).lower()


def _cell(fn: Callable, fix: Callable) -> Callable[[], Any]:
    def run() -> Any:
        value = fn(None)
        return None if value is None else fix(value)

    return run


def _apply(fix: list[Callable], row: Iterable[Any]) -> tuple:
    return tuple(None if v is None else f(v) for f, v in zip(fix, row))


class Output:
    """The OUTPUT clause: items over inserted.* and deleted.*, and the columns of FROM."""

    def __init__(self, runner: Any, context: Context, stmt: Any, target: Target, images: tuple[str, ...],
                 scope: Optional[Scope] = None) -> None:
        self.runner, self.context = runner, context
        columns: list[ScopeColumn] = []
        for image in images:
            for c in target.table.columns:
                columns.append(ScopeColumn(c.name, (image,), len(columns), c.type, c.nullable, c.identity))
        width = len(columns)
        for c in scope.columns if scope is not None and stmt.source is not None else ():
            columns.append(ScopeColumn(c.name, c.quals, width + c.index, c.type, c.nullable))
        select = nodes.Select(self._items(stmt.output, images))
        relation = OneRow()
        relation.columns = columns
        for column in columns[width:]:
            column.hidden = True
        self.plan = SelectPlan(context, select, relation, None, [], None, None)
        self.into = None
        if stmt.into is not None:
            into = context.target(stmt.into, "INSERT")
            self.into = TableWriter(context, into, runner.session)
            self.names = self.into.insert_columns(stmt.into_columns)
            self.fix = [storer(o.ex.type, n, into) for o, n in zip(self.plan.outputs, self.names)]
        self.rows: list[tuple] = []

    @staticmethod
    def _items(items: list[nodes.Item], images: tuple[str, ...]) -> list[nodes.Item]:
        for item in items:
            for node in nodes.walk(item.expr):
                if isinstance(node, (nodes.Col, nodes.Star)) and node.parts and node.parts[0].lower() in ("inserted", "deleted") \
                        and node.parts[0].lower() not in images:
                    raise errors.not_bound(".".join(node.parts))
        return items

    def add(self, *images: Any, source: tuple = ()) -> None:
        row = tuple(v for image in images for v in image) + tuple(source)
        self.rows.append(tuple(o.ex.fn(row) for o in self.plan.outputs))

    def finish(self) -> None:
        if self.into is not None:
            self.into.open()
            for row in self.rows:
                self.into.insert(self.names, _apply(self.fix, row))
            self.into.finish_insert()
            return
        self.runner.emit(Columns(self.plan.columns()))
        for row in self.rows:
            self.runner.emit(Row(row))

