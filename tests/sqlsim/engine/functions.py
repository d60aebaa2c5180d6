# SPDX-License-Identifier: Apache-2.0
"""Scalar functions that need the server."""

from __future__ import annotations

import datetime as dt
import os
from typing import TYPE_CHECKING, Any, Callable

from ..contract import SqlError
from . import store
from .security import DATABASE_ROLES, SERVER_ROLES
from .views_sec import ROLE_RIGHTS

if TYPE_CHECKING:
    from .server import Server


def scalar(server: "Server", session: Any, database: str, name: str, args: list[Any]) -> Any:
    """Raises LookupError for a name that is not known here."""
    key = name.replace("[", "").replace("]", "").casefold().removeprefix("sys.")
    method = FUNCTIONS.get(key)
    if method is None:
        raise LookupError(name)
    return method(server, session, database, *args)


EDITION_IDS = {"Developer": -2117995310, "Enterprise": 1804890536, "Standard": -1534726760, "Express": -1592396055, "Web": 1293598313}


def server_property(server: "Server", session: Any, _db: str, name: Any) -> Any:
    host = server.name.split("\\")[0]
    values: dict[str, Any] = {
        "productversion": ".".join(map(str, server.version)), "productmajorversion": str(server.major),
        "productminorversion": str(server.version[1]), "productbuild": str(server.version[2]), "productlevel": "RTM",
        "productupdatelevel": "CU16", "productupdatereference": "KB5048033", "edition": server.edition,
        "engineedition": server.engine_edition, "editionid": EDITION_IDS.get(server.edition_kind, 0), "servername": server.name,
        "machinename": host, "computernamephysicalnetbios": host, "instancename": None, "collation": server.collation, "isclustered": 0,
        "ishadrenabled": 0, "hadrmanagerstatus": 2, "issingleuser": 0, "instancedefaultdatapath": server.default_path("data").rstrip("/") + "/",
        "instancedefaultlogpath": server.default_path("log").rstrip("/") + "/",
        "instancedefaultbackuppath": server.backup_dir if server.major >= 15 else None, "processid": os.getpid(),
        "suspendeddatabasecount": 0 if server.major >= 16 else None, "licensetype": "DISABLED", "isintegratedsecurityonly": 0,
        "isfulltextinstalled": 0, "isxtpsupported": 1, "lcid": 1033, "sqlcharset": 1, "sqlsortorder": 52, "resourceversion":
        ".".join(map(str, server.version[:3])), "islocaldb": 0, "ispolybaseinstalled": 0, "buildclrversion": "v4.0.30319",
        "filestreamconfiguredlevel": 0, "filestreameffectivelevel": 0, "istempdbmetadatamemoryoptimized": 0}
    return values.get(str(name).casefold())


def database_property(server: "Server", session: Any, _db: str, name: Any, wanted: Any) -> Any:
    db = server.find(str(name))
    if db is None:
        return None
    s = db.state
    values: dict[str, Any] = {
        "status": store.STATE_DESC[s.state], "recovery": store.MODEL_DESC[s.recovery_model],
        "updateability": "READ_ONLY" if s.read_only or s.standby else "READ_WRITE",
        "useraccess": {0: "MULTI_USER", 1: "SINGLE_USER", 2: "RESTRICTED_USER"}[s.user_access], "collation": s.collation,
        "isautoclose": int(s.auto_close), "isautoshrink": int(s.auto_shrink), "isinstandby": int(bool(s.standby)),
        "version": server.database_version if s.state == store.ONLINE else None, "isdatabasesuspendedforsnapshotbackup": 0,
        "lastgoodcheckdbtime": dt.datetime.fromisoformat(s.last_good_check or "1900-01-01"), "isclone": 0, "isverifiedclone": 0}
    return values.get(str(wanted).casefold())


def db_id(server: "Server", session: Any, database: str, name: Any = None) -> Any:
    db = server.find(str(name) if name is not None else database)
    return db.id if db else None


def db_name(server: "Server", session: Any, database: str, number: Any = None) -> Any:
    if number is None:
        return database
    db = server.dbs.get(int(number))
    return db.name if db else None


def suser_name(server: "Server", session: Any, _db: str, sid: Any = None) -> Any:
    if sid is None:
        return server.security.name_of(session)
    rows = server.store.run("SELECT name FROM logins WHERE sid=? OR id=?", sid, sid)
    return rows[0][0] if rows else None


def suser_sid(server: "Server", session: Any, _db: str, name: Any = None, *_: Any) -> Any:
    login = server.security.login(str(name) if name is not None else server.security.name_of(session))
    return login["sid"] if login else None


def user_name(server: "Server", session: Any, database: str, *_: Any) -> Any:
    db = server.find(database)
    return server.security.user_of(session, db) if db else None


def unquoted(name: str) -> str:
    """A name as QUOTENAME gives it, or bare."""
    return name[1:-1].replace("]]", "]") if name.startswith("[") and name.endswith("]") else name


def has_perms(server: "Server", session: Any, database: str, securable: Any, kind: Any, right: Any, *_: Any) -> Any:
    right, sec = str(right).upper(), server.security
    if kind is None or str(kind).upper() == "SERVER":
        return int(sec.can(session, right))
    kind = str(kind).upper()
    db = server.find(unquoted(str(securable)) if kind == "DATABASE" and securable is not None else database)
    if db is None:
        return None
    if db.writer is None:
        return 0
    if right == "ANY":
        return int(sec.user_of(session, db) is not None)
    name = ""
    if kind != "DATABASE":
        name = str(securable).replace("[", "").replace("]", "")
        parts = name.split(".")
        if len(parts) == 3:
            db = server.find(parts[0]) or db
            parts = parts[1:]
        name = ".".join(parts) if len(parts) == 2 else "dbo." + parts[0]
    return int(sec.can_in(session, db, right, ROLE_RIGHTS.get(right, ()), name))


def is_srvrolemember(server: "Server", session: Any, _db: str, role: Any, login: Any = None) -> Any:
    if str(role).casefold() not in SERVER_ROLES and str(role).casefold() != "public":
        return None
    name = str(login) if login is not None else server.security.name_of(session)
    return int(str(role).casefold() == "public" or server.security.in_server_role(name, str(role)))


def is_rolemember(server: "Server", session: Any, database: str, role: Any, user: Any = None) -> Any:
    db = server.find(database)
    if db is None:
        return None
    name = str(user) if user is not None else server.security.user_of(session, db)
    if name is None:
        return None
    mine = server.security.roles_of(db, name)
    if str(role).casefold() not in (*DATABASE_ROLES, "public") and str(role).casefold() not in mine:
        return None
    return int(name == "dbo" or str(role).casefold() == "public" or str(role).casefold() in mine)


def has_dbaccess(server: "Server", session: Any, _db: str, name: Any) -> Any:
    db = server.find(str(name))
    if db is None:
        return None
    try:
        server.database(str(name), session)
    except SqlError:
        return 0
    return 1


def preferred_replica(server: "Server", _session: Any, _db: str, name: Any) -> Any:
    """1 for databases outside any availability group."""
    return True if server.find(str(name or "")) is not None else None


def connection_property(_server: "Server", _session: Any, _db: str, name: Any) -> Any:
    return {"net_transport": "TCP", "protocol_type": "TSQL", "auth_scheme": "SQL", "client_net_address": "127.0.0.1",
            "physical_net_transport": "TCP"}.get(str(name).casefold())


def original_login(server: "Server", session: Any, _db: str) -> Any:
    return server.security.name_of(session)


FUNCTIONS: dict[str, Callable] = {
    "serverproperty": server_property, "databasepropertyex": database_property, "db_id": db_id, "db_name": db_name,
    "suser_sname": suser_name, "suser_name": suser_name, "suser_sid": suser_sid, "user_name": user_name, "current_user": user_name,
    "session_user": user_name, "system_user": original_login, "original_login": original_login, "has_perms_by_name": has_perms,
    "is_srvrolemember": is_srvrolemember, "is_member": is_rolemember, "is_rolemember": is_rolemember, "has_dbaccess": has_dbaccess,
    "fn_hadr_backup_is_preferred_replica": preferred_replica, "connectionproperty": connection_property,
    "@@version": lambda server, *_: server.version_text(), "@@servername": lambda server, *_: server.name,
    "@@microsoftversion": lambda server, *_: server.version[0] << 24 | server.version[1] << 16 | server.version[2],
}
