"""New keys."""

from __future__ import annotations

import os
import time
import uuid

from orchestration.engine import uuid7


def time_ordered() -> uuid.UUID:
    """Return a UUIDv7: newest last, unguessable in its 74 random bits."""
    return uuid7.make(time.time_ns() // 1_000_000, os.urandom(10))
