"""Statements sent as libpq has them: prepared once on each connection, any number of them in one round trip.

psycopg's cursors serve every need, and cost more than the rest of such a round trip does. The store's statements need
little: few texts, parameters that travel as text, rows. What they share with psycopg is its connection, its way to
wait, its loaders and its errors.

All that is sent together ends with a Sync and nothing after it. The server looks at how long a transaction has been
idle (`sql.limited`) only while it waits for what comes after that. libpq sends in pieces of 8 KiB, though: a process
that is stopped between two of them, or a machine that vanishes, leaves the server in mid-sentence (see `halted`).
"""

from __future__ import annotations

import datetime as dt
import re
import time
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg import generators, pq
from psycopg.abc import Buffer, PQGen
from psycopg.adapt import AdaptersMap, Loader, PyFormat, Transformer
from psycopg.errors import error_from_result

Statement = tuple[str, list[Any]]
Bound = tuple[str, list[bytes | None]]
Rows = list[tuple[Any, ...]]

MOST = 200  # texts that one connection keeps prepared
# Each text is planned once, for any parameters, when it is first used. The tables may be small then, and a plan made
# for a small table reads it whole for as long as it lives: until the next ANALYZE. Every hot text has its index. (A
# table that has none to offer then costs so much, on paper, that PostgreSQL would compile the plan: hence jit.)
# Of a table that was never analyzed PostgreSQL assumes ten pages. Of one that is known to be smaller, nothing helps:
# one of its indexes, read whole, costs as little as one row. So a text is planned again once a table that it names
# has grown to ten.
_PLAN: tuple[bytes, ...] = (
    b"SET plan_cache_mode = force_generic_plan",
    b"SET enable_seqscan = off",
    b"SET jit = off",
)
_NOTHING: tuple[bytes, ...] = ()
_AS_BEFORE: tuple[bytes, ...] = (b"RESET enable_seqscan", b"RESET jit")
_TABLE = re.compile(r"\b(?:orchestration|security)_[a-z]+\b")
_GROWN = (
    b"SELECT t FROM unnest($1::text[]) t"
    b" WHERE pg_relation_size(to_regclass(t)) >= 10 * current_setting('block_size')::int"
)
LOOK = 1.0  # seconds between two looks at tables that were small
_REFUSED = (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.PIPELINE_ABORTED)


class _Moment(Loader):
    """Reads a timestamptz ten times as fast as psycopg, which takes every date style and year; ours is ISO."""

    def load(self, data: Buffer) -> dt.datetime:
        """Return the moment, aware."""
        return dt.datetime.fromisoformat(bytes(data).decode())


class _Reading:
    """A connection's adapters, and ours; not the connection itself, which must be forgotten once it is closed."""

    connection = None

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.adapters = AdaptersMap(connection.adapters)
        self.adapters.register_loader("timestamptz", _Moment)


class Wire:
    """One connection's statements."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._pg = connection.pgconn
        self._adapters = Transformer(_Reading(connection))
        self._names: dict[str, bytes] = {}
        self._numbers = count()
        self._prepares = connection.prepare_threshold is not None  # a pooler may not allow it
        self._grown: set[str] = set()  # tables that plans may be made for
        self._early: dict[str, frozenset[str]] = {}  # texts that were planned for tables that were small
        self._look_at = 0.0

    def ask(self, statements: Sequence[Statement]) -> PQGen[list[Rows]]:
        """Send the statements and return the rows of each. Raises psycopg.Error: the first that one of them met."""
        bound = [(text, [self._as_text(value) for value in params]) for text, params in statements]
        yield from self._look([text for text, _ in bound])
        if len(bound) == 1 and (bound[0][0] in self._names or not self._prepares):
            self._send(*bound[0])
            results = yield from generators.execute(self._pg)
            _raise_first(results)
            return [self._rows(results[0])]
        return (yield from self._together(bound))

    def _together(self, bound: Sequence[Bound]) -> PQGen[list[Rows]]:
        new = self._unknown(text for text, _ in bound)
        before, after = (_PLAN, _AS_BEFORE) if new else (_NOTHING, _NOTHING)
        self._pg.enter_pipeline_mode()
        for setting in before:
            self._pg.send_query_params(setting, None)
        for text, name in new.items():
            self._pg.send_prepare(name, _numbered(text))
        self._names |= new
        self._early |= {text: small for text in new if (small := _tables(text) - self._grown)}
        for text, values in bound:
            self._send(text, values)
        for setting in after:
            self._pg.send_query_params(setting, None)
        self._pg.pipeline_sync()
        yield from generators.send(self._pg)
        results: list[pq.abc.PGresult] = []
        while not results or results[-1].status != pq.ExecStatus.PIPELINE_SYNC:
            results += yield from generators.fetch_many(self._pg)
        self._pg.exit_pipeline_mode()
        first = len(before)
        for text, result in zip(new, results[first:], strict=False):
            if result.status in _REFUSED:
                del self._names[text]
                self._early.pop(text, None)
        _raise_first(results)
        first += len(new)
        return [self._rows(result) for result in results[first : first + len(bound)]]

    def _look(self, texts: Sequence[str]) -> PQGen[None]:
        """Learn which tables have grown that these texts name, and forget the plans that were made before."""
        asking = [text for text in texts if text in self._early or text not in self._names]
        if not asking or not self._prepares or time.monotonic() < self._look_at:
            return
        unsure = {table for text in asking for table in _tables(text)} - self._grown
        if not unsure:
            return
        self._pg.send_query_params(_GROWN, [self._as_text(sorted(unsure))])
        results = yield from generators.execute(self._pg)
        _raise_first(results)
        self._grown.update(table for (table,) in self._rows(results[0]))
        for text in [text for text, small in self._early.items() if small & self._grown]:
            del self._early[text], self._names[text]
        if unsure - self._grown:
            self._look_at = time.monotonic() + LOOK

    def _unknown(self, texts: Iterable[str]) -> dict[str, bytes]:
        """Return names for the texts that are to be prepared now."""
        if not self._prepares:
            return {}
        unknown = [text for text in dict.fromkeys(texts) if text not in self._names]
        room = MOST - len(self._names)
        return {text: b"igon7_%d" % next(self._numbers) for text in unknown[:room]}

    def _send(self, text: str, values: list[bytes | None]) -> None:
        name = self._names.get(text)
        if name is not None:
            self._pg.send_query_prepared(name, values)
        else:
            self._pg.send_query_params(_numbered(text), values)

    def _rows(self, result: pq.abc.PGresult) -> Rows:
        if not result.nfields:
            return []
        self._adapters.set_pgresult(result)
        return self._adapters.load_rows(0, result.ntuples, tuple)

    def _as_text(self, value: Any) -> bytes | None:
        """Return a parameter in PostgreSQL's text form; its type is what the statement says it is."""
        if value is None:
            return None
        if isinstance(value, str):
            data = value.encode()
            if b"\0" in data:
                raise psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
            return data
        if isinstance(value, bool):
            return b"t" if value else b"f"
        if isinstance(value, int | float | uuid.UUID):
            return str(value).encode()
        if isinstance(value, list):
            return b"{" + b",".join(_as_item(self._as_text(item)) for item in value) + b"}"
        dumped = self._adapters.get_dumper(value, PyFormat.TEXT).dump(value)
        return None if dumped is None else bytes(dumped)


_wires: WeakKeyDictionary[psycopg.Connection[Any], Wire] = WeakKeyDictionary()


def ask(connection: psycopg.Connection[Any], statements: Sequence[Statement]) -> list[Rows]:
    """Send statements that do not need each other's rows, in one round trip; return the rows of each.

    Outside of a transaction they are one. Raises psycopg.Error.
    """
    wire = _wires.get(connection)
    if wire is None:
        wire = _wires[connection] = Wire(connection)
    begins = not connection.autocommit and connection.pgconn.transaction_status == pq.TransactionStatus.IDLE
    asked = [(_begin(connection), list[Any]()), *statements] if begins else statements
    try:
        found = connection.wait(wire.ask(asked))
    except BaseException:
        # Interrupted half-way, nobody could say what the next answer belongs to.
        if connection.pgconn.transaction_status == pq.TransactionStatus.ACTIVE or _is_open(connection.pgconn):
            cancel(connection)
            connection.close()
        raise
    return found[1:] if begins else found


def cancel(connection: psycopg.Connection[Any]) -> None:
    """Let the server give up what it is at: left alone it would go on, and hold its locks meanwhile."""
    if connection.pgconn.transaction_status == pq.TransactionStatus.ACTIVE:
        with suppress(psycopg.Error):
            connection.cancel_safe(timeout=1.0)


def _is_open(pgconn: pq.abc.PGconn) -> bool:
    return bool(pgconn.pipeline_status != pq.PipelineStatus.OFF)


def _begin(connection: psycopg.Connection[Any]) -> str:
    level = connection.isolation_level
    return "BEGIN" if level is None else f"BEGIN ISOLATION LEVEL {level.name.replace('_', ' ')}"


def _raise_first(results: Sequence[pq.abc.PGresult]) -> None:
    for result in results:
        if result.status in _REFUSED:
            raise error_from_result(result, "utf-8")


@cache
def _tables(text: str) -> frozenset[str]:
    return frozenset(_TABLE.findall(text))


@cache
def _numbered(text: str) -> bytes:
    """Return the text with $1, $2 … for each %s in turn."""
    number = 0

    def place(found: re.Match[str]) -> str:
        nonlocal number
        if found[0] == "%%":
            return "%"
        number += 1
        return f"${number}"

    return re.sub(r"%s|%%", place, text).encode()


def _as_item(text: bytes | None) -> bytes:
    return b"NULL" if text is None else b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
