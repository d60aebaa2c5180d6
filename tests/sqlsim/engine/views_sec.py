# SPDX-License-Identifier: Apache-2.0
"""Principals, permissions, certificates."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from .coltypes import cols, when
from .security import DATABASE_ROLES, SERVER_ROLES

if TYPE_CHECKING:
    from .server import Server

SERVER_PRINCIPALS = cols("""name nvarchar(128)!, principal_id int!, sid varbinary(85), type char(1)!, type_desc nvarchar(60), is_disabled bit,
create_date datetime!, modify_date datetime!, default_database_name nvarchar(128), default_language_name nvarchar(128)""")
SQL_LOGINS = SERVER_PRINCIPALS + cols("is_policy_checked bit, is_expiration_checked bit")


def logins(server: "Server", session: Any, _database: str) -> list[tuple]:
    every = server.security.can(session, "VIEW ANY DEFINITION")
    me = server.security.name_of(session).casefold()
    found = server.store.run("SELECT name, id, sid, type, disabled, default_db, created FROM logins ORDER BY id")
    return [(n, i, sid, kind, "SQL_LOGIN" if kind == "S" else "WINDOWS_LOGIN", bool(off), when(made), when(made), db, "us_english")
            for n, i, sid, kind, off, db, made in found if every or n.casefold() in (me, "sa")]


def principals(server: "Server", session: Any, database: str) -> list[tuple]:
    made = server.start_time
    roles = [(n, 2 + i, bytes([2 + i]), "R", "SERVER_ROLE", False, made, made, None, None) for i, n in enumerate(("public", *SERVER_ROLES))]
    return logins(server, session, database) + roles


def role_members(server: "Server", _session: Any, _database: str) -> list[tuple]:
    ids = dict(server.store.run("SELECT lower(name), id FROM logins"))
    return [(3 + SERVER_ROLES.index(r.casefold()), ids[m.casefold()]) for r, m in server.store.run("SELECT role, login FROM roles")
            if m.casefold() in ids]


def server_permissions(server: "Server", _session: Any, _database: str) -> list[tuple]:
    ids = dict(server.store.run("SELECT lower(name), id FROM logins"))
    return [(100, "SERVER", 0, 0, ids.get(n.casefold(), 2), 1, p[:4], p, s, "GRANT" if s == "G" else "DENY")
            for n, p, s in server.store.run("SELECT login, perm, state FROM perms")]


DATABASE_PRINCIPALS = cols("""name nvarchar(128)!, principal_id int!, type char(1)!, type_desc nvarchar(60), default_schema_name nvarchar(128),
create_date datetime!, modify_date datetime!, owning_principal_id int, sid varbinary(85), is_fixed_role bit!,
authentication_type int!, authentication_type_desc nvarchar(60)""")


def _read(server: "Server", session: Any, database: str, sql: str) -> list[tuple]:
    with contextlib.closing(server.database(database, session).reader()) as db:
        return db.execute(sql).fetchall()


def database_principals(server: "Server", session: Any, database: str) -> list[tuple]:
    db = server.database(database, session)
    made = when(db.state.create_date)
    out = [("public", 0, "R", "DATABASE_ROLE", None, made, made, 1, None, False, 0, "NONE"),
           ("dbo", 1, "S", "SQL_USER", "dbo", made, made, None, bytes.fromhex(db.state.dbo_sid or db.state.owner_sid), False, 1, "INSTANCE"),
           ("guest", 2, "S", "SQL_USER", "guest", made, made, None, b"\0", False, 0, "NONE")]
    for name, number, sid, kind, created in _read(server, session, database, 'SELECT name, id, sid, type, created FROM "sys.users" ORDER BY id'):
        role = kind == "R"
        out.append((name, number, kind, "DATABASE_ROLE" if role else "SQL_USER", None if role else "dbo", when(created), when(created),
                    1 if role else None, sid, False, 0 if role else 1, "NONE" if role else "INSTANCE"))
    for at, name in enumerate(DATABASE_ROLES):
        out.append((name, 16384 + at, "R", "DATABASE_ROLE", None, made, made, 1, None, True, 0, "NONE"))
    return out


def database_role_members(server: "Server", session: Any, database: str) -> list[tuple]:
    ids = {p[0].casefold(): p[1] for p in database_principals(server, session, database)}
    members = [(ids[r.casefold()], ids[m.casefold()]) for r, m in _read(server, session, database, 'SELECT role, member FROM "sys.members"')
               if r.casefold() in ids and m.casefold() in ids]
    return [(ids["db_owner"], 1), *members]


def database_permissions(server: "Server", session: Any, database: str) -> list[tuple]:
    ids = {p[0].casefold(): p[1] for p in database_principals(server, session, database)}
    found = _read(server, session, database, 'SELECT grantee, perm, object, state FROM "sys.perms"')
    return [(1 if o else 0, "OBJECT_OR_COLUMN" if o else "DATABASE", 0, 0, ids.get(g.casefold(), 0), 1, p[:4], p, s,
             "GRANT" if s == "G" else "DENY") for g, p, o, s in found]


CERTIFICATES = cols("""name nvarchar(128)!, certificate_id int!, principal_id int, pvt_key_encryption_type char(2)!,
pvt_key_encryption_type_desc nvarchar(60), issuer_name nvarchar(442), subject nvarchar(4000), expiry_date datetime, start_date datetime,
thumbprint varbinary(32)!, pvt_key_last_backup_date datetime""")


def certificates(server: "Server", _session: Any, database: str) -> list[tuple]:
    if database.casefold() != "master":
        return []
    keys = {True: ("MK", "ENCRYPTED_BY_MASTER_KEY"), False: ("NA", "NO_PRIVATE_KEY")}
    return [(n, c["id"], 1, *keys[c.get("private", True)], c["subject"], c["subject"], None, None, bytes.fromhex(c["thumbprint"]),
             when(c["backup"])) for n, c in server.store.things("certificate").items()]


ASYMMETRIC_KEYS = cols("""name nvarchar(128)!, principal_id int, asymmetric_key_id int!, pvt_key_encryption_type char(2)!,
pvt_key_encryption_type_desc nvarchar(60), thumbprint varbinary(32)!, algorithm char(2)!, algorithm_desc nvarchar(60), key_length int""")
CREDENTIALS = cols("credential_id int!, name nvarchar(128)!, credential_identity nvarchar(4000), create_date datetime!, modify_date datetime!")


def credentials(server: "Server", _session: Any, _database: str) -> list[tuple]:
    now = server.start_time
    return [(65536 + i, n, c["identity"], now, now) for i, (n, c) in enumerate(server.store.things("credential").items())]


MY_PERMISSIONS = cols("entity_name nvarchar(128)!, subentity_name nvarchar(128)!, permission_name nvarchar(60)!")
DATABASE_RIGHTS = ("CONNECT", "BACKUP DATABASE", "BACKUP LOG", "CREATE TABLE", "SELECT", "INSERT", "UPDATE", "DELETE", "EXECUTE", "ALTER",
                   "CONTROL", "VIEW DEFINITION", "VIEW DATABASE STATE")
ROLE_RIGHTS = {"BACKUP DATABASE": ("db_backupoperator",), "BACKUP LOG": ("db_backupoperator",), "SELECT": ("db_datareader",),
               "INSERT": ("db_datawriter",), "UPDATE": ("db_datawriter",), "DELETE": ("db_datawriter",), "CREATE TABLE": ("db_ddladmin",)}


def my_permissions(server: "Server", session: Any, database: str, securable: Any = None, kind: Any = None, *_: Any) -> list[tuple]:
    kind = str(kind or ("SERVER" if securable is None else "OBJECT")).upper()
    sec = server.security
    if kind == "SERVER":
        return [("server", "", p) for p in sec.server_rights(session)]
    db = server.database(str(securable) if kind == "DATABASE" and securable else database, session)
    if kind == "DATABASE":
        sec.enter(session, db)
        return [("database", "", p) for p in DATABASE_RIGHTS if p == "CONNECT" or sec.can_in(session, db, p, ROLE_RIGHTS.get(p, ()))]
    name = str(securable or "")
    name = name if "." in name else "dbo." + name
    return [(name, "", p) for p in ("SELECT", "INSERT", "UPDATE", "DELETE", "EXECUTE")
            if sec.can_in(session, db, p, ROLE_RIGHTS.get(p, ()), name)]


PERMISSIONS = cols("""class tinyint!, class_desc nvarchar(60), major_id int!, minor_id int!, grantee_principal_id int!,
grantor_principal_id int!, type char(4)!, permission_name nvarchar(128), state char(1)!, state_desc nvarchar(60)""")
VIEWS: dict[str, tuple[Any, Any]] = {
    "sys.server_principals": (SERVER_PRINCIPALS, principals),
    "sys.sql_logins": (SQL_LOGINS, lambda s, c, d: [r + (False, False) for r in logins(s, c, d)]),
    "sys.server_role_members": (cols("role_principal_id int!, member_principal_id int!"), role_members),
    "sys.server_permissions": (PERMISSIONS, server_permissions), "sys.database_principals": (DATABASE_PRINCIPALS, database_principals),
    "sys.database_role_members": (cols("role_principal_id int!, member_principal_id int!"), database_role_members),
    "sys.database_permissions": (PERMISSIONS, database_permissions), "sys.certificates": (CERTIFICATES, certificates),
    "sys.credentials": (CREDENTIALS, credentials), "sys.asymmetric_keys": (ASYMMETRIC_KEYS, lambda *_: []),
}
FUNCTIONS: dict[str, tuple[Any, Any]] = {"sys.fn_my_permissions": (MY_PERMISSIONS, my_permissions),
                                         "fn_my_permissions": (MY_PERMISSIONS, my_permissions)}
