# SPDX-License-Identifier: Apache-2.0
"""Stored procedures that need the server."""

from __future__ import annotations

import datetime as dt
import os
from typing import TYPE_CHECKING, Any, Callable

from ..contract import Columns, Done, Emit, Info, Row, SqlError
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
    path = resolve(server, str(argument(args, "directory", 0) or ""), "xp_dirtree")
    files = bool(argument(args, "file", 2, 0))
    emit(Columns(DIRTREE if files else DIRTREE[:2]))
    count = 0
    for name in sorted(os.listdir(path)) if os.path.isdir(path) else []:
        is_file = os.path.isfile(os.path.join(path, name))
        if files or not is_file:
            emit(Row([name, 1, int(is_file)][:3 if files else 2]))
            count += 1
    emit(Done(193, count))
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
    "sp_configure": _configure, "xp_create_subdir": _create_subdir, "xp_fileexist": _file_exist, "xp_dirtree": _dirtree,
    "sp_readerrorlog": _log, "xp_readerrorlog": _log, "sp_reset_connection": _nothing, "sp_cycle_errorlog": _nothing,
}
