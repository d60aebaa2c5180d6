# SPDX-License-Identifier: Apache-2.0
"""Where the files of a restored database go, and what stands against it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Optional, Sequence

from ..contract import Error, SqlError
from . import errors
from .database import Database

if TYPE_CHECKING:
    from .restore import Job
    from .server import Server


def plan(job: "Job", db: Optional[Database], meta: dict) -> list[tuple[dict, str]]:
    """(file of the set, path). All problems are reported, then 3119 and 3013."""
    targets = {f["logical"].casefold(): f["physical"] for f in meta["files"]}
    for logical, physical in job.options.get("MOVE") or []:
        if logical.casefold() not in targets:
            raise job.fail(3234, f"Logical file '{logical}' is not part of database '{meta['database_name']}'. Use RESTORE FILELISTONLY to "
                                 "list the logical file names.", 2)
        targets[logical.casefold()] = place(job.server, physical)
    out = [(f, targets[f["logical"].casefold()]) for f in meta["files"]]
    seen: dict[str, dict] = {}
    for file, path in out:
        if path in seen:
            raise job.fail(3176, f"File '{path}' is claimed by '{file['logical']}'({file['file_id']}) and "
                                 f"'{seen[path]['logical']}'({seen[path]['file_id']}). The WITH MOVE clause can be used to relocate one or "
                                 "more files.")
        seen[path] = file
    problems: list[Error] = []
    for file, path in out:
        problems.extend(_problems(job, db, file, path))
    limit = job.server.size_limit
    total = sum(f["size"] for f in meta["files"] if f["type"] == "D")
    if limit and total > limit:
        problems.insert(0, Error(1827, "CREATE DATABASE or ALTER DATABASE failed because the resulting cumulative database size would exceed your "
                                       f"licensed limit of {limit >> 20} MB per database.", 2, 16))
    if not problems:
        problems = room(job.server, out, [f.physical for f in db.state.files] if db is not None else [])
    if problems:
        first, rest = problems[0], problems[1:]
        raise SqlError(first.number, first.text, first.state, first.cls, [*rest, errors.planning(), errors.terminating(job.what)])
    return out


def place(server: "Server", typed: str) -> str:
    """Where a file of a database goes; without a directory beside those of the instance."""
    path = typed[2:].replace("\\", "/") if re.match(r"[A-Za-z]:[\\/]", typed) else typed
    return path if os.path.isabs(path) else os.path.join(server.data_dir, path)


def _cannot(file: dict, path: str, state: int = 1) -> Error:
    return Error(3156, f"File '{file['logical']}' cannot be restored to '{path}'. Use WITH MOVE to identify a valid location for the file.",
                 state, 16)


def _problems(job: "Job", db: Optional[Database], file: dict, path: str) -> list[Error]:
    for other in list(job.server.dbs.values()):
        if other is not db and any(os.path.realpath(f.physical) == os.path.realpath(path) for f in other.state.files):
            return [Error(1834, f"The file '{path}' cannot be overwritten. It is being used by database '{other.name}'.", 1, 16),
                    _cannot(file, path, 4)]
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        return [Error(5133, f'Directory lookup for the file "{path}" failed with the operating system error {errors.os_text(2)}.', 1, 16),
                _cannot(file, path, 3)]
    mine = db is not None and any(f.physical == path for f in db.state.files)
    if os.path.exists(path) and not mine and not job.options.get("REPLACE"):
        return [Error(3142, f"File '{path}' cannot be restored over the existing \"{path}\". Reissue the RESTORE statement using WITH REPLACE "
                            "to overwrite pre-existing files, or WITH MOVE to identify an alternate location.", 1, 16)]
    denied = job.server.faults.denied(path) or not os.access(path if os.path.exists(path) else folder, os.W_OK)
    if denied:
        return [Error(3634, f"The operating system returned the error '{errors.os_text(5)}' while attempting "
                            f"'RestoreContainer::ValidateTargetForCreation' on '{path}'.", 1, 16), _cannot(file, path, 8)]
    return []


def room(server: "Server", files: list[tuple[dict, str]], replaced: Sequence[str] = ()) -> list[Error]:
    """3257 for each volume that cannot take the files that go there. Files need the size that they have in the set, whatever of it
    is in use; those that are overwritten make room first."""
    need: dict[str, int] = {}
    for file, path in files:
        volume = server.faults.volume(os.path.dirname(path))
        need[volume] = need.get(volume, 0) + file["size"]
    for path in replaced:
        volume = server.faults.volume(os.path.dirname(path))
        if volume in need and os.path.exists(path):
            need[volume] -= max(8 << 20, os.path.getsize(path))
    problems = []
    for volume, count in need.items():
        free = server.faults.on_free(volume)
        if server.faults.check_space and count > free:
            problems.append(Error(3257, f"There is insufficient free space on disk volume '{volume}' to create the database. The database "
                                        f"requires {count} additional free bytes, while only {free} bytes are available.", 1, 16))
    return problems
