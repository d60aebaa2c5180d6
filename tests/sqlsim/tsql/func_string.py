# SPDX-License-Identifier: Apache-2.0
"""String functions."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from .. import moments
from ..contract import SqlType
from . import dates, errors, types
from .expr import Ex, coerce, constant
from .functions import as_int, as_text, register, same_text, strict
from .ops import like_regex


def _size(ex: Ex) -> SqlType:
    return types.BIGINT if ex.type.length < 0 else types.INT


@register("LEN", 1)
def _len(c: Any, args: list[Ex], node: Any) -> Ex:
    if args[0].type.kind in types.BINARIES:
        return strict(_size(args[0]), args, len)
    text = as_text(args[0])
    return strict(_size(text), [text], lambda s: len(s.rstrip(" ")))


@register("DATALENGTH", 1)
def _datalength(c: Any, args: list[Ex], node: Any) -> Ex:
    t = args[0].type
    fixed = {"int": 4, "bigint": 8, "smallint": 2, "tinyint": 1, "bit": 1, "float": 8, "real": 4, "money": 8, "smallmoney": 4,
             "uniqueidentifier": 16, "datetime": 8, "smalldatetime": 4, "date": 3}.get(t.kind)
    if t.kind in types.EXACT:
        fixed = 5 if t.precision <= 9 else 9 if t.precision <= 19 else 13 if t.precision <= 28 else 17
    if t.kind in ("datetime2", "datetimeoffset", "time"):
        fixed = (3 if t.scale <= 2 else 4 if t.scale <= 4 else 5) + {"datetime2": 3, "datetimeoffset": 5, "time": 0}[t.kind]
    if fixed is not None:
        return strict(types.INT, args, lambda v: fixed)
    if t.kind in types.WIDE:
        return strict(_size(args[0]), args, lambda s: len(s.encode("utf-16-le")))
    if t.kind == "sql_variant":
        return strict(types.INT, args, lambda v: len(v.encode("utf-16-le")) if isinstance(v, str) else
                      len(v) if isinstance(v, bytes) else 8 if isinstance(v, float) else 4)
    return strict(_size(args[0]), args, len)


@register("LEFT", 2)
def _left(c: Any, args: list[Ex], node: Any) -> Ex:
    text, count = as_text(args[0]), as_int(args[1])

    def run(s: str, n: int) -> str:
        if n < 0:
            raise errors.error(536, "Invalid length parameter passed to the left function.")
        return s[:n]

    return strict(same_text(text, count.lit if isinstance(count.lit, int) else None), [text, count], run)


@register("RIGHT", 2)
def _right(c: Any, args: list[Ex], node: Any) -> Ex:
    text, count = as_text(args[0]), as_int(args[1])

    def run(s: str, n: int) -> str:
        if n < 0:
            raise errors.error(536, "Invalid length parameter passed to the right function.")
        return s[-n:] if n else ""

    return strict(same_text(text, count.lit if isinstance(count.lit, int) else None), [text, count], run)


@register("SUBSTRING", 3)
def _substring(c: Any, args: list[Ex], node: Any) -> Ex:
    binary = args[0].type.kind in types.BINARIES
    text, start, count = args[0] if binary else as_text(args[0]), as_int(args[1]), as_int(args[2])

    def run(s: Any, at: int, n: int) -> Any:
        if n < 0:
            raise errors.error(537, "Invalid length parameter passed to the LEFT or SUBSTRING function.")
        return s[max(at - 1, 0):max(at - 1 + n, 0)]

    length = count.lit if isinstance(count.lit, int) else None
    target = SqlType("varbinary", max(1, length or text.type.length) if text.type.length > 0 else -1) if binary else \
        same_text(text, min(length, text.type.length) if length is not None and text.type.length > 0 else None)
    return strict(target, [text, start, count], run)


@register("REPLACE", 3)
def _replace(c: Any, args: list[Ex], node: Any) -> Ex:
    texts = [as_text(a) for a in args]

    def run(s: str, old: str, new: str) -> str:
        return re.sub(re.escape(old), lambda m: new, s, flags=re.I) if old else s

    wide = any(t.type.kind in types.WIDE for t in texts)
    big = any(t.type.length < 0 for t in texts)
    return strict(SqlType("nvarchar" if wide else "varchar", -1 if big else 4000 if wide else 8000), texts, run)


def _simple(name: str, impl: Any) -> None:
    @register(name, 1)
    def build(c: Any, args: list[Ex], node: Any) -> Ex:
        text = as_text(args[0])
        return strict(same_text(text), [text], impl)


_simple("UPPER", str.upper)
_simple("LOWER", str.lower)
_simple("REVERSE", lambda s: s[::-1])


@register("LTRIM RTRIM", 1, 2)
def _trim_side(c: Any, args: list[Ex], node: Any) -> Ex:
    texts = [as_text(a) for a in args]
    strip = str.lstrip if node.name == "LTRIM" else str.rstrip
    return strict(same_text(texts[0]), texts, lambda s, chars=" ": strip(s, chars))


@register("TRIM", 1, 3)
def _trim(c: Any, args: list[Ex], node: Any) -> Ex:
    texts = [as_text(a) for a in args]

    def run(s: str, chars: str = " ", side: str = "BOTH") -> str:
        return s.strip(chars) if side == "BOTH" else s.lstrip(chars) if side == "LEADING" else s.rstrip(chars)

    return strict(same_text(texts[0]), texts, run)


@register("CHARINDEX", 2, 3)
def _charindex(c: Any, args: list[Ex], node: Any) -> Ex:
    texts = [as_text(args[0]), as_text(args[1]), *[as_int(a) for a in args[2:]]]
    return strict(_size(texts[1]), texts, lambda what, s, at=1: s.lower().find(what.lower(), max(at - 1, 0)) + 1 if what else 0)


@register("PATINDEX", 2)
def _patindex(c: Any, args: list[Ex], node: Any) -> Ex:
    texts = [as_text(a) for a in args]

    def run(pattern: str, s: str) -> int:
        if not pattern.startswith("%"):
            return 1 if like_regex(pattern, "", False, False).match(s) else 0
        rest = like_regex(pattern[1:], "", False, False)
        return next((i + 1 for i in range(len(s) + 1) if rest.match(s, i)), 0)

    return strict(_size(texts[1]), texts, run)


@register("REPLICATE", 2)
def _replicate(c: Any, args: list[Ex], node: Any) -> Ex:
    text, count = as_text(args[0]), as_int(args[1])
    big = text.type.length < 0
    wide = text.type.kind in types.WIDE
    limit = 4000 if wide else 8000

    def run(s: str, n: int) -> Any:
        if n < 0:
            return None
        return s * n if big else (s * min(n, limit // max(len(s), 1) + 1))[:limit]

    return strict(SqlType("nvarchar" if wide else "varchar", -1 if big else limit), [text, count], run)


@register("SPACE", 1)
def _space(c: Any, args: list[Ex], node: Any) -> Ex:
    return strict(SqlType("varchar", 8000), [as_int(args[0])], lambda n: " " * min(n, 8000) if n >= 0 else None)


@register("CONCAT", 2, 254)
def _concat(c: Any, args: list[Ex], node: Any) -> Ex:
    return _join(args, None)


@register("CONCAT_WS", 3, 254)
def _concat_ws(c: Any, args: list[Ex], node: Any) -> Ex:
    return _join(args[1:], as_text(args[0]))


def _join(args: list[Ex], separator: Any) -> Ex:
    texts = [as_text(a) for a in args]
    fns = [t.fn for t in texts]
    wide = any(t.type.kind in types.WIDE for t in texts)
    big = any(t.type.length < 0 for t in texts)
    size = sum(t.type.length for t in texts) + (separator.type.length * (len(texts) - 1) if separator is not None else 0)
    target = SqlType("nvarchar" if wide else "varchar", -1 if big else max(1, min(size, 4000 if wide else 8000)))
    between = separator.fn if separator is not None else lambda r: ""

    def run(r: Any) -> str:
        values = [fn(r) for fn in fns]
        if separator is None:
            return "".join(v for v in values if v is not None)
        return (between(r) or "").join(v for v in values if v is not None)

    return Ex(run, target, False)


@register("STUFF", 4)
def _stuff(c: Any, args: list[Ex], node: Any) -> Ex:
    texts = [as_text(args[0]), as_int(args[1]), as_int(args[2]), coerce(as_text(args[3]), as_text(args[3]).type)]
    new_fn = texts[3].fn

    def run(s: str, at: int, n: int) -> Any:
        if at <= 0 or at > len(s) or n < 0:
            return None
        return s[:at - 1], s[at - 1 + n:]

    inner = strict(types.NMAX, texts[:3], run)
    wide = texts[0].type.kind in types.WIDE or texts[3].type.kind in types.WIDE
    big = texts[0].type.length < 0

    def join(r: Any) -> Any:
        ends = inner.fn(r)
        return None if ends is None else ends[0] + (new_fn(r) or "") + ends[1]

    return Ex(join, SqlType("nvarchar" if wide else "varchar", -1 if big else 4000 if wide else 8000))


@register("QUOTENAME", 1, 2)
def _quotename(c: Any, args: list[Ex], node: Any) -> Ex:
    def run(s: str, q: str = "[") -> Any:
        pairs = {"[": "[]", "]": "[]", "'": "''", '"': '""', "(": "()", ")": "()", "<": "<>", ">": "<>", "{": "{}", "}": "{}",
                 "`": "``"}
        if len(s) > 128 or q[:1] not in pairs:
            return None
        a, b = pairs[q[0]]
        return a + s.replace(b, b + b) + b

    return strict(SqlType("nvarchar", 258), [coerce(a, types.SYSNAME if i else SqlType("nvarchar", 4000), True)
                                             for i, a in enumerate(args)], run)


@register("CHAR", 1)
def _char(c: Any, args: list[Ex], node: Any) -> Ex:
    return strict(SqlType("char", 1), [as_int(args[0])],
                  lambda n: bytes([n]).decode("cp1252", "replace") if 0 <= n <= 255 else None)


@register("NCHAR", 1)
def _nchar(c: Any, args: list[Ex], node: Any) -> Ex:
    return strict(SqlType("nchar", 1), [as_int(args[0])], lambda n: chr(n) if 0 <= n <= 0xFFFF else None)


@register("ASCII", 1)
def _ascii(c: Any, args: list[Ex], node: Any) -> Ex:
    return strict(types.INT, [as_text(args[0])], lambda s: s[:1].encode("cp1252", "replace")[0] if s else None)


@register("UNICODE", 1)
def _unicode(c: Any, args: list[Ex], node: Any) -> Ex:
    return strict(types.INT, [as_text(args[0])], lambda s: ord(s[0]) if s else None)


@register("STR", 1, 3)
def _str(c: Any, args: list[Ex], node: Any) -> Ex:
    numbers = [coerce(args[0], types.FLOAT, True), *[as_int(a) for a in args[1:]]]

    def run(x: float, length: int = 10, places: int = 0) -> str:
        text = f"{Decimal(repr(x)).quantize(Decimal(1).scaleb(-max(0, min(places, 16))), rounding='ROUND_HALF_UP'):f}"
        if len(text) > length:
            whole = text.split(".")[0]
            text = "*" * length if len(whole) > length else text[:length].rstrip(".")
        return text.rjust(length)

    return strict(SqlType("varchar", 8000 if len(args) > 1 else 10), numbers, run)


@register("STRING_ESCAPE", 2)
def _string_escape(c: Any, args: list[Ex], node: Any) -> Ex:
    import json
    return strict(types.NMAX, [as_text(a) for a in args], lambda s, kind: json.dumps(s, ensure_ascii=False)[1:-1].replace("/", "\\/"))


@register("TRANSLATE", 3)
def _translate(c: Any, args: list[Ex], node: Any) -> Ex:
    def run(s: str, a: str, b: str) -> str:
        if len(a) != len(b):
            raise errors.error(9828, "The second and third arguments of the TRANSLATE built-in function must contain an equal "
                                     "number of characters.")
        return s.translate({ord(x): y for x, y in zip(a, b)})

    return strict(same_text(as_text(args[0])), [as_text(a) for a in args], run)


@register("DIFFERENCE SOUNDEX", 1, 2)
def _soundex(c: Any, args: list[Ex], node: Any) -> Ex:
    def code(s: str) -> str:
        groups = {**dict.fromkeys("BFPV", "1"), **dict.fromkeys("CGJKQSXZ", "2"), **dict.fromkeys("DT", "3"), "L": "4",
                  **dict.fromkeys("MN", "5"), "R": "6"}
        s = s.upper()
        if not s[:1].isalpha():
            return "0000"
        out, last = s[0], groups.get(s[0], "")
        for ch in s[1:]:
            digit = groups.get(ch, "")
            if digit and digit != last:
                out += digit
            if ch not in "HW":
                last = digit
        return out[:4].ljust(4, "0")

    if node.name == "SOUNDEX":
        return strict(SqlType("varchar", 4), [as_text(args[0])], code)
    return strict(types.INT, [as_text(a) for a in args], lambda a, b: sum(x == y for x, y in zip(code(a), code(b))))


FORMAT_TOKEN = re.compile(r"yyyy|yy|MMMM|MMM|MM|M|dddd|ddd|dd|d|HH|H|hh|h|mm|m|ss|s|f+|F+|tt|zzz|\\.|'[^']*'|.", re.S)


def format_time(value: Any, pattern: str) -> str:
    out = []
    for token in FORMAT_TOKEN.findall(pattern):
        c = token[0]
        if token in ("yyyy", "yy"):
            out.append(f"{value.year:04d}"[-len(token):])
        elif c == "M":
            name = dates.MONTHS[value.month - 1]
            out.append({1: str(value.month), 2: f"{value.month:02d}", 3: name[:3], 4: name}[len(token)])
        elif c == "d":
            name = dates.DAYS[value.weekday()] if len(token) > 2 else ""
            out.append({1: str(value.day), 2: f"{value.day:02d}", 3: name[:3], 4: name}[len(token)])
        elif token in ("HH", "H", "hh", "h", "mm", "m", "ss", "s"):
            number = {"H": value.hour, "h": value.hour % 12 or 12, "m": value.minute, "s": value.second}[c]
            out.append(f"{number:02d}" if len(token) == 2 else str(number))
        elif c in "fF":
            out.append(f"{value.microsecond:06d}{moments.tick(value)}"[:len(token)])
        elif token == "tt":
            out.append("AM" if value.hour < 12 else "PM")
        elif token == "zzz":
            out.append(dates.offset_text(value) if value.tzinfo else "")
        else:
            out.append(token[1:] if c == "\\" else token.strip("'") if c == "'" else token)
    return "".join(out)


def format_number(value: Any, pattern: str) -> Any:
    m = re.fullmatch(r"([NFDPCnfdpc])(\d*)", pattern)
    if m:
        kind, places = m[1].upper(), int(m[2]) if m[2] else (0 if m[1].upper() == "D" else 2)
        if kind == "D":
            return f"{int(value):0{places}d}"
        number = Decimal(str(value)) * (100 if kind == "P" else 1)
        number = number.quantize(Decimal(1).scaleb(-places), rounding="ROUND_HALF_UP")
        text = f"{number:,f}" if kind != "F" else f"{number:f}"
        return text + (" %" if kind == "P" else "") if kind != "C" else "$" + text
    if re.fullmatch(r"[Xx]\d*", pattern):
        return f"{int(value):0{pattern[1:] or 1}{pattern[0]}}"
    m = re.fullmatch(r"([#,0]*)(?:\.([0#]*))?", pattern)
    if not m:
        return None
    whole, part = m[1], m[2] or ""
    number = Decimal(str(value)).quantize(Decimal(1).scaleb(-len(part)), rounding="ROUND_HALF_UP")
    sign, text = "-" if number < 0 else "", f"{abs(number):,f}" if "," in whole else f"{abs(number):f}"
    head, _, tail = text.partition(".")
    head = head.rjust(whole.count("0"), "0") if whole.count("0") else (head if head != "0" else "")
    while tail and tail[-1] == "0" and part[len(tail) - 1] == "#":
        tail = tail[:-1]
    return sign + head + ("." + tail if tail else "")


@register("FORMAT", 2, 3)
def _format(c: Any, args: list[Ex], node: Any) -> Ex:
    kind = args[0].type.kind
    if kind not in types.NUMBERS | types.TIMES or kind == "bit":
        raise errors.argument(types.label(args[0].type), 1, "format")
    impl = format_time if kind in types.TIMES else format_number
    if kind == "date":
        return strict(SqlType("nvarchar", 4000), [coerce(args[0], types.DATETIME2), as_text(args[1])], impl)
    return strict(SqlType("nvarchar", 4000), [args[0], as_text(args[1])], impl)


@register("ISNUMERIC", 1)
def _isnumeric(c: Any, args: list[Ex], node: Any) -> Ex:
    pattern = re.compile(r"^\s*[$]?\s*[+-]?\s*[$]?(\d[\d,]*\.?\d*|\.\d+)([eEdD][+-]?\d+)?\s*$")
    if args[0].type.kind in types.NUMBERS:
        return Ex(lambda r, fn=args[0].fn: int(fn(r) is not None), types.INT, False)
    if args[0].type.kind not in types.STRINGS | {"null"}:
        return constant(0, types.INT)
    fn = args[0].fn
    return Ex(lambda r: int(bool(pattern.match(fn(r) or ""))), types.INT, False)

