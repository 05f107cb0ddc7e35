"""A transaction in as few round trips as it has turns: what is sent together returns together.

A settle has two turns: what it reads under the lock, and what it writes. BEGIN travels with the first, COMMIT with
the last.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from django.db import Error
from django.db import transaction as django_transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from . import sql
from .sql import Rows, Statement


class Transaction:
    """What `transaction` gives: `run` a turn, and `finish` with the last one."""

    def __init__(self, connection: BaseDatabaseWrapper, *, ours: bool) -> None:
        self.connection = connection
        self._ours = ours  # we say BEGIN and COMMIT; else Django's atomic() around us does
        self._begun = False

    def run(self, statements: Sequence[Statement]) -> list[Rows]:
        """Run statements that do not need each other's rows; return the rows of each."""
        if not self._ours or self._begun:
            return sql.run(self.connection, statements)
        self._begun = True
        return sql.run(self.connection, [("BEGIN", []), *statements])[1:]

    def finish(self, statements: Sequence[Statement]) -> list[Rows]:
        """Run the last statements and commit."""
        if not self._begun:
            return sql.run(self.connection, statements)  # what travels alone is a transaction of its own
        found = sql.run(self.connection, [*statements, ("COMMIT", [])])[:-1]
        self._begun = False
        return found

    def close(self) -> None:
        if self._begun:
            self.finish([])

    def roll_back(self) -> None:
        # A connection that is broken has rolled back already, and its next use says what broke it.
        with contextlib.suppress(Error), self.connection.wrap_database_errors:
            self.connection.connection.rollback()


@contextlib.contextmanager
def transaction(connection: BaseDatabaseWrapper) -> Iterator[Transaction]:
    """Open a transaction, or join the one that is open. Leaving the block commits, an exception rolls back."""
    joins = connection.in_atomic_block
    if joins or not sql.is_postgres(connection):
        # A refusal must undo no more than was done here.
        with django_transaction.atomic(using=connection.alias, savepoint=joins):
            yield Transaction(connection, ours=False)
        return
    connection.ensure_connection()
    mine = Transaction(connection, ours=True)
    try:
        yield mine
        mine.close()
    except BaseException:
        mine.roll_back()
        raise
