# SPDX-License-Identifier: Apache-2.0
"""Tables, indexes and schemas."""

from __future__ import annotations

import sqlite3
import uuid
from dataclasses import replace
from typing import Any, Optional

from ..contract import Column, TableDef
from . import curcmd, errors, nodes, types
from .compiler import Compiler
from .context import Context, Target
from .expr import Scope
from .parse_ddl import duplicate_column
from .parser import parse_condition, parse_expression
from .relations import named
from .storage import encoder, quote
from .tables import TableWriter, identity_key, used_identities

SYSTEM_SCHEMAS = {"dbo", "guest", "sys", "information_schema"}


def auto_name(prefix: str, table: str, column: str = "") -> str:
    tail = uuid.uuid4().hex.upper()
    table = table.split(".")[-1]
    if prefix == "PK":
        return f"PK__{table[:9]}__{tail[:16]}"
    if prefix == "UQ":
        return f"UQ__{table[:9]}__{tail[:16]}"
    return f"{prefix}__{table[:9]}__{column[:5]}__{tail[:8]}" if column else f"{prefix}__{table[:9]}__{tail[:8]}"


def run_ddl(tran: Any, sql: str) -> None:
    """A schema statement of the language's own; the engine logs it."""
    if hasattr(tran, "execute_ddl"):
        tran.execute_ddl(sql)
    else:
        tran.connection.execute(sql)


class DdlRunner:
    """Part of the executor."""

    session: Any
    emit: Any

    # -- CREATE TABLE ---------------------------------------------------------------------------------------------------

    def x_CreateTable(self, stmt: nodes.CreateTable) -> None:
        self._implicit(stmt)
        context = self.context()
        with self.session.tran.statement():
            database, name = self._new_name(context, stmt.name)
            table = self._definition(context, name, stmt.spec)
            self._make(database, table)
        self.done(curcmd.TABLE_CREATE)

    def _new_name(self, context: Context, parts: list[str]) -> tuple[Any, str]:
        """Where a new table goes, and its full name. 2714 when it is there."""
        if parts[-1].startswith("##"):
            raise errors.syntax(parts[-1])  # tables that sessions share are not simulated
        if parts[-1].startswith("#"):
            if context.find_table(parts) is not None:
                raise errors.error(2714, f"There is already an object named '{parts[-1]}' in the database.", 6)
            return self.session.temp, parts[-1]
        database = context.database_of(parts)
        self._may_create(database, "CREATE TABLE")
        schema = parts[-2] if len(parts) > 1 and parts[-2] else "dbo"
        if schema.lower() not in self._schemas(context, database):
            raise errors.error(2760, f'The specified schema name "{schema}" either does not exist or you do not have permission to use it.')
        if context.find_table(parts) is not None:
            raise errors.error(2714, f"There is already an object named '{parts[-1]}' in the database.", 6)
        return database, f"{'dbo' if schema.lower() == 'dbo' else schema}.{parts[-1]}"

    def _may_create(self, database: Any, right: str) -> None:
        security = getattr(self.session.engine, "security", None)
        if security is None or not hasattr(security, "can_in"):
            return
        if not security.can_in(self.session, database, right, ("db_ddladmin",)):
            raise errors.error(262, f"{right} permission denied in database '{database.name}'.", 1, 14)

    def _schemas(self, context: Context, database: Any) -> set[str]:
        with context.reading(database) as connection:
            found = connection.execute("SELECT name FROM \"sys.things\" WHERE kind='schema'").fetchall()
        return {n.lower() for (n,) in found} | {"dbo", "guest"}

    def _make(self, database: Any, table: TableDef) -> None:
        tran = self.session.tran.write(database)
        database.create_table(tran, table)
        used_identities(database).pop(identity_key(Target(database, table, table.name)), None)
        for name, columns, _ in table.uniques:
            self._unique_index(tran, table.name, name, columns)

    @staticmethod
    def _unique_index(tran: Any, table: str, name: str, columns: list[str], unique: bool = True) -> None:
        kind = "UNIQUE INDEX" if unique else "INDEX"
        run_ddl(tran, f"CREATE {kind} {quote(table + '|' + name)} ON {quote(table)} ({', '.join(quote(c) for c in columns)})")

    def make_table(self, context: Context, parts: list[str], columns: list[Column], identity: Optional[tuple[int, int]]) -> Target:
        """For SELECT INTO."""
        database, name = self._new_name(context, parts)
        table = TableDef(name, columns, identity)
        self._make(database, table)
        return Target(database, table, name)

    def _definition(self, context: Context, name: str, spec: nodes.TableSpec) -> TableDef:
        table = TableDef(name, [])
        constraints = [*spec.constraints, *(c for column in spec.columns for c in column.constraints)]
        primary = [c for c in constraints if c.kind == "PRIMARY KEY"]
        if len(primary) > 1:
            raise errors.error(8110, f"Cannot add multiple PRIMARY KEY constraints to table '{name.split('.')[-1]}'.", 0)
        keys = {c.lower() for p in primary for c in p.columns}
        for column in spec.columns:
            self._add_column(context, table, column, column.name.lower() in keys)
        for constraint in constraints:
            self._add_constraint(context, table, constraint)
        return table

    def _add_column(self, context: Context, table: TableDef, spec: nodes.ColumnSpec, key: bool) -> None:
        if any(c.name.lower() == spec.name.lower() for c in table.columns):
            raise duplicate_column(spec.name, table.name)
        if spec.computed is not None:
            scope = Scope(named(table.columns, tuple(table.name.lower().split("."))))
            ex = Compiler(context, scope).compile(parse_expression(spec.computed))
            table.columns.append(Column(spec.name, types.visible(ex.type), True))
            table.computed[spec.name] = spec.computed
            return
        kind = spec.type
        if spec.identity is not None:
            if kind.kind not in types.INTS and not (kind.kind in types.EXACT and kind.scale == 0):
                raise errors.error(2749, f"Identity column '{spec.name}' must be of data type int, bigint, smallint, tinyint, or decimal or "
                                         "numeric with a scale of 0, unencrypted, and constrained to be nonnullable.", 2)
            if table.identity is not None:
                raise errors.error(2744, f"Multiple identity columns specified for table '{table.name.split('.')[-1]}'. Only one identity "
                                         "column per table is allowed.", 2)
            table.identity = spec.identity
        if key and spec.nullable:
            raise errors.error(8111, f"Cannot define PRIMARY KEY constraint on nullable column in table '{table.name.split('.')[-1]}'.")
        nullable = False if key or spec.identity is not None else spec.nullable is not False
        if kind.kind == "timestamp":
            nullable = False
        table.columns.append(Column(spec.name, kind, nullable, spec.identity is not None))
        if spec.default is not None:
            Compiler(context).compile(parse_expression(spec.default))
            table.defaults[spec.name] = spec.default

    def _add_constraint(self, context: Context, table: TableDef, c: nodes.Constraint) -> None:
        known = {column.name.lower(): column.name for column in table.columns}
        for at, column in enumerate(c.columns):
            if column.lower() not in known:
                raise errors.error(1911, f"Column name '{column}' does not exist in the target table or view.")
            c.columns[at] = known[column.lower()]
        if c.kind == "PRIMARY KEY":
            table.primary_key, table.pk_name = list(c.columns), c.name or auto_name("PK", table.name)
        elif c.kind == "UNIQUE":
            table.uniques.append([c.name or auto_name("UQ", table.name), list(c.columns), "UNIQUE KEY"])
        elif c.kind == "CHECK":
            scope = Scope(named(table.columns, tuple(table.name.lower().split("."))))
            Compiler(context, scope).condition(parse_condition(c.text))
            table.checks.append([c.name or auto_name("CK", table.name, c.column), c.text, c.column])
        elif c.kind == "DEFAULT":
            if c.column.lower() not in known:
                raise errors.error(1911, f"Column name '{c.column}' does not exist in the target table or view.")
            table.defaults[known[c.column.lower()]] = c.text
        else:
            self._add_foreign(context, table, c)

    def _add_foreign(self, context: Context, table: TableDef, c: nodes.Constraint) -> None:
        parent = context.find_table(c.table)
        own = c.table[-1].lower() == table.name.split(".")[-1].lower()
        if parent is None and not own:
            name = c.name or auto_name("FK", table.name)
            raise errors.error(1767, f"Foreign key '{name}' references invalid table '{'.'.join(c.table)}'.", 0)
        definition = table if own else parent.table
        others = c.others or definition.primary_key
        keys = [definition.primary_key, *(u[1] for u in definition.uniques)]
        if sorted(o.lower() for o in others) not in [sorted(k.lower() for k in key) for key in keys]:
            raise errors.error(1776, f"There are no primary or candidate keys in the referenced table '{definition.name}' that match the "
                                     f"referencing column list in the foreign key '{c.name or 'FK'}'.", 0)
        table.foreign.append([c.name or auto_name("FK", table.name, c.columns[0]), list(c.columns), definition.name, list(others)])

    # -- table variables ------------------------------------------------------------------------------------------------

    def declare_table(self, name: str, spec: nodes.TableSpec) -> None:
        session = self.session
        session.table_number += 1
        inner = f"{name}|{session.table_number}"
        context = self.context()
        table = self._definition(context, inner, spec)
        session.table_variables.create_table(None, table)
        for unique, columns, _ in table.uniques:
            session.table_variables.connection.execute(
                f"CREATE UNIQUE INDEX {quote(inner + '|' + unique)} ON {quote(inner)} ({', '.join(quote(c) for c in columns)})")
        session.frame.variables[name.lower()] = Target(session.table_variables, table, inner)
        session.frame.tables.append(inner)

    # -- ALTER TABLE ----------------------------------------------------------------------------------------------------

    def x_AlterTable(self, stmt: nodes.AlterTable) -> None:
        self._implicit(stmt)
        context = self.context()
        found = context.find_table(stmt.name)
        if found is None:
            raise errors.error(4902, f'Cannot find the object "{".".join(stmt.name)}" because it does not exist or you do not have '
                                     "permissions.")
        context.permit(found, "ALTER")
        with self.session.tran.statement():
            tran = self.session.tran.write(found.database)
            table = self._copy(found.table)
            for column in stmt.columns:
                self._alter_add(context, tran, found, table, column)
            for constraint in [*stmt.constraints, *(c for column in stmt.columns for c in column.constraints)]:
                self._alter_constraint(context, tran, found, table, constraint)
            found.database.alter_table(tran, table)
        self.done(curcmd.TABLE_ALTER)

    @staticmethod
    def _copy(table: TableDef) -> TableDef:
        return replace(table, columns=list(table.columns), primary_key=list(table.primary_key), defaults=dict(table.defaults),
                       computed=dict(table.computed), checks=list(table.checks), uniques=list(table.uniques),
                       foreign=list(table.foreign))

    def _alter_add(self, context: Context, tran: Any, found: Target, table: TableDef, spec: nodes.ColumnSpec) -> None:
        if spec.identity is not None or spec.computed is not None:
            raise errors.syntax("IDENTITY" if spec.identity is not None else "AS", spec.line)
        filled = tran.connection.execute(f"SELECT 1 FROM {quote(found.name)} LIMIT 1").fetchone()
        if spec.nullable is False and spec.default is None and filled:
            raise errors.error(4901, "ALTER TABLE only allows columns to be added that can contain nulls, or have a DEFAULT definition "
                                     "specified, or the column being added is an identity or timestamp column, or alternatively if none "
                                     "of the previous conditions are satisfied the table must be empty to allow addition of this column. "
                                     f"Column '{spec.name}' cannot be added to non-empty table '{found.name.split('.')[-1]}' because it "
                                     "does not satisfy these conditions.")
        self._add_column(context, table, spec, False)
        found.database.alter_table(tran, table)
        if spec.default is not None and spec.nullable is False and filled:
            column = table.columns[-1]
            value = TableWriter(context, Target(found.database, table, found.name), self.session).default(column)()
            encode = encoder(column.type)
            tran.connection.execute(f"UPDATE {quote(found.name)} SET {quote(column.name)}=?",
                                    (value if encode is None or value is None else encode(value),))

    def _alter_constraint(self, context: Context, tran: Any, found: Target, table: TableDef, c: nodes.Constraint) -> None:
        if c.kind == "PRIMARY KEY" and (table.primary_key or any(u[2] == "PRIMARY KEY" for u in table.uniques)):
            raise errors.error(1779, f"Table '{found.name.split('.')[-1]}' already has a primary key defined on it.", 0)
        known = {column.name.lower(): column for column in table.columns}
        if c.kind == "PRIMARY KEY" and any(known[n.lower()].nullable for n in c.columns if n.lower() in known):
            raise errors.error(8111, f"Cannot define PRIMARY KEY constraint on nullable column in table '{found.name.split('.')[-1]}'.")
        if c.kind == "PRIMARY KEY":
            c = nodes.Constraint("UNIQUE", c.name or auto_name("PK", table.name), c.columns)
            self._add_constraint(context, table, c)
            table.uniques[-1][2] = "PRIMARY KEY"
        else:
            self._add_constraint(context, table, c)
        if c.kind == "UNIQUE":
            self._build_unique(tran, found, *table.uniques[-1])
        elif c.kind == "CHECK":
            self._check_rows(context, found, table)

    def _build_unique(self, tran: Any, found: Target, name: str, columns: list[str], kind: str) -> None:
        try:
            self._unique_index(tran, found.name, name, columns)
        except sqlite3.IntegrityError:
            raise errors.error(1505, f"The CREATE UNIQUE INDEX statement terminated because a duplicate key was found for the object name "
                                     f"'{found.name}' and the index name '{name}'.") from None

    def _check_rows(self, context: Context, found: Target, table: TableDef) -> None:
        name, text, column = table.checks[-1]
        scope = Scope(named(table.columns, tuple(found.name.lower().split("."))))
        test = Compiler(context, scope).condition(parse_condition(text))
        from .relations import TableRelation
        for row in TableRelation(context, found.database, table, found.name, (), None).rows():
            if test(row) is False:
                raise errors.check("ALTER TABLE", name, found.database.name, found.name, column)

    # -- indexes, schemas, DROP -----------------------------------------------------------------------------------------

    def x_CreateIndex(self, stmt: nodes.CreateIndex) -> None:
        context = self.context()
        found = context.find_table(stmt.table)
        if found is None:
            raise errors.error(1088, f'Cannot find the object "{".".join(stmt.table)}" because it does not exist or you do not have '
                                     "permissions.", 12)
        context.permit(found, "ALTER")
        known = {c.name.lower(): c.name for c in found.table.columns}
        for column in stmt.columns:
            if column.lower() not in known:
                raise errors.error(1911, f"Column name '{column}' does not exist in the target table or view.")
        if any(u[0].lower() == stmt.name.lower() for u in found.table.uniques):
            raise errors.error(1913, f"The operation failed because an index or statistics with name '{stmt.name}' already exists on table "
                                     f"'{found.name}'.")
        with self.session.tran.statement():
            tran = self.session.tran.write(found.database)
            columns = [known[c.lower()] for c in stmt.columns]
            if stmt.unique:
                self._build_unique(tran, found, stmt.name, columns, "INDEX")
                table = self._copy(found.table)
                table.uniques.append([stmt.name, columns, "INDEX"])
                found.database.alter_table(tran, table)
            elif columns:
                self._unique_index(tran, found.name, stmt.name, columns, False)
        self.done(curcmd.INDEX_CREATE)

    def x_CreateSchema(self, stmt: nodes.CreateSchema) -> None:
        context = self.context()
        database = context.engine.database(context.database, self.session)
        self._may_create(database, "CREATE SCHEMA")
        if stmt.name.lower() in self._schemas(context, database) | SYSTEM_SCHEMAS:
            raise errors.error(2714, f"There is already an object named '{stmt.name}' in the database.", 6)
        with self.session.tran.statement():
            tran = self.session.tran.write(database)
            tran.connection.execute("INSERT INTO \"sys.things\" VALUES ('schema', ?, ?)", (stmt.name, stmt.owner or "dbo"))
        self.done(curcmd.TABLE_CREATE)

    def x_Drop(self, stmt: nodes.Drop) -> None:
        if stmt.kind == "DATABASE":
            self.drop_databases(stmt)
            return
        for name in stmt.names:
            with self.session.tran.statement():
                {"TABLE": self._drop_table, "INDEX": self._drop_index, "SCHEMA": self._drop_schema}[stmt.kind](name, stmt)
        self.done(curcmd.TABLE_DROP)

    @staticmethod
    def _cannot_drop(kind: str, name: str) -> Exception:
        return errors.error(3701, f"Cannot drop the {kind} '{name}', because it does not exist or you do not have permission.", 5, 11)

    def _drop_table(self, parts: list[str], stmt: nodes.Drop) -> None:
        context = self.context()
        found = context.find_table(parts)
        if found is None:
            if stmt.if_exists:
                return
            raise self._cannot_drop("table", ".".join(parts))
        context.permit(found, "ALTER")
        for known, table in context.tables(found.database).items():
            if known != found.name and any(f[2] == found.name for f in table.foreign):
                raise errors.error(3726, f"Could not drop object '{'.'.join(parts)}' because it is referenced by a FOREIGN KEY constraint.")
        found.database.drop_table(self.session.tran.write(found.database), found.name)

    def _drop_index(self, parts: list[str], stmt: nodes.Drop) -> None:
        context = self.context()
        found = context.find_table(parts[:-1]) if len(parts) > 1 else None
        name = parts[-1]
        if found is None:
            if stmt.if_exists:
                return
            raise self._cannot_drop("index", ".".join(parts))
        with context.reading(found.database) as connection:
            known = connection.execute("SELECT name FROM sqlite_master WHERE type='index' AND name=? COLLATE NOCASE",
                                       (f"{found.name}|{name}",)).fetchone()
        if known is None:
            if stmt.if_exists:
                return
            raise self._cannot_drop("index", ".".join(parts))
        tran = self.session.tran.write(found.database)
        run_ddl(tran, f"DROP INDEX {quote(known[0])}")
        table = self._copy(found.table)
        table.uniques = [u for u in table.uniques if u[0].lower() != name.lower()]
        found.database.alter_table(tran, table)

    def _drop_schema(self, parts: list[str], stmt: nodes.Drop) -> None:
        context = self.context()
        database, name = context.engine.database(context.database, self.session), parts[-1]
        if name.lower() not in self._schemas(context, database) - {"dbo", "guest"}:
            if stmt.if_exists:
                return
            raise errors.error(15151, f"Cannot drop the schema '{name}', because it does not exist or you do not have permission.")
        if any(t.lower().startswith(name.lower() + ".") for t in context.tables(database)):
            raise errors.error(3729, f"Cannot drop schema '{name}' because it is being referenced by object.")
        tran = self.session.tran.write(database)
        tran.connection.execute("DELETE FROM \"sys.things\" WHERE kind='schema' AND name=? COLLATE NOCASE", (name,))

