# SPDX-License-Identifier: Apache-2.0
"""Statements about databases, logins, users, roles, permissions, keys and certificates."""

from __future__ import annotations

from typing import Any, Optional

from . import errors
from .nodes import AlterDatabase, CreateDatabase, Security
from .parse_ddl import DdlParser

BARE = {"SINGLE_USER", "MULTI_USER", "RESTRICTED_USER", "OFFLINE", "ONLINE", "EMERGENCY", "READ_ONLY", "READ_WRITE",
        "ENABLE_BROKER", "DISABLE_BROKER", "NEW_BROKER", "ERROR_BROKER_CONVERSATIONS"}
SWITCHES = {"AUTO_CLOSE", "AUTO_SHRINK", "AUTO_CREATE_STATISTICS", "AUTO_UPDATE_STATISTICS", "AUTO_UPDATE_STATISTICS_ASYNC",
            "TRUSTWORTHY", "DB_CHAINING", "ALLOW_SNAPSHOT_ISOLATION", "READ_COMMITTED_SNAPSHOT", "ANSI_NULL_DEFAULT",
            "ANSI_NULLS", "ANSI_PADDING", "ANSI_WARNINGS", "ARITHABORT", "CONCAT_NULL_YIELDS_NULL", "NUMERIC_ROUNDABORT",
            "QUOTED_IDENTIFIER", "RECURSIVE_TRIGGERS", "CURSOR_CLOSE_ON_COMMIT", "DATE_CORRELATION_OPTIMIZATION", "ENCRYPTION",
            "HONOR_BROKER_PRIORITY", "MIXED_PAGE_ALLOCATION", "TEMPORAL_HISTORY_RETENTION",
            "MEMORY_OPTIMIZED_ELEVATE_TO_SNAPSHOT"}
CHOICES = {"RECOVERY": ("FULL", "SIMPLE", "BULK_LOGGED"), "PAGE_VERIFY": ("CHECKSUM", "TORN_PAGE_DETECTION", "NONE"),
           "CURSOR_DEFAULT": ("LOCAL", "GLOBAL"), "PARAMETERIZATION": ("SIMPLE", "FORCED")}
EQUALS = {"COMPATIBILITY_LEVEL", "TARGET_RECOVERY_TIME", "DELAYED_DURABILITY", "QUERY_STORE", "SUSPEND_FOR_SNAPSHOT_BACKUP",
          "CHANGE_TRACKING", "CONTAINMENT", "ACCELERATED_DATABASE_RECOVERY", "DEFAULT_LANGUAGE"}


class AdminParser(DdlParser):
    # -- databases ------------------------------------------------------------------------------------------------------

    def create_database(self, line: int) -> CreateDatabase:
        stmt = CreateDatabase(self.name(), {}, line=line)
        options = stmt.options
        if self.accept("CONTAINMENT"):
            self.need("=")
            options["CONTAINMENT"] = self.name()
        if self.accept("ON"):
            self.accept("PRIMARY")
            options["DATA"] = self.file_specs()
        if self.accept_all("LOG", "ON"):
            options["LOG"] = self.file_specs()
        if self.accept("COLLATE"):
            options["COLLATE"] = self.name()
        if self.accept("WITH"):
            while True:
                key = self.next().key
                options[key] = (self.accept("ON", "OFF") or self.integer()) if not self.accept("=") else self.name_or_int()
                if not self.accept(","):
                    break
        if self.accept("FOR"):
            options["FOR"] = self.need("ATTACH", "ATTACH_REBUILD_LOG")
        if self.accept_all("AS", "SNAPSHOT", "OF"):
            options["AS SNAPSHOT OF"] = self.name()
        return stmt

    def name_or_int(self) -> Any:
        return self.integer() if self.tok.kind == "num" else (self.next().text if self.is_("ON", "OFF") else self.name())

    def file_specs(self) -> list[dict[str, Any]]:
        found = [self.file_spec()]
        while self.accept(","):
            group = ""
            if self.accept("FILEGROUP"):
                group = self.name()
                while self.is_("CONTAINS", "DEFAULT"):
                    self.next()
                    self.accept("FILESTREAM", "MEMORY_OPTIMIZED_DATA")
            spec = self.file_spec()
            if group:
                spec["FILEGROUP"] = group
            found.append(spec)
        return found

    def file_spec(self) -> dict[str, Any]:
        self.need("(")
        spec: dict[str, Any] = {}
        while True:
            key = self.need("NAME", "NEWNAME", "FILENAME", "SIZE", "MAXSIZE", "FILEGROWTH", "OFFLINE")
            if key == "OFFLINE":
                spec[key] = True
            else:
                self.need("=")
                spec[key] = self._size() if key in ("SIZE", "MAXSIZE", "FILEGROWTH") else self.name_or_string()
            if not self.accept(","):
                break
        self.need(")")
        return spec

    def _size(self) -> str:
        if self.accept("UNLIMITED"):
            return "UNLIMITED"
        if self.tok.kind != "num":
            raise self.wrong()
        number = self.next().text
        if self.accept("%"):
            return number + "%"
        return number + (self.accept("KB", "MB", "GB", "TB") or "MB")

    def alter_database(self, line: int) -> AlterDatabase:
        name = "" if self.accept("CURRENT") else self.name()
        stmt = AlterDatabase(name, [], line=line)
        if self.accept("SET"):
            self._set_clauses(stmt)
        elif self.accept("MODIFY"):
            kind = self.need("NAME", "FILE", "FILEGROUP")
            if kind == "NAME":
                self.need("=")
                stmt.clauses.append(("MODIFY NAME", self.name()))
            elif kind == "FILE":
                stmt.clauses.append(("MODIFY FILE", self.file_spec()))
            else:
                stmt.clauses.append(("MODIFY FILEGROUP", [self.name(), self.next().key]))
        elif self.accept("COLLATE"):
            stmt.clauses.append(("COLLATE", self.name()))
        else:
            self._files(stmt)
        return stmt

    def _files(self, stmt: AlterDatabase) -> None:
        verb = self.need("ADD", "REMOVE")
        if self.accept("FILEGROUP"):
            name = self.name()
            if self.accept("CONTAINS"):
                self.need("FILESTREAM", "MEMORY_OPTIMIZED_DATA")
                stmt.clauses.append((verb + " CONTAINER FILEGROUP", name))
            else:
                stmt.clauses.append((verb + " FILEGROUP", name))
        elif verb == "REMOVE":
            self.need("FILE")
            stmt.clauses.append(("REMOVE FILE", self.name_or_string()))
        else:
            kind = "ADD LOG FILE" if self.accept("LOG") else "ADD FILE"
            self.need("FILE")
            for spec in self.file_specs():
                stmt.clauses.append((kind, spec))
            if self.accept_all("TO", "FILEGROUP"):
                stmt.clauses[-1][1]["FILEGROUP"] = self.name()

    def _set_clauses(self, stmt: AlterDatabase) -> None:
        while True:
            stmt.clauses.append(self._set_option())
            if not self.accept(","):
                break
        if self.accept("WITH"):
            if self.accept("NO_WAIT"):
                stmt.termination = "NO_WAIT"
                return
            self.need("ROLLBACK")
            if self.accept("AFTER"):
                stmt.termination = f"ROLLBACK AFTER {self.integer()}"
                self.accept("SECONDS", "SECOND")
            else:
                self.need("IMMEDIATE")
                stmt.termination = "ROLLBACK IMMEDIATE"

    def _set_option(self) -> tuple[str, Any]:
        token = self.tok
        if token.kind != "word":
            raise self.wrong()
        key = self.next().key
        if key in BARE:
            return key, None
        if key in SWITCHES:
            self.accept("=")
            return key, self.need("ON", "OFF")
        if key in CHOICES:
            choice = self.tok
            if choice.kind == "word" and choice.key in CHOICES[key]:
                return key, self.next().key
            raise errors.unknown_option(choice.text, "ALTER DATABASE", choice.line) if choice.kind == "word" else self.wrong()
        if key == "HADR":
            return key, self.next().key
        if key in EQUALS:
            return key, self._equals_value()
        raise errors.unknown_option(token.text, "ALTER DATABASE SET", token.line)

    def _equals_value(self) -> Any:
        self.accept("=")
        value: Any = self.integer() if self.tok.kind == "num" else self.next().key
        if isinstance(value, int):
            self.accept("SECONDS", "MINUTES")
        if self.is_("("):
            start = self.at
            self.skip_parens()
            value = f"{value} {self.text_of(start, self.at).upper()}"
        return value

    # -- principals -----------------------------------------------------------------------------------------------------

    def principal(self, verb: str, kind: str, line: int) -> Security:
        """CREATE, ALTER or DROP of a login, user or role."""
        if_exists = verb == "DROP" and self.accept_all("IF", "EXISTS")
        stmt = Security(f"{verb} {kind}", {"name": self.name()}, line=line)
        if kind.endswith("ROLE") and verb == "ALTER":
            stmt.args["role"] = stmt.args["name"]
        if if_exists:
            stmt.args["if_exists"] = True
        if verb == "DROP":
            return stmt
        if kind.endswith("ROLE"):
            self._role(stmt)
            return stmt
        if self.accept("ENABLE", "DISABLE"):
            stmt.args["enable"] = self.toks[self.at - 1].key == "ENABLE"
            return stmt
        if self.accept("FOR", "FROM"):
            if self.accept("WINDOWS"):
                stmt.args["windows"] = True
            else:
                self.need("LOGIN", "CERTIFICATE")
                stmt.args["login"] = self.name()
        elif self.accept("WITHOUT"):
            self.need("LOGIN")
            stmt.args["login"] = False
        if self.accept("WITH"):
            self._principal_options(stmt.args)
        return stmt

    def _principal_options(self, args: dict[str, Any]) -> None:
        while True:
            token = self.tok
            key = self.next().key
            self.need("=")
            if key == "PASSWORD":
                args["password"] = self.next().value if self.tok.kind == "hex" else self.string()
                for word in iter(lambda: self.accept("HASHED", "MUST_CHANGE", "UNLOCK"), None):
                    args[word.lower()] = True
            elif key == "SID" and self.tok.kind == "hex":
                args["sid"] = self.next().value
            elif key in ("DEFAULT_DATABASE", "DEFAULT_LANGUAGE", "DEFAULT_SCHEMA", "CHECK_POLICY", "CHECK_EXPIRATION", "NAME",
                         "LOGIN", "OLD_PASSWORD", "CREDENTIAL"):
                args["new_name" if key == "NAME" else key.lower()] = self.next().text if self.is_("ON", "OFF") else self.name_or_string()
            else:
                raise self.wrong(token)
            if not self.accept(","):
                return

    def _role(self, stmt: Security) -> None:
        if self.accept("AUTHORIZATION"):
            stmt.args["owner"] = self.name()
        elif self.accept("ADD", "DROP"):
            stmt.args["add"] = self.toks[self.at - 1].key == "ADD"
            self.need("MEMBER")
            stmt.args["member"] = self.name()
        elif self.accept("WITH"):
            self.need("NAME")
            self.need("=")
            stmt.args["new_name"] = self.name()
        elif stmt.verb.startswith("ALTER"):
            raise self.wrong()

    # -- permissions ----------------------------------------------------------------------------------------------------

    def grant(self) -> Security:
        token = self.next()
        args: dict[str, Any] = {"permissions": [], "class": "", "object": "", "to": []}
        if token.key == "REVOKE" and self.accept_all("GRANT", "OPTION", "FOR"):
            args["option_only"] = True
        args["permissions"].append(self._permission())
        while self.accept(","):
            args["permissions"].append(self._permission())
        if self.accept("ON"):
            if self.ahead().text == "::" or self.ahead(2).text == "::":
                words = [self.next().key]
                while not self.is_("::"):
                    words.append(self.next().key)
                self.next()
                args["class"] = " ".join(words)
            args["object"] = ".".join(self.dotted(3))
            if self.is_("("):
                args["columns"] = self.names()
        self.need(*(("TO", "FROM") if token.key == "REVOKE" else ("TO",)))
        args["to"].append(self._grantee())
        while self.accept(","):
            args["to"].append(self._grantee())
        if self.accept_all("WITH", "GRANT", "OPTION"):
            args["with_grant"] = True
        if self.accept("CASCADE"):
            args["cascade"] = True
        if self.accept("AS"):
            args["as"] = self.name()
        return Security(token.key, args, line=token.line)

    def _grantee(self) -> str:
        return self.next().text if self.is_("PUBLIC") else self.name()

    def _permission(self) -> str:
        words = []
        while self.tok.kind == "word" and not self.is_("ON", "TO", "FROM"):
            words.append(self.next().key)
            if self.is_("("):
                self.names()
        if not words:
            raise self.wrong()
        return " ".join(words)

    def alter_authorization(self, line: int) -> Security:
        self.need("ON")
        kind = "OBJECT"
        if self.ahead().text == "::":
            kind = self.next().key
            self.next()
        args = {"class": kind, "object": ".".join(self.dotted(3))}
        self.need("TO")
        args["to"] = self.next().text if self.is_("SCHEMA") else self.name()
        return Security("ALTER AUTHORIZATION", args, line=line)

    # -- keys -----------------------------------------------------------------------------------------------------------

    def key_statement(self, verb: str, kind: str, line: int) -> Security:
        """CREDENTIAL, CERTIFICATE, MASTER KEY, DATABASE ENCRYPTION KEY, ... Options are kept by name."""
        args: dict[str, Any] = {}
        if verb == "DROP" and self.accept_all("IF", "EXISTS"):
            args["if_exists"] = True
        if kind not in ("MASTER KEY", "DATABASE ENCRYPTION KEY", "SERVICE MASTER KEY"):
            args["name"] = self.name()
        self._key_options(args)
        return Security(f"{verb} {kind}", args, line=line)

    def _key_options(self, args: dict[str, Any]) -> None:
        while self.is_("WITH", "ENCRYPTION", "DECRYPTION", "FROM", "TO", ",", "(", ")", "IDENTITY", "SECRET", "SUBJECT",
                       "EXPIRY_DATE", "START_DATE", "FILE", "PRIVATE", "ALGORITHM", "AUTHORIZATION", "FORCE", "REGENERATE",
                       "ADD", "DROP", "FORMAT"):
            word = self.next().key
            if word in ("WITH", "FROM", "TO", ",", "(", ")", "FORCE", "ADD", "DROP"):
                continue
            if word in ("ENCRYPTION", "DECRYPTION"):
                self.need("BY")
                word += " BY " + self._encryptor(args)
                continue
            if word == "PRIVATE":
                self.need("KEY")
                args["private_key"] = True
                continue
            if word == "REGENERATE":
                continue
            if word == "AUTHORIZATION":
                args["owner"] = self.name()
                continue
            self.need("=")
            value = self.value_or_var() if self.tok.kind in ("str", "var", "num") else self.name()
            key = word.lower()
            args["key_file" if key == "file" and args.get("private_key") else key] = value

    def _encryptor(self, args: dict[str, Any]) -> str:
        if self.accept("PASSWORD"):
            self.need("=")
            args["password"] = self.string()
            return "PASSWORD"
        if self.accept_all("SERVICE", "MASTER", "KEY"):
            args["service_master_key"] = True
            return "SERVICE MASTER KEY"
        self.need("SERVER")
        kind = self.need("CERTIFICATE", "ASYMMETRIC")
        if kind == "ASYMMETRIC":
            self.need("KEY")
        args["certificate"] = self.name()
        return "SERVER CERTIFICATE"

    def backup_key(self, line: int) -> Security:
        if self.accept("CERTIFICATE"):
            return self.key_statement("BACKUP", "CERTIFICATE", line)
        service = "SERVICE " if self.accept("SERVICE") else ""
        self.need("MASTER")
        self.need("KEY")
        return self.key_statement("BACKUP", service + "MASTER KEY", line)

    def alter_server(self, line: int) -> Optional[Security]:
        """ALTER SERVER ROLE, ALTER SERVER CONFIGURATION"""
        if self.accept("ROLE"):
            return self.principal("ALTER", "SERVER ROLE", line)
        self.need("CONFIGURATION")
        self.need("SET")
        start = self.at
        key = self.next().key
        value = self._equals_value()
        return Security("ALTER SERVER CONFIGURATION", {"option": key, "value": value, "text": self.text_of(start, self.at)},
                        line=line)
