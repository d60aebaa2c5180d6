# SPDX-License-Identifier: Apache-2.0
"""What every part of the parser needs: looking at tokens, names, types, syntax errors."""

from __future__ import annotations

from typing import Any, Optional, Union

from ..contract import SqlError, SqlType
from . import errors, nodes, types
from .lexer import Token, tokens


class Base:
    def __init__(self, text: str, quoted: bool = True) -> None:
        self.text = text
        self.quoted = quoted
        self.toks = tokens(text, quoted)
        self.at = 0

    # -- tokens ---------------------------------------------------------------------------------------------------------

    @property
    def tok(self) -> Token:
        return self.toks[self.at]

    def ahead(self, count: int = 1) -> Token:
        return self.toks[min(self.at + count, len(self.toks) - 1)]

    def next(self) -> Token:
        token = self.toks[self.at]
        if token.kind != "end":
            self.at += 1
        return token

    def is_(self, *keys: str) -> bool:
        token = self.toks[self.at]
        return token.kind in ("word", "op") and token.key in keys or (token.kind == "op" and token.text in keys)

    def are(self, *keys: str) -> bool:
        """The next tokens are these words or operators."""
        for i, key in enumerate(keys):
            token = self.ahead(i)
            if token.kind not in ("word", "op") or (token.key != key and token.text != key):
                return False
        return True

    def accept(self, *keys: str) -> Optional[str]:
        if self.is_(*keys):
            return self.next().key or self.toks[self.at - 1].text
        return None

    def accept_all(self, *keys: str) -> bool:
        if self.are(*keys):
            self.at += len(keys)
            return True
        return False

    def need(self, *keys: str) -> str:
        found = self.accept(*keys)
        if found is None:
            raise self.wrong()
        return found

    def wrong(self, token: Optional[Token] = None) -> SqlError:
        """102 or 156 near a token."""
        token = token or self.tok
        if token.kind == "end":
            return errors.syntax(token.value, token.line)
        if token.reserved:
            if token.key == "WITH":
                return errors.at(SqlError(319, "Incorrect syntax near the keyword 'with'. If this statement is a common table "
                                               "expression, an xmlnamespaces clause or a change tracking context clause, the "
                                               "previous statement must be terminated with a semicolon.", 1, 15), token.line)
            return errors.keyword(token.text, token.line)
        return errors.syntax(token.text, token.line)

    def text_of(self, first: int, last: int) -> str:
        """The source between two tokens (last exclusive)."""
        return self.text[self.toks[first].pos:self.toks[last - 1].end] if last > first else ""

    # -- names ----------------------------------------------------------------------------------------------------------

    def is_name(self) -> bool:
        token = self.tok
        return token.kind == "ident" or (token.kind == "word" and not token.reserved)

    def name(self) -> str:
        token = self.tok
        if token.kind == "ident" or (token.kind == "word" and not token.reserved):
            if len(token.text) > 128:
                raise errors.at(SqlError(103, f"The identifier that starts with '{token.text[:128]}' is too long. "
                                              "Maximum length is 128.", 4, 15), token.line)
            self.at += 1
            return token.text
        raise self.wrong()

    def dotted(self, limit: int = 4) -> list[str]:
        """a.b.c; an empty part (db..t) is ''."""
        parts = [self.name()]
        while self.is_(".") and len(parts) < limit:
            self.next()
            if self.is_("."):
                parts.append("")
                continue
            parts.append(self.name())
        return parts

    def names(self) -> list[str]:
        """(a, b, c)"""
        self.need("(")
        found = [self.name()]
        while self.accept(","):
            found.append(self.name())
        self.need(")")
        return found

    def string(self) -> str:
        if self.tok.kind != "str":
            raise self.wrong()
        return self.next().value

    def integer(self) -> int:
        negative = bool(self.accept("-"))
        if self.tok.kind != "num" or not isinstance(self.tok.value, int):
            raise self.wrong()
        value = self.next().value
        return -value if negative else value

    def variable(self) -> str:
        if self.tok.kind != "var" or self.tok.text.startswith("@@"):
            raise self.wrong()
        return self.next().text

    def name_or_string(self) -> str:
        return self.string() if self.tok.kind == "str" else self.name()

    def value_or_var(self) -> Union[str, int, nodes.Var]:
        """An option's value: a string, a number or a variable."""
        if self.tok.kind == "str":
            return self.string()
        if self.tok.kind == "var":
            return nodes.Var(self.variable())
        return self.integer()

    # -- types ----------------------------------------------------------------------------------------------------------

    def data_type(self, cast: bool = False) -> SqlType:
        line, first = self.tok.line, self.tok
        if self.accept_all("DOUBLE", "PRECISION"):
            return types.FLOAT
        if self.tok.kind == "word" and self.tok.key == "NATIONAL":
            self.next()
            name = "n" + self.next().text.replace("character", "char")
        else:
            name = self.dotted(2)[-1]
        if self.is_("VARYING"):
            self.next()
            name = {"char": "varchar", "character": "varchar", "nchar": "nvarchar", "binary": "varbinary"}.get(name.lower(), name)
        args: Optional[list[Any]] = None
        if self.is_("(") and name.lower() in (*types.SIZED, *types.EXACT, "dec", "character", "float", "datetime2",
                                              "datetimeoffset", "time"):
            self.next()
            args = []
            while True:
                args.append("max" if self.accept("MAX") else self.integer())
                if not self.accept(","):
                    break
            self.need(")")
        try:
            found = types.build(name, args, cast)
        except (ValueError, TypeError):
            raise self._bad_size(name, args or [0], line) from None
        if found is None:
            raise self._no_type(first, name, line)
        return found

    @staticmethod
    def _bad_size(name: str, args: list[Any], line: int) -> SqlError:
        kind = name.lower()
        if kind in types.SIZED and args[0] != "max" and args[0] > 0:
            return errors.at(SqlError(131, f"The size ({args[0]}) given to the type '{name}' exceeds the maximum allowed for any "
                                           f"data type (8000).", 2, 15), line)
        if kind in types.SIZED:
            return errors.at(SqlError(1001, f"Line {line}: Length or precision specification {args[0]} is invalid.", 1, 15), line)
        if kind in types.EXACT and len(args) > 1 and args[1] > args[0]:
            return errors.at(SqlError(192, f"The scale must be less than or equal to the precision.", 1, 15), line)
        return errors.at(SqlError(1002, f"Line {line}: Specified scale {args[-1]} is invalid.", 1, 15), line)

    @staticmethod
    def _no_type(first: Token, name: str, line: int) -> SqlError:
        return errors.at(SqlError(243, f"Type {name} is not a defined system type.", 1, 16), line)
