# SPDX-License-Identifier: Apache-2.0
"""What a BACKUP refuses before it opens a device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from ..contract import SqlError
from . import store
from .database import Database
from .databases import serialized as _serialized

if TYPE_CHECKING:
    from .backup import Job

NO_COMPRESSION = ("Express", "Web")
MIRRORS = ("Enterprise", "Developer", "Evaluation")


def serialized(what: str) -> SqlError:
    return _serialized(what)


def database(job: "Job") -> Database:
    server, name = job.server, job.stmt.database
    db = server.find(name)
    if db is None:
        raise job.fail(911, f"Database '{name}' does not exist. Make sure that the name is entered correctly.", 11)
    if name.casefold() == "tempdb":
        raise job.fail(3147, "Backup and restore operations are not allowed on database tempdb.")
    if in_transaction(server, job.session):
        raise job.fail(3021, "Cannot perform a backup or restore operation within a transaction.", 0)
    db.closed = False
    if db.restoring is not None:
        raise job.fail(927, f"Database '{name}' cannot be opened. It is in the middle of a restore.", 2, 14)
    _state(job, db)
    server.security.need_backup(job.session, db, job.stmt.what)
    if db.state.user_access == 1 and server.users_of(db, job.session):
        raise job.fail(924, f"Database '{name}' is already open and can only have one user at a time.", 1, 14)
    _kind(job, db)
    return db


def in_transaction(server: Any, session: Any) -> bool:
    return any(d.active is not None and d.active.session is session for d in list(server.dbs.values()))


def _state(job: "Job", db: Database) -> None:
    state, name = db.state, db.name
    if state.source_id is not None:
        raise job.fail(3002, "Cannot BACKUP or RESTORE a database snapshot.")
    if state.standby:
        raise job.fail(3036, f"Database \"{name}\" is in warm-standby state (set by executing RESTORE WITH STANDBY) and cannot be backed "
                             "up until the entire restore sequence is completed.")
    if state.state == store.OFFLINE:
        raise job.fail(942, f"Database '{name}' cannot be opened because it is offline.", 4, 14)
    if state.state == store.RESTORING:
        raise job.fail(927, f"Database '{name}' cannot be opened. It is in the middle of a restore.", 2, 14)
    if state.state == store.RECOVERING:
        raise job.fail(922, f"Database '{name}' is being recovered. Waiting until recovery is finished.", 1, 14)
    if state.state == store.EMERGENCY:
        raise job.fail(3033, "BACKUP DATABASE cannot be used on a database opened in emergency mode.")
    if state.state in (store.SUSPECT, store.RECOVERY_PENDING) and not (job.type == "L" and job.options.get("NO_TRUNCATE")):
        if state.state == store.SUSPECT:
            raise job.fail(926, f"Database '{name}' cannot be opened. It has been marked SUSPECT by recovery. See the SQL Server errorlog "
                                "for more information.", 1, 14)
        raise job.fail(945, f"Database '{name}' cannot be opened due to inaccessible files or insufficient memory or disk space.  See "
                            "the SQL Server errorlog for details.", 2, 14)


def _kind(job: "Job", db: Database) -> None:
    state, name = db.state, db.name
    if job.type == "L":
        if name.casefold() == "master":
            raise job.fail(4212, "Cannot back up the log of the master database. Use BACKUP DATABASE instead.")
        if state.recovery_model == store.SIMPLE:
            raise job.fail(4208, "The statement BACKUP LOG is not allowed while the recovery model is SIMPLE. Use BACKUP DATABASE or "
                                 "change the recovery model using ALTER DATABASE.")
        if not state.chain:
            raise job.fail(4214, "BACKUP LOG cannot be performed because there is no current database backup.")
    elif job.differential:
        if name.casefold() == "master":
            raise job.fail(3024, "You can only perform a full backup of the master database. Use BACKUP DATABASE to back up the entire "
                                 "master database.", 0)
        if state.diff_guid is None:
            raise job.fail(3035, f"Cannot perform a differential backup for database \"{name}\", because a current database backup does "
                                 "not exist. Perform a full database backup by reissuing BACKUP DATABASE, omitting the WITH DIFFERENTIAL "
                                 "option.")


def options(job: "Job") -> Optional[str]:
    """Checks the options; returns the compression algorithm, None for no compression."""
    given, server = job.options, job.server
    for option in ("FILES", "READ_WRITE_FILEGROUPS", "FILE_SNAPSHOT"):
        if given.get(option):
            raise job.fail(1844, f"BACKUP DATABASE of files or filegroups is not supported on {server.edition}.")
    if len(job.stmt.devices) > 64:
        raise job.fail(3205, "Too many backup devices specified for backup or restore; only 64 are allowed.")
    if job.stmt.mirrors:
        if server.edition_kind not in MIRRORS:
            raise job.fail(3218, "Backup mirroring is not available in this edition of SQL Server. See Books Online for more details on "
                                 "feature support in different SQL Server editions.")
        if any(len(m) != len(job.stmt.devices) for m in job.stmt.mirrors):
            raise job.fail(3010, "Invalid backup mirror specification. All mirrors must have the same number of members.")
    block = given.get("BLOCKSIZE")
    if block is not None and (not 512 <= int(block) <= 65536 or int(block) & (int(block) - 1)):
        raise job.fail(3217, "Invalid value specified for BLOCKSIZE parameter.")
    transfer = given.get("MAXTRANSFERSIZE")
    if transfer is not None and (not 65536 <= int(transfer) <= 4 << 20 or int(transfer) % 65536):
        raise job.fail(3217, "Invalid value specified for MAXTRANSFERSIZE parameter.")
    if given.get("METADATA_ONLY"):
        raise job.fail(3083, f"Database '{job.stmt.database}' is not suspended for snapshot backup.")
    if given.get("ENCRYPTION"):
        _encryption(job, given["ENCRYPTION"])
    return _compression(job)


def _compression(job: "Job") -> Optional[str]:
    given, server = job.options, job.server
    wanted = given.get("COMPRESSION")
    if not wanted and (given.get("NO_COMPRESSION") or not server.config("backup compression default")):
        return None
    if server.edition_kind in NO_COMPRESSION:
        if not wanted:
            return None
        raise job.fail(1844, f"BACKUP DATABASE WITH COMPRESSION is not supported on {server.edition}.")
    algorithm = "MS_XPRESS"
    if isinstance(wanted, dict):
        if server.major < 16:
            raise SqlError(102, "Incorrect syntax near '('.", 1, 15)
        algorithm = str(wanted.get("ALGORITHM", algorithm)).upper()
        if (algorithm == "ZSTD" or wanted.get("LEVEL")) and server.major < 17:
            raise SqlError(155, f"'{'LEVEL' if algorithm != 'ZSTD' else 'ZSTD'}' is not a recognized BACKUP option.", 1, 15)
        if algorithm not in ("MS_XPRESS", "QAT_DEFLATE", "ZSTD"):
            raise SqlError(155, f"'{algorithm}' is not a recognized BACKUP option.", 1, 15)
        if algorithm == "QAT_DEFLATE":
            raise job.fail(17441, "The QAT_DEFLATE algorithm is not available: no hardware acceleration is configured.")
    elif not wanted or wanted is True:
        algorithm = {2: "QAT_DEFLATE", 3: "ZSTD"}.get(server.config("backup compression algorithm"), "MS_XPRESS")
    return algorithm


def _encryption(job: "Job", given: dict) -> None:
    if job.server.edition_kind in NO_COMPRESSION:
        raise job.fail(1844, f"BACKUP DATABASE WITH ENCRYPTION is not supported on {job.server.edition}.")
    name = given.get("SERVER CERTIFICATE") or given.get("SERVER_CERTIFICATE") or ""
    found = job.server.store.thing("certificate", name)
    if found is None:
        raise job.fail(33101, f"Cannot find the certificate '{name}', because it does not exist or you do not have permission.")
    job.encryptor = {"algorithm": str(given.get("ALGORITHM", "AES_256")).lower(), "type": "CERTIFICATE", "thumbprint": found["thumbprint"]}


def exclusive(job: "Job", db: Database) -> None:
    """For NORECOVERY and STANDBY."""
    if db.state.group:
        raise job.fail(3104, f"BACKUP LOG WITH NORECOVERY cannot operate on database '{db.name}' because it has joined an availability group.")
    if job.session.database.casefold() == db.name.casefold():
        raise job.fail(3102, f"BACKUP LOG cannot process database '{db.name}' because it is in use by this session. It is recommended "
                             "that the master database be used when performing this operation.")
    if job.server.users_of(db, job.session) or db.data_backup is not None:
        raise job.fail(3101, "Exclusive access could not be obtained because the database is in use.")


