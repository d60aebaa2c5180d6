# SPDX-License-Identifier: Apache-2.0
"""The machine, volumes, configuration, availability groups (none here)."""

from __future__ import annotations

import datetime as dt
import fnmatch
import os
import stat
from typing import TYPE_CHECKING, Any

from .backup_media import resolve
from .coltypes import cols

if TYPE_CHECKING:
    from .server import Server

SYS_INFO = """cpu_ticks bigint!, ms_ticks bigint!, cpu_count int!, hyperthread_ratio int!, physical_memory_kb bigint!,
virtual_memory_kb bigint!, committed_kb bigint!, committed_target_kb bigint!, sqlserver_start_time_ms_ticks bigint!,
sqlserver_start_time datetime!, softnuma_configuration_desc nvarchar(60)!, virtual_machine_type_desc nvarchar(60)!"""
SYS_INFO_14 = cols(SYS_INFO)
SYS_INFO_15 = cols(SYS_INFO + ", container_type int!, container_type_desc nvarchar(60)!")


def sys_info(server: "Server", session: Any, _database: str) -> list[tuple]:
    server.security.need_server_state(session)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1024
    row = (0, int((server.clock.local() - server.start_time).total_seconds() * 1000), os.cpu_count() or 1, 1, memory, 8589934592, 500000,
           memory * 8 // 10, 0, server.start_time, "OFF", "HYPERVISOR")
    return [row + ((1, "LINUX CONTAINER") if server.major >= 15 else ())]


def host_info(server: "Server", session: Any, _database: str) -> list[tuple]:
    return [("Linux", "Ubuntu", "22.04" if server.major >= 16 else "20.04", "", None, 0, "X64")]


VOLUME = cols("""database_id int, file_id int, volume_mount_point nvarchar(256), volume_id nvarchar(256), logical_volume_name nvarchar(256),
file_system_type nvarchar(256), total_bytes bigint!, available_bytes bigint!, supports_compression tinyint,
supports_alternate_streams tinyint, supports_sparse_files tinyint, is_read_only tinyint, is_compressed tinyint""")


def volume_stats(server: "Server", session: Any, _database: str, database_id: Any = None, file_id: Any = None, *_: Any) -> list[tuple]:
    server.security.need_server_state(session)
    db = server.dbs.get(int(database_id or 0))
    file = next((f for f in db.state.files if f.file_id == int(file_id or 1)), None) if db else None
    if file is None:
        return []
    try:
        found = os.statvfs(os.path.dirname(file.physical))
    except OSError:
        return []
    return [(db.id, file.file_id, server.faults.volume(os.path.dirname(file.physical)), "", "", "ext4", found.f_blocks * found.f_frsize,
             server.faults.on_free(os.path.dirname(file.physical)), 0, 0, 0, 0, 0)]


DRIVES = cols("""fixed_drive_path nvarchar(512), drive_type int, drive_type_desc nvarchar(512), free_space_in_bytes bigint""")


def fixed_drives(server: "Server", session: Any, _database: str) -> list[tuple]:
    server.security.need_server_state(session)
    return [("C:\\", 3, "DRIVE_FIXED", server.faults.on_free(server.data_dir))]


EXISTS = cols("file_exists bit!, file_is_a_directory bit!, parent_directory_exists bit!")


def file_exists(server: "Server", session: Any, _database: str, path: Any = None, *_: Any) -> list[tuple]:
    server.security.need_server_state(session)
    full = resolve(server, str(path or ""), "SELECT")
    return [(os.path.isfile(full), os.path.isdir(full), os.path.isdir(os.path.dirname(full)))]


ENUMERATE = cols("""full_filesystem_path nvarchar(256), parent_directory nvarchar(256), file_or_directory_name nvarchar(256), level int,
is_directory bit, is_read_only bit, is_system bit, is_hidden bit, has_integrity_stream bit, is_temporary bit, is_sparse bit,
creation_time datetime2, last_access_time datetime2, last_write_time datetime2, size_in_bytes bigint""")


def enumerate_filesystem(server: "Server", session: Any, _database: str, path: Any = None, pattern: Any = "*", *_: Any) -> list[tuple]:
    server.security.need_server_state(session)
    root, out = resolve(server, str(path or ""), "SELECT").rstrip("/"), []
    for folder, folders, names in os.walk(root):
        level = folder[len(root):].count("/")
        for name in sorted(folders + names):
            if not fnmatch.fnmatch(name, str(pattern or "*")):
                continue
            full = os.path.join(folder, name)
            try:
                info = os.stat(full)
            except OSError:
                continue
            times = [dt.datetime.utcfromtimestamp(t) for t in (info.st_ctime, info.st_atime, info.st_mtime)]
            out.append((full, folder, name, level, stat.S_ISDIR(info.st_mode), not info.st_mode & 0o200, False, name.startswith("."),
                        False, False, False, *times, info.st_size))
    return out


CONFIGURATIONS = cols("""configuration_id int!, name nvarchar(35)!, value int, minimum int, maximum int, value_in_use int,
description nvarchar(255)!, is_dynamic bit!, is_advanced bit!""")
CONFIG_IDS = {"backup compression default": 1579, "backup checksum default": 1584, "backup compression algorithm": 1591,
              "show advanced options": 518, "max server memory (MB)": 1544, "remote admin connections": 1576, "xp_cmdshell": 16390,
              "contained database authentication": 16393, "recovery interval (min)": 101, "max degree of parallelism": 1539,
              "user connections": 103}


def configurations(server: "Server", _session: Any, _database: str) -> list[tuple]:
    values = server.store.setting("config", {})
    return [(number, name, values.get(name, 0), 0, 2147483647, values.get(name, 0), name, True, False)
            for name, number in sorted(CONFIG_IDS.items(), key=lambda i: i[1])
            if name != "backup compression algorithm" or server.major >= 16]


def _need_state(server: "Server", session: Any, _database: str) -> list[tuple]:
    server.security.need_server_state(session)
    return []


def nothing(*_: Any) -> list[tuple]:
    return []


def services(server: "Server", session: Any, _database: str) -> list[tuple]:
    server.security.need_server_state(session)
    return [("SQL Server (MSSQLSERVER)", 4, "Running", os.getpid(), server.clock.now())]


G = "uniqueidentifier"
LSN = "numeric(25,0)"
VIEWS: dict[str, tuple[Any, Any]] = {
    "sys.dm_os_sys_info": (lambda s: SYS_INFO_15 if s.major >= 15 else SYS_INFO_14, sys_info),
    "sys.dm_os_enumerate_fixed_drives": (DRIVES, fixed_drives),
    "sys.dm_os_host_info": (cols("""host_platform nvarchar(256)!, host_distribution nvarchar(256)!, host_release nvarchar(256)!,
        host_service_pack_level nvarchar(256)!, host_sku int, os_language_version int!, host_architecture nvarchar(256)!"""), host_info),
    "sys.configurations": (CONFIGURATIONS, configurations),
    "sys.dm_server_services": (cols("""servicename nvarchar(256)!, status int, status_desc nvarchar(256)!, process_id int,
        last_startup_time datetimeoffset"""), services),
    "sys.dm_hadr_database_replica_states": (cols(f"""database_id int!, group_id {G}!, replica_id {G}!, group_database_id {G}!, is_local bit,
        is_primary_replica bit, synchronization_state tinyint, synchronization_state_desc nvarchar(60), is_commit_participant bit,
        synchronization_health tinyint, synchronization_health_desc nvarchar(60), database_state tinyint, database_state_desc nvarchar(60),
        is_suspended bit, suspend_reason tinyint, suspend_reason_desc nvarchar(60), recovery_lsn {LSN}, truncation_lsn {LSN},
        last_sent_lsn {LSN}, last_received_lsn {LSN}, last_hardened_lsn {LSN}, last_redone_lsn {LSN}, end_of_log_lsn {LSN},
        last_commit_lsn {LSN}, last_commit_time datetime"""), _need_state),
    "sys.dm_hadr_availability_replica_states": (cols(f"""replica_id {G}!, group_id {G}!, is_local bit!, role tinyint, role_desc nvarchar(60),
        operational_state tinyint, operational_state_desc nvarchar(60), connected_state tinyint, connected_state_desc nvarchar(60),
        recovery_health tinyint, synchronization_health tinyint"""), _need_state),
    "sys.dm_hadr_availability_group_states": (cols(f"group_id {G}!, primary_replica nvarchar(128), primary_recovery_health tinyint"), _need_state),
    "sys.dm_hadr_cluster": (cols("cluster_name nvarchar(128)!, quorum_type tinyint!, quorum_state tinyint!"), _need_state),
    "sys.availability_groups": (cols(f"""group_id {G}!, name nvarchar(128), resource_id nvarchar(40), failure_condition_level int,
        health_check_timeout int, automated_backup_preference tinyint, automated_backup_preference_desc nvarchar(60), cluster_type tinyint"""), nothing),
    "sys.availability_groups_cluster": (cols(f"""group_id {G}!, name nvarchar(128), resource_id nvarchar(40),
        automated_backup_preference tinyint"""), nothing),
    "sys.availability_replicas": (cols(f"""replica_id {G}, group_id {G}, replica_server_name nvarchar(256), availability_mode tinyint,
        failover_mode tinyint, backup_priority int, secondary_role_allow_connections tinyint"""), nothing),
    "sys.availability_databases_cluster": (cols(f"group_id {G}!, group_database_id {G}!, database_name nvarchar(128)"), nothing),
    "sys.database_mirroring": (cols("database_id int!, mirroring_guid uniqueidentifier, mirroring_state tinyint, mirroring_role tinyint"),
                               lambda s, c, d: [(db.id, None, None, None) for db in s.dbs.values()]),
}
FUNCTIONS: dict[str, tuple[Any, Any]] = {
    "sys.dm_os_volume_stats": (VOLUME, volume_stats), "sys.dm_os_file_exists": (EXISTS, file_exists),
    "sys.dm_os_enumerate_filesystem": (ENUMERATE, enumerate_filesystem),
}
