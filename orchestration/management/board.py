"""The nodes of one execution as its events tell of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from orchestration import queries
from orchestration.engine.graph import Graph

JSON = dict[str, Any]
Key = tuple[str, int | None]

AFTER = {
    "node.ready": "ready",
    "node.released": "ready",
    "node.lost": "ready",
    "node.started": "running",
    "node.retrying": "retrying",
    "node.waiting": "waiting",
    "node.attention": "attention",
    "node.blocked": "blocked",
    "node.completed": "succeeded",
    "node.recovered": "recovered",
    "node.failed": "failed",
    "node.skipped": "skipped",
    "node.cancelled": "cancelled",
    "node.reset": "pending",
}
_BEGINS_ANEW = ("node.lost", "node.released", "node.retrying", "node.blocked", "node.reset", "node.attention")
ENDED = ("succeeded", "recovered", "failed", "upstream_failed", "skipped", "cancelled")
MOVING = ("running", "retrying", "attention", "blocked", "waiting", "ready")  # the most telling first


@dataclass(slots=True)
class Row:
    """One node: its status as shown, its attempt, when it began, how long it took."""

    node: str
    index: int | None
    status: str = "pending"
    attempt: int = 0
    started_at: datetime | None = None
    duration: float | None = None  # ms
    note: str = ""
    progress: JSON | None = None
    touched: int = 0
    items: dict[int, str] = field(default_factory=dict)  # of a map: how each stands
    ends: Counter[str] = field(default_factory=Counter)  # and how many stand so

    @property
    def name(self) -> str:
        return self.node if self.index is None else f"{self.node}[{self.index}]"


@dataclass
class Board:
    """Every node of the graph; `apply` moves them on."""

    graph: Graph
    rows: dict[Key, Row] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rows = {(node, None): Row(node, None) for node in self.graph.nodes}

    def apply(self, events: Iterable[JSON]) -> None:
        for event in events:
            if event["type"] in AFTER:
                self._move(event)

    def show_progress(self, progress: dict[Key, JSON]) -> None:
        for key, row in self.rows.items():
            row.progress = progress.get(key) if row.status == "running" else None

    def counts(self) -> Counter[str]:
        return Counter(row.status for row in self.rows.values())

    def ended(self) -> int:
        counts = self.counts()
        return sum(counts[status] for status in ENDED)

    def shown(self, limit: int) -> list[Row]:
        """Return what moves, the most telling first, then what ended last; at most `limit` rows."""
        moving = [row for row in self.rows.values() if row.status in MOVING]
        moving.sort(key=lambda row: (MOVING.index(row.status), row.touched))
        ended = [row for row in self.rows.values() if row.status in ENDED]
        ended.sort(key=lambda row: -row.touched)
        return (moving + ended)[:limit]

    def _move(self, event: JSON) -> None:
        index = event["index"] if event["index"] is not None and event["index"] >= 0 else None
        if index is not None and event["node"] not in self.graph.undos:
            self._count(self.rows[event["node"], None], index, AFTER[event["type"]])
            return
        row = self.rows.setdefault((event["node"], index), Row(event["node"], index))
        data = event["data"]
        row.status = data.get("status", AFTER[event["type"]])
        row.attempt = event["attempt"] or row.attempt
        row.touched = event["seq"]
        row.duration = data.get("duration")
        row.note = note(event)
        if event["type"] in _BEGINS_ANEW:
            row.started_at = None
        elif row.status == "running":  # an attempt whose body has waited goes on
            row.started_at = row.started_at or datetime.fromisoformat(event["at"])

    def _count(self, row: Row, index: int, status: str) -> None:
        """Note in a map's own row what becomes of an item: there may be thousands of them."""
        before = row.items.get(index, "")
        row.items[index] = status
        row.ends[before] -= 1
        row.ends[status] += 1
        row.note = _("%(ok)d items done") % {"ok": row.ends["succeeded"]}
        if row.ends["failed"]:
            row.note += ", " + _("%(failed)d failed") % {"failed": row.ends["failed"]}


def note(event: JSON) -> str:
    """Return what an event adds in words: the error, the reason, the delay."""
    data = event["data"]
    parts = []
    if error := data.get("error"):
        parts.append(f"{error.get('type')}: {first_line(error.get('message'))}")
    if waits := data.get("waits"):
        parts.append(_("waits for %s") % ", ".join(map(queries.spell_told, waits)))
    if event["type"] == "child.started":
        parts.append(f"{data['count']} × “{data['name']}”")
    if "delay" in data:
        parts.append(f"next try in {data['delay'] / 1000:g} s ({data.get('next')} of {data.get('of')})")
    if data.get("reason"):
        parts.append(first_line(data["reason"]))
    if cached := data.get("cached"):
        parts.append(f"from the cache, by {cached['execution']}")
    if by := data.get("by"):
        parts.append(f"by {by}")
    return " · ".join(parts)


def first_line(text: Any) -> str:
    lines = str(text or "").strip().splitlines()
    return lines[0] if lines else ""
