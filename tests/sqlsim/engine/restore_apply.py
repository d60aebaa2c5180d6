# SPDX-License-Identifier: Apache-2.0
"""The work of RESTORE: pages into the data file, records into the log, redo at recovery."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import shutil
from typing import TYPE_CHECKING, Iterator, Optional

from . import databases, rows, store, wal
from .backup_media import resolve
from .clock import micros
from .database import Database, page_hash
from .lsn import MAX, Lsn, from_num
from .media_read import Chunk
from .media_write import Device
from .restore_media import Source

if TYPE_CHECKING:
    from .restore import Job

ZERO_HASH = bytes(8)
KEEP = 16 << 20  # log backups up to this size are read once


class Meter:
    """Counts what a RESTORE reads: progress, pace, and the faults that strike after so many bytes."""

    def __init__(self, job: "Job", path: str, expected: int) -> None:
        self.job, self.path, self.total = job, path, 0
        self.devices = [Device(job.server, job.session, p, p) for p in dict.fromkeys([path, job.source.paths[0]])]
        job.progress.expect(expected)

    def add(self, count: int) -> None:
        job = self.job
        job.server.faults.on_restore_bytes(job, self.path, self.total, count)
        rates = [(job.server.faults.rate(d.path), d) for d in self.devices]
        slowest = min((r for r in rates if r[0]), key=lambda r: r[0], default=None)
        if slowest is not None:
            slowest[1].pace(count)
        self.total += count
        job.progress.add(count)


def full(job: "Job", db: Optional[Database], source: Source, meta: dict, files: list[tuple[dict, str]], verify: bool) -> None:
    server = job.server
    with server.lock:
        if server.find(job.name) is not db or (db is not None and db.restoring is not job):
            raise job.fail(3101, "Exclusive access could not be obtained because the database is in use.")
        old = db.state if db is not None else None
        number = old.id if old is not None else databases.next_id(server)
        new = Database(server, _new_state(job, meta, files, number, old))
        job.claim(new)
        if db is not None:
            db.close()
            db.replaced = True
        new.save()
        # Also where the path stays: a reader that is still open keeps the old file, not half of the new one.
        for file in old.files if old is not None else []:
            databases.remove_file(file)
        server.dbs[number] = new
    job.db = new
    _write_full(job, new, source, meta, verify)


def _new_state(job: "Job", meta: dict, files: list[tuple[dict, str]], number: int, old: Optional[store.DbState]) -> store.DbState:
    """What comes from the set, and what every RESTORE sets anew: owner, TRUSTWORTHY, DB_CHAINING, broker."""
    server = job.server
    same = old is not None and old.family_guid == meta["family_guid"]
    state = store.DbState(
        number, job.stmt.database, server.clock.local().isoformat(timespec="milliseconds"),
        owner_sid=server.security.sid_of(job.session).hex(), dbo_sid=meta.get("owner_sid") or "", state=store.RESTORING,
        user_access=1 if meta["is_single_user"] else 0, collation=meta["collation"], broker=False, encrypted=bool(meta.get("key")),
        key=meta.get("key") or "", database_guid=meta["database_guid"] if same else store.new_guid(), family_guid=meta["family_guid"],
        fork=meta["last_fork"], checkpoint=meta["checkpoint_lsn"])
    state.boot_page(meta)
    for file, path in files:
        state.files.append(store.FileState(file["file_id"], store.LETTERS.index(file["type"]), file["logical"], path, file["guid"],
                                           filegroup=file.get("filegroup") or "PRIMARY"))
    state.containers = sorted({f.filegroup for f in state.files if f.type == 2})
    if meta["is_copy_only"]:
        state.database_backup_lsn = meta["database_backup_lsn"]
        kept = meta.get("kept_base") or [None, None, None]
        state.diff_guid, state.diff_lsn, state.diff_time = kept
    else:
        state.diff_guid, state.diff_lsn, state.diff_time = meta["guid"], meta["checkpoint_lsn"], meta["start"]
        state.database_backup_lsn, state.full_guid = meta["checkpoint_lsn"], meta["guid"]
    state.restore = store.RestoreState(redo=meta["last_lsn"], fork=meta["last_fork"], incomplete=True, source=meta["database_name"],
                                       server=meta["server_name"], version=meta["database_version"])
    return state


def _write_full(job: "Job", db: Database, source: Source, meta: dict, verify: bool) -> None:
    first = min(from_num(meta["first_lsn"]), from_num(meta["applied"]))
    job.step("begin")
    databases.make_extra(db.state)
    log = wal.LogFile.create(db.state.log_file.physical, first)
    os.chmod(log.path, 0o660)
    db.log = log
    hashes, base = bytearray(8 * meta["pages"]), bytearray()
    meter = Meter(job, db.path, meta["pages"] * rows.PAGE)
    with open(os.open(db.path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o660), "r+b", buffering=0) as out:
        os.fchmod(out.fileno(), 0o660)
        for chunk in source.chunks(meta, verify, job.bad):
            meter.add(len(chunk.data))
            for at, number, page in _write_pages(out.fileno(), chunk):
                hashes[number * 8:number * 8 + 8] = page_hash(page, chunk.sums[at])
            if chunk.index.get("base") is not None:
                base += chunk.data
            if chunk.phase == b"MQTL":
                log.append_raw(source.records(chunk))
            job.step("chunk")
    with open(db.base_path, "wb") as out:
        out.write(base if meta["is_copy_only"] else hashes)
    job.step("data")
    db.state.restore.base_guid = meta["guid"]
    _complete(job, db, meta)


def _write_pages(fd: int, chunk: Chunk) -> Iterator[tuple[int, int, memoryview]]:
    """Writes the pages of a chunk, neighbours at once. Yields (place in the chunk, page number, page)."""
    numbers = chunk.index.get("pages") or []
    view, start = memoryview(chunk.data), 0
    for at, number in enumerate(numbers):
        if at + 1 == len(numbers) or numbers[at + 1] != number + 1:
            part, target = view[start * rows.PAGE:(at + 1) * rows.PAGE], numbers[start] * rows.PAGE
            while part:
                done = os.pwrite(fd, part, target)
                part, target = part[done:], target + done
            start = at + 1
        yield at, number, view[at * rows.PAGE:(at + 1) * rows.PAGE]


def _last_commit(log: wal.LogFile) -> int:
    return max((r.local_us for r in log.read(Lsn(0, 0, 0), MAX) if r.kind == wal.TRAN), default=-1)


def _complete(job: "Job", db: Database, meta: dict) -> None:
    restore = db.state.restore
    restore.redo, restore.fork, restore.incomplete = meta["last_lsn"], meta["last_fork"], False
    restore.bound_us = max(_last_commit(db.log) + 1, micros(dt.datetime.fromisoformat(meta["finish"])))
    db.state.bad_pages = sorted(set(db.state.bad_pages) | set(job.bad))
    db.save()


def differential(job: "Job", db: Database, source: Source, meta: dict, verify: bool) -> None:
    job.db = db
    leave_standby(db)
    db.state.restore.incomplete = True
    db.save()
    job.step("begin")
    _write_differential(job, db, source, meta, verify)
    db.state.checkpoint = meta["checkpoint_lsn"]
    db.state.boot_page(meta)
    _complete(job, db, meta)


def _write_differential(job: "Job", db: Database, source: Source, meta: dict, verify: bool) -> None:
    meter = Meter(job, db.path, meta["backup_size"])
    base = bytearray(db.base_hashes())
    base.extend(bytes(max(0, 8 * meta["pages"] - len(base))))
    db.log.reset(min(from_num(meta["first_lsn"]), from_num(meta["applied"])))
    with open(db.path, "r+b", buffering=0) as out:
        for chunk in source.chunks(meta, verify, job.bad):
            meter.add(len(chunk.data))
            for _, number, _ in _write_pages(out.fileno(), chunk):
                base[number * 8:number * 8 + 8] = ZERO_HASH
            if chunk.phase == b"MQTL":
                db.log.append_raw(source.records(chunk))
            healed = set(chunk.index.get("pages") or ()) & set(db.state.bad_pages)
            db.state.bad_pages = sorted(set(db.state.bad_pages) - healed)
            job.step("chunk")
        out.truncate(meta["pages"] * rows.PAGE)
    with open(db.base_path, "wb") as out:
        out.write(base)
    job.step("data")


# -- log --------------------------------------------------------------------------------------------------------------

class Cut:
    """Walks the records of a log backup and finds where to stop."""

    def __init__(self, job: "Job", redo: Lsn) -> None:
        self.stop, self.redo = job.stop, redo
        self.reached = False
        self.at: Optional[Lsn] = None  # the first record that is not applied
        self.last_us = -1

    def record(self, record: wal.Record) -> None:
        if self.reached or record.lsn < self.redo:
            return
        stop = self.stop
        if stop.time_us is not None and record.local_us >= stop.time_us:
            self._end(record.lsn)
        elif stop.lsn is not None:
            if stop.before and record.lsn >= stop.lsn:
                self._end(record.lsn)
            elif not stop.before and record.lsn > stop.lsn:
                self._end(record.lsn)
            elif not stop.before and record.lsn == stop.lsn:
                self._end(record.end)
        elif stop.mark and record.flags & wal.FLAG_MARK and record.local_us >= stop.after_us:
            if record.body["mark"][0].casefold() == stop.mark.casefold():
                self._end(record.lsn if stop.before else record.end)
        if (not self.reached or record.lsn < self.at) and record.kind == wal.TRAN:
            self.last_us = max(self.last_us, record.local_us)

    def _end(self, at: Lsn) -> None:
        self.reached, self.at = True, at


def log(job: "Job", db: Database, source: Source, meta: dict, verify: bool) -> bool:
    """Returns whether the stop point was reached."""
    job.db = db
    restore = db.state.restore
    redo = from_num(restore.redo)
    cut, kept = Cut(job, redo), []
    small = meta["backup_size"] <= KEEP
    for chunk in source.chunks(meta, verify):
        found = source.records(chunk)
        for record in found:
            cut.record(record)
        if small:
            kept.append((len(chunk.data), found))
    if cut.reached and meta["has_bulk"] and cut.at < from_num(meta["last_lsn"]):
        raise job.fail(4341, "This log backup contains bulk-logged changes. It cannot be used to stop at an arbitrary point in time.")
    leave_standby(db)
    job.step("begin")
    db.log.cut(redo)
    if db.log.end < redo:
        db.log.reset(redo)
    meter = Meter(job, db.path, meta["backup_size"])
    for count, records in kept if small else ((len(c.data), source.records(c)) for c in source.chunks(meta, verify)):
        meter.add(count)
        db.log.append_raw([r for r in records if r.lsn >= redo and (cut.at is None or r.lsn < cut.at)])
        job.step("chunk")
    job.step("data")
    _advance(db, restore, meta, cut, redo)
    return cut.reached


def _advance(db: Database, restore: store.RestoreState, meta: dict, cut: Cut, redo: Lsn) -> None:
    restore.stopped = cut.reached
    whole = not cut.reached
    restore.redo = max(redo, from_num(meta["last_lsn"])).num if whole else db.log.end.num
    before_fork = meta["fork_point_lsn"] is not None and from_num(restore.redo) <= from_num(meta["fork_point_lsn"])
    if not before_fork:
        restore.fork = meta["last_fork"]
    restore.early = not (whole and meta["norecovery"])
    restore.bound_us = max(restore.bound_us, cut.last_us + 1)
    restore.tail = False
    db.state.checkpoint = max(db.state.checkpoint, meta["checkpoint_lsn"] or 0)
    db.state.recovery_model = {v: k for k, v in store.MODEL_DESC.items()}[meta["recovery_model"]]
    if whole:
        db.state.boot_page(meta)
    db.save()


# -- recovery ---------------------------------------------------------------------------------------------------------

def leave_standby(db: Database) -> None:
    """Back to the pages before the redo that made the database readable."""
    if not db.state.standby:
        return
    undo = db.state.standby
    db.close_rows()
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(db.path + suffix)
    if os.path.exists(undo):
        shutil.copyfile(undo, db.path + ".undo")
        os.chmod(db.path + ".undo", 0o660)
        os.replace(db.path + ".undo", db.path)
        os.unlink(undo)
    db.state.standby = ""
    db.state.state = store.RESTORING
    db.save()


def standby(job: "Job", db: Database, path: str) -> None:
    if db.state.restore.version and db.state.restore.version != job.server.database_version:
        raise job.fail(3180, "This backup cannot be restored using WITH STANDBY because a database upgrade is needed. Reissue the RESTORE "
                             "without WITH STANDBY.")
    leave_standby(db)
    undo = resolve(job.server, path, job.what)
    shutil.copyfile(db.path, undo)
    os.chmod(undo, 0o660)
    db.state.standby = undo
    db.save()
    db.log.cut(from_num(db.state.restore.redo))
    db.open_rows()
    _redo(job, db)
    db.state.state = store.ONLINE
    db.save()


def _redo(job: "Job", db: Database) -> None:
    """A log record that does not fit its page: the database is suspect."""
    try:
        db.redo(MAX)
    except rows.RedoConflict as exc:
        db.close_rows()
        db.state.state, db.state.standby = store.SUSPECT, ""
        db.save()
        at = f"({exc.lsn.triple})"
        raise job.fail(3456, f"Could not redo log record {at}, for transaction ID (0:{exc.lsn.block}), on page (1:0), allocation unit 0, "
                             f"database '{db.name}' (database ID {db.id}). Page: LSN = {at}, allocation unit = 0, type = 1. Log: OpCode = 2, "
                             f"context 2, PrevPageLSN: {at}. Restore from a backup of the database, or repair the database.") from exc


def recover(job: "Job", db: Database) -> None:
    """Redoes the waiting log and opens the database; a new recovery fork when this may not be the end of its log."""
    state, restore = db.state, db.state.restore
    job.step("recovering")
    leave_standby(db)
    redo = from_num(restore.redo)
    restore.base_guid = None  # from here the pages change: no differential fits any more, also after a crash
    db.save()
    db.log.cut(redo)
    db.open_rows()
    _redo(job, db)
    if db.log.end < redo:
        db.log.reset(redo)
    db.writer.execute('UPDATE "sys.meta" SET value=? WHERE name=\'applied\'', (str(redo.num),))
    state.last_log_fork = restore.fork
    if restore.early:
        state.first_fork, state.fork, state.fork_point = restore.fork, store.new_guid(), redo.num
        if not restore.tail:
            state.database_guid = store.new_guid()
    else:
        state.fork = restore.fork
    state.chain = state.recovery_model != store.SIMPLE
    state.last_log = redo.num if state.chain else None
    state.begins_chain = False
    _settle(job, db)
    state.state, state.restore = store.ONLINE, None
    db.save()
    job.step("recovered")
    db.log.truncate(redo)
    db.note("recovery")
    _upgrade(job, restore.version)


def _settle(job: "Job", db: Database) -> None:
    """What the options of the recovering statement decide."""
    state, options, restore = db.state, job.options, db.state.restore
    here = restore.tail or (restore.server.casefold(), restore.source.casefold()) == (job.server.name.casefold(), db.name.casefold())
    state.cdc = state.cdc and bool(here or options.get("KEEP_CDC"))
    state.published = state.published if here or options.get("KEEP_REPLICATION") else 0
    if options.get("RESTRICTED_USER"):
        state.user_access = 2
    if options.get("NEW_BROKER"):
        state.broker_guid = store.new_guid()
    state.broker = bool(options.get("NEW_BROKER") or options.get("ENABLE_BROKER") or options.get("ERROR_BROKER_CONVERSATIONS"))


def _upgrade(job: "Job", version: int) -> None:
    here = job.server.database_version
    if not version or version >= here:
        return
    name = job.db.name
    job.progress.info(928, f"Converting database '{name}' from version {version} to the current version {here}.")
    for number in range(version, here):
        job.progress.info(951, f"Database '{name}' running the upgrade step from version {number} to version {number + 1}.")

