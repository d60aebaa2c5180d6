# SPDX-License-Identifier: Apache-2.0
"""Stored procedures that need the server."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from typing import TYPE_CHECKING, Any, Callable, Iterator

from ..contract import Column, Columns, Done, Emit, Info, Row, SqlError, SqlType
from . import msdb
from .backup_media import resolve
from .coltypes import cols
from .restore import parse_stop

if TYPE_CHECKING:
    from .server import Server


def argument(args: dict[str, Any], name: str, position: int, default: Any = None) -> Any:
    """By name, with or without @, or by place (keys 0, 1, ... or '' in order)."""
    for key, value in args.items():
        if isinstance(key, str) and key.lstrip("@").casefold() == name:
            return value
    values = [v for k, v in args.items() if not isinstance(k, str) or not k.strip("@") or k.strip("@").isdigit()]
    return values[position] if position < len(values) else default


def run(server: "Server", session: Any, database: str, name: str, args: dict[str, Any], emit: Emit) -> int:
    short = name.split(".")[-1].strip("[]").casefold()
    method = PROCEDURES.get(short)
    if method is None:
        raise SqlError(2812, f"Could not find stored procedure '{name}'.", 62, 16)
    return method(server, session, database, args, emit) or 0


def _need_msdb(server: "Server", session: Any, name: str) -> None:
    server.security.need_execute(session, server.dbs[4], name)


def _delete_history(server: "Server", session: Any, _db: str, args: dict, _emit: Emit) -> None:
    _need_msdb(server, session, "sp_delete_backuphistory")
    oldest = argument(args, "oldest_date", 0)
    if oldest is not None and not isinstance(oldest, dt.datetime):
        oldest = dt.datetime.combine(oldest, dt.time()) if isinstance(oldest, dt.date) else parse_stop(oldest)
    msdb.delete_history(server, None, before=oldest.replace(tzinfo=None) if oldest else None)


def _delete_database_history(server: "Server", session: Any, _db: str, args: dict, _emit: Emit) -> None:
    _need_msdb(server, session, "sp_delete_database_backuphistory")
    msdb.delete_history(server, None, database=str(argument(args, "database_name", 0) or ""))


CONFIG = cols("name nvarchar(35)!, minimum int, maximum int, config_value int, run_value int")


def _configure(server: "Server", session: Any, _db: str, args: dict, emit: Emit) -> int:
    config = server.store.setting("config", {})
    name, value = argument(args, "configname", 0), argument(args, "configvalue", 1)
    if name is not None:
        found = [k for k in config if k.casefold() == str(name).casefold()]
        if not found:
            raise SqlError(15123, f"The configuration option '{name}' does not exist, or it may be an advanced option.", 1, 16)
        if value is not None:
            if not server.security.can(session, "ALTER SETTINGS"):
                raise SqlError(15247, "User does not have permission to perform this action.", 1, 16)
            old, config[found[0]] = config[found[0]], int(value)
            server.store.set("config", config)
            emit(Info(15457, f"Configuration option '{found[0]}' changed from {old} to {value}. Run the RECONFIGURE statement to install."))
            return 0
        config = {found[0]: config[found[0]]}
    emit(Columns(CONFIG))
    for key, number in sorted(config.items()):
        emit(Row([key, 0, 2147483647, number, number]))
    emit(Done(193, len(config)))
    return 0


def _create_subdir(server: "Server", session: Any, _db: str, args: dict, _emit: Emit) -> int:
    _need_admin(server, session)
    path = resolve(server, str(argument(args, "path", 0) or ""), "xp_create_subdir")
    try:
        os.makedirs(path, 0o770, exist_ok=True)
    except OSError as exc:
        raise SqlError(22048, f"xp_create_subdir() returned error {exc.errno}, '{exc.strerror}'", 1, 16) from exc
    return 0


def _need_admin(server: "Server", session: Any) -> None:
    if not server.security.sysadmin(session):
        raise SqlError(229, "The EXECUTE permission was denied on the object, database 'mssqlsystemresource', schema 'sys'.", 5, 14)


FILE_EXIST = cols("File_Exists int, File_is_a_Directory int, Parent_Directory_Exists int")


def _file_exist(server: "Server", _session: Any, _db: str, args: dict, emit: Emit) -> int:
    path = resolve(server, str(argument(args, "filename", 0) or ""), "xp_fileexist")
    emit(Columns([c for c in FILE_EXIST]))
    emit(Row([int(os.path.isfile(path)), int(os.path.isdir(path)), int(os.path.isdir(os.path.dirname(path)))]))
    emit(Done(193, 1))
    return 0


DIRTREE = cols("subdirectory nvarchar(512), depth int, file int")


def _dirtree(server: "Server", session: Any, _db: str, args: dict, emit: Emit) -> int:
    path = resolve(server, str(argument(args, "directory", 0) or ""), "xp_dirtree").rstrip("/") or "/"
    levels, files = int(argument(args, "depth", 1, 0) or 0), bool(argument(args, "file", 2, 0))
    emit(Columns(DIRTREE if files else DIRTREE[:2]))
    count = 0
    for name, depth, is_file in _walk(path, 1, levels):
        if files or not is_file:
            emit(Row([name, depth, int(is_file)][:3 if files else 2]))
            count += 1
    emit(Done(193, count))
    return 0


def _walk(path: str, depth: int, levels: int) -> Iterator[tuple[str, int, bool]]:
    """What is below a directory, as deep as asked for (0: all), a directory before what is in it."""
    try:
        names = sorted(os.listdir(path))
    except OSError:
        return
    for name in names:
        full = os.path.join(path, name)
        yield name, depth, not os.path.isdir(full)
        if os.path.isdir(full) and (not levels or depth < levels):
            yield from _walk(full, depth + 1, levels)


def _fixed_drives(server: "Server", _session: Any, _db: str, _args: dict, emit: Emit) -> int:
    """Linux shows its root as drive C."""
    emit(Columns([Column("drive", SqlType("char", 1)), Column("MB free", SqlType("int"))]))
    emit(Row(["C", server.faults.on_free(server.data_dir) >> 20]))
    emit(Done(193, 1))
    return 0


def _cdc(on: bool) -> Callable:
    def run(server: "Server", session: Any, database: str, _args: dict, _emit: Emit) -> int:
        db = server.database(database, session)
        if not server.security.sysadmin(session):
            raise SqlError(22902, "Caller is not authorized to initiate the requested action. Sysadmin privileges are required.", 1, 16)
        if db.id <= 4:
            raise SqlError(22903, f"Database '{db.name}' cannot be enabled for Change Data Capture: it is a system database.", 1, 16)
        db.state.cdc = on
        db.save()
        return 0
    return run


def _cdc_job(server: "Server", session: Any, database: str, args: dict, _emit: Emit) -> int:
    db = server.database(database, session)
    if not db.state.cdc:
        raise SqlError(22901, f"The database '{db.name}' is not enabled for Change Data Capture. Ensure that the correct database context is "
                              "set and retry the operation. To report on the databases enabled for Change Data Capture, query the "
                              "is_cdc_enabled column in the sys.databases catalog view.", 1, 16)
    if str(argument(args, "job_type", 0) or "").casefold() not in ("capture", "cleanup"):
        raise SqlError(22992, "The specified '@job_type' value is not a valid value: capture or cleanup.", 1, 16)
    return 0


def _replication_option(server: "Server", session: Any, _db: str, args: dict, _emit: Emit) -> int:
    db = server.database(str(argument(args, "dbname", 0) or ""), session)
    if not server.security.sysadmin(session):
        raise SqlError(21089, "Only members of the sysadmin fixed server role can perform this operation.", 1, 16)
    kind = {"publish": 1, "merge publish": 2}.get(str(argument(args, "optname", 1) or "").casefold())
    if kind is None:
        raise SqlError(20044, "The option name is not 'publish', 'merge publish', 'subscribe' or 'sync with backup'.", 1, 16)
    db.state.published = kind if str(argument(args, "value", 2) or "").casefold() == "true" else 0
    db.save()
    return 0


def _change_users_login(server: "Server", session: Any, database: str, args: dict, emit: Emit) -> int:
    """Report and Update_One: the old way to look for and repair orphaned users."""
    db = server.database(database, session)
    action = str(argument(args, "action", 0) or "").casefold()
    if action == "update_one":
        server.principals.alter_user(session, db.name, {"name": argument(args, "usernamepattern", 1), "login": argument(args, "loginname", 2)})
        return 0
    if action != "report":
        raise SqlError(15600, "An invalid parameter or option was specified for procedure 'sys.sp_change_users_login'.", 1, 15)
    known = {sid for (sid,) in server.store.run("SELECT sid FROM logins")}
    with contextlib.closing(db.reader()) as reader:
        found = reader.execute('SELECT name, sid FROM "sys.users" WHERE type=\'S\' ORDER BY name').fetchall()
    emit(Columns(cols("UserName nvarchar(128), UserSID varbinary(85)")))
    orphans = [(name, sid) for name, sid in found if sid not in known and len(sid) <= 16]
    for row in orphans:
        emit(Row(list(row)))
    emit(Done(193, len(orphans)))
    return 0


def _log(server: "Server", _session: Any, _db: str, args: dict, emit: Emit) -> int:
    emit(Columns(cols("LogDate datetime, ProcessInfo nvarchar(50), Text nvarchar(max)")))
    wanted = str(argument(args, "p3", 2) or "")
    path, count = os.path.join(server.system_dir, "errorlog"), 0
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if wanted.casefold() in line.casefold():
                emit(Row([dt.datetime.fromisoformat(line[:22] + "0"), line[23:34].strip(), line[35:].rstrip("\n")]))
                count += 1
    emit(Done(193, count))
    return 0


def _nothing(*_: Any) -> int:
    return 0


PROCEDURES: dict[str, Callable] = {
    "sp_delete_backuphistory": _delete_history, "sp_delete_database_backuphistory": _delete_database_history,
    "xp_fixeddrives": _fixed_drives, "sp_cdc_enable_db": _cdc(True), "sp_cdc_disable_db": _cdc(False), "sp_cdc_add_job": _cdc_job,
    "sp_replicationdboption": _replication_option, "sp_change_users_login": _change_users_login,
    "sp_configure": _configure, "xp_create_subdir": _create_subdir, "xp_fileexist": _file_exist, "xp_dirtree": _dirtree,
    "sp_readerrorlog": _log, "xp_readerrorlog": _log, "sp_reset_connection": _nothing, "sp_cycle_errorlog": _nothing,
}
