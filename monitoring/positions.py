"""Where a watcher says it stands: `?after=<seq>&line=<log line id>`."""

from __future__ import annotations

from collections.abc import Mapping

from orchestration.engine.errors import InvalidOption

_HIGHEST = 2**63 - 1


def position(query: Mapping[str, str]) -> tuple[int, int]:
    """Return (after, line), each 0 when absent. Raises InvalidOption, naming the one at fault."""
    return _number(query, "after"), _number(query, "line")


def _number(query: Mapping[str, str], name: str) -> int:
    text = query.get(name) or "0"
    if text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= _HIGHEST:
        return int(text)
    raise InvalidOption(option=name, value=text[:20], expected="a whole number, 0 or more")
