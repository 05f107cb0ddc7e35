"""Reading query parameters: known ones, typed; others are refused by name."""

from __future__ import annotations

from rest_framework.request import Request

from orchestration.engine.errors import InvalidOption
from orchestration.engine.graph import suggest

from .errors import UnknownParameter

CURSOR_LIMIT = 2**63 - 1


def only(request: Request, *known: str) -> None:
    """Raise UnknownParameter for the first query parameter that is not known here."""
    for name in request.query_params:
        if name not in known:
            hint = suggest(name, known) if known else "This address takes none."
            raise UnknownParameter(name=name, hint=hint)


def whole(request: Request, name: str, default: int, *, least: int = 0, most: int = CURSOR_LIMIT) -> int:
    """Return a whole number from `least` to `most`. Raises InvalidOption."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most:
        return int(text)
    expected = f"a whole number from {least} to {most}"
    raise InvalidOption(option=f'The query parameter "{name}"', value=text, expected=expected)


def text(request: Request, name: str) -> str | None:
    """Return a text, None when absent or empty. Raises InvalidOption for one that no database can compare."""
    value = request.query_params.get(name)
    if value and "\0" in value:
        expected = "a text without NUL characters"
        raise InvalidOption(option=f'The query parameter "{name}"', value=value, expected=expected)
    return value or None


def turned(request: Request, name: str, token: str | None) -> str | None:
    """Return this list's address at another page."""
    if token is None:
        return None
    params = request.query_params.copy()
    for cursor in ("after", "before"):
        params.pop(cursor, None)
    params[name] = token
    return request.build_absolute_uri(f"{request.path}?{params.urlencode()}")
