"""What a watcher of one execution is sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

JSON: TypeAlias = dict[str, Any]
Key: TypeAlias = tuple[str, int | None, str | None]  # node, item, whom it serves


@dataclass(slots=True)
class Frame:
    """What is new since (`seq`, `line`) of the frame before. Never changed once made: watchers share it.

    `line` is None while nothing is known about lines; `why` has the sentence in each language asked for.
    """

    at: str
    seq: int
    line: int | None
    status: str
    why: Mapping[str, str | None] = field(default_factory=dict)
    events: list[JSON] = field(default_factory=list)
    nodes: dict[Key, JSON] = field(default_factory=dict)
    lines: list[JSON] = field(default_factory=list)
    reset: bool = False
    _texts: dict[tuple[str, int], str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def size(self) -> int:
        """Return how many events, nodes and lines it holds."""
        return len(self.events) + len(self.nodes) + len(self.lines)

    def then(self, newer: Frame) -> Frame:
        """Return one frame that says what the two say in turn."""
        if newer.reset:
            return newer
        return replace(
            newer,
            line=self.line if newer.line is None else newer.line,
            events=self.events + newer.events,
            nodes=self.nodes | newer.nodes,
            lines=self.lines + newer.lines,
            reset=self.reset,
            _texts={},
        )

    def as_json(self, language: str, line: int = 0) -> JSON:
        """Return what travels; `line` stands in for an unknown one."""
        content: JSON = {
            "seq": self.seq,
            "line": line if self.line is None else self.line,
            "at": self.at,
            "status": self.status,
            "why": self.why.get(language),
            "events": self.events,
            "nodes": list(self.nodes.values()),
            "lines": self.lines,
        }
        return content | {"reset": True} if self.reset else content

    def as_text(self, language: str, line: int = 0) -> str:
        """Return the JSON text, made once for all watchers that get the same."""
        key = (language, line if self.line is None else self.line)
        if key not in self._texts:
            self._texts[key] = json.dumps(
                self.as_json(language, line), ensure_ascii=False, separators=(",", ":")
            )
        return self._texts[key]
