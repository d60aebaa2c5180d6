# SPDX-License-Identifier: Apache-2.0
"""Events of a statement become reply tokens here. The encoder alone decides about the MORE bit of a DONE and
about DONE, DONEPROC and DONEINPROC."""

from __future__ import annotations

import struct
from typing import Any, Optional, Sequence

from sqlsim.contract import Columns, Done, EnvChange, Error, Event, Info, Param, ReturnStatus, Row
from sqlsim.tds.typesout import codec_of
from sqlsim.tds.wire import TDS72, WireEnv, b_varbyte, b_varchar, us_varchar, utf16_encode

TOKEN_DONE, TOKEN_DONEPROC, TOKEN_DONEINPROC = 0xFD, 0xFE, 0xFF
DONE_MORE, DONE_ERROR, DONE_COUNT, DONE_ATTN, DONE_SERVER_ERROR = 0x01, 0x02, 0x10, 0x20, 0x100
CURCMD_ATTENTION = 253

# BACKUP DATABASE, RESTORE, BACKUP LOG: each INFO is followed by a DONE, and 3014 is the last one.
_PROGRESS_COMMANDS = frozenset((228, 229, 235))
_PROGRESS_LAST = 3014


def done_token(token: int, status: int, curcmd: int, count: int, version: int) -> bytes:
    form = "<BHHQ" if version >= TDS72 else "<BHHI"
    return struct.pack(form, token, status, curcmd, count)


def message_token(event: Any, server: str, version: int) -> bytes:
    token = 0xAA if isinstance(event, Error) else 0xAB
    data = utf16_encode(event.text)[: 2 * 4000]
    body = struct.pack("<iBBH", event.number, event.state & 0xFF, event.cls & 0xFF, len(data) // 2) + data
    body += b_varchar(server) + b_varchar(event.proc)
    body += struct.pack("<I" if version >= TDS72 else "<H", event.line & (0xFFFFFFFF if version >= TDS72 else 0xFFFF))
    return struct.pack("<BH", token, len(body)) + body


def envchange_token(kind: int, new: Any, old: Any) -> bytes:
    def field(value: Any) -> bytes:
        return b_varchar(value) if isinstance(value, str) else b_varbyte(bytes(value))

    body = bytes([kind]) + field(new) + field(old)
    return struct.pack("<BH", 0xE3, len(body)) + body


def column_metadata(columns: Sequence[Any], env: WireEnv) -> tuple[bytes, list]:
    """The COLMETADATA token and one encoder per column."""
    parts, encoders = [struct.pack("<BH", 0x81, len(columns))], []
    for column in columns:
        codec = codec_of(column.type, column.nullable, env)
        flags = (1 if column.nullable else 0) | (0x10 if column.identity else 0)
        parts.append(struct.pack("<IH" if env.version >= TDS72 else "<HH", 0, flags) + codec.info)
        if codec.blob:
            parts.append(us_varchar(""))
        parts.append(b_varchar(column.name))
        encoders.append(codec.encode)
    return b"".join(parts), encoders


def return_value(ordinal: int, param: Param, env: WireEnv) -> bytes:
    codec = codec_of(param.type, True, env)
    head = struct.pack("<BH", 0xAC, ordinal) + b_varchar(param.name) + b"\x01"
    head += struct.pack("<IH" if env.version >= TDS72 else "<HH", 0, 1)
    return head + codec.info + codec.encode(param.value)


class ReplyEncoder:
    """Tokens of one reply message. `buf` collects bytes; whoever owns the encoder takes them out of it.

    A DONE is held back until it is known whether something follows. `rpc` is None for a batch or a transaction
    request, 'text' for sp_executesql and its kin, 'proc' for a procedure called by name."""

    def __init__(self, env: WireEnv, server: str, rpc: Optional[str] = None) -> None:
        self.env = env
        self.server = server
        self.rpc = rpc
        self.buf = bytearray()
        self._held: Optional[tuple[int, int, int, int]] = None
        self._encoders: list = []
        self._after_status = False
        self._return_status: Optional[int] = None
        self._last_info = 0
        self._error = 0

    def emit(self, event: Event) -> bool:
        """Adds an event; True when it is worth sending what there is at once: the progress of a BACKUP."""
        if isinstance(event, Row):
            self._row(event)
            return False
        if isinstance(event, Done):
            return self._done(event)
        if isinstance(event, ReturnStatus):
            self._status(event)
            return False
        self._release(DONE_MORE)
        if isinstance(event, Columns):
            token, self._encoders = column_metadata(event.columns, self.env)
            self.buf += token
        elif isinstance(event, EnvChange):
            self.buf += envchange_token(event.kind, event.new, event.old)
        elif isinstance(event, (Info, Error)):
            self.buf += message_token(event, self.server, self.env.version)
            self._last_info = event.number if isinstance(event, Info) else 0
            if isinstance(event, Error):
                self._error = event.number
        else:
            raise TypeError(f"not an event: {event!r}")
        return False

    def _row(self, event: Row) -> None:
        if self._held is not None or len(event.values) != len(self._encoders):
            raise ValueError(f"a row of {len(event.values)} values in a result of {len(self._encoders)} columns")
        parts = [b"\xd1"]
        for encode, value in zip(self._encoders, event.values):
            parts.append(encode(value))
        self.buf += b"".join(parts)

    def _done(self, event: Done) -> bool:
        self._release(DONE_MORE)
        self._encoders = []
        status = (DONE_ERROR if event.error else 0) | (DONE_COUNT if event.count is not None else 0)
        token = TOKEN_DONEINPROC if self.rpc or event.in_proc else TOKEN_DONE
        if self._after_status:
            self._after_status = False
            if self.rpc == "proc":
                return False  # the DONEPROC of the whole reply stands for it
            token = TOKEN_DONEINPROC if self.rpc else TOKEN_DONEPROC
        self._held = (token, status, event.curcmd, event.count or 0)
        last, self._last_info = self._last_info, 0
        if last and last != _PROGRESS_LAST and event.curcmd in _PROGRESS_COMMANDS and not event.error:
            self._release(DONE_MORE)
            return True
        return False

    def _status(self, event: ReturnStatus) -> None:
        self._after_status = True
        self._return_status = event.value
        if not self.rpc:
            self._release(DONE_MORE)
            self.buf += struct.pack("<Bi", 0x79, event.value)

    def _release(self, more: int) -> None:
        if self._held is not None:
            token, status, curcmd, count = self._held
            self._held = None
            self.buf += done_token(token, status | more, curcmd, count, self.env.version)

    def next_request(self, rpc: Optional[str]) -> None:
        """Another RPC of the same message begins."""
        self._release(DONE_MORE)
        self.rpc = rpc
        self._encoders, self._after_status, self._return_status, self._error = [], False, None, 0

    def finish_rpc(self, params: Sequence[tuple[int, Param]] = ()) -> None:
        """RETURNSTATUS, output parameters and DONEPROC of one RPC."""
        self._release(DONE_MORE)
        status = self._return_status
        if self.rpc == "text" or status is None:
            status = self._error
        self.buf += struct.pack("<Bi", 0x79, status)
        for ordinal, param in params:
            self.buf += return_value(ordinal, param, self.env)
        self._held = (TOKEN_DONEPROC, DONE_ERROR if self._error else 0, 224, 0)

    def finish(self) -> None:
        """Ends the message: the last DONE goes out without MORE."""
        if self._held is None:
            self._held = (TOKEN_DONE, DONE_ERROR if self._error else 0, 0, 0)
        self._release(0)

    def interrupt(self, severe: bool = False) -> None:
        """Ends the message of a request that was cancelled or whose session died: a DONE with the error bit."""
        self._release(DONE_MORE)
        token = TOKEN_DONEPROC if self.rpc else TOKEN_DONE
        status = DONE_ERROR | (DONE_SERVER_ERROR if severe else 0)
        self._held = (token, status, CURCMD_ATTENTION, 0)
        self._release(0)


def attention_ack(version: int) -> bytes:
    return done_token(TOKEN_DONE, DONE_ATTN, CURCMD_ATTENTION, 0, version)
