# SPDX-License-Identifier: Apache-2.0
"""Dates and times: parsing, rounding and the text forms of CONVERT."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any, Optional

from .. import moments

MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
          "December"]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
BASE = dt.datetime(1900, 1, 1)
TIME = re.compile(r"^(\d{1,2})(?::(\d{1,2}))?(?::(\d{1,2}))?(?:[.:](\d{1,9}))?\s*(am|pm)?$", re.I)
ZONE = re.compile(r"\s*(?:(Z)|([+-])(\d{2}):(\d{2}))$", re.I)
YMD = re.compile(r"^(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})$")
MDY = re.compile(r"^(\d{1,2})[-/.](\d{1,2})[-/.](\d{4}|\d{2})$")
PACKED = re.compile(r"^(\d{4})(\d{2})(\d{2})$|^(\d{2})(\d{2})(\d{2})$")
NAMED = re.compile(r"^(?:([a-z]{3,9})\.?\s+(\d{1,2}),?\s+(\d{4})|(\d{1,2})[\s-]+([a-z]{3,9})[\s,-]+(\d{4}))$", re.I)


class Parsed:
    def __init__(self, day: Optional[dt.date], time: Optional[dt.time], nanos: int, zone: Optional[dt.timezone]) -> None:
        self.day, self.time, self.nanos, self.zone = day, time, nanos, zone


def _year(text: str) -> int:
    year = int(text)
    return year if len(text) == 4 else year + (2000 if year < 50 else 1900)


def _month(text: str) -> int:
    for at, name in enumerate(MONTHS, 1):
        if name[:3].lower() == text.lower() or name.lower() == text.lower():
            return at
    raise ValueError(text)


def _day(text: str, order: str) -> Optional[dt.date]:
    m = YMD.match(text)
    if m:
        return dt.date(int(m[1]), int(m[2]), int(m[3]))
    m = PACKED.match(text)
    if m:
        return dt.date(int(m[1]), int(m[2]), int(m[3])) if m[1] else dt.date(_year(m[4]), int(m[5]), int(m[6]))
    m = MDY.match(text)
    if m:
        values = dict(zip(order, (m[1], m[2], m[3])))
        return dt.date(_year(values["y"]), int(values["m"]), int(values["d"]))
    m = NAMED.match(text)
    if m:
        return dt.date(int(m[3]), _month(m[1]), int(m[2])) if m[1] else dt.date(int(m[6]), _month(m[5]), int(m[4]))
    return None


def _time(text: str) -> Optional[tuple[dt.time, int]]:
    m = TIME.match(text)
    if not m or (m[2] is None and m[5] is None):
        return None
    hour = int(m[1])
    if m[5]:
        if not 1 <= hour <= 12:
            raise ValueError(text)
        hour = hour % 12 + (12 if m[5].lower() == "pm" else 0)
    nanos = int((m[4] or "0").ljust(9, "0"))
    return dt.time(hour, int(m[2] or 0), int(m[3] or 0), nanos // 1000), nanos


def parse(text: str, order: str = "mdy") -> Parsed:
    """Raises ValueError when it is neither a date nor a time."""
    text = text.strip()
    zone, m = None, ZONE.search(text)
    if m and ":" in text[:m.start()]:
        minutes = 0 if m[1] else (int(m[3]) * 60 + int(m[4])) * (-1 if m[2] == "-" else 1)
        if abs(minutes) > 840:
            raise ValueError(text)
        zone, text = dt.timezone(dt.timedelta(minutes=minutes)), text[:m.start()]
    if not text:
        return Parsed(None, None, 0, zone)
    day = _day(text, order)
    if day is not None:
        return Parsed(day, None, 0, zone)
    clock = _time(text)
    if clock is not None:
        return Parsed(None, clock[0], clock[1], zone)
    split = text.find("T") if re.match(r"^\d{4}-?\d{2}-?\d{2}T", text) else -1
    places = [split] if split > 0 else [i for i, c in enumerate(text) if c == " "][::-1]
    for at in places:
        head, tail = text[:at].strip(), text[at + 1:].strip()
        try:
            clock, day = _time(tail), _day(head, order)
        except ValueError:
            raise
        if clock is not None and day is not None:
            return Parsed(day, clock[0], clock[1], zone)
    raise ValueError(text)


def round_datetime(value: dt.datetime) -> dt.datetime:
    """To ticks of 1/300 s, shown as .000 .003 .007."""
    micros = ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond
    ticks = (micros * 300 + 500_000) // 1_000_000
    whole, part = divmod(ticks, 300)
    return dt.datetime(value.year, value.month, value.day) + dt.timedelta(seconds=whole, milliseconds=(part * 10 + 1) // 3)


def round_micros(value: dt.datetime, scale: int) -> dt.datetime:
    if scale >= 7:
        return value
    unit = 10 ** (7 - scale)
    extra = (value.microsecond * 10 + moments.tick(value)) % unit
    if not extra:
        return value
    low = moments.of(value, 0) - dt.timedelta(microseconds=extra // 10)
    if extra * 2 < unit:
        return low
    try:
        return low + dt.timedelta(microseconds=unit // 10)
    except OverflowError:
        return low


def round_minute(value: dt.datetime) -> dt.datetime:
    base = value.replace(second=0, microsecond=0)
    late = value.second * 1_000_000 + value.microsecond >= 29_999_000
    return base + dt.timedelta(minutes=1) if late else base


def fraction(value: Any, scale: int) -> str:
    return "" if scale == 0 else "." + f"{value.microsecond:06d}{moments.tick(value)}"[:scale]


def clock(value: Any, scale: int) -> str:
    return f"{value.hour:02d}:{value.minute:02d}:{value.second:02d}" + fraction(value, scale)


def day(value: Any) -> str:
    return f"{value.year:04d}-{value.month:02d}-{value.day:02d}"


def offset_text(value: dt.datetime) -> str:
    minutes = int(value.utcoffset().total_seconds()) // 60
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


def _twelve(value: Any, seconds: str = "") -> str:
    hour = value.hour % 12 or 12
    return f"{hour:>2}:{value.minute:02d}{seconds}{'AM' if value.hour < 12 else 'PM'}"


def default_text(value: Any, kind: str, scale: int) -> str:
    """CAST(x AS varchar)."""
    if kind == "date":
        return day(value)
    if kind == "time":
        return clock(value, scale)
    if kind == "datetime2":
        return f"{day(value)} {clock(value, scale)}"
    if kind == "datetimeoffset":
        return f"{day(value)} {clock(value, scale)} {offset_text(value)}"
    return style_text(value, kind, scale, 0)


def _parts(value: Any) -> tuple[str, str, str, str]:
    mon = MONTHS[value.month - 1][:3]
    return f"{value.year:04d}", f"{value.month:02d}", f"{value.day:02d}", mon


def style_text(value: Any, kind: str, scale: int, style: int) -> str:
    """CONVERT(varchar, x, style). Raises KeyError for a style that does not exist."""
    if isinstance(value, dt.time):
        return _time_style(value, scale, style)
    if not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day)
        if style in (20, 21, 120, 121, 25, 126, 127, 23, 0, 100, 9, 109):
            return day(value) if style not in (0, 100, 9, 109) else f"{MONTHS[value.month - 1][:3]} {value.day:>2} {value.year}"
    year, month, date, mon = _parts(value)
    if 0 < style < 15 and style not in (8, 9, 13, 14):
        year = year[2:]
    seconds = clock(value, 0)
    scale = 3 if kind == "datetime" else 0 if kind == "smalldatetime" else scale
    micro = clock(value, scale)
    zone = " " + offset_text(value) if kind == "datetimeoffset" else ""
    iso = f"{day(value)}T" + (micro if value.microsecond or moments.tick(value) or kind not in ("datetime", "smalldatetime") else seconds)
    forms = {
        0: lambda: f"{mon} {value.day:>2} {year} {_twelve(value)}", 1: lambda: f"{month}/{date}/{year}",
        2: lambda: f"{year}.{month}.{date}", 3: lambda: f"{date}/{month}/{year}", 4: lambda: f"{date}.{month}.{year}",
        5: lambda: f"{date}-{month}-{year}", 6: lambda: f"{date} {mon} {year}", 7: lambda: f"{mon} {date}, {year}",
        8: lambda: seconds, 9: lambda: f"{mon} {value.day:>2} {year} {_twelve(value, ':' + micro[6:].replace('.', ':'))}",
        10: lambda: f"{month}-{date}-{year}", 11: lambda: f"{year}/{month}/{date}", 12: lambda: f"{year}{month}{date}",
        13: lambda: f"{date} {mon} {year} {micro.replace('.', ':')}", 14: lambda: micro.replace(".", ":"),
        20: lambda: f"{day(value)} {seconds}{zone}", 21: lambda: f"{day(value)} {micro}{zone}", 23: lambda: day(value),
        24: lambda: seconds, 25: lambda: f"{day(value)} {micro}{zone}", 22: lambda:
        f"{month}/{date}/{year[2:]} {_twelve(value, ':' + f'{value.second:02d}')}",
        126: lambda: iso + zone.strip(), 127: lambda: _utc_iso(value, iso, scale, bool(zone)),
    }
    low = style - 100 if 100 <= style <= 125 else style
    if low not in forms or (style in (123, 122)):
        raise KeyError(style)
    return forms[low]()


def _utc_iso(value: dt.datetime, iso: str, scale: int, zoned: bool) -> str:
    if not zoned:
        return iso
    utc = value.astimezone(dt.timezone.utc)
    return f"{day(utc)}T{clock(utc, scale)}Z"


def _time_style(value: dt.time, scale: int, style: int) -> str:
    low = style - 100 if 100 <= style <= 125 else style
    if low in (0,):
        return _twelve(value)
    if low in (8, 20, 24):
        return clock(value, 0)
    if low in (9,):
        return _twelve(value, ":" + clock(value, scale)[6:])
    if low in (13, 14, 21, 25, 126, 127):
        return clock(value, scale)
    raise KeyError(style)
