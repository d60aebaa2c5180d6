# SPDX-License-Identifier: Apache-2.0
"""Finds a backup set on the devices of a RESTORE, and reads its payload with the right errors."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Iterator, Optional

from ..contract import RestoreStatement, SqlError
from . import errors, media_read, wal
from .backup_media import open_error, resolve
from .database import look
from .mtf import MediaError
from .rows import PAGE

if TYPE_CHECKING:
    from .server import Server

INVERSE = 0xFFFFFFFF
WHAT = {"DATABASE": "RESTORE DATABASE", "LOG": "RESTORE LOG", "HEADERONLY": "RESTORE HEADERONLY", "FILELISTONLY": "RESTORE FILELIST",
        "LABELONLY": "RESTORE LABELONLY", "VERIFYONLY": "VERIFY DATABASE"}


class Source:
    """The files of a statement, inspected."""

    def __init__(self, server: "Server", session: Any, stmt: RestoreStatement) -> None:
        self.server, self.session, self.stmt = server, session, stmt
        self.what = WHAT[stmt.what]
        if len(stmt.devices) > 64:
            raise self.fail(3205, "Too many backup devices specified for backup or restore; only 64 are allowed.")
        self.paths = [resolve(server, d, self.what) for d in stmt.devices]
        self.infos = [self._inspect(p, t) for p, t in zip(self.paths, stmt.devices)]

    def fail(self, number: int, text: str, state: int = 1, cls: int = 16) -> SqlError:
        return errors.fail(self.what, number, text, state, cls)

    def _inspect(self, path: str, typed: str) -> media_read.FileInfo:
        try:
            self.server.faults.on_read(path)
            return media_read.inspect(path)
        except OSError as exc:
            raise open_error(self.server, self.what, typed, path, exc) from exc
        except MediaError as exc:
            if exc.kind == "empty":
                raise self.fail(3254, f"The volume on device '{typed}' is empty.") from exc
            raise self.fail(3241, f"The media family on device '{typed}' is incorrectly formed. SQL Server cannot process this media "
                                  "family.", 0) from exc

    def check_family(self) -> None:
        """All members of one media set, each once. Puts them in order."""
        count = len(self.infos[0].media["family_ids"])
        guid = self.infos[0].media["guid"]
        for info, typed in zip(self.infos, self.stmt.devices):
            if info.media["guid"] != guid:
                raise self.fail(3231, f"The media loaded on \"{typed}\" is formatted to support {len(info.media['family_ids'])} media "
                                      f"families, but {count} media families are expected according to the backup device specification.")
        numbers = [i.family for i in self.infos]
        if len(numbers) < count:
            raise self.fail(3132, f"The media set has {count} media families but only {len(numbers)} are provided. All members must be "
                                  "provided.")
        if sorted(numbers) != list(range(1, count + 1)):
            wrong = next(i for i, n in enumerate(numbers) if n in numbers[:i] or n > count)
            missing = next(n for n in range(1, count + 1) if n not in numbers)
            raise self.fail(3133, f"The volume on device \"{self.stmt.devices[wrong]}\" is sequence number 1 of media family "
                                  f"{numbers[wrong]}, but sequence number 1 of media family {missing} is expected. Check that the device "
                                  "specifications and loaded media are correct.")
        order = sorted(range(count), key=lambda i: numbers[i])
        self.infos = [self.infos[i] for i in order]
        self.paths = [self.paths[i] for i in order]

    def pick(self) -> dict:
        """The description of the set that the statement means (FILE, 1 when not written)."""
        position = int(self.stmt.options.get("FILE") or 1)
        for info in self.infos:
            found = next((s for s in info.sets if s.position == position), None)
            typed = self.stmt.devices[0]
            if found is None:
                raise self.fail(3287, f"The file ID {position} on device '{typed}' is not valid.")
            if not found.complete:
                if info.problem == "end":
                    raise self.fail(3203, f'Read on "{typed}" failed: {errors.os_text(38)}')
                if info.problem:
                    raise self.fail(3189, "Damage to the backup set was detected.")
                raise self.fail(3256, f"The backup set on file {position} was terminated while it was being created and is incomplete. "
                                      "RESTORE sequence is terminated abnormally.")
        self.position = position
        meta = next(s for s in self.infos[0].sets if s.position == position).meta
        for thumbprint in filter(None, ((meta.get("encryptor") or {}).get("thumbprint"), meta.get("key"))):
            self._certificate(thumbprint)
        return meta

    def _certificate(self, thumbprint: str) -> None:
        if not any(c["thumbprint"] == thumbprint and c.get("private", True) for c in self.server.store.things("certificate").values()):
            raise self.fail(33111, f"Cannot find server certificate with thumbprint '0x{thumbprint.upper()}'.", 3)

    def verify(self, meta: dict) -> bool:
        """Whether checksums are looked at: yes when the set has them, unless NO_CHECKSUM is written."""
        if self.stmt.options.get("CHECKSUM") and not meta["has_checksums"]:
            raise self.fail(3187, "RESTORE WITH CHECKSUM cannot be specified because the backup set does not contain checksum information.")
        return bool(meta["has_checksums"]) and not self.stmt.options.get("NO_CHECKSUM")

    def chunks(self, meta: dict, verify: bool, bad: Optional[list[int]] = None) -> Iterator[media_read.Chunk]:
        """The payload. Damaged pages raise 3183, or are noted in `bad` with CONTINUE_AFTER_ERROR and where nobody looks."""
        typed = self.stmt.devices[0]
        try:
            for chunk in media_read.set_chunks(self.paths, [self.position] * len(self.paths)):
                look(self.session)
                if chunk.phase == b"MQDA" and "pages" in chunk.index:
                    self._pages(chunk, meta, verify, bad)
                elif verify and not self.go_on and chunk.index.get("sum") not in (None, zlib.crc32(chunk.data)):
                    raise self.damaged()
                yield chunk
        except MediaError as exc:
            if exc.kind == "end":
                raise self.fail(3203, f'Read on "{typed}" failed: {errors.os_text(38)}') from exc
            raise self.damaged() from exc
        except (zlib.error, KeyError, ValueError) as exc:
            raise self.damaged() from exc
        except OSError as exc:
            raise self.fail(3203, f'Read on "{typed}" failed: {errors.os_text(errors.code_of(exc))}') from exc

    def damaged(self) -> SqlError:
        return self.fail(3189, "Damage to the backup set was detected.")

    @property
    def go_on(self) -> bool:
        return bool(self.stmt.options.get("CONTINUE_AFTER_ERROR"))

    def _pages(self, chunk: media_read.Chunk, meta: dict, verify: bool, bad: Optional[list[int]]) -> None:
        """Compares the pages with their checksums. One that was bad in the database carries the inverse of its checksum; any
        other difference came about on the way."""
        numbers, wanted, view = chunk.index["pages"], chunk.index["crc"], memoryview(chunk.data)
        if len(view) != len(numbers) * PAGE or len(wanted) != len(numbers):
            raise MediaError("damaged", "chunk length")
        chunk.sums = [zlib.crc32(view[at:at + PAGE]) for at in range(0, len(view), PAGE)]
        if chunk.sums == wanted:
            return
        wrong = [(n, have ^ INVERSE == want) for n, have, want in zip(numbers, chunk.sums, wanted) if have != want]
        if self.stmt.what == "VERIFYONLY":
            if verify and (any(not at_source for _, at_source in wrong) or self.stmt.options.get("STOP_ON_ERROR")):
                raise self.damaged()
            return
        if verify and not self.go_on:
            raise self.fail(3183, f"RESTORE detected an error on page (1:{wrong[0][0]}) in database \"{meta['database_name']}\" as read from "
                                  "the backup set.")
        if bad is not None:
            bad.extend(n for n, _ in wrong)

    def records(self, chunk: media_read.Chunk) -> list[wal.Record]:
        """The log records of a chunk."""
        try:
            return list(wal.split(chunk.data))
        except ValueError as exc:
            raise self.damaged() from exc
