"""The ledger: a file that bodies under test append to. It says what truly ran, whatever the database says."""

from __future__ import annotations

import functools
import inspect
import json
import os
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LEDGER = "IGON7_TEST_LEDGER"


@dataclass(frozen=True, slots=True)
class Entry:
    """A body's word: it began ("start") or ended ("end"), in that process at that time.

    `at` is the process's clock (epoch seconds), `tick` the machine's monotonic one, which all its processes share.
    """

    what: str
    execution: str
    node: str
    attempt: int
    pid: int
    at: float
    tick: float
    about: dict[str, Any] = field(default_factory=dict)


def write(what: str, execution: str, node: str, attempt: int, **about: Any) -> None:
    """Append a line: one write, so that lines of many processes never mix."""
    path = os.environ.get(LEDGER)
    if path:
        line = json.dumps([what, execution, node, attempt, os.getpid(), time.time(), time.monotonic(), about])
        fd = os.open(path, os.O_WRONLY | os.O_APPEND)
        # A line of its own, even after one that a kill has cut off.
        os.write(fd, f"\n{line}\n".encode())
        os.close(fd)


def note(ctx: Any, what: str, **about: Any) -> None:
    """Write down what the body of this context does."""
    write(what, ctx.execution_id, ctx.node_id, ctx.attempt, **about)


def recorded(body: Callable[..., Any]) -> Callable[..., Any]:
    """Note a body's begin and its end, whatever that is."""

    @functools.wraps(body)
    def run(ctx: Any) -> Any:
        note(ctx, "start")
        try:
            return body(ctx)
        finally:
            note(ctx, "end")

    @functools.wraps(body)
    async def run_async(ctx: Any) -> Any:
        note(ctx, "start")
        try:
            return await body(ctx)
        finally:
            note(ctx, "end")

    return run_async if inspect.iscoroutinefunction(body) else run


class Ledger:
    """What the bodies have written, in order; each line is read once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()
        self._read: list[Entry] = []
        self._offset = 0

    def all(self) -> list[Entry]:
        with self.path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        self._read += [Entry(*fields) for line in whole.splitlines() if (fields := _fields(line))]
        return self._read

    def entries(self, execution: uuid.UUID, what: str = "start") -> list[Entry]:
        return [entry for entry in self.all() if entry.execution == str(execution) and entry.what == what]

    def runs(self, execution: uuid.UUID, what: str = "start") -> Counter[str]:
        """Return how often each node's body has begun (or ended)."""
        return Counter(entry.node for entry in self.entries(execution, what))


def _fields(line: bytes) -> list[Any] | None:
    try:
        return list(json.loads(line))
    except ValueError:  # empty, or cut off by a kill
        return None
