"""Rows read from CSV, each field checked; a bad one is refused by line and column."""

import csv
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

MISSING = "NA"
Fields = Mapping[str, str]
Row = TypeVar("Row")


class MalformedRow(ValueError):
    """A row of a data file that cannot be believed; says which file, line and column, and why."""

    def __init__(self, source: str, line: int, column: str, problem: str) -> None:
        super().__init__(f"{source}, line {line}, column {column}: {problem}.")
        self.source, self.line, self.column = source, line, column


class FieldError(ValueError):
    """A field that cannot be believed: its column and what is wrong with it."""

    def __init__(self, column: str, problem: str) -> None:
        super().__init__(problem)
        self.column = column


def whole(fields: Fields, column: str, low: int, high: int) -> int:
    """Return the whole number in `column`, which must lie in low..high."""
    text = fields[column]
    if not text.removeprefix("-").isdecimal() or not text.isascii():
        raise FieldError(column, f"expected a whole number, found {text!r}")
    if not low <= (value := int(text)) <= high:
        raise FieldError(column, f"expected {low} to {high}, found {value}")
    return value


def number(fields: Fields, column: str, low: float, high: float) -> float | None:
    """Return the number in `column` within low..high, or None where it is missing."""
    text = fields[column]
    if text == MISSING:
        return None
    try:
        value = float(text)
    except ValueError:
        raise FieldError(column, f"expected a number or NA, found {text!r}") from None
    if not low <= value <= high:
        raise FieldError(column, f"expected {low} to {high}, found {text}")
    return value


def clock(fields: Fields, column: str) -> int:
    """Return the minutes since midnight of a clock time such as 517 (05:17) or 2400."""
    hours, minutes = divmod(whole(fields, column, 0, 2400), 100)
    if minutes > 59:
        raise FieldError(column, f"expected a clock time such as 1730, found {fields[column]!r}")
    return hours * 60 + minutes


def code(fields: Fields, column: str, known: Container[str]) -> str:
    """Return the code in `column`, which must be one of `known`."""
    if (value := fields[column]) not in known:
        raise FieldError(column, f"unknown code {value!r}")
    return value


@dataclass(frozen=True)
class Reader(Generic[Row]):
    """Reads CSV lines with exactly `columns` into rows, by `parse`."""

    source: str
    columns: tuple[str, ...]
    parse: Callable[[Fields], Row]

    def rows(self, lines: Iterable[str]) -> Iterator[Row]:
        """Yield the rows in order; raise MalformedRow at the first bad one (line 1 is the header)."""
        table = csv.reader(lines)
        self._check_header(next(table, []))
        for values in table:
            yield self._row(table.line_num, values)

    def _check_header(self, header: list[str]) -> None:
        for position, column in enumerate(self.columns):
            found = header[position] if position < len(header) else "nothing"
            if found != column:
                raise MalformedRow(self.source, 1, column, f"expected this header, found {found!r}")
        if extra := header[len(self.columns) :]:
            raise MalformedRow(self.source, 1, extra[0], "unexpected header")

    def _row(self, line: int, values: list[str]) -> Row:
        if len(values) != len(self.columns):
            column = self.columns[min(len(values), len(self.columns) - 1)]
            problem = f"expected {len(self.columns)} fields, found {len(values)}"
            raise MalformedRow(self.source, line, column, problem)
        try:
            return self.parse(dict(zip(self.columns, values, strict=True)))
        except FieldError as error:
            raise MalformedRow(self.source, line, error.column, str(error)) from error
