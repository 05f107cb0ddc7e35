"""Durations as people write them: "300ms", "30s", "1h30m", timedelta, or a number of seconds."""

from __future__ import annotations

import re
from datetime import timedelta

from .errors import InvalidOption

Duration = timedelta | str | int | float

# Past it, adding a duration to a date would leave the calendar.
LONGEST = 36_525 * 86_400.0
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_WHOLE = re.compile(rf"(?:{_PART.pattern}\s*)+")


def seconds(value: Duration, option: str = "duration") -> float:
    """Return the duration in seconds. Raises InvalidOption for anything but a duration from 0 to a hundred years."""
    result = _seconds(value)
    if result is None or not 0 <= result <= LONGEST:
        raise InvalidOption(
            option=option,
            value=value,
            expected='a duration from 0 to 100 years, such as "30s", "1h30m", a timedelta or seconds',
        )
    return result


def _seconds(value: Duration) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (int, float)):
        return float(value) if 0 <= value <= LONGEST else None
    if isinstance(value, str):
        return _parse(value.strip().lower())
    return None


def _parse(text: str) -> float | None:
    if not _WHOLE.fullmatch(text):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def spell(value: float) -> str:
    """Return seconds as people write them: 0.3 -> "300ms", 5400 -> "1h30m"."""
    if value < 1:
        return f"{round(value * 1000, 3):g}ms"
    parts, rest = [], round(value, 3)
    for unit in ("d", "h", "m"):
        count, rest = divmod(rest, _UNITS[unit])
        if count:
            parts.append(f"{count:g}{unit}")
    if rest or not parts:
        parts.append(f"{round(rest, 3):g}s")
    return "".join(parts)
