# SPDX-License-Identifier: Apache-2.0
"""One database: rows in an SQLite file (.mdf), committed transactions in a log file (.ldf).

A commit is appended to the log first and applied to the rows second; the rows remember up to which LSN they are current.
Start-up redoes what the rows lack, so kill -9 at any point leaves exactly the committed transactions.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import struct
import tempfile
import threading
import zlib
from typing import TYPE_CHECKING, Any, Iterator, Optional

from ..contract import Cancelled, Error, SessionKilled, SqlError, TableDef
from . import damage, rows, store, wal
from .clock import micros, ticks
from .lsn import MAX, Lsn, from_num

if TYPE_CHECKING:
    from .server import Server

KEEP_SIMPLE = 64 * 1024  # a log that nobody backs up is truncated when it has grown past this
HASH = struct.Struct("<II")
BULK_ROWS = 1000  # more inserts than this in one transaction are minimally logged in BULK_LOGGED


def look(session: Any) -> None:
    """Raises when the session must stop what it does."""
    if session is None:
        return
    if session.killed.is_set():
        if getattr(session, "kill_error", None) is not None:
            raise SessionKilled(session.kill_error)
        raise SessionKilled(Error(596, "Cannot continue the execution because the session is in the kill state.", 1, 21))
    if session.cancel.is_set():
        raise Cancelled()


class Transaction:
    """`connection` is where the executor runs its statements."""

    def __init__(self, database: "Database", session: Any, connection: rows.Connection) -> None:
        self.database = database
        self.session = session
        self.connection = connection
        self.begin_lsn = database.log.end
        self.ops: list[list] = []
        self.open = True
        self.bulk = False

    def flush(self) -> None:
        self.ops.extend(rows.drain(self.connection))

    def execute_ddl(self, sql: str) -> None:
        """Runs a statement that changes the schema and logs its text."""
        self.flush()
        self.connection.execute(sql)
        self.ops.append(["Q", sql])

    def next_identity(self, table: str, seed: int = 1, step: int = 1, count: int = 1) -> int:
        """Reserves `count` values, returns the first. Values that a rollback gave back are not used again."""
        name = full_name(table)
        used = self.database.used_identities.get(name.casefold())
        if used is None:
            row = self.connection.execute('SELECT value FROM "sys.identities" WHERE name=?', (name,)).fetchone()
            used = row[0] if row else None
        first = seed if used is None else used + step
        last = first + step * (count - 1)
        self.connection.execute('INSERT INTO "sys.identities" VALUES (?,?) ON CONFLICT (name) DO UPDATE SET value=excluded.value',
                                (name, last))
        self.database.used_identities[name.casefold()] = last
        return first

    def note_identity(self, table: str, value: Optional[int]) -> None:
        """Sets the last value used (IDENTITY_INSERT, TRUNCATE: None)."""
        name = full_name(table)
        self.database.used_identities.pop(name.casefold(), None)
        self.connection.execute('DELETE FROM "sys.identities" WHERE name=?', (name,))
        if value is not None:
            self.connection.execute('INSERT INTO "sys.identities" VALUES (?,?)', (name, value))


def full_name(name: str) -> str:
    return name if "." in name else "dbo." + name


class Database:
    def __init__(self, server: "Server", state: store.DbState) -> None:
        self.server = server
        self.state = state
        self.log: wal.LogFile = None
        self.writer: Optional[rows.Connection] = None
        self.write_lock = threading.Lock()
        self.mutex = threading.RLock()
        self.active: Optional[Transaction] = None
        self.holds: dict[int, Lsn] = {}
        self.data_backup: Any = None  # the running full or differential
        self.log_backup_lock = threading.Lock()
        self.restoring: Any = None  # the RESTORE that has the database for itself
        self.replaced = False
        self.closed = False
        self.used_identities: dict[str, int] = {}
        self.decoded: dict[str, dict[int, tuple]] = {}  # rows of msdb's history
        self._since_checkpoint: tuple[Any, int] = (None, 0)
        self._tables: Optional[dict[str, TableDef]] = None
        self._modified: tuple[Any, int] = (None, 0)
        self._size: tuple[Any, int] = (None, 0)

    # -- identity ---------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return self.state.name

    @property
    def id(self) -> int:
        return self.state.id

    @property
    def path(self) -> str:
        return self.state.data_file.physical

    @property
    def base_path(self) -> str:
        return os.path.join(self.server.system_dir, f"base-{self.id}.bin")

    def save(self) -> None:
        """Nothing for one that was dropped or restored over: its number may be another's."""
        with self.mutex:
            if not self.replaced:
                self.server.store.save(self.state)

    # -- opening and closing ----------------------------------------------------------------------------------------

    def create_files(self, start: Lsn) -> None:
        """New, empty files."""
        for file in self.state.files:
            if file.type == 0:
                db = rows.create_file(file.physical)
                db.execute('INSERT INTO "sys.meta" VALUES (\'applied\', ?)', (str(start.num),))
                db.close()
            else:
                wal.LogFile.create(file.physical, start).close()
            os.chmod(file.physical, 0o660)

    def open(self) -> None:
        """Opens the files; recovers when the database is online."""
        self.log = wal.LogFile(self.state.log_file.physical)
        self.log.open()
        if self.state.state in (store.ONLINE, store.EMERGENCY) or self.state.standby:
            self.open_rows()
            if not self.state.standby:
                self.redo(MAX)

    def open_rows(self) -> None:
        if not os.path.exists(self.path):
            raise FileNotFoundError(self.path)
        self.writer = rows.connect(self.path)
        rows.install_capture(self.writer)
        self._tables = None

    def close_rows(self, locked: bool = False) -> None:
        """Waits for a writer; `locked`: the caller has the write lock."""
        if not locked and not self.write_lock.acquire(timeout=5):
            self.writer = self._tables = None  # the connection ends with the transaction that hangs on to it
            return
        try:
            writer, self.writer, self._tables = self.writer, None, None
            if writer is not None:
                with contextlib.suppress(sqlite3.Error):
                    writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                writer.close()
        finally:
            if not locked:
                self.write_lock.release()

    def close(self) -> None:
        self.close_rows()
        if self.log is not None:
            self.log.close()

    def applied(self) -> Lsn:
        db = self.writer or rows.connect(self.path)
        try:
            return from_num(int(db.execute('SELECT value FROM "sys.meta" WHERE name=\'applied\'').fetchone()[0]))
        finally:
            if db is not self.writer:
                db.close()

    def redo(self, last: Lsn) -> int:
        """Applies the logged transactions that the rows lack, up to `last`. Returns their number."""
        first, count = self.applied(), 0
        if self.log.end <= first:
            return 0
        plain = rows.connect(self.path)
        try:
            redo = rows.Redo(plain)
            plain.execute("BEGIN IMMEDIATE")
            end = first
            for record in self.log.read(first, last):
                if record.kind == wal.TRAN:
                    self._redo_one(redo, record)
                    count += 1
                end = record.end
            plain.execute('UPDATE "sys.meta" SET value=? WHERE name=\'applied\'', (str(end.num),))
            plain.execute("COMMIT")
        finally:
            plain.close()
        self._tables = None
        if count and self.writer is not None:
            self.writer.close()
            self.writer = rows.connect(self.path)
            rows.install_capture(self.writer)
        return count

    @staticmethod
    def _redo_one(redo: rows.Redo, record: wal.Record) -> None:
        try:
            redo.apply(record.body["ops"])
        except (rows.RedoConflict, sqlite3.IntegrityError, sqlite3.OperationalError) as exc:
            if isinstance(exc, sqlite3.OperationalError) and not any(w in str(exc) for w in ("no such", "already exists", "duplicate")):
                raise
            conflict = rows.RedoConflict(str(exc))
            conflict.lsn = record.lsn
            raise conflict from exc

    # -- tables -----------------------------------------------------------------------------------------------------

    def tables(self, tran: Optional[Transaction] = None) -> dict[str, TableDef]:
        """Table definitions by full name (dbo.t). Committed ones, or those that `tran` sees."""
        if tran is not None and tran.open:
            return self._load_tables(tran.connection)
        with self.mutex:
            if self._tables is None:
                with contextlib.closing(self.reader()) as db:
                    self._tables = self._load_tables(db)
            return dict(self._tables)

    @staticmethod
    def _load_tables(db: sqlite3.Connection) -> dict[str, TableDef]:
        return {n: rows.load_table(text) for n, text in db.execute('SELECT name, def FROM "sys.tables" ORDER BY id')}

    def create_table(self, tran: Transaction, table: TableDef) -> None:
        name = full_name(table.name)
        tran.execute_ddl(rows.table_sql(table, name))
        rows.capture_table(tran.connection, name)
        top = tran.connection.execute('SELECT max(id) FROM "sys.tables"').fetchone()[0] or 901578250
        tran.connection.execute('INSERT INTO "sys.tables" VALUES (?,?,?,?)',
                                (name, top + 16, rows.dump_table(table), self.server.clock.local().isoformat()))

    def drop_table(self, tran: Transaction, name: str) -> None:
        name = full_name(name)
        rows.drop_capture(tran.connection, name)
        tran.execute_ddl(f"DROP TABLE {rows.quote(name)}")
        tran.connection.execute('DELETE FROM "sys.tables" WHERE name=?', (name,))
        tran.note_identity(name, None)

    def alter_table(self, tran: Transaction, table: TableDef) -> None:
        """Replaces the definition; columns that it has and the table has not are added."""
        name = full_name(table.name)
        have = {c.casefold() for c in rows.columns_of(tran.connection, name)}
        for column in table.columns:
            if column.name.casefold() not in have:
                rows.drop_capture(tran.connection, name)
                tran.execute_ddl(f"ALTER TABLE {rows.quote(name)} ADD COLUMN {rows.quote(column.name)}")
        rows.capture_table(tran.connection, name)
        tran.connection.execute('UPDATE "sys.tables" SET def=? WHERE name=?', (rows.dump_table(table), name))

    # -- transactions -----------------------------------------------------------------------------------------------

    def begin(self, session: Any) -> Transaction:
        """Waits for the writer lock, looking at cancel and kill."""
        if self.restoring is not None:
            raise SqlError(927, f"Database '{self.name}' cannot be opened. It is in the middle of a restore.", 2, 14)
        if self.state.read_only or self.state.standby:
            raise SqlError(3906, f'Failed to update database "{self.name}" because the database is read-only.', 1, 16)
        while not self.write_lock.acquire(timeout=0.05):
            look(session)
        try:
            look(session)
            if self.writer is None:
                raise SqlError(9001, f"The log for database '{self.name}' is not available. Check the operating system "
                                     "error log for related error messages. Resolve any errors and restart the database.",
                               1, 21)
            self.writer.execute("BEGIN IMMEDIATE")
            self.active = Transaction(self, session, self.writer)
            return self.active
        except BaseException:
            self.write_lock.release()
            raise

    def commit(self, tran: Transaction, mark: Optional[tuple[str, str]] = None) -> None:
        if not tran.open:
            raise SqlError(3902, "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.", 1, 16)
        try:
            tran.flush()
            record = self._log_commit(tran, mark)
        except OSError as exc:
            self.rollback(tran)
            raise self._log_full() from exc
        except sqlite3.OperationalError as exc:
            self.rollback(tran)
            raise SqlError(1105, f"Could not allocate space for object 'dbo' in database '{self.name}' because the 'PRIMARY' filegroup is "
                                 "full due to lack of storage space or database files reaching the maximum allowed size.", 2, 17) from exc
        except BaseException:
            self.rollback(tran)
            raise
        self._finish(tran)
        if record is not None and mark is not None:
            self.server.note_mark(self, mark, record, tran.session)

    def _log_commit(self, tran: Transaction, mark: Optional[tuple[str, str]]) -> Optional[wal.Record]:
        db = tran.connection
        if not tran.ops and mark is None:
            db.execute("COMMIT")
            return None
        inserts = sum(1 for op in tran.ops if op[0] == "I")
        bulk = tran.bulk or (self.state.recovery_model == store.BULK_LOGGED and inserts > BULK_ROWS)
        body = {"ops": tran.ops}
        if mark is not None:
            body["mark"] = list(mark)
        before = self.log.end
        now = ticks(self.server.clock.local())
        record = self.log.append(wal.TRAN, body, micros(now), self.server.clock.offset_minutes(),
                                 min(len(tran.ops) + 2, 60000),
                                 (wal.FLAG_BULK if bulk else 0) | (wal.FLAG_MARK if mark else 0), self._check_limit)
        try:
            db.execute('UPDATE "sys.meta" SET value=? WHERE name=\'applied\'', (str(record.end.num),))
            db.execute("COMMIT")
        except BaseException:
            self.log.undo(record, before)
            raise
        if any(op[0] == "Q" or op[1] == "sys.tables" for op in tran.ops):
            self._tables = None
        return record

    def _check_limit(self, size: int) -> None:
        limit = self.state.log_limit
        if not limit or size <= limit:
            return
        if self.state.pseudo_simple:
            self.truncate_log()
            if self.log.size - wal.HEADER < limit:
                return
        raise self._log_full()

    def _log_full(self) -> SqlError:
        reason = self.log_reuse()[1]
        text = f"The transaction log for database '{self.name}' is full due to '{reason}'"
        if self.server.major >= 16:
            text += f" and the holdup lsn is ({self.log.start.triple})"
        return SqlError(9002, text + ".", 2, 17)

    def rollback(self, tran: Transaction) -> None:
        if not tran.open:
            return
        with contextlib.suppress(sqlite3.Error):
            tran.connection.execute("ROLLBACK")
        self._finish(tran)

    def _finish(self, tran: Transaction) -> None:
        tran.open = False
        self.active = None
        if self.state.pseudo_simple and not self.holds and self.log.size > KEEP_SIMPLE:
            self.log.truncate(self.log.end)
        self.write_lock.release()

    def reader(self) -> rows.Connection:
        if self.replaced or (self.restoring is not None and not self.state.standby):
            raise SqlError(927, f"Database '{self.name}' cannot be opened. It is in the middle of a restore.", 2, 14)
        if not os.path.exists(self.path):
            self._lost()
        try:
            db = rows.connect(self.path)
        except sqlite3.Error:
            if self.replaced or self.restoring is not None:
                raise SqlError(927, f"Database '{self.name}' cannot be opened. It is in the middle of a restore.", 2, 14) from None
            raise
        db.execute("PRAGMA query_only=ON")
        return db

    def _lost(self) -> None:
        """The data file is gone under an open database: reads fail, the log goes on."""
        with self.server.lock:
            if self.restoring is not None or self.replaced:
                raise SqlError(927, f"Database '{self.name}' cannot be opened. It is in the middle of a restore.", 2, 14)
            if self.state.state == store.ONLINE:
                self.close_rows()
                self.state.state = store.SUSPECT
                self.save()
        raise SqlError(823, "The operating system returned error 2(The system cannot find the file specified.) to SQL Server during a read at "
                            f"offset 0x00000000000000 in file '{self.path}'. Additional messages in the SQL Server error log and operating "
                            "system error log may provide more detail. This is a severe system-level error condition that threatens "
                            "database integrity and must be corrected immediately. Complete a full database consistency check (DBCC "
                            "CHECKDB).", 2, 24)

    def check_readable(self, table: str) -> None:
        """Raises 824 when rows of the table lie on a damaged page."""
        damage.unreadable(self, table)

    @contextlib.contextmanager
    def writing(self, session: Any = None) -> Iterator[Transaction]:
        """A transaction of the engine's own."""
        tran = self.begin(session)
        try:
            yield tran
        except BaseException:
            self.rollback(tran)
            raise
        self.commit(tran)

    # -- log --------------------------------------------------------------------------------------------------------

    def checkpoint(self) -> wal.Record:
        """A checkpoint record; its slot is in the middle of a block as on the real server."""
        with self.log.lock:
            slot = 37 + self.log.end.block * 7 % 140
            record = self.log.append(wal.CHECKPOINT, {}, micros(ticks(self.server.clock.local())),
                                     self.server.clock.offset_minutes(), slot)
        self.state.checkpoint = record.lsn.num
        return record

    def note(self, what: str) -> wal.Record:
        """A log record without rows (the end of a backup, a change of an option)."""
        return self.log.append(wal.NOTE, {"what": what}, micros(ticks(self.server.clock.local())),
                               self.server.clock.offset_minutes(), 3)

    def oldest_active(self) -> Optional[Lsn]:
        tran = self.active
        return tran.begin_lsn if tran is not None else None

    def truncate_log(self) -> None:
        """Drops what neither a log backup nor a running backup needs any more."""
        with self.mutex, self.log.lock:
            point = self.log.end
            if not self.state.pseudo_simple and self.state.last_log is not None:
                point = from_num(self.state.last_log)
            for hold in self.holds.values():
                point = min(point, hold)
            self.log.truncate(point)

    def log_since_backup(self) -> int:
        if self.state.pseudo_simple or self.state.last_log is None:
            return 0
        return self.log.bytes_between(from_num(self.state.last_log), MAX)

    def log_since_checkpoint(self) -> int:
        key = (self.log.end, self.state.checkpoint)
        if self._since_checkpoint[0] != key:
            first = max(from_num(self.state.checkpoint), self.log.start)
            self._since_checkpoint = (key, self.log.bytes_between(first, MAX))
        return self._since_checkpoint[1]

    def log_reuse(self) -> tuple[int, str]:
        if self.holds and (self.state.pseudo_simple or not self.log_since_backup()):
            return 3, "ACTIVE_BACKUP_OR_RESTORE"
        if self.state.pseudo_simple:
            return (4, "ACTIVE_TRANSACTION") if self.active is not None else (0, "NOTHING")
        if self.log_since_backup():
            return 2, "LOG_BACKUP"
        return (4, "ACTIVE_TRANSACTION") if self.active is not None else (0, "NOTHING")

    # -- pages ------------------------------------------------------------------------------------------------------

    def snapshot(self) -> tuple[Any, int, Lsn]:
        """A consistent copy of the pages (an unlinked temporary file), their number and the LSN that they are current to.
        Writers go on meanwhile."""
        handle, path = tempfile.mkstemp(prefix="sqlsim-pages-")
        os.close(handle)
        source, target = rows.connect(self.path), sqlite3.connect(path)
        try:
            target.execute("PRAGMA synchronous=OFF")
            target.execute("PRAGMA journal_mode=OFF")
            source.execute("BEGIN")
            value = source.execute('SELECT value FROM "sys.meta" WHERE name=\'applied\'').fetchone()[0]
            source.backup(target)
            source.execute("COMMIT")
            target.close()
            file = open(path, "rb")
        finally:
            source.close()
            target.close()
            os.unlink(path)
        pages = os.fstat(file.fileno()).st_size // rows.PAGE
        return file, pages, from_num(int(value))

    def data_size(self) -> int:
        """Bytes of the data file that are in use."""
        try:
            if self.writer is None:
                return os.path.getsize(self.path)
            key = self.log.end
            if self._size[0] != key:
                with contextlib.closing(rows.connect(self.path)) as db:
                    self._size = (key, db.execute("PRAGMA page_count").fetchone()[0] * rows.PAGE)
            return self._size[1]
        except (OSError, sqlite3.Error):
            return 0

    def base_hashes(self) -> bytes:
        try:
            with open(self.base_path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            return b""

    def modified_pages(self) -> int:
        """Pages that a differential backup would hold."""
        key = (self.log.end, self.state.diff_guid)
        if self._modified[0] != key:
            base = self.base_hashes()
            file, pages, _ = self.snapshot()
            with file:
                count = sum(1 for at in range(pages) if page_hash(file.read(rows.PAGE)) != base[at * 8:at * 8 + 8])
            self._modified = (key, count)
        return self._modified[1]


def page_hash(page: bytes, crc: Optional[int] = None) -> bytes:
    """Never zero: a zero marks a page that some differential has already carried. `crc` when it is known already."""
    return HASH.pack(zlib.crc32(page) if crc is None else crc, zlib.adler32(page) or 1)
