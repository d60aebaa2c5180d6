# SPDX-License-Identifier: Apache-2.0
"""BACKUP and RESTORE."""

from __future__ import annotations

from typing import Any

from ..contract import Error, SqlError
from . import errors
from .nodes import Media, Var
from .parse_dml import DmlParser

COMMON_FLAGS = {"CHECKSUM", "NO_CHECKSUM", "STOP_ON_ERROR", "CONTINUE_AFTER_ERROR", "NORECOVERY", "RESTART", "REWIND",
                "NOREWIND", "UNLOAD", "NOUNLOAD"}
BACKUP_FLAGS = COMMON_FLAGS | {"COPY_ONLY", "DIFFERENTIAL", "NO_COMPRESSION", "INIT", "NOINIT", "FORMAT", "NOFORMAT", "SKIP",
                               "NOSKIP", "NO_TRUNCATE", "FILE_SNAPSHOT"}
RESTORE_FLAGS = COMMON_FLAGS | {"RECOVERY", "REPLACE", "RESTRICTED_USER", "KEEP_CDC", "KEEP_REPLICATION", "KEEP_TEMPORAL_RETENTION",
                                "LOADHISTORY", "PARTIAL", "ENABLE_BROKER", "ERROR_BROKER_CONVERSATIONS", "NEW_BROKER",
                                "METADATA_ONLY", "FILE_SNAPSHOT"}
COMMON_VALUES = {"MEDIANAME", "MEDIAPASSWORD", "PASSWORD", "BLOCKSIZE", "BUFFERCOUNT", "MAXTRANSFERSIZE", "STANDBY", "CREDENTIAL"}
BACKUP_VALUES = COMMON_VALUES | {"NAME", "DESCRIPTION", "MEDIADESCRIPTION", "EXPIREDATE", "RETAINDAYS", "BACKUP_OPTIONS"}
RESTORE_VALUES = COMMON_VALUES | {"FILE", "STOPAT", "RESTORE_OPTIONS", "DBNAME"}
READERS = ("HEADERONLY", "FILELISTONLY", "LABELONLY", "VERIFYONLY")


class MediaParser(DmlParser):
    def backup(self) -> Media:
        line = self.next().line
        if self.is_("CERTIFICATE", "SERVICE", "MASTER"):
            return self.backup_key(line)
        what = self.need("DATABASE", "LOG", "TRAN", "TRANSACTION")
        what = "DATABASE" if what == "DATABASE" else "LOG"
        stmt = Media("BACKUP", what, self._database(), [], {}, line=line)
        if what == "DATABASE":
            self._file_parts(stmt, ("TO",))
        self.need("TO")
        stmt.devices = self._devices()
        while self.accept_all("MIRROR", "TO"):
            stmt.mirrors.append(self._devices())
        if self.accept("WITH"):
            self._options(stmt, self._backup_option)
        return stmt

    def backup_key(self, line: int) -> Any:
        raise NotImplementedError

    def restore(self) -> Media:
        line = self.next().line
        if self.is_(*READERS):
            stmt = Media("RESTORE", self.next().key, "", [], {}, line=line)
            self.need("FROM")
            stmt.devices = self._devices()
        else:
            what = self.need("DATABASE", "LOG", "TRAN", "TRANSACTION")
            stmt = Media("RESTORE", "DATABASE" if what == "DATABASE" else "LOG", self._database(), [], {}, line=line)
            self._file_parts(stmt, ("FROM", "WITH"))
            if self.accept("FROM"):
                if self.accept("DATABASE_SNAPSHOT"):
                    self.need("=")
                    stmt.options["DATABASE_SNAPSHOT"] = self.value_or_var()
                else:
                    stmt.devices = self._devices()
        if self.accept("WITH"):
            self._options(stmt, self._restore_option)
        return stmt

    def _database(self) -> Any:
        return Var(self.variable()) if self.tok.kind == "var" else self.name()

    def _file_parts(self, stmt: Media, until: tuple[str, ...]) -> None:
        """FILE = 'x', FILEGROUP = 'y', PAGE = '1:2', READ_WRITE_FILEGROUPS between the database's name and its devices."""
        if not self.is_("FILE", "FILEGROUP", "PAGE", "READ_WRITE_FILEGROUPS"):
            return
        while True:
            if self.accept("READ_WRITE_FILEGROUPS"):
                stmt.options["READ_WRITE_FILEGROUPS"] = True
            else:
                kind = self.need("FILE", "FILEGROUP", "PAGE")
                self.need("=")
                if kind == "PAGE":
                    stmt.options["PAGE"] = self.value_or_var()
                else:
                    stmt.options.setdefault("FILES", []).append((kind, self.value_or_var()))
            if not self.accept(","):
                return

    def _devices(self) -> list[Any]:
        found = [self._device()]
        while self.accept(","):
            found.append(self._device())
        return found

    def _device(self) -> Any:
        if self.is_("DISK", "URL") and self.ahead().text == "=":
            self.at += 2
            return Var(self.variable()) if self.tok.kind == "var" else self.string()
        if self.is_("TAPE", "VIRTUAL_DEVICE") and self.ahead().text == "=":
            kind = self.next().text
            self.next()
            return ("device", kind, self.value_or_var())
        if self.tok.kind == "var":
            return ("device", "", Var(self.variable()))
        return ("device", "", self.name())

    def _options(self, stmt: Media, option: Any) -> None:
        while True:
            option(stmt)
            if not self.accept(","):
                return

    def _key(self) -> tuple[str, int]:
        token = self.tok
        if token.kind != "word":
            raise self.wrong()
        self.next()
        return token.key, token.line

    def _flag_or_value(self, stmt: Media, key: str, flags: set[str], values: set[str], kind: str, line: int) -> None:
        text = self.toks[self.at - 1].text
        if key in flags:
            stmt.options[key] = True
        elif key == "STATS":
            stmt.options["STATS"] = 10
            if self.accept("="):
                stmt.options["STATS"] = self.value_or_var()
        elif key in values:
            self.need("=")
            stmt.options[key] = self.value_or_var()
        else:
            raise errors.unknown_option(text, kind, line)

    def _backup_option(self, stmt: Media) -> None:
        key, line = self._key()
        if key == "COMPRESSION":
            stmt.options[key] = self._compression() if self.is_("(") else True
        elif key == "ENCRYPTION":
            stmt.options[key] = self._encryption()
        elif key == "METADATA_ONLY":
            stmt.options[key] = True
            if self.accept("="):
                self.need("SNAPSHOT")
        else:
            self._flag_or_value(stmt, key, BACKUP_FLAGS, BACKUP_VALUES, "BACKUP", line)

    def _compression(self) -> dict[str, str]:
        self.need("(")
        found: dict[str, str] = {}
        while True:
            key = self.need("ALGORITHM", "LEVEL")
            self.need("=")
            found[key] = self.name().upper()
            if not self.accept(","):
                break
        self.need(")")
        return found

    def _encryption(self) -> dict[str, str]:
        self.need("(")
        found: dict[str, str] = {}
        while True:
            if self.accept("ALGORITHM"):
                key = "ALGORITHM"
            else:
                self.need("SERVER")
                key = "SERVER CERTIFICATE"
                if not self.accept("CERTIFICATE"):
                    self.need("ASYMMETRIC")
                    self.need("KEY")
                    key = "SERVER ASYMMETRIC KEY"
            self.need("=")
            found[key] = self.name()
            if not self.accept(","):
                break
        self.need(")")
        return found

    def _restore_option(self, stmt: Media) -> None:
        key, line = self._key()
        if key == "MOVE":
            source = self.value_or_var()
            self.need("TO")
            stmt.options.setdefault("MOVE", []).append((source, self.value_or_var()))
        elif key in ("STOPATMARK", "STOPBEFOREMARK"):
            self.need("=")
            mark = self.value_or_var()
            stmt.options[key] = (mark, self.value_or_var() if self.accept("AFTER") else None)
        elif key == "FILESTREAM":
            self.skip_parens()
            stmt.options[key] = True
        else:
            self._flag_or_value(stmt, key, RESTORE_FLAGS, RESTORE_VALUES, "RESTORE", line)


def no_device(name: str, verb: str) -> SqlError:
    return SqlError(3206, f"Backup device '{name}' does not exist. To view existing backup devices, use the sys.backup_devices "
                          "catalog view. To create a new backup device use either sp_addumpdevice or SQL Server Management "
                          "Studio.", 1, 16, also=[Error(3013, f"{verb} is terminating abnormally.", 1, 16)])
