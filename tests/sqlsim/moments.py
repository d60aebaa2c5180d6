# SPDX-License-Identifier: Apache-2.0
"""Times with seven digits. Python's have six: the seventh is an attribute of a subclass, which only values use that have one."""

from __future__ import annotations

import datetime as dt
from typing import Any, Union


def tick(value: Any) -> int:
    """The seventh digit."""
    return getattr(value, "tick", 0)


def of(value: Any, digit: int) -> Any:
    """A datetime or time with a seventh digit; a plain one for 0."""
    if isinstance(value, dt.datetime):
        kind = Moment if digit else dt.datetime
        made = kind(value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond, value.tzinfo)
    else:
        made = (Clock if digit else dt.time)(value.hour, value.minute, value.second, value.microsecond)
    if digit:
        made.tick = digit
    return made


class _Ticks:
    """Comparisons: the digit decides between values that are equal otherwise."""

    tick = 0

    def __eq__(self, other: Any) -> Any:
        same = super().__eq__(other)
        return same if same is not True else self.tick == tick(other)

    def __ne__(self, other: Any) -> Any:
        same = self.__eq__(other)
        return same if same is NotImplemented else not same

    def __lt__(self, other: Any) -> Any:
        less = super().__lt__(other)
        return less if less is not False or super().__eq__(other) is not True else self.tick < tick(other)

    def __gt__(self, other: Any) -> Any:
        more = super().__gt__(other)
        return more if more is not False or super().__eq__(other) is not True else self.tick > tick(other)

    def __le__(self, other: Any) -> Any:
        more = self.__gt__(other)
        return more if more is NotImplemented else not more

    def __ge__(self, other: Any) -> Any:
        less = self.__lt__(other)
        return less if less is NotImplemented else not less

    def __hash__(self) -> int:
        return hash((super().__hash__(), self.tick))


class Moment(_Ticks, dt.datetime):
    def replace(self, *args: Any, **parts: Any) -> dt.datetime:
        return of(super().replace(*args, **parts), 0 if "microsecond" in parts or len(args) > 6 else self.tick)

    def astimezone(self, tz: Any = None) -> dt.datetime:
        return of(of(self, 0).astimezone(tz), self.tick)

    def __add__(self, delta: dt.timedelta) -> dt.datetime:
        return of(of(self, 0) + delta, self.tick)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        done = of(self, 0) - (of(other, 0) if isinstance(other, Moment) else other)
        return of(done, self.tick) if isinstance(done, dt.datetime) else done

    def time(self) -> dt.time:
        return of(super().time(), self.tick)

    def isoformat(self, sep: str = "T", timespec: str = "auto") -> str:
        text = of(self, 0).isoformat(sep, "microseconds")
        return text[:26] + str(self.tick) + text[26:]


class Clock(_Ticks, dt.time):
    def isoformat(self, timespec: str = "auto") -> str:
        return of(self, 0).isoformat("microseconds") + str(self.tick)


def combine(day: dt.date, clock: dt.time) -> dt.datetime:
    return of(dt.datetime.combine(day, clock), tick(clock))


def parse(text: str) -> dt.datetime:
    """What isoformat wrote."""
    digit = int(text[26]) if len(text) > 26 and text[26].isdigit() else 0
    return of(dt.datetime.fromisoformat(text[:26] + text[27:]), digit) if digit else dt.datetime.fromisoformat(text)


def parse_clock(text: str) -> dt.time:
    return of(dt.time.fromisoformat(text[:15]), int(text[15])) if len(text) > 15 else dt.time.fromisoformat(text)


def tenths(value: Union[dt.datetime, dt.time]) -> int:
    """Units of 100 ns since midnight."""
    return (((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond) * 10 + tick(value)
