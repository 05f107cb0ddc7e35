"""What a node's body remembers: what its durable calls gave, and what it waits for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, TextField
from django.db.models.functions import Cast, Length, Substr

from orchestration.models import Execution, JournalEntry, NodeRun
from orchestration.store.journal import OWN

from .events import instant

VALUE_SHOWN = 2_000  # characters of a value that a page shows


@dataclass(frozen=True, slots=True)
class Remembered:
    """One durable call; `value` is the beginning of a JSON text of `size` characters, `iteration` 0 outside of any.

    `came` is "value", "read", "timeout" or "refused".
    """

    id: int
    kind: str
    name: str
    number: int
    iteration: int
    came: str
    value: str | None
    size: int
    at: datetime

    def to_json(self) -> dict[str, object]:
        """Return it as the API shows it: a value that was cut is a text, its beginning."""
        names = ("id", "kind", "name", "number", "came", "size")
        shown: dict[str, object] = {name: getattr(self, name) for name in names}
        whole = self.value is not None and len(self.value) == self.size
        shown["value"] = json.loads(self.value) if whole and self.value is not None else None
        shown["beginning"] = None if whole else self.value
        return shown | {"iteration": self.iteration or None, "at": instant(self.at)}


def journal(
    run: NodeRun,
    *,
    repeats: bool = False,
    after: int = 0,
    limit: int = 100,
    last: bool = False,
    characters: int = VALUE_SHOWN,
) -> list[Remembered]:
    """Return what the body's calls gave, in their order: those after the id `after`, or the `last` ones.

    `repeats` says that the node is repeated: its iterations have calls of their own. A value is cut past `characters`.
    """
    text = Cast("value", TextField())
    rows = JournalEntry.objects.filter(node_run=run, pk__gt=after).exclude(kind__in=OWN).defer("value")
    told = rows.annotate(text=Substr(text, 1, characters), size=Length(text)).order_by(
        "-pk" if last else "pk"
    )
    found = [_remembered(row, repeats) for row in told[:limit]]
    return found[::-1] if last else found


def with_journals(execution: Execution) -> list[NodeRun]:
    """Return the present rows whose bodies remember something, without results' weight."""
    own = JournalEntry.objects.filter(node_run=OuterRef("pk")).exclude(kind__in=OWN)
    rows = NodeRun.objects.filter(Exists(own), execution=execution, superseded=False)
    return list(rows.defer("result", "error", "progress").order_by("pk"))


def _remembered(row: Any, repeats: bool) -> Remembered:
    name, _mark, number = row.key.rpartition("#")
    iteration = 0
    if repeats and row.kind != "iteration" and name.startswith("["):
        within, _mark, name = name.partition("] ")
        iteration = int(within[1:])
    return Remembered(
        row.pk, row.kind, name, int(number), iteration, row.came, row.text, row.size or 0, row.at
    )
