"""Names of signals."""

from __future__ import annotations

from typing import Any

from .errors import InvalidOption

NAME_LIMIT = 200
RESERVED = ("cancel", "terminate", "pause", "resume")  # they do what they say, and no body is given them


def check_name(value: Any, option: str = "the signal's name") -> str:
    """Return the name. Raises InvalidOption unless a body may wait for it."""
    if not isinstance(value, str) or not value.strip() or len(value) > NAME_LIMIT or "\0" in value:
        expected = f"a text of 1 to {NAME_LIMIT} characters"
        raise InvalidOption(option=option, value=value, expected=expected)
    if value in RESERVED:
        expected = f"none of {', '.join(RESERVED)}, which act on the execution and go by send_signal"
        raise InvalidOption(option=option, value=value, expected=expected)
    return value
