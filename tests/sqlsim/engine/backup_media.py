# SPDX-License-Identifier: Apache-2.0
"""Opens the devices of a BACKUP: fresh media or appending to what is there."""

from __future__ import annotations

import os
import re
import secrets
import uuid
from typing import TYPE_CHECKING, Any, Optional

from ..contract import BackupStatement, Error, SqlError
from . import errors, media_read
from .media_write import Device, Family, SetWriter
from .mtf import MediaError

if TYPE_CHECKING:
    from .server import Server

MAX_PATH = 259


def resolve(server: "Server", typed: str, what: str) -> str:
    """The path that a device name stands for. URLs are refused: there is no object store here."""
    if re.match(r"(s3|https?)://", typed, re.IGNORECASE):
        if typed.lower().startswith("s3://") and (server.major < 16 or server.edition_kind == "Express"):
            raise errors.fail(what, 3224, "BACKUP TO URL with the S3 connector is not supported in this version or edition.", 1)
        raise errors.fail(what, 3201, f"Cannot open backup device '{typed}'. Operating system error 50(The request is not supported.).",
                          1 if what.startswith("BACKUP") else 2)
    if len(typed) > MAX_PATH:
        raise errors.fail(what, 3204, f"The device name '{typed[:40]}...' is longer than {MAX_PATH} characters.", 1)
    path = typed
    if re.match(r"[A-Za-z]:[\\/]", path):
        path = path[2:].replace("\\", "/")
    if path.upper() in ("NUL", "NUL:"):
        return "/dev/null"
    return path if os.path.isabs(path) else os.path.join(server.backup_dir, path)


def open_error(server: "Server", what: str, typed: str, path: str, exc: OSError) -> SqlError:
    """3201. A missing directory is error 5 on 2022 and later, 2 before, unless a test chose another."""
    code = errors.code_of(exc)
    if what.startswith("BACKUP") and not os.path.isdir(os.path.dirname(path) or "/"):
        code = server.faults.missing_directory or (5 if server.major >= 16 else 2)
    state = 1 if what.startswith("BACKUP") else 2
    return errors.fail(what, 3201, f"Cannot open backup device '{typed}'. Operating system error {errors.os_text(code)}.", state)


def write_error(what: str, typed: str, exc: OSError) -> SqlError:
    text = errors.os_text(errors.code_of(exc))
    return errors.fail(what, 3202, f'Write on "{typed}" failed: {text}', 1, 16,
                       [Error(3271, f'A nonrecoverable I/O error occurred on file "{typed}:" {text}.', 1, 16)])


class Target:
    """The open devices of one backup set."""

    def __init__(self, server: "Server", session: Any, stmt: BackupStatement, what: str, compressed: bool) -> None:
        self.server, self.stmt, self.what, self.compressed = server, stmt, what, compressed
        options = stmt.options
        self.session = session
        self.typed = [list(stmt.devices), *stmt.mirrors]
        self.paths = [[resolve(server, d, what) for d in group] for group in self.typed]
        self.devices: list[Device] = []
        self.fresh = bool(options.get("FORMAT") or options.get("INIT"))
        self.media: dict = {}
        self.position = 1
        self.claimed: list[str] = []

    def _existing(self, path: str, typed: str) -> Optional[media_read.FileInfo]:
        """What is in the file already, None when it is to be written from its start."""
        if path == "/dev/null" or not os.path.exists(path) or not os.path.getsize(path) or self.stmt.options.get("FORMAT"):
            return None
        try:
            return media_read.inspect(path)
        except MediaError as exc:
            raise errors.fail(self.what, 3241, f"The media family on device '{typed}' is incorrectly formed. SQL Server cannot process "
                                               "this media family.", 0) from exc

    def open(self) -> SetWriter:
        for path in (p for group in self.paths for p in group):
            self._claim(path)
        count = len(self.paths[0])
        found = []
        try:
            found = [self._existing(p, t) for p, t in zip(self.paths[0], self.typed[0])]
        except OSError as exc:
            raise open_error(self.server, self.what, self.typed[0][0], self.paths[0][0], exc) from exc
        append = not self.fresh and all(f is not None and f.sets and f.sets[0].complete for f in found)
        if any(found):
            self._check_media(found, append)
        if append:
            self.media = {k: v for k, v in found[0].media.items() if k != "family"}
            self.position = sum(1 for s in found[0].sets if s.complete) + 1
        else:
            self.media = {"guid": str(uuid.uuid4()), "family_ids": [secrets.token_hex(4) for _ in range(count)],
                          "name": str(self.stmt.options.get("MEDIANAME") or ""),
                          "description": str(self.stmt.options.get("MEDIADESCRIPTION") or ""),
                          "date": self.server.clock.local_second().isoformat()}
        families = []
        for index, (path, typed) in enumerate(zip(self.paths[0], self.typed[0])):
            info = found[index] if append else None
            device = self._open_device(path, typed, info)
            for group_paths, group_typed in zip(self.paths[1:], self.typed[1:]):
                device.mirrors.append(self._open_device(group_paths[index], group_typed[index], info))
            families.append(self._family(device, index + 1, info))
        return SetWriter(families, [self.position] * len(families))

    def _family(self, device: Device, number: int, info: Optional[media_read.FileInfo]) -> Family:
        try:
            return Family(device, number, info.end if info else 0, self.compressed, info is None)
        except OSError as exc:
            raise write_error(self.what, device.typed, exc) from exc

    def _check_media(self, found: list, append: bool) -> None:
        options = self.stmt.options
        first = next(f for f in found if f is not None)
        if append:
            families = len(first.media["family_ids"])
            if families != len(found):
                raise errors.fail(self.what, 3132, f"The media set has {families} media families but only {len(found)} are provided. "
                                                   "All members must be provided.", 1)
            if first.compressed != self.compressed:
                wish = "COMPRESSION" if self.compressed else "NO_COMPRESSION"
                raise errors.fail(self.what, 3098, f"The backup cannot be performed because '{wish}' was requested after the media was "
                                                   "formatted with an incompatible structure. To append to this media set, either omit "
                                                   f"'{wish}' or specify the other one. Alternatively, you can create a new media set by "
                                                   "using WITH FORMAT in your BACKUP statement.", 2)
        if options.get("SKIP"):
            return
        if options.get("INIT"):
            until = max((s.meta.get("expires") or "" for s in first.sets if s.meta), default="")
            if until and until > self.server.clock.local().isoformat():
                raise errors.fail(self.what, 4030, f"The medium on device '{self.typed[0][0]}' expires on {until} and cannot be "
                                                   "overwritten.", 1)
        wanted = options.get("MEDIANAME")
        if wanted and first.media["name"] != wanted:
            raise errors.fail(self.what, 4037, f"The user-specified MEDIANAME \"{wanted}\" does not match the MEDIANAME "
                                               f"\"{first.media['name']}\" of the device \"{self.typed[0][0]}\".", 1)

    def _claim(self, path: str) -> None:
        if path == "/dev/null":
            return
        with self.server.lock:
            if path in self.server.claimed:
                typed = path
                raise errors.fail(self.what, 3201, f"Cannot open backup device '{typed}'. Operating system error {errors.os_text(32)}.", 1)
            self.server.claimed.add(path)
            self.claimed.append(path)

    def _open_device(self, path: str, typed: str, info: Optional[media_read.FileInfo]) -> Device:
        device = Device(self.server, self.session, path, typed)
        try:
            device.open(0 if info is None else info.physical_end)
        except OSError as exc:
            raise open_error(self.server, self.what, typed, path, exc) from exc
        self.devices.append(device)
        return device

    def close(self) -> None:
        for device in self.devices:
            device.close()
        with self.server.lock:
            self.server.claimed.difference_update(self.claimed)
        self.claimed = []

    def names(self) -> list[str]:
        return [t for group in self.typed for t in group]

