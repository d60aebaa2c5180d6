# SPDX-License-Identifier: Apache-2.0
"""Text to tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ..contract import SqlError
from .errors import at, syntax

RESERVED = frozenset("""
ADD ALL ALTER AND ANY AS ASC AUTHORIZATION BACKUP BEGIN BETWEEN BREAK BROWSE BULK BY CASCADE CASE CHECK CHECKPOINT CLOSE
CLUSTERED COALESCE COLLATE COLUMN COMMIT COMPUTE CONSTRAINT CONTAINS CONTAINSTABLE CONTINUE CONVERT CREATE CROSS CURRENT
CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER CURSOR DATABASE DBCC DEALLOCATE DECLARE DEFAULT DELETE DENY DESC
DISK DISTINCT DISTRIBUTED DOUBLE DROP DUMP ELSE END ERRLVL ESCAPE EXCEPT EXEC EXECUTE EXISTS EXIT EXTERNAL FETCH FILE
FILLFACTOR FOR FOREIGN FREETEXT FREETEXTTABLE FROM FULL FUNCTION GOTO GRANT GROUP HAVING HOLDLOCK IDENTITY
IDENTITY_INSERT IDENTITYCOL IF IN INDEX INNER INSERT INTERSECT INTO IS JOIN KEY KILL LEFT LIKE LINENO LOAD MERGE NATIONAL
NOCHECK NONCLUSTERED NOT NULL NULLIF OF OFF OFFSETS ON OPEN OPENDATASOURCE OPENQUERY OPENROWSET OPENXML OPTION OR ORDER
OUTER OVER PERCENT PIVOT PLAN PRECISION PRIMARY PRINT PROC PROCEDURE PUBLIC RAISERROR READ READTEXT RECONFIGURE REFERENCES
REPLICATION RESTORE RESTRICT RETURN REVERT REVOKE RIGHT ROLLBACK ROWCOUNT ROWGUIDCOL RULE SAVE SCHEMA SECURITYAUDIT SELECT
SESSION_USER SET SETUSER SHUTDOWN SOME STATISTICS SYSTEM_USER TABLE TABLESAMPLE TEXTSIZE THEN TO TOP TRAN TRANSACTION
TRIGGER TRUNCATE TRY_CONVERT TSEQUAL UNION UNIQUE UNPIVOT UPDATE UPDATETEXT USE USER VALUES VARYING VIEW WAITFOR WHEN
WHERE WHILE WITH WITHIN WRITETEXT
""".split())

TOKEN = re.compile(r"""
  (?P<space>[\s\ufeff\u00a0]+)
 |(?P<line>--[^\n]*)
 |(?P<open>/\*)
 |(?P<str>[Nn]?'(?:[^']|'')*')
 |(?P<badstr>[Nn]?'(?:[^']|'')*)
 |(?P<bracket>\[(?:[^\]]|\]\])*\])
 |(?P<badbracket>\[(?:[^\]]|\]\])*)
 |(?P<dquote>"(?:[^"]|"")*")
 |(?P<baddquote>"(?:[^"]|"")*)
 |(?P<hex>0[xX][0-9a-fA-F]*)
 |(?P<money>[$](?:\d+(?:\.\d*)?|\.\d+)?(?![\w]))
 |(?P<num>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
 |(?P<var>@@?[\w@#$]+)
 |(?P<word>[^\W\d][\w@#$]*|\#\#?[\w@#$]+|_[\w@#$]*)
 |(?P<op><>|!=|<=|>=|!<|!>|\+=|-=|\*=|/=|%=|&=|\|=|\^=|::|[-+*/%&|^~=<>(),.;:?{}$])
""", re.X)


@dataclass(slots=True)
class Token:
    """`kind`: word, ident (quoted), str, num, hex, money, var, op, end. `key` is the upper-case word, or the operator."""

    kind: str
    text: str
    key: str
    value: Any
    line: int
    wide: bool = False
    pos: int = 0
    end: int = 0

    @property
    def reserved(self) -> bool:
        return self.kind == "word" and self.key in RESERVED


def number(text: str) -> Any:
    if "e" in text or "E" in text:
        return float(text)
    if "." in text:
        return Decimal(text + "0" if text.endswith(".") else text)
    return int(text)


def comment_end(text: str, start: int, line: int) -> int:
    depth, at_ = 1, start + 2
    while depth:
        close, opening = text.find("*/", at_), text.find("/*", at_)
        if close < 0:
            raise at(SqlError(113, "Missing end comment mark '*/'.", 1, 15), line)
        if 0 <= opening < close:
            depth, at_ = depth + 1, opening + 2
        else:
            depth, at_ = depth - 1, close + 2
    return at_


def unclosed(text: str, line: int) -> SqlError:
    body = text[:128]
    exc = SqlError(105, f"Unclosed quotation mark after the character string '{body}'.", 1, 15,
                   also=[syntax(body, line).error])
    return at(exc, line)


def hex_value(text: str) -> bytes:
    digits = text[2:]
    return bytes.fromhex("0" + digits if len(digits) % 2 else digits)


def make(kind: str, text: str, line: int, quoted: bool) -> Token:
    if kind == "word":
        return Token("word", text, text.upper(), text, line)
    if kind == "str":
        wide = text[0] in "nN"
        body = text[2:-1] if wide else text[1:-1]
        return Token("str", body.replace("''", "'"), "'", body.replace("''", "'"), line, wide)
    if kind == "bracket":
        return Token("ident", text[1:-1].replace("]]", "]"), "", None, line)
    if kind == "dquote":
        body = text[1:-1].replace('""', '"')
        return Token("ident", body, "", None, line) if quoted else Token("str", body, "'", body, line)
    if kind == "num":
        return Token("num", text, "0", number(text), line)
    if kind == "money":
        return Token("money", text, "0", Decimal(text[1:] or "0"), line)
    if kind == "hex":
        return Token("hex", text, "0x", hex_value(text), line)
    if kind == "var":
        return Token("var", text, text.upper(), None, line)
    return Token("op", text, "<>" if text == "!=" else text, None, line)


def tokens(text: str, quoted: bool = True) -> list[Token]:
    """All tokens of a batch, the last one of kind `end`. `quoted` is QUOTED_IDENTIFIER."""
    found, at_, line, size = [], 0, 1, len(text)
    match = TOKEN.match
    while at_ < size:
        m = match(text, at_)
        if m is None:
            raise syntax(text[at_], line)
        kind, raw = m.lastgroup, m.group()
        if kind == "open":
            end = comment_end(text, at_, line)
            line += text.count("\n", at_, end)
            at_ = end
            continue
        at_ = m.end()
        if kind.startswith("bad"):
            raise unclosed(raw.lstrip("nN")[1:] if kind == "badstr" else raw[1:], line)
        if kind not in ("space", "line"):
            token = make(kind, raw, line, quoted)
            token.pos, token.end = at_ - len(raw), at_
            found.append(token)
        if "\n" in raw:
            line += raw.count("\n")
    last = found[-1] if found else Token("end", "", "", None, 1)
    found.append(Token("end", "", "", last.text, last.line, False, size, size))  # its value is what a mistake is near
    return found
