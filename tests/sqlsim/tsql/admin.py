# SPDX-License-Identifier: Apache-2.0
"""Statements about the server and its databases: USE, SET, transactions, BACKUP, RESTORE, KILL, DBCC, security."""

from __future__ import annotations

import datetime as dt
from typing import Any

from ..contract import BackupStatement, Column, Columns, Done, EnvChange, Error, Info, RestoreStatement, Row, SqlError
from . import curcmd, dates, errors, nodes, types
from .parse_media import no_device

SILENT_DBCC = {"FREEPROCCACHE", "DROPCLEANBUFFERS", "FREESYSTEMCACHE", "FREESESSIONCACHE"}
SECURITY_CURCMD = {"GRANT": curcmd.GRANT, "REVOKE": curcmd.REVOKE, "DENY": curcmd.DENY}
DBCC_TEXT = "DBCC execution completed. If DBCC printed error messages, contact your system administrator."


class AdminRunner:
    """Part of the executor."""

    session: Any
    emit: Any

    # -- session --------------------------------------------------------------------------------------------------------

    def x_Use(self, stmt: nodes.Use) -> None:
        self.use(stmt.database, stmt.line)
        self.session.row_count = 0
        self.done(curcmd.USE)

    def use(self, name: str, line: int) -> None:
        session = self.session
        found = session.engine.database(name, session)
        old, session.database = session.database, found.name
        self.emit(EnvChange(1, found.name, old))
        self.emit(Info(5701, f"Changed database context to '{found.name}'.", 2, 0, line))

    def x_SetOption(self, stmt: nodes.SetOption) -> None:
        options, value = self.session.options, stmt.value
        if isinstance(value, nodes.Var):
            value = self.value(value, types.INT)
        for name in stmt.names:
            self._set_option(options, name, value, stmt)
        self.done(curcmd.SET)

    def _set_option(self, options: Any, name: str, value: Any, stmt: nodes.SetOption) -> None:
        if name == "TRANSACTION":
            options.isolation = value
        elif name == "IDENTITY_INSERT":
            self._identity_insert(options, *value)
        elif name == "ANSI_DEFAULTS":
            for one in ("ANSI_NULLS", "ANSI_NULL_DFLT_ON", "ANSI_PADDING", "ANSI_WARNINGS", "CURSOR_CLOSE_ON_COMMIT",
                        "IMPLICIT_TRANSACTIONS", "QUOTED_IDENTIFIER"):
                options.switches[one] = value
        elif name == "TEXTSIZE":
            options.textsize = value if value > 0 else 4096 if value == 0 else 2147483647
        elif name == "LOCK_TIMEOUT":
            options.lock_timeout = value
        elif name == "DATEFIRST":
            if not 1 <= value <= 7:
                raise errors.error(2744, f"{value} is out of the range of the DATEFIRST option.", 1, 15)
            options.date_first = value
        elif name == "ROWCOUNT":
            options.row_limit = value
        elif name == "CONTEXT_INFO":
            options.context_info = value if isinstance(value, bytes) else None
        elif name == "LANGUAGE":
            old, self.session.language = self.session.language, value
            self.emit(EnvChange(2, value, old))
            self.emit(Info(5703, f"Changed language setting to {value}.", 1, 0, stmt.line))
        elif isinstance(value, bool):
            options.switches[name] = value

    def _identity_insert(self, options: Any, table: list[str], on: bool) -> None:
        context = self.context()
        target = context.named_target(table, "ALTER")
        if target.table.identity is None:
            raise errors.error(8106, f"Table '{table[-1]}' does not have the identity property. Cannot perform SET operation.")
        key = (id(target.database), target.name.lower())
        if on:
            if options.identity_insert not in (None, key):
                raise errors.error(8107, f"IDENTITY_INSERT is already ON for table '{options.identity_insert[1]}'. Cannot perform SET "
                                         f"operation for table '{table[-1]}'.")
            options.identity_insert = key
        elif options.identity_insert == key:
            options.identity_insert = None

    # -- transactions ---------------------------------------------------------------------------------------------------

    def x_BeginTran(self, stmt: nodes.BeginTran) -> None:
        mark = self.value(stmt.mark, types.SqlType("nvarchar", 255)) if stmt.mark is not None else None
        self.session.tran.begin(self.name_of(stmt.name)[:32], mark, self.emit)
        self.session.row_count = 0
        self.done(curcmd.BEGIN)

    def x_Commit(self, stmt: nodes.Commit) -> None:
        self.session.tran.commit(self.emit)
        self.session.row_count = 0
        self.done(curcmd.COMMIT)

    def x_Rollback(self, stmt: nodes.Rollback) -> None:
        self.session.tran.rollback(self.emit, self.name_of(stmt.name)[:32])
        self.session.row_count = 0
        self.done(curcmd.ROLLBACK)

    def x_SaveTran(self, stmt: nodes.SaveTran) -> None:
        self.session.tran.save(self.name_of(stmt.name)[:32])
        self.session.row_count = 0
        self.done(curcmd.SAVE)

    def _not_in_transaction(self, what: str) -> None:
        if self.session.tran.count:
            raise errors.in_transaction(what)

    # -- databases ------------------------------------------------------------------------------------------------------

    def x_CreateDatabase(self, stmt: nodes.CreateDatabase) -> None:
        self._not_in_transaction("CREATE DATABASE")
        self.session.engine.create_database(self.session, stmt.name, dict(stmt.options))
        self.done(curcmd.DATABASE_CREATE)

    def x_AlterDatabase(self, stmt: nodes.AlterDatabase) -> None:
        self._not_in_transaction("ALTER DATABASE")
        session = self.session
        name = stmt.name or session.database
        session.engine.alter_database(session, name, list(stmt.clauses), stmt.termination)
        if ("MODIFY NAME" in dict(stmt.clauses)) and session.database.lower() == name.lower():
            session.database = dict(stmt.clauses)["MODIFY NAME"]
        self.done(curcmd.DATABASE_ALTER)

    def drop_databases(self, stmt: nodes.Drop) -> None:
        self._not_in_transaction("DROP DATABASE")
        engine = self.session.engine
        for parts in stmt.names:
            name = parts[-1]
            if stmt.if_exists and self._absent(name):
                continue
            if name.lower() == self.session.database.lower():
                raise errors.error(3702, f'Cannot drop database "{name}" because it is currently in use.', 3)
            engine.drop_database(self.session, name)
        self.done(curcmd.DATABASE_DROP)

    def _absent(self, name: str) -> bool:
        try:
            self.session.engine.database(name)
        except SqlError as exc:
            return exc.error.number == 911
        return False

    # -- BACKUP and RESTORE ---------------------------------------------------------------------------------------------

    def x_Media(self, stmt: nodes.Media) -> None:
        session = self.session
        if session.tran.count:
            raise SqlError(3021, "Cannot perform a backup or restore operation within a transaction.", 0, 16,
                           also=[Error(3013, f"{media_name(stmt)} is terminating abnormally.", 1, 16)])
        database = self._media_value(stmt.database) or ""
        devices = [self._device(d, stmt) for d in stmt.devices]
        options = {key: self._option(key, value) for key, value in stmt.options.items()}
        if stmt.verb == "BACKUP":
            mirrors = [[self._device(d, stmt) for d in m] for m in stmt.mirrors]
            session.engine.backup(session, BackupStatement(stmt.what, database, devices, options, mirrors, stmt.line), self.emit)
        else:
            session.engine.restore(session, RestoreStatement(stmt.what, database, devices, options, stmt.line), self.emit)
        session.row_count = 0

    def _media_value(self, node: Any) -> Any:
        if not isinstance(node, nodes.Var):
            return node
        value = self.context().variable(node.name).value
        if isinstance(value, dt.datetime):
            return f"{dates.day(value)}T{dates.clock(value, 3)}"
        return value

    def _device(self, device: Any, stmt: nodes.Media) -> str:
        if isinstance(device, tuple):
            name = device[1] or str(self._media_value(device[2]) or "")
            raise no_device(str(self._media_value(device[2])) if not device[1] else name, media_name(stmt))
        path = self._media_value(device)
        if not path:
            raise errors.error(3044, "Invalid zero-length device name. Reissue the BACKUP statement with a valid device name.")
        return str(path)

    def _option(self, key: str, value: Any) -> Any:
        if isinstance(value, nodes.Var) and key == "STOPAT":
            kind = self.context().variable(value.name).type.kind
            if kind not in ("varchar", "char", "nvarchar", "nchar", "datetime", "smalldatetime"):
                raise errors.clash(kind, "datetime")
        if isinstance(value, list):
            return [tuple(self._media_value(v) for v in item) for item in value]
        if isinstance(value, tuple):
            return tuple(self._media_value(v) for v in value)
        return self._media_value(value)

    # -- server ---------------------------------------------------------------------------------------------------------

    def x_Kill(self, stmt: nodes.Kill) -> None:
        spid = self.value(stmt.spid)
        if not isinstance(spid, int):
            raise errors.error(6110, f"The distributed transaction with UOW {spid} does not exist.")
        if stmt.status_only:  # roll backs are over before anybody can ask
            raise errors.error(6120, f"Status report cannot be obtained. Rollback operation for Process ID {spid} is not in progress.")
        self.session.engine.kill(self.session, spid)
        self.done(curcmd.KILL)

    def x_Shutdown(self, stmt: nodes.Shutdown) -> None:
        shutdown = getattr(self.session.engine, "shutdown", None)
        if shutdown is None:
            raise errors.error(6004, "User does not have permission to perform this action.", 1, 14)
        shutdown(self.session)
        self.emit(Info(6006, f"Server shut down by request from login {self.session.login.user}.", 1, 0, stmt.line))
        self.done(curcmd.NONE)

    def x_Checkpoint(self, stmt: nodes.Checkpoint) -> None:
        database = self.session.engine.database(self.session.database, self.session)
        if hasattr(database, "checkpoint"):
            database.checkpoint()
        self.done(curcmd.CHECKPOINT)

    def x_Reconfigure(self, stmt: nodes.Reconfigure) -> None:
        try:
            self.session.engine.procedure(self.session, self.session.database, "reconfigure", {}, self.emit)
        except SqlError as exc:
            if exc.error.number != 2812:
                raise
        self.done(curcmd.NONE)

    def x_Dbcc(self, stmt: nodes.Dbcc) -> None:
        session, command = self.session, stmt.command
        quiet = "NO_INFOMSGS" in stmt.options
        if command == "UPDATE STATISTICS":
            self.context().named_target(stmt.args[0], "ALTER")
            self.done(curcmd.NONE)
            return
        values = [self.value(a) if isinstance(a, nodes.Expr) else a for a in stmt.args]
        failed = 0
        if command in ("CHECKDB", "CHECKALLOC", "CHECKCATALOG", "CHECKTABLE"):
            failed = self._check(command, values, stmt.options)
        elif command in ("TRACEON", "TRACEOFF", "TRACESTATUS"):
            self._trace(command, values)
        elif command == "USEROPTIONS":
            self._user_options()
        elif command not in SILENT_DBCC:
            raise errors.error(2526, "Incorrect DBCC statement. Check the documentation for the correct DBCC syntax and options.", 3)
        if not quiet:
            self.emit(Info(2528, DBCC_TEXT, 1, 0, stmt.line))
        self.emit(Done(curcmd.DBCC, error=bool(failed)))
        session.row_count, session.last_error = 0, failed

    def _check(self, command: str, values: list[Any], options: list[str]) -> int:
        """Returns the number of the last error, 0 for none. Errors do not end the statement, and TRY does not catch them."""
        session, last = self.session, 0

        def emit(event: Any) -> None:
            nonlocal last
            if isinstance(event, Error):
                last = event.number
            self.emit(event)

        args = [str(v) for v in values[1:]]
        if command == "CHECKTABLE":
            if not values:
                raise errors.error(2583, "An incorrect number of parameters was given to the DBCC statement.", 3)
            parts = str(values[0]).replace("[", "").replace("]", "").split(".")
            name = parts[-3] if len(parts) > 2 else session.database
            session.engine.checkdb(session, name, emit, command, options, args, ".".join(parts[-2:]))
            return last
        name = values[0] if values and values[0] not in (0, None) else session.database
        if isinstance(name, int):
            name = session.engine.scalar_function(session, session.database, "DB_NAME", [name]) or ""
        session.engine.checkdb(session, str(name), emit, command, options, args)
        return last

    def _trace(self, command: str, values: list[Any]) -> None:
        on = {"TRACEON": True, "TRACEOFF": False}.get(command)
        rows = self.session.engine.trace(self.session, [v for v in values if isinstance(v, int)], on)
        if on is None:
            columns = [Column(n, types.SMALLINT) for n in ("TraceFlag", "Status", "Global", "Session")]
            self.emit(Columns(columns))
            for row in rows:
                self.emit(Row(row))
            self.emit(Done(curcmd.ROWS, len(rows)))

    def _user_options(self) -> None:
        options = self.session.options
        rows = [("textsize", str(options.textsize)), ("language", self.session.language), ("dateformat", "mdy"),
                ("datefirst", str(options.date_first)), ("lock_timeout", str(options.lock_timeout))]
        rows += [(name.lower(), "SET") for name, on in options.switches.items() if on]
        rows.append(("isolation level", options.isolation.lower()))
        self.emit(Columns([Column("Set Option", types.SYSNAME), Column("Value", types.SYSNAME)]))
        for row in rows:
            self.emit(Row(row))
        self.emit(Done(curcmd.ROWS, len(rows)))

    # -- security -------------------------------------------------------------------------------------------------------

    def x_Security(self, stmt: nodes.Security) -> None:
        args = {k: self.value(v) if isinstance(v, nodes.Var) else v for k, v in stmt.args.items()}
        self.security(stmt.verb, args)
        self.done(SECURITY_CURCMD.get(stmt.verb, curcmd.NONE))

    def security(self, verb: str, args: dict[str, Any]) -> None:
        session = self.session
        if any(p.database.name == session.database for p in session.tran.parts.values()):
            raise errors.in_transaction(verb)  # the engine writes it in a transaction of its own
        session.engine.security(session, session.database, verb, args)


def media_name(stmt: nodes.Media) -> str:
    """As 3013 calls the statement."""
    return {"FILELISTONLY": "RESTORE FILELIST", "VERIFYONLY": "VERIFY DATABASE"}.get(stmt.what, f"{stmt.verb} {stmt.what}")
