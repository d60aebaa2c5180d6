# SPDX-License-Identifier: Apache-2.0
"""Dates and times between Python and the bytes of TDS."""

from __future__ import annotations

import datetime as dt
import struct

from sqlsim import moments

_EPOCH_1900 = dt.date(1900, 1, 1).toordinal()
_DAY_US = 86_400_000_000
_MAX_ORDINAL = dt.date.max.toordinal()


def as_datetime(value) -> dt.datetime:
    """A naive datetime from a datetime, a date or a time; zones are dropped, not converted."""
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=None)
    if isinstance(value, dt.date):
        return dt.datetime(value.year, value.month, value.day)
    if isinstance(value, dt.time):
        return moments.combine(dt.date(1900, 1, 1), value)
    return moments.parse(str(value)).replace(tzinfo=None)


def _microseconds(value) -> int:
    return ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond


def encode_datetime(value) -> bytes:
    """Days since 1900 and ticks of 1/300 s."""
    value = as_datetime(value)
    days = value.toordinal() - _EPOCH_1900
    ticks = (_microseconds(value) * 300 + 500_000) // 1_000_000
    if ticks >= 300 * 86400:
        days, ticks = days + 1, 0
    return struct.pack("<iI", days, ticks)


def decode_datetime(data: bytes) -> dt.datetime:
    days, ticks = struct.unpack("<iI", data)
    # SQL Server shows ticks as whole milliseconds: 0, 3, 7.
    millis = (ticks * 10 + 1) // 3
    return _from_days(days + _EPOCH_1900) + dt.timedelta(milliseconds=millis)


def encode_smalldatetime(value) -> bytes:
    value = as_datetime(value)
    days = value.toordinal() - _EPOCH_1900
    minutes = value.hour * 60 + value.minute + (1 if _microseconds(value) % 60_000_000 >= 29_999_000 else 0)
    if minutes >= 1440:
        days, minutes = days + 1, 0
    return struct.pack("<HH", days, minutes)


def decode_smalldatetime(data: bytes) -> dt.datetime:
    days, minutes = struct.unpack("<HH", data)
    return _from_days(days + _EPOCH_1900) + dt.timedelta(minutes=minutes)


def _from_days(ordinal: int) -> dt.datetime:
    return dt.datetime.fromordinal(max(1, min(ordinal, _MAX_ORDINAL)))


def time_size(scale: int) -> int:
    return 3 if scale <= 2 else 4 if scale <= 4 else 5


def _time_units(value, scale: int) -> int:
    """Time of day in units of 10**-scale seconds, rounded half up."""
    unit = 10 ** (7 - scale)
    return (moments.tenths(value) + unit // 2) // unit


def encode_time(value, scale: int) -> bytes:
    value = value if isinstance(value, dt.time) else as_datetime(value).time()
    units = min(_time_units(value, scale), 86400 * 10**scale - 1)
    return units.to_bytes(time_size(scale), "little")


def _moment(day: dt.datetime, data: bytes, scale: int) -> dt.datetime:
    """Midnight plus the time of day, not past its end."""
    units = min(int.from_bytes(data, "little") * 10 ** (7 - scale), _DAY_US * 10 - 1)
    return moments.of(day + dt.timedelta(microseconds=units // 10), units % 10)


def decode_time(data: bytes, scale: int) -> dt.time:
    return _moment(dt.datetime.min, data, scale).time()


def encode_date(value) -> bytes:
    return (as_datetime(value).toordinal() - 1).to_bytes(3, "little")


def decode_date(data: bytes) -> dt.date:
    return _from_days(int.from_bytes(data, "little") + 1).date()


def encode_datetime2(value, scale: int) -> bytes:
    value = as_datetime(value)
    days = value.toordinal() - 1
    units = _time_units(value, scale)
    if units >= 86400 * 10**scale:
        days, units = days + 1, 0
        if days >= _MAX_ORDINAL:  # the last moment there is cannot be rounded up
            days, units = days - 1, 86400 * 10**scale - 1
    return units.to_bytes(time_size(scale), "little") + days.to_bytes(3, "little")


def decode_datetime2(data: bytes, scale: int) -> dt.datetime:
    return _moment(_from_days(int.from_bytes(data[-3:], "little") + 1), data[:-3], scale)


def encode_datetimeoffset(value, scale: int) -> bytes:
    if not isinstance(value, dt.datetime):
        value = as_datetime(value)
    offset = value.utcoffset() or dt.timedelta(0)
    utc = value.replace(tzinfo=None) - offset
    minutes = int(offset.total_seconds()) // 60
    return encode_datetime2(utc, scale) + struct.pack("<h", minutes)


def decode_datetimeoffset(data: bytes, scale: int) -> dt.datetime:
    minutes = struct.unpack("<h", data[-2:])[0]
    zone = dt.timezone(dt.timedelta(minutes=minutes))
    utc = decode_datetime2(data[:-2], scale).replace(tzinfo=dt.timezone.utc)
    return utc.astimezone(zone)
