# SPDX-License-Identifier: Apache-2.0
"""Catalog views, DMVs and table-valued functions by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from ..contract import Column
from . import msdb, views_db, views_exec, views_os, views_sec

if TYPE_CHECKING:
    from .server import Server

Result = Optional[tuple[list[Column], list[tuple]]]
VIEWS = {**views_db.VIEWS, **views_exec.VIEWS, **views_os.VIEWS, **views_sec.VIEWS}
FUNCTIONS = {**views_db.FUNCTIONS, **views_exec.FUNCTIONS, **views_os.FUNCTIONS, **views_sec.FUNCTIONS}


def normal(name: str) -> str:
    return name.replace("[", "").replace("]", "").casefold()


def view(server: "Server", session: Any, database: str, name: str) -> Result:
    key = normal(name)
    if database.casefold() == "msdb" and key.removeprefix("dbo.") in _MSDB and (key.startswith("dbo.") or "." not in key):
        table = _MSDB[key.removeprefix("dbo.")]
        db = server.database("msdb", session)
        server.security.need_select(session, db, "dbo." + table)
        return msdb.read(server, table)
    found = VIEWS.get(key)
    if found is None:
        return None
    columns, method = found
    return columns(server) if callable(columns) else columns, method(server, session, database)


def table_function(server: "Server", session: Any, database: str, name: str, args: list[Any]) -> Result:
    found = FUNCTIONS.get(normal(name))
    if found is None:
        return None
    columns, method = found
    return columns(server) if callable(columns) else columns, method(server, session, database, *args)


_MSDB = {name.casefold(): name for name in msdb.TABLES}
