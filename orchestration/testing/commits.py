"""The commits of this thread's connection, watched: each is counted, and one of them can be where the process dies."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar
from unittest import mock

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections

from orchestration.store import wire
from orchestration.store.sql import Rows, Statement

T = TypeVar("T")
_WRITES = re.compile(r'\b(INSERT\s+INTO|DELETE\s+FROM|UPDATE)\s+"?(\w+)"?(?=[^;]*)', re.IGNORECASE)
_IDLE = psycopg.pq.TransactionStatus.IDLE


class Crash(BaseException):
    """The process dies here. A BaseException, so that `except Exception` lets it by."""


class Commits:
    """Counts the commits that write something; dies just before or just after the one with this number."""

    def __init__(self, at: int = 0, *, before: bool = False) -> None:
        self.seen: list[str] = []
        self.dead = False  # nothing gets through to the database any more
        self._at, self._before = at, before
        self._open: list[str] = []  # what the open transaction has written so far
        self._connection = connections[DEFAULT_DB_ALIAS]

    @property
    def crashed(self) -> bool:
        """Say whether the process has died."""
        return 0 < self._at <= len(self.seen)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch what this thread commits in the block."""
        self._commit_it, self._roll_it_back = self._connection.commit, self._connection.rollback
        self._ask_it = wire.ask
        with (
            mock.patch.object(self._connection, "commit", self._commit),
            mock.patch.object(self._connection, "rollback", self._roll_back),
            mock.patch.object(wire, "ask", self._ask),
            self._connection.execute_wrapper(self._execute),
        ):
            yield

    def _commit(self) -> None:
        written, self._open = self._open, []
        self._pass(written, self._commit_it, self._roll_it_back)

    def _roll_back(self) -> None:
        self._open = []
        self._roll_it_back()

    def _execute(self, execute: Any, text: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        """Watch a statement of Django's; outside of a transaction it commits by itself."""
        if context["cursor"] is None:
            return None  # one of the wire's, which is told of before it is sent
        self._check()
        written = _written(text)
        if self._connection.in_atomic_block or not self._connection.get_autocommit():
            self._open += written
            return execute(text, params, many, context)
        return self._pass(written, lambda: execute(text, params, many, context))

    def _ask(self, pg: psycopg.Connection[Any], statements: Sequence[Statement]) -> list[Rows]:
        """Watch the statements of one round trip of the store's."""
        self._check()
        texts = [text for text, _ in statements]
        if pg.pgconn.transaction_status == _IDLE:
            self._open = []
        self._open += [each for text in texts for each in _written(text)]
        alone = pg.autocommit and pg.pgconn.transaction_status == _IDLE and "BEGIN" not in texts
        if not alone and "COMMIT" not in texts:
            return self._ask_it(pg, statements)
        written, self._open = self._open, []
        if alone and written and len(texts) == 1 and "RETURNING" in texts[0]:
            return self._ask_alone(pg, statements[0], written)
        return self._pass(written, lambda: self._ask_it(pg, statements))

    def _ask_alone(
        self, pg: psycopg.Connection[Any], statement: Statement, written: Sequence[str]
    ) -> list[Rows]:
        """Watch a statement that may turn out to change nothing, as a claim does where there is nothing to claim."""
        _, rows = self._ask_it(pg, [("BEGIN", []), statement])
        commit, undo = (partial(self._ask_it, pg, [(text, [])]) for text in ("COMMIT", "ROLLBACK"))
        if rows:
            self._pass(written, commit, undo)
        else:
            commit()
        return [rows]

    def _check(self) -> None:
        if self.dead:
            raise Crash

    def _pass(
        self, written: Sequence[str], go: Callable[[], T], undo: Callable[[], object] = lambda: None
    ) -> T:
        """Let a commit pass, unless this is where the process dies."""
        if not written:
            return go()
        self._check()
        self.seen.append(", ".join(dict.fromkeys(written)))
        here = len(self.seen) == self._at
        if here and self._before:
            self.dead = True
            undo()
            raise Crash
        found = go()
        if here:
            self.dead = True
            raise Crash
        return found


def _written(text: str) -> list[str]:
    """Return what the statement writes, such as "INSERT INTO orchestration_noderun"."""
    found = [(match[1].split()[0].upper(), match[2]) for match in _WRITES.finditer(text)]
    # "FOR UPDATE OF n" and "FOR UPDATE SKIP LOCKED" only lock.
    return [f"{verb} {table}" for verb, table in found if table.upper() not in ("OF", "SKIP", "NOWAIT")]
