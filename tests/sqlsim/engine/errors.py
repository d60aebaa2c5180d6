# SPDX-License-Identifier: Apache-2.0
"""Texts of the errors that several places raise. Numbers, states and severities are SQL Server's."""

from __future__ import annotations

import errno
from typing import Sequence

from ..contract import Error, SqlError

OS_TEXT = {
    2: "The system cannot find the file specified.",
    3: "The system cannot find the path specified.",
    5: "Access is denied.",
    19: "The media is write protected.",
    31: "A device attached to the system is not functioning.",
    32: "The process cannot access the file because it is being used by another process.",
    38: "Reached the end of the file.",
    87: "The parameter is incorrect.",
    112: "There is not enough space on the disk.",
    995: "The I/O operation has been aborted because of either a thread exit or an application request.",
    1117: "The request could not be performed because of an I/O device error.",
}


def os_text(code: int) -> str:
    return f"{code}({OS_TEXT[code]})"


def code_of(exc: OSError) -> int:
    """The code that SQL Server shows for an errno."""
    table = {errno.ENOENT: 2, errno.ENOTDIR: 3, errno.EACCES: 5, errno.EPERM: 5, errno.EISDIR: 5, errno.EROFS: 19,
             errno.ENOSPC: 112, errno.EDQUOT: 112, errno.ETXTBSY: 32, errno.EINVAL: 87, errno.ENAMETOOLONG: 3}
    return table.get(exc.errno or 0, 1117)


def terminating(what: str) -> Error:
    return Error(3013, f"{what} is terminating abnormally.", 1, 16)


def planning() -> Error:
    return Error(3119, "Problems were identified while planning for the RESTORE statement. "
                       "Previous messages provide details.", 1, 16)


def fail(what: str, number: int, text: str, state: int = 1, cls: int = 16, also: Sequence[Error] = ()) -> SqlError:
    """An error of BACKUP or RESTORE: 3013 follows. `what` is the statement's name in 3013."""
    return SqlError(number, text, state, cls, also=[*also, terminating(what)])


def no_database(name: str, state: int = 1) -> SqlError:
    return SqlError(911, f"Database '{name}' does not exist. Make sure that the name is entered correctly.", state)


def denied(right: str, database: str) -> SqlError:
    return SqlError(262, f"{right} permission denied in database '{database}'.", 1, 14)


def server_state_denied(right: str = "VIEW SERVER STATE") -> SqlError:
    return SqlError(300, f"{right} permission was denied on object 'server', database 'master'.", 1, 14,
                    also=[Error(297, "The user does not have permission to perform this action.", 1, 16)])


def object_denied(right: str, name: str, database: str, schema: str = "dbo") -> SqlError:
    return SqlError(229, f"The {right} permission was denied on the object '{name}', database '{database}', "
                         f"schema '{schema}'.", 5, 14)
