"""WorkflowBuilder's nodes that go wide: maps, and nodes beside each other up to a bound."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self, TypedDict, TypeVar, Unpack

from .durations import Duration
from .errors import GraphError, InvalidOption
from .graph import NodeSpec
from .permissions import Permissions
from .policies import Bound, CachePolicy, Items, Join, RetryPolicy

Body = Callable[..., Any]
T = TypeVar("T")


class BodyOptions(TypedDict, total=False):
    """What parallel nodes have in common with all others; see `add_node`."""

    depends_on: Iterable[str]
    join: Join
    params: Mapping[str, Any] | None
    retry: RetryPolicy | None
    timeout: Duration | None
    queue: str
    priority: int | None
    when: Body | None
    on_exhausted: str
    compensate: Body | str | None
    compensate_retry: RetryPolicy | None
    compensate_timeout: Duration | None
    queue_timeout: Duration | None
    deadline: Duration | None
    heartbeat_timeout: Duration | None
    cache: CachePolicy | None
    transactional: bool
    permissions: Permissions | None


class MapOptions(BodyOptions, total=False):
    """What maps have in common with other nodes; see `add_node`."""

    fallback: str | None


class Wide:
    """The part of WorkflowBuilder that goes wide."""

    _nodes: dict[str, NodeSpec]

    def add_node(self, id: str, body: Any, **options: Any) -> Self:
        raise NotImplementedError

    def _finding(self, id: str, body: Any, over: Body) -> str:
        raise NotImplementedError

    def map(
        self,
        id: str,
        body: Body | str,
        *,
        over: str | Body,
        concurrency: int | None = None,
        batch_size: int | None = None,
        tolerate: int | float = 0,
        **options: Unpack[MapOptions],
    ) -> Self:
        """Add a node whose body runs once for each item of a list: as `ctx.item`, the `ctx.index`-th of all.

        `over` is the node whose result the list is, or takes ctx and returns it. At most `concurrency` items are under
        way at once; with a `batch_size`, `ctx.item` is a list of so many. The result has what the bodies returned, in
        the items' order. It fails once more than `tolerate` have failed (a number, or as a float a share of all); for
        those, the result has None. `retry`, `timeout`, `cache`, `compensate` and the limits are those of each item;
        `when`, `fallback` and `on_exhausted` of the map as a whole. Raises GraphError or InvalidOption, naming it.
        """
        _check_options("Map", id, options, MapOptions)
        before = options.get("depends_on", ())
        if isinstance(over, str) and not isinstance(before, str) and over not in (before := tuple(before)):
            options["depends_on"] = (*before, over)
        if not isinstance(over, str) and not callable(over):
            raise InvalidOption(
                option=f'over of map "{id}"', value=over, expected="the id of a node, or a function"
            )
        self.add_node(id, body, **options)
        listed = {"over": over} if isinstance(over, str) else {"call": self._finding(id, body, over)}
        found = Items(**listed, concurrency=concurrency, batch_size=batch_size, tolerate=tolerate)
        self._nodes[id] = replace(self._nodes[id], items=found)
        return self

    def parallel(
        self,
        ids: Iterable[str],
        bodies: Iterable[Body | str],
        *,
        concurrency: int | None = 10,
        **options: Unpack[BodyOptions],
    ) -> Self:
        """Add nodes that run beside each other, at most `concurrency` (None: all) at once, whichever workers run them.

        They begin in the order given. A node takes its place when its turn comes, and hands it on when it has ended for
        good: what it waits, and what is between its attempts, is included. The other options are those of `add_node`,
        and each node's. Raises GraphError or InvalidOption.
        """
        names, given = _listed("ids", ids), _listed("bodies", bodies)
        if len(names) != len(given):
            raise GraphError(
                f"Parallel nodes need a body each; there are {len(names)} ids and {len(given)} bodies."
            )
        if not names:
            raise GraphError("Parallel nodes need at least one id.")
        bound = Bound(str(names[0]), concurrency)
        for id, body in zip(names, given, strict=True):
            _check_options("Parallel node", id, options, BodyOptions)
            self.add_node(id, body, **options)
            self._nodes[id] = replace(self._nodes[id], bound=bound)
        return self


def _check_options(what: str, id: Any, options: Mapping[str, Any], known: type) -> None:
    for option in options:
        if option not in known.__annotations__ and option not in BodyOptions.__annotations__:
            raise GraphError(f'{what} "{id}" takes no option `{option}`.')


def _listed(option: str, values: Any) -> list[Any]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InvalidOption(option=f"{option} of parallel nodes", value=values, expected="a list")
    return list(values)


def chunk(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """Return the items in lists of `size`, the last one shorter where they do not come out even."""
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise InvalidOption(option="size of a chunk", value=size, expected="a whole number ≥ 1")
    return [items[start : start + size] for start in range(0, len(items), size)]
