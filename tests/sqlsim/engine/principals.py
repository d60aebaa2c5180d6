# SPDX-License-Identifier: Apache-2.0
"""The statements that change logins, users, roles and permissions."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import TYPE_CHECKING, Any

from ..contract import SqlError
from .security import DATABASE_ROLES, SERVER_PERMISSIONS, SERVER_ROLES, SINCE_16, digest

if TYPE_CHECKING:
    from .database import Database
    from .server import Server


def no_principal(name: str, number: int = 15151, what: str = "login", verb: str = "alter") -> SqlError:
    return SqlError(number, f"Cannot {verb} the {what} '{name}', because it does not exist or you do not have permission.", 1, 16)


class Principals:
    def __init__(self, server: "Server") -> None:
        self.server = server
        self.sec = server.security

    def run(self, session: Any, database: str, verb: str, args: dict[str, Any]) -> None:
        method = getattr(self, verb.lower().replace(" ", "_"), None)
        if method is None:
            raise SqlError(102, f"Incorrect syntax near '{verb.split()[-1]}'.", 1, 15)
        method(session, database, dict(args))

    def _need_admin(self, session: Any, right: str = "ALTER ANY LOGIN") -> None:
        if not self.sec.can(session, right):
            raise SqlError(15247, "User does not have permission to perform this action.", 1, 16)

    def _database(self, session: Any, name: str) -> "Database":
        database = self.server.database(name, session)
        if not self.sec.can_in(session, database, "ALTER ANY USER", ("db_accessadmin", "db_securityadmin")):
            raise SqlError(15247, "User does not have permission to perform this action.", 1, 16)
        return database

    # -- logins -----------------------------------------------------------------------------------------------------

    def create_login(self, session: Any, _db: str, args: dict) -> None:
        self._need_admin(session)
        self.sec.create_login(args["name"], args.get("password"), args.get("sid"), args.get("default_database") or "master",
                              "U" if args.get("windows") else "S")

    def alter_login(self, session: Any, _db: str, args: dict) -> None:
        login = self.sec.login(args["name"])
        own = login is not None and login["name"].casefold() == self.sec.name_of(session).casefold()
        if not own or set(args) - {"name", "password", "old_password"}:
            self._need_admin(session)
        if login is None:
            raise no_principal(args["name"])
        run = self.server.store.run
        if args.get("password") is not None:
            salt = os.urandom(16)
            run("UPDATE logins SET hash=?, salt=? WHERE name=?", digest(args["password"], salt), salt, login["name"])
        if args.get("default_database"):
            run("UPDATE logins SET default_db=? WHERE name=?", args["default_database"], login["name"])
        if args.get("enable") is not None:
            run("UPDATE logins SET disabled=? WHERE name=?", int(not args["enable"]), login["name"])
        if args.get("new_name"):
            for table, column in (("logins", "name"), ("roles", "login"), ("perms", "login")):
                run(f"UPDATE {table} SET {column}=? WHERE {column}=?", args["new_name"], login["name"])

    def drop_login(self, session: Any, _db: str, args: dict) -> None:
        self._need_admin(session)
        if self.sec.login(args["name"]) is None:
            raise no_principal(args["name"], verb="drop")
        if any(i.login_name.casefold() == args["name"].casefold() for i in list(self.server.sessions.values())):
            raise SqlError(15434, f"Could not drop login '{args['name']}' as the user is currently logged in.", 1, 16)
        for table, column in (("logins", "name"), ("roles", "login"), ("perms", "login")):
            self.server.store.run(f"DELETE FROM {table} WHERE {column}=?", args["name"])

    def alter_server_role(self, session: Any, _db: str, args: dict) -> None:
        self._need_admin(session)
        role = args["role"]
        if role.casefold() not in SERVER_ROLES:
            raise no_principal(role, what="server role")
        if self.sec.login(args["member"]) is None:
            raise no_principal(args["member"], verb="add" if args.get("add", True) else "drop", what="server principal")
        if args.get("add", True):
            self.server.store.run("INSERT OR IGNORE INTO roles VALUES (?,?)", role, args["member"])
        else:
            self.server.store.run("DELETE FROM roles WHERE role=? AND login=?", role, args["member"])

    # -- users ------------------------------------------------------------------------------------------------------

    def create_user(self, session: Any, db: str, args: dict) -> None:
        database = self._database(session, db)
        name, login_name = args["name"], args.get("login")
        if login_name is False:
            sid = secrets.token_bytes(28)
        else:
            login = self.sec.login(login_name or name)
            if login is None:
                raise SqlError(15007, f"'{login_name or name}' is not a valid login or you do not have permission.", 1, 16)
            sid = login["sid"]
        with database.writing(session) as tran:
            run = tran.connection.execute
            if run('SELECT 1 FROM "sys.users" WHERE name=?', (name,)).fetchone():
                raise SqlError(15023, f"User, group, or role '{name}' already exists in the current database.", 1, 16)
            if run('SELECT 1 FROM "sys.users" WHERE sid=?', (sid,)).fetchone():
                raise SqlError(15063, "The login already has an account under a different user name.", 1, 16)
            self._insert(tran, name, sid, "S")

    def _insert(self, tran: Any, name: str, sid: bytes, kind: str) -> None:
        top = tran.connection.execute('SELECT max(id) FROM "sys.users"').fetchone()[0] or 4
        tran.connection.execute('INSERT INTO "sys.users" VALUES (?,?,?,?,?)',
                                (name, top + 1, sid, kind, self.server.clock.local().isoformat()))

    def alter_user(self, session: Any, db: str, args: dict) -> None:
        database = self._database(session, db)
        with database.writing(session) as tran:
            run = tran.connection.execute
            if not run('SELECT 1 FROM "sys.users" WHERE name=?', (args["name"],)).fetchone():
                raise no_principal(args["name"], what="user")
            if args.get("login"):
                login = self.sec.login(args["login"])
                if login is None:
                    raise SqlError(15007, f"'{args['login']}' is not a valid login or you do not have permission.", 1, 16)
                run('UPDATE "sys.users" SET sid=? WHERE name=?', (login["sid"], args["name"]))
            if args.get("new_name"):
                run('UPDATE "sys.users" SET name=? WHERE name=?', (args["new_name"], args["name"]))
                run('UPDATE "sys.members" SET member=? WHERE member=?', (args["new_name"], args["name"]))
                run('UPDATE "sys.perms" SET grantee=? WHERE grantee=?', (args["new_name"], args["name"]))

    def drop_user(self, session: Any, db: str, args: dict) -> None:
        self._drop(session, db, args, "user")

    def drop_role(self, session: Any, db: str, args: dict) -> None:
        self._drop(session, db, args, "role")

    def _drop(self, session: Any, db: str, args: dict, what: str) -> None:
        database = self._database(session, db)
        with database.writing(session) as tran:
            run = tran.connection.execute
            if not run('SELECT 1 FROM "sys.users" WHERE name=?', (args["name"],)).fetchone():
                if args.get("if_exists"):
                    return
                raise no_principal(args["name"], what=what, verb="drop")
            run('DELETE FROM "sys.users" WHERE name=?', (args["name"],))
            run('DELETE FROM "sys.members" WHERE member=? OR role=?', (args["name"], args["name"]))
            run('DELETE FROM "sys.perms" WHERE grantee=?', (args["name"],))

    def create_role(self, session: Any, db: str, args: dict) -> None:
        with self._database(session, db).writing(session) as tran:
            self._insert(tran, args["name"], secrets.token_bytes(16), "R")

    def alter_role(self, session: Any, db: str, args: dict) -> None:
        database = self._database(session, db)
        role, member = args["role"], args["member"]
        with database.writing(session) as tran:
            run = tran.connection.execute
            if role.casefold() not in DATABASE_ROLES and not run('SELECT 1 FROM "sys.users" WHERE name=? AND type=\'R\'', (role,)).fetchone():
                raise no_principal(role, what="role")
            if not run('SELECT 1 FROM "sys.users" WHERE name=?', (member,)).fetchone():
                raise SqlError(15151, f"Cannot add the principal '{member}', because it does not exist or you do not have permission.")
            if args.get("add", True):
                run('INSERT OR IGNORE INTO "sys.members" VALUES (?,?)', (role, member))
            else:
                run('DELETE FROM "sys.members" WHERE role=? AND member=?', (role, member))

    # -- permissions ------------------------------------------------------------------------------------------------

    def grant(self, session: Any, db: str, args: dict) -> None:
        self._permissions(session, db, args, "G")

    def deny(self, session: Any, db: str, args: dict) -> None:
        self._permissions(session, db, args, "D")

    def revoke(self, session: Any, db: str, args: dict) -> None:
        self._permissions(session, db, args, "")

    def _permissions(self, session: Any, db: str, args: dict, state: str) -> None:
        if (args.get("class") or args.get("object_class") or "").upper() in ("DATABASE", "SCHEMA", "SERVER"):
            args["object"] = ""  # rights are kept per database and per object, not per schema
        for right in args["permissions"]:
            right = right.upper()
            if right in SINCE_16 and self.server.major < 16:
                raise SqlError(102, f"Incorrect syntax near '{right.split()[2]}'.", 1, 15)
            for name in args["to"]:
                if right in SERVER_PERMISSIONS and not args.get("object"):
                    self._server_permission(session, db, right, name, state)
                else:
                    self._database_permission(session, db, right, args.get("object") or "", name, state)

    def _server_permission(self, session: Any, db: str, right: str, name: str, state: str) -> None:
        self._need_admin(session, "CONTROL SERVER")
        if db.casefold() != "master":
            raise SqlError(4621, "Permissions at the server scope can only be granted when the current database is master.", 10, 16)
        if self.sec.login(name) is None and name.casefold() != "public":
            raise SqlError(15151, f"Cannot find the login '{name}', because it does not exist or you do not have permission.")
        self.server.store.run("DELETE FROM perms WHERE login=? AND perm=?", name, right)
        if state:
            self.server.store.run("INSERT INTO perms VALUES (?,?,?)", name, right, state)

    def _database_permission(self, session: Any, db: str, right: str, target: str, name: str, state: str) -> None:
        database = self._database(session, db)
        target = ".".join(target.split(".")[-2:])
        if target and "." not in target:
            target = "dbo." + target
        with database.writing(session) as tran:
            run = tran.connection.execute
            known = run('SELECT 1 FROM "sys.users" WHERE name=?', (name,)).fetchone()
            if not known and name.casefold() not in ("public", "guest", *DATABASE_ROLES):
                raise SqlError(15151, f"Cannot find the user '{name}', because it does not exist or you do not have permission.")
            run('DELETE FROM "sys.perms" WHERE grantee=? AND perm=? AND object=?', (name, right, target))
            if state:
                run('INSERT INTO "sys.perms" VALUES (?,?,?,?)', (name, right, target, state))

    def alter_authorization(self, session: Any, db: str, args: dict) -> None:
        database = self.server.database(args.get("object") or db, session)
        if not self.sec.owner(session, database):
            raise SqlError(15151, f"Cannot find the database '{database.name}', because it does not exist or you do not have permission.")
        login = self.sec.login(args["to"])
        if login is None:
            raise SqlError(15151, f"Cannot find the principal '{args['to']}', because it does not exist or you do not have permission.")
        with contextlib.closing(database.reader()) as reader:
            if reader.execute('SELECT 1 FROM "sys.users" WHERE sid=?', (login["sid"],)).fetchone():
                raise SqlError(15110, "The proposed new database owner is already a user or aliased in the database.", 1, 16)
        database.state.owner_sid = database.state.dbo_sid = login["sid"].hex()
        database.save()

    # -- keys -------------------------------------------------------------------------------------------------------

    def create_credential(self, session: Any, _db: str, args: dict) -> None:
        self._need_admin(session, "ALTER ANY CREDENTIAL")
        self.server.store.put_thing("credential", args["name"], {"identity": args.get("identity", "")})

    def drop_credential(self, session: Any, _db: str, args: dict) -> None:
        self._need_admin(session, "ALTER ANY CREDENTIAL")
        self.server.store.drop_thing("credential", args["name"])

    def create_master_key(self, session: Any, _db: str, _args: dict) -> None:
        self._need_admin(session, "CONTROL SERVER")
        self.server.store.put_thing("key", "##MS_DatabaseMasterKey##", {})

    def alter_master_key(self, session: Any, _db: str, _args: dict) -> None:
        self._need_admin(session, "CONTROL SERVER")

    def drop_master_key(self, session: Any, _db: str, _args: dict) -> None:
        self._need_admin(session, "CONTROL SERVER")
        self.server.store.drop_thing("key", "##MS_DatabaseMasterKey##")

    def create_database_encryption_key(self, session: Any, db: str, args: dict) -> None:
        database = self.server.database(db, session)
        if not self.sec.can_in(session, database, "CONTROL"):
            raise SqlError(15247, "User does not have permission to perform this action.", 1, 16)
        name = args.get("certificate") or ""
        found = self.server.store.thing("certificate", name)
        if found is None:
            raise SqlError(15151, f"Cannot find the certificate '{name}', because it does not exist or you do not have permission.")
        if database.state.key:
            raise SqlError(33103, "A database encryption key already exists for this database.", 1, 16)
        database.state.key = found["thumbprint"]
        database.save()

    def drop_database_encryption_key(self, session: Any, db: str, _args: dict) -> None:
        database = self.server.database(db, session)
        if not self.sec.can_in(session, database, "CONTROL"):
            raise SqlError(15247, "User does not have permission to perform this action.", 1, 16)
        if database.state.encrypted:
            raise SqlError(33105, "Cannot drop the database encryption key because it is currently in use.", 1, 16)
        database.state.key = ""
        database.save()

    def create_certificate(self, session: Any, _db: str, args: dict) -> None:
        self._need_admin(session, "CONTROL SERVER")
        if self.server.store.thing("certificate", args["name"]) is not None:
            raise SqlError(15232, f"A certificate with name '{args['name']}' already exists or this certificate already has been added "
                                  "to the database.", 1, 16)
        thumbprint, private = secrets.token_hex(20), True
        if args.get("file"):
            thumbprint, private = self._from_file(args["file"]), bool(args.get("key_file"))
            if private and self._from_file(args["key_file"]) != thumbprint:
                raise SqlError(15297, "The certificate, asymmetric key, or private key data is invalid.", 56, 16)
        self.put_certificate(args["name"], thumbprint, args.get("subject", ""), private)

    @staticmethod
    def _from_file(path: str) -> str:
        """The thumbprint in a file that BACKUP CERTIFICATE wrote."""
        try:
            with open(path, encoding="utf-8") as file:
                words = file.read().split()
        except (OSError, UnicodeDecodeError):
            words = []
        if len(words) != 3 or words[0] != "certificate":
            raise SqlError(15208, "The certificate, asymmetric key, or private key file is not valid or does not exist; or you do not have "
                                  "permissions for it.", 1, 16)
        return words[2]

    def put_certificate(self, name: str, thumbprint: str, subject: str = "", private: bool = True) -> None:
        self.server.store.put_thing("certificate", name, {
            "subject": subject, "thumbprint": thumbprint, "backup": None, "private": private,
            "id": 256 + len(self.server.store.things("certificate"))})

    def drop_certificate(self, session: Any, _db: str, args: dict) -> None:
        self._need_admin(session, "CONTROL SERVER")
        self.server.store.drop_thing("certificate", args["name"])

    def backup_certificate(self, session: Any, _db: str, args: dict) -> None:
        self._need_admin(session, "CONTROL SERVER")
        found = self.server.store.thing("certificate", args["name"])
        if found is None:
            raise SqlError(15151, f"Cannot find the certificate '{args['name']}', because it does not exist or you do not have permission.")
        for path in filter(None, (args.get("file"), args.get("key_file"))):
            try:
                with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o660), "w") as out:
                    out.write(f"certificate {args['name']} {found['thumbprint']}\n")
            except OSError as exc:
                raise SqlError(15240, f"Cannot write into file '{path}'. Verify that you have write permissions, that the file path "
                                      "is valid, and that the file does not already exist.", 1, 16) from exc
        if args.get("key_file"):
            found["backup"] = self.server.clock.local_second().isoformat()
            self.server.store.put_thing("certificate", args["name"], found)


def copy_users(source: "Database", target: "Database") -> None:
    """New databases get the users, roles and permissions of model."""
    tables = ("sys.users", "sys.members", "sys.perms")
    with contextlib.closing(source.reader()) as db:
        content = {t: db.execute(f'SELECT * FROM "{t}"').fetchall() for t in tables}
    if not any(content.values()):
        return
    with target.writing() as tran:
        for table, found in content.items():
            for row in found:
                tran.connection.execute(f'INSERT INTO "{table}" VALUES ({", ".join("?" * len(row))})', row)
