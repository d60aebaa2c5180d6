# SPDX-License-Identifier: Apache-2.0
"""Runs statements: control of flow, errors, variables, SELECT."""

from __future__ import annotations

import decimal
import re
import sqlite3
import time
from typing import Any, Optional, Sequence

from ..contract import Columns, Done, Emit, EnvChange, Info, Param, Row, SessionKilled, SqlError
from . import curcmd, errors, nodes, ops, types
from .admin import AdminRunner
from .catalog_procs import CatalogRunner
from .compiler import Compiler
from .context import Context, Variable
from .convert import converter
from .ddl import DdlRunner
from .dml import DmlRunner
from .expr import Ex, coerce
from .message import substitute
from .nodes import Stmt
from .parser import parse
from .procs import ProcRunner

MAX_DEPTH = 32


class BatchEnd(Exception):
    """The batch is over; its errors have been sent. `scope`: only the text of the innermost EXEC is."""

    def __init__(self, scope: bool = False) -> None:
        super().__init__()
        self.scope = scope


class LoopBreak(Exception):
    pass


class LoopContinue(Exception):
    pass


class Returned(Exception):
    def __init__(self, value: int) -> None:
        super().__init__()
        self.value = value


class Executor(DmlRunner, DdlRunner, AdminRunner, ProcRunner, CatalogRunner):
    def __init__(self, session: Any, emit: Emit) -> None:
        self.session = session
        self.emit = emit
        self.result_open = False  # columns were sent, their DONE was not

    # -- batches --------------------------------------------------------------------------------------------------------

    def text(self, sql: str, frame: Any, nested: bool = False) -> int:
        """Runs a batch, or the text of EXEC('..') and sp_executesql. Returns the value of RETURN."""
        session = self.session
        try:
            statements = parse(sql, session.options.on("QUOTED_IDENTIFIER"))
        except SqlError as exc:
            if nested:
                exc.crossed = True
                raise
            self._send(exc, None)
            self.emit(Done(curcmd.NONE, error=True))
            return exc.error.number
        outer, database = session.frame, session.database
        session.frame = frame
        session.depth += 1
        try:
            if session.depth > MAX_DEPTH:
                raise errors.error(217, "Maximum stored procedure, function, trigger, or view nesting level exceeded (limit 32).")
            self.block(statements)
            return 0
        except Returned as done:
            return done.value
        except (LoopBreak, LoopContinue):
            return 0
        except BatchEnd as end:
            if not end.scope:
                raise
            return session.last_error
        finally:
            session.depth -= 1
            session.frame = outer
            self._drop_variables(frame)
            if nested and session.database != database:  # USE inside EXEC ends with it
                self.emit(EnvChange(1, database, session.database))
                session.database = database

    def _drop_variables(self, frame: Any) -> None:
        store_ = self.session.table_variables
        for name in frame.tables:
            store_.drop_table(None, name)
        frame.tables.clear()

    def block(self, statements: Sequence[Stmt]) -> None:
        for stmt in statements:
            self.run(stmt)

    def run(self, stmt: Stmt) -> None:
        session = self.session
        session.look()
        name = stmt.__class__.__name__
        try:
            getattr(self, "x_" + name)(stmt)
            if name not in FLOW:
                session.last_error = 0
        except SqlError as exc:
            self.failed(exc, stmt)
        except sqlite3.Error as exc:
            self.failed(from_sqlite(exc), stmt)
        except (decimal.DecimalException, OverflowError):
            self.failed(errors.overflow("numeric"), stmt)
        except RecursionError:
            self.failed(errors.error(8631, "Internal error: Server stack limit has been reached. Please look for potentially deep "
                                           "nesting in your query, and try to simplify it.", 1, 17), stmt)

    def context(self) -> Context:
        return Context(self.session)

    # -- errors ---------------------------------------------------------------------------------------------------------

    def failed(self, exc: SqlError, stmt: Stmt) -> None:
        """An error that a statement raised: to the CATCH around it, or to the client."""
        session, error = self.session, exc.error
        if not getattr(exc, "placed", False):
            exc.placed = True
            if error.line <= 1:
                error.line = stmt.line
        if error.cls >= 20:
            raise SessionKilled(error)
        session.last_error, session.row_count = error.number, 0
        frame, raised, thrown = session.frame, getattr(exc, "raised", False), getattr(exc, "thrown", False)
        compile_error = error.number in errors.COMPILE and not getattr(exc, "crossed", False)
        aborts = not raised and (session.options.on("XACT_ABORT") or (error.number in errors.BATCH_ROLLBACK and not thrown))
        if error.cls > 10 and (frame.tries or getattr(frame, "guarded", False)):
            if compile_error or not frame.tries:
                exc.skip, exc.crossed = frame, True  # not for a CATCH of this scope
            if compile_error and not getattr(frame, "guarded", False):
                exc.crossed = False
            else:
                session.tran.doomed = session.tran.doomed or (aborts and session.tran.count > 0)
                raise exc
        self.result_open = False
        self._send(exc, stmt)
        if aborts and session.tran.count:
            session.tran.abandon(self.emit)
        self.emit(Done(self._curcmd(stmt), error=True))
        if aborts or thrown or compile_error:
            raise BatchEnd(not (aborts or thrown))

    @staticmethod
    def _curcmd(stmt: Stmt) -> int:
        kinds = {"SelectStmt": curcmd.SELECT, "Insert": curcmd.INSERT, "Update": curcmd.UPDATE, "Delete": curcmd.DELETE,
                 "CreateDatabase": curcmd.DATABASE_CREATE, "AlterDatabase": curcmd.DATABASE_ALTER, "Use": curcmd.USE,
                 "CreateTable": curcmd.TABLE_CREATE, "Execute": curcmd.EXEC, "ExecText": curcmd.EXEC, "Commit": curcmd.COMMIT,
                 "Rollback": curcmd.ROLLBACK, "BeginTran": curcmd.BEGIN, "Dbcc": curcmd.DBCC, "Kill": curcmd.KILL}
        if isinstance(stmt, nodes.Media):
            return media_curcmd(stmt)
        if isinstance(stmt, nodes.Drop):
            return curcmd.DATABASE_DROP if stmt.kind == "DATABASE" else curcmd.TABLE_DROP
        return kinds.get(stmt.__class__.__name__, curcmd.NONE)

    def _send(self, exc: SqlError, stmt: Optional[Stmt]) -> None:
        error = exc.error
        self.session.last_error = error.number
        if error.cls <= 10:
            self.emit(Info(error.number, error.text, error.state, 0 if error.cls == 10 else error.cls, error.line, error.proc))
            return
        self.emit(error)
        for more in exc.also:
            more.line = error.line if more.line <= 1 else more.line
            self.emit(more)
            self.session.last_error = more.number
        if isinstance(stmt, (nodes.Insert, nodes.Update, nodes.Delete)) and error.number in STATEMENT_ENDED:
            self.emit(Info(3621, "The statement has been terminated.", 0, 0, error.line))

    def done(self, kind: int, count: Optional[int] = None) -> None:
        if count is not None:
            self.session.row_count = count
            if self.session.options.on("NOCOUNT"):
                count = None
        self.emit(Done(kind, count))

    # -- expressions ----------------------------------------------------------------------------------------------------

    def value(self, node: Any, target: Any = None) -> Any:
        """A value outside of any row."""
        ex = Compiler(self.context()).compile(node)
        return (coerce(ex, target, True) if target is not None else ex).fn(None)

    def name_of(self, node: Any) -> str:
        """A name, or a variable that holds one."""
        return str(self.value(node, types.SYSNAME) or "") if isinstance(node, nodes.Var) else node

    def test(self, node: Any) -> bool:
        return bool(Compiler(self.context()).condition(node)(None))

    # -- control of flow ------------------------------------------------------------------------------------------------

    def x_Block(self, stmt: nodes.Block) -> None:
        self.block(stmt.body)

    def x_If(self, stmt: nodes.If) -> None:
        self.block(stmt.then if self.test(stmt.condition) else stmt.otherwise)

    def x_While(self, stmt: nodes.While) -> None:
        while self.test(stmt.condition):
            self.session.look()
            try:
                self.block(stmt.body)
            except LoopBreak:
                return
            except LoopContinue:
                continue

    def x_Break(self, stmt: nodes.Break) -> None:
        raise LoopBreak()

    def x_Continue(self, stmt: nodes.Continue) -> None:
        raise LoopContinue()

    def x_Return(self, stmt: nodes.Return) -> None:
        raise Returned(self.value(stmt.value, types.INT) or 0 if stmt.value is not None else 0)

    def x_Try(self, stmt: nodes.Try) -> None:
        session = self.session
        frame, depth = session.frame, session.depth
        frame.tries += 1
        try:
            self.block(stmt.body)
            return
        except SqlError as exc:
            if getattr(exc, "skip", None) is frame:
                raise
            caught = exc
            if self.result_open:
                self.result_open = False
                self.emit(Done(curcmd.SELECT, 0))
        finally:
            frame.tries -= 1
        session.frame, session.depth = frame, depth
        keep, session.caught = session.caught, caught.error
        session.last_error = caught.error.number
        if caught.also:
            session.caught = caught.also[-1]
            session.last_error = session.caught.number
        try:
            self.block(stmt.handler)
        finally:
            session.caught = keep

    def x_Print(self, stmt: nodes.Print) -> None:
        text = self.value(stmt.value, types.NMAX)
        self.session.row_count = 0
        self.emit(Info(0, (text if text is not None else "")[:4000] or " ", 1, 0, stmt.line))

    def x_RaisError(self, stmt: nodes.RaisError) -> None:
        message = self.value(stmt.message)
        severity, state = self.value(stmt.severity, types.INT) or 0, self.value(stmt.state, types.INT)
        number = 50000
        if isinstance(message, int):
            number = message
            raise errors.error(18054, f"Error {number}, severity {severity}, state {state} was raised, but no message with that error "
                                      "number was found in sys.messages. If error is larger than 50000, make sure the user-defined "
                                      "message is added using sp_addmessage.", 1, 16)
        text = substitute(str(message or ""), [self.value(a) for a in stmt.args])[:2044]
        state = 1 if state is None or not 0 <= state <= 255 else state
        if severity > 18 and "LOG" not in stmt.options:
            raise errors.error(2754, "Error severity levels greater than 18 can only be specified by members of the sysadmin role, "
                                     "using the WITH LOG option.", 1, 16)
        if severity <= 10:
            self.emit(Info(number, text, state, 0 if severity == 10 else max(severity, 0), stmt.line))
            self.session.last_error = number if "SETERROR" in stmt.options else 0
            return
        exc = SqlError(number, text, state, severity)
        exc.raised = True
        raise exc

    def x_Throw(self, stmt: nodes.Throw) -> None:
        if stmt.number is None:
            caught = self.session.caught
            if caught is None:
                raise errors.error(10704, "To rethrow an error, a THROW statement must be used inside a CATCH block. Insert the THROW "
                                          "statement inside a CATCH block, or add error parameters to the THROW statement.", 1, 15)
            exc = SqlError(caught.number, caught.text, caught.state, caught.cls)
            exc.error.line, exc.error.proc = caught.line, caught.proc
            exc.placed = True
        else:
            number = self.value(stmt.number, types.INT)
            if number is None or number < 50000:
                raise errors.error(35100, f"Error number {number} in the THROW statement is outside the valid range. Specify an error "
                                          "number in the valid range of 50000 to 2147483647.", 1, 16)
            exc = SqlError(number, self.value(stmt.message, types.NMAX) or "", self.value(stmt.state, types.INT) or 1, 16)
        exc.thrown = exc.crossed = True
        raise exc

    def x_WaitFor(self, stmt: nodes.WaitFor) -> None:
        value = self.value(stmt.value)
        m = re.fullmatch(r"(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:[.:](\d{1,3}))?)?", str(value).strip()) if isinstance(value, str) else None
        if m is not None:
            seconds = int(m[1]) * 3600 + int(m[2]) * 60 + int(m[3] or 0) + int((m[4] or "0").ljust(3, "0")) / 1000
        elif hasattr(value, "hour"):
            seconds = value.hour * 3600 + value.minute * 60 + value.second + value.microsecond / 1e6
        else:
            raise errors.error(148, f"Incorrect time syntax in time string '{value}' used with WAITFOR.", 1, 15)
        if stmt.kind == "TIME":
            now = self.session.engine.now(self.session)
            seconds = (seconds - (now.hour * 3600 + now.minute * 60 + now.second + now.microsecond / 1e6)) % 86400
        end = time.monotonic() + seconds
        while True:
            self.session.look()
            left = end - time.monotonic()
            if left <= 0:
                break
            self.session.cancel.wait(min(left, 0.05))
        self.done(curcmd.NONE)

    # -- variables ------------------------------------------------------------------------------------------------------

    def x_Declare(self, stmt: nodes.Declare) -> None:
        frame = self.session.frame
        for name, kind, value in stmt.items:
            key = name.lower()
            if isinstance(kind, nodes.TableSpec):
                self.declare_table(name, kind)
                continue
            frame.variables[key] = Variable(kind)
            if value is not None:
                frame.variables[key].value = self.value_as(value, kind)

    def value_as(self, node: Any, kind: Any) -> Any:
        """Assignment: implicit conversion, silent truncation of text."""
        ex = Compiler(self.context()).compile(node)
        value = ex.fn(None)
        return None if value is None else converter(ex.type, kind)(value)

    def x_SetVar(self, stmt: nodes.SetVar) -> None:
        context = self.context()
        variable = context.variable(stmt.name)
        node = stmt.value if stmt.op == "=" else nodes.Binary(stmt.op[0], nodes.Var(stmt.name), stmt.value)
        variable.value = self.value_as(node, variable.type)
        self.session.row_count = 1
        self.done(curcmd.SET)

    def assign(self, outputs: list[Any], rows: Any) -> int:
        """SELECT @a = x, @b = y: once per row."""
        context = self.context()
        targets = []
        for out in outputs:
            if not out.var:
                raise errors.error(141, "A SELECT statement that assigns a value to a variable must not be combined with data-retrieval "
                                        "operations.", 1, 15)
            variable = context.variable(out.var)
            if out.op == "=":
                targets.append((variable, converter(out.ex.type, variable.type), None))
            else:
                current = Ex(lambda r, v=variable: v.value, variable.type)
                given: list[Any] = [None]
                joined = coerce(ops.binary(out.op[0], current, Ex(lambda r, g=given: g[0], out.ex.type)), variable.type)
                targets.append((variable, joined.fn, given))
        count = 0
        for row in rows:
            count += 1
            for value, (variable, convert, given) in zip(row, targets):
                if given is not None:
                    given[0] = value
                    variable.value = convert(None)
                else:
                    variable.value = None if value is None else convert(value)
        return count

    # -- SELECT ---------------------------------------------------------------------------------------------------------

    def x_SelectStmt(self, stmt: nodes.SelectStmt) -> None:
        query = stmt.query
        self._implicit(query)
        if isinstance(query.body, nodes.Select) and query.body.into is not None:
            self.select_into(query)
            return
        context = self.context()
        plan = context.plan(query, None)
        outputs = plan.outputs
        if any(o.var for o in outputs):
            # @total = @total + x reads the variable as it is after the row before: no collecting here.
            self._null_warning(context, self.assign(outputs, plan.rows()))
            return
        columns = plan.columns()
        if self.session.options.on("FMTONLY"):
            self.emit(Columns(columns))
            self.done(curcmd.SELECT, 0)
            return
        limit = self.session.options.row_limit
        self.emit(Columns(columns))
        self.result_open = True
        count = self._stream(iter(plan.rows()), limit)
        self.result_open = False
        self._null_warning(context, count)

    def _stream(self, rows: Any, limit: int) -> int:
        """Sends rows as they come: a failing row ends a result that has begun, as on the real server."""
        emit, count = self.emit, 0
        for row in rows:
            emit(Row(row))
            count += 1
            if not count % 256:
                self.session.look()
            if limit and count >= limit:
                break
        if hasattr(rows, "close"):
            rows.close()
        return count

    def _null_warning(self, context: Context, count: int) -> None:
        if context.null_seen and self.session.options.on("ANSI_WARNINGS"):
            self.emit(Info(8153, "Warning: Null value is eliminated by an aggregate or other SET operation.", 1, 0))
        self.done(curcmd.SELECT, count)

    def _implicit(self, node: Any) -> None:
        """SET IMPLICIT_TRANSACTIONS ON: the first statement that touches a table begins a transaction."""
        session = self.session
        if session.options.on("IMPLICIT_TRANSACTIONS") and not session.tran.count and (
                not isinstance(node, nodes.Query) or any(isinstance(n, nodes.Table) for n in nodes.walk(node))):
            session.tran.begin("", None, self.emit)

    # -- procedures from the wire ---------------------------------------------------------------------------------------

    def remote(self, proc: str, params: Sequence[Param]) -> int:
        """An RPC by name."""
        from .names import split_name
        frame = self.session.frame.__class__()
        args = []
        for at, param in enumerate(params):
            name = f"@__p{at}"
            frame.variables[name] = Variable(types.of_param(param), param.value)
            args.append(nodes.ExecArg(param.name, None if param.default else nodes.Var(name), param.output))
        outer, self.session.frame = self.session.frame, frame
        stmt = nodes.Execute(split_name(proc) or [proc], args, "@__status")
        frame.variables["@__status"] = Variable(types.INT, 0)
        try:
            try:
                self.execute_proc(stmt)
            except SqlError as exc:
                self.failed(exc, stmt)
                return exc.error.number
        finally:
            self.session.frame = outer
        for at, param in enumerate(params):
            if param.output:
                param.value = frame.variables[f"@__p{at}"].value
        return frame.variables["@__status"].value or 0


FLOW = {"Dbcc", "If", "While", "Block", "Try", "RaisError", "Break", "Continue"}
STATEMENT_ENDED = {515, 547, 2601, 2627, 2628, 8134, 8115, 220, 512, 8152, 1105, 9002, 217, 232, 517, 535, 536, 537, 244, 248,
                   1505, 3906}


def media_curcmd(stmt: nodes.Media) -> int:
    if stmt.verb == "BACKUP":
        return curcmd.BACKUP_LOG if stmt.what == "LOG" else curcmd.BACKUP_DATABASE
    return {"HEADERONLY": 250, "LABELONLY": 250, "FILELISTONLY": 376, "VERIFYONLY": 377}.get(stmt.what, curcmd.RESTORE)


def from_sqlite(exc: sqlite3.Error) -> SqlError:
    """What SQLite itself refuses. Constraint violations are found before; these are storage failures."""
    text = str(exc)
    if "full" in text:
        return errors.error(1105, "Could not allocate space for object in database because the 'PRIMARY' filegroup is full. Create disk "
                                  "space by deleting unneeded files, dropping objects in the filegroup, adding additional files to the "
                                  "filegroup, or setting autogrowth on for existing files in the filegroup.", 2, 17)
    return errors.error(823, f"The operating system returned error 1117(The request could not be performed because of an I/O device "
                             f"error.) to SQL Server during a read or write: {text}", 2, 24)
