"""Around the body of a node with a cache: look for its result, and keep it; of equal ones at once, compute one."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.db import connection

from orchestration.caching import book, flights, stores
from orchestration.engine.builder import is_async
from orchestration.engine.caching import code_version, key_of
from orchestration.engine.codec import dump_payload
from orchestration.engine.errors import NodeCancelled, NodeTimeout, NotSerialisable, PayloadTooLarge
from orchestration.engine.graph import Graph, NodeSpec
from orchestration.engine.policies import CachePolicy
from orchestration.queries.caching import refreshes
from orchestration.store import clock

from .bodies import HandBack
from .context import Context
from .memory import Memory
from .patience import patiently

Body = Callable[..., Any]
_STOPPED = (NodeTimeout, NodeCancelled)
_first_words = Memory(1024 * 1024)


def cached(graph: Graph, spec: NodeSpec, body: Body) -> Body:
    """Return a body that returns the result the cache has for it, or else runs and keeps its own.

    Raises HandBack where another execution computes the same result now.
    """

    def looked_up(ctx: Any) -> Any:
        look = Look(ctx, graph, spec, body)
        if look.find():
            return look.value
        try:
            value = body(ctx)
        except _STOPPED:
            raise  # perhaps amid a word with the database; the flight ends with the claim
        except Exception:
            look.give_up()
            raise
        look.keep(value)
        return value

    async def looked_up_async(ctx: Any) -> Any:
        look = Look(ctx, graph, spec, body)
        if await ctx._call(look.find):
            return look.value
        try:
            value = await body(ctx)
        except _STOPPED:
            raise
        except Exception:
            await ctx._call(look.give_up)
            raise
        await ctx._call(look.keep, value)
        return value

    return looked_up_async if is_async(body) else looked_up


class Look:
    """One look into the cache, for one attempt at a node. What goes wrong in it costs the cache, never the node."""

    def __init__(self, ctx: Context, graph: Graph, spec: NodeSpec, body: Body) -> None:
        assert spec.cache is not None
        self.policy: CachePolicy = spec.cache
        self._ctx, self._graph, self._spec, self._body = ctx, graph, spec, body
        self._held = ctx._held
        self._key: str | None = None
        self._leads = False
        self.value: Any = None

    def find(self) -> bool:
        """Say whether the cache has the value; else take the lead, where nobody has it. Raises HandBack."""
        try:
            about = self._about()
            return patiently(lambda: self._find(about))
        except _STOPPED:
            raise
        except stores.StoreAway as why:
            self._warn(
                "The cache store “%s” cannot be used (%s); the result is computed.", self.policy.store, why
            )
        except Exception as error:
            self._warn(
                "The cache was not asked (%s: %s); the result is computed.", type(error).__name__, error
            )
        self.give_up()
        self._key = None
        return False

    def _find(self, about: dict[str, Any]) -> bool:
        names = book.namespaces(self._graph.name, self._spec.id, self._spec.body, self.policy)
        self._key = key = key_of(about | {"generations": book.generations(names)})
        # A body that has been parked goes on with what its journal has; another result is not its own.
        goes_on = self._held.claim.parked > 0 or _refreshes(self._held.claim.execution_id)
        if not goes_on and self._take_over(key):
            return True
        computing = flights.take(key, self._held.claim)
        self._leads = computing is None
        if goes_on:
            return False
        if computing is not None:
            flights.wait(key, self._held.claim)
            said = {"reason": "the same result is being computed", "execution": str(computing)}
            raise HandBack(flights.DELAY, said)
        if self._take_over(key):  # it came between the look and the lead
            self.give_up()
            return True
        return False

    def _take_over(self, key: str) -> bool:
        kept = stores.get(self.policy.store, key)
        if kept is None:
            return False
        self.value = kept.value
        self._held.more = {"cached": {"execution": kept.execution, "at": kept.at}}
        book.count(self._graph.name, self._spec.id, hit=True)
        return True

    def give_up(self) -> None:
        """Let somebody else compute the result."""
        key = self._key
        if self._leads and key is not None:
            self._leads = False
            self._quietly(lambda: flights.end(key, self._held.claim))

    def keep(self, value: Any) -> None:
        """Keep the value for others, if it can be kept."""
        if self._key is not None:
            self._quietly(lambda: self._keep(str(self._key), value))
            self.give_up()

    def _keep(self, key: str, value: Any) -> None:
        book.count(self._graph.name, self._spec.id, hit=False)
        try:
            text = dump_payload(value, "The result", settings.IGON7_CACHE_LIMIT)
        except PayloadTooLarge as error:
            self._ctx.log.info("The result is not cached: it is %d bytes; the limit is %d.", error.fields["size"],
                               settings.IGON7_CACHE_LIMIT)  # fmt: skip
            return
        except NotSerialisable:
            return  # the node is about to fail with it
        if _has_artifacts(value):
            self._ctx.log.info(
                "The result is not cached: it refers to artifacts, which belong to this execution."
            )
            return
        at, execution = clock.counted(connection), self._ctx.execution_id
        stores.put(self.policy.store, key, text, execution, at.isoformat(), self.policy.ttl)
        book.note_entry(key, self._graph.name, self._spec, execution, len(text.encode()), at)

    def _quietly(self, act: Callable[[], None]) -> None:
        try:
            act()
        except _STOPPED:
            raise
        except Exception as error:
            self._warn("The cache “%s” could not be written: %s", self.policy.store, error)
            if not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()

    def _warn(self, text: str, *args: Any) -> None:
        self._ctx.log.warning(text, *args)

    # --- the key ---

    def _about(self) -> dict[str, Any]:
        """Return what the result depends on, as far as it can be known."""
        ctx, spec = self._ctx, self._spec
        about: dict[str, Any] = {
            "body": spec.body,
            "code": code_version(self._body),
            "params": dict(spec.params),
        }
        if self.policy.scope == "workflow":
            about |= {"workflow": self._graph.name, "node": spec.id}
        if self._held.claim.key.index >= 0:
            about["item"] = ctx.item
        if self.policy.key_fn is not None:
            return about | {"key": _own_key(self.policy.key_fn, ctx)}
        about |= {"input": ctx.input, "results": {node: ctx.results.get(node) for node in ctx.results}}
        return about | ({"error": asdict(ctx.error)} if ctx.error is not None else {})


def _own_key(key_fn: Callable[..., Any], ctx: Context) -> Any:
    return key_fn(ctx.input, ctx) if _takes_two(key_fn) else key_fn(ctx.input)


def _takes_two(key_fn: Callable[..., Any]) -> bool:
    try:
        inspect.signature(key_fn).bind(None, None)
    except (TypeError, ValueError):  # it takes one, or does not say
        return False
    return True


def _refreshes(execution_id: uuid.UUID) -> bool:
    """Say whether the execution renews what is cached; what it was started with never changes."""
    said = _first_words.get(execution_id)
    if said is None:
        said = str(refreshes(execution_id))
        _first_words.put(execution_id, said)
    return said == "True"


def _has_artifacts(value: Any) -> bool:
    """Say whether a reference that `ctx.artifact` returned is in the value."""
    if isinstance(value, dict):
        return {"artifact", "sha256", "content_type"} <= value.keys() or any(
            map(_has_artifacts, value.values())
        )
    return isinstance(value, (list, tuple)) and any(map(_has_artifacts, value))
