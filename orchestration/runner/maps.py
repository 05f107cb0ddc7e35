"""Around a map: the body that finds its items and writes them down, and what the body of each item is given."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.conf import settings

from orchestration.engine.codec import dump_payload
from orchestration.engine.errors import NotAList
from orchestration.engine.graph import Graph, NodeSpec
from orchestration.engine.view import Key
from orchestration.engine.wide import chunk
from orchestration.store import items

from .patience import patiently
from .seat import Held

Body = Callable[..., Any]
MOST = 100_000  # items of one map


@dataclass(frozen=True, slots=True)
class Found:
    """How many items a map has, or batches of them; they are written down."""

    count: int


def finding(graph: Graph, spec: NodeSpec, over: Body) -> Body:
    """Return the body of a map's own row."""

    def find(ctx: Any) -> Found:
        texts = _texts(spec, over(ctx))
        return Found(patiently(lambda: items.keep(ctx._held.claim, texts)))

    async def find_async(ctx: Any) -> Found:
        found = over(ctx)
        texts = _texts(spec, await found if inspect.isawaitable(found) else found)
        return Found(await ctx._call(patiently, lambda: items.keep(ctx._held.claim, texts)))

    return find_async if spec.lane == "async" else find


def _texts(spec: NodeSpec, found: Any) -> list[str]:
    """Return the items as JSON texts. Raises NotAList, NotSerialisable, PayloadTooLarge."""
    assert spec.items is not None
    about: dict[str, Any] = {"node": spec.id, "most": MOST}
    about["what"] = (
        f'the result of "{spec.items.over}"' if spec.items.over else f"what {spec.items.call} returns"
    )
    if isinstance(found, str | bytes | Mapping) or not isinstance(found, Iterable):
        raise NotAList(found=f"a {type(found).__name__}", **about)
    size = spec.items.batch_size
    listed = list(islice(found, MOST + 1))
    if len(listed) > MOST:
        raise NotAList(found=f"more than {MOST:,} items", **about)
    return [
        dump_payload(item, f'Item {number} of map "{spec.id}"', settings.IGON7_PAYLOAD_LIMIT)
        for number, item in enumerate(chunk(listed, size) if size is not None else listed)
    ]


def map_of(graph: Graph, key: Key) -> str | None:
    """Return the map whose item the row is about, be it the item or what undoes it; None for all other rows."""
    if key.index < 0:
        return None
    return graph.undos.get(key.node, key.node)


def read(held: Sequence[tuple[Held, Graph]]) -> None:
    """Read the items of those claims that are about one and do not have it yet, in one query."""
    asked = [
        (each, node) for each, graph in held if (node := map_of(graph, each.claim.key)) and each.item is None
    ]
    found = items.read([(each.claim, node) for each, node in asked])
    for each, _ in asked:
        each.item, each.edited = found.get(each.claim.run_id, (None, None))
