# SPDX-License-Identifier: Apache-2.0
"""Making, opening, dropping and altering databases."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
import time
import uuid
from typing import TYPE_CHECKING, Any, Optional

from ..contract import Error, SqlError
from . import errors, msdb, principals, rows, store, wal
from .database import Database, look
from .lsn import Lsn
from .security import SA_SID

if TYPE_CHECKING:
    from .server import Server

FIRST = Lsn(34, 16, 1)
FILES = {"master": ("master.mdf", "mastlog.ldf", "master", "mastlog"), "tempdb": ("tempdb.mdf", "templog.ldf", "tempdev", "templog"),
         "model": ("model.mdf", "modellog.ldf", "modeldev", "modellog"),
         "msdb": ("MSDBData.mdf", "MSDBLog.ldf", "MSDBData", "MSDBLog")}


def make_instance(server: "Server") -> None:
    """First start: system databases and sa."""
    server.store.set("config", dict(CONFIG_DEFAULTS))
    server.security.create_login("sa", server.sa_password, SA_SID)
    server.store.run("INSERT INTO roles VALUES ('sysadmin', 'sa')")
    for right in ("VIEW ANY DATABASE", "CONNECT SQL"):
        server.store.run("INSERT INTO perms VALUES ('public', ?, 'G')", right)
    for number, name in enumerate(("master", "tempdb", "model", "msdb"), 1):
        model = store.FULL if name == "model" else store.SIMPLE
        database = _new(server, number, name, model, *FILES[name])
        server.dbs[number] = database
        database.save()
    msdb.make_tables(server.dbs[4])
    server.store.set("data_dir", server.data_dir)
    server.store.set("made", True)


CONFIG_DEFAULTS = {"backup compression default": 0, "backup checksum default": 0, "backup compression algorithm": 0,
                   "show advanced options": 0, "max server memory (MB)": 2147483647, "remote admin connections": 0,
                   "xp_cmdshell": 0, "contained database authentication": 0, "recovery interval (min)": 0,
                   "max degree of parallelism": 0, "user connections": 0}


def _new(server: "Server", number: int, name: str, model: int, data: str, log: str, logical: str, logical_log: str) -> Database:
    state = store.DbState(number, name, server.clock.local().isoformat(timespec="milliseconds"), recovery_model=model,
                          owner_sid=SA_SID.hex(), compat=compat_of(server), collation=server.collation)
    state.first_fork = ""
    state.files = [store.FileState(1, 0, logical, os.path.join(server.data_dir, data)),
                   store.FileState(2, 1, logical_log, os.path.join(server.data_dir, log))]
    database = Database(server, state)
    database.create_files(FIRST)
    database.open()
    return database


def compat_of(server: "Server") -> int:
    return {14: 140, 15: 150, 16: 160, 17: 170}.get(server.major, 160)


def open_all(server: "Server") -> None:
    """Recovers every database. One that cannot be opened is RECOVERY_PENDING, the others start."""
    moved = server.store.setting("data_dir", server.data_dir)
    for state in server.store.databases():
        relocate(state, moved, server.data_dir)
        database = Database(server, state)
        if state.creating:
            remove_files(database)
            server.store.forget(state.id)
            continue
        server.dbs[state.id] = database
        if state.name == "tempdb":
            for file in state.files:
                for suffix in ("", "-wal", "-shm"):
                    if os.path.exists(file.physical + suffix):
                        os.unlink(file.physical + suffix)
            database.create_files(FIRST)
        if state.state == store.RECOVERY_PENDING:
            state.state = store.RESTORING if state.restore and not state.standby else store.ONLINE
        try:
            database.open()
        except rows.RedoConflict as exc:
            server.errorlog(f"Error: 3313, Severity: 21, State: 1. During redoing of a logged operation in database '{state.name}', an error "
                            f"occurred at log record ID ({exc.lsn.triple}).")
            database.close_rows()
            state.state = store.SUSPECT
        except (OSError, ValueError, sqlite3.Error) as exc:
            server.errorlog(f"FCB::Open failed: Could not open file {database.path} for file number 1.  OS error: {exc}.")
            interrupted = state.restore is not None and state.restore.incomplete
            state.state = store.RESTORING if interrupted else store.RECOVERY_PENDING
        database.save()
    server.store.set("data_dir", server.data_dir)


def relocate(state: store.DbState, old: str, new: str) -> None:
    """A copied or moved volume: files below the old data directory are below the new one, never the original's."""
    if old == new:
        return
    for file in state.files:
        if file.physical.startswith(old + "/"):
            file.physical = new + file.physical[len(old):]
    if state.standby.startswith(old + "/"):
        state.standby = new + state.standby[len(old):]


def check_usable(server: "Server", database: Database, session: Any) -> None:
    """Raises what a login gets that wants to use the database."""
    state, name = database.state, database.name
    database.closed = False
    if database.restoring is not None and not state.standby:
        raise SqlError(927, f"Database '{name}' cannot be opened. It is in the middle of a restore.", 2, 14)
    if state.state == store.OFFLINE:
        raise SqlError(942, f"Database '{name}' cannot be opened because it is offline.", 4, 14)
    if state.state == store.RESTORING and not state.standby:
        raise SqlError(927, f"Database '{name}' cannot be opened. It is in the middle of a restore.", 2, 14)
    if state.state == store.RECOVERING:
        raise SqlError(922, f"Database '{name}' is being recovered. Waiting until recovery is finished.", 1, 14)
    if state.state == store.SUSPECT:
        raise SqlError(926, f"Database '{name}' cannot be opened. It has been marked SUSPECT by recovery. See the SQL Server errorlog "
                            "for more information.", 1, 14)
    if state.state == store.RECOVERY_PENDING:
        raise SqlError(945, f"Database '{name}' cannot be opened due to inaccessible files or insufficient memory or disk space.  "
                            "See the SQL Server errorlog for details.", 2, 14)
    server.security.enter(session, database)
    if state.user_access == 1 and server.users_of(database, session):
        raise SqlError(924, f"Database '{name}' is already open and can only have one user at a time.", 1, 14)
    if state.user_access == 2 and not server.security.can_in(session, database, "CONTROL"):
        raise SqlError(923, f"Database '{name}' is in restricted mode. Only the database owner and members of the dbcreator and "
                            "sysadmin roles can access it.", 1, 14)


def next_id(server: "Server") -> int:
    return next(n for n in range(5, 32767) if n not in server.dbs)


def check_target(server: "Server", path: str, what: str = "CREATE FILE") -> None:
    """A file of a new database can be made at `path`."""
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise SqlError(5133, f'Directory lookup for the file "{path}" failed with the operating system error '
                             f"{errors.os_text(2)}.", 1, 16)
    if os.path.exists(path):
        raise SqlError(5170, f"Cannot create file '{path}' because it already exists. Change the file path or the file name, and "
                             "retry the operation.", 1, 16)
    if server.faults.denied(path) or not os.access(folder, os.W_OK):
        raise SqlError(5123, f"{what} encountered operating system error {errors.os_text(5)} while attempting to open or create the "
                             f"physical file '{path}'.", 1, 16)


def create(server: "Server", session: Any, name: str, options: dict[str, Any]) -> None:
    """options: COLLATE, DATA and LOG [(logical, physical)] when files are written."""
    failed = [Error(1802, "CREATE DATABASE failed. Some file names listed could not be created. Check related errors.", 4, 16)]
    if not server.security.can(session, "CREATE ANY DATABASE"):
        raise errors.denied("CREATE DATABASE", "master")
    for option in ("FOR", "AS SNAPSHOT OF"):
        if options.get(option):
            raise SqlError(1844, f"CREATE DATABASE {option} is not supported on {server.edition}.", 1, 16)
    if not name or len(name) > 128:
        raise SqlError(1031, f"The database name '{name[:30]}' is not valid.", 1, 16)
    data = _files(options.get("DATA"), name, os.path.join(server.default_path("data"), name + ".mdf"))
    log = _files(options.get("LOG"), name + "_log", os.path.join(server.default_path("log"), name + "_log.ldf"))
    with server.lock:
        if server.find(name) is not None:
            raise SqlError(1801, f"Database '{name}' already exists. Choose a different database name.", 3, 16)
        try:
            for _, path in data + log:
                check_target(server, path)
        except SqlError as exc:
            exc.also = [*exc.also, *failed]
            raise
        model = server.dbs[3]
        state = store.DbState(next_id(server), name, server.clock.local().isoformat(timespec="milliseconds"),
                              owner_sid=server.security.sid_of(session).hex(), recovery_model=model.state.recovery_model,
                              compat=compat_of(server), collation=options.get("COLLATE") or server.collation)
        for kind, files in ((0, data), (1, log)):
            for logical, path in files:
                state.files.append(store.FileState(0, kind, logical, path))
        number_files(state)
        for given in options.get("LOG") or []:
            state.log_limit = (log_limit(given) if isinstance(given, dict) else 0) or state.log_limit
        database = Database(server, state)
        state.creating = True  # a start after a death in here removes the pieces
        database.save()
        make_extra(state)
        database.create_files(FIRST)
        database.open()
        state.creating = False
        principals.copy_users(model, database)
        server.dbs[state.id] = database
        database.save()


def snapshots_of(server: "Server", database: Database) -> list[str]:
    return [d.name for d in list(server.dbs.values()) if d.state.source_id == database.id]


def referred(server: "Server", database: Database) -> Optional[SqlError]:
    """3709 when a database snapshot needs the database."""
    found = snapshots_of(server, database)
    return SqlError(3709, f'Cannot drop the database while the database snapshot "{found[0]}" refers to it. Drop that database first.', 2,
                    16) if found else None


def make_snapshot(server: "Server", source: Database, name: str) -> None:
    """A read-only database with the rows of this moment."""
    path = os.path.join(server.data_dir, name + ".ss")
    state = store.DbState(next_id(server), name, server.clock.local().isoformat(timespec="milliseconds"), owner_sid=source.state.owner_sid,
                          recovery_model=store.SIMPLE, read_only=True, compat=source.state.compat, collation=source.state.collation,
                          broker=False, source_id=source.id)
    state.files = [store.FileState(1, 0, source.state.data_file.logical, path), store.FileState(2, 1, name + "_log", path + ".log")]
    pages, _, applied = source.snapshot()
    with pages, open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o660), "wb") as out:
        shutil.copyfileobj(pages, out, 1 << 20)
    wal.LogFile.create(path + ".log", applied).close()
    with server.lock:
        database = Database(server, state)
        database.open()
        server.dbs[state.id] = database
        database.save()


def number_files(state: store.DbState) -> None:
    """1 is the primary file, 2 the log, the others follow."""
    state.files.sort(key=lambda f: f.type)
    data = [f for f in state.files if f.type == 0]
    logs = [f for f in state.files if f.type == 1]
    state.files = [data[0], logs[0], *data[1:], *logs[1:]]
    for number, file in enumerate(state.files, 1):
        file.file_id = number


def make_extra(state: store.DbState) -> None:
    """Secondary files hold nothing here; they exist."""
    for file in state.files[2:]:
        if file.type == 2:
            os.makedirs(file.physical, 0o770, exist_ok=True)
            continue
        with open(os.open(file.physical, os.O_CREAT | os.O_WRONLY, 0o660), "wb"):
            pass


def _files(given: Any, logical: str, physical: str) -> list[tuple[str, str]]:
    if not given:
        return [(logical, physical)]
    return [(name, path or physical) for name, path in (file_spec(f, logical) for f in given)]


def file_spec(given: Any, default: str = "") -> tuple[str, str]:
    """(logical, physical) of a file specification."""
    if isinstance(given, dict):
        return str(given.get("NAME") or default), str(given.get("FILENAME") or "")
    return given[0], given[1]


def drop(server: "Server", session: Any, name: str) -> None:
    database = server.find(name)
    if database is None:
        raise SqlError(3701, f"Cannot drop the database '{name}', because it does not exist or you do not have permission.", 1, 11)
    if database.state.group:
        raise SqlError(3752, f"The database '{name}' is currently joined to an availability group. Before you can drop the database, you need "
                             "to remove it from the availability group.", 1, 16)
    if referred(server, database) is not None:
        raise referred(server, database)
    if database.id <= 4:
        raise SqlError(3708, f"Cannot drop the database '{name}' because it is a system database.", 4, 16)
    sec = server.security
    if not (sec.can(session, "ALTER ANY DATABASE") or (database.writer is not None and sec.can_in(session, database, "CONTROL"))
            or database.state.owner_sid == sec.sid_of(session).hex()):
        raise SqlError(3701, f"Cannot drop the database '{name}', because it does not exist or you do not have permission.", 1, 11)
    if server.users_of(database) or database.data_backup is not None or database.restoring is not None:
        raise SqlError(3702, f'Cannot drop database "{name}" because it is currently in use.', 4, 16)
    with server.lock:
        if server.dbs.get(database.id) is not database:
            raise SqlError(3701, f"Cannot drop the database '{name}', because it does not exist or you do not have permission.", 1, 11)
        if database.restoring is not None or server.requests_on(database, session):
            raise SqlError(3702, f'Cannot drop database "{name}" because it is currently in use.', 4, 16)
        server.dbs.pop(database.id, None)
        database.replaced = True
        database.close()
        server.store.forget(database.id)
        remove_files(database)


def remove_files(database: Database) -> None:
    if database.state.state == store.OFFLINE:
        return  # the files of an offline database stay
    for file in database.state.files:
        remove_file(file)
    for path in (database.base_path, database.state.standby):
        if path and os.path.exists(path):
            os.unlink(path)


def remove_file(file: store.FileState) -> None:
    if file.type == 2:
        shutil.rmtree(file.physical, ignore_errors=True)
        return
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(file.physical + suffix)


# -- ALTER DATABASE -----------------------------------------------------------------------------------------------------

def alter(server: "Server", session: Any, name: str, clauses: list[tuple[str, Any]], termination: Optional[str]) -> None:
    failed = Error(5069, "ALTER DATABASE statement failed.", 1, 16)
    database = server.find(name)
    if database is None:
        raise SqlError(5011, f"User does not have permission to alter database '{name}', the database does not exist, or the database "
                             "is not in a state that allows access checks.", 5, 14, also=[failed])
    sec = server.security
    if not (sec.can(session, "ALTER ANY DATABASE") or sec.can_in(session, database, "ALTER")):
        raise SqlError(5011, f"User does not have permission to alter database '{name}', the database does not exist, or the database "
                             "is not in a state that allows access checks.", 7, 14, also=[failed])
    try:
        for clause, value in clauses:
            _clause(server, session, database, clause.upper(), value, termination)
    except SqlError as exc:
        exc.also = [*exc.also, failed]
        raise
    database.save()


def set_recovery_model(database: Database, model: int) -> None:
    """SIMPLE ends the log chain; leaving it begins none before the next data backup."""
    state = database.state
    if model == state.recovery_model:
        return
    was_simple = state.recovery_model == store.SIMPLE
    state.recovery_model = model
    if model == store.SIMPLE or was_simple:
        state.chain, state.last_log, state.begins_chain = False, None, True
    if model == store.SIMPLE:
        database.note("recovery model")
        database.truncate_log()
    database.save()


def _evict(server: "Server", session: Any, database: Database, termination: Optional[str]) -> None:
    """Makes the session the only one in the database, or raises 5070/5061."""
    words = (termination or "").upper().split()
    if words[:2] == ["ROLLBACK", "AFTER"]:
        until = time.monotonic() + int(words[2])
        while server.users_of(database, session) and time.monotonic() < until:
            look(session)
            time.sleep(0.02)
    if words[:1] == ["ROLLBACK"]:
        for info in server.users_of(database, session):
            target = info.session()
            if target is not None:
                target.killed.set()
        abort_transaction(database, session)
    elif server.users_of(database, session):
        if words[:1] == ["NO_WAIT"]:
            raise SqlError(5061, f"ALTER DATABASE failed because a lock could not be placed on database '{database.name}'. "
                                 "Try again later.", 1, 16)
        while server.users_of(database, session):
            look(session)
            time.sleep(0.02)


def abort_transaction(database: Database, session: Any) -> None:
    """Rolls a killed session's open transaction back when its own thread does not come to it."""
    tran = database.active
    if tran is None or (session is not None and tran.session is session):
        return
    tran.connection.interrupt()
    until = time.monotonic() + 0.5
    while time.monotonic() < until and database.active is tran:
        time.sleep(0.005)
    if database.active is tran:
        database.rollback(tran)


def _clause(server: "Server", session: Any, database: Database, clause: str, value: Any, termination: Optional[str]) -> None:
    state = database.state
    if (state.state == store.RESTORING and clause not in ("MODIFY NAME",)) or database.restoring is not None:
        raise SqlError(5052, "ALTER DATABASE is not permitted while a database is in the Restoring state.", 1, 16)
    if state.group and clause in NOT_IN_GROUPS:
        raise SqlError(1468, f'The operation cannot be performed on database "{database.name}" because it is involved in a database mirroring '
                             "session or an availability group. Some operations are not allowed on a database that is participating in a "
                             "database mirroring session or in an availability group.", 1, 16)
    if clause == "RECOVERY":
        set_recovery_model(database, {"FULL": 1, "BULK_LOGGED": 2, "SIMPLE": 3}[str(value).upper()])
    elif clause in ("SINGLE_USER", "RESTRICTED_USER", "MULTI_USER"):
        if state.user_access == 1 and server.users_of(database, session) and not termination:
            raise SqlError(5064, f"Changes to the state or options of database '{database.name}' cannot be made at this time. The database "
                                 "is in single-user mode, and a user is currently connected to it.", 1, 16)
        if clause != "MULTI_USER":
            _evict(server, session, database, termination)
        state.user_access = {"MULTI_USER": 0, "SINGLE_USER": 1, "RESTRICTED_USER": 2}[clause]
    elif clause == "OFFLINE":
        _evict(server, session, database, termination or "ROLLBACK IMMEDIATE")
        with server.lock:
            _alone(server, session, database)
            state.state = store.OFFLINE
            database.close_rows()
    elif clause in ("ONLINE", "EMERGENCY"):
        with server.lock:
            _alone(server, session, database)
            _online(database, store.ONLINE if clause == "ONLINE" else store.EMERGENCY)
    elif clause in ("READ_ONLY", "READ_WRITE"):
        _evict(server, session, database, termination)
        state.read_only = clause == "READ_ONLY"
    elif clause == "MODIFY NAME":
        if server.find(value) is not None and value.casefold() != database.name.casefold():
            raise SqlError(1801, f"Database '{value}' already exists. Choose a different database name.", 3, 16)
        if server.users_of(database, session):
            raise SqlError(5030, "The database could not be exclusively locked to perform the operation.", 2, 16)
        for info in list(server.sessions.values()):
            other = info.session()
            if other is not None and other.database.casefold() == database.name.casefold():
                other.database = value
        state.name = value
    elif clause in ("ENABLE_BROKER", "DISABLE_BROKER", "NEW_BROKER", "ERROR_BROKER_CONVERSATIONS"):
        _evict(server, session, database, termination)  # without a termination it waits until nobody else is in the database
        set_broker(server, database, clause)
    elif clause in ("TRUSTWORTHY", "DB_CHAINING") and not server.security.sysadmin(session):
        raise SqlError(15247, "User does not have permission to perform this action.", 1, 16)
    else:
        _option(server, database, clause, value)


def _alone(server: "Server", session: Any, database: Database) -> None:
    """Nothing works in the database at this moment; called with the server's lock."""
    if database.restoring is not None or database.replaced or server.requests_on(database, session):
        raise SqlError(5061, f"ALTER DATABASE failed because a lock could not be placed on database '{database.name}'. Try again later.", 1, 16)


def set_broker(server: "Server", database: Database, clause: str) -> None:
    state = database.state
    if clause in ("ENABLE_BROKER", "ERROR_BROKER_CONVERSATIONS") and not state.broker:
        same = [d for d in server.dbs.values() if d is not database and d.state.broker and d.state.broker_guid == state.broker_guid]
        if same:
            raise SqlError(9772, f'The Service Broker in database "{database.name}" cannot be enabled because there is already an enabled '
                                 "Service Broker with the same ID.", 1, 16)
    if clause == "NEW_BROKER":
        state.broker_guid = str(uuid.uuid4())
    state.broker = clause != "DISABLE_BROKER"


def _online(database: Database, target: int) -> None:
    state = database.state
    if state.state == target:
        return
    if database.writer is None:
        try:
            database.open_rows()
        except (OSError, ValueError) as exc:
            raise SqlError(5120, f'Unable to open the physical file "{database.path}". Operating system error {errors.os_text(2)}.', 101,
                           16) from exc
    state.state = target


NOT_IN_GROUPS = {"SINGLE_USER", "RESTRICTED_USER", "OFFLINE", "READ_ONLY", "RECOVERY", "MODIFY NAME", "EMERGENCY"}
FLAGS = {"AUTO_CLOSE": "auto_close", "AUTO_SHRINK": "auto_shrink", "TRUSTWORTHY": "trustworthy", "READ_COMMITTED_SNAPSHOT": "rcsi",
         "DB_CHAINING": "chaining", "HONOR_BROKER_PRIORITY": "priority"}
IGNORED = {"ALLOW_SNAPSHOT_ISOLATION", "AUTO_CREATE_STATISTICS", "AUTO_UPDATE_STATISTICS", "ANSI_NULLS", "ANSI_PADDING", "ANSI_WARNINGS",
           "ARITHABORT", "QUOTED_IDENTIFIER", "QUERY_STORE", "DELAYED_DURABILITY", "TARGET_RECOVERY_TIME", "PARAMETERIZATION",
           "ANSI_NULL_DEFAULT", "CONCAT_NULL_YIELDS_NULL", "CURSOR_CLOSE_ON_COMMIT", "CURSOR_DEFAULT",
           "RECURSIVE_TRIGGERS", "NUMERIC_ROUNDABORT", "ACCELERATED_DATABASE_RECOVERY", "AUTO_UPDATE_STATISTICS_ASYNC",
           "DATE_CORRELATION_OPTIMIZATION", "MIXED_PAGE_ALLOCATION", "TEMPORAL_HISTORY_RETENTION",
           "MEMORY_OPTIMIZED_ELEVATE_TO_SNAPSHOT", "CHANGE_TRACKING", "CONTAINMENT", "DEFAULT_LANGUAGE",
           "ADD FILEGROUP", "REMOVE FILEGROUP", "MODIFY FILEGROUP"}


def _option(server: "Server", database: Database, clause: str, value: Any) -> None:
    state = database.state
    if clause in FLAGS:
        setattr(state, FLAGS[clause], str(value).upper() in ("ON", "TRUE", "1"))
    elif clause == "PAGE_VERIFY":
        state.page_verify = {"NONE": 0, "TORN_PAGE_DETECTION": 1, "CHECKSUM": 2}[str(value).upper()]
    elif clause == "COMPATIBILITY_LEVEL":
        state.compat = int(value)
    elif clause == "COLLATE":
        state.collation = str(value)
    elif clause == "ENCRYPTION":
        if str(value).upper() == "ON" and not state.key:
            raise SqlError(33107, "Cannot enable database encryption because there is no database encryption key.", 1, 16)
        state.encrypted = str(value).upper() == "ON"
    elif clause in ("ADD FILE", "ADD LOG FILE"):
        if database.data_backup is not None:
            raise serialized("ALTER DATABASE")
        logical, physical = file_spec(value)
        check_target(server, physical)
        group = str(value.get("FILEGROUP") or "PRIMARY") if isinstance(value, dict) else "PRIMARY"
        kind = 1 if clause == "ADD LOG FILE" else 2 if group.casefold() in (c.casefold() for c in state.containers) else 0
        state.files.append(store.FileState(max(f.file_id for f in state.files) + 1, kind, logical, physical, filegroup=group))
        make_extra(state)
    elif clause == "ADD CONTAINER FILEGROUP":
        state.containers.append(str(value))
    elif clause == "HADR":
        if str(value).upper() != "OFF":
            raise SqlError(35220, "Could not process the operation. Always On Availability Groups replica manager is waiting for the host "
                                  "computer to start a Windows Server Failover Clustering (WSFC) cluster and join it.", 1, 16)
        state.group = ""
    elif clause == "SUSPEND_FOR_SNAPSHOT_BACKUP":
        raise SqlError(1844, f"SUSPEND_FOR_SNAPSHOT_BACKUP is not supported on {server.edition}.", 1, 16)
    elif clause == "MODIFY FILE":
        _modify_file(state, value)
    elif clause == "REMOVE FILE":
        found = [f for f in state.files if f.logical.casefold() == str(value).casefold() and f.file_id > 2]
        if not found:
            raise SqlError(5009, "One or more files listed in the statement could not be found or could not be initialized.", 5, 16)
        if database.data_backup is not None:
            raise serialized("ALTER DATABASE")
        state.files.remove(found[0])
        remove_file(found[0])
    elif clause not in IGNORED:
        raise SqlError(102, f"Incorrect syntax near '{clause}'.", 1, 15)


def _modify_file(state: store.DbState, given: dict) -> None:
    """NEWNAME, and MAXSIZE of the log. Sizes of data files have no meaning here."""
    found = [f for f in state.files if f.logical.casefold() == str(given.get("NAME", "")).casefold()]
    if not found:
        raise SqlError(5041, f"MODIFY FILE failed. File '{given.get('NAME')}' does not exist.", 1, 16)
    if given.get("NEWNAME"):
        found[0].logical = str(given["NEWNAME"])
    if found[0].type == 1:
        state.log_limit = log_limit(given) or state.log_limit


def log_limit(given: dict) -> int:
    """MAXSIZE in bytes; 0 for none."""
    found = re.fullmatch(r"(\d+)\s*(KB|MB|GB|TB)?", str(given.get("MAXSIZE") or "").upper())
    if found is None:
        return 0
    return int(found[1]) << {"KB": 10, None: 20, "MB": 20, "GB": 30, "TB": 40}[found[2]]


def serialized(what: str) -> SqlError:
    return SqlError(3023, "Backup, file manipulation operations (such as ALTER DATABASE ADD FILE) and encryption changes on a database "
                          "must be serialized. Reissue the statement after the current backup or file manipulation operation is "
                          "completed.", 2, 16, also=[errors.terminating(what)] if what.startswith("BACKUP") else [])
