# SPDX-License-Identifier: Apache-2.0
"""Functions of NULL handling, hashing, the session, errors, and objects."""

from __future__ import annotations

import hashlib
import uuid
import zlib
from typing import Any, Callable

from ..contract import SqlType
from . import errors, types
from .convert import text_key
from .expr import Ex, coerce, constant
from .functions import as_int, as_text, engine_function, memo, register, strict


@register("ISNULL", 2)
def _isnull(c: Any, args: list[Ex], node: Any) -> Ex:
    target = args[0].type if args[0].type.kind != "null" else types.visible(args[1].type)
    a, b = args[0].fn, coerce(args[1], target).fn

    def run(r: Any) -> Any:
        x = a(r)
        return b(r) if x is None else x

    return Ex(run, target, args[0].nullable and args[1].nullable, args[0].const and args[1].const)


@register("COALESCE", 2, 254)
def _coalesce(c: Any, args: list[Ex], node: Any) -> Ex:
    if all(a.type.kind == "null" for a in args):
        raise errors.error(4127, "At least one of the arguments to COALESCE must be an expression that is not the NULL constant.")
    target, exprs = c.unify(args)
    fns = [e.fn for e in exprs]

    def run(r: Any) -> Any:
        for fn in fns:
            x = fn(r)
            if x is not None:
                return x
        return None

    return Ex(run, target, all(e.nullable for e in exprs))


@register("NULLIF", 2)
def _nullif(c: Any, args: list[Ex], node: Any) -> Ex:
    from .ops import compare
    same, a = compare("=", args[0], args[1]).fn, args[0].fn
    return Ex(lambda r: None if same(r) else a(r), types.visible(args[0].type), True)


@register("IIF", 3)
def _iif(c: Any, args: list[Ex], node: Any) -> Ex:
    target, (a, b) = c.unify(args[1:])
    test, yes, no = args[0].fn, a.fn, b.fn
    return Ex(lambda r: yes(r) if test(r) else no(r), target, a.nullable or b.nullable)


@register("CHOOSE", 2, 254)
def _choose(c: Any, args: list[Ex], node: Any) -> Ex:
    target, exprs = c.unify(args[1:])
    at, fns = as_int(args[0]).fn, [e.fn for e in exprs]

    def run(r: Any) -> Any:
        n = at(r)
        return fns[n - 1](r) if n is not None and 1 <= n <= len(fns) else None

    return Ex(run, target)


@register("NEWID NEWSEQUENTIALID", 0)
def _newid(c: Any, args: list[Ex], node: Any) -> Ex:
    return Ex(lambda r: uuid.uuid4(), types.UUID, False)


@register("HASHBYTES", 2)
def _hashbytes(c: Any, args: list[Ex], node: Any) -> Ex:
    data = args[1]
    if data.type.kind in types.STRINGS:
        encoding = "utf-16-le" if data.type.kind in types.WIDE else "cp1252"
        read: Callable[[Any], bytes] = lambda v: v.encode(encoding, "replace")
    elif data.type.kind in types.BINARIES:
        read = bytes
    else:
        raise errors.argument(types.label(data.type), 2, "hashbytes")
    names = {"md5": "md5", "sha": "sha1", "sha1": "sha1", "sha2_256": "sha256", "sha2_512": "sha512"}

    def run(name: str, value: Any) -> Any:
        kind = names.get(name.strip().lower())
        return hashlib.new(kind, read(value)).digest() if kind else None

    return strict(SqlType("varbinary", 8000), [as_text(args[0]), data], run)


def _checksum(values: list[Any], exact: bool) -> int:
    total = 0
    for value in values:
        text = value if exact or not isinstance(value, str) else text_key(value)
        part = value if isinstance(value, int) and not isinstance(value, bool) else zlib.crc32(repr(text).encode())
        total = ((total << 4 | total >> 28) ^ part) & 0xFFFFFFFF
    return total - 2**32 if total >= 2**31 else total


@register("CHECKSUM BINARY_CHECKSUM", 0, 254)
def _checksums(c: Any, args: list[Ex], node: Any) -> Ex:
    exact = node.name == "BINARY_CHECKSUM"
    if node.star:
        return Ex(lambda r: _checksum(list(r), exact), types.INT, False)
    fns = [a.fn for a in args]
    return Ex(lambda r: _checksum([fn(r) for fn in fns], exact), types.INT, False)


@register("CRYPT_GEN_RANDOM", 1, 2)
def _random_bytes(c: Any, args: list[Ex], node: Any) -> Ex:
    import os
    return strict(SqlType("varbinary", 8000), [as_int(args[0])], os.urandom)


# -- the session --------------------------------------------------------------------------------------------------------


def _session(name: str, target: SqlType, value: Callable[[Any], Any], nullable: bool = False) -> None:
    @register(name, 0)
    def build(c: Any, args: list[Ex], node: Any) -> Ex:
        session = c.ctx.session
        return Ex(lambda r: value(session), target, nullable, True)


_session("@@ROWCOUNT", types.INT, lambda s: min(s.row_count, 2**31 - 1))
_session("ROWCOUNT_BIG", types.BIGINT, lambda s: s.row_count)
_session("@@ERROR", types.INT, lambda s: s.last_error)
_session("@@TRANCOUNT", types.INT, lambda s: s.tran.count)
_session("XACT_STATE", types.SMALLINT, lambda s: s.tran.state())
_session("@@SPID", types.SMALLINT, lambda s: s.spid)
_session("@@IDENTITY", SqlType("numeric", precision=38, scale=0), lambda s: s.identity, True)
_session("SCOPE_IDENTITY", SqlType("numeric", precision=38, scale=0), lambda s: s.frame.identity, True)
_session("@@NESTLEVEL", types.INT, lambda s: s.depth)
_session("@@PROCID", types.INT, lambda s: 0)
_session("@@FETCH_STATUS", types.INT, lambda s: 0)
_session("@@CURSOR_ROWS", types.INT, lambda s: 0)
_session("@@OPTIONS", types.INT, lambda s: s.options.bits())
_session("@@TEXTSIZE", types.INT, lambda s: s.options.textsize)
_session("@@LOCK_TIMEOUT", types.INT, lambda s: s.options.lock_timeout)
_session("@@DATEFIRST", types.TINYINT, lambda s: s.options.date_first)
_session("@@LANGUAGE", types.SYSNAME, lambda s: s.language)
_session("@@LANGID", types.SMALLINT, lambda s: 0)
_session("@@DBTS", SqlType("varbinary", 8), lambda s: (2000).to_bytes(8, "big"))
_session("@@MAX_PRECISION", types.TINYINT, lambda s: 38)
_session("@@MAX_CONNECTIONS", types.INT, lambda s: 32767)
_session("@@REMSERVER", types.SYSNAME, lambda s: None, True)
_session("@@TIMETICKS", types.INT, lambda s: 31250)
_session("GETANSINULL", types.SMALLINT, lambda s: 1)
_session("CONTEXT_INFO", SqlType("varbinary", 128), lambda s: s.options.context_info, True)

SERVER_TYPES = {"@@VERSION": SqlType("nvarchar", 300), "@@SERVERNAME": types.SYSNAME, "@@SERVICENAME": types.SYSNAME,
                "@@MICROSOFTVERSION": types.INT, "@@CONNECTIONS": types.INT, "@@CPU_BUSY": types.INT, "@@IDLE": types.INT,
                "@@IO_BUSY": types.INT, "@@PACK_RECEIVED": types.INT, "@@PACK_SENT": types.INT, "@@PACKET_ERRORS": types.INT,
                "@@TOTAL_ERRORS": types.INT, "@@TOTAL_READ": types.INT, "@@TOTAL_WRITE": types.INT}


def _server_version(server: Any) -> int:
    major, minor, build = server.version[:3]
    return major << 24 | minor << 16 | build


@register(" ".join(SERVER_TYPES), 0)
def _server(c: Any, args: list[Ex], node: Any) -> Ex:
    ctx, name, target = c.ctx, node.name, SERVER_TYPES[node.name]

    def run(r: Any) -> Any:
        try:
            value = ctx.engine.scalar_function(ctx.session, ctx.database, name, [])
        except LookupError:
            value = {"@@SERVERNAME": getattr(ctx.engine, "name", "sqlsim"), "@@SERVICENAME": "MSSQLSERVER",
                     "@@MICROSOFTVERSION": _server_version(ctx.engine)}.get(name, 0)
            if name == "@@VERSION":
                value = "Microsoft SQL Server " + ".".join(str(v) for v in ctx.engine.version)
        return value

    return memo(Ex(run, target, name == "@@SERVERNAME"))


@register("CURRENT_USER SESSION_USER USER SYSTEM_USER", 0)
def _user(c: Any, args: list[Ex], node: Any) -> Ex:
    from .nodes import Func
    name = "SUSER_SNAME" if node.name == "SYSTEM_USER" else "USER_NAME"
    return engine_function(c, Func(name, [], text=name))


@register("SESSION_CONTEXT", 1)
def _session_context(c: Any, args: list[Ex], node: Any) -> Ex:
    session = c.ctx.session
    return strict(types.VARIANT, [as_text(args[0])], lambda key: session.options.context.get(key.lower()))


# -- errors -------------------------------------------------------------------------------------------------------------


def _error(name: str, target: SqlType, value: Callable[[Any], Any]) -> None:
    @register(name, 0)
    def build(c: Any, args: list[Ex], node: Any) -> Ex:
        session = c.ctx.session
        return Ex(lambda r: None if session.caught is None else value(session.caught), target, True, True)


_error("ERROR_NUMBER", types.INT, lambda e: e.number)
_error("ERROR_MESSAGE", SqlType("nvarchar", 4000), lambda e: e.text)
_error("ERROR_SEVERITY", types.INT, lambda e: e.cls)
_error("ERROR_STATE", types.INT, lambda e: e.state)
_error("ERROR_LINE", types.INT, lambda e: e.line)
_error("ERROR_PROCEDURE", types.SYSNAME, lambda e: e.proc or None)


@register("FORMATMESSAGE", 1, 21)
def _formatmessage(c: Any, args: list[Ex], node: Any) -> Ex:
    from .message import substitute
    fns = [a.fn for a in args[1:]]
    text = as_text(args[0])
    return Ex(lambda r: substitute(text.fn(r) or "", [fn(r) for fn in fns]), SqlType("nvarchar", 2048), True)


# -- objects ------------------------------------------------------------------------------------------------------------


@register("OBJECT_ID", 1, 2)
def _object_id(c: Any, args: list[Ex], node: Any) -> Ex:
    ctx = c.ctx
    name = coerce(as_text(args[0]), SqlType("nvarchar", 4000))
    kind = as_text(args[1]) if len(args) > 1 else constant(None, types.SYSNAME)

    def run(r: Any) -> Any:
        asked, wanted = name.fn(r), kind.fn(r)
        if asked is None:
            return None
        return ctx.object_id(asked, (wanted or "").strip().upper())

    ex = Ex(run, types.INT, True)
    return memo(ex) if name.const else ex


@register("TYPE_NAME", 1)
def _type_name(c: Any, args: list[Ex], node: Any) -> Ex:
    names = {34: "image", 35: "text", 36: "uniqueidentifier", 40: "date", 41: "time", 42: "datetime2", 43: "datetimeoffset",
             48: "tinyint", 52: "smallint", 56: "int", 58: "smalldatetime", 59: "real", 60: "money", 61: "datetime", 62: "float",
             98: "sql_variant", 99: "ntext", 104: "bit", 106: "decimal", 108: "numeric", 122: "smallmoney", 127: "bigint",
             165: "varbinary", 167: "varchar", 173: "binary", 175: "char", 189: "timestamp", 231: "nvarchar", 239: "nchar",
             241: "xml", 256: "sysname"}
    return strict(types.SYSNAME, [as_int(args[0])], names.get)


@register("ISJSON", 1)
def _isjson(c: Any, args: list[Ex], node: Any) -> Ex:
    import json

    def run(text: str) -> int:
        try:
            return int(isinstance(json.loads(text), (dict, list)))
        except ValueError:
            return 0

    return strict(types.INT, [as_text(args[0])], run)


@register("IDENT_CURRENT IDENT_SEED IDENT_INCR", 1)
def _ident(c: Any, args: list[Ex], node: Any) -> Ex:
    ctx, name = c.ctx, node.name
    return strict(SqlType("numeric", precision=38, scale=0), [as_text(args[0])], lambda table: ctx.identity_of(table, name))


@register("PARSENAME", 2)
def _parsename(c: Any, args: list[Ex], node: Any) -> Ex:
    from .names import split_name

    def run(text: str, part: int) -> Any:
        parts = split_name(text)
        return parts[-part] or None if parts and 1 <= part <= len(parts) <= 4 else None

    return strict(types.SYSNAME, [as_text(args[0]), as_int(args[1])], run)


@register("SQL_VARIANT_PROPERTY", 2)
def _variant_property(c: Any, args: list[Ex], node: Any) -> Ex:
    declared = args[0].type

    def run(value: Any, name: str) -> Any:
        t = types.of_value(value) if declared.kind == "sql_variant" else declared
        return {"basetype": t.kind, "precision": t.precision or types.DIGITS.get(t.kind, 0), "scale": t.scale,
                "maxlength": t.length * (2 if t.kind in types.WIDE else 1),
                "collation": "SQL_Latin1_General_CP1_CI_AS" if t.kind in types.STRINGS else None}.get(name.lower())

    return strict(types.VARIANT, [args[0], as_text(args[1])], run)


@register("OBJECT_NAME OBJECT_SCHEMA_NAME", 1, 2)
def _object_name(c: Any, args: list[Ex], node: Any) -> Ex:
    ctx, part = c.ctx, 1 if node.name == "OBJECT_NAME" else 0
    numbers = [as_int(a) for a in args]

    def run(number: int, database: Any = None) -> Any:
        full = ctx.object_name(number, database)
        return full.split(".", 1)[part] if full else None

    return strict(types.SYSNAME, numbers, run)


@register("SCHEMA_NAME SCHEMA_ID", 0, 1)
def _schema(c: Any, args: list[Ex], node: Any) -> Ex:
    ctx, by_id = c.ctx, node.name == "SCHEMA_NAME"
    if not args:
        return constant("dbo" if by_id else 1, types.SYSNAME if by_id else types.INT)

    def run(value: Any) -> Any:
        for name, number in ctx.schemas():
            if by_id and number == value:
                return name
            if not by_id and name.lower() == value.lower():
                return number
        return None

    return strict(types.SYSNAME if by_id else types.INT, [as_int(args[0]) if by_id else as_text(args[0])], run)


@register("COL_LENGTH", 2)
def _col_length(c: Any, args: list[Ex], node: Any) -> Ex:
    ctx = c.ctx
    return strict(types.SMALLINT, [as_text(args[0]), as_text(args[1])], ctx.column_length)
