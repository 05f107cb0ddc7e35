"""The few SVG marks the charts are made of; every value is escaped, all looks come from classes."""

import math
from collections.abc import Callable, Iterable, Sequence

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

Scale = Callable[[float], float]


def linear(low: float, high: float, start: float, end: float) -> Scale:
    """Return the scale that maps low..high onto start..end."""
    span = (high - low) or 1
    return lambda value: round(start + (value - low) * (end - start) / span, 1)


def ticks(low: float, high: float, about: int) -> list[int]:
    """Return about so many round numbers within low..high."""
    rough = max((high - low) / max(about, 1), 1)
    power = 10 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1, 2, 3, 5, 10) if size * power >= rough)
    return list(range(math.ceil(low / step) * step, math.floor(high) + 1, step))


def text(x: float, y: float, content: str, kind: str = "", anchor: str = "start") -> SafeString:
    return format_html(
        '<text x="{}" y="{}" class="{}" text-anchor="{}">{}</text>', x, y, kind, anchor, content
    )


def bar(x: float, y: float, width: float, height: float, kind: str, title: str = "") -> SafeString:
    size = (x, y, round(max(width, 0), 1), round(max(height, 0), 1))
    shape = '<rect x="{}" y="{}" width="{}" height="{}" rx="2" class="{}"><title>{}</title></rect>'
    return format_html(shape, *size, kind, title)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> SafeString:
    return format_html('<line x1="{}" y1="{}" x2="{}" y2="{}" class="{}"/>', x1, y1, x2, y2, kind)


def dot(x: float, y: float, radius: float, kind: str) -> SafeString:
    return format_html('<circle cx="{}" cy="{}" r="{}" class="{}"/>', x, y, radius, kind)


def drawing(width: int, height: int, label: str, marks: Iterable[SafeString]) -> SafeString:
    """Return the marks as one SVG image that says `label` to those who cannot see it."""
    shell = '<svg viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}">{}</svg>'
    return format_html(shell, width, height, width, height, label, together(marks))


def together(marks: Iterable[SafeString]) -> SafeString:
    return format_html_join("", "{}", ((mark,) for mark in marks))


def at_two_widths(draw: Callable[[int], SafeString], widths: Sequence[int]) -> SafeString:
    """Return the drawing made for a wide and for a narrow page; the style sheet shows the one that fits."""
    wide, narrow = widths
    return format_html('<div class="wide">{}</div><div class="narrow">{}</div>', draw(wide), draw(narrow))
