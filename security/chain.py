"""The audit's hash chain, as arithmetic: what a record is when it is sealed, and what its digest is.

Each kind of digest has a prefix of its own, so that one can never stand for another. A record is canonical JSON: sorted
keys, no spaces, UTF-8, instants in UTC with microseconds.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from typing import Any

_GENESIS, _RECORD, _HEAD, _SEGMENT = (
    f"igon7.audit.{kind}.v1\0".encode() for kind in ("genesis", "record", "head", "segment")
)
GENESIS = hashlib.sha256(_GENESIS).hexdigest()  # what the first record follows
FIELDS = (
    *("id", "at", "action", "outcome", "principal_kind", "principal_id", "principal_name", "user_id"),
    *("mfa_device", "mfa_at", "address", "user_agent", "request_id"),
    *("resource_type", "resource_id", "resource_name", "details"),
)
SEGMENT = ("first", "last", "previous", "digest", "file", "sha256")


def canonical(value: Any) -> bytes:
    """Return the one JSON text of a value, as UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def contents(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record's FIELDS as plain JSON."""
    return {name: _plain(row[name]) for name in FIELDS}


def _plain(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat(timespec="microseconds")
    return value


def digest(previous: str, position: int, record: Mapping[str, Any]) -> str:
    """Return the digest of the record at a position, which follows `previous`; hexadecimal SHA-256."""
    told = canonical({"previous": previous, "position": position, "record": record})
    return hashlib.sha256(_RECORD + told).hexdigest()


def head_text(head: Mapping[str, Any]) -> bytes:
    """Return what is signed of a head."""
    return _HEAD + canonical({name: head[name] for name in ("position", "digest", "at")})


def segment_text(segment: Mapping[str, Any]) -> bytes:
    """Return what is signed of an archived segment."""
    return _SEGMENT + canonical({name: segment[name] for name in SEGMENT})
