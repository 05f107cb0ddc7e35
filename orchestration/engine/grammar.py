"""Conditions over an event's data, as in `amount > 100 and country in ["FR", "DE"] and not test`.

A grammar of our own, read by a parser of our own; nothing here ever runs what somebody wrote:

    or          and { "or" and }
    and         not { "and" not }
    not         "not" not | comparison
    comparison  value [ ("==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not in") value ]
    value       number | text | true | false | null | list | field | "(" or ")"
    list        "[" [ value { "," value } ] "]"
    field       name { "." name | "[" (whole number | text) "]" }

A field that is not there is null. What cannot be compared is not an error: the comparison is false. Numbers compare
with numbers, texts with texts; true is not 1. A value by itself holds unless it is null, false, 0, or empty.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from .errors import InvalidCondition

LIMIT = 2000  # characters
DEPTH = 40
_TOKEN = re.compile(
    r"\s*(?:(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.])|(?P<name>[A-Za-z_]\w*(?:-\w+)*)"
    r"|(?P<text>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')|(?P<sign>==|!=|<=|>=|[<>()\[\],.]))"
)
_WORDS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_COMPARED = ("==", "!=", "<=", ">=", "<", ">", "in", "not in")
_RESERVED = frozenset({"and", "or", "not", "in", *_WORDS})


@dataclass(frozen=True, slots=True)
class Literal:
    value: Any
    text: str


@dataclass(frozen=True, slots=True)
class Field:
    """What stands in the data at this path, or null."""

    path: tuple[str | int, ...]
    text: str


@dataclass(frozen=True, slots=True)
class ListOf:
    of: tuple[Condition, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Compare:
    left: Condition
    sign: str
    right: Condition
    text: str


@dataclass(frozen=True, slots=True)
class Not:
    of: Condition
    text: str


@dataclass(frozen=True, slots=True)
class All:
    of: tuple[Condition, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Either:
    of: tuple[Condition, ...]
    text: str


Condition = Literal | Field | ListOf | Compare | Not | All | Either


# --- reading ---------------------------------------------------------------------------------------


@lru_cache(maxsize=2000)
def parse(text: str) -> Condition:
    """Return the condition. Raises InvalidCondition, which names the place."""
    if not isinstance(text, str) or not text.strip():
        raise InvalidCondition(
            text=str(text)[:80], place=1, why="a condition is a text such as 'amount > 100'"
        )
    if len(text) > LIMIT:
        raise InvalidCondition(text=f"{text[:80]}…", place=LIMIT, why=f"it is longer than {LIMIT} characters")
    return _Reader(text).whole()


@dataclass(slots=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int


class _Reader:
    """One text, and how far it has been read."""

    def __init__(self, text: str) -> None:
        self.text, self.depth = text, 0
        self.tokens = list(self._split())
        self.at = 0

    def _split(self) -> Iterator[_Token]:
        end = len(self.text.rstrip())
        place = 0
        while place < end:
            found = _TOKEN.match(self.text, place)
            if found is None:
                place += len(self.text[place:]) - len(self.text[place:].lstrip())
                raise self.wrong(place, f"{self.text[place]!r} means nothing here")
            kind = found.lastgroup or ""
            yield _Token(kind, found[kind], found.start(kind), found.end())
            place = found.end()
        yield _Token("end", "", end, end)

    def wrong(self, place: int, why: str) -> InvalidCondition:
        return InvalidCondition(text=self.text, place=place + 1, why=why)

    @property
    def token(self) -> _Token:
        return self.tokens[self.at]

    def takes(self, *texts: str) -> bool:
        """Go on past the next token if it is one of these."""
        if self.token.kind in ("name", "sign") and self.token.text in texts:
            self.at += 1
            return True
        return False

    def needs(self, text: str) -> None:
        if not self.takes(text):
            raise self.wrong(self.token.start, f"{text!r} is missing{self._found()}")

    def _found(self) -> str:
        return f" before {self.token.text!r}" if self.token.kind != "end" else " at the end"

    def since(self, start: int) -> str:
        return self.text[self.tokens[start].start : self.tokens[self.at - 1].end]

    def whole(self) -> Condition:
        found = self.either()
        if self.token.kind != "end":
            raise self.wrong(
                self.token.start, f"{self.token.text!r} does not belong here; join parts by and, or"
            )
        return found

    def either(self) -> Condition:
        return self._joined("or", self.all, Either)

    def all(self) -> Condition:
        return self._joined("and", self.negation, All)

    def _joined(self, word: str, part: Callable[[], Condition], kind: type[All] | type[Either]) -> Condition:
        start, parts = self.at, [part()]
        while self.takes(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else kind(tuple(parts), self.since(start))

    def negation(self) -> Condition:
        start = self.at
        if not self.takes("not"):
            return self.comparison()
        with_deeper = self.deeper(self.negation)
        return Not(with_deeper, self.since(start))

    def deeper(self, read: Callable[[], Condition]) -> Condition:
        self.depth += 1
        if self.depth > DEPTH:
            raise self.wrong(self.token.start, f"it is nested more than {DEPTH} deep")
        found = read()
        self.depth -= 1
        return found

    def comparison(self) -> Condition:
        start, left = self.at, self.value()
        sign = self.sign()
        if sign is None:
            return left
        found = Compare(left, sign, self.value(), self.since(start))
        if self.sign() is not None:
            before = self.tokens[self.at - 1]
            raise self.wrong(before.start, "a comparison has two sides; join two comparisons by and")
        return found

    def sign(self) -> str | None:
        if self.token.kind == "name" and self.token.text == "not":
            self.at += 1
            self.needs("in")
            return "not in"
        sign = self.token.text
        return sign if self.takes(*_COMPARED) else None

    def value(self) -> Condition:
        token = self.token
        if token.kind == "end":
            raise self.wrong(token.start, "something is missing at the end")
        self.at += 1
        if token.kind == "number":
            return Literal(
                json.loads(token.text) if not _zeros(token.text) else self._zeros(token), token.text
            )
        if token.kind == "text":
            return Literal(self._unquoted(token), token.text)
        if token.text == "(":
            found = self.deeper(self.either)
            self.needs(")")
            return found
        if token.text == "[":
            return self.deeper(self.listed)
        if token.kind == "name" and token.text in _WORDS:
            return Literal(_WORDS[token.text], token.text)
        if token.kind == "name" and token.text not in _RESERVED:
            return self.field(token)
        raise self.wrong(token.start, f"a field, a number, a text or a list is missing before {token.text!r}")

    def _zeros(self, token: _Token) -> Any:
        raise self.wrong(token.start, f"the number {token.text} begins with a zero")

    def _unquoted(self, token: _Token) -> str:
        plain = token.text if token.text[0] == '"' else _double_quoted(token.text)
        try:
            found: str = json.loads(plain)
            found.encode()
        except ValueError:
            raise self.wrong(
                token.start, f"the text {token.text} cannot be read; escapes are those of JSON"
            ) from None
        return found

    def listed(self) -> Condition:
        start, parts = self.at - 1, list[Condition]()
        while not self.takes("]"):
            if parts:
                self.needs(",")
            parts.append(self.value())
        return ListOf(tuple(parts), self.since(start))

    def field(self, first: _Token) -> Condition:
        start, path = self.at - 1, list[str | int]([first.text])
        while True:
            if self.takes("."):
                token = self.token
                if token.kind != "name":
                    raise self.wrong(token.start, "a name is missing after the dot")
                path.append(token.text)
            elif self.token.text == "[" and self.token.kind == "sign":
                self.at += 1
                path.append(self.place())
                if self.token.text != "]":
                    raise self.wrong(self.token.start, "']' is missing")
            else:
                return Field(tuple(path), self.since(start))
            self.at += 1

    def place(self) -> str | int:
        token = self.token
        self.at += 1
        if token.kind == "text":
            return self._unquoted(token)
        if token.kind == "number" and token.text.lstrip("-").isdigit():
            return int(token.text)
        raise self.wrong(token.start, "between [ and ] stands a whole number or a text")


def _zeros(number: str) -> bool:
    digits = number.lstrip("-")
    return len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()


def _double_quoted(text: str) -> str:
    inner = text[1:-1].replace("\\'", "'")
    return '"' + re.sub(r'(?<!\\)"', r"\"", inner) + '"'
