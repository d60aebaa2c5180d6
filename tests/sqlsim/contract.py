# SPDX-License-Identifier: Apache-2.0
"""What the three layers of the simulated SQL Server say to each other.

    tds/     the wire: packets, TLS, login, requests in, tokens out. Knows no T-SQL.
    tsql/    the language: lexer, parser, executor over SQLite, functions. Knows no bytes and no files.
    engine/  the server: logins, databases, transaction log, LSNs, BACKUP and RESTORE, msdb, views, faults.

Calls go one way: tds -> tsql -> engine. Everything a statement produces is an event of this module, handed to
an `emit` callable in the order in which a real server would put the tokens on the wire. The wire layer alone
decides about packets, the MORE bit of a DONE and DONE versus DONEINPROC.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, Callable, Optional, Protocol, Sequence, Union


@dataclass(frozen=True)
class SqlType:
    """A T-SQL type. `kind` is the lower-case type name (int, bigint, smallint, tinyint, bit, real, float,
    numeric, decimal, money, smallmoney, nvarchar, varchar, nchar, char, varbinary, binary, uniqueidentifier, datetime,
    smalldatetime, datetime2, datetimeoffset, date, time, sql_variant, xml). `length` counts characters for n-types, bytes for
    the others, -1 is (max). `precision` and `scale` are for numeric/decimal; `scale` also for the time types."""

    kind: str
    length: int = 0
    precision: int = 0
    scale: int = 0


@dataclass(frozen=True)
class Column:
    name: str
    type: SqlType
    nullable: bool = True
    identity: bool = False


# Values in rows and parameters are Python's: int, bool (bit), float, decimal.Decimal, str, bytes, uuid.UUID,
# datetime.datetime (naive; aware for datetimeoffset), datetime.date, datetime.time, None.


@dataclass
class Columns:
    """Begins a result set."""

    columns: Sequence[Column]


@dataclass
class Row:
    values: Sequence[Any]


@dataclass
class Done:
    """Ends a statement (or is the intermediate DONE that follows each INFO of BACKUP and RESTORE).
    `count` is None when the row count is not valid."""

    curcmd: int
    count: Optional[int] = None
    error: bool = False
    in_proc: bool = False  # of a statement inside EXEC of a procedure or of a text, in a batch


@dataclass
class Info:
    number: int
    text: str
    state: int = 1
    cls: int = 0
    line: int = 1
    proc: str = ""


@dataclass
class Error:
    number: int
    text: str
    state: int = 1
    cls: int = 16
    line: int = 1
    proc: str = ""


@dataclass
class EnvChange:
    """1 database, 2 language, 4 packet size, 7 collation, 8/9/10 begin/commit/rollback, 18 reset. str or bytes values."""

    kind: int
    new: Union[str, bytes] = ""
    old: Union[str, bytes] = ""


@dataclass
class ReturnStatus:
    value: int = 0


Event = Union[Columns, Row, Done, Info, Error, EnvChange, ReturnStatus]
Emit = Callable[[Event], None]


class SqlError(Exception):
    """An error of a statement, raised anywhere below the executor. `also` are the errors that follow it, in order
    (3013 after 3201, 3156 and 3119 after 1834, ...)."""

    def __init__(self, number: int, text: str, state: int = 1, cls: int = 16, also: Sequence[Error] = ()) -> None:
        super().__init__(f"{number}: {text}")
        self.error = Error(number, text, state, cls)
        self.also = list(also)


class Cancelled(Exception):
    """The client sent an attention."""


class SessionKilled(Exception):
    """The connection must be dropped at once, after the given error when there is one (KILL, restart, fault, severity >= 20)."""

    def __init__(self, error: Optional[Error] = None) -> None:
        super().__init__("session killed")
        self.error = error


@dataclass
class Param:
    """One parameter of an RPC. `output` values are written back into `value` by the executor."""

    name: str
    type: SqlType
    value: Any
    output: bool = False
    default: bool = False  # the caller asked for the procedure's default


@dataclass
class Login:
    """What LOGIN7 said."""

    user: str
    password: str
    database: str = ""
    host: str = ""
    app: str = ""
    library: str = ""
    read_only: bool = False
    odbc: bool = False
    pid: int = 0
    address: str = ""  # of the client, host:port
    encrypted: bool = False
    packet_size: int = 4096
    tds: int = 0x74000004


class SessionApi(Protocol):
    """tsql.session.Session as the wire sees it. One thread at a time calls into a session."""

    spid: int
    database: str
    language: str
    cancel: threading.Event  # set by the wire on attention; the executor and BACKUP/RESTORE look at it often and raise Cancelled
    killed: threading.Event  # set by KILL, faults and shutdown: raise SessionKilled at the next look

    def execute(self, sql: str, params: Sequence[Param], emit: Emit) -> None:
        """Runs a batch (no params) or the text of sp_executesql/sp_execute with its parameters. Errors of statements
        are emitted as Error events followed by Done(error=True); only Cancelled and SessionKilled are raised."""

    def call(self, proc: str, params: Sequence[Param], emit: Emit) -> None:
        """A stored procedure by name over RPC (sp_delete_backuphistory, ...)."""

    def transaction(self, request: str, name: str, isolation: int, emit: Emit) -> None:
        """Transaction manager request: begin, commit, rollback or save. Emits the EnvChange 8/9/10."""

    def reset(self, emit: Emit) -> None:
        """RESETCONNECTION: roll back, default database, default SET options."""

    def close(self) -> None:
        """The connection is gone: roll back, release locks."""


class ServerApi(Protocol):
    """engine.server.Server as the wire sees it."""

    name: str
    version: tuple[int, int, int, int]  # 16, 0, 4236, 2

    def login(self, login: Login) -> SessionApi:
        """Raises SqlError 18456, 18401, 4060, ... The wire answers with the error, DONE(2), and closes."""


@dataclass
class BackupStatement:
    """BACKUP { DATABASE | LOG } as parsed. `options` has upper-case names; values are True, int, str or a nested dict
    (COMPRESSION -> {'ALGORITHM': 'ZSTD', 'LEVEL': 'LOW'} or True)."""

    what: str  # DATABASE, LOG
    database: str
    devices: list[str]  # DISK paths in order; a URL begins with its scheme
    options: dict[str, Any] = field(default_factory=dict)
    mirrors: list[list[str]] = field(default_factory=list)
    line: int = 1


@dataclass
class RestoreStatement:
    """RESTORE { DATABASE | LOG | HEADERONLY | FILELISTONLY | LABELONLY | VERIFYONLY }. `database` is empty for the last four,
    `devices` is empty for RESTORE DATABASE x WITH RECOVERY. MOVE is options['MOVE'] = [(logical, physical), ...];
    STOPATMARK/STOPBEFOREMARK = (name, after or None)."""

    what: str
    database: str
    devices: list[str]
    options: dict[str, Any] = field(default_factory=dict)
    line: int = 1


@dataclass
class TableDef:
    name: str
    columns: list[Column]
    identity: Optional[tuple[int, int]] = None  # seed, increment
    primary_key: list[str] = field(default_factory=list)
    # The rest is the language's own: kept with the table, meaningless to the engine.
    pk_name: str = ""
    defaults: dict[str, str] = field(default_factory=dict)  # column -> T-SQL expression
    computed: dict[str, str] = field(default_factory=dict)
    checks: list[list[str]] = field(default_factory=list)  # name, T-SQL condition, column or ''
    uniques: list[list[Any]] = field(default_factory=list)  # name, columns, PRIMARY KEY | UNIQUE KEY | INDEX
    foreign: list[list[Any]] = field(default_factory=list)  # name, columns, schema.table, its columns


class DatabaseApi(Protocol):
    """engine.database.Database as the executor sees it: SQLite rows plus the log that makes them restorable.

    A user table `dbo.t` is the SQLite table "dbo.t". The engine captures row images of every change itself (triggers), so the
    executor just runs SQLite statements on `connection` between begin() and commit()/rollback(). DDL goes through the
    methods below, because it is logged too. The engine serialises writers per database; readers see committed rows."""

    name: str
    id: int

    def tables(self) -> dict[str, TableDef]: ...
    def create_table(self, tran: Any, table: TableDef) -> None: ...
    def drop_table(self, tran: Any, name: str) -> None: ...
    def begin(self, session: SessionApi) -> Any:
        """A write transaction (its `.connection` is the SQLite connection to use); waits for the database's writer lock."""

    # `tran` also has execute_ddl(sqlite_sql) for other schema changes (they must be logged), next_identity(table, seed, step, count)
    # -> first reserved value, note_identity(table, value or None). database.alter_table(tran, TableDef) replaces a definition and adds
    # the columns that are new; database.tables(tran) shows what the transaction sees.

    def commit(self, tran: Any, mark: Optional[tuple[str, str]] = None) -> None:
        """Durable when it returns. `mark` is (name, description) of BEGIN TRAN name WITH MARK 'description'."""

    def rollback(self, tran: Any) -> None: ...
    def reader(self) -> Any:
        """An SQLite connection for reading committed rows (close it after use)."""


class EngineApi(Protocol):
    """engine.server.Server as the executor sees it."""

    def database(self, name: str, session: Optional[SessionApi] = None) -> DatabaseApi:
        """By name, case-insensitive; raises 911, 916, 927, 942, ... exactly as the state and the login's rights demand."""

    def create_database(self, session: SessionApi, name: str, options: dict[str, Any]) -> None: ...
    def drop_database(self, session: SessionApi, name: str) -> None: ...
    def alter_database(self, session: SessionApi, name: str, clauses: list[tuple[str, Any]], termination: Optional[str]) -> None:
        """ALTER DATABASE x SET/MODIFY NAME. Clauses such as ('RECOVERY', 'SIMPLE'), ('SINGLE_USER', None), ('OFFLINE', None),
        ('MODIFY NAME', 'y'); termination 'ROLLBACK IMMEDIATE' or None."""

    def view(self, session: SessionApi, database: str, name: str) -> Optional[tuple[list[Column], list[tuple]]]:
        """Rows of a catalog view, DMV, msdb table or table-valued function ('sys.databases', 'sys.master_files',
        'dbo.backupset' with database 'msdb', 'sys.dm_exec_requests', ...), None when there is no such object.
        Raises 300/297/229 when the login lacks the right."""

    def table_function(self, session: SessionApi, database: str, name: str, args: list[Any]) -> Optional[tuple[list[Column], list[tuple]]]:
        """sys.dm_db_log_stats(id), sys.dm_os_volume_stats(db, file), sys.dm_os_file_exists(path), sys.fn_dblog, ..."""

    def scalar_function(self, session: SessionApi, database: str, name: str, args: list[Any]) -> Any:
        """Functions that need the server: SERVERPROPERTY, DATABASEPROPERTYEX, DB_ID, DB_NAME, SUSER_SNAME, HAS_PERMS_BY_NAME,
        IS_SRVROLEMEMBER, sys.fn_hadr_backup_is_preferred_replica, ... Raises LookupError when unknown."""

    def procedure(self, session: SessionApi, database: str, name: str, args: dict[str, Any], emit: Emit) -> int:
        """msdb.dbo.sp_delete_backuphistory, sp_delete_database_backuphistory, sp_configure, xp_create_subdir, ... Returns the
        return status; raises SqlError 2812 when unknown."""

    def security(self, session: SessionApi, database: str, verb: str, args: dict[str, Any]) -> None:
        """CREATE/ALTER/DROP LOGIN and USER, ALTER ROLE ... ADD MEMBER, GRANT/REVOKE/DENY, ALTER AUTHORIZATION, as parsed by tsql.
        verb -> args (missing keys mean "not written"):
        CREATE LOGIN name, password, sid (bytes), default_database, windows (bool); ALTER LOGIN name, password, default_database,
        enable (bool), new_name; DROP LOGIN name. CREATE USER name, login (None: same name, False: WITHOUT LOGIN); ALTER USER name,
        login, new_name; DROP USER name, if_exists. CREATE ROLE / DROP ROLE name. ALTER ROLE, ALTER SERVER ROLE role, member, add (bool).
        GRANT, REVOKE, DENY permissions (list of upper-case names), object (None or 'dbo.t'), object_class ('SERVER', 'DATABASE',
        'OBJECT', ... or None), to (list). ALTER AUTHORIZATION object, object_class, to. CREATE/DROP CREDENTIAL name, identity, secret.
        CREATE MASTER KEY password; CREATE CERTIFICATE name, subject; DROP CERTIFICATE name; BACKUP CERTIFICATE name, file, key_file."""

    def session_closed(self, session: SessionApi) -> None:
        """The session's close() calls it last."""

    def checkdb(self, session: SessionApi, database: str, emit: Emit, command: str = "CHECKDB", options: Sequence[str] = (),
                args: Sequence[str] = (), table: str = "") -> int:
        """DBCC CHECKDB, CHECKALLOC, CHECKCATALOG, CHECKTABLE: error events for damaged pages and the summary infos, or a result
        set with TABLERESULTS. Returns the number of errors found."""

    def trace(self, session: SessionApi, flags: list[int], on: Optional[bool]) -> list[tuple]:
        """DBCC TRACEON/TRACEOFF (on True/False) and TRACESTATUS (None): rows (TraceFlag, Status, Global, Session)."""

    def shutdown(self, session: Optional[SessionApi] = None) -> None:
        """SHUTDOWN: stops the server from a thread of its own."""

    def backup(self, session: SessionApi, stmt: BackupStatement, emit: Emit) -> None:
        """Runs a BACKUP to its end: emits Info/Done pairs and the final Info 3014 + Done. Raises SqlError (3013 in `also`)."""

    def restore(self, session: SessionApi, stmt: RestoreStatement, emit: Emit) -> None: ...
    def kill(self, session: SessionApi, spid: int) -> None: ...
    def now(self, session: Optional[SessionApi] = None) -> Any:
        """The server's wall clock as an aware datetime in the server's zone (faults can step it and change its zone)."""
