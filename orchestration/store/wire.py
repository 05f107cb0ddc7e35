"""Statements sent as libpq has them: prepared once on each connection, any number of them in one round trip.

psycopg's cursors serve every need, and cost more than the rest of such a round trip does. The store's statements need
little: few texts, parameters that travel as text, rows. What they share with psycopg is its connection, its way to
wait, its loaders and its errors.

All that is sent together ends with a Sync and nothing after it. The server looks at how long a transaction has been
idle (`sql.idle_limit`) only while it waits for a new statement, and so for nothing else of ours: a process that is
stopped, or a machine that vanishes, leaves it waiting for that.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg import generators, pq
from psycopg.abc import PQGen
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result

Statement = tuple[str, list[Any]]
Bound = tuple[str, list[bytes | None]]
Rows = list[tuple[Any, ...]]

MOST = 200  # texts that one connection keeps prepared
_REFUSED = (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.PIPELINE_ABORTED)


class Wire:
    """One connection's statements."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._pg = connection.pgconn
        self._adapters = Transformer(connection)
        self._names: dict[str, bytes] = {}
        self._numbers = count()
        self._prepares = connection.prepare_threshold is not None  # a pooler may not allow it

    def ask(self, statements: Sequence[Statement]) -> PQGen[list[Rows]]:
        """Send the statements and return the rows of each. Raises psycopg.Error: the first that one of them met."""
        bound = [(text, [self._as_text(value) for value in params]) for text, params in statements]
        if len(bound) == 1 and (bound[0][0] in self._names or not self._prepares):
            self._send(*bound[0])
            results = yield from generators.execute(self._pg)
            _raise_first(results)
            return [self._rows(results[0])]
        return (yield from self._together(bound))

    def _together(self, bound: Sequence[Bound]) -> PQGen[list[Rows]]:
        new = self._unknown(text for text, _ in bound)
        self._pg.enter_pipeline_mode()
        for text, name in new.items():
            self._pg.send_prepare(name, _numbered(text))
        self._names |= new
        for text, values in bound:
            self._send(text, values)
        self._pg.pipeline_sync()
        yield from generators.send(self._pg)
        results: list[pq.abc.PGresult] = []
        while not results or results[-1].status != pq.ExecStatus.PIPELINE_SYNC:
            results += yield from generators.fetch_many(self._pg)
        self._pg.exit_pipeline_mode()
        for text, result in zip(new, results, strict=False):
            if result.status in _REFUSED:
                del self._names[text]
        _raise_first(results)
        return [self._rows(result) for result in results[len(new) : -1]]

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
            connection.close()
        raise
    return found[1:] if begins else found


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
