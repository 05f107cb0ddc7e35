"""What the keeper does for the cache."""

from __future__ import annotations

from . import book, flights, table

STRANDED, OLD = 1.0, 60.0  # seconds between two rounds


def tidy() -> None:
    """Delete what nobody will ask for again."""
    table.forget_expired()
    book.forget_old()
    flights.forget_dead()
