# SPDX-License-Identifier: Apache-2.0
"""Views about databases, their files, logs and tables."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING, Any, Iterator

from . import rows as storage
from . import store, wal
from .backup import file_size
from .coltypes import cols, guid, num, when
from .database import Database
from .lsn import MAX, from_num

if TYPE_CHECKING:
    from .server import Server

LSN = "numeric(25,0)"
ACCESS = {0: "MULTI_USER", 1: "SINGLE_USER", 2: "RESTRICTED_USER"}
VERIFY = {0: "NONE", 1: "TORN_PAGE_DETECTION", 2: "CHECKSUM"}


def visible(server: "Server", session: Any) -> Iterator[Database]:
    """Databases whose rows the login sees: all with VIEW ANY DATABASE, else master, tempdb and its own."""
    every = server.security.can(session, "VIEW ANY DATABASE")
    sid = server.security.sid_of(session).hex()
    for db in sorted(list(server.dbs.values()), key=lambda d: d.id):
        if every or db.id <= 2 or db.state.owner_sid == sid:
            yield db


DATABASES = cols("""name nvarchar(128)!, database_id int!, source_database_id int, owner_sid varbinary(85), create_date datetime!,
compatibility_level tinyint!, collation_name nvarchar(128), user_access tinyint, user_access_desc nvarchar(60), is_read_only bit,
is_auto_close_on bit!, is_auto_shrink_on bit, state tinyint, state_desc nvarchar(60), is_in_standby bit, is_cleanly_shutdown bit,
is_supplemental_logging_enabled bit, snapshot_isolation_state tinyint, snapshot_isolation_state_desc nvarchar(60),
is_read_committed_snapshot_on bit, recovery_model tinyint, recovery_model_desc nvarchar(60), page_verify_option tinyint,
page_verify_option_desc nvarchar(60), is_auto_create_stats_on bit, is_auto_update_stats_on bit, is_ansi_nulls_on bit,
is_quoted_identifier_on bit, is_trustworthy_on bit, is_db_chaining_on bit, is_parameterization_forced bit,
is_master_key_encrypted_by_server bit!, is_query_store_on bit, is_published bit!, is_subscribed bit!, is_merge_published bit!,
is_distributor bit!, is_sync_with_backup bit!, service_broker_guid uniqueidentifier!, is_broker_enabled bit!, log_reuse_wait tinyint,
log_reuse_wait_desc nvarchar(60), is_date_correlation_on bit!, is_cdc_enabled bit!, is_encrypted bit, is_honor_broker_priority_on bit,
replica_id uniqueidentifier, group_database_id uniqueidentifier, resource_pool_id int, default_language_lcid smallint,
containment tinyint, containment_desc nvarchar(60), target_recovery_time_in_seconds int, delayed_durability int,
delayed_durability_desc nvarchar(60), is_memory_optimized_elevate_to_snapshot_on bit, is_federation_member bit,
is_remote_data_archive_enabled bit, is_mixed_page_allocation_on bit, is_accelerated_database_recovery_on bit""")


def databases(server: "Server", session: Any, _database: str) -> list[tuple]:
    out = []
    for db in visible(server, session):
        s = db.state
        wait = db.log_reuse() if s.state == store.ONLINE and not s.standby else (0, "NOTHING")
        closed = s.state not in (store.ONLINE, store.EMERGENCY)
        values = {
            "name": db.name, "database_id": db.id, "source_database_id": s.source_id, "owner_sid": bytes.fromhex(s.owner_sid),
            "create_date": when(s.create_date), "compatibility_level": s.compat, "collation_name": None if closed else s.collation,
            "user_access": s.user_access, "user_access_desc": ACCESS[s.user_access], "is_read_only": s.read_only or bool(s.standby),
            "is_auto_close_on": s.auto_close, "is_auto_shrink_on": s.auto_shrink, "state": s.state, "state_desc": store.STATE_DESC[s.state],
            "is_in_standby": bool(s.standby), "is_cleanly_shutdown": s.state == store.OFFLINE, "snapshot_isolation_state": 0,
            "snapshot_isolation_state_desc": "OFF", "is_read_committed_snapshot_on": s.rcsi, "recovery_model": s.recovery_model,
            "recovery_model_desc": store.MODEL_DESC[s.recovery_model], "page_verify_option": s.page_verify,
            "page_verify_option_desc": VERIFY[s.page_verify], "is_auto_create_stats_on": True, "is_auto_update_stats_on": True,
            "is_trustworthy_on": s.trustworthy, "is_db_chaining_on": s.chaining, "is_honor_broker_priority_on": s.priority, "is_cdc_enabled": s.cdc,
            "is_published": s.published == 1, "is_merge_published": s.published == 2, "service_broker_guid": uuid.UUID(s.broker_guid), "is_broker_enabled": s.broker,
            "log_reuse_wait": wait[0], "log_reuse_wait_desc": wait[1], "is_encrypted": s.encrypted, "containment": s.containment,
            "containment_desc": "NONE", "target_recovery_time_in_seconds": 60, "delayed_durability": 0,
            "delayed_durability_desc": "DISABLED", "replica_id": guid(s.group), "group_database_id": guid(s.group), "resource_pool_id": None,
            "default_language_lcid": None}
        out.append(tuple(values[c.name] if c.name in values else False for c in DATABASES))
    return out


FILES = cols(f"""database_id int!, file_id int!, file_guid uniqueidentifier, type tinyint!, type_desc nvarchar(60), data_space_id int!,
name nvarchar(128)!, physical_name nvarchar(260)!, state tinyint, state_desc nvarchar(60), size int!, max_size int!, growth int!,
is_media_read_only bit!, is_read_only bit!, is_sparse bit!, is_percent_growth bit!, is_name_reserved bit!,
is_persistent_log_buffer bit!, create_lsn {LSN}, drop_lsn {LSN}, read_only_lsn {LSN}, read_write_lsn {LSN}, differential_base_lsn {LSN},
differential_base_guid uniqueidentifier, differential_base_time datetime, redo_start_lsn {LSN}, redo_start_fork_guid uniqueidentifier,
redo_target_lsn {LSN}, redo_target_fork_guid uniqueidentifier, backup_lsn {LSN}, credential_id int""")


def _file_rows(db: Database) -> Iterator[tuple]:
    s = db.state
    for file in s.files:
        data = file.type == 0
        redo = s.restore
        yield (db.id, file.file_id, uuid.UUID(file.guid), file.type, ("ROWS", "LOG", "FILESTREAM")[file.type], 1 if data else 2 * (file.type == 2), file.logical, file.physical,
               0 if s.state == store.ONLINE else s.state, store.STATE_DESC[s.state], file_size(db, file) // storage.PAGE,
               -1 if data else 268435456, 8192, False, False, False, False, False, False, num(file.create_lsn) if file.create_lsn else None,
               None, None, None, num(s.diff_lsn) if data else None, guid(s.diff_guid) if data else None,
               when(s.diff_time) if data else None, num(redo.redo) if redo and data and not redo.incomplete else None,
               guid(redo.fork) if redo and data and not redo.incomplete else None, None, None,
               num(s.database_backup_lsn) if data and s.database_backup_lsn else None, None)


def master_files(server: "Server", session: Any, _database: str) -> list[tuple]:
    can = server.security.can
    if not (can(session, "CREATE ANY DATABASE") or can(session, "ALTER ANY DATABASE") or can(session, "VIEW ANY DEFINITION")):
        return [r for db in visible(server, session) if server.security.owner(session, db) for r in _file_rows(db)]
    return [r for db in visible(server, session) for r in _file_rows(db)]


def database_files(server: "Server", session: Any, database: str) -> list[tuple]:
    return [row[1:] for row in _file_rows(server.database(database, session))]


RECOVERY = cols(f"""database_id int!, database_guid uniqueidentifier, family_guid uniqueidentifier, last_log_backup_lsn {LSN},
recovery_fork_guid uniqueidentifier, first_recovery_fork_guid uniqueidentifier, fork_point_lsn {LSN}""")


def recovery_status(server: "Server", session: Any, _database: str) -> list[tuple]:
    out = []
    for db in visible(server, session):
        s = db.state
        if s.state not in (store.ONLINE, store.EMERGENCY) or db.closed:
            out.append((db.id, None, None, None, None, None, None))
            continue
        last = s.last_log if s.chain and s.recovery_model != store.SIMPLE else None
        out.append((db.id, guid(s.database_guid), guid(s.family_guid), num(last), guid(s.fork), guid(s.first_fork or s.fork),
                    num(s.fork_point)))
    return out


LOG_STATS = cols("""database_id int!, recovery_model nvarchar(60), log_min_lsn nvarchar(24), log_end_lsn nvarchar(24),
current_vlf_sequence_number bigint, current_vlf_size_mb float, total_vlf_count bigint, total_log_size_mb float, active_vlf_count bigint,
active_log_size_mb float, log_truncation_holdup_reason nvarchar(60), log_backup_time datetime, log_backup_lsn nvarchar(24),
log_since_last_log_backup_mb float, log_checkpoint_lsn nvarchar(24), log_since_last_checkpoint_mb float, log_recovery_lsn nvarchar(24),
log_recovery_size_mb float, recovery_vlf_count bigint""")
MB = 1048576


def log_stats(server: "Server", session: Any, _database: str, database_id: Any = None, *_: Any) -> list[tuple]:
    server.security.need_server_state(session)
    wanted = [server.dbs.get(int(database_id))] if database_id is not None else list(server.dbs.values())
    out = []
    for db in wanted:
        if db is None or db.log is None or db.state.state not in (store.ONLINE, store.EMERGENCY):
            continue
        s, log = db.state, db.log
        used = log.size - wal.HEADER
        vlf_mb = wal.VLF_SECTORS * 512 / MB
        active = max(1, log.end.vlf - log.start.vlf + 1)
        total = max(4, active)
        checkpoint = from_num(s.checkpoint) if s.checkpoint else log.start
        model = "SIMPLE" if s.pseudo_simple else store.MODEL_DESC[s.recovery_model]
        out.append((db.id, model, log.start.hex, log.end.hex, log.end.vlf, vlf_mb, total, max(8.0, log.size / MB), active, used / MB,
                    db.log_reuse()[1], when(s.last_log_time) or dt.datetime(1900, 1, 1), from_num(s.last_log).hex if s.last_log else
                    "00000000:00000000:0000", db.log_since_backup() / MB, checkpoint.hex,
                    db.log_since_checkpoint() / MB, checkpoint.hex, 0.0, 1))
    return out


LOG_INFO = cols("""database_id int!, file_id smallint, vlf_begin_offset bigint, vlf_size_mb float, vlf_sequence_number bigint,
vlf_active bit, vlf_status int, vlf_parity tinyint, vlf_first_lsn nvarchar(24), vlf_create_lsn nvarchar(24)""")


def log_info(server: "Server", session: Any, _database: str, database_id: Any = None, *_: Any) -> list[tuple]:
    server.security.need_server_state(session)
    db = server.dbs.get(int(database_id or 0))
    if db is None or db.log is None:
        return []
    size = wal.VLF_SECTORS * 512
    return [(db.id, 2, 8192 + i * size, size / MB, n, True, 2, 64, f"{n:08x}:00000010:0001", "00000000:00000000:0000")
            for i, n in enumerate(range(db.log.start.vlf, db.log.end.vlf + 1))]


SPACE = cols("""database_id int!, file_id smallint!, filegroup_id smallint!, total_page_count bigint, allocated_extent_page_count bigint,
unallocated_extent_page_count bigint, version_store_reserved_page_count bigint, user_object_reserved_page_count bigint,
internal_object_reserved_page_count bigint, mixed_extent_page_count bigint, modified_extent_page_count bigint""")


def space_usage(server: "Server", session: Any, database: str) -> list[tuple]:
    server.security.need_server_state(session)
    db = server.database(database, session)
    used = db.data_size() // storage.PAGE
    total = max(1024, used)
    extents = -(-used // 8) * 8
    return [(db.id, 1, 1, total, extents, total - min(extents, total), 0, used, 0, 0, -(-db.modified_pages() // 8) * 8)]


TABLES = cols("""name nvarchar(128)!, object_id int!, principal_id int, schema_id int!, parent_object_id int!, type char(2),
type_desc nvarchar(60), create_date datetime!, modify_date datetime!, is_ms_shipped bit!""")


def _tables(server: "Server", session: Any, database: str) -> list[tuple[str, int, Any, str]]:
    db = server.database(database, session)
    reader = db.reader()
    try:
        found = reader.execute('SELECT name, id, def, created FROM "sys.tables" ORDER BY id').fetchall()
    finally:
        reader.close()
    return [(n, i, storage.load_table(text), created) for n, i, text, created in found]


def schema_id(name: str) -> int:
    return {"dbo": 1, "guest": 2, "information_schema": 3, "sys": 4}.get(name.casefold(), 5)


def tables(server: "Server", session: Any, database: str) -> list[tuple]:
    return [(n.split(".", 1)[1], i, None, schema_id(n.split(".")[0]), 0, "U ", "USER_TABLE", when(c), when(c), False)
            for n, i, _, c in _tables(server, session, database)]


COLUMNS = cols("""object_id int!, name nvarchar(128), column_id int!, system_type_id tinyint!, user_type_id int!, max_length smallint!,
precision tinyint!, scale tinyint!, collation_name nvarchar(128), is_nullable bit, is_ansi_padded bit!, is_rowguidcol bit!,
is_identity bit!, is_computed bit!""")
TYPE_IDS = {"uniqueidentifier": (36, 16), "date": (40, 3), "time": (41, 5), "datetime2": (42, 8), "datetimeoffset": (43, 10),
            "tinyint": (48, 1), "smallint": (52, 2), "int": (56, 4), "smalldatetime": (58, 4), "real": (59, 4), "money": (60, 8),
            "datetime": (61, 8), "float": (62, 8), "sql_variant": (98, 8016), "bit": (104, 1), "decimal": (106, 9), "numeric": (108, 9),
            "smallmoney": (122, 4), "bigint": (127, 8), "varbinary": (165, 0), "varchar": (167, 0), "binary": (173, 0), "char": (175, 0),
            "nvarchar": (231, 0), "nchar": (239, 0), "xml": (241, -1)}


def columns(server: "Server", session: Any, database: str) -> list[tuple]:
    out = []
    for _, number, table, _ in _tables(server, session, database):
        for index, column in enumerate(table.columns, 1):
            kind = column.type.kind
            type_id, size = TYPE_IDS.get(kind, (98, 0))
            if not size:
                size = column.type.length * (2 if kind.startswith("n") and column.type.length > 0 else 1)
            text = kind in ("char", "varchar", "nchar", "nvarchar")
            out.append((number, column.name, index, type_id, type_id, size, column.type.precision, column.type.scale,
                        server.collation if text else None, column.nullable, True, False, bool(column.identity), False))
    return out


SCHEMAS = cols("name nvarchar(128)!, schema_id int!, principal_id int")
TYPES = cols("name nvarchar(128)!, system_type_id tinyint!, user_type_id int!, schema_id int!, max_length smallint!, is_user_defined bit!")
FILEGROUPS = cols("name nvarchar(128)!, data_space_id int!, type char(2)!, type_desc nvarchar(60), is_default bit, is_read_only bit")
def filegroups(server: "Server", session: Any, database: str) -> list[tuple]:
    containers = server.database(database, session).state.containers
    return [("PRIMARY", 1, "FG", "ROWS_FILEGROUP", True, False)] + [
        (name, 2 + at, "FX", "MEMORY_OPTIMIZED_DATA_FILEGROUP", False, False) for at, name in enumerate(containers)]


KEYS = cols("""database_id int!, encryption_state int, create_date datetime, key_algorithm nvarchar(32), key_length int,
encryptor_thumbprint varbinary(20), encryptor_type nvarchar(32), percent_complete real, encryption_state_desc nvarchar(32)""")


def encryption_keys(server: "Server", session: Any, _database: str) -> list[tuple]:
    server.security.need_server_state(session)
    return [(db.id, 3 if db.state.encrypted else 1, when(db.state.create_date), "AES", 256, bytes.fromhex(db.state.key), "CERTIFICATE", 0.0,
             "ENCRYPTED" if db.state.encrypted else "UNENCRYPTED") for db in visible(server, session) if db.state.key]


INFO_TABLES = cols("TABLE_CATALOG nvarchar(128), TABLE_SCHEMA nvarchar(128), TABLE_NAME nvarchar(128)!, TABLE_TYPE varchar(10)")
INFO_COLUMNS = cols("""TABLE_CATALOG nvarchar(128), TABLE_SCHEMA nvarchar(128), TABLE_NAME nvarchar(128)!, COLUMN_NAME nvarchar(128),
ORDINAL_POSITION int, IS_NULLABLE varchar(3), DATA_TYPE nvarchar(128), CHARACTER_MAXIMUM_LENGTH int""")


def info_tables(server: "Server", session: Any, database: str) -> list[tuple]:
    return [(database, *n.split(".", 1), "BASE TABLE") for n, *_ in _tables(server, session, database)]


def info_columns(server: "Server", session: Any, database: str) -> list[tuple]:
    return [(database, *n.split(".", 1), c.name, at, "YES" if c.nullable else "NO", c.type.kind, c.type.length or None)
            for n, _, t, _ in _tables(server, session, database) for at, c in enumerate(t.columns, 1)]


LOG_RECORDS = cols("lsn nvarchar(24), operation nvarchar(60), transaction_name nvarchar(128), end_time datetime")


def fn_dblog(server: "Server", session: Any, database: str, *_: Any) -> list[tuple]:
    """The committed transactions that are still in the log."""
    from .clock import from_micros
    db = server.database(database, session)
    names = {wal.TRAN: "LOP_COMMIT_XACT", wal.CHECKPOINT: "LOP_END_CKPT", wal.NOTE: "LOP_MODIFY_ROW"}
    return [(r.lsn.hex, names[r.kind], None, from_micros(r.local_us)) for r in db.log.read(db.log.start, MAX)]


def partition_stats(server: "Server", session: Any, database: str) -> list[tuple]:
    server.security.need_server_state(session)
    db = server.database(database, session)
    with_rows = []
    reader = db.reader()
    try:
        for name, number, *_ in _tables(server, session, database):
            count = reader.execute(f"SELECT count(*) FROM {storage.quote(name)}").fetchone()[0]
            with_rows.append((number, number, 0, 1, count, max(1, count // 100), max(1, count // 100)))
    finally:
        reader.close()
    return with_rows


VIEWS: dict[str, tuple[Any, Any]] = {
    "sys.databases": (DATABASES, databases), "sys.master_files": (FILES, master_files), "sys.database_files": (FILES[1:], database_files),
    "sys.database_recovery_status": (RECOVERY, recovery_status), "sys.dm_db_file_space_usage": (SPACE, space_usage),
    "sys.tables": (TABLES, tables), "sys.objects": (TABLES, tables), "sys.all_objects": (TABLES, tables), "sys.columns": (COLUMNS, columns),
    "sys.all_columns": (COLUMNS, columns),
    "sys.schemas": (SCHEMAS, lambda *_: [("dbo", 1, 1), ("guest", 2, 2), ("INFORMATION_SCHEMA", 3, 3), ("sys", 4, 4)]),
    "sys.types": (TYPES, lambda *_: [(n, i, i, 4, s, False) for n, (i, s) in sorted(TYPE_IDS.items())]),
    "sys.filegroups": (FILEGROUPS, filegroups),
    "sys.dm_database_encryption_keys": (KEYS, encryption_keys), "information_schema.tables": (INFO_TABLES, info_tables),
    "information_schema.columns": (INFO_COLUMNS, info_columns),
    "sys.dm_db_partition_stats": (cols("""partition_id bigint, object_id int!, index_id int!, partition_number int!, row_count bigint,
        used_page_count bigint, reserved_page_count bigint"""), partition_stats),
    "sys.views": (TABLES, lambda *_: []), "sys.procedures": (TABLES, lambda *_: []),
    "sys.indexes": (cols("object_id int!, name nvarchar(128), index_id int!, type tinyint!, is_unique bit, is_primary_key bit"),
                    lambda *_: []),
}
FUNCTIONS: dict[str, tuple[Any, Any]] = {
    "sys.dm_db_log_stats": (LOG_STATS, log_stats), "sys.dm_db_log_info": (LOG_INFO, log_info), "sys.fn_dblog": (LOG_RECORDS, fn_dblog),
}
