# SPDX-License-Identifier: Apache-2.0
"""RESTORE DATABASE and RESTORE LOG.

A RESTORING database keeps the pages of its data backup untouched; log records wait in its .ldf. Recovery redoes them. So a
differential always meets the pages that it was made against, and any statement can be repeated after an interruption.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from typing import TYPE_CHECKING, Any, Optional

from ..contract import Emit, RestoreStatement, SqlError
from . import backup_check, databases, errors, msdb, restore_apply, restore_files, restore_info, store, wal
from .clock import micros, ticks
from .database import Database
from .lsn import MAX, Lsn, from_num
from .progress import Progress
from .restore_media import WHAT, Source

if TYPE_CHECKING:
    from .server import Server

CURCMD = 229


def run(server: "Server", session: Any, stmt: RestoreStatement, emit: Emit) -> None:
    what = WHAT[stmt.what]
    request = server.begin_request(session, f"RESTORE {stmt.what}"[:16], stmt.database or session.database)
    job: Optional[Job] = None
    try:
        if stmt.what not in ("DATABASE", "LOG"):
            restore_info.run(server, session, stmt, emit)
            return
        if backup_check.in_transaction(server, session):
            raise errors.fail(what, 3021, "Cannot perform a backup or restore operation within a transaction.", 0)
        server.faults.on_statement("restore", what)
        job = Job(server, session, stmt, emit, request)
        job.whole()
        if not stmt.devices:
            job.recover_only()
        elif stmt.what == "LOG":
            job.log()
        else:
            job.data()
    except OSError as exc:
        text = errors.os_text(errors.code_of(exc))
        raise errors.fail(what, 3634, f"The operating system returned the error '{text}' while attempting "
                                      f"'RestoreContainer::Write' on '{exc.filename or ''}'.") from exc
    except sqlite3.Error as exc:
        raise errors.fail(what, 3634, f"The operating system returned the error '{errors.os_text(112)}' while attempting "
                                      f"'RestoreContainer::Write' on '{server.system_dir}'.") from exc
    finally:
        if job is not None:
            job.release()
        server.end_request(session)


def parse_stop(value: Any) -> dt.datetime:
    """STOPAT: server local time, 1/300 s."""
    if isinstance(value, dt.datetime):
        return ticks(value.replace(tzinfo=None))
    text = str(value).strip()
    for form in ("%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M",
                 "%Y-%m-%d %H:%M", "%Y-%m-%d", "%Y%m%d %H:%M:%S.%f", "%Y%m%d %H:%M:%S", "%Y%m%d", "%b %d, %Y %I:%M %p",
                 "%b %d, %Y %I:%M:%S %p"):
        try:
            found = dt.datetime.strptime(text, form)
        except ValueError:
            continue
        if "." in text and len(text.rpartition(".")[2]) > 3:
            break
        return ticks(found)
    raise SqlError(241, "Conversion failed when converting date and/or time from character string.", 1, 16)


class Stop:
    """Where to stop: a time, a named mark or an LSN."""

    def __init__(self, options: dict) -> None:
        self.time_us: Optional[int] = None
        self.lsn: Optional[Lsn] = None
        self.mark = ""
        self.after_us = 0
        self.before = False
        self.stop_at: Optional[dt.datetime] = None
        if options.get("STOPAT") is not None:
            self.stop_at = parse_stop(options["STOPAT"])
            self.time_us = micros(self.stop_at)
        for key in ("STOPATMARK", "STOPBEFOREMARK"):
            if options.get(key):
                value = options[key]
                name, after = value if isinstance(value, (tuple, list)) else (value, None)
                self.before = key == "STOPBEFOREMARK"
                if name.lower().startswith("lsn:"):
                    self.lsn = from_num(int(name[4:], 0))
                else:
                    self.mark = name
                if after:
                    self.after_us = micros(parse_stop(after))

    @property
    def given(self) -> bool:
        return self.time_us is not None or self.lsn is not None or bool(self.mark)

    @property
    def name(self) -> Optional[str]:
        if self.lsn is not None:
            return f"lsn:{self.lsn.num}"
        return self.mark or None


class Job:
    def __init__(self, server: "Server", session: Any, stmt: RestoreStatement, emit: Emit, request: Any) -> None:
        self.server, self.session, self.stmt, self.emit = server, session, stmt, emit
        self.options = stmt.options
        self.what = WHAT[stmt.what]
        self.progress = Progress(emit, CURCMD, self.options.get("STATS"), request, stmt.line)
        self.stop = Stop(self.options)
        self.began = server.clock.local()
        self.db: Optional[Database] = None
        self.source: Source = None
        self.kind = "recover"
        self.bad: list[int] = []
        self.fault: Any = None  # of Faults.fail_restore
        self.claimed: list[Database] = []

    def fail(self, number: int, text: str, state: int = 1, cls: int = 16) -> SqlError:
        return errors.fail(self.what, number, text, state, cls)

    @property
    def name(self) -> str:
        return self.stmt.database

    def step(self, name: str) -> None:
        self.server.faults.step("restore", name, self.session, f"restore_{self.kind}")

    def whole(self) -> None:
        """Only whole databases are restored here."""
        for option in ("FILES", "PAGE", "PARTIAL", "READ_WRITE_FILEGROUPS", "DATABASE_SNAPSHOT", "METADATA_ONLY", "FILE_SNAPSHOT"):
            if self.options.get(option):
                raise self.fail(1844, f"{self.what} with {option} is not supported on {self.server.edition}.")
        for option in ("KEEP_CDC", "KEEP_REPLICATION", "RECOVERY", "STANDBY"):
            if self.options.get(option) and self.options.get("NORECOVERY"):
                raise self.fail(3031, f"Option '{option.lower()}' conflicts with option(s) 'norecovery'. Remove the conflicting option and "
                                      "reissue the statement.")

    def open(self) -> dict:
        """Inspects the devices; returns the description of the set."""
        self.source = Source(self.server, self.session, self.stmt)
        self.source.check_family()
        meta = self.source.pick()
        self.kind = {"D": "full", "I": "diff", "L": "log"}[meta["type"]]
        self._version(meta)
        if self.options.get("RESTART"):
            self.progress.info(3018, "The restart-checkpoint file was not found. The RESTORE command will continue from the beginning as if "
                                     "RESTART had not been specified.")
        return meta

    # -- checks -----------------------------------------------------------------------------------------------------

    def _target(self) -> Optional[Database]:
        db = self.server.find(self.name)
        if self.name.casefold() == "tempdb":
            raise self.fail(3147, "Backup and restore operations are not allowed on database tempdb.")
        if self.name.casefold() == "master":
            raise self.fail(3108, "To restore the master database, the server must be running in single-user mode. For information on "
                                  "starting in single-user mode, see \"How to: Start an Instance of SQL Server (sqlservr.exe)\" in Books "
                                  "Online.")
        if db is None:
            self.server.security.need_media(self.session, self.what)
        else:
            self.server.security.need_restore(self.session, db, self.what)
            problem = databases.referred(self.server, db)
            if db.state.source_id is not None:
                raise self.fail(3002, "Cannot BACKUP or RESTORE a database snapshot.")
            if problem is not None:
                raise self.fail(problem.error.number, problem.error.text, problem.error.state)
            if db.state.group:
                raise self.fail(3104, f"RESTORE cannot operate on database '{db.name}' because it is configured for database mirroring or has "
                                      "joined an availability group. If you intend to restore the database, use ALTER DATABASE to remove "
                                      "mirroring or to remove the database from its availability group.")
        return db

    def _exclusive(self, db: Database) -> None:
        if self.session.database.casefold() == db.name.casefold():
            raise self.fail(3102, f"RESTORE cannot process database '{db.name}' because it is in use by this session. It is recommended "
                                  "that the master database be used when performing this operation.")
        with self.server.lock:
            gone = db.replaced or self.server.dbs.get(db.id) is not db
            if gone or db.restoring not in (None, self) or self.server.users_of(db, self.session) or self.server.requests_on(db, self.session):
                raise self.fail(3101, "Exclusive access could not be obtained because the database is in use.")
            self.claim(db)

    def claim(self, db: Database) -> None:
        """From here to the end of the statement nobody else gets at the database."""
        db.restoring = self
        self.claimed.append(db)

    def release(self) -> None:
        for db in self.claimed:
            if db.restoring is self:
                db.restoring = None

    def _version(self, meta: dict) -> None:
        if meta["database_version"] > self.server.database_version:
            there = ".".join(f"{v:02d}" for v in meta["software"])
            here = ".".join(f"{v:02d}" for v in self.server.version[:3])
            raise self.fail(3169, f"The database was backed up on a server running version {there}. That version is incompatible with this "
                                  f"server, which is running version {here}. Either restore the database on a server that supports the "
                                  "backup, or use a backup that is compatible with this server.")

    def _system(self, meta: dict) -> None:
        """msdb and model come only from the same build."""
        if self.name.casefold() in ("msdb", "model") and tuple(meta["software"]) != self.server.version[:3]:
            here = ".".join(str(v) for v in self.server.version[:3])
            there = ".".join(str(v) for v in meta["software"])
            raise self.fail(3168, f"The backup of the system database on the device {self.stmt.devices[0]} cannot be restored because it was "
                                  f"created by a different version of the server ({there}) than this server ({here}).")

    def _stop_check(self, meta: dict) -> None:
        """STOPAT with a data backup only checks that the backup is not already past it."""
        late = self.stop.time_us is not None and micros(dt.datetime.fromisoformat(meta["finish"])) > self.stop.time_us
        late |= self.stop.lsn is not None and from_num(meta["last_lsn"]) > self.stop.lsn
        if late:
            raise self.fail(4338, "The STOPAT clause specifies a point too early to allow this backup set to be restored. Choose a "
                                  "different stop point or use RESTORE DATABASE WITH RECOVERY to recover at the current point.")

    def _restoring(self, db: Optional[Database]) -> store.RestoreState:
        if db is None:
            raise self.fail(3118, f'The database "{self.name}" does not exist. RESTORE can only create a database when restoring either a '
                                  "full backup or a file backup of the primary file.")
        for claim in (True, False):  # again when nobody else can change it any more
            if db.state.restore is None:
                raise self.fail(3117, "The log or differential backup cannot be restored because no files are ready to rollforward.")
            if claim:
                self._exclusive(db)
        return db.state.restore

    # -- statements -------------------------------------------------------------------------------------------------

    def data(self) -> None:
        db = self._target()
        meta = self.open()
        source = self.source
        self._system(meta)
        if meta["type"] == "L":
            raise self._wrong_kind("BACKUP LOG")
        if meta["type"] == "I":
            self._differential(db, source, meta)
            return
        if self.stop.given and meta["recovery_model"] == "SIMPLE":
            raise self.fail(3145, "The STOPAT option is not supported for databases that use the SIMPLE recovery model.")
        verify = source.verify(meta)
        if db is not None:
            self._exclusive(db)
            self._over(db, meta)
        self._stop_check(meta)
        files = restore_files.plan(self, db, meta)
        self.server.faults.on_restore(self)
        restore_apply.full(self, db, source, meta, files, verify)
        self._finish(meta, source)

    def _wrong_kind(self, made_by: str) -> SqlError:
        return self.fail(3135, f"The backup set in file '{self.stmt.devices[0]}' was created by {made_by} and cannot be used for this "
                               "restore operation.")

    def _over(self, db: Database, meta: dict) -> None:
        state = db.state
        if self.options.get("REPLACE"):
            return
        if state.family_guid != meta["family_guid"]:
            raise self.fail(3154, f"The backup set holds a backup of a database other than the existing '{db.name}' database.", 4)
        if state.restore is not None or state.pseudo_simple:
            return
        if self.stop.given and state.state == store.ONLINE and self._tail_needed(db):
            raise self.fail(3173, "The STOPAT clause provided with this RESTORE statement indicates that the tail of the log contains changes "
                                  f'that must be backed up to reach the target point in time. The tail of the log for the database "{db.name}" '
                                  "has not been backed up. Use BACKUP LOG WITH NORECOVERY to back up the log, or use the WITH REPLACE clause "
                                  "in your RESTORE statement to overwrite the tail of the log.")
        if not self.stop.given:
            raise self.fail(3159, f'The tail of the log for the database "{db.name}" has not been backed up. Use BACKUP LOG WITH NORECOVERY '
                                  "to backup the log if it contains work you do not want to lose. Use the WITH REPLACE or WITH STOPAT "
                                  "clause of the RESTORE statement to just overwrite the contents of the log.")

    def _tail_needed(self, db: Database) -> bool:
        """Whether the log that nobody has backed up holds commits before the stop point."""
        first = from_num(db.state.last_log)
        if self.stop.lsn is not None:
            return first < self.stop.lsn <= db.log.end
        return self.stop.time_us is not None and any(r.kind == wal.TRAN and r.local_us < self.stop.time_us for r in db.log.read(first, MAX))

    def _differential(self, db: Optional[Database], source: Source, meta: dict) -> None:
        restore = self._restoring(db)
        verify = source.verify(meta)
        if restore.base_guid is None or restore.base_guid != meta["differential_base_guid"] or (
                not restore.incomplete and meta["last_lsn"] < restore.redo):
            raise self.fail(3136, "This differential backup cannot be restored because the database has not been restored to the correct "
                                  "earlier state.")
        self._stop_check(meta)
        self.server.faults.on_restore(self)
        restore_apply.differential(self, db, source, meta, verify)
        self._finish(meta, source)

    def log(self) -> None:
        db = self._target()
        meta = self.open()
        source = self.source
        if meta["type"] != "L":
            raise self._wrong_kind("BACKUP DATABASE")
        restore = self._restoring(db)
        verify = source.verify(meta)
        if restore.incomplete:
            raise self.fail(4319, f"A previous restore operation was interrupted and did not complete processing on file "
                                  f"'{db.state.data_file.logical}'. Either restore the backup set that was interrupted or restart the "
                                  "restore sequence.")
        self._fits(db, restore, meta)
        self.server.faults.on_restore(self)
        reached = restore_apply.log(self, db, source, meta, verify)
        self._finish(meta, source, reached)

    def _fits(self, db: Database, restore: store.RestoreState, meta: dict) -> None:
        """First <= R <= Last on the same recovery path."""
        if meta["family_guid"] != db.state.family_guid:
            raise self.fail(3154, f"The backup set holds a backup of a database other than the existing '{db.name}' database.", 4)
        first, last, redo = (from_num(n) for n in (meta["first_lsn"], meta["last_lsn"], restore.redo))
        if first > redo:
            raise self.fail(4305, f"The log in this backup set begins at LSN {first.num}, which is too recent to apply to the database. An "
                                  f"earlier log backup that includes LSN {redo.num} can be restored.")
        if last < redo:
            raise self.fail(4326, f"The log in this backup set terminates at LSN {last.num}, which is too early to apply to the database. A "
                                  f"more recent log backup that includes LSN {redo.num} can be restored.")
        crossing = (meta["first_fork"] == restore.fork and meta["fork_point_lsn"] is not None
                    and from_num(meta["fork_point_lsn"]) >= redo)
        if meta["last_fork"] != restore.fork and not crossing:
            raise self.fail(4330, "This backup set cannot be applied because it is on a recovery path that is inconsistent with the "
                                  "database. The recovery path is the sequence of data and log backups that have brought the database to a "
                                  "particular recovery point. Find a compatible backup to restore, or restore the rest of the database to "
                                  "match a recovery point within this backup set, which will restore the database to a different point in "
                                  "time.")
        past = self.stop.time_us is not None and self.stop.time_us < restore.bound_us
        past |= self.stop.lsn is not None and self.stop.lsn < redo
        if past or (self.stop.given and restore.stopped):
            raise self.fail(4335, "The specified STOPAT time is too early. All or part of the database is already rolled forward beyond that "
                                  "point.")

    def recover_only(self) -> None:
        db = self._target()
        if db is None:
            raise self.fail(3118, f'The database "{self.name}" does not exist. RESTORE can only create a database when restoring either a '
                                  "full backup or a file backup of the primary file.")
        for claim in (True, False):
            if db.state.restore is None:
                raise self.fail(3153, "The database is already fully recovered.")
            if claim:
                self._exclusive(db)
        if db.state.restore.incomplete:
            raise self.fail(4333, "The database cannot be recovered because the log was not restored.")
        self.db = db
        if self.options.get("STANDBY"):
            restore_apply.standby(self, db, str(self.options["STANDBY"]))
        elif not self.options.get("NORECOVERY"):
            restore_apply.recover(self, db)
        self.progress.finish(f"RESTORE {self.stmt.what}", 0)

    # -- the end ----------------------------------------------------------------------------------------------------

    def _finish(self, meta: dict, source: Source, reached: Optional[bool] = None) -> None:
        """History, then recovery as asked for, then the messages."""
        db, position = self.db, meta["position"]
        self.step("applied")
        pages = 0
        for file in meta["files"]:
            count = file["backup_size"] // 8192 if file["type"] == "D" and meta["type"] != "L" else 0
            if file["type"] == "D":
                self.progress.pages(count, db.name, file["logical"], position)
                pages += count
        self.progress.pages(max(1, meta["backup_size"] // 8192 - pages), db.name, db.state.log_file.logical, position)
        self._history(meta, source)
        self._damage(meta)
        self.step("history")
        wait = self.stop.given and not reached
        if wait:
            self._not_reached()
        if self.options.get("STANDBY"):
            restore_apply.standby(self, db, str(self.options["STANDBY"]))
        elif not self.options.get("NORECOVERY") and not wait:
            restore_apply.recover(self, db)
        self.step("done")
        self.server.errorlog(f"Database was restored: Database: {db.name}, creation date(time): {meta['database_creation_date'][:19]}, first LSN: "
                             f"{from_num(meta['first_lsn']).triple}, last LSN: {from_num(meta['last_lsn']).triple}.")
        self.progress.finish(f"RESTORE {self.stmt.what}", pages)

    def _damage(self, meta: dict) -> None:
        if meta["is_damaged"]:
            self.progress.info(3188, "The backup set was written with damaged data by a BACKUP WITH CONTINUE_AFTER_ERROR.")
        if self.bad and self.options.get("CONTINUE_AFTER_ERROR"):
            self.progress.info(3184, "RESTORE WITH CONTINUE_AFTER_ERROR was successful but some damage was encountered. Inconsistencies in the "
                                     "database are possible.")

    def _not_reached(self) -> None:
        if self.stop.time_us is not None or self.stop.lsn is not None:
            self.progress.info(4322, "This backup set contains records that were logged before the designated point in time. The database is "
                                     "being left in the restoring state so that more roll forward can be performed.")
        else:
            self.progress.info(4329, "This log file contains records logged before the designated mark. The database is being left in the "
                                     "Restoring state so you can apply another log file.")

    def _history(self, meta: dict, source: Source) -> None:
        if self.db.id == 4:
            return  # msdb does not write its own history while it is restored
        try:
            self._write_history(meta, source)
        except SqlError as exc:
            self.server.errorlog(f"Error: 3009, Severity: 16, State: 1. {exc}")
            self.progress.info(3009, "Could not insert a backup or restore history/detail record in the msdb database. This may indicate a "
                                     "problem with the msdb database. The backup/restore operation was still successful.")

    def _write_history(self, meta: dict, source: Source) -> None:
        media = {k: v for k, v in source.infos[0].media.items() if k != "family"}
        set_id = msdb.add_set(self.server, meta, media, self.stmt.devices)
        flags = {"replace": int(bool(self.options.get("REPLACE"))),
                 "recovery": int(not (self.options.get("NORECOVERY") or self.options.get("STANDBY"))),
                 "restart": int(bool(self.options.get("RESTART"))),
                 "stop_at": self.stop.stop_at, "mark": self.stop.name, "before": int(self.stop.before) if self.stop.name else None}
        files = [(f.file_id, f.physical) for f in self.db.state.files] if meta["type"] != "L" else []
        msdb.add_restore(self.server, self.db.name, self.server.security.name_of(self.session), set_id, meta["type"], flags,
                         len(self.stmt.devices), files, self.began.replace(microsecond=self.began.microsecond // 1000 * 1000))
