"""UUIDv7 keys (RFC 9562 §5.7): time-ordered, so that newest-first lists read the end of an index."""

from __future__ import annotations

import uuid


def make(unix_ms: int, random: bytes) -> uuid.UUID:
    """Return the UUIDv7 of a time in ms and 10 random bytes."""
    tail = int.from_bytes(random[:10], "big")
    rand_a, rand_b = (tail >> 62) & 0xFFF, tail & ((1 << 62) - 1)
    return uuid.UUID(int=(unix_ms & ((1 << 48) - 1)) << 80 | 0x7 << 76 | rand_a << 64 | 0b10 << 62 | rand_b)
