"""What starts a workflow besides a person: events. A workflow says of which name, and which of them."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .errors import InvalidOption
from .grammar import parse
from .graph import NodeSpec

NAME_LIMIT = 200
HANDLER = "on:"  # what the id of an event's handler begins with


@dataclass(frozen=True, slots=True)
class TriggerSpec:
    """Each event of the name starts an execution, if the filter lets it: a condition, or a function of the event."""

    event: str
    filter: str = ""
    function: Callable[[dict[str, Any]], Any] | None = None
    where: str = ""  # "module:qualname" of the function

    def as_data(self) -> dict[str, Any]:
        """Return what a version keeps of it."""
        given = {"filter": self.filter, "function": self.where}
        return {"event": self.event, **{name: value for name, value in given.items() if value}}


class StartedBy:
    """The condition of a handler: its event has started the execution."""

    def __init__(self, event: str) -> None:
        self.event = event

    def __call__(self, ctx: Any) -> Any:
        found = ctx.get_event(self.event)
        return self._later(found) if inspect.isawaitable(found) else found is not None

    async def _later(self, coming: Awaitable[Any]) -> bool:
        return await coming is not None


def check_event_name(name: Any) -> str:
    """Return the name of an event. Raises InvalidOption."""
    fits = isinstance(name, str) and 0 < len(name) <= NAME_LIMIT and name == name.strip()
    if not fits or any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in name):
        expected = f"a text of 1 to {NAME_LIMIT} characters without control characters or outer spaces"
        raise InvalidOption(option="the event's name", value=name, expected=expected)
    return str(name)


def check_filter(event: str, given: Any) -> str | Callable[[dict[str, Any]], Any] | None:
    """Return the filter. Raises InvalidCondition or InvalidOption."""
    if given is None or callable(given):
        return given
    if not isinstance(given, str):
        expected = "a condition such as 'amount > 100', or a function of the event"
        raise InvalidOption(option=f'filter of the event "{event}"', value=given, expected=expected)
    parse(given)
    return given


def behind_handlers(nodes: Mapping[str, NodeSpec], handlers: tuple[str, ...]) -> dict[str, NodeSpec]:
    """Return the nodes with every root behind the handlers, of which at most one runs."""
    if not handlers:
        return dict(nodes)
    served = {spec.fallback for spec in nodes.values()} | {spec.compensate for spec in nodes.values()}
    return {
        id: replace(spec, depends_on=handlers, join="none_failed")
        if not spec.depends_on and spec.handles is None and id not in served and id not in handlers
        else spec
        for id, spec in nodes.items()
    }
