"""Many alike nodes as one row of a timeline, which opens: the groups are those of the graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .graph import overall
from .history import Span
from .words import word

Own = tuple[Mapping[str, Any], list[Span]]  # a node's view, and its history


class Box(Protocol):
    """What the graph draws; with members it stands for them."""

    @property
    def id(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def members(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Gathered:
    """A group's head: its `own` are its members', in the timeline's order; `said` counts them by status."""

    id: str
    label: str
    own: Sequence[Own]
    is_open: bool

    @property
    def status(self) -> str:
        """The one to look at first."""
        return overall([view["status"] for view, _ in self.own])

    @property
    def said(self) -> str:
        counts = Counter(view["status"] for view, _ in self.own)
        return ", ".join(f"{count} {word(status).lower()}" for status, count in counts.most_common())


def gather(own: Sequence[Own], boxes: Iterable[Box], opened: str, selected: str) -> Iterator[Own | Gathered]:
    """Yield each group's head in the place of its first member; after it, all of an open one's, or the selected."""
    home = {node: box for box in boxes for node in box.members}
    groups: dict[str, list[Own]] = {}
    for each in own:
        if box := _home(home, each):
            groups.setdefault(box.id, []).append(each)
    for each in own:
        box = _home(home, each)
        if box is None:
            yield each
        elif members := groups.pop(box.id, None):
            is_open = box.id == opened
            yield Gathered(box.id, box.text, members, is_open)
            yield from (member for member in members if is_open or member[0]["node"] == selected)


def _home(home: Mapping[str, Box], own: Own) -> Box | None:
    view = own[0]
    return home.get(view["node"]) if view["index"] is None and not view["for"] else None
