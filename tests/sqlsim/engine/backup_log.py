# SPDX-License-Identifier: Apache-2.0
"""BACKUP LOG: takes the log since the last one, and only after the set is complete forgets it."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

from . import backup_check, store, wal
from .clock import ticks
from .database import look
from .lsn import Lsn, from_num
from .rows import PAGE

if TYPE_CHECKING:
    from .backup import Job
    from .backup_media import Target


def run(job: "Job", target: "Target") -> None:
    db = job.db
    while not db.log_backup_lock.acquire(timeout=0.05):
        look(job.session)
    tail = bool(job.options.get("NORECOVERY") or job.options.get("STANDBY"))
    locked = False
    try:
        if tail:
            backup_check.exclusive(job, db)
            while not db.write_lock.acquire(timeout=0.05):
                look(job.session)
            locked = True
        _run(job, target, tail)
    finally:
        if locked:
            db.write_lock.release()
        db.log_backup_lock.release()


def _run(job: "Job", target: "Target", tail: bool) -> None:
    from .backup import write_records
    db, state = job.db, job.db.state
    job.step("begin")
    writer = target.open()
    job.step("opened")
    with db.log.lock:
        first, last = from_num(state.last_log), db.log.end
        valid = job.server.clock.local()
        size = db.log.bytes_between(first, last)
        db.holds[id(job)] = first
    bulk = [0]

    def seen(record: wal.Record) -> None:
        bulk[0] |= record.flags & wal.FLAG_BULK
        job.progress.add(len(record.raw))

    try:
        more = _fork(state)
        unreadable = state.state in (store.SUSPECT, store.RECOVERY_PENDING)
        more.update(begins_log_chain=int(state.begins_chain), norecovery=int(tail), incomplete_metadata=int(unreadable))
        writer.begin(job.describe(target, first, last, size, **more), target.media if target.position == 1 else None)
        job.progress.expect(size)
        writer.begin_phase(b"MSTL")
        logged = write_records(writer, db.log.read(first, last), seen)
        writer.end_phase()
        job.step("data")
        final = job.describe(target, first, last, logged + 1024, **more)
        final.update(finish=job.server.clock.local_second().isoformat(), has_bulk=bulk[0],
                     last_valid=ticks(valid).isoformat(timespec="milliseconds"), compressed_size=logged + 1024)
        final["flags"] |= (1 if bulk[0] else 0) | ((64 | 256) if tail else 0) | (128 if unreadable else 0)
        if job.compressed:
            final["compressed_size"] = writer.written
        writer.end(final)
        target.close()
        job.step("written")
    finally:
        db.holds.pop(id(job), None)
    _adopt(job, last, tail)
    job.step("state")
    job.history(final, target)
    job.step("history")
    _report(job, final, max(0, -(-logged // PAGE)))


def _fork(state: store.DbState) -> dict[str, Any]:
    """First and last recovery fork of the log, and the point between them."""
    first = state.last_log_fork or state.fork
    return {"first_fork": first, "last_fork": state.fork, "fork_point_lsn": state.fork_point if first != state.fork else None}


def _adopt(job: "Job", last: Lsn, tail: bool) -> None:
    db, state = job.db, job.db.state
    with db.mutex:
        if (not job.copy_only and not state.read_only) or tail:
            state.last_log, state.last_log_fork, state.begins_chain = last.num, state.fork, False
            state.last_log_time = job.server.clock.local().isoformat(timespec="milliseconds")
        if tail:
            _leave_restoring(job, last)
        db.save()
        if not job.copy_only and not state.read_only:
            db.truncate_log()


def _leave_restoring(job: "Job", last: Lsn) -> None:
    """NORECOVERY: the tail is out, nothing can be committed any more. STANDBY: readable as well."""
    db, state = job.db, job.db.state
    standby = str(job.options.get("STANDBY") or "")
    state.restore = store.RestoreState(redo=last.num, fork=state.fork, bound_us=db.log.last_us, early=False, tail=True,
                                       version=job.server.database_version)
    state.state = store.RESTORING
    db.close_rows(locked=True)
    if standby:
        from .backup_media import resolve
        state.standby = resolve(job.server, standby, job.what)
        shutil.copyfile(db.path, state.standby)
        os.chmod(state.standby, 0o660)
        state.state = store.ONLINE
        db.open_rows()


def _report(job: "Job", meta: dict, pages: int) -> None:
    from .backup import success_line
    db = job.db
    if db.state.read_only:
        job.progress.info(4217, "BACKUP LOG cannot modify the database because the database is read-only. The backup will continue, "
                                "although subsequent backups will duplicate the work of this backup.")
    job.progress.pages(pages, db.name, db.state.log_file.logical, meta["position"])
    job.damage(bool(meta["incomplete_metadata"]))
    if 3226 not in job.server.trace_flags:
        job.server.errorlog(success_line(meta, 18265, job.stmt, pages))
    job.progress.finish("BACKUP LOG", pages)
