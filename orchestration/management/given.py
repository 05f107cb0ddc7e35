"""Reading the input that a command line gives: JSON itself, @file, or - for standard input."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from orchestration.api import strictjson
from orchestration.engine.errors import Igon7Error, PayloadTooLarge


class UnreadableInput(Igon7Error):
    """{detail}"""

    code = "unreadable_input"


def read_input(text: str | None, what: str = "--input") -> Any:
    """Return the value; None for none. Raises UnreadableInput, InvalidJSON or PayloadTooLarge, naming `what` it is."""
    if text is None:
        return None
    if text == "-":
        return strictjson.loads(_limited(sys.stdin.buffer, f"{what} -"), f"{what} -")
    if text.startswith("@"):
        return strictjson.loads(_file(text[1:]), text[1:])
    return strictjson.loads(text, what)


def _file(name: str) -> bytes:
    try:
        with Path(name).open("rb") as opened:
            return _limited(opened, name)
    except OSError as error:
        raise UnreadableInput(
            _("%(file)s cannot be read: %(reason)s.") % {"file": name, "reason": error.strerror}
        ) from None


def _limited(stream: Any, what: str) -> bytes:
    """Read at most what could still be a payload; written with escapes it is larger than as it is kept."""
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    data: bytes = stream.read(limit + 1)
    if len(data) > limit:
        raise PayloadTooLarge(what=what, size=f"more than {limit}", limit=settings.IGON7_PAYLOAD_LIMIT)
    return data
