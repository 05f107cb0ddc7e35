"""Words, colours and times in a terminal."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from rich.text import Text

from orchestration.engine.durations import spell

# What a body logs must not steer the terminal of whoever reads it.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

STATUSES = {
    "queued": ("◌", "blue"),
    "pending": ("·", "dim"),
    "ready": ("◌", "blue"),
    "running": ("◐", "bold blue"),
    "waiting": ("◷", "magenta"),
    "paused": ("‖", "magenta"),
    "retrying": ("↻", "yellow"),
    "attention": ("!", "yellow"),
    "blocked": ("■", "yellow"),
    "cancelling": ("⊘", "yellow"),
    "compensating": ("⤺", "yellow"),
    "succeeded": ("✓", "green"),
    "recovered": ("⤿", "cyan"),
    "failed": ("✕", "red"),
    "upstream_failed": ("✕", "dim red"),
    "skipped": ("–", "dim"),
    "cancelled": ("⊘", "dim"),
    "terminated": ("⊘", "red"),
}


def clean(text: Any) -> str:
    """Return the text without control characters other than tabs and line ends."""
    return _CONTROLS.sub("�", str(text))


def status(name: str) -> Text:
    """Return icon and word in the status's colour."""
    icon, style = STATUSES.get(name, ("?", ""))
    return Text(f"{icon} {name.replace('_', ' ')}", style)


def took(milliseconds: float | None) -> str:
    """Return a duration as people write it; "" when there is none."""
    if milliseconds is None:
        return ""
    seconds = milliseconds / 1000
    return spell(round(seconds, 3 if seconds < 1 else 1 if seconds < 60 else 0))


def ago(at: datetime | None) -> str:
    if at is None:
        return ""
    return _("%(time)s ago") % {"time": timesince(at, depth=1).replace("\xa0", " ")}


def pretty(value: Any, limit: int = 20_000) -> str:
    """Return JSON for reading, cut off visibly past `limit` characters."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    if len(text) <= limit:
        return clean(text)
    return clean(text[:limit]) + "\n" + _("… cut off; --json shows all of it")


def size(count: int) -> str:
    from django.template.defaultfilters import filesizeformat

    return filesizeformat(count).replace("\xa0", " ")


def page(execution_id: Any) -> str:
    """Return where the console shows the execution; the host is known only when an origin is configured."""
    origin = settings.CSRF_TRUSTED_ORIGINS[0] if settings.CSRF_TRUSTED_ORIGINS else ""
    return f"{origin}{reverse('execution', args=[execution_id])}"
