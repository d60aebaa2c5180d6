# SPDX-License-Identifier: Apache-2.0
"""PRELOGIN and LOGIN7 in, their replies out."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Optional

from sqlsim.contract import Error, Info, Login
from sqlsim.tds.tokens import done_token, envchange_token, message_token
from sqlsim.tds.wire import TDS71, TDS72, TDS73, TDS74, Buf, ProtocolError, WireEnv, b_varchar, utf16_encode

ENCRYPT_OFF, ENCRYPT_ON, ENCRYPT_NOT_SUP, ENCRYPT_REQ = 0, 1, 2, 3

PRE_VERSION, PRE_ENCRYPTION, PRE_INSTOPT, PRE_THREADID, PRE_MARS, PRE_TRACEID, PRE_FEDAUTH, PRE_NONCE = range(8)
LOGIN7_FIXED = 94
LOGIN7_MAX = 128 * 1024
FEATURE_UTF8 = 0x0A


def read_prelogin(data: bytes) -> dict[int, bytes]:
    buf, options = Buf(data), {}
    while (token := buf.u8()) != 0xFF:
        offset, size = struct.unpack(">HH", buf.take(4))
        if offset + size > len(data):
            raise ProtocolError("a PRELOGIN option points past the packet")
        options[token] = data[offset : offset + size]
    return options


def prelogin_bytes(options: list[tuple[int, bytes]]) -> bytes:
    offset = 5 * len(options) + 1
    head, data = b"", b""
    for token, value in options:
        head += struct.pack(">BHH", token, offset, len(value))
        offset += len(value)
        data += value
    return head + b"\xff" + data


def prelogin_reply(asked: dict[int, bytes], version: tuple[int, int, int, int], encryption: int) -> bytes:
    options = [
        (PRE_VERSION, struct.pack(">BBHH", version[0], version[1], version[2], 0)),
        (PRE_ENCRYPTION, bytes([encryption])),
        (PRE_INSTOPT, b"\x00"),
        (PRE_THREADID, b""),
        (PRE_MARS, b"\x00"),
    ]
    if PRE_TRACEID in asked:
        options.append((PRE_TRACEID, b""))
    if PRE_FEDAUTH in asked:
        options.append((PRE_FEDAUTH, b"\x00"))
    return prelogin_bytes(options)


def choose_encryption(mode: str, asked: Optional[int]) -> tuple[int, str]:
    """What to answer and what follows: 'none', 'login', 'all' or 'drop'. `asked` is the client's byte or None."""
    want = ENCRYPT_NOT_SUP if asked is None else asked & 0x3F
    if mode == "not-supported":
        return ENCRYPT_NOT_SUP, "drop" if want == ENCRYPT_REQ else "none"
    if mode == "off":
        if want == ENCRYPT_OFF:
            return ENCRYPT_OFF, "login"
        return (ENCRYPT_NOT_SUP, "none") if want == ENCRYPT_NOT_SUP else (ENCRYPT_ON, "all")
    if want == ENCRYPT_NOT_SUP:
        return ENCRYPT_REQ, "drop"
    return (ENCRYPT_ON if mode == "on" and want == ENCRYPT_ON else ENCRYPT_REQ), "all"


@dataclass
class Login7:
    """LOGIN7 as read; `login` is what the engine needs of it."""

    login: Login
    version: int
    packet_size: int
    language: str = ""
    integrated: bool = False
    features: dict[int, bytes] = field(default_factory=dict)


def unscramble(data: bytes) -> bytes:
    return bytes((((b ^ 0xA5) << 4) & 0xF0) | ((b ^ 0xA5) >> 4) for b in data)


def scramble(data: bytes) -> bytes:
    return bytes((((b << 4) & 0xF0) | (b >> 4)) ^ 0xA5 for b in data)


def read_login7(data: bytes) -> Login7:
    if len(data) < 86:
        raise ProtocolError("LOGIN7 is too short")
    length, version, packet_size, _prog, pid = struct.unpack_from("<IIIII", data)
    if length > len(data) or length < 86:
        raise ProtocolError("the length in LOGIN7 does not match the packet")
    flags1, flags2, type_flags, flags3 = data[24:28]

    def raw(at: int) -> bytes:
        offset, chars = struct.unpack_from("<HH", data, at)
        if chars and offset + 2 * chars > len(data):
            raise ProtocolError("a LOGIN7 field points past the packet")
        return data[offset : offset + 2 * chars] if chars else b""

    def text(at: int) -> str:
        return raw(at).decode("utf-16-le", "replace")

    login = Login(
        user=text(40),
        password=unscramble(raw(44)).decode("utf-16-le", "replace"),
        database=text(68),
        host=text(36),
        app=text(48),
        library=text(60),
        read_only=bool(type_flags & 0x20),
        odbc=bool(flags2 & 0x02),
        pid=pid,
    )
    features = _features(data) if flags3 & 0x10 else {}
    return Login7(login, version, packet_size, text(64), bool(flags2 & 0x80), features)


def _features(data: bytes) -> dict[int, bytes]:
    offset, size = struct.unpack_from("<HH", data, 56)
    if size < 4 or offset + 4 > len(data):
        raise ProtocolError("LOGIN7 announces features that are not there")
    buf = Buf(data, struct.unpack_from("<I", data, offset)[0])
    features = {}
    while (number := buf.u8()) != 0xFF:
        features[number] = buf.take(buf.u32())
    return features


def agreed_version(asked: int) -> int:
    """The TDS version of the reply: the client's, or the nearest that this server speaks; 0 when there is none."""
    if asked >= TDS74:
        return TDS74
    for known in (TDS73, 0x730A0003, TDS72):
        if asked >= known:
            return known
    return TDS71 if asked >> 24 == 0x71 else 0


def agreed_packet_size(asked: int, encrypted: bool) -> int:
    if asked == 0:
        return 4096
    return max(512, min(asked, 16383 if encrypted else 32767))


def login_ack(version: int, product: tuple[int, int, int, int]) -> bytes:
    body = struct.pack(">BI", 1, version) + b_varchar("Microsoft SQL Server")
    body += struct.pack(">BBH", product[0], product[1], product[2])
    return struct.pack("<BH", 0xAD, len(body)) + body


def login_reply(
    login7: Login7, env: WireEnv, server: str, product: tuple[int, int, int, int], database: str, packet_size: int, language: str
) -> bytes:
    language = language or "us_english"
    changed_db = Info(5701, f"Changed database context to '{database}'.", 2)
    changed_language = Info(5703, f"Changed language setting to {language}.", 1)
    reply = envchange_token(1, database, "master") + message_token(changed_db, server, env.version)
    reply += envchange_token(7, env.collation, b"")
    reply += envchange_token(2, language, "") + message_token(changed_language, server, env.version)
    reply += login_ack(env.version, product)
    reply += envchange_token(4, str(packet_size), "4096")
    if FEATURE_UTF8 in login7.features:
        reply += b"\xae" + struct.pack("<BI", FEATURE_UTF8, 1) + b"\x01\xff"
    return reply + done_token(0xFD, 0, 0, 0, env.version)


def login_failure(errors: list[Error], env: WireEnv, server: str) -> bytes:
    reply = b"".join(message_token(error, server, env.version) for error in errors)
    return reply + done_token(0xFD, 2, 0, 0, env.version)


def login7_bytes(
    user: str,
    password: str,
    database: str = "",
    app: str = "sqlsim",
    host: str = "",
    server: str = "",
    packet_size: int = 4096,
    version: int = TDS74,
    features: bytes = b"",
) -> bytes:
    """A client's LOGIN7. `features` is the FeatureExt block with its end byte."""
    fields = [host, user, password, app, server, None, "sqlsim client", "", database]
    offset, table, data = LOGIN7_FIXED, b"", b""
    for index, value in enumerate(fields):
        if value is None:  # the extension: four bytes that point to the features behind everything else
            part, count = (b"\0\0\0\0", 4) if features else (b"", 0)
        else:
            part = utf16_encode(value)
            part, count = (scramble(part) if index == 2 else part), len(part) // 2
        table += struct.pack("<HH", offset, count)
        if features and value is None:
            pointer = offset
        offset += len(part)
        data += part
    tail = b"\0" * 6 + struct.pack("<HHHHHH", offset, 0, offset, 0, offset, 0) + b"\0\0\0\0"
    if features:
        at = pointer - LOGIN7_FIXED
        data = data[:at] + struct.pack("<I", offset) + data[at + 4 :] + features
    flags = bytes([0xE0, 0x03, 0x00, 0x10 if features else 0x00])
    head = struct.pack("<IIIII", version, packet_size, 0x07000000, 0, 0) + flags + struct.pack("<iI", 0, 0x409)
    body = head + table + tail + data
    return struct.pack("<I", len(body) + 4) + body
