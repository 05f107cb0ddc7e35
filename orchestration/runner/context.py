"""`ctx`: what a body sees of its node run, and what it can say."""

from __future__ import annotations

import asyncio
import copy
import datetime as dt
import json
import logging
import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from orchestration.engine.codec import dump_payload
from orchestration.engine.errors import InvalidOption, NodeCancelled, UnknownResult
from orchestration.engine.graph import Graph, NodeSpec, suggest
from orchestration.engine.recovery import concerned, owner
from orchestration.engine.states import NODE_OK
from orchestration.engine.view import Key
from orchestration.store.leases import Line
from security.masking import mask
from security.principals import Principal

from . import artifacts, memory, secrets
from .approvals import ApprovalCalls, AsyncApprovalCalls
from .auditing import AsyncAuditCalls, AuditCalls
from .children import AsyncChildCalls, ChildCalls
from .events import AsyncEventCalls, EventCalls
from .patience import patiently
from .seat import Held

MESSAGE_LIMIT = 64 * 1024
DETAILS_LIMIT = 64 * 1024
LINES_LIMIT = 100_000  # of one attempt


class Results(Mapping[str, Any]):
    """Results of nodes upstream, by id. A node without a result raises UnknownResult; `.get` gives None."""

    def __init__(
        self, graph: Graph, upstream: Sequence[str], load: Callable[[list[str]], dict[str, Any]]
    ) -> None:
        self._graph, self._upstream, self._load = graph, upstream, load
        self._known: dict[str, tuple[str, str | None]] = {}
        self._closed = False

    def __getitem__(self, node: str) -> Any:
        status, text = self._find(node)
        if status not in NODE_OK or text is None:
            raise UnknownResult(node=node, why=f"it is {status}.")
        return json.loads(text)

    def _find(self, node: str) -> tuple[str, str | None]:
        if node not in self._graph.nodes:
            raise UnknownResult(
                node=node, why="the workflow has no such node. " + suggest(node, self._graph.nodes)
            )
        if node not in self._known and self._closed:
            raise UnknownResult(
                node=node, why="an async body sees what its node depends on; add it to depends_on."
            )
        if node not in self._known:
            wanted = [n for n in self._upstream if n not in self._known]
            self._known |= self._load(wanted if node in wanted else [*wanted, node])
        return self._known.get(node, ("not reached", None))

    def prefetch(self) -> None:
        """Read the predecessors' results now (async bodies must not wait for a database on the event loop)."""
        if self._upstream:
            self._known |= self._load(list(self._upstream))
        self._closed = True

    def __iter__(self) -> Iterator[str]:
        return iter(self._upstream)

    def __len__(self) -> int:
        return len(self._upstream)

    def __contains__(self, node: object) -> bool:
        return self.get(str(node)) is not None if node in self._graph.nodes else False


class BodyLog(logging.Handler):
    """Keeps a body's lines until the heartbeat writes them."""

    def __init__(self, held: Held) -> None:
        super().__init__(logging.DEBUG)
        self._held = held

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = self.format(record)
        except Exception as error:  # a wrong format in an author's log call must not fail the node
            message = f"{record.msg!r} (this line could not be formatted: {error})"
        message = mask(message)  # before it is cut: half a secret would not be known
        self._held.count += 1
        if self._held.count > LINES_LIMIT:
            return
        if self._held.count == LINES_LIMIT:
            message = f"This attempt has logged {LINES_LIMIT:,} lines; further ones are dropped."
        if len(message) > MESSAGE_LIMIT:
            message = message[:MESSAGE_LIMIT] + f"… ({len(message):,} characters)"
        at = dt.datetime.fromtimestamp(record.created, dt.UTC)
        clean = message.encode("utf-8", "replace").decode()
        self._held.lines.append(Line(self._held.count, at, record.levelno, clean))


@dataclass(frozen=True, slots=True)
class Failure:
    """Why another node failed, for whoever runs in its place: the exception's type and message, and the node."""

    type: str
    message: str
    node: str


class Context(ApprovalCalls, EventCalls, ChildCalls, AuditCalls):
    """What a sync body is given. Attributes are read from the database when first used."""

    def __init__(self, held: Held, graph: Graph, spec: NodeSpec) -> None:
        claim = held.claim
        self._held, self._graph, self._spec = held, graph, spec
        self.execution_id = str(claim.execution_id)
        self.node_id = claim.key.node
        self.attempt = claim.attempt
        # A copy: the spec is shared by every execution that this process runs.
        self.params: dict[str, Any] = copy.deepcopy(dict(spec.params)) if spec.params else {}
        self.results = Results(graph, _upstream(graph, claim.key, spec), self._load_results)

    @cached_property
    def log(self) -> logging.Logger:
        """A logger whose lines are kept and shown live."""
        return _logger(self._held)

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this node run: for services that deduplicate."""
        key = self._held.claim.key
        plain = f"{self.execution_id}:{key}" + (f":{key.for_node}" if key.for_node else "")
        return f"{plain}:{self._times_undone}" if self._times_undone else plain

    @cached_property
    def _times_undone(self) -> int:
        """How often what the node did has been undone: to do it again then is another effect, not the same one."""
        key, undo = self._held.claim.key, self._spec.compensate
        if key.node in self._graph.undos:
            whom, undo = key.for_node, key.node
        elif undo is None:
            return 0
        else:
            whom = key.for_node or key.node
        return patiently(lambda: memory.times_undone(self._held.claim.execution_id, undo, whom, key.index))

    @property
    def error(self) -> Failure | None:
        """In a fallback or an error boundary: the error it runs for; else None."""
        return self._error

    @cached_property
    def _error(self) -> Failure | None:
        key = self._held.claim.key
        if not self._graph.is_rescuer(key.node):
            return None
        names = list(concerned(self._graph, key))
        found = patiently(lambda: memory.error_of(self._held.claim.execution_id, names))
        return Failure(found.get("type", ""), found.get("message", ""), found["node"]) if found else None

    def _load_results(self, nodes: list[str]) -> dict[str, Any]:
        return patiently(lambda: self._read_results(nodes))

    def _read_results(self, nodes: list[str]) -> dict[str, Any]:
        """Read results; what undoes an item sees what that item gave."""
        key, id = self._held.claim.key, self._held.claim.execution_id
        found = memory.results_of(id, [node for node in nodes if key.index < 0 or node != key.for_node])
        if (
            key.index >= 0
            and key.for_node in nodes
            and (own := memory.result_of_item(id, key.for_node, key.index))
        ):
            found[key.for_node] = own
        return found

    @property
    def index(self) -> int | None:
        """In a map: which of its items this is, from 0; else None."""
        return self._held.claim.key.index if self._held.claim.key.index >= 0 else None

    @cached_property
    def item(self) -> Any:
        """In a map: the item, or with a batch_size the list of them; else None."""
        return json.loads(self._held.item) if self._held.item is not None else None

    def _about(self) -> dict[str, Any]:
        return patiently(lambda: memory.input_of(self._held.claim.execution_id))

    @property
    def input(self) -> Any:
        """The execution's input, plain JSON; or what a person has put in its place for this node."""
        edited = self._held.edited if self._held.claim.input is None else self._held.claim.input
        return self._about()["input"] if edited is None else json.loads(edited)

    @property
    def principal(self) -> Principal:  # type: ignore[override]
        """Whom the execution acts for."""
        return Principal.from_json(self._about()["principal"])

    def progress(self, fraction: float, text: str = "") -> None:
        """Show how far the body is (0…1), and with what. Raises InvalidOption, and NodeCancelled."""
        _report(self._held, fraction, text)
        self.check_cancelled()

    def heartbeat(self, details: Any = None) -> None:
        """Say that the body is alive, and what it is at. Raises NotSerialisable, and NodeCancelled."""
        _beat(self._held, details)
        self.check_cancelled()

    def artifact(
        self, name: str, data: bytes, content_type: str = "application/octet-stream"
    ) -> dict[str, Any]:
        """Keep a file and return its reference: plain JSON, to be returned in the node's result."""
        return artifacts.keep(self._held.claim, name, data, content_type)

    def read_artifact(self, reference: Any) -> bytes:
        """Return the bytes behind a reference. Raises UnknownArtifact."""
        return artifacts.read(self._held.claim, reference)

    def get_secret(self, name: str) -> Any:
        """Return the secret's value, which is masked in all that the body gives or says: read it where it is used.

        Raises UnknownSecret, SecretDenied.
        """
        return patiently(lambda: secrets.read(self._held, self._graph.name, self.principal, name))

    @property
    def has_waited(self) -> bool:
        """Say whether the body runs again because what it waited for is there."""
        return self._held.claim.parked > 0

    def is_cancelled(self) -> bool:
        """Say whether the execution is being cancelled."""
        return self._held.cancelled or self._held.gone

    def check_cancelled(self) -> None:
        """Raise NodeCancelled when the execution is being cancelled."""
        if self.is_cancelled():
            raise NodeCancelled(reason="")


class Done:
    """What a call that is over already returns to an async body, so that it may be awaited or not."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


class Answer(int):
    """A truth that may be awaited or not."""

    def __await__(self) -> Generator[None, None, bool]:
        return bool(self)
        yield


class AsyncContext(AsyncApprovalCalls, AsyncEventCalls, AsyncChildCalls, AsyncAuditCalls, Context):
    """What an async body is given: the same names; what talks to the database or storage is awaitable."""

    def __init__(self, held: Held, graph: Graph, spec: NodeSpec, database: Executor) -> None:
        super().__init__(held, graph, spec)
        self._database = database
        # Read now, by the lane, which waits out a database that is away: the event loop must not.
        self._known_about = memory.input_of(held.claim.execution_id)
        self.results.prefetch()
        _ = self._error, self._times_undone

    def _load_results(self, nodes: list[str]) -> dict[str, Any]:
        return self._read_results(nodes)

    def _about(self) -> dict[str, Any]:
        return self._known_about

    def progress(self, fraction: float, text: str = "") -> Done:  # type: ignore[override]
        """Show how far the body is. Raises InvalidOption, and NodeCancelled."""
        super().progress(fraction, text)
        return Done()

    def heartbeat(self, details: Any = None) -> Done:  # type: ignore[override]
        """Say that the body is alive. Raises NotSerialisable, and NodeCancelled."""
        super().heartbeat(details)
        return Done()

    def is_cancelled(self) -> Answer:  # type: ignore[override]
        """Say whether the execution is being cancelled."""
        return Answer(super().is_cancelled())

    def check_cancelled(self) -> Done:  # type: ignore[override]
        """Raise NodeCancelled when the execution is being cancelled."""
        super().check_cancelled()
        return Done()

    async def artifact(  # type: ignore[override]
        self, name: str, data: bytes, content_type: str = "application/octet-stream"
    ) -> dict[str, Any]:
        """Keep a file and return its reference."""
        return await self._call(artifacts.keep, self._held.claim, name, data, content_type)

    async def read_artifact(self, reference: Any) -> bytes:  # type: ignore[override]
        """Return the bytes behind a reference. Raises UnknownArtifact."""
        return await self._call(artifacts.read, self._held.claim, reference)

    async def get_secret(self, name: str) -> str:
        """Return the secret's value. Raises UnknownSecret, SecretDenied."""
        return await self._call(
            patiently, lambda: secrets.read(self._held, self._graph.name, self.principal, name)
        )

    async def _call(self, function: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._database, function, *args)


def _upstream(graph: Graph, key: Key, spec: NodeSpec) -> tuple[str, ...]:
    """Return whose results the body sees: a rescuer what the node saw for which it runs, an undo that node's too."""
    if not key.for_node:
        over = spec.items.over if spec.items is not None and key.index >= 0 else None
        return tuple(node for node in spec.depends_on if node != over)  # an item is not sent the whole list
    own = (graph.undos[key.node],) if key.node in graph.undos else ()
    return tuple(dict.fromkeys([*graph.nodes[owner(graph, key)].depends_on, *own]))


def _report(held: Held, fraction: float, text: str) -> None:
    number = isinstance(fraction, (int, float)) and not isinstance(fraction, bool) and math.isfinite(fraction)
    if not number or not 0 <= fraction <= 1:
        raise InvalidOption(option="progress", value=fraction, expected="a number from 0 to 1")
    _say(held, fraction=float(fraction), text=_clean(str(text)))


def _beat(held: Held, details: Any) -> None:
    if details is None:
        held.said_at = time.monotonic()
        return
    text = (
        details
        if isinstance(details, str)
        else dump_payload(details, "details of a heartbeat", DETAILS_LIMIT)
    )
    _say(held, text=_clean(text))


def _clean(text: str) -> str:
    return mask(text)[:500].replace("\0", "").encode("utf-8", "replace").decode()


def _say(held: Held, **what: Any) -> None:
    """Note what the body says; what it has said of the rest stays."""
    held.said_at = time.monotonic()
    held.said = {**held.said, **what, "at": dt.datetime.now(dt.UTC).isoformat()}
    held.progress = held.said


def _logger(held: Held) -> logging.Logger:
    # Not from getLogger: those live for ever, and there is one of these for each attempt.
    logger = logging.Logger(f"igon7.node.{held.claim.key.node}", logging.DEBUG)  # noqa: LOG001
    logger.addHandler(BodyLog(held))
    return logger
