# SPDX-License-Identifier: Apache-2.0
"""The catalog procedures that ODBC and JDBC drivers call: sp_tables, sp_columns, sp_pkeys, sp_statistics, sp_datatype_info."""

from __future__ import annotations

import re
from typing import Any, Iterator, Optional

from ..contract import Column, Columns, Done, Row, SqlType, TableDef
from . import curcmd, nodes, types

SYSNAME = SqlType("nvarchar", 128)
SMALL, INT = SqlType("smallint"), SqlType("int")
# name: ODBC type (version 3), SQL data type, subtype of dates, precision, prefix, suffix, parameters of CREATE, minimum and maximum scale
KINDS: dict[str, tuple] = {
    "sql_variant": (-150, -150, None, 8000, None, None, None, 0, 0), "uniqueidentifier": (-11, -11, None, 36, "'", "'", None, None, None),
    "nvarchar": (-9, -9, None, 4000, "N'", "'", "max length", None, None), "nchar": (-8, -8, None, 4000, "N'", "'", "length", None, None),
    "xml": (-152, -152, None, 0, "N'", "'", None, None, None), "bit": (-7, -7, None, 1, None, None, None, 0, 0),
    "tinyint": (-6, -6, None, 3, None, None, None, 0, 0), "bigint": (-5, -5, None, 19, None, None, None, 0, 0),
    "varbinary": (-3, -3, None, 8000, "0x", None, "max length", None, None), "binary": (-2, -2, None, 8000, "0x", None, "length", None, None),
    "char": (1, 1, None, 8000, "'", "'", "length", None, None), "numeric": (2, 2, None, 38, None, None, "precision,scale", 0, 38),
    "decimal": (3, 3, None, 38, None, None, "precision,scale", 0, 38), "money": (3, 3, None, 19, "$", None, None, 4, 4),
    "smallmoney": (3, 3, None, 10, "$", None, None, 4, 4), "int": (4, 4, None, 10, None, None, None, 0, 0),
    "smallint": (5, 5, None, 5, None, None, None, 0, 0), "float": (6, 6, None, 53, None, None, None, None, None),
    "real": (7, 7, None, 24, None, None, None, None, None), "varchar": (12, 12, None, 8000, "'", "'", "max length", None, None),
    "date": (91, 9, 1, 10, "'", "'", None, None, 0), "time": (-154, -154, 0, 16, "'", "'", "scale", 0, 7),
    "datetime2": (93, 9, 3, 27, "'", "'", "scale", 0, 7), "datetimeoffset": (-155, -155, 0, 34, "'", "'", "scale", 0, 7),
    "smalldatetime": (93, 9, 3, 16, "'", "'", None, 0, 0), "datetime": (93, 9, 3, 23, "'", "'", None, 3, 3)}
WIDTHS = {"bit": 1, "tinyint": 1, "smallint": 2, "int": 4, "bigint": 8, "float": 8, "real": 4, "money": 12, "smallmoney": 12, "date": 6,
          "time": 10, "datetime": 16, "datetime2": 16, "smalldatetime": 16, "datetimeoffset": 20, "uniqueidentifier": 16}


def pattern(text: Optional[str]) -> Any:
    """LIKE with % _ and [..]; None for everything."""
    if not text:
        return None
    out = []
    for part in re.findall(r"\[[^\]]*\]|.", text, re.DOTALL):
        out.append(".*" if part == "%" else "." if part == "_" else part if len(part) > 1 else re.escape(part))
    return re.compile("".join(out) + r"\Z", re.IGNORECASE | re.DOTALL)


def sized(t: SqlType) -> tuple[int, int]:
    """(precision, length in bytes) as sp_columns shows them."""
    if t.kind in ("nvarchar", "nchar", "varchar", "char", "varbinary", "binary"):
        if t.length < 0:
            return 0, 0
        return t.length, t.length * (2 if t.kind.startswith("n") else 1)
    if t.kind in ("numeric", "decimal"):
        return t.precision, t.precision + 2
    if t.kind in ("time", "datetime2", "datetimeoffset"):
        whole = {"time": 8, "datetime2": 19, "datetimeoffset": 26}[t.kind]
        return whole + (t.scale + 1 if t.scale else 0), WIDTHS[t.kind]
    return KINDS[t.kind][3], WIDTHS.get(t.kind, 0)


class CatalogRunner:
    """Part of the executor."""

    session: Any
    emit: Any

    def _found(self, args: dict[str, Any], stmt: nodes.Execute) -> Iterator[tuple[str, str, str, TableDef]]:
        """(database, schema, table, definition) of the tables that the arguments mean, in order of their names."""
        parts = list(stmt.name)
        name = args.get("table_qualifier") or (parts[-3] if len(parts) > 2 and parts[-3] else self.session.database)
        database = self.session.engine.database(name, self.session)
        wanted, owner = pattern(args.get("table_name")), pattern(args.get("table_owner"))
        for full, table in sorted(database.tables().items(), key=lambda i: i[0].lower()):
            schema, _, short = full.partition(".")
            if (wanted is None or wanted.match(short)) and (owner is None or owner.match(schema)):
                yield database.name, schema, short, table

    def _rows(self, columns: list[tuple[str, Any]], rows: list[tuple]) -> int:
        self.emit(Columns([Column(name, t) for name, t in columns]))
        for row in rows:
            self.emit(Row(row))
        self.emit(Done(curcmd.SELECT, len(rows)))
        return 0

    def p_sp_tables(self, stmt: nodes.Execute) -> int:
        args = self._arguments(stmt, ["table_name", "table_owner", "table_qualifier", "table_type", "fusepattern"])
        kinds = str(args.get("table_type") or "'TABLE'").upper()
        found = [(d, s, t, "TABLE", None) for d, s, t, _ in self._found(args, stmt)] if "'TABLE'" in kinds else []
        return self._rows([("TABLE_QUALIFIER", SYSNAME), ("TABLE_OWNER", SYSNAME), ("TABLE_NAME", SYSNAME), ("TABLE_TYPE", SqlType("varchar", 32)),
                           ("REMARKS", SqlType("varchar", 254))], found)

    def p_sp_columns(self, stmt: nodes.Execute) -> int:
        args = self._arguments(stmt, ["table_name", "table_owner", "table_qualifier", "column_name", "odbcver", "fusepattern", "namescope"])
        wanted, out = pattern(args.get("column_name")), []
        for database, schema, name, table in self._found(args, stmt):
            for at, column in enumerate(table.columns, 1):
                if wanted is None or wanted.match(column.name):
                    out.append((database, schema, name, *self._column(table, column, at)))
        text = SqlType("varchar", 254)
        return self._rows([("TABLE_QUALIFIER", SYSNAME), ("TABLE_OWNER", SYSNAME), ("TABLE_NAME", SYSNAME), ("COLUMN_NAME", SYSNAME),
                           ("DATA_TYPE", SMALL), ("TYPE_NAME", SYSNAME), ("PRECISION", INT), ("LENGTH", INT), ("SCALE", SMALL), ("RADIX", SMALL),
                           ("NULLABLE", SMALL), ("REMARKS", text), ("COLUMN_DEF", SqlType("nvarchar", 4000)), ("SQL_DATA_TYPE", SMALL),
                           ("SQL_DATETIME_SUB", SMALL), ("CHAR_OCTET_LENGTH", INT), ("ORDINAL_POSITION", INT), ("IS_NULLABLE", text),
                           ("SS_DATA_TYPE", SqlType("tinyint"))], out)

    p_sp_columns_90 = p_sp_columns_100 = p_sp_columns

    @staticmethod
    def _column(table: TableDef, column: Column, at: int) -> tuple:
        t = column.type
        odbc, sql, sub, *_ = KINDS[t.kind]
        precision, length = sized(t)
        scale = t.scale if t.kind in ("numeric", "decimal", "time", "datetime2", "datetimeoffset") else KINDS[t.kind][8]
        octets = length if t.kind in ("nvarchar", "nchar", "varchar", "char", "varbinary", "binary") else None
        number = t.kind in types.INTS or t.kind in ("bit", "numeric", "decimal", "money", "smallmoney")
        radix = 10 if number else 2 if t.kind in ("float", "real") else None
        return (column.name, odbc, t.kind + (" identity" if column.identity else ""), precision, length, scale, radix, int(column.nullable), None,
                table.defaults.get(column.name), sql, sub, octets, at, "YES" if column.nullable else "NO", 0)

    def p_sp_pkeys(self, stmt: nodes.Execute) -> int:
        args = self._arguments(stmt, ["table_name", "table_owner", "table_qualifier"])
        found = [(d, s, t, key, at, table.pk_name or None) for d, s, t, table in self._found(args, stmt)
                 for at, key in enumerate(table.primary_key, 1)]
        return self._rows([("TABLE_QUALIFIER", SYSNAME), ("TABLE_OWNER", SYSNAME), ("TABLE_NAME", SYSNAME), ("COLUMN_NAME", SYSNAME),
                           ("KEY_SEQ", SMALL), ("PK_NAME", SYSNAME)], found)

    def p_sp_statistics(self, stmt: nodes.Execute) -> int:
        args = self._arguments(stmt, ["table_name", "table_owner", "table_qualifier", "index_name", "is_unique", "accuracy"])
        out: list[tuple] = []
        for database, schema, name, table in self._found(args, stmt):
            out.append((database, schema, name, None, None, None, 0, None, None, None, None, None, None))
            keys = [(table.pk_name or "PK", table.primary_key, 1)] if table.primary_key else []
            keys += [(key, columns, 3) for key, columns, _ in table.uniques]
            out += [(database, schema, name, 0, name, key, kind, at, column, "A", None, None, None) for key, columns, kind in keys
                    for at, column in enumerate(columns, 1)]
        return self._rows([("TABLE_QUALIFIER", SYSNAME), ("TABLE_OWNER", SYSNAME), ("TABLE_NAME", SYSNAME), ("NON_UNIQUE", SMALL),
                           ("INDEX_QUALIFIER", SYSNAME), ("INDEX_NAME", SYSNAME), ("TYPE", SMALL), ("SEQ_IN_INDEX", SMALL),
                           ("COLUMN_NAME", SYSNAME), ("COLLATION", SqlType("char", 1)), ("CARDINALITY", INT), ("PAGES", INT),
                           ("FILTER_CONDITION", SqlType("varchar", 128))], out)

    p_sp_statistics_100 = p_sp_statistics

    def p_sp_datatype_info(self, stmt: nodes.Execute) -> int:
        args = self._arguments(stmt, ["data_type", "odbcver"])
        wanted = int(args.get("data_type") or 0)
        out = []
        for name, (odbc, sql, sub, precision, prefix, suffix, create, low, high) in KINDS.items():
            if wanted not in (0, odbc):
                continue
            number = odbc in (-7, -6, -5, 2, 3, 4, 5, 6, 7)
            text = name in ("char", "varchar", "nchar", "nvarchar", "xml")
            radix = 10 if number and name not in ("float", "real") else 2 if number else None
            out.append((name, odbc, precision, prefix, suffix, create, 1, 0, 3 if text else 2, (1 if name == "tinyint" else 0) if number else None,
                        int("money" in name), 0 if number else None, name, low, high, sql, sub, radix, None, 0))
        out.sort(key=lambda r: (r[1], r[0]))
        text = SqlType("varchar", 32)
        return self._rows([("TYPE_NAME", SYSNAME), ("DATA_TYPE", SMALL), ("PRECISION", INT), ("LITERAL_PREFIX", text), ("LITERAL_SUFFIX", text),
                           ("CREATE_PARAMS", text), ("NULLABLE", SMALL), ("CASE_SENSITIVE", SMALL), ("SEARCHABLE", SMALL),
                           ("UNSIGNED_ATTRIBUTE", SMALL), ("MONEY", SMALL), ("AUTO_INCREMENT", SMALL), ("LOCAL_TYPE_NAME", SYSNAME),
                           ("MINIMUM_SCALE", SMALL), ("MAXIMUM_SCALE", SMALL), ("SQL_DATA_TYPE", SMALL), ("SQL_DATETIME_SUB", SMALL),
                           ("NUM_PREC_RADIX", INT), ("INTERVAL_PRECISION", SMALL), ("USERTYPE", SMALL)], out)

    p_sp_datatype_info_90 = p_sp_datatype_info_100 = p_sp_datatype_info
