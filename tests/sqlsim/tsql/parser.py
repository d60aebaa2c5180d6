# SPDX-License-Identifier: Apache-2.0
"""Batches: statements and control of flow."""

from __future__ import annotations

import functools
from typing import Any, Callable, Optional

from ..contract import SqlError
from . import errors, nodes, types
from .nodes import Expr, Stmt
from .parse_admin import AdminParser
from .parse_query import ASSIGN

SET_SWITCHES = {"NOCOUNT", "XACT_ABORT", "IMPLICIT_TRANSACTIONS", "QUOTED_IDENTIFIER", "ANSI_NULLS", "ANSI_PADDING",
                "ANSI_WARNINGS", "ARITHABORT", "ARITHIGNORE", "CONCAT_NULL_YIELDS_NULL", "NUMERIC_ROUNDABORT", "ANSI_DEFAULTS",
                "ANSI_NULL_DFLT_ON", "ANSI_NULL_DFLT_OFF", "CURSOR_CLOSE_ON_COMMIT", "FMTONLY", "NOEXEC", "PARSEONLY",
                "SHOWPLAN_ALL", "SHOWPLAN_TEXT", "SHOWPLAN_XML", "NO_BROWSETABLE", "REMOTE_PROC_TRANSACTIONS", "FORCEPLAN"}
NOT_HERE = {"MERGE", "OPEN", "FETCH", "CLOSE", "DEALLOCATE", "READTEXT", "WRITETEXT", "UPDATETEXT", "BULK", "SETUSER"}
OBJECTS_NOT_HERE = {"PROCEDURE", "PROC", "FUNCTION", "TRIGGER", "VIEW", "TYPE", "SEQUENCE", "SYNONYM", "ASSEMBLY", "QUEUE", "SERVICE",
                    "CONTRACT", "MESSAGE", "STATISTICS", "FULLTEXT", "PARTITION", "AVAILABILITY", "ENDPOINT", "EVENT"}
WORD_STATEMENTS = {"THROW"}


class Parser(AdminParser):
    def batch(self) -> list[Stmt]:
        found: list[Stmt] = []
        while self.accept(";"):
            pass
        first = True
        while self.tok.kind != "end":
            self._check_with(not first)
            if first and self._procedure_call():
                stmt: Optional[Stmt] = self._bare_call()
            else:
                stmt = self.statement()
            first = False
            found.append(stmt)
            while self.accept(";"):
                pass
        return found

    def _check_with(self, later: bool) -> None:
        """WITH in the middle of a batch needs a semicolon before it."""
        if later and self.is_("WITH") and self.toks[self.at - 1].text != ";":
            raise self.wrong()

    def _procedure_call(self) -> bool:
        """A batch may begin with the name of a procedure."""
        token = self.tok
        if not self.is_name() or token.key in WORD_STATEMENTS:
            return False
        return not (token.kind == "word" and self.ahead().text == ":")

    def _bare_call(self) -> Stmt:
        line = self.tok.line
        return nodes.Execute(self.dotted(), self.arguments(), line=line)

    def statement(self) -> Stmt:
        token = self.tok
        if token.kind != "word":
            raise self.wrong()
        if token.key == "WITH":
            return self._with()
        handler: Optional[Callable[[], Stmt]] = getattr(self, "_s_" + token.key.lower(), None)
        if handler is None:
            raise errors.unsupported(token.key, token.line) if token.key in NOT_HERE else self.wrong()
        return handler()

    def _with(self) -> Stmt:
        start = self.at
        ctes = self.ctes()
        if self.is_("SELECT", "("):
            self.at = start
            return self._s_select()
        if self.is_("INSERT"):
            return self.insert(ctes)
        if self.is_("UPDATE"):
            return self.update(ctes)
        if self.is_("DELETE"):
            return self.delete(ctes)
        raise self.wrong()

    # -- queries and rows -----------------------------------------------------------------------------------------------

    def _s_select(self) -> Stmt:
        line = self.tok.line
        return nodes.SelectStmt(self.query(), line=line)

    def _s_insert(self) -> Stmt:
        return self.insert([])

    def _s_update(self) -> Stmt:
        if self.ahead().key == "STATISTICS":
            line = self.next().line
            self.next()
            return nodes.Dbcc("UPDATE STATISTICS", [self.dotted()], [], line=line)
        return self.update([])

    def _s_delete(self) -> Stmt:
        return self.delete([])

    def _s_truncate(self) -> Stmt:
        return self.truncate()

    # -- flow -----------------------------------------------------------------------------------------------------------

    def _body(self) -> list[Stmt]:
        while self.accept(";"):
            pass
        return [self.statement()]

    def _s_if(self) -> Stmt:
        line = self.next().line
        condition = self.condition()
        then = self._body()
        otherwise: list[Stmt] = []
        keep = self.at
        while self.accept(";"):
            pass
        if self.accept("ELSE"):
            otherwise = self._body()
        else:
            self.at = keep
        return nodes.If(condition, then, otherwise, line=line)

    def _s_while(self) -> Stmt:
        line = self.next().line
        condition = self.condition()
        return nodes.While(condition, self._body(), line=line)

    def _until(self, *end: str) -> list[Stmt]:
        found = []
        while self.accept(";"):
            pass
        while not self.are(*end):
            self._check_with(bool(found))
            found.append(self.statement())
            while self.accept(";"):
                pass
        self.at += len(end)
        return found

    def _s_begin(self) -> Stmt:
        line = self.next().line
        if self.accept("TRAN", "TRANSACTION"):
            return self._begin_tran(line)
        if self.accept("TRY"):
            body = self._until("END", "TRY")
            self.accept(";")
            self.need("BEGIN")
            self.need("CATCH")
            return nodes.Try(body, self._until("END", "CATCH"), line=line)
        if self.is_("DISTRIBUTED"):
            raise self.wrong()
        body = self._until("END")
        if not body:
            raise self.wrong(self.toks[self.at - 1])
        return nodes.Block(body, line=line)

    def _s_break(self) -> Stmt:
        return nodes.Break(line=self.next().line)

    def _s_continue(self) -> Stmt:
        return nodes.Continue(line=self.next().line)

    def _s_return(self) -> Stmt:
        line = self.next().line
        token = self.tok
        has_value = token.kind in ("num", "var") or self.is_("-", "(")
        return nodes.Return(self.expression() if has_value else None, line=line)

    def _s_print(self) -> Stmt:
        line = self.next().line
        return nodes.Print(self.expression(), line=line)

    def _s_raiserror(self) -> Stmt:
        line = self.next().line
        self.need("(")
        values = [self.expression()]
        while self.accept(","):
            values.append(self.expression())
        self.need(")")
        if len(values) < 3:
            raise self.wrong(self.toks[self.at - 1])
        options = []
        if self.accept("WITH"):
            options.append(self.need("LOG", "NOWAIT", "SETERROR"))
            while self.accept(","):
                options.append(self.need("LOG", "NOWAIT", "SETERROR"))
        return nodes.RaisError(values[0], values[1], values[2], values[3:], options, line=line)

    def _s_throw(self) -> Stmt:
        line = self.next().line
        if self.tok.kind in ("num", "var"):
            number = self.expression()
            self.need(",")
            message = self.expression()
            self.need(",")
            return nodes.Throw(number, message, self.expression(), line=line)
        return nodes.Throw(line=line)

    def _s_waitfor(self) -> Stmt:
        line = self.next().line
        kind = self.need("DELAY", "TIME")
        return nodes.WaitFor(kind, self.expression(), line=line)

    def _s_exec(self) -> Stmt:
        return self.execute()

    _s_execute = _s_exec

    def _s_use(self) -> Stmt:
        line = self.next().line
        return nodes.Use(self.name(), line=line)

    def _s_declare(self) -> Stmt:
        if self.ahead().kind == "word" and self.ahead(2).key in ("CURSOR", "INSENSITIVE", "SCROLL"):
            raise errors.unsupported("DECLARE CURSOR", self.tok.line)
        return self.declare()

    # -- transactions ---------------------------------------------------------------------------------------------------

    def _tran_name(self) -> Any:
        if self.tok.kind == "var":
            return nodes.Var(self.variable())
        return self.name() if self.is_name() and self.tok.key not in WORD_STATEMENTS else ""

    def _begin_tran(self, line: int) -> Stmt:
        stmt = nodes.BeginTran(self._tran_name(), line=line)
        if stmt.name and self.is_("WITH") and self.ahead().key == "MARK":
            self.at += 2
            stmt.mark = self.expression() if self.tok.kind in ("str", "var") else nodes.Lit("", types.SYSNAME)
        return stmt

    def _s_commit(self) -> Stmt:
        line = self.next().line
        if self.accept("TRAN", "TRANSACTION"):
            name = self._tran_name()
            if self.is_("WITH") and self.ahead().text == "(":
                self.next()
                self.skip_parens()
            return nodes.Commit(name, line=line)
        self.accept("WORK")
        return nodes.Commit(line=line)

    def _s_rollback(self) -> Stmt:
        line = self.next().line
        if self.accept("TRAN", "TRANSACTION"):
            return nodes.Rollback(self._tran_name(), line=line)
        self.accept("WORK")
        return nodes.Rollback(line=line)

    def _s_save(self) -> Stmt:
        line = self.next().line
        self.need("TRAN", "TRANSACTION")
        name = self._tran_name()
        if not name:
            raise self.wrong()
        return nodes.SaveTran(name, line=line)

    # -- SET ------------------------------------------------------------------------------------------------------------

    def _s_set(self) -> Stmt:
        line = self.next().line
        if self.tok.kind == "var":
            name = self.variable()
            op = self.need(*ASSIGN)
            return nodes.SetVar(name, op, self.expression(), line=line)
        names = [self._option_name()]
        while self.accept(","):
            names.append(self._option_name())
        if names[0] in SET_SWITCHES:
            return nodes.SetOption(names, self.need("ON", "OFF") == "ON", line=line)
        return nodes.SetOption(names, self._option_value(names[0], line), line=line)

    def _option_name(self) -> str:
        if self.tok.kind != "word":
            raise self.wrong()
        return self.next().key

    def _option_value(self, name: str, line: int) -> Any:
        if name == "TRANSACTION":
            self.need("ISOLATION")
            self.need("LEVEL")
            word = self.need("READ", "REPEATABLE", "SNAPSHOT", "SERIALIZABLE")
            if word in ("READ", "REPEATABLE"):
                word += " " + self.need("UNCOMMITTED", "COMMITTED", "READ")
            return word
        if name == "STATISTICS":
            self.next()
            return self.need("ON", "OFF") == "ON"
        if name == "IDENTITY_INSERT":
            table = self.dotted(3)
            return table, self.need("ON", "OFF") == "ON"
        if name in ("TEXTSIZE", "LOCK_TIMEOUT", "ROWCOUNT", "DATEFIRST", "QUERY_GOVERNOR_COST_LIMIT"):
            return self._number_or_var()
        if self.is_("ON", "OFF"):
            return self.next().key == "ON"
        if self.tok.kind in ("word", "ident", "str", "hex", "num", "var") or self.is_("-"):
            if self.tok.reserved:
                raise self.wrong()
            if self.tok.kind in ("num", "var") or self.is_("-"):
                return self._number_or_var()
            return self.next().text
        raise self.wrong()

    def _number_or_var(self) -> Any:
        return nodes.Var(self.variable()) if self.tok.kind == "var" else self.integer()

    # -- server ---------------------------------------------------------------------------------------------------------

    def _s_kill(self) -> Stmt:
        line = self.next().line
        spid: Expr = self.expression()
        status = bool(self.accept("WITH"))
        if status:
            self.need("STATUSONLY")
        return nodes.Kill(spid, status, line=line)

    def _s_shutdown(self) -> Stmt:
        line = self.next().line
        if self.accept("WITH"):
            self.need("NOWAIT")
            return nodes.Shutdown(True, line=line)
        return nodes.Shutdown(line=line)

    def _s_checkpoint(self) -> Stmt:
        line = self.next().line
        if self.tok.kind == "num":
            self.next()
        return nodes.Checkpoint(line=line)

    def _s_reconfigure(self) -> Stmt:
        line = self.next().line
        if self.accept("WITH"):
            self.need("OVERRIDE")
        return nodes.Reconfigure(line=line)

    def _s_dbcc(self) -> Stmt:
        line = self.next().line
        command = self.name() if self.is_name() else self.next().text
        args: list[Any] = []
        if self.accept("("):
            while not self.is_(")"):
                args.append(self.expression() if self.tok.kind in ("str", "num", "var") or self.is_("-") else self.next().text)
                if not self.accept(","):
                    break
            self.need(")")
        options = []
        if self.accept("WITH"):
            options.append(self._dbcc_option())
            while self.accept(","):
                options.append(self._dbcc_option())
        return nodes.Dbcc(command.upper(), args, options, line=line)

    def _dbcc_option(self) -> str:
        key = self.next().key
        if key == "MAXDOP" and self.accept("="):
            self.integer()
        return key

    def _s_backup(self) -> Stmt:
        return self.backup()

    def _s_restore(self) -> Stmt:
        return self.restore()

    def _s_grant(self) -> Stmt:
        return self.grant()

    _s_deny = _s_revoke = _s_grant

    # -- DDL ------------------------------------------------------------------------------------------------------------

    def _s_create(self) -> Stmt:
        line = self.next().line
        if self.accept("DATABASE"):
            if self.are("ENCRYPTION", "KEY"):
                self.at += 2
                return self.key_statement("CREATE", "DATABASE ENCRYPTION KEY", line)
            return self.create_database(line)
        if self.accept("TABLE"):
            return self.create_table(line)
        if self.is_("UNIQUE", "CLUSTERED", "NONCLUSTERED", "INDEX"):
            return self.create_index(line)
        if self.accept("SCHEMA"):
            return self.create_schema(line)
        return self._principal_or_key("CREATE", line)

    def _principal_or_key(self, verb: str, line: int) -> Stmt:
        if self.accept("LOGIN", "USER", "ROLE"):
            return self.principal(verb, self.toks[self.at - 1].key, line)
        if self.accept("CREDENTIAL", "CERTIFICATE"):
            return self.key_statement(verb, self.toks[self.at - 1].key, line)
        if self.accept_all("MASTER", "KEY"):
            return self.key_statement(verb, "MASTER KEY", line)
        kind = self.ahead(2).key if verb == "CREATE" and self.are("OR", "ALTER") else self.tok.key
        if kind in OBJECTS_NOT_HERE:
            raise errors.unsupported(f"{verb} {kind}", line)
        raise self._unknown_object(verb)

    def _unknown_object(self, verb: str) -> SqlError:
        token = self.tok
        if token.kind == "word" and not token.reserved:
            return errors.at(SqlError(343, f"Unknown object type '{token.text}' used in a CREATE, DROP, or ALTER statement.", 1, 15),
                             token.line)
        return self.wrong()

    def _s_alter(self) -> Stmt:
        line = self.next().line
        if self.accept("DATABASE"):
            return self.alter_database(line)
        if self.accept("TABLE"):
            return self.alter_table(line)
        if self.accept("AUTHORIZATION"):
            return self.alter_authorization(line)
        if self.accept("SERVER"):
            return self.alter_server(line)
        return self._principal_or_key("ALTER", line)

    def _s_drop(self) -> Stmt:
        line = self.next().line
        if self.are("DATABASE", "ENCRYPTION", "KEY"):
            self.at += 3
            return self.key_statement("DROP", "DATABASE ENCRYPTION KEY", line)
        kind = self.accept("DATABASE", "TABLE", "INDEX", "SCHEMA")
        if kind:
            return self.drop(kind, line)
        return self._principal_or_key("DROP", line)


def parse(text: str, quoted: bool = True) -> tuple[Stmt, ...]:
    """The statements of a batch. Raises SqlError with the line of the first mistake."""
    return _remembered(text, quoted) if len(text) < 10_000 else _parse(text, quoted)


@functools.lru_cache(maxsize=512)
def _remembered(text: str, quoted: bool) -> tuple[Stmt, ...]:
    return _parse(text, quoted)


def _parse(text: str, quoted: bool) -> tuple[Stmt, ...]:
    try:
        return tuple(Parser(text, quoted).batch())
    except RecursionError:
        raise SqlError(191, "Some part of your SQL statement is nested too deeply. Rewrite the query or break it up into smaller "
                            "queries.", 1, 15) from None


@functools.lru_cache(maxsize=2048)
def parse_expression(text: str) -> Expr:
    """A default's or a computed column's text."""
    return Parser(text).expression()


@functools.lru_cache(maxsize=2048)
def parse_condition(text: str) -> Expr:
    return Parser(text).condition()


def parse_params(text: str) -> list[tuple[str, Any, bool, Any]]:
    """The parameter list of sp_executesql: name, type, output, default."""
    parser = Parser(text)
    found = []
    while parser.tok.kind != "end":
        name = parser.variable()
        parser.accept("AS")
        kind = parser.data_type()
        default = parser.expression() if parser.accept("=") else None
        found.append((name, kind, bool(parser.accept("OUTPUT", "OUT")), default))
        parser.accept("READONLY")
        if not parser.accept(",") and parser.tok.kind != "end":
            raise parser.wrong()
    return found
