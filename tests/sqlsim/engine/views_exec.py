# SPDX-License-Identifier: Apache-2.0
"""Sessions and requests."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from .coltypes import cols

if TYPE_CHECKING:
    from .server import Server

REQUESTS = cols("""session_id smallint!, request_id int!, start_time datetime!, status nvarchar(30)!, command nvarchar(32)!,
sql_handle varbinary(64), database_id smallint!, user_id int!, blocking_session_id smallint, wait_type nvarchar(60), wait_time int!,
last_wait_type nvarchar(60)!, wait_resource nvarchar(256)!, open_transaction_count int!, percent_complete real!,
estimated_completion_time bigint!, cpu_time int!, total_elapsed_time int!, reads bigint!, writes bigint!, logical_reads bigint!,
text_size int!, row_count bigint!""")


def _seen(server: "Server", session: Any) -> list:
    """All sessions, or only its own without VIEW SERVER STATE."""
    right = "VIEW SERVER PERFORMANCE STATE" if server.major >= 16 else "VIEW SERVER STATE"
    every = server.security.can(session, right)
    return [i for i in sorted(list(server.sessions.values()), key=lambda i: i.spid) if every or i.spid == session.spid]


def requests(server: "Server", session: Any, database: str) -> list[tuple]:
    out = []
    for info in _seen(server, session):
        request = info.request
        if request is None and info.spid != session.spid:
            continue
        name = request.database if request else database
        db = server.find(name)
        command = request.command if request else "SELECT"
        elapsed = int((time.monotonic() - request.began) * 1000) if request else 0
        percent = request.percent if request else 0.0
        left = int(elapsed * (100 - percent) / percent) if percent else 0
        wait = "BACKUPIO" if request and command.startswith(("BACKUP", "RESTORE")) else None
        out.append((info.spid, 0, request.start if request else server.clock.local(), "suspended" if wait else "running", command, None,
                    db.id if db else 1, 1, request.blocking if request else 0, wait, 1 if wait else 0, wait or "MISCELLANEOUS", "", 0,
                    float(percent), left, request.cpu_ms if request else 0, elapsed, request.reads if request else 0,
                    request.writes if request else 0, 0, 2147483647, 0))
    return out


SESSIONS = cols("""session_id smallint!, login_time datetime!, host_name nvarchar(128), program_name nvarchar(128), host_process_id int,
client_version int, client_interface_name nvarchar(32), security_id varbinary(85)!, login_name nvarchar(128)!, status nvarchar(30)!,
database_id smallint!, is_user_process bit!, original_login_name nvarchar(128)!, last_request_start_time datetime!,
open_transaction_count int!""")


def sessions(server: "Server", session: Any, _database: str) -> list[tuple]:
    out = []
    for info in _seen(server, session):
        live = info.session()
        db = server.find(live.database) if live is not None and live.database else None
        login = server.security.login(info.login_name)
        out.append((info.spid, info.login_time, info.login.host or None, info.login.app or None, 0, 7, info.login.library or "ODBC",
                    login["sid"] if login else b"\x01", info.login_name,
                    "running" if info.request or info.spid == session.spid else "sleeping", db.id if db else 1, True, info.login_name,
                    info.request.start if info.request else info.login_time,
                    int(db is not None and db.active is not None and db.active.session is live)))
    return out


CONNECTIONS = cols("""session_id int, connect_time datetime!, net_transport nvarchar(40)!, protocol_type nvarchar(40),
encrypt_option nvarchar(40)!, auth_scheme nvarchar(40)!, client_net_address varchar(48), local_tcp_port int""")


def connections(server: "Server", session: Any, _database: str) -> list[tuple]:
    server.security.need_server_state(session)
    return [(i.spid, i.login_time, "TCP", "TSQL", "FALSE", "SQL", "127.0.0.1", 1433) for i in _seen(server, session)]


LOCKS = cols("""resource_type nvarchar(60)!, resource_subtype nvarchar(60)!, resource_database_id int!, resource_description nvarchar(256)!,
resource_associated_entity_id bigint, resource_lock_partition int!, request_mode nvarchar(60)!, request_type nvarchar(60)!,
request_status nvarchar(60)!, request_reference_count smallint!, request_session_id int!, request_owner_type nvarchar(60)!""")


def locks(server: "Server", session: Any, _database: str) -> list[tuple]:
    """Who is in a database holds a shared lock on it (not in master and tempdb), also a BACKUP; who writes there more."""
    server.security.need_server_state(session)
    out = []
    for db in sorted(list(server.dbs.values()), key=lambda d: d.id):
        users = server.users_of(db) if db.id > 2 else []
        users += [i for i in server.requests_on(db) if i not in users]
        for info in users:
            out.append(("DATABASE", "", db.id, "", 0, 0, "S", "LOCK", "GRANT", 1, info.spid, "SHARED_TRANSACTION_WORKSPACE"))
            tran = db.active
            if tran is not None and tran.session is info.session():
                out.append(("OBJECT", "", db.id, "", 0, 0, "IX", "LOCK", "GRANT", 1, info.spid, "TRANSACTION"))
    return out


def processes(server: "Server", session: Any, database: str) -> list[tuple]:
    return [(r[0], 0, r[10], r[8], r[3]) for r in sessions(server, session, database)]


VIEWS = {"sys.dm_exec_requests": (REQUESTS, requests), "sys.dm_exec_sessions": (SESSIONS, sessions),
         "sys.dm_tran_locks": (LOCKS, locks), "sys.dm_exec_connections": (CONNECTIONS, connections),
         "sys.sysprocesses": (cols("spid smallint!, blocked smallint!, dbid smallint!, loginame nvarchar(128)!, program_name nvarchar(128)"),
                              processes)}
FUNCTIONS: dict = {}
