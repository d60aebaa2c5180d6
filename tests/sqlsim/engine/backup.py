# SPDX-License-Identifier: Apache-2.0
"""BACKUP DATABASE and BACKUP LOG."""

from __future__ import annotations

import datetime as dt
import os
import sqlite3
import uuid
import zlib
from typing import TYPE_CHECKING, Any, Optional

from ..contract import BackupStatement, Cancelled, Emit, Error, SessionKilled, SqlError
from . import backup_check, backup_log, errors, msdb, store
from .backup_media import Target, write_error
from .clock import ticks
from .database import Database, page_hash
from .lsn import Lsn, from_num
from .media_write import CHUNK, SetWriter
from .progress import Progress
from .rows import PAGE

if TYPE_CHECKING:
    from .server import Server

CURCMD = {"DATABASE": 228, "LOG": 235}
ZERO_HASH = bytes(8)


def run(server: "Server", session: Any, stmt: BackupStatement, emit: Emit) -> None:
    what = f"BACKUP {stmt.what}"
    name = stmt.database
    request = server.begin_request(session, what, name)
    try:
        job = Job(server, session, stmt, emit, request)
        job.run()
    except (Cancelled, SessionKilled) as exc:
        _aborted(server, stmt, what, emit, isinstance(exc, SessionKilled))
        raise
    except sqlite3.Error as exc:
        text = errors.os_text(112)
        raise errors.fail(what, 3271, f'A nonrecoverable I/O error occurred on file "{server.system_dir}:" {text}.') from exc
    except SqlError:
        if server.find(name) is not None:
            server.errorlog(f"Error: 3041, Severity: 16, State: 1. BACKUP failed to complete the command {what} {name}. "
                            "Check the backup application log for detailed messages.")
        raise
    finally:
        server.end_request(session)


def _aborted(server: "Server", stmt: BackupStatement, what: str, emit: Emit, killed: bool) -> None:
    device = stmt.devices[0] if stmt.devices else ""
    text = errors.os_text(995)
    server.errorlog(f"Error: 18210, Severity: 16, State: 1. BackupIoRequest::ReportIoError: write failure on backup device '{device}'. "
                    f"Operating system error {text}.")
    server.errorlog(f"Error: 3041, Severity: 16, State: 1. BACKUP failed to complete the command {what} {stmt.database}.")
    if killed:
        emit(Error(3271, f'A nonrecoverable I/O error occurred on file "{device}:" {text}.', 1, 16, stmt.line))
        emit(Error(3204, "The backup or restore was aborted.", 1, 16, stmt.line))
        emit(errors.terminating(what))


class Job:
    """One BACKUP statement."""

    def __init__(self, server: "Server", session: Any, stmt: BackupStatement, emit: Emit, request: Any) -> None:
        self.server, self.session, self.stmt = server, session, stmt
        self.options = stmt.options
        self.what = f"BACKUP {stmt.what}"
        self.differential = bool(self.options.get("DIFFERENTIAL")) and stmt.what == "DATABASE"
        self.type = "L" if stmt.what == "LOG" else "I" if self.differential else "D"
        self.kind = {"L": "log", "I": "diff", "D": "full"}[self.type]
        no_truncate = self.type == "L" and bool(self.options.get("NO_TRUNCATE"))
        self.copy_only = (bool(self.options.get("COPY_ONLY")) and not self.differential) or no_truncate
        self.go_on = bool(self.options.get("CONTINUE_AFTER_ERROR")) or no_truncate
        self.checksum = bool(self.options.get("CHECKSUM")) or (
            not self.options.get("NO_CHECKSUM") and bool(server.config("backup checksum default")))
        self.progress = Progress(emit, CURCMD[stmt.what], self.options.get("STATS"), request, stmt.line)
        self.request = request
        self.damaged = False
        self.db: Database = None
        self.compressed: Optional[str] = None
        self.encryptor: Optional[dict] = None
        self.guid = str(uuid.uuid4())
        self.start = server.clock.local_second()

    def fail(self, number: int, text: str, state: int = 1, cls: int = 16) -> SqlError:
        return errors.fail(self.what, number, text, state, cls)

    def step(self, name: str) -> None:
        self.server.faults.step(self.kind, name, self.session)

    def history(self, meta: dict, target: Target) -> None:
        """The row in msdb. Trouble there does not undo the backup: info 3009."""
        try:
            msdb.add_set(self.server, meta, target.media, target.names())
        except SqlError as exc:
            self.server.errorlog(f"Error: 3009, Severity: 16, State: 1. {exc}")
            self.progress.info(3009, "Could not insert a backup or restore history/detail record in the msdb database. This may indicate a "
                                     "problem with the msdb database. The backup/restore operation was still successful.")

    def damage(self, unreadable: bool = False) -> None:
        if self.damaged or unreadable:
            self.progress.info(3042, "BACKUP WITH CONTINUE_AFTER_ERROR successfully generated a backup of the damaged database. Refer to the "
                                     "SQL Server error log for information about the errors that were encountered.")

    def run(self) -> None:
        self.db = backup_check.database(self)
        self.server.faults.on_statement(self.kind, self.what)
        self.compressed = backup_check.options(self)
        target = Target(self.server, self.session, self.stmt, self.what, bool(self.compressed))
        try:
            if self.type == "L":
                backup_log.run(self, target)
            else:
                self.data(target)
        except OSError as exc:
            raise write_error(self.what, target.typed[0][0], exc) from exc
        finally:
            target.close()
        self.step("done")

    # -- description of the set -------------------------------------------------------------------------------------

    def describe(self, target: Target, first: Lsn, last: Lsn, size: int, **more: Any) -> dict[str, Any]:
        """All that a header says. `finish` and final values come with the second call."""
        state, server = self.db.state, self.server
        flags = 512 if server.major >= 16 else 0
        flags |= 16 * self.checksum | 1024 * self.copy_only | 4 * state.read_only | 8 * (state.user_access == 1) | 32 * self.damaged
        expires = None
        if self.options.get("RETAINDAYS"):
            expires = (self.start + dt.timedelta(days=int(self.options["RETAINDAYS"]))).isoformat()
        elif self.options.get("EXPIREDATE"):
            expires = str(self.options["EXPIREDATE"])
        meta = {
            "type": self.type, "guid": self.guid, "position": target.position, "families": len(target.paths[0]),
            "name": str(self.options.get("NAME") or ""), "description": str(self.options.get("DESCRIPTION") or ""),
            "user_name": server.security.name_of(self.session), "server_name": server.name, "machine_name": server.name,
            "database_id": self.db.id, "database_name": self.db.name, "database_version": server.database_version,
            "database_creation_date": state.create_date, "compat": state.compat, "collation": state.collation,
            "software": [server.version[0], server.version[1], server.version[2]], "start": self.start.isoformat(), "finish": None,
            "time_zone": server.clock.quarter_hours(), "backup_size": size, "compressed_size": size,
            "compressed": bool(self.compressed), "algorithm": self.compressed if server.major >= 16 else None, "flags": flags,
            "first_lsn": first.num, "last_lsn": last.num, "checkpoint_lsn": state.checkpoint,
            "database_backup_lsn": state.database_backup_lsn, "recovery_model": store.MODEL_DESC[state.recovery_model],
            "has_bulk": 0, "is_snapshot": 0, "is_readonly": int(state.read_only), "is_single_user": int(state.user_access == 1),
            "has_checksums": int(self.checksum), "is_damaged": int(self.damaged), "begins_log_chain": 0, "norecovery": 0,
            "incomplete_metadata": 0,
            "is_copy_only": int(self.copy_only), "first_fork": state.fork, "last_fork": state.fork, "fork_point_lsn": None,
            "database_guid": state.database_guid, "family_guid": state.family_guid, "full_guid": state.full_guid,
            "differential_base_lsn": None, "differential_base_guid": None, "next_log_lsn": state.last_log, "last_valid": None,
            "expires": expires, "files": self.files(), "options": state.boot_options(), "owner_sid": state.dbo_sid or state.owner_sid,
            "encryptor": self.encryptor, "key": state.key if state.encrypted else ""}
        meta.update(more)
        return meta

    def files(self) -> list[dict]:
        state, out = self.db.state, []
        for file in state.files:
            size = file_size(self.db, file)
            used = 0 if self.type == "L" else size if file.file_id == 1 else 0
            out.append({"file_id": file.file_id, "type": file.letter, "logical": file.logical, "physical": file.physical,
                        "guid": file.guid, "size": size, "backup_size": used, "filegroup": None if file.type == 1 else file.filegroup})
        return out

    # -- full and differential --------------------------------------------------------------------------------------

    def data(self, target: Target) -> None:
        db = self.db
        with db.mutex:
            if db.data_backup is not None or db.restoring is not None:
                raise backup_check.serialized(self.what)
            db.data_backup = self
        try:
            self._data(target)
        finally:
            db.holds.pop(id(self), None)
            db.data_backup = None
            if db.state.state == store.ONLINE and db.log is not None and db.log.file is not None:
                db.truncate_log()

    def _data(self, target: Target) -> None:
        db = self.db
        self.step("begin")
        writer = target.open()
        self.step("opened")
        with db.log.lock:
            oldest = db.oldest_active()
            checkpoint = db.checkpoint().lsn
            first = min(checkpoint, oldest) if oldest is not None else checkpoint
            db.holds[id(self)] = first
        db.save()
        self.first, self.checkpoint = first, checkpoint
        if not os.path.exists(db.path):
            raise self.fail(3203, f'Read on "{db.path}" failed: {errors.os_text(2)}')
        file, pages, applied = db.snapshot()
        with file:
            base = db.base_hashes() if self.differential or self.copy_only else b""
            more = {"applied": applied.num, "pages": pages}
            if self.differential:
                more.update(differential_base_lsn=db.state.diff_lsn, differential_base_guid=db.state.diff_guid)
            elif self.copy_only:
                more.update(kept_base=[db.state.diff_guid, db.state.diff_lsn, db.state.diff_time])
            meta = self.describe(target, first, db.log.end, pages * PAGE, **more)
            writer.begin(meta, target.media if target.position == 1 else None)
            self.progress.expect(pages * PAGE)
            hashes, sent = self._pages(writer, file, pages, base)
        self.step("data")
        last = db.log.end
        logged = self._records(writer, min(first, applied), last)
        size = sent * PAGE + logged + 8192
        final = self.describe(target, first, last, size, **more)
        final.update(finish=self.server.clock.local_second().isoformat(), checkpoint_lsn=checkpoint.num, compressed_size=size)
        final["files"][0]["backup_size"] = sent * PAGE
        if self.compressed:
            final["compressed_size"] = writer.written
        final["last_valid"] = ticks(self.server.clock.local()).isoformat(timespec="milliseconds")
        writer.end(final)
        target.close()
        self.step("written")
        self._adopt(hashes, base)
        self.step("state")
        self.history(final, target)
        self.step("history")
        self._report(final, sent, max(1, -(-logged // PAGE)))

    def _pages(self, writer: SetWriter, file: Any, pages: int, base: bytes) -> tuple[bytearray, int]:
        """Writes the pages (those that differ from the base for a differential). Returns their hashes and how many went out."""
        hashes, sent = bytearray(), 0
        chunk, numbers, sums = bytearray(), [], []
        bad = set(self.db.state.bad_pages)
        writer.begin_phase(b"MSDA")
        for number in range(pages):
            page = file.read(PAGE)
            crc = zlib.crc32(page)
            mark = page_hash(page, crc)
            take = not self.differential or mark != base[number * 8:number * 8 + 8]
            hashes += mark if not (self.differential and take) else ZERO_HASH
            if take:
                chunk += page
                numbers.append(number)
                sums.append(self._page_sum(crc, number, bad))
                sent += 1
            if len(chunk) >= CHUNK:
                self._chunk(writer, chunk, numbers, sums)
                chunk, numbers, sums = bytearray(), [], []
            elif number % 128 == 127:
                self.progress.add(0 if take else 128 * PAGE)
        if numbers:
            self._chunk(writer, chunk, numbers, sums)
        if self.copy_only and base:
            for at in range(0, len(base), CHUNK):
                writer.chunk(base[at:at + CHUNK], base=at, sum=zlib.crc32(base[at:at + CHUNK]))
        writer.end_phase()
        return hashes, sent

    def _page_sum(self, value: int, number: int, bad: set[int]) -> int:
        if number not in bad:
            return value
        if self.checksum and self.db.state.page_verify == 2:
            msdb.note_suspect(self.server, self.db.id, number)
            text = f"BACKUP '{self.db.name}' detected an error on page (1:{number}) in file '{self.db.path}'."
            self.server.errorlog(f"Error: 3043, Severity: 16, State: 1. {text}")
            if not self.go_on:
                raise self.fail(3043, text)
            self.damaged = True
        return value ^ 0xFFFFFFFF  # how a set says that the page was bad before it was read

    def _chunk(self, writer: SetWriter, data: bytearray, numbers: list[int], sums: list[int]) -> None:
        writer.chunk(bytes(data), pages=numbers, crc=sums)
        self.progress.add(len(data))

    def _records(self, writer: SetWriter, first: Lsn, last: Lsn) -> int:
        """The log that makes the pages consistent."""
        writer.begin_phase(b"MSTL")
        total = write_records(writer, self.db.log.read(first, last), None)
        writer.end_phase()
        return total

    def _adopt(self, hashes: bytearray, base: bytes) -> None:
        """The set is complete: differential base and log chain follow it."""
        db, state = self.db, self.db.state
        with db.mutex:
            if not self.copy_only:
                with open(db.base_path, "wb") as out:
                    out.write(hashes if not self.differential else hashes + base[len(hashes):])
                if not self.differential:
                    state.diff_guid, state.diff_lsn = self.guid, self.checkpoint.num
                    state.diff_time = self.start.isoformat()
                    state.full_guid, state.database_backup_lsn = self.guid, self.checkpoint.num
                if state.recovery_model != store.SIMPLE and not state.chain:
                    state.chain, state.begins_chain = True, True
                    state.last_log, state.last_log_fork = self.first.num, state.fork
                db.note("backup")
            db.save()

    def _report(self, meta: dict, sent: int, log_pages: int) -> None:
        db = self.db
        self.progress.pages(sent, db.name, db.state.data_file.logical, meta["position"])
        self.progress.pages(log_pages, db.name, db.state.log_file.logical, meta["position"])
        verb = "BACKUP DATABASE WITH DIFFERENTIAL" if self.differential else "BACKUP DATABASE"
        self.damage()
        if 3226 not in self.server.trace_flags:
            self.server.errorlog(success_line(meta, 18270 if self.differential else 18264, self.stmt, sent + log_pages))
        self.progress.finish(verb, sent + log_pages)


def success_line(meta: dict, number: int, stmt: BackupStatement, pages: int) -> str:
    what = {18264: "Database", 18270: "Database differential changes were", 18265: "Log was"}[number]
    devices = ", ".join(f"'{d}'" for d in stmt.devices)
    return (f"{what} backed up. Database: {meta['database_name']}, creation date(time): {meta['database_creation_date'][:19]}, "
            f"pages dumped: {pages}, first LSN: {from_num(meta['first_lsn']).triple}, last LSN: {from_num(meta['last_lsn']).triple}, "
            f"number of dump devices: {len(stmt.devices)}, device information: (FILE={meta['position']}, TYPE=DISK: {{{devices}}}). "
            "This is an informational message only. No user action is required.")


def write_records(writer: SetWriter, records: Any, seen: Any) -> int:
    """Log records in chunks. `seen` is called with each. Returns the bytes written."""
    chunk, total = bytearray(), 0
    for record in records:
        if seen is not None:
            seen(record)
        chunk += record.raw
        total += len(record.raw)
        if len(chunk) >= CHUNK:
            writer.chunk(bytes(chunk), sum=zlib.crc32(chunk))
            chunk = bytearray()
    if chunk:
        writer.chunk(bytes(chunk), sum=zlib.crc32(chunk))
    return total


def file_size(db: Database, file: store.FileState) -> int:
    """8 MB at least, as new files are."""
    if file.file_id == 1:
        return max(8 << 20, db.data_size())
    if file.file_id == 2 and db.log is not None:
        return max(8 << 20, -(-db.log.size // PAGE) * PAGE)
    return 8 << 20
