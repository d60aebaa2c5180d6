# SPDX-License-Identifier: Apache-2.0
"""The printf forms of RAISERROR and FORMATMESSAGE."""

from __future__ import annotations

import re
from typing import Any

from .errors import error

FORM = re.compile(r"%([-+0 #]*)(\*|\d+)?(?:\.(\*|\d+))?(?:h|l|I64)?([diosuxXp%])")


def substitute(text: str, values: list[Any]) -> str:
    queue = list(values)

    def take() -> Any:
        return queue.pop(0) if queue else None

    def one(m: re.Match) -> str:
        flags, width, precision, kind = m[1], m[2], m[3], m[4]
        if kind == "%":
            return "%"
        size = take() if width == "*" else int(width) if width else 0
        places = take() if precision == "*" else int(precision) if precision else None
        value = take()
        if value is None:
            shown = "(null)"
        elif kind == "s":
            if not isinstance(value, str):
                raise mismatch()
            shown = value if places is None else value[:places]
        else:
            if not isinstance(value, int):
                raise mismatch()
            shown = number(value, kind, flags, places)
        return shown.ljust(size) if "-" in flags else shown.rjust(size, "0" if "0" in flags and kind != "s" else " ")

    return FORM.sub(one, text)


def number(value: int, kind: str, flags: str, places: Any) -> str:
    if kind in "xXou" and value < 0:
        value += 2**32
    text = {"x": f"{value:x}", "X": f"{value:X}", "o": f"{value:o}"}.get(kind, str(value))
    if places:
        text = text.rjust(places, "0")
    if "#" in flags and kind in "xX":
        text = "0" + kind + text
    return "+" + text if "+" in flags and kind in "di" and value >= 0 else text


def mismatch() -> Exception:
    return error(2786, "The data type of substitution parameter 1 does not match the expected type of the format specification.")
