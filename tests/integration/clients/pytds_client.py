# SPDX-License-Identifier: Apache-2.0
"""Runs steps through python-tds: JSON on standard input, JSON on standard output. Started by matrix.py in its own venv."""

import datetime as dt
import decimal
import json
import os
import sys
import time
import uuid

import pytds
from pytds import tds_base


def column_type(column):
    """The type as T-SQL would write it, from what the wire said."""
    serializer = column.serializer
    kind = type(serializer).__name__
    size = getattr(serializer, "size", None)
    names = {
        "BitSerializer": "bit",
        "BitNSerializer": "bit",
        "TinyIntSerializer": "tinyint",
        "SmallIntSerializer": "smallint",
        "IntSerializer": "int",
        "BigIntSerializer": "bigint",
        "RealSerializer": "real",
        "FloatSerializer": "float",
        "DateTimeSerializer": "datetime",
        "SmallDateTimeSerializer": "smalldatetime",
        "MsUniqueSerializer": "uniqueidentifier",
        "MsDateSerializer": "date",
        "Money4Serializer": "smallmoney",
        "Money8Serializer": "money",
        "XmlSerializer": "xml",
        "NVarCharMaxSerializer": "nvarchar(max)",
        "VarCharMaxSerializer": "varchar(max)",
        "VarBinarySerializerMax": "varbinary(max)",
        "VariantSerializer": "sql_variant",
    }
    sized = {
        "IntNSerializer": {1: "tinyint", 2: "smallint", 4: "int", 8: "bigint"}, "FloatNSerializer": {4: "real", 8: "float"},
        "DateTimeNSerializer": {4: "smalldatetime", 8: "datetime"}, "MoneyNSerializer": {4: "smallmoney", 8: "money"},
    }  # fmt: skip
    if kind in names:
        return names[kind]
    if kind in sized:
        return sized[kind][size]
    if kind == "MsDecimalSerializer":
        return f"numeric({serializer.precision},{serializer.scale})"
    scaled = {"MsTimeSerializer": "time", "DateTime2Serializer": "datetime2", "DateTimeOffsetSerializer": "datetimeoffset"}
    if kind in scaled:
        return f"{scaled[kind]}({serializer.precision})"
    texts = {"NVarChar72Serializer": "nvarchar", "VarChar72Serializer": "varchar", "VarBinarySerializer72": "varbinary"}
    name = texts[kind]
    return f"{name}({int(size)})"


def shown(value):
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).hex()
    if isinstance(value, uuid.UUID):
        return str(value).upper()
    if isinstance(value, dt.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(dt.timezone.utc).replace(tzinfo=None)
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, dt.time):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, decimal.Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return str(value)


def given(param):
    kind, value = param["type"], param["value"]
    if value is None:
        return None
    made = {
        "int": int,
        "bigint": int,
        "float": float,
        "bit": lambda v: v == "1",
        "nvarchar": str,
        "varbinary": lambda v: pytds.Binary(bytes.fromhex(v)),
        "numeric": decimal.Decimal,
        "datetime2": dt.datetime.fromisoformat,
        "uniqueidentifier": uuid.UUID,
        "date": dt.date.fromisoformat,
    }
    return made[kind](value)


def collect(cursor, run):
    """Runs and reads everything: result sets, row counts, messages, errors."""
    result = {"sets": [], "counts": [], "errors": [], "messages": []}
    session = cursor._session
    noted = 0

    def note_messages():
        nonlocal noted
        for message in session.messages[noted:]:
            kind = "errors" if message["priv_msg_type"] == 1 else "messages"
            result[kind].append({"number": message["msgno"], "class": message["severity"], "state": message["state"],
                                 "line": message["line_number"], "text": message["message"]})  # fmt: skip
        noted = len(session.messages)

    more, seen = run, session.res_info
    session.messages = []
    while more is not None:
        try:
            more()
            note_messages()
            if session.res_info is not None and session.res_info is not seen:
                seen = session.res_info
                columns = session.res_info.columns
                rows = []
                result["sets"].append({"columns": [[c.column_name, column_type(c)] for c in columns], "rows": rows})
                rows += [[shown(v) for v in row] for row in cursor.fetchall()]
                note_messages()
            if cursor.rowcount >= 0:
                result["counts"].append(cursor.rowcount)
        except pytds.Error:
            if not session.messages:
                raise  # not an error of the server
            note_messages()
        more = cursor.nextset if session.state != tds_base.TDS_IDLE else None
    return result


def run_step(connection, step, running):
    if "transaction" in step:
        if step["transaction"] == "begin":
            connection.autocommit = False
        else:
            getattr(connection, step["transaction"])()
            connection.autocommit = True
        return {}
    with connection.cursor() as cursor:
        if "cancel" in step:
            return cancel(cursor, step["cancel"], running)
        if "params" in step:
            sql, values = step["sql"], {p["name"]: given(p) for p in step["params"]}
            for name in values:
                sql = sql.replace("{" + name + "}", f"%({name})s")
            return collect(cursor, lambda: cursor.execute(sql, values))
        return collect(cursor, lambda: cursor.execute(step["sql"]))


def cancel(cursor, sql, running):
    """Sends the statement, waits until the file says that it runs, and takes it back as python-tds does after a timeout."""
    session = cursor._session
    session.submit_plain_query(sql)
    end = time.monotonic() + 30
    while not os.path.exists(running):
        if time.monotonic() > end:
            raise TimeoutError("the statement does not run")
        time.sleep(0.01)
    session.cancel_if_pending()
    return {"cancelled": not session.in_cancel}


def main():
    work = json.load(sys.stdin)
    options = (
        {"cafile": work["ca"], "validate_host": False, "enc_login_only": work["encrypt"] == "login"} if work["encrypt"] else {}
    )
    connection = pytds.connect(
        "127.0.0.1",
        work["database"],
        work["user"],
        work["password"],
        port=work["port"],
        autocommit=True,
        timeout=60,
        disable_connect_retry=True,
        bytes_to_unicode=True,
        **options,
    )
    results = [run_step(connection, step, work["running"]) for step in work["steps"]]
    connection.close()
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
