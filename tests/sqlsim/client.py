# SPDX-License-Identifier: Apache-2.0
"""A small TDS client: for tests, and for the workload generator. Blocking, one connection, one request at a time."""

from __future__ import annotations

import datetime as dt
import decimal
import socket
import ssl
import struct
import uuid
from typing import Any, Optional, Sequence, Union

from sqlsim.contract import Error, Param, SqlType
from sqlsim.tds import handshake
from sqlsim.tds.packets import ATTENTION, EOM, HEADER, LOGIN7, PRELOGIN, REPLY, RESET, RPC, SQL_BATCH, TRANSACTION, packets_of
from sqlsim.tds.replies import Reply, ReplyReader
from sqlsim.tds.tls import TlsBox
from sqlsim.tds.typesout import codec_of
from sqlsim.tds.wire import TDS72, TDS74, WireEnv, b_varchar, us_varchar, utf16_encode

_ENCRYPTION = {"off": 0, "on": 1, "not-supported": 2, "required": 3}
FEATURES = b"\x0a\x01\x00\x00\x00\x01\xff"


class ServerError(Exception):
    """The server answered with errors. `number` is the first one's, which is the cause; `reply` is all of it."""

    def __init__(self, errors: Sequence[Error], reply: Optional[Reply] = None) -> None:
        super().__init__("; ".join(f"{e.number}: {e.text}" for e in errors))
        self.errors = list(errors)
        self.number = errors[0].number
        self.reply = reply


class ConnectionLost(Exception):
    """The server closed or dropped the connection."""


class Client:
    def __init__(self, host: str, port: int, user: str = "sa", password: str = "", database: str = "", *,
                 encryption: str = "off", ca: Optional[str] = None, app: str = "sqlsim", timeout: Optional[float] = 30.0,
                 packet_size: int = 4096, version: int = TDS74, strict: bool = False) -> None:  # fmt: skip
        self.env = WireEnv(version)
        self.packet_size = 4096
        self.spid = 0
        self.tls_version = ""
        self._tls: Optional[TlsBox] = None
        self._plain = bytearray()
        self._transaction = b"\0" * 8
        self._reset = False
        try:
            self.socket = socket.create_connection((host, port), timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as err:
            raise ConnectionLost(f"cannot connect to {host}:{port}: {err}") from err
        try:
            self._shake_hands(encryption, ca, host, strict)
            self.login = self._log_in(user, password, database, app, packet_size)
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    # Bytes.

    def send_bytes(self, data: bytes) -> None:
        try:
            self.socket.sendall(self._tls.encrypt(data) if self._tls else data)
        except OSError as err:
            raise ConnectionLost(str(err)) from err

    def _receive(self, size: int) -> bytes:
        while len(self._plain) < size:
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                raise
            except OSError as err:
                raise ConnectionLost(str(err)) from err
            if not data:
                raise ConnectionLost("the server closed the connection")
            self._plain += self._tls.decrypt(data) if self._tls else data
        part = bytes(self._plain[:size])
        del self._plain[:size]
        return part

    def read_packet(self) -> tuple[int, int, int, bytes]:
        """Type, status, spid, payload."""
        kind, status, length, spid = struct.unpack(">BBHH", self._receive(HEADER)[:6])
        return kind, status, spid, self._receive(length - HEADER)

    def read_message(self) -> bytes:
        parts = []
        while True:
            _, status, self.spid, part = self.read_packet()
            parts.append(part)
            if status & EOM:
                return b"".join(parts)

    # The way in.

    def _shake_hands(self, encryption: str, ca: Optional[str], host: str, strict: bool) -> None:
        context = ssl.create_default_context(cafile=ca)
        if ca is None:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if strict:
            context.set_alpn_protocols(["tds/8.0"])
            self._handshake(TlsBox(context, False, host), False)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        asked = _ENCRYPTION[encryption]
        options = [(0, bytes([17, 0, 0, 0, 0, 0])), (1, bytes([asked])), (2, b"\0"), (3, b"\0\0\0\0"), (4, b"\0")]
        self.send_bytes(packets_of(PRELOGIN, handshake.prelogin_bytes(options), 4096))
        self.prelogin = handshake.read_prelogin(self.read_message())
        answer = self.prelogin[handshake.PRE_ENCRYPTION][0]
        self._login_only = asked == 0 and answer == 0 and not strict
        if strict or answer == handshake.ENCRYPT_NOT_SUP:
            if asked in (1, 3) and not strict:
                raise ConnectionLost("the server has no encryption, but this client asks for it")
            self._login_only = False
        elif asked == 2 and answer == 3:
            raise ConnectionLost("the server forces encryption")
        else:
            self._handshake(TlsBox(context, False, host), True)

    def _handshake(self, box: TlsBox, wrapped: bool) -> None:
        done, out = box.handshake(b"")
        while True:
            if out:
                self.send_bytes(packets_of(PRELOGIN, out, 4096) if wrapped else out)
            if done:
                break
            try:
                data = self.read_message() if wrapped else self.socket.recv(65536)
            except OSError as err:
                raise ConnectionLost(str(err)) from err
            if not data:
                raise ConnectionLost("the server closed the connection in the TLS handshake")
            done, out = box.handshake(data)
        self._tls, self.tls_version = box, box.version()
        self._plain += box.decrypt(b"")

    def _log_in(self, user: str, password: str, database: str, app: str, packet_size: int) -> Reply:
        login = handshake.login7_bytes(
            user, password, database, app, socket.gethostname(), "sqlsim", packet_size, self.env.version, FEATURES
        )
        self.send_bytes(packets_of(LOGIN7, login, 4096))
        if self._login_only:
            self._tls = None
        reply = self.read_reply(check=True)
        for env in reply.envs:
            if env.kind == 4:
                self.packet_size = int(env.new)
        return reply

    # Requests.

    def read_reply(self, check: bool = False) -> Reply:
        reply = ReplyReader(self.env).read(self.read_message(), Reply())
        reply.spid = self.spid
        for env in reply.envs:
            if env.kind == 8:
                self._transaction = bytes(env.new)
            elif env.kind in (9, 10):
                self._transaction = b"\0" * 8
        if check and reply.errors:
            raise ServerError(reply.errors, reply)
        return reply

    def headers(self) -> bytes:
        if self.env.version < TDS72:
            return b""
        return struct.pack("<IIH", 22, 18, 2) + self._transaction + struct.pack("<I", 1)

    def send(self, kind: int, body: bytes) -> None:
        status, self._reset = (RESET if self._reset else 0), False
        self.send_bytes(packets_of(kind, self.headers() + body, self.packet_size, 0, status))

    def reset_next(self) -> None:
        """The next request carries RESETCONNECTION."""
        self._reset = True

    def send_batch(self, sql: str) -> None:
        self.send(SQL_BATCH, utf16_encode(sql))

    def query(self, sql: str, check: bool = True) -> Reply:
        """Runs a batch. With `check`, errors raise ServerError after everything has been read."""
        self.send_batch(sql)
        return self.read_reply(check)

    def execute(self, sql: str, *values: Any, check: bool = True) -> Reply:
        """sp_executesql with @p1, @p2, ... of the types that fit the values."""
        params = [v if isinstance(v, Param) else Param(f"@p{i}", type_for(v), v) for i, v in enumerate(values, 1)]
        stated = ", ".join(f"{p.name} {type_text(p.type)}{' output' if p.output else ''}" for p in params)
        head = [Param("", SqlType("nvarchar", -1), sql)]
        if params:
            head.append(Param("", SqlType("nvarchar", -1), stated))
        return self.rpc(10, head + params, check)

    def rpc(self, proc: Union[int, str], params: Sequence[Param], check: bool = True) -> Reply:
        self.send(RPC, self.rpc_bytes(proc, params))
        return self.read_reply(check)

    def rpc_bytes(self, proc: Union[int, str], params: Sequence[Param]) -> bytes:
        body = struct.pack("<HH", 0xFFFF, proc) if isinstance(proc, int) else us_varchar(proc)
        body += b"\0\0"
        for param in params:
            codec = codec_of(param.type, True, self.env)
            body += b_varchar(param.name) + bytes([int(param.output) | (2 if param.default else 0)])
            body += codec.info + codec.encode(param.value)
        return body

    def transaction(self, kind: int, name: str = "", isolation: int = 0, check: bool = True) -> Reply:
        """5 begin, 7 commit, 8 rollback, 9 save."""
        body = struct.pack("<H", kind)
        if kind == 5:
            body += bytes([isolation])
        body += b_varchar(name) + (b"\0" if kind in (7, 8) else b"")
        self.send(TRANSACTION, body)
        return self.read_reply(check)

    def send_attention(self) -> None:
        """May be called by another thread while one waits for a reply (not through TLS)."""
        self.send_bytes(packets_of(ATTENTION, b"", 4096))

    def cancel(self) -> list[Reply]:
        """Sends an attention and reads until it is acknowledged."""
        self.send_attention()
        replies = []
        while True:
            reply = self.read_reply()
            replies.append(reply)
            if any(d.status & 0x20 for d in reply.dones):
                return replies


def type_for(value: Any) -> SqlType:
    if isinstance(value, bool):
        return SqlType("bit")
    if isinstance(value, int):
        return SqlType("int") if -(2**31) <= value < 2**31 else SqlType("bigint")
    if isinstance(value, float):
        return SqlType("float")
    if isinstance(value, decimal.Decimal):
        return SqlType("numeric", 0, 38, max(0, -value.as_tuple().exponent))
    if isinstance(value, (bytes, bytearray)):
        return SqlType("varbinary", -1 if len(value) > 8000 else 8000)
    if isinstance(value, uuid.UUID):
        return SqlType("uniqueidentifier")
    if isinstance(value, dt.datetime):
        return SqlType("datetimeoffset" if value.tzinfo else "datetime2", 0, 0, 7)
    if isinstance(value, dt.date):
        return SqlType("date")
    if isinstance(value, dt.time):
        return SqlType("time", 0, 0, 7)
    return SqlType("nvarchar", -1 if value is not None and len(str(value)) > 4000 else 4000)


def type_text(sql_type: SqlType) -> str:
    kind = sql_type.kind
    if kind in ("numeric", "decimal"):
        return f"{kind}({sql_type.precision},{sql_type.scale})"
    if kind in ("datetime2", "datetimeoffset", "time"):
        return f"{kind}({sql_type.scale})"
    if kind in ("nvarchar", "varchar", "nchar", "char", "varbinary", "binary"):
        return f"{kind}({'max' if sql_type.length == -1 else sql_type.length})"
    return kind


def connect(server: str, **options: Any) -> Client:
    """`server` is HOST:PORT."""
    host, _, port = server.rpartition(":")
    return Client(host, int(port), **options)


__all__ = ["Client", "ConnectionLost", "ServerError", "connect", "REPLY"]
