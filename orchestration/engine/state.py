"""Shared state: the scopes that there are, and what a key, an amount and a time to live may be."""

from __future__ import annotations

import re
from typing import Any

from .durations import Duration, seconds
from .errors import InvalidOption

EXECUTION, WORKFLOW, GLOBAL = SCOPES = ("execution", "workflow", "global")
STORAGE = "storage/"  # what the names of its calls begin with in a journal, before scope and key
STORAGE_KINDS = frozenset({"get", "keys", "set", "incr", "delete"})
KEY_LIMIT = 128
KEYS_LIMIT = 1000  # keys that one call lists
MOST = 2**53 - 1  # what every reader of JSON keeps exactly
# No letter beyond ASCII: keys have one order, on every database.
_KEY = re.compile(rf"[A-Za-z0-9._:/@#+=-]{{1,{KEY_LIMIT}}}")
PAST = "~"  # sorts behind every character of a key
_LETTERS = "letters, digits and any of . _ : / @ # + = -"


def check_scope(scope: Any) -> str:
    """Return the scope, or raise InvalidOption."""
    if scope not in SCOPES:
        raise InvalidOption(option="scope", value=scope, expected="one of " + ", ".join(SCOPES))
    return str(scope)


def check_key(key: Any) -> str:
    """Return the key, or raise InvalidOption."""
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise InvalidOption(option="key", value=key, expected=f"1 to {KEY_LIMIT} {_LETTERS}")
    return key


def check_prefix(prefix: Any) -> str:
    """Return what keys are to begin with, or raise InvalidOption."""
    if prefix != "" and (not isinstance(prefix, str) or not _KEY.fullmatch(prefix)):
        raise InvalidOption(option="prefix", value=prefix, expected=f"up to {KEY_LIMIT} {_LETTERS}")
    return str(prefix)


def check_amount(by: Any) -> int:
    """Return what is added, or raise InvalidOption."""
    if isinstance(by, bool) or not isinstance(by, int) or abs(by) > MOST:
        raise InvalidOption(option="by", value=by, expected="a whole number of up to 15 digits")
    return by


def check_ttl(ttl: Duration | None) -> float | None:
    """Return the time to live in seconds, or None for ever. Raises InvalidOption."""
    found = seconds(ttl, "ttl") if ttl is not None else None
    if found == 0:
        raise InvalidOption(option="ttl", value=ttl, expected="longer than nothing, or None for ever")
    return found


def check_version(version: Any) -> int:
    """Return the version that a value is to have, 0 for none. Raises InvalidOption."""
    if isinstance(version, bool) or not isinstance(version, int) or not 0 <= version < 2**63:
        raise InvalidOption(
            option="version", value=version, expected="a version, or 0 where there is no value"
        )
    return version


def check_limit(limit: Any) -> int:
    """Return how many keys to list, or raise InvalidOption."""
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= KEYS_LIMIT:
        raise InvalidOption(option="limit", value=limit, expected=f"a whole number from 1 to {KEYS_LIMIT}")
    return limit
