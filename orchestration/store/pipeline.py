"""psycopg's pipeline, made so that the server always notices when a transaction is idle (`sql.idle_limit`).

The server looks at that clock only while it waits for a new statement, and so for nothing else of ours. A process that
is stopped, or a machine that vanishes, must leave it waiting for that.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from psycopg import Connection, Pipeline
from psycopg.abc import PQGen
from psycopg.generators import send


class _Together(Pipeline):
    """A pipeline that sends everything at once, at its end, and its Sync as the last of it."""

    def _communicate_gen(self) -> PQGen[None]:
        """Hold back: with the next statement still to come, the server would hold the locks of this one for it."""
        yield from ()

    def _exit_gen(self) -> PQGen[None]:
        """Do as psycopg's, without the Flush that it sends after the Sync: that stops the clock."""
        try:
            self._enqueue_sync()
            while self.command_queue:
                self.command_queue.popleft()()
            yield from send(self.pgconn)
        finally:
            yield from self._fetch_gen(flush=False)


def pipeline(connection: Connection[Any]) -> AbstractContextManager[Pipeline]:
    """Send the block's statements together and read their results at its end."""
    connection._pipeline = _Together(connection)
    return connection.pipeline()
