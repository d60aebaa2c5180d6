# SPDX-License-Identifier: Apache-2.0
"""DBCC CHECKDB."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Any

from ..contract import Emit, Error, Info, SqlError
from . import msdb

if TYPE_CHECKING:
    from .server import Server


def checkdb(server: "Server", session: Any, database: str, emit: Emit) -> None:
    db = server.database(database, session)
    if not server.security.can_in(session, db, "CONTROL", ("db_owner",)):
        raise SqlError(7983, f"User '{server.security.name_of(session)}' does not have permission to run DBCC checkdb for database "
                             f"'{db.name}'.", 14, 14)
    bad = list(db.state.bad_pages)
    try:
        with contextlib.closing(db.reader()) as rows:
            if rows.execute("PRAGMA quick_check").fetchone()[0] != "ok":
                bad.append(1)
    except sqlite3.Error:
        bad.append(1)
    for page in bad:
        msdb.note_suspect(server, db.id, page)
        emit(Error(8939, f"Table error: Object ID 0, index ID -1, partition ID 0, alloc unit ID 0 (type Unknown), page (1:{page}). Test "
                         "(IS_OFF (BUF_IOERR, pBUF->bstat)) failed. Values are 133129 and -4.", 98, 16))
    count = len(bad)
    emit(Info(8989, f"CHECKDB found 0 allocation errors and {count} consistency errors in database '{db.name}'.",
              1, 0))
    emit(Info(2528, "DBCC execution completed. If DBCC printed error messages, contact your system administrator."))
