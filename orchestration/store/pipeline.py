"""psycopg's pipeline, after which the server still notices that a transaction is idle (`sql.idle_limit`)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from psycopg import Connection, Pipeline
from psycopg.abc import PQGen


class _Together(Pipeline):
    """A pipeline that ends with its Sync: psycopg's sends a Flush after that, which stops the server's clock."""

    def _exit_gen(self) -> PQGen[None]:
        try:
            self._enqueue_sync()
            yield from self._communicate_gen()
        finally:
            yield from self._fetch_gen(flush=False)


def pipeline(connection: Connection[Any]) -> AbstractContextManager[Pipeline]:
    """Send the block's statements together and read their results at its end."""
    connection._pipeline = _Together(connection)
    return connection.pipeline()
