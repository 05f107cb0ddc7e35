"""Secret values, and their common encodings, replaced in text that leaves the process.

A process masks what it has itself read: until it reads a secret, `mask` costs one comparison.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import sys
import threading
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "•••"
SHORTEST = 6  # of a line of a longer secret, that is masked by itself

_known: set[str] = set()
_pattern: re.Pattern[str] | None = None
_lock = threading.Lock()


def learn(value: str) -> None:
    """Mask this value from now on, for as long as the process lives."""
    global _pattern
    with _lock:
        if value in _known:
            return
        _known.add(value)
        forms = {form for known in _known for part in _parts(known) for form in encodings(part)}
        # The longest first: what is left of a longer form would otherwise stay in sight.
        _pattern = re.compile("|".join(map(re.escape, sorted(forms, key=lambda form: (-len(form), form)))))
        _wrap_streams()


def forget() -> None:
    """Forget all values: for tests."""
    global _pattern
    with _lock:
        _known.clear()
        _pattern = None


def is_active() -> bool:
    """Say whether there is anything to mask."""
    return _pattern is not None


def mask_param(value: Any) -> Any:
    """Return a statement's parameter masked: a text, or a list of them, JSON by its values."""
    if isinstance(value, list):
        return [mask_param(item) for item in value]
    if not isinstance(value, str) or _pattern is None:
        return value
    if value[:1] in ("{", "["):
        try:
            return mask_json(value)
        except ValueError:
            pass
    return mask(value)


def mask(text: str) -> str:
    """Return the text without the values that this process has read."""
    return text if _pattern is None else _pattern.sub(MASK, text)


def mask_value(value: Any) -> Any:
    """Return plain JSON with every string in it masked, keys too, and numbers that are a secret."""
    if _pattern is None:
        return value
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {mask(str(key)): mask_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [mask_value(item) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool) and _pattern.search(str(value)):
        return MASK
    return value


def mask_json(text: str) -> str:
    """Return the JSON text masked. By its values, not as text: a match must not eat a quote or a bracket."""
    if _pattern is None:
        return text
    plain = json.loads(text)
    masked = mask_value(plain)
    return text if masked == plain else json.dumps(masked, ensure_ascii=False, separators=(",", ":"))


def encodings(value: str) -> set[str]:
    """Return the forms in which a value is looked for: itself, JSON, URL, hex, base64 at each alignment, repr."""
    data = value.encode("utf-8", "surrogatepass")
    forms = {value, quote(value, errors="replace"), quote(value, safe="", errors="replace")}
    forms |= {quote_plus(value, errors="replace"), data.hex(), data.hex().upper(), repr(value)[1:-1]}
    forms |= {re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), form) for form in set(forms)}
    for text in (value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]):
        # JSON in JSON, as a payload inside of a message.
        forms |= {text, text.replace("/", "\\/"), json.dumps(text)[1:-1]}
    return {form for form in forms if len(form) >= SHORTEST} | _base64(data)


def _base64(data: bytes) -> set[str]:
    """Return the part of the encoding that is the value's alone, wherever in a group of three it begins."""
    found = set()
    for before in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(b"\0" * before + data).decode().rstrip("=")
            # Characters that also hold bits of a neighbour differ with it.
            end = (before + len(data)) * 8 // 6
            found.add(text[-(-before * 8 // 6) : end])
    return {form for form in found if len(form) >= SHORTEST}


def _parts(value: str) -> set[str]:
    """Return the value, and the lines of one that has several: logs and tracebacks take them apart."""
    lines = {line.strip() for line in value.splitlines()} if "\n" in value.strip() else set()
    return {value, value.strip()} | {line for line in lines if len(line) >= 2 * SHORTEST}


class _Masked:
    """A stream that masks what is printed."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(mask(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _wrap_streams() -> None:
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, _Masked):
            setattr(sys, name, _Masked(stream))


class MaskingFormatter(logging.Formatter):
    """A formatter whose lines, with their tracebacks, are masked."""

    def format(self, record: logging.LogRecord) -> str:
        return mask(super().format(record))
