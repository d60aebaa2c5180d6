# SPDX-License-Identifier: Apache-2.0
"""DBCC CHECKDB, CHECKALLOC, CHECKCATALOG and CHECKTABLE.

Damage is what is known of the pages: those that a fault or a backup set marked as bad, values that a fault made impossible
(these lie in the data file, with right checksums), and what SQLite itself finds."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Iterator, Optional, Sequence

from ..contract import Column, Columns, Done, Emit, Error, Info, Row, SqlError
from . import damage, msdb, rows
from .coltypes import cols
from .database import Database, full_name, look
from .media_write import Device

if TYPE_CHECKING:
    from .server import Server

COMMON = {"NO_INFOMSGS", "ALL_ERRORMSGS", "TABLERESULTS", "TABLOCK"}
OPTIONS = {"CHECKDB": COMMON | {"PHYSICAL_ONLY", "DATA_PURITY", "EXTENDED_LOGICAL_CHECKS", "MAXDOP"}, "CHECKALLOC": COMMON,
           "CHECKCATALOG": {"NO_INFOMSGS"}, "CHECKTABLE": COMMON | {"PHYSICAL_ONLY", "DATA_PURITY", "EXTENDED_LOGICAL_CHECKS", "MAXDOP"}}
REPAIRS = {"REPAIR_ALLOW_DATA_LOSS", "REPAIR_REBUILD", "REPAIR_FAST"}
RESULT: list[Column] = cols("""Error int, Level int, State int, MessageText nvarchar(2048), RepairLevel nvarchar(22), Status int, DbId int,
DbFragId int, ObjectId int, IndexId int, PartitionId bigint, AllocUnitId bigint, RidDbId smallint, RidPruId smallint, File smallint, Page int,
Slot int, RefDbId smallint, RefPruId smallint, RefFile smallint, RefPage int, RefSlot int, Allocation smallint""")
LOSS = "repair_allow_data_loss"
STEP = 4096  # pages between two looks at cancel and kill


@dataclass
class Finding:
    """One error. `repair` is the level that would mend it."""

    number: int
    text: str
    owner: damage.Owner
    page: int
    state: int = 1
    repair: Optional[str] = LOSS
    slot: int = 0


class Report:
    """Messages, or rows with TABLERESULTS. Summaries of errors are told also with NO_INFOMSGS."""

    def __init__(self, emit: Emit, db: Database, options: Sequence[str]) -> None:
        self.send, self.db = emit, db
        self.quiet, self.table = "NO_INFOMSGS" in options, "TABLERESULTS" in options
        self.rows: list[list] = []

    def error(self, found: Finding) -> None:
        if not self.table:
            self.send(Error(found.number, found.text, found.state, 16))
            return
        self._row(found.number, 16, found.state, found.text, found.repair, found.owner, found.page, found.slot)

    def info(self, number: int, text: str, owner: Optional[damage.Owner] = None, always: bool = False) -> None:
        if self.quiet and not always:
            return
        if self.table:
            self._row(number, 10, 1, text, None, owner, 0, 0)
        else:
            self.send(Info(number, text, 1, 0))

    def _row(self, number: int, level: int, state: int, text: str, repair: Optional[str], owner: Optional[damage.Owner], page: int,
             slot: int) -> None:
        index = owner.index_id if owner and page else 0
        unit = owner.unit if owner and page else 0
        self.rows.append([number, level, state, text, repair, 0, self.db.id, 1, owner.object_id if owner else 0, index, unit, unit,
                          self.db.id if page else 0, 0, int(bool(page)), page, slot, self.db.id if page else 0, 0, 0, 0, 0, 1])

    def end(self) -> None:
        if self.rows:
            self.send(Columns(RESULT))
            for row in self.rows:
                self.send(Row(row))
            self.send(Done(230, len(self.rows)))


def check(server: "Server", session: Any, command: str, database: str, emit: Emit, options: Sequence[str] = (), args: Sequence[str] = (),
          table: str = "") -> int:
    """Runs one of the commands; returns how many errors it found."""
    _options(command, options)
    db = server.find(database)
    if db is None:
        raise SqlError(2520, f"Could not find database '{database}'. The database either does not exist, or was dropped before a statement "
                             "tried to use it. Verify if the database exists by querying the sys.databases catalog view.", 5, 16)
    db = server.database(database, session)
    _allowed(server, session, db, command, table)
    _repair(server, db, args)
    server.faults.on_statement("dbcc", f"DBCC {command}")
    request = server.begin_request(session, "DBCC TABLE CHECK" if command in ("CHECKDB", "CHECKTABLE") else f"DBCC {command}", db.name)
    began = time.monotonic()
    try:
        server.faults.step("dbcc", "begin", session)
        report = Report(emit, db, options)
        found = _run(server, session, db, command, options, table, report, request)
        server.faults.step("dbcc", "done", session)
        report.end()
    finally:
        server.end_request(session)
    if command in ("CHECKDB", "CHECKTABLE"):
        _remember(server, session, db, command, table, found, time.monotonic() - began)
    return found


def _options(command: str, options: Sequence[str]) -> None:
    for option in options:
        if option not in OPTIONS[command]:
            raise SqlError(155, f"'{option}' is not a recognized DBCC option.", 1, 15)
    if "PHYSICAL_ONLY" in options and "DATA_PURITY" in options:
        raise SqlError(2559, "The 'PHYSICAL_ONLY' and 'DATA_PURITY' options are not allowed on the same statement.", 1, 16)


def _allowed(server: "Server", session: Any, db: Database, command: str, table: str) -> None:
    sec = server.security
    if command == "CHECKTABLE":
        if not _named(db, table):
            raise SqlError(2501, f'Cannot find a table or object with the name "{table}". Check the system catalog.', 45, 16)
        if not sec.can_in(session, db, "CONTROL", ("db_owner", "db_ddladmin")):
            raise SqlError(2557, f"User '{sec.name_of(session)}' does not have permission to run DBCC checktable for object "
                                 f"'{full_name(table).split('.', 1)[1]}'.", 7, 14)
    elif not sec.can_in(session, db, "CONTROL", ("db_owner",)):
        raise SqlError(7983, f"User '{sec.name_of(session)}' does not have permission to run DBCC {command.lower()} for database "
                             f"'{db.name}'.", 14, 14)


def _named(db: Database, table: str) -> str:
    """The table's name as it is written in the catalog; empty when there is none."""
    return next((name for name in db.tables() if name.casefold() == full_name(table).casefold()), "")


def _repair(server: "Server", db: Database, args: Sequence[str]) -> None:
    wanted = next((a for a in args if a.upper() in REPAIRS), None)
    if wanted is None:
        return
    if db.state.user_access != 1:
        raise SqlError(7919, "Repair statement not processed. Database needs to be in single user mode.", 3, 16)
    raise SqlError(1844, f"DBCC CHECKDB with {wanted.upper()} is not supported on {server.edition}.", 1, 16)


# -- the checks ---------------------------------------------------------------------------------------------------------

def _run(server: "Server", session: Any, db: Database, command: str, options: Sequence[str], table: str, report: Report,
         request: Any) -> int:
    shown = full_name(table).split(".", 1)[1] if table else db.name
    report.info(2536, f"DBCC results for '{shown}'.")
    found: list[Finding] = []
    if command in ("CHECKDB", "CHECKTABLE", "CHECKALLOC"):
        _read_all(server, session, db, request)
        found = _findings(db, "PHYSICAL_ONLY" in options or command == "CHECKALLOC")
    if command == "CHECKTABLE":
        found = [f for f in found if f.owner.table == _named(db, table)]
    if command == "CHECKALLOC":
        found = [f for f in found if not f.owner.table]
    _tell(db, command, table, found, report, "PHYSICAL_ONLY" in options)
    for page in sorted({f.page for f in found if f.number == 8939}):
        msdb.note_suspect(server, db.id, page)
    return len(found)


def _read_all(server: "Server", session: Any, db: Database, request: Any) -> None:
    """Time and progress of reading every page."""
    device, pages = Device(server, session, db.path, db.path), db.data_size() // rows.PAGE
    for at in range(0, max(1, pages), STEP):
        look(session)
        count = min(STEP, pages - at)
        device.pace(count * rows.PAGE)
        if request is not None:
            request.work(count * rows.PAGE)
            request.percent = 100.0 * (at + count) / max(1, pages)


def _findings(db: Database, physical: bool) -> list[Finding]:
    out: list[Finding] = []
    pages = set(db.state.bad_pages)
    with contextlib.closing(db.reader()) as connection:
        pages |= set(_structure(connection, physical))
        owners = damage.owners(connection, pages)
        for page in sorted(pages):
            out.extend(_page(page, owners[page]))
        if not physical:
            out.extend(_impossible(connection))
    return out


def _structure(connection: Any, physical: bool) -> Iterator[int]:
    """Pages that SQLite cannot make sense of."""
    try:
        lines = [r[0] for r in connection.execute("PRAGMA " + ("quick_check" if physical else "integrity_check"))]
    except sqlite3.Error:
        yield 0
        return
    for line in lines if lines != ["ok"] else ():
        found = re.search(r"[Pp]age (\d+)", line)
        yield int(found[1]) - 1 if found else 0


def _page(page: int, owner: damage.Owner) -> list[Finding]:
    where = owner.text()
    out = [Finding(8939, f"Table error: {where}, page (1:{page}). Test (IS_OFF (BUF_IOERR, pBUF->bstat)) failed. Values are 133129 and -4.",
                   owner, page, 98)]
    if owner.object_id:
        out.append(Finding(8928, f"{where}: Page (1:{page}) could not be processed.  See other errors for details.", owner, page))
    if owner.parent:
        out.append(Finding(8976, f"Table error: {where}. Page (1:{page}) was not seen in the scan although its parent (1:{owner.parent}) and "
                                 f"previous (1:{owner.previous}) refer to it. Check any previous errors.", owner, page))
    return out


def _impossible(connection: Any) -> Iterator[Finding]:
    """Data purity: bytes that no value of the column's type has."""
    for table, column, page in damage.impossible(connection):
        owner = damage.table_owner(connection, table)
        yield Finding(2570, f"Page (1:{page}), slot 0 in object ID {owner.object_id}, index ID {owner.index_id}, partition ID {owner.unit}, "
                            f"alloc unit ID {owner.unit} (type \"In-row data\"). Column \"{column}\" value is out of range for data type "
                            f"\"{damage.type_of(connection, table, column)}\".  Update column to a legal value.", owner, page, 3, None)


def _tell(db: Database, command: str, table: str, found: list[Finding], report: Report, physical: bool) -> None:
    by_owner: dict[int, list[Finding]] = {}
    for each in found:
        by_owner.setdefault(each.owner.object_id, []).append(each)
    for number in sorted(by_owner):
        for each in by_owner[number]:
            report.error(each)
        owner, count = by_owner[number][0].owner, len(by_owner[number])
        if number:
            report.info(8990, f"{command} found 0 allocation errors and {count} consistency errors in table '{owner.shown}' (object ID "
                              f"{number}).", owner, True)
        else:
            report.info(8954, f"{command} found 0 allocation errors and {count} consistency errors not associated with any single object.",
                        None, True)
    if not physical and command in ("CHECKDB", "CHECKTABLE"):
        _count_rows(db, table, report)
    if command in ("CHECKDB", "CHECKALLOC"):
        report.info(8989, f"{command} found 0 allocation errors and {len(found)} consistency errors in database '{db.name}'.", None,
                    bool(found))
    if any(f.repair for f in found) and not report.table:
        name = f"{db.name}.{full_name(table)}" if table else db.name
        report.info(8958, f"{LOSS} is the minimum repair level for the errors found by DBCC {command} ({name}).", None, True)


def _count_rows(db: Database, table: str, report: Report) -> None:
    if report.quiet:
        return
    with contextlib.closing(db.reader()) as connection:
        for name in sorted(db.tables()):
            if table and name.casefold() != full_name(table).casefold():
                continue
            shown = name.split(".", 1)[1]
            try:
                count = connection.execute(f"SELECT count(*) FROM {rows.quote(name)}").fetchone()[0]
            except sqlite3.Error:
                continue  # its damage has been told
            if not table:
                report.info(2536, f"DBCC results for '{shown}'.")
            report.info(2593, f'There are {count} rows in {max(1, count // 100)} pages for object "{shown}".')


def _remember(server: "Server", session: Any, db: Database, command: str, table: str, found: int, seconds: float) -> None:
    name = f"{db.name}.{full_name(table)}" if table else db.name
    server.errorlog(f"DBCC {command} ({name}) executed by {server.security.name_of(session)} found {found} errors and repaired 0 errors. "
                    f"Elapsed time: 0 hours {int(seconds) // 60} minutes {int(seconds) % 60} seconds.")
    if command == "CHECKDB" and not found and not db.state.read_only and not db.state.standby:
        db.state.last_good_check = server.clock.local_second().isoformat()
        db.save()
