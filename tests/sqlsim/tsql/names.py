# SPDX-License-Identifier: Apache-2.0
"""Names of objects inside strings, as OBJECT_ID and the procedures take them."""

from __future__ import annotations

import re

PART = re.compile(r'\s*(?:\[((?:[^\]]|\]\])*)\]|"((?:[^"]|"")*)"|([^.\[\]"]*))\s*(\.|$)')


def split_name(text: str) -> list[str]:
    """'a.[b c].d' to its parts; [] when it is not a name."""
    parts, at = [], 0
    while at <= len(text):
        m = PART.match(text, at)
        if m is None:
            return []
        if m[1] is not None:
            parts.append(m[1].replace("]]", "]"))
        elif m[2] is not None:
            parts.append(m[2].replace('""', '"'))
        else:
            parts.append(m[3].strip())
        at = m.end()
        if m[4] == "":
            break
    return parts if parts[-1] else []


def quote_key(values: list[object]) -> str:
    """Key values as messages 2627 and 2601 show them."""
    return ", ".join("<NULL>" if v is None else str(v) for v in values)
