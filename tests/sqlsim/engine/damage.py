# SPDX-License-Identifier: Apache-2.0
"""Which object a page belongs to, and damage that a fault put into the rows.

Page N of a database is page N+1 of its SQLite file."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any, Iterable

from ..contract import SqlError
from . import rows

# Tables of the engine and the system tables that stand for them.
SYSTEM = {"sys.users": ("sys.sysowners", 27), "sys.members": ("sys.sysprivs", 29), "sys.perms": ("sys.sysprivs", 29),
          "sys.tables": ("sys.sysschobjs", 34), "sys.identities": ("sys.sysidxstats", 54), "sys.things": ("sys.sysobjvalues", 60),
          "sys.meta": ("sys.sysallocunits", 7), "sqlite_schema": ("sys.syscolpars", 41), "sqlite_master": ("sys.syscolpars", 41)}
IMPOSSIBLE = "impossible"


@dataclass
class Owner:
    table: str = ""  # name in SQLite, empty for system objects
    shown: str = ""
    object_id: int = 0
    index_id: int = -1
    parent: int = 0  # a page that refers to it, 0 for a root
    previous: int = 0

    @property
    def unit(self) -> int:
        """Partition and allocation unit."""
        return 72057594000000000 + self.object_id * 256 + max(0, self.index_id) if self.object_id else 0

    def text(self) -> str:
        if not self.object_id:
            return "Object ID 0, index ID -1, partition ID 0, alloc unit ID 0 (type Unknown)"
        return (f"Object ID {self.object_id}, index ID {self.index_id}, partition ID {self.unit}, alloc unit ID {self.unit} "
                "(type In-row data)")


def table_owner(connection: Any, name: str, index_id: int = -1) -> Owner:
    """The owner of a table's pages, by the table's name in SQLite."""
    if name in SYSTEM or name.startswith("sys."):
        shown, number = SYSTEM.get(name, ("sys.sysobjvalues", 60))
        return Owner("", shown, number, 1)
    found = connection.execute('SELECT id, def FROM "sys.tables" WHERE name=?', (name,)).fetchone()
    if found is None:
        return Owner(name, name.split(".", 1)[-1], 2105058535 - sum(name.encode()) % 100000, 1 if index_id < 0 else index_id)
    clustered = bool(json.loads(found[1]).get("primary_key"))
    return Owner(name, name.split(".", 1)[-1], found[0], int(clustered) if index_id < 0 else index_id)


def owners(connection: Any, pages: Iterable[int]) -> dict[int, Owner]:
    """Who owns each of the pages. Unused pages and those that cannot be told have the empty owner."""
    out = {page: Owner() for page in pages}
    if not out:
        return out
    try:
        marks = ", ".join("?" * len(out))
        found = connection.execute(f"SELECT pageno, name, pagetype, path FROM dbstat WHERE pageno IN ({marks})",
                                   [p + 1 for p in out]).fetchall()
    except sqlite3.Error:
        return out
    indexes = connection.execute("SELECT name, tbl_name FROM sqlite_master WHERE type='index' ORDER BY rowid").fetchall()
    tables = dict(indexes)
    for number, name, _, path in found:
        index = -1
        if name in tables:  # the index of the primary key is the clustered one
            same = [n for n, t in indexes if t == tables[name] and not n.startswith("sqlite_autoindex")]
            index = 2 + same.index(name) if name in same else 1
        owner = table_owner(connection, tables.get(name, name), index)
        if path != "/":
            owner.parent, owner.previous = _neighbours(connection, name, path)
        out[number - 1] = owner
    return out


def _neighbours(connection: Any, name: str, path: str) -> tuple[int, int]:
    """The pages above and before one in its tree."""
    above = path.rstrip("/").rpartition("/")[0] + "/"
    row = connection.execute("SELECT pageno FROM dbstat WHERE name=? AND path=?", (name, above)).fetchone()
    before = connection.execute("SELECT pageno FROM dbstat WHERE name=? AND path<? AND path LIKE ? ORDER BY path DESC LIMIT 1",
                                (name, path, above + "%")).fetchone()
    return (row[0] - 1 if row else 0), (before[0] - 1 if before else 0)


def pages_of(connection: Any, name: str) -> list[int]:
    """The pages of a table, those with rows last."""
    found = connection.execute("SELECT pageno FROM dbstat WHERE name=? ORDER BY pagetype='leaf', pageno", (name,)).fetchall()
    return [n - 1 for (n,) in found]


def unreadable(db: Any, table: str) -> None:
    """Raises 824 when the table's rows are on a damaged page: whoever reads it meets the page."""
    if not db.state.bad_pages:
        return
    connection = db.reader()
    try:
        hit = [page for page, owner in owners(connection, db.state.bad_pages).items() if owner.table == table and owner.index_id < 2]
    finally:
        connection.close()
    if not hit:
        return
    page = hit[0]
    text = (f"SQL Server detected a logical consistency-based I/O error: incorrect checksum (expected: 0x{page:08x}; actual: "
            f"0x{page ^ 0xFFFFFFFF:08x}). It occurred during a read of page (1:{page}) in database ID {db.id} at offset "
            f"0x{page * rows.PAGE:016x} in file '{db.path}'.  Additional messages in the SQL Server error log or operating system error log "
            "may provide more detail. This is a severe error condition that threatens database integrity and must be corrected "
            "immediately. Complete a full database consistency check (DBCC CHECKDB). This error can be caused by many factors; for more "
            "information, see https://go.microsoft.com/fwlink/?linkid=2252374.")
    db.server.errorlog(f"Error: 824, Severity: 24, State: 2. {text}")
    from . import msdb
    if db.id != 4:
        msdb.note_suspect(db.server, db.id, page)
    raise SqlError(824, text, 2, 24)


# -- impossible values --------------------------------------------------------------------------------------------------

def make_impossible(db: Any, table: str, column: str) -> int:
    """Marks a column as holding bytes that are no value of its type. It is written to the data file behind the log's back, so
    backups of the pages carry it, and older backups with all logs do not. Returns the page."""
    with db.write_lock:
        plain = rows.connect(db.path)
        try:
            page = (pages_of(plain, table) or [0])[-1]
            plain.execute('INSERT OR REPLACE INTO "sys.things" VALUES (?,?,?)', (IMPOSSIBLE, f"{table}.{column}", json.dumps([table, column, page])))
        finally:
            plain.close()
    return page


def mend_impossible(db: Any, table: str) -> None:
    with db.write_lock:
        plain = rows.connect(db.path)
        try:
            plain.execute('DELETE FROM "sys.things" WHERE kind=? AND name LIKE ?', (IMPOSSIBLE, table + ".%"))
        finally:
            plain.close()


def impossible(connection: Any) -> list[tuple[str, str, int]]:
    """(table, column, page)."""
    found = connection.execute('SELECT value FROM "sys.things" WHERE kind=?', (IMPOSSIBLE,)).fetchall()
    known = {n for (n,) in connection.execute('SELECT name FROM "sys.tables"')}
    return [tuple(v) for v in (json.loads(text) for (text,) in found) if v[0] in known]


def type_of(connection: Any, table: str, column: str) -> str:
    row = connection.execute('SELECT def FROM "sys.tables" WHERE name=?', (table,)).fetchone()
    columns = json.loads(row[0])["columns"] if row else []
    return next((c["type"]["kind"] for c in columns if c["name"].casefold() == column.casefold()), "int")
