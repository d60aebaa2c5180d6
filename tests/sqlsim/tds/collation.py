# SPDX-License-Identifier: Apache-2.0
"""Collation names and the five bytes that stand for them on the wire."""

from __future__ import annotations

import struct

# Language of a collation's name: LCID and the code page of its char data.
_LANGUAGES = {
    "latin1_general": (1033, "cp1252"),
    "arabic": (1025, "cp1256"),
    "chinese_prc": (2052, "cp936"),
    "cyrillic_general": (1049, "cp1251"),
    "czech": (1029, "cp1250"),
    "danish_norwegian": (1030, "cp1252"),
    "finnish_swedish": (1035, "cp1252"),
    "french": (1036, "cp1252"),
    "german_phonebook": (0x10407, "cp1252"),
    "greek": (1032, "cp1253"),
    "hebrew": (1037, "cp1255"),
    "hungarian": (1038, "cp1250"),
    "japanese": (1041, "cp932"),
    "korean_wansung": (1042, "cp949"),
    "modern_spanish": (3082, "cp1252"),
    "polish": (1045, "cp1250"),
    "turkish": (1055, "cp1254"),
    "ukrainian": (1058, "cp1251"),
}
# The sort ids of the SQL_ collations, which have no rule.
_SQL = {
    "sql_latin1_general_cp1_ci_as": 52, "sql_latin1_general_cp1_cs_as": 51, "sql_latin1_general_cp1_ci_ai": 54,
    "sql_latin1_general_cp1_ci_as_ws": 52,
}  # fmt: skip
_CASE, _ACCENT, _KANA, _WIDTH, _BIN, _BIN2, _UTF8 = (1 << n for n in range(20, 27))
_VERSIONS = {"90": 1, "100": 2, "140": 3, "160": 4}
_CHARSETS = {lcid: charset for lcid, charset in _LANGUAGES.values()}


def collation_bytes(name: str) -> bytes:
    """Unknown languages count as Latin1_General: the name is the engine's business, here only bytes depend on it."""
    lower = name.lower()
    language = next(
        (n for n in sorted(_LANGUAGES, key=len, reverse=True) if lower.removeprefix("sql_").startswith(n)), "latin1_general"
    )
    parts = lower.split("_")
    info = _LANGUAGES[language][0]
    if "bin" in parts or "bin2" in parts:
        info |= _BIN2 if "bin2" in parts else _BIN
    else:
        info |= (_CASE if "cs" not in parts else 0) | (_ACCENT if "ai" in parts else 0)
        info |= (_KANA if "ks" not in parts else 0) | (_WIDTH if "ws" not in parts else 0)
    info |= _UTF8 if "utf8" in parts else 0
    version = next((_VERSIONS[p] for p in parts if p in _VERSIONS), 0)
    return struct.pack("<IB", info | version << 28, _SQL.get(lower, 0))


def charset_of(collation: bytes) -> str:
    info = struct.unpack_from("<I", collation)[0]
    return "utf-8" if info & _UTF8 else _CHARSETS.get(info & 0xFFFFF, "cp1252")
