# SPDX-License-Identifier: Apache-2.0
"""EXECUTE: dynamic SQL, the procedures that belong to the language, and those of the engine."""

from __future__ import annotations

import contextlib
from typing import Any, Iterator, Optional

from ..contract import Column, Columns, Done, Error, Info, ReturnStatus, Row, SqlError, SqlType
from . import curcmd, errors, nodes, types
from .context import Variable
from .convert import converter
from .names import split_name
from .parser import parse_params


class ProcRunner:
    """Part of the executor."""

    session: Any
    emit: Any

    def x_Execute(self, stmt: nodes.Execute) -> None:
        self.execute_proc(stmt)

    def x_ExecText(self, stmt: nodes.ExecText) -> None:
        text = self.value(stmt.text, types.NMAX)
        self.dynamic(text or "", self.session.frame.__class__())
        self.done(curcmd.EXEC)

    def dynamic(self, text: str, frame: Any) -> int:
        """Runs text one level deeper. Its errors can be caught outside."""
        outer = self.session.frame
        frame.guarded = bool(outer.tries) or getattr(outer, "guarded", False)
        try:
            with self.inside():
                return self.text(text, frame, nested=True)
        except SqlError as exc:
            exc.crossed = True
            raise

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """What statements of an EXEC emit is marked as such."""
        outer = self.emit

        def emit(event: Any) -> None:
            if isinstance(event, Done):
                event.in_proc = True
            outer(event)

        self.emit = emit
        try:
            yield
        finally:
            self.emit = outer

    def execute_proc(self, stmt: nodes.Execute) -> None:
        parts = list(stmt.name)
        if stmt.name_var:
            parts = split_name(str(self.value(nodes.Var(stmt.name_var)) or ""))
        name = parts[-1].lower() if parts else ""
        own = getattr(self, "p_" + name, None) if not parts[:-1] or parts[-2].lower() in ("", "sys", "dbo") else None
        with self.inside():
            status = own(stmt) if own is not None else self._engine(parts, stmt)
        if stmt.status:
            variable = self.context().variable(stmt.status)
            variable.value = converter(types.INT, variable.type)(status or 0)
        if stmt.status != "@__status":
            self.emit(ReturnStatus(status or 0))
            self.emit(Done(curcmd.EXEC))

    def _engine(self, parts: list[str], stmt: nodes.Execute) -> int:
        database = parts[-3] if len(parts) > 2 and parts[-3] else self.session.database
        full = ".".join(parts)
        args: dict[Any, Any] = {}
        for at, arg in enumerate(stmt.args):
            args[arg.name or at] = self._argument(arg)
        name = ".".join(parts[-2:]) if len(parts) > 1 and parts[-2] else parts[-1]
        try:
            status = self.session.engine.procedure(self.session, database, name, args, self.emit)
        except SqlError as exc:
            if exc.error.number == 2812:
                raise errors.no_procedure(full) from None
            raise
        for at, arg in enumerate(stmt.args):
            if arg.output and isinstance(arg.value, nodes.Var):
                self.context().variable(arg.value.name).value = args.get(arg.name or at)
        return status

    def _argument(self, arg: nodes.ExecArg) -> Any:
        return None if arg.value is None else self.value(arg.value)

    def _arguments(self, stmt: nodes.Execute, names: list[str]) -> dict[str, Any]:
        """Values by parameter name, for procedures with a fixed list."""
        found: dict[str, Any] = {}
        for at, arg in enumerate(stmt.args):
            name = arg.name.lstrip("@").lower() if arg.name else (names[at] if at < len(names) else None)
            if name is None or name not in names:
                if arg.name:
                    raise errors.error(8145, f"{arg.name} is not a parameter for procedure {stmt.name[-1]}.", 1)
                raise errors.error(8144, f"Procedure or function {stmt.name[-1]} has too many arguments specified.", 2)
            found[name] = self._argument(arg)
        return found

    # -- sp_executesql --------------------------------------------------------------------------------------------------

    def p_sp_executesql(self, stmt: nodes.Execute) -> int:
        if not stmt.args:
            raise errors.error(201, "Procedure or function 'sp_executesql' expects parameter '@statement', which was not supplied.", 10)
        text = self._unicode(stmt.args[0], "@statement")
        declared = parse_params(self._unicode(stmt.args[1], "@params")) if len(stmt.args) > 1 else []
        frame = self.session.frame.__class__()
        outputs = self._bind(stmt.args[2:], declared, frame)
        status = self.dynamic(text, frame)
        for name, target in outputs:
            value, source = frame.variables[name.lower()].value, frame.variables[name.lower()].type
            variable = self.context().variable(target)
            variable.value = None if value is None else converter(source, variable.type)(value)
        return status

    def _unicode(self, arg: nodes.ExecArg, name: str) -> str:
        from .compiler import Compiler
        ex = Compiler(self.context()).compile(arg.value)
        if ex.type.kind not in types.WIDE:
            raise errors.error(214, f"Procedure expects parameter '{name}' of type 'ntext/nchar/nvarchar'.", 2)
        return ex.fn(None) or ""

    def _bind(self, args: list[nodes.ExecArg], declared: list[tuple], frame: Any) -> list[tuple[str, str]]:
        """Values for the declared parameters. Returns (parameter, variable) of those that come back."""
        from .compiler import Compiler
        given: dict[str, nodes.ExecArg] = {}
        for at, arg in enumerate(args):
            if not arg.name and at >= len(declared):
                raise errors.error(8144, "Procedure or function  has too many arguments specified.", 2)
            given[(arg.name or declared[at][0]).lower()] = arg
        outputs = []
        for name, kind, output, default in declared:
            arg: Optional[nodes.ExecArg] = given.pop(name.lower(), None)
            node = arg.value if arg is not None and arg.value is not None else default
            if node is None:
                raise errors.error(8178, f"The parameterized query expects the parameter '{name}', which was not supplied.")
            ex = Compiler(self.context()).compile(node)
            value = ex.fn(None)
            frame.variables[name.lower()] = Variable(kind, None if value is None else converter(ex.type, kind)(value))
            if arg is not None and arg.output and output and isinstance(arg.value, nodes.Var):
                outputs.append((name, arg.value.name))
        if given:
            name = next(iter(given.values())).name
            raise errors.error(8145, f"{name} is not a parameter for procedure sp_executesql.")
        return outputs

    # -- procedures of the language -------------------------------------------------------------------------------------

    def p_sp_addrolemember(self, stmt: nodes.Execute) -> int:
        return self._member("ALTER ROLE", self._arguments(stmt, ["rolename", "membername"]), "rolename", "membername", True)

    def p_sp_droprolemember(self, stmt: nodes.Execute) -> int:
        return self._member("ALTER ROLE", self._arguments(stmt, ["rolename", "membername"]), "rolename", "membername", False)

    def p_sp_addsrvrolemember(self, stmt: nodes.Execute) -> int:
        return self._member("ALTER SERVER ROLE", self._arguments(stmt, ["loginame", "rolename"]), "rolename", "loginame", True)

    def p_sp_dropsrvrolemember(self, stmt: nodes.Execute) -> int:
        return self._member("ALTER SERVER ROLE", self._arguments(stmt, ["loginame", "rolename"]), "rolename", "loginame", False)

    def _member(self, verb: str, args: dict[str, Any], role: str, member: str, add: bool) -> int:
        self.security(verb, {"name": args[role], "role": args[role], "member": args[member], "add": add})
        return 0

    def p_sp_addlogin(self, stmt: nodes.Execute) -> int:
        args = self._arguments(stmt, ["loginame", "passwd", "defdb", "deflanguage", "sid", "encryptopt"])
        self.security("CREATE LOGIN", {"name": args["loginame"], "password": args.get("passwd") or "",
                                              "default_database": args.get("defdb") or "master"})
        return 0

    def p_sp_adduser(self, stmt: nodes.Execute) -> int:
        args = self._arguments(stmt, ["loginame", "name_in_db", "grpname"])
        self.security("CREATE USER", {"name": args.get("name_in_db") or args["loginame"], "login": args["loginame"]})
        return 0

    def p_sp_changedbowner(self, stmt: nodes.Execute) -> int:
        args = self._arguments(stmt, ["loginame", "map"])
        self.security("ALTER AUTHORIZATION", {"class": "DATABASE", "object": self.session.database, "to": args["loginame"]})
        return 0

    def p_sp_who(self, stmt: nodes.Execute) -> int:
        from .parser import parse
        text = ("SELECT s.session_id AS spid, CAST(0 AS smallint) AS ecid, CAST(s.status AS nchar(30)) AS status, s.login_name AS "
                "loginame, s.host_name AS hostname, '0' AS blk, DB_NAME(s.database_id) AS dbname, 'AWAITING COMMAND' AS cmd, "
                "0 AS request_id FROM sys.dm_exec_sessions AS s")
        self.run(parse(text)[0])
        return 0

    def p_sp_set_session_context(self, stmt: nodes.Execute) -> int:
        args = self._arguments(stmt, ["key", "value", "read_only"])
        self.session.options.context[str(args["key"]).lower()] = args["value"]
        return 0

    def p_sp_reset_connection(self, stmt: nodes.Execute) -> int:
        self.session.reset(self.emit)
        return 0

    def p_sp_databases(self, stmt: nodes.Execute) -> int:
        from .parser import parse
        self.run(parse("SELECT name AS DATABASE_NAME, 0 AS DATABASE_SIZE, CAST(NULL AS varchar(254)) AS REMARKS FROM sys.databases "
                       "WHERE HAS_DBACCESS(name) = 1 ORDER BY 1")[0])
        return 0

    def p_sp_server_info(self, stmt: nodes.Execute) -> int:
        rows = [(1, "DBMS_NAME", "Microsoft SQL Server"), (2, "DBMS_VER", str(self.session.engine.version)),
                (18, "COLLATION_SEQ", "charset=iso_1 sort_order=nocase_iso charset_num=1 sort_order_num=52")]
        self.emit(Columns([Column("attribute_id", types.INT), Column("attribute_name", SqlType("varchar", 60)),
                           Column("attribute_value", SqlType("varchar", 255))]))
        for row in rows:
            self.emit(Row(row))
        self.emit(Done(curcmd.SELECT, len(rows)))
        return 0

    # -- INSERT ... EXEC ------------------------------------------------------------------------------------------------

    def captured(self, stmt: Any) -> tuple[list[Column], list[tuple]]:
        """Runs EXEC for its rows."""
        columns: list[Column] = []
        rows: list[tuple] = []
        errors_seen: list[Error] = []

        def take(event: Any) -> None:
            if isinstance(event, Columns):
                columns[:] = event.columns
            elif isinstance(event, Row):
                rows.append(tuple(event.values))
            elif isinstance(event, Error):
                errors_seen.append(event)
            elif isinstance(event, Info):
                outer(event)

        outer, self.emit = self.emit, take
        try:
            getattr(self, "x_" + stmt.__class__.__name__)(stmt)
        finally:
            self.emit = outer
        if errors_seen:
            first = errors_seen[0]
            raise SqlError(first.number, first.text, first.state, first.cls)
        return columns, rows
