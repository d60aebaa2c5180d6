# SPDX-License-Identifier: Apache-2.0
"""Logins, users, roles and permissions (facts of the real server: 262, 916, 229, 300, 297, 3110, 18456)."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from typing import TYPE_CHECKING, Any, Optional

from ..contract import Login, SqlError
from . import errors

if TYPE_CHECKING:
    from .database import Database
    from .server import Server

SERVER_ROLES = ("sysadmin", "securityadmin", "serveradmin", "setupadmin", "processadmin", "diskadmin", "dbcreator", "bulkadmin")
DATABASE_ROLES = ("db_owner", "db_accessadmin", "db_securityadmin", "db_ddladmin", "db_backupoperator", "db_datareader",
                  "db_datawriter", "db_denydatareader", "db_denydatawriter")
SERVER_PERMISSIONS = (
    "CONTROL SERVER", "VIEW SERVER STATE", "VIEW SERVER PERFORMANCE STATE", "VIEW SERVER SECURITY STATE", "VIEW ANY DATABASE",
    "VIEW ANY DEFINITION", "CREATE ANY DATABASE", "ALTER ANY DATABASE", "CONNECT ANY DATABASE", "CONNECT SQL", "ALTER ANY CONNECTION",
    "ALTER ANY CREDENTIAL", "ALTER ANY LOGIN", "ALTER SERVER STATE", "ALTER SETTINGS", "SELECT ALL USER SECURABLES", "SHUTDOWN",
    "ALTER TRACE", "ADMINISTER BULK OPERATIONS")
# Permissions that came with version 16.
SINCE_16 = {"VIEW SERVER PERFORMANCE STATE", "VIEW SERVER SECURITY STATE"}
IMPLIED = {
    "VIEW SERVER PERFORMANCE STATE": ("VIEW SERVER STATE", "ALTER SERVER STATE"), "VIEW SERVER STATE": ("ALTER SERVER STATE",),
    "VIEW SERVER SECURITY STATE": ("VIEW SERVER STATE",), "CREATE ANY DATABASE": ("ALTER ANY DATABASE",),
    "VIEW ANY DATABASE": ("VIEW ANY DEFINITION", "CREATE ANY DATABASE", "ALTER ANY DATABASE"),
}
SA_SID = b"\x01"


def digest(password: str, salt: bytes) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", password.encode("utf-16-le"), salt, 1000)


def bad_login(user: str) -> SqlError:
    return SqlError(18456, f"Login failed for user '{user}'.", 1, 14)


class Security:
    def __init__(self, server: "Server") -> None:
        self.server = server

    def __call__(self, session: Any, database: str, verb: str, args: dict[str, Any]) -> None:
        """EngineApi.security: a statement that changes logins, users or rights."""
        self.server.principals.run(session, database, verb, args)

    @property
    def store(self):
        return self.server.store

    # -- logins -----------------------------------------------------------------------------------------------------

    def create_login(self, name: str, password: Optional[str], sid: Optional[bytes] = None, default_db: str = "master",
                     kind: str = "S") -> None:
        if self.login(name) is not None:
            raise SqlError(15025, f"The server principal '{name}' already exists.", 2, 16)
        if kind == "S" and password is not None and name != "sa" and len(password) < 8 and self.server.check_policy:
            raise SqlError(15116, "Password validation failed. The password does not meet Windows policy requirements "
                                  "because it is too short.", 1, 16)
        salt = os.urandom(16)
        top = self.store.run("SELECT max(id) FROM logins")[0][0] or 256
        number = 1 if name == "sa" else max(257, top + 1)
        self.store.run("INSERT INTO logins VALUES (?,?,?,?,?,?,0,?,?)", name, number, sid or secrets.token_bytes(16), kind,
                       digest(password or "", salt), salt, default_db, self.server.clock.local().isoformat())

    def login(self, name: str) -> Optional[dict]:
        rows = self.store.run("SELECT name, id, sid, type, hash, salt, disabled, default_db, created FROM logins WHERE name=?", name)
        keys = ("name", "id", "sid", "type", "hash", "salt", "disabled", "default_db", "created")
        return dict(zip(keys, rows[0])) if rows else None

    def authenticate(self, login: Login) -> dict:
        found = self.login(login.user)
        if found is None:
            self.server.errorlog(f"Login failed for user '{login.user}'. Reason: Could not find a login matching the name provided.")
            raise bad_login(login.user)
        if not hmac.compare_digest(digest(login.password, found["salt"]), found["hash"]):
            self.server.errorlog(f"Login failed for user '{login.user}'. Reason: Password did not match that for the login provided.")
            raise bad_login(login.user)
        if found["disabled"]:
            raise SqlError(18470, f"Login failed for user '{login.user}'. Reason: The account is disabled.", 1, 14)
        return found

    # -- server level -----------------------------------------------------------------------------------------------

    def name_of(self, session: Any) -> str:
        """None is the engine itself; a session that is gone has no rights."""
        if session is None:
            return "sa"
        info = self.server.sessions.get(session.spid)
        return info.login_name if info is not None else ""

    def sid_of(self, session: Any) -> bytes:
        login = self.login(self.name_of(session))
        return login["sid"] if login else SA_SID

    def in_server_role(self, name: str, role: str) -> bool:
        return bool(self.store.run("SELECT 1 FROM roles WHERE role=? AND login=?", role, name))

    def sysadmin(self, session: Any) -> bool:
        return self.in_server_role(self.name_of(session), "sysadmin")

    def can(self, session: Any, right: str) -> bool:
        """A server permission."""
        name = self.name_of(session)
        if self.in_server_role(name, "sysadmin"):
            return True
        given = dict(self.store.run("SELECT perm, state FROM perms WHERE login IN (?, 'public')", name))
        if given.get(right) == "D":
            return False
        wanted = [right, "CONTROL SERVER"]
        for each in wanted:
            wanted.extend(IMPLIED.get(each, ()))
        if any(given.get(each) == "G" for each in wanted):
            return True
        if right in ("CREATE ANY DATABASE", "ALTER ANY DATABASE") or (right == "VIEW ANY DATABASE"):
            if self.in_server_role(name, "dbcreator"):
                return True
        return right in ("ALTER ANY CONNECTION", "VIEW SERVER STATE", "ALTER SERVER STATE") and self.in_server_role(name, "processadmin")

    def need_server_state(self, session: Any, performance: bool = True) -> None:
        """For DMVs: VIEW SERVER PERFORMANCE STATE from 2022 on (VIEW SERVER STATE covers it), VIEW SERVER STATE before."""
        right = "VIEW SERVER PERFORMANCE STATE" if self.server.major >= 16 and performance else "VIEW SERVER STATE"
        if not self.can(session, right):
            raise errors.server_state_denied(right)

    def server_rights(self, session: Any) -> list[str]:
        return [p for p in SERVER_PERMISSIONS if (p not in SINCE_16 or self.server.major >= 16)
                and (p == "CONNECT SQL" or self.can(session, p))]

    # -- database level ---------------------------------------------------------------------------------------------

    def _query(self, database: "Database", sql: str, *args: Any) -> list[tuple]:
        if database.writer is None:
            return []
        db = database.reader()
        try:
            return db.execute(sql, args).fetchall()
        finally:
            db.close()

    def user_of(self, session: Any, database: "Database") -> Optional[str]:
        """The name under which the session's login is in the database, None when it may not enter."""
        sid = self.sid_of(session)
        if self.sysadmin(session) or database.state.owner_sid == sid.hex():
            return "dbo"
        found = self._query(database, 'SELECT name FROM "sys.users" WHERE sid=?', sid)
        if found:
            return found[0][0]
        if database.name.lower() in ("master", "msdb", "tempdb") or self.can(session, "CONNECT ANY DATABASE"):
            return "guest"
        return None

    def enter(self, session: Any, database: "Database") -> str:
        user = self.user_of(session, database)
        if user is None:
            raise SqlError(916, f'The server principal "{self.name_of(session)}" is not able to access the database '
                                f'"{database.name}" under the current security context.', 2, 14)
        return user

    def roles_of(self, database: "Database", user: str) -> set[str]:
        found, todo = set(), [user]
        members = self._query(database, 'SELECT role, member FROM "sys.members"')
        while todo:
            name = todo.pop().casefold()
            for role, member in members:
                if member.casefold() == name and role.casefold() not in found:
                    found.add(role.casefold())
                    todo.append(role)
        return found

    def owner(self, session: Any, database: "Database") -> bool:
        """dbo: sysadmin or the owner himself."""
        return self.user_of(session, database) == "dbo"

    def can_in(self, session: Any, database: "Database", right: str, roles: tuple[str, ...] = (), target: str = "") -> bool:
        """A database or object permission."""
        user = self.user_of(session, database)
        if user is None:
            return False
        if user == "dbo":
            return True
        mine = self.roles_of(database, user)
        names = {user.casefold(), "public", *mine}
        given = [(p, o, s) for g, p, o, s in self._query(database, 'SELECT grantee, perm, object, state FROM "sys.perms"')
                 if g.casefold() in names]
        wanted = {right, "CONTROL"}
        targets = {"", target.casefold()}
        if any(s == "D" and p == right and o.casefold() in targets for p, o, s in given):
            return False
        if "db_owner" in mine or mine & set(roles):
            return True
        return any(s == "G" and p in wanted and o.casefold() in targets for p, o, s in given)

    def need_backup(self, session: Any, database: "Database", what: str) -> None:
        if not self.can_in(session, database, f"BACKUP {what}", ("db_backupoperator",)):
            raise errors.fail(f"BACKUP {what}", 262, f"BACKUP {what} permission denied in database '{database.name}'.", 1, 14)

    def need_media(self, session: Any, what: str) -> None:
        """HEADERONLY and friends, and RESTORE of a database that is not there."""
        if not self.can(session, "CREATE ANY DATABASE"):
            raise errors.fail(what, 262, "CREATE DATABASE permission denied in database 'master'.", 1, 14)

    def need_restore(self, session: Any, database: "Database", what: str) -> None:
        name = self.name_of(session)
        if self.in_server_role(name, "sysadmin") or self.in_server_role(name, "dbcreator"):
            return
        if database.state.owner_sid != self.sid_of(session).hex():
            raise errors.fail(what, 3110, f"User does not have permission to RESTORE database '{database.name}'.", 1, 14)

    def need_select(self, session: Any, database: "Database", name: str) -> None:
        schema, _, table = name.rpartition(".")
        if not self.can_in(session, database, "SELECT", ("db_datareader",), name):
            raise errors.object_denied("SELECT", table, database.name, schema or "dbo")

    def need_execute(self, session: Any, database: "Database", name: str) -> None:
        if not self.can_in(session, database, "EXECUTE", (), f"dbo.{name}"):
            raise errors.object_denied("EXECUTE", name, database.name)
