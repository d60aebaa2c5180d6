# SPDX-License-Identifier: Apache-2.0
"""RESTORE HEADERONLY, FILELISTONLY, LABELONLY and VERIFYONLY."""

from __future__ import annotations

import datetime as dt
import os
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Optional

from ..contract import Columns, Done, Emit, RestoreStatement, Row
from . import msdb, restore_files
from .coltypes import cols, guid, num, when
from .msdb import family_guid
from .progress import Progress
from .media_write import Device
from .restore_media import WHAT, Source

if TYPE_CHECKING:
    from .server import Server

LSN = "numeric(25,0)"
HEADER = cols(f"""BackupName nvarchar(128), BackupDescription nvarchar(255), BackupType tinyint, ExpirationDate datetime,
Compressed tinyint, Position smallint, DeviceType tinyint, UserName nvarchar(128), ServerName nvarchar(128), DatabaseName nvarchar(128),
DatabaseVersion int, DatabaseCreationDate datetime, BackupSize bigint, FirstLSN {LSN}, LastLSN {LSN}, CheckpointLSN {LSN},
DatabaseBackupLSN {LSN}, BackupStartDate datetime, BackupFinishDate datetime, SortOrder smallint, CodePage smallint,
UnicodeLocaleId int, UnicodeComparisonStyle int, CompatibilityLevel tinyint, SoftwareVendorId int, SoftwareVersionMajor int,
SoftwareVersionMinor int, SoftwareVersionBuild int, MachineName nvarchar(128), Flags int, BindingID uniqueidentifier,
RecoveryForkID uniqueidentifier, Collation nvarchar(128), FamilyGUID uniqueidentifier, HasBulkLoggedData bit, IsSnapshot bit,
IsReadOnly bit, IsSingleUser bit, HasBackupChecksums bit, IsDamaged bit, BeginsLogChain bit, HasIncompleteMetaData bit,
IsForceOffline bit, IsCopyOnly bit, FirstRecoveryForkID uniqueidentifier, ForkPointLSN {LSN}, RecoveryModel nvarchar(60),
DifferentialBaseLSN {LSN}, DifferentialBaseGUID uniqueidentifier, BackupTypeDescription nvarchar(128), BackupSetGUID uniqueidentifier,
CompressedBackupSize bigint, Containment tinyint, KeyAlgorithm nvarchar(32), EncryptorThumbprint varbinary(20),
EncryptorType nvarchar(32), LastValidRestoreTime datetime, TimeZone smallint, CompressionAlgorithm nvarchar(32)""")
FILELIST = cols(f"""LogicalName nvarchar(128), PhysicalName nvarchar(260), Type nchar(1), FileGroupName nvarchar(128), Size bigint,
MaxSize bigint, FileId bigint, CreateLSN {LSN}, DropLSN {LSN}, UniqueId uniqueidentifier, ReadOnlyLSN {LSN}, ReadWriteLSN {LSN},
BackupSizeInBytes bigint, SourceBlockSize int, FileGroupId int, LogGroupGUID uniqueidentifier, DifferentialBaseLSN {LSN},
DifferentialBaseGUID uniqueidentifier, IsReadOnly bit, IsPresent bit, TDEThumbprint varbinary(20), SnapshotUrl nvarchar(336)""")
LABEL = cols("""MediaName nvarchar(128), MediaSetId uniqueidentifier, FamilyCount int, FamilySequenceNumber int,
MediaFamilyId uniqueidentifier, MediaSequenceNumber int, MediaLabelPresent tinyint, MediaDescription nvarchar(255),
SoftwareName nvarchar(128), SoftwareVendorId int, MediaDate datetime, Mirror_Count int, IsCompressed bit""")
TYPES = {"D": (1, "Database"), "L": (2, "Transaction Log"), "I": (5, "Database Differential")}
CURCMD = {"HEADERONLY": 250, "LABELONLY": 250, "FILELISTONLY": 376, "VERIFYONLY": 377}
MAX_DATA, MAX_LOG = 35184372080640, 2199023255552
ZERO = Decimal(0)


def run(server: "Server", session: Any, stmt: RestoreStatement, emit: Emit) -> None:
    server.security.need_media(session, WHAT[stmt.what])
    source = Source(server, session, stmt)
    if stmt.what == "VERIFYONLY":
        _verify(server, session, stmt, source, emit)
        return
    if stmt.what == "HEADERONLY":
        columns, rows = _header(server, source, stmt)
    elif stmt.what == "FILELISTONLY":
        columns, rows = FILELIST, _files(source)
    else:
        columns, rows = LABEL, _label(source)
    emit(Columns(columns))
    for row in rows:
        emit(Row(row))
    emit(Done(230, len(rows)))
    emit(Done(CURCMD[stmt.what]))


def _header(server: "Server", source: Source, stmt: RestoreStatement) -> tuple[list, list]:
    columns = HEADER if server.major >= 16 else HEADER[:56]
    wanted = stmt.options.get("FILE")
    info = source.infos[0]
    rows = []
    for found in info.sets:
        if wanted and found.position != int(wanted):
            continue
        row = header_row(found.meta) if found.complete else _incomplete(found.position)
        rows.append([row.get(c.name) for c in columns])
    if wanted and not rows:
        raise source.fail(3287, f"The file ID {wanted} on device '{stmt.devices[0]}' is not valid.")
    return columns, rows


def _incomplete(position: int) -> dict:
    return {"BackupName": "*** INCOMPLETE ***", "Position": position, "DeviceType": 2}


def header_row(meta: dict) -> dict[str, Any]:
    """The columns of one set by name."""
    number, text = TYPES[meta["type"]]
    major, minor, build = meta["software"]
    encryptor = meta.get("encryptor") or {}
    row = {
        "BackupName": meta["name"] or None, "BackupDescription": meta["description"] or None, "BackupType": number,
        "ExpirationDate": _date(meta.get("expires")), "Compressed": int(meta["compressed"]), "Position": meta["position"], "DeviceType": 2,
        "UserName": meta["user_name"], "ServerName": meta["server_name"], "DatabaseName": meta["database_name"],
        "DatabaseVersion": meta["database_version"], "DatabaseCreationDate": _second(meta["database_creation_date"]),
        "BackupSize": meta["backup_size"], "BackupStartDate": when(meta["start"]), "BackupFinishDate": when(meta["finish"]),
        "SortOrder": 52, "CodePage": 0, "UnicodeLocaleId": 1033, "UnicodeComparisonStyle": 196609, "CompatibilityLevel": meta["compat"],
        "SoftwareVendorId": 4608, "SoftwareVersionMajor": major, "SoftwareVersionMinor": minor, "SoftwareVersionBuild": build,
        "MachineName": meta["machine_name"], "Flags": meta["flags"], "Collation": meta["collation"], "RecoveryModel": meta["recovery_model"],
        "BackupTypeDescription": text, "CompressedBackupSize": meta["compressed_size"], "Containment": 0,
        "KeyAlgorithm": encryptor.get("algorithm"), "EncryptorType": encryptor.get("type"),
        "EncryptorThumbprint": bytes.fromhex(encryptor["thumbprint"]) if encryptor else None,
        "LastValidRestoreTime": when(meta["last_valid"]), "TimeZone": meta["time_zone"], "CompressionAlgorithm": meta["algorithm"]}
    for name, key in (("FirstLSN", "first_lsn"), ("LastLSN", "last_lsn"), ("CheckpointLSN", "checkpoint_lsn"),
                      ("DatabaseBackupLSN", "database_backup_lsn"), ("ForkPointLSN", "fork_point_lsn"),
                      ("DifferentialBaseLSN", "differential_base_lsn")):
        row[name] = num(meta[key])
    for name, key in (("BindingID", "database_guid"), ("RecoveryForkID", "last_fork"), ("FamilyGUID", "family_guid"),
                      ("FirstRecoveryForkID", "first_fork"), ("DifferentialBaseGUID", "differential_base_guid"), ("BackupSetGUID", "guid")):
        row[name] = guid(meta[key])
    for name, key in (("HasBulkLoggedData", "has_bulk"), ("IsSnapshot", "is_snapshot"), ("IsReadOnly", "is_readonly"),
                      ("IsSingleUser", "is_single_user"), ("HasBackupChecksums", "has_checksums"), ("IsDamaged", "is_damaged"),
                      ("BeginsLogChain", "begins_log_chain"), ("IsForceOffline", "norecovery"), ("IsCopyOnly", "is_copy_only")):
        row[name] = bool(meta[key])
    row["HasIncompleteMetaData"] = bool(meta.get("incomplete_metadata"))
    return row


def _second(text: Optional[str]) -> Optional[dt.datetime]:
    return when(text).replace(microsecond=0) if text else None


def _date(text: Optional[str]) -> Optional[dt.datetime]:
    try:
        return when(text)
    except ValueError:
        return None


def _files(source: Source) -> list[list]:
    meta = source.pick()
    out = []
    for file in meta["files"]:
        data = file["type"] == "D"
        out.append([file["logical"], file["physical"], file["type"], file.get("filegroup", "PRIMARY" if data else None), file["size"],
                    MAX_LOG if file["type"] == "L" else MAX_DATA if data else 0, file["file_id"], ZERO, ZERO, uuid.UUID(file["guid"]), ZERO, ZERO,
                    file["backup_size"], 4096, 1 if data else 0, None, num(meta["differential_base_lsn"] or 0),
                    guid(meta["differential_base_guid"]) or uuid.UUID(int=0), False, True,
                    bytes.fromhex(meta["key"]) if meta.get("key") else None, None])
    return out


def _label(source: Source) -> list[list]:
    info = source.infos[0]
    media, family = info.media, info.family
    return [[media["name"] or None, uuid.UUID(media["guid"]), len(media["family_ids"]), family, uuid.UUID(family_guid(media, family - 1)),
             1, 0, media["description"] or None, "Microsoft SQL Server", 4608, when(media["date"]), 1, info.compressed]]


def _room(server: "Server", source: Source, meta: dict) -> None:
    """VERIFYONLY looks whether the files would fit, where their directory exists here."""
    targets = {f["logical"].casefold(): f["physical"] for f in meta["files"]}
    targets.update((logical.casefold(), path) for logical, path in source.stmt.options.get("MOVE") or [])
    files = [(f, targets[f["logical"].casefold()]) for f in meta["files"]]
    for error in restore_files.room(server, [(f, p) for f, p in files if os.path.isdir(os.path.dirname(p))]):
        raise source.fail(error.number, error.text)


def _verify(server: "Server", session: Any, stmt: RestoreStatement, source: Source, emit: Emit) -> None:
    info = server.sessions.get(session.spid)
    progress = Progress(emit, CURCMD["VERIFYONLY"], stmt.options.get("STATS"), info.request if info else None, stmt.line)
    source.check_family()
    meta = source.pick()
    verify = source.verify(meta)
    if meta["database_version"] > server.database_version:
        raise source.fail(3169, "The database was backed up on a server running a newer version. That version is incompatible with this "
                                f"server, which is running version {'.'.join(map(str, server.version))}.")
    _room(server, source, meta)
    progress.expect(meta["backup_size"])
    device = Device(server, session, source.paths[0], source.paths[0])
    for chunk in source.chunks(meta, verify):
        if meta["type"] == "L" or chunk.phase == b"MQTL":
            source.records(chunk)
        device.pace(len(chunk.data))
        progress.add(len(chunk.data))
    progress.show(100)
    if stmt.options.get("LOADHISTORY"):
        media = {k: v for k, v in source.infos[0].media.items() if k != "family"}
        msdb.add_set(server, meta, media, stmt.devices)
    if meta["is_damaged"]:
        progress.info(3188, "The backup set was written with damaged data by a BACKUP WITH CONTINUE_AFTER_ERROR.")
    progress.info(3262, f"The backup set on file {meta['position']} is valid.")
