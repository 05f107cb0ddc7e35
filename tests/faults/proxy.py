"""A TCP proxy between clusters and PostgreSQL: it delays, falls silent, and cuts connections, in mid-message too.

It runs an event loop in a thread of its own, and knows nothing of what it carries.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

CHUNK = 65536


@dataclass(eq=False, slots=True)
class Wire:
    """One connection: a pump each way. `cut_after` is how many more bytes pass (up, down) before it breaks."""

    writers: list[asyncio.StreamWriter]
    going: asyncio.Event
    cut_after: dict[str, int] = field(default_factory=dict)

    def abort(self, *, reset: bool = False) -> None:
        """End it; with `reset`, the client is told of a broken connection instead of a closed one."""
        if reset:
            with suppress(OSError):  # the client has ended it meanwhile
                linger = struct.pack("ii", 1, 0)
                self.writers[0].get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, linger
                )
        for writer in self.writers:
            writer.transport.abort()


class Proxy:
    """Carries connections to a unix socket. Its methods may be called from any thread."""

    def __init__(self, path: str, chance: random.Random) -> None:
        self._path, self._chance = path, chance
        self._wires: set[Wire] = set()
        self._delay = 0.0
        self._open = True
        self.cuts = 0  # connections that were broken
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")
        self._thread.start()
        self._server: asyncio.Server = self._do(asyncio.start_server(self._carry, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]

    def _do(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(10.0)

    # --- faults ------------------------------------------------------------------------------------

    def delay(self, seconds: float) -> None:
        """Carry everything up to so many seconds late from now on."""
        self._delay = seconds

    def cut(self, share: float = 1.0) -> None:
        """Break about that share of the connections, now."""
        self._do(self._each(share, self._break))

    def cut_in_message(self, share: float = 1.0) -> None:
        """Break each of them in the middle of the next thing that is said or answered."""
        self._do(self._each(share, self._arm))

    def spare(self) -> None:
        """Break none any more of those that were to break."""
        self._do(self._each(1.0, lambda wire: wire.cut_after.clear()))

    def refuse(self) -> None:
        """Break every connection, and each new one at once."""
        self._open = False
        self.cut()

    def accept(self) -> None:
        self._open = True

    def silence(self, share: float = 1.0) -> int:
        """Carry nothing more on them, and close nothing: no end hears anything. Return how many there are."""
        return int(self._do(self._each(share, lambda wire: wire.going.clear())))

    def resume(self) -> None:
        """Carry everything that was held back."""
        self._do(self._each(1.0, lambda wire: wire.going.set()))

    async def _each(self, share: float, act: Any) -> int:
        chosen = [wire for wire in self._wires if self._chance.random() < share]
        for wire in chosen:
            act(wire)
        return len(chosen)

    def _break(self, wire: Wire) -> None:
        self.cuts += 1
        wire.abort(reset=self._chance.random() < 0.5)

    def _arm(self, wire: Wire) -> None:
        # Up: a statement that arrives in part, or not at all; down: one that was carried out, and nobody hears of it.
        wire.cut_after[self._chance.choice(("up", "down"))] = self._chance.choice((0, 1, 7, 40))

    # --- carrying ----------------------------------------------------------------------------------

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:
            writer.transport.abort()
            return
        try:
            up_reader, up_writer = await asyncio.open_unix_connection(self._path)
        except OSError:
            writer.transport.abort()
            return
        wire = Wire([writer, up_writer], asyncio.Event())
        wire.going.set()
        self._wires.add(wire)
        try:
            with suppress(asyncio.CancelledError):  # at the end: asyncio would complain of each
                await asyncio.gather(
                    self._pump(wire, "up", reader, up_writer), self._pump(wire, "down", up_reader, writer)
                )
        finally:
            self._wires.discard(wire)
            wire.abort()

    async def _pump(
        self, wire: Wire, way: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                await wire.going.wait()
                if self._delay:
                    await asyncio.sleep(self._chance.uniform(0, self._delay))
                if (left := wire.cut_after.get(way)) is not None and left < len(data):
                    writer.write(data[:left])
                    await writer.drain()
                    self._break(wire)
                    return
                writer.write(data)
                await writer.drain()
            writer.write_eof()
        # One side has ended: so does the other, once what was said has been carried.

    def close(self) -> None:
        self._open = False
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        self._server.close()
        for wire in [*self._wires]:
            wire.abort()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
