# SPDX-License-Identifier: Apache-2.0
"""The history tables of msdb. They are ordinary rows of the database msdb, so a backup of it holds them."""

from __future__ import annotations

import contextlib
import datetime as dt
from typing import TYPE_CHECKING, Any, Optional

from ..contract import Column, SqlError
from . import rows
from .clock import from_micros
from .coltypes import cols, decode, encode

if TYPE_CHECKING:
    from .database import Database
    from .server import Server

LSN = "numeric(25,0)"
BACKUPSET = f"""backup_set_id int!, backup_set_uuid uniqueidentifier!, media_set_id int!, first_family_number tinyint,
first_media_number smallint, last_family_number tinyint, last_media_number smallint, catalog_family_number tinyint,
catalog_media_number smallint, position int, expiration_date datetime, software_vendor_id int, name nvarchar(128),
description nvarchar(255), user_name nvarchar(128), software_major_version tinyint, software_minor_version tinyint,
software_build_version smallint, time_zone smallint, mtf_minor_version tinyint, first_lsn {LSN}, last_lsn {LSN},
checkpoint_lsn {LSN}, database_backup_lsn {LSN}, database_creation_date datetime, backup_start_date datetime,
backup_finish_date datetime, type char(1), sort_order smallint, code_page smallint, compatibility_level tinyint,
database_version int, backup_size numeric(20,0), database_name nvarchar(128), server_name nvarchar(128),
machine_name nvarchar(128), flags int, unicode_locale int, unicode_compare_style int, collation_name nvarchar(128),
is_password_protected bit, recovery_model nvarchar(60), has_bulk_logged_data bit, is_snapshot bit, is_readonly bit,
is_single_user bit, has_backup_checksums bit, is_damaged bit, begins_log_chain bit, has_incomplete_metadata bit,
is_force_offline bit, is_copy_only bit, first_recovery_fork_guid uniqueidentifier, last_recovery_fork_guid uniqueidentifier,
fork_point_lsn {LSN}, database_guid uniqueidentifier, family_guid uniqueidentifier, differential_base_lsn {LSN},
differential_base_guid uniqueidentifier, compressed_backup_size numeric(20,0), key_algorithm nvarchar(32),
encryptor_thumbprint varbinary(20), encryptor_type nvarchar(32), last_valid_restore_time datetime,
compression_algorithm nvarchar(32)"""
SINCE_2022 = {"last_valid_restore_time", "compression_algorithm"}
TABLES: dict[str, list[Column]] = {name: cols(text) for name, text in {
    "backupset": BACKUPSET,
    "backupmediaset": """media_set_id int!, media_uuid uniqueidentifier, media_family_count tinyint, name nvarchar(128),
        description nvarchar(255), software_name nvarchar(128), software_vendor_id int, MTF_major_version tinyint,
        mirror_count tinyint, is_password_protected bit, is_compressed bit, is_encrypted bit""",
    "backupmediafamily": """media_set_id int!, family_sequence_number tinyint!, media_family_id uniqueidentifier, media_count int,
        logical_device_name nvarchar(128), physical_device_name nvarchar(260), device_type tinyint, physical_block_size int,
        mirror tinyint!""",
    "backupfile": f"""backup_set_id int!, first_family_number tinyint, first_media_number smallint, filegroup_name nvarchar(128),
        page_size int, file_number numeric(10,0)!, backed_up_page_count numeric(10,0), file_type char(1),
        source_file_block_size numeric(10,0), file_size numeric(20,0), logical_name nvarchar(128), physical_drive nvarchar(260),
        physical_name nvarchar(260), state tinyint, state_desc nvarchar(64), create_lsn {LSN}, drop_lsn {LSN},
        file_guid uniqueidentifier, read_only_lsn {LSN}, read_write_lsn {LSN}, differential_base_lsn {LSN},
        differential_base_guid uniqueidentifier, backup_size numeric(20,0), filegroup_guid uniqueidentifier, is_readonly bit,
        is_present bit""",
    "backupfilegroup": """backup_set_id int!, name nvarchar(128), filegroup_id int!, filegroup_guid uniqueidentifier, type char(2),
        type_desc nvarchar(60), is_default bit, is_readonly bit, log_filegroup_guid uniqueidentifier""",
    "restorehistory": """restore_history_id int!, restore_date datetime, destination_database_name nvarchar(128), user_name nvarchar(128),
        backup_set_id int!, restore_type char(1), replace bit, recovery bit, restart bit, stop_at datetime, device_count tinyint,
        stop_at_mark_name nvarchar(128), stop_before bit""",
    "restorefile": "restore_history_id int!, file_number numeric(10,0), destination_phys_drive nvarchar(260), destination_phys_name nvarchar(260)",
    "restorefilegroup": "restore_history_id int!, filegroup_name nvarchar(128)",
    "logmarkhistory": f"""database_name nvarchar(128)!, mark_name nvarchar(128)!, description nvarchar(255), user_name nvarchar(128)!,
        lsn {LSN}!, mark_time datetime!""",
    "suspect_pages": """database_id int!, file_id int!, page_id bigint!, event_type int!, error_count int!, last_update_date datetime!""",
}.items()}


def make_tables(database: "Database") -> None:
    with database.writing() as tran:
        for name, columns in TABLES.items():
            body = ", ".join(rows.quote(c.name) for c in columns)
            tran.execute_ddl(f"CREATE TABLE {rows.quote('dbo.' + name)} ({body})")
            rows.capture_table(tran.connection, "dbo." + name)
        for table, column in (("backupset", "backup_set_uuid"), ("backupset", "backup_set_id"), ("backupset", "backup_finish_date"),
                              ("backupmediafamily", "media_set_id"), ("backupfile", "backup_set_id"),
                              ("restorehistory", "backup_set_id"), ("backupmediaset", "media_set_id")):
            tran.execute_ddl(f'CREATE INDEX "ix_{table}_{column}" ON "dbo.{table}" ("{column}")')


def home(server: "Server") -> "Database":
    return server.dbs[4]


def read(server: "Server", name: str) -> tuple[list[Column], list[tuple]]:
    columns = TABLES[name]
    shown = [i for i, c in enumerate(columns) if server.major >= 16 or c.name not in SINCE_2022]
    with contextlib.closing(home(server).reader()) as db:
        if name not in FROZEN:
            found = db.execute(f'SELECT * FROM "dbo.{name}" ORDER BY _rowid_').fetchall()
            return ([columns[i] for i in shown], [tuple(decode(columns[i], row[i]) for i in shown) for row in found])
        return [columns[i] for i in shown], _read_frozen(home(server), db, name, columns, shown)


FROZEN = {"backupset", "backupmediaset", "backupmediafamily", "backupfile"}  # rows are never changed, only added and deleted


def _read_frozen(database: "Database", db: Any, name: str, columns: list[Column], shown: list[int]) -> list[tuple]:
    """Decodes only the rows that were not there at the last look: history is long and is read often."""
    with database.mutex:
        known = database.decoded.setdefault(name, {})
    ids = [n for (n,) in db.execute(f'SELECT _rowid_ FROM "dbo.{name}" ORDER BY _rowid_')]
    fresh = [n for n in ids if n not in known]
    if fresh:
        for row in db.execute(f'SELECT _rowid_, * FROM "dbo.{name}" WHERE _rowid_>=?', (fresh[0],)):
            known[row[0]] = tuple(decode(columns[i], row[i + 1]) for i in shown)
    return [known[n] for n in ids]


def insert(tran: Any, name: str, values: dict[str, Any]) -> None:
    columns = [c.name for c in TABLES[name] if c.name in values]
    names = ", ".join(rows.quote(c) for c in columns)
    tran.connection.execute(f'INSERT INTO "dbo.{name}" ({names}) VALUES ({", ".join("?" * len(columns))})',
                            [encode(values[c]) for c in columns])


def _next(tran: Any, table: str, column: str) -> int:
    """Numbers are never used twice, also after a clean-up."""
    top = tran.connection.execute(f'SELECT max("{column}") FROM "dbo.{table}"').fetchone()[0] or 0
    return tran.next_identity(f"msdb.{table}", max(1, top + 1))


def find_set(server: "Server", set_guid: str) -> Optional[int]:
    if home(server).writer is None:
        raise SqlError(945, "Database 'msdb' cannot be opened due to inaccessible files or insufficient memory or disk space.  See the SQL "
                            "Server errorlog for details.", 2, 14)
    with contextlib.closing(home(server).reader()) as db:
        row = db.execute('SELECT backup_set_id FROM "dbo.backupset" WHERE backup_set_uuid=?', (set_guid,)).fetchone()
    return row[0] if row else None


def set_row(meta: dict) -> dict[str, Any]:
    """Columns of backupset from a set's description."""
    major, minor, build = meta["software"]
    encryptor = meta.get("encryptor") or {}
    return {
        "key_algorithm": encryptor.get("algorithm"), "encryptor_type": encryptor.get("type"),
        "encryptor_thumbprint": bytes.fromhex(encryptor["thumbprint"]) if encryptor else None,
        "backup_set_uuid": meta["guid"], "first_family_number": 1, "first_media_number": 1,
        "last_family_number": meta["families"], "last_media_number": 1, "catalog_family_number": 1, "catalog_media_number": 1,
        "position": meta["position"], "software_vendor_id": 4608, "name": meta["name"] or None,
        "description": meta["description"] or None, "user_name": meta["user_name"], "software_major_version": major,
        "software_minor_version": minor, "software_build_version": build, "time_zone": meta["time_zone"], "mtf_minor_version": 0,
        "first_lsn": meta["first_lsn"], "last_lsn": meta["last_lsn"], "checkpoint_lsn": meta["checkpoint_lsn"],
        "database_backup_lsn": meta["database_backup_lsn"], "database_creation_date": meta["database_creation_date"],
        "backup_start_date": meta["start"], "backup_finish_date": meta["finish"], "type": meta["type"], "sort_order": 52,
        "code_page": 0, "compatibility_level": meta["compat"], "database_version": meta["database_version"],
        "backup_size": meta["backup_size"], "database_name": meta["database_name"], "server_name": meta["server_name"],
        "machine_name": meta["machine_name"], "flags": meta["flags"], "unicode_locale": 1033, "unicode_compare_style": 196609,
        "collation_name": meta["collation"], "is_password_protected": 0, "recovery_model": meta["recovery_model"],
        "has_bulk_logged_data": meta["has_bulk"], "is_snapshot": meta["is_snapshot"], "is_readonly": meta["is_readonly"],
        "is_single_user": meta["is_single_user"], "has_backup_checksums": meta["has_checksums"], "is_damaged": meta["is_damaged"],
        "begins_log_chain": meta["begins_log_chain"], "has_incomplete_metadata": meta.get("incomplete_metadata", 0), "is_force_offline": meta["norecovery"],
        "is_copy_only": meta["is_copy_only"], "first_recovery_fork_guid": meta["first_fork"],
        "last_recovery_fork_guid": meta["last_fork"], "fork_point_lsn": meta["fork_point_lsn"],
        "database_guid": meta["database_guid"], "family_guid": meta["family_guid"],
        "differential_base_lsn": meta["differential_base_lsn"], "differential_base_guid": meta["differential_base_guid"],
        "compressed_backup_size": meta["compressed_size"], "last_valid_restore_time": meta["last_valid"],
        "compression_algorithm": meta["algorithm"]}


def add_set(server: "Server", meta: dict, media: dict, devices: list[str], session: Any = None, origin: str = "") -> int:
    """History of a backup that succeeded, or of one that is restored here. Returns backup_set_id."""
    known = find_set(server, meta["guid"])
    if known is not None:
        return known
    with home(server).writing() as tran:
        media_id = _media(tran, meta, media, devices)
        set_id = _next(tran, "backupset", "backup_set_id")
        insert(tran, "backupset", {"backup_set_id": set_id, "media_set_id": media_id, **set_row(meta)})
        for file in meta["files"]:
            insert(tran, "backupfile", {
                "backup_set_id": set_id, "first_family_number": 1, "first_media_number": 1,
                "filegroup_name": file.get("filegroup", "PRIMARY" if file["type"] == "D" else None), "page_size": rows.PAGE,
                "file_number": file["file_id"], "backed_up_page_count": file["backup_size"] // rows.PAGE,
                "file_type": file["type"], "source_file_block_size": 512, "file_size": file["size"],
                "logical_name": file["logical"], "physical_drive": "C:\\", "physical_name": file["physical"], "state": 0,
                "state_desc": "ONLINE", "create_lsn": 0, "drop_lsn": 0, "file_guid": file["guid"], "read_only_lsn": 0,
                "read_write_lsn": 0, "differential_base_lsn": meta["differential_base_lsn"] or 0,
                "differential_base_guid": meta["differential_base_guid"], "backup_size": file["backup_size"],
                "is_readonly": 0, "is_present": 1})
        insert(tran, "backupfilegroup", {"backup_set_id": set_id, "name": "PRIMARY", "filegroup_id": 1, "type": "FG",
                                         "type_desc": "ROWS_FILEGROUP", "is_default": 1, "is_readonly": 0})
        return set_id


def _media(tran: Any, meta: dict, media: dict, devices: list[str]) -> int:
    found = tran.connection.execute('SELECT media_set_id FROM "dbo.backupmediaset" WHERE media_uuid=?', (media["guid"],)).fetchone()
    if found:
        return found[0]
    media_id = _next(tran, "backupmediaset", "media_set_id")
    insert(tran, "backupmediaset", {
        "media_set_id": media_id, "media_uuid": media["guid"], "media_family_count": len(media["family_ids"]),
        "name": media["name"] or None, "description": media["description"] or None, "software_name": "Microsoft SQL Server",
        "software_vendor_id": 4608, "MTF_major_version": 1, "mirror_count": max(1, len(devices) // len(media["family_ids"])),
        "is_password_protected": 0, "is_compressed": int(bool(meta["compressed"])), "is_encrypted": 0})
    count = len(media["family_ids"])
    for number, device in enumerate(devices):
        insert(tran, "backupmediafamily", {
            "media_set_id": media_id, "family_sequence_number": number % count + 1,
            "media_family_id": family_guid(media, number % count), "media_count": 1, "physical_device_name": device,
            "device_type": 7 if meta["is_snapshot"] else 2, "physical_block_size": 4096, "mirror": number // count})
    return media_id


def family_guid(media: dict, index: int) -> str:
    """The media family id: the first word is random, the rest is zero."""
    return f"{int(media['family_ids'][index], 16):08x}-0000-0000-0000-000000000000"


def add_restore(server: "Server", name: str, user: str, set_id: int, kind: str, flags: dict[str, Any], devices: int,
                files: list[tuple[int, str]], began: dt.datetime) -> None:
    with home(server).writing() as tran:
        number = _next(tran, "restorehistory", "restore_history_id")
        insert(tran, "restorehistory", {
            "restore_history_id": number, "restore_date": began, "destination_database_name": name, "user_name": user,
            "backup_set_id": set_id, "restore_type": kind, "replace": flags.get("replace"), "recovery": flags.get("recovery"),
            "restart": flags.get("restart", 0), "stop_at": flags.get("stop_at"), "device_count": devices, "stop_at_mark_name": flags.get("mark"),
            "stop_before": flags.get("before")})
        for file_number, path in files:
            insert(tran, "restorefile", {"restore_history_id": number, "file_number": file_number,
                                         "destination_phys_drive": "C:\\", "destination_phys_name": path})
        if files:
            insert(tran, "restorefilegroup", {"restore_history_id": number, "filegroup_name": "PRIMARY"})


def note_mark(server: "Server", database: "Database", mark: tuple[str, str], record: Any, user: str) -> None:
    if database.id == 4:
        return  # its own transaction would wait for itself
    with home(server).writing() as tran:
        insert(tran, "logmarkhistory", {"database_name": database.name, "mark_name": mark[0], "description": mark[1] or None,
                                        "user_name": user, "lsn": record.lsn.num, "mark_time": from_micros(record.local_us)})


def note_suspect(server: "Server", database_id: int, page: int, event: int = 2) -> None:
    """event 2: bad checksum."""
    with home(server).writing() as tran:
        run = tran.connection.execute
        now = encode(server.clock.local_second())
        done = run('UPDATE "dbo.suspect_pages" SET error_count=error_count+1, last_update_date=? WHERE database_id=? AND page_id=?',
                   (now, database_id, page)).rowcount
        if not done:
            insert(tran, "suspect_pages", {"database_id": database_id, "file_id": 1, "page_id": page, "event_type": event,
                                           "error_count": 1, "last_update_date": now})


def delete_history(server: "Server", session: Any, before: Optional[dt.datetime] = None, database: Optional[str] = None) -> None:
    """The clean-up procedures: sets that finished before a moment, or all of one database."""
    try:
        _delete_history(server, session, before, database)
    finally:
        home(server).decoded = {}  # SQLite may use the numbers of deleted rows again


def _delete_history(server: "Server", session: Any, before: Optional[dt.datetime], database: Optional[str]) -> None:
    with home(server).writing(session) as tran:
        run = tran.connection.execute
        if database is not None:
            run('CREATE TEMP TABLE sqlsim_gone AS SELECT backup_set_id AS id FROM "dbo.backupset" WHERE database_name=?', (database,))
            run('DELETE FROM "dbo.restorefile" WHERE restore_history_id IN (SELECT restore_history_id FROM "dbo.restorehistory" '
                "WHERE destination_database_name=?)", (database,))
            run('DELETE FROM "dbo.restorefilegroup" WHERE restore_history_id IN (SELECT restore_history_id FROM "dbo.restorehistory" '
                "WHERE destination_database_name=?)", (database,))
            run('DELETE FROM "dbo.restorehistory" WHERE destination_database_name=?', (database,))
            run('DELETE FROM "dbo.logmarkhistory" WHERE database_name=?', (database,))
        else:
            if before is None:
                raise SqlError(201, "Procedure or function 'sp_delete_backuphistory' expects parameter '@oldest_date', which was not "
                                    "supplied.", 4, 16)
            run('CREATE TEMP TABLE sqlsim_gone AS SELECT backup_set_id AS id FROM "dbo.backupset" WHERE backup_finish_date<?',
                (before.isoformat(),))
            run('DELETE FROM "dbo.logmarkhistory" WHERE mark_time<?', (before.isoformat(),))
        try:
            for table in ("restorefile", "restorefilegroup"):
                run(f'DELETE FROM "dbo.{table}" WHERE restore_history_id IN (SELECT restore_history_id FROM "dbo.restorehistory" '
                    "WHERE backup_set_id IN (SELECT id FROM sqlsim_gone))")
            for table in ("restorehistory", "backupfile", "backupfilegroup", "backupset"):
                run(f'DELETE FROM "dbo.{table}" WHERE backup_set_id IN (SELECT id FROM sqlsim_gone)')
            for table in ("backupmediafamily", "backupmediaset"):
                run(f'DELETE FROM "dbo.{table}" WHERE media_set_id NOT IN (SELECT media_set_id FROM "dbo.backupset")')
        finally:
            run("DROP TABLE sqlsim_gone")
