# SPDX-License-Identifier: Apache-2.0
"""The server's wall clock: the machine's, plus what a test added, in the server's zone."""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo

UTC = dt.timezone.utc
EPOCH = dt.datetime(1970, 1, 1)


def zone(name: str) -> dt.tzinfo:
    """`UTC`, an offset such as `+02:00`, or a name of the zone database. Raises ValueError."""
    if name.upper() in ("UTC", "GMT", "Z"):
        return UTC
    found = re.fullmatch(r"([+-])(\d\d):?(\d\d)", name)
    if found:
        delta = dt.timedelta(hours=int(found[2]), minutes=int(found[3]))
        return dt.timezone(delta if found[1] == "+" else -delta)
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, OSError) as exc:
        raise ValueError(f"unknown time zone {name!r}") from exc


class Clock:
    def __init__(self, zone_name: str) -> None:
        self.name = zone_name
        self.zone = zone(zone_name)
        self.offset = dt.timedelta()

    def now(self) -> dt.datetime:
        return (dt.datetime.now(UTC) + self.offset).astimezone(self.zone)

    def local(self) -> dt.datetime:
        """Naive local time."""
        return self.now().replace(tzinfo=None)

    def local_second(self) -> dt.datetime:
        return self.local().replace(microsecond=0)

    def offset_minutes(self) -> int:
        return int(self.now().utcoffset().total_seconds() // 60)

    def quarter_hours(self) -> int:
        return self.offset_minutes() // 15


def micros(when: dt.datetime) -> int:
    return (when - EPOCH) // dt.timedelta(microseconds=1)


def from_micros(value: int) -> dt.datetime:
    return EPOCH + dt.timedelta(microseconds=value)


def ticks(when: dt.datetime) -> dt.datetime:
    """Rounded to 1/300 s as the type datetime is, with the milliseconds that clients see."""
    whole = when.replace(microsecond=0)
    count = (when.microsecond * 300 + 500_000) // 1_000_000
    return whole + dt.timedelta(milliseconds=(count * 10 + 1) // 3)
