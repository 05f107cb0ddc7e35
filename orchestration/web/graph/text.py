"""How wide a text is, roughly: the server has no fonts, and a card must hold its label in any system font."""

from __future__ import annotations

import unicodedata

_NARROW = frozenset("iljtfrI.,:;'|!()[]{}/\\ -`\"")
_WIDE = frozenset("mwMW@%&")


def measure(text: str, size: float) -> float:
    """Return the width in pixels of `text` set in a system font of `size` pixels."""
    return size * sum(_advance(character) for character in text)


def shorten(text: str, width: float, size: float) -> str:
    """Cut `text` in the middle with "…" so that it fits; both ends of an id tell it apart."""
    if measure(text, size) <= width:
        return text
    room = width - measure("…", size)
    head, tail = "", ""
    for index in range(len(text)):
        character = text[index // 2] if index % 2 == 0 else text[-1 - index // 2]
        room -= measure(character, size)
        if room < 0:
            break
        head, tail = (head + character, tail) if index % 2 == 0 else (head, character + tail)
    return f"{head.rstrip()}…{tail.lstrip()}"


def _advance(character: str) -> float:
    if character in _NARROW:
        return 0.34
    if character in _WIDE:
        return 0.9
    if unicodedata.east_asian_width(character) in "WF":
        return 1.0
    if unicodedata.combining(character):
        return 0.0
    if character.isdigit():
        return 0.64
    return 0.7 if character.isupper() else 0.59
