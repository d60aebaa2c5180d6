# SPDX-License-Identifier: Apache-2.0
"""Texts of the errors that the language raises. Numbers, states and severities are SQL Server's."""

from __future__ import annotations

from typing import Any

from ..contract import SqlError

# Errors that end the whole batch and roll the transaction back, whatever XACT_ABORT says.
BATCH_ROLLBACK = {235, 241, 242, 245, 248, 295, 8114, 8169, 1205, 3930}
# Errors found when a statement is compiled: they end the batch (or the EXEC) and no CATCH of the same scope sees them.
COMPILE = {102, 103, 105, 113, 128, 137, 141, 144, 145, 147, 155, 156, 174, 178, 189, 195, 201, 205, 206, 207, 208, 209, 213, 243,
           264, 306, 319, 402, 529, 1011, 1013, 1033, 1035, 4104, 4145, 8120, 8121, 8155, 8156, 8158, 8159, 10709, 10739, 134,
           109, 110, 116, 120, 121, 257, 339, 544, 1087, 2715, 8101, 8102, 8117, 8116, 11555}


def error(number: int, text: str, state: int = 1, cls: int = 16) -> SqlError:
    return SqlError(number, text, state, cls)


def syntax(near: str, line: int = 1) -> SqlError:
    return at(SqlError(102, f"Incorrect syntax near '{near}'.", 1, 15), line)


def keyword(near: str, line: int = 1) -> SqlError:
    return at(SqlError(156, f"Incorrect syntax near the keyword '{near}'.", 1, 15), line)


def at(exc: SqlError, line: int) -> SqlError:
    exc.error.line = line
    return exc


def no_column(name: str) -> SqlError:
    return error(207, f"Invalid column name '{name}'.")


def no_object(name: str) -> SqlError:
    return error(208, f"Invalid object name '{name}'.")


def not_bound(name: str) -> SqlError:
    return error(4104, f'The multi-part identifier "{name}" could not be bound.')


def no_variable(name: str) -> SqlError:
    return error(137, f'Must declare the scalar variable "{name}".', 2, 15)


def no_procedure(name: str) -> SqlError:
    return error(2812, f"Could not find stored procedure '{name}'.", 62)


def unknown_option(what: str, kind: str, line: int = 1) -> SqlError:
    return at(SqlError(155, f"'{what}' is not a recognized {kind} option.", 1, 15), line)


def unsupported(what: str, line: int) -> SqlError:
    """T-SQL that a real server takes and this one does not have."""
    return at(SqlError(40510, f"Statement '{what}' is not supported in this version of SQL Server.", 1, 16), line)


def unknown_function(name: str) -> SqlError:
    return error(195, f"'{name}' is not a recognized built-in function name.", 10, 15)


def conversion(value: Any, source: str, target: str) -> SqlError:
    return error(245, f"Conversion failed when converting the {source} value '{value}' to data type {target}.")


def bad_number(source: str, target: str) -> SqlError:
    return error(8114, f"Error converting data type {source} to {target}.", 5)


def bad_date() -> SqlError:
    return error(241, "Conversion failed when converting date and/or time from character string.")


def date_range(source: str, target: str) -> SqlError:
    return error(242, f"The conversion of a {source} data type to a {target} data type resulted in an out-of-range value.", 3)


def overflow(target: str) -> SqlError:
    return error(8115, f"Arithmetic overflow error converting expression to data type {target}.", 2)


def overflow_from(source: str, target: str) -> SqlError:
    return error(8115, f"Arithmetic overflow error converting {source} to data type {target}.", 8)


def not_allowed(source: str, target: str) -> SqlError:
    return error(529, f"Explicit conversion from data type {source} to {target} is not allowed.", 2)


def clash(left: str, right: str) -> SqlError:
    return error(206, f"Operand type clash: {left} is incompatible with {right}", 2)


def implicit(source: str, target: str) -> SqlError:
    return error(257, f"Implicit conversion from data type {source} to {target} is not allowed. "
                      "Use the CONVERT function to run this query.", 3)


def operator(left: str, right: str, op: str) -> SqlError:
    return error(402, f"The data types {left} and {right} are incompatible in the {op} operator.")


def operand(kind: str, op: str) -> SqlError:
    return error(8117, f"Operand data type {kind} is invalid for {op} operator.")


def argument(kind: str, position: int, function: str) -> SqlError:
    return error(8116, f"Argument data type {kind} is invalid for argument {position} of {function} function.")


def divide() -> SqlError:
    return error(8134, "Divide by zero error encountered.")


def null_column(column: str, table: str, what: str) -> SqlError:
    return error(515, f"Cannot insert the value NULL into column '{column}', table '{table}'; "
                      f"column does not allow nulls. {what} fails.", 2)


def truncated(table: str, column: str, value: str) -> SqlError:
    return error(2628, f"String or binary data would be truncated in table '{table}', column '{column}'. "
                       f"Truncated value: '{value}'.")


def duplicate(kind: str, constraint: str, table: str, key: str) -> SqlError:
    return error(2627, f"Violation of {kind} constraint '{constraint}'. Cannot insert duplicate key in object '{table}'. "
                       f"The duplicate key value is ({key}).", 1, 14)


def duplicate_index(index: str, table: str, key: str) -> SqlError:
    return error(2601, f"Cannot insert duplicate key row in object '{table}' with unique index '{index}'. "
                       f"The duplicate key value is ({key}).", 1, 14)


def check(verb: str, constraint: str, database: str, table: str, column: str = "") -> SqlError:
    where = f", column '{column}'" if column else ""
    return error(547, f'The {verb} statement conflicted with the CHECK constraint "{constraint}". The conflict occurred in '
                      f'database "{database}", table "{table}"{where}.', 0)


def many_rows() -> SqlError:
    return error(512, "Subquery returned more than 1 value. This is not permitted when the subquery follows "
                      "=, !=, <, <= , >, >= or when the subquery is used as an expression.")


def arguments(name: str, count: int) -> SqlError:
    return error(174, f"The {name.lower()} function requires {count} argument(s).", 1, 15)


def no_commit() -> SqlError:
    return error(3902, "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.")


def no_rollback() -> SqlError:
    return error(3903, "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.")


def in_transaction(what: str) -> SqlError:
    return error(226, f"{what} statement not allowed within multi-statement transaction.", 6)


def doomed() -> SqlError:
    return error(3930, "The current transaction cannot be committed and cannot support operations that write to the log file. "
                       "Roll back the transaction.")
