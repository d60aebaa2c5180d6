# SPDX-License-Identifier: Apache-2.0
"""Built-in functions by name. The implementations register themselves from func_*.py."""

from __future__ import annotations

import importlib
import threading
from typing import Any, Callable, Optional

from ..contract import SqlType
from . import errors, types
from .expr import Ex, coerce
from .nodes import Func

Builder = Callable[[Any, list[Ex], Func], Ex]
REGISTRY: dict[str, tuple[int, int, Builder]] = {}
_LOADING = threading.Lock()
_LOADED = False
AGGREGATES = {"COUNT", "COUNT_BIG", "SUM", "AVG", "MIN", "MAX", "STRING_AGG", "STDEV", "STDEVP", "VAR", "VARP", "CHECKSUM_AGG"}
RANKING = {"ROW_NUMBER", "RANK", "DENSE_RANK", "NTILE", "LAG", "LEAD", "FIRST_VALUE", "LAST_VALUE"}

# Functions of the engine whose type is known; the others are sql_variant.
ENGINE_TYPES = {
    "DB_ID": types.SMALLINT, "DB_NAME": types.SYSNAME, "SUSER_SNAME": types.SYSNAME, "SUSER_NAME": types.SYSNAME,
    "SUSER_ID": types.INT, "SUSER_SID": SqlType("varbinary", 85), "USER_NAME": types.SYSNAME, "USER_ID": types.INT,
    "ORIGINAL_LOGIN": types.SYSNAME, "HAS_PERMS_BY_NAME": types.INT, "HAS_DBACCESS": types.INT, "IS_SRVROLEMEMBER": types.INT,
    "IS_MEMBER": types.INT, "IS_ROLEMEMBER": types.INT, "HOST_NAME": types.SYSNAME, "APP_NAME": types.SYSNAME,
    "SYS.FN_HADR_BACKUP_IS_PREFERRED_REPLICA": types.BIT, "FN_HADR_BACKUP_IS_PREFERRED_REPLICA": types.BIT,
    "SYS.FN_HADR_IS_PRIMARY_REPLICA": types.BIT, "FILE_ID": types.SMALLINT, "FILE_NAME": types.SYSNAME,
    "FILEGROUP_NAME": types.SYSNAME, "COL_NAME": types.SYSNAME, "CERT_ID": types.INT,
    "DATABASE_PRINCIPAL_ID": types.INT, "PERMISSIONS": types.INT, "OBJECTPROPERTY": types.INT, "COLUMNPROPERTY": types.INT,
    "INDEXPROPERTY": types.INT, "TYPE_ID": types.INT, "FILEPROPERTY": types.INT, "CONNECTIONPROPERTY": types.VARIANT,
    "SERVERPROPERTY": types.VARIANT, "DATABASEPROPERTYEX": types.VARIANT, "DATABASEPROPERTY": types.INT,
}


def register(name: str, low: int, high: Optional[int] = None) -> Callable[[Builder], Builder]:
    def add(builder: Builder) -> Builder:
        for one in name.split():
            REGISTRY[one] = (low, low if high is None else high, builder)
        return builder

    return add


def strict(result: Any, args: list[Ex], impl: Callable[..., Any]) -> Ex:
    """NULL when any argument is NULL. `result` is a type."""
    fns = [a.fn for a in args]
    nullable = any(a.nullable for a in args)
    const = all(a.const for a in args)
    if len(fns) == 1:
        only = fns[0]

        def run_one(r: Any) -> Any:
            x = only(r)
            return None if x is None else impl(x)

        return Ex(run_one, result, nullable, const)

    def run(r: Any) -> Any:
        values = []
        for fn in fns:
            x = fn(r)
            if x is None:
                return None
            values.append(x)
        return impl(*values)

    return Ex(run, result, nullable, const)


def call(compiler: Any, node: Func) -> Ex:
    """Compiles a function call."""
    _load()
    if node.over is not None:
        return compiler.window(node) if hasattr(compiler, "window") else _no_window(node)
    if node.name in AGGREGATES:
        return compiler.aggregate(node) if hasattr(compiler, "aggregate") else _no_aggregate(node)
    if node.name in RANKING:
        raise errors.error(10753, f"The function '{node.text}' must have an OVER clause.", 3, 15)
    found = REGISTRY.get(node.name)
    if found is None:
        return engine_function(compiler, node)
    low, high, builder = found
    if not low <= len(node.args) <= high:
        if low == high:
            raise errors.arguments(node.text, low)
        raise errors.error(189, f"The {node.text.lower()} function requires {low} to {high} arguments.", 1, 15)
    args = [compiler.compile(a) for a in node.args]
    return builder(compiler, args, node)


def _no_window(node: Func) -> Ex:
    raise errors.error(4108, "Windowed functions can only appear in the SELECT or ORDER BY clauses.", 1, 15)


def _no_aggregate(node: Func) -> Ex:
    raise errors.error(147, "An aggregate may not appear in the WHERE clause unless it is in a subquery contained in a HAVING "
                            "clause or a select list, and the column being aggregated is an outer reference.", 1, 15)


def engine_function(compiler: Any, node: Func) -> Ex:
    """A function that only the server can answer."""
    ctx, name = compiler.ctx, node.name
    args = [compiler.compile(a) for a in node.args]
    fns = [a.fn for a in args]
    known = ENGINE_TYPES.get(name)
    if known is None and "." in name:
        known = ENGINE_TYPES.get(name.split(".", 1)[1])
    if known is None:
        # An unknown name must be an error before the first row: ask once.
        value = _ask(ctx, node, [fn(None) if a.const else None for fn, a in zip(fns, args)])
        known = types.of_value(value) if value is not None else types.VARIANT
        if known.kind in types.SIZED:
            known = types.SqlType(known.kind, 4000 if known.kind == "nvarchar" else 8000)
    target = known

    def run(r: Any) -> Any:
        value = _ask(ctx, node, [fn(r) for fn in fns])
        return value if target.kind == "sql_variant" or value is None else types_store(value, target)

    ex = Ex(run, target, True)
    if args and all(a.const for a in args) or not args:
        return memo(ex)
    return ex


def memo(ex: Ex) -> Ex:
    """Asks only once per statement."""
    cache: list[Any] = []
    fn = ex.fn

    def run(r: Any) -> Any:
        if not cache:
            cache.append(fn(r))
        return cache[0]

    return Ex(run, ex.type, ex.nullable, True)


def types_store(value: Any, target: SqlType) -> Any:
    from .convert import store
    return store(value, target)


def _ask(ctx: Any, node: Func, values: list[Any]) -> Any:
    name = node.name[4:] if node.name.startswith("SYS.") else node.name
    for asked in (name, "sys." + name.lower(), node.text):
        try:
            return ctx.engine.scalar_function(ctx.session, ctx.database, asked, values)
        except LookupError:
            continue
        except TypeError as exc:
            if "argument" not in str(exc):
                raise
            raise errors.arguments(node.text, len(values) + (1 if "missing" in str(exc) else -1)) from None
    if "." in node.text:
        quals, last = node.text.rsplit(".", 1)
        raise errors.error(4121, f'Cannot find either column "{quals.split(".")[0]}" or the user-defined function or aggregate '
                                 f'"{quals}.{last}", or the name is ambiguous.')
    raise errors.unknown_function(node.text)


def text_args(args: list[Ex], *positions: int) -> list[Ex]:
    """Those arguments as text (kept narrow when they are)."""
    found = list(args)
    for at in positions or range(len(args)):
        if at < len(args):
            found[at] = as_text(args[at])
    return found


def as_text(ex: Ex) -> Ex:
    kind = ex.type.kind
    if kind in types.STRINGS:
        return ex
    if kind == "null":
        return coerce(ex, SqlType("varchar", 1))
    if kind in types.INTS | {"bit"}:
        return coerce(ex, SqlType("varchar", 20))
    if kind == "sql_variant":
        raise errors.argument("sql_variant", 1, "string")
    return coerce(ex, SqlType("varchar", 8000 if kind in types.BINARIES else 60))


def as_int(ex: Ex) -> Ex:
    return coerce(ex, types.BIGINT if ex.type.kind == "bigint" else types.INT)


def same_text(ex: Ex, length: Optional[int] = None) -> SqlType:
    """varchar or nvarchar like the argument, of a given length."""
    wide = ex.type.kind in types.WIDE
    if length is None:
        length = ex.type.length
    limit = 4000 if wide else 8000
    if ex.type.length < 0 and length < 0 or length < 0:
        length = -1
    else:
        length = max(1, min(length, limit))
    return SqlType("nvarchar" if wide else "varchar", length)


def _load() -> None:
    """The first sessions of a server come at once: none may look before all functions are there."""
    global _LOADED  # pylint: disable=global-statement
    if _LOADED:
        return
    with _LOADING:
        for name in ("func_string", "func_date", "func_math", "func_system"):
            importlib.import_module("." + name, __package__)
        _LOADED = True

