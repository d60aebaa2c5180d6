# SPDX-License-Identifier: Apache-2.0
"""Faults that a test injects. Each public method with keyword arguments is one fault of the control port; hooks that the
engine calls begin with `on_` or answer a question."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional

from ..contract import BackupStatement, Error, Login, SessionKilled, SqlError
from . import clock, damage, store
from .database import full_name
from .errors import terminating

if TYPE_CHECKING:
    from .server import Server

SNAPSHOTS = ".snapshots"


@dataclass
class PathFault:
    prefix: str
    after: int = 0
    count: int = -1


class Faults:
    def __init__(self, server: "Server") -> None:
        self.server = server
        self.missing_directory: Optional[int] = None
        self.check_space = True
        self.bytes_per_s = 0
        self._rates: dict[str, int] = {}
        self._full: list[PathFault] = []
        self._refused: list[PathFault] = []
        self._steps: list[dict] = []
        self._logins: list[dict] = []
        self._statements: list[dict] = []
        self._broken: list[PathFault] = []
        self._free: dict[str, int] = {}
        self._restores: list[dict] = []
        self.login_delay = 0.0
        self.lock = threading.Lock()

    # -- hooks ------------------------------------------------------------------------------------------------------

    def on_login(self, login: Login) -> None:
        if self.login_delay:
            time.sleep(self.login_delay)
        with self.lock:
            if not self._logins:
                return
            fault = self._logins[0]
            fault["count"] -= 1
            if fault["count"] == 0:
                self._logins.pop(0)
        number, text = fault["number"], LOGIN_TEXT.get(fault["number"], "Login failed for user '{user}'.")
        raise SqlError(number, text.format(user=login.user, database=login.database or "master"), 1, 14)

    def on_open(self, path: str) -> None:
        if self.denied(path):
            raise PermissionError(errno.EACCES, "refused by a fault", path)

    def on_read(self, path: str) -> None:
        self.on_open(path)
        if any(path.startswith(f.prefix) for f in self._broken):
            raise OSError(errno.EIO, "refused by a fault", path)

    def on_statement(self, kind: str, what: str) -> None:
        """Called when a BACKUP (full, diff, log) or RESTORE has found its database."""
        with self.lock:
            found = next((s for s in self._statements if s["kind"] in (kind, "any")), None)
            if found is None:
                return
            found["count"] -= 1
            if found["count"] == 0:
                self._statements.remove(found)
        raise SqlError(found["number"], found["text"], 1, found["severity"], also=[] if kind == "dbcc" else [terminating(what)])

    def volume(self, folder: str) -> str:
        """The mount point of a folder; a folder with a free_space() of its own is a volume of its own."""
        found = [p for p in self._free if (folder + "/").startswith(p.rstrip("/") + "/")]
        if found:
            return max(found, key=len)
        while not os.path.ismount(folder) and folder != "/":
            folder = os.path.dirname(folder)
        return folder

    def on_free(self, folder: str) -> int:
        """Free bytes of the volume of a folder."""
        volume = self.volume(folder)
        if volume in self._free:
            return self._free[volume]
        found = os.statvfs(volume)
        return found.f_bavail * found.f_frsize

    def denied(self, path: str) -> bool:
        return any(path.startswith(f.prefix) for f in self._refused)

    def on_write(self, path: str, written: int, count: int) -> int:
        """How many bytes may be written; less than `count` means that the disk is full then."""
        if any(path.startswith(f.prefix) and written >= f.after for f in self._broken):
            raise OSError(errno.EIO, "refused by a fault", path)
        for fault in self._full:
            if path.startswith(fault.prefix):
                return max(0, min(count, fault.after - written))
        return count

    def on_restore(self, job: Any) -> None:
        """Called when a RESTORE of a set is about to change its database."""
        with self.lock:
            for fault in list(self._restores):
                if not fault["kind"] in (job.kind, "any") or fault["database"].casefold() not in ("", job.name.casefold()):
                    continue
                fault["file"] -= 1
                if fault["file"] > 0:
                    continue
                fault["count"] -= 1
                if fault["count"] == 0:
                    self._restores.remove(fault)
                job.fault = fault
                break
        if job.fault is not None and job.fault["after"] is None:
            raise self._restore_error(job)

    @staticmethod
    def _restore_error(job: Any) -> SqlError:
        fault = job.fault
        return SqlError(fault["number"], fault["text"], 1, fault["severity"], also=[terminating(job.what)])

    def on_restore_bytes(self, job: Any, path: str, before: int, count: int) -> None:
        """Called before `count` bytes more are restored into `path`."""
        for fault in self._full:
            if path.startswith(fault.prefix) and fault.after < before + count:
                raise OSError(errno.ENOSPC, "no space left", path)
        if any(path.startswith(f.prefix) and before + count > f.after for f in self._broken):
            raise OSError(errno.EIO, "refused by a fault", path)
        if job.fault is not None and job.fault["after"] is not None and job.fault["after"] < before + count:
            raise self._restore_error(job)

    def rate(self, path: str) -> int:
        for prefix, rate in self._rates.items():
            if path.startswith(prefix):
                return rate
        return self.bytes_per_s

    def step(self, kind: str, name: str, session: Any, narrow: str = "") -> None:
        """Called at each step of a BACKUP (full, diff, log), a RESTORE (restore; restore_full, restore_diff, restore_log or
        restore_recover too) and a DBCC (dbcc)."""
        with self.lock:
            found = next((s for s in self._steps if s["kind"] in (kind, narrow, "any") and s["step"] == name), None)
            if found is None:
                return
            found["count"] -= 1
            if found["count"] > 0:
                return
            self._steps.remove(found)
        action = found["action"]
        if action == "exit":
            os._exit(137)
        if action == "hold":
            found["reached"].set()
            while not found["go"].wait(0.05):
                if session.killed.is_set() or session.cancel.is_set():
                    return
            return
        if action == "stop":
            threading.Thread(target=self.server.stop, daemon=True).start()
        session.killed.set()
        raise SessionKilled(Error(596, "Cannot continue the execution because the session is in the kill state.", 1, 21))

    # -- faults -----------------------------------------------------------------------------------------------------

    def clear(self) -> None:
        """Ends all standing faults."""
        with self.lock:
            for step in self._steps:
                if "go" in step:
                    step["go"].set()
            self._steps, self._full, self._refused, self._logins = [], [], [], []
            self._statements, self._broken, self._free, self._restores = [], [], {}, []
            self._rates, self.bytes_per_s, self.missing_directory, self.login_delay = {}, 0, None, 0.0

    def enospc(self, path: str = "/", after_bytes: int = 0, off: bool = False) -> None:
        """Files below `path` take `after_bytes` each, then the disk is full."""
        self._full = [f for f in self._full if f.prefix != path]
        if not off:
            self._full.append(PathFault(path, int(after_bytes)))

    def eacces(self, path: str = "/", off: bool = False) -> None:
        self._refused = [f for f in self._refused if f.prefix != path]
        if not off:
            self._refused.append(PathFault(path))

    def eio(self, path: str = "/", after_bytes: int = 0, off: bool = False) -> None:
        """Reads below `path` fail, writes after `after_bytes` too: error 1117."""
        self._broken = [f for f in self._broken if f.prefix != path]
        if not off:
            self._broken.append(PathFault(path, int(after_bytes)))

    def free_space(self, path: str, bytes: Optional[int] = None) -> None:
        """What the server believes to be free below `path` (sys.dm_os_volume_stats, the checks of RESTORE)."""
        self._free.pop(path, None)
        if bytes is not None:
            self._free[path] = int(bytes)

    def fail_next(self, kind: str = "any", number: int = 845, text: str = "A time-out occurred.", severity: int = 16, count: int = 1) -> None:
        """The next `count` statements of a kind (full, diff, log, restore, dbcc, any) fail with this error and 3013 (without that for
        DBCC)."""
        with self.lock:
            self._statements.append({"kind": kind, "number": int(number), "text": text, "severity": int(severity), "count": int(count)})

    def fail_restore(self, number: int = 3203, text: str = "Read failed: 1117(The request could not be performed because of an I/O device "
                     "error.)", severity: int = 16, kind: str = "any", file: int = 1, after_bytes: Optional[int] = None, database: str = "",
                     count: int = 1) -> None:
        """The `file`-th RESTORE of a set from now on (of a kind full, diff or log, into one database) fails: before it changes anything,
        or after so many bytes, which leaves a data backup half restored. `count` more than 1: those after it fail, too; -1: all."""
        with self.lock:
            self._restores.append({"number": int(number), "text": text, "severity": int(severity), "kind": kind, "file": int(file),
                                   "after": None if after_bytes is None else int(after_bytes), "database": database, "count": int(count)})

    def missing_directory_code(self, code: Optional[int] = None) -> None:
        self.missing_directory = code

    def slow_io(self, bytes_per_s: int = 0, path: Optional[str] = None) -> None:
        """0 is as fast as it goes."""
        if path is None:
            self.bytes_per_s = int(bytes_per_s)
        elif bytes_per_s:
            self._rates[path] = int(bytes_per_s)
        else:
            self._rates.pop(path, None)

    def login_error(self, number: int = 18456, count: int = 1) -> None:
        """The next `count` logins fail with `number`; -1 is for ever."""
        with self.lock:
            self._logins.append({"number": int(number), "count": int(count)})

    def slow_login(self, seconds: float = 0.0) -> None:
        self.login_delay = float(seconds)

    def crash_after(self, kind: str = "any", step: str = "done", action: str = "kill", count: int = 1) -> None:
        """Kinds full, diff, log, restore, restore_full, restore_diff, restore_log, restore_recover, dbcc, any. Steps of a backup: begin,
        opened, data, written, state, history, done; of a restore: begin, chunk (1 MiB each), data, applied, history, recovering,
        recovered, done; of DBCC: begin, done. Action kill drops the session, exit ends the process, stop shuts the server down."""
        with self.lock:
            self._steps.append({"kind": kind, "step": step, "action": action, "count": int(count)})

    def hold_at(self, kind: str = "any", step: str = "opened") -> None:
        """The next BACKUP or RESTORE waits there for release()."""
        with self.lock:
            self._steps.append({"kind": kind, "step": step, "action": "hold", "count": 1, "reached": threading.Event(),
                                "go": threading.Event()})
            self._held = self._steps[-1]

    def wait_held(self, timeout: float = 60.0) -> bool:
        if not self._held["reached"].wait(timeout):
            raise TimeoutError(f"nothing has come to the step of hold_at within {timeout:g} s")
        return True

    def release(self) -> None:
        self._held["go"].set()

    def corrupt_page(self, database: str, page: int = 1, repair: bool = False, table: str = "") -> int:
        """A page gets a wrong checksum: one by number, or the last one with rows of a table. Backups carry it."""
        db = self.server.database(database)
        if table:
            reader = db.reader()
            try:
                page = (damage.pages_of(reader, full_name(table)) or [page])[-1]
            finally:
                reader.close()
        pages = set(db.state.bad_pages)
        (pages.discard if repair else pages.add)(int(page))
        db.state.bad_pages = sorted(pages)
        db.save()
        return int(page)

    def corrupt_value(self, database: str, table: str, column: str, repair: bool = False) -> int:
        """A value that is none of its type, on a page whose checksum is right: only a whole DBCC CHECKDB finds it (2570)."""
        db = self.server.database(database)
        if repair:
            damage.mend_impossible(db, full_name(table))
            return 0
        return damage.make_impossible(db, full_name(table), column)

    def state(self, database: str, state: str) -> None:
        """SUSPECT, RECOVERY_PENDING, RECOVERING, EMERGENCY, OFFLINE, ONLINE."""
        db = self.server.database(database)
        number = {v: k for k, v in store.STATE_DESC.items()}[state.upper()]
        if number == store.ONLINE and db.writer is None:
            db.open_rows()
        elif number not in (store.ONLINE, store.EMERGENCY):
            db.close_rows()
        db.state.state = number
        db.save()

    def set_recovery_model(self, database: str, model: str) -> None:
        from .databases import set_recovery_model
        set_recovery_model(self.server.database(database), {"FULL": 1, "BULK_LOGGED": 2, "SIMPLE": 3}[model.upper()])

    def auto_close(self, database: str) -> None:
        """The database is closed, as AUTO_CLOSE does when its last user leaves: its recovery status is NULL until it is used."""
        self.server.database(database).closed = True

    def database_snapshot(self, database: str, name: str) -> None:
        """CREATE DATABASE name AS SNAPSHOT OF database. Drop it as any database."""
        from .databases import make_snapshot
        make_snapshot(self.server, self.server.database(database), name)

    def availability_group(self, database: str, leave: bool = False) -> None:
        """The database joins an availability group (as its primary), or leaves it. Only what forbids things is there: RESTORE (3104),
        DROP (3752), ALTER DATABASE (1468)."""
        db = self.server.database(database)
        db.state.group = "" if leave else str(uuid.uuid4())
        db.save()

    def log_limit(self, database: str, bytes: int = 0) -> None:
        db = self.server.database(database)
        db.state.log_limit = int(bytes)
        db.save()

    def clock(self, offset: Optional[float] = None, step: Optional[float] = None) -> None:
        """Sets the clock to the machine's plus `offset` seconds, or moves it by `step` seconds."""
        import datetime as dt
        if offset is not None:
            self.server.clock.offset = dt.timedelta(seconds=float(offset))
        if step is not None:
            self.server.clock.offset += dt.timedelta(seconds=float(step))

    def timezone(self, name: str) -> None:
        self.server.clock.zone = clock.zone(name)
        self.server.clock.name = name

    def default_path(self, kind: str, path: str) -> None:
        """Where files of new databases go (InstanceDefaultDataPath, InstanceDefaultLogPath); kinds data and log."""
        if kind not in ("data", "log"):
            raise ValueError(f"no kind {kind!r} of path")
        os.makedirs(path, exist_ok=True)
        self.server.store.set(f"default_{kind}", path)

    def certificate(self, name: str, thumbprint: str = "", drop: bool = False) -> str:
        """A certificate in master, of a given thumbprint (that of another server) or a new one; or none any more."""
        if drop:
            self.server.store.drop_thing("certificate", name)
            return ""
        thumbprint = thumbprint.lower().removeprefix("0x") or uuid.uuid4().hex + "00000000"
        self.server.principals.put_certificate(name, thumbprint)
        return thumbprint

    def edition(self, name: str) -> None:
        """`Express Edition (64-bit)`, ..."""
        self.server.edition = name

    def size_limit(self, bytes: Optional[int] = None) -> None:
        """The licensed size of one database, as if the edition had this limit (RESTORE: 1827); without `bytes` the edition's own."""
        self.server.store.set("size_limit", None if bytes is None else int(bytes))

    def grant_server(self, login: str, right: str, state: str = "G") -> None:
        """G, D or an empty state (revoke), without a session."""
        self.server.store.run("DELETE FROM perms WHERE login=? AND perm=?", login, right.upper())
        if state:
            self.server.store.run("INSERT INTO perms VALUES (?,?,?)", login, right.upper(), state)

    def server_role(self, login: str, role: str, member: bool = True) -> None:
        self.server.store.run("DELETE FROM roles WHERE role=? AND login=?", role, login)
        if member:
            self.server.store.run("INSERT INTO roles VALUES (?,?)", role, login)

    def kill(self, spid: int) -> None:
        info = self.server.sessions.get(int(spid))
        session = info.session() if info else None
        if session is None:
            raise ValueError(f"no session {spid}")
        session.killed.set()

    # -- other people's backups -------------------------------------------------------------------------------------

    def _foreign(self, what: str, database: str, path: Optional[str], **options: Any) -> str:
        session = self.server.internal_session()
        device = path or os.path.join(self.server.backup_dir, f"foreign-{uuid.uuid4().hex[:12]}.bak")
        try:
            stmt = BackupStatement(what, database, [device], dict(options, INIT=True, NAME="maintenance plan"))
            self.server.backup(session, stmt, lambda event: None)
        finally:
            self.server.session_closed(session)
        return device

    def foreign_full(self, database: str, path: Optional[str] = None) -> str:
        return self._foreign("DATABASE", database, path)

    def foreign_diff(self, database: str, path: Optional[str] = None) -> str:
        return self._foreign("DATABASE", database, path, DIFFERENTIAL=True)

    def foreign_log(self, database: str, path: Optional[str] = None) -> str:
        return self._foreign("LOG", database, path)

    def foreign_copy_only(self, database: str, path: Optional[str] = None, log: bool = False) -> str:
        return self._foreign("LOG" if log else "DATABASE", database, path, COPY_ONLY=True)

    def foreign_nul(self, database: str) -> str:
        """BACKUP LOG to the NUL device: the log is gone."""
        return self._foreign("LOG", database, "NUL")

    # -- the volume -------------------------------------------------------------------------------------------------

    def _frozen(self):
        """All databases without a writer."""
        databases = list(self.server.dbs.values())
        for db in databases:
            db.write_lock.acquire()
        return databases

    def volume_snapshot(self, name: str) -> str:
        """A copy of the whole data directory at one moment, as a storage snapshot takes it."""
        target = os.path.join(self._snapshot_root(), name)
        databases = self._frozen()
        try:
            shutil.rmtree(target, ignore_errors=True)
            self._copy(self.server.data_dir, target)
        finally:
            for db in databases:
                db.write_lock.release()
        return target

    def _snapshot_root(self) -> str:
        root = self.server.data_dir.rstrip("/") + SNAPSHOTS
        os.makedirs(root, exist_ok=True)
        return root

    def _copy(self, source: str, target: str) -> None:
        """Database and instance files, not the backups that lie among them."""
        backups = os.path.relpath(self.server.backup_dir, self.server.data_dir)

        def skip(folder: str, names: list[str]) -> set[str]:
            here = os.path.relpath(folder, source)
            return {n for n in names if n.endswith((".bak", ".trn", "-shm")) or os.path.normpath(os.path.join(here, n)) == backups}

        shutil.copytree(source, target, ignore=skip, dirs_exist_ok=True)

    def volume_revert(self, name: str) -> None:
        """Stops the server, puts the data directory back, starts the server: LSNs go back, the clock does not."""
        source = os.path.join(self._snapshot_root(), name)
        if not os.path.isdir(source):
            raise ValueError(f"no snapshot {name!r}")
        self.server.stop()
        for db_file in self._database_files():
            os.unlink(db_file)
        self._copy(source, self.server.data_dir)
        self.server.start()

    def _database_files(self) -> list[str]:
        found = []
        for folder, _, names in os.walk(self.server.data_dir):
            found += [os.path.join(folder, n) for n in names if n.endswith((".mdf", ".ldf", ".ndf", "-wal", "-shm", ".db"))
                      or (n.startswith("base-") and n.endswith(".bin"))]
        return found

    def clone(self, target: str) -> None:
        """Copies the volume to `target`, where another server can start; paths inside follow."""
        snapshot = self.volume_snapshot(f"clone-{uuid.uuid4().hex[:8]}")
        shutil.copytree(snapshot, target, dirs_exist_ok=True)
        shutil.rmtree(snapshot)

    def restart(self) -> None:
        self.server.stop()
        self.server.start()


LOGIN_TEXT = {
    17187: "SQL Server is not ready to accept new client connections. Wait a few minutes before trying again.",
    17188: "SQL Server cannot accept new connections, because it is shutting down. The connection has been closed.",
    17189: "SQL Server failed with error code 0x0 to spawn a thread to process a new login or connection.",
    17809: "Could not connect because the maximum number of user connections has already been reached.",
    17892: "Logon failed for login '{user}' due to trigger execution.",
    18452: "Login failed. The login is from an untrusted domain and cannot be used with Integrated authentication.",
    18470: "Login failed for user '{user}'. Reason: The account is disabled.",
    18401: "Login failed for user '{user}'. Reason: Server is in script upgrade mode. Only administrator can connect at this time.",
    18451: "Login failed for user '{user}'. Only administrators may connect at this time.",
    18461: "Login failed for user '{user}'. Reason: Server is in single user mode. Only one administrator can connect at this time.",
    4060: 'Cannot open database "{database}" requested by the login. The login failed.',
    17142: "SQL Server service has been paused. No new connections will be allowed.",
    18487: "Login failed for user '{user}'.  Reason: The password of the account has expired.",
    18488: "Login failed for user '{user}'.  Reason: The password of the account must be changed.",
    18486: "Login failed for user '{user}' because the account is currently locked out. The system administrator can unlock it.",
}
